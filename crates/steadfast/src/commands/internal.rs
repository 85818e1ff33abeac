//! What the agent's children do. Each gets one task on standard input and answers in lines of JSON; see
//! steadfast-agent's `wire`. Nobody is meant to type these.

use crate::Surroundings;
use crate::adopted::{self, Record};
use crate::commands::run::{ByAgent, RunArgs, run_once};
use crate::exit::{Exit, Failure, Outcome};
use crate::model;
use crate::render::report;
use crate::ui::Ui;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;
use steadfast_agent::machine::{Offer, Prepared, Proof, Refusal, RefusalKind};
use steadfast_agent::memory::{self, Gate, News, Revision};
use steadfast_agent::settings::{self, Settings, Where};
use steadfast_agent::shell;
use steadfast_agent::wire::{FetchTask, Fetched, PrepareAnswer, PrepareTask, RunLine, RunTask};
use steadfast_model::Severity;
use steadfast_source::content::{read_content, write_content};
use steadfast_source::fetcher::{self, Brought, Known, Material, Origin, Terms, Validator};
use steadfast_source::floor::{self, Advance, Expected, FloorError, Force, Point};
use steadfast_source::refusal::{BringError, Trouble};
use steadfast_source::settings as source;
use steadfast_source::signature::RunAs;
use steadfast_source::{RefusalKind as SourceKind, sandbox};
use steadfast_store::{Layout, kept_files};
use steadfast_system::command::Command;

#[derive(Debug, Args)]
pub(crate) struct InternalArgs {
    #[command(subcommand)]
    pub child: Child,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum Child {
    /// Bring, verify and keep what the source offers
    Fetch,
    /// Talk to the source, without privileges
    Bring,
    /// Check a revision for this node
    Prepare,
    /// Run once
    Run,
    /// Say this node's name
    Name,
}

pub(crate) fn run(
    args: &InternalArgs,
    layout: &Layout,
    surroundings: &Surroundings,
    ui: &Ui,
) -> Outcome {
    match args.child {
        Child::Fetch => {
            let answer = fetch(&task()?, layout).unwrap_or_else(Fetched::Refused);
            say(ui, &answer)
        }
        Child::Bring => {
            let line = fetcher::to_line(&bring(&task()?));
            ui.line(&line);
            Ok(Exit::Fine)
        }
        Child::Prepare => say(ui, &prepare(&task()?, layout, ui)),
        Child::Run => keep(task()?, layout, surroundings, ui),
        Child::Name => {
            ui.line(&model::node_name(None, &model::facts(layout, ui)));
            Ok(Exit::Fine)
        }
    }
}

/// A task is a few names, or those of some promises.
const TASK_MAX: u64 = 16 * 1024 * 1024;

fn task<T: DeserializeOwned>() -> Result<T, Failure> {
    let mut bytes = vec![];
    std::io::stdin()
        .take(TASK_MAX)
        .read_to_end(&mut bytes)
        .map_err(|err| Failure::new(Exit::Bug, err))?;
    serde_json::from_slice(&bytes)
        .map_err(|_| Failure::usage("this is a part of the agent, and no command for people"))
}

fn say(ui: &Ui, answer: &impl Serialize) -> Outcome {
    // Plain data, whose serialization cannot fail.
    ui.line(&serde_json::to_string(answer).unwrap_or_default());
    Ok(Exit::Fine)
}

// Fetching.

/// What the process without privileges is told while it still has them.
#[derive(Debug, Serialize, Deserialize)]
struct BringTask {
    settings: PathBuf,
    source: String,
    known: Known,
    cache: PathBuf,
    /// User and group, where we are root.
    as_user: Option<(u32, u32)>,
}

/// Who talks to the network: a user of that purpose, else nobody.
fn fetch_user() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let found = ["steadfast-fetch", "nobody"]
        .iter()
        .find_map(|it| nix::unistd::User::from_name(it).ok().flatten());
    Some(found.map_or((65534, 65534), |it| (it.uid.as_raw(), it.gid.as_raw())))
}

