//! How a port is named on a command line or in a configuration: a scheme, what it is on, and options.
//!
//! | URL | port |
//! | --- | --- |
//! | `wire:` | the wire in this process |
//! | `packet:eth1?queues=2` | a packet socket on an interface |
//! | `tap:hpb0?queues=2` | a TAP interface |
//! | `xdp:eth1?queues=2&mode=zero-copy&busy_poll_us=20` | `AF_XDP` sockets; mode is `auto`, `copy` or `zero-copy` |
//! | `dpdk:--vdev=net_memif0,role=client,socket=/tmp/x;--no-huge?queues=2` | DPDK; its EAL arguments are separated by `;` or blanks, because a comma is part of one |
//!
//! `packet:` and `dpdk:` take `twin=hpb0` too: the host goes on living on the device behind a TAP interface of that name
//! ([`crate::twin`]).
//!
//! A query starts at the last `?`. Options left out have the values of a bare URL.

use std::fmt;

use hpb_base::limits::{BUSY_POLL_US_MAX, EAL_ARGUMENTS_MAX, INTERFACE_NAME_LEN_MAX, PORT_QUEUES_MAX};

use crate::open::OpenError;

const SCHEMES: &str = "wire:, packet:INTERFACE, tap:INTERFACE, xdp:INTERFACE, dpdk:EAL-ARGUMENTS";

/// Whether `AF_XDP` copies frames between the driver and our memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum XdpMode {
    /// Without a copy where the driver can.
    #[default]
    Auto,
    /// With a copy, which every driver can.
    Copy,
    /// Without a copy, or not at all.
    ZeroCopy,
}

/// A named port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PortUrl {
    /// The wire in this process.
    Wire,
    /// A packet socket.
    Packet {
        /// On which interface.
        interface: String,
        /// 1 to [`PORT_QUEUES_MAX`].
        queues: usize,
    },
    /// A TAP interface.
    Tap {
        /// Its name.
        interface: String,
        /// 1 to [`PORT_QUEUES_MAX`].
        queues: usize,
    },
    /// `AF_XDP` sockets.
    Xdp {
        /// On which interface.
        interface: String,
        /// 1 to [`PORT_QUEUES_MAX`].
        queues: usize,
        /// Whether it copies.
        mode: XdpMode,
        /// How long the kernel polls the device in one system call, in microseconds, at most [`BUSY_POLL_US_MAX`]; 0
        /// leaves it to interrupts.
        busy_poll_us: u32,
    },
    /// DPDK.
    Dpdk {
        /// The arguments of its environment abstraction layer; at most [`EAL_ARGUMENTS_MAX`].
        arguments: Vec<String>,
        /// 1 to [`PORT_QUEUES_MAX`].
        queues: usize,
    },
    /// A device with the host behind it.
    Twinned {
        /// The device: [`Packet`](Self::Packet) or [`Dpdk`](Self::Dpdk).
        device: Box<Self>,
        /// The host's TAP interface.
        interface: String,
    },
}

/// The query of a URL while it is read.
struct Query<'a> {
    pairs: Vec<(&'a str, &'a str)>,
}

