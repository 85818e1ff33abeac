//! Whole models in one file each, and what `check` says of them.
//!
//! `tests/language/bad/CODE.txt` has at least one mistake of that code, `tests/language/ok/` has none.
//! `one_file.rs` says how a model is written in one text. The golden text stands beside it; `UPDATE_EXPECT=1`
//! rewrites it.

use crate::one_file::{self, files, files_and_environment};
use expect_test::expect_file;
use std::path::{Path, PathBuf};
use steadfast_model::section::SECTIONS;
use steadfast_model::{Severity, SourceSet, codes, render};
use steadfast_node::model::Loaded;

/// The files of one of the models, for tests that need it on a disk.
pub(crate) fn example(path: &str) -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("language").join(path);
    files(&std::fs::read_to_string(path).unwrap())
}

/// What `steadfast check` would print, and the codes in it.
fn checked(text: &str) -> (String, Vec<(&'static str, Severity)>) {
    let mut sources = SourceSet::default();
    for (path, content) in files_and_environment(text) {
        // `\xHH` stands for a byte that no text file can hold.
        let bytes = bytes(&content);
        sources.add(path, bytes, false);
    }
    let Loaded { sources, diagnostics, .. } = one_file::checked(sources);
    let text: Vec<String> =
        diagnostics.iter().map(|it| render::text(it, &sources, false) + "\n").collect();
    // All sections stand for themselves, so that one more changes no golden.
    let names: Vec<&str> = SECTIONS.iter().map(|it| it.name).collect();
    let text = text.join("\n").replace(&names.join(", "), "SECTIONS");
    (text, diagnostics.iter().map(|it| (it.code.0, it.severity)).collect())
}

fn bytes(content: &str) -> Vec<u8> {
    let mut bytes = vec![];
    let mut rest = content;
    while let Some(at) = rest.find("\\x") {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        match rest.get(at + 2..at + 4).and_then(|it| u8::from_str_radix(it, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[at + 4..];
            }
            None => {
                bytes.extend_from_slice(b"\\x");
                rest = &rest[at + 2..];
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

fn cases(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("language").join(folder);
    let mut cases: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|it| it.unwrap().path())
        .filter(|it| it.extension().is_some_and(|it| it == "txt"))
        .collect();
    cases.sort();
    cases
}

#[test]
fn every_mistake_is_told_as_its_golden_says() {
    for case in cases("bad") {
        let (text, found) = checked(&std::fs::read_to_string(&case).unwrap());
        let code = case.file_stem().unwrap().to_str().unwrap();
        let code = code.split_once('.').map_or(code, |(code, _)| code);
        assert!(found.iter().any(|(it, _)| *it == code), "{}: {found:?}", case.display());
        expect_file![case.with_extension("out")].assert_eq(&text);
    }
}

#[test]
fn good_models_have_no_errors() {
    for case in cases("ok") {
        let (text, found) = checked(&std::fs::read_to_string(&case).unwrap());
        assert!(found.iter().all(|(_, it)| *it != Severity::Error), "{}:\n{text}", case.display());
        expect_file![case.with_extension("out")].assert_eq(&text);
    }
}

#[test]
fn every_code_has_an_example() {
    let have: Vec<String> = cases("bad")
        .iter()
        .map(|it| it.file_stem().unwrap().to_str().unwrap().split('.').next().unwrap().to_owned())
        .collect();
    // These need more text than a test file should have, and have tests of their own in the reader.
    // Without a place in the model; the command says it in its own words.
    let elsewhere = ["too-large", "unknown-environment"];
    for (code, explanation) in codes::ALL {
        assert!(!explanation.trim().is_empty());
        assert!(
            have.iter().any(|it| it == code.0) || elsewhere.contains(&code.0),
            "no tests/language/bad/{}.txt",
            code.0
        );
    }
}

mod any_bytes {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever stands in the files, `check` ends, and says something that can be shown.
        #[test]
        fn never_break_check(
            server in prop::collection::vec(any::<u8>(), 0..400),
            environment in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut sources = SourceSet::default();
            sources.add("model.yaml", &b"model: x\nformat: 1\n"[..], false);
            sources.add("servers/a.yaml", server, false);
            sources.add("environments/a.yaml", environment, false);
            whole(sources);
        }

        /// The same from pieces that look like a model, which get further.
        #[test]
        fn never_break_check_from_pieces(pieces in prop::collection::vec(piece(), 0..40)) {
            let mut sources = SourceSet::default();
            sources.add("model.yaml", &b"model: x\nformat: 1\n"[..], false);
            let environment = "environment: e\nnodes: { n: { servers: [web] } }\n";
            sources.add("environments/e.yaml", environment.as_bytes(), false);
            sources.add("servers/a.yaml", format!("server: web\n{}", pieces.concat()).as_bytes(), false);
            whole(sources);
        }
    }

    fn piece() -> impl Strategy<Value = String> {
        let sections = SECTIONS.iter().map(|it| format!("{}:\n", it.name));
        let pieces = [
            "include:\n",
            "parameters:\n",
            "  /etc/x: ",
            "  nginx: ",
            "{ content: \"{{ a }}\" }\n",
            "{ mode: \"0644\" }\n",
            "present\n",
            "{ when: \"{{ 1 }}\" }\n",
            "  - std/base\n",
            "  - { x: {}, for_each: \"{{ [1,2] }}\" }\n",
            "  a: { type: list }\n",
            "{ edits: [{ line: x, match: \"(\" }] }\n",
            "  x: {",
            "}",
            "\n",
            ": ",
            "- ",
            "[",
            "]",
            "{ schedule: \"* * * * *\", command: x }\n",
            "{ running: true, enabled: masked }\n",
            "{ gid: 99999999999 }\n",
            "{ version: \">= 1, <\" }\n",
            "&a ",
            "*a\n",
            "'",
            "\"",
        ];
        let pieces = pieces.into_iter().map(str::to_owned);
        prop::sample::select(sections.chain(pieces).collect::<Vec<String>>())
    }

    fn whole(sources: SourceSet) {
        let Loaded { sources, diagnostics, .. } = one_file::checked(sources);
        for one in &diagnostics {
            render::text(one, &sources, true);
            render::text(one, &sources, false);
            render::json(one, &sources);
            render::github(one, &sources);
        }
    }
}
