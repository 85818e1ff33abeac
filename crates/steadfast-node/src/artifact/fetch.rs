//! Fetching an artifact: from its URL or one of its mirrors, by a process without privileges, into a file that is
//! root's alone, hashed as it comes. What was fetched in part is kept, and goes on from there.

use super::terms::{MAX_BYTES, Means, NoTree, as_system, worker_user};
use crate::download::Duty;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io;
use std::path::PathBuf;
use steadfast_download::archive::error_in;
use steadfast_download::records::Kind;
use steadfast_download::transfer::{Access, Place, Task, oci};
use steadfast_download::worker::{Input, Worker};
use steadfast_download::{DownloadError, DownloadErrorKind};
use steadfast_model::application::{Files, Location};
use steadfast_system::SystemError;
use steadfast_system::text::hex;
use steadfast_system::trees::Part;
use steadfast_trust::text::unhex;

/// What was fetched.
#[derive(Debug)]
pub(super) struct Got {
    /// Its bytes, to be read from their start.
    pub archive: File,
    pub part: Part,
    pub size: u64,
    pub notes: Vec<String>,
}

/// What came of one source.
enum Tried {
    Whole {
        size: u64,
    },
    /// What came is something else.
    Other {
        had_begun_before: bool,
    },
    Failed(DownloadError),
}

pub(super) struct Fetching<'a> {
    artifact: &'a Files,
    means: &'a Means<'a>,
    name: String,
    expected: Expected,
    limit: u64,
}

/// By what the right bytes are known.
#[derive(Clone, Copy)]
enum Expected {
    Bytes([u8; 32]),
    /// A manifest of this digest, and what it names.
    Named([u8; 32]),
}

