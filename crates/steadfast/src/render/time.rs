//! Points in time: in UTC, to the second, and said so.

use jiff::Timestamp;

/// `2026-11-25 13:08:40Z`
pub(crate) fn utc(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// The same for microseconds since 1970.
pub(crate) fn stamp(microseconds: i64) -> String {
    Timestamp::from_microsecond(microseconds).map_or_else(|_| "?".to_owned(), utc)
}
