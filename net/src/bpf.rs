//! Small programs in the kernel: put together here, loaded, attached, and gone with the last descriptor.
//!
//! Two are needed: the one that steers frames to queues by the hash of [`crate::steer`], and the one that gives the
//! card its frames and leaves the host's alone. They are written with the [`assembler`]; there is no compiler, no
//! object file and no foreign library. What the kernel's verifier refuses comes back with its log.

pub mod assembler;
pub mod steering;
mod sys;
pub mod takeover;

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use assembler::{AssemblyError, Instruction};

use crate::open::OpenError;

pub use steering::steering_program;
pub use takeover::{Rules, Take, takeover_program};

/// What an unprivileged process is to be given: the file capabilities that every kernel port needs.
pub const CAPABILITIES_FIX: &str =
    "run `setcap cap_net_raw,cap_net_admin,cap_bpf,cap_ipc_lock+ep` on the binary, or see `hpb tune check`";

/// Why something of eBPF failed.
#[derive(Debug, thiserror::Error)]
pub enum BpfError {
    /// The program cannot be put together.
    #[error("the program {name} cannot be put together: {source}")]
    Assembly {
        /// The program.
        name: &'static str,
        /// Why.
        source: AssemblyError,
    },
    /// More rules than a program holds.
    #[error("the program {name} takes at most {limit} {what}, not {count}")]
    TooMany {
        /// The program.
        name: &'static str,
        /// Of what.
        what: &'static str,
        /// How many were given.
        count: usize,
        /// How many it takes.
        limit: usize,
    },
    /// The kernel's verifier refuses the program.
    #[error("the kernel refuses the program {name} ({source}); its verifier says:\n{log}")]
    Refused {
        /// The program.
        name: &'static str,
        /// The verifier's log; the end of it if it is long.
        log: String,
        /// What the call said.
        source: io::Error,
    },
    /// A call failed.
    #[error("{operation}: {source}")]
    Call {
        /// What was tried.
        operation: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

impl BpfError {
    fn call(operation: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Call { operation, source }
    }
}

impl From<BpfError> for OpenError {
    fn from(error: BpfError) -> Self {
        match error {
            BpfError::Call { operation, source } => Self::os(operation, source, CAPABILITIES_FIX),
            BpfError::Refused { name, log, source } => Self::Unsupported {
                operation: format!("loading the program {name}"),
                reason: format!("the kernel refuses it ({source}): {log}"),
                fix: "take the port `packet` instead, and report this".to_owned(),
            },
            BpfError::Assembly { .. } | BpfError::TooMany { .. } => Self::Unsupported {
                operation: "writing the port's program".to_owned(),
                reason: error.to_string(),
                fix: "give the card fewer addresses and ports".to_owned(),
            },
        }
    }
}

/// What a program is run for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Looks at a frame in a socket buffer and returns a number: a socket's filter, a fanout's or a TAP's steering.
    SocketFilter,
    /// Decides on a frame before the host's network stack sees it.
    Xdp,
}

/// A program in the kernel.
#[derive(Debug)]
pub struct Program {
    descriptor: OwnedFd,
}

impl Program {
    /// Loads a program under a name of at most 15 letters, digits and underscores.
    ///
    /// # Errors
    /// The process may not, or the verifier refuses it.
    pub fn load(name: &'static str, purpose: Purpose, instructions: &[Instruction]) -> Result<Self, BpfError> {
        match sys::load(name, purpose, instructions, None) {
            Ok(descriptor) => Ok(Self { descriptor }),
            // Loading comes first without a log: it costs, and a log that does not fit would fail a good program.
            Err(source) => {
                let mut log = vec![0; hpb_base::limits::VERIFIER_LOG_LEN_MAX];
                let again = sys::load(name, purpose, instructions, Some(&mut log));
                match (again, log.iter().position(|byte| *byte == 0)) {
                    (Ok(descriptor), _) => Ok(Self { descriptor }),
                    (Err(_), None | Some(0)) => Err(BpfError::call("loading a program with bpf(2)")(source)),
                    (Err(_), Some(len)) => {
                        let log = String::from_utf8_lossy(&log[..len]).trim_end().to_owned();
                        Err(BpfError::Refused { name, log, source })
                    }
                }
            }
        }
    }

