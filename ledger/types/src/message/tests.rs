#![allow(clippy::unwrap_used)]

use hpb_base::limits::{MESSAGE_LEN_MAX, TERMINAL_MESSAGE_LEN_MAX};

use super::diagnose::{Ask, Filling};
use super::*;
use crate::samples;

/// One message of each kind, in the order of the kinds.
pub(crate) fn one_of_each() -> Vec<Message> {
    vec![
        Message::Hello(samples::hello()),
        Message::SubmitTransaction(Box::new(samples::transaction())),
        Message::Transactions(samples::gossip()),
        Message::SliceBundle(Box::new(samples::slice_bundle())),
        Message::Confirm(Box::new(samples::confirm())),
        Message::Digest(samples::digest()),
        Message::TransactionStatus(samples::transaction_status()),
        Message::SliceRequest(samples::slice_request()),
        Message::Ping(7),
        Message::Pong(7),
        Message::Standing(samples::standing()),
        Message::ChainRequest(samples::range_request()),
        Message::ChainPiece(Box::new(samples::chain_piece())),
        Message::HeadersRequest(samples::range_request()),
        Message::Headers(Box::new(samples::headers())),
        Message::Question(samples::question()),
        Message::Answer(Box::new(samples::answer())),
        Message::Goodbye(samples::goodbye()),
    ]
}

#[test]
fn every_kind_goes_there_and_back() {
    for (index, message) in one_of_each().into_iter().enumerate() {
        assert_eq!(usize::from(message.kind()), index + 1);
        assert_eq!(Message::decode(message.kind(), &message.encode()), Ok(message));
    }
}

#[test]
fn unknown_kinds_and_long_bodies_are_refused_unread() {
    for kind in 0..=u8::MAX {
        match Message::len_max(kind) {
            None => assert_eq!(Message::decode(kind, &[]), Err(CodecError::Tag(kind))),
            Some(len_max) => assert_eq!(Message::decode(kind, &vec![0; len_max + 1]), Err(CodecError::TooLong)),
        }
    }
    assert_eq!((0..=u8::MAX).filter_map(Message::len_max).count(), one_of_each().len());
}

#[test]
fn what_the_card_carries_bounds_what_nodes_say() {
    for kind in 0..=u8::MAX {
        let len_max = Message::len_max(kind).unwrap_or_default();
        assert!(len_max <= MESSAGE_LEN_MAX);
        assert!(len_max <= TERMINAL_MESSAGE_LEN_MAX || !Message::may_send(Roles::TERMINAL, kind));
    }
}

#[test]
fn bounds_fit_the_largest_values() {
    let status = samples::slice_status();
    let digest = Digest { slices: vec![status; DIGEST_SLICES_MAX], ..samples::digest() };
    let mut confirm = samples::confirm();
    confirm.body.producer = crate::AccountName::from_address([0; 20]);
    let largest = [
        Message::Hello(samples::hello()),
        Message::Digest(digest),
        Message::Confirm(Box::new(confirm)),
        Message::TransactionStatus(samples::transaction_status()),
        Message::SliceRequest(samples::slice_request()),
        Message::Ping(u64::MAX),
        Message::Pong(u64::MAX),
        Message::Standing(samples::standing()),
        Message::ChainRequest(samples::range_request()),
        Message::HeadersRequest(samples::range_request()),
        Message::Question(Question { number: 1, what: Ask::Absorb(Filling::zeros(u32::MAX)) }),
        Message::Goodbye(samples::goodbye()),
    ];
    for message in largest {
        assert_eq!(Some(message.encode().len()), Message::len_max(message.kind()));
        assert_eq!(Message::decode(message.kind(), &message.encode()), Ok(message));
    }
}

#[test]
fn a_digest_of_sixteen_slices_is_below_a_kibibyte() {
    let digest = Digest { slices: vec![samples::slice_status(); 16], ..samples::digest() };
    assert!(digest.to_bytes().len() < 1_024);
}

#[test]
fn lists_beyond_their_bounds_are_refused() {
    let digest = Digest { slices: vec![samples::slice_status(); DIGEST_SLICES_MAX + 1], ..samples::digest() };
    assert_eq!(Digest::from_bytes(&digest.to_bytes()), Err(CodecError::Count));
    let gossip = Gossip { transactions: Vec::new() };
    assert_eq!(Gossip::from_bytes(&gossip.to_bytes()), Err(CodecError::Count));
    let gossip = Gossip { transactions: vec![samples::transaction(); GOSSIP_TRANSACTIONS_MAX + 1] };
    assert_eq!(Gossip::from_bytes(&gossip.to_bytes()), Err(CodecError::Count));
}

#[test]
fn a_bundle_holds_no_more_bytes_than_a_slice_may() {
    let mut transaction = samples::transaction();
    transaction.body.actions[0].arguments = vec![0; 30_000];
    let count = SLICE_BYTES_MAX / transaction.to_bytes().len();
    let bundle = |count| SliceBundle { slice: samples::slice(), transactions: vec![transaction.clone(); count] };
    assert_eq!(SliceBundle::from_bytes(&bundle(count).to_bytes()), Ok(bundle(count)));
    assert_eq!(SliceBundle::from_bytes(&bundle(count + 1).to_bytes()), Err(CodecError::TooLong));
}

#[test]
fn a_piece_holds_what_fills_it_and_the_largest_slice_beyond() {
    let most = CHAIN_PIECE_LEN_MAX - 13;
    assert_eq!(most, hpb_base::limits::CHAIN_PIECE_FILL_LEN + SliceBundle::LEN_MAX);
    let piece =
        ChainPiece { slices: vec![samples::slice_bundle(); CHAIN_PIECE_SLICES_MAX + 1], ..samples::chain_piece() };
    assert_eq!(ChainPiece::from_bytes(&piece.to_bytes()), Err(CodecError::Count));
    let headers = Headers { slices: vec![samples::slice(); 200], ..samples::headers() };
    assert_eq!(Headers::from_bytes(&headers.to_bytes()), Err(CodecError::TooLong));
}

#[test]
fn a_strange_version_still_says_hello() {
    let hello = Hello { version: 200, roles: Roles(0xff), ..samples::hello() };
    assert_eq!(Hello::from_bytes(&hello.to_bytes()), Ok(hello));
    assert!(hello.roles.contains(Roles::VALIDATOR | Roles::TERMINAL));
}

#[test]
fn roles_are_sets() {
    let both = Roles::VALIDATOR | Roles::TERMINAL;
    assert!(both.contains(Roles::TERMINAL) && both.intersects(Roles::VALIDATOR));
    assert!(!both.intersects(Roles::DIAGNOSTICS) && !both.contains(Roles::TERMINAL | Roles::DIAGNOSTICS));
    assert!(!Message::may_send(Roles::TERMINAL, kind::CONFIRM));
    assert!(Message::may_send(both, kind::CONFIRM));
    assert!(!Message::may_send(Roles::default(), kind::HELLO));
}
