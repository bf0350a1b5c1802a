//! `hpb peer sessions`: the session table of a node, page by page, filtered, sorted and laid out.

use std::cmp::Ordering;
use std::fmt::Write as _;

use hpb_types::message::diagnose::{Ask, SessionFilter, SessionRow, SessionsAsked, SessionsPage, Tell};
use serde::Serialize;

use crate::ask::{AskError, Asker};

/// Rows of one page: what a lane gives in one turn.
const PAGE_ROWS: u16 = hpb_base::limits::SESSION_ROWS_MAX as u16;

/// Pages that are asked for at a time: fewer than a lane's link holds questions, so that others find room too.
const PAGES_AT_A_TIME: u32 = 6;

/// Reads the session table of every lane, several pages at a time where there are several.
///
/// # Errors
/// The first question that is not answered.
pub fn read(asker: &mut dyn Asker, filter: SessionFilter) -> Result<Vec<SessionRow>, AskError> {
    let (mut rows, mut lane) = (Vec::new(), 0);
    loop {
        let lanes = read_lane(asker, lane, filter, &mut rows)?;
        lane += 1;
        if lane >= lanes {
            return Ok(rows);
        }
    }
}

/// Reads the session table of one lane; returns how many lanes there are.
fn read_lane(
    asker: &mut dyn Asker,
    lane: u16,
    filter: SessionFilter,
    rows: &mut Vec<SessionRow>,
) -> Result<u16, AskError> {
    let (mut begin, mut pages, mut pages_max) = (0, 1, PAGES_AT_A_TIME);
    loop {
        // A page has looked at as many places as it may have rows, at least: the next one can begin there.
        let starts: Vec<u32> = (0..pages).map(|page| begin + page * u32::from(PAGE_ROWS)).collect();
        let asked = starts.iter().map(|from| SessionsAsked { lane, from: *from, most: PAGE_ROWS, filter });
        let told = asker.ask_all(asked.map(Ask::Sessions).collect())?;
        if told.len() != starts.len() {
            return Err(AskError::Unexpected);
        }
        for (at, told) in told.into_iter().enumerate() {
            let Tell::Sessions(page) = told else { return Err(AskError::Unexpected) };
            let next_start = starts.get(at + 1).copied();
            if page.next == SessionsPage::END {
                rows.extend(page.rows);
                return Ok(page.lanes);
            }
            // A node that never comes to an end is not followed.
            if page.next <= starts[at] {
                return Err(AskError::Unexpected);
            }
            if next_start.is_some_and(|start| page.next < start) {
                // Its pages are shorter than ours: one after the other.
                rows.extend(page.rows);
                (begin, pages, pages_max) = (page.next, 1, 1);
                break;
            }
            // What lies behind the next page's beginning is that one's.
            rows.extend(page.rows.into_iter().filter(|row| next_start.is_none_or(|start| row.session.index < start)));
            begin = page.next;
            pages = page.held.div_ceil(PAGE_ROWS.into()).clamp(1, pages_max);
        }
    }
}

/// What rows can be sorted by, and what a table shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Column {
    /// The session's name.
    Session,
    /// The peer's end.
    Remote,
    /// The TCP state.
    State,
    /// The class.
    Class,
    /// The smoothed round trip.
    RoundTrip,
    /// The congestion window.
    Window,
    /// Bytes in flight.
    Flight,
    /// Bytes that wait.
    Queue,
    /// Segments sent again.
    Again,
    /// Payload bytes received.
    Received,
    /// Payload bytes sent.
    Sent,
    /// Since its SYN.
    Age,
    /// Since the last data came.
    Silent,
}

impl Column {
    /// Every column, in the order of the table.
    pub const ALL: [Self; 13] = [
        Self::Session,
        Self::Remote,
        Self::State,
        Self::Class,
        Self::RoundTrip,
        Self::Window,
        Self::Flight,
        Self::Queue,
        Self::Again,
        Self::Received,
        Self::Sent,
        Self::Age,
        Self::Silent,
    ];

