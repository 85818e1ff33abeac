//! The kinds of promises, one file or folder for each: schema, observe, plan and apply side by side.
//!
//! Here stand the closed enums over all kinds and their matches. Adding a kind is a file and a variant
//! in each enum; the compiler then lists the places that must say something about it.

pub mod account_fields;
pub mod cron;
pub mod directory;
pub mod edit;
pub mod file;
pub mod glob;
pub mod group;
pub mod kind;
pub mod link;
pub mod members;
pub mod mode;
pub mod package;
pub mod paths;
pub mod runner;
pub mod service;
pub mod undo;
pub mod user;

pub use kind::{Applied, Difference, Fingerprint, Identity, Kind, Obstacle, Refusal};
pub use undo::{Effect, Facet, FacetState, effects};

use serde::{Deserialize, Serialize};
use std::fmt;
use steadfast_model::{Field, Lower, Node, Promise, Takes, Value, codes};
use steadfast_system::{AbsPath, Actuate, Probe, SystemError};

/// What one promise, or one part of it, wants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Resource {
    Package(package::Desired),
    Group(group::Desired),
    Members(members::Desired),
    User(user::Desired),
    Directory(directory::Desired),
    File(file::Desired),
    Link(link::Desired),
    Service(service::Desired),
    Cron(cron::Desired),
}

/// What the machine shows of it.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    Package(package::State),
    Group(group::State),
    Members(members::State),
    User(Box<user::State>),
    Directory(directory::State),
    File(file::State),
    Link(link::State),
    Service(service::State),
    Cron(cron::State),
}

/// One repair.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Package(package::Change),
    Group(group::Change),
    Members(members::Change),
    User(user::Change),
    Directory(directory::Change),
    File(file::Change),
    Link(link::Change),
    Service(service::Change),
    Cron(cron::Change),
}

/// The fields of each kind beside the common ones, for the schema and the documentation.
pub const FIELDS: &[(&str, &[Field])] = &[
    (package::Package::NAME, package::Package::FIELDS),
    (group::Group::NAME, group::Group::FIELDS),
    (user::User::NAME, user::User::FIELDS),
    (directory::Directory::NAME, directory::Directory::FIELDS),
    (file::File::NAME, file::File::FIELDS),
    (link::Link::NAME, link::Link::FIELDS),
    (service::Service::NAME, service::Service::FIELDS),
    (cron::Cron::NAME, cron::Cron::FIELDS),
];

const PRESENT_ABSENT: Takes = Takes::Words(&["present", "absent"]);

/// What may stand in the place of a kind's fields.
pub const SHORT_FORMS: &[(&str, &[Takes])] = &[
    (package::Package::NAME, &[Takes::Text]),
    (group::Group::NAME, &[PRESENT_ABSENT, Takes::Integer]),
    (user::User::NAME, &[PRESENT_ABSENT]),
    (directory::Directory::NAME, &[PRESENT_ABSENT]),
    (file::File::NAME, &[PRESENT_ABSENT]),
    (link::Link::NAME, &[Takes::Text]),
    (cron::Cron::NAME, &[Takes::Words(&["absent"])]),
];

/// What may stand below the name of a thing, in words.
fn may_say(kind: &str) -> &'static str {
    match kind {
        package::Package::NAME => {
            "present, absent, purged, latest, a version range, or a map of fields"
        }
        group::Group::NAME => "present, absent, its number, or a map of fields",
        link::Link::NAME => "its target, or a map of fields",
        service::Service::NAME => "a map of fields, as in { running: true }",
        cron::Cron::NAME => "absent, or a map of fields",
        _ => "present, absent, or a map of fields",
    }
}

