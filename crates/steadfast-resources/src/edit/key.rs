//! The edit of one key: which line has it, how far its value goes, and what the line becomes.

use super::rows::{
    Row, insert, is_comment, is_continued, is_space, remove, spaces, trim, trim_end,
};
use std::borrow::Cow;
use std::ops::Range;

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
    pub(super) fn apply(self, rows: &mut Vec<Row<'_>>, value: Option<&[u8]>) -> Result<(), String> {
        let bodies = self.bodies(rows);
        let mut found: Vec<(usize, Vec<usize>)> = vec![];
        for body in &bodies {
            for at in body.clone().filter(|at| self.find(&rows[*at].text).is_some()) {
                // What a backslash at the end of the line before makes a part of that one.
                if at > body.start && is_continued(&rows[at - 1].text) {
                    continue;
                }
                self.stands_alone(rows, body, at)?;
                found.push((at, self.further_lines(rows, body, at)?));
            }
        }
        let Some(value) = value else {
            remove(rows, found.iter().flat_map(|(at, more)| [*at].into_iter().chain(more.clone())));
            return Ok(());
        };
        if found.is_empty() {
            return self.add(rows, bodies.first(), value);
        }
        let (first, more) = found.remove(0);
        let row = &mut rows[first];
        if !self.says(&row.text, value) || !more.is_empty() {
            let line = match is_continued(&row.text) {
                true => self.with_alone(&row.text, value),
                false => self.with(&row.text, value),
            };
            row.text = Cow::Owned(line);
        }
        let others = found.into_iter().flat_map(|(at, more)| std::iter::once(at).chain(more));
        remove(rows, more.into_iter().chain(others));
        Ok(())
    }

    /// A line with the key at the end of its section, which may have to be made.
    fn add(
        self,
        rows: &mut Vec<Row<'_>>,
        body: Option<&Range<usize>>,
        value: &[u8],
    ) -> Result<(), String> {
        let line = [self.key.as_bytes(), self.separator.as_bytes(), value].concat();
        let Some(body) = body else {
            let mut new = vec![];
            if rows.last().is_some_and(|row| !trim(&row.text).is_empty()) {
                new.push(vec![]);
            }
            new.push(format!("[{}]", self.section.unwrap_or_default()).into_bytes());
            new.push(line);
            let at = rows.len();
            return insert(rows, at, new);
        };
        // Behind the last line of the section that is not blank.
        let filled = rows[body.clone()].iter().rposition(|row| !trim(&row.text).is_empty());
        insert(rows, body.start + filled.map_or(0, |at| at + 1), vec![line])
    }

    /// The lines behind its own that its value goes on in: joined by backslashes, or indented under it, as in
    /// Postfix's main.cf. Where that cannot be told, nothing is done: half of a value is worse than the old one.
    fn further_lines(
        self,
        rows: &[Row<'_>],
        body: &Range<usize>,
        at: usize,
    ) -> Result<Vec<usize>, String> {
        let key = self.key;
        let mut more = vec![];
        let mut last = at;
        while is_continued(&rows[last].text) && last + 1 < body.end {
            last += 1;
            if self.looks_like_key(&rows[last].text) {
                return Err(format!(
                    "the value of `{key}` ends in a backslash: whether the next line belongs to it cannot be told"
                ));
            }
            more.push(last);
        }
        let whole: Vec<&[u8]> =
            std::iter::once(self.find(&rows[at].text).and_then(|it| it.value).unwrap_or_default())
                .chain(more.iter().map(|it| &*rows[*it].text))
                .collect();
        if let Some(what) = opened(&whole.join(&b'\n')) {
            return Err(format!(
                "the value of `{key}` begins with {what} that its line does not close"
            ));
        }
        let indent = spaces(&rows[at].text);
        let content = (last + 1..body.end).filter(|it| !is_blank_or_comment(&rows[*it].text));
        for below in content.take_while(|it| spaces(&rows[*it].text) > indent) {
            if self.is_spaced() || self.looks_like_key(&rows[below].text) {
                return Err(format!(
                    "the lines under `{key}` are indented: whether they belong to its value cannot be told"
                ));
            }
            more.push(below);
        }
        Ok(more)
    }

    /// A line that is indented under another key may be a part of that one's value.
    fn stands_alone(self, rows: &[Row<'_>], body: &Range<usize>, at: usize) -> Result<(), String> {
        let indent = spaces(&rows[at].text);
        let mut above = (body.start..at).rev().map(|it| &*rows[it].text);
        let above = above.find(|it| !is_blank_or_comment(it) && spaces(it) < indent);
        // In YAML, what is indented under a key without a value is a map.
        let is_map = |it: &[u8]| self.separator.trim() == ":" && trim_end(it).ends_with(b":");
        if above.is_some_and(|it| self.looks_like_key(it) && !is_map(it)) {
            return Err(format!(
                "the line of `{}` is indented under another key, and may be a part of its value",
                self.key
            ));
        }
        Ok(())
    }

    /// Whether a line has the form of a key with its separator. One that is only space says nothing.
    fn looks_like_key(self, text: &[u8]) -> bool {
        let sign = self.separator.trim().as_bytes();
        let text = trim(text);
        let is_word = |it: &u8| it.is_ascii_alphanumeric() || b"_.-".contains(it);
        let word = text.iter().take_while(|it| is_word(it)).count();
        let starts = text.first().is_some_and(|it| it.is_ascii_alphabetic() || *it == b'_');
        starts && !sign.is_empty() && trim(&text[word..]).starts_with(sign)
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

    /// The line with this value in the place of all behind the separator.
    fn with_alone(self, text: &[u8], value: &[u8]) -> Vec<u8> {
        match self.find(text) {
            Some(Found { before, value: Some(_) }) => [before, value].concat(),
            Some(Found { value: None, .. }) | None => self.with(text, value),
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

fn is_blank_or_comment(text: &[u8]) -> bool {
    trim(text).is_empty() || is_comment(text)
}

/// What a value opens and does not close: a quote at its beginning, a bracket at its beginning or end.
fn opened(value: &[u8]) -> Option<&'static str> {
    let value = trim(value);
    if let Some(quote @ (b'"' | b'\'')) = value.first() {
        let mut escaped = false;
        let closed = value[1..].iter().any(|it| {
            let closes = it == quote && !escaped;
            escaped = *it == b'\\' && *quote == b'"' && !escaped;
            closes
        });
        // Three quotes open a text of several lines where a second line follows.
        let three =
            value.starts_with(&[*quote; 3]) && !value[3..].windows(3).any(|it| it == [*quote; 3]);
        return (!closed || three).then_some("a quote");
    }
    let count = |which: u8| value.iter().filter(|it| **it == which).count();
    let pairs = [(b'(', b')'), (b'[', b']'), (b'{', b'}')];
    let open = |(open, close): &(u8, u8)| {
        let at_edge = value.first() == Some(open) || value.last() == Some(open);
        at_edge && count(*open) > count(*close)
    };
    pairs.iter().any(open).then_some("a bracket")
}
