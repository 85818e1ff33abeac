//! Where a service is asked over HTTP whether it is healthy: this machine alone, without a name or a password.

use crate::text;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

const URL_MAX: usize = 2048;

/// What is asked over HTTP: `http://127.0.0.1:8081/health`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HealthUrl {
    text: Arc<str>,
    place: Place,
    port: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
enum Place {
    /// 127.0.0.1, else ::1.
    Localhost,
    Address(IpAddr),
}

const SCHEME: &str = "http://";

impl HealthUrl {
    pub fn parse(text: &str) -> Result<HealthUrl, BadUrl> {
        let bad = |why| Err(BadUrl { text: text::safe_start(text, 100), why });
        if text.len() > URL_MAX {
            return bad("it is longer than 2048 bytes");
        }
        let Some(rest) = text.strip_prefix(SCHEME) else {
            return bad("it does not begin with http://");
        };
        if !text.bytes().all(|it| it.is_ascii_graphic()) {
            return bad("spaces, control characters and other letters than ASCII are written %XX");
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if authority.contains('@') {
            return bad("it cannot carry a name or a password");
        }
        if rest.contains('#') {
            return bad("a fragment (#) is never sent");
        }
        if target.starts_with('?') {
            return bad("a path comes before `?`");
        }
        let (place, port) = match place_and_port(authority) {
            Ok(found) => found,
            Err(why) => return bad(why),
        };
        Ok(HealthUrl { text: Arc::from(text), place, port })
    }

    /// What stands in the first line of the request.
    pub(super) fn target(&self) -> &str {
        let rest = &self.text[SCHEME.len()..];
        rest.find('/').map_or("/", |at| &rest[at..])
    }

    /// As it is written, the port with it.
    pub(super) fn host(&self) -> &str {
        let rest = &self.text[SCHEME.len()..];
        &rest[..rest.find('/').unwrap_or(rest.len())]
    }

    /// All places where it may be asked.
    pub fn places(&self) -> Vec<SocketAddr> {
        let (first, second) = self.addresses();
        std::iter::once(first).chain(second).collect()
    }

    /// Where it is asked, and where else.
    pub(super) fn addresses(&self) -> (SocketAddr, Option<SocketAddr>) {
        let at = |address: IpAddr| SocketAddr::new(address, self.port);
        match self.place {
            Place::Localhost => {
                (at(Ipv4Addr::LOCALHOST.into()), Some(at(Ipv6Addr::LOCALHOST.into())))
            }
            Place::Address(address) => (at(address), None),
        }
    }
}

/// What stands between `http://` and the path: `127.0.0.1:8081`, `[::1]`, `localhost`.
fn place_and_port(authority: &str) -> Result<(Place, u16), &'static str> {
    // An IPv6 address has its own colons, and stands in brackets.
    let (place, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or("`[` is not closed")?;
        let address: Ipv6Addr =
            host.parse().map_err(|_| "what is in brackets is not an IPv6 address")?;
        (Place::Address(address.into()), port)
    } else {
        let end = authority.find(':').unwrap_or(authority.len());
        let (host, port) = authority.split_at(end);
        let place = match host.parse::<Ipv4Addr>() {
            Ok(address) => Place::Address(address.into()),
            Err(_) if host == "localhost" => Place::Localhost,
            Err(_) => return Err("its host is neither localhost nor an IP address"),
        };
        (place, port)
    };
    let number = match port.strip_prefix(':') {
        None if port.is_empty() => Some(80),
        Some(digits) if digits.bytes().all(|it| it.is_ascii_digit()) => {
            digits.parse().ok().filter(|it| *it > 0)
        }
        None | Some(_) => None,
    };
    Ok((place, number.ok_or("its port is not a number from 1 to 65535")?))
}

impl fmt::Display for HealthUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Why a text is nothing that can be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a URL for health: {why}")]
pub struct BadUrl {
    text: String,
    why: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_http_of_an_address_and_nothing_else() {
        for good in [
            "http://localhost",
            "http://127.0.0.1:8081/health",
            "http://[::1]:80/a?b=c&d=/e",
            "http://10.1.2.3/%20",
        ] {
            assert_eq!(HealthUrl::parse(good).unwrap().to_string(), good);
        }
        for (bad, why) in [
            ("", "it does not begin with http://"),
            ("https://localhost/", "it does not begin with http://"),
            ("HTTP://localhost/", "it does not begin with http://"),
            ("http://", "its host is neither localhost nor an IP address"),
            ("http:///x", "its host is neither localhost nor an IP address"),
            ("http://www.xyz.example/", "its host is neither localhost nor an IP address"),
            ("http://127.1/", "its host is neither localhost nor an IP address"),
            ("http://[::1", "`[` is not closed"),
            ("http://[x]/", "what is in brackets is not an IPv6 address"),
            ("http://[::1]80/", "its port is not a number from 1 to 65535"),
            ("http://localhost:/", "its port is not a number from 1 to 65535"),
            ("http://localhost:0/", "its port is not a number from 1 to 65535"),
            ("http://localhost:+80/", "its port is not a number from 1 to 65535"),
            ("http://localhost:65536/", "its port is not a number from 1 to 65535"),
            ("http://root:x@localhost/", "it cannot carry a name or a password"),
            ("http://localhost/#x", "a fragment (#) is never sent"),
            ("http://localhost?x", "a path comes before `?`"),
            (
                "http://localhost/ HTTP/1.1\r\nX: y",
                "spaces, control characters and other letters than ASCII are written %XX",
            ),
        ] {
            let found = HealthUrl::parse(bad).unwrap_err();
            assert_eq!(found.why, why, "{bad}");
        }
    }
}
