//! The components of applications in one run: each is kept to the deployment that is current, whatever the model
//! says by now, or is brought to the one that the model says in one step, which is kept or taken back as a whole.
//!
//! What a model without applications costs does not hang on any of this.

mod choose;
pub mod gates;
mod lower;
mod retention;
#[cfg(test)]
mod sample;
mod secrets;
pub mod shown;
pub mod task;
pub mod terms;
mod tree;
pub mod units;
mod verdict;

pub(crate) use lower::{Deploying, Input, deploy};
pub use retention::{Retained, Retaining, retain};
pub(crate) use verdict::{Steps, end, foresee, is_well};

use steadfast_engine::UnitId;
use steadfast_model::application::Version;
use steadfast_model::{ComponentId, Span};

/// What became of a component in a run, or would.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    pub component: ComponentId,
    /// Where its application says it.
    pub span: Span,
    pub fared: Fared,
    /// What runs after the run.
    pub release: Option<String>,
    pub deployment: Option<String>,
    /// Releases; none where no step was due.
    pub from: Option<String>,
    pub to: Option<String>,
    pub step: Option<Ended>,
    /// Outermost first.
    pub because: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fared {
    Kept,
    Repaired,
    NotKept,
    Held,
    /// Nothing was done yet: a step is foreseen.
    Expected,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Committed,
    /// To what was there before, which is well.
    WentBack,
    /// Whether the new one is bad is not known.
    Inconclusive,
    Held,
    /// Nothing was switched, or there was nothing to go back to.
    Failed,
}

impl Fared {
    /// The word for it in text; JSON writes `not-kept`.
    pub fn word(self) -> &'static str {
        match self {
            Fared::Kept => "kept",
            Fared::Repaired => "repaired",
            Fared::NotKept => "not kept",
            Fared::Held => "held",
            Fared::Expected => "expected",
        }
    }
}

impl Ended {
    pub fn word(self) -> &'static str {
        match self {
            Ended::Committed => "committed",
            Ended::WentBack => "went-back",
            Ended::Inconclusive => "inconclusive",
            Ended::Held => "held",
            Ended::Failed => "failed",
        }
    }
}

/// A component in this run.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) id: ComponentId,
    pub(crate) unit: UnitId,
    pub(crate) span: Span,
    pub(crate) current: Option<Known>,
    /// None where the model does not say soundly what it is to be.
    pub(crate) wanted: Option<Known>,
    pub(crate) way: Way,
}

/// A deployment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Known {
    pub(crate) digest: String,
    pub(crate) release: String,
}

/// What is done about a component.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Way {
    /// What is wanted is current.
    Keep,
    /// From the current deployment, where there is one, to the wanted one.
    Step,
    /// What is current is kept, because.
    Held(Vec<String>),
    NotKept(Vec<String>),
}

/// Why a component takes no step in this run, whatever the model says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoStep {
    /// The run is about something else.
    NotSelected,
    /// Nothing is changed.
    ReportOnly,
    /// The node goes back to the revision before.
    GoingBack,
}

/// What a release is called in the order of releases; none where it cannot be read.
fn version(text: &str) -> Option<Version> {
    text.parse().ok()
}
