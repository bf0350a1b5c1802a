//! Whether a pool's frames are all there.

use hpb_net::frame::Bursts;

/// Gives what stands in the bursts back and counts the pool's free frames; at rest they are all that it owns.
pub(super) fn free_frames(bursts: &mut Bursts) -> usize {
    bursts.recycle_rx();
    let left: Vec<_> = bursts.tx.drain(..).chain(bursts.host.drain(..)).collect();
    for frame in left {
        bursts.pool.give(frame);
    }
    let free: Vec<_> = std::iter::from_fn(|| bursts.pool.take_spare()).collect();
    let count = free.len();
    for frame in free {
        bursts.pool.give(frame);
    }
    count
}
