//! SSH keys as lines of `authorized_keys`, and what separates such a file from a promise.

use base64::Engine as _;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use thiserror::Error;

/// The block that is ours in a file where others may have lines too.
pub(super) const BEGIN: &str = "# BEGIN steadfast ssh_keys";
pub(super) const END: &str = "# END steadfast ssh_keys";

/// What sshd takes in a file of keys.
const TYPES: [&str; 7] = [
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// One key with its options.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SshKey {
    /// `no-pty,command="…"`; mostly empty.
    pub options: Arc<str>,
    pub kind: Arc<str>,
    /// In base64.
    pub blob: Arc<str>,
    pub comment: Arc<str>,
}

/// Why a text is not a key. The text itself is not repeated: it may be a private key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("not a public SSH key: {0}")]
pub struct BadKey(&'static str);

impl SshKey {
    /// A line of `authorized_keys`: options (where there are any), type, key, comment.
    pub fn parse(text: &str) -> Result<SshKey, BadKey> {
        if text.chars().any(char::is_control) {
            return Err(BadKey("it has a control character or is more than one line"));
        }
        if text.len() > 8_192 {
            return Err(BadKey("it is longer than 8,192 bytes"));
        }
        let Some(key) = SshKey::scan(text) else {
            return Err(BadKey(
                "it needs a known type (ssh-ed25519, ssh-rsa, …) and the key itself",
            ));
        };
        let Ok(blob) = base64::engine::general_purpose::STANDARD.decode(&*key.blob) else {
            return Err(BadKey("what stands after the type is not base64"));
        };
        // The key begins with its own type: a length of four bytes, and the name.
        let length = key.kind.len();
        let fits = blob.len() > 4 + length
            && blob.get(..4)
                == u32::try_from(length).ok().map(u32::to_be_bytes).as_ref().map(|it| &it[..])
            && blob.get(4..4 + length) == Some(key.kind.as_bytes());
        if !fits {
            return Err(BadKey("the key is of another type than it says, or was cut"));
        }
        Ok(key)
    }

    /// As sshd reads a line, whatever the key is worth.
    fn scan(line: &str) -> Option<SshKey> {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let first = line.split([' ', '\t']).next()?;
        let (options, rest) = if TYPES.contains(&first) {
            ("", line)
        } else {
            let end = end_of_options(line)?;
            (line.get(..end)?, line.get(end..)?.trim_start())
        };
        let mut words = rest.splitn(2, [' ', '\t']);
        let kind = words.next().filter(|it| TYPES.contains(it))?;
        let mut words = words.next()?.trim_start().splitn(2, [' ', '\t']);
        let blob = words.next().filter(|it| !it.is_empty())?;
        Some(SshKey {
            options: Arc::from(options),
            kind: Arc::from(kind),
            blob: Arc::from(blob),
            comment: Arc::from(words.next().unwrap_or_default().trim()),
        })
    }

    /// Whether both let the same person do the same: the comment does not matter.
    pub fn same(&self, other: &SshKey) -> bool {
        let SshKey { options, kind, blob, comment: _ } = self;
        *options == other.options && *kind == other.kind && *blob == other.blob
    }

    /// As it stands in the file.
    pub fn line(&self) -> String {
        let SshKey { options, kind, blob, comment } = self;
        let parts = [options, kind, blob, comment];
        let parts: Vec<&str> =
            parts.into_iter().map(|it| &**it).filter(|it| !it.is_empty()).collect();
        parts.join(" ")
    }

    /// For people: its comment, or the end of the key.
    pub fn shown(&self) -> String {
        if !self.comment.is_empty() {
            return format!("{} {}", self.kind, self.comment);
        }
        let tail: Vec<char> = self.blob.chars().rev().take(8).collect();
        format!("{} …{}", self.kind, tail.into_iter().rev().collect::<String>())
    }
}

impl fmt::Debug for SshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SshKey({})", self.shown())
    }
}

