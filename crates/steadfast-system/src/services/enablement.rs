//! Whether a unit is enabled or masked, read from its files and links as systemd reads them: asking
//! systemd costs it two milliseconds a unit.

use super::freshness::{latest, latest_drop_in, latest_of};
use super::install::Install;
use super::listed::{CONFIG, Listed, SEARCH, absent_is_none, below};
use super::reach::UNIT_FOLDERS;
use super::{Enablement, Mask, sysv};
use crate::{AbsPath, SystemError, UnitName};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// More units than this are not taken along by one.
const ALSO_MAX: usize = 256;
/// A unit file is small; what is larger than this is not read.
const MAX_FILE: u64 = 1024 * 1024;

/// What the files say about one unit.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) enablement: Enablement,
    pub(super) mask: Mask,
    pub(super) fragment: Option<AbsPath>,
    /// The script of System V init that it is made of.
    pub(super) script: Option<PathBuf>,
    /// The latest change of the files that systemd reads for it, in microseconds since 1970.
    pub(super) changed: Option<i64>,
}

/// The directories of units, read once for a batch.
#[derive(Debug)]
pub(super) struct Folders {
    listed: Listed,
}

/// The file that a unit is a link to, where that lies outside of what systemd searches.
pub(super) fn linked_from(root: &Path, unit: &UnitName) -> Option<String> {
    let file = fs::read_link(below(root, CONFIG).join(unit.as_str())).ok()?;
    let is_elsewhere = !SEARCH.iter().any(|it| file.parent() == Some(Path::new(it)));
    let is_it = file.is_absolute() && file.file_name()?.to_str()? == unit.as_str();
    file.to_str().filter(|_| is_elsewhere && is_it).map(str::to_owned)
}

impl Folders {
    /// Reads them below `root`.
    pub(super) fn read(root: &Path) -> io::Result<Folders> {
        Ok(Folders { listed: Listed::read(root)? })
    }

    /// What the files say about a unit; an error where they cannot be read.
    pub(super) fn find(&self, unit: &UnitName) -> io::Result<Found> {
        let (first, file) = self.lookup(unit.as_str())?;
        let mask = match &first {
            Some(File { kind: FileKind::Mask, folder, .. }) => match SEARCH[*folder] {
                CONFIG => Mask::Persistent,
                path if path.starts_with("/run/") => Mask::Runtime,
                _ => Mask::Vendor,
            },
            Some(File { kind: FileKind::Regular | FileKind::Alias(_), .. }) | None => Mask::Not,
        };
        let file = match (file, unit.template()) {
            (None, Some(template)) => self.lookup(&template)?.1,
            (file, _) => file,
        };
        let script = match &file {
            Some(file) if !SEARCH[file.folder].starts_with("/run/systemd/generator") => None,
            Some(_) | None => sysv::script_of(&self.listed.root, unit),
        };
        let read = [first.as_ref(), file.as_ref()].into_iter().flatten();
        let changed = read
            .filter(|it| UNIT_FOLDERS.contains(&SEARCH[it.folder]))
            .map(|it| it.changed)
            .chain([script.as_deref().and_then(latest), latest_drop_in(&self.listed, unit)])
            .max()
            .flatten();
        let fragment = file.as_ref().and_then(|it| self.fragment(it));
        let enablement = match (&script, &file) {
            (Some(script), _) => sysv::enablement(&self.listed.root, script)?,
            (None, None) => Enablement::NotFound,
            (None, Some(File { kind: FileKind::Alias(of), .. })) => {
                Enablement::Alias(Arc::from(of.as_str()))
            }
            (None, Some(file)) => self.enablement(unit.as_str(), file)?,
        };
        Ok(Found { enablement, mask, fragment, script, changed })
    }

    /// Where a file lies, as it is seen below our root.
    fn fragment(&self, file: &File) -> Option<AbsPath> {
        let below = file.path.strip_prefix(&self.listed.root).ok()?.to_str()?;
        AbsPath::parse(&format!("/{}", below.trim_start_matches('/'))).ok()
    }

