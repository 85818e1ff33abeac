//! What the machine shows of a package.

use steadfast_system::packages::{Health, Lists, Look, Offers};

#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub look: Look,
    /// What apt offers and how fresh its lists are, where that had to be asked.
    pub apt: Option<(Option<Offers>, Lists)>,
    /// Why the transaction that follows would not be carried out, where apt's simulation tells.
    pub objection: Option<String>,
}

pub(super) fn is_there(health: Health) -> bool {
    match health {
        Health::NotInstalled | Health::ConfigFiles | Health::HalfInstalled => false,
        Health::Unpacked
        | Health::HalfConfigured
        | Health::TriggersAwaited
        | Health::TriggersPending
        | Health::Installed => true,
    }
}
