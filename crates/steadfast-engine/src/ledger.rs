//! What a run records before and after it acts: the restarts that services owe, and every change together
//! with the former state, so that it can be undone. The store implements the storage.

use crate::outcome::Held;
use crate::runner::debt::{Debt, RunnerRecord};
use crate::unit::{Scope, StepEnd, UnitId};
use serde::{Deserialize, Serialize};
use steadfast_model::PromiseId;
use steadfast_resources::runner::Consequence;
use steadfast_resources::{Facet, FacetState};
use steadfast_system::files::Digest;
use steadfast_system::{Probe, SystemError, UnitName};

/// The records of restarts owed and of changes that can be undone. The store implements it.
pub trait Ledger {
    /// What is known about units, in their order: read at once, as they were at one moment.
    fn records(&self, units: &[UnitName]) -> Vec<RunnerRecord>;

    fn record(&self, unit: &UnitName) -> RunnerRecord {
        self.records(std::slice::from_ref(unit)).pop().unwrap_or_default()
    }

    /// Records debts. When this returns, they survive a crash of the machine.
    fn owe(&mut self, debts: &[(UnitName, Debt)]) -> Result<(), SystemError>;

    /// Replaces the record of a unit.
    fn settle(&mut self, unit: &UnitName, record: RunnerRecord) -> Result<(), SystemError>;

    /// Records what is about to be created, replaced or removed. If the same thing was already changed
    /// since the model was adopted, its recorded former state is only completed, and its new state is replaced.
    fn trace(&mut self, made: &[UndoEntry]) -> Result<(), SystemError>;

    /// Corrects the records once the outcome of the changes is known.
    fn amend(&mut self, scope: &Scope, amended: &[(Facet, Amended)]) -> Result<(), SystemError>;

    /// Records which changes are about to be undone.
    fn begin_undo(&mut self, scope: &Scope, things: &[Facet]) -> Result<(), SystemError>;

    /// Records that a step of a unit starts: what is traced for the unit from now on belongs to this step.
    /// A step that is already under way continues.
    fn begin_step(&mut self, unit: &UnitId) -> Result<(), SystemError>;

    /// The units whose step is under way, with the changes of each so far.
    fn open_steps(&self) -> Result<Vec<(UnitId, Vec<UndoEntry>)>, SystemError>;

    /// Records how the step of a unit ended.
    fn end_step(&mut self, unit: &UnitId, end: StepEnd) -> Result<(), SystemError>;
}

/// What is known about a thing after an attempt to change it.
#[derive(Clone, Debug, PartialEq)]
pub enum Amended {
    After(FacetState),
    /// The attempt changed nothing; the current state. It contains no change of ours only if it equals the
    /// state before the first recorded change.
    CameToNothing(FacetState),
}

impl Amended {
    /// Whether nothing need be remembered. What was before is never keyed: what may not be kept is not known.
    pub fn ends(&self, made: &UndoEntry) -> bool {
        match self {
            Amended::After(_) => false,
            Amended::CameToNothing(now) => made.before.is_met_by(now, |_| None),
        }
    }
}

/// Something that earlier runs created, replaced or removed.
#[derive(Clone, Debug, PartialEq)]
pub struct UndoEntry {
    pub scope: Scope,
    pub facet: Facet,
    /// The promise that the change was made for.
    pub promise: PromiseId,
    /// The first run that changed it; the ledger fills it in.
    pub run: i64,
    pub before: FacetState,
    /// The state after the change.
    pub after: FacetState,
    /// The services that read it, and the action that they owe when it changes.
    pub readers: Vec<(UnitName, Consequence)>,
    /// Whether an undo of it was interrupted.
    pub begun: bool,
}

impl UndoEntry {
    /// Merges a later change of the same thing.
    pub fn again(&mut self, later: &UndoEntry) {
        let UndoEntry { scope: _, facet: _, promise, run: _, before, after, readers, begun } =
            later;
        self.before.complete(before);
        self.after.then(after);
        self.promise = promise.clone();
        self.readers.clone_from(readers);
        self.begun = *begun;
    }

    /// Whether it is a package that was installed in another version, which no promise restores by itself.
    pub fn is_other_version(&self) -> bool {
        match &self.facet {
            Facet::Package(_) => {
                (&self.before, &self.after) == (&FacetState::Unknown, &FacetState::There)
            }
            Facet::Path(_)
            | Facet::Group(_)
            | Facet::Member { .. }
            | Facet::User(_)
            | Facet::Keys(_)
            | Facet::Running(_)
            | Facet::Enabled(_)
            | Facet::Setting(_) => false,
        }
    }
}

/// How much is undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Extent {
    /// Remove what was created; leave what replaced something else.
    Made,
    /// Also restore what was replaced.
    Everything,
}

/// Why a change is not undone.
#[derive(Clone, Debug, PartialEq)]
pub enum NotUndone {
    ChangedSince,
    /// The former state is not known.
    Unknown,
    /// A package that was installed in another version.
    OtherVersion,
    /// The former content is no longer stored.
    ContentGone,
    /// It replaced something else, and only created things are removed.
    Replaced,
    Refused(Vec<String>),
    Held(Held),
    Failed(SystemError),
    StillDiffers,
}

impl NotUndone {
    /// Whether another attempt would fail for the same reason; the thing is then no longer tracked.
    pub fn is_final(&self) -> bool {
        match self {
            NotUndone::ChangedSince
            | NotUndone::Unknown
            | NotUndone::OtherVersion
            | NotUndone::ContentGone
            | NotUndone::Replaced => true,
            NotUndone::Refused(_)
            | NotUndone::Held(_)
            | NotUndone::Failed(_)
            | NotUndone::StillDiffers => false,
        }
    }

    /// Why, outermost first.
    pub fn because(&self, facet: &Facet) -> Vec<String> {
        let one = |words: &str| vec![words.to_owned()];
        match self {
            NotUndone::ChangedSince => {
                vec![format!("{facet} has been changed since")]
            }
            NotUndone::Unknown => vec![format!("what {facet} was before is not known")],
            NotUndone::OtherVersion => {
                vec![format!(
                    "{facet} was installed before in another version, which is not restored"
                )]
            }
            NotUndone::ContentGone => one("its former content is no longer stored"),
            NotUndone::Replaced => match facet {
                Facet::Running(unit) | Facet::Enabled(unit) => {
                    vec![format!(
                        "{unit} was not made by a promise, and stays as it is (policy: orphans)"
                    )]
                }
                Facet::Path(_)
                | Facet::Group(_)
                | Facet::Member { .. }
                | Facet::User(_)
                | Facet::Keys(_)
                | Facet::Package(_)
                | Facet::Setting(_) => {
                    vec![format!("{facet} replaced something else, and stays (policy: orphans)")]
                }
            },
            NotUndone::Refused(reasons) => reasons.clone(),
            NotUndone::Held(held) => held.because(),
            NotUndone::Failed(error) => error.chain(),
            NotUndone::StillDiffers => one("it is still there after the change"),
        }
    }
}

/// A keyed digest, which reveals nothing without the key of this node.
pub(crate) fn key(sys: &dyn Probe, plain: &Digest) -> Option<Digest> {
    sys.keyed_digest(plain).ok()
}
