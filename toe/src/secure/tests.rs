#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use hpb_types::keys::{Hash, PublicKey};
use hpb_types::units::ChainId;

use super::handshake::{HandshakeError, Identity, Next, Step, Task, message_1_is_for_us};
use super::{Channel, CryptoJob, Progress, StreamError, StreamSession};
use crate::card::SessionId;

const CHAIN: ChainId = ChainId(Hash([7; 32]));

fn identity(seed: u8) -> Arc<Identity> {
    Arc::new(Identity::new([seed; 32], CHAIN))
}

fn run(task: Task) -> Result<Step, HandshakeError> {
    CryptoJob { session: SessionId { index: 0, generation: 0 }, task }.run().outcome
}

fn done(step: Step) -> (Channel, PublicKey, u32) {
    match step.next {
        Next::Done { channel, peer, operations } => (channel, peer, operations),
        Next::Await(_) => panic!("not done"),
    }
}

fn awaiting(step: Step) -> super::HandshakeMemory {
    match step.next {
        Next::Await(memory) => memory,
        Next::Done { .. } => panic!("done already"),
    }
}

fn shake(
    initiator: Arc<Identity>,
    responder: Arc<Identity>,
    called: PublicKey,
) -> Result<(Step, Step), HandshakeError> {
    let one = run(Task::Call { identity: initiator, responder: called, seed: [1; 32] })?;
    let message = one.reply[2..].to_vec();
    let two = run(Task::Answer { identity: responder, message, seed: [2; 32] })?;
    let message = two.reply[2..].to_vec();
    let three = run(Task::Continue { memory: awaiting(one), message })?;
    let message = three.reply[2..].to_vec();
    let last = run(Task::Continue { memory: awaiting(two), message })?;
    Ok((three, last))
}

#[test]
fn both_sides_know_each_other_and_read_each_other() {
    let (a, b) = (identity(1), identity(2));
    let (three, last) = shake(Arc::clone(&a), Arc::clone(&b), b.public()).unwrap();
    let (mut near, peer_of_a, operations_a) = done(three);
    let (mut far, peer_of_b, operations_b) = done(last);
    assert_eq!((peer_of_a, peer_of_b), (b.public(), a.public()));
    assert_eq!((operations_a, operations_b), (3, 3), "each side does its own three");
    let mut sealed = [0; 64];
    let len = near.seal(b"a digest", &mut sealed).unwrap();
    assert_eq!(Channel::record_len([sealed[0], sealed[1]]), Ok(len));
    let record = sealed[2..len].to_vec();
    assert_eq!(far.open(&mut record.clone()), Ok(b"a digest".as_slice()));
    assert!(far.open(&mut record.clone()).is_err(), "a record opens once");
}

/// The transport is Noise's own: a peer that runs snow on both ends reads what we seal, and the other way round.
#[test]
fn records_are_noise_transport_messages() {
    let builder = || {
        snow::Builder::with_resolver(
            "Noise_NN_25519_AESGCM_SHA256".parse().unwrap(),
            Box::new(super::resolver::Resolver::new([3; 32], Arc::default())),
        )
    };
    let mut initiator = builder().build_initiator().unwrap();
    let mut responder = builder().build_responder().unwrap();
    let (mut one, mut two) = ([0; 256], [0; 256]);
    let len = initiator.write_message(&[], &mut one).unwrap();
    responder.read_message(&one[..len], &mut two).unwrap();
    let len = responder.write_message(&[], &mut one).unwrap();
    initiator.read_message(&one[..len], &mut two).unwrap();
    let (out_key, in_key) = initiator.dangerously_get_raw_split();
    let mut ours = Channel::new(&out_key, &in_key).unwrap();
    let mut theirs = responder.into_transport_mode().unwrap();
    for round in 0..3 {
        let len = ours.seal(&[round; 100], &mut one).unwrap();
        assert_eq!(theirs.read_message(&one[2..len], &mut two), Ok(100));
        assert_eq!(two[..100], [round; 100]);
        let len = theirs.write_message(&[round; 50], &mut one).unwrap();
        assert_eq!(ours.open(&mut one[..len]), Ok([round; 50].as_slice()));
    }
}

#[test]
fn the_first_message_is_refused_without_any_dh_when_it_calls_another() {
    let (a, b, c) = (identity(1), identity(2), identity(3));
    let one = run(Task::Call { identity: a, responder: b.public(), seed: [1; 32] }).unwrap();
    assert!(message_1_is_for_us(&one.reply[2..], &b));
    assert!(!message_1_is_for_us(&one.reply[2..], &c));
    for bit in 0..(one.reply.len() - 2) * 8 {
        let mut bad = one.reply[2..].to_vec();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(!message_1_is_for_us(&bad, &b), "bit {bit}");
    }
}

