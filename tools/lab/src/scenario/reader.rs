//! The sections of a scenario's file: values of the kinds that scenarios have, each with the line on which it stands.
//!
//! Refused, with its line: what is no TOML, a key that is not known (the nearest known one is told), a value of another
//! kind or outside its range.

use std::fmt;
use std::ops::{Range, RangeInclusive};

use hpb_base::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::units;

/// Why a file is no scenario.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScenarioError {
    /// The line, counted from 1; none if it is the whole file's, or of a value that was set beside it.
    pub line: Option<usize>,
    /// What is wrong there.
    pub what: String,
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

impl std::error::Error for ScenarioError {}

/// A file that is read, with what was set beside it.
pub(super) struct Document<'t> {
    text: &'t str,
    root: DeTable<'t>,
}

/// One table of it.
#[derive(Clone)]
pub(super) struct Section<'d> {
    text: &'d str,
    table: &'d DeTable<'d>,
    span: Range<usize>,
    /// Its name for people; empty at the root.
    name: String,
}

impl<'t> Document<'t> {
    pub(super) fn parse(text: &'t str) -> Result<Self, ScenarioError> {
        let root = DeTable::parse(text).map_err(|error| match error.span() {
            Some(span) => at(text, &span, error.message()),
            None => ScenarioError { line: None, what: error.message().to_owned() },
        })?;
        Ok(Self { text, root: root.into_inner() })
    }

    /// Sets what `path` names (`load.rate_per_s`) to a value of TOML; a word that is none counts as a string.
    pub(super) fn set(&mut self, path: &'t str, value: &'t str) -> Result<(), ScenarioError> {
        let wrong = |what: &str| ScenarioError { line: None, what: format!("--set {path}: {what}") };
        let parsed = DeValue::parse(value).map_or_else(|_| DeValue::String(value.into()), Spanned::into_inner);
        let mut table = &mut self.root;
        let mut names = path.split('.').peekable();
        while let Some(name) = names.next() {
            if name.is_empty() {
                return Err(wrong("a key is words with dots between them, as load.rate_per_s"));
            }
            let here = Spanned::new(0..0, name.into());
            if names.peek().is_none() {
                table.insert(here, Spanned::new(0..0, parsed));
                return Ok(());
            }
            let inner = table.entry(here).or_insert_with(|| Spanned::new(0..0, DeValue::Table(DeTable::new())));
            let DeValue::Table(inner) = inner.get_mut() else { return Err(wrong("lies within what is no table")) };
            table = inner;
        }
        Ok(())
    }

    pub(super) fn root(&self) -> Section<'_> {
        Section { text: self.text, table: &self.root, span: 0..0, name: String::new() }
    }
}

impl<'d> Section<'d> {
    /// Refuses every key but these.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), ScenarioError> {
        for key in self.table.keys() {
            let found: &str = key.get_ref();
            if !known.contains(&found) {
                let nearest = units::nearest(found, known);
                let hint =
                    nearest.map_or_else(|| format!("known are {}", known.join(", ")), |near| format!("`{near}`?"));
                let place = if self.name.is_empty() { String::new() } else { format!(" of {}", self.name) };
                return Err(at(self.text, &key.span(), format_args!("unknown key `{found}`{place}: {hint}")));
            }
        }
        Ok(())
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// What is wrong with a key, or with the whole section if it lacks the key.
    pub(super) fn wrong(&self, key: &str, what: impl fmt::Display) -> ScenarioError {
        let span = self.table.get(key).map_or_else(|| self.span.clone(), Spanned::span);
        at(self.text, &span, what)
    }

    /// A key that must be there is not.
    pub(super) fn missing(&self, key: &str) -> ScenarioError {
        let place = if self.name.is_empty() { "the file" } else { &self.name };
        self.wrong(key, format_args!("{place} lacks `{key}`"))
    }

