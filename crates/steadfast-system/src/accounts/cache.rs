//! What the real machine remembers of its accounts within one run: what the files and the name service said.

use super::{Local, Repeated, parse};
use crate::{GroupName, SystemError, UserName};
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const PASSWD: &str = "etc/passwd";
const GROUP: &str = "etc/group";
const SHADOW: &str = "etc/shadow";
const GSHADOW: &str = "etc/gshadow";
const LOGIN_DEFS: &str = "etc/login.defs";
const USERADD: &str = "etc/default/useradd";
const FILES: [&str; 6] = [PASSWD, GROUP, SHADOW, GSHADOW, LOGIN_DEFS, USERADD];

#[derive(Debug)]
pub(crate) struct Cache {
    /// `/`, but in tests.
    pub(super) root: PathBuf,
    pub(super) inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
pub(super) struct Inner {
    pub(super) local: Option<(Stamps, Arc<Local>)>,
    /// What the name service said.
    pub(super) users: HashMap<UserName, Option<u32>>,
    pub(super) groups: HashMap<GroupName, Option<u32>>,
    pub(super) user_names: HashMap<u32, Option<UserName>>,
    pub(super) group_names: HashMap<u32, Option<GroupName>>,
}

/// What tells one content of a file from the next, without reading it.
pub(super) type Stamps = [Option<(u64, u64, i64, i64, u64)>; FILES.len()];

impl Default for Cache {
    fn default() -> Cache {
        Cache { root: PathBuf::from("/"), inner: Mutex::default() }
    }
}

impl Cache {
    pub(super) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn forget(&self) {
        *self.inner() = Inner::default();
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Whether the name service speaks of this machine.
    pub(super) fn has_name_service(&self) -> bool {
        self.root == Path::new("/")
    }

    pub(super) fn stamps(&self) -> Stamps {
        FILES.map(|file| {
            let found = fs::metadata(self.path(file)).ok()?;
            Some((found.dev(), found.ino(), found.mtime(), found.mtime_nsec(), found.len()))
        })
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, SystemError> {
        fs::read(self.path(path)).map_err(|err| SystemError::io(format!("read /{path}"), err))
    }

    pub(super) fn load(&self) -> Result<Local, SystemError> {
        let defaults = parse::defaults(
            &self.read(LOGIN_DEFS).unwrap_or_default(),
            &self.read(USERADD).unwrap_or_default(),
        );
        let (passwd, group) = (self.read(PASSWD)?, self.read(GROUP)?);
        let shadow = self.read(SHADOW);
        // What is hidden from us, or is not there, repeats nothing that we could change.
        let gshadow = self.read(GSHADOW).unwrap_or_default();
        let repeated = Repeated {
            users: parse::repeated(&[
                ("/etc/passwd", &passwd),
                ("/etc/shadow", shadow.as_deref().unwrap_or_default()),
            ]),
            groups: parse::repeated(&[("/etc/group", &group), ("/etc/gshadow", &gshadow)]),
        };
        let local = Local::new(
            parse::passwd(&passwd),
            parse::group(&group),
            shadow.map(|bytes| parse::shadow(&bytes)),
            defaults,
        );
        Ok(local.with_repeated(repeated))
    }
}
