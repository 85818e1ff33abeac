//! Looking at the real machine's files.

use super::backups::Backups;
use super::walk::{self, Facts, Walker, failed};
use super::{Content, Digest, Entry, Look, OwnFolder, Read, Shape, TreeEntry, Wanted};
use crate::text::safe;
use crate::{AbsPath, ErrorKind, Host, SystemError};
use rustix::io::Errno;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Smaller batches are not worth a thread.
const ALONE: usize = 64;
/// How many paths a thread takes at a time: neighbours share their directory.
const PORTION: usize = 64;
/// Each holds descriptors of its own, and more than this many waits for the same locks in the kernel.
const THREADS_MAX: usize = 8;

/// Locks and sockets, and what is remembered until the next boot.
const RUN: &str = "/run/steadfast";

/// A tree is told as a list in memory.
const ENTRIES_MAX: usize = 1_000_000;

impl Read for Host {
    fn look(&self, wanted: &[(&AbsPath, Wanted)]) -> Vec<Result<Look, SystemError>> {
        let threads = if wanted.len() <= ALONE {
            1
        } else {
            std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX)
        };
        if threads == 1 {
            let mut looker = Looker::new();
            return wanted.iter().map(|(path, wanted)| looker.look(path, *wanted)).collect();
        }
        let next = AtomicUsize::new(0);
        let work = || {
            let mut looker = Looker::new();
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

    fn real_folders(&self, folders: &[&AbsPath]) -> Vec<Option<AbsPath>> {
        let mut walker = Walker::default();
        folders.iter().map(|it| walker.real(it).filter(|real| real != *it)).collect()
    }

    fn tree(
        &self,
        root: &AbsPath,
        promised: &dyn Fn(&str) -> Option<u64>,
    ) -> Result<Vec<TreeEntry>, SystemError> {
        let shown = root.as_str().trim_end_matches('/');
        let dir = walk::open_tree(&mut Walker::default(), root)?;
        let mut buffer = vec![0; walk::BUFFER];
        let mut entries = vec![];
        walk::visit(&dir, shown, &mut |dir, name, path, facts| {
            if entries.len() >= ENTRIES_MAX {
                return Err(SystemError::new(
                    ErrorKind::Other,
                    format!("{shown} has more than {ENTRIES_MAX} entries"),
                ));
            }
            let unreadable = |err| failed(format!("read {shown}/{}", safe(path)), err);
            let promised = promised(path).filter(|_| facts.is_file());
            let entry = if promised.is_some() {
                match dir.open_file(name) {
                    Ok((fd, facts)) => {
                        let wanted = Wanted::digest_beside(promised, facts.size());
                        let content =
                            walk::content(&fd, facts.size(), wanted, dir.open, &mut buffer)
                                .map_err(unreadable)?;
                        facts.entry(Shape::File { size: facts.size(), content }, dir.facts.device())
                    }
                    // It went while we looked, or is no regular file any more: the next look tells.
                    Err(Errno::NOENT | Errno::LOOP) => return Ok(()),
                    Err(err) => return Err(unreadable(err)),
                }
            } else {
                match dir.described(name, facts, Content::NotRead) {
                    Ok(entry) => entry,
                    Err(Errno::NOENT | Errno::INVAL) => return Ok(()),
                    Err(err) => return Err(unreadable(err)),
                }
            };
            entries.push(TreeEntry { path: path.into(), entry });
            Ok(())
        })?;
        entries.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        Ok(entries)
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
        Backups::new(self).get(digest)
    }
}

/// What one thread looks with.
struct Looker {
    walker: Walker,
    buffer: Vec<u8>,
}

impl Looker {
    fn new() -> Looker {
        Looker { walker: Walker::default(), buffer: vec![0; walk::BUFFER] }
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
        let entry = walk::kernel_name(name).and_then(|it| dir.entry(&it, wanted, &mut self.buffer));
        let entry = entry.map_err(|err| {
            if err == Errno::LOOP {
                // It became a link between two questions.
                SystemError::new(ErrorKind::Moved, format!("{path} changed while it was read"))
            } else {
                failed(format!("read {path}"), err)
            }
        })?;
        Ok(Look { folder: Some(dir.folder()), entry })
    }
}

fn root_entry(facts: &Facts) -> Entry {
    facts.entry(Shape::Directory, facts.device())
}
