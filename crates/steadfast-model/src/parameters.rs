//! The values of parameters: who gave them, in which order they are computed, whether they fit their
//! declaration.

use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::document::{Parameter, ParameterType};
use crate::expression::Engine;
use crate::node::{Node, Scalar, Style, Value};
use crate::promise::ParameterSource;
use crate::scope::Scope;
use crate::span::{Span, Spanned};
use crate::value::secret_of;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

/// A value that has been computed, and who gave it.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) node: Node,
    pub(crate) source: ParameterSource,
    /// The name where the value is given.
    pub(crate) key: Span,
}

/// Computes values that may name each other, each after those that it names, and puts them into the
/// scope. Gives them in the order of `pending`. A circle is an error, and what is in it unknown.
pub(crate) fn compute(
    pending: &[(Spanned<Arc<str>>, Node)],
    scope: &mut Arc<Scope>,
    engine: &mut Engine<'_>,
    diagnostics: &mut Diagnostics,
) -> Vec<Node> {
    let places: HashMap<&str, usize> =
        pending.iter().enumerate().map(|(at, (name, _))| (&*name.value, at)).collect();
    // Which of the others each one names, and who waits for whom.
    let mut needs: Vec<BTreeSet<usize>> = Vec::with_capacity(pending.len());
    let mut waiting: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (at, (_, node)) in pending.iter().enumerate() {
        let names = engine.names_in(node);
        let needed: BTreeSet<usize> =
            names.iter().filter_map(|name| places.get(&**name).copied()).collect();
        for other in &needed {
            waiting.entry(*other).or_default().push(at);
        }
        needs.push(needed);
    }
    let mut left: Vec<usize> = needs.iter().map(BTreeSet::len).collect();
    let mut ready: VecDeque<usize> = (0..pending.len()).filter(|at| left[*at] == 0).collect();
    let mut values: Vec<Option<Node>> = vec![None; pending.len()];
    while let Some(at) = ready.pop_front() {
        let (name, node) = &pending[at];
        let value = engine.substitute(node, scope, diagnostics);
        Arc::make_mut(scope).set_node(Arc::clone(&name.value), &value);
        values[at] = Some(value);
        for other in waiting.get(&at).into_iter().flatten() {
            left[*other] -= 1;
            if left[*other] == 0 {
                ready.push_back(*other);
            }
        }
    }
    for circle in circles(&needs, &values) {
        diagnostics.push(circular(&circle, pending));
    }
    std::iter::zip(pending, values)
        .map(|((name, node), value)| {
            value.unwrap_or_else(|| {
                let unknown = Node::Unknown(node.span());
                Arc::make_mut(scope).set_node(Arc::clone(&name.value), &unknown);
                unknown
            })
        })
        .collect()
}

/// The circles among those that have no value: in each, one names the next, and the last the first.
fn circles(needs: &[BTreeSet<usize>], values: &[Option<Node>]) -> Vec<Vec<usize>> {
    let mut circles = vec![];
    let mut is_done: Vec<bool> = values.iter().map(Option::is_some).collect();
    for start in 0..needs.len() {
        let mut path: Vec<usize> = vec![];
        let mut places: HashMap<usize, usize> = HashMap::new();
        let mut next = (!is_done[start]).then_some(start);
        while let Some(at) = next {
            if let Some(place) = places.get(&at) {
                circles.push(path[*place..].to_vec());
                break;
            }
            places.insert(at, path.len());
            path.push(at);
            next = needs[at].iter().copied().find(|it| !is_done[*it]);
        }
        for at in path {
            is_done[at] = true;
        }
    }
    circles
}

fn circular(circle: &[usize], pending: &[(Spanned<Arc<str>>, Node)]) -> Diagnostic {
    let mut names: Vec<&str> = circle.iter().map(|at| &*pending[*at].0.value).collect();
    let first = &pending[circle[0]].0;
    names.push(&first.value);
    let message = format!("a parameter is computed from itself: {}", names.join(" → "));
    let mut error = Diagnostic::error(codes::CYCLE, first.span, message);
    for at in circle.iter().skip(1) {
        error = error.related(pending[*at].0.span, "through this one");
    }
    error
}

