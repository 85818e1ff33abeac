//! Making changes at paths.

use super::change::{Change, Setting};
use crate::kind::Applied;
use steadfast_system::SystemError;
use steadfast_system::files::{self, NewFile};

/// Applies the changes of many promises. What is of one sort goes in one batch, so that files share
/// one flush. A change that fails below a promised directory holds nothing else: whoever can put something
/// there that cannot be changed or removed would hold the rest. One of what is promised itself does.
pub fn apply(batch: &[&[Change]], sys: &dyn files::Write) -> Vec<Applied> {
    let mut run = Run { batch, next: vec![0; batch.len()], failed: vec![vec![]; batch.len()], sys };
    loop {
        let mut shared = Shared::default();
        let mut moved = false;
        for promise in 0..batch.len() {
            moved |= run.advance(promise, &mut shared);
        }
        if !moved {
            return run.results();
        }
        run.flush(&shared);
    }
}

/// How far the promises of a batch are.
struct Run<'a> {
    batch: &'a [&'a [Change]],
    /// The index of the change of each promise that is next.
    next: Vec<usize>,
    /// The changes of each that failed, by their index, in the order in which they did.
    failed: Vec<Vec<(usize, SystemError)>>,
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
        if self.is_stopped(promise) {
            return false;
        }
        while let Some(change) = changes.get(self.next[promise])
            && std::mem::discriminant(change) == std::mem::discriminant(first)
        {
            let at = self.next[promise];
            self.next[promise] += 1;
            if let Err(error) = self.begin(change, (promise, at), shared) {
                self.failed[promise].push((at, error));
                if self.is_stopped(promise) {
                    break;
                }
            }
        }
        true
    }

    /// Whether a change of what is promised itself failed, so that nothing more is tried.
    fn is_stopped(&self, promise: usize) -> bool {
        self.failed[promise].iter().any(|(at, _)| is_of_itself(&self.batch[promise][*at]))
    }

    fn results(self) -> Vec<Applied> {
        let result = |(mut failed, changes): (Vec<(usize, SystemError)>, &&[Change])| {
            failed.sort_by_key(|(at, _)| *at);
            failed.dedup_by_key(|(at, _)| *at);
            if failed.is_empty() {
                Applied::All
            } else if failed.iter().any(|(at, _)| is_of_itself(&changes[*at])) {
                let (at, error) = failed.swap_remove(0);
                Applied::Failed { at, error }
            } else {
                Applied::Partly { failed }
            }
        };
        self.failed.into_iter().zip(self.batch).map(result).collect()
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
            Change::MakeDirectories(all) => each(all, |it| {
                self.sys.make_directory(&it.path, it.uid, it.gid, it.mode, &it.replaces)
            }),
            Change::MakeLink(it) => {
                self.sys.make_link(&it.path, &it.target, it.uid, it.gid, &it.replaces)
            }
            Change::Remove(all) => {
                each(all, |it| self.sys.remove(&it.path, &it.seen, it.whole, it.keep))
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

    fn note(&mut self, of: &[(usize, usize)], done: Vec<Result<(), SystemError>>) {
        for ((promise, at), done) in of.iter().zip(done) {
            if let Err(error) = done {
                self.failed[*promise].push((*at, error));
            }
        }
    }
}

/// Tries all. Of those that fail, the first counts.
fn each<T>(
    all: &[T],
    mut act: impl FnMut(&T) -> Result<(), SystemError>,
) -> Result<(), SystemError> {
    let mut result = Ok(());
    for it in all {
        let done = act(it);
        result = result.and(done);
    }
    result
}

/// Whether a change is one of what is promised, and not only of something below it.
fn is_of_itself(change: &Change) -> bool {
    match change {
        Change::MakeDirectories(all) => all.iter().any(|it| it.below.is_none()),
        Change::MakeLink(_) => true,
        Change::Write(all) => all.iter().any(|it| it.below.is_none()),
        Change::SetAttributes(all) => all.iter().any(|it| it.below.is_none()),
        Change::Remove(all) => all.iter().any(|it| it.below.is_none()),
    }
}
