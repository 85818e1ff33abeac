//! REFERENCE.md: what a server or bundle can promise, section by section, from the tables that the reader of
//! the model uses. `UPDATE_EXPECT=1` writes it again.

use super::kinds::{example, room};
use expect_test::expect_file;
use std::fmt::Write as _;
use steadfast_model::section::{COMMON, Holds, SECTIONS, Section};
use steadfast_model::{Field, Takes};
use steadfast_resources::KINDS;

const HEAD: &str = "\
# What can be promised

The sections of a server or a bundle, with the fields of each. A test generates this page from the
tables that read the model; each section links to the file whose head comment explains how its fields work together.

Every field is optional unless its kind says otherwise, and what a promise does not name is left alone. Any value
may be an expression in text (`\"{{ node.name }}\"`).
";

#[test]
fn the_reference_is_what_the_reader_takes() {
    let mut text = HEAD.to_owned();
    writeln!(text, "\n## Every promise\n").unwrap();
    table(&mut text, COMMON);
    let files = super::files();
    for Section { name, kind, holds } in SECTIONS {
        let row = KINDS.iter().find(|it| it.name == *kind).unwrap();
        let (path, source) = room(&files, kind);
        writeln!(text, "\n## `{name}`\n\nPromises `{kind}:NAME`; see [{path}]({path}).\n").unwrap();
        let yaml = example(source).unwrap_or_default();
        writeln!(text, "```yaml\n{}```\n", yaml.replace("server: web\n", "")).unwrap();
        match holds {
            Holds::Many => {}
            Holds::One => {
                writeln!(text, "A node has only one. A name alone may replace the map.\n").unwrap();
            }
        }
        if !row.short_forms.is_empty() {
            let forms = words(&Takes::OneOf(row.short_forms));
            writeln!(text, "Short form, in place of the map of fields: {forms}.\n").unwrap();
        }
        table(&mut text, row.fields);
    }
    expect_file![super::root().join("REFERENCE.md")].assert_eq(&text);
}

fn table(text: &mut String, fields: &[Field]) {
    text.push_str("| field | value | meaning |\n| --- | --- | --- |\n");
    for Field { name, takes, about } in fields {
        let (takes, about) = (words(takes).replace('|', "\\|"), about.replace('|', "\\|"));
        writeln!(text, "| `{name}` | {takes} | {about} |").unwrap();
    }
}

/// What a field takes, for people.
fn words(takes: &Takes) -> String {
    match takes {
        Takes::Text => "text".to_owned(),
        Takes::Boolean => "`true` or `false`".to_owned(),
        Takes::Integer => "a whole number".to_owned(),
        Takes::Words(all) => all.iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", "),
        Takes::Duration => "a duration, as `30s`".to_owned(),
        Takes::TextOrSecret => "text, or `{ secret: NAME }`".to_owned(),
        Takes::TextList => "a list of texts".to_owned(),
        Takes::ListOf(fields) => format!("a list of maps: {}", names(fields)),
        Takes::Fields(fields) => format!("a map: {}", names(fields)),
        Takes::MapOf(of) => format!("a map from names to {}", words(of)),
        Takes::OneOf(forms) => forms.iter().map(words).collect::<Vec<_>>().join(", or "),
        Takes::ListOfAny(of) => format!("a list of {}", words(of)),
        Takes::Anything => "anything".to_owned(),
    }
}

fn names(fields: &[Field]) -> String {
    fields.iter().map(|it| format!("`{}`", it.name)).collect::<Vec<_>>().join(", ")
}
