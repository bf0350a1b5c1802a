#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::keys::KeyPair;
use crate::samples::{self, key};

#[derive(Deserialize)]
struct Vector {
    #[serde(alias = "vk", alias = "pub_key")]
    key: String,
    #[serde(alias = "sig")]
    signature: String,
    #[serde(alias = "msg")]
    message: String,
}

struct Case {
    message: Vec<u8>,
    key: PublicKey,
    signature: Signature,
}

/// The verdicts of ZIP-215 on the twelve cases of speccheck, worked out from its three conditions: A and R decode, s is
/// below the group's order L, the cofactored equation holds with k over the bytes as they stand.
/// 0 to 3: A or R or both have a small-order part, and even the equation without cofactor holds; good.
/// 4 and 5: only the cofactored equation holds; good.
/// 6 and 7: s is not below L; bad.
/// 8: R is not canonical and the signer hashed its canonical form; the equation fails; bad. 9: hashed as it stands; good.
/// 10 and 11: A is not canonical and of small order, so that k does not matter under the cofactor; good.
const SPECCHECK: [bool; 12] = [true, true, true, true, true, true, false, false, false, true, true, true];

fn cases(path: &str) -> Option<Vec<Case>> {
    let text = samples::data(path)?;
    let vectors: Vec<Vector> = serde_json::from_str(&text).unwrap();
    let bytes = |hex: &str| -> Vec<u8> {
        let digits: Vec<u8> = hex.chars().map(|digit| digit.to_digit(16).unwrap() as u8).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    };
    let case = |vector: &Vector| Case {
        message: bytes(&vector.message),
        key: PublicKey::from_hex(&vector.key).unwrap(),
        signature: Signature::from_hex(&vector.signature).unwrap(),
    };
    Some(vectors.iter().map(case).collect())
}

fn zip215() -> Option<Vec<Case>> {
    cases("ed25519/zip215/zip215_196.json")
}

fn speccheck() -> Option<Vec<Case>> {
    cases("ed25519/speccheck/cases.json")
}

fn single(case: &Case) -> bool {
    verify_raw(&case.message, &case.key, &case.signature)
}

fn together<'a>(cases: impl IntoIterator<Item = &'a Case>) -> Vec<bool> {
    let mut batch = Batch::new();
    for case in cases {
        batch.push_raw(&case.message, &case.key, &case.signature);
    }
    batch.verify()
}

/// ZIP-215 by code that is not ours.
fn zebra(case: &Case) -> bool {
    ed25519_zebra::VerificationKey::try_from(case.key.0)
        .and_then(|key| key.verify(&ed25519_zebra::Signature::from_bytes(&case.signature.0), &case.message))
        .is_ok()
}

fn dalek(case: &Case, is_strict: bool) -> bool {
    use ed25519_dalek::Verifier;
    let signature = ed25519_dalek::Signature::from_bytes(&case.signature.0);
    ed25519_dalek::VerifyingKey::from_bytes(&case.key.0).is_ok_and(|key| {
        if is_strict {
            key.verify_strict(&case.message, &signature).is_ok()
        } else {
            key.verify(&case.message, &signature).is_ok()
        }
    })
}

fn signed(byte: u8, message: &[u8]) -> Case {
    let key = key(byte);
    Case { message: message.to_vec(), key: key.public(), signature: key.sign_raw(message) }
}

fn forged(byte: u8) -> Case {
    Case { message: b"other".to_vec(), ..signed(byte, b"message") }
}

/// Every path gives these verdicts: single, alone in a batch, in company, in good company, beside a forgery, in batches
/// of many chunks.
fn assert_all_paths(cases: &[Case], verdicts: &[bool]) {
    assert_eq!(cases.iter().map(single).collect::<Vec<_>>(), verdicts);
    assert_eq!(cases.iter().map(zebra).collect::<Vec<_>>(), verdicts);
    assert_eq!(together(cases), verdicts);
    let (good, bad) = (signed(1, b"good"), forged(2));
    for (case, verdict) in cases.iter().zip(verdicts) {
        assert_eq!(together([case]), [*verdict]);
        assert_eq!(together([&good, case]), [true, *verdict]);
        assert_eq!(together([case, &bad, &good]), [*verdict, false, true]);
    }
    let with_forgery = together(cases.iter().chain([&bad]));
    assert_eq!(with_forgery, [verdicts, &[false]].concat());
    let thrice = together(cases.iter().chain(cases).chain(cases));
    assert_eq!(thrice, [verdicts, verdicts, verdicts].concat());
}

#[test]
fn zip215_accepts_all_its_vectors_on_every_path() {
    let Some(cases) = zip215() else { return };
    assert_eq!(cases.len(), 196);
    assert_all_paths(&cases, &[true; 196]);
}

#[test]
fn speccheck_has_the_verdicts_of_zip215_on_every_path() {
    let Some(cases) = speccheck() else { return };
    assert_all_paths(&cases, &SPECCHECK);
}

#[test]
fn dalek_would_split_the_chain() {
    let (Some(zip215), Some(speccheck)) = (zip215(), speccheck()) else { return };
    for is_strict in [false, true] {
        let differs = |cases: &[Case]| cases.iter().filter(|case| dalek(case, is_strict) != single(case)).count();
        assert!(differs(&zip215) > 0, "strict {is_strict}");
        assert!(differs(&speccheck) > 0, "strict {is_strict}");
    }
    // Nor do its two rules agree with each other.
    assert!(zip215.iter().chain(&speccheck).any(|case| dalek(case, true) != dalek(case, false)));
}

