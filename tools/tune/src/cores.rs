//! Sets of cores as the kernel writes them: `0-3,5`. It refuses empty sets and cores that no host has.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use hpb_base::limits::HOST_CORES_MAX;

/// Cores, by number. Its [`Display`](fmt::Display) form is the kernel's own, so that what is written reads back alike.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Cores(BTreeSet<usize>);

/// Why a text is no list of cores.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{text}` is no list of cores: expected numbers below {HOST_CORES_MAX} and ranges, as in 2-5,8")]
pub struct CoresError {
    text: String,
}

impl Cores {
    /// Whether `core` is among them.
    pub fn contains(&self, core: usize) -> bool {
        self.0.contains(&core)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many they are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The lowest.
    pub fn first(&self) -> Option<usize> {
        self.0.first().copied()
    }

    /// Them all, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().copied()
    }

    /// Those that are not in `others`.
    #[must_use]
    pub fn without(&self, others: &Self) -> Self {
        Self(self.0.difference(&others.0).copied().collect())
    }

    /// Those that are in `others` as well.
    #[must_use]
    pub fn within(&self, others: &Self) -> Self {
        Self(self.0.intersection(&others.0).copied().collect())
    }

    /// These and `others`.
    #[must_use]
    pub fn with(&self, others: &Self) -> Self {
        Self(self.0.union(&others.0).copied().collect())
    }
}

impl FromIterator<usize> for Cores {
    fn from_iter<I: IntoIterator<Item = usize>>(cores: I) -> Self {
        Self(cores.into_iter().collect())
    }
}

impl FromStr for Cores {
    type Err = CoresError;

    fn from_str(text: &str) -> Result<Self, CoresError> {
        let number = |text: &str| text.parse().ok().filter(|core: &usize| *core < HOST_CORES_MAX);
        let mut cores = BTreeSet::new();
        for part in text.trim().split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            match (number(first), number(last)) {
                (Some(first), Some(last)) if first <= last => cores.extend(first..=last),
                _ => return Err(CoresError { text: text.trim().to_owned() }),
            }
        }
        Ok(Self(cores))
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        let mut rest = self.iter().peekable();
        while let Some(first) = rest.next() {
            let mut last = first;
            while rest.next_if_eq(&(last + 1)).is_some() {
                last += 1;
            }
            write!(f, "{separator}{first}")?;
            if last > first {
                write!(f, "-{last}")?;
            }
            separator = ",";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lists_read_and_write_as_the_kernels() {
        for (text, written) in [("0", "0"), ("0-3,5\n", "0-3,5"), ("3,1,2", "1-3"), ("7,0-1,1", "0-1,7")] {
            assert_eq!(text.parse::<Cores>().unwrap().to_string(), written);
        }
        for text in ["", "a", "1-", "-1", "3-1", "1,,2", "8192", "0-99999999999", "1 2"] {
            let error = text.parse::<Cores>().unwrap_err().to_string();
            assert!(error.contains("is no list of cores"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_set_survives(cores in proptest::collection::btree_set(0..HOST_CORES_MAX, 1..50)) {
            let cores = Cores(cores);
            prop_assert_eq!(cores.to_string().parse::<Cores>().unwrap(), cores);
        }

        #[test]
        fn no_text_panics(text in "[0-9,a-]{0,12}") {
            let _ = text.parse::<Cores>();
        }
    }
}
