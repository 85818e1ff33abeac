//! Changes at paths, and the line that each is told by.

use super::content::Bytes;
use super::entry::seen;
use super::numbers::{bytes, thousands};
use super::owners::{self, Ids, Owners, named};
use super::within::and_below;
use std::fmt;
use std::sync::Arc;
use steadfast_system::AbsPath;
use steadfast_system::files::{Attributes, Entry, Expected, Mode, NewFile, Shape};
use steadfast_system::text::safe;

/// How many changes of one sort have a line each.
const LINES: usize = 20;

/// A change at a path, or several of one sort below it.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    MakeDirectories(Vec<NewDirectory>),
    MakeLink(NewLink),
    Write(Vec<Writing>),
    SetAttributes(Vec<Setting>),
    Remove(Vec<Removal>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct NewDirectory {
    pub path: AbsPath,
    /// Below the promised directory, where it is not that itself.
    pub below: Option<Arc<str>>,
    pub uid: u32,
    pub gid: u32,
    pub mode: Mode,
    /// The names that were promised, which the ids may stand for.
    pub names: Owners,
    pub replaces: Expected,
}

#[derive(Clone, Debug, PartialEq)]
pub struct NewLink {
    pub path: AbsPath,
    pub target: Arc<str>,
    pub uid: u32,
    pub gid: u32,
    pub names: Owners,
    pub replaces: Expected,
    /// How many things go with the directory that it replaces.
    pub with: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Writing {
    pub file: NewFile,
    /// How many things go with the directory that it replaces.
    pub with: u64,
    pub names: Owners,
    pub below: Option<Arc<str>>,
    /// The regular file that it replaces.
    pub was: Option<Was>,
    /// What that holds, where the difference may be shown.
    pub present: Option<Bytes>,
    pub sensitive: bool,
    /// Whether others than root can write there.
    pub open: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Was {
    /// None where nothing may be told of it.
    pub size: Option<u64>,
    pub uid: u32,
    pub gid: u32,
    pub mode: Mode,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    pub path: AbsPath,
    pub below: Option<Arc<str>>,
    pub seen: Expected,
    pub from: Attributes,
    /// All that is said anew; what equals `from` is set again because the kernel drops it on the way.
    pub to: Attributes,
    /// The names that `to` stands for.
    pub names: Owners,
    /// It has an access list that lets in others than its mode says, which goes.
    pub list: bool,
    /// Its file capabilities go with its owner.
    pub capabilities: bool,
}

impl Setting {
    /// What it takes to give an entry these owners and this mode, if anything.
    pub fn between(
        path: &AbsPath,
        below: Option<&Arc<str>>,
        entry: &Entry,
        ids: Ids,
        mode: Option<Mode>,
        promised_mode: bool,
        names: &Owners,
    ) -> Option<Setting> {
        if !Setting::is_needed(entry, ids, mode, promised_mode) {
            return None;
        }
        let uid = ids.owner.id().filter(|it| *it != entry.uid);
        let gid = ids.group.id().filter(|it| *it != entry.gid);
        let other = mode.filter(|it| *it != entry.mode);
        let list = promised_mode && entry.marks.access_list;
        let is_link = matches!(entry.shape, Shape::Link { .. });
        // chown takes setuid and setgid away, so the mode is said again.
        let dropped = (uid.is_some() || gid.is_some()) && entry.mode.0 & 0o6000 != 0 && !is_link;
        let mode = other.or_else(|| (dropped || list).then_some(entry.mode));
        Some(Setting {
            path: path.clone(),
            below: below.map(Arc::clone),
            seen: match &entry.shape {
                // Only what it is, not what it says.
                Shape::File { .. } => Expected::AnyFile,
                Shape::Directory
                | Shape::Link { .. }
                | Shape::Socket
                | Shape::Fifo
                | Shape::Device => seen(entry),
            },
            from: Attributes { uid: Some(entry.uid), gid: Some(entry.gid), mode: Some(entry.mode) },
            to: Attributes { uid, gid, mode },
            names: names.clone(),
            list,
            capabilities: entry.marks.capabilities && (uid.is_some() || gid.is_some()),
        })
    }

    /// Whether it takes anything.
    pub fn is_needed(entry: &Entry, ids: Ids, mode: Option<Mode>, promised_mode: bool) -> bool {
        ids.owner.id().is_some_and(|it| it != entry.uid)
            || ids.group.id().is_some_and(|it| it != entry.gid)
            || mode.is_some_and(|it| it != entry.mode)
            || promised_mode && entry.marks.access_list
    }

    fn sets_mode(&self) -> bool {
        self.to.mode.is_some() && self.to.mode != self.from.mode
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Removal {
    pub path: AbsPath,
    pub below: Option<Arc<str>>,
    pub seen: Expected,
    /// A directory with all below it.
    pub whole: bool,
    pub keep: bool,
    /// How many things go, itself counted.
    pub count: u64,
}

/// One change for each of a few, one for all of many.
pub fn grouped<T>(items: Vec<T>, change: fn(Vec<T>) -> Change) -> Vec<Change> {
    if items.is_empty() {
        vec![]
    } else if items.len() <= LINES {
        items.into_iter().map(|it| change(vec![it])).collect()
    } else {
        vec![change(items)]
    }
}

/// How many things a change removes: also what gives way to something of another shape.
pub fn deletes(change: &Change) -> u64 {
    let gives_way =
        |seen: &Expected| u64::from(matches!(seen, Expected::Directory | Expected::Other));
    match change {
        Change::Remove(all) => all.iter().map(|it| it.count).sum(),
        Change::MakeDirectories(all) => {
            all.iter().map(|it| u64::from(it.replaces != Expected::Nothing)).sum()
        }
        Change::MakeLink(it) => match it.replaces {
            Expected::File { .. } | Expected::AnyFile => 1,
            Expected::Nothing | Expected::Directory | Expected::Link { .. } | Expected::Other => {
                gives_way(&it.replaces) + it.with
            }
        },
        Change::Write(all) => all.iter().map(|it| gives_way(&it.file.replaces) + it.with).sum(),
        Change::SetAttributes(_) => 0,
    }
}

/// `css/site.css: ` in front of what happens below the promised directory.
fn place(f: &mut fmt::Formatter<'_>, below: Option<&Arc<str>>) -> fmt::Result {
    below.map_or(Ok(()), |it| write!(f, "{}: ", safe(it)))
}

fn in_place_of(seen: &Expected) -> &'static str {
    match seen {
        Expected::Nothing => "",
        Expected::File { .. } | Expected::AnyFile => ", replacing a file",
        Expected::Directory => ", replacing a directory",
        Expected::Link { .. } => ", replacing a symbolic link",
        Expected::Other => ", replacing a socket, fifo or device",
    }
}

/// `deploy:www-data`, and nothing where it is root's, as new things are unless something else is said.
/// Where a name is promised it is that: the machine may not know it yet.
fn whose(uid: u32, gid: u32, names: &Owners) -> Option<String> {
    let owner = named(names.owner_name(), uid);
    let group = named(names.group_name(), gid);
    ((&*owner, &*group) != ("root", "root")).then(|| format!("{owner}:{group}"))
}

/// `mode 0644 -> 0600, owner root -> deploy`
pub fn attributes(from: &Attributes, to: &Attributes, names: &Owners) -> String {
    let shown = owners::attributes(from, to, names).into_iter().map(|it| {
        let value = Option::unwrap_or_default;
        format!("{} {} -> {}", it.facet, value(it.before), value(it.after))
    });
    shown.collect::<Vec<_>>().join(", ")
}

impl fmt::Display for NewDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        place(f, self.below.as_ref())?;
        let whose = whose(self.uid, self.gid, &self.names).map_or(String::new(), |it| it + ", ");
        write!(f, "make directory ({whose}mode {}){}", self.mode, in_place_of(&self.replaces))
    }
}

impl fmt::Display for Writing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        place(f, self.below.as_ref())?;
        if self.sensitive {
            f.write_str("write sensitive content")?;
        } else {
            write!(f, "write {}", bytes(self.file.content.len() as u64))?;
        }
        let Some(was) = self.was else {
            let whose = whose(self.file.uid, self.file.gid, &self.names);
            return match (&self.file.replaces, whose) {
                (Expected::Nothing, None) => write!(f, " (new, mode {})", self.file.mode),
                (Expected::Nothing, Some(it)) => write!(f, " (new, {it}, mode {})", self.file.mode),
                (replaces, whose) => {
                    write!(f, "{}{}", in_place_of(replaces), and_below(self.with))?;
                    whose.map_or(Ok(()), |it| write!(f, " ({it})"))
                }
            };
        };
        if let Some(size) = was.size.filter(|_| !self.sensitive) {
            write!(f, " (was {})", thousands(size))?;
        }
        let from = Attributes { uid: Some(was.uid), gid: Some(was.gid), mode: Some(was.mode) };
        let file = &self.file;
        let to = Attributes { uid: Some(file.uid), gid: Some(file.gid), mode: Some(file.mode) };
        match attributes(&from, &to, &self.names) {
            same if same.is_empty() => Ok(()),
            other => write!(f, ", {other}"),
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        place(f, self.below.as_ref())?;
        let list = "remove its access list, which lets in others than the mode says";
        let set = match attributes(&self.from, &self.to, &self.names) {
            same if same.is_empty() => String::new(),
            other => format!("set {other}"),
        };
        match (set.is_empty(), self.list) {
            (false, true) => write!(f, "{set}, {list}")?,
            (true, _) => f.write_str(list)?,
            (false, false) => f.write_str(&set)?,
        }
        let lost = ", which takes its file capabilities away";
        if self.capabilities { f.write_str(lost) } else { Ok(()) }
    }
}

impl fmt::Display for Removal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        place(f, self.below.as_ref())?;
        let what = match self.seen {
            Expected::Nothing => "nothing",
            Expected::File { .. } | Expected::AnyFile => "file",
            Expected::Directory => "directory",
            Expected::Link { .. } => "symbolic link",
            Expected::Other => "socket, fifo or device",
        };
        write!(f, "remove {what}{}", and_below(self.count.saturating_sub(1)))
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let many = |all: usize| thousands(all as u64);
        match self {
            Change::MakeLink(link) => {
                write!(f, "link to {}{}", safe(&link.target), in_place_of(&link.replaces))?;
                f.write_str(&and_below(link.with))?;
                match whose(link.uid, link.gid, &link.names) {
                    Some(it) => write!(f, " ({it})"),
                    None => Ok(()),
                }
            }
            Change::MakeDirectories(all) => match &**all {
                [one] => one.fmt(f),
                all => write!(f, "make {} directories", many(all.len())),
            },
            Change::Write(all) => match &**all {
                [one] => one.fmt(f),
                all => write!(f, "write {} files", many(all.len())),
            },
            Change::SetAttributes(all) => match &**all {
                [one] => one.fmt(f),
                all => {
                    let mut what = vec![];
                    if all.iter().any(|it| it.to.uid.is_some()) {
                        what.push("owner");
                    }
                    if all.iter().any(|it| it.to.gid.is_some()) {
                        what.push("group");
                    }
                    if all.iter().any(Setting::sets_mode) {
                        what.push("mode");
                    }
                    if all.iter().any(|it| it.list) {
                        what.push("access list");
                    }
                    write!(f, "set {} of {} entries", what.join(", "), many(all.len()))?;
                    match all.iter().filter(|it| it.capabilities).count() {
                        0 => Ok(()),
                        lost => {
                            write!(f, ", which takes file capabilities away from {}", many(lost))
                        }
                    }
                }
            },
            Change::Remove(all) => match &**all {
                [one] => one.fmt(f),
                all => write!(f, "remove {} entries", many(all.len())),
            },
        }
    }
}
