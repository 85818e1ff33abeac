//! `steadfast schema`: JSON Schema for editors.

use crate::exit::{Exit, Failure, Outcome};
use crate::ui::Ui;
use clap::Args;
use std::path::PathBuf;
use steadfast_model::section::SECTIONS;
use steadfast_model::{Field, Takes};
use steadfast_resources::{FIELDS, SHORT_FORMS};

/// Print the JSON Schema of the documents of a model, for editors
///
/// Without KIND: one schema for all of them, which tells documents apart by their first key.
#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    /// model, environment, server or bundle
    #[arg(value_name = "KIND")]
    kind: Option<String>,

    /// Write one file for each kind into this folder instead
    #[arg(long, value_name = "DIR", conflicts_with = "kind")]
    output: Option<PathBuf>,
}

pub(crate) fn run(args: &SchemaArgs, ui: &Ui) -> Outcome {
    let fields = |kind: &str| FIELDS.iter().find(|(it, _)| *it == kind).map_or(&[][..], |it| it.1);
    let short = |kind: &str| {
        SHORT_FORMS.iter().find(|(it, _)| *it == kind).map_or(&[][..], |(_, forms)| *forms)
    };
    let sections: Vec<(&str, &[Field], &[Takes])> =
        SECTIONS.iter().map(|(section, kind)| (*section, fields(kind), short(kind))).collect();
    let schemas = steadfast_model::schema_json::documents(&sections);
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
        None => ui.line(&format!("{:#}", steadfast_model::schema_json::combined(&schemas))),
    }
    Ok(Exit::Fine)
}