impl PortUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`OpenError::Url`], which says what is wrong and what would be right.
    pub fn parse(url: &str) -> Result<Self, OpenError> {
        Self::read(url).map_err(|reason| OpenError::Url { url: url.to_owned(), reason })
    }

    fn read(url: &str) -> Result<Self, String> {
        let (scheme, rest) = url.split_once(':').ok_or(format!("there is no scheme; there are {SCHEMES}"))?;
        let (target, query) = match rest.rsplit_once('?') {
            Some((target, query)) => (target, Some(query)),
            None => (rest, None),
        };
        let mut query = Query::read(query)?;
        let read = match scheme {
            "wire" if target.is_empty() => Self::Wire,
            "wire" => return Err(format!("a wire is in this process and nowhere else: `wire:`, not `wire:{target}`")),
            "packet" => Self::Packet { interface: interface(target)?, queues: query.queues()? },
            "tap" => Self::Tap { interface: interface(target)?, queues: query.queues()? },
            "xdp" => Self::Xdp {
                interface: interface(target)?,
                queues: query.queues()?,
                mode: query.mode()?,
                busy_poll_us: query.number("busy_poll_us", 0, 0, BUSY_POLL_US_MAX)?,
            },
            "dpdk" => Self::Dpdk { arguments: arguments(target)?, queues: query.queues()? },
            other => return Err(format!("there is no scheme `{other}`; there are {SCHEMES}")),
        };
        let options = read.options();
        let read = match query.twin(&read)? {
            Some(interface) => Self::Twinned { device: Box::new(read), interface },
            None => read,
        };
        query.finish(options)?;
        Ok(read)
    }

    /// How many queues it asks for.
    pub fn queues(&self) -> usize {
        match self {
            Self::Wire => 1,
            Self::Packet { queues, .. }
            | Self::Tap { queues, .. }
            | Self::Xdp { queues, .. }
            | Self::Dpdk { queues, .. } => *queues,
            Self::Twinned { device, .. } => device.queues(),
        }
    }

    /// Whether its queues are written out: where they are not one, and where a `?` of an argument would be taken for the
    /// query's, were there none.
    fn names_queues(&self) -> bool {
        let has_mark = matches!(self, Self::Dpdk { arguments, .. } if arguments.iter().any(|word| word.contains('?')));
        has_mark || self.queues() != 1
    }

    /// The options that its kind has.
    fn options(&self) -> &'static str {
        match self {
            Self::Wire => "none",
            Self::Tap { .. } => "queues",
            Self::Packet { .. } | Self::Dpdk { .. } | Self::Twinned { .. } => "queues, twin",
            Self::Xdp { .. } => "queues, mode, busy_poll_us",
        }
    }
}

impl std::str::FromStr for PortUrl {
    type Err = OpenError;

    fn from_str(url: &str) -> Result<Self, OpenError> {
        Self::parse(url)
    }
}

impl fmt::Display for PortUrl {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Twinned { device, interface } = self {
            return write!(to, "{device}{}twin={interface}", if device.names_queues() { '&' } else { '?' });
        }
        let mut options: Vec<(&str, String)> = Vec::new();
        if self.names_queues() {
            options.push(("queues", self.queues().to_string()));
        }
        match self {
            Self::Wire => to.write_str("wire:")?,
            Self::Packet { interface, .. } => write!(to, "packet:{interface}")?,
            Self::Tap { interface, .. } => write!(to, "tap:{interface}")?,
            Self::Xdp { interface, mode, busy_poll_us, .. } => {
                write!(to, "xdp:{interface}")?;
                match mode {
                    XdpMode::Auto => {}
                    XdpMode::Copy => options.push(("mode", "copy".to_owned())),
                    XdpMode::ZeroCopy => options.push(("mode", "zero-copy".to_owned())),
                }
                if *busy_poll_us != 0 {
                    options.push(("busy_poll_us", busy_poll_us.to_string()));
                }
            }
            Self::Dpdk { arguments, .. } => write!(to, "dpdk:{}", arguments.join(";"))?,
            // Written above, behind its device.
            Self::Twinned { .. } => {}
        }
        for (at, (name, value)) in options.iter().enumerate() {
            write!(to, "{}{name}={value}", if at == 0 { '?' } else { '&' })?;
        }
        Ok(())
    }
}

impl<'a> Query<'a> {
    fn read(query: Option<&'a str>) -> Result<Self, String> {
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        for option in query.into_iter().flat_map(|query| query.split('&')) {
            let pair = option.split_once('=').ok_or(format!("`{option}` is no option: write NAME=VALUE"))?;
            if pairs.iter().any(|(name, _)| *name == pair.0) {
                return Err(format!("option `{}` is there twice", pair.0));
            }
            pairs.push(pair);
        }
        Ok(Self { pairs })
    }

