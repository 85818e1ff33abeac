//! Sockets of this machine: who listens on a port, and how many connections are open. Of the network that this
//! program is in: a service with a network of its own (PrivateNetwork=) is not seen.

mod diag;
mod owner;

use std::net::{IpAddr, SocketAddr};

pub use diag::{bound, established};
pub use owner::{Owner, owner};

/// One socket, as the kernel lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    pub is_udp: bool,
    pub local: SocketAddr,
    pub inode: u32,
    /// The number of the control group that it was made in; none where the kernel does not say (before 5.8, or
    /// without control groups of version 2).
    pub group: Option<u64>,
    /// Whether it is of IPv6 alone.
    pub only_v6: bool,
}

impl Socket {
    /// Whether it takes what is sent to this address.
    pub fn takes(&self, address: IpAddr) -> bool {
        let (own, address) = (self.local.ip().to_canonical(), address.to_canonical());
        match (self.local.ip(), own.is_unspecified()) {
            (IpAddr::V6(_), true) => address.is_ipv6() || !self.only_v6,
            (IpAddr::V4(_), true) => address.is_ipv4(),
            (IpAddr::V4(_) | IpAddr::V6(_), false) => own == address,
        }
    }

    /// Whether it keeps others from this address, or from all addresses where none is said.
    pub fn occupies(&self, address: Option<IpAddr>) -> bool {
        let Some(address) = address else { return true };
        let own = self.local.ip().to_canonical();
        match address.is_unspecified() {
            // All addresses of one kind; those of IPv6 hold those of IPv4 too, where nobody has said otherwise.
            true => address.is_ipv6() || own.is_ipv4() || self.takes(address),
            false => self.takes(address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(local: &str, only_v6: bool) -> Socket {
        let local = local.parse().unwrap();
        Socket { is_udp: false, local, inode: 1, group: None, only_v6 }
    }

    #[test]
    fn a_socket_takes_what_is_sent_to_its_address() {
        let takes = |local, only, to: &str| socket(local, only).takes(to.parse().unwrap());
        assert!(takes("0.0.0.0:80", false, "127.0.0.1"));
        assert!(!takes("0.0.0.0:80", false, "::1"));
        assert!(takes("[::]:80", false, "127.0.0.1") && takes("[::]:80", true, "::1"));
        assert!(!takes("[::]:80", true, "127.0.0.1"));
        assert!(takes("127.0.0.1:80", false, "127.0.0.1"));
        assert!(!takes("127.0.0.1:80", false, "127.0.0.2"));
        let occupies = |local, only, to: Option<&str>| {
            socket(local, only).occupies(to.map(|it| it.parse().unwrap()))
        };
        assert!(occupies("127.0.0.2:80", false, None));
        assert!(occupies("127.0.0.2:80", false, Some("0.0.0.0")));
        assert!(occupies("127.0.0.2:80", false, Some("::")));
        assert!(!occupies("[::1]:80", false, Some("0.0.0.0")));
        assert!(!occupies("127.0.0.2:80", false, Some("127.0.0.1")));
    }

    #[test]
    fn the_kernel_lists_who_listens_and_who_is_connected() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let client = std::net::TcpStream::connect(at).unwrap();
        let bound = bound().unwrap();
        assert!(bound.iter().any(|it| !it.is_udp && it.local == at && it.inode > 0));
        let its = udp.local_addr().unwrap();
        assert!(bound.iter().any(|it| it.is_udp && it.local == its));
        let connected: Vec<SocketAddr> = established().unwrap().iter().map(|it| it.local).collect();
        assert!(connected.contains(&at), "the side of the server, though nobody has accepted");
        assert!(connected.contains(&client.local_addr().unwrap()));
    }
}