/// Reads one promise of a model. A promise about a group with members has two parts, because groups
/// come before users and memberships after both.
pub fn lower(promise: &Promise, cx: &mut Lower<'_>) -> Option<Vec<Resource>> {
    let (name, body) = (&promise.name, &promise.body);
    if let Node::Scalar(scalar) = body
        && scalar.value.value == Value::Null
    {
        let message =
            format!("{} `{}` says nothing: {}", promise.kind, name.value, may_say(promise.kind));
        cx.error(codes::WRONG_TYPE, name.span, message);
        return None;
    }
    let one = match promise.kind {
        group::Group::NAME => {
            let group = group::Group::lower(name, body, cx)?;
            let members = group.members.clone().map(Resource::Members);
            return Some(std::iter::once(Resource::Group(group)).chain(members).collect());
        }
        package::Package::NAME => package::Package::lower(name, body, cx).map(Resource::Package),
        user::User::NAME => user::User::lower(name, body, cx).map(Resource::User),
        directory::Directory::NAME => {
            directory::Directory::lower(name, body, cx).map(Resource::Directory)
        }
        file::File::NAME => file::File::lower(name, body, cx).map(Resource::File),
        link::Link::NAME => link::Link::lower(name, body, cx).map(Resource::Link),
        service::Service::NAME => service::Service::lower(name, body, cx).map(Resource::Service),
        cron::Cron::NAME => cron::Cron::lower(name, body, cx).map(Resource::Cron),
        // Sections are a closed list, and each of its kinds stands above.
        _ => None,
    };
    one.map(|it| vec![it])
}

impl Resource {
    pub fn kind(&self) -> &'static str {
        match self {
            Resource::Package(_) => package::Package::NAME,
            Resource::Group(_) => group::Group::NAME,
            Resource::Members(_) => members::Members::NAME,
            Resource::User(_) => user::User::NAME,
            Resource::Directory(_) => directory::Directory::NAME,
            Resource::File(_) => file::File::NAME,
            Resource::Link(_) => link::Link::NAME,
            Resource::Service(_) => service::Service::NAME,
            Resource::Cron(_) => cron::Cron::NAME,
        }
    }

    /// What it owns; the first is its identity.
    pub fn claims(&self) -> Vec<Identity> {
        match self {
            Resource::Package(want) => package::Package::claims(want),
            Resource::Group(want) => group::Group::claims(want),
            Resource::Members(want) => members::Members::claims(want),
            Resource::User(want) => user::User::claims(want),
            Resource::Directory(want) => directory::Directory::claims(want),
            Resource::File(want) => file::File::claims(want),
            Resource::Link(want) => link::Link::claims(want),
            Resource::Service(want) => service::Service::claims(want),
            Resource::Cron(want) => cron::Cron::claims(want),
        }
    }

    /// What it needs, where that is promised.
    pub fn uses(&self) -> Vec<Identity> {
        match self {
            Resource::Package(want) => package::Package::uses(want),
            Resource::Group(want) => group::Group::uses(want),
            Resource::Members(want) => members::Members::uses(want),
            Resource::User(want) => user::User::uses(want),
            Resource::Directory(want) => directory::Directory::uses(want),
            Resource::File(want) => file::File::uses(want),
            Resource::Link(want) => link::Link::uses(want),
            Resource::Service(want) => service::Service::uses(want),
            Resource::Cron(want) => cron::Cron::uses(want),
        }
    }

    /// Whether the thing is promised to be gone.
    pub fn is_absent(&self) -> bool {
        match self {
            Resource::Package(want) => package::Package::is_absent(want),
            Resource::Group(want) => group::Group::is_absent(want),
            Resource::Members(want) => members::Members::is_absent(want),
            Resource::User(want) => user::User::is_absent(want),
            Resource::Directory(want) => directory::Directory::is_absent(want),
            Resource::File(want) => file::File::is_absent(want),
            Resource::Link(want) => link::Link::is_absent(want),
            Resource::Service(want) => service::Service::is_absent(want),
            Resource::Cron(want) => cron::Cron::is_absent(want),
        }
    }

    /// Its place in the usual order: what goes, the other way round; then what is promised below
    /// /etc/apt, packages, groups, users, memberships, what lies in the file system, cron, services.
    pub fn rank(&self) -> u8 {
        let absent = self.is_absent();
        match self {
            Resource::Service(_) if absent => 0,
            Resource::Cron(_) if absent => 1,
            Resource::File(_) | Resource::Directory(_) | Resource::Link(_) if absent => 2,
            Resource::User(_) if absent => 3,
            Resource::Group(_) if absent => 4,
            Resource::File(_) | Resource::Directory(_) | Resource::Link(_)
                if self.is_below("/etc/apt") =>
            {
                5
            }
            Resource::Package(_) => 6,
            Resource::Group(_) => 7,
            Resource::User(_) => 8,
            Resource::Members(_) => 9,
            Resource::File(_) | Resource::Directory(_) | Resource::Link(_) => 10,
            Resource::Cron(_) => 11,
            Resource::Service(_) => 12,
        }
    }

    fn is_below(&self, folder: &str) -> bool {
        AbsPath::parse(folder).is_ok_and(|folder| {
            self.claims().iter().filter_map(Identity::as_path).any(|it| it.is_within(&folder))
        })
    }
}

