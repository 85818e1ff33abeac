//! Git objects, read by ourselves: a commit, an annotated tag and a tree, and the name that their content
//! gives them. The privileged side of a fetch never starts git, so nothing in a repository can turn it.

use sha2::Digest as _;
use std::iter::Peekable;
use steadfast_trust::envelope::Signed;
use steadfast_trust::text::{hex, printable};

/// A commit or tag with its message.
pub(crate) const MAX_COMMIT: usize = 1024 * 1024;

/// Which digest names the objects of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Sha1,
    Sha256,
}

impl Algorithm {
    /// By the length of a name in hexadecimal digits.
    pub(crate) fn from_name(name: &str) -> Option<Algorithm> {
        if !name.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        match name.len() {
            40 => Some(Algorithm::Sha1),
            64 => Some(Algorithm::Sha256),
            _other => None,
        }
    }

    fn raw_length(self) -> usize {
        match self {
            Algorithm::Sha1 => 20,
            Algorithm::Sha256 => 32,
        }
    }

    /// The header under which a commit of such a repository carries its signature.
    fn signature_header(self) -> &'static [u8] {
        match self {
            Algorithm::Sha1 => b"gpgsig",
            Algorithm::Sha256 => b"gpgsig-sha256",
        }
    }
}

/// The name of an object; none where its content is one of a SHA-1 collision.
pub(crate) fn name(algorithm: Algorithm, kind: &str, content: &[u8]) -> Option<String> {
    let head = format!("{kind} {}\0", content.len());
    match algorithm {
        Algorithm::Sha1 => {
            let mut digest = sha1_checked::Sha1::new();
            sha1_checked::Digest::update(&mut digest, head.as_bytes());
            sha1_checked::Digest::update(&mut digest, content);
            let result = digest.try_finalize();
            (!result.has_collision()).then(|| hex(result.hash()))
        }
        Algorithm::Sha256 => {
            let mut digest = sha2::Sha256::new();
            digest.update(head.as_bytes());
            digest.update(content);
            Some(hex(&digest.finalize()))
        }
    }
}

/// What could not be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    Header,
    /// More than one signature, or one of another repository format beside ours.
    Signatures,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Commit {
    pub tree: String,
    pub parents: Vec<String>,
    /// `Name <address>`
    pub author: String,
    /// Seconds since 1970.
    pub authored: i64,
    pub committed: i64,
    pub subject: String,
    pub signed: Option<Signed>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    pub object: String,
    pub kind: String,
    pub name: String,
    pub signed: Option<Signed>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub mode: u32,
    pub name: Vec<u8>,
    pub object: String,
}

impl Commit {
    pub(crate) fn parse(algorithm: Algorithm, raw: &[u8]) -> Result<Commit, Malformed> {
        let end = find(raw, b"\n\n").ok_or(Malformed::Header)?;
        let (head, body) = (&raw[..=end], &raw[end + 2..]);
        if head.contains(&0) {
            return Err(Malformed::Header);
        }
        let payload = Vec::with_capacity(raw.len());
        let mut header = Header { lines: Lines { rest: head }.peekable(), payload };

        // The fields that every commit has, in the order in which git writes them.
        let tree = id(algorithm, header.required(b"tree")?)?;
        let mut parents = vec![];
        while let Some(parent) = header.field(b"parent") {
            parents.push(id(algorithm, parent)?);
        }
        let (author, authored) = who(&header.required(b"author")?)?;
        let (_, committed) = who(&header.required(b"committer")?)?;

        // The signature is cut out of the rest, and what is left is what it is over.
        let (armor, mut payload) = header.cut_signature(algorithm)?;
        payload.push(b'\n');
        payload.extend_from_slice(body);
        let body = String::from_utf8_lossy(body);
        let subject = body.trim_start().lines().next().unwrap_or_default();
        Ok(Commit {
            tree,
            parents,
            author,
            authored,
            committed,
            subject: printable(subject),
            signed: armor.map(|armor| Signed { payload, armor }),
        })
    }
}

/// The header of a commit that is being read, and what has been read of it without the signature.
struct Header<'a> {
    lines: Peekable<Lines<'a>>,
    payload: Vec<u8>,
}

