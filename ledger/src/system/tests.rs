#![allow(clippy::unwrap_used)]

use hpb_base::limits::{ATTESTED_VALUE_LEN_MAX, TRANSACTION_LEN_MAX};
use hpb_types::{
    Action, Amount, Authorisation, Genesis, Hash, Outcome, PermissionName, Receipt, SliceRef, Slot, TransactionBody,
    VestingPart,
};

use hpb_vm::Table;

use super::*;
use crate::account::{ACTIVE, OWNER, Parent, Permission, WeightedAccount, WeightedKey, WeightedWait};
use crate::apply::ExecuteError;
use crate::authority::delegation::{ActionPattern, Bound, Policy, Role};
use crate::checked::Checked;
use crate::key::{BALANCE, SYSTEM};
use crate::ledger::{AccountState, Ledger};
use crate::records::store_amount;
use crate::store::MemoryStore;
use crate::testing::{ENDOWMENT, FEE_PER_BYTE, SLOT_MS, body, by, context, genesis, key_of, name, signed, slice};
use crate::token::{release_action, transfer_action};

mod proposals;

const DEPOSIT_PER_BYTE: u128 = 2;
const DAY_MS: u64 = 86_400_000;

/// A chain whose head moves with every transaction, each in a slice of its own.
struct Chain {
    genesis: Genesis,
    ledger: Ledger<MemoryStore>,
    head: SliceRef,
    salt: u64,
}

impl Chain {
    fn new() -> Self {
        let mut genesis = genesis(&["alice", "bob", "carol", "dave"]);
        genesis.deposit_per_byte = Amount(DEPOSIT_PER_BYTE);
        Self::of(genesis)
    }

    fn of(genesis: Genesis) -> Self {
        assert_eq!(genesis.validate(), Ok(()));
        let ledger = Ledger::open(&genesis, MemoryStore::new()).unwrap();
        Self { head: ledger.final_slice(), genesis, ledger, salt: 0 }
    }

    fn body(&mut self, payer: &str, actions: Vec<Action>) -> TransactionBody {
        self.salt += 1;
        let mut body = body(&self.genesis, payer, actions, self.salt);
        body.fee_limit = Amount(u128::MAX);
        body.expiry_ms = self.ledger.rules().slot_start(self.head.height.slot).0 + 60_000;
        body
    }

    fn push(&mut self, transaction: Checked) -> Result<Receipt, RejectReason> {
        let height = self.head.height;
        let (slot, index) = if height.slot == Slot(0) { (1, 0) } else { (height.slot.0, height.index + 1) };
        self.push_at(slot, index, transaction)
    }

    fn push_at(&mut self, slot: u64, index: u32, transaction: Checked) -> Result<Receipt, RejectReason> {
        let context = context(&self.genesis, slot, index);
        let executed = match self.ledger.execute(&self.head.id, &context, &[transaction]) {
            Ok(executed) => executed,
            Err(ExecuteError::Unfit { reason, .. }) => return Err(reason),
            Err(error) => panic!("{error}"),
        };
        let reference = slice(slot, index, 0);
        let receipt = executed.receipts[0].clone();
        self.ledger.insert(reference, self.head.id, executed).unwrap();
        self.head = reference;
        let supply = self.ledger.supply(&self.head.id).unwrap();
        assert!(supply.is_conserved(), "{supply:?}");
        let root = self.ledger.state_root(&self.head.id).unwrap();
        assert_eq!(root, self.ledger.summed_root(&self.head.id).unwrap(), "the sum is kept up");
        Ok(receipt)
    }

    /// One action by `signer` in its own name; whether it took effect.
    fn act(&mut self, signer: &str, action: Action) -> Result<(), RejectReason> {
        self.act_by(&[(signer, ACTIVE)], signer, &[signer], vec![action])
    }

    /// Actions that `behind` stands behind and `signers` signed; a transaction that is unfit has failed, too.
    fn act_by(
        &mut self,
        behind: &[(&str, PermissionName)],
        payer: &str,
        signers: &[&str],
        actions: Vec<Action>,
    ) -> Result<(), RejectReason> {
        let mut body = self.body(payer, actions);
        body.authorisations = behind.iter().map(|(account, permission)| by(account, *permission)).collect();
        match self.push(signed(body, signers))?.outcome {
            Outcome::Applied => Ok(()),
            Outcome::Failed(reason) => Err(reason),
        }
    }

