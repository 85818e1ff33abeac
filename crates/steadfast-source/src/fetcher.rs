//! Bringing and accepting a model. [`bring`] talks to the network and unpacks what strangers wrote; it is
//! meant to run in a process that owns nothing but its cache folder (see [`crate::sandbox`]), and it
//! trusts nobody, because nobody trusts it. [`accept`] runs with the node's privileges: it reads one file
//! that `bring` left, computes every digest again, verifies every signature again, and judges the
//! revision against the trust floor.

use crate::attribution::{self, Attribution};
use crate::blame::Base;
use crate::floor::{Advance, Candidate, Descent, Expected, Floor, Force, Point, judge};
use crate::offer::Reader;
use crate::refusal::{BringError, FileError, Refusal, Trouble};
use crate::revision::content_digest;
use crate::settings::{Git, Limits, Reference, Snapshot, Source, Trust};
use crate::signature::{AllowedSigners, GIT, KeySet, KeysError, RunAs, Signer, verify_openpgp};
use crate::{git, offer, snapshot};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use std::io::Read as _;
use std::path::Path;
use steadfast_model::SourceSet;

/// What is read before privileges are given up: keys and tokens that only root may read.
#[derive(Clone, Default)]
pub struct Material {
    pub ssh_key: Option<Vec<u8>>,
    pub known_hosts: Option<Vec<u8>>,
    pub token: Option<String>,
    pub ca: Option<Vec<u8>>,
}

impl std::fmt::Debug for Material {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Material(…)")
    }
}

impl Material {
    pub fn read(source: &Source) -> Result<Material, FileError> {
        let one = |path: &Option<std::path::PathBuf>| path.as_deref().map(small).transpose();
        match source {
            Source::Git(Git {
                url: _,
                reference: _,
                ssh_key,
                known_hosts,
                token_file,
                ca,
                proxy: _,
            }) => {
                let token = one(token_file)?.map(|it| String::from_utf8_lossy(&it).into_owned());
                Ok(Material {
                    ssh_key: one(ssh_key)?,
                    known_hosts: one(known_hosts)?,
                    token,
                    ca: one(ca)?,
                })
            }
            Source::Snapshot(Snapshot { url: _, ca, proxy: _ }) => {
                Ok(Material { ca: one(ca)?, ..Material::default() })
            }
            Source::Directory(_) => Ok(Material::default()),
        }
    }
}

/// What the node has, so that only news is brought.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The highest commit accepted.
    pub commit: Option<String>,
    /// Whether the content of the highest revision is still there.
    pub content: bool,
    /// What the server gave with the last manifest that was accepted.
    pub validator: Option<Validator>,
}

impl Known {
    pub fn of(floor: &Floor, content: bool, validator: Option<Validator>) -> Known {
        let commit = match &floor.highest {
            Some(Point::Git { commit, .. }) => Some(commit.clone()),
            Some(Point::Snapshot { .. } | Point::Directory { .. }) | None => None,
        };
        Known { commit, content, validator: validator.filter(|_| content) }
    }
}

/// What a server says of a version of a file, to be asked again with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validator {
    pub etag: Option<String>,
    pub modified: Option<String>,
}

/// What became of a fetch. It crosses from the fetcher's process to the agent's as one line of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Brought {
    /// There is nothing new. That is the fetcher's word: believing it costs freshness and nothing else.
    Unchanged,
    /// Something lies in the cache folder, to be accepted.
    Offer { validator: Option<Validator> },
}

/// The line in which a fetcher's process reports.
pub fn to_line(result: &Result<Brought, BringError>) -> String {
    serde_json::to_string(result).unwrap_or_default()
}

/// Reads such a line; one that is not understood is the report of a broken fetcher.
pub fn from_line(line: &str) -> Result<Brought, BringError> {
    serde_json::from_str::<Result<Brought, BringError>>(line).unwrap_or_else(|_| {
        Err(BringError::new(Trouble::Local, "the fetcher ended without a word"))
    })
}

