//! Telling systemd how it goes: sd_notify(3). The words are those of `sd-notify`. They are sent from here,
//! because the loop must not wait for a manager that does not read, and because a manager in a container
//! may listen under an abstract name.

use rustix::net::{
    AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, sendto, socket_with,
};
use sd_notify::NotifyState;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;

#[derive(Debug)]
pub(super) struct Manager {
    /// Nothing where nobody wants to know.
    socket: Option<(OwnedFd, SocketAddrUnix)>,
    /// It has heard that we are ready.
    is_ready: bool,
    /// The line that it shows, as far as it has heard it.
    status: String,
}

impl Manager {
    /// The one that `$NOTIFY_SOCKET` names.
    #[expect(clippy::disallowed_methods, reason = "systemd says it to the main process alone")]
    pub(super) fn from_environment() -> Manager {
        Manager::new(std::env::var_os("NOTIFY_SOCKET"))
    }

    fn new(address: Option<OsString>) -> Manager {
        let socket = address.and_then(|it| open(it.as_bytes()));
        Manager { socket, is_ready: false, status: String::new() }
    }

    /// We are ready, and the loop turns: said at the start, and at each turn. A manager that was busy hears
    /// the one and the other the next time.
    pub(super) fn ping(&mut self) {
        if self.is_ready {
            self.tell(&[NotifyState::Watchdog]);
        } else {
            self.is_ready = self.tell(&[NotifyState::Ready, NotifyState::Watchdog]);
        }
    }

    /// The line that `systemctl status` shows.
    pub(super) fn show(&mut self, line: &str) {
        if self.status != line && self.tell(&[NotifyState::Status(line)]) {
            line.clone_into(&mut self.status);
        }
    }

    pub(super) fn stopping(&self) {
        self.tell(&[NotifyState::Stopping]);
    }

    /// Whether it was taken, or nobody wants to know. A manager that is gone or busy is no reason to wait.
    fn tell(&self, states: &[NotifyState<'_>]) -> bool {
        let Some((socket, address)) = &self.socket else { return true };
        let text = states.iter().fold(String::new(), |mut text, state| {
            // Writing into a string cannot fail.
            let _written = writeln!(text, "{state}");
            text
        });
        sendto(socket, text.as_bytes(), SendFlags::NOSIGNAL, address).is_ok()
    }
}

fn open(address: &[u8]) -> Option<(OwnedFd, SocketAddrUnix)> {
    let address = match address {
        [b'@', name @ ..] => SocketAddrUnix::new_abstract_name(name).ok()?,
        [b'/', ..] => SocketAddrUnix::new(address).ok()?,
        _ => return None,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Some((socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None).ok()?, address))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test plays everybody else's part")]

    use super::*;
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    use std::time::{Duration, Instant};

    fn heard(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 256];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    #[test]
    fn a_manager_that_does_not_read_stops_nobody_and_hears_the_rest_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        // Somebody has filled its queue already.
        let others = UnixDatagram::unbound().unwrap();
        others.set_nonblocking(true).unwrap();
        let mut waiting = 0;
        while others.send_to(b"x", &path).is_ok() {
            waiting += 1;
        }
        let mut manager = Manager::new(Some(path.clone().into()));
        let began = Instant::now();
        manager.ping();
        manager.show("keeps a");
        manager.stopping();
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());

        for _ in 0..waiting {
            assert_eq!(heard(&socket), "x");
        }
        manager.ping();
        assert_eq!(heard(&socket), "READY=1\nWATCHDOG=1\n");
        manager.ping();
        assert_eq!(heard(&socket), "WATCHDOG=1\n");
        manager.show("keeps a");
        manager.show("keeps a");
        manager.show("keeps b");
        assert_eq!(heard(&socket), "STATUS=keeps a\n");
        assert_eq!(heard(&socket), "STATUS=keeps b\n");
        // It is gone, and nobody waits for it either.
        drop(socket);
        manager.ping();
    }

    #[test]
    fn a_manager_may_have_an_abstract_name_or_none() {
        let name = format!("steadfast-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        Manager::new(Some(format!("@{name}").into())).stopping();
        assert_eq!(heard(&socket), "STOPPING=1\n");
        for nobody in [Some("nonsense".into()), None] {
            let mut manager = Manager::new(nobody);
            manager.ping();
            assert!(manager.is_ready);
        }
    }
}