/// The first white space outside quotes; options have no other.
fn end_of_options(line: &str) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            b'"' if !escaped => quoted = !quoted,
            b' ' | b'\t' if !quoted => return Some(at),
            _ => {}
        }
        escaped = byte == b'\\' && !escaped;
    }
    None
}

/// What is promised about a file of keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Keys {
    AtLeast(Vec<SshKey>),
    Exactly(Vec<SshKey>),
}

/// A file of keys as it is to become.
#[derive(Clone, PartialEq, Eq)]
pub struct NewKeys {
    pub content: Arc<[u8]>,
    pub added: Vec<SshKey>,
    pub removed: usize,
}

impl fmt::Debug for NewKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NewKeys { content, added, removed } = self;
        write!(f, "NewKeys({} bytes, added {added:?}, removed {removed})", content.len())
    }
}

/// What a file becomes, none where it is as promised; or why it cannot be told which part is ours.
pub(super) fn difference(want: &Keys, have: &[u8]) -> Result<Option<NewKeys>, &'static str> {
    match want {
        Keys::AtLeast(keys) => at_least(keys, have),
        Keys::Exactly(keys) => Ok(exactly(keys, have)),
    }
}

/// Our block in a file, without the white space at its end; or why it cannot be told.
pub(crate) fn block(have: &[u8]) -> Result<Option<Vec<u8>>, &'static str> {
    let lines: Vec<&[u8]> = have.split_inclusive(|it| *it == b'\n').collect();
    let block = lines[place_of_block(&lines)?].concat();
    Ok((!block.is_empty()).then(|| block.trim_ascii_end().to_vec()))
}

/// The lines of our block; none at the end where there is no such block.
fn place_of_block(lines: &[&[u8]]) -> Result<Range<usize>, &'static str> {
    let places = |marker: &str| -> Vec<usize> {
        let is_marker =
            |(at, line): (usize, &&[u8])| (line.trim_ascii() == marker.as_bytes()).then_some(at);
        lines.iter().enumerate().filter_map(is_marker).collect()
    };
    match (&*places(BEGIN), &*places(END)) {
        ([], []) => Ok(lines.len()..lines.len()),
        ([begin], [end]) if begin < end => Ok(*begin..*end + 1),
        _ => Err("the marks of our block in it are torn"),
    }
}

fn at_least(want: &[SshKey], have: &[u8]) -> Result<Option<NewKeys>, &'static str> {
    let lines: Vec<&[u8]> = have.split_inclusive(|it| *it == b'\n').collect();
    let block = place_of_block(&lines)?;
    let (before, after) = (&lines[..block.start], &lines[block.end..]);
    let inside: Vec<SshKey> = lines[block.clone()].iter().filter_map(|it| scan(it)).collect();
    let outside: Vec<SshKey> = before.iter().chain(after).filter_map(|it| scan(it)).collect();
    let ours: Vec<&SshKey> = want.iter().filter(|it| !holds(&outside, it)).collect();
    let mut text = String::new();
    if !ours.is_empty() {
        text = format!("{BEGIN}\n");
        for key in &ours {
            text.push_str(&key.line());
            text.push('\n');
        }
        text.push_str(END);
        text.push('\n');
    }
    // A block at the end may lack its last newline.
    let found = lines[block].concat();
    if found.trim_ascii_end() == text.as_bytes().trim_ascii_end() {
        return Ok(None);
    }
    let mut content = before.concat();
    if !text.is_empty() && !content.is_empty() && !content.ends_with(b"\n") {
        content.push(b'\n');
    }
    content.extend_from_slice(text.as_bytes());
    content.extend(after.concat());
    Ok(Some(NewKeys {
        content: Arc::from(content),
        added: ours.into_iter().filter(|it| !holds(&inside, it)).cloned().collect(),
        removed: inside.iter().filter(|it| !holds(want, it)).count(),
    }))
}

