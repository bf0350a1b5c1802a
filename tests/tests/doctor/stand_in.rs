//! A stand-in for a node: it speaks a node's bytes over the kernel's TCP, and has one fault.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use hpb_sandbox::Host;
use hpb_toe::Identity;
use hpb_toe::secure::StreamSession;
use hpb_types::SliceRef;
use hpb_types::keys::{Hash, PublicKey};
use hpb_types::message::diagnose::{Answer, Ask, ClockReading, Filling, Goodbye, Question, Refusal, Tell};
use hpb_types::message::{Hello, Message, PROTOCOL_VERSION, Roles};
use hpb_types::units::{ChainId, Height, Slot};

/// What a stand-in is, and what is wrong with it.
#[derive(Clone, Copy)]
pub(crate) struct StandIn {
    pub(crate) seed: u8,
    pub(crate) chain: ChainId,
    pub(crate) version: u8,
    /// Said after the hellos.
    pub(crate) goodbye: Option<Goodbye>,
    pub(crate) clock_offset_ms: i64,
    /// Whether it takes its bytes in small pieces with long rests.
    pub(crate) reads_slowly: bool,
    /// How many of a session's first questions it is too busy for.
    pub(crate) busy_count: u32,
}

impl StandIn {
    /// One that is well.
    pub(crate) fn new() -> Self {
        let chain = ChainId(Hash([7; 32]));
        Self {
            seed: 1,
            chain,
            version: PROTOCOL_VERSION,
            goodbye: None,
            clock_offset_ms: 0,
            reads_slowly: false,
            busy_count: 0,
        }
    }

    fn identity(self) -> Identity {
        Identity::new([self.seed; 32], self.chain)
    }

    pub(crate) fn key(self) -> PublicKey {
        self.identity().public()
    }

    /// Takes sessions at `address` of `host` for as long as the process lives.
    #[allow(clippy::disallowed_methods, reason = "a stand-in for a process of its own")]
    pub(crate) fn listen(self, host: &Host, address: SocketAddr) {
        let listener = host.run(|| TcpListener::bind(address).unwrap()).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || self.serve(stream));
            }
        });
    }

    #[allow(clippy::disallowed_methods, reason = "one that reads slowly takes real time")]
    fn serve(self, mut stream: TcpStream) {
        let mut session = StreamSession::answer(Arc::new(self.identity()), [9; 32], 1 << 20);
        let mut buffer = vec![0; if self.reads_slowly { 2_000 } else { 64 << 10 }];
        let (mut greeted, mut busy_count) = (false, self.busy_count);
        loop {
            let Ok(len @ 1..) = stream.read(&mut buffer) else { return };
            let (mut out, mut heard) = (Vec::new(), Vec::new());
            let fed = session.feed(&buffer[..len], &mut out, |kind, body| heard.extend(Message::decode(kind, body)));
            if fed.is_err() {
                // A stranger is left without a word.
                return;
            }
            let mut say = |message: &Message| session.say(message.kind(), &message.encode(), &mut out).unwrap_or(());
            let mut ends = false;
            for message in heard {
                match message {
                    Message::Hello(_) if !greeted => {
                        greeted = true;
                        say(&Message::Hello(self.hello()));
                        if let Some(goodbye) = self.goodbye {
                            say(&Message::Goodbye(goodbye));
                            ends = true;
                        }
                    }
                    Message::Ping(nonce) => say(&Message::Pong(nonce)),
                    Message::Question(Question { number, .. }) if busy_count > 0 => {
                        busy_count -= 1;
                        let what = Tell::Refused(Refusal::Busy);
                        say(&Message::Answer(Box::new(Answer { number, what })));
                    }
                    Message::Question(question) => say(&self.answer(question)),
                    _ => {}
                }
            }
            if stream.write_all(&out).is_err() || ends {
                return;
            }
            // The handshake and the small questions pass; what fills the path does not.
            if self.reads_slowly && len == buffer.len() {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    fn hello(self) -> Hello {
        let height = Height { slot: Slot(0), index: 0 };
        let final_slice = SliceRef { height, id: Hash([0; 32]) };
        Hello { version: self.version, chain: self.chain, roles: Roles::VALIDATOR, head: height, final_slice }
    }

    fn answer(self, question: Question) -> Message {
        #[allow(clippy::disallowed_methods, reason = "a stand-in for a process of its own")]
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let at_ns = (now.as_nanos() as u64).saturating_add_signed(self.clock_offset_ms * 1_000_000);
        let what = match question.what {
            Ask::Fill(len) => Tell::Filling(Filling::zeros(len)),
            Ask::Absorb(Filling(bytes)) => Tell::Absorbed(bytes.len() as u32),
            _ => Tell::Clock(ClockReading { received_at_ns: at_ns, answered_at_ns: at_ns }),
        };
        Message::Answer(Box::new(Answer { number: question.number, what }))
    }
}