/// Brings what is new at a source into the cache folder, which must exist.
pub fn bring(
    source: &Source,
    material: &Material,
    known: &Known,
    cache: &Path,
    limits: &Limits,
) -> Result<Brought, BringError> {
    let mut told = None;
    bring_and_tell(source, material, known, cache, limits, |it| told = Some(it));
    told.unwrap_or_else(|| Err(BringError::new(Trouble::Local, "nothing came of fetching")))
}

/// As [`bring`], and tells what came of it as soon as that is certain. What it does after that may take
/// time and memory, and is of use for who wrote which line alone: it may be killed in it.
pub fn bring_and_tell(
    source: &Source,
    material: &Material,
    known: &Known,
    cache: &Path,
    limits: &Limits,
    tell: impl FnOnce(Result<Brought, BringError>),
) {
    let _lock = match prepare(cache) {
        Ok(lock) => lock,
        Err(error) => return tell(Err(error)),
    };
    match source {
        Source::Git(git) => match git::bring(git, material, known, cache, limits) {
            Ok((brought, history)) => {
                tell(Ok(brought));
                if let Some(history) = history {
                    history.record(cache);
                }
            }
            Err(error) => tell(Err(error)),
        },
        Source::Snapshot(it) => tell(snapshot::bring(it, material, known, cache, limits)),
        // It is read when it is accepted: there is no network, and nothing to unpack.
        Source::Directory(_) => tell(Ok(Brought::Offer { validator: None })),
    }
}

/// Takes the cache folder for one fetch, for as long as what it returns is open.
fn prepare(cache: &Path) -> Result<std::fs::File, BringError> {
    let lock = std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(cache.join("lock"))
        .map_err(|err| BringError::local("open the cache folder", err))?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive)
        .map_err(|err| BringError::local("another fetch uses the cache folder", err))?;
    offer::clear(cache)?;
    Ok(lock)
}

/// By what a model is accepted.
#[derive(Clone, Debug)]
pub struct Terms<'a> {
    pub source: &'a Source,
    pub trust: &'a Trust,
    pub expected: &'a Expected,
    pub now: Timestamp,
    /// For times in an allowed-signers file.
    pub zone: &'a TimeZone,
    pub force: Force,
    /// As whom `gpgv` runs, where we are root.
    pub run_as: Option<RunAs>,
    pub limits: &'a Limits,
}

/// A model that may be adopted.
#[derive(Clone, Debug)]
pub struct Fetched {
    pub sources: SourceSet,
    pub point: Point,
    pub advance: Advance,
    pub origin: Origin,
    /// Empty under `trust: none`, and then every status says so.
    pub signers: Vec<Signer>,
    /// To be kept once the floor is saved, and given to the next fetch.
    pub validator: Option<Validator>,
}

/// What people want to know of a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Git {
        commit: String,
        tag: Option<String>,
        author: String,
        authored: Option<Timestamp>,
        committed: Option<Timestamp>,
        subject: String,
    },
    Snapshot {
        created: Timestamp,
        expires: Timestamp,
        commit: Option<String>,
        /// What the publisher says of its lines.
        attribution: Option<Attribution>,
    },
    Directory,
}

/// Verifies and judges what was brought. The floor is raised where the model may be taken, and it takes
/// note of the trusted keys in any case: the caller saves it where it changed, before anything is adopted.
pub fn accept(terms: &Terms<'_>, floor: &mut Floor, cache: &Path) -> Result<Fetched, Refusal> {
    let (candidate, sources, origin) = match terms.source {
        Source::Git(git) => accept_git(terms, git, floor, cache)?,
        Source::Snapshot(_) => snapshot::accept(terms, floor, cache)?,
        Source::Directory(path) => {
            if *terms.trust != Trust::None {
                return Err(mismatch(terms));
            }
            let mut sources = SourceSet::default();
            crate::directory::read_directory(path, &mut sources)?;
            let point = Point::Directory { content: content_digest(&sources) };
            (unsigned(point, Descent::None), sources, Origin::Directory)
        }
    };
    let advance = judge(floor, &candidate, terms.expected, terms.now, terms.force)?;
    floor.take(&candidate, advance, &shown(terms.source));
    let Candidate { point, descent: _, key_set: _, signers } = candidate;
    Ok(Fetched { sources, point, advance, origin, signers, validator: None })
}

