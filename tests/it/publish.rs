//! Publishing, signing and verifying, by the commands that people use. Nothing here needs root.

use crate::cli::{Said, model, steadfast, steadfast_with_its_users};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A directory with keys, a directory `www` that is published into, and a model.
pub(crate) struct Desk {
    pub folder: tempfile::TempDir,
    pub model: tempfile::TempDir,
}

impl Desk {
    pub(crate) fn new(keys: &[&str]) -> Desk {
        let desk =
            Desk { folder: tempfile::tempdir().unwrap(), model: model("server: web\nfiles: {}\n") };
        for key in keys {
            assert_eq!(steadfast(&["keys", "create", &desk.at(key)]).code, 0);
        }
        desk
    }

    pub(crate) fn at(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn publish(&self, keys: &[&str], more: &[&str]) -> Said {
        let model = self.model.path().to_str().unwrap();
        let mut arguments = vec!["publish".to_owned(), model.to_owned()];
        arguments.extend(["--output".to_owned(), self.at("www")]);
        for key in keys {
            arguments.extend(["--key".to_owned(), self.at(key)]);
        }
        let arguments: Vec<&str> =
            arguments.iter().map(String::as_str).chain(more.iter().copied()).collect();
        steadfast(&arguments)
    }

    pub(crate) fn published(&self, keys: &[&str], more: &[&str]) -> String {
        let said = self.publish(keys, more);
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{}", said.out);
        said.out
    }

    /// Another content.
    pub(crate) fn change(&self, content: &str) {
        let text = format!("server: web\nfiles: {{ /etc/motd: {{ content: {content} }} }}\n");
        std::fs::write(self.model.path().join("servers/web.yaml"), text).unwrap();
    }

    fn verify(&self, key: &str, more: &[&str]) -> Said {
        let (www, key) = (self.at("www"), self.at(&format!("{key}.pub")));
        steadfast(&[&["verify", &www, "--keys", &key], more].concat())
    }

    /// The reason of a refusal.
    fn refused(&self, key: &str, more: &[&str]) -> String {
        reason(&self.verify(key, more))
    }

    fn taken(&self, key: &str, more: &[&str]) -> String {
        let said = self.verify(key, more);
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{}", said.out);
        said.out
    }

    pub(crate) fn git(&self, options: &[&str], arguments: &[&str]) -> String {
        let output = Command::new("git")
            .arg("-C")
            .arg(self.model.path())
            .args(options)
            .args(arguments)
            .env_remove("GIT_DIR")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {arguments:?}: {words}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// A commit of all that is there, signed or not.
    pub(crate) fn commit(&self, key: Option<&str>) -> String {
        if !self.model.path().join(".git").exists() {
            self.git(&[], &["init", "--quiet", "--initial-branch=main"]);
        }
        self.git(&[], &["add", "--all"]);
        self.sign(key, &["commit", "--quiet", "--allow-empty", "-m", "Greet otherwise"]);
        self.git(&[], &["rev-parse", "HEAD"])
    }

    fn sign(&self, key: Option<&str>, arguments: &[&str]) {
        let mut options: Vec<String> =
            ["user.name=A", "user.email=a@x", "gpg.format=ssh"].map(str::to_owned).to_vec();
        if let Some(key) = key {
            options.push(format!("user.signingkey={}", self.at(key)));
            options.push("commit.gpgsign=true".to_owned());
        }
        let options: Vec<&str> = options.iter().flat_map(|it| ["-c", it.as_str()]).collect();
        self.git(&options, arguments);
    }

    /// Verifies in the repository, with the keys of `allowed_signers`.
    fn verify_git(&self, more: &[&str]) -> Said {
        let (model, allowed) = (self.model.path().to_str().unwrap(), self.at("allowed_signers"));
        steadfast(&[&["verify", model, "--allowed-signers", &allowed], more].concat())
    }

    pub(crate) fn allow(&self, keys: &[&str]) {
        let mut text = String::new();
        for key in keys {
            let public = std::fs::read_to_string(self.path(&format!("{key}.pub"))).unwrap();
            text.push_str(&format!("{key}@xyz.example namespaces=\"git\" {public}"));
        }
        std::fs::write(self.path("allowed_signers"), text).unwrap();
    }
}

pub(crate) fn reason(said: &Said) -> String {
    assert_eq!((said.code, said.out.as_str()), (6, ""), "{}", said.err);
    said.err.strip_prefix("error: a node would refuse it\n  because: ").unwrap().trim().to_owned()
}

#[test]
fn what_is_published_would_be_taken_and_is_renewed_or_followed_by_the_next() {
    let desk = Desk::new(&["anna"]);
    let out = desk.published(&["anna"], &[]);
    assert!(
        out.starts_with("published snapshot 1 of test for test: 1 node, 0 promises, valid until")
    );
    let out = desk.taken("anna", &["--model", "test", "--channel", "test"]);
    for part in
        ["snapshot   1 of test for test\n", "signed by  anna (SHA256:", "A node would accept it.\n"]
    {
        assert!(out.contains(part), "{part:?} is not in:\n{out}");
    }
    let after = |out: &str, label: &str| out.trim().rsplit(label).next().unwrap().to_owned();
    let first = after(&out[..out.find("\nsigned").unwrap()], "expires    ");
    let renewed = desk.published(&["anna"], &["--expires", "60d"]);
    assert!(renewed.starts_with("renewed snapshot 1 "), "{renewed}");
    assert!(after(&renewed, "valid until ") > first);
    for (number, content) in [(2, "hello"), (3, "goodbye")] {
        desk.change(content);
        let out = desk.published(&["anna"], &[]);
        assert!(out.starts_with(&format!("published snapshot {number} ")), "{out}");
    }
    assert_eq!(std::fs::read_dir(desk.path("www/archives")).unwrap().count(), 2);
    desk.taken("anna", &["--after", "3"]);
    let other = desk.publish(&["anna"], &["--channel", "tset"]);
    assert_eq!(other.code, 2, "{}", other.out);
    assert!(other.err.starts_with("warning: the model has no environment `tset`"), "{}", other.err);
    assert!(other.err.contains("holds snapshots of test for test, and not of test for tset"));
    // By its URL, and without trust.
    let url = format!("file://{}", desk.at("www"));
    let said = steadfast(&["verify", &url, "--trust-none"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains("signed by  not verified"), "{}", said.out);
}

#[test]
fn what_a_node_would_refuse_is_said_with_the_reason() {
    let desk = Desk::new(&["anna", "eve"]);
    desk.published(&["anna"], &[]);
    let refused = desk.refused("eve", &[]);
    assert!(refused.ends_with("which is not trusted"), "{refused}");
    let cases = [
        (["--channel", "staging"], "the snapshot is for channel `test`, and not for `staging`"),
        (["--model", "other"], "the snapshot is of model `test`, and not of `other`"),
        (["--after", "2"], "snapshot 1 is older than snapshot 2, which was accepted before"),
        (["--threshold", "1"], ""),
    ];
    for (more, expected) in cases {
        if expected.is_empty() {
            desk.taken("anna", &more);
        } else {
            assert_eq!(desk.refused("anna", &more), expected);
        }
    }
    let path = desk.path("www/manifest.signed");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\"sequence\": 1", "\"sequence\": 2")).unwrap();
    assert!(desk.refused("anna", &[]).ends_with("what is signed is something else"));
    std::fs::write(&path, text.split("-----BEGIN").next().unwrap()).unwrap();
    assert_eq!(desk.refused("anna", &[]), "snapshot 1 is not signed");
    std::fs::write(&path, text).unwrap();
    let archive = std::fs::read_dir(desk.path("www/archives")).unwrap().next().unwrap().unwrap();
    let whole = std::fs::read(archive.path()).unwrap();
    std::fs::write(archive.path(), &whole[..whole.len() / 2]).unwrap();
    assert!(desk.refused("anna", &[]).contains("is cut off"));
    let mut changed = whole.clone();
    changed[30] ^= 1;
    std::fs::write(archive.path(), changed).unwrap();
    assert!(desk.refused("anna", &[]).ends_with("has other content than the manifest says"));
    std::fs::remove_file(archive.path()).unwrap();
    let said = desk.verify("anna", &[]);
    assert_eq!(said.code, 7, "{}", said.err);
    std::fs::write(archive.path(), whole).unwrap();
    desk.taken("anna", &[]);
}

#[test]
fn an_expired_snapshot_is_stale_until_it_is_published_again() {
    use steadfast_source::publish::{Publication, publish, read_key};
    let desk = Desk::new(&["anna"]);
    let mut sources = steadfast_model::SourceSet::default();
    steadfast_source::read_directory(desk.model.path(), &mut sources).unwrap();
    let publication = Publication {
        model: "test",
        channel: "test",
        sources: &sources,
        commit: None,
        attribution: None,
        now: "2026-01-01T00:00:00Z".parse().unwrap(),
        expires: jiff::SignedDuration::from_hours(24),
    };
    let key = read_key(&desk.path("anna")).unwrap();
    publish(&desk.path("www"), &publication, &[key]).unwrap();
    let expected = "snapshot 1 expired at 2026-01-02T00:00:00Z: the model is stale";
    assert_eq!(desk.refused("anna", &[]), expected);
    assert!(desk.published(&["anna"], &[]).starts_with("renewed snapshot 1 "));
    desk.taken("anna", &["--after", "1"]);
}

#[test]
fn two_of_three_keys_must_sign_and_each_may_do_so_alone() {
    let desk = Desk::new(&["anna", "bert", "carl"]);
    let (bert, carl) = (desk.at("bert.pub"), desk.at("carl.pub"));
    let both = ["--keys", &bert, "--keys", &carl, "--threshold", "2"];
    desk.published(&["anna"], &[]);
    let few = "snapshot 1 has 1 of the 2 signatures that it needs";
    assert_eq!(desk.refused("anna", &both), few);
    for key in ["anna", "carl"] {
        assert_eq!(desk.refused("anna", &both), few);
        let said = steadfast(&["keys", "sign", &desk.at("www"), "--key", &desk.at(key)]);
        assert_eq!(said.code, 0, "{}", said.err);
    }
    desk.taken("anna", &both);
    let too_many = desk.verify("anna", &["--threshold", "2"]);
    assert_eq!(too_many.code, 2, "{}", too_many.err);
    assert!(too_many.err.ends_with("because: a threshold of 2 with 1 different keys\n"));
    desk.change("hello");
    desk.published(&["anna", "bert"], &[]);
    desk.taken("anna", &both);
}

#[test]
fn keys_are_rotated_by_those_who_hold_them_and_nodes_follow() {
    let desk = Desk::new(&["anna", "bert", "carl", "dora"]);
    let (www, anna, bert) = (desk.at("www"), desk.at("anna.pub"), desk.at("bert.pub"));
    let rotate = |key: &str, to: &[&str], from: &[&str]| {
        let mut arguments = vec!["keys".to_owned(), "rotate".to_owned(), www.clone()];
        arguments.extend(["--key".to_owned(), desk.at(key)]);
        for file in to {
            arguments.extend(["--to".to_owned(), desk.at(&format!("{file}.pub"))]);
        }
        let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        arguments.extend(from);
        steadfast(&arguments)
    };
    let both = ["--from", &anna, "--from", &bert, "--from-threshold", "2"];
    assert_eq!(rotate("anna", &["carl"], &both).code, 2, "nothing is published yet");
    desk.published(&["anna", "bert"], &[]);
    let unknown = rotate("anna", &["carl"], &[]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.err.contains("the current set is not known"), "{}", unknown.err);

    let stranger = rotate("carl", &["carl"], &both);
    assert_eq!(stranger.code, 6, "{}", stranger.err);
    let first = rotate("anna", &["carl", "dora"], &both);
    assert_eq!(
        first.out, "key set 1 is not valid yet: signatures still missing: 1\n",
        "{}",
        first.err
    );
    let other = rotate("bert", &["carl"], &both);
    assert_eq!(other.code, 2);
    assert!(other.err.contains("another rotation is waiting"), "{}", other.err);
    desk.taken("anna", &["--keys", &bert, "--threshold", "2"]);
    let second = rotate("bert", &["dora", "carl"], &both);
    assert_eq!(second.out, "wrote key set 1: now publish again, signed with the new keys\n");

    // The old keys sign on: nobody takes it, and who publishes hears of it.
    let said = desk.publish(&["anna", "bert"], &[]);
    assert!(said.err.starts_with("warning: nodes do not accept it yet: "), "{}", said.err);
    desk.published(&["carl"], &[]);
    let old = ["--keys", bert.as_str(), "--threshold", "2"];
    assert!(desk.taken("anna", &old).contains("signed by  carl "));
    assert!(desk.taken("carl", &["--keys", &desk.at("dora.pub")]).contains("signed by  carl "));
    // The next one knows the set, and says so where somebody else thinks otherwise.
    assert_eq!(rotate("carl", &["anna"], &["--from", &anna]).code, 2);
    assert_eq!(rotate("carl", &["anna"], &[]).code, 0);
    desk.published(&["anna"], &[]);
    assert!(desk.taken("anna", &old).contains("signed by  anna "));
}

#[test]
fn a_model_with_errors_is_neither_published_nor_adopted() {
    let desk = Desk::new(&["anna"]);
    let bad = "server: web\nfiles: { /etc/motd: { contents: x } }\n";
    std::fs::write(desk.model.path().join("servers/web.yaml"), bad).unwrap();
    let said = desk.publish(&["anna"], &[]);
    assert_eq!(said.code, 5);
    assert!(said.err.starts_with("error[unknown-field]"), "{}", said.err);
    assert!(said.err.ends_with("error: the model has 1 error; nothing was published\n"));
    assert!(!desk.path("www").exists());
    desk.allow(&["anna"]);
    desk.commit(Some("anna"));
    let said = desk.verify_git(&["--branch", "main"]);
    assert_eq!(said.code, 5);
    assert!(
        said.err.ends_with("error: the model has 1 error; a node would not adopt this model\n")
    );
    for (more, part) in [
        (["--expires", "0s"], "good for some time"),
        (["--expires", "soon"], "is not a time"),
        (["--revision", "HEAD~7"], "HEAD~7 is not there in"),
        (["--revision", "--all"], "--all is not there in"),
    ] {
        let said = desk.publish(&["anna"], &[&format!("{}={}", more[0], more[1])]);
        assert_eq!(said.code, 2, "{more:?}: {}", said.err);
        assert!(said.err.contains(part), "{more:?}: {}", said.err);
    }
}

#[test]
fn keys_and_what_was_published_do_not_get_into_the_model() {
    let desk = Desk::new(&["anna"]);
    std::fs::create_dir(desk.model.path().join("files")).unwrap();
    let inside = desk.model.path().join("files/key");
    std::fs::copy(desk.path("anna"), &inside).unwrap();
    let said = desk.publish(&["anna"], &[]);
    assert_eq!(said.code, 5);
    assert!(said.err.contains("files/key is the private key that signs"), "{}", said.err);
    assert!(!desk.path("www/manifest.signed").exists());
    let tls = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    std::fs::write(&inside, tls).unwrap();
    let said = desk.publish(&["anna"], &[]);
    assert_eq!(said.code, 0);
    assert!(said.err.starts_with("warning: files/key is a private key: "), "{}", said.err);
    let model = desk.model.path().to_str().unwrap();
    let (key, www) = (desk.at("anna"), format!("{model}/www"));
    let said = steadfast(&["publish", model, "--output", &www, "--key", &key]);
    assert_eq!(said.code, 2);
    assert!(said.err.starts_with("error: the output would be part of the model\n"));
    let name = desk.folder.path().file_name().unwrap().to_str().unwrap();
    let beside = format!("{model}/../{name}/www");
    assert_eq!(steadfast(&["publish", model, "--output", &beside, "--key", &key]).code, 0);
}

#[test]
fn a_revision_is_published_as_it_was_committed_also_from_a_folder_of_a_repository() {
    let desk = Desk::new(&["anna"]);
    let commit = desk.commit(None);
    desk.change("not-committed");
    let out = desk.published(&["anna"], &["--revision", "main"]);
    assert!(out.contains("1 node, 0 promises"), "{out}");
    assert!(desk.taken("anna", &[]).contains(&format!("made of    commit {commit}\n")));
    // The files as they are now are another content.
    assert!(
        desk.published(&["anna"], &[]).contains("snapshot 2 of test for test: 1 node, 1 promise")
    );

    let inner = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let status = Command::new("git").arg("-C").arg(inner.path()).args(arguments).status();
        assert!(status.unwrap().success(), "{arguments:?}");
    };
    let target = inner.path().join("models/test");
    std::fs::create_dir_all(&target).unwrap();
    for name in ["model.yaml", "environments", "servers"] {
        let from = desk.model.path().join(name);
        let copied = Command::new("cp").arg("-r").arg(from).arg(&target).status();
        assert!(copied.unwrap().success());
    }
    run(&["init", "--quiet"]);
    run(&["add", "--all"]);
    run(&["-c", "user.name=A", "-c", "user.email=a@x", "commit", "--quiet", "-m", "x"]);
    std::fs::remove_file(target.join("servers/web.yaml")).unwrap();
    let said = steadfast(&[
        "publish",
        target.to_str().unwrap(),
        "--revision",
        "HEAD",
        "--output",
        &desk.at("www"),
        "--key",
        &desk.at("anna"),
    ]);
    assert!(said.out.starts_with("renewed snapshot 2 "), "{}{}", said.out, said.err);
}

