//! A model in a git repository. The fetching side starts `git` with a configuration of our own and nothing
//! else: no site or user configuration, no hooks, filters, attributes, submodules or work tree. It brings
//! the raw commit, its trees and files, and the commits that lead from it back to the highest revision
//! accepted before. The accepting side ([`read`]) never starts git: it computes the name of every object
//! from its content and follows those names from the signed commit or tag down.

pub(crate) mod lines;

use crate::anti_rollback::Descent;
use crate::content::{Collector, Place, place};
use crate::object::{self, Algorithm, Commit, Malformed, Tag};
use crate::refusal::Refusal;
use crate::settings::{Git, Limits, Reference};
use crate::terms::{Brought, Known, Material};
use base64::Engine as _;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::io::{BufRead as _, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;
use steadfast_download::https::Site;
use steadfast_download::offer::{Reader, Writer};
use steadfast_download::process::{Finished, Talk, program, run, talk};
use steadfast_download::{DownloadError, DownloadErrorKind};
use steadfast_model::SourceSet;
use steadfast_trust::signature::SignatureError;
use steadfast_trust::text::printable;

/// What is fetched is kept under this name.
const TIP: &str = "refs/steadfast/tip";
/// What is said of a folder that is in no repository.
const NOWHERE: &str = "is in no git repository";
/// A commit or tag message; trees of folders with very many files are larger.
const MAX_COMMIT: usize = 1024 * 1024;
const MAX_TREE: usize = 64 * 1024 * 1024;
/// Folders, each visited once for every place where it stands.
const MAX_FOLDERS: usize = 100_000;

/// Brings the tip of a branch or a tag into the cache folder.
pub(crate) fn bring<'a>(
    git: &'a Git,
    material: &Material,
    known: &Known,
    cache: &Path,
    limits: &'a Limits,
) -> Result<(Brought, Option<History<'a>>), DownloadError> {
    let url = check_url(git)?;
    let repository = Repository::open(git, url, material, cache, limits)?;
    let brought = repository
        .fetch(1)
        .map_err(|error| distrusted(error, git, material, limits))
        .and_then(|()| repository.offer(&repository.tip()?, known, cache));
    if brought.is_err() {
        // What came in part takes up no room until the next try, which may be long from now.
        let _tidied = repository.tidy();
    }
    let (brought, ends) = brought?;
    Ok((brought, ends.map(|Ends { tip, floor }| History { repository, tip, floor })))
}

/// A history that was brought, of which may be written down what tells who wrote the lines.
pub(crate) struct History<'a> {
    repository: Repository<'a>,
    tip: String,
    floor: String,
}

impl History<'_> {
    /// It costs time and memory that a stranger may have a say in, and nothing depends on it.
    pub(crate) fn record(&self, cache: &Path) {
        lines::record(&self.repository, &self.tip, &self.floor, cache);
    }
}

/// The commits between which a history was brought.
struct Ends {
    tip: String,
    floor: String,
}

/// What git's TLS library says of a certificate that it does not trust leaves out why. Ours does not, so it
/// looks too.
fn distrusted(
    error: DownloadError,
    git: &Git,
    material: &Material,
    limits: &Limits,
) -> DownloadError {
    if !error.words.contains("certificate verification failed") {
        return error;
    }
    let Git { url, proxy, .. } = git;
    let answer = Site::new(url, material.ca.as_deref(), proxy.as_deref(), &limits.transfer())
        .and_then(|site| site.get("info/refs", None, MAX_COMMIT as u64));
    match answer {
        Err(DownloadError { words, .. }) if words.contains("certificate") => {
            let why = words.split_once(": ").map_or(&*words, |(_, why)| why);
            DownloadError::new(error.kind, format!("fetch {url}: {why}"))
        }
        Ok(_) | Err(_) => error,
    }
}

