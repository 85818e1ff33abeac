//! The policy of a node: when it adopts a new revision, and what a run may do. The model's defaults
//! first, then the environment's own, key by key. Nothing is evaluated here: time is not known.

use crate::codes;
use crate::deploying::{self, Deploying};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::lower::{Fields, Lower, parse_duration};
use crate::node::Node;
use crate::schema::{Field, Takes};
use crate::span::{Span, Spanned};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    pub adopt: Adopt,
    pub budget: Budget,
    /// Whether a dpkg that somebody else left interrupted is completed.
    pub repair_dpkg: bool,
    /// After how long without news a node counts as stale.
    pub stale_after: Duration,
    pub orphans: Orphans,
    /// How long to wait for the locks of apt and dpkg.
    pub wait_for_dpkg: Duration,
    /// How old apt's lists may be when something has to be fetched.
    pub refresh_packages: Duration,
    pub deploying: Deploying,
}

/// When a new revision is adopted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Adopt {
    /// Any of them; at any time where there is none.
    pub windows: Vec<Spanned<Window>>,
    /// Rising shares of the nodes and when it is their turn, up to 100; all at once where there is none.
    pub waves: Vec<Wave>,
    pub approval: Approval,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wave {
    /// 1 to 100.
    pub percent: u8,
    /// Since the later of the revision's signed date and when the node first saw it.
    pub after: Duration,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Approval {
    #[default]
    None,
    Required,
}

/// The most that one run may do; no limit where none is said. The agent stores it with the policy of what
/// it has adopted, in its format 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletions: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarts: Option<u64>,
}

/// What happens to a thing that nobody promises any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Orphans {
    #[default]
    Report,
    Remove,
    Restore,
}

/// `Mon..Thu 09:00-16:00 Europe/Brussels`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Monday first: the days on which it begins.
    pub days: [bool; 7],
    /// Minutes since midnight.
    pub from: u16,
    /// Minutes since midnight, to 1440; smaller than `from` where it crosses midnight.
    pub to: u16,
    /// A name of the time zone database. Whether it has the name is for those to say who have it.
    pub zone: Arc<str>,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            adopt: Adopt::default(),
            budget: Budget::default(),
            repair_dpkg: false,
            stale_after: Duration::from_secs(7 * 86_400),
            orphans: Orphans::default(),
            wait_for_dpkg: Duration::from_secs(120),
            refresh_packages: Duration::from_secs(3_600),
            deploying: Deploying::default(),
        }
    }
}

/// The key for what nobody promises any more, and its name in models of 0.1.
const ORPHANS: &str = "orphans";
const RELEASED: &str = "released";

const ORPHAN_CHOICES: [(&str, Orphans); 3] =
    [("report", Orphans::Report), ("remove", Orphans::Remove), ("restore", Orphans::Restore)];

const ORPHAN_WORDS: Takes = Takes::Words(&["report", "remove", "restore"]);

pub(crate) const FIELDS: &[Field] = &[
    Field::new("adopt", Takes::Fields(ADOPT), "When nodes adopt a new revision"),
    Field::new("budget", Takes::Fields(BUDGET), "The limits of one run"),
    Field::new(
        "repair_dpkg",
        Takes::Boolean,
        "Complete an interrupted dpkg run with `dpkg --configure -a` (default: false)",
    ),
    Field::new(
        "stale_after",
        Takes::Duration,
        "How long a node may go without accepting a revision before it is stale (default: 7d)",
    ),
    Field::new(
        ORPHANS,
        ORPHAN_WORDS,
        "What to do with orphans, which no promise covers any more (default: report)",
    ),
    Field::new(RELEASED, ORPHAN_WORDS, "The old name of `orphans`"),
    Field::new(
        "wait_for_dpkg",
        Takes::Duration,
        "How long to wait for the locks of apt and dpkg (default: 2m)",
    ),
    Field::new(
        "refresh_packages",
        Takes::Duration,
        "How old apt's package lists may be before a download (default: 1h)",
    ),
    Field::new("artifacts", deploying::ARTIFACTS, "How artifacts of applications are asked for"),
    Field::new(
        "deployments",
        Takes::Fields(deploying::DEPLOYMENTS),
        "What holds for components that do not say it themselves",
    ),
    Field::new(
        "coordination",
        deploying::COORDINATION,
        "`none`: steps of components wait for no other node",
    ),
];

