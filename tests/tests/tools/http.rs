//! curl, wrk and ab at the page: every byte of it, many at once, one after the other, and from few client ports.

use std::fs;

use super::stage::{AB, BOTH, CARD_V4, CARD_V6, CURL, Stage, WRK, count, on, page};

const PAGE_LEN: usize = 1_000;
const LARGE_LEN: usize = 5 << 20;

/// The page's address on both families.
const PAGES: [&str; 2] = ["http://10.8.0.2/", "http://[2001:db8:8::2]/"];

#[test]
fn curl_gets_every_byte_and_keeps_its_connection() {
    assert!(PAGES[0].contains(CARD_V4) && PAGES[1].contains(CARD_V6));
    on(BOTH, &[CURL], |stage| {
        let card = stage.start(&stage.config(LARGE_LEN));
        for url in PAGES {
            let whole = stage.run(CURL, &format!("-sS -g --fail {url}any/path?at=all")).ended_well();
            assert!(whole.bytes == page(LARGE_LEN), "{stage} {url}: {} bytes, not the page", whole.bytes.len());
            let several = format!("-sS -g -I -w %{{stderr}}%{{http_code}}:%{{num_connects}}. {url}a {url}b {url}c");
            let several = stage.run(CURL, &several).ended_well().shows("200:1.200:0.200:0.");
            let heads = several.text.matches(&format!("Content-Length: {LARGE_LEN}")).count();
            assert_eq!(heads, 3, "{several}");
            stage.run(CURL, &format!("-sS -g -X DELETE -I {url}")).ended_well().shows("405 Method Not Allowed");
        }
        stage.finish(card);
    });
}

#[test]
fn wrk_and_ab_find_no_error_under_load() {
    on(BOTH, &[WRK, AB], |stage| {
        let card = stage.start(&stage.config(PAGE_LEN));
        std::thread::scope(|scope| {
            for url in PAGES {
                scope.spawn(move || {
                    let said = stage.run(WRK, &format!("-t 1 -c 64 -d 2s {url}")).ended_well();
                    said.shows("Requests/sec:").lacks("Socket errors").lacks("Non-2xx");
                });
            }
        });
        for url in PAGES {
            let closed = stage.run(AB, &format!("-q -n 5000 -c 50 {url}")).ended_well();
            assert_complete(&closed.shows("Document Length:        1000 bytes").text, 5_000);
            let kept = stage.run(AB, &format!("-q -k -n 5000 -c 50 {url}")).ended_well();
            assert_complete(&kept.shows("Keep-Alive requests:    5000").text, 5_000);
        }
        let report = stage.finish(card);
        assert!(count(&report, "sessions opened") >= 2 * (64 + 5_000 + 50), "{stage}: {:?}", report.counters);
        assert_eq!(count(&report, "dropped: table_full"), 0, "{stage}: {:?}", report.counters);
    });
}

#[test]
fn few_client_ports_serve_for_many_sessions() {
    on(BOTH, &[AB], |stage| {
        let card = stage.start(&stage.config(PAGE_LEN));
        narrow(stage);
        for url in PAGES {
            // The card closes first and waits each session out: a SYN of the same ends opens the next at once.
            let said = stage.run(AB, &format!("-q -n 200 -c 1 {url}")).ended_well();
            assert_complete(&said.text, 200);
        }
        let report = stage.finish(card);
        assert!(report.waiting_out <= 64 + 2, "{stage}: {} waited out of 32 ports a family", report.waiting_out);
    });
}

/// Gives the peer's kernel 32 client ports.
fn narrow(stage: &Stage) {
    let write = || fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40031");
    stage.peer.run(write).unwrap().unwrap();
}

#[track_caller]
fn assert_complete(said: &str, requests: usize) {
    assert!(said.contains(&format!("Complete requests:      {requests}\n")), "{said}");
    assert!(said.contains("Failed requests:        0\n") && !said.contains("Non-2xx"), "{said}");
}
