//! Who looks on while a run goes on.

use crate::deployments::told::Told;
use steadfast_engine::Reporter;
use steadfast_model::{Diagnostic, SourceSet};
use steadfast_resources::glob::Glob;
use steadfast_source::Revision;

/// Receives the progress of a run.
pub trait Audience {
    /// A problem that does not stop the run.
    fn warn(&mut self, words: &str);
    /// The promises are known, and work on them starts.
    fn begins(&mut self, beginning: &Beginning<'_>);
    /// Whether it wants to be told of each promise that is kept, too.
    fn wants_each(&self) -> bool;
    /// What is waited for, while that is so.
    fn progress(&mut self, words: Option<&str>);
    /// What became of a component, or would.
    fn component(&mut self, told: &Told, sources: &SourceSet);
    /// The receiver of the run's events.
    fn reporter<'s>(&'s mut self, sources: &'s SourceSet) -> Box<dyn Reporter + 's>;
}

/// What is known before the first promise is worked on.
#[derive(Debug)]
pub struct Beginning<'a> {
    pub node: &'a str,
    pub environment: &'a str,
    pub promises: usize,
    pub revision: &'a Revision,
    /// Warnings of the model, in these files.
    pub warnings: &'a [Diagnostic],
    pub sources: &'a SourceSet,
    /// Patterns of the scope that match no promise.
    pub unmatched: &'a [Glob],
}
