//! `hpb devnet` as a user sees it: what it prints and writes, how Ctrl-C ends it, and the page in a browser.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{Place, Running, program, report, roots, succeeded};
use hpb_devnet::report::Report;

/// Slots that leave room for a busy host: every accepted transaction is to be final within two of them.
const CALM: [&str; 4] = ["--slot-ms", "1000", "--slice-ms", "100"];

#[test]
fn a_small_devnet_does_what_its_report_says() {
    let place = Place::new("small");
    let words = [&CALM[..], &["--sessions", "80", "--rate", "150", "--seconds", "2", "--json"]].concat();
    let done = succeeded(&mut place.devnet(&words));
    assert!(!done.err.contains('\x1b'), "a live view is for terminals: {:?}", done.err);

    let report = report(&place.at("report"));
    let printed: Report = serde_json::from_str(&done.out).unwrap();
    assert_eq!(printed, report);
    let (sessions, transactions) = (&report.sessions, &report.transactions);
    assert_eq!((sessions.target, sessions.established, sessions.lost), (80, 80, 0));
    assert_eq!((transactions.submitted, transactions.accepted, transactions.rejected), (300, 300, 0));
    assert_eq!((transactions.finals, transactions.expired), (300, 0));
    assert_eq!(report.supply.genesis, report.supply.now);
    assert!(report.supply.genesis > 0);
    assert_eq!((report.verified.len(), report.executed.len()), (4, 4));
    for (validator, (verified, executed)) in report.verified.iter().zip(&report.executed).enumerate() {
        assert!(*verified >= transactions.accepted, "validator {validator} verified {verified}");
        assert!(*executed >= transactions.accepted, "validator {validator} executed {executed}");
    }
    // Each end of every session, and of the mesh, does its own three.
    assert!(report.run.handshakes >= 2 * (80 + 6), "{}", report.run.handshakes);
    assert!(report.run.handshake_dhs >= 3 * report.run.handshakes, "{}", report.run.handshake_dhs);
    let levels = report.latency_us.by_level();
    assert!(levels.iter().all(|level| level.count == 300), "{levels:?}");
    assert!(levels.is_sorted_by_key(|level| level.p50), "{levels:?}");
    let roots = roots(&report);
    assert_eq!(roots.len(), 4);
    assert!(roots.iter().all(|(at, root)| roots.iter().all(|(other_at, other)| at != other_at || root == other)));
    // Without --data nothing is left but the report.
    assert_eq!(place.listing(), ["report", "report/report.html", "report/report.json"]);

    let page = fs::read_to_string(place.at("report/report.html")).unwrap();
    assert_eq!(external_references(&page), [""; 0]);
    opens_without_a_script_error(&place, &page);
}

#[test]
fn ctrl_c_ends_it_early_with_a_report() {
    let place = Place::new("interrupted");
    let mut running = Running::start(&place, "data", &[&CALM[..], &["--seconds", "300"]].concat());
    running.wait_for(5);
    let (code, ids) = running.end("INT");
    assert_eq!(code, Some(0), "{}", fs::read_to_string(place.at("data.err")).unwrap());
    let report = report(&place.at("report"));
    assert!(report.run.notes.iter().any(|note| note == "interrupted before its time"), "{:?}", report.run.notes);
    assert!(report.run.seconds < 300.0);
    assert_eq!(report.transactions.finals, ids.len() as u64, "told and reported");
    assert!(report.transactions.finals <= report.transactions.accepted);
    assert_eq!(report.supply.genesis, report.supply.now);
    assert!(place.at("report/report.html").exists());
}

/// Every place where `page` would fetch something: nothing may, but for what stands in the page itself.
fn external_references(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    for mark in ["http://", "https://", "@import", "<base", "<iframe", "fetch(", "XMLHttpRequest", "import("] {
        found.extend(page.match_indices(mark).map(|(at, _)| format!("{mark} at {at}")));
    }
    for mark in ["src=\"", "href=\"", "srcset=\"", "url(", "src='", "href='"] {
        for (at, _) in page.match_indices(mark) {
            let target = page[at + mark.len()..].trim_start_matches(['"', '\'']);
            if !target.starts_with("data:") && !target.starts_with('#') {
                found.push(format!("{mark} at {at}: {}", target.chars().take(40).collect::<String>()));
            }
        }
    }
    found
}

#[test]
fn a_reference_is_found_wherever_it_stands() {
    for page in [
        "<script src=\"//cdn/x.js\"></script>",
        "<link rel=\"stylesheet\" href=\"page.css\">",
        "<style>@import 'x.css';</style>",
        "<style>p { background: url(\"p.png\") }</style>",
        "<style>p { background: url(p.png) }</style>",
        "<img src='https://host/p.png'>",
        "<script>fetch('/x')</script>",
    ] {
        assert_ne!(external_references(page), [""; 0], "{page}");
    }
    let own = "<link href=\"data:,\"><a href=\"#top\">x</a><rect fill=\"url(#hatch)\"/>";
    assert_eq!(external_references(own), [""; 0]);
}

/// Opens the page in headless Chromium, and two copies that are broken on purpose, whose errors must be seen.
fn opens_without_a_script_error(place: &Place, page: &str) {
    let Some(browser) = program(&["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]) else {
        return println!("skipped: no Chromium to open the page in");
    };
    let opened = |name: &str, page: &str| {
        let path = place.at(name);
        fs::write(&path, page).unwrap();
        script_errors(&browser, &path, &place.at("profile"))
    };
    let marks = page.matches("\n<script>\n").count();
    assert_eq!(marks, 1, "the page's script is where the canary expects it");
    let thrown = opened("thrown.html", &page.replace("\n<script>\n", "\n<script>\nthrow new Error('canary');\n"));
    assert!(thrown.iter().any(|line| line.contains("canary")), "a thrown error is not seen: {thrown:?}");
    let broken = opened("broken.html", &page.replace("\n<script>\n", "\n<script>\nconst = ;\n"));
    assert!(broken.iter().any(|line| line.contains("SyntaxError")), "a syntax error is not seen: {broken:?}");
    assert_eq!(opened("page.html", page), [""; 0]);
}

/// What the page's console says while it opens.
fn script_errors(browser: &Path, page: &Path, profile: &Path) -> Vec<String> {
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("file://{}", page.display()))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let dom = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && dom.contains("Devnet report"),
        "{} did not open the page: {said}",
        browser.display()
    );
    said.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect()
}
