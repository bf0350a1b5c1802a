//! Whole checks, applies and undos: on a host in memory, where every crash can be had, and on a virtual cable of this
//! one's.
#![allow(clippy::unwrap_used)]

use std::process::Command;

use crate::apply::{Applied, Outcome as MadeOutcome, apply};
use crate::cores::Cores;
use crate::fake::{Fake, Memory};
use crate::finding::{Finding, Level};
use crate::host::{Field, Host, Limit, Peer};
use crate::item;
use crate::journal::{Journal, StateFile};
use crate::plan::{Plan, PlanError, Wishes};
use crate::report;
use crate::setting::{LIMITS_PATH, Setting};
use crate::system::System;
use crate::undo::{Outcome as UndoOutcome, Undone, undo};

const CPU: &str = "/sys/devices/system/cpu";
const GOVERNOR_3: &str = "/sys/devices/system/cpu/cpu3/cpufreq/scaling_governor";
const PAGES: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
const THP: &str = "/sys/kernel/mm/transparent_hugepage/enabled";

/// A machine of four cores on which everything is as distributions ship it, which is wrong.
fn shipped() -> Fake {
    let mut fake = Fake::new(&[
        ("/proc/sys/kernel/osrelease", "5.4.0-1\n"),
        ("/proc/sys/kernel/io_uring_disabled", "2\n"),
        ("/proc/sys/kernel/unprivileged_bpf_disabled", "2\n"),
        ("/proc/sys/kernel/numa_balancing", "1\n"),
        ("/proc/sys/kernel/random/boot_id", "boot-1\n"),
        ("/proc/sys/net/core/bpf_jit_enable", "0\n"),
        ("/proc/self/status", "Name:\thpb\nCapEff:\t0000000000000000\n"),
        ("/proc/cmdline", "root=/dev/sda1\n"),
        ("/proc/mounts", "proc /proc proc rw 0 0\n"),
        ("/proc/77/comm", "irqbalance\n"),
        (PAGES, "0\n"),
        (THP, "[always] madvise never\n"),
        ("/sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet\n"),
        ("/sys/devices/system/cpu/online", "0-3\n"),
        ("/sys/devices/system/cpu/isolated", "\n"),
        ("/sys/devices/system/cpu/intel_pstate/no_turbo", "0\n"),
        ("/sys/devices/system/node/node0/cpulist", "0-1\n"),
        ("/sys/devices/system/node/node1/cpulist", "2-3\n"),
        ("/sys/class/net/eth1/ifindex", "3\n"),
        ("/sys/class/net/eth1/device/numa_node", "1\n"),
        ("/sys/class/net/eth1/device/msi_irqs/40", "msix\n"),
        ("/sys/class/net/eth1/device/msi_irqs/41", "msix\n"),
        ("/sys/class/net/eth1/queues/rx-0/rps_cpus", "0f\n"),
        ("/sys/class/net/eth1/queues/tx-0/xps_cpus", "0f\n"),
        ("/sys/class/net/eth1/napi_defer_hard_irqs", "0\n"),
        ("/sys/class/net/eth1/gro_flush_timeout", "0\n"),
        ("/proc/irq/40/smp_affinity_list", "0-3\n"),
        ("/proc/irq/41/smp_affinity_list", "2\n"),
    ]);
    for core in 0..4 {
        fake.put(&format!("{CPU}/cpu{core}/cpufreq/scaling_governor"), "powersave\n");
        fake.put(&format!("{CPU}/cpu{core}/topology/thread_siblings_list"), if core < 2 { "0-1\n" } else { "2-3\n" });
        for (state, latency) in [("state0", "0\n"), ("state1", "2\n"), ("state2", "133\n")] {
            fake.put(&format!("{CPU}/cpu{core}/cpuidle/{state}/latency"), latency);
            fake.put(&format!("{CPU}/cpu{core}/cpuidle/{state}/disable"), "0\n");
        }
    }
    fake.world.folders.insert("/etc/security/limits.d".to_owned());
    let numbers = [
        (Field::ChannelsCombined, 4, Some(16)),
        (Field::ChannelsRx, 0, Some(0)),
        (Field::RingRx, 512, Some(4_096)),
        (Field::RingTx, 512, Some(1_024)),
        (Field::CoalesceRxMicros, 50, None),
        (Field::CoalesceAdaptiveRx, 1, None),
    ];
    for (field, value, most) in numbers {
        fake.world.numbers.insert(("eth1".to_owned(), field), (value, most));
    }
    for (name, changeable, wanted) in [
        ("rx-gro", true, true),
        ("rx-lro", true, false),
        ("rx-vlan-hw-parse", false, true),
        ("tx-checksum-ipv4", true, true),
    ] {
        fake.feature("eth1", name, changeable, wanted);
    }
    fake.world.limits.insert(Limit::LockedMemory, (64 << 10, 64 << 10));
    fake.world.limits.insert(Limit::OpenFiles, (1_024, 524_288));
    fake
}

