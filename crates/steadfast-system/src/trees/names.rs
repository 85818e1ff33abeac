//! Names within a tree.

use super::refused::TreeRefusal;
use crate::text::{of_bytes, safe};

/// The most directories within each other.
pub(super) const MAX_DEPTH: usize = 128;

/// As people are shown it.
pub(super) fn shown(name: &[u8]) -> String {
    safe(&of_bytes(name))
}

/// Whether it is one: parts that lead down, and nothing else.
pub(super) fn judge(name: &[u8]) -> Result<(), TreeRefusal> {
    let is_part = |it: &[u8]| !it.is_empty() && it != b"." && it != b".." && it.len() <= 255;
    let parts = || name.split(|it| *it == b'/');
    match name.len() < 4096
        && !name.contains(&0)
        && parts().all(is_part)
        && parts().count() <= MAX_DEPTH
    {
        true => Ok(()),
        false => Err(TreeRefusal::Name(shown(name))),
    }
}

/// The directory that it lies in, and the last part.
pub(super) fn split(name: &[u8]) -> (&[u8], &[u8]) {
    match name.iter().rposition(|it| *it == b'/') {
        Some(at) => (&name[..at], &name[at + 1..]),
        None => (b"", name),
    }
}

/// Whether a link would lead out of the tree if all on its way were there, and no link itself.
pub(super) fn leads_out(link: &[u8], target: &[u8]) -> bool {
    if target.starts_with(b"/") {
        return true;
    }
    let mut depth = link.split(|it| *it == b'/').count() - 1;
    for part in target.split(|it| *it == b'/') {
        match part {
            b"" | b"." => {}
            b".." => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return true,
            },
            _ => depth += 1,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_out_by_its_words() {
        for (link, target) in [("a", ".."), ("a", "/etc"), ("a/b", "../.."), ("a", "b/../../c")] {
            assert!(leads_out(link.as_bytes(), target.as_bytes()), "{link} -> {target}");
        }
        for (link, target) in [("a", "b"), ("a", "."), ("a/b", ".."), ("a/b/c", "../../d//./e")] {
            assert!(!leads_out(link.as_bytes(), target.as_bytes()), "{link} -> {target}");
        }
    }

    #[test]
    fn a_name_leads_down() {
        for bad in ["", "/", "/a", "a/", "a//b", ".", "a/./b", "..", "a/..", "a\0b"] {
            assert!(judge(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(judge(&[b'a'; 256]).is_err());
        assert!(judge("a/".repeat(128).as_bytes()).is_err());
        assert!(judge("a/".repeat(127).trim_end_matches('/').as_bytes()).is_ok());
        assert!(judge(b"..a/\xff\n").is_ok());
    }
}
