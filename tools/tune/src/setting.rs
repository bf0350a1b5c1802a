//! One thing of the host that can be changed, with its value as text: what the journal holds. It refuses settings that
//! no item makes, so that a state file from elsewhere cannot have anything else written.

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

use crate::host::{Field, Host};

/// The file of limits that [`crate::items`] writes (`limits.conf(5)`).
pub(crate) const LIMITS_PATH: &str = "/etc/security/limits.d/hpb.conf";
/// Where hugetlbfs is mounted.
pub(crate) const HUGETLBFS_PATH: &str = "/dev/hugepages";
/// Where the kernel's files lie that items change.
const KERNEL_PATHS: [&str; 6] = [
    "/proc/irq/",
    "/proc/sys/kernel/numa_balancing",
    "/proc/sys/net/core/bpf_jit_enable",
    "/sys/class/net/",
    "/sys/devices/system/cpu/",
    "/sys/kernel/mm/",
];

/// A thing that has a value. `None` as a value means that it is not there.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Debug)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Setting {
    /// A file of `/proc` or `/sys`; its text without the white space around it.
    Kernel {
        /// Its path.
        path: String,
    },
    /// A file of `/sys` that lists choices, the one that holds in brackets: `always [madvise] never`.
    Choice {
        /// Its path.
        path: String,
    },
    /// An ordinary file with its whole text.
    File {
        /// Its path.
        path: String,
    },
    /// A folder; its value is empty.
    Folder {
        /// Its path.
        path: String,
    },
    /// A hugetlbfs mount; its value is `2M`.
    Hugetlbfs {
        /// The folder it is mounted on.
        path: String,
    },
    /// A number of an interface.
    Number {
        /// The interface.
        interface: String,
        /// Which.
        field: Field,
    },
    /// Whether an offload is asked for: `on` or `off`.
    Feature {
        /// The interface.
        interface: String,
        /// The kernel's name of it.
        name: String,
    },
}

impl Setting {
    /// A file of `/proc` or `/sys`.
    pub fn kernel(path: impl Into<String>) -> Self {
        Self::Kernel { path: path.into() }
    }

    /// A number of an interface.
    pub fn number(interface: &str, field: Field) -> Self {
        Self::Number { interface: interface.to_owned(), field }
    }

    /// Whether an item can have made it.
    pub fn is_known(&self) -> bool {
        match self {
            Self::Kernel { path } | Self::Choice { path } => {
                KERNEL_PATHS.iter().any(|start| path.starts_with(start)) && !path.split('/').any(|part| part == "..")
            }
            Self::File { path } => path == LIMITS_PATH,
            Self::Folder { path } | Self::Hugetlbfs { path } => path == HUGETLBFS_PATH,
            Self::Number { .. } | Self::Feature { .. } => true,
        }
    }

    /// Whether it outlives a reboot.
    pub fn is_lasting(&self) -> bool {
        matches!(self, Self::File { .. })
    }

    /// Its value as it stands.
    ///
    /// # Errors
    /// It cannot be read; [`io::ErrorKind::NotFound`] if what has it (an interface, a core) is not there.
    pub fn get(&self, host: &dyn Host) -> io::Result<Option<String>> {
        match self {
            Self::Kernel { path } => Ok(Some(host.read(path)?.trim().to_owned())),
            Self::Choice { path } => chosen(&host.read(path)?).map(|choice| Some(choice.to_owned())),
            Self::File { path } => or_absent(host.read(path)),
            Self::Folder { path } => or_absent(host.list(path).map(|_| String::new())),
            Self::Hugetlbfs { path } => {
                let mounted = mounts(&host.read("/proc/mounts")?, "hugetlbfs").any(|point| point == path);
                Ok(mounted.then(|| "2M".to_owned()))
            }
            Self::Number { interface, field } => Ok(Some(host.number(interface, *field)?.value.to_string())),
            Self::Feature { interface, name } => {
                let features = host.features(interface)?;
                let feature = features.iter().find(|feature| feature.name == *name);
                let feature = feature.ok_or(io::ErrorKind::NotFound)?;
                Ok(Some(on_or_off(feature.wanted).to_owned()))
            }
        }
    }

