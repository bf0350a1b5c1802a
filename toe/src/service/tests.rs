use super::character;

#[test]
fn lines_rotate_by_one_character() {
    let line = |number: u64| (0..74).map(|column| character(number * 74 + column)).collect::<Vec<u8>>();
    assert!(line(0).starts_with(b" !\"#$%&'()*+,-./0123456789"));
    assert!(line(1).starts_with(b"!\"#$"));
    assert_eq!(line(0)[72..], *b"\r\n");
    assert_eq!(line(95), line(0));
    assert!(line(40)[..72].iter().all(|byte| (0x20..0x7f).contains(byte)));
}
