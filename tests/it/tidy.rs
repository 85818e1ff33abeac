//! Rules that no compiler holds: which crate may name which, what every file has, what no line says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use steadfast_resources::FIELDS;
use steadfast_testkit::run::Model;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every text file of the repository, by its path in it.
fn files() -> BTreeMap<String, String> {
    let root = root();
    let (mut all, mut folders) = (BTreeMap::new(), vec![root.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            if path.is_symlink() || ["target", ".git"].contains(&&*name) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = std::fs::read_to_string(&path) {
                all.insert(name, text);
            }
        }
    }
    assert!(all.len() > 100, "{:?}", all.keys());
    all
}

fn sources() -> impl Iterator<Item = (String, String)> {
    files().into_iter().filter(|(path, _)| path.ends_with(".rs"))
}

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
fn a_crate_names_crates_of_lower_layers_and_nothing_else() {
    let layers = layers();
    let mut crates = vec![];
    for (path, manifest) in files() {
        let Some(name) = path
            .strip_prefix("crates/")
            .and_then(|it| it.strip_suffix("/Cargo.toml"))
            // What lies in a crate's own folder is no crate of the workspace.
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
                // The testkit.
                None => assert!(below.is_some_and(|it| it <= 2), "{name} names {other}"),
            }
        }
        for other in &tested {
            let below = layers.get(other).copied().flatten();
            let lower = below.zip(*layer).is_some_and(|(below, layer)| below < layer);
            assert!(lower || other == "steadfast-testkit", "{name} names {other} in its tests");
        }
        if name == "steadfast-source" {
            assert_eq!(used, ["steadfast-model"]);
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
fn every_file_begins_with_what_it_is_for() {
    let without: Vec<String> =
        sources().filter(|(_, text)| !text.starts_with("//!")).map(|(path, _)| path).collect();
    assert_eq!(without, Vec::<String>::new());
}

#[test]
fn no_file_is_forgotten() {
    let files = files();
    let mut forgotten = vec![];
    for path in files.keys().filter(|it| it.ends_with(".rs")) {
        let (folder, name) = path.rsplit_once('/').unwrap();
        let name = name.strip_suffix(".rs").unwrap();
        if ["main", "lib", "mod", "build"].contains(&name) && name != "mod" {
            continue;
        }
        let top = (path.starts_with("crates/") && folder.ends_with("/tests"))
            || folder.ends_with("/benches")
            || folder.ends_with("/fuzz_targets")
            || folder.ends_with("/examples")
            || folder.ends_with("/bin");
        if top {
            continue;
        }
        // The file that has to name it: `mod.rs` of the folder, the folder's own file, or the root.
        let (module, folder) = if name == "mod" {
            let (above, module) = folder.rsplit_once('/').unwrap();
            (module, above)
        } else {
            (name, folder)
        };
        let owners = [
            format!("{folder}/mod.rs"),
            format!("{folder}.rs"),
            format!("{folder}/lib.rs"),
            format!("{folder}/main.rs"),
        ];
        let named = owners.iter().filter_map(|it| files.get(it)).any(|text| {
            text.lines().any(|line| {
                let line = line.trim_start_matches("pub ").trim_start_matches("pub(crate) ");
                line.trim() == format!("mod {module};")
                    || line.trim() == format!("pub mod {module};")
                    || line.trim() == format!("pub(crate) mod {module};")
                    || line.trim() == format!("pub(super) mod {module};")
            })
        });
        if !named {
            forgotten.push(path.clone());
        }
    }
    assert_eq!(forgotten, Vec::<String>::new());
}

/// The first YAML example in a file's own documentation.
fn example(source: &str) -> Option<String> {
    let lines = source.lines().map_while(|it| it.strip_prefix("//!"));
    let mut lines = lines.skip_while(|it| it.trim() != "```yaml").skip(1).peekable();
    lines.peek()?;
    let yaml =
        lines.take_while(|it| it.trim() != "```").map(|it| it.strip_prefix(' ').unwrap_or(it));
    Some(yaml.map(|it| format!("{it}\n")).collect())
}

#[test]
fn every_kind_has_an_example_that_is_right() {
    let files = files();
    let mut kinds: Vec<&str> = FIELDS.iter().map(|(name, _)| *name).collect();
    kinds.push("members");
    for kind in kinds {
        let places = [kind.to_owned(), format!("{kind}/mod")];
        let source = places
            .iter()
            .find_map(|it| files.get(&format!("crates/steadfast-resources/src/{it}.rs")))
            .unwrap_or_else(|| panic!("{kind} has no file"));
        let yaml = example(source).unwrap_or_else(|| panic!("{kind} has no example"));
        let yaml = yaml.replace("server: web\n", "");
        // What the examples refer to: files of the model, and promises beside them.
        let beside = if kind == "service" {
            "files: { /etc/nginx/nginx.conf: { content: x } }\npackages: { nginx: present }\n"
        } else {
            ""
        };
        let model = [
            ("templates/nginx.conf.j2", "x\n"),
            ("files/motd", "x\n"),
            ("files/nginx-conf.d/site.conf", "x\n"),
        ];
        let text = format!("{yaml}{beside}");
        match Model::of(&text, &model) {
            Ok(model) => {
                assert!(model.promises.count() > 0, "{kind}");
                assert_eq!(model.warnings, "", "{kind}");
            }
            Err(told) => panic!("the example of {kind}:\n{text}\n{told}"),
        }
    }
}

#[test]
fn no_line_names_the_machine_that_it_was_written_on() {
    // In two pieces, so that this file does not name them.
    let words = [
        ["/work", "/"].concat(),
        ["/usr/local/", "cargo"].concat(),
        [".cargo", "/registry"].concat(),
        ["index.", "crates.io"].concat(),
        ["static.", "crates.io"].concat(),
        ["127.0.0.1:", "3128"].concat(),
    ];
    let mut named = vec![];
    for (path, text) in files() {
        for (at, line) in text.lines().enumerate() {
            // A path begins there; `{url}/work/` is none of this machine.
            let begins = |at: usize| {
                !line[..at].ends_with(|it: char| it.is_ascii_alphanumeric() || "/}.".contains(it))
            };
            if words.iter().any(|it| line.match_indices(it).any(|(at, _)| begins(at))) {
                named.push(format!("{path}:{}: {line}", at + 1));
            }
        }
    }
    assert_eq!(named, Vec::<String>::new());
}

#[test]
fn a_test_that_is_not_run_says_why() {
    let bare = ["#[", "ignore]"].concat();
    for (path, text) in sources() {
        assert!(!text.contains(&bare), "{path}");
    }
}