const ADOPT: &[Field] = &[
    Field::new(
        "window",
        Takes::OneOf(&[Takes::Text, Takes::TextList]),
        "DAYS HH:MM-HH:MM ZONE, or a list of them",
    ),
    Field::new(
        "waves",
        Takes::MapOf(&Takes::Duration),
        "Shares of the nodes, with the delay after a node first saw the revision: { 10%: 0h, 100%: 24h }",
    ),
    Field::new(
        "approval",
        Takes::Words(&["none", "required"]),
        "Whether each revision needs approval with `steadfast adopt`",
    ),
];

const BUDGET: &[Field] = &[
    Field::new("changes", Takes::Integer, "Maximum changes in one run"),
    Field::new("deletions", Takes::Integer, "Maximum deletions in one run"),
    Field::new("restarts", Takes::Integer, "Maximum restarts in one run"),
];

impl Policy {
    /// Takes what `node` says, over what was there.
    pub(crate) fn take(&mut self, node: &Node, cx: &mut Lower<'_>) {
        let Some(mut fields) = Fields::read(node, "policy", FIELDS, cx) else { return };
        if let Some(adopt) = fields.node("adopt") {
            self.adopt.take(adopt, fields.cx);
        }
        if let Some(budget) = fields.node("budget") {
            self.budget.take(budget, fields.cx);
        }
        set(&mut self.repair_dpkg, fields.boolean("repair_dpkg"));
        set(&mut self.stale_after, fields.duration("stale_after"));
        set(&mut self.orphans, orphans(&mut fields));
        set(&mut self.wait_for_dpkg, fields.duration("wait_for_dpkg"));
        set(&mut self.refresh_packages, fields.duration("refresh_packages"));
        self.deploying.take(&mut fields);
    }

    /// Windows in time zones of which whoever has a database of them says that it does not have them:
    /// such a window would never open.
    pub fn unknown_zones(&self, knows: impl Fn(&str) -> bool) -> Diagnostics {
        let mut diagnostics = Diagnostics::default();
        for Spanned { value: window, span } in &self.adopt.windows {
            if !knows(&window.zone) {
                let message = format!("no time zone is called `{}` on this machine", window.zone);
                diagnostics.push(
                    Diagnostic::error(codes::BAD_WINDOW, *span, message)
                        .help("a name of the time zone database (tzdata), as in Europe/Brussels"),
                );
            }
        }
        diagnostics
    }
}

