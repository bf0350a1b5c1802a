//! Where a device's frames are received: into pooled frames without a copy, and, where one is a super-frame, into the
//! room behind it, from which it is cut apart burst by burst.

use std::io::IoSliceMut;

use hpb_base::limits::{FRAME_LEN_MAX, SUPER_FRAME_LEN_MAX};

use super::{Cutter, ETHERNET_LEN, HEADER_LEN, Malformed, Segmentation, TAG_LEN, VirtioHeader};
use crate::frame::{Bursts, Frame, FramePool};
use crate::port::{HardwareAddress, PortCounters};
use crate::sys::packet::{Arrival, RECEIVE_PARTS};

/// Bytes of the room of one slot: a tag that is put back, what a frame holds, and the rest of a super-frame.
const ROOM_LEN: usize = TAG_LEN + SUPER_FRAME_LEN_MAX;
/// Where in its room a super-frame starts, until a tag is put back.
const ROOM_START: usize = TAG_LEN;

#[derive(Default)]
struct Slot {
    header: [u8; HEADER_LEN],
    frame: Option<Frame>,
}

/// A super-frame that is being cut: where it starts and ends in its slot's room.
struct Cutting {
    cutter: Cutter,
    start: usize,
    end: usize,
}

/// Places for received frames, each with an offload header.
pub(crate) struct Slots {
    /// Who receives; all do if it is nobody.
    hardware: Option<HardwareAddress>,
    places: Vec<Slot>,
    /// One allocation for all rooms: its pages are the host's until a super-frame comes.
    rooms: Vec<u8>,
    arrivals: Vec<Arrival>,
    /// From here on no slot has a frame.
    stocked_end: usize,
    /// How many slots hold something received.
    filled: usize,
    /// The first of them that is not handed on.
    next: usize,
    cutting: Option<Cutting>,
}

impl Slots {
    /// `count` empty places for frames to `hardware`, broadcast and multicast; others are left out.
    pub(crate) fn new(count: usize, hardware: HardwareAddress) -> Self {
        Self::to(Some(hardware), count)
    }

    /// `count` empty places for frames to any address.
    pub(crate) fn to_all(count: usize) -> Self {
        Self::to(None, count)
    }

    fn to(hardware: Option<HardwareAddress>, count: usize) -> Self {
        Self {
            hardware,
            places: std::iter::repeat_with(Slot::default).take(count).collect(),
            rooms: vec![0; count * ROOM_LEN],
            arrivals: vec![Arrival::default(); count],
            stocked_end: 0,
            filled: 0,
            next: 0,
            cutting: None,
        }
    }

    /// Puts frames into the first `wanted` slots, as far as the pool has them; returns how many can receive.
    pub(crate) fn stock(&mut self, wanted: usize, pool: &mut FramePool) -> usize {
        let mut stocked = 0;
        for slot in self.places.iter_mut().take(wanted) {
            let Some(mut frame) = slot.frame.take().or_else(|| pool.take()) else { break };
            frame.set_len(FRAME_LEN_MAX);
            slot.frame = Some(frame);
            stocked += 1;
        }
        self.stocked_end = self.stocked_end.max(stocked);
        stocked
    }

    /// Gives the frames of the slots past the first `kept` back.
    pub(crate) fn release(&mut self, kept: usize, pool: &mut FramePool) {
        for slot in self.places.iter_mut().take(self.stocked_end).skip(kept) {
            if let Some(frame) = slot.frame.take() {
                pool.give(frame);
            }
        }
        self.stocked_end = self.stocked_end.min(kept);
    }

