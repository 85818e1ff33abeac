//! What a promise was made of, for `steadfast explain`: its files of the model, its parameters.

use crate::model::{Loaded, Target};
use std::collections::BTreeSet;
use steadfast_engine::Promised;
use steadfast_model::ParameterTrace;
use steadfast_resources::Identity;
use steadfast_system::AbsPath;

/// Promises of this name or about this path; else the directory that holds for all below it.
pub fn find(target: &Target, thing: &str) -> Vec<usize> {
    let all = &target.promises.all;
    let path = AbsPath::parse(thing).ok().map(AbsPath::usual);
    let exact: Vec<usize> = (0..all.len())
        .filter(|at| {
            &*all[*at].id.0 == thing
                || path.as_ref().is_some_and(|path| {
                    all[*at].want.claims().contains(&Identity::Path(path.clone()))
                })
        })
        .collect();
    if !exact.is_empty() {
        return exact;
    }
    let by_name: Vec<usize> = (0..all.len()).filter(|at| all[*at].id.name() == thing).collect();
    if !by_name.is_empty() {
        return by_name;
    }
    let Some(path) = path else { return vec![] };
    (0..all.len())
        .filter(|at| all[*at].want.folder().is_some_and(|it| path.is_within(it)))
        .max_by_key(|at| all[*at].id.name().len())
        .into_iter()
        .collect()
}

/// The files in which these promises and their parameters stand.
pub fn files(loaded: &Loaded, target: &Target, found: &[usize]) -> BTreeSet<String> {
    let mut spans = vec![];
    for at in found {
        let promised = &target.promises.all[*at];
        for origin in &promised.origins {
            spans.push(origin.span);
            spans.extend(&origin.via);
        }
        spans.extend(used(target, promised).iter().map(|it| it.span));
    }
    let mut files: BTreeSet<String> =
        spans.into_iter().map(|it| loaded.sources.place(it).file.to_string()).collect();
    for at in found {
        files.extend(contents(loaded, &target.promises.all[*at]));
    }
    files
}

/// The templates and files of the model that a promise was made from. What comes with this program is
/// none of the model's.
pub fn contents(loaded: &Loaded, promised: &Promised) -> Vec<String> {
    let files =
        promised.used.iter().flat_map(|it| &it.files).filter_map(|id| loaded.sources.get(*id));
    files.map(|it| it.path.to_string()).filter(|it| !it.starts_with("std/")).collect()
}

/// The parameters that its values came from.
pub fn used<'a>(target: &'a Target, promised: &Promised) -> Vec<&'a ParameterTrace> {
    let trace = &target.resolved.trace;
    promised.used.iter().flat_map(|it| &it.parameters).filter_map(|at| trace.get(*at)).collect()
}
