//! Who answers TCP at the other end of a cable: the kernel, or the card on a port. The client is the kernel's in each
//! case, on a core of its own.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use hdrhistogram::Histogram;
use hpb_base::Duration;
use hpb_card::{CardConfig, start};
use hpb_host::sys::{self, Epoll, cores, thread_cpu_ns, wall_ns};
use hpb_net::PortUrl;
use hpb_node::runtime::StopFlag;
use hpb_sandbox::{Host, cable};
use hpb_toe::Service;

use super::{Failed, Options, TcpRow};
use crate::target::StallGuard;

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 0, 1));
const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 0, 2));
const ECHO_PORT: u16 = 7;
const MESSAGE_LEN: usize = 64;
/// How long a server spins before it sleeps, the card's and the kernel's alike.
const SPIN_NS: u64 = 20_000;
const EVENTS: usize = 256;
/// The threads whose CPU time is the server's.
const SERVER_THREAD: &str = "echo-server";
const LANE_THREAD: &str = "lane0";

/// Measures one server.
pub(super) fn measure(
    name: &'static str,
    options: &Options,
    client_core: usize,
    server_core: usize,
) -> Result<TcpRow, Failed> {
    let (client, server) = (Host::new()?, Host::new()?);
    let is_tap = name == "card-tap";
    if is_tap {
        client.ip("tuntap add dev tap0 mode tap vnet_hdr")?;
        client.ip("link set tap0 up")?;
        client.address("tap0", &format!("{CLIENT}/24"))?;
    } else {
        cable((&client, "cable0"), (&server, "cable0"), 1)?;
        client.address("cable0", &format!("{CLIENT}/24"))?;
    }
    if matches!(name, "card-xdp" | "kernel-no-offload") {
        client.set_offloads("cable0", false)?;
    }
    let asked = |thread: &'static str| client.run(|| cores::run_on(client_core, || ask(name, options, thread)));
    match name {
        "kernel" | "kernel-no-offload" => {
            server.address("cable0", &format!("{SERVER}/24"))?;
            if name == "kernel-no-offload" {
                server.set_offloads("cable0", false)?;
            }
            let listener = server.run(|| TcpListener::bind((SERVER, ECHO_PORT)))??;
            let stop = AtomicBool::new(false);
            thread::scope(|scope| {
                let serving = thread::Builder::new()
                    .name(SERVER_THREAD.to_owned())
                    .spawn_scoped(scope, || serve(&listener, server_core, &stop))?;
                let row = asked(SERVER_THREAD);
                stop.store(true, Ordering::Relaxed);
                serving.join().map_err(|_| Failed::Other("the server panicked".to_owned()))??;
                row??
            })
        }
        _ => {
            let url = match name {
                "card-packet" => "packet:cable0",
                "card-xdp" => "xdp:cable0",
                "card-tap" => "tap:tap0",
                other => return Err(Failed::Other(format!("{other} is no server"))),
            };
            let mut config = CardConfig::new(PortUrl::parse(url)?);
            config.addresses = vec![(SERVER, 24)];
            config.services = vec![(ECHO_PORT, Service::Echo)];
            config.cores = vec![server_core];
            config.keep_alive = Duration::from_secs(15);
            let stop = StopFlag::new()?;
            let host = if is_tap { &client } else { &server };
            let card = host.run(|| start(&config, stop))?.map_err(|error| Failed::Other(error.to_string()))?;
            let row = asked(LANE_THREAD)?;
            card.end().map_err(|error| Failed::Other(error.to_string()))?;
            row?
        }
    }
}

fn ask(name: &'static str, options: &Options, server_thread: &str) -> Result<TcpRow, Failed> {
    let histogram = round_trips(options.round_trips)?;
    let us = |quantile: f64| f64::from(u32::try_from(histogram.value_at_quantile(quantile)).unwrap_or(u32::MAX)) / 1e3;
    let closed = closed_loop(options, server_thread)?;
    Ok(TcpRow {
        name,
        p50_us: us(0.5),
        p99_us: us(0.99),
        p999_us: us(0.999),
        messages_per_second: closed.per_second,
        server_cpu_ns: closed.server_cpu_ns,
        both_cpu_ns: closed.server_cpu_ns + closed.client_cpu_ns,
    })
}

fn connect() -> io::Result<TcpStream> {
    let stream = TcpStream::connect(SocketAddr::new(SERVER, ECHO_PORT))?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    sys::set_linger_zero(&stream)?;
    Ok(stream)
}

