//! A light terminal's view of the chain: headers alone, slices without their transactions.
//!
//! A machine without I/O. It follows headers from genesis, or from a slice that its owner trusts, and says which slices
//! are final and which schedule is in force, by the same code as a validator: the engine decides on links, schedules,
//! certificates and finality, the verifier on signatures, and only execution is taken on trust. That trust is the
//! producers' own: what more than two thirds of the weight confirmed, they executed.
//!
//! Whoever gives headers is believed in nothing. The first one that is wrong is refused and named ([`LightError`]), what
//! came before it is kept, and the rest is asked of another peer. A header that is right so far and never becomes final
//! keeps nobody from following another beside it. A peer can hide how far the chain has come; it can make nothing final.
//!
//! Memory is bounded: the engine's tree, and references of the last [`LIGHT_FINALS_MAX`] final slices; of older ones
//! only that the chain has passed their height is known ([`Finality::Forgotten`]).

use std::collections::VecDeque;
use std::sync::Arc;

use hpb_base::limits::LIGHT_FINALS_MAX;
use hpb_base::{Instant, Machine};
use hpb_types::{Certificate, Confirm, Hash, Height, Schedule, Slice, SliceRef};

use crate::config::Config;
use crate::engine::{Anchor as _, DropReason, LinkEngine, LinkInput, LinkOutput, Verify};
use crate::schedules::Schedules;
use crate::verify::{Verifier, VerifyError};
use crate::watermark::Memory;

/// What it is told: headers in the chain's order, as a peer gave them.
pub type Input = Vec<Slice>;

/// What it says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// The chain is final up to here.
    Final(SliceRef),
    /// This header is wrong; those before it were taken, those after it were not looked at.
    Refused(LightError),
}

/// Whether a slice is final.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Finality {
    /// It is.
    Final,
    /// Another one is, or the chain passed its height by: it will never be.
    Never,
    /// The chain has not come so far, as far as headers tell.
    NotYet,
    /// The chain has passed its height too long ago: the slices there are not remembered.
    Forgotten,
}

/// What is wrong with a header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LightError {
    /// It builds on a slice that is not followed here.
    #[error("header {header} builds on {parent}, which is not known here")]
    Gap {
        /// The header.
        header: SliceRef,
        /// What it builds on.
        parent: Hash,
    },
    /// It lies at or below the last final slice, and is not final.
    #[error("header {header} is not on the chain that is final up to {last_final}")]
    NotFinal {
        /// The header.
        header: SliceRef,
        /// The last final slice.
        last_final: SliceRef,
    },
    /// One of its signatures, its beacon or its certificate proves nothing, or its schedule is not known to be fixed.
    #[error("header {header}: {error}")]
    Unverified {
        /// The header.
        header: SliceRef,
        /// What does not verify.
        error: VerifyError,
    },
    /// It is not valid where it stands.
    #[error("header {header} is not valid where it stands: {reason:?}")]
    Invalid {
        /// The header.
        header: SliceRef,
        /// The rule that it breaks.
        reason: DropReason,
    },
}

/// The machine. See the module.
pub struct Light<E: LinkEngine, V = Verifier> {
    engine: E,
    verifier: V,
    /// The last header taken.
    tip: SliceRef,
    /// The last final slices, ascending; never empty.
    finals: VecDeque<SliceRef>,
    outputs: VecDeque<Output>,
}

impl<E: LinkEngine, V: Verify<Confirm>> Light<E, V> {
    /// Follows the chain from `anchor` on, at `now`: genesis, or what
    /// [`dpos::Anchor::trusted`](crate::dpos::Anchor::trusted) makes of a slice that its owner trusts. `verifier` judges by
    /// the anchor's schedules; of `config` the chain, its times and a checkpoint count.
    pub fn start(mut config: Config, anchor: E::Anchor, mut verifier: V, now: Instant) -> Self {
        let tip = anchor.tip();
        config.producer = None;
        let engine = E::start(config, anchor, Memory::Never, now);
        verifier.set_schedules(engine.schedules().clone());
        Self { engine, verifier, tip, finals: VecDeque::from([tip]), outputs: VecDeque::new() }
    }

    /// The last final slice.
    pub fn last_final(&self) -> SliceRef {
        self.engine.last_final()
    }

