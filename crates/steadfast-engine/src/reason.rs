//! Why a forecast is not certain, as values; the words are theirs alone.

use std::fmt;
use steadfast_model::PromiseId;
use steadfast_resources::Identity;
use steadfast_system::SystemError;

/// What a step hangs on, or what cannot be told.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    /// What it needs, or runs with, changes before.
    ChangesFirst(PromiseId),
    /// A thing that is missing now comes with an earlier step.
    ComesWith { thing: Identity, step: PromiseId },
    /// The same, with one of these packages.
    ComesWithPackages { thing: Identity, packages: Packages },
    /// A thing is missing, no promise makes it, and a package may bring it.
    MayBring { thing: Identity, packages: Packages },
    /// What is promised may come with a package.
    MayComeWith(Packages),
    /// It is promised to be gone, is gone, and may come with a package.
    GoneButMayComeWith(Packages),
    /// Whether a need is healthy has not been asked.
    HealthOf(PromiseId),
    /// Whether it is healthy itself has not been asked.
    HealthNotAsked,
    /// It may not be looked at.
    Unread(SystemError),
    /// As far as the kind knows, in its words why that is not all.
    Presumed(String),
    /// There is nobody here to ask, such as systemd on a machine on which it does not run.
    NotHere(SystemError),
    /// What the kind's own look cannot tell, in its words.
    Undecided(String),
}

/// Packages that are to be installed in this run, and of which one may bring something.
#[derive(Clone, Debug, PartialEq)]
pub struct Packages {
    pub first: PromiseId,
    pub others: Vec<PromiseId>,
}

impl Reason {
    /// Each line of it, outermost first.
    pub fn lines(&self) -> Vec<String> {
        match self {
            Reason::Unread(error) => {
                error.chain().into_iter().chain(["run as root to see it".to_owned()]).collect()
            }
            Reason::NotHere(error) => error.chain(),
            Reason::ChangesFirst(_)
            | Reason::ComesWith { .. }
            | Reason::ComesWithPackages { .. }
            | Reason::MayBring { .. }
            | Reason::MayComeWith(_)
            | Reason::GoneButMayComeWith(_)
            | Reason::HealthOf(_)
            | Reason::HealthNotAsked
            | Reason::Presumed(_)
            | Reason::Undecided(_) => vec![self.to_string()],
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::ChangesFirst(promise) => write!(f, "{promise} changes first"),
            Reason::ComesWith { thing, step } => write!(f, "{thing} will be created by {step}"),
            Reason::ComesWithPackages { thing, packages } => {
                write!(f, "{thing} will be created by {packages}")
            }
            Reason::MayBring { thing, packages } => {
                write!(f, "no promise creates {thing}; {packages} may")
            }
            Reason::MayComeWith(packages) => write!(f, "{packages} may create or change it"),
            Reason::GoneButMayComeWith(packages) => {
                write!(f, "it is right now, but {packages} may change it")
            }
            Reason::HealthOf(promise) => {
                write!(f, "the health of {promise} has not been checked yet")
            }
            Reason::HealthNotAsked => f.write_str("its health has not been checked yet"),
            Reason::Unread(error) | Reason::NotHere(error) => {
                f.write_str(&error.chain().join(": "))
            }
            Reason::Presumed(words) | Reason::Undecided(words) => f.write_str(words),
        }
    }
}

impl fmt::Display for Packages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = &self.first;
        match &*self.others {
            [] => first.fmt(f),
            [other] => write!(f, "{first} or {other}"),
            others => write!(f, "{first} or one of {} other packages", others.len()),
        }
    }
}
