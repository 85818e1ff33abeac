//! What the kinds about paths (file, directory, link) share: which paths are taken, how owners are
//! looked up, and the changes that can be made at a path.

mod apply;
mod bar;
mod change;
mod content;
mod detail;
mod entry;
mod facts;
mod numbers;
mod owners;
mod undo;
pub(crate) mod unread;
pub(crate) mod vital;
pub(crate) mod vital_files;
mod within;

pub use apply::apply;
pub use bar::{Touch, its_directory, refusal, refuse_barred, refuse_touching, why_barred};
pub use change::{
    Change, NewDirectory, NewLink, Removal, Setting, Was, Writing, attributes, deletes, grouped,
};
pub use content::{Bytes, ONLY_REMEMBERED, Promised, sha256};
pub use detail::{SHOWN, detail, diff};
pub(crate) use entry::own_seen_from;
pub use entry::{
    describe, hide_secret, holds_ours, is_foreign_link, is_kept, is_ours, is_too_large_to_keep,
    lies_in_ours, may_be_filled, not_kept, seen, shown_size, size, words,
};
pub use facts::{entry_word, facts};
pub use numbers::{bytes, thousands};
pub use owners::{
    Accounts, Ids, Inherited, NAME_OR_NUMBER, Owners, Who, Whose, attributes as attributes_facts,
    lower_mode,
};
pub(crate) use undo::{
    attributes as attributes_set, back, effects, former, observe_facets, of_file,
};
pub use within::{Within, barred};

use crate::identity::Identity;
use crate::kind::Turn;
use std::sync::Arc;
use steadfast_model::{Lower, Node, Spanned, codes};
use steadfast_system::AbsPath;

/// Where this program keeps its state. What it needs to tell what it did is not its own to manage.
pub const STATE: &str = "/var/lib/steadfast";
const KERNEL: [&str; 3] = ["/proc", "/sys", "/dev"];

/// When what is at these paths takes its turn.
pub fn turn(absent: bool, claims: &[Identity]) -> Turn {
    let apt = |it: &AbsPath| AbsPath::parse("/etc/apt").is_ok_and(|apt| it.is_within(&apt));
    if absent {
        Turn::PathsGo
    } else if claims.iter().filter_map(Identity::as_path).any(apt) {
        Turn::AptSources
    } else {
        Turn::Paths
    }
}

/// Whether packages put things there.
pub fn is_packages_territory(path: &AbsPath) -> bool {
    const TERRITORY: [&str; 4] = ["/etc", "/usr", "/lib", "/var"];
    TERRITORY
        .iter()
        .any(|root| path.as_str().strip_prefix(root).is_some_and(|it| it.starts_with('/')))
}

/// Whether a package that is installed in this run could bring, change or own something at these paths.
pub fn may_come_with_packages(claims: &[Identity]) -> bool {
    claims.iter().filter_map(Identity::as_path).any(is_packages_territory)
}

/// The path that a promise is named by. Where every supported system has a link on the way, it is the one
/// behind it.
pub fn lower_path(name: &Spanned<Arc<str>>, cx: &mut Lower<'_>) -> Option<AbsPath> {
    let path = match AbsPath::parse(&name.value) {
        Ok(path) => path.usual(),
        Err(refusal) => {
            cx.error(codes::BAD_PATH, name.span, refusal.to_string());
            return None;
        }
    };
    let within = |folder: &&str| AbsPath::parse(folder).is_ok_and(|it| path.is_within(&it));
    if let Some(folder) = KERNEL.iter().find(|it| within(it)) {
        let message = format!("`{path}` belongs to the kernel: nothing is promised below {folder}");
        cx.error(codes::BAD_PATH, name.span, message);
        return None;
    }
    if within(&STATE) {
        let message = format!("`{path}` lies in the state directory of this program, {STATE}");
        cx.error(codes::BAD_PATH, name.span, message);
        return None;
    }
    Some(path)
}

/// `present` or `absent` in the place of a map of fields: whether it is absent.
pub fn lower_short(kind: &str, body: &Node, cx: &mut Lower<'_>) -> Option<bool> {
    let text = cx.as_text(body, &format!("a {kind}"))?;
    match &*text.value {
        "present" => Some(false),
        "absent" => Some(true),
        other => {
            let message = format!("a {kind} cannot be `{}`", other.escape_debug());
            cx.report(
                steadfast_model::Diagnostic::error(codes::BAD_VALUE, text.span, message)
                    .help("present, absent, or a map of fields"),
            );
            None
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
