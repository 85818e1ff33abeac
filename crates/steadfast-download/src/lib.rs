//! Downloads from untrusted servers: a process that has given up its privileges, programs with limits on time
//! and output, files over https, unpacking of archives, and the file of plain records by which all of that
//! reaches the side that has privileges. It does not know what the bytes are for.

pub mod error;
pub mod https;
pub mod limits;
pub mod offer;
pub mod process;
pub mod sandbox;
pub mod unpack;

pub use error::{DownloadError, DownloadErrorKind};
pub use limits::Limits;
