//! What is mounted where: a bind mount shows one directory, or one file, under a second name.
//!
//! The kernel says of each mount which part of which file system it shows (proc(5), `mountinfo`). Two paths are
//! two names of one place where both lead to the same path of the same file system.

use crate::AbsPath;
use crate::text::of_bytes;
use std::collections::{BTreeMap, BTreeSet};

/// All mounts of this machine, as this program sees them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mounts {
    all: Vec<Mount>,
    /// How often each file system is mounted.
    devices: BTreeMap<Box<str>, usize>,
    /// The last parts of the paths where something is mounted, and of what is mounted there.
    ends: BTreeSet<Box<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Mount {
    id: u64,
    /// The mount that its mount point is on.
    parent: u64,
    device: Box<str>,
    /// What of its file system it shows.
    root: AbsPath,
    /// Where it is mounted.
    at: AbsPath,
}

impl Mounts {
    /// The lines of /proc/self/mountinfo. A line that is not understood is of no mount that anything is known of.
    pub fn parse(text: &[u8]) -> Mounts {
        Mounts::new(text.split(|it| *it == b'\n').filter_map(Mount::parse).collect())
    }

    /// Whether something is mounted there, or anywhere below.
    pub fn has_any_below(&self, path: &AbsPath) -> bool {
        let below = format!("{}/", path.as_str().trim_end_matches('/'));
        self.all.iter().any(|it| it.at == *path || it.at.as_str().starts_with(&below))
    }

    fn new(all: Vec<Mount>) -> Mounts {
        let mut devices = BTreeMap::new();
        let mut ends = BTreeSet::new();
        for it in &all {
            *devices.entry(it.device.clone()).or_default() += 1;
            ends.extend([&it.at, &it.root].map(|it| it.file_name().into()));
        }
        Mounts { all, devices, ends }
    }

    /// For machines in memory: one file system, and what of it is seen a second time, by where that is seen.
    pub fn of_binds(binds: &BTreeMap<AbsPath, AbsPath>) -> Mounts {
        let mount = |id: usize, root: AbsPath, at: AbsPath| Mount {
            id: id as u64,
            parent: 0,
            device: "0:1".into(),
            root,
            at,
        };
        let Ok(root) = AbsPath::parse_found("/") else { return Mounts::default() };
        let mut all = vec![Mount { parent: u64::MAX, ..mount(0, root.clone(), root) }];
        let binds = binds.iter().enumerate();
        all.extend(binds.map(|(at, (seen, shows))| mount(at + 1, shows.clone(), seen.clone())));
        Mounts::new(all)
    }

    /// Whether nothing has a second name.
    pub fn is_plain(&self) -> bool {
        self.devices.values().all(|count| *count < 2)
    }

    /// Whether what is in a directory with this name may have other names than those that its directory gives it:
    /// it is mounted somewhere by itself.
    pub fn may_be_one(&self, name: &str) -> bool {
        self.ends.contains(name)
    }

    /// Whether a directory, or something that is directly in it, has a second name.
    pub fn shows_twice(&self, folder: &AbsPath) -> bool {
        let place = self.place(folder);
        let is_in_it = |it: &Mount| {
            let shown = place.as_ref().filter(|(device, _)| *device == &*it.device);
            it.at.parent().as_ref() == Some(folder)
                || shown.is_some_and(|(_, place)| it.root.parent().as_ref() == Some(place))
        };
        !self.other_names(folder).is_empty()
            || self.all.iter().any(|it| self.devices[&it.device] > 1 && is_in_it(it))
    }

    /// The other names of what is at a path in which no link is left.
    pub fn other_names(&self, path: &AbsPath) -> Vec<AbsPath> {
        if self.is_plain() {
            return vec![];
        }
        let Some((device, place)) = self.place(path) else { return vec![] };
        if self.devices.get(device).is_none_or(|count| *count < 2) {
            return vec![];
        }
        let names = self.all.iter().filter(|it| &*it.device == device);
        let mut names: Vec<AbsPath> = names
            .filter_map(|it| moved(&place, &it.root, &it.at))
            // Something else may be mounted over it.
            .filter(|it| it != path && self.place(it) == Some((device, place.clone())))
            .collect();
        names.sort();
        names.dedup();
        names
    }

    /// Which file system a path is on, and by which path there.
    fn place(&self, path: &AbsPath) -> Option<(&str, AbsPath)> {
        let mount = self.mount_of(path)?;
        Some((&mount.device, moved(path, &mount.at, &mount.root)?))
    }

    /// The mount that a path ends on: from the root on, whatever is mounted first on the way.
    fn mount_of(&self, path: &AbsPath) -> Option<&Mount> {
        let ids = |id: u64| self.all.iter().any(|it| it.id == id && it.parent != id);
        let is_root = |it: &&Mount| it.at.as_str() == "/" && !ids(it.parent);
        let mut mount = self.all.iter().find(is_root)?;
        // As many steps as there are mounts, whatever the kernel's file says.
        for _ in &self.all {
            let on_it = self.all.iter().filter(|it| it.parent == mount.id && it.id != mount.id);
            let on_the_way = on_it.filter(|it| path.is_within(&it.at));
            match on_the_way.min_by_key(|it| it.at.as_str().len()) {
                Some(next) => mount = next,
                None => break,
            }
        }
        Some(mount)
    }
}

