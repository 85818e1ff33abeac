//! What the policy of an adopted revision says about the next one: when, in which order of nodes, with
//! whose approval and within which budget it may be adopted. Stored as part of the agent's format 1.

use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use steadfast_model::policy::{Adopt, Approval, Budget, Wave, Window};

/// What a policy says about the next revision, as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    #[serde(default)]
    windows: Vec<StoredWindow>,
    /// Percent, and seconds since the revision's date or its first sight, whichever is later.
    #[serde(default)]
    waves: Vec<(u8, u64)>,
    #[serde(default)]
    pub approval: bool,
    /// Seconds.
    pub stale_after: u64,
    #[serde(default, skip_serializing_if = "Budget::is_none")]
    pub budget: Budget,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct StoredWindow {
    days: [bool; 7],
    from: u16,
    to: u16,
    zone: Arc<str>,
}

impl Gate {
    pub fn from_policy(adopt: &Adopt, budget: Budget, stale_after: Duration) -> Gate {
        let Adopt { windows, waves, approval } = adopt;
        let windows = windows.iter().map(|it| &it.value).map(|Window { days, from, to, zone }| {
            StoredWindow { days: *days, from: *from, to: *to, zone: Arc::clone(zone) }
        });
        Gate {
            windows: windows.collect(),
            waves: waves.iter().map(|it| (it.percent, it.after.as_secs())).collect(),
            approval: match approval {
                Approval::None => false,
                Approval::Required => true,
            },
            stale_after: stale_after.as_secs(),
            budget,
        }
    }

    pub fn windows(&self) -> Vec<Window> {
        let windows = self.windows.iter().map(|StoredWindow { days, from, to, zone }| Window {
            days: *days,
            from: *from,
            to: *to,
            zone: Arc::clone(zone),
        });
        windows.collect()
    }

    pub fn waves(&self) -> Vec<Wave> {
        let waves = self
            .waves
            .iter()
            .map(|(percent, after)| Wave { percent: *percent, after: Duration::from_secs(*after) });
        waves.collect()
    }
}