#[test]
fn a_published_revision_says_who_wrote_its_lines_unless_it_is_not_to() {
    use steadfast_source::attribution::{Attribution, Written};
    let desk = Desk::new(&["anna"]);
    desk.commit(None);
    desk.change("hello");
    let second = desk.commit(None);
    desk.published(&["anna"], &["--revision", "main"]);
    let taken = desk.taken("anna", &[]);
    assert!(taken.contains("author     A <a@x>\nsubject    Greet otherwise\n"), "{taken}");
    let lines = desk.path("www/lines");
    let files: Vec<PathBuf> =
        std::fs::read_dir(&lines).unwrap().map(|it| it.unwrap().path()).collect();
    assert_eq!(files.len(), 1);
    let text = Command::new("gzip").arg("-dc").arg(&files[0]).output().unwrap().stdout;
    let attribution = Attribution::read(&text).unwrap();
    assert_eq!(attribution.revision().id, second);
    let Written::By(commit) = attribution.line("servers/web.yaml", 2) else { panic!() };
    assert_eq!(commit.id, second);
    // The standard bundles are in every program already.
    assert!(!String::from_utf8_lossy(&text).contains("std/"));

    // A clone that is cut off, as services that build things like to make them.
    let clone = desk.at("clone");
    let from = format!("file://{}", desk.model.path().display());
    desk.git(&[], &["clone", "--quiet", "--depth", "1", &from, &clone]);
    let (www, key) = (desk.at("other"), desk.at("anna"));
    let publish = ["publish", &clone, "--revision", "HEAD", "--output", &www, "--key", &key];
    let said = steadfast(&publish);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(
        said.err.starts_with("warning: the authors of some lines are not known:"),
        "{}",
        said.err
    );

    desk.published(&["anna"], &["--revision", "main", "--anonymous"]);
    assert!(!desk.taken("anna", &[]).contains("author"));
    // What lies there is nobody's but the publisher's.
    desk.published(&["anna"], &[]);
    assert!(!desk.taken("anna", &[]).contains("author"));
    assert_eq!(std::fs::read_dir(&lines).unwrap().count(), 0, "no manifest names it any more");
}

