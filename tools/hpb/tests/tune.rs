//! `hpb tune` as a user meets it: what it refuses, a check that changes nothing, and a virtual cable in a network
//! namespace of the test's own that is tuned and put back.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::process::Command;

use common::{HPB, Place, ended, refused};

fn tune(place: &Place, words: &[&str]) -> Command {
    let mut command = Command::new(HPB);
    command.current_dir(place.path()).arg("tune").args(words);
    command
}

#[test]
fn what_cannot_be_tuned_is_one_line_and_changes_nothing() {
    let place = Place::new("tune-refused");
    fs::write(place.at("other.json"), "{}").unwrap();
    let table: [(&[&str], &str); 11] = [
        (&[], "a verb is missing"),
        (&["chekc"], "unrecognized subcommand 'chekc'"),
        (&["check", "--interface", "no-such"], "there is no network interface `no-such`: `ip link` lists them"),
        (&["apply", "--interface", "../lo"], "there is no network interface `../lo`"),
        (&["check", "--cores", "8000"], "core 8000 is not online here"),
        (&["check", "--cores", "x"], "`x` is no list of cores"),
        (&["check", "--only", "nothing"], "there is no item `nothing`"),
        (&["check", "--state", "other.json"], "the state file other.json cannot be read: it is no state of hpb tune"),
        (&["apply", "--only", "thp", "--state", "other.json"], "it is no state of hpb tune"),
        (&["undo", "--state", "other.json"], "it is no state of hpb tune"),
        (&["apply", "--only", "thp", "--state", "/proc/none/x"], "the state file /proc/none/x cannot be written: "),
    ];
    let before = place.listing();
    for (words, part) in table {
        let line = refused(&mut tune(&place, words));
        assert!(line.contains(part), "{words:?}: {line}");
    }
    assert_eq!(place.listing(), before);
}

#[test]
fn a_check_says_what_is_and_its_exit_code_whether_it_should_be() {
    let place = Place::new("tune-check");
    let done = ended(&mut tune(&place, &["check", "--interface", "lo", "--state", "none/tune.json", "--json"]));
    let json: serde_json::Value = serde_json::from_str(&done.out).unwrap();
    let fixes = json["counts"]["fix"].as_u64().unwrap();
    assert_eq!(done.code, Some(i32::from(fixes > 0)), "{}", done.err);
    assert!(json["findings"].as_array().unwrap().len() > 15, "{}", done.out);
    let lines = ended(&mut tune(&place, &["check", "--only", "kernel,clock", "--state", "none/tune.json"]));
    assert!(lines.out.contains("kernel") && lines.out.ends_with(" in order.\n"), "{}", lines.out);
    let none = ended(&mut tune(&place, &["undo", "--state", "none/tune.json"]));
    assert_eq!((none.code, none.out.as_str(), none.err.as_str()), (Some(0), "Nothing to take back.\n", ""));
    assert_eq!(place.listing(), [""; 0]);
}

/// Where no namespace may be had (it takes root), the test says so and ends.
#[test]
fn a_virtual_cable_is_tuned_and_put_back_exactly() {
    const SCRIPT: &str = r#"
        mount -t sysfs none /sys 2>/dev/null && ip link add tune0 type veth peer name tune1 2>/dev/null || exit 77
        hpb=$1
        one() { code=0; name=$1; shift; "$hpb" tune "$@" --state state.json >"$name.out" 2>"$name.err" || code=$?; echo $code >"$name.code"; }
        offloads="--interface tune0 --only offloads"
        one before check $offloads --json
        one apply apply $offloads
        cp state.json kept.json
        one again apply $offloads
        one tuned check $offloads
        one undo undo
        one after check $offloads --json
        one nothing undo
    "#;
    let place = Place::new("tune-cable");
    let mut command = Command::new("unshare");
    command.current_dir(place.path()).args(["--net", "--mount", "sh", "-ec", SCRIPT, "sh", HPB]);
    let Ok(output) = command.output() else {
        return println!("skipped: there is no unshare");
    };
    if !place.at("before.code").exists() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return println!("skipped: no network namespace of one's own, or no veth: {said}");
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = |name: &str| fs::read_to_string(place.at(name)).unwrap();
    let code = |name: &str| text(&format!("{name}.code")).trim().parse::<i32>().unwrap();
    let codes = ["before", "apply", "again", "tuned", "undo", "after", "nothing"].map(code);
    assert_eq!(codes, [1, 0, 0, 0, 0, 1, 0], "{}", text("apply.err"));
    for name in ["tune0", "tune1"] {
        for offload in ["tx-checksum-ip-generic", "tx-tcp-segmentation", "tx-generic-segmentation"] {
            let line = format!("ethtool -K {name} {offload}: on -> off\n");
            assert!(text("apply.out").contains(&line), "{}", text("apply.out"));
            let line = format!("ethtool -K {name} {offload}: off -> on\n");
            assert!(text("undo.out").contains(&line), "{}", text("undo.out"));
        }
    }
    assert_eq!(text("again.out"), "Nothing to change: all that can be applied is in place.\n");
    assert_eq!(text("before.out"), text("after.out"), "exactly as it was");
    assert_eq!(text("nothing.out"), "Nothing to take back.\n");
    assert!(text("kept.json").contains("\"version\": 1"));
    assert!(!place.at("state.json").exists());
}
