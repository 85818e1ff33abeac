//! Who changes what is promised. A thread reads from the kernel's fanotify group which process has touched
//! a name in a watched folder, and asks the process at once who it is, because most do not live long.
//! inotify stays what leads to a look: where there is no group, only the names are missing.

use super::children::Alive;
use super::signals;
use super::watch::{Promised, Watches};
use crate::changes::Changes;
use crate::machine::RunResult;
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use steadfast_model::PromiseId;
use steadfast_node::changed::look_up_packages;
use steadfast_node::wire::{Changed, Report, Selection};
use steadfast_system::attribution::{self, Act, Changer, Event, Group, Place, Process};
use steadfast_system::packages::OUR_UNITS;
use steadfast_system::packages::log::Logs;

/// Between two readings. The first after a while is at once; a program that writes without end is worth
/// no more than this.
const PAUSE: Duration = Duration::from_millis(2);
/// What one reading takes.
const BUFFER: usize = 16 * 1024;
/// So much waits until the loop asks. It asks whenever inotify has told something.
const SIGHTINGS: usize = 1_024;
/// Processes that were asked lately are remembered for their next event, when they may have ended.
const RECENT: usize = 64;
const RECENTLY: Duration = Duration::from_secs(1);
/// So many are asked in a second: somebody who writes a promised file without end costs no more.
const ASKED: u32 = 300;

#[derive(Debug)]
pub(super) struct Writers {
    group: Option<Arc<Group>>,
    /// What the kernel calls the folders that are watched.
    places: HashMap<Place, (String, Arc<Promised>)>,
    seen: Arc<Seen>,
    changes: Changes,
    /// When the run that is under way began, and what it is about where that is not all.
    began: i64,
    only: Option<Selection>,
    /// What it was told of who changed things.
    given: Vec<Changed>,
    /// Who had changed what the last run has repaired.
    told: BTreeMap<PromiseId, String>,
    /// That something cannot be watched was said already.
    said: bool,
}

/// What the thread and the loop share.
#[derive(Debug, Default)]
struct Seen {
    sightings: Mutex<VecDeque<Sighting>>,
    /// What is promised in each place: nothing else is looked into.
    promised: Mutex<HashMap<Place, Arc<Promised>>>,
    /// A run of ours is under way: a process that has ended may have been its.
    running: AtomicBool,
}

/// A process did something to a name in a folder.
#[derive(Clone, Debug)]
struct Sighting {
    place: Place,
    name: Box<[u8]>,
    act: Act,
    writer: Changer,
}

impl Seen {
    fn sightings(&self) -> MutexGuard<'_, VecDeque<Sighting>> {
        // A list is whole whatever happened to who held it.
        self.sightings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn promised(&self) -> MutexGuard<'_, HashMap<Place, Arc<Promised>>> {
        self.promised.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether something is promised about what has happened.
    fn matters(&self, event: &Event) -> bool {
        self.promised().get(&event.place).is_some_and(|it| it.is_about(&event.name, event.act))
    }
}

impl Writers {
    /// `opened`: the group, or why there is none.
    pub(super) fn new(opened: Result<Arc<Group>, String>, children: Alive) -> Writers {
        let seen = Arc::<Seen>::default();
        let group = opened.and_then(|group| {
            let (read, told) = (Arc::clone(&group), Arc::clone(&seen));
            let own = Own { unit: own_service(), children };
            std::thread::Builder::new()
                .name("writers".to_owned())
                .stack_size(256 * 1024)
                .spawn(move || listen(&read, &told, &own))
                .map_err(|err| format!("start a thread: {err}"))?;
            Ok(group)
        });
        if let Err(why) = &group {
            let words = format!("who changes what is promised is not known: {why}");
            tracing::info!(notice = true, "{words}");
        }
        Writers {
            group: group.ok(),
            places: HashMap::new(),
            seen,
            changes: Changes::default(),
            began: 0,
            only: None,
            given: vec![],
            told: BTreeMap::new(),
            said: false,
        }
    }

    /// Nothing is watched any more. What was told until now about a folder that is watched again is still
    /// about it, so the thread learns only when all are marked which ones are not.
    pub(super) fn forget_folders(&mut self) {
        self.places.clear();
        if let Some(group) = &self.group {
            // What is told of folders that nobody watches is passed over.
            let _still_told = group.unmark();
        }
    }

