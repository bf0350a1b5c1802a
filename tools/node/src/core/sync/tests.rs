#![allow(clippy::unwrap_used)]

use hpb_types::{
    Beacon, Certificate, ChainId, NextSchedule, ResultsCommitment, Signature, Slice, SliceBody, transactions_root,
};

use hpb_base::limits::SPINE_MARKS_MAX;

use super::*;

/// How a peer answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Manner {
    Honest,
    /// Not at all.
    Silent,
    /// With a bad slice at that place of the chain.
    BadAt(usize),
    /// Leaves out the slice at that place, and says that it is not there.
    Omits(usize),
    /// Honest up to that place, then a fork of its own, as if that were final.
    Fork(usize),
    /// The same fork in its answers, but the true headers.
    Masked(usize),
    /// Headers that do not follow one another.
    Torn,
    /// Has nothing above that slot, whatever it says.
    Boasts(u64),
    /// It never has what it says.
    Denies,
    /// Sends what nobody asked for.
    Unasked,
    /// Sends slices from beyond the range.
    Beyond,
}

struct Peer {
    manner: Manner,
    standing: Standing,
    session: SessionId,
    open: bool,
}

struct World {
    sync: Sync,
    chain: Vec<Slice>,
    fork: Vec<Slice>,
    peers: Vec<Peer>,
    now: Instant,
    around: Surroundings,
    /// Answers on their way.
    flying: VecDeque<(Instant, SessionId, ChainPiece)>,
    headers_flying: VecDeque<(Instant, SessionId, Headers)>,
    headers_asked: Vec<(usize, RangeRequest)>,
    /// This node's own final slice and the checkpoint's there, where it was found beside it.
    beside: Option<(SliceRef, SliceRef)>,
    judging: VecDeque<(u64, Slice)>,
    taken: Vec<Slice>,
    bans: Vec<(usize, Fault)>,
    asked: Vec<(usize, RangeRequest)>,
    final_at: usize,
    /// How many slices finality is behind what was taken.
    final_behind: usize,
    waiting_max: usize,
    piece_slices: usize,
}

const SLICES: u32 = 3;

fn genesis() -> SliceRef {
    SliceRef { height: Height::default(), id: Hash::ZERO }
}

/// An empty slice of no producer's key.
pub(in crate::core) fn slice(slot: u64, index: u32, parent: Hash, epoch: u64, salt: u8) -> Slice {
    let body = SliceBody {
        version: SliceBody::VERSION,
        chain: ChainId(Hash::ZERO),
        epoch: Epoch(epoch),
        slot: Slot(slot),
        index,
        last: false,
        parent,
        producer: "alice".parse().unwrap(),
        transactions_root: transactions_root([]),
        results: ResultsCommitment { scheme: 0, hash: Hash([salt; 32]) },
        source: Certificate::genesis(genesis()),
        beacon: Beacon::None,
        next: NextSchedule::None,
    };
    Slice { body, signature: Signature([0; 64]) }
}

/// Three slices a slot, every fifth slot empty; epochs of 50 slots.
fn chain_of(slots: u64, from: Option<&Slice>, salt: u8) -> Vec<Slice> {
    let mut chain: Vec<Slice> = Vec::new();
    let (first, mut parent) = from.map_or((1, Hash::ZERO), |slice| (slice.body.slot.0 + 1, slice.id()));
    for slot in (first..=slots).filter(|slot| slot % 5 != 0) {
        for index in 0..SLICES {
            let slice = slice(slot, index, parent, slot / 50, salt);
            parent = slice.id();
            chain.push(slice);
        }
    }
    chain
}

fn key(index: usize) -> PublicKey {
    PublicKey([index as u8 + 1; 32])
}

impl World {
    fn new(slots: u64, manners: &[Manner]) -> Self {
        Self::guarded(slots, manners, None, genesis())
    }

