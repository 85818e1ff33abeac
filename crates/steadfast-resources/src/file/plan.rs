//! What separates a file from the promise.

use super::desired::Desired;
use super::state::{Compared, State};
use crate::identity::Identity;
use crate::kind::{self, Difference, Obstacle, Refusal};
use crate::mode::{NEW_FILE, NEW_SENSITIVE_FILE};
use crate::paths::{self, Bytes, Change, Ids, Removal, Setting, Was, Writing};
use std::sync::Arc;
use steadfast_system::files::{Entry, Expected, Mode, NewFile, Shape};

pub(super) fn plan(want: &Desired, have: &State) -> Difference<Change> {
    if let Some(why) = &have.ours {
        return Difference::refused(Refusal::model(why.clone()));
    }
    let difference = if want.absent { plan_absent(want, have) } else { plan_there(want, have) };
    paths::refuse_barred(difference, have.folder.as_ref(), have.entry.as_ref())
}

fn plan_there(want: &Desired, have: &State) -> Difference<Change> {
    let obstacles = obstacles(want, have);
    if kind::refuses(&obstacles) {
        return Difference { obstacles, ..Difference::none() };
    }
    let mut difference = Difference { obstacles, ..Difference::none() };
    let file = have.entry.as_ref().filter(|it| matches!(it.shape, Shape::File { .. }));
    let mode = new_mode(want, file);
    if want.sensitive && want.mode.is_none() && mode.0 & 0o044 != 0 {
        difference.notes.push(format!("it is sensitive, and others may read it (mode {mode})"));
    }
    match &have.content {
        Compared::Other { wanted, present } => {
            if want.validate.is_some() {
                let unknown = Obstacle::Unknown("`validate` has not run yet".to_owned());
                difference.obstacles.push(unknown);
            }
            let writing = writing(want, have, file, mode, wanted, present.as_ref());
            difference.changes.push(Change::Write(vec![writing]));
            difference.notes.extend(not_kept(want, have.entry.as_ref()));
            if file.is_some_and(|it| it.marks.capabilities) {
                let words = "its file capabilities belong to the old content and go with it";
                difference.notes.push(words.to_owned());
            }
        }
        Compared::Unsaid | Compared::Same | Compared::Refused(_) => {
            let setting = |it| {
                Setting::between(
                    &want.path,
                    None,
                    it,
                    have.ids,
                    Some(mode),
                    want.mode.is_some(),
                    &want.owners,
                )
            };
            let setting = file.and_then(setting).map(|it| Change::SetAttributes(vec![it]));
            difference.changes.extend(setting);
        }
    }
    difference
}

fn obstacles(want: &Desired, have: &State) -> Vec<Obstacle> {
    let mut obstacles: Vec<Obstacle> =
        have.ids.missing(&want.owners).into_iter().map(Obstacle::Missing).collect();
    if have.folder.is_none() {
        obstacles.extend(want.path.parent().map(|it| Obstacle::Missing(Identity::Path(it))));
    } else if let Some(why) = refusal(want, have) {
        obstacles.push(Obstacle::refused(why));
    }
    // A missing secret is no reason to wait for a directory, but it is one to say so.
    if have.folder.is_none()
        && let Compared::Refused(why @ Refusal::Secret(_)) = &have.content
    {
        obstacles.push(Obstacle::refused(why.clone()));
    }
    obstacles
}

/// The mode that the file that is there gets, or a new one.
fn new_mode(want: &Desired, file: Option<&Entry>) -> Mode {
    let new = if want.sensitive { NEW_SENSITIVE_FILE } else { NEW_FILE };
    let base = file.map_or(new, |it| it.mode);
    want.mode.as_ref().map_or(base, |it| it.of(base, false))
}