/// The settings, if they still name the source that the agent asked for.
fn settings_for(path: &std::path::Path, name: &str) -> Result<Settings, String> {
    let (settings, _) = shell::read_settings(path).map_err(|err| chain(&err))?;
    let same = settings.source.as_ref().is_some_and(|it| it.name() == name);
    if same { Ok(settings) } else { Err("the settings have changed meanwhile".to_owned()) }
}

fn bring(task: &BringTask) -> Result<Brought, BringError> {
    let local = |words: String| BringError::new(Trouble::Local, words);
    let settings = settings_for(&task.settings, &task.source).map_err(local)?;
    let source = source_of(&settings).ok_or_else(|| local("there is no source".to_owned()))?;
    let material =
        Material::read(&source).map_err(|err| BringError::new(Trouble::Settings, chain(&err)))?;
    let limits = source::Limits::default();
    let (uid, gid) = task.as_user.unwrap_or((65534, 65534));
    sandbox::confine(&task.cache, uid, gid, &limits).map_err(|err| local(chain(&err)))?;
    fetcher::bring(&source, &material, &task.known, &task.cache, &limits)
}

fn here(words: impl Into<String>) -> Refusal {
    Refusal { kind: RefusalKind::Here, words: words.into() }
}

fn fetch(task: &FetchTask, layout: &Layout) -> Result<Fetched, Refusal> {
    let settings = settings_for(&task.settings, &task.source).map_err(here)?;
    let source = source_of(&settings).ok_or_else(|| here("there is no source"))?;
    let trust = trust_of(&settings);
    let folder = layout.floor();
    let (ours, lost) = match &task.floor {
        memory::Floor::Fresh => (None, false),
        memory::Floor::At(news) => (Some(news), false),
        memory::Floor::Lost => (None, true),
    };
    let lost_words = |words: String| Refusal { kind: RefusalKind::FloorLost, words };
    let loaded = floor::load(&folder, ours.is_some());
    let mut loaded = match loaded {
        Ok(loaded) => loaded,
        Err(error @ (FloorError::Lost { .. } | FloorError::Gone { .. })) => {
            // Somebody with the right to has said which revision to trust.
            if task.wanted.is_none() {
                return Err(lost_words(chain(&error)));
            }
            for name in ["floor.1", "floor.2"] {
                let path = folder.join(name);
                if kept_files::read(&path).is_ok_and(|it| it.is_some()) {
                    kept_files::set_aside(&path).map_err(|err| here(err.to_string()))?;
                }
            }
            floor::load(&folder, false).map_err(|err| here(chain(&err)))?
        }
        Err(error @ FloorError::Write { .. }) => return Err(here(chain(&error))),
    };
    let shown = fetcher::shown(&source);
    if ours.is_none() && !lost && loaded.floor.source != shown {
        // Another source than before: its history begins here. Keys that were removed stay so.
        loaded.floor.highest = None;
        loaded.floor.key_set = None;
    }
    let highest = loaded.floor.highest.as_ref().map(name_of);
    let told = ours.map(|it| it.revision.clone());
    // What the agent has not heard of yet is brought again.
    let content =
        loaded.floor.highest.as_ref().is_some_and(|it| {
            told == highest && read_content(&layout.content(), it.content()).is_ok()
        }) && task.wanted.is_none();
    let validator: Option<Validator> = kept_files::read(&layout.validator())
        .ok()
        .flatten()
        .and_then(|it| serde_json::from_slice(&it).ok());
    let known = Known::of(&loaded.floor, content, validator);
    let as_user = fetch_user();
    let limits = source::Limits::default();
    let brought = bring_apart(
        &BringTask {
            settings: task.settings.clone(),
            source: task.source.clone(),
            known,
            cache: layout.fetch(),
            as_user,
        },
        &limits,
    )
    .map_err(|err| refused(&err.into()))?;
    let validator = match brought {
        Brought::Unchanged => return Ok(Fetched::Unchanged),
        Brought::Offer { validator } => validator,
    };
    let before = loaded.floor.clone();
    let zone = TimeZone::system();
    let now = Timestamp::now();
    let expected =
        Expected { model: None, channel: settings.environment.as_deref().map(str::to_owned) };
    let terms = Terms {
        source: &source,
        trust: &trust,
        expected: &expected,
        now,
        zone: &zone,
        force: if task.forced { Force::Yes } else { Force::No },
        run_as: as_user.map(|(uid, gid)| RunAs { uid, gid }),
        limits: &limits,
    };
    let mut raised = before.clone();
    let accepted = fetcher::accept(&terms, &mut raised, &layout.fetch());
    let accepted = match accepted {
        Ok(accepted) => accepted,
        Err(refusal) => {
            // Whatever was refused: keys that are no longer trusted are remembered.
            if raised != before {
                loaded.floor = raised;
                loaded.save(&folder).map_err(|err| here(chain(&err)))?;
            }
            return Err(refused(&refusal));
        }
    };
    let revision = name_of(&accepted.point);
    if let Some(wanted) = &task.wanted
        && *wanted != revision
        && (task.forced || lost)
    {
        let words = format!("the source offers {revision}, and {wanted} was asked for");
        let kind = if lost { RefusalKind::FloorLost } else { RefusalKind::NotForward };
        return Err(Refusal { kind, words });
    }
    write_content(&layout.content(), &accepted.sources)
        .map_err(|err| here(format!("keep its content: {err}")))?;
    let record = record(&accepted, &shown);
    adopted::save(layout, &revision, &record).map_err(|err| here(format!("{err:#}")))?;
    if raised != before {
        loaded.floor = raised;
        loaded.save(&folder).map_err(|err| here(chain(&err)))?;
    }
    if let Some(validator) = validator
        && let Ok(bytes) = serde_json::to_vec(&validator)
    {
        // It only saves a transfer.
        let _saved = kept_files::write(&layout.validator(), &bytes);
    }
    clear(task, &revision, &record, layout);
    let news = news(&accepted, revision, now);
    if ours.is_some_and(|it| it.revision == news.revision && it.expires == news.expires)
        && task.wanted.is_none()
    {
        return Ok(Fetched::Unchanged);
    }
    // What the floor has accepted in the past descends from what the agent knows: it only ever rises.
    let proof = match (&accepted.point, accepted.advance, told) {
        (Point::Directory { .. }, _, _) => Proof::Local,
        (Point::Snapshot { .. }, _, _) => Proof::Sequence,
        (Point::Git { .. }, Advance::Forward | Advance::Same | Advance::Renewed, Some(told)) => {
            Proof::DescendsFrom(told)
        }
        (Point::Git { .. }, _, _) => Proof::Nothing,
    };
    Ok(Fetched::Offer(Offer { news, proof }))
}

