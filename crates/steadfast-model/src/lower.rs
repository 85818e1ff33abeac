//! From the untyped tree to typed fields: reads what can be understood, reports all that cannot.
//!
//! A kind lowers its promise like this:
//!
//! ```text
//! let mut fields = Fields::read(body, "group", FIELDS, cx)?;
//! let gid = fields.integer("gid");          // Option: a bad one has already been reported
//! let state = fields.one_of("state", &[("present", true), ("absent", false)]);
//! fields.complete().then(|| Desired { … })  // None if anything was wrong, or is not known here
//! ```

use crate::codes;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::node::{Entry, Node, Scalar, Style, Value};
use crate::schema::Field;
use crate::scope::Scope;
use crate::source::{Source, SourceSet};
use crate::span::{SourceId, Span, Spanned};
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

/// Text that may have secrets in it. Their values are not known to the model; the node puts them in
/// at the moment of writing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rendered {
    pub pieces: Arc<[Piece]>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Piece {
    Plain(Arc<str>),
    /// The name of a secret.
    Secret(Arc<str>),
}

impl Rendered {
    pub fn plain(text: impl Into<Arc<str>>) -> Rendered {
        Rendered { pieces: Arc::from([Piece::Plain(text.into())]) }
    }

    /// The text, if it has no secret in it.
    pub fn as_plain(&self) -> Option<Arc<str>> {
        match &*self.pieces {
            [] => Some(Arc::from("")),
            [Piece::Plain(text)] => Some(Arc::clone(text)),
            _ => None,
        }
    }

    pub fn secrets(&self) -> impl Iterator<Item = &Arc<str>> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Secret(name) => Some(name),
            Piece::Plain(_) => None,
        })
    }
}

/// What a kind's `lower` may use beside the promise's body: the model's files, the names in scope,
/// and a place for diagnostics. One for each promise.
#[derive(Debug)]
pub struct Lower<'a> {
    pub diagnostics: &'a mut Diagnostics,
    pub sources: &'a SourceSet,
    pub scope: &'a Scope,
    /// What was read of the model beside the body.
    pub read: Read,
    sound: bool,
}

/// What was read of the model to lower a promise, beside its body.
#[derive(Debug, Default)]
pub struct Read {
    pub files: Vec<SourceId>,
    /// The names that its templates have looked up in its scope.
    pub names: Vec<Arc<str>>,
    /// The files of its component's artifact, by their paths in the tree.
    pub of_artifact: Vec<Spanned<Arc<str>>>,
}

impl Read {
    pub(crate) fn file(&mut self, id: SourceId) {
        if !self.files.contains(&id) {
            self.files.push(id);
        }
    }
}

