//! A run by hand that finds a few of the settled files changed, and nothing else: it knows and looks at these, and at
//! what a run without news looks at. So repairing some files among many costs what they cost.

use super::quiet::Beside;
use super::{Done, Purpose, Ready, Running};
use crate::NodeError;
use crate::model::Files;
use crate::resolution;
use std::collections::BTreeSet;
use steadfast_engine::Budget;
use steadfast_store::Store;
use steadfast_system::files::settled::Settled;

impl Running<'_> {
    /// The run, where it can be done with what is known of these.
    pub(super) fn drifted(
        &mut self,
        files: &Files,
        store: &Store,
        settled: &Settled,
        beside: &Beside,
        changed: &BTreeSet<u32>,
    ) -> Result<Option<Done>, NodeError> {
        match self.run.purpose {
            Purpose::ByHand => {}
            // It says more of what it has found not kept.
            Purpose::Keep(_) | Purpose::Forecast => return Ok(None),
        }
        // They stand for their directory and owner in the place of those that may be changed.
        let same = settled.one_of_each(changed);
        let changed: BTreeSet<usize> = changed.iter().map(|it| *it as usize).collect();
        let also = changed.iter().copied().chain(same.iter().map(|it| *it as usize));
        let these: Vec<usize> = beside.stays.iter().copied().chain(also).collect();
        let Some(cache) = self.cache_for(files) else { return Ok(None) };
        let Some(known) = resolution::recall_these(&cache, &these) else { return Ok(None) };
        let resolution::Remembered { mut resolution, which, places, folders: _, digest: _ } = known;
        for (at, promised) in which.iter().zip(&mut resolution.promises.all) {
            if beside.trees.contains(at)
                && !changed.contains(at)
                && let Some(itself) = steadfast_resources::itself(&promised.want)
            {
                promised.want = itself;
            }
        }
        let contents = resolution::attach_contents(&cache, &mut resolution);
        let host = self.host(&resolution);
        let budget = Budget::from(resolution.limits);
        let assessment = self.look(&resolution.promises, &host, store, budget);
        // Where one of the others is not kept, or what files lie in or belong to, more may differ.
        let may_differ = |at: usize| {
            which.get(at).is_some_and(|it| changed.contains(it) || beside.files.contains(it))
        };
        // Where nothing is to be repaired, a run that looks at everything settles it anew.
        if assessment.plan.is_kept()
            || contents.is_none_or(|it| it.has_missed())
            || !assessment.is_plainly_kept_but(may_differ)
        {
            return Ok(None);
        }
        tracing::debug!(changed = changed.len(), "of all that is settled these have changed");
        self.unsettle();
        // What this run reads is not worth writing down all that is known.
        self.is_few = true;
        self.begin(&resolution, files, &[]);
        let told = self.told(&resolution, files, &places, &host, store);
        Ok(Some(self.carry_out(Ready { resolution, files, host: &host, store, assessment, told })))
    }
}
