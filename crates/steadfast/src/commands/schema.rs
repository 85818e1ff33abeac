//! `steadfast schema`: JSON Schema for editors.

use crate::exit::{Exit, Failure, Outcome};
use crate::ui::Ui;
use clap::Args;
use std::path::PathBuf;
use steadfast_model::schema_json::{self, Promises};
use steadfast_model::section::{SECTIONS, Section};
use steadfast_resources::KINDS;

/// Print the JSON Schema of a model's documents, for editors
///
/// Without KIND, prints one schema for all of them, which tells documents apart by their first key.
#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    /// model, environment, server or bundle
    #[arg(value_name = "KIND")]
    kind: Option<String>,

    /// Write one file for each kind into this directory
    #[arg(long, value_name = "DIR", conflicts_with = "kind")]
    output: Option<PathBuf>,
}

pub(crate) fn run(args: &SchemaArgs, ui: &Ui) -> Outcome {
    let row = |kind: &str| KINDS.iter().find(|it| it.name == kind);
    let promises = |section: &'static Section| Promises {
        section,
        fields: row(section.kind).map_or(&[], |it| it.fields),
        short_forms: row(section.kind).map_or(&[], |it| it.short_forms),
    };
    let sections: Vec<Promises<'_>> = SECTIONS.iter().map(promises).collect();
    let schemas = schema_json::documents(&sections);
    if let Some(folder) = &args.output {
        for (kind, schema) in &schemas {
            let path = folder.join(format!("{kind}.json"));
            super::man::write(&path, format!("{schema:#}\n").as_bytes())?;
            ui.line(&path.display().to_string());
        }
        return Ok(Exit::Fine);
    }
    match &args.kind {
        Some(kind) => {
            let Some(schema) = schemas.get(kind.as_str()) else {
                let kinds: Vec<&str> = schemas.keys().copied().collect();
                let failure = Failure::usage(format!("there is no schema for `{kind}`"));
                return Err(failure.help(format!("one of: {}", kinds.join(", "))));
            };
            ui.line(&format!("{schema:#}"));
        }
        None => ui.line(&format!("{:#}", schema_json::combined(&schemas))),
    }
    Ok(Exit::Fine)
}
