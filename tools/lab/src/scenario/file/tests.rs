#![allow(clippy::unwrap_used)]

use hpb_net::wire::Jitter;

use super::*;
use crate::scenario::LimitFigure;

/// The least that is a scenario, six lines.
const LEAST: &str = "name = \"least\"\n\n[load]\npattern = \"request-reply\"\narrivals = \"fixed\"\nrate_per_s = 10\n";

fn wrong(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn what_is_not_said_has_its_default() {
    let scenario = parse(LEAST).unwrap();
    assert_eq!((scenario.seed, scenario.repeats, scenario.sessions), (1, 5, 1));
    assert_eq!((scenario.clock, scenario.duration), (ClockKind::Real, Duration::from_secs(10)));
    assert_eq!((scenario.load.request_len, scenario.load.reply_len), (64, 64));
    assert_eq!((scenario.there, scenario.back), Default::default());
    let expected = TargetSpec { name: "card".into(), kind: TargetKind::CardWire, encrypted: true, program: None };
    assert_eq!(scenario.targets, [expected]);
}

#[test]
fn all_that_can_be_said_is_read() {
    let text = format!(
        "about = \"all of it\"\nassert = [\"p99_us < 50\", {{ that = \"lost_ppm < 1\", target = \"b\" }}]\nclock = \"virtual\"\n{LEAST}\
         [link]\ndelay = \"1ms\"\njitter = \"pareto 10us 2\"\nloss = \"0.1 %\"\nreorder = \"10 ppm\"\nreorder_delay = \"1ms\"\n\
         duplicate = \"1 %\"\nrate = \"1 Gbit/s\"\nqueue = \"64 KiB\"\n\
         [link.back]\ndelay = \"2ms\"\nloss = {{ enter = \"1 %\", leave = \"20 %\" }}\n\
         [[change]]\nat = \"1s\"\nlabel = \"cut\"\nlink = {{ cut = true }}\n[[change]]\nat = \"2s\"\nthere = {{ cut = false }}\n\
         [[fault]]\nkind = \"stall\"\nevery = \"1s\"\npause = \"100ms\"\n[[fault]]\nkind = \"churn\"\nrate_per_s = 3\n\
         [[target]]\nname = \"a\"\nkind = \"card\"\n[[target]]\nname = \"b\"\nkind = \"card\"\nencrypted = false\n"
    );
    let scenario = parse(&text).unwrap();
    assert_eq!(scenario.there.jitter, Jitter::Pareto { scale: Duration::from_micros(10), shape_milli: 2_000 });
    assert_eq!((scenario.there.loss_ppm, scenario.there.burst_loss), (1_000, None));
    let chain = BurstLoss { enter_ppm: 10_000, leave_ppm: 200_000, good_ppm: 0, bad_ppm: 1_000_000 };
    assert_eq!((scenario.back.delay, scenario.back.burst_loss), (Duration::from_millis(2), Some(chain)));
    assert_eq!(scenario.back.loss_ppm, 0, "bursts instead of single frames");
    assert_eq!((scenario.back.rate_bits_per_s, scenario.back.queue_len_max), (1_000_000_000, 65_536));
    let [cut, heal] = scenario.changes.as_slice() else { panic!("two changes") };
    assert!(cut.there.unwrap().cut && cut.back.unwrap().cut && cut.label == "cut");
    assert_eq!((heal.there.unwrap().cut, heal.back), (false, None));
    assert_eq!(heal.there.unwrap().delay, Duration::from_millis(1), "a change leaves what it does not name");
    assert_eq!(scenario.faults.len(), 2);
    assert_eq!(scenario.limits[0].figure, LimitFigure::PercentileUs(99.0));
    assert_eq!(scenario.limits[1].target.as_deref(), Some("b"));
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    let cases: &[(&str, &str)] = &[
        ("sesions = 3\n", "line 7: unknown key `sesions` of load: known are "),
        ("[lnk]\n", "line 7: unknown key `lnk`: `link`?"),
        ("[link]\ndelay = \"1h\"\n", "line 8: link: `delay` is a time from 0ns to 60s, as \"250us\""),
        ("[link]\njitter = \"gauss 1ms\"\n", "line 8: link: `jitter` is \"none\", \"uniform TIME\""),
        ("[link]\nloss = 0.1\n", "line 8: link: `loss` is a share, as \"0.1 %\""),
        ("[link]\nloss = { enter = \"1 %\" }\n", "line 8: link.loss lacks `leave`"),
        ("[link]\nqueue = \"1 KiB\"\n", "line 8: nothing queues without a `rate`"),
        ("[link]\nreorder = \"1 %\"\n", "line 8: frames are reordered by holding them back"),
        ("[link.there]\ncut = 1\n", "line 8: link.there: `cut` is true or false"),
        ("[[change]]\nat = \"20s\"\nlink = { cut = true }\n", "line 8: changes come in order, and before"),
        ("[[change]]\nat = \"2s\"\n", "line 7: a change says what changes"),
        ("[[fault]]\nkind = \"stall\"\nevery = \"1s\"\npause = \"1s\"\n", "line 10: a stall ends before"),
        ("[[fault]]\nkind = \"churn\"\ncount = 4\n", "line 9: `count` does not belong to a fault of the kind churn"),
        ("[[fault]]\nkind = \"slow-readers\"\ncount = 4\n", "line 7: slow readers are of the pattern fan-out"),
        ("[[target]]\nname = \"A\"\nkind = \"card\"\n", "line 8: a target: `name` is a name of at most 32"),
        ("[[target]]\nname = \"a\"\nkind = \"kernal\"\n", "line 9: a target: `kind` is one of card"),
        ("[[target]]\nname = \"a\"\nkind = \"kernel-epoll\"\nencrypted = true\n", "line 10: the kernel's sessions are"),
        ("[[target]]\nname = \"a\"\nkind = \"validators\"\n", "line 4: validators confirm, and nobody else does"),
        ("[[assert]]\nthat = \"p99 < 5\"\n", "line 8: a assert: `that` is a figure, < or >, and a bound"),
        ("[[assert]]\nthat = \"p99_us < 5\"\ntarget = \"b\"\n", "line 7: a limit is for b, and no target is called so"),
        ("burst = 4\n", "line 7: `burst` does not belong to arrivals of the kind fixed"),
        ("reply_len = 4\n", "line 7: load: `reply_len` is a whole number from 16 to 1048576"),
        ("name = 1\nname = 2\n", "line 8: "),
    ];
    for (added, said) in cases {
        let found = wrong(&format!("{LEAST}{added}"));
        assert!(found.starts_with(said), "{added}: {found}");
    }
    let closed = "name = \"x\"\n[load]\npattern = \"fan-out\"\narrivals = \"closed\"\n";
    assert!(wrong(closed).starts_with("line 4: a closed loop waits for answers"), "{}", wrong(closed));
    assert_eq!(wrong("name = \"x\"\n"), "the file lacks `load`");
    assert!(wrong("name = \"x\"\nclock = \"virtual\"\n[load]\npattern = \"one-way\"\narrivals = \"fixed\"\nrate_per_s = 1\n[[target]]\nname = \"k\"\nkind = \"kernel-epoll\"\n")
        .contains("only the wire and validators of this program run on virtual time"));
    let long = LEAST.replace("name = \"least\"", "name = \"least\"\nsessions = 2000") + "request_len = 2000\n";
    assert!(wrong(&long).contains("at most 1000 sessions"));
}

#[test]
fn values_are_set_beside_the_file() {
    let set = |key: &str, value: &str| parse_with(LEAST, &[(key.to_owned(), value.to_owned())]);
    assert_eq!(set("sessions", "7").unwrap().sessions, 7);
    assert_eq!(set("link.delay", "1ms").unwrap().back.delay, Duration::from_millis(1));
    assert_eq!(set("load.rate_per_s", "12").unwrap().load.arrivals, Arrivals::Fixed { per_s: 12.0 });
    let unknown = set("load.rate", "1").unwrap_err();
    assert_eq!(unknown.line, None);
    assert!(unknown.what.contains("unknown key `rate` of load"), "{unknown}");
    assert!(set("name.x", "1").unwrap_err().to_string().contains("lies within what is no table"));
    assert!(set("a..b", "1").is_err());
}

#[test]
fn each_key_has_its_place_in_the_page() {
    let page = include_str!("../../../../../docs/lab-scenario.md");
    for (section, keys) in KEYS {
        for key in keys {
            assert!(page.contains(&format!("| `{key}` |")), "docs/lab-scenario.md lacks `{key}` of [{section}]");
        }
    }
    for (block, text) in page.split("```toml\n").skip(1).enumerate() {
        let text = text.split("```").next().unwrap();
        let whole = if text.contains("[load]") { text.to_owned() } else { format!("{LEAST}{text}") };
        parse(&whole).unwrap_or_else(|error| panic!("example {}: {error}\n{text}", block + 1));
    }
}
