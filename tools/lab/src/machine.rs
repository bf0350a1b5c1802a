//! The machine that measures, as it describes itself under `/proc` and `/sys`. What it does not say is left empty.

use std::fs;

use hpb_host::sys::cores;

use crate::record::Machine;

/// The words under `/sys/class/dmi/id` by which hypervisors name themselves.
const HYPERVISOR_WORDS: [(&str, &str); 8] = [
    ("qemu", "KVM"),
    ("kvm", "KVM"),
    ("amazon ec2", "Amazon EC2"),
    ("google", "Google Compute Engine"),
    ("microsoft", "Hyper-V"),
    ("vmware", "VMware"),
    ("virtualbox", "VirtualBox"),
    ("xen", "Xen"),
];

/// Reads what this machine says of itself.
pub fn read() -> Machine {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let product = format!("{} {}", line_of("/sys/class/dmi/id/sys_vendor"), line_of("/sys/class/dmi/id/product_name"));
    Machine {
        processor: hpb_host::processor().unwrap_or_default(),
        processors: cores::allowed().map_or(0, |cores| cores.len() as u32),
        kernel: line_of("/proc/sys/kernel/osrelease"),
        clock_source: line_of("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        governor: line_of("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        hypervisor: hypervisor(&cpuinfo, &line_of("/sys/hypervisor/type"), &product),
        isolated: line_of("/sys/devices/system/cpu/isolated"),
        congestion_control: line_of("/proc/sys/net/ipv4/tcp_congestion_control"),
    }
}

/// The hypervisor's name: by its own file, by the machine's maker, or that there is one at all; empty on bare metal.
fn hypervisor(cpuinfo: &str, hypervisor_type: &str, product: &str) -> String {
    if !hypervisor_type.is_empty() {
        return hypervisor_type.to_owned();
    }
    let is_guest = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("flags"))
        .is_some_and(|flags| flags.split_whitespace().any(|flag| flag == "hypervisor"));
    if !is_guest {
        return String::new();
    }
    let product = product.to_lowercase();
    let known = HYPERVISOR_WORDS.into_iter().find(|(word, _)| product.contains(word));
    known.map_or("unnamed", |(_, name)| name).to_owned()
}

/// A file of one line; empty where it cannot be read.
fn line_of(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| String::new(), |text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hypervisor_is_named_by_itself_by_the_maker_or_not_at_all() {
        let guest = "processor : 0\nflags\t\t: fpu hypervisor lahf_lm\n";
        assert_eq!(hypervisor(guest, "xen", ""), "xen");
        assert_eq!(hypervisor(guest, "", "QEMU Standard PC"), "KVM");
        assert_eq!(hypervisor(guest, "", "Amazon EC2 c7i.large"), "Amazon EC2");
        assert_eq!(hypervisor(guest, "", "somebody's own"), "unnamed");
        assert_eq!(hypervisor("flags : fpu lahf_lm\n", "", "QEMU"), "", "a word without the flag is no guest");
        assert_eq!(hypervisor("", "", ""), "");
    }

    #[test]
    fn this_machine_has_a_kernel_and_processors() {
        let machine = read();
        assert!(!machine.kernel.is_empty() && machine.processors > 0, "{machine:?}");
        assert_eq!(line_of("/no/such/file"), "");
    }
}
