//! # `cron`: jobs, one file for each below /etc/cron.d
//!
//! ```yaml
//! cron:
//!   purge-sessions:
//!     schedule: "*/15 * * * *"
//!     user: deploy
//!     command: /srv/www/bin/purge --older-than "$(date +%F)"
//!     environment: { MAILTO: ops@xyz.example }
//!   old-job: absent
//! ```
//!
//! The name is the file's name and has letters, digits, `_` and `-` only, because cron reads no other.
//! `schedule` has the five fields of crontab(5) or is one of its words (`@daily`, `@reboot`, …), and is
//! checked here, because cron ignores a whole file for one mistake in it. `command` is the text that
//! the shell gets: what means something to cron (`%`, a double `\`) is escaped on the way. Every value
//! is one line. `environment` holds for this job alone.
//!
//! The file belongs to root with mode 0644. Where cron is not installed (there is no /etc/cron.d) or
//! there is no such user, the promise is *not kept*: cron would not run the job.

pub mod schedule;

use crate::identity::Identity;
use crate::kind::{Applied, Difference, Fingerprint, Kind, Obstacle, Turn};
use crate::paths::{self, Owners};
use crate::undo::{Effect, Facet, FacetState, Says};
use schedule::Schedule;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use steadfast_model::{
    Diagnostic, Field, Fields, Lower, Node, Scalar, Spanned, Takes, Value, codes,
};
use steadfast_system::files::{
    Attributes, Content, Digest, Entry, Expected, Look, Mode, NewFile, Shape, Wanted,
};
use steadfast_system::{AbsPath, Actuate, ErrorKind, Probe, SystemError, UserName};

const FOLDER: &str = "/etc/cron.d";
const MODE: Mode = Mode(0o644);
/// Cron cuts a longer line of the environment and refuses a longer command.
const LONGEST: usize = 998;

/// A job's file, or that there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    path: AbsPath,
    /// None where the job is promised to be absent.
    job: Option<Job>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Job {
    user: UserName,
    /// The whole file.
    text: Arc<str>,
}

/// What stands at the job's path.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    look: Look,
    /// Whether the machine has the user; true where nobody asked.
    user_exists: bool,
}

/// One for each promise at most.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Write {
        file: NewFile,
        was: Was,
    },
    SetAttributes {
        path: AbsPath,
        seen: Expected,
        /// What was, where it changes.
        was: Attributes,
        attributes: Attributes,
    },
    Remove {
        path: AbsPath,
        seen: Expected,
        was: Was,
    },
}

/// What a change takes the place of, for people.
#[derive(Clone, Debug, PartialEq)]
pub enum Was {
    Nothing,
    File {
        size: u64,
        /// None where it was too large to be read.
        bytes: Option<Arc<[u8]>>,
    },
    /// The right content under several names.
    HardLinks(u64),
    Link(Arc<str>),
}

/// The kind `cron`.
#[derive(Debug)]
pub struct Cron;

