//! Users of a machine's web servers: the programs of `tests/programs`, inside.

use super::machine::{Inside, Machine};
use serde_json::Value;
use std::path::Path;

/// Where the server lies in a machine, for those who make artifacts of it.
pub(crate) const SERVER: &str = "/usr/local/lib/steadfast-test-server";
const CLIENT: &str = "/usr/local/bin/steadfast-test-load";

/// Puts both programs into a machine.
pub(crate) fn put_programs(machine: &Machine) {
    machine.push_program(Path::new(env!("CARGO_BIN_EXE_steadfast-test-server")), SERVER);
    machine.push_program(Path::new(env!("CARGO_BIN_EXE_steadfast-test-load")), CLIENT);
}

/// Users that ask until they are told to end.
pub(crate) struct Load<'a> {
    machine: &'a Machine,
    client: Inside,
}

impl<'a> Load<'a> {
    /// Users of each kind, at a place; all of them have had a good answer when this returns.
    pub(crate) fn of_all_kinds(machine: &'a Machine, to: &str) -> Self {
        let users = ["--new", "2", "--kept", "2", "--idle", "4", "--long", "2"];
        Self::of(machine, to, &users)
    }

    /// The users that the client is told to be.
    pub(crate) fn of(machine: &'a Machine, to: &str, users: &[&str]) -> Self {
        let begun = "/run/steadfast-test-load.begun";
        machine.ok(&["rm", "-f", begun]);
        let command = [&[CLIENT, "--to", to, "--begun", begun], users].concat();
        let client = machine.spawn(&command);
        machine.sh(&format!("until [ -e {begun} ]; do sleep 0.01; done"));
        Self { machine, client }
    }

    /// What they have seen.
    pub(crate) fn end(self) -> Value {
        self.machine.ok(&["pkill", "-TERM", "-f", CLIENT]);
        let said = self.client.wait();
        assert_eq!(said.status, 0, "{said:#?}");
        serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{said:#?}"))
    }
}

/// The releases that have answered, in the order of their first answers.
pub(crate) fn releases(seen: &Value) -> Vec<&str> {
    let all = seen["releases"].as_array().unwrap();
    all.iter().map(|it| it[0].as_str().unwrap()).collect()
}
