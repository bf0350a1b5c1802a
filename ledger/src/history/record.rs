//! What a row of the index holds, as bytes.
//!
//! Integers have seven bits a byte, the lowest first, the eighth bit where more follow; names and events' data stand
//! behind their lengths as such integers; ids and outcomes are as everywhere. These bytes are nobody's but this store's:
//! other nodes may write others.
//!
//! A transfer between two names of 12 characters comes to 135 bytes here, and to 293 in five rows with its keys in all
//! tables.

use core::fmt;
use core::str::FromStr;

use hpb_types::name::NAME_LEN_MAX;
use hpb_types::{
    AccountName, Action, ActionName, Amount, Canonical as _, Event, Hash, Height, NameError, Outcome, Receipt,
    TransactionBody,
};

/// A contract and a word of it: an action, or what its events say.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Kind {
    /// The contract.
    pub contract: AccountName,
    /// The word.
    pub word: ActionName,
}

/// A text is no kind.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KindError {
    /// It has no slash.
    #[error("a kind is CONTRACT/ACTION, as token/transfer")]
    Form,
    /// One of its names is none.
    #[error("`{text}` is no name: {error}")]
    Name {
        /// The name.
        text: String,
        /// The rule that it breaks.
        error: NameError,
    },
}

/// The certificate that a slice carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Proof {
    /// Where its link starts.
    pub source: Height,
    /// The slice that it justifies.
    pub target: Height,
    /// Its signatures.
    pub signatures: u32,
}

/// What is kept of a slice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SliceRecord {
    /// Its id.
    pub id: Hash,
    /// Who made it.
    pub producer: AccountName,
    /// The certificate that it carries.
    pub proof: Proof,
    /// Its transactions.
    pub transactions: u32,
    /// Proposals that were due in it.
    pub due: u32,
    /// How many of both took effect.
    pub applied: u32,
    /// Units that they took.
    pub units: u64,
    /// What they paid, in the smallest unit.
    pub fees: u128,
    /// Bytes of its transactions.
    pub bytes: u64,
}

/// What is kept of a transaction, or of a proposal that was due.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResultRecord {
    /// Its id.
    pub id: Hash,
    /// Who paid; of a proposal it is not kept.
    pub payer: Option<AccountName>,
    /// What was asked for; of a proposal it is not kept.
    pub actions: Vec<Kind>,
    /// How it ended.
    pub outcome: Outcome,
    /// What was paid.
    pub fee: Amount,
    /// Units that it took.
    pub units: u64,
    /// What happened, in order.
    pub events: Vec<Event>,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.contract, self.word)
    }
}

impl FromStr for Kind {
    type Err = KindError;

    fn from_str(text: &str) -> Result<Self, KindError> {
        let (contract, word) = text.split_once('/').ok_or(KindError::Form)?;
        let wrong = |text: &str| {
            let text = text.to_owned();
            |error| KindError::Name { text, error }
        };
        Ok(Self { contract: contract.parse().map_err(wrong(contract))?, word: word.parse().map_err(wrong(word))? })
    }
}

impl SliceRecord {
    /// Writes it behind `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.0);
        put_bytes(out, self.producer.as_bytes());
        for height in [self.proof.source, self.proof.target] {
            put(out, height.slot.0.into());
            put(out, height.index.into());
        }
        for number in [self.proof.signatures, self.transactions, self.due, self.applied] {
            put(out, number.into());
        }
        put(out, self.units.into());
        put(out, self.fees);
        put(out, self.bytes.into());
    }

    /// Reads it back; `None` unless these are its bytes and no more.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let id = reader.hash()?;
        let producer = reader.name()?;
        let (source, target) = (reader.height()?, reader.height()?);
        let mut counts = [0; 4];
        for count in &mut counts {
            *count = reader.number()?;
        }
        let [signatures, transactions, due, applied] = counts;
        let (units, fees, bytes) = (reader.number()?, reader.number()?, reader.number()?);
        let proof = Proof { source, target, signatures };
        reader.end(Self { id, producer, proof, transactions, due, applied, units, fees, bytes })
    }
}

