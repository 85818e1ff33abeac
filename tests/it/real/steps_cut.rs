//! A step of a component that is cut off, at any moment, by whatever: the next run goes on from what is there.

use super::deployments::{APPLICATION, answer, component, current, model, run, target};
use super::lab::installed::{DIRECTORY, installed, settings, until, wait_for};
use super::lab::machine::Machine;
use serde_json::Value;

/// What is current is wholly what one of the two deployments is, and what answers is of it.
fn is_one_of(machine: &Machine, answers: &[&str]) -> bool {
    let there = answer(machine);
    let conf = machine.text("/srv/people-api/current/etc/api.conf");
    let folder = current(machine);
    answers.contains(&&*there)
        && conf.starts_with(&there[..3])
        && conf.ends_with(&format!("from {}\n", folder.trim_start_matches("deployments/")))
}

#[test]
fn a_run_that_is_killed_at_any_moment_of_a_step_is_gone_on_with() {
    let Some(machine) = Machine::boot() else { return };
    model(&machine, "1.3");
    // Both answers are good, and tell which configuration the program was started with.
    let health = "/health\", expect: { status: [200, 203] },";
    let application = APPLICATION.replace("/health\",", health);
    assert!(application.contains(health));
    machine.write("/srv/model/applications/people/application.yaml", application);
    assert_eq!(run(&machine, &[]).status, 0);
    let mut cut = 0;
    for (at, after) in (0..14).map(|it| 60 + 110 * it).enumerate() {
        let word = ["203 Fine", "200 OK"][at % 2];
        target(&machine, "1.3", &format!("parameters: {{ answer: \"{word}\" }}\n"));
        let limit = format!("{}.{:03}", after / 1_000, after % 1_000);
        let command =
            ["timeout", "-s", "KILL", &limit, "steadfast", "run", "--model", "/srv/model"];
        cut += usize::from(machine.run(&command).status == 137);
        let next = run(&machine, &["--format", "json"]);
        let told = component(&next);
        assert_eq!(next.status, 0, "{after} ms: {next:#?}");
        assert_eq!(told["release"], "1.3", "{after} ms: {told}");
        let expected = format!("{} 1.3", &word[..3]);
        assert!(is_one_of(&machine, &[&expected]), "{after} ms: {next:#?}");
        // Nothing is left to be done.
        assert_eq!(component(&run(&machine, &["--format", "json"]))["outcome"], "kept", "{after}");
    }
    assert!(cut > 7, "{cut} runs were cut off");
}

#[test]
fn an_agent_that_is_killed_and_a_machine_that_boots_amid_a_step_go_on() {
    let Some(mut machine) = installed() else { return };
    model(&machine, "1.3");
    settings(&machine, DIRECTORY);
    machine.ok(&["systemctl", "start", "steadfast"]);
    let answers = |machine: &Machine, what: &str| {
        wait_for(machine, what, |_| {
            machine.run(&["test", "-e", "/srv/people-api/current"]).status == 0
                && is_one_of(machine, &[what])
        });
    };
    answers(&machine, "200 1.3");
    let was = current(&machine);
    target(&machine, "1.4", "");
    // As soon as the new one is in place, and long before it is judged.
    until(&machine, "the switch", || current(&machine) != was);
    machine.ok(&["systemctl", "kill", "-s", "KILL", "steadfast"]);
    machine.run(&["systemctl", "reset-failed", "steadfast"]);
    machine.ok(&["systemctl", "start", "steadfast"]);
    answers(&machine, "200 1.4");
    until(&machine, "the commit", || {
        machine.run(&["readlink", "/srv/people-api/previous"]).stdout.trim() == was
    });

    let was = current(&machine);
    target(&machine, "1.6", "");
    until(&machine, "the switch", || current(&machine) != was);
    machine.kill();
    machine.boot_again();
    answers(&machine, "200 1.6");
    until(&machine, "the commit", || {
        machine.run(&["readlink", "/srv/people-api/previous"]).stdout.trim() == was
    });
    let status = machine.ok(&["systemctl", "show", "-P", "NRestarts", "people-api"]);
    assert_eq!(status.trim(), "0");
}

