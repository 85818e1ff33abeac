//! What the message of a commit says to nodes: `Supersedes: COMMIT` among its trailers takes an older revision
//! out of the queue of every node that has not adopted it yet.

/// A shorter beginning of a name may be anybody's, and no name is longer.
const LENGTH: std::ops::RangeInclusive<usize> = 7..=64;
/// More than a commit has any use for.
const MOST: usize = 64;

/// The commits that a raw commit says that it takes the place of, as it names them.
pub(crate) fn supersedes(raw: &[u8]) -> Vec<String> {
    let Some(end) = raw.windows(2).position(|it| it == b"\n\n") else { return vec![] };
    let message = String::from_utf8_lossy(&raw[end + 2..]);
    // Trailers are the last paragraph, and never the subject.
    let Some((_, last)) = message.trim().rsplit_once("\n\n") else { return vec![] };
    last.lines().filter_map(superseded).take(MOST).collect()
}

fn superseded(line: &str) -> Option<String> {
    let (key, value) = line.split_once(':')?;
    let name = value.split_whitespace().next()?.to_ascii_lowercase();
    let is_name = LENGTH.contains(&name.len()) && name.bytes().all(|it| it.is_ascii_hexdigit());
    (key.trim_end().eq_ignore_ascii_case("supersedes") && is_name).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(message: &str) -> Vec<String> {
        supersedes(format!("tree 0\nauthor a\n\n{message}").as_bytes())
    }

    #[test]
    fn trailers_name_what_is_superseded() {
        let message = "Mend it\n\nIt was wrong.\n\nSupersedes: 0123456789ABCDEF\n\
                       Signed-off-by: Anna <anna@xyz.example>\nsupersedes: fedcba9 (the first try)\n";
        assert_eq!(of(message), ["0123456789abcdef", "fedcba9"]);
    }

    #[test]
    fn what_is_no_trailer_or_no_name_says_nothing() {
        for message in [
            "Supersedes: 0123456789",
            "Mend it\n\nSupersedes: 0123456789\n\nAnd more.",
            "Mend it\n\nSupersedes: 012345",
            "Mend it\n\nSupersedes: HEAD~1",
            "Mend it\n\nSupersedes:",
            "Mend it\n\nIt supersedes: 0123456789",
        ] {
            assert_eq!(of(message), [""; 0], "{message}");
        }
        assert_eq!(supersedes(b"no message"), [""; 0]);
    }
}
