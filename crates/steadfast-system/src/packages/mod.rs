//! What the package manager knows and does: dpkg's database, what apt could install, and transactions.
//!
//! Looking is reading files: dpkg's status file and apt's own notes. A process is started only where
//! apt has to be asked for candidates, and its answer is remembered until lists, preferences or the
//! database change. Acting goes through apt-get; its parsers ([`apt`]) and dpkg's ([`status`]) are pure.

pub mod apt;
mod complete;
mod conffiles;
pub mod decide;
pub mod fit;
mod host;
mod job;
mod locks;
pub mod log;
mod marker;
mod on_disk;
mod policy_rc;
mod run;
mod simulate;
pub mod status;
mod transact;
pub mod version;

pub use apt::{Offer, Offers};
pub use status::{Health, Installed};

use crate::{PackageName, SystemError};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use version::{Range, Version};

/// How the units are called in which transactions of ours run.
pub const OUR_UNITS: &str = "steadfast-packages-";

/// What the model's policy says about package work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackagePolicy {
    /// How long a lock of apt or dpkg may stay taken before we give up (`wait_for_dpkg`).
    pub wait_for_lock: Duration,
    /// How old apt's lists may be when something has to be fetched (`refresh_packages`).
    pub refresh_after: Duration,
    /// Whether an interruption that somebody else left may be completed (`repair_dpkg`).
    pub repair: bool,
}

impl Default for PackagePolicy {
    fn default() -> PackagePolicy {
        PackagePolicy {
            wait_for_lock: Duration::from_secs(2 * 60),
            refresh_after: Duration::from_secs(60 * 60),
            repair: false,
        }
    }
}

/// What is known about one package without asking apt.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Look {
    /// Its record in dpkg's database, if it has one that says more than "not installed".
    pub installed: Option<Installed>,
    /// It came as a dependency, and goes when nothing needs it any more.
    pub automatic: bool,
    /// Installed packages that provide its name, where it is not installed itself.
    pub provided_by: Vec<(Arc<str>, Option<Version>)>,
    /// Why dpkg's database is not at rest, where that matters for this package.
    pub interruption: Option<Interruption>,
    /// New configuration files that dpkg left beside those it kept.
    pub leftovers: Vec<Arc<str>>,
    /// When its files last changed, in microseconds since 1970.
    pub changed: Option<i64>,
}

/// Package work that has begun and not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// Our own transaction was cut, or may be completed because the policy says so.
    Ours,
    /// Somebody else's work was cut.
    Foreign,
    /// A dpkg or apt works right now: its name and pid.
    Running(String),
}

/// How fresh apt's lists are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lists {
    /// None where there are none.
    pub age: Option<Duration>,
    /// They are older than the policy allows for fetching, a source changed after they were fetched, a source
    /// has never been fetched, or not all could be when that was last tried.
    pub stale: bool,
    /// That was tried in this run, so fetching them again would bring nothing.
    pub refreshed: bool,
    /// Which sources could not be fetched when that was last tried, and why; none where all could.
    pub failed: Option<Arc<str>>,
}

/// What apt's simulation says of one item of a transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct Foreseen {
    pub verdict: Verdict,
    /// What happens to packages that the transaction does not name. Where several items go together, the
    /// first of them has it for all.
    pub along: Vec<Along>,
}

impl Foreseen {
    pub fn goes() -> Foreseen {
        Foreseen { verdict: Verdict::Goes, along: vec![] }
    }
}

/// Whether a transaction would be carried out for an item, as things are now.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    Goes,
    /// Its dependencies cannot be resolved, or it would do what nobody allows: remove other packages, bring
    /// one down.
    Refused(String),
    /// It would not, but this may be otherwise by the time of the transaction; or apt could not tell.
    Unknown(String),
}

/// What happens to a package along the way.
#[derive(Clone, Debug, PartialEq)]
pub enum Along {
    Installed { name: Arc<str>, version: Version },
    Changed { name: Arc<str>, old: Version, new: Version },
    Removed { name: Arc<str> },
}

/// What happens to configuration files that were changed on the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Conffiles {
    #[default]
    Keep,
    Replace,
    /// Nothing is unpacked where dpkg would have to ask.
    Fail,
}

/// What holds for a whole transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Options {
    pub conffiles: Conffiles,
    /// None: as the machine's apt is set.
    pub recommends: Option<bool>,
    /// The suite that is preferred, also for dependencies.
    pub from: Option<Arc<str>>,
    /// Whether services may start.
    pub start: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options { conffiles: Conffiles::Keep, recommends: None, from: None, start: true }
    }
}

