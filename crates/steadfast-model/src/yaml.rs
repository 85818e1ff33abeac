//! From YAML 1.2 text to the spanned tree. What YAML 1.1 would have read otherwise is an error here,
//! never a silent change: `no`, `0644`. Limits hold before anything is allocated for what is too much.
//!
//! The parser stands behind this module alone (decision 0001).

use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::node::{Entry, Node, Scalar, Style, Value};
use crate::source::Source;
use crate::span::{SourceId, Span, Spanned};
use granit_parser::{ErrorKind, Event, Options, Parser, ScalarStyle};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The most bytes that a document may have: 16 MiB.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;
/// How deep lists and maps may nest.
pub const MAX_DEPTH: usize = 64;
/// How many nodes a document may have, each alias counted with all that it stands for.
pub const MAX_NODES: usize = 1_000_000;

/// Reads the document of a file, or all of its documents where it may hold `several`. What there is no tree
/// of is left out; all that was wrong is reported.
pub fn read_all(
    id: SourceId,
    source: &Source,
    several: bool,
    diagnostics: &mut Diagnostics,
) -> Vec<Node> {
    match text(id, source, diagnostics) {
        Some(text) => Reader::new(id, several, diagnostics).read(text),
        None => vec![],
    }
}

/// Reads one document. `None` if there is no tree to go on with; all that was wrong is reported.
pub fn read(id: SourceId, source: &Source, diagnostics: &mut Diagnostics) -> Option<Node> {
    read_all(id, source, false, diagnostics).pop()
}

/// The text of a file that is small enough to be read.
fn text<'s>(id: SourceId, source: &'s Source, diagnostics: &mut Diagnostics) -> Option<&'s str> {
    let whole = Span { source: id, start: 0, end: 0 };
    if source.bytes.len() > MAX_BYTES {
        let message = format!("{} is larger than 16 MiB", source.path);
        diagnostics.push(Diagnostic::error(codes::TOO_LARGE, whole, message));
        return None;
    }
    match std::str::from_utf8(&source.bytes) {
        Ok(text) => Some(text),
        Err(error) => {
            let start = offset(error.valid_up_to());
            let place = Span { source: id, start, end: start };
            let message = format!("{} is not UTF-8", source.path);
            diagnostics.push(Diagnostic::error(codes::NOT_UTF_8, place, message));
            None
        }
    }
}

/// A list or map that has begun and not ended.
enum Open {
    List {
        items: Vec<Node>,
        start: u32,
        anchor: usize,
        weight: usize,
    },
    Map {
        entries: Vec<Entry>,
        seen: HashMap<Arc<str>, Span>,
        /// A key whose value comes next; `Err` for one that has been refused, with its value to come.
        key: Option<Result<Spanned<Arc<str>>, ()>>,
        start: u32,
        anchor: usize,
        weight: usize,
    },
}

struct Reader<'d> {
    id: SourceId,
    diagnostics: &'d mut Diagnostics,
    stack: Vec<Open>,
    root: Option<Node>,
    anchors: BTreeMap<usize, (Node, usize)>,
    nodes: usize,
    documents: usize,
    /// Whether there may be more than one document.
    several: bool,
    /// The documents that have ended.
    done: Vec<Node>,
}

