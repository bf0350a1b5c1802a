//! Opening a port on this host, and why that fails: every failure says what to do about it.

use std::io;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::os::fd::AsFd;

use crate::bpf::{Program, steering_program};
use crate::packet::PacketPort;
use crate::port::Port;
use crate::steer::Steering;
use crate::tap::TapPort;
use crate::twin::Twinned;
use crate::url::PortUrl;
use crate::xdp::{BusyPoll, XdpPort};

/// Opens the port that a URL names: one for each of its queues.
///
/// # Errors
/// What this host lacks or refuses, and what to run about it. A wire is laid out by whoever drives both of its ends, and
/// is refused here.
pub fn open(url: &PortUrl, options: &OpenOptions) -> Result<Vec<Box<dyn Port>>, OpenError> {
    match url {
        PortUrl::Wire => Err(OpenError::Unsupported {
            operation: url.to_string(),
            reason: "a wire joins the cards of one process".to_owned(),
            fix: "name a device: packet:INTERFACE, tap:INTERFACE, xdp:INTERFACE, dpdk:EAL-ARGUMENTS".to_owned(),
        }),
        PortUrl::Packet { interface, queues } => {
            let program = steering(*queues, options)?;
            Ok(boxed(PacketPort::open(interface, *queues, options, program.as_ref().map(AsFd::as_fd))?))
        }
        PortUrl::Tap { interface, queues } => {
            let program = steering(*queues, options)?;
            Ok(boxed(TapPort::open(interface, *queues, program.as_ref().map(AsFd::as_fd))?))
        }
        PortUrl::Xdp { interface, queues, mode, busy_poll_us } => {
            let busy_poll = (*busy_poll_us > 0).then(|| BusyPoll { poll_us: *busy_poll_us, ..BusyPoll::default() });
            Ok(boxed(XdpPort::open(interface, *queues, *mode, busy_poll, options)?))
        }
        PortUrl::Twinned { device, interface } => {
            // All that comes is taken: what is not the card's is the host's.
            let options = OpenOptions { addresses: Vec::new(), ports: Vec::new(), ..options.clone() };
            Ok(boxed(Twinned::open(open(device, &options)?, interface)?))
        }
        #[cfg(feature = "dpdk")]
        PortUrl::Dpdk { arguments, queues } => Ok(boxed(crate::dpdk::DpdkPort::open(arguments, *queues, options)?)),
        #[cfg(not(feature = "dpdk"))]
        PortUrl::Dpdk { .. } => Err(OpenError::Unsupported {
            operation: url.to_string(),
            reason: "this program was built without DPDK".to_owned(),
            fix: "install libdpdk-dev and build with `--features dpdk`".to_owned(),
        }),
    }
}

/// The program that sends each flow to its queue, where there are several.
fn steering(queues: usize, options: &OpenOptions) -> Result<Option<Program>, OpenError> {
    if queues < 2 {
        return Ok(None);
    }
    Ok(Some(steering_program(&Steering::keyed(&options.steer_secret, queues))?))
}

fn boxed<P: Port + 'static>(ports: Vec<P>) -> Vec<Box<dyn Port>> {
    ports.into_iter().map(|port| Box::new(port) as Box<dyn Port>).collect()
}

/// What a port must know of the card above it, to take the card's frames and leave the host's alone.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OpenOptions {
    /// The card's addresses.
    pub addresses: Vec<IpAddr>,
    /// The TCP ports that the card takes at those addresses; empty for all. Fewer than all where the host lives at the
    /// same address.
    pub ports: Vec<RangeInclusive<u16>>,
    /// Keys the hash that steers flows to queues; the same for every port of one card.
    pub steer_secret: [u8; 32],
    /// Whether each received frame is to say when it arrived ([`crate::Frame::arrived_unix_ns`]), where the port can: on
    /// packet sockets, by the kernel's stamp. While anybody on the host asks for stamps the kernel takes one of each
    /// packet.
    pub stamps: bool,
}

/// Why a port did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A URL that names no port.
    #[error("{url}: {reason}")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it, and what would be right.
        reason: String,
    },
    /// There is no such interface.
    #[error("there is no network interface {interface}: `ip link` lists them")]
    NoInterface {
        /// Its name.
        interface: String,
    },
    /// This process may not.
    #[error("{operation}: not permitted; {fix}")]
    Permission {
        /// What was tried.
        operation: String,
        /// What to run.
        fix: String,
    },
    /// The device or the kernel lacks something.
    #[error("{operation}: {reason}; {fix}")]
    Unsupported {
        /// What was tried.
        operation: String,
        /// What is missing.
        reason: String,
        /// What to run instead.
        fix: String,
    },
    /// A system call failed.
    #[error("{operation}: {source}")]
    Os {
        /// What was tried.
        operation: String,
        /// What the kernel said.
        source: io::Error,
    },
}

impl OpenError {
    /// The failure of a system call: what was tried, and what to run if it was not permitted.
    pub fn os(operation: impl Into<String>, source: io::Error, fix: &str) -> Self {
        let operation = operation.into();
        match source.kind() {
            io::ErrorKind::PermissionDenied => Self::Permission { operation, fix: fix.to_owned() },
            _ => Self::Os { operation, source },
        }
    }
}
