//! The program as a user meets it: what a wrong word on the command line is answered by.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

fn hpb(arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hpb")).args(arguments.split_whitespace()).output().unwrap()
}

#[test]
fn a_wrong_word_is_one_line_and_exit_code_2() {
    let table = [
        "",
        "bench",
        "bench frobnicate",
        "bench sessions --cuont 5",
        "bench sessions --count 0",
        "bench sessions --targets card,crad",
        "bench sessions --targets card,card",
        "bench sessions --scale 100 --targets kernel-epoll",
        "bench sessions --congestion-control no-such",
        "bench sessions --targets card --count 1 --markdown /no/such/folder/page.md",
        "bench reconnect --sessions 5 --quiet 5",
        "bench accounts --counts 99",
        "bench accounts --counts 100,100000001",
        "bench accounts --counts 100,100,100,100,100,100,100,100,100",
        "bench accounts --counts 100 --transfers 0",
        "bench accounts --counts 100 --folder /no/such/folder",
        "bench accounts --counts 100 --folder /proc",
        "sim --seeds 7..7",
        "sim --nodes 3",
        "sim --nodes 101",
    ];
    for arguments in table {
        let output = hpb(arguments);
        let line = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments}: {line}");
        assert!(line.starts_with("hpb: ") && line.ends_with('\n') && line.lines().count() == 1, "{arguments}: {line}");
        assert!(output.stdout.is_empty(), "{arguments}");
    }
}

#[test]
fn help_is_no_failure() {
    for arguments in ["help", "--help", "--version", "bench sessions --help"] {
        let output = hpb(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments}");
        assert!(!output.stdout.is_empty() && output.stderr.is_empty(), "{arguments}");
    }
}

#[test]
fn a_small_run_prints_json_and_writes_its_section() {
    let folder = std::env::temp_dir().join(format!("hpb-bench-page-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let page = folder.join("BENCHMARKS.md");
    let output =
        hpb(&format!("bench sessions --targets card --count 2 --repeats 1 --json --markdown {}", page.display()));
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{error}");
    assert!(error.is_empty(), "{error}");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["targets"][0]["name"], "card");
    assert_eq!(json["targets"][0]["sessions"], 2);
    let text = std::fs::read_to_string(&page).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(text.contains("`hpb bench sessions --count 2 --repeats 1 --targets card`"), "{text}");
}

#[test]
fn simulated_seeds_end_in_one_line_that_is_the_same_again() {
    let run = || {
        let output = hpb("sim --seeds 0..2 --nodes 4");
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
        text
    };
    let (first, again) = (run(), run());
    let trace = |text: &str| text.split_once("trace ").unwrap().1.to_owned();
    assert!(first.starts_with("2 seeds of at most 40 slots, 0 failed: "), "{first}");
    assert_eq!(trace(&first), trace(&again));
}
