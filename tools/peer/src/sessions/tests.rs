#![allow(clippy::unwrap_used)]

use hpb_types::message::diagnose::{Endpoint, PeerKey, SessionClass, SessionName, SessionState};

use super::*;

/// A row whose amounts follow from its number.
pub(crate) fn row(index: u32) -> SessionRow {
    SessionRow {
        session: SessionName { lane: 0, index, generation: 0 },
        remote: Endpoint::of(([10, 0, 0, (index % 250) as u8], 7_000).into()),
        local: Endpoint::of(([10, 9, 0, 1], 7_000).into()),
        hardware: [2, 0, 0, 0, 0, 9],
        state: SessionState::Established,
        class: if index.is_multiple_of(5) { SessionClass::Validator } else { SessionClass::Terminal },
        peer: PeerKey::Unknown,
        flags: SessionRow::OPEN | SessionRow::ACK_SEEN,
        window_scale: 7,
        out_of_order: 0,
        last_data_ms: 1_250,
        initial_sequence: 0x0102_0304,
        next_sequence: 5,
        last_ack: 6,
        peer_window: 501,
        duplicate_acks_sent: 1,
        duplicate_acks_received: 2,
        local_window: 2_048,
        congestion_window_len: 14_600,
        in_flight_len: 0,
        queue_len: 0,
        round_trip_us: index * 7 % 100,
        variation_us: 3,
        retransmitted: 0,
        rx_bytes: 10_000,
        tx_bytes: u64::from(index) * 1_000,
        rx_messages: 0,
        tx_messages: 0,
        shed_messages: 0,
        age_ms: 5_000,
    }
}

/// A lane whose table has rows at these places, in pages of at most `most` rows and twice as many places.
struct Table {
    places: Vec<u32>,
    len: u32,
    most: u32,
    asked: usize,
    at_once: usize,
}

impl Asker for Table {
    fn ask(&mut self, what: Ask) -> Result<Tell, AskError> {
        let Ask::Sessions(SessionsAsked { from, most, .. }) = what else { panic!("{what:?}") };
        self.asked += 1;
        let most = self.most.min(most.into());
        let seen = self.places.iter().filter(|place| **place >= from && **place < from + 2 * most);
        let told: Vec<u32> = seen.take(most as usize).copied().collect();
        let next = if told.len() == most as usize { told[told.len() - 1] + 1 } else { from + 2 * most };
        let next = if next >= self.len { SessionsPage::END } else { next };
        let rows = told.into_iter().map(row).collect();
        Ok(Tell::Sessions(SessionsPage { lanes: 1, next, held: self.places.len() as u32, rows }))
    }

    fn ask_all(&mut self, asks: Vec<Ask>) -> Result<Vec<Tell>, AskError> {
        self.at_once = self.at_once.max(asks.len());
        asks.into_iter().map(|what| self.ask(what)).collect()
    }
}

#[test]
fn a_long_table_is_read_several_pages_at_a_time_and_each_row_once() {
    for (every, most, at_once) in [(1, 256, 6), (3, 256, 6), (50, 256, 1), (1, 100, 6)] {
        let places: Vec<u32> = (0..10_000).step_by(every).collect();
        let mut table = Table { places: places.clone(), len: 10_000, most, asked: 0, at_once: 0 };
        let rows = read(&mut table, SessionFilter::ALL).unwrap();
        let found: Vec<u32> = rows.iter().map(|row| row.session.index).collect();
        assert_eq!(found, places, "one of {every}, {most} a page");
        assert_eq!(table.at_once, at_once);
        assert!(table.asked <= 10_000 / most as usize + 12, "{} questions", table.asked);
    }
}

/// A card that gives pages of two rows from two lanes.
struct Pages {
    loops: bool,
}

impl Asker for Pages {
    fn ask(&mut self, what: Ask) -> Result<Tell, AskError> {
        let Ask::Sessions(SessionsAsked { lane, from, .. }) = what else { panic!("{what:?}") };
        let rows = (from..from + 2)
            .map(|index| SessionRow { session: SessionName { lane, index, generation: 0 }, ..row(index) });
        let next = if self.loops {
            from
        } else if from >= 4 {
            SessionsPage::END
        } else {
            from + 2
        };
        Ok(Tell::Sessions(SessionsPage { lanes: 2, next, held: 6, rows: rows.collect() }))
    }
}

#[test]
fn all_pages_of_all_lanes_are_read_and_a_circle_is_left() {
    let rows = read(&mut Pages { loops: false }, SessionFilter::ALL).unwrap();
    let names: Vec<String> = rows.iter().map(|row| row.session.to_string()).collect();
    assert_eq!(names.len(), 12);
    assert_eq!((names[0].as_str(), names[5].as_str(), names[6].as_str()), ("0.0.0", "0.5.0", "1.0.0"));
    assert!(matches!(read(&mut Pages { loops: true }, SessionFilter::ALL), Err(AskError::Unexpected)));
}

#[test]
fn amounts_come_largest_first_and_names_in_order() {
    let mut rows: Vec<SessionRow> = (0..10).rev().map(row).collect();
    let order = |rows: &[SessionRow]| rows.iter().map(|row| row.session.index).collect::<Vec<_>>();
    sort(&mut rows, Column::Sent, false);
    assert_eq!(order(&rows), [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
    sort(&mut rows, Column::Sent, true);
    assert_eq!(order(&rows)[..3], [0, 1, 2]);
    sort(&mut rows, Column::Class, false);
    assert_eq!(order(&rows)[..4], [0, 5, 1, 2], "equal ones by their names");
    for column in Column::ALL {
        assert_eq!(Column::by_name(column.name()), Some(column));
        sort(&mut rows, column, false);
    }
}

#[test]
fn a_text_is_looked_for_in_what_names_a_session() {
    let rows: Vec<SessionRow> = (0..20).map(row).collect();
    let found = |text: &str| rows.iter().filter(|row| has_text(row, text)).count();
    assert_eq!((found("VALIDATOR"), found("10.0.0.7:"), found("fin-wait"), found("")), (4, 1, 0, 20));
}

#[test]
fn tables_have_a_line_a_row_and_say_what_they_mean() {
    let mut rows: Vec<SessionRow> = (0..3).map(row).collect();
    rows[1].queue_len = 99_000;
    rows[2].retransmitted = 4;
    let text = text(&rows);
    assert_eq!(text.lines().count(), 1 + 3 + 1 + 1);
    assert!(text.contains("96 KiB") && text.contains("3 sessions, 3 of them open."), "{text}");
    assert!(text.contains("1 have bytes waiting") && text.contains("1 had segments sent again"), "{text}");
    let original = original(&rows);
    assert!(original.contains("01020304") && original.contains("02:00:00:00:00:09"), "{original}");
    assert!(serde_json::to_string(&SessionJson::of(&rows[1])).unwrap().contains("\"queue_len\":99000"));
}

#[test]
fn units_suit_their_values() {
    assert_eq!((bytes(10_239), bytes(10_240)), ("10239 B".to_owned(), "10 KiB".to_owned()));
    assert_eq!((micros(812), micros(81_200)), ("812 us".to_owned(), "81 ms".to_owned()));
    assert_eq!((millis(9_999), millis(700_000)), ("9999 ms".to_owned(), "11 min".to_owned()));
}
