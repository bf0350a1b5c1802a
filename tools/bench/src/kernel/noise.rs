//! Noise over the kernel's sockets: `Noise_XX_25519_AESGCM_SHA256`, one handshake a session, one record a message.
//!
//! On the stream each handshake message and record has its length before it (`u16`, big-endian). A record longer than
//! the work's, a forged one and an end of stream are errors: no peer here is hostile.

use std::io::{Read, Write};
use std::net::TcpStream;

use curve25519_dalek::montgomery::MontgomeryPoint;
use snow::params::{CipherChoice, DHChoice, HashChoice, NoiseParams};
use snow::resolvers::{CryptoResolver, RingResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState, TransportState};

use crate::kernel::BODY_LEN_MAX;
use crate::kernel::uring::Protection;
use crate::target::TargetError;

/// The handshake and ciphers; the card's are compared under the same name.
pub const PROTOCOL: &str = "Noise_XX_25519_AESGCM_SHA256";

const LENGTH_LEN: usize = 2;
const TAG_LEN: usize = 16;
/// A record's, and a handshake message's, largest length on the stream.
const RECORD_LEN_MAX: usize = LENGTH_LEN + BODY_LEN_MAX + TAG_LEN;

/// The transport states of all sockets: the servers', then the clients'.
pub struct Noise {
    states: Vec<TransportState>,
    /// The piece of a record that each socket has so far; empty, without memory of its own, but for split records.
    partial: Vec<Vec<u8>>,
}

fn builder<'keys>() -> Result<Builder<'keys>, TargetError> {
    let parameters: NoiseParams = PROTOCOL.parse()?;
    Ok(Builder::with_resolver(parameters, Box::new(Resolver)))
}

/// The operating system's randomness, SHA-256 and AES-GCM by ring; X25519 by curve25519-dalek.
struct Resolver;

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        RingResolver.resolve_rng()
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        (*choice == DHChoice::Curve25519).then(|| Box::new(X25519::default()) as Box<dyn Dh>)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        RingResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        RingResolver.resolve_cipher(choice)
    }
}

/// X25519 (RFC 7748, section 5).
#[derive(Default)]
struct X25519 {
    private: [u8; 32],
    public: [u8; 32],
}

impl Dh for X25519 {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        self.public.len()
    }

    fn priv_len(&self) -> usize {
        self.private.len()
    }

    fn set(&mut self, private: &[u8]) {
        self.private.copy_from_slice(private);
        self.public = MontgomeryPoint::mul_base_clamped(self.private).to_bytes();
    }

    fn generate(&mut self, random: &mut dyn Random) -> Result<(), snow::Error> {
        let mut private = [0; 32];
        random.try_fill_bytes(&mut private)?;
        self.set(&private);
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        &self.public
    }

    fn privkey(&self) -> &[u8] {
        &self.private
    }

    fn dh(&self, peer: &[u8], out: &mut [u8]) -> Result<(), snow::Error> {
        let peer: [u8; 32] = peer.get(..32).and_then(|peer| peer.try_into().ok()).ok_or(snow::Error::Dh)?;
        let shared = MontgomeryPoint(peer).mul_clamped(self.private).to_bytes();
        out.get_mut(..32).ok_or(snow::Error::Dh)?.copy_from_slice(&shared);
        Ok(())
    }
}

impl Protection for Noise {
    const NAME: &'static str = "kernel-uring-encrypted";
    const OVERHEAD_LEN: usize = LENGTH_LEN + TAG_LEN;
    const SHARED: bool = false;

    fn establish(servers: &[TcpStream], clients: &[TcpStream]) -> Result<Self, TargetError> {
        let server_key = builder()?.generate_keypair()?.private;
        let mut server_states = Vec::with_capacity(servers.len() * 2);
        let mut client_states = Vec::with_capacity(clients.len());
        for (server, client) in servers.iter().zip(clients) {
            let client_key = builder()?.generate_keypair()?.private;
            let mut initiator = builder()?.local_private_key(&client_key)?.build_initiator()?;
            let mut responder = builder()?.local_private_key(&server_key)?.build_responder()?;
            hand_over(&mut initiator, client, &mut responder, server)?;
            hand_over(&mut responder, server, &mut initiator, client)?;
            hand_over(&mut initiator, client, &mut responder, server)?;
            server_states.push(responder.into_transport_mode()?);
            client_states.push(initiator.into_transport_mode()?);
        }
        server_states.append(&mut client_states);
        let partial = vec![Vec::new(); server_states.len()];
        Ok(Self { states: server_states, partial })
    }

    fn seal(&mut self, socket: usize, body: &[u8], into: &mut [u8]) -> Result<usize, TargetError> {
        let (length, record) =
            into.split_at_mut_checked(LENGTH_LEN).ok_or(TargetError::Unexpected("a slot shorter than a length"))?;
        let record_len = self.states[socket].write_message(body, record)?;
        length.copy_from_slice(&(record_len as u16).to_be_bytes());
        Ok(LENGTH_LEN + record_len)
    }

