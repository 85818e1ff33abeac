//! What stands in the way of a promise, sorted by what follows from it.

use crate::outcome::NotKept;
use steadfast_resources::{Identity, Obstacle, Refusal};

/// Why it is not kept, and no step is tried, where one of these says so.
pub(crate) fn speaks_against(obstacles: &[Obstacle]) -> Option<NotKept> {
    let sick = obstacles.iter().find_map(|it| match it {
        Obstacle::Unhealthy(error) => Some(NotKept::Unhealthy(error.clone())),
        Obstacle::Refused(_)
        | Obstacle::Missing(_)
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
            Obstacle::Refused(why) => Some(why.clone()),
            Obstacle::Missing(_)
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
            | Obstacle::Refused(_)
            | Obstacle::Unhealthy(_)
            | Obstacle::HealthNotAsked => None,
        })
        .collect()
}