#[test]
fn another_chain_another_responder_and_damage_are_refused() {
    let (a, b, c) = (identity(1), identity(2), identity(3));
    assert_eq!(shake(Arc::clone(&a), Arc::clone(&c), b.public()).err(), Some(HandshakeError::Noise));
    let elsewhere = Arc::new(Identity::new([2; 32], ChainId(Hash([8; 32]))));
    assert_eq!(shake(Arc::clone(&a), elsewhere, b.public()).err(), Some(HandshakeError::Noise));
    let one = run(Task::Call { identity: a, responder: b.public(), seed: [1; 32] }).unwrap();
    let two = run(Task::Answer { identity: b, message: one.reply[2..].to_vec(), seed: [2; 32] }).unwrap();
    let mut message = two.reply[2..].to_vec();
    message[40] ^= 1;
    assert_eq!(run(Task::Continue { memory: awaiting(one), message }).err(), Some(HandshakeError::Noise));
}

#[test]
fn one_seed_one_transcript() {
    let call = |seed| run(Task::Call { identity: identity(1), responder: identity(2).public(), seed }).unwrap().reply;
    assert_eq!(call([5; 32]), call([5; 32]));
    assert_ne!(call([5; 32]), call([6; 32]));
}

/// What each of two ends heard.
type Heard = [Vec<(u8, Vec<u8>)>; 2];

/// Carries bytes between two ends in pieces of `cut` bytes until neither has anything to say; what each heard.
fn carry(near: &mut StreamSession, far: &mut StreamSession, first: Vec<u8>, cut: usize) -> Result<Heard, StreamError> {
    let (mut to_far, mut to_near) = (first, Vec::new());
    let mut heard = Heard::default();
    while !to_far.is_empty() || !to_near.is_empty() {
        for piece in std::mem::take(&mut to_far).chunks(cut) {
            far.feed(piece, &mut to_near, |kind, body| heard[1].push((kind, body.to_vec())))?;
        }
        for piece in std::mem::take(&mut to_near).chunks(cut) {
            near.feed(piece, &mut to_far, |kind, body| heard[0].push((kind, body.to_vec())))?;
        }
    }
    Ok(heard)
}

#[test]
fn two_ends_of_a_stream_talk_whatever_the_cuts() {
    for cut in [1, 7, 100, 10_000] {
        let (a, b) = (identity(1), identity(2));
        let (mut near, first) = StreamSession::call(Arc::clone(&a), b.public(), [1; 32], 5_000).unwrap();
        let mut far = StreamSession::answer(Arc::clone(&b), [2; 32], 5_000);
        assert_eq!(near.say(1, &[], &mut Vec::new()), Err(StreamError::Early));
        carry(&mut near, &mut far, first, cut).unwrap();
        assert_eq!((near.peer(), far.peer()), (Some(b.public()), Some(a.public())));
        assert_eq!((near.progress(), far.progress()), (Some(Progress::Open), Some(Progress::Open)));
        let mut said = Vec::new();
        near.say(3, &[9; 4_000], &mut said).unwrap();
        near.say(4, b"short", &mut said).unwrap();
        let heard = carry(&mut near, &mut far, said, cut).unwrap();
        assert_eq!(heard[1], [(3, vec![9; 4_000]), (4, b"short".to_vec())]);
    }
}

#[test]
fn a_caller_tells_a_wrong_key_from_a_wrong_chain() {
    let (a, b, c) = (identity(1), identity(2), identity(3));
    let (mut near, first) = StreamSession::call(Arc::clone(&a), c.public(), [1; 32], 100).unwrap();
    let mut far = StreamSession::answer(Arc::clone(&b), [2; 32], 100);
    assert_eq!(carry(&mut near, &mut far, first, 100), Err(StreamError::Stranger), "before any message 2");
    assert_eq!((near.progress(), far.progress()), (Some(Progress::First), None));

    let elsewhere = Arc::new(Identity::new([1; 32], ChainId(Hash([8; 32]))));
    let (mut near, first) = StreamSession::call(elsewhere, b.public(), [1; 32], 100).unwrap();
    let mut far = StreamSession::answer(b, [2; 32], 100);
    let failed = carry(&mut near, &mut far, first, 100);
    assert_eq!(failed, Err(StreamError::Handshake(HandshakeError::Noise)));
    assert_eq!((near.progress(), far.progress()), (None, Some(Progress::Last)), "at message 2, which came");
}

#[test]
fn a_stream_of_anything_else_ends_at_once_and_never_panics() {
    for bytes in [&b"HTTP/1.1 400 Bad Request\r\n"[..], &[0, 0], &[0xFF; 600]] {
        let (mut near, _) = StreamSession::call(identity(1), identity(2).public(), [1; 32], 100).unwrap();
        assert!(near.feed(bytes, &mut Vec::new(), |_, _| ()).is_err());
        assert!(near.feed(&[1, 0, 0], &mut Vec::new(), |_, _| ()).is_err(), "nor goes on");
    }
}
