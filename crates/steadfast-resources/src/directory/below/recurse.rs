//! Owner, group and mode hold for all below.

use super::Below;
use crate::kind::Difference;
use crate::paths::{self, Change, Setting};
use steadfast_system::files::Shape;

impl Below<'_> {
    pub(super) fn recurse(&mut self, difference: &mut Difference<Change>) {
        let sources = self.want.sources();
        let (mut links, mut hard) = (0u64, 0u64);
        let mut settings = vec![];
        for (path, it) in &self.entries {
            let is_source = || sources.binary_search_by(|it| (*it.below).cmp(path)).is_ok();
            let named = self.promised.contains(path) || is_source();
            if named || self.ignored.contains(path) || self.is_gone(path) {
                continue;
            }
            let entry = &it.entry;
            if !self.rule.is_out_of_place(entry) {
                continue;
            }
            let whole_path = self.want.path.found(path);
            let (ids, mode) = (self.rule.ids(), self.rule.recursive_mode(entry));
            let owners = &self.want.owners;
            let set =
                Setting::between(&whole_path, Some(&it.path), entry, ids, mode, false, owners);
            let Some(set) = set else { continue };
            if matches!(entry.shape, Shape::Link { .. }) {
                links += 1;
            } else if matches!(entry.shape, Shape::File { .. }) && entry.links > 1 {
                hard += 1;
            } else {
                settings.push(set);
            }
        }
        self.settings.extend(settings);
        let counts = [(links, "symbolic links"), (hard, "files with several hard links")];
        for (count, what) in counts {
            if count > 0 {
                let count = paths::thousands(count);
                difference.notes.push(format!("{what} left alone, whatever they have: {count}"));
            }
        }
    }
}