fn wishes() -> Wishes {
    let cores: Cores = "1,3".parse().unwrap();
    Wishes { interfaces: vec!["eth1".to_owned()], cores: Some(cores), queues: Some(2), ..Wishes::default() }
}

fn plan(fake: &Fake) -> Plan {
    Plan::make(fake, &wishes()).unwrap()
}

fn run_apply(fake: &mut Fake, store: &mut Memory) -> Applied {
    let plan = plan(fake);
    apply(fake, &plan, &item::all(), &mut Journal::open(store).unwrap()).unwrap()
}

fn run_undo(fake: &mut Fake, store: &mut Memory) -> Vec<Undone> {
    undo(fake, &mut Journal::open(store).unwrap()).unwrap()
}

fn at<'a>(findings: &'a [Finding], item: &str, subject: &str) -> &'a Finding {
    let found = findings.iter().find(|finding| finding.item == item && finding.subject == subject);
    found.unwrap_or_else(|| panic!("no {item} {subject} in {findings:#?}"))
}

#[test]
fn every_item_finds_what_is_wrong_and_names_what_mends_it() {
    let fake = shipped();
    let before = fake.world.clone();
    let findings = item::check(&fake, &plan(&fake), &item::all());
    assert_eq!(fake.world, before, "a check changes nothing");
    let table = [
        ("kernel", "", Level::Fix, "Linux 5.4.0-1", ""),
        ("io_uring", "", Level::Fix, "forbidden to all", "sudo sysctl -w kernel.io_uring_disabled=0"),
        ("bpf", "programs", Level::Note, "may not load programs", "sudo setcap cap_net_admin,cap_bpf+ep /usr/bin/hpb"),
        ("bpf", "compiler", Level::Fix, "= 0", "sudo sysctl -w net.core.bpf_jit_enable=1"),
        (
            "capabilities",
            "",
            Level::Fix,
            "has none of those needed; its file gives none",
            "sudo setcap cap_net_raw,cap_net_admin,cap_bpf,",
        ),
        ("tun", "", Level::Note, "there is no /dev/net/tun", "sudo modprobe tun"),
        ("limits", "locked memory", Level::Fix, "64 KiB", "sudo prlimit --pid $$ --memlock=67108864:67108864"),
        ("limits", "open files", Level::Fix, "1024", "sudo prlimit --pid $$ --nofile=16384:16384"),
        ("hugepages", "pages", Level::Fix, "0 pages of 2 MiB", "echo 256 | sudo tee /sys/kernel/mm/hugepages/"),
        ("hugepages", "mount", Level::Fix, "not mounted", "sudo mkdir /dev/hugepages"),
        ("thp", "", Level::Fix, "always", "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled"),
        ("clock", "", Level::Fix, "read from hpet", "sudo dmesg"),
        (
            "isolation",
            "cores 1,3",
            Level::Fix,
            "no isolcpus, no nohz_full, no rcu_nocbs",
            "isolcpus=managed_irq,domain,1,3 nohz_full=1,3 rcu_nocbs=1,3",
        ),
        ("siblings", "cores 1,3", Level::Note, "cores 0,2 are their other halves", "cpu0/online"),
        ("frequency", "cores 1,3", Level::Fix, "governor powersave", "echo performance | sudo tee"),
        ("frequency", "turbo", Level::Note, "on", "echo 1 | sudo tee"),
        ("idle", "cores 1,3", Level::Fix, "up to 133 µs", "cpu3/cpuidle/state2/disable"),
        ("numa", "balancing", Level::Fix, "= 1", "sudo sysctl -w kernel.numa_balancing=0"),
        ("numa", "eth1", Level::Fix, "on node 1", "--cores 2-3"),
        ("queues", "eth1", Level::Fix, "4 combined of at most 16", "sudo ethtool -L eth1 combined 2"),
        ("rings", "eth1", Level::Fix, "rx 512 frames", "sudo ethtool -G eth1 rx 2048 tx 1024"),
        ("offloads", "eth1", Level::Fix, "on: rx-gro", "sudo ethtool -K eth1 rx-gro off"),
        (
            "coalesce",
            "eth1",
            Level::Fix,
            "rx-usecs 50, adaptive-rx on",
            "sudo ethtool -C eth1 adaptive-rx off rx-usecs 8",
        ),
        ("rps", "eth1", Level::Fix, "frames of rx-0 go", "echo 00 | sudo tee"),
        (
            "interrupts",
            "eth1",
            Level::Fix,
            "2 that go to cores 0-3",
            "echo 0,2 | sudo tee /proc/irq/40/smp_affinity_list",
        ),
        ("interrupts", "irqbalance", Level::Fix, "runs", "systemctl disable --now irqbalance"),
        ("busy-poll", "eth1", Level::Note, "0 empty turns", "echo 2 | sudo tee"),
    ];
    for (item, subject, level, is, command) in table {
        let finding = at(&findings, item, subject);
        assert_eq!(finding.level, level, "{finding:?}");
        assert!(finding.is.contains(is), "{finding:?}");
        assert!(finding.commands.join("\n").contains(command), "{finding:?}");
        assert!(!finding.should.is_empty() && !finding.why.is_empty(), "{finding:?}");
    }
    // Two findings of offloads: what can be mended, and what is fixed.
    assert_eq!(findings.len(), table.len() + 1, "{findings:#?}");
    let text = report::check_text(&findings, 0);
    assert!(text.starts_with("fix   kernel                 Linux 5.4.0-1; should be 5.11 or later: "), "{text}");
    assert!(text.contains("\n        echo madvise | sudo tee "), "{text}");
    assert!(
        text.ends_with(
            "\n22 to fix, 6 to note, 0 in order.\n`hpb tune apply` with the same options mends 15 of them.\n"
        ),
        "{text}"
    );
}

