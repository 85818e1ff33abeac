//! Groups and their members.

use super::{each, field, fields, starts};
use steadfast_testkit::laws::Subject;
use steadfast_testkit::{FakeHost, World};

#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    pub name: &'static str,
    pub absent: bool,
    pub gid: Option<u32>,
    pub members: Option<(bool, Vec<&'static str>)>,
}

impl Subject for Group {
    fn id(&self) -> String {
        format!("group:{}", self.name)
    }

    fn section(&self) -> &'static str {
        "groups"
    }

    fn yaml(&self) -> String {
        let members = self.members.as_ref().map(|(exactly, names)| {
            let names = names.join(", ");
            if *exactly { format!("{{ exactly: [{names}] }}") } else { format!("[{names}]") }
        });
        let state = self.absent.then_some("absent");
        let body =
            fields([field("state", state), field("gid", self.gid), field("members", members)]);
        format!("{}: {body}", self.name)
    }

    fn holds(&self, world: &World) -> bool {
        let Some(group) = world.group(self.name) else { return self.absent };
        let members = self.members.as_ref().is_none_or(|(exactly, names)| {
            names.iter().all(|it| world.is_in(it, self.name))
                && (!exactly || group.members.iter().all(|it| names.contains(&&**it)))
        });
        !self.absent && self.gid.is_none_or(|it| it == group.gid) && members
    }

    fn keepable(&self, start: &World) -> bool {
        let there = start.group(self.name);
        if self.absent {
            return there
                .is_none_or(|it| !start.users.values().any(|user| user.user.gid == it.gid));
        }
        let free = |gid: u32| !start.groups.values().any(|it| it.gid == gid);
        let gid = self.gid.is_none_or(|gid| there.is_some_and(|it| it.gid == gid) || free(gid));
        let known = |name: &&str| {
            start.user(name).is_some()
                || start.is_in(name, self.name)
                || there.is_some_and(|it| it.members.iter().any(|member| **member == **name))
        };
        gid && self.members.as_ref().is_none_or(|(_, names)| names.iter().all(known))
    }

    fn erase(&self, world: &mut World, start: &World) {
        let gid = world.group(self.name).map(|it| it.gid);
        if let Some(was) = start.group(self.name)
            && !self.absent
        {
            // What is not said is left alone.
            let name = was.name.clone();
            if self.gid.is_none() {
                assert_eq!(gid, Some(was.gid), "{self:?}");
            }
            if self.members.is_none() {
                assert_eq!(world.groups.get(&name).map(|it| &it.members), Some(&was.members));
            }
        }
        for user in world.users.values_mut().filter(|it| Some(it.user.gid) == gid) {
            user.user.gid = u32::MAX;
        }
        world.groups.retain(|name, _| name.as_str() != self.name);
    }
}

#[test]
fn groups_obey_the_laws() {
    let mut hosts = vec![];
    for gid in [None, Some(2007), Some(2009)] {
        for other in [None, Some(2007)] {
            if gid.is_some() && gid == other {
                continue;
            }
            for primary in [false, true] {
                let mut host = FakeHost::debian().with_group("stranger", 42);
                if let Some(gid) = gid {
                    host = host.with_group("app", gid);
                }
                if let Some(other) = other {
                    host = host.with_group("other", other);
                }
                if primary {
                    host = host.with_user("ann", 1000, gid.unwrap_or(42), "/home/ann");
                }
                hosts.push(host);
            }
        }
    }
    let group = |absent, gid| Group { name: "app", absent, gid, members: None };
    let wants =
        [group(true, None), group(false, None), group(false, Some(2007)), group(false, Some(2009))];
    assert!(each(&starts(hosts), &wants) > 50);
}

#[test]
fn members_obey_the_laws() {
    let mut hosts = vec![FakeHost::debian().with_user("ann", 1000, 33, "/home/ann")];
    for members in [&[][..], &["ann"], &["ann", "bob"], &["bob", "ghost"], &["ann", "ann"]] {
        for primary in [33, 2007] {
            hosts.push(
                FakeHost::debian()
                    .with_group("app", 2007)
                    .with_group("other", 2008)
                    .with_members("other", &["ann", "bob"])
                    .with_user("ann", 1000, primary, "/home/ann")
                    .with_user("bob", 1001, 33, "/home/bob")
                    .with_members("app", members),
            );
        }
    }
    let mut wants = vec![];
    for exactly in [false, true] {
        for names in [vec![], vec!["ann"], vec!["bob", "ann"], vec!["ghost"]] {
            let members = Some((exactly, names));
            wants.push(Group { name: "app", absent: false, gid: None, members });
        }
    }
    assert!(each(&starts(hosts), &wants) > 100);
}
