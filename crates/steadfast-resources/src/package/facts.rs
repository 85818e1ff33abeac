//! What a change of a package does, for programs.

use super::{Act, Change};
use crate::fact::{ABSENT, Fact};
use steadfast_system::packages::Goal;

pub(super) fn facts(change: &Change) -> Vec<Fact> {
    vec![match change {
        Change::Configure { package: _, health } => {
            Fact::set("state", health.as_str(), "installed").verb("configure")
        }
        Change::Unhold { package: _ } => Fact::set("hold", "true", "false"),
        Change::Install(act) => version("install", act),
        Change::Upgrade(act) => version("upgrade", act),
        Change::Downgrade(act) => version("downgrade", act),
        Change::LookForNewer(act) => version("look-for-newer", act),
        Change::Remove(act) => version("remove", act),
        Change::Purge(act) => version("purge", act),
        Change::Hold { package: _ } => Fact::set("hold", "false", "true"),
        Change::MarkManual { package: _ } => Fact::set("manual", "false", "true"),
    }]
}

fn version(verb: &'static str, act: &Act) -> Fact {
    let fact = Fact::new(verb, "version");
    let fact = match &act.have {
        Some(have) => fact.before(have),
        None => fact.before(ABSENT),
    };
    match &act.item.goal {
        Goal::Install { version: Some(version), .. } => fact.after(version),
        Goal::Install { version: None, .. } => fact,
        Goal::Remove | Goal::Purge => fact.after(ABSENT),
    }
}
