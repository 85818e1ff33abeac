//! Services that systemd makes of scripts of System V init (systemd-sysv-generator(8)): links in /etc/rcN.d
//! say whether they start at boot, and update-rc.d makes those.

use super::Enablement;
use super::reach::INIT_SCRIPTS;
use crate::UnitName;
use std::fs;
use std::io::{self, ErrorKind as Io};
use std::path::{Path, PathBuf};

/// The runlevels that are targets which a machine boots into.
const STARTING: [&str; 4] = ["etc/rc2.d", "etc/rc3.d", "etc/rc4.d", "etc/rc5.d"];

/// The script that a service is made of; none where there is none, or it cannot be run.
pub(super) fn script_of(root: &Path, unit: &UnitName) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let name = unit.as_str().strip_suffix(".service")?;
    let folder = root.join(INIT_SCRIPTS.trim_start_matches('/'));
    [name.to_owned(), format!("{name}.sh")].into_iter().map(|it| folder.join(it)).find(|it| {
        fs::metadata(it)
            .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    })
}

/// Whether a link starts the script in one of the runlevels.
pub(super) fn enablement(root: &Path, script: &Path) -> io::Result<Enablement> {
    let name = script.file_name().map(|it| it.as_encoded_bytes()).unwrap_or_default();
    for folder in STARTING {
        let entries = match fs::read_dir(root.join(folder)) {
            Ok(entries) => entries,
            Err(err) if err.kind() == Io::NotFound => continue,
            Err(err) => return Err(err),
        };
        for entry in entries {
            if is_start_link(entry?.file_name().as_encoded_bytes(), name) {
                return Ok(Enablement::Enabled);
            }
        }
    }
    Ok(Enablement::Disabled)
}

/// `S01name`.
fn is_start_link(link: &[u8], name: &[u8]) -> bool {
    match link {
        [b'S', a, b, rest @ ..] => a.is_ascii_digit() && b.is_ascii_digit() && rest == name,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_link_that_starts_this_very_script_counts() {
        for (link, starts) in [
            ("S01cron", true),
            ("S99cron", true),
            ("K01cron", false),
            ("S01anacron", false),
            ("S01cron2", false),
            ("S1cron", false),
            ("cron", false),
        ] {
            assert_eq!(is_start_link(link.as_bytes(), b"cron"), starts, "{link}");
        }
    }
}
