#![allow(clippy::unwrap_used)]

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::samples;
use crate::*;

fn name() -> impl Strategy<Value = String> {
    "[a-z0-9]([.-]?[a-z0-9]){2,15}"
}

fn account() -> impl Strategy<Value = AccountName> {
    name().prop_map(|name| AccountName::new(&name).unwrap())
}

fn action_name() -> impl Strategy<Value = ActionName> {
    name().prop_map(|name| ActionName::new(&name).unwrap())
}

fn hash() -> impl Strategy<Value = Hash> {
    any::<[u8; 32]>().prop_map(Hash)
}

fn signature() -> impl Strategy<Value = Signature> {
    (hash(), hash()).prop_map(|(r, s)| Signature([r.0, s.0].concat().try_into().unwrap()))
}

fn slice_ref() -> impl Strategy<Value = SliceRef> {
    (any::<u64>(), any::<u32>(), hash()).prop_map(|(slot, index, id)| SliceRef { height: Height::new(slot, index), id })
}

fn quorum() -> impl Strategy<Value = Quorum> {
    let signatures = proptest::collection::btree_map(0_usize..101, signature(), 0..5);
    (any::<u64>(), signatures).prop_map(|(epoch, signatures)| Quorum::new(Epoch(epoch), &signatures))
}

fn certificate() -> impl Strategy<Value = Certificate> {
    (slice_ref(), slice_ref(), vec(quorum(), 0..=2)).prop_map(|(source, target, quorums)| Certificate {
        source,
        target,
        quorums,
    })
}

fn vrf_proof() -> impl Strategy<Value = VrfProof> {
    vec(any::<u8>(), 80).prop_map(|bytes| VrfProof(bytes.try_into().unwrap()))
}

fn next() -> impl Strategy<Value = NextSchedule> {
    let producer = (account(), hash(), hash(), any::<u64>()).prop_map(|(name, key, beacon, weight)| {
        ScheduledProducer { name, key: PublicKey(key.0), beacon: VrfPublic(beacon.0), weight }
    });
    prop_oneof![
        3 => Just(NextSchedule::None),
        1 => (any::<u64>(), hash(), vec(producer, 1..4)).prop_map(|(epoch, seed, producers)| {
            NextSchedule::Fixed(Schedule { epoch: Epoch(epoch), seed, producers })
        }),
    ]
}

prop_compose! {
    fn slice()(
        (chain, parent, root, results) in (hash(), hash(), hash(), hash()),
        (epoch, slot, index, last, scheme) in any::<(u64, u64, u32, bool, u8)>(),
        producer in account(),
        source in certificate(),
        beacon in proptest::option::of(vrf_proof()).prop_map(|proof| proof.map_or(Beacon::None, Beacon::Proof)),
        next in next(),
        signature in signature(),
    ) -> Slice {
        let body = SliceBody {
            version: SliceBody::VERSION,
            chain: ChainId(chain),
            epoch: Epoch(epoch),
            slot: Slot(slot),
            index,
            last,
            parent,
            producer,
            transactions_root: root,
            results: ResultsCommitment { scheme, hash: results },
            source,
            beacon,
            next,
        };
        Slice { body, signature }
    }
}

prop_compose! {
    fn confirm()(
        chain in hash(),
        epoch in any::<u64>(),
        (source, target) in (slice_ref(), slice_ref()),
        producer in account(),
        signature in signature(),
    ) -> Confirm {
        let version = ConfirmBody::VERSION;
        let body = ConfirmBody { version, chain: ChainId(chain), epoch: Epoch(epoch), source, target, producer };
        Confirm { body, signature }
    }
}

fn authorisation() -> impl Strategy<Value = Authorisation> {
    (account(), name()).prop_map(|(account, permission)| Authorisation {
        account,
        permission: PermissionName::new(&permission).unwrap(),
    })
}

fn action() -> impl Strategy<Value = Action> {
    (account(), action_name(), vec(any::<u8>(), 0..40)).prop_map(|(contract, action, arguments)| Action {
        contract,
        action,
        arguments,
    })
}

