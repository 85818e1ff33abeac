//! A local user.
//!
//! ```yaml
//! users:
//!   deploy:
//!     uid: 2000
//!     group: deploy                        # primary; else one of the user's name, made where missing
//!     groups: [adm]                        # at least; { exactly: [...] } or { without: [...] }
//!     home: /srv/deploy
//!     shell: /bin/bash
//!     comment: Deployment
//!     password_hash: { secret: deploy-password }
//!     locked: false
//!     expires: "2027-12-31"                # or never
//!     ssh_keys:
//!       - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDaQXvUYi0WCw6sGaPT1s7NShBxRjodeJ/EBbajCzwqg ci
//!   people: { system: true }
//!   old: { state: absent, end_sessions: true }
//! ```
//!
//! What is not said is left alone. A new ordinary user gets a home from the skeleton, a system user
//! does not; `home_state` decides otherwise: `present` (made where it is missing), `absent` (removed
//! where it is the user's own), `unmanaged`; where the home of an ordinary user is missing and `ssh_keys`
//! need it, it is made. `home` is the entry in /etc/passwd: nothing is moved. Another
//! `uid` or `home` is not set while the user has processes; with a new uid, what is the user's below
//! the home is re-owned, and nothing else.
//!
//! `password_hash` is what crypt(5) makes, never the password; `"*"` is none that opens, and `!` before it, or
//! alone, is a lock. A lock (`!` before the hash) is kept
//! apart from it: `locked: true` and `false` set and take it, and setting a hash leaves it. `locked:
//! false` where there is no password at all makes it `*`: no login by password, and none refused for
//! being locked. `expires`, `inactive`, `password_min_days`, `password_max_days`, `password_warn_days`
//! are the limits of chage(1); `never` takes one of the first two away.
//!
//! `ssh_keys`: these keys at least stand in ~/.ssh/authorized_keys, ours in a block of our own; `{
//! exactly: […] }`: these and no others. Options are part of a key, its comment is not. The file belongs to the
//! user alone and has the mode 0600. No link is followed there; what cannot be that file is kept beside it. In a home
//! that belongs to root, and that nobody else can write, root makes it.
//!
//! An account whose name we would not make (`Debian-exim`) is kept where it is there.
//!
//! `absent` removes the account and leaves its home, its mail, its crontab and its jobs, which the plan names; `remove_home: true` takes the home,
//! if it is the user's own. With processes it is refused, unless `end_sessions: true` ends them.

mod apply;
mod change;
mod contradictions;
mod desired;
mod facts;
pub mod keys;
mod limits;
mod lower;
mod observe;
mod plan;
mod state;
mod undo;

pub use change::Change;
pub use contradictions::contradictions;
pub use desired::{Desired, Groups, HomeState, PasswordHash, Present, Wanted};
pub use keys::{Keys, NewKeys, SshKey};
pub use state::{Account, State};

use crate::account_files;
use crate::fact::Fact;
use crate::identity::Identity;
use crate::kind::{Applied, Difference, Fingerprint, Kind, Turn, Watch};
use crate::made::Made;
use crate::undo::{Effect, Facet, Now, Says};
use std::sync::Arc;
use steadfast_model::{Field, Lower, Node, Spanned, Takes};
use steadfast_system::{AbsPath, Actuate, GroupName, Probe, SystemError};

const LIST_OF_GROUPS: Takes = Takes::OneOf(&[
    Takes::TextList,
    Takes::Fields(&[Field::new("exactly", Takes::TextList, "In these groups and no others")]),
    Takes::Fields(&[Field::new("without", Takes::TextList, "In none of these groups")]),
]);

const LIST_OF_KEYS: Takes = Takes::OneOf(&[
    Takes::TextList,
    Takes::Fields(&[Field::new("exactly", Takes::TextList, "These keys and no others")]),
]);

const DAYS_OR_NEVER: Takes = Takes::OneOf(&[Takes::Integer, Takes::Words(&["never"])]);

#[derive(Debug)]
pub struct User;

