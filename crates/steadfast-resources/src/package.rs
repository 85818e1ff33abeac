//! Debian packages: installed or not, in which version, held or not.
//!
//! ```yaml
//! packages:
//!   nginx: present
//!   curl: { version: ">= 7.88, < 8", hold: true }
//!   telnet: absent
//!   tzdata: latest
//!   golang: { from: bookworm-backports, recommends: false }
//!   postfix:
//!     conffiles: keep
//!     start: false
//!     debconf: { postfix/main_mailer_type: Satellite system }
//! ```
//!
//! `present` takes any version within `version`; `latest` the newest within it that apt would choose.
//! Versions compare as dpkg compares them; a version above the range is not kept without
//! `allow_downgrade: true`. A hold that somebody else set is respected: where the package would have to
//! change, the promise is not kept and says so; `hold: false` takes it away.
//!
//! Packages with equal options are one transaction. Nothing that `allow_removals` does not name is ever
//! removed to make room: such a package is not kept, and the others go on. `conffiles` says what happens
//! to configuration files that were changed on the machine: `keep` them, `replace` them, or `fail`
//! before anything is unpacked. `conffiles`, `recommends`, `debconf` and `start` act when a package is
//! installed or upgraded, and are no state that is compared. `from` names the suite that a version comes
//! from; an installed version that apt knows from other suites only is not from this one.

use crate::kind::{Applied, Difference, Fingerprint, Identity, Kind, Obstacle};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use steadfast_model::{Field, Fields, Lower, Node, Spanned, Takes, codes};
use steadfast_system::packages::version::{Range, Version};
use steadfast_system::packages::{
    Conffiles, Goal, Health, Interruption, Item, Lists, Look, Mark, Offers, Options, Removals,
    Transaction,
};
use steadfast_system::{Actuate, PackageName, Probe, SystemError};

/// Whether a package is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Presence {
    Present,
    /// Present, and in the newest version within the range.
    Latest,
    Absent,
    /// Absent, with its configuration files.
    Purged,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Desired {
    pub name: PackageName,
    pub state: Presence,
    pub version: Option<Range>,
    pub hold: Option<bool>,
    pub options: Options,
    pub allow_downgrade: bool,
    pub allow_removals: Removals,
    pub debconf: Vec<(Arc<str>, Arc<str>)>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub look: Look,
    /// What apt offers and how fresh its lists are, where that had to be asked.
    pub apt: Option<(Option<Offers>, Lists)>,
    /// Why the transaction that follows would not be carried out, where apt's simulation tells.
    pub objection: Option<String>,
}

/// One repair. It says which package it is about, because many promises are one transaction.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Configure {
        package: PackageName,
        health: Health,
    },
    Unhold {
        package: PackageName,
    },
    Install(Arc<Act>),
    Upgrade(Arc<Act>),
    Downgrade(Arc<Act>),
    /// The lists are too old to tell whether there is a newer version.
    LookForNewer(Arc<Act>),
    Remove(Arc<Act>),
    Purge(Arc<Act>),
    Hold {
        package: PackageName,
    },
    MarkManual {
        package: PackageName,
    },
}

impl Change {
    /// Whether files, users and services may come with it.
    pub fn brings(&self) -> bool {
        match self {
            Change::Configure { .. }
            | Change::Install(_)
            | Change::Upgrade(_)
            | Change::Downgrade(_)
            | Change::LookForNewer(_) => true,
            Change::Unhold { .. }
            | Change::Remove(_)
            | Change::Purge(_)
            | Change::Hold { .. }
            | Change::MarkManual { .. } => false,
        }
    }
}

/// A change that is part of a transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct Act {
    pub item: Item,
    pub options: Options,
    /// The version that is there now.
    pub have: Option<Version>,
}

const STATES: &[(&str, Presence)] = &[
    ("present", Presence::Present),
    ("absent", Presence::Absent),
    ("purged", Presence::Purged),
    ("latest", Presence::Latest),
];

#[derive(Debug)]
pub struct Package;