impl<'a> Lower<'a> {
    pub fn new(
        diagnostics: &'a mut Diagnostics,
        sources: &'a SourceSet,
        scope: &'a Scope,
    ) -> Lower<'a> {
        Lower { diagnostics, sources, scope, read: Read::default(), sound: true }
    }

    /// Whether nothing was wrong so far and nothing hangs on what is not known here.
    pub fn is_sound(&self) -> bool {
        self.sound
    }

    pub fn error(&mut self, code: Code, span: Span, message: impl Into<String>) {
        self.report(Diagnostic::error(code, span, message));
    }

    /// Reports; an error also makes the promise unsound.
    pub fn report(&mut self, diagnostic: Diagnostic) {
        if diagnostic.severity == crate::Severity::Error {
            self.sound = false;
        }
        self.diagnostics.push(diagnostic);
    }

    /// Text, or a report that it is something else; `what` names the field in messages.
    pub fn as_text(&mut self, node: &Node, what: &str) -> Option<Spanned<Arc<str>>> {
        let span = node.span();
        match node {
            Node::Scalar(Spanned { value: Scalar { value: Value::Text, text, .. }, .. }) => {
                Some(Spanned::new(Arc::clone(text), span))
            }
            // An expression has a type of its own; where text belongs, its text is meant.
            Node::Scalar(Spanned {
                value: Scalar { value: Value::Integer(_), text, style: Style::Computed },
                ..
            }) => Some(Spanned::new(Arc::clone(text), span)),
            Node::Scalar(Spanned {
                value:
                    Scalar {
                        value: Value::Integer(_) | Value::Number(_) | Value::Boolean(_),
                        text,
                        style: Style::Plain,
                    },
                ..
            }) => {
                let found = node.describe();
                self.report(
                    Diagnostic::error(
                        codes::UNQUOTED,
                        span,
                        format!("{what} is {found}, not text"),
                    )
                    .help(format!("put it in quotes: \"{text}\"")),
                );
                None
            }
            Node::Unknown(_) => self.unknown(),
            Node::Map(..) if node.get("secret").is_some() => {
                self.error(
                    codes::MISPLACED_SECRET,
                    span,
                    format!("a secret cannot stand in {what}: its value would be seen"),
                );
                None
            }
            Node::Scalar(_) | Node::List(..) | Node::Map(..) => self.wrong(node, what, "text"),
        }
    }

    /// Text that `parse` understands; its refusal becomes the message. What is no text is told to be put in
    /// quotes only where that is enough.
    pub fn as_parsed<T, E: Display>(
        &mut self,
        node: &Node,
        what: &str,
        code: Code,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        if let Node::Scalar(Spanned { value: Scalar { value, text, style: Style::Plain }, span }) =
            node
            && *value != Value::Text
            && *value != Value::Null
        {
            match parse(text) {
                Ok(_) => drop(self.as_text(node, what)),
                Err(refusal) => self.error(code, *span, refusal.to_string()),
            }
            return None;
        }
        let text = self.as_text(node, what)?;
        match parse(&text.value) {
            Ok(value) => Some(value),
            Err(refusal) => {
                self.error(code, text.span, refusal.to_string());
                None
            }
        }
    }

    pub fn as_boolean(&mut self, node: &Node, what: &str) -> Option<bool> {
        match node {
            Node::Scalar(Spanned { value: Scalar { value: Value::Boolean(it), .. }, .. }) => {
                Some(*it)
            }
            Node::Unknown(_) => self.unknown(),
            Node::Scalar(_) | Node::List(..) | Node::Map(..) => {
                self.wrong(node, what, "true or false")
            }
        }
    }

    pub fn as_integer(&mut self, node: &Node, what: &str) -> Option<Spanned<i64>> {
        match node {
            Node::Scalar(Spanned { value: Scalar { value: Value::Integer(it), .. }, span }) => {
                Some(Spanned::new(*it, *span))
            }
            Node::Unknown(_) => self.unknown(),
            Node::Scalar(_) | Node::List(..) | Node::Map(..) => {
                self.wrong(node, what, "an integer")
            }
        }
    }

    pub fn as_list<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [Node]> {
        match node {
            Node::List(items, _) => Some(items),
            Node::Unknown(_) => self.unknown(),
            Node::Scalar(_) | Node::Map(..) => self.wrong(node, what, "a list"),
        }
    }

    pub fn as_map<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [Entry]> {
        match node {
            Node::Map(entries, _) => Some(entries),
            Node::Unknown(_) => self.unknown(),
            Node::Scalar(_) | Node::List(..) => self.wrong(node, what, "a map"),
        }
    }

    /// `{ secret: NAME }` or text: what ends on the machine as it stands.
    pub fn as_rendered(&mut self, node: &Node, what: &str) -> Option<Rendered> {
        match node {
            Node::Map(entries, span) if entries.iter().any(|(key, _)| &*key.value == "secret") => {
                if let [(_, name)] = &**entries {
                    self.secret_name(name)
                        .map(|name| Rendered { pieces: Arc::from([Piece::Secret(name)]) })
                } else {
                    self.error(codes::BAD_VALUE, *span, "a secret has no other fields");
                    None
                }
            }
            Node::Scalar(_) | Node::List(..) | Node::Map(..) | Node::Unknown(_) => {
                self.as_text(node, what).map(|text| Rendered::plain(text.value))
            }
        }
    }

    /// One or more `[A-Za-z0-9_-][A-Za-z0-9._-]*` with `/` between.
    fn secret_name(&mut self, node: &Node) -> Option<Arc<str>> {
        let name = self.as_text(node, "`secret`")?;
        if !self.scope.may_name_secret(&name.value) {
            let message = format!("`{}` is not the name of a secret", name.value);
            self.report(
                Diagnostic::error(codes::BAD_NAME, name.span, message)
                    .help("letters, digits, `.`, `_`, `-`, with `/` between parts"),
            );
            return None;
        }
        Some(name.value)
    }

    /// A file of the model by the path that a promise names: below the model's root, or beside the
    /// file that refers to it.
    pub fn file(&mut self, path: &Spanned<Arc<str>>) -> Option<&'a Source> {
        let sources = self.sources;
        let beside = sources.get(path.span.source).and_then(|it| it.path.rsplit_once('/'));
        let found = beside
            .and_then(|(folder, _)| sources.find(&format!("{folder}/{}", path.value)))
            .or_else(|| sources.find(&path.value))
            .filter(|(_, it)| !it.path.starts_with('/'));
        if found.is_none() {
            self.report(
                Diagnostic::error(
                    codes::UNKNOWN_FILE,
                    path.span,
                    format!("the model has no file `{}`", path.value),
                )
                .help("paths are below the model's root, or beside the file that names them"),
            );
        }
        found.map(|(id, source)| {
            self.read.file(id);
            source
        })
    }

    /// Says that `node` is not `wanted`.
    pub fn wrong<T>(&mut self, node: &Node, what: &str, wanted: &str) -> Option<T> {
        let found = node.describe();
        self.error(
            codes::WRONG_TYPE,
            node.span(),
            format!("{what} must be {wanted}, and is {found}"),
        );
        None
    }

    /// Something hangs on what is not known here: no error, and nothing that could be checked.
    pub fn unknown<T>(&mut self) -> Option<T> {
        self.sound = false;
        None
    }
}

