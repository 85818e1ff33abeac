//! How a promise about a unit is read.

use super::Service;
use super::desired::{
    Check, Desired, Enabled, FILE_FIELDS, HEALTH_FIELDS, OwnFile, Question, SETTLE, TIMEOUT,
    WITHIN, WITHIN_MAX,
};
use crate::kind::Kind as _;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use steadfast_model::diagnostic::Code;
use steadfast_model::{
    Diagnostic, Fields, Found, Lower, Node, Span, Spanned, TextFrom, Value, codes,
};
use steadfast_system::services::{self, HealthUrl};
use steadfast_system::{AbsPath, UnitName};

pub(super) fn lower(name: &Spanned<Arc<str>>, body: &Node, cx: &mut Lower<'_>) -> Option<Desired> {
    let unit = match UnitName::parse(&name.value) {
        Ok(unit) => Some(unit),
        Err(bad) => {
            cx.error(codes::BAD_NAME, name.span, bad.to_string());
            None
        }
    };
    let mut fields = Fields::read(body, Service::NAME, Service::FIELDS, cx)?;
    let running = fields.boolean("running");
    let enabled = enabled(&mut fields);
    let unit_node = fields.node("unit");
    let drop_in_node = fields.node("drop_ins");
    let health_node = fields.node("health");
    let reload_on = patterns(&mut fields, "reload_on").unwrap_or_default();
    let restart_on = patterns(&mut fields, "restart_on").unwrap_or_default();
    let validate = validation(&mut fields);
    let settle = fields.duration("settle").unwrap_or(SETTLE);
    let timeout = timeout(&mut fields);
    check_agreement(&mut fields, unit.as_ref(), running, enabled);
    let own_unit = match (&unit, unit_node) {
        (Some(unit), Some(node)) => own_file(node, "unit", path_of(unit, cx, name), cx),
        (None, _) | (_, None) => None,
    };
    let drop_ins = match (&unit, drop_in_node) {
        (Some(unit), Some(node)) => drop_ins(node, unit, name, cx).unwrap_or_default(),
        (None, _) | (_, None) => vec![],
    };
    let health = health_node.and_then(|it| health(it, cx));
    let unit = unit?;
    cx.is_sound().then_some(Desired {
        unit,
        running,
        enabled,
        own_unit,
        drop_ins,
        reload_on,
        restart_on,
        validate,
        settle,
        timeout,
        health,
        implied: false,
    })
}

fn validation(fields: &mut Fields<'_, '_, '_>) -> Vec<Arc<str>> {
    let arguments = fields.texts("validate").unwrap_or_default();
    if fields.has("validate")
        && arguments.first().is_none_or(|it| it.value.is_empty())
        && fields.complete()
    {
        let span = fields.key_span("validate");
        fields.error(codes::BAD_VALUE, span, "`validate` names no program");
    }
    arguments.into_iter().map(|it| it.value).collect()
}

fn timeout(fields: &mut Fields<'_, '_, '_>) -> Duration {
    let timeout = fields.duration("timeout").unwrap_or(TIMEOUT);
    if timeout.is_zero() {
        let span = fields.key_span("timeout");
        fields.error(codes::BAD_VALUE, span, "`timeout` must be one second at least");
    }
    timeout
}

/// Refuses what contradicts itself.
fn check_agreement(
    fields: &mut Fields<'_, '_, '_>,
    unit: Option<&UnitName>,
    running: Option<bool>,
    enabled: Option<Enabled>,
) {
    let masked = enabled == Some(Enabled::Masked);
    let rules = [
        (
            "enabled",
            !(masked && running == Some(true)),
            "a service that is masked cannot be promised to run",
        ),
        (
            "enabled",
            !(masked && fields.has("unit")),
            "a mask stands where the promised unit file would be",
        ),
        (
            "health",
            running != Some(false) && fields.has("running"),
            "only what is promised to run can be healthy: `health` needs `running: true`",
        ),
        (
            "running",
            running.is_none() || !unit.is_some_and(is_template),
            "a template does not run; promise its instances, `name@instance`",
        ),
    ];
    fields.refuse_conflicts(&rules);
}

