//! The verdicts on units that nobody promised but something else needs: they are shown, and are no promises.

use steadfast_engine::{Event, Reporter, Summary};

/// How many there were.
#[derive(Debug, Default)]
pub(crate) struct Implied(pub(crate) Summary);

impl Reporter for Implied {
    fn report(&mut self, event: &Event<'_>) {
        match event {
            Event::Judged { promise, outcome, .. } if promise.implied => self.0.count(outcome),
            Event::Planned { .. }
            | Event::Working { .. }
            | Event::Judged { .. }
            | Event::Undoing { .. }
            | Event::Undone { .. }
            | Event::Step { .. }
            | Event::Finished { .. } => {}
        }
    }
}
