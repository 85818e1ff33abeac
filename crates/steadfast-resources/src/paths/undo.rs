//! What a change at a path leaves behind, what is at a path now, and which change makes it again what it
//! was.

use super::{Change, NewDirectory, NewLink, Owners, Removal, Setting, Was, Writing, size};
use crate::undo::{About, Content, Effect, Facet, FacetState, Now};
use std::sync::Arc;
use steadfast_system::files::{self, Attributes, Entry, Expected, Mode, NewFile, Shape, Wanted};
use steadfast_system::{AbsPath, SystemError};

/// What a change makes of which paths; `entry_at` gives what was seen at the promised path, or below it.
pub(crate) fn effects<'a>(
    change: &Change,
    entry_at: impl Fn(Option<&str>) -> Option<&'a Entry>,
) -> Vec<Effect> {
    let at = |below: &Option<Arc<str>>| entry_at(below.as_deref());
    let path = |path: &AbsPath| Facet::Path(path.clone());
    match change {
        Change::MakeDirectories(all) => all
            .iter()
            .map(|it| {
                let (uid, gid, mode) = (it.uid, it.gid, it.mode);
                let before = former(&it.replaces, at(&it.below), true);
                Effect::new(path(&it.path), before, FacetState::Directory { uid, gid, mode })
            })
            .collect(),
        Change::MakeLink(it) => {
            let (target, uid, gid) = (Arc::clone(&it.target), it.uid, it.gid);
            let before = former(&it.replaces, at(&None), true);
            vec![Effect::new(path(&it.path), before, FacetState::Link { target, uid, gid })]
        }
        Change::Write(all) => all
            .iter()
            .map(|it| Effect { sensitive: it.sensitive, ..of_file(&it.file, at(&it.below)) })
            .collect(),
        Change::SetAttributes(all) => {
            all.iter().map(|it| attributes(&it.path, &it.seen, &it.from, &it.to)).collect()
        }
        Change::Remove(all) => all
            .iter()
            .map(|it| {
                let entry = at(&it.below);
                let before = match (&it.seen, entry) {
                    // What lay below it is not known one by one.
                    (Expected::Directory, Some(entry)) if it.count == 1 => of_entry(entry),
                    (seen, entry) => former(seen, entry, it.keep),
                };
                Effect::new(path(&it.path), before, FacetState::Nothing)
            })
            .collect(),
    }
}

/// What was at a path. What is not kept when it makes way, or is no single thing, cannot come back.
pub(crate) fn former(seen: &Expected, entry: Option<&Entry>, kept: bool) -> FacetState {
    match (seen, entry) {
        (Expected::Nothing, _) => FacetState::Nothing,
        (Expected::File { digest }, Some(it)) if kept && super::is_kept(it) => FacetState::File {
            content: Content::Digest(*digest),
            uid: it.uid,
            gid: it.gid,
            mode: it.mode,
        },
        (Expected::Link { target }, Some(it)) => {
            FacetState::Link { target: Arc::clone(target), uid: it.uid, gid: it.gid }
        }
        (
            Expected::File { .. }
            | Expected::AnyFile
            | Expected::Directory
            | Expected::Link { .. }
            | Expected::Other,
            _,
        ) => FacetState::Unknown,
    }
}

/// A file that is put in place, whole.
pub(crate) fn of_file(file: &NewFile, entry: Option<&Entry>) -> Effect {
    let content = Content::Digest(super::sha256(&file.content));
    let (uid, gid, mode) = (file.uid, file.gid, file.mode);
    Effect::new(
        Facet::Path(file.path.clone()),
        former(&file.replaces, entry, file.keep),
        FacetState::File { content, uid, gid, mode },
    )
}

/// What an entry is, its content as far as it was read.
pub(crate) fn of_entry(entry: &Entry) -> FacetState {
    let Entry { shape, uid, gid, mode, links: _, changed: _, mounted: _, marks: _ } = entry;
    let (uid, gid, mode) = (*uid, *gid, *mode);
    match shape {
        Shape::File { .. } => {
            let content = match super::seen(entry) {
                Expected::File { digest } => Content::Digest(digest),
                Expected::Nothing
                | Expected::AnyFile
                | Expected::Directory
                | Expected::Link { .. }
                | Expected::Other => Content::Unsaid,
            };
            FacetState::File { content, uid, gid, mode }
        }
        Shape::Directory => FacetState::Directory { uid, gid, mode },
        Shape::Link { target } => FacetState::Link { target: Arc::clone(target), uid, gid },
        Shape::Socket | Shape::Fifo | Shape::Device => FacetState::Unknown,
    }
}

