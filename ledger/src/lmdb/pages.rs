//! Looks through LMDB's file page by page, before LMDB itself is let near it.
//!
//! LMDB has no checksums and follows whatever its pages say, so that a damaged page may lead it outside of its map and
//! end the process. Here every page that the last committed tree reaches is read as foreign bytes are: its number, its
//! kind, the places of its nodes, the order of its keys, the count of its entries; no page is reached twice, and none that
//! is reached is free to be written over. A flipped bit in a key or a value is another matter: only who knows what should
//! stand there finds it.
//!
//! The layout is that of LMDB 0.9 (its `mdb.c`) on a machine of 64 bits, little-endian.

use std::fs::File;
use std::io;
use std::path::Path;

use hpb_base::limits::STORE_DEPTH_MAX;

use crate::chainlog::file::read_full;

/// A file as it is read here.
trait Pages {
    /// Reads at `offset` until `into` is full or the file ends; how many bytes were read.
    fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<usize>;

    /// Its length in bytes.
    fn length(&self) -> io::Result<u64>;
}

impl Pages for File {
    fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        read_full(self, offset, into)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

impl Pages for [u8] {
    fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..)).unwrap_or_default();
        let len = rest.len().min(into.len());
        into[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }
}

/// What is wrong with the file, and where.
#[derive(Debug, thiserror::Error)]
pub enum PagesError {
    /// The operating system refused.
    #[error("it can't be read: {0}")]
    Io(#[from] io::Error),
    /// No meta page is whole.
    #[error("neither of its first two pages is one of LMDB's")]
    Meta,
    /// A page is not what the tree says.
    #[error("its page {page} {what}")]
    Page {
        /// The page's number.
        page: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// A tree has more or fewer entries than it states.
    #[error("a tree in it has {found} entries and states {stated}")]
    Entries {
        /// Entries found.
        found: u64,
        /// Entries stated.
        stated: u64,
    },
}

const MAGIC: u32 = 0xBEEF_C0DE;
const VERSION: u32 = 1;
const HEADER_LEN: usize = 16;
const NODE_LEN: usize = 8;
const META_LEN: usize = HEADER_LEN + 136;
const TREE_LEN: usize = 48;
/// Page sizes that LMDB knows, in bytes.
const PAGE_LENS: core::ops::RangeInclusive<u32> = 256..=65_536;
const NO_PAGE: u64 = u64::MAX;

const BRANCH: u16 = 1;
const LEAF: u16 = 2;
const OVERFLOW: u16 = 4;
const META: u16 = 8;
/// A value that lies in pages of its own.
const BIG: u16 = 1;
/// A value that is a tree's description.
const TREE: u16 = 2;

/// Checks all that the last committed state of the file at `path` reaches.
///
/// # Errors
/// The first fault.
pub fn check(path: &Path) -> Result<(), PagesError> {
    check_pages(&File::open(path)?)
}

/// The same of a file that is in memory.
///
/// # Errors
/// The first fault.
pub fn check_bytes(file: &[u8]) -> Result<(), PagesError> {
    check_pages(file)
}

fn check_pages<P: Pages + ?Sized>(file: &P) -> Result<(), PagesError> {
    let metas = [Meta::read(file, 0)?, Meta::first_len(file)?.map_or(Ok(None), |len| Meta::read(file, len))?];
    let [first, second] = metas;
    let meta = match (first, second) {
        (Some(first), Some(second)) if second.commit > first.commit => second,
        (Some(first), _) => first,
        (None, Some(second)) => second,
        (None, None) => return Err(PagesError::Meta),
    };
    let count = (file.length()? / u64::from(meta.page_len)).min(meta.last_page.saturating_add(1));
    let mut walk =
        Walk { file, page_len: meta.page_len as usize, seen: vec![false; count as usize], trees: Vec::new() };
    let mut free = Vec::new();
    walk.tree(&meta.free, Kind::Free, &mut free)?;
    walk.tree(&meta.main, Kind::Main, &mut free)?;
    for tree in core::mem::take(&mut walk.trees) {
        walk.tree(&tree, Kind::State, &mut free)?;
    }
    for page in free {
        let what = match usize::try_from(page).ok().and_then(|page| walk.seen.get(page)) {
            _ if page < 2 || page > meta.last_page => "is called free, and is none of the file's",
            Some(true) => "is free to be written over, and in use",
            _ => continue,
        };
        return Err(PagesError::Page { page, what });
    }
    Ok(())
}

/// What one of the first two pages says.
struct Meta {
    page_len: u32,
    free: Tree,
    main: Tree,
    last_page: u64,
    commit: u64,
}

/// A tree's description.
#[derive(Clone, Copy)]
struct Tree {
    entries: u64,
    root: u64,
}

/// Which tree it is: what its keys and values are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Commits and the pages that each of them freed.
    Free,
    /// Names and their trees.
    Main,
    /// Keys and values.
    State,
}

impl Meta {
    /// The page size that the file's first page states, if it is one.
    fn first_len(file: &(impl Pages + ?Sized)) -> Result<Option<u64>, PagesError> {
        let mut bytes = [0; META_LEN];
        let len = file.read(0, &mut bytes)?;
        let stated = get_u32(&bytes[..len], 40).filter(|stated| PAGE_LENS.contains(stated));
        Ok(stated.map(u64::from))
    }