impl Kind for Cron {
    const NAME: &'static str = "cron";
    const SHORT_FORMS: &'static [Takes] = &[Takes::Words(&["absent"])];
    const MAY_SAY: &'static str = "absent, or a map of fields";
    const FIELDS: &'static [Field] = &[
        Field::new("state", Takes::Words(&["present", "absent"]), "Whether there is such a job"),
        Field::new(
            "schedule",
            Takes::Text,
            "When it runs: five fields as in crontab(5), or @reboot, @daily, …",
        ),
        Field::new("command", Takes::Text, "What the shell gets, on one line; `%` needs no escape"),
        Field::new("user", Takes::Text, "The user that it runs as (root)"),
        Field::new(
            "environment",
            Takes::MapOf(&Takes::Text),
            "Variables of this job: MAILTO, PATH, …",
        ),
    ];
    type Desired = Desired;
    type State = State;
    type Change = Change;

    fn lower(name: &Spanned<Arc<str>>, body: &Node, cx: &mut Lower<'_>) -> Option<Desired> {
        let path = path_of(&name.value);
        if path.is_none() {
            let message = format!("`{}` is not the name of a cron job", name.value.escape_debug());
            cx.report(
                Diagnostic::error(codes::BAD_NAME, name.span, message)
                    .help("letters, digits, `_` and `-`: cron reads no other file in /etc/cron.d"),
            );
        }
        if is_word(body, "absent") {
            return path.map(|path| Desired { path, job: None });
        }
        let mut fields = Fields::of(body, "cron", Self::FIELDS, cx)?;
        let present = fields.one_of("state", &[("present", true), ("absent", false)]);
        if present == Some(false) {
            return fields.complete().then_some(Desired { path: path?, job: None });
        }
        let schedule = schedule(&mut fields);
        let command = command(&mut fields);
        let user = user(&mut fields);
        let environment = environment(&mut fields);
        if !fields.complete() {
            return None;
        }
        let user = user?;
        let text = file_text(&name.value, &environment?, &schedule?, &user, &command?);
        Some(Desired { path: path?, job: Some(Job { user, text }) })
    }

    fn claims(want: &Desired) -> Vec<Identity> {
        vec![Identity::Path(want.path.clone())]
    }

    fn uses(want: &Desired) -> Vec<Identity> {
        let user = want.job.as_ref().map(|job| Identity::User(job.user.clone()));
        want.path.parent().map(Identity::Path).into_iter().chain(user).collect()
    }

    fn is_absent(want: &Desired) -> bool {
        want.job.is_none()
    }

    fn turn(want: &Desired) -> Turn {
        if want.job.is_some() { Turn::Jobs } else { Turn::JobsGo }
    }

    fn may_come_with_packages(want: &Desired) -> bool {
        paths::may_come_with_packages(&Self::claims(want))
    }

    fn observe(wants: &[&Desired], sys: &dyn Probe) -> Vec<Result<State, SystemError>> {
        let asked: Vec<(&AbsPath, Wanted)> = wants
            .iter()
            .map(|want| match &want.job {
                Some(job) => (&want.path, Wanted::DigestIfSize(job.text.len() as u64)),
                // Whatever is there goes, so it is shown.
                None => (&want.path, Wanted::Bytes),
            })
            .collect();
        let mut looks = sys.look(&asked);
        let differ: Vec<usize> = wants
            .iter()
            .zip(&looks)
            .enumerate()
            .filter(|(_, (want, look))| {
                look.as_ref().is_ok_and(|look| has_other_content(want, look))
            })
            .map(|(at, _)| at)
            .collect();
        if !differ.is_empty() {
            let asked: Vec<(&AbsPath, Wanted)> =
                differ.iter().map(|at| (&wants[*at].path, Wanted::Bytes)).collect();
            for (at, look) in differ.iter().zip(sys.look(&asked)) {
                looks[*at] = look;
            }
        }
        wants
            .iter()
            .zip(looks)
            .map(|(want, look)| {
                let user_exists = match &want.job {
                    Some(job) => sys.uid(&job.user)?.is_some(),
                    None => true,
                };
                Ok(State { look: look?, user_exists })
            })
            .collect()
    }

    fn plan(want: &Desired, have: &State) -> Difference<Change> {
        match &want.job {
            Some(job) => plan_present(&want.path, job, have),
            None => plan_absent(&want.path, have),
        }
    }

    fn apply(batch: &[&[Change]], sys: &dyn Actuate) -> Vec<Applied> {
        let (mut files, mut attributes) = (vec![], vec![]);
        for change in batch.iter().copied().flatten() {
            match change {
                Change::Write { file, was: _ } => files.push(file.clone()),
                Change::SetAttributes { path, seen, attributes: to, was: _ } => {
                    attributes.push((path, seen, *to));
                }
                Change::Remove { .. } => {}
            }
        }
        let mut written = answers(&files, |all| sys.write_files(all)).into_iter();
        let mut set = answers(&attributes, |all| sys.set_attributes(all)).into_iter();
        let no_answer = || Err(SystemError::new(ErrorKind::Other, "keep a cron job"));
        batch
            .iter()
            .map(|changes| {
                // Each promise has one change at most, so the answers come in the order of promises.
                Applied::each(changes, |change| match change {
                    Change::Write { .. } => written.next().unwrap_or_else(no_answer),
                    Change::SetAttributes { .. } => set.next().unwrap_or_else(no_answer),
                    Change::Remove { path, seen, was: _ } => sys.remove(path, seen, false, true),
                })
            })
            .collect()
    }

    fn effects(change: &Change, _want: &Desired, have: &State) -> Vec<Effect> {
        let entry = have.look.entry.as_ref();
        vec![match change {
            Change::Write { file, was: _ } => paths::of_file(file, entry),
            Change::SetAttributes { path, seen, was: _, attributes } => {
                let Some(entry) = entry else { return vec![] };
                let from = Attributes {
                    uid: Some(entry.uid),
                    gid: Some(entry.gid),
                    mode: Some(entry.mode),
                };
                paths::attributes_set(path, seen, &from, attributes)
            }
            Change::Remove { path, seen, was: _ } => Effect::of(
                Facet::Path(path.clone()),
                paths::former(seen, entry, true),
                FacetState::Nothing,
            ),
        }]
    }

    fn says(_want: &Desired, facet: &Facet, _is_folder: bool) -> Says {
        Says::all_if(facet.as_path().is_some())
    }

    fn fingerprint(have: &State) -> Fingerprint {
        let Some(entry) = &have.look.entry else {
            return Fingerprint { digest: sha256(b"nothing"), changed: None };
        };
        let digest = match &entry.shape {
            Shape::File { size, content } => {
                digest_of(content).unwrap_or_else(|| sha256(format!("{size} bytes").as_bytes()))
            }
            Shape::Link { target } => sha256(format!("link to {target}").as_bytes()),
            Shape::Directory | Shape::Socket | Shape::Fifo | Shape::Device => {
                sha256(noun(&entry.shape).as_bytes())
            }
        };
        Fingerprint { digest, changed: Some(entry.changed) }
    }

    fn describe(have: &State) -> Vec<(&'static str, String)> {
        let file = match &have.look.entry {
            None => "missing".to_owned(),
            Some(entry) => {
                let what = match &entry.shape {
                    Shape::File { size, .. } => paths::bytes(*size),
                    Shape::Link { target } => format!("link to {}", target.escape_debug()),
                    Shape::Directory | Shape::Socket | Shape::Fifo | Shape::Device => {
                        noun(&entry.shape).to_owned()
                    }
                };
                format!("{what}, mode {}, uid {}, gid {}", entry.mode, entry.uid, entry.gid)
            }
        };
        let mut lines = vec![("file", file)];
        if !have.user_exists {
            lines.push(("user", "missing".to_owned()));
        }
        lines
    }

    fn detail(change: &Change) -> Option<String> {
        let (path, was, becomes): (&AbsPath, &Was, &[u8]) = match change {
            Change::Write { file, was } => (&file.path, was, &file.content),
            Change::Remove { path, was, .. } => (path, was, b""),
            Change::SetAttributes { .. } => return None,
        };
        let was: &[u8] = match was {
            Was::Nothing => b"",
            Was::File { bytes, .. } => bytes.as_deref()?,
            Was::HardLinks(_) | Was::Link(_) => return None,
        };
        let (was, becomes) = (String::from_utf8_lossy(was), String::from_utf8_lossy(becomes));
        Some(paths::diff(path, &was, &becomes, usize::MAX))
    }

    fn deletes(change: &Change) -> u64 {
        match change {
            Change::Remove { .. } => 1,
            Change::Write { .. } | Change::SetAttributes { .. } => 0,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Write { file, was } => {
                write!(f, "write {}", paths::bytes(file.content.len() as u64))?;
                match was {
                    Was::Nothing => write!(f, " (new, mode {})", file.mode),
                    Was::File { size, .. } => write!(f, " (was {})", paths::thousands(*size)),
                    Was::HardLinks(links) => {
                        write!(f, " (was one file with {links} names, which cron ignores)")
                    }
                    Was::Link(target) => write!(f, " (was a link to {})", target.escape_debug()),
                }
            }
            Change::SetAttributes { was, attributes, .. } => {
                write!(f, "set {}", paths::attributes(was, attributes, &Owners::default()))
            }
            Change::Remove { was, .. } => match was {
                Was::Nothing => f.write_str("remove"),
                Was::File { size, .. } => write!(f, "remove ({})", paths::bytes(*size)),
                Was::HardLinks(links) => write!(f, "remove (one of {links} names)"),
                Was::Link(target) => write!(f, "remove (link to {})", target.escape_debug()),
            },
        }
    }
}

