//! A local group.
//!
//! ```yaml
//! groups:
//!   deploy: 2000                          # short for { gid: 2000 }
//!   web: { system: true }                 # any free gid of the system's range, when it is made
//!   adm: { members: [deploy] }            # at least; { exactly: [...] } takes others out
//!   games: absent
//! ```
//!
//! `gid`: the number; a group that has another one gets it, users whose primary group it is keep it,
//! and files are *not* re-owned (the plan says so). `system`: which range a new group's number comes
//! from; it says nothing about a group that is there. `members`: see [`crate::members`]. A group that
//! is somebody's primary group is not removed.

use crate::account_fields::{NOT_MADE, digest, listed, short_state};
use crate::account_files::{self, Barred, Forbids};
use crate::fact::Fact;
use crate::identity::Identity;
use crate::kind::{Applied, Difference, Fingerprint, Kind, Obstacle, Refusal, Turn};
use crate::made::Made;
use crate::members::{self, Members};
use crate::undo::{About, Effect, Facet, FacetState, Now, Says};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use steadfast_model::{Field, Fields, Lower, Node, Spanned, Takes, Value, codes};
use steadfast_system::accounts::at_once::AtOnce;
use steadfast_system::accounts::{Local, NewGroup};
use steadfast_system::{Actuate, GroupName, Probe, SystemError, UserName, accounts};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    pub name: GroupName,
    pub present: bool,
    pub gid: Option<u32>,
    pub system: bool,
    /// A task of its own, after the users.
    pub members: Option<members::Desired>,
    /// A user who is promised leaves it: it goes after that.
    pub left: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Its gid, where it is in /etc/group.
    pub gid: Option<u32>,
    /// The gid that the name service knows, where /etc/group has no such group.
    pub elsewhere: Option<u32>,
    pub forbids: Forbids,
    /// Other groups that have the promised gid.
    pub holders: Vec<GroupName>,
    /// Whose primary group it is.
    pub primary_of: Vec<UserName>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Add(NewGroup),
    SetGid { name: GroupName, was: u32, gid: u32 },
    Remove { name: GroupName, gid: u32 },
}

#[derive(Debug)]
pub struct Group;

