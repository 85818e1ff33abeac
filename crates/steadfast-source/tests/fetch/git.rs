//! Git repositories.

use crate::support::{World, exists, files};
use steadfast_source::anti_rollback::{Advance, Force};
use steadfast_source::settings::{Git, Reference, Snapshot, Source, Trust};
use steadfast_source::terms::{Fetched, Known, Origin};
use steadfast_source::{Refusal, RefusalKind};
use steadfast_trust::signature::SignatureError;

#[test]
fn a_signed_branch_is_fetched_and_followed() {
    let mut world = World::new();
    world.repository();
    let key = world.ssh_key("anna");
    let trust = world.allowed(&[("", "anna")]);
    let source = world.branch();
    let first = world.signed("model.yaml", "model: y\n", &key);
    let fetched = world.fetch(&source, &trust).unwrap().unwrap();
    assert_eq!(fetched.advance, Advance::First);
    assert_eq!(files(&fetched), ["model.yaml"]);
    assert_eq!(&*fetched.sources.find("model.yaml").unwrap().1.bytes, b"model: y\n");
    assert_eq!(fetched.signers[0].name, "anna@x");
    let Origin::Git { commit, author, subject, .. } = &fetched.origin else { panic!() };
    assert_eq!(
        (commit.as_str(), author.as_str(), subject.as_str()),
        (first.as_str(), "A <a@x>", "Change it")
    );
    assert!(world.fetch(&source, &trust).unwrap().is_none(), "no news");

    // Only the tip is signed; what lies between is proved by its hashes.
    for at in 0..40 {
        world.commit("files/a", &at.to_string(), &[]);
    }
    world.commit(".hidden", "", &[]);
    world.commit("std/base.yaml", "", &[]);
    world.signed("model.yaml", "model: z\n", &key);
    let fetched = world.fetch(&source, &trust).unwrap().unwrap();
    assert_eq!(fetched.advance, Advance::Forward);
    assert_eq!(files(&fetched), ["files/a", "model.yaml"]);
    assert!(!exists(&world.path("cache/run")), "no keys stay");

    // Losing the cache costs a transfer and nothing else.
    std::fs::remove_dir_all(world.path("cache")).unwrap();
    std::fs::create_dir(world.path("cache")).unwrap();
    let known = Known::from_state(&world.anti_rollback, false, None);
    let fetched = world.fetch_knowing(&source, &trust, &known).unwrap().unwrap();
    assert_eq!(fetched.advance, Advance::Same);
}

#[test]
fn what_any_of_the_new_commits_supersedes_is_told_also_from_a_branch_that_was_merged() {
    let mut world = World::new();
    world.repository();
    let key = world.ssh_key("anna");
    let trust = world.allowed(&[("", "anna")]);
    let source = world.branch();
    let first = world.signed("model.yaml", "model: y\n", &key);
    let superseded = |fetched: &Fetched| match &fetched.origin {
        Origin::Git { supersedes, .. } => supersedes.clone(),
        Origin::Snapshot { .. } | Origin::Directory => panic!("it came from git"),
    };
    let fetched = world.fetch(&source, &trust).unwrap().unwrap();
    assert_eq!(superseded(&fetched), [""; 0]);

    let say = |world: &World, names: &str| {
        let message = format!("Mend it\n\nSupersedes: {names}\n");
        world.git(&["commit", "--quiet", "--allow-empty", "-m", &message]);
    };
    let second = world.signed("model.yaml", "model: z\n", &key);
    let branch = world.git(&["symbolic-ref", "--short", "HEAD"]);
    world.git(&["checkout", "--quiet", "-b", "mended"]);
    say(&world, &second);
    world.git(&["checkout", "--quiet", branch.trim()]);
    say(&world, &first[..12]);
    world.git(&["merge", "--quiet", "--no-ff", "-m", "merge", "mended"]);
    world.signed("model.yaml", "model: merged\n", &key);
    let fetched = world.fetch(&source, &trust).unwrap().unwrap();
    assert_eq!(fetched.advance, Advance::Forward);
    let mut told = superseded(&fetched);
    told.sort_unstable();
    let mut expected = [second, first[..12].to_owned()];
    expected.sort_unstable();
    assert_eq!(told, expected);
    // It is told once.
    world.signed("model.yaml", "model: next\n", &key);
    let fetched = world.fetch(&source, &trust).unwrap().unwrap();
    assert_eq!(superseded(&fetched), [""; 0]);
}

