//! What is asked of promises of all kinds at once.

use crate::directory::{self, AloneTree, Directory};
use crate::file::{self, Alone, File};
use crate::group::Group;
use crate::identity::Identity;
use crate::kind::{Applied, Difference, Kind as _, Refusal, Turn};
use crate::kinds::{Looks, Row};
use crate::made::Made;
use crate::package::{self, Package};
use crate::paths::Inherited;
use crate::undo::{self, About, Effect, Facet, FacetState, Now};
use crate::{Change, KINDS, Resource, State};
use std::collections::BTreeSet;
use std::sync::Arc;
use steadfast_model::{Lower, Node, Promise, Value, codes};
use steadfast_system::packages::Stays;
use steadfast_system::services::Settling;
use steadfast_system::{AbsPath, Actuate, ErrorKind, Probe, SystemError};

/// Reads one promise of a model. A promise about a group with members has two parts, because groups
/// come before users and memberships after both.
pub fn lower(promise: &Promise, cx: &mut Lower<'_>) -> Option<Vec<Resource>> {
    let (name, body) = (&promise.name, &promise.body);
    // Sections are a closed list, and each of its kinds has a row.
    let kind = KINDS.iter().find(|it| it.name == promise.kind)?;
    if let Node::Scalar(scalar) = body
        && scalar.value.value == Value::Null
    {
        let message = format!("{} `{}` says nothing: {}", promise.kind, name.value, kind.may_say);
        cx.error(codes::WRONG_TYPE, name.span, message);
        return None;
    }
    let whole = (kind.lower)(name, body, cx)?;
    let members = Group::as_want(&whole).and_then(|it| it.members.clone()).map(Resource::Members);
    Some(std::iter::once(whole).chain(members).collect())
}

/// Tells each what the run takes away.
pub fn relate_going(all: &mut [&mut Resource], going: &[Identity]) {
    if going.is_empty() {
        return;
    }
    for resource in all.iter_mut() {
        of_kind!(Resource, &mut **resource, K, want => K::set_going(want, going));
    }
}

/// Tells each package which others are promised to be there, where installing it could change that: those that
/// have to be in certain versions, and those that it has leave to remove.
pub fn relate_packages(all: &mut [&mut Resource]) {
    let there = |it: &&mut Resource| Package::as_want(it).and_then(package::Desired::staying);
    let there: Vec<Stays> = all.iter().filter_map(there).collect();
    for resource in all.iter_mut() {
        if let Resource::Package(want) = &mut **resource {
            want.set_staying(&there);
        }
    }
}

/// Tells every directory that purges which paths others promise below it, and every promise what others make
/// where it reaches.
pub fn relate(all: &mut [&mut Resource]) {
    relate_made(all);
    relate_let_go(all);
    let mut paths: Vec<(AbsPath, usize)> = all
        .iter()
        .enumerate()
        .filter(|(_, it)| !it.is_absent())
        .flat_map(|(at, it)| it.claims().into_iter().map(move |claim| (claim, at)))
        .filter_map(|(it, at)| Some((it.as_path()?.clone(), at)))
        .collect();
    paths.sort();
    for (at, resource) in all.iter_mut().enumerate().filter(|(_, it)| it.rules_below()) {
        let Some(folder) = resource.folder() else { continue };
        // In their order, those below a directory stand beside each other.
        let prefix = format!("{}/", folder.as_str().trim_end_matches('/'));
        let from = paths.partition_point(|(it, _)| it.as_str() <= &*prefix);
        let below = paths[from..].iter().take_while(|(it, _)| it.as_str().starts_with(&prefix));
        let of_others = below.filter(|(_, of)| *of != at);
        let below = of_others.map(|(it, _)| it.clone()).collect();
        of_kind!(Resource, &mut **resource, K, want => K::set_promised(want, below));
    }
}

/// Tells what is to be absent where another promise lets go of it first. A group whose number another one may
/// wait for goes early all the same, but where a user leaves the group of its own name.
fn relate_let_go(all: &mut [&mut Resource]) {
    let own = all.iter().any(|it| it.turn() == Turn::NumberedGroups);
    let lets_go = |other: &Resource, thing: &Identity| of_kind!(Resource, other, K, want => K::lets_go(want, thing, own));
    let goes = |it: &Resource| {
        it.turn() == Turn::GroupsGo
            && it.claims().iter().any(|thing| all.iter().any(|other| lets_go(other, thing)))
    };
    let going: Vec<bool> = all.iter().map(|it| goes(it)).collect();
    for (resource, _) in all.iter_mut().zip(going).filter(|(_, goes)| *goes) {
        of_kind!(Resource, &mut **resource, K, want => K::set_let_go(want));
    }
}

