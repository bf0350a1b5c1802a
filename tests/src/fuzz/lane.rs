//! A whole lane between a host that serves and strangers that say anything, on a port of either medium.
//!
//! The input is a script: raw packets, packets whose checksums are filled, segments with numbers that are right or
//! nearly so, sessions opened and fed, ICMP errors about what the card sent, time, commands of the host. After each step
//! the lane is brought to rest and what it says is judged; at the end the strangers vanish, and after five minutes no
//! session, no frame and no half-open entry may be left.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hpb_base::{Duration, Instant};
use hpb_net::frame::Bursts;
use hpb_net::port::{Capabilities, Medium};
use hpb_toe::card::{Call, Command, Event, EventBatch, Group, SessionId};
use hpb_toe::framing::framed;
use hpb_toe::segment::{ACK, FIN, RST, SYN};
use hpb_toe::service::Page;
use hpb_toe::stats::LaneCounters;
use hpb_toe::{Class, Identity, Lane, LaneConfig, Priority, Service};
use hpb_types::{ChainId, Hash};

use super::input::Input;
use super::packet::{self, TcpPacket};
use super::pool::free_frames;

/// The card's and the stranger's hardware addresses.
const CARD_HARDWARE: [u8; 6] = [2, 0, 0, 0, 0, 1];
const PEER_HARDWARE: [u8; 6] = [2, 0, 0, 0, 0, 2];
/// The services' ports: echo, a page, plain messages, sealed messages, nobody.
pub(super) const PORTS: [u16; 5] = [7, 80, 3_000, 3_001, 9];
const MTU: usize = 1_500;
const SESSIONS: usize = 8;
const HALF_OPEN: usize = 3;
const FRAMES: usize = 192;
/// Turns after which a lane that is still busy at one instant is said to spin.
const TURNS_MAX: usize = 4_096;
/// Wake-ups of one span of time after which it is said to spin: the timers' finest step is a millisecond, and no span is
/// longer than five minutes.
const WAKES_MAX: u64 = 310_000;
/// Steps of one script; the rest is not read.
const STEPS_MAX: usize = 96;

/// What became of a script.
#[derive(Clone, Copy, Debug)]
pub struct LaneRun {
    /// The lane's own counters.
    pub counters: LaneCounters,
    /// Frames that it was given.
    pub given: u64,
    /// Frames that it sent.
    pub sent: u64,
    /// How often it woke by itself in the five minutes after everybody had vanished.
    pub wakes: u64,
}

/// A script over a port whose frames start with an IP header.
///
/// # Panics
/// As the module says.
pub fn lane_ip(bytes: &[u8]) {
    run_lane(Medium::Ip, bytes);
}

/// A script over a port that speaks Ethernet.
///
/// # Panics
/// As the module says.
pub fn lane_ethernet(bytes: &[u8]) {
    run_lane(Medium::Ethernet, bytes);
}

/// Runs a script and says what it came to.
///
/// # Panics
/// As the module says.
pub fn run_lane(medium: Medium, bytes: &[u8]) -> LaneRun {
    let mut card = Card::new(medium);
    let mut input = Input::new(bytes);
    for _ in 0..STEPS_MAX {
        if card.step(&mut input).is_none() {
            break;
        }
        card.settle();
    }
    let wakes = card.leave_alone();
    LaneRun { counters: *card.lane.counters(), given: card.given, sent: card.sent, wakes }
}

/// A flow as the stranger sees it.
pub(super) struct Flow {
    peer: (IpAddr, u16),
    card: (IpAddr, u16),
    /// The stranger's next sequence number, and the next that it expects.
    seq: u32,
    ack: u32,
    /// What came back in order.
    pub(super) received: Vec<u8>,
    /// The card has said FIN or RST.
    pub(super) ended: bool,
}

/// A lane with its host and the strangers on its link.
pub(super) struct Card {
    pub(super) lane: Lane,
    bursts: Bursts,
    medium: Medium,
    now: Instant,
    flows: Vec<Flow>,
    sessions: Vec<SessionId>,
    /// The last packet that the card sent, without its link header.
    last: Vec<u8>,
    given: u64,
    sent: u64,
    opened: u64,
    closed: u64,
    messages: u64,
    /// The strangers' hosts answer nothing any more, on the link neither.
    has_vanished: bool,
    /// Frames that the strangers answer with.
    answers: Vec<Vec<u8>>,
}

