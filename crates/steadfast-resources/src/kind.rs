//! What a kind of promise is: four verbs over plain data. A kind's file reads, top to bottom:
//! `Desired`, `State`, `Change`, `impl Kind`, `Display for Change`, tests.

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

    pub fn refused(why: impl Into<String>) -> Difference<C> {
        Difference { obstacles: vec![Obstacle::Refused(why.into())], ..Difference::none() }
    }

    pub fn is_kept(&self) -> bool {
        self.changes.is_empty() && self.obstacles.is_empty()
    }
}

/// Something in the way of a promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// A thing it needs is not there now; an earlier step of the run may bring it.
    Missing(Identity),
    /// Not kept, and nothing that this run does will change that.
    Refused(String),
    /// It hangs on something that a look cannot tell.
    Unknown(String),
}

/// What an input of a service was when it was looked at: restart debts compare it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    pub digest: [u8; 32],
    /// When it last changed, in microseconds since 1970, where the machine tells.
    pub changed: Option<i64>,
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

    /// Does exactly what the changes say, one result for each; it may only refuse. A batch, so that
    /// packages are one transaction and files share one flush.
    fn apply(changes: &[&Self::Change], sys: &dyn Actuate) -> Vec<Result<(), SystemError>>;

    fn fingerprint(have: &Self::State) -> Fingerprint;
}
