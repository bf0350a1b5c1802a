//! Proofs: of a place in a list, and of what is true of a slice.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use hpb_consensus::FinalRun;
use hpb_ledger::commitment::{ReceiptProof, StateProof};
use hpb_node::proof::{Claim, ContentProof};
use hpb_types::slice::{TRANSACTIONS, transactions_root};
use hpb_types::{
    AccountName, Amount, Beacon, Canonical as _, Certificate, ChainId, Confirm, ConfirmBody, DposParameters,
    EngineChoice, Epoch, Fees, Genesis, GenesisAccount, GenesisProducer, Hash, KeyPair, MERKLE_PATH_MAX, MerkleProof,
    NextSchedule, Outcome, Quorum, Receipt, Schedule, ScheduledProducer, SliceBody, SliceRef, Slot, TransactionBody,
    VrfSecret, merkle_root,
};

use super::chain::check;
use super::input::Input;

/// The domain of this file's lists.
const LIST: &str = "fuzz list";
/// The largest list that is proven leaf by leaf here.
const LEAVES_MAX: u16 = 300;

/// Decodes a proof of a place, or proves a place of a list that the input names.
///
/// # Panics
/// If a proof proves two things, or a place has none.
pub fn merkle(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.byte() {
        Some(mode) if mode % 2 == 0 => drop(check::<MerkleProof>(&bytes[1..]).inspect(check_place)),
        Some(_) => prove_a_place(&mut input),
        None => {}
    }
}

fn check_place(proof: &MerkleProof) {
    let (leaf, other) = (Hash::ZERO, Hash([1; 32]));
    let Some(root) = proof.root(LIST, leaf) else { return };
    assert!(proof.index < proof.count && proof.path.len() <= MERKLE_PATH_MAX);
    assert_ne!(proof.root(LIST, other), Some(root), "one leaf a place");
    assert_ne!(proof.root("another list", leaf), Some(root));
    let mut longer = proof.clone();
    longer.path.push(leaf);
    assert_eq!(longer.root(LIST, leaf), None, "one length a place");
    // Where the two sides of a node are alike, the places are too.
    let beside = MerkleProof { index: proof.index ^ 1, ..proof.clone() };
    let is_alike = proof.path.first() == Some(&leaf);
    assert!(is_alike || beside.root(LIST, leaf) != Some(root), "one place a leaf");
}

fn prove_a_place(input: &mut Input<'_>) {
    let (count, index) = (input.word().unwrap_or(0) % LEAVES_MAX, usize::from(input.word().unwrap_or(0)));
    let leaves: Vec<Hash> = (0..count)
        .map(|number| Hash::of_parts("fuzz leaf", &[&number.to_le_bytes(), input.bytes().unwrap_or_default()]))
        .collect();
    let proof = MerkleProof::new(&leaves, index);
    assert_eq!(proof.is_some(), index < leaves.len());
    if let Some(proof) = proof {
        assert_eq!(proof.root(LIST, leaves[index]), Some(merkle_root(LIST, &leaves)));
        assert_eq!(check::<MerkleProof>(&proof.to_bytes()).as_ref(), Some(&proof));
        check_place(&proof);
    }
}

/// Decodes a file of a proof, a part of one, or the honest one with changes, and checks it on a chain of its own.
///
/// # Panics
/// If something is believed that the chain's producers did not sign, or has two encodings.
pub fn proof(bytes: &[u8]) {
    let Some((which, bytes)) = bytes.split_first() else { return };
    match which % 5 {
        0 => check_file(bytes),
        1 => drop(check::<ReceiptProof>(bytes).inspect(check_receipt)),
        2 => drop(check::<StateProof>(bytes).inspect(check_state)),
        3 => drop(check::<FinalRun>(bytes)),
        _ => check_file(&changed(bytes)),
    }
}

fn check_receipt(proof: &ReceiptProof) {
    let Some(commitment) = proof.commitment() else { return };
    let mut other = proof.clone();
    other.receipt.units ^= 1;
    assert_ne!(other.commitment(), Some(commitment));
    let state = Hash::of(&proof.state.0);
    assert_ne!(ReceiptProof { state, ..proof.clone() }.commitment(), Some(commitment));
}

