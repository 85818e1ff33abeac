//! What the machine shows of packages, and what it says of one.

use super::Package;
use super::apply::transactions;
use super::desired::{Desired, Presence, is_gone, within};
use super::plan::age;
use super::state::{State, is_there};
use crate::kind::{Fingerprint, Kind as _, refuses};
use sha2::{Digest as _, Sha256};
use steadfast_system::packages::version::Version;
use steadfast_system::packages::{Look, Transaction};
use steadfast_system::{PackageName, Probe, SystemError};

pub(super) fn observe(wants: &[&Desired], sys: &dyn Probe) -> Vec<Result<State, SystemError>> {
    let names: Vec<&PackageName> = wants.iter().map(|it| &it.name).collect();
    let looks = match sys.package_looks(&names) {
        Ok(looks) => looks,
        Err(error) => return vec![Err(error); wants.len()],
    };
    let asked: Vec<bool> =
        wants.iter().zip(&looks).map(|(want, look)| needs_apt(want, look)).collect();
    let about: Vec<&PackageName> =
        names.iter().zip(&asked).filter(|(_, asked)| **asked).map(|(name, _)| *name).collect();
    let suites =
        wants.iter().zip(&asked).any(|(want, asked)| *asked && want.options.from.is_some());
    let answers = if about.is_empty() { Ok(vec![]) } else { sys.offers(&about, suites) };
    let lists = if about.is_empty() { None } else { Some(sys.apt_lists()) };
    let mut next = 0;
    let mut states: Vec<Result<State, SystemError>> = looks
        .into_iter()
        .zip(asked)
        .map(|(look, asked)| {
            let Some(lists) = lists.clone().filter(|_| asked) else {
                return Ok(State { look, apt: None, foreseen: None });
            };
            let answers = answers.as_ref().map_err(Clone::clone)?;
            let offers = answers.get(next).cloned().flatten();
            next += 1;
            Ok(State { look, apt: Some((offers, lists)), foreseen: None })
        })
        .collect();
    foresee(wants, &mut states, sys);
    states
}

/// Asks apt what would become of the transactions that would follow, so that a forecast does not promise
/// what a run then refuses. Nothing is asked where nothing would be changed.
fn foresee(wants: &[&Desired], states: &mut [Result<State, SystemError>], sys: &dyn Probe) {
    let mut acts = vec![];
    for (promise, (want, state)) in wants.iter().zip(states.iter()).enumerate() {
        let Ok(have) = state else { continue };
        let difference = Package::plan(want, have);
        if !refuses(&difference.obstacles) {
            let changes = difference.changes.into_iter().enumerate();
            acts.extend(changes.map(|(at, change)| (promise, at, change)));
        }
    }
    for (options, places) in transactions(&acts) {
        let items = places.iter().map(|(_, _, item)| item.clone()).collect();
        let foreseen = sys.foresee(&Transaction { options, items });
        for ((promise, ..), foreseen) in places.into_iter().zip(foreseen) {
            if let Ok(state) = &mut states[promise] {
                state.foreseen = Some(foreseen);
            }
        }
    }
}

/// Whether dpkg's database is not enough to judge.
pub(super) fn needs_apt(want: &Desired, look: &Look) -> bool {
    if is_gone(want.state) {
        return false;
    }
    let Some(it) = look.installed.as_ref().filter(|it| is_there(it.health) && !it.broken) else {
        return true;
    };
    want.state == Presence::Latest
        || want.options.from.is_some()
        || !within(want.version.as_ref(), it.version.as_ref())
}

pub(super) fn fingerprint(have: &State) -> Fingerprint {
    let mut text = String::from("absent");
    if let Some(it) = have.look.installed.as_ref().filter(|it| is_there(it.health)) {
        text = format!("{} {}", it.architecture, it.version.as_ref().map_or("", Version::as_str));
    }
    Fingerprint { digest: Sha256::digest(text.as_bytes()).into(), changed: have.look.changed }
}

pub(super) fn describe(have: &State) -> Vec<(&'static str, String)> {
    let mut said = vec![];
    match &have.look.installed {
        None => said.push(("state", "not installed".to_owned())),
        Some(it) => {
            said.push(("state", it.health.as_str().to_owned()));
            if let Some(version) = &it.version {
                said.push(("version", version.to_string()));
            }
            said.push(("architecture", it.architecture.to_string()));
            said.push(("hold", it.hold.to_string()));
            said.push(("came as a dependency", have.look.automatic.to_string()));
        }
    }
    for (name, _) in &have.look.provided_by {
        said.push(("provided by", name.to_string()));
    }
    if let Some((offers, lists)) = &have.apt {
        let candidate = offers.as_ref().and_then(|it| it.candidate.as_ref());
        said.push(("candidate", candidate.map_or("none".to_owned(), ToString::to_string)));
        said.push(("apt's lists", age(lists)));
        if let Some(why) = &lists.failed {
            said.push(("sources that are away", why.to_string()));
        }
    }
    said
}
