//! Debian versions: their order, and the ranges that a model promises.
//!
//! The order is that of Debian policy 5.6.12 and `dpkg --compare-versions`: epoch, upstream version,
//! revision; runs of non-digits by letters before everything else with `~` before the end, runs of
//! digits by their number.

use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// Why a text is not a version or a range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what}: {why}")]
pub struct BadVersion {
    text: String,
    what: &'static str,
    why: &'static str,
}

fn bad<T>(text: &str, what: &'static str, why: &'static str) -> Result<T, BadVersion> {
    Err(BadVersion { text: text.escape_debug().collect(), what, why })
}

/// `[EPOCH:]UPSTREAM[-REVISION]`. Equality is that of the text; the order is dpkg's, in which
/// different texts may be equal (`1.0` and `1.0-0`): compare with [`Version::order`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Version {
    text: Arc<str>,
    epoch: u32,
}

impl Version {
    pub fn parse(text: &str) -> Result<Version, BadVersion> {
        const WHAT: &str = "a version";
        let (epoch, rest) = match text.split_once(':') {
            Some((epoch, rest)) => match epoch.parse::<u32>() {
                Ok(number) if epoch.bytes().all(|it| it.is_ascii_digit()) => (number, rest),
                Ok(_) | Err(_) => return bad(text, WHAT, "its epoch is not a number"),
            },
            None => (0, text),
        };
        let (upstream, revision) = match rest.rsplit_once('-') {
            Some((upstream, revision)) => (upstream, Some(revision)),
            None => (rest, None),
        };
        if !upstream.starts_with(|it: char| it.is_ascii_digit()) {
            return bad(text, WHAT, "it does not begin with a digit");
        }
        if !upstream.bytes().all(|it| it.is_ascii_alphanumeric() || b".+-:~".contains(&it)) {
            return bad(text, WHAT, "only letters, digits and `.+-:~` are allowed");
        }
        if let Some(revision) = revision
            && (revision.is_empty()
                || !revision.bytes().all(|it| it.is_ascii_alphanumeric() || b".+~".contains(&it)))
        {
            return bad(
                text,
                WHAT,
                "its revision has something else than letters, digits and `.+~`",
            );
        }
        Ok(Version { text: Arc::from(text), epoch })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Upstream version and revision; without a revision it is empty, which counts as `0`.
    fn parts(&self) -> (&str, &str) {
        let rest = self.text.split_once(':').map_or(&*self.text, |(_, rest)| rest);
        rest.rsplit_once('-').unwrap_or((rest, ""))
    }

    fn has_revision(&self) -> bool {
        !self.parts().1.is_empty()
    }

    /// The order of dpkg.
    pub fn order(&self, other: &Version) -> Ordering {
        let (upstream, revision) = self.parts();
        let (other_upstream, other_revision) = other.parts();
        self.epoch
            .cmp(&other.epoch)
            .then_with(|| compare(upstream.as_bytes(), other_upstream.as_bytes()))
            .then_with(|| compare(revision.as_bytes(), other_revision.as_bytes()))
    }

    /// The order in which a promise compares: the revision is left out where the promised one has none.
    fn order_as(&self, promised: &Version) -> Ordering {
        if promised.has_revision() { self.order(promised) } else { self.order_upstream(promised) }
    }

    /// The order of dpkg, with the revision left out on both sides.
    fn order_upstream(&self, other: &Version) -> Ordering {
        let (upstream, _) = self.parts();
        let (other_upstream, _) = other.parts();
        self.epoch
            .cmp(&other.epoch)
            .then_with(|| compare(upstream.as_bytes(), other_upstream.as_bytes()))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// `~` sorts before the end of the text, letters before everything else. A digit ends a run of
/// non-digits as the end of the text does.
fn weight(byte: Option<u8>) -> i32 {
    match byte {
        Some(b'~') => -1,
        Some(byte) if byte.is_ascii_digit() => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(byte),
        Some(byte) => i32::from(byte) + 256,
        None => 0,
    }
}

fn compare(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let text = |it: &[u8]| it.first().is_some_and(|it| !it.is_ascii_digit());
        while text(a) || text(b) {
            let order = weight(a.first().copied()).cmp(&weight(b.first().copied()));
            if order != Ordering::Equal {
                return order;
            }
            a = a.get(1..).unwrap_or_default();
            b = b.get(1..).unwrap_or_default();
        }
        let (number, rest) = digits(a);
        let (other, other_rest) = digits(b);
        // Without leading zeros the longer number is the greater, however long it is.
        let order = number.len().cmp(&other.len()).then_with(|| number.cmp(other));
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (rest, other_rest);
    }
    Ordering::Equal
}

/// The number at the start, without leading zeros, and what follows it.
fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|it| !it.is_ascii_digit()).unwrap_or(text.len());
    let start = text[..end].iter().position(|it| *it != b'0').unwrap_or(end);
    (&text[start..end], &text[end..])
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
enum Operator {
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
enum Term {
    Compare(Operator, Version),
    /// `7.88*`.
    Prefix(Arc<str>),
}

/// Versions that a model promises: terms with commas between, all of which must hold. `>= 7.88, < 8`;
/// a bare version is `=`; `*` at the end makes a prefix. A term without a Debian revision leaves the
/// revision out of the comparison.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Range {
    text: Arc<str>,
    terms: Vec<Term>,
}

impl Range {
    pub fn parse(text: &str) -> Result<Range, BadVersion> {
        let mut terms = vec![];
        for term in text.split(',') {
            let term = term.trim();
            // The longer operators first, so that `>=` is not read as `>`.
            let operators = [
                (">=", Operator::GreaterOrEqual),
                ("<=", Operator::LessOrEqual),
                (">", Operator::Greater),
                ("<", Operator::Less),
                ("=", Operator::Equal),
            ];
            let found = operators
                .iter()
                .find_map(|(sign, operator)| Some((term.strip_prefix(sign)?.trim(), *operator)));
            match (found, term.strip_suffix('*')) {
                (None, Some(prefix)) => {
                    if !prefix.starts_with(|it: char| it.is_ascii_digit()) {
                        return bad(text, "a version range", "a prefix begins with a digit");
                    }
                    terms.push(Term::Prefix(Arc::from(prefix)));
                }
                (Some(_), Some(_)) => {
                    return bad(text, "a version range", "`*` goes without a comparison");
                }
                (Some((version, operator)), None) => {
                    terms.push(Term::Compare(operator, Version::parse(version)?));
                }
                (None, None) => terms.push(Term::Compare(Operator::Equal, Version::parse(term)?)),
            }
        }
        Ok(Range { text: Arc::from(text), terms })
    }

