//! The steadfast command: arguments in, words and an exit code out.

mod adopted;
mod args;
mod commands;
mod dispatch;
mod exit;
mod logging;
mod render;
mod surroundings;
mod ui;

use clap::Parser as _;
use std::io::Write as _;
use std::process::ExitCode;
use surroundings::Surroundings;

fn main() -> ExitCode {
    steadfast_system::memory::share_one_heap();
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Help and version are no mistakes.
            let code = if error.use_stderr() { exit::Exit::Usage } else { exit::Exit::Fine };
            let _written = error.print();
            return code.into();
        }
    };
    let mut surroundings = Surroundings::read();
    // What children are told is what was asked for here, by whichever way.
    surroundings.log = logging::start(args.command.log_reader(), args.verbose, &surroundings);
    let single = args.command.is_single();
    let json = args.command.is_json();
    let act = move || {
        let ui = ui::Ui::new(&surroundings, args.color);
        match dispatch::dispatch(args, &surroundings, &ui) {
            Ok(code) => code,
            Err(failure) => {
                ui.failure(&failure);
                if json {
                    render::json::failure(&ui, &failure);
                }
                failure.exit
            }
        }
    };
    // What talks to strangers gives up its privileges, and a process does that with one thread only.
    if single {
        return act().into();
    }
    let exit = match std::thread::Builder::new().stack_size(STACK).spawn(act) {
        // A panic has said what it had to say.
        Ok(worker) => worker.join().unwrap_or(exit::Exit::Bug),
        Err(err) => {
            // Where this cannot be written either, nobody is there to be told.
            let _told = writeln!(std::io::stderr(), "error: start a thread: {err}");
            exit::Exit::State
        }
    };
    exit.into()
}

/// A template can nest a list in itself as often as its bounded amount of work allows, and taking such
/// a value apart again goes as deep: see the limits in steadfast-model. Only what is used takes memory.
const STACK: usize = 512 * 1024 * 1024;