impl Mount {
    fn parse(line: &[u8]) -> Option<Mount> {
        let mut fields = line.split(|it| *it == b' ');
        let mut text = || Some(of_bytes(&unescaped(fields.next()?)).into_owned());
        let (id, parent) = (text()?.parse().ok()?, text()?.parse().ok()?);
        let device = text()?.into();
        let root = AbsPath::parse_found(&text()?).ok()?;
        let at = AbsPath::parse_found(&text()?).ok()?;
        Some(Mount { id, parent, device, root, at })
    }
}

/// A path in one directory as it is in another.
fn moved(path: &AbsPath, from: &AbsPath, to: &AbsPath) -> Option<AbsPath> {
    if !path.is_within(from) {
        return None;
    }
    let below = path.as_str()[from.as_str().trim_end_matches('/').len()..].trim_start_matches('/');
    Some(if below.is_empty() { to.clone() } else { to.found(below) })
}

/// `\040` stands for a blank.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| *first == b'\\');
        let code = digits.and_then(|it| u8::from_str_radix(std::str::from_utf8(it).ok()?, 8).ok());
        match code {
            Some(code) => {
                bytes.push(code);
                rest = &after[3..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "\
21 28 0:19 / /sys rw,nosuid shared:7 - sysfs sysfs rw
28 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
60 28 8:2 / /data rw,relatime shared:30 - ext4 /dev/sda2 rw
";

    fn names(more: &str, path: &str) -> Vec<String> {
        let mounts = Mounts::parse(format!("{PLAIN}{more}").as_bytes());
        let names = mounts.other_names(&AbsPath::parse_found(path).unwrap());
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn without_a_bind_mount_nothing_has_two_names() {
        assert!(Mounts::parse(PLAIN.as_bytes()).is_plain());
        assert_eq!(names("", "/data/home"), [""; 0]);
        assert_eq!(names("no line of it\n1 2\n", "/data/home"), [""; 0]);
        assert_eq!(Mounts::parse(b"").other_names(&AbsPath::parse("/srv").unwrap()), []);
    }

    #[test]
    fn what_a_bind_mount_shows_has_the_other_name_on_either_side() {
        let bind = "61 28 8:2 /home /home rw,relatime shared:30 - ext4 /dev/sda2 rw\n";
        assert_eq!(names(bind, "/data/home"), ["/home"]);
        assert_eq!(names(bind, "/home/ann/.ssh"), ["/data/home/ann/.ssh"]);
        assert_eq!(names(bind, "/data/homes"), [""; 0]);
        assert_eq!(names(bind, "/data"), [""; 0]);
        // What it hides has no name any more.
        assert_eq!(names(bind, "/srv"), [""; 0]);
    }

    #[test]
    fn a_directory_is_known_to_hold_what_is_seen_twice() {
        let binds = "61 28 8:2 /home /home rw - ext4 /dev/sda2 rw\n\
                     62 28 8:2 /x/f /etc/f rw - ext4 /dev/sda2 rw\n";
        let mounts = Mounts::parse(format!("{PLAIN}{binds}").as_bytes());
        let twice = |path: &str| mounts.shows_twice(&AbsPath::parse_found(path).unwrap());
        for path in ["/home", "/home/ann", "/data/home", "/data", "/data/x", "/etc", "/"] {
            assert!(twice(path), "{path}");
        }
        for path in ["/srv", "/usr", "/data/y", "/x"] {
            assert!(!twice(path), "{path}");
        }
        assert!(mounts.may_be_one("f") && !mounts.may_be_one("g"));
    }

    #[test]
    fn a_single_file_and_a_name_with_a_blank_are_seen_too() {
        let bind = "61 28 8:2 /a\\040b/f /etc/resolv.conf rw - ext4 /dev/sda2 rw\n";
        assert_eq!(names(bind, "/etc/resolv.conf"), ["/data/a b/f"]);
        assert_eq!(names(bind, "/data/a b/f"), ["/etc/resolv.conf"]);
    }

    #[test]
    fn what_is_mounted_over_it_is_no_name_of_it() {
        // /home shows what lies below the mount on /data: no other path leads there.
        let hidden = "61 28 8:1 /data/home /home rw - ext4 /dev/sda1 rw\n";
        assert_eq!(names(hidden, "/home"), [""; 0]);
        assert_eq!(names(hidden, "/data/home"), [""; 0]);
        // Mounted twice on one another, the last one counts.
        let twice = "61 28 8:2 /home /home rw - ext4 /dev/sda2 rw\n\
                     62 61 8:2 /other /home rw - ext4 /dev/sda2 rw\n";
        assert_eq!(names(twice, "/data/home"), [""; 0]);
        assert_eq!(names(twice, "/home"), ["/data/other"]);
    }

    #[test]
    fn a_directory_that_is_mounted_onto_itself_has_one_name() {
        let itself = "61 28 8:1 /usr /usr ro - ext4 /dev/sda1 rw\n";
        assert_eq!(names(itself, "/usr/lib"), [""; 0]);
        let all = "63 28 8:1 / /mnt/all rw - ext4 /dev/sda1 rw\n";
        assert_eq!(names(&format!("{itself}{all}"), "/usr/lib"), ["/mnt/all/usr/lib"]);
        assert_eq!(names(&format!("{itself}{all}"), "/mnt/all/usr"), ["/usr"]);
    }
}
