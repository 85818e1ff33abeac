//! From the command line to the command.

use crate::args::{Args, Command};
use crate::commands::{
    adopt, agent, check, completions, explain, facts, flags, history, internal, keys, man, publish,
    retry, run, schema, status, suspend, task, verify,
};
use crate::exit::Outcome;
use crate::surroundings::Surroundings;
use crate::ui::Ui;
use clap::CommandFactory as _;
use steadfast_node::Context;
use steadfast_store::Layout;

pub(crate) fn dispatch(args: Args, surroundings: &Surroundings, ui: &Ui) -> Outcome {
    let cx = Context {
        layout: args.state.as_deref().map_or_else(Layout::standard, Layout::below),
        root: surroundings.root,
        credentials: surroundings.credentials.clone(),
    };
    let layout = &cx.layout;
    tracing::debug!(command = args.command.name(), state = %layout.state.display(), "begins");
    match args.command {
        Command::Run(args) => run::run(&args, &cx, &surroundings.who(), ui),
        Command::Check(args) => check::run(&args, ui),
        Command::Explain(args) => explain::run(&args, &cx, ui),
        Command::Facts(args) => facts::run(&args, layout, ui),
        Command::Flags(args) => flags::run(&args, ui),
        Command::Status(args) => status::run(&args, &cx, ui),
        Command::Retry(args) => retry::run(&args, &cx, &surroundings.who(), ui),
        Command::Task(args) => task::run(&args, &cx, &surroundings.who()),
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
        Command::Completions(args) => Ok(completions::run(&args, Args::command())),
        Command::Man(args) => man::run(&args, Args::command(), ui),
    }
}
