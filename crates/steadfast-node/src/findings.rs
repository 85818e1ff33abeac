//! Mistakes and warnings of a model, as a node hands them over: it renders none of them.

use steadfast_model::{Diagnostic, SourceSet};

/// What was found in a model, with its files: whoever shows it may quote their lines.
#[derive(Clone, Debug)]
pub struct Findings {
    pub all: Vec<Diagnostic>,
    pub sources: SourceSet,
}
