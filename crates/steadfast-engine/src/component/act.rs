//! What comes out: an act, a time to wait for, or an end.

use super::deployment::Deployment;
use super::reason::{Trouble, Waiting};
use super::row::{Bad, Row};
use super::time::Until;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// What is to be done next. In all three, the row is stored first, where it is another than the one that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Do this, look, and ask again with what came of it.
    Act { row: Row, act: Act },
    /// Nothing is due before.
    Wait { row: Row, until: Until, why: Waiting },
    /// Nothing more is to be done in this run. `due` is when to ask again.
    Ended { row: Row, end: End, step: Option<Finished>, due: Until },
}

/// Every act may be given again after it was cut off in the middle, or was done and nobody heard of it. None waits
/// for longer than what it starts takes to say that it runs or has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Make it whole on this machine without touching what runs: fetch, unpack, render, stage.
    Prepare(Deployment),
    /// Ask it whether it is well.
    Ask(Deployment),
    /// Let the units that have to stand still come to rest; with `kill`, stop them.
    Quiesce {
        kill: bool,
    },
    /// Call what takes traffic away.
    Drain,
    /// Stop the processes of all of its units, or of one slot. Where the sockets stay, what is in place may have been
    /// started by one of them when this is over.
    Stop(Stop),
    /// Put this in place of what is there: units, links, files outside. What starts at a boot is taken away first and
    /// put last, so that a boot between starts nothing that is neither one nor the other. In blue-green: move the
    /// traffic. None: what was there before the first.
    Switch(Option<Deployment>),
    Start {
        deployment: Deployment,
        how: Start,
    },
    /// The links for people, `previous` among them; what retention frees.
    Commit {
        current: Deployment,
        previous: Option<Deployment>,
    },
    Pay(Debt),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    All {
        keep_sockets: bool,
    },
    /// All slots but that of this deployment; none keeps no slot.
    Others {
        but: Option<Deployment>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Start what does not run.
    Start,
    /// Let what runs read its files again; start what does not run.
    Reload,
    /// In the slot that is free.
    Beside,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Debt {
    /// Call what brings traffic again.
    Ready,
    /// Start the units that stood still.
    Quiesced,
    /// Start the units that a stop took along.
    Units(BTreeSet<Arc<str>>),
}

/// How it stands when nothing more is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Nothing is wanted here.
    Absent,
    /// What is wanted is current.
    Settled,
    Committed,
    /// What runs was restarted, and is well.
    Restarted,
    /// The new one is bad: it is not tried again.
    WentBack(Trouble),
    /// It went back, and whether the new one is bad is not known.
    Inconclusive(Trouble),
    /// It went back because it is wanted no longer.
    Withdrawn,
    /// Nothing was switched, or there was nothing to go back to.
    Failed(Trouble),
    /// It was found to be bad before.
    Bad(Bad),
}

/// A step that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    pub number: u64,
    /// None for a first deployment.
    pub from: Option<Deployment>,
    pub to: Deployment,
    pub gap: Option<Duration>,
    pub connections: Option<u64>,
}
