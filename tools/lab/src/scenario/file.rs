//! A scenario as a file that people write, in TOML; `docs/lab-scenario.md` tells every key.
//!
//! Beside what its reader refuses: what contradicts itself, such as a closed loop where nothing is answered, or
//! the kernel on virtual time.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::ops::RangeInclusive;

use hpb_base::Duration;
use hpb_net::wire::{BurstLoss, LinkConfig};

use super::reader::{Document, Section};
use super::{
    Arrivals, Change, ClockKind, Fault, KernelWay, Limit, Load, MESSAGE_LEN_MIN, Pattern, SHORT_LEN_MAX, Scenario,
    TargetKind, TargetSpec, units,
};

pub use super::reader::ScenarioError;

/// Sessions of one target at most.
pub const SESSIONS_MAX: u64 = 200_000;
/// Bytes of one message at most.
pub const MESSAGE_LEN_MAX: u64 = 1 << 20;
/// Sessions at most where messages are longer than [`SHORT_LEN_MAX`]: each takes a megabyte at its two ends.
const LONG_SESSIONS_MAX: u32 = 1_000;
/// Messages a second at most.
const RATE_MAX: f64 = 1e7;
/// Repeats, targets, changes, faults and limits at most.
const REPEATS_MAX: u64 = 1_000;
const TARGETS_MAX: usize = 8;
const CHANGES_MAX: usize = 64;
const FAULTS_MAX: usize = 8;
const LIMITS_MAX: usize = 32;
/// Validators of a devnet.
const VALIDATORS: RangeInclusive<u64> = 4..=101;
const NAME: &str = "a name of at most 32 lowercase letters, digits and hyphens";

/// Every key, by section; the root's is empty.
pub const KEYS: [(&str, &[&str]); 9] = [
    (
        "",
        &[
            "name", "about", "seed", "clock", "warm_up", "duration", "drain", "repeats", "sessions", "load", "link",
            "change", "fault", "target", "assert",
        ],
    ),
    ("load", &["pattern", "arrivals", "rate_per_s", "burst", "every", "in_flight", "request_len", "reply_len"]),
    (
        "link",
        &["delay", "jitter", "loss", "reorder", "reorder_delay", "duplicate", "rate", "queue", "cut", "there", "back"],
    ),
    ("link.there", LINK_KEYS),
    ("link.loss", &["enter", "leave", "good", "bad"]),
    ("change", &["at", "label", "link", "there", "back"]),
    ("fault", &["kind", "every", "pause", "count", "rate_per_s"]),
    ("target", &["name", "kind", "port", "encrypted", "program", "count"]),
    ("assert", &["that", "target"]),
];

/// The keys of one direction.
const LINK_KEYS: &[&str] =
    &["delay", "jitter", "loss", "reorder", "reorder_delay", "duplicate", "rate", "queue", "cut"];

/// Reads a scenario.
///
/// # Errors
/// What is no TOML, no scenario, outside its bounds, or contradicts itself, with its line.
pub fn parse(text: &str) -> Result<Scenario, ScenarioError> {
    parse_with(text, &[])
}

/// Reads a scenario with values set beside the file: paths of keys and what they are set to.
///
/// # Errors
/// As [`parse`].
pub fn parse_with(text: &str, set: &[(String, String)]) -> Result<Scenario, ScenarioError> {
    let mut document = Document::parse(text)?;
    for (path, value) in set {
        document.set(path, value)?;
    }
    scenario(&document.root())
}

/// The text that says all of it: the file, and what was set beside it.
pub fn text_with(text: &str, set: &[(String, String)]) -> String {
    let mut all = text.to_owned();
    for (path, value) in set {
        // Writing to a string does not fail.
        let _ = writeln!(all, "# set: {path} = {value}");
    }
    all
}

fn keys(section: &str) -> &'static [&'static str] {
    KEYS.iter().find(|(name, _)| *name == section).map_or(&[], |(_, keys)| keys)
}

