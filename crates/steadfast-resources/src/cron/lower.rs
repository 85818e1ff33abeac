//! How a promise about a job is read.

use super::Cron;
use super::crontab::{LONGEST, escape, file_text, path_of, spell};
use super::desired::{Desired, Job};
use super::schedule::Schedule;
use crate::kind::Kind as _;
use std::collections::BTreeMap;
use std::sync::Arc;
use steadfast_model::{Diagnostic, Fields, Lower, Node, Scalar, Spanned, Value, codes};
use steadfast_system::UserName;

pub(super) fn lower(name: &Spanned<Arc<str>>, body: &Node, cx: &mut Lower<'_>) -> Option<Desired> {
    let path = path_of(&name.value);
    if path.is_none() {
        let message = format!("`{}` is not the name of a cron job", name.value.escape_debug());
        cx.report(
            Diagnostic::error(codes::BAD_NAME, name.span, message)
                .help("letters, digits, `_` and `-`: cron reads no other file in /etc/cron.d"),
        );
    }
    if is_word(body, "absent") {
        return path.map(|path| Desired { path, job: None });
    }
    let mut fields = Fields::read(body, "cron", Cron::FIELDS, cx)?;
    let present = fields.one_of("state", &[("present", true), ("absent", false)]);
    if present == Some(false) {
        return fields.complete().then_some(Desired { path: path?, job: None });
    }
    let schedule = schedule(&mut fields);
    let command = command(&mut fields);
    let user = user(&mut fields);
    let environment = environment(&mut fields);
    if !fields.complete() {
        return None;
    }
    let user = user?;
    let text = file_text(&name.value, &environment?, &schedule?, &user, &command?);
    Some(Desired { path: path?, job: Some(Job { user, text }) })
}

fn is_word(body: &Node, word: &str) -> bool {
    matches!(
        body,
        Node::Scalar(Spanned { value: Scalar { value: Value::Text, text, .. }, .. }) if &**text == word
    )
}

fn schedule(fields: &mut Fields<'_, '_, '_>) -> Option<Schedule> {
    if !fields.require("schedule") {
        return None;
    }
    let text = fields.text("schedule")?;
    match Schedule::parse(&text.value) {
        Ok(schedule) => {
            if schedule.matches_either_day() {
                fields.cx.report(
                    Diagnostic::warning(
                        codes::EITHER_DAY,
                        text.span,
                        format!("`{schedule}` runs when either the day of the month or the weekday matches"),
                    )
                    .help("cron joins the two with \"or\"; leave one of them `*`, or test the other in the command"),
                );
            }
            Some(schedule)
        }
        Err(refusal) => {
            fields.error(codes::BAD_SCHEDULE, text.span, refusal.to_string());
            None
        }
    }
}

/// The command as the file has it.
fn command(fields: &mut Fields<'_, '_, '_>) -> Option<String> {
    if !fields.require("command") {
        return None;
    }
    let text = fields.text("command")?;
    let refusal = if text.value.trim_matches(' ').is_empty() {
        Diagnostic::error(codes::BAD_VALUE, text.span, "`command` is empty")
    } else if text.value.chars().any(char::is_control) {
        Diagnostic::error(codes::BAD_VALUE, text.span, "`command` has a control character")
            .help("a cron job is one line: in a YAML block write `>-`, and put longer things into a script")
    } else if text.value.contains("\\%") {
        Diagnostic::error(codes::BAD_VALUE, text.span, "`command` has a `\\%`")
            .help("write `%`: it is escaped for you")
    } else {
        let escaped = escape(&text.value);
        if escaped.len() <= LONGEST {
            return Some(escaped);
        }
        let message = format!("`command` is longer than the {LONGEST} bytes that cron takes");
        Diagnostic::error(codes::BAD_VALUE, text.span, message).help("put it into a script")
    };
    fields.cx.report(refusal);
    None
}

fn user(fields: &mut Fields<'_, '_, '_>) -> Option<UserName> {
    if !fields.has("user") {
        return UserName::parse("root").ok();
    }
    fields.parsed("user", codes::BAD_NAME, |text| match UserName::parse(text) {
        // `@daily =x …` is the variable `@daily` to cron.
        Ok(name) if name.as_str().starts_with('=') => {
            Err(format!("`{name}` is not a user name that cron takes"))
        }
        Ok(name) => Ok(name),
        Err(refusal) => Err(refusal.to_string()),
    })
}

/// The lines of the environment, in the order of their names.
fn environment(fields: &mut Fields<'_, '_, '_>) -> Option<BTreeMap<Arc<str>, String>> {
    let Some(node) = fields.node("environment") else { return Some(BTreeMap::new()) };
    let entries = fields.cx.as_map(node, "`environment`")?;
    let mut lines = BTreeMap::new();
    for (name, value) in entries {
        let what = format!("`{}`", name.value.escape_debug());
        check_variable(name, &what, fields.cx);
        if let Some(spelled) = spelled(&name.value, value, &what, fields.cx) {
            lines.insert(Arc::clone(&name.value), spelled);
        }
    }
    Some(lines)
}

/// Whether a variable of this name can be set.
fn check_variable(name: &Spanned<Arc<str>>, what: &str, cx: &mut Lower<'_>) {
    let mut letters = name.value.bytes();
    let fits = letters.next().is_some_and(|it| it.is_ascii_alphabetic() || it == b'_')
        && letters.all(|it| it.is_ascii_alphanumeric() || it == b'_');
    if !fits {
        let message = format!("{what} is not the name of a variable");
        cx.report(
            Diagnostic::error(codes::BAD_NAME, name.span, message)
                .help("letters, digits and `_`, a digit not first"),
        );
    }
    if &*name.value == "LOGNAME" {
        let message = "`LOGNAME` cannot be set: cron sets it to the user's name";
        cx.error(codes::BAD_VALUE, name.span, message);
    }
}

/// The value of a variable, as it has to be written.
fn spelled(name: &str, value: &Node, what: &str, cx: &mut Lower<'_>) -> Option<String> {
    let text = cx.as_text(value, what)?;
    if text.value.chars().any(char::is_control) {
        cx.error(codes::BAD_VALUE, text.span, format!("{what} has a control character"));
        return None;
    }
    let is_name = |it: char| it.is_ascii_alphabetic() || it == '_' || it == '{';
    if text.value.split('$').skip(1).any(|it| it.starts_with(is_name)) {
        let message = format!("cron does not expand the variable in {what}");
        cx.report(
            Diagnostic::warning(codes::NOT_EXPANDED, text.span, message)
                .help("`$` stands for itself there: write the value out, or set it in the command"),
        );
    }
    let Some(spelled) = spell(&text.value) else {
        let message = format!("no quotes make cron read {what} as it is");
        cx.report(
            Diagnostic::error(codes::BAD_VALUE, text.span, message)
                .help("cron has no escapes inside quotes: set it in the command, or in a script"),
        );
        return None;
    };
    if name.len() + 1 + spelled.len() > LONGEST {
        let message =
            format!("{what} is longer than the {LONGEST} bytes that cron takes for a line");
        cx.error(codes::BAD_VALUE, text.span, message);
        return None;
    }
    Some(spelled)
}
