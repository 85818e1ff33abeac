//! Flags: what an application declares of them, and the values that environments, targets and nodes give.

use super::id::{bad_name, is_name};
use super::interface::{self, Interfaces, Whose, interfaces};
use crate::codes;
use crate::date::Date;
use crate::diagnostic::Diagnostic;
use crate::lower::{Fields, Lower};
use crate::node::{Entry, Node};
use crate::schema::{Field, Takes};
use crate::share;
use crate::span::{Span, Spanned};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The flags of an application by name.
pub type Flags = BTreeMap<Arc<str>, Arc<Flag>>;

/// A declared flag.
#[derive(Clone, Debug)]
pub struct Flag {
    pub name: Spanned<Arc<str>>,
    pub takes: FlagType,
    pub kind: FlagKind,
    pub default: FlagValue,
    /// The values that it may have, by name; any of its type where none are declared.
    pub variants: Vec<(Arc<str>, FlagValue)>,
    pub owner: Spanned<Arc<str>>,
    pub expires: Option<Spanned<Date>>,
    /// The interfaces without which it must not be on.
    pub needs: Interfaces,
    /// What shares of nodes are drawn by, where not by the flag's own name.
    pub salt: Option<Arc<str>>,
    /// flagd's rules for what users see, passed through.
    pub targeting: Option<Node>,
    pub description: Option<Arc<str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagType {
    Boolean,
    String,
    Integer,
}

/// Why it exists, and so how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum FlagKind {
    Release,
    #[default]
    Ops,
    Experiment,
    Permission,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlagValue {
    Boolean(bool),
    Text(Arc<str>),
    Integer(i64),
}

/// What a layer says of a flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagSetting {
    pub value: FlagValue,
    /// On this many of a million nodes; on all where nothing is said.
    pub share: Option<u32>,
}

pub(crate) const FIELDS: &[Field] = &[
    Field::new("type", Takes::Words(&["boolean", "string", "integer"]), "The type of its values"),
    Field::new(
        "kind",
        Takes::Words(&["release", "ops", "experiment", "permission"]),
        "Why it exists (default: ops); flags of releases and experiments expire",
    ),
    Field::new("default", VALUE, "Its value where no layer says another"),
    Field::new("variants", VARIANTS, "The values that it may have: a list, or names to values"),
    Field::new("owner", Takes::Text, "Who decides about it"),
    Field::new("expires", Takes::Text, "The day after which it should be gone: 2027-03-31"),
    Field::new("needs", interface::TAKES, "Interfaces that must be provided where it is on"),
    Field::new(
        "salt",
        Takes::Text,
        "What shares of nodes are drawn by (default: APPLICATION/FLAG)",
    ),
    Field::new("targeting", Takes::Anything, "Rules of flagd (JSON logic), passed through"),
    Field::new("description", Takes::Text, "A description"),
];

const VALUE: Takes = Takes::OneOf(&[Takes::Boolean, Takes::Integer, Takes::Text]);

const VARIANTS: Takes = Takes::OneOf(&[Takes::ListOfAny(&VALUE), Takes::MapOf(&VALUE)]);

/// A value alone, or on a share of the nodes.
pub(crate) const SETTING_TAKES: Takes =
    Takes::OneOf(&[Takes::Boolean, Takes::Integer, Takes::Text, Takes::Fields(SETTING)]);

/// What an environment, a target or a node may say of a flag.
const SETTING: &[Field] = &[
    Field::new("value", VALUE, "The value on the share of nodes"),
    Field::new("share", Takes::Text, "The share of nodes that has it: 20%"),
];

const TYPES: [(&str, FlagType); 3] =
    [("boolean", FlagType::Boolean), ("string", FlagType::String), ("integer", FlagType::Integer)];

const KINDS: [(&str, FlagKind); 4] = [
    ("release", FlagKind::Release),
    ("ops", FlagKind::Ops),
    ("experiment", FlagKind::Experiment),
    ("permission", FlagKind::Permission),
];