    fn account(&self, who: &str) -> AccountState {
        self.ledger.account(&self.head.id, name(who)).unwrap().unwrap()
    }

    /// Goes to a later slot by an empty slice.
    fn go_to(&mut self, slot: u64) {
        let executed = self.ledger.execute(&self.head.id, &context(&self.genesis, slot, 0), &[]).unwrap();
        let reference = slice(slot, 0, 0);
        self.ledger.insert(reference, self.head.id, executed).unwrap();
        self.head = reference;
    }
}

fn permission(text: &str) -> PermissionName {
    text.parse().unwrap()
}

fn weighted(keys: &[(&str, u16)]) -> Vec<WeightedKey> {
    let mut keys: Vec<WeightedKey> =
        keys.iter().map(|(key, weight)| WeightedKey { key: key_of(key).public(), weight: *weight }).collect();
    keys.sort_by_key(|part| part.key);
    keys
}

fn authority(threshold: u32, keys: &[(&str, u16)]) -> Authority {
    Authority { threshold, keys: weighted(keys), accounts: Vec::new(), waits: Vec::new() }
}

fn under(parent: PermissionName, child: &str, authority: Authority) -> Permission {
    Permission { name: permission(child), parent: Parent::Under(parent), authority }
}

fn set(who: &str, permission: Permission) -> Action {
    set_permission_action(name(who), permission)
}

fn delete(who: &str, text: &str) -> Action {
    delete_permission_action(name(who), permission(text))
}

fn pay(from: &str, to: &str, amount: u128) -> Action {
    transfer_action(name(from), name(to), Amount(amount))
}

/// Signs with the key of `owner` apart from that of `active`: alice's keys are split first.
fn split() -> Chain {
    let mut chain = Chain::new();
    let active =
        Permission { name: ACTIVE, parent: Parent::Under(OWNER), authority: key_of("alice.day").public().into() };
    chain.act_by(&[("alice", OWNER)], "alice", &["alice"], vec![set("alice", active)]).unwrap();
    chain
}

#[test]
fn owner_changes_active_and_never_the_reverse() {
    let mut chain = split();
    let day = [("alice", ACTIVE)];
    let again = |key: &str, which: PermissionName| Permission {
        name: which,
        parent: if which == OWNER { Parent::Root } else { Parent::Under(OWNER) },
        authority: key_of(key).public().into(),
    };
    let by_day = chain.act_by(&day, "alice", &["alice.day"], vec![set("alice", again("thief", OWNER))]);
    assert_eq!(by_day, Err(RejectReason::Unauthorised));
    let by_old_key = chain.act_by(&day, "alice", &["carol"], vec![pay("alice", "bob", 1)]);
    assert_eq!(by_old_key, Err(RejectReason::Unauthorised));
    chain.act_by(&day, "alice", &["alice.day"], vec![set("alice", again("alice.new", ACTIVE))]).unwrap();
    let by_owner = [("alice", OWNER)];
    chain.act_by(&by_owner, "alice", &["alice"], vec![set("alice", again("alice.safe", OWNER))]).unwrap();
    assert_eq!(
        chain.account("alice").record.permission(OWNER).unwrap().authority,
        key_of("alice.safe").public().into()
    );
}

#[test]
fn a_changed_key_is_refused_from_the_next_transaction_on() {
    let mut chain = Chain::new();
    let changed =
        Permission { name: ACTIVE, parent: Parent::Under(OWNER), authority: key_of("alice.new").public().into() };
    let owner = Permission { name: OWNER, parent: Parent::Root, authority: key_of("alice.safe").public().into() };
    let body = chain.body("alice", vec![set("alice", owner), set("alice", changed), pay("alice", "bob", 5)]);
    let change = signed(TransactionBody { authorisations: vec![by("alice", OWNER)], ..body }, &["alice"]);
    let (old, new) =
        (chain.body("alice", vec![pay("alice", "bob", 7)]), chain.body("alice", vec![pay("alice", "bob", 9)]));
    let (old, new) = (signed(old, &["alice"]), signed(new, &["alice.new"]));
    // All in one slice: what signed the change still stands behind the rest of its transaction.
    let context = context(&chain.genesis, 1, 0);
    let with_old = chain.ledger.execute(&chain.head.id, &context, &[change.clone(), old]);
    assert_eq!(with_old.unwrap_err(), ExecuteError::Unfit { index: 1, reason: RejectReason::Unauthorised });
    let executed = chain.ledger.execute(&chain.head.id, &context, &[change, new]).unwrap();
    assert!(executed.receipts.iter().all(|receipt| receipt.outcome == Outcome::Applied), "{:?}", executed.receipts);
}

