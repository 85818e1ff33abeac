//! What taking things back would do, and why some of them stay: decided from a look at each.

use crate::budget::{Budget, BudgetMeter, Spent};
use crate::ledger::{Extent, NotUndone, UndoEntry, key};
use crate::obstacles;
use std::sync::Arc;
use steadfast_resources::undo::{About, Content, Now};
use steadfast_resources::{Change, Facet, FacetState, Resource, State};
use steadfast_system::files::Digest;
use steadfast_system::{AbsPath, Probe, UnitName, services};

/// What is foreseen for one thing.
#[derive(Clone, Debug, PartialEq)]
pub enum UndoPlan {
    /// It is as it was before.
    Back,
    Changes(Vec<Change>),
    Stays(NotUndone),
}

/// What taking these things back would do. The machine is not changed by it.
pub fn plan_undo(
    made: &[UndoEntry],
    extent: Extent,
    budget: Budget,
    sys: &dyn Probe,
) -> Vec<UndoPlan> {
    within(made, extent, &mut BudgetMeter::new(budget), sys)
}

/// The same, and what is not spent by it stays in the budget.
pub(crate) fn within(
    made: &[UndoEntry],
    extent: Extent,
    meter: &mut BudgetMeter,
    sys: &dyn Probe,
) -> Vec<UndoPlan> {
    let all: Vec<usize> = (0..made.len()).collect();
    let mut plans = look(made, &all, extent, sys);
    for plan in &mut plans {
        if let UndoPlan::Changes(changes) = plan
            && let Err(held) = meter.spend(Spent::count(&*changes))
        {
            *plan = UndoPlan::Stays(NotUndone::Held(held));
        }
    }
    plans
}

/// What is to be done about some of them, from one look at each.
pub(crate) fn look(
    made: &[UndoEntry],
    which: &[usize],
    extent: Extent,
    sys: &dyn Probe,
) -> Vec<UndoPlan> {
    let things: Vec<&Facet> = which.iter().map(|at| &made[*at].facet).collect();
    let mut asked: Vec<(usize, Resource)> = vec![];
    let mut plans: Vec<UndoPlan> = vec![];
    for (at, now) in which.iter().zip(steadfast_resources::observe_facets(&things, sys)) {
        let one = &made[*at];
        plans.push(match now {
            Err(error) => UndoPlan::Stays(NotUndone::Failed(error)),
            Ok(now) => match judge(made, one, &now, extent, sys) {
                Some(left) => left,
                None => match steadfast_resources::absence(&one.facet) {
                    Some(want) if one.before == FacetState::Nothing => {
                        asked.push((plans.len(), want));
                        UndoPlan::Back
                    }
                    Some(_) | None => back(one, &now, sys),
                },
            },
        });
    }
    ask_kinds(made, &asked, &mut plans, sys);
    plans
}

/// What there is to say before anybody asks how; none where the thing is to be taken back.
fn judge(
    made: &[UndoEntry],
    one: &UndoEntry,
    now: &Now,
    extent: Extent,
    sys: &dyn Probe,
) -> Option<UndoPlan> {
    let is = |it: &FacetState| it.is_met_by(&now.state, |plain| key(sys, plain));
    if is(&one.before) {
        return Some(UndoPlan::Back);
    }
    let left = if one.is_other_version() {
        NotUndone::OtherVersion
    } else if one.before == FacetState::Unknown {
        NotUndone::Unknown
    } else if !is(&one.after) || has_others(made, one, now) {
        NotUndone::ChangedSince
    } else if extent == Extent::Made && !was_made(made, one) {
        NotUndone::Replaced
    } else {
        return None;
    };
    Some(UndoPlan::Stays(left))
}

