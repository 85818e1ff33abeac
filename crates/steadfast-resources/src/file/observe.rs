//! What the machine shows of files, compared with what is promised of them.

use super::desired::{Content, Desired, secrets_of};
use super::plan;
use super::state::{Compared, State};
use crate::edit::{self, Edit};
use crate::kind::{Fingerprint, Refusal};
use crate::paths::{self, Bytes, Ids, Inherited, Owners, SHOWN, Within};
use std::collections::BTreeMap;
use std::sync::Arc;
use steadfast_model::lower::Piece;
use steadfast_system::files::{self, Digest, Entry, Folder, Look, OwnFolder, Shape, Wanted};
use steadfast_system::secrets::{self, Secret};
use steadfast_system::text::hex;
use steadfast_system::{AbsPath, SystemError};

/// Whose a file is to be, and what a new one gets from its directory.
pub(super) type Whose = Result<(Ids, Option<Inherited>), SystemError>;

/// One look for all; a second one for those whose content is another.
pub(super) fn observe_with<S: files::Read + secrets::Read + ?Sized>(
    wants: &[&Desired],
    sys: &S,
    mut whose: impl FnMut(&Owners, Option<&Folder>) -> Whose,
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
            let look = look?;
            let whose = whose(&want.owners, look.folder.as_ref())?;
            state(want, &target, look, whose, &own, sys)
        })
        .collect()
}

/// Secrets that have been asked for in one batch, or why they cannot be had.
#[derive(Default)]
struct Vault(BTreeMap<Arc<str>, Result<Secret, Refusal>>);

impl Vault {
    fn all<'a, S: secrets::Read + ?Sized>(
        &mut self,
        names: impl Iterator<Item = &'a Arc<str>>,
        sys: &S,
    ) -> Result<BTreeMap<Arc<str>, Secret>, Refusal> {
        let mut all = BTreeMap::new();
        for name in names {
            let found = self.0.entry(Arc::clone(name)).or_insert_with(|| {
                // The error names the secret.
                sys.secret(name).map_err(|err| Refusal::Secret(err.chain().join(": ")))
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
    Refused(Refusal),
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
            files::Content::Bytes(_) | files::Content::TooLarge | files::Content::Leased => {
                return None;
            }
            files::Content::Digest(_) | files::Content::NotRead => {}
        }
        let shown = want.replace
            && !want.sensitive
            && !entry.marks.secret.is_secret()
            && *size <= SHOWN
            && bytes.size() <= SHOWN
            && !paths::is_foreign_link(entry, look.folder.as_ref());
        match content {
            _ if shown => Some(Wanted::Bytes),
            files::Content::NotRead => Some(Wanted::Digest),
            files::Content::Digest(_)
            | files::Content::Bytes(_)
            | files::Content::TooLarge
            | files::Content::Leased => None,
        }
    }
}

fn state<S: secrets::Read + ?Sized>(
    want: &Desired,
    target: &Target<'_>,
    look: Look,
    (ids, inherits): (Ids, Option<Inherited>),
    own: &[OwnFolder],
    sys: &S,
) -> Result<State, SystemError> {
    let ours = paths::is_ours(&want.path, look.entry.as_ref(), own);
    let content = match (compare(want, target, &look), target) {
        // Its owner and mode are not set where it may be another's by its other name: a new one takes its place.
        (Compared::Same, Target::Whole { bytes, digest })
            if is_set_by_replacing(want, &look, ids) =>
        {
            other(bytes, digest, None)
        }
        (compared, _) => compared,
    };
    let Look { folder, mut entry } = look;
    let mut mark = None;
    let sensitive = want.sensitive || is_secret(entry.as_ref());
    if let Some(Entry { shape: Shape::File { content, .. }, .. }) = &mut entry {
        if let files::Content::Bytes(bytes) = content {
            *content = files::Content::Digest(paths::sha256(bytes));
        }
        if let files::Content::Digest(digest) = content {
            mark = Some(if sensitive { sys.keyed_digest(&*digest)? } else { *digest });
        }
    }
    Ok(State {
        folder,
        entry,
        ids,
        inherits,
        content,
        mark,
        sensitive,
        ours,
        within: Within::default(),
    })
}

/// Whether what is there was once written from a secret.
fn is_secret(entry: Option<&Entry>) -> bool {
    entry.is_some_and(|it| it.marks.secret.is_secret())
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
        Target::Whole { bytes, digest } => compare_whole(want, bytes, digest, file),
        Target::Edits { edits, secrets } => {
            compare_edited(want, edits, secrets, look, file).unwrap_or_else(Compared::Refused)
        }
    }
}