fn seconds(from_ms: u64, to_s: u64) -> RangeInclusive<Duration> {
    Duration::from_millis(from_ms)..=Duration::from_secs(to_s)
}

fn scenario(root: &Section<'_>) -> Result<Scenario, ScenarioError> {
    root.only(keys(""))?;
    let name = root.read("name", NAME, is_name)?.ok_or_else(|| root.missing("name"))?;
    let clock = root.read("clock", "\"real\" or \"virtual\"", |word| match word {
        "real" => Some(ClockKind::Real),
        "virtual" => Some(ClockKind::Virtual),
        _ => None,
    })?;
    let load_section = root.section("load")?.ok_or_else(|| root.missing("load"))?;
    let load = load(&load_section)?;
    let (there, back) = links(root)?;
    let duration = root.duration("duration", seconds(1, 3_600))?.unwrap_or(Duration::from_secs(10));
    let scenario = Scenario {
        name,
        about: root.string("about")?.unwrap_or_default().to_owned(),
        seed: root.integer("seed", 0..=i64::MAX as u64)?.unwrap_or(1),
        clock: clock.unwrap_or(ClockKind::Real),
        warm_up: root.duration("warm_up", seconds(0, 600))?.unwrap_or(Duration::from_millis(500)),
        duration,
        drain: root.duration("drain", seconds(0, 600))?.unwrap_or(Duration::from_secs(2)),
        repeats: root.integer("repeats", 1..=REPEATS_MAX)?.unwrap_or(5) as u32,
        sessions: root.integer("sessions", 1..=SESSIONS_MAX)?.unwrap_or(1) as u32,
        load,
        there,
        back,
        changes: changes(root, duration, there, back)?,
        faults: faults(root)?,
        targets: targets(root)?,
        limits: limits(root)?,
    };
    agrees(root, &load_section, &scenario)?;
    Ok(scenario)
}

fn is_name(word: &str) -> Option<String> {
    let is_letter = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    (!word.is_empty() && word.len() <= 32 && word.chars().all(is_letter)).then(|| word.to_owned())
}

fn load(section: &Section<'_>) -> Result<Load, ScenarioError> {
    section.only(keys("load"))?;
    let patterns = [
        ("request-reply", Pattern::RequestReply),
        ("fan-out", Pattern::FanOut),
        ("incast", Pattern::Incast),
        ("one-way", Pattern::OneWay),
        ("reconnect", Pattern::Reconnect),
        ("confirm", Pattern::Confirm),
    ];
    let words = format!("one of {}", patterns.map(|(word, _)| word).join(", "));
    let pattern = section
        .read("pattern", &words, |found| patterns.iter().find(|(word, _)| *word == found).map(|(_, pattern)| *pattern))?
        .ok_or_else(|| section.missing("pattern"))?;
    let len = |key| section.integer(key, u64::from(MESSAGE_LEN_MIN)..=MESSAGE_LEN_MAX);
    let request_len = len("request_len")?.unwrap_or(64) as u32;
    let reply_len = len("reply_len")?.unwrap_or(64) as u32;
    let answers = pattern == Pattern::RequestReply;
    if !answers && section.has("reply_len") {
        return Err(section.wrong("reply_len", "nothing is answered in this pattern"));
    }
    if matches!(pattern, Pattern::Reconnect | Pattern::Confirm) && section.has("request_len") {
        return Err(section.wrong("request_len", "this pattern sends messages of its own"));
    }
    let arrivals = arrivals(section)?;
    if matches!(arrivals, Arrivals::Closed { .. }) && !matches!(pattern, Pattern::RequestReply | Pattern::Reconnect) {
        return Err(
            section.wrong("arrivals", "a closed loop waits for answers, and nothing is answered in this pattern")
        );
    }
    if pattern == Pattern::Reconnect && matches!(arrivals, Arrivals::Closed { in_flight } if in_flight > 1) {
        return Err(section.wrong("in_flight", "a session is opened once at a time"));
    }
    Ok(Load { pattern, arrivals, request_len, reply_len: if answers { reply_len } else { 0 } })
}

