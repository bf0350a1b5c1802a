#[test]
fn trace() {
    for nodes in [4, 7] {
        let arguments = hpb_sim::run::Arguments { seeds: 0..30, nodes, trace: false };
        let summary = hpb_sim::run::run(&arguments, &|| false, &mut Vec::new()).unwrap();
        println!("TRACE {nodes} {}", summary);
    }
}