/// Owner and mode that are set: what they were, and what they become.
pub(crate) fn attributes(
    path: &AbsPath,
    seen: &Expected,
    from: &Attributes,
    to: &Attributes,
) -> Effect {
    let state = |uid: Option<u32>, gid: Option<u32>, mode: Option<Mode>| {
        let (Some(uid), Some(gid)) = (uid, gid) else { return FacetState::Unknown };
        match (seen, mode) {
            (Expected::File { .. } | Expected::AnyFile, Some(mode)) => {
                FacetState::File { content: Content::Unsaid, uid, gid, mode }
            }
            (Expected::Directory, Some(mode)) => FacetState::Directory { uid, gid, mode },
            (Expected::Link { target }, _) => {
                FacetState::Link { target: Arc::clone(target), uid, gid }
            }
            (
                Expected::Nothing
                | Expected::Other
                | Expected::File { .. }
                | Expected::AnyFile
                | Expected::Directory,
                _,
            ) => FacetState::Unknown,
        }
    };
    Effect::new(
        Facet::Path(path.clone()),
        state(from.uid, from.gid, from.mode),
        state(to.uid.or(from.uid), to.gid.or(from.gid), to.mode.or(from.mode)),
    )
}

/// What is at these paths now; one result for each, in their order.
pub(crate) fn observe_facets(
    facets: &[&Facet],
    sys: &dyn files::Read,
) -> Vec<Result<Now, SystemError>> {
    let asked: Vec<(&AbsPath, Wanted)> =
        facets.iter().filter_map(|it| it.as_path()).map(|it| (it, Wanted::DigestOfOurs)).collect();
    let now = |entry: &Entry| Now {
        mounted: entry.mounted,
        size: size(entry),
        ..Now::new(of_entry(entry))
    };
    let none = || Now::new(FacetState::Nothing);
    (sys.look(&asked).into_iter()).map(|it| Ok(it?.entry.as_ref().map_or_else(none, now))).collect()
}

/// What makes a path again what it was; none where that is not known, or it already is.
pub(crate) fn back(
    path: &AbsPath,
    now: &Now,
    before: &FacetState,
    about: &About<'_>,
) -> Option<Change> {
    let place = Place {
        path,
        below: about.named.then(|| Arc::from(path.as_str())),
        replaces: seen_again(&now.state),
    };
    match (before, &now.state) {
        (FacetState::Nothing, _) => Some(place.removed(about)),
        (
            FacetState::File { content: wanted, uid, gid, mode },
            FacetState::File { content: there, uid: u, gid: g, mode: m },
        ) if *wanted == Content::Unsaid || wanted == there => {
            place.set(Expected::AnyFile, (*u, *g, Some(*m)), (*uid, *gid, Some(*mode)))
        }
        (FacetState::File { uid, gid, mode, .. }, _) => {
            place.written((*uid, *gid, *mode), now, about)
        }
        (
            FacetState::Directory { uid, gid, mode },
            FacetState::Directory { uid: u, gid: g, mode: m },
        ) => place.set(Expected::Directory, (*u, *g, Some(*m)), (*uid, *gid, Some(*mode))),
        (FacetState::Directory { uid, gid, mode }, _) => Some(place.made(*uid, *gid, *mode)),
        (
            FacetState::Link { target, uid, gid },
            FacetState::Link { target: there, uid: u, gid: g },
        ) if target == there => {
            let seen = place.replaces.clone();
            place.set(seen, (*u, *g, None), (*uid, *gid, None))
        }
        (FacetState::Link { target, uid, gid }, _) => Some(place.linked(target, *uid, *gid)),
        (
            FacetState::Group { .. }
            | FacetState::User { .. }
            | FacetState::Keys { .. }
            | FacetState::There
            | FacetState::Masked
            | FacetState::Text(_)
            | FacetState::Unknown,
            _,
        ) => None,
    }
}

