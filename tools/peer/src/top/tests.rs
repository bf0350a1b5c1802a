#![allow(clippy::unwrap_used)]

use hpb_types::message::diagnose::Text;

use super::draw::{draw, page};
use super::*;
use crate::sessions::tests::row;

const SIZE: (usize, usize) = (150, 12);

fn snapshot(at_ms: u64, count: u32) -> Snapshot {
    let counter = CounterRow { name: Text::new("bytes sent"), value: at_ms * 3 };
    Snapshot { at_ms, rows: (0..count).map(row).collect(), counters: vec![vec![counter]] }
}

fn top(count: u32) -> Top {
    let mut top = Top::default();
    top.take(snapshot(1_000, count));
    top
}

fn press(top: &mut Top, keys: &[Key]) -> Option<Wish> {
    keys.iter().filter_map(|key| top.key(*key, page(SIZE.1))).last()
}

fn chars(text: &str) -> Vec<Key> {
    text.chars().map(Key::Char).collect()
}

#[test]
fn a_frame_has_the_screens_size_at_most_and_no_escapes_without_a_terminal() {
    let top = top(10_000);
    for (width, height) in [(150, 12), (20, 5), (1, 1), (400, 100)] {
        let frame = draw(&top, (width, height), false);
        assert!(frame.lines().count() <= height && frame.lines().all(|line| line.chars().count() <= width));
        assert!(!frame.contains('\x1b'));
    }
    let frame = draw(&top, SIZE, true);
    assert_eq!(frame.lines().count(), 12);
    assert!(
        frame.contains("sessions 10000  open 10000") && frame.contains("outv") && frame.contains("\x1b[7m0.9999.0")
    );
}

#[test]
fn the_choice_moves_within_the_table_and_the_page_follows() {
    let mut top = top(100);
    press(&mut top, &[Key::Up, Key::Down, Key::PageDown]);
    assert_eq!(top.chosen, 1 + page(SIZE.1));
    assert!(draw(&top, SIZE, true).contains("\x1b[7m0.91.0"), "sorted by what was sent");
    press(&mut top, &[Key::End]);
    assert!(draw(&top, SIZE, true).contains("\x1b[7m0.0.0"));
    press(&mut top, &[Key::Home, Key::PageUp]);
    assert_eq!(top.chosen, 0);
}

#[test]
fn columns_go_round_and_the_choice_stays_with_its_session() {
    let mut top = top(50);
    press(&mut top, &[Key::Down, Key::Down]);
    let chosen = top.shown[top.chosen].session;
    press(&mut top, &[Key::Char('r')]);
    assert_eq!((top.shown[0].session.index, top.shown[top.chosen].session), (0, chosen));
    let before = top.column;
    press(&mut top, &[Key::Char('>'), Key::Function(6), Key::Char('<'), Key::Char('<')]);
    assert_eq!(top.column, before);
    for _ in 0..Column::ALL.len() {
        press(&mut top, &[Key::Char('<')]);
    }
    assert_eq!(top.column, before);
}

#[test]
fn a_filter_is_typed_kept_and_lifted() {
    let mut top = top(100);
    press(&mut top, &[&[Key::Char('/')][..], &chars("validatorx"), &[Key::Backspace]].concat());
    assert_eq!(top.shown.len(), 20);
    assert!(draw(&top, SIZE, false).contains("filter: validator_"));
    press(&mut top, &[Key::Enter, Key::Char('q')]);
    assert_eq!(top.shown.len(), 20);
    press(&mut top, &[Key::Function(4), Key::Escape]);
    assert_eq!(top.shown.len(), 100);
}

#[test]
fn nothing_is_done_to_a_session_without_a_second_word() {
    let mut top = top(10);
    assert_eq!(press(&mut top, &chars("kn")), None);
    let session = top.shown[0].session;
    assert_eq!(press(&mut top, &chars("k")), None);
    assert!(draw(&top, SIZE, false).contains("disconnect 0.9.0? y/n"));
    assert_eq!(press(&mut top, &chars("y")), Some(Wish::Disconnect(session)));
    let Some(Wish::Ban(who)) = press(&mut top, &chars("by")) else { panic!("no ban") };
    assert_eq!(who.to_string(), "10.0.0.9", "it has no identity");
    assert_eq!(press(&mut top, &chars("q")), Some(Wish::Quit));
    let mut empty = Top::default();
    assert_eq!(press(&mut empty, &chars("ky")), None);
}

#[test]
fn rates_are_a_second_and_a_frozen_view_stays() {
    let mut top = top(10);
    top.take(snapshot(3_000, 20));
    assert_eq!((top.rates.tx_bytes, top.shown.len()), (3_000, 20));
    press(&mut top, &chars(" "));
    top.take(snapshot(4_000, 30));
    assert!(top.is_frozen() && top.shown.len() == 20 && draw(&top, SIZE, false).contains("FROZEN"));
    press(&mut top, &chars(" "));
    top.take(snapshot(5_000, 0));
    assert_eq!((top.shown.len(), top.chosen), (0, 0));
}
