//! The order of a run: which tasks come first, and which may be done together.
//!
//! There are two reasons for an order. A *need* binds: what needs something comes after it. The *usual
//! order* of kinds (a rank) binds nothing: it decides among the tasks that could be next, so a need
//! that contradicts it wins.

use std::collections::BTreeMap;

/// One piece of work: a promise, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its place in the usual order; lower goes first.
    pub rank: u8,
    /// The tasks that must be done before, by index.
    pub needs: Vec<usize>,
}

/// Tasks that need each other in a circle: each needs the next, the last needs the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cycle(pub Vec<usize>);

/// Groups of tasks in the order in which they run. The tasks of one group have one rank and need none
/// of each other; within a group they keep their order.
pub fn waves(tasks: &[Task]) -> Result<Vec<Vec<usize>>, Cycle> {
    let mut open: Vec<usize> = vec![0; tasks.len()];
    let mut needed_by: Vec<Vec<usize>> = vec![vec![]; tasks.len()];
    let mut ready: BTreeMap<u8, Vec<usize>> = BTreeMap::new();
    for (index, task) in tasks.iter().enumerate() {
        let mut needs: Vec<usize> = task.needs.clone();
        needs.sort_unstable();
        needs.dedup();
        open[index] = needs.len();
        for need in needs {
            needed_by[need].push(index);
        }
        if open[index] == 0 {
            ready.entry(task.rank).or_default().push(index);
        }
    }
    let mut waves = vec![];
    let mut done = 0;
    while let Some((_, mut wave)) = ready.pop_first() {
        wave.sort_unstable();
        done += wave.len();
        for index in &wave {
            for dependent in &needed_by[*index] {
                open[*dependent] -= 1;
                if open[*dependent] == 0 {
                    ready.entry(tasks[*dependent].rank).or_default().push(*dependent);
                }
            }
        }
        waves.push(wave);
    }
    if done == tasks.len() { Ok(waves) } else { Err(circle(tasks, &open)) }
}

/// A circle among the tasks that still wait. Every one of them waits for another that waits, so
/// following such a need must come back to a task that was seen.
fn circle(tasks: &[Task], open: &[usize]) -> Cycle {
    let mut path: Vec<usize> = vec![];
    let mut place: BTreeMap<usize, usize> = BTreeMap::new();
    let mut next = open.iter().position(|needs| *needs > 0);
    while let Some(here) = next {
        if let Some(start) = place.insert(here, path.len()) {
            return Cycle(path.split_off(start));
        }
        path.push(here);
        next = tasks[here].needs.iter().copied().find(|need| open[*need] > 0);
    }
    Cycle(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(tasks: &[(u8, &[usize])], expected: Result<&[&[usize]], &[usize]>) {
        let tasks: Vec<Task> =
            tasks.iter().map(|(rank, needs)| Task { rank: *rank, needs: needs.to_vec() }).collect();
        let expected = expected
            .map(|waves| waves.iter().map(|wave| wave.to_vec()).collect())
            .map_err(|cycle| Cycle(cycle.to_vec()));
        assert_eq!(waves(&tasks), expected);
    }

    #[test]
    fn what_has_no_order_between_it_goes_together() {
        check(&[(1, &[]), (1, &[])], Ok(&[&[0, 1]]));
    }

    #[test]
    fn the_usual_order_decides_where_nothing_is_needed() {
        check(&[(2, &[]), (1, &[]), (2, &[])], Ok(&[&[1], &[0, 2]]));
    }

    #[test]
    fn a_need_wins_over_the_usual_order() {
        check(&[(1, &[1]), (2, &[])], Ok(&[&[1], &[0]]));
    }

    #[test]
    fn what_is_needed_within_a_rank_goes_first() {
        check(&[(1, &[2]), (1, &[]), (1, &[1])], Ok(&[&[1], &[2], &[0]]));
    }

    #[test]
    fn a_circle_is_shown_whole_and_without_what_leads_to_it() {
        check(&[(1, &[1]), (1, &[2]), (1, &[3]), (1, &[1])], Err(&[1, 2, 3]));
        check(&[(1, &[0])], Err(&[0]));
    }

    proptest! {
        /// Needs only lead to earlier indices here, so there is never a circle.
        #[test]
        fn every_task_runs_once_and_after_its_needs(
            given in prop::collection::vec((0u8..4, prop::collection::vec(any::<prop::sample::Index>(), 0..4)), 1..40)
        ) {
            let tasks: Vec<Task> = given
                .iter()
                .enumerate()
                .map(|(at, (rank, needs))| Task {
                    rank: *rank,
                    needs: if at == 0 { vec![] } else { needs.iter().map(|it| it.index(at)).collect() },
                })
                .collect();
            let waves = waves(&tasks).unwrap();
            let mut turn = vec![None; tasks.len()];
            for (at, wave) in waves.iter().enumerate() {
                for index in wave {
                    prop_assert_eq!(turn[*index].replace(at), None);
                    prop_assert_eq!(tasks[*index].rank, tasks[wave[0]].rank);
                }
            }
            for (index, task) in tasks.iter().enumerate() {
                prop_assert!(turn[index].is_some());
                prop_assert!(task.needs.iter().all(|need| turn[*need] < turn[index]));
            }
        }
    }
}
