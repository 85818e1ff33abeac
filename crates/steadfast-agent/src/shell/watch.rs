//! What the kernel tells about what is promised: inotify on the directories in which promised things lie.
//! A name that is touched there is the promises that are about it. Where watches are exhausted or events
//! were lost, that is said, and the regular full look finds what they would have told.

use super::attribution::Attribution;
use super::began::Began;
use super::event::{Event, Queue, Touch, Watch};
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
use steadfast_system::files::Folders;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::Sender;
use tokio::time::Instant;

/// So many events are taken at a time: whoever makes them without end holds nobody up, and fills no memory.
const AT_ONCE: usize = 1_024;
/// And where there were more, the kernel is left to drop what it cannot hold.
const PAUSE: Duration = Duration::from_millis(50);
/// That events were lost is told no more often: others than root can bring it about.
const TOLD_AGAIN: Duration = Duration::from_secs(3_600);
/// Events that come this close together are one.
const MERGE: Duration = Duration::from_millis(5);

#[derive(Debug)]
pub(super) struct Watches {
    closed: Option<Arc<AsyncFd<OwnedFd>>>,
    /// What others than root can write has a queue of its own: they can fill it, and what happens elsewhere is
    /// still told.
    open: Option<Arc<AsyncFd<OwnedFd>>>,
    promises: Arc<[PromiseId]>,
    folders: BTreeMap<String, Folder>,
    /// A watch is of a directory, whatever it is called: a link leads two paths to one.
    by_watch: HashMap<Watch, BTreeSet<String>>,
    units: HashMap<String, Vec<u32>>,
    /// Until there is a unit to listen for, the bus is left alone.
    not_listening: Option<Sender<Event>>,
    /// What is wrong was said already.
    exhausted: bool,
    /// When it was told that events were lost.
    lost: Option<Instant>,
}

