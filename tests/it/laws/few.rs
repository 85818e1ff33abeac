//! A run of a few promises that knows only what those hang on does to them what one does that knows all promises.

use std::collections::BTreeSet;
use steadfast_engine::{Budget, Promises, Ties};
use steadfast_testkit::run::{Model, Notebook, Verdict, converge};
use steadfast_testkit::{FakeHost, World};

const SERVER: &str = r#"
groups: { app: { gid: 2100 } }
users: { ann: { uid: 2000, group: app } }
directories:
  /srv/app: { owner: ann, mode: "0750", purge: true }
  /srv/app/sub: { owner: ann }
files:
  /srv/app/conf: { content: "a = 1\n", owner: ann, restarts: app }
  /srv/app/sub/more: { content: "b = 1\n", reloads: app }
  /srv/app/key: { content: { secret: key }, mode: "0600" }
  /etc/motd: { content: "c\n" }
  /etc/old: absent
links: { /srv/app/current: sub }
cron: { tidy: { schedule: "@daily", user: ann, command: "true" } }
services:
  app: { running: true, enabled: true, drop_ins: { more: { content: "[Service]\nNice=5\n" } } }
  bad: { enabled: masked }
hostname: box.example
"#;

fn bare() -> FakeHost {
    let unit = "[Service]\nExecStart=/bin/x\n[Install]\nWantedBy=multi-user.target\n";
    FakeHost::debian()
        .booted()
        .with_secret("key", "s3cret")
        .with_file("/etc/old", "old\n")
        .with_unit("app", unit)
        .with_unit("bad", unit)
}

/// What these promises hang on, and nothing else, as it is remembered of all of them.
fn only(all: &Promises, names: &[String]) -> Promises {
    let (ties, frame) = (Ties::of(all), all.frame());
    let which = ties.around(&frame, names).unwrap();
    let parts = which.iter().map(|it| all.all[*it].clone()).collect();
    frame.around_only(&which, parts)
}

/// What a run of these does, and what it leaves.
fn ran(
    mut promises: Promises,
    names: &[String],
    world: &World,
    ledger: &Notebook,
) -> (Vec<Verdict>, World, Vec<String>, String) {
    promises.select_named(names);
    let (host, mut ledger) = (FakeHost::new(world.clone()), ledger.clone());
    let run = converge(&host, &promises, &mut ledger, Budget::default());
    (run.verdicts, host.world(), host.log(), format!("{ledger:?}"))
}

#[test]
fn who_knows_only_what_a_promise_hangs_on_does_what_who_knows_all_does() {
    let all = Model::of(SERVER, &[]).unwrap().promises;
    let host = bare();
    let mut ledger = Notebook::default();
    let mut starts = vec![(host.world(), ledger.clone())];
    for _ in 0..2 {
        converge(&host, &all, &mut ledger, Budget::default());
    }
    let right = host.world();
    starts.push((right.clone(), ledger.clone()));
    // Each thing that a promise made, gone.
    let before = bare().world();
    for path in right.files.keys().filter(|it| !before.files.contains_key(*it)) {
        let mut world = right.clone();
        world.files.retain(|it, _| it != path && !it.is_within(path));
        starts.push((world, ledger.clone()));
    }
    assert!(starts.len() > 8, "{}", starts.len());
    let ids: BTreeSet<String> = all.all.iter().map(|it| it.id.to_string()).collect();
    let ids: Vec<String> = ids.into_iter().collect();
    let alone = ids.iter().map(|it| vec![it.clone()]);
    let pairs = ids.windows(2).map(<[String]>::to_vec);
    let mut repaired = 0;
    for names in alone.chain(pairs) {
        let few = only(&all, &names);
        for (world, ledger) in &starts {
            let known = ran(few.clone(), &names, world, ledger);
            repaired += known.2.len();
            assert_eq!(known, ran(all.clone(), &names, world, ledger), "{names:?}");
        }
    }
    assert!(repaired > 100, "{repaired}");
}

#[test]
fn a_few_are_few_and_a_name_of_nothing_is_none() {
    let all = Model::of(SERVER, &[]).unwrap().promises;
    let names = |its: &[&str]| its.iter().map(|it| (*it).to_owned()).collect::<Vec<String>>();
    let ids = |its: &[&str]| -> BTreeSet<String> {
        only(&all, &names(its)).all.iter().map(|it| it.id.to_string()).collect()
    };
    // Services are always known, with all that they run with: what they owe is told.
    let always = ids(&["service:bad"]);
    assert!(!always.contains("file:/etc/motd") && !always.contains("cron:tidy"), "{always:?}");
    let more = ids(&["cron:tidy"]);
    assert!(more.contains("cron:tidy") && more.contains("user:ann"), "{more:?}");
    let frame = all.frame();
    assert_eq!(Ties::of(&all).around(&frame, &names(&["file:/etc/motd", "file:/etc/*"])), None);
}