fn flag(name: &Spanned<Arc<str>>, body: &Node, cx: &mut Lower<'_>) -> Option<Flag> {
    if !is_name(&name.value) {
        cx.report(bad_name(name, "a flag"));
        return None;
    }
    let mut fields = Fields::read(body, "flag", FIELDS, cx)?;
    for required in ["type", "default", "owner"] {
        fields.require(required);
    }
    let takes = fields.one_of("type", &TYPES);
    let kind = fields.one_of("kind", &KINDS).unwrap_or_default();
    let owner = fields.text("owner");
    let expires = date(&mut fields, "expires");
    if matches!(kind, FlagKind::Release | FlagKind::Experiment) && !fields.has("expires") {
        let message = "a flag of a release or an experiment needs the field `expires`";
        let span = fields.span();
        fields.error(codes::MISSING_FIELD, span, message);
    }
    let needs = interfaces(&mut fields, "needs", Whose::Anyone).unwrap_or_default();
    let salt = fields.text("salt").map(|it| it.value);
    let targeting = fields.node("targeting").cloned();
    let description = fields.text("description").map(|it| it.value);
    let takes = takes?;
    let default = fields.node("default").and_then(|it| value(it, takes, "`default`", fields.cx));
    let variants =
        fields.node("variants").map(|it| variants(it, takes, fields.cx)).unwrap_or_default();
    let flag = Flag {
        name: name.clone(),
        takes,
        kind,
        default: default?,
        variants,
        owner: owner?,
        expires,
        needs,
        salt,
        targeting,
        description,
    };
    if let Some(node) = fields.node("default") {
        flag.allows(&flag.default, node, fields.cx);
    }
    Some(flag)
}

/// A field with a day.
pub(crate) fn date(fields: &mut Fields<'_, '_, '_>, key: &str) -> Option<Spanned<Date>> {
    let span = fields.node(key)?.span();
    let date = fields.parsed(key, codes::BAD_VALUE, str::parse::<Date>)?;
    Some(Spanned::new(date, span))
}

fn variants(node: &Node, takes: FlagType, cx: &mut Lower<'_>) -> Vec<(Arc<str>, FlagValue)> {
    match node {
        Node::List(items, _) => items
            .iter()
            .filter_map(|it| {
                let value = value(it, takes, "a variant", cx)?;
                Some((Arc::from(value.to_string()), value))
            })
            .collect(),
        Node::Map(entries, _) => entries
            .iter()
            .filter_map(|(name, it)| {
                Some((Arc::clone(&name.value), value(it, takes, "a variant", cx)?))
            })
            .collect(),
        Node::Scalar(_) | Node::Unknown(_) => cx
            .wrong(node, "`variants`", "a list of values, or a map of names to values")
            .unwrap_or_default(),
    }
}

fn value(node: &Node, takes: FlagType, what: &str, cx: &mut Lower<'_>) -> Option<FlagValue> {
    match takes {
        FlagType::Boolean => cx.as_boolean(node, what).map(FlagValue::Boolean),
        FlagType::Integer => cx.as_integer(node, what).map(|it| FlagValue::Integer(it.value)),
        FlagType::String => {
            let text = cx.as_text(node, what)?;
            if text.value.contains(['\n', '\r', '\0']) {
                let message = format!("{what} is more than one line");
                let error = Diagnostic::error(codes::BAD_FLAG, text.span, message);
                cx.report(error.help("a file of environment variables could not hold it"));
                return None;
            }
            Some(FlagValue::Text(text.value))
        }
    }
}

impl Flag {
    /// What a layer says of this flag, where it is right.
    pub(super) fn setting(&self, node: &Node, cx: &mut Lower<'_>) -> Option<FlagSetting> {
        let what = format!("the value of the flag `{}`", self.name.value);
        let (node, share) = match node {
            Node::Map(..) => {
                let mut fields = Fields::read(node, "flag's value", SETTING, cx)?;
                fields.require("value");
                let share = fields.parsed("share", codes::BAD_VALUE, parse_share);
                (fields.node("value")?, share)
            }
            Node::Scalar(_) | Node::List(..) | Node::Unknown(_) => (node, None),
        };
        let value = value(node, self.takes, &what, cx)?;
        self.allows(&value, node, cx).then_some(FlagSetting { value, share })
    }

