//! Accounts as one look at many of them sees them.

use super::{Home, KeysFile, Local, Process, Read};
use crate::{AbsPath, GroupName, SystemError, UserName};
use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The accounts of a machine, of which the local files were read once: many promises that are looked at together
/// see them at one moment, and what is local is not asked for again.
#[derive(Debug)]
pub struct AtOnce<'a> {
    local: OnceCell<Result<Arc<Local>, SystemError>>,
    /// Most users have one of few shells.
    programs: RefCell<BTreeMap<AbsPath, Result<bool, SystemError>>>,
    sys: &'a dyn Read,
}

impl<'a> AtOnce<'a> {
    pub fn new(sys: &'a dyn Read) -> AtOnce<'a> {
        AtOnce { local: OnceCell::new(), programs: RefCell::default(), sys }
    }
}

impl Read for AtOnce<'_> {
    fn uid(&self, name: &UserName) -> Result<Option<u32>, SystemError> {
        match self.local()?.user(name) {
            Some(user) => Ok(Some(user.uid)),
            None => self.sys.uid(name),
        }
    }

    fn gid(&self, name: &GroupName) -> Result<Option<u32>, SystemError> {
        match self.local()?.group(name) {
            Some(group) => Ok(Some(group.gid)),
            None => self.sys.gid(name),
        }
    }

    fn user_of(&self, uid: u32) -> Result<Option<UserName>, SystemError> {
        match self.local()?.user_with(uid) {
            Some(user) => Ok(Some(user.name.clone())),
            None => self.sys.user_of(uid),
        }
    }

    fn group_of(&self, gid: u32) -> Result<Option<GroupName>, SystemError> {
        match self.local()?.group_with(gid) {
            Some(group) => Ok(Some(group.name.clone())),
            None => self.sys.group_of(gid),
        }
    }

    fn local(&self) -> Result<Arc<Local>, SystemError> {
        self.local.get_or_init(|| self.sys.local()).clone()
    }

    fn processes_of(&self, uid: u32) -> Result<Vec<Process>, SystemError> {
        self.sys.processes_of(uid)
    }

    fn homes(&self, paths: &[&AbsPath]) -> Vec<Result<Home, SystemError>> {
        self.sys.homes(paths)
    }

    fn keys_file(&self, home: &AbsPath, user: Option<u32>) -> Result<KeysFile, SystemError> {
        self.sys.keys_file(home, user)
    }

    fn is_program(&self, path: &AbsPath) -> Result<bool, SystemError> {
        if let Some(known) = self.programs.borrow().get(path) {
            return known.clone();
        }
        let found = self.sys.is_program(path);
        self.programs.borrow_mut().insert(path.clone(), found.clone());
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::{Defaults, User};
    use std::cell::Cell;

    /// Counts what it is asked.
    #[derive(Debug)]
    struct Counts {
        local: Arc<Local>,
        reads: Cell<u32>,
        names: Cell<u32>,
    }

    impl Counts {
        fn nobody<T>(&self) -> Result<Option<T>, SystemError> {
            self.names.set(self.names.get() + 1);
            Ok(None)
        }
    }

    impl Read for Counts {
        fn uid(&self, _name: &UserName) -> Result<Option<u32>, SystemError> {
            self.nobody()
        }
        fn gid(&self, _name: &GroupName) -> Result<Option<u32>, SystemError> {
            self.nobody()
        }
        fn user_of(&self, _uid: u32) -> Result<Option<UserName>, SystemError> {
            self.nobody()
        }
        fn group_of(&self, _gid: u32) -> Result<Option<GroupName>, SystemError> {
            self.nobody()
        }
        fn local(&self) -> Result<Arc<Local>, SystemError> {
            self.reads.set(self.reads.get() + 1);
            Ok(Arc::clone(&self.local))
        }
        fn processes_of(&self, _uid: u32) -> Result<Vec<Process>, SystemError> {
            Ok(vec![])
        }
        fn homes(&self, _paths: &[&AbsPath]) -> Vec<Result<Home, SystemError>> {
            vec![]
        }
        fn keys_file(&self, _home: &AbsPath, _user: Option<u32>) -> Result<KeysFile, SystemError> {
            Ok(KeysFile::Nothing)
        }
        fn is_program(&self, _path: &AbsPath) -> Result<bool, SystemError> {
            Ok(false)
        }
    }

    #[test]
    fn however_many_names_are_looked_up_the_files_are_read_once() {
        let name = |text: &str| UserName::parse(text).unwrap();
        let user = |at: u32| User {
            name: name(&format!("user{at}")),
            uid: at,
            gid: at,
            comment: "".into(),
            home: "/".into(),
            shell: "/bin/sh".into(),
        };
        let users = (0..50).map(user).collect();
        let local = Local::new(users, vec![], Ok(BTreeMap::new()), Defaults::default());
        let sys = Counts { local: Arc::new(local), reads: Cell::new(0), names: Cell::new(0) };
        let at_once = AtOnce::new(&sys);
        assert_eq!(sys.reads.get(), 0, "nothing is read before something is asked");
        for at in 0..50 {
            assert_eq!(at_once.uid(&name(&format!("user{at}"))).unwrap(), Some(at));
            assert_eq!(at_once.user_of(at).unwrap(), Some(name(&format!("user{at}"))));
        }
        assert_eq!((sys.reads.get(), sys.names.get()), (1, 0));
        // What no file has, the name service may.
        assert_eq!(at_once.uid(&name("nobody")).unwrap(), None);
        assert_eq!(at_once.gid(&GroupName::parse("none").unwrap()).unwrap(), None);
        assert_eq!((sys.reads.get(), sys.names.get()), (1, 2));
    }
}