    /// With a checkpoint at that place of the chain, and a node that is final at `own`.
    fn guarded(slots: u64, manners: &[Manner], checkpoint: Option<usize>, own: SliceRef) -> Self {
        let chain = chain_of(slots, None, 0);
        let checkpoint = checkpoint.map(|at| chain[at].reference());
        let around = Surroundings { slot: Slot(slots + 1), epoch: Epoch(0), has_room: true };
        let tip = chain.last().unwrap().reference();
        let mut sync = Sync::new(own, checkpoint, around, Instant::ZERO);
        let peers: Vec<Peer> = manners
            .iter()
            .enumerate()
            .map(|(index, manner)| {
                let session = SessionId { index: index as u32, generation: 0 };
                let mut standing = Standing { final_slice: tip, from: Slot(0) };
                if let Manner::Boasts(slot) = manner {
                    standing.final_slice.height.slot.0 = slot + 40;
                }
                sync.handle(Instant::ZERO, Input::Standing { session, peer: key(index), standing });
                Peer { manner: *manner, standing, session, open: true }
            })
            .collect();
        let fork = match manners.iter().find(|manner| matches!(manner, Manner::Fork(_) | Manner::Masked(_))) {
            Some(Manner::Fork(at) | Manner::Masked(at)) => {
                let mut fork = chain[..=*at].to_vec();
                fork.extend(chain_of(slots, Some(&chain[*at]), 7));
                fork
            }
            _ => Vec::new(),
        };
        Self {
            sync,
            chain,
            fork,
            peers,
            now: Instant::ZERO,
            around,
            flying: VecDeque::new(),
            headers_flying: VecDeque::new(),
            headers_asked: Vec::new(),
            beside: None,
            judging: VecDeque::new(),
            taken: Vec::new(),
            bans: Vec::new(),
            asked: Vec::new(),
            final_at: 0,
            final_behind: 6,
            waiting_max: 0,
            piece_slices: 7,
        }
    }

    fn answer(&mut self, session: SessionId, request: RangeRequest) {
        let index = session.index as usize;
        self.asked.push((index, request));
        let manner = self.peers[index].manner;
        let forks = matches!(manner, Manner::Fork(_) | Manner::Masked(_));
        let chain = if forks { &self.fork } else { &self.chain };
        let in_range = |slice: &Slice| slice.body.height() >= request.from && slice.body.slot <= request.to;
        let mut slices: Vec<Slice> = chain
            .iter()
            .enumerate()
            .filter(|(_, slice)| in_range(slice))
            .filter(|(at, _)| manner != Manner::Omits(*at))
            .map(|(at, slice)| {
                let mut slice = slice.clone();
                if manner == Manner::BadAt(at) {
                    slice.signature = Signature([66; 64]);
                }
                slice
            })
            .collect();
        let mut number = request.request;
        match manner {
            Manner::Silent => return,
            Manner::Boasts(slot) => slices.retain(|slice| slice.body.slot.0 <= slot),
            Manner::Unasked => number += 1_000,
            Manner::Beyond => slices.push(slice(request.to.0 + 1, 0, Hash::ZERO, 0, 3)),
            _ => {}
        }
        let denied = manner == Manner::Denies;
        let mut pieces: Vec<Vec<Slice>> = slices.chunks(self.piece_slices).map(<[Slice]>::to_vec).collect();
        if pieces.is_empty() || denied {
            pieces = vec![Vec::new()];
        }
        // An answer of three pieces at most.
        let cut = pieces.len() > 3;
        pieces.truncate(3);
        let count = pieces.len();
        for (at, piece) in pieces.into_iter().enumerate() {
            let end = match (at + 1 < count, cut, denied) {
                (.., true) => PieceEnd::NotHere,
                (true, ..) => PieceEnd::More,
                (false, true, _) => PieceEnd::Cut,
                (false, false, _) => PieceEnd::Done,
            };
            let bundles = piece.into_iter().map(|slice| SliceBundle { slice, transactions: Vec::new() });
            let piece = ChainPiece { request: number, slices: bundles.collect(), end };
            self.flying.push_back((self.now + Duration::from_millis(20), session, piece));
        }
    }

