//! The white paper's allocation of GXN (section 4), as a genesis to begin with.
//!
//! The paper states shares and no total; 100 million tokens are ours. 36 % went to the crowd sale: a presale of 8,000 ETH
//! at 1,300 GXN each, then 1,200, 1,100 and 1,000 GXN a week, to a cap of 22,000 ETH. 10 % went to early contributors.
//! 20 % are the founders': locked for a year, then 5 % of all each half year for two years. 19 % are a reserve, locked for
//! two years. 15 % are incentives: the pool that blocks are paid from, less what the first producers have bonded out of
//! it.

use hpb_types::{
    AccountName, Amount, DposParameters, EngineChoice, Fees, Genesis, GenesisAccount, GenesisProducer, PublicKey,
    VestingPart, VrfPublic, Weighting,
};

use crate::date::Date;

/// All tokens.
pub const TOKENS: u128 = 100_000_000;
/// Of a hundred parts: the crowd sale's.
pub const CROWD: u128 = 36;
/// Early contributors'.
pub const EARLY: u128 = 10;
/// The founders'.
pub const FOUNDERS: u128 = 20;
/// The reserve's.
pub const RESERVE: u128 = 19;
/// Incentives.
pub const INCENTIVES: u128 = 15;

/// Months after the start at which a fourth of the founders' part is theirs.
pub const FOUNDERS_MONTHS: [u16; 4] = [18, 24, 30, 36];
/// Months after the start at which the reserve is free.
pub const RESERVE_MONTHS: u16 = 24;

/// What a first producer has bonded.
const BOND: u128 = 10_000;
/// A key that nobody has put in yet: no genesis with it is one.
const NO_KEY: [u8; 32] = [0; 32];

/// The genesis of a chain that starts on `start` with that many producers, 1 to 101. Its keys are all zero: whoever starts
/// the chain puts them in. `None` if the last release would come after the year 9999.
pub fn gxn(start: Date, producers: u8) -> Option<Genesis> {
    let part = |hundredths: u128| Amount(TOKENS / 100 * hundredths * Amount::ONE.0);
    let founders = FOUNDERS_MONTHS.map(|months| start.plus_months(months));
    let mut vesting = Vec::with_capacity(founders.len());
    for date in founders {
        let amount = Amount(part(FOUNDERS).0 / FOUNDERS_MONTHS.len() as u128);
        vesting.push(VestingPart { free_at_ms: date?.unix_ms(), amount });
    }
    let reserve = vec![VestingPart { free_at_ms: start.plus_months(RESERVE_MONTHS)?.unix_ms(), amount: part(RESERVE) }];
    let account =
        |name: AccountName, balance, vesting| GenesisAccount { name, key: PublicKey(NO_KEY), balance, vesting };
    let mut accounts = vec![
        account(AccountName::literal("crowd"), part(CROWD), Vec::new()),
        account(AccountName::literal("early"), part(EARLY), Vec::new()),
        account(AccountName::literal("founders"), Amount::ZERO, vesting),
        account(AccountName::literal("reserve"), Amount::ZERO, reserve),
    ];
    let names: Vec<AccountName> =
        (1..=producers).filter_map(|number| AccountName::new(&format!("producer-{number:03}")).ok()).collect();
    accounts.extend(names.iter().map(|name| account(*name, Amount::ZERO, Vec::new())));
    accounts.sort_by_key(|account| account.name);
    let bond = Amount(BOND * Amount::ONE.0);
    let bonded = Amount(bond.0 * names.len() as u128);
    Some(Genesis {
        version: Genesis::VERSION,
        label: "gxn".to_owned(),
        time_ms: start.unix_ms(),
        slot_ms: 3_000,
        slice_ms: 50,
        delta_ms: 100,
        epoch_slots: 1_200,
        fees: Fees {
            per_byte: Amount(1_000_000_000),
            per_signature: Amount(100_000_000_000),
            per_unit: Amount(100_000_000),
            slot_units: 150_000_000,
        },
        deposit_per_byte: Amount(100_000_000_000),
        engine: EngineChoice::Dpos(DposParameters {
            producers_max: u32::from(producers).max(21),
            weighting: Weighting::Equal,
            bond_min: bond,
            release_slots: 201_600,
            cut_permille: 500,
            reporter_permille: 100,
            reward_per_slot: Amount(Amount::ONE.0 / 10),
            reward_pool: part(INCENTIVES).checked_sub(bonded)?,
        }),
        producers: names
            .iter()
            .map(|name| GenesisProducer { name: *name, key: PublicKey(NO_KEY), beacon: VrfPublic(NO_KEY), bond })
            .collect(),
        accounts,
    })
}
