//! When: windows with their time zones, and the turn of a node among waves. Time comes in as an argument.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use std::time::Duration;
use steadfast_model::policy::{Wave, Window};
use steadfast_model::share;

/// A window whose time zone has been found.
///
/// A time lies in it when the clock on the wall there says so. The hour that a zone leaves out in
/// spring is not there to be inside of, and the hour that it has twice in autumn is inside twice.
#[derive(Clone, Debug)]
pub struct Opening {
    window: Window,
    zone: TimeZone,
}

/// Where a time lies among windows of which any will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Windows {
    Open,
    /// Outside of all. No time where none opens within the next weeks.
    Opens(Option<Timestamp>),
}

/// How far ahead an opening is looked for. Two weeks are enough for a weekly window of which one is
/// swallowed by the change to summer time.
const DAYS_AHEAD: i32 = 16;

impl Opening {
    /// `None` where the machine's time zone database does not have the zone.
    pub fn from_window(window: &Window) -> Option<Opening> {
        TimeZone::get(&window.zone).ok().map(|zone| Opening::in_zone(window, zone))
    }

    pub fn in_zone(window: &Window, zone: TimeZone) -> Opening {
        Opening { window: window.clone(), zone }
    }

    pub fn contains(&self, at: Timestamp) -> bool {
        let wall = self.zone.to_datetime(at);
        let minute = minute_of_day(wall.time());
        let today = self.begins_on(wall.date());
        if self.window.from < self.window.to {
            return today && (self.window.from..self.window.to).contains(&minute);
        }
        let yesterday = wall.date().yesterday().is_ok_and(|it| self.begins_on(it));
        (today && minute >= self.window.from) || (yesterday && minute < self.window.to)
    }

    /// The first moment at or after `at` that lies inside.
    pub fn next(&self, at: Timestamp) -> Option<Timestamp> {
        if self.contains(at) {
            return Some(at);
        }
        // It can begin where the wall shows its first minute, and where the zone changes its offset.
        let last = at.checked_add(SignedDuration::from_hours(24 * i64::from(DAYS_AHEAD))).ok()?;
        let changes = self.zone.following(at).map(|it| it.timestamp()).take_while(|it| *it <= last);
        let today = self.zone.to_datetime(at).date();
        let starts = (-1..=DAYS_AHEAD)
            .filter_map(|days| today.checked_add(days.days()).ok())
            .flat_map(|date| self.moments(date));
        changes.chain(starts).filter(|it| *it > at && self.contains(*it)).min()
    }

    /// When the wall shows the window's first minute on a day: never, once or twice.
    fn moments(&self, date: Date) -> Vec<Timestamp> {
        let (hour, minute) = (self.window.from / 60, self.window.from % 60);
        let (Ok(hour), Ok(minute)) = (i8::try_from(hour), i8::try_from(minute)) else {
            return vec![];
        };
        let Ok(time) = Time::new(hour, minute, 0, 0) else { return vec![] };
        let wall = DateTime::from_parts(date, time);
        let offsets = match self.zone.to_ambiguous_timestamp(wall).offset() {
            AmbiguousOffset::Unambiguous { offset } => vec![offset],
            AmbiguousOffset::Gap { .. } => vec![],
            AmbiguousOffset::Fold { before, after } => vec![before, after],
        };
        offsets.into_iter().filter_map(|it| it.to_timestamp(wall).ok()).collect()
    }

    fn begins_on(&self, date: Date) -> bool {
        let day = usize::try_from(date.weekday().to_monday_zero_offset()).unwrap_or(0);
        self.window.days.get(day).copied().unwrap_or(false)
    }
}

fn minute_of_day(time: Time) -> u16 {
    u16::from(time.hour().unsigned_abs()) * 60 + u16::from(time.minute().unsigned_abs())
}

/// Where `at` lies among `windows`; without any, every time is open. A window whose zone this machine
/// does not know is never open: another zone in its place would be a guess.
pub fn windows(windows: &[Window], at: Timestamp) -> Windows {
    if windows.is_empty() {
        return Windows::Open;
    }
    match windows.iter().filter_map(Opening::from_window).filter_map(|it| it.next(at)).min() {
        Some(next) if next <= at => Windows::Open,
        next => Windows::Opens(next),
    }
}