// Lowering.

/// None where cron would not read a file of this name.
fn path_of(name: &str) -> Option<AbsPath> {
    let fits = |it: u8| it.is_ascii_alphanumeric() || it == b'_' || it == b'-';
    if name.is_empty() || !name.bytes().all(fits) {
        return None;
    }
    AbsPath::parse(&format!("{FOLDER}/{name}")).ok()
}

fn is_word(body: &Node, word: &str) -> bool {
    matches!(
        body,
        Node::Scalar(Spanned { value: Scalar { value: Value::Text, text, .. }, .. }) if &**text == word
    )
}

fn schedule(fields: &mut Fields<'_, '_, '_>) -> Option<Schedule> {
    if !fields.require("schedule") {
        return None;
    }
    let text = fields.text("schedule")?;
    match Schedule::parse(&text.value) {
        Ok(schedule) => {
            if schedule.matches_either_day() {
                fields.cx.report(
                    Diagnostic::warning(
                        codes::EITHER_DAY,
                        text.span,
                        format!("`{schedule}` runs when either the day of the month or the weekday matches"),
                    )
                    .help("cron joins the two with \"or\"; leave one of them `*`, or test the other in the command"),
                );
            }
            Some(schedule)
        }
        Err(refusal) => {
            fields.error(codes::BAD_SCHEDULE, text.span, refusal.to_string());
            None
        }
    }
}

