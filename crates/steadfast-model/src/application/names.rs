//! The values that expressions of a component see beside its parameters: `application`, `component`,
//! `release` and `flags`.

use super::{Application, FlagHere, FlagValue, Release, Version};
use crate::value;
use minijinja::value::{Enumerator, Object};
use minijinja::{Error, ErrorKind, State, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// `application.name`, `application.owner`.
pub(crate) fn application(it: &Application) -> Value {
    let owner = it.owner.as_ref().map_or("", |it| &it.value);
    map([("name", (*it.name.value).into()), ("owner", owner.into())])
}

/// `component.name`, `component.directory`.
pub(crate) fn component(name: &str, directory: Option<&str>) -> Value {
    let directory = directory.map(|it| ("directory", it.into()));
    map([("name", name.into())].into_iter().chain(directory))
}

/// `flags.NAME`, with `_` for each `-`, which would be a minus there; or `flags["NAME"]`.
pub(crate) fn flags(all: &[FlagHere]) -> Value {
    let values = all.iter().map(|it| {
        let value = match &it.value {
            FlagValue::Boolean(it) => Value::from(*it),
            FlagValue::Text(it) => Value::from(&**it),
            FlagValue::Integer(it) => Value::from(*it),
        };
        (Arc::clone(&it.name), value)
    });
    Value::from_object(OfFlags(values.collect()))
}

#[derive(Debug)]
struct OfFlags(BTreeMap<Arc<str>, Value>);

impl Object for OfFlags {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let key = key.as_str()?;
        let found = self.0.get(key).or_else(|| {
            let is_it = |(name, _): &(&Arc<str>, &Value)| name.replace('-', "_") == key;
            self.0.iter().find(is_it).map(|(_, value)| value)
        });
        found.cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.keys().map(Value::from).collect())
    }
}

fn map<'a>(entries: impl IntoIterator<Item = (&'a str, serde_json::Value)>) -> Value {
    let entries = entries.into_iter().map(|(name, value)| (name.to_owned(), value));
    value::of_json(&serde_json::Value::Object(entries.collect()))
}

/// `release.version`, `release.features`, `release.at_least("1.10")`: of the component's position.
pub(crate) fn release(it: &Release) -> Value {
    let features = it.features.iter().map(|it| Arc::clone(&it.id.value)).collect();
    Value::from_object(OfRelease { version: it.id.value.version.clone(), features })
}

#[derive(Debug)]
struct OfRelease {
    version: Version,
    features: Vec<Arc<str>>,
}

impl Object for OfRelease {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "version" => Some(Value::from(self.version.to_string())),
            "features" => Some(self.features.iter().map(|it| Value::from(&**it)).collect()),
            _ => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(&["version", "features"])
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        arguments: &[Value],
    ) -> Result<Value, Error> {
        if method != "at_least" {
            let message =
                format!("a release has no `{method}`: version, features, at_least(\"1.10\")");
            return Err(Error::new(ErrorKind::UnknownMethod, message));
        }
        let refuse = |message: String| Error::new(ErrorKind::InvalidOperation, message);
        let [version] = arguments else {
            return Err(refuse("at_least takes one version, as in at_least(\"1.10\")".to_owned()));
        };
        let text = version.as_str().ok_or_else(|| {
            refuse(format!("at_least takes a version in quotes: at_least(\"{version}\")"))
        })?;
        Ok(Value::from(self.version >= text.parse::<Version>().map_err(refuse)?))
    }
}
