//! Expressions: `{{ … }}` in values, `when:`, and what is wrong with one, in an author's words.
//!
//! The template engine stands behind this module and `template` alone. It is given a bounded amount of
//! work and depth, and no way out: no file, no clock, no debugging function.

use crate::application::in_logic;
use crate::codes;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::dynamic::dynamic_part;
use crate::lower::nearest;
use crate::nesting::{self, TooDeep};
use crate::node::{Node, Scalar, Value as Plain};
use crate::scope::{DEPLOYMENT, Scope};
use crate::source::SourceSet;
use crate::span::{Span, Spanned};
use crate::value::{Met, Refusal, Secret, is_kept_secret, is_secret_name, spill, to_node, watch};
use minijinja::value::ValueKind;
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Expression, UndefinedBehavior, escape_formatter,
};
use std::collections::hash_map::RandomState;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::BuildHasher as _;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

/// The work that one value may cost, in the engine's units: one for a step or 64 bytes.
const VALUE_FUEL: u64 = 200_000;
/// The work that one template may cost.
pub(crate) const TEMPLATE_FUEL: u64 = 500_000;
/// How deeply macros, includes and loops may nest. Each takes stack.
const DEPTH: usize = 100;
/// Text in values is a template to the engine, and this before it is the template's name.
const TEXT: char = '\0';

/// How secrets are marked in a template's output; without marks a secret has no place there.
///
/// A mark is the secret's name with a digest of it, keyed with what nobody can know who writes a model
/// or a fact, because it is another key for each template. The digest is in letters of both cases, so
/// that filters for these change it. Neither the key nor a mark ever leaves this crate.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks(RandomState);

impl Marks {
    /// Noncharacters stand around a mark: a text that has one elsewhere is refused.
    pub(crate) const OPEN: char = '\u{fdd0}';
    pub(crate) const CLOSE: char = '\u{fdd1}';

    /// What stands between the two signs for this secret.
    pub(crate) fn mark(&self, name: &str) -> String {
        let digest = self.0.hash_one(name);
        let letters = (0..16u32).map(|at| {
            let base = if at % 2 == 0 { b'a' } else { b'A' };
            char::from(base + u8::try_from((digest >> (at * 4)) & 15).unwrap_or(0))
        });
        letters.chain(std::iter::once(':')).chain(name.chars()).collect()
    }

    /// The name of the secret that a mark stands for; `None` if it is none of ours, or was changed.
    pub(crate) fn read<'t>(&self, mark: &'t str) -> Option<&'t str> {
        let (_, name) = mark.split_once(':')?;
        (is_name(name) && self.mark(name) == mark).then_some(name)
    }
}

/// Whether a secret may be called so, of a model or of what is kept.
fn is_name(name: &str) -> bool {
    is_secret_name(name) || is_kept_secret(name)
}

/// An engine without templates.
pub(crate) fn environment(fuel: u64, marks: Option<Marks>) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    let mut syntax = minijinja::syntax::SyntaxConfig::builder();
    if let Ok(syntax) = syntax.keep_trailing_newline(true).trim_blocks(true).build() {
        environment.set_syntax(syntax);
    }
    environment.set_fuel(Some(fuel));
    environment.set_recursion_limit(DEPTH);
    // With it an error names what is undefined.
    environment.set_debug(true);
    environment.remove_global("debug");
    // It carries a value from one turn of a loop to the next, and `[x]` each time around is a value
    // that takes the whole stack when it is shown or dropped. The engine has no limit for that.
    environment.remove_global("namespace");
    environment.set_formatter(move |out, state, value| {
        if let Some(Secret(name)) = value.downcast_object_ref::<Secret>() {
            return match &marks {
                Some(marks) if is_name(name) => {
                    Ok(write!(out, "{}{}{}", Marks::OPEN, marks.mark(name), Marks::CLOSE)?)
                }
                Some(_) | None => {
                    spill();
                    Err(Error::new(ErrorKind::InvalidOperation, "a secret is not allowed here"))
                }
            };
        }
        if value.kind() == ValueKind::Bool {
            // As the model writes them.
            return Ok(out.write_str(if value.is_true() { "true" } else { "false" })?);
        }
        if value.is_none() {
            let detail = "null cannot be turned into text";
            return Err(Error::new(ErrorKind::InvalidOperation, detail));
        }
        escape_formatter(out, state, value)
    });
    environment
}