#[test]
fn what_is_right_is_said_in_short() {
    let mut fake = shipped();
    run_apply(&mut fake, &mut Memory::default());
    for (path, text) in [
        ("/proc/sys/kernel/osrelease", "6.1.0\n"),
        ("/proc/sys/kernel/io_uring_disabled", "0\n"),
        ("/proc/self/status", "CapEff:\t000001ffffffffff\n"),
        ("/proc/cmdline", "isolcpus=1,3 rcu_nocbs=1 nohz_full=1,3\n"),
        ("/sys/devices/system/cpu/isolated", "1,3\n"),
        ("/sys/devices/system/cpu/nohz_full", "1,3\n"),
        ("/sys/devices/system/cpu/online", "1,3\n"),
        ("/sys/devices/system/cpu/intel_pstate/no_turbo", "1\n"),
        ("/sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n"),
        ("/sys/devices/system/node/node1/cpulist", "1-3\n"),
        ("/sys/class/net/eth1/napi_defer_hard_irqs", "2\n"),
        ("/sys/class/net/eth1/gro_flush_timeout", "200000\n"),
        ("/dev/net/tun", ""),
        ("/proc/77/comm", "bash\n"),
    ] {
        fake.put(path, text);
    }
    fake.put("/sys/devices/system/cpu/online", "0-1,3\n");
    fake.put("/sys/devices/system/cpu/cpu1/topology/thread_siblings_list", "1\n");
    fake.feature("eth1", "rx-vlan-hw-parse", false, false);
    fake.world.limits.clear();
    let findings = item::check(&fake, &plan(&fake), &item::all());
    for finding in &findings {
        assert_eq!(finding.level, Level::Ok, "{finding:?}");
        assert!(finding.should.is_empty() && finding.why.is_empty() && finding.commands.is_empty(), "{finding:?}");
    }
    assert_eq!(findings.len(), 27, "{findings:#?}");
}