    fn take(&mut self, name: &str) -> Option<&'a str> {
        let at = self.pairs.iter().position(|pair| pair.0 == name)?;
        Some(self.pairs.remove(at).1)
    }

    fn number(&mut self, name: &str, default: u32, min: u32, max: u32) -> Result<u32, String> {
        let Some(value) = self.take(name) else { return Ok(default) };
        let number = value.bytes().all(|byte| byte.is_ascii_digit()).then(|| value.parse::<u32>().ok()).flatten();
        number
            .filter(|number| (min..=max).contains(number))
            .ok_or(format!("`{name}` is a number from {min} to {max}, not `{value}`"))
    }

    fn queues(&mut self) -> Result<usize, String> {
        self.number("queues", 1, 1, PORT_QUEUES_MAX as u32).map(|queues| queues as usize)
    }

    fn mode(&mut self) -> Result<XdpMode, String> {
        match self.take("mode") {
            None | Some("auto") => Ok(XdpMode::Auto),
            Some("copy") => Ok(XdpMode::Copy),
            Some("zero-copy") => Ok(XdpMode::ZeroCopy),
            Some(other) => Err(format!("`mode` is auto, copy or zero-copy, not `{other}`")),
        }
    }

    /// The twin of a device that may have one.
    fn twin(&mut self, device: &PortUrl) -> Result<Option<String>, String> {
        match device {
            PortUrl::Packet { .. } | PortUrl::Dpdk { .. } => self.take("twin").map(interface).transpose(),
            _ => Ok(None),
        }
    }

    /// Refuses what nobody took.
    fn finish(self, options: &str) -> Result<(), String> {
        match self.pairs.first() {
            Some((name, _)) => Err(format!("there is no option `{name}` here; the options are: {options}")),
            None => Ok(()),
        }
    }
}

/// Checks an interface's name as the kernel does (`dev_valid_name`).
fn interface(name: &str) -> Result<String, String> {
    if name.is_empty() {
        return Err("the interface's name is missing: `ip link` lists them".to_owned());
    }
    let is_valid = name.len() <= INTERFACE_NAME_LEN_MAX
        && name != "."
        && name != ".."
        && !name.contains(|letter: char| {
            matches!(letter, '/' | ':' | '%' | '?') || letter.is_whitespace() || letter.is_control()
        });
    if is_valid {
        return Ok(name.to_owned());
    }
    Err(format!(
        "`{name}` is no interface's name: 1 to {INTERFACE_NAME_LEN_MAX} bytes without blanks, `/`, `:`, `%` and `?`"
    ))
}

