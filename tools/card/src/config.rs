//! What a card is asked to be. It refuses what contradicts itself before a port is opened.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use hpb_base::Duration;
use hpb_net::url::PortUrl;
use hpb_toe::registers::Register;
use hpb_toe::{GuardConfig, Service};

use crate::capture::CaptureConfig;
use crate::load::LoadConfig;

/// A card, its addresses and what it does.
#[derive(Clone, Debug)]
pub struct CardConfig {
    /// Where its frames go.
    pub port: PortUrl,
    /// Its addresses with their prefix lengths; at most one IPv4 and one IPv6 address. May be empty with `dhcp`.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Where what is not on its links goes; at most one a family.
    pub gateways: Vec<IpAddr>,
    /// Ask for an IPv4 address by DHCP.
    pub dhcp: bool,
    /// Its frames carry this VLAN tag.
    pub vlan: Option<u16>,
    /// Services and the TCP ports at which they answer.
    pub services: Vec<(u16, Service)>,
    /// Sessions of its own.
    pub load: Option<LoadConfig>,
    /// Mode registers set at the start.
    pub registers: Vec<(Register, u32)>,
    /// Sessions it holds at most, over all lanes.
    pub sessions_max: usize,
    /// How strangers are met.
    pub guard: GuardConfig,
    /// An idle session is probed this often.
    pub keep_alive: Duration,
    /// A session that brings no data this long is ended.
    pub idle_timeout: Option<Duration>,
    /// Cores for its lanes, one each; empty for the first ones allowed.
    pub cores: Vec<usize>,
    /// Never sleep when idle.
    pub spin: bool,
    /// Its frames and its lane's calls are kept.
    pub capture: Option<CaptureConfig>,
    /// Where it takes questions about itself.
    pub control: Option<PathBuf>,
}

/// Why a card cannot be as asked.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConfigError {
    /// Nothing to answer at.
    #[error("a card needs an address: `--address 10.0.0.2/24`, or `--dhcp`")]
    NoAddress,
    /// More than one of a family.
    #[error("a card has at most one IPv4 and one IPv6 address")]
    Addresses,
    /// A prefix length beyond the address.
    #[error("{0}/{1}: the prefix is longer than the address")]
    Prefix(IpAddr, u8),
    /// Two services at one port.
    #[error("TCP port {0} is given to two services")]
    PortTaken(u16),
    /// The server's family is not the card's.
    #[error("the card has no address of the family of {0}")]
    Family(SocketAddr),
    /// `AF_XDP` takes frames by the card's addresses, which are fixed when it opens.
    #[error("a card on an xdp: port cannot lease its address: name it (`--address`), or use packet:")]
    LeaseOverXdp,
    /// Nothing to do.
    #[error("neither a service nor a server to call: `--echo 7`, or `--call ADDRESS:PORT`")]
    Nothing,
    /// Sessions or messages out of range.
    #[error("{0}")]
    Load(&'static str),
    /// A tape is of one lane.
    #[error("a capture is of one lane: name a port with one queue, not {0}")]
    CaptureQueues(usize),
    /// The port takes fewer queues than cores were named.
    #[error("{cores} cores for {queues} queues: name one for each queue")]
    Cores {
        /// Cores named.
        cores: usize,
        /// Queues of the port.
        queues: usize,
    },
}

impl CardConfig {
    /// A card on `port` that does nothing yet.
    pub fn new(port: PortUrl) -> Self {
        Self {
            port,
            addresses: Vec::new(),
            gateways: Vec::new(),
            dhcp: false,
            vlan: None,
            services: Vec::new(),
            load: None,
            registers: Vec::new(),
            sessions_max: 65_536,
            guard: GuardConfig::default(),
            keep_alive: Duration::from_secs(15),
            idle_timeout: None,
            cores: Vec::new(),
            spin: false,
            capture: None,
            control: None,
        }
    }

    /// Whether it can be.
    ///
    /// # Errors
    /// [`ConfigError`]: the first thing that contradicts itself.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.addresses.is_empty() && !self.dhcp {
            return Err(ConfigError::NoAddress);
        }
        if self.dhcp && matches!(self.port, PortUrl::Xdp { .. }) {
            return Err(ConfigError::LeaseOverXdp);
        }
        let of_family = |is_v4: bool| self.addresses.iter().filter(|(address, _)| address.is_ipv4() == is_v4).count();
        if of_family(true) > 1 || of_family(false) > 1 {
            return Err(ConfigError::Addresses);
        }
        for &(address, prefix_len) in &self.addresses {
            if prefix_len > if address.is_ipv4() { 32 } else { 128 } {
                return Err(ConfigError::Prefix(address, prefix_len));
            }
        }
        for (at, (port, _)) in self.services.iter().enumerate() {
            if self.services[..at].iter().any(|(other, _)| other == port) {
                return Err(ConfigError::PortTaken(*port));
            }
        }
        match &self.load {
            None if self.services.is_empty() => Err(ConfigError::Nothing),
            None => Ok(()),
            Some(load) => {
                load.check().map_err(ConfigError::Load)?;
                let has_family = of_family(load.remote.is_ipv4()) > 0 || (self.dhcp && load.remote.is_ipv4());
                if has_family { Ok(()) } else { Err(ConfigError::Family(load.remote)) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> CardConfig {
        let mut config = CardConfig::new(PortUrl::Wire);
        config.addresses = vec![([10, 0, 0, 2].into(), 24)];
        config.services = vec![(7, Service::Echo)];
        config
    }

    #[test]
    fn contradictions_are_named() {
        assert_eq!(config().check(), Ok(()));
        let refused = |change: fn(&mut CardConfig)| {
            let mut config = config();
            change(&mut config);
            config.check()
        };
        assert_eq!(refused(|config| config.addresses.clear()), Err(ConfigError::NoAddress));
        assert_eq!(refused(|config| config.addresses.push(([10, 0, 0, 3].into(), 24))), Err(ConfigError::Addresses));
        assert_eq!(refused(|config| config.addresses[0].1 = 33), Err(ConfigError::Prefix([10, 0, 0, 2].into(), 33)));
        assert_eq!(refused(|config| config.services.push((7, Service::Discard))), Err(ConfigError::PortTaken(7)));
        assert_eq!(refused(|config| config.services.clear()), Err(ConfigError::Nothing));
        let over_xdp = refused(|config| {
            config.port = PortUrl::parse("xdp:eth1").expect("a URL");
            config.dhcp = true;
        });
        assert_eq!(over_xdp, Err(ConfigError::LeaseOverXdp));
        let remote: SocketAddr = "[2001:db8::1]:7".parse().expect("an address");
        let mut config = config();
        config.load = Some(LoadConfig::new(remote));
        assert_eq!(config.check(), Err(ConfigError::Family(remote)));
    }
}
