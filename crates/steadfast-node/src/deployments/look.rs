//! What is seen of a component: what lies in its places, what is prepared, and what runs. Only as much is looked at as the
//! row of a component that is at rest leaves open.

use super::instance::Instance;
use super::stepping::{Places, Stepping, Stopped};
use super::tree;
use super::units::{self, Units};
use std::collections::BTreeSet;
use std::sync::Arc;
use steadfast_engine::component::{Deployment, Done, Gate, Place, Seen};
use steadfast_engine::{Budget, Circumstances, Observer, Promises, UndoEntry};
use steadfast_system::{SystemError, UnitName};

impl Stepping<'_, '_> {
    pub(super) fn look(
        &mut self,
        at: usize,
        closed: Vec<Gate>,
        done: Option<Done>,
    ) -> Result<Seen, Stopped> {
        let instance = &self.deploying.all[at];
        let wanted = instance.wanted();
        let mut seen = Seen {
            wanted,
            by: self.of.by,
            closed,
            prepared: BTreeSet::new(),
            place: Place::Nothing,
            running: BTreeSet::new(),
            along: BTreeSet::new(),
            busy: vec![],
            restart_owed: false,
            done,
        };
        if instance.is_at_rest() {
            return Ok(seen);
        }
        if !self.seen.contains_key(&at) {
            let found = self.places(at)?;
            self.seen.insert(at, found);
        }
        if let Some(found) = self.seen.get(&at) {
            seen.prepared.clone_from(&found.prepared);
            seen.place.clone_from(&found.place);
        }
        self.look_at_programs(at, &mut seen).map_err(Stopped::Unseen)?;
        Ok(seen)
    }

    fn look_at_programs(&self, at: usize, seen: &mut Seen) -> Result<(), SystemError> {
        let instance = &self.deploying.all[at];
        let is_new = instance.row().current.is_none() && seen.place == Place::Nothing;
        let units = self.units(at);
        let keep_sockets = instance.keeps_sockets();
        for it in units::running(&units, keep_sockets, self.host)? {
            let invocation = it.process.as_ref().map(|it| &it.invocation);
            let known = instance.known.started.get(it.unit.as_str());
            let own = known.filter(|it| Some(&it.invocation) == invocation);
            if own.is_none() && is_new {
                // Somebody else's, which comes back where the first deployment fails.
                seen.along.insert(Arc::from(it.unit.as_str()));
            }
            seen.running.insert(own.map(|it| Arc::clone(&it.own)));
        }
        seen.along.extend(units::along(&units, keep_sockets, self.host)?);
        seen.busy = self.busy(at)?;
        Ok(())
    }

    /// The units of all of its deployments that are known.
    pub(super) fn units(&self, at: usize) -> Units {
        let mut units = Units::default();
        for its in self.deploying.all[at].documents.values().map(Units::of) {
            let new: Vec<UnitName> =
                its.all.into_iter().filter(|it| !units.all.contains(it)).collect();
            units.all.extend(new);
            units.running.extend(its.running);
        }
        units
    }

    fn places(&mut self, at: usize) -> Result<Places, Stopped> {
        let involved = self.deploying.all[at].involved();
        let mut prepared = BTreeSet::new();
        for it in &involved {
            if self.is_prepared(at, it) {
                prepared.insert(Arc::clone(&it.own));
            }
        }
        let place = self.place(at, &involved)?;
        Ok(Places { prepared, place })
    }

    /// What was seen may be otherwise now.
    pub(super) fn forget_places(&mut self, at: usize) {
        self.seen.remove(&at);
    }

    fn is_prepared(&mut self, at: usize, it: &Deployment) -> bool {
        let (mut means, all) = self.means();
        let Ok(promises) = all[at].to_prepare(it, &mut means) else { return false };
        let instance = &self.deploying.all[at];
        is_tree_there(instance, it)
            && (!instance.is_wanted(it) || self.is_tree_whole(instance))
            && self.is_kept(&promises)
    }

    fn is_tree_whole(&self, instance: &Instance) -> bool {
        let placed = instance.placed.as_ref();
        placed.is_none_or(|it| tree::is_whole(it, &self.deploying.sources).unwrap_or(false))
    }

    /// Which of them is in place; the one that the step leads to first.
    fn place(&mut self, at: usize, involved: &[Deployment]) -> Result<Place, Stopped> {
        let heading =
            self.deploying.all[at].row().step.as_ref().and_then(|it| it.heading().cloned());
        let others = involved.iter().filter(|it| !heading.as_ref().is_some_and(|to| to.is(it)));
        for it in heading.iter().chain(others) {
            let (mut means, all) = self.means();
            let Ok(promises) = all[at].to_place(it, involved, &mut means) else { continue };
            if self.is_kept(&promises) {
                return Ok(Place::Whole(Arc::clone(&it.own)));
            }
        }
        let instance = &self.deploying.all[at];
        let is_first = instance.row().current.is_none();
        let made = self.made(at)?;
        Ok(if is_first && made.is_empty() { Place::Nothing } else { Place::Mixed })
    }

    /// What steps of the component have made where programs are started from.
    pub(super) fn made(&self, at: usize) -> Result<Vec<UndoEntry>, Stopped> {
        let instance = &self.deploying.all[at];
        let unwritten = |error| Stopped::Unwritten(steadfast_trust::text::chain(&error));
        let mut made = self.store.made_by(&instance.unit).map_err(unwritten)?;
        let top = instance.directory();
        made.retain(|it| {
            let path = it.facet.as_path().map(|it| it.as_str().to_owned());
            path.is_none_or(|path| {
                path == format!("{top}/current")
                    || !(path == top || path.starts_with(&format!("{top}/")))
            })
        });
        Ok(made)
    }

    fn is_kept(&self, promises: &Promises) -> bool {
        let circumstances = Circumstances { root: self.cx.root, budget: Budget::default() };
        let observer = Observer::ReadOnly(self.host);
        steadfast_engine::look(promises, observer, &self.store, circumstances).plan.is_kept()
    }
}

/// Whether the tree that a deployment runs from is there at all.
fn is_tree_there(instance: &Instance, it: &Deployment) -> bool {
    let id = instance.documents.get(&it.own).and_then(|it| it.tree_id());
    id.is_none_or(|it| tree::is_there(instance.directory(), &it))
}
