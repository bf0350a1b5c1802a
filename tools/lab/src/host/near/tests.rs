#![allow(clippy::unwrap_used)]

use hpb_base::Duration;

use super::*;
use crate::scenario::file::parse;

fn scenario(load: &str) -> Scenario {
    let text = format!(
        "name = \"book\"\nabout = \"What is meant to leave.\"\nclock = \"real\"\nwarm_up = \"1s\"\nduration = \"1s\"\n\
         drain = \"1s\"\nrepeats = 1\nsessions = 3\n[load]\n{load}\nrequest_len = 16\n[[target]]\nname = \"kernel\"\n\
         kind = \"kernel-epoll\"\n"
    );
    parse(&text).unwrap()
}

fn book(load: &str) -> Book {
    let scenario = scenario(load);
    Book::new(&scenario, &Window::new(&scenario, Instant::from_millis(100)), 0)
}

fn drained(book: &mut Book, now: Instant) -> Vec<u32> {
    std::iter::from_fn(|| book.next(now)).map(|outgoing| outgoing.session).collect()
}

#[test]
fn an_incast_is_a_message_of_each_session_at_one_moment() {
    let mut book = book("pattern = \"incast\"\narrivals = \"fixed\"\nrate_per_s = 10");
    assert_eq!(drained(&mut book, Instant::from_millis(99)), [0_u32; 0]);
    assert_eq!(drained(&mut book, Instant::from_millis(100)), [0, 1, 2]);
    assert!(book.sent.iter().all(|sent| sent.intended == Instant::from_millis(100) && sent.left.is_none()));
    book.left(1, Instant::from_millis(101));
    assert_eq!(book.sent[1].left, Some(Instant::from_millis(101)));
}

#[test]
fn a_fan_out_is_one_message_to_all() {
    let mut book = book("pattern = \"fan-out\"\narrivals = \"fixed\"\nrate_per_s = 10");
    assert_eq!(drained(&mut book, Instant::from_millis(200)), [EVERYBODY, EVERYBODY]);
}

#[test]
fn a_closed_loop_goes_on_with_each_answer_until_the_end() {
    let mut book = book("pattern = \"request-reply\"\narrivals = \"closed\"\nin_flight = 2\nreply_len = 16");
    let start = Instant::from_millis(100);
    assert_eq!(drained(&mut book, start), [0, 0, 1, 1, 2, 2]);
    book.answered(1, start + Duration::from_millis(1));
    assert_eq!(drained(&mut book, start), [1]);
    book.answered(1, start + Duration::from_secs(2));
    assert_eq!(drained(&mut book, start + Duration::from_secs(2)), [0_u32; 0]);
    assert_eq!(book.next_at(), None);
}
