//! Brings bytes from strangers: a process that has given up its privileges, programs that cannot outlive or
//! outgrow their bounds, files from web servers, archives taken apart, and the file of plain records by
//! which all of that crosses to the side that has privileges. It does not know what the bytes are for.

pub mod error;
pub mod https;
pub mod limits;
pub mod offer;
pub mod process;
pub mod sandbox;
pub mod unpack;

pub use error::{DownloadError, DownloadErrorKind};
pub use limits::Limits;
