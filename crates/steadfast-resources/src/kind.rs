//! What a kind of promise is: four verbs over plain data. A kind's file reads, top to bottom:
//! `Desired`, `State`, `Change`, `impl Kind`, `Display for Change`, tests. Of one that has grown this is the
//! mod.rs of a folder, and the verbs have rooms beside it: `lower`, `observe`, `plan`, `apply`.

use crate::undo::Effect;
use std::fmt::{Debug, Display};
use std::sync::Arc;
use steadfast_model::{Field, Lower, Node, Spanned};
use steadfast_system::{
    AbsPath, Actuate, GroupName, PackageName, Probe, SystemError, UnitName, UserName,
};

/// A thing on the machine that a promise is about. Two promises that claim one thing are an error of
/// the model. A file, a directory and a link at one path are one thing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identity {
    Package(PackageName),
    Group(GroupName),
    User(UserName),
    Path(AbsPath),
    Unit(UnitName),
}

impl Identity {
    /// The path, if it is one.
    pub fn as_path(&self) -> Option<&AbsPath> {
        if let Identity::Path(path) = self { Some(path) } else { None }
    }
}

impl Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Identity::Package(name) => write!(f, "package {name}"),
            Identity::Group(name) => write!(f, "group {name}"),
            Identity::User(name) => write!(f, "user {name}"),
            Identity::Path(path) => write!(f, "{path}"),
            Identity::Unit(name) => write!(f, "unit {name}"),
        }
    }
}

/// What separates the machine from a promise.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference<C> {
    /// The smallest ordered list of repairs; empty means kept, where nothing is in the way.
    pub changes: Vec<C>,
    /// Why the promise cannot be kept as the machine is now.
    pub obstacles: Vec<Obstacle>,
    /// What an operator may want to know, and nothing hangs on.
    pub notes: Vec<String>,
}

impl<C> Difference<C> {
    pub fn of(changes: Vec<C>) -> Difference<C> {
        Difference { changes, obstacles: vec![], notes: vec![] }
    }

    pub fn none() -> Difference<C> {
        Difference::of(vec![])
    }

    pub fn refused(why: impl Into<Refusal>) -> Difference<C> {
        Difference { obstacles: vec![Obstacle::refused(why)], ..Difference::none() }
    }

    pub fn map<D>(self, with: impl FnMut(C) -> D) -> Difference<D> {
        let Difference { changes, obstacles, notes } = self;
        Difference { changes: changes.into_iter().map(with).collect(), obstacles, notes }
    }

    /// Whether the promise is kept. What a look cannot tell hangs on a change, and without one there is
    /// nothing to doubt.
    pub fn is_kept(&self) -> bool {
        let doubtful = |it: &Obstacle| match it {
            Obstacle::Unknown(_) | Obstacle::HealthNotAsked => true,
            Obstacle::Missing(_) | Obstacle::Refused(_) | Obstacle::Unhealthy(_) => false,
        };
        self.changes.is_empty() && self.obstacles.iter().all(doubtful)
    }
}

/// Something in the way of a promise.
#[derive(Clone, Debug, PartialEq)]
pub enum Obstacle {
    /// A thing it needs is not there now; an earlier step of the run may bring it.
    Missing(Identity),
    /// Not kept, and nothing that this run does will change that.
    Refused(Refusal),
    /// It hangs on something that a look cannot tell (a validation that has not run). The changes, if
    /// there are any, are tried all the same.
    Unknown(String),
    /// Everything is as promised, but that it does not say so itself.
    Unhealthy(SystemError),
    /// Everything is as promised, and nobody has asked yet whether it is healthy.
    HealthNotAsked,
}

impl Obstacle {
    pub fn refused(why: impl Into<Refusal>) -> Obstacle {
        Obstacle::Refused(why.into())
    }
}

/// Why a promise cannot be kept as things are. The words are for people; what a program may want to tell
/// apart is a variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// What is there, or what else is promised, is at odds with it.
    Conflict(String),
    /// A secret cannot be had.
    Secret(String),
}