    /// Answers a request for headers, five at most.
    fn answer_headers(&mut self, session: SessionId, request: RangeRequest) {
        let index = session.index as usize;
        self.headers_asked.push((index, request));
        let manner = self.peers[index].manner;
        let chain = if matches!(manner, Manner::Fork(_)) { &self.fork } else { &self.chain };
        let in_range = |slice: &&Slice| slice.body.height() >= request.from && slice.body.slot <= request.to;
        let mut slices: Vec<Slice> = chain.iter().filter(in_range).take(6).cloned().collect();
        let mut end = if slices.len() > 5 { PieceEnd::Cut } else { PieceEnd::Done };
        slices.truncate(5);
        match manner {
            Manner::Silent => return,
            Manner::Denies => (slices, end) = (Vec::new(), PieceEnd::NotHere),
            Manner::Torn if slices.len() > 3 => drop(slices.remove(2)),
            _ => {}
        }
        let headers = Headers { request: request.request, slices, end };
        self.headers_flying.push_back((self.now + Duration::from_millis(20), session, headers));
    }

    fn settle(&mut self) {
        self.sync.look(self.around);
        while let Some(output) = self.sync.poll(self.now) {
            match output {
                Output::Ask { session, request } => self.answer(session, request),
                Output::AskHeaders { session, request } => self.answer_headers(session, request),
                Output::OwnBeside { own, found, .. } => self.beside = Some((own, found)),
                Output::Judge { number, bundle } => self.judging.push_back((number, bundle.slice)),
                Output::Ban { session, fault } => {
                    self.bans.push((session.index as usize, fault));
                    self.peers[session.index as usize].open = false;
                    self.sync.handle(self.now, Input::Closed { session });
                }
            }
        }
        let held: usize = self.sync.ranges.bytes_expected();
        self.waiting_max = self.waiting_max.max(held);
    }

    /// Judges one slice that was handed on; the chain is final some slices behind what was taken of it.
    fn judge(&mut self) -> bool {
        let Some((number, slice)) = self.judging.pop_front() else { return false };
        if !self.sync.expects(number) {
            return true;
        }
        if slice.signature.0[0] == 66 {
            self.sync.handle(self.now, Input::Refused { number, fault: Fault::Unverified });
            return true;
        }
        self.sync.handle(self.now, Input::Taken { number });
        let at = self.chain.iter().position(|known| *known == slice);
        if !self.taken.contains(&slice) {
            self.taken.push(slice);
        }
        if let Some(at) = at
            && at >= self.final_at + self.final_behind
        {
            self.finalise(at + 1 - self.final_behind);
        }
        true
    }

    /// The first `count` slices of the chain are final.
    fn finalise(&mut self, count: usize) {
        let newly = self.chain[self.final_at..count].iter().map(Slice::reference).collect();
        self.final_at = count;
        self.around.epoch = Epoch(self.chain[count - 1].body.slot.0 / 50 + 1);
        self.sync.handle(self.now, Input::Final(newly));
    }

    fn run(&mut self, span: Duration) {
        let until = self.now + span;
        loop {
            self.settle();
            while self.judge() {
                self.settle();
            }
            let flying = self.flying.front().map(|(at, ..)| *at);
            let headers = self.headers_flying.front().map(|(at, ..)| *at);
            let next = flying.into_iter().chain(headers).chain(self.sync.wake_at()).min();
            let Some(at) = next.filter(|at| *at <= until) else { break };
            self.now = self.now.max(at);
            while let Some((_, session, headers)) = self.headers_flying.pop_front_if(|(at, ..)| *at <= self.now) {
                if self.peers[session.index as usize].open {
                    self.sync.handle(self.now, Input::Headers { session, headers: Box::new(headers) });
                }
            }
            while let Some((_, session, piece)) = self.flying.pop_front_if(|(at, ..)| *at <= self.now) {
                if self.peers[session.index as usize].open {
                    self.sync.handle(self.now, Input::Piece { session, piece: Box::new(piece) });
                }
            }
        }
        self.now = until;
    }

