//! What the agent and its children say to each other: one task on standard input, lines of JSON on
//! standard output. Both are the same build of the same program, so this is no format that has to last.

use crate::gate::Gate;
use crate::revision::{HighestAccepted, Revision, RevisionInfo};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use steadfast_model::PromiseId;
use steadfast_model::policy::Budget;
use steadfast_source::settings::Source;
use steadfast_system::attribution::Changer;

/// Where children are started from: the program of this very process, whatever has been put in its place
/// since. So both speak the same, and a binary that does not work takes nothing away.
pub const OURSELVES: &str = "/proc/self/exe";

/// The variable that says how much is told: `debug`, or `steadfast_engine=debug,steadfast_system=trace`.
pub const LOG: &str = "STEADFAST_LOG";

/// Ask the source what is above the highest revision accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FetchTask {
    pub settings: PathBuf,
    /// As the agent read it in the settings.
    pub source: Option<Source>,
    #[serde(rename = "floor")]
    pub highest: HighestAccepted,
    /// The model that was adopted from it; another one is refused. Nothing where it is the first.
    pub model: Option<String>,
    /// The revision that somebody asked for.
    pub wanted: Option<Revision>,
    /// They gave a reason, so it need not lead forward.
    pub forced: bool,
    /// Revisions of which the content stays.
    pub keep: Vec<Revision>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fetched {
    Unchanged,
    Offer(Offer),
    Refused(Refusal),
}

/// Find out whether a revision is one for this node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PrepareTask {
    pub revision: Revision,
    pub node: String,
    pub environment: String,
    /// What it may do by the policy that holds now; no limit before the first adoption.
    pub budget: Budget,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrepareAnswer {
    Prepared(Prepared),
    Problems(Vec<String>),
}

/// Run once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunTask {
    pub revision: Revision,
    pub reason: RunReason,
    pub node: String,
    pub environment: String,
    /// All where nothing is said.
    pub only: Option<Selection>,
    /// The revision that is compared with, or gone back from.
    pub against: Option<Revision>,
    /// Only report, whatever the model says.
    pub report_only: bool,
    /// Why somebody has suspended the agent: then only steps that are open are brought to their end.
    pub suspended: Option<String>,
    /// For how many seconds a file that was read is not read again.
    pub verify: u64,
    /// Tell what is to be watched.
    pub watch: bool,
    /// Who has changed what it is about.
    pub changed: Vec<Changed>,
}

/// Promises by name, or patterns of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Selection(pub Vec<String>);

impl Selection {
    pub fn from_promises(promises: &[PromiseId]) -> Selection {
        Selection(promises.iter().map(ToString::to_string).collect())
    }

    /// Whether it names this promise. A pattern does not, whatever it matches.
    pub fn names(&self, promise: &PromiseId) -> bool {
        self.0.iter().any(|it| **it == *promise.0)
    }
}

/// A promise of which something was touched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    pub promise: PromiseId,
    /// The first time, in microseconds since 1970.
    pub since: i64,
    /// As far as it is known.
    pub changers: Vec<Changer>,
}

/// A line of a runner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunLine {
    Watch(Watched),
    /// The last one: without it the run has crashed.
    Report(Report),
    /// Somebody else holds the lock.
    Busy(String),
    NotStarted(String),
}

/// Where it shows that somebody has touched what a promise is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    pub promise: PromiseId,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Directories in which every name counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folders: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub units: Vec<String>,
}

/// What a source offers, and what stands behind it that it leads forward.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    #[serde(rename = "news")]
    pub info: RevisionInfo,
    pub proof: Proof,
    /// What its commits say that it takes the place of, as they name it.
    pub supersedes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Proof {
    /// It was shown to descend from this revision.
    DescendsFrom(Revision),
    /// Its number stands in `info.sequence`.
    Sequence,
    /// A directory of this machine: who may write it is root.
    Local,
    Nothing,
}

/// Why the source's answer is not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub kind: RefusalKind,
    pub words: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefusalKind {
    Unreachable,
    /// Nobody who may sign has signed it.
    Signature,
    /// It does not descend from what was accepted before, or has a lower number.
    NotForward,
    TwoContents,
    /// It was signed as another model, or for another environment.
    Foreign,
    Expired,
    /// Torn, too large, or nothing that is a model.
    Broken,
    /// What was accepted before is lost: nothing is accepted without somebody's word.
    AntiRollbackLost,
    /// This machine's own trouble: no room, no child.
    Here,
}