impl ResultRecord {
    /// That of a receipt, and of what its transaction asked for, if that is known.
    pub fn of(receipt: &Receipt, body: Option<&TransactionBody>) -> Self {
        let kind = |action: &Action| Kind { contract: action.contract, word: action.action };
        Self {
            id: receipt.transaction,
            payer: body.map(|body| body.payer),
            actions: body.map(|body| body.actions.iter().map(kind).collect()).unwrap_or_default(),
            outcome: receipt.outcome,
            fee: receipt.fee,
            units: receipt.units,
            events: receipt.events.clone(),
        }
    }

    /// Writes it behind `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.0);
        out.extend_from_slice(&self.outcome.to_bytes());
        put(out, self.fee.0);
        put(out, self.units.into());
        put_bytes(out, self.payer.as_ref().map_or(&[], |payer| payer.as_bytes()));
        put(out, self.actions.len() as u128);
        for Kind { contract, word } in &self.actions {
            put_bytes(out, contract.as_bytes());
            put_bytes(out, word.as_bytes());
        }
        put(out, self.events.len() as u128);
        for Event { contract, name, data } in &self.events {
            put_bytes(out, contract.as_bytes());
            put_bytes(out, name.as_bytes());
            put_bytes(out, data);
        }
    }

    /// Reads it back; `None` unless these are its bytes and no more.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let (id, outcome) = (reader.hash()?, reader.outcome()?);
        let (fee, units) = (Amount(reader.number()?), reader.number()?);
        let payer = match reader.bytes()? {
            [] => None,
            name => Some(text(name)?.parse().ok()?),
        };
        // Each takes a few bytes at least: a count that is not true ends with the bytes.
        let mut actions = Vec::new();
        for _ in 0..reader.number::<u32>()? {
            actions.push(Kind { contract: reader.name()?, word: reader.name()? });
        }
        let mut events = Vec::new();
        for _ in 0..reader.number::<u32>()? {
            events.push(Event { contract: reader.name()?, name: reader.name()?, data: reader.bytes()?.to_vec() });
        }
        reader.end(Self { id, payer, actions, outcome, fee, units, events })
    }

    /// Whether it was asked for or happened.
    pub fn is_of(&self, kind: &Kind) -> bool {
        let happened = |event: &Event| event.contract == kind.contract && event.name == kind.word;
        self.actions.contains(kind) || self.events.iter().any(happened)
    }
}

fn put(out: &mut Vec<u8>, mut number: u128) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u128);
    out.extend_from_slice(bytes);
}

fn text(bytes: &[u8]) -> Option<&str> {
    core::str::from_utf8(bytes).ok().filter(|text| text.len() <= NAME_LEN_MAX)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn hash(&mut self) -> Option<Hash> {
        Some(Hash(self.take(32)?.try_into().ok()?))
    }

    fn number<T: TryFrom<u128>>(&mut self) -> Option<T> {
        let mut number: u128 = 0;
        for shift in (0..128).step_by(7) {
            let byte = *self.take(1)?.first()?;
            let part = u128::from(byte & 0x7F);
            number |= part.checked_shl(shift).filter(|shifted| shifted >> shift == part)?;
            if byte < 0x80 {
                return T::try_from(number).ok();
            }
        }
        None
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(length)
    }

    fn name<T: FromStr>(&mut self) -> Option<T> {
        text(self.bytes()?)?.parse().ok()
    }

    fn height(&mut self) -> Option<Height> {
        Some(Height::new(self.number()?, self.number()?))
    }

    fn outcome(&mut self) -> Option<Outcome> {
        // A tag, and a reason behind that of a failure.
        let length = if self.0.first() == Some(&0) { 1 } else { 2 };
        Outcome::from_bytes(self.take(length)?).ok()
    }

    fn end<T>(self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}
