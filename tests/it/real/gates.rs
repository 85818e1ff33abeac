//! What keeps a step from beginning on a booted machine, and what people type about components.

use super::deployments::{answer, component, current, model, process, run, target};
use super::lab::machine::{Machine, Output};
use serde_json::Value;

/// A window of one hour that is closed now, and opens within a day.
fn closed_window(machine: &Machine) -> String {
    let hour: u32 = machine.ok(&["date", "-u", "+%H"]).trim().parse().unwrap();
    let (from, to) = ((hour + 3) % 24, (hour + 4) % 24);
    let to = if to == 0 { 24 } else { to };
    format!("Mon..Sun {from:02}:00-{to:02}:00 UTC")
}

fn said(output: &Output) -> (i32, Value) {
    (output.status, component(output))
}

fn json(machine: &Machine, arguments: &[&str]) -> Value {
    let output = machine.steadfast(&[arguments, &["--format", "json"]].concat());
    assert_eq!(output.status, 0, "{output:#?}");
    serde_json::from_str(output.stdout.lines().next().unwrap()).unwrap()
}

#[test]
fn gates_hold_a_step_by_hand_too_and_now_passes_window_and_bake() {
    let Some(machine) = Machine::boot() else { return };
    model(&machine, "1.3");
    let window = closed_window(&machine);
    let rollout = format!("rollout: {{ window: \"{window}\" }}\n");
    target(&machine, "1.3", &rollout);
    // Its artifacts are there, and nothing else is.
    let (status, held) = said(&run(&machine, &["--format", "json", "--exit-code"]));
    assert_eq!(
        (status, held["outcome"].as_str(), held["step"].as_str()),
        (3, Some("held"), Some("held"))
    );
    assert!(
        held["reason"].as_str().unwrap().contains("outside of its window, which opens"),
        "{held}"
    );
    assert_eq!(run(&machine, &[]).status, 0);
    assert!(!machine.exists("/srv/people-api/current"));
    let look = run(&machine, &["--dry-run", "--exit-code"]);
    assert_eq!(look.status, 3, "{look:#?}");
    assert!(look.stdout.contains("outside of its window, which opens"), "{look:#?}");
    // Of a step that does not begin nothing is foreseen.
    assert!(!look.stdout.contains("certain "), "{look:#?}");
    assert!(look.stdout.lines().all(|it| it.chars().count() <= 80), "{look:#?}");
    // Nobody runs an agent here, and none is to run.
    let status = machine.steadfast(&["status"]);
    assert_eq!(status.status, 0, "{status:#?}");
    assert!(status.stdout.contains("1.3 is held since"), "{status:#?}");
    assert!(status.stderr.contains("no agent is running"), "{status:#?}");
    let waits = json(&machine, &["status", "people/api"]);
    assert_eq!(waits["release"], Value::Null, "{waits}");
    assert!(waits["waits_for"].as_str().unwrap().contains("outside of its window"), "{waits}");

    let (status, told) = said(&run(&machine, &["--now", "--format", "json"]));
    assert_eq!((status, told["step"].as_str()), (0, Some("committed")), "{told}");
    assert_eq!(answer(&machine), "200 1.3");
    let step = json(&machine, &["history", "component:people/api"]);
    assert_eq!(
        (&step["event"], &step["step"], &step["to"]),
        (&"step".into(), &1.into(), &"1.3".into())
    );
    assert!(step["by"].as_str().unwrap().ends_with("--now"), "{step}");

    // A window that is open, and a bake that nobody waits for.
    target(&machine, "1.4", "rollout: { window: \"Mon..Sun 00:00-24:00 UTC\", bake: 10m }\n");
    let (status, bakes) = said(&run(&machine, &["--format", "json"]));
    assert_eq!(
        (status, bakes["step"].as_str(), bakes["release"].as_str()),
        (0, Some("held"), Some("1.4")),
        "{bakes}"
    );
    assert!(bakes["reason"].as_str().unwrap().contains("bakes until"), "{bakes}");
    assert_eq!(answer(&machine), "200 1.4");
    let there = process(&machine);
    let (status, told) = said(&run(&machine, &["--now", "--format", "json"]));
    assert_eq!((status, told["step"].as_str()), (0, Some("committed")), "{told}");
    assert_eq!(process(&machine), there);

    // What needs somebody's word, or has its wave later, waits by hand, too.
    for (rollout, words) in
        [("approval: required", "it needs an approval"), ("waves: { 100%: 4h }", "its wave comes")]
    {
        target(&machine, "1.6", &format!("rollout: {{ {rollout} }}\n"));
        let (status, held) = said(&run(&machine, &["--now", "--exit-code", "--format", "json"]));
        assert_eq!((status, held["step"].as_str()), (3, Some("held")), "{held}");
        assert!(held["reason"].as_str().unwrap().contains(words), "{held}");
    }
    assert_eq!(process(&machine), there);
    let text = machine.ok(&["steadfast", "history", "people/api"]);
    assert!(text.starts_with("people/api #2  "), "{text}");
}