#[test]
fn a_bare_virtual_machine_is_no_trouble() {
    let fake = Fake::new(&[("/sys/devices/system/cpu/online", "0\n"), ("/proc/sys/kernel/osrelease", "6.8.0\n")]);
    let plan = Plan::make(&fake, &Wishes::default()).unwrap();
    assert!(plan.hot.is_empty() && plan.interfaces.is_empty());
    let findings = item::check(&fake, &plan, &item::all());
    let fixes: Vec<&str> =
        findings.iter().filter(|finding| finding.level == Level::Fix).map(|finding| finding.item).collect();
    assert_eq!(fixes, ["capabilities"], "{findings:#?}");
}

#[test]
fn wishes_that_the_host_cannot_meet() {
    let fake = shipped();
    let refused = |wishes: &Wishes| Plan::make(&fake, wishes).unwrap_err().to_string();
    for name in ["eth9", "", "../eth1", "a/b", "."] {
        let wishes = Wishes { interfaces: vec![name.to_owned()], ..Wishes::default() };
        assert_eq!(refused(&wishes), format!("there is no network interface `{name}`: `ip link` lists them"));
    }
    let wishes = Wishes { cores: Some("2-5".parse().unwrap()), ..Wishes::default() };
    assert_eq!(refused(&wishes), "core 4 is not online here: cores 0-3 are");
    assert!(matches!(Plan::make(&Fake::default(), &wishes), Err(PlanError::NoCores(_))));

    let usual = |fake: &Fake| Plan::make(fake, &Wishes::default()).unwrap().hot.to_string();
    assert_eq!(usual(&fake), "1-3");
    let mut isolated = fake.clone();
    isolated.put("/sys/devices/system/cpu/isolated", "2-3,9\n");
    assert_eq!(usual(&isolated), "2-3");
    let twice = Wishes { interfaces: vec!["eth1".to_owned(); 2], hugepages_mib: 3, ..Wishes::default() };
    let plan = Plan::make(&fake, &twice).unwrap();
    assert_eq!((plan.interfaces.len(), plan.hugepages), (1, 2));
}

#[test]
fn apply_makes_all_changes_once_and_undo_takes_them_back_exactly() {
    let mut fake = shipped();
    let before = fake.world.clone();
    let mut store = Memory::default();
    let applied = run_apply(&mut fake, &mut store);
    assert!(applied.made.iter().all(|made| made.outcome == MadeOutcome::Set), "{:#?}", applied.made);
    assert_eq!(applied.made.len(), 19, "{:#?}", applied.made);
    let changeable = applied.findings.iter().filter(|finding| !finding.changes.is_empty()).count();
    assert_eq!(changeable, 0, "{:#?}", applied.findings);
    assert_eq!(fake.read(PAGES).unwrap(), "256\n");
    assert_eq!(fake.read(THP).unwrap(), "always [madvise] never\n");
    assert_eq!(fake.read("/proc/irq/41/smp_affinity_list").unwrap(), "2\n", "it was well where it was");
    assert_eq!(fake.read(&format!("{CPU}/cpu0/cpufreq/scaling_governor")).unwrap(), "powersave\n", "no hot core");
    assert!(fake.read(LIMITS_PATH).unwrap().contains("* - memlock 65536\n* - nofile 16384\nroot - "));

    let (after, saves) = (fake.world.clone(), store.saves);
    let again = run_apply(&mut fake, &mut store);
    assert!(again.made.is_empty());
    assert_eq!((&fake.world, store.saves), (&after, saves), "a second apply changes nothing");
    assert!(report::apply_text(&again).contains("\nNothing to change: all that can be applied is in place.\n"));

    let undone = run_undo(&mut fake, &mut store);
    assert_eq!(fake.world, before);
    assert_eq!(store.text, None);
    assert!(undone.iter().all(|undone| undone.outcome == UndoOutcome::Restored), "{undone:#?}");
    let settings = |settings: Vec<&Setting>| settings.into_iter().cloned().collect::<Vec<_>>();
    let mut made = settings(applied.made.iter().map(|made| &made.setting).collect());
    made.reverse();
    assert_eq!(settings(undone.iter().map(|undone| &undone.setting).collect()), made);
    assert!(run_undo(&mut fake, &mut store).is_empty());
}

