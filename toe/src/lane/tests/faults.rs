//! Foreign bytes, segments of no session, and faults made on purpose.

use super::*;
use crate::segment;

#[test]
fn any_bytes_cost_at_most_their_own_session() {
    let mut world = open_pair(11, LinkConfig::default(), Class::Terminal, true);
    let (far, near) = (world.opened(0)[0], world.opened(1)[0]);
    let mut random = Random::new(11);
    for n in 0..20_000 {
        let mut bytes = vec![0; random.below(120) as usize];
        random.fill(&mut bytes);
        if bytes.len() >= 40 && n % 2 == 0 {
            bytes[..20].copy_from_slice(&[0x45, 0, 0, 0, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1]);
            let len = bytes.len() as u16;
            bytes[2..4].copy_from_slice(&len.to_be_bytes());
            bytes[22..24].copy_from_slice(&PORT.to_be_bytes());
            bytes[32] = 0x50 | (bytes[32] & 15);
            if bytes[33] & segment::FIN == 0 {
                bytes[33] &= !segment::SYN;
            }
            segment::fill_checksums(&mut bytes);
        }
        let host = &mut world.hosts[0];
        let mut frame = host.bursts.pool.take().unwrap();
        frame.copy_from(&bytes);
        host.bursts.rx.push(frame);
        host.lane.poll(world.now, &mut host.bursts);
    }
    assert!(world.hosts[0].lane.counters().drops.iter().map(|(_, count)| count).sum::<u64>() >= 19_000);
    world.send(1, near, 1, b"alive").unwrap();
    world.send(0, far, 1, b"alive").unwrap();
    world.run_for(Duration::from_secs(1));
    assert_eq!((world.messages(0).len(), world.messages(1).len()), (1, 1));
}

#[test]
fn the_session_table_shows_the_cards_fields() {
    let mut world = open_pair(12, LinkConfig::default(), Class::Terminal, true);
    let near = world.opened(1)[0];
    world.send(1, near, 1, &[0; 100]).unwrap();
    world.run_for(Duration::from_secs(1));
    let (rows, rest) = world.hosts[0].lane.table(0, 10);
    let (peers, _) = world.hosts[1].lane.table(0, 10);
    assert_eq!((rows.len(), rest), (1, None));
    assert_eq!(rows[0].state, "ESTABLISHED");
    assert_eq!((rows[0].remote, rows[0].local), (peers[0].local, peers[0].remote));
    assert_eq!(rows[0].next_sequence, peers[0].last_ack, "what we expect next is what the peer knows we have");
    assert!(rows[0].ack_seen && !rows[0].fin_seen && !rows[0].rst_seen);
    assert_eq!((rows[0].counters.rx_messages, rows[0].in_flight_len), (1, 0));
    assert!(rows[0].last_data_at > Instant::from_millis(1_000));
}

#[test]
fn fault_registers_act_and_are_counted() {
    let mut world = open_pair(13, LinkConfig::default(), Class::Validator, true);
    let near = world.opened(1)[0];
    let now = world.now;
    for (register, value) in [(Register::InsertError, 5), (Register::BackPressure, 2), (Register::CellGap, 50)] {
        world.hosts[0].lane.handle(now, Command::SetRegister { register, value });
    }
    let sent = body(200_000, 1);
    world.send(1, near, 1, &sent).unwrap();
    world.run_for(Duration::from_secs(240));
    assert!(world.messages(0).iter().map(|(_, body)| body).eq([&sent]), "slow, and whole");
    for register in [Register::InsertError, Register::BackPressure, Register::CellGap] {
        assert!(world.hosts[0].lane.register(register).1 > 0, "{}", register.name());
    }
    assert_eq!(
        world.hosts[0].lane.counters().drops.get(Reason::Checksum),
        world.hosts[0].lane.register(Register::InsertError).1
    );
}

#[test]
fn a_segment_of_no_session_meets_silence_or_a_reset() {
    let mut world = open_pair(14, LinkConfig::default(), Class::Terminal, true);
    let near = world.opened(1)[0];
    // The far side forgets the session, as after a restart.
    world.hosts[0].lane = Lane::new(config(0), world.hosts[0].port.capabilities(), world.now).unwrap();
    world.send(1, near, 1, b"hello?").unwrap();
    world.run_for(Duration::from_secs(1));
    assert!(world.closed(1).is_empty(), "silence");
    let set = Command::SetRegister { register: Register::NoSession, value: 1 };
    let now = world.now;
    world.hosts[0].lane.handle(now, set);
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.closed(1), [(CloseReason::Remote, true)], "a reset");
}