/// What happens to orphans, by the key of today or by its old name, but not by both.
fn orphans(fields: &mut Fields<'_, '_, '_>) -> Option<Orphans> {
    if !fields.has(RELEASED) {
        return fields.one_of(ORPHANS, &ORPHAN_CHOICES);
    }
    let old = fields.key_span(RELEASED);
    if fields.has(ORPHANS) {
        let message = "`released` is the old name of `orphans`, and both are given";
        let error = Diagnostic::error(codes::CONFLICTING_FIELDS, old, message);
        let new = fields.key_span(ORPHANS);
        fields.cx.report(error.related(new, "the same by its new name").help("remove `released`"));
        return None;
    }
    let hint = Diagnostic::hint(codes::OLD_NAME, old, "`released` is now called `orphans`");
    fields.cx.report(hint.help("write `orphans`, with the same value"));
    fields.one_of(RELEASED, &ORPHAN_CHOICES)
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

impl Adopt {
    fn take(&mut self, node: &Node, cx: &mut Lower<'_>) {
        let Some(mut fields) = Fields::read(node, "adopt", ADOPT, cx) else { return };
        if fields.has("window") {
            let texts = fields.one_or_more("window");
            self.windows = texts.iter().filter_map(|text| window(text, fields.cx)).collect();
        }
        if let Some(node) = fields.node("waves") {
            self.waves = waves(node, fields.cx);
        }
        let approvals = [("none", Approval::None), ("required", Approval::Required)];
        set(&mut self.approval, fields.one_of("approval", &approvals));
    }
}

impl Budget {
    /// Whether there is no limit at all.
    pub fn is_none(&self) -> bool {
        *self == Budget::default()
    }

    fn take(&mut self, node: &Node, cx: &mut Lower<'_>) {
        let Some(mut fields) = Fields::read(node, "budget", BUDGET, cx) else { return };
        for (key, place) in [
            ("changes", &mut self.changes),
            ("deletions", &mut self.deletions),
            ("restarts", &mut self.restarts),
        ] {
            let Some(number) = fields.integer(key) else { continue };
            match u64::try_from(number.value) {
                Ok(number) => *place = Some(number),
                Err(_) => {
                    let message = format!("`{key}` cannot be less than 0");
                    fields.error(codes::BAD_VALUE, number.span, message);
                }
            }
        }
    }
}

pub(crate) fn window(text: &Spanned<Arc<str>>, cx: &mut Lower<'_>) -> Option<Spanned<Window>> {
    match parse_window(&text.value) {
        Ok(window) => Some(Spanned::new(window, text.span)),
        Err(why) => {
            cx.report(
                Diagnostic::error(codes::BAD_WINDOW, text.span, why)
                    .help("DAYS HH:MM-HH:MM ZONE, as in Mon..Thu 09:00-16:00 Europe/Brussels"),
            );
            None
        }
    }
}

/// `DAYS HH:MM-HH:MM ZONE`, where DAYS are `Mon`, `Mon..Thu`, or several with commas.
pub fn parse_window(text: &str) -> Result<Window, String> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let [days, times, zone] = words[..] else {
        return Err(format!("`{text}` is not a window"));
    };
    let (from, to) =
        times.split_once('-').ok_or_else(|| format!("`{times}` is not a span of time"))?;
    let (from, to) = (minutes(from)?, minutes(to)?);
    if from == to || from == 1440 {
        return Err(format!("the window `{times}` is empty"));
    }
    let good = !zone.starts_with(['/', '.'])
        && zone.split('/').all(|part| {
            part.starts_with(|it: char| it.is_ascii_alphabetic())
                && part.bytes().all(|it| it.is_ascii_alphanumeric() || b"_+-".contains(&it))
        });
    if !good {
        return Err(format!("`{zone}` is not the name of a time zone"));
    }
    Ok(Window { days: parse_days(days)?, from, to, zone: Arc::from(zone) })
}

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

fn parse_days(text: &str) -> Result<[bool; 7], String> {
    let day = |word: &str| {
        let known = DAYS.iter().position(|it| *it == word);
        known.ok_or_else(|| format!("`{word}` is not a day: {}", DAYS.join(", ")))
    };
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = match part.split_once("..") {
            Some((first, last)) => (day(first)?, day(last)?),
            None => (day(part)?, day(part)?),
        };
        let mut at = first;
        days[at] = true;
        // `Fri..Mon` goes over the end of the week.
        while at != last {
            at = (at + 1) % 7;
            days[at] = true;
        }
    }
    Ok(days)
}

