//! The plan: what a run would do to each promise and how sure that is, before any of it happens.
//!
//! Planning is pure. Dry runs, the forecast of a real run and every later look use the same function.

use crate::budget::{Budget, BudgetMeter, Spent};
use crate::observed::Observed;
use crate::obstacles::{missing, presumed, revised, speaks_against, unknowns, waits_for};
use crate::outcome::{Held, NotKept};
use crate::promised::{Promised, Promises};
use crate::reason::Reason;
use crate::steps::{Source, Steps, taken_along};
use crate::turns::Turns;
use crate::unit::UnitId;
use std::collections::HashMap;
use steadfast_model::{Keep, PromiseId};
use steadfast_resources::{Change, Difference, Identity, Obstacle, State};
use steadfast_system::{ErrorKind, SystemError};

/// The intended effect of a whole run: one entry for each promise, in the order of the promises.
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use = "a plan does nothing until it is carried out"]
pub struct Plan {
    pub entries: Vec<Entry>,
    /// When each has its turn.
    pub turns: Turns,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub changes: Vec<Change>,
    pub notes: Vec<String>,
    /// The forecast of the promise: that of its least certain change.
    pub forecast: Forecast,
    /// Which changes are certain even if the forecast is not. For example, enabling a service at boot is
    /// certain, even if its restart depends on an input that may not change.
    pub certain: Vec<bool>,
}

/// The forecast for one promise.
#[derive(Clone, Debug, PartialEq)]
pub enum Forecast {
    Kept,
    /// The changes will be made.
    Certain,
    /// The changes follow from an earlier step or depend on it.
    Expected {
        because: Box<Reason>,
    },
    /// It is not known whether the changes will be made, or will be enough.
    Unknown {
        because: Vec<Reason>,
    },
    NotKept(NotKept),
    Held(Held),
}

impl Forecast {
    /// The word for it in text; JSON writes `not-kept` with a hyphen.
    pub fn word(&self) -> &'static str {
        match self {
            Forecast::Kept => "kept",
            Forecast::Certain => "certain",
            Forecast::Expected { .. } => "expected",
            Forecast::Unknown { .. } => "unknown",
            Forecast::NotKept(_) => "not kept",
            Forecast::Held(_) => "held",
        }
    }

    /// The reasons for anything less than certain, outermost first.
    pub fn because(&self) -> Vec<String> {
        match self {
            Forecast::Kept | Forecast::Certain => vec![],
            Forecast::Expected { because } => because.lines(),
            Forecast::Unknown { because } => because.iter().flat_map(Reason::lines).collect(),
            Forecast::NotKept(why) => why.because(),
            Forecast::Held(why) => why.because(),
        }
    }
}

/// What planning knows besides the observations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Circumstances {
    /// Without root, a promise that cannot be read is unknown; with root, it is not kept.
    pub root: bool,
    /// The limits of the run.
    pub budget: Budget,
}

/// Plans all promises from one observation of each.
pub fn plan(promises: &Promises, observed: &Observed, circumstances: Circumstances) -> Plan {
    let mut broken = BrokenUnits::new();
    let mut costs = UnitCosts::default();
    let mut turns = Turns::default();
    // A broken unit holds its members and everything that needs them, so all promises are planned again
    // each time another broken unit is found. The same is done where a unit costs more than was known when
    // its first member was planned, and where one promise makes way for another.
    loop {
        let (mut entries, steps) =
            plan_turns(promises, observed, circumstances, &turns, &broken, &mut costs);
        let (waiting, frees) = making_way(promises, observed, &entries);
        if turns.find(promises, &waiting, &frees) {
            continue;
        }
        if broken.find(promises, &entries, &costs) || costs.find(promises, &entries) {
            continue;
        }
        mark_uncertain(promises, &mut entries, &steps);
        mark_health_uncertain(promises, observed, &mut entries);
        // Without waves there was a circle, and nothing is run.
        let kept = || Entry::bare(Forecast::Kept);
        let entries = entries.into_iter().map(|it| it.unwrap_or_else(kept)).collect();
        return Plan { entries, turns };
    }
}

