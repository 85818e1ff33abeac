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
pub(crate) mod retry;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod status;
pub(crate) mod suspend;
pub(crate) mod task;
pub(crate) mod verify;

use crate::exit::{Exit, Failure};
use crate::ui::Ui;
use steadfast_model::ComponentId;
use steadfast_node::Context;
use steadfast_store::{Layout, Store, StoreError};

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

/// A component as people write it: the prefix that its promise has may stand there.
pub(crate) fn component(text: &str) -> Result<ComponentId, String> {
    text.strip_prefix("component:").unwrap_or(text).parse()
}

/// The state cannot be read or written.
pub(crate) fn state(error: StoreError) -> Failure {
    Failure::new(Exit::State, error)
}

/// No component of this name is known on this machine.
pub(crate) fn unknown_component(component: &ComponentId, store: &Store) -> Failure {
    let failure = Failure::usage(format!("nothing is known of {component} on this machine"));
    let there: Vec<String> = store.instances().unwrap_or_default().into_keys().collect();
    match there[..] {
        [] => failure.help("no component has ever run here"),
        _ => failure.help(format!("it has: {}", there.join(", "))),
    }
}
