//! What the machine shows of a package.

use steadfast_system::packages::{Foreseen, Health, Lists, Look, Offers};

#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub look: Look,
    /// What apt offers and how fresh its lists are, where that had to be asked.
    pub apt: Option<(Option<Offers>, Lists)>,
    /// What would become of the transaction that follows, where there is one.
    pub foreseen: Option<Foreseen>,
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
