//! Why a tree is not made.

use crate::SystemError;
use std::fmt;

#[derive(Debug)]
pub enum TreeError {
    /// What was to be in it.
    Refused(TreeRefusal),
    /// There is no room for it.
    NoSpace,
    Failed(SystemError),
}

/// What no tree has in it. Names are shown as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeRefusal {
    /// A name that no archive has once it has been read: whoever read it lies.
    Name(String),
    Twice(String),
    ThroughLink(String),
    BelowFile(String),
    LeadsOut {
        link: String,
        target: String,
    },
    NoFirst {
        name: String,
        first: String,
    },
    Setuid(String),
    /// A file has another size than was said.
    Size(String),
    TooManyEntries(u64),
    TooManyBytes(u64),
    /// A program that this machine cannot run.
    Machine {
        program: String,
        machine: String,
    },
    /// What says what this process may do does not let it give a file capabilities.
    Capabilities(String),
}

impl fmt::Display for TreeRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TreeRefusal::Name(name) => write!(f, "`{name}` is not a name within a tree"),
            TreeRefusal::Twice(name) => write!(f, "`{name}` stands in it twice"),
            TreeRefusal::ThroughLink(name) => {
                write!(f, "`{name}` would be written through a link that is in it, too")
            }
            TreeRefusal::BelowFile(name) => {
                write!(f, "`{name}` would lie below something that is no directory")
            }
            TreeRefusal::LeadsOut { link, target } => write!(
                f,
                "the link `{link}` leads out of the tree, to `{target}`; `unpack: {{ links: any }}` \
                 accepts that"
            ),
            TreeRefusal::NoFirst { name, first } => {
                write!(f, "`{name}` is another name of `{first}`, which does not come before it")
            }
            TreeRefusal::Setuid(name) => write!(f, "`{name}` is setuid or setgid"),
            TreeRefusal::Size(name) => write!(f, "`{name}` has another size than was said"),
            TreeRefusal::TooManyEntries(most) => write!(f, "it has more than {most} entries"),
            TreeRefusal::TooManyBytes(most) => write!(f, "unpacked it has more than {most} bytes"),
            TreeRefusal::Machine { program, machine } => {
                write!(
                    f,
                    "the program `{program}` is built for {machine}, which this machine is not"
                )
            }
            TreeRefusal::Capabilities(name) => write!(
                f,
                "`{name}` has file capabilities, and this process may not give a file any \
                 (CAP_SETFCAP)"
            ),
        }
    }
}

impl std::error::Error for TreeRefusal {}

impl From<SystemError> for TreeError {
    fn from(error: SystemError) -> TreeError {
        TreeError::Failed(error)
    }
}

impl From<TreeRefusal> for TreeError {
    fn from(refusal: TreeRefusal) -> TreeError {
        TreeError::Refused(refusal)
    }
}
