//! What is known of the components of a node where nothing runs, as the ledger has it: for `status`, `explain` and
//! `history`, and what a run writes down for them.

use jiff::Timestamp;
use serde::Serialize;
use steadfast_engine::component::{Bad, Deployment, Phase, Report, Row, Step};
use steadfast_store::happened::{Happened, Told};
use steadfast_store::{Instance, Store, StoreError};

/// One component. The fields are named as they are printed: those of what a run tells, and what came before.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shown {
    pub event: &'static str,
    pub component: String,
    /// What the last run has found.
    pub outcome: Option<String>,
    pub release: Option<String>,
    /// The public digest.
    pub deployment: Option<String>,
    pub folder: Option<String>,
    /// Releases, where a step is due or open.
    pub from: Option<String>,
    pub to: Option<String>,
    pub step: Option<String>,
    pub reason: Option<String>,
    /// Of the last step.
    pub gap_ms: Option<u64>,
    pub open_connections: Option<u64>,
    pub previous: Option<Former>,
    /// Newest last.
    pub bad: Vec<Former>,
    pub waits_for: Option<String>,
    /// Since when the outcome is what it is.
    pub since: Option<String>,
    /// The highest release that it has entered.
    pub position: Option<String>,
    /// The number of its last step.
    pub steps: u64,
}

/// A deployment that does not run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Former {
    pub release: String,
    pub deployment: String,
    /// Why it is bad, and since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// All components that anything is known of, by name.
pub fn all(store: &Store) -> Result<Vec<Shown>, StoreError> {
    let known = store.instances()?;
    known.iter().map(|(component, it)| shown(component, it, store)).collect()
}

/// One of them.
pub fn one(component: &str, store: &Store) -> Result<Option<Shown>, StoreError> {
    let known = store.instance(component)?;
    known.map(|it| shown(component, &it, store)).transpose()
}

fn shown(component: &str, known: &Instance, store: &Store) -> Result<Shown, StoreError> {
    let told = store.told(component)?;
    let happened = store.happened(component, LOOKED_AT)?;
    let last = happened.iter().find_map(|it| match it {
        Happened::Step { gap_ms, open_connections, .. } => Some((*gap_ms, *open_connections)),
        Happened::Task { .. } | Happened::Retry { .. } => None,
    });
    Ok(of(component, known, told.as_ref(), last.unwrap_or_default()))
}

/// So far back the last step is looked for.
const LOOKED_AT: usize = 50;

fn of(
    component: &str,
    Instance { row, position, .. }: &Instance,
    told: Option<&Told>,
    (gap_ms, open_connections): (Option<u64>, Option<u64>),
) -> Shown {
    let runs = row.runs();
    let text = |it: &Option<String>| it.clone();
    let (from, to) = match &row.step {
        Some(Step { from, to, .. }) => {
            (from.as_ref().map(|it| it.release.to_string()), Some(to.release.to_string()))
        }
        None => (told.and_then(|it| text(&it.from)), told.and_then(|it| text(&it.to))),
    };
    Shown {
        event: "component",
        component: component.to_owned(),
        outcome: told.map(|it| it.outcome.clone()),
        release: runs.map(|it| it.release.to_string()),
        deployment: runs.map(|it| it.public.to_string()),
        folder: runs.map(|it| it.folder.to_string()),
        from,
        to,
        step: told.and_then(|it| text(&it.step)),
        reason: told.and_then(|it| text(&it.reason)),
        gap_ms,
        open_connections,
        previous: row.previous.as_ref().map(former),
        bad: row.bad.iter().map(bad).collect(),
        waits_for: waits_for(row, told),
        since: told.map(|it| time(it.since)),
        position: position.clone(),
        steps: row.steps,
    }
}

fn former(it: &Deployment) -> Former {
    let (release, deployment) = (it.release.to_string(), it.public.to_string());
    Former { release, deployment, reason: None, at: None }
}

fn bad(it: &Bad) -> Former {
    Former {
        release: it.release.to_string(),
        deployment: it.public.to_string(),
        reason: Some(it.reason.to_string()),
        at: Some(time(it.at)),
    }
}

/// What keeps a step that is due or open from its end.
fn waits_for(row: &Row, told: Option<&Told>) -> Option<String> {
    let held = told.filter(|it| it.outcome == "held" || it.outcome == "not-kept");
    let reason = held.and_then(|it| it.reason.clone());
    let open = row.step.as_ref().map(|it| phase(&it.phase).to_owned());
    let again = row.again.as_ref().map(|it| it.why.to_string());
    reason.or(open).or(again)
}

