//! What wakes the loop, brought to the machine.

use super::event::{Event, Reply};
use super::setup::Ended;
use super::state::Shell;
use super::{binary, revisions};
use crate::api::v1;
use crate::machine::{Input, Request, RunResult, Shutdown};
use crate::metrics;
use crate::status::Status;
use jiff::Timestamp;
use steadfast_model::PromiseId;
use steadfast_node::revision::Revision;
use tokio::sync::oneshot;

impl Shell {
    pub(super) fn happened(&mut self, event: Event) -> Option<Ended> {
        match event {
            Event::Input(Input::RunEnded { revision, result }) => self.run_ended(revision, result),
            Event::Input(input) => self.step(input),
            Event::Watch { revision, began, watched } => {
                let unseen = self.watches.set(watched, &began, &mut self.attribution);
                self.runs.touched.extend(unseen);
                self.runs.watched = Some(revision);
                None
            }
            Event::LookedAtAll { began } => {
                let unseen = self.watches.renew(&began, &mut self.attribution);
                self.runs.touched.extend(unseen);
                None
            }
            Event::Ask { request, reply } => self.ask(request, reply),
            Event::Touched(touches) => {
                self.attribution.take();
                let promises = self.watches.promises(&touches);
                if promises.is_empty() {
                    return None;
                }
                self.attribution.touched(&promises);
                if self.runs.under_way {
                    self.runs.touched.extend(promises);
                    return None;
                }
                self.step(Input::Drift { promises })
            }
            Event::Hangup => {
                self.reload();
                let by = self.clients.nobody();
                self.step(Input::Asked { by, request: Request::Run { only: None } })
            }
            Event::Upgraded => self.look_at_binary(),
            Event::Terminate => {
                tracing::info!("asked to end");
                self.step(Input::Shutdown(Shutdown::Stop))
            }
        }
    }

    fn run_ended(&mut self, revision: Revision, result: RunResult) -> Option<Ended> {
        self.attribution.run_ends(&result);
        match &result {
            RunResult::Finished(report) => self.tell(&revision, report),
            RunResult::Crashed(_) | RunResult::Busy(_) | RunResult::NotStarted(_) => {}
        }
        self.runs.under_way = false;
        let ended = self.step(Input::RunEnded { revision, result });
        ended.or_else(|| self.after_run())
    }

    /// Our own writes are no drift; what others wrote meanwhile is looked at once.
    fn after_run(&mut self) -> Option<Ended> {
        self.runs.touched.extend(self.watches.refresh(&mut self.attribution));
        let touched = std::mem::take(&mut self.runs.touched);
        let promises: Vec<PromiseId> = touched.into_iter().collect();
        if !promises.is_empty()
            && let Some(ended) = self.step(Input::Drift { promises })
        {
            return Some(ended);
        }
        self.look_at_binary()
    }

    fn look_at_binary(&mut self) -> Option<Ended> {
        match self.binary.look(&self.setup.program) {
            binary::Look::Same => None,
            binary::Look::Broken(words) => {
                let words =
                    format!("the new binary does not work, so this one keeps running: {words}");
                tracing::error!("{words}");
                None
            }
            binary::Look::Works => {
                tracing::info!("a new binary is installed: restarting into it");
                self.step(Input::Shutdown(Shutdown::Reexecute))
            }
        }
    }

    fn ask(&mut self, request: v1::Request, reply: oneshot::Sender<Reply>) -> Option<Ended> {
        let now = Timestamp::now();
        match request {
            v1::Request::Status {} => {
                let known = self.agent.others_waiting(now);
                let mut status = v1::Status::from(&Status { known, ..self.status(now) });
                revisions::name(&mut status, &self.setup.layout);
                // Plain data, whose serialization cannot fail.
                let text = serde_json::to_string(&status).unwrap_or_default();
                let _gone = reply.send(Reply::Status(text));
                None
            }
            v1::Request::Metrics {} => {
                let text = metrics::text(&self.status(now), now);
                let _gone = reply.send(Reply::Metrics(text));
                None
            }
            other @ (v1::Request::Run { .. }
            | v1::Request::Adopt { .. }
            | v1::Request::Suspend { .. }
            | v1::Request::Resume {}
            | v1::Request::Reload {}) => {
                let request = other.into_domain()?;
                let by = self.clients.add(reply);
                self.step(Input::Asked { by, request })
            }
        }
    }
}
