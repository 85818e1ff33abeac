//! Diagnostics as people and programs read them: text with the source lines, one JSON object a line,
//! and the annotations that GitHub shows beside a change.

use crate::diagnostic::{Diagnostic, Severity};
use crate::source::SourceSet;
use crate::span::Span;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// How wide the words of a diagnostic may be. What is quoted of a file is as long as it is there.
const WIDTH: usize = 80;

/// What stands before help: `    = help: `, with lines of three digits.
const BESIDE_HELP: usize = 12;

/// Text with source lines, as a terminal shows it. `styled` adds colors.
pub fn text(diagnostic: &Diagnostic, sources: &SourceSet, styled: bool) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Hint => Level::HELP.with_name("hint"),
    };
    let related = diagnostic.related.iter();
    let places: Vec<(Span, String, AnnotationKind)> =
        std::iter::once((diagnostic.span, harmless(&diagnostic.label), AnnotationKind::Primary))
            .chain(related.map(|(span, it)| (*span, harmless(it), AnnotationKind::Context)))
            .collect();
    let word = severity(diagnostic.severity);
    let before = word.len() + diagnostic.code.0.len() + "[]: ".len();
    let mut group = level
        .primary_title(wrapped(&harmless(&diagnostic.message), WIDTH - before.min(WIDTH / 2)))
        .id(diagnostic.code.0)
        .elements(None::<Snippet<'_, annotate_snippets::Annotation<'_>>>);
    // One snippet for each file, in the order in which the files come up.
    let mut shown = vec![];
    for (span, ..) in &places {
        if shown.contains(&span.source) {
            continue;
        }
        shown.push(span.source);
        let Some(source) = sources.get(span.source) else { continue };
        let Some(text) = source.text() else { continue };
        let mut snippet =
            Snippet::source(text).path(harmless(&source.path).replace('\n', "\u{fffd}"));
        for (span, label, kind) in places.iter().filter(|(it, ..)| it.source == span.source) {
            let annotation = kind.span(within(text, *span));
            snippet = snippet.annotation(if label.is_empty() {
                annotation
            } else {
                annotation.label(label)
            });
        }
        group = group.element(snippet);
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(wrapped(&harmless(help), WIDTH - BESIDE_HELP)));
    }
    let renderer = if styled { Renderer::styled() } else { Renderer::plain() };
    renderer.render(&[group])
}

/// Words without what steers a terminal: names in them are those of a model. The library does the same for the
/// lines that it quotes, by the same sign.
fn harmless(words: &str) -> String {
    let steers = |it: char| {
        (it.is_control() && it != '\n')
            || matches!(it, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    words.replace(steers, "\u{fffd}")
}

/// The same words in lines of at most `width` characters, where no single word is longer.
fn wrapped(words: &str, width: usize) -> String {
    let mut lines = String::new();
    for line in words.split('\n') {
        let mut used = 0;
        for word in line.split(' ') {
            let length = word.chars().count();
            let is_first = used == 0;
            if !is_first && used + 1 + length > width {
                lines.push('\n');
                used = 0;
            } else if !is_first {
                lines.push(' ');
                used += 1;
            }
            lines.push_str(word);
            used += length;
        }
        lines.push('\n');
    }
    lines.pop();
    lines
}

/// The span as a range that lies in the text and on the borders of its characters.
fn within(text: &str, span: Span) -> std::ops::Range<usize> {
    let border = |at: u32| {
        let at = (at as usize).min(text.len());
        (0..=at).rev().find(|it| text.is_char_boundary(*it)).unwrap_or(0)
    };
    border(span.start)..border(span.end.max(span.start))
}

/// One JSON object, without a line end:
/// `{"event":"diagnostic","code":…,"severity":…,"message":…,"file":…,"line":…,"column":…,"help":…}`.
pub fn json(diagnostic: &Diagnostic, sources: &SourceSet) -> String {
    let place = sources.place(diagnostic.span);
    serde_json::json!({
        "event": "diagnostic",
        "code": diagnostic.code.0,
        "severity": severity(diagnostic.severity),
        "message": diagnostic.message,
        "file": &*place.file,
        "line": place.line,
        "column": place.column,
        "help": diagnostic.help,
    })
    .to_string()
}

/// A workflow command that GitHub shows as an annotation at the line, without a line end.
pub fn github(diagnostic: &Diagnostic, sources: &SourceSet) -> String {
    let place = sources.place(diagnostic.span);
    let command = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Hint => "notice",
    };
    let mut message = diagnostic.message.clone();
    if let Some(help) = &diagnostic.help {
        message.push('\n');
        message.push_str(help);
    }
    format!(
        "::{command} file={},line={},col={},title={}::{}",
        property(&place.file),
        place.line,
        place.column,
        property(diagnostic.code.0),
        data(&message)
    )
}

pub(crate) fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Hint => "hint",
    }
}

