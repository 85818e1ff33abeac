//! The loop: whatever happens is brought to the machine, and what the machine decides is done.

use super::event::Event;
use super::setup::Ended;
use super::state::Shell;
use super::{signals, stored, trace};
use crate::machine::{Action, Answer, Input, Shutdown};
use jiff::{SignedDuration, Timestamp};
use std::collections::VecDeque;
use std::time::Duration;
use steadfast_system::memory;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// The longest sleep, so that a clock that was set is noticed.
const NAP: Duration = Duration::from_secs(60);
/// A difference between the clocks that is no mere slewing.
const JUMP: SignedDuration = SignedDuration::from_secs(2);

impl Shell {
    pub(super) async fn turn(&mut self, mut receive: mpsc::Receiver<Event>) -> Ended {
        let mut clocks = (Timestamp::now(), Instant::now());
        let ping = sd_notify::watchdog_enabled().map_or(NAP, |it| it / 2);
        let mut worked = true;
        loop {
            let until = self.wake.min(Instant::now() + NAP.min(ping));
            let event = tokio::time::timeout_at(until, receive.recv()).await;
            self.manager.ping();
            if event.is_err() && std::mem::take(&mut worked) {
                memory::give_back();
                memory::unmap_code();
            }
            worked |= event.is_ok();
            let now = (Timestamp::now(), Instant::now());
            let by = now.0.duration_since(clocks.0)
                - SignedDuration::try_from(now.1 - clocks.1).unwrap_or_default();
            clocks = now;
            let mut ended = None;
            if by.abs() > JUMP {
                ended = self.step(Input::ClockJumped { by });
            }
            if event.is_err()
                && let Some(input) = self.look_at_wrong_settings()
            {
                ended = ended.or(self.step(input));
            }
            let next = match event {
                Ok(Some(event)) => self.happened(event),
                // There is always a sender: this one's own.
                Ok(None) => Some(Ended::Stopped),
                Err(_) if Instant::now() >= self.wake => self.step(Input::Woke),
                Err(_) => None,
            };
            match next.or(ended) {
                Some(Ended::Stopped) => return Ended::Stopped,
                Some(Ended::Reexecute) if signals::asked_to_end(&mut receive).await => {
                    // Work is not under way, or it would not be time to become another.
                    let _stopped = self.happened(Event::Terminate);
                    return Ended::Stopped;
                }
                Some(Ended::Reexecute) => return Ended::Reexecute,
                None => {}
            }
        }
    }

    /// Gives the machine an input, and does what it says; also what follows from that.
    pub(super) fn step(&mut self, input: Input) -> Option<Ended> {
        let mut inputs = VecDeque::from([input]);
        let mut ended = None;
        while let Some(input) = inputs.pop_front() {
            trace::input(&input);
            let actions = self.agent.handle(input, Timestamp::now());
            self.notice_trial();
            let mut stored = true;
            for action in actions {
                let anyway = matches!(action, Action::WakeAt(_) | Action::Store(_));
                if !stored && !anyway {
                    if let Action::Reply { to, answer: _ } = action {
                        let words = "the agent's state cannot be stored".to_owned();
                        self.clients.reply(to, Answer::Refused(words));
                    }
                    continue;
                }
                trace::action(&action);
                match action {
                    Action::Store(memory) => {
                        if let Err(err) = stored::store(&self.setup.layout.state, &memory) {
                            stored = false;
                            inputs.push_front(Input::NotStored { why: err.to_string() });
                        }
                    }
                    Action::Reload => inputs.extend(self.reloaded()),
                    Action::Shutdown(Shutdown::Stop) => ended = Some(Ended::Stopped),
                    Action::Shutdown(Shutdown::Reexecute) => ended = Some(Ended::Reexecute),
                    other @ (Action::Fetch { .. }
                    | Action::Prepare { .. }
                    | Action::Run(_)
                    | Action::GoBack { .. }
                    | Action::Note(_)
                    | Action::Reply { .. }
                    | Action::WakeAt(_)) => self.perform(other),
                }
            }
        }
        self.say_status();
        self.write_textfile();
        ended
    }

    /// A trial is told as one from its first run to its end.
    fn notice_trial(&mut self) {
        let memory = self.agent.memory();
        let (Some(trial), Some(adopted)) = (&memory.trial, &memory.adopted) else {
            self.trial = None;
            return;
        };
        let (revision, before) = (&adopted.info.revision, &trial.from.info.revision);
        if self.trial.as_ref().is_none_or(|(known, _)| known != revision) {
            let span = tracing::debug_span!("trial", %revision, %before);
            self.trial = Some((revision.clone(), span));
        }
    }
}
