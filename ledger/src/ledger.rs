//! The ledger as the node's core knows it: executes slices on any slice that may still become final, keeps what they
//! came to, moves finality, answers queries.
//!
//! It has no clock, thread or queue. Whoever drives it hands each [`FinalBatch`] to the store's writer and says when it is
//! committed; what becomes durable in which order is said in PROTOCOL.md, "Durability". It refuses slices on parents
//! that it does not know, and a store of another chain.

use core::ops::ControlFlow;
use std::collections::BTreeMap;
use std::sync::Arc;

use hpb_base::limits::DUE_PER_BLOCK_MAX;
use hpb_types::evidence::Judge;
use hpb_types::{
    AccountName, Amount, Authorisation, ChainId, Genesis, Hash, Height, PermissionName, Receipt, RejectReason,
    SliceRef, Slot, VestingPart,
};

use crate::account::Account;
use crate::apply::{self, Built, ExecuteError, Executed, Parent, Rules, SliceContext};
use crate::authority::Standing;
use crate::authority::delegation::Delegation;
use crate::authority::explain::{self, Explained};
use crate::bytes::Bytes;
use crate::changes::ChangeSet;
use crate::checked::Checked;
use crate::deposit::Deposit;
use crate::dpos::{self, EpochActivity, ProducerState, Stake};
use crate::history::SliceResults;
use crate::key::{
    self, ACCOUNT, BALANCE, CHAIN, DELEGATION, DEPOSIT, DPOS, DUE, POOL, PROPOSAL, STAKE, SUM, SUPPLY, SYSTEM, TARIFF,
    VESTING,
};
use crate::lattice::LatticeSum;
use crate::parallel::{Alone, Workers};
use crate::records::{self, Tariff};
use crate::store::{FinalBatch, FinalPoint, Store, StoreError};
use crate::supply::{Holdings, Supply};
use crate::system::{Proposal, is_reserved};
use crate::token::Vesting;
use crate::tree::{FinaliseError, Finalised, InsertError, SharedStateAt, StateAt, Switch, Tree};
use crate::view::{State, StateError, View};

/// The ledger of one chain over a store.
#[derive(Debug)]
pub struct Ledger<S> {
    rules: Rules,
    tree: Tree<S>,
    workers: Arc<dyn Workers + Send>,
    keeps_history: bool,
}

/// Why a ledger does not open.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OpenError {
    /// The store can't be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// The store holds another chain's state.
    #[error("the data folder holds chain {found}, the genesis is of chain {expected}: give each chain its own folder")]
    OtherChain {
        /// The store's chain.
        found: Hash,
        /// The genesis'.
        expected: Hash,
    },
    /// A producer of the genesis has no account there.
    #[error("the producer {0} has no account in the genesis: its fees would have nowhere to go")]
    NoSuchProducer(AccountName),
    /// An account of the genesis bears a built-in contract's name.
    #[error("the genesis names an account {0}, which is a built-in contract's")]
    ReservedName(AccountName),
    /// Balances, bonds and the reward pool sum to more than an amount holds.
    #[error("the balances, bonds and reward pool of the genesis exceed every amount")]
    Supply,
}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        Self::State(error.into())
    }
}

/// What a query finds of an account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccountState {
    /// Its name.
    pub name: AccountName,
    /// Its permissions.
    pub record: Account,
    /// Its balance.
    pub balance: Amount,
    /// What its record and its roles have paid for their room.
    pub deposit: Deposit,
    /// Its roles and grants.
    pub delegation: Delegation,
    /// What comes to it later.
    pub vesting: Vec<VestingPart>,
}

impl<S: Store> Ledger<S> {
    /// Opens the ledger over a store: at the store's final point, or at genesis if the store is empty. The genesis is
    /// valid ([`Genesis::validate`]).
    ///
    /// # Errors
    /// A store that can't be read or is another chain's, or a genesis that no ledger can start from.
    pub fn open(genesis: &Genesis, store: S) -> Result<Self, OpenError> {
        let rules = Rules::of(genesis);
        let keeps_history = store.keeps_history()?;
        let tree = match store.final_point()? {
            Some(FinalPoint { slice, commit, .. }) => {
                check_chain(&store, rules.chain)?;
                Tree::open(store, slice, commit + 1, ChangeSet::new())?
            }
            None => Tree::open(store, genesis.genesis_slice(), 1, genesis_state(genesis, rules.chain)?)?,
        };
        Ok(Self { rules, tree, workers: Arc::new(Alone), keeps_history })
    }

