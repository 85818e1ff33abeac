//! Which crate may name which, as ARCHITECTURE.md says it.

use std::collections::BTreeMap;

use super::{files, root, sources};

/// Crates with their layers, as ARCHITECTURE.md has them; none for what is for tests alone.
fn layers() -> BTreeMap<String, Option<u32>> {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    text.lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| ")?.split(" | ");
            let (layer, name) = (cells.next()?, cells.next()?);
            let name = name.strip_prefix('`')?.strip_suffix('`')?;
            Some((name.to_owned(), layer.parse().ok()))
        })
        .collect()
}

/// The crates of ours that a manifest names: in `[dependencies]`, and in the other sections.
fn arrows(manifest: &str) -> (Vec<String>, Vec<String>) {
    let (mut used, mut tested, mut section) = (vec![], vec![], "");
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        } else if line.starts_with("steadfast") {
            let name = line.split(['.', ' ', '=']).next().unwrap().to_owned();
            if section == "[dependencies]" { used.push(name) } else { tested.push(name) }
        }
    }
    (used, tested)
}

#[test]
fn cargo_run_knows_which_program_is_meant() {
    let output = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--offline", "--no-deps", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let list = |it: &serde_json::Value| it.as_array().unwrap().clone();
    let default = list(&metadata["workspace_default_members"]);
    let packages = list(&metadata["packages"]);
    let targets = packages.iter().filter(|it| default.contains(&it["id"]));
    let programs: Vec<String> = targets
        .flat_map(|it| list(&it["targets"]))
        .filter(|it| list(&it["kind"]).contains(&"bin".into()))
        .map(|it| it["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(programs, ["steadfast"]);
}

#[test]
fn a_crate_names_crates_of_lower_layers_and_nothing_else() {
    let layers = layers();
    let mut crates = vec![];
    for (path, manifest) in files() {
        let Some(name) = path
            .strip_prefix("crates/")
            .and_then(|it| it.strip_suffix("/Cargo.toml"))
            // What lies in a crate's own directory is no crate of the workspace.
            .filter(|it| !it.contains('/'))
        else {
            continue;
        };
        crates.push(name.to_owned());
        let layer = layers.get(name).unwrap_or_else(|| panic!("{name} is not in ARCHITECTURE.md"));
        let (used, tested) = arrows(&manifest);
        for other in &used {
            let below = layers.get(other).copied().flatten();
            match layer {
                Some(layer) => {
                    assert!(below.is_some_and(|it| it < *layer), "{name} names {other}");
                }
                // The testkit: the engine's layer, and what is below it.
                None => assert!(below.is_some_and(|it| it <= 4), "{name} names {other}"),
            }
        }
        for other in &tested {
            let below = layers.get(other).copied().flatten();
            let lower = below.zip(*layer).is_some_and(|(below, layer)| below < layer);
            assert!(lower || other == "steadfast-testkit", "{name} names {other} in its tests");
        }
        // What strangers send goes through these four, so they name this and no more, whatever is below them.
        match name {
            "steadfast-child" | "steadfast-trust" => assert!(used.is_empty(), "{used:?}"),
            "steadfast-download" => assert_eq!(used, ["steadfast-child", "steadfast-trust"]),
            "steadfast-source" => {
                let below = ["child", "download", "model", "trust"];
                assert_eq!(used, below.map(|it| format!("steadfast-{it}")));
            }
            _ => {}
        }
    }
    crates.sort();
    assert_eq!(crates, layers.keys().cloned().collect::<Vec<_>>());
}

#[test]
fn the_planner_knows_nothing_of_the_machine_but_its_errors() {
    let text = std::fs::read_to_string(root().join("crates/steadfast-engine/src/plan.rs")).unwrap();
    let named: Vec<&str> = text.lines().filter(|it| it.contains("steadfast_system")).collect();
    for line in &named {
        let rest = line.split("steadfast_system::").nth(1).unwrap_or_default();
        let names = rest.trim_end_matches(';').trim_matches(|it| it == '{' || it == '}');
        for name in names.split(", ") {
            assert!(["ErrorKind", "SystemError"].contains(&name), "{line}");
        }
    }
    assert!(!text.contains("Probe") && !text.contains("Actuate"));
}

#[test]
fn every_program_is_started_apart_from_us() {
    let mut starters = vec![];
    for (path, text) in sources().filter(|(path, _)| path.contains("/src/")) {
        let text = text.split("#[cfg(test)]\nmod").next().unwrap_or_default();
        let starts = [".spawn()", ".output()", ".status()"].iter().any(|it| text.contains(it));
        if starts && text.contains("process::") && !path.ends_with("/tests.rs") {
            assert!(text.contains(".set_on("), "{path} starts a program without steadfast-child");
            starters.push(path);
        }
    }
    let known =
        ["agent/src/shell/binary.rs", "agent/src/shell/children.rs", "download/src/process.rs"];
    assert!(known.iter().all(|it| starters.iter().any(|path| path.ends_with(it))), "{starters:?}");
}

#[test]
fn what_the_lints_forbid_is_allowed_function_by_function() {
    for (path, text) in sources().filter(|(path, _)| path.contains("/src/")) {
        // A file that is nothing but tests says so in its name; a module of tests in a file is indented.
        let whole = text.lines().any(|it| it.starts_with("#![expect(clippy::disallowed_methods"));
        assert!(
            !whole || path.ends_with("/tests.rs"),
            "{path} allows itself all that is forbidden"
        );
    }
}