impl Kind for Package {
    const NAME: &'static str = "package";
    const FIELDS: &'static [Field] = &[
        Field::new(
            "state",
            Takes::Words(&["present", "absent", "purged", "latest"]),
            "present (default), absent, purged (its configuration too), or latest within `version`",
        ),
        Field::new(
            "version",
            Takes::Text,
            "a version or a range in Debian's order: \">= 7.88, < 8\"",
        ),
        Field::new("hold", Takes::Boolean, "true: held back from upgrades; false: no hold"),
        Field::new(
            "conffiles",
            Takes::Words(&["keep", "replace", "fail"]),
            "what happens to changed configuration files at an upgrade (keep)",
        ),
        Field::new("recommends", Takes::Boolean, "install what it recommends (as apt is set)"),
        Field::new(
            "allow_downgrade",
            Takes::Boolean,
            "go back where the version is above the range (false)",
        ),
        Field::new(
            "allow_removals",
            Takes::OneOf(&[Takes::Boolean, Takes::TextList]),
            "false (default), or the packages that may be removed to make room",
        ),
        Field::new("from", Takes::Text, "the suite that it comes from: bookworm-backports"),
        Field::new("debconf", Takes::MapOf(&Takes::Text), "answers to its questions, by question"),
        Field::new("start", Takes::Boolean, "false: its services stay down during installation"),
    ];
    type Desired = Desired;
    type State = State;
    type Change = Change;

    fn lower(name: &Spanned<Arc<str>>, body: &Node, cx: &mut Lower<'_>) -> Option<Desired> {
        let package = match PackageName::parse(&name.value) {
            Ok(package) => Some(package),
            Err(refusal) => {
                cx.error(codes::BAD_NAME, name.span, refusal.to_string());
                None
            }
        };
        if !matches!(body, Node::Map(..)) {
            return short_form(package, body, cx);
        }
        let mut fields = Fields::of(body, Self::NAME, Self::FIELDS, cx)?;
        let state = fields.one_of("state", STATES).unwrap_or(Presence::Present);
        let version = fields.parsed("version", codes::BAD_VALUE, Range::parse);
        let hold = fields.boolean("hold");
        let conffiles = fields.one_of(
            "conffiles",
            &[
                ("keep", Conffiles::Keep),
                ("replace", Conffiles::Replace),
                ("fail", Conffiles::Fail),
            ],
        );
        let recommends = fields.boolean("recommends");
        let allow_downgrade = fields.boolean("allow_downgrade").unwrap_or(false);
        let allow_removals = removals(&mut fields);
        let from = fields.parsed("from", codes::BAD_NAME, suite);
        let debconf = answers(&mut fields);
        let start = fields.boolean("start").unwrap_or(true);
        if is_gone(state) {
            for field in [
                "version",
                "conffiles",
                "recommends",
                "allow_downgrade",
                "from",
                "debconf",
                "start",
            ] {
                if fields.has(field) {
                    let span = fields.key_span(field);
                    fields.error(
                        codes::CONFLICTING_FIELDS,
                        span,
                        format!(
                            "`{field}` says nothing about a package that is promised to be gone"
                        ),
                    );
                }
            }
            if hold == Some(true) {
                let span = fields.key_span("hold");
                fields.error(
                    codes::CONFLICTING_FIELDS,
                    span,
                    "a package that is gone cannot be held",
                );
            }
        }
        if !fields.complete() {
            return None;
        }
        Some(Desired {
            name: package?,
            state,
            version,
            hold,
            options: Options { conffiles: conffiles.unwrap_or_default(), recommends, from, start },
            allow_downgrade,
            allow_removals,
            debconf,
        })
    }

    fn claims(want: &Desired) -> Vec<Identity> {
        vec![Identity::Package(want.name.clone())]
    }

    fn uses(_want: &Desired) -> Vec<Identity> {
        vec![]
    }

    fn is_absent(want: &Desired) -> bool {
        is_gone(want.state)
    }

    fn observe(wants: &[&Desired], sys: &dyn Probe) -> Vec<Result<State, SystemError>> {
        let names: Vec<&PackageName> = wants.iter().map(|it| &it.name).collect();
        let looks = match sys.package_looks(&names) {
            Ok(looks) => looks,
            Err(error) => return vec![Err(error); wants.len()],
        };
        let asked: Vec<bool> =
            wants.iter().zip(&looks).map(|(want, look)| needs_apt(want, look)).collect();
        let about: Vec<&PackageName> =
            names.iter().zip(&asked).filter(|(_, asked)| **asked).map(|(name, _)| *name).collect();
        let suites =
            wants.iter().zip(&asked).any(|(want, asked)| *asked && want.options.from.is_some());
        let answers = if about.is_empty() { Ok(vec![]) } else { sys.offers(&about, suites) };
        let lists = if about.is_empty() { None } else { Some(sys.apt_lists()) };
        let mut next = 0;
        let mut states: Vec<Result<State, SystemError>> = looks
            .into_iter()
            .zip(asked)
            .map(|(look, asked)| {
                let Some(lists) = lists.filter(|_| asked) else {
                    return Ok(State { look, apt: None, objection: None });
                };
                let answers = answers.as_ref().map_err(Clone::clone)?;
                let offers = answers.get(next).cloned().flatten();
                next += 1;
                Ok(State { look, apt: Some((offers, lists)), objection: None })
            })
            .collect();
        foresee(wants, &mut states, sys);
        states
    }

    fn plan(want: &Desired, have: &State) -> Difference<Change> {
        let mut difference =
            if is_gone(want.state) { plan_gone(want, have) } else { plan_there(want, have) };
        if !difference.changes.is_empty() && have.look.interruption == Some(Interruption::Foreign) {
            difference.changes.clear();
            difference.obstacles = vec![Obstacle::Refused(
                "dpkg was interrupted by somebody else: run `dpkg --configure -a`, or allow it with `repair_dpkg: true`"
                    .to_owned(),
            )];
        }
        let upgrades = |it: &Change| matches!(it, Change::Upgrade(_) | Change::Downgrade(_));
        if want.options.conffiles == Conffiles::Fail && difference.changes.iter().any(upgrades) {
            difference.obstacles.push(Obstacle::Unknown(
                "whether changed configuration files speak against it is known only with the package"
                    .to_owned(),
            ));
        }
        if let Some(why) = &have.objection {
            difference.changes.clear();
            difference.obstacles = vec![Obstacle::Refused(why.clone())];
        }
        difference.notes.extend(
            have.look
                .leftovers
                .iter()
                .map(|it| format!("{it} was left beside the file that was kept")),
        );
        difference
    }

    fn apply(batch: &[&[Change]], sys: &dyn Actuate) -> Vec<Applied> {
        let mut applied = vec![Applied::All; batch.len()];
        let all = |wanted: &dyn Fn(&Change) -> bool| -> Vec<(usize, usize, Change)> {
            let places = batch.iter().enumerate().flat_map(|(promise, changes)| {
                changes.iter().enumerate().map(move |(at, change)| (promise, at, change))
            });
            places
                .filter(|(_, _, change)| wanted(change))
                .map(|(promise, at, change)| (promise, at, change.clone()))
                .collect()
        };
        let configured = all(&|it| matches!(it, Change::Configure { .. }));
        if !configured.is_empty()
            && let Err(error) = sys.complete_packages()
        {
            for (promise, at, change) in configured {
                // Another package may be the one that could not be configured.
                if !is_whole(change.package(), sys) {
                    applied[promise] = Applied::Failed { at, error: error.clone() };
                }
            }
        }
        mark(&all(&|it| matches!(it, Change::Unhold { .. })), &mut applied, sys);
        let mut acts = all(&|it| it.act().is_some());
        acts.retain(|(promise, ..)| applied[*promise] == Applied::All);
        for (_, options, places) in transactions(&acts) {
            let items = places.iter().map(|(_, _, item)| item.clone()).collect();
            let results = sys.transact(&Transaction { options, items });
            for ((promise, at, _), result) in places.into_iter().zip(results) {
                if let Err(error) = result {
                    applied[promise] = Applied::Failed { at, error };
                }
            }
        }
        let marks = |it: &Change| matches!(it, Change::Hold { .. } | Change::MarkManual { .. });
        mark(&all(&marks), &mut applied, sys);
        applied
    }

    fn fingerprint(have: &State) -> Fingerprint {
        let mut text = String::from("absent");
        if let Some(it) = have.look.installed.as_ref().filter(|it| is_there(it.health)) {
            text =
                format!("{} {}", it.architecture, it.version.as_ref().map_or("", Version::as_str));
        }
        Fingerprint { digest: Sha256::digest(text.as_bytes()).into(), changed: have.look.changed }
    }

    fn describe(have: &State) -> Vec<(&'static str, String)> {
        let mut said = vec![];
        match &have.look.installed {
            None => said.push(("state", "not installed".to_owned())),
            Some(it) => {
                said.push(("state", it.health.as_str().to_owned()));
                if let Some(version) = &it.version {
                    said.push(("version", version.to_string()));
                }
                said.push(("architecture", it.architecture.to_string()));
                said.push(("hold", it.hold.to_string()));
                said.push(("came as a dependency", have.look.automatic.to_string()));
            }
        }
        for (name, _) in &have.look.provided_by {
            said.push(("provided by", name.to_string()));
        }
        if let Some((offers, lists)) = &have.apt {
            let candidate = offers.as_ref().and_then(|it| it.candidate.as_ref());
            said.push(("candidate", candidate.map_or("none".to_owned(), ToString::to_string)));
            said.push(("apt's lists", age(lists)));
        }
        said
    }

    fn deletes(change: &Change) -> u64 {
        match change {
            Change::Remove(_) | Change::Purge(_) => 1,
            Change::Configure { .. }
            | Change::Unhold { .. }
            | Change::Install(_)
            | Change::Upgrade(_)
            | Change::Downgrade(_)
            | Change::LookForNewer(_)
            | Change::Hold { .. }
            | Change::MarkManual { .. } => 0,
        }
    }
}

