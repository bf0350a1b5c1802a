//! ncat at the plain services: long streams, both ways, alone and together.

use super::stage::{BOTH, CARD_V4, CARD_V6, CHARGEN, CURL, DISCARD, ECHO, NCAT, Stage, count, noise, on, page, until};

const ECHO_LEN: usize = 20 << 20;
const DISCARD_LEN: usize = 50 << 20;
const CHARGEN_LEN: usize = 1 << 20;

#[test]
fn echo_sends_back_what_came() {
    on(BOTH, &[NCAT], |stage| {
        let card = stage.start(&stage.config(100));
        for address in [CARD_V4, CARD_V6] {
            assert_echoes(stage, address, &noise(ECHO_LEN));
        }
        stage.finish(card);
    });
}

#[test]
fn discard_takes_all_and_chargen_never_ends() {
    on(BOTH, &[NCAT], |stage| {
        let card = stage.start(&stage.config(100));
        let sent = noise(DISCARD_LEN);
        for address in [CARD_V4, CARD_V6] {
            // Without `--send-only` ncat waits for the card's FIN, which follows the last byte.
            let said = stage.run_with(NCAT, ["-v", address, &DISCARD.to_string()], &sent).ended_well();
            said.shows(&format!("{DISCARD_LEN} bytes sent, 0 bytes received"));
            let mut endless = stage.background(NCAT, &format!("--recv-only {address} {CHARGEN}"));
            assert!(endless.read(CHARGEN_LEN) == characters(CHARGEN_LEN), "{stage} {address}: not the RFC's pattern");
            drop(endless);
            until(&card, "chargen ends with its reader", |report| report.sessions == 0);
        }
        let report = stage.finish(card);
        let least = (2 * DISCARD_LEN / 1_500) as u64;
        assert!(count(&report, "segments received") > least, "{stage}: {:?}", report.counters);
        assert_eq!(count(&report, "dropped: checksum"), 0, "{stage}: {:?}", report.counters);
    });
}

#[test]
fn services_do_not_disturb_each_other() {
    const PAGE_LEN: usize = 2 << 20;
    on(BOTH, &[NCAT, CURL], |stage| {
        let card = stage.start(&stage.config(PAGE_LEN));
        let bytes = &noise(4 << 20);
        std::thread::scope(|scope| {
            for address in [CARD_V4, CARD_V6] {
                scope.spawn(move || assert_echoes(stage, address, bytes));
                scope.spawn(move || {
                    stage.run_with(NCAT, ["--send-only", address, &DISCARD.to_string()], bytes).ended_well();
                });
                scope.spawn(move || {
                    let mut endless = stage.background(NCAT, &format!("--recv-only {address} {CHARGEN}"));
                    assert!(endless.read(CHARGEN_LEN) == characters(CHARGEN_LEN), "{stage} {address}");
                });
            }
            scope.spawn(|| {
                let said = stage.run(CURL, &format!("-sS --fail http://{CARD_V4}/")).ended_well();
                assert!(said.bytes == page(PAGE_LEN), "{stage}: {} bytes", said.bytes.len());
            });
        });
        stage.finish(card);
    });
}

#[track_caller]
pub(crate) fn assert_echoes(stage: &Stage, address: &str, bytes: &[u8]) {
    let said = stage.run_with(NCAT, [address, &ECHO.to_string()], bytes).ended_well();
    let differs_at = said.bytes.iter().zip(bytes).position(|(came, sent)| came != sent);
    assert_eq!((said.bytes.len(), differs_at), (bytes.len(), None), "{stage} {address}: {}", said.errors);
}

/// The usual pattern of RFC 864: lines of 72 of the 95 printable characters, each beginning one further on.
fn characters(len: usize) -> Vec<u8> {
    let printable: Vec<u8> = (b' '..=b'~').collect();
    let line = |first: usize| {
        let characters = printable.iter().cycle().skip(first).take(72).copied();
        characters.chain(*b"\r\n").collect::<Vec<u8>>()
    };
    (0..printable.len()).cycle().flat_map(line).take(len).collect()
}
