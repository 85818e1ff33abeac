//! What not even root can change: flags of the file system, and what is mounted read-only. It is known before
//! anything is tried, so no forecast says that it will come true.

use super::change::Change;
use crate::kind::{Difference, Refusal};
use steadfast_system::files::{Bar, Entry, Folder};

/// Refuses changes of what is promised itself that cannot be made; `entry` is what is there.
pub fn refuse_barred(
    difference: Difference<Change>,
    folder: Option<&Folder>,
    entry: Option<&Entry>,
) -> Difference<Change> {
    let entry_bar = entry.and_then(|it| it.marks.bar);
    let folder_bar = folder.and_then(|it| it.bar);
    let why = difference.changes.iter().find_map(|it| bar_of(it, folder_bar, entry_bar));
    match why {
        None => difference,
        Some((bar, why)) => {
            let open = folder.is_some_and(|it| it.open);
            let refused = Difference::refused(refusal(bar, open, why));
            Difference { notes: difference.notes, ..refused }
        }
    }
}

/// Flags are set by root. A kernel mounts a file system read-only by itself, where its disk fails, and that is no
/// fault of a model.
fn refusal(bar: Bar, open: bool, why: String) -> Refusal {
    match bar {
        Bar::Immutable | Bar::AppendOnly => Refusal::of_place(open, why),
        Bar::ReadOnly => Refusal::Storage(why),
    }
}

/// Why a change of what is promised itself cannot be made.
fn bar_of(change: &Change, folder: Option<Bar>, entry: Option<Bar>) -> Option<(Bar, String)> {
    let (itself, name_stays) = match change {
        Change::MakeDirectories(all) => (all.iter().any(|it| it.below.is_none()), false),
        Change::MakeLink(_) => (true, false),
        Change::Write(all) => {
            let its = all.iter().find(|it| it.below.is_none());
            (its.is_some(), its.is_some_and(|it| it.file.in_place))
        }
        Change::SetAttributes(all) => (all.iter().any(|it| it.below.is_none()), true),
        Change::Remove(all) => (all.iter().any(|it| it.below.is_none()), false),
    };
    let of_folder = folder.filter(|_| !name_stays).map(|it| (it, its_directory(it.words())));
    let why = entry.map(|it| (it, format!("it {}", it.words()))).or(of_folder);
    why.filter(|_| itself)
}

/// What is in such a directory stays.
pub fn its_directory(words: &str) -> String {
    format!("its directory {words}")
}