#[test]
fn who_is_not_trusted_is_refused() {
    let mut world = World::new();
    world.repository();
    let (anna, eve) = (world.ssh_key("anna"), world.ssh_key("eve"));
    let trust = world.allowed(&[("", "anna")]);
    let source = world.branch();
    assert!(world.refused(&source, &trust).ends_with("is not signed"));
    world.signed("model.yaml", "model: y\n", &eve);
    assert!(world.refused(&source, &trust).ends_with("which is not trusted"));
    world.signed("model.yaml", "model: y\n", &anna);
    let late = world.allowed(&[("valid-before=\"20260101Z\"", "anna")]);
    assert!(world.refused(&source, &late).ends_with("not valid since 2026-01-01T00:00:00Z"));
    let other = world.allowed(&[("namespaces=\"file\"", "anna")]);
    assert!(world.refused(&source, &other).ends_with("trusted for file and not for git"));

    // Trusted, removed while something new was taken, and brought back by an older file.
    let trust = world.allowed(&[("", "anna"), ("", "eve")]);
    world.fetch(&source, &trust).unwrap().unwrap();
    world.signed("model.yaml", "model: z\n", &anna);
    let without = world.allowed(&[("", "anna")]);
    world.fetch(&source, &without).unwrap().unwrap();
    world.signed("model.yaml", "model: z2\n", &eve);
    assert!(world.refused(&source, &without).ends_with("which is not trusted"));
    let again = world.allowed(&[("", "anna"), ("", "eve")]);
    let refusal = world.fetch(&source, &again).unwrap_err();
    assert!(matches!(refusal, Refusal::Signature(SignatureError::RemovedKey { .. })), "{refusal}");
    assert_eq!(refusal.kind(), RefusalKind::Untrusted);

    // Root's word takes it back, for good.
    world.force = Force::Yes;
    assert_eq!(world.fetch(&source, &again).unwrap().unwrap().advance, Advance::Forced);
    world.force = Force::No;
    world.signed("model.yaml", "model: z3\n", &eve);
    assert_eq!(world.fetch(&source, &again).unwrap().unwrap().advance, Advance::Forward);
}

#[test]
fn a_file_of_keys_that_is_empty_torn_or_away_for_a_moment_bans_nobody() {
    let mut world = World::new();
    world.repository();
    let (anna, eve) = (world.ssh_key("anna"), world.ssh_key("eve"));
    let trust = world.allowed(&[("", "anna"), ("", "eve")]);
    let source = world.branch();
    world.signed("model.yaml", "model: y\n", &anna);
    world.fetch(&source, &trust).unwrap().unwrap();
    // Nothing is known to be new while it is so; the whole is asked for nevertheless.
    let anew = |world: &mut World| {
        let known = Known::from_state(&world.anti_rollback, false, None);
        world.fetch_knowing(&source, &trust, &known)
    };
    let path = world.path("allowed_signers");
    let whole = std::fs::read(&path).unwrap();
    let first_line = whole.iter().position(|it| *it == b'\n').unwrap() + 1;
    for (content, words) in [
        (&b""[..], "there is no key in"),
        (b"# all of them are gone\n", "there is no key in"),
        (&whole[..first_line + 30], "line 2 of"),
    ] {
        std::fs::write(&path, content).unwrap();
        let refusal = anew(&mut world).unwrap_err();
        assert_eq!(refusal.kind(), RefusalKind::Settings);
        assert!(refusal.line().contains(words), "{refusal}");
    }
    std::fs::remove_file(&path).unwrap();
    assert_eq!(anew(&mut world).unwrap_err().kind(), RefusalKind::Settings);
    // Cut off behind a line it says something, and the revision of before is signed by that.
    std::fs::write(&path, &whole[..first_line]).unwrap();
    assert_eq!(anew(&mut world).unwrap().unwrap().advance, Advance::Same);
    std::fs::write(&path, &whole).unwrap();
    world.signed("model.yaml", "model: z\n", &eve);
    assert_eq!(world.fetch(&source, &trust).unwrap().unwrap().signers[0].name, "eve@x");
}