    /// The meta page at `offset`; `None` if it is none.
    fn read(file: &(impl Pages + ?Sized), offset: u64) -> Result<Option<Self>, PagesError> {
        let mut bytes = [0; META_LEN];
        let len = file.read(offset, &mut bytes)?;
        Ok(Self::of(&bytes[..len]))
    }

    fn of(bytes: &[u8]) -> Option<Self> {
        let is_meta = get_u16(bytes, 10)? & META != 0 && get_u32(bytes, 16)? == MAGIC && get_u32(bytes, 20)? == VERSION;
        let page_len = get_u32(bytes, 40)?;
        if !is_meta || !PAGE_LENS.contains(&page_len) {
            return None;
        }
        Some(Self {
            page_len,
            free: Tree::of(bytes.get(40..)?)?,
            main: Tree::of(bytes.get(88..)?)?,
            last_page: get_u64(bytes, 136)?,
            commit: get_u64(bytes, 144)?,
        })
    }
}

impl Tree {
    fn of(bytes: &[u8]) -> Option<Self> {
        Some(Self { entries: get_u64(bytes, 32)?, root: get_u64(bytes, 40)? })
    }
}

struct Walk<'a, P: ?Sized> {
    file: &'a P,
    page_len: usize,
    /// Which pages were reached.
    seen: Vec<bool>,
    /// The trees that the main one names.
    trees: Vec<Tree>,
}

/// One node of a page.
struct Node<'a> {
    flags: u16,
    key: &'a [u8],
    /// A branch's page, or the length of a leaf's value.
    number: u64,
    /// A leaf's value, or where it lies.
    value: &'a [u8],
}

