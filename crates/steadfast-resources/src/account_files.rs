//! The files that hold all accounts, as far as they forbid a change: the shadow tools refuse a name that several
//! lines have, and cannot replace a file that has the immutable flag. So no forecast says that they do.

use crate::kind::{Difference, Refusal};
use crate::made::Made;
use crate::paths;
use std::sync::Arc;
use steadfast_system::AbsPath;
use steadfast_system::files::{self, Bar, Wanted};
use steadfast_system::text::safe;

/// The files, and those in which the tools keep what these were before.
const NAMES: [&str; 6] = ["passwd", "shadow", "group", "gshadow", "subuid", "subgid"];

/// The files that a change of a user's own line needs.
pub(crate) const OF_USERS: &[&str] = &["passwd", "shadow"];
/// Those that a change of a list of members needs.
pub(crate) const OF_MEMBERS: &[&str] = &["group", "gshadow"];
/// What groupmod needs: it follows a number into the lines of users.
pub(crate) const OF_GIDS: &[&str] = &["group", "passwd"];
/// What usermod needs to write lists of members.
pub(crate) const OF_USERS_AND_MEMBERS: &[&str] = &["passwd", "shadow", "group", "gshadow"];
pub(crate) const ALL: &[&str] = &NAMES;

fn paths() -> impl Iterator<Item = (&'static str, AbsPath)> {
    let all =
        NAMES.iter().flat_map(|it| [(*it, format!("/etc/{it}")), (*it, format!("/etc/{it}-"))]);
    all.filter_map(|(name, path)| Some((name, AbsPath::parse(&path).ok()?)))
}

/// What every promise about an account has a part in.
pub(crate) fn shared() -> impl Iterator<Item = Made> {
    paths().map(|(_, path)| Made::Shared(path))
}

/// A file that nobody can replace, or of which the former content cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Barred {
    file: &'static str,
    bar: Bar,
    why: String,
}

/// Those that are so now.
pub(crate) fn barred(sys: &dyn files::Read) -> Arc<[Barred]> {
    let all: Vec<(&'static str, AbsPath)> = paths().collect();
    let asked: Vec<(&AbsPath, Wanted)> = all.iter().map(|(_, it)| (it, Wanted::Nothing)).collect();
    let looks = sys.look(&asked).into_iter();
    let found = all.iter().zip(looks).filter_map(|((file, path), look)| {
        // What cannot be looked at is told by those that read it.
        let look = look.ok()?;
        let of_folder = look.folder.and_then(|it| it.bar).map(|bar| (bar, "/etc".to_owned()));
        let of_file = look.entry.and_then(|it| it.marks.bar).map(|bar| (bar, path.to_string()));
        let (bar, what) = of_file.or(of_folder)?;
        Some(Barred { file, bar, why: format!("{what} {}", bar.words()) })
    });
    found.collect()
}

/// What the account files say against changes of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forbids {
    /// The file in which it stands more than once.
    pub repeated: Option<&'static str>,
    pub barred: Arc<[Barred]>,
}

impl Forbids {
    /// Has nothing done that no tool can do. `needs` says which files a change needs.
    pub(crate) fn judge<C>(
        &self,
        mut found: Difference<C>,
        what: &str,
        name: &str,
        needs: impl Fn(&C) -> &'static [&'static str],
    ) -> Difference<C> {
        let needed: Vec<&str> = found.changes.iter().flat_map(needs).copied().collect();
        if let Some(it) = self.barred.iter().find(|it| needed.contains(&it.file)) {
            return Difference::refused(paths::refusal(it.bar, false, it.why.clone()));
        }
        let Some(file) = self.repeated else { return found };
        if !found.changes.is_empty() {
            return Difference::refused(stands_twice(what, name, file));
        }
        found
            .notes
            .push(format!("it stands in {file} more than once; the first of these lines counts"));
        found
    }
}

/// Why nothing is changed about an account that several lines of a file are about.
pub(crate) fn stands_twice(what: &str, name: &str, file: &str) -> Refusal {
    let name = safe(name);
    Refusal::machine(format!(
        "{what} {name} stands in {file} more than once, and no tool changes one of these lines: take out all but one"
    ))
}
