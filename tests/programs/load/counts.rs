//! What is counted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    New,
    Kept,
    Idle,
    Long,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::New => "new",
            Kind::Kept => "kept",
            Kind::Idle => "idle",
            Kind::Long => "long",
        }
    }
}

/// What came of a request.
#[derive(Debug)]
pub(crate) enum Came {
    /// From which release.
    Good(String),
    Refused(String),
    Cut(String),
    Wrong(String),
    Late,
    /// Nothing came, and the connection is closed.
    Dropped,
}

/// How many failures are told in words.
const TOLD: usize = 10;

pub(crate) struct Counts {
    expected: AtomicUsize,
    begun: AtomicUsize,
    all: Mutex<All>,
}

struct All {
    began: Instant,
    kinds: BTreeMap<Kind, OfKind>,
    /// The releases that answered, in the order of their first answers.
    releases: Vec<(String, u64)>,
    /// When the last good answer to a request that does not take long had come.
    last_good: Option<Instant>,
    longest_gap: Duration,
    slowest: Duration,
    told: Vec<String>,
}

#[derive(Default)]
struct OfKind {
    good: u64,
    refused: u64,
    cut: u64,
    wrong: u64,
    late: u64,
    dropped: u64,
}

impl Counts {
    pub(crate) fn new() -> Self {
        let all = All {
            began: Instant::now(),
            kinds: BTreeMap::new(),
            releases: vec![],
            last_good: None,
            longest_gap: Duration::ZERO,
            slowest: Duration::ZERO,
            told: vec![],
        };
        Self { expected: AtomicUsize::new(0), begun: AtomicUsize::new(0), all: Mutex::new(all) }
    }

    pub(crate) fn expects_one_more(&self) {
        self.expected.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn one_has_begun(&self) {
        self.begun.fetch_add(1, Ordering::SeqCst);
    }

    /// Waits until every user has had a good answer; whether that came before the end.
    pub(crate) fn all_have_begun(&self, ends: &AtomicBool, within: Duration) -> bool {
        let began = Instant::now();
        while began.elapsed() < within && !ends.load(Ordering::SeqCst) {
            if self.begun.load(Ordering::SeqCst) >= self.expected.load(Ordering::SeqCst) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }

    pub(crate) fn dropped(&self, kind: Kind) {
        self.all().kinds.entry(kind).or_default().dropped += 1;
    }

    pub(crate) fn count(&self, kind: Kind, asked: Instant, came: Came) {
        let now = Instant::now();
        let mut all = self.all();
        let at = now.duration_since(all.began).as_millis();
        let counts = all.kinds.entry(kind).or_default();
        let failure = match came {
            Came::Good(release) => {
                counts.good += 1;
                all.good(kind, asked, now, release);
                return;
            }
            Came::Refused(why) => {
                counts.refused += 1;
                format!("refused: {why}")
            }
            Came::Cut(why) => {
                counts.cut += 1;
                format!("cut: {why}")
            }
            Came::Wrong(why) => {
                counts.wrong += 1;
                format!("wrong: {why}")
            }
            Came::Late => {
                counts.late += 1;
                "late".into()
            }
            Came::Dropped => {
                counts.dropped += 1;
                return;
            }
        };
        if all.told.len() < TOLD {
            all.told.push(format!("{} at {at} ms: {failure}", kind.word()));
        }
    }

    pub(crate) fn summary(&self) -> Value {
        let all = self.all();
        let sum = |of: fn(&OfKind) -> u64| all.kinds.values().map(of).sum::<u64>();
        let failed = |it: &OfKind| it.refused + it.cut + it.wrong + it.late;
        let kinds: serde_json::Map<String, Value> =
            all.kinds.iter().map(|(kind, it)| (kind.word().to_owned(), it.told())).collect();
        let releases: Vec<Value> =
            all.releases.iter().map(|(it, many)| json!([it, many])).collect();
        json!({
            "good": sum(|it| it.good),
            "failed": all.kinds.values().map(failed).sum::<u64>(),
            "refused": sum(|it| it.refused),
            "cut": sum(|it| it.cut),
            "wrong": sum(|it| it.wrong),
            "late": sum(|it| it.late),
            "dropped": sum(|it| it.dropped),
            "kinds": kinds,
            "releases": releases,
            "longest_gap_ms": whole(all.longest_gap),
            "slowest_ms": whole(all.slowest),
            "first_failures": all.told,
        })
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(|it| it.into_inner())
    }
}

impl All {
    fn good(&mut self, kind: Kind, asked: Instant, now: Instant, release: String) {
        match self.releases.iter_mut().find(|(it, _)| *it == release) {
            Some((_, many)) => *many += 1,
            None => self.releases.push((release, 1)),
        }
        if kind == Kind::Long {
            return;
        }
        self.slowest = self.slowest.max(now.duration_since(asked));
        if let Some(last) = self.last_good {
            self.longest_gap = self.longest_gap.max(now.duration_since(last));
        }
        self.last_good = Some(now);
    }
}

impl OfKind {
    fn told(&self) -> Value {
        json!({
            "good": self.good,
            "refused": self.refused,
            "cut": self.cut,
            "wrong": self.wrong,
            "late": self.late,
            "dropped": self.dropped,
        })
    }
}

fn whole(it: Duration) -> u64 {
    u64::try_from(it.as_millis()).unwrap_or(u64::MAX)
}