/// The same from a repository that lies on this machine, without fetching: what is named may be any of
/// its commits and tags.
pub(crate) fn bring_local(
    folder: &Path,
    reference: &Reference,
    known: &Known,
    cache: &Path,
    limits: &Limits,
) -> Result<Brought, DownloadError> {
    let repository = Repository::local(folder, cache, limits, Whose::Anybodys)?.0;
    let tip = match reference {
        Reference::Branch(name) => repository.resolve(&format!("{name}^{{commit}}"))?,
        Reference::Tag(name) => repository.resolve(&format!("refs/tags/{name}"))?,
    };
    let (brought, ends) = repository.offer(&tip, known, cache)?;
    if let Some(Ends { tip, floor }) = ends {
        lines::record(&repository, &tip, &floor, cache);
    }
    Ok(brought)
}

/// The files of a folder of a repository on this machine, as a revision has them, and its commit.
pub(crate) fn checkout(
    folder: &Path,
    revision: &str,
    cache: &Path,
    limits: &Limits,
) -> Result<(String, SourceSet), Refusal> {
    let (repository, below) = Repository::local(folder, cache, limits, Whose::Anybodys)?;
    let commit = repository.resolve(&format!("{revision}^{{commit}}"))?;
    let root = repository.resolve(&format!("{commit}:{below}"))?;
    let algorithm = Algorithm::of(&root).ok_or_else(|| Refusal::broken("git names no object"))?;
    let mut writer = Writer::new(cache)?;
    export(&mut repository.talk()?, algorithm, root.clone(), &mut writer)?;
    writer.finish()?;
    let mut reader = Reader::open(cache, 2 * crate::directory::MAX_BYTES)?;
    let mut objects: HashMap<(&str, String), Arc<[u8]>> = HashMap::new();
    while let Some(record) = reader.next_record()? {
        let kind = if record.kind == "tree" { "tree" } else { "blob" };
        named(algorithm, kind, &record.name, &record.content)?;
        objects.insert((kind, record.name), record.content.into());
    }
    Ok((commit, files(algorithm, &root, &objects)?))
}

/// Whose a repository on this machine may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// Whoever names a repository on a command line to take it from there means it.
    Anybodys,
    /// Git refuses one that belongs to somebody else than who asks.
    Ours,
}

/// How a new commit and the floor are connected.
enum Way {
    /// From the tip's parent to the child of the floor.
    Found(Vec<String>),
    /// All history that there is does not lead there.
    Nowhere,
    TooFar,
}

/// The tree of a commit; whether the rest is well formed is judged by the accepting side.
fn tree_of(raw: &[u8]) -> Option<String> {
    let line = raw.split(|it| *it == b'\n').next()?.strip_prefix(b"tree ")?;
    let id = String::from_utf8(line.to_vec()).ok()?;
    Algorithm::of(&id).map(|_| id)
}

fn broken(what: &str) -> DownloadError {
    DownloadError::new(DownloadErrorKind::Broken, format!("{what} is malformed"))
}

/// Writes every tree and file once, however often it is used.
fn export(
    talk: &mut Talk,
    algorithm: Algorithm,
    root: String,
    writer: &mut Writer,
) -> Result<(), DownloadError> {
    let mut seen = HashSet::from([root.clone()]);
    let mut folders = VecDeque::from([(root, String::new())]);
    let mut room = Collector::default();
    let too_large = |it: crate::directory::ReadError| {
        DownloadError::new(DownloadErrorKind::TooLarge, it.to_string())
    };
    while let Some((id, below)) = folders.pop_front() {
        if seen.len() > MAX_FOLDERS + crate::directory::MAX_FILES {
            return Err(DownloadError::new(
                DownloadErrorKind::TooLarge,
                "the model has too many folders",
            ));
        }
        let (_, raw) = object(talk, &id, MAX_TREE)?;
        writer.add("tree", &id, &raw)?;
        for entry in object::tree(algorithm, &raw).map_err(|_| broken("a tree"))? {
            let name = String::from_utf8_lossy(&entry.name);
            let path = if below.is_empty() { name.into_owned() } else { format!("{below}/{name}") };
            match place(&path) {
                Place::Elsewhere => continue,
                Place::Model => {}
                Place::Forbidden => {
                    let words = format!("`{path}` is no path that a model may have");
                    return Err(DownloadError::new(DownloadErrorKind::Broken, words));
                }
            }
            if !seen.insert(entry.object.clone()) {
                continue;
            }
            match entry.mode {
                0o040_000 => folders.push_back((entry.object, path)),
                0o100_644 | 0o100_664 | 0o100_755 => {
                    let left = usize::try_from(crate::directory::MAX_BYTES).unwrap_or(usize::MAX);
                    let (_, raw) = object(talk, &entry.object, left)?;
                    room.room(&path, raw.len() as u64).map_err(too_large)?;
                    writer.add("blob", &entry.object, &raw)?;
                }
                _other => {
                    let words = format!(
                        "{path} is neither a file nor a folder: a model has no links and no submodules"
                    );
                    return Err(DownloadError::new(DownloadErrorKind::Broken, words));
                }
            }
        }
    }
    Ok(())
}