    /// A folder is watched for what is promised in it.
    pub(super) fn mark(&mut self, folder: &str, promised: &Arc<Promised>) {
        let Some(group) = &self.group else { return };
        // The thread waits with what it is told meanwhile.
        let mut shared = self.seen.promised();
        match group.mark(std::path::Path::new(folder)) {
            Ok(place) => {
                shared.insert(place.clone(), Arc::clone(promised));
                self.places.insert(place, (folder.to_owned(), Arc::clone(promised)));
            }
            Err(err) => {
                if !self.said {
                    let words = format!("who changes things in {folder} is not known: {err}");
                    tracing::info!(notice = true, "{words}");
                }
                self.said = true;
            }
        }
    }

    /// All that is to be watched is.
    pub(super) fn have_marked(&self) {
        let all = self.places.iter().map(|(place, (_, it))| (place.clone(), Arc::clone(it)));
        *self.seen.promised() = all.collect();
    }

    /// Takes over what the thread has seen, promise by promise.
    pub(super) fn take(&mut self, watches: &Watches) {
        let sightings = std::mem::take(&mut *self.seen.sightings());
        for Sighting { place, name, act, writer } in sightings {
            let Some((folder, _)) = self.places.get(&place) else { continue };
            for promise in watches.about(folder, &name, act) {
                self.changes.wrote(promise, writer.clone());
            }
        }
    }

    pub(super) fn touched(&mut self, promises: &[PromiseId]) {
        let now = now();
        for promise in promises {
            self.changes.touched(promise, now);
        }
    }

    /// A run of ours begins: what it should know of who changed what it is about.
    pub(super) fn run_begins(
        &mut self,
        only: Option<&Selection>,
        watches: &Watches,
    ) -> Vec<Changed> {
        self.take(watches);
        self.began = now();
        self.only = only.cloned();
        self.seen.running.store(true, Ordering::Relaxed);
        self.given = self.changes.changed(self.only.as_ref());
        self.given.clone()
    }

    /// A run of ours has ended.
    pub(super) fn run_ends(&mut self, result: &RunResult, watches: &Watches) {
        self.take(watches);
        self.seen.running.store(false, Ordering::Relaxed);
        self.told.clear();
        match result {
            RunResult::Finished(report) => {
                let logs = Logs::default();
                for promise in &report.repaired {
                    // What the run was given is what it has written down; who was known only later is
                    // better than nobody.
                    let given = self.given.iter().find(|it| it.promise == *promise).cloned();
                    let mut known = given.unwrap_or_else(|| Changed {
                        promise: promise.clone(),
                        since: self.began,
                        writers: vec![],
                    });
                    if known.writers.is_empty() {
                        known.writers = self.changes.writers(promise).to_vec();
                    }
                    look_up_packages(&mut known, &logs);
                    if !known.writers.is_empty() {
                        self.told.insert(promise.clone(), attribution::words(&known.writers));
                    }
                }
                self.changes.looked(self.only.as_ref(), &unkept(report), self.began);
            }
            RunResult::Crashed(_) | RunResult::Busy(_) | RunResult::NotStarted(_) => {}
        }
    }

    /// Who had changed what the run that ended last has repaired, in words.
    pub(super) fn changer_of(&self, promise: &PromiseId) -> Option<&str> {
        self.told.get(promise).map(String::as_str)
    }
}

/// What is not as promised after a run stays as somebody made it.
fn unkept(report: &Report) -> Vec<PromiseId> {
    let not_kept = report.not_kept.iter().map(|it| &it.promise);
    not_kept.chain(report.held.iter().map(|it| &it.promise)).cloned().collect()
}

/// In microseconds since 1970.
fn now() -> i64 {
    Timestamp::now().as_microsecond()
}

/// What is ours: this process, its children, and the units in which packages are worked on.
struct Own {
    unit: Option<String>,
    children: Alive,
}

/// Our unit, where it is a service. Started by hand we share one with whoever started us.
fn own_service() -> Option<String> {
    attribution::own_unit().filter(|it| it.ends_with(".service"))
}

impl Own {
    fn is(&self, process: &Process) -> bool {
        let unit = process.unit.as_deref();
        (unit.is_some() && unit == self.unit.as_deref())
            || unit.is_some_and(|it| it.starts_with(OUR_UNITS) && it.ends_with(".service"))
            || self.children.leads(process.group)
    }
}

/// Reads until there is nothing to read from any more.
fn listen(group: &Group, seen: &Seen, own: &Own) {
    // Signals are for the loop, which holds them back while another program takes over: here they would
    // be taken, and be lost. Where they cannot be held, that is a matter of one moment.
    let _held = signals::hold();
    let pid = i32::try_from(std::process::id()).unwrap_or_default();
    let mut buffer = vec![0; BUFFER];
    let mut recent = Recent::default();
    loop {
        if group.wait().is_err() {
            return;
        }
        let Ok(told) = group.read(&mut buffer) else { return };
        let at = now();
        for event in told {
            if event.pid == pid || !seen.matters(&event) {
                continue;
            }
            let process = recent.about(&event, Instant::now(), attribution::ask);
            let ours = match &process {
                Some(process) => own.is(process),
                None => event.pid != 0 && seen.running.load(Ordering::Relaxed),
            };
            if !ours {
                let Event { pid, ended: _, act, place, name } = event;
                let writer = Changer { at, pid: Some(pid), process, work: None };
                note(&mut seen.sightings(), Sighting { place, name, act, writer });
            }
        }
        std::thread::sleep(PAUSE);
    }
}

