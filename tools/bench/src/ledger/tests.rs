#![allow(clippy::unwrap_used)]

use std::fs;
use std::process::Command;

use super::*;

/// What a program says that has executed 2,048 transfers in a quarter of a second.
const ANSWER: &str = r#"{"transfers":2048,"seconds":0.25,"revm":"43.0.0"}"#;

fn options(folder: &Path) -> Options {
    Options { transfers: 2_000, mainnet: None, revm: None, repeats: 1, folder: folder.to_owned(), keeps_index: false }
}

/// A shell script with this body. Another process writes the file that is run: a thread of this one may start a program
/// while a file is open here, and what somebody has open for writing cannot be run.
fn program(folder: &Path, body: &str) -> PathBuf {
    let (text, path) = (folder.join("program.text"), folder.join("program"));
    fs::write(&text, format!("#!/bin/sh\n{body}\n")).unwrap();
    let done = Command::new("install").args(["-m", "755"]).args([&text, &path]).status().unwrap();
    assert!(done.success());
    path
}

fn error(options: &Options) -> String {
    run(options, String::new(), &mut |_| {}).unwrap_err().to_string()
}

#[test]
fn all_ways_of_a_small_run_have_figures() {
    let folder = tempfile::tempdir().unwrap();
    let rows = "1,0,0x00000000000000000000000000000000000000aa,0x00000000000000000000000000000000000000bb,5,21000,0\n";
    let file = folder.path().join("transfers.csv");
    fs::write(&file, format!("block,index,from,to,value_wei,gas_limit,input_bytes\n{rows}")).unwrap();
    let options = Options { mainnet: Some(file), keeps_index: true, ..options(folder.path()) };
    let report = run(&options, "x".into(), &mut |_| {}).unwrap();
    assert_eq!(report.loads.len(), 2);
    for load in &report.loads {
        assert_eq!(load.figures.len(), 12);
        assert!(load.figures.iter().all(|figure| figure.transfers_per_s > 0.0) && load.raw_slices_per_s > 0.0);
        assert!(load.batches == 1 && load.keys > 0 && load.bytes > 0);
        assert!(load.in_memory_per_s > 0.0 && load.revm.is_none());
    }
    let (page, json) = (report.markdown(), report.to_json().unwrap());
    assert!(page.contains("| mainnet |") && page.contains("- revm: left out") && page.contains(" | - |\n"));
    assert!(json.contains("transfers_per_s") && json.contains("\"revm\": null"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "stores are removed");
}

#[test]
fn a_program_gets_the_transfers_once_a_repeat_and_its_median_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    // Says half a second the first time and a quarter from then on, and keeps what it was given.
    let body = r#"cd "$(dirname "$0")" && echo . >>turns && cp "$1" given
s=0.25; [ "$(wc -l <turns)" -gt 1 ] || s=0.5
echo "{\"transfers\":2048,\"seconds\":$s,\"revm\":\"43.0.0\"}""#;
    let options = Options { revm: Some(program(folder.path(), body)), repeats: 3, ..options(folder.path()) };
    let report = run(&options, "x".into(), &mut |_| {}).unwrap();
    assert_eq!(fs::read_to_string(folder.path().join("turns")).unwrap().lines().count(), 3);
    let given = fs::read_to_string(folder.path().join("given")).unwrap();
    assert!(given.starts_with("hpb-transfers 1\naccounts 10000\n"));
    assert_eq!(given.lines().skip_while(|line| *line != "transfers 2048").skip(1).count(), 2_048);
    let expected = RevmFigure { version: "43.0.0".to_owned(), transfers_per_s: 8_192.0 };
    assert_eq!(report.loads[0].revm, Some(expected));
    let (page, terminal) = (report.markdown(), report.terminal());
    assert!(page.contains(" | 8,192 |\n") && page.contains("revm 43.0.0"), "{page}");
    assert!(terminal.lines().take(6).all(|line| line.len() <= 120), "{terminal}");
    assert!(report.to_json().unwrap().contains("\"version\": \"43.0.0\""));
    let left = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name.to_string_lossy().starts_with(PREFIX));
    assert_eq!(left.count(), 0, "what was written for it is removed");
}

#[test]
fn a_program_that_fails_is_an_error_that_says_what_it_said() {
    let folder = tempfile::tempdir().unwrap();
    let table = [
        ("echo 'line 7: wrong' >&2; exit 2".to_owned(), "failed (exit status: 2): line 7: wrong"),
        ("echo one >&2; echo two >&2; exit 1".to_owned(), "failed (exit status: 1): one; two"),
        ("kill -9 $$".to_owned(), "failed (signal: 9 (SIGKILL)): it said nothing"),
        ("true".to_owned(), "said nothing, and"),
        ("echo words".to_owned(), "said `words`, and"),
        (format!("echo '{ANSWER}'; echo '{ANSWER}'"), "said `{\"transfers\":2048"),
        (format!("echo '{}'", ANSWER.replace("2048", "2047")), "said `{\"transfers\":2047"),
        (format!("echo '{}'", ANSWER.replace("0.25", "0")), "said `{\"transfers\":2048,\"seconds\":0,"),
        (format!("echo '{}'", ANSWER.replace("43.0.0", "4|3")), "said `{\"transfers\":2048"),
        (format!("yes '{ANSWER}' | head -c 100000"), "said `{\"transfers\":2048"),
    ];
    let load = Load::uniform(2_048).unwrap();
    for (body, said) in table {
        let path = program(folder.path(), &body);
        let mut revm = Revm::prepare(&Program::find(&path).unwrap(), &load, folder.path()).unwrap();
        let error = revm.measure().unwrap_err().to_string();
        assert!(error.starts_with(&format!("{} {said}", path.display())) && error.len() < 2_000, "{body}: {error}");
        assert!(revm.took_s.is_empty());
    }
}

#[test]
fn a_program_that_is_not_there_is_known_at_once_with_the_way_to_make_it() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain");
    fs::write(&plain, "").unwrap();
    for path in [folder.path().join("none"), folder.path().to_owned(), plain] {
        // The folder is not there either, and nothing is begun in it.
        let options = options(Path::new("/nonexistent/place"));
        let error = error(&Options { revm: Some(path.clone()), ..options });
        assert!(
            error.starts_with(&format!("{}: ", path.display())) && error.contains("cargo build --release"),
            "{error}"
        );
    }
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    assert!(error(&options(Path::new("/nonexistent/place"))).starts_with("/nonexistent/place: "));
}
