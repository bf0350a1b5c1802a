//! The transfers of a run, signed, in slices; and the genesis that can pay for them.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use hpb_base::Random;
use hpb_devnet::terminals::transfer_fee_max;
use hpb_devnet::workload::{Source, Workload};
use hpb_ledger::account::ACTIVE;
use hpb_ledger::token::transfer_action;
use hpb_types::{
    AccountName, Amount, Authorisation, EngineChoice, Fees, Genesis, GenesisAccount, GenesisProducer, Hash, KeyPair,
    NameError, PublicKey, Transaction, TransactionBody, VrfSecret,
};

use super::LedgerError;

/// Transfers of one slice.
pub(crate) const SLICE_TRANSFERS: usize = 1_024;
/// Accounts of the uniform load.
pub(super) const UNIFORM_ACCOUNTS: usize = 10_000;
/// What a uniform transfer moves.
pub(crate) const UNIFORM_AMOUNT: Amount = Amount(1_000);
/// What a transaction costs; the price is followed, and stays.
const FEES: Fees =
    Fees { per_byte: Amount(1_000), per_signature: Amount(100_000), per_unit: Amount(100), slot_units: 1 << 40 };
/// A slot's length.
pub(crate) const SLOT_MS: u32 = 3_000;
const PRODUCER: &str = "producer";
/// How long a transfer is good for: longer than any run lasts in chain time.
pub(crate) const EXPIRY_MS: u64 = 500_000;

/// Whose transfers, between which accounts.
pub(super) struct Load {
    pub(super) name: &'static str,
    /// Where it is from and how it repeats.
    pub(super) origin: String,
    accounts: Vec<(AccountName, Amount)>,
    /// From, to, amount, salt.
    transfers: Vec<(u32, u32, Amount, u64)>,
}

/// A load that is signed.
pub(super) struct Signed {
    pub(super) genesis: Genesis,
    pub(super) slices: Vec<Vec<Transaction>>,
}

impl Load {
    /// `count` transfers between accounts that are all as likely as each other.
    pub(super) fn uniform(count: usize) -> Result<Self, LedgerError> {
        let mut random = Random::new(1);
        let mut draw = || random.below(UNIFORM_ACCOUNTS as u64) as u32;
        let transfers: Vec<_> = (0..count as u64).map(|salt| (draw(), draw(), UNIFORM_AMOUNT, salt)).collect();
        let fee = fee_max()?;
        let mut accounts = Vec::with_capacity(UNIFORM_ACCOUNTS);
        for number in 0..UNIFORM_ACCOUNTS {
            accounts.push((format!("account-{number}").parse()?, Amount::ZERO));
        }
        for (from, ..) in &transfers {
            let balance: &mut Amount = &mut accounts[*from as usize].1;
            balance.0 += fee.0 + UNIFORM_AMOUNT.0;
        }
        let origin = format!("{UNIFORM_ACCOUNTS} accounts, sender and receiver drawn alike");
        Ok(Self { name: "uniform", origin, accounts, transfers })
    }

    /// `count` of the transfers of a file, in its order, again and again.
    pub(super) fn mainnet(path: &Path, count: usize) -> Result<Self, LedgerError> {
        let workload = Arc::new(Workload::from_file(path)?);
        let accounts = workload.endow(count as u64, fee_max()?)?;
        let accounts = accounts.into_iter().map(|endowment| (endowment.name, endowment.balance)).collect();
        let source = Source::new(Arc::clone(&workload), 1);
        let transfers = source.take(count).map(|submission| {
            let transfer = submission.transfer;
            (transfer.from, transfer.to, transfer.amount, submission.salt)
        });
        #[allow(clippy::cast_precision_loss, reason = "counts below 2^53")]
        let passes = count as f64 / workload.transfers().len() as f64;
        let origin = format!(
            "{} transfers between {} accounts in the file's order, gone through {passes:.1} times with other salts; {} \
             rows without a receiver left out",
            workload.transfers().len(),
            workload.parties().len(),
            workload.rows_skipped()
        );
        Ok(Self { name: "mainnet", origin, accounts, transfers: transfers.collect() })
    }

    /// Its transfers.
    pub(super) fn len(&self) -> usize {
        self.transfers.len()
    }

