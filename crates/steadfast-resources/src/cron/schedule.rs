//! When a cron job runs: the five fields of crontab(5), as Debian's cron (Vixie's) reads them.

use std::fmt;

/// Why a text is not a schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSchedule {
    #[error("a schedule has five fields (minute, hour, day, month, weekday), and this has {0}")]
    FieldCount(usize),
    #[error("`{0}` is none of {names}", names = WORDS.join(", "))]
    UnknownWord(String),
    #[error("`{text}` is not {field}: {why}")]
    Field { field: &'static str, text: String, why: String },
}

/// The short forms that Debian's cron knows.
const WORDS: [&str; 8] =
    ["@reboot", "@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// Cron takes 0 and 7 for Sunday.
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

struct Form {
    name: &'static str,
    least: u8,
    most: u8,
    names: &'static [&'static str],
    /// The number of the first name.
    first: u8,
}

const FORMS: [Form; 5] = [
    Form { name: "a minute", least: 0, most: 59, names: &[], first: 0 },
    Form { name: "an hour", least: 0, most: 23, names: &[], first: 0 },
    Form { name: "a day of the month", least: 1, most: 31, names: &[], first: 1 },
    Form { name: "a month", least: 1, most: 12, names: &MONTHS, first: 1 },
    Form { name: "a weekday", least: 0, most: 7, names: &WEEKDAYS, first: 0 },
];

/// A schedule that cron takes, with single spaces between its fields.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Schedule {
    text: String,
    either_day: bool,
}

impl Schedule {
    pub fn parse(text: &str) -> Result<Schedule, BadSchedule> {
        // Only spaces and tabs separate fields; a line end would begin another job.
        let text = text.trim_matches([' ', '\t']);
        if text.starts_with('@') {
            return match WORDS.iter().find(|it| it.eq_ignore_ascii_case(text)) {
                Some(word) => Ok(Schedule { text: (*word).to_owned(), either_day: false }),
                None => Err(BadSchedule::UnknownWord(text.escape_debug().collect())),
            };
        }
        let fields: Vec<&str> = text.split([' ', '\t']).filter(|it| !it.is_empty()).collect();
        if fields.len() != FORMS.len() {
            return Err(BadSchedule::FieldCount(fields.len()));
        }
        for (field, form) in fields.iter().zip(&FORMS) {
            for part in field.split(',') {
                check(part, form).map_err(|why| BadSchedule::Field {
                    field: form.name,
                    text: field.escape_debug().collect(),
                    why,
                })?;
            }
        }
        // Cron looks at the first character alone when it decides between "and" and "or".
        let either_day = !fields[2].starts_with('*') && !fields[4].starts_with('*');
        Ok(Schedule { text: fields.join(" "), either_day })
    }

    /// Whether both the day of the month and the weekday are restricted: cron then runs the job when
    /// *either* matches, which is rarely what is meant.
    pub fn matches_either_day(&self) -> bool {
        self.either_day
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// One part of a field: `*`, `N`, `N-M`, each with an optional `/STEP` (which a single number may not
/// have: cron takes it for an error).
fn check(part: &str, form: &Form) -> Result<(), String> {
    let (range, step) = match part.split_once('/') {
        Some((range, step)) => (range, Some(step)),
        None => (part, None),
    };
    if let Some(step) = step {
        let number = number(step).ok_or_else(|| format!("the step `{step}` is not a number"))?;
        if number == 0 {
            return Err("a step of 0 never comes round".to_owned());
        }
        if number > form.most {
            return Err(format!("the step {number} is larger than {}", form.most));
        }
    }
    if range == "*" {
        return Ok(());
    }
    match range.split_once('-') {
        Some((from, to)) => {
            let (from, to) = (value(from, form)?, value(to, form)?);
            if from > to {
                return Err(format!("{from} comes after {to}"));
            }
            Ok(())
        }
        None => {
            value(range, form)?;
            if step.is_some() {
                return Err(format!("a step needs a range: {range}-{}/…", form.most));
            }
            Ok(())
        }
    }
}

/// A number of one to three digits; more never fits.
fn number(text: &str) -> Option<u8> {
    (!text.is_empty() && text.bytes().all(|it| it.is_ascii_digit())).then(|| text.parse().ok())?
}

fn value(text: &str, form: &Form) -> Result<u8, String> {
    if let Some(at) = form.names.iter().position(|it| it.eq_ignore_ascii_case(text)) {
        return Ok(form.first + u8::try_from(at).unwrap_or(0));
    }
    let Some(number) = number(text) else {
        let shown: String = text.escape_debug().collect();
        return Err(if form.names.is_empty() {
            format!("`{shown}` is not a number from {} to {}", form.least, form.most)
        } else {
            format!("`{shown}` is neither a number nor one of {}", form.names.join(", "))
        });
    };
    if number < form.least || number > form.most {
        return Err(format!("{number} is not from {} to {}", form.least, form.most));
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn good(text: &str, shown: &str) {
        assert_eq!(Schedule::parse(text).map(|it| it.to_string()), Ok(shown.to_owned()));
    }

    #[track_caller]
    fn bad(text: &str, why: &str) {
        assert_eq!(Schedule::parse(text).map_err(|it| it.to_string()), Err(why.to_owned()));
    }

    #[test]
    fn the_forms_of_crontab_are_taken() {
        good("*/15 * * * *", "*/15 * * * *");
        good(" 0\t4  1,15 * Mon-fri ", "0 4 1,15 * Mon-fri");
        good("0-30/10 8-18 * jan,JUL 0", "0-30/10 8-18 * jan,JUL 0");
        good("0 0 * * 7", "0 0 * * 7");
        good("@Daily", "@daily");
    }

    #[test]
    fn what_cron_would_refuse_or_never_run_is_refused() {
        bad("61 * * * *", "`61` is not a minute: 61 is not from 0 to 59");
        bad("* 24 * * *", "`24` is not an hour: 24 is not from 0 to 23");
        bad("* * 0 * *", "`0` is not a day of the month: 0 is not from 1 to 31");
        bad("* * * 13 *", "`13` is not a month: 13 is not from 1 to 12");
        bad("* * * * 8", "`8` is not a weekday: 8 is not from 0 to 7");
        bad("*/0 * * * *", "`*/0` is not a minute: a step of 0 never comes round");
        bad("5/10 * * * *", "`5/10` is not a minute: a step needs a range: 5-59/…");
        bad("30-10 * * * *", "`30-10` is not a minute: 30 comes after 10");
        bad("1,,2 * * * *", "`1,,2` is not a minute: `` is not a number from 0 to 59");
        bad(
            "* * * * monday",
            "`monday` is not a weekday: `monday` is neither a number nor one of sun, mon, tue, wed, thu, fri, sat",
        );
        bad(
            "* * * *",
            "a schedule has five fields (minute, hour, day, month, weekday), and this has 4",
        );
        bad(
            "@often",
            "`@often` is none of @reboot, @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly",
        );
    }

    #[test]
    fn a_line_end_never_gets_through() {
        for text in ["* * * * *\n", "* * * * \n*", "@daily\n* * * * * root x", "*\r * * * *"] {
            assert!(Schedule::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn either_day_is_told() {
        let either = |text| Schedule::parse(text).unwrap().matches_either_day();
        assert!(either("0 0 1 * mon"));
        assert!(!either("0 0 1 * *"));
        assert!(!either("0 0 * * mon"));
        assert!(!either("0 0 */2 * mon"));
    }
}