fn arrivals(section: &Section<'_>) -> Result<Arrivals, ScenarioError> {
    let words = "one of fixed, poisson, bursts, closed";
    let kinds = ["fixed", "poisson", "bursts", "closed"];
    let kind = section
        .read("arrivals", words, |found| kinds.into_iter().find(|kind| *kind == found))?
        .ok_or_else(|| section.missing("arrivals"))?;
    let belongs: &[&str] = match kind {
        "fixed" | "poisson" => &["rate_per_s"],
        "bursts" => &["burst", "every"],
        _ => &["in_flight"],
    };
    for key in ["rate_per_s", "burst", "every", "in_flight"] {
        if section.has(key) && !belongs.contains(&key) {
            return Err(section.wrong(key, format_args!("`{key}` does not belong to arrivals of the kind {kind}")));
        }
    }
    let per_s = || section.number("rate_per_s", 0.01..=RATE_MAX)?.ok_or_else(|| section.missing("rate_per_s"));
    Ok(match kind {
        "fixed" => Arrivals::Fixed { per_s: per_s()? },
        "poisson" => Arrivals::Poisson { per_s: per_s()? },
        "bursts" => Arrivals::Bursts {
            count: section.integer("burst", 1..=SESSIONS_MAX)?.ok_or_else(|| section.missing("burst"))? as u32,
            every: section
                .duration("every", Duration::from_micros(1)..=Duration::from_secs(60))?
                .ok_or_else(|| section.missing("every"))?,
        },
        _ => Arrivals::Closed { in_flight: section.integer("in_flight", 1..=1_024)?.unwrap_or(1) as u32 },
    })
}

/// Both directions at the beginning: what `[link]` says, then what each says of its own.
fn links(root: &Section<'_>) -> Result<(LinkConfig, LinkConfig), ScenarioError> {
    let Some(section) = root.section("link")? else { return Ok(Default::default()) };
    section.only(keys("link"))?;
    let both = link(&section, LinkConfig::default())?;
    let mut ways = [both; 2];
    for (way, key) in ways.iter_mut().zip(["there", "back"]) {
        if let Some(section) = section.section(key)? {
            section.only(LINK_KEYS)?;
            *way = link(&section, both)?;
        }
    }
    Ok((ways[0], ways[1]))
}

/// What a section says of a direction, over what was there.
fn link(section: &Section<'_>, base: LinkConfig) -> Result<LinkConfig, ScenarioError> {
    let minute = seconds(0, 60);
    let jitter = "\"none\", \"uniform TIME\", \"exponential MEAN\", \"normal DEVIATION\" or \"pareto LEAST SHAPE\"";
    let (loss_ppm, burst_loss) = loss(section)?.unwrap_or((base.loss_ppm, base.burst_loss));
    let model = LinkConfig {
        delay: section.duration("delay", minute.clone())?.unwrap_or(base.delay),
        jitter: section.read("jitter", jitter, units::jitter)?.unwrap_or(base.jitter),
        loss_ppm,
        burst_loss,
        corrupt_ppm: 0,
        reorder_ppm: section.share("reorder")?.unwrap_or(base.reorder_ppm),
        reorder_delay: section.duration("reorder_delay", minute)?.unwrap_or(base.reorder_delay),
        duplicate_ppm: section.share("duplicate")?.unwrap_or(base.duplicate_ppm),
        rate_bits_per_s: section
            .read("rate", "a rate, as \"10 Gbit/s\", from 1 kbit/s to 1 Tbit/s, or \"unlimited\"", |word| {
                if word == "unlimited" { Some(0) } else { units::rate(word) }
            })?
            .unwrap_or(base.rate_bits_per_s),
        queue_len_max: section
            .read("queue", "a size up to 1 GiB, as \"256 KiB\", or \"unlimited\"", |word| {
                if word == "unlimited" { Some(0) } else { units::size(word) }
            })?
            .unwrap_or(base.queue_len_max),
        cut: section.boolean("cut")?.unwrap_or(base.cut),
    };
    if model.reorder_ppm > 0 && model.reorder_delay == Duration::ZERO {
        return Err(
            section.wrong("reorder", "frames are reordered by holding them back: `reorder_delay` says how long")
        );
    }
    if model.queue_len_max > 0 && model.rate_bits_per_s == 0 {
        return Err(section.wrong("queue", "nothing queues without a `rate`"));
    }
    Ok(model)
}

