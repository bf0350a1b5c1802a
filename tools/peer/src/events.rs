//! `hpb peer events`: what was notable on a node's lanes, once or as it comes.

use std::fmt::Write as _;

use hpb_types::message::diagnose::{Ask, EventRow, SessionName, Tell};
use serde::Serialize;

use crate::ask::{AskError, Asker};
use crate::sessions::millis;

/// Where a watcher stands on each lane.
#[derive(Clone, Default, Debug)]
pub struct Watch {
    after: Vec<u64>,
}

/// Events that were read at once.
#[derive(Debug, Default)]
pub struct News {
    /// The events, lane by lane, oldest first.
    pub rows: Vec<EventRow>,
    /// Events that the lanes keep no more.
    pub lost: u64,
}

impl Watch {
    /// What is new since the last time.
    ///
    /// # Errors
    /// The first question that is not answered.
    pub fn read(&mut self, asker: &mut dyn Asker) -> Result<News, AskError> {
        let (mut news, mut lane) = (News::default(), 0);
        loop {
            if self.after.len() == lane {
                self.after.push(0);
            }
            let ask = Ask::Events { lane: lane as u16, after: self.after[lane] };
            let Tell::Events(page) = asker.ask(ask)? else { return Err(AskError::Unexpected) };
            news.lost += page.lost;
            match page.rows.last() {
                Some(last) if last.number > self.after[lane] => self.after[lane] = last.number,
                Some(_) => return Err(AskError::Unexpected),
                None => {
                    lane += 1;
                    if lane >= usize::from(page.lanes) {
                        return Ok(news);
                    }
                }
            }
            news.rows.extend(page.rows);
        }
    }
}

/// One event as a line.
pub fn line(row: &EventRow) -> String {
    let has_session = row.session.index != SessionName::NONE;
    let session = if has_session { row.session.to_string() } else { "-".to_owned() };
    let remote = if has_session { row.remote.to_string() } else { "-".to_owned() };
    let peer = row.peer.key().map(|key| key.to_hex()).unwrap_or_default();
    let ago = millis(row.ago_ms);
    let line = format!("{ago:>8} ago  {:8}  {session:12}  {remote:22}  {}  {peer}", row.kind, row.reason);
    format!("{}\n", line.trim_end())
}

/// The events as lines, and what is missing of them.
pub fn text(news: &News) -> String {
    let mut text: String = news.rows.iter().map(line).collect();
    if news.lost > 0 {
        let _ = writeln!(text, "{} older events are kept no more.", news.lost);
    }
    text
}

/// An event for programs.
#[derive(Serialize, Debug)]
pub struct EventJson {
    lane: u16,
    number: u64,
    ago_ms: u64,
    kind: String,
    session: Option<String>,
    remote: Option<String>,
    peer: Option<String>,
    reason: String,
}

impl EventJson {
    /// An event's row.
    pub fn of(row: &EventRow) -> Self {
        let has_session = row.session.index != SessionName::NONE;
        Self {
            lane: row.session.lane,
            number: row.number,
            ago_ms: row.ago_ms,
            kind: row.kind.to_string(),
            session: has_session.then(|| row.session.to_string()),
            remote: has_session.then(|| row.remote.to_string()),
            peer: row.peer.key().map(|key| key.to_hex()),
            reason: row.reason.0.clone(),
        }
    }
}
