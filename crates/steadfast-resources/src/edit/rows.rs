//! A text as lines, each with what ends it: what all edits work on.

use std::borrow::Cow;
use std::collections::BTreeSet;

/// A line of the file and what ends it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row<'a> {
    pub text: Cow<'a, [u8]>,
    pub end: &'static [u8],
}

pub(super) const NONE: &[u8] = b"";
pub(super) const LF: &[u8] = b"\n";
pub(super) const CRLF: &[u8] = b"\r\n";
/// Only before the end of the file, where half of the line's end is missing.
pub(super) const CR: &[u8] = b"\r";

pub(super) fn rows(text: &[u8]) -> Vec<Row<'_>> {
    text.split_inclusive(|it| *it == b'\n')
        .map(|line| {
            let end = match line {
                [.., b'\r', b'\n'] => CRLF,
                [.., b'\n'] => LF,
                [.., b'\r'] => CR,
                _ => NONE,
            };
            Row { text: Cow::Borrowed(&line[..line.len() - end.len()]), end }
        })
        .collect()
}

/// What ends a new line: what ends the first one.
pub(super) fn ending(rows: &[Row<'_>]) -> &'static [u8] {
    match rows {
        [.., Row { end: CR, .. }] => LF,
        [Row { end: CRLF, .. }, ..] => CRLF,
        _ => LF,
    }
}

/// Puts lines at a place. What is put behind a line without a newline gives it one, and ends in one too.
pub(super) fn insert(
    rows: &mut Vec<Row<'_>>,
    at: usize,
    lines: Vec<Vec<u8>>,
) -> Result<(), String> {
    if at.checked_sub(1).is_some_and(|above| is_continued(&rows[above].text)) {
        return Err("the line before it ends in a backslash, and would go on in it".to_owned());
    }
    let end = ending(rows);
    let new: Vec<Row<'_>> =
        lines.into_iter().map(|text| Row { text: Cow::Owned(text), end }).collect();
    if at == rows.len()
        && let Some(last) = rows.last_mut()
        && [NONE, CR].contains(&last.end)
    {
        last.end = if last.end == CR { CRLF } else { end };
    }
    rows.splice(at..at, new);
    Ok(())
}

/// Whether a line goes on in the next one, as in a shell: it ends in a backslash that no other escapes. A
/// comment does not.
pub(super) fn is_continued(text: &[u8]) -> bool {
    let slashes = text.iter().rev().take_while(|it| **it == b'\\').count();
    slashes % 2 == 1 && !is_comment(text)
}

pub(super) fn is_comment(text: &[u8]) -> bool {
    matches!(trim(text).first(), Some(b'#' | b';'))
}

/// Takes lines out by their indices.
pub(super) fn remove(rows: &mut Vec<Row<'_>>, which: impl IntoIterator<Item = usize>) {
    let which: BTreeSet<usize> = which.into_iter().collect();
    let mut at = 0..;
    rows.retain(|_| at.next().is_none_or(|at| !which.contains(&at)));
}

pub(super) fn is_space(it: u8) -> bool {
    it == b' ' || it == b'\t'
}

/// How many spaces a text begins with.
pub(super) fn spaces(text: &[u8]) -> usize {
    text.iter().take_while(|it| is_space(**it)).count()
}

pub(super) fn trim_end(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|it| !is_space(*it)).map_or(0, |at| at + 1);
    &text[..end]
}

pub(super) fn trim(text: &[u8]) -> &[u8] {
    let text = trim_end(text);
    &text[spaces(text)..]
}
