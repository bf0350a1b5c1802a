//! Two cards on a wire, their chains played by the test.

use std::sync::Arc;

use hpb_base::{Duration, Instant};
use hpb_net::Port;
use hpb_net::frame::Bursts;
use hpb_net::wire::{WireBuilder, WirePort};
use hpb_toe::{Class, Command, CryptoJob, CryptoResult, Group, Lane, Priority, SessionId};

use super::super::lane::lane_of;
use super::super::{LaneLinks, LaneReadout, LaneSetup, LaneWorker, Publisher};
use super::world::{address, genesis, lane_config};
use super::{at, small};
use crate::core::Input;
use crate::runtime::{Receiver, Sender, Worker};

/// Two lanes on a wire without encryption; the second calls the first.
struct Pair {
    lanes: Vec<LaneWorker<WirePort>>,
    commands: Vec<Sender<Command>>,
    inputs: Vec<Receiver<Input>>,
    _verifiers: Vec<(Receiver<CryptoJob>, Sender<CryptoResult>)>,
    now: Instant,
}

impl Pair {
    fn new(sessions: u64, inputs_depth: usize, turn_cpu: Duration) -> Self {
        let mut wire = WireBuilder::new(1);
        wire.port(&[address(0)]);
        wire.port(&[address(1)]);
        let now = at(1_000);
        let (mut lanes, mut all_commands, mut all_inputs, mut verifiers) = (vec![], vec![], vec![], vec![]);
        for (number, port) in wire.build().unwrap().into_iter().enumerate() {
            let config = lane_config(&genesis(1), number);
            let mut lane = Lane::new(config, port.capabilities(), now).unwrap();
            if number == 0 {
                lane.handle(now, Command::Listen { port: 9, class: Class::Terminal, encrypted: false });
            } else {
                for tag in 0..sessions {
                    let remote = (address(0), 9).into();
                    let local = (address(1), 0).into();
                    let class = Class::Uplink;
                    let call =
                        hpb_toe::Call { remote, local, class, responder: None, identity: None, tag, keep: false };
                    lane.handle(now, Command::Open(call));
                }
            }
            let mut used = Duration::ZERO;
            let setup = LaneSetup {
                lane,
                port,
                bursts: Bursts::new(4_096),
                announced: number == 0,
                slice_interval: Duration::from_millis(50),
                thread_cpu: Box::new(move || {
                    used = used + turn_cpu;
                    used
                }),
            };
            let (commands, lane_commands) = small(1_024);
            let (lane_inputs, inputs) = small(inputs_depth);
            let (jobs, far_jobs) = small(1);
            let (far_results, results) = small(1);
            let links = LaneLinks {
                number,
                commands: lane_commands,
                inputs: lane_inputs,
                verifiers: vec![(jobs, results)],
                desk: None,
            };
            let (publisher, _) = Publisher::new(LaneReadout::default());
            lanes.push(LaneWorker::new(setup, links, publisher));
            all_commands.push(commands);
            all_inputs.push(inputs);
            verifiers.push((far_jobs, far_results));
        }
        Self { lanes, commands: all_commands, inputs: all_inputs, _verifiers: verifiers, now }
    }

    /// Turns for `millis` of virtual time, ten microseconds each.
    fn run_for(&mut self, millis: u64) {
        for _ in 0..millis * 100 {
            self.now += Duration::from_micros(10);
            for lane in &mut self.lanes {
                lane.turn(self.now);
            }
        }
    }

    fn opened(&mut self, host: usize) -> Vec<SessionId> {
        let opened = std::iter::from_fn(|| self.inputs[host].pop()).filter_map(|input| match input {
            Input::Opened { session, .. } => Some(session),
            _ => None,
        });
        opened.collect()
    }
}

fn framed(kind: u8, body: &[u8]) -> Arc<[u8]> {
    hpb_toe::framing::framed(kind, body).into()
}

#[test]
fn a_full_link_to_the_chain_holds_events_back_and_loses_none() {
    let mut pair = Pair::new(1, 2, Duration::ZERO);
    pair.run_for(5);
    let session = pair.opened(1)[0];
    assert_eq!(lane_of(session), 1, "the chain sees whose session it is");
    assert_eq!(pair.opened(0).len(), 1);
    for n in 0..200_u8 {
        let send = Command::Send { session, priority: Priority::Critical, message: framed(n, &[n; 100]) };
        pair.commands[1].try_send(send).unwrap();
    }
    pair.run_for(50);
    assert!(pair.inputs[0].watch().read().refused > 0 && pair.inputs[0].waiting() == 2);
    let mut kinds = Vec::new();
    for _ in 0..2_000 {
        if let Some(Input::Message { kind, .. }) = pair.inputs[0].pop() {
            kinds.push(kind);
        }
        pair.run_for(1);
    }
    assert_eq!(kinds, (0..200).collect::<Vec<u8>>());
}

#[test]
fn commands_are_taken_while_events_wait() {
    let mut pair = Pair::new(2, 1, Duration::ZERO);
    pair.run_for(5);
    assert_eq!(pair.inputs[0].waiting(), 1);
    let register = hpb_toe::registers::Register::Reorder;
    for value in 0..500 {
        pair.commands[0].try_send(Command::SetRegister { register, value }).unwrap();
    }
    pair.run_for(1);
    assert_eq!(pair.commands[0].room(), pair.commands[0].depth());
}

#[test]
fn digests_that_cost_too_much_are_stretched() {
    let mut pair = Pair::new(3, 64, Duration::from_millis(30));
    pair.run_for(5);
    let terminals = pair.opened(0);
    assert_eq!(terminals.len(), 3);
    for session in terminals {
        pair.commands[0].try_send(Command::Join { session, group: Some(Group::Terminals) }).unwrap();
    }
    pair.run_for(1);
    assert!(pair.inputs[0].pop().is_none(), "nothing was sent yet");
    let broadcast = |group| Command::Broadcast { group, priority: Priority::Sheddable, message: framed(1, b"digest") };
    pair.commands[0].try_send(broadcast(Group::Validators)).unwrap();
    pair.run_for(1);
    assert!(pair.inputs[0].pop().is_none(), "only what goes to terminals is measured");
    pair.commands[0].try_send(broadcast(Group::Terminals)).unwrap();
    pair.run_for(5);
    let Some(Input::DigestInterval(interval)) = pair.inputs[0].pop() else { panic!("no interval") };
    assert_eq!(interval, Duration::from_millis(60), "a turn of 30 ms, half of a core");
    assert_eq!(
        std::iter::from_fn(|| pair.inputs[1].pop()).filter(|input| matches!(input, Input::Message { .. })).count(),
        3
    );
}

#[test]
fn a_lane_wakes_for_its_timers_and_says_whether_its_port_is_silent() {
    let mut pair = Pair::new(1, 64, Duration::ZERO);
    pair.run_for(200);
    assert!(pair.lanes[0].wake_at().unwrap() > pair.now, "a keep-alive");
    assert_eq!((pair.lanes[0].has_silent_port(), pair.lanes[1].has_silent_port()), (false, true));
    assert!(pair.lanes[0].descriptors().is_empty());
}
