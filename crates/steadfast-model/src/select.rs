//! Which entry of an environment is about a node: its exact name, else the one pattern that fits.

use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::document::{Environment, Model, Selector};
use crate::span::Spanned;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Whether a name in `nodes:` is a pattern.
pub fn is_glob(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// `*` is any text, `?` any character, `[a-z]` one of these, `[!a-z]` none of these. A `[` without an
/// end is itself.
pub fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // The last star, and how much of the name it has taken: the only place to come back to.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p, n));
            p += 1;
        } else if let Some(next) = one(&pattern, p, name[n]) {
            p = next;
            n += 1;
        } else if let Some((at, taken)) = star {
            star = Some((at, taken + 1));
            p = at + 1;
            n = taken + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|it| *it == '*')
}

/// Where the pattern goes on after it has taken `character`.
fn one(pattern: &[char], at: usize, character: char) -> Option<usize> {
    match pattern.get(at)? {
        '?' => Some(at + 1),
        '[' => match set(&pattern[at..], character) {
            Some((true, length)) => Some(at + length),
            Some((false, _)) => None,
            None => (character == '[').then_some(at + 1),
        },
        literal => (*literal == character).then_some(at + 1),
    }
}

/// Whether the set at the beginning has the character, and how long the set is.
fn set(pattern: &[char], character: char) -> Option<(bool, usize)> {
    let negated = matches!(pattern.get(1), Some('!' | '^'));
    let first = if negated { 2 } else { 1 };
    // A `]` in the first place is one of the set.
    let end = pattern.iter().skip(first + 1).position(|it| *it == ']')? + first + 1;
    let mut rest = &pattern[first..end];
    let mut found = false;
    while let [from, more @ ..] = rest {
        if let ['-', to, more @ ..] = more {
            found |= (*from..=*to).contains(&character);
            rest = more;
        } else {
            found |= *from == character;
            rest = more;
        }
    }
    Some((found != negated, end + 1))
}

/// The entry for a node, if it has one. Two patterns that fit are an error.
pub fn select<'m>(
    environment: &'m Environment,
    node: &str,
    diagnostics: &mut Diagnostics,
) -> Option<&'m Selector> {
    if let Some(exact) = environment.nodes.iter().find(|it| &*it.nodes.value == node) {
        return Some(exact);
    }
    let mut fitting = environment
        .nodes
        .iter()
        .filter(|it| is_glob(&it.nodes.value) && fits(&it.nodes.value, node));
    let first = fitting.next()?;
    for other in fitting {
        let message = format!(
            "`{}` and `{}` both match the node {node}",
            first.nodes.value, other.nodes.value
        );
        diagnostics.push(
            Diagnostic::error(codes::AMBIGUOUS_NODE, other.nodes.span, message)
                .related(first.nodes.span, "this one too")
                .help(format!("give {node} an entry of its own, or narrow one of the patterns")),
        );
    }
    Some(first)
}

/// Reports nodes that are in two environments, as far as names and patterns show it: a name that
/// another environment has or fits, and a pattern that stands in both.
pub fn overlaps(model: &Model, diagnostics: &mut Diagnostics) {
    let all = || {
        model.environments.values().flat_map(|environment| {
            environment.nodes.iter().map(move |it| (&*environment.name.value, &it.nodes))
        })
    };
    let mut first: BTreeMap<&str, (&str, &Spanned<Arc<str>>)> = BTreeMap::new();
    for (environment, nodes) in all() {
        match first.get(&*nodes.value) {
            Some(there) if there.0 != environment => {
                diagnostics.push(overlap(nodes, environment, there.0, there.1));
            }
            Some(_) => {}
            None => {
                first.insert(&nodes.value, (environment, nodes));
            }
        }
    }
    let globs: Vec<_> = all().filter(|(_, nodes)| is_glob(&nodes.value)).collect();
    for (environment, nodes) in all().filter(|(_, nodes)| !is_glob(&nodes.value)) {
        for (other, glob) in &globs {
            if *other != environment && fits(&glob.value, &nodes.value) {
                diagnostics.push(overlap(nodes, environment, other, glob));
            }
        }
    }
}

fn overlap(
    nodes: &Spanned<Arc<str>>,
    environment: &str,
    other: &str,
    there: &Spanned<Arc<str>>,
) -> Diagnostic {
    let message = format!("{} is in two environments, {environment} and {other}", nodes.value);
    Diagnostic::error(codes::NODE_IN_TWO_ENVIRONMENTS, nodes.span, message)
        .related(there.span, format!("in {other} here"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SourceSet;
    use proptest::prelude::*;

    #[test]
    fn patterns_fit_what_they_say() {
        let cases = [
            ("web*", "web1", true),
            ("web*", "web", true),
            ("web*", "aweb", false),
            ("*.example", "a.b.example", true),
            ("*a*b*", "xaxxbx", true),
            ("*a*b*", "xbxxax", false),
            ("web?", "web1", true),
            ("web?", "web12", false),
            ("web[2-9].xyz", "web2.xyz", true),
            ("web[2-9].xyz", "web1.xyz", false),
            ("web[!1]", "web2", true),
            ("web[!1]", "web1", false),
            ("web[ab3-5]", "web4", true),
            ("web[]]", "web]", true),
            ("web[", "web[", true),
            ("web[a", "weba", false),
            ("", "", true),
            ("*", "", true),
            ("?", "é", true),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }

    fn model(files: &[(&str, &str)]) -> Model {
        let mut sources = SourceSet::default();
        for (path, text) in files {
            sources.add(*path, text.as_bytes(), false);
        }
        crate::document::parse(&sources).0
    }

    #[test]
    fn an_exact_name_wins_and_two_patterns_are_an_error() {
        let model = model(&[(
            "environments/p.yaml",
            "environment: p\nnodes:\n  web1: {}\n  \"web*\": {}\n  \"*1\": {}\n  \"*2\": {}\n",
        )]);
        let environment = &model.environments["p"];
        let select = |node: &str| {
            let mut found = Diagnostics::default();
            let selector = select(environment, node, &mut found);
            (selector.map(|it| it.nodes.value.to_string()), found.len())
        };
        assert_eq!(select("web1"), (Some("web1".to_owned()), 0));
        assert_eq!(select("web3"), (Some("web*".to_owned()), 0));
        assert_eq!(select("web*"), (Some("web*".to_owned()), 0));
        assert_eq!(select("web2"), (Some("web*".to_owned()), 1));
        assert_eq!(select("db"), (None, 0));
    }

    #[test]
    fn a_node_is_in_one_environment() {
        let model = model(&[
            ("environments/p.yaml", "environment: p\nnodes: { web1: {}, \"db*\": {}, only: {} }\n"),
            ("environments/s.yaml", "environment: s\nnodes: { web1: {}, db2: {}, \"db*\": {} }\n"),
        ]);
        let mut found = Diagnostics::default();
        overlaps(&model, &mut found);
        let messages: Vec<&str> = found.iter().map(|it| &*it.message).collect();
        assert_eq!(
            messages,
            [
                "web1 is in two environments, s and p",
                "db* is in two environments, s and p",
                "db2 is in two environments, s and p",
            ]
        );
    }

    proptest! {
        #[test]
        fn no_pattern_makes_it_panic_and_a_name_fits_itself(
            pattern in "[a*?\\[\\]!^-]{0,12}", name in "[a*?\\[\\]!^-]{0,12}", plain in "[a-z.0-9]{0,20}"
        ) {
            fits(&pattern, &name);
            prop_assert!(fits(&plain, &plain));
        }
    }
}
