//! Versions of releases and their order: numbers with dots between, and after `-` the words of a
//! pre-release, which are ordered as semantic versioning orders them.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// `1.4.0` or `2.0-rc.1`. Numbers that are missing at the end count as 0, so 1.4 and 1.4.0 are equal.
#[derive(Clone, Debug)]
pub struct Version {
    text: Arc<str>,
    /// Without zeros at the end.
    numbers: Box<[u64]>,
    pre_release: Box<[Word]>,
}

/// One word of a pre-release: numbers come before words.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Word {
    Number(u64),
    Text(Box<str>),
}

impl Version {
    pub fn is_pre_release(&self) -> bool {
        !self.pre_release.is_empty()
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Version, String> {
        let refuse = |why: &str| format!("`{text}` is not the version of a release: {why}");
        if let Some(rest) = text.strip_prefix('v')
            && rest.parse::<Version>().is_ok()
        {
            return Err(refuse(&format!("write {rest}")));
        }
        if text.contains('+') {
            return Err(refuse("a build (`+…`) has no order"));
        }
        let (numbers, words) = match text.split_once('-') {
            Some((numbers, words)) => (numbers, Some(words)),
            None => (text, None),
        };
        let mut all = vec![];
        for number in numbers.split('.') {
            all.push(numeral(number).ok_or_else(|| {
                refuse("numbers with dots between, without zeros in front, as in 1.4.0 or 2.0-rc.1")
            })?);
        }
        while all.len() > 1 && all.last() == Some(&0) {
            all.pop();
        }
        let mut pre_release = vec![];
        for word in words.iter().flat_map(|it| it.split('.')) {
            let is_plain =
                !word.is_empty() && word.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'-');
            if !is_plain {
                return Err(refuse("after `-` come letters and digits, with dots between"));
            }
            pre_release.push(match numeral(word) {
                Some(number) => Word::Number(number),
                None => Word::Text(Box::from(word)),
            });
        }
        let (numbers, pre_release) = (Box::from(all), Box::from(pre_release));
        Ok(Version { text: Arc::from(text), numbers, pre_release })
    }
}

/// A number without zeros in front, up to 2^64 - 1.
fn numeral(text: &str) -> Option<u64> {
    let is_plain =
        text.bytes().all(|it| it.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if is_plain { text.parse().ok() } else { None }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Version) -> Ordering {
        let numbers = self.numbers.cmp(&other.numbers);
        numbers.then_with(|| match (self.is_pre_release(), other.is_pre_release()) {
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (true, true) | (false, false) => self.pre_release.cmp(&other.pre_release),
        })
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Version) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Version) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn versions_are_ordered_by_number_and_never_as_text() {
        let rising = [
            "0",
            "0.9",
            "1-alpha",
            "1-alpha.1",
            "1-alpha.beta",
            "1-beta.2",
            "1-beta.11",
            "1-rc.1",
            "1",
            "1.0.1",
            "1.4",
            "1.9.9",
            "1.10-rc.1",
            "1.10",
            "2.0.0-1",
            "2",
            "10",
        ];
        for (at, lower) in rising.iter().enumerate() {
            for higher in &rising[at + 1..] {
                assert!(version(lower) < version(higher), "{lower} < {higher}");
            }
        }
    }

    #[test]
    fn zeros_at_the_end_make_no_other_version() {
        assert_eq!(version("1.4"), version("1.4.0"));
        assert_eq!(version("0"), version("0.0"));
        assert_eq!(version("1.4.0-rc.1"), version("1.4-rc.1"));
        assert_eq!(version("1.4.0").to_string(), "1.4.0");
    }

    #[test]
    fn what_is_no_version_is_refused_with_what_to_write() {
        for (bad, cure) in [
            ("v1.4", "write 1.4"),
            ("01", "without zeros"),
            ("1.04", "without zeros"),
            ("1.", "numbers"),
            ("", "numbers"),
            ("1..2", "numbers"),
            ("1.0-", "letters and digits"),
            ("1.0-a..b", "letters and digits"),
            ("1.0+7", "no order"),
            ("99999999999999999999", "numbers"),
        ] {
            let refusal = bad.parse::<Version>().unwrap_err();
            assert!(refusal.contains(cure), "{bad}: {refusal}");
        }
    }

    proptest! {
        /// Equal and ordered agree, and the order is one.
        #[test]
        fn the_order_is_total(texts in prop::collection::vec("[0-3](\\.[0-2]){0,2}(-[ab1]{1,2})?", 3)) {
            let [a, b, c] = [version(&texts[0]), version(&texts[1]), version(&texts[2])];
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            prop_assert_eq!(a == b, a.cmp(&b) == Ordering::Equal);
            prop_assert!(!(a <= b && b <= c) || a <= c);
        }
    }
}
