//! Fetching: a process without privileges talks to the source, and the one that started it accepts only
//! what it has verified itself.

use crate::adopted::{self, RevisionRecord};
use crate::download::{DownloadTask, Duty, download_in_child, verifier};
use crate::revision::{HighestAccepted, Revision, RevisionInfo};
use crate::settings::{self, Settings};
use crate::wire::{FetchTask, Fetched, Offer, Proof, Refusal, RefusalKind};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use steadfast_download::https::Validator;
use steadfast_source::RefusalKind as SourceKind;
use steadfast_source::accept::accept;
use steadfast_source::anti_rollback::{Advance, AntiRollback, Expected, Force, Point};
use steadfast_source::attribute::attribute;
use steadfast_source::attribution::Attribution;
use steadfast_source::content::{read_content, write_content};
use steadfast_source::settings::{Limits, Source, Trust};
use steadfast_source::terms::{Download, Fetched as Accepted, Known, Origin, Terms};
use steadfast_store::{Layout, state_files};
use steadfast_system::text::hex;
use steadfast_trust::copies::{CopiesError, Loaded};
use steadfast_trust::signature::SignatureError;
use steadfast_trust::text::chain;

/// The settings, if they still name the source that the agent asked for, with all that belongs to it.
fn settings_for(path: &std::path::Path, source: Option<&Source>) -> Result<Settings, String> {
    let (settings, _) = settings::read_file(path).map_err(|err| chain(&err))?;
    let same = settings.source.as_ref() == source;
    if same { Ok(settings) } else { Err("the settings were changed meanwhile".to_owned()) }
}

fn here(words: impl Into<String>) -> Refusal {
    Refusal { kind: RefusalKind::Here, words: words.into() }
}

/// Asks the source what is new, and keeps what it offers where that is verified. What is done after the
/// answer comes with it.
pub fn fetch(task: &FetchTask, layout: &Layout) -> Result<(Fetched, Option<After>), Refusal> {
    let result = try_fetch(task, layout);
    match &result {
        Ok((_, Some(after))) => tracing::debug!(revision = %after.revision, "fetch: accepted"),
        Ok((_, None)) => tracing::debug!("fetch: nothing new"),
        Err(refusal) => {
            tracing::debug!(kind = refusal.kind.word(), why = refusal.words, "fetch: refused");
        }
    }
    result
}

fn try_fetch(task: &FetchTask, layout: &Layout) -> Result<(Fetched, Option<After>), Refusal> {
    let settings = settings_for(&task.settings, task.source.as_ref()).map_err(here)?;
    let source = settings.source.as_ref().ok_or_else(|| here("there is no source"))?;
    let mut fetching = Fetching {
        task,
        layout,
        source,
        trust: settings.trust.clone().unwrap_or(Trust::None),
        channel: settings.environment.as_deref().map(str::to_owned),
        limits: Limits::within(settings.timeout),
        loaded: load_anti_rollback(task, layout)?,
    };
    fetching.forget_another_source();
    let now = Timestamp::now();
    let Some(validator) = fetching.download()? else {
        fetching.hear(now)?;
        return Ok((Fetched::Unchanged, None));
    };
    let before = fetching.loaded.value.highest.clone();
    let (accepted, raised) = fetching.verify(now)?;
    let revision = name_of(&accepted.point);
    fetching.is_what_was_asked_for(&revision)?;
    fetching.keep(&accepted, &revision, raised, validator)?;
    let answer = answer(task, &accepted, revision_info(&accepted, revision.clone(), now));
    let after = After { accepted, before, revision, limits: fetching.limits };
    Ok((answer, Some(after)))
}

/// What holds for one question to the source.
struct Fetching<'a> {
    task: &'a FetchTask,
    layout: &'a Layout,
    source: &'a Source,
    trust: Trust,
    channel: Option<String>,
    limits: Limits,
    /// What was accepted before, which nothing goes below.
    loaded: Loaded<AntiRollback>,
}

/// What the agent knows as the highest revision, if it knows one.
fn known_to_agent(task: &FetchTask) -> Option<&RevisionInfo> {
    match &task.highest {
        HighestAccepted::At(info) => Some(info),
        HighestAccepted::Fresh | HighestAccepted::Lost => None,
    }
}

fn is_lost(task: &FetchTask) -> bool {
    match task.highest {
        HighestAccepted::Lost => true,
        HighestAccepted::Fresh | HighestAccepted::At(_) => false,
    }
}

/// What was accepted before. Where that is lost, nothing is accepted, unless somebody with the right to has
/// said which revision to trust.
fn load_anti_rollback(task: &FetchTask, layout: &Layout) -> Result<Loaded<AntiRollback>, Refusal> {
    let folder = layout.anti_rollback();
    match Loaded::load(&folder, known_to_agent(task).is_some()) {
        Ok(loaded) => Ok(loaded),
        Err(error @ (CopiesError::Lost { .. } | CopiesError::Gone { .. })) => {
            if task.wanted.is_none() {
                return Err(Refusal { kind: RefusalKind::AntiRollbackLost, words: chain(&error) });
            }
            for name in ["floor.1", "floor.2"] {
                let path = folder.join(name);
                if state_files::read(&path).is_ok_and(|it| it.is_some()) {
                    state_files::set_aside(&path).map_err(|err| here(err.to_string()))?;
                }
            }
            Loaded::load(&folder, false).map_err(|err| here(chain(&err)))
        }
        Err(error @ CopiesError::Write { .. }) => Err(here(chain(&error))),
    }
}