    /// Its head in tables and its name for options.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Remote => "peer",
            Self::State => "state",
            Self::Class => "class",
            Self::RoundTrip => "rtt",
            Self::Window => "cwnd",
            Self::Flight => "flight",
            Self::Queue => "queue",
            Self::Again => "again",
            Self::Received => "in",
            Self::Sent => "out",
            Self::Age => "age",
            Self::Silent => "silent",
        }
    }

    /// The column of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|column| column.name() == name)
    }

    /// Whether its largest values are wanted first.
    pub const fn is_amount(self) -> bool {
        !matches!(self, Self::Session | Self::Remote | Self::State | Self::Class)
    }

    fn compare(self, first: &SessionRow, second: &SessionRow) -> Ordering {
        match self {
            Self::Session => first.session.cmp(&second.session),
            Self::Remote => first.remote.cmp(&second.remote),
            Self::State => first.state.cmp(&second.state),
            Self::Class => first.class.cmp(&second.class),
            _ => self.amount(first).cmp(&self.amount(second)),
        }
    }

    fn amount(self, row: &SessionRow) -> u64 {
        match self {
            Self::Session | Self::Remote | Self::State | Self::Class => 0,
            Self::RoundTrip => row.round_trip_us.into(),
            Self::Window => row.congestion_window_len.into(),
            Self::Flight => row.in_flight_len.into(),
            Self::Queue => row.queue_len.into(),
            Self::Again => row.retransmitted.into(),
            Self::Received => row.rx_bytes,
            Self::Sent => row.tx_bytes,
            Self::Age => row.age_ms,
            Self::Silent => row.last_data_ms,
        }
    }

    /// The cell of a row, with its unit.
    pub fn cell(self, row: &SessionRow) -> String {
        match self {
            Self::Session => row.session.to_string(),
            Self::Remote => row.remote.to_string(),
            Self::State => row.state.to_string(),
            Self::Class => row.class.to_string(),
            Self::RoundTrip if row.round_trip_us == 0 => "-".to_owned(),
            Self::RoundTrip => micros(row.round_trip_us.into()),
            Self::Window | Self::Flight | Self::Queue | Self::Received | Self::Sent => bytes(self.amount(row)),
            Self::Again => row.retransmitted.to_string(),
            Self::Age | Self::Silent => millis(self.amount(row)),
        }
    }
}

/// Sorts rows by a column, amounts with the largest first; `reversed` turns that round. Equal rows stay in the order of
/// their names.
pub fn sort(rows: &mut [SessionRow], column: Column, reversed: bool) {
    rows.sort_by(|first, second| {
        let order = column.compare(first, second);
        let order = if column.is_amount() == reversed { order } else { order.reverse() };
        order.then(first.session.cmp(&second.session))
    });
}

/// Whether a row's cells or its peer's identity hold the text.
pub fn has_text(row: &SessionRow, text: &str) -> bool {
    let in_cell = [Column::Session, Column::Remote, Column::State, Column::Class];
    in_cell.iter().any(|column| column.cell(row).to_lowercase().contains(&text.to_lowercase()))
        || row.peer.key().is_some_and(|key| key.to_hex().starts_with(&text.to_lowercase()))
}

/// Bytes as people read them: at most four digits and a unit.
pub fn bytes(len: u64) -> String {
    match len {
        0..10_240 => format!("{len} B"),
        10_240..10_485_760 => format!("{} KiB", len >> 10),
        10_485_760..10_737_418_240 => format!("{} MiB", len >> 20),
        _ => format!("{} GiB", len >> 30),
    }
}

/// A time of microseconds as people read it.
pub fn micros(us: u64) -> String {
    match us {
        0..10_000 => format!("{us} us"),
        10_000..10_000_000 => format!("{} ms", us / 1_000),
        _ => format!("{} s", us / 1_000_000),
    }
}

/// A time of milliseconds as people read it.
pub fn millis(ms: u64) -> String {
    match ms {
        0..10_000 => format!("{ms} ms"),
        10_000..600_000 => format!("{} s", ms / 1_000),
        600_000..36_000_000 => format!("{} min", ms / 60_000),
        _ => format!("{} h", ms / 3_600_000),
    }
}

