//! Looking at a tree: everything below a directory, by several threads.
//!
//! What is to be done is directories: one to be read further, and names of directories in it to be opened. The
//! newest is done first, so that little of a tree is waiting at any time, however many names somebody makes in it:
//! of each directory that is under way no more than two portions of names. A directory is opened by the
//! descriptor of the one that it lies in; as long as many are open, one thread alone goes on, so that no more
//! are open than some and one for each level. What is told of the tree is in the order of paths, and so is
//! the error where several things cannot be looked at.

use super::glance::Glance;
use super::secret::SecretPaths;
use super::visit::{self, Names};
use super::walk::{self, DEPTH_MAX, Dir, Facts, Walker, failed};
use super::{Content, Entry, Sieve, Tree, TreeEntry, Wanted};
use crate::text::{of_bytes, safe};
use crate::{AbsPath, ErrorKind, Host, SystemError};
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// A tree with fewer entries is not worth a thread.
const ALONE: usize = 256;
/// More than this many wait for the same locks in the kernel.
const THREADS_MAX: usize = 8;
/// A portion of names that is longer is shared with other threads: the rest of the directory is for them.
const LONG: usize = 4 * 1024;
/// With more directories open than this, one thread goes on alone, and opens one for each level at most.
const OPEN_MAX: usize = 128;
/// After so many things that cannot be looked at nothing new is learnt.
const FAILURES_MAX: usize = 64;

/// How much is looked at, and how much of it is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) all: usize,
    /// What is told and nobody promised, where others than root can write: they make names for nothing.
    pub(super) of_others: usize,
    /// How many threads look.
    pub(super) threads: fn() -> usize,
}

pub(super) const LIMITS: Limits =
    Limits { all: 1_000_000, of_others: 200_000, threads: one_for_each_core };

fn one_for_each_core() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX)
}

/// What is below a directory, as far as a sieve lets it through.
pub(super) fn look(
    host: &Host,
    root: &AbsPath,
    sieve: &dyn Sieve,
    limits: Limits,
) -> Result<Tree, SystemError> {
    let opened = AtomicUsize::new(0);
    let walk = Walk {
        host,
        shown: root.as_str().trim_end_matches('/'),
        sieve,
        limits,
        secrets: host.secret_paths(),
        opened: &opened,
        queue: Mutex::default(),
        changed: Condvar::new(),
        all: AtomicUsize::new(0),
        in_open: AtomicUsize::new(0),
        of_others: AtomicUsize::new(0),
        failures: AtomicUsize::new(0),
    };
    let dir = walk::open_tree(&mut Walker::default(), root)?;
    walk.push(Job::Read(walk.level(dir, "", 0)));
    let mut own = Worker::new(&walk);
    let mut is_done = false;
    while own.found.all < ALONE && !is_done {
        is_done = !own.step();
    }
    let mut workers = vec![own];
    if !is_done {
        workers.extend((1..(limits.threads)()).map(|_| Worker::new(&walk)));
        std::thread::scope(|scope| {
            let mut rest = workers.iter_mut();
            let own = rest.next();
            for other in rest {
                // Where no more threads are to be had, those that are there do all.
                let work = || while other.step() {};
                drop(std::thread::Builder::new().spawn_scoped(scope, work));
            }
            own.into_iter().for_each(|own| while own.step() {});
        });
    }
    result(&walk, workers.into_iter().map(|it| it.found))
}

fn result<'f>(walk: &Walk<'_>, all: impl Iterator<Item = Found> + 'f) -> Result<Tree, SystemError> {
    walk.within_limits()?;
    let mut tree = Tree { entries: vec![], count: walk.all.load(Ordering::Relaxed) as u64 };
    let mut failure: Option<(Box<str>, SystemError)> = None;
    for found in all {
        if tree.entries.is_empty() {
            tree.entries = found.told;
        } else {
            tree.entries.extend(found.told);
        }
        if let Some(found) = found.failure {
            failure = Some(match failure.take() {
                Some(first) if first.0 <= found.0 => first,
                Some(_) | None => found,
            });
        }
    }
    if let Some((_, error)) = failure {
        return Err(error);
    }
    tree.entries.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    Ok(tree)
}

