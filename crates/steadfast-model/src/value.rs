//! Between the tree and the values of expressions, both ways, and a watch over what an expression has
//! touched: what is not known here, and secrets.
//!
//! The watch is how a result is known to hang on an unknown fact. Every way to a value leads through a
//! lookup in [`Scope`](crate::Scope) or [`Tree`], and each lookup that meets something unknown is
//! noted, whatever the expression does with it (`is defined`, `default`, a comparison). So a result
//! without a note does not hang on it. The notes belong to the thread, because an expression is
//! evaluated on one thread from beginning to end and an object has no other way to its evaluation.

use crate::node::{Entry, Node, Scalar, Style, Value as Plain};
use crate::span::{Span, Spanned};
use minijinja::Value;
use minijinja::value::{Enumerator, Object, ObjectRepr, ValueKind};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::Arc;

/// What an evaluation has met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Met {
    /// Something that is not known here.
    pub(crate) unknown: bool,
    /// A secret was looked at.
    pub(crate) secret: bool,
    /// A secret was made into text elsewhere than in a template's output.
    pub(crate) spilled: bool,
}

thread_local! {
    static MET: Cell<Met> = const { Cell::new(Met { unknown: false, secret: false, spilled: false }) };
    static NAMES: RefCell<Vec<Arc<str>>> = const { RefCell::new(vec![]) };
}

/// Runs `work` and tells which names of its scope were looked up, each once.
pub(crate) fn looked_up<T>(work: impl FnOnce() -> T) -> (T, Vec<Arc<str>>) {
    let before = NAMES.take();
    let result = work();
    (result, NAMES.replace(before))
}

/// Notes that a name of a scope was looked up.
pub(crate) fn note_name(name: &Arc<str>) {
    NAMES.with_borrow_mut(|names| {
        if !names.contains(name) {
            names.push(Arc::clone(name));
        }
    });
}

/// Runs `work` and tells what it met.
pub(crate) fn watch<T>(work: impl FnOnce() -> T) -> (T, Met) {
    let before = MET.replace(Met::default());
    let result = work();
    (result, MET.replace(before))
}

fn meet(what: impl FnOnce(&mut Met)) {
    let mut met = MET.get();
    what(&mut met);
    MET.set(met);
}

/// Notes that a secret was about to become text where it has no place.
pub(crate) fn spill() {
    meet(|it| it.spilled = true);
}

/// Notes that a lookup has led to this value.
pub(crate) fn note(value: Value) -> Value {
    if value.downcast_object_ref::<Unknown>().is_some() {
        meet(|it| it.unknown = true);
    } else if value.downcast_object_ref::<Secret>().is_some() {
        meet(|it| it.secret = true);
    }
    value
}

/// A value that hangs on a fact which is not known here.
#[derive(Debug)]
pub(crate) struct Unknown;

impl Object for Unknown {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}

/// A secret, by its name. Its value is not known to the model, so all that can be done with it is to
/// hand it on, or to put it out in a template as it is.
#[derive(Debug)]
pub(crate) struct Secret(pub(crate) Arc<str>);

impl Object for Secret {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // To refuse here would be a panic in `to_string`: the evaluation is refused afterwards.
        spill();
        f.write_str("(a secret)")
    }
}

/// A list or map of the model.
#[derive(Debug)]
pub(crate) struct Tree(Node);

impl Object for Tree {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        match &self.0 {
            Node::List(..) => ObjectRepr::Seq,
            Node::Map(..) | Node::Scalar(_) | Node::Unknown(_) => ObjectRepr::Map,
        }
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match &self.0 {
            Node::List(items, _) => items.get(key.as_usize()?).map(|it| note(of_node(it))),
            Node::Map(..) | Node::Scalar(_) | Node::Unknown(_) => {
                self.get_value_by_str(key.as_str()?)
            }
        }
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.0.get(key).map(|it| note(of_node(it)))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        match &self.0 {
            Node::List(items, _) => Enumerator::Seq(items.len()),
            Node::Map(entries, _) => {
                Enumerator::Values(entries.iter().map(|(key, _)| Value::from(&key.value)).collect())
            }
            Node::Scalar(_) | Node::Unknown(_) => Enumerator::Empty,
        }
    }
}

/// The name in `{ secret: NAME }`.
pub(crate) fn secret_of(node: &Node) -> Option<&Arc<str>> {
    let Node::Map(entries, _) = node else { return None };
    match &**entries {
        [(key, Node::Scalar(name))]
            if &*key.value == "secret" && name.value.value == Plain::Text =>
        {
            Some(&name.value.text)
        }
        _ => None,
    }
}

/// One or more `[A-Za-z0-9_-][A-Za-z0-9._-]*` with `/` between.
pub(crate) fn is_secret_name(name: &str) -> bool {
    name.split('/').all(|part| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|it| it.is_ascii_alphanumeric() || b"._-".contains(&it))
    })
}

/// `NAME@DIGEST`: the value of a secret that is kept for a deployment.
pub(crate) fn is_kept_secret(name: &str) -> bool {
    name.split_once('@').is_some_and(|(name, digest)| {
        is_secret_name(name)
            && digest.len() == 64
            && digest.bytes().all(|it| it.is_ascii_hexdigit())
    })
}

/// What an expression sees of a node.
pub(crate) fn of_node(node: &Node) -> Value {
    match node {
        Node::Scalar(scalar) => match scalar.value.value {
            Plain::Null => Value::from(()),
            Plain::Boolean(it) => Value::from(it),
            Plain::Integer(it) => Value::from(it),
            Plain::Number(it) => Value::from(it),
            Plain::Text => Value::from(&scalar.value.text),
        },
        Node::List(..) | Node::Map(..) => match secret_of(node) {
            Some(name) => Value::from_object(Secret(Arc::clone(name))),
            None => Value::from_object(Tree(node.clone())),
        },
        Node::Unknown(_) => unknown(),
    }
}

