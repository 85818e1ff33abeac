//! What a kind of promise is: its verbs over plain data. A kind's file reads, top to bottom:
//! `Desired`, `State`, `Change`, `impl Kind`, `Display for Change`, tests. Of one that has grown this is the
//! mod.rs of a directory: the verbs have rooms in it, `lower`, `observe`, `plan`, `apply` and `undo`, and below
//! those are the types, `desired`, `state` and `change`.
//!
//! Everything that is asked of a promise anywhere is a verb here, and what most kinds do not care about has an
//! answer already. So nobody outside has to name the kinds.

use crate::contents::Contents;
use crate::fact::Fact;
use crate::identity::Identity;
use crate::made::Made;
use crate::paths::Inherited;
use crate::undo::{About, Effect, Facet, FacetState, Now, Says};
use std::fmt::{Debug, Display};
use std::sync::Arc;
use steadfast_model::{Field, Lower, Node, Spanned, Takes};
use steadfast_system::files::Digest;
use steadfast_system::services::Settling;
use steadfast_system::{AbsPath, Actuate, Probe, SystemError};

/// What separates the machine from a promise.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference<C> {
    /// The smallest ordered list of repairs; empty means kept, where nothing is in the way.
    pub changes: Vec<C>,
    /// Why the promise cannot be kept as the machine is now.
    pub obstacles: Vec<Obstacle>,
    /// What an operator may want to know, and nothing hangs on.
    pub notes: Vec<String>,
}

impl<C> Difference<C> {
    pub fn new(changes: Vec<C>) -> Difference<C> {
        Difference { changes, obstacles: vec![], notes: vec![] }
    }

    pub fn none() -> Difference<C> {
        Difference::new(vec![])
    }

    pub fn refused(why: Refusal) -> Difference<C> {
        Difference { obstacles: vec![Obstacle::refused(why)], ..Difference::none() }
    }

    pub fn map<D>(self, with: impl FnMut(C) -> D) -> Difference<D> {
        let Difference { changes, obstacles, notes } = self;
        let mut changes: Vec<D> = changes.into_iter().map(with).collect();
        // Most have one change, and all are held until the run ends.
        changes.shrink_to_fit();
        Difference { changes, obstacles, notes }
    }

    /// Whether the promise is kept. What a look cannot tell hangs on a change, and without one there is
    /// nothing to doubt.
    pub fn is_kept(&self) -> bool {
        let doubtful = |it: &Obstacle| match it {
            Obstacle::Unknown(_)
            | Obstacle::HealthNotAsked
            | Obstacle::HangsOn(_)
            | Obstacle::Presumed(_) => true,
            Obstacle::Missing(_)
            | Obstacle::Refused(_)
            | Obstacle::InTheWay { .. }
            | Obstacle::Unhealthy(_) => false,
        };
        self.changes.is_empty() && self.obstacles.iter().all(doubtful)
    }
}

/// Something in the way of a promise.
#[derive(Clone, Debug, PartialEq)]
pub enum Obstacle {
    /// A thing it needs is not there now; an earlier step of the run may bring it.
    Missing(Identity),
    /// Not kept, and nothing that this run does will change that.
    Refused(Refusal),
    /// Not kept as things are now, because of these: where an earlier step of the run changes one of them, it
    /// is expected to be in the way no more. The changes are those that follow then. For a directory, what
    /// lies below it counts too.
    InTheWay { of: Vec<Identity>, why: Refusal },
    /// Nothing is in the way as things are now, and that hangs on these: where an earlier step of the run
    /// changes one of them, the changes are planned anew.
    HangsOn(Vec<Identity>),
    /// Nothing is in the way as far as is known, and what is known is not the latest.
    Presumed(String),
    /// It hangs on something that a look cannot tell (a validation that has not run). The changes, if
    /// there are any, are tried all the same.
    Unknown(String),
    /// Everything is as promised, but that it does not say so itself.
    Unhealthy(SystemError),
    /// Everything is as promised, and nobody has asked yet whether it is healthy.
    HealthNotAsked,
}

impl Obstacle {
    pub fn refused(why: Refusal) -> Obstacle {
        Obstacle::Refused(why)
    }
}