#[test]
fn keys_that_the_vectors_abuse_may_not_be_registered() {
    let Some(cases) = zip215() else { return };
    // All 196 use points of small order, some of them in non-canonical encodings.
    assert!(cases.iter().all(|case| !case.key.is_acceptable_for_registration()));
    assert!(key(1).public().is_acceptable_for_registration());
}

#[test]
fn a_key_of_mixed_order_is_acceptable_and_a_non_canonical_one_is_not() {
    let Some(cases) = speccheck() else { return };
    let verdicts: Vec<bool> = cases.iter().map(|case| case.key.is_acceptable_for_registration()).collect();
    // 0 and 1 are of small order, 10 and 11 not canonical (and of small order).
    assert_eq!(verdicts, [false, false, true, true, true, true, true, true, true, true, false, false]);
    // y = p + 1 encodes the neutral point a second time; y = 2 is on no point of the curve.
    let mut neutral = [0xff; 32];
    (neutral[0], neutral[31]) = (0xee, 0x7f);
    assert!(!PublicKey(neutral).is_acceptable_for_registration());
    let mut no_point = [0; 32];
    no_point[0] = 2;
    assert!(!PublicKey(no_point).is_acceptable_for_registration());
    assert!(!single(&Case { key: PublicKey(no_point), ..signed(1, b"message") }));
}

#[test]
fn rfc_8032_vectors() {
    // RFC 8032, section 7.1, tests 1 and 2.
    for (seed, public, message, signature) in [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            &b""[..],
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            &[0x72],
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
    ] {
        let key = KeyPair::from_seed(PublicKey::from_hex(seed).unwrap().0);
        assert_eq!(key.public().to_hex(), public);
        assert_eq!(key.sign_raw(message).to_hex(), signature);
        assert!(verify_raw(message, &key.public(), &Signature::from_hex(signature).unwrap()));
    }
}

#[test]
fn a_signature_is_for_one_purpose_and_one_chain() {
    let key = key(1);
    let (here, there) = (samples::chain(), ChainId(samples::hash(0x12)));
    let domains = [Domain::Transaction, Domain::Slice, Domain::Confirm, Domain::NodeStatic, Domain::ProducerKey];
    for signed in domains {
        let signature = key.sign(signed, &here, b"body");
        for claimed in domains {
            let is_good = verify(claimed, &here, b"body", &key.public(), &signature);
            assert_eq!(is_good, claimed == signed);
            let mut batch = Batch::new();
            batch.push(claimed, &here, b"body", &key.public(), &signature);
            assert_eq!(batch.verify(), [is_good]);
        }
        assert!(!verify(signed, &there, b"body", &key.public(), &signature));
        assert!(!verify(signed, &here, b"bode", &key.public(), &signature));
        let message = [&b"hpb"[..], &[signed as u8, 1], &here.0.0, b"body"].concat();
        assert!(verify_raw(&message, &key.public(), &signature));
    }
}

#[test]
fn an_empty_batch_has_no_verdicts() {
    assert!(Batch::new().is_empty());
    assert_eq!(Batch::new().verify(), [false; 0]);
}

#[test]
fn one_forgery_in_many_chunks_is_found_where_it_is() {
    let mut cases: Vec<Case> = (0..2 * CHUNK_LEN + 3).map(|index| signed((index % 7) as u8, &[index as u8])).collect();
    for place in [0, CHUNK_LEN - 1, CHUNK_LEN, 2 * CHUNK_LEN + 2] {
        cases[place].signature.0[0] ^= 1;
        let verdicts = together(&cases);
        assert_eq!(verdicts.iter().position(|good| !good), Some(place));
        assert_eq!(verdicts.iter().filter(|good| !**good).count(), 1);
        cases[place].signature.0[0] ^= 1;
    }
}

#[test]
fn two_wrongs_that_cancel_are_both_found() {
    // s + d and s' - d leave the plain sum of two signatures unchanged; the coefficients tell them apart.
    let (mut one, mut other) = (signed(1, b"one"), signed(1, b"other"));
    let shift = |case: &mut Case, delta: Scalar| {
        let s: [u8; 32] = case.signature.0[32..].try_into().unwrap();
        let s = Option::<Scalar>::from(Scalar::from_canonical_bytes(s)).unwrap() + delta;
        case.signature.0[32..].copy_from_slice(s.as_bytes());
    };
    shift(&mut one, Scalar::ONE);
    shift(&mut other, -Scalar::ONE);
    assert_eq!(together([&one, &other]), [false, false]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    /// Single, batch and foreign verdicts agree on good, damaged and random signatures in any mix.
    #[test]
    fn all_verifiers_agree(
        kinds in proptest::collection::vec((0_u8..4, 0_u8..5, any::<[u8; 32]>(), 0_usize..64, 1_u8..=255), 1..12),
    ) {
        let case = |(kind, byte, noise, place, flip): &(u8, u8, [u8; 32], usize, u8)| {
            let mut case = signed(*byte, noise);
            match kind {
                0 => {}
                1 => case.signature.0[*place] ^= flip,
                2 => case.key.0[*place % 32] ^= flip,
                _ => case.message[*place % 32] ^= flip,
            }
            case
        };
        let cases: Vec<Case> = kinds.iter().map(case).collect();
        let verdicts: Vec<bool> = cases.iter().map(single).collect();
        prop_assert_eq!(&cases.iter().map(zebra).collect::<Vec<_>>(), &verdicts);
        prop_assert_eq!(&together(&cases), &verdicts);
        for (kind, verdict) in kinds.iter().zip(&verdicts) {
            prop_assert_eq!(kind.0 == 0, *verdict);
        }
    }
}
