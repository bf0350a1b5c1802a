//! What an interface's driver says of itself (`linux/ethtool.h`).

use std::io;

use super::interface::{Control, request};

/// Receive queues in use.
pub(crate) fn receive_queue_count(control: &Control, name: &str) -> io::Result<usize> {
    /// `ETHTOOL_GCHANNELS`.
    const COMMAND: u32 = 0x3c;
    // `struct ethtool_channels`: the command; the most receive, send, other and combined queues; those in use.
    let mut channels = [0_u32; 9];
    channels[0] = COMMAND;
    ask(control, name, &mut channels)?;
    Ok(channels[5].saturating_add(channels[8]) as usize)
}

/// Has the kernel do now what its worker has still to do about a change of the interface's carrier
/// (`ethtool_op_get_link`; an older kernel finishes what is begun). An error if the driver knows of no link.
pub(crate) fn settle_link(control: &Control, name: &str) -> io::Result<()> {
    /// `ETHTOOL_GLINK`.
    const COMMAND: u32 = 0x0a;
    // `struct ethtool_value`: the command, and whether there is a link.
    ask(control, name, &mut [COMMAND, 0])
}

/// The driver's name.
pub(crate) fn driver(control: &Control, name: &str) -> io::Result<String> {
    /// `ETHTOOL_GDRVINFO`.
    const COMMAND: u32 = 0x03;
    // `struct ethtool_drvinfo`: the command; 32 bytes each of driver, version, firmware, bus and memory; 32 more.
    let mut info = [0_u32; 49];
    info[0] = COMMAND;
    ask(control, name, &mut info)?;
    let bytes: Vec<u8> = info[1..9].iter().flat_map(|word| word.to_ne_bytes()).take_while(|byte| *byte != 0).collect();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Asks the driver; `question` is the command's structure, which the kernel writes to.
fn ask(control: &Control, name: &str, question: &mut [u32]) -> io::Result<()> {
    let mut request = request(name)?;
    request.ifr_ifru.ifru_data = question.as_mut_ptr().cast();
    control.ask(libc::SIOCETHTOOL, &mut request)
}
