//! Names of things on a machine, checked once, where they come in. After that no `String` holds a
//! path, a user or a unit.

use crate::text;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use thiserror::Error;

/// Why a text is not the name that it should be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{text}` is not {what}: {why}")]
pub struct BadName {
    text: String,
    what: &'static str,
    why: &'static str,
}

pub(crate) fn bad<T>(text: &str, what: &'static str, why: &'static str) -> Result<T, BadName> {
    // Control characters would reach a terminal.
    Err(BadName { text: text.escape_debug().collect(), what, why })
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(Arc<str>);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// An absolute path without `.`, `..` or empty parts; `/x/` is `/x`. What people write is UTF-8 without
/// control characters, 4,096 bytes at most, 255 a part (Linux' PATH_MAX and NAME_MAX). What a look found
/// below a directory may have any name that the kernel takes: see [`AbsPath::found`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AbsPath(Arc<str>);

/// Harmless on a terminal, whoever gave something its name.
impl fmt::Display for AbsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.chars().any(char::is_control) {
            f.write_str(&text::safe(&self.0))
        } else {
            f.write_str(&self.0)
        }
    }
}

/// Directories of every supported system that are links, and where they lead: since /usr was merged, and
/// since /run is in memory.
pub const SYSTEM_LINKS: [(&str, &str); 8] = [
    ("/bin", "/usr/bin"),
    ("/sbin", "/usr/sbin"),
    ("/lib", "/usr/lib"),
    ("/lib32", "/usr/lib32"),
    ("/lib64", "/usr/lib64"),
    ("/libx32", "/usr/libx32"),
    ("/var/run", "/run"),
    ("/var/lock", "/run/lock"),
];

impl AbsPath {
    /// The one name of what lies below a directory that is a link on every supported system: of
    /// `/lib/x` that is `/usr/lib/x`. The link itself keeps its name.
    #[must_use]
    pub fn usual(self) -> AbsPath {
        let real = SYSTEM_LINKS.iter().find_map(|(link, real)| {
            let below = self.0.strip_prefix(link)?;
            below.starts_with('/').then(|| AbsPath(format!("{real}{below}").into()))
        });
        real.unwrap_or(self)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn parse(text: &str) -> Result<AbsPath, BadName> {
        const WHAT: &str = "an absolute path";
        let trimmed = if text.len() > 1 { text.strip_suffix('/').unwrap_or(text) } else { text };
        if !trimmed.starts_with('/') {
            return bad(text, WHAT, "it must begin with `/`");
        }
        if text.len() > 4_096 {
            return bad(
                &text.chars().take(60).collect::<String>(),
                WHAT,
                "it is longer than 4,096 bytes",
            );
        }
        if text.chars().any(char::is_control) {
            return bad(text, WHAT, "it has a control character");
        }
        if trimmed != "/" {
            for part in trimmed[1..].split('/') {
                match part {
                    "" => return bad(text, WHAT, "it has an empty part"),
                    "." | ".." => return bad(text, WHAT, "it has a part `.` or `..`"),
                    _ if part.len() > 255 => {
                        return bad(text, WHAT, "a part is longer than 255 bytes");
                    }
                    _ => {}
                }
            }
        }
        Ok(AbsPath(Arc::from(trimmed)))
    }

    /// The directory that it lies in; none for `/`.
    pub fn parent(&self) -> Option<AbsPath> {
        match self.0.rsplit_once('/') {
            Some(("", "")) | None => None,
            Some(("", _)) => Some(AbsPath(Arc::from("/"))),
            Some((parent, _)) => Some(AbsPath(Arc::from(parent))),
        }
    }

    /// Its last part; empty for `/`.
    pub fn file_name(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(_, name)| name)
    }

    /// Whether it is `folder` or lies below it.
    pub fn is_within(&self, folder: &AbsPath) -> bool {
        &*folder.0 == "/"
            || self
                .0
                .strip_prefix(&*folder.0)
                .is_some_and(|it| it.is_empty() || it.starts_with('/'))
    }

    /// The path of something that a look found below this directory, by the name that the look gave it: any
    /// characters, and bytes that are no UTF-8 as [`text::of_bytes`] has them.
    pub fn found(&self, name: &str) -> AbsPath {
        AbsPath([self.0.trim_end_matches('/'), "/", name].concat().into())
    }

    /// The same from the text of a path that was found once.
    pub fn parse_found(text: &str) -> Result<AbsPath, BadName> {
        const WHAT: &str = "an absolute path";
        let Some(below) = text.strip_prefix('/') else {
            return bad(text, WHAT, "it must begin with `/`");
        };
        if !below.is_empty() && below.split('/').any(|it| ["", ".", ".."].contains(&it)) {
            return bad(text, WHAT, "it has an empty part, or a part `.` or `..`");
        }
        Ok(AbsPath(Arc::from(text)))
    }

