//! A unit of systemd: whether it runs, whether it starts at boot, its unit file and drop-ins, and that it
//! runs with its current inputs.
//!
//! ```yaml
//! server: web
//! services:
//!   nginx:                                   # nginx.service; another kind of unit with its suffix
//!     running: true
//!     enabled: true                          # true, false or masked
//!     reload_on: ["file:/etc/nginx/*"]       # promises whose change it has to read
//!     restart_on: [package:nginx]
//!     validate: [nginx, -t]                  # asked before it gets new inputs
//!     settle: 5s                             # how long it must have been active
//!     health: { http: "http://127.0.0.1/health", within: 30s }
//!     drop_ins:
//!       limits: { content: "[Service]\nLimitNOFILE=65536\n" }
//!   people-api:
//!     unit: { content: "[Service]\nExecStart=/srv/people-api/bin/api\n\n[Install]\nWantedBy=multi-user.target\n" }
//!     running: true
//!     enabled: true
//!   avahi-daemon: { running: false, enabled: masked }
//! ```
//!
//! Every field stands for itself: what is not said is left alone. `unit` becomes
//! /etc/systemd/system/NAME, a drop-in /etc/systemd/system/NAME.d/DROP_IN.conf; when one of them changes,
//! a service that runs is restarted; when what the unit file says below `[Install]` changes, a unit that is enabled
//! is enabled anew. `enabled: true` lifts a mask, `running: true` alone does not. A unit
//! that cannot be enabled (static, indirect, generated from /etc/fstab) is kept as it is, with a note; one that is
//! made of a script in /etc/init.d can be, by update-rc.d.
//!
//! systemd has to have read the files of a unit as they are. That is known from the times of the files, because
//! its own word for it (NeedDaemonReload) misses some: see [`steadfast_system::services::LastLoad`].
//!
//! A service that owes a reload or a restart, because a promise that it reads was repaired, pays it when
//! it is its turn; a stopped service is never started by that. After every start, restart and reload it must
//! be active for `settle`, the same process all the time; if it is not, the last lines of its journal are
//! part of what is reported.
//!
//! `health` is asked of a service that is otherwise as promised, in every run: by a GET (`http`) of
//! `localhost` or of an address of this machine, where an answer from 200 to 399 is good, whatever its
//! body, and where it leads is not followed; or by a program (`command: [pg_isready]`) that exits with
//! 0, run by root. `health: URL` and `health: [program, …]` are short for the two. A question may take 10 s
//! and is asked once more if the answer is bad; for `within` (30s) after its start the service may become
//! healthy yet, and is asked until it is. One that is not healthy is *not kept*, with the last lines of
//! its journal, and is never restarted by that; a new revision under which it is not sends the node back.
//! A dry run asks by GET alone.

mod apply;
mod change;
mod desired;
mod facts;
mod health;
mod lower;
mod observe;
mod plan;
mod state;
mod undo;

pub use change::{Act, Change};
pub use desired::{Desired, Enabled};
pub(crate) use health::{Asked, ask};
pub(crate) use observe::{describe, own_inputs};
pub use state::State;
pub use undo::{start, stop};

use crate::fact::Fact;
use crate::identity::Identity;
use crate::kind::{Applied, Difference, Fingerprint, Kind, Turn};
use crate::made::Made;
use crate::paths;
use crate::runner::{Health, Owing, Runner};
use crate::undo::{About, Effect, Facet, FacetState, Now, Says};
use desired::{FILE_FIELDS, HEALTH_FIELDS, in_folder};
use std::sync::Arc;
use steadfast_model::{Field, Lower, Node, Spanned, Takes};
use steadfast_system::services::{self, Enablement};
use steadfast_system::{Actuate, Probe, SystemError};

/// What separates a unit from its promise, with what it owes. Pure.
pub(crate) fn plan(want: &Desired, have: &State, owing: &Owing) -> Difference<Change> {
    plan::plan(want, have, owing)
}

/// The service kind.
#[derive(Clone, Copy, Debug)]
pub struct Service;

