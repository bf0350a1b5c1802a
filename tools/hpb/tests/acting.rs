//! `hpb key`, `hpb tx` and the writing verbs of `hpb account` as their users see them, on a devnet that runs.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::process::Command;

use common::{Ended, HPB, Place, Running, ended, refused, succeeded};
use hpb_devnet::accounts::{AccountRow, ExplainedRow};
use hpb_devnet::history::{HistoryRow, ProposalRow, TransactionRow};
use hpb_devnet::proof::{CheckedRow, MadeRow};
use hpb_ledger::folder::DataFolder;
use hpb_ledger::history::{HistoryRead as _, HistoryStore as _};
use hpb_ledger::lmdb::{LmdbOptions, LmdbStore};
use hpb_types::{Canonical as _, Genesis};
use serde_json::Value;

/// As many transactions are final in a few seconds: more than states gather before they are committed.
const A_FEW_SECONDS: usize = 400;

struct Acting<'a> {
    place: &'a Place,
    running: Running,
    heard: usize,
}

impl Acting<'_> {
    fn verb(&self, words: &[&str]) -> Command {
        let mut command = Command::new(HPB);
        command.current_dir(self.place.path()).args(words);
        command
    }

    fn on(&self, words: &[&str]) -> Command {
        self.verb(&[words, &["--data", "data"]].concat())
    }

    /// Sends, and gives what became of it: it took effect and is final.
    fn send(&self, words: &[&str]) -> Value {
        let Ended { code, out, err } = ended(&mut self.on(&[words, &["--json"]].concat()));
        assert_eq!(code, Some(0), "{words:?}: {out} {err}");
        let sent: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(sent["applied"], true, "{sent}");
        assert_eq!(sent["steps"].as_array().unwrap().last().unwrap()["step"], "final", "{sent}");
        sent
    }

    /// Sends what comes to nothing: exit code 1, and why.
    fn fails(&self, words: &[&str]) -> String {
        let Ended { code, err, .. } = ended(&mut self.on(words));
        assert_eq!(code, Some(1), "{words:?}: {err}");
        err.strip_prefix("hpb: it did not take effect: ").unwrap().trim_end().to_owned()
    }

    fn read<T: serde::de::DeserializeOwned>(&self, words: &[&str]) -> T {
        serde_json::from_str(&succeeded(&mut self.on(&[words, &["--json"]].concat())).out).unwrap()
    }

    fn key(&self, name: &str) -> String {
        let file = format!("{name}.key");
        succeeded(&mut self.verb(&["key", "new", "--file", &file])).out.trim_end().to_owned()
    }

    /// Waits until what is final now is committed, where the reading verbs see it.
    fn settle(&mut self) {
        self.heard += A_FEW_SECONDS;
        self.running.wait_for(self.heard);
    }
}

