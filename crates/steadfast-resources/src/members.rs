//! The members of a group, as `groups:` promises them. They are a task of their own, because groups
//! exist before users do and get their members after that.
//!
//! ```yaml
//! groups:
//!   adm: { members: [deploy] }                  # deploy at least
//!   wheel: { members: { exactly: [ann, bob] } } # and nobody else
//! ```
//!
//! Somebody whose primary group it is counts as a member without standing in the list. Members may be
//! users of the name service; the group must be a local one.

use crate::account_fields::{digest, list_in_form, listed};
use crate::account_files::{self, Barred, Forbids};
use crate::fact::Fact;
use crate::identity::Identity;
use crate::kind::{Applied, Difference, Fingerprint, Kind, Obstacle, Refusal, Turn, Watch};
use crate::made::Made;
use crate::undo::{About, Effect, Facet, FacetState, Now, Says};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use steadfast_model::{Field, Lower, Node, Spanned, Takes, codes};
use steadfast_system::accounts::at_once::AtOnce;
use steadfast_system::text::safe;
use steadfast_system::{Actuate, GroupName, Probe, SystemError, UserName, accounts};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    pub group: GroupName,
    /// Whether nobody else may be in it.
    pub exactly: bool,
    pub names: Vec<UserName>,
}

impl Desired {
    /// Whether it says of this user whether they are in the group.
    pub fn decides(&self, user: &str) -> bool {
        self.exactly || self.names.iter().any(|it| it.as_str() == user)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub group: Found,
    /// Who is promised as a member and does not exist.
    pub missing: Vec<UserName>,
}

/// Where a group was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Nowhere,
    /// In the name service, where we change nothing.
    Elsewhere,
    Here {
        /// As they stand in /etc/group.
        members: Vec<Arc<str>>,
        /// Whose primary group it is.
        primary: Vec<UserName>,
        forbids: Forbids,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Add { group: GroupName, user: UserName },
    Remove { group: GroupName, member: Arc<str> },
}

#[derive(Debug)]
pub struct Members;

impl Kind for Members {
    const NAME: &'static str = "members";
    const SHARED: bool = true;
    const FIELDS: &'static [Field] =
        &[Field::new("exactly", Takes::TextList, "these users and nobody else")];
    type Desired = Desired;
    type State = State;
    type Change = Change;

    /// `name` is the group, `body` what stands in its field `members`.
    fn lower(name: &Spanned<Arc<str>>, body: &Node, cx: &mut Lower<'_>) -> Option<Desired> {
        let group = match GroupName::parse(&name.value) {
            Ok(group) => Some(group),
            Err(refusal) => {
                cx.error(codes::BAD_NAME, name.span, refusal.to_string());
                None
            }
        };
        let list =
            list_in_form(body, "`members`", &["exactly"], codes::BAD_NAME, cx, UserName::parse);
        let (form, names) = list?;
        Some(Desired { group: group?, exactly: form.is_some(), names })
    }

    fn claims(_want: &Desired) -> Vec<Identity> {
        vec![]
    }

    fn concerns(want: &Desired) -> Vec<Identity> {
        vec![Identity::Group(want.group.clone())]
    }

    fn uses(want: &Desired) -> Vec<Identity> {
        let mut uses = vec![Identity::Group(want.group.clone())];
        uses.extend(want.names.iter().cloned().map(Identity::User));
        uses
    }

    fn makes(_want: &Desired) -> Vec<Made> {
        account_files::shared().collect()
    }

    fn is_absent(_want: &Desired) -> bool {
        false
    }

    fn turn(_want: &Desired) -> Turn {
        Turn::Members
    }

    fn watch(_want: &Desired) -> Watch {
        let mut watch = Watch::default();
        watch.also(Watch::GROUPS);
        watch
    }

    fn observe(wants: &[&Desired], sys: &dyn Probe) -> Vec<Result<State, SystemError>> {
        let barred = account_files::barred(sys);
        let sys = AtOnce::new(sys);
        wants.iter().map(|want| look(want, &barred, &sys)).collect()
    }

