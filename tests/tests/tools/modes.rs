//! The eight mode registers on live traffic: each acts, and the kernel's TCP repairs what it breaks.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use hpb_card::Report;
use hpb_toe::registers::Register;

use super::stage::{BOTH, CARD_V4, CARD_V6, ECHO, Stage, acted, count, noise, on, until};

/// Opens a session of each family, sets the registers, and echoes `len` bytes; returns the card's last report.
fn echo_with(stage: &Stage, registers: &[(Register, u32)], len: usize) -> Report {
    let card = stage.start(&stage.config(100));
    let set = |value: fn(u32) -> u32| {
        for (register, wanted) in registers {
            assert!(card.controls()[0].set(*register, value(*wanted)));
        }
    };
    for address in [CARD_V4, CARD_V6] {
        let mut stream = connect(stage, address, ECHO).unwrap();
        assert_echoes(&mut stream, 100);
        set(|wanted| wanted);
        assert_echoes(&mut stream, len);
        set(|_| 0);
        assert_echoes(&mut stream, 100);
    }
    let report = stage.finish(card);
    for (register, _) in registers {
        assert!(acted(&report, *register) > 0, "{stage}: {} did not act: {report:?}", register.name());
    }
    report
}

fn connect(stage: &Stage, address: &str, port: u16) -> io::Result<TcpStream> {
    let remote = SocketAddr::new(address.parse::<IpAddr>().unwrap(), port);
    let stream = stage.peer.run(|| TcpStream::connect_timeout(&remote, Duration::from_secs(20))).unwrap()?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.set_write_timeout(Some(Duration::from_secs(20)))?;
    Ok(stream)
}

/// Sends bytes and compares what comes back.
#[track_caller]
fn assert_echoes(stream: &mut TcpStream, len: usize) {
    let sent = noise(len);
    let mut came = vec![0; len];
    let mut writer = stream.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| writer.write_all(&sent).unwrap());
        stream.read_exact(&mut came).unwrap();
    });
    let differs_at = came.iter().zip(&sent).position(|(came, sent)| came != sent);
    assert_eq!(differs_at, None, "of {len} bytes");
}

#[test]
fn damaged_segments_are_repaired() {
    on(BOTH, &[], |stage| {
        for registers in [[(Register::InsertError, 50)], [(Register::InsertErrorBurst, 4)]] {
            let report = echo_with(stage, &registers, 1 << 20);
            let damaged = acted(&report, registers[0].0);
            let refused = count(&report, "dropped: checksum") + count(&report, "dropped: malformed");
            assert!(refused * 10 >= damaged * 9, "{stage}: {damaged} damaged: {:?}", report.counters);
        }
    });
}

#[test]
fn segments_out_of_order_are_dropped_and_come_again() {
    on(BOTH, &[], |stage| {
        let card = stage.start(&stage.config(100));
        let set = |register, value| assert!(card.controls()[0].set(register, value));
        for address in [CARD_V4, CARD_V6] {
            let before = acted(&card.report(), Register::Reorder);
            let mut stream = connect(stage, address, ECHO).unwrap();
            set(Register::Reorder, 1);
            // What follows a damaged segment comes out of order. The sender hears nothing of it and waits for its own
            // time-out, each longer than the last: a few are enough.
            set(Register::InsertError, 100);
            while acted(&card.report(), Register::Reorder) == before {
                assert_echoes(&mut stream, 64 << 10);
            }
            set(Register::InsertError, 0);
            assert_echoes(&mut stream, 64 << 10);
            set(Register::Reorder, 0);
        }
        let report = stage.finish(card);
        assert_eq!(count(&report, "dropped: fault"), acted(&report, Register::Reorder), "{stage}: {report:?}");
    });
}

#[test]
fn acks_that_repeat_themselves_may_stay_away() {
    on(BOTH, &[], |stage| {
        echo_with(stage, &[(Register::DuplicateAck, 1), (Register::InsertError, 200)], 1 << 20);
    });
}

#[test]
fn a_lane_that_holds_back_loses_nothing() {
    on(BOTH, &[], |stage| {
        let report = echo_with(stage, &[(Register::BackPressure, 3)], 4 << 20);
        assert_eq!(count(&report, "dropped: checksum"), 0, "{stage}: {:?}", report.counters);
    });
}

#[test]
fn a_lane_with_gaps_between_segments_loses_nothing() {
    on(BOTH, &[], |stage| {
        echo_with(stage, &[(Register::CellGap, 50)], 1 << 20);
    });
}

#[test]
fn what_is_of_no_session_is_refused_where_asked() {
    on(BOTH, &[], |stage| {
        let mut config = stage.config(100);
        config.registers = vec![(Register::NoSession, 1)];
        let card = stage.start(&config);
        for address in [CARD_V4, CARD_V6] {
            let error = connect(stage, address, 81).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused, "{stage} {address}: {error}");
        }
        let report = stage.finish(card);
        assert!(acted(&report, Register::NoSession) >= 2 && count(&report, "resets") >= 2, "{:?}", report.counters);
    });
}

#[test]
fn a_looped_card_hears_itself_and_goes_on_afterwards() {
    on(BOTH, &[], |stage| {
        let card = stage.start(&stage.config(100));
        stage.assert_works();
        assert!(card.controls()[0].set(Register::Loop, 1));
        let is_set = |(name, value, _): &(String, u32, u64)| name == Register::Loop.name() && *value == 1;
        until(&card, "the register is set", |report| report.registers.iter().any(is_set));
        std::thread::scope(|scope| {
            let client = scope.spawn(|| assert_echoes(&mut connect(stage, CARD_V4, ECHO).unwrap(), 1_000));
            until(&card, "the card hears itself", |report| acted(report, Register::Loop) > 0);
            assert!(!client.is_finished(), "{stage}: the SYN|ACK reached the peer");
            assert!(card.controls()[0].set(Register::Loop, 0));
            client.join().unwrap();
        });
        stage.finish(card);
    });
}
