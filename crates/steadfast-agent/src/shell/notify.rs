//! Telling systemd how it goes: sd_notify(3), which is a datagram.

use rustix::net::{SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;

#[derive(Debug)]
pub(super) struct Notify(Option<(OwnedFd, SocketAddrUnix)>);

impl Notify {
    /// With what `$NOTIFY_SOCKET` says; without it, nobody is told anything.
    pub(super) fn new(address: Option<OsString>) -> Notify {
        Notify(address.and_then(|it| connect(it.as_bytes())))
    }

    pub(super) fn say(&self, words: &str) {
        if let Some((socket, address)) = &self.0 {
            // A manager that is gone or busy is no reason to stop.
            let _unheard =
                rustix::net::sendto(socket, words.as_bytes(), SendFlags::NOSIGNAL, address);
        }
    }
}

fn connect(address: &[u8]) -> Option<(OwnedFd, SocketAddrUnix)> {
    let address = match address {
        [b'@', name @ ..] => SocketAddrUnix::new_abstract_name(name).ok()?,
        [b'/', ..] => SocketAddrUnix::new(address).ok()?,
        _ => return None,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket =
        rustix::net::socket_with(rustix::net::AddressFamily::UNIX, SocketType::DGRAM, flags, None);
    Some((socket.ok()?, address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;

    #[test]
    fn what_is_said_arrives_as_one_datagram() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let heard = UnixDatagram::bind(&path).unwrap();
        Notify::new(Some(path.into())).say("READY=1");
        let mut bytes = [0; 64];
        let length = heard.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..length], b"READY=1");
        Notify::new(Some("nonsense".into())).say("to nobody");
        Notify::new(None).say("to nobody");
    }
}