impl Header<'_> {
    /// The value of a field, where it is the next one.
    fn field(&mut self, name: &[u8]) -> Option<Vec<u8>> {
        let is_it = |it: &&[u8]| it.starts_with(name) && it.get(name.len()) == Some(&b' ');
        let line = self.lines.next_if(is_it)?;
        self.payload.extend_from_slice(line);
        Some(line[name.len() + 1..line.len() - 1].to_vec())
    }

    fn required(&mut self, name: &[u8]) -> Result<Vec<u8>, Malformed> {
        self.field(name).ok_or(Malformed::Header)
    }

    /// The signature, and all other lines. What could be read in two ways is refused: two signatures, one of
    /// the other repository format, and fields that have had their place before.
    fn cut_signature(
        mut self,
        algorithm: Algorithm,
    ) -> Result<(Option<Vec<u8>>, Vec<u8>), Malformed> {
        let mut armor: Option<Vec<u8>> = None;
        let mut in_signature = false;
        for line in self.lines {
            if let Some(continued) = line.strip_prefix(b" ") {
                match &mut armor {
                    Some(armor) if in_signature => armor.extend_from_slice(continued),
                    Some(_) | None => self.payload.extend_from_slice(line),
                }
                continue;
            }
            in_signature = false;
            let space = line.iter().position(|it| *it == b' ').ok_or(Malformed::Header)?;
            let (name, value) = (&line[..space], &line[space + 1..]);
            if name == algorithm.signature_header() && armor.is_none() {
                armor = Some(value.to_vec());
                in_signature = true;
            } else if name.starts_with(b"gpgsig") {
                return Err(Malformed::Signatures);
            } else if matches!(name, b"tree" | b"parent" | b"author" | b"committer") {
                return Err(Malformed::Header);
            } else {
                self.payload.extend_from_slice(line);
            }
        }
        Ok((armor, self.payload))
    }
}

fn id(algorithm: Algorithm, raw: Vec<u8>) -> Result<String, Malformed> {
    let id = String::from_utf8(raw).map_err(|_| Malformed::Header)?;
    (Algorithm::from_name(&id) == Some(algorithm)).then_some(id).ok_or(Malformed::Header)
}

impl Tag {
    pub(crate) fn parse(algorithm: Algorithm, raw: &[u8]) -> Result<Tag, Malformed> {
        let end = find(raw, b"\n\n").ok_or(Malformed::Header)?;
        let head = std::str::from_utf8(&raw[..end]).map_err(|_| Malformed::Header)?;
        let mut lines = head.split('\n');
        let mut next = |name: &str| {
            let line = lines.next()?.strip_prefix(name)?.strip_prefix(' ')?;
            Some(line.to_owned())
        };
        let object = next("object").ok_or(Malformed::Header)?;
        let kind = next("type").ok_or(Malformed::Header)?;
        let name = next("tag").ok_or(Malformed::Header)?;
        next("tagger").ok_or(Malformed::Header)?;
        if Algorithm::from_name(&object) != Some(algorithm) {
            return Err(Malformed::Header);
        }
        // A signature in the header is one of the other repository format.
        if lines.next().is_some() {
            return Err(Malformed::Signatures);
        }
        let begins: Vec<usize> = starts_of_lines(raw)
            .filter(|at| raw[*at..].starts_with(b"-----BEGIN ") && *at > end)
            .collect();
        let signed = match begins[..] {
            [] => None,
            [at] => Some(Signed { payload: raw[..at].to_vec(), armor: raw[at..].to_vec() }),
            _ => return Err(Malformed::Signatures),
        };
        Ok(Tag { object, kind, name, signed })
    }
}

/// The entries of a tree, as they stand in it.
pub(crate) fn tree(algorithm: Algorithm, raw: &[u8]) -> Result<Vec<Entry>, Malformed> {
    let mut entries = vec![];
    let mut rest = raw;
    while !rest.is_empty() {
        let space = rest.iter().position(|it| *it == b' ').ok_or(Malformed::Header)?;
        let mode = std::str::from_utf8(&rest[..space])
            .ok()
            .and_then(|it| u32::from_str_radix(it, 8).ok())
            .ok_or(Malformed::Header)?;
        rest = &rest[space + 1..];
        let zero = rest.iter().position(|it| *it == 0).ok_or(Malformed::Header)?;
        let name = rest[..zero].to_vec();
        rest = &rest[zero + 1..];
        let (object, after) =
            rest.split_at_checked(algorithm.raw_length()).ok_or(Malformed::Header)?;
        entries.push(Entry { mode, name, object: hex(object) });
        rest = after;
    }
    Ok(entries)
}

