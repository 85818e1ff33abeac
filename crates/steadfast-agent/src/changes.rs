//! Change attribution since the last look: for each promise the first and the last time that somebody touched
//! it, and the latest of them. It is bounded and about the past: losing it loses a name, and no repair.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use steadfast_model::PromiseId;
use steadfast_node::wire::{Changed, Selection};
use steadfast_system::attribution::Changer;

/// So many of the latest changers are remembered of one promise.
const CHANGERS: usize = 3;
/// So many promises are remembered; of those that are more only that they were touched.
const PROMISES: usize = 1_000;

#[derive(Clone, Debug, Default)]
pub(crate) struct Changes {
    records: BTreeMap<PromiseId, Touches>,
}

/// Times in microseconds since 1970.
#[derive(Clone, Debug)]
struct Touches {
    since: i64,
    last: i64,
    changers: Vec<Changer>,
}

impl Changes {
    /// Somebody has touched what a promise is about.
    pub(crate) fn touched(&mut self, promise: &PromiseId, at: i64) {
        self.record(promise, at);
    }

    /// This one did.
    pub(crate) fn changed_by(&mut self, promise: &PromiseId, changer: Changer) {
        let Some(record) = self.record(promise, changer.at) else { return };
        // Whoever did so before comes last now, with what is known of them.
        let before = record.changers.iter().position(|it| it.is_same(&changer));
        let known = before.map(|it| record.changers.remove(it));
        let process = changer.process.or(known.and_then(|it| it.process));
        record.changers.push(Changer { process, ..changer });
        let surplus = record.changers.len().saturating_sub(CHANGERS);
        record.changers.drain(..surplus);
    }

    fn record(&mut self, promise: &PromiseId, at: i64) -> Option<&mut Touches> {
        let room = self.records.len() < PROMISES;
        let record = match self.records.entry(promise.clone()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) if room => {
                entry.insert(Touches { since: at, last: at, changers: vec![] })
            }
            Entry::Vacant(_) => return None,
        };
        record.since = record.since.min(at);
        record.last = record.last.max(at);
        Some(record)
    }

    pub(crate) fn changers(&self, promise: &PromiseId) -> &[Changer] {
        self.records.get(promise).map_or(&[], |it| &it.changers)
    }

    /// What a run about these promises, or about all, should know.
    pub(crate) fn changed(&self, only: Option<&Selection>) -> Vec<Changed> {
        let asked = |it: &PromiseId| only.is_none_or(|only| only.names(it));
        let asked = self.records.iter().filter(|(promise, _)| asked(promise));
        asked
            .map(|(promise, record)| Changed {
                promise: promise.clone(),
                since: record.since,
                changers: record.changers.clone(),
            })
            .collect()
    }

    /// A run that began then has looked at these promises, or at all: what was done before has been told,
    /// or has broken nothing. What is `unkept` still is as they made it.
    pub(crate) fn looked(&mut self, only: Option<&Selection>, unkept: &[PromiseId], began: i64) {
        self.records.retain(|promise, record| {
            if only.is_some_and(|it| !it.names(promise)) || unkept.contains(promise) {
                return true;
            }
            record.changers.retain(|it| it.at >= began);
            record.since = record.since.max(began);
            record.last >= began
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changer(at: i64, pid: i32) -> Changer {
        Changer { at, pid: Some(pid), process: None, work: None }
    }

    fn id(name: &str) -> PromiseId {
        PromiseId::new("file", name)
    }

    fn pids(changes: &Changes, promise: &str) -> Vec<i32> {
        changes.changers(&id(promise)).iter().filter_map(|it| it.pid).collect()
    }

    #[test]
    fn the_latest_changers_are_remembered_each_once() {
        let mut changes = Changes::default();
        for (at, pid) in [(10, 1), (11, 1), (12, 2), (13, 1), (14, 3), (15, 4)] {
            changes.changed_by(&id("a"), changer(at, pid));
        }
        assert_eq!(pids(&changes, "a"), [1, 3, 4]);
        let [Changed { promise, since: 10, changers }] = &changes.changed(None)[..] else {
            panic!()
        };
        assert_eq!((promise, changers.len()), (&id("a"), 3));
        assert!(changes.changed(Some(&Selection::from_promises(&[id("b")]))).is_empty());
    }

    #[test]
    fn what_a_run_has_looked_at_is_forgotten_and_what_came_after_its_begin_is_not() {
        let mut changes = Changes::default();
        for promise in ["kept", "not kept", "elsewhere", "again"] {
            changes.changed_by(&id(promise), changer(10, 1));
        }
        changes.touched(&id("touched"), 10);
        changes.changed_by(&id("again"), changer(30, 2));
        let only = Selection::from_promises(&["kept", "not kept", "again", "touched"].map(id));
        changes.looked(Some(&only), &[id("not kept")], 20);
        let left: Vec<_> =
            changes.changed(None).into_iter().map(|it| (it.promise, it.since)).collect();
        let expected = [("again", 20), ("elsewhere", 10), ("not kept", 10)];
        assert_eq!(left, expected.map(|(it, since)| (id(it), since)));
        assert_eq!(pids(&changes, "again"), [2]);
    }

    #[test]
    fn more_promises_than_anybody_drifts_at_once_take_no_more_room() {
        let mut changes = Changes::default();
        for number in 0..PROMISES * 2 {
            changes.changed_by(&id(&number.to_string()), changer(1, 1));
        }
        assert_eq!(changes.records.len(), PROMISES);
        changes.looked(None, &[], 2);
        assert!(changes.records.is_empty());
    }
}
