//! What a tape says, as values and as bytes (the chain's codec: fixed width, one encoding a value).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hpb_base::limits::{BURST_LEN_MAX, MESSAGE_LEN_MAX};
use hpb_base::{Duration, Instant};
use hpb_net::port::{Capabilities, Medium};
use hpb_types::codec::{Canonical, CodecError, Reader, Writer};
use hpb_types::message::diagnose::{Banned, Goodbye};
use hpb_types::{layout, tagged};

use crate::card::{Call, Command, Group, SessionId};
use crate::class::{Class, Priority};
use crate::framing::MESSAGE_HEADER_LEN;
use crate::guard::GuardConfig;
use crate::lane::{ADDRESSES_MAX, Lane, LaneConfig, LaneError};
use crate::registers::Register;
use crate::secure::Identity;
use crate::service::{Page, Service};

/// How a taped lane was set up.
#[derive(Clone)]
pub struct TapeHead {
    /// Its configuration, its secret included.
    pub config: LaneConfig,
    /// Its port's.
    pub capabilities: Capabilities,
    /// The instant at which it began, in nanoseconds of its driver's clock.
    pub began_ns: u64,
}

/// The bursts as they were when the lane was called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Called {
    /// The instant, in nanoseconds of the driver's clock.
    pub at_ns: u64,
    /// Frames that the pool still gave.
    pub room: u32,
    /// Frames that the port had left in the send burst.
    pub tx_len: u16,
    /// Frames that it had left in the host's.
    pub host_len: u16,
}

/// What a received frame says of its checksum; its bytes are in the capture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReceivedFrame {
    /// The port vouches for it.
    pub is_verified: bool,
    /// It is left open.
    pub is_partial: bool,
    /// From where on it is to be summed.
    pub sum_start: u16,
    /// Where it goes, from there.
    pub sum_offset: u16,
}

/// One call of a lane.
#[derive(Clone)]
pub enum Entry {
    /// A command.
    Handle {
        /// The instant, in nanoseconds.
        at_ns: u64,
        /// Which.
        command: Command,
    },
    /// The first half of a turn.
    Receive {
        /// The bursts.
        called: Called,
        /// The frames that came: the next ones of the capture that were received.
        frames: Vec<ReceivedFrame>,
    },
    /// The second half of a turn.
    Transmit {
        /// The bursts.
        called: Called,
    },
    /// A message to send.
    Send {
        /// To whom.
        session: SessionId,
        /// How much it matters.
        priority: Priority,
        /// What it is.
        kind: u8,
        /// What it says.
        body: Vec<u8>,
    },
    /// A message to send, framed, that others may share.
    SendShared {
        /// To whom.
        session: SessionId,
        /// How much it matters.
        priority: Priority,
        /// The message with its header.
        message: Arc<[u8]>,
    },
    /// Its events were taken.
    TakeEvents,
    /// A handshake step was taken.
    TakeJob,
    /// A handshake step's result came back.
    FinishJob {
        /// The instant, in nanoseconds.
        at_ns: u64,
        /// Whose it is.
        session: SessionId,
    },
    /// An operator ended a session.
    Disconnect {
        /// Which.
        session: SessionId,
    },
    /// An operator keeps somebody out.
    Ban {
        /// The instant, in nanoseconds.
        at_ns: u64,
        /// Whom.
        who: Banned,
        /// For how long.
        seconds: u32,
    },
    /// An operator lets somebody in again.
    Unban {
        /// The instant, in nanoseconds.
        at_ns: u64,
        /// Whom.
        who: Banned,
    },
    /// The lane's driver ends.
    Leave {
        /// The instant, in nanoseconds.
        at_ns: u64,
        /// What the peers are told.
        goodbye: Goodbye,
        /// How long they have for it, in nanoseconds.
        within_ns: u64,
    },
    /// The tape ends.
    End(End),
}

/// What a lane had done when its tape ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct End {
    /// Segments taken.
    pub rx_segments: u64,
    /// Segments sent.
    pub tx_segments: u64,
    /// Segments sent again.
    pub retransmitted: u64,
    /// Messages delivered.
    pub rx_messages: u64,
    /// Sessions opened.
    pub opened: u64,
    /// Sessions closed.
    pub closed: u64,
}

