//! Bringing and accepting a model. [`bring`] talks to the network and unpacks what strangers wrote; it is
//! meant to run in a process that owns nothing but its cache folder (see [`steadfast_download::sandbox`]), and it
//! trusts nobody, because nobody trusts it. [`accept`] runs with the node's privileges: it reads one file
//! that `bring` left, computes every digest again, verifies every signature again, and judges the
//! revision against what was accepted before.

use crate::anti_rollback::{AntiRollback, Candidate, Descent, Point, judge};
use crate::attribution::{self, Attribution};
use crate::blame::Base;
use crate::openpgp::verify_openpgp;
use crate::refusal::Refusal;
use crate::revision::content_digest;
use crate::settings::{Git, Limits, Reference, Source, Trust};
pub use crate::terms::{Brought, Fetched, Known, Material, Origin, Terms, from_line, to_line};
use crate::terms::{mismatch, unsigned};
use crate::{git, snapshot};
use jiff::Timestamp;
use std::path::Path;
pub use steadfast_download::https::Validator;
use steadfast_download::offer::{self, Reader};
use steadfast_download::{DownloadError, DownloadErrorKind};
use steadfast_model::SourceSet;
use steadfast_trust::allowed_signers::AllowedSigners;
use steadfast_trust::files::read_small;
use steadfast_trust::key_set::KeysError;
pub use steadfast_trust::key_set::key_set;
use steadfast_trust::signature::GIT;
use steadfast_trust::text::{chain, printable};

/// Brings what is new at a source into the cache folder, which must exist.
pub fn bring(
    source: &Source,
    material: &Material,
    known: &Known,
    cache: &Path,
    limits: &Limits,
) -> Result<Brought, DownloadError> {
    let mut told = None;
    bring_and_tell(source, material, known, cache, limits, |it| told = Some(it));
    told.unwrap_or_else(|| {
        Err(DownloadError::new(DownloadErrorKind::Local, "nothing came of fetching"))
    })
}

/// As [`bring`], and tells what came of it as soon as that is certain. What it does after that may take
/// time and memory, and is of use for who wrote which line alone: it may be killed in it.
pub fn bring_and_tell(
    source: &Source,
    material: &Material,
    known: &Known,
    cache: &Path,
    limits: &Limits,
    tell: impl FnOnce(Result<Brought, DownloadError>),
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
fn prepare(cache: &Path) -> Result<std::fs::File, DownloadError> {
    let lock = std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(cache.join("lock"))
        .map_err(|err| DownloadError::local("open the cache folder", err))?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive)
        .map_err(|err| DownloadError::local("another fetch uses the cache folder", err))?;
    offer::clear(cache, &[git::lines::HISTORY])?;
    Ok(lock)
}

/// Verifies and judges what was brought. The floor is raised where the model may be taken, and it takes
/// note of the trusted keys in any case: the caller saves it where it changed, before anything is adopted.
pub fn accept(
    terms: &Terms<'_>,
    floor: &mut AntiRollback,
    cache: &Path,
) -> Result<Fetched, Refusal> {
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
) -> Result<Attribution, DownloadError> {
    let files = files.map(str::to_owned);
    git::lines::of_repository(folder, revision, files, cache, &Limits::default())
}

/// The same of files as they lie in a folder, where that is in a work tree of the user who asks: none
/// where it is in no repository, or nothing is committed yet.
pub fn attribute_work_tree(
    folder: &Path,
    files: &[(&str, &[u8])],
    cache: &Path,
) -> Result<Option<Attribution>, DownloadError> {
    let real =
        folder.canonicalize().map_err(|err| DownloadError::local("look at the model", err))?;
    if !real.ancestors().any(|it| it.join(".git").exists()) {
        return Ok(None);
    }
    git::lines::of_work_tree(&real, files, cache, &Limits::default())
}

/// [`bring`] and [`accept`] in one process, for commands that people run. None where there is no news.
pub fn fetch(
    terms: &Terms<'_>,
    known: &Known,
    floor: &mut AntiRollback,
    cache: &Path,
) -> Result<Option<Fetched>, Refusal> {
    let material = Material::read(terms.source)
        .map_err(|err| DownloadError::new(DownloadErrorKind::Settings, chain(&err)))?;
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
    floor: &mut AntiRollback,
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
    floor: &mut AntiRollback,
    cache: &Path,
) -> Result<(Candidate, SourceSet, Origin), Refusal> {
    let signers = match terms.trust {
        Trust::AllowedSigners(path) => {
            let text = read_small(path).map_err(KeysError::from).map_err(Refusal::TrustedKeys)?;
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
            let named = printable(&tag.name);
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
