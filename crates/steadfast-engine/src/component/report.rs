//! What a run tells of a component: one line, and the fields of one object of JSON.

use super::act::{End, Finished, Next};
use super::deployment::Deployment;
use super::forecast::millis;
use super::reason::{Gate, Trouble, Waiting};
use super::row::{Row, Step};
use super::time::{Now, Until};
use super::words::{Clock, gate as gate_words, waiting};
use crate::outcome::Summary;
use serde::Serialize;
use steadfast_model::application::ComponentId;

/// The fields are named as they are printed. Releases and digests are those of what runs after the run; `from` and
/// `to` are releases, and missing where no step was due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    pub event: &'static str,
    pub component: String,
    pub outcome: Result,
    pub release: Option<String>,
    /// The public digest.
    pub deployment: Option<String>,
    pub folder: Option<String>,
    pub from: Option<String>,
    pub to: Option<String>,
    pub step: Option<Stage>,
    pub reason: Option<String>,
    pub gap_ms: Option<u64>,
    pub open_connections: Option<u64>,
}

/// The verdict on a component, in the words of promises: it counts as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Result {
    Kept,
    Repaired,
    NotKept,
    Held,
}

/// What became of a step that was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    Committed,
    WentBack,
    Inconclusive,
    Held,
    Failed,
}

impl Result {
    pub fn count(self, summary: &mut Summary) {
        match self {
            Result::Kept => summary.kept += 1,
            Result::Repaired => summary.repaired += 1,
            Result::NotKept => summary.not_kept += 1,
            Result::Held => summary.held += 1,
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Result::Kept => "kept",
            Result::Repaired => "repaired",
            Result::NotKept => "not kept",
            Result::Held => "held",
        }
    }
}

impl Report {
    /// What runs of it, and nothing of a step.
    pub fn of(component: &ComponentId, row: &Row, outcome: Result, step: Option<Stage>) -> Report {
        let runs = row.runs();
        Report {
            event: "component",
            component: component.to_string(),
            outcome,
            release: runs.map(|it| it.release.to_string()),
            deployment: runs.map(|it| it.public.to_string()),
            folder: runs.map(|it| it.folder.to_string()),
            from: None,
            to: None,
            step,
            reason: None,
            gap_ms: None,
            open_connections: None,
        }
    }

    /// `component:people/api is not kept: went back to 1.3.0, because …`
    pub fn line(&self) -> String {
        let Report { component, outcome, reason, .. } = self;
        let word = outcome.word();
        match reason {
            Some(reason) => format!("component:{component} is {word}: {reason}"),
            None => format!("component:{component} is {word}"),
        }
    }
}

/// What a run that ends with this tells of a component; nothing where nothing is wanted, or an act comes first. `at`
/// writes times.
pub fn report(
    component: &ComponentId,
    next: &Next,
    wanted: Option<&Deployment>,
    now: &Now,
    at: Clock<'_>,
) -> Option<Report> {
    match next {
        Next::Act { .. } => None,
        Next::Wait { row, until, why } => {
            // It is asked on meanwhile, which nobody waits for.
            let end = row.step.as_ref().filter(|_| *why == Waiting::Baking);
            let end = end.map(|it| it.since.at.saturating_add(it.to.terms.bake));
            let until = match (end, until) {
                (Some(due), _) => Some(at(now.wall_at(due))),
                (None, Until::Boot(due)) => Some(at(now.wall_at(*due))),
                (None, Until::Wall(due)) => Some(at(*due)),
                (None, Until::Change) => None,
            };
            let (outcome, stage) = stage_of(why);
            let mut report = Report::of(component, row, outcome, stage);
            report.reason = Some(waiting(why, until.as_deref(), at));
            if stage.is_some() {
                with_step(&mut report, row, wanted);
            }
            Some(report)
        }
        Next::Ended { row, end, step, due } => {
            let due = match due {
                Until::Boot(due) => Some(at(now.wall_at(*due))),
                Until::Wall(_) | Until::Change => None,
            };
            let (outcome, stage) = result_of(end)?;
            let mut report = Report::of(component, row, outcome, stage);
            report.reason = reason(component, end, row, due.as_deref());
            match step {
                Some(step) => with_finished(&mut report, step),
                None if stage.is_some() => with_step(&mut report, row, wanted),
                None => {}
            }
            Some(report)
        }
    }
}

