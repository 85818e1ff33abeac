//! Who wrote which line, from real repositories and published snapshots.

use crate::require::is_root;
use crate::server::{Server, folder};
use crate::support::World;
use std::collections::BTreeMap;
use std::path::Path;
use steadfast_source::anti_rollback::{AntiRollback, Point};
use steadfast_source::attribute::{attribute, attribute_local, attribute_work_tree};
use steadfast_source::attribution::{Attribution, Written};
use steadfast_source::fetch::checkout;
use steadfast_source::publish::{EXPIRES, Publication, create_key, publish, read_key};
use steadfast_source::settings::{Snapshot, Source, Trust};
use steadfast_source::terms::Fetched;

fn write(world: &World, file: &str, lines: &[&str]) {
    let path = world.path("work").join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, lines.iter().map(|it| format!("{it}\n")).collect::<String>()).unwrap();
}

/// A commit of all that lies there, by somebody; its subject is its name in these tests.
fn commit(world: &World, who: &str, subject: &str) -> String {
    world.git(&["add", "--all", "--force"]);
    let author = format!("{who} <{who}@x>");
    world.git(&["commit", "--quiet", "--allow-empty", "--author", &author, "-m", subject]);
    world.git(&["rev-parse", "HEAD"])
}

/// `anna:Begin <bert:More`: by whom each line is and in which commit, or that it may be older.
fn whose(attribution: &Attribution, path: &str, count: u32) -> String {
    let who = |commit: &steadfast_source::attribution::Commit| {
        format!("{}:{}", commit.author.split(' ').next().unwrap(), commit.subject)
    };
    let words: Vec<String> = (1..=count)
        .map(|line| match attribution.line(path, line) {
            Written::By(commit) => who(commit),
            Written::InOrBefore(commit) => format!("<{}", who(commit)),
            Written::NotCommitted => "-".to_owned(),
        })
        .collect();
    words.join(" ")
}

/// What is fetched, with the lines of it, when this is known of the revision before.
fn follow(
    world: &mut World,
    source: &Source,
    known: Option<&Attribution>,
) -> (Fetched, Attribution) {
    let accepted = highest(&world.anti_rollback);
    let fetched = world.fetch(source, &Trust::None).unwrap().unwrap();
    let lines = lines(world, &fetched, accepted.as_deref(), known).unwrap();
    (fetched, lines)
}

fn lines(
    world: &World,
    fetched: &Fetched,
    accepted: Option<&str>,
    known: Option<&Attribution>,
) -> Option<Attribution> {
    attribute(fetched, accepted, known, &world.path("cache"), &world.limits)
}

fn highest(anti_rollback: &AntiRollback) -> Option<String> {
    match &anti_rollback.highest {
        Some(Point::Git { commit, .. }) => Some(commit.clone()),
        Some(Point::Snapshot { .. } | Point::Directory { .. }) | None => None,
    }
}

