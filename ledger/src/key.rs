//! Where everything lies in the state.
//!
//! A key is the account's name, one zero byte, the table's number, the sub-key. No name holds a zero byte, so keys
//! order by account first, as the names themselves do, then by table, then by sub-key; everything of an account, and
//! everything of one of its tables, is one prefix.
//!
//! | table | account | sub-key | value | written by |
//! | --- | --- | --- | --- | --- |
//! | 1 | any | none | the account record ([`crate::account::Account`]); the account exists where it lies | `system` |
//! | 2 | any | none | the balance, where it is not zero | `token` |
//! | 3 | any | none | what its record and its roles have paid for their room ([`crate::deposit::Deposit`]) | `system` |
//! | 4 | any | none | its roles and grants ([`crate::authority::delegation::Delegation`]) | `system` |
//! | 5 | any | role, zero, u8 | what a policy let out today ([`crate::authority::delegation::Allowance`]) | the ledger |
//! | 6 | any | none | what comes to it later ([`crate::token::Vesting`]) | genesis, `token` |
//! | 7 | any | name | what it proposes ([`crate::system::Proposal`]) | `system`, the ledger |
//! | 16 | `system` | none | the chain id | genesis |
//! | 17 | `system` | none | the supply at genesis | genesis |
//! | 18 | `system` | none | the tariff | genesis; later by block |
//! | 19 | `system` | none | the fees of the current slot ([`crate::records::SlotFees`]) | the ledger |
//! | 20 | `system` | none | which records of table 21 are held ([`crate::records::Window`]) | the ledger |
//! | 21 | `system` | sequence u64, big-endian | the ids that one slice included ([`crate::records::Included`]) | the ledger |
//! | 22 | `system` | none | the load and price of the last slot with transactions ([`crate::fees::Load`]), where prices move | the ledger |
//! | 23 | `system` | time u64, proposal id, both big-endian | whose proposal is due then, and its name ([`crate::system::Due`]) | `system`, the ledger |
//! | 24 | `system` | none | the sum of all other records ([`crate::lattice::LatticeSum`]) | genesis, the ledger |
//! | 32 | any | none | what the account has staked, and its vote ([`crate::dpos::Stake`]), where there is anything | `dpos` |
//! | 33 | any | none | the registered producer ([`crate::dpos::Producer`]) | genesis, `dpos`, the ledger |
//! | 34 | any | none | the votes for the account as a producer, where they are not zero | `dpos` |
//! | 35 | `dpos` | kind u8, key | the name of the producer that has the key; kind 0 is of slices, 1 of the beacon | genesis, `dpos` |
//! | 36 | `dpos` | none | the registered producers ([`crate::dpos::Roster`]) | genesis, `dpos` |
//! | 37 | `dpos` | none | the pool that rewards are paid from | genesis, `dpos`, the ledger |
//! | 38 | `dpos` | none | what the beacon has come to | genesis, the ledger |
//! | 39 | `dpos` | none | the last epoch whose schedule is fixed | genesis, the ledger |
//! | 40 | `dpos` | none | whose epoch it is ([`crate::dpos::Term`]) | the ledger |
//! | 41 | `dpos` | none | what they have done in it ([`crate::dpos::Activity`]) | the ledger |
//! | 128 to 255 | any | any | a contract's own | the contract of that account |
//!
//! Other tables are kept for later.

use hpb_types::AccountName;
use hpb_vm::{Place, Table};

use crate::bytes::Bytes;

/// The account of the chain itself, and of the contract that makes accounts.
pub const SYSTEM: AccountName = AccountName::literal("system");
/// The account of the contract that moves the chain's token.
pub const TOKEN: AccountName = AccountName::literal("token");
/// The account of the contract of stake, votes and producers.
pub const DPOS: AccountName = AccountName::literal("dpos");

