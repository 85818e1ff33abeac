//! # Files
//!
//! A file has this content, this owner, group and mode. Each is optional; what is not said is left
//! alone.
//!
//! ```yaml
//! files:
//!   /etc/motd: { content: "Welcome to {{ node.name }}\n" }
//!   /etc/nginx/nginx.conf:
//!     template: templates/nginx.conf.j2
//!     mode: "0644"
//!     validate: [nginx, -t, -c, "{file}"]
//!   /etc/ssh/sshd_config:
//!     edits: [{ line: "PermitRootLogin no", match: "^#?PermitRootLogin " }]
//!   /etc/people/password: { content: { secret: people/db-password }, owner: people }
//!   /etc/shadow: { mode: "0640", group: shadow }
//!   /etc/obsolete.conf: absent
//! ```
//!
//! The content comes from one of `content`, `content_base64`, `template` (with `variables`), `source` (a
//! file of the model) and `edits` (see [`crate::edit`]). Other content at the path is replaced; the old
//! one is kept in the state directory, unless `keep_backup` is false. With `replace: false` a content is
//! only written where there is no file.
//!
//! A new file has mode 0644 (0600 where it is sensitive), and belongs to root and root's group, or to the
//! folder's group where that is setgid. A symbolic `mode` starts from there, or from the mode that the
//! file has. Parent folders are not made.
//!
//! A symbolic link in the way of a content is replaced, never followed. A directory, socket, fifo or
//! device in the way is not kept without `force`; so is a link where `replace` is false.
//!
//! `validate` runs on the whole new file, before it takes its place; if it says no, the old file stays.
//!
//! A file that got a secret is `sensitive` as a whole: nothing of it is shown, and what it replaces is
//! only kept where `keep_backup: true` is written.

use crate::edit::{self, Edit};
use crate::kind::{self, Applied, Difference, Fingerprint, Identity, Kind, Obstacle};
use crate::mode::{NEW_FILE, NEW_SENSITIVE_FILE, Wish};
use crate::paths::{self, Accounts, Bytes, Ids, Owners, Removal, SHOWN, Setting, Was, Writing};
use base64::Engine as _;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use steadfast_model::lower::Piece;
use steadfast_model::{Field, Fields, Lower, Node, Rendered, Spanned, Takes, codes};
use steadfast_system::files::{
    self, Digest, Entry, Folder, Look, NewFile, OwnFolder, Seen, Shape, Validation, Wanted,
};
use steadfast_system::secrets::{self, Secret};
use steadfast_system::text::hex;
use steadfast_system::{AbsPath, Actuate, Probe, SystemError};

/// What a promise says about a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Desired {
    path: AbsPath,
    absent: bool,
    content: Content,
    owners: Owners,
    mode: Option<Wish>,
    validate: Option<Arc<[Arc<str>]>>,
    replace: bool,
    create: bool,
    sensitive: bool,
    force: bool,
    keep_backup: bool,
}

/// Where the content comes from.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
enum Content {
    Unsaid,
    Plain {
        bytes: paths::Promised,
        digest: Digest,
    },
    /// Text with secrets in it.
    Secret(Rendered),
    Edits(Arc<[Edit]>),
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Content::Unsaid => f.write_str("Unsaid"),
            Content::Plain { bytes, .. } => write!(f, "Plain({} bytes)", bytes.size()),
            Content::Secret(text) => write!(f, "Secret({:?})", text.secrets().collect::<Vec<_>>()),
            Content::Edits(edits) => f.debug_tuple("Edits").field(edits).finish(),
        }
    }
}

impl Desired {
    pub fn path(&self) -> &AbsPath {
        &self.path
    }

    /// The digest of the content, where the model alone says it.
    pub fn digest(&self) -> Option<Digest> {
        match &self.content {
            Content::Plain { digest, .. } => Some(*digest),
            Content::Unsaid | Content::Secret(_) | Content::Edits(_) => None,
        }
    }

    /// Whether nothing of the content may be shown or stored but a keyed digest.
    pub fn is_sensitive(&self) -> bool {
        self.sensitive
    }

    /// Whether its validation has to run before the outcome is known.
    fn validation(&self) -> Option<Validation> {
        let arguments = self.validate.as_ref()?.to_vec();
        Some(Validation { arguments, sensitive: self.sensitive })
    }
}

/// What is at the path, beside what is promised of it.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub folder: Option<Folder>,
    /// Its content is a digest, or was not read.
    pub entry: Option<Entry>,
    pub ids: Ids,
    pub content: Compared,
    /// The digest of the content, keyed where the file is sensitive.
    pub mark: Option<[u8; 32]>,
    pub sensitive: bool,
    /// Why it is no place for a promise.
    pub ours: Option<String>,
}

/// The content that is there, compared with the promised one.
#[derive(Clone, Debug, PartialEq)]
pub enum Compared {
    /// Nothing is promised.
    Unsaid,
    Same,
    Other {
        wanted: Bytes,
        /// What is there, where the difference may be shown.
        present: Option<Bytes>,
    },
    /// What should be there cannot be told: a secret is missing, an edit has no place.
    Refused(String),
}

pub use crate::paths::Change;

#[derive(Debug)]
pub struct File;

const STATES: &[&str] = &["present", "absent"];

