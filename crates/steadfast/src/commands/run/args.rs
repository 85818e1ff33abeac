//! What `steadfast run` is told.

use crate::ui::Format;
use clap::Args;
use std::path::PathBuf;
use steadfast_resources::glob::Glob;

/// Run once: repair drift, or show what would change (--dry-run)
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Show what a run would change, and change nothing
    #[arg(long)]
    pub(super) dry_run: bool,

    /// Exit with 3 if changes are pending
    #[arg(long)]
    pub(super) exit_code: bool,

    /// The model's directory [default: what the agent has adopted]
    #[arg(long, value_name = "PATH")]
    pub(super) model: Option<PathBuf>,

    /// This node's name in the model [default: the fully qualified host name]
    #[arg(long, value_name = "NAME")]
    pub(super) node: Option<String>,

    /// The environment [default: the one that lists the node]
    #[arg(long, value_name = "NAME")]
    pub(super) environment: Option<String>,

    /// Run only the promises that match, as in 'file:/etc/**' (repeatable)
    #[arg(long, value_name = "GLOB", value_parser = Glob::of_ids)]
    pub(super) only: Vec<Glob>,

    /// Have components take their steps outside of their windows, and count at once
    ///
    /// A new deployment is not watched for the time that its target says (bake). Every other gate holds.
    #[arg(long)]
    pub(super) now: bool,

    /// Wait until the steps of components have ended, however long that takes
    #[arg(long, conflicts_with = "dry_run")]
    pub(super) wait: bool,

    /// Read every file, also where the kernel reports no change
    #[arg(long)]
    pub(super) verify: bool,

    /// The output format
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: Format,
}
