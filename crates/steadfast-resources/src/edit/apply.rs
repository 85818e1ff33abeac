//! Applying edits to the bytes of a text.

use super::types::{Edit, Place};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use steadfast_model::Rendered;
use steadfast_model::lower::Piece;
use steadfast_system::secrets::Secret;

/// A line of the file and what ends it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row<'a> {
    pub text: Cow<'a, [u8]>,
    end: &'static [u8],
}

const NONE: &[u8] = b"";
const LF: &[u8] = b"\n";
const CRLF: &[u8] = b"\r\n";
/// Only before the end of the file, where half of the line's end is missing.
const CR: &[u8] = b"\r";

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
fn ending(rows: &[Row<'_>]) -> &'static [u8] {
    match rows {
        [.., Row { end: CR, .. }] => LF,
        [Row { end: CRLF, .. }, ..] => CRLF,
        _ => LF,
    }
}

/// Puts lines at a place. At the end of a text without a last newline, `bare` leaves the new last line
/// without one too.
fn insert(rows: &mut Vec<Row<'_>>, at: usize, lines: Vec<Vec<u8>>, bare: bool) {
    let end = ending(rows);
    let mut new: Vec<Row<'_>> =
        lines.into_iter().map(|text| Row { text: Cow::Owned(text), end }).collect();
    if at == rows.len()
        && let Some(last) = rows.last_mut()
        && [NONE, CR].contains(&last.end)
    {
        last.end = if last.end == CR { CRLF } else { end };
        if bare && let Some(row) = new.last_mut() {
            row.end = NONE;
        }
    }
    rows.splice(at..at, new);
}

impl Place {
    fn find(&self, rows: &[Row<'_>]) -> usize {
        match self {
            Place::End => None,
            Place::After(pattern) => {
                rows.iter().rposition(|row| pattern.matches(&row.text)).map(|at| at + 1)
            }
            Place::Before(pattern) => rows.iter().position(|row| pattern.matches(&row.text)),
        }
        .unwrap_or(rows.len())
    }
}

/// Applies edits in their order. A refusal says why; nothing of a secret is in it.
pub fn apply(
    edits: &[Edit],
    secrets: &BTreeMap<Arc<str>, Secret>,
    text: &[u8],
) -> Result<Vec<u8>, String> {
    let once = apply_once(edits, secrets, text)?;
    // In sync means that a second application changes nothing, so it has to be so.
    if apply_once(edits, secrets, &once)? != once {
        return Err(
            "the edits undo each other: applied to their own result, they change it again (where several lines match, `all: true` may be meant)"
                .to_owned(),
        );
    }
    Ok(once)
}

pub(super) fn apply_once(
    edits: &[Edit],
    secrets: &BTreeMap<Arc<str>, Secret>,
    text: &[u8],
) -> Result<Vec<u8>, String> {
    let mut rows = rows(text);
    for edit in edits {
        match edit {
            Edit::Line { line, pattern, place, only_replace, all, absent } => {
                let equal =
                    |row: &Row<'_>| line.as_ref().is_some_and(|it| *row.text == *it.as_bytes());
                let matches =
                    |row: &Row<'_>| pattern.as_ref().is_some_and(|it| it.matches(&row.text));
                if *absent {
                    rows.retain(|row| !equal(row) && !matches(row));
                    continue;
                }
                let Some(line) = line else { continue };
                if let Some(first) = rows.iter().position(matches) {
                    rows[first].text = Cow::Owned(line.as_bytes().to_vec());
                    if line.is_empty() && rows[first].end == NONE {
                        // Without an end, an empty line is none.
                        rows[first].end = ending(&rows);
                    }
                    if *all {
                        let mut at = 0..;
                        rows.retain(|row| at.next() <= Some(first) || !matches(row));
                    }
                } else if !only_replace && !rows.iter().any(equal) {
                    let at = place.find(&rows);
                    insert(&mut rows, at, vec![line.as_bytes().to_vec()], false);
                }
            }
            Edit::Block { name, lines, comment, place, absent } => {
                block(&mut rows, name, lines, comment, place, *absent)?;
            }
            Edit::Key { key, value, section, separator } => {
                let value = match value {
                    Some(value) => Some(resolve(value, secrets, key)?),
                    None => None,
                };
                let key = Key { key, separator, section: section.as_deref() };
                key.apply(&mut rows, value.as_deref());
            }
        }
    }
    let mut out = Vec::with_capacity(text.len());
    for row in &rows {
        out.extend_from_slice(&row.text);
        out.extend_from_slice(row.end);
    }
    Ok(out)
}

pub(super) fn is_marker(text: &[u8], comment: &str) -> bool {
    text.strip_prefix(comment.as_bytes()).is_some_and(|it| {
        it.starts_with(b" BEGIN steadfast ") || it.starts_with(b" END steadfast ")
    })
}

fn block(
    rows: &mut Vec<Row<'_>>,
    name: &str,
    lines: &[Arc<str>],
    comment: &str,
    place: &Place,
    absent: bool,
) -> Result<(), String> {
    let begin = format!("{comment} BEGIN steadfast {name}");
    let end = format!("{comment} END steadfast {name}");
    let places = |marker: &str| -> Vec<usize> {
        let same = |(at, row): (usize, &Row<'_>)| (*row.text == *marker.as_bytes()).then_some(at);
        rows.iter().enumerate().filter_map(same).collect()
    };
    let torn = |why: &str| Err(format!("the block `{name}` is torn: {why}"));
    let (from, to) = match (&*places(&begin), &*places(&end)) {
        ([], []) if absent => return Ok(()),
        ([], []) => {
            let mut new = vec![begin.into_bytes()];
            new.extend(lines.iter().map(|it| it.as_bytes().to_vec()));
            new.push(end.into_bytes());
            let at = place.find(rows);
            insert(rows, at, new, true);
            return Ok(());
        }
        ([from], [to]) if from < to => (*from, *to),
        ([_], [_]) => return torn("its end stands before its beginning"),
        ([_], []) => return torn("it has no end"),
        ([], [_]) => return torn("it has no beginning"),
        (_, _) => return torn("its markers stand there more than once"),
    };
    if rows[from + 1..to].iter().any(|row| is_marker(&row.text, comment)) {
        return torn("the marker of another block stands in it");
    }
    if absent {
        if rows[to].end == NONE && from > 0 {
            // It was put behind a line without a newline; that line ends as it did before.
            let with = rows[from].end;
            let before = &mut rows[from - 1];
            before.end = if before.end == CRLF && with == LF { CR } else { NONE };
        }
        rows.drain(from..=to);
        return Ok(());
    }
    let same =
        rows[from + 1..to].iter().map(|it| &*it.text).eq(lines.iter().map(|it| it.as_bytes()));
    if !same {
        let end = rows[from].end;
        let new = lines.iter().map(|it| Row { text: Cow::Owned(it.as_bytes().to_vec()), end });
        rows.splice(from + 1..to, new);
    }
    Ok(())
}

/// The value's bytes, with what is secret in it.
fn resolve(
    value: &Rendered,
    secrets: &BTreeMap<Arc<str>, Secret>,
    key: &str,
) -> Result<Vec<u8>, String> {
    let mut bytes = vec![];
    for piece in &*value.pieces {
        match piece {
            Piece::Plain(text) => bytes.extend_from_slice(text.as_bytes()),
            Piece::Secret(name) => {
                let Some(secret) = secrets.get(name) else {
                    return Err(format!("the secret `{name}` is not known"));
                };
                bytes.extend_from_slice(secret.reveal());
            }
        }
    }
    line_of_value(&bytes)
        .map(<[u8]>::to_vec)
        .map_err(|()| format!("the value of `{key}` has a line break in it"))
}

/// A value without the space around it and the newline that files of secrets end with; refused where
/// a line break is left.
pub(super) fn line_of_value(bytes: &[u8]) -> Result<&[u8], ()> {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let bytes = trim(bytes.strip_suffix(b"\r").unwrap_or(bytes));
    if bytes.iter().any(|it| b"\n\r\0".contains(it)) { Err(()) } else { Ok(bytes) }
}

fn is_space(it: u8) -> bool {
    it == b' ' || it == b'\t'
}

/// How many spaces a text begins with.
fn spaces(text: &[u8]) -> usize {
    text.iter().take_while(|it| is_space(**it)).count()
}

fn trim_end(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|it| !is_space(*it)).map_or(0, |at| at + 1);
    &text[..end]
}

pub(super) fn trim(text: &[u8]) -> &[u8] {
    let text = trim_end(text);
    &text[spaces(text)..]
}

/// The name in `[name]`, which a comment may follow.
fn header(text: &[u8]) -> Option<&[u8]> {
    let inner = trim(text).strip_prefix(b"[")?;
    let close = inner.iter().position(|it| *it == b']')?;
    let rest = trim(&inner[close + 1..]);
    (rest.is_empty() || rest.starts_with(b"#") || rest.starts_with(b";"))
        .then(|| trim(&inner[..close]))
}

#[derive(Clone, Copy)]
pub(super) struct Key<'a> {
    pub key: &'a str,
    pub separator: &'a str,
    pub section: Option<&'a str>,
}

/// A line with the key: up to where its value begins, the value, and a comment behind it.
struct Found<'t> {
    before: &'t [u8],
    /// None where not even the separator is there.
    value: Option<&'t [u8]>,
}

impl Key<'_> {
    fn apply(self, rows: &mut Vec<Row<'_>>, value: Option<&[u8]>) {
        let bodies = self.bodies(rows);
        let mut found: Vec<usize> = bodies
            .iter()
            .flat_map(Range::clone)
            .filter(|at| self.find(&rows[*at].text).is_some())
            .collect();
        let Some(value) = value else {
            remove(rows, &found);
            return;
        };
        if found.is_empty() {
            let line = [self.key.as_bytes(), self.separator.as_bytes(), value].concat();
            let Some(body) = bodies.first() else {
                let mut new = vec![];
                if rows.last().is_some_and(|row| !trim(&row.text).is_empty()) {
                    new.push(vec![]);
                }
                new.push(format!("[{}]", self.section.unwrap_or_default()).into_bytes());
                new.push(line);
                let at = rows.len();
                insert(rows, at, new, false);
                return;
            };
            // Behind the last line of the section that is not blank.
            let filled = rows[body.clone()].iter().rposition(|row| !trim(&row.text).is_empty());
            insert(rows, body.start + filled.map_or(0, |at| at + 1), vec![line], false);
            return;
        }
        let first = found.remove(0);
        if !self.says(&rows[first].text, value) {
            rows[first].text = Cow::Owned(self.with(&rows[first].text, value));
        }
        remove(rows, &found);
    }

    /// The lines of the section (it may stand there several times), or those before the first one.
    pub(super) fn bodies(self, rows: &[Row<'_>]) -> Vec<Range<usize>> {
        let mut bodies = vec![];
        let mut start = self.section.is_none().then_some(0);
        for (at, row) in rows.iter().enumerate() {
            if let Some(name) = header(&row.text) {
                bodies.extend(start.map(|start| start..at));
                start = self.section.is_some_and(|it| it.as_bytes() == name).then_some(at + 1);
            }
        }
        bodies.extend(start.map(|start| start..rows.len()));
        bodies
    }

    /// Whether the separator is only space.
    fn is_spaced(self) -> bool {
        self.separator.trim().is_empty()
    }

    fn find(self, text: &[u8]) -> Option<Found<'_>> {
        let key_end = spaces(text) + self.key.len();
        let rest = text[spaces(text)..].strip_prefix(self.key.as_bytes())?;
        if trim(rest).is_empty() {
            return Some(Found { before: &text[..key_end], value: None });
        }
        let sign = self.separator.trim().as_bytes();
        let skipped = spaces(rest);
        let value = if sign.is_empty() {
            if skipped == 0 {
                return None;
            }
            &rest[skipped..]
        } else {
            let value = rest[skipped..].strip_prefix(sign)?;
            &value[spaces(value)..]
        };
        Some(Found { before: &text[..text.len() - value.len()], value: Some(trim_end(value)) })
    }

    /// Whether the line says this value, with or without a comment behind it.
    pub(super) fn says(self, text: &[u8], value: &[u8]) -> bool {
        match self.find(text) {
            Some(Found { value: Some(found), before }) => {
                found == value
                    || comment(before, found).is_some_and(|at| trim_end(&found[..at]) == value)
            }
            Some(Found { value: None, .. }) => self.is_spaced() && value.is_empty(),
            None => false,
        }
    }

    /// The line with this value in the place of what it says.
    fn with(self, text: &[u8], value: &[u8]) -> Vec<u8> {
        match self.find(text) {
            Some(Found { before, value: Some(found) }) => {
                let plain = [before, value].concat();
                if let Some(at) = comment(before, found) {
                    let from = trim_end(&found[..at]).len();
                    let gap: &[u8] = if from == at { b" " } else { b"" };
                    let whole = [before, value, gap, &found[from..]].concat();
                    if self.says(&whole, value) {
                        return whole;
                    }
                }
                plain
            }
            Some(Found { before, value: None }) => {
                [before, self.separator.as_bytes(), value].concat()
            }
            None => text.to_vec(),
        }
    }
}

/// Where in a value a comment begins: at a `#` or `;` with space before it, outside of quotes.
fn comment(before: &[u8], value: &[u8]) -> Option<usize> {
    let mut from = 0;
    if let Some(quote @ (b'"' | b'\'')) = value.first() {
        from = value.iter().skip(1).position(|it| it == quote)? + 2;
    }
    (from..value.len()).find(|at| {
        let space = match at.checked_sub(1) {
            Some(left) => is_space(value[left]),
            None => before.last().is_some_and(|it| is_space(*it)),
        };
        space && (value[*at] == b'#' || value[*at] == b';')
    })
}

/// Takes lines out by their indices, which rise.
fn remove(rows: &mut Vec<Row<'_>>, which: &[usize]) {
    let mut at = 0..;
    rows.retain(|_| at.next().is_none_or(|at| which.binary_search(&at).is_err()));
}