fn writing(
    want: &Desired,
    have: &State,
    file: Option<&Entry>,
    mode: Mode,
    wanted: &Bytes,
    present: Option<&Bytes>,
) -> Writing {
    let (uid, gid) = match file {
        Some(it) => (have.ids.owner.id().unwrap_or(it.uid), have.ids.group.id().unwrap_or(it.gid)),
        None => have.ids.of_new(have.inherits.as_ref()),
    };
    Writing {
        file: NewFile {
            path: want.path.clone(),
            content: Arc::clone(&wanted.0),
            uid,
            gid,
            mode,
            replaces: have.entry.as_ref().map_or(Expected::Nothing, paths::seen),
            validate: want.validation(),
            keep: want.keep_backup,
            in_place: file.is_some_and(|it| it.mounted),
        },
        with: have.within.count,
        names: match file {
            Some(_) => want.owners.clone(),
            None => want.owners.of_new(have.inherits.as_ref()),
        },
        below: None,
        was: file.map(|it| Was {
            size: paths::shown_size(it),
            uid: it.uid,
            gid: it.gid,
            mode: it.mode,
        }),
        present: present.cloned(),
        sensitive: want.sensitive,
        open: have.folder.as_ref().is_some_and(|it| it.open),
    }
}

/// Why the promise cannot be kept as things are, whatever an earlier step brings.
fn refusal(want: &Desired, have: &State) -> Option<Refusal> {
    if let Compared::Refused(why) = &have.content {
        return Some(why.clone());
    }
    if let Some(why) = &have.within.refusal {
        return Some(why.clone());
    }
    let open = have.folder.as_ref().is_some_and(|it| it.open);
    at_odds(want, have).map(|it| Refusal::of_place(open, it))
}

/// What it takes to give the file that is there its owners and its mode, if anything.
pub(super) fn setting(want: &Desired, ids: Ids, entry: &Entry) -> Option<Setting> {
    let mode = want.mode.as_ref().map(|it| it.of(entry.mode, false));
    Setting::between(&want.path, None, entry, ids, mode, want.mode.is_some(), &want.owners)
}

fn at_odds(want: &Desired, have: &State) -> Option<String> {
    let writes = matches!(have.content, Compared::Other { .. });
    let Some(entry) = &have.entry else {
        return (!writes)
            .then(|| "there is no such file, and the promise says nothing to make".to_owned());
    };
    let what = paths::words(&entry.shape);
    match entry.shape {
        Shape::File { .. } => {
            let only = !writes && paths::is_foreign_link(entry, have.folder.as_ref());
            (only && setting(want, have.ids, entry).is_some()).then(|| {
                "it has several hard links, in a directory that others can write: it may be another's file"
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

fn remove(want: &Desired, seen: &Expected, below: u64) -> Removal {
    Removal {
        path: want.path.clone(),
        below: None,
        seen: seen.clone(),
        whole: *seen == Expected::Directory,
        keep: want.keep_backup,
        count: 1 + below,
    }
}

fn plan_absent(want: &Desired, have: &State) -> Difference<Change> {
    let Some(entry) = &have.entry else { return Difference::none() };
    let what = paths::words(&entry.shape);
    let open = have.folder.as_ref().is_some_and(|it| it.open);
    if entry.mounted {
        let why = format!("{what} is there, and something is mounted on it");
        return Difference::refused(Refusal::of_place(open, why));
    }
    match entry.shape {
        Shape::File { .. } | Shape::Link { .. } => {}
        Shape::Directory | Shape::Socket | Shape::Fifo | Shape::Device if want.force => {}
        Shape::Directory | Shape::Socket | Shape::Fifo | Shape::Device => {
            let why = format!("{what} is there (`force: true` removes it)");
            return Difference::refused(Refusal::of_place(open, why));
        }
    }
    if let Some(why) = &have.within.refusal {
        return Difference::refused(why.clone());
    }
    let removal = remove(want, &paths::seen(entry), have.within.count);
    let mut difference = Difference::new(vec![Change::Remove(vec![removal])]);
    difference.notes.extend(not_kept(want, Some(entry)));
    difference
}

/// That what goes is not kept, where it was to be.
fn not_kept(want: &Desired, entry: Option<&Entry>) -> Option<String> {
    entry.filter(|_| want.keep_backup).and_then(paths::not_kept)
}
