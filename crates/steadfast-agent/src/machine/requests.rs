//! What people request over the socket: run, adopt, suspend, resume.

use super::agent::Agent;
use super::messages::{Action, Answer, Client, Note, Request};
use super::state::requests::Waiter;
use crate::memory::{Suspension, Wanted, first_line};
use jiff::Timestamp;
use steadfast_node::revision::Revision;
use steadfast_node::wire::Selection;

const MOST_CLIENTS: usize = 64;

impl Agent {
    pub(super) fn asked(
        &mut self,
        by: Client,
        request: Request,
        now: Timestamp,
        out: &mut Vec<Action>,
    ) {
        let answer = match request {
            Request::Run { only } => match self.ask_run(by, only, now) {
                // The end of the run is the answer.
                Ok(()) => return,
                Err(words) => Answer::Refused(words),
            },
            Request::Adopt { revision, reason } => match self.ask_adopt(revision, reason, now) {
                Ok(words) => Answer::Accepted(words),
                Err(words) => Answer::Refused(words),
            },
            Request::Suspend { reason, until } => self.suspend(reason, until, now, out),
            Request::Resume => match self.memory.suspended.take() {
                Some(_) => {
                    // What happened meanwhile was not watched for.
                    self.work.next_keep = now;
                    out.push(Action::Note(Note::Resumed));
                    Answer::Accepted("resumed".to_owned())
                }
                None => Answer::Refused("the agent is not suspended".to_owned()),
            },
            Request::Reload => {
                out.push(Action::Reload);
                Answer::Accepted("the settings are being reloaded".to_owned())
            }
        };
        out.push(Action::Reply { to: by, answer });
    }

    fn suspend(
        &mut self,
        reason: String,
        until: Option<Timestamp>,
        now: Timestamp,
        out: &mut Vec<Action>,
    ) -> Answer {
        if until.is_some_and(|it| it <= now) {
            return Answer::Refused("that time is in the past".to_owned());
        }
        out.push(Action::Note(Note::Suspended { reason: reason.clone(), until }));
        self.memory.suspended = Some(Suspension { reason, until, since: now });
        let words = match self.work.running() {
            None => "suspended",
            Some(_) => "suspended as soon as the current run has ended",
        };
        Answer::Accepted(words.to_owned())
    }

    fn ask_run(
        &mut self,
        by: Client,
        only: Option<Selection>,
        now: Timestamp,
    ) -> Result<(), String> {
        if self.requests.shutdown.is_some() {
            return Err("the agent is shutting down".to_owned());
        }
        if let Some(suspension) = self.suspension(now) {
            return Err(format!("the agent is suspended: {}", suspension.reason));
        }
        if self.memory.adopted.is_none() {
            return Err("no revision has been adopted yet".to_owned());
        }
        if self.requests.waiters.len() >= MOST_CLIENTS {
            return Err("too many requests for a run are already waiting".to_owned());
        }
        if self.memory.trial.is_some() {
            self.trial.due = now;
        }
        self.requests.waiters.push(Waiter { by, only });
        Ok(())
    }

    fn ask_adopt(
        &mut self,
        revision: Revision,
        reason: Option<String>,
        now: Timestamp,
    ) -> Result<String, String> {
        if self.memory.adopted.as_ref().is_some_and(|it| it.info.revision == revision) {
            return Err(format!("{revision} is adopted already"));
        }
        if let Some(bad) = self.memory.is_bad(&revision)
            && reason.is_none()
        {
            let promise = bad.promise.as_ref().map_or("its run", |it| &it.0);
            return Err(format!(
                "{revision} was rolled back because of {promise} ({}); adopt it anyway with --reason",
                first_line(&bad.reason)
            ));
        }
        if reason.is_some() {
            self.memory.bad.retain(|it| it.revision != revision);
            // Somebody's word for a revision is also one for what the clock says now.
            for known in self.memory.known_mut().filter(|it| it.info.revision == revision) {
                known.expired = None;
                known.heed_the_clock(now);
            }
        }
        let waits =
            if self.suspension(now).is_some() { ", after the agent is resumed" } else { "" };
        let known = self.memory.is_known(&revision);
        let words = if known {
            format!("{revision} will be adopted once it has been checked for this node{waits}")
        } else if self.config.source.is_none() {
            return Err("the settings name no source that it could come from".to_owned());
        } else {
            self.upstream.next_fetch = now;
            format!("{revision} will be fetched from the source{waits}")
        };
        self.memory.wanted = Some(Wanted { revision, reason });
        Ok(words)
    }

    /// Ends once no run is under way.
    pub(super) fn shut_down(&mut self, out: &mut Vec<Action>) {
        let Some(how) = self.requests.shutdown else { return };
        if !self.work.is_idle() {
            return;
        }
        for one in self.requests.waiters.drain(..) {
            let answer = Answer::Refused("the agent is shutting down".to_owned());
            out.push(Action::Reply { to: one.by, answer });
        }
        out.push(Action::Shutdown(how));
    }
}
