//! The mode registers of the original card (hpb-project's TOE, 2017): each a fault to inject in the running card.
//!
//! All are zero at start: the card behaves. Values are 32-bit as on the hardware.

macro_rules! registers {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// One mode register.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Register { $($(#[$doc])* $name,)* }

        impl Register {
            /// Every register, in order.
            pub const ALL: [Self; [$($text),*].len()] = [$(Self::$name),*];

            /// Its name on the original card.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The register of that name.
            pub fn by_name(name: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|register| register.name() == name)
            }
        }
    };
}

registers! {
    /// 1: every segment to send comes back as if received instead of leaving.
    Loop = "cfg_toe_mode_loop",
    /// 1: out-of-order data is not buffered but dropped.
    Reorder = "cfg_toe_mode_reorder",
    /// n: one received segment in n is damaged, evenly spaced.
    InsertError = "cfg_toe_mode_ins_err",
    /// n: of every 64 n received segments, the last 8 in a row are damaged.
    InsertErrorBurst = "cfg_toe_mode_ins_err1",
    /// 1: a segment of no session is answered by a reset instead of silence.
    NoSession = "cfg_toe_mode_sess_ne",
    /// 1: ACKs without data that repeat the last one are not sent.
    DuplicateAck = "cfg_toe_mode_dupack_en",
    /// n: of every n + 1 turns of the lane, n take no frames from the port.
    BackPressure = "cfg_toe_mode_ins_bp",
    /// n: at most one segment is sent every n microseconds.
    CellGap = "cfg_toe_mode_cell_gap",
}

/// The registers of one lane, and how often each acted.
#[derive(Clone, Debug, Default)]
pub struct Registers {
    values: [u32; Register::ALL.len()],
    acted: [u64; Register::ALL.len()],
    received: u64,
    turns: u64,
}

impl Registers {
    /// The register's value.
    pub fn get(&self, register: Register) -> u32 {
        self.values[register as usize]
    }

    /// Sets the register; it acts from the next frame on.
    pub fn set(&mut self, register: Register, value: u32) {
        self.values[register as usize] = value;
    }

    /// How often the register changed what the card did.
    pub fn acted(&self, register: Register) -> u64 {
        self.acted[register as usize]
    }

    /// Whether the register is set; counts that it acts.
    pub(crate) fn acts(&mut self, register: Register) -> bool {
        let set = self.get(register) != 0;
        self.acted[register as usize] += u64::from(set);
        set
    }

    /// Whether this turn takes no frames.
    pub(crate) fn holds_back(&mut self) -> bool {
        let value = u64::from(self.get(Register::BackPressure));
        if value == 0 {
            return false;
        }
        self.turns += 1;
        let held = !self.turns.is_multiple_of(value + 1);
        self.acted[Register::BackPressure as usize] += u64::from(held);
        held
    }

    /// Whether the next received segment is to be damaged.
    pub(crate) fn damages(&mut self) -> bool {
        let spaced = u64::from(self.get(Register::InsertError));
        let burst = u64::from(self.get(Register::InsertErrorBurst));
        if spaced == 0 && burst == 0 {
            return false;
        }
        self.received += 1;
        let by_spaced = spaced > 0 && self.received.is_multiple_of(spaced);
        let by_burst = burst > 0 && (self.received - 1) % (64 * burst) >= 64 * burst - 8;
        self.acted[Register::InsertError as usize] += u64::from(by_spaced);
        self.acted[Register::InsertErrorBurst as usize] += u64::from(by_burst);
        by_spaced || by_burst
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_original_cards() {
        for register in Register::ALL {
            assert_eq!(Register::by_name(register.name()), Some(register));
            assert!(register.name().starts_with("cfg_toe_mode_"));
        }
        assert_eq!(Register::by_name("cfg_toe_mode_none"), None);
    }

    #[test]
    fn spaced_errors_are_even_and_bursts_in_a_row() {
        let mut registers = Registers::default();
        assert!(!registers.damages());
        registers.set(Register::InsertError, 10);
        assert_eq!((0..1_000).filter(|_| registers.damages()).count(), 100);
        registers.set(Register::InsertError, 0);
        registers.set(Register::InsertErrorBurst, 1);
        let mut registers = Registers { received: 0, ..registers };
        assert_eq!((0..56).filter(|_| registers.damages()).count(), 0, "a connection can be opened first");
        assert_eq!((56..640).filter(|_| registers.damages()).count(), 80);
        assert_eq!(registers.acted(Register::InsertError), 100);
    }

    #[test]
    fn back_pressure_takes_one_turn_in_n_plus_one() {
        let mut registers = Registers::default();
        registers.set(Register::BackPressure, 3);
        assert_eq!((0..400).filter(|_| !registers.holds_back()).count(), 100);
    }
}