/// `HH:MM`; `24:00` is the end of the day.
fn minutes(text: &str) -> Result<u16, String> {
    let refuse = || format!("`{text}` is not a time of day");
    let (hours, minutes) = text.split_once(':').ok_or_else(refuse)?;
    let number = |text: &str| {
        let digits = text.len() == 2 && text.bytes().all(|it| it.is_ascii_digit());
        if digits { text.parse::<u16>().ok() } else { None }
    };
    let (hours, minutes) = (number(hours).ok_or_else(refuse)?, number(minutes).ok_or_else(refuse)?);
    let all = hours * 60 + minutes;
    if minutes < 60 && all <= 1440 { Ok(all) } else { Err(refuse()) }
}

/// Shares in percent and their times: both rise, and the last share is everybody.
pub(crate) fn waves(node: &Node, cx: &mut Lower<'_>) -> Vec<Wave> {
    let Some(entries) = cx.as_map(node, "`waves`") else { return vec![] };
    let mut waves: Vec<Wave> = vec![];
    let mut sound = true;
    for (share, time) in entries {
        let digits = share.value.strip_suffix('%').unwrap_or("");
        let plain = digits.bytes().all(|it| it.is_ascii_digit());
        let percent = digits.parse::<u8>().ok().filter(|it| plain && (1..=100).contains(it));
        if percent.is_none() {
            let message = format!("`{}` is not a share of the nodes", share.value);
            bad_waves(share.span, message, cx);
        }
        let after = cx.as_text(time, "the time of a wave").and_then(|text| {
            parse_duration(&text.value)
                .map_err(|why| cx.error(codes::BAD_VALUE, text.span, why))
                .ok()
        });
        let (Some(percent), Some(after)) = (percent, after) else {
            sound = false;
            continue;
        };
        if waves.last().is_some_and(|it| it.percent >= percent || it.after > after) {
            sound = false;
            bad_waves(share.span, "a wave is smaller or earlier than the one before it", cx);
        }
        waves.push(Wave { percent, after });
    }
    if sound && waves.last().is_none_or(|it| it.percent != 100) {
        bad_waves(node.span(), "the last wave is not 100%, so some nodes would never adopt", cx);
    }
    waves
}

