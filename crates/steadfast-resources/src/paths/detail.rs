//! What a change shows beyond its line: the difference of a file, or each of the many that one line counts.

use super::change::{Change, Writing};
use super::numbers::thousands;
use std::fmt;
use std::time::Duration;
use steadfast_system::AbsPath;
use steadfast_system::text::safe;

/// The largest content that a difference is shown for, and how much of the difference is shown.
pub const SHOWN: u64 = 1 << 20;
pub(super) const SHOWN_DIFFERENCE: usize = 64 << 10;
/// How many lines are shown of a file that others than root can write.
pub(super) const SHOWN_OF_OTHERS: usize = 20;

/// The difference of a file, or the list of what one line counts.
pub fn detail(change: &Change) -> Option<String> {
    fn list<T: fmt::Display>(all: &[T]) -> Option<String> {
        if all.len() < 2 {
            return None;
        }
        let mut out = String::new();
        for (at, it) in all.iter().enumerate() {
            if out.len() > SHOWN_DIFFERENCE {
                out.push_str(&format!("… and {} more\n", thousands((all.len() - at) as u64)));
                break;
            }
            out.push_str(&format!("{it}\n"));
        }
        Some(out)
    }
    match change {
        Change::Write(all) => match &**all {
            [one] => difference(one),
            all => list(all),
        },
        Change::SetAttributes(all) => list(all),
        Change::Remove(all) => list(all),
        Change::MakeDirectories(all) => list(all),
        Change::MakeLink(_) => None,
    }
}

/// The unified difference between what a file holds and what it gets.
fn difference(writing: &Writing) -> Option<String> {
    if writing.sensitive {
        return None;
    }
    let new: &[u8] = &writing.file.content;
    let old: &[u8] = match (&writing.present, writing.was) {
        (Some(present), _) => &present.0,
        (None, None) => &[],
        (None, Some(_)) => return None,
    };
    if new.len() as u64 > SHOWN || old.len() as u64 > SHOWN {
        return None;
    }
    let text = |bytes| std::str::from_utf8(bytes).ok().filter(|it| !it.contains('\0'));
    let (Some(old_text), Some(new_text)) = (text(old), text(new)) else {
        return Some(format!(
            "binary files differ ({} -> {} bytes)\n",
            thousands(old.len() as u64),
            thousands(new.len() as u64)
        ));
    };
    let lines = if writing.open { SHOWN_OF_OTHERS } else { usize::MAX };
    Some(diff(&writing.file.path, old_text, new_text, lines))
}

/// The unified difference between what is at a path and what is promised, of so many lines at most.
pub fn diff(path: &AbsPath, is: &str, promised: &str, lines: usize) -> String {
    // Two texts can be made that take long to compare; then the difference is only less fine.
    let diff =
        similar::TextDiff::configure().timeout(Duration::from_millis(500)).diff_lines(is, promised);
    let whole = diff
        .unified_diff()
        .context_radius(3)
        .header(&format!("{path} (current)"), &format!("{path} (promised)"))
        .to_string();
    let mut out = String::new();
    let total = whole.lines().count();
    for (at, line) in whole.split_terminator('\n').enumerate() {
        if at >= lines || out.len() + line.len() > SHOWN_DIFFERENCE {
            out.push_str(&format!("… and {} more lines\n", thousands((total - at) as u64)));
            break;
        }
        out.push_str(&safe(line));
        out.push('\n');
    }
    out
}
