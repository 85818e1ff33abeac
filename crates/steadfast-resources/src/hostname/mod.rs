//! # `hostname`: the name of the machine
//!
//! ```yaml
//! hostname: web-1.example.org
//! ```
//!
//! or, with more to say:
//!
//! ```yaml
//! hostname:
//!   "{{ node.name }}": { running: false, restarts: postfix }
//! ```
//!
//! A node has one. The name is that of hostname(7) and RFC 1123: labels of lower case letters, digits and `-`,
//! joined by `.`, 64 bytes at most.
//!
//! It is kept in two places. **/etc/hostname** is where it is read from at boot; as hostname(5) has it, the first
//! line that is neither empty nor a comment counts. A file that says the name keeps its comments; one that
//! does not is written anew, with the name alone, root's and with mode 0644. A symbolic link there is
//! replaced, never followed; a directory is *not kept*. **The kernel's** name, which programs and prompts show,
//! is set at once, unless `running: false` leaves it until the next boot. That is done where systemd runs
//! (/run/systemd/system is there) and nowhere else: in a chroot, where an image is made, the kernel's name is
//! that of the machine around it, and in a container without an init it is set by whoever started that.
//!
//! An agent sees a change of the file at once, and one of the kernel's name alone at its next full run.
//!
//! Not touched: /etc/hosts, where Debian's installer has put the name on the line 127.0.1.1 (an edit under
//! `files` keeps that), and what DHCP or hostnamed call the transient and the pretty name.
//!
//! The name of the *node* in the model is another matter. An agent has settled it when it first adopted a
//! revision, and finds its node whatever the host is called. A run by hand looks for the node by the host's name
//! unless `--node` says which, and so looks for another one once the name has changed.

use crate::fact::Fact;
use crate::identity::{Identity, Setting};
use crate::kind::{Applied, Difference, Fingerprint, Kind, Obstacle, Refusal, Turn};
use crate::paths::{self, Owners, Touch, Was, Who, Writing};
use crate::undo::{About, Effect, Facet, FacetState, Now, Says};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use steadfast_model::{Field, Fields, Lower, Node, Spanned, Takes, codes};
use steadfast_system::files::{self, Content, Entry, Look, Mode, NewFile, Shape, Wanted};
use steadfast_system::hostname::Name;
use steadfast_system::text::safe;
use steadfast_system::{AbsPath, Actuate, BadName, ErrorKind, Probe, SystemError};

const FILE: &str = "/etc/hostname";
const MODE: Mode = Mode(0o644);
/// Only where systemd is the init that runs here: see sd_booted(3).
const BOOTED: &str = "/run/systemd/system";
/// The setting's name beside that of the kind.
const RUNNING: &str = "running";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    /// Where it is read from at boot.
    file: AbsPath,
    pub name: Name,
    /// Whether the kernel is to have it now, and not only after the next boot.
    pub running: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub file: Look,
    /// What the kernel has; none where that is left alone.
    pub running: Option<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    File(paths::Change),
    /// What was there before may be anything that the kernel takes.
    Running {
        was: Arc<str>,
        name: Arc<str>,
    },
}

/// The kind `hostname`.
#[derive(Debug)]
pub struct Hostname;