fn is_template(unit: &UnitName) -> bool {
    unit.as_str().contains("@.")
}

fn path_of(unit: &UnitName, cx: &mut Lower<'_>, at: &Spanned<Arc<str>>) -> Option<AbsPath> {
    checked_path(unit.as_str(), cx, at)
}

fn checked_path(name: &str, cx: &mut Lower<'_>, at: &Spanned<Arc<str>>) -> Option<AbsPath> {
    let path = AbsPath::parse(services::FOLDER).and_then(|it| it.join(name));
    path.map_err(|bad| cx.error(codes::BAD_NAME, at.span, bad.to_string())).ok()
}

fn enabled(fields: &mut Fields<'_, '_, '_>) -> Option<Enabled> {
    let node = fields.node("enabled")?;
    match node {
        Node::Scalar(scalar) if scalar.value.value == Value::Text => {
            fields.one_of("enabled", &[("masked", Enabled::Masked)])
        }
        Node::Scalar(_) | Node::List(..) | Node::Map(..) | Node::Unknown(_) => {
            let yes = fields.boolean("enabled")?;
            Some(if yes { Enabled::True } else { Enabled::False })
        }
    }
}

/// One text or a list of them.
fn patterns(fields: &mut Fields<'_, '_, '_>, key: &str) -> Option<Vec<Spanned<Arc<str>>>> {
    match fields.node(key)? {
        Node::Scalar(_) => fields.text(key).map(|it| vec![it]),
        Node::List(..) | Node::Map(..) | Node::Unknown(_) => fields.texts(key),
    }
}

/// A URL, a program with its arguments, or a map with one of the two.
fn health(node: &Node, cx: &mut Lower<'_>) -> Option<Check> {
    match node {
        Node::Scalar(_) => {
            let text = cx.as_text(node, "`health`")?;
            Some(Check { question: url(&text, cx)?, within: WITHIN })
        }
        Node::List(items, span) => {
            Some(Check { question: command(items, *span, "`health`", cx)?, within: WITHIN })
        }
        Node::Map(..) => {
            let mut fields = Fields::read(node, "health", HEALTH_FIELDS, cx)?;
            let within = fields.duration("within").unwrap_or(WITHIN);
            if within > WITHIN_MAX {
                let span = fields.key_span("within");
                fields.error(codes::BAD_VALUE, span, "`within` can be 1h at most: a run waits");
            }
            let question = match (fields.node("http"), fields.node("command")) {
                (Some(_), None) => {
                    let text = fields.text("http")?;
                    url(&text, fields.cx)
                }
                (None, Some(node)) => {
                    let items = fields.cx.as_list(node, "`command`")?;
                    command(items, node.span(), "`command`", fields.cx)
                }
                (Some(_), Some(_)) => {
                    let span = fields.key_span("command");
                    let message = "`health` is asked by `http` or by a `command`, not by both";
                    fields.error(codes::CONFLICTING_FIELDS, span, message);
                    None
                }
                (None, None) => {
                    let span = fields.span();
                    fields.error(codes::MISSING_FIELD, span, "`health` needs `http` or `command`");
                    None
                }
            };
            Some(Check { question: question?, within })
        }
        Node::Unknown(_) => cx.unknown(),
    }
}

fn url(text: &Spanned<Arc<str>>, cx: &mut Lower<'_>) -> Option<Question> {
    match HealthUrl::parse(&text.value) {
        Ok(url) => Some(Question::Http(url)),
        Err(bad) => {
            let bad = Diagnostic::error(codes::BAD_URL, text.span, bad.to_string());
            cx.report(bad.help("as in http://127.0.0.1:8081/health; else let a `command` ask"));
            None
        }
    }
}