    pub fn holds(&self, version: &Version) -> bool {
        self.terms.iter().all(|term| term.holds(version))
    }

    /// Whether a version is newer than what the range ends with.
    pub fn is_above(&self, version: &Version) -> bool {
        self.terms.iter().any(|term| term.ends_below(version))
    }
}

impl Term {
    fn holds(&self, version: &Version) -> bool {
        match self {
            Term::Prefix(prefix) => version.as_str().starts_with(&**prefix),
            Term::Compare(operator, wanted) => {
                let order = version.order_as(wanted);
                match operator {
                    Operator::Less => order.is_lt(),
                    Operator::LessOrEqual => order.is_le(),
                    Operator::Equal => order.is_eq(),
                    Operator::GreaterOrEqual => order.is_ge(),
                    Operator::Greater => order.is_gt(),
                }
            }
        }
    }

    /// Whether it has an end, and the version lies behind that.
    fn ends_below(&self, version: &Version) -> bool {
        match self {
            Term::Prefix(prefix) => {
                !self.holds(version)
                    && Version::parse(prefix).is_ok_and(|end| version.order_as(&end).is_gt())
            }
            Term::Compare(operator, end) => match operator {
                Operator::Less => version.order_as(end).is_ge(),
                Operator::LessOrEqual | Operator::Equal => version.order_as(end).is_gt(),
                Operator::GreaterOrEqual | Operator::Greater => false,
            },
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    #[track_caller]
    fn ascending(texts: &[&str]) {
        for pair in texts.windows(2) {
            let order = version(pair[0]).order(&version(pair[1]));
            assert_eq!(order, Ordering::Less, "{} < {}", pair[0], pair[1]);
        }
    }

    #[test]
    fn versions_have_the_order_of_debian_policy() {
        ascending(&["1.0~~", "1.0~~a", "1.0~", "1.0", "1.0a", "1.0+", "1.0.1", "1.1", "1.10"]);
        ascending(&["1.0~rc1-1", "1.0-1", "1.0-1+b1", "1.0-1.1", "1.0-2", "1:0.1-1", "2:0-1"]);
        assert_eq!(version("1.0").order(&version("1.0-0")), Ordering::Equal);
        assert_eq!(version("1.01").order(&version("1.1")), Ordering::Equal);
        assert_eq!(version("0:1").order(&version("1")), Ordering::Equal);
    }

    /// Every pair of a list of tricky versions, against dpkg itself.
    #[test]
    fn dpkg_agrees() {
        const VERSIONS: [&str; 24] = [
            "0",
            "0~",
            "1",
            "1-0",
            "1-0~",
            "1~",
            "1~~",
            "1a",
            "1.a",
            "1+",
            "1+b1",
            "1-1",
            "1-1~bpo12+1",
            "1-1+deb12u1",
            "1-1.1",
            "1.0",
            "1.00",
            "1:0",
            "00:1",
            "2.30-1-2",
            "2.30-12",
            "99999999999999999999",
            "100000000000000000000",
            "7.88.1-10+deb12u12",
        ];
        if !std::path::Path::new("/usr/bin/dpkg").exists() {
            // Only Debian has it; the table above holds everywhere.
            return;
        }
        for a in VERSIONS {
            for b in VERSIONS {
                let word = match version(a).order(&version(b)) {
                    Ordering::Less => "lt",
                    Ordering::Equal => "eq",
                    Ordering::Greater => "gt",
                };
                let status = std::process::Command::new("/usr/bin/dpkg")
                    .args(["--compare-versions", a, word, b])
                    .status()
                    .unwrap();
                assert!(status.success(), "dpkg does not say {a} {word} {b}");
            }
        }
    }

    #[track_caller]
    fn holds(range: &str, yes: &[&str], no: &[&str]) {
        let range = Range::parse(range).unwrap();
        for it in yes {
            assert!(range.holds(&version(it)), "{range} takes {it}");
        }
        for it in no {
            assert!(!range.holds(&version(it)), "{range} does not take {it}");
        }
    }

    #[test]
    fn a_term_without_a_revision_leaves_it_out() {
        holds(">= 7.88, < 8", &["7.88-1", "7.88.1-10+deb12u12"], &["7.87-9", "8-1", "8.0-1"]);
        holds("<= 7.88", &["7.88-1"], &["7.88.1-1"]);
        holds("> 7.88", &["7.88.1-1"], &["7.88-9"]);
        holds("1.22.1", &["1.22.1-9", "1.22.1-9+deb12u1"], &["1.22.2-1", "1:1.22.1-9"]);
        holds("= 1.22.1-9", &["1.22.1-9"], &["1.22.1-9+deb12u1"]);
    }

    #[test]
    fn a_star_makes_a_prefix() {
        holds("1.22*", &["1.22", "1.22.1-9", "1.220-1"], &["1.2-1"]);
    }

    #[test]
    fn a_version_is_above_a_range_that_ends_before_it() {
        for (range, text, above) in [
            ("< 2", "5.2.15-2+b7", true),
            (">= 1, <= 2", "2.1", true),
            ("< 2", "2-1", true),
            ("= 1.0", "1.1-1", true),
            ("1.0", "0.9", false),
            ("1.0", "1.0-3", false),
            ("7.88*", "7.90-1", true),
            ("7.88*", "7.88.1-1", false),
            ("7.88*", "7.9-1", false),
            ("> 3", "2", false),
            (">= 3, < 4", "2", false),
            ("1.0", "1:0.1", true),
        ] {
            let found = Range::parse(range).unwrap().is_above(&version(text));
            assert_eq!(found, above, "{range} {text}");
        }
    }

    #[test]
    fn what_is_no_version_or_range_is_refused() {
        for text in ["", "a", "1_0", "x:1", "+1:1", "1-", "1 0", "1-1_", "-1"] {
            assert!(Version::parse(text).is_err(), "{text}");
        }
        for text in ["", ">=", ">= 1,", "*", ">= 1*", "=> 1", "1 2"] {
            assert!(Range::parse(text).is_err(), "{text}");
        }
    }
}