impl Kind for File {
    const NAME: &'static str = "file";
    const FIELDS: &'static [Field] = &[
        Field::new("state", Takes::Words(STATES), "whether it is there (present)"),
        Field::new("content", Takes::TextOrSecret, "the whole content"),
        Field::new("content_base64", Takes::Text, "the whole content, in base64"),
        Field::new("template", Takes::Text, "a template of the model that gives the content"),
        Field::new("variables", Takes::MapOf(&Takes::Anything), "names for the template"),
        Field::new("source", Takes::Text, "a file of the model that is the content"),
        Field::new("edits", Takes::ListOf(edit::FIELDS), "changes to the content that is there"),
        Field::new("owner", Takes::Text, "a user's name (of a new file: root)"),
        Field::new("group", Takes::Text, "a group's name (of a new file: root, or the folder's)"),
        Field::new("mode", Takes::Text, "\"0644\" or u=rw,go=r (of a new file: 0644)"),
        Field::new("validate", Takes::TextList, "a program that checks the new file, {file}"),
        Field::new("replace", Takes::Boolean, "other content is replaced (true)"),
        Field::new("create", Takes::Boolean, "with edits: a missing file is made (false)"),
        Field::new("sensitive", Takes::Boolean, "nothing of the content is shown (false)"),
        Field::new("force", Takes::Boolean, "what is not a regular file gives way (false)"),
        Field::new("keep_backup", Takes::Boolean, "old content is kept (true; sensitive: false)"),
    ];
    type Desired = Desired;
    type State = State;
    type Change = Change;

    fn lower(name: &Spanned<Arc<str>>, body: &Node, cx: &mut Lower<'_>) -> Option<Desired> {
        let path = paths::lower_path(name, cx);
        if path.as_ref().is_some_and(|it| it.as_str() == "/") {
            cx.error(codes::BAD_PATH, name.span, "`/` is not a file");
        }
        if matches!(body, Node::Scalar(_)) {
            let absent = paths::lower_short("file", body, cx)?;
            return cx.is_sound().then_some(Desired {
                path: path?,
                absent,
                content: Content::Unsaid,
                owners: Owners::default(),
                mode: None,
                validate: None,
                replace: true,
                create: false,
                sensitive: false,
                force: false,
                keep_backup: true,
            });
        }
        let mut fields = Fields::of(body, "file", Self::FIELDS, cx)?;
        let absent = fields.one_of("state", &[("present", false), ("absent", true)]);
        let content = lower_content(&mut fields);
        let owners = Owners::lower(&mut fields);
        let mode = paths::lower_mode(&mut fields, "mode");
        let validate = lower_validation(&mut fields);
        let replace = fields.boolean("replace").unwrap_or(true);
        let create = fields.boolean("create").unwrap_or(false);
        let sensitive = fields.boolean("sensitive").unwrap_or(false);
        let force = fields.boolean("force").unwrap_or(false);
        let keep_backup = fields.boolean("keep_backup");
        let conflicts = [
            ("variables", fields.has("template"), "`variables` are for a `template`"),
            ("create", fields.has("edits"), "`create` is for `edits`"),
            ("replace", !fields.has("edits"), "`replace` is not for `edits`"),
            (
                "validate",
                SOURCES.iter().any(|it| fields.has(it)),
                "`validate` needs a content that it checks",
            ),
        ];
        for (key, good, message) in conflicts {
            if fields.has(key) && !good {
                let span = fields.key_span(key);
                fields.error(codes::CONFLICTING_FIELDS, span, message);
            }
        }
        if !fields.complete() {
            return None;
        }
        let content = content?;
        let sensitive = sensitive || secrets_of(&content).next().is_some();
        Some(Desired {
            path: path?,
            absent: absent.unwrap_or(false),
            content,
            owners,
            mode,
            validate,
            replace,
            create,
            sensitive,
            force,
            keep_backup: keep_backup.unwrap_or(!sensitive),
        })
    }

    fn claims(want: &Desired) -> Vec<Identity> {
        vec![Identity::Path(want.path.clone())]
    }

    fn uses(want: &Desired) -> Vec<Identity> {
        want.owners.uses(&want.path)
    }

    fn is_absent(want: &Desired) -> bool {
        want.absent
    }

    fn observe(wants: &[&Desired], sys: &dyn Probe) -> Vec<Result<State, SystemError>> {
        let mut accounts = Accounts::default();
        observe_with(wants, sys, |owners| accounts.ids(owners, sys))
    }

    fn plan(want: &Desired, have: &State) -> Difference<Change> {
        if let Some(why) = &have.ours {
            return Difference::refused(why.clone());
        }
        if want.absent {
            return plan_absent(want, have);
        }
        let mut obstacles: Vec<Obstacle> =
            have.ids.missing(&want.owners).into_iter().map(Obstacle::Missing).collect();
        if have.folder.is_none() {
            obstacles.extend(want.path.parent().map(|it| Obstacle::Missing(Identity::Path(it))));
        } else if let Some(why) = refusal(want, have) {
            obstacles.push(Obstacle::Refused(why));
        }
        // A missing secret is no reason to wait for a folder, but it is one to say so.
        if have.folder.is_none()
            && let Compared::Refused(why) = &have.content
            && !secrets_of(&want.content).collect::<Vec<_>>().is_empty()
        {
            obstacles.push(Obstacle::Refused(why.clone()));
        }
        if kind::refuses(&obstacles) {
            return Difference { obstacles, ..Difference::none() };
        }
        let file = have.entry.as_ref().filter(|it| matches!(it.shape, Shape::File { .. }));
        let new = if want.sensitive { NEW_SENSITIVE_FILE } else { NEW_FILE };
        let base = file.map_or(new, |it| it.mode);
        let mode = want.mode.as_ref().map_or(base, |it| it.of(base, false));
        let mut difference = Difference { obstacles, ..Difference::none() };
        if want.sensitive && want.mode.is_none() && mode.0 & 0o044 != 0 {
            difference.notes.push(format!("it is sensitive, and others may read it (mode {mode})"));
        }
        let Compared::Other { wanted, present } = &have.content else {
            difference.changes.extend(
                file.and_then(|it| {
                    Setting::of(&want.path, None, it, have.ids, Some(mode), &want.owners)
                })
                .map(|it| Change::SetAttributes(vec![it])),
            );
            return difference;
        };
        let (uid, gid) = match file {
            Some(it) => {
                (have.ids.owner.id().unwrap_or(it.uid), have.ids.group.id().unwrap_or(it.gid))
            }
            None => have.ids.of_new(have.folder.as_ref()),
        };
        let replaces = have.entry.as_ref().map_or(Seen::Nothing, paths::seen);
        let validate = want.validation();
        if validate.is_some() {
            difference.obstacles.push(Obstacle::Unknown("validation has not run".to_owned()));
        }
        difference.changes.push(Change::Write(vec![Writing {
            file: NewFile {
                path: want.path.clone(),
                content: Arc::clone(&wanted.0),
                uid,
                gid,
                mode,
                replaces,
                validate,
                keep: want.keep_backup,
                in_place: file.is_some_and(|it| it.mounted),
            },
            names: want.owners.clone(),
            below: None,
            was: file.map(|it| Was { size: size(it), uid: it.uid, gid: it.gid, mode: it.mode }),
            present: present.clone(),
            sensitive: want.sensitive,
            open: have.folder.as_ref().is_some_and(|it| it.open),
        }]));
        difference.notes.extend(not_kept(want, have.entry.as_ref()));
        difference
    }

    fn apply(batch: &[&[Change]], sys: &dyn Actuate) -> Vec<Applied> {
        paths::apply(batch, sys)
    }

    /// Content (where any is promised), owner, group and mode.
    fn fingerprint(have: &State) -> Fingerprint {
        let Some(entry) = &have.entry else {
            return Fingerprint { digest: paths::sha256(b"nothing"), changed: None };
        };
        let mut bytes = paths::words(&entry.shape).as_bytes().to_vec();
        bytes.extend(have.mark.unwrap_or_default());
        bytes.extend(entry.uid.to_le_bytes());
        bytes.extend(entry.gid.to_le_bytes());
        bytes.extend(entry.mode.0.to_le_bytes());
        Fingerprint { digest: paths::sha256(&bytes), changed: Some(entry.changed) }
    }

    fn describe(have: &State) -> Vec<(&'static str, String)> {
        let mut all = paths::describe(have.entry.as_ref());
        if let Some(entry) = &have.entry
            && matches!(entry.shape, Shape::File { .. })
            && !have.sensitive
        {
            all.push(("size", paths::thousands(size(entry))));
            if let Some(mark) = have.mark {
                all.push(("sha256", hex(&mark)));
            }
        }
        all
    }

    fn detail(change: &Change) -> Option<String> {
        paths::detail(change)
    }

    fn deletes(change: &Change) -> u64 {
        paths::deletes(change)
    }
}

