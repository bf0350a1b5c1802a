//! A host in memory, with a fuse that blows in the middle of whatever is done to it.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::rc::Rc;

use crate::host::{Feature, Field, Host, Limit, Number, Peer};
use crate::journal::{JournalError, Store};

/// What the host is: two that are equal cannot be told apart.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct World {
    pub(crate) files: BTreeMap<String, String>,
    pub(crate) folders: BTreeSet<String>,
    pub(crate) links: BTreeMap<String, String>,
    pub(crate) numbers: BTreeMap<(String, Field), (u32, Option<u32>)>,
    pub(crate) features: BTreeMap<(String, String), (bool, bool)>,
    pub(crate) peers: BTreeMap<String, String>,
    pub(crate) limits: BTreeMap<Limit, (u64, u64)>,
    pub(crate) file_capabilities: Option<Vec<u8>>,
    /// Paths and interfaces that this process may not change.
    pub(crate) refused: BTreeSet<String>,
    /// The most that a file takes: more is taken as this.
    pub(crate) most: BTreeMap<String, u64>,
}

/// Blows at the nth change; from then on nothing answers, as after a crash.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fuse(Rc<Cell<Option<u32>>>);

impl Fuse {
    const BLOWN: u32 = u32::MAX;

    pub(crate) fn set(&self, changes: u32) {
        self.0.set(Some(changes));
    }

    pub(crate) fn remove(&self) {
        self.0.set(None);
    }

    pub(crate) fn is_blown(&self) -> bool {
        self.0.get() == Some(Self::BLOWN)
    }

    fn alive(&self) -> io::Result<()> {
        if self.is_blown() { Err(io::Error::other("crashed")) } else { Ok(()) }
    }

