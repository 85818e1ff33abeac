//! What the process that fetches gives up before it speaks to anybody: root, its groups, every way to get
//! privileges back, and large files. It keeps the network and one directory. See decision 0005.

use crate::limits::Limits;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use rustix::fs::{Mode, OFlags};
use rustix::process::{DumpableBehavior, Resource, Rlimit};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

/// How a process was confined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confined {
    /// It runs as another user than root, who owns nothing but the cache directory.
    AsUser,
    /// It was not root to begin with: it runs as who it was, without a way up.
    AsIs,
}

#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct ConfineError {
    what: &'static str,
    #[source]
    err: io::Error,
}

fn tried(what: &'static str) -> impl FnOnce(io::Error) -> ConfineError {
    move |err| ConfineError { what, err }
}

/// Confines this process for good. It must have one thread only, and have read before what only root may
/// read: keys, tokens and authorities. As root the cache directory is made where it is missing and given to
/// the user; its parents must be root's. Where we are not root, no user is asked.
pub fn confine(
    cache: &Path,
    user: Option<(u32, u32)>,
    limits: &Limits,
) -> Result<Confined, ConfineError> {
    let root = Uid::effective().is_root();
    let (uid, gid) = user.unwrap_or((0, 0));
    if root && (uid == 0 || gid == 0) {
        let err = io::Error::new(io::ErrorKind::InvalidInput, "the user for fetching is root");
        return Err(ConfineError { what: "give up root", err });
    }
    match std::fs::DirBuilder::new().mode(0o700).create(cache) {
        Err(err) if err.kind() != io::ErrorKind::AlreadyExists => {
            return Err(tried("make the cache directory")(err));
        }
        Ok(()) | Err(_) => {}
    }
    if root {
        give_away(cache, uid, gid)?;
    }
    rustix::thread::set_no_new_privs(true)
        .map_err(|it| tried("give up new privileges")(it.into()))?;
    limit_resources(limits).map_err(|it| tried("set resource limits")(it.into()))?;
    if !root {
        tracing::debug!("confined: without new privileges, as who it was");
        return Ok(Confined::AsIs);
    }
    become_user(uid, gid).map_err(|it| tried("give up root")(it.into()))?;
    // It has read keys: others of that user do not look into it, whatever the kernel's default is.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|it| tried("close its memory to others")(it.into()))?;
    if setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0)).is_ok() {
        let err = io::Error::other("root could be taken back");
        return Err(ConfineError { what: "give up root", err });
    }
    tracing::debug!(uid, gid, "confined: root is given up");
    Ok(Confined::AsUser)
}

/// For a process that was started as the user that it is: nobody looks into its memory, or finds it on a disk, and it
/// takes no more than so much of it.
pub fn keep_to_itself(memory: u64) -> Result<(), ConfineError> {
    let failed = |err: rustix::io::Errno| tried("keep its memory to itself")(err.into());
    rustix::thread::set_no_new_privs(true).map_err(failed)?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .and_then(|()| limit(Resource::Core, 0))
        .and_then(|()| limit(Resource::Fsize, 0))
        .and_then(|()| limit(Resource::Data, memory))
        .map_err(failed)
}

/// Shuts this process off for good: from now on it can read and write what it has open, and nothing else. It opens
/// no file and no socket, as there is no number left for a descriptor, and starts no program. To be called
/// as another user than root, with only the three standard descriptors open.
pub fn shut_off(memory: u64, processor: std::time::Duration) -> Result<(), ConfineError> {
    keep_to_itself(memory)?;
    let failed = |err: rustix::io::Errno| tried("shut itself off")(err.into());
    limit(Resource::Nproc, 0)
        .and_then(|()| limit(Resource::Cpu, processor.as_secs().max(1)))
        // The last one: nothing more is opened.
        .and_then(|()| limit(Resource::Nofile, 3))
        .map_err(failed)
}

/// Never above what it may already.
fn limit(resource: Resource, most: u64) -> rustix::io::Result<()> {
    let most = rustix::process::getrlimit(resource).maximum.map_or(most, |it| it.min(most));
    let limit = Rlimit { current: Some(most), maximum: Some(most) };
    rustix::process::setrlimit(resource, limit)
}

/// Makes the cache directory the user's, and nobody else's.
fn give_away(cache: &Path, uid: u32, gid: u32) -> Result<(), ConfineError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = rustix::fs::open(cache, flags, Mode::empty())
        .map_err(|it| tried("open the cache directory")(it.into()))?;
    let (user, group) = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid));
    rustix::fs::fchown(&folder, Some(user), Some(group))
        .and_then(|()| rustix::fs::fchmod(&folder, Mode::from_raw_mode(0o700)))
        .map_err(|it| tried("change the owner of the cache directory")(it.into()))
}

/// Bounds what this process may use, for good: never above what it may already.
fn limit_resources(limits: &Limits) -> rustix::io::Result<()> {
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, limits.bytes)?;
    limit(Resource::Nofile, 256)?;
    // git maps whole packs.
    limit(Resource::As, 4 << 30)?;
    // What is no map of a file: an archive, or an object that git takes apart.
    limit(Resource::Data, 1 << 30)?;
    // Processor seconds, as a program that loops is otherwise ended only by whoever waits for it.
    limit(Resource::Cpu, limits.total.as_secs().saturating_mul(2).max(60))
}

/// Becomes the user, in no further group.
fn become_user(uid: u32, gid: u32) -> nix::Result<()> {
    setgroups(&[])?;
    let gid = Gid::from_raw(gid);
    setresgid(gid, gid, gid)?;
    let uid = Uid::from_raw(uid);
    setresuid(uid, uid, uid)
}