/// The command as the file has it.
fn command(fields: &mut Fields<'_, '_, '_>) -> Option<String> {
    if !fields.require("command") {
        return None;
    }
    let text = fields.text("command")?;
    let refusal = if text.value.trim_matches(' ').is_empty() {
        Diagnostic::error(codes::BAD_VALUE, text.span, "`command` is empty")
    } else if text.value.chars().any(char::is_control) {
        Diagnostic::error(codes::BAD_VALUE, text.span, "`command` has a control character")
            .help("a cron job is one line: in a YAML block write `>-`, and put longer things into a script")
    } else if text.value.contains("\\%") {
        Diagnostic::error(codes::BAD_VALUE, text.span, "`command` has a `\\%`")
            .help("write `%`: it is escaped for you")
    } else {
        let escaped = escape(&text.value);
        if escaped.len() <= LONGEST {
            return Some(escaped);
        }
        let message = format!("`command` is longer than the {LONGEST} bytes that cron takes");
        Diagnostic::error(codes::BAD_VALUE, text.span, message).help("put it into a script")
    };
    fields.cx.report(refusal);
    None
}

fn user(fields: &mut Fields<'_, '_, '_>) -> Option<UserName> {
    if !fields.has("user") {
        return UserName::parse("root").ok();
    }
    fields.parsed("user", codes::BAD_NAME, |text| match UserName::parse(text) {
        // `@daily =x …` is the variable `@daily` to cron.
        Ok(name) if name.as_str().starts_with('=') => {
            Err(format!("`{name}` is not a user name that cron takes"))
        }
        Ok(name) => Ok(name),
        Err(refusal) => Err(refusal.to_string()),
    })
}

/// The lines of the environment, in the order of their names.
fn environment(fields: &mut Fields<'_, '_, '_>) -> Option<BTreeMap<Arc<str>, String>> {
    let Some(node) = fields.node("environment") else { return Some(BTreeMap::new()) };
    let entries = fields.cx.as_map(node, "`environment`")?;
    let mut lines = BTreeMap::new();
    for (name, value) in entries {
        let what = format!("`{}`", name.value.escape_debug());
        let mut letters = name.value.bytes();
        let fits = letters.next().is_some_and(|it| it.is_ascii_alphabetic() || it == b'_')
            && letters.all(|it| it.is_ascii_alphanumeric() || it == b'_');
        if !fits {
            let message = format!("{what} is not the name of a variable");
            fields.cx.report(
                Diagnostic::error(codes::BAD_NAME, name.span, message)
                    .help("letters, digits and `_`, a digit not first"),
            );
        }
        if &*name.value == "LOGNAME" {
            let message = "`LOGNAME` cannot be set: cron sets it to the user's name";
            fields.error(codes::BAD_VALUE, name.span, message);
        }
        let Some(text) = fields.cx.as_text(value, &what) else { continue };
        if text.value.chars().any(char::is_control) {
            let message = format!("{what} has a control character");
            fields.error(codes::BAD_VALUE, text.span, message);
            continue;
        }
        match spell(&text.value) {
            Some(spelled) if name.value.len() + 1 + spelled.len() <= LONGEST => {
                lines.insert(Arc::clone(&name.value), spelled);
            }
            Some(_) => {
                let message =
                    format!("{what} is longer than the {LONGEST} bytes that cron takes for a line");
                fields.error(codes::BAD_VALUE, text.span, message);
            }
            None => {
                let message = format!("no quotes make cron read {what} as it is");
                fields.cx.report(Diagnostic::error(codes::BAD_VALUE, text.span, message).help(
                    "cron has no escapes inside quotes: set it in the command, or in a script",
                ));
            }
        }
    }
    Some(lines)
}

