//! eBPF instructions, one method each, and labels in place of jump offsets. Only what this crate's programs need; it
//! knows nothing of what they mean. (Instruction set: RFC 9669.)

/// One instruction, as the kernel reads it (`struct bpf_insn`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

impl Instruction {
    const fn new(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> Self {
        let registers =
            if cfg!(target_endian = "little") { source << 4 | destination } else { destination << 4 | source };
        Self { code, registers, offset, immediate }
    }
}

/// A register. A call spoils `R1` to `R5`; a load from a socket buffer is one, and reads its buffer from `R6`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Register {
    /// What a call and the program return.
    R0,
    /// The first argument of a call and of the program.
    R1,
    /// The second argument of a call.
    R2,
    /// The third argument of a call.
    R3,
    /// The fourth argument of a call.
    R4,
    /// The fifth argument of a call.
    R5,
    /// Kept across calls, as the rest.
    R6,
    /// Kept across calls.
    R7,
    /// Kept across calls.
    R8,
    /// Kept across calls.
    R9,
}

/// The second operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operand {
    /// What a register holds.
    Register(Register),
    /// A constant, its sign extended to 64 bits.
    Immediate(i32),
}

impl From<Register> for Operand {
    fn from(register: Register) -> Self {
        Self::Register(register)
    }
}

impl From<i32> for Operand {
    fn from(constant: i32) -> Self {
        Self::Immediate(constant)
    }
}

/// An operation on 64 bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arithmetic {
    /// Wrapping addition.
    Add = 0x00,
    /// Wrapping multiplication.
    Multiply = 0x20,
    /// Bitwise and.
    And = 0x50,
    /// Shift to the left.
    ShiftLeft = 0x60,
    /// Shift to the right; zeros come in.
    ShiftRight = 0x70,
    /// Bitwise exclusive or.
    Xor = 0xa0,
    /// A copy.
    Move = 0xb0,
}

/// How many bytes a load reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Width {
    /// Four.
    Word = 0x00,
    /// Two.
    Half = 0x08,
    /// One.
    Byte = 0x10,
    /// Eight.
    Double = 0x18,
}

/// When a jump is taken; all comparisons are of unsigned numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    /// Both are the same.
    Equal = 0x10,
    /// The first is larger.
    Greater = 0x20,
    /// They differ.
    NotEqual = 0x50,
    /// The first is smaller.
    Less = 0xa0,
    /// The first is not larger.
    NotGreater = 0xb0,
}

/// A place in the program that jumps lead to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Label(usize);

/// Why a program cannot be put together: a bug of whoever wrote it, or rules beyond what it can hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AssemblyError {
    /// A jump whose label has no place.
    #[error("the jump at instruction {0} leads nowhere")]
    NoPlace(usize),
    /// A jump that its 16-bit offset does not reach.
    #[error("the jump at instruction {0} leads too far")]
    TooFar(usize),
}

/// A program that is being written.
#[derive(Debug, Default)]
pub struct Assembler {
    instructions: Vec<Instruction>,
    /// Where each label is, once it is known.
    places: Vec<Option<usize>>,
    /// Jumps whose offsets are open: instruction and label.
    jumps: Vec<(usize, Label)>,
}

impl Assembler {
    /// An empty program.
    pub fn new() -> Self {
        Self::default()
    }

    /// A label to jump to; [`place`](Self::place) says where it is.
    pub fn label(&mut self) -> Label {
        self.places.push(None);
        Label(self.places.len() - 1)
    }

    /// The next instruction is where `label` leads.
    pub fn place(&mut self, label: Label) {
        self.places[label.0] = Some(self.instructions.len());
    }

    /// `destination = destination <operation> operand`.
    pub fn arithmetic(&mut self, operation: Arithmetic, destination: Register, operand: impl Into<Operand>) {
        let (source_bit, source, immediate) = split(operand.into());
        self.push(CLASS_ALU64 | operation as u8 | source_bit, destination as u8, source, 0, immediate);
    }

    /// `destination = operand`.
    pub fn set(&mut self, destination: Register, operand: impl Into<Operand>) {
        self.arithmetic(Arithmetic::Move, destination, operand);
    }

    /// `destination = constant`, all 64 bits of it.
    pub fn set_wide(&mut self, destination: Register, constant: u64) {
        self.push(CODE_LOAD_WIDE, destination as u8, 0, 0, (constant as u32).cast_signed());
        self.push(0, 0, 0, 0, ((constant >> 32) as u32).cast_signed());
    }

    /// `destination` = the map behind a descriptor of this process.
    pub fn set_map(&mut self, destination: Register, map: std::os::fd::RawFd) {
        self.push(CODE_LOAD_WIDE, destination as u8, SOURCE_MAP_DESCRIPTOR, 0, map);
        self.push(0, 0, 0, 0, 0);
    }

