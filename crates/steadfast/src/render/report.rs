//! What a run tells the agent that started it: what became of every promise and whose fault that is, and
//! where it would show that somebody touches what is promised.

use crate::ui::Ui;
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use steadfast_agent::machine::{Broken, Fault, Report};
use steadfast_agent::status::Unkept;
use steadfast_agent::wire::{RunLine, Watched};
use steadfast_engine::{Event, Ledger as _, NotKept, Outcome, Promises, Reporter, Summary};
use steadfast_resources::{Change, Identity, Resource, user};
use steadfast_store::Store;
use steadfast_system::{ErrorKind, SystemError};

/// The verdicts of a run, as they come.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    repaired: Vec<String>,
    not_kept: Vec<Broken>,
    held: Vec<Unkept>,
}

impl Reporter for Collected {
    fn report(&mut self, event: &Event<'_>) {
        match event {
            Event::Planned { .. } | Event::Working { .. } | Event::Finished { .. } => {}
            Event::Judged { promise, outcome, changes: _, notes: _ } => {
                let id = promise.id.to_string();
                let reason = || outcome.because().join(": ");
                match outcome {
                    Outcome::Kept => {}
                    Outcome::Repaired => self.repaired.push(id),
                    Outcome::NotKept(why) => self.not_kept.push(Broken {
                        promise: id,
                        reason: reason(),
                        fault: fault(why, &promise.want),
                        // No kind promises health by itself yet.
                        health: false,
                        changed: false,
                    }),
                    Outcome::Held(_) => self.held.push(Unkept { promise: id, reason: reason() }),
                }
            }
        }
    }
}

impl Collected {
    /// Whether it matters what the revision before has promised.
    pub(crate) fn needs_comparing(&self) -> bool {
        !self.not_kept.is_empty()
    }

    pub(crate) fn finish(
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
        let Collected { repaired, not_kept, held } = self;
        Report { kept: summary.kept as u64, repaired, not_kept, held, debts }
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
        let own = |at: usize| {
            let id = &*now.all[at].id.0;
            let first = now.first_part(at);
            let there: Vec<&Resource> = now.all[first..]
                .iter()
                .take_while(|it| &*it.id.0 == id)
                .map(|it| &it.want)
                .collect();
            let same = |(old, new): (&&Resource, &&Resource)| match (old, new) {
                (Resource::Service(old), Resource::Service(new)) => old.wants_the_same(new),
                (old, new) => old == new,
            };
            parts.get(id).map(|old| old.len() != there.len() || !old.iter().zip(&there).all(same))
        };
        let mut differ: HashMap<&str, bool> = HashMap::new();
        for at in 0..now.all.len() {
            if let Some(differs) = own(at) {
                differ.insert(&now.all[at].id.0, differs);
            }
        }
        for inputs in &now.inputs {
            let id = &*now.all[inputs.service].id.0;
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

/// Whose fault it is. What is in doubt is the machine's: a node goes back only because of the revision.
fn fault(why: &NotKept, want: &Resource) -> Fault {
    let fault = match why {
        NotKept::Unobserved(_) => Fault::Unseen,
        NotKept::Refused(reasons) if reasons.iter().any(|it| it.contains("read the secret ")) => {
            Fault::Secret
        }
        NotKept::Refused(_) | NotKept::Missing(_) | NotKept::StillDiffers { .. } => Fault::Revision,
        NotKept::Failed { change, error } => failed(change, error),
    };
    match fault {
        Fault::Revision if paths(want).iter().any(|it| is_foreign(it)) => Fault::Foreign,
        Fault::Revision
        | Fault::Network
        | Fault::Lock
        | Fault::DiskFull
        | Fault::Secret
        | Fault::Unseen
        | Fault::Foreign => fault,
    }
}

fn failed(change: &Change, error: &SystemError) -> Fault {
    match error.kind {
        ErrorKind::Locked => Fault::Lock,
        ErrorKind::Storage => Fault::DiskFull,
        ErrorKind::Moved => Fault::Unseen,
        ErrorKind::TimedOut
        | ErrorKind::Command
        | ErrorKind::Invalid
        | ErrorKind::PermissionDenied
        | ErrorKind::Other => match change {
            Change::Package(_) if needs_network(error) => Fault::Network,
            Change::Package(_)
            | Change::Group(_)
            | Change::Members(_)
            | Change::User(_)
            | Change::Directory(_)
            | Change::File(_)
            | Change::Link(_)
            | Change::Service(_)
            | Change::Cron(_) => Fault::Revision,
        },
    }
}

/// Whether a package could not be had because of the way to it, by apt's own words.
fn needs_network(error: &SystemError) -> bool {
    let words = error.chain().join(" ");
    const SIGNS: [&str; 7] = [
        "Failed to fetch",
        "Unable to fetch",
        "Could not resolve",
        "Could not connect",
        "Unable to connect",
        "Temporary failure",
        "timed out",
    ];
    SIGNS.iter().any(|it| words.contains(it)) || error.kind == ErrorKind::TimedOut
}

/// Whether somebody who is not root can put something else in the place of this path.
fn is_foreign(path: &str) -> bool {
    std::path::Path::new(path).ancestors().skip(1).any(|it| {
        it.metadata().is_ok_and(|it| {
            it.uid() != 0 || it.mode() & 0o002 != 0 || (it.mode() & 0o020 != 0 && it.gid() != 0)
        })
    })
}

fn paths(want: &Resource) -> Vec<String> {
    want.claims().iter().filter_map(Identity::as_path).map(ToString::to_string).collect()
}

/// Where it shows that somebody has touched what a promise is about.
pub(crate) fn watched(promises: &Promises) -> impl Iterator<Item = Watched> + '_ {
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

pub(crate) fn line(ui: &Ui, line: &RunLine) {
    // Plain data, whose serialization cannot fail.
    ui.line(&serde_json::to_string(line).unwrap_or_default());
}
