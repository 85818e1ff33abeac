//! A revision is judged here: what became of every promise of a run, and where one is not kept, whose fault
//! that is, whether a service is ill, and whether the revision has changed it.

use crate::wire::{Failure, Fault, JudgedFailure, Report};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use steadfast_engine::{
    Event, Ledger as _, NotKept, Outcome, Promised, Promises, Reporter, Step, Summary, UnitId,
};
use steadfast_model::PromiseId;
use steadfast_resources::{Change, Identity, Refusal, Resource};
use steadfast_store::Store;
use steadfast_system::files::{Entry, Look, Wanted};
use steadfast_system::{AbsPath, ErrorKind, Probe, SystemError};

/// The verdicts of a run, as they come.
pub struct Collected<'h> {
    host: &'h dyn Probe,
    repaired: Vec<PromiseId>,
    not_kept: Vec<JudgedFailure>,
    held: Vec<Failure>,
    /// What was taken back, and what of it stays, each as a line.
    undone: Vec<String>,
    left: Vec<String>,
    /// Units of which something remains that could not be taken back.
    open: HashSet<UnitId>,
    /// What else there is to say.
    pub told: Vec<String>,
}

impl fmt::Debug for Collected<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Collected { host: _, repaired, not_kept, held, undone, left, open, told } = self;
        f.debug_tuple("Collected")
            .field(&(repaired, not_kept, held, undone, left, open, told))
            .finish()
    }
}

impl Reporter for Collected<'_> {
    fn report(&mut self, event: &Event<'_>) {
        match event {
            Event::Planned { .. }
            | Event::Working { .. }
            | Event::Undoing { .. }
            | Event::Finished { .. } => {}
            Event::Step { unit, step } => match step {
                Step::Begun => {}
                Step::Committed | Step::TakenBack => {
                    self.open.remove(*unit);
                }
                Step::LeftOpen => {
                    self.open.insert((*unit).clone());
                }
            },
            Event::Undone { promise, changes, left } => {
                let lines = |all: Vec<String>| all.join("; ");
                if !changes.is_empty() {
                    let changes = lines(changes.iter().map(ToString::to_string).collect());
                    self.undone.push(format!("{promise}: {changes}"));
                }
                if !left.is_empty() {
                    self.left.push(format!("{promise}: {}", lines(left.to_vec())));
                }
            }
            Event::Judged { promise, outcome, changes: _, notes: _ } => {
                let id = promise.id.clone();
                let failure = || Failure {
                    promise: id.clone(),
                    reason: outcome.reasons().join(": "),
                    journal: outcome.journal(),
                };
                match outcome {
                    Outcome::Kept => {}
                    Outcome::Repaired => self.repaired.push(id.clone()),
                    Outcome::NotKept(why) => self.not_kept.push(JudgedFailure {
                        failure: failure(),
                        fault: fault(why, promise, self.host, &self.open),
                        health: promise.want.promises_health() && is_ill(why),
                        changed: false,
                    }),
                    Outcome::Held(_) => self.held.push(failure()),
                }
            }
        }
    }
}

impl Collected<'_> {
    pub fn new(host: &dyn Probe) -> Collected<'_> {
        Collected {
            host,
            repaired: vec![],
            not_kept: vec![],
            held: vec![],
            undone: vec![],
            left: vec![],
            open: HashSet::new(),
            told: vec![],
        }
    }

    /// Whether it matters what the revision before has promised.
    pub fn needs_comparing(&self) -> bool {
        !self.not_kept.is_empty()
    }

    pub fn finish(
        mut self,
        promises: &Promises,
        before: Option<&Promises>,
        store: &Store,
        summary: &Summary,
    ) -> Report {
        if let Some(before) = before {
            let changed = Changed::between(promises, before);
            for broken in &mut self.not_kept {
                broken.changed = changed.is(&broken.failure.promise.0);
            }
        }
        let mut debts = vec![];
        if !self.not_kept.is_empty() || !self.held.is_empty() {
            for promised in &promises.all {
                for claim in promised.want.claims() {
                    if let Identity::Unit(unit) = claim
                        && !store.record(&unit).debts.is_empty()
                    {
                        debts.push(unit.to_string());
                    }
                }
            }
            debts.dedup();
        }
        let Collected { host: _, repaired, not_kept, held, undone, left, open: _, told } = self;
        let (kept, steps) = (summary.kept as u64, BTreeMap::new());
        Report { kept, repaired, not_kept, held, debts, undone, left, told, steps }
    }
}

