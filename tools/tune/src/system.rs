//! This host.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use crate::durable;
use crate::host::{Feature, Field, Host, Limit, Number, Peer};
use crate::sys;

/// The host that this process runs on.
#[derive(Clone, Copy, Debug)]
pub struct System;

impl Host for System {
    fn read(&self, path: &str) -> io::Result<String> {
        // The kernel's files are text but for what users put into them: a command line, a process's name.
        fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let names: io::Result<Vec<String>> = fs::read_dir(folder)?
            .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
            .collect();
        names.map(|mut names| {
            names.sort();
            names
        })
    }

    fn link(&self, path: &str) -> io::Result<String> {
        let target = fs::read_link(path)?;
        Ok(target.file_name().unwrap_or_default().to_string_lossy().into_owned())
    }

    fn write(&mut self, path: &str, text: &str) -> io::Result<()> {
        // The kernel takes a value from one write.
        OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes())
    }

    fn replace(&mut self, path: &str, text: Option<&str>) -> io::Result<()> {
        durable::replace(Path::new(path), text)
    }

    fn set_folder(&mut self, path: &str, present: bool) -> io::Result<()> {
        if present { fs::create_dir(path) } else { fs::remove_dir(path) }
    }

    fn set_hugetlbfs(&mut self, folder: &str, mounted: bool) -> io::Result<()> {
        if mounted { sys::mount_hugetlbfs(folder) } else { sys::unmount(folder) }
    }

    fn limit(&self, limit: Limit) -> io::Result<(u64, u64)> {
        sys::limit(limit == Limit::LockedMemory)
    }

    fn may_open(&self, path: &str) -> io::Result<()> {
        OpenOptions::new().read(true).write(true).open(path).map(drop)
    }

    fn program(&self) -> io::Result<String> {
        std::env::current_exe().map(|path| path.display().to_string())
    }

    fn file_capabilities(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        sys::file_capabilities(path)
    }

    fn number(&self, interface: &str, field: Field) -> io::Result<Number> {
        sys::ethtool::number(interface, field)
    }

    fn set_number(&mut self, interface: &str, field: Field, value: u32) -> io::Result<()> {
        sys::ethtool::set_number(interface, field, value)
    }

    fn features(&self, interface: &str) -> io::Result<Vec<Feature>> {
        sys::ethtool::features(interface)
    }

    fn set_feature(&mut self, interface: &str, name: &str, wanted: bool) -> io::Result<()> {
        sys::ethtool::set_feature(interface, name, wanted)
    }

    fn peer(&self, interface: &str) -> io::Result<Peer> {
        let index =
            |name: &str| -> Option<u32> { (self as &dyn Host).value(&format!("/sys/class/net/{name}/ifindex")) };
        let own = index(interface).ok_or(io::ErrorKind::NotFound)?;
        let link = sys::link::link(own)?;
        if link.kind != "veth" {
            return Ok(Peer::None);
        }
        if link.elsewhere {
            return Ok(Peer::Elsewhere);
        }
        let names = self.list("/sys/class/net")?;
        let other = names.into_iter().find(|name| link.other.is_some() && index(name) == link.other);
        Ok(other.map_or(Peer::Elsewhere, Peer::Here))
    }
}