#[test]
fn people_act_alone_and_together_on_a_devnet_that_runs() {
    let place = Place::new("acting");
    let options = ["--seconds", "300", "--sessions", "20", "--rate", "150"];
    let mut running = Running::start(&place, "data", &options);
    running.wait_for(A_FEW_SECONDS);
    let mut acting = Acting { place: &place, running, heard: A_FEW_SECONDS };
    succeeded(&mut acting.verb(&["key", "devnet", "validator-0", "--file", "v0.key"]));
    let keys: Vec<String> = ["alice", "bob", "carol"].iter().map(|name| acting.key(name)).collect();
    let shown = succeeded(&mut acting.verb(&["key", "show", "alice.key"])).out;
    assert_eq!(shown.trim_end(), keys[0]);
    assert!(refused(&mut acting.verb(&["key", "new", "--file", "alice.key"])).contains("never written over"));

    let by_v0 = ["--key", "v0.key"];
    for (name, key) in ["alice", "bob", "carol"].iter().zip(&keys) {
        acting.send(&[&["account", "create", "validator-0", name, "--owner", key][..], &by_v0].concat());
    }
    let club = ["account", "create", "validator-0", "club", "--owner", "2 of alice@active, bob@active"];
    acting.send(&[&club[..], &by_v0].concat());
    for (name, amount) in [("alice", "0.1"), ("bob", "0.1"), ("carol", "0.1"), ("club", "0.01")] {
        acting.send(&[&["tx", "send", "transfer", "validator-0", name, amount][..], &by_v0].concat());
    }
    assert_eq!(
        acting.fails(&["tx", "send", "transfer", "club", "alice", "0.001", "--key", "alice.key"]),
        "not authorised"
    );
    assert_eq!(
        acting.fails(&["tx", "send", "transfer", "alice", "bob", "9", "--key", "alice.key"]),
        "overdrawn",
        "the node says so before a slice does"
    );
    acting.settle();
    let alike = ["account", "create", "validator-0", "a1ice", "--owner", &keys[0]];
    assert!(refused(&mut acting.on(&[&alike[..], &by_v0].concat())).contains("easily taken for `alice`"));

    // Together.
    let rent = ["tx", "propose", "alice", "rent", "--ask", "alice", "--ask", "bob", "--key", "alice.key"];
    acting.send(&[&rent[..], &["transfer", "club", "carol", "0.005"]].concat());
    acting.settle();
    acting.send(&["tx", "approve", "alice", "rent", "--by", "alice", "--key", "alice.key"]);
    let early = acting.fails(&["tx", "execute", "alice", "rent", "--by", "carol", "--key", "carol.key"]);
    assert_eq!(early, "not authorised");
    acting.send(&["tx", "approve", "alice", "rent", "--by", "bob", "--key", "bob.key"]);
    acting.settle();
    let proposals: Vec<ProposalRow> = acting.read(&["tx", "proposals", "alice"]);
    assert_eq!(proposals[0].approvals.iter().filter(|approval| approval.approves).count(), 2);
    let before: AccountRow = acting.read(&["account", "show", "carol"]);
    acting.send(&["tx", "execute", "alice", "rent", "--by", "bob", "--key", "bob.key"]);
    acting.settle();
    let after: AccountRow = acting.read(&["account", "show", "carol"]);
    assert_eq!(after.balance - before.balance, 5_000_000_000_000_000);
    assert_eq!(acting.read::<Vec<ProposalRow>>(&["tx", "proposals", "alice"]), []);

    // Within bounds.
    let link = ["account", "link", "bob", "pays", "--to", "carol", "--call", "token/transfer", "--per-day", "0.001"];
    acting.send(&[&link[..], &["--key", "bob.key"]].concat());
    let paid = |amount: &'static str| {
        ["tx", "send", "transfer", "bob", "alice", amount, "--by", "carol", "--key", "carol.key"]
    };
    acting.send(&paid("0.0006"));
    assert_eq!(acting.fails(&paid("0.0006")), "not authorised", "no more today");
    acting.send(&["account", "link", "bob", "pays", "--to", "carol", "--revoke", "--key", "bob.key"]);
    assert_eq!(acting.fails(&paid("0.0001")), "not authorised");

    // Another key.
    let new = acting.key("alice-new");
    acting.send(&["account", "set", "alice", "active", "--to", &new, "--by", "alice@owner", "--key", "alice.key"]);
    let sent =
        acting.send(&["tx", "send", "transfer", "alice", "bob", "0.001", "--memo", "tea", "--key", "alice-new.key"]);
    let attested = acting.send(&["account", "attest", "bob", "carol", "--key", "bob.key"]);
    acting.settle();
    let explained: ExplainedRow =
        acting.read(&["account", "explain", "club", "--approved", "alice", "--approved", "bob"]);
    assert!(explained.is_satisfied);
    proven(&place, sent["id"].as_str().unwrap(), "beside");

    let (code, _) = acting.running.end("INT");
    assert_eq!(code, Some(0));
    looked_back(&place, sent["id"].as_str().unwrap());
    proven(&place, sent["id"].as_str().unwrap(), "behind");
    not_proven(&place, sent["id"].as_str().unwrap());
    proven_to_hold(&place, attested["id"].as_str().unwrap());
}

fn in_place(place: &Place, words: &[&str]) -> Command {
    let mut command = Command::new(HPB);
    command.current_dir(place.path()).args(words);
    command
}

