//! The ways of switching from one deployment to another, seen by users who ask all the time.

use super::deployments::component;
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
    let told = component(&run);
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

/// One that reads everything again when it is told to.
const RELOADS: &str = r#"    files:
      "{{ deployment.directory }}/etc/api.conf": { template: templates/api.conf.j2 }
    services:
      people-api:
        running: true
        enabled: true
        unit:
          content: |
            [Service]
            DynamicUser=true
            ExecStart=/srv/people-api/current/tree/bin/server /srv/people-api/current/etc/api.conf
            ExecReload=/bin/kill -HUP $MAINPID
            [Install]
            WantedBy=multi-user.target
    health: { http: "http://127.0.0.1:8081/health", within: 10s, for: 1s }
    switch: reload
"#;

/// What a dry run foretells of the gap of a step to a release.
fn foretold(machine: &Machine, release: &str) -> Value {
    target(machine, release);
    let run = machine.steadfast(&["run", "--dry-run", "--model", "/srv/model", "--format", "json"]);
    let mut lines = run.stdout.lines().map(|it| serde_json::from_str::<Value>(it).unwrap());
    let told = lines.find(|it| it["component"] == "people/api");
    told.unwrap_or_else(|| panic!("{run:#?}"))
}

fn process(machine: &Machine) -> String {
    machine.ok(&["systemctl", "show", "-P", "InvocationID", "people-api"])
}

/// What users see of a restart is a time in which nobody listens. No answer is wrong, and what had been asked
/// before is answered. How long it was is what is foretold of the next.
#[test]
fn a_restart_refuses_new_connections_and_cuts_no_answer() {
    let Some(machine) = Machine::boot() else { return };
    model(&machine, LISTENS, "listen = 127.0.0.1:8081\nstart_after = 300ms");
    assert_eq!(foretold(&machine, "1.3")["gap"], "none");
    let (first, _) = step_to(&machine, "1.3");
    assert_eq!(first.status, 0, "{first:#?}");
    let look = foretold(&machine, "1.4");
    assert_eq!((&look["switch"], &look["gap"]), (&"restart".into(), &"not-measured".into()));
    let load = Load::of_all_kinds(&machine, "127.0.0.1:8081");
    let (upgraded, told) = step_to(&machine, "1.4");
    assert_eq!(upgraded.status, 0, "{upgraded:#?}");
    let seen = load.end();
    assert_eq!(releases(&seen), ["1.3", "1.4"], "{seen:#}");
    assert_ne!(seen["refused"], 0, "{seen:#}");
    assert_eq!((&seen["wrong"], &seen["late"]), (&0.into(), &0.into()), "{seen:#}");
    assert_eq!(seen["kinds"]["long"]["cut"], 0, "{seen:#}");
    assert_eq!(told["step"], "committed", "{told}");
    // Users cannot have been without an answer for longer than from the stop to the first good answer, but for the
    // pause between two requests of theirs and what the machine takes to answer.
    let gap = told["gap_ms"].as_u64().unwrap();
    assert!(gap >= 300, "{told}");
    assert!(told["open_connections"].as_u64().unwrap() >= 4, "{told}");
    let look = foretold(&machine, "1.5");
    let measured = &look["gap"]["measured"];
    assert_eq!((&measured["least_ms"], &measured["steps"]), (&gap.into(), &1.into()), "{look}");
}

/// A program that reads everything again is the same process before and after, and no user is without an answer.
#[test]
fn a_reload_is_no_gap_and_no_new_process() {
    let Some(machine) = Machine::boot() else { return };
    let configuration =
        "listen = 127.0.0.1:8081\nrelease_file = /srv/people-api/current/tree/release";
    model(&machine, RELOADS, configuration);
    let (first, _) = step_to(&machine, "1.3");
    assert_eq!(first.status, 0, "{first:#?}");
    let before = process(&machine);
    let look = foretold(&machine, "1.4");
    assert_eq!((&look["switch"], &look["gap"]), (&"reload".into(), &"none".into()));
    let load = Load::of_all_kinds(&machine, "127.0.0.1:8081");
    let (upgraded, told) = step_to(&machine, "1.4");
    assert_eq!((upgraded.status, &told["gap_ms"]), (0, &Value::Null), "{upgraded:#?}");
    let (bad, told) = step_to(&machine, "1.5");
    assert_eq!((bad.status, &told["step"]), (4, &"went-back".into()), "{bad:#?}");
    let seen = load.end();
    assert_eq!(seen["failed"], 0, "{seen:#}");
    assert_eq!(releases(&seen), ["1.3", "1.4", "1.5"], "{seen:#}");
    assert_eq!(process(&machine), before);
    assert_eq!(machine.text("/srv/people-api/current/tree/release"), "1.4\n");

    // Another unit is another start.
    let path = "/srv/model/applications/people/application.yaml";
    let changed =
        machine.text(path).replace("DynamicUser=true", "DynamicUser=true\n            UMask=077");
    machine.write(path, changed);
    let look = foretold(&machine, "1.4");
    assert_eq!(look["switch"], "restart", "{look}");
    let (restarted, _) = step_to(&machine, "1.4");
    assert_eq!(restarted.status, 0, "{restarted:#?}");
    assert_ne!(process(&machine), before);
}
