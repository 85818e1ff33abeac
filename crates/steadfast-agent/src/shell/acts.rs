//! Carries out the actions of the state machine: starts children, answers requests, logs notes.

use super::event::Event;
use super::record::Record;
use super::state::Shell;
use super::{children, trace};
use crate::machine::{Action, Input, Job, Note, RunResult};
use jiff::Timestamp;
use std::time::Duration;
use steadfast_model::Keep;
use steadfast_node::revision::{HighestAccepted, Revision};
use steadfast_node::wire::{FetchTask, PrepareTask, Refusal, RefusalKind, RunReason, RunTask};
use steadfast_store::state_files;
use tokio::time::Instant;
use tracing::Instrument as _;

impl Shell {
    pub(super) fn perform(&mut self, action: Action) {
        match action {
            Action::Fetch { highest, wanted } => self.fetch(highest, wanted),
            Action::Prepare { revision } => self.prepare(revision),
            Action::Run(job) => self.start(job),
            Action::GoBack { from, to } => {
                // The run takes back what was done first, because it is one that goes back.
                self.start(Job {
                    revision: to,
                    reason: RunReason::GoBack,
                    only: None,
                    against: Some(from),
                });
            }
            Action::Note(note) => self.note(&note),
            Action::Reply { to, answer } => self.clients.reply(to, answer),
            Action::WakeAt(at) => {
                let wait = at.duration_since(Timestamp::now());
                let wait = Duration::try_from(wait).unwrap_or_default();
                self.wake = Instant::now() + wait;
            }
            // Done where their consequences are seen to.
            Action::Store(_) | Action::Reload | Action::Shutdown(_) => {}
        }
    }

    fn fetch(&self, highest: HighestAccepted, wanted: Option<Revision>) {
        let memory = self.agent.memory();
        let forced = memory.wanted.as_ref().is_some_and(|it| it.reason.is_some());
        let adopted = [&memory.adopted, &memory.previous].into_iter().flatten();
        let from = memory.trial.iter().map(|it| &it.from);
        let known = memory.known().map(|it| &it.info.revision);
        let keep = adopted.chain(from).map(|it| &it.info.revision).chain(known);
        // A source that was changed begins with a model of its own.
        let model = match highest {
            HighestAccepted::Fresh => None,
            HighestAccepted::At(_) | HighestAccepted::Lost => {
                memory.adopted.as_ref().map(|it| it.model.clone())
            }
        };
        let task = FetchTask {
            settings: self.setup.settings.clone(),
            source: self.settings.source.clone(),
            highest,
            model,
            forced: forced && wanted.is_some(),
            wanted,
            keep: keep.cloned().collect(),
        };
        let child = self.child();
        let send = self.send.clone();
        let timeout = self.settings.source.as_ref().map(|_| self.settings.timeout);
        let wanted = task.wanted.as_ref().map(tracing::field::display);
        let source = task.source.as_ref().map(tracing::field::display);
        let span = tracing::debug_span!("fetch", source, wanted);
        let fetched = async move {
            let result = child
                .fetch(&task, timeout.unwrap_or_default())
                .await
                .unwrap_or_else(|words| Err(Refusal { kind: RefusalKind::Here, words }));
            let _closed = send.send(Event::Input(Input::Fetched(result))).await;
        };
        tokio::spawn(fetched.instrument(span));
    }

    fn prepare(&self, revision: Revision) {
        let task = PrepareTask {
            revision: revision.clone(),
            node: self.agent.config().node.clone(),
            environment: self.settings.environment.as_deref().unwrap_or_default().to_owned(),
            budget: self
                .agent
                .memory()
                .adopted
                .as_ref()
                // Where it only reports, there is nothing that a budget would hold back.
                .filter(|_| self.settings.keep != Keep::Report)
                .map(|it| it.gate.budget)
                .unwrap_or_default(),
        };
        let child = self.child();
        let send = self.send.clone();
        let span = tracing::debug_span!("prepare", %revision);
        let prepared = async move {
            let result = child.prepare(&task).await;
            let input = Input::Prepared { revision, result };
            let _closed = send.send(Event::Input(input)).await;
        };
        tokio::spawn(prepared.instrument(span));
    }

    fn start(&mut self, job: Job) {
        self.runs.under_way = true;
        self.runs.count += 1;
        let span = self.run_span(&job);
        let Job { revision, reason, only, against } = job;
        let suspended = self.agent.suspended(Timestamp::now()).map(str::to_owned);
        let task = RunTask {
            reason,
            node: self.agent.config().node.clone(),
            environment: self.settings.environment.as_deref().unwrap_or_default().to_owned(),
            report_only: self.settings.keep == Keep::Report || suspended.is_some(),
            suspended,
            verify: self.settings.verify.as_secs(),
            // A step brings other promises.
            watch: self.runs.watched.as_ref() != Some(&revision) || reason == RunReason::Step,
            changed: self.attribution.run_begins(only.as_ref()),
            revision: revision.clone(),
            only,
            against,
        };
        let child = self.child();
        let send = self.send.clone();
        let ran = async move {
            let result: RunResult = child.run(&task, &send).await;
            let input = Input::RunEnded { revision, result };
            let _closed = send.send(Event::Input(input)).await;
        };
        tokio::spawn(ran.instrument(span));
    }

    /// What is told of a run is told as part of it, and of the trial that it belongs to.
    fn run_span(&self, job: &Job) -> tracing::Span {
        let Job { revision, reason, only, against: _ } = job;
        let (run, reason) = (self.runs.count, reason.word());
        let promises = only.as_ref().map(trace::named);
        let trial = self.trial.as_ref().and_then(|(_, span)| span.id());
        tracing::debug_span!(parent: trial, "run", run, reason, %revision, promises)
    }

    fn child(&self) -> children::Starter {
        children::Starter {
            state: self.setup.state.clone(),
            credentials: self.setup.credentials.clone(),
            filter: self.setup.filter.clone(),
            alive: self.children.clone(),
        }
    }

    fn note(&mut self, note: &Note) {
        Record::from_note(note, |promise| self.attribution.changer_of(promise)).tell();
        if let Note::Adopted { .. } = note {
            self.settle_name();
        }
    }

    /// From the first adoption on the node's name is not asked of anybody again.
    fn settle_name(&self) {
        let path = self.setup.layout.node_name();
        // One that cannot be read is known all the same.
        let is_new = state_files::read(&path).is_ok_and(|it| it.is_none());
        if is_new && let Err(err) = state_files::write(&path, self.setup.host.as_bytes()) {
            tracing::warn!("the node's name cannot be stored: {err}");
        }
    }
}
