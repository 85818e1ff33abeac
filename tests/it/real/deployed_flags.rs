//! Flags of components on a booted machine: their file says what the model says by now, also while a release waits.

use super::deployments::component;
use super::lab::machine::Machine;
use serde_json::Value;

const APPLICATION: &str = r#"application: people
owner: team-people
flags:
  colour: { type: string, default: red, owner: team-people }
  dark: { type: boolean, default: false, owner: team-people }
components:
  api:
    servers: [web]
    directory: /srv/people-api
    users: { people: { system: true } }
    files: { "{{ deployment.directory }}/release": { content: "{{ release.version }}\n" } }
    services:
      people-api: { running: true, unit: { template: templates/api.service.j2 } }
    health: { within: 5s, for: 1s }
    flags: { file: "{{ component.directory }}/flags.json", format: json, on_change: CHANGE }
"#;

const FILES: &[(&str, &str)] = &[
    (
        "applications/people/releases/1.yaml",
        "release: people 1\nflags: [colour]\ncomponents: { api: {} }\n",
    ),
    (
        "applications/people/releases/2.yaml",
        "release: people 2\nflags: [colour, dark]\ncomponents: { api: {} }\n",
    ),
    (
        "templates/api.service.j2",
        "[Service]\nUser=people\nExecStart=/bin/sleep infinity\nExecReload=/bin/touch /tmp/reloaded\n",
    ),
];

fn model(machine: &Machine, on_change: &str, release: u32, more: &str) {
    machine.server_model(&[("servers/web.yaml", "server: web\n")]);
    machine.sh("mkdir -p /srv/model/applications/people/releases /srv/model/templates \
                /srv/model/environments/test");
    let write = |path: &str, text: &str| machine.write(&format!("/srv/model/{path}"), text);
    FILES.iter().for_each(|(path, text)| write(path, text));
    write("applications/people/application.yaml", &APPLICATION.replace("CHANGE", on_change));
    let target = format!("target: people\nrelease: \"{release}\"\n{more}");
    write("environments/test/people.yaml", &target);
}

/// What the run says of the component, and its exit code.
fn run(machine: &Machine, more: &[&str]) -> (i32, Value) {
    let start = ["run", "--model", "/srv/model", "--format", "json"];
    let output = machine.steadfast(&[&start[..], more].concat());
    (output.status, component(&output))
}

fn flags(machine: &Machine) -> Value {
    serde_json::from_str(&machine.text("/srv/people-api/flags.json")).unwrap()
}

fn process(machine: &Machine) -> String {
    machine.ok(&["systemctl", "show", "-P", "InvocationID", "people-api"])
}

#[test]
fn flags_are_delivered_to_what_runs_and_changed_without_a_step() {
    let Some(machine) = Machine::boot() else { return };
    model(&machine, "reload", 1, "");
    let (status, told) = run(&machine, &[]);
    assert_eq!((status, told["step"].as_str()), (0, Some("committed")), "{told}");
    assert_eq!(flags(&machine), serde_json::json!({ "colour": "red" }));
    let of = machine.ok(&["stat", "-c", "%U %G %a", "/srv/people-api/flags.json"]);
    assert_eq!(of, "root people 640\n");

    // A value is told to the program, which runs on; what waits gets the values of the flags that it reads.
    let before = process(&machine);
    machine.run(&["rm", "-f", "/tmp/reloaded"]);
    model(&machine, "reload", 2, "flags: { colour: blue, dark: true }\n");
    let only = "file:/srv/people-api/flags.json";
    let output = machine.steadfast(&["run", "--model", "/srv/model", "--only", only]);
    assert_eq!(output.status, 0, "{output:#?}");
    assert_eq!(flags(&machine), serde_json::json!({ "colour": "blue" }));
    assert_eq!(process(&machine), before);

    // The release brings the flags that it reads, and drift is repaired.
    assert_eq!(run(&machine, &[]).0, 0);
    assert_eq!(flags(&machine), serde_json::json!({ "colour": "blue", "dark": true }));
    let before = process(&machine);
    machine.sh("echo '{}' > /srv/people-api/flags.json; chmod 666 /srv/people-api/flags.json");
    assert_eq!(run(&machine, &[]).0, 0);
    assert_eq!(flags(&machine), serde_json::json!({ "colour": "blue", "dark": true }));
    // What the step has changed was there when its program was started.
    assert_eq!(process(&machine), before);
    model(&machine, "reload", 2, "flags: { colour: green }\n");
    let (status, told) = run(&machine, &[]);
    assert_eq!((status, &told["step"]), (0, &Value::Null), "{told}");
    assert_eq!(flags(&machine), serde_json::json!({ "colour": "green", "dark": false }));
    assert!(machine.exists("/tmp/reloaded"));
    let of = machine.ok(&["stat", "-c", "%U %G %a", "/srv/people-api/flags.json"]);
    assert_eq!((of.as_str(), process(&machine)), ("root people 640\n", before));

    // Where a change asks for it, it is a step.
    model(&machine, "restart", 2, "flags: { colour: green }\n");
    assert_eq!(run(&machine, &[]).0, 0);
    let before = process(&machine);
    model(&machine, "restart", 2, "flags: { colour: red }\n");
    let (status, told) = run(&machine, &[]);
    assert_eq!((status, told["step"].as_str()), (0, Some("committed")), "{told}");
    assert_eq!(flags(&machine), serde_json::json!({ "colour": "red", "dark": false }));
    assert_ne!(process(&machine), before);
}
