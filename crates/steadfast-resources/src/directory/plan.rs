//! What separates a directory itself from the promise.

use super::below::{Below, not_kept};
use super::desired::Desired;
use super::state::State;
use crate::identity::Identity;
use crate::kind::{self, Difference, Obstacle, Refusal};
use crate::mode::NEW_DIRECTORY;
use crate::paths::{self, Change, Inherited, NewDirectory, Removal, Setting, Whose};
use std::sync::Arc;
use steadfast_system::files::{Entry, Expected, Folder, Mode, Shape, TreeEntry};
use steadfast_system::text::safe;
use steadfast_system::{AbsPath, GroupName};

pub(super) fn plan(want: &Desired, have: &State) -> Difference<Change> {
    if let Some(why) = paths::lies_in_ours(&want.path, &have.own) {
        return Difference::refused(Refusal::Model(why));
    }
    let difference = if want.absent { plan_absent(want, have) } else { plan_there(want, have) };
    paths::refuse_barred(difference, have.folder.as_ref(), have.entry.as_ref())
}

fn plan_there(want: &Desired, have: &State) -> Difference<Change> {
    let obstacles = obstacles(want, have);
    if kind::refuses(&obstacles) {
        return Difference { obstacles, ..Difference::none() };
    }
    let there = have.entry.as_ref().filter(|it| it.shape == Shape::Directory);
    let root = folder_after(want, have);
    let change = match there {
        Some(entry) => {
            setting(want, have, entry, root.mode).map(|it| Change::SetAttributes(vec![it]))
        }
        None => Some(Change::MakeDirectories(vec![new_directory(want, have, &root)])),
    };
    let notes = have.entry.as_ref().and_then(paths::not_kept).into_iter().collect();
    let changes = change.into_iter().collect();
    let mut difference = Difference { changes, obstacles, notes };
    if want.looks_below() {
        let entries = have.below.as_deref().filter(|_| there.is_some()).unwrap_or(&[]);
        let inherits = Inherited::from_folder(&root, group_after(want, have, there));
        Below::new(want, have, root, inherits, entries).plan(&mut difference);
    }
    if kind::refuses(&difference.obstacles) {
        difference.changes.clear();
    }
    difference
}

/// What is new in the directory gets from it once the promise is kept.
pub(super) fn hands_on(want: &Desired, have: &State) -> Option<Inherited> {
    let there = have.entry.as_ref().filter(|it| it.shape == Shape::Directory);
    let root = folder_after(want, have);
    Inherited::from_folder(&root, group_after(want, have, there))
}

/// The name of the group that the directory has then.
fn group_after(want: &Desired, have: &State, there: Option<&Entry>) -> Option<GroupName> {
    let unsaid = || match there {
        Some(_) => have.group.clone(),
        None => have.inherits.as_ref()?.name.clone(),
    };
    match &want.owners.group {
        Some(Whose::Name(name)) => Some(name.clone()),
        Some(Whose::Number(_)) => None,
        None => unsaid(),
    }
}

/// What it takes to give the directory itself its owners and its mode, if anything.
fn setting(want: &Desired, have: &State, entry: &Entry, mode: Mode) -> Option<Setting> {
    let says_mode = want.mode.is_some();
    Setting::between(&want.path, None, entry, have.ids, Some(mode), says_mode, &want.owners)
}

/// Whether the directory itself is as promised, whatever is below it.
pub(super) fn is_place(want: &Desired, have: &State) -> bool {
    let there = have.entry.as_ref().filter(|it| it.shape == Shape::Directory);
    let Some(entry) = there.filter(|_| !want.absent) else { return false };
    let mode = folder_after(want, have).mode;
    have.ids.missing(&want.owners).is_empty() && setting(want, have, entry, mode).is_none()
}

fn obstacles(want: &Desired, have: &State) -> Vec<Obstacle> {
    let mut obstacles: Vec<Obstacle> =
        have.ids.missing(&want.owners).into_iter().map(Obstacle::Missing).collect();
    if have.folder.is_none() {
        obstacles.extend(want.path.parent().map(|it| Obstacle::Missing(Identity::Path(it))));
    }
    if let Some(entry) = &have.entry
        && entry.shape != Shape::Directory
    {
        let what = paths::words(&entry.shape);
        let open = have.folder.as_ref().is_some_and(|it| it.open);
        if entry.mounted {
            let why = format!("{what} is in the way, and something is mounted there");
            obstacles.push(Obstacle::refused(Refusal::of_place(open, why)));
        } else if !want.force {
            let why = format!("{what} is in the way (`force: true` removes it)");
            obstacles.push(Obstacle::refused(Refusal::of_place(open, why)));
        }
    }
    obstacles
}

