//! `hpb lab run`, `list`, `show` and `check`.

use std::fs;
use std::process::{Child, Command, Stdio};

use crate::common::{Ended, Place, ended, refused, succeeded};
use crate::{FILE, UNWRITABLE, assert_same, has_no_room_to_say_it, lab, names, on_a_small_disk};

#[test]
fn a_scenario_comes_again_from_its_seed_byte_for_byte() {
    let place = Place::new("lab-seed");
    fs::write(place.at("short.toml"), FILE).unwrap();
    let record = |seed: &str, folder: &str| {
        succeeded(&mut lab(&place, &["run", "short.toml", "--seed", seed, "--report", folder]));
        fs::read_to_string(place.at(folder).join("result.json")).unwrap()
    };
    let first = record("7", "a");
    assert_eq!(first, record("7", "b"));
    assert_same(&place.at("a"), &place.at("b"));
    assert_ne!(first, record("8", "c"));
    let value: serde_json::Value = serde_json::from_str(&first).unwrap();
    assert_eq!((value["schema"].as_u64(), value["scenario"]["seed"].as_u64()), (Some(1), Some(7)));
    assert_eq!(value["targets"].as_array().map(Vec::len), Some(2));
    assert!(value["scenario"]["text"].as_str().unwrap().ends_with("# set: seed = 7\n"));
    let text = succeeded(&mut lab(&place, &["run", "short.toml"])).out;
    assert!(
        text.contains("card-plain against card, as a multiple of it")
            && text.contains("held    p99_us < 5000 · card: "),
        "{text}"
    );
    assert!(text.lines().all(|line| line == line.trim_end()), "a line that says nothing: {text}");
    // Virtual time lets nothing but the wire take any.
    let hops = text.split("hops of card ").nth(1).unwrap();
    let median = |hop: &str| {
        let line = hops.lines().find(|line| line.split_whitespace().next() == Some(hop)).unwrap();
        line.split_whitespace().skip(1).take(2).collect::<Vec<_>>().join(" ")
    };
    let at_rest = ["application", "encryption", "tcp", "port", "tcp-in", "decryption"].map(median);
    assert_eq!(at_rest, ["0 ns"; 6], "{text}");
    assert!(median("wire").starts_with("1.0") && median("wire").ends_with(" ms"), "{text}");
    let application = value["targets"][0]["repeats"][0]["hops"][0]["time"].as_array().unwrap();
    assert_eq!((application.len(), application[0][0].as_u64()), (1, Some(0)));
    let page = fs::read_to_string(place.at("a/report.html")).unwrap();
    assert!(page.contains("<title>application: 0 ns</title>"));
    let json = succeeded(&mut lab(&place, &["run", "short.toml", "--seed", "7", "--json"])).out;
    assert_eq!(json, first);
}