fn bad_waves(span: Span, message: impl Into<String>, cx: &mut Lower<'_>) {
    cx.report(
        Diagnostic::error(codes::BAD_WAVES, span, message)
            .help("whole percents that rise to 100%: { 1%: 0h, 10%: 2h, 100%: 24h }"),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Diagnostics;
    use crate::scope::Scope;
    use crate::source::SourceSet;
    use expect_test::expect;
    use proptest::prelude::*;

    fn read(texts: &[&str]) -> (Policy, String) {
        let mut sources = SourceSet::default();
        let mut diagnostics = Diagnostics::default();
        let mut policy = Policy::default();
        for (at, text) in texts.iter().enumerate() {
            let id = sources.add(format!("{at}.yaml"), text.as_bytes(), false);
            let node = crate::yaml::read(id, sources.get(id).unwrap(), &mut diagnostics).unwrap();
            let scope = Scope::default();
            policy.take(&node, &mut Lower::new(&mut diagnostics, &sources, &scope));
        }
        let lines: Vec<String> = diagnostics
            .iter()
            .map(|it| format!("{} {}: {}", it.code.0, sources.place(it.span), it.message))
            .collect();
        (policy, lines.join("\n"))
    }

    #[test]
    fn the_later_policy_wins_key_by_key() {
        let (policy, problems) = read(&[
            "adopt: { window: \"Mon..Fri 09:00-16:00 UTC\", approval: required }\nbudget: { deletions: 20, restarts: 5 }\nstale_after: 1d\n",
            "adopt: { waves: { 1%: 0h, 10%: 2h, 100%: 24h } }\nbudget: { restarts: 7 }\norphans: remove\n",
        ]);
        assert_eq!(problems, "");
        assert_eq!(policy.adopt.windows.len(), 1);
        assert_eq!(policy.adopt.approval, Approval::Required);
        let waves: Vec<(u8, u64)> =
            policy.adopt.waves.iter().map(|it| (it.percent, it.after.as_secs())).collect();
        assert_eq!(waves, [(1, 0), (10, 7200), (100, 86_400)]);
        assert_eq!(policy.budget, Budget { changes: None, deletions: Some(20), restarts: Some(7) });
        assert_eq!(policy.orphans, Orphans::Remove);
        assert_eq!(policy.stale_after, Duration::from_secs(86_400));
        assert_eq!(policy.wait_for_dpkg, Duration::from_secs(120));
    }

    #[test]
    fn what_a_policy_cannot_say_is_an_error() {
        let (_, problems) = read(&[
            "adopt:\n  window: [\"Mon 9:00-16:00 UTC\", \"Mon 09:00-09:00 UTC\", \"Mo 09:00-10:00 UTC\", \"Mon 09:00-10:00\", \"Mon 09:00-10:00 /etc\"]\n  waves: { 10%: 1h, 5%: 2h }\n  aproval: none\nbudget: { restarts: -1 }\norphans: delete\nrepair_dpkg: \"yes\"\n",
            "adopt: { waves: { 10%: 1h } }\n",
            "adopt: { waves: { 0%: 1h, ten: 1, 101%: 1h } }\n",
        ]);
        expect![[r#"
            unknown-field 0.yaml:4: `adopt` has no field `aproval`
            bad-window 0.yaml:2: `9:00` is not a time of day
            bad-window 0.yaml:2: the window `09:00-09:00` is empty
            bad-window 0.yaml:2: `Mo` is not a day: Mon, Tue, Wed, Thu, Fri, Sat, Sun
            bad-window 0.yaml:2: `Mon 09:00-10:00` is not a window
            bad-window 0.yaml:2: `/etc` is not the name of a time zone
            bad-waves 0.yaml:3: a wave is smaller or earlier than the one before it
            bad-value 0.yaml:5: `restarts` cannot be less than 0
            wrong-type 0.yaml:7: `repair_dpkg` must be true or false, and is text
            bad-value 0.yaml:6: `orphans` cannot be `delete`
            bad-waves 1.yaml:1: the last wave is not 100%, so some nodes would never adopt
            bad-waves 2.yaml:1: `0%` is not a share of the nodes
            bad-waves 2.yaml:1: `ten` is not a share of the nodes
            unquoted 2.yaml:1: the time of a wave is an integer, not text
            bad-waves 2.yaml:1: `101%` is not a share of the nodes"#]]
        .assert_eq(&problems);
    }

    #[test]
    fn orphans_are_also_read_by_their_old_name() {
        let (policy, problems) = read(&["released: restore\n"]);
        assert_eq!(policy.orphans, Orphans::Restore);
        expect!["old-name 0.yaml:1: `released` is now called `orphans`"].assert_eq(&problems);
        let (policy, problems) = read(&["orphans: remove\nreleased: remove\n"]);
        assert_eq!(policy.orphans, Orphans::Report);
        expect!["conflicting-fields 0.yaml:2: `released` is the old name of `orphans`, and both are given"]
            .assert_eq(&problems);
        let (policy, _) = read(&["released: restore\n", "orphans: remove\n"]);
        assert_eq!(policy.orphans, Orphans::Remove, "the environment's over the model's");
    }

    #[test]
    fn windows_are_plain_data() {
        let window = parse_window("Fri..Mon,Wed 22:00-24:00 Europe/Brussels").unwrap();
        assert_eq!(window.days, [true, false, true, false, true, true, true]);
        assert_eq!((window.from, window.to), (1320, 1440));
        assert_eq!(&*window.zone, "Europe/Brussels");
        let night = parse_window("Sun 22:00-04:30 Etc/GMT+1").unwrap();
        assert!(night.to < night.from && night.days[6]);
    }

    proptest! {
        #[test]
        fn no_window_makes_it_panic(text in "(Mon|\\.\\.|,| |[0-9]{1,3}|:|-|UTC|/|é){0,12}") {
            drop(parse_window(&text));
        }
    }
}