/// Plans each promise in its turn.
fn plan_turns(
    promises: &Promises,
    observed: &Observed,
    circumstances: Circumstances,
    turns: &Turns,
    broken: &BrokenUnits,
    costs: &mut UnitCosts,
) -> (Vec<Option<Entry>>, Steps) {
    let mut entries: Vec<Option<Entry>> = promises.all.iter().map(|_| None).collect();
    let mut steps = Steps::default();
    let mut meter = BudgetMeter::new(circumstances.budget);
    costs.charged.clear();
    for at in turns.waves(promises).iter().flatten().copied() {
        let mut entry = entry(promises, observed, circumstances, at, &entries, &steps);
        entry.notes.extend(turns.note(promises, at).map(str::to_owned));
        broken.hold(promises, at, &mut entry);
        if let Err(held) = costs.spend(promises, at, &entry, &mut meter) {
            entry.forecast = Forecast::Held(held);
        }
        if entry.is_planned() {
            let sure = !matches!(entry.forecast, Forecast::Unknown { .. });
            let have = observed.states[at].as_ref().ok();
            steps.take(at, &promises.all[at], have, &entry.changes, sure);
            steps.take_folder(&promises.all[at], have);
        } else {
            entry.certain.clear();
        }
        entries[at] = Some(entry);
    }
    (entries, steps)
}

/// By index, with the things of which each says something.
type Things = Vec<(usize, Vec<Identity>)>;

/// The promises that are not kept because of things that a step may change, with these; and those whose changes
/// make things free, be it that what stands in their own way has to go before.
fn making_way(
    promises: &Promises,
    observed: &Observed,
    entries: &[Option<Entry>],
) -> (Things, Things) {
    let entry = |at: &usize| entries[*at].as_ref().filter(|_| promises.all[*at].selected);
    let refused = (0..entries.len()).filter(|at| entry(at).is_some_and(Entry::is_refused));
    let refused = refused.filter_map(|at| Some((at, observed.difference(promises, at).ok()?)));
    let (mut waiting, mut frees): (Things, Things) = (vec![], vec![]);
    let free = |its: &[Change]| its.iter().flat_map(Change::frees).collect::<Vec<Identity>>();
    for (at, Difference { changes, obstacles, notes: _ }) in refused {
        waiting.push((at, waits_for(&obstacles)));
        frees.push((at, free(&changes)));
    }
    waiting.retain(|(_, things)| !things.is_empty());
    for (at, entry) in (0..entries.len()).filter_map(|at| Some((at, entry(&at)?))) {
        let Ok(have) = &observed.states[at] else { continue };
        let along = if entry.is_planned() { taken_along(have, &entry.changes) } else { vec![] };
        for (unit, enabled) in along {
            if let Some(other) = promises.promised_otherwise(&unit, enabled) {
                waiting.push((other, vec![unit.clone()]));
                frees.push((at, vec![unit]));
            }
        }
    }
    if !waiting.is_empty() {
        let planned = (0..entries.len()).filter_map(|at| Some((at, entry(&at)?)));
        let planned = planned.filter(|(_, it)| it.is_planned());
        frees.extend(planned.map(|(at, it)| (at, free(&it.changes))));
    }
    (waiting, frees)
}

/// Units of which a member will not be kept: for each, which one that is and why. A run takes back what it
/// has done to the others, so none of them will be changed.
struct BrokenUnits(HashMap<UnitId, (usize, Forecast)>);

impl BrokenUnits {
    fn new() -> BrokenUnits {
        BrokenUnits(HashMap::new())
    }