/// Wherever apply or undo is cut off, and whether or not the last step still came about: an undo leads back.
#[test]
fn a_crash_at_any_step_can_be_undone() {
    let before = shipped().world;
    let mut crashes = 0;
    for late in [false, true] {
        for (first, crash_in_undo) in [(0, false), (0, true)] {
            for step in first.. {
                let mut fake = Fake { late, ..shipped() };
                let mut store = Memory { fuse: fake.fuse.clone(), late, ..Memory::default() };
                let plan = plan(&fake);
                if crash_in_undo {
                    run_apply(&mut fake, &mut store);
                }
                fake.fuse.set(step);
                let mut journal = Journal::open(&mut store).unwrap();
                if crash_in_undo {
                    let _ = undo(&mut fake, &mut journal);
                } else {
                    let _ = apply(&mut fake, &plan, &item::all(), &mut journal);
                }
                let crashed = fake.fuse.is_blown();
                fake.fuse.remove();
                run_undo(&mut fake, &mut store);
                assert_eq!(fake.world, before, "step {step}, late {late}, in the undo {crash_in_undo}");
                assert_eq!(store.text, None);
                if !crashed {
                    break;
                }
                crashes += 1;
            }
        }
    }
    assert!(crashes >= 4 * 19, "{crashes}");
}

#[test]
fn a_crashed_apply_can_be_applied_again_and_then_undone() {
    let before = shipped().world;
    for step in 0..40 {
        let mut fake = Fake { late: step % 3 == 0, ..shipped() };
        let mut store = Memory { fuse: fake.fuse.clone(), ..Memory::default() };
        let plan = plan(&fake);
        fake.fuse.set(step);
        let _ = apply(&mut fake, &plan, &item::all(), &mut Journal::open(&mut store).unwrap());
        fake.fuse.remove();
        run_apply(&mut fake, &mut store);
        assert_eq!(fake.read(PAGES).unwrap(), "256\n");
        run_undo(&mut fake, &mut store);
        assert_eq!((&fake.world, &store.text), (&before, &None), "step {step}");
    }
}

#[test]
fn what_somebody_else_changed_is_left_alone_and_said() {
    let mut fake = shipped();
    let mut store = Memory::default();
    run_apply(&mut fake, &mut store);
    fake.put(PAGES, "1024\n");
    fake.put(GOVERNOR_3, "powersave\n");
    fake.world.files.remove("/proc/irq/40/smp_affinity_list");
    let undone = run_undo(&mut fake, &mut store);
    assert_eq!(store.text, None);
    let of = |path: &str| &undone.iter().find(|undone| undone.setting == Setting::kernel(path)).unwrap().outcome;
    assert_eq!(*of(PAGES), UndoOutcome::Foreign { now: Some("1024".to_owned()) });
    assert_eq!(*of(GOVERNOR_3), UndoOutcome::Already);
    assert_eq!(*of("/proc/irq/40/smp_affinity_list"), UndoOutcome::Gone);
    assert_eq!(fake.read(PAGES).unwrap(), "1024\n");
    assert_eq!(fake.read(THP).unwrap(), "[always] madvise never\n");
    let text = report::undo_text(&undone);
    assert!(text.contains(": is 1024, changed by someone else (it was 0)\n"), "{text}");
    assert!(text.ends_with(" taken back, 0 failed, 3 needed nothing.\n"), "{text}");
}

