//! What the earlier steps of a run are expected to do: what later ones may build on, and what a package may
//! bring.

use crate::promised::{Promised, Promises};
use crate::reason::{Packages, Reason};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use steadfast_model::PromiseId;
use steadfast_resources::paths::{Inherited, is_packages_territory};
use steadfast_resources::runner::Owing;
use steadfast_resources::runner::unit_files::brought;
use steadfast_resources::{Change, Identity, State};
use steadfast_system::AbsPath;
use steadfast_system::services::Enablement;

/// What the earlier steps of this run are expected to create.
#[derive(Default)]
pub(crate) struct Steps {
    /// The promises that are to be changed, in their turns.
    planned: Vec<usize>,
    /// The packages to be installed or upgraded.
    installs: Vec<Install>,
    things: HashMap<Identity, PromiseId>,
    /// What is new in these directories gets from them, once they are as promised.
    folders: HashMap<AbsPath, Option<Inherited>>,
    /// What is free once they are done.
    freed: HashMap<Identity, PromiseId>,
    /// Creating a user also creates the user's own group.
    own_groups: HashMap<Arc<str>, PromiseId>,
    /// Units that others take along when they are enabled or disabled, and what becomes of them.
    taken_along: HashMap<Identity, (PromiseId, bool)>,
    /// What unit files that are written say of their units, as long as no link enables these.
    without_links: HashMap<Identity, Enablement>,
    /// systemd will have read its unit files again.
    daemon_reload: bool,
}

/// A package to be installed, by the index of its promise.
struct Install {
    at: usize,
    /// How certain its installation is.
    sure: bool,
}

/// What may create a thing that is missing now.
pub(crate) enum Source {
    /// A step of this run creates it.
    Step(Reason),
    /// A package may contain it; the contents of a package are not known before it is installed.
    Perhaps(Reason),
}

impl Steps {
    /// A promise that is to be changed in its turn; `sure`: that the changes will be enough.
    pub(crate) fn take(
        &mut self,
        at: usize,
        promised: &Promised,
        have: Option<&State>,
        changes: &[Change],
        sure: bool,
    ) {
        self.planned.push(at);
        let reload = changes.iter().any(Change::is_daemon_reload);
        self.daemon_reload |= reload;
        for thing in changes.iter().flat_map(Change::frees) {
            self.freed.entry(thing).or_insert_with(|| promised.id.clone());
        }
        for (unit, enabled) in have.into_iter().flat_map(|it| taken_along(it, changes)) {
            self.taken_along.entry(unit).or_insert_with(|| (promised.id.clone(), enabled));
        }
        if promised.want.is_absent() {
            return;
        }
        let id = &promised.id;
        if let Some(have) = have.filter(|_| reload) {
            let units = brought(&promised.want, have, changes);
            if let ([unit], [text]) = (&*units, &*promised.want.unit_texts()) {
                self.without_links.insert(unit.clone(), Enablement::without_links(text));
            }
            for unit in units {
                self.things.entry(unit).or_insert_with(|| id.clone());
            }
        }
        if changes.iter().any(Change::brings) {
            self.installs.push(Install { at, sure });
        }
        for folder in changes.iter().flat_map(Change::folders) {
            let folder = Identity::Path(folder.clone());
            self.things.entry(folder).or_insert_with(|| id.clone());
        }
        for thing in promised.want.claims() {
            if let Identity::User(name) = &thing {
                self.own_groups.entry(Arc::from(name.as_str())).or_insert_with(|| id.clone());
            }
            self.things.entry(thing).or_insert_with(|| id.clone());
        }
    }

    /// What a runner owes, with what the earlier steps will have done for its unit file by its turn.
    pub(crate) fn tell_runner(&self, promised: &Promised, owing: Owing) -> Owing {
        let Some(runner) = promised.want.as_runner() else { return owing };
        let unit = Identity::Unit(runner.unit().clone());
        let known = |it: &Identity| self.things.contains_key(it);
        let template = unit.template();
        let comes = known(&unit) || template.as_ref().is_some_and(known);
        let said = |it: &Identity| self.without_links.get(it).cloned();
        let without_links = said(&unit).or_else(|| template.as_ref().and_then(said));
        Owing { read_by_then: self.daemon_reload, comes, without_links, ..owing }
    }

    /// The earlier step that takes this unit along, and makes of its place at boot what it is not promised to be.
    pub(crate) fn taken_along_by(&self, promised: &Promised) -> Option<(&PromiseId, bool)> {
        let runner = promised.want.as_runner()?;
        let (step, enabled) = self.taken_along.get(&Identity::Unit(runner.unit().clone()))?;
        (runner.wants_enabled() == Some(!enabled)).then_some((step, *enabled))
    }