/// Who wrote which line of a revision that was accepted, as far as that can be known. `floor` names the
/// commit that was accepted before, and `known` what is known of its lines. It is no part of accepting:
/// whatever goes wrong in it, the revision is taken.
pub fn attribute(
    fetched: &Fetched,
    floor: Option<&str>,
    known: Option<&Attribution>,
    cache: &Path,
    limits: &Limits,
) -> Option<Attribution> {
    match &fetched.origin {
        Origin::Git { commit, tag: _, author, authored, committed: _, subject } => {
            let tip = attribution::Commit {
                id: commit.clone(),
                author: author.clone(),
                authored: *authored,
                subject: subject.clone(),
            };
            let files = fetched.sources.iter().map(|(_, it)| it.path.to_string());
            let base = floor.map(|commit| Base { commit, known });
            Some(git::lines::computed(cache, &tip, files, base, limits))
        }
        Origin::Snapshot { created: _, expires: _, commit: _, attribution } => attribution.clone(),
        Origin::Directory => None,
    }
}

/// Who wrote which line of these files of a revision in a repository on this machine, from all of its
/// history. `folder` is the repository or a folder in it; `cache` an empty folder.
pub fn attribute_local<'a>(
    folder: &Path,
    revision: &str,
    files: impl Iterator<Item = &'a str>,
    cache: &Path,
) -> Result<Attribution, BringError> {
    let files = files.map(str::to_owned);
    git::lines::of_repository(folder, revision, files, cache, &Limits::default())
}

/// The same of files as they lie in a folder, where that is in a work tree of the user who asks: none
/// where it is in no repository, or nothing is committed yet.
pub fn attribute_work_tree(
    folder: &Path,
    files: &[(&str, &[u8])],
    cache: &Path,
) -> Result<Option<Attribution>, BringError> {
    let real = folder.canonicalize().map_err(|err| BringError::local("look at the model", err))?;
    if !real.ancestors().any(|it| it.join(".git").exists()) {
        return Ok(None);
    }
    git::lines::of_work_tree(&real, files, cache, &Limits::default())
}

/// [`bring`] and [`accept`] in one process, for commands that people run. None where there is no news.
pub fn fetch(
    terms: &Terms<'_>,
    known: &Known,
    floor: &mut Floor,
    cache: &Path,
) -> Result<Option<Fetched>, Refusal> {
    let material = Material::read(terms.source)
        .map_err(|err| BringError::new(Trouble::Settings, crate::refusal::chain(&err)))?;
    match bring(terms.source, &material, known, cache, terms.limits)? {
        Brought::Unchanged => Ok(None),
        Brought::Offer { validator } => {
            accept(terms, floor, cache).map(|it| Some(Fetched { validator, ..it }))
        }
    }
}

/// As [`fetch`], of a commit or tag in a repository on this machine, which no branch needs to name: what
/// `terms.source` names as a branch may be any name of a commit.
pub fn fetch_local(
    terms: &Terms<'_>,
    folder: &Path,
    floor: &mut Floor,
    cache: &Path,
) -> Result<Fetched, Refusal> {
    let Source::Git(Git { reference, .. }) = terms.source else { return Err(mismatch(terms)) };
    let known = Known::of(floor, false, None);
    git::bring_local(folder, reference, &known, cache, terms.limits)?;
    accept(terms, floor, cache)
}

/// The files of a model in a git repository on this machine, as a revision has them, and the commit that
/// the revision names. `folder` is the repository or a folder in it; `cache` an empty folder.
pub fn checkout(
    folder: &Path,
    revision: &str,
    cache: &Path,
) -> Result<(String, SourceSet), Refusal> {
    git::checkout(folder, revision, cache, &Limits::default())
}