impl End {
    pub(super) fn of(lane: &Lane) -> Self {
        let counters = lane.counters();
        Self {
            rx_segments: counters.rx_segments,
            tx_segments: counters.tx_segments,
            retransmitted: counters.retransmitted,
            rx_messages: counters.rx_messages,
            opened: counters.opened,
            closed: counters.closed,
        }
    }
}

impl TapeHead {
    /// The head of the tape of a lane that begins at `now`.
    ///
    /// # Errors
    /// [`LaneError::Sharing`] for one of several lanes.
    pub fn new(mut config: LaneConfig, capabilities: Capabilities, now: Instant) -> Result<Self, LaneError> {
        if config.sharing.as_ref().is_some_and(|sharing| sharing.lanes > 1) {
            return Err(LaneError::Sharing);
        }
        config.sharing = None;
        Ok(Self { config, capabilities, began_ns: now.as_nanos() })
    }
}

layout!(SessionId { index, generation });
tagged!(Class { 0 => Validator, 1 => Terminal, 2 => Uplink, 3 => Stream });
tagged!(Priority { 0 => Sheddable, 1 => Normal, 2 => Critical });
tagged!(Group { 0 => Validators, 1 => Terminals });
layout!(Called { at_ns, room, tx_len, host_len });
layout!(ReceivedFrame { is_verified, is_partial, sum_start, sum_offset });
layout!(End { rx_segments, tx_segments, retransmitted, rx_messages, opened, closed });

/// A framed message.
const FRAMED_LEN_MAX: usize = MESSAGE_HEADER_LEN + MESSAGE_LEN_MAX;
/// Gateways of a lane.
const GATEWAYS_MAX: usize = 2;
/// Bytes of one of a page's answers.
const PAGE_LEN_MAX: usize = 16 << 20;

impl Canonical for TapeHead {
    fn put(&self, writer: &mut Writer) {
        let Capabilities { medium, hardware, mtu, queues, queue, checksum_rx, checksum_tx, tso, twin } =
            self.capabilities;
        writer.put(&(medium == Medium::Ethernet));
        writer.put(&hardware);
        for number in [mtu, queues, queue] {
            writer.put(&(number as u64));
        }
        for flag in [checksum_rx, checksum_tx, tso, twin] {
            writer.put(&flag);
        }
        put_config(writer, &self.config);
        writer.put(&self.began_ns);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let capabilities = Capabilities {
            medium: if reader.take()? { Medium::Ethernet } else { Medium::Ip },
            hardware: reader.take()?,
            mtu: take_size(reader)?,
            queues: take_size(reader)?,
            queue: take_size(reader)?,
            checksum_rx: reader.take()?,
            checksum_tx: reader.take()?,
            tso: reader.take()?,
            twin: reader.take()?,
        };
        Ok(Self { capabilities, config: take_config(reader)?, began_ns: reader.take()? })
    }
}

fn put_config(writer: &mut Writer, config: &LaneConfig) {
    let LaneConfig {
        addresses,
        gateways,
        dhcp,
        vlan,
        identity,
        secret,
        sessions_max,
        half_open_max,
        calling_max,
        handshake_timeout,
        keep_alive,
        peer_timeout,
        idle_timeout,
        ack_delay,
        reconnect_min,
        reconnect_max,
        guard,
        sharing: _,
    } = config;
    writer.put(&(addresses.len() as u8));
    for (address, prefix_len) in addresses {
        put_ip(writer, *address);
        writer.put(prefix_len);
    }
    writer.put(&(gateways.len() as u8));
    for gateway in gateways {
        put_ip(writer, *gateway);
    }
    writer.put(dhcp);
    put_option(writer, vlan.as_ref(), Writer::put);
    put_option(writer, identity.as_ref(), |writer, identity| identity.put(writer));
    writer.put(secret);
    for number in [sessions_max, half_open_max, calling_max] {
        writer.put(&(*number as u64));
    }
    for span in [handshake_timeout, reconnect_min, reconnect_max] {
        writer.put(&span.as_nanos());
    }
    for span in [keep_alive, peer_timeout, idle_timeout, ack_delay] {
        put_option(writer, span.as_ref(), |writer, span| writer.put(&span.as_nanos()));
    }
    let GuardConfig {
        syns_per_second_max,
        sessions_per_source_max,
        sessions_per_prefix_max,
        resets_per_second_max,
        challenge_interval,
        time_wait,
        time_wait_max,
    } = guard;
    for number in [syns_per_second_max, sessions_per_source_max, sessions_per_prefix_max, resets_per_second_max] {
        writer.put(number);
    }
    for number in [challenge_interval.as_nanos(), time_wait.as_nanos(), *time_wait_max as u64] {
        writer.put(&number);
    }
}

