//! Revisions of the model, as they are named, offered and remembered. What the agent stores of them is
//! part of its format 1.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// The name of one state of the model: a commit, or the digest of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub Arc<str>);

/// The highest revision that was ever accepted. Nothing below it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HighestAccepted {
    /// Nothing was ever accepted from this source.
    #[default]
    Fresh,
    At(RevisionInfo),
    /// It was known and cannot be read any more.
    Lost,
}

/// What a source offers, after its signatures were verified.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RevisionInfo {
    pub revision: Revision,
    /// The number of a snapshot.
    #[serde(default)]
    pub sequence: Option<u64>,
    /// The date that its signer gave it.
    #[serde(with = "stamp")]
    pub date: Timestamp,
    /// When its manifest ends to be good.
    #[serde(default, with = "stamp::maybe")]
    pub expires: Option<Timestamp>,
}

impl Revision {
    pub fn new(name: impl Into<Arc<str>>) -> Revision {
        Revision(name.into())
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.char_indices().nth(12).map_or(self.0.len(), |(at, _)| at);
        f.write_str(&self.0[..end])
    }
}

/// Times as people write them: `2026-07-06T07:00:00Z`.
pub mod stamp {
    use jiff::Timestamp;
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(at: &Timestamp, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(at)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(de::Error::custom)
    }

    pub mod maybe {
        use super::{Deserializer, Serializer, Timestamp, de};
        use serde::Deserialize as _;

        pub fn serialize<S: Serializer>(at: &Option<Timestamp>, out: S) -> Result<S::Ok, S::Error> {
            match at {
                Some(at) => out.collect_str(at),
                None => out.serialize_none(),
            }
        }

        pub fn deserialize<'de, D: Deserializer<'de>>(
            from: D,
        ) -> Result<Option<Timestamp>, D::Error> {
            let text = Option::<String>::deserialize(from)?;
            text.map(|it| it.parse().map_err(de::Error::custom)).transpose()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_shown_short_whatever_it_is_made_of() {
        assert_eq!(Revision::new("0123456789abcdef").to_string(), "0123456789ab");
        assert_eq!(Revision::new("ééééééééééééé").to_string(), "éééééééééééé");
    }
}