/// A message may not end the command that carries it.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property may end neither the command nor the list of properties.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes;
    use crate::span::SourceId;
    use expect_test::expect;

    fn example() -> (Diagnostic, SourceSet) {
        let mut sources = SourceSet::default();
        let text = "server: web\nfiles:\n  /a: { ownr: root }\n";
        let source = sources.add("servers/web.yaml", text.as_bytes(), false);
        let start = u32::try_from(text.find("ownr").unwrap()).unwrap();
        let diagnostic = Diagnostic::error(
            codes::UNKNOWN_FIELD,
            Span { source, start, end: start + 4 },
            "`file` has no field `ownr`",
        )
        .label("did you mean `owner`?")
        .help("fields of a file: owner, group, mode");
        (diagnostic, sources)
    }

    #[test]
    fn text_shows_the_source_line() {
        let (diagnostic, sources) = example();
        expect![[r#"
            error[unknown-field]: `file` has no field `ownr`
             --> servers/web.yaml:3:9
              |
            3 |   /a: { ownr: root }
              |         ^^^^ did you mean `owner`?
              |
              = help: fields of a file: owner, group, mode"#]]
        .assert_eq(&text(&diagnostic, &sources, false));
    }

    #[test]
    fn the_words_of_a_diagnostic_fit_a_terminal_of_80_columns() {
        let (diagnostic, sources) = example();
        let long = Diagnostic { message: "word ".repeat(40), ..diagnostic };
        let long = long.label("here").help("other, ".repeat(40));
        let shown = text(&long, &sources, false);
        assert!(shown.lines().all(|it| it.chars().count() <= WIDTH), "{shown}");
        assert_eq!(shown.matches("word").count(), 40);
        assert_eq!(shown.matches("other,").count(), 40);
        // What is one word stays whole, and lines that are there already stay.
        assert_eq!(
            wrapped("a https://xyz.example/long b\n\nc", 10),
            "a\nhttps://xyz.example/long\nb\n\nc"
        );
    }

    #[test]
    fn json_is_one_line_with_stable_names() {
        let (diagnostic, sources) = example();
        expect![[r#"{"event":"diagnostic","code":"unknown-field","severity":"error","message":"`file` has no field `ownr`","file":"servers/web.yaml","line":3,"column":9,"help":"fields of a file: owner, group, mode"}"#]]
            .assert_eq(&json(&diagnostic, &sources));
    }

    #[test]
    fn a_message_cannot_end_its_github_command() {
        let (mut diagnostic, sources) = example();
        diagnostic.message = "50% of\n::error::it".to_owned();
        expect!["::error file=servers/web.yaml,line=3,col=9,title=unknown-field::50%25 of%0A::error::it%0Afields of a file: owner, group, mode"]
            .assert_eq(&github(&diagnostic, &sources));
    }

    #[test]
    fn a_span_that_points_outside_or_into_a_character_is_still_shown() {
        let mut sources = SourceSet::default();
        let source = sources.add("a.yaml", "é: 1\n".as_bytes(), false);
        for (start, end) in [(1, 1), (0, 900), (900, 901)] {
            let span = Span { source, start, end };
            let shown = text(&Diagnostic::error(codes::BAD_YAML, span, "m"), &sources, false);
            assert!(shown.starts_with("error[bad-yaml]: m"), "{shown}");
        }
        let nowhere = Span { source: SourceId(9), start: 0, end: 0 };
        let shown = text(&Diagnostic::error(codes::BAD_YAML, nowhere, "m"), &sources, false);
        assert!(shown.starts_with("error[bad-yaml]: m"), "{shown}");
    }
}
