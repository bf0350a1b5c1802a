//! Whether a tap port can be opened.

use std::io;

use crate::finding::Finding;
use crate::host::Host;
use crate::item::Item;
use crate::plan::Plan;

/// The device of tap ports.
pub(crate) struct Tun;

const PATH: &str = "/dev/net/tun";
const WHY: &str = "only tap ports need it";

impl Item for Tun {
    fn name(&self) -> &'static str {
        "tun"
    }

    fn check(&self, host: &dyn Host, _: &Plan) -> Vec<Finding> {
        let found = |is: String| Finding::ok(self.name(), "", is);
        vec![match host.may_open(PATH) {
            Ok(()) => found(format!("{PATH} can be opened")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                found(format!("there is no {PATH}")).note("the module tun", WHY).command("sudo modprobe tun")
            }
            Err(error) => found(format!("{PATH} cannot be opened: {error}"))
                .note("readable and writable", WHY)
                .command(format!("sudo setfacl -m u:$USER:rw {PATH}")),
        }]
    }
}
