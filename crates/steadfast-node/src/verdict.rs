//! A revision is judged here: what became of every promise of a run, and whose fault it is where one is not
//! kept; also where it would show that somebody touches what is promised.

use crate::wire::{Broken, Fault, Report, Unkept, Watched};
use std::collections::HashMap;
use steadfast_engine::{Event, Ledger as _, NotKept, Outcome, Promises, Reporter, Summary};
use steadfast_resources::{Change, Identity, Refusal, Resource, user};
use steadfast_store::Store;
use steadfast_system::files::{Look, Read as _, Wanted};
use steadfast_system::{AbsPath, ErrorKind, Host, SystemError};

/// The verdicts of a run, as they come.
#[derive(Debug)]
pub struct Collected<'h> {
    host: &'h Host,
    repaired: Vec<String>,
    not_kept: Vec<Broken>,
    held: Vec<Unkept>,
    /// What was taken back, and what of it stays, each as a line.
    undone: Vec<String>,
    left: Vec<String>,
    /// What else there is to say.
    pub told: Vec<String>,
}

impl Reporter for Collected<'_> {
    fn report(&mut self, event: &Event<'_>) {
        match event {
            Event::Planned { .. }
            | Event::Working { .. }
            | Event::Undoing { .. }
            | Event::Finished { .. } => {}
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
                let id = promise.id.to_string();
                let reason = || outcome.because().join(": ");
                match outcome {
                    Outcome::Kept => {}
                    Outcome::Repaired => self.repaired.push(id),
                    Outcome::NotKept(why) => self.not_kept.push(Broken {
                        promise: id,
                        reason: reason(),
                        fault: fault(why, &promise.want, self.host),
                        health: promises_health(&promise.want) && is_ill(why),
                        changed: false,
                    }),
                    Outcome::Held(_) => self.held.push(Unkept { promise: id, reason: reason() }),
                }
            }
        }
    }
}

