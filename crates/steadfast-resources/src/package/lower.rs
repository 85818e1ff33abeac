//! How a promise about a package is read.

use super::Package;
use super::desired::{Desired, Presence, is_gone};
use crate::kind::Kind as _;
use std::sync::Arc;
use steadfast_model::{Fields, Lower, Node, Spanned, codes};
use steadfast_system::PackageName;
use steadfast_system::packages::version::Range;
use steadfast_system::packages::{Conffiles, Options, Removals};

const STATES: &[(&str, Presence)] = &[
    ("present", Presence::Present),
    ("absent", Presence::Absent),
    ("purged", Presence::Purged),
    ("latest", Presence::Latest),
];

pub(super) fn lower(name: &Spanned<Arc<str>>, body: &Node, cx: &mut Lower<'_>) -> Option<Desired> {
    let package = match PackageName::parse(&name.value) {
        Ok(package) => Some(package),
        Err(refusal) => {
            cx.error(codes::BAD_NAME, name.span, refusal.to_string());
            None
        }
    };
    if !matches!(body, Node::Map(..)) {
        return short_form(package, body, cx);
    }
    let mut fields = Fields::read(body, Package::NAME, Package::FIELDS, cx)?;
    let state = fields.one_of("state", STATES).unwrap_or(Presence::Present);
    let version = fields.parsed("version", codes::BAD_VALUE, Range::parse);
    let hold = fields.boolean("hold");
    let conffiles = fields.one_of(
        "conffiles",
        &[("keep", Conffiles::Keep), ("replace", Conffiles::Replace), ("fail", Conffiles::Fail)],
    );
    let recommends = fields.boolean("recommends");
    let allow_downgrade = fields.boolean("allow_downgrade").unwrap_or(false);
    let allow_removals = removals(&mut fields);
    let from = fields.parsed("from", codes::BAD_NAME, suite);
    let debconf = answers(&mut fields);
    let start = fields.boolean("start").unwrap_or(true);
    if is_gone(state) {
        for field in
            ["version", "conffiles", "recommends", "allow_downgrade", "from", "debconf", "start"]
        {
            if fields.has(field) {
                let span = fields.key_span(field);
                fields.error(
                    codes::CONFLICTING_FIELDS,
                    span,
                    format!("`{field}` says nothing about a package that is promised to be gone"),
                );
            }
        }
        if hold == Some(true) {
            let span = fields.key_span("hold");
            fields.error(codes::CONFLICTING_FIELDS, span, "a package that is gone cannot be held");
        }
    }
    if !fields.complete() {
        return None;
    }
    Some(Desired {
        name: package?,
        state,
        version,
        hold,
        options: Options { conffiles: conffiles.unwrap_or_default(), recommends, from, start },
        allow_downgrade,
        allow_removals,
        debconf,
        going: Arc::default(),
        stays: Arc::default(),
    })
}

/// `present`, `absent`, `purged`, `latest`, or a version range.
fn short_form(package: Option<PackageName>, body: &Node, cx: &mut Lower<'_>) -> Option<Desired> {
    let text = cx.as_text(body, "a package")?;
    let state = STATES.iter().find(|(word, _)| *word == &*text.value).map(|(_, state)| *state);
    let version = match state {
        Some(_) => None,
        None => match Range::parse(&text.value) {
            Ok(range) => Some(range),
            Err(refusal) => {
                cx.report(
                    steadfast_model::Diagnostic::error(
                        codes::BAD_VALUE,
                        text.span,
                        refusal.to_string(),
                    )
                    .help("present, absent, purged, latest, or a version range such as \">= 7.88, < 8\""),
                );
                return None;
            }
        },
    };
    Some(Desired {
        name: package?,
        state: state.unwrap_or(Presence::Present),
        version,
        hold: None,
        options: Options::default(),
        allow_downgrade: false,
        allow_removals: Removals::None,
        debconf: vec![],
        going: Arc::default(),
        stays: Arc::default(),
    })
}

fn removals(fields: &mut Fields<'_, '_, '_>) -> Removals {
    match fields.node("allow_removals") {
        None => Removals::None,
        Some(Node::List(..)) => fields
            .parsed_list("allow_removals", codes::BAD_NAME, PackageName::parse)
            .map_or(Removals::None, Removals::Named),
        Some(node) => {
            let span = node.span();
            if fields.boolean("allow_removals") == Some(true) {
                fields.error(
                    codes::BAD_VALUE,
                    span,
                    "`allow_removals` is false or a list of the packages that may go",
                );
            }
            Removals::None
        }
    }
}

/// The name of a suite, which becomes an argument of apt-get.
fn suite(text: &str) -> Result<Arc<str>, String> {
    let fits = text.starts_with(|it: char| it.is_ascii_alphanumeric())
        && text.len() <= 255
        && text.bytes().all(|it| it.is_ascii_alphanumeric() || b"._-/+~".contains(&it));
    if fits {
        Ok(Arc::from(text))
    } else {
        Err(format!(
            "`{}` is not the name of a suite, as bookworm-backports is",
            text.escape_debug()
        ))
    }
}

/// Questions and answers, each of which becomes one line for debconf.
fn answers(fields: &mut Fields<'_, '_, '_>) -> Vec<(Arc<str>, Arc<str>)> {
    let Some(node) = fields.node("debconf") else { return vec![] };
    let Some(entries) = fields.cx.as_map(node, "`debconf`") else { return vec![] };
    let mut found = vec![];
    for (question, node) in entries {
        let name = &question.value;
        let fits = name.contains('/')
            && name.len() <= 255
            && name.starts_with(|it: char| it.is_ascii_alphanumeric())
            && name.bytes().all(|it| it.is_ascii_graphic());
        if !fits {
            let message =
                format!("`{}` is not a question, as postfix/mailname is", name.escape_debug());
            fields.cx.error(codes::BAD_NAME, question.span, message);
        }
        // Answers of true and false need no quotes.
        let value = match node {
            Node::Scalar(Spanned {
                value: steadfast_model::Scalar { value: steadfast_model::Value::Boolean(it), .. },
                ..
            }) => Some(Arc::from(if *it { "true" } else { "false" })),
            Node::Scalar(_) | Node::List(..) | Node::Map(..) | Node::Unknown(_) => {
                fields.cx.as_text(node, &format!("`{name}`")).map(|it| it.value)
            }
        };
        let Some(value) = value else { continue };
        if value.chars().any(char::is_control) {
            let message = format!("the answer to `{name}` has a control character");
            fields.cx.error(codes::BAD_VALUE, node.span(), message);
            continue;
        }
        found.push((Arc::clone(name), value));
    }
    found
}