/// What is told of a component that is not asked what it does next, because a gate keeps it from everything.
pub fn held(
    component: &ComponentId,
    row: &Row,
    wanted: Option<&Deployment>,
    gate: &Gate,
    at: Clock<'_>,
) -> Report {
    let mut report = Report::of(component, row, Result::Held, Some(Stage::Held));
    report.reason = Some(gate_words(gate, at));
    with_step(&mut report, row, wanted);
    report
}

/// A step that is open, or due.
fn with_step(report: &mut Report, row: &Row, wanted: Option<&Deployment>) {
    let (from, to) = match &row.step {
        Some(Step { from, to, gap, connections, .. }) => {
            report.gap_ms = gap.map(millis);
            report.open_connections = *connections;
            (from.as_ref(), Some(to))
        }
        None => (row.current.as_ref(), wanted),
    };
    report.from = from.map(|it| it.release.to_string());
    report.to = to.map(|it| it.release.to_string());
}

fn with_finished(report: &mut Report, step: &Finished) {
    let Finished { number: _, from, to, gap, connections } = step;
    report.from = from.as_ref().map(|it| it.release.to_string());
    report.to = Some(to.release.to_string());
    report.gap_ms = gap.map(millis);
    report.open_connections = *connections;
}

fn stage_of(why: &Waiting) -> (Result, Option<Stage>) {
    match why {
        Waiting::Gate(_)
        | Waiting::Quiescing(_)
        | Waiting::Draining
        | Waiting::Answer(_)
        | Waiting::Lasting
        | Waiting::Baking => (Result::Held, Some(Stage::Held)),
        Waiting::Retiring => (Result::Repaired, Some(Stage::Committed)),
        Waiting::Stuck(_) => (Result::NotKept, Some(Stage::Failed)),
        Waiting::Again(_) | Waiting::OnceWell(_) | Waiting::Owed(_) => (Result::NotKept, None),
    }
}

fn result_of(end: &End) -> Option<(Result, Option<Stage>)> {
    Some(match end {
        End::Absent => return None,
        End::Settled => (Result::Kept, None),
        End::Committed | End::Restarted => (Result::Repaired, Some(Stage::Committed)),
        End::WentBack(_) => (Result::NotKept, Some(Stage::WentBack)),
        End::Inconclusive(_) => (Result::NotKept, Some(Stage::Inconclusive)),
        End::Withdrawn => (Result::Repaired, Some(Stage::WentBack)),
        End::Failed(_) => (Result::NotKept, Some(Stage::Failed)),
        End::Bad(_) => (Result::NotKept, None),
    })
}

fn reason(component: &ComponentId, end: &End, row: &Row, due: Option<&str>) -> Option<String> {
    let back = match &row.current {
        Some(it) => format!("went back to {}", it.release),
        None => "was taken away again".to_owned(),
    };
    let later = due.map(|it| format!("; tried again at {it}")).unwrap_or_default();
    let retry = format!("`steadfast retry {component}`");
    match end {
        End::Absent | End::Settled | End::Committed => None,
        End::Restarted => Some("was restarted: what it reads has changed".to_owned()),
        End::WentBack(why) => Some(format!("{back}, because {why}; not tried again: {retry}")),
        End::Inconclusive(why) => {
            Some(format!("{back}, because {why}; whose fault it is, is not known{later}"))
        }
        End::Withdrawn => Some(format!("{back}, which is wanted again")),
        End::Failed(why @ Trouble::Refused(_)) => {
            Some(format!("{why}; not fetched again until it changes: {retry}"))
        }
        End::Failed(why) => Some(format!("{why}{later}")),
        End::Bad(bad) => {
            let (release, why) = (&bad.release, &bad.reason);
            Some(format!("{release} was bad: {why}; not tried again: {retry}"))
        }
    }
}
