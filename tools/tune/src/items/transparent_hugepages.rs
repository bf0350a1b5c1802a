//! Whether the kernel merges pages behind the validator's back.

use crate::finding::{Change, Finding};
use crate::host::Host;
use crate::item::Item;
use crate::plan::Plan;
use crate::setting::Setting;

/// Transparent hugepages.
pub(crate) struct TransparentHugepages;

const PATH: &str = "/sys/kernel/mm/transparent_hugepage/enabled";

impl Item for TransparentHugepages {
    fn name(&self) -> &'static str {
        "thp"
    }

    fn check(&self, host: &dyn Host, _: &Plan) -> Vec<Finding> {
        let setting = Setting::Choice { path: PATH.to_owned() };
        let Ok(Some(choice)) = setting.get(host) else {
            return vec![Finding::ok(self.name(), "", "this kernel makes none")];
        };
        let found = Finding::ok(self.name(), "", format!("transparent hugepages: {choice}"));
        vec![if choice == "always" {
            let why = "merging pages stops whoever touches them, for up to milliseconds";
            found.fix("madvise", why).changes(vec![Change::new(setting, "madvise")])
        } else {
            found
        }]
    }
}