    /// As `unit_file_lookup_state` of systemd's install.c does.
    fn enablement(&self, unit: &str, file: &File) -> io::Result<Enablement> {
        let folder = SEARCH[file.folder];
        if folder.starts_with("/run/systemd/generator") {
            return Ok(Enablement::Generated);
        }
        if folder == "/run/systemd/transient" {
            return Ok(Enablement::Transient);
        }
        // A link of the unit's own name says it whatever [Install] knows beside that.
        if let Some(Enablement::Enabled) = self.linked(unit, file, |name| name == unit) {
            return Ok(Enablement::Enabled);
        }
        let install = self.install(unit, file)?;
        let known = |name: &str| {
            name == unit
                || install.aliases.iter().any(|it| it == name)
                || install.default_instance.as_deref().is_some_and(|instance| {
                    unit.split_once('@').is_some_and(|(prefix, suffix)| {
                        name == format!("{prefix}@{instance}{suffix}")
                    })
                })
        };
        Ok(match self.linked(unit, file, known) {
            Some(state) => state,
            None => match self.linked(unit, file, |_| true) {
                Some(Enablement::Linked) => Enablement::Linked,
                Some(_) => Enablement::Indirect,
                None => Enablement::of_install(&install),
            },
        })
    }

    /// The units that are enabled and disabled with one, and with those in turn: `Also=` in `[Install]`. A template
    /// stands for its default instance.
    pub(super) fn also(&self, unit: &UnitName) -> io::Result<Vec<UnitName>> {
        let (mut found, mut open): (Vec<UnitName>, _) = (vec![], vec![unit.clone()]);
        while let Some(next) = open.pop() {
            for name in self.install_of(next.as_str())?.map(|it| it.also).unwrap_or_default() {
                let Some(name) = self.instance(&name)? else { continue };
                if name != *unit && !found.contains(&name) && found.len() < ALSO_MAX {
                    found.push(name.clone());
                    open.push(name);
                }
            }
        }
        Ok(found)
    }

    /// The unit that is enabled where this name is.
    fn instance(&self, name: &str) -> io::Result<Option<UnitName>> {
        let Some((prefix, suffix)) = name.split_once("@.") else {
            return Ok(UnitName::parse(name).ok());
        };
        let instance = self.install_of(name)?.and_then(|it| it.default_instance);
        Ok(instance.and_then(|it| UnitName::parse(&format!("{prefix}@{it}.{suffix}")).ok()))
    }

    fn install_of(&self, unit: &str) -> io::Result<Option<Install>> {
        let file = match (self.lookup(unit)?.1, crate::names::template_of(unit)) {
            (None, Some(template)) => self.lookup(&template)?.1,
            (file, _) => file,
        };
        file.map(|it| self.install(unit, &it)).transpose()
    }

    /// Whether a link with a name that `known` accepts leads to the unit (`find_symlinks_in_scope`).
    fn linked(&self, unit: &str, file: &File, known: impl Fn(&str) -> bool) -> Option<Enablement> {
        let (mut persistent, mut runtime) = (false, false);
        let (mut same_name_persistent, mut same_name_runtime) = (false, false);
        for link in &self.listed.links {
            // Below the directory where the unit's file was found, a file of its name means nothing.
            let by_name = link.folder <= file.folder && link.name == unit;
            let by_target = link.to == unit;
            let config = SEARCH[link.folder] == CONFIG;
            if by_name && by_target && link.top {
                same_name_persistent |= config;
                same_name_runtime |= !config;
            } else if (by_name && !link.top || by_target) && known(&link.name) {
                persistent |= config;
                runtime |= !config;
            }
        }
        if persistent {
            Some(Enablement::Enabled)
        } else if runtime {
            Some(Enablement::EnabledRuntime)
        } else if same_name_persistent || same_name_runtime {
            Some(Enablement::Linked)
        } else {
            None
        }
    }

