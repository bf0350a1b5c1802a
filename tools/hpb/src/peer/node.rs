//! Verbs that look at a node or card from its inside.

use std::thread;
use std::time::Duration;

use hpb_peer::act::{act, bans, bans_text};
use hpb_peer::card::{counters, counters_text, registers, registers_text, set};
use hpb_peer::events::{self, EventJson, Watch};
use hpb_peer::sessions::{SessionJson, original, read, sort, text};
use hpb_peer::{AskError, Asker};
use hpb_types::message::diagnose::{Ask, PeerKey, SessionFilter};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{failed, reach};
use crate::bench::print;
use crate::command_line::{CardLook, CardVerb, Node, PeerBan, PeerDisconnect, PeerEvents, PeerSessions, Shown};
use crate::failure::Failure;
use crate::producer::print_json;

/// What one look found: its text, and its JSON.
type Found<J> = (String, J);

/// Looks once, or again and again.
fn look<J: Serialize>(
    node: &Node,
    shown: &Shown,
    mut find: impl FnMut(&mut dyn Asker) -> Result<Found<J>, AskError>,
) -> Result<(), Failure> {
    let mut asker = reach(node)?;
    loop {
        let (text, rows) = find(&mut *asker).map_err(failed)?;
        match (shown.json, shown.watch) {
            (true, None) => print_json(&rows)?,
            (true, Some(_)) => print(&(serde_json::to_string(&rows).map_err(Failure::work)? + "\n"))?,
            (false, _) => print(&text)?,
        }
        let Some(seconds) = shown.watch else { return Ok(()) };
        #[allow(
            clippy::disallowed_methods,
            reason = "whoever watches rests between two looks; nothing is decided here"
        )]
        thread::sleep(Duration::from_secs(seconds));
    }
}

pub(crate) fn sessions(options: &PeerSessions) -> Result<(), Failure> {
    let filter = SessionFilter {
        classes: options.class.map_or(0, |class| 1 << class as u8),
        states: options.state.map_or(0, |state| 1 << state as u16),
        near: options.near.unwrap_or(SessionFilter::ALL.near),
        peer: PeerKey::from(options.identity),
    };
    look(&options.node, &options.shown, |asker| {
        let mut rows = read(asker, filter)?;
        sort(&mut rows, options.sort, options.reverse);
        rows.truncate(options.limit.unwrap_or(usize::MAX));
        let text = if options.table { original(&rows) } else { text(&rows) };
        Ok((text, rows.iter().map(SessionJson::of).collect::<Vec<_>>()))
    })
}

pub(crate) fn events(options: &PeerEvents) -> Result<(), Failure> {
    let mut watch = Watch::default();
    look(&options.node, &options.shown, |asker| {
        let news = watch.read(asker)?;
        Ok((events::text(&news), news.rows.iter().map(EventJson::of).collect::<Vec<_>>()))
    })
}

pub(crate) fn disconnect(options: &PeerDisconnect) -> Result<(), Failure> {
    let session = options.session;
    act(&mut *reach(&options.node)?, Ask::Disconnect(session)).map_err(failed)?;
    let done = json!({ "session": session.to_string(), "done": "disconnected" });
    show(options.json, &done, &format!("{session} is told that an operator ends it.\n"))
}

/// What was done.
fn show(is_json: bool, done: &Value, text: &str) -> Result<(), Failure> {
    if is_json { print_json(done) } else { print(text) }
}

pub(crate) fn ban(options: &PeerBan) -> Result<(), Failure> {
    let mut asker = reach(&options.node)?;
    let Some(who) = options.who else {
        let rows = bans(&mut *asker).map_err(failed)?;
        if !options.json {
            return print(&bans_text(&rows));
        }
        let row = |row: &hpb_types::message::diagnose::BanRow| json!({ "who": row.who.to_string(), "seconds": row.seconds, "hits": row.hits });
        return print_json(&rows.iter().map(row).collect::<Vec<Value>>());
    };
    let seconds = options.seconds;
    let (what, done, text) = if options.lift {
        let done = json!({ "who": who.to_string(), "done": "lifted" });
        (Ask::Unban(who), done, format!("{who} may come again.\n"))
    } else {
        let done = json!({ "who": who.to_string(), "done": "banned", "seconds": seconds });
        (Ask::Ban { who, seconds }, done, format!("{who} is kept out; what was open with them ends.\n"))
    };
    act(&mut *asker, what).map_err(failed)?;
    show(options.json, &done, &text)
}

/// What a running card shows of itself.
pub(crate) fn card(what: CardVerb) -> Result<(), Failure> {
    match what {
        CardVerb::Regs(CardLook { node, shown }) => look(&node, &shown, |asker| {
            let lanes = registers(asker)?;
            let row = |lane: usize, row: &hpb_types::message::diagnose::RegisterRow| json!({ "lane": lane, "register": row.name.0, "value": row.value, "acted_count": row.acted });
            let rows = lanes.iter().enumerate().flat_map(|(lane, rows)| rows.iter().map(move |one| row(lane, one)));
            Ok((registers_text(&lanes), rows.collect::<Vec<Value>>()))
        }),
        CardVerb::Stats(CardLook { node, shown }) => look(&node, &shown, |asker| {
            let lanes = counters(asker)?;
            let lane = |rows: &Vec<hpb_types::message::diagnose::CounterRow>| {
                let named = rows.iter().map(|row| (row.name.0.clone(), Value::from(row.value)));
                Value::Object(named.collect::<Map<String, Value>>())
            };
            let rows: Vec<Value> = lanes.iter().map(lane).collect();
            Ok((counters_text(&lanes), rows))
        }),
        CardVerb::Inject { register, value, json, node } => {
            set(&mut *reach(&node)?, &register, value).map_err(failed)?;
            let done = json!({ "register": register, "value": value });
            show(json, &done, &format!("{register} is {value} on all lanes.\n"))
        }
    }
}
