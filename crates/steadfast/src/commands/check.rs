//! `steadfast check`: every node of every environment, offline, all mistakes at once.

use crate::exit::{Exit, Failure, Outcome};
use crate::model::{self, Loaded};
use crate::ui::{Tone, Ui};
use clap::{Args, ValueEnum};
use std::collections::BTreeMap;
use std::path::PathBuf;
use steadfast_engine::promised;
use steadfast_model::resolve::{NodeInput, resolve};
use steadfast_model::{Severity, render};

/// Check a model, every node of every environment, without touching a machine
///
/// Facts of a node are read from facts/NODE.yaml of the model; what hangs on facts that are not there is
/// checked as far as it can be.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The folder of the model
    #[arg(value_name = "MODEL")]
    model: PathBuf,

    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: CheckFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CheckFormat {
    Text,
    /// One object a line
    Json,
    /// Workflow commands, shown beside a change
    Github,
}

pub(crate) fn run(args: &CheckArgs, ui: &Ui) -> Outcome {
    let mut loaded = model::load(&args.model)?;
    let Checked { nodes, promises } = every_node(&mut loaded);
    let count = |severity| loaded.diagnostics.iter().filter(|it| it.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    for diagnostic in &loaded.diagnostics {
        match args.format {
            CheckFormat::Text => {
                ui.line(&render::text(diagnostic, &loaded.sources, ui.styled));
                ui.line("");
            }
            CheckFormat::Json => ui.line(&render::json(diagnostic, &loaded.sources)),
            CheckFormat::Github => ui.line(&render::github(diagnostic, &loaded.sources)),
        }
    }
    let exit = if errors > 0 { Exit::BadModel } else { Exit::Fine };
    match args.format {
        CheckFormat::Text => {
            let tone = if errors > 0 { Tone::Bad } else { Tone::Good };
            let said = format!(
                "{}, {}: {}, {}.",
                counted(nodes, "node"),
                counted(promises, "promise"),
                counted(errors, "error"),
                counted(warnings, "warning")
            );
            ui.line(&ui.paint(tone, &said));
        }
        CheckFormat::Json => ui.line(
            &serde_json::json!({
                "event": "summary",
                "nodes": nodes,
                "promises": promises,
                "errors": errors,
                "warnings": warnings,
                "exit": exit.code(),
            })
            .to_string(),
        ),
        CheckFormat::Github => {}
    }
    if nodes == 0 && errors == 0 {
        return Err(Failure::usage("no environment of the model names any node"));
    }
    Ok(exit)
}

/// How much was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checked {
    pub nodes: usize,
    pub promises: usize,
}

/// Looks at every node of every environment. All that was wrong goes to `loaded`.
pub(crate) fn every_node(loaded: &mut Loaded) -> Checked {
    let (targets, diagnostics) = steadfast_model::check::targets(&loaded.model, &loaded.sources);
    loaded.diagnostics.extend(diagnostics);
    let mut promises = 0;
    for target in &targets {
        let input = NodeInput {
            environment: &target.environment,
            node: &target.node,
            facts: target.facts.as_ref(),
            releases: &BTreeMap::new(),
        };
        let (resolved, diagnostics) = resolve(&loaded.model, &loaded.sources, &input);
        loaded.diagnostics.extend(diagnostics);
        loaded.diagnostics.extend(model::unknown_zones(&resolved.policy));
        let (lowered, diagnostics) = promised::lower(&resolved, &loaded.sources);
        loaded.diagnostics.extend(diagnostics);
        promises += lowered.count();
    }
    Checked { nodes: targets.len(), promises }
}

pub(crate) fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