/// The promises that both revisions make and that differ, or whose inputs do.
struct Changed<'a> {
    differ: HashMap<&'a str, bool>,
}

impl<'a> Changed<'a> {
    fn between(now: &'a Promises, before: &'a Promises) -> Changed<'a> {
        let mut parts: HashMap<&str, Vec<&Resource>> = HashMap::new();
        for old in &before.all {
            parts.entry(&old.id.0).or_default().push(&old.want);
        }
        let mut differ: HashMap<&str, bool> = HashMap::new();
        for there in now.each() {
            let id = &*now.all[there.start].id.0;
            let there: Vec<&Resource> = now.all[there].iter().map(|it| &it.want).collect();
            let same = |(old, new): (&&Resource, &&Resource)| old.wants_the_same(new);
            if let Some(old) = parts.get(id) {
                let differs = old.len() != there.len() || !old.iter().zip(&there).all(same);
                differ.insert(id, differs);
            }
        }
        for inputs in &now.inputs {
            let id = &*now.all[inputs.runner].id.0;
            // An input that is new is a difference of the service.
            let input = |at: usize| differ.get(&*now.all[at].id.0).copied().unwrap_or(true);
            if differ.contains_key(id) && inputs.all().any(input) {
                differ.insert(id, true);
            }
        }
        Changed { differ }
    }

    fn is(&self, promise: &str) -> bool {
        self.differ.get(promise).copied().unwrap_or(false)
    }
}

/// Whether a service is not healthy, or does not even come to run. What is only not there yet (its package
/// could not be fetched) shows nothing of that.
pub(crate) fn is_ill(why: &NotKept) -> bool {
    match why {
        NotKept::Unhealthy(_) => true,
        NotKept::Failed { change, error: _ } => {
            change.as_runner().is_some_and(|it| it.starts_process())
        }
        NotKept::Unobserved(_)
        | NotKept::Refused(_)
        | NotKept::Missing(_)
        | NotKept::StillDiffers { .. } => false,
    }
}

/// Whose fault it is. What lies where others than root can write is nobody's, and what a unit has settled
/// itself, its own. It has not where it could not take all back.
fn fault(why: &NotKept, promised: &Promised, host: &dyn Probe, open: &HashSet<UnitId>) -> Fault {
    let is_settled = promised.unit.as_ref().is_some_and(|it| !open.contains(it));
    match whose(why) {
        Fault::Revision if is_settled => Fault::Unit,
        Fault::Revision if paths(&promised.want).any(|it| is_foreign(it, why, host)) => {
            Fault::Foreign
        }
        fault @ (Fault::Revision
        | Fault::Network
        | Fault::Lock
        | Fault::DiskFull
        | Fault::Secret
        | Fault::Unseen
        | Fault::Foreign
        | Fault::Unit) => fault,
    }
}

