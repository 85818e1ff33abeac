//! `steadfast verify`: whether a node would accept a snapshot, commit or tag.

use crate::exit::{Exit, Failure, Outcome};
use crate::render::time::utc;
use crate::ui::{Tone, Ui, clean};
use anyhow::Error;
use clap::{ArgGroup, Args};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::path::{Path, PathBuf};
use steadfast_node::counted;
use steadfast_node::download::{DownloadTask, Duty, OwnUser, download_in_child, verifier};
use steadfast_node::model::{self, every_node};
use steadfast_source::accept::{accept, permitted};
use steadfast_source::anti_rollback::{AntiRollback, Expected, Force, Point};
use steadfast_source::directory::is_folder;
use steadfast_source::fetch::{fetch, fetch_local};
use steadfast_source::settings::{Git, Limits, Reference, Snapshot, Source, Trust};
use steadfast_source::terms::{Download, Fetched, Known, Origin, Terms};
use steadfast_source::{Refusal, RefusalKind, manifest};
use steadfast_trust::signature::Signer;

const TRUST: &str = "Trust (exactly one)";

/// Verify a snapshot, commit or tag as a node would
///
/// SOURCE is the directory or URL of a snapshot or, with --commit, --branch or --tag, of a git repository.
/// Nothing is adopted or written. Exits with 6 if a node would refuse it, and with 7 if the source could
/// not be read.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("trust").required(true))]
#[command(group = ArgGroup::new("git"))]
#[command(override_usage = "steadfast verify <SOURCE> <TRUST> [OPTIONS]")]
pub(crate) struct VerifyArgs {
    /// A directory or a URL: https://…, ssh://…, file://… or http://…
    #[arg(value_name = "SOURCE")]
    source: String,

    /// The commit to verify, by any name that git understands; needs a repository on this machine
    #[arg(long, value_name = "REVISION", group = "git")]
    commit: Option<String>,

    /// The branch whose tip to verify
    #[arg(long, value_name = "NAME", group = "git")]
    branch: Option<String>,

    /// The tag to verify
    #[arg(long, value_name = "NAME", group = "git")]
    tag: Option<String>,

    /// Trust these SSH keys for commits and tags
    #[arg(long, value_name = "FILE", group = "trust", requires = "git", help_heading = TRUST)]
    allowed_signers: Option<PathBuf>,

    /// Trust the OpenPGP keys of this keyring for commits and tags
    #[arg(long, value_name = "FILE", group = "trust", requires = "git", help_heading = TRUST)]
    openpgp: Option<PathBuf>,

    /// Trust these public keys for snapshots (repeatable)
    #[arg(long, value_name = "FILE", group = "trust", conflicts_with = "git", help_heading = TRUST)]
    keys: Vec<PathBuf>,

    /// Verify no signature: trust anybody who can write to the source
    #[arg(long, group = "trust", help_heading = TRUST)]
    trust_none: bool,

    /// How many of the keys must have signed
    #[arg(long, value_name = "N", default_value_t = 1, requires = "keys")]
    threshold: usize,

    /// The name of the model that a snapshot must have
    #[arg(long, value_name = "NAME", conflicts_with = "git")]
    model: Option<String>,

    /// The channel that a snapshot must have
    #[arg(long, value_name = "NAME", conflicts_with = "git")]
    channel: Option<String>,

    /// What the node has now: a full commit hash, or the number of a snapshot
    #[arg(long, value_name = "REVISION")]
    after: Option<String>,

    /// The certificate authorities to trust for https, instead of the system's
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,

    /// The proxy for https
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,

    /// The private key file for ssh
    #[arg(long, value_name = "FILE", requires = "git")]
    ssh_key: Option<PathBuf>,

    /// The known_hosts file for ssh [default: /etc/ssh/ssh_known_hosts]
    #[arg(long, value_name = "FILE", requires = "git")]
    known_hosts: Option<PathBuf>,

    /// A file with the token for git over https: TOKEN or USER:TOKEN
    #[arg(long, value_name = "FILE", requires = "git")]
    token_file: Option<PathBuf>,
}