/// One more sighting; the same again is the same one, and of too many the oldest go.
fn note(all: &mut VecDeque<Sighting>, new: Sighting) {
    let same = |it: &&mut Sighting| {
        it.place == new.place
            && it.name == new.name
            && it.act == new.act
            && it.writer.is_same(&new.writer)
    };
    if let Some(known) = all.iter_mut().rev().take(RECENT).find(same) {
        known.writer.at = new.writer.at;
        return;
    }
    if all.len() >= SIGHTINGS {
        all.pop_front();
    }
    all.push_back(new);
}

/// Processes that were asked lately.
#[derive(Default)]
struct Recent {
    processes: VecDeque<(i32, Instant, Process)>,
    /// Since when this many were asked.
    asked: Option<(Instant, u32)>,
}

impl Recent {
    /// The process of an event, asked where it lives and not too many were.
    fn about(
        &mut self,
        event: &Event,
        now: Instant,
        ask: impl FnOnce(i32) -> Option<Process>,
    ) -> Option<Process> {
        let lives = !event.ended && event.pid != 0;
        let asked = if lives && self.may_ask(now) { ask(event.pid) } else { None };
        self.processes.retain(|(_, at, _)| now.duration_since(*at) < RECENTLY);
        let known = self.processes.iter().position(|(pid, _, _)| *pid == event.pid);
        match (asked, known) {
            (Some(mut process), known) => {
                if let Some((_, _, known)) = known.and_then(|it| self.processes.remove(it))
                    && known.name == process.name
                {
                    // One that is about to end has a name still, and no command any more.
                    process.command = process.command.or(known.command);
                }
                if self.processes.len() >= RECENT {
                    self.processes.pop_front();
                }
                self.processes.push_back((event.pid, now, process.clone()));
                Some(process)
            }
            (None, Some(known)) => self.processes.get(known).map(|(_, _, it)| it.clone()),
            (None, None) => None,
        }
    }

    fn may_ask(&mut self, now: Instant) -> bool {
        let in_time = |it: &(Instant, u32)| now.duration_since(it.0) < Duration::from_secs(1);
        let (since, count) = self.asked.filter(in_time).unwrap_or((now, 0));
        self.asked = Some((since, count.saturating_add(1)));
        count < ASKED
    }
}

#[cfg(test)]
#[expect(clippy::print_stderr, reason = "a test that is left out says so")]
mod tests {
    use super::*;
    use crate::shell::{Event as Woken, watch};
    use std::io::Write as _;
    use std::os::unix::process::CommandExt as _;
    use std::process::{Child, Command, Stdio};
    use steadfast_node::wire::Watched;
    use tokio::sync::mpsc;

    fn sighting(name: &str, pid: i32, at: i64, place: &Place) -> Sighting {
        let writer = Changer { at, pid: Some(pid), process: None, work: None };
        Sighting { place: place.clone(), name: name.as_bytes().into(), act: Act::Written, writer }
    }

    /// A place in the kernel's words; there is no other way to one.
    fn group_and_place(folder: &std::path::Path) -> Option<(Arc<Group>, Place)> {
        match Group::open() {
            Ok(group) => {
                let place = group.mark(folder).unwrap();
                Some((Arc::new(group), place))
            }
            Err(err) => {
                eprintln!("skipped: needs CAP_SYS_ADMIN ({err})");
                None
            }
        }
    }