#[test]
fn lines_are_followed_from_one_accepted_revision_to_the_next() {
    let mut world = World::new();
    world.repository();
    let source = world.branch();
    write(&world, "servers/web.yaml", &["server: web", "a", "b", "c"]);
    commit(&world, "anna", "Older");
    write(&world, "servers/web.yaml", &["server: web", "a", "b", "c", "d"]);
    commit(&world, "anna", "Begin");
    let (_, first) = follow(&mut world, &source, None);
    // A first fetch brings no history.
    assert_eq!(whose(&first, "servers/web.yaml", 2), "<anna:Begin <anna:Begin");

    write(&world, "servers/web.yaml", &["server: web", "new", "a", "b", "c", "d"]);
    commit(&world, "bert", "Add");
    write(&world, "servers/web.yaml", &["server: web", "new", "a", "B", "c", "d"]);
    write(&world, "files/motd", &["hello"]);
    commit(&world, "carl", "Change");
    let (_, second) = follow(&mut world, &source, Some(&first));
    let expected = "<anna:Begin bert:Add <anna:Begin carl:Change <anna:Begin <anna:Begin";
    assert_eq!(whose(&second, "servers/web.yaml", 6), expected);
    assert_eq!(whose(&second, "files/motd", 1), "carl:Change");
    assert_eq!(whose(&second, "model.yaml", 1), "<anna:Begin");

    // A file gets another name, one side is merged, and a merge writes a line of its own.
    world.git(&["checkout", "--quiet", "-b", "side", "HEAD~1"]);
    write(&world, "files/side", &["side"]);
    commit(&world, "dora", "Aside");
    world.git(&["checkout", "--quiet", "main"]);
    world.git(&["mv", "servers/web.yaml", "servers/www.yaml"]);
    commit(&world, "carl", "Rename");
    world.git(&["merge", "--quiet", "--no-ff", "--no-commit", "side"]);
    write(&world, "files/motd", &["hello", "merged"]);
    commit(&world, "bert", "Merge");
    let (fetched, third) = follow(&mut world, &source, Some(&second));
    assert_eq!(whose(&third, "servers/www.yaml", 6), expected);
    assert_eq!(whose(&third, "files/side", 1), "dora:Aside");
    assert_eq!(whose(&third, "files/motd", 2), "carl:Change bert:Merge");
    assert_eq!(third.revision().subject, "Merge");
    assert_eq!(Attribution::read(third.write().unwrap().as_bytes()), Ok(third.clone()));

    // Without the record of the revision before, its lines are as old as that.
    let accepted = world.git(&["rev-parse", "HEAD~2"]);
    let without = lines(&world, &fetched, Some(&accepted), None).unwrap();
    assert_eq!(whose(&without, "servers/www.yaml", 1), "<carl:Change");
    assert_eq!(whose(&without, "files/motd", 2), "<carl:Change bert:Merge");
    // Without what the fetcher left, there is nothing but the revision.
    std::fs::remove_file(world.path("cache/history")).unwrap();
    let without = lines(&world, &fetched, Some(&accepted), Some(&second)).unwrap();
    assert_eq!(whose(&without, "files/motd", 2), "<bert:Merge <bert:Merge");
    assert_eq!(whose(&without, "model.yaml", 1), "<bert:Merge");
}

#[test]
fn what_the_fetcher_left_of_a_history_makes_lines_older_and_never_anybody_elses() {
    let mut world = World::new();
    world.repository();
    let source = world.branch();
    write(&world, "servers/web.yaml", &["a", "b"]);
    commit(&world, "anna", "Begin");
    let (_, first) = follow(&mut world, &source, None);
    write(&world, "servers/web.yaml", &["a", "b", "c"]);
    commit(&world, "bert", "Add");
    write(&world, "servers/web.yaml", &["a", "b", "c", "d"]);
    commit(&world, "carl", "More");
    let accepted = highest(&world.anti_rollback);
    let (fetched, good) = follow(&mut world, &source, Some(&first));
    assert_eq!(whose(&good, "servers/web.yaml", 4), "<anna:Begin <anna:Begin bert:Add carl:More");
    let history = world.path("cache/history");
    let whole = std::fs::read(&history).unwrap();
    let allowed = ["<anna:Begin", "<anna:Begin", "bert:Add", "carl:More"];
    let older = ["<bert:Add", "<carl:More"];
    let mut seen = std::collections::BTreeSet::new();
    let mut check = |content: &[u8]| {
        std::fs::write(&history, content).unwrap();
        let all = lines(&world, &fetched, accepted.as_deref(), Some(&first)).unwrap();
        let found = whose(&all, "servers/web.yaml", 4);
        for (word, good) in found.split(' ').zip(allowed) {
            assert!(word == good || older.contains(&word), "{found}");
        }
        seen.insert(found);
    };
    for at in (0..whole.len()).step_by(3) {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        check(&changed);
        check(&whole[..at]);
    }
    assert!(seen.len() > 2, "{seen:?}");
}