impl Refusal {
    pub fn words(&self) -> &str {
        match self {
            Refusal::Conflict(words) | Refusal::Secret(words) => words,
        }
    }
}

impl From<String> for Refusal {
    fn from(words: String) -> Refusal {
        Refusal::Conflict(words)
    }
}

impl From<&str> for Refusal {
    fn from(words: &str) -> Refusal {
        Refusal::Conflict(words.to_owned())
    }
}

impl Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.words())
    }
}

/// Whether one of them is a refusal, so that there is nothing to say about changes. What is only missing
/// may still come: the changes are then those that follow, and are planned again at their turn.
pub fn refuses(obstacles: &[Obstacle]) -> bool {
    obstacles.iter().any(|it| matches!(it, Obstacle::Refused(_)))
}

/// What an input of a service was when it was looked at: restart debts compare it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    pub digest: [u8; 32],
    /// When it last changed, in microseconds since 1970, where the machine tells.
    pub changed: Option<i64>,
}

/// How far the changes of one promise got.
#[derive(Clone, Debug, PartialEq)]
pub enum Applied {
    All,
    /// The change at this index failed; those before it are done, those after it were not tried.
    Failed {
        at: usize,
        error: SystemError,
    },
}

impl Applied {
    /// Applies changes one after the other, up to the first that fails.
    pub fn each<C>(changes: &[C], mut apply: impl FnMut(&C) -> Result<(), SystemError>) -> Applied {
        for (at, change) in changes.iter().enumerate() {
            if let Err(error) = apply(change) {
                return Applied::Failed { at, error };
            }
        }
        Applied::All
    }
}

pub trait Kind {
    /// `file` of `file:/etc/motd`.
    const NAME: &'static str;
    /// All fields but the common ones, for the reader, the schema and the documentation.
    const FIELDS: &'static [Field];
    type Desired: Clone + Debug + PartialEq;
    type State: Clone + Debug + PartialEq;
    type Change: Clone + Debug + Display + PartialEq;

    /// Reads a promise: `name` is the key in its section, `body` what stands there (a map of fields,
    /// or the kind's short form). Reports everything that is wrong through `cx`.
    fn lower(name: &Spanned<Arc<str>>, body: &Node, cx: &mut Lower<'_>) -> Option<Self::Desired>;

    /// What this promise owns; the first is its identity.
    fn claims(want: &Self::Desired) -> Vec<Identity>;

    /// What it needs, where that is promised: a file its parent directory, owner and group.
    fn uses(want: &Self::Desired) -> Vec<Identity>;

    /// Whether the thing is promised to be gone, so that it takes its turn the other way round.
    fn is_absent(want: &Self::Desired) -> bool;

    /// A batch, so that a kind asks the machine once. One result for each want, in their order.
    fn observe(wants: &[&Self::Desired], sys: &dyn Probe) -> Vec<Result<Self::State, SystemError>>;

    /// Pure: every decision is made here.
    fn plan(want: &Self::Desired, have: &Self::State) -> Difference<Self::Change>;

    /// Does exactly what the changes say; it may only refuse. A batch with the changes of one promise
    /// in each item, so that packages are one transaction and files share one flush; one result for
    /// each promise.
    fn apply(batch: &[&[Self::Change]], sys: &dyn Actuate) -> Vec<Applied>;

    /// What a change makes, replaces or takes away, and what was there before: for whoever may have to
    /// take it back. What cannot be taken back is told as unknown.
    fn effects(change: &Self::Change, want: &Self::Desired, have: &Self::State) -> Vec<Effect>;

    /// What a service that has this promise as an input runs with.
    fn fingerprint(have: &Self::State) -> Fingerprint;

    /// What the machine says now, as name and value, for `steadfast explain`. Nothing of a secret.
    fn describe(have: &Self::State) -> Vec<(&'static str, String)>;

    /// More than the one line of `Display`: the unified diff of a file. Nothing of a secret.
    fn detail(_change: &Self::Change) -> Option<String> {
        None
    }

    /// How many things the change removes from the machine, for the budget of deletions.
    fn deletes(_change: &Self::Change) -> u64 {
        0
    }
}