/// A path that is to be again what it was.
struct Place<'a> {
    path: &'a AbsPath,
    /// Its name in what is told, where the promise has another one.
    below: Option<Arc<str>>,
    /// What is there, and gives way.
    replaces: Expected,
}

impl Place<'_> {
    /// A directory goes if it is empty.
    fn removed(self, about: &About<'_>) -> Change {
        Change::Remove(vec![Removal {
            path: self.path.clone(),
            below: self.below,
            seen: self.replaces,
            whole: false,
            keep: !about.hidden,
            count: 1,
        }])
    }

    /// The file that was there; none where its content is not to be had.
    fn written(
        self,
        (uid, gid, mode): (u32, u32, Mode),
        now: &Now,
        about: &About<'_>,
    ) -> Option<Change> {
        let was = match now.state {
            FacetState::File { uid, gid, mode, .. } => {
                Some(Was { size: Some(now.size), uid, gid, mode })
            }
            FacetState::Nothing
            | FacetState::Directory { .. }
            | FacetState::Link { .. }
            | FacetState::Group { .. }
            | FacetState::User { .. }
            | FacetState::Keys { .. }
            | FacetState::There
            | FacetState::Masked
            | FacetState::Text(_)
            | FacetState::Unknown => None,
        };
        let file = NewFile {
            path: self.path.clone(),
            content: Arc::clone(about.content?),
            uid,
            gid,
            mode,
            replaces: self.replaces,
            validate: None,
            keep: !about.hidden,
            in_place: now.mounted,
        };
        Some(Change::Write(vec![Writing {
            file,
            with: 0,
            names: Owners::default(),
            below: self.below,
            was,
            present: None,
            sensitive: about.hidden,
            open: false,
        }]))
    }

    fn made(self, uid: u32, gid: u32, mode: Mode) -> Change {
        Change::MakeDirectories(vec![NewDirectory {
            path: self.path.clone(),
            below: self.below,
            uid,
            gid,
            mode,
            names: Owners::default(),
            replaces: self.replaces,
        }])
    }

    fn linked(self, target: &Arc<str>, uid: u32, gid: u32) -> Change {
        Change::MakeLink(NewLink {
            path: self.path.clone(),
            target: Arc::clone(target),
            uid,
            gid,
            names: Owners::default(),
            replaces: self.replaces,
            with: 0,
        })
    }

    /// Owner, group and mode, where any of them is another one.
    fn set(
        self,
        seen: Expected,
        from: (u32, u32, Option<Mode>),
        to: (u32, u32, Option<Mode>),
    ) -> Option<Change> {
        let uid = (from.0 != to.0).then_some(to.0);
        let gid = (from.1 != to.1).then_some(to.1);
        let owned = uid.is_some() || gid.is_some();
        // chown takes setuid and setgid away, so the mode is said again.
        let dropped = owned && to.2.is_some_and(|it| it.0 & 0o6000 != 0);
        let mode = to.2.filter(|_| from.2 != to.2 || dropped);
        if !owned && mode.is_none() {
            return None;
        }
        Some(Change::SetAttributes(vec![Setting {
            path: self.path.clone(),
            below: self.below,
            seen,
            from: Attributes { uid: Some(from.0), gid: Some(from.1), mode: from.2 },
            to: Attributes { uid, gid, mode },
            names: Owners::default(),
            list: false,
            capabilities: false,
        }]))
    }
}

/// What acting is told that the look saw.
fn seen_again(state: &FacetState) -> Expected {
    match state {
        FacetState::Nothing => Expected::Nothing,
        FacetState::File { content: Content::Digest(digest), .. } => {
            Expected::File { digest: *digest }
        }
        FacetState::File { content: Content::Unsaid | Content::Keyed(_), .. } => Expected::AnyFile,
        FacetState::Directory { .. } => Expected::Directory,
        FacetState::Link { target, .. } => Expected::Link { target: Arc::clone(target) },
        FacetState::Group { .. }
        | FacetState::User { .. }
        | FacetState::Keys { .. }
        | FacetState::There
        | FacetState::Masked
        | FacetState::Text(_)
        | FacetState::Unknown => Expected::Other,
    }
}
