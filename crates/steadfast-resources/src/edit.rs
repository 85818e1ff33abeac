//! Edits of a file's text: single lines, marked blocks, and keys of INI and key = value files.
//!
//! An edit works on bytes, line by line. What it does not touch stays as it is: the encoding, the line
//! ends, a missing last newline. A line that is not UTF-8 equals nothing and matches nothing.
//!
//! ```yaml
//! edits:
//!   - { line: "PermitRootLogin no", match: "^#?PermitRootLogin " }
//!   - { block: "Match User backup\n  X11Forwarding no\n", name: backup }
//!   - { key: max_connections, value: "200", section: mysqld, separator: " = " }
//! ```
//!
//! **line** is there if a whole line equals it; else it is appended, behind the last line that matches
//! `after`, or before the first that matches `before`. With `match`, the first matching line becomes it
//! (`all: true`: further matching lines go; `only_replace: true`: without a match nothing happens).
//! `absent: true`: every line that equals `line` or matches `match` goes.
//!
//! **block** stands between `# BEGIN steadfast NAME` and `# END steadfast NAME`, with `comment` in place
//! of `#`. A torn marker is refused. Removing a block gives back the bytes from before it.
//!
//! **key** gets `value` behind its `separator` (`=`), in `section`, or before the first section. How the
//! line is spaced and what comment stands behind the value stay; a second line of the same key goes. A
//! missing section is added at the end.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use steadfast_model::lower::Piece;
use steadfast_model::{Field, Fields, Lower, Node, Rendered, Takes, codes};
use steadfast_system::secrets::Secret;

/// Fields of one edit. Exactly one of `line`, `block` and `key` says what it is.
pub const FIELDS: &[Field] = &[
    Field::new("line", Takes::Text, "a line that is there; appended where it is not"),
    Field::new("match", Takes::Text, "regular expression: the line that becomes `line`"),
    Field::new("only_replace", Takes::Boolean, "without a match, nothing is added (false)"),
    Field::new("all", Takes::Boolean, "further lines that match go (false)"),
    Field::new("block", Takes::Text, "lines that stand between two markers"),
    Field::new("name", Takes::Text, "the block's name, which its markers carry"),
    Field::new("comment", Takes::Text, "what begins a comment, for the markers (#)"),
    Field::new("key", Takes::Text, "a key of an INI or key = value file"),
    Field::new("value", Takes::TextOrSecret, "the key's value"),
    Field::new("section", Takes::Text, "the section that the key is in; else before the first"),
    Field::new("separator", Takes::Text, "what stands between key and value (=)"),
    Field::new("after", Takes::Text, "regular expression: a new line or block goes behind it"),
    Field::new("before", Takes::Text, "regular expression: a new line or block goes before it"),
    Field::new("absent", Takes::Boolean, "it is not there (false)"),
];

const OF_LINE: &[&str] = &["line", "match", "only_replace", "all", "after", "before", "absent"];
const OF_BLOCK: &[&str] = &["block", "name", "comment", "after", "before", "absent"];
const OF_KEY: &[&str] = &["key", "value", "section", "separator", "absent"];

/// One edit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Edit {
    Line {
        line: Option<Arc<str>>,
        pattern: Option<Pattern>,
        place: Place,
        only_replace: bool,
        all: bool,
        absent: bool,
    },
    Block {
        name: Arc<str>,
        lines: Arc<[Arc<str>]>,
        comment: Arc<str>,
        place: Place,
        absent: bool,
    },
    Key {
        key: Arc<str>,
        /// None: the key is absent.
        value: Option<Rendered>,
        section: Option<Arc<str>>,
        separator: Arc<str>,
    },
}

/// Where something new goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Place {
    #[default]
    End,
    /// Behind the last line that matches.
    After(Pattern),
    /// Before the first line that matches.
    Before(Pattern),
}

/// A regular expression that has been read.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(regex_lite::Regex);

impl Pattern {
    pub fn parse(text: &str) -> Result<Pattern, String> {
        regex_lite::Regex::new(text)
            .map(Pattern)
            .map_err(|err| format!("`{}` is not a regular expression: {err}", text.escape_debug()))
    }