#[test]
fn commits_and_tags_are_verified_as_a_node_would() {
    let desk = Desk::new(&["anna", "eve"]);
    desk.allow(&["anna"]);
    let unsigned = desk.commit(None);
    assert_eq!(
        reason(&desk.verify_git(&["--commit", "HEAD"])),
        format!("commit {unsigned} is not signed")
    );
    desk.change("hello");
    let first = desk.commit(Some("anna"));
    let said = desk.verify_git(&["--commit", "main", "--after", &unsigned]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    for part in [
        format!("commit     {first}\n"),
        "author     A <a@x>\n".to_owned(),
        "subject    Greet otherwise\n".to_owned(),
        "signed by  anna@xyz.example (SHA256:".to_owned(),
        "checked    1 node, 1 promise: no errors\nA node would accept it.\n".to_owned(),
    ] {
        assert!(said.out.contains(&part), "{part:?} is not in:\n{}", said.out);
    }
    desk.change("again");
    let second = desk.commit(Some("anna"));
    assert_eq!(
        reason(&desk.verify_git(&["--commit", &first, "--after", &second])),
        format!("commit {first} does not descend from {second}, which was accepted before")
    );
    let said = desk.verify_git(&["--branch", "main", "--after", &unsigned]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    desk.change("evil");
    desk.commit(Some("eve"));
    assert!(reason(&desk.verify_git(&["--branch", "main"])).ends_with("which is not trusted"));

    desk.sign(Some("anna"), &["tag", "-s", "-m", "one", "v1", &first]);
    desk.sign(Some("eve"), &["tag", "-s", "-m", "two", "v2", &first]);
    desk.git(&[], &["tag", "light", &first]);
    let said = desk.verify_git(&["--tag", "v1"]);
    assert!(said.code == 0 && said.out.contains("tag        v1\n"), "{}{}", said.out, said.err);
    assert!(reason(&desk.verify_git(&["--tag", "v2"])).ends_with("which is not trusted"));
    assert_eq!(reason(&desk.verify_git(&["--tag", "light"])), "tag light is not signed");
    for (more, code) in [
        (&["--tag", "v3"][..], 2),
        (&["--commit", "nothing"], 2),
        (&["--branch", "main", "--after", "HEAD"], 2),
        (&[], 2),
    ] {
        assert_eq!(desk.verify_git(more).code, code, "{more:?}");
    }
    // Named from where the command runs, as people do.
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let up = "../".repeat(here.components().count() - 1);
    let relative = format!("{up}{}", &desk.model.path().to_str().unwrap()[1..]);
    for more in [["--commit", "v1"], ["--tag", "v1"]] {
        let trust = ["--allowed-signers", &desk.at("allowed_signers")];
        let said = steadfast(&[&["verify", &relative][..], &more, &trust].concat());
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{relative}");
    }
    let bare = tempfile::tempdir().unwrap();
    let path = bare.path().to_str().unwrap();
    let clone = format!("{path}/model.git");
    desk.git(&[], &["clone", "--quiet", "--bare", ".", &clone]);
    for more in [["--commit", "v1"], ["--tag", "v1"]] {
        let trust = ["--allowed-signers", &desk.at("allowed_signers")];
        let said = steadfast(&[&["verify", &clone][..], &more, &trust].concat());
        assert_eq!((said.code, said.err.as_str()), (0, ""));
    }
    let no_repository = steadfast(&["verify", path, "--commit", "HEAD", "--trust-none"]);
    assert!(no_repository.code == 2 && no_repository.err.contains("is in no git repository"));
    let gone = steadfast_with_its_users(&["verify", "https://127.0.0.1:1/", "--trust-none"]);
    assert_eq!(gone.code, 7, "{}", gone.err);
    let plain = steadfast(&["verify", "http://127.0.0.1:1/", "--trust-none"]);
    assert!(plain.code == 2 && plain.err.contains("nothing protects"), "{}", plain.err);
}

#[test]
fn a_key_is_for_its_owner_alone_and_never_replaced() {
    let desk = Desk::new(&[]);
    let said = steadfast(&["keys", "create", &desk.at("key"), "--name", "anna@xyz.example"]);
    assert!(said.out.starts_with("ssh-ed25519 ") && said.out.ends_with(" anna@xyz.example\n"));
    let mode = std::fs::metadata(desk.path("key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(std::fs::read_to_string(desk.path("key.pub")).unwrap(), said.out);
    assert_eq!(steadfast(&["keys", "show", &desk.at("key")]).out, said.out);
    let before = std::fs::read(desk.path("key")).unwrap();
    assert_eq!(steadfast(&["keys", "create", &desk.at("key")]).code, 2);
    assert_eq!(std::fs::read(desk.path("key")).unwrap(), before);
    let none = desk.publish(&["key.pub"], &[]);
    assert_eq!(none.code, 2, "a public key signs nothing");
    // ssh-keygen reads it, and the other way round.
    let output = Command::new("ssh-keygen").args(["-y", "-f", &desk.at("key")]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), said.out);
    let made = ["-q", "-t", "ed25519", "-N", "", "-C", "bert", "-f", &desk.at("bert")];
    assert!(Command::new("ssh-keygen").args(made).status().unwrap().success());
    desk.published(&["bert"], &[]);
    assert!(desk.taken("bert", &[]).contains("signed by  bert "));
}