impl Collected<'_> {
    pub fn new(host: &Host) -> Collected<'_> {
        Collected {
            host,
            repaired: vec![],
            not_kept: vec![],
            held: vec![],
            undone: vec![],
            left: vec![],
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
                broken.changed = changed.is(&broken.promise);
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
        let Collected { host: _, repaired, not_kept, held, undone, left, told } = self;
        Report { kept: summary.kept as u64, repaired, not_kept, held, debts, undone, left, told }
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
            let same = |(old, new): (&&Resource, &&Resource)| match (old, new) {
                (Resource::Service(old), Resource::Service(new)) => old.wants_the_same(new),
                (old, new) => old == new,
            };
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

fn promises_health(want: &Resource) -> bool {
    want.as_runner().is_some_and(|it| it.promises_health())
}

/// Whether a service is not healthy, or does not even come to run. What is only not there yet (its package
/// could not be fetched) shows nothing of that.
fn is_ill(why: &NotKept) -> bool {
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

/// Whose fault it is. What lies where others than root can write is nobody's.
fn fault(why: &NotKept, want: &Resource, host: &Host) -> Fault {
    match whose(why) {
        Fault::Revision if paths(want).any(|it| is_foreign(it, host)) => Fault::Foreign,
        fault @ (Fault::Revision
        | Fault::Network
        | Fault::Lock
        | Fault::DiskFull
        | Fault::Secret
        | Fault::Unseen
        | Fault::Foreign) => fault,
    }
}

/// What is in doubt is the machine's: a node goes back only because of the revision.
fn whose(why: &NotKept) -> Fault {
    match why {
        NotKept::Unobserved(_) => Fault::Unseen,
        NotKept::Refused(reasons) if reasons.iter().any(|it| matches!(it, Refusal::Secret(_))) => {
            Fault::Secret
        }
        NotKept::Refused(_) | NotKept::Missing(_) | NotKept::StillDiffers { .. } => Fault::Revision,
        NotKept::Unhealthy(error) => of_error(error),
        NotKept::Failed { change, error } => match (change.as_ref(), error.kind) {
            // What takes so long there is mostly fetching.
            (Change::Package(_), ErrorKind::TimedOut) => Fault::Network,
            _ => of_error(error),
        },
    }
}

fn of_error(error: &SystemError) -> Fault {
    match error.kind {
        ErrorKind::Locked => Fault::Lock,
        ErrorKind::Storage => Fault::DiskFull,
        ErrorKind::Moved => Fault::Unseen,
        ErrorKind::Network => Fault::Network,
        ErrorKind::Secret => Fault::Secret,
        ErrorKind::TimedOut
        | ErrorKind::Command
        | ErrorKind::Invalid
        | ErrorKind::PermissionDenied
        | ErrorKind::Other => Fault::Revision,
    }
}

/// Whether somebody who is not root can put something else in the place of this path.
fn is_foreign(path: AbsPath, host: &Host) -> bool {
    let mut path = path;
    // What lies in the innermost folder that is there.
    loop {
        match host.look(&[(&path, Wanted::Nothing)]).pop() {
            Some(Ok(Look { folder: Some(folder), entry: _ })) => return folder.open,
            Some(Ok(Look { folder: None, entry: _ })) => match path.parent() {
                Some(parent) => path = parent,
                None => return false,
            },
            Some(Err(_)) | None => return false,
        }
    }
}

fn paths(want: &Resource) -> impl Iterator<Item = AbsPath> {
    want.claims().into_iter().filter_map(|it| it.as_path().cloned())
}

/// Where it shows that somebody has touched what a promise is about.
pub fn watched(promises: &Promises) -> impl Iterator<Item = Watched> + '_ {
    promises.all.iter().filter(|it| !it.implied).map(|promised| {
        let mut watched = Watched { promise: promised.id.to_string(), ..Watched::default() };
        for claim in promised.want.claims() {
            match claim {
                Identity::Path(path) => watched.paths.push(path.to_string()),
                Identity::Unit(unit) => watched.units.push(unit.to_string()),
                Identity::Package(_) => watched.paths.push("/var/lib/dpkg/status".to_owned()),
                Identity::User(_) => {
                    watched.paths.extend(["/etc/passwd", "/etc/shadow"].map(str::to_owned));
                }
                Identity::Group(_) => {
                    watched.paths.extend(["/etc/group", "/etc/gshadow"].map(str::to_owned));
                }
            }
        }
        if let Resource::Members(_) | Resource::User(_) = &promised.want {
            watched.paths.extend(["/etc/group", "/etc/gshadow"].map(str::to_owned));
        }
        if let Resource::Directory(want) = &promised.want
            && want.is_about_its_names()
        {
            watched.folders = watched.paths.clone();
            watched.paths.extend(want.promised_files());
        }
        if let Resource::User(want) = &promised.want
            && let user::Wanted::Present(wanted) = &want.state
            && wanted.ssh_keys.is_some()
            && let Some(home) = &wanted.home
        {
            watched.paths.push(format!("{home}/.ssh/authorized_keys"));
        }
        watched
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use steadfast_resources::service;
    use steadfast_system::UnitName;

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
        assert!(!is_ill(&NotKept::Refused(vec![Refusal::from("it is masked")])));
    }

    #[test]
    fn only_what_is_the_revision_s_fault_counts_against_it() {
        let failed = |kind| {
            let unit = UnitName::parse("app").unwrap();
            let change = Change::Service(service::Change::Enable { unit });
            NotKept::Failed { change: Box::new(change), error: SystemError::new(kind, "x") }
        };
        let sick = |kind| NotKept::Unhealthy(SystemError::new(kind, "x"));
        let secret = || Refusal::Secret("x".to_owned());
        for (why, expected) in [
            (NotKept::Unobserved(SystemError::new(ErrorKind::Command, "x")), Fault::Unseen),
            (NotKept::Refused(vec![Refusal::from("read the secret x")]), Fault::Revision),
            (NotKept::Refused(vec![Refusal::from("x"), secret()]), Fault::Secret),
            (NotKept::Missing(vec![]), Fault::Revision),
            (NotKept::StillDiffers { remaining: vec![] }, Fault::Revision),
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
        ] {
            assert_eq!(whose(&why), expected, "{why:?}");
        }
    }
}
