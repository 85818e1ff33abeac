//! Whether systemd has read the files of this node that it reads: a promise about one is kept only then.

use crate::observed::Observed;
use crate::promised::Promises;
use crate::runner::debt::{Action, Debt};
use crate::runner::inputs::has;
use steadfast_model::PromiseId;
use steadfast_resources::kind::refuses;
use steadfast_resources::runner::unit_files::{alters, is_unread};
use steadfast_resources::{Change, Difference, State};
use steadfast_system::UnitName;
use steadfast_system::services::LastLoad;

/// systemd itself, as a unit that owes something: the scope that its own process is in.
pub(crate) fn systemd() -> Option<UnitName> {
    UnitName::parse("init.scope").ok()
}

/// What systemd owes because of a promise: to read its unit files again. Whichever load comes next pays it.
pub(crate) fn owed_load(cause: PromiseId, load: LastLoad, since: i64) -> Debt {
    Debt { action: Action::Reload, cause, invocation: name_of(load), since }
}

/// Whether what is written down is still owed: systemd has not begun to read its files since.
pub(crate) fn is_owed(debts: &[Debt], load: LastLoad) -> bool {
    debts.iter().any(|it| it.invocation == name_of(load))
}

fn name_of(load: LastLoad) -> String {
    load.began.map(|it| it.to_string()).unwrap_or_default()
}

impl Observed {
    /// Adds that systemd reads its unit files again, where that is a part of keeping this promise.
    pub(crate) fn with_daemon_reload(
        &self,
        promises: &Promises,
        at: usize,
        have: &State,
        mut difference: Difference<Change>,
    ) -> Difference<Change> {
        let Some(load) = self.last_load.filter(|_| has(&promises.unit_files, at)) else {
            return difference;
        };
        let want = &promises.all[at].want;
        let is_kept = difference.changes.is_empty() && difference.obstacles.is_empty();
        let unread = || is_kept && load.began.is_some_and(|it| is_unread(want, have, it));
        let alters = || !refuses(&difference.obstacles) && alters(want, have, &difference.changes);
        if alters() || unread() {
            difference.changes.push(Change::daemon_reload());
        }
        difference
    }
}