prop_compose! {
    fn transaction()(
        chain in hash(),
        payer in account(),
        authorisations in vec(authorisation(), 0..4),
        actions in vec(action(), 0..4),
        (expiry_ms, fee_limit, salt) in any::<(u64, u128, u64)>(),
        signatures in vec((hash(), signature()), 0..4),
    ) -> Transaction {
        let body = TransactionBody {
            version: TransactionBody::VERSION,
            chain: ChainId(chain),
            payer,
            authorisations,
            actions,
            expiry_ms,
            fee_limit: Amount(fee_limit),
            salt,
        };
        let signed = |(key, signature): (Hash, Signature)| {
            TransactionSignature::Ed25519 { key: PublicKey(key.0), signature }
        };
        Transaction { body, signatures: signatures.into_iter().map(signed).collect() }
    }
}

fn reason() -> impl Strategy<Value = RejectReason> {
    (0_u8..=34).prop_map(|tag| RejectReason::from_bytes(&[tag]).unwrap())
}

prop_compose! {
    fn receipt()(
        transaction in hash(),
        reason in proptest::option::of(reason()),
        (fee, units) in any::<(u128, u64)>(),
        events in vec((account(), action_name(), vec(any::<u8>(), 0..20)), 0..3),
    ) -> Receipt {
        let event = |(contract, name, data)| Event { contract, name, data };
        Receipt {
            transaction,
            outcome: reason.map_or(Outcome::Applied, Outcome::Failed),
            fee: Amount(fee),
            units,
            events: events.into_iter().map(event).collect(),
        }
    }
}

fn engine() -> impl Strategy<Value = EngineChoice> {
    prop_oneof![
        Just(EngineChoice::Authority),
        (any::<bool>(), any::<(u32, u64, u16, u16)>(), any::<(u128, u128, u128)>()).prop_map(
            |(bonded, (producers_max, release_slots, cut, reporter), (bond_min, reward, pool))| {
                EngineChoice::Dpos(DposParameters {
                    producers_max,
                    weighting: if bonded { Weighting::Bond } else { Weighting::Equal },
                    bond_min: Amount(bond_min),
                    release_slots,
                    cut_permille: cut,
                    reporter_permille: reporter,
                    reward_per_slot: Amount(reward),
                    reward_pool: Amount(pool),
                })
            }
        ),
    ]
}

prop_compose! {
    fn genesis()(
        label in "\\PC{0,16}",
        (time_ms, epoch_slots, fee) in any::<(u64, u64, u128)>(),
        (slot_ms, slice_ms, delta_ms) in any::<(u32, u32, u32)>(),
        engine in engine(),
        producers in vec((account(), hash(), hash(), any::<u128>()), 1..4),
        accounts in vec((account(), hash(), any::<u128>()), 0..4),
    ) -> Genesis {
        let producer = |(name, key, beacon, bond): (_, Hash, Hash, _)| {
            GenesisProducer { name, key: PublicKey(key.0), beacon: VrfPublic(beacon.0), bond: Amount(bond) }
        };
        let account =
            |(name, key, balance): (_, Hash, _)| GenesisAccount { name, key: PublicKey(key.0), balance: Amount(balance), vesting: Vec::new() };
        Genesis {
            version: Genesis::VERSION,
            label,
            time_ms,
            slot_ms,
            slice_ms,
            delta_ms,
            epoch_slots,
            fees: Fees { per_byte: Amount(fee), per_signature: Amount(!fee), per_unit: Amount(fee >> 3), slot_units: time_ms },
            deposit_per_byte: Amount(fee.rotate_left(64)),
            engine,
            producers: producers.into_iter().map(producer).collect(),
            accounts: accounts.into_iter().map(account).collect(),
        }
    }
}

fn status() -> impl Strategy<Value = Status> {
    prop_oneof![
        Just(Status::Received),
        (slice_ref(), proptest::option::of(reason()))
            .prop_map(|(slice, reason)| { Status::Included(slice, reason.map_or(Outcome::Applied, Outcome::Failed)) }),
        reason().prop_map(Status::Rejected),
        Just(Status::Expired),
        slice_ref().prop_map(Status::Retracted),
    ]
}

fn slice_status() -> impl Strategy<Value = SliceStatus> {
    (slice_ref(), any::<(u16, u64, u8)>()).prop_map(|(reference, (confirmers, weight, flags))| SliceStatus {
        reference,
        confirmers,
        weight,
        flags,
    })
}

