//! A fanotify group: the kernel says of each change in a marked directory which process made it.
//!
//! Opening one that is told about processes takes CAP_SYS_ADMIN at that moment alone: the kernel remembers
//! in the group that it was opened with it, and marks on directories take no capability. So whoever opens
//! it gives the capability up at once, and a program that replaces this one is handed the descriptor.

use super::events::{Act, Place, Raw, events};
use nix::fcntl::AT_FDCWD;
use nix::libc;
use nix::sys::fanotify::{EventFFlags, Fanotify, InitFlags, MarkFlags, MaskFlags};
use rustix::event::Timespec;
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, FdFlags};
use rustix::thread::CapabilitySet;
use std::ffi::c_int;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::path::Path;

/// A group that is told about processes.
#[derive(Debug)]
pub struct Group(Fanotify);

/// A process did something to a name in a marked directory.
#[derive(Debug)]
pub struct Event {
    /// Zero where the process is outside of our container.
    pub pid: i32,
    /// The process had ended before the event was read.
    pub ended: bool,
    pub act: Act,
    pub place: Place,
    pub name: Box<[u8]>,
}

/// What the marks ask for.
fn mask() -> MaskFlags {
    MaskFlags::FAN_CREATE
        | MaskFlags::FAN_DELETE
        | MaskFlags::FAN_MOVED_FROM
        | MaskFlags::FAN_MOVED_TO
        | MaskFlags::FAN_ATTRIB
        | MaskFlags::FAN_MODIFY
        | MaskFlags::FAN_CLOSE_WRITE
        | MaskFlags::FAN_EVENT_ON_CHILD
        | MaskFlags::FAN_ONDIR
}

impl Group {
    /// Opens a group, which takes CAP_SYS_ADMIN.
    pub fn open() -> io::Result<Group> {
        // Without it there would be a group that is told nothing about processes.
        if !rustix::thread::capabilities(None)?.effective.contains(CapabilitySet::SYS_ADMIN) {
            return Err(Errno::PERM.into());
        }
        let names = InitFlags::from_bits_retain(libc::FAN_REPORT_DFID_NAME);
        let flags =
            InitFlags::FAN_CLASS_NOTIF | InitFlags::FAN_CLOEXEC | InitFlags::FAN_NONBLOCK | names;
        let open = |flags| Fanotify::init(flags, EventFFlags::O_RDONLY | EventFFlags::O_CLOEXEC);
        // A kernel before 5.15 knows no descriptors of processes.
        let mut opened = open(flags | InitFlags::FAN_REPORT_PIDFD);
        if opened.as_ref().is_err_and(|it| *it == nix::errno::Errno::EINVAL) {
            opened = open(flags);
        }
        Ok(Group(opened?))
    }

    /// The group that the program before this one has handed on. Its marks are gone; what was told
    /// already is still to be read.
    #[expect(unsafe_code, reason = "a number becomes a descriptor in no other way")]
    pub fn inherit(number: RawFd) -> io::Result<Group> {
        let refuse = || io::Error::new(io::ErrorKind::InvalidInput, "it is no fanotify group");
        if number <= libc::STDERR_FILENO {
            return Err(refuse());
        }
        let what = std::fs::read_link(format!("/proc/self/fd/{number}"))?;
        if what != Path::new("anon_inode:[fanotify]") {
            return Err(refuse());
        }
        // SAFETY: the descriptor is open, as the line above has seen. It came with this process, so nothing
        // in it owns it yet, and whoever calls this does so once, before there is any other group.
        let group = Group(unsafe { Fanotify::from_raw_fd(number) });
        rustix::io::fcntl_setfd(group.0.as_fd(), FdFlags::CLOEXEC)?;
        group.unmark()?;
        Ok(group)
    }

    /// Lets the program that replaces this process have the group, and says by which number.
    pub fn hand_on(&self) -> io::Result<RawFd> {
        rustix::io::fcntl_setfd(self.0.as_fd(), FdFlags::empty())?;
        Ok(self.0.as_fd().as_raw_fd())
    }

