//! The name of the machine: what a name may be, and the one that the kernel has. The file that it is read
//! from at boot is a file like others.

use crate::command::Command;
use crate::names::{BadName, bad};
use crate::{ErrorKind, Host, SystemError};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// What Linux takes at most (HOST_NAME_MAX).
pub const LONGEST: usize = 64;

/// A name that a machine can be given: RFC 1123, 2.1, as hostname(5) and hostname(7) narrow it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name(Arc<str>);

impl Name {
    pub fn parse(text: &str) -> Result<Name, BadName> {
        const WHAT: &str = "a hostname";
        if text.len() > LONGEST {
            let shown: String = text.chars().take(LONGEST).collect();
            return bad(&format!("{shown}…"), WHAT, "it is longer than 64 bytes");
        }
        let fits = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-';
        for label in text.split('.') {
            let why = if label.is_empty() {
                "it is empty, or a label is (a `.` at the beginning, at the end, or twice)"
            } else if !label.bytes().all(fits) {
                "only lower case letters, digits, `-` and `.` are allowed"
            } else if label.starts_with('-') || label.ends_with('-') {
                "a label begins or ends with `-`"
            } else if label.len() > 63 {
                "a label is longer than 63 bytes"
            } else {
                continue;
            };
            return bad(text, WHAT, why);
        }
        let last = text.rsplit('.').next().unwrap_or(text);
        if last.bytes().all(|it| it.is_ascii_digit()) {
            return bad(text, WHAT, "its last label is a number, as in an address");
        }
        if text == "localhost" || text.ends_with(".localhost") {
            return bad(text, WHAT, "every machine is `localhost` to itself");
        }
        Ok(Name(Arc::from(text)))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What may be asked.
pub trait Read: fmt::Debug {
    /// The name that the kernel has now, whoever gave it.
    fn running_hostname(&self) -> Result<Arc<str>, SystemError>;
}

/// What may be done.
pub trait Write {
    /// Gives the kernel another name, until the next boot. It may be one that is no [`Name`], as what was
    /// there before may be.
    fn set_running_hostname(&self, name: &str) -> Result<(), SystemError>;
}

impl Read for Host {
    fn running_hostname(&self) -> Result<Arc<str>, SystemError> {
        Ok(Arc::from(rustix::system::uname().nodename().to_string_lossy()))
    }
}

impl Write for Host {
    /// The kernel tells those who wait for it (/proc/sys/kernel/hostname), so hostnamed is not needed for this,
    /// nor a bus. Only who has given up the right to do it, as the agent has, asks hostnamed.
    fn set_running_hostname(&self, name: &str) -> Result<(), SystemError> {
        let during = || format!("set the running hostname to {}", name.escape_debug());
        if name.len() > LONGEST {
            return Err(
                SystemError::new(ErrorKind::Other, "it is longer than 64 bytes").during(during())
            );
        }
        let result = match rustix::system::sethostname(name.as_bytes()) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::PERM) => Command::tool("hostnamectl")
                .args(["--transient", "set-hostname", name])
                .succeed()
                .map(drop),
            Err(err) => Err(SystemError::io("sethostname", err)),
        };
        tracing::debug!(name, done = result.is_ok(), "running hostname set");
        result.map_err(|err| err.during(during()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostname_has_the_labels_of_rfc_1123_and_64_bytes() {
        let longest = format!("{}.{}", "a".repeat(60), "b".repeat(3));
        for good in
            ["web-1", "web-1.example.org", "3com.example", "a", "xn--bcher-kva.example", &longest]
        {
            assert_eq!(Name::parse(good).unwrap().as_str(), good);
        }
        let label = "a".repeat(64);
        for bad in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "-a",
            "a-",
            "a.-b",
            "a-.b",
            "Web",
            "a_b",
            "a b",
            "a/b",
            "ä",
            "a\n",
            "10",
            "192.0.2.1",
            "localhost",
            "a.localhost",
            &label,
        ] {
            assert!(Name::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(
            Name::parse(&"a.".repeat(33)).unwrap_err().to_string(),
            format!("`{}…` is not a hostname: it is longer than 64 bytes", "a.".repeat(32))
        );
    }
}