    /// The first file of this name in the search path, and the first that is no mask.
    fn lookup(&self, name: &str) -> io::Result<(Option<File>, Option<File>)> {
        let mut first = None;
        for (folder, path) in self.listed.places(name) {
            let Some(found) = absent_is_none(fs::symlink_metadata(&path))? else { continue };
            let kind = if found.is_symlink() {
                let target = fs::read_link(&path)?;
                if target == Path::new("/dev/null") {
                    FileKind::Mask
                } else {
                    match target.file_name().and_then(|it| it.to_str()) {
                        Some(to)
                            if to != name
                                && crate::names::template_of(name).as_deref() != Some(to) =>
                        {
                            FileKind::Alias(to.to_owned())
                        }
                        Some(_) | None => FileKind::Regular,
                    }
                }
            } else if found.is_file() && found.len() == 0 {
                FileKind::Mask
            } else {
                FileKind::Regular
            };
            let file = File { folder, changed: latest_of(&path, &found), path, kind };
            if file.kind != FileKind::Mask {
                return Ok((Some(first.unwrap_or_else(|| file.clone())), Some(file)));
            }
            first = first.or(Some(file));
        }
        Ok((first, None))
    }

    /// What the file and its drop-ins say below `[Install]`.
    fn install(&self, unit: &str, file: &File) -> io::Result<Install> {
        let mut install = Install::default();
        let path = match fs::read_link(&file.path) {
            // A link to the file elsewhere: absolute paths are below our root.
            Ok(target) if target.is_absolute() => {
                below(&self.listed.root, &target.to_string_lossy())
            }
            Ok(_) | Err(_) => file.path.clone(),
        };
        if let Some(text) = read(&path)? {
            install.add(&text);
        }
        let mut seen = BTreeSet::new();
        for name in std::iter::once(unit.to_owned()).chain(crate::names::template_of(unit)) {
            for (_, folder) in self.listed.places(&format!("{name}.d")) {
                let Some(entries) = absent_is_none(fs::read_dir(&folder))? else { continue };
                for entry in entries {
                    let entry = entry?;
                    let is_conf = entry.file_name().as_encoded_bytes().ends_with(b".conf");
                    if is_conf
                        && seen.insert(entry.file_name())
                        && let Some(text) = read(&entry.path())?
                    {
                        install.add(&text);
                    }
                }
            }
        }
        Ok(install)
    }
}

#[derive(Clone, Debug)]
struct File {
    /// Which directory of [`SEARCH`].
    folder: usize,
    path: PathBuf,
    kind: FileKind,
    /// The latest change of it and of what it leads to.
    changed: Option<i64>,
}

#[derive(Clone, Debug, PartialEq)]
enum FileKind {
    Regular,
    Mask,
    /// Another name of this unit.
    Alias(String),
}

