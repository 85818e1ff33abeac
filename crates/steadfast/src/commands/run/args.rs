//! What `steadfast run` is told.

use crate::ui::Format;
use clap::Args;
use std::path::PathBuf;
use steadfast_resources::glob::Glob;

/// Bring this machine to its model once, or say what that would do
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Say what would be done, and change nothing
    #[arg(long)]
    pub(super) dry_run: bool,

    /// Exit with 3 where something is pending
    #[arg(long)]
    pub(super) exit_code: bool,

    /// The folder of the model
    #[arg(long, value_name = "PATH")]
    pub(super) model: Option<PathBuf>,

    /// The name of this node in the model [default: the fully qualified host name]
    #[arg(long, value_name = "NAME")]
    pub(super) node: Option<String>,

    /// The environment [default: the one that names the node]
    #[arg(long, value_name = "NAME")]
    pub(super) environment: Option<String>,

    /// Attempt only promises that match, as in 'file:/etc/**' (may be repeated)
    #[arg(long, value_name = "GLOB", value_parser = Glob::of_ids)]
    pub(super) only: Vec<Glob>,

    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(super) format: Format,
}
