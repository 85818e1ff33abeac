//! A repository on this machine as git sees it: the one in the cache directory, into which is fetched, or one
//! that somebody named. Git is started with a configuration of our own and nothing else: no site or user
//! configuration, no hooks, filters, attributes, submodules or work tree.

use super::address::check_reference;
use super::config::{self, CONFIG};
use crate::object::Algorithm;
use crate::settings::{Git, Limits, Reference};
use crate::terms::Credentials;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use steadfast_download::process::{Finished, Talk, program, run, talk};
use steadfast_download::{DownloadError, DownloadErrorKind};
use steadfast_trust::text::without_user;

/// What is fetched is kept under this name.
const TIP: &str = "refs/steadfast/tip";
/// What is said of a directory that is in no repository.
pub(super) const NOWHERE: &str = "is in no git repository";

/// What git says where the cache directory cannot be written to: its disk is full, in bytes or in files.
const NO_ROOM: [&str; 4] = [
    "No space left on device",
    "Disk quota exceeded",
    "Read-only file system",
    "unable to create directory",
];

/// What git says of itself, without what it passes on from the other side.
fn said_here(stderr: &[u8]) -> String {
    let words = String::from_utf8_lossy(stderr);
    let theirs = ["remote:", "fatal: remote error:"];
    let own = words.lines().filter(|it| !theirs.iter().any(|mark| it.starts_with(mark)));
    own.collect::<Vec<_>>().join("\n")
}

/// Whose a repository on this machine may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// Whoever names a repository on a command line to take it from there means it.
    Anybodys,
    /// Git refuses one that belongs to somebody else than who asks.
    Ours,
}

pub(super) struct Repository<'a> {
    pub(super) folder: PathBuf,
    /// None where the repository is not ours and nothing is fetched into it.
    pub(super) url: Option<&'a str>,
    reference: String,
    run: PathBuf,
    ssh: String,
    pub(super) limits: &'a Limits,
    /// All that is asked of git for this fetch is over by then.
    until: Instant,
}