    /// Asks for what happens to the names in a directory, and says by what the events name it.
    pub fn mark(&self, folder: &Path) -> io::Result<Place> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(folder, flags, Mode::empty())?;
        let flags = MarkFlags::FAN_MARK_ADD | MarkFlags::FAN_MARK_ONLYDIR;
        // By name, because a descriptor like this one is taken in no other way.
        self.0.mark(flags, mask(), &folder, Some("."))?;
        let file_system = rustix::fs::fstatvfs(&folder)?.f_fsid;
        let (kind, handle) = handle(&folder)?;
        Ok(Place { file_system, kind, handle })
    }

    /// Asks for nothing any more.
    pub fn unmark(&self) -> io::Result<()> {
        let all = MarkFlags::FAN_MARK_FLUSH;
        Ok(self.0.mark(all, MaskFlags::empty(), AT_FDCWD, None::<&Path>)?)
    }

    /// Waits until there is something to be read.
    pub fn wait(&self) -> io::Result<()> {
        match self.poll(None) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(err) => Err(err.into()),
        }
    }

    /// Whether there is something to be read now.
    pub fn has_unread(&self) -> bool {
        self.poll(Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }

    fn poll(&self, timeout: Option<&Timespec>) -> rustix::io::Result<usize> {
        let group = self.0.as_fd();
        let mut one = [rustix::event::PollFd::new(&group, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut one, timeout)
    }

    /// What has been told since the last time, as far as it fits the buffer. That events were lost is not
    /// told: inotify says so too, and what they would have named is not known.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<Vec<Event>> {
        let length = match rustix::io::read(self.0.as_fd(), &mut *buffer) {
            Ok(length) => length,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(err) => return Err(err.into()),
        };
        let mut told = vec![];
        for raw in events(buffer.get(..length).unwrap_or_default()) {
            let Raw { pid, pidfd, ended, act, about } = raw;
            // That there is one says all: the process is there at this moment.
            pidfd.into_iter().for_each(close);
            if let Some((place, name)) = about {
                told.push(Event { pid, ended, act, place, name: name.into() });
            }
        }
        Ok(told)
    }
}

#[expect(unsafe_code, reason = "a number becomes a descriptor in no other way")]
fn close(number: RawFd) {
    // SAFETY: the kernel has made this descriptor in the read that filled the buffer, for whoever reads
    // that, and its number was taken from the buffer once.
    drop(unsafe { OwnedFd::from_raw_fd(number) });
}

/// The most that a file system may take for a handle, which is the kernel's own limit.
const LONGEST_HANDLE: usize = 128;

#[repr(C)]
struct Handle {
    head: libc::file_handle,
    bytes: [u8; LONGEST_HANDLE],
}

/// By what a file system names a directory: kind and bytes.
fn handle(folder: &OwnedFd) -> io::Result<(i32, Box<[u8]>)> {
    // Some file systems, overlayfs among them, give only what can be compared; kernels before 6.5 do not
    // know that there is such a thing.
    name_to_handle(folder, libc::AT_HANDLE_FID).or_else(|err| match err.raw_os_error() {
        Some(libc::EINVAL) => name_to_handle(folder, 0),
        Some(_) | None => Err(err),
    })
}

#[expect(unsafe_code, reason = "neither rustix nor nix asks for handles of files")]
fn name_to_handle(folder: &OwnedFd, flags: c_int) -> io::Result<(i32, Box<[u8]>)> {
    let head = libc::file_handle { handle_bytes: 128, handle_type: 0, f_handle: [] };
    let mut handle = Handle { head, bytes: [0; LONGEST_HANDLE] };
    let mut mount = 0;
    let flags = flags | libc::AT_EMPTY_PATH;
    // SAFETY: the path is a C string; the kernel writes no more than `handle_bytes` bytes after the head,
    // which lie there because the layout is C's; `mount` is written.
    let done = unsafe {
        let all = (&raw mut handle).cast();
        libc::name_to_handle_at(folder.as_raw_fd(), c"".as_ptr(), all, &mut mount, flags)
    };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    let length = usize::try_from(handle.head.handle_bytes).unwrap_or(LONGEST_HANDLE);
    let bytes = handle.bytes.get(..length).unwrap_or(&handle.bytes);
    Ok((handle.head.handle_type, bytes.into()))
}