    /// The slices taken are the chain's, in its order, without a hole, up to the slot before the last.
    fn assert_caught_up(&self) {
        let last = self.chain.last().unwrap().body.slot;
        let expected: Vec<&Slice> = self.chain.iter().filter(|slice| slice.body.slot < last).collect();
        let taken: Vec<&Slice> = self.taken.iter().filter(|slice| slice.body.results.hash == Hash::ZERO).collect();
        assert_eq!(taken.len(), expected.len(), "{:?} {:?}", self.bans, self.sync.stats());
        assert_eq!(taken, expected);
        assert!(!self.sync.is_active() && self.sync.stats().finished >= 1, "{:?}", self.sync.stats());
    }

    fn banned(&self) -> Vec<usize> {
        self.bans.iter().map(|(index, _)| *index).collect()
    }
}

/// After a long time without a quorum the certificates that make a chain final come with what is produced then.
#[test]
fn finality_that_comes_after_the_slices_is_waited_for_while_gossip_is_read() {
    let mut world = World::new(40, &[Manner::Honest; 3]);
    world.final_behind = usize::MAX;
    world.run(Duration::from_secs(9));
    let taken = world.taken.len();
    assert_eq!(taken, world.chain.iter().filter(|slice| slice.body.slot < Slot(39)).count());
    assert!(world.sync.is_active() && world.sync.stats().doubted == 0, "{:?}", world.sync.stats());
    assert!(!world.sync.is_beyond(Slot(41)), "what comes by itself makes it final");
    world.finalise(taken);
    world.run(Duration::from_secs(1));
    world.assert_caught_up();
    assert_eq!(world.sync.stats().doubted, 0);
}

#[test]
fn finality_that_never_comes_is_doubted() {
    let mut world = World::new(40, &[Manner::Honest; 3]);
    world.final_behind = usize::MAX;
    world.run(Duration::from_secs(11));
    let stats = world.sync.stats();
    assert_eq!((world.sync.is_active(), stats.unfinal, stats.doubted), (false, 1, 3));
}

#[test]
fn a_gap_closes_with_all_peers_at_work() {
    let mut world = World::new(500, &[Manner::Honest; 3]);
    world.run(Duration::from_secs(60));
    world.assert_caught_up();
    assert!(world.bans.is_empty());
    for index in 0..3 {
        assert!(world.asked.iter().filter(|(peer, _)| *peer == index).count() > 5, "peer {index}");
    }
    assert_eq!(world.sync.stats().unanswered, 0);
}

#[test]
fn whoever_is_not_behind_asks_for_nothing() {
    let mut world = World::new(4, &[Manner::Honest; 3]);
    world.run(Duration::from_secs(5));
    assert!(world.asked.is_empty() && world.sync.wake_at().is_none());
}

/// What each manner of one peer among three comes to: the fault that it is closed for, if it is.
#[test]
fn one_of_three_that_misbehaves_is_found_out_and_the_gap_closes() {
    let cases = [
        (Manner::Silent, None),
        (Manner::Denies, None),
        (Manner::BadAt(200), Some(Fault::Unverified)),
        (Manner::BadAt(0), Some(Fault::Unverified)),
        (Manner::Omits(301), Some(Fault::Link)),
        // The last of its slot and the first of the next: nothing in one answer shows it.
        (Manner::Omits(302), Some(Fault::Untrue)),
        (Manner::Omits(303), Some(Fault::Untrue)),
        (Manner::Fork(250), Some(Fault::Untrue)),
        (Manner::Unasked, Some(Fault::Unasked)),
        (Manner::Beyond, Some(Fault::Range)),
    ];
    let mut found_out = std::collections::BTreeSet::new();
    for place in 0..3 {
        for (manner, fault) in cases {
            let mut manners = [Manner::Honest; 3];
            manners[place] = manner;
            let mut world = World::new(500, &manners);
            world.run(Duration::from_secs(120));
            world.assert_caught_up();
            let honest = world.bans.iter().find(|(index, _)| *index != place);
            assert_eq!(honest, None, "{manner:?} at {place}: {:?}", world.bans);
            if let (Some((_, found)), Some(_)) = (world.bans.first(), fault) {
                let within_one = [Fault::Link, Fault::Untrue].contains(found) && fault >= Some(Fault::Link);
                assert!(Some(*found) == fault || within_one, "{manner:?} at {place}: {found:?}");
            }
            found_out.extend(world.bans.first().map(|_| format!("{manner:?}")));
            if fault.is_none() {
                assert!(world.bans.is_empty(), "{manner:?} at {place}");
            }
        }
    }
    for (manner, _) in cases.into_iter().filter(|(_, fault)| fault.is_some()) {
        assert!(found_out.contains(&format!("{manner:?}")), "{manner:?} went unseen at every place");
    }
}