#[test]
fn a_tree_stays_a_tree() {
    let mut chain = Chain::new();
    let one = |child: &str, parent: &str| under(permission(parent), child, authority(1, &[("alice", 1)]));
    for (child, parent) in [("trade", "active"), ("post", "trade")] {
        chain.act("alice", set("alice", one(child, parent))).unwrap();
    }
    let many = (0..65).map(|index| (format!("k{index}"), 1_u16)).collect::<Vec<_>>();
    let many: Vec<(&str, u16)> = many.iter().map(|(key, weight)| (key.as_str(), *weight)).collect();
    let waits = |waits: &[(u64, u16)]| Authority {
        waits: waits.iter().map(|(wait_ms, weight)| WeightedWait { wait_ms: *wait_ms, weight: *weight }).collect(),
        ..authority(1, &[("alice", 1)])
    };
    let to = |account: &str, text: &str| Authority {
        accounts: vec![WeightedAccount { authorisation: by(account, permission(text)), weight: 1 }],
        ..authority(1, &[])
    };
    let small =
        Authority { keys: vec![WeightedKey { key: hpb_types::PublicKey([0; 32]), weight: 1 }], ..authority(1, &[]) };
    for (changed, reason) in [
        (one("trade", "trade"), RejectReason::BadPermission),
        (one("trade", "post"), RejectReason::BadPermission),
        (Permission { parent: Parent::Root, ..one("trade", "active") }, RejectReason::BadPermission),
        (Permission { parent: Parent::Root, ..one("other", "active") }, RejectReason::BadPermission),
        (under(ACTIVE, "trade", authority(0, &[("alice", 1)])), RejectReason::BadPermission),
        (under(ACTIVE, "trade", authority(3, &[("alice", 1), ("bob", 1)])), RejectReason::BadPermission),
        (under(ACTIVE, "trade", authority(1, &[("alice", 0)])), RejectReason::BadPermission),
        (under(ACTIVE, "trade", authority(1, &[])), RejectReason::BadPermission),
        (under(ACTIVE, "trade", waits(&[(0, 1)])), RejectReason::BadPermission),
        (under(ACTIVE, "trade", waits(&[(5, 1), (5, 1)])), RejectReason::BadPermission),
        (under(ACTIVE, "trade", small), RejectReason::BadKey),
        (under(ACTIVE, "trade", to("nobody", "active")), RejectReason::NoSuchAccount),
        (under(ACTIVE, "trade", to("bob", "trade")), RejectReason::NoSuchPermission),
        // A list that is longer than its limit does not decode.
        (under(ACTIVE, "trade", authority(1, &many)), RejectReason::Malformed),
    ] {
        let before = chain.account("alice").record;
        assert_eq!(chain.act("alice", set("alice", changed.clone())), Err(reason), "{changed:?}");
        assert_eq!(chain.account("alice").record, before);
    }
    // A parent that is not there is satisfied by nobody.
    assert_eq!(chain.act("alice", set("alice", one("other", "nothing"))), Err(RejectReason::Unauthorised));
    assert_eq!(chain.act("nobody", set("nobody", one("other", "active"))), Err(RejectReason::NoSuchAccount));
    assert_eq!(chain.act("bob", set("alice", one("other", "active"))), Err(RejectReason::Unauthorised));
}