impl<'a> Repository<'a> {
    pub(super) fn open(
        git: &Git,
        url: &'a str,
        credentials: &Credentials,
        cache: &Path,
        limits: &'a Limits,
    ) -> Result<Repository<'a>, DownloadError> {
        // Before any key is written down.
        let reference = match &git.reference {
            Reference::Branch(name) => format!("refs/heads/{}", check_reference(name)?),
            Reference::Tag(name) => format!("refs/tags/{}", check_reference(name)?),
        };
        let failed = |err| DownloadError::local("prepare the cache directory", err);
        let run = cache.join("run");
        let ssh = remove(&run)
            .and_then(|()| config::prepare(&run, git, url, credentials, limits))
            .map_err(failed)?;
        let folder = cache.join("repository.git");
        let until = Instant::now() + limits.together();
        let url = Some(url);
        let repository = Repository { folder, url, reference, run, ssh, limits, until };
        repository.tidy()?;
        Ok(repository)
    }

    /// Makes it where it is not there, and starts anew where it has grown too large. What a fetch that
    /// was killed has left behind does not stop the next one.
    pub(super) fn tidy(&self) -> Result<(), DownloadError> {
        let failed = |err| DownloadError::local("prepare the cache directory", err);
        // An earlier version may have been ended in the middle of making it.
        if !self.folder.join("HEAD").is_file() || !self.folder.join("objects/pack").is_dir() {
            return self.make(Algorithm::Sha1);
        }
        for lock in ["shallow.lock", "packed-refs.lock", "config.lock", "HEAD.lock"] {
            remove(&self.folder.join(lock)).map_err(failed)?;
        }
        remove(&self.folder.join(format!("{TIP}.lock"))).map_err(failed)?;
        let mut size = 0;
        for entry in std::fs::read_dir(self.folder.join("objects/pack")).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_name().to_string_lossy().starts_with("tmp_") {
                remove(&entry.path()).map_err(failed)?;
            } else {
                size += entry.metadata().map_or(0, |it| it.len());
            }
        }
        if size > 2 * self.limits.bytes { self.make(Algorithm::Sha1) } else { Ok(()) }
    }

    /// Makes it anew. It has its name once it is whole: whatever ends us before, the next fetch begins again.
    fn make(&self, algorithm: Algorithm) -> Result<(), DownloadError> {
        let failed = |err| DownloadError::local("prepare the cache directory", err);
        let new = self.folder.with_extension("new");
        for it in [&new, &self.folder] {
            remove(it).map_err(failed)?;
        }
        let format = match algorithm {
            Algorithm::Sha1 => "--object-format=sha1",
            Algorithm::Sha256 => "--object-format=sha256",
        };
        let mut git = self.git();
        git.args(["init", "--bare", "--quiet", "--template=", format, "--"]).arg(&new);
        let finished = self.run(git)?;
        if finished.success {
            return std::fs::rename(&new, &self.folder).map_err(failed);
        }
        Err(DownloadError::new(DownloadErrorKind::Local, format!("git init: {}", finished.words())))
    }

    /// Fetches so many generations of commits. Objects that are there already do not come again.
    pub(super) fn fetch(&self, depth: usize) -> Result<(), DownloadError> {
        let url = without_user(self.url.unwrap_or_default());
        let _span =
            tracing::debug_span!("git_transfer", %url, reference = self.reference, depth).entered();
        let begin = Instant::now();
        tracing::debug!("transfer begins");
        let fetched = self.fetch_or_begin_anew(depth);
        let took = begin.elapsed();
        match &fetched {
            Ok(()) => tracing::debug!(bytes = self.packed(), ?took, "transfer ended"),
            Err(error) => tracing::debug!(kind = ?error.kind, ?took, "transfer failed"),
        }
        fetched
    }

    /// Bytes of all that has been fetched so far.
    fn packed(&self) -> u64 {
        let files = std::fs::read_dir(self.folder.join("objects/pack"));
        files.into_iter().flatten().flatten().filter_map(|it| Some(it.metadata().ok()?.len())).sum()
    }

    /// A repository that is damaged, or of another format than the one that is fetched, is made anew.
    fn fetch_or_begin_anew(&self, depth: usize) -> Result<(), DownloadError> {
        let finished = self.try_fetch(depth)?;
        if finished.success {
            return Ok(());
        }
        let words = finished.words();
        let again = if finished.too_large || self.hit_the_limit() {
            None
        } else if words.contains("mismatched algorithms") {
            Some(Algorithm::Sha256)
        } else if self.damaged()? {
            Some(Algorithm::Sha1)
        } else {
            None
        };
        let finished = match again {
            Some(algorithm) => {
                self.make(algorithm)?;
                self.try_fetch(depth)?
            }
            None => finished,
        };
        if finished.success {
            return Ok(());
        }
        Err(self.why_not(&finished))
    }

    /// Why a fetch failed, by what git says.
    fn why_not(&self, finished: &Finished) -> DownloadError {
        let words = finished.words();
        let said = |marks: &[&str]| marks.iter().any(|it| words.contains(it));
        let here = said_here(&finished.stderr);
        let said_here = |marks: &[&str]| marks.iter().any(|it| here.contains(it));
        let (kind, what) = if finished.too_large || self.hit_the_limit() {
            (DownloadErrorKind::TooLarge, format!("it has more than {} bytes", self.limits.bytes))
        } else if said_here(&NO_ROOM) {
            (DownloadErrorKind::Local, words.clone())
        } else if said_here(&["Out of memory", "out of memory"]) {
            let what = "what it sends takes more memory than a fetch may have";
            (DownloadErrorKind::TooLarge, what.into())
        } else if said(&["returned error: 30"]) {
            let what = "it leads to another address, which is not followed: name that one as url";
            (DownloadErrorKind::Unreachable, what.into())
        } else if said(&["couldn't find remote ref"]) {
            (DownloadErrorKind::Settings, format!("{} is not there", self.reference))
        } else if said(&["REMOTE HOST IDENTIFICATION HAS CHANGED"]) {
            let what = "the host has another key than the one that is known";
            (DownloadErrorKind::Unreachable, what.into())
        } else if said(&["Host key verification failed"]) {
            (DownloadErrorKind::Unreachable, "the key of the host is not known".into())
        } else if said(&["transfer rate", "Operation too slow", "timed out"]) {
            (DownloadErrorKind::TimedOut, words.clone())
        } else if said(&["index-pack", "fsck", "early EOF", "unpack", "bad object", "missing"]) {
            (DownloadErrorKind::Broken, words.clone())
        } else {
            (DownloadErrorKind::Unreachable, words.clone())
        };
        DownloadError::new(kind, format!("fetch {}: {what}", self.url.unwrap_or_default()))
    }

    fn try_fetch(&self, depth: usize) -> Result<Finished, DownloadError> {
        let mut git = self.git();
        git.arg("--git-dir").arg(&self.folder);
        git.args(["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-gc"]);
        git.args(["--no-recurse-submodules", "--refmap="]);
        git.arg(format!("--depth={depth}"));
        git.args(["--", self.url.unwrap_or_default()]).arg(format!("+{}:{TIP}", self.reference));
        self.run(git)
    }

    /// Whether a file was cut off at the size limit: index-pack, which git starts, dies of it in silence.
    fn hit_the_limit(&self) -> bool {
        let files = std::fs::read_dir(self.folder.join("objects/pack"));
        files.into_iter().flatten().flatten().any(|it| {
            let temporary = it.file_name().to_string_lossy().starts_with("tmp_");
            temporary && it.metadata().is_ok_and(|it| it.len() >= self.limits.bytes)
        })
    }

    fn damaged(&self) -> Result<bool, DownloadError> {
        let mut git = self.git();
        git.arg("--git-dir").arg(&self.folder);
        git.args(["fsck", "--connectivity-only", "--no-dangling", "--no-progress"]);
        Ok(!self.run(git)?.success)
    }

    /// What the repository calls something.
    pub(super) fn resolve(&self, name: &str) -> Result<String, DownloadError> {
        let mut git = self.git();
        git.arg("--git-dir").arg(&self.folder);
        git.args(["rev-parse", "--verify", "--quiet", "--end-of-options", name]);
        let finished = self.run(git)?;
        if finished.success {
            return Ok(finished.text());
        }
        let name = name.trim_end_matches("^{commit}");
        let words = format!("{name} is not there in {}", self.folder.display());
        Err(DownloadError::new(DownloadErrorKind::Settings, words))
    }

    /// The repository that a directory of this machine is in, and where in it the directory is.
    pub(super) fn local(
        folder: &Path,
        cache: &Path,
        limits: &'a Limits,
        whose: Whose,
    ) -> Result<(Repository<'a>, String), DownloadError> {
        let failed = |err| DownloadError::local("prepare the cache directory", err);
        // Git runs in another working directory than we do.
        let folder = std::path::absolute(folder).map_err(failed)?;
        let run = cache.join("run");
        std::fs::DirBuilder::new().mode(0o700).create(&run).map_err(failed)?;
        let safe = match whose {
            Whose::Anybodys => "[safe]\n\tdirectory = *\n",
            Whose::Ours => "",
        };
        let config = format!("{CONFIG}{safe}");
        std::fs::write(run.join("gitconfig"), config).map_err(failed)?;
        let mut repository = Repository {
            folder: PathBuf::new(),
            url: None,
            reference: String::new(),
            run,
            ssh: "/bin/false".into(),
            limits,
            until: Instant::now() + limits.together(),
        };
        let mut git = repository.git();
        git.arg("-C").arg(&folder).args(["rev-parse", "--absolute-git-dir", "--show-prefix"]);
        let finished = repository.run(git)?;
        let said = String::from_utf8_lossy(&finished.stdout).into_owned();
        let Some((path, below)) = said.split_once('\n').filter(|_| finished.success) else {
            let words = match finished.words().contains("dubious ownership") {
                true => "the repository belongs to somebody else".to_owned(),
                false => format!("{} {NOWHERE}", folder.display()),
            };
            return Err(DownloadError::new(DownloadErrorKind::Settings, words));
        };
        repository.folder = path.into();
        Ok((repository, below.trim_end_matches(['\n', '/']).to_owned()))
    }

    pub(super) fn tip(&self) -> Result<String, DownloadError> {
        let mut git = self.git();
        git.arg("--git-dir").arg(&self.folder).args(["rev-parse", "--verify", "--quiet", TIP]);
        let finished = self.run(git)?;
        if finished.success {
            return Ok(finished.text());
        }
        Err(DownloadError::new(DownloadErrorKind::Broken, "git has fetched nothing"))
    }

    pub(super) fn talk(&self) -> Result<Talk, DownloadError> {
        self.talk_until(self.until.min(Instant::now() + self.limits.total))
    }

    pub(super) fn talk_until(&self, until: Instant) -> Result<Talk, DownloadError> {
        let mut git = self.git();
        git.arg("--git-dir").arg(&self.folder).args(["cat-file", "--batch"]);
        talk(git, until, self.limits.bytes)
    }

    pub(super) fn run(&self, command: Command) -> Result<Finished, DownloadError> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let most = self.limits.together().as_secs_f32();
            let words = format!("fetching took longer than {most} s altogether");
            return Err(DownloadError::new(DownloadErrorKind::TimedOut, words));
        }
        run(command, self.limits.total.min(left), self.limits.bytes)
    }

    pub(super) fn git(&self) -> Command {
        let mut git = program("git");
        git.env("HOME", &self.run)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", self.run.join("gitconfig"))
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ASKPASS", "/bin/false")
            .env("SSH_ASKPASS_REQUIRE", "never")
            // A repository on this machine is never a reason to fetch anything.
            .env(
                "GIT_ALLOW_PROTOCOL",
                if self.url.is_some() { "https:ssh:file:http" } else { "none" },
            )
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_SSH_COMMAND", &self.ssh)
            .env("GIT_SSH_VARIANT", "ssh");
        // What a configuration in the repository could say again is said once more where it wins.
        for setting in
            ["core.hooksPath=/dev/null", "core.fsmonitor=false", "core.alternateRefsCommand=true"]
        {
            git.args(["-c", setting]);
        }
        git.args(["-c", "protocol.ext.allow=never", "-c", "transfer.fsckObjects=true"]);
        git
    }
}

impl Drop for Repository<'_> {
    fn drop(&mut self) {
        // Keys and tokens do not stay; the next fetch clears what a kill left.
        let _stays_until_then = remove(&self.run);
    }
}

fn remove(path: &Path) -> std::io::Result<()> {
    let gone = match std::fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(err) => Err(err),
    };
    match gone {
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
