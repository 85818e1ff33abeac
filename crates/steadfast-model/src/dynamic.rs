//! Which texts have expressions, and where in a text they are.

use memchr::{memchr_iter, memrchr_iter};
use std::ops::Range;

/// Whether there is anything to substitute in a text.
pub(crate) fn is_dynamic(text: &str) -> bool {
    let bytes = text.as_bytes();
    memchr_iter(b'{', bytes).any(|at| matches!(bytes.get(at + 1), Some(b'{' | b'%')))
}

/// What the engine has to see of a text: from where the first expression begins to where the last one ends. What
/// stands around it is text, unless the expression takes blanks or the end of a line away from there.
pub(crate) fn dynamic_part(text: &str) -> Range<usize> {
    let bytes = text.as_bytes();
    let begins = |at: &usize| matches!(bytes.get(at + 1), Some(b'{' | b'%' | b'#'));
    let first = |from: usize| memchr_iter(b'{', &bytes[from..]).map(|at| at + from).find(begins);
    let start = first(0).filter(|at| bytes.get(at + 2) != Some(&b'-')).unwrap_or(0);
    let ends = |at: &usize| *at > 0 && matches!(bytes[at - 1], b'}' | b'%' | b'#');
    let last = memrchr_iter(b'}', bytes).find(ends);
    let is_plain = |at: &usize| bytes[at - 1] == b'}' && (*at < 2 || bytes[at - 2] != b'-');
    let end =
        last.filter(is_plain).map(|at| at + 1).filter(|end| *end > start && first(*end).is_none());
    start..end.unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression::for_values;

    const PIECES: [&str; 18] = [
        "a ",
        " \n",
        "{",
        "}",
        "-",
        "}}",
        "%}",
        "'",
        "{{ x }}",
        "{{- x }}",
        "{{ x -}}",
        "{{ {1: {}}[1]}}",
        "{{ '}}' }}",
        "{% if x %}",
        "{% endif %}",
        "{%- raw %}",
        "{% endraw -%}",
        "{#- c }} -#}",
    ];

    /// What a text comes to is what the engine makes of the whole, whichever part of it the engine sees.
    #[test]
    fn what_stands_around_expressions_is_text() {
        let engine = for_values();
        let scope = minijinja::context! { x => "it" };
        let render = |text: &str| engine.render_str(text, &scope).ok();
        let mut shortened = 0;
        for number in 0..PIECES.len().pow(4) {
            let piece = |place: u32| PIECES[number / PIECES.len().pow(place) % PIECES.len()];
            let text = [piece(0), piece(1), piece(2), piece(3)].concat();
            if !is_dynamic(&text) {
                continue;
            }
            let part = dynamic_part(&text);
            let around = |it: String| [&text[..part.start], &it, &text[part.end..]].concat();
            assert_eq!(render(&text[part.clone()]).map(around), render(&text), "{text:?}");
            shortened += usize::from(part.len() < text.len());
        }
        assert!(shortened > 10_000, "{shortened}");
    }
}