    /// Takes note of those that these entries show. Whether there are new ones.
    fn find(&mut self, promises: &Promises, entries: &[Option<Entry>], costs: &UnitCosts) -> bool {
        let before = self.0.len();
        // A budget holds all members of a unit, each for itself.
        for unit in promises.units.iter().filter(|it| !costs.is_beyond(&it.id)) {
            let broken = unit.members.iter().find_map(|at| {
                let entry = entries[*at].as_ref().filter(|it| it.will_not_be_kept())?;
                Some((*at, entry.forecast.clone()))
            });
            if let Some(broken) = broken {
                self.0.entry(unit.id.clone()).or_insert(broken);
            }
        }
        self.0.len() > before
    }

    /// Holds a member that would be changed. The one that is broken stays so, for the reason that was found:
    /// a budget that the others do not spend now is not for it.
    fn hold(&self, promises: &Promises, at: usize, entry: &mut Entry) {
        let unit = promises.all[at].unit.as_ref();
        let Some((first, why)) = unit.and_then(|it| self.0.get(it)) else { return };
        if *first == at {
            entry.forecast = why.clone();
        } else if entry.is_planned() {
            let needed = promises.all[*first].id.clone();
            entry.forecast = Forecast::Held(Held::NeedNotKept { needed });
        }
    }
}

/// What units cost. All of a unit is paid for before its first member is changed.
#[derive(Default)]
struct UnitCosts {
    /// As far as it has been found.
    known: HashMap<UnitId, Spent>,
    /// The units that had their turn, and whether the budget was enough.
    charged: HashMap<UnitId, Result<(), Held>>,
}

impl UnitCosts {
    /// Pays for a promise, or for the whole unit of which it is the first to be changed.
    fn spend(
        &mut self,
        promises: &Promises,
        at: usize,
        entry: &Entry,
        meter: &mut BudgetMeter,
    ) -> Result<(), Held> {
        let Some(unit) = &promises.all[at].unit else {
            return if entry.is_planned() { meter.spend(entry.cost()) } else { Ok(()) };
        };
        match (self.charged.get(unit), &entry.forecast) {
            // What needs a member that is held is of the same unit, and held for the same reason.
            (Some(charged), Forecast::Held(Held::NeedNotKept { .. })) => charged.clone(),
            (Some(charged), _) if entry.is_planned() => charged.clone(),
            (None, _) if entry.is_planned() => {
                let cost = self.known.get(unit).copied().unwrap_or_default();
                let charged = meter.spend(cost);
                self.charged.insert(unit.clone(), charged.clone());
                charged
            }
            (Some(_) | None, _) => Ok(()),
        }
    }

    fn is_beyond(&self, unit: &UnitId) -> bool {
        self.charged.get(unit).is_some_and(Result::is_err)
    }

    /// Takes note of what these entries cost. Whether that is more than was known.
    fn find(&mut self, promises: &Promises, entries: &[Option<Entry>]) -> bool {
        let mut is_more = false;
        for unit in &promises.units {
            let its = unit.members.iter().filter_map(|at| entries[*at].as_ref());
            let cost = its.filter(|it| it.is_planned()).map(Entry::cost);
            let cost = cost.fold(Spent::default(), Spent::and);
            let known = self.known.entry(unit.id.clone()).or_default();
            let cost = known.at_least(cost);
            is_more |= *known != cost;
            *known = cost;
        }
        is_more
    }
}

impl Plan {
    /// What a run would do that no budget held back.
    pub fn cost(&self) -> Spent {
        let budget = |it: &&Entry| matches!(it.forecast, Forecast::Held(Held::Budget { .. }));
        let its = self.entries.iter().filter(|it| it.is_planned() || budget(it));
        Spent::count(its.flat_map(|it| &it.changes))
    }

    /// Whether a run would find everything kept, and do nothing.
    pub fn is_kept(&self) -> bool {
        self.entries.iter().all(|it| it.forecast == Forecast::Kept)
    }
}

impl Entry {
    fn bare(forecast: Forecast) -> Entry {
        Entry { changes: vec![], notes: vec![], forecast, certain: vec![] }
    }

    fn cost(&self) -> Spent {
        Spent::count(&self.changes)
    }

