//! Making changes at paths.

use super::change::{Change, Setting};
use crate::kind::Applied;
use steadfast_system::SystemError;
use steadfast_system::files::{self, NewFile};

/// Applies the changes of many promises. What is of one sort goes in one batch, so that files share
/// one flush. Within such a batch those behind the first that fails may have been done too.
pub fn apply(batch: &[&[Change]], sys: &dyn files::Write) -> Vec<Applied> {
    let mut run =
        Run { batch, next: vec![0; batch.len()], results: vec![Applied::All; batch.len()], sys };
    loop {
        let mut shared = Shared::default();
        let mut moved = false;
        for promise in 0..batch.len() {
            moved |= run.advance(promise, &mut shared);
        }
        if !moved {
            return run.results;
        }
        run.flush(&shared);
    }
}

/// How far the promises of a batch are.
struct Run<'a> {
    batch: &'a [&'a [Change]],
    /// The index of the change of each promise that is next.
    next: Vec<usize>,
    results: Vec<Applied>,
    sys: &'a dyn files::Write,
}

/// What is done at once for all promises, each item with its promise and the index of its change.
#[derive(Default)]
struct Shared<'a> {
    files: Vec<NewFile>,
    of_files: Vec<(usize, usize)>,
    settings: Vec<&'a Setting>,
    of_settings: Vec<(usize, usize)>,
}

impl<'a> Run<'a> {
    /// Takes all changes of a promise that follow and are of one sort; whether there were any.
    fn advance(&mut self, promise: usize, shared: &mut Shared<'a>) -> bool {
        let changes = self.batch[promise];
        let Some(first) = changes.get(self.next[promise]) else { return false };
        if self.results[promise] != Applied::All {
            return false;
        }
        while let Some(change) = changes.get(self.next[promise])
            && std::mem::discriminant(change) == std::mem::discriminant(first)
        {
            let at = self.next[promise];
            self.next[promise] += 1;
            if let Err(error) = self.begin(change, (promise, at), shared) {
                self.results[promise] = Applied::Failed { at, error };
                break;
            }
        }
        true
    }

    /// Makes a change, or leaves it to what is done for all.
    fn begin(
        &self,
        change: &'a Change,
        of: (usize, usize),
        shared: &mut Shared<'a>,
    ) -> Result<(), SystemError> {
        match change {
            Change::Write(all) => {
                shared.files.extend(all.iter().map(|it| it.file.clone()));
                shared.of_files.extend(all.iter().map(|_| of));
                Ok(())
            }
            Change::SetAttributes(all) => {
                shared.settings.extend(all);
                shared.of_settings.extend(all.iter().map(|_| of));
                Ok(())
            }
            Change::MakeDirectories(all) => all.iter().try_for_each(|it| {
                self.sys.make_directory(&it.path, it.uid, it.gid, it.mode, &it.replaces)
            }),
            Change::MakeLink(it) => {
                self.sys.make_link(&it.path, &it.target, it.uid, it.gid, &it.replaces)
            }
            Change::Remove(all) => {
                all.iter().try_for_each(|it| self.sys.remove(&it.path, &it.seen, it.whole, it.keep))
            }
        }
    }

    /// Does what was left to be done for all.
    fn flush(&mut self, shared: &Shared<'_>) {
        if !shared.files.is_empty() {
            self.note(&shared.of_files, self.sys.write_files(&shared.files));
        }
        if !shared.settings.is_empty() {
            let all: Vec<_> =
                shared.settings.iter().map(|it| (&it.path, &it.seen, it.to)).collect();
            self.note(&shared.of_settings, self.sys.set_attributes(&all));
        }
    }

    /// Of several changes of a promise that failed, the first counts.
    fn note(&mut self, of: &[(usize, usize)], done: Vec<Result<(), SystemError>>) {
        for ((promise, at), done) in of.iter().zip(done) {
            if let Err(error) = done
                && self.results[*promise] == Applied::All
            {
                self.results[*promise] = Applied::Failed { at: *at, error };
            }
        }
    }
}