    /// Signs all of it.
    pub(super) fn sign(&self) -> Result<Signed, LedgerError> {
        let keys: Vec<KeyPair> =
            self.accounts.iter().map(|(name, _)| KeyPair::from_seed(Hash::of(name.as_str().as_bytes()).0)).collect();
        let genesis = self.genesis(&keys)?;
        let (chain, fee_limit) = (genesis.chain_id(), fee_max()?);
        let one = |(from, to, amount, salt): &(u32, u32, Amount, u64)| {
            let [payer, to] = [*from, *to].map(|index| self.accounts[index as usize].0);
            let body = TransactionBody {
                version: TransactionBody::VERSION,
                chain,
                payer,
                authorisations: vec![Authorisation { account: payer, permission: ACTIVE }],
                actions: vec![transfer_action(payer, to, *amount)],
                expiry_ms: genesis.time_ms + EXPIRY_MS,
                fee_limit,
                salt: *salt,
            };
            Transaction::sign(body, &[&keys[*from as usize]])
        };
        let slices = self.transfers.chunks(SLICE_TRANSFERS).map(|slice| slice.iter().map(one).collect()).collect();
        Ok(Signed { genesis, slices })
    }

    /// Writes it as `hpb-peer-revm` reads it (its `--help` gives the form): accounts by address, transfers by their places.
    /// A name that stands for no address gets the first bytes of its hash.
    pub(super) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        writeln!(to, "hpb-transfers 1\naccounts {}", self.accounts.len())?;
        for (name, balance) in &self.accounts {
            for byte in address(name) {
                write!(to, "{byte:02x}")?;
            }
            writeln!(to, " {}", balance.0)?;
        }
        writeln!(to, "transfers {}", self.transfers.len())?;
        for (from, to_whom, amount, _) in &self.transfers {
            writeln!(to, "{from} {to_whom} {}", amount.0)?;
        }
        Ok(())
    }

    fn genesis(&self, keys: &[KeyPair]) -> Result<Genesis, NameError> {
        let accounts = self.accounts.iter().zip(keys);
        genesis("bench ledger", accounts.map(|((name, held), keys)| account(*name, keys.public(), *held)).collect())
    }
}

fn address(name: &AccountName) -> [u8; 20] {
    name.address().unwrap_or_else(|| {
        let mut address = [0; 20];
        address.copy_from_slice(&Hash::of(name.as_str().as_bytes()).0[..20]);
        address
    })
}

/// An account of a genesis.
pub(crate) fn account(name: AccountName, key: PublicKey, balance: Amount) -> GenesisAccount {
    GenesisAccount { name, key, balance, vesting: Vec::new() }
}

/// A genesis with these accounts, and one producer for ever.
pub(crate) fn genesis(label: &str, mut accounts: Vec<GenesisAccount>) -> Result<Genesis, NameError> {
    let name: AccountName = PRODUCER.parse()?;
    let key = |of: &str| KeyPair::from_seed(Hash::of(of.as_bytes()).0).public();
    accounts.push(account(name, key("producer account"), Amount::ZERO));
    accounts.sort_by_key(|account| account.name);
    let beacon = VrfSecret::from_seed([7; 32]).public();
    let producer = GenesisProducer { name, key: key("producer slices"), beacon, bond: Amount::ZERO };
    Ok(Genesis {
        version: Genesis::VERSION,
        label: label.to_owned(),
        time_ms: 1_800_000_000_000,
        slot_ms: SLOT_MS,
        slice_ms: 50,
        delta_ms: 100,
        epoch_slots: 1_000,
        fees: FEES,
        deposit_per_byte: Amount::ZERO,
        engine: EngineChoice::Authority,
        producers: vec![producer],
        accounts,
    })
}

/// What a transfer of any amount costs at most.
pub(crate) fn fee_max() -> Result<Amount, LedgerError> {
    transfer_fee_max(FEES).ok_or(LedgerError::Unpayable)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_load_is_written_by_address_and_place() {
        let address = [0xab; 20];
        let accounts =
            vec![(AccountName::from_address(address), Amount(7)), ("bob".parse().unwrap(), Amount(u128::MAX))];
        let load = Load { name: "x", origin: String::new(), accounts, transfers: vec![(1, 0, Amount(5), 9)] };
        let mut text = Vec::new();
        load.write(&mut text).unwrap();
        let second = &Hash::of(b"bob").to_hex()[..40];
        let expected =
            format!("hpb-transfers 1\naccounts 2\n{} 7\n{second} {}\ntransfers 1\n1 0 5\n", "ab".repeat(20), u128::MAX);
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }
}