/// Starts the process that gives up its privileges and talks to the source.
fn bring_apart(task: &BringTask, limits: &source::Limits) -> Result<Brought, BringError> {
    let failed = |words: String| BringError::new(Trouble::Local, words);
    let program = std::env::current_exe().map_err(|err| failed(err.to_string()))?;
    // Plain data, whose serialization cannot fail.
    let input = serde_json::to_vec(task).unwrap_or_default();
    let finished = Command::new(program)
        .args(["internal", "bring"])
        .input(input)
        .timeout(limits.total * 2 + Duration::from_secs(30))
        .run()
        .map_err(|err| failed(err.chain().join(": ")))?;
    let text = finished.stdout_text();
    match text.lines().next_back() {
        Some(line) => fetcher::from_line(line),
        None => Err(failed(format!("the fetcher ended without a word: {}", finished.words()))),
    }
}

/// Removes the content of revisions that nobody needs any more.
fn clear(task: &FetchTask, revision: &Revision, record: &Record, layout: &Layout) {
    let mut contents = vec![record.content.clone()];
    let mut files = vec![format!("{}.json", revision.0)];
    for kept in &task.keep {
        match adopted::record(layout, kept) {
            Ok(known) => contents.push(known.content),
            // What is not known is not judged: nothing is removed.
            Err(_) => return,
        }
        files.push(format!("{}.json", kept.0));
    }
    // What stays although nobody needs it costs room, and the next fetch tries again.
    let _removed = kept_files::remove_others(&layout.content(), &contents);
    let _removed = kept_files::remove_others(&layout.revisions(), &files);
}