/// Why a promise cannot be kept as things are, by who can bring that about: a node goes back from a
/// revision only for what nobody but root could have made. The words are for people. There is no
/// conversion from words alone, so that every refusal says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The model asks for what is at odds with itself, or is not done on any machine.
    Model(String),
    /// What root, or a program that root runs, has made of this machine is at odds with it.
    Machine(String),
    /// Somebody without any privilege can have brought it about: by a process, or by what lies where they
    /// can write.
    Anybody(String),
    /// A secret cannot be had.
    Secret(String),
    /// The storage takes no change now: it is mounted read-only.
    Storage(String),
}

impl Refusal {
    pub fn model(words: impl Into<String>) -> Refusal {
        Refusal::Model(words.into())
    }

    pub fn machine(words: impl Into<String>) -> Refusal {
        Refusal::Machine(words.into())
    }

    pub fn anybody(words: impl Into<String>) -> Refusal {
        Refusal::Anybody(words.into())
    }

    /// About a thing that others than root can put there, or cannot.
    pub fn of_place(open: bool, words: impl Into<String>) -> Refusal {
        if open { Refusal::anybody(words) } else { Refusal::machine(words) }
    }

    /// The same, of this thing.
    #[must_use]
    pub fn of(self, thing: &str) -> Refusal {
        let of = |words: String| format!("{thing}: {words}");
        match self {
            Refusal::Model(words) => Refusal::Model(of(words)),
            Refusal::Machine(words) => Refusal::Machine(of(words)),
            Refusal::Anybody(words) => Refusal::Anybody(of(words)),
            Refusal::Secret(words) => Refusal::Secret(of(words)),
            Refusal::Storage(words) => Refusal::Storage(of(words)),
        }
    }

    pub fn words(&self) -> &str {
        match self {
            Refusal::Model(words)
            | Refusal::Machine(words)
            | Refusal::Anybody(words)
            | Refusal::Secret(words)
            | Refusal::Storage(words) => words,
        }
    }
}

impl Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.words())
    }
}

/// Whether one of them is a refusal, so that there is nothing to say about changes. What is only missing
/// may still come: the changes are then those that follow, and are planned again at their turn.
pub fn refuses(obstacles: &[Obstacle]) -> bool {
    obstacles.iter().any(|it| matches!(it, Obstacle::Refused(_)))
}

/// What an input of a service was when it was looked at: restart debts compare it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    pub digest: [u8; 32],
    /// When it last changed, in microseconds since 1970, where the machine tells.
    pub changed: Option<i64>,
}

/// How far the changes of one promise got.
#[derive(Clone, Debug, PartialEq)]
pub enum Applied {
    All,
    /// All of them, and something that an operator should know.
    Noted(Vec<String>),
    /// The change at this index failed; those before it are done, those after it were not tried.
    Failed {
        at: usize,
        error: SystemError,
    },
    /// All were tried; those at these indices failed, each for its own reason.
    Partly {
        failed: Vec<(usize, SystemError)>,
    },
}

impl Applied {
    /// Those that failed, by their index, and why.
    pub fn failed(&self) -> impl Iterator<Item = (usize, &SystemError)> {
        let (one, several) = match self {
            Applied::All | Applied::Noted(_) => (None, &[][..]),
            Applied::Failed { at, error } => (Some((*at, error)), &[][..]),
            Applied::Partly { failed } => (None, &**failed),
        };
        one.into_iter().chain(several.iter().map(|(at, error)| (*at, error)))
    }

    /// Those that were done, of these.
    pub fn done<'c, C>(&self, changes: &'c [C]) -> Vec<&'c C> {
        let is_done = |at: usize| match self {
            Applied::All | Applied::Noted(_) => true,
            Applied::Failed { at: first, error: _ } => at < *first,
            Applied::Partly { failed } => failed.iter().all(|(it, _)| *it != at),
        };
        changes.iter().enumerate().filter(|(at, _)| is_done(*at)).map(|(_, it)| it).collect()
    }

    /// Applies changes one after the other, up to the first that fails.
    pub fn each<C>(changes: &[C], mut apply: impl FnMut(&C) -> Result<(), SystemError>) -> Applied {
        for (at, change) in changes.iter().enumerate() {
            if let Err(error) = apply(change) {
                return Applied::Failed { at, error };
            }
        }
        Applied::All
    }
}

