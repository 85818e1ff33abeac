//! Whatever bytes stand in a model, `check` ends and says something that can be shown.
//!
//! `cargo +nightly fuzz run check` in crates/steadfast-model; start it from `tests/language` as corpus.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use steadfast_model::resolve::{NodeInput, resolve};
use steadfast_model::{SourceSet, check, document, render};

// A zero byte parts the files: the first is the server, the second the environment, the third a template.
fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(3, |it| *it == 0);
    let mut sources = SourceSet::default();
    sources.add("model.yaml", &b"model: x\nformat: 1\n"[..], false);
    sources.add("servers/a.yaml", parts.next().unwrap_or_default(), false);
    sources.add("environments/a.yaml", parts.next().unwrap_or_default(), false);
    sources.add("templates/a.j2", parts.next().unwrap_or_default(), false);
    let (model, mut diagnostics) = document::parse(&sources);
    let (targets, more) = check::targets(&model, &sources);
    diagnostics.extend(more);
    for target in &targets {
        let facts = target.facts.as_ref();
        let input = NodeInput {
            environment: &target.environment,
            node: &target.node,
            facts,
            releases: &BTreeMap::new(),
        };
        let (resolved, more) = resolve(&model, &sources, &input);
        diagnostics.extend(more);
        let (_, more) = steadfast_engine::promised::lower(&resolved, &sources);
        diagnostics.extend(more);
    }
    for diagnostic in &diagnostics {
        render::text(diagnostic, &sources, true);
        render::json(diagnostic, &sources);
        render::github(diagnostic, &sources);
    }
});