fn phase(it: &Phase) -> &'static str {
    match it {
        Phase::Quiesce => "units that have to stand still come to rest",
        Phase::Drain | Phase::Drained => "traffic is taken away",
        Phase::Stop => "its program stops",
        Phase::Switch => "it is put in place",
        Phase::Start => "its program starts",
        Phase::Judge(_) => "it has to be well",
        Phase::Bake(_) => "it bakes",
        Phase::Commit => "it is committed",
        Phase::Retire => "the other slot stops",
    }
}

/// Seconds since 1970.
fn time(at: i64) -> String {
    Timestamp::from_second(at).map_or_else(|_| "?".to_owned(), |it| it.to_string())
}

/// Writes down what a run tells of a component, for whoever asks later.
pub fn tell(report: &Report, wall: i64, store: &Store) -> Result<(), StoreError> {
    let Report { component, outcome, step, from, to, reason, .. } = report;
    let told = Told {
        outcome: word(outcome),
        step: step.as_ref().map(word),
        from: from.clone(),
        to: to.clone(),
        reason: reason.clone(),
        since: wall,
    };
    store.put_told(component, &told)
}

/// Writes down a step that has ended, with its number, and who has asked for it by hand.
pub fn stepped(
    report: &Report,
    (step, by): (u64, Option<String>),
    wall: i64,
    store: &Store,
) -> Result<(), StoreError> {
    let Report { component, outcome, step: ended, from, to, reason, .. } = report;
    let one = Happened::Step {
        at: wall,
        step,
        outcome: word(outcome),
        ended: ended.as_ref().map(word).unwrap_or_default(),
        from: from.clone(),
        to: to.clone(),
        reason: reason.clone(),
        gap_ms: report.gap_ms,
        open_connections: report.open_connections,
        by,
    };
    store.put_happened(component, &one).map(drop)
}

/// A word as it is printed in JSON.
fn word(it: &impl Serialize) -> String {
    let word = serde_json::to_value(it).ok();
    word.and_then(|it| it.as_str().map(str::to_owned)).unwrap_or_default()
}

/// What came of asking that something be tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retried {
    /// No such component is known.
    Unknown,
    /// Nothing is bad, or waits.
    Nothing,
    /// This release, where it is known.
    Again(Option<String>),
}

