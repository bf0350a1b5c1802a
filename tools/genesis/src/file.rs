//! Reading a genesis file.

use core::ops::Range;

use hpb_types::{
    AccountName, Amount, AmountError, DposParameters, EngineChoice, Fees, Genesis, GenesisAccount, GenesisError,
    GenesisProducer, PublicKey, VestingPart, VrfPublic, Weighting,
};
use serde::Deserialize;
use toml::Spanned;
use toml::value::{Datetime, Offset};

use crate::date::Date;
use crate::error::GenesisFileError;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    label: Spanned<String>,
    start: Spanned<Time>,
    slot_ms: Spanned<u32>,
    slice_ms: Spanned<u32>,
    delta_ms: Spanned<u32>,
    epoch_slots: Spanned<u64>,
    fee_per_byte: Spanned<String>,
    fee_per_signature: Spanned<String>,
    fee_per_unit: Spanned<String>,
    slot_units: Spanned<u64>,
    deposit_per_byte: Spanned<String>,
    engine: Engine,
    producers: Vec<Spanned<Producer>>,
    #[serde(default)]
    accounts: Vec<Spanned<Account>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Time {
    Date(Datetime),
    UnixMs(u64),
}

/// All that an engine may state. What it must depends on its kind.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Engine {
    kind: Spanned<Kind>,
    producers_max: Option<Spanned<u32>>,
    weighting: Option<Spanned<WeightingWord>>,
    bond_min: Option<Spanned<String>>,
    release_slots: Option<Spanned<u64>>,
    cut_permille: Option<Spanned<u16>>,
    reporter_permille: Option<Spanned<u16>>,
    reward_per_slot: Option<Spanned<String>>,
    reward_pool: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Dpos,
    Authority,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum WeightingWord {
    Equal,
    Bond,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Producer {
    name: Spanned<String>,
    key: Spanned<String>,
    beacon: Spanned<String>,
    bond: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Account {
    name: Spanned<String>,
    key: Spanned<String>,
    balance: Spanned<String>,
    #[serde(default)]
    vesting: Vec<Vest>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vest {
    free_at: Spanned<Time>,
    amount: Spanned<String>,
}

/// Reads a genesis file. Accounts may stand in any order.
///
/// # Errors
/// The first thing that does not read or breaks a rule, with its line.
pub fn parse(text: &str) -> Result<Genesis, GenesisFileError> {
    let file: File = toml::from_str(text).map_err(|error| match error.span() {
        Some(span) => GenesisFileError::at(text, span.start, error.message()),
        None => GenesisFileError { line: None, what: error.message().to_owned() },
    })?;
    let reader = Reader { text };
    let genesis = reader.genesis(&file)?;
    genesis.validate().map_err(|error| {
        let span = place(&file, &error);
        GenesisFileError::at(text, span.start, error)
    })?;
    Ok(genesis)
}

impl Engine {
    /// Where the first parameter of elected producers stands.
    fn first_stated(&self) -> Option<Range<usize>> {
        let stated = [
            self.producers_max.as_ref().map(Spanned::span),
            self.weighting.as_ref().map(Spanned::span),
            self.bond_min.as_ref().map(Spanned::span),
            self.release_slots.as_ref().map(Spanned::span),
            self.cut_permille.as_ref().map(Spanned::span),
            self.reporter_permille.as_ref().map(Spanned::span),
            self.reward_per_slot.as_ref().map(Spanned::span),
            self.reward_pool.as_ref().map(Spanned::span),
        ];
        stated.into_iter().flatten().min_by_key(|span| span.start)
    }

    /// Where a parameter stands, or at least the kind.
    fn place<T>(&self, field: Option<&Spanned<T>>) -> Range<usize> {
        field.map_or_else(|| self.kind.span(), Spanned::span)
    }
}

struct Reader<'t> {
    text: &'t str,
}

impl Reader<'_> {
    fn genesis(&self, file: &File) -> Result<Genesis, GenesisFileError> {
        let mut accounts = Vec::with_capacity(file.accounts.len());
        for account in &file.accounts {
            accounts.push(self.account(account.get_ref())?);
        }
        accounts.sort_by_key(|account| account.name);
        let mut producers = Vec::with_capacity(file.producers.len());
        for producer in &file.producers {
            let producer = producer.get_ref();
            producers.push(GenesisProducer {
                name: self.name(&producer.name)?,
                key: self.key(&producer.key)?,
                beacon: VrfPublic(self.key(&producer.beacon)?.0),
                bond: self.amount(&producer.bond)?,
            });
        }
        Ok(Genesis {
            version: Genesis::VERSION,
            label: file.label.get_ref().clone(),
            time_ms: self.time(&file.start)?,
            slot_ms: *file.slot_ms.get_ref(),
            slice_ms: *file.slice_ms.get_ref(),
            delta_ms: *file.delta_ms.get_ref(),
            epoch_slots: *file.epoch_slots.get_ref(),
            fees: Fees {
                per_byte: self.amount(&file.fee_per_byte)?,
                per_signature: self.amount(&file.fee_per_signature)?,
                per_unit: self.amount(&file.fee_per_unit)?,
                slot_units: *file.slot_units.get_ref(),
            },
            deposit_per_byte: self.amount(&file.deposit_per_byte)?,
            engine: self.engine(&file.engine)?,
            producers,
            accounts,
        })
    }

    fn engine(&self, engine: &Engine) -> Result<EngineChoice, GenesisFileError> {
        match engine.kind.get_ref() {
            Kind::Authority => match engine.first_stated() {
                Some(span) => Err(self.wrong(&span, "an engine of the kind authority has no parameters")),
                None => Ok(EngineChoice::Authority),
            },
            Kind::Dpos => {
                let dpos = self.dpos(engine)?;
                Ok(EngineChoice::Dpos(dpos))
            }
        }
    }

    fn dpos(&self, engine: &Engine) -> Result<DposParameters, GenesisFileError> {
        let missing =
            |name: &str| self.wrong(&engine.kind.span(), format_args!("missing field `{name}` of the engine dpos"));
        macro_rules! stated {
            ($field:ident) => {
                engine.$field.as_ref().ok_or_else(|| missing(stringify!($field)))?
            };
        }
        Ok(DposParameters {
            producers_max: *stated!(producers_max).get_ref(),
            weighting: match stated!(weighting).get_ref() {
                WeightingWord::Equal => Weighting::Equal,
                WeightingWord::Bond => Weighting::Bond,
            },
            bond_min: self.amount(stated!(bond_min))?,
            release_slots: *stated!(release_slots).get_ref(),
            cut_permille: *stated!(cut_permille).get_ref(),
            reporter_permille: *stated!(reporter_permille).get_ref(),
            reward_per_slot: self.amount(stated!(reward_per_slot))?,
            reward_pool: self.amount(stated!(reward_pool))?,
        })
    }

    fn account(&self, account: &Account) -> Result<GenesisAccount, GenesisFileError> {
        let mut vesting = Vec::with_capacity(account.vesting.len());
        for part in &account.vesting {
            vesting.push(VestingPart { free_at_ms: self.time(&part.free_at)?, amount: self.amount(&part.amount)? });
        }
        Ok(GenesisAccount {
            name: self.name(&account.name)?,
            key: self.key(&account.key)?,
            balance: self.amount(&account.balance)?,
            vesting,
        })
    }

    fn name(&self, text: &Spanned<String>) -> Result<AccountName, GenesisFileError> {
        text.get_ref().parse().map_err(|error| self.wrong(&text.span(), format_args!("`{}`: {error}", text.get_ref())))
    }

    fn key(&self, text: &Spanned<String>) -> Result<PublicKey, GenesisFileError> {
        PublicKey::from_hex(text.get_ref()).map_err(|error| self.wrong(&text.span(), error))
    }

    fn amount(&self, text: &Spanned<String>) -> Result<Amount, GenesisFileError> {
        let found = text.get_ref();
        found.parse().map_err(|_: AmountError| self.wrong(&text.span(), format_args!("{AMOUNT}, found `{found}`")))
    }

    fn time(&self, time: &Spanned<Time>) -> Result<u64, GenesisFileError> {
        match time.get_ref() {
            Time::UnixMs(unix_ms) => Ok(*unix_ms),
            Time::Date(datetime) => unix_ms(datetime).ok_or_else(|| {
                let expected =
                    "a time is a date in UTC from 1970 on, as 2027-01-01T00:00:00Z, or milliseconds since 1970";
                self.wrong(&time.span(), format_args!("{expected}, found {datetime}"))
            }),
        }
    }

    fn wrong(&self, span: &Range<usize>, what: impl core::fmt::Display) -> GenesisFileError {
        GenesisFileError::at(self.text, span.start, what)
    }
}

const AMOUNT: &str = "an amount is tokens with at most 18 decimals, as \"12.5\"";

fn unix_ms(datetime: &Datetime) -> Option<u64> {
    let date = datetime.date?;
    let day = Date::new(date.year, date.month, date.day)?.unix_ms();
    let is_utc = matches!(datetime.offset, None | Some(Offset::Z | Offset::Custom { minutes: 0 }));
    let time = match datetime.time {
        None => 0,
        Some(time) => {
            let seconds = u64::from(time.hour) * 3_600 + u64::from(time.minute) * 60 + u64::from(time.second?);
            seconds * 1_000 + u64::from(time.nanosecond.unwrap_or(0) / 1_000_000)
        }
    };
    // A date alone, or a time that says that it is UTC's.
    (is_utc && (datetime.time.is_none() || datetime.offset.is_some())).then_some(day + time)
}

/// Where a rule that is broken stands.
fn place(file: &File, error: &GenesisError) -> Range<usize> {
    let producer = |name: &AccountName| {
        let named = file.producers.iter().rev().find(|producer| producer.get_ref().name.get_ref() == name.as_str());
        named.map_or(file.engine.kind.span(), Spanned::span)
    };
    let account = |name: &AccountName| {
        let named = file.accounts.iter().rev().find(|account| account.get_ref().name.get_ref() == name.as_str());
        named.map_or(file.engine.kind.span(), Spanned::span)
    };
    match error {
        GenesisError::Version(_) | GenesisError::Label => file.label.span(),
        GenesisError::SlotMs(_) => file.slot_ms.span(),
        GenesisError::SliceMs(_) => file.slice_ms.span(),
        GenesisError::DeltaMs(_) => file.delta_ms.span(),
        GenesisError::EpochSlots => file.epoch_slots.span(),
        GenesisError::ProducerCount(_) => file.producers.last().map_or(file.engine.kind.span(), Spanned::span),
        GenesisError::ScheduleLen(_) => file.engine.place(file.engine.producers_max.as_ref()),
        GenesisError::ReleaseSlots { .. } => file.engine.place(file.engine.release_slots.as_ref()),
        GenesisError::Permille(share) => {
            let cut = file.engine.cut_permille.as_ref().filter(|cut| cut.get_ref() == share);
            file.engine.place(cut.or(file.engine.reporter_permille.as_ref()))
        }
        GenesisError::Supply => file.engine.place(file.engine.reward_pool.as_ref()),
        GenesisError::Bond(name) | GenesisError::ProducerName(name) | GenesisError::ProducerKey(name) => producer(name),
        GenesisError::AccountCount => file.accounts.last().map_or(file.engine.kind.span(), Spanned::span),
        GenesisError::AccountOrder(name) | GenesisError::Vesting(name) | GenesisError::AccountKey(name) => {
            account(name)
        }
    }
}
