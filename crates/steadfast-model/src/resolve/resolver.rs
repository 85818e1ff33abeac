//! What resolving one node carries along, and what each part of it says in the same words.

use crate::application::{ComponentId, Words};
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::document::Model;
use crate::expression::Engine;
use crate::keep::Keep;
use crate::node::Node;
use crate::parameters::{Fitting, Given};
use crate::promise::{Author, ParameterSource, ParameterTrace, Promise, Resolved};
use crate::scope::Scope;
use crate::source::SourceSet;
use crate::span::{Span, Spanned};
use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

/// The most promises, and the most included bundles, of one node.
const MAX_PROMISES: usize = 100_000;

pub(super) struct Resolver<'a> {
    pub(super) model: &'a Model,
    pub(super) sources: &'a SourceSet,
    pub(super) engine: Engine<'a>,
    pub(super) diagnostics: Diagnostics,
    pub(super) fitting: Fitting,
    /// `facts`, `node`, `environment`, and the names that model, environment and node set.
    pub(super) everywhere: Arc<Scope>,
    /// Those names with their values.
    pub(super) set: BTreeMap<Arc<str>, Given>,
    /// The bundles that are being included, and where.
    pub(super) includes: Vec<(Arc<str>, Span)>,
    /// The includes that close a circle and have been reported.
    pub(super) circles: HashSet<Span>,
    pub(super) included: usize,
    /// Whether there is more than a node may have, which is told once.
    pub(super) full: bool,
    /// Takes each promise of the node itself, with what was resolved before it.
    pub(super) take: &'a mut dyn FnMut(&Resolved, Promise),
    /// How many it has taken.
    pub(super) taken: usize,
    /// The promises of the component that is being resolved.
    pub(super) of_component: Option<Vec<Promise>>,
    /// The applications whose parameters take a value that model, environment or node set for all, by its name.
    pub(super) of_everybody: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Span>>,
    /// The one component that is asked for, with the words for its deployment; none for all of the node.
    pub(super) only: Option<(&'a ComponentId, &'a Words)>,
    pub(super) resolved: Resolved,
}

/// How the document that is being read came to be read.
#[derive(Clone)]
pub(super) struct Way {
    pub(super) author: Author,
    /// Its parameters, by their places in the trace.
    pub(super) parameters: Range<usize>,
    /// The author in words, once for all of its promises.
    pub(super) by: Arc<str>,
    pub(super) keep: Keep,
    pub(super) conditional: bool,
    pub(super) via: Vec<Span>,
}

impl Way {
    /// The way to what a node is itself.
    pub(super) fn new(author: Author, keep: Keep) -> Way {
        let by = Arc::from(author.to_string());
        Way { author, by, parameters: 0..0, keep, conditional: false, via: vec![] }
    }

    /// The way to what is included at `span`.
    pub(super) fn include(&self, author: Author, span: Span) -> Way {
        let via = self.via.iter().copied().chain([span]).collect();
        let way = Way::new(author, self.keep);
        Way { conditional: self.conditional, via, ..way }
    }
}

impl Resolver<'_> {
    pub(super) fn has_room(&mut self, count: usize, span: Span) -> bool {
        if count > MAX_PROMISES && !self.full {
            self.full = true;
            let message =
                format!("the node has more than {MAX_PROMISES} promises or included bundles");
            self.diagnostics.push(Diagnostic::error(codes::TOO_LARGE, span, message));
        }
        !self.full
    }

    pub(super) fn trace(
        &mut self,
        owner: &Arc<str>,
        name: &Spanned<Arc<str>>,
        node: &Node,
        source: ParameterSource,
        span: Span,
    ) {
        let (owner, name) = (Arc::clone(owner), Arc::clone(&name.value));
        self.resolved.trace.push(ParameterTrace { owner, name, value: node.clone(), source, span });
    }
}

/// Names that cannot be set, because they mean something everywhere or will.
pub(super) const RESERVED: [&str; 7] =
    ["facts", "node", "environment", "application", "release", "flags", "item"];

/// Names that have a meaning in components since they exist. A server or bundle that declares one keeps it.
pub(super) const RESERVED_IN_COMPONENTS: [&str; 2] = ["component", "deployment"];

pub(super) fn reserved_in_components(name: &Spanned<Arc<str>>) -> Diagnostic {
    let message = format!("`{}` has a meaning of its own in components", name.value);
    Diagnostic::warning(codes::BAD_NAME, name.span, message)
        .help("here the parameter holds; another name would be clearer")
}

pub(super) fn reserved(name: &Spanned<Arc<str>>) -> Diagnostic {
    let message = format!("`{}` cannot be the name of a parameter", name.value);
    Diagnostic::error(codes::BAD_NAME, name.span, message)
        .help(format!("these names have a meaning of their own: {}", RESERVED.join(", ")))
}

pub(super) fn map<const N: usize>(entries: [(&str, Node); N], span: Span) -> Node {
    let entries = entries.map(|(key, node)| (Spanned::new(Arc::from(key), span), node));
    Node::Map(Arc::from(entries), span)
}
