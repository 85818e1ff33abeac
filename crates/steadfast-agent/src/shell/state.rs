//! What the shell holds while the agent lives.

use super::attribution::Attribution;
use super::binary::Binary;
use super::children::Alive;
use super::clients::Clients;
use super::event::Event;
use super::manager::Manager;
use super::setup::Setup;
use super::textfile::Textfile;
use super::watch::Watches;
use crate::machine::Agent;
use crate::status::Status;
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::sync::Arc;
use steadfast_model::PromiseId;
use steadfast_node::revision::Revision;
use steadfast_node::settings::Settings;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::Span;

pub(super) struct Shell {
    pub(super) setup: Setup,
    pub(super) settings: Settings,
    /// Why these are not the settings that the file has now.
    pub(super) wrong_settings: Option<String>,
    pub(super) agent: Agent,
    pub(super) send: mpsc::Sender<Event>,
    pub(super) wake: Instant,
    pub(super) manager: Manager,
    /// What was last said to be going on.
    pub(super) status_line: String,
    pub(super) binary: Binary,
    pub(super) children: Alive,
    pub(super) clients: Clients,
    pub(super) watches: Watches,
    pub(super) attribution: Attribution,
    /// The address on which metrics are served, and who serves them.
    pub(super) metrics: Option<(Arc<str>, JoinHandle<()>)>,
    pub(super) textfile: Textfile,
    pub(super) runs: Runs,
    /// The revision that is on trial: its runs are told as part of that.
    pub(super) trial: Option<(Revision, Span)>,
}

impl Shell {
    pub(super) fn new(
        setup: Setup,
        settings: Settings,
        agent: Agent,
        send: mpsc::Sender<Event>,
    ) -> Shell {
        let children = Alive::default();
        Shell {
            binary: Binary::running(&setup.program),
            watches: Watches::new(send.clone()),
            attribution: Attribution::new(setup.attribution.clone(), children.clone()),
            children,
            clients: Clients::default(),
            metrics: None,
            textfile: Textfile::default(),
            runs: Runs::default(),
            trial: None,
            wake: Instant::now(),
            manager: Manager::from_environment(),
            status_line: String::new(),
            setup,
            settings,
            wrong_settings: None,
            agent,
            send,
        }
    }
}

impl Shell {
    /// Everything that somebody might want to know.
    pub(super) fn status(&self, now: Timestamp) -> Status {
        Status { wrong_settings: self.wrong_settings.clone(), ..self.agent.status(now) }
    }
}

/// What is known of runs while the machine has them done.
#[derive(Debug, Default)]
pub(super) struct Runs {
    /// They are counted, so that what is told of one can be told from the next.
    pub(super) count: u64,
    pub(super) under_way: bool,
    /// What was touched while a run of ours was touching things: it is looked at once after it.
    pub(super) touched: BTreeSet<PromiseId>,
    /// What was said to be not kept.
    pub(super) told: BTreeSet<String>,
    /// The revision whose promises are watched.
    pub(super) watched: Option<Revision>,
}
