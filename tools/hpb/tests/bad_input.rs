//! What cannot be done is said in one clear line, with exit code 2, and leaves nothing half-written.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::process::Command;

use common::disk::Disks;
use common::{HPB, Place, Running, ended, refused, report, small, succeeded};

const HEADER: &str = "block,index,from,to,value_wei,gas_limit,input_bytes";
const SENDER: &str = "0xa1e4380a3b1f749673e270229993ee55f35663b4";

#[test]
fn what_the_command_line_cannot_mean_is_named() {
    let place = Place::new("words");
    let verbs: [(&[&str], &str); 4] = [
        (&[], "a verb is missing"),
        (&["devnte"], "unrecognized subcommand 'devnte'"),
        (&["devnet", "--sesions", "5"], "unexpected argument '--sesions'"),
        (&["devnet", "extra"], "unexpected argument 'extra'"),
    ];
    for (words, part) in verbs {
        let line = refused(Command::new(HPB).current_dir(place.path()).args(words));
        assert!(line.contains(part), "{words:?}: {line}");
    }
    let values = [
        ("--validators", "0", "1 to 101"),
        ("--validators", "four", "'four' for '--validators <N>'"),
        ("--sessions", "0", "1 to "),
        ("--rate", "0", "1 to 1000000 transactions a second, or `max`"),
        ("--seconds", "0", "1 to 86400"),
        ("--slot-ms", "99", "100 to 60000 milliseconds"),
        ("--slice-ms", "301", "5 to 300 (half the slot) milliseconds"),
        ("--checkpoint", "7.3", "expected slot.index:id, the id as 64 hex digits"),
        ("--seed", "one", "'one' for '--seed <N>'"),
    ];
    for (option, value, part) in values {
        let line = refused(&mut place.devnet(&[option, value, "--data", "data"]));
        assert!(line.contains(option) && line.contains(part), "{option} {value}: {line}");
    }
    assert_eq!(place.listing(), [""; 0]);
}

#[test]
fn a_workload_is_refused_with_file_line_and_expectation() {
    let place = Place::new("workload");
    let good = format!("{HEADER}\n1,0,{SENDER},{SENDER},5,21000,0\n");
    let table = [
        (
            "header.csv",
            "block,index\n".to_owned(),
            "workload header.csv, line 1: expected the header `block,index,from",
        ),
        ("short.csv", format!("{good}1,1\n"), "workload short.csv, line 3: expected 7 columns, found 2"),
        (
            "address.csv",
            format!("{good}1,1,0xzz,,1,1,0\n"),
            "workload address.csv, line 3: expected `0x` and 40 hexadecimal digits in column `from`, found `0xzz`",
        ),
        ("empty.csv", format!("{HEADER}\n"), "workload empty.csv: expected at least one transfer, found none"),
    ];
    for (name, text, said) in &table {
        fs::write(place.at(name), text).unwrap();
        let before = place.listing();
        let line = refused(&mut place.devnet(&["--workload", name, "--data", "data"]));
        assert!(line.starts_with(said), "{name}: {line}");
        assert_eq!(place.listing(), before, "{name}");
    }
    let line = refused(&mut place.devnet(&["--workload", "absent.csv"]));
    assert!(line.starts_with("workload absent.csv: cannot be opened: No such file"), "{line}");
    let line = refused(&mut place.devnet(&["--workload", "."]));
    assert!(line.starts_with("workload ., line 1: cannot be read: Is a directory"), "{line}");
}

#[test]
fn a_bench_beside_a_program_that_is_not_there_is_refused_with_the_way_to_make_it() {
    let place = Place::new("revm");
    let line = refused(Command::new(HPB).current_dir(place.path()).args(["bench", "ledger", "--revm", "absent"]));
    assert!(line.starts_with("absent: No such file") && line.contains("cargo build --release"), "{line}");
    assert_eq!(place.listing(), [""; 0]);
}

/// The limit and the command that raises it, which is then obeyed. The same run has too little locked memory for
/// glommio, so that it goes on plain threads.
#[test]
fn limits_are_named_with_what_raises_them() {
    let place = Place::new("limits");
    let data: [&str; 2] = ["--data", "data"];
    let line = refused(&mut place.devnet_in_shell("ulimit -S -n 100;", &data, ""));
    let command = line.rsplit_once("raise it in this shell with: ").unwrap_or_else(|| panic!("{line}")).1.to_owned();
    assert!(line.contains("100 allowed (RLIMIT_NOFILE)"), "{line}");
    let line = refused(&mut place.devnet_in_shell("ulimit -n 60;", &data, ""));
    assert!(line.contains("at most 60 allowed (RLIMIT_NOFILE, hard)") && line.contains("sudo prlimit"), "{line}");
    assert_eq!(place.listing(), [""; 0]);

    let before = format!("ulimit -S -n 100; {command}; ulimit -l 64;");
    let done = succeeded(&mut place.devnet_in_shell(&before, &data, ""));
    let said = "plain pinned threads, because only 64 KiB of memory may be locked (RLIMIT_MEMLOCK)";
    assert_eq!(done.err.lines().filter(|line| line.contains(said)).count(), 1, "{}", done.err);
    let report = report(&place.at("report"));
    assert!(report.run.runtime.contains(said), "{}", report.run.runtime);
    assert_eq!((report.sessions.established, report.transactions.finals), (40, 100), "{}", done.out);
}