#[test]
fn what_may_not_be_changed_is_said_and_the_rest_goes_on() {
    let mut fake = shipped();
    let before = fake.world.clone();
    fake.world.refused.extend([PAGES.to_owned(), "eth1".to_owned()]);
    let mut store = Memory::default();
    let applied = run_apply(&mut fake, &mut store);
    let failed: Vec<_> =
        applied.made.iter().filter(|made| matches!(made.outcome, MadeOutcome::Failed { .. })).collect();
    assert_eq!(failed.len(), 7, "{failed:#?}");
    let text = report::apply_text(&applied);
    assert!(text.contains("fail  hugepages   /sys/kernel/mm/hugepages/"), "{text}");
    assert!(text.contains("permission denied; run it as root\n"), "{text}");
    assert!(text.contains("\n12 changed, 7 failed. "), "{text}");
    assert_eq!(fake.read(THP).unwrap(), "always [madvise] never\n");
    fake.world.refused.clear();
    run_undo(&mut fake, &mut store);
    assert_eq!(fake.world, before);
}

#[test]
fn a_value_that_the_kernel_took_in_part_is_taken_back_too() {
    let mut fake = shipped();
    let before = fake.world.files.clone();
    fake.world.most.insert(PAGES.to_owned(), 200);
    let mut store = Memory::default();
    let applied = run_apply(&mut fake, &mut store);
    let pages =
        |made: &Applied| made.made.iter().find(|made| made.setting == Setting::kernel(PAGES)).unwrap().outcome.clone();
    assert_eq!(pages(&applied), MadeOutcome::Partly { got: Some("200".to_owned()) });
    let again = run_apply(&mut fake, &mut store);
    assert_eq!(again.made.len(), 1);
    assert!(matches!(pages(&again), MadeOutcome::Failed { .. }));
    run_undo(&mut fake, &mut store);
    assert_eq!(fake.world.files, before);
}

#[test]
fn an_undo_that_may_not_is_tried_again_in_the_right_order() {
    let mut fake = shipped();
    let before = fake.world.clone();
    let mut store = Memory::default();
    run_apply(&mut fake, &mut store);
    // A second apply with another wish: two changes of one setting.
    let more = Plan::make(&fake, &Wishes { hugepages_mib: 1_024, ..wishes() }).unwrap();
    apply(&mut fake, &more, &item::all(), &mut Journal::open(&mut store).unwrap()).unwrap();
    assert_eq!(fake.read(PAGES).unwrap(), "512\n");
    fake.world.refused.insert(PAGES.to_owned());
    let undone = run_undo(&mut fake, &mut store);
    let failed = undone.iter().filter(|undone| matches!(undone.outcome, UndoOutcome::Failed { .. })).count();
    assert_eq!(failed, 2, "{undone:#?}");
    assert_eq!(fake.read(PAGES).unwrap(), "512\n");
    fake.world.refused.clear();
    assert_eq!(run_undo(&mut fake, &mut store).len(), 2);
    assert_eq!((&fake.world, &store.text), (&before, &None));
}

#[test]
fn a_reboot_ends_all_changes_but_files() {
    let mut fake = shipped();
    let mut store = Memory::default();
    run_apply(&mut fake, &mut store);
    let limits = fake.read(LIMITS_PATH).unwrap();
    fake = shipped();
    fake.put(LIMITS_PATH, &limits);
    fake.put("/proc/sys/kernel/random/boot_id", "boot-2\n");
    // By chance the value of the change, at what is another device's interrupt now.
    fake.put("/proc/irq/40/smp_affinity_list", "0,2\n");
    let undone = run_undo(&mut fake, &mut store);
    let count = |outcome: &UndoOutcome| undone.iter().filter(|undone| undone.outcome == *outcome).count();
    assert_eq!((count(&UndoOutcome::Restored), count(&UndoOutcome::Rebooted)), (1, 18), "{undone:#?}");
    assert_eq!(fake.read("/proc/irq/40/smp_affinity_list").unwrap(), "0,2\n");
    assert!(fake.read(LIMITS_PATH).is_err());
}

#[test]
fn nothing_is_changed_that_cannot_be_noted() {
    let mut fake = shipped();
    let before = fake.world.clone();
    let plan = plan(&fake);
    let mut store = Memory { closed: true, ..Memory::default() };
    let error = apply(&mut fake, &plan, &item::all(), &mut Journal::open(&mut store).unwrap()).unwrap_err();
    assert_eq!(error.made_count, 0);
    assert!(error.to_string().ends_with("run as root, or name another with --state"), "{error}");
    assert_eq!(fake.world, before);
}