impl Kind for User {
    const NAME: &'static str = "user";
    const SHARED: bool = true;
    const SHORT_FORMS: &'static [Takes] = &[Takes::Words(&["present", "absent"])];
    const FIELDS: &'static [Field] = &[
        Field::new(
            "state",
            Takes::Words(&["present", "absent"]),
            "Whether the user exists (default: present)",
        ),
        Field::new(
            "uid",
            Takes::Integer,
            "The numeric id; not changed while the user has running processes",
        ),
        Field::new(
            "group",
            Takes::Text,
            "The primary group (default: a group with the user's name)",
        ),
        Field::new(
            "groups",
            LIST_OF_GROUPS,
            "Supplementary groups: at least these, exactly these, or without these",
        ),
        Field::new(
            "home",
            Takes::Text,
            "The home directory in /etc/passwd; existing files are not moved",
        ),
        Field::new(
            "home_state",
            Takes::Words(&["present", "absent", "unmanaged"]),
            "Whether the home directory exists (default: created with a new ordinary user)",
        ),
        Field::new("shell", Takes::Text, "The login shell"),
        Field::new(
            "comment",
            Takes::Text,
            "The comment (GECOS) field: full name and contact details",
        ),
        Field::new("password_hash", Takes::TextOrSecret, "The password, hashed as in crypt(5)"),
        Field::new("locked", Takes::Boolean, "Whether password login is locked"),
        Field::new(
            "expires",
            Takes::Text,
            "The date on which the account expires, such as \"2027-12-31\", or never",
        ),
        Field::new(
            "inactive",
            DAYS_OR_NEVER,
            "Days after its expiry that a password is still accepted",
        ),
        Field::new("password_min_days", Takes::Integer, "Minimum days between password changes"),
        Field::new(
            "password_max_days",
            Takes::Integer,
            "Maximum days before the password must be changed",
        ),
        Field::new(
            "password_warn_days",
            Takes::Integer,
            "Days of warning before the password expires",
        ),
        Field::new("ssh_keys", LIST_OF_KEYS, "Lines of ~/.ssh/authorized_keys"),
        Field::new("system", Takes::Boolean, "Whether a new user gets a uid from the system range"),
        Field::new(
            "remove_home",
            Takes::Boolean,
            "With absent: also remove the home directory (default: false)",
        ),
        Field::new(
            "end_sessions",
            Takes::Boolean,
            "With absent: end the user's processes (default: false)",
        ),
    ];
    type Desired = Desired;
    type State = State;
    type Change = Change;

    fn lower(name: &Spanned<Arc<str>>, body: &Node, cx: &mut Lower<'_>) -> Option<Desired> {
        lower::lower(name, body, cx)
    }

    fn claims(want: &Desired) -> Vec<Identity> {
        vec![Identity::User(want.name.clone())]
    }

    fn uses(want: &Desired) -> Vec<Identity> {
        let Wanted::Present(present) = &want.state else { return vec![] };
        let own = || GroupName::parse(want.name.as_str()).ok();
        let mut uses: Vec<Identity> =
            present.group.clone().or_else(own).map(Identity::Group).into_iter().collect();
        match &present.groups {
            Some(Groups::AtLeast(groups) | Groups::Exactly(groups)) => {
                for group in groups.iter().cloned().map(Identity::Group) {
                    if !uses.contains(&group) {
                        uses.push(group);
                    }
                }
            }
            Some(Groups::Without(_)) | None => {}
        }
        if present.makes_home() {
            uses.extend(present.home.as_ref().and_then(AbsPath::parent).map(Identity::Path));
        }
        uses
    }

    fn makes(want: &Desired) -> Vec<Made> {
        desired::makes(want)
    }

    fn is_absent(want: &Desired) -> bool {
        match want.state {
            Wanted::Present(_) => false,
            Wanted::Absent { .. } => true,
        }
    }

    fn turn(want: &Desired) -> Turn {
        match &want.state {
            Wanted::Present(present) if present.uid.is_some() => Turn::NumberedUsers,
            Wanted::Present(_) => Turn::Users,
            Wanted::Absent { .. } => Turn::UsersGo,
        }
    }

    fn lets_go(want: &Desired, thing: &Identity, own: bool) -> bool {
        let (Wanted::Present(present), Identity::Group(left)) = (&want.state, thing) else {
            return false;
        };
        let moves = present.group.as_ref().is_some_and(|it| it != left);
        moves && (!own || left.as_str() == want.name.as_str())
    }

    /// The keys too, where they are promised and the home is known.
    fn watch(want: &Desired) -> Watch {
        let mut watch = Watch::from_claims(&Self::claims(want));
        watch.also(Watch::GROUPS);
        if let Wanted::Present(wanted) = &want.state
            && wanted.ssh_keys.is_some()
            && let Some(home) = &wanted.home
        {
            watch.paths.push(format!("{home}/.ssh/authorized_keys"));
        }
        watch
    }

    fn observe(wants: &[&Desired], sys: &dyn Probe) -> Vec<Result<State, SystemError>> {
        let barred = account_files::barred(sys);
        let look = |(want, have): (&&Desired, Result<State, SystemError>)| {
            let mut have = have?;
            have.forbids.barred = Arc::clone(&barred);
            have.keys_barred = observe::keys_barred(&have, sys);
            if let (Wanted::Absent { .. }, Some(account)) = (&want.state, &have.account) {
                have.left = observe::left_behind(&want.name, sys);
                have.left.extend(observe::jobs_left(account.uid, sys));
            }
            if have.account.is_some() && want.removes_home() {
                have.in_home = observe::in_home(&have, sys);
            }
            Ok(have)
        };
        wants.iter().zip(observe::looks(wants, sys, sys)).map(look).collect()
    }

    fn plan(want: &Desired, have: &State) -> Difference<Change> {
        plan::plan(want, have)
    }

    fn apply(batch: &[&[Change]], sys: &dyn Actuate) -> Vec<Applied> {
        batch
            .iter()
            .map(|changes| Applied::each(changes, |change| apply::apply(change, sys)))
            .collect()
    }

    fn effects(change: &Change, want: &Desired, have: &State) -> Vec<Effect> {
        undo::effects(change, want, have)
    }

    fn says(want: &Desired, facet: &Facet, _is_folder: bool) -> Says {
        undo::says(want, facet)
    }

    fn looks_after(facet: &Facet) -> bool {
        undo::looks_after(facet)
    }

    fn observe_facets(facets: &[&Facet], sys: &dyn Probe) -> Vec<Result<Now, SystemError>> {
        facets.iter().map(|it| undo::observe_facet(it, sys)).collect()
    }

    fn absence(facet: &Facet) -> Option<Desired> {
        undo::absence(facet)
    }

    fn facts(change: &Change) -> Vec<Fact> {
        facts::facts(change)
    }

    fn fingerprint(have: &State) -> Fingerprint {
        observe::fingerprint(have)
    }

    fn describe(have: &State) -> Vec<(&'static str, String)> {
        observe::describe(have)
    }

    fn detail(change: &Change) -> Option<String> {
        match change {
            Change::Keys { name: _, home: _, seen: _, new } => {
                let mut lines: Vec<String> =
                    new.added.iter().map(|key| format!("+ {}", key.shown())).collect();
                if new.removed > 0 {
                    lines.push(format!("- {} others", new.removed));
                }
                Some(lines.join("\n"))
            }
            Change::EndSessions { .. }
            | Change::Add(_)
            | Change::Uid { .. }
            | Change::Group { .. }
            | Change::Home { .. }
            | Change::Shell { .. }
            | Change::Comment { .. }
            | Change::Limits { .. }
            | Change::Password { .. }
            | Change::NoPassword { .. }
            | Change::Lock { .. }
            | Change::Unlock { .. }
            | Change::Join { .. }
            | Change::Leave { .. }
            | Change::MakeHome { .. }
            | Change::RemoveHome { .. }
            | Change::Remove { .. } => None,
        }
    }

    fn frees(change: &Change) -> Vec<Identity> {
        change.frees()
    }

    fn makes_account(change: &Change) -> bool {
        matches!(change, Change::Add(_))
    }

    fn may_be_thwarted(change: &Change) -> bool {
        change.may_be_thwarted()
    }

    fn folders(change: &Change) -> Vec<&AbsPath> {
        change.home().into_iter().collect()
    }

    fn deletes(change: &Change) -> u64 {
        match change {
            Change::Remove { .. } => 1,
            // Where nobody can tell how many, it is more than a budget allows.
            Change::RemoveHome { home: _, uid: _, count } => {
                count.map_or(u64::from(u32::MAX), |it| it + 1)
            }
            Change::EndSessions { .. }
            | Change::Add(_)
            | Change::Uid { .. }
            | Change::Group { .. }
            | Change::Home { .. }
            | Change::Shell { .. }
            | Change::Comment { .. }
            | Change::Limits { .. }
            | Change::Password { .. }
            | Change::NoPassword { .. }
            | Change::Lock { .. }
            | Change::Unlock { .. }
            | Change::Join { .. }
            | Change::Leave { .. }
            | Change::MakeHome { .. }
            | Change::Keys { .. } => 0,
        }
    }
}

#[cfg(test)]
mod tests;
