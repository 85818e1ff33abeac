//! Whether a component takes a step.

use super::{NoStep, Way, version};
use steadfast_engine::component::backoff;
use steadfast_model::Keep;
use steadfast_store::{Component, Deployed, State};

/// What the choice hangs on, beside what is known of the component.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances {
    pub(super) no_step: Option<NoStep>,
    /// A person asks, and waits for nothing.
    pub(super) by_hand: bool,
    pub(super) keep: Keep,
    pub(super) now: i64,
}

/// What is done about a component that is to be this deployment of this release. `before` is what is known of that
/// deployment from earlier steps to it.
pub(super) fn choose(
    component: Option<&Component>,
    (digest, release): (&str, &str),
    before: Option<&Deployed>,
    circumstances: Circumstances,
) -> Way {
    if component.and_then(|it| it.current.as_deref()) == Some(digest) {
        return Way::Keep;
    }
    let held = |words: String| Way::Held(vec![words]);
    let Circumstances { no_step, by_hand, keep, now } = circumstances;
    match no_step {
        Some(NoStep::NotSelected) => {
            return held(format!("the step to {release} is not asked for"));
        }
        Some(NoStep::ReportOnly) => {
            return held(format!("{release} waits: the agent is suspended"));
        }
        Some(NoStep::GoingBack) => {
            return held("going back to the revision before moves no component".to_owned());
        }
        None => {}
    }
    if keep == Keep::Report {
        return held(format!("it is only reported (keep: report); {release} is wanted"));
    }
    let position = component.and_then(|it| it.position.as_deref());
    if let Some(position) = position
        && let (Some(there), Some(wanted)) = (version(position), version(release))
        && wanted < there
    {
        let words = format!(
            "the model says {release}, which is below {position}: a new release leads back"
        );
        return held(words);
    }
    match before {
        Some(Deployed { state: State::Bad, reason, .. }) => {
            let first = format!("{release} was bad, and is not tried again");
            Way::NotKept([vec![first], reason.clone()].concat())
        }
        Some(Deployed { state: State::Inconclusive, reason, tries, judged: Some(at), .. })
            if !by_hand && now < at.saturating_add(pause(*tries)) =>
        {
            let first = format!("{release} was not well, and is tried again later");
            Way::NotKept([vec![first], reason.clone()].concat())
        }
        Some(_) | None => Way::Step,
    }
}

/// How long it waits after so many attempts, in microseconds.
fn pause(tries: u32) -> i64 {
    i64::try_from(backoff(tries).as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Microseconds.
    const MINUTE: i64 = 60_000_000;

    const ASKED: Circumstances =
        Circumstances { no_step: None, by_hand: false, keep: Keep::Repair, now: 1000 * MINUTE };

    fn at(current: Option<&str>, position: &str) -> Component {
        Component {
            position: Some(position.to_owned()),
            current: current.map(str::to_owned),
            ..Component::default()
        }
    }

    fn known(state: State, minutes: i64, tries: u32) -> Deployed {
        Deployed {
            release: "1.4".to_owned(),
            state,
            begun: 0,
            tries,
            judged: Some(ASKED.now - minutes * MINUTE),
            reason: vec!["it is not healthy".to_owned()],
        }
    }

    #[test]
    fn a_step_is_taken_where_another_deployment_is_wanted_and_nothing_holds_it() {
        let wanted = ("bb", "1.4");
        let choose = |component: &Component, circumstances| {
            super::choose(Some(component), wanted, None, circumstances)
        };
        assert_eq!(super::choose(None, wanted, None, ASKED), Way::Step);
        assert_eq!(choose(&at(Some("aa"), "1.3"), ASKED), Way::Step);
        assert_eq!(choose(&at(Some("bb"), "1.4"), ASKED), Way::Keep);
        // A configuration that is another is a step within one release, and 1.10 is above 1.9.
        assert_eq!(choose(&at(Some("aa"), "1.4"), ASKED), Way::Step);
        let later = super::choose(Some(&at(Some("aa"), "1.9")), ("bb", "1.10"), None, ASKED);
        assert_eq!(later, Way::Step);
        for held in [
            choose(&at(Some("aa"), "1.5"), ASKED),
            choose(&at(Some("aa"), "1.3"), Circumstances { keep: Keep::Report, ..ASKED }),
            choose(
                &at(Some("aa"), "1.3"),
                Circumstances { no_step: Some(NoStep::GoingBack), ..ASKED },
            ),
        ] {
            assert!(matches!(held, Way::Held(_)), "{held:?}");
        }
    }

    #[test]
    fn a_bad_one_is_not_tried_again_and_one_that_may_be_is_tried_later_or_when_a_person_asks() {
        let choose = |before: &Deployed, by_hand| {
            let circumstances = Circumstances { by_hand, ..ASKED };
            super::choose(Some(&at(Some("aa"), "1.3")), ("bb", "1.4"), Some(before), circumstances)
        };
        for by_hand in [true, false] {
            let bad = choose(&known(State::Bad, 10_000, 1), by_hand);
            assert!(matches!(&bad, Way::NotKept(why) if why.len() == 2), "{bad:?}");
        }
        for (minutes, tries, is_step) in [
            (0, 1, false),
            (1, 1, true),
            (1, 2, false),
            (2, 2, true),
            (59, 40, false),
            (60, 40, true),
        ] {
            let way = choose(&known(State::Inconclusive, minutes, tries), false);
            assert_eq!(way == Way::Step, is_step, "{minutes} {tries}");
            assert_eq!(choose(&known(State::Inconclusive, minutes, tries), true), Way::Step);
        }
        assert_eq!(choose(&known(State::New, 0, 1), false), Way::Step);
    }
}
