//! What processes of other users hold: which directories they work in, were started from or have mapped, and who
//! listens on a port. That takes a privilege that the agent has not (CAP_SYS_PTRACE), so it is asked of a program in
//! a unit of its own, which has that and nothing else.
//!
//! What a process looks like is its owner's to choose. So nothing that is read here is believed beyond what it is
//! about: a process can keep a directory from being removed, as it could by working in it, and no more. Where it
//! does not let itself be looked at, nothing is known of any directory.

mod ask;
mod listening;
mod look;
mod maps;
mod process;
mod things;

pub use ask::ask;
pub use look::look;

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// So much is told of each thing that is asked about.
const MAX_TOLD: usize = 3;

/// What is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    pub trees: Vec<Tree>,
    pub ports: Vec<Port>,
}

/// A directory that may be in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    pub path: String,
    /// Other paths that lead to it, by which a command line may name it.
    pub names: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    pub number: u16,
    pub is_udp: bool,
    /// None for any.
    pub address: Option<IpAddr>,
}

/// What is known of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The first of each tree.
    pub uses: Vec<Use>,
    /// The first of each port.
    pub listeners: Vec<Listener>,
    /// Why there may be more than that.
    pub unknown: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// By its place in the question.
    pub tree: usize,
    pub process: Process,
    pub how: How,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// By its place in the question.
    pub port: usize,
    pub process: Process,
}

/// How a process uses a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum How {
    WorksThere,
    /// It sees nothing above.
    RootThere,
    StartedFromThere,
    MappedFromThere,
    NamedOnCommandLine,
}

/// A process, in words that are safe to show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    pub pid: i32,
    /// The file that it was started from, or what it calls itself.
    pub program: String,
    /// The unit of systemd that it belongs to.
    pub unit: Option<String>,
}

impl Port {
    fn is_at(&self, address: IpAddr, number: u16) -> bool {
        let wanted = self.address;
        self.number == number
            && wanted
                .is_none_or(|it| it == address || address.is_unspecified() || it.is_unspecified())
    }
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            How::WorksThere => "works there",
            How::RootThere => "has it as its root directory",
            How::StartedFromThere => "was started from there",
            How::MappedFromThere => "has a file of it in memory",
            How::NamedOnCommandLine => "was started with its path",
        })
    }
}

/// `process 17 (/usr/bin/perl, people-api.service)`
impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Process { pid, program, unit } = self;
        match unit {
            Some(unit) => write!(f, "process {pid} ({program}, {unit})"),
            None => write!(f, "process {pid} ({program})"),
        }
    }
}