#[test]
fn what_is_needed_stays() {
    let mut chain = Chain::new();
    let one = |child: &str, parent: &str| under(permission(parent), child, authority(1, &[("alice", 1)]));
    for (child, parent) in [("trade", "active"), ("post", "trade"), ("other", "active")] {
        chain.act("alice", set("alice", one(child, parent))).unwrap();
    }
    let part = Authority {
        accounts: vec![WeightedAccount { authorisation: by("alice", permission("other")), weight: 1 }],
        ..authority(1, &[])
    };
    chain.act("alice", set("alice", under(permission("trade"), "post", part))).unwrap();
    for (text, reason) in [
        ("owner", RejectReason::Unauthorised),
        ("active", RejectReason::BadPermission),
        ("trade", RejectReason::InUse),
        ("other", RejectReason::InUse),
        ("nothing", RejectReason::NoSuchPermission),
    ] {
        assert_eq!(chain.act("alice", delete("alice", text)), Err(reason), "{text}");
    }
    let by_owner = chain.act_by(&[("alice", OWNER)], "alice", &["alice"], vec![delete("alice", "owner")]);
    assert_eq!(by_owner, Err(RejectReason::BadPermission));
    assert_eq!(chain.act("bob", delete("alice", "post")), Err(RejectReason::Unauthorised));
    chain.act("alice", delete("alice", "post")).unwrap();
    chain.act("alice", delete("alice", "trade")).unwrap();
    let pays = Role { name: permission("pays"), policies: vec![payments(Bound::None, Bound::None)] };
    chain.act("alice", set_role_action(name("alice"), pays)).unwrap();
    let to_other = || by("alice", permission("other"));
    chain.act("alice", grant_action(name("alice"), permission("pays"), to_other())).unwrap();
    assert_eq!(chain.act("alice", delete("alice", "other")), Err(RejectReason::InUse), "it has a role");
    chain.act("alice", revoke_action(name("alice"), permission("pays"), to_other())).unwrap();
    chain.act("alice", delete("alice", "other")).unwrap();
    assert_eq!(chain.account("alice").record, Account::with_keys(key_of("alice").public(), key_of("alice").public()));
}

#[test]
fn whoever_moves_a_permission_stands_above_where_it_goes() {
    let mut chain = split();
    let day = [("alice", ACTIVE)];
    let one = |parent: PermissionName| under(parent, "trade", authority(1, &[("alice.trade", 1)]));
    chain.act_by(&day, "alice", &["alice.day"], vec![set("alice", one(ACTIVE))]).unwrap();
    let up = chain.act_by(&day, "alice", &["alice.day"], vec![set("alice", one(OWNER))]);
    assert_eq!(up, Err(RejectReason::Unauthorised));
    let trade = [("alice", permission("trade")), ("bob", ACTIVE)];
    let key = under(ACTIVE, "trade", authority(1, &[("alice.tr2", 1)]));
    chain.act_by(&trade, "bob", &["alice.trade", "bob"], vec![set("alice", key)]).unwrap();
    chain.act_by(&[("alice", OWNER)], "alice", &["alice"], vec![set("alice", one(OWNER))]).unwrap();
    let below = chain.act_by(&day, "alice", &["alice.day"], vec![delete("alice", "trade")]);
    assert_eq!(below, Err(RejectReason::Unauthorised), "active stands above it no more");
}

#[test]
fn an_account_starts_with_any_authority() {
    let mut chain = Chain::new();
    let board = Authority {
        accounts: vec![WeightedAccount { authorisation: by("carol", ACTIVE), weight: 2 }],
        ..authority(3, &[("alice", 1), ("bob", 1)])
    };
    let make = |owner: Authority| create_action(name("alice"), name("club"), owner, key_of("club").public());
    let bad = Authority { threshold: 5, ..board.clone() };
    assert_eq!(chain.act("alice", make(bad)), Err(RejectReason::BadPermission));
    chain.act("alice", make(board.clone())).unwrap();
    assert_eq!(chain.account("club").record, Account::new(board, key_of("club").public().into()));
    chain.act("alice", pay("alice", "club", 100_000)).unwrap();
    let mut by_owner =
        |signers: &[&str]| chain.act_by(&[("club", OWNER)], "club", signers, vec![pay("club", "bob", 1)]);
    assert_eq!(by_owner(&["alice", "bob"]), Err(RejectReason::Unauthorised));
    assert_eq!(by_owner(&["alice", "carol"]), Ok(()));
    assert_eq!(by_owner(&["carol"]), Err(RejectReason::Unauthorised));
}