fn compare_whole(
    want: &Desired,
    bytes: &paths::Promised,
    digest: &Digest,
    file: Option<(&Entry, &files::Content)>,
) -> Compared {
    let other = |present| other(bytes, digest, present);
    match file {
        Some(_) if !want.replace => Compared::Same,
        Some((_, files::Content::Digest(it))) if it == digest => Compared::Same,
        Some((_, files::Content::Bytes(it))) if paths::sha256(it) == *digest => Compared::Same,
        Some((entry, files::Content::Bytes(it))) => {
            let shown = !want.sensitive && !entry.marks.secret.is_secret();
            other(shown.then(|| Bytes(Arc::clone(it))))
        }
        Some((_, _)) | None => other(None),
    }
}

fn other(bytes: &paths::Promised, digest: &Digest, present: Option<Bytes>) -> Compared {
    match bytes.bytes(digest) {
        Some(bytes) => Compared::Other { wanted: Bytes(bytes), present },
        None => Compared::Refused(Refusal::machine(paths::ONLY_REMEMBERED)),
    }
}

/// Whether a file that has the right content, and may be another's, needs another owner or mode.
fn is_set_by_replacing(want: &Desired, look: &Look, ids: Ids) -> bool {
    let foreign = |it: &&Entry| paths::is_foreign_link(it, look.folder.as_ref());
    let entry = look.entry.as_ref().filter(foreign).filter(|_| want.replace);
    entry.is_some_and(|it| plan::setting(want, ids, it).is_some())
}

/// What the edits make of the file that is there, or of none where one may be made.
fn compare_edited(
    want: &Desired,
    edits: &[Edit],
    secrets: &BTreeMap<Arc<str>, Secret>,
    look: &Look,
    file: Option<(&Entry, &files::Content)>,
) -> Result<Compared, Refusal> {
    let open = look.folder.as_ref().is_some_and(|it| it.open);
    // Whoever owns the file decides what is in it, also where they cannot put another in its place.
    let may_be_written = open || file.is_some_and(|(it, _)| it.uid != 0 || it.mode.0 & 0o022 != 0);
    let of_content = |why: String| Refusal::of_place(may_be_written, why);
    let present = match file {
        Some((entry, _)) if paths::is_foreign_link(entry, look.folder.as_ref()) => {
            return Err(Refusal::anybody(
                "it has several hard links, in a directory that others can write: it may be another's file",
            ));
        }
        Some((_, files::Content::Bytes(bytes))) => Some(bytes),
        Some((_, files::Content::Leased)) => {
            let why = "its owner has a lease on it (fcntl F_SETLEASE), so it cannot be read";
            return Err(of_content(why.to_owned()));
        }
        Some((_, _)) => return Err(of_content("it is too large to be edited".to_owned())),
        None => None,
    };
    if present.is_none() && !want.create {
        let why = match &look.entry {
            Some(entry) => format!("{} is in the way", paths::words(&entry.shape)),
            None => "there is no file to edit, and `create` is not true".to_owned(),
        };
        return Err(Refusal::of_place(open, why));
    }
    let new = edit::apply(edits, secrets, present.map_or(&[], |it| &**it)).map_err(of_content)?;
    let sensitive = want.sensitive || file.is_some_and(|(it, _)| it.marks.secret.is_secret());
    if present.is_some_and(|it| **it == *new) {
        return Ok(Compared::Same);
    }
    let shown =
        |it: &&Arc<[u8]>| !sensitive && it.len() as u64 <= SHOWN && new.len() as u64 <= SHOWN;
    let present = present.filter(shown).map(|it| Bytes(Arc::clone(it)));
    Ok(Compared::Other { wanted: Bytes(Arc::from(new)), present })
}

/// Content (where any is promised), owner, group and mode.
pub(super) fn fingerprint(have: &State) -> Fingerprint {
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

pub(super) fn describe(have: &State) -> Vec<(&'static str, String)> {
    let mut all = paths::describe(have.entry.as_ref());
    if let Some(entry) = &have.entry
        && matches!(entry.shape, Shape::File { .. })
        && !have.sensitive
    {
        all.push(("size", paths::thousands(paths::size(entry))));
        if let Some(mark) = have.mark {
            all.push(("sha256", hex(&mark)));
        }
    }
    all
}