#[test]
fn what_came_before_a_bad_slice_is_kept_and_what_follows_comes_from_others() {
    let mut world = World::new(300, &[Manner::BadAt(100)]);
    world.run(Duration::from_secs(3));
    assert_eq!((world.taken.len(), &world.bans[..]), (100, &[(0, Fault::Unverified)][..]));
    world.run(Duration::from_secs(20));
    assert_eq!((world.sync.stats().without_peer, world.sync.is_active()), (1, false), "nobody is left");
    let session = SessionId { index: 1, generation: 0 };
    let standing = world.peers[0].standing;
    world.peers.push(Peer { manner: Manner::Honest, standing, session, open: true });
    world.sync.handle(world.now, Input::Standing { session, peer: key(1), standing });
    world.run(Duration::from_secs(30));
    world.assert_caught_up();
    let from = world.asked.iter().find(|(peer, _)| *peer == 1).unwrap().1.from;
    assert!(from >= world.chain[90].body.height(), "it goes on where it was: {from:?}");
}

#[test]
fn nobody_who_answers_ends_the_round_and_is_tried_again() {
    let mut world = World::new(300, &[Manner::Silent; 2]);
    world.run(Duration::from_secs(30));
    let stats = world.sync.stats().clone();
    assert!(stats.unanswered >= 2 && stats.without_peer >= 1, "{stats:?}");
    world.peers.iter_mut().for_each(|peer| peer.manner = Manner::Honest);
    world.run(Duration::from_secs(300));
    world.assert_caught_up();
}

#[test]
fn when_all_have_pruned_the_round_says_so() {
    let mut world = World::new(300, &[Manner::Honest; 2]);
    for index in 0..2 {
        let standing = Standing { from: Slot(100), ..world.peers[index].standing };
        let session = world.peers[index].session;
        world.sync.handle(world.now, Input::Standing { session, peer: key(index), standing });
    }
    world.run(Duration::from_secs(15));
    assert_eq!((world.sync.stats().pruned, world.asked.len()), (1, 0));
}

#[test]
fn a_boaster_is_doubted_and_makes_nobody_deaf() {
    let mut world = World::new(100, &[Manner::Honest, Manner::Boasts(100), Manner::Honest]);
    world.around.slot = Slot(200);
    world.run(Duration::from_secs(8));
    assert_eq!(world.sync.stats().doubted, 1, "{:?}", world.sync.stats());
    assert!(!world.sync.is_active() && world.bans.is_empty());
    let asked = world.asked.len();
    world.run(Duration::from_secs(60));
    assert!(world.sync.stats().doubted <= 4 && world.asked.len() < asked + 40, "less and less often");
    assert!(!world.sync.is_beyond(Slot(101 + 20)), "what comes by itself is read");
    let mut world = World::new(100, &[Manner::Boasts(100)]);
    world.run(Duration::from_secs(8));
    assert!(world.asked.is_empty(), "a slot that has not come");
}

#[test]
fn a_slow_host_is_given_no_more_than_it_can_hold() {
    let mut world = World::new(4_000, &[Manner::Honest; 3]);
    world.around.epoch = Epoch(100);
    world.piece_slices = 200;
    for _ in 0..2_000 {
        world.settle();
        world.now += Duration::from_millis(1);
        while let Some((_, session, piece)) = world.flying.pop_front() {
            world.sync.handle(world.now, Input::Piece { session, piece: Box::new(piece) });
        }
    }
    assert_eq!(world.judging.len(), SYNC_HANDED_MAX, "nothing is judged, nothing more is handed on");
    let asked = world.asked.len();
    assert!(asked < 100 && world.waiting_max <= SYNC_WAITING_BYTES_MAX + (16 << 20), "{asked}");
    world.around.has_room = false;
    for _ in 0..100 {
        world.judge();
    }
    world.settle();
    assert_eq!(world.judging.len(), SYNC_HANDED_MAX - 100, "a disk that is behind holds it up");
    world.around.has_room = true;
    world.run(Duration::from_secs(120));
    world.assert_caught_up();
}