/// When a promise is attempted, beside what it needs: what goes, the other way round; then settings of the
/// machine itself, what is promised below /etc/apt, packages, accounts, what lies in the file system, jobs,
/// services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Turn {
    ServicesGo,
    JobsGo,
    PathsGo,
    UsersGo,
    GroupsGo,
    Settings,
    AptSources,
    Packages,
    /// Those with a promised number come first, so that no other takes it.
    NumberedGroups,
    Groups,
    NumberedUsers,
    Users,
    /// Groups that users who stay leave in this run.
    LeftGroupsGo,
    Members,
    Paths,
    Jobs,
    Services,
}

/// Where it shows that somebody has touched what a promise is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    pub paths: Vec<String>,
    /// Of which also the names in them matter.
    pub folders: Vec<String>,
    pub units: Vec<String>,
}

impl Watch {
    /// The places of what a promise claims.
    pub fn from_claims(claims: &[Identity]) -> Watch {
        let mut watch = Watch::default();
        for claim in claims {
            match claim {
                Identity::Path(path) => watch.paths.push(path.to_string()),
                Identity::Unit(unit) => watch.units.push(unit.to_string()),
                Identity::Package(_) => watch.paths.push("/var/lib/dpkg/status".to_owned()),
                Identity::User(_) => watch.also(&["/etc/passwd", "/etc/shadow"]),
                Identity::Group(_) => watch.also(Watch::GROUPS),
                // Only a look shows what the kernel holds.
                Identity::Setting(_) => {}
            }
        }
        watch
    }

    pub const GROUPS: &[&str] = &["/etc/group", "/etc/gshadow"];

    pub fn also(&mut self, paths: &[&str]) {
        self.paths.extend(paths.iter().copied().map(str::to_owned));
    }
}

/// A kind of promise. What one is told about the machine comes through `Probe`, which cannot change it; what
/// is done goes through `Actuate`.
pub trait Kind {
    /// `file` of `file:/etc/motd`.
    const NAME: &'static str;
    /// All fields but the common ones, for the reader, the schema and the documentation.
    const FIELDS: &'static [Field];
    /// What may stand in the place of a map of fields.
    const SHORT_FORMS: &'static [Takes] = &[];
    /// What may stand below the name, in words.
    const MAY_SAY: &'static str = "present, absent, or a map of fields";
    /// Whether a look is mostly spent on waiting for what another process answers.
    const ASKS: bool = false;
    /// Whether several components of a node may promise one thing, each the same: it is no part of what any of them is
    /// deployed as.
    const SHARED: bool = false;
    type Desired: Clone + Debug + PartialEq;
    type State: Clone + Debug + PartialEq;
    type Change: Clone + Debug + Display + PartialEq;

    // What it says.