/// Says in what a value does not fit its declaration.
#[derive(Default)]
pub(crate) struct Fitting {
    patterns: HashMap<Arc<str>, Option<regex_lite::Regex>>,
}

impl Fitting {
    /// Reports and gives false where the value is not one that the parameter takes.
    pub(crate) fn fits(
        &mut self,
        parameter: &Parameter,
        node: &Node,
        is_default: bool,
        diagnostics: &mut Diagnostics,
    ) -> bool {
        let name = &parameter.name.value;
        let refuse = |message: String| {
            let error = Diagnostic::error(codes::BAD_PARAMETER, node.span(), message);
            if is_default { error } else { error.related(parameter.name.span, "declared here") }
        };
        if matches!(node, Node::Unknown(_)) {
            return true;
        }
        // A default of nothing says that the parameter may be left out, whatever its type.
        if is_default && is_null(node) {
            return true;
        }
        if let Some(takes) = parameter.takes
            && !has_type(node, takes)
        {
            let mut error =
                refuse(format!("`{name}` must be {}, and is {}", word(takes), node.describe()));
            if takes == ParameterType::String
                && let Node::Scalar(it) = node
                && it.value.style == Style::Plain
                && !it.value.text.is_empty()
            {
                error = error.help(format!("put it in quotes: \"{}\"", it.value.text));
            }
            diagnostics.push(error);
            return false;
        }
        if let Some(choices) = &parameter.choices
            && !choices.iter().any(|it| it.same(node))
        {
            let all: Vec<String> = choices.iter().map(Node::one_line).collect();
            let error = refuse(format!("`{name}` cannot be {}", node.one_line()));
            diagnostics.push(error.help(format!("one of: {}", all.join(", "))));
            return false;
        }
        let Some(pattern) = &parameter.pattern else { return true };
        let Some(regex) = self.pattern(pattern, diagnostics) else { return true };
        let text = match node {
            Node::Scalar(it) => &it.value.text,
            Node::List(..) | Node::Map(..) | Node::Unknown(_) => return true,
        };
        if regex.is_match(text) {
            return true;
        }
        diagnostics.push(refuse(format!(
            "`{name}` cannot be {}: it must match {}",
            node.one_line(),
            pattern.value
        )));
        false
    }

    fn pattern(
        &mut self,
        pattern: &Spanned<Arc<str>>,
        diagnostics: &mut Diagnostics,
    ) -> Option<&regex_lite::Regex> {
        let compiled = self.patterns.entry(Arc::clone(&pattern.value)).or_insert_with(|| {
            regex_lite::Regex::new(&format!("^(?:{})$", pattern.value))
                .map_err(|error| {
                    let message = format!("`pattern` is not a regular expression: {error}");
                    diagnostics.push(Diagnostic::error(
                        codes::BAD_PARAMETER,
                        pattern.span,
                        message,
                    ));
                })
                .ok()
        });
        compiled.as_ref()
    }
}

fn is_null(node: &Node) -> bool {
    matches!(node, Node::Scalar(it) if it.value.value == Value::Null)
}

fn has_type(node: &Node, takes: ParameterType) -> bool {
    match node {
        Node::Scalar(Spanned { value: Scalar { value, .. }, .. }) => match value {
            Value::Null => false,
            Value::Boolean(_) => takes == ParameterType::Boolean,
            Value::Integer(_) => matches!(takes, ParameterType::Integer | ParameterType::Number),
            Value::Number(_) => takes == ParameterType::Number,
            Value::Text => takes == ParameterType::String,
        },
        Node::List(..) => takes == ParameterType::List,
        // A secret is text, once it is there.
        Node::Map(..) if secret_of(node).is_some() => {
            matches!(takes, ParameterType::String | ParameterType::Map)
        }
        Node::Map(..) => takes == ParameterType::Map,
        Node::Unknown(_) => true,
    }
}

fn word(takes: ParameterType) -> &'static str {
    match takes {
        ParameterType::String => "text",
        ParameterType::Integer => "an integer",
        ParameterType::Number => "a number",
        ParameterType::Boolean => "true or false",
        ParameterType::List => "a list",
        ParameterType::Map => "a map",
    }
}