    /// What it costs where its unit is carried out after all: a budget, and what it needs, may have held it.
    pub(crate) fn cost_in_unit(&self) -> Spent {
        match self.forecast {
            Forecast::Kept
            | Forecast::Certain
            | Forecast::Expected { .. }
            | Forecast::Unknown { .. }
            | Forecast::Held(Held::Budget { .. } | Held::NeedNotKept { .. }) => self.cost(),
            Forecast::NotKept(_)
            | Forecast::Held(Held::ReportOnly { .. } | Held::RestartUndetermined) => {
                Spent::default()
            }
        }
    }

    /// What is only done because of an input that changes first hangs on that; what would be done `alone` too
    /// does not.
    fn hang_on(&mut self, input: &PromiseId, alone: &[Change]) {
        let certain: Vec<bool> = self.changes.iter().map(|it| alone.contains(it)).collect();
        if self.forecast != Forecast::Certain || certain.iter().all(|it| *it) {
            return;
        }
        self.forecast = Forecast::Expected { because: Reason::ChangesFirst(input.clone()).into() };
        if certain.contains(&true) {
            self.certain = certain;
        }
    }

    /// The changes by how sure they are, those first that are surer than the promise.
    pub fn steps(&self) -> Vec<(&Forecast, Vec<&Change>)> {
        let is_certain = |at: &usize| self.certain.get(*at) == Some(&true);
        let (certain, others): (Vec<usize>, Vec<usize>) =
            (0..self.changes.len()).partition(is_certain);
        let changes = |its: Vec<usize>| its.into_iter().map(|at| &self.changes[at]).collect();
        let mut steps = vec![];
        if !certain.is_empty() {
            steps.push((&Forecast::Certain, changes(certain)));
        }
        steps.push((&self.forecast, changes(others)));
        steps
    }

    /// Each change, and how sure that one is.
    pub fn foreseen(&self) -> impl Iterator<Item = (&Change, &Forecast)> {
        let steps = self.steps().into_iter();
        steps.flat_map(|(forecast, its)| its.into_iter().map(move |it| (it, forecast)))
    }

    /// Whether it is not kept because of what stands in its way.
    pub(crate) fn is_refused(&self) -> bool {
        matches!(self.forecast, Forecast::NotKept(NotKept::Refused(_)))
    }

    /// Whether what needs it is not attempted.
    pub(crate) fn will_not_be_kept(&self) -> bool {
        match self.forecast {
            Forecast::NotKept(_) | Forecast::Held(_) => true,
            Forecast::Kept
            | Forecast::Certain
            | Forecast::Expected { .. }
            | Forecast::Unknown { .. } => false,
        }
    }

    /// Whether what runs with it owes something for it.
    fn is_cause(&self) -> bool {
        let told = !self.changes.is_empty() && self.changes.iter().all(Change::is_daemon_reload);
        self.is_planned() && !told
    }

    /// Whether a run would try to change something.
    pub fn is_planned(&self) -> bool {
        match self.forecast {
            Forecast::Certain | Forecast::Expected { .. } | Forecast::Unknown { .. } => true,
            Forecast::Kept | Forecast::NotKept(_) | Forecast::Held(_) => false,
        }
    }
}

/// What is said of what could not be looked at.
fn unseen(error: &SystemError, circumstances: Circumstances) -> Forecast {
    if error.kind == ErrorKind::PermissionDenied && !circumstances.root {
        Forecast::Unknown { because: vec![Reason::Unread(error.clone())] }
    } else if error.kind == ErrorKind::NotHere {
        Forecast::Unknown { because: vec![Reason::NotHere(error.clone())] }
    } else {
        Forecast::NotKept(NotKept::Unobserved(error.clone()))
    }
}

/// What was seen of a promise, or what that alone says of it.
fn seen(observed: &Observed, circumstances: Circumstances, at: usize) -> Result<&State, Forecast> {
    match observed.clash(at) {
        Some(why) => Err(Forecast::NotKept(NotKept::Refused(vec![why.clone()]))),
        None => observed.states[at].as_ref().map_err(|error| unseen(error, circumstances)),
    }
}