/// A directory in which something promised lies.
#[derive(Debug)]
struct Folder {
    watch: Option<Watch>,
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
        Watches {
            closed: begin(Queue::Closed, &send),
            open: begin(Queue::Open, &send),
            promises: Arc::from([]),
            folders: BTreeMap::new(),
            by_watch: HashMap::new(),
            units: HashMap::new(),
            not_listening: Some(send),
            exhausted: false,
            lost: None,
        }
    }

    fn queue(&self, queue: Queue) -> Option<&AsyncFd<OwnedFd>> {
        match queue {
            Queue::Closed => self.closed.as_deref(),
            Queue::Open => self.open.as_deref(),
        }
    }

    fn remove(&self, watch: Watch) {
        if let Some(queue) = self.queue(watch.queue) {
            let _gone = inotify::remove_watch(queue.get_ref(), watch.number);
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
        let before = std::mem::take(&mut self.folders);
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
        let before = before.into_iter().filter_map(|(path, it)| Some((path, it.watch?))).collect();
        let unseen = self.arm_anew(&before, looked, attribution);
        if !self.units.is_empty()
            && let Some(send) = self.not_listening.take()
        {
            tokio::spawn(units::listen(send));
        }
        unseen
    }

    /// Watches what the same paths lead to by now: of what is mounted over a directory, or taken away again, the
    /// kernel tells nothing. The promises about what a run that began then may not have seen there.
    pub(super) fn renew(
        &mut self,
        looked: &Began,
        attribution: &mut Attribution,
    ) -> Vec<PromiseId> {
        let watched = self.folders.iter_mut();
        let before =
            watched.filter_map(|(path, it)| Some((path.clone(), it.watch.take()?))).collect();
        self.arm_anew(&before, looked, attribution)
    }

    /// Watches all directories. Those that were watched before are asked for again: since then a path may lead
    /// elsewhere.
    fn arm_anew(
        &mut self,
        before: &BTreeMap<String, Watch>,
        looked: &Began,
        attribution: &mut Attribution,
    ) -> Vec<PromiseId> {
        self.by_watch.clear();
        attribution.forget_folders();
        let unseen = self.arm(attribution, |path, watch, promised| {
            if before.get(path) == Some(&watch) { vec![] } else { looked.unseen(path, promised) }
        });
        attribution.have_marked();
        let gone = before.values().filter(|it| !self.by_watch.contains_key(it));
        gone.for_each(|it| self.remove(*it));
        unseen
    }

    /// Watches directories that were not there before. The promises about what is in them: nobody has seen
    /// what happened there meanwhile.
    pub(super) fn refresh(&mut self, attribution: &mut Attribution) -> Vec<PromiseId> {
        self.arm(attribution, |_, _, promised| promised.every().collect())
    }

    /// Watches what is not watched yet. The promises about what nobody has seen there.
    fn arm(
        &mut self,
        attribution: &mut Attribution,
        unseen_in: impl Fn(&str, Watch, &Promised) -> Vec<usize>,
    ) -> Vec<PromiseId> {
        let mut unseen = BTreeSet::new();
        let mut folders = std::mem::take(&mut self.folders);
        let mut ways = Folders::default();
        for (path, folder) in folders.iter_mut().filter(|(_, it)| it.watch.is_none()) {
            // As those who look at it go there: by no link that others can put there.
            let Some(there) = ways.there(path) else { continue };
            let queue = if there.is_open() { Queue::Open } else { Queue::Closed };
            let Some(descriptor) = self.queue(queue) else { continue };
            match inotify::add_watch(descriptor.get_ref(), there.path(), flags()) {
                Ok(number) => {
                    tracing::debug!(folder = path, "a watch is armed");
                    let watch = Watch { queue, number };
                    folder.watch = Some(watch);
                    self.by_watch.entry(watch).or_default().insert(path.clone());
                    attribution.mark(path, &there, &folder.promised);
                    unseen.extend(unseen_in(path, watch, &folder.promised));
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
        self.folders = folders;
        let all = unseen.into_iter().filter_map(|it| self.promises.get(it));
        all.cloned().collect()
    }

    /// The promises that are about what was touched.
    pub(super) fn promises(&mut self, touches: &[Touch]) -> Vec<PromiseId> {
        let mut found = BTreeSet::new();
        for touch in touches {
            match touch {
                Touch::Overflow(queue) => {
                    if self.lost.is_none_or(|it| it.elapsed() >= TOLD_AGAIN) {
                        let words = "changes came faster than they could be read";
                        tracing::info!(notice = true, "{words}");
                        self.lost = Some(Instant::now());
                    }
                    let theirs = |it: &&Folder| it.watch.is_some_and(|it| it.queue == *queue);
                    let folders = self.folders.values().filter(theirs);
                    found.extend(folders.flat_map(|it| it.promised.every()));
                }
                Touch::Name { watch, name: Some(name), what } => {
                    let paths = self.by_watch.get(watch).into_iter().flatten();
                    for folder in paths.filter_map(|it| self.folders.get(it)) {
                        found.extend(folder.promised.numbers(name, *what));
                    }
                }
                Touch::Name { watch, name: None, what: _ } => {
                    // The directory itself went away or was put elsewhere: it is watched anew.
                    let Some(paths) = self.by_watch.remove(watch) else { continue };
                    for path in paths {
                        let Some(folder) = self.folders.get_mut(&path) else { continue };
                        tracing::debug!(folder = path, "a watch is lost");
                        folder.watch = None;
                        found.extend(folder.promised.every());
                    }
                    self.remove(*watch);
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

/// Opens a queue, and has it listened to.
fn begin(queue: Queue, send: &Sender<Event>) -> Option<Arc<AsyncFd<OwnedFd>>> {
    let opened = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
        .map_err(std::io::Error::from)
        .and_then(register);
    match opened {
        Ok(descriptor) => {
            let descriptor = Arc::new(descriptor);
            tokio::spawn(listen(queue, Arc::clone(&descriptor), send.clone()));
            Some(descriptor)
        }
        Err(err) => {
            let words = format!("drift is found by the periodic full run only: inotify: {err}");
            tracing::warn!("{words}");
            None
        }
    }
}

async fn listen(queue: Queue, descriptor: Arc<AsyncFd<OwnedFd>>, send: Sender<Event>) {
    let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
    let mut is_empty = true;
    loop {
        if is_empty {
            let Ok(mut ready) = descriptor.readable().await else { return };
            ready.clear_ready();
        }
        // Whoever writes a file says several things in a row.
        tokio::time::sleep(if is_empty { MERGE } else { PAUSE }).await;
        let touches;
        (touches, is_empty) = some_touches(queue, descriptor.get_ref(), &mut buffer);
        if send.send(Event::Touched(touches.into_iter().collect())).await.is_err() {
            return;
        }
    }
}

/// What was told until now, as far as it is taken at a time, and whether that is all.
fn some_touches(
    queue: Queue,
    descriptor: &OwnedFd,
    buffer: &mut [MaybeUninit<u8>],
) -> (BTreeSet<Touch>, bool) {
    let mut touches = BTreeSet::new();
    let mut taken = 0;
    let mut reader = inotify::Reader::new(descriptor, buffer);
    // What the reader has in its buffer is told nowhere else.
    while taken < AT_ONCE || !reader.is_buffer_empty() {
        let Ok(event) = reader.next() else { return (touches, true) };
        let watch = Watch { queue, number: event.wd() };
        touches.extend(touch(watch, event.events(), event.file_name()));
        taken += 1;
    }
    (touches, false)
}

fn touch(watch: Watch, events: ReadFlags, name: Option<&std::ffi::CStr>) -> Option<Touch> {
    if events.contains(ReadFlags::QUEUE_OVERFLOW) {
        return Some(Touch::Overflow(watch.queue));
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
    fn one_directory_by_two_paths_is_both_and_stays_the_other_s_when_one_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        runtime().block_on(async {
            let (send, mut receive) = mpsc::channel(16);
            let mut watches = Watches::new(send);
            let none = Err("a test".to_owned());
            let mut attribution = Attribution::new(none, super::super::children::Alive::default());
            let one = || watched("file:one", &[format!("{path}/a")], &[]);
            let other = || watched("file:other", &[format!("{path}/./a")], &[]);
            let mut next = async |watches: &mut Watches| loop {
                let Some(Event::Touched(touches)) = receive.recv().await else { panic!() };
                let promises = watches.promises(&touches);
                if !promises.is_empty() {
                    return promises;
                }
            };
            let _unseen = watches.set(vec![one(), other()], &Began::now(), &mut attribution);
            std::fs::create_dir(format!("{path}/a")).unwrap();
            let both = [PromiseId::new("file", "one"), PromiseId::new("file", "other")];
            assert_eq!(next(&mut watches).await, both);
            let _unseen = watches.set(vec![one()], &Began::now(), &mut attribution);
            std::fs::remove_dir(format!("{path}/a")).unwrap();
            assert_eq!(next(&mut watches).await, both[..1]);
        });
    }

    #[test]
    fn what_others_can_write_is_told_by_a_queue_of_its_own_and_links_there_lead_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        std::os::unix::fs::symlink("/etc", format!("{path}/link")).unwrap();
        let mut ways = Folders::default();
        assert!(ways.there(&path).unwrap().is_open(), "whatever lies below /tmp is");
        assert!(!ways.there("/etc").unwrap().is_open());
        assert!(ways.there(&format!("{path}/link")).is_none());
        runtime().block_on(async {
            let mut watches = Watches::new(mpsc::channel(16).0);
            let none = Err("a test".to_owned());
            let mut attribution = Attribution::new(none, super::super::children::Alive::default());
            let paths = [format!("{path}/a"), "/etc/motd".to_owned(), format!("{path}/link/motd")];
            let all = ["file:open", "file:closed", "file:led"];
            let all = all
                .iter()
                .zip(&paths)
                .map(|(it, path)| watched(it, std::slice::from_ref(path), &[]));
            let _unseen = watches.set(all.collect(), &Began::now(), &mut attribution);
            let lost = |watches: &mut Watches, queue| watches.promises(&[Touch::Overflow(queue)]);
            assert_eq!(lost(&mut watches, Queue::Open), [PromiseId::new("file", "open")]);
            assert_eq!(lost(&mut watches, Queue::Closed), [PromiseId::new("file", "closed")]);
        });
    }

    #[test]
    fn of_events_without_end_some_are_taken_at_a_time_and_none_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let descriptor = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).unwrap();
        inotify::add_watch(&descriptor, folder.path(), flags()).unwrap();
        let all = 3 * AT_ONCE;
        for number in 0..all {
            std::os::unix::fs::symlink("x", folder.path().join(number.to_string())).unwrap();
        }
        let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
        let mut touches = BTreeSet::new();
        let mut times = 0;
        loop {
            let (some, is_empty) = some_touches(Queue::Open, &descriptor, &mut buffer);
            assert!(some.len() < 2 * AT_ONCE, "{}", some.len());
            touches.extend(some);
            times += 1;
            if is_empty {
                break;
            }
        }
        assert!(times > 1);
        assert_eq!(touches.len(), all);
    }

    #[test]
    fn writing_to_what_lies_in_a_folder_says_nothing_about_its_names() {
        let name = || Some(c"log");
        let watch = Watch { queue: Queue::Open, number: 1 };
        let of = |events| touch(watch, events, name());
        let expected = |what| Some(Touch::Name { watch, name: Some((*b"log").into()), what });
        assert_eq!(of(ReadFlags::MODIFY), expected(Act::Written));
        assert_eq!(of(ReadFlags::ATTRIB), expected(Act::Changed));
        assert_eq!(touch(watch, ReadFlags::CREATE, None), None);
        let lost = touch(watch, ReadFlags::QUEUE_OVERFLOW, None);
        assert_eq!(lost, Some(Touch::Overflow(Queue::Open)));
    }
}