/// Documents are at most 16 MiB, so an offset fits.
fn offset(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

impl Reader<'_> {
    fn new(id: SourceId, several: bool, diagnostics: &mut Diagnostics) -> Reader<'_> {
        let (stack, root, anchors, done) = (vec![], None, BTreeMap::new(), vec![]);
        Reader { id, diagnostics, stack, root, anchors, nodes: 0, documents: 0, several, done }
    }

    fn read(mut self, text: &str) -> Vec<Node> {
        let mut options = Options::default();
        options.emit_comments = false;
        options.flow_nesting_limit = MAX_DEPTH;
        options.block_nesting_limit = MAX_DEPTH;
        for event in Parser::new_from_str_with_options(text, options) {
            let (event, place) = match event {
                Ok((event, span)) => {
                    let start = span.start.byte_offset().unwrap_or(0);
                    let end = span.end.byte_offset().unwrap_or(start);
                    (event, self.span(start, end))
                }
                Err(error) => {
                    let at = error.marker().byte_offset().unwrap_or(0).min(text.len());
                    let place = self.span(at, at);
                    if *error.kind() == ErrorKind::RecursionLimitExceeded {
                        self.too_deep(place);
                    } else {
                        self.error(codes::BAD_YAML, place, error.info());
                    }
                    return vec![];
                }
            };
            if !self.take(event, place) {
                return vec![];
            }
        }
        self.end_document();
        if self.done.is_empty() {
            let nothing = self.span(0, 0);
            self.done.push(Node::computed(Value::Null, "", nothing));
        }
        self.done
    }

    fn end_document(&mut self) {
        self.done.extend(self.root.take());
        self.anchors.clear();
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span { source: self.id, start: offset(start), end: offset(end.max(start)) }
    }

    fn error(&mut self, code: crate::Code, place: Span, message: impl Into<String>) {
        self.diagnostics.push(Diagnostic::error(code, place, message));
    }

    /// Takes one event in. False when reading on would be pointless or too much.
    fn take(&mut self, event: Event<'_>, place: Span) -> bool {
        match event {
            Event::StreamStart | Event::StreamEnd => true,
            Event::DocumentEnd => {
                self.end_document();
                true
            }
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 && !self.several {
                    self.error(
                        codes::BAD_YAML,
                        place,
                        "a file holds one document; this is a second",
                    );
                }
                self.documents == 1 || self.several
            }
            Event::Scalar(text, style, anchor, tag) => {
                if tag.is_some() {
                    self.error(codes::YAML_TAG, place, "tags have no meaning here");
                }
                if !self.count(1, place) {
                    return false;
                }
                if self.expects_key() {
                    self.key(Arc::from(&*text), place);
                    return true;
                }
                let node = self.scalar(&text, style, place);
                self.put(node, anchor, 1);
                true
            }
            Event::SequenceStart(_, anchor, tag) => {
                let (items, start, weight) = (vec![], place.start, 1);
                self.open(Open::List { items, start, anchor, weight }, tag.is_some(), place)
            }
            Event::MappingStart(_, anchor, tag) => {
                let (entries, seen, key) = (vec![], HashMap::new(), None);
                let (start, weight) = (place.start, 1);
                let open = Open::Map { entries, seen, key, start, anchor, weight };
                self.open(open, tag.is_some(), place)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                self.close(place);
                true
            }
            Event::Alias(anchor) => self.alias(anchor, place),
            // These are events only where they are asked for, and the parser's list is open.
            Event::Anchor(..) | Event::UnresolvedAlias(_) | Event::Comment(..) | _ => true,
        }
    }

    /// Puts what an anchor names where its alias stands. It counts in full each time, so that a short
    /// document cannot become a huge one.
    fn alias(&mut self, anchor: usize, place: Span) -> bool {
        let Some((node, weight)) = self.anchors.get(&anchor).cloned() else {
            self.error(codes::BAD_YAML, place, "an alias cannot stand inside what it names");
            return false;
        };
        if !self.count(weight, place) {
            return false;
        }
        if self.expects_key() {
            self.error(codes::BAD_YAML, place, "a key cannot be an alias");
            self.refuse_key();
        } else {
            self.put(node, 0, weight);
        }
        true
    }

    fn too_deep(&mut self, place: Span) {
        let message = format!("lists and maps nest deeper than {MAX_DEPTH}");
        self.error(codes::TOO_DEEP, place, message);
    }

    fn count(&mut self, weight: usize, place: Span) -> bool {
        self.nodes = self.nodes.saturating_add(weight);
        if self.nodes > MAX_NODES {
            let message = "the document has more than 1,000,000 nodes, aliases counted in full";
            self.error(codes::TOO_LARGE, place, message);
        }
        self.nodes <= MAX_NODES
    }

    fn expects_key(&self) -> bool {
        matches!(self.stack.last(), Some(Open::Map { key: None, .. }))
    }

    fn refuse_key(&mut self) {
        if let Some(Open::Map { key, .. }) = self.stack.last_mut() {
            *key = Some(Err(()));
        }
    }

    fn key(&mut self, text: Arc<str>, place: Span) {
        if &*text == "<<" {
            let error = Diagnostic::error(codes::BAD_YAML, place, "merge keys are not YAML 1.2");
            self.diagnostics
                .push(error.help("write the fields out, or use a bundle with parameters"));
            return self.refuse_key();
        }
        let Some(Open::Map { seen, key, .. }) = self.stack.last_mut() else { return };
        if let Some(first) = seen.get(&text) {
            let message = format!("`{text}` is given twice");
            let error = Diagnostic::error(codes::DUPLICATE_KEY, place, message)
                .label("again")
                .related(*first, "first here");
            *key = Some(Err(()));
            self.diagnostics.push(error);
        } else {
            seen.insert(Arc::clone(&text), place);
            *key = Some(Ok(Spanned::new(text, place)));
        }
    }

    fn open(&mut self, open: Open, tagged: bool, place: Span) -> bool {
        if tagged {
            self.error(codes::YAML_TAG, place, "tags have no meaning here");
        }
        if !self.count(1, place) {
            return false;
        }
        if self.stack.len() >= MAX_DEPTH {
            // Flow and block nesting have a limit each in the parser; this is the one for both.
            self.too_deep(place);
            return false;
        }
        if self.expects_key() {
            self.error(codes::BAD_YAML, place, "a key must be text, not a list or a map");
            self.refuse_key();
            // What stands there becomes the value of a key that has been refused, and its own value
            // would then be taken for a key: better no more errors than wrong ones.
            return false;
        }
        self.stack.push(open);
        true
    }

    fn close(&mut self, place: Span) {
        let source = self.id;
        let span = |start| Span { source, start, end: place.end.max(start) };
        let (node, anchor, weight) = match self.stack.pop() {
            Some(Open::List { items, start, anchor, weight }) => {
                (Node::List(Arc::from(items), span(start)), anchor, weight)
            }
            Some(Open::Map { entries, start, anchor, weight, .. }) => {
                (Node::Map(Arc::from(entries), span(start)), anchor, weight)
            }
            None => return,
        };
        self.put(node, anchor, weight);
    }

    /// Puts a finished node where it belongs.
    fn put(&mut self, node: Node, anchor: usize, weight: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), weight));
        }
        match self.stack.last_mut() {
            None => self.root = Some(node),
            Some(Open::List { items, weight: all, .. }) => {
                items.push(node);
                *all = all.saturating_add(weight);
            }
            Some(Open::Map { entries, key, weight: all, .. }) => {
                if let Some(Ok(key)) = key.take() {
                    entries.push((key, node));
                }
                *all = all.saturating_add(weight).saturating_add(1);
            }
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, place: Span) -> Node {
        let style = match style {
            ScalarStyle::Plain => Style::Plain,
            ScalarStyle::SingleQuoted
            | ScalarStyle::DoubleQuoted
            | ScalarStyle::Literal
            | ScalarStyle::Folded => Style::Quoted,
        };
        let value = match style {
            Style::Plain => plain(text).unwrap_or_else(|trap| {
                let error = Diagnostic::error(codes::YAML_TRAP, place, trap.message(text));
                self.diagnostics.push(error.help(trap.help(text)));
                // Unknown rather than text: one mistake is reported once.
                Value::Text
            }),
            Style::Quoted | Style::Computed => Value::Text,
        };
        Node::Scalar(Spanned::new(Scalar { value, text: Arc::from(text), style }, place))
    }
}