fn file_text(
    name: &str,
    environment: &BTreeMap<Arc<str>, String>,
    schedule: &Schedule,
    user: &UserName,
    command: &str,
) -> Arc<str> {
    let mut text = format!(
        "# Kept by steadfast as cron:{name}; what is changed here by hand does not last.\n"
    );
    for (name, value) in environment {
        text += &format!("{name}={value}\n");
    }
    text += &format!("{schedule} {user} {command}\n");
    Arc::from(text)
}

/// `%` ends the command for cron, and `\\` is one `\` to it; any other `\` stays as it is. The text
/// has no `\%`.
fn escape(command: &str) -> String {
    let mut escaped = String::with_capacity(command.len());
    let mut rest = command;
    while let Some(at) = rest.find(['%', '\\']) {
        escaped += &rest[..at];
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix('%') {
            escaped += "\\%";
            rest = after;
            continue;
        }
        let after = rest.trim_start_matches('\\');
        let run = &rest[..rest.len() - after.len()];
        escaped += run;
        if run.len() > 1 {
            escaped += run;
        }
        rest = after;
    }
    escaped + rest
}

/// The plainest way to write a variable's value so that cron reads it as it is.
fn spell(value: &str) -> Option<String> {
    let ways = [
        value.to_owned(),
        format!("\"{value}\""),
        format!("'{value}'"),
        format!("'\"{value}\"'"),
        format!("\"'{value}'\""),
    ];
    ways.into_iter().find(|way| read_variable(way).as_deref() == Some(value))
}

/// What Debian's cron makes of the text after `NAME=`: leading blanks go; quotes around it go, and
/// nothing but blanks may follow them; trailing blanks go, even those that were in the quotes; and then
/// a second pair of quotes goes.
fn read_variable(text: &str) -> Option<String> {
    let text = text.trim_start_matches(' ');
    let quote = text.chars().next()?;
    let value = if quote == '"' || quote == '\'' {
        let (inside, after) = text[1..].split_once(quote)?;
        if !after.trim_matches(' ').is_empty() {
            return None;
        }
        inside
    } else {
        text
    };
    let value = value.trim_end_matches(' ');
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|it| it.strip_suffix(quote)) {
            return Some(inner.to_owned());
        }
    }
    Some(value.to_owned())
}

// Observing and planning.

fn has_other_content(want: &Desired, look: &Look) -> bool {
    let (Some(job), Some(entry)) = (&want.job, &look.entry) else { return false };
    match &entry.shape {
        Shape::File { content, .. } => digest_of(content) != Some(sha256(job.text.as_bytes())),
        Shape::Directory | Shape::Link { .. } | Shape::Socket | Shape::Fifo | Shape::Device => {
            false
        }
    }
}

