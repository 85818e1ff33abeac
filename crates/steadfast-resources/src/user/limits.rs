//! The limits of an account, with dates as /etc/shadow counts them.

use steadfast_system::accounts::{Limit, Shadow};

/// Days since 1970 of `YYYY-MM-DD`.
pub(super) fn parse_date(text: &str) -> Result<i64, String> {
    let refuse = || format!("`{}` is not a date: write YYYY-MM-DD, or never", text.escape_debug());
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = *parts else { return Err(refuse()) };
    let number = |part: &str, digits: usize| -> Option<i64> {
        (part.len() == digits && part.bytes().all(|it| it.is_ascii_digit()))
            .then(|| part.parse().ok())
            .flatten()
    };
    let (Some(year), Some(month), Some(day)) = (number(year, 4), number(month, 2), number(day, 2))
    else {
        return Err(refuse());
    };
    let days = days_of(year, month, day);
    // 30 February would be some day in March.
    if year < 1970 || !(1..=12).contains(&month) || date_of(days) != (year, month, day) {
        return Err(refuse());
    }
    Ok(days)
}

/// The proleptic Gregorian calendar in days, with years that begin in March.
pub(super) fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

pub(super) fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days.saturating_add(719_468);
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

pub(super) const LIMITS: [Limit; 5] =
    [Limit::Expires, Limit::Inactive, Limit::MinDays, Limit::MaxDays, Limit::WarnDays];

pub(super) fn limit_name(limit: Limit) -> &'static str {
    match limit {
        Limit::Expires => "expires",
        Limit::Inactive => "inactive",
        Limit::MinDays => "password_min_days",
        Limit::MaxDays => "password_max_days",
        Limit::WarnDays => "password_warn_days",
    }
}

pub(super) fn limit_shown(limit: Limit, value: Option<i64>) -> String {
    match (limit, value) {
        (_, None) => "never".to_owned(),
        (Limit::Expires, Some(days)) => {
            let (year, month, day) = date_of(days);
            format!("{year:04}-{month:02}-{day:02}")
        }
        (Limit::Inactive | Limit::MinDays | Limit::MaxDays | Limit::WarnDays, Some(days)) => {
            days.to_string()
        }
    }
}

pub(super) fn limit_of(shadow: &Shadow, limit: Limit) -> Option<i64> {
    match limit {
        Limit::Expires => shadow.expires,
        Limit::Inactive => shadow.inactive,
        Limit::MinDays => shadow.min,
        Limit::MaxDays => shadow.max,
        Limit::WarnDays => shadow.warn,
    }
}