/// Random changes to files whose lines are all different, so that there is one way to compare them.
#[test]
fn it_finds_what_git_blame_finds() {
    let world = World::new();
    world.repository();
    let mut state = 7_u64;
    let mut below = |most: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % most
    };
    let names = ["servers/a.yaml", "servers/b.yaml", "c.yaml"];
    let mut files: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for number in 0..40 {
        let name = names[below(3)];
        let lines = files.entry(name).or_default();
        for turn in 0..=below(3) {
            let line = format!("line {number} {turn}");
            match below(3) {
                0 if !lines.is_empty() => {
                    lines.remove(below(lines.len()));
                }
                1 if !lines.is_empty() => {
                    let at = below(lines.len());
                    lines[at] = line;
                }
                _ => lines.insert(below(lines.len() + 1), line),
            }
        }
        let text: Vec<&str> = lines.iter().map(String::as_str).collect();
        write(&world, name, &text);
        commit(&world, ["anna", "bert"][below(2)], &format!("Change {number}"));
    }
    let work = world.path("work");
    let scratch = tempfile::tempdir().unwrap();
    let (head, sources) = checkout(&work, "HEAD", scratch.path()).unwrap();
    let paths: Vec<&str> = sources.iter().map(|(_, it)| &*it.path).collect();
    let all = attribute_local(&work, &head, paths.iter().copied(), scratch.path()).unwrap();
    for path in paths {
        let said = world.git(&["blame", "--porcelain", "HEAD", "--", path]);
        let ids = said.lines().filter_map(|it| {
            let mut words = it.split(' ');
            let id = words.next().filter(|it| it.len() == 40)?;
            Some((id, words.nth(1)?.parse::<u32>().ok()?))
        });
        for (id, line) in ids {
            let Written::By(commit) = all.line(path, line) else { panic!("{path}:{line}") };
            assert_eq!(commit.id, id, "{path}:{line}");
        }
    }
}

#[test]
fn a_folder_of_a_repository_is_followed_by_itself() {
    let world = World::new();
    world.run("git", &["init", "--quiet", "--initial-branch=main", "work"]);
    write(&world, "sites/xyz/model.yaml", &["model: x"]);
    write(&world, "README", &["words"]);
    commit(&world, "anna", "Begin");
    write(&world, "sites/xyz/model.yaml", &["model: x", "format: 1"]);
    commit(&world, "bert", "Add");
    let scratch = tempfile::tempdir().unwrap();
    let folder = world.path("work/sites/xyz");
    let all = attribute_local(&folder, "HEAD", ["model.yaml"].into_iter(), scratch.path()).unwrap();
    assert_eq!(whose(&all, "model.yaml", 2), "anna:Begin bert:Add");
    std::fs::write(folder.join("model.yaml"), "model: y\nformat: 1\n").unwrap();
    let content = std::fs::read(folder.join("model.yaml")).unwrap();
    let asked = [("model.yaml", content.as_slice()), ("new.yaml", b"x\n")];
    let all = attribute_work_tree(&folder, &asked, scratch.path()).unwrap().unwrap();
    assert_eq!(whose(&all, "model.yaml", 2), "- bert:Add");
    assert_eq!(whose(&all, "new.yaml", 1), "-");
}

