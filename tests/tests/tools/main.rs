//! Programs that others wrote, against the card on device ports: ping, curl, ncat, wrk, ab, nmap, hping3, scapy, tcpdump,
//! dnsmasq, and the kernel's own TCP beside the card on the same interface. All in network namespaces of the test's own;
//! nothing of the machine's network is touched.
//!
//! Without root, or without a program, a test says why it was skipped; with `HPB_NET=1` a skip is a failure.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod beside;
mod forged;
mod http;
mod leased;
mod modes;
mod pings;
mod scans;
mod stage;
mod streams;
mod tagged;
