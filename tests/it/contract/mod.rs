//! The machine in memory is held to the real one. Each suite asks and does things through the traits
//! alone, and writes down what came of it; both machines must give the same text, which stands here
//! too. Words of errors are their own, kinds are not.

mod accounts;
mod files;
mod packages;
mod programs;
mod services;

use std::fmt::Write as _;
use steadfast_system::{AbsPath, Host, SystemError, host::Settings};

/// What came of a suite's questions and deeds.
#[derive(Debug, Default)]
pub(crate) struct Transcript(pub(crate) String);

impl Transcript {
    pub(crate) fn say(&mut self, line: impl std::fmt::Display) {
        writeln!(self.0, "{line}").unwrap();
    }

    pub(crate) fn done(&mut self, what: &str, result: Result<(), SystemError>) {
        match result {
            Ok(()) => self.say(format_args!("{what}: done")),
            Err(error) => self.say(format_args!("{what}: {:?}", error.kind)),
        }
    }
}

fn path(text: &str) -> AbsPath {
    AbsPath::parse(text).unwrap()
}

pub(crate) fn real_host(folder: &std::path::Path) -> Host {
    for name in ["state", "cache"] {
        std::fs::create_dir_all(folder.join(name)).unwrap();
    }
    Host::new(Settings {
        state: folder.join("state"),
        cache: folder.join("cache"),
        secrets: folder.join("secrets"),
        credentials: None,
        own_files: vec![],
    })
}

/// Runs a test of this program inside a machine, and gives what it printed between its two marks.
pub(crate) fn inside(machine: &super::real::lab::machine::Machine, test: &str) -> String {
    let program = "/root/contract";
    if !machine.exists(program) {
        machine.push(&std::env::current_exe().unwrap(), program, 0o755);
    }
    let output = machine.run(&[program, "--ignored", "--exact", "--nocapture", test]);
    let said = output.stdout.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END));
    let Some((said, _)) = said else { panic!("{output:#?}") };
    said.to_owned()
}

const BEGIN: &str = "--- transcript ---\n";
const END: &str = "--- end ---\n";

pub(crate) fn tell(transcript: &Transcript) {
    println!("{BEGIN}{}{END}", transcript.0);
}
