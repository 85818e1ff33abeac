//! Who changes what is promised. A thread reads from the kernel's fanotify group which process has touched
//! a name in a watched directory, and asks the process at once who it is, because most do not live long.
//! inotify stays what leads to a look: where there is no group, only the names are missing.

mod listener;
mod recent;
mod seen;

use super::children::Alive;
use super::promised::Promised;
use crate::changes::Changes;
use crate::machine::RunResult;
use jiff::Timestamp;
use listener::Own;
use seen::{Promises, Seen, Sighting};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use steadfast_model::PromiseId;
use steadfast_node::changed::look_up_packages;
use steadfast_node::wire::{Changed, Report, Selection};
use steadfast_system::attribution::{self, Group};
use steadfast_system::files::There;

#[derive(Debug)]
pub(in crate::shell) struct Attribution {
    group: Option<Arc<Group>>,
    /// What the kernel calls the directories that are watched.
    places: Promises,
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

impl Attribution {
    /// `opened`: the group, or why there is none.
    pub(in crate::shell) fn new(
        opened: Result<Arc<Group>, String>,
        children: Alive,
    ) -> Attribution {
        let seen = Arc::<Seen>::default();
        let group = opened.and_then(|group| {
            let (read, told) = (Arc::clone(&group), Arc::clone(&seen));
            let own = Own::new(children);
            std::thread::Builder::new()
                .name("attribution".to_owned())
                .stack_size(256 * 1024)
                .spawn(move || listener::listen(&read, &told, &own))
                .map_err(|err| format!("start a thread: {err}"))?;
            Ok(group)
        });
        if let Err(why) = &group {
            let words = format!(
                "change attribution is off, so the authors of changes are not recorded: {why}"
            );
            tracing::info!(notice = true, "{words}");
        }
        Attribution {
            group: group.ok(),
            places: Promises::new(),
            seen,
            changes: Changes::default(),
            began: 0,
            only: None,
            given: vec![],
            told: BTreeMap::new(),
            said: false,
        }
    }

    /// Nothing is watched any more. What was told until now about a directory that is watched again is still
    /// about it, so the thread learns only when all are marked which ones are not.
    pub(in crate::shell) fn forget_folders(&mut self) {
        self.places.clear();
        if let Some(group) = &self.group {
            // What is told of directories that nobody watches is passed over.
            let _still_told = group.unmark();
        }
    }

    /// A directory is watched for what is promised in it.
    pub(in crate::shell) fn mark(&mut self, folder: &str, there: &There, promised: &Arc<Promised>) {
        let Some(group) = &self.group else { return };
        // The thread waits with what it is told meanwhile.
        let mut shared = self.seen.promised();
        match group.mark(std::path::Path::new(&there.path())) {
            Ok(place) => {
                seen::add(&mut shared, place.clone(), promised);
                seen::add(&mut self.places, place, promised);
            }
            Err(err) => {
                if !self.said {
                    let words = format!("change attribution does not cover {folder}: {err}");
                    tracing::info!(notice = true, "{words}");
                }
                self.said = true;
            }
        }
    }

    /// All that is to be watched is.
    pub(in crate::shell) fn have_marked(&self) {
        self.places.clone_into(&mut self.seen.promised());
    }

    /// The same, and nothing that has happened until now is missing.
    fn take_all(&mut self) {
        if let Some(group) = &self.group {
            self.seen.catch_up(|| group.has_unread());
        }
        self.take();
    }

    /// Takes over what the thread has seen, promise by promise.
    pub(in crate::shell) fn take(&mut self) {
        let sightings = std::mem::take(&mut *self.seen.sightings());
        for Sighting { place, name, act, changer } in sightings {
            let all = self.places.get(&place).into_iter().flatten();
            for promise in all.flat_map(|it| it.about(&name, act)) {
                tracing::trace!(%promise, pid = changer.pid, "somebody has touched it");
                self.changes.changed_by(promise, changer.clone());
            }
        }
    }

    pub(in crate::shell) fn touched(&mut self, promises: &[PromiseId]) {
        let now = now();
        for promise in promises {
            self.changes.touched(promise, now);
        }
    }

    /// A run of ours begins: what it should know of who changed what it is about.
    pub(in crate::shell) fn run_begins(&mut self, only: Option<&Selection>) -> Vec<Changed> {
        // inotify has told the loop of it, and the thread may not have been woken yet.
        self.take_all();
        self.began = now();
        self.only = only.cloned();
        self.seen.running.store(true, Ordering::Relaxed);
        self.given = self.changes.changed(self.only.as_ref());
        self.given.clone()
    }

