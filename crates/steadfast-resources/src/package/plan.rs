//! What separates a package from the promise.

use super::change::{Act, Change};
use super::desired::{Desired, Presence, is_gone, within};
use super::state::{State, is_there};
use crate::identity::Identity;
use crate::kind::{Difference, Obstacle, Refusal, refuses};
use std::sync::Arc;
use std::time::Duration;
use steadfast_system::AbsPath;
use steadfast_system::packages::version::Version;
use steadfast_system::packages::{
    Along, Conffiles, Goal, Health, Interruption, Item, Lists, Verdict,
};

pub(super) fn plan(want: &Desired, have: &State) -> Difference<Change> {
    let mut difference =
        if is_gone(want.state) { plan_gone(want, have) } else { plan_there(want, have) };
    if !difference.changes.is_empty() && have.look.interruption == Some(Interruption::Foreign) {
        difference.changes.clear();
        difference.obstacles = vec![Obstacle::refused(Refusal::machine(
            "dpkg was interrupted by somebody else: run `dpkg --configure -a`, or allow it with `repair_dpkg: true`",
        ))];
    }
    // Whatever is done to a package that dpkg has left half done runs the script again that failed.
    let half_done = have.look.installed.as_ref().is_some_and(|it| it.broken || it.health.is_cut());
    if half_done && difference.changes.iter().any(runs_scripts) && !refuses(&difference.obstacles) {
        difference.obstacles.push(Obstacle::Unknown(
            "its scripts failed or were interrupted; whether they succeed now is known when they have run"
                .to_owned(),
        ));
    }
    let unpacks =
        |it: &Change| matches!(it, Change::Install(_) | Change::Upgrade(_) | Change::Downgrade(_));
    if want.options.conffiles == Conffiles::Fail && difference.changes.iter().any(unpacks) {
        difference.obstacles.push(Obstacle::Unknown(
            "whether changed configuration files prevent it is known only when the package is downloaded"
                .to_owned(),
        ));
    }
    if difference.changes.iter().any(|it| it.act().is_some()) && !refuses(&difference.obstacles) {
        doubt(have, &mut difference);
    }
    difference.notes.extend(
        have.look.leftovers.iter().map(|it| format!("{it} was left beside the file that was kept")),
    );
    difference
}

fn runs_scripts(change: &Change) -> bool {
    change.act().is_some() || matches!(change, Change::Configure { .. })
}

/// Where what apt offers, and how it chooses, is set.
const APT_SETTINGS: &str = "/etc/apt";

/// What may yet speak against a transaction, as far as apt can tell; what comes with it is a note.
fn doubt(have: &State, difference: &mut Difference<Change>) {
    let settings = || AbsPath::parse(APT_SETTINGS).ok().map(Identity::Path).into_iter().collect();
    if let Some(foreseen) = &have.foreseen {
        match &foreseen.verdict {
            Verdict::Goes => {}
            Verdict::Refused(words) => difference
                .obstacles
                .push(Obstacle::InTheWay { of: settings(), why: Refusal::machine(words.clone()) }),
            Verdict::Unknown(words) => difference.obstacles.push(Obstacle::Unknown(words.clone())),
        }
        difference.notes.extend(along(&foreseen.along));
        let is_removed = |it: &&Along| matches!(it, Along::Removed { .. });
        let removed = foreseen.along.iter().filter(is_removed).count() as u64;
        if let Some(change) = difference.changes.iter_mut().find(|it| it.act().is_some()) {
            change.set_also_removes(removed);
        }
    }
    if let Some((_, lists)) = &have.apt {
        difference.obstacles.push(Obstacle::HangsOn(settings()));
        let is_chosen = |it: &Change| match it.act() {
            Some((_, act)) => matches!(act.item.goal, Goal::Install { version: Some(_), .. }),
            None => false,
        };
        if lists.stale && difference.changes.iter().any(is_chosen) {
            difference.obstacles.push(Obstacle::Presumed(format!(
                "apt's lists {}; they are fetched first",
                freshness(lists)
            )));
        }
    }
}

/// Of each kind so many are named.
const NAMED: usize = 20;

/// What else a transaction does, a line for each kind of it.
fn along(others: &[Along]) -> Vec<String> {
    let (mut gone, mut new, mut changed) = (vec![], vec![], vec![]);
    for other in others {
        match other {
            Along::Removed { name } => gone.push(name.to_string()),
            Along::Installed { name, version } => new.push(format!("{name} {version}")),
            Along::Changed { name, old, new } => changed.push(format!("{name} {old} -> {new}")),
        }
    }
    let mut lines = vec![];
    // What goes is named whole: somebody allowed it by name.
    if !gone.is_empty() {
        lines.push(format!("its transaction also removes {}", gone.join(", ")));
    }
    for (verb, named) in [("installs", new), ("changes", changed)] {
        let more = match named.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        if !named.is_empty() {
            let named = named[..named.len().min(NAMED)].join(", ");
            lines.push(format!("its transaction also {verb} {named}{more}"));
        }
    }
    lines
}

