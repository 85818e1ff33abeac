//! A run without news. A run that found everything kept writes down which files it found as promised, and what the
//! kernel said of each (`kept` in the cache directory). As long as the kernel says the same of all of them, and the
//! model and the facts are the same, the next run looks only at the promises that hang on anything else: packages,
//! accounts, services, directories, what is sensitive, and one file of each directory and owner. Of a promised tree
//! that is root's alone it looks at the directory itself. Where a few files are otherwise, these are looked at and
//! repaired (see `drifted`), and the run after that looks at everything; where anything else is, this one does.

use super::{Done, Purpose, Ready, Run, Running, Scope, is_amid_step};
use crate::NodeError;
use crate::model::Files;
use crate::resolution::Resolution;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use steadfast_engine::{Assessment, Budget, Settleable};
use steadfast_resources::Alone;
use steadfast_store::{Store, decode, encode, of_this_build};
use steadfast_system::Host;
use steadfast_system::files::Read as _;
use steadfast_system::files::settled::{self, Found, FoundTree, News, Settled, Settling};

/// Fewer files than this are looked at as soon as they are known again.
const WORTH_IT: usize = 32;
/// So many promises are looked at without a table of what was read before.
const FEW: usize = 64;

/// What is looked at in each run beside what is settled.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Beside {
    rest: Resolution,
    /// Which of all promises these are, by index.
    pub(super) stays: Vec<usize>,
    /// Of these, files whose verdicts hang on nothing else, though others of their directory and owner may be
    /// judged by theirs.
    pub(super) files: BTreeSet<usize>,
    /// Of these, directories of which only they themselves are looked at.
    pub(super) trees: BTreeSet<usize>,
}

impl Run<'_> {
    /// Whether the verdict on each promise is all that is asked for.
    fn asks_for_verdicts_alone(&self) -> bool {
        match (&self.purpose, &self.scope) {
            (Purpose::ByHand, Scope::All) => true,
            (Purpose::Keep(keeping), Scope::All) => {
                !keeping.is_more_than_keeping()
                    && !keeping.report_only
                    && !keeping.watch
                    && keeping.changed.is_empty()
            }
            (Purpose::Forecast, _)
            | (Purpose::ByHand | Purpose::Keep(_), Scope::Matching(_) | Scope::Named(_)) => false,
        }
    }
}