/// The promise in the batch, the change in the promise, and what a transaction does for it.
type Place = (usize, usize, Item);

/// What is equal in verb and options goes together; each with its promise and place there.
fn transactions(acts: &[(usize, usize, Change)]) -> Vec<(Verb, Options, Vec<Place>)> {
    let mut transactions: Vec<(Verb, Options, Vec<Place>)> = vec![];
    for (promise, at, change) in acts {
        let Some((verb, act)) = change.act() else { continue };
        let place = (*promise, *at, act.item.clone());
        let equal = transactions.iter_mut().find(|it| it.0 == verb && it.1 == act.options);
        match equal {
            Some((_, _, places)) => places.push(place),
            None => transactions.push((verb, act.options.clone(), vec![place])),
        }
    }
    transactions.sort_by_key(|it| it.0);
    transactions
}

/// Asks apt what speaks against the transactions that would follow, so that a forecast does not promise
/// what a run then refuses. Nothing is asked where nothing would be changed.
fn foresee(wants: &[&Desired], states: &mut [Result<State, SystemError>], sys: &dyn Probe) {
    let mut acts = vec![];
    for (promise, (want, state)) in wants.iter().zip(states.iter()).enumerate() {
        let Ok(have) = state else { continue };
        let difference = Package::plan(want, have);
        if difference.obstacles.is_empty() {
            let changes = difference.changes.into_iter().enumerate();
            acts.extend(changes.map(|(at, change)| (promise, at, change)));
        }
    }
    for (_, options, places) in transactions(&acts) {
        let items = places.iter().map(|(_, _, item)| item.clone()).collect();
        let against = sys.objections(&Transaction { options, items });
        for ((promise, ..), why) in places.into_iter().zip(against) {
            if let (Some(why), Ok(state)) = (why, &mut states[promise]) {
                state.objection = Some(why);
            }
        }
    }
}

/// What goes makes room first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verb {
    Purge,
    Remove,
    Install,
}

impl Change {
    fn act(&self) -> Option<(Verb, &Act)> {
        match self {
            Change::Install(act)
            | Change::Upgrade(act)
            | Change::Downgrade(act)
            | Change::LookForNewer(act) => Some((Verb::Install, act)),
            Change::Remove(act) => Some((Verb::Remove, act)),
            Change::Purge(act) => Some((Verb::Purge, act)),
            Change::Configure { .. }
            | Change::Unhold { .. }
            | Change::Hold { .. }
            | Change::MarkManual { .. } => None,
        }
    }

    fn package(&self) -> &PackageName {
        match self {
            Change::Install(act)
            | Change::Upgrade(act)
            | Change::Downgrade(act)
            | Change::LookForNewer(act)
            | Change::Remove(act)
            | Change::Purge(act) => &act.item.package,
            Change::Configure { package, .. }
            | Change::Unhold { package }
            | Change::Hold { package }
            | Change::MarkManual { package } => package,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let both = |f: &mut fmt::Formatter<'_>, verb: &str, act: &Act| {
            f.write_str(verb)?;
            if let Some(have) = &act.have {
                write!(f, " {have}")?;
            }
            match &act.item.goal {
                Goal::Install { version: Some(version), .. } if act.have.is_some() => {
                    write!(f, " -> {version}")
                }
                Goal::Install { version: Some(version), .. } => write!(f, " {version}"),
                Goal::Install { version: None, range: Some(range), .. } => {
                    write!(f, ", to a version in `{range}`")
                }
                Goal::Install { .. } | Goal::Remove | Goal::Purge => Ok(()),
            }
        };
        match self {
            Change::Configure { health, .. } => {
                write!(f, "complete its installation (it is {})", health.as_str())
            }
            Change::Unhold { .. } => f.write_str("lift its hold"),
            Change::Install(act) => both(f, "install", act),
            Change::Upgrade(act) => both(f, "upgrade", act),
            Change::Downgrade(act) => both(f, "downgrade", act),
            Change::LookForNewer(act) => match &act.have {
                Some(have) => write!(f, "look for a newer version than {have}"),
                None => f.write_str("look for a newer version"),
            },
            Change::Remove(act) => both(f, "remove", act),
            Change::Purge(act) if act.have.is_none() => f.write_str("purge what its removal left"),
            Change::Purge(act) => both(f, "purge", act),
            Change::Hold { .. } => f.write_str("hold"),
            Change::MarkManual { .. } => {
                f.write_str("mark as wanted for itself (it came as a dependency)")
            }
        }
    }
}

fn is_gone(state: Presence) -> bool {
    match state {
        Presence::Absent | Presence::Purged => true,
        Presence::Present | Presence::Latest => false,
    }
}

/// `present`, `absent`, `purged`, `latest`, or a version range.
fn short_form(package: Option<PackageName>, body: &Node, cx: &mut Lower<'_>) -> Option<Desired> {
    let text = cx.as_text(body, "a package")?;
    let state = STATES.iter().find(|(word, _)| *word == &*text.value).map(|(_, state)| *state);
    let version = match state {
        Some(_) => None,
        None => match Range::parse(&text.value) {
            Ok(range) => Some(range),
            Err(refusal) => {
                cx.report(
                    steadfast_model::Diagnostic::error(
                        codes::BAD_VALUE,
                        text.span,
                        refusal.to_string(),
                    )
                    .help("present, absent, purged, latest, or a version range such as \">= 7.88, < 8\""),
                );
                return None;
            }
        },
    };
    Some(Desired {
        name: package?,
        state: state.unwrap_or(Presence::Present),
        version,
        hold: None,
        options: Options::default(),
        allow_downgrade: false,
        allow_removals: Removals::None,
        debconf: vec![],
    })
}

fn removals(fields: &mut Fields<'_, '_, '_>) -> Removals {
    match fields.node("allow_removals") {
        None => Removals::None,
        Some(Node::List(..)) => fields
            .parsed_list("allow_removals", codes::BAD_NAME, PackageName::parse)
            .map_or(Removals::None, Removals::Named),
        Some(node) => {
            let span = node.span();
            if fields.boolean("allow_removals") == Some(true) {
                fields.error(
                    codes::BAD_VALUE,
                    span,
                    "`allow_removals` is false or a list of the packages that may go",
                );
            }
            Removals::None
        }
    }
}

