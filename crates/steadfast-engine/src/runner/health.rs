//! Asking runners whether they are healthy, where all hangs on that.

use crate::observed::{Observed, Observer};
use crate::promised::Promises;
use steadfast_resources::runner::roles;
use steadfast_resources::{Obstacle, Resource, State};

impl Observed {
    /// Asks runners whether they are healthy, side by side, where nothing else is left to do for them.
    pub(crate) fn ask(
        &mut self,
        which: impl IntoIterator<Item = usize>,
        promises: &Promises,
        observer: Observer<'_>,
    ) {
        let open: Vec<usize> =
            which.into_iter().filter(|at| self.awaits_health(promises, *at)).collect();
        let shown = |at: &usize| Some((&promises.all[*at].want, self.states[*at].as_ref().ok()?));
        let asked: Vec<(&Resource, &State)> = open.iter().filter_map(shown).collect();
        if asked.is_empty() {
            return;
        }
        let answers = roles::ask(&asked, observer.probe(), observer.runs());
        for (at, health) in open.into_iter().zip(answers) {
            self.owing_mut(at).health = health;
        }
    }

    /// Whether all hangs on what a runner says of itself, and it has not been asked.
    pub(crate) fn awaits_health(&self, promises: &Promises, at: usize) -> bool {
        promises.all[at].want.as_runner().is_some_and(|it| it.promises_health())
            && self
                .difference(promises, at)
                .is_ok_and(|it| it.obstacles.contains(&Obstacle::HealthNotAsked))
    }
}