/// One walk of a tree, which several threads share.
struct Walk<'w> {
    host: &'w Host,
    shown: &'w str,
    sieve: &'w dyn Sieve,
    limits: Limits,
    secrets: Arc<SecretPaths>,
    /// How many directories are open.
    opened: &'w AtomicUsize,
    queue: Mutex<Queue<'w>>,
    changed: Condvar,
    /// How many entries were looked at, how many of them where others than root can write, and what was told
    /// of those that nobody promised.
    all: AtomicUsize,
    in_open: AtomicUsize,
    of_others: AtomicUsize,
    failures: AtomicUsize,
}

/// What is to be done, the newest last.
#[derive(Default)]
struct Queue<'w> {
    jobs: Vec<Job<'w>>,
    /// How many threads do something, and how many wait for something to do.
    working: usize,
    waiting: usize,
    is_stopped: bool,
}

enum Job<'w> {
    /// The names in a directory are read further.
    Read(Arc<Level<'w>>),
    /// Directories in a directory are opened; each name ends with its zero byte.
    Open(Arc<Level<'w>>, Vec<u8>),
}

/// A job as one thread has it.
enum Step<'w> {
    Read(Arc<Level<'w>>),
    Open(Arc<Level<'w>>, CString),
}

/// An open directory of the tree.
struct Level<'w> {
    dir: Dir,
    /// Its path below the root.
    below: Box<str>,
    depth: usize,
    /// Whether a secret was once written to a name in it.
    has_secrets: bool,
    opened: &'w AtomicUsize,
}

impl Drop for Level<'_> {
    fn drop(&mut self) {
        self.opened.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<'w> Walk<'w> {
    fn level(&self, dir: Dir, below: &str, depth: usize) -> Arc<Level<'w>> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        let has_secrets = self.secrets.any_in(&dir);
        Arc::new(Level { dir, below: below.into(), depth, has_secrets, opened: self.opened })
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, Queue<'w>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, job: Job<'w>) {
        let mut queue = self.queue();
        queue.jobs.push(job);
        if queue.waiting > 0 {
            self.changed.notify_one();
        }
    }

    fn stop(&self) {
        self.queue().is_stopped = true;
        self.changed.notify_all();
    }

    /// What is to be done next; none where all is done.
    fn next(&self) -> Option<Step<'w>> {
        let mut queue = self.queue();
        loop {
            if queue.is_stopped {
                return None;
            }
            let may_go_on = queue.working == 0 || self.opened.load(Ordering::Relaxed) < OPEN_MAX;
            if let Some(step) = may_go_on.then(|| queue.take()).flatten() {
                queue.working += 1;
                return Some(step);
            }
            if queue.working == 0 {
                queue.is_stopped = true;
                self.changed.notify_all();
                return None;
            }
            queue.waiting += 1;
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.waiting -= 1;
        }
    }

    fn within_limits(&self) -> Result<(), SystemError> {
        let Limits { all, of_others, .. } = self.limits;
        let shown = self.shown;
        if self.of_others.load(Ordering::Relaxed) > of_others {
            let words = format!(
                "{shown} has more than {of_others} entries that are not as promised where others than \
                 root can write"
            );
            return Err(SystemError::new(ErrorKind::Swappable, words));
        }
        if self.all.load(Ordering::Relaxed) > all {
            let is_open = self.in_open.load(Ordering::Relaxed) > 0;
            let kind = if is_open { ErrorKind::Swappable } else { ErrorKind::Other };
            return Err(SystemError::new(kind, format!("{shown} has more than {all} entries")));
        }
        Ok(())
    }
}

/// A thread does something, until this is dropped.
struct Working<'w, 'a>(&'a Walk<'w>);

