//! Lines of a workload's file.

use std::fmt::Write as _;
use std::path::Path;

use hpb_devnet::workload::Workload;
use hpb_types::Amount;

/// Reads any bytes as a workload's file.
///
/// # Panics
/// If what was read contradicts itself, or does not read back from its own lines.
pub fn workload(bytes: &[u8]) {
    let path = Path::new("fuzz.csv");
    let read = match Workload::from_lines(path, bytes) {
        Ok(read) => read,
        Err(error) => return assert!(error.to_string().starts_with("workload fuzz.csv"), "{error}"),
    };
    assert!(!read.transfers().is_empty());
    let mut sums = vec![(Amount::ZERO, 0); read.parties().len()];
    let mut lines = String::from("block,index,from,to,value_wei,gas_limit,input_bytes\n");
    for transfer in read.transfers() {
        let address = |party: u32| -> String {
            let address = read.parties()[party as usize].name.address().expect("named from an address");
            address
                .iter()
                .flat_map(|byte| [byte >> 4, byte & 15])
                .filter_map(|half| char::from_digit(half.into(), 16))
                .collect()
        };
        writeln!(lines, "0,0,0x{},0x{},{},0,0", address(transfer.from), address(transfer.to), transfer.amount.0)
            .unwrap();
        let (sum, sends) = &mut sums[transfer.from as usize];
        *sum = sum.checked_add(transfer.amount).expect("what is sent fits an amount");
        *sends += 1;
    }
    for (party, sum) in read.parties().iter().zip(sums) {
        assert_eq!((party.outgoing, party.sends), sum);
    }
    let again = Workload::from_lines(path, lines.as_bytes()).expect("its own lines");
    assert_eq!((again.transfers(), again.parties()), (read.transfers(), read.parties()));
    if let Ok(endowments) = read.endow(1_000, Amount(1)) {
        assert_eq!(endowments.len(), read.parties().len());
    }
}