fn hello() -> impl Strategy<Value = Hello> {
    (any::<(u8, u8)>(), hash(), slice_ref(), slice_ref()).prop_map(|((version, roles), chain, head, final_slice)| {
        Hello { version, chain: ChainId(chain), roles: Roles(roles), head: head.height, final_slice }
    })
}

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        hello().prop_map(Message::Hello),
        transaction().prop_map(|transaction| Message::SubmitTransaction(Box::new(transaction))),
        vec(transaction(), 1..4).prop_map(|transactions| Message::Transactions(Gossip { transactions })),
        (slice(), vec(transaction(), 0..4))
            .prop_map(|(slice, transactions)| Message::SliceBundle(Box::new(SliceBundle { slice, transactions }))),
        confirm().prop_map(|confirm| Message::Confirm(Box::new(confirm))),
        (vec(slice_status(), 0..5), slice_ref(), any::<u32>()).prop_map(|(slices, final_slice, interval_ms)| {
            Message::Digest(Digest { slices, final_slice, interval_ms })
        }),
        (hash(), status()).prop_map(|(id, status)| Message::TransactionStatus(TransactionStatus { id, status })),
        (slice_ref(), hash()).prop_map(|(from, want)| Message::SliceRequest(SliceRequest { from, want })),
        any::<u64>().prop_map(Message::Ping),
        any::<u64>().prop_map(Message::Pong),
    ]
}

/// Bytes decode to nothing, or to a value whose bytes they are.
fn assert_canonical_or_refused<T: Canonical>(bytes: &[u8]) {
    if let Ok(value) = T::from_bytes(bytes) {
        assert_eq!(value.to_bytes(), bytes);
    }
}

fn assert_all_canonical_or_refused(bytes: &[u8]) {
    assert_canonical_or_refused::<Transaction>(bytes);
    assert_canonical_or_refused::<Slice>(bytes);
    assert_canonical_or_refused::<Confirm>(bytes);
    assert_canonical_or_refused::<Certificate>(bytes);
    assert_canonical_or_refused::<Block>(bytes);
    assert_canonical_or_refused::<Receipt>(bytes);
    assert_canonical_or_refused::<Genesis>(bytes);
    assert_canonical_or_refused::<Schedule>(bytes);
    assert_canonical_or_refused::<Evidence>(bytes);
    for kind in 0..=11 {
        if let Ok(message) = Message::decode(kind, bytes) {
            assert_eq!((message.kind(), message.encode()), (kind, bytes.to_vec()));
        }
    }
}

fn assert_round_trip<T: Canonical + PartialEq + core::fmt::Debug>(value: &T) {
    assert_eq!(T::from_bytes(&value.to_bytes()).as_ref(), Ok(value));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn messages_round_trip(message in message()) {
        prop_assert_eq!(Message::decode(message.kind(), &message.encode()), Ok(message));
    }

    #[test]
    fn stored_values_round_trip(
        receipt in receipt(),
        genesis in genesis(),
        certificate in certificate(),
        slot in any::<u64>(),
        previous in hash(),
        slices in vec(hash(), 1..5),
    ) {
        assert_round_trip(&receipt);
        assert_round_trip(&genesis.schedule());
        for evidence in samples::evidences() {
            assert_round_trip(&evidence);
        }
        assert_round_trip(&genesis);
        assert_round_trip(&certificate);
        assert_round_trip(&Block { slot: Slot(slot), previous, slices });
    }

    #[test]
    fn random_bytes_are_refused_or_canonical(bytes in vec(any::<u8>(), 0..600)) {
        assert_all_canonical_or_refused(&bytes);
    }

    /// Nearly right bytes reach deeper than random ones: one byte changed, removed or added.
    #[test]
    fn damaged_messages_are_refused_or_canonical(
        message in message(),
        place in any::<proptest::sample::Index>(),
        damage in 0_u8..3,
        byte in any::<u8>(),
    ) {
        let mut bytes = message.encode();
        let place = place.index(bytes.len());
        match damage {
            0 => bytes[place] = byte,
            1 => drop(bytes.remove(place)),
            _ => bytes.insert(place, byte),
        }
        assert_all_canonical_or_refused(&bytes);
    }
}

