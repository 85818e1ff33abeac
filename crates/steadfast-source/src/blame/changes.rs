//! What differs between the trees of two commits.

use super::objects::{Bounds, Objects, Paths};
use crate::content::{Place, place};
use crate::object::Entry;
use std::collections::BTreeMap;
use std::time::Instant;

/// A file that two trees do not have alike: its object in the newer one and in the older one.
#[derive(Clone, Debug, Default)]
pub(super) struct Change {
    pub(super) new: Option<String>,
    pub(super) old: Option<String>,
}

pub(super) type Changes = BTreeMap<String, Change>;

/// The tree of the directory that is asked about, in a whole tree: there may be none.
pub(super) fn folder(objects: &mut dyn Objects, root: &str, below: &str) -> Option<Option<String>> {
    let mut at = root.to_owned();
    for name in below.split('/').filter(|it| !it.is_empty()) {
        let entries = objects.tree(&at)?;
        match entries.into_iter().find(|it| it.name == name.as_bytes() && is_folder(it.mode)) {
            Some(entry) => at = entry.object,
            None => return Some(None),
        }
    }
    Some(Some(at))
}

/// What differs between two trees; none where it cannot be told.
pub(super) fn compare(
    objects: &mut dyn Objects,
    bounds: &mut Bounds,
    new: Option<&str>,
    old: Option<&str>,
    below: &str,
    changes: &mut Changes,
    room: &mut Paths,
) -> Option<()> {
    if new == old {
        return Some(());
    }
    if Instant::now() >= bounds.until {
        return None;
    }
    let mut names: BTreeMap<String, [Option<Entry>; 2]> = BTreeMap::new();
    for (side, tree) in [new, old].into_iter().enumerate() {
        let Some(tree) = tree else { continue };
        let entries = objects.tree(tree)?;
        bounds.entries = bounds.entries.checked_sub(entries.len())?;
        for entry in entries {
            // A name that is no text is no name in a model.
            let Ok(name) = String::from_utf8(entry.name.clone()) else { continue };
            let sides = names.entry(name).or_default();
            sides[side] = Some(entry);
        }
    }
    for (name, sides) in names {
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        if place(&path) != Place::Model {
            continue;
        }
        let of = |kind: fn(u32) -> bool| {
            sides
                .each_ref()
                .map(|it| it.as_ref().filter(|it| kind(it.mode)).map(|it| it.object.as_str()))
        };
        let [new, old] = of(is_file);
        if new != old {
            room.take(&path)?;
            let [new, old] = [new, old].map(|it| it.map(str::to_owned));
            changes.insert(path.clone(), Change { new, old });
        }
        let [new, old] = of(is_folder);
        compare(objects, bounds, new, old, &path, changes, room)?;
    }
    Some(())
}

fn is_file(mode: u32) -> bool {
    matches!(mode, 0o100_644 | 0o100_664 | 0o100_755)
}

fn is_folder(mode: u32) -> bool {
    mode == 0o040_000
}
