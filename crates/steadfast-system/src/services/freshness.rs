//! Whether systemd has read a unit's files as they are now.
//!
//! Its own word for that, NeedDaemonReload, is not enough: systemd 252 does not see a drop-in in a directory
//! that it did not know, nor a unit file that hides another, and compares times that whoever copies a file
//! may choose. So the moment when it began to read is compared with the times at which the kernel says that
//! each of the files became what it is, which nobody chooses.

use super::listed::{Listed, SEARCH};
use super::reach::{UNIT_FOLDERS, drop_in_names};
use crate::UnitName;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// systemd puts this file's time to when it last began to read all units, at boot or after.
const LAST_LOAD: &str = "/run/systemd/systemd-units-load";

/// When systemd last began to read all unit files, in microseconds since 1970; none where it does not say.
pub(super) fn last_load() -> Option<i64> {
    let found = fs::metadata(LAST_LOAD).ok()?;
    micros(found.mtime(), found.mtime_nsec())
}

fn micros(seconds: i64, nanoseconds: i64) -> Option<i64> {
    seconds.checked_mul(1_000_000)?.checked_add(nanoseconds / 1_000)
}

/// When the kernel last saw it change.
fn changed(found: &Metadata) -> Option<i64> {
    micros(found.ctime(), found.ctime_nsec())
}

/// The latest change of what is at a path, and of what it leads to. What cannot be seen has none: systemd's
/// own word is left for it.
pub(super) fn latest(path: &Path) -> Option<i64> {
    latest_of(path, &fs::symlink_metadata(path).ok()?)
}

/// The same, where what is at the path was looked at.
pub(super) fn latest_of(path: &Path, here: &Metadata) -> Option<i64> {
    let there = here.is_symlink().then(|| fs::metadata(path).ok()).flatten();
    [Some(here), there.as_ref()].into_iter().flatten().filter_map(changed).max()
}

/// The latest change of the drop-ins of a unit, and of the directories that they lie in.
pub(super) fn latest_drop_in(listed: &Listed, unit: &UnitName) -> Option<i64> {
    let mut newest = None;
    for name in drop_in_names(unit) {
        for (at, folder) in listed.places(&format!("{name}.d")) {
            if !UNIT_FOLDERS.contains(&SEARCH[at]) {
                continue;
            }
            let Some(at) = latest(&folder) else { continue };
            newest = newest.max(Some(at));
            let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
            let drop_ins =
                entries.filter(|it| it.file_name().as_encoded_bytes().ends_with(b".conf"));
            newest = newest.max(drop_ins.filter_map(|it| latest(&it.path())).max());
        }
    }
    newest
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn whatever_is_done_to_a_drop_in_or_its_directory_is_a_later_change() {
        let root = tempfile::tempdir().unwrap();
        let unit = UnitName::parse("a-b").unwrap();
        let newest = || latest_drop_in(&Listed::read(root.path()).unwrap(), &unit);
        assert_eq!(newest(), None);
        let at = |name: &str| root.path().join("etc/systemd/system").join(name);
        let mut before = None;
        // The kernel's clock for files is coarse: what is done is done until it shows.
        let mut later = |what: &str, act: &dyn Fn()| {
            let begun = std::time::Instant::now();
            loop {
                act();
                if newest() > before {
                    break;
                }
                assert!(begun.elapsed().as_secs() < 60, "{what} does not show");
            }
            before = newest();
        };
        let folder = at("a-b.service.d");
        later("a directory", &|| fs::create_dir_all(&folder).unwrap());
        let old = std::time::UNIX_EPOCH;
        later("a file with an old time", &|| {
            fs::write(folder.join("x.conf"), "[Service]\n").unwrap();
            fs::File::options()
                .write(true)
                .open(folder.join("x.conf"))
                .unwrap()
                .set_modified(old)
                .unwrap();
        });
        later("one of its prefix", &|| {
            fs::create_dir_all(at("a-.service.d")).unwrap();
            fs::write(at("a-.service.d/x.conf"), "").unwrap();
        });
        later("one of its type", &|| {
            fs::create_dir_all(at("service.d")).unwrap();
            fs::write(at("service.d/x.conf"), "").unwrap();
        });
        let aim = root.path().join("aim");
        fs::write(&aim, "").unwrap();
        later("a link", &|| {
            drop(fs::remove_file(folder.join("y.conf")));
            symlink(&aim, folder.join("y.conf")).unwrap();
        });
        later("what a link leads to", &|| fs::write(&aim, "[Service]\n").unwrap());
        later("one that goes", &|| {
            fs::write(folder.join("z.conf"), "").unwrap();
            fs::remove_file(folder.join("z.conf")).unwrap();
        });
    }
}
