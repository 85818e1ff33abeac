//! The paths that secrets were written to, remembered in the state directory (`secret-paths.json`).
//!
//! A model that stops calling a file sensitive must not bring to light what the file held, so that is not the
//! model's to say. A path is forgotten when the run that no promise calls sensitive has put something else there,
//! or nothing is there any more. Where the list cannot be understood, everything counts as secret until the next
//! run writes it anew. Where it cannot be read at all, everything counts as secret, and it is left as it is: the
//! disk may give it back.

use super::walk::{Dir, Walker, split};
use super::{Entry, Secrecy};
use crate::text::of_bytes;
use crate::{AbsPath, ErrorKind, Host, SystemError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind as Io, Read as _, Write as _};
use std::ops::Bound;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Paths without links in them, and whether what is replaced there is kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct SecretPaths {
    paths: BTreeMap<Box<str>, bool>,
    /// The list cannot be understood or read.
    all: bool,
}

/// Nothing is known of any path.
fn everything() -> SecretPaths {
    SecretPaths { paths: BTreeMap::new(), all: true }
}

impl SecretPaths {
    /// Whether a secret was once written to this name in a directory.
    pub(super) fn at(&self, dir: &Dir, name: &CStr) -> Secrecy {
        if self.all {
            return Secrecy::Secret { keep: false };
        }
        if self.paths.is_empty() {
            return Secrecy::Plain;
        }
        match self.paths.get(&dir.real_path_of(&of_bytes(name.to_bytes()))) {
            Some(keep) => Secrecy::Secret { keep: *keep },
            None => Secrecy::Plain,
        }
    }

    /// Whether a secret was once written to any name in a directory.
    pub(super) fn any_in(&self, dir: &Dir) -> bool {
        let folder = dir.real_path_of("");
        let from = (Bound::Included(&*folder), Bound::Unbounded);
        let first = self.paths.range::<str, _>(from).next();
        self.all || first.is_some_and(|(path, _)| path.starts_with(&*folder))
    }

    pub(super) fn mark(&self, dir: &Dir, name: &CStr, entry: &mut Entry) {
        entry.marks.secret = self.at(dir, name);
    }
}

/// What was read last, and of which file.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<Option<(Stamp, Arc<SecretPaths>)>>);

/// Inode, time of change and size: another list is another file.
type Stamp = (u64, i64, i64, u64);

/// As it is stored.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    paths: BTreeMap<Box<str>, StoredPath>,
}

#[derive(Serialize, Deserialize)]
struct StoredPath {
    keep: bool,
}

const VERSION: u32 = 1;

impl Host {
    fn secret_list(&self) -> PathBuf {
        self.settings.state.join("secret-paths.json")
    }

    /// The paths that are remembered; everything where they cannot be read.
    pub(super) fn secret_paths(&self) -> Arc<SecretPaths> {
        self.read_secret_paths().unwrap_or_else(|_| Arc::new(everything()))
    }

    /// Why every file counts as secret for want of the list, if it does.
    pub fn hides_everything(&self) -> Option<SystemError> {
        match self.read_secret_paths() {
            Err(error) => Some(error),
            Ok(paths) => paths.all.then(|| {
                SystemError::new(ErrorKind::Storage, "it cannot be understood")
                    .during(self.reading_secret_list())
            }),
        }
    }

    fn reading_secret_list(&self) -> String {
        format!("read {}, which says where secrets were written", self.secret_list().display())
    }

    fn read_secret_paths(&self) -> Result<Arc<SecretPaths>, SystemError> {
        let read = || -> std::io::Result<Arc<SecretPaths>> {
            let mut file = File::open(self.secret_list())?;
            let about = file.metadata()?;
            let stamp = (about.ino(), about.ctime(), about.ctime_nsec(), about.size());
            let mut known = self.files.secrets.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((of, paths)) = &*known
                && *of == stamp
            {
                return Ok(Arc::clone(paths));
            }
            let mut bytes = vec![];
            file.read_to_end(&mut bytes)?;
            let paths = Arc::new(understood(&bytes));
            *known = Some((stamp, Arc::clone(&paths)));
            Ok(paths)
        };
        match read() {
            Ok(paths) => Ok(paths),
            Err(err) if err.kind() == Io::NotFound => Ok(Arc::default()),
            // Who is not root and may not read it may read what root keeps secret no more than the list.
            Err(err)
                if err.kind() == Io::PermissionDenied && !rustix::process::geteuid().is_root() =>
            {
                Ok(Arc::default())
            }
            Err(err) => {
                let mut error = SystemError::io(self.reading_secret_list(), err);
                error.kind = ErrorKind::Storage;
                Err(error)
            }
        }
    }

    pub(super) fn remember_all(
        &self,
        current: &[(AbsPath, bool)],
    ) -> Result<Vec<AbsPath>, SystemError> {
        let known = self.read_secret_paths()?;
        let mut walker = Walker::default();
        let mut wanted = BTreeMap::new();
        for (path, keep) in current {
            wanted.insert(real_path(&mut walker, path)?, *keep);
        }
        let others = known.paths.keys().filter(|it| !wanted.contains_key(*it));
        let others: Vec<AbsPath> = others.filter_map(|it| AbsPath::parse(it).ok()).collect();
        let mut paths = known.paths.clone();
        paths.extend(wanted);
        if paths != known.paths || known.all {
            self.write_secret_paths(paths)?;
        }
        Ok(others)
    }

    pub(super) fn forget_all(&self, gone: &[AbsPath]) -> Result<(), SystemError> {
        let mut paths = self.read_secret_paths()?.paths.clone();
        let before = paths.len();
        paths.retain(|path, _| !gone.iter().any(|it| it.as_str() == &**path));
        if paths.len() == before { Ok(()) } else { self.write_secret_paths(paths) }
    }

