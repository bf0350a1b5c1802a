//! Planted faults, one a test: `hpb peer doctor` names each. A peer over the kernel's TCP that stands in for a node, and a
//! wire of our own between the two hosts, in network namespaces of the test's own.
//!
//! Without root a test says why it was skipped; with `HPB_NET=1` a skip is a failure.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod stand_in;
mod wire;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hpb_peer::probe::doctor::{Cause, Certainty, Diagnosis, gather};
use hpb_peer::probe::{Credentials, KnownPeer, Target, path_mtu, ping, trace};
use hpb_sandbox::Host;
use hpb_toe::Identity;
use hpb_types::keys::Hash;
use hpb_types::message::diagnose::{Goodbye, Parting};
use hpb_types::units::ChainId;

use stand_in::StandIn;
use wire::{Fault, INTERFACE, Wire};

const PORT: u16 = 30_303;
const ASKER: &str = "10.7.0.1/24";
const PEER: &str = "10.7.0.2";

/// Faults that show in time take turns, because each wants both cores.
static TURN: Mutex<()> = Mutex::new(());

/// Two hosts, a wire between them with a fault, and a peer at its far end.
struct Stage {
    asker: Host,
    _peer: Host,
    _wire: Wire,
    peer_is: StandIn,
}

/// Runs `body` on a stage, or says why not.
fn on(peer_is: StandIn, fault: Fault, body: impl FnOnce(&Stage)) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    match (Host::new(), Host::new()) {
        (Ok(asker), Ok(peer)) => {
            let wire = Wire::lay([&asker, &peer], fault);
            for (host, address) in [(&asker, ASKER), (&peer, &format!("{PEER}/24"))] {
                host.ip(&format!("link set {INTERFACE} up")).unwrap();
                host.address(INTERFACE, address).unwrap();
            }
            peer_is.listen(&peer, at(PORT));
            body(&Stage { asker, _peer: peer, _wire: wire, peer_is });
        }
        (Err(error), _) | (_, Err(error)) => {
            assert!(std::env::var_os("HPB_NET").is_none(), "{error}");
            eprintln!("skipped: {error}");
        }
    }
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::new(PEER.parse().unwrap(), port)
}

impl Stage {
    /// The peer as it should be called.
    fn target(&self) -> Target {
        let identity = Arc::new(Identity::new([50; 32], self.peer_is.chain));
        Target {
            address: at(PORT),
            credentials: Some(Credentials::new(identity, self.peer_is.key(), false)),
            known: Vec::new(),
            patience: Duration::from_secs(3),
        }
    }

    fn diagnose(&self, target: &Target) -> Diagnosis {
        self.asker.run(|| Diagnosis::of(gather(target, &mut |_| ()))).unwrap()
    }

    /// The doctor names `cause` first, at least this sure.
    #[track_caller]
    fn finds(&self, target: &Target, cause: Cause, certainty: Certainty) -> Diagnosis {
        let diagnosis = self.diagnose(target);
        let first = diagnosis.findings.first().unwrap_or_else(|| panic!("nothing found: {diagnosis:?}"));
        assert!(first.cause == cause && first.certainty >= certainty, "{diagnosis:?}");
        diagnosis
    }
}

#[test]
fn a_healthy_peer_is_told_healthy() {
    on(StandIn::new(), Fault::None, |stage| {
        let diagnosis = stage.diagnose(&stage.target());
        assert!(diagnosis.is_well(), "{diagnosis:?}");
    });
}

#[test]
fn a_peer_that_is_asked_too_much_at_once_is_asked_again() {
    on(StandIn { busy_count: 5, ..StandIn::new() }, Fault::None, |stage| {
        let target = stage.target();
        let sizes = stage.asker.run(|| path_mtu::path_mtu(&target)).unwrap();
        assert!(sizes.is_well() && sizes.down_len == Some(1_500), "{sizes:?}");
        let diagnosis = stage.diagnose(&target);
        assert!(diagnosis.is_well(), "{diagnosis:?}");
    });
}

#[test]
fn a_wrong_port() {
    on(StandIn::new(), Fault::None, |stage| {
        let target = Target { address: at(PORT + 7), ..stage.target() };
        stage.finds(&target, Cause::WrongPort, Certainty::Certain);
    });
}

