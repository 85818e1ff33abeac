//! Applications: their documents, releases and targets, and what one says of the other.

mod artifact;
mod catalog;
mod chain;
pub mod component;
mod consistency;
mod delivery;
mod deployment;
mod document;
mod flag;
pub mod frozen;
mod id;
mod interface;
pub(crate) mod names;
mod ports;
mod release;
mod size;
mod target;
mod version;

use crate::deploying;
use crate::schema::Field;

pub use artifact::{Artifact, ArtifactKind, Artifacts, Files, Location};
pub use catalog::{Catalog, Known};
pub use chain::Effective;
pub use component::{FlagsFormat, Settings};
pub use delivery::{FlagHere, FlagSource, file as flags_file};
pub use deployment::{Words, tree_path};
pub use document::{Application, Component, Consumer, Instance};
pub use flag::{Flag, FlagKind, FlagSetting, FlagType, FlagValue, Flags};
pub use id::{ComponentId, ReleaseId};
pub use interface::{InterfaceName, Interfaces, Versions};
pub use ports::Port;
pub use release::{Content, Deprecated, Feature, Named, Release, Says};
pub use target::{MaxUnavailable, Rollout, Target};
pub use version::Version;

pub(crate) use artifact::is_loopback;
pub(crate) use component::FIELDS as SETTINGS_FIELDS;
pub(crate) use consistency::judge;
pub(crate) use deployment::{Deployment, PortSeen, in_logic};
pub(crate) use document::application as read_application;
pub(crate) use document::{COMPONENT_FIELDS, FIELDS as APPLICATION_FIELDS};
pub(crate) use flag::SETTING_TAKES as FLAG_SETTING;
pub(crate) use flag::date;
pub(crate) use interface::versions_of;
pub(crate) use release::release as read_release;
pub(crate) use release::{COMPONENT_FIELDS as RELEASE_COMPONENT_FIELDS, FIELDS as RELEASE_FIELDS};
pub(crate) use target::document as read_target;
pub(crate) use target::{INNER_FIELDS as TARGET_FIELDS, OWN_FIELDS as TARGET_OWN_FIELDS};

/// The maps in documents of applications, with the fields of each, for the documentation.
pub const TABLES: &[Table] = &[
    Table { title: "An application", place: "application: people", fields: document::FIELDS },
    Table {
        title: "A component",
        place: "components: { api: … }",
        fields: document::COMPONENT_FIELDS,
    },
    Table {
        title: "How a component is deployed",
        place: "components: { api: … }",
        fields: component::FIELDS,
    },
    Table { title: "Unpacking", place: "unpack:", fields: component::UNPACK },
    Table { title: "Health", place: "health:", fields: component::HEALTH },
    Table { title: "Migrations", place: "migrate:", fields: component::MIGRATE },
    Table { title: "The file of flags", place: "flags: in a component", fields: component::FLAGS },
    Table { title: "A flag", place: "flags: { dark-mode: … }", fields: flag::FIELDS },
    Table { title: "A release", place: "release: people 1.4.0", fields: release::FIELDS },
    Table {
        title: "A component of a release",
        place: "components: { api: … }",
        fields: release::COMPONENT_FIELDS,
    },
    Table { title: "An artifact", place: "artifact:", fields: artifact::FIELDS },
    Table { title: "A target", place: "target: people", fields: target::INNER_FIELDS },
    Table { title: "A rollout", place: "rollout:", fields: target::ROLLOUT },
    Table {
        title: "Servers of artifacts",
        place: "policy: { artifacts: [ … ] }",
        fields: deploying::SERVER,
    },
    Table {
        title: "Deployments of a node",
        place: "policy: { deployments: { … } }",
        fields: deploying::DEPLOYMENTS,
    },
];

/// One map of a document.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    pub title: &'static str,
    /// Where it is in a document.
    pub place: &'static str,
    pub fields: &'static [Field],
}