/// Whether somebody was put into a group whose members all came with us.
fn has_others(made: &[UndoEntry], one: &UndoEntry, now: &Now) -> bool {
    let Facet::Group(group) = &one.facet else { return false };
    let is_ours = |member: &Arc<str>| {
        made.iter().filter(|it| it.before == FacetState::Nothing).any(|it| {
            it.facet.as_user().is_some_and(|name| name.as_str() == &**member)
                || it.facet == Facet::Member { group: group.clone(), user: Arc::clone(member) }
        })
    };
    one.before == FacetState::Nothing && !now.members.iter().all(is_ours)
}

/// Whether it came into being with us. That a unit runs is ours where its file is.
fn was_made(made: &[UndoEntry], one: &UndoEntry) -> bool {
    let comes_from_ours = |unit: &UnitName| {
        (made.iter().filter(|it| it.before == FacetState::Nothing))
            .filter_map(|it| it.facet.as_path())
            .any(|path| services::unit_at(path).as_ref() == Some(unit))
    };
    one.before == FacetState::Nothing && one.facet.as_unit().is_none_or(comes_from_ours)
}

fn back(one: &UndoEntry, now: &Now, sys: &dyn Probe) -> UndoPlan {
    let hidden = matches!(&one.after, FacetState::File { content: Content::Keyed(_), .. });
    let content = match wanted_content(&one.before, &now.state).map(|it| sys.kept(&it)) {
        None => None,
        Some(Ok(Some(bytes))) => Some(Arc::from(bytes)),
        Some(Ok(None)) => return UndoPlan::Stays(NotUndone::ContentGone),
        Some(Err(error)) => return UndoPlan::Stays(NotUndone::Failed(error)),
    };
    let other = |path: &AbsPath| !one.promise.0.ends_with(&format!(":{path}"));
    let named = one.facet.as_path().is_some_and(other);
    let about = About { content: content.as_ref(), hidden, named };
    match steadfast_resources::changes_back(&one.facet, now, &one.before, &about) {
        Some(changes) => UndoPlan::Changes(changes),
        None => UndoPlan::Stays(NotUndone::Unknown),
    }
}

/// The content that has to be had again, where another one is there.
fn wanted_content(before: &FacetState, now: &FacetState) -> Option<Digest> {
    match (before, now) {
        (
            FacetState::File { content: Content::Digest(wanted), .. },
            FacetState::File { content: Content::Digest(there), .. },
        ) => (wanted != there).then_some(*wanted),
        (FacetState::File { content: Content::Digest(wanted), .. }, _) => Some(*wanted),
        (_, _) => None,
    }
}

/// Some things do not go without a word of their kind.
fn ask_kinds(
    made: &[UndoEntry],
    asked: &[(usize, Resource)],
    plans: &mut [UndoPlan],
    sys: &dyn Probe,
) {
    let wants: Vec<&Resource> = asked.iter().map(|(_, want)| want).collect();
    for ((at, want), state) in asked.iter().zip(steadfast_resources::observe(&wants, sys)) {
        plans[*at] = match state {
            Err(error) => UndoPlan::Stays(NotUndone::Failed(error)),
            Ok(mut state) => {
                spare_groups(&mut state, made);
                let difference = steadfast_resources::plan(want, &state);
                let refusals = obstacles::refusals(&difference.obstacles);
                match refusals.is_empty() {
                    true if difference.changes.is_empty() => UndoPlan::Back,
                    true => UndoPlan::Changes(difference.changes),
                    false => {
                        let words = refusals.iter().map(|it| it.words().to_owned());
                        UndoPlan::Stays(NotUndone::Refused(words.collect()))
                    }
                }
            }
        };
    }
}

/// Users that go are no reason for their groups to stay.
fn spare_groups(state: &mut State, made: &[UndoEntry]) {
    if let State::Group(group) = state {
        group.primary_of.retain(|user| {
            let is_new = |it: &&UndoEntry| it.before == FacetState::Nothing;
            !made.iter().filter(is_new).any(|it| it.facet.as_user() == Some(user))
        });
    }
}