#[test]
fn room_is_paid_for_and_given_back() {
    let mut chain = Chain::new();
    let paid_in_fees = |chain: &Chain, who: &str, before: Amount| before.0 - chain.account(who).balance.0;
    let size = |chain: &Chain, who: &str| {
        let state = chain.account(who);
        let mut len = key::of(name(who), ACCOUNT).len() + store(&state.record).len();
        if !state.delegation.is_empty() {
            len += key::of(name(who), DELEGATION).len() + store(&state.delegation).len();
        }
        len as u64
    };
    let create = create_action(name("alice"), name("erin"), key_of("erin").public(), key_of("erin").public());
    let body = chain.body("alice", vec![create]);
    let transaction = signed(body, &["alice"]);
    let fee = FEE_PER_BYTE * transaction.bytes_len() as u128;
    chain.push(transaction).unwrap();
    let erin = chain.account("erin");
    assert_eq!(erin.deposit.bytes, size(&chain, "erin"));
    assert_eq!(erin.deposit.amount.0, DEPOSIT_PER_BYTE * u128::from(erin.deposit.bytes));
    assert_eq!(paid_in_fees(&chain, "alice", ENDOWMENT), fee + erin.deposit.amount.0, "its maker pays");

    // An account of genesis pays for what it adds only, and has it back.
    let alice = |chain: &Chain| (chain.account("alice").deposit, size(chain, "alice"));
    let (start, start_len) = alice(&chain);
    assert_eq!((start.bytes, start.amount), (0, Amount::ZERO));
    let trade = under(ACTIVE, "trade", authority(1, &[("alice", 1)]));
    let role = Role { name: permission("pays"), policies: vec![payments(Bound::None, Bound::None)] };
    chain.act("alice", set("alice", trade)).unwrap();
    chain.act("alice", set_role_action(name("alice"), role)).unwrap();
    let (grown, grown_len) = alice(&chain);
    assert_eq!((grown.bytes, grown.amount.0), (grown_len - start_len, DEPOSIT_PER_BYTE * u128::from(grown.bytes)));
    let before = chain.account("alice").balance;
    let body =
        chain.body("alice", vec![delete("alice", "trade"), delete_role_action(name("alice"), permission("pays"))]);
    let transaction = signed(body, &["alice"]);
    let fee = FEE_PER_BYTE * transaction.bytes_len() as u128;
    assert_eq!(chain.push(transaction).unwrap().outcome, Outcome::Applied);
    assert_eq!(alice(&chain), (start, start_len));
    assert_eq!(chain.account("alice").balance.0, before.0 + grown.amount.0 - fee);

    // Erin holds nothing but her deposit.
    chain.act("alice", pay("alice", "erin", 2_000)).unwrap();
    let keys: Vec<String> = (0..40).map(|index| format!("erin.{index}")).collect();
    let keys: Vec<(&str, u16)> = keys.iter().map(|key| (key.as_str(), 1)).collect();
    let large = under(ACTIVE, "large", authority(1, &keys));
    assert_eq!(chain.act("erin", set("erin", large)), Err(RejectReason::Overdrawn));
}

/// All transfers, within bounds.
fn payments(per_transaction_max: Bound, per_day_max: Bound) -> Policy {
    Policy {
        contract: crate::key::TOKEN,
        action: ActionPattern::One(crate::token::TRANSFER),
        counterparties: Vec::new(),
        per_transaction_max,
        per_day_max,
        from_ms: 0,
        until_ms: u64::MAX,
        windows: Vec::new(),
    }
}

fn fees(per_day_max: u128) -> Policy {
    Policy {
        contract: SYSTEM_NAME,
        action: ActionPattern::One(FEE),
        ..payments(Bound::None, Bound::AtMost(Amount(per_day_max)))
    }
}

const SYSTEM_NAME: AccountName = crate::key::SYSTEM;

/// Alice granted `role` to `to`.
fn granted(policies: Vec<Policy>, to: Authorisation) -> Chain {
    let mut chain = Chain::new();
    let role = Role { name: permission("cashier"), policies };
    chain.act("alice", set_role_action(name("alice"), role)).unwrap();
    chain.act("alice", grant_action(name("alice"), permission("cashier"), to)).unwrap();
    chain
}

fn at_most(amount: u128) -> Bound {
    Bound::AtMost(Amount(amount))
}

