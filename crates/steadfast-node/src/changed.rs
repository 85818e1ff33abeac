//! Change attribution from the logs of apt and dpkg: who changed what a run repairs.

use crate::wire::Changed;
use steadfast_system::PackageName;
use steadfast_system::attribution::Changer;
use steadfast_system::packages::log::Logs;

/// What the package manager was told: where a package is what was promised, or where it wrote a file. It is
/// looked up when a run is done: apt writes it down after dpkg has begun, and a run waits for its lock.
pub fn look_up_packages(changed: &mut [Changed]) {
    let logs = Logs::default();
    changed.iter_mut().for_each(|it| look_up(it, &logs));
}

fn look_up(changed: &mut Changed, logs: &Logs) {
    let package = Some(&changed.promise)
        .filter(|it| it.kind() == "package")
        .and_then(|it| PackageName::parse(it.name()).ok());
    let changers = &mut changed.changers;
    let by_apt = changers.iter().rposition(Changer::may_be_by_apt);
    let seen = changers.iter().any(Changer::is_about_packages);
    let work = match &package {
        _ if by_apt.is_some() => logs.asked_of_apt(package.as_ref(), changed.since),
        // dpkg's log does not say who, but that is better than nothing.
        Some(package) if !seen => logs
            .asked_of_apt(Some(package), changed.since)
            .or_else(|| logs.done_by_dpkg(package, changed.since)),
        Some(_) | None => None,
    };
    let Some(work) = work else { return };
    let last = by_apt.map(|it| changers.remove(it));
    // apt has dpkg start many times for one command.
    changers.retain(|it| !it.may_be_by_apt());
    let at = changed.since;
    let unseen = Changer { at, pid: None, process: None, work: None };
    changers.push(Changer { work: Some(work), ..last.unwrap_or(unseen) });
}
