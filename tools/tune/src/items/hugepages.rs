//! Pages of 2 MiB for DPDK's packet memory, and the file system that it takes them from.

use crate::finding::{Change, Finding};
use crate::host::Host;
use crate::item::Item;
use crate::plan::Plan;
use crate::setting::{HUGETLBFS_PATH, Setting, mounts};

/// Pages of 2 MiB, and hugetlbfs.
pub(crate) struct Hugepages;

const COUNT_PATH: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";

impl Item for Hugepages {
    fn name(&self) -> &'static str {
        "hugepages"
    }

    fn check(&self, host: &dyn Host, plan: &Plan) -> Vec<Finding> {
        if plan.hugepages == 0 {
            return vec![Finding::ok(self.name(), "", "none are asked for")];
        }
        let Some(count) = host.value::<u64>(COUNT_PATH) else {
            let found = Finding::ok(self.name(), "", "this kernel has no pages of 2 MiB");
            return vec![found.note("", "DPDK runs on ordinary pages there, with --no-huge")];
        };
        vec![self.count(count, plan.hugepages), self.mounted(host)]
    }
}

impl Hugepages {
    fn count(&self, count: u64, wanted: u64) -> Finding {
        let found = Finding::ok(self.name(), "pages", format!("{count} pages of 2 MiB"));
        if count >= wanted {
            return found;
        }
        let why = "DPDK takes its packet memory from them: fewer misses of the address cache, and addresses that stay";
        found
            .fix(format!("{wanted} pages"), why)
            .changes(vec![Change::new(Setting::kernel(COUNT_PATH), wanted.to_string())])
    }

    fn mounted(&self, host: &dyn Host) -> Finding {
        let text = host.read("/proc/mounts").unwrap_or_default();
        if let Some(point) = mounts(&text, "hugetlbfs").next() {
            return Finding::ok(self.name(), "mount", format!("hugetlbfs on {point}"));
        }
        let path = HUGETLBFS_PATH.to_owned();
        let folder = Setting::Folder { path: path.clone() };
        let mut changes = Vec::new();
        if folder.get(host).is_ok_and(|value| value.is_none()) {
            changes.push(Change::new(folder, ""));
        }
        changes.push(Change::new(Setting::Hugetlbfs { path }, "2M"));
        Finding::ok(self.name(), "mount", "hugetlbfs is not mounted")
            .fix(format!("mounted on {HUGETLBFS_PATH}"), "DPDK finds its pages by it")
            .changes(changes)
    }
}
