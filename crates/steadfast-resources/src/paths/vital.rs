//! The directories of the system itself: without them, or closed to its users, the machine cannot be
//! reached or does not start any more, and no later revision could mend that.

use super::owners::Owners;
use crate::mode::{NEW_DIRECTORY, Wish};
use steadfast_model::{Diagnostic, Fields, Lower, Span, codes};
use steadfast_system::AbsPath;
use steadfast_system::files::Mode;
use steadfast_system::names::SYSTEM_LINKS;

/// What a directory of the system has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Vital {
    path: &'static str,
    /// The bits that its mode must have.
    needs: u16,
    /// The bits that its mode must not have.
    excludes: u16,
    /// Whether owner and mode may hold for all below it.
    recurses: bool,
    /// Whether what nobody promised in it may go.
    purges: bool,
}

/// Programs of every user read what is in it, and none but root changes it.
const fn read(path: &'static str) -> Vital {
    Vital { path, needs: 0o555, excludes: 0o002, recurses: false, purges: false }
}

/// Every user has to get through it.
const fn passed(path: &'static str) -> Vital {
    Vital { needs: 0o111, ..read(path) }
}

/// Only root has to get into it.
const fn of_root(path: &'static str) -> Vital {
    Vital { needs: 0o500, excludes: 0o022, recurses: true, ..read(path) }
}

/// Everybody leaves files in it.
const fn shared(path: &'static str) -> Vital {
    Vital { excludes: 0, purges: true, ..passed(path) }
}

const VITAL: &[Vital] = &[
    read("/"),
    read("/bin"),
    of_root("/boot"),
    read("/dev"),
    read("/etc"),
    read("/etc/pam.d"),
    read("/etc/security"),
    read("/etc/ssh"),
    read("/etc/systemd"),
    // Units of people who are gone may go.
    Vital { purges: true, ..read("/etc/systemd/system") },
    passed("/home"),
    read("/lib"),
    read("/lib32"),
    read("/lib64"),
    read("/libx32"),
    read("/proc"),
    of_root("/root"),
    read("/run"),
    read("/sbin"),
    read("/sys"),
    shared("/tmp"),
    read("/usr"),
    read("/usr/bin"),
    read("/usr/lib"),
    read("/usr/lib32"),
    read("/usr/lib64"),
    read("/usr/lib/aarch64-linux-gnu"),
    read("/usr/lib/systemd"),
    read("/usr/lib/systemd/system"),
    read("/usr/lib/x86_64-linux-gnu"),
    read("/usr/libexec"),
    Vital { recurses: true, purges: true, ..passed("/usr/local") },
    read("/usr/sbin"),
    read("/usr/share"),
    passed("/var"),
    Vital { purges: true, ..passed("/var/cache") },
    passed("/var/lib"),
    read("/var/lib/dpkg"),
    passed("/var/lib/systemd"),
    shared("/var/lock"),
    Vital { purges: true, ..passed("/var/log") },
    read("/var/run"),
    shared("/var/tmp"),
];

/// All of them.
pub(crate) fn folders() -> impl Iterator<Item = AbsPath> {
    VITAL.iter().filter_map(|it| AbsPath::parse(it.path).ok())
}

fn find(path: &AbsPath) -> Option<&'static Vital> {
    VITAL.iter().find(|it| it.path == path.as_str())
}

fn refuse(cx: &mut Lower<'_>, span: Span, path: &AbsPath, what: &str) {
    let message = format!("`{path}` {what}");
    let error = Diagnostic::error(codes::BAD_VALUE, span, message);
    cx.report(error.help(format!(
        "`{path}` is a directory of the system: the machine could not be reached any more"
    )));
}

/// Refuses a file in the place of a directory of the system, and its absence.
pub(crate) fn refuse_file(path: &AbsPath, name: Span, cx: &mut Lower<'_>) {
    if let Some(what) = no_file(path) {
        refuse(cx, name, path, what);
    }
}

/// Why a path cannot be a file, or be absent, where it is a directory of the system.
pub(crate) fn no_file(path: &AbsPath) -> Option<&'static str> {
    find(path).map(|_| "cannot be a file, or be absent")
}

/// Refuses a link in the place of a directory of the system, unless it is the one that stands there anyway.
/// Without a target it is absent.
pub(crate) fn refuse_link(path: &AbsPath, target: Option<&str>, name: Span, cx: &mut Lower<'_>) {
    if let Some(what) = no_link(path, target) {
        refuse(cx, name, path, what);
    }
}

/// Why a path cannot be such a link.
pub(crate) fn no_link(path: &AbsPath, target: Option<&str>) -> Option<&'static str> {
    find(path)?;
    let usual =
        SYSTEM_LINKS.iter().find(|(link, _)| *link == path.as_str()).map(|(_, target)| *target);
    match (target, usual) {
        (Some(target), Some(usual)) if leads_to(path, target, usual) => None,
        (Some(_), _) => Some("cannot be a link to elsewhere"),
        (None, _) => no_absence(path),
    }
}

/// Whether the text of a link leads to this directory, from the root or from where the link is.
fn leads_to(link: &AbsPath, target: &str, folder: &str) -> bool {
    if target.starts_with('/') {
        return target == folder;
    }
    let above = link.as_str().matches('/').count() - 1;
    let rest = folder.trim_start_matches('/');
    let plain = above == 0 && target == rest;
    plain || target == format!("{}{rest}", "../".repeat(above))
}

/// What a promise says of a directory.
pub(crate) struct Said<'a> {
    pub path: &'a AbsPath,
    pub owners: &'a Owners,
    pub mode: Option<&'a Wish>,
    pub recurse: bool,
    pub purge: bool,
    pub force: bool,
}

