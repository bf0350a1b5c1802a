#![allow(clippy::unwrap_used)]

use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::traits::Identity;
use proptest::prelude::*;

use super::*;
use crate::samples::vrf_secret;

struct Vector {
    seed: &'static str,
    public: &'static str,
    alpha: &'static [u8],
    /// The secret scalar before its reduction by the group's order.
    x: &'static str,
    h: &'static str,
    k: &'static str,
    u: &'static str,
    v: &'static str,
    proof: &'static str,
    output: &'static str,
}

/// RFC 9381, appendix B.3, examples 16, 17 and 18. The tests of two implementations hold the same values:
/// <https://github.com/facebook/akd>, `akd_core/src/ecvrf/tests.rs` (in Rust; k there before its reduction), and
/// <https://github.com/Bren2010/katie>, `crypto/vrf/edwards25519/edwards25519_test.go` (in Go; without x, H, k, U, V).
const RFC_9381: [Vector; 3] = [
    Vector {
        seed: "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        public: "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        alpha: &[],
        x: "307c83864f2833cb427a2ef1c00a013cfdff2768d980c0a3a520f006904de94f",
        h: "91bbed02a99461df1ad4c6564a5f5d829d0b90cfc7903e7a5797bd658abf3318",
        k: "8a49edbd1492a8ee09766befe50a7d563051bf3406cbffc20a88def030730f0f",
        u: "aef27c725be964c6a9bf4c45ca8e35df258c1878b838f37d9975523f09034071",
        v: "5016572f71466c646c119443455d6cb9b952f07d060ec8286d678615d55f954f",
        proof: "8657106690b5526245a92b003bb079ccd1a92130477671f6fc01ad16f26f723f26f8a57ccaed74ee1b190bed1f479d9727d2d0f9b005a6e456a35d4fb0daab1268a1b0db10836d9826a528ca76567805",
        output: "90cf1df3b703cce59e2a35b925d411164068269d7b2d29f3301c03dd757876ff66b71dda49d2de59d03450451af026798e8f81cd2e333de5cdf4f3e140fdd8ae",
    },
    Vector {
        seed: "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        public: "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        alpha: &[0x72],
        x: "68bd9ed75882d52815a97585caf4790a7f6c6b3b7f821c5e259a24b02e502e51",
        h: "5b659fc3d4e9263fd9a4ed1d022d75eaacc20df5e09f9ea937502396598dc551",
        k: "d8c3a66921444cb3427d5d989f9b315aa8ca3375e9ec4d52207711a1fdb44107",
        u: "1dcb0a4821a2c48bf53548228b7f170962988f6d12f5439f31987ef41f034ab3",
        v: "fd03c0bf498c752161bae4719105a074630a2aa5f200ff7b3995f7bfb1513423",
        proof: "f3141cd382dc42909d19ec5110469e4feae18300e94f304590abdced48aed5933bf0864a62558b3ed7f2fea45c92a465301b3bbf5e3e54ddf2d935be3b67926da3ef39226bbc355bdc9850112c8f4b02",
        output: "eb4440665d3891d668e7e0fcaf587f1b4bd7fbfe99d0eb2211ccec90496310eb5e33821bc613efb94db5e5b54c70a848a0bef4553a41befc57663b56373a5031",
    },
    Vector {
        seed: "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        public: "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        alpha: &[0xaf, 0x82],
        x: "909a8b755ed902849023a55b15c23d11ba4d7f4ec5c2f51b1325a181991ea95c",
        h: "bf4339376f5542811de615e3313d2b36f6f53c0acfebb482159711201192576a",
        k: "5ffdbc72135d936014e8ab708585fda379405542b07e3bd2c0bd48437fbac60a",
        u: "2bae73e15a64042fcebf062abe7e432b2eca6744f3e8265bc38e009cd577ecd5",
        v: "88cba1cb0d4f9b649d9a86026b69de076724a93a65c349c988954f0961c5d506",
        proof: "9bc0f79119cc5604bf02d23b4caede71393cedfbb191434dd016d30177ccbf8096bb474e53895c362d8628ee9f9ea3c0e52c7a5c691b6c18c9979866568add7a2d41b00b05081ed0f58ee5e31b3a970e",
        output: "645427e5d00c62a23fb703732fa5d892940935942101e456ecca7bb217c61c452118fec1219202a0edcf038bb6373241578be7217ba85a2687f7a0310b2df19f",
    },
];

