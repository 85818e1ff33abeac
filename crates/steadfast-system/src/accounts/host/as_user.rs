//! Working on files with the rights that a user has, and no others.
//!
//! A process that became the user would be theirs to stop, to end and to follow with a debugger, and a program
//! that it starts would share what we have open. So there is none: one thread of ours asks the kernel to judge
//! what it does with files as if the user did it (setfsuid(2)), and ends. Everything else that the kernel knows
//! of us stays root's.

use crate::SystemError;
use nix::unistd::{Gid, Uid, setfsgid, setfsuid};
use rustix::io::Errno;
use steadfast_child::User;

/// Does this with the user's rights on files; what only root may do, it may not.
pub(super) fn as_user<T: Send>(
    user: &User,
    work: impl FnOnce() -> Result<T, SystemError> + Send,
) -> Result<T, SystemError> {
    let become_and_work = || {
        take_rights(user).map_err(|err| {
            SystemError::io(format!("take the rights of uid {} on files", user.uid), err)
        })?;
        work()
    };
    std::thread::scope(|scope| match scope.spawn(become_and_work).join() {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// For this thread alone: these calls are the kernel's own, which the C library does not spread to all threads
/// of a process.
fn take_rights(user: &User) -> Result<(), Errno> {
    let groups: Vec<_> = user.groups.iter().map(|it| rustix::process::Gid::from_raw(*it)).collect();
    rustix::thread::set_thread_groups(&groups)?;
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    setfsgid(gid);
    setfsuid(uid);
    // They say what was, not whether it went well; asked once more, they say what is.
    if setfsgid(gid) != gid || setfsuid(uid) != uid { Err(Errno::PERM) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::require::is_root;
    use std::os::unix::fs::PermissionsExt as _;

    /// The real, effective and saved uid of this thread, and the one by which the kernel judges its files.
    fn uids() -> Vec<u32> {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = status.lines().find_map(|it| it.strip_prefix("Uid:")).unwrap();
        line.split_whitespace().map(|it| it.parse().unwrap()).collect()
    }

    #[test]
    fn a_users_rights_are_those_of_one_thread_that_stays_roots_to_everybody_else() {
        if !is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let (secret, theirs) = (folder.path().join("secret"), folder.path().join("theirs"));
        std::fs::write(&secret, "x").unwrap();
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
        let user = User { uid: 65_534, gid: 65_534, groups: vec![65_534] };
        let (within, refused) = as_user(&user, || {
            let refused = std::fs::read(&secret).map_err(|err| err.kind());
            std::fs::write(&theirs, "x").map_err(|err| SystemError::io("write", err))?;
            Ok((uids(), refused))
        })
        .unwrap();
        assert_eq!(within, [0, 0, 0, 65_534]);
        assert_eq!(refused, Err(std::io::ErrorKind::PermissionDenied));
        let found = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&theirs).unwrap());
        assert_eq!(found, 65_534);
        assert_eq!(uids(), [0, 0, 0, 0]);
        assert_eq!(std::fs::read(&secret).unwrap(), b"x");
    }
}
