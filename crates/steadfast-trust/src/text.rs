//! Text that comes from elsewhere, made fit to be shown, and digests as text.

use std::borrow::Cow;
use std::error::Error;

pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

/// A SHA-256 digest from its hexadecimal digits.
pub fn unhex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut digest = [0; 32];
    for (at, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(digest)
}

/// Not what would move a terminal's cursor, turn the direction of its text, or is not to be seen in it.
fn is_shown(it: &char) -> bool {
    match it {
        '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}' => false,
        it => !it.is_control(),
    }
}

/// What people wrote, on one line and short, and nothing in it but what is shown.
pub fn printable(text: &str) -> String {
    text.chars().filter(is_shown).take(200).collect()
}

/// Text from elsewhere, fit for a line of ours.
pub fn one_line(text: &str) -> String {
    let lines = text.lines().map(|it| it.chars().filter(is_shown).collect::<String>());
    let lines = lines.map(|it| it.trim().to_owned()).filter(|it| !it.is_empty());
    lines.take(600).collect::<Vec<_>>().join("; ").chars().take(600).collect()
}

/// A URL without the user and the password that it may hold, for events and logs.
pub fn without_user(url: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = url.split_once("://") else { return Cow::Borrowed(url) };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => Cow::Owned(format!("{scheme}://{}", &rest[at + 1..])),
        None => Cow::Borrowed(url),
    }
}

/// `a: b: c`: the words of an error and of its causes, every layer once.
pub fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !line.ends_with(&words) {
            line.push_str(": ");
            line.push_str(&words);
        }
        next = cause.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_strangers_are_one_line_in_which_nothing_steers_a_terminal() {
        let said =
            "\u{1b}[2J\r\n remote:\u{202e} a\u{200b}b\u{feff} \u{7}\n\n\u{2066}\nfatal: c\td";
        assert_eq!(one_line(said), "[2J; remote: ab; fatal: cd");
        assert_eq!(one_line(&"x\n".repeat(10_000)).chars().count(), 600);
        assert_eq!(printable("a\u{202e}b\u{1b}c\n"), "abc");
    }

    #[test]
    fn a_url_is_shown_without_who_asks() {
        let cases = [
            ("ssh://git:secret@host:22/x@y", "ssh://host:22/x@y"),
            ("https://u@s:e@host/x", "https://host/x"),
            ("https://host/x?a@b", "https://host/x?a@b"),
            ("file:///srv/a@b", "file:///srv/a@b"),
            ("no url", "no url"),
        ];
        for (url, shown) in cases {
            assert_eq!(without_user(url), shown);
        }
    }
}
