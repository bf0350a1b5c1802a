//! The core's part of catching up: what the machine asks for becomes messages and judgements, and what comes of these
//! goes back to it.
//!
//! While this node is behind, slices and confirms that come by themselves are left unread: they can't be judged or
//! counted yet, and come again as final slices.

use hpb_base::limits::{SLICE_BODIES_MAX, SYNC_UNSYNCED_MAX, TREE_BYTES_MAX};
use hpb_base::{Instant, Machine};
use hpb_consensus::dpos::Input as EngineInput;
use hpb_consensus::{DropReason, Verified};
use hpb_ledger::{Checked, Store};
use hpb_toe::{Command, Group, Priority, SessionId};
use hpb_types::message::diagnose::{Goodbye, Parting};
use hpb_types::message::{Message, Standing};
use hpb_types::{Slice, SliceRef, Slot};

use super::io::{Output, framed};
use super::sync::{Fault, Input as SyncInput, Output as SyncOutput, Surroundings};
use super::{Body, Core};
use crate::verify::Request;

/// The chain that leads to the operator's checkpoint passes this node's own last final slice by.
#[derive(Debug, thiserror::Error)]
#[error(
    "this node's final slice {} contradicts the checkpoint {}, whose chain has {} at that height: correct the checkpoint, or \
     remove the data folder and start anew",
    own.to_text(),
    checkpoint.to_text(),
    found.to_text()
)]
struct Beside {
    own: SliceRef,
    found: SliceRef,
    checkpoint: SliceRef,
}

impl<S: Store> Core<S> {
    /// Lets the machine that catches up say all that it has to say.
    pub(super) fn catch_up(&mut self, now: Instant) {
        self.sync.look(Surroundings {
            slot: self.engine.clock().slot_at_most(now),
            epoch: self.engine.schedules().latest().epoch,
            has_room: self.unsynced <= SYNC_UNSYNCED_MAX && self.ledger.held_bytes() <= TREE_BYTES_MAX / 2,
        });
        while let Some(output) = self.sync.poll(now) {
            match output {
                SyncOutput::Ask { session, request } => self.send(session, &Message::ChainRequest(request)),
                SyncOutput::AskHeaders { session, request } => self.send(session, &Message::HeadersRequest(request)),
                SyncOutput::OwnBeside { own, found, checkpoint } => {
                    self.stop(&Beside { own, found, checkpoint });
                }
                SyncOutput::Judge { number, bundle } => {
                    self.verifying += 1;
                    self.outputs.push_back(Output::Verify(Request::Final(number, bundle)));
                }
                SyncOutput::Ban { session, fault } => {
                    tracing::warn!(
                        session = session.index,
                        ?fault,
                        "a peer's final slices are not what they should be"
                    );
                    self.part(session, Goodbye::because(Parting::BROKEN));
                }
            }
        }
    }

    /// What came of a final slice that a peer sent: `None` if something in it does not verify.
    pub(super) fn judged(&mut self, now: Instant, number: u64, judged: Option<(Box<Verified<Slice>>, Vec<Checked>)>) {
        if !self.sync.expects(number) {
            return;
        }
        let told = match judged {
            None => SyncInput::Refused { number, fault: Fault::Unverified },
            Some((slice, transactions)) => match self.take_final(now, *slice, transactions) {
                Ok(()) => SyncInput::Taken { number },
                Err(Some(DropReason::TreeFull | DropReason::Early)) => SyncInput::Delayed { number },
                Err(_) => SyncInput::Refused { number, fault: Fault::Invalid },
            },
        };
        self.sync.handle(now, told);
    }

    /// Gives the engine a slice whose parent it has, and has it executed.
    fn take_final(
        &mut self,
        now: Instant,
        slice: Verified<Slice>,
        transactions: Vec<Checked>,
    ) -> Result<(), Option<DropReason>> {
        let reference = slice.get().reference();
        if reference.height <= self.engine.last_final().height {
            return Ok(());
        }
        let fresh = !self.bodies.contains_key(&reference.id);
        if fresh && self.bodies.len() >= SLICE_BODIES_MAX {
            return Err(Some(DropReason::TreeFull));
        }
        if fresh {
            self.bodies.insert(reference.id, Body { slice: slice.get().clone(), transactions, outcomes: Vec::new() });
        }
        self.dropped = None;
        self.engine.handle(now, EngineInput::Slice(slice));
        self.pump(now);
        if self.ledger.knows(&reference.id) || reference.height <= self.engine.last_final().height {
            return Ok(());
        }
        if fresh {
            self.bodies.remove(&reference.id);
        }
        Err(self.dropped.take())
    }

    /// Whether what came by itself for `slot` is of no use yet; counted.
    pub(super) fn is_beyond(&mut self, slot: Slot) -> bool {
        let beyond = self.sync.is_beyond(slot);
        self.stats.unread += u64::from(beyond);
        beyond
    }

    fn standing(&self) -> Message {
        Message::Standing(Standing { final_slice: self.final_told, from: self.kept_from })
    }

    /// Tells a peer what this node has: below its checkpoint nothing that it would give.
    pub(super) fn show_standing(&mut self, session: SessionId) {
        if self.sync.is_guarded() {
            return;
        }
        let message = self.standing();
        self.send(session, &message);
    }

    /// Tells the other validators what this node has, if that has changed since.
    pub(super) fn spread_standing(&mut self) {
        if self.standing_told == self.final_told || self.sync.is_guarded() {
            return;
        }
        self.standing_told = self.final_told;
        let message = framed(&self.standing());
        let broadcast = Command::Broadcast { group: Group::Validators, priority: Priority::Sheddable, message };
        self.outputs.push_back(Output::Card(broadcast));
    }

    pub(super) fn send(&mut self, session: SessionId, message: &Message) {
        let message = framed(message);
        self.outputs.push_back(Output::Card(Command::Send { session, priority: Priority::Normal, message }));
    }
}
