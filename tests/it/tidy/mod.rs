//! Rules that no compiler holds: which crate may name which, what every file has, what no line says, and
//! how large the house may grow.

mod crates;
mod files;
mod house;
mod kinds;
mod measure;
mod reference;
mod sentences;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

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
            let is_built = path.file_name().is_some_and(|it| it == "target");
            if path.is_symlink() || is_built || name == ".git" {
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
