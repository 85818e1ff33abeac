//! Which jobs of a transaction go together: a search over what apt says of sets of them. A forecast and a
//! run use the same, so that one says what the other does.

use crate::{ErrorKind, SystemError};

/// A set that goes, and why each of the others does not.
#[derive(Debug)]
pub struct Fit<J, T> {
    pub set: Vec<J>,
    /// What was found of the set; none where it is empty.
    pub found: Option<T>,
    pub refused: Vec<(J, SystemError)>,
}

/// Finds a set of jobs that goes: all where that is possible, else in their order each that goes with those
/// before it, and at last what goes only with one that came after it.
pub fn fit<J: Clone, T>(
    jobs: Vec<J>,
    examine: &mut dyn FnMut(&[J]) -> Result<T, SystemError>,
) -> Fit<J, T> {
    let mut fit = Fit { set: vec![], found: None, refused: vec![] };
    let Some(error) = fit.take(&jobs, examine) else { return fit };
    // What apt says of nothing at all speaks against each of them: it is asked no more.
    let mut is_about_all = || examine(&[]).is_err_and(|other| other.chain() == error.chain());
    if !is_about_them(&error) || (jobs.len() > 1 && is_about_all()) {
        fit.refused = jobs.into_iter().map(|job| (job, error.clone())).collect();
        return fit;
    }
    fit.split(&jobs, error, examine);
    if !fit.set.is_empty() {
        for (job, error) in std::mem::take(&mut fit.refused) {
            if fit.take(std::slice::from_ref(&job), examine).is_some() {
                fit.refused.push((job, error));
            }
        }
    }
    fit
}

/// Whether it says something about the jobs, rather than that apt could not be asked.
fn is_about_them(error: &SystemError) -> bool {
    match error.kind {
        ErrorKind::Command | ErrorKind::Network | ErrorKind::Moved | ErrorKind::Invalid => true,
        ErrorKind::PermissionDenied
        | ErrorKind::TimedOut
        | ErrorKind::Locked
        | ErrorKind::Storage
        | ErrorKind::Secret
        | ErrorKind::Swappable
        | ErrorKind::NotHere
        | ErrorKind::Other => false,
    }
}

impl<J: Clone, T> Fit<J, T> {
    /// Adds all of these to the set, or says why they do not go with it.
    fn take(
        &mut self,
        jobs: &[J],
        examine: &mut dyn FnMut(&[J]) -> Result<T, SystemError>,
    ) -> Option<SystemError> {
        let together: Vec<J> = self.set.iter().chain(jobs).cloned().collect();
        match examine(&together) {
            Ok(found) => {
                self.set = together;
                self.found = Some(found);
                None
            }
            Err(error) => Some(error),
        }
    }

    /// Takes what goes of jobs that do not go together, by halves: few of many are wrong.
    fn split(
        &mut self,
        jobs: &[J],
        error: SystemError,
        examine: &mut dyn FnMut(&[J]) -> Result<T, SystemError>,
    ) {
        if let [job] = jobs {
            self.refused.push((job.clone(), error));
            return;
        }
        let (first, second) = jobs.split_at(jobs.len() / 2);
        for half in [first, second] {
            if let Some(error) = self.take(half, examine) {
                self.split(half, error, examine);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn refused() -> SystemError {
        SystemError::new(ErrorKind::Command, "no")
    }

    /// A world in which some never go, some do not go with others, and some go only with another.
    #[derive(Debug)]
    struct Rules {
        never: BTreeSet<usize>,
        rivals: Vec<(usize, usize)>,
        only_with: Vec<(usize, usize)>,
    }

    impl Rules {
        fn examine(&self, set: &[usize]) -> Result<usize, SystemError> {
            let has = |it: &usize| set.contains(it);
            let good = !set.iter().any(|it| self.never.contains(it))
                && !self.rivals.iter().any(|(a, b)| a != b && has(a) && has(b))
                && self.only_with.iter().all(|(a, b)| !has(a) || has(b));
            if good { Ok(set.len()) } else { Err(refused()) }
        }
    }

    fn found(rules: &Rules, count: usize) -> (Vec<usize>, Vec<usize>) {
        let fit = fit((0..count).collect(), &mut |set| rules.examine(set));
        assert_eq!(fit.found.unwrap_or(0), fit.set.len());
        (fit.set, fit.refused.into_iter().map(|it| it.0).collect())
    }

    #[test]
    fn one_that_does_not_go_keeps_no_other() {
        let none = || Rules { never: BTreeSet::new(), rivals: vec![], only_with: vec![] };
        assert_eq!(found(&none(), 3), (vec![0, 1, 2], vec![]));
        let rules = Rules { never: BTreeSet::from([1]), ..none() };
        assert_eq!(found(&rules, 3), (vec![0, 2], vec![1]));
        // Of two rivals the first goes.
        let rules = Rules { rivals: vec![(0, 2)], ..none() };
        assert_eq!(found(&rules, 3), (vec![0, 1], vec![2]));
        // What goes only with a later one goes with it, whatever else does not go.
        let rules = Rules { never: BTreeSet::from([1]), only_with: vec![(0, 2)], ..none() };
        assert_eq!(found(&rules, 3), (vec![2, 0], vec![1]));
    }

    #[test]
    fn an_apt_that_says_no_to_everything_is_not_asked_about_each() {
        for kind in [ErrorKind::Command, ErrorKind::TimedOut] {
            let mut asked = 0;
            let fit = fit((0..500).collect(), &mut |_: &[usize]| -> Result<(), SystemError> {
                asked += 1;
                Err(SystemError::new(kind, "the list of sources could not be read"))
            });
            assert!(fit.set.is_empty() && fit.refused.len() == 500);
            assert!(asked <= 2, "{asked}");
        }
    }

    proptest! {
        #[test]
        fn what_is_found_goes_and_what_is_left_out_does_not_go_with_it(
            never in prop::collection::btree_set(0..12_usize, 0..4),
            rivals in prop::collection::vec((0..12_usize, 0..12_usize), 0..4),
        ) {
            let rules = Rules { never, rivals, only_with: vec![] };
            let (set, refused) = found(&rules, 12);
            prop_assert!(rules.examine(&set).is_ok());
            for one in refused {
                let with: Vec<usize> = set.iter().copied().chain([one]).collect();
                prop_assert!(rules.examine(&with).is_err());
            }
        }
    }
}
