//! The directories of unit files, read once for a batch of units: which names they have, and the links in them.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Where systemd looks for unit files, in its order (systemd.unit(5)).
pub(super) const SEARCH: [&str; 13] = [
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    CONFIG,
    "/etc/systemd/system.attached",
    "/run/systemd/system",
    "/run/systemd/system.attached",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/generator.late",
];
pub(super) const CONFIG: &str = super::FOLDER;

/// The directories of [`SEARCH`] as they were at one moment.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) root: PathBuf,
    names: Vec<Names>,
    pub(super) links: Vec<Link>,
}

/// The names in one directory.
#[derive(Debug)]
enum Names {
    These(HashSet<String>),
    /// Packages put hundreds there: it is cheaper to look for each that is asked for.
    NotRead,
}

/// A symbolic link in a directory of the search path, or in a `.wants` or `.requires` directory there.
#[derive(Debug)]
pub(super) struct Link {
    /// Which directory of [`SEARCH`].
    pub(super) folder: usize,
    /// Directly in that directory.
    pub(super) top: bool,
    pub(super) name: String,
    /// The last part of what it points to.
    pub(super) to: String,
}

impl Listed {
    /// Reads the directories below `root`.
    pub(super) fn read(root: &Path) -> io::Result<Listed> {
        let mut listed = Listed { root: root.to_owned(), names: vec![], links: vec![] };
        let mut seen = HashSet::new();
        for (folder, path) in SEARCH.iter().enumerate() {
            let path = below(root, path);
            // Elsewhere a link enables nothing.
            let names = if SEARCH[folder] == CONFIG || SEARCH[folder].starts_with("/run/") {
                Names::These(listed.read_folder(&path, folder)?)
            } else {
                match absent_is_none(fs::metadata(&path))? {
                    // What one directory has under two names is found under the first: /lib is mostly /usr/lib.
                    Some(found) if seen.insert((found.dev(), found.ino())) => Names::NotRead,
                    Some(_) | None => Names::These(HashSet::new()),
                }
            };
            listed.names.push(names);
        }
        Ok(listed)
    }

    /// The paths that something of this name may have, each with the directory that it lies in: those that are
    /// known not to be there are left out.
    pub(super) fn places<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (usize, PathBuf)> {
        let may_have = |names: &Names| match names {
            Names::These(names) => names.contains(name),
            Names::NotRead => true,
        };
        (self.names.iter().zip(SEARCH).enumerate())
            .filter(move |(_, (names, _))| may_have(names))
            .map(move |(folder, (_, path))| (folder, below(&self.root, path).join(name)))
    }

    /// The names in one directory. Adds the links in it and in the `.wants` and `.requires` directories there.
    fn read_folder(&mut self, path: &Path, folder: usize) -> io::Result<HashSet<String>> {
        let mut names = HashSet::new();
        for subfolder in self.read_links(path, folder, true, &mut names)? {
            self.read_links(&path.join(subfolder), folder, false, &mut HashSet::new())?;
        }
        Ok(names)
    }

    /// Adds the links of one directory, and gives the names of the `.wants` and `.requires` directories in it.
    fn read_links(
        &mut self,
        path: &Path,
        folder: usize,
        top: bool,
        names: &mut HashSet<String>,
    ) -> io::Result<Vec<String>> {
        let mut subfolders = vec![];
        let Some(entries) = absent_is_none(fs::read_dir(path))? else { return Ok(subfolders) };
        for entry in entries {
            let entry = entry?;
            // A name that is no text is no unit's.
            let Ok(name) = entry.file_name().into_string() else { continue };
            names.insert(name.clone());
            let kind = entry.file_type()?;
            if kind.is_symlink() {
                let target = fs::read_link(entry.path())?;
                let to = target.file_name().and_then(|it| it.to_str()).unwrap_or("").to_owned();
                self.links.push(Link { folder, top, name, to });
            } else if top
                && kind.is_dir()
                && (name.ends_with(".wants") || name.ends_with(".requires"))
            {
                subfolders.push(name);
            }
        }
        Ok(subfolders)
    }
}

pub(super) fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

pub(super) fn absent_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(it) => Ok(Some(it)),
        Err(err)
            if err.kind() == io::ErrorKind::NotFound
                || err.kind() == io::ErrorKind::NotADirectory =>
        {
            Ok(None)
        }
        Err(err) => Err(err),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_where_a_name_may_be_is_looked_for_it() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        for path in
            ["etc/systemd/system/a.service.d", "run/systemd/system", "usr/lib/systemd/system"]
        {
            fs::create_dir_all(at(path)).unwrap();
        }
        symlink("usr/lib", at("lib")).unwrap();
        fs::write(at("run/systemd/system/b.service"), "").unwrap();
        let listed = Listed::read(root.path()).unwrap();
        let places = |name: &str| -> Vec<String> {
            let places = listed.places(name).map(|(folder, path)| {
                assert_eq!(path, below(root.path(), SEARCH[folder]).join(name));
                SEARCH[folder].to_owned()
            });
            places.collect()
        };
        // Each name is looked for where packages put units, and there once.
        let packages = "/usr/lib/systemd/system";
        assert_eq!(places("c.service"), [packages]);
        assert_eq!(places("a.service.d"), [CONFIG, packages]);
        assert_eq!(places("b.service"), ["/run/systemd/system", packages]);
    }
}
