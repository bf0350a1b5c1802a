#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

const TEXT: &str = "name = \"other\"\nabout = \"Another build.\"\nclock = \"real\"\nduration = \"1s\"\nrepeats = 2\n\
                    sessions = 1\n[load]\npattern = \"request-reply\"\narrivals = \"closed\"\nin_flight = 1\n\
                    request_len = 64\nreply_len = 64\n[[target]]\nname = \"kernel\"\nkind = \"kernel-epoll\"\n\
                    # set: sessions = 7\n";

/// A program that says `stdout`, `stderr` and ends with `code`.
fn program(folder: &tempfile::TempDir, stdout: &str, stderr: &str, code: i32) -> TargetSpec {
    let path = folder.path().join("hpb");
    let script =
        format!("#!/bin/sh\n[ \"$1\" = --version ] && exit 0\necho '{stdout}'\necho '{stderr}' >&2\nexit {code}\n");
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let spec = scenario(TEXT).unwrap().targets[0].clone();
    TargetSpec { program: Some(path.display().to_string()), ..spec }
}

fn repeated(stdout: &str, stderr: &str, code: i32) -> Result<Repeat, TargetError> {
    let folder = tempfile::tempdir().unwrap();
    let spec = program(&folder, stdout, stderr, code);
    Program::new(&spec, TEXT).unwrap().repeat(&scenario(TEXT).unwrap(), 1, &|| false)
}

#[test]
fn what_was_set_beside_the_file_holds_in_the_other_build_too() {
    assert_eq!(scenario(TEXT).unwrap().sessions, 7);
}

#[test]
fn an_answer_is_the_record_of_a_repeat() {
    let answer = Repeat { measured_ns: 5, ..Repeat::default() };
    let repeat = repeated(&serde_json::to_string(&answer).unwrap(), "", 0).unwrap();
    assert_eq!(Repeat { began_ns: 0, ..repeat }, answer);
}

#[test]
fn errors_come_over_in_words() {
    let unavailable = repeated("", "hpb: no namespaces here", 2).unwrap_err();
    assert!(
        matches!(&unavailable, TargetError::Unavailable(why) if why.ends_with("no namespaces here")),
        "{unavailable}"
    );
    let failed = repeated("", "hpb: it broke", 1).unwrap_err();
    assert!(matches!(&failed, TargetError::Failed(why) if why.ends_with("it broke")), "{failed}");
    let strange = repeated("hello", "", 0).unwrap_err();
    assert!(matches!(&strange, TargetError::Failed(why) if why.contains("no record of a repeat")), "{strange}");
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let spec = scenario(TEXT).unwrap().targets[0].clone();
    let spec = TargetSpec { program: Some("/no/such/hpb".to_owned()), ..spec };
    let error = Program::new(&spec, TEXT).err().unwrap().to_string();
    assert!(error.starts_with("/no/such/hpb: "), "{error}");
    let error = repeat(&scenario(TEXT).unwrap(), TEXT, "nobody", 0).unwrap_err().to_string();
    assert!(error.contains("no target `nobody`"), "{error}");
}