fn take_config(reader: &mut Reader<'_>) -> Result<LaneConfig, CodecError> {
    let addresses = take_few(reader, ADDRESSES_MAX, |reader| Ok((take_ip(reader)?, reader.take()?)))?;
    let gateways = take_few(reader, GATEWAYS_MAX, take_ip)?;
    let dhcp = reader.take()?;
    let vlan = take_option(reader, Canonical::take)?;
    let identity = take_option(reader, |reader| Identity::take(reader).map(Arc::new))?;
    let mut config = LaneConfig::new(addresses, identity, reader.take()?);
    (config.gateways, config.dhcp, config.vlan) = (gateways, dhcp, vlan);
    for number in [&mut config.sessions_max, &mut config.half_open_max, &mut config.calling_max] {
        *number = take_size(reader)?;
    }
    for span in [&mut config.handshake_timeout, &mut config.reconnect_min, &mut config.reconnect_max] {
        *span = take_span(reader)?;
    }
    for span in [&mut config.keep_alive, &mut config.peer_timeout, &mut config.idle_timeout, &mut config.ack_delay] {
        *span = take_option(reader, take_span)?;
    }
    config.guard = GuardConfig {
        syns_per_second_max: reader.take()?,
        sessions_per_source_max: reader.take()?,
        sessions_per_prefix_max: reader.take()?,
        resets_per_second_max: reader.take()?,
        challenge_interval: take_span(reader)?,
        time_wait: take_span(reader)?,
        time_wait_max: take_size(reader)?,
    };
    Ok(config)
}

impl Canonical for Entry {
    const LEN_MAX: usize = 4 * PAGE_LEN_MAX + (64 << 10);

    fn put(&self, writer: &mut Writer) {
        let tag: u8 = match self {
            Self::Handle { .. } => 0,
            Self::Receive { .. } => 1,
            Self::Transmit { .. } => 2,
            Self::Send { .. } => 3,
            Self::SendShared { .. } => 4,
            Self::TakeEvents => 5,
            Self::TakeJob => 6,
            Self::FinishJob { .. } => 7,
            Self::End(_) => 8,
            Self::Disconnect { .. } => 9,
            Self::Ban { .. } => 10,
            Self::Unban { .. } => 11,
            Self::Leave { .. } => 12,
        };
        writer.put(&tag);
        match self {
            Self::Handle { at_ns, command } => {
                writer.put(at_ns);
                writer.put(command);
            }
            Self::Receive { called, frames } => {
                writer.put(called);
                writer.put_list(frames);
            }
            Self::Transmit { called } => writer.put(called),
            Self::Send { session, priority, kind, body } => {
                writer.put(session);
                writer.put(priority);
                writer.put(kind);
                writer.put_bytes(body);
            }
            Self::SendShared { session, priority, message } => {
                writer.put(session);
                writer.put(priority);
                writer.put_bytes(message);
            }
            Self::TakeEvents | Self::TakeJob => {}
            Self::FinishJob { at_ns, session } => {
                writer.put(at_ns);
                writer.put(session);
            }
            Self::End(end) => writer.put(end),
            Self::Disconnect { session } => writer.put(session),
            Self::Ban { at_ns, who, seconds } => {
                writer.put(at_ns);
                writer.put(who);
                writer.put(seconds);
            }
            Self::Unban { at_ns, who } => {
                writer.put(at_ns);
                writer.put(who);
            }
            Self::Leave { at_ns, goodbye, within_ns } => {
                writer.put(at_ns);
                writer.put(goodbye);
                writer.put(within_ns);
            }
        }
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(match reader.take::<u8>()? {
            0 => Self::Handle { at_ns: reader.take()?, command: reader.take()? },
            1 => Self::Receive { called: reader.take()?, frames: reader.take_list(0..=BURST_LEN_MAX)? },
            2 => Self::Transmit { called: reader.take()? },
            3 => Self::Send {
                session: reader.take()?,
                priority: reader.take()?,
                kind: reader.take()?,
                body: reader.take_bytes(0..=MESSAGE_LEN_MAX)?.to_vec(),
            },
            4 => Self::SendShared { session: reader.take()?, priority: reader.take()?, message: take_framed(reader)? },
            5 => Self::TakeEvents,
            6 => Self::TakeJob,
            7 => Self::FinishJob { at_ns: reader.take()?, session: reader.take()? },
            8 => Self::End(reader.take()?),
            9 => Self::Disconnect { session: reader.take()? },
            10 => Self::Ban { at_ns: reader.take()?, who: reader.take()?, seconds: reader.take()? },
            11 => Self::Unban { at_ns: reader.take()?, who: reader.take()? },
            12 => Self::Leave { at_ns: reader.take()?, goodbye: reader.take()?, within_ns: reader.take()? },
            tag => return Err(CodecError::Tag(tag)),
        })
    }
}

