//! Fetching: a process without privileges talks to the source, and the one that started it accepts only
//! what it has verified itself.

use super::bring::{BringTask, FetchUser, bring_apart};
use super::chain;
use crate::adopted::{self, Record};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::path::PathBuf;
use steadfast_agent::machine::{Offer, Proof, Refusal, RefusalKind};
use steadfast_agent::memory::{self, News, Revision};
use steadfast_agent::settings::{self, Settings, Where};
use steadfast_agent::shell;
use steadfast_agent::wire::{FetchTask, Fetched};
use steadfast_source::RefusalKind as SourceKind;
use steadfast_source::attribution::Attribution;
use steadfast_source::content::{read_content, write_content};
use steadfast_source::fetcher::{self, Brought, Known, Origin, Terms, Validator};
use steadfast_source::floor::{self, Advance, Expected, FloorError, Force, Point};
use steadfast_source::settings as source;
use steadfast_store::{Layout, kept_files};
use steadfast_system::text::hex;

/// The settings, if they still name the source that the agent asked for.
fn settings_for(path: &std::path::Path, name: &str) -> Result<Settings, String> {
    let (settings, _) = shell::read_settings(path).map_err(chain)?;
    let same = settings.source.as_ref().is_some_and(|it| it.name() == name);
    if same { Ok(settings) } else { Err("the settings have changed meanwhile".to_owned()) }
}

fn here(words: impl Into<String>) -> Refusal {
    Refusal { kind: RefusalKind::Here, words: words.into() }
}

