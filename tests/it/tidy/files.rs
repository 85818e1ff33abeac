//! What every file has, and what no line says.

use super::{files, sources};

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
            || folder.ends_with("/libfuzzer/src")
            || folder.ends_with("/examples")
            || folder.ends_with("/bin");
        if top {
            continue;
        }
        // The file that has to name it: `mod.rs` of the directory, the directory's own file, or the root.
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

#[test]
fn one_function_says_that_a_test_is_skipped() {
    let said = ["\"skip", "ped:"].concat();
    let who: Vec<String> =
        sources().filter(|(_, text)| text.contains(&said)).map(|(path, _)| path).collect();
    assert_eq!(who, ["tests/it/require.rs"], "see decision 0027");
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