/// What is not selected stays as it is, and is a broken need where that is not as promised.
fn left_broken(
    promises: &Promises,
    observed: &Observed,
    circumstances: Circumstances,
    need: usize,
) -> bool {
    !promises.all[need].selected
        && match observed.difference(promises, need) {
            Ok(difference) => !difference.is_kept(),
            Err(error) => error.kind != ErrorKind::PermissionDenied || circumstances.root,
        }
}

fn entry(
    promises: &Promises,
    observed: &Observed,
    circumstances: Circumstances,
    at: usize,
    entries: &[Option<Entry>],
    steps: &Steps,
) -> Entry {
    let promised = &promises.all[at];
    if !promised.selected {
        return Entry::bare(Forecast::Kept);
    }
    let have = match seen(observed, circumstances, at) {
        Ok(have) => &*steps.foresee(promised, have),
        Err(forecast) => return Entry::bare(forecast),
    };
    let planned = |other: usize| entries[other].as_ref().is_some_and(Entry::is_planned);
    // A runner whose input this run changes will owe a restart by the time it is its turn.
    let is_cause = |other: usize| entries[other].as_ref().is_some_and(Entry::is_cause);
    let foreseen = promises.inputs_of(at);
    let foreseen = foreseen.map(|it| observed.foresee(promises, it, planned, is_cause));
    let because_of_input = foreseen.as_ref().and_then(|it| it.because);
    let owing = foreseen.map_or_else(|| observed.owing(at).clone(), |it| it.owing);
    let owing = steps.tell_runner(promised, owing);
    let Difference { changes, obstacles, notes } = observed.plan(promises, at, have, &owing);
    let needed = broken_need(promises, observed, promised, |need| {
        left_broken(promises, observed, circumstances, need)
            || entries[need].as_ref().is_some_and(Entry::will_not_be_kept)
    });
    let forecast = forecast(promises, at, &changes, &obstacles, entries, steps, needed);
    let mut entry = Entry { changes, notes, forecast, certain: vec![] };
    if entry.is_refused() {
        // These would follow if nothing were in the way.
        entry.changes.clear();
    }
    if entry.forecast == Forecast::Kept && observed.undetermined.contains(&at) {
        entry.forecast = Forecast::Held(Held::RestartUndetermined);
    }
    if let Some(input) = because_of_input {
        let alone = steps.tell_runner(promised, observed.owing(at).clone());
        let alone = observed.plan(promises, at, have, &alone).changes;
        entry.hang_on(&promises.all[input].id, &alone);
    }
    if let (Some((step, _)), Ok(seen)) = (steps.taken_along_by(promised), &observed.states[at]) {
        let alone = observed.plan(promises, at, seen, &owing).changes;
        entry.hang_on(step, &alone);
    }
    let unasked = promised.needs.iter().find(|it| observed.awaits_health(promises, **it));
    if let (Forecast::Certain | Forecast::Expected { .. }, Some(need)) = (&entry.forecast, unasked)
    {
        let need = promises.all[*need].id.clone();
        entry.forecast = Forecast::Unknown { because: vec![Reason::HealthOf(need)] };
        entry.certain.clear();
    }
    entry
}

