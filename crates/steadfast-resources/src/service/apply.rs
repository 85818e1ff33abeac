//! Carrying out what was decided about several units, phase by phase.

use super::change::{Act, Change, FOLDER_MODE, MODE, Phase};
use crate::kind::Applied;
use std::time::Duration;
use steadfast_system::files::{self, Attributes, Expected};
use steadfast_system::services::Settling;
use steadfast_system::{SystemError, services};

/// How many services are started, waited for and asked at one time.
pub(super) const AT_ONCE: usize = 16;

/// Where each promise of a batch stands: its changes, and how it ended.
struct Progress<'a> {
    changes: &'a [Change],
    applied: Applied,
}

impl Progress<'_> {
    fn goes_on(&self) -> bool {
        self.applied == Applied::All
    }

    /// The changes of a phase with their indices, where nothing has failed yet.
    fn phase(&self, phase: Phase) -> Vec<(usize, &Change)> {
        let changes = if self.goes_on() { self.changes } else { &[] };
        changes.iter().enumerate().filter(|(_, it)| it.phase() == phase).collect()
    }

    fn fail(&mut self, at: usize, error: SystemError) {
        if self.goes_on() {
            self.applied = Applied::Failed { at, error };
        }
    }
}

/// Does all of it, and waits until what was started has settled: all of them side by side.
pub(super) fn carry_out<S>(batch: &[&[Change]], sys: &S) -> Vec<Applied>
where
    S: files::Write + services::Write + Sync + ?Sized,
{
    let mut results = act(batch, sys);
    let mut open: Vec<(usize, usize, Settling)> = vec![];
    for (index, changes) in batch.iter().enumerate() {
        if results[index] == Applied::All
            && let Some((at, wait)) = awaited(changes)
        {
            open.push((index, at, wait));
        }
    }
    while !open.is_empty() {
        let mut waits: Vec<Settling> = open.iter().map(|it| it.2.clone()).collect();
        let ended = sys.settled(&mut waits, Duration::MAX);
        let mut left = vec![];
        for (((index, at, _), wait), ended) in open.into_iter().zip(waits).zip(ended) {
            match ended {
                None => left.push((index, at, wait)),
                Some(Ok(())) => {}
                Some(Err(error)) => results[index] = Applied::Failed { at, error },
            }
        }
        open = left;
    }
    results
}

/// What was started by these changes has to settle yet.
pub(super) fn awaited(changes: &[Change]) -> Option<(usize, Settling)> {
    let (at, change) =
        changes.iter().enumerate().rfind(|(_, change)| change.phase() == Phase::Run)?;
    let act = match change {
        Change::Start(act) | Change::Await(act) | Change::Reload(act) | Change::Restart(act) => act,
        Change::MakeFolder { .. }
        | Change::Write { .. }
        | Change::SetAttributes { .. }
        | Change::Stop { .. }
        | Change::Enable { .. }
        | Change::Disable { .. }
        | Change::Mask { .. }
        | Change::Unmask { .. }
        | Change::DaemonReload => return None,
    };
    Some((at, Settling::new(act.unit.clone(), act.settle, act.timeout)))
}

/// Does all of it but to wait for what was started.
pub(super) fn act<S>(batch: &[&[Change]], sys: &S) -> Vec<Applied>
where
    S: files::Write + services::Write + Sync + ?Sized,
{
    let mut all: Vec<Progress<'_>> =
        batch.iter().map(|changes| Progress { changes, applied: Applied::All }).collect();
    write_files(&mut all, sys);
    for progress in &mut all {
        for phase in [Phase::Stop, Phase::Links] {
            let changes = progress.phase(phase);
            if let Some((at, error)) = first_failure(&changes, |change| one(change, sys)) {
                progress.fail(at, error);
            }
        }
    }
    daemon_reload(&mut all, sys);
    let mut running: Vec<&mut Progress<'_>> =
        all.iter_mut().filter(|it| !it.phase(Phase::Run).is_empty()).collect();
    for some in running.chunks_mut(AT_ONCE) {
        std::thread::scope(|scope| {
            for progress in some {
                scope.spawn(|| {
                    let changes = progress.phase(Phase::Run);
                    if let Some((at, error)) = first_failure(&changes, |change| one(change, sys)) {
                        progress.fail(at, error);
                    }
                });
            }
        });
    }
    all.into_iter().map(|it| it.applied).collect()
}