    /// Counts a change; the last one's effect may still come about.
    fn change(&self, effect: impl FnOnce(), late: bool) -> io::Result<()> {
        self.alive()?;
        match self.0.get() {
            Some(0) => {
                self.0.set(Some(Self::BLOWN));
                if late {
                    effect();
                }
                return self.alive();
            }
            Some(left) => self.0.set(Some(left - 1)),
            None => {}
        }
        effect();
        Ok(())
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Fake {
    pub(crate) world: World,
    pub(crate) fuse: Fuse,
    /// Whether the change at which the fuse blows still comes about.
    pub(crate) late: bool,
}

impl Fake {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        Self { world: World { files, ..World::default() }, ..Self::default() }
    }

    pub(crate) fn put(&mut self, path: &str, text: &str) {
        self.world.files.insert(path.to_owned(), text.to_owned());
    }

    pub(crate) fn feature(&mut self, interface: &str, name: &str, changeable: bool, wanted: bool) {
        self.world.features.insert((interface.to_owned(), name.to_owned()), (changeable, wanted));
    }

    fn change(&mut self, of: &str, effect: impl FnOnce(&mut World)) -> io::Result<()> {
        self.fuse.alive()?;
        if self.world.refused.contains(of) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let world = &mut self.world;
        self.fuse.change(|| effect(world), self.late)
    }

    fn file(&self, path: &str) -> io::Result<&String> {
        self.fuse.alive()?;
        self.world.files.get(path).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Host for Fake {
    fn read(&self, path: &str) -> io::Result<String> {
        Ok(self.file(path)?.clone())
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        self.fuse.alive()?;
        let start = format!("{folder}/");
        let below = self.world.files.keys().chain(&self.world.folders).filter_map(|path| path.strip_prefix(&start));
        let names: BTreeSet<&str> = below.filter_map(|path| path.split('/').next()).collect();
        if names.is_empty() && !self.world.folders.contains(folder) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(names.into_iter().map(str::to_owned).collect())
    }

    fn link(&self, path: &str) -> io::Result<String> {
        self.world.links.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn write(&mut self, path: &str, text: &str) -> io::Result<()> {
        let before = self.file(path)?.clone();
        let most = self.world.most.get(path).copied();
        let after = match before.split_once('[').and_then(|(_, rest)| rest.split_once(']')) {
            Some((chosen, _)) => before.replace(&format!("[{chosen}]"), chosen).replace(text, &format!("[{text}]")),
            None => match (text.parse::<u64>(), most) {
                (Ok(asked), Some(most)) => format!("{}\n", asked.min(most)),
                _ => format!("{text}\n"),
            },
        };
        self.change(path, |world| drop(world.files.insert(path.to_owned(), after)))
    }

    fn replace(&mut self, path: &str, text: Option<&str>) -> io::Result<()> {
        self.change(path, |world| match text {
            Some(text) => drop(world.files.insert(path.to_owned(), text.to_owned())),
            None => drop(world.files.remove(path)),
        })
    }

    fn set_folder(&mut self, path: &str, present: bool) -> io::Result<()> {
        self.change(path, |world| {
            if present {
                world.folders.insert(path.to_owned());
            } else {
                world.folders.remove(path);
            }
        })
    }

    fn set_hugetlbfs(&mut self, folder: &str, mounted: bool) -> io::Result<()> {
        let line = format!("hugetlbfs {folder} hugetlbfs rw,pagesize=2M 0 0\n");
        self.change(folder, |world| {
            let text = world.files.entry("/proc/mounts".to_owned()).or_default();
            *text = if mounted { format!("{text}{line}") } else { text.replace(&line, "") };
        })
    }

    fn limit(&self, limit: Limit) -> io::Result<(u64, u64)> {
        self.fuse.alive()?;
        Ok(self.world.limits.get(&limit).copied().unwrap_or((u64::MAX, u64::MAX)))
    }

    fn may_open(&self, path: &str) -> io::Result<()> {
        self.file(path)?;
        if self.world.refused.contains(path) { Err(io::ErrorKind::PermissionDenied.into()) } else { Ok(()) }
    }

    fn program(&self) -> io::Result<String> {
        Ok("/usr/bin/hpb".to_owned())
    }

    fn file_capabilities(&self, _: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.world.file_capabilities.clone())
    }

    fn number(&self, interface: &str, field: Field) -> io::Result<Number> {
        self.fuse.alive()?;
        let number = self.world.numbers.get(&(interface.to_owned(), field));
        number.map(|&(value, most)| Number { value, most }).ok_or_else(|| io::ErrorKind::Unsupported.into())
    }

    fn set_number(&mut self, interface: &str, field: Field, value: u32) -> io::Result<()> {
        self.number(interface, field)?;
        self.change(interface, |world| {
            world.numbers.entry((interface.to_owned(), field)).and_modify(|number| number.0 = value);
        })
    }

    fn features(&self, interface: &str) -> io::Result<Vec<Feature>> {
        self.fuse.alive()?;
        let own = self.world.features.iter().filter(|((of, _), _)| of == interface);
        Ok(own
            .map(|((_, name), &(changeable, wanted))| Feature {
                name: name.clone(),
                changeable,
                wanted,
                active: wanted,
            })
            .collect())
    }

    fn set_feature(&mut self, interface: &str, name: &str, wanted: bool) -> io::Result<()> {
        self.change(interface, |world| {
            world.features.entry((interface.to_owned(), name.to_owned())).and_modify(|feature| feature.1 = wanted);
        })
    }

    fn peer(&self, interface: &str) -> io::Result<Peer> {
        Ok(match self.world.peers.get(interface).map(String::as_str) {
            None => Peer::None,
            Some("") => Peer::Elsewhere,
            Some(name) => Peer::Here(name.to_owned()),
        })
    }
}

/// A state file in memory, on the same fuse.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) text: Option<String>,
    pub(crate) fuse: Fuse,
    pub(crate) late: bool,
    /// Whether it refuses to be written.
    pub(crate) closed: bool,
    pub(crate) saves: usize,
}

impl Store for Memory {
    fn load(&self) -> Result<Option<String>, JournalError> {
        Ok(self.text.clone())
    }

    fn save(&mut self, text: Option<&str>) -> Result<(), JournalError> {
        let unwritable = |reason: String| JournalError::Unwritable { path: "memory".to_owned(), reason };
        if self.closed {
            return Err(unwritable("closed".to_owned()));
        }
        self.saves += 1;
        let (kept, text) = (&mut self.text, text.map(str::to_owned));
        self.fuse.change(|| *kept = text, self.late).map_err(|error| unwritable(error.to_string()))
    }
}
