//! What type, owner and mode of an entry do not show: access lists and file capabilities.

use super::walk::{ACCESS_LIST, DEFAULT_LIST, Dir, Facts};
use super::{Content, Entry};
use rustix::fd::AsRawFd as _;
use rustix::io::Errno;
use std::ffi::CStr;

/// What a program may do beside what its user may.
const CAPABILITIES: &CStr = c"security.capability";

impl Dir {
    /// The entry of what `facts` is about, with the lists that others have laid.
    pub(super) fn described_whole(
        &self,
        name: &CStr,
        facts: &Facts,
        content: Content,
    ) -> Result<Entry, Errno> {
        let mut entry = self.described(name, facts, content)?;
        entry.marks.access_list = self.has_list_of_others(name, facts);
        Ok(entry)
    }

    /// Whether what is at a name is a program that has file capabilities.
    pub(super) fn has_capabilities(&self, name: &CStr, facts: &Facts) -> bool {
        facts.is_file() && facts.mode().0 & 0o111 != 0 && self.has(name, CAPABILITIES)
    }

    /// Whether what is at a name, no link, has an extended attribute.
    fn has(&self, name: &CStr, attribute: &CStr) -> bool {
        let mut path = format!("/proc/self/fd/{}/", self.fd.as_raw_fd()).into_bytes();
        path.extend_from_slice(name.to_bytes());
        rustix::fs::lgetxattr(path, attribute, &mut [0_u8; 0][..]).is_ok()
    }

    /// Whether an access list, that others than root can have laid, says more than the mode.
    fn has_list_of_others(&self, name: &CStr, facts: &Facts) -> bool {
        let of_others = self.open || facts.uid() != 0;
        let (file, folder) = (facts.is_file(), facts.is_directory());
        of_others
            && ((file || folder) && self.has(name, ACCESS_LIST)
                || folder && self.has(name, DEFAULT_LIST))
    }
}