/// One look for all; a second one for those whose content is another.
fn observe_with<S: files::Read + secrets::Read + ?Sized>(
    wants: &[&Desired],
    sys: &S,
    mut ids: impl FnMut(&Owners) -> Result<Ids, SystemError>,
) -> Vec<Result<State, SystemError>> {
    let mut vault = Vault::default();
    let targets: Vec<Target<'_>> =
        wants.iter().map(|want| Target::of(want, &mut vault, sys)).collect();
    let asked: Vec<(&AbsPath, Wanted)> =
        wants.iter().zip(&targets).map(|(want, target)| (&want.path, target.asks())).collect();
    let mut looks = sys.look(&asked);
    // What differs is looked at once more: for the difference, and to know what is replaced.
    let again: Vec<(usize, Wanted)> = (wants.iter().zip(&targets).zip(&looks).enumerate())
        .filter_map(|(at, ((want, target), look))| {
            Some((at, target.asks_again(want, look.as_ref().ok()?)?))
        })
        .collect();
    if !again.is_empty() {
        let asked: Vec<_> = again.iter().map(|(at, it)| (&wants[*at].path, *it)).collect();
        for ((at, _), look) in again.iter().zip(sys.look(&asked)) {
            looks[*at] = look;
        }
    }
    let own = sys.own_folders();
    (wants.iter().zip(targets).zip(looks))
        .map(|((want, target), look)| {
            let ids = ids(&want.owners)?;
            state(want, &target, look?, ids, &own, sys)
        })
        .collect()
}

/// The fields that say what the content is.
const SOURCES: &[&str] = &["content", "content_base64", "template", "source", "edits"];

fn lower_content(fields: &mut Fields<'_, '_, '_>) -> Option<Content> {
    let said: Vec<&str> = SOURCES.iter().copied().filter(|it| fields.has(it)).collect();
    if let [first, second, ..] = &*said {
        let span = fields.key_span(second);
        let message = format!("the content comes from `{first}` or from `{second}`, not from both");
        fields.error(codes::CONFLICTING_FIELDS, span, message);
        return None;
    }
    let plain = |bytes: Arc<[u8]>| Content::Plain {
        digest: paths::sha256(&bytes),
        bytes: paths::Promised::new(bytes),
    };
    match said.first().copied() {
        Some("content") => Some(of_rendered(fields.rendered("content")?)),
        Some("content_base64") => {
            let bytes = fields.parsed("content_base64", codes::BAD_VALUE, |text| {
                let text: String = text.chars().filter(|it| !it.is_ascii_whitespace()).collect();
                base64::engine::general_purpose::STANDARD
                    .decode(text)
                    .map_err(|err| format!("`content_base64` is not base64: {err}"))
            })?;
            Some(plain(Arc::from(bytes)))
        }
        Some("template") => {
            let path = fields.text("template")?;
            let variables = fields.node("variables");
            Some(of_rendered(fields.cx.render_template(&path, variables)?))
        }
        Some("source") => {
            let path = fields.text("source")?;
            let source = fields.cx.file(&path)?;
            let bytes = paths::Promised::new(Arc::clone(&source.bytes));
            Some(Content::Plain { bytes, digest: source.digest })
        }
        Some(_) => {
            let node = fields.node("edits")?;
            edit::lower(node, fields.cx).map(Content::Edits)
        }
        None => Some(Content::Unsaid),
    }
}

fn of_rendered(text: Rendered) -> Content {
    match text.as_plain() {
        Some(text) => Content::Plain {
            digest: paths::sha256(text.as_bytes()),
            bytes: paths::Promised::new(Arc::from(text)),
        },
        None => Content::Secret(text),
    }
}

fn lower_validation(fields: &mut Fields<'_, '_, '_>) -> Option<Arc<[Arc<str>]>> {
    let arguments = fields.texts("validate")?;
    let span = fields.node("validate").map_or(fields.span(), Node::span);
    if arguments.first().is_none_or(|it| it.value.is_empty()) {
        fields.error(codes::BAD_VALUE, span, "`validate` names no program");
    } else if !arguments.iter().skip(1).any(|it| it.value.contains("{file}")) {
        fields.error(codes::BAD_VALUE, span, "`validate` never names the file: put {file} in it");
    }
    if let Some(bad) = arguments.iter().find(|it| it.value.contains('\0')) {
        fields.error(codes::BAD_VALUE, bad.span, "an argument cannot have a NUL byte in it");
    }
    Some(arguments.into_iter().map(|it| it.value).collect())
}

/// The names of the secrets in a content.
fn secrets_of(content: &Content) -> impl Iterator<Item = &Arc<str>> {
    let (text, edits) = match content {
        Content::Secret(text) => (Some(text), None),
        Content::Edits(edits) => (None, Some(edits)),
        Content::Unsaid | Content::Plain { .. } => (None, None),
    };
    let values = edits.into_iter().flat_map(|it| it.iter()).filter_map(|it| match it {
        Edit::Key { value, .. } => value.as_ref(),
        Edit::Line { .. } | Edit::Block { .. } => None,
    });
    text.into_iter().chain(values).flat_map(Rendered::secrets)
}

/// Secrets that have been asked for in one batch, or why they cannot be had.
#[derive(Default)]
struct Vault(BTreeMap<Arc<str>, Result<Secret, String>>);

impl Vault {
    fn all<'a, S: secrets::Read + ?Sized>(
        &mut self,
        names: impl Iterator<Item = &'a Arc<str>>,
        sys: &S,
    ) -> Result<BTreeMap<Arc<str>, Secret>, String> {
        let mut all = BTreeMap::new();
        for name in names {
            let found = self.0.entry(Arc::clone(name)).or_insert_with(|| {
                // The error names the secret.
                sys.secret(name).map_err(|err| err.chain().join(": "))
            });
            all.insert(Arc::clone(name), found.clone()?);
        }
        Ok(all)
    }
}

/// What is wanted of the content, with the secrets in it: for the time of a look.
enum Target<'a> {
    Unsaid,
    Absent,
    Whole { bytes: paths::Promised, digest: Digest },
    Edits { edits: &'a [Edit], secrets: BTreeMap<Arc<str>, Secret> },
    Refused(String),
}

