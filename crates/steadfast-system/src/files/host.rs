//! Looking at the real machine's files.

use super::backups::Backups;
use super::glance::Glance;
use super::looks::{self, Looks};
use super::secret::SecretPaths;
use super::tree;
use super::walk::{self, Dir, Facts, Walker, failed};
use super::{Content, Digest, Entry, Look, Mounts, OwnFolder, Read, Shape, Sieve, Tree, Wanted};
use crate::{AbsPath, ErrorKind, Host, SystemError};
use rustix::io::Errno;
use std::ffi::CStr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Smaller batches are not worth a thread.
const ALONE: usize = 64;
/// How many paths a thread takes at a time: neighbours share their directory.
const PORTION: usize = 64;
/// Each holds descriptors of its own, and more than this many waits for the same locks in the kernel.
const THREADS_MAX: usize = 8;

/// Locks and sockets, and what is remembered until the next boot.
const RUN: &str = "/run/steadfast";
const MOUNTS: &str = "/proc/self/mountinfo";

impl Read for Host {
    fn look(&self, wanted: &[(&AbsPath, Wanted)]) -> Vec<Result<Look, SystemError>> {
        if wanted.is_sorted_by_key(|(path, _)| path) {
            return self.look_in_order(wanted);
        }
        // What lies in one directory is looked at together, so that each is opened once.
        let mut order: Vec<usize> = (0..wanted.len()).collect();
        order.sort_by_key(|at| wanted[*at].0);
        let sorted: Vec<(&AbsPath, Wanted)> = order.iter().map(|at| wanted[*at]).collect();
        let mut looks: Vec<_> = order.into_iter().zip(self.look_in_order(&sorted)).collect();
        looks.sort_unstable_by_key(|(at, _)| *at);
        looks.into_iter().map(|(_, look)| look).collect()
    }

    fn real_folders(&self, folders: &[&AbsPath]) -> Vec<Option<AbsPath>> {
        let mut walker = Walker::default();
        folders.iter().map(|it| walker.real(it).filter(|real| real != *it)).collect()
    }

    fn mounts(&self) -> Mounts {
        // Where the kernel's own files are not to be had, nothing is known of any mount.
        std::fs::read(MOUNTS).map(|it| Mounts::parse(&it)).unwrap_or_default()
    }

    fn tree(&self, root: &AbsPath, sieve: &dyn Sieve) -> Result<Tree, SystemError> {
        tree::look(self, root, sieve, tree::LIMITS)
    }

    fn own_folders(&self) -> Vec<OwnFolder> {
        let settings = &self.settings;
        let ours = [&*settings.state, &*settings.cache, Path::new(RUN)].map(|it| (it, false));
        let of_people = settings.secrets.parent().into_iter().chain([&*settings.secrets]);
        let files = settings.own_files.iter().map(|(path, promisable)| (&**path, *promisable));
        let mut all = vec![];
        let folders = ours.into_iter().chain(of_people.map(|it| (it, true)));
        for (path, promisable) in folders.chain(files) {
            // A promise may name it as it was given, or by where its links lead.
            let names = [std::path::absolute(path), std::fs::canonicalize(path)];
            for path in names.into_iter().flatten() {
                let Some(Ok(path)) = path.to_str().map(AbsPath::parse) else { continue };
                let own = OwnFolder { path, promisable };
                if !all.contains(&own) {
                    all.push(own);
                }
            }
        }
        all
    }

    fn kept(&self, digest: &Digest) -> Result<Option<Vec<u8>>, SystemError> {
        Backups::find(self, digest)
    }
}

impl Host {
    /// Looks on several threads where there is much to look at.
    fn look_in_order(&self, wanted: &[(&AbsPath, Wanted)]) -> Vec<Result<Look, SystemError>> {
        let threads = if wanted.len() <= ALONE {
            1
        } else {
            std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX)
        };
        if threads == 1 {
            let mut looker = Looker::new(self);
            return wanted.iter().map(|(path, wanted)| looker.look(path, *wanted)).collect();
        }
        let next = AtomicUsize::new(0);
        let work = || {
            let mut looker = Looker::new(self);
            let mut done = vec![];
            loop {
                let portion = next.fetch_add(1, Ordering::Relaxed);
                let Some(paths) = wanted.chunks(PORTION).nth(portion) else { return done };
                let looks: Vec<_> =
                    paths.iter().map(|(path, wanted)| looker.look(path, *wanted)).collect();
                done.push((portion, looks));
            }
        };
        let mut portions = std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let mut portions = work();
            for other in others {
                match other.join() {
                    Ok(done) => portions.extend(done),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            portions
        });
        portions.sort_unstable_by_key(|(portion, _)| *portion);
        portions.into_iter().flat_map(|(_, looks)| looks).collect()
    }

    /// From now on a file that was read as a whole within this time is not read again, where the kernel says
    /// that it is the same.
    pub fn trust_looks(&self, verify: Duration) {
        self.files.looks.get_or_init(|| Looks::open(&self.settings.cache, verify));
    }

    /// Keeps the looks of this run for the next one.
    pub fn keep_looks(&self) -> std::io::Result<()> {
        let Some(looks) = self.files.looks.get().and_then(Option::as_ref) else { return Ok(()) };
        // What this run has just written is read once more when the clock is past that, so that the next run
        // has nothing to write down.
        let racy = looks.take_racy();
        if !racy.files.is_empty() {
            looks::pass_grain(racy.changed);
            let wanted: Vec<_> =
                racy.files.iter().map(|(path, size)| (path, Wanted::DigestIfSize(*size))).collect();
            drop(self.look(&wanted));
        }
        looks.keep()
    }

    /// Has the next run read every file.
    pub fn forget_looks(&self) -> std::io::Result<()> {
        super::settled::forget(&self.settings.cache)?;
        super::whole::forget(&self.settings.cache)?;
        looks::forget(&self.settings.cache)
    }
}