#[test]
fn a_grant_lets_another_act_within_its_bounds() {
    let mut chain = granted(vec![payments(at_most(100), at_most(150))], by("bob", ACTIVE));
    let mut bob = |payments: &[u128]| {
        let actions = payments.iter().map(|amount| pay("alice", "dave", *amount)).collect();
        chain.act_by(&[("bob", ACTIVE)], "bob", &["bob"], actions)
    };
    assert_eq!(bob(&[101]), Err(RejectReason::Unauthorised), "more than in one transaction");
    assert_eq!(bob(&[60, 60]), Err(RejectReason::Unauthorised), "in two actions too");
    assert_eq!(bob(&[60, 40]), Ok(()));
    assert_eq!(bob(&[51]), Err(RejectReason::Unauthorised), "more than in one day");
    assert_eq!(bob(&[50]), Ok(()));
    assert_eq!(bob(&[1]), Err(RejectReason::Unauthorised));
    assert_eq!(bob(&[0]), Ok(()));
    assert_eq!(chain.account("dave").balance.0, ENDOWMENT.0 + 150);
    let carol = chain.act_by(&[("carol", ACTIVE)], "carol", &["carol"], vec![pay("alice", "dave", 1)]);
    assert_eq!(carol, Err(RejectReason::Unauthorised), "nobody granted it to carol");
    let votes = chain.act_by(
        &[("bob", ACTIVE)],
        "bob",
        &["bob"],
        vec![set("alice", under(ACTIVE, "bobs", authority(1, &[("bob", 1)])))],
    );
    assert_eq!(votes, Err(RejectReason::Unauthorised));
    // The next day.
    let slots_of_day = DAY_MS / u64::from(SLOT_MS);
    chain.go_to(slots_of_day);
    let tomorrow = chain.act_by(&[("bob", ACTIVE)], "bob", &["bob"], vec![pay("alice", "dave", 100)]);
    assert_eq!(tomorrow, Ok(()));
    chain.act("alice", revoke_action(name("alice"), permission("cashier"), by("bob", ACTIVE))).unwrap();
    let after = chain.act_by(&[("bob", ACTIVE)], "bob", &["bob"], vec![pay("alice", "dave", 1)]);
    assert_eq!(after, Err(RejectReason::Unauthorised), "revoked");
    let again = revoke_action(name("alice"), permission("cashier"), by("bob", ACTIVE));
    assert_eq!(chain.act("alice", again), Err(RejectReason::NoSuchRole));
}

#[test]
fn what_fails_uses_nothing_up() {
    let mut chain = granted(vec![payments(Bound::None, at_most(100))], by("bob", ACTIVE));
    let actions = vec![pay("alice", "dave", 90), pay("alice", "nobody", 1)];
    let failed = chain.act_by(&[("bob", ACTIVE)], "bob", &["bob"], actions);
    assert_eq!(failed, Err(RejectReason::NoSuchAccount));
    let all = chain.act_by(&[("bob", ACTIVE)], "bob", &["bob"], vec![pay("alice", "dave", 100)]);
    assert_eq!(all, Ok(()));
}

#[test]
fn a_permission_below_active_pays_its_fees_by_a_policy() {
    let mut chain = Chain::new();
    let till = under(ACTIVE, "till", authority(1, &[("till", 1)]));
    chain.act("alice", set("alice", till)).unwrap();
    let sell = |chain: &mut Chain, amount| {
        chain.act_by(&[("alice", permission("till"))], "alice", &["till"], vec![pay("alice", "dave", amount)])
    };
    assert_eq!(sell(&mut chain, 1), Err(RejectReason::Unauthorised));
    let probe = chain.body("alice", vec![pay("alice", "dave", 1)]);
    let probe = TransactionBody { authorisations: vec![by("alice", permission("till"))], ..probe };
    let fee = FEE_PER_BYTE * signed(probe, &["till"]).bytes_len() as u128;
    let role = Role { name: permission("cashier"), policies: vec![payments(at_most(10), Bound::None), fees(2 * fee)] };
    chain.act("alice", set_role_action(name("alice"), role)).unwrap();
    chain.act("alice", grant_action(name("alice"), permission("cashier"), by("alice", permission("till")))).unwrap();
    assert_eq!(sell(&mut chain, 5), Ok(()));
    assert_eq!(sell(&mut chain, 11), Err(RejectReason::Unauthorised), "its fee stays paid");
    assert_eq!(sell(&mut chain, 5), Err(RejectReason::Unauthorised), "the day's fees are used up: it is unfit");
    let by_bob = chain.act_by(&[("bob", ACTIVE)], "alice", &["bob"], vec![pay("bob", "dave", 1)]);
    assert_eq!(by_bob, Err(RejectReason::Unauthorised));
}

