//! The thread that runs handshake steps for the lanes: one bounded ring of jobs and one of results a lane, so that no
//! lane ever does a Diffie-Hellman operation itself.

use std::time::Duration;

use hpb_base::limits::CRYPTO_JOBS_MAX;
use hpb_toe::{CryptoJob, CryptoResult};
use rtrb::{Consumer, Producer, RingBuffer};

/// How long the worker sleeps when no lane has a job for it: short beside a handshake, long beside a look at the rings.
const IDLE_SLEEP: Duration = Duration::from_micros(50);

/// A lane's side: where its jobs go and its results come back. The worker ends when all desks are gone.
pub(super) struct Desk {
    pub(super) jobs: Producer<CryptoJob>,
    pub(super) results: Consumer<CryptoResult>,
}

/// The thread's side of all desks.
pub(super) struct Worker {
    trays: Vec<Tray>,
}

struct Tray {
    jobs: Consumer<CryptoJob>,
    results: Producer<CryptoResult>,
}

/// Desks for `count` lanes and the worker behind them.
pub(super) fn desks(count: usize) -> (Vec<Desk>, Worker) {
    let pair = |_| {
        let (jobs_in, jobs_out) = RingBuffer::new(CRYPTO_JOBS_MAX);
        let (results_in, results_out) = RingBuffer::new(CRYPTO_JOBS_MAX);
        (Desk { jobs: jobs_in, results: results_out }, Tray { jobs: jobs_out, results: results_in })
    };
    let (desks, trays) = (0..count).map(pair).unzip();
    (desks, Worker { trays })
}

impl Worker {
    /// Runs jobs, one of each lane in turn, until no desk is left.
    #[allow(clippy::disallowed_methods, reason = "a bench's own thread waits for work")]
    pub(super) fn run(mut self) {
        loop {
            let mut worked = false;
            for tray in &mut self.trays {
                worked |= tray.step();
            }
            if worked {
                continue;
            }
            self.trays.retain(|tray| !tray.jobs.is_abandoned());
            if self.trays.is_empty() {
                return;
            }
            std::thread::sleep(IDLE_SLEEP);
        }
    }
}

impl Tray {
    fn step(&mut self) -> bool {
        if self.results.is_full() {
            return false;
        }
        let Ok(job) = self.jobs.pop() else { return false };
        // The ring has room: this thread alone fills it.
        self.results.push(job.run()).is_ok()
    }
}
