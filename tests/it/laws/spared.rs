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

const KEY: &str =
    "\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDaQXvUYi0WCw6sGaPT1s7NShBxRjodeJ/EBbajCzwqg a\"";

/// A machine where homes, what this program keeps, logs and applications are on another disk, and how it is that
/// they are found at their usual places.
fn moved(is_bound: bool) -> FakeHost {
    let mut host = FakeHost::debian().with_directory("/data");
    for (usual, name) in [
        ("/home", "home"),
        ("/srv/people", "people"),
        ("/var/lib/steadfast", "state"),
        ("/var/log", "log"),
        ("/srv/app", "app"),
    ] {
        let there = format!("/data/{name}");
        let usual = AbsPath::parse(usual).unwrap();
        host = host.with(|world| world.take(&usual)).with_directory(&there);
        host = match is_bound {
            true => host.with_bind(usual.as_str(), &there),
            false => host.with_link(usual.as_str(), &there),
        };
    }
    let host = host.with_user("cid", 1_003, 100, "/home/cid").with_directory("/data/home/cid");
    let host = host.with_user("dan", 1_004, 100, "/data/one/dan").with_directory("/data/one");
    host.with_directory("/data/one/dan")
        .with_file("/data/one/dan/notes", "dan's")
        .with_file("/data/home/cid/notes", "cid's")
        .with_file("/data/state/store.db", "state")
        .with_file("/data/log/syslog", "log")
        .with_file("/data/stray", "stray")
}

#[test]
fn a_place_is_spared_by_what_it_is_and_not_by_how_it_is_written() {
    let model = format!(
        "users:\n  ann: {{ ssh_keys: [{KEY}] }}\n  bea: {{ home: /srv/people/bea, ssh_keys: [{KEY}] }}\n  eve: {{ }}\n\
         files: {{ /srv/app/conf: {{ content: \"a = 1\\n\" }} }}\n"
    );
    let kept = [
        "/data/home/ann/.ssh/authorized_keys",
        "/data/people/bea/.ssh/authorized_keys",
        "/data/home/eve/.profile",
        "/data/home/cid/notes",
        "/data/one/dan/notes",
        "/data/state/store.db",
        "/data/log/syslog",
        "/data/app/conf",
    ];
    for is_bound in [false, true] {
        let folders = ["/data", "/data/home", "/data/people", "/data/one", "/data/app"];
        for (folder, recurse) in
            folders.iter().flat_map(|it| [(it, ""), (it, ", recurse: true, mode: \"u=rwX,go=rX\"")])
        {
            let purge = format!("purge: true, force: true, purge_max: 1000{recurse}");
            let text = format!("{model}directories: {{ {folder}: {{ {purge} }} }}\n");
            let world = ran(&moved(is_bound), &text).unwrap();
            for path in kept {
                assert!(world.text(path).is_some(), "{path} is gone (bound: {is_bound}): {text}");
            }
            assert_eq!(world.thing("/data/stray").is_none(), *folder == "/data", "{text}");
        }
        for folder in ["/data", "/data/home", "/data/people", "/data/one"] {
            let absent = format!("{folder}: {{ state: absent, force: true }}");
            let text = format!("{model}directories: {{ {absent} }}\n");
            let world = ran(&moved(is_bound), &text).unwrap();
            // What is promised in a directory that is to be absent is not made either.
            for path in kept.iter().filter(|it| **it != "/data/app/conf") {
                assert!(world.text(path).is_some(), "{path} is gone (bound: {is_bound}): {text}");
            }
        }
    }
}

#[test]
fn the_home_of_a_user_who_goes_is_nobodys_and_a_purge_takes_it_in_the_same_run() {
    for is_bound in [false, true] {
        for (user, folder, goes) in [("dan", "/data/one", true), ("cid", "/data", false)] {
            let purge = format!("{folder}: {{ purge: true, force: true }}");
            let text = format!("users: {{ {user}: absent }}\ndirectories: {{ {purge} }}\n");
            let model = Model::of(&text, &[]).unwrap();
            let host = moved(is_bound);
            converge(&host, &model.promises, &mut Notebook::default(), Budget::default());
            let world = host.world();
            assert_eq!(world.thing("/data/one/dan").is_none(), goes, "{text}");
            // /home itself is not purged, whatever it is called.
            assert!(world.text("/data/home/cid/notes").is_some(), "{text}");
        }
    }
}

/// What is refused of a path when a model is read holds for what a path turns out to be on a machine.
#[test]
fn what_is_protected_by_its_path_is_protected_by_every_path_that_leads_there() {
    let host = moved(true).with_link("/srv/etc", "/etc").with_link("/srv/lib", "/var/lib");
    let host = host.with_directory("/etc/ssh").with_file("/etc/shadow", "root:*\n");
    let before = host.world();
    for (section, promise, said) in [
        ("directories", "/srv/etc/ssh: { purge: true }", "/etc/ssh"),
        ("directories", "/srv/etc/ssh: absent", "/etc/ssh"),
        ("directories", "/srv/etc/ssh: { mode: \"0700\" }", "/etc/ssh"),
        ("directories", "/data/home: { mode: \"0700\" }", "/home"),
        ("directories", "/data/home: { purge: true, force: true }", "/home"),
        ("directories", "/data/log: { state: absent, force: true }", "/var/log"),
        ("files", "/srv/etc/shadow: absent", "/etc/shadow"),
        ("files", "/srv/etc/shadow: { mode: \"0644\" }", "/etc/shadow"),
        ("files", "/srv/lib/steadfast/store.db: absent", "/var/lib/steadfast"),
        ("files", "/data/state/store.db: { content: \"x\" }", "/var/lib/steadfast"),
        ("links", "/srv/etc/shadow: { target: /srv/x, force: true }", "/etc/shadow"),
    ] {
        let model = Model::of(&format!("{section}: {{ {promise} }}\n"), &[]).unwrap();
        let report = converge(&host, &model.promises, &mut Notebook::default(), Budget::default());
        let told = format!("{:?}", report.verdicts);
        assert!(told.contains(said), "{promise}: {told}");
        assert_eq!(host.world().files, before.files, "{promise}");
    }
    // What may be said of the directory by its usual name may be said by the other.
    for promise in ["/data/home: { mode: \"0711\" }", "/data/log: { mode: \"0775\", purge: true }"]
    {
        let world = ran(&moved(true), &format!("directories: {{ {promise} }}\n")).unwrap();
        let mode = if promise.contains("0711") { 0o711 } else { 0o775 };
        let path = promise.split(':').next().unwrap();
        assert_eq!(world.thing(path).unwrap().mode, mode, "{promise}");
    }
}

#[test]
fn a_link_on_the_way_to_a_home_is_not_purged() {
    let host = FakeHost::debian().with_directory("/srv").with_directory("/data");
    let host = host.with_directory("/data/people").with_link("/srv/people", "/data/people");
    let text = format!(
        "users: {{ bea: {{ home: /srv/people/bea, ssh_keys: [{KEY}] }} }}\n\
         directories: {{ /srv: {{ purge: true, force: true }} }}\n"
    );
    let world = ran(&host, &text).unwrap();
    assert!(world.thing("/srv/people").is_some());
    assert!(world.text("/data/people/bea/.ssh/authorized_keys").is_some());
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