/// A proof of what alice paid, beside the devnet or behind it, and what somebody with the genesis reads from it.
fn proven(place: &Place, id: &str, name: &str) {
    let file = format!("{name}.proof");
    let made = ["tx", "proof", id, "--data", "data", "--out", &file];
    let made: MadeRow =
        serde_json::from_str(&succeeded(&mut in_place(place, &[&made[..], &["--json"]].concat())).out).unwrap();
    assert_eq!((made.id.as_str(), made.bytes), (id, std::fs::metadata(place.at(&file)).unwrap().len()));
    assert!(made.runs > 1, "elections lie between: {made:?}");
    // The genesis is all of the chain that there is.
    let alone = place.at(name);
    std::fs::create_dir_all(&alone).unwrap();
    std::fs::copy(place.at("data/genesis"), alone.join("genesis")).unwrap();
    std::fs::copy(place.at(&file), alone.join("proof")).unwrap();
    let check = |words: &[&str]| {
        let mut command = Command::new(HPB);
        command.current_dir(&alone).args(["tx", "check", "proof", "--genesis", "genesis"]).args(words);
        succeeded(&mut command).out
    };
    let row: CheckedRow = serde_json::from_str(&check(&["--json", "--id", id])).unwrap();
    let found = row.proven.unwrap();
    assert_eq!((row.fault, &found.slice), (None, &made.slice));
    let transaction = found.transaction.unwrap();
    assert_eq!((transaction.id.as_str(), transaction.payer.as_deref()), (id, Some("alice")));
    assert_eq!(transaction.events[0].says.as_deref(), Some("alice -> bob 0.001"));
    let quorum = found.quorums.last().unwrap();
    assert!(quorum.signers > 2 && quorum.producers == 4, "{quorum:?}");
    let text = check(&[]);
    for part in [id, "outcome    applied", "token/transfer: alice -> bob 0.001", "of 4 producers", &row.chain] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

/// What carol is and holds, as somebody with the genesis reads it from a proof.
fn proven_to_hold(place: &Place, id: &str) {
    succeeded(&mut in_place(place, &["tx", "proof", id, "--data", "data", "--out", "carol.proof"]));
    let checked = succeeded(&mut in_place(place, &["tx", "check", "carol.proof", "--genesis", "data/genesis"])).out;
    // 0.1 and 0.005 came to her, and she paid for what she did.
    for part in ["event      system/attest: carol is owner: 1 of key ", "event      system/attest: carol holds 0.10"] {
        assert!(checked.contains(part), "{part}: {checked}");
    }
}

/// What is no proof of it.
fn not_proven(place: &Place, id: &str) {
    let check = |file: &str, genesis: &str, words: &[&str]| {
        in_place(place, &[&["tx", "check", file, "--genesis", genesis], words].concat())
    };
    let fails = |file: &str, genesis: &str, words: &[&str]| {
        let Ended { code, err, out } = ended(&mut check(file, genesis, words));
        assert_eq!(code, Some(1), "{file} {genesis} {words:?}: {out} {err}");
        err
    };
    let mut genesis = Genesis::from_bytes(&std::fs::read(place.at("data/genesis")).unwrap()).unwrap();
    genesis.time_ms += 1;
    std::fs::write(place.at("other-genesis"), genesis.to_bytes()).unwrap();
    let failed = fails("behind.proof", "other-genesis", &[]);
    assert!(failed.contains("and the genesis is that of chain"), "{failed}");
    let other = "11".repeat(32);
    let failed = fails("behind.proof", "data/genesis", &["--id", &other]);
    assert!(failed.contains(&format!("is about transaction {id} and not about {other}")), "{failed}");
    let mut bytes = std::fs::read(place.at("behind.proof")).unwrap();
    let end = bytes.len() - 1;
    bytes[end] ^= 1;
    std::fs::write(place.at("changed.proof"), &bytes).unwrap();
    let failed = fails("changed.proof", "data/genesis", &["--json"]);
    assert!(failed.contains("does not verify"), "{failed}");
    assert!(refused(&mut check("data/genesis", "data/genesis", &[])).contains("it is no proof"));
    assert!(refused(&mut check("nothing.proof", "data/genesis", &[])).contains("reading nothing.proof failed"));
    assert!(refused(&mut check("behind.proof", "behind.proof", &[])).contains("behind.proof"));
    let again = ["tx", "proof", id, "--data", "data", "--out", "behind.proof"];
    assert!(refused(&mut in_place(place, &again)).contains("is there already"));
    let none = "00".repeat(32);
    let none = ["tx", "proof", &none, "--data", "data"];
    assert!(refused(&mut in_place(place, &none)).contains("no final transaction has the id"));
}

/// What the chain has of it when the devnet has ended.
fn looked_back(place: &Place, id: &str) {
    let on = |words: &[&str]| {
        let mut command = Command::new(HPB);
        command.current_dir(place.path()).args(words).args(["--data", "data"]);
        command
    };
    let json = |words: &[&str]| succeeded(&mut on(&[words, &["--json"]].concat())).out;
    let shown: TransactionRow = serde_json::from_str(&json(&["tx", "show", id])).unwrap();
    assert_eq!((shown.id.as_str(), shown.payer.as_deref(), shown.applied), (id, Some("alice"), true));
    assert!(shown.fee > 0 && shown.units > 0);
    assert_eq!(shown.events[0].says.as_deref(), Some("alice -> bob 0.001"));
    let none = "00".repeat(32);
    assert!(refused(&mut on(&["tx", "show", &none])).contains("no final transaction"));

    // All of carol's history in pages of two is all of it in one.
    let all: HistoryRow = serde_json::from_str(&json(&["account", "history", "carol"])).unwrap();
    assert!(all.transactions.len() >= 5 && all.next_after.is_none(), "{all:?}");
    let rent = all.transactions.iter().find(|row| row.payer.is_none()).unwrap();
    assert_eq!(rent.events[0].says.as_deref(), Some("club -> carol 0.005"));
    let (mut paged, mut after): (Vec<TransactionRow>, Option<String>) = (Vec::new(), None);
    loop {
        let mut words = vec!["account", "history", "carol", "--limit", "2"];
        words.extend(after.as_deref().map(|after| ["--after", after]).into_iter().flatten());
        let page: HistoryRow = serde_json::from_str(&json(&words)).unwrap();
        paged.extend(page.transactions);
        after = page.next_after;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(paged, all.transactions);
    let text = succeeded(&mut on(&["account", "history", "carol"])).out;
    assert_eq!(text.lines().count(), all.transactions.len() + 1, "{text}");
    asked_with_and_without_an_index(place, id, &on);
    let refusal = refused(&mut on(&["tx", "send", "transfer", "alice", "bob", "0.1", "--key", "alice-new.key"]));
    assert!(refusal.contains("no devnet is running"), "{refusal}");
}

/// Everything that can be asked of the past is answered alike by the index and by executing the chain again.
fn asked_with_and_without_an_index(place: &Place, id: &str, on: &dyn Fn(&[&str]) -> Command) {
    let told = |words: &[&str]| succeeded(&mut on(words)).out;
    let shown: TransactionRow = serde_json::from_str(&told(&["tx", "show", id, "--json"])).unwrap();
    let (slot, last) = (shown.slot.to_string(), (shown.slot + 1).to_string());
    let moment = told(&["block", "show", &slot]);
    assert!(moment.contains("validator-") && moment.contains("signatures"), "{moment}");
    let questions: [&[&str]; 11] = [
        &["tx", "show", id],
        &["account", "history", "carol"],
        &["account", "history", "carol", "--newest", "--limit", "3"],
        &["account", "history", "alice", "--kind", "token/transfer", "--from", &slot, "--until", &last],
        &["account", "history", "validator-0", "--kind", "system/create", "--json"],
        &["tx", "list", "--kind", "system/created"],
        &["tx", "list", "--until", &slot, "--limit", "20", "--json"],
        &["tx", "list", "--newest", "--limit", "20"],
        &["tx", "list", "--from", "2020-01-01T00:00:00Z", "--limit", "20"],
        &["block", "show", &slot, "--limit", "3"],
        &["block", "list", "--limit", "3", "--after", "1", "--json"],
    ];
    let ask = || questions.map(told);
    let indexed = ask();
    assert!(indexed[1].lines().count() >= 5 && indexed[4].contains("system/create"), "{indexed:?}");
    assert_eq!(indexed[5].lines().count(), 4 + 1, "alice, bob, carol, the club: {}", indexed[5]);
    assert!(told(&["account", "history", "carol", "--until", "2020-01-01"]).starts_with("0 transactions"));
    assert_eq!(told(&["account", "list", "--prefix", "validator-", "--limit", "1"]).lines().count(), 2);
    let after = told(&["account", "list", "--prefix", "validator-", "--after", "validator-0"]);
    assert!(after.starts_with("validator-1 ") && after.ends_with(" accounts\n"), "{after}");
    assert!(refused(&mut on(&["block", "show", "99999999"])).contains("no final block"));

    // As if the index had been off since genesis.
    let data = place.path().join("data");
    let genesis = Genesis::from_bytes(&fs::read(data.join("genesis")).unwrap()).unwrap();
    let folder = DataFolder::open(&data.join("validator-0")).unwrap();
    let mut store = LmdbStore::open(&folder, &genesis.chain_id(), LmdbOptions::default()).unwrap();
    let rows = store.rows_count().unwrap();
    store.begin_history(genesis.genesis_slice()).unwrap();
    drop((store, folder));
    assert_eq!(ask(), indexed, "executed again");
    let made = told(&["ledger", "index", "--validator", "0"]);
    assert!(made.contains("ok  validator-0: ") && made.contains(" rows, up to "), "{made}");
    assert_eq!(ask(), indexed, "of an index that was made anew");
    let row: Value = serde_json::from_str(&told(&["ledger", "index", "--validator", "0", "--json"])).unwrap();
    assert_eq!(row[0]["rows"], rows, "as many rows as were kept while the devnet ran");
    let verified = told(&["ledger", "verify"]);
    assert_eq!(verified.matches("index at ").count() - verified.matches("index at none").count(), 4, "{verified}");
}

#[test]
fn what_is_no_command_is_refused_in_a_line() {
    let place = Place::new("acting-refused");
    let verb = |words: &[&str]| {
        let mut command = Command::new(HPB);
        command.current_dir(place.path()).args(words);
        refused(&mut command)
    };
    for (words, says) in [
        (&["key", "show", "nothing.key"][..], "nothing.key"),
        (&["tx", "show", "12"], "64 hexadecimal digits"),
        (&["tx", "send", "transfer", "alice", "bob", "1,5"], "an amount is tokens"),
        (&["tx", "send", "transfer", "alice", "bob", "1"], "report/chain"),
        (&["account", "create", "alice", "bob", "--owner", "3 of carol"], "satisfies nobody"),
        (&["account", "set", "alice", "trade"], "--to"),
        (&["account", "link", "alice", "pays", "--to", "bob", "--week", "someday"], "mon-fri/09:00-17:00"),
        (&["account", "history", "alice", "--after", "7"], "SLOT.SLICE.NUMBER"),
        (&["tx", "list", "--kind", "token"], "CONTRACT/ACTION"),
        (&["tx", "list", "--from", "noon"], "YYYY-MM-DDTHH:MM:SSZ"),
        (&["tx", "list", "--limit", "0"], "0 is not in 1..=10000"),
        (&["account", "list", "--prefix", "Al"], "no name begins with `Al`"),
        (&["block", "show", "first"], "SLOT"),
        (&["block", "list"], "report/chain"),
        (&["ledger", "index"], "report/chain"),
        (&["tx", "propose", "alice", "rent", "transfer", "club", "carol", "1"], "--ask"),
    ] {
        assert!(verb(words).contains(says), "{words:?}: {}", verb(words));
    }
    let script = succeeded(Command::new(HPB).args(["completion", "bash"])).out;
    assert!(script.contains("hpb__subcmd__tx") || script.contains("hpb__tx"), "a script for the verbs");
}
