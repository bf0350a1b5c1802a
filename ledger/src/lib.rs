//! The ledger: what the chain's transactions come to, and where it is kept.
//!
//! The execution half is pure: accounts and their permissions, the token, the tracked view, the execution of a slice's
//! transactions, the tree of slices that are not final, the mempool. [`Ledger`] joins them. The durable half is the
//! [`Store`] of final state and the synced block log beside it. What a built-in contract does stands behind the same
//! engine and host traits (`hpb_vm`) as every other contract.

pub mod account;
pub mod apply;
pub mod archive;
pub mod authority;
pub mod bytes;
pub mod chainlog;
pub mod changes;
pub mod checked;
pub mod commitment;
pub mod deposit;
pub mod dpos;
pub mod fees;
pub mod folder;
mod hashed;
pub mod history;
mod host;
pub mod key;
pub mod lattice;
pub mod ledger;
pub mod lmdb;
pub mod mempool;
pub mod native;
pub mod parallel;
pub mod records;
mod resident;
pub mod sealed;
pub mod snapshot;
pub mod store;
pub mod supply;
pub mod sync_times;
pub mod system;
pub mod token;
pub mod tree;
mod versions;
pub mod view;
pub mod watermark;

pub use account::Account;
pub use apply::{Built, ExecuteError, Executed, Rules, SliceContext};
pub use changes::ChangeSet;
pub use checked::Checked;
pub use ledger::{AccountState, Ledger, OpenError};
pub use mempool::{Mempool, MempoolLimits};
pub use store::{Difference, FinalBatch, FinalPoint, MemoryStore, SharedStore, Store, StoreError};
pub use supply::{Holdings, Supply};
pub use tree::{FinalSlice, FinaliseError, Finalised, InsertError, Switch};
pub use view::{State, StateError};

#[cfg(test)]
mod testing;