    /// A run of ours has ended.
    pub(in crate::shell) fn run_ends(&mut self, result: &RunResult) {
        self.take_all();
        self.seen.running.store(false, Ordering::Relaxed);
        self.told.clear();
        match result {
            RunResult::Finished(report) => {
                let mut known: Vec<Changed> =
                    report.repaired.iter().map(|it| self.known_of(it)).collect();
                look_up_packages(&mut known);
                let known = known.into_iter().filter(|it| !it.changers.is_empty());
                self.told =
                    known.map(|it| (it.promise, attribution::words(&it.changers))).collect();
                self.changes.looked(self.only.as_ref(), &unkept(report), self.began);
            }
            RunResult::Crashed(_) | RunResult::Busy(_) | RunResult::NotStarted(_) => {}
        }
    }

    /// What the run was given is what it has written down; who was known only later is better than nobody.
    fn known_of(&self, promise: &PromiseId) -> Changed {
        let given = self.given.iter().find(|it| it.promise == *promise);
        let mut known = given.cloned().unwrap_or_else(|| Changed {
            promise: promise.clone(),
            since: self.began,
            changers: vec![],
        });
        if known.changers.is_empty() {
            known.changers = self.changes.changers(promise).to_vec();
        }
        known
    }

    /// Who had changed what the run that ended last has repaired, in words.
    pub(in crate::shell) fn changer_of(&self, promise: &PromiseId) -> Option<&str> {
        self.told.get(promise).map(String::as_str)
    }
}

/// What is not as promised after a run stays as somebody made it.
fn unkept(report: &Report) -> Vec<PromiseId> {
    let not_kept = report.not_kept.iter().map(|it| &it.failure.promise);
    not_kept.chain(report.held.iter().map(|it| &it.promise)).cloned().collect()
}

/// In microseconds since 1970.
fn now() -> i64 {
    Timestamp::now().as_microsecond()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test plays everybody else's part")]

    use super::recent::{ASKED, Recent};
    use super::seen::{SIGHTINGS, note};
    use super::*;
    use crate::shell::began::Began;
    use crate::shell::watch;
    use std::collections::VecDeque;
    use std::io::{Read as _, Write as _};
    use std::os::unix::process::CommandExt as _;
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};
    use steadfast_node::wire::Watched;
    use steadfast_system::attribution::{Act, Changer, Event, Place, Process};
    use tokio::sync::mpsc;

    fn sighting(name: &str, pid: i32, at: i64, place: &Place) -> Sighting {
        let changer = Changer { at, pid: Some(pid), process: None, work: None };
        Sighting { place: place.clone(), name: name.as_bytes().into(), act: Act::Written, changer }
    }

    /// A place in the kernel's words; there is no other way to one.
    fn group_and_place(folder: &std::path::Path) -> Option<(Arc<Group>, Place)> {
        match Group::open() {
            Ok(group) => {
                let place = group.mark(folder).unwrap();
                Some((Arc::new(group), place))
            }
            Err(err) => {
                crate::require::skip(&format!("needs CAP_SYS_ADMIN ({err})"));
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
        assert_eq!((all.len(), all[0].changer.at), (1, 9_999));
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
        let process =
            steadfast_system::attribution::ask(std::process::id().try_into().unwrap()).unwrap();
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
    fn a_process_that_is_about_to_end_is_the_one_that_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let Some((_group, place)) = group_and_place(folder.path()) else { return };
        let (pid, name) = (7, (*b"a").into());
        let event = Event { pid, ended: false, act: Act::Written, place, name };
        let own = i32::try_from(std::process::id()).unwrap();
        let ask = steadfast_system::attribution::ask(own).unwrap();
        let lives = Process { arguments: 1, ..ask };
        // As /proc tells it from the moment on at which its memory is gone.
        let ends = Process { command: None, arguments: 0, group: -1, ..lives.clone() };
        let mut recent = Recent::default();
        let began = Instant::now();
        let mut look = |process: &Process| recent.about(&event, began, |_| Some(process.clone()));
        assert_eq!(look(&lives), Some(lives.clone()));
        assert_eq!(look(&ends), Some(lives.clone()));
        let other = Process { name: "other".to_owned(), ..ends };
        assert_eq!(look(&other), Some(other));
    }

    #[test]
    fn nobody_is_asked_about_names_that_are_not_promised() {
        let folder = tempfile::tempdir().unwrap();
        let Some((group, place)) = group_and_place(folder.path()) else { return };
        let mut attribution = Attribution::new(Ok(group), Alive::default());
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
            let _unseen = watches.set(
                vec![watched(&[format!("{path}/a")], &[])],
                &Began::now(),
                &mut attribution,
            );
            assert_eq!(all.map(|it| attribution.seen.matters(&event("a", it))), [true, true]);
            assert_eq!(all.map(|it| attribution.seen.matters(&event("b", it))), [false, false]);
            let _unseen = watches.set(
                vec![watched(&[], std::slice::from_ref(&path))],
                &Began::now(),
                &mut attribution,
            );
            assert_eq!(all.map(|it| attribution.seen.matters(&event("b", it))), [false, true]);
            let _unseen = watches.set(vec![], &Began::now(), &mut attribution);
            assert_eq!(all.map(|it| attribution.seen.matters(&event("a", it))), [false, false]);
        });
    }

