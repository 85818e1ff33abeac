//! Which unit a socket belongs to.

use super::Socket;
use crate::services::cgroup::{self, Group};
use std::collections::HashSet;
use std::fs;
use std::path::Path;

/// Whose a socket is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Of one of the units that were named.
    Own,
    /// Of systemd itself, which listens for socket units.
    Systemd,
    /// Of somebody else: the unit, and the processes in it, as far as that can be told.
    Other(String),
    /// It cannot be told.
    Unknown,
}

/// Whether a socket belongs to one of some control groups, or to whom. By the number of the group that it was made
/// in; else by the descriptors of processes, as far as we may look at them.
pub fn owner(socket: &Socket, control_groups: &[&str]) -> Owner {
    let own: Vec<Group> = control_groups.iter().flat_map(|it| cgroup::groups(it)).collect();
    if let Some(id) = socket.group.filter(|_| cgroup::top().is_some()) {
        if own.iter().any(|it| it.id == Some(id)) {
            return Owner::Own;
        }
        // The top is where a kernel puts what it knows no group of.
        if let Some(found) = group_of(id).filter(|it| !it.name.is_empty()) {
            return match found.group.processes().contains(&1) {
                true => Owner::Systemd,
                false => Owner::Other(found.words()),
            };
        }
    }
    let of_own: HashSet<u32> = own.iter().flat_map(Group::processes).collect();
    let (holders, is_all) = holders(socket.inode);
    if holders.iter().any(|it| of_own.contains(it)) {
        return Owner::Own;
    }
    match holders.first() {
        Some(1) => Owner::Systemd,
        Some(process) => Owner::Other(process_words(*process)),
        None if is_all => Owner::Other("the kernel, or a process elsewhere".to_owned()),
        None => Owner::Unknown,
    }
}

struct Found {
    name: String,
    group: Group,
}

impl Found {
    /// `nginx.service (nginx, process 312)`.
    fn words(&self) -> String {
        let process = self.group.processes().first().copied();
        match process {
            Some(process) => {
                format!("{} ({}, process {process})", self.name, cgroup::name_of(process))
            }
            None => self.name.clone(),
        }
    }
}

/// The group of this number, and the unit that it belongs to.
fn group_of(id: u64) -> Option<Found> {
    let top = cgroup::top()?;
    let group = cgroup::within(top.clone(), true).into_iter().find(|it| it.id == Some(id))?;
    let name = unit_in(group.path.strip_prefix(&top).ok()?);
    Some(Found { name, group })
}

/// The innermost part of a path of groups that is a unit with processes.
fn unit_in(path: &Path) -> String {
    let is_unit = |it: &&str| {
        [".service", ".scope", ".socket", ".mount", ".swap"].iter().any(|end| it.ends_with(end))
    };
    let parts: Vec<&str> = path.iter().filter_map(|it| it.to_str()).collect();
    let unit = parts.iter().rev().find(|it| is_unit(it)).or(parts.last());
    crate::text::safe_start(unit.copied().unwrap_or_default(), 255)
}

fn process_words(process: u32) -> String {
    let path = fs::read_to_string(format!("/proc/{process}/cgroup")).unwrap_or_default();
    let path = path.lines().filter_map(|it| {
        let mut parts = it.splitn(3, ':').skip(1);
        let (kind, path) = (parts.next()?, parts.next()?);
        ["", "name=systemd"].contains(&kind).then_some(path)
    });
    let mut unit = path.map(|it| unit_in(Path::new(it.trim_start_matches('/'))));
    let unit = unit.rfind(|it| !it.is_empty());
    let name = cgroup::name_of(process);
    match unit {
        Some(unit) => format!("{unit} ({name}, process {process})"),
        None => format!("{name} (process {process})"),
    }
}

/// The processes that hold a socket, and whether all could be looked at.
fn holders(inode: u32) -> (Vec<u32>, bool) {
    let wanted = format!("socket:[{inode}]");
    let (mut found, mut is_all) = (vec![], true);
    let Ok(entries) = fs::read_dir("/proc") else { return (found, false) };
    let processes = entries.flatten().filter_map(|it| it.file_name().to_str()?.parse().ok());
    for process in processes {
        match fs::read_dir(format!("/proc/{process}/fd")) {
            Ok(descriptors) => {
                let leads = |it: fs::DirEntry| fs::read_link(it.path()).ok();
                let mut targets = descriptors.flatten().filter_map(leads);
                if targets.any(|it| it.as_os_str() == wanted.as_str()) {
                    found.push(process);
                }
            }
            Err(err) => is_all &= err.kind() == std::io::ErrorKind::NotFound,
        }
    }
    found.sort_unstable();
    (found, is_all)
}