#[test]
fn another_may_pay_and_is_billed_once() {
    let mut chain = Chain::new();
    let mut body = chain.body("bob", vec![pay("alice", "dave", 5)]);
    body.authorisations = vec![by("bob", ACTIVE), by("alice", ACTIVE), by("bob", OWNER)];
    let transaction = signed(body, &["alice", "bob"]);
    let fee = FEE_PER_BYTE * transaction.bytes_len() as u128;
    assert_eq!(chain.push(transaction).unwrap().outcome, Outcome::Applied);
    assert_eq!(chain.account("bob").balance.0, ENDOWMENT.0 - fee, "once, though it stands there twice");
    assert_eq!(chain.account("alice").balance.0, ENDOWMENT.0 - 5);
}

#[test]
fn roles_are_in_range_and_in_use() {
    let mut chain = Chain::new();
    let role = |policies| set_role_action(name("alice"), Role { name: permission("cashier"), policies });
    let never = Policy { until_ms: 0, ..payments(Bound::None, Bound::None) };
    assert_eq!(chain.act("alice", role(vec![never])), Err(RejectReason::BadRole));
    assert_eq!(chain.act("alice", role(Vec::new())), Err(RejectReason::Malformed));
    let grant = |to| grant_action(name("alice"), permission("cashier"), to);
    assert_eq!(chain.act("alice", grant(by("bob", ACTIVE))), Err(RejectReason::NoSuchRole));
    assert_eq!(chain.act("bob", role(vec![payments(Bound::None, Bound::None)])), Err(RejectReason::Unauthorised));
    chain.act("alice", role(vec![payments(Bound::None, at_most(10))])).unwrap();
    assert_eq!(chain.act("alice", grant(by("nobody", ACTIVE))), Err(RejectReason::NoSuchAccount));
    assert_eq!(chain.act("alice", grant(by("bob", permission("till")))), Err(RejectReason::NoSuchPermission));
    chain.act("alice", grant(by("bob", ACTIVE))).unwrap();
    chain.act("alice", grant(by("bob", ACTIVE))).unwrap();
    assert_eq!(chain.account("alice").delegation.grants.len(), 1);
    let delete = || delete_role_action(name("alice"), permission("cashier"));
    assert_eq!(chain.act("alice", delete()), Err(RejectReason::InUse));
    let spend = |chain: &mut Chain, amount| {
        chain.act_by(&[("bob", ACTIVE)], "bob", &["bob"], vec![pay("alice", "dave", amount)])
    };
    assert_eq!((spend(&mut chain, 10), spend(&mut chain, 1)), (Ok(()), Err(RejectReason::Unauthorised)));
    chain.act("alice", role(vec![payments(Bound::None, at_most(10))])).unwrap();
    assert_eq!(spend(&mut chain, 10), Ok(()), "a role that is set anew starts anew");
    chain.act("alice", revoke_action(name("alice"), permission("cashier"), by("bob", ACTIVE))).unwrap();
    chain.act("alice", delete()).unwrap();
    assert_eq!(chain.act("alice", delete()), Err(RejectReason::NoSuchRole));
    let mut tables = Vec::new();
    chain.ledger.visit(&chain.head.id, |key, _| {
        let place = key::parse(key).unwrap();
        if place.account == name("alice") {
            tables.push(place.table);
        }
    });
    assert_eq!(tables, [ACCOUNT, crate::key::BALANCE], "nothing of it is left");
}