/// Tells every folder that purges which paths are promised below it.
pub fn relate(all: &mut [&mut Resource]) {
    let mut paths: Vec<AbsPath> = all
        .iter()
        .filter(|it| !it.is_absent())
        .flat_map(|it| it.claims())
        .filter_map(|it| it.as_path().cloned())
        .collect();
    paths.sort();
    for resource in all.iter_mut() {
        if let Resource::Directory(directory) = &mut **resource
            && directory.asks_for_promised()
        {
            // In their order, those below a folder stand beside each other.
            let prefix = format!("{}/", directory.path().as_str().trim_end_matches('/'));
            let from = paths.partition_point(|it| it.as_str() <= &*prefix);
            let below = paths[from..].iter().take_while(|it| it.as_str().starts_with(&prefix));
            directory.set_promised(below.cloned().collect());
        }
    }
}

/// Looks at all of them, one batch for each kind; one result for each, in their order.
pub fn observe(wants: &[&Resource], sys: &dyn Probe) -> Vec<Result<State, SystemError>> {
    let mut package = Batch::<package::Package>::new();
    let mut group = Batch::<group::Group>::new();
    let mut members = Batch::<members::Members>::new();
    let mut user = Batch::<user::User>::new();
    let mut directory = Batch::<directory::Directory>::new();
    let mut file = Batch::<file::File>::new();
    let mut link = Batch::<link::Link>::new();
    let mut service = Batch::<service::Service>::new();
    let mut cron = Batch::<cron::Cron>::new();
    for (at, want) in wants.iter().enumerate() {
        match want {
            Resource::Package(want) => package.push(at, want),
            Resource::Group(want) => group.push(at, want),
            Resource::Members(want) => members.push(at, want),
            Resource::User(want) => user.push(at, want),
            Resource::Directory(want) => directory.push(at, want),
            Resource::File(want) => file.push(at, want),
            Resource::Link(want) => link.push(at, want),
            Resource::Service(want) => service.push(at, want),
            Resource::Cron(want) => cron.push(at, want),
        }
    }
    let mut looks: Looks = wants.iter().map(|_| None).collect();
    package.look(sys, State::Package, &mut looks);
    group.look(sys, State::Group, &mut looks);
    members.look(sys, State::Members, &mut looks);
    user.look(sys, |it| State::User(Box::new(it)), &mut looks);
    directory.look(sys, State::Directory, &mut looks);
    file.look(sys, State::File, &mut looks);
    link.look(sys, State::Link, &mut looks);
    service.look(sys, State::Service, &mut looks);
    cron.look(sys, State::Cron, &mut looks);
    looks
        .into_iter()
        .map(|it| {
            it.unwrap_or_else(|| {
                let kind = steadfast_system::ErrorKind::Other;
                Err(SystemError::new(kind, "the look gave no answer"))
            })
        })
        .collect()
}

/// One for each want; none where no kind has answered.
type Looks = Vec<Option<Result<State, SystemError>>>;

/// The wants of one kind, and where they stand among all.
struct Batch<'a, K: Kind> {
    at: Vec<usize>,
    wants: Vec<&'a K::Desired>,
}

impl<'a, K: Kind> Batch<'a, K> {
    fn new() -> Batch<'a, K> {
        Batch { at: vec![], wants: vec![] }
    }

    fn push(&mut self, at: usize, want: &'a K::Desired) {
        self.at.push(at);
        self.wants.push(want);
    }

    /// Looks at them, if there are any, and puts what they show where they stand.
    fn look(self, sys: &dyn Probe, wrap: impl Fn(K::State) -> State, looks: &mut Looks) {
        if self.wants.is_empty() {
            return;
        }
        for (at, state) in self.at.into_iter().zip(K::observe(&self.wants, sys)) {
            looks[at] = Some(state.map(&wrap));
        }
    }
}

