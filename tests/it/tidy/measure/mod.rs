//! Measures production code: long functions, long files, circles of imports, comments.
//!
//! Production code is what `crates/*/src` compiles into a library or a program: the files that `lib.rs`
//! and `main.rs` reach by `mod`, without what is marked `#[cfg(test)]`, and without the testkit.

mod imports;
mod source;

use std::collections::BTreeMap;
use std::path::Path;

use self::source::Source;

/// A function, or a method, with a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) file: String,
    pub(super) name: String,
    /// The line of its signature.
    pub(super) at: usize,
    /// From the line of its signature to that of its closing brace.
    pub(super) lines: usize,
}

/// A file and its production lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Length {
    pub(super) file: String,
    pub(super) lines: usize,
    /// Whether its first lines say why it is that long.
    pub(super) explained: bool,
}

/// What was measured of one checkout. Files are named by their paths in it.
#[derive(Debug, Default)]
pub(super) struct House {
    /// From the longest to the shortest.
    pub(super) functions: Vec<Function>,
    /// From the longest to the shortest.
    pub(super) files: Vec<Length>,
    /// Files that import each other in a circle, from the largest circle to the smallest.
    pub(super) circles: Vec<Vec<String>>,
    /// The same, where a re-export counts as well as a use.
    pub(super) wide_circles: Vec<Vec<String>>,
    pub(super) comment_lines: usize,
    /// Lines that are not blank, comments among them.
    pub(super) lines: usize,
    /// Texts of several words that code compares with: file, line and text.
    pub(super) searched: Vec<(String, usize, String)>,
}

impl House {
    /// Measures the checkout at `root`.
    pub(super) fn measure(root: &Path) -> Self {
        let mut house = Self::default();
        for folder in crates(root) {
            for entry in ["src/lib.rs", "src/main.rs"] {
                let modules = read(root, &format!("{folder}/{entry}"));
                house.circles.extend(imports::circles(&modules, false));
                house.wide_circles.extend(imports::circles(&modules, true));
                modules.into_values().for_each(|source| house.add(source));
            }
        }
        house.functions.sort_by(|a, b| (b.lines, &a.file, a.at).cmp(&(a.lines, &b.file, b.at)));
        house.files.sort_by(|a, b| (b.lines, &a.file).cmp(&(a.lines, &b.file)));
        for circles in [&mut house.circles, &mut house.wide_circles] {
            circles.sort_by(|a, b| (b.len(), a).cmp(&(a.len(), b)));
        }
        house
    }

    fn add(&mut self, source: Source) {
        self.comment_lines += source.comment_lines;
        self.lines += source.written_lines;
        let file = &source.file;
        self.searched.extend(source.searched.into_iter().map(|it| (file.clone(), it.0, it.1)));
        self.files.push(Length {
            file: source.file,
            lines: source.lines,
            explained: source.explained,
        });
        self.functions.extend(source.functions);
    }

    pub(super) fn functions_over(&self, lines: usize) -> usize {
        self.functions.iter().take_while(|it| it.lines > lines).count()
    }

    pub(super) fn files_over(&self, lines: usize) -> impl Iterator<Item = &Length> {
        self.files.iter().take_while(move |it| it.lines > lines)
    }
}

/// The directories of the crates whose code is measured.
fn crates(root: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(root.join("crates"))
        .unwrap()
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .filter(|it| it != "steadfast-testkit" && root.join("crates").join(it).join("src").is_dir())
        .collect();
    names.sort();
    names.into_iter().map(|it| format!("crates/{it}")).collect()
}

/// The files that `entry` reaches, by the path of their module. Nothing where there is no such file.
fn read(root: &Path, entry: &str) -> BTreeMap<Vec<String>, Source> {
    let mut modules = BTreeMap::new();
    if !root.join(entry).is_file() {
        return modules;
    }
    let (folder, _) = entry.rsplit_once('/').unwrap();
    let mut waiting = vec![(vec![], entry.to_owned(), folder.to_owned())];
    while let Some((module, file, folder)) = waiting.pop() {
        let source = Source::read(root, &file);
        for child in &source.children {
            let (name, within) = child.split_last().unwrap();
            let folder = [std::slice::from_ref(&folder), within].concat().join("/");
            let (flat, nested) = (format!("{folder}/{name}.rs"), format!("{folder}/{name}/mod.rs"));
            let file = if root.join(&flat).is_file() { flat } else { nested };
            let module = [&module[..], &child[..]].concat();
            waiting.push((module, file, format!("{folder}/{name}")));
        }
        modules.insert(module, source);
    }
    modules
}
