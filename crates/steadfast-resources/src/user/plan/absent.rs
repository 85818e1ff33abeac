//! A user who is there and is to go.

use super::parts::not_removable;
use super::refuse::{refuse, running};
use crate::account_fields::listed;
use crate::kind::{Difference, Refusal};
use crate::user::change::Change;
use crate::user::state::{Account, State};
use steadfast_system::UserName;
use steadfast_system::accounts::HomeShape;

pub(super) fn plan_absent(
    name: &UserName,
    remove_home: bool,
    end_sessions: bool,
    account: &Account,
    have: &State,
) -> Difference<Change> {
    let uid = account.uid;
    if uid == 0 {
        return Difference::refused(Refusal::machine("it has uid 0, as root has"));
    }
    let mut difference = Difference::none();
    if !have.processes.is_empty() {
        if !have.same_uid.is_empty() {
            let words = format!(
                "its uid has processes, and is also that of {}: {}",
                listed(&have.same_uid),
                running(have)
            );
            refuse(&mut difference, Refusal::Anybody(words));
        } else if end_sessions {
            let processes = have.processes.len();
            difference.changes.push(Change::EndSessions { name: name.clone(), uid, processes });
        } else {
            let words = format!("the user has processes: {}", running(have));
            refuse(&mut difference, Refusal::Anybody(words));
        }
    }
    if let Some((home, look)) = &have.home {
        match (remove_home, look.shape) {
            (_, HomeShape::Nothing) => {}
            (true, HomeShape::Directory { .. } | HomeShape::Other) => {
                match not_removable(home, look, uid, have) {
                    Some(why) => refuse(&mut difference, why),
                    // Before the account: what is left half done is then found again.
                    None => {
                        let (home, count) = (home.clone(), have.in_home);
                        difference.changes.push(Change::RemoveHome { home, uid, count });
                    }
                }
            }
            (false, HomeShape::Directory { .. } | HomeShape::Other) => {
                difference.notes.push(format!("its home stays: {home}"));
            }
        }
    }
    if !have.left.is_empty() {
        difference.notes.push(format!("this stays of it: {}", listed(&have.left)));
    }
    if have.defaults.user_groups
        && account.group.as_ref().is_some_and(|it| it.as_str() == name.as_str())
    {
        difference.notes.push(format!("group {name} goes with it where nobody else is in it"));
    }
    difference.changes.push(Change::Remove { name: name.clone(), uid });
    difference
}