#[test]
fn what_vests_comes_when_it_is_time() {
    let mut genesis = genesis(&["alice", "bob"]);
    let time = genesis.time_ms;
    let part =
        |slots: u64, amount| VestingPart { free_at_ms: time + slots * u64::from(SLOT_MS), amount: Amount(amount) };
    genesis.accounts[0].vesting = vec![part(5, 100), part(6, 30), part(9, 7)];
    let mut chain = Chain::of(genesis);
    let release = || release_action(name("alice"));
    assert_eq!(chain.account("alice").vesting.len(), 3);
    chain.go_to(4);
    assert_eq!(chain.act("bob", release()), Err(RejectReason::NothingFree));
    chain.go_to(6);
    let before = chain.account("alice").balance;
    chain.act("bob", release()).unwrap();
    assert_eq!(chain.account("alice").balance.0, before.0 + 130, "anyone may ask, and it is alice's");
    assert_eq!(chain.account("alice").vesting, [part(9, 7)]);
    assert_eq!(chain.act("bob", release()), Err(RejectReason::NothingFree));
    chain.go_to(9);
    chain.act("bob", release()).unwrap();
    assert_eq!((chain.account("alice").balance.0, chain.account("alice").vesting), (before.0 + 137, Vec::new()));
    assert_eq!(chain.act("bob", release_action(name("bob"))), Err(RejectReason::NothingFree));
}

#[test]
fn the_longest_permission_fits_in_a_transaction() {
    let keys: Vec<String> = (0..64).map(|index| format!("key{index}")).collect();
    let keys: Vec<(&str, u16)> = keys.iter().map(|key| (key.as_str(), 1)).collect();
    let mut chain = Chain::new();
    let body = chain.body("alice", vec![set("alice", under(ACTIVE, "large", authority(64, &keys)))]);
    let transaction = signed(body, &["alice"]);
    assert!(transaction.bytes_len() < TRANSACTION_LEN_MAX / 4);
    assert_eq!(chain.push(transaction).unwrap().outcome, Outcome::Applied);
}

#[test]
fn what_lies_in_the_state_is_attested() {
    let mut chain = Chain::new();
    let ask = |chain: &mut Chain, table: Table, sub_key: &[u8]| -> Found {
        let actions = vec![pay("alice", "bob", 5), attest_action(name("bob"), table, sub_key), pay("alice", "bob", 7)];
        let body = chain.body("alice", actions);
        let receipt = chain.push(signed(body, &["alice"])).unwrap();
        assert_eq!(receipt.outcome, Outcome::Applied);
        let [_, event, _] = &receipt.events[..] else { panic!("{:?}", receipt.events) };
        assert_eq!((event.contract, event.name), (SYSTEM, ATTEST));
        let attested = Attested::from_bytes(&event.data).unwrap();
        assert_eq!(attested.place, AttestArguments { account: name("bob"), table: table.0, sub_key: sub_key.to_vec() });
        attested.found
    };
    let before = chain.account("bob").balance;
    let value = |bytes: Bytes| Found::Value(Value { bytes: bytes.to_vec() });
    assert_eq!(ask(&mut chain, BALANCE, &[]), value(store_amount(Amount(before.0 + 5))), "as it was between actions");
    let record = chain.account("bob").record;
    assert_eq!(ask(&mut chain, ACCOUNT, &[]), value(store(&record)));
    assert_eq!(ask(&mut chain, BALANCE, b"x"), Found::Nothing);
    assert_eq!(ask(&mut chain, Table(200), &[0; 256]), Found::Nothing);
    let long = AttestArguments { account: name("bob"), table: 1, sub_key: vec![0; 257] };
    let action = Action { contract: SYSTEM, action: ATTEST, arguments: long.to_bytes() };
    assert_eq!(chain.act("alice", action), Err(RejectReason::Malformed));
}

#[test]
fn a_long_record_is_attested_by_its_hash() {
    let mut chain = Chain::new();
    let large = |number: u8| {
        let keys: Vec<String> = (0..64).map(|key| format!("{number} {key}")).collect();
        let keys: Vec<(&str, u16)> = keys.iter().map(|key| (key.as_str(), 1)).collect();
        under(OWNER, &format!("p{number}"), authority(1, &keys))
    };
    for number in 0..9 {
        chain.act_by(&[("alice", OWNER)], "alice", &["alice"], vec![set("alice", large(number))]).unwrap();
    }
    let record = store(&chain.account("alice").record);
    assert!(record.len() > ATTESTED_VALUE_LEN_MAX, "{}", record.len());
    let body = chain.body("alice", vec![attest_action(name("alice"), ACCOUNT, &[])]);
    let receipt = chain.push(signed(body, &["alice"])).unwrap();
    let attested = Attested::from_bytes(&receipt.events[0].data).unwrap();
    assert_eq!(attested.found, Found::Hash(Hash::of_parts("state value", &[&record])));
}