/// A share, or a table of the chain of two states.
/// A share of all frames, or bursts: setting the one takes the other away.
fn loss(section: &Section<'_>) -> Result<Option<(u32, Option<BurstLoss>)>, ScenarioError> {
    let Ok(Some(chain)) = section.section("loss") else {
        let words = "a share, as \"0.1 %\", or a table with enter, leave, good and bad";
        let ppm = section.read("loss", words, units::share)?;
        return Ok(ppm.map(|ppm| (ppm, None)));
    };
    chain.only(keys("link.loss"))?;
    let bursts = BurstLoss {
        enter_ppm: chain.share("enter")?.ok_or_else(|| chain.missing("enter"))?,
        leave_ppm: chain.share("leave")?.ok_or_else(|| chain.missing("leave"))?,
        good_ppm: chain.share("good")?.unwrap_or(0),
        bad_ppm: chain.share("bad")?.unwrap_or(1_000_000),
    };
    Ok(Some((0, Some(bursts))))
}

fn changes(
    root: &Section<'_>,
    duration: Duration,
    mut there: LinkConfig,
    mut back: LinkConfig,
) -> Result<Vec<Change>, ScenarioError> {
    let sections = root.sections("change")?;
    if sections.len() > CHANGES_MAX {
        return Err(root.wrong("change", format_args!("at most {CHANGES_MAX} changes")));
    }
    let mut changes: Vec<Change> = Vec::with_capacity(sections.len());
    for section in sections {
        section.only(keys("change"))?;
        let at = section.duration("at", seconds(0, 3_600))?.ok_or_else(|| section.missing("at"))?;
        if at >= duration || changes.last().is_some_and(|last| at < last.at) {
            return Err(section.wrong("at", "changes come in order, and before what is measured ends"));
        }
        let mut change =
            Change { at, there: None, back: None, label: section.string("label")?.unwrap_or_default().to_owned() };
        for (key, is_there, is_back) in [("link", true, true), ("there", true, false), ("back", false, true)] {
            let Some(way) = section.section(key)? else { continue };
            way.only(LINK_KEYS)?;
            if is_there {
                there = link(&way, there)?;
                change.there = Some(there);
            }
            if is_back {
                back = link(&way, back)?;
                change.back = Some(back);
            }
        }
        if change.there.is_none() && change.back.is_none() {
            return Err(section.wrong("link", "a change says what changes: `link`, `there` or `back`"));
        }
        changes.push(change);
    }
    Ok(changes)
}

fn faults(root: &Section<'_>) -> Result<Vec<Fault>, ScenarioError> {
    let sections = root.sections("fault")?;
    if sections.len() > FAULTS_MAX {
        return Err(root.wrong("fault", format_args!("at most {FAULTS_MAX} faults")));
    }
    sections.iter().map(fault).collect()
}

fn fault(section: &Section<'_>) -> Result<Fault, ScenarioError> {
    section.only(keys("fault"))?;
    let kinds = [("stall", &["every", "pause"][..]), ("slow-readers", &["count"]), ("churn", &["rate_per_s"])];
    let (kind, belongs) = section
        .read("kind", "one of stall, slow-readers, churn", |found| kinds.into_iter().find(|(kind, _)| *kind == found))?
        .ok_or_else(|| section.missing("kind"))?;
    for key in ["every", "pause", "count", "rate_per_s"] {
        if section.has(key) && !belongs.contains(&key) {
            return Err(section.wrong(key, format_args!("`{key}` does not belong to a fault of the kind {kind}")));
        }
    }
    let span = |key| section.duration(key, seconds(1, 600))?.ok_or_else(|| section.missing(key));
    match kind {
        "stall" => {
            let (every, pause) = (span("every")?, span("pause")?);
            if pause >= every {
                return Err(section.wrong("pause", "a stall ends before the next one begins"));
            }
            Ok(Fault::Stall { every, pause })
        }
        "slow-readers" => {
            let count = section.integer("count", 1..=SESSIONS_MAX)?.ok_or_else(|| section.missing("count"))?;
            Ok(Fault::SlowReaders { count: count as u32 })
        }
        _ => Ok(Fault::Churn {
            per_s: section.number("rate_per_s", 0.01..=1e5)?.ok_or_else(|| section.missing("rate_per_s"))?,
        }),
    }
}