fn read(path: &Path) -> io::Result<Option<String>> {
    use std::io::Read as _;
    let Some(found) = absent_is_none(fs::metadata(path))? else { return Ok(None) };
    if !found.is_file() {
        return Ok(None);
    }
    let Some(file) = absent_is_none(fs::File::open(path))? else { return Ok(None) };
    let mut bytes = vec![];
    file.take(MAX_FILE).read_to_end(&mut bytes)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// The error for a unit whose files cannot be read.
pub(super) fn unreadable(err: io::Error) -> SystemError {
    SystemError::io("read systemd's unit files", err)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root with these entries: `PATH` (a file with nothing to enable), `PATH < TEXT` (a file),
    /// `PATH -> TARGET` (a link).
    fn root(entries: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for line in entries.lines().map(str::trim).filter(|it| !it.is_empty()) {
            let (path, rest) = line.split_once(' ').unwrap_or((line, "< [Unit]"));
            let path = below(root.path(), path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match rest.strip_prefix("-> ") {
                Some(target) => std::os::unix::fs::symlink(target, path).unwrap(),
                None => {
                    let text = rest.strip_prefix('<').unwrap().trim();
                    fs::write(path, text.replace("\\n", "\n")).unwrap();
                }
            }
        }
        root
    }

    #[track_caller]
    fn check(entries: &str, unit: &str, expected: &str) {
        let root = root(entries);
        let found =
            Folders::read(root.path()).unwrap().find(&UnitName::parse(unit).unwrap()).unwrap();
        let mask = match found.mask {
            Mask::Not => "",
            Mask::Runtime => "masked (runtime), ",
            Mask::Persistent => "masked, ",
            Mask::Vendor => "masked (vendor), ",
        };
        let fragment = found.fragment.map_or(String::new(), |it| format!(" {it}"));
        assert_eq!(format!("{mask}{}{fragment}", found.enablement), expected);
    }

    const NGINX: &str =
        "/usr/lib/systemd/system/nginx.service < [Install]\\nWantedBy=multi-user.target\n";

    #[test]
    fn without_a_link_a_unit_is_what_its_text_says() {
        for (text, is, takes) in [
            ("[Service]\n", Enablement::Static, &[][..]),
            ("[Install]\nWantedBy=a.target\n", Enablement::Disabled, &[]),
            ("[Install]\nAlso=b.socket c.timer\n", Enablement::Indirect, &["b.socket", "c.timer"]),
            ("[Install]\nAlias=a.service\nAlso=b.socket\n", Enablement::Disabled, &["b.socket"]),
        ] {
            assert_eq!(
                (Enablement::without_links(text), super::super::also(text)),
                (is, takes.iter().map(|it| (*it).to_owned()).collect())
            );
        }
    }

    #[test]
    fn a_unit_is_enabled_by_a_link_in_a_wants_folder() {
        check(NGINX, "nginx", "disabled /usr/lib/systemd/system/nginx.service");
        check(
            &format!(
                "{NGINX}/etc/systemd/system/multi-user.target.wants/nginx.service -> /lib/systemd/system/nginx.service"
            ),
            "nginx",
            "enabled /usr/lib/systemd/system/nginx.service",
        );
        check(
            &format!(
                "{NGINX}/run/systemd/system/multi-user.target.wants/nginx.service -> /lib/systemd/system/nginx.service"
            ),
            "nginx",
            "enabled until the next boot /usr/lib/systemd/system/nginx.service",
        );
        // What a package ships enables nothing by itself: systemd calls such a unit static.
        check(
            "/usr/lib/systemd/system/dbus.service
             /usr/lib/systemd/system/multi-user.target.wants/dbus.service -> ../dbus.service",
            "dbus",
            "static /usr/lib/systemd/system/dbus.service",
        );
    }

    #[test]
    fn a_mask_is_told_with_what_lies_below_it() {
        check(
            &format!("{NGINX}/etc/systemd/system/nginx.service -> /dev/null"),
            "nginx",
            "masked, disabled /usr/lib/systemd/system/nginx.service",
        );
        check(
            &format!("{NGINX}/run/systemd/system/nginx.service -> /dev/null"),
            "nginx",
            "masked (runtime), disabled /usr/lib/systemd/system/nginx.service",
        );
        check("/etc/systemd/system/nginx.service -> /dev/null", "nginx", "masked, not found");
        check(
            "/usr/lib/systemd/system/sudo.service -> /dev/null",
            "sudo",
            "masked (vendor), not found",
        );
        check("/etc/systemd/system/empty.service <", "empty", "masked, not found");
    }

    #[test]
    fn an_alias_names_its_unit() {
        let ssh = "/usr/lib/systemd/system/ssh.service < [Install]\\nWantedBy=multi-user.target\\nAlias=sshd.service
                   /etc/systemd/system/sshd.service -> /lib/systemd/system/ssh.service";
        check(ssh, "sshd", "another name of ssh.service /etc/systemd/system/sshd.service");
        // The link of `Alias=` counts as enabled.
        check(ssh, "ssh", "enabled /usr/lib/systemd/system/ssh.service");
        // Another name that [Install] does not know: in use, but not enabled.
        check(
            &format!("{NGINX}/etc/systemd/system/www.service -> /lib/systemd/system/nginx.service"),
            "nginx",
            "indirect /usr/lib/systemd/system/nginx.service",
        );
    }

    #[test]
    fn an_instance_has_the_file_of_its_template() {
        let getty = "/usr/lib/systemd/system/getty@.service < [Install]\\nWantedBy=getty.target\\nDefaultInstance=tty1\n";
        check(getty, "getty@tty2", "disabled /usr/lib/systemd/system/getty@.service");
        let enabled = format!(
            "{getty}/etc/systemd/system/getty.target.wants/getty@tty1.service -> /lib/systemd/system/getty@.service"
        );
        check(&enabled, "getty@tty1", "enabled /usr/lib/systemd/system/getty@.service");
        check(&enabled, "getty@tty2", "disabled /usr/lib/systemd/system/getty@.service");
        check(&enabled, "getty@.service", "enabled /usr/lib/systemd/system/getty@.service");
    }

    #[test]
    fn what_cannot_be_enabled_says_so() {
        check("/usr/lib/systemd/system/a.service", "a", "static /usr/lib/systemd/system/a.service");
        check(
            "/usr/lib/systemd/system/a.service < [Install]\\nAlso=a.socket",
            "a",
            "indirect /usr/lib/systemd/system/a.service",
        );
        check(
            "/run/systemd/generator.late/old.service",
            "old",
            "generated /run/systemd/generator.late/old.service",
        );
        check(
            "/run/systemd/transient/run-1.service",
            "run-1",
            "transient /run/systemd/transient/run-1.service",
        );
        check("", "nothing", "not found");
        check(
            "/opt/app/app.service < [Service]
             /etc/systemd/system/app.service -> /opt/app/app.service",
            "app",
            "linked /etc/systemd/system/app.service",
        );
    }

    #[test]
    fn a_service_of_an_init_script_is_enabled_by_links_of_runlevels() {
        let script = "/run/systemd/generator.late/old.service
                      /etc/init.d/old < #!/bin/sh";
        let executable = |entries: &str, expected: &str| {
            let root = root(entries);
            let script = root.path().join("etc/init.d/old");
            let all = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs::set_permissions(script, all).unwrap();
            let unit = UnitName::parse("old").unwrap();
            let found = Folders::read(root.path()).unwrap().find(&unit).unwrap();
            assert_eq!(found.enablement.to_string(), expected, "{entries}");
        };
        executable(script, "disabled");
        executable(&format!("{script}\n/etc/rc3.d/S01old -> ../init.d/old"), "enabled");
        executable(&format!("{script}\n/etc/rc3.d/K01old -> ../init.d/old"), "disabled");
        // systemd has not made a unit of it yet.
        executable("/etc/init.d/old < #!/bin/sh", "disabled");
        // A unit file is read in its place.
        executable(
            &format!(
                "{script}\n/usr/lib/systemd/system/old.service\n/etc/rc3.d/S01old -> ../init.d/old"
            ),
            "static",
        );
    }

    #[test]
    fn drop_ins_can_say_what_enables_a_unit() {
        check(
            "/usr/lib/systemd/system/a.service
             /etc/systemd/system/a.service.d/install.conf < [Install]\\nWantedBy=multi-user.target",
            "a",
            "disabled /usr/lib/systemd/system/a.service",
        );
    }

    #[test]
    fn the_first_folder_of_the_search_path_wins() {
        check(
            &format!("{NGINX}/etc/systemd/system/nginx.service < [Service]"),
            "nginx",
            "static /etc/systemd/system/nginx.service",
        );
    }
}