/// One object from `cat-file --batch`: its size is known before it is read.
fn object(talk: &mut Talk, id: &str, limit: usize) -> Result<(String, Vec<u8>), DownloadError> {
    let failed = |err| DownloadError::local("read from git cat-file", err);
    talk.say(&format!("{id}\n")).map_err(failed)?;
    let mut line = String::new();
    talk.output.by_ref().take(256).read_line(&mut line).map_err(failed)?;
    let words: Vec<&str> = line.trim_end().split(' ').collect();
    let [_, kind, size] = words[..] else {
        return Err(DownloadError::new(
            DownloadErrorKind::Broken,
            format!("object {id} is not there"),
        ));
    };
    let size: usize = size.parse().map_err(|_| broken("what git cat-file says"))?;
    if size > limit {
        return Err(DownloadError::new(
            DownloadErrorKind::TooLarge,
            format!("object {id} has {size} bytes"),
        ));
    }
    let mut content = vec![0; size + 1];
    talk.output.read_exact(&mut content).map_err(failed)?;
    content.pop();
    Ok((kind.to_owned(), content))
}

struct Repository<'a> {
    folder: PathBuf,
    /// None where the repository is not ours and nothing is fetched into it.
    url: Option<&'a str>,
    reference: String,
    run: PathBuf,
    ssh: String,
    limits: &'a Limits,
    /// All that is asked of git for this fetch is over by then.
    until: Instant,
}