/// The name of a suite, which becomes an argument of apt-get.
fn suite(text: &str) -> Result<Arc<str>, String> {
    let fits = text.starts_with(|it: char| it.is_ascii_alphanumeric())
        && text.len() <= 255
        && text.bytes().all(|it| it.is_ascii_alphanumeric() || b"._-/+~".contains(&it));
    if fits {
        Ok(Arc::from(text))
    } else {
        Err(format!(
            "`{}` is not the name of a suite, as bookworm-backports is",
            text.escape_debug()
        ))
    }
}

/// Questions and answers, each of which becomes one line for debconf.
fn answers(fields: &mut Fields<'_, '_, '_>) -> Vec<(Arc<str>, Arc<str>)> {
    let Some(node) = fields.node("debconf") else { return vec![] };
    let Some(entries) = fields.cx.as_map(node, "`debconf`") else { return vec![] };
    let mut found = vec![];
    for (question, node) in entries {
        let name = &question.value;
        let fits = name.contains('/')
            && name.len() <= 255
            && name.starts_with(|it: char| it.is_ascii_alphanumeric())
            && name.bytes().all(|it| it.is_ascii_graphic());
        if !fits {
            let message =
                format!("`{}` is not a question, as postfix/mailname is", name.escape_debug());
            fields.cx.error(codes::BAD_NAME, question.span, message);
        }
        // Answers of true and false need no quotes.
        let value = match node {
            Node::Scalar(Spanned {
                value: steadfast_model::Scalar { value: steadfast_model::Value::Boolean(it), .. },
                ..
            }) => Some(Arc::from(if *it { "true" } else { "false" })),
            Node::Scalar(_) | Node::List(..) | Node::Map(..) | Node::Unknown(_) => {
                fields.cx.as_text(node, &format!("`{name}`")).map(|it| it.value)
            }
        };
        let Some(value) = value else { continue };
        if value.chars().any(char::is_control) {
            let message = format!("the answer to `{name}` has a control character");
            fields.cx.error(codes::BAD_VALUE, node.span(), message);
            continue;
        }
        found.push((Arc::clone(name), value));
    }
    found
}

fn is_there(health: Health) -> bool {
    match health {
        Health::NotInstalled | Health::ConfigFiles | Health::HalfInstalled => false,
        Health::Unpacked
        | Health::HalfConfigured
        | Health::TriggersAwaited
        | Health::TriggersPending
        | Health::Installed => true,
    }
}

/// Whether dpkg's database is not enough to judge.
fn needs_apt(want: &Desired, look: &Look) -> bool {
    if is_gone(want.state) {
        return false;
    }
    let Some(it) = look.installed.as_ref().filter(|it| is_there(it.health) && !it.broken) else {
        return true;
    };
    want.state == Presence::Latest
        || want.options.from.is_some()
        || !within(want.version.as_ref(), it.version.as_ref())
}

fn within(range: Option<&Range>, version: Option<&Version>) -> bool {
    range.is_none_or(|range| version.is_some_and(|version| range.holds(version)))
}

/// Whether a version is newer than what a range ends with.
fn is_above(range: &Range, version: &Version) -> bool {
    let holds = |term: &str| Range::parse(term).is_ok_and(|it| it.holds(version));
    range.to_string().split(',').map(str::trim).any(|term| {
        if term.starts_with('>') || holds(term) {
            return false;
        }
        let end = term.trim_start_matches('=').trim_end_matches('*').trim();
        term.starts_with('<') || holds(&format!("> {end}"))
    })
}

fn act(want: &Desired, goal: Goal, have: Option<&Version>, held: bool) -> Arc<Act> {
    Arc::new(Act {
        item: Item {
            package: want.name.clone(),
            goal,
            allow_downgrade: want.allow_downgrade,
            removals: want.allow_removals.clone(),
            debconf: want.debconf.clone(),
            held: held && want.hold == Some(true),
        },
        options: want.options.clone(),
        have: have.cloned(),
    })
}

fn held_by_others(difference: Difference<Change>, what: &str) -> Difference<Change> {
    Difference {
        changes: vec![],
        obstacles: vec![Obstacle::Refused(format!(
            "it would have to be {what}, and somebody else holds it; `hold: false` takes that away"
        ))],
        ..difference
    }
}

fn plan_gone(want: &Desired, have: &State) -> Difference<Change> {
    let Some(it) = &have.look.installed else { return Difference::none() };
    let package = want.name.clone();
    let only_files = it.health == Health::ConfigFiles;
    let purge = want.state == Presence::Purged;
    let mut changes = vec![];
    if it.hold && want.hold == Some(false) {
        changes.push(Change::Unhold { package });
    }
    if only_files && !purge {
        return Difference::of(changes);
    }
    if it.essential && !only_files {
        return Difference::refused("it is essential: the system does not work without it");
    }
    let version = it.version.as_ref().filter(|_| !only_files);
    changes.push(if purge {
        Change::Purge(act(want, Goal::Purge, version, it.hold))
    } else {
        Change::Remove(act(want, Goal::Remove, version, it.hold))
    });
    let difference = Difference::of(changes);
    if it.hold && want.hold != Some(false) && !only_files {
        return held_by_others(difference, "removed");
    }
    difference
}

fn plan_there(want: &Desired, have: &State) -> Difference<Change> {
    let look = &have.look;
    let package = || want.name.clone();
    let mut difference = Difference::none();
    let held = look.installed.as_ref().is_some_and(|it| it.hold);
    let step = match &look.installed {
        Some(it) if is_there(it.health) && !it.broken => {
            if it.health.is_cut() {
                difference
                    .changes
                    .push(Change::Configure { package: package(), health: it.health });
            }
            other_version(want, have, it.version.as_ref(), held)
        }
        Some(_) | None => first_version(want, have, held),
    };
    let changes_version = !step.changes.is_empty();
    if changes_version && held && want.hold.is_none() {
        if let Some(Change::LookForNewer(_)) = step.changes.first() {
            difference
                .notes
                .push("somebody else holds it, so no newer version is looked for".to_owned());
        } else {
            return held_by_others(step, "installed in another version");
        }
    } else {
        if held && want.hold == Some(false) {
            difference.changes.push(Change::Unhold { package: package() });
        }
        difference.changes.extend(step.changes);
        difference.obstacles.extend(step.obstacles);
    }
    difference.notes.extend(step.notes);
    let by_another = difference.changes.is_empty() && look.installed.is_none();
    if by_another {
        return difference;
    }
    if want.hold == Some(true) && !held {
        difference.changes.push(Change::Hold { package: package() });
    }
    if look.automatic {
        difference.changes.push(Change::MarkManual { package: package() });
    }
    difference
}

