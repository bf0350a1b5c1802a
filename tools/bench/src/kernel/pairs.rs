//! Connected pairs of kernel TCP sockets on 127.0.0.1.

use std::net::{Ipv4Addr, TcpListener, TcpStream};

use hpb_base::limits::SESSIONS_MAX;
use hpb_host::sys;

use crate::kernel::{BODY_LEN_MAX, KernelOptions};
use crate::target::{TargetError, Work};

/// Both ends of each session; `servers[i]` faces `clients[i]`.
pub(super) struct Pairs {
    pub(super) servers: Vec<TcpStream>,
    pub(super) clients: Vec<TcpStream>,
}

/// Sessions behind one listening port: well inside the range of ports that a client may take (28,232 by default).
const SESSIONS_PER_LISTENER: usize = 16_384;

impl Pairs {
    /// `work.sessions` pairs, blocking, each with `TCP_NODELAY`, and reset when closed.
    pub(super) fn establish(work: &Work, options: &KernelOptions) -> Result<Self, TargetError> {
        assert!((1..=SESSIONS_MAX).contains(&work.sessions), "the sessions' bounds");
        assert!((1..=BODY_LEN_MAX).contains(&work.message_len), "a message's bounds");
        assert!((1..=BODY_LEN_MAX).contains(&work.broadcast_len), "a broadcast's bounds");
        let mut pairs = Self { servers: Vec::with_capacity(work.sessions), clients: Vec::with_capacity(work.sessions) };
        while pairs.servers.len() < work.sessions {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let address = listener.local_addr()?;
            for _ in 0..SESSIONS_PER_LISTENER.min(work.sessions - pairs.servers.len()) {
                let client = TcpStream::connect(address)?;
                let (server, peer) = listener.accept()?;
                if peer != client.local_addr()? {
                    return Err(TargetError::Unexpected("a stranger connected to the bench's port"));
                }
                for stream in [&client, &server] {
                    stream.set_nodelay(true)?;
                    sys::set_linger_zero(stream)?;
                    if let Some(name) = &options.congestion_control {
                        sys::set_congestion_control(stream, name)
                            .map_err(|error| TargetError::Unavailable(format!("congestion control {name}: {error}")))?;
                    }
                }
                pairs.clients.push(client);
                pairs.servers.push(server);
            }
        }
        Ok(pairs)
    }
}