impl Drop for Working<'_, '_> {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        queue.working -= 1;
        if queue.working == 0 && queue.waiting > 0 {
            self.0.changed.notify_one();
        }
    }
}

impl<'w> Queue<'w> {
    fn take(&mut self) -> Option<Step<'w>> {
        let step = match self.jobs.last_mut()? {
            Job::Read(level) => Step::Read(Arc::clone(level)),
            Job::Open(level, names) => {
                let end = names.len().saturating_sub(1);
                let start = names[..end].iter().rposition(|it| *it == 0).map_or(0, |it| it + 1);
                let name = CString::new(&names[start..end]).unwrap_or_default();
                names.truncate(start);
                let step = Step::Open(Arc::clone(level), name);
                if !names.is_empty() {
                    return Some(step);
                }
                step
            }
        };
        self.jobs.pop();
        Some(step)
    }
}

/// What one thread has found.
#[derive(Default)]
struct Found {
    told: Vec<TreeEntry>,
    all: usize,
    /// What could not be looked at, and why: the first by its path.
    failure: Option<(Box<str>, SystemError)>,
}

struct Worker<'w, 'a> {
    walk: &'a Walk<'w>,
    glance: Glance<'w>,
    names: Names,
    /// The path below the root of what is looked at.
    path: String,
    /// Names of directories that are to be opened.
    folders: Vec<u8>,
    buffer: Vec<u8>,
    found: Found,
}

impl<'w, 'a> Worker<'w, 'a> {
    fn new(walk: &'a Walk<'w>) -> Worker<'w, 'a> {
        Worker {
            walk,
            glance: Glance::new(walk.host),
            names: Names::new(),
            path: String::new(),
            folders: vec![],
            buffer: vec![],
            found: Found::default(),
        }
    }

    /// Does one thing; false where nothing is left to be done.
    fn step(&mut self) -> bool {
        let Some(step) = self.walk.next() else { return false };
        let _working = Working(self.walk);
        let (path, done) = match step {
            Step::Read(level) => (level.below.to_string(), self.read(&level)),
            Step::Open(level, name) => {
                let path = below(&level.below, &of_bytes(name.to_bytes()));
                let opened = self.open(&level, &name, &path);
                drop(level);
                (path, opened.and_then(|it| it.map_or(Ok(()), |it| self.read(&it))))
            }
        };
        if let Err(error) = done {
            self.fail(&path, error);
        }
        true
    }

    fn fail(&mut self, path: &str, error: SystemError) {
        let is_first = self.found.failure.as_ref().is_none_or(|(first, _)| path < &**first);
        if is_first {
            self.found.failure = Some((path.into(), error));
        }
        if self.walk.failures.fetch_add(1, Ordering::Relaxed) >= FAILURES_MAX {
            self.walk.stop();
        }
    }