fn check_state(proof: &StateProof) {
    let state = Hash::of(&proof.state.0);
    assert_ne!(StateProof { state, ..*proof }.commitment(), proof.commitment());
}

fn check_file(bytes: &[u8]) {
    let Ok(proof) = ContentProof::from_file(bytes) else { return };
    assert_eq!(proof.to_file(), bytes, "one encoding a proof");
    let Honest { genesis, slices, proof: honest } = honest();
    let Ok(proven) = proof.check(genesis) else { return };
    assert!(slices.contains(&proven.certified.slice), "{:?} is none of the chain's", proven.certified.slice);
    assert_eq!(proof.claim.state(), honest.claim.state(), "a state that nobody signed");
    if let (Some(found), Some(said)) = (proof.claim.receipt(), honest.claim.receipt()) {
        assert_eq!(found, said, "a receipt that nobody signed");
    }
    if let Some(found) = proof.claim.transaction() {
        assert_eq!(Some(found), honest.claim.transaction(), "a transaction that nobody signed");
    }
}

/// The honest file with changes: two bytes of place and one that is laid over the byte there, for each.
fn changed(bytes: &[u8]) -> Vec<u8> {
    let mut file = honest().proof.to_file();
    let mut input = Input::new(bytes);
    while let (Some(place), Some(mask)) = (input.word(), input.byte()) {
        let len = file.len();
        file[usize::from(place) % len] ^= mask;
    }
    file
}

/// A chain as far as a proof shows it.
struct Honest {
    genesis: Genesis,
    /// The slices that its producers signed for.
    slices: Vec<SliceRef>,
    proof: ContentProof,
}

/// The honest proof, for whoever needs a seed.
pub fn honest_proof() -> &'static ContentProof {
    &honest().proof
}

fn name(number: usize) -> AccountName {
    format!("producer-{number}").parse().unwrap()
}

fn keys(number: usize) -> KeyPair {
    KeyPair::from_seed([number as u8 + 1; 32])
}

fn genesis() -> Genesis {
    let beacon = |number: usize| VrfSecret::from_seed([number as u8 + 0x81; 32]).public();
    let account = |number: usize| GenesisAccount {
        name: name(number),
        key: KeyPair::from_seed([number as u8 + 0x41; 32]).public(),
        balance: Amount::ONE,
        vesting: Vec::new(),
    };
    Genesis {
        version: Genesis::VERSION,
        label: "proof".to_owned(),
        time_ms: 1_700_000_000_000,
        slot_ms: 600,
        slice_ms: 50,
        delta_ms: 50,
        epoch_slots: 8,
        fees: Fees::NONE,
        deposit_per_byte: Amount::ZERO,
        engine: EngineChoice::Dpos(DposParameters { bond_min: Amount::ZERO, ..DposParameters::preset() }),
        producers: (0..4)
            .map(|number| GenesisProducer {
                name: name(number),
                key: keys(number).public(),
                beacon: beacon(number),
                bond: Amount::ZERO,
            })
            .collect(),
        accounts: (0..4).map(account).collect(),
    }
}

/// The schedule of epoch 1: two who stay, and two who come.
fn second(first: &Schedule) -> Schedule {
    let producer = |number: usize| ScheduledProducer {
        name: name(number),
        key: keys(number).public(),
        beacon: first.producers[0].beacon,
        weight: 1,
    };
    Schedule { epoch: Epoch(1), seed: Hash([9; 32]), producers: [5, 2, 3, 4].map(producer).to_vec() }
}

/// The certificate that all of these schedules' producers sign.
fn certificate(chain: ChainId, schedules: &[&Schedule], source: SliceRef, target: SliceRef) -> Certificate {
    let epoch = schedules[schedules.len() - 1].epoch;
    let sign = |producer: &ScheduledProducer| {
        let number = (0..6).find(|number| name(*number) == producer.name).unwrap();
        let body = ConfirmBody { version: ConfirmBody::VERSION, chain, epoch, source, target, producer: producer.name };
        Confirm::sign(body, &keys(number)).signature
    };
    let quorum = |schedule: &&Schedule| {
        let signatures: BTreeMap<usize, _> = schedule.producers.iter().map(sign).enumerate().collect();
        Quorum::new(schedule.epoch, &signatures)
    };
    Certificate { source, target, quorums: schedules.iter().map(quorum).collect() }
}