    fn matches(&self, row: &Row<'_>) -> bool {
        std::str::from_utf8(&row.text).is_ok_and(|it| self.0.is_match(it))
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl TryFrom<String> for Pattern {
    type Error = String;
    fn try_from(text: String) -> Result<Pattern, String> {
        Pattern::parse(&text)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> String {
        pattern.0.as_str().to_owned()
    }
}

/// Reads a list of edits.
pub fn lower(node: &Node, cx: &mut Lower<'_>) -> Option<Arc<[Edit]>> {
    let items = cx.as_list(node, "`edits`")?;
    if items.is_empty() {
        cx.error(codes::BAD_VALUE, node.span(), "`edits` is empty, so it says nothing");
    }
    let edits: Vec<Edit> = items.iter().filter_map(|item| lower_one(item, cx)).collect();
    (edits.len() == items.len() && !edits.is_empty()).then(|| Arc::from(edits))
}

fn lower_one(node: &Node, cx: &mut Lower<'_>) -> Option<Edit> {
    let mut fields = Fields::of(node, "edit", FIELDS, cx)?;
    let forms: &[(&str, &[&str])] = &[("line", OF_LINE), ("block", OF_BLOCK), ("key", OF_KEY)];
    let named: Vec<_> = forms.iter().filter(|(form, _)| fields.has(form)).collect();
    let (form, known) = match &*named {
        [(form, known)] => (*form, *known),
        // What goes need not be written out.
        [] if fields.has("match") => ("line", OF_LINE),
        [] if fields.has("name") => ("block", OF_BLOCK),
        [] => {
            fields.error(
                codes::MISSING_FIELD,
                node.span(),
                "an edit needs one of the fields `line`, `block` and `key`",
            );
            return None;
        }
        [_, (second, _), ..] => {
            let span = fields.key_span(second);
            fields.error(
                codes::CONFLICTING_FIELDS,
                span,
                "an edit has only one of the fields `line`, `block` and `key`",
            );
            return None;
        }
    };
    let mut good = true;
    for field in FIELDS {
        if fields.has(field.name) && !known.contains(&field.name) {
            let span = fields.key_span(field.name);
            let message = format!("`{}` says nothing about a {form}", field.name);
            fields.error(codes::CONFLICTING_FIELDS, span, message);
            good = false;
        }
    }
    let absent = match fields.has("absent") {
        true => fields.boolean("absent")?,
        false => false,
    };
    let place = lower_place(&mut fields);
    let edit = match form {
        "line" => lower_line(&mut fields, absent, place),
        "block" => lower_block(&mut fields, absent, place),
        _ => lower_key(&mut fields, absent),
    };
    edit.filter(|_| good)
}

fn lower_place(fields: &mut Fields<'_, '_, '_>) -> Option<Place> {
    if fields.has("after") && fields.has("before") {
        let span = fields.key_span("before");
        fields.error(codes::CONFLICTING_FIELDS, span, "`after` and `before` exclude each other");
        return None;
    }
    if fields.has("after") {
        fields.parsed("after", codes::BAD_VALUE, Pattern::parse).map(Place::After)
    } else if fields.has("before") {
        fields.parsed("before", codes::BAD_VALUE, Pattern::parse).map(Place::Before)
    } else {
        Some(Place::End)
    }
}

fn lower_line(fields: &mut Fields<'_, '_, '_>, absent: bool, place: Option<Place>) -> Option<Edit> {
    if !absent && !fields.require("line") {
        return None;
    }
    let line = match fields.has("line") {
        true => Some(fields.parsed("line", codes::BAD_VALUE, |it| one_line(it, "a line"))?),
        false => None,
    };
    let pattern = match fields.has("match") {
        true => Some(fields.parsed("match", codes::BAD_VALUE, Pattern::parse)?),
        false => None,
    };
    for flag in ["only_replace", "all"] {
        if fields.has(flag) && pattern.is_none() {
            let span = fields.key_span(flag);
            fields.error(codes::CONFLICTING_FIELDS, span, format!("`{flag}` needs `match`"));
            return None;
        }
    }
    let only_replace = fields.boolean("only_replace").unwrap_or(false);
    let all = fields.boolean("all").unwrap_or(false);
    Some(Edit::Line { line, pattern, place: place?, only_replace, all, absent })
}

fn lower_block(
    fields: &mut Fields<'_, '_, '_>,
    absent: bool,
    place: Option<Place>,
) -> Option<Edit> {
    let complete = fields.require("name") & (absent || fields.require("block"));
    let name = fields.parsed("name", codes::BAD_NAME, |it| word(it, "the name of a block"));
    let comment = match fields.has("comment") {
        true => fields.parsed("comment", codes::BAD_VALUE, |it| word(it, "the sign of a comment")),
        false => Some(Arc::from("#")),
    };
    let (name, comment) = (name?, comment?);
    let text = match fields.has("block") {
        true => fields.text("block")?,
        false => {
            return complete.then_some(Edit::Block {
                name,
                lines: Arc::from([]),
                comment,
                place: place?,
                absent,
            });
        }
    };
    let lines: Vec<Arc<str>> =
        text.value.lines().map(|it| Arc::from(it.trim_end_matches('\r'))).collect();
    if lines.iter().any(|it| is_marker(it.as_bytes(), &comment)) {
        fields.error(
            codes::BAD_VALUE,
            text.span,
            "a block cannot have the marker of a block in it",
        );
        return None;
    }
    if text.value.contains('\0') {
        fields.error(codes::BAD_VALUE, text.span, "a block cannot have a NUL byte in it");
        return None;
    }
    Some(Edit::Block { name, lines: Arc::from(lines), comment, place: place?, absent })
}

fn lower_key(fields: &mut Fields<'_, '_, '_>, absent: bool) -> Option<Edit> {
    if absent && fields.has("value") {
        let span = fields.key_span("value");
        fields.error(codes::CONFLICTING_FIELDS, span, "a key that is absent has no `value`");
        return None;
    }
    if !absent && !fields.require("value") {
        return None;
    }
    let separator: Arc<str> = match fields.has("separator") {
        true => fields.parsed("separator", codes::BAD_VALUE, |it| {
            let bad = it.is_empty() || it.chars().any(|it| it.is_control() && it != '\t');
            if bad {
                Err("a separator is text of one line, and not empty")
            } else {
                Ok(Arc::from(it))
            }
        })?,
        false => Arc::from("="),
    };
    let key = fields.parsed("key", codes::BAD_VALUE, |it| {
        let key = word(it, "a key")?;
        let sign = separator.trim();
        let divided = if sign.is_empty() { key.contains([' ', '\t']) } else { key.contains(sign) };
        if divided {
            Err(format!("the key `{key}` has the separator in it"))
        } else if key.starts_with(['[', '#', ';']) {
            Err(format!("the key `{key}` would be read as a section or a comment"))
        } else {
            Ok(key)
        }
    });
    let section = match fields.has("section") {
        true => Some(fields.parsed("section", codes::BAD_VALUE, |it| {
            let name = word(it, "the name of a section")?;
            if name.contains(']') {
                return Err(format!("the section `{name}` has a `]` in its name"));
            }
            Ok(name)
        })?),
        false => None,
    };
    let value = match absent {
        true => None,
        false => {
            let value = fields.rendered("value")?;
            if value.as_plain().is_some_and(|it| line_of_value(it.as_bytes()).is_err()) {
                let span = fields.node("value").map_or(fields.span(), Node::span);
                fields.error(codes::BAD_VALUE, span, "a value has only one line");
                return None;
            }
            Some(value)
        }
    };
    Some(Edit::Key { key: key?, value, section, separator })
}

/// Text of one line; a newline at its end is taken as YAML's.
fn one_line(text: &str, what: &str) -> Result<Arc<str>, String> {
    let line = text.strip_suffix('\n').unwrap_or(text).trim_end_matches('\r');
    if line.contains(['\n', '\r', '\0']) {
        return Err(format!("{what} cannot have a line break in it"));
    }
    Ok(Arc::from(line))
}

/// Text of one line that is not empty and has no space around it.
fn word(text: &str, what: &str) -> Result<Arc<str>, String> {
    if text.is_empty() || text.trim() != text || text.chars().any(char::is_control) {
        return Err(format!(
            "`{}` is not {what}: it is empty, has space around it, or a control character in it",
            text.escape_debug()
        ));
    }
    Ok(Arc::from(text))
}

/// A line of the file and what ends it.
#[derive(Clone, Debug, PartialEq)]
struct Row<'a> {
    text: Cow<'a, [u8]>,
    end: &'static [u8],
}

const NONE: &[u8] = b"";
const LF: &[u8] = b"\n";
const CRLF: &[u8] = b"\r\n";
/// Only before the end of the file, where half of the line's end is missing.
const CR: &[u8] = b"\r";

fn rows(text: &[u8]) -> Vec<Row<'_>> {
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
                rows.iter().rposition(|row| pattern.matches(row)).map(|at| at + 1)
            }
            Place::Before(pattern) => rows.iter().position(|row| pattern.matches(row)),
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

fn apply_once(
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
                let matches = |row: &Row<'_>| pattern.as_ref().is_some_and(|it| it.matches(row));
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

fn is_marker(text: &[u8], comment: &str) -> bool {
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
fn line_of_value(bytes: &[u8]) -> Result<&[u8], ()> {
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

fn trim(text: &[u8]) -> &[u8] {
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
struct Key<'a> {
    key: &'a str,
    separator: &'a str,
    section: Option<&'a str>,
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
    fn bodies(self, rows: &[Row<'_>]) -> Vec<Range<usize>> {
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
    fn says(self, text: &[u8], value: &[u8]) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    fn line(text: &str) -> Edit {
        Edit::Line {
            line: Some(Arc::from(text)),
            pattern: None,
            place: Place::End,
            only_replace: false,
            all: false,
            absent: false,
        }
    }

    /// An edit of a line with its fields changed by a function.
    fn matched(text: &str, with: &str, all: bool, only_replace: bool) -> Edit {
        Edit::Line {
            line: Some(Arc::from(text)),
            pattern: Some(pattern(with)),
            place: Place::End,
            only_replace,
            all,
            absent: false,
        }
    }

    fn placed(text: &str, place: Place) -> Edit {
        Edit::Line {
            line: Some(Arc::from(text)),
            pattern: None,
            place,
            only_replace: false,
            all: false,
            absent: false,
        }
    }

    fn gone(line: Option<&str>, with: Option<&str>) -> Edit {
        Edit::Line {
            line: line.map(Arc::from),
            pattern: with.map(pattern),
            place: Place::End,
            only_replace: false,
            all: false,
            absent: true,
        }
    }

    fn block_of(name: &str, text: &str, place: Place, absent: bool) -> Edit {
        Edit::Block {
            name: Arc::from(name),
            lines: text.lines().map(Arc::from).collect(),
            comment: Arc::from("#"),
            place,
            absent,
        }
    }

    fn key(key: &str, value: Option<&str>, section: Option<&str>, separator: &str) -> Edit {
        Edit::Key {
            key: Arc::from(key),
            value: value.map(Rendered::plain),
            section: section.map(Arc::from),
            separator: Arc::from(separator),
        }
    }

    #[track_caller]
    fn check(edit: &Edit, cases: &[(&str, &str)]) {
        for (before, after) in cases {
            let done = apply(std::slice::from_ref(edit), &BTreeMap::new(), before.as_bytes());
            let done = done.map(|it| String::from_utf8(it).unwrap());
            assert_eq!(done.as_deref(), Ok(*after), "{edit:?} on {before:?}");
        }
    }

    #[test]
    fn a_line_is_there_or_is_appended() {
        check(
            &line("b"),
            &[
                ("", "b\n"),
                ("a\n", "a\nb\n"),
                ("a", "a\nb\n"),
                ("b\na\n", "b\na\n"),
                ("a\nb", "a\nb"),
                ("bb\n b\n", "bb\n b\nb\n"),
                ("a\r\n", "a\r\nb\r\n"),
                ("a\r\nx", "a\r\nx\r\nb\r\n"),
                ("a\r\nb\r\n", "a\r\nb\r\n"),
                ("a\r", "a\r\nb\n"),
            ],
        );
        check(
            &placed("b", Place::After(pattern("^a"))),
            &[("a1\na2\nz\n", "a1\na2\nb\nz\n"), ("z\n", "z\nb\n"), ("z\na", "z\na\nb\n")],
        );
        check(
            &placed("b", Place::Before(pattern("^Match"))),
            &[("x\nMatch 1\nMatch 2\n", "x\nb\nMatch 1\nMatch 2\n"), ("x\n", "x\nb\n")],
        );
    }

    #[test]
    fn the_first_matching_line_becomes_it() {
        let port = "^#?Port ";
        check(
            &matched("Port 22", port, false, false),
            &[
                ("a\n#Port 1\nPort 2\n", "a\nPort 22\nPort 2\n"),
                ("a\r\nPort 1\r\n", "a\r\nPort 22\r\n"),
                ("a\nPort 1", "a\nPort 22"),
                ("a\n", "a\nPort 22\n"),
            ],
        );
        check(&matched("", port, false, false), &[("a\nPort 1", "a\n\n")]);
        check(
            &matched("Port 22", port, true, false),
            &[("#Port 1\na\nPort 2\nPort 3\n", "Port 22\na\n")],
        );
        check(&matched("Port 22", port, false, true), &[("a\n", "a\n"), ("Port 1\n", "Port 22\n")]);
        // The line itself does not match: what equals it counts.
        check(&matched("new", "^old$", false, false), &[("old\n", "new\n"), ("new\n", "new\n")]);
    }

    #[test]
    fn edits_that_never_come_to_rest_are_refused() {
        let several = matched("new", "^old$", false, false);
        assert!(
            apply(&[several], &BTreeMap::new(), b"old\nold\n").unwrap_err().contains("all: true")
        );
        let both = [line("a"), gone(Some("a"), None), line("b"), gone(Some("a"), None)];
        assert_eq!(apply(&both, &BTreeMap::new(), b"").as_deref(), Ok(&b"b\n"[..]));
        let grows = [matched("b", "^a$", false, false), line("a")];
        assert!(apply(&grows, &BTreeMap::new(), b"a\n").unwrap_err().contains("undo each other"));
    }

    #[test]
    fn every_equal_or_matching_line_goes() {
        check(
            &gone(Some("b"), None),
            &[("a\nb\nc\nb\n", "a\nc\n"), ("a\nb", "a\n"), ("a\n", "a\n"), ("", "")],
        );
        check(&gone(None, Some("^#")), &[("#a\nb\n#c", "b\n")]);
        check(&gone(Some("x"), Some("^#")), &[("#a\nx\nb\n", "b\n")]);
    }

    #[test]
    fn a_line_that_is_not_text_stays_and_matches_nothing() {
        let done = apply(&[gone(None, Some("."))], &BTreeMap::new(), b"\xff\xfe\na\n\xe9t\xe9");
        assert_eq!(done.as_deref(), Ok(&b"\xff\xfe\n\xe9t\xe9"[..]));
        let done = apply(&[line("a")], &BTreeMap::new(), b"\xff");
        assert_eq!(done.as_deref(), Ok(&b"\xff\na\n"[..]));
    }

    #[test]
    fn a_block_stands_between_its_markers() {
        check(
            &block_of("x", "one\ntwo\n", Place::End, false),
            &[
                ("", "# BEGIN steadfast x\none\ntwo\n# END steadfast x\n"),
                ("a\n", "a\n# BEGIN steadfast x\none\ntwo\n# END steadfast x\n"),
                ("a", "a\n# BEGIN steadfast x\none\ntwo\n# END steadfast x"),
                ("a\r\n", "a\r\n# BEGIN steadfast x\r\none\r\ntwo\r\n# END steadfast x\r\n"),
                (
                    "a\n# BEGIN steadfast x\nold\n# END steadfast x\nz\n",
                    "a\n# BEGIN steadfast x\none\ntwo\n# END steadfast x\nz\n",
                ),
                (
                    "# BEGIN steadfast xy\n# END steadfast xy\n",
                    "# BEGIN steadfast xy\n# END steadfast xy\n# BEGIN steadfast x\none\ntwo\n# END steadfast x\n",
                ),
            ],
        );
        check(
            &block_of("x", "new", Place::Before(pattern("^z")), false),
            &[("a\nz\n", "a\n# BEGIN steadfast x\nnew\n# END steadfast x\nz\n")],
        );
        check(
            &block_of("x", "", Place::End, false),
            &[(
                "# BEGIN steadfast x\nold\n# END steadfast x\n",
                "# BEGIN steadfast x\n# END steadfast x\n",
            )],
        );
        check(
            &block_of("x", "", Place::End, true),
            &[
                ("a\n# BEGIN steadfast x\nold\n# END steadfast x\nz", "a\nz"),
                ("a\n# BEGIN steadfast x\nold\n# END steadfast x", "a"),
                ("a\n", "a\n"),
            ],
        );
        let other = Edit::Block {
            name: Arc::from("x"),
            lines: Arc::from([]),
            comment: Arc::from("//"),
            place: Place::End,
            absent: false,
        };
        check(&other, &[("", "// BEGIN steadfast x\n// END steadfast x\n")]);
    }

    #[test]
    fn a_torn_block_is_refused_and_nothing_is_swallowed() {
        let cases = [
            ("# BEGIN steadfast x\na\n", "it has no end"),
            ("a\n# END steadfast x\n", "it has no beginning"),
            ("# END steadfast x\n# BEGIN steadfast x\n", "its end stands before its beginning"),
            (
                "# BEGIN steadfast x\n# BEGIN steadfast x\n# END steadfast x\n",
                "its markers stand there more than once",
            ),
            (
                "# BEGIN steadfast x\n# BEGIN steadfast y\n# END steadfast x\n",
                "the marker of another block stands in it",
            ),
        ];
        for (text, why) in cases {
            for absent in [false, true] {
                assert_eq!(
                    apply(
                        &[block_of("x", "b", Place::End, absent)],
                        &BTreeMap::new(),
                        text.as_bytes()
                    ),
                    Err(format!("the block `x` is torn: {why}"))
                );
            }
        }
    }

    #[test]
    fn a_key_gets_its_value_and_keeps_its_look() {
        check(
            &key("port", Some("22"), None, "="),
            &[
                ("", "port=22\n"),
                ("# c\n", "# c\nport=22\n"),
                ("port=22\n", "port=22\n"),
                ("port = 22\n", "port = 22\n"),
                ("  port =\t1\n", "  port =\t22\n"),
                ("port=1\r\nx=2\r\n", "port=22\r\nx=2\r\n"),
                ("port=1", "port=22"),
                ("port\n", "port=22\n"),
                ("port=\n", "port=22\n"),
                ("porta=1\n#port=2\n", "porta=1\n#port=2\nport=22\n"),
                ("port = 1 # why\n", "port = 22 # why\n"),
                ("port = 22   ; why\n", "port = 22   ; why\n"),
                ("port =  # why\n", "port =  22 # why\n"),
                ("port=1\na=b\nport=2\n", "port=22\na=b\n"),
                ("a=1\n\n[s]\nport=1\n", "a=1\nport=22\n\n[s]\nport=1\n"),
                ("[s]\nport=1\n", "port=22\n[s]\nport=1\n"),
            ],
        );
        check(
            &key("port", Some("22"), Some("s"), " = "),
            &[
                ("", "[s]\nport = 22\n"),
                ("a=1", "a=1\n\n[s]\nport = 22\n"),
                ("a=1\n\n", "a=1\n\n[s]\nport = 22\n"),
                ("[s]\na=1\n\n[t]\nport=1\n", "[s]\na=1\nport = 22\n\n[t]\nport=1\n"),
                ("[s]\n[t]\n", "[s]\nport = 22\n[t]\n"),
                ("[ s ] # c\nport=1\n[t]", "[ s ] # c\nport=22\n[t]"),
                ("[s]\na=1\n[t]\n[s]\nport: 1\nport=1\n", "[s]\na=1\n[t]\n[s]\nport: 1\nport=22\n"),
            ],
        );
        check(
            &key("Port", Some("22"), None, " "),
            &[
                ("Port 1\n", "Port 22\n"),
                ("Port\t1\n", "Port\t22\n"),
                ("Ports 1\n", "Ports 1\nPort 22\n"),
                ("Port\n", "Port 22\n"),
            ],
        );
        check(&key("Flag", Some(""), None, " "), &[("Flag\n", "Flag\n"), ("Flag x\n", "Flag \n")]);
        check(
            &key("key", Some("\"a # b\""), None, "="),
            &[
                ("key = \"a # c\" # d\n", "key = \"a # b\" # d\n"),
                ("key = \"a # b\" # d\n", "key = \"a # b\" # d\n"),
            ],
        );
        // A value that looks like a comment takes the place of all.
        check(
            &key("k", Some("x # y"), None, "="),
            &[("k = x\n", "k = x # y\n"), ("k = a # b\n", "k = x # y\n")],
        );
        check(
            &key("color", Some("#fff"), None, "="),
            &[("color=#000\n", "color=#fff\n"), ("color = #000 # c\n", "color = #fff\n")],
        );
        check(
            &key("a", None, Some("s"), "="),
            &[
                ("a=1\n[s]\na=1\nb=2\na = 3\n[t]\na=1\n", "a=1\n[s]\nb=2\n[t]\na=1\n"),
                ("a=1\n", "a=1\n"),
            ],
        );
    }

    #[test]
    fn a_secret_is_put_in_and_cannot_break_the_line() {
        let edit = Edit::Key {
            key: Arc::from("password"),
            value: Some(Rendered { pieces: Arc::from([Piece::Secret(Arc::from("db"))]) }),
            section: None,
            separator: Arc::from("="),
        };
        let secrets =
            |value: &[u8]| BTreeMap::from([(Arc::from("db"), Secret::new(value.to_vec()))]);
        let edits = std::slice::from_ref(&edit);
        assert_eq!(
            apply(edits, &secrets(b"hunter2\n"), b"").as_deref(),
            Ok(&b"password=hunter2\n"[..])
        );
        assert_eq!(
            apply(edits, &secrets(b"a\nroot=yes"), b""),
            Err("the value of `password` has a line break in it".to_owned())
        );
        assert_eq!(
            apply(edits, &BTreeMap::new(), b""),
            Err("the secret `db` is not known".to_owned())
        );
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        let pieces: Vec<&'static [u8]> = vec![
            b"a",
            b"b=1",
            b"b = 2 # c",
            b"[s]",
            b"# BEGIN steadfast x",
            b"# END steadfast x",
            b"\xff",
            b" ",
            b"\n",
            b"\n",
            b"\r\n",
            b"\r",
            b"\"",
            b";",
        ];
        let piece = prop::sample::select(pieces);
        prop::collection::vec(piece, 0..14).prop_map(|it| it.concat())
    }

    fn any_edit() -> impl Strategy<Value = Edit> {
        let place = prop_oneof![
            Just(Place::End),
            Just(Place::After(pattern("^a"))),
            Just(Place::Before(pattern("b"))),
        ];
        let word = prop_oneof![
            Just("a"),
            Just("b"),
            Just("b=1"),
            Just(""),
            Just("[s]"),
            Just("1 # c"),
            Just("\"x")
        ];
        (0..6, place, word, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
            |(which, place, word, one, two, absent)| match which {
                0 => placed(word, place),
                1 => matched(word, "^b", one, two),
                2 => gone(Some(word), one.then_some("^b")),
                3 => block_of("x", if one { "n\nm" } else { "" }, place, absent),
                4 => key(
                    "b",
                    (!absent).then_some(word),
                    one.then_some("s"),
                    if two { " = " } else { "=" },
                ),
                _ => key("a", (!absent).then_some(word), one.then_some("t"), " "),
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn one_edit_applied_twice_is_applied_once(edit in any_edit(), text in text()) {
            let edits = std::slice::from_ref(&edit);
            let Ok(once) = apply_once(edits, &BTreeMap::new(), &text) else { return Ok(()) };
            let again = apply_once(edits, &BTreeMap::new(), &once).unwrap();
            // The one exception is said aloud: several lines match what `line` itself does not.
            let several = matches!(&edit, Edit::Line { pattern: Some(_), absent: false, all: false, .. });
            if !several {
                prop_assert_eq!(again, once);
            }
        }

        #[test]
        fn what_is_in_sync_stays_byte_for_byte(edits in prop::collection::vec(any_edit(), 1..4), text in text()) {
            if let Ok(once) = apply(&edits, &BTreeMap::new(), &text) {
                prop_assert_eq!(apply(&edits, &BTreeMap::new(), &once), Ok(once.clone()));
            }
        }

        #[test]
        fn removing_a_block_gives_the_bytes_back(
            text in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                prop::collection::vec(prop::sample::select(b"ab\n\r".to_vec()), 0..12),
            ],
            place in prop_oneof![
                Just(Place::End), Just(Place::After(pattern("^a"))), Just(Place::Before(pattern("b")))
            ],
        ) {
            let put = [block_of("x", "one\ntwo", place, false)];
            let with = apply(&put, &BTreeMap::new(), &text).unwrap();
            prop_assert!(with.len() > text.len());
            let take = [block_of("x", "", Place::End, true)];
            prop_assert_eq!(apply(&take, &BTreeMap::new(), &with), Ok(text));
        }

        #[test]
        fn a_key_has_its_value_afterwards(text in text(), value in "[a-z#; \"=]{0,6}", spaced: bool) {
            let separator = if spaced { " " } else { "=" };
            let edit = key("b", Some(&value), None, separator);
            let done = apply(&[edit], &BTreeMap::new(), &text).unwrap();
            let wanted = trim(value.as_bytes());
            let look = Key { key: "b", separator, section: None };
            let rows = rows(&done);
            prop_assert_eq!(look.bodies(&rows).into_iter().flatten()
                .filter(|at| look.says(&rows[*at].text, wanted)).count(), 1);
        }
    }
}
