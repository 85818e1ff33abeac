//! Who looks on while a node runs: a person, a program that reads JSON lines, or the agent that waits for
//! the answer.

use crate::render::component;
use crate::render::json::JsonLines;
use crate::render::run::Terminal;
use crate::ui::Ui;
use steadfast_engine::Reporter;
use steadfast_model::SourceSet;
use steadfast_node::counted;
use steadfast_node::deployments::Told;
use steadfast_node::run::{Audience, Beginning};

pub(crate) struct Onlooker<'a> {
    pub(crate) ui: &'a Ui,
    pub(crate) shows: Shows,
}

/// What is shown of the run while it lasts.
#[derive(Clone, Copy)]
pub(crate) enum Shows {
    Text {
        dry_run: bool,
    },
    JsonLines {
        dry_run: bool,
    },
    /// Warnings alone, by standard error: the agent reads what is answered.
    Warnings,
}

impl Audience for Onlooker<'_> {
    fn warn(&mut self, words: &str) {
        self.ui.warn(words);
    }

    fn begins(&mut self, beginning: &Beginning<'_>) {
        let Beginning { node, environment, promises, revision, warnings, sources, unmatched } =
            beginning;
        self.ui.diagnostics(warnings, sources);
        for glob in *unmatched {
            self.ui.warn(&format!("--only {} matches no promise of {node}", glob.as_str()));
        }
        match self.shows {
            Shows::Text { dry_run: _ } => {
                let promises = counted(*promises, "promise");
                self.ui.line(&format!("{node} in {environment}: {promises} ({revision})"));
                self.ui.line("");
            }
            Shows::JsonLines { dry_run: _ } | Shows::Warnings => {}
        }
    }

    fn progress(&mut self, words: Option<&str>) {
        match (self.shows, words) {
            (Shows::Text { dry_run: _ }, Some(words)) => self.ui.progress(words),
            (Shows::Text { dry_run: _ }, None) => self.ui.clear(),
            (Shows::JsonLines { dry_run: _ } | Shows::Warnings, _) => {}
        }
    }

    fn component(&mut self, told: &Told, sources: &SourceSet) {
        match self.shows {
            Shows::Text { dry_run: _ } => component::text(self.ui, told, sources),
            Shows::JsonLines { dry_run: _ } => component::json(self.ui, told, sources),
            Shows::Warnings => {}
        }
    }

    fn wants_each(&self) -> bool {
        match self.shows {
            Shows::JsonLines { .. } => true,
            Shows::Text { .. } | Shows::Warnings => false,
        }
    }

    fn reporter<'s>(&'s mut self, sources: &'s SourceSet) -> Box<dyn Reporter + 's> {
        let ui = self.ui;
        match self.shows {
            Shows::Text { dry_run } => Box::new(Terminal { ui, sources, dry_run }),
            Shows::JsonLines { dry_run } => Box::new(JsonLines { ui, sources, dry_run }),
            Shows::Warnings => Box::new(Vec::<&mut dyn Reporter>::new()),
        }
    }
}