/// Which other packages may go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Removals {
    #[default]
    None,
    Named(Vec<PackageName>),
}

impl Removals {
    pub fn allow(&self, name: &str) -> bool {
        match self {
            Removals::None => false,
            Removals::Named(names) => {
                let bare = name.split_once(':').map_or(name, |(bare, _)| bare);
                names.iter().any(|it| it.as_str() == name || it.as_str() == bare)
            }
        }
    }
}

/// What a transaction does with one package.
#[derive(Clone, Debug, PartialEq)]
pub enum Goal {
    Install {
        /// What was promised. It is no choice: where the version is not known, it says what to look for.
        range: Option<Range>,
        /// The version that was planned: this one is installed and no other. None where apt's lists are
        /// too old to tell: they are fetched, and the step is refused where there is something to
        /// install by then, so that it is planned with them.
        version: Option<Version>,
        /// Nothing newer than what is installed is no failure.
        latest: bool,
    },
    Remove,
    Purge,
}

/// One package of a transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub package: PackageName,
    pub goal: Goal,
    pub allow_downgrade: bool,
    pub removals: Removals,
    /// Packages that the same run promises to be gone: they need no permission to go.
    /// What is promised gone, and is not there, does not come with this one either.
    pub going: Arc<[PackageName]>,
    /// Packages that the same run promises to be there, and in which versions: none of them goes, or leaves its
    /// versions, for this one.
    pub stays: Arc<[Stays]>,
    /// Answers to its questions, by the question's name.
    pub debconf: Vec<(Arc<str>, Arc<str>)>,
    /// It is held by promise: the hold is lifted for the transaction and set again after it.
    pub held: bool,
}

impl Item {
    pub fn installs(&self) -> bool {
        match self.goal {
            Goal::Install { .. } => true,
            Goal::Remove | Goal::Purge => false,
        }
    }
}

/// Another package that is promised to be there, in one of these versions where some are promised.
pub type Stays = (PackageName, Option<Range>);

/// Packages with equal options, so that apt runs once: what is installed and what goes is resolved together.
#[derive(Clone, Debug, PartialEq)]
pub struct Transaction {
    pub options: Options,
    pub items: Vec<Item>,
}

/// A mark that apt or dpkg keeps about a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mark {
    Hold,
    Unhold,
    Manual,
}

/// What may be asked.
pub trait Read: fmt::Debug {
    /// A batch, from one reading of dpkg's database. One result for each, in their order.
    fn package_looks(&self, names: &[&PackageName]) -> Result<Vec<Look>, SystemError>;

    /// What apt's lists offer, by exact name; none where the lists do not know the package. `suites`:
    /// whether the names of the suites are wanted too. Asks apt once for the batch, and not at all
    /// where nothing changed since it was asked.
    fn offers(
        &self,
        names: &[&PackageName],
        suites: bool,
    ) -> Result<Vec<Option<Offers>>, SystemError>;

    fn apt_lists(&self) -> Lists;

    /// What would become of each item of a transaction, by apt's own simulation of it, as the run would have
    /// it carried out. Holds that are on its items count as lifted. Nothing is locked, fetched or changed.
    fn foresee(&self, transaction: &Transaction) -> Vec<Foreseen>;
}

/// What may be done. One at a time.
pub trait Write {
    /// One result for each item. Waits for locks, refreshes the lists where that is due, and leaves out
    /// what is not possible or not allowed while the others go on.
    fn transact(&self, transaction: &Transaction) -> Vec<Result<(), SystemError>>;

    fn mark_packages(&self, marks: &[(&PackageName, Mark)]) -> Vec<Result<(), SystemError>>;

    /// Completes what was cut: `dpkg --configure -a`, with the options of the transaction that was cut.
    /// Nothing happens where nothing is left to complete.
    fn complete_packages(&self) -> Result<(), SystemError>;

    /// Waits for a transaction that an earlier run of ours left to finish, and takes away what a run
    /// that died in the middle left behind (our policy-rc.d). To be called when a run that may change
    /// something begins; an error means that the transaction still runs, and is no reason to stop.
    fn tidy_packages(&self) -> Result<(), SystemError>;
}

/// What the real machine remembers of it within one run.
#[derive(Debug, Default)]
pub(crate) struct Cache(std::sync::Mutex<host::Cached>);