fn goal(want: &Desired, version: Option<&Version>) -> Goal {
    Goal::Install {
        range: want.version.clone(),
        version: version.cloned(),
        latest: want.state == Presence::Latest,
    }
}

/// The package is not there, or not whole.
fn first_version(want: &Desired, have: &State, held: bool) -> Difference<Change> {
    let offers = have.apt.as_ref().and_then(|it| it.0.as_ref());
    let from = want.options.from.as_deref();
    if let Some(version) = offers.and_then(|it| it.choose(want.version.as_ref(), from)) {
        let act = act(want, goal(want, Some(version)), None, held);
        return Difference::of(vec![Change::Install(act)]);
    }
    // A virtual package is there where another one provides it.
    let provider = have
        .look
        .provided_by
        .iter()
        .find(|(_, version)| from.is_none() && within(want.version.as_ref(), version.as_ref()));
    if let (None, Some((name, _))) = (offers, provider) {
        return Difference { notes: vec![format!("{name} provides it")], ..Difference::none() };
    }
    not_offered(want, have, Change::Install(act(want, goal(want, None), None, held)))
}

/// The package is there, in a version that may have to be another one.
fn other_version(
    want: &Desired,
    have: &State,
    version: Option<&Version>,
    held: bool,
) -> Difference<Change> {
    let Some((offers, lists)) = &have.apt else { return Difference::none() };
    let (range, from) = (want.version.as_ref(), want.options.from.as_deref());
    let target = offers.as_ref().and_then(|it| it.choose(range, from));
    let elsewhere = || {
        let offer = offers.as_ref().zip(version).and_then(|(offers, it)| offers.offer(it));
        from.is_some_and(|from| offer.is_some_and(|it| !it.comes_from(from)))
    };
    let wrong = !within(range, version) || elsewhere();
    let too_new = |than: String| {
        let have = version.map_or("", Version::as_str);
        let words = format!("{have} is installed, above {than}, and `allow_downgrade` is false");
        Difference::refused(words)
    };
    let Some(target) = target else {
        if wrong {
            let act = act(want, goal(want, None), version, held);
            let above = range.zip(version).filter(|(range, version)| is_above(range, version));
            return match above {
                Some((range, _)) if !want.allow_downgrade => too_new(format!("`{range}`")),
                Some(_) => not_offered(want, have, Change::Downgrade(act)),
                None => not_offered(want, have, Change::Upgrade(act)),
            };
        }
        // It was installed by other means than apt, and that is fine.
        return Difference::none();
    };
    let order = version.map(|it| target.order(it));
    let step = act(want, goal(want, Some(target)), version, held);
    if wrong {
        return match order {
            Some(order) if order.is_lt() && want.allow_downgrade => {
                Difference::of(vec![Change::Downgrade(step)])
            }
            Some(order) if order.is_lt() => too_new(match range {
                Some(range) if !within(Some(range), version) => format!("`{range}`"),
                Some(_) | None => format!("what {} has", from.unwrap_or("the suite")),
            }),
            Some(_) | None => Difference::of(vec![Change::Upgrade(step)]),
        };
    }
    if want.state == Presence::Latest {
        if order.is_none_or(std::cmp::Ordering::is_gt) {
            return Difference::of(vec![Change::Upgrade(step)]);
        }
        if lists.stale {
            let look = act(want, goal(want, None), version, held);
            return Difference {
                obstacles: vec![Obstacle::Unknown(format!("apt's lists are {}", age(lists)))],
                ..Difference::of(vec![Change::LookForNewer(look)])
            };
        }
    }
    Difference::none()
}

/// Nothing that apt's lists have would do. Newer lists may help, unless they have just been fetched.
fn not_offered(want: &Desired, have: &State, change: Change) -> Difference<Change> {
    let Some((offers, lists)) = &have.apt else { return Difference::of(vec![change]) };
    let what = match offers {
        None => format!("{} is not in apt's lists", want.name),
        Some(offers) => {
            let within = want.version.as_ref().map_or(String::new(), |it| format!(" in `{it}`"));
            let from = want.options.from.as_ref().map_or(String::new(), |it| format!(" from {it}"));
            let has: Vec<&str> =
                offers.versions.iter().take(5).map(|it| it.version.as_str()).collect();
            format!("apt's lists have no version{within}{from}, only {}", has.join(", "))
        }
    };
    if lists.refreshed {
        return Difference::refused(what);
    }
    Difference {
        obstacles: vec![Obstacle::Unknown(format!("{what}; they are {}", age(lists)))],
        ..Difference::of(vec![change])
    }
}

/// How old lists are, in words: `3 h old`.
fn age(lists: &Lists) -> String {
    let Some(age) = lists.age else { return "not there yet".to_owned() };
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    match Duration::as_secs(&age) {
        seconds if seconds < MINUTE => "new".to_owned(),
        seconds if seconds < HOUR => format!("{} min old", seconds / MINUTE),
        seconds if seconds < 2 * DAY => format!("{} h old", seconds / HOUR),
        seconds => format!("{} days old", seconds / DAY),
    }
}

fn is_whole(package: &PackageName, sys: &dyn Actuate) -> bool {
    sys.package_looks(&[package]).is_ok_and(|looks| {
        looks
            .iter()
            .all(|it| it.installed.as_ref().is_some_and(|it| it.health == Health::Installed))
    })
}