/// Refuses the absence of a directory of the system.
pub(crate) fn refuse_absence(path: &AbsPath, name: Span, cx: &mut Lower<'_>) {
    if let Some(what) = no_absence(path) {
        refuse(cx, name, path, what);
    }
}

/// Why a path cannot be absent.
pub(crate) fn no_absence(path: &AbsPath) -> Option<&'static str> {
    find(path).map(|_| "cannot be absent")
}

/// Refuses what would close a directory of the system, or take away what is in it.
pub(crate) fn refuse_directory(said: &Said<'_>, fields: &mut Fields<'_, '_, '_>) {
    judge_directory(said, &mut |key, what| {
        let span = fields.key_span(key);
        refuse(fields.cx, span, said.path, what);
    });
}

/// What of this a directory of the system does not bear: `refuse` is told the field and why.
pub(crate) fn judge_directory(said: &Said<'_>, refuse: &mut dyn FnMut(&str, &str)) {
    let Some(vital) = find(said.path) else { return };
    let mode = said.mode.map(|wish| wish.of(base(vital), true));
    let bits = Bits { needs: vital.needs, excludes: vital.excludes };
    bits.judge(said.owners, mode, "others could change what is in it", refuse);
    if said.recurse && !vital.recurses {
        refuse("recurse", "cannot have one owner or mode for all below it");
    }
    if said.purge && !vital.purges {
        refuse("purge", "cannot be purged");
    }
    if said.force {
        refuse("force", "cannot take the place of something else");
    }
}

/// The bits that a mode must have, and those that it must not have.
pub(super) struct Bits {
    pub(super) needs: u16,
    pub(super) excludes: u16,
}

impl Bits {
    /// Refuses an owner who is not root, and a mode that has not these bits; `opens` is what follows from one that
    /// has too many. `refuse` is told the field and why.
    pub(super) fn judge(
        &self,
        owners: &Owners,
        mode: Option<Mode>,
        opens: &str,
        refuse: &mut dyn FnMut(&str, &str),
    ) {
        if owners.is_not_roots() {
            refuse("owner", "cannot belong to anybody but root");
        }
        let Some(mode) = mode else { return };
        if mode.0 & self.needs != self.needs {
            refuse("mode", &format!("cannot have mode {mode}: it needs {}", Mode(self.needs)));
        } else if mode.0 & self.excludes != 0 {
            refuse("mode", &format!("cannot have mode {mode}: {opens}"));
        }
    }
}

/// What a symbolic mode starts from: the mode that such a directory has.
fn base(vital: &Vital) -> Mode {
    Mode(NEW_DIRECTORY.0 & !vital.excludes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::Directory;
    use crate::file::File;
    use crate::link::Link;
    use crate::paths::tests::{refused, taken};

    #[test]
    fn no_directory_of_the_system_is_taken_away_or_replaced_by_any_kind() {
        for vital in VITAL {
            let path = vital.path;
            refused::<Directory>(&format!("{path}: absent"));
            refused::<Directory>(&format!("{path}: {{ state: absent, force: true }}"));
            if !vital.purges {
                refused::<Directory>(&format!("{path}: {{ purge: true }}"));
            }
            refused::<Directory>(&format!("{path}: {{ force: true }}"));
            refused::<Directory>(&format!("{path}: {{ owner: deploy }}"));
            refused::<File>(&format!("{path}: absent"));
            refused::<File>(&format!("{path}: {{ content: a, force: true }}"));
            refused::<Link>(&format!("{path}: {{ target: /srv/other, force: true }}"));
            refused::<Link>(&format!("{path}: absent"));
        }
    }

    #[test]
    fn a_directory_of_the_system_stays_open_to_those_who_need_it() {
        for path in ["/", "/etc", "/usr", "/usr/lib", "/bin", "/run", "/etc/ssh"] {
            for mode in ["0700", "0750", "0711", "o-rx", "go=", "a-x", "0777", "o+w"] {
                refused::<Directory>(&format!("{path}: {{ mode: \"{mode}\" }}"));
            }
        }
        for path in ["/home", "/var", "/var/lib"] {
            for mode in ["0700", "0750", "o-x", "0777"] {
                refused::<Directory>(&format!("{path}: {{ mode: \"{mode}\" }}"));
            }
        }
        refused::<Directory>("/root: { mode: \"0000\" }");
        refused::<Directory>("/root: { mode: \"g+w\" }");
        for path in ["/etc", "/usr/bin", "/home", "/var", "/var/lib"] {
            refused::<Directory>(&format!("{path}: {{ recurse: true, mode: \"go-w\" }}"));
        }
    }

    #[test]
    fn what_an_operator_may_want_of_them_is_taken() {
        taken::<Directory>("/: { owner: root, mode: \"0755\" }");
        taken::<Directory>("/etc: { mode: \"go-w\" }");
        taken::<Directory>("/home: { mode: \"0711\" }");
        taken::<Directory>("/root: { mode: \"0700\", owner: root, group: root }");
        taken::<Directory>("/root: { mode: \"go=\", recurse: true }");
        taken::<Directory>("/boot: { mode: \"0700\" }");
        taken::<Directory>("/tmp: { mode: \"1777\" }");
        taken::<Directory>("/var/log: { mode: \"0775\", group: syslog }");
        taken::<Directory>("/etc/people: { owner: people, mode: \"0700\", purge: true }");
        taken::<Directory>("/etc/systemd/system: { purge: true }");
        taken::<Directory>("/srv: absent");
        taken::<Link>("/bin: usr/bin");
        taken::<Link>("/lib: /usr/lib");
        taken::<Link>("/var/run: /run");
        taken::<Link>("/var/lock: ../run/lock");
        taken::<Link>("/srv: /data");
        taken::<File>("/etc/motd: { content: a }");
    }
}