    /// Gives it a value.
    ///
    /// # Errors
    /// What the host says, or [`io::ErrorKind::InvalidInput`] for a value that it never has.
    pub fn set(&self, host: &mut dyn Host, value: Option<&str>) -> io::Result<()> {
        match (self, value) {
            (Self::Kernel { path } | Self::Choice { path }, Some(text)) => host.write(path, text),
            (Self::File { path }, text) => host.replace(path, text),
            (Self::Folder { path }, text) => host.set_folder(path, text.is_some()),
            (Self::Hugetlbfs { path }, text) => host.set_hugetlbfs(path, text.is_some()),
            (Self::Number { interface, field }, Some(text)) => {
                let value = text.parse().map_err(|_| io::ErrorKind::InvalidInput)?;
                host.set_number(interface, *field, value)
            }
            (Self::Feature { interface, name }, Some(text @ ("on" | "off"))) => {
                host.set_feature(interface, name, text == "on")
            }
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// The shell command that gives it a value, as a beginning that settings can share and the part of its own.
    fn command(&self, value: Option<&str>) -> (String, String) {
        let text = value.unwrap_or_default();
        match (self, value) {
            (Self::Kernel { path } | Self::Choice { path }, _) => match path.strip_prefix("/proc/sys/") {
                Some(name) => ("sudo sysctl -w".to_owned(), format!("{}={text}", name.replace('/', "."))),
                None => (format!("echo {text} | sudo tee"), path.clone()),
            },
            (Self::File { path } | Self::Folder { path }, None) => ("sudo rm -d".to_owned(), path.clone()),
            (Self::File { path }, Some(_)) => {
                let lines: Vec<String> = text.lines().map(|line| format!("'{line}'")).collect();
                (format!("printf '%s\\n' {} | sudo tee", lines.join(" ")), path.clone())
            }
            (Self::Folder { path }, Some(_)) => ("sudo mkdir".to_owned(), path.clone()),
            (Self::Hugetlbfs { path }, None) => ("sudo umount".to_owned(), path.clone()),
            (Self::Hugetlbfs { path }, Some(_)) => {
                (format!("sudo mount -t hugetlbfs -o pagesize={text} hugetlbfs"), path.clone())
            }
            (Self::Number { interface, field }, _) => {
                let (option, word) = field.words();
                let text = match (field, text) {
                    (Field::CoalesceAdaptiveRx, "0") => "off",
                    (Field::CoalesceAdaptiveRx, _) => "on",
                    _ => text,
                };
                (format!("sudo ethtool {option} {interface}"), format!("{word} {text}"))
            }
            (Self::Feature { interface, name }, _) => {
                (format!("sudo ethtool -K {interface}"), format!("{name} {text}"))
            }
        }
    }

    /// The shell commands that give settings their values, those of one kind in one.
    pub fn commands<'a>(values: impl IntoIterator<Item = (&'a Setting, Option<&'a str>)>) -> Vec<String> {
        let mut commands: Vec<(String, String)> = Vec::new();
        for (setting, value) in values {
            let (start, part) = setting.command(value);
            match commands.iter_mut().find(|(other, _)| *other == start) {
                Some((_, parts)) => {
                    parts.push(' ');
                    parts.push_str(&part);
                }
                None => commands.push((start, part)),
            }
        }
        commands.into_iter().map(|(start, parts)| format!("{start} {parts}")).collect()
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel { path } | Self::Choice { path } | Self::File { path } => f.write_str(path),
            Self::Folder { path } => write!(f, "folder {path}"),
            Self::Hugetlbfs { path } => write!(f, "hugetlbfs on {path}"),
            Self::Number { interface, field } => {
                let (option, word) = field.words();
                write!(f, "ethtool {option} {interface} {word}")
            }
            Self::Feature { interface, name } => write!(f, "ethtool -K {interface} {name}"),
        }
    }
}

