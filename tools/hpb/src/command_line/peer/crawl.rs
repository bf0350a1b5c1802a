//! Verbs of `hpb peer` that walk over the network.

use std::path::PathBuf;

use clap::Args;

use super::Called;

/// Options of `hpb peer crawl`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  hpb peer crawl 10.0.0.1:30303 --peer KEY --key onlooker.key --genesis genesis.toml\n  \
                  hpb peer crawl --data chain --key onlooker.key --json > network.json\n  \
                  hpb peer crawl --data chain --key onlooker.key --dot | dot -Tsvg > network.svg"
)]
pub(crate) struct PeerCrawl {
    #[command(flatten)]
    pub(crate) called: Called,

    /// Print the network as Graphviz reads it
    #[arg(long, conflicts_with_all = ["json", "watch"])]
    pub(crate) dot: bool,
}

/// Options of `hpb peer graph`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  hpb peer crawl --data chain --key onlooker.key --json > network.json\n  \
                  hpb peer graph network.json --out network.svg")]
pub(crate) struct PeerGraph {
    /// What `hpb peer crawl --json` printed; `-` for standard input
    #[arg(value_name = "FILE")]
    pub(crate) network: PathBuf,

    /// Where the picture goes, in place of standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}