    /// Reads a promise: `name` is the key in its section, `body` what stands there (a map of fields,
    /// or the kind's short form). Reports everything that is wrong through `cx`.
    fn lower(name: &Spanned<Arc<str>>, body: &Node, cx: &mut Lower<'_>) -> Option<Self::Desired>;

    /// What this promise owns; the first is its identity.
    fn claims(want: &Self::Desired) -> Vec<Identity>;

    /// What it is about: what it owns, or what it says a part of without owning it.
    fn concerns(want: &Self::Desired) -> Vec<Identity> {
        Self::claims(want)
    }

    /// What it needs, where that is promised: a file its parent directory, owner and group.
    fn uses(want: &Self::Desired) -> Vec<Identity>;

    /// Of which things one may bring what it is about: it comes after those that are promised to be there. Where
    /// one is promised to be gone, another may still bring it.
    fn comes_from(_want: &Self::Desired) -> Vec<Identity> {
        vec![]
    }

    /// Whether the thing is promised to be gone, so that it takes its turn the other way round.
    fn is_absent(want: &Self::Desired) -> bool;

    fn turn(want: &Self::Desired) -> Turn;

    /// Whether two revisions want the same, wherever it is written.
    fn wants_the_same(old: &Self::Desired, new: &Self::Desired) -> bool {
        old == new
    }

    /// Whether a package that is installed in this run could bring, change or own what is promised.
    fn may_come_with_packages(_want: &Self::Desired) -> bool {
        false
    }

    /// Whether packages bring just what is promised not to be.
    fn is_against_packages(want: &Self::Desired) -> bool {
        Self::is_absent(want) && Self::may_come_with_packages(want)
    }

    /// Whether it is promised that what it is about says itself to be well.
    fn promises_health(_want: &Self::Desired) -> bool {
        false
    }

    /// Where it shows that somebody has touched what it is about.
    fn watch(want: &Self::Desired) -> Watch {
        Watch::from_claims(&Self::claims(want))
    }

    /// The contents that it promises, as far as they are at hand.
    fn contents(_want: &Self::Desired) -> Vec<(&Digest, &Arc<[u8]>)> {
        vec![]
    }

    /// The texts that systemd reads because of it, as far as they are at hand.
    fn unit_texts(_want: &Self::Desired) -> Vec<String> {
        vec![]
    }

    /// What programs of the machine find as its name once this is kept.
    fn names_host(_want: &Self::Desired) -> Option<&str> {
        None
    }

    /// Has it take its contents from there from now on.
    fn take_contents_from(_want: &mut Self::Desired, _contents: &Arc<dyn Contents>) {}

    // What it says of what lies below it.

    /// The directory that it is about, promised to be there.
    fn folder(_want: &Self::Desired) -> Option<&AbsPath> {
        None
    }

    /// Whether it decides about what other promises do not name in its directory.
    fn rules_below(_want: &Self::Desired) -> bool {
        false
    }

    /// Whether this goes where nobody promises it.
    fn purges(_want: &Self::Desired, _path: &AbsPath, _is_folder: bool) -> bool {
        false
    }

    /// Tells it what the same run promises to be gone, and takes away.
    fn set_going(_want: &mut Self::Desired, _going: &[Identity]) {}

    /// Whether what belongs in it can lie there, though not all of it is kept: a directory with its owner and
    /// mode, in which something nobody promised could not be removed.
    fn is_place(_want: &Self::Desired, _have: &Self::State) -> bool {
        false
    }

    /// Tells it which paths other promises name in its directory.
    fn set_promised(_want: &mut Self::Desired, _below: Arc<[AbsPath]>) {}

    // What it has to do with things that no promise claims.

    /// What it makes beside what it claims: no other promise takes that away.
    fn makes(_want: &Self::Desired) -> Vec<Made> {
        vec![]
    }

    /// The path at which it writes or takes away, and whether also what lies below it: it is told what others
    /// make there. None of what touches nothing but its own.
    fn reaches(_want: &Self::Desired) -> Option<(&AbsPath, bool)> {
        None
    }

    /// Why it could not be promised of a path that turns out to be the same thing: a directory or a file that the
    /// system needs.
    fn harms(_want: &Self::Desired, _named: &AbsPath) -> Option<String> {
        None
    }

    /// The paths that it writes secrets to, and whether what is replaced there is kept all the same.
    fn secret_paths(_want: &Self::Desired) -> Vec<(AbsPath, bool)> {
        vec![]
    }

    /// Whether keeping it takes away the hold that it may have on a thing: a user's on the primary group of now.
    /// `own`: only on one that has its name.
    fn lets_go(_want: &Self::Desired, _thing: &Identity, _own: bool) -> bool {
        false
    }

    /// Tells it that another promise lets go of what is to be absent: it goes after that.
    fn set_let_go(_want: &mut Self::Desired) {}

    /// Tells it what other promises make where it reaches.
    fn set_made(_want: &mut Self::Desired, _made: Arc<[Made]>) {}

    /// What is new in its directory gets from that, once the promise is kept.
    fn hands_on(_want: &Self::Desired, _have: &Self::State) -> Option<Inherited> {
        None
    }

    /// Tells a look what something new will get from the directory that it lies in, where that is about to be
    /// another one.
    fn set_inherits(_have: &mut Self::State, _inherits: Option<&Inherited>) {}

    /// Tells a look at its directory which names below it other promises have that go by other paths, because
    /// a link of this machine leads there.
    fn set_also_promised(_have: &mut Self::State, _below: &Arc<[Arc<str>]>) {}

    /// The name of what it is another name of, on this machine.
    fn another_name_of(_have: &Self::State) -> Option<&str> {
        None
    }

    // The machine.

    /// A batch, so that a kind asks the machine once. One result for each want, in their order.
    fn observe(wants: &[&Self::Desired], sys: &dyn Probe) -> Vec<Result<Self::State, SystemError>>;

    /// Pure: every decision is made here.
    fn plan(want: &Self::Desired, have: &Self::State) -> Difference<Self::Change>;

    /// Does exactly what the changes say; it may only refuse. A batch with the changes of one promise
    /// in each item, so that packages are one transaction and files share one flush; one result for
    /// each promise.
    fn apply(batch: &[&[Self::Change]], sys: &dyn Actuate) -> Vec<Applied>;

    /// The same, but that what has to be waited for at the end ([`Kind::awaited`]) is left to the caller.
    fn act(batch: &[&[Self::Change]], sys: &dyn Actuate) -> Vec<Applied> {
        Self::apply(batch, sys)
    }

    /// What these changes have to be waited for at the end, and which of them it is.
    fn awaited(_changes: &[Self::Change]) -> Option<(usize, Settling)> {
        None
    }

    /// What a service that has this promise as an input runs with.
    fn fingerprint(have: &Self::State) -> Fingerprint;

    /// What the machine says now, as name and value, for `steadfast explain`. Nothing of a secret.
    fn describe(have: &Self::State) -> Vec<(&'static str, String)>;

    // A change.

    /// What it does, for programs. Nothing of a secret.
    fn facts(change: &Self::Change) -> Vec<Fact>;

    /// More than the one line of `Display`: the unified diff of a file. Nothing of a secret.
    fn detail(_change: &Self::Change) -> Option<String> {
        None
    }

    /// How many things the change removes from the machine, for the budget of deletions.
    fn deletes(_change: &Self::Change) -> u64 {
        0
    }

    /// Whether somebody without any privilege can make it fail, or take it back at once: the user whom it is
    /// about, by a process, or below their home.
    fn may_be_thwarted(_change: &Self::Change) -> bool {
        false
    }

    /// What it makes free for a later step: numbers, and whom a thing was held by.
    fn frees(_change: &Self::Change) -> Vec<Identity> {
        vec![]
    }

    /// The directories that it makes.
    fn folders(_change: &Self::Change) -> Vec<&AbsPath> {
        vec![]
    }

    /// Whether files, users and services that nobody named may come with it.
    fn brings(_change: &Self::Change) -> bool {
        false
    }

    /// Whether it makes an account, which a package that is installed before may make too.
    fn makes_account(_change: &Self::Change) -> bool {
        false
    }

    // Undo.

    /// What a change makes, replaces or takes away, and what was there before: for whoever may have to
    /// take it back. What cannot be taken back is told as unknown.
    fn effects(change: &Self::Change, want: &Self::Desired, have: &Self::State) -> Vec<Effect>;

    /// What the promise says this facet is to be, so that keeping the promise is enough for that. It is only
    /// asked of facets of what it concerns, or of paths in its directory.
    fn says(want: &Self::Desired, facet: &Facet, is_folder: bool) -> Says;

    /// Whether this kind knows how to look at the facet and how to change it back; one kind does.
    fn looks_after(_facet: &Facet) -> bool {
        false
    }

    /// What facets are now that it looks after; one result for each, in their order.
    fn observe_facets(_facets: &[&Facet], _sys: &dyn Probe) -> Vec<Result<Now, SystemError>> {
        vec![]
    }

    /// The promise that such a facet is not there, where there is something to say about that before it goes:
    /// a user with processes, somebody's primary group, a package that others need, a file with torn marks.
    fn absence(_facet: &Facet) -> Option<Self::Desired> {
        None
    }

    /// What it takes to have such a facet as it was; none where that is not known, or no change of ours
    /// does it.
    fn changes_back(
        _facet: &Facet,
        _now: &Now,
        _before: &FacetState,
        _about: &About<'_>,
    ) -> Option<Vec<Self::Change>> {
        None
    }
}
