//! The items, in the order in which they are checked and applied: queues before the interrupts that they bring.

mod bpf;
mod busy_poll;
mod capabilities;
mod clock;
mod coalesce;
mod frequency;
mod hugepages;
mod idle;
mod interrupts;
mod io_uring;
mod isolation;
mod kernel;
mod limits;
mod numa;
mod offloads;
mod queues;
mod receive_steering;
mod rings;
mod siblings;
mod transparent_hugepages;
mod tun;

use crate::item::Item;

/// All items.
pub fn all() -> [&'static dyn Item; 21] {
    [
        &kernel::Kernel,
        &io_uring::IoUring,
        &bpf::Bpf,
        &capabilities::Capabilities,
        &tun::Tun,
        &limits::Limits,
        &hugepages::Hugepages,
        &transparent_hugepages::TransparentHugepages,
        &clock::Clock,
        &isolation::Isolation,
        &siblings::Siblings,
        &frequency::Frequency,
        &idle::Idle,
        &numa::Numa,
        &queues::Queues,
        &rings::Rings,
        &offloads::Offloads,
        &coalesce::Coalesce,
        &receive_steering::ReceiveSteering,
        &interrupts::Interrupts,
        &busy_poll::BusyPoll,
    ]
}
