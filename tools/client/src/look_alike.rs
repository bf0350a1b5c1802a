//! Names that people take for one another. Consensus knows nothing of it: a tool says so before somebody pays the wrong
//! one.

use hpb_types::AccountName;

/// Whether somebody could take one of the two names for the other: they differ, but not in how they look, or by two
/// neighbours that have changed places. Names of addresses are nobody's to read, and are taken for none.
pub fn is_alike(one: AccountName, other: AccountName) -> bool {
    if one == other || one.is_address_form() || other.is_address_form() {
        return false;
    }
    let (one, other) = (one.as_str(), other.as_str());
    looks(one) == looks(other) || are_swapped(one.as_bytes(), other.as_bytes())
}

/// A name by its looks: what is alike is the same, and what is hardly seen is gone.
fn looks(name: &str) -> String {
    let mut seen = String::with_capacity(name.len());
    for letter in name.chars() {
        seen.extend(match letter {
            '0' => Some('o'),
            '1' | 'i' => Some('l'),
            '5' => Some('s'),
            '.' | '-' => None,
            other => Some(other),
        });
    }
    // Pairs that run together in most faces.
    seen.replace("rn", "m").replace("vv", "w").replace("cl", "d")
}

/// Whether two neighbours that differ have changed places, and nothing else.
fn are_swapped(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let differ: Vec<usize> = (0..one.len()).filter(|place| one[*place] != other[*place]).collect();
    let [first, second] = differ[..] else { return false };
    let are_digits = one[first].is_ascii_digit() && one[second].is_ascii_digit();
    // Numbered names are told apart by their numbers.
    second == first + 1 && one[first] == other[second] && one[second] == other[first] && !are_digits
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> AccountName {
        text.parse().unwrap()
    }

    #[test]
    fn what_looks_alike_is_alike() {
        for (one, other) in [
            ("alice", "al1ce"),
            ("alice", "a1lce"),
            ("alice", "alcie"),
            ("exchange", "exchagne"),
            ("modern", "modem"),
            ("bank", "b-ank"),
            ("bank.hot", "bank-hot"),
            ("vvallet", "wallet"),
            ("close", "d0se"),
        ] {
            assert!(is_alike(name(one), name(other)) && is_alike(name(other), name(one)), "{one} {other}");
        }
    }

    #[test]
    fn what_differs_to_the_eye_is_not() {
        let address = AccountName::from_address([9; 20]);
        for (one, other) in [("alice", "alice"), ("alice", "bob"), ("user-12", "user-21"), ("user-1", "user-2")] {
            assert!(!is_alike(name(one), name(other)), "{one} {other}");
        }
        assert!(!is_alike(address, name("bob")));
    }

    proptest! {
        #[test]
        fn it_goes_both_ways(one in "[a-z015]{3,8}", other in "[a-z015]{3,8}") {
            let (one, other) = (name(&one), name(&other));
            prop_assert_eq!(is_alike(one, other), is_alike(other, one));
        }
    }
}
