//! A verifier on its executor: signatures for its node's chain, handshake steps for its node's lanes.
//!
//! Both share the time: a turn judges one bounded batch of requests and runs a few handshake steps. It takes no more
//! of either while their answers find no room.

use hpb_base::Instant;
use hpb_toe::{CryptoJob, CryptoResult};

use super::outlet::Outlet;
use super::readout::Publisher;
use crate::core::Input;
use crate::runtime::{Activity, Receiver, Sender, Worker};
use crate::verify::{Request, Verify, VerifyCounters};

/// Signatures that fill the batch of one turn: about 15 µs each. The request that reaches it is judged whole.
const SIGNATURES_PER_TURN: usize = 64;
/// Handshake steps of one turn: about 150 µs each.
const STEPS_PER_TURN: usize = 4;

/// What a verifier did so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct VerifyReadout {
    /// Signatures.
    pub counters: VerifyCounters,
    /// Batches that they were judged in.
    pub batches: u64,
    /// Handshake steps.
    pub handshake_steps: u64,
}

/// The links of one verifier.
pub struct VerifyLinks {
    /// From the chain.
    pub requests: Receiver<Request>,
    /// To the chain.
    pub verdicts: Sender<Input>,
    /// From each of its lanes and back.
    pub lanes: Vec<(Receiver<CryptoJob>, Sender<CryptoResult>)>,
}

struct LaneSide {
    jobs: Receiver<CryptoJob>,
    results: Outlet<CryptoResult>,
}

/// The worker. See the module.
pub struct VerifyWorker {
    verify: Verify,
    requests: Receiver<Request>,
    verdicts: Outlet<Input>,
    lanes: Vec<LaneSide>,
    next_lane: usize,
    batches: u64,
    handshake_steps: u64,
    publisher: Publisher<VerifyReadout>,
}

impl VerifyWorker {
    /// A worker that shows itself by `publisher`.
    pub fn new(verify: Verify, links: VerifyLinks, publisher: Publisher<VerifyReadout>) -> Self {
        let VerifyLinks { requests, verdicts, lanes } = links;
        let lanes = lanes.into_iter().map(|(jobs, results)| LaneSide { jobs, results: Outlet::new(results) });
        Self {
            verify,
            requests,
            verdicts: Outlet::new(verdicts),
            lanes: lanes.collect(),
            next_lane: 0,
            batches: 0,
            handshake_steps: 0,
            publisher,
        }
    }

    /// Judges what waits, up to a batch's fill.
    fn judge(&mut self) -> bool {
        let mut busy = self.verdicts.flush();
        if !self.verdicts.is_clear() {
            return busy;
        }
        let (mut requests, mut signatures) = (Vec::new(), 0);
        while signatures < SIGNATURES_PER_TURN
            && let Some(request) = self.requests.pop()
        {
            signatures += signatures_of(&request);
            requests.push(request);
        }
        if !requests.is_empty() {
            busy = true;
            self.batches += 1;
            self.verdicts.put_all(self.verify.judge(requests).into_iter().map(Input::Verdict));
        }
        busy
    }

    /// Runs steps for the lanes in turn.
    fn shake(&mut self) -> bool {
        let mut busy = false;
        for lane in &mut self.lanes {
            busy |= lane.results.flush();
        }
        let (mut left, mut idle, count) = (STEPS_PER_TURN, 0, self.lanes.len());
        while left > 0 && idle < count {
            let lane = &mut self.lanes[self.next_lane % count];
            self.next_lane = (self.next_lane + 1) % count;
            let job = if lane.results.is_clear() { lane.jobs.pop() } else { None };
            let Some(job) = job else {
                idle += 1;
                continue;
            };
            (left, idle, busy) = (left - 1, 0, true);
            self.handshake_steps += 1;
            lane.results.put(job.run());
        }
        busy
    }

    fn readout(&self) -> VerifyReadout {
        VerifyReadout {
            counters: *self.verify.counters(),
            batches: self.batches,
            handshake_steps: self.handshake_steps,
        }
    }
}

/// Signatures of a request, about: a transaction has one as a rule.
fn signatures_of(request: &Request) -> usize {
    match request {
        Request::Transactions(_, list) => list.len().max(1),
        Request::Slice(_, bundle) | Request::Final(_, bundle) => 1 + bundle.transactions.len(),
        Request::Confirm(_) => 1,
        Request::Schedules(_) => 0,
    }
}

impl Worker for VerifyWorker {
    fn turn(&mut self, now: Instant) -> Activity {
        let busy = self.judge() | self.shake();
        if busy {
            self.publisher.touch();
        }
        if self.publisher.is_due(now) {
            let readout = self.readout();
            self.publisher.publish(now, readout);
        }
        if busy { Activity::Busy } else { Activity::Idle }
    }

    fn wake_at(&self) -> Option<Instant> {
        self.publisher.wake_at()
    }

    fn finish(&mut self, _now: Instant) {
        let readout = self.readout();
        self.publisher.publish_last(readout);
    }
}
