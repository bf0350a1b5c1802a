//! Execution units: one measure for every virtual machine, and their prices for what a host does.

use crate::host::Halt;

/// Units of a call's start.
pub const CALL_UNITS: u64 = 100;
/// Units of a read, beside its bytes.
pub const READ_UNITS: u64 = 50;
/// Units of a write or a removal, beside its bytes.
pub const WRITE_UNITS: u64 = 100;
/// Units of an authority question.
pub const AUTHORITY_UNITS: u64 = 50;
/// Units of an event, beside its bytes.
pub const EVENT_UNITS: u64 = 50;
/// Units of a byte read, written or emitted.
pub const BYTE_UNITS: u64 = 1;
/// What the check of a signature counts beside units of execution, by the time that each takes.
pub const SIGNATURE_UNITS: u64 = 3_000;

/// Counts units down.
#[derive(Clone, Debug)]
pub struct Meter {
    left: u64,
}

impl Meter {
    /// A meter with `limit` units.
    pub fn new(limit: u64) -> Self {
        Self { left: limit }
    }

    /// Takes `units`.
    ///
    /// # Errors
    /// [`Halt::OutOfUnits`] when fewer are left; the meter is empty then.
    pub fn charge(&mut self, units: u64) -> Result<(), Halt> {
        let left = self.left.checked_sub(units);
        self.left = left.unwrap_or(0);
        left.map(|_| ()).ok_or(Halt::OutOfUnits)
    }

    /// Takes `base` units and those of `bytes` bytes.
    ///
    /// # Errors
    /// [`Halt::OutOfUnits`] when fewer are left; the meter is empty then.
    pub fn charge_bytes(&mut self, base: u64, bytes: usize) -> Result<(), Halt> {
        self.charge(base.saturating_add(BYTE_UNITS.saturating_mul(bytes as u64)))
    }

    /// The units that are left.
    pub fn left(&self) -> u64 {
        self.left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meter_never_goes_below_nothing() {
        let mut meter = Meter::new(10);
        assert_eq!(meter.charge(4), Ok(()));
        assert_eq!(meter.charge_bytes(1, 5), Ok(()));
        assert_eq!(meter.left(), 0);
        assert_eq!(meter.charge(0), Ok(()));
        assert_eq!(meter.charge(1), Err(Halt::OutOfUnits));
        let mut huge = Meter::new(u64::MAX);
        assert_eq!(huge.charge_bytes(u64::MAX, usize::MAX), Ok(()), "the price saturates");
        assert_eq!(huge.left(), 0);
    }
}
