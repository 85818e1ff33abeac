//! Downloads from untrusted servers: a process that has given up its privileges, programs with limits on time
//! and output, files over https, unpacking of archives, and the file of plain records by which all of that
//! reaches the side that has privileges. It does not know what the bytes are for.

pub mod archive;
pub mod error;
pub mod https;
pub mod limits;
pub mod offer;
pub mod process;
pub mod records;
pub mod sandbox;
pub mod transfer;
pub mod unpack;
pub mod worker;

pub use error::{DownloadError, DownloadErrorKind};
pub use limits::Limits;
