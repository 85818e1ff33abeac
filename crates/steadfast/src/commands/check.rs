//! `steadfast check`: every node of every environment, offline, all mistakes at once.

use crate::exit::{Exit, Failure, Outcome};
use crate::ui::{Tone, Ui};
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use steadfast_model::{Severity, render};
use steadfast_node::counted;
use steadfast_node::model::{self, Checked, every_node};

/// Check a model for all its nodes, without touching a machine
///
/// The facts of a node are read from facts/NODE.yaml in the model. What depends on facts that are not
/// recorded there is checked as far as possible.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The model's directory
    #[arg(value_name = "MODEL")]
    model: PathBuf,

    /// The output format
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: CheckFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CheckFormat {
    Text,
    /// One JSON object per line
    Json,
    /// Workflow commands for GitHub Actions, which annotate a pull request
    Github,
}

impl CheckArgs {
    pub(crate) fn is_json(&self) -> bool {
        self.format == CheckFormat::Json
    }
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
    let nobody = nodes == 0 && errors == 0;
    let exit = match errors {
        0 if nobody => Exit::Usage,
        0 => Exit::Fine,
        _ => Exit::BadModel,
    };
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
    if nobody {
        return Err(Failure::usage("no environment of the model names any node"));
    }
    Ok(exit)
}