fn targets(root: &Section<'_>) -> Result<Vec<TargetSpec>, ScenarioError> {
    let sections = root.sections("target")?;
    if sections.len() > TARGETS_MAX {
        return Err(root.wrong("target", format_args!("at most {TARGETS_MAX} targets")));
    }
    let mut targets: Vec<TargetSpec> = Vec::with_capacity(sections.len());
    for section in &sections {
        let target = target(section)?;
        if targets.iter().any(|other| other.name == target.name) {
            return Err(section.wrong("name", format_args!("two targets are called {}", target.name)));
        }
        targets.push(target);
    }
    if targets.is_empty() {
        let kind = TargetKind::CardWire;
        targets.push(TargetSpec { name: "card".to_owned(), kind, encrypted: true, program: None });
    }
    Ok(targets)
}

fn target(section: &Section<'_>) -> Result<TargetSpec, ScenarioError> {
    section.only(keys("target"))?;
    let words = "one of card, kernel-blocking, kernel-epoll, validators";
    let kinds = ["card", "kernel-blocking", "kernel-epoll", "validators"];
    let word = section
        .read("kind", words, |found| kinds.into_iter().find(|kind| *kind == found))?
        .ok_or_else(|| section.missing("kind"))?;
    let port = section.string("port")?;
    let only = |key: &str, of: &str| {
        let strange = section.has(key) && word != of;
        if strange { Err(section.wrong(key, format_args!("`{key}` is of targets of the kind {of}"))) } else { Ok(()) }
    };
    only("port", "card")?;
    only("count", "validators")?;
    let kind = match word {
        "card" => match port.unwrap_or("wire:") {
            "wire:" => TargetKind::CardWire,
            port if ["packet:", "tap:", "xdp:", "dpdk:"].iter().any(|scheme| port.starts_with(scheme)) => {
                TargetKind::CardPort(port.to_owned())
            }
            _ => return Err(section.wrong("port", "a port is wire:, packet:, tap:, xdp: or dpdk:")),
        },
        "kernel-blocking" => TargetKind::Kernel(KernelWay::Blocking),
        "kernel-epoll" => TargetKind::Kernel(KernelWay::Epoll),
        _ => TargetKind::Validators { count: section.integer("count", VALIDATORS)?.unwrap_or(4) as u32 },
    };
    let is_kernel = matches!(kind, TargetKind::Kernel(_));
    let encrypted = section.boolean("encrypted")?;
    if is_kernel && encrypted == Some(true) {
        return Err(section.wrong("encrypted", "the kernel's sessions are plain"));
    }
    Ok(TargetSpec {
        name: section.read("name", NAME, is_name)?.ok_or_else(|| section.missing("name"))?,
        kind,
        encrypted: encrypted.unwrap_or(!is_kernel),
        program: section.string("program")?.map(str::to_owned),
    })
}