fn forecast(
    promises: &Promises,
    at: usize,
    changes: &[Change],
    obstacles: &[Obstacle],
    entries: &[Option<Entry>],
    steps: &Steps,
    broken_need: Option<PromiseId>,
) -> Forecast {
    let promised = &promises.all[at];
    let (obstacles, first) = revised(obstacles, |it| steps.changes(it, promises));
    let obstacles = &obstacles[..];
    if let Some(why) = speaks_against(obstacles) {
        return Forecast::NotKept(why);
    }
    let missing = missing(obstacles);
    if changes.is_empty() && missing.is_empty() {
        return Forecast::Kept;
    }
    if promised.keep == Keep::Report {
        return Forecast::Held(Held::ReportOnly { difference: changes.to_vec() });
    }
    if let Some(needed) = broken_need {
        return Forecast::Held(Held::NeedNotKept { needed });
    }
    let Coming { because, absent, mut unknown } = coming(missing, promises, at, steps);
    if !absent.is_empty() {
        return Forecast::NotKept(NotKept::Missing(absent));
    }
    // What is missing comes with a promise that says so, and nothing is left to do then.
    let is_promised = matches!(because, Some(Reason::ComesWith { .. }));
    if changes.is_empty() && unknown.is_empty() && is_promised {
        return Forecast::Kept;
    }
    unknown.extend(unknowns(obstacles).into_iter().map(Reason::Undecided));
    if !unknown.is_empty() {
        return Forecast::Unknown { because: unknown };
    }
    let is_planned = |it: &&usize| entries[**it].as_ref().is_some_and(Entry::is_planned);
    let need = promised.needs.iter().find(is_planned);
    let need = need.map(|it| Reason::ChangesFirst(promises.all[*it].id.clone()));
    let package = steps
        .packages(promises, at)
        .filter(|_| {
            let account = changes.iter().any(Change::makes_account);
            account || promised.want.may_come_with_packages()
        })
        .map(Reason::MayComeWith);
    let first = first.map(Reason::ChangesFirst);
    let presumed = presumed(obstacles).map(Reason::Presumed);
    match because.or(need).or(first).or(presumed).or(package) {
        Some(because) => Forecast::Expected { because: because.into() },
        None => Forecast::Certain,
    }
}

/// Where things come from that a promise is missing now.
struct Coming {
    because: Option<Reason>,
    absent: Vec<Identity>,
    unknown: Vec<Reason>,
}

fn coming(missing: Vec<Identity>, promises: &Promises, at: usize, steps: &Steps) -> Coming {
    let mut coming = Coming { because: None, absent: vec![], unknown: vec![] };
    for thing in missing {
        match steps.provider_of(&thing, promises, at) {
            Some(Source::Step(reason)) => coming.because = Some(reason),
            Some(Source::Perhaps(reason)) => coming.unknown.push(reason),
            None => coming.absent.push(thing),
        }
    }
    coming
}

/// Says of what is right now, and what a package of this run may bring all the same, that nobody knows.
/// What is promised absent has its turn before packages, so it is judged at the end.
fn mark_uncertain(promises: &Promises, entries: &mut [Option<Entry>], steps: &Steps) {
    for (at, entry) in entries.iter_mut().enumerate() {
        let promised = &promises.all[at];
        if let Some(entry) = entry
            && entry.forecast == Forecast::Kept
            && promised.selected
            && promised.keep == Keep::Repair
            && promised.want.is_against_packages()
            && let Some(packages) = steps.packages(promises, at)
        {
            let because = vec![Reason::GoneButMayComeWith(packages)];
            entry.forecast = Forecast::Unknown { because };
        }
    }
}

/// Says of a service that is right as far as can be seen, and that nobody may ask whether it is healthy,
/// that nobody knows. It is no step of the run, so nothing follows from it.
fn mark_health_uncertain(promises: &Promises, observed: &Observed, entries: &mut [Option<Entry>]) {
    for (at, entry) in entries.iter_mut().enumerate() {
        if let Some(entry) = entry
            && entry.forecast == Forecast::Kept
            && promises.all[at].selected
            && observed.awaits_health(promises, at)
        {
            let because = vec![Reason::HealthNotAsked];
            entry.forecast = Forecast::Unknown { because };
        }
    }
}

/// The first need that is broken: one that is not kept, unless it is a directory that is there as promised
/// and all that is needed is to lie in it.
pub(crate) fn broken_need(
    promises: &Promises,
    observed: &Observed,
    promised: &Promised,
    not_kept: impl Fn(usize) -> bool,
) -> Option<PromiseId> {
    let is_place =
        |need: usize| promised.lies_in.contains(&need) && observed.is_place(promises, need);
    let broken = |need: &&usize| not_kept(**need) && !is_place(**need);
    promised.needs.iter().find(broken).map(|it| promises.all[*it].id.clone())
}