    pub(super) fn string(&self, key: &str) -> Result<Option<&'d str>, ScenarioError> {
        self.value(key, "a string", |value| value.as_str())
    }

    pub(super) fn boolean(&self, key: &str) -> Result<Option<bool>, ScenarioError> {
        self.value(key, "true or false", |value| value.as_bool())
    }

    pub(super) fn integer(&self, key: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, ScenarioError> {
        let words = format!("a whole number from {} to {}", range.start(), range.end());
        self.value(key, &words, |value| whole(value).filter(|number| range.contains(number)))
    }

    pub(super) fn number(&self, key: &str, range: RangeInclusive<f64>) -> Result<Option<f64>, ScenarioError> {
        let words = format!("a number from {} to {}", range.start(), range.end());
        let of = |value: &DeValue<'_>| match value {
            #[allow(clippy::cast_precision_loss, reason = "a figure that a person writes")]
            DeValue::Integer(_) => whole(value).map(|number| number as f64),
            DeValue::Float(float) => float.as_str().parse().ok(),
            _ => None,
        };
        self.value(key, &words, |value| of(value).filter(|number| range.contains(number)))
    }

    pub(super) fn duration(
        &self,
        key: &str,
        range: RangeInclusive<Duration>,
    ) -> Result<Option<Duration>, ScenarioError> {
        let words = format!("a time from {:?} to {:?}, as \"250us\"", range.start(), range.end());
        self.value(key, &words, |value| units::duration(value.as_str()?).filter(|span| range.contains(span)))
    }

    /// A share in parts per million.
    pub(super) fn share(&self, key: &str) -> Result<Option<u32>, ScenarioError> {
        self.value(key, "a share, as \"0.1 %\" or \"1000 ppm\"", |value| units::share(value.as_str()?))
    }

    /// A string that `read` understands.
    pub(super) fn read<T>(
        &self,
        key: &str,
        words: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, ScenarioError> {
        self.value(key, words, |value| read(value.as_str()?))
    }

    pub(super) fn section(&self, key: &str) -> Result<Option<Self>, ScenarioError> {
        let name = if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) };
        self.value(key, "a table", |value| value.as_table()).map(|table| {
            let span = self.table.get(key).map_or(0..0, Spanned::span);
            table.map(|table| Self { text: self.text, table, span, name })
        })
    }

    /// The tables of a list: `[[key]]`.
    pub(super) fn sections(&self, key: &str) -> Result<Vec<Self>, ScenarioError> {
        let list = self.items(key)?;
        let mut sections = Vec::with_capacity(list.len());
        for item in list {
            let item = item.map_err(|_| self.wrong(key, format_args!("`{key}` is a list of tables: [[{key}]]")))?;
            sections.push(item);
        }
        Ok(sections)
    }

    /// The items of a list, each a table or a string with its place.
    #[allow(clippy::type_complexity, reason = "a table, or a string and its place")]
    pub(super) fn items(&self, key: &str) -> Result<Vec<Result<Self, (&'d str, Range<usize>)>>, ScenarioError> {
        let list = self.value(key, "a list", |value| value.as_array())?;
        let Some(list) = list else { return Ok(Vec::new()) };
        let mut items = Vec::with_capacity(list.len());
        for item in list.iter() {
            items.push(match item.get_ref() {
                DeValue::Table(table) => {
                    Ok(Self { text: self.text, table, span: item.span(), name: format!("a {key}") })
                }
                DeValue::String(word) => Err((&**word, item.span())),
                _ => return Err(at(self.text, &item.span(), format_args!("`{key}` is a list of strings or tables"))),
            });
        }
        Ok(items)
    }

    /// What is wrong at a place of the file.
    pub(super) fn wrong_at(&self, span: &Range<usize>, what: impl fmt::Display) -> ScenarioError {
        at(self.text, span, what)
    }

    fn value<T>(
        &self,
        key: &str,
        words: &str,
        read: impl FnOnce(&'d DeValue<'d>) -> Option<T>,
    ) -> Result<Option<T>, ScenarioError> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        let found = read(value.get_ref());
        found.map(Some).ok_or_else(|| {
            let place = if self.name.is_empty() { String::new() } else { format!("{}: ", self.name) };
            at(self.text, &value.span(), format_args!("{place}`{key}` is {words}"))
        })
    }
}

fn whole(value: &DeValue<'_>) -> Option<u64> {
    let integer = value.as_integer()?;
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// What is wrong at a place of `text`. What was set beside the file has no place.
fn at(text: &str, span: &Range<usize>, what: impl fmt::Display) -> ScenarioError {
    let before = &text.as_bytes()[..span.start.min(text.len())];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    ScenarioError { line: (!span.is_empty()).then_some(line), what: what.to_string() }
}