fn accept_git(
    terms: &Terms<'_>,
    git: &Git,
    floor: &mut Floor,
    cache: &Path,
) -> Result<(Candidate, SourceSet, Origin), Refusal> {
    let signers = match terms.trust {
        Trust::AllowedSigners(path) => {
            let text = small(path).map_err(KeysError::from).map_err(Refusal::TrustedKeys)?;
            let text = String::from_utf8_lossy(&text);
            let file = path.display().to_string();
            let signers =
                AllowedSigners::parse(&file, &text, terms.zone).map_err(Refusal::TrustedKeys)?;
            floor.see_keys(&signers.keys());
            Some(signers)
        }
        Trust::OpenPgp(_) | Trust::None => None,
        Trust::Keys { .. } => return Err(mismatch(terms)),
    };
    let highest = match &floor.highest {
        Some(Point::Git { commit, .. }) => Some(commit.clone()),
        Some(Point::Snapshot { .. } | Point::Directory { .. }) | None => None,
    };
    let mut reader = Reader::open(cache, 2 * crate::directory::MAX_BYTES)?;
    let delivered = git::read(&mut reader, highest.as_deref(), terms.limits)?;
    let git::Delivered { id, commit, tag, descent, sources } = delivered;

    // What is signed is what the settings name: the tag where a tag is followed, the commit otherwise.
    let (what, signed) = match (&git.reference, &tag) {
        (Reference::Branch(_), None) => (format!("commit {id}"), commit.signed.as_ref()),
        (Reference::Tag(name), Some(tag)) if tag.name == *name => {
            (format!("tag {name}"), tag.signed.as_ref())
        }
        (Reference::Tag(expected), Some(tag)) => {
            let named = crate::object::printable(&tag.name);
            return Err(Refusal::WrongTag { named, expected: expected.clone() });
        }
        // A tag without an object of its own has nothing that could be signed.
        (Reference::Tag(name), None) => (format!("tag {name}"), None),
        (Reference::Branch(_), Some(_)) => {
            return Err(Refusal::broken("a branch names a tag"));
        }
    };
    let signers = match (terms.trust, signers) {
        (Trust::OpenPgp(keyring), _) => {
            vec![verify_openpgp(&what, signed, keyring, terms.run_as)?]
        }
        (_, Some(signers)) => vec![signers.verify(&what, signed, GIT, terms.now)?],
        (_, None) => vec![],
    };
    let point = Point::Git { commit: id.clone(), content: content_digest(&sources) };
    let origin = Origin::Git {
        commit: id,
        tag: tag.map(|it| it.name),
        author: commit.author,
        authored: Timestamp::from_second(commit.authored).ok(),
        committed: Timestamp::from_second(commit.committed).ok(),
        subject: commit.subject,
    };
    Ok((Candidate { point, descent, key_set: None, signers }, sources, origin))
}

pub(crate) fn unsigned(point: Point, descent: Descent) -> Candidate {
    Candidate { point, descent, key_set: None, signers: vec![] }
}

pub(crate) fn mismatch(terms: &Terms<'_>) -> Refusal {
    Refusal::TrustMismatch { origin: terms.source.kind(), trust: terms.trust.kind() }
}

/// The keys that the settings trust for snapshots.
pub fn key_set(
    files: &[std::path::PathBuf],
    keys: &[String],
    threshold: usize,
) -> Result<KeySet, KeysError> {
    let mut lines = vec![];
    for path in files {
        let text = small(path)?;
        let text = String::from_utf8_lossy(&text);
        for (at, line) in text.lines().enumerate() {
            lines.push((path.display().to_string(), at + 1, line.to_owned()));
        }
    }
    for (at, key) in keys.iter().enumerate() {
        lines.push(("the settings".to_owned(), at + 1, key.clone()));
    }
    KeySet::parse(lines, threshold)
}

/// A source, as a status names it.
pub fn shown(source: &Source) -> String {
    match source {
        Source::Git(git) => match &git.reference {
            Reference::Branch(name) => format!("git {} branch {name}", git.url),
            Reference::Tag(name) => format!("git {} tag {name}", git.url),
        },
        Source::Snapshot(it) => format!("snapshot {}", it.url),
        Source::Directory(path) => format!("directory {}", path.display()),
    }
}

/// A key, a token, a list of keys: none of them is large.
fn small(path: &Path) -> Result<Vec<u8>, FileError> {
    let failed = |err| FileError { path: path.to_owned(), err };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = vec![];
    file.take(4 * 1024 * 1024).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}