/// One message in flight; the client looks without sleeping.
fn round_trips(count: u64) -> Result<Histogram<u64>, Failed> {
    let mut histogram =
        Histogram::new_with_bounds(1, 10_000_000_000, 3).map_err(|error| Failed::Other(error.to_string()))?;
    let mut stream = connect()?;
    let (message, mut echo) = ([0x5a; MESSAGE_LEN], [0; MESSAGE_LEN]);
    let mut guard = StallGuard::default();
    // The first tenth warms up.
    for round in 0..count + count / 10 {
        let start_ns = wall_ns();
        stream.write_all(&message)?;
        let mut filled = 0;
        while filled < MESSAGE_LEN {
            match stream.read(&mut echo[filled..]) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(len) => filled += len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => guard.turn(false)?,
                Err(error) => return Err(error.into()),
            }
        }
        guard.turn(true)?;
        if round >= count / 10 {
            histogram.saturating_record(wall_ns() - start_ns);
        }
        if echo != message {
            return Err(Failed::Other("an echo that is not what was sent".to_owned()));
        }
    }
    Ok(histogram)
}

struct Closed {
    per_second: f64,
    client_cpu_ns: f64,
    server_cpu_ns: f64,
}

/// Every session has one message in flight.
#[allow(clippy::cast_precision_loss, reason = "below 2^53 messages and nanoseconds")]
fn closed_loop(options: &Options, server_thread: &str) -> Result<Closed, Failed> {
    let mut epoll = Epoll::new(EVENTS)?;
    let mut streams = Vec::with_capacity(options.sessions);
    for token in 0..options.sessions {
        let stream = connect()?;
        epoll.add(&stream, token as u64)?;
        streams.push((stream, 0));
    }
    let message = [0x5a; MESSAGE_LEN];
    for (stream, _) in &mut streams {
        stream.write_all(&message)?;
    }
    let mut echo = [0; MESSAGE_LEN];
    let mut guard = StallGuard::default();
    let (mut done, warm) = (0, options.messages / 10);
    let mut began = None;
    while done < warm + options.messages {
        if began.is_none() && done >= warm {
            began = Some((done, wall_ns(), thread_cpu_ns(), cores::times_of(server_thread)?.ran_ns));
        }
        let ready = epoll.wait(0)?;
        guard.turn(ready > 0)?;
        for event in 0..ready {
            let (stream, filled) = &mut streams[epoll.token(event)];
            match stream.read(&mut echo[*filled..]) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(len) => *filled += len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error.into()),
            }
            if *filled == MESSAGE_LEN {
                *filled = 0;
                done += 1;
                stream.write_all(&message)?;
            }
        }
    }
    let (first, wall, client, server) = began.unwrap_or_default();
    let count = (done - first).max(1) as f64;
    Ok(Closed {
        per_second: count * 1e9 / (wall_ns() - wall).max(1) as f64,
        client_cpu_ns: (thread_cpu_ns() - client) as f64 / count,
        server_cpu_ns: (cores::times_of(server_thread)?.ran_ns - server) as f64 / count,
    })
}

/// The kernel's echo server: epoll, spinning for a while before it sleeps.
fn serve(listener: &TcpListener, core: usize, stop: &AtomicBool) -> Result<(), Failed> {
    cores::pin(core)?;
    listener.set_nonblocking(true)?;
    let mut epoll = Epoll::new(EVENTS)?;
    let accepting = u32::MAX as usize;
    epoll.add(listener, accepting as u64)?;
    let mut streams: Vec<Option<TcpStream>> = Vec::new();
    let mut chunk = vec![0; 16 << 10];
    let mut worked_ns = wall_ns();
    while !stop.load(Ordering::Relaxed) {
        let wait_ms = if wall_ns() - worked_ns < SPIN_NS { 0 } else { 10 };
        let ready = epoll.wait(wait_ms)?;
        if ready > 0 {
            worked_ns = wall_ns();
        }
        for event in 0..ready {
            let token = epoll.token(event);
            if token == accepting {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    epoll.add(&stream, streams.len() as u64)?;
                    streams.push(Some(stream));
                }
                continue;
            }
            let Some(stream) = &mut streams[token] else { continue };
            let echoed = match stream.read(&mut chunk) {
                Ok(len) if len > 0 => stream.write_all(&chunk[..len]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
                _ => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
            };
            // A client that has what it wanted resets its sessions.
            if echoed.is_err() {
                streams[token] = None;
            }
        }
    }
    Ok(())
}
