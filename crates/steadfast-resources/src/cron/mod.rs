//! # `cron`: jobs, one file for each below /etc/cron.d
//!
//! ```yaml
//! cron:
//!   purge-sessions:
//!     schedule: "*/15 * * * *"
//!     user: deploy
//!     command: /srv/www/bin/purge --older-than "$(date +%F)"
//!     environment: { MAILTO: ops@xyz.example }
//!   old-job: absent
//! ```
//!
//! The name is the file's name and has letters, digits, `_` and `-` only, because cron reads no other.
//! `schedule` has the five fields of crontab(5) or is one of its words (`@daily`, `@reboot`, …), and is
//! checked here, because cron ignores a whole file for one mistake in it. `command` is the text that
//! the shell gets: what means something to cron (`%`, a double `\`) is escaped on the way. Every value
//! is one line. `environment` holds for this job alone.
//!
//! The file belongs to root with mode 0644. Where cron is not installed (there is no /etc/cron.d) or
//! there is no such user, the promise is *not kept*: cron would not run the job.

mod apply;
mod change;
mod crontab;
mod desired;
mod lower;
mod observe;
mod plan;
pub mod schedule;
mod state;
mod undo;

pub use change::{Change, Was};
pub use desired::Desired;
pub use state::State;

mod facts;

use crate::fact::Fact;
use crate::identity::Identity;
use crate::kind::{Applied, Difference, Fingerprint, Kind, Turn};
use crate::paths;
use crate::undo::{Effect, Facet, Says};
use std::sync::Arc;
use steadfast_model::{Field, Lower, Node, Spanned, Takes};
use steadfast_system::{AbsPath, Actuate, Probe, SystemError};

/// The kind `cron`.
#[derive(Debug)]
pub struct Cron;

impl Kind for Cron {
    const NAME: &'static str = "cron";
    const SHORT_FORMS: &'static [Takes] = &[Takes::Words(&["absent"])];
    const MAY_SAY: &'static str = "absent, or a map of fields";
    const FIELDS: &'static [Field] = &[
        Field::new(
            "state",
            Takes::Words(&["present", "absent"]),
            "Whether the job exists (default: present)",
        ),
        Field::new(
            "schedule",
            Takes::Text,
            "When it runs: five fields as in crontab(5), or @reboot, @daily, …",
        ),
        Field::new("command", Takes::Text, "The shell command, on one line; `%` needs no escape"),
        Field::new("user", Takes::Text, "The user it runs as (default: root)"),
        Field::new(
            "environment",
            Takes::MapOf(&Takes::Text),
            "Environment variables of this job: MAILTO, PATH, …",
        ),
    ];
    type Desired = Desired;
    type State = State;
    type Change = Change;

    fn lower(name: &Spanned<Arc<str>>, body: &Node, cx: &mut Lower<'_>) -> Option<Desired> {
        lower::lower(name, body, cx)
    }

    fn claims(want: &Desired) -> Vec<Identity> {
        vec![Identity::Path(want.path.clone())]
    }

    fn uses(want: &Desired) -> Vec<Identity> {
        let user = want.job.as_ref().map(|job| Identity::User(job.user.clone()));
        want.path.parent().map(Identity::Path).into_iter().chain(user).collect()
    }

    fn is_absent(want: &Desired) -> bool {
        want.job.is_none()
    }

    fn turn(want: &Desired) -> Turn {
        if want.job.is_some() { Turn::Jobs } else { Turn::JobsGo }
    }

    fn may_come_with_packages(want: &Desired) -> bool {
        paths::may_come_with_packages(&Self::claims(want))
    }

    fn observe(wants: &[&Desired], sys: &dyn Probe) -> Vec<Result<State, SystemError>> {
        observe::observe(wants, sys)
    }

    fn plan(want: &Desired, have: &State) -> Difference<Change> {
        plan::plan(want, have)
    }

    fn apply(batch: &[&[Change]], sys: &dyn Actuate) -> Vec<Applied> {
        apply::apply(batch, sys)
    }

    fn effects(change: &Change, _want: &Desired, have: &State) -> Vec<Effect> {
        undo::effects(change, have)
    }

    fn says(_want: &Desired, facet: &Facet, _is_folder: bool) -> Says {
        Says::all_if(facet.as_path().is_some())
    }

    fn facts(change: &Change) -> Vec<Fact> {
        facts::facts(change)
    }

    fn fingerprint(have: &State) -> Fingerprint {
        observe::fingerprint(have)
    }

    fn describe(have: &State) -> Vec<(&'static str, String)> {
        observe::describe(have)
    }

    fn detail(change: &Change) -> Option<String> {
        let (path, was, becomes): (&AbsPath, &Was, &[u8]) = match change {
            Change::Write { file, was } => (&file.path, was, &file.content),
            Change::Remove { path, was, .. } => (path, was, b""),
            Change::SetAttributes { .. } => return None,
        };
        let was: &[u8] = match was {
            Was::Nothing => b"",
            Was::File { bytes, .. } => bytes.as_deref()?,
            Was::HardLinks(_) | Was::Link(_) => return None,
        };
        let (was, becomes) = (String::from_utf8_lossy(was), String::from_utf8_lossy(becomes));
        Some(paths::diff(path, &was, &becomes, usize::MAX))
    }

    fn deletes(change: &Change) -> u64 {
        match change {
            Change::Remove { .. } => 1,
            Change::Write { .. } | Change::SetAttributes { .. } => 0,
        }
    }
}

#[cfg(test)]
mod tests;