    /// Takes note of what a directory hands on, where this is a promise about one.
    pub(crate) fn take_folder(&mut self, promised: &Promised, have: Option<&State>) {
        if let (Some(folder), Some(have), false) =
            (promised.want.folder(), have, promised.want.is_absent())
        {
            let inherits = steadfast_resources::hands_on(&promised.want, have);
            self.folders.insert(folder.clone(), inherits);
        }
    }

    /// What was seen of a promise, with what an earlier step makes of the directory that it lies in, or of its place
    /// at boot.
    pub(crate) fn foresee<'o>(&self, promised: &Promised, have: &'o State) -> Cow<'o, State> {
        if let Some((_, enabled)) = self.taken_along_by(promised) {
            let mut have = have.clone();
            if let Some(runner) = have.as_runner_mut() {
                runner.set_enabled(enabled);
            }
            return Cow::Owned(have);
        }
        let claims = if self.folders.is_empty() { vec![] } else { promised.want.claims() };
        let folder = claims.first().and_then(|it| it.as_path()?.parent());
        let Some(inherits) = folder.and_then(|it| self.folders.get(&it)) else {
            return Cow::Borrowed(have);
        };
        let mut have = have.clone();
        steadfast_resources::set_inherits(&mut have, inherits.as_ref());
        Cow::Owned(have)
    }

    /// The packages that may create what this promise is missing, if any. The packages that the promise
    /// itself needs take precedence over all others.
    pub(crate) fn packages(&self, promises: &Promises, at: usize) -> Option<Packages> {
        if self.installs.is_empty() {
            return None;
        }
        let needs = all_needs(promises, at);
        let mut named: Vec<usize> = self.installs.iter().map(|it| it.at).collect();
        if named.iter().any(|it| needs.contains(it)) {
            named.retain(|it| needs.contains(it));
        }
        let mut ids = named.into_iter().map(|at| promises.all[at].id.clone());
        Some(Packages { first: ids.next()?, others: ids.collect() })
    }

    /// The first step that changes a thing or makes it free, or that changes something below a directory.
    pub(crate) fn changes(&self, thing: &Identity, promises: &Promises) -> Option<PromiseId> {
        if let Some(step) = self.freed.get(thing) {
            return Some(step.clone());
        }
        let is_it = |other: &Identity| match (thing, other) {
            (Identity::Path(folder), Identity::Path(path)) => path.is_within(folder),
            (_, _) => thing == other,
        };
        let promised = self.planned.iter().map(|at| &promises.all[*at]);
        let mut changing = promised.filter(|it| it.want.concerns().iter().any(is_it));
        changing.next().map(|it| it.id.clone())
    }

    /// What creates a thing that this promise is missing now.
    pub(crate) fn provider_of(
        &self,
        thing: &Identity,
        promises: &Promises,
        at: usize,
    ) -> Option<Source> {
        let own_group = || {
            let Identity::Group(name) = thing else { return None };
            self.own_groups.get(name.as_str())
        };
        let template = || self.things.get(&thing.template()?);
        let step = self.things.get(thing).or_else(own_group).or_else(template);
        if let Some(step) = step.cloned() {
            return Some(Source::Step(Reason::ComesWith { thing: thing.clone(), step }));
        }
        let may_come = match thing {
            Identity::User(_) | Identity::Group(_) | Identity::Unit(_) => true,
            Identity::Path(path) => is_packages_territory(path),
            Identity::Package(_) | Identity::Setting(_) => false,
        };
        let packages = self.packages(promises, at).filter(|_| may_come)?;
        let thing = thing.clone();
        // A model that promises a service and installs packages expects one of them to contain it.
        if let Identity::Unit(_) = &thing
            && self.installs.iter().any(|it| it.sure)
        {
            return Some(Source::Step(Reason::ComesWithPackages { thing, packages }));
        }
        Some(Source::Perhaps(Reason::MayBring { thing, packages }))
    }
}

/// The units that these changes enable or disable beside the one that they are about.
pub(crate) fn taken_along(have: &State, changes: &[Change]) -> Vec<(Identity, bool)> {
    let last = changes.iter().rev().filter_map(Change::as_runner).find_map(|it| it.enables());
    let (Some(runner), Some(enabled)) = (have.as_runner(), last) else { return vec![] };
    runner.also().iter().map(|it| (Identity::Unit(it.clone()), enabled)).collect()
}

/// Everything that a promise needs, directly or indirectly.
fn all_needs(promises: &Promises, at: usize) -> HashSet<usize> {
    let mut all = HashSet::new();
    let mut open = promises.all[at].needs.clone();
    while let Some(need) = open.pop() {
        if all.insert(need) {
            open.extend(&promises.all[need].needs);
        }
    }
    all
}
