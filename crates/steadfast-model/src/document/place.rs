//! Which files hold documents, and in which directory each kind of document belongs.

use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::source::{Source, SourceSet};
use crate::span::{SourceId, Span};
use std::sync::Arc;

/// The first keys that documents have, and the directory in which each belongs.
pub(super) const KINDS: [(&str, &str); 7] = [
    ("model", ""),
    ("environment", "environments/"),
    ("server", "servers/"),
    ("bundle", "bundles/"),
    ("application", "applications/"),
    ("release", "applications/"),
    ("target", "environments/"),
];

pub(super) enum Place {
    Document,
    /// YAML where no document belongs.
    Elsewhere,
    /// Templates, files and facts, and whatever is no YAML.
    Material,
}

pub(super) fn place(path: &str) -> Place {
    let is_yaml = path.ends_with(".yaml") || path.ends_with(".yml");
    // Standard bundles lie together with their templates.
    let below = path.strip_prefix("std/");
    let inner = below.unwrap_or(path);
    let is_material = inner.split('/').any(|it| ["files", "templates", "facts"].contains(&it));
    if !is_yaml || is_material {
        return Place::Material;
    }
    let folder = inner.split_once('/').map_or("", |(folder, _)| folder);
    // Editors and other tools leave such names beside the documents that people wrote.
    let is_hidden = inner.split('/').any(|it| it.starts_with('.'));
    let known =
        !is_hidden && ["environments", "servers", "bundles", "applications"].contains(&folder);
    let is_root = below.is_none() && ["model.yaml", "model.yml"].contains(&path);
    if known || is_root || below.is_some() { Place::Document } else { Place::Elsewhere }
}

pub(super) fn elsewhere(id: SourceId, source: &Source, diagnostics: &mut Diagnostics) {
    // In the root such names are the settings of other tools.
    if source.path.starts_with('.') {
        return;
    }
    let span = Span { source: id, start: 0, end: 0 };
    let is_hidden = source.path.split('/').any(|it| it.starts_with('.'));
    let why = if is_hidden { "its name begins with a dot" } else { "no document belongs there" };
    let message = format!("{} is not read: {why}", source.path);
    diagnostics.push(Diagnostic::warning(codes::OUT_OF_PLACE, span, message).help(
        "documents are model.yaml and what lies below environments/, servers/, bundles/ and applications/",
    ));
}

/// The application whose own affair the file at this path is, where its path says so: what lies in its
/// directory, and what lies in the directory of an environment that has a file of its own.
pub(super) fn application_at(path: &str, sources: &SourceSet) -> Option<Arc<str>> {
    let mut parts = path.split('/');
    let name = match (parts.next()?, parts.next()?, parts.next()) {
        ("applications", name, Some(_)) => name,
        ("environments", environment, Some(file)) if parts.next().is_none() => {
            let is_there =
                |it: &str| sources.find(&format!("environments/{environment}.{it}")).is_some();
            let stem = file.strip_suffix(".yaml").or_else(|| file.strip_suffix(".yml"))?;
            if ["yaml", "yml"].into_iter().any(is_there) { stem } else { return None }
        }
        _ => return None,
    };
    Some(Arc::from(name))
}

/// Whether a file may hold several documents: only those of releases may.
pub(super) fn holds_several(path: &str) -> bool {
    let mut parts = path.split('/');
    parts.next() == Some("applications")
        && parts.next().is_some()
        && parts.next() == Some("releases")
}