impl Kind for Group {
    const NAME: &'static str = "group";
    const SHARED: bool = true;
    const SHORT_FORMS: &'static [Takes] = &[Takes::Words(&["present", "absent"]), Takes::Integer];
    const MAY_SAY: &'static str = "present, absent, its number, or a map of fields";
    const FIELDS: &'static [Field] = &[
        Field::new(
            "state",
            Takes::Words(&["present", "absent"]),
            "Whether the group exists (default: present)",
        ),
        Field::new("gid", Takes::Integer, "The numeric id; files keep the old id when it changes"),
        Field::new(
            "members",
            Takes::OneOf(&[Takes::TextList, Takes::Fields(Members::FIELDS)]),
            "Users to add to the group; { exactly: [...] } also removes all others",
        ),
        Field::new(
            "system",
            Takes::Boolean,
            "Whether a new group gets a gid from the system range",
        ),
    ];
    type Desired = Desired;
    type State = State;
    type Change = Change;

    fn lower(name: &Spanned<Arc<str>>, body: &Node, cx: &mut Lower<'_>) -> Option<Desired> {
        let parsed = match GroupName::parse(&name.value) {
            Ok(parsed) => Some(parsed),
            Err(refusal) => {
                cx.error(codes::BAD_NAME, name.span, refusal.to_string());
                None
            }
        };
        let plain = |present, gid| {
            Some(Desired {
                name: parsed.clone()?,
                present,
                gid,
                system: false,
                members: None,
                left: false,
            })
        };
        let want = if let Node::Scalar(scalar) = body
            && let Value::Integer(number) = scalar.value.value
        {
            match u32::try_from(number) {
                Ok(gid) if gid < u32::MAX => plain(true, Some(gid)),
                Ok(_) | Err(_) => {
                    let message = format!("a gid must be from 0 to {}", u32::MAX - 1);
                    cx.error(codes::BAD_VALUE, scalar.span, message);
                    None
                }
            }
        } else if let Some(present) = short_state(body, "group", cx)? {
            plain(present, None)
        } else {
            let mut fields = Fields::read(body, "group", Self::FIELDS, cx)?;
            let present = fields.one_of("state", &[("present", true), ("absent", false)]);
            let present = present.unwrap_or(true);
            let gid = fields.id("gid");
            let system = fields.boolean("system").unwrap_or(false);
            let members =
                fields.node("members").and_then(|node| Members::lower(name, node, fields.cx));
            if !present {
                for field in ["gid", "system", "members"] {
                    if fields.has(field) {
                        let span = fields.key_span(field);
                        let message = format!("a group that is absent has no `{field}`");
                        fields.error(codes::CONFLICTING_FIELDS, span, message);
                    }
                }
            }
            parsed.clone().map(|name| Desired { name, present, gid, system, members, left: false })
        };
        if cx.is_sound() { want } else { None }
    }

    fn claims(want: &Desired) -> Vec<Identity> {
        vec![Identity::Group(want.name.clone())]
    }

    fn uses(_want: &Desired) -> Vec<Identity> {
        vec![]
    }

    fn makes(want: &Desired) -> Vec<Made> {
        if want.present { account_files::shared().collect() } else { vec![] }
    }

    fn is_absent(want: &Desired) -> bool {
        !want.present
    }

    fn turn(want: &Desired) -> Turn {
        match (want.present, want.gid) {
            (true, Some(_)) => Turn::NumberedGroups,
            (true, None) => Turn::Groups,
            (false, _) if want.left => Turn::LeftGroupsGo,
            (false, _) => Turn::GroupsGo,
        }
    }

    fn set_let_go(want: &mut Desired) {
        want.left = true;
    }

    fn observe(wants: &[&Desired], sys: &dyn Probe) -> Vec<Result<State, SystemError>> {
        let barred = account_files::barred(sys);
        let sys = AtOnce::new(sys);
        wants.iter().map(|want| look(want, &barred, &sys)).collect()
    }

    fn plan(want: &Desired, have: &State) -> Difference<Change> {
        let needs = |change: &Change| match change {
            Change::Add(_) | Change::Remove { .. } => account_files::OF_MEMBERS,
            Change::SetGid { .. } => account_files::OF_GIDS,
        };
        have.forbids.judge(difference(want, have), "group", want.name.as_str(), needs)
    }
    fn apply(batch: &[&[Change]], sys: &dyn Actuate) -> Vec<Applied> {
        let apply = |change: &Change| match change {
            Change::Add(group) => sys.add_group(group),
            Change::SetGid { name, was: _, gid } => sys.set_gid(name, *gid),
            Change::Remove { name, gid: _ } => sys.remove_group(name),
        };
        batch.iter().map(|changes| Applied::each(changes, apply)).collect()
    }

    fn frees(change: &Change) -> Vec<Identity> {
        match change {
            Change::Add(_) => vec![],
            Change::SetGid { name, was: gid, gid: _ } | Change::Remove { name, gid } => {
                vec![Identity::gid(*gid, name)]
            }
        }
    }

    fn makes_account(change: &Change) -> bool {
        matches!(change, Change::Add(_))
    }

    fn effects(change: &Change, _want: &Desired, _have: &State) -> Vec<Effect> {
        let gid = |gid: u32| FacetState::Group { gid: Some(gid) };
        let (name, before, left) = match change {
            Change::Add(NewGroup { name, gid, system: _ }) => {
                (name, FacetState::Nothing, FacetState::Group { gid: *gid })
            }
            Change::SetGid { name, was, gid: to } => (name, gid(*was), gid(*to)),
            Change::Remove { name, gid: _ } => (name, FacetState::Unknown, FacetState::Nothing),
        };
        vec![Effect::new(Facet::Group(name.clone()), before, left)]
    }

    fn says(_want: &Desired, facet: &Facet, _is_folder: bool) -> Says {
        Says::all_if(matches!(facet, Facet::Group(_)))
    }

    fn looks_after(facet: &Facet) -> bool {
        matches!(facet, Facet::Group(_))
    }

    fn observe_facets(facets: &[&Facet], sys: &dyn Probe) -> Vec<Result<Now, SystemError>> {
        let now = |name: &GroupName| {
            Ok(match sys.local()?.group(name) {
                Some(it) => Now {
                    members: it.members.clone(),
                    ..Now::new(FacetState::Group { gid: Some(it.gid) })
                },
                None => Now::new(FacetState::Nothing),
            })
        };
        facets.iter().filter_map(|it| it.as_group()).map(now).collect()
    }

    fn absence(facet: &Facet) -> Option<Desired> {
        let name = facet.as_group()?.clone();
        Some(Desired { name, present: false, gid: None, system: false, members: None, left: false })
    }

    fn changes_back(
        facet: &Facet,
        now: &Now,
        before: &FacetState,
        _about: &About<'_>,
    ) -> Option<Vec<Change>> {
        match (&now.state, before) {
            (FacetState::Group { gid: Some(was) }, FacetState::Group { gid: Some(gid) }) => {
                let (name, was, gid) = (facet.as_group()?.clone(), *was, *gid);
                Some(vec![Change::SetGid { name, was, gid }])
            }
            (_, _) => None,
        }
    }

    fn facts(change: &Change) -> Vec<Fact> {
        match change {
            Change::Add(NewGroup { name: _, gid, system: _ }) => {
                let gid = gid.map(|it| Fact::given("gid", it));
                std::iter::once(Fact::created("group")).chain(gid).collect()
            }
            Change::SetGid { name: _, was, gid } => vec![Fact::set("gid", was, gid)],
            Change::Remove { name: _, gid } => {
                vec![Fact::removed("group"), Fact::new("remove", "gid").before(gid)]
            }
        }
    }

    fn fingerprint(have: &State) -> Fingerprint {
        Fingerprint { digest: digest(&Self::describe(have)), changed: None }
    }

    fn describe(have: &State) -> Vec<(&'static str, String)> {
        match (have.gid, have.elsewhere) {
            (Some(gid), _) => vec![("state", "present".to_owned()), ("gid", gid.to_string())],
            (None, Some(gid)) => {
                vec![("state", "not local".to_owned()), ("gid", gid.to_string())]
            }
            (None, None) => vec![("state", "absent".to_owned())],
        }
    }

    fn deletes(change: &Change) -> u64 {
        match change {
            Change::Add(_) | Change::SetGid { .. } => 0,
            Change::Remove { .. } => 1,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Add(NewGroup { name: _, gid, system }) => {
                let kind = if *system { "system group" } else { "group" };
                match gid {
                    Some(gid) => write!(f, "add {kind} (gid {gid})"),
                    None => write!(f, "add {kind}"),
                }
            }
            Change::SetGid { name: _, was, gid } => write!(f, "set gid {was} -> {gid}"),
            Change::Remove { name: _, gid } => write!(f, "remove group (gid {gid})"),
        }
    }
}

