//! Which file of a crate asks which other for something, and where that goes round in a circle.
//!
//! What is re-exported is asked of the file that defines it. A file that only passes it on (the `mod.rs`
//! of a directory) needs nothing of it, except where re-exports are to count as well.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Import, Source};

type Module = Vec<String>;

/// The sets of files, each with more than one, of which each needs each other.
pub(super) fn circles(files: &BTreeMap<Module, Source>, re_exports: bool) -> Vec<Vec<String>> {
    let arrows = Modules::new(files).arrows(re_exports);
    let reach: BTreeMap<&str, BTreeSet<&str>> =
        arrows.keys().map(|from| (&**from, reachable(&arrows, from))).collect();
    let mut circles = BTreeSet::new();
    for (file, reached) in &reach {
        let circle: Vec<String> = reached
            .iter()
            .filter(|it| reach.get(**it).is_some_and(|back| back.contains(file)))
            .map(|it| (*it).to_owned())
            .collect();
        if circle.len() > 1 {
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}

/// The files that `from` needs, directly and through others.
fn reachable<'a>(
    arrows: &'a BTreeMap<String, BTreeSet<String>>,
    from: &'a str,
) -> BTreeSet<&'a str> {
    let (mut seen, mut waiting) = (BTreeSet::new(), vec![from]);
    while let Some(file) = waiting.pop() {
        for next in arrows.get(file).into_iter().flatten() {
            if seen.insert(&**next) {
                waiting.push(next);
            }
        }
    }
    seen
}

/// The modules of a crate, those inside of files too.
struct Modules<'a> {
    all: BTreeMap<Module, &'a Source>,
    /// What each module imports and defines.
    imports: BTreeMap<Module, Vec<&'a Import>>,
    defined: BTreeMap<Module, &'a BTreeSet<String>>,
}

impl<'a> Modules<'a> {
    fn new(files: &'a BTreeMap<Module, Source>) -> Self {
        let mut modules =
            Self { all: BTreeMap::new(), imports: BTreeMap::new(), defined: BTreeMap::new() };
        for (module, source) in files {
            modules.all.insert(module.clone(), source);
            for (within, names) in &source.defined {
                let inner = [&module[..], within].concat();
                modules.all.insert(inner.clone(), source);
                modules.defined.insert(inner, names);
            }
            for import in &source.imports {
                let inner = [&module[..], &import.within].concat();
                modules.imports.entry(inner).or_default().push(import);
            }
        }
        modules
    }

    /// For each file those whose definitions it uses.
    fn arrows(&self, re_exports: bool) -> BTreeMap<String, BTreeSet<String>> {
        let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (module, imports) in &self.imports {
            let from = self.all[module];
            for import in imports {
                if from.re_exports(import) && !re_exports {
                    continue;
                }
                if let Some(to) = self.file(module, &import.path, 0)
                    && to != from.file
                {
                    arrows.entry(from.file.clone()).or_default().insert(to.to_owned());
                }
            }
        }
        arrows
    }

    /// The file that defines what `module` calls `path`, if it is one of this crate.
    fn file(&self, module: &[String], path: &[String], depth: usize) -> Option<&'a str> {
        // A module that re-exports what it has from one that re-exports it back.
        if depth > 16 {
            return None;
        }
        let (mut at, mut rest) = self.start(module, path)?;
        while let Some((name, after)) = rest.split_first() {
            let inner = [&at[..], std::slice::from_ref(name)].concat();
            if !self.all.contains_key(&inner) {
                break;
            }
            (at, rest) = (inner, after);
        }
        let Some((name, after)) = rest.split_first() else {
            return Some(&self.all[&at].file);
        };
        if self.defined.get(&at).is_some_and(|it| it.contains(name)) {
            return Some(&self.all[&at].file);
        }
        let imports = self.imports.get(&at).into_iter().flatten();
        for import in imports.filter(|it| it.public || depth == 0) {
            let found = if import.name.as_ref() == Some(name) {
                self.file(&at, &[&import.path[..], after].concat(), depth + 1)
            } else if import.name.is_none() && import.public {
                let path = [&import.path[..], rest].concat();
                self.file(&at, &path, depth + 1).filter(|it| *it != self.all[&at].file)
            } else {
                None
            };
            if found.is_some() {
                return found;
            }
        }
        Some(&self.all[&at].file)
    }

    /// The module at which a path begins, and what is left of it; none where it begins in another crate
    /// or at a type.
    fn start<'p>(&self, module: &[String], path: &'p [String]) -> Option<(Module, &'p [String])> {
        let (first, rest) = path.split_first()?;
        match &**first {
            "crate" => Some((vec![], rest)),
            "self" => Some((module.to_vec(), rest)),
            "super" => {
                let (_, above) = module.split_last()?;
                let supers = rest.iter().take_while(|it| *it == "super").count();
                let above = &above[..above.len().checked_sub(supers)?];
                Some((above.to_vec(), &rest[supers..]))
            }
            name => {
                let child = [module, &[name.to_owned()]].concat();
                if self.all.contains_key(&child) {
                    return Some((child, rest));
                }
                None
            }
        }
    }
}
