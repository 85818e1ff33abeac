//! What the kinds of accounts have in common: lists of names with their forms, the short forms of a
//! promise, and words.

use sha2::Digest as _;
use std::fmt::Display;
use std::sync::Arc;
use steadfast_model::{Code, Diagnostic, Lower, Node, Scalar, Spanned, Value, codes};
use steadfast_system::SystemError;
use steadfast_system::text::safe;

/// Whether `present` or `absent` stands in the place of a promise's fields; none where it has fields
/// (or something that is neither, which is reported when the fields are read).
pub(crate) fn short_state(body: &Node, kind: &str, cx: &mut Lower<'_>) -> Option<Option<bool>> {
    let Node::Scalar(Spanned { value: Scalar { value: Value::Text, text, .. }, span }) = body
    else {
        return Some(None);
    };
    match &**text {
        "present" => Some(Some(true)),
        "absent" => Some(Some(false)),
        other => {
            let message = format!("a {kind} cannot be `{}`", other.escape_debug());
            cx.report(
                Diagnostic::error(codes::BAD_VALUE, *span, message)
                    .help("present, absent, or a map of fields"),
            );
            None
        }
    }
}

/// A list, or a map with one of `forms` as its only key and a list there. Gives the form (none for a
/// plain list) and the items, each once.
pub(crate) fn list_in_form<T: PartialEq, E: Display>(
    node: &Node,
    what: &str,
    forms: &[&'static str],
    code: Code,
    cx: &mut Lower<'_>,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Option<(Option<&'static str>, Vec<T>)> {
    let (form, list) = match node {
        Node::Map(entries, span) => {
            let forms_shown =
                || forms.iter().map(|it| format!("{{ {it}: […] }}")).collect::<Vec<_>>().join(", ");
            let [(key, list)] = &**entries else {
                let message = format!("{what} has one form");
                cx.report(
                    Diagnostic::error(codes::CONFLICTING_FIELDS, *span, message)
                        .help(format!("a list, or one of {}", forms_shown())),
                );
                return None;
            };
            let Some(form) = forms.iter().find(|it| **it == &*key.value) else {
                let message = format!("{what} has no form `{}`", key.value.escape_debug());
                cx.report(
                    Diagnostic::error(codes::UNKNOWN_FIELD, key.span, message)
                        .help(format!("a list, or one of {}", forms_shown())),
                );
                return None;
            };
            (Some(*form), list)
        }
        Node::Scalar(_) | Node::List(..) | Node::Unknown(_) => (None, node),
    };
    let nodes = cx.as_list(list, what)?;
    let mut items: Vec<T> = Vec::with_capacity(nodes.len());
    let mut sound = true;
    for node in nodes {
        match cx.as_parsed(node, what, code, &parse) {
            Some(item) if items.contains(&item) => {}
            Some(item) => items.push(item),
            None => sound = false,
        }
    }
    sound.then_some((form, items))
}

/// The rule for names holds for what we make. What a package has made has the name that it has.
pub(crate) const NOT_MADE: &str = "by this name it is kept where it is there, and not made: that takes lower \
    case letters, digits, `_` and `-`, 32 at most, a letter or `_` first";

/// `a, b and 3 more`: names for a message, made harmless for a terminal.
pub(crate) fn listed<T: Display>(items: &[T]) -> String {
    const SHOWN: usize = 5;
    let mut words: Vec<String> = items.iter().take(SHOWN).map(|it| safe(&it.to_string())).collect();
    if items.len() > SHOWN {
        let last = format!("{} more", items.len() - SHOWN);
        return format!("{} and {last}", words.join(", "));
    }
    match words.pop() {
        Some(last) if words.is_empty() => last,
        Some(last) => format!("{} and {last}", words.join(", ")),
        None => "nobody".to_owned(),
    }
}

/// An error with all its causes on one line.
pub(crate) fn because(error: &SystemError) -> String {
    error.chain().join(": ")
}

/// A digest of names and values.
pub(crate) fn digest(parts: &[(&'static str, String)]) -> [u8; 32] {
    let mut hash = sha2::Sha256::new();
    for (name, value) in parts {
        hash.update(name);
        hash.update([0]);
        hash.update(value);
        hash.update([0]);
    }
    hash.finalize().into()
}

/// One line of a file of accounts: no control character, no `:`.
pub(crate) fn one_field(text: &str) -> Result<Arc<str>, String> {
    if text.chars().any(|it| it == ':' || it.is_control()) {
        return Err("it would break a line of /etc/passwd: no `:` and no control character".into());
    }
    if text.len() > 1_024 {
        return Err("it is longer than 1,024 bytes".into());
    }
    Ok(Arc::from(text))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::Kind;
    use steadfast_model::scope::Scope;
    use steadfast_model::{Diagnostics, SourceSet, yaml};

    /// Lowers the only entry of a one-entry YAML map, and gives the diagnostics as text: one line each,
    /// with what is marked.
    pub(crate) fn lowered<K: Kind>(text: &str) -> Result<K::Desired, String> {
        let mut sources = SourceSet::default();
        let source = sources.add("test.yaml", text.as_bytes(), false);
        let mut diagnostics = Diagnostics::default();
        let read = yaml::read(source, sources.get(source).unwrap(), &mut diagnostics);
        let node = read.unwrap();
        let Node::Map(entries, _) = node else { panic!("a map") };
        let (name, body) = &entries[0];
        let scope = Scope::default();
        let mut cx = Lower::new(&mut diagnostics, &sources, &scope);
        let want = K::lower(name, body, &mut cx);
        let found: Vec<_> = diagnostics.iter().collect();
        if found.is_empty() {
            return Ok(want.expect("nothing reported, nothing lowered"));
        }
        assert!(want.is_none(), "lowered in spite of {found:?}");
        let shown = found.iter().map(|it| {
            let marked = &text[it.span.start as usize..it.span.end as usize];
            format!("{}: {} @ {}", it.code.0, it.message, marked.trim_end())
        });
        Err(shown.collect::<Vec<_>>().join("\n"))
    }

    /// Lowers every entry of the example in a kind's documentation.
    pub(crate) fn lower_example<K: Kind>(file: &str) -> Vec<K::Desired> {
        let lines = file.lines().skip_while(|it| *it != "//! ```yaml").skip(1);
        let lines: Vec<&str> =
            lines.take_while(|it| *it != "//! ```").map(|it| &it["//! ".len()..]).collect();
        let mut sources = SourceSet::default();
        let source = sources.add("example.yaml", lines.join("\n").as_bytes(), false);
        let mut diagnostics = Diagnostics::default();
        let read = yaml::read(source, sources.get(source).unwrap(), &mut diagnostics);
        let Some(Node::Map(sections, _)) = read else { panic!("a map") };
        let Node::Map(entries, _) = &sections[0].1 else { panic!("a section") };
        let scope = Scope::default();
        let lower = |(name, body): &(Spanned<Arc<str>>, Node)| {
            K::lower(name, body, &mut Lower::new(&mut diagnostics, &sources, &scope))
        };
        let wants = entries.iter().filter_map(lower).collect();
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        wants
    }

    #[test]
    fn the_examples_are_understood() {
        use crate::{group::Group, user::User};
        assert_eq!(lower_example::<Group>(include_str!("group.rs")).len(), 4);
        assert_eq!(lower_example::<Group>(include_str!("members.rs")).len(), 2);
        assert_eq!(lower_example::<User>(include_str!("user/mod.rs")).len(), 3);
    }

    #[test]
    fn lists_of_names_are_bounded_and_harmless() {
        assert_eq!(listed::<&str>(&[]), "nobody");
        assert_eq!(listed(&["a"]), "a");
        assert_eq!(listed(&["a", "b\x1b", "c"]), "a, b\\u{1b} and c");
        assert_eq!(listed(&[1, 2, 3, 4, 5, 6, 7]), "1, 2, 3, 4, 5 and 2 more");
    }
}