#[test]
fn a_lie_about_a_count_costs_no_memory() {
    // 8,192 transactions are within the bound, but not within these bytes.
    let mut reader = Reader::new(&[0, 32, 0, 0, 1]);
    assert_eq!(reader.take_list::<Transaction>(0..=8_192), Err(CodecError::Truncated));
    let mut reader = Reader::new(&[0xff; 8]);
    assert_eq!(reader.take_list::<Hash>(0..=8_192), Err(CodecError::Count));
    assert_eq!(Reader::new(&[9, 0, 0, 0, 1]).take_bytes(0..=9), Err(CodecError::Truncated));
}

#[test]
fn each_departure_has_its_error() {
    let good = samples::transaction();
    let error = |change: fn(&mut Transaction)| {
        let mut changed = good.clone();
        change(&mut changed);
        Transaction::from_bytes(&changed.to_bytes())
    };
    assert_eq!(error(|_| ()), Ok(good.clone()));
    assert_eq!(error(|changed| changed.body.version = 2), Err(CodecError::Version(2)));
    let many = |count| vec![samples::authorisation(); count];
    assert_eq!(
        error(|changed| changed.body.authorisations = vec![samples::authorisation(); 65]),
        Err(CodecError::Count)
    );
    assert_eq!(error(|changed| changed.body.actions = vec![samples::action(); 65]), Err(CodecError::Count));
    assert_eq!(error(|changed| changed.signatures = vec![changed.signatures[0].clone(); 65]), Err(CodecError::Count));
    assert_eq!(error(|changed| changed.body.actions[0].arguments = vec![0; 32 << 10]), Err(CodecError::TooLong));
    let full = Transaction { body: TransactionBody { authorisations: many(64), ..good.body.clone() }, ..good.clone() };
    assert_round_trip(&full);

    assert_eq!(bool::from_bytes(&[2]), Err(CodecError::Range));
    assert_eq!(u32::from_bytes(&[0; 3]), Err(CodecError::Truncated));
    assert_eq!(u32::from_bytes(&[0; 5]), Err(CodecError::TooLong));
    assert_eq!(Outcome::from_bytes(&[2]), Err(CodecError::Tag(2)));
    assert_eq!(Outcome::from_bytes(&[0, 0]), Err(CodecError::Trailing));
    let mut genesis = samples::genesis().to_bytes();
    genesis[5] = 0xff;
    assert_eq!(Genesis::from_bytes(&genesis), Err(CodecError::Text));
}

#[test]
fn a_long_transaction_is_refused_inside_a_list_too() {
    let mut long = samples::transaction();
    long.body.actions[0].arguments = vec![0; 32 << 10];
    let gossip = Gossip { transactions: vec![samples::transaction(), long] };
    assert_eq!(Gossip::from_bytes(&gossip.to_bytes()), Err(CodecError::TooLong));
}

#[test]
fn the_largest_slice_is_within_its_limit() {
    let mut slice = samples::slice();
    let signatures = (0..hpb_base::limits::PRODUCERS_MAX).map(|index| (index, samples::signature(1))).collect();
    slice.body.source.quorums = vec![Quorum::new(Epoch(1), &signatures), Quorum::new(Epoch(2), &signatures)];
    slice.body.producer = AccountName::from_address([0; 20]);
    let NextSchedule::Fixed(next) = &mut slice.body.next else { panic!("the sample fixes a schedule") };
    next.producers = vec![next.producers[0].clone(); hpb_base::limits::PRODUCERS_MAX];
    next.producers.iter_mut().for_each(|producer| producer.name = AccountName::from_address([1; 20]));
    assert_round_trip(&slice);
}

#[test]
fn a_codec_that_reads_more_than_it_writes_is_caught() {
    /// Takes any byte, but has only one to write.
    #[derive(PartialEq, Debug)]
    struct Careless;

    impl Canonical for Careless {
        fn put(&self, writer: &mut Writer) {
            writer.put(&0_u8);
        }

        fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
            reader.take::<u8>().map(|_| Self)
        }
    }

    assert_eq!(Careless::from_bytes(&[0]), Ok(Careless));
    assert_eq!(Careless::from_bytes(&[1]), Err(CodecError::NotCanonical));
}