fn command(items: &[Node], span: Span, what: &str, cx: &mut Lower<'_>) -> Option<Question> {
    let words: Vec<Arc<str>> =
        items.iter().filter_map(|it| cx.as_text(it, what)).map(|it| it.value).collect();
    if words.len() != items.len() {
        return None;
    }
    if words.first().is_none_or(|it| it.is_empty()) {
        cx.error(codes::BAD_VALUE, span, format!("{what} names no program"));
        return None;
    }
    if words.iter().any(|it| it.contains('\0')) {
        cx.error(codes::BAD_VALUE, span, "an argument cannot have a NUL byte in it");
        return None;
    }
    Some(Question::Command(words))
}

fn drop_ins(
    node: &Node,
    unit: &UnitName,
    name: &Spanned<Arc<str>>,
    cx: &mut Lower<'_>,
) -> Option<Vec<OwnFile>> {
    let entries = cx.as_map(node, "`drop_ins`")?;
    let mut files = vec![];
    let mut seen = BTreeSet::new();
    for (key, body) in entries {
        let good = !key.value.is_empty()
            && !key.value.starts_with('.')
            && key.value.bytes().all(|it| it.is_ascii_alphanumeric() || b":-_.\\@".contains(&it));
        if !good {
            let message = format!("`{}` is not the name of a drop-in", key.value.escape_debug());
            cx.error(codes::BAD_NAME, key.span, message);
            continue;
        }
        let stem = key.value.strip_suffix(".conf").unwrap_or(&key.value);
        if !seen.insert(stem.to_owned()) {
            let message = format!("there are two drop-ins `{stem}.conf`");
            cx.error(codes::CONFLICTING_FIELDS, key.span, message);
        }
        let place = Spanned::new(Arc::clone(&name.value), key.span);
        let path = checked_path(&format!("{unit}.d/{stem}.conf"), cx, &place);
        files.extend(own_file(body, "drop-in", path, cx));
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Some(files)
}

/// One of `content`, `template` and `source`.
fn own_file(
    node: &Node,
    what: &'static str,
    path: Option<AbsPath>,
    cx: &mut Lower<'_>,
) -> Option<OwnFile> {
    let mut fields = Fields::read(node, what, FILE_FIELDS, cx)?;
    let given: Vec<&str> =
        FILE_FIELDS.iter().map(|it| it.name).filter(|it| fields.has(it)).collect();
    let [one] = given[..] else {
        let (span, code, message): (_, Code, _) = match given.get(1) {
            Some(second) => (
                fields.key_span(second),
                codes::CONFLICTING_FIELDS,
                format!("a {what} has one of content, template and source"),
            ),
            None => (
                fields.span(),
                codes::MISSING_FIELD,
                format!("a {what} needs one of content, template and source"),
            ),
        };
        fields.error(code, span, message);
        return None;
    };
    let content = match one {
        "content" => fields.text(one)?,
        "template" => {
            let from = fields.text_from(one)?;
            let rendered = cx.render_template(&from, None)?;
            let Some(plain) = rendered.as_plain() else {
                let message = "everybody can read a unit file: a secret cannot stand in it";
                cx.error(codes::MISPLACED_SECRET, from.span(), message);
                return None;
            };
            Spanned::new(plain, from.span())
        }
        _ => {
            let from = fields.text_from(one)?;
            Spanned::new(text_of(&from, cx)?, from.span())
        }
    };
    if content.value.contains('\0') {
        cx.error(codes::BAD_VALUE, content.span, format!("a {what} cannot have a NUL character"));
        return None;
    }
    Some(OwnFile { path: path?, content: content.value })
}

fn text_of(from: &TextFrom, cx: &mut Lower<'_>) -> Option<Arc<str>> {
    let source = match cx.found(from)? {
        Found::Source(source) => source,
        Found::Later => return Some(from.stand_in()),
    };
    let Some(plain) = source.text() else {
        let message = format!("{} is not UTF-8 text", source.path);
        cx.error(codes::NOT_UTF_8, from.span(), message);
        return None;
    };
    Some(Arc::from(plain))
}
