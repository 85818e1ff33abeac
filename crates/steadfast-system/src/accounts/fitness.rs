//! Whether a file of keys is as sshd takes it (`StrictModes` of sshd_config(5)) and as it is promised: the
//! user's, and for nobody else to write or to read. Pure.

use std::sync::Arc;

/// Whose a file or directory is, and who may do what with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Side {
    pub uid: u32,
    pub gid: u32,
    pub mode: u32,
}

/// Why a file of keys is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    pub why: Arc<str>,
    /// Whether what stands in it is the user's, or root's for anybody to read. Otherwise somebody else may have
    /// written it, or must not come to read it, and it is not taken over.
    pub counts: bool,
}

/// Of a file and the directory that it lies in, for a user with this uid and gid.
pub fn unfit(user: (u32, u32), folder: &Side, file: &Side) -> Option<Unfit> {
    let (uid, gid) = user;
    let counts = if file.uid == uid {
        // The user's private group can write what the user has with a umask of 002.
        file.mode & 0o002 == 0 && (file.mode & 0o020 == 0 || file.gid == gid)
    } else {
        file.uid == 0 && file.mode & 0o004 != 0 && file.mode & 0o022 == 0
    };
    let why = if file.uid != uid {
        Some(format!("it belongs to uid {}", file.uid))
    } else if file.mode & 0o7777 != 0o600 {
        Some(format!("its mode is {:04o}", file.mode & 0o7777))
    } else {
        unfit_folder(user, folder)
    };
    why.map(|why| Unfit { why: why.into(), counts })
}

/// The same, where the user is known. A file that has several names may be another's, and be read or written by
/// the other name; what is in it is taken over only where it is the user's own.
pub fn unfit_keys(
    user: Option<(u32, u32)>,
    folder: &Side,
    file: &Side,
    several: bool,
) -> Option<Unfit> {
    let unfit = user.and_then(|user| unfit(user, folder, file));
    if !several {
        return unfit;
    }
    let is_theirs = user.is_some_and(|(uid, _)| uid == file.uid);
    let counts = is_theirs && unfit.is_none_or(|it| it.counts);
    Some(Unfit { why: "it has several hard links".into(), counts })
}

/// Of the directory alone.
pub fn unfit_folder((uid, _): (u32, u32), folder: &Side) -> Option<String> {
    if folder.uid != uid && folder.uid != 0 {
        Some(format!("its directory belongs to uid {}", folder.uid))
    } else if folder.mode & 0o022 != 0
        || (folder.uid == uid && folder.mode & 0o700 != 0o700)
        || (folder.uid != uid && folder.mode & 0o001 == 0)
    {
        Some(format!("its directory has the mode {:04o}", folder.mode & 0o7777))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_keys_is_the_users_alone() {
        let user = (1000, 1000);
        let (ours, roots) =
            (|mode| Side { uid: 1000, gid: 1000, mode }, |mode| Side { uid: 0, gid: 0, mode });
        let theirs = |mode| Side { uid: 1001, gid: 1001, mode };
        for (folder, file, expected) in [
            (ours(0o700), ours(0o600), None),
            (ours(0o755), ours(0o600), None),
            (roots(0o755), ours(0o600), None),
            (ours(0o700), ours(0o644), Some(("its mode is 0644", true))),
            (ours(0o700), ours(0o664), Some(("its mode is 0664", true))),
            (ours(0o700), Side { gid: 50, ..ours(0o660) }, Some(("its mode is 0660", false))),
            (ours(0o700), ours(0o666), Some(("its mode is 0666", false))),
            (ours(0o700), roots(0o644), Some(("it belongs to uid 0", true))),
            // Only root may read it, so it was of no use to sshd, and is nothing that the user may see.
            (ours(0o700), roots(0o600), Some(("it belongs to uid 0", false))),
            (ours(0o700), theirs(0o644), Some(("it belongs to uid 1001", false))),
            (ours(0o777), ours(0o600), Some(("its directory has the mode 0777", true))),
            (ours(0o500), ours(0o600), Some(("its directory has the mode 0500", true))),
            (roots(0o700), ours(0o600), Some(("its directory has the mode 0700", true))),
            (theirs(0o755), ours(0o600), Some(("its directory belongs to uid 1001", true))),
        ] {
            let found = unfit(user, &folder, &file);
            let found = found.as_ref().map(|it| (&*it.why, it.counts));
            assert_eq!(found, expected, "{folder:?} {file:?}");
        }
    }
}
