//! `hpb peer top`: the view of the session table on a terminal, once, or unseen and measured.

use std::io::{self, IsTerminal as _};

use hpb_node::runtime::Clock;
use hpb_peer::act::act;
use hpb_peer::card::counters;
use hpb_peer::sessions::read;
use hpb_peer::sys::{RawTerminal, size};
use hpb_peer::top::draw::{draw, page};
use hpb_peer::top::keys::{Key, keys};
use hpb_peer::top::{Snapshot, Top, Wish};
use hpb_peer::{AskError, Asker};
use hpb_types::message::diagnose::{Ask, SessionFilter};
use serde_json::json;

use super::{failed, reach};
use crate::bench::print;
use crate::command_line::PeerTop;
use crate::failure::Failure;
use crate::producer::print_json;

/// The screen of a view that is not on one.
const SIZE: (usize, usize) = (150, 40);
/// To another screen and without a cursor, and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// To the corner; to the end of a line cleared; to the end of the screen cleared.
const HOME: &str = "\x1b[H";
const CLEAR_LINE: &str = "\x1b[K\r\n";
const CLEAR_REST: &str = "\x1b[K\x1b[J";

pub(crate) fn top(options: &PeerTop) -> Result<(), Failure> {
    let mut asker = reach(&options.node)?;
    let (clock, mut top) = (Clock::start(), Top::new(options.sort));
    if let Some(frames) = options.measure {
        return measure(&mut *asker, &clock, &mut top, frames, options.json);
    }
    let is_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    if options.once || !is_terminal {
        top.take(snapshot(&mut *asker, &clock).map_err(failed)?);
        return print(&format!("{}\n", draw(&top, size().unwrap_or(SIZE), false)));
    }
    let terminal = RawTerminal::new().map_err(|error| Failure::work(format_args!("the terminal: {error}")))?;
    print(ENTER)?;
    let done = live(&mut *asker, &clock, &mut top, &terminal, options.every * 1_000);
    print(LEAVE)?;
    done
}

/// Looks every `every_ms`, and draws after each look and each key, until the operator goes.
fn live(
    asker: &mut dyn Asker,
    clock: &Clock,
    top: &mut Top,
    terminal: &RawTerminal,
    every_ms: u64,
) -> Result<(), Failure> {
    let mut next_ms = 0;
    loop {
        let now_ms = clock.now().as_millis();
        if now_ms >= next_ms {
            next_ms = now_ms + every_ms;
            if !top.is_frozen() {
                top.take(snapshot(asker, clock).map_err(failed)?);
            }
        }
        let size = size().unwrap_or(SIZE);
        show(&draw(top, size, true))?;
        let wait_ms = next_ms.saturating_sub(clock.now().as_millis());
        let bytes = terminal.keys(wait_ms).map_err(|error| Failure::work(format_args!("the terminal: {error}")))?;
        for key in keys(&bytes) {
            if key != Key::Escape {
                top.say("");
            }
            let ask = match top.key(key, page(size.1)) {
                None => continue,
                Some(Wish::Quit) => return Ok(()),
                Some(Wish::Disconnect(session)) => Ask::Disconnect(session),
                Some(Wish::Ban(who)) => Ask::Ban { who, seconds: 0 },
            };
            match act(asker, ask) {
                Ok(()) => top.say("done"),
                Err(error @ AskError::Refused(_)) => top.say(&error.to_string()),
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

fn show(frame: &str) -> Result<(), Failure> {
    print(&format!("{HOME}{}{CLEAR_REST}", frame.replace('\n', CLEAR_LINE)))
}

fn snapshot(asker: &mut dyn Asker, clock: &Clock) -> Result<Snapshot, AskError> {
    let counters = counters(asker)?;
    let rows = read(asker, SessionFilter::ALL)?;
    Ok(Snapshot { at_ms: clock.now().as_millis(), rows, counters })
}

/// Draws frames, one a second, that nobody sees, and tells what they took.
fn measure(asker: &mut dyn Asker, clock: &Clock, top: &mut Top, frames: u32, json: bool) -> Result<(), Failure> {
    let (mut reads_us, mut draws_us, mut rows) = (Vec::new(), Vec::new(), 0);
    for _ in 0..frames {
        let began = clock.now();
        let snapshot = snapshot(asker, clock).map_err(failed)?;
        let read = clock.now();
        rows = snapshot.rows.len();
        top.take(snapshot);
        std::hint::black_box(draw(top, SIZE, true));
        let drawn = clock.now();
        reads_us.push(read.since(began).as_nanos() / 1_000);
        draws_us.push(drawn.since(read).as_nanos() / 1_000);
        let spent_ms = drawn.since(began).as_millis();
        #[allow(clippy::disallowed_methods, reason = "a frame a second; nothing is decided here")]
        std::thread::sleep(std::time::Duration::from_millis(1_000_u64.saturating_sub(spent_ms)));
    }
    let of = |mut all: Vec<u64>| {
        all.sort_unstable();
        (all.get(all.len() / 2).copied().unwrap_or(0), all.last().copied().unwrap_or(0))
    };
    let ((read_us, read_us_max), (draw_us, draw_us_max)) = (of(reads_us), of(draws_us));
    if json {
        return print_json(&json!({
            "frames": frames, "sessions": rows,
            "read_us_p50": read_us, "read_us_max": read_us_max,
            "redraw_us_p50": draw_us, "redraw_us_max": draw_us_max,
        }));
    }
    print(&format!(
        "{frames} frames of {rows} sessions: read {read_us} us (at most {read_us_max}), filtered, sorted and drawn \
         {draw_us} us (at most {draw_us_max})\n"
    ))
}