impl<'a> Repository<'a> {
    fn open(
        git: &Git,
        url: &'a str,
        material: &Material,
        cache: &Path,
        limits: &'a Limits,
    ) -> Result<Repository<'a>, DownloadError> {
        let failed = |err| DownloadError::local("prepare the cache folder", err);
        let run = cache.join("run");
        remove(&run).map_err(failed)?;
        std::fs::DirBuilder::new().mode(0o700).create(&run).map_err(failed)?;
        let write = |name: &str, content: &[u8]| {
            let path = run.join(name);
            let mut file =
                std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            file.write_all(content).map(|()| path)
        };
        let mut config = CONFIG.to_owned();
        if let Some(ca) = &material.ca {
            let ca = write("ca.pem", ca).map_err(failed)?;
            config.push_str(&format!("[http]\n\tsslCAInfo = {}\n", quoted(&ca.to_string_lossy())));
        }
        let proxy = git.proxy.as_deref().unwrap_or_default();
        config.push_str(&format!("[http]\n\tproxy = {}\n", quoted(proxy)));
        config.push_str(&format!(
            "\tlowSpeedLimit = 1\n\tlowSpeedTime = {}\n",
            limits.idle.as_secs().max(1)
        ));
        if let Some(token) = &material.token {
            let token = token.trim();
            let pair =
                if token.contains(':') { token.to_owned() } else { format!("token:{token}") };
            let header = base64::engine::general_purpose::STANDARD.encode(pair);
            config.push_str(&format!(
                "[http {}]\n\textraHeader = \"Authorization: Basic {header}\"\n",
                quoted(url)
            ));
        }
        if let Some(path) = url.strip_prefix("file://") {
            // upload-pack refuses a repository of another user, and `-c` does not reach it.
            let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.into());
            for it in [real.clone(), real.join(".git")] {
                let it = quoted(&it.to_string_lossy());
                config.push_str(&format!("[safe]\n\tdirectory = {it}\n"));
            }
        }
        write("gitconfig", config.as_bytes()).map_err(failed)?;
        let mut ssh = String::from(SSH);
        let hosts = match &material.known_hosts {
            Some(hosts) => shell_quoted(&write("known_hosts", hosts).map_err(failed)?),
            None => "/etc/ssh/ssh_known_hosts".into(),
        };
        ssh.push_str(&format!(" -o UserKnownHostsFile={hosts}"));
        ssh.push_str(&format!(" -o ConnectTimeout={}", limits.idle.as_secs().max(1)));
        if let Some(key) = &material.ssh_key {
            let key = write("ssh_key", key).map_err(failed)?;
            ssh.push_str(&format!(" -i {}", shell_quoted(&key)));
        }
        let reference = match &git.reference {
            Reference::Branch(name) => format!("refs/heads/{}", check_reference(name)?),
            Reference::Tag(name) => format!("refs/tags/{}", check_reference(name)?),
        };
        let folder = cache.join("repository.git");
        let until = Instant::now() + limits.together();
        let url = Some(url);
        let repository = Repository { folder, url, reference, run, ssh, limits, until };
        repository.tidy()?;
        Ok(repository)
    }

    /// Makes it where it is not there, and starts anew where it has grown too large. What a fetch that
    /// was killed has left behind does not stop the next one.
    fn tidy(&self) -> Result<(), DownloadError> {
        let failed = |err| DownloadError::local("prepare the cache folder", err);
        if !self.folder.join("HEAD").is_file() {
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

    fn make(&self, algorithm: Algorithm) -> Result<(), DownloadError> {
        remove(&self.folder)
            .map_err(|err| DownloadError::local("prepare the cache folder", err))?;
        let format = match algorithm {
            Algorithm::Sha1 => "--object-format=sha1",
            Algorithm::Sha256 => "--object-format=sha256",
        };
        let mut git = self.git();
        git.args(["init", "--bare", "--quiet", "--template=", format, "--"]).arg(&self.folder);
        let finished = self.run(git)?;
        if finished.success {
            return Ok(());
        }
        Err(DownloadError::new(DownloadErrorKind::Local, format!("git init: {}", finished.words())))
    }

    /// Fetches so many generations of commits. Objects that are there already do not come again.
    fn fetch(&self, depth: usize) -> Result<(), DownloadError> {
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
        let words = finished.words();
        let said = |marks: &[&str]| marks.iter().any(|it| words.contains(it));
        let (trouble, what) = if finished.too_large || self.hit_the_limit() {
            (DownloadErrorKind::TooLarge, format!("it has more than {} bytes", self.limits.bytes))
        } else if said(&["couldn't find remote ref"]) {
            (DownloadErrorKind::Settings, format!("{} is not there", self.reference))
        } else if said(&["REMOTE HOST IDENTIFICATION HAS CHANGED"]) {
            (
                DownloadErrorKind::Unreachable,
                "the host has another key than the one that is known".into(),
            )
        } else if said(&["Host key verification failed"]) {
            (DownloadErrorKind::Unreachable, "the key of the host is not known".into())
        } else if said(&["transfer rate", "Operation too slow", "timed out"]) {
            (DownloadErrorKind::TimedOut, words.clone())
        } else if said(&["index-pack", "fsck", "early EOF", "unpack", "bad object", "missing"]) {
            (DownloadErrorKind::Broken, words.clone())
        } else {
            (DownloadErrorKind::Unreachable, words.clone())
        };
        Err(DownloadError::new(trouble, format!("fetch {}: {what}", self.url.unwrap_or_default())))
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

    /// Writes down a commit or tag, with what leads from it to the floor and to its files.
    fn offer(
        &self,
        tip: &str,
        known: &Known,
        cache: &Path,
    ) -> Result<(Brought, Option<Ends>), DownloadError> {
        let mut talk = self.talk()?;
        let algorithm = Algorithm::of(tip)
            .ok_or_else(|| DownloadError::new(DownloadErrorKind::Broken, "git names no object"))?;

        let (kind, content) = object(&mut talk, tip, MAX_COMMIT)?;
        let (tag, commit) = match kind.as_str() {
            "commit" => (None, tip.to_owned()),
            "tag" => {
                let commit = Tag::parse(algorithm, &content).map_err(|_| broken("the tag"))?.object;
                (Some(content), commit)
            }
            other => {
                return Err(DownloadError::new(
                    DownloadErrorKind::Broken,
                    format!("it names a {other}, no commit"),
                ));
            }
        };
        if known.content && known.commit.as_ref() == Some(&commit) {
            return Ok((Brought::Unchanged, None));
        }
        let path = match &known.commit {
            Some(floor) if *floor != commit => self.path(&commit, floor)?,
            Some(_) | None => Way::Found(vec![]),
        };
        // The objects of a deepened history are there only for a process that starts after it came.
        talk = self.talk()?;

        let mut writer = Writer::new(cache)?;
        if let Some(tag) = &tag {
            writer.add("tag", "", tag)?;
        }
        let (_, raw) = object(&mut talk, &commit, MAX_COMMIT)?;
        let tree = tree_of(&raw).ok_or_else(|| broken("the commit"))?;
        writer.add("commit", &commit, &raw)?;
        let led = matches!(path, Way::Found(_));
        match path {
            Way::Found(commits) => {
                for commit in commits {
                    let (_, raw) = object(&mut talk, &commit, MAX_COMMIT)?;
                    writer.add("ancestor", &commit, &raw)?;
                }
            }
            Way::TooFar => writer.add("too-far", "", b"")?,
            Way::Nowhere => {}
        }
        export(&mut talk, algorithm, tree, &mut writer)?;
        writer.finish()?;
        let floor = known.commit.clone().filter(|_| led);
        let ends = floor.map(|floor| Ends { tip: commit, floor });
        Ok((Brought::Offer { validator: None }, ends))
    }

    /// What the repository calls something.
    fn resolve(&self, name: &str) -> Result<String, DownloadError> {
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

    /// The repository that a folder of this machine is in, and where in it the folder is.
    fn local(
        folder: &Path,
        cache: &Path,
        limits: &'a Limits,
        whose: Whose,
    ) -> Result<(Repository<'a>, String), DownloadError> {
        let failed = |err| DownloadError::local("prepare the cache folder", err);
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

    fn tip(&self) -> Result<String, DownloadError> {
        let mut git = self.git();
        git.arg("--git-dir").arg(&self.folder).args(["rev-parse", "--verify", "--quiet", TIP]);
        let finished = self.run(git)?;
        if finished.success {
            return Ok(finished.text());
        }
        Err(DownloadError::new(DownloadErrorKind::Broken, "git has fetched nothing"))
    }

    /// The commits between a new one and the floor, deepening until it is found.
    fn path(&self, tip: &str, floor: &str) -> Result<Way, DownloadError> {
        let limits = self.limits;
        if self.url.is_none() {
            return self.path_here(tip, floor, limits);
        }
        for depth in [16, 128, 1024, limits.commits] {
            let depth = depth.min(limits.commits);
            self.fetch(depth)?;
            match self.path_here(tip, floor, limits)? {
                Way::TooFar => {}
                way @ (Way::Found(_) | Way::Nowhere) => return Ok(way),
            }
            if depth == limits.commits {
                break;
            }
        }
        Ok(Way::TooFar)
    }

    /// The way in what has been fetched so far.
    fn path_here(&self, tip: &str, floor: &str, limits: &Limits) -> Result<Way, DownloadError> {
        let mut git = self.git();
        git.arg("--git-dir").arg(&self.folder);
        // Merges bring more commits than generations.
        let most = limits.commits.saturating_mul(4);
        git.args(["rev-list", "--parents", &format!("--max-count={most}"), tip, "--"]);
        let finished = self.run(git)?;
        let listed = finished.text();
        let parents: HashMap<&str, Vec<&str>> = listed
            .lines()
            .filter_map(|line| {
                let mut words = line.split(' ');
                Some((words.next()?, words.collect()))
            })
            .collect();
        let mut from: HashMap<&str, &str> = HashMap::new();
        let mut next = VecDeque::from([tip]);
        while let Some(commit) = next.pop_front() {
            for parent in parents.get(commit).into_iter().flatten() {
                if *parent == floor {
                    let mut path = vec![];
                    let mut at = commit;
                    while at != tip {
                        path.push(at.to_owned());
                        at = from.get(at).copied().unwrap_or(tip);
                    }
                    path.reverse();
                    return Ok(Way::Found(path));
                }
                if *parent != tip && !from.contains_key(parent) {
                    from.insert(parent, commit);
                    next.push_back(parent);
                }
            }
        }
        // Where the history that is here ends for want of depth, more of it may lead there.
        let ends = std::fs::read_to_string(self.folder.join("shallow")).unwrap_or_default();
        let more = parents.len() >= most || ends.lines().any(|it| parents.contains_key(it));
        Ok(if more { Way::TooFar } else { Way::Nowhere })
    }

    fn talk(&self) -> Result<Talk, DownloadError> {
        self.talk_until(self.until.min(Instant::now() + self.limits.total))
    }

    fn talk_until(&self, until: Instant) -> Result<Talk, DownloadError> {
        let mut git = self.git();
        git.arg("--git-dir").arg(&self.folder).args(["cat-file", "--batch"]);
        talk(git, until, self.limits.bytes)
    }

    fn run(&self, command: Command) -> Result<Finished, DownloadError> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let most = self.limits.together().as_secs_f32();
            let words = format!("fetching took longer than {most} s altogether");
            return Err(DownloadError::new(DownloadErrorKind::TimedOut, words));
        }
        run(command, self.limits.total.min(left), self.limits.bytes)
    }

    fn git(&self) -> Command {
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

const CONFIG: &str = "\
[core]
\thooksPath = /dev/null
\tfsmonitor = false
\tattributesFile = /dev/null
\texcludesFile = /dev/null
[init]
\tdefaultBranch = none
[protocol]
\tversion = 2
\tallow = never
[protocol \"https\"]
\tallow = always
[protocol \"http\"]
\tallow = always
[protocol \"ssh\"]
\tallow = always
[protocol \"file\"]
\tallow = always
[transfer]
\tfsckObjects = true
\tunpackLimit = 1
\tbundleURI = false
[fetch]
\tunpackLimit = 1
\trecurseSubmodules = false
\twriteCommitGraph = false
[submodule]
\trecurse = false
[gc]
\tauto = 0
[maintenance]
\tauto = false
[credential]
\thelper =
[http]
\tfollowRedirects = false
\tsslVerify = true
";

const SSH: &str = "ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes \
    -o GlobalKnownHostsFile=/dev/null -o UpdateHostKeys=no -o ForwardAgent=no -o ForwardX11=no \
    -o ClearAllForwardings=yes -o PermitLocalCommand=no -o ControlPath=none -o IdentityAgent=none \
    -o ServerAliveInterval=15 -o ServerAliveCountMax=2";

/// A value in a git configuration.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// One word for the shell that git runs ssh with.
fn shell_quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', "'\\''"))
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

fn check_url(git: &Git) -> Result<&str, DownloadError> {
    let wrong = |words: String| Err(DownloadError::new(DownloadErrorKind::Settings, words));
    let url = git.url.as_str();
    let Some((scheme, rest)) = url.split_once("://") else {
        return wrong(format!("`{url}` is no url: write https://, ssh:// or file://"));
    };
    if !url.bytes().all(|it| it.is_ascii_graphic() && !matches!(it, b'"' | b'\\' | b'\'')) {
        return wrong("a url has no spaces, quotes or letters beyond ASCII".into());
    }
    if rest.starts_with('-') || rest.is_empty() {
        return wrong(format!("`{url}` names no host"));
    }
    let authority = rest.split('/').next().unwrap_or_default();
    match scheme {
        "https" | "http" if authority.contains('@') => {
            wrong("a url holds no user and no password: use token_file".into())
        }
        "ssh"
            if authority
                .split('@')
                .next()
                .is_some_and(|it| it.contains(':') && authority.contains('@')) =>
        {
            wrong("a url holds no password: use ssh_key".into())
        }
        "http" if git.token_file.is_some() => {
            wrong("a token is not sent over http: use https".into())
        }
        "ssh" | "file" if git.proxy.is_some() || git.token_file.is_some() || git.ca.is_some() => {
            wrong(format!("token_file, ca and proxy are for https, and not for {scheme}"))
        }
        "file" if !rest.starts_with('/') || rest.contains('%') => {
            wrong("a file url is file:///path, without %".into())
        }
        "https" | "http" | "ssh" | "file" => Ok(url),
        other => wrong(format!("`{other}` is not supported: use https, ssh or file")),
    }
}

fn check_reference(name: &str) -> Result<&str, DownloadError> {
    let fine = |it: u8| it.is_ascii_alphanumeric() || b"._-/+@=#".contains(&it);
    let good = !name.is_empty()
        && name.len() < 200
        && name.bytes().all(fine)
        && !name.contains("..")
        && !name.contains("//")
        && !name.contains("@{")
        && !name.starts_with(['-', '/', '.'])
        && !name.ends_with(['/', '.'])
        && !name.ends_with(".lock");
    if good {
        return Ok(name);
    }
    Err(DownloadError::new(
        DownloadErrorKind::Settings,
        format!("`{name}` is no name of a branch or tag"),
    ))
}

/// What was brought, with every name computed again.
#[derive(Debug)]
pub(crate) struct Delivered {
    pub id: String,
    pub commit: Commit,
    pub tag: Option<Tag>,
    pub descent: Descent,
    pub sources: SourceSet,
}

/// Reads an offer and believes nothing of it that does not follow from the content of the tip.
pub(crate) fn read(
    reader: &mut Reader,
    floor: Option<&str>,
    limits: &Limits,
) -> Result<Delivered, Refusal> {
    let mut tag = None;
    let mut tip: Option<(String, Algorithm, Vec<u8>)> = None;
    let mut ancestors = vec![];
    let mut too_far = false;
    let mut objects: HashMap<(&str, String), Arc<[u8]>> = HashMap::new();
    while let Some(record) = reader.next_record()? {
        match (record.kind.as_str(), &tip) {
            ("tag", None) => tag = Some(record.content),
            ("commit", None) => {
                let algorithm =
                    Algorithm::of(&record.name).ok_or_else(|| bad_name(&record.name))?;
                named(algorithm, "commit", &record.name, &record.content)?;
                tip = Some((record.name, algorithm, record.content));
            }
            ("ancestor", Some((_, algorithm, _))) => {
                if ancestors.len() >= limits.commits {
                    return Err(Refusal::broken("more commits were brought than allowed"));
                }
                named(*algorithm, "commit", &record.name, &record.content)?;
                ancestors.push((record.name, parents(&record.content)));
            }
            ("too-far", Some(_)) => too_far = true,
            ("tree", Some((_, algorithm, _))) => {
                named(*algorithm, "tree", &record.name, &record.content)?;
                objects.insert(("tree", record.name), record.content.into());
            }
            ("blob", Some((_, algorithm, _))) => {
                named(*algorithm, "blob", &record.name, &record.content)?;
                objects.insert(("blob", record.name), record.content.into());
            }
            _other => return Err(Refusal::broken("a record of the offer is out of place")),
        }
    }
    let (id, algorithm, raw) = tip.ok_or_else(|| Refusal::broken("no commit was brought"))?;
    let what = format!("commit {id}");
    let commit = Commit::parse(algorithm, &raw).map_err(|it| malformed(&what, it))?;
    let tag = match tag {
        None => None,
        Some(raw) => {
            let tag = Tag::parse(algorithm, &raw).map_err(|it| malformed("the tag", it))?;
            if tag.kind != "commit" || tag.object != id {
                return Err(Refusal::broken("the tag names another commit"));
            }
            Some(tag)
        }
    };
    let descent = match floor {
        None => Descent::None,
        Some(floor) => {
            let mut reached: BTreeSet<String> = commit.parents.iter().cloned().collect();
            for (id, parents) in ancestors {
                if reached.contains(&id) {
                    reached.extend(parents);
                }
            }
            match reached.contains(floor) {
                true => Descent::Proved,
                false if too_far => Descent::TooFar,
                false => Descent::NotProved,
            }
        }
    };
    let sources = files(algorithm, &commit.tree, &objects)?;
    Ok(Delivered { id, commit, tag, descent, sources })
}

fn files(
    algorithm: Algorithm,
    root: &str,
    objects: &HashMap<(&str, String), Arc<[u8]>>,
) -> Result<SourceSet, Refusal> {
    let find = |kind: &'static str, id: &str| {
        objects
            .get(&(kind, id.to_owned()))
            .cloned()
            .ok_or_else(|| Refusal::broken(format!("{kind} {id} was not brought")))
    };
    let mut collector = Collector::default();
    let mut folders = VecDeque::from([(root.to_owned(), String::new())]);
    let mut visited = 0;
    while let Some((id, below)) = folders.pop_front() {
        visited += 1;
        if visited > MAX_FOLDERS {
            return Err(Refusal::broken("the model has too many folders"));
        }
        let mut names = BTreeMap::new();
        let entries = object::tree(algorithm, &find("tree", &id)?)
            .map_err(|_| Refusal::broken(format!("tree {id} is malformed")))?;
        for entry in entries {
            let name = String::from_utf8(entry.name)
                .map_err(|_| Refusal::broken(format!("a name in {below:?} is not UTF-8")))?;
            let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
            if names.insert(name.clone(), ()).is_some() || name.contains('/') {
                return Err(Refusal::broken(format!("{path:?} stands twice in it")));
            }
            match place(&path) {
                Place::Elsewhere => continue,
                Place::Model => {}
                Place::Forbidden => {
                    return Err(Refusal::broken(format!("{path:?} is no path of a model")));
                }
            }
            match entry.mode {
                0o040_000 => folders.push_back((entry.object, path)),
                0o100_644 | 0o100_664 => {
                    collector.add(&path, find("blob", &entry.object)?, false)?;
                }
                0o100_755 => collector.add(&path, find("blob", &entry.object)?, true)?,
                _other => {
                    return Err(crate::directory::ReadError::Special { path: path.into() }.into());
                }
            }
        }
    }
    Ok(collector.finish())
}

/// The parents in a commit of a history, which is only followed: whatever else it holds may be odd.
fn parents(raw: &[u8]) -> Vec<String> {
    let lines = raw.split(|it| *it == b'\n').skip(1);
    lines
        .map_while(|it| it.strip_prefix(b"parent "))
        .map(|it| String::from_utf8_lossy(it).into_owned())
        .collect()
}

fn named(algorithm: Algorithm, kind: &str, name: &str, content: &[u8]) -> Result<(), Refusal> {
    match object::name(algorithm, kind, content) {
        Some(computed) if computed == name => Ok(()),
        Some(_) => Err(bad_name(name)),
        None => Err(Refusal::broken(format!("{kind} {name} was made to collide with another"))),
    }
}

fn bad_name(name: &str) -> Refusal {
    Refusal::broken(format!("the content of object {} is another", printable(name)))
}

fn malformed(what: &str, malformed: Malformed) -> Refusal {
    match malformed {
        Malformed::Header => Refusal::broken(format!("{what} is malformed")),
        Malformed::Signatures => SignatureError::TwoSignatures { what: what.to_owned() }.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_names_that_could_be_read_as_something_else_are_refused() {
        let git = |url: &str| Git::new(url, Reference::Branch("main".into()));
        for good in ["https://h/x.git", "ssh://git@h:22/x", "file:///srv/x", "http://h/x"] {
            assert_eq!(check_url(&git(good)).unwrap(), good);
        }
        let bad = [
            "h:x.git",
            "ext::sh -c id",
            "ext://x",
            "https://u:p@h/x",
            "ssh://u:p@h/x",
            "ssh://-oProxyCommand=x/y",
            "file://x",
            "file:///a%20b",
            "https://h/a b",
            "https://h/\"x",
            "git://h/x",
            "",
            "https://",
        ];
        for bad in bad {
            assert_eq!(
                check_url(&git(bad)).unwrap_err().kind,
                DownloadErrorKind::Settings,
                "{bad}"
            );
        }
        let mut token = git("http://h/x");
        token.token_file = Some("/t".into());
        assert!(check_url(&token).unwrap_err().words.contains("not sent over http"));
        for good in ["main", "release/1.0", "v1.2+x"] {
            assert!(check_reference(good).is_ok(), "{good}");
        }
        for bad in ["", "-x", "a..b", "a b", "a:b", "a/", "x.lock", "a@{1}", "+", "*"] {
            assert_eq!(check_reference(bad).is_ok(), bad == "+", "{bad}");
        }
    }
}
