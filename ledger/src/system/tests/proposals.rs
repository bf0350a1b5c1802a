//! Proposals from the first word to the deed.

use hpb_base::limits::{DUE_PER_BLOCK_MAX, PROPOSAL_DELAY_MS_MAX, PROPOSAL_EXPIRY_AHEAD_MS_MAX};
use hpb_types::{Fees, Hash};

use super::*;

const NAME: &str = "purchase";
const DAY: u64 = 86_400_000;

/// "club" is "alice" and "bob" together, or one of them after a day; it holds something.
fn club() -> Chain {
    let mut chain = Chain::new();
    let part = |who: &str| WeightedAccount { authorisation: by(who, ACTIVE), weight: 1 };
    let board = Authority {
        threshold: 2,
        keys: Vec::new(),
        accounts: vec![part("alice"), part("bob")],
        waits: vec![WeightedWait { wait_ms: DAY, weight: 1 }],
    };
    chain.act("alice", create_action(name("alice"), name("club"), board.clone(), board)).unwrap();
    chain.act("alice", pay("alice", "club", 100_000)).unwrap();
    chain
}

impl Chain {
    fn now(&self) -> u64 {
        self.ledger.rules().slot_start(self.head.height.slot).0
    }

    /// That "club" pays "carol" 500, by the approval of "alice", "bob" and "dave".
    fn terms(&self) -> Terms {
        Terms {
            actions: vec![pay("club", "carol", 500)],
            authorisations: vec![by("club", ACTIVE)],
            asked: vec![by("alice", ACTIVE), by("bob", ACTIVE), by("dave", ACTIVE)],
            delay_ms: 0,
            expiry_ms: self.now() + 3 * DAY,
            fee_limit: Amount(1_000_000),
        }
    }

    fn propose(&mut self, terms: Terms) -> Result<(), RejectReason> {
        self.act("alice", propose_action(name("alice"), permission(NAME), terms))
    }

    fn proposal(&self) -> Option<Proposal> {
        let all = self.ledger.proposals(&self.head.id, name("alice")).unwrap();
        all.into_iter().find(|(name, _)| *name == permission(NAME)).map(|(_, proposal)| proposal)
    }

    fn word(&self, by_whom: &str) -> ApproveArguments {
        let id = self.proposal().map_or(Hash::ZERO, |proposal| proposal.id);
        ApproveArguments { proposer: name("alice"), name: permission(NAME), id, by: by(by_whom, ACTIVE) }
    }

    fn it(&self) -> ProposalArguments {
        let ApproveArguments { proposer, name, id, .. } = self.word("alice");
        ProposalArguments { proposer, name, id }
    }

    fn approve(&mut self, who: &str) -> Result<(), RejectReason> {
        let word = self.word(who);
        self.act(who, approve_action(&word))
    }

    fn ask_for_it(&mut self, who: &str) -> Result<(), RejectReason> {
        let it = self.it();
        self.act(who, execute_action(&it))
    }

    /// Goes to a later slot by an empty slice; what was due came to that.
    fn go_on(&mut self, slot: u64) -> Vec<Receipt> {
        let executed = self.ledger.execute(&self.head.id, &context(&self.genesis, slot, 0), &[]).unwrap();
        let receipts = executed.receipts.clone();
        let reference = slice(slot, 0, 0);
        self.ledger.insert(reference, self.head.id, executed).unwrap();
        self.head = reference;
        assert!(self.ledger.supply(&self.head.id).unwrap().is_conserved());
        receipts
    }

    fn slot_at(&self, time_ms: u64) -> u64 {
        (time_ms - self.genesis.time_ms).div_ceil(u64::from(SLOT_MS))
    }

    fn deposit(&self) -> u64 {
        self.account("alice").deposit.bytes
    }
}

#[test]
fn several_people_act_together_each_at_their_own_time() {
    let mut chain = club();
    let before = chain.deposit();
    chain.propose(chain.terms()).unwrap();
    assert!(chain.deposit() > before, "it pays for its room");
    chain.approve("alice").unwrap();
    assert_eq!(chain.ask_for_it("carol"), Err(RejectReason::Unauthorised), "one is not enough");
    chain.go_on(7);
    chain.approve("bob").unwrap();
    chain.ask_for_it("carol").unwrap();
    assert_eq!(chain.ask_for_it("carol"), Err(RejectReason::Scheduled));
    let (id, carol, club) = (chain.it().id, chain.account("carol").balance, chain.account("club").balance);
    let receipts = chain.go_on(8);
    let [receipt] = &receipts[..] else { panic!("{receipts:?}") };
    assert_eq!((receipt.transaction, &receipt.outcome), (id, &Outcome::Applied));
    assert_eq!(receipt.events.len(), 1);
    assert_eq!(chain.account("carol").balance.0, carol.0 + 500);
    assert_eq!(chain.account("club").balance.0, club.0 - 500);
    assert_eq!((chain.proposal(), chain.deposit()), (None, before), "its room is given back");
    assert_eq!(chain.go_on(9), []);
}