pub(crate) fn unknown() -> Value {
    Value::from_object(Unknown)
}

/// What an expression sees of recorded or gathered facts.
pub(crate) fn of_json(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(it) => Value::from(*it),
        serde_json::Value::Number(it) => match (it.as_i64(), it.as_u64()) {
            (Some(it), _) => Value::from(it),
            (None, Some(it)) => Value::from(it),
            (None, None) => Value::from(it.as_f64().unwrap_or(0.0)),
        },
        serde_json::Value::String(it) => Value::from(it.as_str()),
        serde_json::Value::Array(items) => {
            Value::from(items.iter().map(of_json).collect::<Vec<_>>())
        }
        serde_json::Value::Object(entries) => {
            Value::from_pairs(entries.iter().map(|(key, it)| (key.as_str(), of_json(it))))
        }
    }
}

/// Why a value cannot stand in the model.
#[derive(Debug)]
pub(crate) enum Refusal {
    Undefined,
    /// It is something that the model has no word for.
    Unfit(String),
    TooDeep,
    Failed(minijinja::Error),
}

impl From<minijinja::Error> for Refusal {
    fn from(error: minijinja::Error) -> Refusal {
        Refusal::Failed(error)
    }
}

/// What a value is as a node at `span`.
pub(crate) fn to_node(value: &Value, span: Span) -> Result<Node, Refusal> {
    build(value, span, crate::yaml::MAX_DEPTH)
}

fn build(value: &Value, span: Span, depth: usize) -> Result<Node, Refusal> {
    if let Some(Tree(node)) = value.downcast_object_ref::<Tree>() {
        return respan(node, span, depth).ok_or(Refusal::TooDeep);
    }
    if let Some(Secret(name)) = value.downcast_object_ref::<Secret>() {
        let name = (Spanned::new(Arc::from("secret"), span), Node::text(Arc::clone(name), span));
        return Ok(Node::Map(Arc::from([name]), span));
    }
    if value.downcast_object_ref::<Unknown>().is_some() {
        return Ok(Node::Unknown(span));
    }
    let below = depth.checked_sub(1).ok_or(Refusal::TooDeep)?;
    match value.kind() {
        ValueKind::Undefined => Err(Refusal::Undefined),
        ValueKind::None => Ok(Node::computed(Plain::Null, "", span)),
        ValueKind::Bool => {
            let it = value.is_true();
            Ok(Node::computed(Plain::Boolean(it), if it { "true" } else { "false" }, span))
        }
        ValueKind::Number => number(value, span),
        ValueKind::String => Ok(Node::text(value.to_str().unwrap_or_else(|| Arc::from("")), span)),
        ValueKind::Seq | ValueKind::Iterable => {
            let mut items = vec![];
            for item in value.try_iter()?.checked() {
                items.push(build(&note(item?), span, below)?);
            }
            Ok(Node::List(Arc::from(items), span))
        }
        ValueKind::Map => {
            let mut entries: Vec<Entry> = vec![];
            for key in value.try_iter()?.checked() {
                let key = key?;
                let item = value.get_item(&key)?;
                if !matches!(key.kind(), ValueKind::String | ValueKind::Number) {
                    return Err(Refusal::Unfit(format!("a map with {} as a key", key.kind())));
                }
                let text = Arc::from(key.to_string());
                entries.push((Spanned::new(text, span), build(&note(item), span, below)?));
            }
            Ok(Node::Map(Arc::from(entries), span))
        }
        ValueKind::Plain => Err(Refusal::Unfit("a function".to_owned())),
        ValueKind::Bytes | ValueKind::Invalid | _ => Err(Refusal::Unfit(value.kind().to_string())),
    }
}

fn number(value: &Value, span: Span) -> Result<Node, Refusal> {
    if value.is_integer() {
        let it = value.as_i64().ok_or_else(|| Refusal::Unfit("so large a number".to_owned()))?;
        return Ok(Node::computed(Plain::Integer(it), it.to_string(), span));
    }
    match f64::try_from(value.clone()) {
        Ok(it) if it.is_finite() => Ok(Node::computed(Plain::Number(it), value.to_string(), span)),
        Ok(_) | Err(_) => Err(Refusal::Unfit(format!("the number {value}"))),
    }
}

/// The same tree as the result of an expression at `span`.
fn respan(node: &Node, span: Span, depth: usize) -> Option<Node> {
    Some(match node {
        Node::Scalar(it) => {
            let (value, text) = (it.value.value, Arc::clone(&it.value.text));
            Node::Scalar(Spanned::new(Scalar { value, text, style: Style::Computed }, span))
        }
        Node::List(items, _) => {
            let below = depth.checked_sub(1)?;
            let items: Option<Vec<Node>> = items.iter().map(|it| respan(it, span, below)).collect();
            Node::List(Arc::from(items?), span)
        }
        Node::Map(entries, _) => {
            let below = depth.checked_sub(1)?;
            let entries: Option<Vec<Entry>> = entries
                .iter()
                .map(|(key, it)| {
                    let key = Spanned::new(Arc::clone(&key.value), span);
                    Some((key, respan(it, span, below)?))
                })
                .collect();
            Node::Map(Arc::from(entries?), span)
        }
        Node::Unknown(_) => Node::Unknown(span),
    })
}
