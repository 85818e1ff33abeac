//! Bytes and text of the machine as they are shown to people.

use std::fmt::Write as _;

/// `00ff`
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

/// Text from the machine, harmless on a terminal and on one line: control characters, and those that
/// turn the direction of text, are shown as what they are. (A tab does no harm.)
pub fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for it in text.chars() {
        if it != '\t' && is_unsafe(it) {
            out.extend(it.escape_default());
        } else {
            out.push(it);
        }
    }
    out
}

/// The same of its first `limit` characters.
pub fn safe_start(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => safe(&text[..end]),
        None => safe(text),
    }
}

/// The first words that a program said: up to 300 characters of a line, empty lines left out.
pub(crate) fn safe_lines(text: &str) -> impl Iterator<Item = String> {
    text.lines().map(|line| safe_start(line, 300)).filter(|line| !line.trim().is_empty())
}

/// Control characters, and those that turn the direction of text.
fn is_unsafe(it: char) -> bool {
    it.is_control()
        || ('\u{202a}'..='\u{202e}').contains(&it)
        || ('\u{2066}'..='\u{2069}').contains(&it)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_the_machine_does_nothing_to_a_terminal() {
        for (text, shown) in [
            ("plain, ünïcode and \t tabs", "plain, ünïcode and \t tabs"),
            ("\u{1b}[2J\r\n\0", "\\u{1b}[2J\\r\\n\\u{0}"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("a\u{202e}b\u{2066}c", "a\\u{202e}b\\u{2066}c"),
        ] {
            assert_eq!(safe(text), shown);
        }
        assert_eq!(safe_start("ü\u{1b}üü", 3), "ü\\u{1b}ü");
        assert_eq!(safe_start("üü", 3), "üü");
        assert_eq!(safe_lines("one\n \n\u{7}\n").collect::<Vec<_>>(), ["one", "\\u{7}"]);
    }

    #[test]
    fn bytes_are_shown_as_digits() {
        assert_eq!(hex(&[0, 255, 16]), "00ff10");
        assert_eq!(hex(&[]), "");
    }
}
