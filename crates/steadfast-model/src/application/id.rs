//! The names of components and of releases, as documents write them.

use super::version::Version;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::span::Spanned;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A component of an application: `people/api`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ComponentId(Arc<str>);

/// A release of an application: `people 1.4.0`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReleaseId {
    pub application: Arc<str>,
    pub version: Version,
}

impl ComponentId {
    /// Of names that have been checked.
    pub(crate) fn of(application: &str, component: &str) -> ComponentId {
        ComponentId(Arc::from(format!("{application}/{component}")))
    }

    pub fn application(&self) -> &str {
        self.0.split_once('/').map_or(&self.0, |(application, _)| application)
    }

    pub fn component(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, component)| component)
    }
}

impl FromStr for ComponentId {
    type Err = String;

    fn from_str(text: &str) -> Result<ComponentId, String> {
        match text.split_once('/') {
            Some((application, component)) if is_name(application) && is_name(component) => {
                Ok(ComponentId(Arc::from(text)))
            }
            Some(_) | None => {
                Err(format!("`{text}` is not APPLICATION/COMPONENT, as in people/api"))
            }
        }
    }
}

impl FromStr for ReleaseId {
    type Err = String;

    fn from_str(text: &str) -> Result<ReleaseId, String> {
        match text.split_once(' ') {
            Some((application, version)) if is_name(application) => {
                let (application, version) = (Arc::from(application), version.parse()?);
                Ok(ReleaseId { application, version })
            }
            Some(_) | None => {
                Err(format!("`{text}` is not APPLICATION VERSION, as in people 1.4.0"))
            }
        }
    }
}

impl fmt::Display for ComponentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.application, self.version)
    }
}

/// Lower case letters, digits, `_` and `-`, beginning with a letter or digit: it is part of paths.
pub(super) fn is_name(text: &str) -> bool {
    let is_plain = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit();
    text.bytes().next().is_some_and(is_plain)
        && text.bytes().all(|it| is_plain(it) || b"_-".contains(&it))
}

pub(super) fn bad_name(name: &Spanned<Arc<str>>, what: &str) -> Diagnostic {
    let message = format!("`{}` is not the name of {what}", name.value);
    Diagnostic::error(codes::BAD_NAME, name.span, message)
        .help("lower case letters, digits, `_` and `-`; it becomes part of paths")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_named_with_its_application() {
        let id: ComponentId = "people/api".parse().unwrap();
        assert_eq!((id.application(), &*id.to_string()), ("people", "people/api"));
        for bad in ["people", "people/", "/api", "people/api/x", "People/api", "people/-a", ".."] {
            assert!(bad.parse::<ComponentId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_release_is_named_with_its_application_and_version() {
        for good in ["people 1.4.0", "people 1", "people 2.0-rc.1", "a 1.0-beta-2"] {
            let id: ReleaseId = good.parse().unwrap();
            assert_eq!(id.to_string(), good);
            assert!(good.starts_with(&*id.application));
        }
        for bad in
            ["people", "people ", "people v1", "people 1.", "people 1.0-", "a 1..2", "a  1", "/ 1"]
        {
            assert!(bad.parse::<ReleaseId>().is_err(), "{bad}");
        }
    }
}
