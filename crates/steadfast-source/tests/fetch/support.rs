//! A world to fetch in: keys, repositories, a cache and an anti-rollback state.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::path::{Path, PathBuf};
use std::process::Command;
use steadfast_source::Refusal;
use steadfast_source::accept::accept;
use steadfast_source::anti_rollback::{AntiRollback, Expected, Force};
use steadfast_source::fetch::fetch;
use steadfast_source::settings::{Git, Limits, Reference, Source, Trust};
use steadfast_source::terms::{Fetched, Known, Terms};

static UTC: TimeZone = TimeZone::UTC;

pub(crate) struct World {
    pub folder: tempfile::TempDir,
    pub anti_rollback: AntiRollback,
    pub expected: Expected,
    pub now: Timestamp,
    pub force: Force,
    pub limits: Limits,
}

impl World {
    pub(crate) fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("cache")).unwrap();
        std::fs::write(folder.path().join("gitconfig"), "[user]\nname=A\nemail=a@x\n").unwrap();
        World {
            folder,
            anti_rollback: AntiRollback::default(),
            expected: Expected::default(),
            now: "2026-06-01T00:00:00Z".parse().unwrap(),
            force: Force::No,
            limits: Limits::default(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> String {
        let output = Command::new(program)
            .args(arguments)
            .current_dir(self.folder.path())
            .env("GIT_CONFIG_GLOBAL", self.path("gitconfig"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GNUPGHOME", self.path("gnupg"))
            .output()
            .unwrap_or_else(|it| panic!("{program} (is it installed?): {it}"));
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {words}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Git in the repository `work`.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let work = self.path("work");
        let mut all = vec!["-C", work.to_str().unwrap()];
        all.extend(arguments);
        self.run("git", &all)
    }

    /// A repository with one commit.
    pub(crate) fn repository(&self) -> &World {
        self.run("git", &["init", "--quiet", "--initial-branch=main", "work"]);
        self.commit("model.yaml", "model: x\n", &[]);
        self
    }

    pub(crate) fn commit(&self, file: &str, content: &str, options: &[&str]) -> String {
        let path = self.path("work").join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self.git(&["add", "--all", "--force"]);
        let mut all = vec!["commit", "--quiet", "--allow-empty", "-m", "Change it\n\nBecause."];
        all.extend(options);
        self.git(&all);
        self.git(&["rev-parse", "HEAD"])
    }

    /// A key pair, and the options with which git signs by it.
    pub(crate) fn ssh_key(&self, name: &str) -> Vec<String> {
        let path = self.path(name);
        self.run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", path.to_str().unwrap()]);
        let key = format!("user.signingkey={}", path.display());
        ["-c", "gpg.format=ssh", "-c", &key].map(str::to_owned).to_vec()
    }

    /// A commit that is signed by a key.
    pub(crate) fn signed(&self, file: &str, content: &str, key: &[String]) -> String {
        let path = self.path("work").join(file);
        std::fs::write(path, content).unwrap();
        self.git(&["add", "--all", "--force"]);
        let mut all: Vec<&str> = key.iter().map(String::as_str).collect();
        all.extend(["commit", "--quiet", "--allow-empty", "-S", "-m", "Change it\n\nBecause."]);
        self.git(&all);
        self.git(&["rev-parse", "HEAD"])
    }

    /// An allowed-signers file with lines of options and names of keys.
    pub(crate) fn allowed(&self, lines: &[(&str, &str)]) -> Trust {
        let mut text = String::new();
        for (options, key) in lines {
            let public = std::fs::read_to_string(self.path(&format!("{key}.pub"))).unwrap();
            text.push_str(&format!("{key}@x {options} {public}"));
        }
        let path = self.path("allowed_signers");
        std::fs::write(&path, text).unwrap();
        Trust::AllowedSigners(path)
    }

    pub(crate) fn branch(&self) -> Source {
        Source::Git(Git::new(self.url(), Reference::Branch("main".into())))
    }

    pub(crate) fn tag(&self, name: &str) -> Source {
        Source::Git(Git::new(self.url(), Reference::Tag(name.into())))
    }

    pub(crate) fn url(&self) -> String {
        format!("file://{}", self.path("work").display())
    }

    pub(crate) fn fetch(
        &mut self,
        source: &Source,
        trust: &Trust,
    ) -> Result<Option<Fetched>, Refusal> {
        let known = Known::from_state(&self.anti_rollback, true, None);
        self.fetch_knowing(source, trust, &known)
    }

    pub(crate) fn fetch_knowing(
        &mut self,
        source: &Source,
        trust: &Trust,
        known: &Known,
    ) -> Result<Option<Fetched>, Refusal> {
        let (terms, anti_rollback, cache) = self.terms(source, trust);
        fetch(&terms, known, anti_rollback, &cache)
    }

    /// By what is accepted, what was accepted before, and where it lies.
    fn terms<'a>(
        &'a mut self,
        source: &'a Source,
        trust: &'a Trust,
    ) -> (Terms<'a>, &'a mut AntiRollback, PathBuf) {
        let terms = Terms {
            source,
            trust,
            expected: &self.expected,
            now: self.now,
            zone: &UTC,
            force: self.force,
            run_as: None,
            limits: &self.limits,
        };
        (terms, &mut self.anti_rollback, self.folder.path().join("cache"))
    }

    /// Of what lies there already.
    pub(crate) fn accept(&mut self, source: &Source, trust: &Trust) -> Result<Fetched, Refusal> {
        let (terms, anti_rollback, cache) = self.terms(source, trust);
        accept(&terms, anti_rollback, &cache)
    }

    /// What was fetched of packs, and lies in the cache.
    pub(crate) fn packs(&self) -> Vec<String> {
        let packs = std::fs::read_dir(self.path("cache/repository.git/objects/pack"));
        let names = packs.into_iter().flatten().map(|it| it.unwrap().file_name());
        names.map(|it| it.into_string().unwrap()).collect()
    }

    /// The words of a refusal.
    pub(crate) fn refused(&mut self, source: &Source, trust: &Trust) -> String {
        let before = self.anti_rollback.highest.clone();
        let words = match self.fetch(source, trust) {
            Ok(fetched) => panic!("it was taken: {fetched:?}"),
            Err(refusal) => refusal.line(),
        };
        assert_eq!(self.anti_rollback.highest, before, "a refusal does not move it");
        words
    }
}

pub(crate) fn files(fetched: &Fetched) -> Vec<String> {
    fetched.sources.iter().map(|(_, it)| it.path.to_string()).collect()
}

pub(crate) fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