#[test]
fn a_full_engine_is_tried_again() {
    let mut world = World::new(60, &[Manner::Honest; 2]);
    while world.judging.is_empty() {
        world.settle();
        world.now += Duration::from_millis(5);
        while let Some((_, session, piece)) = world.flying.pop_front() {
            world.sync.handle(world.now, Input::Piece { session, piece: Box::new(piece) });
        }
    }
    let number = world.judging[0].0;
    world.sync.handle(world.now, Input::Delayed { number });
    world.run(Duration::from_secs(30));
    world.assert_caught_up();
    assert!(world.bans.is_empty());
}

#[test]
fn a_schedule_that_the_chain_does_not_make_known_is_a_fault() {
    let mut world = World::new(500, &[Manner::Honest]);
    let cut = world.chain.iter().position(|slice| slice.body.slot.0 > 20).unwrap();
    let parent = world.chain[cut - 1].id();
    let forged = slice(world.chain[cut].body.slot.0, 0, parent, 9, 0);
    world.chain[cut] = forged;
    world.run(Duration::from_secs(4));
    assert_eq!((world.taken.len(), &world.bans[..]), (cut, &[(0, Fault::Invalid)][..]));
}

#[test]
fn a_closed_session_s_ranges_go_to_others() {
    let mut world = World::new(300, &[Manner::Silent, Manner::Honest]);
    world.run(Duration::from_millis(100));
    let session = world.peers[0].session;
    world.sync.handle(world.now, Input::Closed { session });
    world.run(Duration::from_secs(3));
    world.assert_caught_up();
    assert_eq!(world.sync.stats().unanswered, 0);
    assert!(world.banned().is_empty());
}

impl World {
    /// Nothing was taken that is not on the chain.
    fn assert_nothing_beside(&self) {
        assert!(self.taken.iter().all(|slice| self.chain.contains(slice)), "{:?}", self.sync.stats());
    }
}

#[test]
fn below_a_checkpoint_nothing_of_another_chain_is_taken_whoever_offers_it() {
    // Where the fork begins, and the checkpoint, below and above it.
    let cases = [
        (Manner::Fork(100), Some(Fault::Checkpoint)),
        (Manner::Masked(100), Some(Fault::Checkpoint)),
        (Manner::Masked(398), Some(Fault::Checkpoint)),
        (Manner::Torn, Some(Fault::Link)),
        (Manner::BadAt(120), Some(Fault::Unverified)),
        (Manner::Omits(200), Some(Fault::Checkpoint)),
        (Manner::Silent, None),
        (Manner::Denies, None),
    ];
    for place in 0..3 {
        for (manner, fault) in cases {
            let mut manners = [Manner::Honest; 3];
            manners[place] = manner;
            let mut world = World::guarded(500, &manners, Some(400), genesis());
            assert!(world.sync.is_guarded() && world.sync.is_beyond(Slot(1)));
            world.run(Duration::from_secs(180));
            world.assert_caught_up();
            world.assert_nothing_beside();
            assert!(!world.sync.is_guarded() && !world.sync.is_beyond(Slot(1)));
            assert!(world.bans.iter().all(|(index, _)| *index == place), "{manner:?} at {place}: {:?}", world.bans);
            let found = world.bans.first().map(|(_, fault)| *fault);
            // Beyond the checkpoint its fork is told from the chain as ever.
            let beyond = matches!(manner, Manner::Masked(_)) && matches!(found, Some(Fault::Link | Fault::Untrue));
            assert!(found.is_none() || found == fault || beyond, "{manner:?} at {place}: {found:?}");
            if matches!(manner, Manner::Fork(_) | Manner::Torn) {
                assert_eq!(found, fault, "{manner:?} at {place}: known by its headers");
            }
        }
    }
}

