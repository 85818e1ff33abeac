//! What wakes the loop, and what is said to whoever asked.

use super::began::Began;
use crate::api::v1;
use crate::machine::Input;
use steadfast_node::revision::Revision;
use steadfast_node::wire::Watched;
use steadfast_system::attribution::Act;
use tokio::sync::oneshot;

/// Whatever wakes the loop.
pub(super) enum Event {
    Input(Input),
    /// A run has told where it would show that something is touched.
    Watch {
        revision: Revision,
        began: Began,
        watched: Vec<Watched>,
    },
    /// A run has looked at everything, and what is to be watched is what it was.
    LookedAtAll {
        began: Began,
    },
    Ask {
        request: v1::Request,
        reply: oneshot::Sender<Reply>,
    },
    Touched(Vec<Touch>),
    /// Settings are read again, and everything is looked at.
    Hangup,
    /// There may be another binary.
    Upgraded,
    Terminate,
}

/// What is said to somebody who asked.
pub(super) enum Reply {
    Status(String),
    Metrics(String),
    Answer(v1::Answer),
}

/// Where the kernel tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Queue {
    /// Of directories that root alone can write.
    Closed,
    /// Of those that others can write, too.
    Open,
}

/// By what the kernel calls a directory that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Watch {
    pub queue: Queue,
    pub number: i32,
}

/// Something that the kernel told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Touch {
    /// A name in a watched directory; nothing for the directory itself.
    Name { watch: Watch, name: Option<Box<[u8]>>, what: Act },
    /// Events of this queue were lost.
    Overflow(Queue),
    /// A unit of systemd has changed.
    Unit(String),
    /// What is enabled has changed, or nobody was listening.
    AllUnits,
}
