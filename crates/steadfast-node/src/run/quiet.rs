//! A run without news. A run that found everything kept writes down which files it found as promised, and what the
//! kernel said of each (`kept` in the cache directory). As long as the kernel says the same of all of them, and the
//! model and the facts are the same, the next run looks only at the promises that hang on anything else: packages,
//! accounts, services, directories, what is sensitive, and one file of each directory and owner. Of a promised tree
//! that is root's alone it looks at the directory itself. Where any of this is otherwise, everything is looked at.

use super::{Done, Purpose, Ready, Run, Running, Scope, is_amid_step};
use crate::NodeError;
use crate::model::Files;
use crate::resolution::Resolution;
use std::collections::BTreeSet;
use steadfast_engine::{Assessment, Budget};
use steadfast_store::{Store, decode, encode, of_this_build};
use steadfast_system::Host;
use steadfast_system::files::Read as _;
use steadfast_system::files::settled::{self, Found, FoundTree, Settled, Settling};

/// Fewer files than this are looked at as soon as they are known again.
const WORTH_IT: usize = 32;
/// So many promises are looked at without a table of what was read before.
const FEW: usize = 64;

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
        let Some(resolution) = self.settled(&host) else { return Ok(None) };
        let store = self.open()?;
        if is_amid_step(&store) || !self.is_all_promised(&store) {
            return Ok(None);
        }
        if resolution.promises.all.len() > FEW {
            host.trust_looks(self.run.verify());
        }
        self.ready(&host, &resolution);
        let budget = Budget::from(resolution.limits);
        let assessment = self.look(&resolution.promises, &host, &store, budget);
        if !assessment.is_plainly_kept() {
            return Ok(None);
        }
        tracing::debug!(settled = resolution.promises.settled, "nobody has changed these");
        self.begin(&resolution, files, &[]);
        let told = self.told(&resolution, files, &files.sources, &host, &store);
        let (host, store) = (&host, &store);
        Ok(Some(self.carry_out(Ready { resolution, files, host, store, assessment, told })))
    }

    /// What is left to look at, where the kernel says of all the rest what it said.
    fn settled(&self, host: &Host) -> Option<Resolution> {
        let key = self.key(host)?;
        let settled = Settled::open(&self.cx.layout.cache, &key, self.run.verify())?;
        settled.is_unchanged().then(|| decode(settled.beside()))?
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
        let found: Vec<Found<'_>> = (alone.iter())
            .map(|(_, it)| Found { path: it.path, digest: it.digest, entry: it.entry })
            .collect();
        let found_trees: Vec<FoundTree<'_>> = (trees.iter())
            .map(|(_, it)| FoundTree { path: it.path, contents: it.contents().collect() })
            .collect();
        let settling = host.settle(&found, &found_trees)?;
        let which = settled_of(alone.iter().map(|(at, _)| *at), &settling.which);
        let trees = settled_of(trees.iter().map(|(at, _)| *at), &settling.which_trees);
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

fn settled_of(all: impl Iterator<Item = usize>, which: &[bool]) -> BTreeSet<usize> {
    all.zip(which).filter(|(_, settled)| **settled).map(|(at, _)| at).collect()
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
