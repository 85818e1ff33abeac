//! Which paths systemd reads, by their names alone: unit files, drop-ins, and what generators make units of.

use crate::{AbsPath, UnitName};

/// Where unit files and their drop-ins lie, in the order in which systemd prefers them.
pub(super) const UNIT_FOLDERS: [&str; 5] = [
    super::FOLDER,
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// What else becomes units, or settings of systemd itself, when it reads its files again: the inputs of its
/// generators (systemd.generator(7)), and the generators.
const ALSO: [&str; 20] = [
    "/etc/fstab",
    "/etc/crypttab",
    "/etc/veritytab",
    "/etc/integritytab",
    "/etc/rc.local",
    INIT_SCRIPTS,
    "/etc/rc0.d",
    "/etc/rc1.d",
    "/etc/rc2.d",
    "/etc/rc3.d",
    "/etc/rc4.d",
    "/etc/rc5.d",
    "/etc/rc6.d",
    "/etc/systemd/system.conf",
    "/etc/systemd/system.conf.d",
    "/etc/systemd/system-generators",
    "/run/systemd/system-generators",
    "/usr/local/lib/systemd/system-generators",
    "/usr/lib/systemd/system-generators",
    "/lib/systemd/system-generators",
];

/// Where the scripts of System V init lie, of which systemd makes services.
pub(super) const INIT_SCRIPTS: &str = "/etc/init.d";

fn is_in(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn all() -> impl Iterator<Item = &'static str> {
    UNIT_FOLDERS.into_iter().chain(ALSO)
}

/// Whether systemd sees a change at this path only once it reads its unit files again.
pub fn is_read_by_systemd(path: &AbsPath) -> bool {
    all().any(|it| is_in(path.as_str(), it))
}

/// Whether what stands there is in the language of unit files; a script of System V init is not.
pub fn is_in_unit_language(path: &AbsPath) -> bool {
    is_read_by_systemd(path) && !is_in(path.as_str(), INIT_SCRIPTS)
}

/// The same of something at or below this path.
pub fn may_hold_unit_files(path: &AbsPath) -> bool {
    let above = path.as_str().trim_end_matches('/');
    all().any(|it| is_in(path.as_str(), it) || is_in(it, above))
}

/// The name of the unit that has a file, a link or a script of this path.
pub fn unit_at(path: &AbsPath) -> Option<UnitName> {
    let folder = path.parent()?;
    let name = path.file_name();
    if folder.as_str() == INIT_SCRIPTS {
        let name = name.strip_suffix(".sh").unwrap_or(name);
        return UnitName::parse(&format!("{name}.service")).ok();
    }
    UNIT_FOLDERS
        .contains(&folder.as_str())
        .then(|| UnitName::parse(name).ok().filter(|it| it.as_str() == name))
        .flatten()
}

/// The name of the unit that a path is a file or a drop-in of, where it is one for units alone: not for all
/// of a type (`service.d`) or of a prefix (`user-.slice.d`).
pub fn unit_read_from(path: &AbsPath) -> Option<UnitName> {
    if let Some(unit) = unit_at(path) {
        return Some(unit);
    }
    let folder = path.parent()?;
    let name = folder.file_name().strip_suffix(".d")?;
    let above = folder.parent()?;
    if !UNIT_FOLDERS.contains(&above.as_str()) || !name.contains('.') || name.contains("-.") {
        return None;
    }
    UnitName::parse(name).ok().filter(|it| it.as_str() == name)
}

/// The paths at which a unit's own file may lie, those of its template included.
pub fn places_of(unit: &UnitName) -> Vec<AbsPath> {
    let names = std::iter::once(unit.as_str().to_owned()).chain(unit.template());
    let files = names.flat_map(|name| UNIT_FOLDERS.map(|folder| format!("{folder}/{name}")));
    let script = unit.as_str().strip_suffix(".service").map(|it| format!("{INIT_SCRIPTS}/{it}"));
    files.chain(script).filter_map(|it| AbsPath::parse(&it).ok()).collect()
}

/// The names of the directories, each without its `.d`, from which systemd takes drop-ins for a unit: its
/// own, its template's, those of its prefixes and that of its type.
pub(super) fn drop_in_names(unit: &UnitName) -> Vec<String> {
    let mut names = vec![unit.as_str().to_owned()];
    names.extend(unit.template());
    let Some((stem, suffix)) = unit.as_str().rsplit_once('.') else { return names };
    let prefix = stem.split_once('@').map_or(stem, |(prefix, _)| prefix);
    let dashes = prefix.rmatch_indices('-').map(|(at, _)| &prefix[..at]);
    let prefixes = dashes.filter(|it| !it.is_empty()).map(|it| format!("{it}-.{suffix}"));
    names.extend(prefixes.filter(|it| it != unit.as_str()).collect::<Vec<_>>());
    names.push(suffix.to_owned());
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> AbsPath {
        AbsPath::parse(text).unwrap()
    }

    #[test]
    fn systemd_reads_unit_files_wherever_they_may_lie_and_what_generators_read() {
        for read in [
            "/etc/systemd/system/a.service",
            "/run/systemd/system/a.service.d/x.conf",
            "/usr/lib/systemd/system/a.timer",
            "/lib/systemd/system/a.socket",
            "/usr/local/lib/systemd/system/a.path",
            "/etc/systemd/system/service.d/all.conf",
            "/etc/fstab",
            "/etc/init.d/old",
            "/etc/systemd/system.conf.d/x.conf",
        ] {
            assert!(is_read_by_systemd(&path(read)), "{read}");
        }
        for other in
            ["/etc/systemd/journald.conf", "/etc/systemd/systemd.conf", "/etc/fstab.old", "/etc"]
        {
            assert!(!is_read_by_systemd(&path(other)), "{other}");
        }
        for above in ["/", "/etc", "/usr/lib/systemd", "/etc/systemd/system/a.service.d"] {
            assert!(may_hold_unit_files(&path(above)), "{above}");
        }
        for other in ["/srv", "/etc/nginx", "/usr/local/libexec"] {
            assert!(!may_hold_unit_files(&path(other)), "{other}");
        }
    }

    #[test]
    fn a_drop_in_of_a_type_or_of_a_prefix_is_no_units_own() {
        let unit = |text: &str| unit_read_from(&path(text)).map(|it| it.to_string());
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(unit("/etc/systemd/system/a.service"), some("a.service"));
        assert_eq!(unit("/lib/systemd/system/a.service.d/x.conf"), some("a.service"));
        assert_eq!(unit("/etc/systemd/system/a@.service.d/x.conf"), some("a@.service"));
        assert_eq!(unit("/etc/init.d/old.sh"), some("old.service"));
        for none in [
            "/etc/systemd/system/service.d/x.conf",
            "/etc/systemd/system/user-.slice.d/x.conf",
            "/etc/systemd/system/kd-.service.d/x.conf",
            "/etc/systemd/system/multi-user.target.wants/a.service",
            "/etc/systemd/system/README",
            "/etc/systemd/a.service",
            "/etc/fstab",
        ] {
            assert_eq!(unit(none), None, "{none}");
        }
    }

    #[test]
    fn drop_ins_come_from_the_directories_that_systemd_names() {
        let names = |unit: &str| drop_in_names(&UnitName::parse(unit).unwrap());
        assert_eq!(names("a-b-c"), ["a-b-c.service", "a-b-.service", "a-.service", "service"]);
        assert_eq!(names("user@1000.service"), ["user@1000.service", "user@.service", "service"]);
        assert_eq!(names("user-1000.slice"), ["user-1000.slice", "user-.slice", "slice"]);
    }
}