    /// Turns the low 16 bits of a register from network order into the host's, and clears the rest.
    pub fn from_network_16(&mut self, register: Register) {
        self.push(CODE_TO_BIG_ENDIAN, register as u8, 0, 0, 16);
    }

    /// `destination` = what memory holds at `base + offset`, in the host's byte order.
    pub fn load(&mut self, width: Width, destination: Register, base: Register, offset: i16) {
        self.push(CLASS_LOAD_REGISTER | MODE_MEMORY | width as u8, destination as u8, base as u8, offset, 0);
    }

    /// `R0` = what the socket buffer in `R6` holds at `offset`, turned from network order. The program ends with 0 if
    /// there is no such byte.
    pub fn load_buffer(&mut self, width: Width, offset: i32) {
        self.push(CLASS_LOAD | MODE_ABSOLUTE | width as u8, 0, 0, 0, offset);
    }

    /// As [`load_buffer`](Self::load_buffer), at `index + offset`.
    pub fn load_buffer_at(&mut self, width: Width, index: Register, offset: i32) {
        self.push(CLASS_LOAD | MODE_INDIRECT | width as u8, 0, index as u8, 0, offset);
    }

    /// Goes on at `label`.
    pub fn jump(&mut self, label: Label) {
        self.jumps.push((self.instructions.len(), label));
        self.push(CODE_JUMP_ALWAYS, 0, 0, 0, 0);
    }

    /// Goes on at `label` if the comparison of all 64 bits holds.
    pub fn jump_if(&mut self, condition: Condition, first: Register, second: impl Into<Operand>, label: Label) {
        self.compare(CLASS_JUMP, condition, first, second.into(), label);
    }

    /// Goes on at `label` if the comparison of the low 32 bits holds.
    pub fn jump_if_32(&mut self, condition: Condition, first: Register, second: impl Into<Operand>, label: Label) {
        self.compare(CLASS_JUMP_32, condition, first, second.into(), label);
    }

    /// Calls a function of the kernel (`enum bpf_func_id`).
    pub fn call(&mut self, function: i32) {
        self.push(CODE_CALL, 0, 0, 0, function);
    }

    /// Ends the program with what `R0` holds.
    pub fn exit(&mut self) {
        self.push(CODE_EXIT, 0, 0, 0, 0);
    }

    /// The finished program, without the instructions that nothing leads to: the kernel's verifier refuses those.
    ///
    /// # Errors
    /// A jump leads nowhere, or too far.
    pub fn finish(self) -> Result<Vec<Instruction>, AssemblyError> {
        let mut targets = vec![None; self.instructions.len()];
        for (from, label) in self.jumps {
            targets[from] = Some(self.places[label.0].ok_or(AssemblyError::NoPlace(from))?);
        }
        let reached = reached(&self.instructions, &targets);
        // Where each instruction comes to stand.
        let places: Vec<usize> = reached
            .iter()
            .scan(0, |count, reached| {
                let place = *count;
                *count += usize::from(*reached);
                Some(place)
            })
            .collect();
        let mut instructions = Vec::with_capacity(places.len());
        for (from, mut instruction) in self.instructions.into_iter().enumerate().filter(|(from, _)| reached[*from]) {
            if let Some(target) = targets[from] {
                let to = *places.get(target).ok_or(AssemblyError::NoPlace(from))?;
                let distance = to.checked_signed_diff(places[from] + 1);
                instruction.offset =
                    distance.and_then(|distance| i16::try_from(distance).ok()).ok_or(AssemblyError::TooFar(from))?;
            }
            instructions.push(instruction);
        }
        Ok(instructions)
    }

    fn compare(&mut self, class: u8, condition: Condition, first: Register, second: Operand, label: Label) {
        let (source_bit, source, immediate) = split(second);
        self.jumps.push((self.instructions.len(), label));
        self.push(class | condition as u8 | source_bit, first as u8, source, 0, immediate);
    }

    fn push(&mut self, code: u8, destination: u8, source: u8, offset: i16, immediate: i32) {
        self.instructions.push(Instruction::new(code, destination, source, offset, immediate));
    }
}

/// Which instructions the first one leads to; `targets` is where the jumps lead.
fn reached(instructions: &[Instruction], targets: &[Option<usize>]) -> Vec<bool> {
    let mut reached = vec![false; instructions.len()];
    let mut open = vec![0];
    while let Some(at) = open.pop() {
        if at >= instructions.len() || std::mem::replace(&mut reached[at], true) {
            continue;
        }
        open.extend(targets[at]);
        if !matches!(instructions[at].code, CODE_EXIT | CODE_JUMP_ALWAYS) {
            open.push(at + 1);
        }
    }
    reached
}

/// The bit that says which kind of operand it is, the register, the constant.
fn split(operand: Operand) -> (u8, u8, i32) {
    match operand {
        Operand::Register(register) => (0x08, register as u8, 0),
        Operand::Immediate(constant) => (0, 0, constant),
    }
}

