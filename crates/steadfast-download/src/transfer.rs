//! One artifact from a web server, a registry of container images or a file of this machine, handed over as it comes:
//! from where an earlier transfer ended, through redirects, with credentials only where they belong.

mod call;
pub mod oci;
mod place;
mod web;

use crate::archive::failed;
use crate::error::{DownloadError, DownloadErrorKind};
use crate::records::{Kind, Record, Writer};
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::path::PathBuf;
use std::time::Duration;

/// What is to be transferred.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Task {
    pub place: Place,
    /// How many bytes of it are there already.
    pub from: u64,
    /// The most bytes of the whole.
    pub limit: u64,
    pub access: Option<Access>,
    pub proxy: Option<String>,
    /// A transfer that moves nothing for so long is given up.
    pub idle: Duration,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    Web {
        url: String,
    },
    File {
        path: PathBuf,
    },
    /// `sha256` is that of the manifest, in hex digits.
    Oci {
        name: String,
        sha256: String,
    },
    /// A request, of which nothing but its success matters.
    Call {
        url: String,
        method: String,
        headers: Vec<(String, String)>,
    },
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Web { url } => f.debug_struct("Web").field("url", url).finish(),
            Place::File { path } => f.debug_struct("File").field("path", path).finish(),
            Place::Oci { name, sha256: _ } => {
                f.debug_struct("Oci").field("name", name).finish_non_exhaustive()
            }
            // Its headers may be secrets.
            Place::Call { url, method, headers: _ } => f
                .debug_struct("Call")
                .field("url", url)
                .field("method", method)
                .finish_non_exhaustive(),
        }
    }
}

/// How a server is talked to by whoever asks for something below a prefix of URLs. Nobody else hears of it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Access {
    pub prefix: String,
    /// Names of headers, and what they say.
    pub headers: Vec<(String, String)>,
    /// Authorities of its certificate, as PEM, in the place of the system's.
    pub ca: Option<String>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// Transfers it. What becomes of it stands in the last record.
pub fn transfer(task: &Task, to: impl Write) -> io::Result<()> {
    let mut sink = Sink { records: Writer::new(to)?, at: 0, limit: task.limit };
    let ended = match &task.place {
        Place::File { path } => file(path, task, &mut sink),
        Place::Web { url } => web::get(url, task, &mut sink),
        Place::Oci { name, sha256 } => oci::get(name, sha256, task, &mut sink),
        Place::Call { url, method, headers } => call::call(url, method, headers, task),
    };
    match ended {
        Ok(()) => sink.records.end(&Record::new(Kind::End)),
        Err(Stop::Output(err)) => Err(err),
        Err(Stop::Failed(error)) => sink.records.end(&failed(&error).borrow()),
    }
}

/// Why nothing more is transferred.
#[derive(Debug)]
enum Stop {
    Failed(DownloadError),
    /// Nobody reads what is handed over.
    Output(io::Error),
}

impl From<DownloadError> for Stop {
    fn from(error: DownloadError) -> Stop {
        Stop::Failed(error)
    }
}

/// Where the bytes go.
struct Sink<W: Write> {
    records: Writer<W>,
    /// Where in the whole the next byte belongs.
    at: u64,
    limit: u64,
}

impl<W: Write> Sink<W> {
    /// What follows begins there.
    fn begin(&mut self, offset: u64) -> Result<(), Stop> {
        self.at = offset;
        let begin = Record { size: offset, ..Record::new(Kind::Offset) };
        self.records.add(&begin).map_err(Stop::Output)
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        self.at = self.at.saturating_add(bytes.len() as u64);
        if self.at > self.limit {
            return Err(self.too_large());
        }
        self.records.data(bytes).map_err(Stop::Output)
    }

    fn too_large(&self) -> Stop {
        let words = format!("it has more than {} bytes", self.limit);
        Stop::Failed(DownloadError::new(DownloadErrorKind::TooLarge, words))
    }
}

fn file(path: &std::path::Path, task: &Task, sink: &mut Sink<impl Write>) -> Result<(), Stop> {
    let failed = |err: io::Error| {
        let words = format!("read {}: {err}", path.display());
        Stop::Failed(DownloadError::new(DownloadErrorKind::Unreachable, words))
    };
    // Nothing that would make us wait to be opened.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags, Mode::empty()).map_err(|err| failed(err.into()))?;
    let mut file = File::from(opened);
    let about = file.metadata().map_err(failed)?;
    if !about.is_file() {
        return Err(failed(io::Error::other("it is not a file")));
    }
    if about.len() > task.limit {
        return Err(sink.too_large());
    }
    let from = if task.from < about.len() { task.from } else { 0 };
    file.seek(SeekFrom::Start(from)).map_err(failed)?;
    sink.begin(from)?;
    let mut buffer = vec![0; crate::records::PORTION];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => sink.data(&buffer[..count])?,
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(failed(err)),
        }
    }
}