/// The engine for values: texts name their own templates.
pub(crate) fn for_values() -> Environment<'static> {
    let mut environment = environment(VALUE_FUEL, None);
    environment.set_loader(|name| Ok(name.strip_prefix(TEXT).map(str::to_owned)));
    environment
}

/// What a text with expressions is.
enum Form<'e> {
    /// One expression, which begins at this byte of the text.
    Whole(Rc<Expression<'e, 'static>>, usize),
    Text {
        /// What of it the engine has to see.
        part: Range<usize>,
        /// Whether that was met before.
        again: bool,
    },
    /// Nothing that the engine is given.
    Refused(TooDeep),
}

/// A text that looks like one expression, and that expression, if it is one.
type Whole<'e> = (Arc<str>, Option<Rc<Expression<'e, 'static>>>);

/// Evaluates expressions. What is met a second time stays compiled, which takes many times its size: most expressions
/// of a large model are met once, or very often. What was met is known by a number, as texts may be long. If two have
/// the same one, something stays compiled that is met once.
pub(crate) struct Engine<'e> {
    environment: &'e Environment<'static>,
    sources: &'e SourceSet,
    numbers: RandomState,
    /// None for what was met once.
    wholes: HashMap<u64, Option<Whole<'e>>>,
    /// Parts of texts that were met.
    parts: HashSet<u64>,
    conditions: HashMap<Arc<str>, Rc<Expression<'e, 'static>>>,
}

impl<'e> Engine<'e> {
    pub(crate) fn new(environment: &'e Environment<'static>, sources: &'e SourceSet) -> Engine<'e> {
        Engine {
            environment,
            sources,
            numbers: RandomState::new(),
            wholes: HashMap::new(),
            parts: HashSet::new(),
            conditions: HashMap::new(),
        }
    }

    fn form(&mut self, text: &Arc<str>) -> Form<'e> {
        if let Some((start, inner)) = inner(text) {
            match self.whole(text, inner) {
                Ok(Some(expression)) => return Form::Whole(expression, start),
                Ok(None) => {}
                Err(why) => return Form::Refused(why),
            }
        }
        let part = dynamic_part(text);
        if let Err(TooDeep(at)) = nesting::of_text(&text[part.clone()]) {
            return Form::Refused(TooDeep(at.start + part.start..at.end + part.start));
        }
        let number = self.numbers.hash_one(&text[part.clone()]);
        Form::Text { part, again: !self.parts.insert(number) }
    }

    /// None where the text is more than one expression, or a wrong one.
    fn whole(
        &mut self,
        text: &Arc<str>,
        inner: &str,
    ) -> Result<Option<Rc<Expression<'e, 'static>>>, TooDeep> {
        let number = self.numbers.hash_one(text);
        let met = self.wholes.get(&number);
        if let Some(Some((known, expression))) = met
            && known == text
        {
            return Ok(expression.clone());
        }
        nesting::of_text(text)?;
        let again = met.is_some();
        let expression = self.environment.compile_expression_owned(inner.to_owned()).ok();
        let expression = expression.map(Rc::new);
        self.wholes.insert(number, again.then(|| (Arc::clone(text), expression.clone())));
        Ok(expression)
    }

    /// The value of a text with expressions. What is wrong is reported, and nothing that needs the
    /// value is checked further.
    pub(crate) fn evaluate(
        &mut self,
        text: &Spanned<Arc<str>>,
        scope: &Arc<Scope>,
        diagnostics: &mut Diagnostics,
    ) -> Node {
        let node = self.value(text, scope, diagnostics);
        let Some(deployment) = scope.deployment().filter(|_| text.value.contains(DEPLOYMENT))
        else {
            return node;
        };
        if let Node::Unknown(_) = node {
            return node;
        }
        let Some((twin, other)) = scope.with_other_words() else { return node };
        let others = self.value(text, &Arc::new(twin), &mut Diagnostics::default());
        if deployment.differ_by_words(&node, &other, &others) {
            return node;
        }
        diagnostics.push(in_logic(text.span));
        Node::Unknown(text.span)
    }

