//! `hpb lab`, `hpb man` and `hpb completion` as a user sees them: what they say, what they write, and what is left where
//! they are asked for what cannot be done.

#![allow(clippy::unwrap_used)]

mod common;

mod lab {
    pub(crate) mod capture;
    mod manual;
    mod records;
    mod replay;
    mod run;
}

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{Ended, HPB, Place, ended};

/// Two targets on virtual time, done in a moment.
const FILE: &str = "name = \"short\"\nclock = \"virtual\"\nwarm_up = \"10ms\"\nduration = \"200ms\"\nrepeats = 2\nsessions = 4\n\
                    assert = [\"p99_us < 5000\"]\n\n[load]\npattern = \"request-reply\"\narrivals = \"poisson\"\n\
                    rate_per_s = 500\n\n[link]\ndelay = \"1ms\"\njitter = \"uniform 100us\"\n\n\
                    [[target]]\nname = \"card\"\nkind = \"card\"\n\n\
                    [[target]]\nname = \"card-plain\"\nkind = \"card\"\nencrypted = false\n";

/// A folder where nobody may make a file, not even root.
const UNWRITABLE: &str = "/proc";

/// `hpb` in this place.
fn hpb(place: &Place, words: &[&str]) -> Command {
    let mut command = Command::new(HPB);
    command.current_dir(place.path()).args(words);
    command
}

/// `hpb lab` in this place.
fn lab(place: &Place, words: &[&str]) -> Command {
    hpb(place, &[&["lab"], words].concat())
}

/// One whose output goes to a disk that is full: exit code 1, and a line.
fn has_no_room_to_say_it(place: &Place, words: &[&str]) {
    let mut command = Command::new("sh");
    command.current_dir(place.path()).args(["-c", "exec \"$0\" \"$@\" >/dev/full", HPB]).args(words);
    let ended = ended(&mut command);
    let line = "hpb: standard output: No space left on device (os error 28)\n";
    assert_eq!((ended.code, ended.err.as_str()), (Some(1), line), "{words:?}");
}

/// Runs `hpb` in this place with a disk of `size` at `disk`, whose files are found in `left` behind it. None where no disk
/// of one's own may be had (it takes a user and a mount namespace): a line says so.
fn on_a_small_disk(place: &Place, size: &str, words: &[&str]) -> Option<Ended> {
    const SCRIPT: &str = r#"
        mount -t tmpfs -o size="$1" none disk 2>/dev/null || exit 77
        hpb=$2; shift 2
        code=0; "$hpb" "$@" || code=$?
        cp -R disk left
        exit $code
    "#;
    fs::create_dir(place.at("disk")).unwrap();
    let mut command = Command::new("unshare");
    command.current_dir(place.path()).args(["--user", "--map-root-user", "--mount", "sh", "-ec", SCRIPT, "sh", size]);
    let ended: Option<Ended> = command.arg(HPB).args(words).output().ok().map(Ended::from);
    if !place.at("left").exists() {
        println!("skipped: no disk of one's own may be had: {}", ended.map_or(String::new(), |ended| ended.err));
        return None;
    }
    ended
}

/// The names in a folder, in their order.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Looks whether two folders hold the same files, byte for byte.
fn assert_same(one: &Path, other: &Path) {
    assert_eq!(names(one), names(other));
    for name in names(one) {
        assert!(fs::read(one.join(&name)).unwrap() == fs::read(other.join(&name)).unwrap(), "{name}");
    }
}