impl Card {
    pub(super) fn new(medium: Medium) -> Self {
        let now = Instant::from_millis(1_000);
        let addresses = [(IpAddr::from([10, 0, 0, 1]), 24), (v6(1), 64)];
        let identity = Identity::new([1; 32], ChainId(Hash([9; 32])));
        let mut config = LaneConfig::new(addresses.to_vec(), Some(Arc::new(identity)), [7; 32]);
        config.sessions_max = SESSIONS;
        config.half_open_max = HALF_OPEN;
        config.guard.time_wait_max = 4;
        config.guard.sessions_per_source_max = 6;
        config.guard.syns_per_second_max = 1_000;
        let hardware = if medium == Medium::Ethernet { CARD_HARDWARE } else { [0; 6] };
        let capabilities = Capabilities { medium, hardware, ..Capabilities::plain(MTU) };
        let mut lane = Lane::new(config, capabilities, now).unwrap();
        let page = Arc::new(Page::new("text/plain", PAGE));
        lane.handle(now, Command::Serve { port: PORTS[0], service: Service::Echo });
        lane.handle(now, Command::Serve { port: PORTS[1], service: Service::Http(page) });
        lane.handle(now, Command::Listen { port: PORTS[2], class: Class::Terminal, encrypted: false });
        lane.handle(now, Command::Listen { port: PORTS[3], class: Class::Terminal, encrypted: true });
        let mut card = Self {
            lane,
            bursts: Bursts::new(FRAMES),
            medium,
            now,
            flows: Vec::new(),
            sessions: Vec::new(),
            last: Vec::new(),
            given: 0,
            sent: 0,
            opened: 0,
            closed: 0,
            messages: 0,
            has_vanished: false,
            answers: Vec::new(),
        };
        card.introduce();
        card.settle();
        card
    }