/// Gives up CAP_SYS_ADMIN and what it took to do so, for this process and all that it will start. It
/// holds for threads one by one, so there must be one only.
pub fn give_up_admin() -> io::Result<()> {
    let given_up = CapabilitySet::SYS_ADMIN | CapabilitySet::SETPCAP;
    let mut sets = rustix::thread::capabilities(None)?;
    if sets.effective.contains(CapabilitySet::SETPCAP) {
        for one in [CapabilitySet::SYS_ADMIN, CapabilitySet::SETPCAP] {
            rustix::thread::remove_capability_from_bounding_set(one)?;
        }
    }
    // Where it is missing, that set stays what whoever started this process made of it.
    for set in [&mut sets.effective, &mut sets.permitted, &mut sets.inheritable] {
        set.remove(given_up);
    }
    Ok(rustix::thread::set_capabilities(None, sets)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A group, where this process may have one.
    fn group() -> Option<Group> {
        match Group::open() {
            Ok(group) => Some(group),
            Err(err) => {
                crate::require::skip(&format!("needs CAP_SYS_ADMIN ({err})"));
                None
            }
        }
    }

    fn told(group: &Group, buffer: &mut [u8]) -> Vec<Event> {
        group.wait().unwrap();
        group.read(buffer).unwrap()
    }

    #[test]
    fn a_change_names_the_folder_the_name_and_the_process() {
        let Some(group) = group() else { return };
        let folder = tempfile::tempdir().unwrap();
        let place = group.mark(folder.path()).unwrap();
        std::fs::write(folder.path().join("motd"), "x").unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        let mut buffer = vec![0; 16 * 1024];
        for event in told(&group, &mut buffer) {
            assert_eq!((event.pid, event.ended, &*event.name), (own, false, &b"motd"[..]));
            assert_eq!(event.place, place);
        }
        let status = std::process::Command::new("touch").arg(folder.path().join("other")).status();
        assert!(status.unwrap().success());
        let event = told(&group, &mut buffer).remove(0);
        assert!(event.ended && event.pid != own, "{event:?}");
        assert_eq!(&*event.name, b"other");
    }

    #[test]
    fn a_group_is_handed_on_with_what_it_was_told_and_without_its_marks() {
        let Some(group) = group() else { return };
        let folder = tempfile::tempdir().unwrap();
        group.mark(folder.path()).unwrap();
        std::fs::write(folder.path().join("before"), "").unwrap();
        // As an exec does it: the number stays, whoever held it is gone.
        let number = rustix::io::dup(group.0.as_fd()).unwrap();
        let number = std::os::fd::IntoRawFd::into_raw_fd(number);
        drop(group);
        let next = Group::inherit(number).unwrap();
        std::fs::write(folder.path().join("unmarked"), "").unwrap();
        let mut buffer = vec![0; 16 * 1024];
        let names: Vec<_> = told(&next, &mut buffer).into_iter().map(|it| it.name).collect();
        assert!(!names.is_empty() && names.iter().all(|it| **it == *b"before"), "{names:?}");
        next.mark(folder.path()).unwrap();
        std::fs::write(folder.path().join("after"), "").unwrap();
        assert_eq!(&*told(&next, &mut buffer).remove(0).name, b"after");
    }

    #[test]
    fn what_was_given_up_is_in_no_set_and_opens_nothing() {
        // A thread has capabilities of its own, and this one ends with the test.
        let given_up = std::thread::spawn(|| {
            give_up_admin().unwrap();
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            (status, Group::open().err().map(|it| it.kind()))
        });
        let (status, opened) = given_up.join().unwrap();
        assert_eq!(opened, Some(io::ErrorKind::PermissionDenied));
        let bounded = rustix::thread::capabilities(None).unwrap().effective;
        let bounded = bounded.contains(CapabilitySet::SETPCAP);
        let sets = status.lines().filter_map(|it| it.strip_prefix("Cap")?.split_once(":\t"));
        for (name, bits) in sets.filter(|(name, _)| bounded || *name != "Bnd") {
            let bits = u64::from_str_radix(bits, 16).unwrap();
            let left = CapabilitySet::from_bits_retain(bits);
            let given_up = CapabilitySet::SYS_ADMIN | CapabilitySet::SETPCAP;
            assert!(!left.intersects(given_up), "{name}: {left:?}");
        }
    }

    #[test]
    fn what_is_no_group_is_not_taken_for_one() {
        for number in [-1, 0, 2, 99_999] {
            assert!(Group::inherit(number).is_err(), "{number}");
        }
        let file = tempfile::tempfile().unwrap();
        assert!(Group::inherit(file.as_raw_fd()).is_err());
        assert!(file.metadata().is_ok(), "the descriptor is still open");
    }
}