    fn open(&mut self, socket: usize, arrived: &[u8], body: &mut Vec<u8>) -> Result<(), TargetError> {
        let (state, partial) = (&mut self.states[socket], &mut self.partial[socket]);
        if partial.is_empty() {
            let rest = open_whole(state, arrived, body)?;
            partial.extend_from_slice(rest);
        } else {
            partial.extend_from_slice(arrived);
            let mut whole = std::mem::take(partial);
            let rest_len = open_whole(state, &whole, body)?.len();
            whole.drain(..whole.len() - rest_len);
            *partial = whole;
        }
        Ok(())
    }
}

/// Opens the whole records at the front of `bytes`, and gives what is left.
fn open_whole<'bytes>(
    state: &mut TransportState,
    mut bytes: &'bytes [u8],
    body: &mut Vec<u8>,
) -> Result<&'bytes [u8], TargetError> {
    while let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_LEN>() {
        let record_len = usize::from(u16::from_be_bytes(*length));
        if record_len > RECORD_LEN_MAX - LENGTH_LEN {
            return Err(TargetError::Unexpected("a record longer than the work's"));
        }
        let Some((record, after)) = rest.split_at_checked(record_len) else { break };
        let start = body.len();
        body.resize(start + record_len, 0);
        let opened_len = state.read_message(record, &mut body[start..])?;
        body.truncate(start + opened_len);
        bytes = after;
    }
    Ok(bytes)
}

/// One handshake message, over the socket from `sender` to `receiver`.
fn hand_over(
    sender: &mut HandshakeState,
    mut sending: &TcpStream,
    receiver: &mut HandshakeState,
    mut receiving: &TcpStream,
) -> Result<(), TargetError> {
    let mut message = [0; RECORD_LEN_MAX];
    let len = sender.write_message(&[], &mut message[LENGTH_LEN..])?;
    message[..LENGTH_LEN].copy_from_slice(&(len as u16).to_be_bytes());
    sending.write_all(&message[..LENGTH_LEN + len])?;
    let mut length = [0; LENGTH_LEN];
    receiving.read_exact(&mut length)?;
    let arrived = message
        .get_mut(..usize::from(u16::from_be_bytes(length)))
        .ok_or(TargetError::Unexpected("a handshake message longer than Noise's"))?;
    receiving.read_exact(arrived)?;
    receiver.read_message(arrived, &mut [0; RECORD_LEN_MAX])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::kernel::KernelOptions;
    use crate::kernel::pairs::Pairs;
    use crate::target::Work;

    fn noise(sessions: usize) -> Noise {
        let pairs = Pairs::establish(&Work::new(sessions), &KernelOptions::default()).unwrap();
        Noise::establish(&pairs.servers, &pairs.clients).unwrap()
    }

    #[test]
    fn records_open_whatever_the_cuts() {
        let mut noise = noise(1);
        let mut stream = Vec::new();
        for body in [&b"one"[..], &[7; 256], b""] {
            let mut slot = [0; RECORD_LEN_MAX];
            let len = noise.seal(0, body, &mut slot).unwrap();
            assert_eq!(len, body.len() + Noise::OVERHEAD_LEN);
            stream.extend_from_slice(&slot[..len]);
        }
        let mut body = Vec::new();
        for piece in stream.chunks(5) {
            noise.open(1, piece, &mut body).unwrap();
        }
        assert_eq!(body, [&b"one"[..], &[7; 256]].concat());
    }

    #[test]
    fn x25519_gives_the_vector_of_the_standard() {
        // RFC 7748, section 6.1.
        let hex = |text: &str| -> Vec<u8> {
            (0..32).map(|index| u8::from_str_radix(&text[index * 2..index * 2 + 2], 16).unwrap()).collect()
        };
        let mut bob = X25519::default();
        bob.set(&hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"));
        assert_eq!(bob.pubkey(), hex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"));
        let alice = hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
        let mut shared = [0; 32];
        bob.dh(&alice, &mut shared).unwrap();
        assert_eq!(shared[..], hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")[..]);
        assert!(bob.dh(&alice[..31], &mut shared).is_err());
    }

    #[test]
    fn each_session_has_its_own_keys() {
        let mut noise = noise(2);
        let mut slot = [0; 128];
        let len = noise.seal(0, b"to client 0", &mut slot).unwrap();
        assert!(matches!(noise.open(3, &slot[..len], &mut Vec::new()), Err(TargetError::Noise(_))));
        let mut body = Vec::new();
        noise.open(2, &slot[..len], &mut body).unwrap();
        assert_eq!(body, b"to client 0");
    }

    #[test]
    fn a_record_beyond_the_work_is_refused() {
        let mut noise = noise(1);
        let refused = noise.open(1, &[0xFF, 0xFF, 0], &mut Vec::new());
        assert!(matches!(refused, Err(TargetError::Unexpected(_))));
    }
}
