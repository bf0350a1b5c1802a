//! `hpb peer sessions`: the session table of a node, page by page, filtered, sorted and laid out.

use hpb_types::message::diagnose::{Ask, SessionFilter, SessionRow, SessionsAsked, SessionsPage, Tell};

use crate::ask::{AskError, Asker};

/// Rows of one page: what a lane gives in one turn.
const PAGE_ROWS: u16 = hpb_base::limits::SESSION_ROWS_MAX as u16;

/// Reads the session table of every lane.
///
/// # Errors
/// The first question that is not answered.
pub fn read(asker: &mut dyn Asker, filter: SessionFilter) -> Result<Vec<SessionRow>, AskError> {
    let (mut rows, mut lane, mut from) = (Vec::new(), 0, 0);
    loop {
        let asked = SessionsAsked { lane, from, most: PAGE_ROWS, filter };
        let Tell::Sessions(page) = asker.ask(Ask::Sessions(asked))? else { return Err(AskError::Unexpected) };
        rows.extend(page.rows);
        // A node that never comes to an end is not followed.
        if page.next != SessionsPage::END && page.next <= from {
            return Err(AskError::Unexpected);
        }
        from = page.next;
        if from == SessionsPage::END {
            (lane, from) = (lane + 1, 0);
            if lane >= page.lanes {
                return Ok(rows);
            }
        }
    }
}
