//! Debian packages: installed or not, in which version, held or not.
//!
//! ```yaml
//! packages:
//!   nginx: present
//!   curl: { version: ">= 7.88, < 8", hold: true }
//!   telnet: absent
//!   tzdata: latest
//!   golang: { from: bookworm-backports, recommends: false }
//!   postfix:
//!     conffiles: keep
//!     start: false
//!     debconf: { postfix/main_mailer_type: Satellite system }
//! ```
//!
//! `present` takes any version within `version`; `latest` the newest within it that apt would choose.
//! Versions compare as dpkg compares them; a version above the range is not kept without
//! `allow_downgrade: true`. A hold that somebody else set is respected: where the package would have to
//! change, the promise is not kept and says so; `hold: false` takes it away.
//!
//! Packages with equal options are one transaction, and what is promised gone goes in the same: a package
//! can replace one that conflicts with it. Nothing else is ever removed to make room, where `allow_removals`
//! does not name it: such a package is not kept, and the others go on. What a transaction would do is asked
//! of apt beforehand. No transaction goes against what is promised of another package: its version, that it is there,
//! or that it is not. `conffiles` says what happens
//! to configuration files that were changed on the machine: `keep` them, `replace` them, or `fail`
//! before anything is unpacked. `conffiles`, `recommends`, `debconf` and `start` act when a package is
//! installed or upgraded, and are no state that is compared. `from` names the suite that a version comes
//! from; an installed version that apt knows from other suites only is not from this one.

mod apply;
mod change;
mod desired;
mod facts;
mod lower;
mod observe;
mod plan;
mod state;
mod undo;

pub use change::{Act, Change};
pub use desired::{Desired, Presence};
pub use state::State;

use crate::fact::Fact;
use crate::identity::Identity;
use crate::kind::{Applied, Difference, Fingerprint, Kind, Turn};
use crate::undo::{Effect, Facet, Now, Says};
use desired::is_gone;
use std::sync::Arc;
use steadfast_model::{Field, Lower, Node, Spanned, Takes};
use steadfast_system::{Actuate, Probe, SystemError};

#[derive(Debug)]
pub struct Package;

impl Kind for Package {
    const NAME: &'static str = "package";
    const SHARED: bool = true;
    const SHORT_FORMS: &'static [Takes] =
        &[Takes::Words(&["present", "absent", "purged", "latest"]), Takes::Text];
    const MAY_SAY: &'static str =
        "present, absent, purged, latest, a version range, or a map of fields";
    const FIELDS: &'static [Field] = &[
        Field::new(
            "state",
            Takes::Words(&["present", "absent", "purged", "latest"]),
            "`present` (default), `absent`, `purged` (configuration too), or `latest` within `version`",
        ),
        Field::new(
            "version",
            Takes::Text,
            "A version, or a range in Debian's order: \">= 7.88, < 8\"",
        ),
        Field::new("hold", Takes::Boolean, "Whether the package is held back from upgrades"),
        Field::new(
            "conffiles",
            Takes::Words(&["keep", "replace", "fail"]),
            "What an upgrade does with configuration files that were edited (default: keep)",
        ),
        Field::new(
            "recommends",
            Takes::Boolean,
            "Whether recommended packages are installed too (default: apt's setting)",
        ),
        Field::new(
            "allow_downgrade",
            Takes::Boolean,
            "Whether a version above the range may be downgraded (default: false)",
        ),
        Field::new(
            "allow_removals",
            Takes::OneOf(&[Takes::Boolean, Takes::TextList]),
            "Whether, or which, other packages may be removed to resolve conflicts (default: false). Those that the model promises absent always may",
        ),
        Field::new("from", Takes::Text, "The suite to install from, such as bookworm-backports"),
        Field::new("debconf", Takes::MapOf(&Takes::Text), "debconf answers, by question"),
        Field::new("start", Takes::Boolean, "Whether its services may start during installation"),
    ];
    type Desired = Desired;
    type State = State;
    type Change = Change;

    fn lower(name: &Spanned<Arc<str>>, body: &Node, cx: &mut Lower<'_>) -> Option<Desired> {
        lower::lower(name, body, cx)
    }

    fn claims(want: &Desired) -> Vec<Identity> {
        vec![Identity::Package(want.name.clone())]
    }

    fn uses(_want: &Desired) -> Vec<Identity> {
        vec![]
    }

    fn is_absent(want: &Desired) -> bool {
        is_gone(want.state)
    }

    fn turn(_want: &Desired) -> Turn {
        Turn::Packages
    }

    fn set_going(want: &mut Desired, going: &[Identity]) {
        let packages = going.iter().filter_map(|it| match it {
            Identity::Package(name) => Some(name.clone()),
            Identity::Path(_)
            | Identity::Group(_)
            | Identity::User(_)
            | Identity::Unit(_)
            | Identity::Setting(_) => None,
        });
        want.going = packages.collect();
    }

    fn wants_the_same(old: &Desired, new: &Desired) -> bool {
        // That another package goes or stays is another promise.
        let (going, stays) = (Arc::clone(&old.going), Arc::clone(&old.stays));
        let new = Desired { going, stays, ..new.clone() };
        *old == new
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
        Says::all_if(Self::looks_after(facet))
    }

    fn looks_after(facet: &Facet) -> bool {
        matches!(facet, Facet::Package(_))
    }

    fn observe_facets(facets: &[&Facet], sys: &dyn Probe) -> Vec<Result<Now, SystemError>> {
        undo::observe_facets(facets, sys)
    }

    fn absence(facet: &Facet) -> Option<Desired> {
        undo::absence(facet)
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

    fn brings(change: &Change) -> bool {
        match change {
            Change::Configure { .. }
            | Change::Install(_)
            | Change::Upgrade(_)
            | Change::Downgrade(_)
            | Change::LookForNewer(_) => true,
            Change::Unhold { .. }
            | Change::Remove(_)
            | Change::Purge(_)
            | Change::Hold { .. }
            | Change::MarkManual { .. } => false,
        }
    }

    fn deletes(change: &Change) -> u64 {
        match change {
            Change::Remove(act) | Change::Purge(act) => 1 + act.also_removes,
            Change::Install(act)
            | Change::Upgrade(act)
            | Change::Downgrade(act)
            | Change::LookForNewer(act) => act.also_removes,
            Change::Configure { .. }
            | Change::Unhold { .. }
            | Change::Hold { .. }
            | Change::MarkManual { .. } => 0,
        }
    }
}

#[cfg(test)]
mod tests;
