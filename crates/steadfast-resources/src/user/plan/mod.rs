//! What separates a user from the promise.

mod absent;
mod existing;
mod new;
mod parts;
mod refuse;

use super::change::Change;
use super::desired::{Desired, Wanted};
use super::state::State;
use crate::kind::{Difference, Refusal};

pub(super) fn plan(want: &Desired, have: &State) -> Difference<Change> {
    let found = difference(want, have);
    have.forbids.judge(found, "user", want.name.as_str(), Change::files)
}

fn difference(want: &Desired, have: &State) -> Difference<Change> {
    match (&want.state, &have.account) {
        (Wanted::Present(_), None) if have.elsewhere.is_some() => {
            Difference::refused(Refusal::Machine(format!(
                "user {} is not in /etc/passwd: the name service has it",
                want.name
            )))
        }
        (Wanted::Present(present), None) => new::plan_new(&want.name, present, have),
        (Wanted::Present(present), Some(account)) => {
            existing::plan_existing(&want.name, present, account, have)
        }
        (Wanted::Absent { .. }, None) => {
            let mut difference = Difference::none();
            if have.elsewhere.is_some() {
                difference.notes.push("the name service still has a user of that name".into());
            }
            difference
        }
        (Wanted::Absent { remove_home, end_sessions }, Some(account)) => {
            absent::plan_absent(&want.name, *remove_home, *end_sessions, account, have)
        }
    }
}
