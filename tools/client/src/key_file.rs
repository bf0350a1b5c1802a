//! A file that holds one secret key: TOML that says what it is, with the public half beside the secret one, so that a
//! file that was changed by mistake is found out.
//!
//! Files are made for their owner alone and never written over. The secret lies in them as it is: who can read the file
//! can act by the key.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use hpb_types::{Hash, KeyPair, PublicKey};
use serde::Deserialize;

/// The largest file that is read.
const FILE_LEN_MAX: u64 = 4_096;

/// A secret key with its file's form.
#[derive(Clone)]
pub struct KeyFile {
    seed: [u8; 32],
    keys: KeyPair,
}

/// Why a key file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The operating system refused.
    #[error("{action} {path} failed: {error}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: String,
        /// What the operating system says.
        error: io::Error,
    },
    /// There is something already.
    #[error("{0} exists: a key is never written over another file")]
    Exists(String),
    /// It is not such a file.
    #[error("{path} is no key file: {reason}")]
    Malformed {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Its halves do not belong together.
    #[error("{0}: the public key is not that of the secret one")]
    Mismatch(String),
    /// Others may read it.
    #[error("{path} can be read by others (mode {mode:03o}): run chmod 600 {path}")]
    Open {
        /// The file.
        path: String,
        /// Its permissions.
        mode: u32,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    kind: Kind,
    public: String,
    secret: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Account,
}

impl KeyFile {
    /// A key that nobody has seen, from the operating system's randomness.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn draw() -> Result<Self, KeyFileError> {
        Ok(Self::from_seed(os_random()?))
    }

    /// The key of a seed.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self { seed, keys: KeyPair::from_seed(seed) }
    }

    /// Its two halves.
    pub fn keys(&self) -> &KeyPair {
        &self.keys
    }

    /// The secret that both follow from.
    pub fn seed(&self) -> [u8; 32] {
        self.seed
    }

    /// Its public half.
    pub fn public(&self) -> PublicKey {
        self.keys.public()
    }

    /// The file's text.
    fn text(&self) -> String {
        format!(
            "# Whoever has the secret acts by this key.\nkind = \"account\"\npublic = \"{}\"\nsecret = \"{}\"\n",
            self.public().to_hex(),
            Hash(self.seed).to_hex(),
        )
    }

    /// Writes it to a file that is not there yet, for its owner alone, and to the disk.
    ///
    /// # Errors
    /// [`KeyFileError::Exists`], or what the operating system says.
    pub fn write(&self, path: &Path) -> Result<(), KeyFileError> {
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let mut file = opened.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => KeyFileError::Exists(path.display().to_string()),
            _ => failed("creating", path)(error),
        })?;
        let written = file.write_all(self.text().as_bytes()).and_then(|()| file.sync_all());
        if written.is_err() {
            // Half a key is worse than none.
            let _ = fs::remove_file(path);
        }
        written.map_err(failed("writing", path))
    }

    /// Reads one.
    ///
    /// # Errors
    /// It can't be read, others can read it, or it is no key file.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let mut text = String::new();
        let file = fs::File::open(path).map_err(failed("reading", path))?;
        let mode = file.metadata().map_err(failed("reading", path))?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyFileError::Open { path: path.display().to_string(), mode });
        }
        file.take(FILE_LEN_MAX).read_to_string(&mut text).map_err(failed("reading", path))?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, KeyFileError> {
        let malformed = |reason: String| KeyFileError::Malformed { path: path.display().to_string(), reason };
        let File { kind: Kind::Account, public, secret } = toml::from_str(text).map_err(|error| {
            // The parser's own words would show the line, and with it the secret.
            let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].lines().count().max(1));
            malformed(format!("line {line} is not what stands there in such a file"))
        })?;
        let secret =
            Hash::from_hex(&secret).map_err(|_| malformed("the secret is not 64 hexadecimal digits".into()))?;
        let public = PublicKey::from_hex(&public)
            .map_err(|error| malformed(format!("the public key is not 64 hexadecimal digits: {error}")))?;
        let key = Self::from_seed(secret.0);
        if key.public() == public { Ok(key) } else { Err(KeyFileError::Mismatch(path.display().to_string())) }
    }
}

impl core::fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "KeyFile({})", self.public())
    }
}

/// 32 bytes of the operating system's randomness.
///
/// # Errors
/// What the operating system says.
pub fn os_random() -> Result<[u8; 32], KeyFileError> {
    let path = Path::new("/dev/urandom");
    let mut bytes = [0; 32];
    fs::File::open(path).and_then(|mut file| file.read_exact(&mut bytes)).map_err(failed("reading", path))?;
    Ok(bytes)
}

fn failed(action: &'static str, path: &Path) -> impl Fn(io::Error) -> KeyFileError + use<> {
    let path: PathBuf = path.to_path_buf();
    move |error| KeyFileError::Io { action, path: path.display().to_string(), error }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_key_comes_back_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alice.key");
        let key = KeyFile::draw().unwrap();
        key.write(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(KeyFile::read(&path).unwrap().public(), key.public());
        assert!(matches!(KeyFile::draw().unwrap().write(&path), Err(KeyFileError::Exists(_))));
        assert_eq!(KeyFile::read(&path).unwrap().public(), key.public(), "it is still there");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(KeyFile::read(&path), Err(KeyFileError::Open { mode: 0o644, .. })));
        assert!(!format!("{key:?}").contains(&Hash(key.seed).to_hex()), "a secret is never shown");
    }

    #[test]
    fn what_is_no_key_file_is_refused_without_showing_it() {
        let text = KeyFile::from_seed([7; 32]).text();
        let secret = Hash([7; 32]).to_hex();
        let other = Hash([8; 32]).to_hex();
        for changed in [
            String::new(),
            text.replace("account", "producer"),
            text.replace("secret = ", "sekret = "),
            text.replace(&secret, &secret[1..]),
            text.replace(&secret, &other),
            format!("{text}more = 1\n"),
            text.replace("secret = \"", "secret = "),
        ] {
            let error = KeyFile::parse(Path::new("k"), &changed).unwrap_err().to_string();
            assert!(!error.contains(&secret[2..]) && !error.contains(&other), "{error}");
        }
    }
}