/// Rows as lines, columns aligned.
pub(crate) fn aligned(heads: &[&str], rows: &[Vec<String>]) -> String {
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).chain([heads[at].len()]).max().unwrap_or(0);
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let mut text = String::new();
    let heads: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
    for row in [&heads].into_iter().chain(rows) {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// The table, and under it what to make of it.
pub fn text(rows: &[SessionRow]) -> String {
    let heads = Column::ALL.map(Column::name);
    let cells: Vec<Vec<String>> = rows.iter().map(|row| Column::ALL.map(|column| column.cell(row)).to_vec()).collect();
    format!("{}\n{}", aligned(&heads, &cells), explanation(rows))
}

/// What the rows say together, in plain words.
fn explanation(rows: &[SessionRow]) -> String {
    let count = |is: fn(&SessionRow) -> bool| rows.iter().filter(|row| is(row)).count();
    let open = count(|row| row.has(SessionRow::OPEN));
    let queued = count(|row| row.queue_len > 0);
    let again = count(|row| row.retransmitted > 0);
    let mut text = format!("{} sessions, {open} of them open.", rows.len());
    if queued > 0 {
        let _ = write!(text, " {queued} have bytes waiting in their queue: their peers take less than they are sent.");
    }
    if again > 0 {
        let _ = write!(text, " {again} had segments sent again: something on their way loses packets.");
    }
    text.push('\n');
    text
}

/// The table in the layout of the original card's entry: its fields, in its widths, hexadecimal where it had registers.
pub fn original(rows: &[SessionRow]) -> String {
    let heads = [
        "valid",
        "ack",
        "fin",
        "rst",
        "wscale",
        "ooo",
        "last_s",
        "peer_ip",
        "port",
        "peer_mac",
        "isn",
        "next_seq",
        "last_ack",
        "peer_win",
        "dup_tx",
        "dup_rx",
        "local_win",
    ];
    let flag = |is_set: bool| u8::from(is_set).to_string();
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let remote = row.remote.socket();
            let mac = row.hardware.map(|byte| format!("{byte:02x}")).join(":");
            vec![
                flag(true),
                flag(row.has(SessionRow::ACK_SEEN)),
                flag(row.has(SessionRow::FIN_SEEN)),
                flag(row.has(SessionRow::RST_SEEN)),
                row.window_scale.min(15).to_string(),
                row.out_of_order.to_string(),
                (row.last_data_ms / 1_000).min(u64::from(u16::MAX)).to_string(),
                remote.ip().to_string(),
                remote.port().to_string(),
                mac,
                format!("{:08x}", row.initial_sequence),
                format!("{:08x}", row.next_sequence),
                format!("{:08x}", row.last_ack),
                format!("{:04x}", row.peer_window),
                row.duplicate_acks_sent.min(15).to_string(),
                row.duplicate_acks_received.min(15).to_string(),
                format!("{:02x}", row.local_window >> 8),
            ]
        })
        .collect();
    let note = "The entry of the original card's session table: flags 1 bit, wscale and dup 4, ooo 8, last_s 16 (seconds \
                since the last data), local_win 8 (its upper half).";
    format!("{}\n{note}\n", aligned(&heads, &cells))
}

/// A row for programs: units in the names.
#[derive(Serialize, Debug)]
pub struct SessionJson {
    session: String,
    remote: String,
    local: String,
    state: &'static str,
    class: &'static str,
    peer: Option<String>,
    open: bool,
    encrypted: bool,
    called: bool,
    round_trip_us: Option<u32>,
    variation_us: u32,
    congestion_window_len: u32,
    in_flight_len: u32,
    queue_len: u32,
    retransmitted_count: u32,
    out_of_order_count: u8,
    rx_bytes: u64,
    tx_bytes: u64,
    rx_messages: u32,
    tx_messages: u32,
    shed_messages: u32,
    age_ms: u64,
    last_data_ms: u64,
}

impl SessionJson {
    /// The row of a session.
    pub fn of(row: &SessionRow) -> Self {
        Self {
            session: row.session.to_string(),
            remote: row.remote.to_string(),
            local: row.local.to_string(),
            state: row.state.name(),
            class: row.class.name(),
            peer: row.peer.key().map(|key| key.to_hex()),
            open: row.has(SessionRow::OPEN),
            encrypted: row.has(SessionRow::ENCRYPTED),
            called: row.has(SessionRow::CALLED),
            round_trip_us: (row.round_trip_us > 0).then_some(row.round_trip_us),
            variation_us: row.variation_us,
            congestion_window_len: row.congestion_window_len,
            in_flight_len: row.in_flight_len,
            queue_len: row.queue_len,
            retransmitted_count: row.retransmitted,
            out_of_order_count: row.out_of_order,
            rx_bytes: row.rx_bytes,
            tx_bytes: row.tx_bytes,
            rx_messages: row.rx_messages,
            tx_messages: row.tx_messages,
            shed_messages: row.shed_messages,
            age_ms: row.age_ms,
            last_data_ms: row.last_data_ms,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
