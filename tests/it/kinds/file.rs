//! Files.

use super::{each, field, fields, starts};
use steadfast_system::AbsPath;
use steadfast_testkit::host::{Matter, Thing};
use steadfast_testkit::laws::Subject;
use steadfast_testkit::{FakeHost, World};

#[derive(Clone, Debug)]
pub(crate) struct File {
    pub path: &'static str,
    pub absent: bool,
    pub content: Option<&'static str>,
    pub owner: Option<(&'static str, u32)>,
    pub mode: Option<u16>,
    pub force: bool,
    pub replace: bool,
    pub restarts: Option<&'static str>,
}

impl File {
    pub(crate) fn of(path: &'static str, content: &'static str) -> File {
        File {
            path,
            absent: false,
            content: Some(content),
            owner: None,
            mode: None,
            force: false,
            replace: true,
            restarts: None,
        }
    }
}

/// Below /tmp everybody can write.
fn is_foreign(path: &str, thing: &Thing) -> bool {
    path.starts_with("/tmp/") && thing.links > 1
}

impl Subject for File {
    fn id(&self) -> String {
        format!("file:{}", self.path)
    }

    fn section(&self) -> &'static str {
        "files"
    }

    fn yaml(&self) -> String {
        let body = fields([
            field("state", self.absent.then_some("absent")),
            field("content", self.content.map(|it| format!("{it:?}"))),
            field("owner", self.owner.map(|it| it.0)),
            field("mode", self.mode.map(|it| format!("\"{it:04o}\""))),
            field("force", self.force.then_some(true)),
            field("replace", (!self.replace).then_some(false)),
            field("restarts", self.restarts),
        ]);
        format!("{}: {body}", self.path)
    }

    fn holds(&self, world: &World) -> bool {
        let Some(thing) = world.thing(self.path) else { return self.absent };
        let Some(text) = thing.text() else { return false };
        !self.absent
            && self.content.is_none_or(|it| !self.replace || it == text)
            && self.owner.is_none_or(|(_, uid)| uid == thing.uid)
            && self.mode.is_none_or(|mode| mode == thing.mode)
    }

    fn keepable(&self, start: &World) -> bool {
        let folder = self.path.rsplit_once('/').unwrap().0;
        let Some(thing) = start.thing(self.path) else {
            return self.absent || (self.content.is_some() && start.thing(folder).is_some());
        };
        let gives_way = self.force && !thing.mounted;
        match (&thing.matter, self.absent, self.content) {
            (Matter::File(_), true, _) => !thing.mounted,
            // It is replaced as a whole, so that a second name keeps what it had.
            (Matter::File(_), false, Some(_))
                if self.replace
                    && (thing.text() != self.content || is_foreign(self.path, thing)) =>
            {
                true
            }
            (Matter::File(_), false, _) => self.holds(start) || !is_foreign(self.path, thing),
            (Matter::Link(_), true, _) => true,
            (Matter::Link(_), false, Some(_)) => self.replace || self.force,
            (_, true, _) | (_, false, Some(_)) => gives_way,
            (_, false, None) => false,
        }
    }

    fn erase(&self, world: &mut World, start: &World) {
        let path = AbsPath::parse(self.path).unwrap();
        let was_file = start.thing(self.path).is_some_and(|it| it.text().is_some());
        if self.absent || !was_file {
            world.take(&path);
        } else if let Some(thing) = world.files.get_mut(&path) {
            // What is not said is left alone.
            (thing.changed, thing.links) = (0, 1);
            if self.content.is_some() && self.replace {
                thing.matter = Matter::File([].into());
            }
            if self.owner.is_some() {
                thing.uid = 0;
            }
            if self.mode.is_some() {
                thing.mode = 0;
            }
        }
    }
}

#[test]
fn files_obey_the_laws() {
    let base = || FakeHost::debian().with_file("/srv/stranger", "x").with_file("/tmp/y", "x");
    let mut hosts = vec![base()];
    for path in ["/srv/f", "/tmp/f"] {
        for content in ["a\n", "other\n"] {
            for uid in [0, 33] {
                for mode in [0o644, 0o4755] {
                    for links in [1, 2] {
                        let thing = Thing { uid, mode, links, ..Thing::file(content) };
                        hosts.push(base().with_thing(path, thing));
                    }
                }
            }
        }
    }
    for content in ["a\n", "other\n"] {
        let thing = Thing { mounted: true, ..Thing::file(content) };
        hosts.push(base().with_thing("/srv/f", thing));
    }
    hosts.extend([
        base().with_link("/srv/f", "/etc/elsewhere"),
        base().with_directory("/srv/f").with_file("/srv/f/x", "text"),
        base().with_thing("/srv/f", Thing::of(Matter::Fifo)),
    ]);
    let starts = starts(hosts);
    let mut wants = vec![];
    for path in ["/srv/f", "/tmp/f", "/srv/missing/f"] {
        for force in [false, true] {
            for content in [None, Some("a\n")] {
                for owner in [None, Some(("www-data", 33))] {
                    for mode in [None, Some(0o640)] {
                        if (content, owner, mode) == (None, None, None) {
                            continue;
                        }
                        let replace = content.is_none() || !force || mode.is_none();
                        let file = File::of(path, "");
                        wants.push(File { force, content, owner, mode, replace, ..file });
                    }
                }
            }
            wants.push(File { absent: true, content: None, force, ..File::of(path, "") });
        }
    }
    assert!(each(&starts, &wants) > 1_000);
}
