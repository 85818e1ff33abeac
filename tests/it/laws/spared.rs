//! What promises make stays, whatever other promises take away: no kind has to be named by path for that.

use std::collections::BTreeSet;
use steadfast_engine::Budget;
use steadfast_system::AbsPath;
use steadfast_testkit::run::{Model, Notebook, converge};
use steadfast_testkit::{FakeHost, World};

/// One of everything that makes something in the file system.
const MAKERS: &str = r#"
groups: { app: { members: [ann] } }
users:
  ann: { ssh_keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDaQXvUYi0WCw6sGaPT1s7NShBxRjodeJ/EBbajCzwqg a"] }
  bea:
    home: /srv/people/bea
    ssh_keys: { exactly: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDaQXvUYi0WCw6sGaPT1s7NShBxRjodeJ/EBbajCzwqg b"] }
files: { /srv/app/conf: { content: "a = 1\n" } }
links: { /srv/app/current: releases/1 }
hostname: box.example
cron: { tidy: { schedule: "@daily", command: "true" } }
services:
  app: { enabled: true, drop_ins: { more: { content: "[Service]\nNice=5\n" } } }
  own: { enabled: true, unit: { content: "[Service]\nExecStart=/bin/own\n[Install]\nWantedBy=multi-user.target\n" } }
  bad: { enabled: masked }
"#;

fn host() -> FakeHost {
    let unit = "[Service]\nExecStart=/bin/x\n[Install]\nWantedBy=multi-user.target\n";
    FakeHost::debian()
        .with_directory("/srv/app")
        .with_directory("/srv/people")
        .with_unit("app", unit)
        .with_unit("bad", unit)
}

/// What the makers make: paths that were not there.
fn made() -> BTreeSet<AbsPath> {
    let (host, end) = (host(), ran(&host(), MAKERS).unwrap());
    let start = host.world();
    end.files.into_keys().filter(|it| !start.files.contains_key(it)).collect()
}

/// The machine after three runs with this model, of which the last had nothing left to do; why there is none.
fn ran(host: &FakeHost, text: &str) -> Result<World, String> {
    let model = Model::of(text, &[])?;
    let mut ledger = Notebook::default();
    for _ in 0..3 {
        host.expect_fault(None);
        converge(host, &model.promises, &mut ledger, Budget::default());
    }
    assert_eq!(host.log(), [""; 0], "promises undo each other in every run\n{text}");
    Ok(host.world())
}

/// All directories that something lies in, but the root.
fn folders(made: &BTreeSet<AbsPath>) -> BTreeSet<AbsPath> {
    let above = |path: &AbsPath| std::iter::successors(path.parent(), AbsPath::parent);
    made.iter().flat_map(above).filter(|it| it.as_str() != "/").collect()
}

/// What a new home gets from the skeleton is the user's: who promises something about the inside of a home may
/// take it away.
fn is_from_skeleton(path: &AbsPath) -> bool {
    path.file_name().starts_with('.') && path.file_name() != ".ssh"
}

#[track_caller]
fn stays(made: &BTreeSet<AbsPath>, world: &World, text: &str) {
    let gone: Vec<&AbsPath> = made.iter().filter(|it| !world.files.contains_key(*it)).collect();
    assert!(gone.is_empty(), "gone: {gone:?}\n{text}");
}

#[test]
fn what_promises_make_is_purged_from_no_directory() {
    let made = made();
    for path in ["/home/ann/.ssh/authorized_keys", "/srv/people/bea/.ssh/authorized_keys"] {
        assert!(made.contains(&AbsPath::parse(path).unwrap()), "{made:?}");
    }
    for folder in folders(&made) {
        for more in
            ["", ", force: true", ", force: true, owner: root, mode: \"0755\", recurse: true"]
        {
            let fields = format!("purge: true, purge_max: 1000{more}");
            let text = format!("{MAKERS}directories: {{ {folder}: {{ {fields} }} }}\n");
            match ran(&host(), &text) {
                Ok(world) => {
                    let homes = ["/home/ann", "/srv/people/bea"];
                    let in_home = homes.iter().any(|it| folder.as_str().starts_with(it));
                    let stay = made.iter().filter(|it| !(in_home && is_from_skeleton(it)));
                    stays(&stay.cloned().collect(), &world, &text);
                }
                // The model may say that this cannot be, and then nothing is done.
                Err(told) => assert!(
                    ["twice", "both", "bad-value"].iter().any(|it| told.contains(it)),
                    "{told}"
                ),
            }
        }
    }
}

#[test]
fn what_promises_make_is_not_taken_away_by_one_that_says_absent() {
    let made = made();
    let absences = folders(&made)
        .into_iter()
        .map(|it| format!("directories: {{ {it}: {{ state: absent, force: true }} }}\n"));
    for absence in absences {
        let text = format!("{MAKERS}{absence}");
        if let Ok(world) = ran(&host(), &text) {
            stays(&made, &world, &text);
        }
    }
    for path in made.iter().filter(|it| !is_from_skeleton(it)) {
        for (section, other) in [
            ("files", "/srv/app/conf: { content: \"a = 1\\n\" }"),
            ("links", "/srv/app/current: releases/1"),
        ] {
            let absent = format!("{section}: {{ {other}, {path}: absent }}");
            let text = MAKERS.replace(&format!("{section}: {{ {other} }}"), &absent);
            if let Ok(world) = ran(&host(), &text) {
                stays(&made, &world, &text);
            }
        }
    }
}

#[test]
fn a_file_of_keys_has_one_promise() {
    for (file, said) in [
        (
            "/srv/people/bea/.ssh/authorized_keys",
            Some("promises /srv/people/bea/.ssh/authorized_keys twice"),
        ),
        // The model does not say where this home is; the machine does.
        ("/home/ann/.ssh/authorized_keys", None),
    ] {
        let text =
            MAKERS.replace("files: {", &format!("files: {{ {file}: {{ content: \"x\\n\" }},"));
        match (ran(&host(), &text), said) {
            (Err(told), Some(said)) => {
                let words: Vec<&str> = told.split_whitespace().collect();
                assert!(words.join(" ").contains(said), "{told}");
            }
            (Ok(world), None) => {
                assert!(world.text(file).unwrap().contains("ssh-ed25519"), "{text}");
            }
            (Err(told), None) => panic!("{told}"),
            (Ok(_), Some(said)) => panic!("not said: {said}"),
        }
    }
}