    /// The stranger asks for the card's addresses on the link, so that the card knows where it is.
    fn introduce(&mut self) {
        if self.medium == Medium::Ip {
            return;
        }
        let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 1];
        arp.extend(PEER_HARDWARE);
        arp.extend([10, 0, 0, 2]);
        arp.extend([0; 6]);
        arp.extend([10, 0, 0, 1]);
        self.push(&packet::ethernet(CARD_HARDWARE, PEER_HARDWARE, None, 0x0806, &arp));
        let mut solicitation = packet::ip_header(v6(2), v6(1), 58, 32);
        solicitation.extend([135, 0, 0, 0, 0, 0, 0, 0]);
        solicitation.extend(octets(v6(1)));
        solicitation.extend([1, 1]);
        solicitation.extend(PEER_HARDWARE);
        packet::repair(&mut solicitation);
        self.push_packet(&solicitation);
    }

    /// Does the next step of the script; `None` at its end.
    fn step(&mut self, input: &mut Input<'_>) -> Option<()> {
        match input.byte()? % 10 {
            0 => self.push(input.bytes()?),
            1 => self.push_repaired(input.bytes()?),
            2 => {
                let flow = self.flow(input.byte()?);
                self.open(flow);
            }
            3 => self.segment(input)?,
            4 => {
                let flow = self.flow(input.byte()?);
                let len = input.byte()?;
                self.say(flow, input.take(usize::from(len)));
            }
            5 => {
                let millis = input.word()?;
                self.pass(Duration::from_millis(u64::from(millis)));
            }
            6 => self.command(input)?,
            7 => self.complain(input)?,
            8 => {
                let flow = self.flow(input.byte()?);
                self.say_with(flow, FIN | ACK, &[]);
            }
            _ => {
                // The last word of the card comes back to it, bent.
                let (at, bits) = (input.word()?, input.byte()?);
                let mut echo = self.last.clone();
                let len = echo.len().max(1);
                if let Some(byte) = echo.get_mut(usize::from(at) % len) {
                    *byte ^= bits;
                }
                packet::repair(&mut echo);
                self.push_packet(&echo);
            }
        }
        Some(())
    }

    /// The flow of a selector: service, family, client, and made if it is not there; or, with no service, any that there
    /// is, such as one that the card called.
    pub(super) fn flow(&mut self, selector: u8) -> usize {
        if usize::from(selector & 7) >= PORTS.len() && !self.flows.is_empty() {
            return usize::from(selector >> 4) % self.flows.len();
        }
        let port = PORTS[usize::from(selector & 7) % PORTS.len()];
        let client = 5_000 + u16::from(selector >> 4);
        let is_v4 = selector & 8 == 0;
        let (peer, card) =
            if is_v4 { (IpAddr::from([10, 0, 0, 2]), IpAddr::from([10, 0, 0, 1])) } else { (v6(2), v6(1)) };
        self.find((peer, client), (card, port))
    }

    fn find(&mut self, peer: (IpAddr, u16), card: (IpAddr, u16)) -> usize {
        let found = self.flows.iter().position(|flow| flow.peer == peer && flow.card == card);
        found.unwrap_or_else(|| {
            let seq = (u32::MAX - 3).wrapping_add(self.flows.len() as u32);
            self.flows.push(Flow { peer, card, seq, ack: 0, received: Vec::new(), ended: false });
            self.flows.len() - 1
        })
    }

    pub(super) fn received(&self, flow: usize) -> &Flow {
        &self.flows[flow]
    }

    /// Opens a session as a good peer does.
    pub(super) fn open(&mut self, flow: usize) {
        self.flows[flow].ended = false;
        self.say_with(flow, SYN, &[]);
        self.settle();
        self.say(flow, &[]);
    }

    /// Says the next bytes as a good peer does, and acknowledges what came.
    pub(super) fn say(&mut self, flow: usize, payload: &[u8]) {
        self.say_with(flow, ACK, payload);
        for _ in 0..8 {
            self.settle();
            let ack = self.flows[flow].ack;
            self.say_with(flow, ACK, &[]);
            self.settle();
            if self.flows[flow].ack == ack {
                break;
            }
        }
    }

    fn say_with(&mut self, flow: usize, flags: u8, payload: &[u8]) {
        let Flow { peer, card, seq, ack, .. } = self.flows[flow];
        let options: &[u8] = if flags & SYN != 0 { &[2, 4, 5, 0xb4] } else { &[] };
        let ack = if flags & ACK != 0 { ack } else { 0 };
        let segment = TcpPacket { source: peer, destination: card, seq, ack, flags, window: 0xffff, options, payload };
        let taken = payload.len() as u32 + u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0);
        self.flows[flow].seq = seq.wrapping_add(taken);
        self.push_packet(&segment.bytes());
    }

    /// A segment that is nearly right: selector, flags, distance of its numbers, window, options, payload.
    fn segment(&mut self, input: &mut Input<'_>) -> Option<()> {
        let flow = self.flow(input.byte()?);
        let flags = input.byte()?;
        let (seq_off, ack_off) = (input.word()?.cast_signed(), input.word()?.cast_signed());
        let window = input.word()?;
        let (options_len, payload_len) = (input.byte()?, input.byte()?);
        let options = input.take(usize::from(options_len % 41));
        let payload = input.take(usize::from(payload_len));
        let Flow { peer, card, seq, ack, .. } = self.flows[flow];
        let segment = TcpPacket {
            source: peer,
            destination: card,
            seq: seq.wrapping_add_signed(i32::from(seq_off)),
            ack: ack.wrapping_add_signed(i32::from(ack_off)),
            flags,
            window,
            options,
            payload,
        };
        if seq_off == 0 {
            let taken = payload.len() as u32 + u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0);
            self.flows[flow].seq = seq.wrapping_add(taken);
        }
        self.push_packet(&segment.bytes());
        Some(())
    }

    /// What a host may ask.
    fn command(&mut self, input: &mut Input<'_>) -> Option<()> {
        let (what, which) = (input.byte()?, input.byte()?);
        let session = self.sessions.get(usize::from(which) % self.sessions.len().max(1)).copied();
        let message: Arc<[u8]> = framed(which, &vec![which; usize::from(what) * 8]).into();
        let command = match (what % 6, session) {
            (0, Some(session)) => Command::Close { session },
            (1, Some(session)) => Command::Send { session, priority: Priority::Normal, message },
            (2, Some(session)) => Command::Join { session, group: Some(Group::Terminals) },
            (3, _) => Command::Broadcast { group: Group::Terminals, priority: Priority::Sheddable, message },
            (4, _) => Command::Open(Call {
                remote: SocketAddr::new(if which & 1 == 0 { IpAddr::from([10, 0, 0, 2]) } else { v6(2) }, 6_000),
                local: SocketAddr::new(if which & 1 == 0 { IpAddr::from([10, 0, 0, 1]) } else { v6(1) }, 0),
                class: Class::Uplink,
                responder: None,
                identity: None,
                tag: u64::from(which),
                keep: false,
            }),
            _ => return Some(()),
        };
        self.lane.handle(self.now, command);
        Some(())
    }

    /// An ICMP error that quotes the card's last word.
    fn complain(&mut self, input: &mut Input<'_>) -> Option<()> {
        let (kind, code, said) = (input.byte()?, input.byte()?, input.word()?);
        let quote_len = input.byte()?;
        if self.last.len() < 40 {
            return Some(());
        }
        let (card, peer) = packet::ends(&self.last);
        let quote = &self.last[..self.last.len().min(usize::from(quote_len))];
        let protocol = if card.is_ipv4() { 1 } else { 58 };
        let mut error = packet::ip_header(peer, card, protocol, 8 + quote.len());
        error.extend([kind, code, 0, 0, 0, 0]);
        error.extend(said.to_be_bytes());
        error.extend(quote);
        packet::repair(&mut error);
        self.push_packet(&error);
        Some(())
    }

    /// A packet in the medium's clothes.
    fn framed(&self, packet: &[u8]) -> Vec<u8> {
        match self.medium {
            Medium::Ip => packet.to_vec(),
            Medium::Ethernet => packet::ethernet(CARD_HARDWARE, PEER_HARDWARE, None, packet::kind_of(packet), packet),
        }
    }

    fn push_packet(&mut self, packet: &[u8]) {
        self.push(&self.framed(packet));
    }

    /// Gives the lane a frame whose packet's checksums are filled first.
    fn push_repaired(&mut self, frame: &[u8]) {
        let mut frame = frame.to_vec();
        let packet_at = if self.medium == Medium::Ip { 0 } else { 14 };
        if let Some(packet) = frame.get_mut(packet_at..) {
            packet::repair(packet);
        }
        self.push(&frame);
    }

    fn push(&mut self, bytes: &[u8]) {
        if self.bursts.rx_room() == 0 {
            self.settle();
        }
        let Some(mut frame) = self.bursts.pool.take() else { return };
        frame.copy_from(bytes);
        self.bursts.rx.push(frame);
        self.given += 1;
    }

    /// Turns the lane until it has nothing to do at this instant.
    pub(super) fn settle(&mut self) {
        for _ in 0..TURNS_MAX {
            let mut busy = self.lane.poll(self.now, &mut self.bursts);
            while let Some(job) = self.lane.take_job() {
                busy = true;
                self.lane.finish_job(self.now, job.run());
            }
            assert!(self.bursts.rx.is_empty(), "a received frame is taken or given back");
            assert!(self.bursts.host.is_empty(), "no host lives behind this port");
            while let Some(frame) = self.bursts.tx.pop_front() {
                busy = true;
                self.hear(frame.bytes());
                self.bursts.pool.give(frame);
            }
            busy |= self.reap();
            self.check();
            let answers = std::mem::take(&mut self.answers);
            if !self.has_vanished {
                busy |= !answers.is_empty();
                for answer in &answers {
                    self.push(answer);
                }
            }
            if !busy {
                return;
            }
        }
        panic!("the lane does not come to rest");
    }

    /// Lets time pass, with every wake-up on the way; returns how many there were.
    pub(super) fn pass(&mut self, span: Duration) -> u64 {
        let until = self.now + span;
        for wakes in 0..WAKES_MAX {
            self.settle();
            match self.lane.wake_at() {
                Some(at) if at < until => self.now = at.max(self.now + Duration::from_micros(1)),
                _ => {
                    self.now = until;
                    self.settle();
                    return wakes;
                }
            }
        }
        panic!("the lane wakes without end");
    }

    /// Judges a frame that the card sends, and notes its numbers.
    fn hear(&mut self, frame: &[u8]) {
        self.sent += 1;
        let packet = match self.medium {
            Medium::Ip => frame,
            Medium::Ethernet => {
                assert!(frame.len() >= 14 && frame[6..12] == CARD_HARDWARE, "the card's own header");
                assert_ne!(frame[..6], CARD_HARDWARE, "the card does not speak to itself");
                let (kind, packet) = (u16::from_be_bytes([frame[12], frame[13]]), &frame[14..]);
                if kind == 0x0806 {
                    assert_eq!(packet.len(), 28, "an ARP packet");
                    return self.answer_arp(packet);
                }
                assert_eq!(kind, packet::kind_of(packet), "the type of {packet:x?}");
                packet
            }
        };
        let protocol = packet::assert_whole(packet, MTU);
        let (card, peer) = packet::ends(packet);
        let is_own = self.lane.addresses().any(|address| address == card);
        assert!(is_own || protocol == 58, "the card speaks as {card}");
        self.last = packet.to_vec();
        match protocol {
            6 => self.note(card, peer, packet),
            58 => self.answer_solicitation(packet),
            _ => {}
        }
    }

    /// The strangers say where they are, all at one place.
    fn answer_arp(&mut self, question: &[u8]) {
        if question[7] == 1 && question[24..28] != [10, 0, 0, 1] {
            let mut answer = question[..7].to_vec();
            answer.push(2);
            answer.extend(PEER_HARDWARE);
            answer.extend(&question[24..28]);
            answer.extend(&question[8..18]);
            self.answers.push(packet::ethernet(CARD_HARDWARE, PEER_HARDWARE, None, 0x0806, &answer));
        }
    }

    fn answer_solicitation(&mut self, question: &[u8]) {
        let (card, _) = packet::ends(question);
        let Some(&[135, _, _, _, _, _, _, _, ref target @ ..]) = question.get(40..64) else { return };
        let Some(target) = target.first_chunk::<16>() else { return };
        let mut answer = packet::ip_header(IpAddr::from(*target), card, 58, 32);
        answer.extend([136, 0, 0, 0, 0x60, 0, 0, 0]);
        answer.extend(target);
        answer.extend([2, 1]);
        answer.extend(PEER_HARDWARE);
        packet::repair(&mut answer);
        self.answers.push(self.framed(&answer));
    }

    fn note(&mut self, card: IpAddr, peer: IpAddr, packet: &[u8]) {
        let tcp_at = if card.is_ipv4() { 20 } else { 40 };
        let tcp = &packet[tcp_at..];
        let port = |at: usize| u16::from_be_bytes([tcp[at], tcp[at + 1]]);
        let (card_port, peer_port, flags) = (port(0), port(2), tcp[13]);
        let seq = u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]);
        let payload = &tcp[usize::from(tcp[12] >> 4) * 4..];
        let index = self.find((peer, peer_port), (card, card_port));
        let flow = &mut self.flows[index];
        if flags & SYN != 0 {
            flow.ack = seq.wrapping_add(1);
            flow.received.clear();
        } else if seq == flow.ack {
            flow.received.extend(payload);
            flow.ack = seq.wrapping_add(payload.len() as u32 + u32::from(flags & FIN != 0));
        }
        flow.ended |= flags & (FIN | RST) != 0;
    }

    /// Takes the lane's events.
    fn reap(&mut self) -> bool {
        let mut batch = EventBatch::default();
        self.lane.take_events(&mut batch);
        for event in batch.iter() {
            match event {
                Event::Opened { session, .. } => {
                    assert!(!self.sessions.contains(&session), "a session opens once");
                    self.sessions.push(session);
                    self.opened += 1;
                }
                Event::Message { session, body, .. } => {
                    assert!(self.sessions.contains(&session), "a message of an open session");
                    assert!(body.len() <= hpb_base::limits::TERMINAL_MESSAGE_LEN_MAX);
                    self.messages += 1;
                }
                Event::Closed { session, was_open, .. } => {
                    assert_eq!(self.sessions.contains(&session), was_open, "what is told fits together");
                    self.sessions.retain(|other| *other != session);
                    self.closed += 1;
                }
            }
        }
        !batch.is_empty()
    }

    /// What holds at every moment.
    fn check(&self) {
        let (lane, counters) = (&self.lane, self.lane.counters());
        assert!(lane.sessions() <= SESSIONS, "{} sessions", lane.sessions());
        let (answering, shaking) = lane.half_open();
        assert!(answering <= HALF_OPEN && shaking <= HALF_OPEN, "{answering} and {shaking} half open");
        assert!(answering + shaking <= lane.sessions());
        assert!(lane.waiting_out() <= 4);
        assert_eq!(lane.table(0, usize::MAX).0.len(), lane.sessions(), "a row a session");
        assert!(self.bursts.pool.owned() <= FRAMES);
        assert_eq!(counters.opened, self.opened, "each opening is told");
        assert!(counters.closed <= self.closed, "each end is told");
        assert_eq!(counters.rx_messages, self.messages, "each message is told");
        // A frame is taken by a session, dropped for a reason, or a reset that ended its session.
        let given = if self.medium == Medium::Ip { self.given } else { lane.link_counters().rx_packets };
        assert!(given <= self.given && counters.rx_segments <= given);
        let drops: u64 = counters.drops.iter().map(|(_, count)| count).sum();
        assert!(given <= counters.rx_segments + drops + counters.closed, "{given} frames, {counters:?}");
    }

    /// Five minutes after the strangers vanished nothing may be left.
    fn leave_alone(&mut self) -> u64 {
        self.has_vanished = true;
        let wakes = self.pass(Duration::from_secs(300));
        assert_eq!((self.lane.sessions(), self.lane.half_open()), (0, (0, 0)), "left: {:?}", self.lane.table(0, 9).0);
        assert!(self.sessions.is_empty(), "each session's end is told");
        assert_eq!(free_frames(&mut self.bursts), self.bursts.pool.owned(), "frames leak");
        wakes
    }
}

/// The page that port 80 answers with; nothing in it looks like an answer's head.
pub(super) const PAGE: &[u8] = b"the page\n";

fn v6(host: u8) -> IpAddr {
    IpAddr::from([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host])
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}