// RFC 9669, section 3 on: classes, modes, whole codes.
const CLASS_LOAD: u8 = 0x00;
const CLASS_LOAD_REGISTER: u8 = 0x01;
const CLASS_JUMP: u8 = 0x05;
const CLASS_JUMP_32: u8 = 0x06;
const CLASS_ALU64: u8 = 0x07;
const MODE_ABSOLUTE: u8 = 0x20;
const MODE_INDIRECT: u8 = 0x40;
const MODE_MEMORY: u8 = 0x60;
const CODE_LOAD_WIDE: u8 = 0x18;
const CODE_TO_BIG_ENDIAN: u8 = 0xdc;
const CODE_JUMP_ALWAYS: u8 = 0x05;
const CODE_CALL: u8 = 0x85;
const CODE_EXIT: u8 = 0x95;
/// `BPF_PSEUDO_MAP_FD`.
const SOURCE_MAP_DESCRIPTOR: u8 = 1;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::Register::{R0, R1, R2, R3, R6, R8};
    use super::*;

    fn bytes(instruction: Instruction) -> [u8; 8] {
        let mut bytes = [instruction.code, instruction.registers, 0, 0, 0, 0, 0, 0];
        bytes[2..4].copy_from_slice(&instruction.offset.to_le_bytes());
        bytes[4..].copy_from_slice(&instruction.immediate.to_le_bytes());
        bytes
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn instructions_are_as_the_standard_says() {
        let mut code = Assembler::new();
        code.set(R6, R1);
        code.set(R0, -2);
        code.set_wide(R3, 0x0123_4567_89ab_cdef);
        code.set_map(R1, 9);
        code.arithmetic(Arithmetic::Multiply, R2, R3);
        code.arithmetic(Arithmetic::ShiftRight, R2, 32);
        code.from_network_16(R2);
        code.load(Width::Double, R2, R8, -4);
        code.load_buffer(Width::Half, 12);
        code.load_buffer_at(Width::Byte, R8, 9);
        code.call(51);
        code.exit();
        let expected: [[u8; 8]; 14] = [
            [0xbf, 0x16, 0, 0, 0, 0, 0, 0],
            [0xb7, 0x00, 0, 0, 0xfe, 0xff, 0xff, 0xff],
            [0x18, 0x03, 0, 0, 0xef, 0xcd, 0xab, 0x89],
            [0x00, 0x00, 0, 0, 0x67, 0x45, 0x23, 0x01],
            [0x18, 0x11, 0, 0, 9, 0, 0, 0],
            [0x00, 0x00, 0, 0, 0, 0, 0, 0],
            [0x2f, 0x32, 0, 0, 0, 0, 0, 0],
            [0x77, 0x02, 0, 0, 32, 0, 0, 0],
            [0xdc, 0x02, 0, 0, 16, 0, 0, 0],
            [0x79, 0x82, 0xfc, 0xff, 0, 0, 0, 0],
            [0x28, 0x00, 0, 0, 12, 0, 0, 0],
            [0x50, 0x80, 0, 0, 9, 0, 0, 0],
            [0x85, 0x00, 0, 0, 51, 0, 0, 0],
            [0x95, 0x00, 0, 0, 0, 0, 0, 0],
        ];
        let written: Vec<[u8; 8]> = code.finish().unwrap().into_iter().map(bytes).collect();
        assert_eq!(written, expected);
    }

    #[test]
    fn jumps_lead_to_their_labels_both_ways_and_what_nothing_leads_to_is_left_out() {
        let mut code = Assembler::new();
        let (back, forth) = (code.label(), code.label());
        code.place(back);
        code.jump_if(Condition::Equal, R0, 5, forth);
        code.jump_if_32(Condition::Less, R0, R1, back);
        code.jump(back);
        code.set(R0, 0);
        code.place(forth);
        code.exit();
        let written = code.finish().unwrap();
        let offsets: Vec<i16> = written.iter().map(|instruction| instruction.offset).collect();
        assert_eq!(offsets, [2, -2, -3, 0]);
        let codes: Vec<u8> = written.iter().map(|instruction| instruction.code).collect();
        assert_eq!(codes, [0x15, 0xae, 0x05, 0x95]);
    }

    #[test]
    fn a_jump_that_cannot_be_is_refused() {
        let mut code = Assembler::new();
        let label = code.label();
        code.set(R0, 0);
        code.jump(label);
        assert_eq!(code.finish(), Err(AssemblyError::NoPlace(1)));

        for (between, expected) in [(32_767, true), (32_768, false)] {
            let mut code = Assembler::new();
            let label = code.label();
            code.jump_if(Condition::Equal, R0, 0, label);
            for _ in 0..between {
                code.set(R0, 1);
            }
            code.place(label);
            code.exit();
            assert_eq!(code.finish().is_ok(), expected, "{between}");
        }
    }
}
