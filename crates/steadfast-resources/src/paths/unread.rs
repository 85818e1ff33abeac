//! Names that the program which reads a directory passes over without a word: what is promised there is kept, and
//! has no effect. Pure.

use steadfast_model::{Diagnostic, Lower, Span, codes};
use steadfast_system::AbsPath;

/// A directory, and who reads which names in it.
struct Reader {
    folder: &'static str,
    who: &'static str,
    reads: fn(&str) -> bool,
    help: &'static str,
}

/// As run-parts(8) and cron take names.
fn plain(name: &str) -> bool {
    name.bytes().all(|it| it.is_ascii_alphanumeric() || b"_-".contains(&it))
}

/// As sudoers(5) says of `@includedir`.
fn of_sudo(name: &str) -> bool {
    !name.contains('.') && !name.ends_with('~')
}

const fn of_cron(folder: &'static str) -> Reader {
    Reader {
        folder,
        who: "cron",
        reads: plain,
        help: "letters, digits, `_` and `-`: cron reads no other names there",
    }
}

const READERS: &[Reader] = &[
    of_cron("/etc/cron.d"),
    of_cron("/etc/cron.hourly"),
    of_cron("/etc/cron.daily"),
    of_cron("/etc/cron.weekly"),
    of_cron("/etc/cron.monthly"),
    Reader {
        folder: "/etc/sudoers.d",
        who: "sudo",
        reads: of_sudo,
        help: "sudo reads no name there that has a `.` or ends in `~`",
    },
];

/// Warns of a file that nobody would read. One that begins with a dot is meant so.
pub(crate) fn warn(path: &AbsPath, name: Span, cx: &mut Lower<'_>) {
    let Some(folder) = path.parent() else { return };
    let reader = READERS.iter().find(|it| it.folder == folder.as_str());
    if let Some(Reader { who, help, .. }) = reader.filter(|it| !(it.reads)(path.file_name()))
        && !path.file_name().starts_with('.')
    {
        let message = format!("{who} does not read a file of this name in {folder}");
        cx.report(Diagnostic::warning(codes::UNREAD_NAME, name, message).help(*help));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_a_reader_takes_are_read() {
        for name in ["job", "a-b_C9"] {
            assert!(plain(name) && of_sudo(name), "{name}");
        }
        for name in ["a.b", "a.sh", "10.admins"] {
            assert!(!plain(name) && !of_sudo(name), "{name}");
        }
        assert!(!plain("ä") && !of_sudo("old~") && of_sudo("with space"));
    }
}
