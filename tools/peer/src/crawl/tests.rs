#![allow(clippy::unwrap_used)]

use hpb_types::keys::Hash;

use super::*;

/// Keys that can be told apart, in no order.
fn key(node: u8) -> PublicKey {
    let identity = hpb_toe::Identity::new([node; 32], hpb_types::units::ChainId(Hash([0; 32])));
    identity.public()
}

fn at(node: u8) -> SocketAddr {
    ([10, 0, 0, node], 30_303).into()
}

fn info(node: u8) -> InfoReport {
    InfoReport {
        address: at(node).to_string(),
        identity: key(node).to_hex(),
        software: Some("hpb 0.1.0".to_owned()),
        version: Some(1),
        chain: Some("c".to_owned()),
        roles: Vec::new(),
        asker_roles: Vec::new(),
        head: Some((u64::from(node), 0)),
        final_slice: None,
        validators: None,
        terminals: None,
        uptime_ms: None,
        clock: None,
        missing: None,
    }
}

/// A session with a node that was called, or one that came from an ephemeral port.
fn told(peer: u8, called: bool, round_trip_us: u32) -> SessionTold {
    let remote = if called { at(peer) } else { ([10, 0, 0, peer], 50_000).into() };
    SessionTold { peer: key(peer), remote, called, round_trip_us }
}

/// A circle of four: each called the next one.
fn circle() -> Network {
    let mut crawl = Crawl::new(key(9), key(1), at(1));
    while let Some((asked, address)) = crawl.next_call() {
        let node = (1..=4).find(|node| key(*node) == asked).unwrap();
        assert_eq!(address, at(node));
        let (next, before) = (node % 4 + 1, (node + 2) % 4 + 1);
        let sessions = [
            told(9, false, 1),
            told(next, true, 100 * u32::from(node)),
            told(before, false, 100 * u32::from(before) + 7),
        ];
        crawl.answered(asked, info(node), &sessions);
    }
    crawl.finish()
}

#[test]
fn a_circle_is_walked_once_and_each_session_is_one_edge() {
    let network = circle();
    assert_eq!((network.nodes.len(), network.edges.len()), (4, 4));
    assert!(network.is_well() && network.nodes[0].key == key(1).to_hex());
    for edge in &network.edges {
        let (Some(a), Some(b)) = (edge.a_round_trip_us, edge.b_round_trip_us) else { panic!("{edge:?}") };
        assert_eq!(a.abs_diff(b), 7, "both ends tell of it");
        let caller = edge.caller.unwrap();
        let low_is_the_caller_s = if caller == edge.a { a < b } else { b < a };
        assert!(low_is_the_caller_s, "{edge:?}");
    }
    let text = network.text();
    for words in
        ["4 nodes: 4 answered, 0 were called and did not, 0 are known by name alone; 4 sessions", "slots 1 to 4"]
    {
        assert!(text.contains(words), "{text}");
    }
    assert!(!text.contains("Only one of") && network.dot().matches(" -- ").count() == 4);
    let json = serde_json::to_string(&network).unwrap();
    assert_eq!(serde_json::from_str::<Network>(&json).unwrap(), network);
}

#[test]
fn a_guessed_place_that_leads_nowhere_is_tried_again_where_the_node_listens() {
    let mut crawl = Crawl::new(key(9), key(1), ([10, 0, 0, 1], 7).into());
    let (first, _) = crawl.next_call().unwrap();
    crawl.answered(first, info(1), &[told(2, false, 5), told(3, true, 5)]);
    let guessed: SocketAddr = ([10, 0, 0, 2], 7).into();
    assert_eq!(crawl.next_call(), Some((key(2), guessed)));
    crawl.failed(key(2), "nobody listens".to_owned());
    assert_eq!(crawl.next_call(), Some((key(3), at(3))));
    crawl.answered(key(3), info(3), &[told(2, true, 9), told(1, false, 5)]);
    assert_eq!(crawl.next_call(), Some((key(2), at(2))));
    crawl.failed(key(2), "the role is missing".to_owned());
    assert_eq!(crawl.next_call(), None);
    let network = crawl.finish();
    assert!(!network.is_well());
    assert_eq!(network.nodes[1].state, NodeState::Silent);
    let text = network.text();
    assert!(text.contains("the role is missing") && text.contains("2 answered, 1 were called and did not"), "{text}");
}

#[test]
fn what_only_one_end_tells_of_is_said_and_nodes_are_bounded() {
    let mut crawl = Crawl::new(key(9), key(1), at(1));
    crawl.next_call().unwrap();
    crawl.answered(key(1), info(1), &[told(2, true, 5), told(1, true, 5)]);
    crawl.next_call().unwrap();
    crawl.answered(key(2), info(2), &[]);
    let mut other = info(2);
    other.chain = Some("d".to_owned());
    crawl.answered(key(2), other, &[]);
    let text = crawl.finish().text();
    assert!(text.contains("Only one of") && text.contains("of 2 chains: c, d"), "{text}");
    let mut crawl = Crawl::new(key(9), key(1), at(1));
    let all: Vec<SessionTold> = (0..CRAWL_NODES_MAX as u32 + 5)
        .map(|number| {
            let mut bytes = [0; 32];
            bytes[..4].copy_from_slice(&number.to_le_bytes());
            SessionTold { peer: PublicKey(bytes), remote: at(9), called: true, round_trip_us: 0 }
        })
        .collect();
    crawl.answered(key(1), info(1), &all);
    let network = crawl.finish();
    assert_eq!((network.nodes.len(), network.left_out), (CRAWL_NODES_MAX, 6));
    assert!(network.text().contains("6 more were named and found no room"));
}

#[test]
fn the_picture_has_each_node_and_session_once_and_holds_foreign_text() {
    let mut network = circle();
    network.nodes[2].reason = Some("<script>alert(1)</script>".to_owned());
    network.nodes[2].state = NodeState::Silent;
    let svg = picture(&network);
    assert_eq!((svg.matches("<circle").count(), svg.matches("<title>").count()), (4, 8));
    assert!(!svg.contains("<script>") && svg.contains("node silent"));
    assert!(
        picture(&Network { version: VERSION, nodes: Vec::new(), edges: Vec::new(), left_out: 0 }).ends_with("</svg>\n")
    );
}
