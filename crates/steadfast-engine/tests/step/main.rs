//! The step of components under all that can happen to a machine, by seed: programs that are ill, slow, flapping or
//! take the machine down, artifacts and dependencies that are away, gates that open and close, clocks that jump, boots
//! and crashes before, in and after every act, newer targets at any moment. Whatever happens, the invariants hold; and
//! when it is over, each component runs what it shall.

#![expect(clippy::unwrap_used, reason = "a test whose helpers are no test functions")]

mod host;
mod walks;
mod world;

use std::collections::BTreeSet;
use world::World;

const SEEDS: u64 = 40;
const DAYS: i64 = 2;

fn live(seed: u64, told: bool) -> BTreeSet<String> {
    let mut world = World::new(seed, told);
    world.live(DAYS * 86_400_000);
    world.heal();
    world.noted
}

/// A life that fails is lived once more, and tells what happened.
fn live_or_tell(seed: u64) -> BTreeSet<String> {
    std::panic::catch_unwind(|| live(seed, false)).unwrap_or_else(|_| live(seed, true))
}

#[test]
fn components_live_through_days_of_trouble() {
    let noted: BTreeSet<String> = (0..SEEDS).flat_map(live_or_tell).collect();
    let all = [
        "Absent",
        "Again",
        "Answer",
        "Bad",
        "Baking",
        "Committed",
        "Draining",
        "Failed",
        "Gate",
        "Inconclusive",
        "Lasting",
        "OnceWell",
        "Owed",
        "Quiescing",
        "Restarted",
        "Retiring",
        "Settled",
        "Stuck",
        "WentBack",
        "Withdrawn",
    ];
    assert_eq!(noted.iter().map(String::as_str).collect::<Vec<_>>(), all);
}
