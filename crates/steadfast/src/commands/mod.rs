//! The commands, one file each: its arguments, which are its help text, and what it does.

pub(crate) mod adopt;
pub(crate) mod agent;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod explain;
pub(crate) mod facts;
pub(crate) mod flags;
pub(crate) mod history;
pub(crate) mod internal;
pub(crate) mod keys;
pub(crate) mod man;
pub(crate) mod publish;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod status;
pub(crate) mod suspend;
pub(crate) mod verify;

use crate::exit::Failure;
use crate::ui::Ui;
use steadfast_node::Context;
use steadfast_store::{Layout, Store};

/// The facts of this machine; what could not be read of them is told.
pub(crate) fn facts_of(layout: &Layout, ui: &Ui) -> serde_json::Value {
    let (facts, unread) = steadfast_node::model::facts(layout);
    unread.iter().for_each(|it| ui.warn(it));
    facts
}

/// The state, for a command that only looks.
pub(crate) fn look_at_state(cx: &Context, ui: &Ui) -> Result<Store, Failure> {
    let mut notices = vec![];
    let store = steadfast_node::run::open(cx, true, &mut notices)?;
    notices.iter().for_each(|it| ui.warn(it));
    Ok(store)
}
