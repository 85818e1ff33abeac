//! The sockets that listen on ports, as `/proc/net` shows those of our network namespace.

use super::Port;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The state of a TCP socket that listens.
const LISTEN: &str = "0A";

/// A socket, by its number, and the ports of the question that it listens on.
pub(super) type Socket = (u64, usize);

pub(super) fn listening(ports: &[Port]) -> io::Result<Vec<Socket>> {
    let mut sockets = vec![];
    for (table, is_udp) in [("tcp", false), ("tcp6", false), ("udp", true), ("udp6", true)] {
        if !ports.iter().any(|it| it.is_udp == is_udp) {
            continue;
        }
        match std::fs::read_to_string(format!("/proc/net/{table}")) {
            Ok(text) => sockets.extend(of_table(&text, is_udp, ports)),
            // A kernel without IPv6.
            Err(err) if err.kind() == io::ErrorKind::NotFound => {}
            Err(err) => return Err(err),
        }
    }
    Ok(sockets)
}

fn of_table(text: &str, is_udp: bool, ports: &[Port]) -> Vec<Socket> {
    let mut sockets = vec![];
    for line in text.lines().skip(1) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, local, remote, state, _, _, _, _, _, inode, ..] = &words[..] else { continue };
        // What is connected to somebody takes nobody else's packets.
        let is_open = if is_udp { remote.ends_with(":0000") } else { *state == LISTEN };
        let (Some((address, port)), Ok(inode)) = (place(local), inode.parse()) else { continue };
        if !is_open || inode == 0 {
            continue;
        }
        let its = ports.iter().enumerate().filter(|(_, it)| it.is_udp == is_udp);
        sockets.extend(its.filter(|(_, it)| it.is_at(address, port)).map(|(at, _)| (inode, at)));
    }
    sockets
}

/// `0100007F:1F91`: in words of 32 bits, each in the order of the machine.
fn place(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let words: Option<Vec<[u8; 4]>> = (0..address.len())
        .step_by(8)
        .map(|at| Some(u32::from_str_radix(address.get(at..at + 8)?, 16).ok()?.to_ne_bytes()))
        .collect();
    let bytes = words?.concat();
    let address = match <[u8; 16]>::try_from(&bytes[..]) {
        Ok(bytes) => Ipv6Addr::from(bytes).to_canonical(),
        Err(_) => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(&bytes[..]).ok()?)),
    };
    Some((address, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(number: u16, is_udp: bool, address: Option<&str>) -> Port {
        Port { number, is_udp, address: address.map(|it| it.parse().unwrap()) }
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn who_listens_is_told_apart_from_who_is_connected() {
        let head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
        let rest = "00000000:00000000 00:00000000 00000000     0        0";
        let text = format!(
            "{head}   0: 0100007F:1F91 00000000:0000 0A {rest} 11 1 0\n   \
             1: 0100007F:1F91 0100007F:9000 01 {rest} 12 1 0\n   \
             2: 00000000:1F92 00000000:0000 0A {rest} 13 1 0\n   \
             3: short\n   \
             4: 0000000000000000FFFF00000100007F:1F91 00000000000000000000000000000000:0000 0A {rest} 14 1 0\n"
        );
        let ports = [
            port(8081, false, None),
            port(8081, false, Some("127.0.0.1")),
            port(8081, false, Some("10.0.0.1")),
            port(8082, false, Some("10.0.0.1")),
            port(8081, true, None),
        ];
        let found = of_table(&text, false, &ports);
        assert_eq!(found, [(11, 0), (11, 1), (13, 3), (14, 0), (14, 1)]);
    }
}
