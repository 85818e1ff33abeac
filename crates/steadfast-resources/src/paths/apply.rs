//! Making changes at paths.

use super::change::{Change, Setting};
use crate::kind::Applied;
use steadfast_system::SystemError;
use steadfast_system::files::{self, NewFile};

/// Applies the changes of many promises. What is of one sort goes in one batch, so that files share
/// one flush. Within such a batch those behind the first that fails may have been done too.
pub fn apply(batch: &[&[Change]], sys: &dyn files::Write) -> Vec<Applied> {
    let mut results: Vec<Applied> = batch.iter().map(|_| Applied::All).collect();
    let mut next: Vec<usize> = vec![0; batch.len()];
    loop {
        let mut files: Vec<NewFile> = vec![];
        let mut settings: Vec<&Setting> = vec![];
        // The promise and the index of its change, for each item of the two.
        let (mut of_files, mut of_settings) = (vec![], vec![]);
        let mut moved = false;
        for (promise, changes) in batch.iter().enumerate() {
            let Some(first) = changes.get(next[promise]) else { continue };
            if results[promise] != Applied::All {
                continue;
            }
            moved = true;
            // All that follow and are of the same sort.
            while let Some(change) = changes.get(next[promise])
                && std::mem::discriminant(change) == std::mem::discriminant(first)
            {
                let at = next[promise];
                next[promise] += 1;
                let done = match change {
                    Change::Write(all) => {
                        files.extend(all.iter().map(|it| it.file.clone()));
                        of_files.extend(all.iter().map(|_| (promise, at)));
                        Ok(())
                    }
                    Change::SetAttributes(all) => {
                        settings.extend(all);
                        of_settings.extend(all.iter().map(|_| (promise, at)));
                        Ok(())
                    }
                    Change::MakeDirectories(all) => all.iter().try_for_each(|it| {
                        sys.make_directory(&it.path, it.uid, it.gid, it.mode, &it.replaces)
                    }),
                    Change::MakeLink(it) => {
                        sys.make_link(&it.path, &it.target, it.uid, it.gid, &it.replaces)
                    }
                    Change::Remove(all) => all
                        .iter()
                        .try_for_each(|it| sys.remove(&it.path, &it.seen, it.whole, it.keep)),
                };
                if let Err(error) = done {
                    results[promise] = Applied::Failed { at, error };
                    break;
                }
            }
        }
        if !moved {
            return results;
        }
        let mut note = |(promise, at): (usize, usize), done: Result<(), SystemError>| {
            if let Err(error) = done
                && results[promise] == Applied::All
            {
                results[promise] = Applied::Failed { at, error };
            }
        };
        if !files.is_empty() {
            of_files.into_iter().zip(sys.write_files(&files)).for_each(|(of, it)| note(of, it));
        }
        if !settings.is_empty() {
            let all: Vec<_> = settings.iter().map(|it| (&it.path, &it.seen, it.to)).collect();
            of_settings.into_iter().zip(sys.set_attributes(&all)).for_each(|(of, it)| note(of, it));
        }
    }
}
