//! What is written down of a run before and after it acts: what services owe, and what was made of which
//! things, so that it can be taken back. The store keeps it; nothing here knows how.

use crate::outcome::Held;
use crate::runner::debt::{Debt, RunnerRecord};
use crate::unit::{Scope, StepEnd, UnitId};
use serde::{Deserialize, Serialize};
use steadfast_model::PromiseId;
use steadfast_resources::runner::Consequence;
use steadfast_resources::{Facet, FacetState};
use steadfast_system::files::Digest;
use steadfast_system::{Probe, SystemError, UnitName};

/// What the state directory knows about restarts. The store implements it; nothing here knows how.
pub trait Ledger {
    fn record(&self, unit: &UnitName) -> RunnerRecord;

    /// Writes debts down. They survive a crash of the machine when this returns.
    fn owe(&mut self, debts: &[(UnitName, Debt)]) -> Result<(), SystemError>;

    /// Puts a new record in the place of the old one.
    fn settle(&mut self, unit: &UnitName, record: RunnerRecord) -> Result<(), SystemError>;

    /// Writes down what is about to be made, replaced or taken away, before it is. Of what is known to
    /// have been done to the same thing since the model was adopted, only what is left is new.
    fn trace(&mut self, made: &[UndoEntry]) -> Result<(), SystemError>;

    /// What was left after all.
    fn amend(&mut self, scope: &Scope, amended: &[(Facet, Amended)]) -> Result<(), SystemError>;

    /// Writes down what is about to be taken back.
    fn begin_undo(&mut self, scope: &Scope, things: &[Facet]) -> Result<(), SystemError>;

    /// Says that a unit begins to change: what is traced for it from now on belongs to this step. A step
    /// that is under way goes on.
    fn begin_step(&mut self, unit: &UnitId) -> Result<(), SystemError>;

    /// The units whose step is under way, with what each has made so far.
    fn open_steps(&self) -> Result<Vec<(UnitId, Vec<UndoEntry>)>, SystemError>;

    /// Says how the step of a unit came to its end.
    fn end_step(&mut self, unit: &UnitId, end: StepEnd) -> Result<(), SystemError>;
}

/// What is known of a thing once the work is done.
#[derive(Clone, Debug, PartialEq)]
pub enum Amended {
    After(FacetState),
    /// This attempt has done nothing; what is there now. Nothing of ours is there only if that is what was
    /// there before all that is known to have been done.
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

/// Something that earlier runs made, replaced or took away.
#[derive(Clone, Debug, PartialEq)]
pub struct UndoEntry {
    pub scope: Scope,
    pub facet: Facet,
    /// The promise that it was done for.
    pub promise: PromiseId,
    /// The first run that did; the ledger knows.
    pub run: i64,
    pub before: FacetState,
    /// What is there since.
    pub after: FacetState,
    /// Services that read it, and what they owe when it changes.
    pub readers: Vec<(UnitName, Consequence)>,
    /// It was being taken back when a run was cut off.
    pub begun: bool,
}

impl UndoEntry {
    /// Takes in what a later change has done to the same thing.
    pub fn again(&mut self, later: &UndoEntry) {
        let UndoEntry { scope: _, facet: _, promise, run: _, before, after, readers, begun } =
            later;
        self.before.complete(before);
        self.after.then(after);
        self.promise = promise.clone();
        self.readers.clone_from(readers);
        self.begun = *begun;
    }

    /// Whether it is a package that was there in another version: no promise brings that back by itself.
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

/// How much is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Extent {
    /// What was made goes; what took another thing's place stays.
    Made,
    /// What was replaced comes back too.
    Everything,
}

/// Why a thing is left as it is.
#[derive(Clone, Debug, PartialEq)]
pub enum NotUndone {
    ChangedSince,
    /// What was there before is not known.
    Unknown,
    /// A package that was there in another version.
    OtherVersion,
    /// Its former content is not kept any more.
    ContentGone,
    /// It took another thing's place, and only what was made goes.
    Replaced,
    Refused(Vec<String>),
    Held(Held),
    Failed(SystemError),
    StillDiffers,
}

impl NotUndone {
    /// Whether another attempt would say the same: then it is ours no more.
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

/// A digest that tells nothing to whoever has not the key of this node.
pub(crate) fn key(sys: &dyn Probe, plain: &Digest) -> Option<Digest> {
    sys.keyed_digest(plain).ok()
}

/// Whether systemd reads what lies there.
pub(crate) fn is_systemds(path: &str) -> bool {
    const FOLDERS: [&str; 4] = [
        "/etc/systemd/system/",
        "/run/systemd/system/",
        "/usr/lib/systemd/system/",
        "/lib/systemd/system/",
    ];
    FOLDERS.iter().any(|it| path.starts_with(it))
}

pub(crate) fn is_unit_file(path: &str, unit: &UnitName) -> bool {
    is_systemds(path) && path.rsplit('/').next() == Some(unit.as_str())
}