/// What separates the machine from the promise. Pure.
pub fn plan(want: &Resource, have: &State) -> Difference<Change> {
    match (want, have) {
        (Resource::Package(want), State::Package(have)) => {
            package::Package::plan(want, have).map(Change::Package)
        }
        (Resource::Group(want), State::Group(have)) => {
            group::Group::plan(want, have).map(Change::Group)
        }
        (Resource::Members(want), State::Members(have)) => {
            members::Members::plan(want, have).map(Change::Members)
        }
        (Resource::User(want), State::User(have)) => user::User::plan(want, have).map(Change::User),
        (Resource::Directory(want), State::Directory(have)) => {
            directory::Directory::plan(want, have).map(Change::Directory)
        }
        (Resource::File(want), State::File(have)) => file::File::plan(want, have).map(Change::File),
        (Resource::Link(want), State::Link(have)) => link::Link::plan(want, have).map(Change::Link),
        (Resource::Service(want), State::Service(have)) => {
            service::Service::plan(want, have).map(Change::Service)
        }
        (Resource::Cron(want), State::Cron(have)) => cron::Cron::plan(want, have).map(Change::Cron),
        // A state comes from a look at the same want.
        (
            Resource::Package(_)
            | Resource::Group(_)
            | Resource::Members(_)
            | Resource::User(_)
            | Resource::Directory(_)
            | Resource::File(_)
            | Resource::Link(_)
            | Resource::Service(_)
            | Resource::Cron(_),
            _,
        ) => Difference::refused("the look was at something else"),
    }
}

/// Carries out the changes of several promises of one kind; one result for each.
pub fn apply(batch: &[&[Change]], sys: &dyn Actuate) -> Vec<Applied> {
    let Some(first) = batch.iter().find_map(|it| it.first()) else {
        return vec![Applied::All; batch.len()];
    };
    match first {
        Change::Package(_) => carry_out::<package::Package>(batch, sys, |it| {
            if let Change::Package(it) = it { Some(it) } else { None }
        }),
        Change::Group(_) => carry_out::<group::Group>(batch, sys, |it| {
            if let Change::Group(it) = it { Some(it) } else { None }
        }),
        Change::Members(_) => carry_out::<members::Members>(batch, sys, |it| {
            if let Change::Members(it) = it { Some(it) } else { None }
        }),
        Change::User(_) => carry_out::<user::User>(batch, sys, |it| {
            if let Change::User(it) = it { Some(it) } else { None }
        }),
        Change::Directory(_) => carry_out::<directory::Directory>(batch, sys, |it| {
            if let Change::Directory(it) = it { Some(it) } else { None }
        }),
        Change::File(_) => carry_out::<file::File>(batch, sys, |it| {
            if let Change::File(it) = it { Some(it) } else { None }
        }),
        Change::Link(_) => carry_out::<link::Link>(batch, sys, |it| {
            if let Change::Link(it) = it { Some(it) } else { None }
        }),
        Change::Service(_) => carry_out::<service::Service>(batch, sys, |it| {
            if let Change::Service(it) = it { Some(it) } else { None }
        }),
        Change::Cron(_) => carry_out::<cron::Cron>(batch, sys, |it| {
            if let Change::Cron(it) = it { Some(it) } else { None }
        }),
    }
}

/// Hands a batch to its kind.
fn carry_out<K: Kind>(
    batch: &[&[Change]],
    sys: &dyn Actuate,
    of: impl Fn(&Change) -> Option<&K::Change>,
) -> Vec<Applied> {
    let changes = |it: &&[Change]| it.iter().filter_map(&of).cloned().collect();
    let owned: Vec<Vec<K::Change>> = batch.iter().map(changes).collect();
    let slices: Vec<&[K::Change]> = owned.iter().map(Vec::as_slice).collect();
    K::apply(&slices, sys)
}

impl State {
    /// What a service that has the promise as an input runs with.
    pub fn fingerprint(&self) -> Fingerprint {
        match self {
            State::Package(have) => package::Package::fingerprint(have),
            State::Group(have) => group::Group::fingerprint(have),
            State::Members(have) => members::Members::fingerprint(have),
            State::User(have) => user::User::fingerprint(have),
            State::Directory(have) => directory::Directory::fingerprint(have),
            State::File(have) => file::File::fingerprint(have),
            State::Link(have) => link::Link::fingerprint(have),
            State::Service(have) => service::Service::fingerprint(have),
            State::Cron(have) => cron::Cron::fingerprint(have),
        }
    }

