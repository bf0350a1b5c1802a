//! Verbs that walk over the network, and draw it.

use std::fs;
use std::io::{self, IsTerminal as _, Read as _};

use hpb_chart::report::write_files;
use hpb_peer::crawl::{Network, VERSION, picture, walk};

use super::probe::{Shown, rounds};
use crate::bench::{Progress, print};
use crate::command_line::{PeerCrawl, PeerGraph};
use crate::failure::Failure;

/// Bytes of a network's file at most.
const FILE_LEN_MAX: u64 = 16 << 20;

/// `hpb peer crawl`.
pub(super) fn crawl(options: &PeerCrawl) -> Result<(), Failure> {
    if options.called.key.is_none() {
        let why = "a walk asks each node as an onlooker: --key FILE names the key that their operators know";
        return Err(Failure::input(why));
    }
    rounds(&options.called, |target, _| {
        let mut progress = Progress::new();
        let network = walk(target, &mut |line| progress.show(line));
        progress.clear();
        let Some(network) = network else {
            return Err(Failure::input("a walk needs --peer KEY with --genesis FILE or --chain ID, or --data DIR"));
        };
        let text = if options.dot { network.dot() } else { network.text() };
        let wrong = (!network.is_well())
            .then(|| "not all nodes that were named answered, or they are of two chains".to_owned());
        Shown::new(&network, text, wrong)
    })
}

/// `hpb peer graph`.
pub(super) fn graph(options: &PeerGraph) -> Result<(), Failure> {
    let path = options.network.display();
    let wrong = |why: &dyn std::fmt::Display| Failure::input(format_args!("{path}: {why}"));
    let mut text = String::new();
    let read = if options.network.as_os_str() == "-" {
        io::stdin().take(FILE_LEN_MAX + 1).read_to_string(&mut text)
    } else {
        fs::File::open(&options.network).and_then(|file| file.take(FILE_LEN_MAX + 1).read_to_string(&mut text))
    };
    read.map_err(|error| wrong(&error))?;
    if text.len() as u64 > FILE_LEN_MAX {
        return Err(wrong(&format_args!("longer than {FILE_LEN_MAX} bytes")));
    }
    let network: Network = serde_json::from_str(text.trim()).map_err(|error| wrong(&error))?;
    if network.version != VERSION {
        return Err(wrong(&format_args!("of version {}, and this program reads {VERSION}", network.version)));
    }
    let svg = picture(&network);
    match &options.out {
        Some(out) => {
            let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
            let name = out.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let files = [(name, svg)];
            write_files(folder.unwrap_or(std::path::Path::new(".")), &files).map(drop).map_err(Failure::work)
        }
        None if io::stdout().is_terminal() => Err(Failure::input("a picture is for a file: --out FILE, or `> FILE`")),
        None => print(&svg),
    }
}
