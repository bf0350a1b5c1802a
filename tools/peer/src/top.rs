//! `hpb peer top`: the session table as it lives, sorted, filtered and scrolled. A machine: snapshots and keys in, what the
//! operator wishes out; it draws from the last snapshot alone, so that no key asks the node for anything.

pub mod draw;
pub mod keys;

use std::cmp::Ordering;

use hpb_types::message::diagnose::{Banned, CounterRow, Network, SessionName, SessionRow};

use crate::sessions::{Column, has_text, sort};
use keys::Key;

/// How long a filter may be.
const FILTER_LEN_MAX: usize = 64;

/// What a node showed at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// When, in milliseconds of the onlooker's clock.
    pub at_ms: u64,
    /// Its sessions.
    pub rows: Vec<SessionRow>,
    /// Each lane's counters.
    pub counters: Vec<Vec<CounterRow>>,
}

/// What the keys are for now.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Mode {
    /// Looking.
    Table,
    /// Typing a filter.
    Filter,
    /// Whether that shall be done.
    Confirm(Wish),
}

/// What the operator wishes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wish {
    /// To go.
    Quit,
    /// To end a session.
    Disconnect(SessionName),
    /// To keep a session's peer out: its identity, or its address where it has none.
    Ban(Banned),
}

/// What is counted a second.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Rates {
    pub(crate) rx_bytes: u64,
    pub(crate) tx_bytes: u64,
    pub(crate) rx_segments: u64,
    pub(crate) tx_segments: u64,
    pub(crate) again: u64,
}

/// The view. See the module.
pub struct Top {
    snapshot: Snapshot,
    /// What passes the filter, in order.
    shown: Vec<SessionRow>,
    rates: Rates,
    column: Column,
    reversed: bool,
    filter: String,
    mode: Mode,
    is_frozen: bool,
    /// Which row is chosen.
    chosen: usize,
    /// What became of the last wish.
    said: String,
}

impl Default for Top {
    fn default() -> Self {
        Self::new(Column::Sent)
    }
}

impl Top {
    /// A view without rows yet, sorted by `column`.
    pub fn new(column: Column) -> Self {
        Self {
            snapshot: Snapshot::default(),
            shown: Vec::new(),
            rates: Rates::default(),
            column,
            reversed: false,
            filter: String::new(),
            mode: Mode::Table,
            is_frozen: false,
            chosen: 0,
            said: String::new(),
        }
    }

    /// Whether it wants no snapshots.
    pub fn is_frozen(&self) -> bool {
        self.is_frozen
    }

    /// Takes a snapshot.
    pub fn take(&mut self, snapshot: Snapshot) {
        if self.is_frozen {
            return;
        }
        self.rates = rates(&self.snapshot, &snapshot);
        self.snapshot = snapshot;
        self.arrange();
    }

    /// Has a line shown: what became of a wish.
    pub fn say(&mut self, line: &str) {
        line.clone_into(&mut self.said);
    }

    /// Takes a key, on a screen of so many rows of the table.
    pub fn key(&mut self, key: Key, page: usize) -> Option<Wish> {
        if key == Key::Interrupt {
            return Some(Wish::Quit);
        }
        match self.mode.clone() {
            Mode::Table => return self.table_key(key, page),
            Mode::Filter => self.filter_key(key),
            Mode::Confirm(wish) => {
                self.mode = Mode::Table;
                if matches!(key, Key::Char('y' | 'Y')) {
                    return Some(wish);
                }
                self.say("left as it is");
            }
        }
        None
    }

    fn table_key(&mut self, key: Key, page: usize) -> Option<Wish> {
        let last = self.shown.len().saturating_sub(1);
        match key {
            Key::Char('q') | Key::Function(10) => return Some(Wish::Quit),
            Key::Up => self.chosen = self.chosen.saturating_sub(1),
            Key::Down => self.chosen = (self.chosen + 1).min(last),
            Key::PageUp => self.chosen = self.chosen.saturating_sub(page),
            Key::PageDown => self.chosen = (self.chosen + page).min(last),
            Key::Home => self.chosen = 0,
            Key::End => self.chosen = last,
            Key::Char('<' | ',') => self.turn(Column::ALL.len() - 1),
            Key::Char('>' | '.') | Key::Function(6) => self.turn(1),
            Key::Char('r' | 'I') => {
                self.reversed = !self.reversed;
                self.arrange();
            }
            Key::Char('/') | Key::Function(4) => self.mode = Mode::Filter,
            Key::Char(' ') => self.is_frozen = !self.is_frozen,
            Key::Char('k') => self.confirm(|row| Some(Wish::Disconnect(row.session))),
            Key::Char('b') => self.confirm(|row| ban_of(row).map(Wish::Ban)),
            _ => {}
        }
        None
    }

    fn filter_key(&mut self, key: Key) {
        match key {
            Key::Enter => self.mode = Mode::Table,
            Key::Escape => {
                self.mode = Mode::Table;
                self.filter.clear();
            }
            Key::Backspace => {
                self.filter.pop();
            }
            Key::Char(letter) if self.filter.len() < FILTER_LEN_MAX => self.filter.push(letter),
            _ => {}
        }
        self.arrange();
    }

    /// Asks whether that shall be done to the chosen row.
    fn confirm(&mut self, wish: impl Fn(&SessionRow) -> Option<Wish>) {
        if let Some(wish) = self.shown.get(self.chosen).and_then(wish) {
            self.mode = Mode::Confirm(wish);
        }
    }

    /// Sorts by the column that is so many further.
    fn turn(&mut self, by: usize) {
        let at = Column::ALL.iter().position(|column| *column == self.column).unwrap_or(0);
        self.column = Column::ALL[(at + by) % Column::ALL.len()];
        self.arrange();
    }

    /// Filters and sorts anew; the choice stays with its session.
    fn arrange(&mut self) {
        let chosen = self.shown.get(self.chosen).map(|row| row.session);
        let rows = self.snapshot.rows.iter().filter(|row| self.filter.is_empty() || has_text(row, &self.filter));
        self.shown = rows.cloned().collect();
        sort(&mut self.shown, self.column, self.reversed);
        let found = chosen.filter(|_| self.chosen > 0);
        let found = found.and_then(|name| self.shown.iter().position(|row| row.session.cmp(&name) == Ordering::Equal));
        self.chosen = found.unwrap_or(self.chosen).min(self.shown.len().saturating_sub(1));
    }
}

/// Whom a ban of a session's peer keeps out.
fn ban_of(row: &SessionRow) -> Option<Banned> {
    let address = || {
        let address = row.remote.socket().ip();
        Network::new(address, if address.is_ipv4() { 32 } else { 128 }).map(Banned::Network)
    };
    row.peer.key().map(Banned::Identity).or_else(address)
}

/// What was counted a second from one snapshot to the next.
fn rates(before: &Snapshot, now: &Snapshot) -> Rates {
    let span_ms = now.at_ms.saturating_sub(before.at_ms);
    if before.counters.is_empty() || span_ms == 0 {
        return Rates::default();
    }
    let sum = |snapshot: &Snapshot, name: &str| -> u64 {
        snapshot.counters.iter().flatten().filter(|row| row.name.0 == name).map(|row| row.value).sum()
    };
    let a_second = |name: &str| sum(now, name).saturating_sub(sum(before, name)).saturating_mul(1_000) / span_ms;
    Rates {
        rx_bytes: a_second("bytes received"),
        tx_bytes: a_second("bytes sent"),
        rx_segments: a_second("segments received"),
        tx_segments: a_second("segments sent"),
        again: a_second("segments sent again"),
    }
}

#[cfg(test)]
mod tests;
