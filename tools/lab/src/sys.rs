//! What the kernel says of one of its sessions. One function is one call with its result checked.
#![allow(unsafe_code, reason = "system calls; each block is one call over memory that the caller owns")]

use std::io;
use std::mem;
use std::os::fd::AsRawFd;

/// Segments that the kernel sent again over a TCP socket (`TCP_INFO`).
///
/// # Errors
/// It is no TCP socket.
pub(crate) fn retransmitted(socket: &impl AsRawFd) -> io::Result<u32> {
    // SAFETY: zeros are a valid `tcp_info`.
    let mut info: libc::tcp_info = unsafe { mem::zeroed() };
    let mut len = mem::size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: `info` is as long as `len` says, and both outlive the call.
    let status = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, (&raw mut info).cast(), &raw mut len)
    };
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(info.tcpi_total_retrans) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::{TcpListener, TcpStream, UdpSocket};

    #[test]
    fn a_fresh_session_has_sent_nothing_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert_eq!(retransmitted(&stream).unwrap(), 0);
        assert!(retransmitted(&UdpSocket::bind("127.0.0.1:0").unwrap()).is_err());
    }
}
