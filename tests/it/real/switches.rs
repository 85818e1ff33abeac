//! The ways of switching from one deployment to another, seen by users who ask all the time.

use super::lab::load::{Load, SERVER, put_programs, releases};
use super::lab::machine::{Machine, Output};
use serde_json::Value;

const RELEASES: [&str; 3] = ["1.3", "1.4", "1.5"];

/// A model with one component that is switched as `component` says, in three releases. 1.5 says that it is not well.
fn model(machine: &Machine, component: &str, configuration: &str) {
    put_programs(machine);
    machine.server_model(&[("servers/web.yaml", "server: web\n")]);
    machine.sh(
        "mkdir -p /srv/model/applications/people/releases /srv/model/templates /srv/model/environments/test",
    );
    let application = format!(
        "application: people\nowner: team-people\ncomponents:\n  api:\n    servers: [web]\n\
         \x20   directory: /srv/people-api\n{component}"
    );
    machine.write("/srv/model/applications/people/application.yaml", application);
    let configuration = format!(
        "{configuration}\nname = people\nhealth = {{{{ 'ill' if release.version == '1.5' else 'well' }}}}\n\
         hold = 1s\n"
    );
    machine.write("/srv/model/templates/api.conf.j2", configuration);
    for release in RELEASES {
        machine.sh(&format!(
            "mkdir -p /srv/model/dist/{release}/bin; cp {SERVER} /srv/model/dist/{release}/bin/server
             echo {release} >/srv/model/dist/{release}/release"
        ));
        let document = format!(
            "release: people {release}\ncomponents: {{ api: {{ artifact: {{ url: \"model:dist/{release}\" }} }} }}\n"
        );
        machine.write(&format!("/srv/model/applications/people/releases/{release}.yaml"), document);
    }
}

fn target(machine: &Machine, release: &str) {
    let document = format!("target: people\nrelease: \"{release}\"\n");
    machine.write("/srv/model/environments/test/people.yaml", document);
}

/// Runs to a release, and says what the run says of the component.
fn step_to(machine: &Machine, release: &str) -> (Output, Value) {
    target(machine, release);
    let run = machine.steadfast(&["run", "--model", "/srv/model", "--format", "json"]);
    let lines = run.stdout.lines().map(|it| serde_json::from_str::<Value>(it).unwrap());
    let told = lines.rev().find(|it| it["component"] == "people/api");
    let told = told.unwrap_or_else(|| panic!("{run:#?}"));
    (run, told)
}

/// A component with a program that listens by itself.
const LISTENS: &str = r#"    files:
      "{{ deployment.directory }}/etc/api.conf": { template: templates/api.conf.j2 }
    services:
      people-api:
        running: true
        enabled: true
        unit:
          content: |
            [Service]
            DynamicUser=true
            ExecStart={{ deployment.tree }}/bin/server {{ deployment.directory }}/etc/api.conf
            [Install]
            WantedBy=multi-user.target
    health: { http: "http://127.0.0.1:8081/health", within: 10s, for: 1s }
    switch: restart
"#;

/// What users see of a restart is a time in which nobody listens. No answer is wrong, and what had been asked
/// before is answered.
#[test]
fn a_restart_refuses_new_connections_and_cuts_no_answer() {
    let Some(machine) = Machine::boot() else { return };
    model(&machine, LISTENS, "listen = 127.0.0.1:8081\nstart_after = 300ms");
    let (first, _) = step_to(&machine, "1.3");
    assert_eq!(first.status, 0, "{first:#?}");
    let load = Load::of_all_kinds(&machine, "127.0.0.1:8081");
    let (upgraded, told) = step_to(&machine, "1.4");
    assert_eq!(upgraded.status, 0, "{upgraded:#?}");
    let seen = load.end();
    assert_eq!(releases(&seen), ["1.3", "1.4"], "{seen:#}");
    assert_ne!(seen["refused"], 0, "{seen:#}");
    assert_eq!((&seen["wrong"], &seen["late"]), (&0.into(), &0.into()), "{seen:#}");
    assert_eq!(seen["kinds"]["long"]["cut"], 0, "{seen:#}");
    assert_eq!(told["step"], "committed", "{told}");
}
