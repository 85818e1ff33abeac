//! The journal's own protocol: a datagram of fields, so that what happened can be asked for by them:
//! `journalctl STEADFAST_PROMISE=file:/etc/motd`. The words are those that everybody reads.

use super::fields::Fields;
use super::level::Level;
use super::line::one_line;
use rustix::net::{SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use std::os::fd::OwnedFd;

/// The journal's socket.
#[derive(Debug)]
pub struct Journal {
    socket: OwnedFd,
    address: SocketAddrUnix,
}

pub const SOCKET: &str = "/run/systemd/journal/socket";

/// So many lines of a value are told; each is bounded by itself.
pub(super) const LINES: usize = 20;
/// So many promises are told of one event.
const PROMISES: usize = 50;

impl Journal {
    pub fn new(path: &str) -> Option<Journal> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let family = rustix::net::AddressFamily::UNIX;
        let socket = rustix::net::socket_with(family, SocketType::DGRAM, flags, None).ok()?;
        Some(Journal { socket, address: SocketAddrUnix::new(path).ok()? })
    }

    /// Whether it was taken: a journal that is gone or busy is no reason to wait.
    pub(super) fn take(&self, level: Level, fields: &Fields) -> bool {
        let bytes = datagram(level, fields);
        rustix::net::sendto(&self.socket, &bytes, SendFlags::NOSIGNAL, &self.address).is_ok()
    }
}

/// A line each, and with its length where a value has lines.
pub(super) fn datagram(level: Level, fields: &Fields) -> Vec<u8> {
    let mut all = vec![];
    put(&mut all, "MESSAGE", &fields.message);
    put(&mut all, "PRIORITY", &level.priority().to_string());
    put(&mut all, "SYSLOG_IDENTIFIER", "steadfast");
    for (key, name) in [
        ("MESSAGE_ID", "message_id"),
        ("STEADFAST_EVENT", "event"),
        ("STEADFAST_REVISION", "revision"),
        ("STEADFAST_REASON", "reason"),
        ("STEADFAST_CHANGED_BY", "changed_by"),
    ] {
        fields.get(name).iter().for_each(|it| put(&mut all, key, it));
    }
    // One a line.
    for promise in fields.get("promises").iter().flat_map(|it| it.lines()).take(PROMISES) {
        put(&mut all, "STEADFAST_PROMISE", promise);
    }
    all
}

fn put(all: &mut Vec<u8>, key: &str, value: &str) {
    let lines: Vec<String> =
        value.lines().filter(|it| !it.trim().is_empty()).take(LINES).map(one_line).collect();
    let value = lines.join("\n");
    all.extend(key.as_bytes());
    if lines.len() > 1 {
        all.push(b'\n');
        all.extend((value.len() as u64).to_le_bytes());
    } else {
        all.push(b'=');
    }
    all.extend(value.as_bytes());
    all.push(b'\n');
}