    #[test]
    fn the_same_again_takes_no_room_and_of_too_many_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let Some((_group, place)) = group_and_place(folder.path()) else { return };
        let mut all = VecDeque::new();
        for at in 0..10_000 {
            note(&mut all, sighting("log", 7, at, &place));
        }
        assert_eq!((all.len(), all[0].writer.at), (1, 9_999));
        for number in 0..10_000 {
            note(&mut all, sighting(&number.to_string(), 7, 0, &place));
        }
        assert_eq!(all.len(), SIGHTINGS);
        assert_eq!(&*all[SIGHTINGS - 1].name, b"9999");
    }

    #[test]
    fn so_many_processes_are_asked_in_a_second_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let Some((_group, place)) = group_and_place(folder.path()) else { return };
        let process = attribution::ask(std::process::id().try_into().unwrap()).unwrap();
        let event = |pid| Event {
            pid,
            ended: false,
            act: Act::Written,
            place: place.clone(),
            name: (*b"a").into(),
        };
        let mut recent = Recent::default();
        let began = Instant::now();
        let mut count = 0;
        for pid in 1..10_000 {
            recent.about(&event(pid), began, |_| {
                count += 1;
                Some(process.clone())
            });
        }
        assert_eq!(count, ASKED);
        let last = i32::try_from(ASKED).unwrap();
        let never = |_| panic!("asked");
        assert!(recent.about(&event(last), began, never).is_some(), "what is known stays so");
        assert_eq!(recent.about(&event(last + 1), began, never), None);
        let later = began + Duration::from_secs(1);
        assert!(recent.about(&event(7), later, |_| Some(process.clone())).is_some());
    }

    #[test]
    fn nobody_is_asked_about_names_that_are_not_promised() {
        let folder = tempfile::tempdir().unwrap();
        let Some((group, place)) = group_and_place(folder.path()) else { return };
        let mut writers = Writers::new(Ok(group), Alive::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (send, _receive) = mpsc::channel(16);
            let mut watches = watch::Watches::new(send);
            let path = folder.path().display().to_string();
            let event = |name: &str, act| Event {
                pid: 7,
                ended: false,
                act,
                place: place.clone(),
                name: name.as_bytes().into(),
            };
            let watched = |paths: &[String], folders: &[String]| Watched {
                promise: PromiseId::new("file", "p"),
                paths: paths.to_vec(),
                folders: folders.to_vec(),
                units: vec![],
            };
            let all = [Act::Written, Act::Changed];
            watches.set(vec![watched(&[format!("{path}/a")], &[])], &mut writers);
            assert_eq!(all.map(|it| writers.seen.matters(&event("a", it))), [true, true]);
            assert_eq!(all.map(|it| writers.seen.matters(&event("b", it))), [false, false]);
            watches.set(vec![watched(&[], std::slice::from_ref(&path))], &mut writers);
            assert_eq!(all.map(|it| writers.seen.matters(&event("b", it))), [false, true]);
            watches.set(vec![], &mut writers);
            assert_eq!(all.map(|it| writers.seen.matters(&event("a", it))), [false, false]);
        });
    }

    /// A shell in a process group of its own, which writes a file when it is told to, and lives on.
    fn shell(path: &str) -> Child {
        let mut shell = Command::new("sh");
        shell.args(["-c", "read go; : >\"$0\"; read stop", path]);
        shell.process_group(0).stdin(Stdio::piped()).spawn().unwrap()
    }

    fn tell(shell: &mut Child) {
        shell.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    }

    #[test]
    fn a_process_is_named_for_the_promise_that_it_touched_and_children_of_ours_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let Some((group, _)) = group_and_place(folder.path()) else { return };
        let path = |name: &str| format!("{}/{name}", folder.path().display());
        let children = Alive::default();
        let mut writers = Writers::new(Ok(group), children.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (send, mut receive) = mpsc::channel(16);
            let mut watches = watch::Watches::new(send);
            let watched = |promise: &str| Watched {
                promise: PromiseId::new("file", promise),
                paths: vec![path(promise)],
                folders: vec![],
                units: vec![],
            };
            watches.set(vec![watched("a"), watched("b"), watched("c")], &mut writers);
            let mut by = async |writers: &mut Writers, name: &str| loop {
                let Some(Woken::Touched(_)) = receive.recv().await else { panic!() };
                writers.take(&watches);
                let known = writers.changes.writers(&PromiseId::new("file", name));
                if !known.is_empty() {
                    return known.to_vec();
                }
            };
            // The kernel tells in order: once `b` is known, all that was said of `a` is.
            let (mut ours, mut other) = (shell(&path("a")), shell(&path("b")));
            children.add(i32::try_from(ours.id()).unwrap());
            tell(&mut ours);
            while !std::path::Path::new(&path("a")).exists() {
                tokio::task::yield_now().await;
            }
            tell(&mut other);
            let known = by(&mut writers, "b").await;
            assert_eq!(known[0].pid, Some(i32::try_from(other.id()).unwrap()));
            assert_eq!(known[0].process.as_ref().unwrap().name, "sh", "{known:?}");
            assert_eq!(writers.changes.writers(&PromiseId::new("file", "a")), []);
            // One that has ended is known by its number at least.
            assert!(Command::new("touch").arg(path("c")).status().unwrap().success());
            assert_eq!(by(&mut writers, "c").await.len(), 1);
            for mut child in [ours, other] {
                drop(child.stdin.take());
                child.wait().unwrap();
            }
        });
    }
}
