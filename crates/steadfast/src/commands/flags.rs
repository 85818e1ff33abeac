//! `steadfast flags`: the values of a component's flags on one node, from the model alone.

use crate::exit::{Exit, Failure, Outcome};
use crate::ui::Ui;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use steadfast_model::application::{FlagHere, FlagSource, FlagValue, flags_file};
use steadfast_model::{ComponentId, Diagnostics, Placed, Severity};
use steadfast_node::model::{self, NotPlaced};

/// Print the flags of a component on one node, as the model says
///
/// The innermost layer that says something wins: the flag's default, the environment, the target, the
/// node. A share of nodes that this one is not in says nothing.
#[derive(Debug, Args)]
pub(crate) struct FlagsArgs {
    /// The component, as in people/api
    #[arg(value_name = "COMPONENT", value_parser = crate::commands::component)]
    component: ComponentId,

    /// The node, as the environment names it
    #[arg(long, value_name = "NAME")]
    node: String,

    /// The environment, where several name the node
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,

    /// The model's directory
    #[arg(long, value_name = "PATH", default_value = ".")]
    model: PathBuf,

    /// The output format
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: FlagsFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FlagsFormat {
    Text,
    /// One JSON object per line
    Json,
    /// The file as the component's programs read it
    File,
}

impl FlagsArgs {
    pub(crate) fn is_json(&self) -> bool {
        self.format == FlagsFormat::Json
    }
}

pub(crate) fn run(args: &FlagsArgs, ui: &Ui) -> Outcome {
    let mut loaded = model::load(&args.model)?;
    let found =
        model::component(&mut loaded, args.environment.as_deref(), &args.node, &args.component)?;
    let mistakes = match &found {
        Ok(placed) => &placed.mistakes,
        Err(NotPlaced::NoComponent { there: _, mistakes }) => mistakes,
        Err(NotPlaced::NoNode) => &Diagnostics::default(),
    };
    let told = mistakes.iter().filter(|it| it.severity != Severity::Hint);
    ui.diagnostics(&told.cloned().collect::<Vec<_>>(), &loaded.sources);
    if mistakes.has_errors() {
        return Ok(Exit::BadModel);
    }
    let placed = match found {
        Ok(placed) => placed,
        Err(why) => return Err(Failure::usage(not_placed(args, &why))),
    };
    match args.format {
        FlagsFormat::Text => text(&placed, ui),
        FlagsFormat::Json => placed.flags.iter().for_each(|it| ui.line(&json(it))),
        FlagsFormat::File => {
            let Some(file) = placed.settings.as_ref().and_then(|it| it.flags.as_ref()) else {
                return Err(Failure::usage(format!("{} has no `flags: {{ file: … }}`", placed.id)));
            };
            ui.line(flags_file(&placed.flags, file.format).trim_end_matches('\n'));
        }
    }
    Ok(Exit::Fine)
}

fn not_placed(args: &FlagsArgs, why: &NotPlaced) -> String {
    match why {
        NotPlaced::NoNode => format!("no environment of the model names {}", args.node),
        NotPlaced::NoComponent { there, mistakes: _ } if there.is_empty() => {
            format!("{} carries no components", args.node)
        }
        NotPlaced::NoComponent { there, mistakes: _ } => {
            let there: Vec<String> = there.iter().map(ToString::to_string).collect();
            format!("{} does not carry {}: it has {}", args.node, args.component, there.join(", "))
        }
    }
}

fn text(placed: &Placed, ui: &Ui) {
    if placed.flags.is_empty() {
        return ui.line(&format!("{} has no flags.", placed.id.application()));
    }
    let width = |of: fn(&FlagHere) -> String| {
        placed.flags.iter().map(|it| of(it).chars().count()).max().unwrap_or(0)
    };
    let (names, values) = (width(|it| it.name.to_string()), width(|it| it.value.to_string()));
    for it in &placed.flags {
        let unread = if it.is_read { "" } else { ", not read by this release" };
        let (value, source) = (it.value.to_string(), word(it.source));
        ui.line(&format!("{:names$}  {value:values$}  {source}{unread}", it.name));
    }
}

fn json(it: &FlagHere) -> String {
    let value = match &it.value {
        FlagValue::Boolean(it) => serde_json::Value::from(*it),
        FlagValue::Text(it) => serde_json::Value::from(&**it),
        FlagValue::Integer(it) => serde_json::Value::from(*it),
    };
    serde_json::json!({
        "event": "flag",
        "flag": &*it.name,
        "value": value,
        "from": word(it.source),
        "read": it.is_read,
    })
    .to_string()
}

fn word(source: FlagSource) -> &'static str {
    match source {
        FlagSource::Default => "default",
        FlagSource::Environment => "environment",
        FlagSource::Target => "target",
        FlagSource::Node => "node",
    }
}
