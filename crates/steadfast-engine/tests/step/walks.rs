//! One step after the other on a calm machine, by hand: which acts, in which order, and what comes of it.

use crate::host::{Cut, Host, Truth};
use expect_test::{Expect, expect};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use steadfast_engine::component::{
    Act, By, Debt, Deployment, Done, Next, Now, Quiesces, Row, Seen, Stop, Switch, Terms, Until,
    Wanted, next,
};

struct Walk {
    host: Host,
    row: Row,
    time: i64,
    told: Vec<String>,
}

fn terms(switch: Switch) -> Terms {
    Terms {
        digest: "7e".into(),
        switch,
        units: "11".into(),
        within: Duration::from_secs(30),
        lasts: Duration::from_secs(5),
        bake: Duration::ZERO,
        drains: false,
        readies: false,
        drain_for: Duration::from_secs(10),
        quiesces: None,
    }
}

fn deployment(name: &str, terms: &Terms) -> Deployment {
    let own: Arc<str> = name.into();
    let (public, folder, release) = (own.clone(), own.clone(), own.clone());
    Deployment { own, public, folder, release, terms: terms.clone() }
}

impl Walk {
    fn new() -> Walk {
        Walk { host: Host::new(), row: Row::default(), time: 0, told: vec![] }
    }

    /// A run by hand with `name` as its target.
    fn bring(&mut self, name: &str, terms: &Terms, truth: Truth) -> &mut Walk {
        let wanted = deployment(name, terms);
        self.host.truths.insert(Arc::clone(&wanted.own), truth);
        let source = Arc::clone(&wanted.own);
        let wanted = Some(Wanted { deployment: wanted, source });
        self.told.push(format!("-> {name}"));
        let mut done = None;
        for _ in 0..2_000 {
            let seen = Seen {
                wanted: wanted.clone(),
                by: By::Hand { now: false },
                closed: vec![],
                prepared: self.host.prepared.clone(),
                place: self.host.place.clone(),
                running: self.host.running(),
                along: BTreeSet::new(),
                busy: self.host.busy(self.time),
                restart_owed: false,
                done: done.take(),
            };
            let at = Duration::from_millis(u64::try_from(self.time).unwrap());
            let now = Now { boot: "1".into(), at, wall: self.time / 1_000 };
            match next(&self.row, &seen, &now) {
                Next::Act { row, act } => {
                    self.row = row;
                    done = Some(self.perform(&act));
                }
                Next::Wait { row, until: Until::Boot(at), why } if why.is_waited_for(true) => {
                    self.row = row;
                    self.time = i64::try_from(at.as_millis()).unwrap();
                }
                Next::Wait { row, until: _, why } => {
                    self.row = row;
                    self.told.push(format!("waits: {why:?}"));
                    return self;
                }
                Next::Ended { row, end, step: _, due: _ } => {
                    self.row = row;
                    let end = format!("{end:?}");
                    self.told.push(end.split([' ', '(']).next().unwrap().to_owned());
                    return self;
                }
            }
        }
        self.told.push("it does not end".to_owned());
        self
    }

    fn perform(&mut self, act: &Act) -> Done {
        self.time += 10;
        let words = match act {
            Act::Prepare(it) => format!("prepare {}", it.own),
            Act::Ask(it) => format!("ask {}", it.own),
            Act::Quiesce { kill: false } => "quiesce".to_owned(),
            Act::Quiesce { kill: true } => "kill what does not come to rest".to_owned(),
            Act::Drain => "drain".to_owned(),
            Act::Stop(Stop::All { keep_sockets: false }) => "stop".to_owned(),
            Act::Stop(Stop::All { keep_sockets: true }) => "stop, sockets stay".to_owned(),
            Act::Stop(Stop::Others { but: Some(it) }) => format!("stop all slots but {}", it.own),
            Act::Stop(Stop::Others { but: None }) => "stop all slots".to_owned(),
            Act::Switch(Some(it)) => format!("switch to {}", it.own),
            Act::Switch(None) => "switch to what was before the first".to_owned(),
            Act::Start { deployment, how } => format!("{how:?} {}", deployment.own).to_lowercase(),
            Act::Commit { current, previous: Some(it) } => {
                format!("commit {}, previous {}", current.own, it.own)
            }
            Act::Commit { current, previous: None } => format!("commit {}", current.own),
            Act::Pay(Debt::Ready) => "ready".to_owned(),
            Act::Pay(Debt::Quiesced) => "start what was quiesced".to_owned(),
            Act::Pay(Debt::Units(_)) => "start what was taken along".to_owned(),
        };
        // It is asked again and again until it is well for long enough.
        if self.told.last() != Some(&words) {
            self.told.push(words);
        }
        self.host.pass(self.time);
        self.host.perform(act, Cut::Nowhere, self.time)
    }