impl Kind for Hostname {
    const NAME: &'static str = "hostname";
    const MAY_SAY: &'static str = "a map of fields, which may be empty: {}";
    const FIELDS: &'static [Field] = &[Field::new(
        "running",
        Takes::Boolean,
        "Whether to set it in the running system too, not only from the next boot (default: true)",
    )];
    type Desired = Desired;
    type State = State;
    type Change = Change;

    fn lower(name: &Spanned<Arc<str>>, body: &Node, cx: &mut Lower<'_>) -> Option<Desired> {
        let parsed = match Name::parse(&name.value) {
            Ok(parsed) => Some(parsed),
            Err(refusal) => {
                cx.error(codes::BAD_NAME, name.span, refusal.to_string());
                None
            }
        };
        let mut fields = Fields::read(body, "hostname", Self::FIELDS, cx)?;
        let running = fields.boolean("running").unwrap_or(true);
        if !fields.complete() {
            return None;
        }
        let file = AbsPath::parse(FILE).ok()?;
        Some(Desired { file, name: parsed?, running })
    }

    fn claims(want: &Desired) -> Vec<Identity> {
        vec![Identity::Path(want.file.clone())]
    }

    fn names_host(want: &Desired) -> Option<&str> {
        want.running.then(|| want.name.as_str())
    }

    /// Who says another name says another file, too, and is told so once.
    fn concerns(want: &Desired) -> Vec<Identity> {
        vec![Identity::Path(want.file.clone()), Identity::Setting(setting())]
    }

    fn uses(want: &Desired) -> Vec<Identity> {
        want.file.parent().map(Identity::Path).into_iter().collect()
    }

    fn is_absent(_want: &Desired) -> bool {
        false
    }

    /// Scripts of packages ask for it.
    fn turn(_want: &Desired) -> Turn {
        Turn::Settings
    }

    fn observe(wants: &[&Desired], sys: &dyn Probe) -> Vec<Result<State, SystemError>> {
        wants.iter().map(|want| look(want, sys)).collect()
    }

    fn plan(want: &Desired, have: &State) -> Difference<Change> {
        let touch = |change: &Change| match change {
            Change::File(paths::Change::Write(all)) => {
                Some(Touch::of(all.iter().all(|it| it.file.in_place)))
            }
            Change::File(paths::Change::SetAttributes(_)) => Some(Touch::Itself),
            Change::File(
                paths::Change::MakeDirectories(_)
                | paths::Change::MakeLink(_)
                | paths::Change::Remove(_),
            ) => Some(Touch::Name),
            Change::Running { .. } => None,
        };
        let difference = plan_file(want, &have.file);
        let (folder, entry) = (have.file.folder.as_ref(), have.file.entry.as_ref());
        let mut difference =
            paths::refuse_touching(difference, Some(&want.file), folder, entry, touch);
        if let Some(was) = &have.running
            && **was != *want.name.as_str()
            && difference.obstacles.is_empty()
        {
            let (was, name) = (Arc::clone(was), Arc::from(want.name.as_str()));
            difference.changes.push(Change::Running { was, name });
            let note = "a run by hand that is not told its --node looks for it by the new name";
            difference.notes.push(note.to_owned());
        }
        difference
    }

    fn apply(batch: &[&[Change]], sys: &dyn Actuate) -> Vec<Applied> {
        batch.iter().map(|changes| Applied::each(changes, |it| apply(it, sys))).collect()
    }

    fn fingerprint(have: &State) -> Fingerprint {
        let names = format!("{}\n{}", static_words(&have.file), running_words(have));
        Fingerprint { digest: paths::sha256(names.as_bytes()), changed: None }
    }

    fn describe(have: &State) -> Vec<(&'static str, String)> {
        let mut all = vec![(FILE, static_words(&have.file))];
        if let Some(entry) = &have.file.entry {
            all.push(("mode", entry.mode.to_string()));
            all.push(("uid", entry.uid.to_string()));
            all.push(("gid", entry.gid.to_string()));
        }
        all.push((RUNNING, running_words(have)));
        all
    }

    fn facts(change: &Change) -> Vec<Fact> {
        match change {
            Change::File(change) => paths::facts(change),
            Change::Running { was, name } => vec![Fact::set(RUNNING, safe(was), safe(name))],
        }
    }

    fn detail(change: &Change) -> Option<String> {
        match change {
            Change::File(change) => paths::detail(change),
            Change::Running { .. } => None,
        }
    }

    fn effects(change: &Change, _want: &Desired, have: &State) -> Vec<Effect> {
        match change {
            Change::File(change) => paths::effects(change, |_| have.file.entry.as_ref()),
            Change::Running { was, name } => {
                let text = |it: &Arc<str>| FacetState::Text(Arc::clone(it));
                vec![Effect::new(Facet::Setting(setting()), text(was), text(name))]
            }
        }
    }

    fn says(want: &Desired, facet: &Facet, _is_folder: bool) -> Says {
        Says::all_if(facet.as_path().is_some() || (want.running && Self::looks_after(facet)))
    }

    fn looks_after(facet: &Facet) -> bool {
        facet.as_setting(Self::NAME).is_some()
    }

    fn observe_facets(facets: &[&Facet], sys: &dyn Probe) -> Vec<Result<Now, SystemError>> {
        let now = || sys.running_hostname().map(|it| Now::new(FacetState::Text(it)));
        facets.iter().map(|_| now()).collect()
    }

    fn changes_back(
        _facet: &Facet,
        now: &Now,
        before: &FacetState,
        _about: &About<'_>,
    ) -> Option<Vec<Change>> {
        match (&now.state, before) {
            (FacetState::Text(was), FacetState::Text(name)) => {
                Some(vec![Change::Running { was: Arc::clone(was), name: Arc::clone(name) }])
            }
            (_, _) => None,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::File(change) => change.fmt(f),
            Change::Running { was, name } => {
                write!(f, "set running hostname {} -> {}", safe(was), safe(name))
            }
        }
    }
}

fn setting() -> Setting {
    Setting::new(Hostname::NAME, RUNNING)
}

// The machine.

