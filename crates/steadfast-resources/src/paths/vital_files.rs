//! The files without which nobody can log in, no program starts, or no later revision arrives: a promise that takes
//! one of them away, or closes it to those who need it, could not be mended by the next one.

use super::owners::Owners;
use super::vital::Bits;
use crate::mode::Wish;
use steadfast_model::{Diagnostic, Fields, Lower, Span, codes};
use steadfast_system::AbsPath;
use steadfast_system::files::Mode;

/// What a file of the system has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Vital {
    path: &'static str,
    /// The bits that its mode must have, and those that it must not have.
    needs: u16,
    excludes: u16,
    /// Whether a link may stand there, to what somebody has chosen.
    may_be_link: bool,
}

/// Every program reads it, and none but root changes it.
const fn read(path: &'static str) -> Vital {
    Vital { path, needs: 0o444, excludes: 0o022, may_be_link: false }
}

/// None but root, and programs of the group that it has, read it.
const fn secret(path: &'static str) -> Vital {
    Vital { needs: 0, excludes: 0o037, ..read(path) }
}

/// Everybody starts it.
const fn started(path: &'static str) -> Vital {
    Vital { path, needs: 0o555, excludes: 0o022, may_be_link: true }
}

const VITAL: &[Vital] = &[
    read("/etc/passwd"),
    read("/etc/group"),
    secret("/etc/shadow"),
    started("/bin/sh"),
    started("/usr/bin/sh"),
    started("/sbin/init"),
    started("/usr/sbin/init"),
    started("/lib/systemd/systemd"),
    started("/usr/lib/systemd/systemd"),
    started("/lib64/ld-linux-x86-64.so.2"),
    started("/usr/lib64/ld-linux-x86-64.so.2"),
    started("/lib/ld-linux-aarch64.so.1"),
    started("/usr/lib/ld-linux-aarch64.so.1"),
    // This program itself, and whose word it takes.
    started("/usr/bin/steadfast"),
    Vital { needs: 0, ..read("/etc/steadfast/agent.yaml") },
];

/// All of them.
pub(crate) fn files() -> impl Iterator<Item = AbsPath> {
    VITAL.iter().filter_map(|it| AbsPath::parse(it.path).ok())
}

fn find(path: &AbsPath) -> Option<&'static Vital> {
    VITAL.iter().find(|it| it.path == path.as_str())
}

fn refuse(cx: &mut Lower<'_>, span: Span, path: &AbsPath, what: &str) {
    let message = format!("`{path}` {what}");
    let error = Diagnostic::error(codes::BAD_VALUE, span, message);
    cx.report(
        error.help("the machine, or the next revision of its model, could not be reached any more"),
    );
}

/// Refuses the absence of such a file.
pub(crate) fn refuse_absence(path: &AbsPath, name: Span, cx: &mut Lower<'_>) {
    if let Some(what) = no_absence(path) {
        refuse(cx, name, path, what);
    }
}

/// Why a path cannot be absent.
pub(crate) fn no_absence(path: &AbsPath) -> Option<&'static str> {
    find(path).map(|_| "cannot be absent")
}

/// Refuses a directory in the place of such a file.
pub(crate) fn refuse_directory(path: &AbsPath, name: Span, cx: &mut Lower<'_>) {
    if let Some(what) = no_directory(path) {
        refuse(cx, name, path, what);
    }
}

/// Why a path cannot be a directory.
pub(crate) fn no_directory(path: &AbsPath) -> Option<&'static str> {
    find(path).map(|_| "cannot be a directory")
}

/// Refuses a link in the place of such a file, where it is none; without a target it is absent.
pub(crate) fn refuse_link(path: &AbsPath, target: Option<&str>, name: Span, cx: &mut Lower<'_>) {
    if let Some(what) = no_link(path, target) {
        refuse(cx, name, path, what);
    }
}

/// Why a path cannot be such a link.
pub(crate) fn no_link(path: &AbsPath, target: Option<&str>) -> Option<&'static str> {
    match (find(path)?, target) {
        (_, None) => no_absence(path),
        (vital, Some(_)) => (!vital.may_be_link).then_some("cannot be a link"),
    }
}

/// Refuses an owner and a mode that close such a file, or open it to others.
pub(crate) fn refuse_attributes(
    path: &AbsPath,
    owners: &Owners,
    mode: Option<&Wish>,
    fields: &mut Fields<'_, '_, '_>,
) {
    judge_attributes(path, owners, mode, &mut |key, what| {
        let span = fields.key_span(key);
        refuse(fields.cx, span, path, what);
    });
}

/// What of this such a file does not bear: `refuse` is told the field and why.
pub(crate) fn judge_attributes(
    path: &AbsPath,
    owners: &Owners,
    mode: Option<&Wish>,
    refuse: &mut dyn FnMut(&str, &str),
) {
    let Some(vital) = find(path) else { return };
    let mode = mode.map(|wish| wish.of(Mode(vital.needs | 0o600), false));
    let bits = Bits { needs: vital.needs, excludes: vital.excludes };
    bits.judge(owners, mode, "that opens it to others", refuse);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::Directory;
    use crate::file::File;
    use crate::link::Link;
    use crate::paths::tests::{refused, taken};

    #[test]
    fn no_file_that_the_machine_needs_is_taken_away_by_any_kind_or_given_to_others() {
        for Vital { path, .. } in VITAL {
            refused::<File>(&format!("{path}: absent"));
            refused::<File>(&format!("{path}: {{ state: absent, force: true }}"));
            refused::<File>(&format!("{path}: {{ owner: deploy }}"));
            refused::<File>(&format!("{path}: {{ mode: \"0666\" }}"));
            refused::<Link>(&format!("{path}: absent"));
            refused::<Link>(&format!("{path}: {{ state: absent }}"));
            refused::<Directory>(&format!("{path}: {{ force: true }}"));
        }
        for (path, mode) in [
            ("/etc/passwd", "0000"),
            ("/etc/passwd", "o-r"),
            ("/etc/shadow", "0644"),
            ("/etc/shadow", "g+w"),
            ("/bin/sh", "0644"),
            ("/usr/bin/steadfast", "0777"),
        ] {
            refused::<File>(&format!("{path}: {{ mode: \"{mode}\" }}"));
        }
        refused::<Link>("/etc/passwd: { target: /srv/passwd, force: true }");
    }

    #[test]
    fn what_an_operator_may_want_of_them_is_taken() {
        taken::<File>("/etc/passwd: { owner: root, group: root, mode: \"0644\" }");
        taken::<File>("/etc/passwd: { mode: \"go-w\" }");
        taken::<File>("/etc/shadow: { mode: \"0640\", group: shadow }");
        taken::<File>("/etc/shadow: { mode: \"0000\" }");
        taken::<File>("/etc/steadfast/agent.yaml: { content: a, mode: \"0600\" }");
        taken::<File>("/usr/bin/steadfast: { mode: \"0755\" }");
        taken::<Link>("/bin/sh: bash");
    }
}
