//! Where the memory of a step cannot be stored, the step is taken back.

use super::agent::Agent;
use super::messages::{Action, Note};
use super::state::steps::{Began, StorageTrouble};
use crate::memory::Memory;
use crate::schedule::{FIRST_RETRY, LONGEST_RETRY, backoff, later};
use jiff::Timestamp;
use steadfast_node::wire::RunReason;

impl Agent {
    /// Goes back to what is on the disk. What was begun on the strength of the rest was not begun.
    pub(super) fn not_stored(
        &mut self,
        why: String,
        began: Began,
        now: Timestamp,
        out: &mut Vec<Action>,
    ) {
        let failures = self.steps.trouble.as_ref().map_or(0, |it| it.failures).saturating_add(1);
        let retry = later(now, backoff(failures, FIRST_RETRY, LONGEST_RETRY, &mut self.chance));
        if failures == 1 {
            out.push(Action::Note(Note::NotStored { why: why.clone() }));
        }
        self.steps.trouble = Some(StorageTrouble { failures, retry, why });
        // The numbers go on: a copy with the last one may be on the disk after all.
        let written = self.steps.stored.written;
        self.memory = Memory { written, ..self.steps.confirmed.clone() };
        self.steps.stored = self.memory.clone();
        // Nor is anything asked for that would have to be stored again at once.
        self.trial.due = self.trial.due.max(retry);
        self.upstream.next_fetch = self.upstream.next_fetch.max(retry);
        if began.upstream {
            self.upstream.not_begun();
        }
        if began.work
            && let Some((job, serving)) = self.work.take_running()
        {
            self.requests.waiters.extend(serving);
            match job.reason {
                RunReason::Keep | RunReason::Drift => {
                    self.work.next_keep = self.work.next_keep.min(retry);
                }
                // Steps are due again before long.
                RunReason::Step
                | RunReason::Adopt
                | RunReason::SecondTry
                | RunReason::GoBack
                | RunReason::Asked => {}
            }
        }
        self.shut_down(out);
    }
}