    /// Runs it once in the kernel on a frame of at least an Ethernet header, attached to nothing; what it returns. For
    /// tests.
    ///
    /// # Errors
    /// The process may not, or the kernel takes no such frame.
    pub fn run(&self, frame: &[u8]) -> Result<u32, BpfError> {
        sys::run(self.descriptor.as_fd(), frame).map_err(BpfError::call("running a program with bpf(2)"))
    }
}

impl AsFd for Program {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// `AF_XDP` sockets by receive queue, two for each, for a program that redirects (`BPF_MAP_TYPE_XSKMAP`): in the first
/// half those for what belongs to sessions, in the second those for calls.
#[derive(Debug)]
pub struct SocketMap {
    descriptor: OwnedFd,
    queues: u32,
}

impl SocketMap {
    /// An empty map for queues 0 to `queues` - 1.
    ///
    /// # Errors
    /// The process may not, or the kernel has no `AF_XDP`.
    pub fn new(queues: u32) -> Result<Self, BpfError> {
        let descriptor =
            sys::create_socket_map(2 * queues).map_err(BpfError::call("creating a map of AF_XDP sockets"))?;
        Ok(Self { descriptor, queues })
    }

    fn queues(&self) -> u32 {
        self.queues
    }

    /// From now on, what is redirected on `queue` goes to `socket`, calls too unless they have a socket of their own; its
    /// entry goes when the socket is closed.
    ///
    /// # Errors
    /// The map has no such queue, or it is no `AF_XDP` socket.
    pub fn set(&self, queue: u32, socket: BorrowedFd<'_>) -> Result<(), BpfError> {
        self.put(queue, queue, socket)
    }

    /// From now on, calls that are redirected on `queue` go to `socket`; its entry goes when the socket is closed.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn set_calls(&self, queue: u32, socket: BorrowedFd<'_>) -> Result<(), BpfError> {
        self.put(queue, self.queues.saturating_add(queue), socket)
    }

    fn put(&self, queue: u32, place: u32, socket: BorrowedFd<'_>) -> Result<(), BpfError> {
        let is_there = if queue < self.queues { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::E2BIG)) };
        is_there
            .and_then(|()| sys::update_map(self.descriptor.as_fd(), place, socket.as_raw_fd().cast_unsigned()))
            .map_err(BpfError::call("giving an AF_XDP socket its queue"))
    }
}

impl AsFd for SocketMap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Where in the receive path a program stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attachment {
    /// In the driver, before there is a socket buffer.
    Native,
    /// In the kernel's general path, behind the driver: slower, and it works with every driver.
    Generic,
}

/// A program on an interface. It comes off when this is dropped, and when the process dies.
#[derive(Debug)]
pub struct Link {
    _descriptor: OwnedFd,
    attachment: Attachment,
}

impl Link {
    /// Puts an XDP program on the interface with this index: in its driver, or in the general path where the driver
    /// has no place for one.
    ///
    /// # Errors
    /// The process may not, there is no such interface, or another program stands there.
    pub fn attach(program: &Program, interface_index: u32) -> Result<Self, BpfError> {
        let attach = |attachment| {
            sys::create_xdp_link(program.as_fd(), interface_index, attachment)
                .map(|descriptor| Self { _descriptor: descriptor, attachment })
        };
        attach(Attachment::Native)
            .or_else(|error| match error.raw_os_error() {
                // The same answer would come again, and would hide this one.
                Some(libc::EPERM | libc::EBUSY | libc::EEXIST | libc::ENODEV) => Err(error),
                _ => attach(Attachment::Generic),
            })
            .map_err(BpfError::call("attaching an XDP program"))
    }

    /// Where the program stands.
    pub fn attachment(&self) -> Attachment {
        self.attachment
    }
}

#[cfg(test)]
mod tests;
