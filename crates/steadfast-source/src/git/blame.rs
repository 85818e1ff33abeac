//! Who wrote which line of a model in a git repository. The fetching side follows the lines through the
//! history that it has brought, and writes every object that it looked at into one more file, `history`,
//! beside the offer. The accepting side computes the names of those objects, follows the lines itself
//! from the commit that it has verified, and so believes nobody: what is missing or wrong in that file
//! costs knowledge, and never the revision.

use super::export::broken;
use super::read::named;
use super::repository::{NOWHERE, Repository, Whose};
use crate::attribution::{Attribution, Commit};
use crate::blame::{Base, Bounds, Lines, MAX_BLOB, Objects, Paths, against, blame};
use crate::content::{Place, place};
use crate::directory::MAX_FILES;
use crate::object::{self, Algorithm, Entry, MAX_COMMIT};
use crate::settings::Limits;
use jiff::Timestamp;
use std::collections::{HashMap, HashSet};
use std::io::{BufRead as _, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use steadfast_download::offer::{Reader, Writer};
use steadfast_download::process::Talk;
use steadfast_download::{DownloadError, DownloadErrorKind};

/// The name of the file beside the offer.
pub(crate) const HISTORY: &str = "history";
/// What is handed over of a history. A commit of a model is a few kilobytes with all that it changed.
const MAX_HISTORY: u64 = 64 * 1024 * 1024;
const MAX_TREE: usize = 4 * 1024 * 1024;
/// Bytes of all paths of a model.
const MAX_PATHS: usize = 128 * 1024 * 1024;
/// For news, which come all day and on all nodes; the model is kept meanwhile, and so are its repairs.
const FOR_NEWS: Duration = Duration::from_secs(10);
/// For a publication, which somebody waits for, of a whole history.
const FOR_ALL: Duration = Duration::from_secs(60);
/// For somebody who asks about a few lines.
const FOR_QUESTION: Duration = Duration::from_secs(10);

fn bounds(commits: usize, time: Duration) -> Bounds {
    let paths = Paths { count: MAX_FILES, bytes: MAX_PATHS };
    Bounds { commits, entries: 20_000_000, paths, until: Instant::now() + time }
}

/// Writes down what there is to be looked at between the tip and the commit accepted before. It fails in
/// silence: then nothing is known of these lines.
pub(super) fn record(repository: &Repository<'_>, tip: &str, accepted: &str, cache: &Path) {
    let bounds = bounds(repository.limits.commits, FOR_NEWS);
    let Ok(mut live) = Live::new(repository, bounds.until) else { return };
    let Some(commit) = live.commit(tip) else { return };
    let Some(paths) = all_files(&mut live, &commit.tree, bounds) else { return };
    let Ok(writer) = Writer::named(cache, HISTORY) else { return };
    live.record = Some(Record { writer, seen: HashSet::new(), left: MAX_HISTORY });
    let files = paths.into_iter().map(|it| (it, vec![Lines::ALL]));
    let base = Base { commit: accepted, known: None };
    // What comes of it is of no interest here, only what was asked for on the way.
    let _computed = blame(&mut live, &about(tip, &commit), "", files, Some(base), bounds);
    if let Some(record) = live.record {
        let _written = record.writer.finish();
    }
}

/// Follows the lines of a verified commit through what the fetcher left. `base` is the revision accepted
/// before it, with what is known of its lines.
pub(crate) fn computed(
    cache: &Path,
    tip: &Commit,
    files: impl Iterator<Item = String>,
    base: Option<Base<'_>>,
    limits: &Limits,
) -> Attribution {
    let Some(algorithm) = Algorithm::from_name(&tip.id) else {
        return Attribution::unknown(tip.clone());
    };
    let mut kept = Kept::read(cache, algorithm);
    let files = files.map(|it| (it, vec![Lines::ALL]));
    let bounds = bounds(limits.commits, 2 * FOR_NEWS);
    if base.is_some_and(|it| it.commit == tip.id)
        && let Some(known) = base.and_then(|it| it.known)
    {
        return known.clone();
    }
    blame(&mut kept, tip, "", files, base, bounds)
}

/// The same from the whole history of a repository on this machine, of a directory in it.
pub(crate) fn of_repository(
    folder: &Path,
    revision: &str,
    files: impl Iterator<Item = String>,
    cache: &Path,
    limits: &Limits,
) -> Result<Attribution, DownloadError> {
    let (repository, below) = Repository::local(folder, cache, limits, Whose::Anybodys)?;
    let tip = repository.resolve(&format!("{revision}^{{commit}}"))?;
    let bounds = bounds(50_000, FOR_ALL);
    let mut live = Live::new(&repository, bounds.until)?;
    let commit = live.commit(&tip).ok_or_else(|| broken("the commit"))?;
    let files = files.map(|it| (it, vec![Lines::ALL]));
    Ok(blame(&mut live, &about(&tip, &commit), &below, files, None, bounds))
}

/// The same of files as they lie in a work tree: lines that HEAD does not have are not committed. None
/// where it is none, or nothing is committed yet.
pub(crate) fn of_work_tree(
    folder: &Path,
    files: &[(&str, &[u8])],
    cache: &Path,
    limits: &Limits,
) -> Result<Option<Attribution>, DownloadError> {
    let (repository, below) = match Repository::local(folder, cache, limits, Whose::Ours) {
        Ok(found) => found,
        Err(error) if error.words.ends_with(NOWHERE) => return Ok(None),
        Err(error) => return Err(error),
    };
    let Ok(tip) = repository.resolve("HEAD^{commit}") else { return Ok(None) };
    let bounds = bounds(50_000, FOR_QUESTION);
    let mut live = Live::new(&repository, bounds.until)?;
    let commit = live.commit(&tip).ok_or_else(|| broken("the commit"))?;
    let mut asked = vec![];
    for (path, content) in files {
        let full = if below.is_empty() { (*path).to_owned() } else { format!("{below}/{path}") };
        let lines = match find(&mut live, &commit.tree, &full) {
            Some(None) => vec![Lines { first: 0, length: u32::MAX, committed: None }],
            Some(Some(committed)) => match against(content, &committed, bounds.until) {
                Some(lines) => lines,
                None => continue,
            },
            None => continue,
        };
        asked.push(((*path).to_owned(), lines));
    }
    Ok(Some(blame(&mut live, &about(&tip, &commit), &below, asked, None, bounds)))
}

fn about(id: &str, commit: &object::Commit) -> Commit {
    Commit {
        id: id.to_owned(),
        author: commit.author.clone(),
        authored: Timestamp::from_second(commit.authored).ok(),
        subject: commit.subject.clone(),
    }
}

/// A file in a tree: none where it is not there, and nothing where that cannot be told.
fn find(live: &mut Live, tree: &str, path: &str) -> Option<Option<Arc<[u8]>>> {
    let mut at = tree.to_owned();
    let mut names = path.split('/').peekable();
    while let Some(name) = names.next() {
        let entries = live.tree(&at)?;
        let Some(entry) = entries.into_iter().find(|it| it.name == name.as_bytes()) else {
            return Some(None);
        };
        if names.peek().is_none() {
            return live.blob(&entry.object).map(Some);
        }
        at = entry.object;
    }
    Some(None)
}

/// The files of a model in a tree: none where there are more than a model may have, or it takes too long.
fn all_files(objects: &mut dyn Objects, tree: &str, mut bounds: Bounds) -> Option<Vec<String>> {
    let mut paths = vec![];
    let mut folders = vec![(tree.to_owned(), String::new())];
    while let Some((tree, below)) = folders.pop() {
        if Instant::now() >= bounds.until {
            return None;
        }
        for entry in objects.tree(&tree)? {
            bounds.entries = bounds.entries.checked_sub(1)?;
            let Ok(name) = String::from_utf8(entry.name) else { continue };
            let path = if below.is_empty() { name } else { format!("{below}/{name}") };
            if place(&path) != Place::Model {
                continue;
            }
            bounds.paths.take(&path)?;
            match entry.mode {
                0o040_000 => folders.push((entry.object, path)),
                _other => paths.push(path),
            }
        }
    }
    Some(paths)
}

/// The objects of a repository, from a git that is asked for one after the other.
struct Live {
    talk: Talk,
    algorithm: Algorithm,
    /// What it said was not understood: from then on nothing can be.
    broken: bool,
    record: Option<Record>,
}

struct Record {
    writer: Writer,
    seen: HashSet<String>,
    left: u64,
}

impl Live {
    fn new(repository: &Repository<'_>, until: Instant) -> Result<Live, DownloadError> {
        let mut talk = repository.talk_until(until)?;
        // Every repository has the empty tree, by the name that its digest gives.
        let algorithm = [Algorithm::Sha1, Algorithm::Sha256]
            .into_iter()
            .find(|it| {
                let empty = object::name(*it, "tree", b"").unwrap_or_default();
                matches!(content(&mut talk, &empty, 0), Ok(Some(_)))
            })
            .ok_or_else(|| DownloadError::new(DownloadErrorKind::Broken, "git names no object"))?;
        Ok(Live { talk, algorithm, broken: false, record: None })
    }

    fn object(&mut self, kind: &str, id: &str, limit: usize) -> Option<Vec<u8>> {
        if self.broken || Algorithm::from_name(id) != Some(self.algorithm) {
            return None;
        }
        let new = self.record.as_ref().is_some_and(|it| !it.seen.contains(id));
        let room = self.record.as_ref().filter(|_| new).map_or(u64::MAX, |it| it.left);
        let limit = limit.min(usize::try_from(room).unwrap_or(usize::MAX));
        let read = match content(&mut self.talk, id, limit) {
            Ok(read) => read,
            Err(_) => {
                self.broken = true;
                None
            }
        };
        let (found, content) = read?;
        if found != kind {
            return None;
        }
        if let Some(record) = &mut self.record
            && new
        {
            record.writer.add(kind, id, &content).ok()?;
            record.seen.insert(id.to_owned());
            record.left = record.left.saturating_sub(content.len() as u64);
        }
        Some(content)
    }
}

/// Kind and content of an object: nothing where it is not there or larger than the limit.
fn content(talk: &mut Talk, id: &str, limit: usize) -> std::io::Result<Option<(String, Vec<u8>)>> {
    talk.say(&format!("{id}\n"))?;
    let mut line = String::new();
    talk.output.by_ref().take(256).read_line(&mut line)?;
    let words: Vec<&str> = line.trim_end().split(' ').collect();
    let [_, kind, size] = words[..] else { return Ok(None) };
    let size: u64 = size.parse().map_err(std::io::Error::other)?;
    if size > limit as u64 {
        std::io::copy(&mut talk.output.by_ref().take(size + 1), &mut std::io::sink())?;
        return Ok(None);
    }
    let mut content = vec![];
    talk.output.by_ref().take(size + 1).read_to_end(&mut content)?;
    if content.pop() != Some(b'\n') || content.len() as u64 != size {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some((kind.to_owned(), content)))
}

impl Objects for Live {
    fn commit(&mut self, id: &str) -> Option<object::Commit> {
        let raw = self.object("commit", id, MAX_COMMIT)?;
        object::Commit::parse(self.algorithm, &raw).ok()
    }

    fn tree(&mut self, id: &str) -> Option<Vec<Entry>> {
        let raw = self.object("tree", id, MAX_TREE)?;
        object::tree(self.algorithm, &raw).ok()
    }

    fn blob(&mut self, id: &str) -> Option<Arc<[u8]>> {
        self.object("blob", id, MAX_BLOB).map(Arc::from)
    }
}

/// The objects that a fetcher left, of which each has the content that its name says.
struct Kept {
    algorithm: Algorithm,
    objects: HashMap<(String, String), Arc<[u8]>>,
}

impl Kept {
    fn read(cache: &Path, algorithm: Algorithm) -> Kept {
        let mut objects = HashMap::new();
        if let Ok(mut reader) = Reader::named(cache, HISTORY, 2 * MAX_HISTORY) {
            // What is cut off or malformed ends it: what came before is as good as it is.
            while let Ok(Some(record)) = reader.next_record() {
                if named(algorithm, &record.kind, &record.name, &record.content).is_ok() {
                    objects.insert((record.kind, record.name), record.content.into());
                }
            }
        }
        Kept { algorithm, objects }
    }

    fn object(&self, kind: &str, id: &str) -> Option<Arc<[u8]>> {
        self.objects.get(&(kind.to_owned(), id.to_owned())).cloned()
    }
}

impl Objects for Kept {
    fn commit(&mut self, id: &str) -> Option<object::Commit> {
        object::Commit::parse(self.algorithm, &self.object("commit", id)?).ok()
    }

    fn tree(&mut self, id: &str) -> Option<Vec<Entry>> {
        object::tree(self.algorithm, &self.object("tree", id)?).ok()
    }

    fn blob(&mut self, id: &str) -> Option<Arc<[u8]>> {
        self.object("blob", id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree that holds another one so many times.
    fn tree(kept: &mut Kept, mode: &str, count: usize, object: &str) -> String {
        let mut raw: Vec<u8> = (0..count)
            .flat_map(|it| [format!("{mode} {it:03}\0").into_bytes(), vec![0; 20]].concat())
            .collect();
        for entry in raw.chunks_mut(mode.len() + 5 + 20) {
            let id = entry.len() - 20;
            for (at, byte) in entry[id..].iter_mut().enumerate() {
                *byte = u8::from_str_radix(&object[2 * at..2 * at + 2], 16).unwrap();
            }
        }
        let id = object::name(Algorithm::Sha1, "tree", &raw).unwrap();
        kept.objects.insert(("tree".into(), id.clone()), raw.into());
        id
    }

    #[test]
    fn a_tree_that_is_named_many_times_is_expanded_only_as_far_as_there_is_room_and_time() {
        let mut kept = Kept { algorithm: Algorithm::Sha1, objects: HashMap::new() };
        let below = tree(&mut kept, "100644", 100, &"ab".repeat(20));
        let root = tree(&mut kept, "40000", 100, &below);
        let all = bounds(1000, Duration::from_secs(600));
        let mut count = |bounds| all_files(&mut kept, &root, bounds).map(|it| it.len());
        assert_eq!(count(all), Some(10_000));
        assert_eq!(count(Bounds { entries: 10_099, ..all }), None);
        // The directories have paths too.
        let paths = |count| Paths { count, ..all.paths };
        assert_eq!(count(Bounds { paths: paths(10_100), ..all }), Some(10_000));
        assert_eq!(count(Bounds { paths: paths(10_099), ..all }), None);
        let bytes = |bytes| Paths { bytes, ..all.paths };
        assert_eq!(count(Bounds { paths: bytes(100 * 3 + 10_000 * 7), ..all }), Some(10_000));
        assert_eq!(count(Bounds { paths: bytes(100 * 3 + 10_000 * 7 - 1), ..all }), None);
        assert_eq!(count(Bounds { until: Instant::now(), ..all }), None);
        let mut at = root;
        for _ in 0..5 {
            at = tree(&mut kept, "40000", 100, &at);
        }
        assert_eq!(all_files(&mut kept, &at, Bounds { paths: paths(20_000), ..all }), None);
    }
}
