//! The page `BENCHMARKS.md`: a section for each kind of run, written by the run and replaced by its next one.
//!
//! A section lies between two comments that name it. What stands outside of them is left as it is. The page is opened
//! before the run, so that a file which cannot be written is known before minutes are spent; it is replaced whole, or
//! not at all.

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// What a page begins with.
const HEAD: &str = "# Benchmarks\n\nEach section was written by the command that it names, with `--markdown`; the \
                    same command replaces it.\n";
/// Who may read a new page: everyone.
const MODE: u32 = 0o644;

/// Why a page cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}", path = path.display())]
pub struct PageError {
    path: PathBuf,
    source: io::Error,
}

/// A page that is about to get a section.
pub struct Page {
    path: PathBuf,
    text: String,
    permissions: Permissions,
    next: NamedTempFile,
}

impl Page {
    /// Reads the page, or begins one, and makes sure that it can be written.
    ///
    /// # Errors
    /// It is not text, or its folder takes no file.
    pub fn open(path: &Path) -> Result<Self, PageError> {
        let failed = |source| PageError { path: path.to_owned(), source };
        let (text, permissions) = match fs::read_to_string(path) {
            Ok(text) => (text, fs::metadata(path).map_err(failed)?.permissions()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (HEAD.to_owned(), Permissions::from_mode(MODE)),
            Err(error) => return Err(failed(error)),
        };
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        fs::metadata(folder).map_err(failed)?;
        let next = NamedTempFile::with_prefix_in(".hpb-bench-", folder).map_err(failed)?;
        Ok(Self { path: path.to_owned(), text, permissions, next })
    }

    /// Writes the page with `section` in place of the one of that name, or at the end.
    ///
    /// # Errors
    /// The disk is full; the page is then as it was.
    pub fn write(mut self, name: &str, section: &str) -> Result<(), PageError> {
        let text = replaced(&self.text, name, section);
        let path = self.path;
        let mut put = || {
            self.next.write_all(text.as_bytes())?;
            self.next.as_file().set_permissions(self.permissions.clone())?;
            self.next.as_file().sync_all()
        };
        let written = put();
        let done = written.and_then(|()| self.next.persist(&path).map(drop).map_err(|error| error.error));
        done.map_err(|source| PageError { path, source })
    }
}

fn replaced(text: &str, name: &str, section: &str) -> String {
    let (first, last) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->\n"));
    let block = format!("{first}{}\n{last}", section.trim_end());
    let found = text.find(&first).and_then(|from| {
        let len = text[from..].find(&last)? + last.len();
        Some((from, from + len))
    });
    match found {
        Some((from, to)) => [&text[..from], &block, &text[to..]].concat(),
        None => format!("{}\n\n{block}", text.trim_end()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_new_page_has_a_head_and_its_section() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("BENCHMARKS.md");
        Page::open(&path).unwrap().write("a", "## A\n\ntext\n").unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("{HEAD}\n<!-- a -->\n## A\n\ntext\n<!-- end of a -->\n"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no second file is left");
    }

    #[test]
    fn a_section_is_replaced_where_it_stands_and_all_else_is_left() {
        let text =
            "# X\n\nwords\n\n<!-- a -->\nold\nold\n<!-- end of a -->\n\nmore\n\n<!-- ab -->\nb\n<!-- end of ab -->\n";
        let expected =
            "# X\n\nwords\n\n<!-- a -->\nnew\n<!-- end of a -->\n\nmore\n\n<!-- ab -->\nb\n<!-- end of ab -->\n";
        assert_eq!(replaced(text, "a", "new\n"), expected);
        assert_eq!(replaced(expected, "a", "new\n"), expected);
        assert_eq!(replaced("# X\n", "c", "c"), "# X\n\n<!-- c -->\nc\n<!-- end of c -->\n");
    }

    #[test]
    fn a_page_that_cannot_be_written_is_known_at_once_and_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let error = Page::open(&folder.path().join("none/BENCHMARKS.md")).err().unwrap();
        assert!(error.to_string().contains("none/BENCHMARKS.md: "), "{error}");
        let error = Page::open(folder.path()).err().unwrap();
        assert!(error.to_string().starts_with(&folder.path().display().to_string()), "{error}");
    }

    #[test]
    fn a_page_that_is_opened_and_not_written_is_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.md");
        fs::write(&path, "words").unwrap();
        drop(Page::open(&path).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "words");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