#[test]
fn nothing_that_a_repository_asks_for_is_run_when_its_lines_are_looked_up() {
    let world = World::new();
    world.run("git", &["init", "--quiet", "--initial-branch=main", "work"]);
    let scratch = tempfile::tempdir().unwrap();
    let asked = [("model.yaml", &b"model: x\n"[..])];
    let look = || attribute_work_tree(&world.path("work"), &asked, scratch.path());
    assert_eq!(look().unwrap(), None, "nothing is committed yet");
    write(&world, "model.yaml", &["model: x"]);
    commit(&world, "anna", "Begin");
    let told = world.path("told");
    let evil = format!("touch {}; cat", told.display());
    std::fs::write(world.path("work/.gitattributes"), "* filter=x diff=x merge=x\n").unwrap();
    for (name, value) in [
        ("core.fsmonitor", evil.as_str()),
        ("core.pager", &evil),
        ("core.sshCommand", &evil),
        ("core.alternateRefsCommand", &evil),
        ("diff.external", &evil),
        ("diff.x.command", &evil),
        ("diff.x.textconv", &evil),
        ("filter.x.clean", &evil),
        ("filter.x.smudge", &evil),
        ("filter.x.process", &evil),
        ("remote.origin.url", "ext::sh -c false"),
        ("remote.origin.uploadpack", &evil),
        ("remote.origin.promisor", "true"),
        ("extensions.partialClone", "origin"),
        ("core.repositoryFormatVersion", "1"),
        ("gpg.program", &evil),
    ] {
        world.git(&["config", name, value]);
    }
    for hook in ["post-index-change", "reference-transaction", "pre-auto-gc"] {
        let path = world.path("work/.git/hooks").join(hook);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, format!("#!/bin/sh\n{evil}\n")).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
    }
    let all = look().unwrap().unwrap();
    assert_eq!(whose(&all, "model.yaml", 1), "anna:Begin");
    // An object that is not there is not fetched either.
    let blob = world.git(&["rev-parse", "HEAD:model.yaml"]);
    std::fs::remove_file(world.path("work/.git/objects").join(&blob[..2]).join(&blob[2..]))
        .unwrap();
    let all = look().unwrap().unwrap();
    assert_eq!(whose(&all, "model.yaml", 1), "<anna:Begin");
    assert!(!told.exists());
    // The traps are real ones.
    let mut plain = std::process::Command::new("git");
    let _whatever = plain.args(["status"]).current_dir(world.path("work")).output().unwrap();
    assert!(told.exists());
}

#[test]
fn a_work_tree_of_somebody_else_is_left_to_them_and_a_plain_folder_is_none() {
    let world = World::new();
    let scratch = tempfile::tempdir().unwrap();
    let plain = tempfile::tempdir().unwrap();
    assert_eq!(attribute_work_tree(plain.path(), &[], scratch.path()).unwrap(), None);
    std::fs::create_dir(plain.path().join(".git")).unwrap();
    assert_eq!(attribute_work_tree(plain.path(), &[], scratch.path()).unwrap(), None);
    world.run("git", &["init", "--quiet", "--initial-branch=main", "work"]);
    write(&world, "model.yaml", &["model: x"]);
    commit(&world, "anna", "Begin");
    if !is_root() {
        return;
    }
    for path in ["work", "work/.git"] {
        std::os::unix::fs::chown(world.path(path), Some(65534), Some(65534)).unwrap();
    }
    let error = attribute_work_tree(&world.path("work"), &[], scratch.path()).unwrap_err();
    assert_eq!(error.words, "the repository belongs to somebody else");
}

#[test]
fn hostile_names_subjects_and_sizes_are_told_plainly_or_not_at_all() {
    let world = World::new();
    world.run("git", &["init", "--quiet", "--initial-branch=main", "work"]);
    write(&world, "a.yaml", &["a"]);
    commit(&world, "\u{1b}[31meve\u{202e}", "\u{1b}]0;owned\u{7} Sub\u{200f}ject\tx");
    let large = "x\n".repeat(600_000);
    std::fs::write(world.path("work/large.yaml"), &large).unwrap();
    commit(&world, "anna", "Large");
    std::fs::write(world.path("work/large.yaml"), format!("{large}y\n")).unwrap();
    std::fs::write(world.path("work/binary"), [0, 255, 10, 0]).unwrap();
    commit(&world, "anna", "Larger");
    let scratch = tempfile::tempdir().unwrap();
    let paths = ["a.yaml", "large.yaml", "binary", "nowhere"];
    let all =
        attribute_local(&world.path("work"), "HEAD", paths.into_iter(), scratch.path()).unwrap();
    let Written::By(commit) = all.line("a.yaml", 1) else { panic!() };
    assert_eq!(commit.author, "[31meve <[31meve@x>");
    assert_eq!(commit.subject, "]0;owned Subjectx");
    assert_eq!(whose(&all, "large.yaml", 1), "<anna:Larger");
    assert_eq!(whose(&all, "binary", 2), "anna:Larger anna:Larger");
    assert!(all.write().unwrap().len() < 2000);
}