fn relate_made(all: &mut [&mut Resource]) {
    let mut made: Vec<(Option<AbsPath>, Made)> = vec![];
    let mut shared = BTreeSet::new();
    for it in all.iter().flat_map(|it| it.makes()) {
        // Many promises have a part in one file.
        if !matches!(&it, Made::Shared(path) if !shared.insert(path.clone())) {
            made.push((it.path(), it));
        }
    }
    if made.is_empty() {
        return;
    }
    for resource in all.iter_mut() {
        of_kind!(Resource, &mut **resource, K, want => {
            let Some((path, below)) = K::reaches(want) else { continue };
            let there: Arc<[Made]> = (made.iter())
                .filter(|(known, it)| it.may_be_at(known.as_ref(), path, below))
                .map(|(_, it)| it.clone())
                .collect();
            if !there.is_empty() {
                K::set_made(want, there);
            }
        });
    }
}

/// Looks at all of them, one batch for each kind; one result for each, in their order. While another process is
/// asked about some, the others are looked at.
pub fn observe(wants: &[&Resource], sys: &dyn Probe) -> Vec<Result<State, SystemError>> {
    let look = |asks: bool| {
        let mut looks: Looks<State> = wants.iter().map(|_| None).collect();
        let kinds = KINDS.iter().filter(|it| it.asks == asks);
        kinds.for_each(|kind| (kind.observe)(wants, sys, &mut looks));
        looks
    };
    let asks = |want: &&Resource| of_kind!(Resource, *want, K, _it => K::ASKS);
    let (asked, seen) = if wants.iter().any(asks) && !wants.iter().all(asks) {
        std::thread::scope(|threads| {
            let asked = threads.spawn(|| look(true));
            let seen = look(false);
            (asked.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), seen)
        })
    } else {
        (look(true), look(false))
    };
    answered(asked.into_iter().zip(seen).map(|(asked, seen)| asked.or(seen)).collect())
}

fn answered<T>(looks: Looks<T>) -> Vec<Result<T, SystemError>> {
    let none = || Err(SystemError::new(ErrorKind::Other, "the look gave no answer"));
    looks.into_iter().map(|it| it.unwrap_or_else(none)).collect()
}

/// What separates the machine from the promise. Pure.
pub fn plan(want: &Resource, have: &State) -> Difference<Change> {
    of_kind!(Resource, want, K, want => match K::as_state(have) {
        Some(have) => K::plan(want, have).map(K::change),
        // A state comes from a look at the same want.
        None => Difference::refused(Refusal::machine("the look was at something else")),
    })
}

/// What was seen of a promise whose verdict hangs on nothing but a file.
pub fn alone<'s>(want: &'s Resource, have: &'s State) -> Option<Alone<'s>> {
    file::alone(File::as_want(want)?, File::as_state(have)?)
}

/// What was seen of a promise whose verdict hangs on nothing but a directory and what is in it.
pub fn alone_tree<'s>(want: &'s Resource, have: &'s State) -> Option<AloneTree<'s>> {
    directory::alone(Directory::as_want(want)?, Directory::as_state(have)?)
}

/// What is promised of a directory itself.
pub fn itself(want: &Resource) -> Option<Resource> {
    Directory::as_want(want).map(|it| Directory::want(directory::itself(it)))
}

/// Tells a look at a directory which names below it other promises have, by other paths.
pub fn set_also_promised(have: &mut State, below: &Arc<[Arc<str>]>) {
    of_kind!(State, have, K, have => K::set_also_promised(have, below));
}

/// The name of what it is another name of, on this machine.
pub fn another_name_of(have: &State) -> Option<&str> {
    of_kind!(State, have, K, have => K::another_name_of(have))
}

/// What is new in a promised directory gets from it, once the promise is kept.
pub fn hands_on(want: &Resource, have: &State) -> Option<Inherited> {
    of_kind!(Resource, want, K, want => {
        K::as_state(have).and_then(|have| K::hands_on(want, have))
    })
}

