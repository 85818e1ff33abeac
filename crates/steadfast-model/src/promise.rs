//! What resolution gives: the promises that one node has made, still untyped below `body`, because
//! the kind owns its own schema.

use crate::application::{Artifact, ComponentId, FlagHere, ReleaseId, Settings};
use crate::diagnostic::Diagnostics;
use crate::keep::Keep;
use crate::lower::Read;
use crate::node::Node;
use crate::policy::Policy;
use crate::scope::Scope;
use crate::span::{SourceId, Span, Spanned};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// The identity of a promise: kind and name, `file:/etc/motd`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PromiseId(pub Arc<str>);

impl PromiseId {
    pub fn new(kind: &str, name: &str) -> PromiseId {
        PromiseId(Arc::from(format!("{kind}:{name}")))
    }

    /// `file` of `file:/etc/motd`.
    pub fn kind(&self) -> &str {
        self.0.split_once(':').map_or("", |(kind, _)| kind)
    }

    /// `/etc/motd` of `file:/etc/motd`.
    pub fn name(&self) -> &str {
        self.0.split_once(':').map_or(&self.0, |(_, name)| name)
    }
}

impl fmt::Display for PromiseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who makes promises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Author {
    Server(Arc<str>),
    /// A bundle, by the name that includes have for it.
    Bundle(Arc<str>),
    Component(ComponentId),
}

impl fmt::Display for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Author::Server(name) => write!(f, "server {name}"),
            Author::Bundle(name) => write!(f, "bundle {name}"),
            Author::Component(id) => write!(f, "component {id}"),
        }
    }
}

/// Who made a promise, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Origin {
    /// The name of the thing in its section (`/etc/motd` below `files:`).
    pub span: Span,
    /// The [`Author`]: `server web`, `bundle std/ssh`.
    pub by: Arc<str>,
    /// The includes that led here, outermost first.
    pub via: Vec<Span>,
}

/// Who gave a parameter its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ParameterSource {
    /// Its declaration.
    Default,
    /// model.yaml.
    Model,
    Environment,
    /// The target of an application.
    Target,
    Node,
    /// The argument of an include.
    Argument,
}

/// Where the value of a parameter came from, for `explain`.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterTrace {
    /// Whose parameter: `server web`, `bundle std/ssh`; `everywhere` for what model, environment and
    /// node set.
    pub owner: Arc<str>,
    pub name: Arc<str>,
    pub value: Node,
    pub source: ParameterSource,
    /// Where the value is written.
    pub span: Span,
}

impl ParameterTrace {
    /// The value as one line of text. Of a secret, its name.
    pub fn text(&self) -> String {
        self.value.one_line()
    }
}

/// One promise of one node, substituted, common fields taken out of its body.
#[derive(Clone, Debug)]
pub struct Promise {
    pub id: PromiseId,
    /// One of [`crate::section::SECTIONS`]' kinds.
    pub kind: &'static str,
    pub name: Spanned<Arc<str>>,
    /// What stands at the name: a map of fields, or the kind's short form.
    pub body: Node,
    pub needs: Vec<Spanned<PromiseId>>,
    pub reloads: Vec<Spanned<Arc<str>>>,
    pub restarts: Vec<Spanned<Arc<str>>>,
    pub keep: Keep,
    pub description: Option<Arc<str>>,
    /// The names that its templates see.
    pub scope: Arc<Scope>,
    /// The parameters of its author, by their places in [`Resolved::trace`].
    pub parameters: Range<usize>,
    /// Those of them that its expressions have looked up.
    pub looked_up: Box<[usize]>,
    pub origin: Origin,
    /// Whether it hangs on a `when` whose value is not known here (only in `check`).
    pub conditional: bool,
}

/// A component as one node is to have it.
#[derive(Clone, Debug)]
pub struct Placed {
    pub id: ComponentId,
    /// The release that last named it.
    pub release: ReleaseId,
    /// Where the application says it.
    pub span: Span,
    pub keep: Keep,
    /// Where its deployments are; none where it has no files of its own.
    pub directory: Option<Arc<str>>,
    /// Of this machine's architecture; none where it has none, or the architecture is not known here.
    pub artifact: Option<Artifact>,
    /// Whether there is one to unpack, for this architecture or another.
    pub has_tree: bool,
    /// All flags of its application, with their values here.
    pub flags: Vec<FlagHere>,
    pub settings: Option<Settings>,
    /// Made with the [`Words`](crate::application::Words) that were asked for: with those that only stand for a
    /// deployment, or with its own.
    pub promises: Vec<Promise>,
    /// Promises of files that lead the traffic to one of its slots.
    pub front: Vec<Promise>,
    /// All that is wrong with it on this node.
    pub mistakes: Diagnostics,
}

/// What a promise was made from beside its own lines, for `explain`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// The files of the model that its `source:` and `template:` name, and those that a template includes.
    pub files: Box<[SourceId]>,
    /// The parameters of its author that its values came from, by their places in [`Resolved::trace`].
    pub parameters: Box<[usize]>,
}

/// The promises that a node has made, in source order, not yet compared with each other.
#[derive(Clone, Debug, Default)]
pub struct Resolved {
    /// Whether an environment names the node at all. A node that nobody names promises nothing.
    pub named: bool,
    pub policy: Policy,
    /// The server models that it is.
    pub servers: Vec<Arc<str>>,
    /// Its own; none where each was handed over as soon as it was resolved.
    pub promises: Vec<Promise>,
    /// The components that it carries, each with promises of its own.
    pub components: Vec<Placed>,
    /// Where the value of each parameter came from.
    pub trace: Vec<ParameterTrace>,
}

impl Resolved {
    /// What a promise was made from: `read` is what was read of the model while it was lowered.
    /// None where it is nothing but its own lines.
    pub fn used(&self, promise: &Promise, read: Read) -> Option<Arc<Used>> {
        let of_template = self.named(&promise.parameters, &read.names);
        let mut parameters = [promise.looked_up.clone(), of_template].concat();
        parameters.sort_unstable();
        parameters.dedup();
        let parameters: Box<[usize]> = parameters.into();
        let is_nothing = read.files.is_empty() && parameters.is_empty();
        (!is_nothing).then(|| Arc::new(Used { files: read.files.into(), parameters }))
    }

    /// Which of these parameters have one of these names.
    pub(crate) fn named(&self, parameters: &Range<usize>, names: &[Arc<str>]) -> Box<[usize]> {
        let is_named = |at: &usize| self.trace.get(*at).is_some_and(|it| names.contains(&it.name));
        parameters.clone().filter(is_named).collect()
    }
}
