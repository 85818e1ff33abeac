//! The names of components and of releases, as documents write them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A component of an application: `people/api`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ComponentId(Arc<str>);

/// A release of an application: `people 1.4.0`.
///
/// It has no equality: 1.4 and 1.4.0 are one version, and their texts differ.
#[derive(Clone, Debug)]
pub struct ReleaseId(Arc<str>);

impl ComponentId {
    pub fn application(&self) -> &str {
        self.0.split_once('/').map_or(&self.0, |(application, _)| application)
    }
}

impl ReleaseId {
    pub fn application(&self) -> &str {
        self.0.split_once(' ').map_or(&self.0, |(application, _)| application)
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
            Some((application, version)) if is_name(application) && is_version(version) => {
                Ok(ReleaseId(Arc::from(text)))
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
        f.write_str(&self.0)
    }
}

/// Lower case letters, digits, `_` and `-`, beginning with a letter or digit: it is part of paths.
fn is_name(text: &str) -> bool {
    let is_plain = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit();
    text.bytes().next().is_some_and(is_plain)
        && text.bytes().all(|it| is_plain(it) || b"_-".contains(&it))
}

/// Numbers with dots between, and after `-` the words of a pre-release.
fn is_version(text: &str) -> bool {
    let (numbers, pre_release) = match text.split_once('-') {
        Some((numbers, words)) => (numbers, Some(words)),
        None => (text, None),
    };
    let is_number = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit());
    let is_word =
        |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'-');
    numbers.split('.').all(is_number)
        && pre_release.is_none_or(|words| words.split('.').all(is_word))
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
            assert!(good.starts_with(id.application()));
        }
        for bad in
            ["people", "people ", "people v1", "people 1.", "people 1.0-", "a 1..2", "a  1", "/ 1"]
        {
            assert!(bad.parse::<ReleaseId>().is_err(), "{bad}");
        }
    }
}
