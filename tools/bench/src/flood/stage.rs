//! Two hosts of the run's own with a cable between them: the clients' and the flood's, and the card's.

use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr};
use std::process::{Child, Command, Stdio};

use hpb_base::Duration;
use hpb_card::{CardConfig, Running, start_on};
use hpb_host::sys::{self, cores};
use hpb_net::bpf::{Rules, Take};
use hpb_net::url::XdpMode;
use hpb_net::xdp::XdpPort;
use hpb_net::{Port, PortUrl};
use hpb_node::runtime::StopFlag;
use hpb_sandbox::{Host, cable};
use hpb_toe::Service;

use super::FloodError;

/// Where the echoing sessions come from, and where the flood's answers go, which have no other way.
pub(super) const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
/// Where the new sessions come from.
pub(super) const NEWCOMER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 3);
pub(super) const CARD: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
const PREFIX_LEN: u8 = 24;
/// Echoes at a port that is left alone, and at the one that is flooded.
pub(super) const ECHO_PORT: u16 = 7;
pub(super) const FLOODED_PORT: u16 = 8;
const INTERFACE: &str = "cable0";
const PROGRAM: &str = "hping3";
/// The card's thread.
pub(super) const LANE_THREAD: &str = "lane0";
/// The veth driver's count of frames that an XDP program dropped, on the only queue.
const DROPPED_COUNT: &str = "rx_queue_0_xdp_drops";

/// The hosts.
pub(super) struct Stage {
    pub(super) clients: Host,
    card: Host,
    client_core: usize,
    lane_core: usize,
}

impl Stage {
    /// Lays the cable. The card's lane will have `lane_core` for itself; clients and flood share `client_core`.
    ///
    /// # Errors
    /// What the machine does not give, and the command that mends it.
    pub(super) fn build(client_core: usize, lane_core: usize) -> Result<Self, FloodError> {
        if !hpb_sandbox::is_root() {
            return Err(FloodError::Root);
        }
        let known = Command::new(PROGRAM).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        known.map_err(FloodError::Program)?;
        let (clients, card) = (Host::new()?, Host::new()?);
        cable((&clients, INTERFACE), (&card, INTERFACE), 1)?;
        for address in [CLIENT, NEWCOMER] {
            clients.address(INTERFACE, &format!("{address}/{PREFIX_LEN}"))?;
        }
        // AF_XDP sees frames as they are sent.
        clients.set_offloads(INTERFACE, false)?;
        Ok(Self { clients, card, client_core, lane_core })
    }

    /// Starts a card; if `is_shielded`, a program before it drops calls to the flooded port and nothing else.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub(super) fn start(&self, is_shielded: bool) -> Result<Running, FloodError> {
        let address = IpAddr::from(CARD);
        let take = Take { addresses: vec![address], ..Take::default() };
        let drop = if is_shielded { vec![FLOODED_PORT..=FLOODED_PORT] } else { Vec::new() };
        let mut config = CardConfig::new(PortUrl::Xdp {
            interface: INTERFACE.to_owned(),
            queues: 1,
            mode: XdpMode::Auto,
            busy_poll_us: 0,
        });
        config.addresses = vec![(address, PREFIX_LEN)];
        config.gateways = vec![CLIENT.into()];
        config.services = [ECHO_PORT, FLOODED_PORT].map(|port| (port, Service::Echo)).to_vec();
        config.cores = vec![self.lane_core];
        config.keep_alive = Duration::from_secs(15);
        let open = || {
            let ports = XdpPort::open_with_rules(INTERFACE, 1, XdpMode::Auto, None, &Rules { take, drop })?;
            let ports = ports.into_iter().map(|port| Box::new(port) as Box<dyn Port>).collect();
            Ok(start_on(&config, ports, hpb_host::os_random()?, StopFlag::new()?)?)
        };
        self.card.run(open)?
    }

    /// Starts the flood on the clients' core.
    ///
    /// # Errors
    /// The program does not start.
    pub(super) fn flood(&self) -> Result<Flood, FloodError> {
        let mut command = Command::new(PROGRAM);
        command.args(["-n", "-q", "-I", INTERFACE, "--flood", "--rand-source", "-S", "-p"]);
        command.arg(FLOODED_PORT.to_string()).arg(CARD.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = cores::run_on(self.client_core, || self.clients.spawn(&mut command))???;
        Ok(Flood { child })
    }

    /// Frames that the program before the card has dropped since its interface is there.
    ///
    /// # Errors
    /// The driver does not count them.
    pub(super) fn dropped(&self) -> Result<u64, FloodError> {
        let output = self.card.run(|| Command::new("ethtool").args(["-S", INTERFACE]).output())??;
        count(&String::from_utf8_lossy(&output.stdout), DROPPED_COUNT)
            .ok_or_else(|| FloodError::Uncounted(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}

/// A flood under way; it ends when this goes.
pub(super) struct Flood {
    child: Child,
}

impl Flood {
    /// Ends it; how many packets it says that it sent, if it says so.
    ///
    /// # Errors
    /// It ended by itself before.
    pub(super) fn end(mut self) -> Result<Option<u64>, FloodError> {
        if let Some(status) = self.child.try_wait()? {
            return Err(FloodError::Ended(format!("{status}: {}", self.said().trim())));
        }
        sys::interrupt(&self.child)?;
        self.child.wait()?;
        Ok(claimed(&self.said()))
    }

    fn said(&mut self) -> String {
        let mut said = Vec::new();
        // What it does not say is not known, and no failure of the run's.
        let _ = self.child.stderr.take().map(|mut stderr| stderr.read_to_end(&mut said));
        String::from_utf8_lossy(&said).into_owned()
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        // It has ended already where the run went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The figure after `name:` in what `ethtool -S` says.
fn count(statistics: &str, name: &str) -> Option<u64> {
    statistics.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':')?.trim().parse().ok())
}

/// The figure before "packets transmitted" in what the flood says at its end.
fn claimed(said: &str) -> Option<u64> {
    said.lines().find_map(|line| line.split_once(" packets transmitted")?.0.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_other_programs_count_is_read() {
        let statistics = "NIC statistics:\n     peer_ifindex: 2\n     rx_queue_0_xdp_drops_x: 7\n     \
                          rx_queue_0_xdp_drops: 12345\n";
        assert_eq!(count(statistics, DROPPED_COUNT), Some(12_345));
        assert_eq!(count("no stats available", DROPPED_COUNT), None);
        let said = "\n--- 10.9.0.2 hping statistic ---\n1234567 packets transmitted, 0 packets received, 100% packet \
                    loss\nround-trip min/avg/max = 0.0/0.0/0.0 ms\n";
        assert_eq!(claimed(said), Some(1_234_567));
        assert_eq!(claimed("hping in flood mode"), None);
    }
}
