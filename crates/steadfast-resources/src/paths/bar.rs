//! What not even root can change: flags of the file system, and what is mounted read-only. It is known before
//! anything is tried, so no forecast says that it will come true.

use super::change::Change;
use crate::kind::{Difference, Refusal};
use steadfast_system::AbsPath;
use steadfast_system::files::{Bar, Entry, Folder};

/// What a change does to something, as far as flags forbid it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touch {
    /// Something else takes its name, or it goes.
    Name,
    /// It keeps its name.
    Itself,
}

impl Touch {
    pub fn of(name_stays: bool) -> Touch {
        if name_stays { Touch::Itself } else { Touch::Name }
    }
}

/// Refuses changes of what is promised itself that cannot be made; `entry` is what is there.
pub fn refuse_barred(
    difference: Difference<Change>,
    folder: Option<&Folder>,
    entry: Option<&Entry>,
) -> Difference<Change> {
    refuse_touching(difference, None, folder, entry, touch)
}

/// The same of any changes, where `touch` says what each does to it; `path` is that of the file, where the promise
/// is not called by it.
pub fn refuse_touching<C>(
    difference: Difference<C>,
    path: Option<&AbsPath>,
    folder: Option<&Folder>,
    entry: Option<&Entry>,
    touch: impl Fn(&C) -> Option<Touch>,
) -> Difference<C> {
    let touches = difference.changes.iter().filter_map(touch);
    match touches.filter_map(|it| why_barred(it, folder, entry)).next() {
        None => difference,
        Some(why) => {
            let why = path.map_or_else(|| why.clone(), |it| why.clone().of(it.as_str()));
            let refused = Difference::refused(why);
            Difference { notes: difference.notes, ..refused }
        }
    }
}

/// Why this cannot be done.
pub fn why_barred(touch: Touch, folder: Option<&Folder>, entry: Option<&Entry>) -> Option<Refusal> {
    let entry = entry.and_then(|it| it.marks.bar).map(|it| (it, format!("it {}", it.words())));
    let of_folder = || {
        let bar = folder.and_then(|it| it.bar).filter(|_| touch == Touch::Name)?;
        Some((bar, its_directory(bar.words())))
    };
    let (bar, why) = entry.or_else(of_folder)?;
    Some(refusal(bar, folder.is_some_and(|it| it.open), why))
}

/// Flags are set by root. A kernel mounts a file system read-only by itself, where its disk fails, and that is no
/// fault of a model.
pub fn refusal(bar: Bar, open: bool, why: String) -> Refusal {
    match bar {
        Bar::Immutable | Bar::AppendOnly => Refusal::of_place(open, why),
        Bar::ReadOnly => Refusal::Storage(why),
    }
}

/// What a change does to what is promised itself; what it does below that is told by the look at it.
fn touch(change: &Change) -> Option<Touch> {
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
    itself.then_some(Touch::of(name_stays))
}

/// What is in such a directory stays.
pub fn its_directory(words: &str) -> String {
    format!("its directory {words}")
}