fn difference(want: &Desired, have: &State) -> Difference<Change> {
    let name = &want.name;
    if !want.present {
        let Some(gid) = have.gid else { return Difference::none() };
        let mut difference = Difference::new(vec![Change::Remove { name: name.clone(), gid }]);
        // One for all of them, as long as no step takes one of them away.
        let words = format!("it is the primary group of {}", listed(&have.primary_of));
        difference.obstacles.extend(have.primary_of.iter().map(|it| Obstacle::InTheWay {
            of: vec![Identity::primary_of(it)],
            why: Refusal::machine(words.clone()),
        }));
        return difference;
    }
    let mut difference = match (have.gid, want.gid) {
        (None, _) if have.elsewhere.is_some() => {
            return Difference::refused(Refusal::machine(format!(
                "group {name} is not in /etc/group: the name service has it"
            )));
        }
        (None, gid) => {
            let mut difference = Difference::new(vec![Change::Add(NewGroup {
                name: name.clone(),
                gid,
                system: want.system,
            })]);
            if !name.is_creatable() {
                difference.obstacles.push(Obstacle::Missing(Identity::Group(name.clone())));
                difference.notes.push(NOT_MADE.to_owned());
            }
            difference
        }
        (Some(was), Some(gid)) if was != gid => {
            let mut difference =
                Difference::new(vec![Change::SetGid { name: name.clone(), was, gid }]);
            difference.notes.push(format!("files of gid {was} are not re-owned"));
            difference
        }
        (Some(_), Some(_) | None) => return Difference::none(),
    };
    if let Some(gid) = want.gid {
        difference.obstacles.extend(have.holders.iter().map(|holder| Obstacle::InTheWay {
            of: vec![Identity::gid(gid, holder), Identity::own_group(holder.as_str())],
            why: Refusal::Machine(format!("gid {gid} belongs to group {holder}")),
        }));
    }
    difference
}

