//! Processes that were asked lately who they are: most do not live long.

use std::collections::VecDeque;
use std::time::{Duration, Instant};
use steadfast_system::attribution::{Event, Process};

/// Processes that were asked lately are remembered for their next event, when they may have ended.
const RECENT: usize = 64;
const RECENTLY: Duration = Duration::from_secs(1);
/// So many are asked in a second: somebody who writes a promised file without end costs no more.
pub(super) const ASKED: u32 = 300;

/// Processes that were asked lately.
#[derive(Default)]
pub(super) struct Recent {
    processes: VecDeque<(i32, Instant, Process)>,
    /// Since when this many were asked.
    asked: Option<(Instant, u32)>,
}

impl Recent {
    /// The process of an event, asked where it lives and not too many were.
    pub(super) fn about(
        &mut self,
        event: &Event,
        now: Instant,
        ask: impl FnOnce(i32) -> Option<Process>,
    ) -> Option<Process> {
        let lives = !event.ended && event.pid != 0;
        let asked = if lives && self.may_ask(now) { ask(event.pid) } else { None };
        self.processes.retain(|(_, at, _)| now.duration_since(*at) < RECENTLY);
        let known = self.processes.iter().position(|(pid, _, _)| *pid == event.pid);
        match (asked, known) {
            (Some(process), known) => {
                let known = known.and_then(|it| self.processes.remove(it)).map(|it| it.2);
                let process = known.filter(|it| is_ending(&process, it)).unwrap_or(process);
                if self.processes.len() >= RECENT {
                    self.processes.pop_front();
                }
                self.processes.push_back((event.pid, now, process.clone()));
                Some(process)
            }
            (None, Some(known)) => self.processes.get(known).map(|(_, _, it)| it.clone()),
            (None, None) => None,
        }
    }

    fn may_ask(&mut self, now: Instant) -> bool {
        let in_time = |it: &(Instant, u32)| now.duration_since(it.0) < Duration::from_secs(1);
        let (since, count) = self.asked.filter(in_time).unwrap_or((now, 0));
        self.asked = Some((since, count.saturating_add(1)));
        count < ASKED
    }
}

/// One that is about to end has a name still, and no command line any more, nor a group: what is known of it
/// from before is more.
fn is_ending(process: &Process, before: &Process) -> bool {
    let has_command = process.command.is_some() || process.arguments > 0;
    !has_command && (&process.name, &process.user) == (&before.name, &before.user)
}