    fn open(
        &self,
        level: &Level<'w>,
        name: &CStr,
        path: &str,
    ) -> Result<Option<Arc<Level<'w>>>, SystemError> {
        let walk = self.walk;
        let Some(inner) = visit::entered(&level.dir, name, walk.shown, path)? else {
            return Ok(None);
        };
        let depth = level.depth + 1;
        if depth > DEPTH_MAX {
            return Err(visit::too_deep(&inner, walk.shown));
        }
        Ok(Some(walk.level(inner, path, depth)))
    }

    /// Looks at what is in a directory, or at some of it, if there is much.
    fn read(&mut self, level: &Arc<Level<'w>>) -> Result<(), SystemError> {
        let walk = self.walk;
        loop {
            let more = self.names.read_more(&level.dir.fd);
            if !more.map_err(visit::unlisted(walk.shown, &level.below))? {
                return Ok(());
            }
            let is_shared = self.names.length() > LONG;
            if is_shared {
                walk.push(Job::Read(Arc::clone(level)));
            }
            self.portion(level);
            if !self.folders.is_empty() {
                let folders = std::mem::take(&mut self.folders);
                walk.push(Job::Open(Arc::clone(level), folders));
            }
            if walk.within_limits().is_err() {
                walk.stop();
                return Ok(());
            }
            if is_shared {
                return Ok(());
            }
        }
    }

    /// Looks at the names that were read last.
    fn portion(&mut self, level: &Level<'w>) {
        let names = std::mem::take(&mut self.names);
        let mut path = std::mem::take(&mut self.path);
        let (mut all, mut of_others) = (0, 0);
        path.clear();
        if !level.below.is_empty() {
            path.push_str(&level.below);
            path.push('/');
        }
        let folder = path.len();
        for name in names.iter() {
            path.truncate(folder);
            path.push_str(&of_bytes(name.to_bytes()));
            match self.entry(level, name, &path) {
                Ok(Some(is_of_others)) => {
                    all += 1;
                    of_others += usize::from(is_of_others);
                }
                Ok(None) => {}
                Err(error) => self.fail(&path, error),
            }
        }
        (self.names, self.path) = (names, path);
        self.found.all += all;
        self.walk.all.fetch_add(all, Ordering::Relaxed);
        self.walk.of_others.fetch_add(of_others, Ordering::Relaxed);
        if level.dir.open {
            self.walk.in_open.fetch_add(all, Ordering::Relaxed);
        }
    }

    /// Looks at one name, and says whether something is told of it that others than root can have made for
    /// nothing; none where nothing is there any more.
    fn entry(
        &mut self,
        level: &Level<'w>,
        name: &CStr,
        path: &str,
    ) -> Result<Option<bool>, SystemError> {
        let Walk { sieve, shown, .. } = *self.walk;
        let dir = &level.dir;
        let Some(facts) = visit::looked_at(dir, name, shown, &level.below)? else {
            return Ok(None);
        };
        let promised = if facts.is_file() { sieve.promised(path) } else { None };
        let seen = match promised {
            Some(size) => self.with_content(dir, name, path, &facts, size),
            None => dir.shaped(name, &facts, Content::NotRead),
        };
        let mut entry = match seen {
            Ok(entry) => entry,
            // It went while we looked, or is something else now: the next look tells.
            Err(Errno::NOENT | Errno::LOOP | Errno::INVAL) => return Ok(None),
            Err(err) => return Err(failed(format!("read {shown}/{}", safe(path)), err)),
        };
        if level.has_secrets {
            self.walk.secrets.mark(dir, name, &mut entry);
        }
        let is_told = sieve.tells(path, &entry);
        if facts.is_directory() && !entry.mounted && sieve.enters(path) {
            self.folders.extend_from_slice(name.to_bytes_with_nul());
        }
        if is_told {
            entry.marks.capabilities = dir.has_capabilities(name, &facts);
            self.found.told.push(TreeEntry { path: path.into(), entry });
        }
        Ok(Some(is_told && dir.open && promised.is_none()))
    }

    /// A file that is promised with so many bytes.
    fn with_content(
        &mut self,
        dir: &Dir,
        name: &CStr,
        path: &str,
        facts: &Facts,
        promised: u64,
    ) -> Result<Entry, Errno> {
        if let Some(content) = self.glance.known(dir, facts, Some(promised)) {
            return dir.shaped(name, facts, content);
        }
        let (fd, facts) = match dir.open_file(name) {
            // Whoever holds a lease on it decides when it is read.
            Err(Errno::AGAIN) => {
                return dir.shaped(name, facts, Content::Leased);
            }
            opened => opened?,
        };
        let wanted = Wanted::digest_beside(Some(promised), facts.size());
        self.buffer.resize(walk::BUFFER, 0);
        let content = walk::content(&fd, facts.size(), wanted, dir.open, &mut self.buffer)?;
        let shown = self.walk.shown;
        let at = || AbsPath::parse(&format!("{shown}/{path}")).ok();
        self.glance.read(dir, &facts, &content, at);
        dir.shaped(name, &facts, content)
    }
}

fn below(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

#[cfg(test)]
mod tests;
