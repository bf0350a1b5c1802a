use super::*;

const MTU: usize = 1_500;

fn frame(bytes: &[u8], partial: Option<Partial>) -> Frame {
    let mut frame = crate::FramePool::new(1).take().expect("one frame");
    frame.copy_from(bytes);
    frame.set_partial(partial);
    frame
}

/// An Ethernet header, a tag if `is_tagged`, and a packet of zeros that says its version.
fn packet(version: u8, is_tagged: bool) -> Vec<u8> {
    let mut bytes = vec![0; 100];
    let ethernet_len = if is_tagged { 18 } else { 14 };
    if is_tagged {
        bytes[12..14].copy_from_slice(&VLAN);
    }
    bytes[ethernet_len] = version << 4;
    bytes
}

#[test]
fn only_frames_of_a_fitting_length_leave() {
    let fits = |len: usize, is_tagged: bool| {
        let mut bytes = vec![0; len];
        if is_tagged {
            bytes[12..14].copy_from_slice(&VLAN);
        }
        outgoing(&frame(&bytes, None), MTU, false).is_some()
    };
    for (len, expected) in [(0, false), (13, false), (14, true), (1_514, true), (1_515, false)] {
        assert_eq!(fits(len, false), expected, "{len} bytes");
    }
    for (len, expected) in [(14, false), (18, true), (1_518, true), (1_519, false)] {
        assert_eq!(fits(len, true), expected, "{len} bytes with a tag");
    }
}

#[test]
fn a_checksum_is_left_only_to_a_device_that_completes_it() {
    let partial = Some(Partial { start: 34, offset: 16 });
    let frame = frame(&packet(4, false), partial);
    assert!(outgoing(&frame, MTU, false).is_none());
    let checksum = outgoing(&frame, MTU, true).expect("sent").checksum;
    assert_eq!(checksum, Some(Checksum { ethernet_len: 14, ip_len: 20, version: 4 }));
}

#[test]
fn headers_are_measured_and_nonsense_is_refused() {
    let measured = |version, is_tagged, start, offset| {
        let ethernet_len = if is_tagged { 18 } else { 14 };
        checksum(&packet(version, is_tagged), ethernet_len, Partial { start, offset })
    };
    let header = |ethernet_len, ip_len, version| Some(Checksum { ethernet_len, ip_len, version });
    assert_eq!(measured(4, false, 34, 16), header(14, 20, 4));
    assert_eq!(measured(4, true, 62, 16), header(18, 44, 4));
    assert_eq!(measured(6, false, 54, 16), header(14, 40, 6));
    assert_eq!(measured(6, true, 82, 16), header(18, 64, 6));
    for (what, version, start, offset) in [
        ("the field of UDP", 4, 34, 6),
        ("a start inside the IP header", 4, 30, 16),
        ("a start in front of it", 4, 10, 16),
        ("a header too short for IPv6", 6, 34, 16),
        ("another version", 5, 34, 16),
        ("a field past the end", 6, 90, 16),
        ("a start past the end", 4, u16::MAX, 16),
    ] {
        assert_eq!(measured(version, false, start, offset), None, "{what}");
    }
}

#[allow(clippy::disallowed_methods, reason = "DPDK's own thread joins the two ends in its own time")]
fn wait() {
    std::thread::sleep(core::time::Duration::from_millis(5));
}

/// The one test here that starts DPDK: two devices of shared memory, one of which has buffers too short for a frame.
#[test]
fn a_frame_of_several_buffers_is_gathered() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("memif").display().to_string();
    let device = |index, role| format!("--vdev=net_memif{index},role={role},id=0,socket={socket},socket-abstract=no");
    let mut arguments = arguments::UNPRIVILEGED.map(str::to_owned).to_vec();
    arguments.extend([device(0, "server"), device(1, "client")]);
    eal::start(Some(&arguments)).expect("DPDK");
    let open = |name, room| {
        let device = Device::open(Some(name), 1, &[0; 32], room).expect(name);
        DpdkPort::new(Arc::new(device), 0)
    };
    let (mut from, mut to) = (open("net_memif0", MBUF_LEN), open("net_memif1", 512));
    let (mut sent, mut received) = (Bursts::new(64), Bursts::new(64));
    let mut now = Instant::ZERO;
    let mut connected = false;
    for _ in 0..1_000 {
        now += LINK_LOOK_INTERVAL;
        connected = from.link_is_up(now) && to.link_is_up(now);
        if connected {
            break;
        }
        wait();
    }
    assert!(connected, "the two have met");
    for len in [60_usize, 511, 512, 513, 1_024, 1_025, 1_514] {
        let bytes: Vec<u8> = (0..len).map(|index| (index * 7 + len) as u8).collect();
        sent.tx.push_back(frame(&bytes, None));
        // The first finds the ring full until its reader has brought buffers.
        while to.rx_burst(now, &mut received) == 0 {
            from.tx_burst(now, &mut sent);
        }
        assert_eq!(received.rx[0].bytes(), bytes, "{len} bytes");
        received.recycle_rx();
    }
    assert_eq!(to.counters().rx_malformed, 0);
    // A buffer that is too short for what is sent refuses it for good.
    sent.tx.push_back(frame(&[0; 513], None));
    assert_eq!((to.tx_burst(now, &mut sent), sent.tx.len(), to.counters().tx_refused), (0, 0, 1));
}