/// Holds, unholds and marks of promises that went well so far.
fn mark(changes: &[(usize, usize, Change)], applied: &mut [Applied], sys: &dyn Actuate) {
    let wanted: Vec<(usize, usize, &PackageName, Mark)> = changes
        .iter()
        .filter(|(promise, _, _)| applied[*promise] == Applied::All)
        .filter_map(|(promise, at, change)| {
            let mark = match change {
                Change::Unhold { .. } => Mark::Unhold,
                Change::Hold { .. } => Mark::Hold,
                Change::MarkManual { .. } => Mark::Manual,
                Change::Configure { .. }
                | Change::Install(_)
                | Change::Upgrade(_)
                | Change::Downgrade(_)
                | Change::LookForNewer(_)
                | Change::Remove(_)
                | Change::Purge(_) => return None,
            };
            Some((*promise, *at, change.package(), mark))
        })
        .collect();
    if wanted.is_empty() {
        return;
    }
    let marks: Vec<(&PackageName, Mark)> = wanted.iter().map(|it| (it.2, it.3)).collect();
    for ((promise, at, _, _), result) in wanted.iter().zip(sys.mark_packages(&marks)) {
        if let Err(error) = result {
            applied[*promise] = Applied::Failed { at: *at, error };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use proptest::prelude::*;
    use steadfast_model::scope::Scope;
    use steadfast_model::{Diagnostics, SourceSet};
    use steadfast_system::packages::{Installed, apt};

    /// Lowers the packages of a YAML map; what is wrong comes as `code: message`.
    fn lower(yaml: &str) -> (Vec<Desired>, Vec<String>) {
        let mut sources = SourceSet::default();
        let mut diagnostics = Diagnostics::default();
        let id = sources.add("servers/web.yaml", yaml.as_bytes().to_vec(), false);
        let source = sources.get(id).unwrap();
        let node = steadfast_model::yaml::read(id, source, &mut diagnostics);
        let scope = Scope::default();
        let mut wants = vec![];
        if let Some(Node::Map(entries, _)) = node {
            for (name, body) in entries.iter() {
                let mut cx = Lower::new(&mut diagnostics, &sources, &scope);
                wants.extend(Package::lower(name, body, &mut cx));
            }
        }
        let said = diagnostics.iter().map(|it| format!("{}: {}", it.code.0, it.message)).collect();
        (wants, said)
    }

    #[track_caller]
    fn want(yaml: &str) -> Desired {
        let (mut wants, said) = lower(yaml);
        assert_eq!((wants.len(), &*said), (1, &[][..]), "{yaml}");
        wants.remove(0)
    }

    fn installed(version: &str) -> Installed {
        Installed {
            architecture: Arc::from("amd64"),
            version: Some(Version::parse(version).unwrap()),
            health: Health::Installed,
            hold: false,
            broken: false,
            essential: false,
        }
    }

    /// nginx 1.22.1-9 in bookworm, 1.26.0-1~bpo12+1 in its backports.
    fn offers() -> Offers {
        let text = "nginx:\n  Installed: (none)\n  Candidate: 1.22.1-9\n  Version table:\n     1.26.0-1~bpo12+1 100\n        100 http://x bookworm-backports/main amd64 Packages\n     1.22.1-9 500\n        500 http://x bookworm/main amd64 Packages\n";
        apt::policy(text, &std::collections::BTreeMap::new())["nginx"].clone()
    }

    const FRESH: Lists =
        Lists { age: Some(Duration::from_secs(600)), stale: false, refreshed: false };
    const OLD: Lists =
        Lists { age: Some(Duration::from_secs(3 * 3600)), stale: true, refreshed: false };
    const JUST_NOW: Lists = Lists { age: Some(Duration::ZERO), stale: false, refreshed: true };

    fn state(installed: Option<Installed>) -> State {
        State {
            look: Look { installed, ..Look::default() },
            apt: Some((Some(offers()), FRESH)),
            objection: None,
        }
    }

    /// What a plan says, line by line.
    #[track_caller]
    fn plans(yaml: &str, have: &State, expected: Expect) {
        let difference = Package::plan(&want(yaml), have);
        let mut lines: Vec<String> = difference.changes.iter().map(ToString::to_string).collect();
        lines.extend(difference.obstacles.iter().map(|it| match it {
            Obstacle::Missing(it) => format!("missing: {it}"),
            Obstacle::Refused(words) => format!("refused: {words}"),
            Obstacle::Unknown(words) => format!("unknown: {words}"),
        }));
        lines.extend(difference.notes.iter().map(|it| format!("note: {it}")));
        if lines.is_empty() {
            lines.push("kept".to_owned());
        }
        expected.assert_eq(&lines.join("\n"));
    }

    #[test]
    fn a_version_above_the_range_is_not_upgraded_into_it_where_apt_has_none() {
        let have = state(Some(installed("1.22.1-9")));
        plans(
            "nginx: { version: \"< 1\" }",
            &have,
            expect!["refused: 1.22.1-9 is installed, above `< 1`, and `allow_downgrade` is false"],
        );
        plans(
            "nginx: { version: \"< 1\", allow_downgrade: true }",
            &have,
            expect![[r#"
            downgrade 1.22.1-9, to a version in `< 1`
            unknown: apt's lists have no version in `< 1`, only 1.26.0-1~bpo12+1, 1.22.1-9; they are 10 min old"#]],
        );
        plans(
            "nginx: { version: \">= 2\" }",
            &have,
            expect![[r#"
            upgrade 1.22.1-9, to a version in `>= 2`
            unknown: apt's lists have no version in `>= 2`, only 1.26.0-1~bpo12+1, 1.22.1-9; they are 10 min old"#]],
        );
        let is_above = |range: &str, version: &str| {
            is_above(&Range::parse(range).unwrap(), &Version::parse(version).unwrap())
        };
        for (range, version, above) in [
            ("< 2", "5.2.15-2+b7", true),
            (">= 1, <= 2", "2.1", true),
            ("< 2", "2-1", true),
            ("= 1.0", "1.1-1", true),
            ("1.0", "0.9", false),
            ("7.88*", "7.90-1", true),
            ("7.88*", "7.9-1", false),
            ("> 3", "2", false),
            (">= 3, < 4", "2", false),
            ("1.0", "1:0.1", true),
        ] {
            assert_eq!(is_above(range, version), above, "{range} {version}");
        }
    }

    #[test]
    fn short_forms_are_a_state_or_a_range() {
        let plain = want("nginx: {}");
        assert_eq!(want("nginx: present"), plain);
        assert_eq!(want("nginx: purged"), want("nginx: { state: purged }"));
        let range = want("curl: \">= 7.88, < 8\"");
        assert_eq!(range, want("curl: { version: \">= 7.88, < 8\" }"));
        assert_eq!((plain.options.start, plain.options.recommends), (true, None));
        assert_eq!(plain.options.conffiles, Conffiles::Keep);
    }

    #[test]
    fn every_field_is_read() {
        let it = want(
            "a-b: { state: latest, version: \"1*\", hold: false, conffiles: fail, recommends: false, \
             allow_downgrade: true, allow_removals: [c-d], from: bookworm-backports, \
             debconf: { a-b/question: some words, a-b/flag: true }, start: false }",
        );
        assert_eq!(it.state, Presence::Latest);
        assert_eq!((it.hold, it.allow_downgrade), (Some(false), true));
        assert_eq!(it.allow_removals, Removals::Named(vec![PackageName::parse("c-d").unwrap()]));
        assert_eq!(
            it.options,
            Options {
                conffiles: Conffiles::Fail,
                recommends: Some(false),
                from: Some(Arc::from("bookworm-backports")),
                start: false,
            }
        );
        let answers: Vec<(&str, &str)> = it.debconf.iter().map(|(a, b)| (&**a, &**b)).collect();
        assert_eq!(answers, [("a-b/question", "some words"), ("a-b/flag", "true")]);
        assert_eq!(Package::claims(&it), [Identity::Package(it.name.clone())]);
    }

    #[track_caller]
    fn refuses(yaml: &str, expected: Expect) {
        let (wants, said) = lower(yaml);
        assert_eq!(wants, [], "{yaml}");
        expected.assert_eq(&said.join("\n"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        refuses(
            "Nginx: present",
            expect![
                "bad-name: `Nginx` is not a package name: lower case letters, digits, `+`, `-` and `.`, two at least"
            ],
        );
        refuses(
            "\"-y\": present",
            expect![
                "bad-name: `-y` is not a package name: lower case letters, digits, `+`, `-` and `.`, two at least"
            ],
        );
        refuses("nginx: 1.10", expect!["unquoted: a package is a number, not text"]);
        refuses(
            "nginx: installed",
            expect!["bad-value: `installed` is not a version: it does not begin with a digit"],
        );
        refuses(
            "nginx: { state: absent, version: \"1\", hold: true }",
            expect![[r#"
                conflicting-fields: `version` says nothing about a package that is promised to be gone
                conflicting-fields: a package that is gone cannot be held"#]],
        );
        refuses(
            "nginx: { allow_removals: true }",
            expect!["bad-value: `allow_removals` is false or a list of the packages that may go"],
        );
        refuses(
            "nginx: { from: \"-o\" }",
            expect!["bad-name: `-o` is not the name of a suite, as bookworm-backports is"],
        );
        refuses(
            "nginx: { debconf: { \"a b\": x, a/b: \"x\\ny\" } }",
            expect![[r#"
                bad-name: `a b` is not a question, as postfix/mailname is
                bad-value: the answer to `a/b` has a control character"#]],
        );
        refuses(
            "nginx: { debconf: { a/b: { secret: x } } }",
            expect!["misplaced-secret: a secret cannot stand in `a/b`: its value would be seen"],
        );
    }

    #[test]
    fn what_is_missing_is_installed_in_the_version_that_was_promised() {
        let missing = state(None);
        plans("nginx: present", &missing, expect!["install 1.22.1-9"]);
        plans("nginx: latest", &missing, expect!["install 1.22.1-9"]);
        plans("nginx: \"> 1.24\"", &missing, expect!["install 1.26.0-1~bpo12+1"]);
        plans("nginx: { from: bookworm-backports }", &missing, expect!["install 1.26.0-1~bpo12+1"]);
        plans(
            "nginx: { hold: true }",
            &missing,
            expect![[r#"
                install 1.22.1-9
                hold"#]],
        );
    }

    #[test]
    fn what_apt_does_not_know_hangs_on_newer_lists() {
        let mut have = state(None);
        have.apt = Some((None, OLD));
        plans(
            "nosuch: \">= 2\"",
            &have,
            expect![[r#"
                install, to a version in `>= 2`
                unknown: nosuch is not in apt's lists; they are 3 h old"#]],
        );
        have.apt = Some((None, JUST_NOW));
        plans("nosuch: present", &have, expect!["refused: nosuch is not in apt's lists"]);
        have.apt = Some((Some(offers()), JUST_NOW));
        plans(
            "nginx: \"> 2, < 1\"",
            &have,
            expect![
                "refused: apt's lists have no version in `> 2, < 1`, only 1.26.0-1~bpo12+1, 1.22.1-9"
            ],
        );
        plans(
            "nginx: { from: sid }",
            &have,
            expect![
                "refused: apt's lists have no version from sid, only 1.26.0-1~bpo12+1, 1.22.1-9"
            ],
        );
    }

    #[test]
    fn a_version_outside_the_range_is_replaced_and_never_by_an_older_one_unasked() {
        plans("nginx: \">= 1.22\"", &state(Some(installed("1.22.1-9"))), expect!["kept"]);
        plans(
            "nginx: \">= 1.22\"",
            &state(Some(installed("1.18.0-6"))),
            expect!["upgrade 1.18.0-6 -> 1.22.1-9"],
        );
        let above = state(Some(installed("1.26.0-1~bpo12+1")));
        plans(
            "nginx: \"< 1.25\"",
            &above,
            expect![
                "refused: 1.26.0-1~bpo12+1 is installed, above `< 1.25`, and `allow_downgrade` is false"
            ],
        );
        plans(
            "nginx: { version: \"< 1.25\", allow_downgrade: true }",
            &above,
            expect!["downgrade 1.26.0-1~bpo12+1 -> 1.22.1-9"],
        );
    }

    #[test]
    fn a_version_of_another_suite_is_not_from_the_promised_one() {
        let yaml = "nginx: { from: bookworm-backports }";
        plans(
            yaml,
            &state(Some(installed("1.22.1-9"))),
            expect!["upgrade 1.22.1-9 -> 1.26.0-1~bpo12+1"],
        );
        plans(yaml, &state(Some(installed("1.26.0-1~bpo12+1"))), expect!["kept"]);
        // No suite has it any more: nobody can tell where it came from.
        plans(yaml, &state(Some(installed("1.25.9-1~bpo12+1"))), expect!["kept"]);
        plans(
            "nginx: { from: bookworm }",
            &state(Some(installed("1.26.0-1~bpo12+1"))),
            expect![
                "refused: 1.26.0-1~bpo12+1 is installed, above what bookworm has, and `allow_downgrade` is false"
            ],
        );
    }

    #[test]
    fn the_latest_version_is_looked_for_where_the_lists_are_old() {
        plans(
            "nginx: latest",
            &state(Some(installed("1.22.0-1"))),
            expect!["upgrade 1.22.0-1 -> 1.22.1-9"],
        );
        let mut newest = state(Some(installed("1.22.1-9")));
        plans("nginx: latest", &newest, expect!["kept"]);
        newest.apt = Some((Some(offers()), OLD));
        plans(
            "nginx: latest",
            &newest,
            expect![[r#"
                look for a newer version than 1.22.1-9
                unknown: apt's lists are 3 h old"#]],
        );
        // Newer than anything that apt has: it came by other means.
        plans("nginx: latest", &state(Some(installed("1.30-1"))), expect!["kept"]);
    }

    #[test]
    fn a_hold_of_somebody_else_is_respected() {
        let held = state(Some(Installed { hold: true, ..installed("1.18.0-6") }));
        plans(
            "nginx: \">= 1.22\"",
            &held,
            expect![
                "refused: it would have to be installed in another version, and somebody else holds it; `hold: false` takes that away"
            ],
        );
        plans(
            "nginx: absent",
            &held,
            expect![
                "refused: it would have to be removed, and somebody else holds it; `hold: false` takes that away"
            ],
        );
        plans("nginx: present", &held, expect!["kept"]);
        plans(
            "nginx: { version: \">= 1.22\", hold: false }",
            &held,
            expect![[r#"
                lift its hold
                upgrade 1.18.0-6 -> 1.22.1-9"#]],
        );
        plans("nginx: { hold: false }", &held, expect!["lift its hold"]);
        plans("nginx: { hold: true }", &held, expect!["kept"]);
        // A hold that is promised is ours, and does not stand in the way.
        let difference = Package::plan(&want("nginx: { version: \">= 1.22\", hold: true }"), &held);
        let [Change::Upgrade(act)] = &*difference.changes else {
            panic!("{difference:?}");
        };
        assert!(act.item.held);
    }

    #[test]
    fn what_came_as_a_dependency_is_marked() {
        let mut have = state(Some(installed("1.22.1-9")));
        have.look.automatic = true;
        plans(
            "nginx: { hold: true }",
            &have,
            expect![[r#"
                hold
                mark as wanted for itself (it came as a dependency)"#]],
        );
    }

    #[test]
    fn what_is_promised_gone_is_removed_or_purged() {
        let there = state(Some(installed("1.22.1-9")));
        plans("nginx: absent", &there, expect!["remove 1.22.1-9"]);
        plans("nginx: purged", &there, expect!["purge 1.22.1-9"]);
        plans("nginx: absent", &state(None), expect!["kept"]);
        plans("nginx: purged", &state(None), expect!["kept"]);
        let left = state(Some(Installed { health: Health::ConfigFiles, ..installed("1.22.1-9") }));
        plans("nginx: absent", &left, expect!["kept"]);
        plans("nginx: purged", &left, expect!["purge what its removal left"]);
        plans("nginx: present", &left, expect!["install 1.22.1-9"]);
        plans(
            "dpkg: absent",
            &state(Some(Installed { essential: true, ..installed("1.21.22") })),
            expect!["refused: it is essential: the system does not work without it"],
        );
    }

    #[test]
    fn what_was_cut_is_completed_where_it_is_ours() {
        let half = Installed { health: Health::HalfConfigured, ..installed("1.18.0-6") };
        let mut have = state(Some(half));
        have.look.interruption = Some(Interruption::Ours);
        plans(
            "nginx: \">= 1.22\"",
            &have,
            expect![[r#"
                complete its installation (it is half configured)
                upgrade 1.18.0-6 -> 1.22.1-9"#]],
        );
        have.look.interruption = Some(Interruption::Foreign);
        plans(
            "nginx: present",
            &have,
            expect![
                "refused: dpkg was interrupted by somebody else: run `dpkg --configure -a`, or allow it with `repair_dpkg: true`"
            ],
        );
        let broken =
            Installed { broken: true, health: Health::HalfInstalled, ..installed("1.22.1-9") };
        plans("nginx: present", &state(Some(broken)), expect!["install 1.22.1-9"]);
        // Somebody else's cut is no reason where nothing has to be done.
        let mut kept = state(Some(installed("1.22.1-9")));
        kept.look.interruption = Some(Interruption::Foreign);
        plans("nginx: present", &kept, expect!["kept"]);
    }

    #[test]
    fn a_virtual_package_is_there_where_another_one_provides_it() {
        let mut have = state(None);
        have.apt = Some((None, FRESH));
        have.look.provided_by = vec![(Arc::from("exim4"), None)];
        plans("mail-transport-agent: present", &have, expect!["note: exim4 provides it"]);
        have.apt = Some((Some(offers()), FRESH));
        plans("nginx: present", &have, expect!["install 1.22.1-9"]);
    }

    #[test]
    fn left_over_configuration_is_a_note() {
        let mut have = state(Some(installed("1.22.1-9")));
        have.look.leftovers = vec![Arc::from("/etc/nginx/nginx.conf.dpkg-dist")];
        plans(
            "nginx: present",
            &have,
            expect!["note: /etc/nginx/nginx.conf.dpkg-dist was left beside the file that was kept"],
        );
    }

    #[test]
    fn a_service_sees_the_version_and_nothing_else_of_a_package() {
        let print = |it: Installed| Package::fingerprint(&state(Some(it))).digest;
        let base = print(installed("1.22.1-9"));
        assert_eq!(print(Installed { hold: true, ..installed("1.22.1-9") }), base);
        assert_ne!(print(installed("1.26.0-1")), base);
        assert_ne!(Package::fingerprint(&state(None)).digest, base);
    }

    #[test]
    fn only_what_the_database_cannot_tell_is_asked_of_apt() {
        let look = |it: Option<Installed>| Look { installed: it, ..Look::default() };
        let there = look(Some(installed("1.22.1-9")));
        for (yaml, asked) in [
            ("nginx: present", false),
            ("nginx: \">= 1.22\"", false),
            ("nginx: \">= 1.24\"", true),
            ("nginx: latest", true),
            ("nginx: { from: bookworm }", true),
            ("nginx: absent", false),
        ] {
            assert_eq!(needs_apt(&want(yaml), &there), asked, "{yaml}");
        }
        assert!(needs_apt(&want("nginx: present"), &look(None)));
        assert!(!needs_apt(&want("nginx: purged"), &look(None)));
    }

    proptest! {
        /// Whatever is there, a plan never lowers a version unasked, and once its version is there the
        /// promise is kept.
        #[test]
        fn a_plan_never_goes_down_unasked(
            have in prop::sample::select(vec!["1.18.0-6", "1.22.1-9", "1.24-1", "1.26.0-1~bpo12+1", "2-1"]),
            range in prop::sample::select(vec!["", ">= 1.22", "< 1.25", "1.22*", "> 1.24", "3"]),
            latest in any::<bool>(),
            allow in any::<bool>(),
            from in prop::sample::select(vec!["", "bookworm", "bookworm-backports", "sid"]),
        ) {
            let word = if latest { "latest" } else { "present" };
            let mut yaml = format!("nginx: {{ state: {word}, allow_downgrade: {allow}");
            if !range.is_empty() { yaml.push_str(&format!(", version: \"{range}\"")); }
            if !from.is_empty() { yaml.push_str(&format!(", from: {from}")); }
            yaml.push_str(" }");
            let want = want(&yaml);
            let difference = Package::plan(&want, &state(Some(installed(have))));
            for change in &difference.changes {
                let Some((_, act)) = change.act() else { continue };
                let Goal::Install { version: Some(to), .. } = &act.item.goal else { continue };
                if to.order(act.have.as_ref().unwrap()).is_lt() {
                    prop_assert!(allow, "{yaml}: {change}");
                }
                let after = Package::plan(&want, &state(Some(installed(to.as_str()))));
                prop_assert!(after.is_kept(), "{yaml}: {change}, then {after:?}");
            }
        }
    }
}