    fn value(
        &mut self,
        text: &Spanned<Arc<str>>,
        scope: &Arc<Scope>,
        diagnostics: &mut Diagnostics,
    ) -> Node {
        let span = text.span;
        let (start, (result, met)) = match self.form(&text.value) {
            Form::Whole(expression, start) => {
                let work = || to_node(&expression.eval(scope.root())?, span);
                (start, watch(work))
            }
            Form::Text { part, again } => {
                let start = part.start;
                let (before, after) = (&text.value[..start], &text.value[part.end..]);
                let part = &text.value[part];
                let work = || {
                    let part = if again {
                        let name = format!("{TEXT}{part}");
                        self.environment.get_template(&name)?.render(scope.root())?
                    } else {
                        self.environment.render_str(part, scope.root())?
                    };
                    Ok(Node::text([before, &part, after].concat(), span))
                };
                (start, watch(work))
            }
            Form::Refused(why) => {
                diagnostics.push(self.diagnostic(&Why::Nests(why), text, 0, scope));
                return Node::Unknown(span);
            }
        };
        match judged(result, met) {
            Ok(Node::Unknown(_)) => Node::Unknown(span),
            Ok(node) => node,
            Err(why) => {
                diagnostics.push(self.diagnostic(&why, text, start, scope));
                Node::Unknown(span)
            }
        }
    }

    /// Whether a condition holds; `None` where that is not known here, or was reported as wrong.
    pub(crate) fn condition(
        &mut self,
        node: &Node,
        scope: &Arc<Scope>,
        diagnostics: &mut Diagnostics,
    ) -> Option<bool> {
        let text = match node {
            Node::Scalar(Spanned { value: Scalar { value: Plain::Boolean(it), .. }, .. }) => {
                return Some(*it);
            }
            Node::Scalar(Spanned { value: Scalar { value: Plain::Text, text, .. }, span }) => {
                Spanned::new(Arc::clone(text), *span)
            }
            Node::Unknown(_) => return None,
            Node::Scalar(_) | Node::List(..) | Node::Map(..) => {
                diagnostics.push(not_a_condition(node, node.describe()));
                return None;
            }
        };
        let whole = inner(&text.value).map_or((0, &*text.value), |it| it);
        let known = self.conditions.get(&text.value).map(Rc::clone);
        let expression = match known.map_or_else(|| self.compiled(whole.1), Ok) {
            Ok(expression) => expression,
            Err(why) => {
                diagnostics.push(self.diagnostic(&why, &text, whole.0, scope));
                return None;
            }
        };
        self.conditions.insert(Arc::clone(&text.value), Rc::clone(&expression));
        let (result, met) = watch(|| to_node(&expression.eval(scope.root())?, text.span));
        let result = match judged(result, met) {
            Ok(_) if met.secret && !met.unknown => Err(Why::Secret),
            other => other,
        };
        match result {
            Ok(Node::Unknown(_)) => None,
            Ok(Node::Scalar(Spanned {
                value: Scalar { value: Plain::Boolean(it), .. }, ..
            })) => Some(it),
            Ok(other) => {
                diagnostics.push(not_a_condition(&other, other.describe()));
                None
            }
            Err(why) => {
                diagnostics.push(self.diagnostic(&why, &text, whole.0, scope));
                None
            }
        }
    }

    fn compiled(&self, text: &str) -> Result<Rc<Expression<'e, 'static>>, Why> {
        nesting::of_expression(text).map_err(Why::Nests)?;
        let expression = self.environment.compile_expression_owned(text.to_owned());
        expression.map(Rc::new).map_err(Why::Error)
    }

    /// The names that a text with expressions may look up.
    pub(crate) fn names(&mut self, text: &Arc<str>) -> BTreeSet<String> {
        let names = match self.form(text) {
            Form::Whole(expression, _) => expression.undeclared_variables(false),
            Form::Text { part, .. } => {
                match self.environment.get_template(&format!("{TEXT}{}", &text[part])) {
                    Ok(template) => template.undeclared_variables(false),
                    Err(_) => return BTreeSet::new(), // It is reported where it is evaluated.
                }
            }
            Form::Refused(_) => return BTreeSet::new(), // So is this.
        };
        names.into_iter().collect()
    }