/// The first of these changes that fails, if one does; those after it are not tried.
fn first_failure(
    changes: &[(usize, &Change)],
    mut apply: impl FnMut(&Change) -> Result<(), SystemError>,
) -> Option<(usize, SystemError)> {
    changes.iter().find_map(|(at, change)| apply(change).err().map(|error| (*at, error)))
}

/// The files of all promises share one flush to the disk.
fn write_files<S: files::Write + ?Sized>(all: &mut [Progress<'_>], sys: &S) {
    let mut new = vec![];
    let mut places = vec![];
    for (index, progress) in all.iter_mut().enumerate() {
        let changes = progress.phase(Phase::Files);
        let failure = first_failure(&changes, |change| match change {
            Change::MakeFolder { path } => {
                sys.make_directory(path, 0, 0, FOLDER_MODE, &Expected::Nothing)
            }
            Change::SetAttributes { path, seen, was: _ } => {
                let wanted = Attributes { uid: Some(0), gid: Some(0), mode: Some(MODE) };
                sys.set_attributes(&[(path, seen, wanted)]).into_iter().collect()
            }
            Change::Write { .. }
            | Change::Stop { .. }
            | Change::Enable { .. }
            | Change::Disable { .. }
            | Change::Mask { .. }
            | Change::Unmask { .. }
            | Change::DaemonReload
            | Change::Start(_)
            | Change::Await(_)
            | Change::Reload(_)
            | Change::Restart(_) => Ok(()),
        });
        if let Some((at, error)) = failure {
            progress.fail(at, error);
            continue;
        }
        for (at, change) in changes {
            if let Change::Write { file, .. } = change {
                new.push(file.clone());
                places.push((index, at));
            }
        }
    }
    if new.is_empty() {
        return;
    }
    for ((index, at), result) in places.into_iter().zip(sys.write_files(&new)) {
        if let Err(error) = result
            && let Some(progress) = all.get_mut(index)
        {
            progress.fail(at, error);
        }
    }
}

/// Once for all that need it: unit files were written, or links changed.
fn daemon_reload<S: services::Write + ?Sized>(all: &mut [Progress<'_>], sys: &S) {
    let needs = |progress: &Progress<'_>| {
        progress
            .phase(Phase::DaemonReload)
            .first()
            .map(|(at, _)| *at)
            .or_else(|| progress.phase(Phase::Links).last().map(|(at, _)| *at))
    };
    if !all.iter().any(|it| needs(it).is_some()) {
        return;
    }
    if let Err(error) = sys.daemon_reload() {
        for progress in all {
            if let Some(at) = needs(progress) {
                progress.fail(at, error.clone());
            }
        }
    }
}

fn one<S: services::Write + ?Sized>(change: &Change, sys: &S) -> Result<(), SystemError> {
    let act = |act: &Act, how: &dyn Fn() -> Result<(), SystemError>| {
        sys.validate(&act.validate)?;
        how()
    };
    match change {
        Change::Stop { unit, timeout } => sys.stop(unit, *timeout),
        Change::Enable { unit } => sys.enable(unit),
        Change::Disable { unit } => sys.disable(unit),
        Change::Mask { unit } => sys.mask(unit),
        Change::Unmask { unit } => sys.unmask(unit),
        Change::Start(it) => act(it, &|| sys.start(&it.unit, it.timeout)),
        Change::Restart(it) => act(it, &|| sys.restart(&it.unit, it.timeout)),
        Change::Reload(it) => act(it, &|| sys.reload(&it.unit, it.timeout)),
        // It is under way already.
        Change::Await(_) => Ok(()),
        // Done for the whole batch.
        Change::MakeFolder { .. }
        | Change::Write { .. }
        | Change::SetAttributes { .. }
        | Change::DaemonReload => Ok(()),
    }
}
