//! What a step comes to with apt's lists as they are now: the version that was planned, or a refusal. No
//! version is chosen here; where only fresh lists could tell which, they are fetched, and the next look at
//! the machine plans with them.

use super::apt::Offers;
use super::version::Version;
use super::{Goal, Item};
use crate::{ErrorKind, SystemError};

/// The version that an item gets; none where nothing is left to do for it. `have` is the version that is
/// there, whole.
pub fn decide(
    item: &Item,
    offers: Option<&Offers>,
    from: Option<&str>,
    have: Option<&Version>,
) -> Result<Option<Version>, SystemError> {
    let Goal::Install { range, version: planned, latest } = &item.goal else { return Ok(None) };
    let offered = planned.as_ref().filter(|it| offers.is_some_and(|all| all.offer(it).is_some()));
    let best = || offers.and_then(|it| it.choose(range.as_ref(), from));
    let Some(version) = offered.or_else(best) else { return Err(lacking(item, offers, from)) };
    if let Some(have) = have {
        let order = version.order(have);
        if order.is_eq() || (*latest && order.is_lt() && !item.allow_downgrade) {
            return Ok(None);
        }
        if order.is_lt() && !item.allow_downgrade {
            return Err(SystemError::new(
                ErrorKind::Command,
                format!("{have} is installed, above {version}, and `allow_downgrade` is false"),
            ));
        }
    }
    match planned {
        Some(_) if offered.is_some() => Ok(Some(version.clone())),
        Some(planned) => Err(SystemError::new(
            ErrorKind::Moved,
            format!("apt's lists changed: {planned} was planned, and now they have {version}"),
        )),
        None => Err(SystemError::new(
            ErrorKind::Moved,
            format!(
                "apt's lists changed: they have {version} now, and had no version when this was planned"
            ),
        )),
    }
}

/// Whether apt's lists have nothing that would do.
pub(super) fn is_lacking(item: &Item, offers: Option<&Offers>, from: Option<&str>) -> bool {
    let Goal::Install { range, version, .. } = &item.goal else { return false };
    offers.is_none_or(|all| {
        let planned = version.as_ref().is_some_and(|it| all.offer(it).is_some());
        !planned && all.choose(range.as_ref(), from).is_none()
    })
}

fn lacking(item: &Item, offers: Option<&Offers>, from: Option<&str>) -> SystemError {
    let words = match (offers, &item.goal) {
        (Some(offers), Goal::Install { range, .. }) => offers.lacking(range.as_ref(), from),
        (None, _) | (Some(_), Goal::Remove | Goal::Purge) => {
            format!("apt's lists have no package {}", item.package)
        }
    };
    SystemError::new(ErrorKind::Command, words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PackageName;
    use crate::packages::version::Range;
    use crate::packages::{Offer, Removals};

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    fn offers(versions: &[&str]) -> Offers {
        let offer = |it: &&str| Offer { version: version(it), priority: 500, suites: vec![] };
        Offers {
            candidate: versions.last().map(|it| version(it)),
            versions: versions.iter().map(offer).collect(),
        }
    }

    fn install(planned: Option<&str>, latest: bool) -> Item {
        Item {
            package: PackageName::parse("app").unwrap(),
            goal: Goal::Install { range: None, version: planned.map(version), latest },
            allow_downgrade: false,
            removals: Removals::None,
            going: std::sync::Arc::from([]),
            stays: std::sync::Arc::from([]),
            debconf: vec![],
            held: false,
        }
    }

    #[track_caller]
    fn check(item: &Item, offered: &[&str], have: Option<&str>, expected: &str) {
        let offers = (!offered.is_empty()).then(|| offers(offered));
        let decided = decide(item, offers.as_ref(), None, have.map(version).as_ref());
        let said = match decided {
            Ok(Some(version)) => format!("{version}"),
            Ok(None) => "nothing".to_owned(),
            Err(error) => format!("{:?}: {error}", error.kind),
        };
        assert_eq!(said, expected);
    }

    #[test]
    fn what_was_planned_is_installed_or_refused() {
        let planned = install(Some("1"), false);
        check(&planned, &["1"], None, "1");
        check(&planned, &["1", "2"], None, "1");
        check(&planned, &["1", "2"], Some("1"), "nothing");
        check(
            &planned,
            &["2"],
            None,
            "Moved: apt's lists changed: 1 was planned, and now they have 2",
        );
        check(&planned, &[], None, "Command: apt's lists have no package app");
        check(
            &planned,
            &["1"],
            Some("3"),
            "Command: 3 is installed, above 1, and `allow_downgrade` is false",
        );
        check(&Item { allow_downgrade: true, ..planned }, &["1"], Some("3"), "1");
    }

    #[test]
    fn what_only_fresh_lists_tell_is_planned_with_them() {
        let unknown = install(None, false);
        check(&unknown, &[], None, "Command: apt's lists have no package app");
        check(
            &unknown,
            &["2"],
            None,
            "Moved: apt's lists changed: they have 2 now, and had no version when this was planned",
        );
        let newest = install(None, true);
        check(&newest, &["1", "2"], Some("2"), "nothing");
        check(&newest, &["1"], Some("2"), "nothing");
        check(
            &newest,
            &["1", "2"],
            Some("1"),
            "Moved: apt's lists changed: they have 2 now, and had no version when this was planned",
        );
    }

    #[test]
    fn what_nothing_fits_says_what_there_is() {
        let range = Some(Range::parse(">= 3").unwrap());
        let goal = Goal::Install { range, version: None, latest: false };
        let item = Item { goal, ..install(None, false) };
        assert!(is_lacking(&item, Some(&offers(&["1", "2"])), None));
        check(
            &item,
            &["1", "2"],
            None,
            "Command: apt's lists have no version in `>= 3`, only 1, 2",
        );
    }
}
