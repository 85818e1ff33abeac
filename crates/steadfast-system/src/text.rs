//! Bytes and text of the machine as they are shown to people.

use std::borrow::Cow;
use std::fmt::Write as _;

/// `00ff`
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

/// Whether a text is a SHA-256 as [`hex`] writes it, or with capital letters.
pub fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|it| it.is_ascii_hexdigit())
}

/// A name of the kernel as text, so that [`to_bytes`] gives it back: each byte that is no UTF-8 stands as
/// `\0` and two hex digits. No name and no target of a link has a NUL byte in it, so no two names are one
/// text.
pub fn of_bytes(name: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(name) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(name.len() + 8);
    for chunk in name.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _infallible = write!(text, "\0{byte:02x}");
        }
    }
    Cow::Owned(text)
}

/// The name that [`of_bytes`] made a text of.
pub fn to_bytes(text: &str) -> Cow<'_, [u8]> {
    let Some((plain, rest)) = text.split_once('\0') else { return Cow::Borrowed(text.as_bytes()) };
    let mut name = plain.as_bytes().to_vec();
    for part in rest.split('\0') {
        match byte_of(part) {
            Some(byte) => {
                name.push(byte);
                name.extend_from_slice(&part.as_bytes()[2..]);
            }
            // Nothing that was made of a name: the kernel takes none with this byte.
            None => {
                name.push(0);
                name.extend_from_slice(part.as_bytes());
            }
        }
    }
    Cow::Owned(name)
}

/// The byte that two hex digits at the start of a text stand for.
fn byte_of(text: &str) -> Option<u8> {
    let digits = text.get(..2).filter(|it| it.bytes().all(|it| it.is_ascii_hexdigit()))?;
    u8::from_str_radix(digits, 16).ok()
}

/// Text from the machine, harmless on a terminal and on one line: control characters, and those that
/// turn the direction of text, are shown as what they are. (A tab does no harm.)
pub fn safe(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    for (at, it) in text.char_indices() {
        if it == '\0' && byte_of(&text[at + 1..]).is_some() {
            out.push_str("\\x");
        } else if it != '\t' && is_unsafe(it) {
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

/// Whether it is printable ASCII throughout, as most text is.
pub fn is_plain(text: &str) -> bool {
    text.bytes().all(|it| (b' '..=b'~').contains(&it))
}

/// Control characters, those that turn the direction of text, and those that end a line to some programs.
pub fn is_unsafe(it: char) -> bool {
    it.is_control()
        || matches!(it, '\u{61c}' | '\u{200e}' | '\u{200f}')
        || ('\u{2028}'..='\u{202e}').contains(&it)
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
            (&of_bytes(b"bad\xff\xfename"), "bad\\xff\\xfename"),
            ("a\u{202e}b\u{2066}c", "a\\u{202e}b\\u{2066}c"),
            ("a\u{200f}b\u{2028}c\u{2029}", "a\\u{200f}b\\u{2028}c\\u{2029}"),
        ] {
            assert_eq!(safe(text), shown);
        }
        assert_eq!(safe_start("ü\u{1b}üü", 3), "ü\\u{1b}ü");
        assert_eq!(safe_start("üü", 3), "üü");
        assert_eq!(safe_lines("one\n \n\u{7}\n").collect::<Vec<_>>(), ["one", "\\u{7}"]);
    }

    #[test]
    fn a_name_of_the_kernel_is_text_and_back_and_no_two_are_one() {
        let names: [&[u8]; 8] = [
            b"plain",
            "\u{fc}\n".as_bytes(),
            b"bad\xff",
            b"bad\xfe",
            b"\xc3",
            b"badff",
            b"\xc3\xff\xc3\xbc",
            b"",
        ];
        let texts: Vec<_> = names.iter().map(|it| of_bytes(it)).collect();
        assert_eq!(texts[2], "bad\0ff");
        assert_eq!(texts[6], "\0c3\0ff\u{fc}");
        for (at, name) in names.iter().enumerate() {
            assert_eq!(*to_bytes(&texts[at]), **name);
            assert_eq!(texts.iter().filter(|it| **it == texts[at]).count(), 1);
        }
        // What no name is stays what the kernel refuses.
        for text in ["a\0", "a\0zz", "a\0f"] {
            assert!(to_bytes(text).contains(&0), "{text:?}");
        }
    }

    #[test]
    fn bytes_are_shown_as_digits() {
        assert_eq!(hex(&[0, 255, 16]), "00ff10");
        assert_eq!(hex(&[]), "");
    }
}
