//! What is wrong with a model, as a value: structured until the edge, rendered by `render`.

use crate::span::Span;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher as _};

/// A stable, documented name for one kind of mistake, e.g. `unknown-field`. All of them are listed
/// with their explanation in [`crate::codes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Code(pub &'static str);

/// How much a diagnostic matters. Only errors keep a model from being taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Severity {
    Error,
    Warning,
    Hint,
}

/// One mistake: what it is, where it is, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Diagnostic {
    pub code: Code,
    pub severity: Severity,
    /// One sentence, lower case, no full stop, with the name of the thing in it.
    pub message: String,
    pub span: Span,
    /// What stands under the marked text; may be empty.
    pub label: String,
    /// Other places that matter, each with its label.
    pub related: Vec<(Span, String)>,
    /// An action or a list, never a restatement.
    pub help: Option<String>,
}

impl Diagnostic {
    pub fn error(code: Code, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            code,
            severity: Severity::Error,
            message: message.into(),
            span,
            label: String::new(),
            related: vec![],
            help: None,
        }
    }

    pub fn warning(code: Code, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(code, span, message) }
    }

    pub fn hint(code: Code, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Hint, ..Diagnostic::error(code, span, message) }
    }

    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Diagnostic {
        self.label = label.into();
        self
    }

    #[must_use]
    pub fn related(mut self, span: Span, label: impl Into<String>) -> Diagnostic {
        self.related.push((span, label.into()));
        self
    }

    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(help.into());
        self
    }
}

/// Everything that was found, in the order in which it was found, each mistake once.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    all: Vec<Diagnostic>,
    /// Where those with one digest stand, so that many mistakes are told apart in little time.
    seen: HashMap<u64, Vec<usize>>,
}

impl PartialEq for Diagnostics {
    fn eq(&self, other: &Diagnostics) -> bool {
        self.all == other.all
    }
}

impl Eq for Diagnostics {}

impl Diagnostics {
    pub fn push(&mut self, diagnostic: Diagnostic) {
        let mut hasher = DefaultHasher::new();
        diagnostic.hash(&mut hasher);
        let places = self.seen.entry(hasher.finish()).or_default();
        // A bundle that is included twice has each of its mistakes twice; one report is enough.
        if !places.iter().any(|at| self.all[*at] == diagnostic) {
            places.push(self.all.len());
            self.all.push(diagnostic);
        }
    }

    pub fn extend(&mut self, others: Diagnostics) {
        for other in others.all {
            self.push(other);
        }
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.all.iter()
    }

    pub fn has_errors(&self) -> bool {
        self.all.iter().any(|it| it.severity == Severity::Error)
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes;

    #[test]
    fn each_mistake_is_kept_once_and_in_order() {
        let at = |start| Span { start, end: start, ..Span::default() };
        let mut found = Diagnostics::default();
        for start in [3, 1, 3, 2, 1] {
            found.push(Diagnostic::error(codes::BAD_VALUE, at(start), "m"));
        }
        found.push(Diagnostic::warning(codes::BAD_VALUE, at(3), "m"));
        let starts: Vec<u32> = found.iter().map(|it| it.span.start).collect();
        assert_eq!(starts, [3, 1, 2, 3]);
    }

    #[test]
    fn what_was_found_can_be_kept_and_a_code_of_another_build_is_not_read() {
        let span = Span::default();
        let found = Diagnostic::warning(codes::BAD_WINDOW, span, "no").help("do");
        let text = serde_json::to_string(&found).unwrap();
        assert_eq!(serde_json::from_str::<Diagnostic>(&text).unwrap(), found);
        let other = text.replace("bad-window", "no-such-code");
        assert!(serde_json::from_str::<Diagnostic>(&other).is_err());
    }
}
