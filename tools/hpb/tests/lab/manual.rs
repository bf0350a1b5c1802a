//! `hpb man` and `hpb completion`.

use std::fs;

use crate::common::{Place, refused, succeeded};
use crate::{UNWRITABLE, assert_same, has_no_room_to_say_it, hpb, names, on_a_small_disk};

#[test]
fn every_verb_has_its_page() {
    let place = Place::new("man");
    let said = succeeded(&mut hpb(&place, &["man", "deep/man1"])).out;
    assert_eq!(said, "manual pages in deep/man1: `man -l deep/man1/hpb.1` reads one\n");
    let pages = names(&place.at("deep/man1"));
    for page in ["hpb.1", "hpb-devnet.1", "hpb-lab.1", "hpb-lab-compare.1", "hpb-lab-run.1", "hpb-man.1"] {
        assert!(pages.iter().any(|name| name == page), "{page}: {pages:?}");
    }
    for page in &pages {
        let text = fs::read_to_string(place.at("deep/man1").join(page)).unwrap();
        let title = page.strip_suffix(".1").unwrap();
        assert!(text.contains(&format!(".TH {title} 1")) && text.contains(".SH SYNOPSIS"), "{page}");
        assert!(!page.contains("help") && page != "hpb-lab-repeat.1", "{page} is for nobody");
    }
    // What stood there is written anew.
    fs::write(place.at("deep/man1/hpb.1"), "old").unwrap();
    for folder in ["deep/man1", "again"] {
        succeeded(&mut hpb(&place, &["man", folder]));
    }
    assert_same(&place.at("deep/man1"), &place.at("again"));
    has_no_room_to_say_it(&place, &["man", "again"]);
}

#[test]
fn pages_that_cannot_be_written_are_named() {
    let place = Place::new("man-wrong");
    fs::write(place.at("file"), "kept").unwrap();
    for (words, said) in [
        (&["man"][..], "the following required arguments were not provided: <DIR>"),
        (&["man", "a", "b"], "unexpected argument 'b' found"),
        (&["man", "file"], "manual pages: file cannot be written: File exists"),
        (&["man", "file/deep"], "manual pages: file/deep cannot be written: Not a directory"),
        (&["man", UNWRITABLE], "manual pages: /proc/"),
    ] {
        let line = refused(&mut hpb(&place, words));
        assert!(line.starts_with(said), "{words:?}: {line}");
    }
    assert_eq!(place.listing(), ["file"]);
    succeeded(&mut hpb(&place, &["man", "whole"]));
    let Some(full) = on_a_small_disk(&place, "64k", &["man", "disk/man1"]) else { return };
    assert_eq!((full.code, full.out.as_str()), (Some(2), ""), "{}", full.err);
    let line = "hpb: manual pages: disk/man1/";
    assert!(full.err.starts_with(line) && full.err.contains("No space left on device"), "{}", full.err);
    let left = names(&place.at("left/man1"));
    assert!(!left.is_empty());
    for page in left {
        let [left, whole] = ["left/man1", "whole"].map(|folder| fs::read(place.at(folder).join(&page)).unwrap());
        assert!(left == whole, "{page} is cut");
    }
}

#[test]
fn each_shell_is_told_the_verbs() {
    let place = Place::new("completion");
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = succeeded(&mut hpb(&place, &["completion", shell])).out;
        assert!(["devnet", "compare", "fail-on-slower"].iter().all(|word| script.contains(word)), "{shell}");
        assert_eq!(script, succeeded(&mut hpb(&place, &["completion", shell])).out);
        has_no_room_to_say_it(&place, &["completion", shell]);
    }
    for (words, said) in [
        (&["completion"][..], "the following required arguments were not provided: <SHELL>"),
        (&["completion", "dash"], "invalid value 'dash' for '<SHELL>' [possible values: bash, elvish, fish"),
        (&["completion", "bash", "zsh"], "unexpected argument 'zsh' found"),
    ] {
        let line = refused(&mut hpb(&place, words));
        assert!(line.starts_with(said), "{words:?}: {line}");
    }
}
