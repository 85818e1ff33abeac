//! What a run finds of earlier ones, and that no other one is under way.

use crate::{Context, NodeError};
use steadfast_engine::Ledger as _;
use steadfast_model::policy::Policy;
use steadfast_store::{Instance, RunLock, Store, StoreError};
use steadfast_system::packages::PackagePolicy;
use steadfast_trust::text::chain;

/// The lock of this machine, which only a look does without.
pub(super) fn lock(cx: &Context) -> Result<RunLock, NodeError> {
    let lock = RunLock::acquire(&cx.layout, "steadfast run")
        .inspect_err(|error| tracing::debug!(why = chain(error), "lock not taken"))?;
    tracing::debug!("lock taken");
    Ok(lock)
}

/// Whether an earlier run was cut off within the step of a unit, or a step of a component is open, or owed something, as
/// far as can be told.
pub(super) fn is_amid_step(store: &Store) -> bool {
    let is_open = || store.instances().is_ok_and(|all| all.values().any(Instance::is_amid));
    !store.open_steps().is_ok_and(|it| it.is_empty()) || is_open()
}

/// The state, or nothing where a look may not read it.
pub fn open(cx: &Context, only_look: bool, notices: &mut Vec<String>) -> Result<Store, NodeError> {
    match Store::open(&cx.layout.database()) {
        Ok(store) => {
            notices.extend(store.take_warnings());
            Ok(store)
        }
        Err(StoreError::Look { .. }) if only_look => {
            let words = "the state directory cannot be read: what restarts are owed is not known";
            notices.push(words.to_owned());
            Ok(Store::nowhere())
        }
        // A look needs no state; a run must not go on without knowing what is owed.
        Err(error) if only_look => {
            notices.push(chain(&error));
            Ok(Store::nowhere())
        }
        Err(error) => Err(error.into()),
    }
}

pub fn package_policy(policy: &Policy) -> PackagePolicy {
    PackagePolicy {
        wait_for_lock: policy.wait_for_dpkg,
        refresh_after: policy.refresh_packages,
        repair: policy.repair_dpkg,
    }
}
