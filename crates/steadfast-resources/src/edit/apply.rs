//! Applying edits to the bytes of a text.

use super::key::Key;
use super::rows::{
    CR, CRLF, LF, NONE, Row, ending, insert, is_comment, is_continued, remove, rows, trim,
};
use super::types::{Edit, Pattern, Place};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use steadfast_model::Rendered;
use steadfast_model::lower::Piece;
use steadfast_system::secrets::Secret;

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
    if [&b"\xff\xfe"[..], b"\xfe\xff"].iter().any(|it| text.starts_with(it)) && text.contains(&0) {
        return Err("it is UTF-16 text, which edits do not read".to_owned());
    }
    // A byte order mark is the file's, and no part of its first line.
    let (mark, text) = text.split_at(if text.starts_with(MARK) { MARK.len() } else { 0 });
    let mut rows = rows(text);
    for edit in edits {
        match edit {
            Edit::Line { line, pattern, place, only_replace, all, absent } => {
                let (line, pattern) = (line.as_deref(), pattern.as_ref());
                let this = Line { line: line.map(str::as_bytes), pattern };
                match absent {
                    true => this.go(&mut rows)?,
                    false => this.be_there(&mut rows, place, *only_replace, *all)?,
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
                key.apply(&mut rows, value.as_deref())?;
            }
        }
    }
    let mut out = mark.to_vec();
    for row in &rows {
        out.extend_from_slice(&row.text);
        out.extend_from_slice(row.end);
    }
    Ok(out)
}

const MARK: &[u8] = b"\xef\xbb\xbf";

/// A line, and what else is taken for it.
#[derive(Clone, Copy)]
struct Line<'e> {
    line: Option<&'e [u8]>,
    pattern: Option<&'e Pattern>,
}

impl Line<'_> {
    fn equals(self, row: &Row<'_>) -> bool {
        self.line.is_some_and(|it| *row.text == *it)
    }

    fn matches(self, row: &Row<'_>) -> bool {
        self.pattern.is_some_and(|it| it.matches(&row.text))
    }

    /// Every line that it says goes.
    fn go(self, rows: &mut Vec<Row<'_>>) -> Result<(), String> {
        let goes: Vec<usize> = (0..rows.len())
            .filter(|at| self.equals(&rows[*at]) || self.matches(&rows[*at]))
            .collect();
        let torn = |at: &&usize| {
            is_continued(&rows[**at].text)
                && **at + 1 < rows.len()
                && goes.binary_search(&(**at + 1)).is_err()
        };
        if goes.iter().any(|at| torn(&at)) {
            return Err(GOES_ON.to_owned());
        }
        remove(rows, goes);
        Ok(())
    }

    fn be_there(
        self,
        rows: &mut Vec<Row<'_>>,
        place: &Place,
        only_replace: bool,
        all: bool,
    ) -> Result<(), String> {
        let Some(line) = self.line else { return Ok(()) };
        let matches = |row: &Row<'_>| self.matches(row);
        let there = rows.iter().position(|row| self.equals(row));
        let first = match there {
            // A comment that matches is not needed. Anything else that stands before it may count instead.
            Some(there) => rows[..there]
                .iter()
                .position(|row| matches(row) && !is_comment(&row.text))
                .unwrap_or(there),
            None => match rows.iter().position(matches) {
                Some(first) => first,
                None if only_replace => return Ok(()),
                None => {
                    let at = place.find(rows);
                    return insert(rows, at, vec![line.to_vec()]);
                }
            },
        };
        if is_continued(&rows[first].text) && !is_continued(line) {
            return Err(GOES_ON.to_owned());
        }
        let moved = there.is_some_and(|there| there != first);
        rows[first].text = Cow::Owned(line.to_vec());
        if line.is_empty() && rows[first].end == NONE {
            // Without an end, an empty line is none.
            rows[first].end = ending(rows);
        }
        let goes = |at: &usize| (moved && self.equals(&rows[*at])) || (all && matches(&rows[*at]));
        let others: Vec<usize> = (0..rows.len()).filter(|at| *at != first && goes(at)).collect();
        remove(rows, others);
        Ok(())
    }
}

const GOES_ON: &str =
    "the line ends in a backslash, so it goes on in the next, which would be left";

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
            return insert(rows, at, new);
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
