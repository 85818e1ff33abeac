//! Secrets of components on a booted machine: a deployment has the values that it was begun with, until it is another
//! one's turn.

use super::deployments::component;
use super::lab::machine::{Machine, Output};
use serde_json::Value;

const FILES: &[(&str, &str)] = &[
    (
        "environments/test/people.yaml",
        "target: people\nrelease: \"1\"\nparameters: { mode: well }\n",
    ),
    (
        "applications/people/application.yaml",
        r#"application: people
owner: team-people
parameters: { mode: { default: well }, password: { default: { secret: people/db } } }
components:
  api:
    servers: [web]
    directory: /srv/people-api
    files:
      "{{ deployment.directory }}/etc/api.conf": { template: templates/api.conf.j2, mode: "0600" }
      /etc/people.password: { content: { secret: people/db }, mode: "0640" }
    services:
      people-api: { running: true, enabled: true, unit: { template: templates/api.service.j2 } }
    health: { within: 5s, for: 1s }
"#,
    ),
    ("applications/people/releases/1.yaml", "release: people 1\ncomponents: { api: {} }\n"),
    ("templates/api.conf.j2", "{{ mode }}\npassword={{ password }}\n"),
    (
        "templates/api.service.j2",
        "[Service]\nExecStart=/bin/sh -c 'grep -q well {{ deployment.directory }}/etc/api.conf && exec sleep infinity'\n\
         [Install]\nWantedBy=multi-user.target\n",
    ),
];

fn model(machine: &Machine, mode: &str) {
    machine.server_model(&[("servers/web.yaml", "server: web\n")]);
    machine.sh("mkdir -p /srv/model/applications/people/releases /srv/model/templates \
                /srv/model/environments/test /etc/steadfast/secrets/people");
    for (path, text) in FILES {
        let text = text.replace("mode: well }\n", &format!("mode: {mode} }}\n"));
        machine.write(&format!("/srv/model/{path}"), text);
    }
}

fn secret(machine: &Machine, value: &str) {
    machine.write("/etc/steadfast/secrets/people/db", format!("{value}\n"));
    machine.ok(&["chmod", "0600", "/etc/steadfast/secrets/people/db"]);
}

fn run(machine: &Machine) -> (Output, Value) {
    let output = machine.steadfast(&["run", "--model", "/srv/model", "--format", "json"]);
    let told = component(&output);
    (output, told)
}

/// The program, the deployment, and what the files say of the secret.
fn there(machine: &Machine) -> [String; 4] {
    [
        machine.ok(&["systemctl", "show", "-P", "InvocationID", "people-api"]),
        machine.ok(&["readlink", "/srv/people-api/current"]),
        machine.text("/srv/people-api/current/etc/api.conf"),
        machine.text("/etc/people.password"),
    ]
}

/// No value of a secret, and no plain digest of one, is anywhere but in files that are named by a digest with a key.
#[track_caller]
fn nothing_is_told(machine: &Machine, values: &[&str]) {
    let history: String = (1..20)
        .map(|it| machine.run(&["steadfast", "history", "show", &it.to_string()]).stdout)
        .collect();
    for value in values {
        assert!(!history.contains(value), "{history}");
        let sum = machine.sh(&format!("printf %s '{value}' | sha256sum"));
        for word in [value, &sum[..64]] {
            let found = machine.sh(&format!(
                "grep -rlaF -e '{word}' /var/lib/steadfast /var/cache/steadfast || true; \
                 find /var/lib/steadfast /var/cache/steadfast -name '*{word}*'; \
                 journalctl --no-pager | grep -F -e '{word}' || true"
            ));
            let kept = "/var/lib/steadfast/deployments/secrets/";
            assert!(found.lines().all(|it| it.starts_with(kept)), "{found}");
        }
    }
    let modes = machine.sh("stat -c %a /var/lib/steadfast/deployments/secrets/*; \
                            stat -c %a /var/lib/steadfast/deployments/secrets");
    assert!(modes.lines().all(|it| it == "600" || it == "700"), "{modes}");
}

#[test]
fn a_secret_is_what_it_was_until_a_step_and_comes_back_with_its_deployment() {
    let Some(machine) = Machine::boot() else { return };
    model(&machine, "well");
    // Without its secret nothing begins.
    let (output, told) = run(&machine);
    assert_eq!((output.status, told["outcome"].as_str()), (4, Some("not-kept")), "{output:#?}");
    assert!(told["reason"].to_string().contains("people/db does not exist"), "{told}");
    secret(&machine, "first-value-zq");
    let (output, told) = run(&machine);
    assert_eq!((output.status, told["step"].as_str()), (0, Some("committed")), "{output:#?}");
    let first = there(&machine);
    assert!(first[2].contains("password=first-value-zq") && first[3] == "first-value-zq");

    // Drift is repaired from what is kept, while the secret is another one, and nobody may read it.
    secret(&machine, "second-value-zq");
    machine.ok(&["chmod", "0644", "/etc/steadfast/secrets/people/db"]);
    machine.sh("echo drifted > /etc/people.password");
    let (output, told) = run(&machine);
    assert_eq!((output.status, told["outcome"].as_str()), (4, Some("not-kept")), "{output:#?}");
    assert!(told["reason"].to_string().contains("others than root"), "{told}");
    assert_eq!(there(&machine)[1..], first[1..]);

    // A key that is lost is no step.
    secret(&machine, "first-value-zq");
    assert_eq!(run(&machine).1["outcome"], "kept");
    let before = there(&machine);
    machine.ok(&["rm", "/var/lib/steadfast/node.key"]);
    assert_eq!(run(&machine).1["outcome"], "kept");
    assert_eq!(there(&machine), before);

    // A look says what is to come, and keeps nothing.
    secret(&machine, "second-value-zq");
    let kept = machine.names("/var/lib/steadfast/deployments/secrets", "");
    let look = ["run", "--dry-run", "--model", "/srv/model", "--format", "json"];
    let output = machine.steadfast(&look);
    assert!(output.stdout.contains("\"certainty\":\"expected\""), "{output:#?}");
    assert_eq!(machine.names("/var/lib/steadfast/deployments/secrets", ""), kept);

    // One that was rotated is a step of its own, and the deployment is the same to others.
    secret(&machine, "second-value-zq");
    let (output, told) = run(&machine);
    assert_eq!((output.status, told["step"].as_str()), (0, Some("committed")), "{output:#?}");
    let second = there(&machine);
    assert!(second[2].contains("password=second-value-zq") && second[3] == "second-value-zq");
    assert!(second[0] != before[0] && second[1] != before[1]);

    // Going back brings the secret back that was there, whatever it is by now.
    model(&machine, "ill");
    secret(&machine, "third-value-zq");
    let (output, told) = run(&machine);
    assert_eq!((output.status, told["step"].as_str()), (4, Some("went-back")), "{output:#?}");
    run(&machine);
    assert_eq!(there(&machine)[1..], second[1..]);
    nothing_is_told(&machine, &["first-value-zq", "second-value-zq", "third-value-zq"]);
}
