//! One end of all sessions of a target, whoever carries them.

use hpb_base::Instant;

use crate::scenario::MESSAGE_LEN_MIN;
use crate::target::TargetError;

/// All sessions at once.
pub(crate) const EVERYBODY: u32 = u32::MAX;

/// A message that came: what stands at its head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Head {
    /// Over which session; 0 at an end that cannot tell.
    pub(crate) session: u32,
    /// Its number.
    pub(crate) number: u64,
    /// When it was meant to leave.
    pub(crate) intended: Instant,
    /// When the program had it.
    pub(crate) at: Instant,
}

/// One end of all sessions, on one thread.
pub(crate) trait Carrier {
    /// Whether all sessions are open, as far as this end knows.
    fn is_open(&self) -> bool;

    /// Takes what has come, telling `take` of each message; one that it says yes to is answered at once with `answer`,
    /// under the message's own head.
    ///
    /// # Errors
    /// As the carrier fails.
    fn receive(&mut self, answer: &mut [u8], take: &mut dyn FnMut(Head) -> bool) -> Result<(), TargetError>;

    /// Sends a message over a session, or to [`EVERYBODY`]; whether it was taken.
    ///
    /// # Errors
    /// As the carrier fails.
    fn send(&mut self, session: u32, message: &[u8]) -> Result<bool, TargetError>;

    /// Passes on what waits; done once a turn, after all that the turn sends.
    ///
    /// # Errors
    /// As the carrier fails.
    fn flush(&mut self) -> Result<(), TargetError>;

    /// Segments sent again so far.
    fn retransmitted(&self) -> u64;

    /// Sessions that ended by themselves so far.
    fn lost(&self) -> u64;
}

/// Writes a message's head.
pub(crate) fn stamp(message: &mut [u8], number: u64, intended: Instant) {
    if let Some(head) = message.first_chunk_mut::<{ MESSAGE_LEN_MIN as usize }>() {
        head[..8].copy_from_slice(&number.to_le_bytes());
        head[8..].copy_from_slice(&intended.as_nanos().to_le_bytes());
    }
}

/// Reads it; `None` of what is too short to be a message.
pub(crate) fn stamped(message: &[u8]) -> Option<(u64, Instant)> {
    let (number, rest) = message.split_first_chunk::<8>()?;
    let intended = rest.first_chunk::<8>()?;
    Some((u64::from_le_bytes(*number), Instant::from_nanos(u64::from_le_bytes(*intended))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_was_written() {
        let mut message = [0; 20];
        stamp(&mut message, 7, Instant::from_nanos(9));
        assert_eq!(stamped(&message), Some((7, Instant::from_nanos(9))));
        assert_eq!(stamped(&message[..15]), None);
    }
}