/// What preparing a revision has found out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prepared {
    pub model: String,
    /// Whether an environment names this node.
    pub named: bool,
    pub promises: u64,
    pub gate: Gate,
    /// What it would do beyond the budget.
    pub hindrance: Option<Hindrance>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hindrance {
    /// Adopting it would do more than one run may, by the adopted policy.
    Budget { what: String, limit: u64, planned: u64 },
}

impl RefusalKind {
    pub fn word(self) -> &'static str {
        match self {
            RefusalKind::Unreachable => "unreachable",
            RefusalKind::Signature => "signature",
            RefusalKind::NotForward => "not-forward",
            RefusalKind::TwoContents => "two-contents",
            RefusalKind::Foreign => "foreign",
            RefusalKind::Expired => "expired",
            RefusalKind::Broken => "broken",
            RefusalKind::AntiRollbackLost => "floor-lost",
            RefusalKind::Here => "here",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            RefusalKind::Unreachable => "the source cannot be reached",
            RefusalKind::Signature => "it is not signed by a trusted key",
            RefusalKind::NotForward => "anti-rollback: it does not lead forward",
            RefusalKind::TwoContents => "it contradicts what was accepted before",
            RefusalKind::Foreign => "it is not for this node",
            RefusalKind::Expired => "it has expired",
            RefusalKind::Broken => "it is damaged or incomplete",
            RefusalKind::AntiRollbackLost => "the anti-rollback state is lost",
            RefusalKind::Here => "an error on this machine",
        };
        write!(f, "{what}: {}", self.words)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunReason {
    Keep,
    Adopt,
    SecondTry,
    GoBack,
    Drift,
    /// The step of a component goes on.
    Step,
    Asked,
}

impl RunReason {
    pub fn word(self) -> &'static str {
        match self {
            RunReason::Keep => "keep",
            RunReason::Adopt => "adopt",
            RunReason::SecondTry => "second-try",
            RunReason::GoBack => "go-back",
            RunReason::Drift => "drift",
            RunReason::Step => "step",
            RunReason::Asked => "asked",
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub kept: u64,
    pub repaired: Vec<PromiseId>,
    pub not_kept: Vec<JudgedFailure>,
    /// Promises and why they were not attempted.
    pub held: Vec<Failure>,
    /// Services that owe a restart.
    pub debts: Vec<String>,
    /// What was taken back of what another revision did, and what of it stays, each as a line.
    pub undone: Vec<String>,
    pub left: Vec<String>,
    /// What else an operator may want to know: what left the model and stays.
    pub told: Vec<String>,
    /// Of each component that was asked about, in how many milliseconds its step goes on; nothing where only a change
    /// brings it on.
    pub steps: BTreeMap<PromiseId, Option<u64>>,
}

/// A promise that is not kept, as it was judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JudgedFailure {
    pub failure: Failure,
    pub fault: Fault,
    /// It promises that something is healthy, and that is not so.
    pub health: bool,
    /// It stands in the revision before too, and its resolved content or a named input differs.
    pub changed: bool,
}

/// Whose fault it is that a promise is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// Nothing of those below: it may be the revision's.
    Revision,
    Network,
    Lock,
    DiskFull,
    Secret,
    /// The machine could not be looked at.
    Unseen,
    /// It lies where somebody who is not root can write.
    Foreign,
    /// It changes as one with others, and the step of that unit was taken back: nothing of it is left to go
    /// back from.
    Unit,
}

/// A promise that is not kept or held, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub promise: PromiseId,
    pub reason: String,
    /// What its unit wrote into its journal meanwhile, line by line.
    pub journal: Vec<String>,
}

impl Failure {
    /// All of it, in lines: the reason is the first.
    pub fn lines(&self) -> String {
        let journal = self.journal.iter().map(|it| format!("\njournal: {it}"));
        journal.fold(self.reason.clone(), |all, line| all + &line)
    }
}
