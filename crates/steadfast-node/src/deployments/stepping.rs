//! What the steps of a run work with, and what is seen of each component meanwhile.

use super::deploy::Deploying;
use super::gates::Suspended;
use super::instance::Instance;
use super::stage::Means;
use super::told::Told;
use super::tree::Fetching;
use crate::Context;
use crate::audience::Audience;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use steadfast_engine::component::{By, Now, Place};
use steadfast_model::{PromiseId, SourceSet};
use steadfast_store::{Journal, Store};
use steadfast_system::clock::{Read as _, since_boot};
use steadfast_system::{Host, SystemError};
use steadfast_trust::text::chain;

/// How long a unit may take to start that says nothing of it.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);
/// Of a deployment whose document is not there any more.
pub(super) const LOST: &str = "what it promised is lost";

/// What holds for the steps of a run.
pub(crate) struct Asking<'a> {
    pub(crate) node: &'a str,
    pub(crate) facts: &'a serde_json::Value,
    pub(crate) by: By,
    /// Waits for what takes long, too.
    pub(crate) waits: bool,
    /// Who asks by hand, for what is written down.
    pub(crate) who: Option<String>,
    pub(crate) suspended: Option<Suspended>,
    pub(crate) is_report_only: bool,
    pub(crate) is_going_back: bool,
    /// Whether the run is about a component.
    pub(crate) is_asked: &'a dyn Fn(&Instance) -> bool,
    /// How many restarts a run may do, and how many it has done.
    pub(crate) limit: Option<u64>,
    pub(crate) restarts: u64,
}

/// The steps of one run, while they are taken.
pub(crate) struct Stepping<'a, 'j> {
    pub(crate) of: Asking<'a>,
    pub(crate) deploying: &'a mut Deploying,
    pub(crate) cx: &'a Context,
    pub(crate) host: &'a Host,
    pub(crate) store: &'a Store,
    pub(crate) audience: &'a mut dyn Audience,
    pub(crate) journal: &'a mut Journal<'j>,
    /// Where promises stand.
    pub(crate) places: &'a SourceSet,
    /// What has been seen of each component that only an act changes.
    pub(super) seen: BTreeMap<usize, Places>,
    pub(super) repaired: BTreeSet<PromiseId>,
}

/// What came of the steps of a run.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) told: Vec<Told>,
    /// Of each component that was asked, in how many milliseconds it is to be asked again; nothing where only a change
    /// brings it on.
    pub(crate) due: BTreeMap<PromiseId, Option<u64>>,
    /// Promises that the steps have brought.
    pub(crate) repaired: BTreeSet<PromiseId>,
}

/// Why it is not known what is next.
pub(super) enum Stopped {
    Unseen(SystemError),
    /// Nothing may be done that is not written down.
    Unwritten(String),
}

/// What only an act changes, as far as it was asked for in this run.
#[derive(Clone, Debug)]
pub(super) struct Places {
    pub(super) prepared: BTreeSet<Arc<str>>,
    pub(super) place: Place,
}

impl<'a, 'j> Stepping<'a, 'j> {
    pub(crate) fn new(
        of: Asking<'a>,
        deploying: &'a mut Deploying,
        (cx, host, store): (&'a Context, &'a Host, &'a Store),
        audience: &'a mut dyn Audience,
        journal: &'a mut Journal<'j>,
        places: &'a SourceSet,
    ) -> Stepping<'a, 'j> {
        let (seen, repaired) = (BTreeMap::new(), BTreeSet::new());
        Stepping { of, deploying, cx, host, store, audience, journal, places, seen, repaired }
    }

    pub(super) fn now(&self) -> Result<Now, SystemError> {
        now(self.host)
    }

    pub(super) fn write(&mut self, at: usize) -> Result<(), String> {
        let instance = &mut self.deploying.all[at];
        if instance.written == instance.known {
            return Ok(());
        }
        let put = self.store.put_instance(&instance.id.to_string(), &instance.known);
        put.map_err(|it| format!("where its step is cannot be written down: {}", chain(&it)))?;
        instance.written = instance.known.clone();
        Ok(())
    }

    pub(super) fn fetching(&self) -> Fetching<'_> {
        Fetching { cx: self.cx, policy: &self.deploying.policy }
    }

    /// What promises of a component are made from, beside the component itself.
    pub(super) fn means(&mut self) -> (Means<'_>, &[Instance]) {
        let Deploying { all, sources, .. } = &mut *self.deploying;
        (Means { facts: self.of.facts, sources, cx: self.cx }, all)
    }
}

/// What time it is on this machine.
pub(crate) fn now(host: &Host) -> Result<Now, SystemError> {
    let since = since_boot()?;
    let wall = host.now().div_euclid(1_000_000);
    Ok(Now { boot: since.boot, at: since.at, wall })
}

/// A time as people read it: seconds since 1970.
pub(super) fn clock(seconds: i64) -> String {
    let time = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX);
    time.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

pub(super) fn words(it: &SystemError) -> Arc<str> {
    Arc::from(it.chain().join(": "))
}
