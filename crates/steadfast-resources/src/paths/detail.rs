//! What a change shows beyond its line: the difference of a file, or each of the many that one line counts.

use super::change::{Change, Writing};
use super::numbers::thousands;
use similar::algorithms::{Capture, Compact, Replace, myers};
use similar::udiff::UnifiedHunkHeader;
use similar::{DiffTag, DiffableStr as _, group_diff_ops};
use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};
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
    let whole = unified(path, is, promised);
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

/// What `similar::TextDiff` writes, by one algorithm on numbers in place of lines, as blame has it too. Asked for texts,
/// the library brings all of its algorithms along, each three times: 0.2 MB of the program.
#[expect(
    clippy::disallowed_methods,
    reason = "the time only bounds how fine a difference is shown"
)]
fn unified(path: &AbsPath, is: &str, promised: &str) -> String {
    let (old, new) = (is.tokenize_lines(), promised.tokenize_lines());
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    let [was, becomes] = [&old, &new].map(|lines| -> Vec<usize> {
        let mut number = |line| {
            let next = numbers.len();
            *numbers.entry(line).or_insert(next)
        };
        lines.iter().map(|line| number(*line)).collect()
    });
    let (was, becomes) = (&was[..], &becomes[..]);
    let mut hook = Compact::new(Replace::new(Capture::new()), was, becomes);
    // Two texts can be made that take long to compare; then the difference is only less fine.
    let until = Some(Instant::now() + Duration::from_millis(500));
    let Ok(()) =
        myers::diff_deadline(&mut hook, was, 0..was.len(), becomes, 0..becomes.len(), until);
    let mut out = String::with_capacity(is.len() + promised.len() + 128);
    for hunk in group_diff_ops(hook.into_inner().into_inner().into_ops(), 3) {
        if hunk.is_empty() {
            continue;
        }
        if out.is_empty() {
            out = format!("--- {path} (current)\n+++ {path} (promised)\n");
        }
        out.push_str(&format!("{}\n", UnifiedHunkHeader::new(&hunk)));
        for part in &hunk {
            let (tag, before, after) = part.as_tag_tuple();
            let nothing: &[&str] = &[];
            let sides = match tag {
                DiffTag::Equal => [(' ', &old[before]), (' ', nothing)],
                DiffTag::Delete | DiffTag::Insert | DiffTag::Replace => {
                    [('-', &old[before]), ('+', &new[after])]
                }
            };
            for (sign, line) in sides.iter().flat_map(|(sign, it)| it.iter().map(|it| (*sign, it)))
            {
                out.push(sign);
                out.push_str(line);
                if !line.ends_with(['\r', '\n']) {
                    out.push_str("\n\\ No newline at end of file\n");
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_difference_is_written_as_the_library_writes_it(
            old in "([ab]?[cd]?(\n|\r|\r\n)){0,30}[a-c]{0,2}",
            new in "([ab]?[cd]?(\n|\r|\r\n)){0,30}[a-c]{0,2}",
            repeated in 1..8usize,
        ) {
            let (old, new) = (old.repeat(repeated), new.repeat(repeated));
            let path = AbsPath::parse("/etc/motd").unwrap();
            let whole = similar::TextDiff::configure()
                .diff_lines(&old, &new)
                .unified_diff()
                .context_radius(3)
                .header("/etc/motd (current)", "/etc/motd (promised)")
                .to_string();
            prop_assert_eq!(unified(&path, &old, &new), whole);
        }
    }
}