    /// The first `count` slots, which are stocked: where the device writes, and where it says what came.
    pub(crate) fn places(
        &mut self,
        count: usize,
    ) -> (impl Iterator<Item = [IoSliceMut<'_>; RECEIVE_PARTS]>, &mut [Arrival]) {
        let rooms = self.rooms.chunks_exact_mut(ROOM_LEN);
        let places = self.places[..count].iter_mut().zip(rooms).map(|(slot, room)| {
            let frame: &mut [u8] = match &mut slot.frame {
                Some(frame) => frame.bytes_mut(),
                None => &mut [],
            };
            let rest = &mut room[ROOM_START + FRAME_LEN_MAX..];
            [IoSliceMut::new(&mut slot.header), IoSliceMut::new(frame), IoSliceMut::new(rest)]
        });
        (places, &mut self.arrivals[..count])
    }

    /// Notes that the device has written the first `count` slots.
    pub(crate) fn fill(&mut self, count: usize) {
        self.filled = count;
        self.next = 0;
    }

    /// Whether received frames wait for room in the burst.
    pub(crate) fn is_waiting(&self) -> bool {
        self.next < self.filled
    }

    /// Hands on what was received, oldest first, as far as the burst has room; returns how many frames.
    pub(crate) fn drain(&mut self, bursts: &mut Bursts, counters: &mut PortCounters) -> usize {
        let before = bursts.rx.len();
        while self.is_waiting() && bursts.rx_room() > 0 {
            if self.cutting.is_some() {
                if !self.cut(bursts) {
                    break;
                }
            } else if let Err(Malformed) = self.take(bursts, counters) {
                counters.rx_malformed += 1;
            }
            if self.cutting.is_none() {
                self.next += 1;
            }
        }
        let received = &bursts.rx[before..];
        counters.rx_frames += received.len() as u64;
        counters.rx_bytes += received.iter().map(|frame| frame.len() as u64).sum::<u64>();
        received.len()
    }

    /// Hands on the next slot's frame, or starts to cut it.
    fn take(&mut self, bursts: &mut Bursts, counters: &mut PortCounters) -> Result<(), Malformed> {
        let slot = &mut self.places[self.next];
        let arrival = self.arrivals[self.next];
        let len = arrival.len.checked_sub(HEADER_LEN).ok_or(Malformed)?;
        let Some(frame) = slot.frame.as_mut() else { return Ok(()) };
        if len < ETHERNET_LEN {
            return Err(Malformed);
        }
        let destination = &frame.bytes()[..6];
        if self.hardware.is_some_and(|hardware| destination != hardware && destination[0] & 1 == 0) {
            return Ok(());
        }
        let header = VirtioHeader::parse(&slot.header);
        if arrival.is_cut || (len > FRAME_LEN_MAX && header.segmentation == Segmentation::None) {
            return Err(Malformed);
        }
        if header.segmentation == Segmentation::None {
            frame.truncate(len);
            header.mark(frame)?;
            frame.set_arrived(arrival.unix_ns);
            if let Some(tag) = arrival.tag {
                put_tag_back(frame, tag)?;
            }
            bursts.rx.extend(slot.frame.take());
            return Ok(());
        }
        let room = &mut self.rooms[self.next * ROOM_LEN..][..ROOM_LEN];
        let held_len = len.min(FRAME_LEN_MAX);
        room[ROOM_START..ROOM_START + held_len].copy_from_slice(&frame.bytes()[..held_len]);
        self.begin(header, len, arrival.tag)?;
        counters.rx_split += 1;
        Ok(())
    }

    /// Starts to cut the next slot's super-frame of `len` bytes, which lies whole in its room.
    fn begin(&mut self, mut header: VirtioHeader, len: usize, tag: Option<[u8; TAG_LEN]>) -> Result<(), Malformed> {
        let room = &mut self.rooms[self.next * ROOM_LEN..][..ROOM_LEN];
        let (mut start, end) = (ROOM_START, ROOM_START + len);
        if let Some(tag) = tag {
            start = 0;
            room.copy_within(TAG_LEN..TAG_LEN + 12, 0);
            room[12..12 + TAG_LEN].copy_from_slice(&tag);
            if let Some(partial) = &mut header.partial {
                partial.start = partial.start.checked_add(TAG_LEN as u16).ok_or(Malformed)?;
            }
        }
        self.cutting = Some(Cutting { cutter: Cutter::new(&header, &room[start..end])?, start, end });
        Ok(())
    }

    /// Goes on with the super-frame under the knife; false if the pool ran dry.
    fn cut(&mut self, bursts: &mut Bursts) -> bool {
        let Some(Cutting { cutter, start, end }) = &mut self.cutting else { return true };
        let room = &self.rooms[self.next * ROOM_LEN..][..ROOM_LEN];
        // The slot's own frame serves for the first segment, so that a small pool is no standstill.
        let spare = &mut self.places[self.next].frame;
        while bursts.rx_room() > 0 && !cutter.is_done() {
            let Some(mut frame) = spare.take().or_else(|| bursts.pool.take()) else { return false };
            cutter.cut(&room[*start..*end], &mut frame);
            frame.set_arrived(self.arrivals[self.next].unix_ns);
            bursts.rx.push(frame);
        }
        if cutter.is_done() {
            self.cutting = None;
        }
        true
    }
}

/// Puts a VLAN tag behind the addresses, from where the kernel took it.
fn put_tag_back(frame: &mut Frame, tag: [u8; TAG_LEN]) -> Result<(), Malformed> {
    if frame.len() + TAG_LEN > FRAME_LEN_MAX || !frame.prepend(&[0; TAG_LEN]) {
        return Err(Malformed);
    }
    let bytes = frame.bytes_mut();
    bytes.copy_within(TAG_LEN..TAG_LEN + 12, 0);
    bytes[12..12 + TAG_LEN].copy_from_slice(&tag);
    Ok(())
}