impl<'a> Target<'a> {
    fn of<S: secrets::Read + ?Sized>(want: &'a Desired, vault: &mut Vault, sys: &S) -> Target<'a> {
        if want.absent {
            return Target::Absent;
        }
        let secrets = match vault.all(secrets_of(&want.content), sys) {
            Ok(secrets) => secrets,
            Err(why) => return Target::Refused(why),
        };
        match &want.content {
            Content::Unsaid => Target::Unsaid,
            Content::Plain { bytes, digest } => {
                Target::Whole { bytes: bytes.clone(), digest: *digest }
            }
            Content::Secret(text) => {
                let mut bytes = vec![];
                for piece in &*text.pieces {
                    match piece {
                        Piece::Plain(text) => bytes.extend_from_slice(text.as_bytes()),
                        Piece::Secret(name) => {
                            bytes.extend_from_slice(secrets.get(name).map_or(&[], Secret::reveal));
                        }
                    }
                }
                let digest = paths::sha256(&bytes);
                Target::Whole { digest, bytes: paths::Promised::new(Arc::from(bytes)) }
            }
            Content::Edits(edits) => Target::Edits { edits, secrets },
        }
    }

    fn asks(&self) -> Wanted {
        match self {
            Target::Whole { bytes, .. } => Wanted::DigestIfSize(bytes.size()),
            Target::Edits { .. } => Wanted::Bytes,
            Target::Absent | Target::Refused(_) => Wanted::Digest,
            Target::Unsaid => Wanted::Nothing,
        }
    }

    /// What is asked once more about a file that is another one.
    fn asks_again(&self, want: &Desired, look: &Look) -> Option<Wanted> {
        let Target::Whole { bytes, digest } = self else { return None };
        let entry = look.entry.as_ref()?;
        let Shape::File { size, content } = &entry.shape else { return None };
        match content {
            files::Content::Digest(there) if there == digest => return None,
            files::Content::Bytes(_) | files::Content::TooLarge => return None,
            files::Content::Digest(_) | files::Content::NotRead => {}
        }
        let shown = want.replace
            && !want.sensitive
            && *size <= SHOWN
            && bytes.size() <= SHOWN
            && !paths::is_foreign_link(entry, look.folder.as_ref());
        match content {
            _ if shown => Some(Wanted::Bytes),
            files::Content::NotRead => Some(Wanted::Digest),
            files::Content::Digest(_) | files::Content::Bytes(_) | files::Content::TooLarge => None,
        }
    }
}

fn state<S: secrets::Read + ?Sized>(
    want: &Desired,
    target: &Target<'_>,
    look: Look,
    ids: Ids,
    own: &[OwnFolder],
    sys: &S,
) -> Result<State, SystemError> {
    let ours = paths::is_ours(&want.path, look.entry.as_ref(), own);
    let content = compare(want, target, &look);
    let Look { folder, mut entry } = look;
    let mut mark = None;
    if let Some(Entry { shape: Shape::File { content, .. }, .. }) = &mut entry {
        if let files::Content::Bytes(bytes) = content {
            *content = files::Content::Digest(paths::sha256(bytes));
        }
        if let files::Content::Digest(digest) = content {
            mark = Some(if want.sensitive { sys.keyed_digest(&*digest)? } else { *digest });
        }
    }
    Ok(State { folder, entry, ids, content, mark, sensitive: want.sensitive, ours })
}

/// Compares what is there with what is wanted.
fn compare(want: &Desired, target: &Target<'_>, look: &Look) -> Compared {
    let file = look.entry.as_ref().and_then(|it| match &it.shape {
        Shape::File { content, .. } => Some((it, content)),
        Shape::Directory | Shape::Link { .. } | Shape::Socket | Shape::Fifo | Shape::Device => None,
    });
    match target {
        Target::Unsaid | Target::Absent => Compared::Unsaid,
        Target::Refused(why) => Compared::Refused(why.clone()),
        Target::Whole { bytes, digest } => {
            let other = |present| match bytes.bytes() {
                Some(bytes) => Compared::Other { wanted: Bytes(Arc::clone(bytes)), present },
                None => Compared::Refused(paths::ONLY_REMEMBERED.to_owned()),
            };
            match file {
                Some(_) if !want.replace => Compared::Same,
                Some((_, files::Content::Digest(it))) if it == digest => Compared::Same,
                Some((_, files::Content::Bytes(it))) if paths::sha256(it) == *digest => {
                    Compared::Same
                }
                Some((_, files::Content::Bytes(it))) => {
                    other((!want.sensitive).then(|| Bytes(Arc::clone(it))))
                }
                Some((_, _)) | None => other(None),
            }
        }
        Target::Edits { edits, secrets } => {
            let present = match file {
                Some((entry, _)) if paths::is_foreign_link(entry, look.folder.as_ref()) => {
                    return Compared::Refused(
                        "it has several hard links, in a folder that others can write: it may be another's file"
                            .to_owned(),
                    );
                }
                Some((_, files::Content::Bytes(bytes))) => Some(bytes),
                Some((_, _)) => {
                    return Compared::Refused("it is too large to be edited".to_owned());
                }
                None => None,
            };
            if present.is_none() && !want.create {
                return Compared::Refused(match &look.entry {
                    Some(entry) => format!("{} is in the way", paths::words(&entry.shape)),
                    None => "there is no file to edit, and `create` is not true".to_owned(),
                });
            }
            match edit::apply(edits, secrets, present.map_or(&[], |it| &**it)) {
                Err(why) => Compared::Refused(why),
                Ok(new) => match present {
                    Some(bytes) if **bytes == *new => Compared::Same,
                    Some(bytes) => {
                        let shown = !want.sensitive
                            && bytes.len() as u64 <= SHOWN
                            && new.len() as u64 <= SHOWN;
                        Compared::Other {
                            wanted: Bytes(Arc::from(new)),
                            present: shown.then(|| Bytes(Arc::clone(bytes))),
                        }
                    }
                    None => Compared::Other { wanted: Bytes(Arc::from(new)), present: None },
                },
            }
        }
    }
}

fn size(entry: &Entry) -> u64 {
    match entry.shape {
        Shape::File { size, .. } => size,
        Shape::Directory | Shape::Link { .. } | Shape::Socket | Shape::Fifo | Shape::Device => 0,
    }
}

/// Why the promise cannot be kept as things are, whatever an earlier step brings.
fn refusal(want: &Desired, have: &State) -> Option<String> {
    if let Compared::Refused(why) = &have.content {
        return Some(why.clone());
    }
    let writes = matches!(have.content, Compared::Other { .. });
    let Some(entry) = &have.entry else {
        return (!writes)
            .then(|| "there is no such file, and the promise says nothing to make".to_owned());
    };
    let what = paths::words(&entry.shape);
    match entry.shape {
        Shape::File { .. } => {
            let only = !writes && paths::is_foreign_link(entry, have.folder.as_ref());
            let changed = Setting::of(
                &want.path,
                None,
                entry,
                have.ids,
                want.mode.as_ref().map(|it| it.of(entry.mode, false)),
                &want.owners,
            );
            (only && changed.is_some()).then(|| {
                "it has several hard links, in a folder that others can write: it may be another's file"
                    .to_owned()
            })
        }
        _ if !writes => Some(format!("{what} is in the way, and the promise says nothing to make")),
        Shape::Link { .. } if want.replace || want.force => None,
        Shape::Link { .. } => Some(format!("{what} is in the way, and `replace` is false")),
        _ if entry.mounted => Some(format!("{what} is in the way, and something is mounted there")),
        Shape::Directory | Shape::Socket | Shape::Fifo | Shape::Device => {
            (!want.force).then(|| format!("{what} is in the way (`force: true` removes it)"))
        }
    }
}

fn remove(want: &Desired, seen: &Seen) -> Removal {
    Removal {
        path: want.path.clone(),
        below: None,
        seen: seen.clone(),
        whole: *seen == Seen::Directory,
        keep: want.keep_backup,
        count: 1,
    }
}

fn plan_absent(want: &Desired, have: &State) -> Difference<Change> {
    let Some(entry) = &have.entry else { return Difference::none() };
    let what = paths::words(&entry.shape);
    if entry.mounted {
        return Difference::refused(format!("{what} is there, and something is mounted on it"));
    }
    match entry.shape {
        Shape::File { .. } | Shape::Link { .. } => {}
        Shape::Directory | Shape::Socket | Shape::Fifo | Shape::Device if want.force => {}
        Shape::Directory | Shape::Socket | Shape::Fifo | Shape::Device => {
            return Difference::refused(format!("{what} is there (`force: true` removes it)"));
        }
    }
    let mut difference =
        Difference::of(vec![Change::Remove(vec![remove(want, &paths::seen(entry))])]);
    difference.notes.extend(not_kept(want, Some(entry)));
    difference
}

/// That what goes is not kept, where it was to be.
fn not_kept(want: &Desired, entry: Option<&Entry>) -> Option<String> {
    entry.filter(|_| want.keep_backup).and_then(paths::not_kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::Who;
    use crate::paths::tests::{abs, bad, check_example, entry, file, folder, link, lower, show};
    use expect_test::{Expect, expect};
    use std::sync::Mutex;
    use steadfast_system::ErrorKind;
    use steadfast_system::files::{Mode, TreeEntry};

    fn want(text: &str) -> Desired {
        lower::<File>(text, &[("files/motd", "from the model\n"), ("servers/t.j2", "text\n")])
            .unwrap()
    }

    #[test]
    fn what_is_wrong_with_a_promise_is_said() {
        bad::<File>(
            "etc/motd: present",
            expect![[r#"
            bad-path at 1:1: `etc/motd` is not an absolute path: it must begin with `/`
        "#]],
        );
        bad::<File>(
            "/: present",
            expect![[r#"
            bad-path at 1:1: `/` is not a file
        "#]],
        );
        bad::<File>(
            "/proc/sys/x: { content: a }",
            expect![[r#"
            bad-path at 1:1: `/proc/sys/x` belongs to the kernel: nothing is promised below /proc
        "#]],
        );
        bad::<File>(
            "/var/lib/steadfast/x: absent",
            expect![[r#"
            bad-path at 1:1: `/var/lib/steadfast/x` lies in the state directory of this program, /var/lib/steadfast
        "#]],
        );
        bad::<File>(
            "/x: gone",
            expect![[r#"
            bad-value at 1:5: a file cannot be `gone`
        "#]],
        );
        bad::<File>(
            "/x: { mode: 0644 }",
            expect![[r#"
                yaml-trap at 1:13: `0644` is octal to some readers of YAML and not to others
            "#]],
        );
        bad::<File>(
            "/x: { mode: \"0999\", owner: \"a b\", group: 7, stat: present }",
            expect![[r#"
                unknown-field at 1:45: `file` has no field `stat`
                bad-name at 1:28: `a b` is not a user name: it has a `:`, `/`, `,`, space or control character
                unquoted at 1:42: `group` is an integer, not text
                bad-mode at 1:13: `0999` is not a mode: octal digits go from 0 to 7
            "#]],
        );
        bad::<File>(
            "/x: { content: a, source: b }",
            expect![[r#"
            conflicting-fields at 1:19: the content comes from `content` or from `source`, not from both
        "#]],
        );
        bad::<File>(
            "/x: { content_base64: \"a!\" }",
            expect![[r#"
            bad-value at 1:23: `content_base64` is not base64: Invalid symbol 33, offset 1.
        "#]],
        );
        bad::<File>(
            "/x: { source: nowhere }",
            expect![[r#"
            unknown-file at 1:15: the model has no file `nowhere`
        "#]],
        );
        bad::<File>(
            "/x: { mode: \"0644\", variables: {}, create: true, validate: [a, \"{file}\"] }",
            expect![[r#"
                conflicting-fields at 1:21: `variables` are for a `template`
                conflicting-fields at 1:36: `create` is for `edits`
                conflicting-fields at 1:50: `validate` needs a content that it checks
            "#]],
        );
        bad::<File>(
            "/x: { edits: [{ line: a }], replace: false }",
            expect![[r#"
            conflicting-fields at 1:29: `replace` is not for `edits`
        "#]],
        );
        bad::<File>(
            "/x: { content: a, validate: [visudo, -c] }",
            expect![[r#"
            bad-value at 1:29: `validate` never names the file: put {file} in it
        "#]],
        );
        bad::<File>(
            "/x: { content: a, validate: [] }",
            expect![[r#"
            bad-value at 1:29: `validate` names no program
        "#]],
        );
        bad::<File>(
            "/x: { content: { secret: ../x } }",
            expect![[r#"
            bad-name at 1:26: `../x` is not the name of a secret
        "#]],
        );
        bad::<File>(
            "/x: { owner: { secret: x } }",
            expect![[r#"
            misplaced-secret at 1:14: a secret cannot stand in `owner`: its value would be seen
        "#]],
        );
    }

    #[test]
    fn that_a_large_content_is_not_kept_is_said() {
        let mut have = at(Some(paths::tests::large_file()), Compared::Unsaid);
        plans(
            "/x: absent",
            &have,
            expect![[r#"
            remove file
            note: its content is larger than 16 MiB and will not be kept
        "#]],
        );
        plans(
            "/x: { state: absent, keep_backup: false }",
            &have,
            expect![[r#"
            remove file
        "#]],
        );
        have.content = other("new", None);
        plans(
            "/x: { content: new }",
            &have,
            expect![[r#"
            write 3 bytes (was 16,777,217)
            note: its content is larger than 16 MiB and will not be kept
        "#]],
        );
    }

    #[test]
    fn what_is_wrong_with_an_edit_is_said() {
        let edits = |text: &str, expected: Expect| {
            bad::<File>(&format!("/x: {{ edits: {text} }}"), expected);
        };
        edits(
            "[]",
            expect![[r#"
            bad-value at 1:14: `edits` is empty, so it says nothing
        "#]],
        );
        edits(
            "[{ after: x }]",
            expect![[r#"
            missing-field at 1:15: an edit needs one of the fields `line`, `block` and `key`
        "#]],
        );
        edits(
            "[{ line: a, key: b }]",
            expect![[r#"
            conflicting-fields at 1:26: an edit has only one of the fields `line`, `block` and `key`
        "#]],
        );
        edits(
            "[{ line: a, section: b }, { line: b, match: \"(\" }]",
            expect![[r#"
            conflicting-fields at 1:26: `section` says nothing about a line
            bad-value at 1:58: `(` is not a regular expression: found open group without closing ')'
        "#]],
        );
        edits(
            "[{ line: a, after: x, before: y }]",
            expect![[r#"
            conflicting-fields at 1:36: `after` and `before` exclude each other
        "#]],
        );
        edits(
            "[{ line: a, all: true }]",
            expect![[r#"
            conflicting-fields at 1:26: `all` needs `match`
        "#]],
        );
        edits(
            "[{ line: \"a\\nb\" }]",
            expect![[r#"
            bad-value at 1:23: a line cannot have a line break in it
        "#]],
        );
        edits(
            "[{ match: a }]",
            expect![[r#"
            missing-field at 1:15: `edit` needs the field `line`
        "#]],
        );
        edits(
            "[{ block: a }, { name: x }]",
            expect![[r#"
            missing-field at 1:15: `edit` needs the field `name`
            missing-field at 1:29: `edit` needs the field `block`
        "#]],
        );
        edits(
            "[{ block: \"# END steadfast y\", name: x }]",
            expect![[r#"
            bad-value at 1:24: a block cannot have the marker of a block in it
        "#]],
        );
        edits(
            "[{ block: a, name: \"x\\n\" }]",
            expect![[r#"
            bad-name at 1:33: `x\n` is not the name of a block: it is empty, has space around it, or a control character in it
        "#]],
        );
        edits(
            "[{ key: a }, { key: \"a=b\", value: c }, { key: \"#a\", value: c }]",
            expect![[r#"
            missing-field at 1:15: `edit` needs the field `value`
            bad-value at 1:34: the key `a=b` has the separator in it
            bad-value at 1:60: the key `#a` would be read as a section or a comment
        "#]],
        );
        edits(
            "[{ key: a, value: \"b\\nc\" }, { key: a, value: b, absent: true }]",
            expect![[r#"
            bad-value at 1:32: a value has only one line
            conflicting-fields at 1:52: a key that is absent has no `value`
        "#]],
        );
        edits(
            "[{ line: { secret: x } }]",
            expect![[r#"
            misplaced-secret at 1:23: a secret cannot stand in `line`: its value would be seen
        "#]],
        );
    }

    #[test]
    fn the_example_in_the_documentation_is_right() {
        let files = [("templates/nginx.conf.j2", "")];
        check_example::<File>(include_str!("file.rs"), &files);
    }

    #[test]
    fn the_content_comes_from_many_places() {
        let digest = |text: &str| Some(paths::sha256(text.as_bytes()));
        assert_eq!(want("/x: { content: \"a\\n\" }").digest(), digest("a\n"));
        assert_eq!(want("/x: { content: \"\" }").digest(), digest(""));
        assert_eq!(want("/x: { content_base64: \"YQ==\\n\" }").digest(), digest("a"));
        assert_eq!(want("/x: { source: files/motd }").digest(), digest("from the model\n"));
        assert_eq!(want("/x: { template: t.j2 }").digest(), digest("text\n"));
        assert_eq!(want("/x: { mode: \"0600\" }").digest(), None);
        assert!(want("/x: absent").absent);
        assert!(want("/x: { state: absent }").absent);
    }

    #[test]
    fn a_file_with_a_secret_is_sensitive_as_a_whole() {
        for text in [
            "/x: { content: { secret: a/b } }",
            "/x: { edits: [{ key: a, value: { secret: b } }] }",
            "/x: { content: a, sensitive: true }",
            "/x: { content: { secret: a }, sensitive: false }",
        ] {
            let want = want(text);
            assert!(want.is_sensitive() && !want.keep_backup, "{text}");
        }
        assert!(want("/x: { content: { secret: a }, keep_backup: true }").keep_backup);
        assert!(want("/x: { content: a }").keep_backup);
    }

    #[test]
    fn a_promise_names_what_it_owns_and_needs() {
        let want = want("/srv/x: { owner: deploy, group: www-data }");
        assert_eq!(File::claims(&want), [Identity::Path(abs("/srv/x"))]);
        let uses: Vec<_> = File::uses(&want).iter().map(Identity::to_string).collect();
        assert_eq!(uses, ["/srv", "user deploy", "group www-data"]);
    }

    fn other(wanted: &str, present: Option<&str>) -> Compared {
        let bytes = |text: &str| Bytes(Arc::from(text.as_bytes()));
        Compared::Other { wanted: bytes(wanted), present: present.map(bytes) }
    }

    fn at(entry: Option<Entry>, content: Compared) -> State {
        State {
            folder: folder(),
            entry,
            ids: Ids::default(),
            content,
            mark: None,
            sensitive: false,
            ours: None,
        }
    }

    #[test]
    fn what_is_ours_is_no_target() {
        let machine = Machine { files: BTreeMap::new(), ..Machine::default() };
        for (text, ours) in [
            ("/x/own/a: { content: a }", true),
            ("/x/own/a: absent", true),
            ("/x/settings/a: { content: a }", false),
        ] {
            let want = want(text);
            let have = observe_with(&[&want], &machine, |_| Ok(Ids::default())).remove(0).unwrap();
            let refused = kind::refuses(&File::plan(&want, &have).obstacles);
            assert_eq!(refused, ours, "{text}");
        }
    }

    #[track_caller]
    fn plans(text: &str, have: &State, expected: Expect) -> Difference<Change> {
        let difference = File::plan(&want(text), have);
        expected.assert_eq(&show(&difference));
        difference
    }

    #[track_caller]
    fn written(difference: &Difference<Change>) -> NewFile {
        let Some(Change::Write(all)) = difference.changes.last() else { panic!("nothing written") };
        all[0].file.clone()
    }

    #[test]
    fn a_missing_file_is_written() {
        let new = plans(
            "/x: { content: hello }",
            &at(None, other("hello", None)),
            expect![[r#"
            write 5 bytes (new, mode 0644)
        "#]],
        );
        let file = written(&new);
        assert_eq!(
            (file.uid, file.gid, file.mode, &file.replaces),
            (0, 0, Mode(0o644), &Seen::Nothing)
        );
        let mut have = at(None, other("hello", None));
        have.folder = Some(Folder { uid: 5, gid: 6, mode: Mode(0o2775), open: true });
        let new = File::plan(&want("/x: { content: hello, mode: g+w }"), &have);
        let file = written(&new);
        assert_eq!((file.uid, file.gid, file.mode), (0, 6, Mode(0o664)));
        plans(
            "/x: { content: hello, sensitive: true }",
            &at(None, other("hello", None)),
            expect![[r#"
            write sensitive content (new, mode 0600)
        "#]],
        );
        plans(
            "/x: { mode: \"0600\" }",
            &at(None, Compared::Unsaid),
            expect![[r#"
            refused: there is no such file, and the promise says nothing to make
        "#]],
        );
    }

    #[test]
    fn other_content_is_replaced_and_what_is_not_said_stays() {
        let mut there = file("old", 0o640);
        (there.uid, there.gid) = (5, 6);
        let have = at(Some(there), other("hello", Some("old")));
        let new = plans(
            "/x: { content: hello }",
            &have,
            expect![[r#"
            write 5 bytes (was 3)
        "#]],
        );
        let file = written(&new);
        assert_eq!((file.uid, file.gid, file.mode, file.keep), (5, 6, Mode(0o640), true));
        assert_eq!(file.replaces, Seen::File { digest: paths::sha256(b"old") });
        expect![[r#"
            --- /x (is)
            +++ /x (promised)
            @@ -1 +1 @@
            -old
            \ No newline at end of file
            +hello
            \ No newline at end of file
        "#]]
        .assert_eq(&File::detail(&new.changes[0]).unwrap());
        plans(
            "/x: { content: hello, mode: \"0600\" }",
            &have,
            expect![[r#"
            write 5 bytes (was 3), mode 0640 -> 0600
        "#]],
        );
        plans(
            "/x: { content: hello, validate: [check, \"{file}\"] }",
            &have,
            expect![[r#"
            write 5 bytes (was 3)
            unknown: validation has not run
        "#]],
        );
        let secret = "/x: { content: { secret: a } }";
        let new = plans(
            secret,
            &have,
            expect![[r#"
            write sensitive content
            note: it is sensitive, and others may read it (mode 0640)
        "#]],
        );
        assert!(!written(&new).keep);
        assert_eq!(File::detail(&new.changes[0]), None);
    }

    #[test]
    fn what_is_as_promised_is_kept() {
        let have = at(Some(file("hello", 0o644)), Compared::Same);
        for text in [
            "/x: { content: hello }",
            "/x: { content: hello, mode: \"0644\", validate: [check, \"{file}\"] }",
            "/x: { content: hello, mode: \"u=rw,go=r\" }",
        ] {
            assert!(File::plan(&want(text), &have).is_kept(), "{text}");
        }
        let have = at(Some(file("hello", 0o644)), Compared::Unsaid);
        assert!(File::plan(&want("/x: present"), &have).is_kept());
        assert!(File::plan(&want("/x: absent"), &at(None, Compared::Unsaid)).is_kept());
    }

    #[test]
    fn attributes_are_set_without_the_content() {
        let mut have = at(Some(file("hello", 0o644)), Compared::Same);
        have.ids = Ids { owner: Who::Id(5), group: Who::Id(0) };
        plans(
            "/x: { content: hello, owner: deploy, group: root, mode: go-r }",
            &have,
            expect![[r#"
            set mode 0644 -> 0600, owner root -> deploy
        "#]],
        );
        // A private file does not become readable by a mode that only takes.
        let have = at(Some(file("hello", 0o600)), Compared::Unsaid);
        assert!(File::plan(&want("/x: { mode: go-w }"), &have).is_kept());
    }

    #[test]
    fn what_is_missing_may_still_come() {
        let mut have = at(None, other("hello", None));
        have.folder = None;
        have.ids = Ids { owner: Who::Missing, group: Who::Missing };
        plans(
            "/srv/x: { content: hello, owner: deploy, group: www }",
            &have,
            expect![[r#"
                write 5 bytes (new, deploy:www, mode 0644)
                missing: user deploy
                missing: group www
                missing: /srv
            "#]],
        );
        let mut have = at(None, Compared::Unsaid);
        have.folder = None;
        plans(
            "/srv/x: { mode: \"0644\" }",
            &have,
            expect![[r#"
            missing: /srv
        "#]],
        );
        let have = at(None, Compared::Refused("read the secret a: it is not there".to_owned()));
        plans(
            "/x: { content: { secret: a } }",
            &have,
            expect![[r#"
            refused: read the secret a: it is not there
        "#]],
        );
    }

    #[test]
    fn a_link_gives_way_and_other_things_do_not() {
        let have = at(Some(link("/etc/passwd")), other("hello", None));
        let new = plans(
            "/x: { content: hello }",
            &have,
            expect![[r#"
            write 5 bytes in the place of a symbolic link
        "#]],
        );
        assert_eq!(written(&new).replaces, Seen::Link { target: Arc::from("/etc/passwd") });
        // What stood there says nothing about the new file's mode.
        assert_eq!(written(&new).mode, Mode(0o644));
        plans(
            "/x: { content: hello, replace: false }",
            &have,
            expect![[r#"
            refused: a symbolic link is in the way, and `replace` is false
        "#]],
        );
        let have = at(Some(link("/etc/passwd")), Compared::Unsaid);
        plans(
            "/x: { mode: \"0644\", force: true }",
            &have,
            expect![[r#"
            refused: a symbolic link is in the way, and the promise says nothing to make
        "#]],
        );
        for (shape, words) in [
            (Shape::Directory, "a directory"),
            (Shape::Socket, "a socket"),
            (Shape::Fifo, "a fifo"),
            (Shape::Device, "a device"),
        ] {
            let mut have = at(Some(entry(shape, 0o755)), other("hello", None));
            assert_eq!(
                File::plan(&want("/x: { content: hello }"), &have),
                Difference::refused(format!("{words} is in the way (`force: true` removes it)"))
            );
            let forced = File::plan(&want("/x: { content: hello, force: true }"), &have);
            assert!(matches!(written(&forced).replaces, Seen::Directory | Seen::Other));
            assert_eq!(File::deletes(&forced.changes[0]), 1);
            have.entry.as_mut().unwrap().mounted = true;
            assert_eq!(
                File::plan(&want("/x: { content: hello, force: true }"), &have),
                Difference::refused(format!(
                    "{words} is in the way, and something is mounted there"
                ))
            );
        }
    }

    #[test]
    fn a_file_that_is_mounted_is_written_in_place() {
        let mut there = file("old", 0o644);
        there.mounted = true;
        let new =
            File::plan(&want("/x: { content: hello }"), &at(Some(there), other("hello", None)));
        assert!(written(&new).in_place);
    }

    #[test]
    fn a_hard_link_where_others_can_write_is_left_alone() {
        let mut there = file("x", 0o644);
        there.links = 2;
        let mut have = at(Some(there), Compared::Unsaid);
        assert_eq!(File::plan(&want("/x: { mode: \"0600\" }"), &have).changes.len(), 1);
        have.folder.as_mut().unwrap().open = true;
        plans(
            "/x: { mode: \"0600\" }",
            &have,
            expect![[r#"
            refused: it has several hard links, in a folder that others can write: it may be another's file
        "#]],
        );
        assert!(File::plan(&want("/x: { mode: \"0644\" }"), &have).is_kept());
        // A new file takes its place, so nothing is done to the other one.
        have.content = other("hello", None);
        assert_eq!(File::plan(&want("/x: { content: hello }"), &have).changes.len(), 1);
    }

    #[test]
    fn an_absent_file_is_removed() {
        let gone = plans(
            "/x: absent",
            &at(Some(file("a", 0o644)), Compared::Unsaid),
            expect![[r#"
            remove file
        "#]],
        );
        assert_eq!(File::deletes(&gone.changes[0]), 1);
        plans(
            "/x: absent",
            &at(Some(link("y")), Compared::Unsaid),
            expect![[r#"
            remove symbolic link
        "#]],
        );
        let folder = at(Some(entry(Shape::Directory, 0o755)), Compared::Unsaid);
        plans(
            "/x: absent",
            &folder,
            expect![[r#"
            refused: a directory is there (`force: true` removes it)
        "#]],
        );
        plans(
            "/x: { state: absent, force: true }",
            &folder,
            expect![[r#"
            remove directory
        "#]],
        );
        let mut there = file("a", 0o644);
        there.mounted = true;
        plans(
            "/x: absent",
            &at(Some(there), Compared::Unsaid),
            expect![[r#"
            refused: a regular file is there, and something is mounted on it
        "#]],
        );
    }

    /// Files and secrets of a machine; what is asked of it is noted.
    #[derive(Debug, Default)]
    struct Machine {
        files: BTreeMap<&'static str, (Entry, &'static str)>,
        open: bool,
        asked: Mutex<Vec<(String, Wanted)>>,
    }

    impl files::Read for Machine {
        fn look(&self, wanted: &[(&AbsPath, Wanted)]) -> Vec<Result<Look, SystemError>> {
            let look = |(path, wanted): &(&AbsPath, Wanted)| {
                self.asked.lock().unwrap().push((path.to_string(), *wanted));
                let mut found = folder();
                found.as_mut().unwrap().open = self.open;
                let Some((entry, text)) = self.files.get(path.as_str()) else {
                    return Ok(Look { folder: found, entry: None });
                };
                let mut entry = entry.clone();
                if let Shape::File { size, content } = &mut entry.shape {
                    let digest = files::Content::Digest(paths::sha256(text.as_bytes()));
                    *content = match wanted {
                        Wanted::Nothing => files::Content::NotRead,
                        Wanted::DigestIfSize(other) if other != size => files::Content::NotRead,
                        Wanted::DigestIfSize(_) | Wanted::Digest => digest,
                        Wanted::Bytes if text.len() > 100 => files::Content::TooLarge,
                        Wanted::Bytes => files::Content::Bytes(Arc::from(text.as_bytes())),
                    };
                }
                Ok(Look { folder: found, entry: Some(entry) })
            };
            wanted.iter().map(look).collect()
        }
        fn own_folders(&self) -> Vec<OwnFolder> {
            paths::tests::own_folders()
        }
        fn tree(
            &self,
            _: &AbsPath,
            _: &dyn Fn(&str) -> Option<u64>,
        ) -> Result<Vec<TreeEntry>, SystemError> {
            Ok(vec![])
        }
        fn kept(&self, _: &Digest) -> Result<Option<Vec<u8>>, SystemError> {
            Ok(None)
        }
    }

    impl secrets::Read for Machine {
        fn secret(&self, name: &str) -> Result<Secret, SystemError> {
            match name {
                "known" => Ok(Secret::new(b"hunter2".to_vec())),
                _ => Err(SystemError::new(ErrorKind::Other, "it is not there")
                    .during(format!("read the secret {name}"))),
            }
        }
        fn keyed_digest(&self, content: &[u8]) -> Result<[u8; 32], SystemError> {
            Ok(paths::sha256(&[b"key", content].concat()))
        }
    }

    impl Machine {
        fn with(files: &[(&'static str, &'static str)]) -> Machine {
            let files = files.iter().map(|(path, text)| (*path, (file(text, 0o644), *text)));
            Machine { files: files.collect(), ..Machine::default() }
        }

        fn states(&self, wants: &[Desired]) -> Vec<State> {
            let wants: Vec<&Desired> = wants.iter().collect();
            let states = observe_with(&wants, self, |_| Ok(Ids::default()));
            states.into_iter().map(Result::unwrap).collect()
        }

        fn asked(&self) -> Vec<(String, Wanted)> {
            std::mem::take(&mut *self.asked.lock().unwrap())
        }
    }

    #[test]
    fn what_is_equal_is_read_once_and_not_held() {
        let machine = Machine::with(&[("/same", "hello"), ("/size", "hell"), ("/other", "HELLO")]);
        let wants = ["/same", "/size", "/other", "/none"];
        let wants = wants.map(|it| want(&format!("{it}: {{ content: hello }}")));
        let states = machine.states(&wants);
        let contents: Vec<_> = states.into_iter().map(|it| it.content).collect();
        assert_eq!(
            contents,
            [
                Compared::Same,
                other("hello", Some("hell")),
                other("hello", Some("HELLO")),
                other("hello", None),
            ]
        );
        let first = Wanted::DigestIfSize(5);
        let asked = |path: &str, wanted| (path.to_owned(), wanted);
        assert_eq!(
            machine.asked(),
            [
                asked("/same", first),
                asked("/size", first),
                asked("/other", first),
                asked("/none", first),
                asked("/size", Wanted::Bytes),
                asked("/other", Wanted::Bytes),
            ]
        );
    }

    #[test]
    fn nothing_of_a_sensitive_file_is_held_for_showing() {
        let machine = Machine::with(&[("/a", "hunter2"), ("/b", "other"), ("/c", "hunter3")]);
        let wants = ["/a", "/b", "/c"];
        let wants = wants.map(|it| want(&format!("{it}: {{ content: {{ secret: known }} }}")));
        let states = machine.states(&wants);
        assert_eq!(states[0].content, Compared::Same);
        assert_eq!(states[1].content, other("hunter2", None));
        assert_eq!(states[2].content, other("hunter2", None));
        // Known by a keyed digest alone.
        let plain = paths::sha256(b"hunter2");
        assert_eq!(states[0].mark, Some(paths::sha256(&[&b"key"[..], &plain].concat())));
        assert!(machine.asked().iter().all(|(_, wanted)| *wanted != Wanted::Bytes));
        for (want, state) in wants.iter().zip(&states) {
            let plan = File::plan(want, state);
            let words = format!("{want:?} {plan:?} {} {:?}", show(&plan), File::describe(state));
            assert!(!words.contains("hunter") && !words.contains("104, 117"), "{words}");
            assert!(plan.changes.iter().all(|it| File::detail(it).is_none()));
        }
        // What is removed is as secret as what was written.
        assert!(!want("/a: { state: absent, content: { secret: known } }").keep_backup);
    }

    #[test]
    fn a_secret_that_is_missing_is_this_promises_matter() {
        let machine = Machine::with(&[("/b", "hello")]);
        let wants = [want("/a: { content: { secret: unknown } }"), want("/b: { content: hello }")];
        let states = machine.states(&wants);
        assert_eq!(
            states[0].content,
            Compared::Refused("read the secret unknown: it is not there".to_owned())
        );
        assert!(File::plan(&wants[1], &states[1]).is_kept());
    }

    #[test]
    fn edits_are_compared_with_what_is_there() {
        let machine = Machine::with(&[("/a", "x\n"), ("/b", "x\nhello\n"), ("/c", LARGE)]);
        let text = |path: &str, more: &str| {
            want(&format!("{path}: {{ edits: [{{ line: hello }}]{more} }}"))
        };
        let wants = [
            text("/a", ""),
            text("/b", ""),
            text("/c", ""),
            text("/d", ""),
            text("/e", ", create: true"),
        ];
        let contents: Vec<_> = machine.states(&wants).into_iter().map(|it| it.content).collect();
        assert_eq!(
            contents,
            [
                other("x\nhello\n", Some("x\n")),
                Compared::Same,
                Compared::Refused("it is too large to be edited".to_owned()),
                Compared::Refused("there is no file to edit, and `create` is not true".to_owned()),
                other("hello\n", None),
            ]
        );
    }

    const LARGE: &str = "a long text a long text a long text a long text a long text a long text a long text a long text a long text";

    #[test]
    fn another_mans_file_is_not_read_through_a_hard_link() {
        let mut machine = Machine::with(&[("/a", "secret"), ("/b", "secret")]);
        machine.open = true;
        machine.files.values_mut().for_each(|(entry, _)| entry.links = 2);
        let wants = [want("/a: { content: hello }"), want("/b: { edits: [{ line: a }] }")];
        let states = machine.states(&wants);
        assert_eq!(states[0].content, other("hello", None));
        assert!(matches!(&states[1].content, Compared::Refused(_)));
    }

    #[test]
    fn a_content_for_a_missing_file_only_leaves_the_one_that_is_there() {
        let machine = Machine::with(&[("/a", "mine")]);
        let wants = [
            want("/a: { content: hello, replace: false }"),
            want("/b: { content: hello, replace: false }"),
        ];
        let states = machine.states(&wants);
        assert!(File::plan(&wants[0], &states[0]).is_kept());
        assert_eq!(show(&File::plan(&wants[1], &states[1])), "write 5 bytes (new, mode 0644)\n");
        assert!(states[0].mark.is_some());
    }

    #[test]
    fn a_fingerprint_is_of_content_and_attributes() {
        let state = |text: &str, mode| {
            let mut state = at(Some(file(text, mode)), Compared::Same);
            state.mark = Some(paths::sha256(text.as_bytes()));
            state
        };
        let digest = |state: &State| File::fingerprint(state).digest;
        let one = state("a", 0o644);
        assert_eq!(digest(&one), digest(&one.clone()));
        let mut others = vec![state("b", 0o644), state("a", 0o600), at(None, Compared::Unsaid)];
        let mut owned = one.clone();
        owned.entry.as_mut().unwrap().uid = 5;
        others.push(owned);
        for other in others {
            assert_ne!(digest(&one), digest(&other));
        }
        assert_eq!(File::fingerprint(&one).changed, Some(7));
    }
}