/// The group's order in little-endian bytes: 2^252 + 27742317777372353535851937790883648493.
fn order() -> [u8; 32] {
    let mut order = (-Scalar::ONE).to_bytes();
    order[0] += 1;
    order
}

/// A little-endian sum, if it fits.
fn sum(one: [u8; 32], other: [u8; 32]) -> Option<[u8; 32]> {
    let mut carry = 0;
    let mut sum = [0; 32];
    for (place, byte) in sum.iter_mut().enumerate() {
        carry += u16::from(one[place]) + u16::from(other[place]);
        *byte = carry as u8;
        carry >>= 8;
    }
    (carry == 0).then_some(sum)
}

fn bytes_of(hex: &str) -> [u8; 32] {
    VrfPublic::from_hex(hex).unwrap().0
}

fn hex_of(point: &EdwardsPoint) -> String {
    VrfPublic(point.compress().to_bytes()).to_hex()
}

/// A key and a proof of its holder, who knows the `secret` scalar and cheats where the rules let him: `key_part` is
/// added to the public key and `gamma_part` to Gamma, both of small order, and the nonce is the first from `nonce` that
/// serves. U and V lack c times these parts; c modulo 8 is guessed before it is known, and one guess in eight is right.
fn cheat(
    secret: Scalar,
    key_part: EdwardsPoint,
    gamma_part: EdwardsPoint,
    nonce: u64,
    alpha: &[u8],
) -> (VrfPublic, VrfProof) {
    let public = VrfPublic((EdwardsPoint::mul_base(&secret) + key_part).compress().to_bytes());
    let h = encode_to_curve(&public, alpha).unwrap();
    let gamma = h * secret + gamma_part;
    let mut guesses = (nonce..).flat_map(|nonce| (0_u8..8).map(move |guess| (Scalar::from(nonce), guess)));
    let proof = guesses.find_map(|(nonce, guess)| {
        let u = EdwardsPoint::mul_base(&nonce) - key_part * Scalar::from(guess);
        let v = h * nonce - gamma_part * Scalar::from(guess);
        let c = challenge(&public, &[h, gamma, u, v]);
        (c[0] % 8 == guess).then(|| encode_proof(&gamma, c, &(nonce + challenge_scalar(c) * secret)))
    });
    (public, proof.unwrap())
}

#[test]
fn rfc_9381_vectors() {
    for vector in RFC_9381 {
        let secret = VrfSecret::from_seed(bytes_of(vector.seed));
        let (proof, output) = (secret.prove(vector.alpha), VrfOutput::from_hex(vector.output).unwrap());
        assert_eq!(*secret.x, Scalar::from_bytes_mod_order(bytes_of(vector.x)));
        assert_eq!(secret.public().to_hex(), vector.public);
        assert_eq!(proof.to_hex(), vector.proof);
        assert_eq!(secret.public().verify(vector.alpha, &proof), Some(output));
        assert_eq!(proof.output(), Some(output));

        let h = encode_to_curve(&secret.public(), vector.alpha).unwrap();
        let k = secret.nonce(&h);
        assert_eq!(hex_of(&h), vector.h);
        assert_eq!(k.to_bytes(), bytes_of(vector.k));
        assert_eq!(hex_of(&EdwardsPoint::mul_base(&k)), vector.u);
        assert_eq!(hex_of(&(h * *k)), vector.v);
    }
}

#[test]
fn a_printed_secret_shows_its_public_half_alone() {
    let secret = vrf_secret();
    assert_eq!(format!("{secret:?}"), format!("VrfSecret({})", &secret.public().to_hex()[..16]));
}