#[test]
fn a_wrong_chain() {
    on(StandIn::new(), Fault::None, |stage| {
        let elsewhere = Arc::new(Identity::new([50; 32], ChainId(Hash([8; 32]))));
        let credentials = Some(Credentials::new(elsewhere, stage.peer_is.key(), false));
        stage.finds(&Target { credentials, ..stage.target() }, Cause::WrongChain, Certainty::Certain);
    });
}

#[test]
fn a_wrong_key() {
    on(StandIn::new(), Fault::None, |stage| {
        let other = StandIn { seed: 2, ..stage.peer_is };
        let identity = Arc::new(Identity::new([50; 32], other.chain));
        let credentials = Some(Credentials::new(identity, other.key(), false));
        let target = Target { credentials, ..stage.target() };
        stage.finds(&target, Cause::WrongKey, Certainty::Likely);
        let known = KnownPeer { name: "validator-1".to_owned(), key: stage.peer_is.key(), ports: vec![at(PORT)] };
        let diagnosis = stage.finds(&Target { known: vec![known], ..target }, Cause::WrongKey, Certainty::Certain);
        assert!(diagnosis.findings[0].evidence[1].contains("validator-1"), "{diagnosis:?}");
    });
}

#[test]
fn a_clock_off_by_five_seconds() {
    on(StandIn { clock_offset_ms: 5_000, ..StandIn::new() }, Fault::None, |stage| {
        stage.finds(&stage.target(), Cause::ClockOff, Certainty::Certain);
    });
}

#[test]
fn an_mtu_black_hole() {
    on(StandIn::new(), Fault::LongerThan(1_300), |stage| {
        let diagnosis = stage.finds(&stage.target(), Cause::MtuBlackHole, Certainty::Certain);
        let (up, down) = diagnosis.seen.largest.unwrap();
        let near = |len: Option<u32>| len.is_some_and(|len| (1_280..=1_300).contains(&len));
        assert!(near(up) && near(down), "{diagnosis:?}");
    });
}

#[test]
fn loss_one_way() {
    on(StandIn::new(), Fault::LosesUp(20), |stage| {
        let diagnosis = stage.finds(&stage.target(), Cause::Loss, Certainty::Certain);
        assert!(diagnosis.findings[0].evidence[0].contains("to the peer only"), "{diagnosis:?}");
    });
}

#[test]
fn a_slow_reader() {
    on(StandIn { reads_slowly: true, ..StandIn::new() }, Fault::None, |stage| {
        stage.finds(&stage.target(), Cause::SlowReader, Certainty::Certain);
    });
}

#[test]
fn a_blocked_syn() {
    on(StandIn::new(), Fault::SynsTo(PORT), |stage| {
        stage.finds(&stage.target(), Cause::SynBlocked, Certainty::Likely);
    });
}

#[test]
fn a_goodbye_of_each_reason() {
    for (reason, detail, cause) in [
        (Parting::FULL, 0, Cause::Full),
        (Parting::BANNED, 600, Cause::Banned),
        (Parting::DUPLICATE_IDENTITY, 0, Cause::DuplicateIdentity),
        (Parting::VERSION_TOO_OLD, 9, Cause::VersionTooOld),
    ] {
        let peer = StandIn { goodbye: Some(Goodbye { reason, detail }), ..StandIn::new() };
        on(peer, Fault::None, |stage| {
            stage.finds(&stage.target(), cause, Certainty::Certain);
        });
    }
}

#[test]
fn a_peer_of_an_old_version() {
    on(StandIn { version: 0, ..StandIn::new() }, Fault::None, |stage| {
        stage.finds(&stage.target(), Cause::VersionTooOld, Certainty::Certain);
    });
}

#[test]
fn any_tcp_service_can_be_pinged_traced_and_measured() {
    on(StandIn::new(), Fault::None, |stage| {
        let target = Target { credentials: None, ..stage.target() };
        stage
            .asker
            .run(|| {
                let rhythm = ping::Rhythm { count: 5, interval: Duration::ZERO };
                assert!(ping::by_tcp(&target, rhythm).is_well());
                let way = trace::trace(&target, 4, Duration::from_secs(1));
                assert!(way.reached && way.hops.len() == 1, "{way:?}");
                let sizes = path_mtu::path_mtu(&target);
                assert!(sizes.is_well() && sizes.up_len == Some(1_500), "{sizes:?}");
                let diagnosis = Diagnosis::of(gather(&target, &mut |_| ()));
                assert!(diagnosis.is_well(), "{diagnosis:?}");
            })
            .unwrap();
    });
}
