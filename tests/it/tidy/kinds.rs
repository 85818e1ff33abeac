//! The tables of kinds hold together, and the example at the head of every kind is a model that is right.

use std::collections::BTreeMap;
use steadfast_model::section::{SECTIONS, Section};
use steadfast_resources::KINDS;
use steadfast_testkit::run::Model;

use super::files;

/// The file of a kind's room that says what the kind is.
pub(super) fn room<'a>(files: &'a BTreeMap<String, String>, kind: &str) -> (String, &'a str) {
    let places = [kind.to_owned(), format!("{kind}/mod")];
    let places = places.map(|it| format!("crates/steadfast-resources/src/{it}.rs"));
    let found = places.into_iter().find_map(|it| files.get(&it).map(|text| (it, &**text)));
    found.unwrap_or_else(|| panic!("{kind} has no file"))
}

/// The first YAML example in a file's own documentation.
pub(super) fn example(source: &str) -> Option<String> {
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
    for kind in KINDS.iter().map(|it| it.name) {
        let (_, source) = room(&files, kind);
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

/// A part of another kind's promise, which no section holds.
const PARTS: [&str; 1] = ["members"];

#[test]
fn every_section_has_a_kind_that_is_tested() {
    let rows: Vec<&str> = KINDS.iter().map(|it| it.name).filter(|it| !PARTS.contains(it)).collect();
    let sections = steadfast_model::section::kinds();
    assert_eq!(rows, sections, "the table of kinds and the sections of the model, in one order");
    let files = files();
    let models: String = files
        .iter()
        .filter(|(path, _)| path.starts_with("tests/language/ok/"))
        .map(|(_, text)| text.as_str())
        .collect();
    for Section { name, kind, .. } in SECTIONS {
        let laws = ["", "/mod"].map(|it| format!("tests/it/kinds/{kind}{it}.rs"));
        assert!(laws.iter().any(|it| files.contains_key(it)), "{kind} has no laws: {laws:?}");
        assert!(models.contains(&format!("{name}:")), "no model in tests/language/ok has {name}");
    }
}

/// What one kind takes outside its own rooms: see decision 0029. More than this is asked of every kind.
const PLACES: [&str; 6] = [
    "REFERENCE.md",
    "crates/steadfast-model/src/section.rs",
    "crates/steadfast-resources/src/lib.rs",
    "crates/steadfast-system/src/lib.rs",
    "crates/steadfast-testkit/src/host/mod.rs",
    "tests/it/kinds/mod.rs",
];

/// Where `"hostname"` is the fact of that name, which was there before the kind.
const FACTS: [&str; 3] = [
    "crates/steadfast-node/src/model.rs",
    "crates/steadfast-system/src/facts/mod.rs",
    "crates/steadfast-testkit/src/run.rs",
];

#[test]
fn a_kind_touches_few_files_outside_its_rooms() {
    let marks = [
        "mod hostname;",
        "hostname::",
        "Hostname => hostname",
        "one(\"hostname\"",
        "## `hostname`",
    ];
    let is_room = |path: &str| path.contains("/hostname") || path == "tests/it/tidy/kinds.rs";
    let files = files();
    let places: Vec<&str> = files
        .iter()
        .filter(|(path, _)| path.ends_with(".rs") || *path == "REFERENCE.md")
        .filter(|(path, text)| !is_room(path) && marks.iter().any(|it| text.contains(it)))
        .map(|(path, _)| &**path)
        .collect();
    assert_eq!(places, PLACES);
    // Whoever names the kind without asking its module: a variant of an enum, or its name as a text.
    let named = |marks: &[&str]| -> Vec<&str> {
        files
            .iter()
            .filter(|(path, _)| path.starts_with("crates/") && path.ends_with(".rs"))
            .filter(|(path, _)| !is_room(path) && !path.ends_with("/tests.rs"))
            .filter(|(_, text)| marks.iter().any(|it| text.contains(it)))
            .map(|(path, _)| &**path)
            .collect()
    };
    assert_eq!(named(&["Hostname"]), ["crates/steadfast-resources/src/lib.rs"]);
    let text: Vec<&str> =
        named(&["\"hostname\""]).into_iter().filter(|it| !FACTS.contains(it)).collect();
    assert_eq!(text, ["crates/steadfast-model/src/section.rs"]);
}