fn arguments(target: &str) -> Result<Vec<String>, String> {
    let arguments: Vec<String> = target
        .split(|letter: char| letter == ';' || letter.is_whitespace())
        .filter(|argument| !argument.is_empty())
        .map(str::to_owned)
        .collect();
    if arguments.len() > EAL_ARGUMENTS_MAX {
        return Err(format!("{} EAL arguments are more than {EAL_ARGUMENTS_MAX}", arguments.len()));
    }
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reason(url: &str) -> String {
        match PortUrl::parse(url) {
            Err(OpenError::Url { url: said, reason }) => {
                assert_eq!(said, url);
                reason
            }
            other => panic!("{url}: {other:?}"),
        }
    }

    #[test]
    fn each_kind_is_read() {
        let table = [
            ("wire:", PortUrl::Wire),
            ("packet:veth0", PortUrl::Packet { interface: "veth0".into(), queues: 1 }),
            ("packet:veth0?queues=2", PortUrl::Packet { interface: "veth0".into(), queues: 2 }),
            ("tap:hpb0?queues=64", PortUrl::Tap { interface: "hpb0".into(), queues: 64 }),
            ("xdp:eth1", PortUrl::Xdp { interface: "eth1".into(), queues: 1, mode: XdpMode::Auto, busy_poll_us: 0 }),
            (
                "xdp:eth1?queues=2&mode=zero-copy&busy_poll_us=20",
                PortUrl::Xdp { interface: "eth1".into(), queues: 2, mode: XdpMode::ZeroCopy, busy_poll_us: 20 },
            ),
            (
                "packet:veth0?twin=hpb0",
                PortUrl::Twinned {
                    device: Box::new(PortUrl::Packet { interface: "veth0".into(), queues: 1 }),
                    interface: "hpb0".into(),
                },
            ),
            (
                "dpdk:--no-huge?queues=2&twin=hpb0",
                PortUrl::Twinned {
                    device: Box::new(PortUrl::Dpdk { arguments: vec!["--no-huge".into()], queues: 2 }),
                    interface: "hpb0".into(),
                },
            ),
            ("dpdk:", PortUrl::Dpdk { arguments: Vec::new(), queues: 1 }),
            (
                "dpdk:--vdev=net_memif0,role=client,socket=/tmp/x;--no-huge?queues=4",
                PortUrl::Dpdk {
                    arguments: vec!["--vdev=net_memif0,role=client,socket=/tmp/x".into(), "--no-huge".into()],
                    queues: 4,
                },
            ),
        ];
        for (url, expected) in table {
            let parsed = PortUrl::parse(url);
            assert!(parsed.as_ref().is_ok_and(|parsed| *parsed == expected), "{url}: {parsed:?}");
            assert_eq!(expected.to_string(), url);
        }
        let marked = PortUrl::Dpdk { arguments: vec!["--vdev=a?b".into()], queues: 1 };
        assert_eq!(marked.to_string(), "dpdk:--vdev=a?b?queues=1");
        assert!(PortUrl::parse(&marked.to_string()).is_ok_and(|parsed| parsed == marked));
        let twinned = PortUrl::Twinned { device: Box::new(marked), interface: "hpb0".into() };
        assert_eq!(twinned.to_string(), "dpdk:--vdev=a?b?queues=1&twin=hpb0");
        assert!(PortUrl::parse(&twinned.to_string()).is_ok_and(|parsed| parsed == twinned));
        let blanks = PortUrl::parse("dpdk: -l 0-1  --no-pci;");
        let arguments = ["-l", "0-1", "--no-pci"].map(str::to_owned).to_vec();
        assert!(blanks.is_ok_and(|parsed| parsed == PortUrl::Dpdk { arguments, queues: 1 }));
    }

    #[test]
    fn what_is_wrong_is_said_with_what_would_be_right() {
        for url in ["", "eth0", "ether:eth0", "PACKET:eth0"] {
            let reason = reason(url);
            for scheme in ["wire:", "packet:", "tap:", "xdp:", "dpdk:"] {
                assert!(reason.contains(scheme), "{url}: {reason}");
            }
        }
        assert!(reason("packet:eth0?mode=copy").contains("the options are: queues"));
        assert!(reason("tap:t?twin=u").contains("no option `twin`"));
        assert!(reason("packet:eth0?twin=a/b").contains("no interface's name"));
        assert!(reason("xdp:eth0?speed=9").contains("queues, mode, busy_poll_us"));
        assert!(reason("xdp:eth0?mode=fast").contains("auto, copy or zero-copy"));
        assert!(reason("wire:?queues=2").contains("the options are: none"));
        for queues in ["0", "65", "-1", "+1", "2x", "", "99999999999999999999"] {
            assert!(reason(&format!("tap:t?queues={queues}")).contains("1 to 64"), "{queues}");
        }
        assert!(reason("tap:t?queues").contains("NAME=VALUE"));
        assert!(reason("tap:t?").contains("NAME=VALUE"));
        assert!(reason("tap:t?queues=1&queues=2").contains("twice"));
        assert!(reason("wire:eth0").contains("`wire:`"));
        assert!(reason("packet:").contains("ip link"));
        for name in ["a/b", "a b", "sixteen-bytes-ab", "a\nb", "..", "a:1", "hpb%d", "a\0"] {
            assert!(reason(&format!("packet:{name}")).contains("no interface's name"), "{name}");
        }
        assert!(PortUrl::parse("packet:fifteen-bytes-a").is_ok());
    }

    proptest! {
        #[test]
        fn no_text_is_a_panic_and_what_is_read_is_written_the_same(url in "(wire|packet|tap|xdp|dpdk)?:?[a-z0-9?&=;/, -]{0,40}") {
            if let Ok(parsed) = PortUrl::parse(&url) {
                let again = PortUrl::parse(&parsed.to_string());
                prop_assert!(again.is_ok_and(|again| again == parsed));
            }
        }
    }
}