/// The folders on which a file system of this kind is mounted, of the text of `/proc/mounts`.
pub(crate) fn mounts<'a>(text: &'a str, kind: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines().filter_map(move |line| {
        let mut words = line.split(' ').skip(1);
        let (point, found) = (words.next()?, words.next()?);
        (found == kind).then_some(point)
    })
}

/// The word in brackets.
fn chosen(text: &str) -> io::Result<&str> {
    let word = text.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    word.map(|(word, _)| word).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

pub(crate) fn on_or_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

fn or_absent(text: io::Result<String>) -> io::Result<Option<String>> {
    match text {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn feature(name: &str) -> Setting {
        Setting::Feature { interface: "eth1".to_owned(), name: name.to_owned() }
    }

    #[test]
    fn settings_of_one_kind_share_a_command() {
        let path = |core: usize| Setting::kernel(format!("/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor"));
        let limits = Setting::File { path: LIMITS_PATH.to_owned() };
        let settings = [
            (feature("rx-gro"), Some("off")),
            (path(1), Some("performance")),
            (path(2), Some("performance")),
            (feature("rx-lro"), Some("off")),
            (Setting::kernel("/proc/sys/kernel/numa_balancing"), Some("0")),
            (Setting::number("eth1", Field::CoalesceAdaptiveRx), Some("0")),
            (Setting::number("eth1", Field::CoalesceRxMicros), Some("8")),
            (limits, Some("* - nofile 1\n* - memlock 2\n")),
        ];
        let commands = Setting::commands(settings.iter().map(|(setting, value)| (setting, *value)));
        let cpu = "/sys/devices/system/cpu";
        let expected = [
            "sudo ethtool -K eth1 rx-gro off rx-lro off".to_owned(),
            format!(
                "echo performance | sudo tee {cpu}/cpu1/cpufreq/scaling_governor {cpu}/cpu2/cpufreq/scaling_governor"
            ),
            "sudo sysctl -w kernel.numa_balancing=0".to_owned(),
            "sudo ethtool -C eth1 adaptive-rx off rx-usecs 8".to_owned(),
            format!("printf '%s\\n' '* - nofile 1' '* - memlock 2' | sudo tee {LIMITS_PATH}"),
        ];
        assert_eq!(commands, expected);
    }

    #[test]
    fn only_what_items_make_is_known() {
        assert!(Setting::kernel("/proc/irq/44/smp_affinity_list").is_known());
        assert!(Setting::File { path: LIMITS_PATH.to_owned() }.is_known());
        for path in ["/proc/sys/kernel/core_pattern", "/proc/irq/../sys/kernel/core_pattern", "/etc/passwd", ""] {
            assert!(!Setting::kernel(path).is_known(), "{path}");
            assert!(!Setting::File { path: path.to_owned() }.is_known(), "{path}");
            assert!(!Setting::Folder { path: path.to_owned() }.is_known(), "{path}");
        }
    }

    #[test]
    fn the_form_in_the_journal() {
        let json = serde_json::to_string(&Setting::number("eth1", Field::RingRx)).unwrap();
        assert_eq!(json, r#"{"kind":"number","interface":"eth1","field":"ring-rx"}"#);
        assert_eq!(serde_json::from_str::<Setting>(&json).unwrap(), Setting::number("eth1", Field::RingRx));
    }

    #[test]
    fn choices_and_mounts() {
        assert_eq!(chosen("always [madvise] never\n").unwrap(), "madvise");
        assert!(chosen("madvise").is_err() && chosen("[madvise").is_err());
        let text = "proc /proc proc rw 0 0\nhugetlbfs /dev/hugepages hugetlbfs rw,pagesize=2M 0 0\nshort\n";
        assert_eq!(mounts(text, "hugetlbfs").collect::<Vec<_>>(), ["/dev/hugepages"]);
    }
}