impl<'a> Fetching<'a> {
    pub(super) fn begin(artifact: &'a Files, means: &'a Means<'a>) -> Result<Fetching<'a>, NoTree> {
        let none = || NoTree::Refused("it has no digest".to_owned());
        let (digest, expected) = match &artifact.url.value {
            Location::Oci { name: _, sha256 } => {
                let digest = unhex(sha256).ok_or_else(none)?;
                (digest, Expected::Named(digest))
            }
            Location::Https(_) | Location::Http(_) | Location::File(_) | Location::Model(_) => {
                let digest = artifact.sha256.as_deref().and_then(unhex).ok_or_else(none)?;
                (digest, Expected::Bytes(digest))
            }
        };
        let limit = artifact.size.unwrap_or(MAX_BYTES).min(MAX_BYTES);
        Ok(Fetching { artifact, means, name: hex(&digest), expected, limit })
    }

    pub(super) fn fetch(&self) -> Result<Got, NoTree> {
        let mut part = Part::open(self.means.cache, &self.name).map_err(failed)?;
        match self.fetch_into(&mut part) {
            Ok((size, notes)) => {
                let archive = part.to_be_read().map_err(failed)?;
                Ok(Got { archive, part, size, notes })
            }
            Err(error) => {
                match &error {
                    NoTree::Refused(_) | NoTree::NoSpace(_) => part.forget(),
                    // It goes on from there.
                    NoTree::Away(_) | NoTree::Failed(_) => {}
                }
                Err(error)
            }
        }
    }

    /// Its size, and what is told of sources that were passed over.
    fn fetch_into(&self, part: &mut Part) -> Result<(u64, Vec<String>), NoTree> {
        let mut notes = vec![];
        let mut is_away = false;
        let places = std::iter::once(&self.artifact.url).chain(&self.artifact.mirrors);
        for place in places.map(|it| &it.value) {
            let words = match self.try_place(place, part)? {
                Tried::Whole { size } => return Ok((size, notes)),
                Tried::Other { .. } => "what came from it has another digest".to_owned(),
                Tried::Failed(error) => {
                    is_away |= may_change(error.kind);
                    error.words
                }
            };
            notes.push(format!("{}: {words}", shown(place)));
        }
        let words = notes.join("; ");
        Err(if is_away { NoTree::Away(words) } else { NoTree::Refused(words) })
    }

    /// One source. What is here of an earlier attempt may be of something else: then once more from the start.
    fn try_place(&self, place: &Location, part: &mut Part) -> Result<Tried, NoTree> {
        match self.try_once(place, part)? {
            Tried::Other { had_begun_before: true } => {
                part.restart().map_err(failed)?;
                self.try_once(place, part)
            }
            tried @ (Tried::Whole { .. } | Tried::Other { .. } | Tried::Failed(_)) => Ok(tried),
        }
    }

    fn try_once(&self, place: &Location, part: &mut Part) -> Result<Tried, NoTree> {
        if let Expected::Bytes(digest) = self.expected
            && part.length() > 0
            && part.sum() == digest
        {
            return Ok(Tried::Whole { size: part.length() });
        }
        let Some(task) = self.task(place, part.length()) else {
            let words =
                "it is no mirror of this: the digest does not say which bytes it should have";
            return Ok(Tried::Failed(DownloadError::new(DownloadErrorKind::Settings, words)));
        };
        // Plain data, whose serialization cannot fail.
        let task = serde_json::to_vec(&task).unwrap_or_default();
        let user = worker_user(Duty::Fetch)?;
        let arguments = ["internal", "transfer"];
        let mut worker = Worker::start(self.means.program, &arguments, user, Input::Task(&task))
            .map_err(as_system)?;
        self.take(&mut worker, part)
    }

    fn task(&self, place: &Location, from: u64) -> Option<Task> {
        let (place, url) = match (place, self.expected) {
            (Location::Https(url) | Location::Http(url), Expected::Bytes(_)) => {
                (Place::Web { url: url.to_string() }, url.to_string())
            }
            (Location::File(path), Expected::Bytes(_)) => {
                (Place::File { path: PathBuf::from(&**path) }, String::new())
            }
            (Location::Oci { name, sha256 }, Expected::Bytes(_) | Expected::Named(_)) => {
                let (name, sha256) = (name.to_string(), sha256.to_string());
                let url = format!("oci://{name}");
                (Place::Oci { name, sha256 }, url)
            }
            (Location::Https(_) | Location::Http(_) | Location::File(_), Expected::Named(_))
            | (Location::Model(_), Expected::Bytes(_) | Expected::Named(_)) => return None,
        };
        let access = longest(self.means.access, &url).cloned();
        let proxy = self.means.proxy.map(str::to_owned);
        Some(Task { place, from, limit: self.limit, access, proxy, idle: self.means.idle })
    }

    /// Takes what it hands over.
    fn take(&self, worker: &mut Worker, part: &mut Part) -> Result<Tried, NoTree> {
        let begun = part.length();
        let mut wanted = match self.expected {
            Expected::Bytes(digest) => Some(digest),
            Expected::Named(_) => None,
        };
        let (mut has_begun, mut from_start) = (false, begun == 0);
        loop {
            let record = match worker.records.next_record() {
                Ok(record) => record,
                Err(error) => return Err(as_system(worker.ended(&error))),
            };
            let (kind, size) = (record.kind, record.size);
            match kind {
                Kind::Document => match self.layer(record.content) {
                    Ok(digest) => wanted = Some(digest),
                    Err(error) => return Ok(Tried::Failed(error)),
                },
                Kind::Offset if size == part.length() => has_begun = true,
                Kind::Offset if size == 0 => {
                    part.restart().map_err(failed)?;
                    (has_begun, from_start) = (true, true);
                }
                Kind::Data if has_begun => {
                    let after = part.length().saturating_add(record.content.len() as u64);
                    if after > self.limit {
                        let words = format!("it has more than {} bytes", self.limit);
                        let error = DownloadError::new(DownloadErrorKind::TooLarge, words);
                        return Ok(Tried::Failed(error));
                    }
                    part.add(record.content).map_err(failed)?;
                }
                Kind::End => {
                    return Ok(match wanted {
                        Some(digest) if has_begun && part.sum() == digest => {
                            Tried::Whole { size: part.length() }
                        }
                        Some(_) | None => {
                            let had_begun_before = !from_start;
                            part.restart().map_err(failed)?;
                            Tried::Other { had_begun_before }
                        }
                    });
                }
                Kind::Failed => return Ok(Tried::Failed(error_in(&record))),
                Kind::Offset
                | Kind::Data
                | Kind::Directory
                | Kind::File
                | Kind::Hole
                | Kind::Symlink
                | Kind::Hardlink
                | Kind::Capabilities => {
                    let words = "it hands over something else than bytes";
                    return Ok(Tried::Failed(DownloadError::new(DownloadErrorKind::Broken, words)));
                }
            }
        }
    }

    /// The digest of the bytes that have to follow a manifest.
    fn layer(&self, manifest: &[u8]) -> Result<[u8; 32], DownloadError> {
        let named = match self.expected {
            // Known without it.
            Expected::Bytes(digest) => return Ok(digest),
            Expected::Named(digest) => digest,
        };
        let wrong = |words: String| DownloadError::new(DownloadErrorKind::Refused, words);
        let digest: [u8; 32] = Sha256::digest(manifest).into();
        if digest != named {
            return Err(wrong("its manifest has another digest".to_owned()));
        }
        oci::layer(manifest).map(|it| it.sha256).map_err(wrong)
    }
}

/// Whether another try may bring something else.
fn may_change(kind: DownloadErrorKind) -> bool {
    match kind {
        DownloadErrorKind::TooLarge | DownloadErrorKind::Refused => false,
        DownloadErrorKind::Unreachable
        | DownloadErrorKind::TimedOut
        | DownloadErrorKind::Broken
        | DownloadErrorKind::Settings
        | DownloadErrorKind::Local
        | DownloadErrorKind::NotInstalled => true,
    }
}

fn failed(err: io::Error) -> NoTree {
    match [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded].contains(&err.kind()) {
        true => NoTree::NoSpace("the disk was full while it was fetched".to_owned()),
        false => SystemError::io("keep what is fetched", err).into(),
    }
}

/// The one with the longest prefix that may hold. The process that asks looks at each URL again.
fn longest<'a>(access: &'a [Access], url: &str) -> Option<&'a Access> {
    let holds = |it: &&Access| url.starts_with(it.prefix.trim_end_matches('/'));
    access.iter().filter(holds).max_by_key(|it| it.prefix.len())
}

/// A source as people are shown it: what stands after `?` may be a key to it.
fn shown(place: &Location) -> String {
    match place {
        Location::Https(url) | Location::Http(url) => {
            url.split(['?', '#']).next().unwrap_or_default().to_owned()
        }
        Location::File(path) => format!("file://{path}"),
        Location::Model(folder) => format!("model:{folder}"),
        Location::Oci { name, sha256: _ } => format!("oci://{name}"),
    }
}
