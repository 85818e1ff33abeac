//! What follows the end of a step: what nobody goes back to any more goes.

use super::retention::{Retained, Retaining, retain};
use super::stepping::Stepping;
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
        retained.has_removed
    }
}
