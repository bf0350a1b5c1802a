//! What a user's program needs: key files, signed transactions, a session with a node of this host, and what becomes of
//! a transaction there. It knows no chain's state: what it is given of that, others have read.

pub mod draft;
pub mod follow;
pub mod key_file;
pub mod look_alike;
pub mod session;

pub use draft::{Draft, DraftError};
pub use follow::{Follow, Step};
pub use key_file::{KeyFile, KeyFileError, os_random};
pub use session::{NodeSession, SessionError};