pub(crate) fn run(args: &VerifyArgs, ui: &Ui) -> Outcome {
    let (source, local) = source(args)?;
    let (mut accepted, lowest) = accepted_before(args)?;
    // What lies on this machine is read by whoever asks; with servers only the agent's own child speaks.
    let afar = args.source.contains("://") && !args.source.starts_with("file://");
    let limits = Limits::default();
    // Where another user fetches or verifies, that one passes through it, and looks at nothing.
    let room = room(0o711)?;
    let cache = room.path().join("fetch");
    let trust = trust(args);
    permitted(&source, &trust).map_err(unread)?;
    let terms = Terms {
        source: &source,
        trust: &trust,
        expected: &Expected { model: args.model.clone(), channel: args.channel.clone() },
        now: Timestamp::now(),
        zone: &TimeZone::system(),
        force: Force::No,
        run_as: verifier(&trust, &cache).map_err(Failure::usage)?,
        limits: &limits,
    };
    if !afar {
        rustix::fs::mkdir(&cache, rustix::fs::Mode::RWXU)
            .map_err(|err| Failure::new(Exit::Unreachable, err))?;
    }
    let known = Known::from_state(&accepted, false, None);
    let fetched = match &local {
        Some(folder) => fetch_local(&terms, folder, &mut accepted, &cache).map(Some),
        None if afar => {
            let user = Duty::Fetch.user().map_err(Failure::usage)?;
            fetch_in_child(&terms, known, user, &mut accepted, cache)
        }
        None => fetch(&terms, &known, &mut accepted, &cache),
    };
    let Some(fetched) = fetched.map_err(refused)? else {
        return Err(Failure::new(Exit::Unreachable, Error::msg("nothing was downloaded")));
    };
    if let (Some(highest), Point::Snapshot { sequence, .. }) = (lowest, &fetched.point)
        && *sequence < highest
    {
        return Err(refused(Refusal::LowerSequence { offered: *sequence, highest }));
    }
    // Nor would it adopt a model with errors.
    let count = fetched.sources.iter().count();
    let (lines, sources) = told(fetched, count);
    let mut loaded = model::parse(model::complete(sources, None));
    let checked = every_node(&mut loaded);
    for (label, text) in &lines {
        ui.line(&clean(&format!("{label:<11}{text}")));
    }
    loaded.sound_or("a node would not adopt this model")?;
    ui.line(&format!(
        "checked    {}, {}: no errors",
        counted(checked.nodes, "node"),
        counted(checked.promises, "promise")
    ));
    ui.line(&ui.paint(Tone::Good, "A node would accept it."));
    Ok(Exit::Fine)
}

/// As the agent does it: a process without privileges talks to the server.
fn fetch_in_child(
    terms: &Terms<'_>,
    known: Known,
    as_user: Option<OwnUser>,
    accepted: &mut AntiRollback,
    cache: PathBuf,
) -> Result<Option<Fetched>, Refusal> {
    let (source, limits) = (terms.source.clone(), *terms.limits);
    match download_in_child(&DownloadTask { source, known, cache: cache.clone(), as_user, limits })?
    {
        Download::Unchanged => Ok(None),
        Download::Offer { validator: _ } => accept(terms, accepted, &cache).map(Some),
    }
}

/// Where it comes from, and the directory where that is a commit in a repository of this machine.
fn source(args: &VerifyArgs) -> Result<(Source, Option<PathBuf>), Failure> {
    let is_url = args.source.contains("://");
    let url = if is_url {
        args.source.clone()
    } else {
        let path = std::path::absolute(&args.source)
            .map_err(|it| Failure::usage(format!("{}: {it}", args.source)))?;
        if !is_folder(&path) {
            return Err(Failure::usage(format!("there is no directory {}", path.display())));
        }
        format!("file://{}", path.display())
    };
    let (reference, local) = match (&args.commit, &args.branch, &args.tag) {
        (Some(_), _, _) if is_url => {
            let message = "--commit needs a repository on this machine";
            return Err(Failure::usage(message).help("name a directory, or use --branch or --tag"));
        }
        (Some(name), _, _) => (Reference::Branch(name.clone()), Some(PathBuf::from(&args.source))),
        (None, Some(name), _) => (Reference::Branch(name.clone()), None),
        (None, None, Some(name)) => (Reference::Tag(name.clone()), None),
        (None, None, None) => {
            if !is_url && !manifest::lies_in(Path::new(&args.source)) {
                let message = format!("there is no {} in {}", manifest::NAME, args.source);
                let help = "of a git repository, say --commit, --branch or --tag";
                return Err(Failure::usage(message).help(help));
            }
            let (ca, proxy) = (from_anywhere(&args.ca)?, args.proxy.clone());
            return Ok((Source::Snapshot(Snapshot { url, ca, proxy }), None));
        }
    };
    let git = Git {
        ssh_key: from_anywhere(&args.ssh_key)?,
        known_hosts: from_anywhere(&args.known_hosts)?,
        token_file: from_anywhere(&args.token_file)?,
        ca: from_anywhere(&args.ca)?,
        proxy: args.proxy.clone(),
        ..Git::new(url, reference)
    };
    Ok((Source::Git(git), local))
}

