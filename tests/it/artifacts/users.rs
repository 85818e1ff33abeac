//! The users without privileges, where this host has not got them.

use std::os::unix::fs::PermissionsExt as _;

/// Where this host has not got the users whom the package makes, a list of users with them lies over its own, for
/// this thread and what it starts.
pub(crate) fn are_there() {
    use nix::mount::{MsFlags, mount};
    let known = std::fs::read_to_string("/etc/passwd").unwrap();
    if !rustix::process::geteuid().is_root() || known.contains("\nsteadfast-unpack:") {
        return;
    }
    // Tests run side by side, and nobody else may run as the one who unpacks.
    let own = 100_000 + std::process::id();
    let users = [("steadfast-fetch", 64_321), ("steadfast-unpack", own)];
    let lines = users.map(|(name, id)| format!("{name}:x:{id}:{id}::/:/usr/sbin/nologin\n"));
    let list = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(list.path(), known + &lines.concat()).unwrap();
    std::fs::set_permissions(list.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    mount(Some(list.path()), "/etc/passwd", none, MsFlags::MS_BIND, none).unwrap();
}
