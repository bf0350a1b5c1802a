//! Peer diagnostics: what a running node or card shows of its sessions, and what an operator tells it to do with them.
//!
//! Verbs read through [`Asker`], whichever way the node is reached, and make texts and rows; nothing here prints, and
//! nothing here holds a lane for longer than one page of answers.

pub mod act;
pub mod ask;
pub mod capture;
pub mod card;
pub mod crawl;
pub mod events;
pub mod local;
pub mod probe;
pub mod remote;
pub mod sessions;
pub mod sys;
pub mod top;

pub use ask::{AskError, Asker};
pub use local::LocalAsker;
pub use remote::RemoteAsker;

/// What Wireshark reads to show sessions between nodes: a script in Lua.
pub const DISSECTOR: &str = include_str!("../dissector/hpb.lua");

#[cfg(test)]
mod tests {
    use hpb_types::message::Message;

    #[test]
    fn the_dissector_knows_every_kind_of_message_and_no_other() {
        for kind in 0..=u8::MAX {
            let named = super::DISSECTOR.contains(&format!("[{kind}] = \""));
            // Small numbers are those of other lists too.
            assert!(named || Message::len_max(kind).is_none(), "kind {kind} has no name");
            assert!(!named || Message::len_max(kind).is_some() || kind == 0, "kind {kind} is none");
        }
    }
}
