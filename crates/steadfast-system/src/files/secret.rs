//! The paths that secrets were written to, remembered in the state directory (`secret-paths.json`).
//!
//! A model that stops calling a file sensitive must not bring to light what the file held, so that is not the
//! model's to say. A path is forgotten when the run that no promise calls sensitive has put something else there,
//! or nothing is there any more. Where the list cannot be understood, everything counts as secret until the next
//! run writes it anew.

use super::walk::{Dir, Walker, split};
use super::{Entry, Secrecy};
use crate::text::of_bytes;
use crate::{AbsPath, ErrorKind, Host, SystemError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind as Io, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Paths without links in them, and whether what is replaced there is kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct SecretPaths {
    paths: BTreeMap<Box<str>, bool>,
    /// The list cannot be understood.
    all: bool,
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

    /// The paths that are remembered. Who may not read the list may read none of these files either.
    pub(super) fn secret_paths(&self) -> Arc<SecretPaths> {
        let path = self.secret_list();
        let Ok(about) = std::fs::metadata(&path) else { return Arc::default() };
        let stamp = (about.ino(), about.ctime(), about.ctime_nsec(), about.size());
        let mut known = self.files.secrets.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, paths)) = &*known
            && *of == stamp
        {
            return Arc::clone(paths);
        }
        let paths = Arc::new(match std::fs::read(&path) {
            Ok(bytes) => understood(&bytes),
            Err(_) => SecretPaths::default(),
        });
        *known = Some((stamp, Arc::clone(&paths)));
        paths
    }

    pub(super) fn remember_all(
        &self,
        current: &[(AbsPath, bool)],
    ) -> Result<Vec<AbsPath>, SystemError> {
        let known = self.secret_paths();
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
        let mut paths = self.secret_paths().paths.clone();
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
        Ok(_) | Err(_) => SecretPaths { paths: BTreeMap::new(), all: true },
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