fn exactly(want: &[SshKey], have: &[u8]) -> Option<NewKeys> {
    let mut found: Vec<SshKey> = vec![];
    let mut strange = 0;
    for line in have.split(|it| *it == b'\n').map(<[u8]>::trim_ascii) {
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        match scan(line) {
            Some(key) => found.push(key),
            // sshd may yet understand what we do not.
            None => strange += 1,
        }
    }
    let added: Vec<SshKey> = want.iter().filter(|it| !holds(&found, it)).cloned().collect();
    let removed = found.iter().filter(|it| !holds(want, it)).count() + strange;
    if added.is_empty() && removed == 0 {
        return None;
    }
    let content: String = want.iter().map(|key| key.line() + "\n").collect();
    Some(NewKeys { content: Arc::from(content.into_bytes()), added, removed })
}

fn scan(line: &[u8]) -> Option<SshKey> {
    SshKey::scan(std::str::from_utf8(line).ok()?)
}

fn holds(keys: &[SshKey], key: &SshKey) -> bool {
    keys.iter().any(|it| it.same(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The public keys of these tests: the right form, and nobody's.
    pub(crate) fn blob(last: u8) -> String {
        let mut bytes = vec![0, 0, 0, 11];
        bytes.extend_from_slice(b"ssh-ed25519");
        bytes.extend_from_slice(&[0, 0, 0, 32]);
        bytes.extend_from_slice(&[last; 32]);
        base64::engine::general_purpose::STANDARD.encode(bytes)
    }

    fn line(last: u8) -> String {
        format!("ssh-ed25519 {} key{last}", blob(last))
    }

    fn key(last: u8) -> SshKey {
        SshKey::parse(&line(last)).unwrap()
    }

    #[test]
    fn a_key_is_read_as_sshd_reads_it() {
        let blob = blob(1);
        for (text, options, comment) in [
            (format!("ssh-ed25519 {blob}"), "", ""),
            (format!("  ssh-ed25519\t{blob}  a b "), "", "a b"),
            (
                format!(r#"no-pty,command="echo \"a b\" ssh-rsa" ssh-ed25519 {blob} x"#),
                r#"no-pty,command="echo \"a b\" ssh-rsa""#,
                "x",
            ),
        ] {
            // A tab between words is what sshd takes; in a model it is a control character.
            let key = SshKey::scan(&text).unwrap();
            assert_eq!(
                (&*key.options, &*key.comment, &*key.blob),
                (options, comment, &*blob),
                "{text}"
            );
        }
        assert_eq!(SshKey::parse(&line(1)).unwrap().line(), line(1));
    }

    #[test]
    fn what_is_no_key_is_refused_without_repeating_it() {
        let good = blob(1);
        for (text, why) in [
            (String::new(), "it needs a known type"),
            ("# ssh-ed25519 AAAA".to_owned(), "it needs a known type"),
            (format!("ssh-dss {good}"), "it needs a known type"),
            ("ssh-ed25519".to_owned(), "it needs a known type"),
            (format!("command=\"x ssh-ed25519 {good}"), "it needs a known type"),
            ("ssh-ed25519 AAA".to_owned(), "not base64"),
            (format!("ssh-rsa {good}"), "another type"),
            (format!("ssh-ed25519 {}", &good[..16]), "another type"),
            (format!("ssh-ed25519 {good}\nssh-ed25519 {good}"), "more than one line"),
            (format!("ssh-ed25519 {good} \0"), "control character"),
            (format!("ssh-ed25519 {good} {}", "x".repeat(9000)), "longer than"),
        ] {
            let told = SshKey::parse(&text).unwrap_err().to_string();
            assert!(told.contains(why), "{text}: {told}");
            assert!(!told.contains(&good), "{told}");
        }
    }

    fn become_of(want: &Keys, have: &str) -> String {
        let shown = |content: &[u8]| {
            let mut text = String::from_utf8_lossy(content).into_owned();
            for last in 1..9 {
                text = text.replace(&blob(last), &format!("<{last}>"));
            }
            text
        };
        match difference(want, have.as_bytes()) {
            Ok(None) => "kept".to_owned(),
            Ok(Some(new)) => {
                let again = difference(want, &new.content);
                assert_eq!(again, Ok(None), "not kept after it was written");
                let NewKeys { content, added, removed } = new;
                format!("+{} -{removed}\n{}", added.len(), shown(&content))
            }
            Err(why) => why.to_owned(),
        }
    }

    #[test]
    fn at_least_keeps_a_block_of_our_own() {
        let want = Keys::AtLeast(vec![key(1), key(2)]);
        let block = format!("{BEGIN}\n{}\n{}\n{END}\n", line(1), line(2));
        let foreign = line(3);
        for (have, expected) in [
            (
                String::new(),
                "+2 -0\n# BEGIN steadfast ssh_keys\nssh-ed25519 <1> key1\nssh-ed25519 <2> key2\n# END steadfast ssh_keys\n",
            ),
            (block.clone(), "kept"),
            (block.trim_end().to_owned(), "kept"),
            (format!("{foreign}\n{block}#x\n"), "kept"),
            // Keys that stand elsewhere count, whatever their comment.
            (format!("{}\n{}", line(1).replace("key1", "other"), line(2)), "kept"),
            (
                foreign.clone(),
                "+2 -0\nssh-ed25519 <3> key3\n# BEGIN steadfast ssh_keys\nssh-ed25519 <1> key1\nssh-ed25519 <2> key2\n# END steadfast ssh_keys\n",
            ),
            // With other options it is another key.
            (
                format!("no-pty {}\n{}\n", line(1), line(2)),
                "+1 -0\nno-pty ssh-ed25519 <1> key1\nssh-ed25519 <2> key2\n# BEGIN steadfast ssh_keys\nssh-ed25519 <1> key1\n# END steadfast ssh_keys\n",
            ),
            // What is no longer promised leaves our block.
            (
                format!("#a\n{BEGIN}\n{}\n{foreign}\n{END}\n#b", line(1)),
                "+1 -1\n#a\n# BEGIN steadfast ssh_keys\nssh-ed25519 <1> key1\nssh-ed25519 <2> key2\n# END steadfast ssh_keys\n#b",
            ),
            (format!("{BEGIN}\n{}\n", line(1)), "the marks of our block in it are torn"),
            (format!("{END}\n{BEGIN}\n"), "the marks of our block in it are torn"),
            (format!("{block}{block}"), "the marks of our block in it are torn"),
        ] {
            assert_eq!(become_of(&want, &have), expected, "{have}");
        }
        assert_eq!(
            become_of(&Keys::AtLeast(vec![]), &format!("#a\n{block}#b\n")),
            "+0 -2\n#a\n#b\n"
        );
        assert_eq!(become_of(&Keys::AtLeast(vec![]), "strange\n"), "kept");
    }

    #[test]
    fn exactly_leaves_nothing_else_that_could_let_somebody_in() {
        let want = Keys::Exactly(vec![key(1), key(2)]);
        let both = format!("{}\n{}\n", line(1), line(2));
        let whole = "ssh-ed25519 <1> key1\nssh-ed25519 <2> key2\n";
        for (have, expected) in [
            (both.clone(), "kept".to_owned()),
            (format!("# mine\n\n{}\n{}", line(2), line(1)), "kept".to_owned()),
            (String::new(), format!("+2 -0\n{whole}")),
            (format!("{both}{}\n", line(3)), format!("+0 -1\n{whole}")),
            (format!("{both}cert-authority who knows\n"), format!("+0 -1\n{whole}")),
            (format!("{both}no-pty {}\n", line(1)), format!("+0 -1\n{whole}")),
        ] {
            assert_eq!(become_of(&want, &have), expected, "{have}");
        }
        assert_eq!(become_of(&Keys::Exactly(vec![]), &both), "+0 -2\n");
        assert_eq!(become_of(&Keys::Exactly(vec![]), ""), "kept");
    }

    #[test]
    fn bytes_that_are_no_text_stay_as_they_are() {
        let have = b"\xff\xfe\n";
        let new = difference(&Keys::AtLeast(vec![key(1)]), have).unwrap().unwrap();
        assert!(new.content.starts_with(have));
        assert_eq!(difference(&Keys::Exactly(vec![]), have).unwrap().unwrap().removed, 1);
    }
}
