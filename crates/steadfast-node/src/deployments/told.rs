//! What a run tells of a component.

use steadfast_engine::component::{Became, End, Forecast, Next, Report, Stage, Trouble};
use steadfast_engine::outcome::Summary;
use steadfast_model::{PromiseId, Span};
use steadfast_store::deployments::unit;

/// What became of a component in a run, or would.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    pub report: Report,
    /// Where its application says it.
    pub span: Span,
    /// What its program wrote last, where it was not well.
    pub journal: Vec<String>,
    /// Nothing was done: a step, or a repair, is foreseen.
    pub is_expected: bool,
    /// What users will see of a step that is due.
    pub forecast: Option<Forecast>,
}

impl Told {
    pub(super) fn new(report: Report, span: Span) -> Told {
        Told { report, span, journal: vec![], is_expected: false, forecast: None }
    }

    /// With what its program wrote.
    pub(super) fn with_journal(self, next: &Next) -> Told {
        let journal = trouble(next).map(Trouble::journal).unwrap_or_default();
        Told { journal: journal.iter().map(ToString::to_string).collect(), ..self }
    }

    pub fn id(&self) -> PromiseId {
        PromiseId(unit(&self.report.component).0)
    }

    /// `1.3 → 1.4 (committed)`, where a step was due.
    pub fn way(&self) -> Option<String> {
        let to = self.report.to.as_ref()?;
        let step = self.report.step.map(|it| format!(" ({})", word(it))).unwrap_or_default();
        Some(match &self.report.from {
            Some(from) => format!("{from} → {to}{step}"),
            None => format!("first deployment of {to}{step}"),
        })
    }

    /// Whether what it brought is there.
    pub(crate) fn is_switched(&self) -> bool {
        match (self.report.step, self.report.outcome) {
            (Some(Stage::Committed), _) => true,
            (Some(Stage::Held), _) => self.report.release == self.report.to,
            (Some(Stage::WentBack | Stage::Inconclusive | Stage::Failed) | None, _) => false,
        }
    }

    /// The word for it: what is foreseen is no verdict.
    pub fn word(&self) -> &'static str {
        if self.is_expected { "expected" } else { self.report.outcome.word() }
    }

    pub(crate) fn count(&self, summary: &mut Summary) {
        self.report.outcome.count(summary);
    }

    /// What its program wrote, as lines of a reason.
    pub(crate) fn journal_lines(&self) -> impl Iterator<Item = String> {
        self.journal.iter().map(|it| format!("journal: {it}"))
    }

    /// What is held, or kept, leaves nothing to write down.
    pub(crate) fn is_kept(&self) -> bool {
        self.report.outcome == Became::Kept
    }
}

fn word(stage: Stage) -> &'static str {
    match stage {
        Stage::Committed => "committed",
        Stage::WentBack => "went-back",
        Stage::Inconclusive => "inconclusive",
        Stage::Held => "held",
        Stage::Failed => "failed",
    }
}

fn trouble(next: &Next) -> Option<&Trouble> {
    match next {
        Next::Ended { end, row: _, step: _, due: _ } => match end {
            End::WentBack(why) | End::Inconclusive(why) | End::Failed(why) => Some(why),
            End::Bad(bad) => Some(&bad.reason),
            End::Absent | End::Settled | End::Committed | End::Restarted | End::Withdrawn => None,
        },
        Next::Act { .. } | Next::Wait { .. } => None,
    }
}
