//! Names in archives: `a`, `./a` and `a//b` are one name each with their plain form, and a name that leads out is
//! refused.

use super::order::{MAX_DEPTH, Stop};
use steadfast_trust::text::printable;

/// The most bytes of a name, as the kernel has it.
const MAX_NAME: usize = 4095;
/// The most bytes between two slashes.
const MAX_PART: usize = 255;

/// A name as it is shown to people.
pub(super) fn shown(name: &[u8]) -> String {
    format!("`{}`", printable(&String::from_utf8_lossy(name)))
}

/// The plain form of a name, without its first `strip` parts; none where nothing is left.
pub(super) fn plain(name: &[u8], strip: usize) -> Result<Option<Vec<u8>>, Stop> {
    let refuse = |why: &str| Err(Stop::Refused(format!("{} {why}", shown(name))));
    if name.starts_with(b"/") {
        return refuse("is an absolute name");
    }
    if name.contains(&0) {
        return refuse("has a zero byte in its name");
    }
    let parts: Vec<&[u8]> =
        name.split(|it| *it == b'/').filter(|it| !it.is_empty() && *it != b".").collect();
    if parts.iter().any(|it| *it == b"..") {
        return refuse("has `..` in its name");
    }
    let Some(left) = parts.get(strip..).filter(|it| !it.is_empty()) else { return Ok(None) };
    if left.len() > MAX_DEPTH {
        return refuse(&format!("lies more than {MAX_DEPTH} directories deep"));
    }
    let plain = left.join(&b'/');
    if plain.len() > MAX_NAME || left.iter().any(|it| it.len() > MAX_PART) {
        return refuse("has a name that is longer than a file system takes");
    }
    Ok(Some(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_plain_form() {
        let of = |name: &str, strip| {
            plain(name.as_bytes(), strip).unwrap().map(|it| String::from_utf8(it).unwrap())
        };
        for name in ["a/b", "./a/b", "a//b", "a/./b", "a/b/", "././a/b//."] {
            assert_eq!(of(name, 0).as_deref(), Some("a/b"), "{name}");
            assert_eq!(of(name, 1).as_deref(), Some("b"), "{name}");
            assert_eq!(of(name, 2), None, "{name}");
            assert_eq!(of(name, 9), None, "{name}");
        }
        assert_eq!(of("./", 0), None);
        assert_eq!(of("..a/b..", 0).as_deref(), Some("..a/b.."));
    }

    #[test]
    fn a_name_that_leads_out_is_refused() {
        let long = format!("{}a", "a/".repeat(MAX_DEPTH));
        let part = "a".repeat(256);
        for name in ["/a", "..", "a/../b", "../a", "a/..", "//a", "a\0b", &long, &part] {
            assert!(plain(name.as_bytes(), 0).is_err(), "{name}");
        }
        // Not even where the part is taken off.
        assert!(plain(b"../a", 1).is_err());
    }
}