/// What YAML 1.1 and YAML 1.2 read differently.
#[derive(Clone, Copy)]
enum Trap {
    Word,
    LeadingZero,
}

impl Trap {
    fn message(self, text: &str) -> String {
        match self {
            Trap::Word => {
                format!("`{text}` is a boolean to some readers of YAML and text to others")
            }
            Trap::LeadingZero => {
                format!("`{text}` is octal to some readers of YAML and not to others")
            }
        }
    }

    fn help(self, text: &str) -> String {
        match self {
            Trap::Word => format!("write true or false, or put it in quotes: \"{text}\""),
            Trap::LeadingZero => format!("put it in quotes: \"{text}\""),
        }
    }
}

/// The value of a plain scalar by YAML 1.2's core schema, less what readers disagree about.
fn plain(text: &str) -> Result<Value, Trap> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Boolean(true)),
        "false" | "False" | "FALSE" => return Ok(Value::Boolean(false)),
        _ if ["yes", "no", "on", "off"].iter().any(|it| text.eq_ignore_ascii_case(it)) => {
            return Err(Trap::Word);
        }
        _ => {}
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.starts_with(|it: char| it.is_ascii_digit() || it == '.') {
        return Ok(Value::Text);
    }
    if digits.bytes().all(|it| it.is_ascii_digit()) {
        if digits.len() > 1 && digits.starts_with('0') {
            return Err(Trap::LeadingZero);
        }
        return Ok(text.parse().map_or(Value::Text, Value::Integer));
    }
    for (prefix, radix) in [("0o", 8), ("0x", 16)] {
        if let Some(rest) = text.strip_prefix(prefix) {
            let good = rest.bytes().all(|it| it.is_ascii_hexdigit());
            let number = i64::from_str_radix(rest, radix).ok().filter(|_| good);
            return Ok(number.map_or(Value::Text, Value::Integer));
        }
    }
    // A number has digits, one point, an exponent; `1.2.3` and `10:30` are text.
    let numeric = digits.bytes().all(|it| it.is_ascii_digit() || b".eE+-".contains(&it))
        && digits.bytes().any(|it| it.is_ascii_digit());
    let number = if numeric { text.parse().ok() } else { None };
    Ok(number.map_or(Value::Text, Value::Number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SourceSet;
    use expect_test::{Expect, expect};
    use proptest::prelude::*;
    use std::fmt::Write as _;

    fn parse(bytes: &[u8]) -> (Option<Node>, Diagnostics, SourceSet) {
        let mut sources = SourceSet::default();
        let id = sources.add("a.yaml", bytes, false);
        let mut diagnostics = Diagnostics::default();
        let node = read(id, sources.get(id).unwrap(), &mut diagnostics);
        (node, diagnostics, sources)
    }

    fn show(node: &Node, out: &mut String) {
        match node {
            Node::Scalar(it) => match it.value.value {
                Value::Text => write!(out, "{:?}", it.value.text).unwrap(),
                Value::Null => out.push_str("null"),
                Value::Boolean(it) => write!(out, "{it}").unwrap(),
                Value::Integer(it) => write!(out, "{it}").unwrap(),
                Value::Number(it) => write!(out, "{it:?}").unwrap(),
            },
            Node::List(items, _) => {
                out.push('[');
                for item in items.iter() {
                    show(item, out);
                    out.push(' ');
                }
                out.push(']');
            }
            Node::Map(entries, _) => {
                out.push('{');
                for (key, value) in entries.iter() {
                    write!(out, "{}: ", key.value).unwrap();
                    show(value, out);
                    out.push(' ');
                }
                out.push('}');
            }
            Node::Unknown(_) => out.push('?'),
        }
    }

    #[track_caller]
    fn check(text: &str, expected: Expect) {
        let (node, diagnostics, sources) = parse(text.as_bytes());
        let mut out = String::new();
        if let Some(node) = node {
            show(&node, &mut out);
        }
        for it in &diagnostics {
            let place = sources.place(it.span);
            write!(out, "\n{} at {}:{}: {}", it.code.0, place.line, place.column, it.message)
                .unwrap();
        }
        expected.assert_eq(&out);
    }

    #[test]
    fn values_have_the_types_of_yaml_1_2() {
        check(
            "[1, -2, 1.10, 0o17, 0x1f, 1_000, 1.2.3, 10:30, true, ~, null, a, '1', .5]",
            expect![[r#"[1 -2 1.1 15 31 "1_000" "1.2.3" "10:30" true null null "a" "1" 0.5 ]"#]],
        );
    }

    #[test]
    fn what_readers_disagree_about_is_an_error() {
        check(
            "a: no\nb: 0644\nc: \"no\"\nd: On",
            expect![[r#"
            {a: "no" b: "0644" c: "no" d: "On" }
            yaml-trap at 1:4: `no` is a boolean to some readers of YAML and text to others
            yaml-trap at 2:4: `0644` is octal to some readers of YAML and not to others
            yaml-trap at 4:4: `On` is a boolean to some readers of YAML and text to others"#]],
        );
    }

    #[test]
    fn duplicate_keys_are_errors_and_the_first_one_stays() {
        check(
            "a: 1\nb: 2\na: {x: 3}\n",
            expect![[r#"
                {a: 1 b: 2 }
                duplicate-key at 3:1: `a` is given twice"#]],
        );
    }

    #[test]
    fn keys_are_text_whatever_they_look_like() {
        check("1: a\ntrue: b\non: c\n", expect![[r#"{1: "a" true: "b" on: "c" }"#]]);
    }

    #[test]
    fn an_alias_is_what_it_names() {
        check("a: &x [1, 2]\nb: *x\n", expect!["{a: [1 2 ] b: [1 2 ] }"]);
    }

    #[test]
    fn merge_keys_tags_and_second_documents_are_refused() {
        check(
            "a: &x {b: 1}\nc: {<<: *x, d: 2}\n",
            expect![[r#"
            {a: {b: 1 } c: {d: 2 } }
            bad-yaml at 2:5: merge keys are not YAML 1.2"#]],
        );
        check(
            "a: !ruby/object {}\n",
            expect![[r#"
            {a: {} }
            yaml-tag at 1:17: tags have no meaning here"#]],
        );
        check(
            "a: 1\n---\nb: 2\n",
            expect![[r#"

            bad-yaml at 2:1: a file holds one document; this is a second"#]],
        );
    }

    #[test]
    fn an_empty_document_is_nothing() {
        check("", expect!["null"]);
        check("# only a comment\n", expect!["null"]);
    }

    #[test]
    fn deep_nesting_is_refused() {
        let (node, diagnostics, _) = parse("[".repeat(100_000).as_bytes());
        assert_eq!(node, None);
        assert_eq!(diagnostics.iter().next().unwrap().code, codes::TOO_DEEP);
        let fits = format!("{}{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
        assert!(parse(fits.as_bytes()).1.is_empty());
    }

    #[test]
    fn an_alias_bomb_is_counted_before_it_is_built() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let below = format!("*a{}, ", level - 1).repeat(10);
            writeln!(bomb, "a{level}: &a{level} [{below}]").unwrap();
        }
        let (node, diagnostics, _) = parse(bomb.as_bytes());
        assert_eq!(node, None);
        assert_eq!(diagnostics.iter().next().unwrap().code, codes::TOO_LARGE);
    }

    #[test]
    fn what_is_not_text_is_refused_where_it_stops_being_text() {
        let (node, diagnostics, sources) = parse(b"a: b\nc: \xff\n");
        assert_eq!(node, None);
        let found = diagnostics.iter().next().unwrap();
        assert_eq!(found.code, codes::NOT_UTF_8);
        assert_eq!(sources.place(found.span).to_string(), "a.yaml:2");
    }

    #[track_caller]
    fn spans_lie_within(node: &Node, end: usize) {
        let span = node.span();
        assert!(span.start <= span.end && span.end as usize <= end, "{node:?}");
        match node {
            Node::List(items, _) => items.iter().for_each(|it| spans_lie_within(it, end)),
            Node::Map(entries, _) => entries.iter().for_each(|(key, value)| {
                assert!(key.span.start <= key.span.end && key.span.end as usize <= end);
                spans_lie_within(value, end);
            }),
            Node::Scalar(_) | Node::Unknown(_) => {}
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(parse(&bytes));
        }

        #[test]
        fn no_yaml_like_text_makes_it_panic_or_point_outside(
            text in "([ \\-:\\[\\]{},&*!|>'\"#%@`a0~\n]|é|: |- |\n  |&a |\\*a|<<: ){0,60}"
        ) {
            let (node, diagnostics, _) = parse(text.as_bytes());
            if let Some(node) = node {
                spans_lie_within(&node, text.len());
            }
            for it in &diagnostics {
                prop_assert!(it.span.end as usize <= text.len());
            }
        }
    }
}
