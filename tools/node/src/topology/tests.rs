#![allow(clippy::unwrap_used)]

use super::*;

fn node(cores: usize) -> Topology {
    Topology::lay_out(&Demand::node((0..cores).collect())).unwrap()
}

fn devnet(cores: usize) -> Topology {
    Topology::lay_out(&Demand::devnet((0..cores).collect(), 4, 3)).unwrap()
}

/// The lines of the executors' part of the table, without its head.
fn executors(topology: &Topology) -> Vec<String> {
    let text = topology.describe();
    let lines = text.lines().skip(1).take_while(|line| !line.is_empty());
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn a_node_lays_itself_out_on_1_2_3_4_cores() {
    assert_eq!(
        executors(&node(1)),
        ["lane0 0 hot lane0 chain verify0", "store 0 service store", "log 0 service log", "api 0 service api"]
    );
    assert_eq!(
        executors(&node(2)),
        [
            "lane0 0 hot lane0",
            "chain 1 hot chain verify0",
            "store 0-1 service store",
            "log 0-1 service log",
            "api 0-1 service api",
        ]
    );
    assert_eq!(executors(&node(3))[..3], ["lane0 0 hot lane0", "chain 1 hot chain", "verify0 2 hot verify0"]);
    assert_eq!(
        executors(&node(4)),
        [
            "lane0 0 hot lane0",
            "chain 1 hot chain",
            "verify0 2 hot verify0",
            "store 3 service store",
            "log 3 service log",
            "api 3 service api",
        ]
    );
}

#[test]
fn sixteen_cores_hold_four_lanes_and_nine_verifiers() {
    let table = executors(&node(16));
    assert_eq!(table.len(), 4 + 1 + 9 + 3);
    assert_eq!(table[0], "lane0 0 hot lane0");
    assert_eq!(table[4], "chain 4 hot chain");
    assert_eq!(table[13], "verify8 13 hot verify8");
    assert_eq!(table[14..], ["store 14 service store", "log 14 service log", "api 15 service api"]);
}

#[test]
fn a_devnet_of_four_validators_needs_two_hot_threads_on_two_cores() {
    assert_eq!(
        executors(&devnet(2)),
        [
            "lane0 0 hot lane0[0-3] verify0[0-3]",
            "chain 1 hot chain[0-3] terminals0 terminals1 terminals2",
            "store 0-1 service store[0-3]",
            "log 0-1 service log[0-3]",
            "api 0-1 service api[0-3]",
        ]
    );
    assert_eq!(
        executors(&devnet(3))[..3],
        [
            "lane0 0 hot lane0[0-3]",
            "chain 1 hot chain[0-3] verify0[0-3]",
            "terminals0 2 hot terminals0 terminals1 terminals2",
        ]
    );
}

#[test]
fn a_devnet_spreads_its_machines_over_sixteen_cores() {
    let table = executors(&devnet(16));
    assert!(table.contains(&"chain0 2 hot chain[0,3]".to_owned()), "{table:?}");
    assert!(table.contains(&"terminals2 13 hot terminals2".to_owned()), "{table:?}");
    let topology = devnet(16);
    assert_eq!((topology.lanes(), topology.terminal_cards()), (1, 3));
    for node in 0..4 {
        assert!(topology.host(node, Role::Lane(0)).is_some());
        assert!(topology.host(node, Role::Terminals(2)).is_some(), "terminals belong to all nodes");
    }
    assert_eq!(topology.host(4, Role::Chain), None);
}

#[test]
fn every_size_is_a_valid_table_without_idle_cores_or_shared_ones() {
    for cores in 1..=64 {
        for topology in [node(cores), devnet(cores)] {
            let hot = topology.executors().iter().filter(|executor| executor.kind == Kind::Hot);
            let mut taken: Vec<usize> = hot.flat_map(|executor| executor.cores.clone()).collect();
            let hot_count = taken.len();
            taken.sort_unstable();
            taken.dedup();
            assert_eq!(taken.len(), hot_count, "one hot executor a core:\n{}", topology.describe());
            let service_cores = match cores {
                0..=3 => 0,
                4..=7 => 1,
                _ => 2,
            };
            assert_eq!(hot_count, cores - service_cores, "every core is used:\n{}", topology.describe());
            assert!(topology.verifiers() >= 1 && topology.lanes() >= 1);
        }
    }
}

#[test]
fn what_the_config_states_is_what_the_table_holds() {
    let demand = Demand { lanes: Some(2), verifiers: Some(3), ..Demand::node(vec![5, 7]) };
    let topology = Topology::lay_out(&demand).unwrap();
    assert_eq!(executors(&topology)[..2], ["lane0 5 hot lane0 lane1", "chain 7 hot chain verify0 verify1 verify2"]);
    assert!(topology.link("lane0_lane1").is_some());
    let demand = Demand { lanes: Some(100), ..Demand::node((0..16).collect()) };
    let topology = Topology::lay_out(&demand).unwrap();
    assert_eq!((topology.lanes(), topology.verifiers()), (100, 1), "more lanes than cores share them");
}

#[test]
fn links_join_every_lane_and_verifier_and_lose_only_what_may_be_lost() {
    let topology = node(16);
    for lane in 0..4 {
        for name in [format!("lane{lane}_chain"), format!("chain_lane{lane}"), format!("lane{lane}_verify{lane}")] {
            assert!(topology.link(&name).is_some(), "{name}");
        }
    }
    for verify in 0..9 {
        assert!(topology.link(&format!("verify{verify}_lane{}", verify % 4)).is_some());
        assert!(topology.link(&format!("verify{verify}_chain")).is_some());
    }
    let lossy = topology.links().iter().filter(|link| link.when_full == WhenFull::CountedDrop);
    assert!(lossy.clone().all(|link| link.item == "stray frame" || link.item == "chain event"));
    assert_eq!(lossy.count(), 4 * 3 + 1);
    let text = topology.describe();
    assert!(text.contains("chain_log"), "{text}");
    assert!(text.lines().all(|line| line == line.trim_end()));
}

#[test]
fn a_wrong_demand_is_refused() {
    let refused = |demand: Demand| Topology::lay_out(&demand).unwrap_err();
    assert_eq!(refused(Demand::node(vec![])), TopologyError::Cores);
    assert_eq!(refused(Demand::node(vec![1, 1])), TopologyError::Cores);
    assert_eq!(refused(Demand::devnet(vec![0], 0, 0)), TopologyError::Demand);
    assert_eq!(refused(Demand { lanes: Some(0), ..Demand::node(vec![0]) }), TopologyError::Demand);
    assert_eq!(refused(Demand { verifiers: Some(EXECUTORS_MAX + 1), ..Demand::node(vec![0]) }), TopologyError::Demand);
}

#[test]
fn a_wrong_row_is_refused() {
    let row = |name: &str, kind, cores: &[usize], role| Executor {
        name: name.to_owned(),
        kind,
        cores: cores.to_vec(),
        seats: vec![Seat { node: 0, role }],
    };
    let link = |name: &str, depth, consumer| Link {
        name: name.to_owned(),
        producer: Role::Chain,
        consumer,
        depth,
        item: "item".to_owned(),
        when_full: WhenFull::BackPressure,
    };
    let chain = row("chain", Kind::Hot, &[0], Role::Chain);
    let refused = |nodes, executors, links| Topology::from_rows(nodes, executors, links).unwrap_err();
    let name = |name: &str| TopologyError::ExecutorName(name.to_owned());
    assert_eq!(refused(1, vec![row("", Kind::Hot, &[0], Role::Log)], vec![]), name(""));
    assert_eq!(refused(1, vec![chain.clone(), chain.clone()], vec![]), name("chain"));
    assert_eq!(refused(1, vec![row("a-name-too-long-", Kind::Hot, &[0], Role::Log)], vec![]), name("a-name-too-long-"));
    let cores = TopologyError::ExecutorCores("log".to_owned());
    assert_eq!(refused(1, vec![row("log", Kind::Hot, &[0, 1], Role::Log)], vec![]), cores);
    assert_eq!(refused(1, vec![row("log", Kind::Service, &[], Role::Log)], vec![]), cores);
    let twice = vec![chain.clone(), row("other", Kind::Hot, &[1], Role::Chain)];
    assert_eq!(refused(1, twice, vec![]), TopologyError::SeatTaken { node: 0, role: Role::Chain });
    let own = |depth| link("chain_chain", depth, Role::Chain);
    assert_eq!(
        refused(2, vec![chain.clone()], vec![own(1)]),
        TopologyError::SeatMissing { node: 1, role: Role::Chain }
    );
    assert_eq!(
        refused(1, vec![chain.clone()], vec![own(1), own(1)]),
        TopologyError::LinkName("chain_chain".to_owned())
    );
    for depth in [0, LINK_DEPTH_MAX + 1] {
        assert_eq!(
            refused(1, vec![chain.clone()], vec![own(depth)]),
            TopologyError::LinkDepth("chain_chain".to_owned())
        );
    }
    assert_eq!(
        refused(1, vec![chain], vec![link("chain_log", 1, Role::Log)]),
        TopologyError::SeatMissing { node: 0, role: Role::Log }
    );
}

#[test]
fn a_chain_is_helped_where_nothing_but_its_verifiers_runs() {
    assert_eq!([1, 2, 3, 4].map(|cores| node(cores).helpers(0)), [vec![], vec![], vec![2], vec![2]]);
    let large = node(16);
    assert_eq!(large.helpers(0).len(), HELPERS_MAX);
    let chain = large.host(0, Role::Chain).unwrap();
    assert!(!large.helpers(0).contains(&large.executors()[chain].cores[0]));
    assert_eq!(large.helpers(1), [0_usize; 0]);
    assert_eq!(devnet(4).helpers(0), [0_usize; 0], "a verifier of several nodes");
}