/// Forgets that what is wanted of a component was bad, or that it waits to be tried again.
pub fn retry(
    component: &str,
    (by, wall): (&str, i64),
    store: &Store,
) -> Result<Retried, StoreError> {
    let Some(mut known) = store.instance(component)? else { return Ok(Retried::Unknown) };
    let row = &mut known.row;
    // What was wanted when somebody looked last.
    let own = row.sighted.as_ref().map(|it| it.own.clone());
    let own = own.or_else(|| row.bad.last().map(|it| it.own.clone())).unwrap_or_default();
    let bad = row.bad.iter().find(|it| it.own == own).map(|it| it.release.to_string());
    if !row.retry(&own) {
        return Ok(Retried::Nothing);
    }
    let release = match bad {
        Some(release) => Some(release),
        None => store.told(component)?.and_then(|it| it.to),
    };
    store.put_instance(component, &known)?;
    let one = Happened::Retry {
        at: wall,
        by: by.to_owned(),
        release: release.clone().unwrap_or_default(),
    };
    store.put_happened(component, &one)?;
    Ok(Retried::Again(release))
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use std::time::Duration;
    use steadfast_engine::component::{
        Again, Baking, Baseline, Became, Kind, Moment, Now, Stage, Trouble,
    };

    const API: &str = "people/api";

    fn deployment(release: &str) -> Deployment {
        let public = format!("public-{release}").into();
        Deployment { public, ..sample::deployment(&format!("own-{release}"), release) }
    }

    fn now() -> Now {
        Now { boot: "1".into(), at: Duration::from_secs(100), wall: 1_790_000_000 }
    }

    fn store(change: impl FnOnce(&mut Row)) -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        let mut known = Instance { position: Some("1.4".to_owned()), ..Instance::default() };
        known.row.current = Some(deployment("1.4"));
        known.row.previous = Some(deployment("1.3"));
        known.row.steps = 12;
        known.row.sight(&deployment("1.5"), &now());
        change(&mut known.row);
        store.put_instance(API, &known).unwrap();
        (folder, store)
    }

    fn bad_of(release: &str) -> Bad {
        let it = deployment(release);
        Bad {
            own: it.own,
            public: it.public,
            terms: it.terms.digest,
            release: it.release,
            reason: Trouble::Ill { reason: "it answers 500".into(), journal: vec![] },
            at: 1_790_000_000,
        }
    }

    fn report(outcome: Became, step: Option<Stage>, reason: &str) -> Report {
        Report {
            event: "component",
            component: API.to_owned(),
            outcome,
            release: None,
            deployment: None,
            folder: None,
            from: Some("1.4".to_owned()),
            to: Some("1.5".to_owned()),
            step,
            reason: Some(reason.to_owned()),
            gap_ms: Some(480),
            open_connections: Some(3),
        }
    }

    #[test]
    fn what_is_shown_is_what_the_ledger_has() {
        let (_folder, store) = store(|row| row.bad.push(bad_of("1.5")));
        let report = report(Became::NotKept, Some(Stage::WentBack), "went back to 1.4");
        tell(&report, 1_790_000_000, &store).unwrap();
        stepped(&report, (12, None), 1_790_000_000, &store).unwrap();
        let shown = one(API, &store).unwrap().unwrap();
        assert_eq!(all(&store).unwrap(), std::slice::from_ref(&shown));
        expect_test::expect![[r#"{"event":"component","component":"people/api","outcome":"not-kept","release":"1.4","deployment":"public-1.4","folder":"own-1.4","from":"1.4","to":"1.5","step":"went-back","reason":"went back to 1.4","gap_ms":480,"open_connections":3,"previous":{"release":"1.3","deployment":"public-1.3"},"bad":[{"release":"1.5","deployment":"public-1.5","reason":"it answers 500","at":"2026-09-21T14:13:20Z"}],"waits_for":"went back to 1.4","since":"2026-09-21T14:13:20Z","position":"1.4","steps":12}"#]]
        .assert_eq(&serde_json::to_string(&shown).unwrap());
        assert_eq!(one("people/web", &store).unwrap(), None);
    }

    #[test]
    fn an_open_step_is_told_where_no_run_has_told_of_it() {
        let (_folder, store) = store(|row| {
            row.step = Some(Step {
                number: 13,
                kind: Kind::Move,
                from: row.current.clone(),
                to: deployment("1.5"),
                chained: false,
                baseline: Baseline::Well,
                phase: Phase::Bake(Baking::default()),
                since: now().moment(),
                tries: 0,
                boots: 0,
                back: None,
                stuck: None,
                stopped: None,
                gap: None,
                connections: None,
            });
        });
        let shown = one(API, &store).unwrap().unwrap();
        assert_eq!(shown.release.as_deref(), Some("1.5"), "it is what runs");
        assert_eq!(shown.to.as_deref(), Some("1.5"));
        assert_eq!(shown.waits_for.as_deref(), Some("it bakes"));
    }

    #[test]
    fn retry_forgets_what_is_wanted_and_nothing_else() {
        let both = |row: &mut Row| row.bad = vec![bad_of("1.5"), bad_of("1.6")];
        let (_folder, store) = store(both);
        let asked = ("Ann", 1_790_000_000);
        assert_eq!(retry("people/web", asked, &store).unwrap(), Retried::Unknown);
        let again = Retried::Again(Some("1.5".to_owned()));
        assert_eq!(retry(API, asked, &store).unwrap(), again);
        let left = one(API, &store).unwrap().unwrap().bad;
        assert_eq!(left.iter().map(|it| &*it.release).collect::<Vec<_>>(), ["1.6"]);
        assert_eq!(retry(API, asked, &store).unwrap(), Retried::Nothing);
        assert_eq!(store.happened(API, 9).unwrap().len(), 1);
    }

    #[test]
    fn what_waits_is_tried_at_once() {
        let wanted = deployment("1.5");
        let (_folder, store) = store(|row| {
            row.again = Some(Again {
                own: wanted.own.clone(),
                terms: wanted.terms.digest.clone(),
                source: "s".into(),
                failures: 4,
                since: Moment { boot: "1".into(), at: Duration::ZERO },
                wall: 0,
                waited: Duration::ZERO,
                once_well: false,
                why: Trouble::Refused("its digest is another".into()),
            });
        });
        let shown = one(API, &store).unwrap().unwrap();
        let refused = "its artifact was refused: its digest is another";
        assert_eq!(shown.waits_for.as_deref(), Some(refused));
        tell(&report(Became::NotKept, None, "r"), 1, &store).unwrap();
        let again = Retried::Again(Some("1.5".to_owned()));
        assert_eq!(retry(API, ("Ann", 1), &store).unwrap(), again);
        assert_eq!(store.instance(API).unwrap().unwrap().row.again, None);
    }
}