    fn diagnostic(
        &self,
        why: &Why,
        text: &Spanned<Arc<str>>,
        start: usize,
        scope: &Scope,
    ) -> Diagnostic {
        let source = text.value.get(start..).unwrap_or("");
        let fault = match why {
            Why::Secret => Fault::new(
                codes::MISPLACED_SECRET,
                "a secret cannot stand in an expression: its value would be seen",
            )
            .help(
                "write { secret: NAME } as the whole value, or give it to a template's variables",
            ),
            Why::Undefined => {
                let name = source.strip_suffix("}}").unwrap_or(source).trim_matches(BLANK);
                undefined(name, scope)
            }
            Why::Unfit(what) => {
                Fault::new(codes::WRONG_TYPE, format!("the value of the expression is {what}"))
            }
            Why::TooDeep => Fault::new(
                codes::TOO_DEEP,
                format!("the value nests deeper than {}", crate::yaml::MAX_DEPTH),
            ),
            Why::Nests(why) => Fault::too_deep(why),
            Why::Error(error) => {
                let fault = Fault::from_error(error, source, scope);
                if error.kind() == ErrorKind::SyntaxError {
                    fault.help("where {{ itself is meant, write {{ \"{{\" }}")
                } else {
                    fault
                }
            }
        };
        let range = match (why, &fault.range) {
            (Why::Error(_) | Why::Nests(_), Some(range)) => range.start + start..range.end + start,
            (_, _) => 0..text.value.len(),
        };
        fault.at(self.locate(text, range))
    }

    /// Where a part of a text stands in its file; the whole value where it is written with escapes or
    /// over several lines.
    fn locate(&self, text: &Spanned<Arc<str>>, range: Range<usize>) -> Span {
        let whole = text.span;
        let written = self
            .sources
            .get(whole.source)
            .and_then(|source| source.bytes.get(whole.start as usize..whole.end as usize));
        let Some(written) = written else { return whole };
        for quote in 0..=1usize {
            if written.get(quote..).is_some_and(|it| it.starts_with(text.value.as_bytes()))
                && range.end <= text.value.len()
                && let (Ok(start), Ok(end)) =
                    (u32::try_from(range.start + quote), u32::try_from(range.end + quote))
            {
                return Span { start: whole.start + start, end: whole.start + end, ..whole };
            }
        }
        whole
    }
}

const BLANK: [char; 4] = [' ', '\n', '-', '+'];

/// Why there is no value.
enum Why {
    Secret,
    Undefined,
    Unfit(String),
    TooDeep,
    /// What is to be evaluated, not what came of it.
    Nests(TooDeep),
    Error(Error),
}

/// What touches something unknown is unknown, whatever came of it; then secrets; then errors.
fn judged(result: Result<Node, Refusal>, met: Met) -> Result<Node, Why> {
    if met.unknown {
        return Ok(Node::Unknown(Span::default()));
    }
    if met.spilled {
        return Err(Why::Secret);
    }
    result.map_err(|refusal| match refusal {
        Refusal::Undefined => Why::Undefined,
        Refusal::Unfit(what) => Why::Unfit(what),
        Refusal::TooDeep => Why::TooDeep,
        Refusal::Failed(error) => Why::Error(error),
    })
}

fn not_a_condition(node: &Node, found: &str) -> Diagnostic {
    let message = format!("`when` must be true or false, and is {found}");
    Diagnostic::error(codes::WRONG_TYPE, node.span(), message)
        .help("compare it: NAME == \"value\", NAME is defined, NAME | length > 0")
}

/// The expression in a text that is nothing but one, and where it begins.
fn inner(text: &str) -> Option<(usize, &str)> {
    let inner = text.strip_prefix("{{")?.strip_suffix("}}")?;
    // Blanks around a whole value have no meaning, so neither has the sign that takes them away.
    let (start, inner) = match inner.strip_prefix(['-', '+']) {
        Some(inner) => (3, inner),
        None => (2, inner),
    };
    Some((start, inner.strip_suffix(['-', '+']).unwrap_or(inner)))
}

/// What is wrong with an expression or template, before it has a place.
#[derive(Debug)]
pub(crate) struct Fault {
    code: Code,
    message: String,
    label: String,
    help: Option<String>,
    /// Bytes of the text that was evaluated.
    pub(crate) range: Option<Range<usize>>,
}

