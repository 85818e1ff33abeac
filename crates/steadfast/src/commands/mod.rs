//! The commands, one file each: its arguments, which are its help text, and what it does.

pub(crate) mod adopt;
pub(crate) mod agent;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod explain;
pub(crate) mod facts;
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

use crate::Surroundings;
use crate::args::{Args, Command};
use crate::exit::{Failure, Outcome};
use crate::ui::Ui;
use steadfast_node::Context;
use steadfast_store::{Layout, Store};

pub(crate) fn dispatch(args: Args, surroundings: &Surroundings, ui: &Ui) -> Outcome {
    let cx = Context {
        layout: args.state.as_deref().map_or_else(Layout::standard, Layout::below),
        root: surroundings.root,
        credentials: surroundings.credentials.clone(),
    };
    let layout = &cx.layout;
    match args.command {
        Command::Run(args) => run::run(&args, &cx, ui),
        Command::Check(args) => check::run(&args, ui),
        Command::Explain(args) => explain::run(&args, &cx, ui),
        Command::Facts(args) => facts::run(&args, layout, ui),
        Command::Status(args) => status::run(&args, layout, ui),
        Command::Adopt(args) => adopt::run(&args, layout, ui),
        Command::Suspend(args) => suspend::suspend(&args, layout, ui),
        Command::Resume(args) => suspend::resume(&args, layout, ui),
        Command::Agent(agent) => agent::run(&agent, args.state, cx, surroundings, ui),
        Command::Internal(args) => internal::run(&args, &cx, ui),
        Command::History(args) => history::run(&args, layout, ui),
        Command::Publish(args) => publish::run(&args, ui),
        Command::Keys(args) => keys::run(&args, ui),
        Command::Verify(args) => verify::run(&args, ui),
        Command::Schema(args) => schema::run(&args, ui),
        Command::Completions(args) => Ok(completions::run(&args)),
        Command::Man(args) => man::run(&args, ui),
    }
}

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
