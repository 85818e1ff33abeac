//! The flags of a component on one node, and the file in which its programs read them.

use super::component::FlagsFormat;
use super::flag::{Flag, FlagValue, variable};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The value of a flag on one node.
#[derive(Clone, Debug)]
pub struct FlagHere {
    pub name: Arc<str>,
    pub value: FlagValue,
    /// Which layer says so.
    pub source: FlagSource,
    /// Whether the release lists it, so that it is delivered.
    pub is_read: bool,
    pub(crate) flag: Arc<Flag>,
}

/// Who gave a flag its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagSource {
    Default,
    Environment,
    Target,
    Node,
}

/// The schema that flagd publishes for its files.
const FLAGD: &str = "https://flagd.dev/schema/v0/flags.json";

/// The text of the file, its flags by name. The same values always give the same bytes.
pub fn file(flags: &[FlagHere], format: FlagsFormat) -> String {
    let read = flags.iter().filter(|it| it.is_read);
    text(&read.map(|it| (it.name.to_string(), said(it, format))).collect(), format)
}

/// What the file says of one flag.
pub(super) fn said(flag: &FlagHere, format: FlagsFormat) -> Value {
    match format {
        FlagsFormat::Env => line(flag).into(),
        FlagsFormat::Json => json(&flag.value),
        FlagsFormat::Flagd => flagd(flag),
    }
}

/// The text of a file that says this of each flag.
pub(super) fn text(flags: &BTreeMap<String, Value>, format: FlagsFormat) -> String {
    let all = || -> Map<String, Value> {
        flags.iter().map(|(name, it)| (name.clone(), it.clone())).collect()
    };
    match format {
        FlagsFormat::Env => flags.values().filter_map(Value::as_str).collect(),
        FlagsFormat::Json => format!("{:#}\n", Value::Object(all())),
        FlagsFormat::Flagd => format!("{:#}\n", json!({ "$schema": FLAGD, "flags": all() })),
    }
}

fn json(value: &FlagValue) -> Value {
    match value {
        FlagValue::Boolean(it) => Value::from(*it),
        FlagValue::Text(it) => Value::from(&**it),
        FlagValue::Integer(it) => Value::from(*it),
    }
}

/// A variant for each declared value; `on` and `off` of a boolean, and `value` where none are declared.
fn flagd(it: &FlagHere) -> Value {
    let mut variants: Vec<(&str, Value)> =
        it.flag.variants.iter().map(|(name, value)| (&**name, json(value))).collect();
    if variants.is_empty() {
        variants = match &it.value {
            FlagValue::Boolean(_) => vec![("on", true.into()), ("off", false.into())],
            FlagValue::Text(_) | FlagValue::Integer(_) => vec![("value", json(&it.value))],
        };
    }
    let own = json(&it.value);
    let chosen = variants.iter().find(|(_, value)| *value == own).map_or("value", |(name, _)| name);
    let chosen = chosen.to_owned();
    let variants: Map<String, Value> =
        variants.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let mut all = Map::new();
    all.insert("state".to_owned(), "ENABLED".into());
    all.insert("variants".to_owned(), Value::Object(variants));
    all.insert("defaultVariant".to_owned(), chosen.into());
    if let Some(targeting) = &it.flag.targeting {
        all.insert("targeting".to_owned(), targeting.to_json());
    }
    Value::Object(all)
}

/// `DARK_MODE="true"`, in quotes in which a shell and systemd read the same bytes.
fn line(it: &FlagHere) -> String {
    let mut text = format!("{}=\"", variable(&it.name));
    for character in it.value.to_string().chars() {
        if ['"', '\\', '`', '$'].contains(&character) {
            text.push('\\');
        }
        text.push(character);
    }
    text + "\"\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::application::{FlagKind, FlagType, Interfaces};
    use crate::span::{Span, Spanned};
    use expect_test::{Expect, expect};

    fn here(name: &str, value: FlagValue, variants: &[&str]) -> FlagHere {
        let takes = match value {
            FlagValue::Boolean(_) => FlagType::Boolean,
            FlagValue::Text(_) => FlagType::String,
            FlagValue::Integer(_) => FlagType::Integer,
        };
        let text = |it: &str| Arc::<str>::from(it);
        let flag = Flag {
            name: Spanned::new(text(name), Span::default()),
            takes,
            kind: FlagKind::default(),
            default: value.clone(),
            variants: variants.iter().map(|it| (text(it), FlagValue::Text(text(it)))).collect(),
            owner: Spanned::new(text("team"), Span::default()),
            expires: None,
            needs: Interfaces::new(),
            salt: None,
            targeting: None,
            description: None,
        };
        let (source, flag) = (FlagSource::Default, Arc::new(flag));
        FlagHere { name: text(name), value, source, is_read: true, flag }
    }

    #[track_caller]
    fn check(format: FlagsFormat, expected: Expect) {
        let unread = FlagHere { is_read: false, ..here("unread", FlagValue::Boolean(true), &[]) };
        let flags = [
            here("limit", FlagValue::Integer(7), &[]),
            here("dark-mode", FlagValue::Boolean(true), &[]),
            here("colour", FlagValue::Text(Arc::from("red")), &["green", "red"]),
            here("greeting", FlagValue::Text(Arc::from("a \"b\" $c `d` \\e 'f' é")), &[]),
            unread,
        ];
        expected.assert_eq(&file(&flags, format));
    }

    #[test]
    fn the_file_of_flagd_has_a_variant_for_each_value() {
        check(
            FlagsFormat::Flagd,
            expect![[r#"
            {
              "$schema": "https://flagd.dev/schema/v0/flags.json",
              "flags": {
                "colour": {
                  "state": "ENABLED",
                  "variants": {
                    "green": "green",
                    "red": "red"
                  },
                  "defaultVariant": "red"
                },
                "dark-mode": {
                  "state": "ENABLED",
                  "variants": {
                    "on": true,
                    "off": false
                  },
                  "defaultVariant": "on"
                },
                "greeting": {
                  "state": "ENABLED",
                  "variants": {
                    "value": "a \"b\" $c `d` \\e 'f' é"
                  },
                  "defaultVariant": "value"
                },
                "limit": {
                  "state": "ENABLED",
                  "variants": {
                    "value": 7
                  },
                  "defaultVariant": "value"
                }
              }
            }
        "#]],
        );
    }

    #[test]
    fn the_file_of_json_is_flat_and_typed() {
        check(
            FlagsFormat::Json,
            expect![[r#"
            {
              "colour": "red",
              "dark-mode": true,
              "greeting": "a \"b\" $c `d` \\e 'f' é",
              "limit": 7
            }
        "#]],
        );
    }

    #[test]
    fn the_file_for_an_environment_is_quoted() {
        check(
            FlagsFormat::Env,
            expect![[r#"
            COLOUR="red"
            DARK_MODE="true"
            GREETING="a \"b\" \$c \`d\` \\e 'f' é"
            LIMIT="7"
        "#]],
        );
    }

    #[test]
    fn nothing_declared_gives_an_empty_file() {
        assert_eq!(file(&[], FlagsFormat::Env), "");
        assert_eq!(file(&[], FlagsFormat::Json), "{}\n");
    }
}