#[test]
fn both_ends_of_a_virtual_cable_count_and_each_once() {
    let mut fake = shipped();
    for name in ["va", "vb"] {
        fake.put(&format!("/sys/class/net/{name}/ifindex"), "8\n");
        for feature in ["rx-gro", "tx-checksum-ip-generic", "tx-tcp-segmentation", "tx-scatter-gather"] {
            fake.feature(name, feature, true, feature != "rx-gro");
        }
    }
    fake.world.peers.extend([("va".to_owned(), "vb".to_owned()), ("vb".to_owned(), "va".to_owned())]);
    let offloads = |fake: &Fake| {
        let interfaces = vec!["va".to_owned(), "vb".to_owned()];
        let plan = Plan::make(fake, &Wishes { interfaces, ..Wishes::default() }).unwrap();
        item::check(fake, &plan, &item::named(&["offloads"]))
    };
    let findings = offloads(&fake);
    assert_eq!(findings.len(), 2, "{findings:#?}");
    for (finding, name) in findings.iter().zip(["va", "vb"]) {
        let command = format!("sudo ethtool -K {name} tx-checksum-ip-generic off tx-tcp-segmentation off");
        assert_eq!(finding.commands, [command]);
    }
    fake.world.peers.insert("va".to_owned(), String::new());
    let findings = offloads(&fake);
    assert!(findings.iter().any(|finding| finding.is.contains("in another network namespace")), "{findings:#?}");
}

#[test]
fn the_json_is_as_documented() {
    let mut fake = shipped();
    let findings = item::check(&fake, &plan(&fake), &item::all());
    let value = |text: String| serde_json::from_str::<serde_json::Value>(&text).unwrap();
    let check = value(report::check_json(&findings, 3).unwrap());
    assert_eq!((check["schema_version"].as_u64(), check["verb"].as_str()), (Some(1), Some("check")));
    assert_eq!((check["journalled"].as_u64(), check["counts"]["fix"].as_u64()), (Some(3), Some(22)));
    let thp = check["findings"].as_array().unwrap().iter().find(|finding| finding["item"] == "thp").unwrap();
    assert_eq!(thp["level"], "fix");
    assert_eq!(thp["changes"][0], serde_json::json!({"kind": "choice", "path": THP, "value": "madvise"}));

    let mut store = Memory::default();
    let apply = value(report::apply_json(&run_apply(&mut fake, &mut store)).unwrap());
    let change = apply["changes"].as_array().unwrap().iter().find(|change| change["item"] == "queues").unwrap();
    let expected = serde_json::json!({"item": "queues", "kind": "number", "interface": "eth1",
        "field": "channels-combined", "old": "4", "new": "2", "outcome": "set"});
    assert_eq!(*change, expected);
    fake.put(PAGES, "7\n");
    let undo = value(report::undo_json(&run_undo(&mut fake, &mut store)).unwrap());
    let change = undo["changes"].as_array().unwrap().iter().find(|change| change["path"] == PAGES).unwrap();
    assert_eq!((change["outcome"].as_str(), change["now"].as_str()), (Some("foreign"), Some("7")));

    // Every field that can appear stands in the page.
    let page = include_str!("../../../docs/tune.md");
    for value in [&check, &apply, &undo] {
        for name in names(value) {
            assert!(page.contains(&format!("`{name}`")), "docs/tune.md lacks `{name}`");
        }
    }
    for item in item::all() {
        assert!(page.contains(&format!("| {} |", item.name())), "docs/tune.md lacks {}", item.name());
    }
}

fn names(value: &serde_json::Value) -> Vec<String> {
    match value {
        serde_json::Value::Object(fields) => {
            fields.iter().flat_map(|(name, value)| [vec![name.clone()], names(value)].concat()).collect()
        }
        serde_json::Value::Array(values) => values.iter().flat_map(names).collect(),
        _ => Vec::new(),
    }
}

/// The world of one test's interfaces on this host: a pair of cables with the offloads that they are born with.
struct Cable {
    names: [String; 2],
}

