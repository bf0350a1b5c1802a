//! Verbs that look at a node or card from its inside.

use hpb_peer::sessions::read;
use hpb_types::message::diagnose::SessionFilter;

use super::{failed, reach};
use crate::bench::print;
use crate::command_line::PeerSessions;
use crate::failure::Failure;

pub(crate) fn sessions(options: &PeerSessions) -> Result<(), Failure> {
    let mut asker = reach(&options.node)?;
    let rows = read(&mut asker, SessionFilter::ALL).map_err(failed)?;
    let lines: Vec<String> = rows
        .iter()
        .map(|row| format!("{} {} {} {} {} us\n", row.session, row.state, row.class, row.remote, row.round_trip_us))
        .collect();
    print(&lines.concat())
}
