//! Proofs in words, line by line. Plain text: no control character.

use super::{CheckedRow, MadeRow, ProvenRow};
use crate::history::table;
use crate::report::format::{counted, grouped, utc};

impl MadeRow {
    /// One line.
    pub fn detail(&self) -> String {
        let Self { file, bytes, slice, runs, headers, .. } = self;
        let (runs, headers) = (counted(*runs as u64, "run"), counted(*headers as u64, "header"));
        format!("ok  {file}: {} bytes, {runs} of {headers}, for slice {slice}\n", grouped(*bytes))
    }
}

impl CheckedRow {
    /// What is proven, a line for each fact; nothing if something does not hold.
    pub fn detail(&self) -> String {
        self.proven.as_ref().map_or_else(String::new, |proven| proven.detail(&self.chain))
    }
}

impl ProvenRow {
    fn detail(&self, chain: &str) -> String {
        let mut lines = match &self.transaction {
            Some(transaction) => transaction.lines("not shown: the proof tells what it came to alone"),
            None => vec![("time", utc(self.unix_ms))],
        };
        lines.push(("slice", self.slice.clone()));
        lines.push(("state", format!("{} after it", self.state)));
        for quorum in self.quorums.iter().rev() {
            let super::QuorumRow { epoch, signers, producers } = quorum;
            lines.push(("certified", format!("by {signers} of {producers} producers of epoch {epoch}: it is final")));
        }
        lines.push(("chain", chain.to_owned()));
        table(&lines)
    }
}