    /// Whether `slice` is final.
    pub fn finality(&self, slice: &SliceRef) -> Finality {
        if slice.height > self.last_final().height {
            return Finality::NotYet;
        }
        if self.finals.front().is_none_or(|first| slice.height < first.height) {
            return Finality::Forgotten;
        }
        if self.finals.binary_search(slice).is_ok() { Finality::Final } else { Finality::Never }
    }

    /// The schedule in force at the end of the headers that were followed.
    pub fn in_force(&self) -> &Arc<Schedule> {
        self.engine.in_force()
    }

    /// The lowest height to ask for next, behind the last header taken.
    pub fn wanted(&self) -> Height {
        Height { index: self.tip.height.index + 1, ..self.tip.height }
    }

    /// Goes back to the last final slice: headers that were taken since may lie on a chain that ends, so the next peer is
    /// asked from there.
    pub fn rewind(&mut self) {
        self.tip = self.last_final();
    }

    /// The schedules that are known where the chain is final.
    pub fn schedules(&self) -> &Schedules {
        self.engine.schedules()
    }

    /// Takes the next header.
    fn follow(&mut self, now: Instant, slice: Slice) -> Result<(), LightError> {
        let (header, parent) = (slice.reference(), slice.body.parent);
        let last_final = self.last_final();
        if header.height <= last_final.height {
            // Below what is remembered anything may have been final.
            return match self.finality(&header) {
                Finality::Final | Finality::Forgotten => Ok(()),
                Finality::Never | Finality::NotYet => Err(LightError::NotFinal { header, last_final }),
            };
        }
        if !self.engine.holds(&header.id) {
            if !self.engine.holds(&parent) {
                return Err(LightError::Gap { header, parent });
            }
            let verified = self.verifier.slice(slice).map_err(|error| LightError::Unverified { header, error })?;
            self.engine.handle(now, LinkInput::Slice(verified));
            if let Some(reason) = self.settle(now) {
                return Err(LightError::Invalid { header, reason });
            }
        }
        self.tip = header;
        Ok(())
    }

    /// Does what the engine asks for: every slice is taken to execute as its producers say. Why the engine refused one, if
    /// it did.
    fn settle(&mut self, now: Instant) -> Option<DropReason> {
        let mut refused = None;
        while let Some(output) = self.engine.poll(now) {
            match output {
                LinkOutput::Execute { slice, .. } => {
                    self.engine.handle(now, LinkInput::Executed { slice: slice.id, matched: true });
                }
                LinkOutput::Schedules(schedules) => self.verifier.set_schedules(schedules),
                LinkOutput::Final { reference, newly } => {
                    self.finals.extend(newly);
                    let surplus = self.finals.len().saturating_sub(LIGHT_FINALS_MAX);
                    self.finals.drain(..surplus);
                    self.outputs.push_back(Output::Final(reference));
                }
                LinkOutput::Dropped(reason) => refused = Some(reason),
                // An observer makes and confirms nothing, and asks for headers in its own way.
                LinkOutput::Propose(_)
                | LinkOutput::Persist { .. }
                | LinkOutput::Record { .. }
                | LinkOutput::BroadcastSlice(_)
                | LinkOutput::Confirm(_)
                | LinkOutput::Request { .. }
                | LinkOutput::Justified(_)
                | LinkOutput::Head(_)
                | LinkOutput::InForce { .. }
                | LinkOutput::Discarded(_)
                | LinkOutput::Evidence(_)
                | LinkOutput::Diverged { .. } => {}
            }
        }
        refused
    }
}

impl<E: LinkEngine> Light<E, Verifier> {
    /// Takes a certificate that came by itself: of the last slices there is none in those after them.
    ///
    /// # Errors
    /// If it proves nothing.
    pub fn certify(&mut self, now: Instant, certificate: Certificate) -> Result<(), VerifyError> {
        let verified = self.verifier.certificate(certificate)?;
        self.engine.handle(now, LinkInput::Certificate(verified));
        // One of a slice that is not here says nothing, and does no harm.
        self.settle(now);
        Ok(())
    }
}

impl<E: LinkEngine, V: Verify<Confirm>> Machine for Light<E, V> {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, now: Instant, headers: Input) {
        for slice in headers {
            if let Err(error) = self.follow(now, slice) {
                self.outputs.push_back(Output::Refused(error));
                return;
            }
        }
    }

    fn poll(&mut self, _: Instant) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn wake_at(&self) -> Option<Instant> {
        None
    }
}