impl Cable {
    fn new() -> Result<Self, String> {
        let names = ["a", "b"].map(|end| format!("tune{}{end}", std::process::id()));
        let done = ip(&["link", "add", &names[0], "type", "veth", "peer", "name", &names[1]]);
        done.map(|()| Self { names })
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        let _ = ip(&["link", "del", &self.names[0]]);
    }
}

fn ip(words: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(words).output().map_err(|error| format!("ip: {error}"))?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) }
}

/// On this host: the offloads of a cable go off, and come back exactly as they were. Only the cable is touched.
#[test]
fn a_cable_of_this_host_is_tuned_and_put_back() {
    let cable = match Cable::new() {
        Ok(cable) => cable,
        Err(reason) => return println!("skipped: no virtual cable may be had: {reason}"),
    };
    let [one, other] = &cable.names;
    let mut host = System;
    assert_eq!(host.peer(one).unwrap(), Peer::Here(other.clone()));
    assert_eq!(host.peer("lo").unwrap(), Peer::None);
    let all = |host: &System| [one, other].map(|name| host.features(name).unwrap());
    let before = all(&host);
    assert!(before[0].iter().any(|feature| feature.name == "tx-checksum-ip-generic" && feature.active));

    let plan = Plan::make(&host, &Wishes { interfaces: vec![one.clone()], ..Wishes::default() }).unwrap();
    let offloads = item::named(&["offloads"])[0];
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("tune.json");
    let findings = offloads.check(&host, &plan);
    assert!(findings.iter().all(|finding| finding.level == Level::Fix), "{findings:#?}");
    let mut store = StateFile::open(&path).unwrap();
    let mut journal = Journal::open(&mut store).unwrap();
    let applied = apply(&mut host, &plan, &[offloads], &mut journal).unwrap();
    assert!(applied.made.len() > 4, "{applied:#?}");
    assert!(applied.made.iter().all(|made| made.outcome == MadeOutcome::Set), "{applied:#?}");
    assert!(offloads.check(&host, &plan).iter().all(|finding| finding.level == Level::Ok));
    for features in all(&host) {
        for name in ["tx-checksum-ip-generic", "tx-tcp-segmentation", "tx-generic-segmentation", "rx-gro"] {
            assert!(features.iter().any(|feature| feature.name == name && !feature.active), "{name}");
        }
    }
    let again = apply(&mut host, &plan, &[offloads], &mut journal).unwrap();
    assert!(again.made.is_empty());

    let undone = undo(&mut host, &mut journal).unwrap();
    assert!(undone.iter().all(|undone| undone.outcome == UndoOutcome::Restored), "{undone:#?}");
    assert_eq!(all(&host), before);
    assert!(!path.exists());
}

/// The numbers of a cable, and what the kernel refuses.
#[test]
fn numbers_of_this_hosts_interfaces() {
    let mut host = System;
    assert!(host.number("lo", Field::RingRx).is_err());
    assert_eq!(host.number("no-such-interface-here", Field::RingRx).unwrap_err().raw_os_error(), Some(libc::ENODEV));
    assert_eq!(host.features("tune-none").unwrap_err().raw_os_error(), Some(libc::ENODEV));
    let cable = match Cable::new() {
        Ok(cable) => cable,
        Err(reason) => return println!("skipped: no virtual cable may be had: {reason}"),
    };
    let name = &cable.names[0];
    let Ok(before) = host.number(name, Field::ChannelsRx) else {
        return println!("skipped: this kernel's cables have no numbers of queues");
    };
    if before.most.is_none_or(|most| most < 2) {
        return println!("skipped: this kernel's cables have one queue");
    }
    host.set_number(name, Field::ChannelsRx, 2).unwrap();
    assert_eq!(host.number(name, Field::ChannelsRx).unwrap().value, 2);
    host.set_number(name, Field::ChannelsRx, before.value).unwrap();
    assert_eq!(host.number(name, Field::ChannelsRx).unwrap(), before);
    let most = before.most.unwrap_or(0);
    assert!(host.set_number(name, Field::ChannelsRx, most + 1).is_err());
}