/// What is in doubt is the machine's: a node goes back only because of the revision.
fn whose(why: &NotKept) -> Fault {
    match why {
        NotKept::Unobserved(_) => Fault::Unseen,
        NotKept::Refused(reasons) if reasons.iter().any(|it| matches!(it, Refusal::Secret(_))) => {
            Fault::Secret
        }
        // What is the model's or the machine's doing stays so, whatever others add to it.
        NotKept::Refused(reasons) => {
            let by = |it: &Refusal| match it {
                Refusal::Model(_) | Refusal::Machine(_) | Refusal::Secret(_) => Fault::Revision,
                Refusal::Storage(_) => Fault::DiskFull,
                Refusal::Anybody(_) => Fault::Foreign,
            };
            let by_any = |fault| reasons.iter().any(|it| by(it) == fault);
            [Fault::Revision, Fault::DiskFull]
                .into_iter()
                .find(|it| by_any(*it))
                .unwrap_or(Fault::Foreign)
        }
        NotKept::StillDiffers { remaining: _, thwarted: true } => Fault::Foreign,
        NotKept::Missing(_) | NotKept::StillDiffers { .. } => Fault::Revision,
        NotKept::Unhealthy(error) => fault_of(error),
        NotKept::Failed { change, error } => match (change.as_ref(), fault_of(error)) {
            // What takes so long there is mostly fetching.
            (Change::Package(_), _) if error.kind == ErrorKind::TimedOut => Fault::Network,
            (change, Fault::Revision) if change.may_be_thwarted() => Fault::Foreign,
            (_, fault) => fault,
        },
    }
}

fn fault_of(error: &SystemError) -> Fault {
    match error.kind {
        ErrorKind::Locked => Fault::Lock,
        ErrorKind::Storage => Fault::DiskFull,
        ErrorKind::Moved | ErrorKind::NotHere => Fault::Unseen,
        ErrorKind::Network => Fault::Network,
        ErrorKind::Secret => Fault::Secret,
        ErrorKind::Swappable => Fault::Foreign,
        ErrorKind::TimedOut
        | ErrorKind::Command
        | ErrorKind::Invalid
        | ErrorKind::PermissionDenied
        | ErrorKind::Other => Fault::Revision,
    }
}

/// Whether somebody who is not root can put something else in the place of this path, or write what is
/// there where that still differs.
fn is_foreign(path: AbsPath, why: &NotKept, host: &dyn Probe) -> bool {
    let mut path = path;
    let mut differs = matches!(why, NotKept::StillDiffers { .. });
    // What lies in the innermost directory that can be looked at: a link or a file that somebody has put in
    // the place of a directory hides those below it.
    loop {
        match host.look(&[(&path, Wanted::Nothing)]).pop() {
            Some(Ok(Look { folder: Some(folder), entry })) => {
                let writable = |it: &Entry| it.uid != 0 || it.mode.0 & 0o022 != 0;
                return folder.open || (differs && entry.as_ref().is_some_and(writable));
            }
            Some(Ok(Look { folder: None, entry: _ }) | Err(_)) | None => match path.parent() {
                Some(parent) => (path, differs) = (parent, false),
                None => return false,
            },
        }
    }
}

