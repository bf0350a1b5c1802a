//! Whether a hot core shares its pipelines with another one (SMT). Taking cores offline is a choice: it is named and
//! never done.

use crate::cores::Cores;
use crate::finding::Finding;
use crate::host::Host;
use crate::item::Item;
use crate::plan::Plan;

/// The other halves of the hot cores.
pub(crate) struct Siblings;

impl Item for Siblings {
    fn name(&self) -> &'static str {
        "siblings"
    }

    fn check(&self, host: &dyn Host, plan: &Plan) -> Vec<Finding> {
        let siblings = |core: usize| {
            let path = format!("/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list");
            host.value::<Cores>(&path).unwrap_or_default()
        };
        let all = plan.hot.iter().fold(Cores::default(), |all, core| all.with(&siblings(core)));
        let shared: Cores = plan.hot.iter().filter(|core| siblings(*core).within(&plan.hot).count() > 1).collect();
        let idle = all.within(&plan.quiet);
        let subject = format!("cores {}", plan.hot);
        let mut findings = Vec::new();
        if !shared.is_empty() {
            let found = Finding::ok(self.name(), subject.clone(), format!("cores {shared} are halves of each other"));
            findings.push(found.note("one hot core of each pair", "each half gets a good half of the core"));
        }
        if !idle.is_empty() {
            let paths: Vec<String> =
                idle.iter().map(|core| format!("/sys/devices/system/cpu/cpu{core}/online")).collect();
            let found = Finding::ok(self.name(), subject.clone(), format!("cores {idle} are their other halves"));
            findings.push(
                found
                    .note("offline", "whatever runs there slows the hot core by up to half")
                    .command(format!("echo 0 | sudo tee {}", paths.join(" "))),
            );
        }
        if findings.is_empty() && !plan.hot.is_empty() {
            findings.push(Finding::ok(self.name(), subject, "no other half is in use"));
        }
        findings
    }
}
