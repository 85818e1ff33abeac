//! Sizes in bytes with their unit: `12MiB`, `2GB`.

use crate::codes;
use crate::lower::Fields;
use crate::node::Node;

const UNITS: [(&str, u64); 9] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

/// A field with a size: bytes as a number, or a number with its unit.
pub(super) fn size(fields: &mut Fields<'_, '_, '_>, key: &str) -> Option<u64> {
    let node = fields.node(key)?;
    if let Node::Scalar(it) = node
        && let crate::Value::Integer(number) = it.value.value
    {
        let size = u64::try_from(number).ok().filter(|it| *it > 0);
        if size.is_none() {
            fields.error(codes::BAD_VALUE, it.span, format!("`{key}` must be more than 0"));
        }
        return size;
    }
    fields.parsed(key, codes::BAD_VALUE, parse_size)
}

/// A whole number and its unit.
fn parse_size(text: &str) -> Result<u64, String> {
    let refuse =
        || format!("`{text}` is not a size: a whole number with its unit, as in 12MiB or 2GB");
    let digits = text.find(|it: char| !it.is_ascii_digit()).ok_or_else(refuse)?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| refuse())?;
    let (_, unit) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(refuse)?;
    number.checked_mul(*unit).filter(|it| *it > 0).ok_or_else(refuse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_its_unit() {
        assert_eq!(parse_size("12MiB"), Ok(12 * 1024 * 1024));
        assert_eq!(parse_size("2GB"), Ok(2_000_000_000));
        assert_eq!(parse_size("7B"), Ok(7));
        for bad in ["", "12", "MiB", "12 MiB", "1.5GiB", "0MiB", "-1B", "12mb", "99999999999TiB"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}