#[test]
fn who_has_signed_is_asked_before_anything_else_is_read() {
    let mut world = World::new();
    world.repository();
    world.ssh_key("anna");
    let trust = world.allowed(&[("", "anna")]);
    let source = world.branch();
    assert!(world.refused(&source, &trust).ends_with("is not signed"));
    // Behind the commit comes something that nobody would have room for, and it is not even there.
    let offer = world.path("cache/offer");
    let brought = std::fs::read(&offer).unwrap();
    let cut = brought.windows(6).position(|it| it == b"\nblob ").unwrap() + 1;
    let bomb = [&brought[..cut], b"blob 40 99999999999\n"].concat();
    std::fs::write(&offer, bomb).unwrap();
    let refusal = world.accept(&source, &trust).unwrap_err();
    assert!(refusal.line().ends_with("is not signed"), "{refusal}");
    // Where nobody has to sign it is seen that it is too much, before it is read.
    let refusal = world.accept(&source, &Trust::None).unwrap_err();
    assert!(refusal.line().ends_with("larger than it may be"), "{refusal}");
    // And what no tree has named is not kept.
    let stray = [&brought[..cut], b"blob 40 1\n", &[b'a'; 40], b"x\n"].concat();
    std::fs::write(&offer, stray).unwrap();
    let refusal = world.accept(&source, &Trust::None).unwrap_err();
    assert!(refusal.line().ends_with("a record of the offer is out of place"), "{refusal}");
}

#[test]
fn without_signatures_nothing_is_taken_that_anybody_on_the_way_could_change() {
    let mut world = World::new();
    let git = |url: &str| Source::Git(Git::new(url, Reference::Branch("main".into())));
    let snapshot = |url: &str| Source::Snapshot(Snapshot::new(url));
    for source in [
        git("http://h/x"),
        git("git://h/x"),
        git("ftp://h/x"),
        git("HTTP://h/x"),
        snapshot("http://h/x"),
        snapshot("ftp://h/x"),
    ] {
        let refusal = world.accept(&source, &Trust::None).unwrap_err();
        assert_eq!(refusal.kind(), RefusalKind::Settings);
        assert!(refusal.line().starts_with("nothing protects "), "{refusal}");
    }
    for source in [git("https://h/x"), git("ssh://h/x"), git("file:///x"), snapshot("https://h/x")]
    {
        assert!(!source.is_plain(), "{source}");
    }
}

#[test]
fn rewritten_history_is_refused_until_root_says_otherwise() {
    let mut world = World::new();
    world.repository();
    let key = world.ssh_key("anna");
    let trust = world.allowed(&[("", "anna")]);
    let source = world.branch();
    world.signed("model.yaml", "model: y\n", &key);
    let accepted = world.signed("model.yaml", "model: z\n", &key);
    world.fetch(&source, &trust).unwrap().unwrap();
    // Back to the parent, which is signed well.
    world.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    let words = world.refused(&source, &trust);
    assert!(
        words.ends_with(&format!("does not descend from {accepted}, which was accepted before"))
    );
    // And on another way forward.
    world.signed("model.yaml", "model: evil\n", &key);
    assert!(world.refused(&source, &trust).contains("does not descend"));
    world.force = Force::Yes;
    let fetched = world.fetch(&source, &trust).unwrap().unwrap();
    assert_eq!(fetched.advance, Advance::Forced);
    world.force = Force::No;
    // Merged, the old one is among the ancestors again.
    world.git(&["merge", "--quiet", "-s", "ours", "-m", "merge", &accepted]);
    world.signed("model.yaml", "model: merged\n", &key);
    assert_eq!(world.fetch(&source, &trust).unwrap().unwrap().advance, Advance::Forward);
}

#[test]
fn a_floor_that_is_too_far_away_is_told() {
    let mut world = World::new();
    world.repository();
    let source = world.branch();
    world.fetch(&source, &Trust::None).unwrap().unwrap();
    for _ in 0..30 {
        world.commit("a", "", &[]);
    }
    world.limits.commits = 20;
    assert!(world.refused(&source, &Trust::None).contains("is too far from"));
    world.limits.commits = 40;
    assert_eq!(world.fetch(&source, &Trust::None).unwrap().unwrap().advance, Advance::Forward);
}

#[test]
fn a_tag_is_signed_itself_and_by_its_name() {
    let mut world = World::new();
    world.repository();
    let key = world.ssh_key("anna");
    let trust = world.allowed(&[("", "anna")]);
    let source = world.tag("production");
    let tag = |world: &World, name: &str| {
        let mut all: Vec<&str> = key.iter().map(String::as_str).collect();
        all.extend(["tag", "-f", "-s", "-m", "release", name]);
        world.git(&all);
    };
    assert!(world.refused(&source, &trust).ends_with("refs/tags/production is not there"));
    world.git(&["tag", "production"]);
    assert_eq!(world.refused(&source, &trust), "tag production is not signed");
    world.git(&["tag", "-f", "-a", "-m", "release", "production"]);
    assert_eq!(world.refused(&source, &trust), "tag production is not signed");
    tag(&world, "production");
    let fetched = world.fetch(&source, &trust).unwrap().unwrap();
    assert!(matches!(fetched.origin, Origin::Git { tag: Some(it), .. } if it == "production"));
    // Another signed tag under this name.
    world.commit("a", "", &[]);
    tag(&world, "staging");
    world.git(&["update-ref", "refs/tags/production", "refs/tags/staging"]);
    let words = world.refused(&source, &trust);
    assert_eq!(words, "the tag is named `staging` in what is signed, and not `production`");
    tag(&world, "production");
    assert_eq!(world.fetch(&source, &trust).unwrap().unwrap().advance, Advance::Forward);
}