/// The fields of one map, read by name. Reports unknown fields when it is made, and every bad value
/// as it is read.
#[derive(Debug)]
pub struct Fields<'n, 'c, 'a> {
    pub cx: &'c mut Lower<'a>,
    kind: &'static str,
    entries: &'n [Entry],
    span: Span,
}

impl<'n, 'c, 'a> Fields<'n, 'c, 'a> {
    /// The fields of `body`, which must be a map. `kind` is what messages call the thing.
    pub fn read(
        body: &'n Node,
        kind: &'static str,
        known: &[Field],
        cx: &'c mut Lower<'a>,
    ) -> Option<Fields<'n, 'c, 'a>> {
        let known: Vec<&str> = known.iter().map(|field| field.name).collect();
        let entries = cx.as_map(body, &format!("a {kind}"))?;
        for (key, _) in entries {
            if !known.contains(&&*key.value) {
                let message = format!("`{kind}` has no field `{}`", key.value);
                let mut unknown = Diagnostic::error(codes::UNKNOWN_FIELD, key.span, message);
                if let Some(near) = nearest(&key.value, &known) {
                    unknown = unknown.label(format!("did you mean `{near}`?"));
                }
                cx.report(unknown.help(format!("fields of a {kind}: {}", known.join(", "))));
            }
        }
        Some(Fields { cx, kind, entries, span: body.span() })
    }

    pub fn span(&self) -> Span {
        self.span
    }

    pub fn has(&self, key: &str) -> bool {
        self.node(key).is_some()
    }

    pub fn node(&self, key: &str) -> Option<&'n Node> {
        self.entries.iter().find(|(name, _)| &*name.value == key).map(|(_, node)| node)
    }

    /// Where the field's name stands, for messages about the field itself.
    pub fn key_span(&self, key: &str) -> Span {
        self.entries
            .iter()
            .find(|(name, _)| &*name.value == key)
            .map_or(self.span, |(name, _)| name.span)
    }

    /// Reports the field if it is missing.
    pub fn require(&mut self, key: &str) -> bool {
        let there = self.has(key);
        if !there {
            let message = format!("`{}` needs the field `{key}`", self.kind);
            self.cx.error(codes::MISSING_FIELD, self.span, message);
        }
        there
    }

    /// Reports each field that is there and does not fit what else is: its name, whether it fits, and what
    /// is said where it does not.
    pub fn refuse_conflicts(&mut self, rules: &[(&str, bool, &str)]) {
        for (key, fits, message) in rules {
            if self.has(key) && !fits {
                self.cx.error(codes::CONFLICTING_FIELDS, self.key_span(key), *message);
            }
        }
    }

    pub fn text(&mut self, key: &str) -> Option<Spanned<Arc<str>>> {
        let node = self.node(key)?;
        self.cx.as_text(node, &format!("`{key}`"))
    }

    pub fn boolean(&mut self, key: &str) -> Option<bool> {
        let node = self.node(key)?;
        self.cx.as_boolean(node, &format!("`{key}`"))
    }

    pub fn integer(&mut self, key: &str) -> Option<Spanned<i64>> {
        let node = self.node(key)?;
        self.cx.as_integer(node, &format!("`{key}`"))
    }

    /// An integer from 0 to 4294967294, as uids and gids are (4294967295 means "none" to the kernel).
    pub fn id(&mut self, key: &str) -> Option<u32> {
        let number = self.integer(key)?;
        match u32::try_from(number.value) {
            Ok(id) if id < u32::MAX => Some(id),
            Ok(_) | Err(_) => {
                let message = format!("`{key}` must be from 0 to {}", u32::MAX - 1);
                self.cx.error(codes::BAD_VALUE, number.span, message);
                None
            }
        }
    }

    /// Text that `parse` understands; its refusal becomes the message.
    pub fn parsed<T, E: Display>(
        &mut self,
        key: &str,
        code: Code,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let node = self.node(key)?;
        self.cx.as_parsed(node, &format!("`{key}`"), code, parse)
    }

    /// A list of texts.
    pub fn texts(&mut self, key: &str) -> Option<Vec<Spanned<Arc<str>>>> {
        let node = self.node(key)?;
        let what = format!("`{key}`");
        let items = self.cx.as_list(node, &what)?;
        let texts: Vec<_> = items.iter().filter_map(|item| self.cx.as_text(item, &what)).collect();
        (texts.len() == items.len()).then_some(texts)
    }

    /// One text or a list of them; none where the field is not there.
    pub fn one_or_more(&mut self, key: &str) -> Vec<Spanned<Arc<str>>> {
        match self.node(key) {
            None => vec![],
            Some(Node::List(..)) => self.texts(key).unwrap_or_default(),
            Some(Node::Scalar(_) | Node::Map(..) | Node::Unknown(_)) => {
                self.text(key).into_iter().collect()
            }
        }
    }

    /// A list of texts that `parse` understands.
    pub fn parsed_list<T, E: Display>(
        &mut self,
        key: &str,
        code: Code,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let texts = self.texts(key)?;
        let mut values = Vec::with_capacity(texts.len());
        for text in &texts {
            match parse(&text.value) {
                Ok(value) => values.push(value),
                Err(refusal) => self.cx.error(code, text.span, refusal.to_string()),
            }
        }
        (values.len() == texts.len()).then_some(values)
    }

    /// One of a closed list of words.
    pub fn one_of<T: Clone>(&mut self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let found = choices.iter().find(|(word, _)| *word == &*text.value);
        if found.is_none() {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            let message = format!("`{key}` cannot be `{}`", text.value);
            let mut bad = Diagnostic::error(codes::BAD_VALUE, text.span, message);
            if let Some(near) = nearest(&text.value, &words) {
                bad = bad.label(format!("did you mean `{near}`?"));
            }
            self.cx.report(bad.help(format!("one of: {}", words.join(", "))));
        }
        found.map(|(_, value)| value.clone())
    }

    /// A time with its unit: `30s`, `15m`, `2h`, `7d`, or several together, `1h30m`.
    pub fn duration(&mut self, key: &str) -> Option<Duration> {
        if let Node::Scalar(scalar) = self.node(key)?
            && let Value::Integer(number) = scalar.value.value
        {
            let message = format!("`{key}` is a number without its unit");
            let bad = Diagnostic::error(codes::BAD_VALUE, scalar.span, message);
            self.cx.report(bad.help(format!("for seconds, write {number}s")));
            return None;
        }
        self.parsed(key, codes::BAD_VALUE, parse_duration)
    }

    /// Text or `{ secret: NAME }`.
    pub fn rendered(&mut self, key: &str) -> Option<Rendered> {
        let node = self.node(key)?;
        self.cx.as_rendered(node, &format!("`{key}`"))
    }

    pub fn error(&mut self, code: Code, span: Span, message: impl Into<String>) {
        self.cx.error(code, span, message);
    }

    /// Whether everything that was read was right, and known.
    pub fn complete(&self) -> bool {
        self.cx.is_sound()
    }
}