#[test]
fn an_agent_watches_what_bakes_and_goes_back_where_it_dies() {
    let Some(machine) = installed() else { return };
    model(&machine, "1.3");
    settings(&machine, DIRECTORY);
    machine.ok(&["systemctl", "start", "steadfast"]);
    until(&machine, "the first", || {
        machine.exists("/srv/people-api/current") && answer(&machine) == "200 1.3"
    });
    let was = current(&machine);
    let previous = || machine.run(&["readlink", "/srv/people-api/previous"]).stdout;
    // It serves before it is committed.
    target(&machine, "1.4", "rollout: { bake: 5s }\n");
    until(&machine, "the next", || answer(&machine) == "200 1.4");
    assert_eq!(previous(), "");
    until(&machine, "the commit", || previous().trim() == was);

    let was = current(&machine);
    target(&machine, "1.6", "rollout: { bake: 1h }\n");
    wait_for(&machine, "the bake", |it| {
        let held = it["last_run"]["held"].to_string();
        held.contains("component:people/api") && held.contains("bakes until")
    });
    assert_eq!(answer(&machine), "200 1.6");
    machine.ok(&["systemctl", "kill", "-s", "KILL", "people-api"]);
    until(&machine, "the way back", || current(&machine) == was && answer(&machine) == "200 1.4");
    let status = wait_for(&machine, "the verdict", |it| {
        it["last_run"]["not_kept"].to_string().contains("component:people/api")
    });
    assert_eq!(status["bad"].as_array().map(Vec::len), Some(0), "{status:#}");
}

#[test]
fn a_first_deployment_that_is_ill_leaves_what_was_there_before() {
    let Some(machine) = Machine::boot() else { return };
    model(&machine, "1.5");
    // Somebody has put a unit and a file of these names there.
    machine.write("/etc/people.conf", "by hand\n");
    machine.write(
        "/etc/systemd/system/people-api.service",
        "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n",
    );
    machine.sh("systemctl daemon-reload; systemctl enable --now people-api");
    let listed = || machine.listing(&["/etc/people.conf", "/etc/systemd/system"], &[]);
    let before = listed();
    let failed = run(&machine, &["--format", "json"]);
    let told = component(&failed);
    assert_eq!((failed.status, told["step"].as_str()), (4, Some("failed")), "{failed:#?}");
    assert_eq!((&told["from"], &told["release"]), (&Value::Null, &Value::Null), "{told}");
    assert!(!machine.exists("/srv/people-api/current"));
    assert_eq!(machine.text("/etc/people.conf"), "by hand\n");
    assert_eq!(listed().keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    assert_eq!(machine.ok(&["systemctl", "is-active", "people-api"]).trim(), "active");
    let main = machine.ok(&["systemctl", "show", "-P", "ExecStart", "people-api"]);
    assert!(main.contains("sleep"), "{main}");
    // It is never bad: by hand it is tried again, and the next release has its own chance.
    let again = run(&machine, &["--format", "json"]);
    assert_eq!(component(&again)["step"], "failed", "{again:#?}");
    target(&machine, "1.6", "");
    let good = run(&machine, &["--format", "json"]);
    assert_eq!((good.status, answer(&machine).as_str()), (0, "200 1.6"), "{good:#?}");
}

#[test]
fn a_step_that_was_cut_off_is_taken_back_where_nobody_wants_the_component_any_more() {
    let Some(machine) = Machine::boot() else { return };
    model(&machine, "1.3");
    assert_eq!(run(&machine, &[]).status, 0);
    let was = current(&machine);
    let environment = "/srv/model/environments/test.yaml";
    let named = machine.text(environment);
    let nobody = "environment: test\nnodes:\n  other.example.test: { servers: [web] }\n";
    let without_node = || machine.write(environment, nobody);
    let without_target = || drop(machine.ok(&["rm", "/srv/model/environments/test/people.yaml"]));
    for leave in [&without_node as &dyn Fn(), &without_target] {
        machine.write(environment, &named);
        target(&machine, "1.4", "");
        let step = machine.spawn_steadfast(&["run", "--model", "/srv/model"]);
        until(&machine, "the switch", || current(&machine) != was);
        step.kill();
        step.wait();
        leave();
        let back = run(&machine, &[]);
        assert_eq!((back.status, answer(&machine).as_str()), (0, "200 1.3"), "{back:#?}");
        assert_eq!(current(&machine), was);
        assert!(is_one_of(&machine, &["200 1.3"]));
        // It is left running, and nothing of it is under way.
        assert_eq!(run(&machine, &[]).status, 0);
        assert_eq!(answer(&machine), "200 1.3");
    }
}