#[test]
fn what_was_bad_is_tried_again_where_somebody_asks_and_a_task_has_what_its_service_has() {
    let Some(machine) = Machine::boot() else { return };
    model(&machine, "1.4");
    assert_eq!(run(&machine, &[]).status, 0);
    target(&machine, "1.5", "");
    let (status, bad) = said(&run(&machine, &["--format", "json"]));
    assert_eq!((status, bad["step"].as_str()), (4, Some("went-back")), "{bad}");
    let steps = || json(&machine, &["status", "people/api"])["steps"].clone();
    let known = json(&machine, &["explain", "people/api", "--model", "/srv/model"]);
    assert_eq!(known["bad"][0]["release"], "1.5", "{known}");
    assert_eq!((&known["wanted"], &known["release"]), (&"1.5".into(), &"1.4".into()), "{known}");
    let before = steps();
    assert_eq!(run(&machine, &[]).status, 4);
    assert_eq!(steps(), before, "it is not tried again");
    let retry = machine.ok(&["steadfast", "retry", "people/api"]);
    assert_eq!(retry, "people/api 1.5 is tried again by the agent, or by the next run.\n");
    assert_eq!(run(&machine, &[]).status, 4);
    assert_ne!(steps(), before);
    machine.ok(&["steadfast", "retry", "component:people/api"]);
    let nothing = machine.ok(&["steadfast", "retry", "people/api"]);
    assert!(nothing.contains("nothing is bad"), "{nothing}");
    assert_eq!(machine.steadfast(&["retry", "people/web"]).status, 2);

    // A task: user, folder, environment, exit codes.
    machine.sh("mkdir -p /etc/systemd/system/people-api.service.d; printf '[Service]\\nEnvironment=\"WORDS=two words\"\\n' > /etc/systemd/system/people-api.service.d/task.conf; systemctl daemon-reload");
    let task =
        |command: &[&str]| machine.steadfast(&[&["task", "people/api", "--"], command].concat());
    let whole = task(&["sh", "-c", "id -un; pwd; echo \"$WORDS\" $$; exit 7"]);
    assert_eq!(whole.status, 7, "{whole:#?}");
    let lines: Vec<&str> = whole.stdout.lines().collect();
    let tree = machine.ok(&["readlink", "-f", "/srv/people-api/current/tree"]);
    assert_eq!(lines[0], "people", "{whole:#?}");
    assert_eq!(machine.ok(&["readlink", "-f", lines[1]]), tree, "{whole:#?}");
    assert!(lines[2].starts_with("two words "), "{whole:#?}");
    assert_eq!(task(&["bin/api-that-is-not-there"]).status, 127);
    assert_eq!(task(&["/etc/passwd"]).status, 126);
    assert_eq!(task(&["sh", "-c", "kill -TERM $$"]).status, 143);
    assert_eq!(machine.steadfast(&["task", "people/web", "--", "true"]).status, 2);
    assert_eq!(machine.steadfast(&["task", "--unit", "ssh", "people/api", "--", "true"]).status, 2);
    let last = json(&machine, &["history", "people/api"]);
    assert_eq!((&last["event"], &last["code"]), (&"task".into(), &143.into()), "{last}");
    assert!(current(&machine).starts_with("deployments/"));
}
