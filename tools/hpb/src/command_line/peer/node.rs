//! Verbs of `hpb peer` that look at a running node or card from its inside.

use clap::Args;

use super::Node;

/// Options of `hpb peer sessions`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hpb peer sessions --data chain")]
pub(crate) struct PeerSessions {
    #[command(flatten)]
    pub(crate) node: Node,
}