fn limits(root: &Section<'_>) -> Result<Vec<Limit>, ScenarioError> {
    let items = root.items("assert")?;
    if items.len() > LIMITS_MAX {
        return Err(root.wrong("assert", format_args!("at most {LIMITS_MAX} limits")));
    }
    let words = "a figure, < or >, and a bound: p99_us < 50, max_us < 900, lost_ppm < 10, per_s > 1000";
    let mut limits = Vec::with_capacity(items.len());
    for item in items {
        limits.push(match item {
            Err((text, span)) => {
                units::limit(text, None).ok_or_else(|| root.wrong_at(&span, format_args!("a limit is {words}")))?
            }
            Ok(section) => {
                section.only(keys("assert"))?;
                let target = section.string("target")?;
                section
                    .read("that", words, |text| units::limit(text, target))?
                    .ok_or_else(|| section.missing("that"))?
            }
        });
    }
    Ok(limits)
}

/// Whether a target is called so; the levels of validators are called by their name and the level's.
fn answers_to(target: &TargetSpec, name: &str) -> bool {
    let levels = ["-received", "-included", "-confirmed", "-justified"];
    let is_level = |rest: &str| matches!(target.kind, TargetKind::Validators { .. }) && levels.contains(&rest);
    name.strip_prefix(&target.name).is_some_and(|rest| rest.is_empty() || is_level(rest))
}

/// What one key alone cannot tell.
fn agrees(root: &Section<'_>, load: &Section<'_>, scenario: &Scenario) -> Result<(), ScenarioError> {
    let is_validators = |target: &TargetSpec| matches!(target.kind, TargetKind::Validators { .. });
    let is_confirm = scenario.load.pattern == Pattern::Confirm;
    if scenario.targets.iter().any(|target| is_validators(target) != is_confirm) {
        return Err(load.wrong("pattern", "validators confirm, and nobody else does: pattern and targets disagree"));
    }
    if is_confirm && scenario.clock != ClockKind::Virtual {
        return Err(root.wrong("clock", "validators run on virtual time: clock = \"virtual\""));
    }
    if is_confirm && !matches!(scenario.load.arrivals, Arrivals::Fixed { .. }) {
        return Err(load.wrong("arrivals", "transactions are submitted at a fixed rate"));
    }
    let is_in_process = |target: &TargetSpec| is_validators(target) || target.kind == TargetKind::CardWire;
    if scenario.clock == ClockKind::Virtual
        && scenario.targets.iter().any(|target| !is_in_process(target) || target.program.is_some())
    {
        return Err(root.wrong("target", "only the wire and validators of this program run on virtual time"));
    }
    if let Some(named) = scenario
        .limits
        .iter()
        .filter_map(|limit| limit.target.as_ref())
        .find(|named| scenario.targets.iter().all(|target| !answers_to(target, named)))
    {
        return Err(root.wrong("assert", format_args!("a limit is for {named}, and no target is called so")));
    }
    for fault in &scenario.faults {
        let wrong = match fault {
            Fault::SlowReaders { .. } if scenario.load.pattern != Pattern::FanOut => {
                Some("slow readers are of the pattern fan-out, where all are sent to")
            }
            Fault::SlowReaders { count } if *count >= scenario.sessions => Some("some session must read"),
            Fault::Churn { .. } if scenario.load.pattern == Pattern::Reconnect => {
                Some("the pattern reconnect has its own calls")
            }
            _ if is_confirm => Some("validators take no faults here"),
            _ => None,
        };
        if let Some(wrong) = wrong {
            return Err(root.wrong("fault", wrong));
        }
    }
    let only_delays = LinkConfig { delay: scenario.there.delay, ..LinkConfig::default() };
    if is_confirm && (scenario.there != only_delays || scenario.back != only_delays) {
        return Err(root.wrong("link", "between validators a link has a `delay`, the same both ways, and nothing else"));
    }
    let len_max = scenario.load.request_len.max(scenario.load.reply_len);
    if len_max > SHORT_LEN_MAX && scenario.sessions > LONG_SESSIONS_MAX {
        return Err(load.wrong(
            "pattern",
            format_args!(
                "messages above {SHORT_LEN_MAX} bytes need deep buffers: at most {LONG_SESSIONS_MAX} sessions"
            ),
        ));
    }
    if is_confirm && !scenario.changes.is_empty() {
        return Err(root.wrong("change", "the links of validators do not change"));
    }
    Ok(())
}