    #[track_caller]
    fn shows(&mut self, expected: Expect) {
        assert_eq!(self.host.broken, None);
        expected.assert_eq(&(std::mem::take(&mut self.told).join("\n") + "\n"));
    }
}

#[test]
fn a_restart_drains_stops_switches_starts_and_is_made_ready_at_the_first_good_answer() {
    let terms = Terms {
        drains: true,
        readies: true,
        quiesces: Some(Quiesces { wait: Duration::from_secs(60), kills: false }),
        ..terms(Switch::Restart)
    };
    let mut walk = Walk::new();
    walk.bring("first", &terms, Truth::Good).shows(expect![[r#"
        -> first
        prepare first
        quiesce
        switch to first
        start first
        ask first
        ready
        start what was quiesced
        ask first
        commit first
        Committed
    "#]]);
    walk.bring("second", &terms, Truth::Good).shows(expect![[r#"
        -> second
        prepare second
        ask first
        quiesce
        drain
        stop
        switch to second
        start second
        ask second
        ready
        start what was quiesced
        ask second
        commit second, previous first
        Committed
    "#]]);
    walk.bring("second", &terms, Truth::Good).shows(expect![[r#"
        -> second
        Settled
    "#]]);
}

#[test]
fn a_bad_one_is_gone_back_from_and_not_tried_again() {
    let terms = terms(Switch::Restart);
    let mut walk = Walk::new();
    walk.bring("good", &terms, Truth::Good).shows(expect![[r#"
        -> good
        prepare good
        switch to good
        start good
        ask good
        commit good
        Committed
    "#]]);
    walk.bring("bad", &terms, Truth::Ill).shows(expect![[r#"
        -> bad
        prepare bad
        ask good
        stop
        switch to bad
        start bad
        ask bad
        stop
        switch to good
        start good
        ask good
        WentBack
    "#]]);
    walk.bring("bad", &terms, Truth::Ill).shows(expect![[r#"
        -> bad
        Bad
    "#]]);
    walk.bring("good", &terms, Truth::Good).shows(expect![[r#"
        -> good
        Settled
    "#]]);
    walk.bring("bad", &terms, Truth::Ill).shows(expect![[r#"
        -> bad
        Bad
    "#]]);
    // Other terms are another question.
    let longer = Terms { digest: "80".into(), ..terms.clone() };
    walk.bring("bad", &longer, Truth::Slow(20_000)).shows(expect![[r#"
        -> bad
        ask good
        stop
        switch to bad
        start bad
        ask bad
        commit bad, previous good
        Committed
    "#]]);
}

#[test]
fn a_first_one_that_fails_leaves_nothing_and_is_never_bad() {
    let mut walk = Walk::new();
    walk.bring("first", &terms(Switch::Restart), Truth::DoesNotStart).shows(expect![[r#"
        -> first
        prepare first
        switch to first
        start first
        switch to what was before the first
        Failed
    "#]]);
    walk.bring("first", &terms(Switch::Restart), Truth::Good).shows(expect![[r#"
        -> first
        switch to first
        start first
        ask first
        commit first
        Committed
    "#]]);
}

#[test]
fn a_reload_stops_nothing_unless_its_units_are_others() {
    let mut walk = Walk::new();
    let reload = terms(Switch::Reload);
    walk.bring("first", &reload, Truth::Good).shows(expect![[r#"
        -> first
        prepare first
        switch to first
        start first
        ask first
        commit first
        Committed
    "#]]);
    walk.bring("second", &reload, Truth::Good).shows(expect![[r#"
        -> second
        prepare second
        ask first
        switch to second
        reload second
        ask second
        commit second, previous first
        Committed
    "#]]);
    walk.bring("bad", &reload, Truth::Ill).shows(expect![[r#"
        -> bad
        prepare bad
        ask second
        switch to bad
        reload bad
        ask bad
        switch to second
        reload second
        ask second
        WentBack
    "#]]);
    let others = Terms { units: "12".into(), ..reload };
    walk.bring("third", &others, Truth::Good).shows(expect![[r#"
        -> third
        prepare third
        ask second
        stop
        switch to third
        start third
        ask third
        commit third, previous second
        Committed
    "#]]);
}

#[test]
fn sockets_stay_open_while_their_program_is_another() {
    let mut walk = Walk::new();
    let socket = terms(Switch::Socket);
    walk.bring("first", &socket, Truth::Good).shows(expect![[r#"
        -> first
        prepare first
        switch to first
        start first
        ask first
        commit first
        Committed
    "#]]);
    walk.bring("second", &socket, Truth::Good).shows(expect![[r#"
        -> second
        prepare second
        ask first
        switch to second
        stop, sockets stay
        start second
        ask second
        commit second, previous first
        Committed
    "#]]);
}

#[test]
fn blue_green_moves_traffic_only_to_a_program_that_has_been_well() {
    let mut walk = Walk::new();
    let terms = terms(Switch::BlueGreen);
    walk.bring("blue", &terms, Truth::Good).shows(expect![[r#"
        -> blue
        prepare blue
        beside blue
        ask blue
        switch to blue
        commit blue
        Committed
    "#]]);
    walk.bring("green", &terms, Truth::Good).shows(expect![[r#"
        -> green
        prepare green
        ask blue
        beside green
        ask green
        switch to green
        commit green, previous blue
        stop all slots but green
        Committed
    "#]]);
    walk.bring("bad", &terms, Truth::Ill).shows(expect![[r#"
        -> bad
        prepare bad
        ask green
        beside bad
        ask bad
        stop all slots but green
        ask green
        WentBack
    "#]]);
    let bakes = Terms { bake: Duration::from_secs(600), ..terms };
    walk.bring("dies", &bakes, Truth::Dies(60_000)).shows(expect![[r#"
        -> dies
        prepare dies
        ask green
        beside dies
        ask dies
        switch to dies
        ask dies
        switch to green
        ask green
        WentBack
    "#]]);
}

#[test]
fn while_nothing_it_depends_on_is_there_no_release_is_outlawed() {
    let mut walk = Walk::new();
    let terms = terms(Switch::Restart);
    walk.bring("old", &terms, Truth::Good).shows(expect![[r#"
        -> old
        prepare old
        switch to old
        start old
        ask old
        commit old
        Committed
    "#]]);
    walk.host.dependency = false;
    walk.bring("new", &terms, Truth::Good).shows(expect![[r#"
        -> new
        prepare new
        ask old
        stop
        switch to new
        start new
        ask new
        stop
        switch to old
        start old
        ask old
        Inconclusive
    "#]]);
    walk.host.dependency = true;
    walk.bring("new", &terms, Truth::Good).shows(expect![[r#"
        -> new
        ask old
        stop
        switch to new
        start new
        ask new
        commit new, previous old
        Committed
    "#]]);
}

#[test]
fn what_is_ill_for_a_moment_at_the_end_of_its_bake_is_committed_once_it_is_well() {
    let mut walk = Walk::new();
    let terms = terms(Switch::Restart);
    walk.bring("old", &terms, Truth::Good).told.clear();
    let bakes = Terms { bake: Duration::from_secs(60), ..terms };
    let begun = walk.time;
    walk.host.outage = begun + 60_000..begun + 80_000;
    walk.bring("new", &bakes, Truth::Good);
    assert!(walk.time > begun + 80_000, "it is committed while it is ill: {}", walk.time - begun);
    walk.shows(expect![[r#"
        -> new
        prepare new
        ask old
        stop
        switch to new
        start new
        ask new
        commit new, previous old
        Committed
    "#]]);
    let begun = walk.time;
    walk.host.outage = begun + 60_000..begun + 200_000;
    walk.bring("newer", &bakes, Truth::Good).shows(expect![[r#"
        -> newer
        prepare newer
        ask new
        stop
        switch to newer
        start newer
        ask newer
        stop
        switch to new
        start new
        ask new
        Inconclusive
    "#]]);
}
