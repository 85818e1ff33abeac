//! Version 4 of what the database holds: what the changes of a verdict show beyond their lines stands beside
//! the verdict. In a run that is finished, `begun` says that all of it was done, and that is a repair.
//! Everything else is as in version 3.

use super::v1::{Change, Judged};
use serde::{Deserialize, Serialize};

/// What each change of a verdict shows, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details(pub Vec<Option<String>>);

/// A verdict, and apart from it what its changes show, where any shows something.
pub fn split(mut judged: Judged) -> (Judged, Option<Details>) {
    let details: Vec<Option<String>> =
        judged.changes.iter_mut().map(|it| it.detail.take()).collect();
    let some = details.iter().any(Option::is_some);
    (judged, some.then_some(Details(details)))
}

/// Both together. What an earlier version wrote into the verdict itself stays. A run that did less than it
/// began shows less.
pub fn join(mut judged: Judged, details: Option<Details>, is_finished: bool) -> Judged {
    let Details(details) = details.unwrap_or_default();
    let put = |(change, detail): (&mut Change, Option<String>)| {
        if detail.is_some() {
            change.detail = detail;
        }
    };
    judged.changes.iter_mut().zip(details).for_each(put);
    if is_finished && judged.outcome == BEGUN {
        REPAIRED.clone_into(&mut judged.outcome);
    }
    judged
}

/// What is about to be done, or was done as it was begun.
pub const BEGUN: &str = "begun";
pub const REPAIRED: &str = "repaired";
