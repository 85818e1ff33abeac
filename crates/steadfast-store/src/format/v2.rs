//! Version 2 of what the database holds: what runs made, and what was there before. Everything else is
//! as in version 1. The values of settings are there since version 3.

use super::v1::unhex;
use serde::{Deserialize, Serialize};
use steadfast_engine::{Scope, UndoEntry};
use steadfast_model::PromiseId;
use steadfast_resources::identity::Setting;
use steadfast_resources::runner::Consequence;
use steadfast_resources::{Facet, FacetState as Domain, undo};
use steadfast_system::files::Mode;
use steadfast_system::text::hex;
use steadfast_system::{AbsPath, GroupName, PackageName, UnitName, UserName};

/// What is known of one thing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub before: Condition,
    pub left: Condition,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub readers: Vec<Reader>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub begun: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reader {
    pub unit: String,
    pub owes: super::v1::Action,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Condition {
    Nothing,
    File {
        /// SHA-256; none where nothing was done to the content.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        digest: Option<String>,
        /// The same, with the key of this node.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        keyed: Option<String>,
        uid: u32,
        gid: u32,
        mode: String,
    },
    Directory {
        uid: u32,
        gid: u32,
        mode: String,
    },
    Link {
        target: String,
        uid: u32,
        gid: u32,
    },
    Group {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gid: Option<u32>,
    },
    User {
        /// SHA-256 of its line in /etc/passwd, without the password.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        line: Option<String>,
    },
    /// SHA-256 of our block in the file.
    Keys {
        block: String,
    },
    There,
    Masked,
    /// The value of a setting.
    Text {
        text: String,
    },
    #[default]
    Unknown,
}

impl From<&Domain> for Condition {
    fn from(domain: &Domain) -> Condition {
        match domain {
            Domain::Nothing => Condition::Nothing,
            Domain::File { content, uid, gid, mode } => {
                let (digest, keyed) = match content {
                    undo::Content::Unsaid => (None, None),
                    undo::Content::Digest(it) => (Some(hex(it)), None),
                    undo::Content::Keyed(it) => (None, Some(hex(it))),
                };
                Condition::File { digest, keyed, uid: *uid, gid: *gid, mode: mode.to_string() }
            }
            Domain::Directory { uid, gid, mode } => {
                Condition::Directory { uid: *uid, gid: *gid, mode: mode.to_string() }
            }
            Domain::Link { target, uid, gid } => {
                Condition::Link { target: target.to_string(), uid: *uid, gid: *gid }
            }
            Domain::Group { gid } => Condition::Group { gid: *gid },
            Domain::User { line } => Condition::User { line: line.map(|it| hex(&it)) },
            Domain::Keys { block } => Condition::Keys { block: hex(block) },
            Domain::There => Condition::There,
            Domain::Masked => Condition::Masked,
            Domain::Text(text) => Condition::Text { text: text.to_string() },
            Domain::Unknown => Condition::Unknown,
        }
    }
}

impl Condition {
    /// What cannot be read is not known.
    pub fn into_domain(self) -> Domain {
        let octal = |text: &str| u16::from_str_radix(text, 8).map(Mode);
        match self {
            Condition::Nothing => Domain::Nothing,
            Condition::File { digest, keyed, uid, gid, mode } => {
                let content = match (digest, keyed) {
                    (Some(it), _) => unhex(&it).map(undo::Content::Digest),
                    (None, Some(it)) => unhex(&it).map(undo::Content::Keyed),
                    (None, None) => Some(undo::Content::Unsaid),
                };
                match (content, octal(&mode)) {
                    (Some(content), Ok(mode)) => Domain::File { content, uid, gid, mode },
                    (Some(_) | None, Ok(_) | Err(_)) => Domain::Unknown,
                }
            }
            Condition::Directory { uid, gid, mode } => match octal(&mode) {
                Ok(mode) => Domain::Directory { uid, gid, mode },
                Err(_) => Domain::Unknown,
            },
            Condition::Link { target, uid, gid } => {
                Domain::Link { target: target.into(), uid, gid }
            }
            Condition::Group { gid } => Domain::Group { gid },
            Condition::User { line } => Domain::User { line: line.as_deref().and_then(unhex) },
            Condition::Keys { block } => {
                unhex(&block).map_or(Domain::Unknown, |block| Domain::Keys { block })
            }
            Condition::There => Domain::There,
            Condition::Masked => Domain::Masked,
            Condition::Text { text } => Domain::Text(text.into()),
            Condition::Unknown => Domain::Unknown,
        }
    }
}

impl From<&UndoEntry> for Record {
    fn from(made: &UndoEntry) -> Record {
        let UndoEntry { scope: _, facet: _, promise: _, run: _, before, after, readers, begun } =
            made;
        Record {
            before: before.into(),
            left: after.into(),
            readers: readers
                .iter()
                .map(|(unit, owes)| Reader {
                    unit: unit.to_string(),
                    owes: match owes {
                        Consequence::Reload => super::v1::Action::Reload,
                        Consequence::Restart => super::v1::Action::Restart,
                    },
                })
                .collect(),
            begun: *begun,
        }
    }
}

impl Record {
    pub fn into_domain(self, scope: Scope, facet: Facet, promise: &str, run: i64) -> UndoEntry {
        let Record { before, left, readers, begun } = self;
        UndoEntry {
            scope,
            facet,
            promise: PromiseId(promise.into()),
            run,
            before: before.into_domain(),
            after: left.into_domain(),
            readers: readers
                .into_iter()
                .filter_map(|Reader { unit, owes }| {
                    let owes = match owes {
                        super::v1::Action::Reload => Consequence::Reload,
                        super::v1::Action::Restart => Consequence::Restart,
                    };
                    Some((UnitName::parse(&unit).ok()?, owes))
                })
                .collect(),
            begun,
        }
    }
}

/// `path:/etc/motd`.
pub fn text_of(facet: &Facet) -> String {
    match facet {
        Facet::Path(path) => format!("path:{}", path.as_str()),
        Facet::Group(name) => format!("group:{name}"),
        Facet::Member { group, user } => format!("member:{group}:{user}"),
        Facet::User(name) => format!("user:{name}"),
        Facet::Keys(name) => format!("keys:{name}"),
        Facet::Running(unit) => format!("running:{unit}"),
        Facet::Enabled(unit) => format!("enabled:{unit}"),
        Facet::Package(name) => format!("package:{name}"),
        Facet::Setting(Setting { kind, name }) => format!("setting:{kind}:{name}"),
    }
}

pub fn thing_of(text: &str) -> Option<Facet> {
    let (kind, name) = text.split_once(':')?;
    Some(match kind {
        "path" => Facet::Path(AbsPath::parse_found(name).ok()?),
        "group" => Facet::Group(GroupName::parse(name).ok()?),
        "member" => {
            let (group, user) = name.split_once(':')?;
            Facet::Member { group: GroupName::parse(group).ok()?, user: user.into() }
        }
        "user" => Facet::User(UserName::parse(name).ok()?),
        "keys" => Facet::Keys(UserName::parse(name).ok()?),
        "running" => Facet::Running(UnitName::parse(name).ok()?),
        "enabled" => Facet::Enabled(UnitName::parse(name).ok()?),
        "package" => Facet::Package(PackageName::parse(name).ok()?),
        "setting" => {
            let (kind, name) = name.split_once(':')?;
            Facet::Setting(Setting::new(kind, name))
        }
        _ => return None,
    })
}

/// The thing that a promise of version 1 was about. There, nothing was known of what was before.
pub fn thing_of_promise(promise: &str) -> Option<Facet> {
    let (kind, name) = promise.split_once(':')?;
    Some(match kind {
        "file" | "directory" | "link" => Facet::Path(AbsPath::parse(name).ok()?),
        "cron" => Facet::Path(AbsPath::parse(&format!("/etc/cron.d/{name}")).ok()?),
        "group" => Facet::Group(GroupName::parse(name).ok()?),
        "user" => Facet::User(UserName::parse(name).ok()?),
        "service" => Facet::Running(UnitName::parse(name).ok()?),
        "package" => Facet::Package(PackageName::parse(name).ok()?),
        _ => return None,
    })
}