    /// inotify tells the loop of a change, and a run begins at once: the thread that learns who it was may not
    /// have been woken yet.
    #[test]
    fn a_run_begins_and_ends_with_everybody_who_was_there_before() {
        let folder = tempfile::tempdir().unwrap();
        let Some((group, _)) = group_and_place(folder.path()) else { return };
        let path = format!("{}/a", folder.path().display());
        let mut attribution = Attribution::new(Ok(group), Alive::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _within = runtime.enter();
        let (send, _receive) = mpsc::channel(16);
        let promise = PromiseId::new("file", "a");
        let watched = Watched {
            promise: promise.clone(),
            paths: vec![path.clone()],
            folders: vec![],
            units: vec![],
        };
        let mut watches = watch::Watches::new(send);
        let _unseen = watches.set(vec![watched], &Began::now(), &mut attribution);
        for round in 0..50 {
            let script = ": >\"$0\"; echo written; read stop";
            let mut writer = Command::new("sh");
            writer.args(["-c", script, &path]).process_group(0);
            let mut writer = writer.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            let mut said = [0; 8];
            writer.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
            let changed = attribution.run_begins(None);
            let pids = changed.iter().flat_map(|it| &it.changers).filter_map(|it| it.pid);
            let pid = i32::try_from(writer.id()).unwrap();
            assert_eq!(pids.collect::<Vec<_>>(), [pid], "round {round}: {changed:?}");
            attribution.run_ends(&RunResult::Finished(Report::default()));
            drop(writer.stdin.take());
            writer.wait().unwrap();
        }
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
    fn a_process_that_is_in_no_group_any_more_is_led_by_none_of_ours() {
        let children = Alive::default();
        children.add(7);
        assert_eq!(
            [7, 8, 0, -1, i32::MIN].map(|it| children.leads(it)),
            [true, false, false, false, false]
        );
    }

    #[test]
    fn a_process_is_named_for_the_promise_that_it_touched_and_children_of_ours_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let Some((group, _)) = group_and_place(folder.path()) else { return };
        let path = |name: &str| format!("{}/{name}", folder.path().display());
        let children = Alive::default();
        let mut attribution = Attribution::new(Ok(group), children.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (send, _receive) = mpsc::channel(16);
            let mut watches = watch::Watches::new(send);
            let watched = |promise: &str| Watched {
                promise: PromiseId::new("file", promise),
                paths: vec![path(promise)],
                folders: vec![],
                units: vec![],
            };
            let _unseen = watches.set(
                vec![watched("a"), watched("b"), watched("c")],
                &Began::now(),
                &mut attribution,
            );
            // inotify tells the loop, and the thread learns who it was by itself: either may be the first.
            let by = async |attribution: &mut Attribution, name: &str| loop {
                attribution.take();
                let known = attribution.changes.changers(&PromiseId::new("file", name));
                if !known.is_empty() {
                    return known.to_vec();
                }
                tokio::task::yield_now().await;
            };
            // The kernel tells in order: once `b` is known, all that was said of `a` is.
            let (mut ours, mut other) = (shell(&path("a")), shell(&path("b")));
            children.add(i32::try_from(ours.id()).unwrap());
            tell(&mut ours);
            while !std::path::Path::new(&path("a")).exists() {
                tokio::task::yield_now().await;
            }
            tell(&mut other);
            let known = by(&mut attribution, "b").await;
            assert_eq!(known[0].pid, Some(i32::try_from(other.id()).unwrap()));
            assert_eq!(known[0].process.as_ref().unwrap().name, "sh", "{known:?}");
            assert_eq!(attribution.changes.changers(&PromiseId::new("file", "a")), []);
            // One that has ended is known by its number at least.
            assert!(Command::new("touch").arg(path("c")).status().unwrap().success());
            assert_eq!(by(&mut attribution, "c").await.len(), 1);
            for mut child in [ours, other] {
                drop(child.stdin.take());
                child.wait().unwrap();
            }
        });
    }
}