fn paths(want: &Resource) -> impl Iterator<Item = AbsPath> {
    want.claims().into_iter().filter_map(|it| it.as_path().cloned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use steadfast_resources::{service, user};
    use steadfast_system::{UnitName, UserName};
    use steadfast_testkit::FakeHost;
    use steadfast_testkit::host::{Matter, Thing};
    use steadfast_testkit::run::Model;

    fn failed(change: service::Change) -> NotKept {
        let error = SystemError::new(ErrorKind::Command, "x");
        NotKept::Failed { change: Box::new(Change::Service(change)), error }
    }

    #[test]
    fn a_service_that_is_not_there_is_not_ill() {
        let unit = || UnitName::parse("app").unwrap();
        let act = || service::Act {
            unit: unit(),
            validate: vec![],
            settle: Duration::ZERO,
            timeout: Duration::ZERO,
            because: vec![],
        };
        assert!(is_ill(&NotKept::Unhealthy(SystemError::new(ErrorKind::Command, "x"))));
        assert!(is_ill(&failed(service::Change::Start(act()))));
        assert!(is_ill(&failed(service::Change::Reload(act()))));
        assert!(!is_ill(&failed(service::Change::Enable { unit: unit() })));
        assert!(!is_ill(&NotKept::Missing(vec![Identity::Unit(unit())])));
        assert!(!is_ill(&NotKept::Refused(vec![Refusal::machine("it is masked")])));
    }

    #[test]
    fn only_what_is_the_revision_s_fault_counts_against_it() {
        let failed = |kind| {
            let unit = UnitName::parse("app").unwrap();
            let change = Change::Service(service::Change::Enable { unit });
            NotKept::Failed { change: Box::new(change), error: SystemError::new(kind, "x") }
        };
        let removed = |kind| {
            let name = UserName::parse("app").unwrap();
            let change = Change::User(user::Change::Remove { name, uid: 1000 });
            NotKept::Failed { change: Box::new(change), error: SystemError::new(kind, "x") }
        };
        let sick = |kind| NotKept::Unhealthy(SystemError::new(kind, "x"));
        let secret = || Refusal::Secret("x".to_owned());
        for (why, expected) in [
            (NotKept::Unobserved(SystemError::new(ErrorKind::Command, "x")), Fault::Unseen),
            (NotKept::Refused(vec![Refusal::machine("read the secret x")]), Fault::Revision),
            (NotKept::Refused(vec![Refusal::machine("x"), secret()]), Fault::Secret),
            (NotKept::Missing(vec![]), Fault::Revision),
            (NotKept::Refused(vec![Refusal::model("x")]), Fault::Revision),
            (NotKept::Refused(vec![Refusal::anybody("x")]), Fault::Foreign),
            (NotKept::Refused(vec![Refusal::Storage("x".to_owned())]), Fault::DiskFull),
            (
                NotKept::Refused(vec![Refusal::Storage("x".to_owned()), Refusal::machine("x")]),
                Fault::Revision,
            ),
            // What the model asks for stays wrong, whatever somebody adds to it.
            (NotKept::Refused(vec![Refusal::anybody("x"), Refusal::model("x")]), Fault::Revision),
            (NotKept::StillDiffers { remaining: vec![], thwarted: false }, Fault::Revision),
            (NotKept::StillDiffers { remaining: vec![], thwarted: true }, Fault::Foreign),
            (sick(ErrorKind::Command), Fault::Revision),
            (sick(ErrorKind::TimedOut), Fault::Revision),
            (sick(ErrorKind::Other), Fault::Revision),
            (failed(ErrorKind::Command), Fault::Revision),
            (failed(ErrorKind::Invalid), Fault::Revision),
            (failed(ErrorKind::Network), Fault::Network),
            (failed(ErrorKind::Secret), Fault::Secret),
            (failed(ErrorKind::Locked), Fault::Lock),
            (failed(ErrorKind::Storage), Fault::DiskFull),
            (failed(ErrorKind::Moved), Fault::Unseen),
            (failed(ErrorKind::Swappable), Fault::Foreign),
            (removed(ErrorKind::Command), Fault::Foreign),
            (removed(ErrorKind::Locked), Fault::Lock),
        ] {
            assert_eq!(whose(&why), expected, "{why:?}");
        }
    }

    fn promises(text: &str) -> Promises {
        Model::of(text, &[]).unwrap().promises
    }

    /// The promises that differ between two texts of a server, or whose inputs do.
    fn changed(before: &str, now: &str) -> Vec<String> {
        let (before, now) = (promises(before), promises(now));
        let changed = Changed::between(&now, &before);
        let mut ids: Vec<String> = now.all.iter().map(|it| it.id.to_string()).collect();
        ids.dedup();
        ids.retain(|it| changed.is(it));
        ids
    }

    #[test]
    fn what_a_revision_has_changed_is_what_differs_or_runs_with_something_that_does() {
        let app = "services: { app: { running: true } }\n";
        let with = |content: &str| {
            format!("files: {{ /etc/app.conf: {{ content: {content}, restarts: app }} }}\n{app}")
        };
        let below = |text: &str| format!("# A line more.\n{text}");
        for (what, before, now, expected) in [
            ("the same", with("a"), with("a"), vec![]),
            ("the same, elsewhere in the file", with("a"), below(&with("a")), vec![]),
            ("an input", with("a"), with("b"), vec!["file:/etc/app.conf", "service:app"]),
            ("an input that is new", app.to_owned(), with("a"), vec!["service:app"]),
            // Its own promise is new: there is nothing that it differs from.
            ("all of it new", "files: {}\n".to_owned(), with("a"), vec![]),
            ("an input that is gone", with("a"), app.to_owned(), vec![]),
            (
                "the service itself",
                app.to_owned(),
                "services: { app: { running: false } }\n".to_owned(),
                vec!["service:app"],
            ),
            (
                "something that nothing runs with",
                format!("files: {{ /etc/motd: {{ content: a }} }}\n{app}"),
                format!("files: {{ /etc/motd: {{ content: b }} }}\n{app}"),
                vec!["file:/etc/motd"],
            ),
        ] {
            assert_eq!(changed(&before, &now), expected, "{what}");
        }
    }

    #[test]
    fn what_lies_where_others_can_write_is_nobody_s_fault() {
        let theirs = Thing { uid: 1000, mode: 0o755, ..Thing::of(Matter::Directory) };
        let file = Thing { uid: 1000, ..Thing::of(Matter::File([][..].into())) };
        let link = Thing { uid: 1000, ..Thing::of(Matter::Link("/etc".into())) };
        let host = FakeHost::debian()
            .with_directory("/srv")
            .with_thing("/srv/theirs", theirs)
            .with_thing("/srv/theirs/link", link)
            .with_thing("/srv/file", file);
        let why = NotKept::StillDiffers { remaining: vec![], thwarted: false };
        for (path, expected) in [
            ("/srv/ours", Fault::Revision),
            ("/srv/theirs/file", Fault::Foreign),
            // Nothing is there yet, and they could put it there.
            ("/srv/theirs/folder/file", Fault::Foreign),
            ("/srv/theirs/link/file", Fault::Foreign),
            // It lies in root's directory, and they can write it all the same.
            ("/srv/file", Fault::Foreign),
        ] {
            let promises = promises(&format!("files: {{ {path}: {{ content: x }} }}\n"));
            let promised = &promises.all[0];
            assert_eq!(fault(&why, promised, &host, &HashSet::new()), expected, "{path}");
            // Another reason than the revision stays what it is.
            let unseen = NotKept::Unobserved(SystemError::new(ErrorKind::Command, "x"));
            assert_eq!(fault(&unseen, promised, &host, &HashSet::new()), Fault::Unseen, "{path}");
        }
    }

    #[test]
    fn what_a_unit_has_settled_itself_is_not_the_revision_s_fault() {
        let host = FakeHost::debian().with_directory("/srv");
        let mut promises = promises("files: { /srv/app: { content: x } }\n");
        promises.all[0].unit = Some(UnitId("component:people/api".into()));
        let mut told = Collected::new(&host);
        let unit = promises.all[0].unit.clone().unwrap();
        let differs = || NotKept::StillDiffers { remaining: vec![], thwarted: false };
        let network = NotKept::Unhealthy(SystemError::new(ErrorKind::Network, "x"));
        for (step, why, expected) in [
            (Step::Begun, differs(), Fault::Unit),
            (Step::TakenBack, differs(), Fault::Unit),
            (Step::TakenBack, network, Fault::Network),
            // What it could not take back is there, and not as promised.
            (Step::LeftOpen, differs(), Fault::Revision),
            (Step::Committed, differs(), Fault::Unit),
        ] {
            told.report(&Event::Step { unit: &unit, step });
            let outcome = Outcome::NotKept(why);
            told.report(&Event::Judged {
                promise: &promises.all[0],
                outcome: &outcome,
                changes: &[],
                notes: &[],
            });
            assert_eq!(told.not_kept.pop().unwrap().fault, expected, "{step:?}");
        }
    }
}
