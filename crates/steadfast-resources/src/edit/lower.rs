//! How edits are read.

use super::apply::{is_marker, line_of_value};
use super::types::{Edit, FIELDS, Pattern, Place};
use std::sync::Arc;
use steadfast_model::{Fields, Lower, Node, codes};

const OF_LINE: &[&str] = &["line", "match", "only_replace", "all", "after", "before", "absent"];
const OF_BLOCK: &[&str] = &["block", "name", "comment", "after", "before", "absent"];
const OF_KEY: &[&str] = &["key", "value", "section", "separator", "absent"];

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
    let mut fields = Fields::read(node, "edit", FIELDS, cx)?;
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