/// `30s`, `15m`, `2h`, `7d`, or several together.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let refuse = || {
        format!("`{text}` is not a time: write a number with its unit, as in 30s, 15m, 2h or 7d")
    };
    let (mut seconds, mut rest) = (0u64, text);
    while !rest.is_empty() {
        let digits = rest.find(|it: char| !it.is_ascii_digit()).ok_or_else(refuse)?;
        let number: u64 = rest[..digits].parse().map_err(|_| refuse())?;
        let unit = match rest.as_bytes()[digits] {
            b's' => 1,
            b'm' => 60,
            b'h' => 3_600,
            b'd' => 86_400,
            _ => return Err(refuse()),
        };
        seconds =
            number.checked_mul(unit).and_then(|it| it.checked_add(seconds)).ok_or_else(refuse)?;
        rest = &rest[digits + 1..];
    }
    if text.is_empty() { Err(refuse()) } else { Ok(Duration::from_secs(seconds)) }
}

/// The known word that a mistyped one probably meant.
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|it| (strsim::damerau_levenshtein(word, it), *it))
        .filter(|(distance, it)| *distance <= (it.len() / 3).max(1))
        .min()
        .map(|(_, it)| it)
}

/// The same mistake with the known words, and the one that was probably meant.
pub(crate) fn suggest(error: Diagnostic, word: &str, known: &[&str], what: &str) -> Diagnostic {
    let error = match nearest(word, known) {
        Some(near) => error.label(format!("did you mean `{near}`?")),
        None => error,
    };
    match known {
        [] => error.help(format!("{what}: none")),
        [..] => error.help(format!("{what}: {}", known.join(", "))),
    }
}