    fn plan(want: &Desired, have: &State) -> Difference<Change> {
        let Desired { group, exactly, names } = want;
        let mut difference = Difference::none();
        let (members, primary, forbids): (&[Arc<str>], &[UserName], _) = match &have.group {
            Found::Here { members, primary, forbids } => (members, primary, forbids.clone()),
            Found::Nowhere => {
                difference.obstacles.push(Obstacle::Missing(Identity::Group(group.clone())));
                (&[], &[], Forbids::default())
            }
            Found::Elsewhere => {
                return Difference::refused(Refusal::machine(format!(
                    "group {group} is not in /etc/group: the name service has it"
                )));
            }
        };
        for user in names {
            let is_in = members.iter().any(|it| **it == *user.as_str()) || primary.contains(user);
            if is_in {
                continue;
            }
            if have.missing.contains(user) {
                difference.obstacles.push(Obstacle::Missing(Identity::User(user.clone())));
            }
            difference.changes.push(Change::Add { group: group.clone(), user: user.clone() });
        }
        if *exactly {
            let is_wanted = |it: &str| names.iter().any(|name| name.as_str() == it);
            let mut gone: Vec<&Arc<str>> = vec![];
            for member in members.iter().filter(|it| !is_wanted(it)) {
                if !gone.contains(&member) {
                    gone.push(member);
                }
            }
            difference.changes.extend(
                gone.into_iter()
                    .map(|member| Change::Remove { group: group.clone(), member: member.clone() }),
            );
            let by_primary: Vec<&UserName> =
                primary.iter().filter(|it| !is_wanted(it.as_str())).collect();
            if !by_primary.is_empty() {
                difference
                    .notes
                    .push(format!("it is also the primary group of {}", listed(&by_primary)));
            }
        }
        forbids.judge(difference, "group", group.as_str(), |_| account_files::OF_MEMBERS)
    }

    fn apply(batch: &[&[Change]], sys: &dyn Actuate) -> Vec<Applied> {
        let apply = |change: &Change| match change {
            Change::Add { group, user } => sys.add_member(group, user),
            Change::Remove { group, member } => sys.remove_member(group, member),
        };
        batch.iter().map(|changes| Applied::each(changes, apply)).collect()
    }

    fn effects(change: &Change, _want: &Desired, _have: &State) -> Vec<Effect> {
        vec![match change {
            Change::Add { group, user } => {
                let (group, user) = (group.clone(), Arc::from(user.as_str()));
                let thing = Facet::Member { group, user };
                Effect::new(thing, FacetState::Nothing, FacetState::There)
            }
            Change::Remove { group, member } => {
                let (group, user) = (group.clone(), Arc::clone(member));
                let thing = Facet::Member { group, user };
                Effect::new(thing, FacetState::There, FacetState::Nothing)
            }
        }]
    }

    fn says(want: &Desired, facet: &Facet, _is_folder: bool) -> Says {
        Says::all_if(matches!(facet, Facet::Member { user, .. } if want.decides(user)))
    }

    fn looks_after(facet: &Facet) -> bool {
        matches!(facet, Facet::Member { .. })
    }

    fn observe_facets(facets: &[&Facet], sys: &dyn Probe) -> Vec<Result<Now, SystemError>> {
        let now = |facet: &&Facet| {
            let Facet::Member { group, user } = facet else {
                return Ok(Now::new(FacetState::Nothing));
            };
            let local = sys.local()?;
            let is_in = local.group(group).is_some_and(|it| it.members.contains(user));
            Ok(Now::new(if is_in { FacetState::There } else { FacetState::Nothing }))
        };
        facets.iter().map(now).collect()
    }

    fn changes_back(
        facet: &Facet,
        now: &Now,
        before: &FacetState,
        _about: &About<'_>,
    ) -> Option<Vec<Change>> {
        let Facet::Member { group, user } = facet else { return None };
        match (&now.state, before) {
            (FacetState::There, FacetState::Nothing) => {
                let member = Arc::clone(user);
                Some(vec![Change::Remove { group: group.clone(), member }])
            }
            (FacetState::Nothing, FacetState::There) => {
                let user = UserName::parse(user).ok()?;
                Some(vec![Change::Add { group: group.clone(), user }])
            }
            (_, _) => None,
        }
    }

    fn facts(change: &Change) -> Vec<Fact> {
        vec![match change {
            Change::Add { group: _, user } => Fact::new("add", "members").after(user),
            Change::Remove { group: _, member } => {
                Fact::new("remove", "members").before(safe(member))
            }
        }]
    }

    fn fingerprint(have: &State) -> Fingerprint {
        Fingerprint { digest: digest(&Self::describe(have)), changed: None }
    }