    fn write_secret_paths(&self, paths: BTreeMap<Box<str>, bool>) -> Result<(), SystemError> {
        let path = self.secret_list();
        let paths = paths.into_iter().map(|(path, keep)| (path, StoredPath { keep })).collect();
        let write = || -> std::io::Result<()> {
            let bytes = serde_json::to_vec(&Stored { version: VERSION, paths })?;
            match DirBuilder::new().mode(0o700).create(&self.settings.state) {
                Err(err) if err.kind() != Io::AlreadyExists => return Err(err),
                Err(_) | Ok(()) => {}
            }
            let temporary = self.settings.state.join(self.files.temporary_name(""));
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            std::fs::rename(&temporary, &path)?;
            File::open(&self.settings.state)?.sync_all()
        };
        write().map_err(|err| {
            let what = format!("remember in {} where secrets are written", path.display());
            let mut error = SystemError::io(what, err);
            error.kind = ErrorKind::Storage;
            error
        })
    }
}

fn understood(bytes: &[u8]) -> SecretPaths {
    match serde_json::from_slice::<Stored>(bytes) {
        Ok(Stored { version: VERSION, paths }) => SecretPaths {
            paths: paths.into_iter().map(|(path, it)| (path, it.keep)).collect(),
            all: false,
        },
        Ok(_) | Err(_) => everything(),
    }
}

/// A path without links in the directories that lead to it, as far as these are there.
fn real_path(walker: &mut Walker, path: &AbsPath) -> Result<Box<str>, SystemError> {
    let Some((parent, name)) = split(path.as_str()) else { return Ok(path.as_str().into()) };
    Ok(match walker.folder(parent)? {
        Some(dir) => dir.real_path_of(name),
        None => path.as_str().into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::tests::host_in;
    use crate::files::{Read as _, Wanted, Write as _};

    fn secrecy(host: &Host, path: &AbsPath) -> Secrecy {
        host.look(&[(path, Wanted::Nothing)]).remove(0).unwrap().entry.unwrap().marks.secret
    }

    #[test]
    fn a_path_that_got_a_secret_is_known_until_something_else_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        std::fs::create_dir(folder.join("etc")).unwrap();
        std::os::unix::fs::symlink("etc", folder.join("link")).unwrap();
        let path = |it: &str| AbsPath::parse(folder.join(it).to_str().unwrap()).unwrap();
        for name in ["etc/key", "etc/other"] {
            std::fs::write(folder.join(name), "x").unwrap();
        }
        let host = host_in(&folder);
        assert_eq!(secrecy(&host, &path("etc/key")), Secrecy::Plain);
        let key = (path("etc/key"), false);
        assert_eq!(host.remember_secrets(std::slice::from_ref(&key)).unwrap(), []);
        // Another process sees it at once.
        for host in [&host, &host_in(&folder)] {
            assert_eq!(secrecy(host, &path("etc/key")), Secrecy::Secret { keep: false });
            assert_eq!(secrecy(host, &path("etc/other")), Secrecy::Plain);
        }
        let list = folder.join("state/secret-paths.json");
        let before = std::fs::metadata(&list).unwrap().ino();
        host.remember_secrets(std::slice::from_ref(&key)).unwrap();
        assert_eq!(std::fs::metadata(&list).unwrap().ino(), before, "nothing new is not written");
        assert_eq!(host.remember_secrets(&[(path("etc/other"), true)]).unwrap(), [path("etc/key")]);
        assert_eq!(secrecy(&host, &path("etc/other")), Secrecy::Secret { keep: true });
        host.forget_secrets(&[path("etc/key")]).unwrap();
        assert_eq!(secrecy(&host, &path("etc/key")), Secrecy::Plain);
        // What cannot be understood hides everything, and is written anew.
        std::fs::write(&list, "{").unwrap();
        assert_eq!(secrecy(&host_in(&folder), &path("etc/key")), Secrecy::Secret { keep: false });
        host.remember_secrets(&[]).unwrap();
        assert_eq!(secrecy(&host, &path("etc/key")), Secrecy::Plain);
    }

    #[test]
    fn a_list_that_cannot_be_read_hides_everything_and_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let key = AbsPath::parse(folder.join("key").to_str().unwrap()).unwrap();
        std::fs::write(folder.join("key"), "x").unwrap();
        host_in(&folder).remember_secrets(&[(key.clone(), true)]).unwrap();
        let list = folder.join("state/secret-paths.json");
        let aside = folder.join("state/aside");
        std::fs::rename(&list, &aside).unwrap();
        // Nobody can read a directory as a file.
        std::fs::create_dir(&list).unwrap();
        let host = host_in(&folder);
        assert_eq!(secrecy(&host, &key), Secrecy::Secret { keep: false });
        let why = host.hides_everything().unwrap().chain().join(": ");
        assert!(why.contains("secret-paths.json, which says where secrets were written"), "{why}");
        assert!(host.remember_secrets(&[(key.clone(), true)]).is_err(), "no secret is written");
        assert!(host.forget_secrets(std::slice::from_ref(&key)).is_err());
        std::fs::remove_dir(&list).unwrap();
        std::fs::rename(&aside, &list).unwrap();
        assert_eq!(secrecy(&host, &key), Secrecy::Secret { keep: true });
        assert!(host.hides_everything().is_none());
    }

    #[test]
    fn the_first_format_is_read() {
        let stored = include_bytes!("../../../../tests/formats/secret-paths-1.json");
        let paths = understood(stored);
        assert_eq!(
            paths.paths.into_iter().collect::<Vec<_>>(),
            [("/etc/app.key".into(), false), ("/srv/app/token".into(), true)]
        );
        assert!(!paths.all);
    }
}
