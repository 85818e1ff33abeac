//! Patterns over paths and promised ids: `*` and `?` stay within one part, `**` crosses `/`, `[a-z]`
//! is one of several characters and `[!a-z]` any other.
//!
//! `a/**/b` also matches `a/b`. A character of its own that would be special stands in brackets: `[*]`.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// A pattern that has been read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Glob {
    text: Arc<str>,
    tokens: Arc<[Token]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    One(char),
    /// `?`
    Any,
    /// `*`
    Within,
    /// `**`
    Across,
    /// `**/`: any number of directories, none too.
    Folders,
    Class {
        other: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Glob {
    pub fn parse(text: &str) -> Result<Glob, String> {
        if text.is_empty() {
            return Err("a pattern cannot be empty".to_owned());
        }
        if text.len() > 4_096 {
            return Err("a pattern has 4,096 bytes at most".to_owned());
        }
        let shown = text.escape_debug();
        if text.chars().any(char::is_control) {
            return Err(format!("the pattern `{shown}` has a control character"));
        }
        let chars: Vec<char> = text.chars().collect();
        let (mut tokens, mut at) = (vec![], 0);
        while let Some(&it) = chars.get(at) {
            at += 1;
            tokens.push(match it {
                '?' => Token::Any,
                '*' if chars.get(at) != Some(&'*') => Token::Within,
                '*' => {
                    at += chars[at..].iter().take_while(|it| **it == '*').count();
                    let begins = matches!(tokens.last(), None | Some(Token::One('/')));
                    if begins && chars.get(at) == Some(&'/') {
                        at += 1;
                        Token::Folders
                    } else {
                        Token::Across
                    }
                }
                '[' => {
                    let (class, after) = class(&chars, at).ok_or_else(|| {
                        format!("the pattern `{shown}` has a `[` without its `]`")
                    })?;
                    at = after;
                    class
                }
                it => Token::One(it),
            });
        }
        Ok(Glob { text: Arc::from(text), tokens: Arc::from(tokens) })
    }

    /// A pattern over promised ids. One that names no path, as `file:*`, means all of its kind, whatever
    /// directories they lie in.
    pub fn of_ids(text: &str) -> Result<Glob, String> {
        let mut glob = Glob::parse(text)?;
        if !text.contains('/') {
            let across = |it: &Token| match it {
                Token::Within => Token::Across,
                Token::One(_)
                | Token::Any
                | Token::Across
                | Token::Folders
                | Token::Class { .. } => it.clone(),
            };
            glob.tokens = glob.tokens.iter().map(across).collect();
        }
        Ok(glob)
    }

    /// The only text that it matches, where it is one.
    pub fn literal(&self) -> Option<&str> {
        let plain = self.tokens.iter().all(|it| matches!(it, Token::One(_)));
        (plain && !self.text.contains('[')).then_some(&*self.text)
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the whole text matches. Takes time in proportion to text times pattern, whatever
    /// they are.
    pub fn matches(&self, text: &str) -> bool {
        let end = self.tokens.len();
        // The places in the pattern that the text so far can have led to.
        let mut now = vec![false; end + 1];
        self.reach(&mut now, 0, true);
        let mut next = vec![false; end + 1];
        let mut begins = true;
        for it in text.chars() {
            next.fill(false);
            for (at, token) in self.tokens.iter().enumerate() {
                if !now[at] {
                    continue;
                }
                match token {
                    Token::One(one) if *one == it => self.reach(&mut next, at + 1, it == '/'),
                    Token::Any if it != '/' => self.reach(&mut next, at + 1, false),
                    Token::Within if it != '/' => self.reach(&mut next, at, false),
                    Token::Across => self.reach(&mut next, at, it == '/'),
                    // Ends only behind a `/`; see `reach` for none at all.
                    Token::Folders => {
                        next[at] = true;
                        if it == '/' && !begins {
                            self.reach(&mut next, at + 1, true);
                        }
                    }
                    Token::Class { other, ranges }
                        if it != '/'
                            && ranges.iter().any(|(low, high)| (*low..=*high).contains(&it))
                                != *other =>
                    {
                        self.reach(&mut next, at + 1, false);
                    }
                    Token::One(_) | Token::Any | Token::Within | Token::Class { .. } => {}
                }
            }
            std::mem::swap(&mut now, &mut next);
            begins = it == '/';
        }
        now[end]
    }

    /// Marks a place, and those that follow it without a character.
    fn reach(&self, places: &mut [bool], at: usize, begins: bool) {
        let mut at = at;
        loop {
            places[at] = true;
            match self.tokens.get(at) {
                Some(Token::Within | Token::Across) => at += 1,
                Some(Token::Folders) if begins => at += 1,
                Some(Token::Folders | Token::One(_) | Token::Any | Token::Class { .. }) | None => {
                    return;
                }
            }
        }
    }
}

/// What stands in brackets, and where it ends. A `]` that comes first is meant.
fn class(chars: &[char], start: usize) -> Option<(Token, usize)> {
    let other = matches!(chars.get(start), Some('!' | '^'));
    let mut at = start + usize::from(other);
    let first = at;
    let mut ranges = vec![];
    loop {
        let low = *chars.get(at)?;
        if low == ']' && at > first {
            return Some((Token::Class { other, ranges }, at + 1));
        }
        let ranged =
            chars.get(at + 1) == Some(&'-') && chars.get(at + 2).is_some_and(|it| *it != ']');
        let high = if ranged { *chars.get(at + 2)? } else { low };
        at += if ranged { 3 } else { 1 };
        ranges.push((low, high));
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for Glob {
    type Error = String;
    fn try_from(text: String) -> Result<Glob, String> {
        Glob::parse(&text)
    }
}

impl From<Glob> for String {
    fn from(glob: Glob) -> String {
        glob.text.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_match_what_they_should_and_nothing_else() {
        let cases: &[(&str, &[&str], &[&str])] = &[
            ("a", &["a"], &["", "b", "aa"]),
            ("*", &["", "a", "abc"], &["a/b", "/"]),
            ("*.conf", &["a.conf", ".conf"], &["a.conf~", "d/a.conf"]),
            ("a?c", &["abc", "aéc"], &["ac", "a/c", "abbc"]),
            ("**", &["", "a", "a/b", "/"], &[]),
            ("a/**", &["a/", "a/b", "a/b/c"], &["a", "ab"]),
            ("a/**/b", &["a/b", "a/x/b", "a/x/y/b"], &["ab", "a/xb", "a/b/c", "a//"]),
            ("**/b", &["b", "a/b", "a/c/b"], &["ab", "a/ab", "b/a"]),
            ("a**c", &["ac", "a/b/c"], &["a/b"]),
            ("[a-c]x", &["ax", "cx"], &["dx", "x", "-x"]),
            ("[!a-c]x", &["dx"], &["ax", "/x"]),
            ("[^a]", &["b"], &["a"]),
            ("[]a-]", &["]", "a", "-"], &["b"]),
            ("[*]", &["*"], &["a"]),
            ("file:/etc/nginx/*", &["file:/etc/nginx/a"], &["file:/etc/nginx/a/b", "file:/etc/x"]),
            ("web[2-9].xyz", &["web2.xyz"], &["web1.xyz", "web22.xyz"]),
        ];
        for (pattern, good, bad) in cases {
            let glob = Glob::parse(pattern).unwrap();
            for text in *good {
                assert!(glob.matches(text), "{pattern} should match {text:?}");
            }
            for text in *bad {
                assert!(!glob.matches(text), "{pattern} should not match {text:?}");
            }
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for pattern in ["", "[a", "a[", "[]", "[!]", "a\nb"] {
            assert!(Glob::parse(pattern).is_err(), "{pattern:?}");
        }
    }

    #[test]
    fn a_pattern_of_stars_takes_no_time() {
        let glob = Glob::parse(&"*a**a".repeat(200)).unwrap();
        assert!(!glob.matches(&"a".repeat(150)));
    }

    proptest! {
        #[test]
        fn text_without_special_characters_matches_itself_alone(
            text in "[a-c/.]{1,12}", other in "[a-c/.]{1,12}"
        ) {
            let glob = Glob::parse(&text).unwrap();
            prop_assert!(glob.matches(&text));
            prop_assert_eq!(glob.matches(&other), text == other);
        }

        #[test]
        fn no_pattern_makes_it_panic(pattern in "[a*?/\\[\\]!^-]{0,12}", text in "[a/-]{0,12}") {
            if let Ok(glob) = Glob::parse(&pattern) {
                glob.matches(&text);
            }
        }
    }
}
