//! What a run does once it has looked: it says what it would do, or does it, and handles what left the model.

use super::components;
use super::{Done, Purpose, Ready, Running};
use crate::deployments::Amid;
use crate::implied::Implied;
use crate::keep::{Keeping, Kept, Told};
use crate::model;
use crate::orphans::{self, Orphans};
use crate::resolution::Resolution;
use std::path::Path;
use steadfast_engine::{Event, Promises, Reporter, Summary};
use steadfast_store::{Store, StoreError};
use steadfast_system::Host;
use steadfast_trust::text::chain;

impl Running<'_> {
    pub(super) fn carry_out(&mut self, ready: Ready<'_>) -> Done {
        let host = ready.host;
        let done = match &self.run.purpose {
            Purpose::Forecast => self.forecast(ready),
            Purpose::ByHand => self.by_hand(ready),
            Purpose::Keep(keeping) => self.keep(keeping, ready),
        };
        // The look at a few costs less than writing down all that is known.
        if !self.run.is_forecast()
            && !self.is_few
            && let Err(error) = host.keep_looks()
        {
            // They only save time.
            tracing::debug!(%error, "the looks of this run are not kept");
        }
        done
    }

    fn forecast(&mut self, ready: Ready<'_>) -> Done {
        let Ready { resolution, files, host, store, mut assessment, told: _ } = ready;
        let restarts = components::restarts(resolution.limits, &assessment.plan);
        let components = self.foresee(&resolution.promises, &mut assessment, host, restarts);
        let plan = {
            let mut shown = self.audience.reporter(&files.sources);
            steadfast_engine::dry_run(&resolution.promises, assessment, &mut *shown)
        };
        let orphans = self.orphans(&resolution, host, store);
        self.tell(&components, files);
        Done::Foreseen { promises: resolution.promises, plan, orphans, components }
    }

    fn keep(&mut self, keeping: &Keeping, ready: Ready<'_>) -> Done {
        let Ready { resolution, files, host, store, assessment, told } = ready;
        let promises_of = |content: &Path| self.promises_of(content);
        let restarts = components::restarts(resolution.limits, &assessment.plan);
        let kept = keeping.keep(&resolution.promises, assessment, host, store, told, promises_of);
        let Kept { mut report, fates, mut journal, mut summary } = kept;
        let taken = self.take_steps(&fates, (host, store), &mut journal, files, restarts);
        summary.repaired += taken.repaired.len();
        journal.report(&Event::Finished { summary: &summary });
        self.remember(&taken.told, &mut journal, files);
        components::add(&mut report, taken);
        self.after(journal.problem.as_ref(), store);
        Done::Kept { report, promises: resolution.promises }
    }

    fn by_hand(&mut self, ready: Ready<'_>) -> Done {
        let Ready { resolution, files, host, store, assessment, told } = ready;
        let Told { mut journal, collected: _, mut fates } = told;
        let restarts = components::restarts(resolution.limits, &assessment.plan);
        let mut implied = Implied::default();
        let mut summary = {
            let mut shown = self.audience.reporter(&files.sources);
            // What the steps do belongs to the same run.
            let mut amid = Amid { to: vec![&mut journal], with_kept: true };
            let mut reporters: Vec<&mut dyn Reporter> =
                vec![&mut *shown, &mut amid, &mut implied, &mut fates];
            let mut ledger = store;
            steadfast_engine::converge(
                &resolution.promises,
                assessment,
                host,
                &mut ledger,
                &mut reporters,
            )
        };
        let taken = self.take_steps(&fates, (host, store), &mut journal, files, restarts);
        summary.repaired += taken.repaired.len();
        journal.report(&Event::Finished { summary: &summary });
        self.tell(&taken.told, files);
        self.remember(&taken.told, &mut journal, files);
        self.after(journal.problem.as_ref(), store);
        let implied = implied.0;
        let mut summary = Summary {
            kept: summary.kept - implied.kept,
            repaired: summary.repaired - implied.repaired,
            not_kept: summary.not_kept - implied.not_kept,
            held: summary.held - implied.held,
            ..summary
        };
        taken.told.iter().for_each(|it| it.count(&mut summary));
        let orphans = self.orphans(&resolution, host, store);
        Done::Ran { summary, implied, run: journal.run(), orphans }
    }

    /// What the state has to say once the work is done.
    fn after(&mut self, problem: Option<&StoreError>, store: &Store) {
        if let Some(problem) = problem {
            let words = format!("the history of this run is incomplete: {}", chain(problem));
            self.audience.warn(&words);
        }
        store.take_warnings().iter().for_each(|it| self.audience.warn(it));
    }

    /// What another content promises for this node, where that can be told.
    fn promises_of(&self, content: &Path) -> Option<Promises> {
        let mut loaded = model::load(content).ok()?;
        let (node, facts, layout) = (self.node, self.facts, &self.cx.layout);
        let target =
            model::target(&mut loaded, self.run.environment, node, facts, layout).ok()??;
        Some(target.promises)
    }

    /// What earlier runs made and nobody promises any more.
    fn orphans(&mut self, resolution: &Resolution, host: &Host, store: &Store) -> Orphans {
        self.find_orphans(resolution, host, store).unwrap_or_else(|error| {
            let words = format!("what nobody promises any more is unknown: {}", chain(&error));
            self.audience.warn(&words);
            Orphans::default()
        })
    }

    /// That a model promises all of it is found once: a run without news does not look for it again.
    fn find_orphans(
        &mut self,
        resolution: &Resolution,
        host: &Host,
        store: &Store,
    ) -> Result<Orphans, StoreError> {
        let promised = |it: &String| store.is_all_promised(it).unwrap_or(false);
        if self.model.as_ref().is_some_and(promised) {
            return Ok(Orphans::default());
        }
        if self.run.is_forecast() {
            return orphans::find(store, &resolution.promises, resolution.orphans, host);
        }
        let model = self.model.as_deref();
        let orphans = orphans::find_after(store, &resolution.promises, model, host)?;
        // What another model does not name is no less a matter of the one that is kept.
        let forgotten = if self.run.is_adopted || !store.has_adopted().unwrap_or(true) {
            store.forget_made(&orphans.gone())
        } else {
            Ok(())
        };
        let written = forgotten.and_then(|()| match &self.model {
            Some(model) if orphans.is_all_promised() => store.put_all_promised(model),
            Some(_) | None => Ok(()),
        });
        if let Err(error) = written {
            self.audience.warn(&chain(&error));
        }
        Ok(orphans)
    }
}
