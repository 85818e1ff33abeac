//! What is promised of a unit.

use super::change::Act;
use crate::runner::Runner;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use steadfast_model::{Field, PromiseId, Spanned, TEXT_FROM, Takes};
use steadfast_system::services::{self, HealthUrl};
use steadfast_system::{AbsPath, UnitName};

pub(super) const SETTLE: Duration = Duration::from_secs(5);
pub(super) const TIMEOUT: Duration = Duration::from_secs(90);

/// How long after its start a service may become healthy, where nothing else is said.
pub(super) const WITHIN: Duration = Duration::from_secs(30);
/// A run waits for it.
pub(super) const WITHIN_MAX: Duration = Duration::from_secs(3_600);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Desired {
    pub(super) unit: UnitName,
    pub(super) running: Option<bool>,
    pub(super) enabled: Option<Enabled>,
    /// The promised unit file, where there is one.
    pub(super) own_unit: Option<OwnFile>,
    /// In the order of their names.
    pub(super) drop_ins: Vec<OwnFile>,
    pub(super) reload_on: Vec<Spanned<Arc<str>>>,
    pub(super) restart_on: Vec<Spanned<Arc<str>>>,
    pub(super) validate: Vec<Arc<str>>,
    pub(super) settle: Duration,
    pub(super) timeout: Duration,
    pub(super) health: Option<Check>,
    /// Nobody promised anything about it, or it is not attempted: it only has to exist and to pay what
    /// it owes. Its files are looked at and not written.
    pub(super) implied: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Enabled {
    True,
    False,
    Masked,
}

/// A file that the promise brings along.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OwnFile {
    pub(super) path: AbsPath,
    pub(super) content: Arc<str>,
}

/// The fields of one.
pub(super) const FILE_FIELDS: &[Field] = &[
    Field::new("content", Takes::Text, "The text itself"),
    Field::new("template", TEXT_FROM, "A template of the model that renders the text"),
    Field::new("source", TEXT_FROM, "A file of the model to copy the text from"),
];

/// How a service is asked whether it is healthy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Check {
    pub question: Question,
    pub within: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Question {
    Http(HealthUrl),
    Command(Vec<Arc<str>>),
}

/// The fields of a check.
pub(super) const HEALTH_FIELDS: &[Field] = &[
    Field::new("http", Takes::Text, "The URL to request, such as http://127.0.0.1:8081/health"),
    Field::new(
        "command",
        Takes::TextList,
        "A program and its arguments; exit code 0 means healthy",
    ),
    Field::new(
        "within",
        Takes::Duration,
        "How long it may take to become healthy after its start (default: 30s)",
    ),
];

impl Desired {
    /// A unit that is only named by the `reloads` or `restarts` of others: nothing is promised but that
    /// it runs, if it runs, with its current inputs.
    pub fn implied(unit: UnitName) -> Desired {
        Desired {
            unit,
            running: None,
            enabled: None,
            own_unit: None,
            drop_ins: vec![],
            reload_on: vec![],
            restart_on: vec![],
            validate: vec![],
            settle: SETTLE,
            timeout: TIMEOUT,
            health: None,
            implied: true,
        }
    }

    /// The same service where it is not attempted and only pays what it owes: nothing is promised but
    /// that it runs, if it runs, with its current inputs. It validates, settles and is asked for its health as
    /// it was written.
    pub fn debts_only(&self) -> Desired {
        Desired { running: None, enabled: None, implied: true, ..self.clone() }
    }

    /// Whether the same is wanted, wherever it is written.
    pub(super) fn wants_the_same(&self, other: &Desired) -> bool {
        let values = |all: &[Spanned<Arc<str>>]| -> Vec<Arc<str>> {
            all.iter().map(|it| Arc::clone(&it.value)).collect()
        };
        let rest = |it: &Desired| Desired { reload_on: vec![], restart_on: vec![], ..it.clone() };
        values(&self.reload_on) == values(&other.reload_on)
            && values(&self.restart_on) == values(&other.restart_on)
            && rest(self) == rest(other)
    }

    /// Whether the cause of a restart is the promised unit file or a drop-in.
    pub(super) fn is_own(&self, cause: &PromiseId) -> bool {
        match (cause.kind(), cause.name()) {
            ("file", path) => self.files().any(|it| it.path.as_str() == path),
            ("service", unit) => unit == self.unit.short(),
            (_, _) => false,
        }
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &OwnFile> {
        self.own_unit.iter().chain(&self.drop_ins)
    }

    pub(super) fn act(&self, because: Vec<String>) -> Act {
        Act {
            unit: self.unit.clone(),
            validate: self.validate.clone(),
            settle: self.settle,
            timeout: self.timeout,
            because,
        }
    }
}

impl Runner for Desired {
    fn unit(&self) -> &UnitName {
        &self.unit
    }

    fn reload_on(&self) -> &[Spanned<Arc<str>>] {
        &self.reload_on
    }

    fn restart_on(&self) -> &[Spanned<Arc<str>>] {
        &self.restart_on
    }

    fn wants_enabled(&self) -> Option<bool> {
        match self.enabled {
            Some(Enabled::True) => Some(true),
            Some(Enabled::False) => Some(false),
            Some(Enabled::Masked) | None => None,
        }
    }

    fn promises_health(&self) -> bool {
        self.health.is_some()
    }

    fn wants_inactive(&self) -> bool {
        match self.enabled {
            Some(Enabled::False) => true,
            Some(Enabled::Masked) => false,
            Some(Enabled::True) | None => self.running == Some(false),
        }
    }
}

/// A path in the administrator's directory of units.
pub(super) fn in_folder(name: &str) -> Option<AbsPath> {
    AbsPath::parse(services::FOLDER).and_then(|it| it.join(name)).ok()
}
