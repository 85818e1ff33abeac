//! The example with two teams on a booted machine: what the README tells people to type.

use super::lab::apt::AptRepository;
use super::lab::machine::{Machine, Output};
use std::path::{Path, PathBuf};

const MODEL: &str = "/srv/organization-xyz";
const NODE: &str = "web1.xyz.example";

/// Copies the example into a machine.
fn example(machine: &Machine) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/organization-xyz");
    let mut folders: Vec<PathBuf> = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        let name = |path: &Path| {
            let below = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            format!("{MODEL}/{below}")
        };
        machine.ok(&["mkdir", "-p", &name(&folder)]);
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                machine.push(&path, &name(&path), 0o644);
            }
        }
    }
}

fn run(machine: &Machine) -> Output {
    machine.steadfast(&["run", "--model", MODEL, "--node", NODE])
}

/// What a URL answers.
fn get(machine: &Machine, url: &str) -> String {
    machine.sh(&format!(
        "perl -MHTTP::Tiny -e '$r = HTTP::Tiny->new->get(\"{url}\"); print \"$r->{{status}} $r->{{content}}\"'"
    ))
}

#[test]
fn the_tour_deploys_upgrades_breaks_and_goes_back() {
    let Some(machine) = Machine::boot() else { return };
    AptRepository::debian().install(&machine);
    example(&machine);
    machine.sh("echo 127.0.0.1 people.xyz.example >>/etc/hosts");
    let first = run(&machine);
    assert_eq!(first.status, 0, "{first:#?}");
    let api = |machine: &Machine| get(machine, "http://127.0.0.1:8081/");
    assert!(api(&machine).starts_with("200 {\"release\": \"1.3\""), "{}", api(&machine));
    let page = get(&machine, "http://people.xyz.example/");
    assert!(page.contains("<h1>Who works here</h1>") && page.contains("Anna Peeters"), "{page}");
    let orders = get(&machine, "http://127.0.0.1:8091/");
    assert!(orders.contains("\"by\": \"Anna Peeters\""), "{orders}");

    // The other team's components do not move with it.
    let others = |machine: &Machine| {
        machine.ok(&["systemctl", "show", "-P", "InvocationID", "orders", "people-web"])
    };
    let before = others(&machine);
    let target = format!("{MODEL}/environments/production/people.yaml");
    machine.sh(&format!("sed -i 's/1.3/1.4/' {target}"));
    assert_eq!(run(&machine).status, 0);
    assert!(api(&machine).starts_with("200 {\"release\": \"1.4\""), "{}", api(&machine));
    assert_eq!(others(&machine), before);

    // A release that does not start.
    machine.sh(&format!(
        "cd {MODEL}; mkdir programs/people-api-1.5; echo 'raise SystemExit(1)' >programs/people-api-1.5/api.py
         sed 's/1.4/1.5/' applications/people/releases/1.4.yaml >applications/people/releases/1.5.yaml
         sed -i 's/1.4/1.5/' {target}"
    ));
    let bad = run(&machine);
    assert_eq!(bad.status, 4, "{bad:#?}");
    assert!(bad.stdout.contains("went back to 1.4"), "{bad:#?}");
    assert!(api(&machine).starts_with("200 {\"release\": \"1.4\""), "{}", api(&machine));
    let again = run(&machine);
    assert!(again.stdout.contains("not tried again"), "{again:#?}");
}
