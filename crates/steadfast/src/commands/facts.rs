//! `steadfast facts`: what expressions see of this machine.

use crate::exit::{Exit, Outcome};
use crate::ui::Ui;
use clap::{Args, ValueEnum};
use serde_json::Value;
use std::fmt::Write as _;
use steadfast_store::Layout;

/// Print the facts of this machine, as stored in facts/NODE.yaml
#[derive(Debug, Args)]
pub(crate) struct FactsArgs {
    /// The output format
    #[arg(long, value_name = "FORMAT", default_value = "yaml")]
    format: FactsFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FactsFormat {
    Yaml,
    Json,
}

impl FactsArgs {
    pub(crate) fn is_json(&self) -> bool {
        self.format == FactsFormat::Json
    }
}

pub(crate) fn run(args: &FactsArgs, layout: &Layout, ui: &Ui) -> Outcome {
    let facts = super::facts_of(layout, ui);
    match args.format {
        FactsFormat::Json => ui.line(&facts.to_string()),
        FactsFormat::Yaml => ui.line(yaml(&facts, 0).trim_start_matches('\n')),
    }
    Ok(Exit::Fine)
}

/// Maps as blocks; everything else as JSON writes it, which YAML reads the same.
fn yaml(value: &Value, depth: usize) -> String {
    match value {
        Value::Object(entries) if !entries.is_empty() => {
            entries.iter().fold(String::new(), |mut text, (key, value)| {
                let plain = key.bytes().all(|it| it.is_ascii_alphanumeric() || b"_-".contains(&it))
                    && key.starts_with(|it: char| it.is_ascii_alphabetic());
                let key = if plain { key.clone() } else { Value::from(key.as_str()).to_string() };
                let space =
                    if value.as_object().is_some_and(|it| !it.is_empty()) { "" } else { " " };
                let indent = "  ".repeat(depth);
                let _infallible = write!(text, "\n{indent}{key}:{space}{}", yaml(value, depth + 1));
                text
            })
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_reads_back_the_same() {
        let facts = serde_json::json!({
            "os": { "id": "debian", "version": "12" }, "cpus": 2, "a b": [1, "x: y"], "none": {},
        });
        let text = yaml(&facts, 0);
        assert_eq!(
            text,
            "\nos:\n  id: \"debian\"\n  version: \"12\"\ncpus: 2\n\"a b\": [1,\"x: y\"]\nnone: {}"
        );
        assert_eq!(steadfast_model::check::data(text.as_bytes()), Ok(facts));
    }
}
