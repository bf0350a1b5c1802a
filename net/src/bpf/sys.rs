//! The calls of bpf(2), one a function, with the structures that they read (`union bpf_attr` in `linux/bpf.h`). It
//! decides nothing.
#![allow(unsafe_code, reason = "one system call over memory that the caller owns")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::assembler::Instruction;
use super::{Attachment, Purpose};

/// Loads a program; the verifier writes its log, ended by a zero, if it is given room for one.
pub(super) fn load(
    name: &str,
    purpose: Purpose,
    instructions: &[Instruction],
    log: Option<&mut [u8]>,
) -> io::Result<OwnedFd> {
    let (kind, expected_attach_type) = match purpose {
        Purpose::SocketFilter => (PROGRAM_SOCKET_FILTER, 0),
        Purpose::Xdp => (PROGRAM_XDP, ATTACH_XDP),
    };
    let (log_level, log_size, log_buffer) = log.map_or((0, 0, 0), |log| (1, log.len() as u32, log.as_mut_ptr() as u64));
    let attributes = LoadAttributes {
        kind,
        instruction_count: instructions.len() as u32,
        instructions: instructions.as_ptr() as u64,
        license: LICENSE.as_ptr() as u64,
        log_level,
        log_size,
        log_buffer,
        kernel_version: 0,
        flags: 0,
        name: object_name(name),
        interface_index: 0,
        expected_attach_type,
    };
    // SAFETY: the structure is the prefix of `union bpf_attr` that this command reads; its pointers are to memory of
    // the lengths beside them, which outlives the call, and the log's is borrowed for writing.
    owned(unsafe { bpf(COMMAND_PROGRAM_LOAD, &attributes) })
}

/// A map of `AF_XDP` sockets for queues 0 to `queues` - 1.
pub(super) fn create_socket_map(queues: u32) -> io::Result<OwnedFd> {
    let attributes = MapAttributes {
        kind: MAP_XDP_SOCKETS,
        key_len: size_of::<u32>() as u32,
        value_len: size_of::<u32>() as u32,
        entries_max: queues,
    };
    // SAFETY: the structure is the prefix of `union bpf_attr` that this command reads; it holds no pointer.
    owned(unsafe { bpf(COMMAND_MAP_CREATE, &attributes) })
}

/// Sets one entry of a map of 32-bit keys and values.
pub(super) fn update_map(map: BorrowedFd<'_>, key: u32, value: u32) -> io::Result<()> {
    let attributes = ElementAttributes {
        map: map.as_raw_fd().cast_unsigned(),
        padding: 0,
        key: (&raw const key) as u64,
        value: (&raw const value) as u64,
        flags: 0,
    };
    // SAFETY: the structure is the prefix of `union bpf_attr` that this command reads; key and value are as long as
    // the map's, and outlive the call.
    status(unsafe { bpf(COMMAND_MAP_UPDATE, &attributes) }).map(|_| ())
}

/// Puts an XDP program on an interface.
pub(super) fn create_xdp_link(
    program: BorrowedFd<'_>,
    interface_index: u32,
    attachment: Attachment,
) -> io::Result<OwnedFd> {
    let attributes = LinkAttributes {
        program: program.as_raw_fd().cast_unsigned(),
        interface_index,
        attach_type: ATTACH_XDP,
        flags: match attachment {
            Attachment::Native => XDP_DRIVER_MODE,
            Attachment::Generic => XDP_GENERIC_MODE,
        },
    };
    // SAFETY: the structure is the prefix of `union bpf_attr` that this command reads; it holds no pointer.
    owned(unsafe { bpf(COMMAND_LINK_CREATE, &attributes) })
}

/// Runs a program once on a frame; what it returns.
pub(super) fn run(program: BorrowedFd<'_>, frame: &[u8]) -> io::Result<u32> {
    let mut attributes = RunAttributes {
        program: program.as_raw_fd().cast_unsigned(),
        returned: 0,
        data_len: frame.len() as u32,
        output_len: 0,
        data: frame.as_ptr() as u64,
        output: 0,
        repeat: 1,
        duration_ns: 0,
    };
    // SAFETY: the structure is the prefix of `union bpf_attr` that this command reads and writes; the frame is as long
    // as said, is only read, and outlives the call; no output is asked for.
    status(unsafe { bpf_mut(COMMAND_PROGRAM_RUN, &mut attributes) })?;
    Ok(attributes.returned)
}

/// # Safety
/// `attributes` is a prefix of what `command` reads, and its pointers are valid for what `command` does with them.
unsafe fn bpf<T>(command: libc::c_int, attributes: &T) -> libc::c_long {
    // SAFETY: the caller vouches for what the structure says; it is valid for the length given.
    unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<T>()) }
}

/// As [`bpf`], for a command that writes into its attributes.
///
/// # Safety
/// As [`bpf`].
unsafe fn bpf_mut<T>(command: libc::c_int, attributes: &mut T) -> libc::c_long {
    // SAFETY: the caller vouches for what the structure says; it is valid for the length given, also for writing.
    unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size_of::<T>()) }
}

fn status(returned: libc::c_long) -> io::Result<libc::c_int> {
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(returned as libc::c_int) }
}

fn owned(returned: libc::c_long) -> io::Result<OwnedFd> {
    let descriptor = status(returned)?;
    // SAFETY: the call just gave this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// A name as the kernel holds it: cut to 15 bytes, ended by a zero.
fn object_name(name: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (byte, letter) in bytes[..15].iter_mut().zip(name.bytes()) {
        *byte = letter;
    }
    bytes
}

#[repr(C)]
struct LoadAttributes {
    kind: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buffer: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface_index: u32,
    expected_attach_type: u32,
}

#[repr(C)]
struct MapAttributes {
    kind: u32,
    key_len: u32,
    value_len: u32,
    entries_max: u32,
}

#[repr(C)]
struct ElementAttributes {
    map: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
struct LinkAttributes {
    program: u32,
    interface_index: u32,
    attach_type: u32,
    flags: u32,
}

#[repr(C)]
struct RunAttributes {
    program: u32,
    returned: u32,
    data_len: u32,
    output_len: u32,
    data: u64,
    output: u64,
    repeat: u32,
    duration_ns: u32,
}

/// The programs call nothing that asks for more.
const LICENSE: &std::ffi::CStr = c"MIT";

// `linux/bpf.h`: enum bpf_cmd, bpf_map_type, bpf_prog_type, bpf_attach_type.
const COMMAND_MAP_CREATE: libc::c_int = 0;
const COMMAND_MAP_UPDATE: libc::c_int = 2;
const COMMAND_PROGRAM_LOAD: libc::c_int = 5;
const COMMAND_PROGRAM_RUN: libc::c_int = 10;
const COMMAND_LINK_CREATE: libc::c_int = 28;
const MAP_XDP_SOCKETS: u32 = 17;
const PROGRAM_SOCKET_FILTER: u32 = 1;
const PROGRAM_XDP: u32 = 6;
const ATTACH_XDP: u32 = 37;
// `linux/if_link.h`.
const XDP_GENERIC_MODE: u32 = 1 << 1;
const XDP_DRIVER_MODE: u32 = 1 << 2;
