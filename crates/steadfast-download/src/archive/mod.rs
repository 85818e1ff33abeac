//! Taking apart what was downloaded to be unpacked: an archive, or a single file. It happens in a process that can
//! read its input, write its output, and nothing else; what is in it is handed over as plain records.

mod kind;
mod names;
mod order;
mod sink;
mod tar;
mod zip;

pub use order::Order;

use crate::error::{DownloadError, DownloadErrorKind};
use crate::records::{Kind, Record, Writer};
use kind::Format;
use order::Stop;
use sink::Sink;
use std::fs::File;
use std::io::{self, Write};

/// Takes an archive apart. What becomes of it stands in the last record.
pub fn unpack(archive: File, order: &Order, to: impl Write) -> io::Result<()> {
    let mut sink = Sink::new(Writer::new(to)?, order);
    let (kind, words) = match take_apart(archive, order, &mut sink) {
        Ok(()) => return sink.records.end(&Record::new(Kind::End)),
        Err(Stop::Output(err)) => return Err(err),
        Err(Stop::Refused(words)) => (DownloadErrorKind::Refused, words),
        Err(Stop::TooLarge(words)) => (DownloadErrorKind::TooLarge, words),
    };
    sink.records.end(&failed(&DownloadError::new(kind, words)).borrow())
}

fn take_apart(archive: File, order: &Order, sink: &mut Sink<'_, impl Write>) -> Result<(), Stop> {
    match kind::recognize(&archive, order.is_single)? {
        Format::Tar(packing) => {
            let most = order.max.saturating_add(OVERHEAD);
            tar::unpack(packing.open(archive), most, sink)?;
        }
        Format::Zip => zip::unpack(archive, sink)?,
        Format::Single => single(archive, order, sink)?,
    }
    match sink.entries {
        0 => Err(Stop::Refused("the archive is empty".to_owned())),
        _ => Ok(()),
    }
}

/// What headers, names and padding may take beside the files.
const OVERHEAD: u64 = 1 << 30;

/// A file that is no archive, or is wanted as it is.
fn single(file: File, order: &Order, sink: &mut Sink<'_, impl Write>) -> Result<(), Stop> {
    let about = file.metadata().map_err(|err| Stop::Refused(err.to_string()))?;
    let entry =
        sink::File { name: order.name.as_bytes(), mode: order.mode, time: 0, size: about.len() };
    sink.file(&entry, file, false)
}

/// The last record of a process that failed.
#[derive(Debug)]
pub struct FailedRecord(Vec<u8>);

/// An error as the last record; [`error_in`] reads it.
pub fn failed(error: &DownloadError) -> FailedRecord {
    // Plain data, whose serialization cannot fail.
    FailedRecord(serde_json::to_vec(error).unwrap_or_default())
}

impl FailedRecord {
    pub fn borrow(&self) -> Record<'_> {
        Record { content: &self.0, ..Record::new(Kind::Failed) }
    }
}

/// The error that such a record holds: another's words, on one line.
pub fn error_in(record: &Record<'_>) -> DownloadError {
    let error: Option<DownloadError> = serde_json::from_slice(record.content).ok();
    match error {
        Some(DownloadError { kind, words }) => DownloadError::new(kind, words),
        None => DownloadError::new(DownloadErrorKind::Local, "it does not say why it failed"),
    }
}