fn plan_present(path: &AbsPath, job: &Job, have: &State) -> Difference<Change> {
    let mut difference = Difference::none();
    if have.look.folder.is_none() {
        difference.obstacles.extend(path.parent().map(|it| Obstacle::Missing(Identity::Path(it))));
        difference.notes.push(format!("there is no {FOLDER}: is cron installed?"));
    }
    if !have.user_exists {
        difference.obstacles.push(Obstacle::Missing(Identity::User(job.user.clone())));
    }
    let write = |replaces, was, in_place| Change::Write {
        file: NewFile {
            path: path.clone(),
            content: Arc::from(job.text.as_bytes()),
            uid: 0,
            gid: 0,
            mode: MODE,
            replaces,
            validate: None,
            keep: true,
            in_place,
        },
        was,
    };
    let Some(entry) = &have.look.entry else {
        difference.changes.push(write(Expected::Nothing, Was::Nothing, false));
        return difference;
    };
    match &entry.shape {
        Shape::File { size, content } => {
            let digest = digest_of(content);
            let seen = digest.map_or(Expected::AnyFile, |digest| Expected::File { digest });
            if digest != Some(sha256(job.text.as_bytes())) {
                let was = Was::File { size: *size, bytes: bytes_of(content) };
                difference.changes.push(write(seen, was, entry.mounted));
            } else if entry.links > 1 && !entry.mounted {
                difference.changes.push(write(seen, Was::HardLinks(entry.links), false));
            } else {
                difference.changes.extend(attributes(path, seen, entry));
            }
        }
        Shape::Link { target } => {
            let seen = Expected::Link { target: Arc::clone(target) };
            difference.changes.push(write(seen, Was::Link(Arc::clone(target)), false));
        }
        Shape::Directory | Shape::Socket | Shape::Fifo | Shape::Device => {
            difference.obstacles.push(in_the_way(path, &entry.shape));
        }
    }
    difference
}

fn attributes(path: &AbsPath, seen: Expected, entry: &Entry) -> Option<Change> {
    let (mut was, mut to) = (Attributes::default(), Attributes::default());
    if entry.uid != 0 {
        (was.uid, to.uid) = (Some(entry.uid), Some(0));
    }
    if entry.gid != 0 {
        (was.gid, to.gid) = (Some(entry.gid), Some(0));
    }
    if entry.mode != MODE {
        (was.mode, to.mode) = (Some(entry.mode), Some(MODE));
    }
    (to != Attributes::default()).then(|| Change::SetAttributes {
        path: path.clone(),
        seen,
        was,
        attributes: to,
    })
}

fn plan_absent(path: &AbsPath, have: &State) -> Difference<Change> {
    let Some(entry) = &have.look.entry else { return Difference::none() };
    if entry.mounted {
        return Difference::refused(format!("something is mounted at {path}"));
    }
    let (seen, was) = match &entry.shape {
        Shape::File { size, content } => (
            digest_of(content).map_or(Expected::AnyFile, |digest| Expected::File { digest }),
            Was::File { size: *size, bytes: bytes_of(content) },
        ),
        Shape::Link { target } => {
            (Expected::Link { target: Arc::clone(target) }, Was::Link(Arc::clone(target)))
        }
        Shape::Directory | Shape::Socket | Shape::Fifo | Shape::Device => {
            return Difference {
                obstacles: vec![in_the_way(path, &entry.shape)],
                ..Difference::none()
            };
        }
    };
    Difference::of(vec![Change::Remove { path: path.clone(), seen, was }])
}

fn in_the_way(path: &AbsPath, shape: &Shape) -> Obstacle {
    Obstacle::refused(format!("{path} is a {}, not a cron job's file", noun(shape)))
}

fn noun(shape: &Shape) -> &'static str {
    match shape {
        Shape::File { .. } => "file",
        Shape::Directory => "directory",
        Shape::Link { .. } => "link",
        Shape::Socket => "socket",
        Shape::Fifo => "fifo",
        Shape::Device => "device",
    }
}

fn digest_of(content: &Content) -> Option<Digest> {
    match content {
        Content::Digest(digest) => Some(*digest),
        Content::Bytes(bytes) => Some(sha256(bytes)),
        Content::NotRead | Content::TooLarge => None,
    }
}

fn bytes_of(content: &Content) -> Option<Arc<[u8]>> {
    match content {
        Content::Bytes(bytes) => Some(Arc::clone(bytes)),
        Content::Digest(_) | Content::NotRead | Content::TooLarge => None,
    }
}

fn sha256(bytes: &[u8]) -> Digest {
    Sha256::digest(bytes).into()
}

// Acting and telling.

/// The machine is not asked to do nothing.
fn answers<T, U>(all: &[T], act: impl FnOnce(&[T]) -> Vec<U>) -> Vec<U> {
    if all.is_empty() { vec![] } else { act(all) }
}

#[cfg(test)]
mod tests;