    fn describe(have: &State) -> Vec<(&'static str, String)> {
        match &have.group {
            Found::Nowhere => vec![("group", "missing".to_owned())],
            Found::Elsewhere => vec![("group", "not local".to_owned())],
            Found::Here { members, primary, forbids: _ } => vec![
                ("members", shown(members.iter().map(|it| &**it))),
                ("primary group of", shown(primary.iter().map(UserName::as_str))),
            ],
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Add { group: _, user } => write!(f, "add member {user}"),
            Change::Remove { group: _, member } => {
                write!(f, "remove member {}", safe(member))
            }
        }
    }
}

fn look(
    want: &Desired,
    barred: &Arc<[Barred]>,
    sys: &dyn accounts::Read,
) -> Result<State, SystemError> {
    let local = sys.local()?;
    let group = match local.group(&want.group) {
        Some(group) => Found::Here {
            members: group.members.clone(),
            primary: local
                .users()
                .iter()
                .filter(|it| it.gid == group.gid)
                .map(|it| it.name.clone())
                .collect(),
            forbids: Forbids {
                repeated: local.repeats_group(&want.group),
                barred: Arc::clone(barred),
            },
        },
        None if sys.gid(&want.group)?.is_some() => Found::Elsewhere,
        None => Found::Nowhere,
    };
    let mut missing = vec![];
    for name in &want.names {
        if sys.uid(name)?.is_none() {
            missing.push(name.clone());
        }
    }
    Ok(State { group, missing })
}

fn shown<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(safe).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account_fields::tests::lowered;

    fn want(exactly: bool, names: &[&str]) -> Desired {
        Desired {
            group: GroupName::parse("adm").unwrap(),
            exactly,
            names: names.iter().map(|it| UserName::parse(it).unwrap()).collect(),
        }
    }

    fn here(members: &[&str], primary: &[&str]) -> State {
        State {
            group: Found::Here {
                members: members.iter().map(|it| Arc::from(*it)).collect(),
                primary: primary.iter().map(|it| UserName::parse(it).unwrap()).collect(),
                forbids: Forbids::default(),
            },
            missing: vec![],
        }
    }

    #[test]
    fn a_list_means_at_least_and_exactly_is_asked_for() {
        assert_eq!(lowered::<Members>("adm: [a, b, a]"), Ok(want(false, &["a", "b"])));
        assert_eq!(lowered::<Members>("adm: { exactly: [] }"), Ok(want(true, &[])));
        for (text, expected) in [
            ("adm: a", "wrong-type: `members` must be a list, and is text @ a"),
            ("adm: { without: [a] }", "unknown-field: `members` has no form `without` @ without"),
            (
                "adm: [-a]",
                "bad-name: `-a` is not a user name: it begins with `-`, as an option does @ -a",
            ),
        ] {
            assert_eq!(lowered::<Members>(text), Err(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn plans() {
        let table: &[(Desired, State, &[&str])] = &[
            (want(false, &["a"]), here(&["a", "b"], &[]), &[]),
            (want(false, &["a", "b"]), here(&["b"], &[]), &["add member a"]),
            (want(false, &["a"]), here(&[], &["a"]), &[]),
            (want(true, &["a"]), here(&["b", "a", "b"], &[]), &["remove member b"]),
            (want(true, &[]), here(&["x\x1b"], &[]), &["remove member x\\u{1b}"]),
            (want(true, &["a"]), here(&["b"], &["a"]), &["remove member b"]),
            (want(true, &["a"]), here(&["a"], &["c"]), &[]),
        ];
        for (want, have, expected) in table {
            let difference = Members::plan(want, have);
            let shown: Vec<String> = difference.changes.iter().map(ToString::to_string).collect();
            assert_eq!(shown, *expected, "{want:?} {have:?}");
            assert_eq!(difference.obstacles, []);
        }
        let noted = Members::plan(&want(true, &["a"]), &here(&["a"], &["c"]));
        assert_eq!(noted.notes, ["it is also the primary group of c"]);
    }

    #[test]
    fn what_is_not_there_yet_is_missing_and_what_is_elsewhere_is_refused() {
        let have = State { group: Found::Nowhere, missing: want(false, &["a"]).names };
        let difference = Members::plan(&want(false, &["a"]), &have);
        assert_eq!(
            difference.obstacles,
            Members::uses(&want(false, &["a"]))
                .into_iter()
                .map(Obstacle::Missing)
                .collect::<Vec<_>>()
        );
        assert_eq!(difference.changes.len(), 1);
        let have = State { group: Found::Elsewhere, missing: vec![] };
        assert_eq!(
            Members::plan(&want(false, &["a"]), &have),
            Difference::refused(Refusal::machine(
                "group adm is not in /etc/group: the name service has it"
            ))
        );
    }
}
