//! What follows the end of a step: what nobody goes back to any more goes.

use super::retention::{Retained, Retaining, retain};
use super::stepping::Stepping;
use std::collections::BTreeSet;
use steadfast_model::application::frozen::Frozen;
use steadfast_store::deployments;
use steadfast_trust::text::chain;

impl Stepping<'_, '_> {
    /// Removes what nobody needs any more of a component that the model places here. Whether anything was.
    pub(super) fn clear_away(&mut self, at: usize) -> bool {
        let instance = &mut self.deploying.all[at];
        let settings = instance.placed.as_ref().and_then(|it| it.settings.as_ref());
        let Some(keeps) = settings.map(|it| it.retain) else { return false };
        let component = instance.id.to_string();
        let wanted = instance.wanted().map(|it| it.deployment.own);
        let retaining =
            Retaining { component: &component, retain: keeps, wanted: wanted.as_deref() };
        let retained =
            retain(&retaining, &mut instance.known, self.store).unwrap_or_else(|error| {
                let note = format!("old deployments stay: {}", chain(&error));
                Retained { has_removed: false, notes: vec![note] }
            });
        for note in &retained.notes {
            self.audience.warn(&format!("component:{component}: {note}"));
        }
        if let Err(words) = self.write(at) {
            self.audience.warn(&words);
        }
        if let Err(why) = self.sweep() {
            self.audience.warn(&format!("contents that nobody needs any more stay: {why}"));
        }
        retained.has_removed
    }

    /// Contents and values of secrets go that no deployment names: none that is written down, and none of this run. What
    /// one names that cannot be read is not known, so then all stay.
    fn sweep(&self) -> Result<(), String> {
        let Some(written) = self.store.all_documents().map_err(|it| chain(&it))? else {
            return Ok(());
        };
        let read = |text: &String| serde_json::from_str::<Frozen>(text).map_err(|it| chain(&it));
        let written: Vec<Frozen> = written.iter().map(read).collect::<Result<_, _>>()?;
        let here = self.deploying.all.iter().flat_map(|it| it.documents.values());
        let mut needed = BTreeSet::new();
        for frozen in written.iter().chain(here) {
            needed.extend(frozen.contents().map(str::to_owned));
            needed.extend(frozen.secrets.values().cloned());
        }
        deployments::sweep(&self.cx.layout, &needed).map_err(|it| it.to_string())
    }
}
