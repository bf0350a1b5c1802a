//! The handshake's steps, each a value that can run anywhere.
//!
//! Message 1 is `len u16 | version u8 | mac 16 | e 32`; the MAC is keyed by the responder's identity and checked
//! before any Diffie-Hellman. Messages 2 and 3 are `len u16 | Noise message`; their payload is the sender's identity
//! and its signature of its static key.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hpb_types::codec::{CodecError, Reader, Writer};
use hpb_types::keys::{Domain, KeyPair, PublicKey, Signature};
use hpb_types::units::ChainId;
use snow::{Builder, HandshakeState};

use super::HANDSHAKE_LEN_MAX;
use super::record::Channel;
use super::resolver::{Resolver, x25519_public};
use crate::card::SessionId;

const PATTERN: &str = "Noise_XX_25519_AESGCM_SHA256";
const VERSION: u8 = 1;
const MAC_LEN: usize = 16;
const PAYLOAD_LEN: usize = 32 + 64;

/// A node's or a terminal's own keys: the Ed25519 identity, the X25519 static key, and the first's signature of the
/// second, made once.
pub struct Identity {
    chain: ChainId,
    public: PublicKey,
    static_secret: [u8; 32],
    payload: [u8; PAYLOAD_LEN],
}

/// Why a handshake failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HandshakeError {
    /// A message that Noise does not take: damaged, out of order, or under other keys.
    #[error("the peer's handshake message does not decrypt")]
    Noise,
    /// The payload is not an identity and a signature.
    #[error("the peer's handshake payload is malformed")]
    Payload,
    /// The identity's signature does not cover the static key on this chain.
    #[error("the peer does not prove its identity on this chain")]
    Unproven,
    /// The responder is not who the peer table names.
    #[error("the peer is not the one that was called")]
    WrongPeer,
}

impl Identity {
    /// The keys that follow from a secret seed, for one chain.
    pub fn new(seed: [u8; 32], chain: ChainId) -> Self {
        let keys = KeyPair::from_seed(seed);
        let static_secret = blake3::derive_key("hpb x25519 static key v1", &seed);
        let static_public = x25519_public(static_secret);
        let signature = keys.sign(Domain::NodeStatic, &chain, &static_public);
        let mut payload = [0; PAYLOAD_LEN];
        payload[..32].copy_from_slice(&keys.public().0);
        payload[32..].copy_from_slice(&signature.0);
        Self { chain, public: keys.public(), static_secret, payload }
    }

    /// The Ed25519 identity that peers know it by.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// The chain it speaks for.
    pub fn chain(&self) -> ChainId {
        self.chain
    }

    /// All that it is, its secret included; for a lane's tape.
    pub(crate) fn put(&self, writer: &mut Writer) {
        let Self { chain, public, static_secret, payload } = self;
        writer.put(chain);
        writer.put(public);
        writer.put(static_secret);
        writer.put(payload);
    }

    pub(crate) fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let (chain, public, static_secret) = (reader.take()?, reader.take()?, reader.take()?);
        Ok(Self { chain, public, static_secret, payload: reader.take()? })
    }

    fn prologue(&self, responder: &PublicKey) -> Vec<u8> {
        [b"hpb session v1".as_slice(), &self.chain.0.0, &responder.0].concat()
    }

    fn check(&self, payload: &[u8], static_public: Option<&[u8]>) -> Result<PublicKey, HandshakeError> {
        let payload: &[u8; PAYLOAD_LEN] = payload.try_into().map_err(|_| HandshakeError::Payload)?;
        let (identity, signature) = payload.split_at(32);
        let mut key = PublicKey([0; 32]);
        key.0.copy_from_slice(identity);
        let mut proof = Signature([0; 64]);
        proof.0.copy_from_slice(signature);
        let static_public = static_public.ok_or(HandshakeError::Payload)?;
        if !hpb_types::verify::verify(Domain::NodeStatic, &self.chain, static_public, &key, &proof) {
            return Err(HandshakeError::Unproven);
        }
        Ok(key)
    }
}

/// A step of one session's handshake, to be run on any thread.
pub struct CryptoJob {
    pub(crate) session: SessionId,
    pub(crate) task: Task,
}

pub(crate) enum Task {
    /// The initiator's first step: writes message 1.
    Call { identity: Arc<Identity>, responder: PublicKey, seed: [u8; 32] },
    /// The responder's: takes message 1, writes message 2.
    Answer { identity: Arc<Identity>, message: Vec<u8>, seed: [u8; 32] },
    /// The initiator's second and the responder's last: takes message 2 or 3.
    Continue { memory: HandshakeMemory, message: Vec<u8> },
}

/// What a handshake remembers between two steps.
pub struct HandshakeMemory {
    identity: Arc<Identity>,
    responder: PublicKey,
    noise: Box<HandshakeState>,
    operations: Arc<AtomicU32>,
}

/// What came of a job; goes back to the lane that gave it.
pub struct CryptoResult {
    pub(crate) session: SessionId,
    pub(crate) outcome: Result<Step, HandshakeError>,
}

pub(crate) struct Step {
    /// Bytes for the peer.
    pub(crate) reply: Vec<u8>,
    pub(crate) next: Next,
}