fn published(world: &World, attribution: Option<&Attribution>) {
    let scratch = tempfile::tempdir().unwrap();
    let (head, sources) = checkout(&world.path("work"), "HEAD", scratch.path()).unwrap();
    let key = read_key(&world.path("anna")).unwrap();
    let publication = Publication {
        model: "x",
        channel: "production",
        sources: &sources,
        commit: Some(head),
        attribution,
        now: world.now,
        expires: EXPIRES,
    };
    publish(&world.path("www"), &publication, &[key]).unwrap();
}

#[test]
fn a_snapshot_says_whose_its_lines_are_and_is_as_good_without() {
    let mut world = World::new();
    world.repository();
    let public = create_key(&world.path("anna"), "anna").unwrap();
    let trust = Trust::Keys { files: vec![], keys: vec![public], threshold: 1 };
    write(&world, "servers/web.yaml", &["a", "b"]);
    commit(&world, "anna", "Begin");
    write(&world, "servers/web.yaml", &["a", "B"]);
    commit(&world, "bert", "Change");
    let of = |world: &World| {
        let scratch = tempfile::tempdir().unwrap();
        let paths = ["servers/web.yaml", "model.yaml"].into_iter();
        attribute_local(&world.path("work"), "HEAD", paths, scratch.path()).unwrap()
    };
    published(&world, Some(&of(&world)));
    let server = Server::http(folder(world.path("www")));
    let source = Source::Snapshot(Snapshot::new(&server.url));
    let fetched = world.fetch(&source, &trust).unwrap().unwrap();
    assert_eq!(server.count(), 3);
    let all = lines(&world, &fetched, None, None).unwrap();
    assert_eq!(whose(&all, "servers/web.yaml", 2), "anna:Begin bert:Change");
    assert_eq!(whose(&all, "model.yaml", 1), "A:Change it");
    let known = steadfast_source::terms::Known::from_state(
        &world.anti_rollback,
        true,
        fetched.validator.clone(),
    );
    assert!(world.fetch_knowing(&source, &trust, &known).unwrap().is_none());
    assert_eq!(server.count(), 4, "a poll without news is one request");

    // Another history of the same content is the same snapshot.
    commit(&world, "carl", "Nothing");
    published(&world, Some(&of(&world)));
    let fetched = world.fetch(&source, &trust).unwrap().unwrap();
    assert_eq!(lines(&world, &fetched, None, None).unwrap().revision().subject, "Nothing");

    // What is not there, or is another, costs knowledge.
    let only = |folder: &Path| std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    write(&world, "servers/web.yaml", &["a", "B", "c"]);
    commit(&world, "anna", "Add");
    let file = {
        std::fs::remove_dir_all(world.path("www/lines")).unwrap();
        published(&world, Some(&of(&world)));
        only(&world.path("www/lines"))
    };
    let good = std::fs::read(&file).unwrap();
    let bomb = {
        use std::io::Write as _;
        let mut zip = flate2::write::GzEncoder::new(vec![], flate2::Compression::best());
        zip.write_all(&vec![b' '; 64 << 20]).unwrap();
        zip.finish().unwrap()
    };
    for bad in [&b"junk"[..], &good[..good.len() / 2], &bomb] {
        std::fs::write(&file, bad).unwrap();
        let fetched = world.fetch(&source, &trust).unwrap().unwrap();
        assert_eq!(lines(&world, &fetched, None, None), None);
    }
    std::fs::remove_file(&file).unwrap();
    let fetched = world.fetch(&source, &trust).unwrap().unwrap();
    assert_eq!(lines(&world, &fetched, None, None), None);
    write(&world, "servers/web.yaml", &["a"]);
    commit(&world, "anna", "Cut");
    published(&world, None);
    let fetched = world.fetch(&source, &trust).unwrap().unwrap();
    assert_eq!(lines(&world, &fetched, None, None), None);
}