    /// What a layer says of this flag on this node; none where it says nothing, or only of other nodes.
    pub(crate) fn here(
        &self,
        node: &Node,
        application: &str,
        on: &str,
        cx: &mut Lower<'_>,
    ) -> Option<FlagValue> {
        let setting = self.setting(node, cx)?;
        let is_here = setting.share.is_none_or(|millionths| {
            let own = format!("{application}/{}", self.name.value);
            share::has_flag(self.salt.as_deref().unwrap_or(&own), on, millionths)
        });
        is_here.then_some(setting.value)
    }

    /// Whether it is one of the declared variants, where there are any.
    fn allows(&self, value: &FlagValue, node: &Node, cx: &mut Lower<'_>) -> bool {
        if self.variants.is_empty() || self.variants.iter().any(|(_, it)| it == value) {
            return true;
        }
        let all: Vec<String> = self.variants.iter().map(|(_, it)| it.to_string()).collect();
        let message = format!("the flag `{}` cannot be {value}", self.name.value);
        let error = Diagnostic::error(codes::BAD_FLAG, node.span(), message);
        cx.report(error.help(format!("one of its variants: {}", all.join(", "))));
        false
    }
}

impl std::fmt::Display for FlagValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FlagValue::Boolean(it) => write!(f, "{it}"),
            FlagValue::Text(it) => f.write_str(it),
            FlagValue::Integer(it) => write!(f, "{it}"),
        }
    }
}

/// `20%`, in steps of 0.0001 %: how many of a million.
fn parse_share(text: &str) -> Result<u32, String> {
    let refuse = || format!("`{text}` is not a share of nodes: 0% to 100%, in steps of 0.0001%");
    let number = text.strip_suffix('%').ok_or_else(refuse)?;
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let is_plain = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit());
    if !is_plain(whole) || !is_plain(part) || whole.len() > 3 || part.len() > 4 {
        return Err(refuse());
    }
    let whole: u32 = whole.parse().map_err(|_| refuse())?;
    let part: u32 = format!("{part:0<4}").parse().map_err(|_| refuse())?;
    let millionths = whole * 10_000 + part;
    if millionths <= 1_000_000 { Ok(millionths) } else { Err(refuse()) }
}

/// The flags of an application, by name. Two that would be one environment variable are refused.
pub(super) fn flags(entries: &[Entry], cx: &mut Lower<'_>) -> Flags {
    let mut variables: BTreeMap<String, Span> = BTreeMap::new();
    let mut all = Flags::new();
    for (name, body) in entries {
        let Some(flag) = flag(name, body, cx) else { continue };
        if let Some(first) = variables.insert(variable(&name.value), name.span) {
            let message = format!("`{}` is one environment variable with another flag", name.value);
            let error = Diagnostic::error(codes::DUPLICATE_KEY, name.span, message);
            cx.report(error.related(first, "first here"));
            continue;
        }
        all.insert(Arc::clone(&name.value), Arc::new(flag));
    }
    all
}

/// The name of a flag as an environment variable.
pub(super) fn variable(name: &str) -> String {
    name.to_ascii_uppercase().replace('-', "_")
}

pub(super) fn unknown(name: &Spanned<Arc<str>>, flags: &Flags, application: &str) -> Diagnostic {
    let message = format!("{application} has no flag `{}`", name.value);
    let error = Diagnostic::error(codes::UNKNOWN_FLAG, name.span, message);
    let names: Vec<&str> = flags.keys().map(|it| &**it).collect();
    crate::lower::suggest(error, &name.value, &names, "its flags")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_counts_millionths() {
        assert_eq!(parse_share("20%"), Ok(200_000));
        assert_eq!(parse_share("0.0001%"), Ok(1));
        assert_eq!(parse_share("0.5%"), Ok(5_000));
        assert_eq!(parse_share("100%"), Ok(1_000_000));
        for bad in ["20", "100.0001%", "101%", "-1%", "1.%", ".5%", "0.00001%", "%", "1e2%"] {
            assert!(parse_share(bad).is_err(), "{bad}");
        }
    }
}