/// The place of a node among all nodes of a model, or of a component, in millionths: from 1 to
/// 1,000,000. It stays the same as long as both names do, whoever computes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u32);

impl Share {
    pub fn from_names(node: &str, model: &str) -> Share {
        let place = share::place(&["wave", node, model]) % 1_000_000;
        Share(u32::try_from(place).unwrap_or(0) + 1)
    }

    /// In percent, above 0 and to 100.
    pub fn percent(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }

    /// When it is this share's turn with a revision of that date.
    pub fn turn(self, waves: &[Wave], date: Timestamp) -> Timestamp {
        later(date, self.delay(waves))
    }

    /// How long it is before it is this share's turn. A share in no wave (the last one is always
    /// everybody) takes the last.
    pub fn delay(self, waves: &[Wave]) -> Duration {
        let wave = waves
            .iter()
            .find(|it| self.0 <= u32::from(it.percent) * 10_000)
            .or_else(|| waves.last());
        wave.map_or(Duration::ZERO, |it| it.after)
    }
}

/// `at` and a while; the end of time where there is no later.
pub fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// How long from `earlier` to `at`; nothing where the clock went back.
pub fn since(earlier: Timestamp, at: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(earlier)).unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use steadfast_model::policy::parse_window;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn opening(text: &str) -> Opening {
        let window = parse_window(text).unwrap();
        Opening::from_window(&window).expect("the tests need a time zone database")
    }

    /// Window, time, next time inside.
    #[track_caller]
    fn opens(window: &str, from: &str, next: &str) {
        let found = opening(window).next(at(from));
        assert_eq!(found, Some(at(next)), "{window} after {from}");
    }

    #[test]
    fn a_window_opens_on_its_days_at_its_time_and_place() {
        let working = "Mon..Thu 09:00-16:00 Europe/Brussels";
        // In July Brussels is two hours ahead.
        opens(working, "2026-07-06T06:59:59Z", "2026-07-06T07:00:00Z");
        opens(working, "2026-07-06T13:59:59Z", "2026-07-06T13:59:59Z");
        opens(working, "2026-07-06T14:00:00Z", "2026-07-07T07:00:00Z");
        // From Thursday's end to Monday; in January it is one hour ahead.
        opens(working, "2026-01-08T15:00:00Z", "2026-01-12T08:00:00Z");
        opens("Sun 00:00-24:00 UTC", "2026-01-09T00:00:00Z", "2026-01-11T00:00:00Z");
        assert!(opening("Sun 00:00-24:00 UTC").contains(at("2026-01-11T23:59:59Z")));
        assert!(!opening("Sun 00:00-24:00 UTC").contains(at("2026-01-12T00:00:00Z")));
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_on_which_it_begins() {
        let night = "Fri 22:00-04:30 UTC";
        opens(night, "2026-01-09T00:00:00Z", "2026-01-09T22:00:00Z");
        opens(night, "2026-01-10T04:29:59Z", "2026-01-10T04:29:59Z");
        opens(night, "2026-01-10T04:30:00Z", "2026-01-16T22:00:00Z");
        assert!(!opening(night).contains(at("2026-01-09T03:00:00Z")), "Thursday's night");
    }

    #[test]
    fn the_hour_that_spring_leaves_out_is_not_there() {
        // Brussels goes from 02:00 to 03:00 on 2026-03-29 at 01:00 UTC.
        opens("Sun 02:30-05:00 Europe/Brussels", "2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z");
        // Wholly within the gap: the next week.
        opens("Sun 02:15-02:45 Europe/Brussels", "2026-03-29T00:30:00Z", "2026-04-05T00:15:00Z");
        let ends = opening("Sun 01:00-02:30 Europe/Brussels");
        assert!(ends.contains(at("2026-03-29T00:59:59Z")));
        assert!(!ends.contains(at("2026-03-29T01:00:00Z")));
    }

    #[test]
    fn the_hour_that_autumn_repeats_counts_twice() {
        // Brussels goes from 03:00 back to 02:00 on 2026-10-25 at 01:00 UTC.
        let window = "Sun 02:15-02:45 Europe/Brussels";
        opens(window, "2026-10-24T23:00:00Z", "2026-10-25T00:15:00Z");
        opens(window, "2026-10-25T00:45:00Z", "2026-10-25T01:15:00Z");
        opens(window, "2026-10-25T01:45:00Z", "2026-11-01T01:15:00Z");
        // A window that ends in the first of the two hours is open again when it comes back.
        opens("Sun 01:00-02:30 Europe/Brussels", "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z");
    }

    #[test]
    fn any_window_of_a_list_will_do_and_an_unknown_zone_never_opens() {
        let list =
            ["Mon 09:00-10:00 UTC", "Tue 09:00-10:00 UTC"].map(|it| parse_window(it).unwrap());
        assert_eq!(
            windows(&list, at("2026-01-06T08:00:00Z")),
            Windows::Opens(Some(at("2026-01-06T09:00:00Z")))
        );
        assert_eq!(windows(&list, at("2026-01-06T09:00:00Z")), Windows::Open);
        assert_eq!(windows(&[], at("2026-01-06T09:00:00Z")), Windows::Open);
        let nowhere = [parse_window("Mon..Sun 00:00-24:00 Nowhere/Land").unwrap()];
        assert_eq!(windows(&nowhere, at("2026-01-06T09:00:00Z")), Windows::Opens(None));
    }

    #[test]
    fn shares_are_stable_and_spread() {
        // These numbers may never change: a node would move between waves.
        assert_eq!(Share::from_names("web1.xyz.example", "xyz").0, 368_747);
        let waves: Vec<Wave> = [(1, 0), (10, 7_200), (100, 86_400)]
            .map(|(percent, after)| Wave { percent, after: Duration::from_secs(after) })
            .to_vec();
        let date = at("2026-01-06T00:00:00Z");
        let mut counts = [0; 3];
        for number in 0..10_000 {
            let turn = Share::from_names(&format!("node{number}"), "xyz").turn(&waves, date);
            counts[match since(date, turn).as_secs() {
                0 => 0,
                7_200 => 1,
                _ => 2,
            }] += 1;
        }
        assert!((60..150).contains(&counts[0]), "{counts:?}");
        assert!((800..1_000).contains(&counts[1]), "{counts:?}");
        assert_eq!(Share::from_names("a", "b").turn(&[], date), date);
        assert_eq!(Share(10_000).turn(&waves, date), date, "1% is in the first percent");
        assert_eq!(Share(10_001).turn(&waves, date), at("2026-01-06T02:00:00Z"));
    }

    fn any_window() -> impl Strategy<Value = Window> {
        let zones =
            ["Europe/Brussels", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "UTC"];
        (1u8..128, 0u16..288, 1u16..=288, proptest::sample::select(zones.to_vec()))
            .prop_filter("not empty", |(_, from, to, _)| from != to)
            .prop_map(|(days, from, to, zone)| Window {
                days: std::array::from_fn(|it| days & (1 << it) != 0),
                from: from * 5,
                to: to * 5,
                zone: zone.into(),
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Walking minute by minute finds the same opening, around the changes of the clock too.
        #[test]
        fn the_next_opening_is_the_first_minute_inside(
            window in any_window(),
            start in proptest::sample::select(vec![
                "2026-03-28T12:00:00Z", "2026-10-24T12:00:00Z", "2026-03-07T20:00:00Z",
                "2026-10-31T20:00:00Z", "2011-12-29T00:00:00Z", "2026-04-04T10:00:00Z",
            ]),
            minutes in 0u64..2_880,
        ) {
            let opening = Opening::from_window(&window).unwrap();
            let start = later(at(start), Duration::from_secs(minutes * 60));
            let walked = (0..16 * 1_440)
                .map(|it| later(start, Duration::from_secs(it * 60)))
                .find(|it| opening.contains(*it));
            prop_assert_eq!(opening.next(start), walked);
        }
    }
}
