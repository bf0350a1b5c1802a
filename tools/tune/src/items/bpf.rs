//! Whether this process may load the `AF_XDP` program, and whether the kernel compiles it.

use super::capabilities::{BPF, SYS_ADMIN, has, process_bits};
use crate::finding::{Change, Finding};
use crate::host::Host;
use crate::item::Item;
use crate::plan::Plan;
use crate::setting::Setting;

/// Permission to load programs, and their compiler.
pub(crate) struct Bpf;

const UNPRIVILEGED_PATH: &str = "/proc/sys/kernel/unprivileged_bpf_disabled";
const COMPILER_PATH: &str = "/proc/sys/net/core/bpf_jit_enable";

impl Item for Bpf {
    fn name(&self) -> &'static str {
        "bpf"
    }

    fn check(&self, host: &dyn Host, _: &Plan) -> Vec<Finding> {
        let bits = process_bits(host);
        let rule = host.word(UNPRIVILEGED_PATH).map_or_else(
            || "this kernel has no switch for it".to_owned(),
            |value| format!("kernel.unprivileged_bpf_disabled = {value}"),
        );
        let permitted = has(bits, BPF) || has(bits, SYS_ADMIN);
        let is = format!("this process may {}load programs ({rule})", if permitted { "" } else { "not " });
        let found = Finding::ok(self.name(), "programs", is);
        let program = host.program().unwrap_or_default();
        let mut findings = vec![if permitted {
            found
        } else {
            found
                .note("cap_bpf and cap_net_admin", "an AF_XDP port loads a program that hands it its frames")
                .command(format!("sudo setcap cap_net_admin,cap_bpf+ep {program}"))
        }];
        if let Some(value) = host.word(COMPILER_PATH) {
            let found = Finding::ok(self.name(), "compiler", format!("net.core.bpf_jit_enable = {value}"));
            findings.push(if value == "0" {
                let why = "the AF_XDP program is interpreted for each frame";
                found.fix("1", why).changes(vec![Change::new(Setting::kernel(COMPILER_PATH), "1")])
            } else {
                found
            });
        }
        findings
    }
}