    /// The path of `name` in this directory; `name` may have several parts.
    pub fn join(&self, name: &str) -> Result<AbsPath, BadName> {
        if &*self.0 == "/" {
            AbsPath::parse(&format!("/{name}"))
        } else {
            AbsPath::parse(&format!("{}/{name}", self.0))
        }
    }
}

name! {
    /// A user that is referred to: any name that cannot be taken for an option or break a line of
    /// /etc/passwd. What we create ourselves is narrower: [`UserName::is_creatable`].
    UserName
}

name! {
    /// A group that is referred to; see [`UserName`].
    GroupName
}

/// Rules for a reference: not empty, 255 bytes at most, no leading `-`, no `:`, `/`, white space or
/// control character, and not only digits (chown would take it for an id).
fn reference(text: &str, what: &'static str) -> Result<Arc<str>, BadName> {
    if text.is_empty() {
        return bad(text, what, "it is empty");
    }
    if text.len() > 255 {
        return bad(
            &text.chars().take(60).collect::<String>(),
            what,
            "it is longer than 255 bytes",
        );
    }
    if text.starts_with('-') {
        return bad(text, what, "it begins with `-`, as an option does");
    }
    if text
        .chars()
        .any(|it| it == ':' || it == '/' || it == ',' || it.is_whitespace() || it.is_control())
    {
        return bad(text, what, "it has a `:`, `/`, `,`, space or control character");
    }
    if text.bytes().all(|it| it.is_ascii_digit()) {
        return bad(text, what, "it is a number");
    }
    Ok(Arc::from(text))
}

/// What useradd and groupadd take without complaint: `[a-z_][a-z0-9_-]*`, 32 at most.
fn creatable(text: &str) -> bool {
    text.len() <= 32
        && text.starts_with(|it: char| it.is_ascii_lowercase() || it == '_')
        && text
            .bytes()
            .all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || b"_-".contains(&it))
}

impl UserName {
    pub fn parse(text: &str) -> Result<UserName, BadName> {
        reference(text, "a user name").map(UserName)
    }

    /// Whether we would create an account of this name: `[a-z_][a-z0-9_-]*`, 32 at most.
    pub fn is_creatable(&self) -> bool {
        creatable(&self.0)
    }
}

impl GroupName {
    pub fn parse(text: &str) -> Result<GroupName, BadName> {
        reference(text, "a group name").map(GroupName)
    }

    /// Whether we would create a group of this name: `[a-z_][a-z0-9_-]*`, 32 at most.
    pub fn is_creatable(&self) -> bool {
        creatable(&self.0)
    }
}

name! {
    /// A systemd unit with its suffix: `nginx.service`. A name without one means a service.
    UnitName
}

impl UnitName {
    pub fn parse(text: &str) -> Result<UnitName, BadName> {
        const WHAT: &str = "a unit name";
        const SUFFIXES: [&str; 11] = [
            "service",
            "socket",
            "device",
            "mount",
            "automount",
            "swap",
            "target",
            "path",
            "timer",
            "slice",
            "scope",
        ];
        // systemd.unit(5): 255 characters, letters, digits and `:-_.\@`.
        if text.is_empty() {
            return bad(text, WHAT, "it is empty");
        }
        if text.starts_with(['-', '.']) {
            return bad(text, WHAT, "it begins with `-` or `.`");
        }
        if !text.bytes().all(|it| it.is_ascii_alphanumeric() || b":-_.\\@".contains(&it)) {
            return bad(text, WHAT, "only letters, digits and `:-_.\\@` are allowed");
        }
        let whole = match text.rsplit_once('.') {
            Some((_, suffix)) if SUFFIXES.contains(&suffix) => text.to_owned(),
            Some(_) | None => format!("{text}.service"),
        };
        if whole.len() > 255 {
            return bad(text, WHAT, "it is longer than 255 bytes");
        }
        Ok(UnitName(Arc::from(whole)))
    }

    /// As people say it: without `.service`.
    pub fn short(&self) -> &str {
        self.0.strip_suffix(".service").unwrap_or(&self.0)
    }

    /// `getty@.service` of `getty@tty1.service`, whose file it has.
    pub fn template(&self) -> Option<String> {
        template_of(&self.0)
    }
}

/// The template of an instance, by their names.
pub(crate) fn template_of(unit: &str) -> Option<String> {
    let (prefix, rest) = unit.split_once('@')?;
    let (instance, suffix) = rest.rsplit_once('.')?;
    (!instance.is_empty()).then(|| format!("{prefix}@.{suffix}"))
}

name! {
    /// A Debian package, optionally with its architecture: `libc6:i386`.
    PackageName
}

impl PackageName {
    /// The architecture that it names.
    pub fn architecture(&self) -> Option<&str> {
        self.0.split_once(':').map(|(_, architecture)| architecture)
    }