/// A path that whoever fetches finds too, who is elsewhere.
fn from_anywhere(path: &Option<PathBuf>) -> Result<Option<PathBuf>, Failure> {
    let absolute = |path: &PathBuf| {
        std::path::absolute(path).map_err(|it| Failure::usage(format!("{}: {it}", path.display())))
    };
    path.as_ref().map(absolute).transpose()
}

fn trust(args: &VerifyArgs) -> Trust {
    match (&args.allowed_signers, &args.openpgp, &args.keys[..]) {
        (Some(path), _, _) => Trust::AllowedSigners(path.clone()),
        (None, Some(path), _) => Trust::OpenPgp(path.clone()),
        (None, None, []) => Trust::None,
        (None, None, files) => {
            Trust::Keys { files: files.to_vec(), keys: vec![], threshold: args.threshold }
        }
    }
}

/// What the node accepted before: of a commit its name; of a snapshot its number alone, because nobody
/// knows its content by heart.
fn accepted_before(args: &VerifyArgs) -> Result<(AntiRollback, Option<u64>), Failure> {
    let Some(after) = &args.after else { return Ok((AntiRollback::default(), None)) };
    if args.commit.is_none() && args.branch.is_none() && args.tag.is_none() {
        let number = after.parse();
        let number = number.map_err(|_| Failure::usage("--after of a snapshot is its number"))?;
        return Ok((AntiRollback::default(), Some(number)));
    }
    if !matches!(after.len(), 40 | 64) || !after.bytes().all(|it| it.is_ascii_hexdigit()) {
        return Err(Failure::usage("--after of a commit is its full name"));
    }
    let highest = Some(Point::Git { commit: after.to_ascii_lowercase(), content: [0; 32] });
    Ok((AntiRollback { highest, ..AntiRollback::default() }, None))
}

/// What people want to know of it.
fn told(
    fetched: Fetched,
    count: usize,
) -> (Vec<(&'static str, String)>, steadfast_model::SourceSet) {
    let Fetched { sources, point, advance: _, origin, signers, validator: _ } = fetched;
    let mut lines = vec![];
    match &point {
        Point::Snapshot { model, channel, sequence, .. } => {
            lines.push(("snapshot", format!("{sequence} of {model} for {channel}")));
        }
        Point::Git { commit, .. } => lines.push(("commit", commit.clone())),
        Point::Directory { .. } => {}
    }
    match origin {
        Origin::Snapshot { created, expires, commit, attribution } => {
            if let Some(commit) = commit {
                lines.push(("made of", format!("commit {commit}")));
            }
            if let Some(attribution) = attribution {
                let commit = attribution.revision();
                lines.push(("author", commit.author.clone()));
                lines.push(("subject", commit.subject.clone()));
            }
            lines.push(("made", utc(created)));
            lines.push(("expires", utc(expires)));
        }
        Origin::Git { commit: _, tag, author, authored, committed: _, subject, supersedes } => {
            if let Some(tag) = tag {
                lines.push(("tag", tag));
            }
            lines.push(("author", author));
            if let Some(authored) = authored {
                lines.push(("written", utc(authored)));
            }
            lines.push(("subject", subject));
            lines.extend(supersedes.into_iter().map(|it| ("supersedes", it)));
        }
        Origin::Directory => {}
    }
    if signers.is_empty() {
        lines.push(("signed by", "not verified: --trust-none".to_owned()));
    }
    for Signer { key, name } in signers {
        let who = if name.is_empty() { key } else { format!("{name} ({key})") };
        lines.push(("signed by", who));
    }
    lines.push(("content", counted(count, "file")));
    (lines, sources)
}

/// A directory for what is fetched, gone with the command.
pub(super) fn scratch() -> Result<tempfile::TempDir, Failure> {
    room(0o700)
}

fn room(mode: u32) -> Result<tempfile::TempDir, Failure> {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
    tempfile::Builder::new().prefix("steadfast-").permissions(mode).tempdir().map_err(|err| {
        Failure::new(Exit::Unreachable, Error::from(err).context("make a temporary directory"))
    })
}

fn refused(refusal: Refusal) -> Failure {
    let Failure { exit, error, help } = unread(refusal);
    let error = if exit == Exit::Refused { error.context("a node would refuse it") } else { error };
    Failure { exit, error, help }
}

/// How a failure to get at a model ends.
pub(super) fn unread(refusal: Refusal) -> Failure {
    let exit = match refusal.kind() {
        RefusalKind::Unreachable | RefusalKind::Local => Exit::Unreachable,
        RefusalKind::Broken
        | RefusalKind::Untrusted
        | RefusalKind::NotForward
        | RefusalKind::Stale => Exit::Refused,
        RefusalKind::Settings => Exit::Usage,
    };
    Failure::new(exit, refusal)
}
