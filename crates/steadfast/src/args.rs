//! The command line. The comments on the structs are the help text.

use crate::commands;
use crate::ui::{Format, When};
use clap::{ArgAction, Parser, Subcommand};
use std::path::PathBuf;

/// Pull-based configuration agent: keeps this machine as its model promises
#[derive(Debug, Parser)]
#[command(name = "steadfast", version, max_term_width = 80, after_help = crate::exit::HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub command: Command,

    /// The state directory [default: /var/lib/steadfast]
    #[arg(long, global = true, value_name = "DIR")]
    pub state: Option<PathBuf>,

    /// When to use colors
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: When,

    /// Log to standard error what is done (-vv, -vvv: more); see STEADFAST_LOG
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(commands::run::RunArgs),
    Check(commands::check::CheckArgs),
    Explain(commands::explain::ExplainArgs),
    Facts(commands::facts::FactsArgs),
    Flags(commands::flags::FlagsArgs),
    Status(commands::status::StatusArgs),
    Retry(commands::retry::RetryArgs),
    Task(commands::task::TaskArgs),
    Adopt(commands::adopt::AdoptArgs),
    Suspend(commands::suspend::SuspendArgs),
    Resume(commands::suspend::ResumeArgs),
    Agent(commands::agent::AgentArgs),
    #[command(hide = true)]
    Internal(commands::internal::InternalArgs),
    History(commands::history::HistoryArgs),
    Publish(commands::publish::PublishArgs),
    Keys(commands::keys::KeysArgs),
    Verify(Box<commands::verify::VerifyArgs>),
    Schema(commands::schema::SchemaArgs),
    Completions(commands::completions::CompletionsArgs),
    Man(commands::man::ManArgs),
}

/// Who reads the log of a command: what it tells beside its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogReader {
    /// Whoever has typed it.
    User,
    /// Whoever looks after a daemon, in the journal or where it was started by hand.
    Operator,
    /// The agent, whose child it is.
    Agent,
}

impl Command {
    /// As it is typed.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Command::Run(_) => "run",
            Command::Check(_) => "check",
            Command::Explain(_) => "explain",
            Command::Facts(_) => "facts",
            Command::Flags(_) => "flags",
            Command::Status(_) => "status",
            Command::Retry(_) => "retry",
            Command::Task(_) => "task",
            Command::Adopt(_) => "adopt",
            Command::Suspend(_) => "suspend",
            Command::Resume(_) => "resume",
            Command::Agent(_) => "agent",
            Command::Internal(_) => "internal",
            Command::History(_) => "history",
            Command::Publish(_) => "publish",
            Command::Keys(_) => "keys",
            Command::Verify(_) => "verify",
            Command::Schema(_) => "schema",
            Command::Completions(_) => "completions",
            Command::Man(_) => "man",
        }
    }

    /// Who reads its log.
    pub(crate) fn log_reader(&self) -> LogReader {
        match self {
            Command::Agent(_) => LogReader::Operator,
            Command::Internal(_) => LogReader::Agent,
            Command::Run(_)
            | Command::Check(_)
            | Command::Explain(_)
            | Command::Facts(_)
            | Command::Flags(_)
            | Command::Status(_)
            | Command::Retry(_)
            | Command::Task(_)
            | Command::Adopt(_)
            | Command::Suspend(_)
            | Command::Resume(_)
            | Command::History(_)
            | Command::Publish(_)
            | Command::Keys(_)
            | Command::Verify(_)
            | Command::Schema(_)
            | Command::Completions(_)
            | Command::Man(_) => LogReader::User,
        }
    }

    /// Whether its data are JSON.
    pub(crate) fn is_json(&self) -> bool {
        match self {
            Command::Run(args) => args.format == Format::Json,
            Command::Check(args) => args.is_json(),
            Command::Explain(args) => args.is_json(),
            Command::Facts(args) => args.is_json(),
            Command::Flags(args) => args.is_json(),
            Command::Status(args) => args.is_json(),
            Command::History(args) => args.is_json(),
            Command::Retry(_)
            | Command::Task(_)
            | Command::Adopt(_)
            | Command::Suspend(_)
            | Command::Resume(_)
            | Command::Agent(_)
            | Command::Internal(_)
            | Command::Publish(_)
            | Command::Keys(_)
            | Command::Verify(_)
            | Command::Schema(_)
            | Command::Completions(_)
            | Command::Man(_) => false,
        }
    }

    /// Whether it needs a process with one thread and no large stack.
    pub(crate) fn is_single(&self) -> bool {
        match self {
            // Its threads hold back signals.
            Command::Agent(_) | Command::Task(_) => true,
            Command::Internal(args) => args.child.is_single(),
            Command::Run(_)
            | Command::Check(_)
            | Command::Explain(_)
            | Command::Facts(_)
            | Command::Flags(_)
            | Command::Status(_)
            | Command::Retry(_)
            | Command::Adopt(_)
            | Command::Suspend(_)
            | Command::Resume(_)
            | Command::History(_)
            | Command::Publish(_)
            | Command::Keys(_)
            | Command::Verify(_)
            | Command::Schema(_)
            | Command::Completions(_)
            | Command::Man(_) => false,
        }
    }
}