    /// Has the signatures of evidence judged by `judge`. All nodes of a chain judge alike: for a simulation whose
    /// signatures are not real.
    #[must_use]
    pub fn with_judge(mut self, judge: Judge) -> Self {
        self.rules.judge = judge;
        self
    }

    /// Leaves out what slices commit to: to measure execution by itself. No node takes such a slice.
    #[must_use]
    pub fn without_commitments(mut self) -> Self {
        self.rules.commits = false;
        self
    }

    /// Has slices executed by these workers.
    #[must_use]
    pub fn with_workers(mut self, workers: Arc<dyn Workers + Send>) -> Self {
        self.workers = workers;
        self
    }

    /// What execution takes from the genesis.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The final slice that the tree stands on.
    pub fn final_slice(&self) -> SliceRef {
        self.tree.root()
    }

    /// Slices that are not final.
    pub fn unfinal_count(&self) -> usize {
        self.tree.len()
    }

    /// Whether the slice is in the tree or its root: whether something can build on it.
    pub fn knows(&self, id: &Hash) -> bool {
        self.tree.reference(id).is_some()
    }

    /// Executes a slice of another node on `parent`. The schedule has `context.producer` in that slot.
    ///
    /// # Errors
    /// The slice is invalid, the parent unknown, or the state can't be read.
    pub fn execute(
        &self,
        parent: &Hash,
        context: &SliceContext,
        transactions: &[Checked],
    ) -> Result<Executed, ExecuteError> {
        let (above, state) = self.parent_state(parent, context)?;
        apply::execute(&self.rules, &state, &above, context, transactions, &*self.workers)
    }

    /// Makes a slice's content on `parent` from candidates, leaving out what can't stand in it.
    ///
    /// # Errors
    /// The place does not come after the parent, the parent is unknown, or the state can't be read.
    pub fn build(
        &self,
        parent: &Hash,
        context: &SliceContext,
        candidates: impl IntoIterator<Item = Checked>,
    ) -> Result<Built, ExecuteError> {
        let (above, state) = self.parent_state(parent, context)?;
        apply::build(&self.rules, &state, &above, context, candidates, &*self.workers)
    }

    /// The parent and the state after it.
    fn parent_state(
        &self,
        parent: &Hash,
        context: &SliceContext,
    ) -> Result<(Parent, SharedStateAt<'_, S>), ExecuteError> {
        let above = self.tree.reference(parent).ok_or(ExecuteError::NoSuchParent)?;
        if (Height { slot: context.slot, index: context.index }) <= above.height {
            return Err(ExecuteError::NotAfterParent);
        }
        let queue = if context.index == 0 { queue(&self.state_at(parent)?)? } else { Vec::new() };
        let state = self.tree.shared_at(parent).ok_or(ExecuteError::NoSuchParent)?;
        Ok((Parent { slot: above.height.slot, queue }, state))
    }