#[test]
fn links_submodules_and_odd_names_are_refused() {
    let mut world = World::new();
    world.repository();
    let source = world.branch();
    std::os::unix::fs::symlink("/etc/passwd", world.path("work/link")).unwrap();
    world.commit("a", "", &[]);
    assert!(
        world.refused(&source, &Trust::None).contains("link is neither a file nor a directory")
    );
    std::fs::remove_file(world.path("work/link")).unwrap();
    world.commit("a", "x", &[]);
    let head = world.git(&["rev-parse", "HEAD"]);
    world.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{head},module")]);
    world.git(&["commit", "--quiet", "-m", "module"]);
    assert!(
        world.refused(&source, &Trust::None).contains("module is neither a file nor a directory")
    );
    world.git(&["rm", "--quiet", "--cached", "module"]);
    world.commit("a\nb", "", &[]);
    assert!(world.refused(&source, &Trust::None).contains("is no path that a model may have"));
}

#[test]
fn nothing_in_a_repository_is_run_or_changes_the_content() {
    let mut world = World::new();
    world.repository();
    let told = world.path("told");
    let hook = world.path("work/.git/hooks/post-checkout");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(&hook, format!("#!/bin/sh\ntouch {}\n", told.display())).unwrap();
    std::fs::write(
        world.path("gitconfig"),
        format!("[user]\nname=A\nemail=a@x\n[filter \"x\"]\nsmudge = touch {}\n", told.display()),
    )
    .unwrap();
    world.commit("a.txt", "$Id$ $Format:%H$\n", &[]);
    world.commit(".gitattributes", "* ident export-subst filter=x text eol=crlf\n", &[]);
    let fetched = world.fetch(&world.branch(), &Trust::None).unwrap().unwrap();
    assert_eq!(&*fetched.sources.find("a.txt").unwrap().1.bytes, b"$Id$ $Format:%H$\n");
    assert!(!exists(&told));
}

#[test]
fn a_damaged_cache_is_made_anew_and_a_missing_source_is_unreachable() {
    let mut world = World::new();
    world.repository();
    let source = world.branch();
    world.fetch(&source, &Trust::None).unwrap().unwrap();
    world.commit("a", "", &[]);
    let packs = world.path("cache/repository.git/objects/pack");
    for entry in std::fs::read_dir(packs).unwrap() {
        let path = entry.unwrap().path();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "junk").unwrap();
    }
    std::fs::write(world.path("cache/repository.git/shallow.lock"), "").unwrap();
    assert_eq!(world.fetch(&source, &Trust::None).unwrap().unwrap().advance, Advance::Forward);
    let nowhere = Git::new("file:///nonexistent/model", Reference::Branch("main".into()));
    let refusal = world.fetch(&Source::Git(nowhere), &Trust::None).unwrap_err();
    assert_eq!(refusal.kind(), RefusalKind::Unreachable, "{refusal}");
    assert!(!refusal.line().contains('\n'));
}

#[test]
fn a_repository_of_the_other_format_works_too() {
    let mut world = World::new();
    world.run(
        "git",
        &["init", "--quiet", "--initial-branch=main", "--object-format=sha256", "work"],
    );
    let key = world.ssh_key("anna");
    let trust = world.allowed(&[("", "anna")]);
    world.signed("model.yaml", "model: x\n", &key);
    let source = world.branch();
    assert_eq!(world.fetch(&source, &trust).unwrap().unwrap().advance, Advance::First);
    world.commit("a", "", &[]);
    world.signed("model.yaml", "model: y\n", &key);
    assert_eq!(world.fetch(&source, &trust).unwrap().unwrap().advance, Advance::Forward);
}