/// A slice that fixes a schedule, proven final; one behind the change, certified by both; and the one that is proven.
fn honest() -> &'static Honest {
    static HONEST: OnceLock<Honest> = OnceLock::new();
    HONEST.get_or_init(|| {
        let genesis = genesis();
        genesis.validate().unwrap();
        let (chain, start, first) = (genesis.chain_id(), genesis.genesis_slice(), genesis.schedule());
        let second = second(&first);
        let body = TransactionBody {
            version: TransactionBody::VERSION,
            chain,
            payer: name(1),
            authorisations: Vec::new(),
            actions: Vec::new(),
            expiry_ms: genesis.time_ms + 60_000,
            fee_limit: Amount(9),
            salt: 3,
        };
        let ids = [Hash([7; 32]), body.id(), Hash([8; 32])];
        let receipts: Vec<Receipt> = [Hash([6; 32])]
            .into_iter()
            .chain(ids)
            .map(|transaction| Receipt {
                transaction,
                outcome: Outcome::Applied,
                fee: Amount(4),
                units: 5,
                events: Vec::new(),
            })
            .collect();
        let receipt = ReceiptProof::new(&receipts, 2, Hash([5; 32])).unwrap();
        let slice = |(slot, index): (u64, u32), epoch: u64, parent: SliceRef, source: Certificate| SliceBody {
            version: SliceBody::VERSION,
            chain,
            epoch: Epoch(epoch),
            slot: Slot(slot),
            index,
            last: false,
            parent: parent.id,
            producer: name(2),
            transactions_root: transactions_root(ids),
            results: receipt.commitment().unwrap(),
            source,
            beacon: Beacon::None,
            next: NextSchedule::None,
        };
        let of = |body: &SliceBody| SliceRef { height: body.height(), id: body.id() };
        let (old, both, new) = (&[&first][..], &[&first, &second][..], &[&second][..]);
        let link = |schedules: &[&Schedule], source, target| certificate(chain, schedules, source, target);

        let mut fixing = slice((6, 0), 0, start, Certificate::genesis(start));
        fixing.next = NextSchedule::Fixed(second.clone());
        let source = slice((6, 1), 0, of(&fixing), Certificate::genesis(start));
        let target = slice((6, 2), 0, of(&source), link(old, start, of(&source)));
        let link_to_target = link(old, of(&source), of(&target));
        let entering = slice((8, 0), 1, of(&target), link_to_target.clone());
        let entered = slice((8, 1), 1, of(&entering), link(both, of(&target), of(&entering)));
        let link_to_entered = link(both, of(&entering), of(&entered));
        let own = slice((9, 0), 1, of(&entered), link_to_entered.clone());
        let behind = slice((9, 1), 1, of(&own), link(new, of(&entered), of(&own)));
        let link_to_behind = link(new, of(&own), of(&behind));
        let slices = [&fixing, &source, &target, &entering, &entered, &own, &behind].map(of).to_vec();
        let runs = vec![
            FinalRun { headers: vec![fixing, source, target], certificates: vec![link_to_target] },
            FinalRun { headers: vec![entering, entered], certificates: vec![link_to_entered] },
            FinalRun { headers: vec![own, behind], certificates: vec![link_to_behind] },
        ];
        let place = MerkleProof::new(&ids, 1).unwrap();
        assert_eq!(place.root(TRANSACTIONS, body.id()), Some(transactions_root(ids)));
        let claim = Claim::Transaction { body, place, receipt };
        let proof = ContentProof { version: ContentProof::VERSION, chain, claim, runs };
        proof.check(&genesis).expect("an honest proof holds");
        Honest { genesis, slices, proof }
    })
}
