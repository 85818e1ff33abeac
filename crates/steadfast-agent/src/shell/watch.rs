//! What the kernel tells about what is promised: inotify on the directories in which promised things lie.
//! A name that is touched there is the promises that are about it. Where watches are exhausted or events
//! were lost, that is said, and the regular full look finds what they would have told.

use super::attribution::Attribution;
use super::began::Began;
use super::event::{Event, Touch};
use super::promised::Promised;
use super::units;
use rustix::fs::inotify;
use rustix::fs::inotify::{CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;
use steadfast_model::PromiseId;
use steadfast_node::wire::Watched;
use steadfast_system::attribution::Act;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::Sender;

/// Events that come this close together are one.
const MERGE: Duration = Duration::from_millis(5);

#[derive(Debug)]
pub(super) struct Watches {
    descriptor: Option<Arc<AsyncFd<OwnedFd>>>,
    promises: Arc<[PromiseId]>,
    folders: BTreeMap<String, Folder>,
    by_watch: HashMap<i32, String>,
    units: HashMap<String, Vec<u32>>,
    /// Until there is a unit to listen for, the bus is left alone.
    not_listening: Option<Sender<Event>>,
    /// What is wrong was said already.
    exhausted: bool,
}

/// A directory in which something promised lies.
#[derive(Debug)]
struct Folder {
    watch: Option<i32>,
    promised: Arc<Promised>,
}

fn flags() -> WatchFlags {
    WatchFlags::MODIFY
        | WatchFlags::CLOSE_WRITE
        | WatchFlags::ATTRIB
        | WatchFlags::CREATE
        | WatchFlags::DELETE
        | WatchFlags::MOVED_FROM
        | WatchFlags::MOVED_TO
        | WatchFlags::DELETE_SELF
        | WatchFlags::MOVE_SELF
        | WatchFlags::ONLYDIR
        | WatchFlags::EXCL_UNLINK
}

impl Watches {
    pub(super) fn new(send: Sender<Event>) -> Watches {
        let opened = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
            .map_err(std::io::Error::from)
            .and_then(register);
        let descriptor = match opened {
            Ok(descriptor) => Some(Arc::new(descriptor)),
            Err(err) => {
                let words = format!("drift is found by the periodic full run only: inotify: {err}");
                tracing::warn!("{words}");
                None
            }
        };
        if let Some(descriptor) = &descriptor {
            tokio::spawn(listen(Arc::clone(descriptor), send.clone()));
        }
        Watches {
            descriptor,
            promises: Arc::from([]),
            folders: BTreeMap::new(),
            by_watch: HashMap::new(),
            units: HashMap::new(),
            not_listening: Some(send),
            exhausted: false,
        }
    }

    /// Watches for these promises, and for no others. Those that a run has looked at which began then, and
    /// that somebody may have touched before they were watched.
    #[must_use = "what was touched has to be looked at"]
    pub(super) fn set(
        &mut self,
        watched: Vec<Watched>,
        looked: &Began,
        attribution: &mut Attribution,
    ) -> Vec<PromiseId> {
        let mut before = std::mem::take(&mut self.folders);
        self.by_watch.clear();
        self.units.clear();
        self.promises = watched.iter().map(|it| it.promise.clone()).collect();
        self.exhausted = false;
        let mut all = BTreeMap::<String, Promised>::new();
        let new = || Promised::new(&self.promises);
        for (at, Watched { promise: _, paths, folders, units }) in (0u32..).zip(watched) {
            for path in paths {
                let Some((folder, name)) = path.rsplit_once('/') else { continue };
                let folder = if folder.is_empty() { "/" } else { folder };
                all.entry(folder.to_owned()).or_insert_with(new).add_name(name.as_bytes(), at);
            }
            for path in folders {
                all.entry(path).or_insert_with(new).add_folder(at);
            }
            for unit in units {
                self.units.entry(unit).or_default().push(at);
            }
        }
        let folder = |promised| Folder { watch: None, promised: Arc::new(promised) };
        self.folders = all.into_iter().map(|(path, it)| (path, folder(it))).collect();
        attribution.forget_folders();
        for (path, folder) in &mut self.folders {
            if let Some(watch) = before.remove(path).and_then(|it| it.watch) {
                folder.watch = Some(watch);
                self.by_watch.insert(watch, path.clone());
                attribution.mark(path, &folder.promised);
            }
        }
        if let Some(descriptor) = &self.descriptor {
            for watch in before.into_values().filter_map(|it| it.watch) {
                let _gone = inotify::remove_watch(descriptor.get_ref(), watch);
            }
        }
        if !self.units.is_empty()
            && let Some(send) = self.not_listening.take()
        {
            tokio::spawn(units::listen(send));
        }
        let unseen = self.arm(attribution, |folder, promised| looked.unseen(folder, promised));
        attribution.have_marked();
        unseen
    }

    /// Watches directories that were not there before. The promises about what is in them: nobody has seen
    /// what happened there meanwhile.
    pub(super) fn refresh(&mut self, attribution: &mut Attribution) -> Vec<PromiseId> {
        self.arm(attribution, |_, promised| promised.every().collect())
    }

    /// Watches what is not watched yet. The promises about what nobody has seen there.
    fn arm(
        &mut self,
        attribution: &mut Attribution,
        unseen_in: impl Fn(&str, &Promised) -> Vec<usize>,
    ) -> Vec<PromiseId> {
        let Some(descriptor) = &self.descriptor else { return vec![] };
        let mut unseen = BTreeSet::new();
        for (path, folder) in &mut self.folders {
            if folder.watch.is_some() {
                continue;
            }
            match inotify::add_watch(descriptor.get_ref(), path.as_str(), flags()) {
                Ok(watch) => {
                    tracing::debug!(folder = path, "a watch is armed");
                    folder.watch = Some(watch);
                    self.by_watch.insert(watch, path.clone());
                    attribution.mark(path, &folder.promised);
                    unseen.extend(unseen_in(path, &folder.promised));
                }
                // Not there, or no directory: the run says so.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(err) => {
                    if !self.exhausted {
                        let words = format!(
                            "{path} cannot be watched ({err}): drift there is found by the periodic \
                             full run only (see fs.inotify.max_user_watches)"
                        );
                        tracing::warn!("{words}");
                    }
                    self.exhausted = true;
                }
            }
        }
        let all = unseen.into_iter().filter_map(|it| self.promises.get(it));
        all.cloned().collect()
    }

    /// The promises that are about what was touched.
    pub(super) fn promises(&mut self, touches: &[Touch]) -> Vec<PromiseId> {
        let mut found = BTreeSet::new();
        for touch in touches {
            match touch {
                Touch::Overflow => {
                    tracing::info!(notice = true, "changes came faster than they could be read");
                    found.extend(0..self.promises.len());
                }
                Touch::Name { watch, name: Some(name), what } => {
                    let folder = self.by_watch.get(watch).and_then(|it| self.folders.get(it));
                    let Some(folder) = folder else { continue };
                    found.extend(folder.promised.numbers(name, *what));
                }
                Touch::Name { watch, name: None, what: _ } => {
                    // The directory itself went away or was put elsewhere: it is watched anew.
                    let Some(path) = self.by_watch.remove(watch) else { continue };
                    let Some(folder) = self.folders.get_mut(&path) else { continue };
                    tracing::debug!(folder = path, "a watch is lost");
                    folder.watch = None;
                    found.extend(folder.promised.every());
                    if let Some(descriptor) = &self.descriptor {
                        let _gone = inotify::remove_watch(descriptor.get_ref(), *watch);
                    }
                }
                Touch::AllUnits => {
                    found.extend(self.units.values().flatten().map(|it| *it as usize));
                }
                Touch::Unit(name) => {
                    let about = self.units.get(name).into_iter().flatten();
                    found.extend(about.map(|it| *it as usize));
                }
            }
        }
        found.into_iter().filter_map(|it| self.promises.get(it).cloned()).collect()
    }
}

