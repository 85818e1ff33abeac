//! What keeps the step of a component from beginning: what its target says, what is asked of the run, and which
//! components it has to wait for.

use crate::when::{Share, Windows, windows};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use steadfast_engine::component::{Deployment, Gate, Now, Row};
use steadfast_model::application::{Catalog, Content, InterfaceName, Rollout, Says, Version};
use steadfast_model::policy::{Approval, Wave, Window};
use steadfast_model::{ComponentId, Keep, Placed};

/// What holds for all components of a run.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    pub node: &'a str,
    pub now: &'a Now,
    /// Of the agent. A person who runs something by hand is not held by it.
    pub suspended: Option<Suspended>,
    /// The agent only reports, whatever the model says.
    pub is_report_only: bool,
    /// The node goes back to the revision before.
    pub is_going_back: bool,
    /// How many restarts a run may do; each step is one.
    pub limit: Option<u64>,
    /// How many it has done, or is about to do for other reasons.
    pub restarts: u64,
}

/// Since somebody has suspended the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspended {
    pub reason: Arc<str>,
    /// Seconds since 1970.
    pub until: Option<i64>,
}

/// What holds for one of them.
#[derive(Clone, Debug)]
pub struct Of<'a> {
    pub id: &'a ComponentId,
    pub rollout: &'a Rollout,
    pub keep: Keep,
    /// The run is about it.
    pub is_asked: bool,
    /// The first mistake of its documents.
    pub mistake: Option<Arc<str>>,
    /// None where its documents do not say it soundly.
    pub wanted: Option<&'a Deployment>,
    /// The release that it has entered.
    pub position: Option<&'a str>,
}

