//! The thread that reads from the kernel which process has touched what.

use super::recent::Recent;
use super::seen::{Seen, Sighting, note};
use crate::shell::children::Alive;
use crate::shell::signals;
use jiff::Timestamp;
use std::sync::atomic::Ordering;
use std::time::Duration;
use steadfast_system::attribution::{self, Changer, Event, Group, Process};
use steadfast_system::packages::OUR_UNITS;

/// Between two readings. The first after a while is at once; a program that writes without end is worth
/// no more than this.
const PAUSE: Duration = Duration::from_millis(2);
/// What one reading takes.
const BUFFER: usize = 16 * 1024;
/// So many readings in a row at most. The kernel keeps 16,384 events, and this is room for more.
const READINGS: usize = 128;

/// What is ours: this process, its children, and the units in which packages are worked on.
pub(super) struct Own {
    unit: Option<String>,
    children: Alive,
}

/// Our unit, where it is a service. Started by hand we share one with whoever started us.
fn own_service() -> Option<String> {
    attribution::own_unit().filter(|it| it.ends_with(".service"))
}

impl Own {
    pub(super) fn new(children: Alive) -> Own {
        Own { unit: own_service(), children }
    }

    fn is(&self, process: &Process) -> bool {
        let unit = process.unit.as_deref();
        (unit.is_some() && unit == self.unit.as_deref())
            || unit.is_some_and(|it| it.starts_with(OUR_UNITS) && it.ends_with(".service"))
            || self.children.leads(process.group)
    }
}

/// Reads until there is nothing to read from any more.
pub(super) fn listen(group: &Group, seen: &Seen, own: &Own) {
    // Signals are for the loop, which holds them back while another program takes over: here they would
    // be taken, and be lost. Where they cannot be held, that is a matter of one moment.
    let _held = signals::hold();
    let pid = i32::try_from(std::process::id()).unwrap_or_default();
    let mut reader = Reader { own, pid, buffer: vec![0; BUFFER], recent: Recent::default() };
    loop {
        if group.wait().is_err() {
            return;
        }
        if seen.round(|| reader.read_all(group, seen)).is_err() {
            return;
        }
        std::thread::sleep(PAUSE);
    }
}

/// What reads, and what it remembers from one reading to the next.
struct Reader<'a> {
    own: &'a Own,
    pid: i32,
    buffer: Vec<u8>,
    recent: Recent,
}

impl Reader<'_> {
    /// Notes all that there is, or as much of it as somebody who writes without end is worth.
    fn read_all(&mut self, group: &Group, seen: &Seen) -> std::io::Result<()> {
        for _ in 0..READINGS {
            let told = group.read(&mut self.buffer)?;
            if told.is_empty() {
                break;
            }
            let at = Timestamp::now().as_microsecond();
            told.into_iter().for_each(|it| self.note(it, at, seen));
        }
        Ok(())
    }

    fn note(&mut self, event: Event, at: i64, seen: &Seen) {
        if event.pid == self.pid || !seen.matters(&event) {
            return;
        }
        let now = tokio::time::Instant::now().into_std();
        let process = self.recent.about(&event, now, attribution::ask);
        let ours = match &process {
            Some(process) => self.own.is(process),
            None => event.pid != 0 && seen.running.load(Ordering::Relaxed),
        };
        if !ours {
            let Event { pid, ended: _, act, place, name } = event;
            let changer = Changer { at, pid: Some(pid), process, work: None };
            note(&mut seen.sightings(), Sighting { place, name, act, changer });
        }
    }
}
