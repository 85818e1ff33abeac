//! How a promise about a directory is read.

use super::Directory;
use super::desired::{Desired, PURGE_MAX, SourceFile};
use crate::glob::Glob;
use crate::kind::Kind as _;
use crate::paths::vital::{self, Said};
use crate::paths::{self, Owners, vital_files};
use std::sync::Arc;
use steadfast_model::{Diagnostic, Fields, Lower, Node, Spanned, codes};
use steadfast_system::AbsPath;

pub(super) fn lower(name: &Spanned<Arc<str>>, body: &Node, cx: &mut Lower<'_>) -> Option<Desired> {
    let path = paths::lower_path(name, cx);
    if matches!(body, Node::Scalar(_)) {
        let absent = paths::lower_short("directory", body, cx)?;
        if absent && let Some(path) = &path {
            vital::refuse_absence(path, name.span, cx);
        }
        return cx.is_sound().then_some(Desired::plain(path?, absent));
    }
    let mut fields = Fields::read(body, "directory", Directory::FIELDS, cx)?;
    let absent = fields.one_of("state", &[("present", false), ("absent", true)]);
    let absent = absent.unwrap_or(false);
    if absent && let Some(path) = &path {
        vital::refuse_absence(path, name.span, fields.cx);
    }
    let owners = Owners::lower(&mut fields);
    let mode = paths::lower_mode(&mut fields, "mode");
    let recurse = fields.boolean("recurse").unwrap_or(false);
    let file_mode = paths::lower_mode(&mut fields, "file_mode");
    let purge = fields.boolean("purge").unwrap_or(false);
    let purge_max = lower_purge_max(&mut fields);
    let ignore = fields.parsed_list("ignore", codes::BAD_VALUE, Glob::parse);
    let force = fields.boolean("force").unwrap_or(false);
    let source = match (&path, fields.text("source")) {
        (Some(path), Some(from)) => Some(lower_source(path, &from, fields.cx)),
        (_, _) => None,
    };
    check_agreement(&mut fields, recurse, purge);
    if let Some(path) = &path {
        let (owners, mode) = (&owners, mode.as_ref());
        let said = Said { path, owners, mode, recurse, purge, force };
        vital_files::refuse_directory(path, name.span, fields.cx);
        vital::refuse_directory(&said, &mut fields);
        check_root(path, &mut fields);
    }
    if !fields.complete() {
        return None;
    }
    Some(Desired {
        owners,
        mode,
        recurse,
        file_mode,
        purge,
        purge_max,
        ignore: Arc::from(ignore.unwrap_or_default()),
        force,
        source,
        ..Desired::plain(path?, absent)
    })
}

/// Refuses what says nothing without another field.
fn check_agreement(fields: &mut Fields<'_, '_, '_>, recurse: bool, purge: bool) {
    let attributes = ["owner", "group", "mode", "file_mode"];
    let attributes = attributes.iter().any(|it| fields.has(it));
    let rules = [
        ("recurse", !recurse || attributes, "`recurse` needs an owner, group or mode"),
        ("file_mode", recurse, "`file_mode` is for what `recurse` reaches"),
        ("purge_max", purge, "`purge_max` is for `purge`"),
        ("ignore", purge || recurse, "`ignore` is for `purge` and `recurse`"),
    ];
    fields.refuse_conflicts(&rules);
}

fn check_root(path: &AbsPath, fields: &mut Fields<'_, '_, '_>) {
    if path.as_str() == "/" && fields.has("source") {
        let span = fields.key_span("source");
        fields.error(codes::BAD_VALUE, span, "`source` is not for `/`");
    }
}

fn lower_purge_max(fields: &mut Fields<'_, '_, '_>) -> u64 {
    let Some(number) = fields.integer("purge_max") else { return PURGE_MAX };
    u64::try_from(number.value).unwrap_or_else(|_| {
        fields.error(codes::BAD_VALUE, number.span, "`purge_max` cannot be negative");
        PURGE_MAX
    })
}

/// The files of the model below a directory, beside the file that names it or below the model's root.
fn lower_source(path: &AbsPath, from: &Spanned<Arc<str>>, cx: &mut Lower<'_>) -> Arc<[SourceFile]> {
    let folder = from.value.trim_end_matches('/');
    let beside = cx.sources.get(from.span.source).and_then(|it| it.path.rsplit_once('/'));
    let prefixes = [beside.map(|(it, _)| format!("{it}/{folder}/")), Some(format!("{folder}/"))];
    let mut files: Vec<SourceFile> = vec![];
    for prefix in prefixes.into_iter().flatten() {
        files = cx
            .sources
            .iter()
            .filter_map(|(_, source)| {
                let below = source.path.strip_prefix(&*prefix)?;
                Some(SourceFile {
                    below: Arc::from(below),
                    bytes: paths::Promised::new(Arc::clone(&source.bytes)),
                    digest: source.digest,
                    executable: source.executable,
                })
            })
            .collect();
        if !files.is_empty() {
            break;
        }
    }
    if files.is_empty() {
        let message = format!("the model has no files below `{}`", from.value);
        cx.report(
            Diagnostic::error(codes::UNKNOWN_FILE, from.span, message)
                .help("paths are below the model's root, or beside the file that names them; names in the root that begin with a dot are no part of the model, and .git nowhere is"),
        );
    }
    // A look finds them by their paths.
    files.sort_unstable_by(|one, other| one.below.cmp(&other.below));
    for file in &files {
        if let Err(refusal) = path.join(&file.below) {
            cx.error(codes::BAD_PATH, from.span, refusal.to_string());
        }
    }
    Arc::from(files)
}
