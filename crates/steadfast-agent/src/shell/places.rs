//! How many may be asking at one time, and who makes way for whom. Everybody is let in; only then it is known
//! who it is. So nobody holds a place that somebody else needs: each user has a few of their own, where the
//! newest takes the place of the oldest, and root has its own, which nobody takes.

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Root,
    User(u32),
    /// Somebody on the network, or a process of this machine that came that way.
    Network,
}

/// So many places root has.
const OF_ROOT: usize = 64;
/// And each other user.
const OF_A_USER: usize = 8;
/// And all other users together.
const OF_USERS: usize = 64;
/// And whoever comes by the network.
const OF_NETWORK: usize = 64;

/// What becomes of one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Free,
    /// In the place of this one, which ends.
    InsteadOf(usize),
    /// What root has asked for is not ended for the sake of root.
    Full,
}

/// `held`: who has a place, the oldest first.
pub(super) fn admission(held: &[Who], who: Who) -> Admission {
    let oldest = |wanted: &dyn Fn(&Who) -> bool| {
        held.iter().position(wanted).map_or(Admission::Full, Admission::InsteadOf)
    };
    let count = |wanted: &dyn Fn(&Who) -> bool| held.iter().filter(|it| wanted(it)).count();
    let same = |it: &Who| *it == who;
    match who {
        Who::Root if count(&same) < OF_ROOT => Admission::Free,
        Who::Root => Admission::Full,
        Who::Network if count(&same) < OF_NETWORK => Admission::Free,
        Who::Network => oldest(&same),
        Who::User(_) if count(&same) >= OF_A_USER => oldest(&same),
        Who::User(_) if count(&is_user) < OF_USERS => Admission::Free,
        Who::User(_) => {
            // Whoever has the most makes way.
            let most =
                held.iter().filter(|it| is_user(it)).max_by_key(|one| count(&|it| it == *one));
            most.map_or(Admission::Full, |most| oldest(&|it| it == most))
        }
    }
}

fn is_user(who: &Who) -> bool {
    match who {
        Who::User(_) => true,
        Who::Root | Who::Network => false,
    }
}

#[cfg(test)]
mod tests {
    use super::Admission::{Free, Full, InsteadOf};
    use super::*;

    #[test]
    fn nobody_takes_a_place_of_roots_and_root_ends_nothing_of_its_own() {
        let mut held = vec![];
        for _ in 0..1000 {
            match admission(&held, Who::User(1000)) {
                Free => held.push(Who::User(1000)),
                InsteadOf(at) => {
                    held.remove(at);
                    held.push(Who::User(1000));
                }
                Full => panic!("a user is let in"),
            }
        }
        assert_eq!(held.len(), OF_A_USER);
        for _ in 0..OF_ROOT {
            assert_eq!(admission(&held, Who::Root), Free);
            held.push(Who::Root);
        }
        assert_eq!(admission(&held, Who::Root), Full);
        assert_eq!(admission(&held, Who::User(1001)), Free, "root takes none of theirs");
    }

    #[test]
    fn one_user_takes_no_place_of_another_however_many_come() {
        let mut held = vec![Who::Root];
        held.extend([Who::User(1000); OF_A_USER]);
        assert_eq!(admission(&held, Who::User(1000)), InsteadOf(1), "the oldest of their own");
        assert_eq!(admission(&held, Who::User(1001)), Free);
        // As somebody does who has many numbers.
        held.extend((2000..).map(Who::User).take(OF_USERS - OF_A_USER));
        assert_eq!(admission(&held, Who::User(1001)), InsteadOf(1), "whoever has the most");
        assert_eq!(admission(&held, Who::Root), Free);
    }

    #[test]
    fn on_the_network_the_newest_is_heard() {
        let mut held = vec![Who::Network; OF_NETWORK - 1];
        assert_eq!(admission(&held, Who::Network), Free);
        held.push(Who::Network);
        assert_eq!(admission(&held, Who::Network), InsteadOf(0));
    }
}