fn look(want: &Desired, sys: &dyn Probe) -> Result<State, SystemError> {
    let bad = |err: BadName| SystemError::new(ErrorKind::Other, err.to_string());
    let booted = AbsPath::parse(BOOTED).map_err(bad)?;
    let asked = [(&want.file, Wanted::Bytes), (&booted, Wanted::Nothing)];
    let mut looks = sys.look(&asked).into_iter();
    let none = || Err(SystemError::new(ErrorKind::Other, "the look gave no answer"));
    let mut next = || looks.next().unwrap_or_else(none);
    let (file, booted) = (next()?, next()?);
    let is_booted = booted.entry.is_some_and(|it| it.shape == Shape::Directory);
    let running = (want.running && is_booted).then(|| sys.running_hostname()).transpose()?;
    Ok(State { file, running })
}

fn apply(change: &Change, sys: &dyn Actuate) -> Result<(), SystemError> {
    match change {
        Change::File(change) => {
            let done = paths::apply(&[std::slice::from_ref(change)], sys);
            done.iter().flat_map(Applied::failed).next().map_or(Ok(()), |(_, it)| Err(it.clone()))
        }
        Change::Running { was: _, name } => sys.set_running_hostname(name),
    }
}

// The file.

/// What a file says, as systemd reads it: the first line with anything but a comment in it.
fn name_in(text: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    let mut lines = text.lines().map(str::trim);
    lines.find(|it| !it.is_empty() && !it.starts_with('#')).map(str::to_owned)
}

/// What a file holds, where it is one and not too large.
fn bytes_of(entry: &Entry) -> Option<&Arc<[u8]>> {
    match &entry.shape {
        Shape::File { content: Content::Bytes(bytes), .. } => Some(bytes),
        Shape::File { .. }
        | Shape::Directory
        | Shape::Link { .. }
        | Shape::Socket
        | Shape::Fifo
        | Shape::Device => None,
    }
}

fn name_of(entry: &Entry) -> Option<String> {
    bytes_of(entry).and_then(|it| name_in(it))
}

fn plan_file(want: &Desired, have: &Look) -> Difference<Change> {
    let mut difference = Difference::none();
    if have.folder.is_none() {
        let folder = want.file.parent().map(Identity::Path);
        difference.obstacles.extend(folder.map(Obstacle::Missing));
    }
    let Some(entry) = &have.entry else {
        difference.changes.push(written(want, None));
        return difference;
    };
    match &entry.shape {
        Shape::File { .. } if name_of(entry).as_deref() == Some(want.name.as_str()) => {
            difference.changes.extend(attributes(&want.file, entry));
        }
        Shape::File { .. } | Shape::Link { .. } => {
            difference.notes.extend(paths::not_kept(entry));
            difference.changes.push(written(want, Some(entry)));
        }
        Shape::Directory | Shape::Socket | Shape::Fifo | Shape::Device => {
            let what = paths::words(&entry.shape);
            return Difference::refused(Refusal::machine(format!(
                "{FILE} is {what}, not a file with the name"
            )));
        }
    }
    difference
}

/// The file with the name alone.
fn written(want: &Desired, had: Option<&Entry>) -> Change {
    let file = NewFile {
        path: want.file.clone(),
        content: Arc::from(format!("{}\n", want.name).into_bytes()),
        uid: 0,
        gid: 0,
        mode: MODE,
        replaces: had.map_or(files::Expected::Nothing, paths::seen),
        validate: None,
        keep: true,
        in_place: had.is_some_and(|it| it.mounted),
    };
    let was = had.filter(|it| matches!(it.shape, Shape::File { .. }));
    let shown = had.filter(|it| !it.marks.secret.is_secret());
    let present = shown.and_then(bytes_of).cloned();
    let was =
        was.map(|it| Was { size: paths::shown_size(it), uid: it.uid, gid: it.gid, mode: it.mode });
    Change::File(paths::Change::Write(vec![Writing {
        file,
        with: 0,
        names: Owners::default(),
        below: Some(Arc::from(FILE)),
        was,
        present: present.map(paths::Bytes),
        sensitive: false,
        open: false,
    }]))
}

/// Root's, and for everybody to read.
fn attributes(path: &AbsPath, entry: &Entry) -> Option<Change> {
    let root = paths::Ids { owner: Who::Id(0), group: Who::Id(0) };
    let below = Arc::from(FILE);
    paths::Setting::between(path, Some(&below), entry, root, Some(MODE), true, &Owners::default())
        .map(|it| Change::File(paths::Change::SetAttributes(vec![it])))
}

fn static_words(file: &Look) -> String {
    match &file.entry {
        None => "missing".to_owned(),
        Some(entry) => match (name_of(entry), &entry.shape) {
            (Some(name), _) => safe(&name),
            (None, Shape::File { .. }) => "no name".to_owned(),
            (None, shape) => paths::words(shape).to_owned(),
        },
    }
}

fn running_words(have: &State) -> String {
    have.running.as_deref().map_or_else(|| "left alone".to_owned(), safe)
}

#[cfg(test)]
mod tests;