    /// What the machine says now, as name and value.
    pub fn describe(&self) -> Vec<(&'static str, String)> {
        match self {
            State::Package(have) => package::Package::describe(have),
            State::Group(have) => group::Group::describe(have),
            State::Members(have) => members::Members::describe(have),
            State::User(have) => user::User::describe(have),
            State::Directory(have) => directory::Directory::describe(have),
            State::File(have) => file::File::describe(have),
            State::Link(have) => link::Link::describe(have),
            State::Service(have) => service::Service::describe(have),
            State::Cron(have) => cron::Cron::describe(have),
        }
    }
}

impl Change {
    /// More than its one line: the diff of a file.
    pub fn detail(&self) -> Option<String> {
        match self {
            Change::Package(change) => package::Package::detail(change),
            Change::Group(change) => group::Group::detail(change),
            Change::Members(change) => members::Members::detail(change),
            Change::User(change) => user::User::detail(change),
            Change::Directory(change) => directory::Directory::detail(change),
            Change::File(change) => file::File::detail(change),
            Change::Link(change) => link::Link::detail(change),
            Change::Service(change) => service::Service::detail(change),
            Change::Cron(change) => cron::Cron::detail(change),
        }
    }

    /// What it makes of which things, for whoever may have to take it back.
    fn effects(&self, want: &Resource, have: &State) -> Vec<Effect> {
        match (self, want, have) {
            (Change::Package(it), Resource::Package(want), State::Package(have)) => {
                package::Package::effects(it, want, have)
            }
            (Change::Group(it), Resource::Group(want), State::Group(have)) => {
                group::Group::effects(it, want, have)
            }
            (Change::Members(it), Resource::Members(want), State::Members(have)) => {
                members::Members::effects(it, want, have)
            }
            (Change::User(it), Resource::User(want), State::User(have)) => {
                user::User::effects(it, want, have)
            }
            (Change::Directory(it), Resource::Directory(want), State::Directory(have)) => {
                directory::Directory::effects(it, want, have)
            }
            (Change::File(it), Resource::File(want), State::File(have)) => {
                file::File::effects(it, want, have)
            }
            (Change::Link(it), Resource::Link(want), State::Link(have)) => {
                link::Link::effects(it, want, have)
            }
            (Change::Service(it), Resource::Service(want), State::Service(have)) => {
                service::Service::effects(it, want, have)
            }
            (Change::Cron(it), Resource::Cron(want), State::Cron(have)) => {
                cron::Cron::effects(it, want, have)
            }
            // A change comes from a plan for the same want and look.
            (
                Change::Package(_)
                | Change::Group(_)
                | Change::Members(_)
                | Change::User(_)
                | Change::Directory(_)
                | Change::File(_)
                | Change::Link(_)
                | Change::Service(_)
                | Change::Cron(_),
                _,
                _,
            ) => vec![],
        }
    }

    /// The folders that it makes.
    pub fn folders(&self) -> Vec<&AbsPath> {
        match self {
            Change::User(change) => change.home().into_iter().collect(),
            Change::Directory(paths::Change::MakeDirectories(all)) => {
                all.iter().map(|it| &it.path).collect()
            }
            Change::Package(_)
            | Change::Group(_)
            | Change::Members(_)
            | Change::Directory(_)
            | Change::File(_)
            | Change::Link(_)
            | Change::Service(_)
            | Change::Cron(_) => vec![],
        }
    }

    /// How many things it removes from the machine.
    pub fn deletes(&self) -> u64 {
        match self {
            Change::Package(change) => package::Package::deletes(change),
            Change::Group(change) => group::Group::deletes(change),
            Change::Members(change) => members::Members::deletes(change),
            Change::User(change) => user::User::deletes(change),
            Change::Directory(change) => directory::Directory::deletes(change),
            Change::File(change) => file::File::deletes(change),
            Change::Link(change) => link::Link::deletes(change),
            Change::Service(change) => service::Service::deletes(change),
            Change::Cron(change) => cron::Cron::deletes(change),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Package(change) => change.fmt(f),
            Change::Group(change) => change.fmt(f),
            Change::Members(change) => change.fmt(f),
            Change::User(change) => change.fmt(f),
            Change::Directory(change) => change.fmt(f),
            Change::File(change) => change.fmt(f),
            Change::Link(change) => change.fmt(f),
            Change::Service(change) => change.fmt(f),
            Change::Cron(change) => change.fmt(f),
        }
    }
}
