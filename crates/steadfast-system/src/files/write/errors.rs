//! Errors of a change whose precondition does not hold any more.

use crate::files::walk::{Dir, Facts, failed};
use crate::text::{of_bytes, safe};
use crate::{AbsPath, ErrorKind, SystemError};
use rustix::io::Errno;
use std::ffi::CStr;

pub(super) fn moved(path: &AbsPath, how: &str) -> SystemError {
    SystemError::new(ErrorKind::Moved, how).during(format!("{path} is not as it was seen"))
}

/// An error, with the flag that caused it where that is why even root may not.
pub(super) fn refused(what: String, err: Errno, dir: &Dir, name: &CStr) -> SystemError {
    if err == Errno::PERM {
        let flag = |facts: Result<Facts, Errno>| facts.ok().and_then(|it| it.forbidding_flag());
        if let Some(flag) = flag(Facts::at(&dir.fd, name)) {
            let name = safe(&of_bytes(name.to_bytes()));
            return SystemError::new(
                ErrorKind::PermissionDenied,
                format!("{name} {}", flag.words()),
            )
            .during(what);
        }
        if let Some(flag) = flag(Facts::about(&dir.fd)) {
            let words = format!("its directory {}", flag.words());
            return SystemError::new(ErrorKind::PermissionDenied, words).during(what);
        }
    }
    if err == Errno::BUSY {
        return SystemError::new(ErrorKind::Other, "something is mounted there").during(what);
    }
    failed(what, err)
}