/// `Name <address> 1700000000 +0100`
fn who(line: &[u8]) -> Result<(String, i64), Malformed> {
    let line = String::from_utf8_lossy(line);
    let (name, when) = line.rsplit_once("> ").ok_or(Malformed::Header)?;
    let seconds = when.split(' ').next().and_then(|it| it.parse().ok()).ok_or(Malformed::Header)?;
    Ok((printable(&format!("{name}>")), seconds))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|it| it == needle)
}

fn starts_of_lines(raw: &[u8]) -> impl Iterator<Item = usize> {
    raw.iter().enumerate().filter(|(_, it)| **it == b'\n').map(|(at, _)| at + 1)
}

/// Lines with their line feed.
struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let end = self.rest.iter().position(|it| *it == b'\n')?;
        let (line, rest) = self.rest.split_at(end + 1);
        self.rest = rest;
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

    fn commit(extra: &str) -> Result<Commit, Malformed> {
        let raw = format!(
            "tree {TREE}\nauthor A\u{1b} <a@x> 1700000000 +0100\ncommitter C <c@x> 1700000001 +0000\n{extra}\nSubject\n\nBody\n"
        );
        Commit::parse(Algorithm::Sha1, raw.as_bytes())
    }

    #[test]
    fn a_name_is_what_git_gives() {
        assert_eq!(name(Algorithm::Sha1, "tree", b"").unwrap(), TREE);
        assert_eq!(
            name(Algorithm::Sha256, "blob", b"").unwrap(),
            "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813"
        );
    }

    #[test]
    fn the_signature_is_cut_out_of_a_commit_and_nothing_else_is() {
        let plain = commit("encoding x\n").unwrap();
        assert_eq!((plain.signed.as_ref(), plain.authored), (None, 1_700_000_000));
        assert_eq!((plain.author.as_str(), plain.subject.as_str()), ("A <a@x>", "Subject"));
        let signed = commit("gpgsig -----BEGIN X\n abc\n -----END X\nencoding x\n").unwrap();
        let it = signed.signed.unwrap();
        assert_eq!(String::from_utf8(it.armor).unwrap(), "-----BEGIN X\nabc\n-----END X\n");
        let text = String::from_utf8(it.payload).unwrap();
        assert!(text.ends_with("+0000\nencoding x\n\nSubject\n\nBody\n"), "{text}");
    }

    #[test]
    fn commits_that_could_be_read_in_two_ways_are_refused() {
        let cases = [
            ("gpgsig a\ngpgsig b\n", Malformed::Signatures),
            ("gpgsig a\ngpgsig-sha256 b\n", Malformed::Signatures),
            ("gpgsig-sha256 b\n", Malformed::Signatures),
            ("parent 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n", Malformed::Header),
            ("tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n", Malformed::Header),
            ("word\n", Malformed::Header),
            ("x a\0b\n", Malformed::Header),
        ];
        for (extra, expected) in cases {
            assert_eq!(commit(extra), Err(expected), "{extra:?}");
        }
    }

    #[test]
    fn a_tag_has_one_signature_at_its_end() {
        let parse = |body: &str| {
            let raw = format!("object {TREE}\ntype commit\ntag v1\ntagger T <t@x> 1 +0000\n{body}");
            Tag::parse(Algorithm::Sha1, raw.as_bytes())
        };
        assert_eq!(parse("\nwords\n").unwrap().signed, None);
        let signed = parse("\nwords\n-----BEGIN SSH SIGNATURE-----\nx\n").unwrap().signed.unwrap();
        assert!(signed.payload.ends_with(b"\nwords\n"));
        assert_eq!(signed.armor, b"-----BEGIN SSH SIGNATURE-----\nx\n");
        let two = "\n-----BEGIN SSH SIGNATURE-----\n-----BEGIN PGP SIGNATURE-----\n";
        assert_eq!(parse(two), Err(Malformed::Signatures));
        assert_eq!(parse("gpgsig-sha256 x\n\nwords\n"), Err(Malformed::Signatures));
    }

    #[test]
    fn a_tree_that_ends_early_is_refused() {
        let mut raw = b"100644 a\0".to_vec();
        raw.extend([1; 20]);
        assert_eq!(tree(Algorithm::Sha1, &raw).unwrap()[0].object, "01".repeat(20));
        assert_eq!(tree(Algorithm::Sha1, &raw[..28]), Err(Malformed::Header));
        assert_eq!(tree(Algorithm::Sha1, b"999 a"), Err(Malformed::Header));
    }
}