impl Kind for Service {
    const NAME: &'static str = "service";
    const MAY_SAY: &'static str = "a map of fields, as in { running: true }";
    const ASKS: bool = true;
    const FIELDS: &'static [Field] = &[
        Field::new("running", Takes::Boolean, "Whether it runs"),
        Field::new(
            "enabled",
            Takes::OneOf(&[Takes::Boolean, Takes::Words(&["masked"])]),
            "Whether it starts at boot; `masked`: it cannot be started at all",
        ),
        Field::new(
            "unit",
            Takes::Fields(FILE_FIELDS),
            "Its unit file in /etc/systemd/system, from content, template or source",
        ),
        Field::new(
            "drop_ins",
            Takes::MapOf(&Takes::Fields(FILE_FIELDS)),
            "Drop-ins for its unit file, by name, each from content, template or source",
        ),
        Field::new(
            "reload_on",
            Takes::OneOf(&[Takes::Text, Takes::TextList]),
            "Ids or globs of promises; the service is reloaded when one of them changes",
        ),
        Field::new(
            "restart_on",
            Takes::OneOf(&[Takes::Text, Takes::TextList]),
            "Ids or globs of promises; the service is restarted when one of them changes",
        ),
        Field::new(
            "validate",
            Takes::TextList,
            "A check command; if it fails, the service is not started, reloaded or restarted",
        ),
        Field::new(
            "settle",
            Takes::Duration,
            "How long it must stay active to count as running (default: 5s)",
        ),
        Field::new(
            "health",
            Takes::OneOf(&[Takes::Text, Takes::TextList, Takes::Fields(HEALTH_FIELDS)]),
            "The health check: a URL, or a program and its arguments",
        ),
        Field::new(
            "timeout",
            Takes::Duration,
            "How long starting and stopping may take (default: 90s)",
        ),
    ];
    type Desired = Desired;
    type State = State;
    type Change = Change;

    fn lower(name: &Spanned<Arc<str>>, body: &Node, cx: &mut Lower<'_>) -> Option<Desired> {
        lower::lower(name, body, cx)
    }

    fn unit_texts(want: &Desired) -> Vec<String> {
        want.files().map(|it| it.content.to_string()).collect()
    }

    fn claims(want: &Desired) -> Vec<Identity> {
        std::iter::once(Identity::Unit(want.unit.clone()))
            .chain(want.files().map(|it| Identity::Path(it.path.clone())))
            .collect()
    }

    fn uses(want: &Desired) -> Vec<Identity> {
        let folder = in_folder(&format!("{}.d", want.unit)).map(Identity::Path);
        folder.filter(|_| !want.drop_ins.is_empty()).into_iter().collect()
    }

    fn comes_from(want: &Desired) -> Vec<Identity> {
        let places = services::places_of(&want.unit).into_iter().map(Identity::Path);
        places.filter(|_| want.own_unit.is_none()).collect()
    }

    /// What `enabled` makes: links, and where they are hangs on the unit file.
    fn makes(want: &Desired) -> Vec<Made> {
        let unit = want.unit.clone();
        match want.enabled {
            Some(Enabled::True) => vec![Made::Links(unit)],
            Some(Enabled::Masked) => (in_folder(unit.as_str()).into_iter())
                .map(|path| Made::Mask { unit: unit.clone(), path })
                .collect(),
            Some(Enabled::False) | None => vec![],
        }
    }

    fn is_absent(want: &Desired) -> bool {
        want.running == Some(false) && want.enabled != Some(Enabled::True)
    }

    fn turn(want: &Desired) -> Turn {
        if Self::is_absent(want) { Turn::ServicesGo } else { Turn::Services }
    }

    fn wants_the_same(old: &Desired, new: &Desired) -> bool {
        old.wants_the_same(new)
    }

    fn another_name_of(have: &State) -> Option<&str> {
        match &have.unit.enablement {
            Enablement::Alias(of) => Some(of),
            Enablement::Enabled
            | Enablement::EnabledRuntime
            | Enablement::Disabled
            | Enablement::Static
            | Enablement::Indirect
            | Enablement::Generated
            | Enablement::Transient
            | Enablement::Linked
            | Enablement::NotFound => None,
        }
    }

    /// A package may bring the unit, or something that it reads.
    fn may_come_with_packages(_want: &Desired) -> bool {
        true
    }

    fn is_against_packages(want: &Desired) -> bool {
        Runner::wants_inactive(want)
    }

    fn promises_health(want: &Desired) -> bool {
        Runner::promises_health(want)
    }

    fn observe(wants: &[&Desired], sys: &dyn Probe) -> Vec<Result<State, SystemError>> {
        observe::observe(wants, sys)
    }

    fn plan(want: &Desired, have: &State) -> Difference<Change> {
        plan::plan(want, have, &Owing::default())
    }

    fn apply(batch: &[&[Change]], sys: &dyn Actuate) -> Vec<Applied> {
        apply::carry_out(batch, sys)
    }

    fn act(batch: &[&[Change]], sys: &dyn Actuate) -> Vec<Applied> {
        apply::act(batch, sys)
    }

    fn awaited(changes: &[Change]) -> Option<(usize, services::Settling)> {
        apply::awaited(changes)
    }

    fn effects(change: &Change, want: &Desired, have: &State) -> Vec<Effect> {
        undo::effects(change, want, have)
    }

    fn says(want: &Desired, facet: &Facet, _is_folder: bool) -> Says {
        let says = facet.as_path().is_some()
            || matches!(facet, Facet::Running(_)) && want.running.is_some()
            || matches!(facet, Facet::Enabled(_)) && want.enabled.is_some();
        Says::all_if(says)
    }

    fn looks_after(facet: &Facet) -> bool {
        facet.as_unit().is_some()
    }

    fn observe_facets(facets: &[&Facet], sys: &dyn Probe) -> Vec<Result<Now, SystemError>> {
        undo::observe_facets(facets, sys)
    }

    fn changes_back(
        facet: &Facet,
        now: &Now,
        before: &FacetState,
        _about: &About<'_>,
    ) -> Option<Vec<Change>> {
        undo::changes_back(facet, &now.state, before)
    }

    fn facts(change: &Change) -> Vec<Fact> {
        facts::facts(change)
    }

    fn fingerprint(have: &State) -> Fingerprint {
        observe::fingerprint(have)
    }

    fn describe(have: &State) -> Vec<(&'static str, String)> {
        observe::describe(have, &Health::NotAsked)
    }

    fn detail(change: &Change) -> Option<String> {
        let Change::Write { file, was } = change else { return None };
        let new = std::str::from_utf8(&file.content).ok()?;
        let old = was.as_deref().unwrap_or("");
        Some(paths::diff(&file.path, old, new, usize::MAX))
    }
}

#[cfg(test)]
mod tests;