#[test]
fn alone_with_another_chain_a_node_takes_nothing_until_the_right_one_comes() {
    for manner in [Manner::Fork(100), Manner::Masked(100)] {
        let mut world = World::guarded(300, &[manner], Some(400), genesis());
        world.run(Duration::from_secs(30));
        world.assert_nothing_beside();
        assert_eq!(world.bans, [(0, Fault::Checkpoint)], "{manner:?}");
        assert!(world.sync.is_guarded() && world.taken.len() < 110);
        let session = SessionId { index: 1, generation: 0 };
        let standing = world.peers[0].standing;
        world.peers.push(Peer { manner: Manner::Honest, standing, session, open: true });
        world.sync.handle(world.now, Input::Standing { session, peer: key(1), standing });
        world.run(Duration::from_secs(60));
        world.assert_caught_up();
        world.assert_nothing_beside();
    }
}

#[test]
fn who_has_not_come_to_the_checkpoint_is_not_asked() {
    let mut world = World::guarded(300, &[Manner::Honest], Some(400), genesis());
    let (session, from) = (world.peers[0].session, Slot(0));
    let standing = Standing { final_slice: world.chain[399].reference(), from };
    world.sync.handle(Instant::ZERO, Input::Standing { session, peer: key(0), standing });
    world.run(Duration::from_secs(30));
    assert!(world.headers_asked.is_empty() && world.asked.is_empty() && world.taken.is_empty());
}

#[test]
fn a_node_whose_own_chain_is_beside_the_checkpoint_says_so_and_takes_nothing() {
    let mut world = World::guarded(300, &[Manner::Honest; 2], Some(400), genesis());
    let own = slice(world.chain[200].body.slot.0, world.chain[200].body.index, Hash::ZERO, 0, 9).reference();
    let peers: Vec<(SessionId, Standing)> = world.peers.iter().map(|peer| (peer.session, peer.standing)).collect();
    world.sync = Sync::new(own, Some(world.chain[400].reference()), world.around, Instant::ZERO);
    for (index, (session, standing)) in peers.into_iter().enumerate() {
        world.sync.handle(Instant::ZERO, Input::Standing { session, peer: key(index), standing });
    }
    world.run(Duration::from_secs(30));
    assert_eq!(world.beside, Some((own, world.chain[200].reference())));
    assert!(world.asked.is_empty() && world.taken.is_empty() && world.bans.is_empty());
}

#[test]
fn one_that_is_past_its_checkpoint_catches_up_as_ever() {
    let chain = chain_of(300, None, 0);
    let mut world = World::guarded(300, &[Manner::Honest; 2], Some(400), chain[400].reference());
    assert!(!world.sync.is_guarded());
    (world.final_at, world.around.epoch) = (401, Epoch(100));
    world.run(Duration::from_secs(30));
    assert!(world.headers_asked.is_empty() && world.sync.stats().finished == 1);
}

#[test]
fn marks_end_ranges_and_grow_sparser_without_end() {
    let mut marks = Marks::new();
    let mark = |slot| SliceRef { height: Height::new(slot, 1), id: Hash([slot as u8; 32]) };
    for slot in [1, 2, 4, 5, 9] {
        marks.push(mark(slot));
    }
    marks.close(mark(12));
    let end = |from, span| marks.end_of(Slot(from), span).map(|slot| slot.0);
    assert_eq!(
        [end(1, 1), end(1, 4), end(1, 100), end(3, 1), end(6, 2), end(10, 1)].map(Option::unwrap),
        [1, 4, 12, 4, 9, 12]
    );
    assert_eq!((end(13, 5), marks.at(Slot(9)), marks.at(Slot(8))), (None, Some(mark(9)), None));
    let mut long = Marks::new();
    for slot in 1..500_000 {
        long.push(mark(slot));
    }
    long.close(mark(500_000));
    assert!(long.list.len() <= SPINE_MARKS_MAX + 1 && long.list.len() > SPINE_MARKS_MAX / 4);
    assert!(long.list.windows(2).all(|pair| pair[0].height < pair[1].height));
}
