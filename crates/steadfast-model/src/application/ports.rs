//! Ports that a component promises to listen on: `8081`, `53/udp`, `127.0.0.1:8081`.

use std::fmt;
use std::net::IpAddr;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Of every address where none is said.
    pub address: Option<IpAddr>,
    pub number: u16,
    pub is_udp: bool,
}

impl Port {
    /// Whether one listener would keep the other from its port.
    pub fn meets(&self, other: &Port) -> bool {
        let addresses = match (self.address, other.address) {
            (Some(one), Some(other)) => {
                one == other || one.is_unspecified() || other.is_unspecified()
            }
            (None, _) | (_, None) => true,
        };
        self.number == other.number && self.is_udp == other.is_udp && addresses
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(IpAddr::V6(address)) => write!(f, "[{address}]:")?,
            Some(IpAddr::V4(address)) => write!(f, "{address}:")?,
            None => {}
        }
        write!(f, "{}{}", self.number, if self.is_udp { "/udp" } else { "" })
    }
}

pub(super) fn parse_port(text: &str) -> Result<Port, String> {
    let refuse = || format!("`{text}` is not a port: 8081, 53/udp, 127.0.0.1:8081 or [::1]:8081");
    let (place, is_udp) = match text.rsplit_once('/') {
        Some((place, "udp")) => (place, true),
        Some((place, "tcp")) => (place, false),
        Some(_) => return Err(refuse()),
        None => (text, false),
    };
    let (address, number) = match place.rsplit_once(':') {
        Some((address, number)) => {
            let inner = address.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
            let address: IpAddr = inner.unwrap_or(address).parse().map_err(|_| refuse())?;
            if address.is_ipv6() != inner.is_some() {
                return Err(refuse());
            }
            (Some(address), number)
        }
        None => (None, place),
    };
    let is_plain = number.bytes().all(|it| it.is_ascii_digit()) && !number.starts_with('0');
    let number = number.parse::<u16>().ok().filter(|_| is_plain).ok_or_else(refuse)?;
    Ok(Port { address, number, is_udp })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(text: &str) -> Port {
        parse_port(text).unwrap()
    }

    #[test]
    fn a_port_may_have_an_address_and_a_protocol() {
        for text in ["8081", "53/udp", "127.0.0.1:8081", "[::1]:80", "0.0.0.0:53/udp"] {
            assert_eq!(port(text).to_string(), text);
        }
        assert_eq!(port("80/tcp").to_string(), "80");
        for bad in [
            "",
            "0",
            "080",
            "65536",
            "80/sctp",
            "localhost:80",
            "::1:80",
            "[127.0.0.1]:80",
            "-1",
            "80/",
        ] {
            assert!(parse_port(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn two_listeners_meet_on_one_port_of_one_address() {
        assert!(port("80").meets(&port("127.0.0.1:80")));
        assert!(port("0.0.0.0:80").meets(&port("127.0.0.1:80")));
        assert!(!port("127.0.0.2:80").meets(&port("127.0.0.1:80")));
        assert!(!port("80").meets(&port("80/udp")));
        assert!(!port("80").meets(&port("81")));
    }
}
