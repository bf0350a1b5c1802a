use hpb_devnet::{run::*, terminals::Pace};
fn main() {
    let a: Vec<u64> = std::env::args().skip(1).map(|x| x.parse().unwrap()).collect();
    let args = Arguments { validators: a[0] as usize, sessions: a[1] as u32, pace: Pace::Fixed(a[2].try_into().unwrap()), seconds: a[3] as u32, slot_ms: a[4] as u32, slice_ms: 50, workload: None, data: None, report: "report".into(), seed: a[5] };
    let t = std::time::Instant::now();
    let o = run_virtual(&args).unwrap();
    println!("{}", o.report.to_json().unwrap());
    println!("{:?}", t.elapsed());
}