pub(super) fn fetch(
    task: &FetchTask,
    layout: &Layout,
) -> Result<(Fetched, Option<After>), Refusal> {
    let settings = settings_for(&task.settings, &task.source).map_err(here)?;
    let from = settings.source.as_ref().ok_or_else(|| here("there is no source"))?;
    let source = source_of(from);
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
                return Err(lost_words(chain(error)));
            }
            for name in ["floor.1", "floor.2"] {
                let path = folder.join(name);
                if kept_files::read(&path).is_ok_and(|it| it.is_some()) {
                    kept_files::set_aside(&path).map_err(|err| here(err.to_string()))?;
                }
            }
            floor::load(&folder, false).map_err(|err| here(chain(err)))?
        }
        Err(error @ FloorError::Write { .. }) => return Err(here(chain(error))),
    };
    let shown = fetcher::shown(&source);
    if ours.is_none() && !lost && loaded.value.source != shown {
        // Another source than before: its history begins here. Keys that were removed stay so.
        loaded.value.highest = None;
        loaded.value.key_set = None;
    }
    let highest = loaded.value.highest.as_ref().map(name_of);
    let told = ours.map(|it| it.revision.clone());
    // What the agent has not heard of yet is brought again.
    let content =
        loaded.value.highest.as_ref().is_some_and(|it| {
            told == highest && read_content(&layout.content(), it.content()).is_ok()
        }) && task.wanted.is_none();
    let validator: Option<Validator> = kept_files::read(&layout.validator())
        .ok()
        .flatten()
        .and_then(|it| serde_json::from_slice(&it).ok());
    let known = Known::from_state(&loaded.value, content, validator);
    let as_user = FetchUser::find();
    let limits = source::Limits::within(from.timeout());
    let bring = BringTask { source: source.clone(), known, cache: layout.fetch(), as_user, limits };
    let brought = bring_apart(&bring).map_err(|err| refused(&err.into()))?;
    let validator = match brought {
        Brought::Unchanged => return Ok((Fetched::Unchanged, None)),
        Brought::Offer { validator } => validator,
    };
    let before = loaded.value.clone();
    let zone = TimeZone::system();
    let now = Timestamp::now();
    let expected = Expected {
        model: task.model.clone(),
        channel: settings.environment.as_deref().map(str::to_owned),
    };
    let terms = Terms {
        source: &source,
        trust: &trust,
        expected: &expected,
        now,
        zone: &zone,
        force: if task.forced { Force::Yes } else { Force::No },
        run_as: as_user.map(FetchUser::run_as),
        limits: &limits,
    };
    let mut raised = before.clone();
    let accepted = fetcher::accept(&terms, &mut raised, &layout.fetch());
    let accepted = match accepted {
        Ok(accepted) => accepted,
        Err(refusal) => {
            // Whatever was refused: keys that are no longer trusted are remembered.
            if raised != before {
                loaded.value = raised;
                loaded.save(&folder).map_err(|err| here(chain(err)))?;
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
        loaded.value = raised;
        loaded.save(&folder).map_err(|err| here(chain(err)))?;
    }
    if let Some(validator) = validator
        && let Ok(bytes) = serde_json::to_vec(&validator)
    {
        // It only saves a transfer.
        let _saved = kept_files::write(&layout.validator(), &bytes);
    }
    clear(task, &revision, &record, layout);
    let news = news(&accepted, revision.clone(), now);
    if ours.is_some_and(|it| it.revision == news.revision && it.expires == news.expires)
        && task.wanted.is_none()
    {
        let after = After { accepted, before: before.highest, revision, limits };
        return Ok((Fetched::Unchanged, Some(after)));
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
    let after = After { accepted, before: before.highest, revision, limits };
    Ok((Fetched::Offer(Offer { news, proof }), Some(after)))
}

/// What is done once the answer is given: the revision is accepted already, and as good without.
pub(super) struct After {
    accepted: fetcher::Fetched,
    /// The highest that was accepted before it.
    before: Option<Point>,
    revision: Revision,
    limits: source::Limits,
}

impl After {
    /// Keeps who wrote which line of the revision, with what is known of the one before it.
    pub(super) fn keep_lines(&self, layout: &Layout) {
        let After { accepted, before, revision, limits } = self;
        let floor = match before {
            Some(Point::Git { commit, .. }) => Some(commit.as_str()),
            Some(Point::Snapshot { .. } | Point::Directory { .. }) | None => None,
        };
        let known = floor.and_then(|it| adopted::lines(layout, &Revision::new(it)));
        let lines = fetcher::attribute(accepted, floor, known.as_ref(), &layout.fetch(), limits);
        if let Some(lines) = lines {
            let _kept = adopted::save_lines(layout, revision, &lines);
        }
    }
}

/// What is known of so many revisions that are not needed any more stays, for the history.
const OLD_RECORDS: usize = 1000;
/// And who wrote their lines: these are larger.
const OLD_LINES: usize = 20;

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
    let _removed = kept_files::remove_oldest(&layout.revisions(), OLD_RECORDS, &files);
    let _removed = kept_files::remove_oldest(&layout.lines(), OLD_LINES, &files);
}

fn name_of(point: &Point) -> Revision {
    match point {
        Point::Git { commit, content: _ } => Revision::new(commit.as_str()),
        Point::Snapshot { content, .. } | Point::Directory { content } => {
            Revision::new(hex(content))
        }
    }
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
        Origin::Snapshot { commit, attribution, .. } => {
            record.commit.clone_from(commit);
            let made_of = attribution.as_ref().map(Attribution::revision);
            if let Some(made_of) = made_of.filter(|it| Some(&it.id) == commit.as_ref()) {
                record.author = Some(made_of.author.clone());
                record.subject = Some(made_of.subject.clone());
            }
        }
        Origin::Directory => {}
    }
    record
}

fn refused(refusal: &steadfast_source::Refusal) -> Refusal {
    use steadfast_source::Refusal::{TwoContents, WrongChannel, WrongModel};
    let two_contents = matches!(refusal, TwoContents { .. });
    let foreign = matches!(refusal, WrongModel { .. } | WrongChannel { .. });
    let kind = match refusal.kind() {
        SourceKind::NotForward if two_contents => RefusalKind::TwoContents,
        SourceKind::Untrusted if foreign => RefusalKind::Foreign,
        SourceKind::Unreachable => RefusalKind::Unreachable,
        SourceKind::Broken => RefusalKind::Broken,
        SourceKind::Untrusted => RefusalKind::Signature,
        SourceKind::NotForward => RefusalKind::NotForward,
        SourceKind::Stale => RefusalKind::Expired,
        SourceKind::Settings | SourceKind::Local => RefusalKind::Here,
    };
    Refusal { kind, words: refusal.line() }
}

fn source_of(from: &Where) -> source::Source {
    let path = |it: &Option<std::sync::Arc<str>>| it.as_deref().map(PathBuf::from);
    match from {
        Where::Directory(path) => source::Source::Directory(PathBuf::from(&**path)),
        Where::Snapshot { url, ca, proxy, timeout: _ } => {
            source::Source::Snapshot(source::Snapshot {
                url: url.to_string(),
                ca: path(ca),
                proxy: proxy.as_deref().map(str::to_owned),
            })
        }
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
    }
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