impl Running<'_> {
    /// The run, where nothing has changed since everything was found kept.
    pub(super) fn quiet(&mut self, files: &Files) -> Result<Option<Done>, NodeError> {
        if !self.run.asks_for_verdicts_alone() || self.audience.wants_each() {
            return Ok(None);
        }
        let host = self.cx.host();
        let Some((settled, changed)) = self.settled(&host) else { return Ok(None) };
        let Some(beside) = decode::<Beside>(settled.beside()) else { return Ok(None) };
        let store = self.open()?;
        if is_amid_step(&store) || !self.is_all_promised(&store) {
            return Ok(None);
        }
        if !changed.is_empty() {
            return self.drifted(files, &store, &settled, &beside, &changed);
        }
        let resolution = &beside.rest;
        if resolution.promises.all.len() > FEW {
            host.trust_looks(self.run.verify());
        }
        self.ready(&host, resolution);
        let budget = Budget::from(resolution.limits);
        let assessment = self.look(&resolution.promises, &host, &store, budget);
        if !assessment.is_plainly_kept() {
            return self.drifted(files, &store, &settled, &beside, &changed);
        }
        let resolution = beside.rest;
        tracing::debug!(settled = resolution.promises.settled, "nobody has changed these");
        self.begin(&resolution, files, &[]);
        let told = self.told(&resolution, files, &files.sources, &host, &store);
        let (host, store) = (&host, &store);
        Ok(Some(self.carry_out(Ready { resolution, files, host, store, assessment, told })))
    }

    /// What was settled, and what of it has changed.
    fn settled(&self, host: &Host) -> Option<(Settled, BTreeSet<u32>)> {
        let key = self.key(host)?;
        let settled = Settled::open(&self.cx.layout.cache, &key, self.run.verify())?;
        match settled.news() {
            News::Nothing => Some((settled, BTreeSet::new())),
            News::Of(changed) => Some((settled, changed)),
            News::Much => None,
        }
    }

    /// All that verdicts hang on, beside files: also where our own files are.
    fn key(&self, host: &Host) -> Option<[u8; 32]> {
        let own = format!("{:?}", host.own_folders());
        of_this_build(&[b"kept", self.model.as_ref()?.as_bytes(), own.as_bytes()])
    }

    /// Whether a run by hand has nothing to say of what left the model.
    fn is_all_promised(&self, store: &Store) -> bool {
        match self.run.purpose {
            Purpose::ByHand => {
                let known = |it: &String| store.is_all_promised(it).unwrap_or(false);
                self.model.as_ref().is_some_and(known)
            }
            Purpose::Forecast | Purpose::Keep(_) => true,
        }
    }

    /// Has the next run look at everything, until this one has found all of it kept.
    pub(super) fn unsettle(&self) {
        if self.run.is_forecast() {
            return;
        }
        if let Err(error) = settled::forget(&self.cx.layout.cache) {
            tracing::warn!(%error, "what was found kept is not forgotten");
        }
    }

    /// What the next run need not look at, if this one finds everything kept as it has seen it.
    pub(super) fn settling(
        &self,
        resolution: &Resolution,
        host: &Host,
        assessment: &Assessment,
    ) -> Option<(Settling, Vec<u8>)> {
        if !self.run.asks_for_verdicts_alone() || !assessment.is_plainly_kept() {
            return None;
        }
        let promises = &resolution.promises;
        let alone = assessment.alone(promises);
        let trees: Vec<_> = (assessment.alone_trees(promises).into_iter())
            .filter(|(_, it)| it.count >= WORTH_IT as u64)
            .collect();
        let found: Vec<Found<'_>> = (alone.iter().filter(|it| it.at != it.first))
            .map(|Settleable { at, first, alone: Alone { path, owners: _, digest, entry } }| {
                let (number, group) = (number(*at), number(*first));
                Found { number, group, path, digest: *digest, entry }
            })
            .collect();
        let found_trees: Vec<FoundTree<'_>> = (trees.iter())
            .map(|(at, it)| {
                let contents = it.contents().collect();
                FoundTree { number: number(*at), path: it.path, contents }
            })
            .collect();
        let settling = host.settle(&found, &found_trees)?;
        let which = settled_of(found.iter().map(|it| it.number), &settling.which);
        let trees = settled_of(found_trees.iter().map(|it| it.number), &settling.which_trees);
        if which.len() < WORTH_IT && trees.is_empty() {
            return None;
        }
        let rest = Resolution {
            environment: resolution.environment.clone(),
            packages: resolution.packages,
            promises: promises.without(&which, &trees),
            orphans: resolution.orphans,
            limits: resolution.limits,
            warnings: resolution.warnings.clone(),
        };
        let rest = Beside {
            rest,
            stays: (0..promises.all.len()).filter(|it| !which.contains(it)).collect(),
            files: alone.iter().map(|it| it.at).filter(|it| !which.contains(it)).collect(),
            trees,
        };
        Some((settling, encode(&rest).ok()?))
    }

    /// Writes it down where that is what came of the run. It only saves time.
    pub(super) fn settle(&self, done: &Done, host: &Host, settling: Option<(Settling, Vec<u8>)>) {
        let Some((settling, rest)) = settling.filter(|_| done.is_all_kept()) else { return };
        let Some(key) = self.key(host) else { return };
        if let Err(error) = settling.put(&self.cx.layout.cache, &key, &rest) {
            tracing::debug!(%error, "what was found kept is not written down");
        }
    }
}

fn settled_of(all: impl Iterator<Item = u32>, which: &[bool]) -> BTreeSet<usize> {
    all.zip(which).filter(|(_, settled)| **settled).map(|(at, _)| at as usize).collect()
}

/// A model has far fewer promises.
fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

impl Done {
    fn is_all_kept(&self) -> bool {
        match self {
            Done::Ran { summary, implied, run: _, orphans: _ } => {
                let all = [summary, implied].map(|it| it.repaired + it.not_kept + it.held);
                all == [0, 0]
            }
            Done::Kept { report, promises: _ } => {
                report.repaired.is_empty()
                    && report.not_kept.is_empty()
                    && report.held.is_empty()
                    && report.undone.is_empty()
                    && report.left.is_empty()
            }
            Done::Nothing { .. } | Done::Foreseen { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests;
