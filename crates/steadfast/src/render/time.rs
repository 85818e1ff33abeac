//! Points in time, in UTC, to the second.

/// `2026-11-25 13:08:40Z` for microseconds since 1970.
pub(crate) fn stamp(microseconds: i64) -> String {
    match jiff::Timestamp::from_microsecond(microseconds) {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        Err(_) => "?".to_owned(),
    }
}
