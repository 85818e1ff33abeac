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
use crate::exit::Outcome;
use crate::ui::Ui;

pub(crate) fn dispatch(args: Args, surroundings: &Surroundings, ui: &Ui) -> Outcome {
    let layout = crate::model::layout(args.state.as_deref());
    match args.command {
        Command::Run(args) => run::run(&args, &layout, surroundings, ui),
        Command::Check(args) => check::run(&args, ui),
        Command::Explain(args) => explain::run(&args, &layout, surroundings, ui),
        Command::Facts(args) => facts::run(&args, &layout, ui),
        Command::Status(args) => status::run(&args, &layout, ui),
        Command::Adopt(args) => adopt::run(&args, &layout, ui),
        Command::Suspend(args) => suspend::suspend(&args, &layout, ui),
        Command::Resume(args) => suspend::resume(&args, &layout, ui),
        Command::Agent(agent) => agent::run(&agent, args.state, layout, surroundings, ui),
        Command::Internal(args) => internal::run(&args, &layout, surroundings, ui),
        Command::History(args) => history::run(&args, &layout, ui),
        Command::Publish(args) => publish::run(&args, ui),
        Command::Keys(args) => keys::run(&args, ui),
        Command::Verify(args) => verify::run(&args, ui),
        Command::Schema(args) => schema::run(&args, ui),
        Command::Completions(args) => Ok(completions::run(&args)),
        Command::Man(args) => man::run(&args, ui),
    }
}