/// The directory as it is once the promise is kept.
pub(super) fn folder_after(want: &Desired, have: &State) -> Folder {
    let there = have.entry.as_ref().filter(|it| it.shape == Shape::Directory);
    let base = there.map_or(NEW_DIRECTORY, |it| it.mode);
    let mode = want.mode.as_ref().map_or(base, |it| it.of(base, true));
    let (uid, gid) = match there {
        Some(it) => (have.ids.owner.id().unwrap_or(it.uid), have.ids.group.id().unwrap_or(it.gid)),
        None => have.ids.of_new(have.inherits.as_ref()),
    };
    // Whoever can write the directory can write below it.
    let open = have.folder.as_ref().is_some_and(|it| it.open) || uid != 0 || mode.0 & 0o022 != 0;
    let bar = there.and_then(|it| it.marks.bar);
    Folder { uid, gid, mode, open, bar }
}

fn new_directory(want: &Desired, have: &State, root: &Folder) -> NewDirectory {
    NewDirectory {
        path: want.path.clone(),
        below: None,
        uid: root.uid,
        gid: root.gid,
        mode: root.mode,
        names: want.owners.of_new(have.inherits.as_ref()),
        replaces: have.entry.as_ref().map_or(Expected::Nothing, paths::seen),
    }
}

fn plan_absent(want: &Desired, have: &State) -> Difference<Change> {
    let Some(entry) = &have.entry else { return Difference::none() };
    let what = paths::words(&entry.shape);
    let below = have.below.as_deref().unwrap_or(&[]);
    let open = have.folder.as_ref().is_some_and(|it| it.open);
    let open_below = open
        || paths::may_be_filled(entry)
        || below.iter().any(|it| paths::may_be_filled(&it.entry));
    if let Some(why) = paths::holds_ours(&want.path, &have.own)
        && entry.shape == Shape::Directory
    {
        return Difference::refused(Refusal::Model(why));
    }
    if entry.mounted || below.iter().any(|it| it.entry.mounted) {
        let why = format!("{what} is there, and something is mounted on it or below it");
        return Difference::refused(Refusal::of_place(open_below, why));
    }
    if entry.shape != Shape::Directory && !want.force {
        let why = format!("{what} is there (`force: true` removes it)");
        return Difference::refused(Refusal::of_place(open, why));
    }
    if have.count > 0 && !want.force {
        let count = paths::thousands(have.count);
        let why =
            format!("the directory is not empty: {count} below it (`force: true` removes all)");
        return Difference::refused(Refusal::of_place(open_below, why));
    }
    if let Some((path, why)) = made_by_others(want, have) {
        return Difference::refused(Refusal::model(format!("{path} would go with it: {why}")));
    }
    let mut difference = Difference::new(vec![Change::Remove(vec![Removal {
        path: want.path.clone(),
        below: None,
        seen: paths::seen(entry),
        whole: have.count > 0,
        keep: true,
        count: 1 + have.count,
    }])]);
    if let Some((it, bar)) = paths::barred(below) {
        // All else below it goes.
        let why = format!("{} in it {}, and stays", safe(&it.path), bar.words());
        difference.obstacles.push(Obstacle::Unknown(why));
    }
    difference.notes.extend(paths::not_kept(entry));
    difference.notes.extend(not_kept(below));
    difference
}

/// What another promise makes there, and why it stays.
fn made_by_others(want: &Desired, have: &State) -> Option<(AbsPath, Arc<str>)> {
    let link = |it: &TreeEntry| {
        let Shape::Link { target } = &it.entry.shape else { return None };
        let path = want.path.join(&it.path).ok()?;
        have.made.enables(&path, target).map(|why| (path, why))
    };
    let links = have.below.iter().flat_map(|it| it.iter());
    have.made.first_within(&want.path).or_else(|| links.filter_map(link).next())
}