/// Account records.
pub const ACCOUNT: Table = Table(1);
/// Balances.
pub const BALANCE: Table = Table(2);
/// What an account has paid for its room in the state.
pub const DEPOSIT: Table = Table(3);
/// Roles and grants.
pub const DELEGATION: Table = Table(4);
/// What policies let out today.
pub const ALLOWANCE: Table = Table(5);
/// What comes to accounts later.
pub const VESTING: Table = Table(6);
/// What accounts propose.
pub const PROPOSAL: Table = Table(7);
/// The chain id.
pub const CHAIN: Table = Table(16);
/// The supply at genesis.
pub const SUPPLY: Table = Table(17);
/// The tariff.
pub const TARIFF: Table = Table(18);
/// The fees of the current slot.
pub const SLOT_FEES: Table = Table(19);
/// Which records of [`INCLUDED`] are held.
pub const WINDOW: Table = Table(20);
/// Ids of transactions that may not have expired.
pub const INCLUDED: Table = Table(21);
/// The load and price of the last slot with transactions.
pub const LOAD: Table = Table(22);
/// Proposals that wait for their time.
pub const DUE: Table = Table(23);
/// The sum of all other records.
pub const SUM: Table = Table(24);
/// What accounts have staked.
pub const STAKE: Table = Table(32);
/// Registered producers.
pub const PRODUCER: Table = Table(33);
/// Votes for producers.
pub const VOTES: Table = Table(34);
/// Producers by their keys.
pub const PRODUCER_KEY: Table = Table(35);
/// All registered producers.
pub const ROSTER: Table = Table(36);
/// The pool of rewards.
pub const POOL: Table = Table(37);
/// What the beacon has come to.
pub const BEACON: Table = Table(38);
/// The last epoch whose schedule is fixed.
pub const FIXED: Table = Table(39);
/// Whose epoch it is.
pub const TERM: Table = Table(40);
/// What its producers have done.
pub const ACTIVITY: Table = Table(41);
/// The first table that belongs to the contract of the account that it lies under.
pub const CONTRACT_TABLES: Table = Table(128);

/// The key of `place`.
pub fn of_place(place: Place<'_>) -> Bytes {
    Bytes::concat(&[place.account.as_bytes(), &[0, place.table.0], place.sub_key])
}

/// The key of an account's only record in `table`, and the prefix of all it has there.
pub fn of(account: AccountName, table: Table) -> Bytes {
    of_place(Place { account, table, sub_key: &[] })
}

/// The key of record `sequence` of [`INCLUDED`].
pub fn of_included(sequence: u64) -> Bytes {
    of_place(Place { account: SYSTEM, table: INCLUDED, sub_key: &sequence.to_be_bytes() })
}

/// The account, table and sub-key of a key; `None` if it is none of this layout.
pub fn parse(key: &[u8]) -> Option<Place<'_>> {
    let zero = key.iter().position(|byte| *byte == 0)?;
    let (name, rest) = key.split_at(zero);
    let account = core::str::from_utf8(name).ok()?.parse().ok()?;
    let [_, table, sub_key @ ..] = rest else {
        return None;
    };
    Some(Place { account, table: Table(*table), sub_key })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn keys_order_by_name_table_and_sub_key() {
        let mut keys = Vec::new();
        for name in ["abc", "abc-d", "abc.d", "abc0", "abcd", "b-c"] {
            for table in [1, 2, 21, 255] {
                for sub_key in [&b""[..], b"\0", b"a", b"\xff"] {
                    keys.push(of_place(Place { account: name.parse().unwrap(), table: Table(table), sub_key }));
                }
            }
        }
        assert!(keys.is_sorted());
        for key in &keys {
            assert_eq!(&of_place(parse(key).unwrap()), key);
        }
    }

    #[test]
    fn one_account_is_one_prefix() {
        let prefix = b"abc\0";
        let short = of("abc".parse().unwrap(), ACCOUNT);
        let long = of("abcd".parse().unwrap(), ACCOUNT);
        assert!(short.starts_with(prefix) && !long.starts_with(prefix));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for bytes in [&b""[..], b"abc", b"abc\0", b"ab\0\x01", b"a_b\0\x01", b"\0\x01"] {
            assert_eq!(parse(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn sequences_order_as_numbers() {
        assert!(of_included(255) < of_included(256));
        assert_eq!(of_included(1).as_slice(), b"system\0\x15\0\0\0\0\0\0\0\x01");
    }
}
