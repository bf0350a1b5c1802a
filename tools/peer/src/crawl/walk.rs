//! The walk's calls: a session with each node, as an onlooker whom its operator has named.

use hpb_types::message::diagnose::{SessionClass, SessionFilter, SessionRow};

use super::{Crawl, Network, SessionTold};
use crate::probe::{Credentials, Target, handshake, info};
use crate::remote::RemoteAsker;
use crate::sessions::read;

/// Walks from `first`, which has credentials; the others are called with the same key. `progress` is told whom.
pub fn walk(first: &Target, progress: &mut dyn FnMut(&str)) -> Option<Network> {
    let credentials = first.credentials.as_ref()?;
    let mut crawl = Crawl::new(credentials.identity.public(), credentials.peer, first.address);
    while let Some((key, address)) = crawl.next_call() {
        progress(&format!("{} nodes are known; {address} is asked", crawl.known()));
        let own = Credentials::new(std::sync::Arc::clone(&credentials.identity), key, credentials.is_named);
        let target = Target { address, credentials: Some(own), ..first.clone() };
        let (report, session) = handshake::open(&target);
        let Some(mut session) = session else {
            let why = report.failure.as_ref().map_or_else(|| "it did not open".to_owned(), handshake::Failure::words);
            crawl.failed(key, why);
            continue;
        };
        let told = info::info(&target, &report, &mut session);
        let filter = SessionFilter { classes: 1 << SessionClass::Validator as u8, ..SessionFilter::ALL };
        match read(&mut RemoteAsker::with(session, target), filter) {
            Ok(rows) => {
                let sessions: Vec<SessionTold> = rows.iter().filter_map(session_told).collect();
                crawl.answered(key, told, &sessions);
            }
            Err(error) => crawl.failed(key, error.to_string()),
        }
    }
    Some(crawl.finish())
}

fn session_told(row: &SessionRow) -> Option<SessionTold> {
    let peer = row.peer.key().filter(|_| row.has(SessionRow::OPEN))?;
    let called = row.has(SessionRow::CALLED);
    Some(SessionTold { peer, remote: row.remote.socket(), called, round_trip_us: row.round_trip_us })
}
