//! Captures and tapes in files.

use hpb_base::limits::CAPTURE_BLOCK_LEN_MAX;
use hpb_base::{Instant, UnixMillis};
use hpb_net::capture::{CaptureReader, CaptureWriter, CapturedFrame};
use hpb_toe::tape::{Captured, Entry, Replay, ReplayError, TapeReader};
use hpb_types::Canonical as _;

/// Sessions of a lane that is made here: its table is reserved whole.
const SESSIONS_MAX: usize = 1_024;
/// Entries of one tape that are followed.
const ENTRIES_MAX: usize = 256;

/// Reads a capture of whoever.
///
/// # Panics
/// If a frame is larger than any block, or one that says its way is not read again as it is written.
pub fn capture(bytes: &[u8]) {
    let Ok(mut reader) = CaptureReader::new(bytes) else { return };
    while let Ok(Some(frame)) = reader.next_frame() {
        assert!(frame.bytes.len() <= CAPTURE_BLOCK_LEN_MAX);
        written_again(&frame);
    }
}

fn written_again(frame: &CapturedFrame) {
    let Some(way) = frame.way else { return };
    let mut writer = CaptureWriter::new(Vec::new(), frame.medium, UnixMillis(0), "fuzz").unwrap();
    writer.write(Instant::from_nanos(frame.at_ns), way, &frame.bytes).unwrap();
    let file = writer.finish().unwrap();
    let mut reader = CaptureReader::new(&file[..]).unwrap();
    let again = reader.next_frame().unwrap().unwrap();
    assert_eq!(
        (again.at_ns, again.way, again.medium, &again.bytes),
        (frame.at_ns, frame.way, frame.medium, &frame.bytes)
    );
    assert_eq!(reader.next_frame().unwrap(), None);
}

/// Every received frame is this one, and whatever is sent was captured otherwise.
struct Same(Vec<u8>);

impl Captured for Same {
    fn received(&mut self) -> Option<Vec<u8>> {
        Some(self.0.clone())
    }

    fn sent(&mut self) -> Option<Vec<u8>> {
        None
    }
}

/// Reads a tape and follows it: what it says may be refused, and its lane part from it.
///
/// # Panics
/// If an entry has two encodings, or a lane does more than its tape says.
pub fn tape(bytes: &[u8]) {
    let Ok((mut reader, head)) = TapeReader::new(bytes) else { return };
    let mut replay = (head.config.sessions_max <= SESSIONS_MAX).then(|| Replay::new(&head).ok()).flatten();
    let mut frames = Same(bytes[bytes.len() / 2..].iter().copied().take(1_500).collect());
    for _ in 0..ENTRIES_MAX {
        let Ok(Some(entry)) = reader.next_entry() else { return };
        let again = entry.to_bytes();
        assert!(again.len() <= Entry::LEN_MAX && Entry::from_bytes(&again).is_ok());
        if let Some(lane) = &mut replay {
            match lane.step(entry, &mut frames) {
                Ok(()) => {}
                Err(ReplayError::Parted(parted)) => {
                    assert!(parted.alike == 0 && parted.now.is_some() && parted.then.is_none());
                    replay = None;
                }
                Err(_) => replay = None,
            }
        }
    }
}
