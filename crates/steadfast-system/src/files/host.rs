//! Looking at the real machine's files.

use super::backups::Backups;
use super::looks::{self, Looks};
use super::secret::SecretPaths;
use super::visit;
use super::walk::{self, Dir, Facts, Walker, failed};
use super::{Content, Digest, Entry, Look, OwnFolder, Read, Shape, TreeEntry, Wanted};
use crate::text::safe;
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

/// A tree is told as a list in memory, some 650 bytes an entry.
const ENTRIES_MAX: usize = 1_000_000;
/// What nobody promised, where others than root can write: they make names for nothing.
const OF_OTHERS_MAX: usize = 200_000;

/// How many entries of a tree were taken in.
#[derive(Default)]
struct Count {
    all: usize,
    of_others: usize,
}

impl Count {
    fn one_more(&mut self, shown: &str, dir: &Dir, is_promised: bool) -> Result<(), SystemError> {
        self.all += 1;
        self.of_others += usize::from(dir.open && !is_promised);
        if self.of_others > OF_OTHERS_MAX {
            let words = format!(
                "{shown} has more than {OF_OTHERS_MAX} entries that nobody promised where others than root \
                 can write"
            );
            return Err(SystemError::new(ErrorKind::Swappable, words));
        }
        if self.all > ENTRIES_MAX {
            let words = format!("{shown} has more than {ENTRIES_MAX} entries");
            return Err(SystemError::new(ErrorKind::Other, words));
        }
        Ok(())
    }
}

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

    fn tree(
        &self,
        root: &AbsPath,
        promised: &dyn Fn(&str) -> Option<u64>,
    ) -> Result<Vec<TreeEntry>, SystemError> {
        let shown = root.as_str().trim_end_matches('/');
        let dir = walk::open_tree(&mut Walker::default(), root)?;
        let mut buffer = vec![0; walk::BUFFER];
        let mut entries = vec![];
        let mut glance = Glance::new(self);
        let secrets = self.secret_paths();
        let mut count = Count::default();
        visit::visit(&dir, shown, ENTRIES_MAX, &mut |dir, name, path, facts| {
            let unreadable = |err| failed(format!("read {shown}/{}", safe(path)), err);
            let promised = promised(path).filter(|_| facts.is_file());
            count.one_more(shown, dir, promised.is_some())?;
            let entry = if let Some(content) = glance.known(dir, facts, promised) {
                facts.entry(Shape::File { size: facts.size(), content }, dir.facts.device())
            } else if promised.is_some() {
                match dir.open_file(name) {
                    Ok((fd, facts)) => {
                        let wanted = Wanted::digest_beside(promised, facts.size());
                        let content =
                            walk::content(&fd, facts.size(), wanted, dir.open, &mut buffer)
                                .map_err(unreadable)?;
                        let at = || AbsPath::parse(&format!("{shown}/{path}")).ok();
                        glance.read(dir, &facts, &content, at);
                        facts.entry(Shape::File { size: facts.size(), content }, dir.facts.device())
                    }
                    // It went while we looked, or is no regular file any more: the next look tells.
                    Err(Errno::NOENT | Errno::LOOP) => return Ok(()),
                    Err(Errno::AGAIN) => {
                        let shape = Shape::File { size: facts.size(), content: Content::Leased };
                        facts.entry(shape, dir.facts.device())
                    }
                    Err(err) => return Err(unreadable(err)),
                }
            } else {
                match dir.described(name, facts, Content::NotRead) {
                    Ok(entry) => entry,
                    Err(Errno::NOENT | Errno::INVAL) => return Ok(()),
                    Err(err) => return Err(unreadable(err)),
                }
            };
            let mut entry = entry;
            secrets.mark(dir, name, &mut entry);
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
        if !racy.is_empty() {
            looks::pass_grain();
            let wanted: Vec<_> =
                racy.iter().map(|(path, size)| (path, Wanted::DigestIfSize(*size))).collect();
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

/// What is known of files without reading them.
struct Glance<'h> {
    looks: Option<&'h Looks>,
    /// The mount that was asked about last, and whether what its kernel says can be trusted.
    last: Option<((u64, u64), bool)>,
}

impl<'h> Glance<'h> {
    fn new(host: &'h Host) -> Glance<'h> {
        Glance { looks: host.files.looks.get().and_then(Option::as_ref), last: None }
    }

    /// The looks that hold for a file of this directory.
    fn at(&mut self, dir: &Dir, facts: &Facts) -> Option<&'h Looks> {
        let looks = self.looks?;
        let mount = (facts.device(), facts.mount());
        if mount != (dir.facts.device(), dir.facts.mount()) {
            return None;
        }
        let is_on_disk = match self.last {
            Some((last, is_on_disk)) if last == mount => is_on_disk,
            Some(_) | None => dir.is_on_disk(),
        };
        self.last = Some((mount, is_on_disk));
        is_on_disk.then_some(looks)
    }

    /// The content of a file that has the promised size, where it need not be read.
    fn known(&mut self, dir: &Dir, facts: &Facts, promised: Option<u64>) -> Option<Content> {
        if !facts.is_file() || promised != Some(facts.size()) {
            return None;
        }
        self.at(dir, facts)?.digest(facts).map(Content::Digest)
    }

    fn read(
        &mut self,
        dir: &Dir,
        facts: &Facts,
        content: &Content,
        path: impl FnOnce() -> Option<AbsPath>,
    ) {
        if let Content::Digest(digest) = content
            && let Some(looks) = self.at(dir, facts)
        {
            looks.verified(facts, digest, path);
        }
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
        if !self.glance.looks.is_some_and(Looks::is_any) {
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

    #[test]
    fn of_what_others_make_less_is_taken_in_and_what_is_promised_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        for name in 0..10 {
            std::fs::write(folder.path().join(name.to_string()), "").unwrap();
        }
        let root = AbsPath::parse(folder.path().to_str().unwrap()).unwrap();
        let dir = walk::open_tree(&mut Walker::default(), &root).unwrap();
        assert!(dir.open, "whatever lies below /tmp is");
        let mut count = Count { all: 0, of_others: OF_OTHERS_MAX - 1 };
        count.one_more("/t", &dir, false).unwrap();
        count.one_more("/t", &dir, true).unwrap();
        let error = count.one_more("/t", &dir, false).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Swappable);
        let words =
            "/t has more than 200000 entries that nobody promised where others than root can write";
        assert_eq!(error.chain().join(": "), words);
        // Of one directory no more names are held than are asked for, and one.
        let mut seen = 0;
        visit::visit(&dir, "/t", 3, &mut |_, _, _, _| {
            seen += 1;
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, 4);
    }
}
