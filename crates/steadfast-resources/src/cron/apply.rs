//! Carrying out the changes of several jobs: files share one flush.

use super::change::Change;
use crate::kind::Applied;
use steadfast_system::{Actuate, ErrorKind, SystemError};

pub(super) fn apply(batch: &[&[Change]], sys: &dyn Actuate) -> Vec<Applied> {
    let (mut files, mut attributes) = (vec![], vec![]);
    for change in batch.iter().copied().flatten() {
        match change {
            Change::Write { file, was: _ } => files.push(file.clone()),
            Change::SetAttributes { path, seen, attributes: to, was: _ } => {
                attributes.push((path, seen, *to));
            }
            Change::Remove { .. } => {}
        }
    }
    let mut written = answers(&files, |all| sys.write_files(all)).into_iter();
    let mut set = answers(&attributes, |all| sys.set_attributes(all)).into_iter();
    let no_answer = || Err(SystemError::new(ErrorKind::Other, "keep a cron job"));
    batch
        .iter()
        .map(|changes| {
            // Each promise has one change at most, so the answers come in the order of promises.
            Applied::each(changes, |change| match change {
                Change::Write { .. } => written.next().unwrap_or_else(no_answer),
                Change::SetAttributes { .. } => set.next().unwrap_or_else(no_answer),
                Change::Remove { path, seen, was: _ } => sys.remove(path, seen, false, true),
            })
        })
        .collect()
}

/// The machine is not asked to do nothing.
fn answers<T, U>(all: &[T], act: impl FnOnce(&[T]) -> Vec<U>) -> Vec<U> {
    if all.is_empty() { vec![] } else { act(all) }
}
