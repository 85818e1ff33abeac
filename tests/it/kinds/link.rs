//! Symbolic links.

use super::{each, field, fields, starts};
use steadfast_testkit::host::{Matter, Thing};
use steadfast_testkit::laws::Subject;
use steadfast_testkit::{FakeHost, World};

#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub path: &'static str,
    pub target: Option<&'static str>,
    pub owner: Option<(&'static str, u32)>,
    pub force: bool,
}

impl Subject for Link {
    fn id(&self) -> String {
        format!("link:{}", self.path)
    }

    fn section(&self) -> &'static str {
        "links"
    }

    fn yaml(&self) -> String {
        let body = fields([
            field("state", self.target.is_none().then_some("absent")),
            field("target", self.target),
            field("owner", self.owner.map(|it| it.0)),
            field("force", self.force.then_some(true)),
        ]);
        format!("{}: {body}", self.path)
    }

    fn holds(&self, world: &World) -> bool {
        match (world.thing(self.path), self.target) {
            (None, None) => true,
            (Some(Thing { matter: Matter::Link(there), uid, .. }), Some(target)) => {
                **there == *target && self.owner.is_none_or(|(_, wanted)| wanted == *uid)
            }
            (_, _) => false,
        }
    }

    fn keepable(&self, start: &World) -> bool {
        let folder = self.path.rsplit_once('/').unwrap().0;
        match start.thing(self.path) {
            None => self.target.is_none() || start.thing(folder).is_some(),
            Some(Thing { matter: Matter::Link(_), .. }) => true,
            Some(thing) => self.force && !thing.mounted,
        }
    }

    fn erase(&self, world: &mut World, start: &World) {
        let path = steadfast_system::AbsPath::parse(self.path).unwrap();
        let was_link =
            start.thing(self.path).is_some_and(|it| matches!(it.matter, Matter::Link(_)));
        if self.target.is_none() || !was_link {
            world.take(&path);
        } else if let Some(thing) = world.files.get_mut(&path) {
            // What is not said is left alone.
            (thing.changed, thing.matter) = (0, Matter::Link("".into()));
            if self.owner.is_some() {
                thing.uid = 0;
            }
        }
    }
}

#[test]
fn links_obey_the_laws() {
    let base = || FakeHost::debian().with_file("/srv/stranger", "x");
    let owned =
        |target: &str| Thing { uid: 33, mode: 0o777, ..Thing::of(Matter::Link(target.into())) };
    let hosts = [
        base(),
        base().with_link("/srv/l", "/a"),
        base().with_link("/srv/l", "/b"),
        base().with_thing("/srv/l", owned("/a")),
        base().with_thing("/srv/l", owned("/b")),
        base().with_file("/srv/l", "text"),
        base().with_thing("/srv/l", Thing { mounted: true, ..Thing::file("text") }),
        base().with_directory("/srv/l"),
        base().with_directory("/srv/l").with_file("/srv/l/x", "text"),
        base().with_thing("/srv/l", Thing::of(Matter::Socket)),
    ];
    let mut wants = vec![];
    for target in [None, Some("/a"), Some("../b")] {
        for owner in [None, Some(("www-data", 33))] {
            if target.is_none() && owner.is_some() {
                continue;
            }
            for force in [false, true] {
                for path in ["/srv/l", "/srv/missing/l"] {
                    wants.push(Link { path, target, owner, force });
                }
            }
        }
    }
    assert!(each(&starts(hosts), &wants) > 100);
}
