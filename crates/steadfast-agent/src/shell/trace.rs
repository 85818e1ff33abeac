//! What the machine is told and what it decides, as events for whoever looks closely. Words that people or
//! sources gave are left out: what of them is to be known, the notes say.

use crate::machine::{Action, Answer, Input, Job, Request, RunResult};
use steadfast_node::wire::{Proof, Selection};
use tracing::{debug, trace};

/// So many promises are named of one run.
const NAMED: usize = 3;

/// Something has happened.
pub(super) fn input(input: &Input) {
    let word = input.word();
    match input {
        // It may be time: mostly it is not.
        Input::Woke => trace!(input = word, "something has happened"),
        Input::Fetched(Ok(Some(offer))) => {
            let (revision, proof) = (&offer.info.revision, proved(&offer.proof));
            debug!(input = word, %revision, proof, "something has happened");
        }
        Input::Fetched(Ok(None)) => debug!(input = word, newer = false, "something has happened"),
        Input::Fetched(Err(refusal)) => {
            debug!(input = word, refused = refusal.kind.word(), "something has happened");
        }
        Input::Prepared { revision, result } => {
            debug!(input = word, %revision, good = result.is_ok(), "something has happened");
        }
        Input::RunEnded { revision, result } => {
            let result = match result {
                RunResult::Finished(_) => "finished",
                RunResult::Crashed(_) => "crashed",
                RunResult::Busy(_) => "busy",
                RunResult::NotStarted(_) => "not-started",
            };
            debug!(input = word, %revision, result, "something has happened");
        }
        Input::Drift { promises } => {
            let promises = Selection::from_promises(promises);
            debug!(input = word, promises = named(&promises), "something has happened");
        }
        Input::Asked { by, request } => {
            debug!(input = word, client = by.0, request = asked(request), "something has happened");
        }
        Input::ClockJumped { by } => debug!(input = word, %by, "something has happened"),
        Input::Configured(_) | Input::NotStored { .. } | Input::Shutdown(_) => {
            debug!(input = word, "something has happened");
        }
    }
}

/// Something is to be done. Notes are told where they are performed.
pub(super) fn action(action: &Action) {
    match action {
        Action::Store(memory) => debug!(action = "store", written = memory.written, "decided"),
        Action::Fetch { highest: _, wanted } => {
            debug!(
                action = "fetch",
                wanted = wanted.as_ref().map(tracing::field::display),
                "decided"
            );
        }
        Action::Prepare { revision } => debug!(action = "prepare", %revision, "decided"),
        Action::Run(Job { revision, reason, only, against: _ }) => {
            let (reason, promises) = (reason.word(), only.as_ref().map(named));
            debug!(action = "run", reason, %revision, promises, "decided");
        }
        Action::GoBack { from, to } => debug!(action = "go-back", %from, %to, "decided"),
        Action::Reload => debug!(action = "reload", "decided"),
        Action::Note(_) => {}
        Action::Reply { to, answer } => {
            let answer = match answer {
                Answer::Accepted(_) => "accepted",
                Answer::Refused(_) => "refused",
                Answer::RunEnded { .. } => "run-ended",
                Answer::RunFailed(_) => "run-failed",
            };
            debug!(action = "reply", client = to.0, answer, "decided");
        }
        Action::Shutdown(how) => debug!(action = "shutdown", ?how, "decided"),
        Action::WakeAt(at) => trace!(action = "wake", %at, "decided"),
    }
}

fn proved(proof: &Proof) -> &'static str {
    match proof {
        Proof::DescendsFrom(_) => "descends",
        Proof::Sequence => "sequence",
        Proof::Local => "local",
        Proof::Nothing => "nothing",
    }
}

fn asked(request: &Request) -> &'static str {
    match request {
        Request::Run { .. } => "run",
        Request::Adopt { .. } => "adopt",
        Request::Suspend { .. } => "suspend",
        Request::Resume => "resume",
        Request::Reload => "reload",
    }
}

/// `file:/a file:/b file:/c and 7 more`
pub(super) fn named(promises: &Selection) -> String {
    let all = &promises.0;
    let first = all.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(" ");
    match all.len().saturating_sub(NAMED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_promises_are_named_and_many_counted() {
        let all = |count: usize| Selection((0..count).map(|it| format!("file:/{it}")).collect());
        assert_eq!(named(&all(3)), "file:/0 file:/1 file:/2");
        assert_eq!(named(&all(10)), "file:/0 file:/1 file:/2 and 7 more");
    }
}
