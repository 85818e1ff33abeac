//! What no promise names goes.

use super::Below;
use crate::directory::rule::folders;
use crate::kind::{Difference, Obstacle, Refusal};
use crate::paths::{self, Change, Removal};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use steadfast_system::files::Shape;

impl Below<'_> {
    pub(super) fn purge(&mut self, difference: &mut Difference<Change>) {
        // Directories that nobody promised, and that stay with all that is in them.
        let mut left: BTreeSet<&str> = BTreeSet::new();
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        let mut homes = 0u64;
        for (path, it) in &self.entries {
            if let Some(folder) = folders(path).find(|folder| self.gone.contains(folder)) {
                *counts.entry(folder).or_default() += 1;
                continue;
            }
            homes += u64::from(self.rule.is_home(path));
            if self.rule.is_of_people(path)
                || self.spared.contains(path)
                || folders(path).any(|folder| left.contains(folder))
            {
                continue;
            }
            if it.entry.shape == Shape::Directory && !self.want.force {
                left.insert(path);
                continue;
            }
            self.gone.insert(path);
            *counts.entry(path).or_default() += 1;
        }
        let total: u64 = counts.values().sum();
        if total > self.want.purge_max {
            let why = format!(
                "purge would remove {} entries, more than {} (`purge_max`), so it removes none",
                paths::thousands(total),
                paths::thousands(self.want.purge_max)
            );
            let open = self.gone.iter().any(|it| self.is_open(it))
                || self
                    .entries
                    .iter()
                    .any(|(path, it)| self.is_gone(path) && paths::may_be_filled(&it.entry));
            difference.obstacles.push(Obstacle::refused(Refusal::of_place(open, why)));
            return;
        }
        for path in &self.gone {
            let Some(it) = self.entries.get(path) else { continue };
            self.removals.push(Removal {
                path: self.want.path.found(path),
                below: Some(Arc::clone(&it.path)),
                seen: paths::seen(&it.entry),
                whole: it.entry.shape == Shape::Directory,
                keep: true,
                count: counts.get(path).copied().unwrap_or(1),
            });
        }
        let homes = if self.want.force { homes } else { 0 };
        difference.notes.extend(what_stays(homes, left.len() as u64));
    }
}

/// What is told of what a purge leaves.
fn what_stays(homes: u64, left: u64) -> impl Iterator<Item = String> {
    let homes = (homes > 0)
        .then(|| format!("homes of users that nobody promised stay: {}", paths::thousands(homes)));
    let left = (left > 0).then(|| {
        let count = paths::thousands(left);
        format!(
            "directories that nobody promised stay: {count} (`force: true` purges directories too)"
        )
    });
    homes.into_iter().chain(left)
}