#[test]
fn every_flipped_bit_is_refused() {
    for vector in RFC_9381 {
        let public = VrfPublic::from_hex(vector.public).unwrap();
        let proof = VrfProof::from_hex(vector.proof).unwrap();
        for bit in 0..8 * 80 {
            let mut flipped = proof;
            flipped.0[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(public.verify(vector.alpha, &flipped), None, "bit {bit} of the proof");
        }
        for bit in 0..8 * 32 {
            let mut flipped = public;
            flipped.0[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(flipped.verify(vector.alpha, &proof), None, "bit {bit} of the key");
        }
        for bit in 0..8 * vector.alpha.len() {
            let mut flipped = vector.alpha.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(public.verify(&flipped, &proof), None, "bit {bit} of the input");
        }
    }
}

#[test]
fn s_of_the_order_and_above_is_refused() {
    let (secret, alpha) = (vrf_secret(), b"input");
    let proof = secret.prove(alpha);
    let mut s = [0; 32];
    s.copy_from_slice(&proof.0[48..]);
    // The same scalar modulo the order, in every other way that 32 bytes have for it.
    let aliases: Vec<[u8; 32]> = core::iter::successors(sum(s, order()), |s| sum(*s, order())).collect();
    assert_eq!(aliases.len(), 15);
    for s in aliases.into_iter().chain([order(), [0xff; 32]]) {
        let mut other = proof;
        other.0[48..].copy_from_slice(&s);
        assert_eq!(other.output(), None);
        assert_eq!(secret.public().verify(alpha, &other), None);
    }
}

/// RFC 9381 promises one output for a key and an input (section 7.1.1, "full uniqueness"), not one proof.
#[test]
fn a_holder_who_cheats_has_many_proofs_and_one_output() {
    let (secret, alpha) = (vrf_secret(), b"input");
    let honest = secret.prove(alpha);
    let mut proofs = vec![honest];
    for gamma_part in EIGHT_TORSION {
        for nonce in [1, 1_000] {
            let (public, proof) = cheat(*secret.x, EdwardsPoint::identity(), gamma_part, nonce, alpha);
            assert_eq!(public, secret.public());
            assert_eq!(public.verify(alpha, &proof), honest.output(), "{proof:?}");
            proofs.push(proof);
        }
    }
    proofs.sort_unstable();
    proofs.dedup();
    assert_eq!(proofs.len(), 17);
}

#[test]
fn a_small_order_part_that_is_put_into_anothers_proof_is_refused() {
    let (secret, alpha) = (vrf_secret(), b"input");
    let proof = secret.prove(alpha);
    for part in &EIGHT_TORSION[1..] {
        let Parts { gamma, c, s } = proof.decode().unwrap();
        let other = encode_proof(&(gamma + part), c, &s);
        assert_eq!(secret.public().verify(alpha, &other), None);
        assert_eq!(other.output(), proof.output());
    }
}

#[test]
fn a_key_of_mixed_order_is_acceptable_and_has_one_output() {
    let (x, alpha) = (*vrf_secret().x, b"input");
    for key_part in &EIGHT_TORSION[1..] {
        let outputs = EIGHT_TORSION.map(|gamma_part| {
            let (public, proof) = cheat(x, *key_part, gamma_part, 1, alpha);
            assert!(public.is_acceptable_for_registration());
            public.verify(alpha, &proof).unwrap()
        });
        assert_eq!(outputs, [outputs[0]; 8]);
    }
}

#[test]
fn a_key_of_small_order_is_refused_though_the_equations_hold() {
    let alpha = b"input";
    for key_part in EIGHT_TORSION {
        for gamma_part in EIGHT_TORSION {
            let (public, proof) = cheat(Scalar::ZERO, key_part, gamma_part, 1, alpha);
            assert!(!public.is_acceptable_for_registration());
            assert_eq!(public.verify(alpha, &proof), None);
            // Without the check every input would have this output.
            assert_eq!(proof.output(), Some(output(&EdwardsPoint::identity())));
        }
    }
}

/// The encodings of points that RFC 8032 refuses and curve25519-dalek takes: y + p for y below 19, and a sign on x = 0.
fn non_canonical_encodings() -> Vec<[u8; 32]> {
    let mut p = [0xff; 32];
    (p[0], p[31]) = (0xed, 0x7f);
    let mut encodings = Vec::new();
    for y in 0..19 {
        for sign in [0, 0x80] {
            let mut bytes = p;
            bytes[0] += y;
            bytes[31] |= sign;
            encodings.push(bytes);
        }
    }
    let mut minus_one = p;
    minus_one[0] -= 1;
    minus_one[31] |= 0x80;
    let mut one = [0; 32];
    (one[0], one[31]) = (1, 0x80);
    encodings.extend([one, minus_one]);
    encodings.retain(|bytes| CompressedEdwardsY(*bytes).decompress().is_some());
    encodings
}

#[test]
fn points_in_other_than_their_canonical_encoding_are_refused() {
    let (secret, alpha) = (vrf_secret(), b"input");
    let encodings = non_canonical_encodings();
    let decompress = |bytes: &[u8; 32]| CompressedEdwardsY(*bytes).decompress().unwrap();
    let large = encodings.iter().filter(|bytes| !decompress(bytes).is_small_order()).count();
    assert!(large > 0 && large < encodings.len(), "{large} of {}", encodings.len());
    for bytes in encodings {
        let canonical = decompress(&bytes);
        let key = |bytes: [u8; 32]| VrfPublic(bytes).is_acceptable_for_registration();
        assert!(!key(bytes));
        assert_eq!(key(canonical.compress().to_bytes()), !canonical.is_small_order());

        let proof = secret.prove(alpha);
        assert_eq!(VrfPublic(bytes).verify(alpha, &proof), None);
        let gamma = |bytes: [u8; 32]| {
            let mut proof = proof;
            proof.0[..32].copy_from_slice(&bytes);
            proof
        };
        assert_eq!(gamma(canonical.compress().to_bytes()).output(), Some(output(&canonical)));
        assert_eq!(gamma(bytes).output(), None);
        assert_eq!(secret.public().verify(alpha, &gamma(bytes)), None);
    }
}

#[test]
fn what_is_no_point_is_refused() {
    let mut no_point = [0; 32];
    no_point[0] = 2;
    let (secret, alpha) = (vrf_secret(), b"input");
    let mut proof = secret.prove(alpha);
    assert!(!VrfPublic(no_point).is_acceptable_for_registration());
    assert_eq!(VrfPublic(no_point).verify(alpha, &proof), None);
    proof.0[..32].copy_from_slice(&no_point);
    assert_eq!(proof.output(), None);
    assert_eq!(secret.public().verify(alpha, &proof), None);
}

fn alpha() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..96)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn what_is_proven_is_verified(seed: [u8; 32], alpha in alpha()) {
        let secret = VrfSecret::from_seed(seed);
        let proof = secret.prove(&alpha);
        prop_assert!(secret.public().is_acceptable_for_registration());
        prop_assert!(proof.output().is_some());
        prop_assert_eq!(secret.public().verify(&alpha, &proof), proof.output());
        prop_assert_eq!(VrfSecret::from_seed(seed).prove(&alpha), proof);
    }

    #[test]
    fn other_keys_and_other_inputs_have_other_outputs(seeds: [[u8; 32]; 2], alphas in [alpha(), alpha()]) {
        prop_assume!(seeds[0] != seeds[1] && alphas[0] != alphas[1]);
        let [one, other] = seeds.map(VrfSecret::from_seed);
        let proof = one.prove(&alphas[0]);
        prop_assert_eq!(one.public().verify(&alphas[1], &proof), None);
        prop_assert_eq!(other.public().verify(&alphas[0], &proof), None);
        prop_assert_ne!(one.prove(&alphas[1]).output(), proof.output());
        prop_assert_ne!(other.prove(&alphas[0]).output(), proof.output());
    }

    /// A bit of the proof (640), the key (256) or the input.
    #[test]
    fn a_flipped_bit_is_refused(seed: [u8; 32], alpha in alpha(), bit: prop::sample::Index) {
        let secret = VrfSecret::from_seed(seed);
        let proof = secret.prove(&alpha);
        let mut bytes = [&proof.0[..], &secret.public().0, &alpha].concat();
        let bit = bit.index(8 * bytes.len());
        bytes[bit / 8] ^= 1 << (bit % 8);
        let public = VrfPublic(bytes[80..112].try_into().unwrap());
        let flipped = VrfProof(bytes[..80].try_into().unwrap());
        prop_assert_eq!(public.verify(&bytes[112..], &flipped), None);
    }

    /// Whatever decodes or not: random bytes, and proofs of random c and s on good keys and points.
    #[test]
    fn random_bytes_prove_nothing(key: [u8; 32], gamma: [u8; 32], c: [u8; 16], s: [u8; 32], alpha in alpha()) {
        let noise = VrfProof([&gamma[..], &c, &s].concat().try_into().unwrap());
        let point = EdwardsPoint::mul_base(&Scalar::from_bytes_mod_order(gamma));
        let decodes = encode_proof(&point, c, &Scalar::from_bytes_mod_order(s));
        prop_assert!(decodes.output().is_some());
        let _ = noise.output();
        for public in [VrfPublic(key), VrfSecret::from_seed(key).public()] {
            prop_assert_eq!(public.verify(&alpha, &noise), None);
            prop_assert_eq!(public.verify(&alpha, &decodes), None);
        }
    }
}
