//! The kernel's list of sockets (sock_diag(7)): it takes no capability, and says in which control group each socket
//! was made.

use super::Socket;
use crate::SystemError;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto,
    setsockopt, socket, sockopt::ReceiveTimeout,
};
use nix::sys::time::{TimeVal, TimeValLike as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd as _, OwnedFd};

/// States of TCP, as bits; a UDP socket that is bound and not connected is closed, by this word.
const ESTABLISHED: u32 = 1 << 1;
const CLOSED: u32 = 1 << 7;
const LISTEN: u32 = 1 << 10;

/// Numbers of the protocols.
const TCP: u8 = 6;
const UDP: u8 = 17;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const REQUEST_DUMP: u16 = 0x301;
const INTERRUPTED: u16 = 0x10;
const MESSAGE_ERROR: u16 = 2;
const MESSAGE_DONE: u16 = 3;
/// struct nlmsghdr, struct inet_diag_msg.
const HEADER: usize = 16;
const ABOUT: usize = 72;
const SKV6ONLY: u16 = 11;
const CGROUP_ID: u16 = 21;

/// So often a list is asked for that changes while it is read.
const TRIES: usize = 5;
/// The kernel answers at once.
const PATIENCE: i64 = 5;

#[derive(Clone, Copy)]
struct Question {
    family: AddressFamily,
    protocol: u8,
    states: u32,
}

/// Who listens: TCP sockets that do, and UDP sockets that are bound and not connected.
pub fn bound() -> Result<Vec<Socket>, SystemError> {
    let mut all = list(TCP, LISTEN)?;
    all.extend(list(UDP, CLOSED)?);
    Ok(all)
}

/// The TCP connections that are open; both ends where both are here.
pub fn established() -> Result<Vec<Socket>, SystemError> {
    list(TCP, ESTABLISHED)
}

fn list(protocol: u8, states: u32) -> Result<Vec<Socket>, SystemError> {
    let failed = |err: Errno| SystemError::io("list the sockets of this machine", err);
    let mut all = vec![];
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let question = Question { family, protocol, states };
        let mut tries = 0;
        loop {
            let (found, is_whole) = ask(question).map_err(failed)?;
            tries += 1;
            if is_whole || tries == TRIES {
                all.extend(found);
                break;
            }
        }
    }
    Ok(all)
}

/// What there is, and whether nothing changed meanwhile.
fn ask(question: Question) -> Result<(Vec<Socket>, bool), Errno> {
    let diag = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkSockDiag,
    )?;
    setsockopt(&diag, ReceiveTimeout, &TimeVal::seconds(PATIENCE))?;
    sendto(diag.as_raw_fd(), &request(question), &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    read(&diag, question.protocol)
}

fn request(question: Question) -> Vec<u8> {
    let mut body = vec![question.family as u8, question.protocol, u8::MAX, 0];
    body.extend(question.states.to_ne_bytes());
    body.extend([0; 48]);
    let mut all = vec![];
    let length = u32::try_from(HEADER + body.len()).unwrap_or(0);
    all.extend(length.to_ne_bytes());
    all.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    all.extend(REQUEST_DUMP.to_ne_bytes());
    all.extend([0; 8]);
    all.extend(body);
    all
}

fn read(diag: &OwnedFd, protocol: u8) -> Result<(Vec<Socket>, bool), Errno> {
    let (mut all, mut is_whole) = (vec![], true);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = match recv(diag.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Ok(length) => length,
            Err(Errno::EINTR) => continue,
            Err(err) => return Err(err),
        };
        let mut rest = &buffer[..length];
        while let (Some(size), Some(kind), Some(flags)) =
            (u32_at(rest, 0), u16_at(rest, 4), u16_at(rest, 6))
        {
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            let Some(body) = rest.get(HEADER..size) else { return Err(Errno::EBADMSG) };
            is_whole &= flags & INTERRUPTED == 0;
            match kind {
                MESSAGE_DONE => return Ok((all, is_whole)),
                MESSAGE_ERROR => {
                    let code = u32_at(body, 0).map_or(0, u32::cast_signed);
                    return Err(Errno::from_raw(code.saturating_neg()));
                }
                SOCK_DIAG_BY_FAMILY => all.extend(one(body, protocol)),
                _ => {}
            }
            rest = rest.get(aligned(size)..).unwrap_or_default();
        }
    }
}

fn one(body: &[u8], protocol: u8) -> Option<Socket> {
    let family = *body.first()?;
    let port = u16::from_be_bytes(body.get(4..6)?.try_into().ok()?);
    let address = body.get(8..24)?;
    let address: IpAddr = if i32::from(family) == AddressFamily::Inet as i32 {
        Ipv4Addr::from(<[u8; 4]>::try_from(address.get(..4)?).ok()?).into()
    } else {
        Ipv6Addr::from(<[u8; 16]>::try_from(address).ok()?).into()
    };
    let inode = u32_at(body, 68)?;
    let (mut group, mut only_v6) = (None, false);
    let mut rest = body.get(ABOUT..)?;
    while let (Some(size), Some(kind)) = (u16_at(rest, 0), u16_at(rest, 2)) {
        let Some(value) = rest.get(4..usize::from(size)) else { break };
        match kind {
            CGROUP_ID => group = value.try_into().ok().map(u64::from_ne_bytes),
            SKV6ONLY => only_v6 = value.first() == Some(&1),
            _ => {}
        }
        rest = rest.get(aligned(usize::from(size))..).unwrap_or_default();
    }
    let is_udp = protocol == UDP;
    Some(Socket { is_udp, local: SocketAddr::new(address, port), inode, group, only_v6 })
}

fn aligned(size: usize) -> usize {
    size.saturating_add(3) & !3
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