#[test]
fn a_data_folder_that_is_in_use_or_another_devnets_is_left_alone() {
    let place = Place::new("folders");
    let long: [&str; 2] = ["--seconds", "30"];
    let mut holder = Running::start(&place, "data", &long);
    holder.wait_for(1);
    let id = holder.child.id();
    let line = refused(&mut place.devnet(&["--seconds", "30", "--data", "data", "--report", "other"]));
    assert!(line.contains("data/validator-0 is in use by process "), "{line}");
    assert!(line.contains(&format!("process {id}: stop that one")), "{line}");
    let (code, _) = holder.end("INT");
    assert_eq!(code, Some(0), "the holder goes on undisturbed");
    assert_eq!(report(&place.at("report")).sessions.lost, 0);

    let genesis = fs::read(place.at("data/genesis")).unwrap();
    let before = place.listing();
    let table = [
        ("--validators", "3", "it was made with --validators 4, not 3"),
        ("--slot-ms", "900", "it was made with --slot-ms 600, not 900"),
        ("--slice-ms", "60", "it was made with --slice-ms 50, not 60"),
        ("--seed", "9", "it was made with another --seed"),
        ("--rate", "50", "it was made with another --seed, --workload, --rate"),
    ];
    for (option, value, said) in table {
        let line = refused(&mut place.devnet(&["--seconds", "30", "--data", "data", option, value]));
        assert!(line.starts_with("the data folder data does not fit: ") && line.contains(said), "{option}: {line}");
    }
    fs::write(place.at("data/genesis"), &genesis[..genesis.len() - 1]).unwrap();
    let line = refused(&mut place.devnet(&["--seconds", "30", "--data", "data"]));
    assert!(line.contains("its genesis does not read back"), "{line}");
    fs::write(place.at("data/genesis"), &genesis).unwrap();
    assert_eq!(place.listing(), before);
    Disks::read(&place.at("data")).check_agreement();
}

#[test]
fn a_report_or_descriptor_that_cannot_be_written_is_named() {
    let place = Place::new("report");
    fs::write(place.at("file"), "kept").unwrap();
    for (folder, said) in [
        ("file", "creating file failed: File exists"),
        ("file/deep", "creating file/deep failed: Not a directory"),
        ("/proc/none", "creating /proc/none failed: "),
    ] {
        let line = refused(&mut place.devnet(&["--report", folder, "--data", "data"]));
        assert!(line.starts_with(said), "{folder}: {line}");
    }
    let line = refused(&mut place.devnet(&["--data", "file"]));
    assert!(line.starts_with("creating file failed: File exists"), "{line}");
    let line = refused(&mut place.devnet(&["--report", "other", "--final-fd", "77", "--data", "data"]));
    assert!(line.contains("/proc/self/fd/77"), "{line}");
    assert_eq!(fs::read_to_string(place.at("file")).unwrap(), "kept");

    // One that is found only when the figures are there: whoever reads the folder finds no part of a report.
    fs::create_dir_all(place.at("report/report.json")).unwrap();
    let ended = ended(&mut place.devnet(&[]));
    assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{}", ended.err);
    let line = ended.err.lines().last().unwrap();
    assert!(line.starts_with("hpb: report report/report.json: cannot be written: "), "{line}");
    let left = place.listing();
    assert_eq!(left.iter().filter(|name| name.starts_with("report/")).collect::<Vec<_>>(), ["report/report.json"]);
}

/// The reader of `--final-fd` goes away after the first line: the run ends and says so.
#[test]
fn a_descriptor_whose_reader_is_gone_ends_the_run() {
    let place = Place::new("reader");
    let script = "{ \"$0\" \"$@\" --final-fd 3 3>&1 >out 2>err; echo $? >code; } | { read -r line; }";
    let status =
        Command::new("sh").current_dir(place.path()).args(["-c", script, HPB, "devnet"]).args(small(&[])).status();
    assert!(status.unwrap().success());
    let text = |name: &str| fs::read_to_string(place.at(name)).unwrap();
    let err = text("err");
    assert_eq!((text("code").trim(), text("out").as_str()), ("2", ""), "{err}");
    let line = err.lines().last().unwrap();
    assert!(line.starts_with("hpb: writing the descriptor of --final-fd failed: Broken pipe"), "{err}");
}

