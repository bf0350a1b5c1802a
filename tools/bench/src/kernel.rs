//! The kernel's TCP over loopback, as good as it gets from one thread: what the card is compared with.
//!
//! | name | how |
//! | --- | --- |
//! | `kernel-epoll` | readiness by epoll, level-triggered, one `recv` and one `send` a message |
//! | `kernel-uring` | `io_uring`: multishot receives into provided buffers, sends in batches, one ring an end |
//! | `kernel-uring-encrypted` | the same, each message a Noise record |
//!
//! Sessions have no delay (`TCP_NODELAY`). Their congestion control is the machine's default unless told otherwise;
//! [`KernelOptions::lightest`] tells it the one that costs least, since BBR paces each socket by a timer.

pub mod epoll;
pub mod noise;
mod pairs;
pub mod ring;
pub mod sockperf;
pub mod uring;

use crate::target::Target;

/// Options that all kernel targets of a run share.
#[derive(Clone, Debug, Default)]
pub struct KernelOptions {
    /// Congestion control by its kernel name; the machine's default if `None`.
    pub congestion_control: Option<String>,
}

/// Congestion controls from the cheaper to the dearer in CPU time on loopback, where no packet is lost. Measured at 9,900
/// sessions: cubic and reno equal, BBR 5 to 15 % above.
const CONGESTION_CONTROLS: [&str; 2] = ["cubic", "reno"];

impl KernelOptions {
    /// The cheapest congestion control that this user may choose.
    pub fn lightest() -> Self {
        let allowed = |name: &&str| {
            std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))
                .is_ok_and(|socket| hpb_host::sys::set_congestion_control(&socket, name).is_ok())
        };
        Self { congestion_control: CONGESTION_CONTROLS.into_iter().find(allowed).map(String::from) }
    }
}

/// All kernel targets, in the order of the report.
pub fn targets(options: &KernelOptions) -> Vec<Box<dyn Target>> {
    vec![
        Box::new(epoll::KernelEpoll::new(options.clone())),
        Box::new(uring::KernelUring::<uring::Plain>::new(options.clone())),
        Box::new(uring::KernelUring::<noise::Noise>::new(options.clone())),
    ]
}

/// Events that one wait may report, sends that one submission may carry.
pub(crate) const BATCH_LEN: usize = 512;
/// The largest message or broadcast body that the kernel targets carry.
pub(crate) const BODY_LEN_MAX: usize = 1_024;
