//! The client against a real `nats-server` on loopback; where none is installed a test says so.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use hpb_base::Duration;
use hpb_lab::agent::nats::{Client, NatsError, NatsUrl};

const PATIENCE: Duration = Duration::from_secs(5);

/// A server that ends with the test.
struct Server {
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// None where it is not installed.
    fn start(options: &[&str]) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("nats-server");
        command.args(["-a", "127.0.0.1", "-p", &port.to_string()]).args(options);
        match command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn() {
            Ok(child) => Some(Self { child, port }),
            Err(error) => {
                assert!(std::env::var_os("HPB_NET").is_none(), "nats-server: {error}");
                eprintln!("skipped: nats-server: {error}");
                None
            }
        }
    }

    /// Calls until it listens: an end that refuses by words does.
    fn call(&self, who: &str) -> Result<Client, NatsError> {
        let url = NatsUrl::parse(&format!("nats://{who}127.0.0.1:{}", self.port)).unwrap();
        loop {
            match Client::connect(&url, "test") {
                Err(NatsError::Absent { reason, .. }) if reason.contains("refused") => std::thread::yield_now(),
                other => return other,
            }
        }
    }
}

#[test]
fn messages_cross_as_they_were_sent() {
    let Some(server) = Server::start(&[]) else { return };
    let (mut one, mut other) = (server.call("").unwrap(), server.call("").unwrap());
    assert_eq!(one.payload_len_max(), 1 << 20);
    assert!(one.local_address().unwrap().is_loopback());
    other.subscribe("hpb.lab.test").unwrap();
    // A session's lines are taken in their order: its own message comes after what it asked for.
    other.publish("hpb.lab.test", b"first").unwrap();
    assert_eq!(other.next(PATIENCE).unwrap().unwrap().payload, b"first");
    let longest: Vec<u8> = (0..1 << 20).map(|at: u32| (at % 251) as u8).collect();
    for payload in [&b""[..], b"PING\r\n", &longest] {
        one.publish("hpb.lab.test", payload).unwrap();
        let message = other.next(PATIENCE).unwrap().unwrap();
        assert_eq!((message.subject.as_str(), message.payload == payload), ("hpb.lab.test", true));
    }
    assert_eq!(one.next(Duration::from_millis(1)).unwrap(), None, "it asked for nothing");
}

#[test]
fn who_may_not_is_refused_in_the_servers_words() {
    let Some(server) = Server::start(&["--user", "lab", "--pass", "secret"]) else { return };
    let refused = |who: &str| server.call(who).err().unwrap().to_string();
    for who in ["", "lab:wrong@"] {
        let error = refused(who);
        assert!(error.ends_with("the NATS server refuses: Authorization Violation"), "{error}");
        assert!(!error.contains("wrong"), "{error}");
    }
    assert!(server.call("lab:secret@").is_ok());
}

#[test]
fn a_server_that_ends_is_gone_and_none_is_absent() {
    let Some(mut server) = Server::start(&[]) else { return };
    let mut client = server.call("").unwrap();
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    assert!(matches!(client.next(PATIENCE), Err(NatsError::Lost { .. })));
    let url = NatsUrl::parse(&format!("127.0.0.1:{}", server.port)).unwrap();
    let error = Client::connect(&url, "test").err().unwrap().to_string();
    assert!(error.contains("no NATS server answers") && error.contains("`nats-server` starts one"), "{error}");
}
