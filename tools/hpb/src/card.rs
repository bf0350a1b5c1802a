//! `hpb card`: runs a card by itself, takes orders, prints what it did.

use std::fs;
use std::io::{self, BufRead as _, Write as _};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration as Pause;

use hpb_base::Duration;
use hpb_card::{CaptureConfig, CardConfig, CardError, LoadConfig, Order, Report, Running, parse_order, start};
use hpb_node::runtime::{StopFlag, stop_on_signals};
use hpb_toe::service::Page;
use hpb_toe::{GuardConfig, Service};

use crate::command_line::Card;
use crate::failure::Failure;

/// How often it looks whether it is to end.
const LOOK_EVERY: Pause = Pause::from_millis(50);
/// Lines of orders that may wait.
const LINES_MAX: usize = 16;
/// A page's largest length in bytes.
const PAGE_LEN_MAX: u64 = 64 << 20;

pub(crate) fn run(mut options: Card) -> Result<(), Failure> {
    if let Some(what) = options.what.take() {
        return crate::peer::node::card(what);
    }
    let (seconds, json) = (options.seconds, options.json);
    let config = config(options)?;
    let stop = StopFlag::new().map_err(Failure::work)?;
    stop_on_signals(&stop).map_err(Failure::work)?;
    let card = start(&config, stop).map_err(failed)?;
    say(format_args!("card: {} on {}", addresses(&config), config.port));
    say(format_args!("{}", card.backend()));
    let report = attend(card, seconds).map_err(failed)?;
    if json {
        let text = serde_json::to_string_pretty(&report).map_err(Failure::work)?;
        say(format_args!("{text}"));
    } else {
        say(format_args!("{}", report.terminal().trim_end()));
    }
    verdict(&config, &report)
}

/// Takes orders until the end.
fn attend(card: Running, seconds: Option<u64>) -> Result<Report, CardError> {
    let lines = standard_input();
    let mut looks_left = seconds.map(|seconds| seconds * 1_000 / LOOK_EVERY.as_millis() as u64);
    while !card.is_stopped() && looks_left != Some(0) {
        match lines.recv_timeout(LOOK_EVERY) {
            Ok(line) => match parse_order(&line) {
                Ok(Order::Quit) => break,
                Ok(Order::Counters) => say(format_args!("{}", card.report().terminal().trim_end())),
                Ok(Order::Table(rows)) => say(format_args!("{}", card.report().table(rows).trim_end())),
                Ok(Order::Set(register, value)) => {
                    let done = card.controls().iter().all(|control| control.set(register, value));
                    let what = if done { "set" } else { "a lane is far behind: not set everywhere" };
                    say(format_args!("{} {value}: {what}", register.name()));
                }
                Err(wrong) => say(format_args!("{wrong}")),
            },
            Err(RecvTimeoutError::Timeout) => {}
            // Nobody gives orders any more; the clock and the signals go on.
            #[allow(clippy::disallowed_methods, reason = "the looking thread decides nothing; it only rests")]
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(LOOK_EVERY),
        }
        looks_left = looks_left.map(|left| left.saturating_sub(1));
    }
    card.end()
}

/// The lines of standard input, read on a thread that ends with the process.
fn standard_input() -> Receiver<String> {
    let (sender, receiver) = sync_channel(LINES_MAX);
    #[allow(clippy::disallowed_methods, reason = "a read of standard input can't be ended; it decides nothing")]
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok).filter(|line| !line.trim().is_empty()) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// A card whose own sessions did not all do their work has failed.
fn verdict(config: &CardConfig, report: &Report) -> Result<(), Failure> {
    let Some(load) = &config.load else { return Ok(()) };
    let done = &report.load;
    if done.wrong > 0 || done.lost > 0 || done.refused > 0 || done.opened < load.sessions as u64 {
        return Err(Failure::work("own sessions failed: not all opened, or some were lost or brought wrong bytes"));
    }
    Ok(())
}

fn config(options: Card) -> Result<CardConfig, Failure> {
    let page = match &options.page {
        None => Page::new("text/plain; charset=utf-8", b"A card in user space answers.\n"),
        Some(path) => {
            let unreadable = |error| Failure::input(format_args!("{}: {error}", path.display()));
            let len = fs::metadata(path).map_err(unreadable)?.len();
            if len > PAGE_LEN_MAX {
                return Err(Failure::input(format_args!("{}: a page is at most {PAGE_LEN_MAX} bytes", path.display())));
            }
            Page::new("text/html; charset=utf-8", &fs::read(path).map_err(unreadable)?)
        }
    };
    let services = [
        (options.echo, Service::Echo),
        (options.discard, Service::Discard),
        (options.chargen, Service::Chargen),
        (options.http, Service::Http(Arc::new(page))),
    ];
    let load = options.call.map(|remote| LoadConfig {
        sessions: options.sessions,
        message_len: options.message_len,
        every: Duration::from_millis(options.every_ms),
        messages: options.messages,
        ..LoadConfig::new(remote)
    });
    let guard = GuardConfig {
        sessions_per_source_max: options.source_sessions_max.unwrap_or(u32::MAX),
        ..GuardConfig::default()
    };
    let Some(port) = options.port else { return Err(Failure::input("a card needs --port")) };
    Ok(CardConfig {
        control: options.control,
        addresses: options.addresses,
        gateways: options.gateways,
        dhcp: options.dhcp,
        vlan: options.vlan,
        services: services.into_iter().filter_map(|(port, service)| Some((port?, service))).collect(),
        load,
        registers: options.registers,
        sessions_max: options.sessions_max,
        guard,
        keep_alive: Duration::from_secs(options.keep_alive_s),
        idle_timeout: options.idle_s.map(Duration::from_secs),
        cores: options.cores,
        spin: options.spin,
        capture: options
            .capture
            .map(|path| CaptureConfig { path, len_max: options.capture_mib.saturating_mul(1 << 20) }),
        ..CardConfig::new(port)
    })
}

fn failed(error: CardError) -> Failure {
    match error {
        CardError::Config(_) | CardError::Open(_) | CardError::Lane(_) | CardError::Capture(..) => {
            Failure::input(error)
        }
        other => Failure::work(other),
    }
}

fn addresses(config: &CardConfig) -> String {
    let mut words: Vec<String> =
        config.addresses.iter().map(|(address, prefix_len)| format!("{address}/{prefix_len}")).collect();
    if config.dhcp {
        words.push("an address by DHCP".to_owned());
    }
    words.join(", ")
}

/// A line for whoever reads; one who has gone away is no failure.
fn say(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{line}");
}