    /// The same package without its architecture.
    pub fn without_architecture(&self) -> PackageName {
        PackageName(self.0.split_once(':').map_or_else(|| Arc::clone(&self.0), |(it, _)| it.into()))
    }

    /// The one name of it on a machine of this architecture: `nginx:amd64` is `nginx` on amd64.
    pub fn usual(&self, native: &str) -> PackageName {
        match self.architecture() {
            Some(it) if [native, "native", "all"].contains(&it) => self.without_architecture(),
            Some(_) | None => self.clone(),
        }
    }

    /// Debian policy 5.6.1: at least two of lower case letters, digits, `+-.`, the first alphanumeric.
    pub fn parse(text: &str) -> Result<PackageName, BadName> {
        const WHAT: &str = "a package name";
        let (name, architecture) = match text.split_once(':') {
            Some((name, architecture)) => (name, Some(architecture)),
            None => (text, None),
        };
        let fits = |it: &str| {
            it.starts_with(|it: char| it.is_ascii_lowercase() || it.is_ascii_digit())
                && it.bytes().all(|it| {
                    it.is_ascii_lowercase() || it.is_ascii_digit() || b"+-.".contains(&it)
                })
        };
        if name.len() < 2 || !fits(name) || !architecture.is_none_or(fits) || text.len() > 255 {
            return bad(text, WHAT, "lower case letters, digits, `+`, `-` and `.`, two at least");
        }
        Ok(PackageName(Arc::from(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_thing_with_and_without_its_last_slash() {
        assert_eq!(AbsPath::parse("/x/"), AbsPath::parse("/x"));
        assert_eq!(AbsPath::parse("/").unwrap().as_str(), "/");
        for bad in ["", "x", "/x//y", "/x/../y", "/x/./y", "/x\n", "/x//"] {
            assert!(AbsPath::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_lies_behind_a_link_of_every_system_has_one_name() {
        let usual = |it: &str| AbsPath::parse(it).unwrap().usual().to_string();
        assert_eq!(usual("/lib/systemd/system"), "/usr/lib/systemd/system");
        assert_eq!(usual("/bin/sh"), "/usr/bin/sh");
        assert_eq!(usual("/var/run/x.pid"), "/run/x.pid");
        assert_eq!(usual("/var/lock/x"), "/run/lock/x");
        // The links themselves, and what only begins alike.
        for same in
            ["/lib", "/var/run", "/", "/libexec/x", "/var/lockers/x", "/srv/lib/x", "/usr/lib/x"]
        {
            assert_eq!(usual(same), same);
        }
    }

    #[test]
    fn a_package_of_the_machines_architecture_has_one_name() {
        let usual = |it: &str| PackageName::parse(it).unwrap().usual("amd64").to_string();
        assert_eq!(usual("nginx:amd64"), "nginx");
        assert_eq!(usual("nginx"), "nginx");
        assert_eq!(usual("libc6:i386"), "libc6:i386");
    }

    #[test]
    fn a_path_knows_its_folder() {
        let path = AbsPath::parse("/etc/motd").unwrap();
        assert_eq!(path.parent().unwrap().as_str(), "/etc");
        assert_eq!(path.parent().unwrap().parent().unwrap().as_str(), "/");
        assert_eq!(path.file_name(), "motd");
        assert!(path.is_within(&AbsPath::parse("/etc").unwrap()));
        assert!(!path.is_within(&AbsPath::parse("/et").unwrap()));
    }

    #[test]
    fn a_name_is_never_an_option() {
        for bad in ["-o", "", "a:b", "a b", "a\nb", "a/b", "12"] {
            assert!(UserName::parse(bad).is_err(), "{bad}");
        }
        assert!(UserName::parse("Debian-exim").is_ok_and(|it| !it.is_creatable()));
        assert!(UserName::parse("deploy").is_ok_and(|it| it.is_creatable()));
    }

    #[test]
    fn a_unit_without_a_suffix_is_a_service() {
        assert_eq!(UnitName::parse("nginx").unwrap().as_str(), "nginx.service");
        assert_eq!(UnitName::parse("apt-daily.timer").unwrap().as_str(), "apt-daily.timer");
        assert_eq!(UnitName::parse("php8.2-fpm").unwrap().as_str(), "php8.2-fpm.service");
        assert!(UnitName::parse("-x").is_err() && UnitName::parse("a/b").is_err());
    }

    #[test]
    fn package_names_are_debians() {
        assert!(
            PackageName::parse("libstdc++6").is_ok() && PackageName::parse("libc6:i386").is_ok()
        );
        for bad in ["", "a", "-y", "Nginx", "a b", "nginx:", "nginx=1"] {
            assert!(PackageName::parse(bad).is_err(), "{bad}");
        }
    }
}
