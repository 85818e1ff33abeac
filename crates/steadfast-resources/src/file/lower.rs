//! How a promise about a file is read.

use super::File;
use super::desired::{Content, Desired, secrets_of};
use crate::edit;
use crate::kind::Kind as _;
use crate::paths::{self, Owners, unread, vital, vital_files};
use base64::Engine as _;
use std::sync::Arc;
use steadfast_model::{Fields, Found, Lower, Node, Rendered, Spanned, codes};

/// The fields that say what the content is.
const SOURCES: &[&str] = &["content", "content_base64", "template", "source", "edits"];

pub(super) fn lower(name: &Spanned<Arc<str>>, body: &Node, cx: &mut Lower<'_>) -> Option<Desired> {
    let path = paths::lower_path(name, cx);
    if path.as_ref().is_some_and(|it| it.as_str() == "/") {
        cx.error(codes::BAD_PATH, name.span, "`/` is not a file");
    } else if let Some(path) = &path {
        vital::refuse_file(path, name.span, cx);
    }
    if matches!(body, Node::Scalar(_)) {
        let absent = paths::lower_short("file", body, cx)?;
        if absent && let Some(path) = &path {
            vital_files::refuse_absence(path, name.span, cx);
        }
        return cx.is_sound().then_some(Desired::plain(path?, absent));
    }
    let mut fields = Fields::read(body, "file", File::FIELDS, cx)?;
    let absent = fields.one_of("state", &[("present", false), ("absent", true)]);
    let content = lower_content(&mut fields);
    let owners = Owners::lower(&mut fields);
    let mode = paths::lower_mode(&mut fields, "mode");
    let validate = lower_validation(&mut fields);
    let replace = fields.boolean("replace").unwrap_or(true);
    let create = fields.boolean("create").unwrap_or(false);
    let sensitive = fields.boolean("sensitive").unwrap_or(false);
    let force = fields.boolean("force").unwrap_or(false);
    let keep_backup = fields.boolean("keep_backup");
    check_agreement(&mut fields);
    if let Some(path) = &path {
        if absent == Some(true) {
            vital_files::refuse_absence(path, name.span, fields.cx);
        }
        vital_files::refuse_attributes(path, &owners, mode.as_ref(), &mut fields);
    }
    if !fields.complete() {
        return None;
    }
    if let Some(path) = path.as_ref().filter(|_| absent != Some(true)) {
        unread::warn(path, name.span, fields.cx);
    }
    let content = content?;
    let sensitive = sensitive || secrets_of(&content).next().is_some();
    Some(Desired {
        path: path?,
        absent: absent.unwrap_or(false),
        content,
        owners,
        mode,
        validate,
        replace,
        create,
        sensitive,
        force,
        keep_backup: keep_backup.unwrap_or(!sensitive),
        made: Arc::default(),
    })
}

/// Refuses what says nothing without another field, or beside one.
fn check_agreement(fields: &mut Fields<'_, '_, '_>) {
    let says_content = SOURCES.iter().any(|it| fields.has(it));
    let rules = [
        ("variables", fields.has("template"), "`variables` are for a `template`"),
        ("create", fields.has("edits"), "`create` is for `edits`"),
        ("replace", !fields.has("edits"), "`replace` is not for `edits`"),
        ("validate", says_content, "`validate` needs a content that it checks"),
    ];
    fields.refuse_conflicts(&rules);
}

fn lower_content(fields: &mut Fields<'_, '_, '_>) -> Option<Content> {
    let said: Vec<&str> = SOURCES.iter().copied().filter(|it| fields.has(it)).collect();
    if let [first, second, ..] = &*said {
        let span = fields.key_span(second);
        let message = format!("the content comes from `{first}` or from `{second}`, not from both");
        fields.error(codes::CONFLICTING_FIELDS, span, message);
        return None;
    }
    let plain = |bytes: Arc<[u8]>| Content::Plain {
        digest: paths::sha256(&bytes),
        bytes: paths::Promised::new(bytes),
    };
    match said.first().copied() {
        Some("content") => Some(of_rendered(fields.rendered("content")?)),
        Some("content_base64") => {
            let bytes = fields.parsed("content_base64", codes::BAD_VALUE, |text| {
                let text: String = text.chars().filter(|it| !it.is_ascii_whitespace()).collect();
                base64::engine::general_purpose::STANDARD
                    .decode(text)
                    .map_err(|err| format!("`content_base64` is not base64: {err}"))
            })?;
            Some(plain(Arc::from(bytes)))
        }
        Some("template") => {
            let from = fields.text_from("template")?;
            let variables = fields.node("variables");
            Some(of_rendered(fields.cx.render_template(&from, variables)?))
        }
        Some("source") => {
            let from = fields.text_from("source")?;
            let source = match fields.cx.found(&from)? {
                Found::Source(source) => source,
                Found::Later => return Some(of_rendered(Rendered::plain(from.stand_in()))),
            };
            let bytes = paths::Promised::new(Arc::clone(&source.bytes));
            Some(Content::Plain { bytes, digest: source.digest })
        }
        Some(_) => {
            let node = fields.node("edits")?;
            edit::lower(node, fields.cx).map(Content::Edits)
        }
        None => Some(Content::Unsaid),
    }
}

fn of_rendered(text: Rendered) -> Content {
    match text.as_plain() {
        Some(text) => Content::Plain {
            digest: paths::sha256(text.as_bytes()),
            bytes: paths::Promised::new(Arc::from(text)),
        },
        None => Content::Secret(text),
    }
}

fn lower_validation(fields: &mut Fields<'_, '_, '_>) -> Option<Arc<[Arc<str>]>> {
    let arguments = fields.texts("validate")?;
    let span = fields.node("validate").map_or(fields.span(), Node::span);
    if arguments.first().is_none_or(|it| it.value.is_empty()) {
        fields.error(codes::BAD_VALUE, span, "`validate` names no program");
    } else if !arguments.iter().skip(1).any(|it| it.value.contains("{file}")) {
        fields.error(codes::BAD_VALUE, span, "`validate` never names the file: put {file} in it");
    }
    if let Some(bad) = arguments.iter().find(|it| it.value.contains('\0')) {
        fields.error(codes::BAD_VALUE, bad.span, "an argument cannot have a NUL byte in it");
    }
    Some(arguments.into_iter().map(|it| it.value).collect())
}