/// A set-up that finds no room says so; with room, the same folder serves: its chain begins as if it were new.
#[test]
fn a_limit_of_file_size_is_an_error_and_not_the_end_of_the_folder() {
    let place = Place::new("size");
    let data: [&str; 2] = ["--data", "data"];
    // In units of 512 bytes: less than a segment of the log.
    let line = refused(&mut place.devnet_in_shell("ulimit -f 10000;", &data, ""));
    assert!(line.contains("data/validator-0/log") && line.contains("File too large"), "{line}");
    assert!(!place.at("report/report.json").exists());
    succeeded(&mut place.devnet(&data));
    let report = report(&place.at("report"));
    assert_eq!((report.transactions.accepted, report.transactions.finals), (100, 100));
}

/// On a small disk of the test's own: full while the folder is made, then full in the middle of a run. The chain is new
/// in that run, so that its store has no pages of older states to write into and must grow.
/// Where no such disk may be had (it takes a user and a mount namespace), the test says so and ends.
#[test]
fn a_full_disk_is_named_and_loses_nothing() {
    const SCRIPT: &str = r#"
        mount -t tmpfs -o size=80m none "$1" 2>/dev/null || exit 77
        hpb=$2; shift 2
        one() { code=0; "$hpb" devnet "$@" >"$name.out" 2>"$name.err" || code=$?; echo $code >"$name.code"; }
        name=made; one "$@"
        mount -o remount,size=300m none disk
        mkfifo told; name=full
        one "$@" --final-fd 3 3>told &
        { read -r line; dd if=/dev/zero of=disk/filler bs=4096 2>/dev/null || true; { echo "$line"; cat; } >ids; } <told
        wait; rm disk/filler
        cp -R disk/data data
        name=again; one "$@"
    "#;
    let place = Place::new("disk");
    fs::create_dir(place.at("disk")).unwrap();
    let disk = place.at("disk");
    let mut command = Command::new("unshare");
    command.current_dir(place.path()).args(["--user", "--map-root-user", "--mount", "sh", "-ec", SCRIPT, "sh"]);
    command.arg(&disk).arg(HPB).args(small(&["--data", "disk/data", "--rate", "300", "--seconds", "5"]));
    let Ok(output) = command.output() else {
        return println!("skipped: there is no unshare");
    };
    if !place.at("made.code").exists() {
        return println!(
            "skipped: no disk of one's own may be had: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = |name: &str| fs::read_to_string(place.at(name)).unwrap();
    let code = |name: &str| text(&format!("{name}.code")).trim().parse::<i32>().unwrap();
    let last = |name: &str| text(&format!("{name}.err")).lines().last().map(str::to_owned).unwrap_or_default();

    assert_eq!(code("made"), 2, "{}", text("made.err"));
    assert_eq!(text("made.err").lines().count(), 1, "{}", text("made.err"));
    assert!(last("made").contains("the disk that holds disk/data/validator-2/log is full"), "{}", last("made"));
    assert!(last("full").contains("/state is full"), "{}", text("full.err"));
    assert_eq!(code("full"), 2, "{}", last("full"));
    assert_eq!(text("full.out"), "");
    let disks = Disks::read(&place.at("data"));
    disks.check_agreement();
    let held = disks.disks[0].final_transactions();
    let told = text("ids");
    assert!(told.lines().count() > 0);
    for id in told.lines() {
        assert!(held.contains(&hpb_types::Hash::from_hex(id).unwrap()), "{id} was told final and is lost");
    }
    assert_eq!(code("again"), 0, "{}", text("again.err"));
    assert!(text("again.out").contains("Every accepted transaction final"), "{}", text("again.out"));
}

#[test]
fn the_lab_refuses_what_this_machine_has_not() {
    let line = refused(Command::new(HPB).args(["lab", "noise", "--core", "4000"]));
    assert!(line.contains("core 4000") && line.contains("this process may use ["), "{line}");
    let line = refused(Command::new(HPB).args(["lab", "sockperf"]).env("PATH", "/nowhere"));
    assert!(line.contains("apt-get install --no-install-recommends sockperf"), "{line}");
    let absent = ["lab", "repeat", "--json", "--scenario", "absent.toml", "--target", "it", "--number", "0"];
    let line = refused(Command::new(HPB).args(absent));
    assert!(line.contains("absent.toml: "), "{line}");
}
