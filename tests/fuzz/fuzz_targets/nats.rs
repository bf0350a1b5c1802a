#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hpb_tests::fuzz::nats(bytes));