fn name_of(point: &Point) -> Revision {
    match point {
        Point::Git { commit, content: _ } => Revision::new(commit.as_str()),
        Point::Snapshot { content, .. } | Point::Directory { content } => {
            Revision::new(hex(content))
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|it| format!("{it:02x}")).collect()
}

fn news(accepted: &fetcher::Fetched, revision: Revision, now: Timestamp) -> News {
    let (sequence, expires) = match &accepted.point {
        Point::Snapshot { sequence, expires, .. } => (Some(*sequence), Some(*expires)),
        Point::Git { .. } | Point::Directory { .. } => (None, None),
    };
    let date = match &accepted.origin {
        Origin::Git { committed, .. } => committed.unwrap_or(now),
        Origin::Snapshot { created, .. } => *created,
        Origin::Directory => now,
    };
    News { revision, sequence, date, expires }
}

fn record(accepted: &fetcher::Fetched, source: &str) -> Record {
    let mut record = Record {
        format: 1,
        content: hex(&accepted.point.content()),
        source: source.to_owned(),
        commit: None,
        tag: None,
        author: None,
        subject: None,
        signers: accepted
            .signers
            .iter()
            .map(|it| if it.name.is_empty() { it.key.clone() } else { it.name.clone() })
            .collect(),
    };
    match &accepted.origin {
        Origin::Git { commit, tag, author, subject, authored: _, committed: _ } => {
            record.commit = Some(commit.clone());
            record.tag.clone_from(tag);
            record.author = Some(author.clone());
            record.subject = Some(subject.clone());
        }
        Origin::Snapshot { commit, .. } => record.commit.clone_from(commit),
        Origin::Directory => {}
    }
    record
}

fn refused(refusal: &steadfast_source::Refusal) -> Refusal {
    let two_contents = matches!(refusal, steadfast_source::Refusal::TwoContents { .. });
    let kind = match refusal.kind() {
        SourceKind::NotForward if two_contents => RefusalKind::TwoContents,
        SourceKind::Unreachable => RefusalKind::Unreachable,
        SourceKind::Broken => RefusalKind::Broken,
        SourceKind::Untrusted => RefusalKind::Signature,
        SourceKind::NotForward => RefusalKind::NotForward,
        SourceKind::Stale => RefusalKind::Expired,
        SourceKind::Settings | SourceKind::Local => RefusalKind::Here,
    };
    Refusal { kind, words: refusal.line() }
}

fn source_of(settings: &Settings) -> Option<source::Source> {
    let path = |it: &Option<std::sync::Arc<str>>| it.as_deref().map(PathBuf::from);
    Some(match settings.source.as_ref()? {
        Where::Directory(path) => source::Source::Directory(PathBuf::from(&**path)),
        Where::Snapshot { url, ca, proxy } => source::Source::Snapshot(source::Snapshot {
            url: url.to_string(),
            ca: path(ca),
            proxy: proxy.as_deref().map(str::to_owned),
        }),
        Where::Git(git) => source::Source::Git(source::Git {
            url: git.url.to_string(),
            reference: match &git.reference {
                settings::Reference::Branch(name) => source::Reference::Branch(name.to_string()),
                settings::Reference::Tag(name) => source::Reference::Tag(name.to_string()),
            },
            ssh_key: path(&git.ssh_key),
            known_hosts: path(&git.known_hosts),
            token_file: path(&git.token_file),
            ca: path(&git.ca),
            proxy: git.proxy.as_deref().map(str::to_owned),
        }),
    })
}

fn trust_of(settings: &Settings) -> source::Trust {
    match &settings.trust {
        Some(settings::Trust::AllowedSigners(file)) => {
            source::Trust::AllowedSigners(PathBuf::from(&**file))
        }
        Some(settings::Trust::OpenPgp(file)) => source::Trust::OpenPgp(PathBuf::from(&**file)),
        Some(settings::Trust::Keys { file, threshold }) => source::Trust::Keys {
            files: vec![PathBuf::from(&**file)],
            keys: vec![],
            threshold: *threshold as usize,
        },
        // The settings are in error where only a directory's may be missing.
        Some(settings::Trust::None) | None => source::Trust::None,
    }
}

// Preparing and running.

/// So many problems are told: whoever wants all of them checks the model.
const PROBLEMS: usize = 5;

fn prepare(task: &PrepareTask, layout: &Layout, ui: &Ui) -> PrepareAnswer {
    let failed = |words: String| PrepareAnswer::Problems(vec![words]);
    let record = match adopted::record(layout, &task.revision) {
        Ok(record) => record,
        Err(error) => return failed(format!("{error:#}")),
    };
    let mut loaded = match model::load(&layout.content().join(&record.content)) {
        Ok(loaded) => loaded,
        Err(failure) => return failed(format!("{:#}", failure.error)),
    };
    let named_model = loaded.model.name.as_ref().map(|it| it.value.to_string()).unwrap_or_default();
    let facts = model::facts(layout, ui);
    let target = model::target(&mut loaded, Some(&task.environment), &task.node, &facts);
    let problems: Vec<String> = loaded
        .diagnostics
        .iter()
        .filter(|it| it.severity == Severity::Error)
        .map(|it| format!("{}: {}", loaded.sources.place(it.span), it.message))
        .collect();
    if !problems.is_empty() {
        let more = problems.len().saturating_sub(PROBLEMS);
        let mut told: Vec<String> = problems.into_iter().take(PROBLEMS).collect();
        if more > 0 {
            told.push(format!("and {more} more"));
        }
        return PrepareAnswer::Problems(told);
    }
    let target = match target {
        Ok(target) => target,
        Err(failure) => return failed(format!("{:#}", failure.error)),
    };
    let prepared = match target {
        None => Prepared {
            model: named_model,
            named: false,
            promises: 0,
            gate: Gate::default(),
            hindrance: None,
        },
        Some(target) => {
            let policy = &target.resolved.policy;
            Prepared {
                model: named_model,
                named: true,
                promises: target.promises.count() as u64,
                gate: Gate::of(&policy.adopt, policy.stale_after),
                hindrance: None,
            }
        }
    };
    PrepareAnswer::Prepared(prepared)
}

fn keep(task: RunTask, layout: &Layout, surroundings: &Surroundings, ui: &Ui) -> Outcome {
    let not_started = |words: String| {
        report::line(ui, &RunLine::NotStarted(words));
        Ok(Exit::Bug)
    };
    let RunTask { revision, node, environment, only, against, report_only, watch } = task;
    let content = |revision: &Revision| {
        let record = adopted::record(layout, revision)?;
        anyhow::Ok((layout.content().join(&record.content), record.commit))
    };
    let (path, commit) = match content(&revision) {
        Ok(found) => found,
        Err(error) => return not_started(format!("{error:#}")),
    };
    let against = against.and_then(|it| content(&it).ok()).map(|(it, _)| it);
    let by_agent = ByAgent { only, against, report_only, watch, commit };
    let args = RunArgs::by_agent(path.clone(), node, environment, by_agent);
    match run_once(&args, &path, None, layout, surroundings, ui) {
        Ok(exit) => Ok(exit),
        Err(failure) if failure.exit == Exit::Locked => {
            report::line(ui, &RunLine::Busy(format!("{:#}", failure.error)));
            Ok(Exit::Locked)
        }
        Err(failure) => not_started(format!("{:#}", failure.error)),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        words += ": ";
        words += &cause.to_string();
        next = cause.source();
    }
    words
}
