//! What a change of a user does, for programs. Nothing of a password or a key.

use super::change::Change;
use super::limits::{limit_name, limit_shown};
use crate::fact::{ABSENT, Fact};
use steadfast_system::GroupName;
use steadfast_system::accounts::{NewPrimary, NewUser};

pub(super) fn facts(change: &Change) -> Vec<Fact> {
    let one = |fact| vec![fact];
    match change {
        Change::EndSessions { name: _, uid: _, processes } => {
            one(Fact::new("end", "sessions").before(processes).after(0))
        }
        Change::Add(new) => added(new),
        Change::Uid { name: _, was, uid } => one(Fact::set("uid", was, uid)),
        Change::Group { name: _, was, group } => one(Fact::set("group", was, group)),
        Change::Home { name: _, was, home } => one(Fact::set("home", was, home)),
        Change::Shell { name: _, was, shell } => one(Fact::set("shell", was, shell)),
        Change::Comment { name: _, was, comment } => one(Fact::set("comment", was, comment)),
        Change::Limits { name: _, limits } => limits
            .iter()
            .map(|(limit, was, to)| {
                let (was, to) = (limit_shown(*limit, *was), limit_shown(*limit, *to));
                Fact::set(limit_name(*limit), was, to)
            })
            .collect(),
        Change::Password { name: _, hash: _, locked: _ } => one(Fact::new("set", "password")),
        Change::NoPassword { name: _ } => one(Fact::new("set", "password").after("none")),
        Change::Lock { name: _ } => one(Fact::set("locked", "false", "true")),
        Change::Unlock { name: _ } => one(Fact::set("locked", "true", "false")),
        Change::Join { name: _, groups } => {
            let names: Vec<&str> = groups.iter().map(GroupName::as_str).collect();
            one(Fact::new("add", "groups").after(names.join(", ")))
        }
        Change::Leave { name: _, group } => one(Fact::new("remove", "groups").before(group)),
        Change::MakeHome { name: _, home, umask: _ } => {
            one(Fact::given("home", home).before(ABSENT))
        }
        Change::RemoveHome { home, uid: _, count: _ } => {
            one(Fact::new("remove", "home").before(home).after(ABSENT))
        }
        Change::Keys { .. } => one(Fact::new("write", "ssh_keys")),
        Change::Remove { name: _, uid } => {
            vec![Fact::removed("user"), Fact::new("remove", "uid").before(uid)]
        }
    }
}

fn added(new: &NewUser) -> Vec<Fact> {
    let NewUser { name, uid, group, home, make_home, shell, comment, system: _ } = new;
    let mut facts = vec![Fact::created("user")];
    facts.extend(uid.map(|it| Fact::given("uid", it)));
    facts.push(match group {
        NewPrimary::Group(group) => Fact::given("group", group),
        NewPrimary::Own => Fact::given("group", name),
    });
    facts.extend(make_home.then(|| Fact::given("home", home)));
    facts.extend(shell.as_ref().map(|it| Fact::given("shell", it)));
    facts.extend(comment.as_ref().map(|it| Fact::given("comment", it)));
    facts
}