fn look(
    want: &Desired,
    barred: &Arc<[Barred]>,
    sys: &dyn accounts::Read,
) -> Result<State, SystemError> {
    let local = sys.local()?;
    let gid = local.group(&want.name).map(|it| it.gid);
    let primary_of =
        local.users().iter().filter(|it| Some(it.gid) == gid).map(|it| it.name.clone()).collect();
    let elsewhere = match gid {
        Some(_) => None,
        None => sys.gid(&want.name)?,
    };
    let (repeated, barred) = (local.repeats_group(&want.name), Arc::clone(barred));
    let forbids = Forbids { repeated, barred };
    Ok(State { gid, elsewhere, forbids, holders: holders(want, &local, sys)?, primary_of })
}

/// Other groups that have the promised gid; only where no file has one, the name service is asked.
fn holders(
    want: &Desired,
    local: &Local,
    sys: &dyn accounts::Read,
) -> Result<Vec<GroupName>, SystemError> {
    let Some(gid) = want.gid else { return Ok(vec![]) };
    let theirs = local.groups().iter().filter(|it| it.gid == gid && it.name != want.name);
    let theirs: Vec<GroupName> = theirs.map(|it| it.name.clone()).collect();
    if !theirs.is_empty() || local.group_with(gid).is_some() {
        return Ok(theirs);
    }
    Ok(sys.group_of(gid)?.filter(|it| *it != want.name).into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account_fields::tests::lowered;

    fn name(text: &str) -> GroupName {
        GroupName::parse(text).unwrap()
    }

    fn want(gid: Option<u32>) -> Desired {
        Desired { name: name("web"), present: true, gid, system: false, members: None, left: false }
    }

    fn absent() -> Desired {
        Desired { present: false, ..want(None) }
    }

    fn have(gid: Option<u32>) -> State {
        State {
            gid,
            elsewhere: None,
            forbids: Forbids::default(),
            holders: vec![],
            primary_of: vec![],
        }
    }

    #[test]
    fn every_form_is_understood() {
        let members = members::Desired {
            group: name("web"),
            exactly: false,
            names: vec![UserName::parse("a").unwrap()],
        };
        for (text, expected) in [
            ("web: 2000", want(Some(2000))),
            ("web: present", want(None)),
            ("web: absent", absent()),
            ("web: { state: absent }", absent()),
            ("web: { gid: 2000 }", want(Some(2000))),
            ("web: { system: true }", Desired { system: true, ..want(None) }),
            ("web: { members: [a] }", Desired { members: Some(members), ..want(None) }),
            ("Debian-exim: absent", Desired { name: name("Debian-exim"), ..absent() }),
        ] {
            assert_eq!(lowered::<Group>(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn every_mistake_is_told() {
        let table = [
            "web: -1",
            "web: 4294967295",
            "web: gone",
            "web: [a]",
            "web: { gdi: 1 }",
            "web: { gid: x, members: [\"a b\"] }",
            "web: { state: absent, gid: 1, members: [] }",
            "-r: present",
        ];
        let told: Vec<String> = table.map(|it| lowered::<Group>(it).unwrap_err()).to_vec();
        expect_test::expect![[r#"
            bad-value: a gid must be from 0 to 4294967294 @ -1
            bad-value: a gid must be from 0 to 4294967294 @ 4294967295
            bad-value: a group cannot be `gone` @ gone
            wrong-type: a group must be a map, and is a list @ [a]
            unknown-field: `group` has no field `gdi` @ gdi
            wrong-type: `gid` must be an integer, and is text @ x
            bad-name: `a b` is not a user name: it has a `:`, `/`, `,`, space or control character @ "a b"
            conflicting-fields: a group that is absent has no `gid` @ gid
            conflicting-fields: a group that is absent has no `members` @ members
            bad-name: `-r` is not a group name: it begins with `-`, as an option does @ -r"#]]
        .assert_eq(&told.join("\n"));
    }

    #[test]
    fn plans() {
        let system = Desired { system: true, ..want(None) };
        let table: &[(Desired, State, &[&str])] = &[
            (want(None), have(Some(33)), &[]),
            (want(Some(33)), have(Some(33)), &[]),
            (want(Some(33)), have(None), &["add group (gid 33)"]),
            (want(None), have(None), &["add group"]),
            (system.clone(), have(None), &["add system group"]),
            (system, have(Some(2000)), &[]),
            (want(Some(33)), have(Some(34)), &["set gid 34 -> 33"]),
            (absent(), have(None), &[]),
            (absent(), have(Some(33)), &["remove group (gid 33)"]),
        ];
        for (want, have, expected) in table {
            let difference = Group::plan(want, have);
            let shown: Vec<String> = difference.changes.iter().map(ToString::to_string).collect();
            assert_eq!(shown, *expected, "{want:?} {have:?}");
            assert_eq!(difference.obstacles, []);
            let deletes: u64 = difference.changes.iter().map(Group::deletes).sum();
            assert_eq!(deletes, u64::from(!want.present && have.gid.is_some()));
        }
        let moved = Group::plan(&want(Some(33)), &have(Some(34)));
        assert_eq!(moved.notes, ["files of gid 34 are not re-owned"]);
    }

    #[test]
    fn refusals() {
        let users = vec![UserName::parse("a").unwrap(), UserName::parse("b").unwrap()];
        let taken = State { holders: vec![name("other")], ..have(None) };
        let in_the_way = |of: Vec<Identity>, words: &str| {
            let why = Refusal::machine(words);
            Obstacle::InTheWay { of, why }
        };
        let of_users = users.iter().map(|it| {
            in_the_way(vec![Identity::primary_of(it)], "it is the primary group of a and b")
        });
        let of_other = || {
            let of = vec![Identity::gid(33, &name("other")), Identity::own_group("other")];
            vec![in_the_way(of, "gid 33 belongs to group other")]
        };
        let elsewhere = "group web is not in /etc/group: the name service has it";
        let elsewhere = vec![Obstacle::refused(Refusal::machine(elsewhere))];
        let missing = vec![Obstacle::Missing(Identity::Group(name("Web")))];
        for (want, have, expected) in [
            (
                absent(),
                State { primary_of: users.clone(), ..have(Some(33)) },
                of_users.collect::<Vec<_>>(),
            ),
            (want(Some(33)), taken.clone(), of_other()),
            (want(Some(33)), State { gid: Some(1), ..taken }, of_other()),
            (want(None), State { elsewhere: Some(7), ..have(None) }, elsewhere),
            (Desired { name: name("Web"), ..want(None) }, have(None), missing),
        ] {
            assert_eq!(Group::plan(&want, &have).obstacles, expected);
        }
    }
}