fn act(want: &Desired, goal: Goal, have: Option<&Version>, held: bool) -> Arc<Act> {
    Arc::new(Act {
        item: Item {
            package: want.name.clone(),
            goal,
            allow_downgrade: want.allow_downgrade,
            removals: want.allow_removals.clone(),
            going: Arc::clone(&want.going),
            stays: Arc::clone(&want.stays),
            debconf: want.debconf.clone(),
            held: held && want.hold == Some(true),
        },
        options: want.options.clone(),
        have: have.cloned(),
        also_removes: 0,
    })
}

fn held_by_others(difference: Difference<Change>, what: &str) -> Difference<Change> {
    Difference {
        changes: vec![],
        obstacles: vec![Obstacle::refused(Refusal::machine(format!(
            "it would have to be {what}, and somebody else holds it; `hold: false` takes that away"
        )))],
        ..difference
    }
}

fn plan_gone(want: &Desired, have: &State) -> Difference<Change> {
    let Some(it) = &have.look.installed else { return Difference::none() };
    let package = want.name.clone();
    let only_files = it.health == Health::ConfigFiles;
    let purge = want.state == Presence::Purged;
    let mut changes = vec![];
    if it.hold && want.hold == Some(false) {
        changes.push(Change::Unhold { package });
    }
    if only_files && !purge {
        return Difference::new(changes);
    }
    if it.essential && !only_files {
        return Difference::refused(Refusal::model(
            "it is essential: the system does not work without it",
        ));
    }
    let version = it.version.as_ref().filter(|_| !only_files);
    changes.push(if purge {
        Change::Purge(act(want, Goal::Purge, version, it.hold))
    } else {
        Change::Remove(act(want, Goal::Remove, version, it.hold))
    });
    let difference = Difference::new(changes);
    if it.hold && want.hold != Some(false) && !only_files {
        return held_by_others(difference, "removed");
    }
    difference
}

fn plan_there(want: &Desired, have: &State) -> Difference<Change> {
    let look = &have.look;
    let package = || want.name.clone();
    let mut difference = Difference::none();
    let held = look.installed.as_ref().is_some_and(|it| it.hold);
    let step = match &look.installed {
        Some(it) if is_there(it.health) && !it.broken => {
            if it.health.is_cut() {
                difference
                    .changes
                    .push(Change::Configure { package: package(), health: it.health });
            }
            other_version(want, have, it.version.as_ref(), held)
        }
        Some(_) | None => first_version(want, have, held),
    };
    let changes_version = !step.changes.is_empty();
    if changes_version && held && want.hold.is_none() {
        if let Some(Change::LookForNewer(_)) = step.changes.first() {
            difference
                .notes
                .push("somebody else holds it, so no newer version is looked for".to_owned());
        } else {
            return held_by_others(step, "installed in another version");
        }
    } else {
        if held && want.hold == Some(false) {
            difference.changes.push(Change::Unhold { package: package() });
        }
        difference.changes.extend(step.changes);
        difference.obstacles.extend(step.obstacles);
    }
    difference.notes.extend(step.notes);
    let by_another = difference.changes.is_empty() && look.installed.is_none();
    if by_another {
        return difference;
    }
    if want.hold == Some(true) && !held {
        difference.changes.push(Change::Hold { package: package() });
    }
    if look.automatic {
        difference.changes.push(Change::MarkManual { package: package() });
    }
    difference
}

fn goal(want: &Desired, version: Option<&Version>) -> Goal {
    Goal::Install {
        range: want.version.clone(),
        version: version.cloned(),
        latest: want.state == Presence::Latest,
    }
}

/// The package is not there, or not whole.
fn first_version(want: &Desired, have: &State, held: bool) -> Difference<Change> {
    let offers = have.apt.as_ref().and_then(|it| it.0.as_ref());
    let from = want.options.from.as_deref();
    if let Some(version) = offers.and_then(|it| it.choose(want.version.as_ref(), from)) {
        let act = act(want, goal(want, Some(version)), None, held);
        return Difference::new(vec![Change::Install(act)]);
    }
    // A virtual package is there where another one provides it.
    let provider = have
        .look
        .provided_by
        .iter()
        .find(|(_, version)| from.is_none() && within(want.version.as_ref(), version.as_ref()));
    if let (None, Some((name, _))) = (offers, provider) {
        return Difference { notes: vec![format!("{name} provides it")], ..Difference::none() };
    }
    not_offered(want, have, Change::Install(act(want, goal(want, None), None, held)))
}

