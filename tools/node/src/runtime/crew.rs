//! Threads that help a chain to execute: they sleep until they are asked, and lend themselves for one piece of work.
//!
//! They belong on the cores of the node's verifiers: a slice's signatures are checked before it is executed.

use std::io;

use hpb_ledger::parallel::Workers;
use rayon_core::{ThreadPool, ThreadPoolBuilder};

use super::sys;

/// The chain's own thread and its helpers.
#[derive(Debug)]
pub struct Crew {
    helpers: ThreadPool,
}

impl Crew {
    /// Helpers, one on each of these cores, of which there is at least one.
    ///
    /// # Errors
    /// A thread that the system does not start. One that may not run on its core runs where it may.
    pub fn on(cores: &[usize]) -> io::Result<Self> {
        let own_cores = cores.to_vec();
        let begin = move |number: usize| {
            if let Some(core) = own_cores.get(number)
                && let Err(error) = sys::pin(&[*core])
            {
                tracing::warn!("a helper of the chain is not held on core {core}: {error}");
            }
        };
        Self::of(ThreadPoolBuilder::new().num_threads(cores.len()).start_handler(begin))
    }

    /// That many helpers, at least one, wherever the system lets them run.
    ///
    /// # Errors
    /// A thread that the system does not start.
    pub fn anywhere(helpers: usize) -> io::Result<Self> {
        Self::of(ThreadPoolBuilder::new().num_threads(helpers))
    }

    fn of(builder: ThreadPoolBuilder) -> io::Result<Self> {
        let helpers = builder.thread_name(|number| format!("execute{number}")).build().map_err(io::Error::other)?;
        Ok(Self { helpers })
    }
}

impl Workers for Crew {
    fn count(&self) -> usize {
        1 + self.helpers.current_num_threads()
    }

    fn run(&self, own: &mut dyn FnMut(), others: &(dyn Fn() + Sync)) {
        self.helpers.in_place_scope(|scope| {
            for _ in 1..self.count() {
                scope.spawn(|_| others());
            }
            own();
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::runtime::cores_allowed;

    #[test]
    fn each_does_its_part_and_all_are_done_at_the_end() {
        let core = *cores_allowed().unwrap().first().unwrap();
        for crew in [Crew::anywhere(3).unwrap(), Crew::on(&[core, core]).unwrap()] {
            let helpers = crew.count() - 1;
            for round in 1..50 {
                let (mut own, others) = (0, AtomicUsize::new(0));
                crew.run(&mut || own += 1, &|| {
                    others.fetch_add(1, Ordering::Relaxed);
                });
                assert_eq!((own, others.into_inner()), (1, helpers), "{round}");
            }
        }
    }

    #[test]
    fn a_panic_of_one_reaches_the_caller() {
        let crew = Crew::anywhere(1).unwrap();
        let run = || crew.run(&mut || (), &|| panic!("a test's"));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err());
        crew.run(&mut || (), &|| ());
    }
}
