//! `hpb lab compare` and `hpb lab plot`: what records of earlier runs say.

use std::fs;

use crate::common::{Ended, Place, ended, refused, succeeded};
use crate::{FILE, UNWRITABLE, assert_same, has_no_room_to_say_it, lab, names, on_a_small_disk};

/// A place with two runs of one scenario, `a` and `b`, and one over a longer link, `far`.
fn with_runs(name: &str) -> Place {
    let place = Place::new(name);
    fs::write(place.at("short.toml"), FILE).unwrap();
    for (folder, set) in [("a", "seed=7"), ("b", "seed=7"), ("far", "link.delay=2ms")] {
        succeeded(&mut lab(&place, &["run", "short.toml", "--set", set, "--repeats", "3", "--report", folder]));
    }
    place
}

/// Files that are no record of this program's, each with what is said of it.
fn with_foreign_files(place: &Place) -> Vec<(&'static str, &'static str)> {
    let whole = fs::read_to_string(place.at("a/result.json")).unwrap();
    fs::write(place.at("empty.json"), "").unwrap();
    fs::write(place.at("cut.json"), &whole[..whole.len() / 2]).unwrap();
    fs::write(place.at("picture.json"), b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR").unwrap();
    fs::write(place.at("foreign.json"), "{\"schema\": 1, \"validators\": []}").unwrap();
    fs::write(
        place.at("newer.json"),
        whole.replacen("\"schema\":1,\"version\":\"", "\"schema\":9,\"version\":\"9.", 1),
    )
    .unwrap();
    fs::write(place.at("backwards.json"), whole.replacen("\"latency\":[[", "\"latency\":[[9000000000,1],[", 1))
        .unwrap();
    fs::create_dir(place.at("bare")).unwrap();
    vec![
        ("absent.json", "absent.json: cannot be read: No such file"),
        ("bare", "bare/result.json: cannot be read: No such file"),
        ("empty.json", "empty.json: no result.json of hpb lab: "),
        ("cut.json", "cut.json: no result.json of hpb lab: "),
        ("picture.json", "picture.json: no result.json of hpb lab: "),
        ("foreign.json", "foreign.json: no result.json of hpb lab: "),
        (
            "newer.json",
            "newer.json: layout 9 is newer than this program's, 1: read it with the version that wrote it (9.",
        ),
        (
            "backwards.json",
            "backwards.json: no result.json of hpb lab: a distribution of `card`, repeat 0, does not ascend",
        ),
        ("short.toml", "short.toml: no result.json of hpb lab: "),
    ]
}

#[test]
fn runs_are_compared() {
    let place = with_runs("lab-compare");
    let text = succeeded(&mut lab(&place, &["compare", "a", "b/result.json", "--fail-on-slower"])).out;
    assert!(text.starts_with("\ncard (B) against card (A), as a multiple of it\n  p50 "), "{text}");
    assert!(text.contains(" no difference seen\n") && !text.contains("differs: "), "{text}");
    let json = succeeded(&mut lab(&place, &["compare", "a", "b", "--json"])).out;
    assert_eq!(json, succeeded(&mut lab(&place, &["compare", "a", "b", "--json"])).out);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((json["repeats"].as_u64(), json["differences"].as_array().map(Vec::len)), (Some(3), Some(0)));
    assert!(json["comparisons"].as_array().unwrap().iter().all(|one| one["ratio"]["value"].as_f64() == Some(1.0)));

    let line = refused(&mut lab(&place, &["compare", "a", "far"]));
    assert!(line.starts_with("different scenarios: their files differ: ") && line.contains("--force"), "{line}");
    let text = succeeded(&mut lab(&place, &["compare", "a", "far", "--force"])).out;
    assert!(text.starts_with("differs: their files differ: ") && text.contains(" slower\n"), "{text}");
    for folder in ["both", "again"] {
        let words = ["compare", "a", "far", "--force", "--fail-on-slower", "--report", folder];
        let Ended { code, out, err } = ended(&mut lab(&place, &words));
        assert_eq!((code, &out), (Some(1), &text));
        assert_eq!(err, "hpb: a figure of B is slower or dearer than A's for certain\n");
    }
    assert_eq!(names(&place.at("both")), ["report.html"]);
    assert_same(&place.at("both"), &place.at("again"));
    assert!(fs::read_to_string(place.at("both/report.html")).unwrap().contains("card-plain (B)"));
    has_no_room_to_say_it(&place, &["lab", "compare", "a", "b"]);
}

#[test]
fn what_cannot_be_compared_is_named_and_nothing_is_written() {
    let place = with_runs("lab-compare-wrong");
    let files = with_foreign_files(&place);
    let before = place.listing();
    for (file, said) in &files {
        for pair in [[file, "a"], ["a", file]] {
            let line = refused(&mut lab(&place, &["compare", pair[0], pair[1], "--report", "both"]));
            assert!(line.starts_with(said), "{pair:?}: {line}");
        }
    }
    for (words, said) in [
        (&["compare"][..], "the following required arguments were not provided: <A> <B>"),
        (&["compare", "a"], "the following required arguments were not provided: <B>"),
        (&["compare", "a", "b", "far"], "unexpected argument 'far' found"),
        (&["compare", "a", "b", "--froce"], "unexpected argument '--froce' found"),
        (&["compare", "a", "b", "--report", "short.toml"], "report short.toml: cannot be written: File exists"),
        (&["compare", "a", "b", "--report", UNWRITABLE], "report /proc/report.html: cannot be written: "),
    ] {
        let line = refused(&mut lab(&place, words));
        assert!(line.starts_with(said), "{words:?}: {line}");
    }
    assert_eq!(place.listing(), before);
    let Some(full) = on_a_small_disk(&place, "16k", &["lab", "compare", "a", "b", "--report", "disk/both"]) else {
        return;
    };
    assert_eq!((full.code, full.out.as_str()), (Some(2), ""), "{}", full.err);
    assert!(
        full.err.starts_with("hpb: report disk/both/report.html: cannot be written: No space left"),
        "{}",
        full.err
    );
    assert_eq!(names(&place.at("left/both")).len(), 0);
}

#[test]
fn pictures_are_drawn_again() {
    let place = with_runs("lab-plot");
    let drawn = succeeded(&mut lab(&place, &["plot", "a", "--out", "pictures"])).out;
    let kinds = ["percentiles", "ratios", "distribution", "excess", "series", "heat", "hops"];
    let expected =
        kinds.iter().fold("pictures/report.html\n".to_owned(), |all, kind| all + &format!("pictures/{kind}.svg\n"));
    assert_eq!(drawn, expected);
    for kind in kinds {
        let text = fs::read_to_string(place.at(&format!("pictures/{kind}.svg"))).unwrap();
        assert!(text.starts_with("<svg xmlns=") && text.ends_with("</svg>\n") && !text.contains("NaN"), "{kind}");
    }
    succeeded(&mut lab(&place, &["plot", "b/result.json", "--out", "again"]));
    assert_same(&place.at("pictures"), &place.at("again"));
    let some = succeeded(&mut lab(&place, &["plot", "a", "--kind", "heat,hops"])).out;
    assert_eq!(some, "a/report.html\na/heat.svg\na/hops.svg\n");
    has_no_room_to_say_it(&place, &["lab", "plot", "a"]);
}

#[test]
fn what_cannot_be_drawn_is_named_and_nothing_is_written() {
    let place = with_runs("lab-plot-wrong");
    let files = with_foreign_files(&place);
    // A broadcast on a link that does nothing has neither hops of an answer nor an excess, and one target no ratios.
    let lone = FILE.split("[link]").next().unwrap().to_owned() + "[[target]]\nname = \"card\"\nkind = \"card\"\n";
    fs::write(place.at("lone.toml"), lone).unwrap();
    succeeded(&mut lab(&place, &["run", "lone.toml", "--report", "lone"]));
    let before = place.listing();
    for (file, said) in &files {
        let line = refused(&mut lab(&place, &["plot", file, "--out", "pictures"]));
        assert!(line.starts_with(said), "{file}: {line}");
    }
    for (words, said) in [
        (&["plot"][..], "the following required arguments were not provided: <RESULT>"),
        (&["plot", "a", "b"], "unexpected argument 'b' found"),
        (
            &["plot", "a", "--kind", "pie"],
            "invalid value 'pie' for '--kind <KINDS>': there is no picture `pie`: the pictures are",
        ),
        (&["plot", "lone", "--kind", "heat,ratios,excess"], "lone: the run has nothing to draw for ratios, excess"),
        (&["plot", "a", "--out", "short.toml"], "report short.toml: cannot be written: File exists"),
        (&["plot", "a", "--out", UNWRITABLE], "report /proc/report.html: cannot be written: "),
    ] {
        let line = refused(&mut lab(&place, words));
        assert!(line.starts_with(said), "{words:?}: {line}");
    }
    assert_eq!(place.listing(), before);
    let page = fs::metadata(place.at("a/report.html")).unwrap().len();
    let size = format!("{}k", page.div_ceil(4_096) * 4 + 8);
    let Some(full) = on_a_small_disk(&place, &size, &["lab", "plot", "a", "--out", "disk/pictures"]) else { return };
    assert_eq!((full.code, full.out.as_str()), (Some(2), ""), "{}", full.err);
    assert!(
        full.err.contains(".svg: cannot be written: No space left") && full.err.lines().count() == 1,
        "{}",
        full.err
    );
    for name in names(&place.at("left/pictures")) {
        let text = fs::read_to_string(place.at("left/pictures").join(&name)).unwrap();
        assert!(text.ends_with("</html>\n") || text.ends_with("</svg>\n"), "{name} is cut");
    }
}
