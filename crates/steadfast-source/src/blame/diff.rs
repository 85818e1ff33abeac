//! Lines of two versions of a file: which they have in common, and what that says of lines that are
//! followed from the newer one to the older one.

use similar::algorithms::{Capture, Compact, Replace, histogram};
use std::collections::HashMap;
use std::time::Instant;

/// Lines that are asked about, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lines {
    pub first: u32,
    pub length: u32,
    /// Where they begin in the file as the commit has it; none where it does not have them.
    pub committed: Option<u32>,
}

impl Lines {
    pub(crate) const ALL: Lines = Lines { first: 0, length: u32::MAX, committed: Some(0) };
}

/// Lines of the revision, as a commit on the way has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) file: usize,
    /// In the revision.
    pub(super) first: u32,
    /// In the commit.
    pub(super) line: u32,
    pub(super) length: u32,
}

/// Lines that two versions of a file have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Same {
    pub(super) old: u32,
    pub(super) new: u32,
    pub(super) length: u32,
}

/// How two versions of a file compare.
#[derive(Clone, Debug, Default)]
pub(super) struct Compared {
    pub(super) same: Vec<Same>,
    pub(super) new_lines: u32,
    pub(super) old_lines: u32,
}

/// Lines with their ends, as git counts them.
pub(super) fn lines(content: &[u8]) -> Vec<&[u8]> {
    content.split_inclusive(|it| *it == b'\n').collect()
}

/// None where there was not enough time: what is found by then is not the whole.
pub(super) fn compare_lines<'a>(
    new: &[&'a [u8]],
    old: &[&'a [u8]],
    until: Instant,
) -> Option<Compared> {
    let mut numbers: HashMap<&'a [u8], usize> = HashMap::new();
    let [new, old] = [new, old].map(|lines| -> Vec<usize> {
        lines
            .iter()
            .map(|line| {
                let next = numbers.len();
                *numbers.entry(line).or_insert(next)
            })
            .collect()
    });
    // Of its algorithms this one agrees with `git blame` most, and is the fastest here. It is named as a function: who
    // chooses one by its `Algorithm` brings the code of all of them along.
    let mut hook = Compact::new(Replace::new(Capture::new()), &old[..], &new[..]);
    let (whole_old, whole_new) = (0..old.len(), 0..new.len());
    histogram::diff_deadline(&mut hook, &old[..], whole_old, &new[..], whole_new, Some(until))
        .ok()?;
    let found = hook.into_inner().into_inner().into_ops();
    if Instant::now() >= until {
        return None;
    }
    let count = |it: usize| u32::try_from(it).unwrap_or(u32::MAX);
    let same = found
        .into_iter()
        .filter_map(|it| match it {
            similar::DiffOp::Equal { old_index, new_index, len } => {
                Some(Same { old: count(old_index), new: count(new_index), length: count(len) })
            }
            similar::DiffOp::Delete { .. }
            | similar::DiffOp::Insert { .. }
            | similar::DiffOp::Replace { .. } => None,
        })
        .collect();
    Some(Compared { same, new_lines: count(new.len()), old_lines: count(old.len()) })
}

/// The lines of a file as it lies there, which may not be committed: where the commit has them.
pub(crate) fn against(there: &[u8], committed: &[u8], until: Instant) -> Option<Vec<Lines>> {
    // Whether lines end with a carriage return may depend on where they were checked out.
    let plain = |content| -> Vec<&[u8]> {
        let ends = |it: &u8| matches!(it, b'\n' | b'\r');
        let cut = |line: &'_ [u8]| line.iter().rposition(|it| !ends(it)).map_or(0, |at| at + 1);
        lines(content).into_iter().map(|it| &it[..cut(it)]).collect()
    };
    let compared = compare_lines(&plain(there), &plain(committed), until)?;
    let whole = [Piece { file: 0, first: 0, line: 0, length: compared.new_lines }];
    let (passed, left) = split(&whole, &compared);
    let known = passed.iter().map(|it| (it, Some(it.line)));
    let parts = known.chain(left.iter().map(|it| (it, None)));
    Some(
        parts
            .map(|(it, committed)| Lines { first: it.first, length: it.length, committed })
            .collect(),
    )
}

/// What of the lines the older version has, and the rest.
pub(super) fn split(pieces: &[Piece], compared: &Compared) -> (Vec<Piece>, Vec<Piece>) {
    let (mut passed, mut left) = (vec![], vec![]);
    for piece in pieces {
        let end = piece.line.saturating_add(piece.length).min(compared.new_lines);
        let mut at = piece.line;
        let part = |from: u32, to: u32, line: u32| Piece {
            file: piece.file,
            first: piece.first.saturating_add(from - piece.line),
            line,
            length: to - from,
        };
        let after = |it: &Same| it.new.saturating_add(it.length) <= piece.line;
        let begin = compared.same.partition_point(after);
        for same in &compared.same[begin..] {
            let from = same.new.max(at);
            let to = same.new.saturating_add(same.length).min(end);
            if from >= end || from >= to {
                break;
            }
            if at < from {
                left.push(part(at, from, at));
            }
            passed.push(part(from, to, same.old + (from - same.new)));
            at = to;
        }
        if at < end {
            left.push(part(at, end, at));
        }
    }
    (passed, left)
}