/// The package is there, in a version that may have to be another one.
fn other_version(
    want: &Desired,
    have: &State,
    version: Option<&Version>,
    held: bool,
) -> Difference<Change> {
    let Some((offers, lists)) = &have.apt else { return Difference::none() };
    let (range, from) = (want.version.as_ref(), want.options.from.as_deref());
    let target = offers.as_ref().and_then(|it| it.choose(range, from));
    let elsewhere = || {
        let offer = offers.as_ref().zip(version).and_then(|(offers, it)| offers.offer(it));
        from.is_some_and(|from| offer.is_some_and(|it| !it.comes_from(from)))
    };
    let wrong = !within(range, version) || elsewhere();
    let too_new = |than: String| {
        let have = version.map_or("", Version::as_str);
        let words = format!("{have} is installed, above {than}, and `allow_downgrade` is false");
        Difference::refused(Refusal::machine(words))
    };
    let Some(target) = target else {
        if wrong {
            let act = act(want, goal(want, None), version, held);
            let above = range.zip(version).filter(|(range, version)| range.is_above(version));
            return match above {
                Some((range, _)) if !want.allow_downgrade => too_new(format!("`{range}`")),
                Some(_) => not_offered(want, have, Change::Downgrade(act)),
                None => not_offered(want, have, Change::Upgrade(act)),
            };
        }
        // It was installed by other means than apt, and that is fine.
        return Difference::none();
    };
    let order = version.map(|it| target.order(it));
    let step = act(want, goal(want, Some(target)), version, held);
    if wrong {
        return match order {
            Some(order) if order.is_lt() && want.allow_downgrade => {
                Difference::new(vec![Change::Downgrade(step)])
            }
            Some(order) if order.is_lt() => too_new(match range {
                Some(range) if !within(Some(range), version) => format!("`{range}`"),
                Some(_) | None => format!("what {} has", from.unwrap_or("the suite")),
            }),
            Some(_) | None => Difference::new(vec![Change::Upgrade(step)]),
        };
    }
    if want.state == Presence::Latest {
        if order.is_none_or(std::cmp::Ordering::is_gt) {
            return Difference::new(vec![Change::Upgrade(step)]);
        }
        if lists.stale {
            let look = act(want, goal(want, None), version, held);
            return Difference {
                obstacles: vec![Obstacle::Unknown(format!("apt's lists {}", freshness(lists)))],
                ..Difference::new(vec![Change::LookForNewer(look)])
            };
        }
    }
    Difference::none()
}

/// Nothing that apt's lists have would do. Newer lists may help, unless they have just been fetched.
fn not_offered(want: &Desired, have: &State, change: Change) -> Difference<Change> {
    let Some((offers, lists)) = &have.apt else { return Difference::new(vec![change]) };
    let what = match offers {
        None => format!("{} is not in apt's lists", want.name),
        Some(offers) => offers.lacking(want.version.as_ref(), want.options.from.as_deref()),
    };
    if let (true, Some(why)) = (lists.refreshed, &lists.failed) {
        let words = format!("{what}; not all sources could be fetched: {why}");
        return Difference::refused(Refusal::machine(words));
    }
    if lists.refreshed {
        return Difference::refused(Refusal::machine(what));
    }
    Difference {
        obstacles: vec![Obstacle::Unknown(format!("{what}; they {}", freshness(lists)))],
        ..Difference::new(vec![change])
    }
}

/// What is known of how fresh lists are: that they `are 3 h old`, or why nobody knows.
fn freshness(lists: &Lists) -> String {
    match &lists.failed {
        Some(why) => format!("could not all be fetched when that was last tried: {why}"),
        None => format!("are {}", age(lists)),
    }
}

/// How old lists are, in words: `3 h old`.
pub(super) fn age(lists: &Lists) -> String {
    let Some(age) = lists.age else { return "not there yet".to_owned() };
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    match Duration::as_secs(&age) {
        seconds if seconds < MINUTE => "new".to_owned(),
        seconds if seconds < HOUR => format!("{} min old", seconds / MINUTE),
        seconds if seconds < 2 * DAY => format!("{} h old", seconds / HOUR),
        seconds => format!("{} days old", seconds / DAY),
    }
}