#[test]
fn a_limit_that_fails_ends_with_code_one() {
    let place = Place::new("lab-limit");
    fs::write(place.at("short.toml"), FILE.replace("p99_us < 5000", "p99_us < 50")).unwrap();
    let Ended { code, out, err } =
        ended(&mut lab(&place, &["run", "short.toml", "--repeats", "1", "--report", "report"]));
    assert_eq!(code, Some(1));
    assert!(out.contains("missed  p99_us < 50 · card: "), "the figures are printed all the same: {out}");
    assert!(err.starts_with("hpb: 2 of 2 limits fail: p99_us < 50 (card: "), "{err}");
    let record = fs::read_to_string(place.at("report/result.json")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    let holds = record["limits"].as_array().unwrap().iter().map(|limit| limit["holds"].as_bool());
    assert_eq!(holds.collect::<Vec<_>>(), [Some(false); 2]);
}

#[test]
fn what_is_wrong_is_said_in_one_line_with_its_place() {
    let place = Place::new("lab-wrong");
    fs::write(place.at("bad.toml"), FILE.replace("jitter =", "jiter =")).unwrap();
    fs::write(place.at("short.toml"), FILE).unwrap();
    fs::write(place.at("file"), "").unwrap();
    fs::write(place.at("bytes.toml"), b"name = \"\xff\xfe\"").unwrap();
    fs::create_dir(place.at("folder.toml")).unwrap();
    let before = place.listing();
    for (words, said) in [
        (&["check", "bad.toml"][..], "bad.toml: line 16: unknown key `jiter` of link: `jitter`?"),
        (&["run", "bad.toml"], "bad.toml: line 16: unknown key"),
        (&["check", "absent.toml"], "reading absent.toml failed: No such file"),
        (&["check", "file"], "file: the file lacks `name`"),
        (&["check", "bytes.toml"], "reading bytes.toml failed: stream did not contain valid UTF-8"),
        (&["check", "folder.toml"], "reading folder.toml failed: Is a directory"),
        (&["check"], "the following required arguments were not provided: <FILE>"),
        (&["list", "more"], "unexpected argument 'more' found"),
        (&["show"], "the following required arguments were not provided: <NAME>"),
        (&["show", "incats"], "no ready scenario is called incats (incast?)"),
        (&["run", "incats"], "no ready scenario is called incats (incast?)"),
        (&["run", "incast", "--set", "sessions"], "--set sessions: expected a key and a value"),
        (&["run", "incast", "--set", "sessions=0"], "incast: `sessions` is a whole number from 1 to 200000"),
        (&["run", "short.toml", "--repeats", "many"], "invalid value 'many' for '--repeats <N>'"),
        (&["run", "short.toml", "--agents", "2"], "the following required arguments were not provided: --nats <URL>"),
        (&["run", "short.toml", "--report", "file"], "--report file: File exists"),
        (&["run", "short.toml", "--report", "file/deep"], "--report file/deep: Not a directory"),
        (&["run", "short.toml", "--report", UNWRITABLE], "--report /proc: No such file or directory"),
    ] {
        let line = refused(&mut lab(&place, words));
        assert!(line.starts_with(said), "{words:?}: {line}");
    }
    assert_eq!(place.listing(), before);
}

#[test]
fn ready_scenarios_are_listed_and_shown() {
    let place = Place::new("lab-ready");
    let listed = succeeded(&mut lab(&place, &["list"])).out;
    assert_eq!(listed.lines().count(), 13);
    let json = succeeded(&mut lab(&place, &["list", "--json"])).out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    for one in json.as_array().unwrap() {
        let name = one["name"].as_str().unwrap();
        let shown = succeeded(&mut lab(&place, &["show", name])).out;
        fs::write(place.at("shown.toml"), &shown).unwrap();
        let checked = succeeded(&mut lab(&place, &["check", "shown.toml"])).out;
        assert_eq!(checked, format!("{name}: {}\n", one["about"].as_str().unwrap()));
    }
    for words in [&["list"][..], &["list", "--json"], &["show", "incast"], &["check", "shown.toml"], &["--help"]] {
        has_no_room_to_say_it(&place, &[&["lab"], words].concat());
    }
}

/// A page does not fit: what was written before it is whole, and the figures of the run are not lost.
#[test]
fn a_disk_that_fills_is_named_and_keeps_no_half_of_a_file() {
    let place = Place::new("lab-full");
    fs::write(place.at("short.toml"), FILE).unwrap();
    let words = ["lab", "run", "short.toml", "--report", "disk/report"];
    succeeded(&mut lab(&place, &["run", "short.toml", "--report", "whole"]));
    let whole = fs::read(place.at("whole/result.json")).unwrap();
    has_no_room_to_say_it(&place, &["lab", "run", "short.toml", "--json"]);
    let size = format!("{}k", whole.len().div_ceil(4_096) * 4 + 8);
    let Some(Ended { code, out, err }) = on_a_small_disk(&place, &size, &words) else { return };
    assert_eq!(code, Some(2), "{err}");
    assert!(out.contains("held    p99_us < 5000 · card: "), "{out}");
    let line = "hpb: report disk/report/report.html: cannot be written: No space left on device";
    assert!(err.starts_with(line) && err.lines().count() == 1, "{err}");
    assert_eq!(names(&place.at("left/report")), ["result.json"]);
    assert!(fs::read(place.at("left/report/result.json")).unwrap() == whole);
}

/// Interrupted in the middle of its only repeat, a run ends at once and leaves what was there before.
#[test]
fn an_interrupted_run_keeps_nothing() {
    let place = Place::new("lab-interrupted");
    fs::write(place.at("short.toml"), FILE).unwrap();
    succeeded(&mut lab(&place, &["run", "short.toml", "--report", "report"]));
    let before: Vec<(String, Vec<u8>)> = names(&place.at("report"))
        .into_iter()
        .map(|name| (name.clone(), fs::read(place.at("report").join(name)).unwrap()))
        .collect();
    for signal in ["INT", "TERM"] {
        let long = ["run", "short.toml", "--repeats", "1", "--seconds", "3600", "--set", "load.rate_per_s=5000"];
        let mut command = lab(&place, &[&long[..], &["--report", "report"]].concat());
        let mut run = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_until_it_listens(&mut run);
        let id = run.id().to_string();
        assert!(Command::new("sh").args(["-c", "kill -\"$1\" \"$2\"", "sh", signal, &id]).status().unwrap().success());
        let Ended { code, out, err } = run.wait_with_output().unwrap().into();
        assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
        assert_eq!(err, "hpb: stopped before its end: nothing is kept of it\n");
        assert_eq!(names(&place.at("report")).len(), before.len());
        for (name, bytes) in &before {
            assert!(fs::read(place.at("report").join(name)).unwrap() == *bytes, "{name}");
        }
    }
}

/// Looks until the program catches SIGINT and SIGTERM: the run begins behind that.
fn wait_until_it_listens(run: &mut Child) {
    const INT_AND_TERM: u64 = 1 << (2 - 1) | 1 << (15 - 1);
    while run.try_wait().unwrap().is_none() {
        let status = fs::read_to_string(format!("/proc/{}/status", run.id())).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        if u64::from_str_radix(caught.trim(), 16).unwrap() & INT_AND_TERM == INT_AND_TERM {
            return;
        }
        std::thread::yield_now();
    }
    panic!("it ended by itself");
}
