//! The primitives that the handshake runs on: X25519 by curve25519-dalek (each operation counted), AES-256-GCM and
//! SHA-256 by ring, and randomness from a seed that the caller chose: the operating system's for a live node, the
//! simulation's for a replay.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use curve25519_dalek::montgomery::MontgomeryPoint;
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, RingResolver};
use snow::types::{Cipher, Dh, Hash, Random};

pub(super) struct Resolver {
    seed: [u8; 32],
    operations: Arc<AtomicU32>,
}

impl Resolver {
    pub(super) fn new(seed: [u8; 32], operations: Arc<AtomicU32>) -> Self {
        Self { seed, operations }
    }
}

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        let mut hasher = blake3::Hasher::new_derive_key("hpb noise randomness v1");
        hasher.update(&self.seed);
        Some(Box::new(SeededRandom(hasher.finalize_xof())))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        matches!(choice, DHChoice::Curve25519).then(|| {
            let dh = X25519 { secret: [0; 32], public: [0; 32], operations: Arc::clone(&self.operations) };
            Box::new(dh) as Box<dyn Dh>
        })
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        RingResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        RingResolver.resolve_cipher(choice)
    }
}

struct SeededRandom(blake3::OutputReader);

impl Random for SeededRandom {
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), snow::Error> {
        self.0.fill(out);
        Ok(())
    }
}

struct X25519 {
    secret: [u8; 32],
    public: [u8; 32],
    operations: Arc<AtomicU32>,
}

/// The public half of an X25519 secret (RFC 7748 section 6.1).
pub(super) fn x25519_public(secret: [u8; 32]) -> [u8; 32] {
    MontgomeryPoint::mul_base_clamped(secret).to_bytes()
}

impl Dh for X25519 {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        32
    }

    fn priv_len(&self) -> usize {
        32
    }

    fn set(&mut self, secret: &[u8]) {
        self.secret.copy_from_slice(&secret[..32]);
        self.public = x25519_public(self.secret);
    }

    fn generate(&mut self, random: &mut dyn Random) -> Result<(), snow::Error> {
        random.try_fill_bytes(&mut self.secret)?;
        self.public = x25519_public(self.secret);
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        &self.public
    }

    fn privkey(&self) -> &[u8] {
        &self.secret
    }

    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), snow::Error> {
        let public = <[u8; 32]>::try_from(public.get(..32).unwrap_or_default()).map_err(|_| snow::Error::Dh)?;
        let shared = MontgomeryPoint(public).mul_clamped(self.secret).to_bytes();
        self.operations.fetch_add(1, Ordering::Relaxed);
        // A small-order point gives zero whatever the secret (RFC 7748 section 6.1).
        if shared == [0; 32] {
            return Err(snow::Error::Dh);
        }
        out[..32].copy_from_slice(&shared);
        Ok(())
    }
}