impl Fetching<'_> {
    /// The history of another source than before begins here. Keys that were removed stay so.
    fn forget_another_source(&mut self) {
        let is_new = known_to_agent(self.task).is_none() && !is_lost(self.task);
        let known = &mut self.loaded.value;
        if is_new && known.source != self.source.to_string() {
            known.highest = None;
            known.key_set = None;
        }
    }

    /// Has a process without privileges talk to the source. Nothing where there is nothing new.
    fn download(&self) -> Result<Option<Option<Validator>>, Refusal> {
        let Fetching { task, layout, loaded, .. } = self;
        match self.source {
            Source::Git(_) | Source::Snapshot(_) => {}
            // It is read when it is accepted: there is no network, and nothing to unpack.
            Source::Directory(_) => return Ok(Some(None)),
        }
        let highest = loaded.value.highest.as_ref();
        let told = known_to_agent(task).map(|it| it.revision.clone());
        // What the agent has not heard of yet is brought again.
        let has_content = task.wanted.is_none()
            && highest.is_some_and(|it| {
                told == Some(name_of(it)) && read_content(&layout.content(), it.content()).is_ok()
            });
        let validator = state_files::read(&layout.validator()).ok().flatten();
        let validator = validator.and_then(|it| serde_json::from_slice(&it).ok());
        let task = DownloadTask {
            source: self.source.clone(),
            known: Known::from_state(&loaded.value, has_content, validator),
            cache: layout.fetch(),
            as_user: Duty::Fetch.user().map_err(|err| here(err.to_string()))?,
            limits: self.limits,
        };
        match download_in_child(&task).map_err(|err| refused(&err.into()))? {
            Download::Unchanged => Ok(None),
            Download::Offer { validator } => Ok(Some(validator)),
        }
    }

    /// Verifies what was brought, whoever brought it. Gives what is accepted, and the anti-rollback state as
    /// that raises it.
    fn verify(&mut self, now: Timestamp) -> Result<(Accepted, AntiRollback), Refusal> {
        let Fetching { task, layout, .. } = *self;
        let expected = Expected { model: task.model.clone(), channel: self.channel.clone() };
        let zone = TimeZone::system();
        let terms = Terms {
            source: self.source,
            trust: &self.trust,
            expected: &expected,
            now,
            zone: &zone,
            force: if task.forced { Force::Yes } else { Force::No },
            run_as: verifier(&self.trust, &layout.fetch()).map_err(|err| here(err.to_string()))?,
            limits: &self.limits,
        };
        let mut raised = self.loaded.value.clone();
        match accept(&terms, &mut raised, &layout.fetch()) {
            Ok(accepted) => Ok((accepted, raised)),
            Err(refusal) => {
                // When something had expired is remembered.
                self.raise(raised)?;
                Err(refused(&refusal))
            }
        }
    }

    /// The source has answered at this time.
    fn hear(&mut self, now: Timestamp) -> Result<(), Refusal> {
        let mut raised = self.loaded.value.clone();
        raised.hear(now);
        self.raise(raised)
    }

    fn raise(&mut self, raised: AntiRollback) -> Result<(), Refusal> {
        if raised == self.loaded.value {
            return Ok(());
        }
        self.loaded.value = raised;
        self.loaded.save(&self.layout.anti_rollback()).map_err(|err| here(chain(&err)))
    }

    fn is_what_was_asked_for(&self, revision: &Revision) -> Result<(), Refusal> {
        let lost = is_lost(self.task);
        match &self.task.wanted {
            Some(wanted) if wanted != revision && (self.task.forced || lost) => {
                let words = format!("the source offers {revision}, and {wanted} was requested");
                let kind =
                    if lost { RefusalKind::AntiRollbackLost } else { RefusalKind::NotForward };
                Err(Refusal { kind, words })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Keeps the content, then what is known of it, then the anti-rollback state: wherever this
    /// ends, what that names is there.
    fn keep(
        &mut self,
        accepted: &Accepted,
        revision: &Revision,
        raised: AntiRollback,
        validator: Option<Validator>,
    ) -> Result<(), Refusal> {
        let layout = self.layout;
        write_content(&layout.content(), &accepted.sources)
            .map_err(|err| here(format!("keep its content: {err}")))?;
        let record = record(accepted, &self.source.to_string());
        adopted::save(layout, revision, &record).map_err(|err| here(chain(&err)))?;
        self.raise(raised)?;
        if let Some(validator) = validator
            && let Ok(bytes) = serde_json::to_vec(&validator)
        {
            // It only saves a transfer.
            let _saved = state_files::write(&layout.validator(), &bytes);
        }
        clear(self.task, revision, &record, layout);
        Ok(())
    }
}

fn answer(task: &FetchTask, accepted: &Accepted, info: RevisionInfo) -> Fetched {
    let ours = known_to_agent(task);
    let is_known =
        ours.is_some_and(|it| it.revision == info.revision && it.expires == info.expires);
    if is_known && task.wanted.is_none() {
        return Fetched::Unchanged;
    }
    // What was accepted in the past descends from what the agent knows: it only ever rises.
    let proof = match (&accepted.point, accepted.advance, ours) {
        (Point::Directory { .. }, _, _) => Proof::Local,
        (Point::Snapshot { .. }, _, _) => Proof::Sequence,
        (Point::Git { .. }, Advance::Forward | Advance::Same | Advance::Renewed, Some(told)) => {
            Proof::DescendsFrom(told.revision.clone())
        }
        (Point::Git { .. }, _, _) => Proof::Nothing,
    };
    let supersedes = match &accepted.origin {
        Origin::Git { supersedes, .. } => supersedes.clone(),
        // There is no history of commits that could say so.
        Origin::Snapshot { .. } | Origin::Directory => vec![],
    };
    Fetched::Offer(Offer { info, proof, supersedes })
}

/// What is done once the answer is given: the revision is accepted already, and as good without.
#[derive(Debug)]
pub struct After {
    accepted: Accepted,
    /// The highest that was accepted before it.
    before: Option<Point>,
    revision: Revision,
    limits: Limits,
}

impl After {
    /// Keeps who wrote which line of the revision, with what is known of the one before it.
    pub fn keep_blame(&self, layout: &Layout) {
        let After { accepted, before, revision, limits } = self;
        let from = match before {
            Some(Point::Git { commit, .. }) => Some(commit.as_str()),
            Some(Point::Snapshot { .. } | Point::Directory { .. }) | None => None,
        };
        let known = from.and_then(|it| adopted::blame(layout, &Revision::new(it)));
        let blame = attribute(accepted, from, known.as_ref(), &layout.fetch(), limits);
        if let Some(blame) = blame {
            let _kept = adopted::save_blame(layout, revision, &blame);
        }
    }
}

/// What is known of so many revisions that are not needed any more stays, for the history.
const OLD_RECORDS: usize = 1000;
/// And who wrote their lines: these are larger.
const OLD_BLAME: usize = 20;

/// Removes the content of revisions that nobody needs any more.
fn clear(task: &FetchTask, revision: &Revision, record: &RevisionRecord, layout: &Layout) {
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
    let _removed = state_files::remove_others(&layout.content(), &contents);
    let _removed = state_files::remove_oldest(&layout.revisions(), OLD_RECORDS, &files);
    let _removed = state_files::remove_oldest(&layout.blame(), OLD_BLAME, &files);
}

fn name_of(point: &Point) -> Revision {
    match point {
        Point::Git { commit, content: _ } => Revision::new(commit.as_str()),
        Point::Snapshot { content, .. } | Point::Directory { content } => {
            Revision::new(hex(content))
        }
    }
}

fn revision_info(accepted: &Accepted, revision: Revision, now: Timestamp) -> RevisionInfo {
    let (sequence, expires) = match &accepted.point {
        Point::Snapshot { sequence, expires, .. } => (Some(*sequence), Some(*expires)),
        Point::Git { .. } | Point::Directory { .. } => (None, None),
    };
    let date = match &accepted.origin {
        Origin::Git { committed, .. } => committed.unwrap_or(now),
        Origin::Snapshot { created, .. } => *created,
        Origin::Directory => now,
    };
    RevisionInfo { revision, sequence, date, expires }
}

fn record(accepted: &Accepted, source: &str) -> RevisionRecord {
    let mut record = RevisionRecord {
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
        Origin::Git { commit, tag, author, subject, authored: _, committed: _, supersedes: _ } => {
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
    Refusal { kind, words: refusal.line() + way_back(refusal) }
}

/// What root can say against a refusal that only remembers something; anything else is not root's to waive.
fn way_back(refusal: &steadfast_source::Refusal) -> &'static str {
    use steadfast_source::Refusal as Source;
    match refusal {
        Source::Signature(SignatureError::RemovedKey { .. }) => {
            "; if it is to be trusted again: steadfast adopt REVISION --reason TEXT"
        }
        Source::ExpiredBefore { .. } => {
            "; if the clock is right now: steadfast adopt REVISION --reason TEXT"
        }
        Source::Signature(_)
        | Source::Source(_)
        | Source::Plain { .. }
        | Source::TrustMismatch { .. }
        | Source::TrustedKeys(_)
        | Source::NoVerifier
        | Source::WrongTag { .. }
        | Source::WrongModel { .. }
        | Source::WrongChannel { .. }
        | Source::OtherSource { .. }
        | Source::LowerSequence { .. }
        | Source::TwoContents { .. }
        | Source::OlderKeys { .. }
        | Source::NotDescended { .. }
        | Source::TooFar { .. }
        | Source::Expired { .. }
        | Source::Broken { .. }
        | Source::Content(_)
        | Source::Local { .. } => "",
    }
}
