//! Control groups, as far as they say which processes a unit has.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Where the hierarchy lies that systemd keeps units in: alone, beside those of version 1, and of version 1.
const HIERARCHIES: [&str; 3] =
    ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"];
/// So deep are groups looked into: a unit may make groups of its own.
const DEPTH: usize = 16;

/// A group with all that are in it.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) path: PathBuf,
    /// The number that the kernel tells sockets by; only of version 2.
    pub(crate) id: Option<u64>,
}

/// The hierarchies that are there, those that know numbers first.
fn hierarchies() -> impl Iterator<Item = (PathBuf, bool)> {
    let all = HIERARCHIES.iter().map(Path::new);
    all.filter(|it| it.join("cgroup.procs").exists())
        .map(|it| (it.to_owned(), it.join("cgroup.controllers").exists()))
}

/// The top of the hierarchy of version 2; none where there is none.
pub(crate) fn top() -> Option<PathBuf> {
    hierarchies().find(|(_, is_second)| *is_second).map(|(path, _)| path)
}

/// A unit's control group and all groups in it, where it is there.
pub(crate) fn groups(control_group: &str) -> Vec<Group> {
    let below = control_group.trim_start_matches('/');
    if below.is_empty() || below.split('/').any(|it| it == "..") {
        return vec![];
    }
    for (top, is_second) in hierarchies() {
        let path = top.join(below);
        if path.join("cgroup.procs").exists() {
            return within(path, is_second);
        }
    }
    vec![]
}

/// A group and all in it.
pub(crate) fn within(top: PathBuf, is_second: bool) -> Vec<Group> {
    let mut found = vec![];
    let mut open = vec![(top, 0)];
    while let Some((path, depth)) = open.pop() {
        let Ok(about) = fs::metadata(&path) else { continue };
        if depth < DEPTH
            && let Ok(entries) = fs::read_dir(&path)
        {
            let folders = entries.flatten().filter(|it| it.file_type().is_ok_and(|it| it.is_dir()));
            open.extend(folders.map(|it| (it.path(), depth + 1)));
        }
        found.push(Group { path, id: is_second.then_some(about.ino()) });
    }
    found
}

impl Group {
    /// The processes in it, without those of groups in it.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let text = fs::read_to_string(self.path.join("cgroup.procs")).unwrap_or_default();
        text.lines().filter_map(|it| it.parse().ok()).filter(|it| *it > 0).collect()
    }
}

/// What a process calls itself.
pub(crate) fn name_of(process: u32) -> String {
    let name = fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
    crate::text::safe_start(name.trim_end(), 40)
}