    fn state_at(&self, id: &Hash) -> Result<StateAt<'_, S>, ExecuteError> {
        self.tree.at(id).ok_or(ExecuteError::NoSuchParent)
    }

    /// Judges a transaction for the mempool by trying it on the state at `head`, as of `slot`. `Ok(Err(reason))` says
    /// why it would not take effect now. A filter: only execution in a slice counts.
    ///
    /// # Errors
    /// The head is unknown, or the state can't be read.
    pub fn check(
        &self,
        head: &Hash,
        slot: Slot,
        transaction: &Checked,
    ) -> Result<Result<(), RejectReason>, ExecuteError> {
        let state = self.state_at(head)?;
        Ok(apply::try_one(&self.rules, &state, slot, transaction)?)
    }

    /// Adds an executed slice to the tree. `executed` is what [`execute`](Self::execute) or [`build`](Self::build) made
    /// of it on that parent, and its commitments are those of the slice.
    ///
    /// # Errors
    /// See [`InsertError`]; nothing has changed then.
    pub fn insert(&mut self, reference: SliceRef, parent: Hash, executed: Executed) -> Result<(), InsertError> {
        self.tree.insert(reference, parent, executed)
    }

    /// What a slice that is not final came to.
    pub fn executed(&self, id: &Hash) -> Option<&Executed> {
        self.tree.executed(id)
    }

    /// The receipts of a slice that is not final.
    pub fn receipts(&self, id: &Hash) -> Option<&[Receipt]> {
        self.tree.executed(id).map(|executed| executed.receipts.as_slice())
    }

    /// The way from one head to another: to be asked before finality drops the fork that is left. `None` if one of them
    /// is not in the tree.
    pub fn switch(&self, from: &Hash, to: &Hash) -> Option<Switch> {
        self.tree.switch(from, to)
    }

    /// Makes the slice of that id and its ancestors final, and drops every fork that does not spring from it.
    ///
    /// # Errors
    /// The slice does not come after the final one, or the state can't be read.
    pub fn finalise(&mut self, id: &Hash) -> Result<Finalised, FinaliseError> {
        self.tree.finalise(id)
    }

    /// The store that it stands on.
    pub fn store(&self) -> &S {
        self.tree.store()
    }

    /// Whether the store keeps an index of history, so that each slice that becomes final is to be told by
    /// [`remember`](Self::remember) before the next batch is handed over.
    pub fn keeps_history(&self) -> bool {
        self.keeps_history
    }

    /// Tells what a slice that has just become final came to, in the chain's order; for nothing where no index is kept.
    pub fn remember(&mut self, slice: SliceResults) {
        if self.keeps_history {
            self.tree.remember(slice);
        }
    }

    /// Bytes of what is not final and of final changes that are not committed; at most
    /// [`TREE_BYTES_MAX`](hpb_base::limits::TREE_BYTES_MAX).
    pub fn held_bytes(&self) -> usize {
        self.tree.held_bytes()
    }

    /// Hands over the final changes gathered since the last time, for the store's writer: `None` if there are none, or
    /// while as many batches as the limits allow are not committed.
    pub fn hand_over(&mut self) -> Option<FinalBatch> {
        self.tree.hand_over()
    }

    /// Learns that the store holds every batch up to number `commit`.
    pub fn committed(&mut self, commit: u64) {
        self.tree.committed(commit);
    }

    /// Hands over and commits to this ledger's own store at once: for tests, simulation and tools, where nobody else
    /// writes.
    ///
    /// # Errors
    /// What the store says.
    pub fn commit_here(&mut self) -> Result<(), StoreError> {
        while let Some(batch) = self.tree.hand_over() {
            self.tree.store_mut().commit(&batch)?;
            self.tree.committed(batch.point.commit);
        }
        Ok(())
    }

    /// An account at the slice of that id.
    ///
    /// # Errors
    /// The slice is unknown, or the state can't be read.
    pub fn account(&self, at: &Hash, name: AccountName) -> Result<Option<AccountState>, ExecuteError> {
        let state = self.state_at(at)?;
        let Some(record) = get_record(&state, &key::of(name, ACCOUNT))? else {
            return Ok(None);
        };
        let balance = get_record(&state, &key::of(name, BALANCE))?.unwrap_or_default();
        let deposit = get_record(&state, &key::of(name, DEPOSIT))?.unwrap_or_default();
        let delegation = get_record(&state, &key::of(name, DELEGATION))?.unwrap_or_default();
        let vesting =
            get_record::<Vesting>(&state, &key::of(name, VESTING))?.map_or_else(Vec::new, |vesting| vesting.parts);
        Ok(Some(AccountState { name, record, balance, deposit, delegation, vesting }))
    }

    /// Why `standing` satisfies `asked` at the slice of that id, or does not.
    ///
    /// # Errors
    /// The slice is unknown, or the state can't be read.
    pub fn explain(&self, at: &Hash, asked: &Authorisation, standing: Standing<'_>) -> Result<Explained, ExecuteError> {
        let state = self.state_at(at)?;
        Ok(explain::explain(asked, standing, &mut |account| get_record(&state, &key::of(account, ACCOUNT)))?)
    }

    /// The first account by name at the slice of that id whose name `is_it` accepts. Takes time in proportion to the
    /// state.
    ///
    /// # Errors
    /// The slice is unknown, or the state can't be read.
    pub fn find_account(
        &self,
        at: &Hash,
        is_it: &mut dyn FnMut(AccountName) -> bool,
    ) -> Result<Option<AccountName>, ExecuteError> {
        let mut found = None;
        self.state_at(at)?.scan(&[], |key, _| {
            found = key::parse(key)
                .filter(|place| place.table == ACCOUNT)
                .map(|place| place.account)
                .filter(|name| is_it(*name));
            if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(found)
    }

    /// The first accounts by name, in what is committed, whose names begin with `prefix` and come after `after`: `limit` at
    /// most. Takes time in proportion to them.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn account_names(
        &self,
        prefix: &str,
        after: Option<AccountName>,
        limit: usize,
    ) -> Result<Vec<AccountName>, StoreError> {
        // What is of an account stands behind its name and a zero byte.
        let behind = |name: AccountName| [name.as_bytes(), &[1]].concat();
        let mut from = after.map_or_else(Vec::new, behind).max(prefix.as_bytes().to_vec());
        let mut names = Vec::new();
        while names.len() < limit {
            let found = self.tree.store().key_from(&from)?.filter(|key| key.starts_with(prefix.as_bytes()));
            let Some(key) = found else { break };
            from = match key::parse(&key) {
                // The table of accounts is the first that there is.
                Some(place) => {
                    names.extend((place.table == ACCOUNT).then_some(place.account));
                    behind(place.account)
                }
                None => [&key[..], &[0]].concat(),
            };
        }
        Ok(names)
    }

    /// What an account proposes at the slice of that id, by name.
    ///
    /// # Errors
    /// The slice is unknown, or the state can't be read.
    pub fn proposals(&self, at: &Hash, proposer: AccountName) -> Result<Vec<(PermissionName, Proposal)>, ExecuteError> {
        let (state, mut all, mut damaged) = (self.state_at(at)?, Vec::new(), None);
        state.scan(&key::of(proposer, PROPOSAL), |key, value| {
            let name = key::parse(key).and_then(|place| core::str::from_utf8(place.sub_key).ok()?.parse().ok());
            match name.zip(records::load(value)) {
                Some(proposal) => all.push(proposal),
                None => damaged = Some(StateError::damaged(key)),
            }
            if damaged.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        damaged.map_or(Ok(all), |error| Err(error.into()))
    }

    /// The price of a transaction in `slot`, on the slice of that id, in parts of [`PRICE_ONE`](crate::fees::PRICE_ONE).
    ///
    /// # Errors
    /// The slice is unknown, or the state can't be read.
    pub fn price(&self, at: &Hash, slot: Slot) -> Result<u32, ExecuteError> {
        let tariff = self.tariff(at)?;
        Ok(apply::load_at(&mut View::new(&self.state_at(at)?), &tariff, slot)?.price)
    }

    /// What transactions cost in a slice on the slice of that id, at the lowest price.
    ///
    /// # Errors
    /// The slice is unknown, or the state can't be read.
    pub fn tariff(&self, at: &Hash) -> Result<Tariff, ExecuteError> {
        let state = self.state_at(at)?;
        let key = key::of(SYSTEM, TARIFF);
        Ok(get_record(&state, &key)?.ok_or_else(|| StateError::damaged(&key))?)
    }

    /// What an account has staked and how it votes; nothing for one that never staked or voted, or does not exist.
    ///
    /// # Errors
    /// The slice is unknown, or the state can't be read.
    pub fn stake(&self, at: &Hash, name: AccountName) -> Result<Stake, ExecuteError> {
        Ok(get_record(&self.state_at(at)?, &key::of(name, STAKE))?.unwrap_or_default())
    }

    /// The registered producers by rank: those that can be scheduled first, then by votes, then by registration.
    ///
    /// # Errors
    /// The slice is unknown, or the state can't be read.
    pub fn producers(&self, at: &Hash) -> Result<Vec<ProducerState>, ExecuteError> {
        Ok(dpos::producers(&mut View::new(&self.state_at(at)?))?)
    }

    /// The registered producer of that name.
    ///
    /// # Errors
    /// The slice is unknown, or the state can't be read.
    pub fn producer(&self, at: &Hash, name: AccountName) -> Result<Option<ProducerState>, ExecuteError> {
        Ok(dpos::producer(&mut View::new(&self.state_at(at)?), name)?)
    }

    /// What the pool of rewards holds.
    ///
    /// # Errors
    /// The slice is unknown, or the state can't be read.
    pub fn pool(&self, at: &Hash) -> Result<Amount, ExecuteError> {
        Ok(get_record(&self.state_at(at)?, &key::of(DPOS, POOL))?.unwrap_or_default())
    }

    /// What the producers of the slice's epoch have done in it so far; `None` before the first slice and without
    /// elections.
    ///
    /// # Errors
    /// The slice is unknown, or the state can't be read.
    pub fn epoch_activity(&self, at: &Hash) -> Result<Option<EpochActivity>, ExecuteError> {
        Ok(dpos::activity(&mut View::new(&self.state_at(at)?))?)
    }

    /// Sums the token over the whole state at the slice of that id. Takes time in proportion to the state.
    ///
    /// # Errors
    /// The slice is unknown, the state can't be read, or a part of the supply does not read back.
    pub fn supply(&self, at: &Hash) -> Result<Supply, ExecuteError> {
        self.supply_of(at, &self.holdings(at)?)
    }

    /// The same where the walk was done: `holdings` are those of the slice of that id.
    ///
    /// # Errors
    /// Those of [`supply`](Self::supply).
    pub fn supply_of(&self, at: &Hash, holdings: &Holdings) -> Result<Supply, ExecuteError> {
        let supply_key = key::of(SYSTEM, SUPPLY);
        let genesis = get_record(&self.state_at(at)?, &supply_key)?.ok_or_else(|| StateError::damaged(&supply_key))?;
        let now = holdings.sum().ok_or_else(|| StateError::overflow("the supply"))?;
        Ok(Supply { genesis, now })
    }

    /// Where the token lies at the slice of that id. Takes time in proportion to the state.
    ///
    /// # Errors
    /// Those of [`supply`](Self::supply).
    pub fn holdings(&self, at: &Hash) -> Result<Holdings, ExecuteError> {
        Ok(holdings(&self.state_at(at)?)?)
    }

    /// To whom something comes later at the slice of that id, by name, with its parts. Takes time in proportion to the
    /// state.
    ///
    /// # Errors
    /// The slice is unknown, or the state can't be read.
    pub fn vesting(&self, at: &Hash) -> Result<Vec<(AccountName, Vec<VestingPart>)>, ExecuteError> {
        let state = self.state_at(at)?;
        let (mut all, mut damaged) = (Vec::new(), None);
        state.scan(&[], |key, value| {
            let Some(place) = key::parse(key).filter(|place| place.table == VESTING) else {
                return ControlFlow::Continue(());
            };
            if let Some(vesting) = records::load::<Vesting>(value) {
                all.push((place.account, vesting.parts));
                return ControlFlow::Continue(());
            }
            damaged = Some(StateError::damaged(key));
            ControlFlow::Break(())
        })?;
        match damaged {
            None => Ok(all),
            Some(error) => Err(error.into()),
        }
    }

    /// A record of the state at the slice of that id, for tests.
    #[cfg(test)]
    pub(crate) fn record(&self, at: &Hash, key: &Bytes) -> Option<Bytes> {
        self.state_at(at).ok()?.get(key).ok()?
    }

    /// Visits the whole state at the slice of that id, for tests.
    #[cfg(test)]
    pub(crate) fn visit(&self, at: &Hash, mut visit: impl FnMut(&[u8], &[u8])) {
        let state = self.state_at(at).ok();
        let visited = state.map(|state| {
            state.scan(&[], |key, value| {
                visit(key, value);
                ControlFlow::Continue(())
            })
        });
        assert_eq!(visited, Some(Ok(())));
    }

    /// The root of the state at the slice of that id: what the slice's results commit to, and nodes compare.
    ///
    /// # Errors
    /// The slice is unknown, or the state can't be read.
    pub fn state_root(&self, at: &Hash) -> Result<Hash, ExecuteError> {
        let key = key::of(SYSTEM, SUM);
        let record = self.state_at(at)?.get(&key)?;
        let sum = record.and_then(|record| LatticeSum::from_record(&record));
        Ok(sum.ok_or_else(|| StateError::damaged(&key))?.root())
    }

    /// The same, summed anew over the whole state: equal, or the state is not what its slices made it. Takes time in
    /// proportion to the state.
    ///
    /// # Errors
    /// The slice is unknown, or the state can't be read.
    pub fn summed_root(&self, at: &Hash) -> Result<Hash, ExecuteError> {
        let (own, mut sum) = (key::of(SYSTEM, SUM), LatticeSum::default());
        self.state_at(at)?.scan(&[], |key, value| {
            if key != own.as_slice() {
                sum.add(key, value);
            }
            ControlFlow::Continue(())
        })?;
        Ok(sum.root())
    }
}

fn get_record<T: hpb_types::Canonical>(state: &impl State, key: &Bytes) -> Result<Option<T>, StateError> {
    match state.get(key)? {
        Some(bytes) => records::load(&bytes).map(Some).ok_or_else(|| StateError::damaged(key)),
        None => Ok(None),
    }
}

/// The first keys of the queue of proposals.
fn queue<S: Store>(state: &StateAt<'_, S>) -> Result<Vec<Bytes>, StateError> {
    let mut keys = Vec::new();
    state.scan(&key::of(SYSTEM, DUE), |key, _| {
        keys.push(Bytes::from(key));
        if keys.len() < DUE_PER_BLOCK_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(keys)
}

fn holdings<S: Store>(state: &StateAt<'_, S>) -> Result<Holdings, StateError> {
    let (mut holdings, mut damaged) = (Holdings::default(), None);
    state.scan(&[], |key, value| {
        let Some(place) = key::parse(key) else { return ControlFlow::Continue(()) };
        if holdings.add(place.table, value) {
            return ControlFlow::Continue(());
        }
        damaged = Some(StateError::damaged(key));
        ControlFlow::Break(())
    })?;
    damaged.map_or(Ok(holdings), Err)
}

fn check_chain(store: &impl Store, expected: ChainId) -> Result<(), OpenError> {
    let key = key::of(SYSTEM, CHAIN);
    let found = store.get(&key)?.and_then(|bytes| records::load(&bytes));
    let ChainId(found) = found.ok_or_else(|| StateError::damaged(&key))?;
    if found == expected.0 { Ok(()) } else { Err(OpenError::OtherChain { found, expected: expected.0 }) }
}

/// The state that a genesis states.
fn genesis_state(genesis: &Genesis, chain: ChainId) -> Result<ChangeSet, OpenError> {
    let mut state = BTreeMap::new();
    let supply = genesis.supply().ok_or(OpenError::Supply)?;
    for account in &genesis.accounts {
        if is_reserved(account.name) && !account.name.is_address_form() {
            return Err(OpenError::ReservedName(account.name));
        }
        let record = Account::with_keys(account.key, account.key);
        state.insert(key::of(account.name, ACCOUNT), records::store(&record));
        if account.balance != Amount::ZERO {
            state.insert(key::of(account.name, BALANCE), records::store_amount(account.balance));
        }
        if !account.vesting.is_empty() {
            let vesting = Vesting { parts: account.vesting.clone() };
            state.insert(key::of(account.name, VESTING), records::store(&vesting));
        }
    }
    for producer in &genesis.producers {
        if !state.contains_key(&key::of(producer.name, ACCOUNT)) {
            return Err(OpenError::NoSuchProducer(producer.name));
        }
    }
    dpos::genesis_state(genesis, &mut state);
    state.insert(key::of(SYSTEM, CHAIN), records::store(&chain));
    state.insert(key::of(SYSTEM, SUPPLY), records::store(&supply));
    let tariff = Tariff { fees: genesis.fees, deposit_per_byte: genesis.deposit_per_byte };
    state.insert(key::of(SYSTEM, TARIFF), records::store(&tariff));
    let mut sum = LatticeSum::default();
    for (key, value) in &state {
        sum.add(key, value);
    }
    state.insert(key::of(SYSTEM, SUM), sum.to_record());
    Ok(state.into_iter().map(|(key, value)| (key, Some(value))).collect())
}

#[cfg(test)]
mod tests;
