//! A step of a component that is switched by a restart, as its users see it, in a Debian that is booted in a
//! container. The floor is what they see of `systemctl restart`.

use crate::real::load::{Load, SERVER, put_programs};
use crate::real::machine::Machine;
use crate::{Bench, Line, Taken};
use std::time::Duration;

const TIMES: usize = 9;

const APPLICATION: &str = r#"application: people
owner: team-people
parameters: { says: { type: string } }
components:
  api:
    servers: [web]
    directory: /srv/people-api
    files:
      "{{ deployment.directory }}/etc/api.conf":
        content: "start_after = 50ms\nsays = {{ says }}\n"
    services:
      people-api:
        running: true
        unit:
          content: |
            [Service]
            ExecStart={{ deployment.tree }}/bin/server {{ deployment.directory }}/etc/api.conf
    health: { http: "http://127.0.0.1:8081/health", within: 10s, for: 1s }
"#;

/// A program that listens 50 ms after its start gets another configuration, again and again.
pub(crate) fn bench(_: &Bench) {
    let Some(machine) = Machine::boot() else { return };
    put_programs(&machine);
    machine.server_model(&[
        ("servers/web.yaml", "server: web\n"),
        ("applications/people/application.yaml", APPLICATION),
        (
            "applications/people/releases/1.3.yaml",
            "release: people 1.3\ncomponents: { api: { artifact: { url: \"model:dist\" } } }\n",
        ),
    ]);
    machine.sh(&format!(
        "mkdir -p /srv/model/dist/bin /srv/model/environments/test
         cp {SERVER} /srv/model/dist/bin/server; echo 1.3 >/srv/model/dist/release"
    ));
    step_to(&machine, "first");
    let mut line = Line::default();
    for turn in 0..TIMES {
        line.floors.push(gap(&machine, || {
            machine.ok(&["systemctl", "restart", "people-api"]);
            machine.ok(&["sleep", "0.5"]);
        }));
        let wall = gap(&machine, || step_to(&machine, &turn.to_string()));
        line.taken.push(Taken { wall, cpu: Duration::ZERO, peak: 0 });
    }
    line.print("a step of a program that starts in 50 ms");
}

fn step_to(machine: &Machine, says: &str) {
    let target = format!("target: people\nrelease: \"1.3\"\nparameters: {{ says: \"{says}\" }}\n");
    machine.write("/srv/model/environments/test/people.yaml", target);
    let run = machine.steadfast(&["run", "--model", "/srv/model"]);
    assert_eq!(run.status, 0, "{}\n{}", run.stdout, run.stderr);
}

/// The longest time without an answer that one user sees who asks each millisecond.
fn gap(machine: &Machine, meanwhile: impl FnOnce()) -> Duration {
    let load = Load::of(machine, "127.0.0.1:8081", &["--new", "1", "--every", "1"]);
    meanwhile();
    Duration::from_millis(load.end()["longest_gap_ms"].as_u64().unwrap())
}