#[test]
fn a_delay_counts_and_can_be_used_to_stop_it() {
    let mut chain = club();
    chain.propose(Terms { delay_ms: DAY, ..chain.terms() }).unwrap();
    chain.approve("bob").unwrap();
    chain.ask_for_it("bob").unwrap();
    let due = chain.slot_at(chain.proposal().unwrap().due_ms);
    assert_eq!(chain.go_on(due - 1), []);
    assert_eq!(chain.go_on(due)[0].outcome, Outcome::Applied, "one of two, and a day");

    // Too short a wait is none.
    chain.propose(Terms { delay_ms: DAY - 1, ..chain.terms() }).unwrap();
    chain.approve("bob").unwrap();
    assert_eq!(chain.ask_for_it("bob"), Err(RejectReason::Unauthorised));
    let it = chain.it();
    chain.act("alice", cancel_action(&it)).unwrap();

    // Taken away in its delay, it is not done.
    chain.propose(Terms { delay_ms: DAY, ..chain.terms() }).unwrap();
    chain.approve("bob").unwrap();
    chain.ask_for_it("bob").unwrap();
    let (it, due) = (chain.it(), chain.slot_at(chain.proposal().unwrap().due_ms));
    assert_eq!(chain.act("carol", cancel_action(&it)), Err(RejectReason::Unauthorised));
    let slot = chain.head.height.slot.0 + 1;
    chain.go_on(slot);
    chain.act_by(&[("club", ACTIVE), ("alice", ACTIVE)], "alice", &["alice", "bob"], vec![cancel_action(&it)]).unwrap();
    assert_eq!((chain.proposal(), chain.go_on(due)), (None, Vec::new()));

    // An approval that is taken back in the delay is missed when the time comes.
    chain.propose(Terms { delay_ms: DAY, ..chain.terms() }).unwrap();
    chain.approve("bob").unwrap();
    chain.ask_for_it("bob").unwrap();
    let (word, due) = (chain.word("bob"), chain.slot_at(chain.proposal().unwrap().due_ms));
    chain.act("bob", withdraw_action(&word)).unwrap();
    assert_eq!(chain.go_on(due)[0].outcome, Outcome::Failed(RejectReason::Unauthorised));
    assert_eq!(chain.proposal(), None, "it is done with, whatever it came to");
}

#[test]
fn a_changed_key_approves_no_more() {
    let mut chain = club();
    chain.propose(chain.terms()).unwrap();
    chain.approve("alice").unwrap();
    chain.approve("bob").unwrap();
    let new_key = Permission { name: ACTIVE, parent: Parent::Under(OWNER), authority: authority(1, &[("bob.new", 1)]) };
    chain.act_by(&[("bob", OWNER)], "bob", &["bob"], vec![set("bob", new_key)]).unwrap();
    assert_eq!(chain.ask_for_it("carol"), Err(RejectReason::Unauthorised));
    let word = chain.word("bob");
    chain.act_by(&[("bob", ACTIVE)], "bob", &["bob.new"], vec![approve_action(&word)]).unwrap();
    chain.ask_for_it("carol").unwrap();
}

type Change = fn(&mut Terms, u64);

#[test]
fn what_is_no_proposal_is_refused() {
    let mut chain = club();
    let good = chain.terms();
    let now = chain.now();
    let changes: [(Change, RejectReason); 10] = [
        (|terms, _| terms.actions.clear(), RejectReason::Malformed),
        (|terms, _| terms.authorisations.clear(), RejectReason::Malformed),
        (|terms, _| terms.asked.clear(), RejectReason::Malformed),
        (|terms, _| terms.asked.reverse(), RejectReason::BadProposal),
        (|terms, _| terms.asked[1] = terms.asked[0].clone(), RejectReason::BadProposal),
        (|terms, _| terms.delay_ms = PROPOSAL_DELAY_MS_MAX + 1, RejectReason::BadProposal),
        (|terms, now| terms.expiry_ms = now, RejectReason::BadProposal),
        (|terms, now| terms.expiry_ms = now + PROPOSAL_EXPIRY_AHEAD_MS_MAX + 1, RejectReason::BadProposal),
        (|terms, _| terms.asked[1].account = name("bobby"), RejectReason::NoSuchAccount),
        (|terms, _| terms.asked[1].permission = permission("trade"), RejectReason::NoSuchPermission),
    ];
    for (change, reason) in changes {
        let mut terms = good.clone();
        change(&mut terms, now);
        assert_eq!(chain.propose(terms.clone()), Err(reason), "{terms:?}");
    }
    let for_bob = propose_action(name("bob"), permission(NAME), good.clone());
    assert_eq!(chain.act("alice", for_bob), Err(RejectReason::Unauthorised));
    assert_eq!(chain.approve("alice"), Err(RejectReason::NoSuchProposal));
    chain.propose(good.clone()).unwrap();
    assert_eq!(chain.propose(good), Err(RejectReason::ProposalExists));
    let word = chain.word("carol");
    assert_eq!(chain.act("carol", approve_action(&word)), Err(RejectReason::NotAsked));
    let word = chain.word("bob");
    assert_eq!(chain.act("carol", approve_action(&word)), Err(RejectReason::Unauthorised));
    let other = ApproveArguments { id: Hash::ZERO, ..word };
    assert_eq!(chain.act("bob", approve_action(&other)), Err(RejectReason::NoSuchProposal), "not what bob has seen");
}