/// What one thread looks with.
struct Looker<'h> {
    walker: Walker,
    glance: Glance<'h>,
    buffer: Vec<u8>,
    secrets: Arc<SecretPaths>,
}

impl<'h> Looker<'h> {
    fn new(host: &'h Host) -> Looker<'h> {
        let (walker, buffer) = (Walker::default(), vec![0; walk::BUFFER]);
        Looker { walker, glance: Glance::new(host), buffer, secrets: host.secret_paths() }
    }

    fn look(&mut self, path: &AbsPath, wanted: Wanted) -> Result<Look, SystemError> {
        let Some((parent, name)) = walk::split(path.as_str()) else {
            let root = self.walker.folder("/")?;
            let entry = root.as_ref().map(|dir| root_entry(&dir.facts));
            return Ok(Look { folder: root.map(|dir| dir.folder()), entry });
        };
        let Some(dir) = self.walker.folder(parent)? else {
            return Ok(Look { folder: None, entry: None });
        };
        let failed = |err| {
            if err == Errno::LOOP {
                // It became a link between two questions.
                SystemError::new(ErrorKind::Moved, format!("{path} changed while it was read"))
            } else {
                failed(format!("read {path}"), err)
            }
        };
        let name = walk::kernel_name(name).map_err(failed)?;
        if let Some(mut entry) = self.glanced(&dir, &name, wanted) {
            self.secrets.mark(&dir, &name, &mut entry);
            return Ok(Look { folder: Some(dir.folder()), entry: Some(entry) });
        }
        let Looker { glance, buffer, .. } = self;
        let mut read = |facts: &Facts, content: &Content| {
            glance.read(&dir, facts, content, || Some(path.clone()));
        };
        let mut entry = dir.entry(&name, wanted, buffer, &mut read).map_err(failed)?;
        if let Some(entry) = &mut entry {
            self.secrets.mark(&dir, &name, entry);
        }
        Ok(Look { folder: Some(dir.folder()), entry })
    }

    /// A file of which the kernel says the same as when it was read.
    fn glanced(&mut self, dir: &Dir, name: &CStr, wanted: Wanted) -> Option<Entry> {
        let Wanted::DigestIfSize(promised) = wanted else { return None };
        if !self.glance.is_any() {
            return None;
        }
        let facts = Facts::at(&dir.fd, name).ok()?;
        let content = self.glance.known(dir, &facts, Some(promised))?;
        dir.described_whole(name, &facts, content).ok()
    }
}

fn root_entry(facts: &Facts) -> Entry {
    facts.entry(Shape::Directory, facts.device())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_come_in_the_order_in_which_they_were_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        for name in ["a", "b", "c"] {
            std::fs::create_dir(folder.join(name)).unwrap();
        }
        // One directory after the other, again and again, and more than one thread looks at.
        let path = |at: usize| folder.join(["c", "a", "b"][at % 3]).join(at.to_string());
        let paths: Vec<AbsPath> = (0..5 * PORTION)
            .map(|at| {
                std::fs::write(path(at), vec![b'x'; at]).unwrap();
                AbsPath::parse(path(at).to_str().unwrap()).unwrap()
            })
            .collect();
        let wanted: Vec<_> = paths.iter().map(|it| (it, Wanted::Nothing)).collect();
        let host = crate::files::tests::host_in(&folder);
        for (at, look) in host.look(&wanted).into_iter().enumerate() {
            let shape = look.unwrap().entry.unwrap().shape;
            assert_eq!(shape, Shape::File { size: at as u64, content: Content::NotRead });
        }
    }
}
