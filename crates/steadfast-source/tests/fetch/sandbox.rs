//! Fetching in a process that has given up what it had, and accepting outside of it.

use crate::support::{World, exists};
use std::path::Path;
use std::process::Command;
use steadfast_source::fetcher::{
    Brought, Known, Material, Terms, accept, bring, from_line, to_line,
};
use steadfast_source::floor::Force;
use steadfast_source::sandbox::{Confined, confine};
use steadfast_source::settings::{Git, Limits, Reference, Source};

const USER: u32 = 64_321;

#[test]
fn a_confined_process_brings_a_model_and_can_do_nothing_else() {
    if !nix::unistd::Uid::effective().is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    let mut world = World::new();
    world.repository();
    let key = world.ssh_key("anna");
    let trust = world.allowed(&[("", "anna")]);
    world.signed("model.yaml", "model: y\n", &key);
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(world.folder.path(), open).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sandbox::the_confined_side", "--nocapture", "--test-threads=1"])
        .env("STEADFAST_TEST_WORLD", world.folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let line = std::fs::read_to_string(world.path("cache/report")).unwrap();
    assert_eq!(from_line(&line), Ok(Brought::Offer { validator: None }));
    assert!(!exists(&world.path("cache/run")));
    let source = world.branch();
    let terms = Terms {
        source: &source,
        trust: &trust,
        expected: &world.expected,
        now: world.now,
        zone: &jiff::tz::TimeZone::UTC,
        force: Force::No,
        run_as: None,
        limits: &world.limits,
    };
    let fetched = accept(&terms, &mut world.floor, &world.folder.path().join("cache")).unwrap();
    assert_eq!(fetched.signers[0].name, "anna@x");
}

/// What runs in the process of its own; nothing where it was not started for that.
#[test]
fn the_confined_side() {
    let Some(world) = std::env::var_os("STEADFAST_TEST_WORLD") else { return };
    let world = Path::new(&world);
    let cache = world.join("cache");
    let url = format!("file://{}", world.join("work").display());
    let mut git = Git::new(url, Reference::Branch("main".into()));
    git.ssh_key = None;
    let source = Source::Git(git);
    let material = Material::read(&source).unwrap();
    let limits = Limits::default();
    assert_eq!(confine(&cache, USER, USER, &limits).unwrap(), Confined::AsUser);

    assert!(std::fs::read(world.join("anna")).is_err(), "it reads a private key");
    assert!(std::fs::write(world.join("x"), "").is_err(), "it writes beside its folder");
    assert!(std::fs::read("/etc/shadow").is_err(), "it reads what is root's");
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = |name: &str| {
        let line = status.lines().find_map(|it| it.strip_prefix(name)).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("Uid:"), [USER; 4].map(|it| it.to_string()).join(" "));
    assert_eq!(line("Gid:"), [USER; 4].map(|it| it.to_string()).join(" "));
    assert_eq!(
        (line("Groups:"), line("NoNewPrivs:"), line("CapEff:")),
        (String::new(), "1".into(), "0".repeat(16))
    );

    let result = bring(&source, &material, &Known::default(), &cache, &limits);
    std::fs::write(cache.join("report"), to_line(&result)).unwrap();
}
