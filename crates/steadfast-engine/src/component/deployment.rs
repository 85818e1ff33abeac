//! What an instance runs with, and on which terms it is brought there.

use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// Everything that one instance runs with, and how it is switched and judged. Two deployments with one digest
/// are one deployment, whatever their terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// The digest of all of it, with its secrets: what this node tells deployments apart by.
    pub own: Arc<str>,
    /// The digest without its secrets: what is shown and stated to others.
    pub public: Arc<str>,
    /// The name of its directory. It keeps the one that it was given.
    pub folder: Arc<str>,
    /// The version of the release that it comes from.
    pub release: Arc<str>,
    pub terms: Terms,
}

impl Deployment {
    pub fn is(&self, other: &Deployment) -> bool {
        self.own == other.own
    }
}

/// How a deployment is switched and judged. It stays with the deployment, so that one which no model knows any more is
/// gone back to on its own terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The digest of how health is asked and how it is switched. *Bad* is said of a deployment on these terms.
    pub digest: Arc<str>,
    pub switch: Switch,
    /// The digest of its unit files: with others, `reload` is a restart.
    pub units: Arc<str>,
    /// How long after the start the answer that counts may begin.
    pub within: Duration,
    /// How long it has to be well (`for`).
    pub lasts: Duration,
    pub bake: Duration,
    /// Whether something is called before the stop, and once it answers.
    pub drains: bool,
    pub readies: bool,
    pub drain_for: Duration,
    /// Units that stand still during a step.
    pub quiesces: Option<Quiesces>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quiesces {
    /// How long a running job is waited for.
    pub wait: Duration,
    /// Whether it is stopped after that; else the step is put off.
    pub kills: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Switch {
    Restart,
    Reload,
    Socket,
    BlueGreen,
}

impl Switch {
    /// As documents write it.
    pub fn word(self) -> &'static str {
        match self {
            Switch::Restart => "restart",
            Switch::Reload => "reload",
            Switch::Socket => "socket",
            Switch::BlueGreen => "blue-green",
        }
    }
}

/// How a step goes from one deployment to another. `reload`, `socket` and `blue-green` need both sides to know them.
pub(crate) fn way(from: Option<&Deployment>, to: &Deployment) -> Switch {
    let both = from.is_some_and(|it| it.terms.switch == to.terms.switch);
    match (to.terms.switch, from) {
        (Switch::Reload, Some(from)) if both && from.terms.units == to.terms.units => {
            Switch::Reload
        }
        (Switch::Socket, Some(_)) if both => Switch::Socket,
        (Switch::BlueGreen, None) => Switch::BlueGreen,
        (Switch::BlueGreen, Some(_)) if both => Switch::BlueGreen,
        (Switch::Restart | Switch::Reload | Switch::Socket | Switch::BlueGreen, _) => {
            Switch::Restart
        }
    }
}
