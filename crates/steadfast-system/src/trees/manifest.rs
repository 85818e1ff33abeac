//! What is in a tree, as it was written: the text beside it by which a later look knows whether it is still so.
//!
//! ```text
//! steadfast-tree 1
//! digest 64 HEX DIGITS              of what it was made from
//! at NANOSECONDS                    when the following was seen
//! device NUMBER
//! mode OCTAL                        of its root
//! group NUMBER                      of all that is in it
//! entries COUNT
//! directory MODE INODE CTIME MTIME NAME
//! file MODE INODE CTIME MTIME SIZE SHA256 NAME
//! link MODE INODE CTIME MTIME TARGET NAME
//! …
//! ```
//!
//! In names and targets each byte that is no visible ASCII, and `%`, stands as `%` and two hex digits.

use crate::text::hex;
use std::fmt::Write as _;

const FIRST: &str = "steadfast-tree 1";

/// A whole tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// SHA-256 of what it was made from and how.
    pub digest: [u8; 32],
    /// When what is said of its entries was seen, in nanoseconds since 1970.
    pub at: i64,
    pub device: u64,
    /// Of its root.
    pub mode: u16,
    pub group: u32,
    pub entries: Vec<Entry>,
}

/// One thing in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Below the tree's root.
    pub name: Vec<u8>,
    /// The twelve permission bits.
    pub mode: u16,
    pub seen: Seen,
    pub what: What,
}

/// By what the kernel shows that nobody has touched it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub inode: u64,
    /// In nanoseconds since 1970, as `mtime`.
    pub ctime: i64,
    pub mtime: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Directory,
    File { size: u64, sha256: [u8; 32] },
    Link { target: Vec<u8> },
}

impl Manifest {
    pub fn to_text(&self) -> String {
        let Manifest { digest, at, device, mode, group, entries } = self;
        let mut text = String::with_capacity(200 * (entries.len() + 1));
        let (digest, count) = (hex(digest), entries.len());
        let _infallible = write!(
            text,
            "{FIRST}\ndigest {digest}\nat {at}\ndevice {device}\nmode {mode:04o}\ngroup {group}\n\
             entries {count}\n"
        );
        for Entry { name, mode, seen: Seen { inode, ctime, mtime }, what } in entries {
            let (word, more) = match what {
                What::Directory => ("directory", String::new()),
                What::File { size, sha256 } => ("file", format!(" {size} {}", hex(sha256))),
                What::Link { target } => ("link", format!(" {}", escaped(target))),
            };
            let name = escaped(name);
            let _infallible =
                writeln!(text, "{word} {mode:04o} {inode} {ctime} {mtime}{more} {name}");
        }
        text
    }

    /// None where it is no such text, or not whole.
    pub fn from_text(text: &str) -> Option<Manifest> {
        let whole = text.strip_suffix('\n')?;
        let mut lines = whole.split('\n');
        if lines.next()?.as_bytes() != FIRST.as_bytes() {
            return None;
        }
        let mut field = |key: &str| lines.next()?.strip_prefix(key)?.strip_prefix(' ');
        let digest = unhex(field("digest")?)?;
        let at = field("at")?.parse().ok()?;
        let device = field("device")?.parse().ok()?;
        let mode = u16::from_str_radix(field("mode")?, 8).ok()?;
        let group = field("group")?.parse().ok()?;
        let count: usize = field("entries")?.parse().ok()?;
        let entries: Vec<Entry> = lines.map(entry).collect::<Option<_>>()?;
        (entries.len() == count).then_some(Manifest { digest, at, device, mode, group, entries })
    }
}

fn entry(line: &str) -> Option<Entry> {
    let mut words = line.split(' ');
    let word = words.next()?;
    let mode = u16::from_str_radix(words.next()?, 8).ok()?;
    let seen = Seen {
        inode: words.next()?.parse().ok()?,
        ctime: words.next()?.parse().ok()?,
        mtime: words.next()?.parse().ok()?,
    };
    let what = match word {
        "directory" => What::Directory,
        "file" => What::File { size: words.next()?.parse().ok()?, sha256: unhex(words.next()?)? },
        "link" => What::Link { target: unescaped(words.next()?)? },
        _ => return None,
    };
    let name = unescaped(words.next()?)?;
    words.next().is_none().then_some(Entry { name, mode, seen, what })
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, digits) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(digest)
}

fn escaped(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name {
        match byte {
            b'%' => text.push_str("%25"),
            0x21..=0x7e => text.push(char::from(*byte)),
            _ => {
                let _infallible = write!(text, "%{byte:02x}");
            }
        }
    }
    text
}

fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut name = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            name.push(byte);
            continue;
        }
        let digits = [bytes.next()?, bytes.next()?];
        name.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_it_was_written_and_never_in_part() {
        let seen = Seen { inode: 7, ctime: 1_764_460_800_123_456_789, mtime: -1 };
        let entry = |name: &[u8], mode, what| Entry { name: name.into(), mode, seen, what };
        let file = What::File { size: u64::MAX, sha256: [0xa7; 32] };
        let manifest = Manifest {
            digest: [9; 32],
            at: 1,
            device: 2,
            mode: 0o550,
            group: 3,
            entries: vec![
                entry(b"a b", 0o555, What::Directory),
                entry(b"a b/100%\n\xff", 0o4555, file),
                entry("l\u{202e}".as_bytes(), 0o777, What::Link { target: b"../a b".into() }),
            ],
        };
        let text = manifest.to_text();
        assert_eq!(Manifest::from_text(&text), Some(manifest));
        assert!(text.is_ascii());
        for end in 0..text.len() {
            assert_eq!(Manifest::from_text(&text[..end]), None, "cut off at {end}");
        }
    }

    #[test]
    fn the_first_form_is_still_read() {
        let text = include_str!("../../../../tests/formats/tree-1.txt");
        let manifest = Manifest::from_text(text).unwrap();
        assert_eq!((manifest.device, manifest.mode, manifest.entries.len()), (65025, 0o555, 3));
        assert_eq!(manifest.entries[1].name, b"bin/api one");
        assert_eq!(manifest.to_text(), text);
    }
}
