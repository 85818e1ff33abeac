//! The fetching side: what is new in a repository, as raw objects in an offer. These are the commit, its
//! trees and files, and the commits that lead from it back to the highest revision accepted before.

use super::address::check_url;
use super::blame;
use super::export::{broken, export, object};
use super::history::{Way, find_way};
use super::repository::{Repository, Whose};
use crate::object::{Algorithm, MAX_COMMIT, Tag};
use crate::settings::{Git, Limits, Reference};
use crate::terms::{Credentials, Download, Known};
use std::path::Path;
use steadfast_download::https::Site;
use steadfast_download::offer::Writer;
use steadfast_download::{DownloadError, DownloadErrorKind};

/// Brings the tip of a branch or a tag into the cache directory.
pub(crate) fn download<'a>(
    git: &'a Git,
    credentials: &Credentials,
    known: &Known,
    cache: &Path,
    limits: &'a Limits,
) -> Result<(Download, Option<History<'a>>), DownloadError> {
    let url = check_url(git)?;
    let repository = Repository::open(git, url, credentials, cache, limits)?;
    let brought = repository
        .fetch(1)
        .map_err(|error| distrusted(error, git, credentials, limits))
        .and_then(|()| offer(&repository, &repository.tip()?, known, cache));
    if brought.is_err() {
        // What came in part takes up no room until the next try, which may be long from now.
        let _tidied = repository.tidy();
    }
    let (brought, ends) = brought?;
    Ok((brought, ends.map(|Ends { tip, accepted }| History { repository, tip, accepted })))
}

/// A history that was brought, of which may be written down what tells who wrote the lines.
pub(crate) struct History<'a> {
    repository: Repository<'a>,
    tip: String,
    accepted: String,
}

impl History<'_> {
    /// It costs time and memory that a stranger may have a say in, and nothing depends on it.
    pub(crate) fn record(&self, cache: &Path) {
        blame::record(&self.repository, &self.tip, &self.accepted, cache);
    }
}

/// The commits between which a history was brought.
struct Ends {
    tip: String,
    accepted: String,
}

/// What git's TLS library says of a certificate that it does not trust leaves out why. Ours does not, so it
/// looks too.
fn distrusted(
    error: DownloadError,
    git: &Git,
    credentials: &Credentials,
    limits: &Limits,
) -> DownloadError {
    if !error.words.contains("certificate verification failed") {
        return error;
    }
    let Git { url, proxy, .. } = git;
    let answer = Site::new(url, credentials.ca.as_deref(), proxy.as_deref(), &limits.transfer())
        .and_then(|site| site.get("info/refs", None, MAX_COMMIT as u64));
    match answer {
        Err(DownloadError { words, .. }) if words.contains("certificate") => {
            let why = words.split_once(": ").map_or(&*words, |(_, why)| why);
            DownloadError::new(error.kind, format!("fetch {url}: {why}"))
        }
        Ok(_) | Err(_) => error,
    }
}

/// The same from a repository that lies on this machine, without fetching: what is named may be any of
/// its commits and tags.
pub(crate) fn download_local(
    folder: &Path,
    reference: &Reference,
    known: &Known,
    cache: &Path,
    limits: &Limits,
) -> Result<Download, DownloadError> {
    let repository = Repository::local(folder, cache, limits, Whose::Anybodys)?.0;
    let tip = match reference {
        Reference::Branch(name) => repository.resolve(&format!("{name}^{{commit}}"))?,
        Reference::Tag(name) => repository.resolve(&format!("refs/tags/{name}"))?,
    };
    let (brought, ends) = offer(&repository, &tip, known, cache)?;
    if let Some(Ends { tip, accepted }) = ends {
        blame::record(&repository, &tip, &accepted, cache);
    }
    Ok(brought)
}

/// Writes down a commit or tag, with what leads from it to what was accepted before and to its files.
fn offer(
    repository: &Repository<'_>,
    tip: &str,
    known: &Known,
    cache: &Path,
) -> Result<(Download, Option<Ends>), DownloadError> {
    let mut talk = repository.talk()?;
    let algorithm = Algorithm::from_name(tip)
        .ok_or_else(|| DownloadError::new(DownloadErrorKind::Broken, "git names no object"))?;

    let (kind, content) = object(&mut talk, tip, MAX_COMMIT)?;
    let (tag, commit) = tag_and_commit(algorithm, tip, &kind, content)?;
    if known.content && known.commit.as_ref() == Some(&commit) {
        return Ok((Download::Unchanged, None));
    }
    let path = match &known.commit {
        Some(accepted) if *accepted != commit => find_way(repository, &commit, accepted)?,
        Some(_) | None => Way::Found(vec![]),
    };
    // The objects of a deepened history are there only for a process that starts after it came.
    talk = repository.talk()?;

    let mut writer = Writer::new(cache)?;
    if let Some(tag) = &tag {
        writer.add("tag", "", tag)?;
    }
    let (_, raw) = object(&mut talk, &commit, MAX_COMMIT)?;
    let tree = tree_of(&raw).ok_or_else(|| broken("the commit"))?;
    writer.add("commit", &commit, &raw)?;
    let led = matches!(path, Way::Found(_));
    match path {
        Way::Found(commits) => {
            for commit in commits {
                let (_, raw) = object(&mut talk, &commit, MAX_COMMIT)?;
                writer.add("ancestor", &commit, &raw)?;
            }
        }
        Way::TooFar => writer.add("too-far", "", b"")?,
        Way::Nowhere => {}
    }
    export(&mut talk, algorithm, tree, &mut writer)?;
    writer.finish()?;
    let accepted = known.commit.clone().filter(|_| led);
    let ends = accepted.map(|accepted| Ends { tip: commit, accepted });
    Ok((Download::Offer { validator: None }, ends))
}

/// What is followed: a commit, or a tag with the commit that it names.
fn tag_and_commit(
    algorithm: Algorithm,
    tip: &str,
    kind: &str,
    content: Vec<u8>,
) -> Result<(Option<Vec<u8>>, String), DownloadError> {
    match kind {
        "commit" => Ok((None, tip.to_owned())),
        "tag" => {
            let commit = Tag::parse(algorithm, &content).map_err(|_| broken("the tag"))?.object;
            Ok((Some(content), commit))
        }
        other => {
            let words = format!("it names a {other}, no commit");
            Err(DownloadError::new(DownloadErrorKind::Broken, words))
        }
    }
}

/// The tree of a commit; whether the rest is well formed is judged by the accepting side.
fn tree_of(raw: &[u8]) -> Option<String> {
    let line = raw.split(|it| *it == b'\n').next()?.strip_prefix(b"tree ")?;
    let id = String::from_utf8(line.to_vec()).ok()?;
    Algorithm::from_name(&id).map(|_| id)
}