#[test]
fn what_is_larger_than_allowed_is_not_brought() {
    let mut world = World::new();
    world.repository();
    // It does not compress.
    let mut state = 1_u64;
    let noise: String = (0..400_000)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b'!' + u8::try_from(state >> 58).unwrap())
        })
        .collect();
    world.commit("noise", &noise, &[]);
    world.limits.bytes = 100_000;
    let source = world.branch();
    let refusal = world.fetch(&source, &Trust::None).unwrap_err();
    assert_eq!(refusal.kind(), RefusalKind::Broken, "{refusal}");
    assert!(refusal.line().contains("more than 100000 bytes"), "{refusal}");
    let packs = world.path("cache/repository.git/objects/pack");
    assert_eq!(std::fs::read_dir(packs).unwrap().count(), 0, "what came in part stays");
}

#[test]
fn what_the_fetcher_left_is_believed_in_nothing() {
    let mut world = World::new();
    world.repository();
    let key = world.ssh_key("anna");
    let trust = world.allowed(&[("", "anna")]);
    let source = world.branch();
    world.signed("model.yaml", "model: y\n", &key);
    world.fetch(&source, &trust).unwrap().unwrap();
    let offer = world.path("cache/offer");
    let whole = std::fs::read(&offer).unwrap();
    // Every byte matters: a changed one is refused whatever it is.
    let mut refused = std::collections::BTreeSet::new();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        std::fs::write(&offer, changed).unwrap();
        let mut anti_rollback = steadfast_source::anti_rollback::AntiRollback::default();
        let terms = steadfast_source::terms::Terms {
            source: &source,
            trust: &trust,
            expected: &world.expected,
            now: world.now,
            zone: &jiff::tz::TimeZone::UTC,
            force: Force::Yes,
            run_as: None,
            limits: &world.limits,
        };
        let refusal =
            steadfast_source::accept::accept(&terms, &mut anti_rollback, &world.path("cache"))
                .unwrap_err();
        refused.insert(refusal.line().split(' ').take(4).collect::<Vec<_>>().join(" "));
    }
    assert!(!refused.is_empty());
}

#[test]
fn openpgp_signatures_are_verified_by_gpgv_and_do_not_pass_for_ssh_ones() {
    let mut world = World::new();
    world.repository();
    let ssh = world.ssh_key("anna");
    let allowed = world.allowed(&[("", "anna")]);
    let home = world.path("gnupg");
    std::fs::create_dir(&home).unwrap();
    std::fs::set_permissions(&home, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    for name in ["pat", "mallory"] {
        let user = format!("{name}@x");
        world.run(
            "gpg",
            &[
                "--batch",
                "--quiet",
                "--passphrase",
                "",
                "--quick-gen-key",
                &user,
                "ed25519",
                "sign",
            ],
        );
    }
    let keyring = world.path("keyring.gpg");
    world.run("gpg", &["--batch", "--output", keyring.to_str().unwrap(), "--export", "pat@x"]);
    let trust = Trust::OpenPgp(keyring);
    let source = world.branch();
    let by = |name: &str| {
        ["-c", "gpg.format=openpgp", "-c", &format!("user.signingkey={name}@x")]
            .map(str::to_owned)
            .to_vec()
    };
    world.signed("model.yaml", "model: m\n", &by("mallory"));
    assert!(world.refused(&source, &trust).ends_with("which is not trusted"));
    world.signed("model.yaml", "model: s\n", &ssh);
    assert!(world.refused(&source, &trust).ends_with("and OpenPGP keys are trusted"));
    world.signed("model.yaml", "model: p\n", &by("pat"));
    assert!(world.refused(&source, &allowed).ends_with("and SSH keys are trusted"));
    let fetched = world.fetch(&source, &trust).unwrap().unwrap();
    assert_eq!(fetched.signers[0].key.len(), 40);
    // The same keys as people send them to each other; and with a part missing.
    let armored = world.path("keyring.asc");
    let path = armored.to_str().unwrap();
    world.run("gpg", &["--batch", "--armor", "--output", path, "--export", "pat@x"]);
    let known = Known::from_state(&world.anti_rollback, false, None);
    let trust = Trust::OpenPgp(armored.clone());
    let fetched = world.fetch_knowing(&source, &trust, &known).unwrap().unwrap();
    assert_eq!(fetched.advance, Advance::Same);
    let whole = std::fs::read_to_string(&armored).unwrap();
    std::fs::write(&armored, &whole[..whole.len() / 2]).unwrap();
    let refusal = world.fetch_knowing(&source, &trust, &known).unwrap_err();
    assert!(refusal.line().contains("the armor of this key is damaged"), "{refusal}");
    world.run("gpgconf", &["--kill", "all"]);
}