#[expect(
    deprecated,
    reason = "an OwnedFd is what its safety asks for, and the other way is `unsafe`"
)]
fn register(descriptor: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(descriptor, Interest::READABLE)
}

async fn listen(descriptor: Arc<AsyncFd<OwnedFd>>, send: Sender<Event>) {
    let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
    loop {
        let Ok(mut ready) = descriptor.readable().await else { return };
        ready.clear_ready();
        // Whoever writes a file says several things in a row.
        tokio::time::sleep(MERGE).await;
        let mut touches = BTreeSet::new();
        let mut reader = inotify::Reader::new(descriptor.get_ref(), &mut buffer);
        while let Ok(event) = reader.next() {
            touches.insert(touch(event.wd(), event.events(), event.file_name()));
        }
        if send.send(Event::Touched(touches.into_iter().flatten().collect())).await.is_err() {
            return;
        }
    }
}

fn touch(watch: i32, events: ReadFlags, name: Option<&std::ffi::CStr>) -> Option<Touch> {
    if events.contains(ReadFlags::QUEUE_OVERFLOW) {
        return Some(Touch::Overflow);
    }
    let written = ReadFlags::MODIFY | ReadFlags::CLOSE_WRITE;
    let what = if written.contains(events) { Act::Written } else { Act::Changed };
    match name {
        Some(name) => Some(Touch::Name { watch, name: Some(name.to_bytes().into()), what }),
        None => {
            let gone = ReadFlags::IGNORED | ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF;
            events.intersects(gone).then_some(Touch::Name { watch, name: None, what })
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test plays everybody else's part")]

    use super::*;
    use tokio::sync::mpsc;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    fn watched(promise: &str, paths: &[String], folders: &[String]) -> Watched {
        let (paths, folders) = (paths.to_vec(), folders.to_vec());
        Watched { promise: PromiseId(promise.into()), paths, folders, units: vec![] }
    }

    #[test]
    fn what_is_touched_names_its_promises_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| format!("{}/{name}", folder.path().display());
        std::fs::create_dir(path("purged")).unwrap();
        std::fs::write(path("a"), "a").unwrap();
        runtime().block_on(async {
            let (send, mut receive) = mpsc::channel(16);
            let mut watches = Watches::new(send);
            let none = Err("a test".to_owned());
            let mut attribution = Attribution::new(none, super::super::children::Alive::default());
            let all = || {
                vec![
                    watched("file:a", &[path("a")], &[]),
                    watched("file:later", &[path("later/x")], &[]),
                    watched("directory:purged", &[path("purged")], &[path("purged")]),
                ]
            };
            let began = Began::now();
            // Written after the run began, and nobody watched.
            std::fs::write(path("a"), "b").unwrap();
            let unseen = watches.set(all(), &began, &mut attribution);
            assert!(unseen.contains(&PromiseId::new("file", "a")), "{unseen:?}");
            // Where it is watched already, what is touched is told.
            assert_eq!(watches.set(all(), &began, &mut attribution), []);
            let mut next = async |watches: &mut Watches| loop {
                let Some(Event::Touched(touches)) = receive.recv().await else { panic!() };
                let promises = watches.promises(&touches);
                if !promises.is_empty() {
                    return promises;
                }
            };
            std::fs::write(path("stranger"), "x").unwrap();
            std::fs::write(path("a"), "b").unwrap();
            assert_eq!(next(&mut watches).await, [PromiseId::new("file", "a")]);
            std::fs::write(path("purged/new"), "x").unwrap();
            assert_eq!(next(&mut watches).await, [PromiseId::new("directory", "purged")]);
            std::fs::create_dir(path("later")).unwrap();
            assert_eq!(watches.refresh(&mut attribution), [PromiseId::new("file", "later")]);
            assert!(watches.refresh(&mut attribution).is_empty());
            std::fs::write(path("later/x"), "x").unwrap();
            assert_eq!(next(&mut watches).await, [PromiseId::new("file", "later")]);
            std::fs::rename(path("later"), path("moved")).unwrap();
            assert_eq!(next(&mut watches).await, [PromiseId::new("file", "later")]);
        });
    }

    #[test]
    fn writing_to_what_lies_in_a_folder_says_nothing_about_its_names() {
        let name = || Some(c"log");
        let of = |events| touch(1, events, name());
        let expected = |what| Some(Touch::Name { watch: 1, name: Some((*b"log").into()), what });
        assert_eq!(of(ReadFlags::MODIFY), expected(Act::Written));
        assert_eq!(of(ReadFlags::ATTRIB), expected(Act::Changed));
        assert_eq!(touch(1, ReadFlags::CREATE, None), None);
        assert_eq!(touch(1, ReadFlags::QUEUE_OVERFLOW, None), Some(Touch::Overflow));
    }
}
