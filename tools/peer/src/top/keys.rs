//! Keys from a terminal's bytes. What is no key that is known here is passed over.

/// A key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Key {
    /// A character.
    Char(char),
    /// Arrow up.
    Up,
    /// Arrow down.
    Down,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// To the first row.
    Home,
    /// To the last row.
    End,
    /// Enter.
    Enter,
    /// Escape.
    Escape,
    /// Backspace.
    Backspace,
    /// A function key.
    Function(u8),
    /// Ctrl-C.
    Interrupt,
}

/// The keys of a terminal's bytes, as they were read at once.
pub fn keys(mut bytes: &[u8]) -> Vec<Key> {
    let mut keys = Vec::new();
    while let [first, rest @ ..] = bytes {
        bytes = rest;
        match first {
            0x1b if matches!(rest, [b'[' | b'O', ..]) => {
                let (key, len) = sequence(&rest[1..]);
                keys.extend(key);
                bytes = &rest[1 + len..];
            }
            0x1b => keys.push(Key::Escape),
            0x03 => keys.push(Key::Interrupt),
            b'\r' | b'\n' => keys.push(Key::Enter),
            0x7f | 0x08 => keys.push(Key::Backspace),
            0x20..0x7f => keys.push(Key::Char(char::from(*first))),
            _ => {}
        }
    }
    keys
}

/// What follows the introducer of a control sequence (ECMA-48), and how long it is.
fn sequence(bytes: &[u8]) -> (Option<Key>, usize) {
    let Some(end) = bytes.iter().position(|byte| (0x40..0x7f).contains(byte)) else { return (None, bytes.len()) };
    let key = match &bytes[..=end] {
        [.., b'A'] => Some(Key::Up),
        [.., b'B'] => Some(Key::Down),
        b"5~" => Some(Key::PageUp),
        b"6~" => Some(Key::PageDown),
        b"H" | b"1~" => Some(Key::Home),
        b"F" | b"4~" => Some(Key::End),
        b"S" | b"14~" => Some(Key::Function(4)),
        b"17~" => Some(Key::Function(6)),
        b"21~" => Some(Key::Function(10)),
        _ => None,
    };
    (key, end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_from_what_terminals_send() {
        let read = keys(b"q\x1b[A\x1bOB\x1b[5~\x1b[6~\x1bOS\x1b[17~/\x7f\r\x1b[21~\x1b[99;9~x\x01\x03");
        let expected = [
            Key::Char('q'),
            Key::Up,
            Key::Down,
            Key::PageUp,
            Key::PageDown,
            Key::Function(4),
            Key::Function(6),
            Key::Char('/'),
            Key::Backspace,
            Key::Enter,
            Key::Function(10),
            Key::Char('x'),
            Key::Interrupt,
        ];
        assert_eq!(read, expected);
        assert_eq!(keys(b"\x1b"), [Key::Escape]);
        assert_eq!(keys(b"\x1b[12"), [], "a sequence that is cut off");
    }
}
