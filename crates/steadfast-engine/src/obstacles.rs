//! What stands in the way of a promise, sorted by what follows from it.

use crate::outcome::NotKept;
use steadfast_model::PromiseId;
use steadfast_resources::{Identity, Obstacle, Refusal};

/// Why it is not kept, and no step is tried, where one of these says so.
pub(crate) fn speaks_against(obstacles: &[Obstacle]) -> Option<NotKept> {
    let sick = obstacles.iter().find_map(|it| match it {
        Obstacle::Unhealthy(error) => Some(NotKept::Unhealthy(error.clone())),
        Obstacle::Refused(_)
        | Obstacle::Missing(_)
        | Obstacle::InTheWay { .. }
        | Obstacle::HangsOn(_)
        | Obstacle::Presumed(_)
        | Obstacle::Unknown(_)
        | Obstacle::HealthNotAsked => None,
    });
    let refusals = refusals(obstacles);
    if refusals.is_empty() { sick } else { Some(NotKept::Refused(refusals)) }
}

pub(crate) fn refusals(obstacles: &[Obstacle]) -> Vec<Refusal> {
    obstacles
        .iter()
        .filter_map(|it| match it {
            Obstacle::Refused(why) | Obstacle::InTheWay { of: _, why } => Some(why.clone()),
            Obstacle::Missing(_)
            | Obstacle::HangsOn(_)
            | Obstacle::Presumed(_)
            | Obstacle::Unknown(_)
            | Obstacle::Unhealthy(_)
            | Obstacle::HealthNotAsked => None,
        })
        .collect()
}

pub(crate) fn missing(obstacles: &[Obstacle]) -> Vec<Identity> {
    obstacles
        .iter()
        .filter_map(|it| match it {
            Obstacle::Missing(thing) => Some(thing.clone()),
            Obstacle::Refused(_)
            | Obstacle::InTheWay { .. }
            | Obstacle::HangsOn(_)
            | Obstacle::Presumed(_)
            | Obstacle::Unknown(_)
            | Obstacle::Unhealthy(_)
            | Obstacle::HealthNotAsked => None,
        })
        .collect()
}

pub(crate) fn unknowns(obstacles: &[Obstacle]) -> Vec<String> {
    obstacles
        .iter()
        .filter_map(|it| match it {
            Obstacle::Unknown(why) => Some(why.clone()),
            Obstacle::Missing(_)
            | Obstacle::InTheWay { .. }
            | Obstacle::HangsOn(_)
            | Obstacle::Presumed(_)
            | Obstacle::Refused(_)
            | Obstacle::Unhealthy(_)
            | Obstacle::HealthNotAsked => None,
        })
        .collect()
}

/// What is presumed, in words.
pub(crate) fn presumed(obstacles: &[Obstacle]) -> Option<String> {
    obstacles.iter().find_map(|it| match it {
        Obstacle::Presumed(why) => Some(why.clone()),
        Obstacle::Missing(_)
        | Obstacle::Refused(_)
        | Obstacle::InTheWay { .. }
        | Obstacle::HangsOn(_)
        | Obstacle::Unknown(_)
        | Obstacle::Unhealthy(_)
        | Obstacle::HealthNotAsked => None,
    })
}

/// The things that are in the way, where that is all that speaks against it.
pub(crate) fn waits_for(obstacles: &[Obstacle]) -> Vec<Identity> {
    let things = obstacles.iter().flat_map(|it| match it {
        Obstacle::InTheWay { of, why: _ } => &of[..],
        Obstacle::Missing(_)
        | Obstacle::Refused(_)
        | Obstacle::HangsOn(_)
        | Obstacle::Presumed(_)
        | Obstacle::Unknown(_)
        | Obstacle::Unhealthy(_)
        | Obstacle::HealthNotAsked => &[],
    });
    things.cloned().collect()
}

/// What an earlier step of the run may change: what is in the way then, or was planned, is looked at anew. By
/// the turn of the promise nothing of this is left: what is in the way then is a refusal.
pub(crate) fn revised(
    obstacles: &[Obstacle],
    changed_by: impl Fn(&Identity) -> Option<PromiseId>,
) -> (Vec<Obstacle>, Option<PromiseId>) {
    let mut first = None;
    let mut stays = |it: &&Obstacle| {
        let of = match it {
            Obstacle::InTheWay { of, why: _ } | Obstacle::HangsOn(of) => of,
            Obstacle::Missing(_)
            | Obstacle::Refused(_)
            | Obstacle::Presumed(_)
            | Obstacle::Unknown(_)
            | Obstacle::Unhealthy(_)
            | Obstacle::HealthNotAsked => return true,
        };
        let step = of.iter().find_map(&changed_by);
        let stays = step.is_none();
        first = first.take().or(step);
        stays
    };
    let left = obstacles.iter().filter(|it| stays(it)).cloned().collect();
    (left, first)
}
