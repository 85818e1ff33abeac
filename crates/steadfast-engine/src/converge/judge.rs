//! The verdicts of a run, and how its forecast fared.

use super::run::Run;
use crate::event::{Event, Reporter};
use crate::outcome::{Outcome, Summary};
use crate::plan::Forecast;
use steadfast_resources::{Change, Fact};

impl Run<'_> {
    /// The verdict on each promise, all its parts together.
    pub(super) fn judge(mut self, out: &mut dyn Reporter) -> Summary {
        let mut summary = Summary { kept: self.promises.settled, ..Summary::default() };
        for parts in self.promises.each() {
            let promised = &self.promises.all[parts.start];
            let mut verdict: Option<Outcome> = None;
            let (mut changes, mut notes) = (vec![], vec![]);
            for part in parts {
                self.fare(part, &mut summary);
                changes.append(&mut self.done[part]);
                notes.append(&mut self.notes[part]);
                verdict = match (verdict, self.outcomes[part].take()) {
                    (Some(a), Some(b)) => Some(worse(a, b)),
                    (a, b) => a.or(b),
                };
            }
            let Some(outcome) = verdict else { continue };
            if promised.implied && outcome == Outcome::Kept {
                continue;
            }
            tracing::info!(promise = %promised.id, outcome = outcome.word(), "judged");
            summary.count(&outcome);
            out.report(&Event::Judged {
                promise: promised,
                outcome: &outcome,
                changes: &changes,
                notes: &notes,
            });
        }
        out.report(&Event::Finished { summary: &summary });
        summary
    }

    /// Measures the forecast against what was done.
    fn fare(&self, at: usize, summary: &mut Summary) {
        let done: Vec<Vec<Fact>> = self.done[at].iter().map(Change::facts).collect();
        for (change, forecast) in self.plan.entries[at].foreseen() {
            let slot = match forecast {
                Forecast::Certain => &mut summary.certain,
                Forecast::Expected { .. } => &mut summary.expected,
                Forecast::Kept
                | Forecast::Unknown { .. }
                | Forecast::NotKept(_)
                | Forecast::Held(_) => continue,
            };
            slot.0 += 1;
            if done.contains(&change.facts()) {
                slot.1 += 1;
            }
        }
    }
}

/// The graver of two verdicts on parts of one promise.
fn worse(a: Outcome, b: Outcome) -> Outcome {
    let grave = |it: &Outcome| match it {
        Outcome::Kept => 0,
        Outcome::Repaired => 1,
        Outcome::Held(_) => 2,
        Outcome::NotKept(_) => 3,
    };
    if grave(&b) > grave(&a) { b } else { a }
}