#[test]
fn what_has_expired_is_anyones_to_clear() {
    let mut chain = club();
    chain.propose(Terms { expiry_ms: chain.now() + 10_000, ..chain.terms() }).unwrap();
    chain.approve("alice").unwrap();
    chain.approve("bob").unwrap();
    let it = chain.it();
    assert_eq!(chain.act("carol", cancel_action(&it)), Err(RejectReason::Unauthorised));
    let slot = chain.slot_at(chain.now() + 10_001);
    chain.go_on(slot);
    assert_eq!(chain.ask_for_it("carol"), Err(RejectReason::Expired));
    chain.act("carol", cancel_action(&it)).unwrap();
    assert_eq!(chain.proposal(), None);
}

#[test]
fn its_proposer_pays_for_its_units() {
    let mut genesis = genesis(&["alice", "bob", "carol", "dave"]);
    genesis.fees = Fees { per_unit: Amount(1), ..Fees::NONE };
    let mut chain = Chain::of(genesis);
    let terms = |chain: &Chain, amount: u128, fee_limit: u128| Terms {
        actions: vec![pay("bob", "carol", amount)],
        authorisations: vec![by("bob", ACTIVE)],
        asked: vec![by("bob", ACTIVE)],
        fee_limit: Amount(fee_limit),
        ..chain.terms()
    };
    for (amount, fee_limit, outcome) in [
        (5, 100_000, Outcome::Applied),
        (5, 10, Outcome::Failed(RejectReason::FeeLimit)),
        (ENDOWMENT.0 * 2, 100_000, Outcome::Failed(RejectReason::Overdrawn)),
    ] {
        let terms = terms(&chain, amount, fee_limit);
        chain.propose(terms).unwrap();
        chain.approve("bob").unwrap();
        chain.ask_for_it("dave").unwrap();
        let alice = chain.account("alice").balance;
        let slot = chain.head.height.slot.0 + 1;
        let receipt = chain.go_on(slot).remove(0);
        assert_eq!(receipt.outcome, outcome);
        assert!(receipt.units > 0 && receipt.fee == Amount(receipt.units.into()), "{receipt:?}");
        assert!(receipt.fee.0 <= fee_limit);
        assert_eq!(chain.account("alice").balance.0, alice.0 - receipt.fee.0);
    }
}

#[test]
fn no_more_are_done_in_a_block_than_the_limit() {
    let mut chain = Chain::new();
    let count = DUE_PER_BLOCK_MAX + 3;
    for index in 0..count {
        let (own, expiry_ms) = (permission(&format!("p-{index}")), chain.now() + DAY);
        let terms = Terms {
            actions: vec![pay("alice", "bob", 1)],
            authorisations: vec![by("alice", ACTIVE)],
            asked: vec![by("alice", ACTIVE)],
            delay_ms: 0,
            expiry_ms,
            fee_limit: Amount::ZERO,
        };
        chain.act("alice", propose_action(name("alice"), own, terms)).unwrap();
        let all = chain.ledger.proposals(&chain.head.id, name("alice")).unwrap();
        let id = all.into_iter().find(|(name, _)| *name == own).unwrap().1.id;
        let word = ApproveArguments { proposer: name("alice"), name: own, id, by: by("alice", ACTIVE) };
        chain.act("alice", approve_action(&word)).unwrap();
        chain.act("bob", execute_action(&ProposalArguments { proposer: name("alice"), name: own, id })).unwrap();
    }
    let slot = chain.head.height.slot.0;
    assert_eq!(chain.go_on(slot + 1).len(), DUE_PER_BLOCK_MAX);
    assert_eq!(chain.go_on(slot + 2).len(), 3);
    assert_eq!(chain.go_on(slot + 3).len(), 0);
}