impl<P: Pages + ?Sized> Walk<'_, P> {
    /// Walks over a tree in the order of its keys. Pages that the tree of free ones names are put into `free`.
    fn tree(&mut self, tree: &Tree, kind: Kind, free: &mut Vec<u64>) -> Result<(), PagesError> {
        let (mut found, mut last): (u64, Option<Vec<u8>>) = (0, None);
        let mut stack: Vec<(u64, usize)> = if tree.root == NO_PAGE { Vec::new() } else { vec![(tree.root, 1)] };
        while let Some((page, depth)) = stack.pop() {
            let wrong = |what| PagesError::Page { page, what };
            if depth > STORE_DEPTH_MAX {
                return Err(wrong("lies too deep in its tree"));
            }
            let bytes = self.page(page, 1)?;
            let flags = get_u16(&bytes, 10).unwrap_or_default();
            match flags {
                BRANCH => {
                    let nodes = nodes(&bytes, page, false)?;
                    if nodes.is_empty() {
                        return Err(wrong("is a branch without a leaf"));
                    }
                    stack.extend(nodes.iter().rev().map(|node| (node.number, depth + 1)));
                }
                LEAF => {
                    for node in nodes(&bytes, page, true)? {
                        let in_order = last.as_deref().is_none_or(|last| kind.is_before(last, node.key));
                        if !in_order {
                            return Err(wrong("has its keys out of order"));
                        }
                        last = Some(node.key.to_vec());
                        found += 1;
                        self.value(&node, page, kind, free)?;
                    }
                }
                _ => return Err(wrong("is neither a branch nor a leaf")),
            }
        }
        if found == tree.entries { Ok(()) } else { Err(PagesError::Entries { found, stated: tree.entries }) }
    }

    fn value(&mut self, node: &Node<'_>, page: u64, kind: Kind, free: &mut Vec<u64>) -> Result<(), PagesError> {
        let wrong = |what| PagesError::Page { page, what };
        let held;
        let value = if node.flags & BIG != 0 {
            let first = get_u64(node.value, 0).ok_or_else(|| wrong("names no page of a long value"))?;
            let count = (HEADER_LEN as u64 + node.number).div_ceil(self.page_len as u64);
            held = self.page(first, count)?;
            if get_u16(&held, 10) != Some(OVERFLOW) || get_u32(&held, 12).map(u64::from) != Some(count) {
                return Err(PagesError::Page { page: first, what: "is not that of a long value" });
            }
            &held[HEADER_LEN..HEADER_LEN + node.number as usize]
        } else {
            node.value
        };
        match kind {
            Kind::State if node.flags & TREE == 0 => Ok(()),
            Kind::Main if node.flags & TREE != 0 && value.len() == TREE_LEN => {
                self.trees.push(Tree::of(value).ok_or_else(|| wrong("describes a tree in too few bytes"))?);
                Ok(())
            }
            Kind::Free if node.flags & TREE == 0 => {
                let count = get_u64(value, 0).ok_or_else(|| wrong("has a list of free pages without a length"))?;
                if count.checked_mul(8).and_then(|len| len.checked_add(8)) != Some(value.len() as u64) {
                    return Err(wrong("has a list of free pages of another length than it states"));
                }
                free.extend(value[8..].chunks_exact(8).filter_map(|number| get_u64(number, 0)));
                Ok(())
            }
            _ => Err(wrong("has a node of another kind than its tree's")),
        }
    }

    /// The bytes of `count` pages from `page` on, which nothing reached before.
    fn page(&mut self, page: u64, count: u64) -> Result<Vec<u8>, PagesError> {
        let wrong = |what| PagesError::Page { page, what };
        let end = page.checked_add(count).filter(|end| page >= 2 && *end <= self.seen.len() as u64);
        let end = end.ok_or_else(|| wrong("is in use and none of the file's"))?;
        for seen in &mut self.seen[page as usize..end as usize] {
            if core::mem::replace(seen, true) {
                return Err(wrong("is in use twice"));
            }
        }
        let mut bytes = vec![0; self.page_len * count as usize];
        if self.file.read(page * self.page_len as u64, &mut bytes)? < bytes.len() {
            return Err(wrong("is cut off"));
        }
        if get_u64(&bytes, 0) == Some(page) { Ok(bytes) } else { Err(wrong("bears another page's number")) }
    }
}

impl Kind {
    fn is_before(self, one: &[u8], other: &[u8]) -> bool {
        match self {
            // Numbers of commits.
            Self::Free => matches!((get_u64(one, 0), get_u64(other, 0)), (Some(one), Some(other)) if one < other),
            Self::Main | Self::State => one < other,
        }
    }
}

/// The nodes of a page, each within it.
fn nodes(bytes: &[u8], page: u64, is_leaf: bool) -> Result<Vec<Node<'_>>, PagesError> {
    let wrong = |what| PagesError::Page { page, what };
    let (lower, upper) = (get_u16(bytes, 12).unwrap_or_default(), get_u16(bytes, 14).unwrap_or_default());
    let (lower, upper) = (usize::from(lower), usize::from(upper));
    if lower < HEADER_LEN || lower > upper || upper > bytes.len() || !lower.is_multiple_of(2) {
        return Err(wrong("has its bounds out of order"));
    }
    let places = bytes[HEADER_LEN..lower].chunks_exact(2).filter_map(|place| get_u16(place, 0));
    let read = places.map(|place| node(bytes, usize::from(place), is_leaf).filter(|_| usize::from(place) >= upper));
    read.collect::<Option<Vec<_>>>().ok_or_else(|| wrong("has a node that reaches beyond it"))
}

fn node(bytes: &[u8], place: usize, is_leaf: bool) -> Option<Node<'_>> {
    let node = bytes.get(place..)?;
    let (low, high) = (u64::from(get_u16(node, 0)?), u64::from(get_u16(node, 2)?));
    let (flags, key_len) = (get_u16(node, 4)?, usize::from(get_u16(node, 6)?));
    let key = node.get(NODE_LEN..NODE_LEN + key_len)?;
    let number = low | high << 16;
    if !is_leaf {
        return Some(Node { flags: 0, key, number: number | u64::from(flags) << 32, value: &[] });
    }
    let value_len = if flags & BIG != 0 { 8 } else { number as usize };
    let value = node.get(NODE_LEN + key_len..)?.get(..value_len)?;
    Some(Node { flags, key, number, value })
}

fn get_u16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_le_bytes(*bytes))
}

fn get_u32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

fn get_u64(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests;
