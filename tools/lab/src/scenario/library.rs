//! The ready scenarios: files that stand in the program, to be run by name, shown, and varied.

use super::units;

/// A ready scenario.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ready {
    /// Its name.
    pub name: &'static str,
    /// Its file.
    pub text: &'static str,
}

macro_rules! ready {
    ($($name:literal),* $(,)?) => {
        /// All of them.
        pub const LIBRARY: &[Ready] = &[$(Ready { name: $name, text: include_str!(concat!("library/", $name, ".toml")) }),*];
    };
}

ready![
    "ping-pong",
    "under-load",
    "fan-out-10k",
    "churn",
    "slow-peer",
    "lossy-wan",
    "incast",
    "confirm-latency",
    "reconnect-storm",
    "partition-heal",
    "ab-xdp-kernel",
    "ab-encrypted-plain",
    "one-way-hosts",
];

/// The one of that name, or else the name that is nearest.
///
/// # Errors
/// No such name; the nearest one, if one is near.
pub fn named(name: &str) -> Result<Ready, Option<&'static str>> {
    LIBRARY.iter().find(|ready| ready.name == name).copied().ok_or_else(|| {
        let names: Vec<&'static str> = LIBRARY.iter().map(|ready| ready.name).collect();
        units::nearest(name, &names)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::scenario::file::parse;

    #[test]
    fn each_is_a_scenario_that_says_what_it_shows_and_what_to_vary() {
        for ready in LIBRARY {
            let scenario = parse(ready.text).unwrap_or_else(|error| panic!("{}: {error}", ready.name));
            assert_eq!(scenario.name, ready.name);
            assert!(!scenario.about.is_empty());
            assert!(ready.text.starts_with("# Shows: ") && ready.text.contains("\n# Vary: "), "{}", ready.name);
        }
        assert_eq!(LIBRARY.len(), 13);
    }

    #[test]
    fn a_name_that_is_not_there_is_told_its_nearest() {
        assert_eq!(named("incast").map(|ready| ready.name), Ok("incast"));
        assert_eq!(named("incats").unwrap_err(), Some("incast"));
        assert_eq!(named("zzzzzz").unwrap_err(), None);
    }
}