/// Tells a look what something new will get from its directory.
pub fn set_inherits(have: &mut State, inherits: Option<&Inherited>) {
    of_kind!(State, have, K, have => K::set_inherits(have, inherits));
}

/// Whether what belongs in what it promises can lie there, though not all of it is kept.
pub fn is_place(want: &Resource, have: &State) -> bool {
    of_kind!(Resource, want, K, want => {
        K::as_state(have).is_some_and(|have| K::is_place(want, have))
    })
}

/// Carries out the changes of several promises, those of one kind as one batch; one result for each.
pub fn apply(batch: &[&[Change]], sys: &dyn Actuate) -> Vec<Applied> {
    each_kind(batch, sys, How::Wait)
}

/// The same, but that the end of what is still under way ([`awaited`]) is left to the caller.
pub fn act(batch: &[&[Change]], sys: &dyn Actuate) -> Vec<Applied> {
    each_kind(batch, sys, How::GoOn)
}

/// What is under way after these changes of one promise, and which of them it is.
pub fn awaited(changes: &[Change]) -> Option<(usize, Settling)> {
    let first = changes.first()?;
    of_kind!(Change, first, K, _it => {
        let own: Vec<_> = changes.iter().filter_map(K::as_change).cloned().collect();
        K::awaited(&own)
    })
}

/// Whether what was begun is waited for.
#[derive(Clone, Copy)]
enum How {
    Wait,
    GoOn,
}

fn each_kind(batch: &[&[Change]], sys: &dyn Actuate, how: How) -> Vec<Applied> {
    let mut results = vec![None; batch.len()];
    for at in 0..batch.len() {
        let Some(first) = batch[at].first().filter(|_| results[at].is_none()) else { continue };
        let kind = std::mem::discriminant(first);
        let is_same = |it: &[Change]| it.first().map(std::mem::discriminant) == Some(kind);
        let its: Vec<usize> = (at..batch.len()).filter(|at| is_same(batch[*at])).collect();
        let part: Vec<&[Change]> = its.iter().map(|at| batch[*at]).collect();
        let applied = of_kind!(Change, first, K, _it => carry_out::<K>(&part, sys, how));
        its.into_iter().zip(applied).for_each(|(at, it)| results[at] = Some(it));
    }
    results.into_iter().map(|it| it.unwrap_or(Applied::All)).collect()
}

/// Hands a batch to its kind.
fn carry_out<K: Row>(batch: &[&[Change]], sys: &dyn Actuate, how: How) -> Vec<Applied> {
    let changes = |it: &&[Change]| it.iter().filter_map(K::as_change).cloned().collect();
    let owned: Vec<Vec<K::Change>> = batch.iter().map(changes).collect();
    let slices: Vec<&[K::Change]> = owned.iter().map(Vec::as_slice).collect();
    match how {
        How::Wait => K::apply(&slices, sys),
        How::GoOn => K::act(&slices, sys),
    }
}

/// What the changes of one promise make of which facets; each facet once.
pub fn effects(want: &Resource, have: &State, changes: &[Change]) -> Vec<Effect> {
    undo::merge(changes.iter().flat_map(|change| {
        of_kind!(Change, change, K, change => match (K::as_want(want), K::as_state(have)) {
            (Some(want), Some(have)) => K::effects(change, want, have),
            // A change comes from a plan for the same want and look.
            (None, _) | (_, None) => vec![],
        })
    }))
}

/// What facets are now; one result for each, in their order.
pub fn observe_facets(facets: &[&Facet], sys: &dyn Probe) -> Vec<Result<Now, SystemError>> {
    let mut looks: Looks<Now> = facets.iter().map(|_| None).collect();
    KINDS.iter().for_each(|kind| (kind.observe_facets)(facets, sys, &mut looks));
    answered(looks)
}

/// The promise that a facet is not there, for what its kind has something to say about before it goes.
pub fn absence(facet: &Facet) -> Option<Resource> {
    KINDS.iter().find_map(|kind| (kind.absence)(facet))
}

/// What it takes to have a facet as it was; none where that is not known, or no change of ours does it.
pub fn changes_back(
    facet: &Facet,
    now: &Now,
    before: &FacetState,
    about: &About<'_>,
) -> Option<Vec<Change>> {
    KINDS.iter().find_map(|kind| (kind.changes_back)(facet, now, before, about))
}