impl Canonical for Command {
    const LEN_MAX: usize = Entry::LEN_MAX;

    fn put(&self, writer: &mut Writer) {
        let tag: u8 = match self {
            Self::Listen { .. } => 0,
            Self::Serve { .. } => 1,
            Self::Open(_) => 2,
            Self::Send { .. } => 3,
            Self::Broadcast { .. } => 4,
            Self::Join { .. } => 5,
            Self::Close { .. } => 6,
            Self::SetRegister { .. } => 7,
            Self::Part { .. } => 8,
        };
        writer.put(&tag);
        match self {
            Self::Listen { port, class, encrypted } => {
                writer.put(port);
                writer.put(class);
                writer.put(encrypted);
            }
            Self::Serve { port, service } => {
                writer.put(port);
                put_service(writer, service);
            }
            Self::Open(call) => put_call(writer, call),
            Self::Send { session, priority, message } => {
                writer.put(session);
                writer.put(priority);
                writer.put_bytes(message);
            }
            Self::Broadcast { group, priority, message } => {
                writer.put(group);
                writer.put(priority);
                writer.put_bytes(message);
            }
            Self::Join { session, group } => {
                writer.put(session);
                put_option(writer, group.as_ref(), Writer::put);
            }
            Self::Close { session } => writer.put(session),
            Self::SetRegister { register, value } => {
                writer.put(&(*register as u8));
                writer.put(value);
            }
            Self::Part { session, goodbye } => {
                writer.put(session);
                writer.put(goodbye);
            }
        }
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(match reader.take::<u8>()? {
            0 => Self::Listen { port: reader.take()?, class: reader.take()?, encrypted: reader.take()? },
            1 => Self::Serve { port: reader.take()?, service: take_service(reader)? },
            2 => Self::Open(take_call(reader)?),
            3 => Self::Send { session: reader.take()?, priority: reader.take()?, message: take_framed(reader)? },
            4 => Self::Broadcast { group: reader.take()?, priority: reader.take()?, message: take_framed(reader)? },
            5 => Self::Join { session: reader.take()?, group: take_option(reader, Canonical::take)? },
            6 => Self::Close { session: reader.take()? },
            7 => {
                let number = reader.take::<u8>()?;
                let register = Register::ALL.get(usize::from(number)).copied().ok_or(CodecError::Tag(number))?;
                Self::SetRegister { register, value: reader.take()? }
            }
            8 => Self::Part { session: reader.take()?, goodbye: reader.take()? },
            tag => return Err(CodecError::Tag(tag)),
        })
    }
}