/// The gates that are closed, the most fundamental first. What other components close is told by
/// `steadfast_engine::component::beside`. The row remembers since when something is wanted.
pub fn closed(row: &mut Row, of: &Of<'_>, asked: &Asked<'_>) -> Vec<Gate> {
    let Of { id, rollout, keep, is_asked, mistake, wanted, position } = of;
    let suspended = asked.suspended.clone();
    let suspended = suspended.map(|it| Gate::Suspended { reason: it.reason, until: it.until });
    let is_report_only = asked.is_report_only || *keep == Keep::Report;
    let moves = wanted.filter(|it| !row.current.as_ref().is_some_and(|current| current.is(it)));
    let age = wanted.map(|it| row.sight(it, asked.now));
    let wave = moves.and(age).and_then(|age| wave(&rollout.waves, age, asked, id));
    let windows: Vec<Window> = rollout.windows.iter().map(|it| it.value.clone()).collect();
    [
        (!is_asked).then_some(Gate::NotAsked),
        suspended,
        asked.is_going_back.then_some(Gate::GoingBack),
        is_report_only.then_some(Gate::ReportOnly),
        mistake.clone().map(Gate::Mistaken),
        moves.and_then(|it| lowered(it, *position)),
        wave,
        window(&windows, asked.now.wall),
        moves.and_then(|_| approval(rollout.approval)),
        // One that is open was counted when it began.
        row.step.is_none().then(|| budget(asked)).flatten(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Going below what was entered needs a release of its own. What cannot be compared is no reason.
fn lowered(wanted: &Deployment, position: Option<&str>) -> Option<Gate> {
    let (there, here): (Version, Version) = (position?.parse().ok()?, wanted.release.parse().ok()?);
    (here < there).then(|| Gate::Lowered { position: position.unwrap_or_default().into() })
}

fn wave(waves: &[Wave], age: Duration, asked: &Asked<'_>, id: &ComponentId) -> Option<Gate> {
    let delay = Share::from_names(asked.node, &id.to_string()).delay(waves);
    let left = delay.checked_sub(age).filter(|it| !it.is_zero())?;
    let left = i64::try_from(left.as_millis().div_ceil(1_000)).unwrap_or(i64::MAX);
    Some(Gate::Wave { opens: asked.now.wall.saturating_add(left) })
}

fn window(all: &[Window], wall: i64) -> Option<Gate> {
    let now = Timestamp::from_second(wall).unwrap_or(Timestamp::MAX);
    match windows(all, now) {
        Windows::Open => None,
        Windows::Opens(opens) => Some(Gate::Window { opens: opens.map(|it| it.as_second()) }),
    }
}

fn approval(asked: Approval) -> Option<Gate> {
    match asked {
        Approval::None => None,
        Approval::Required => Some(Gate::Approval),
    }
}

fn budget(asked: &Asked<'_>) -> Option<Gate> {
    let limit = asked.limit.filter(|it| asked.restarts >= *it)?;
    Some(Gate::Budget { limit })
}

/// For each component of a node those beside it that provide what it uses. An interface without an application is
/// one of its own application, where that has it, or comes from outside.
pub fn providers(catalog: &Catalog, placed: &[&Placed]) -> Vec<BTreeSet<ComponentId>> {
    let contents: Vec<Option<&Content>> = placed.iter().map(|it| content(catalog, it)).collect();
    let provides = |at: usize, name: &str| {
        let provided = contents[at].and_then(|it| it.provides.as_ref());
        provided.is_some_and(|it| it.contains_key(&InterfaceName(name.into())))
    };
    let of = |at: usize| {
        let uses = contents[at].and_then(|it| it.uses.as_ref());
        let uses = uses
            .into_iter()
            .flat_map(|it| it.keys())
            .map(|it| it.0.split_once('/').unwrap_or((placed[at].id.application(), &it.0)));
        let providers = uses.flat_map(|(application, name)| {
            (0..placed.len())
                .filter(move |other| *other != at && placed[*other].id.application() == application)
                .filter(move |other| provides(*other, name))
        });
        providers.map(|it| placed[it].id.clone()).collect()
    };
    (0..placed.len()).map(of).collect()
}

/// What the release that last named it says.
fn content<'a>(catalog: &'a Catalog, placed: &Placed) -> Option<&'a Content> {
    let known = catalog.applications.get(placed.id.application())?;
    let release = known.releases.get(&placed.release.version)?;
    match &release.components.get(placed.id.component())?.says {
        Says::Content(content) => Some(content),
        Says::Absent => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{self, deployment};
    use super::*;
    use steadfast_model::policy::parse_window;
    use steadfast_model::{Span, Spanned};

    /// Tuesday, 2026-01-06, 08:00 UTC.
    const WALL: i64 = 1_767_686_400;
    const HOUR: u64 = 3_600;

    fn at(boot: &str, seconds: u64, wall: i64) -> Now {
        Now { boot: boot.into(), at: Duration::from_secs(seconds), wall }
    }

    fn asked(now: &Now) -> Asked<'_> {
        Asked {
            node: "web1.xyz.example",
            now,
            suspended: None,
            is_report_only: false,
            is_going_back: false,
            limit: None,
            restarts: 0,
        }
    }

    /// A component at 1.3.0 that is to be 1.4.0.
    struct Case {
        of: Of<'static>,
        asked: Asked<'static>,
    }

    fn rollout() -> &'static mut Rollout {
        Box::leak(Box::default())
    }

    fn case() -> Case {
        let of = Of {
            id: Box::leak(Box::new("people/api".parse().unwrap())),
            rollout: rollout(),
            keep: Keep::Repair,
            is_asked: true,
            mistake: None,
            wanted: Some(Box::leak(Box::new(deployment("bb", "1.4.0")))),
            position: Some("1.3.0"),
        };
        Case { of, asked: asked(Box::leak(Box::new(at("1", 100, WALL)))) }
    }

    fn row() -> Row {
        Row { current: Some(deployment("aa", "1.3.0")), ..Row::default() }
    }

    #[track_caller]
    fn gates(change: impl FnOnce(&mut Case), expected: &[Gate]) {
        let mut case = case();
        change(&mut case);
        assert_eq!(closed(&mut row(), &case.of, &case.asked), expected);
    }

    fn windowed(text: &str) -> &'static Rollout {
        let rollout = rollout();
        rollout.windows = vec![Spanned::new(parse_window(text).unwrap(), Span::default())];
        rollout
    }

    #[test]
    fn each_gate_is_closed_by_what_it_is_about() {
        gates(|_| {}, &[]);
        gates(|it| it.of.is_asked = false, &[Gate::NotAsked]);
        let reason: Arc<str> = "moving the racks".into();
        let suspended = Some(Suspended { reason: reason.clone(), until: Some(WALL + 60) });
        let until = Some(WALL + 60);
        gates(|it| it.asked.suspended = suspended, &[Gate::Suspended { reason, until }]);
        gates(|it| it.asked.is_going_back = true, &[Gate::GoingBack]);
        gates(|it| it.asked.is_report_only = true, &[Gate::ReportOnly]);
        gates(|it| it.of.keep = Keep::Report, &[Gate::ReportOnly]);
        let mistaken = |it: &mut Case| (it.of.mistake, it.of.wanted) = (Some("m".into()), None);
        gates(mistaken, &[Gate::Mistaken("m".into())]);
        let required = rollout();
        required.approval = Approval::Required;
        gates(|it| it.of.rollout = required, &[Gate::Approval]);
        let spent = |restarts| {
            move |it: &mut Case| (it.asked.limit, it.asked.restarts) = (Some(2), restarts)
        };
        gates(spent(1), &[]);
        gates(spent(2), &[Gate::Budget { limit: 2 }]);
    }

    #[test]
    fn a_position_is_never_left_downwards_and_versions_are_no_text() {
        for (position, is_lowered) in [
            ("1.3.0", false),
            ("1.4", false),
            ("1.5.0", true),
            ("1.10.0", true),
            ("1.4.0-rc.1", false),
        ] {
            let gate = Gate::Lowered { position: position.into() };
            let expected = if is_lowered { vec![gate] } else { vec![] };
            gates(|it| it.of.position = Some(position), &expected);
        }
        gates(|it| it.of.position = None, &[]);
    }

    #[test]
    fn a_window_goes_by_the_wall_of_its_zone() {
        let opens = |hours: i64| vec![Gate::Window { opens: Some(WALL + hours * 3_600) }];
        for (window, expected) in [
            ("Tue 08:00-09:00 UTC", vec![]),
            ("Tue 09:00-10:00 UTC", opens(1)),
            // 09:00 there.
            ("Mon..Thu 09:00-16:00 Europe/Brussels", vec![]),
            ("Mon..Thu 10:00-16:00 Europe/Brussels", opens(1)),
            ("Mon 08:00-09:00 UTC", opens(6 * 24)),
            ("Tue 00:00-24:00 Nowhere/Land", vec![Gate::Window { opens: None }]),
        ] {
            gates(|it| it.of.rollout = windowed(window), &expected);
        }
        // A restart of what is current waits for it as well, and for nothing that is about another release.
        let both = rollout();
        both.windows = windowed("Tue 09:00-10:00 UTC").windows.clone();
        (both.approval, both.waves) = (Approval::Required, in_an_hour());
        let current: &Deployment = Box::leak(Box::new(deployment("aa", "1.3.0")));
        gates(|it| (it.of.rollout, it.of.wanted) = (both, Some(current)), &opens(1));
    }

    fn in_an_hour() -> Vec<Wave> {
        vec![Wave { percent: 100, after: Duration::from_secs(HOUR) }]
    }

    /// At a moment of a boot, with a wall.
    fn wave_at(row: &mut Row, now: &Now, wanted: &Deployment) -> Option<i64> {
        let rollout = rollout();
        rollout.waves = in_an_hour();
        let case = case();
        let of = Of { rollout, wanted: Some(wanted), ..case.of };
        match closed(row, &of, &asked(now))[..] {
            [] => None,
            [Gate::Wave { opens }] => Some(opens - now.wall),
            ref others => panic!("{others:?}"),
        }
    }

    #[test]
    fn a_wave_counts_from_first_sight_and_neither_a_boot_nor_a_clock_begins_it_anew() {
        let mut row = row();
        let wanted = deployment("bb", "1.4.0");
        let mut left = |boot, seconds, wall| wave_at(&mut row, &at(boot, seconds, wall), &wanted);
        assert_eq!(left("1", 100, WALL), Some(3_600));
        assert_eq!(left("1", 700, WALL + 600), Some(3_000));
        // Somebody sets the clock, forth and back.
        assert_eq!(left("1", 700, WALL + 90_000), Some(3_000));
        assert_eq!(left("1", 700, WALL - 90_000), Some(3_000));
        // 600 s later it has booted, and been up for 20 s.
        assert_eq!(left("2", 20, WALL + 1_200), Some(2_400));
        assert_eq!(left("2", 1_220, WALL + 2_400), Some(1_200));
        // A boot with a clock that stands in the past adds nothing to what was written down.
        assert_eq!(left("3", 5, WALL - 90_000), Some(2_400));
        assert_eq!(left("3", 2_405, WALL - 87_600), None);
    }

    #[test]
    fn what_is_wanted_anew_is_in_its_first_wave() {
        let mut row = row();
        let (one, other) = (deployment("bb", "1.4.0"), deployment("cc", "1.5.0"));
        assert_eq!(wave_at(&mut row, &at("1", 0, WALL), &one), Some(3_600));
        assert_eq!(wave_at(&mut row, &at("1", 3_600, WALL), &one), None);
        assert_eq!(wave_at(&mut row, &at("1", 3_600, WALL), &other), Some(3_600));
    }

    #[test]
    fn providers_are_those_beside_it() {
        let names = |all: &[(&str, &str)]| -> Vec<String> {
            let (model, _) = sample::model(all);
            let (placed, _) = sample::placed(all);
            let found = providers(&model.catalog, &placed.iter().collect::<Vec<_>>());
            let lines = placed.iter().zip(found).map(|(it, uses)| {
                let uses: Vec<String> = uses.iter().map(ToString::to_string).collect();
                format!("{}: {}", it.id, uses.join(" "))
            });
            lines.collect()
        };
        let schema = "people/schema: ";
        assert_eq!(names(&[]), ["people/api: people/schema", schema]);
        let orders = [
            (
                "applications/orders/application.yaml",
                "application: orders\nowner: t\ncomponents: { app: { servers: [web], directory: /srv/orders } }\n",
            ),
            ("environments/production/orders.yaml", "target: orders\nrelease: \"1.0\"\n"),
            (
                "applications/orders/releases/1.0.yaml",
                "release: orders 1.0\ncomponents: { app: { artifact: { url: \"model:dist/api\" }, uses: [people/fname, fname] } }\n",
            ),
        ];
        let all = names(&orders);
        assert_eq!(all, ["orders/app: people/schema", "people/api: people/schema", schema]);
    }
}