pub(crate) enum Next {
    Await(HandshakeMemory),
    Done { channel: Channel, peer: PublicKey, operations: u32 },
}

impl CryptoJob {
    /// Whose handshake it is.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// Runs the step: about 60 to 200 microseconds of CPU, no I/O.
    pub fn run(self) -> CryptoResult {
        let outcome = match self.task {
            Task::Call { identity, responder, seed } => call(identity, responder, seed),
            Task::Answer { identity, message, seed } => answer(identity, &message, seed),
            Task::Continue { memory, message } => memory.proceed(&message),
        };
        CryptoResult { session: self.session, outcome }
    }
}

pub(super) fn call(identity: Arc<Identity>, responder: PublicKey, seed: [u8; 32]) -> Result<Step, HandshakeError> {
    let mut memory = HandshakeMemory::new(identity, responder, seed, true)?;
    let mut reply = vec![0; HANDSHAKE_LEN_MAX];
    let at = 2 + 1 + MAC_LEN;
    let noise_len = memory.noise.write_message(&[], &mut reply[at..]).map_err(|_| HandshakeError::Noise)?;
    reply.truncate(at + noise_len);
    let len = (reply.len() - 2) as u16;
    reply[..2].copy_from_slice(&len.to_le_bytes());
    reply[2] = VERSION;
    let mac = mac(&responder, &reply[at..]);
    reply[3..at].copy_from_slice(&mac);
    Ok(Step { reply, next: Next::Await(memory) })
}

pub(super) fn answer(identity: Arc<Identity>, message: &[u8], seed: [u8; 32]) -> Result<Step, HandshakeError> {
    let responder = identity.public;
    let mut memory = HandshakeMemory::new(identity, responder, seed, false)?;
    let noise_message = message.get(1 + MAC_LEN..).ok_or(HandshakeError::Noise)?;
    memory.read(noise_message)?;
    let reply = memory.write()?;
    Ok(Step { reply, next: Next::Await(memory) })
}

impl HandshakeMemory {
    fn new(
        identity: Arc<Identity>,
        responder: PublicKey,
        seed: [u8; 32],
        initiator: bool,
    ) -> Result<Self, HandshakeError> {
        let operations = Arc::new(AtomicU32::new(0));
        let resolver = Box::new(Resolver::new(seed, Arc::clone(&operations)));
        let prologue = identity.prologue(&responder);
        let params = PATTERN.parse().map_err(|_| HandshakeError::Noise)?;
        let builder = Builder::with_resolver(params, resolver)
            .local_private_key(&identity.static_secret)
            .and_then(|builder| builder.prologue(&prologue))
            .map_err(|_| HandshakeError::Noise)?;
        let noise = if initiator { builder.build_initiator() } else { builder.build_responder() };
        let noise = Box::new(noise.map_err(|_| HandshakeError::Noise)?);
        Ok(Self { identity, responder, noise, operations })
    }

    fn read(&mut self, message: &[u8]) -> Result<Vec<u8>, HandshakeError> {
        let mut payload = vec![0; HANDSHAKE_LEN_MAX];
        let len = self.noise.read_message(message, &mut payload).map_err(|_| HandshakeError::Noise)?;
        payload.truncate(len);
        Ok(payload)
    }

    fn write(&mut self) -> Result<Vec<u8>, HandshakeError> {
        let mut reply = vec![0; HANDSHAKE_LEN_MAX];
        let payload = self.identity.payload;
        let len = self.noise.write_message(&payload, &mut reply[2..]).map_err(|_| HandshakeError::Noise)?;
        reply.truncate(2 + len);
        reply[..2].copy_from_slice(&(len as u16).to_le_bytes());
        Ok(reply)
    }

    pub(super) fn proceed(mut self, message: &[u8]) -> Result<Step, HandshakeError> {
        let payload = self.read(message)?;
        let peer = self.identity.check(&payload, self.noise.get_remote_static())?;
        let mut reply = Vec::new();
        if self.noise.is_initiator() {
            if peer != self.responder {
                return Err(HandshakeError::WrongPeer);
            }
            reply = self.write()?;
        }
        let operations = self.operations.load(Ordering::Relaxed);
        let (initiators, responders) = self.noise.dangerously_get_raw_split();
        let channel = if self.noise.is_initiator() {
            Channel::new(&initiators, &responders)?
        } else {
            Channel::new(&responders, &initiators)?
        };
        Ok(Step { reply, next: Next::Done { channel, peer, operations } })
    }
}

/// Whether message 1 (without its length) was made by someone who knows whom it calls.
pub(crate) fn message_1_is_for_us(message: &[u8], identity: &Identity) -> bool {
    let Some((head, noise_message)) = message.split_at_checked(1 + MAC_LEN) else { return false };
    head[0] == VERSION
        && noise_message.len() == 32
        && constant_time_eq(&head[1..], &mac(&identity.public, noise_message))
}

fn mac(responder: &PublicKey, noise_message: &[u8]) -> [u8; MAC_LEN] {
    let key = blake3::derive_key("hpb handshake message 1 mac v1", &responder.0);
    let mut out = [0; MAC_LEN];
    out.copy_from_slice(&blake3::keyed_hash(&key, noise_message).as_bytes()[..MAC_LEN]);
    out
}

fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |acc, (a, b)| acc | (a ^ b)) == 0
}