fn put_call(writer: &mut Writer, call: &Call) {
    let Call { remote, local, class, responder, identity, tag, keep } = call;
    put_end(writer, *remote);
    put_end(writer, *local);
    writer.put(class);
    put_option(writer, responder.as_ref(), Writer::put);
    put_option(writer, identity.as_ref(), |writer, identity| identity.put(writer));
    writer.put(tag);
    writer.put(keep);
}

fn take_call(reader: &mut Reader<'_>) -> Result<Call, CodecError> {
    Ok(Call {
        remote: take_end(reader)?,
        local: take_end(reader)?,
        class: reader.take()?,
        responder: take_option(reader, Canonical::take)?,
        identity: take_option(reader, |reader| Identity::take(reader).map(Arc::new))?,
        tag: reader.take()?,
        keep: reader.take()?,
    })
}

fn put_service(writer: &mut Writer, service: &Service) {
    let tag: u8 = match service {
        Service::Echo => 0,
        Service::Discard => 1,
        Service::Chargen => 2,
        Service::Http(_) => 3,
    };
    writer.put(&tag);
    if let Service::Http(page) = service {
        page.answers().into_iter().for_each(|answer| writer.put_bytes(answer));
    }
}

fn take_service(reader: &mut Reader<'_>) -> Result<Service, CodecError> {
    Ok(match reader.take::<u8>()? {
        0 => Service::Echo,
        1 => Service::Discard,
        2 => Service::Chargen,
        3 => {
            let mut answer = || reader.take_bytes(0..=PAGE_LEN_MAX).map(Arc::from);
            Service::Http(Arc::new(Page::of_answers([answer()?, answer()?, answer()?, answer()?])))
        }
        tag => return Err(CodecError::Tag(tag)),
    })
}

fn take_framed(reader: &mut Reader<'_>) -> Result<Arc<[u8]>, CodecError> {
    reader.take_bytes(MESSAGE_HEADER_LEN..=FRAMED_LEN_MAX).map(Arc::from)
}

fn put_option<T>(writer: &mut Writer, value: Option<&T>, put: impl FnOnce(&mut Writer, &T)) {
    writer.put(&value.is_some());
    if let Some(value) = value {
        put(writer, value);
    }
}

fn take_option<T>(
    reader: &mut Reader<'_>,
    take: impl FnOnce(&mut Reader<'_>) -> Result<T, CodecError>,
) -> Result<Option<T>, CodecError> {
    if reader.take()? { take(reader).map(Some) } else { Ok(None) }
}

/// A u8 count, then as many.
fn take_few<T>(
    reader: &mut Reader<'_>,
    most: usize,
    take: impl Fn(&mut Reader<'_>) -> Result<T, CodecError>,
) -> Result<Vec<T>, CodecError> {
    let count = usize::from(reader.take::<u8>()?);
    if count > most {
        return Err(CodecError::Count);
    }
    (0..count).map(|_| take(reader)).collect()
}

fn take_size(reader: &mut Reader<'_>) -> Result<usize, CodecError> {
    usize::try_from(reader.take::<u64>()?).map_err(|_| CodecError::Range)
}

fn take_span(reader: &mut Reader<'_>) -> Result<Duration, CodecError> {
    reader.take().map(Duration::from_nanos)
}

fn put_ip(writer: &mut Writer, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            writer.put(&4_u8);
            writer.put(&address.octets());
        }
        IpAddr::V6(address) => {
            writer.put(&6_u8);
            writer.put(&address.octets());
        }
    }
}

fn take_ip(reader: &mut Reader<'_>) -> Result<IpAddr, CodecError> {
    match reader.take::<u8>()? {
        4 => Ok(IpAddr::from(reader.take::<[u8; 4]>()?)),
        6 => Ok(IpAddr::from(reader.take::<[u8; 16]>()?)),
        tag => Err(CodecError::Tag(tag)),
    }
}

fn put_end(writer: &mut Writer, end: SocketAddr) {
    put_ip(writer, end.ip());
    writer.put(&end.port());
}

fn take_end(reader: &mut Reader<'_>) -> Result<SocketAddr, CodecError> {
    Ok(SocketAddr::new(take_ip(reader)?, reader.take()?))
}