impl Fault {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Fault {
        Fault { code, message: message.into(), label: String::new(), help: None, range: None }
    }

    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> Fault {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn at(self, span: Span) -> Diagnostic {
        let mut diagnostic = Diagnostic::error(self.code, span, self.message).label(self.label);
        diagnostic.help = self.help;
        diagnostic
    }

    /// Why the engine was not given a text.
    pub(crate) fn too_deep(TooDeep(range): &TooDeep) -> Fault {
        let most = nesting::MOST;
        let message =
            format!("this has more than {most} operators, brackets or branches one within another");
        let fault = Fault::new(codes::TEMPLATE_LIMIT, message).help(
            "`[a, b, c] | join` in place of a ~ b ~ c, and `x in [a, b, c]` in place of many `or`",
        );
        Fault { range: Some(range.clone()), ..fault }
    }

    /// The engine's error in our words. `source` is the text that it happened in.
    pub(crate) fn from_error(error: &Error, source: &str, scope: &Scope) -> Fault {
        let detail = error.detail().unwrap_or("");
        let range = error.range();
        let marked = range.clone().and_then(|range| source.get(range)).unwrap_or("");
        let mut fault = if let Some(name) = undefined_name(detail) {
            undefined(name, scope)
        } else if error.kind() == ErrorKind::UndefinedError {
            undefined(marked.trim_matches(BLANK), scope)
        } else if error.kind() == ErrorKind::OutOfFuel {
            Fault::new(codes::TEMPLATE_LIMIT, "this takes too long")
                .help("a loop that has no end, or a text or list that grows without bounds")
        } else if detail == "recursion limit exceeded" {
            let message = format!("this nests deeper than {DEPTH}");
            Fault::new(codes::TEMPLATE_LIMIT, message)
                .help("a macro or template that calls itself without end")
        } else if error.kind() == ErrorKind::TemplateNotFound {
            let message =
                detail.replace("tried to include non-existing template", "there is no template");
            Fault::new(codes::UNKNOWN_FILE, message)
                .help("paths are below the model's root, or beside the template that names them")
        } else if detail.contains("namespace") && error.kind() == ErrorKind::UnknownFunction {
            Fault::new(codes::BAD_TEMPLATE, "`namespace` is not available: a loop carries no state")
                .help("use filters instead: select, map, sum, unique, join")
        } else if detail.is_empty() {
            Fault::new(codes::BAD_TEMPLATE, error.kind().to_string())
        } else if error.kind() == ErrorKind::InvalidOperation {
            Fault::new(codes::BAD_TEMPLATE, detail)
        } else {
            Fault::new(codes::BAD_TEMPLATE, format!("{}: {detail}", error.kind()))
        };
        fault.range = range;
        fault
    }
}

/// `a.b` of "… `a.b` is undefined …".
fn undefined_name(detail: &str) -> Option<&str> {
    let (before, _) = detail.split_once("` is undefined")?;
    before.rsplit_once('`').map(|(_, name)| name)
}

fn undefined(name: &str, scope: &Scope) -> Fault {
    let message = if name.is_empty() {
        "a name is not defined here".to_owned()
    } else {
        format!("`{name}` is not defined here")
    };
    let mut fault = Fault::new(codes::UNDEFINED_NAME, message);
    let Missing { path, part, keys } = missing(name, scope);
    let known: Vec<&str> = keys.iter().map(|it| &**it).collect();
    if let Some(near) = nearest(part, &known).filter(|_| !part.is_empty()) {
        let meant = match path.is_empty() {
            true => near.to_owned(),
            // There a `-` would be a minus.
            false if near.contains('-') => format!("{path}[\"{near}\"]"),
            false => format!("{path}.{near}"),
        };
        fault.label = format!("did you mean `{meant}`?");
    }
    let place = if path.is_empty() { "here".to_owned() } else { format!("in `{path}`") };
    fault.help(format!("names {place}: {}", known.join(", ")))
}

/// How far a name leads, its first part that is not there, and what is there instead.
struct Missing<'n> {
    path: String,
    part: &'n str,
    keys: Vec<Arc<str>>,
}

fn missing<'n>(name: &'n str, scope: &Scope) -> Missing<'n> {
    let mut parts = name.split('.');
    let first = parts.next().unwrap_or("");
    let here = || scope.names().map(Arc::from).collect();
    let Some(mut value) = scope.get(first).cloned() else {
        return Missing { path: String::new(), part: first, keys: here() };
    };
    let mut path = first.to_owned();
    for part in parts {
        match value.get_attr(part) {
            Ok(below) if !below.is_undefined() => value = below,
            Ok(_) | Err(_) => {
                let keys = value.try_iter().into_iter().flatten();
                let keys: Vec<Arc<str>> = keys.filter_map(|key| key.to_str()).collect();
                if keys.is_empty() {
                    break;
                }
                return Missing { path, part, keys };
            }
        }
        path.push('.');
        path.push_str(part);
    }
    Missing { path: String::new(), part: "", keys: here() }
}
