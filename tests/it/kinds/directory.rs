//! Directories, with what lies below them.

use super::{each, field, fields, starts};
use steadfast_system::AbsPath;
use steadfast_testkit::host::{Matter, Thing};
use steadfast_testkit::laws::Subject;
use steadfast_testkit::{FakeHost, World};

#[derive(Clone, Debug, Default)]
pub(crate) struct Directory {
    pub path: &'static str,
    pub absent: bool,
    pub owner: Option<(&'static str, u32)>,
    /// Of directories, and of what is none.
    pub modes: Option<(u16, u16)>,
    pub recurse: bool,
    pub purge: bool,
    pub purge_max: Option<u64>,
    pub force: bool,
    /// What other promises of the test name below it.
    pub promised: &'static [&'static str],
}

impl Directory {
    fn path(&self) -> AbsPath {
        AbsPath::parse(self.path).unwrap()
    }

    fn below<'w>(&self, world: &'w World) -> impl Iterator<Item = (&'w AbsPath, &'w Thing)> {
        let root = self.path();
        world.files.iter().filter(move |(path, _)| **path != root && path.is_within(&root))
    }

    /// What purge has to take: everything, but not what is promised, nor what leads there; directories and
    /// what is in them only with force.
    fn to_purge<'w>(&self, world: &'w World) -> impl Iterator<Item = &'w AbsPath> {
        let root = self.path();
        let spared = |path: &AbsPath| {
            self.promised
                .iter()
                .any(|it| AbsPath::parse(it).is_ok_and(|promised| promised.is_within(path)))
        };
        self.below(world)
            .filter(move |(path, thing)| {
                let direct = path.parent().as_ref() == Some(&root);
                let goes = self.force || (direct && thing.matter != Matter::Directory);
                goes && !spared(path)
            })
            .map(|(path, _)| path)
    }
}

impl Subject for Directory {
    fn id(&self) -> String {
        format!("directory:{}", self.path)
    }

    fn section(&self) -> &'static str {
        "directories"
    }

    fn yaml(&self) -> String {
        let (folders, others) = self.modes.unzip();
        let others = others.filter(|_| self.recurse);
        let body = fields([
            field("state", self.absent.then_some("absent")),
            field("owner", self.owner.map(|it| it.0)),
            field("mode", folders.map(|it| format!("\"{it:04o}\""))),
            field("file_mode", others.map(|it| format!("\"{it:04o}\""))),
            field("recurse", self.recurse.then_some(true)),
            field("purge", self.purge.then_some(true)),
            field("purge_max", self.purge_max),
            field("force", self.force.then_some(true)),
        ]);
        format!("{}: {body}", self.path)
    }

    fn holds(&self, world: &World) -> bool {
        let Some(thing) = world.thing(self.path) else { return self.absent };
        let right = |thing: &Thing, mode: u16| {
            self.owner.is_none_or(|(_, uid)| uid == thing.uid)
                && self.modes.is_none_or(|_| thing.mode == mode)
        };
        let (folders, others) = self.modes.unwrap_or_default();
        let recursive = !self.recurse
            || self.below(world).all(|(path, thing)| match thing.matter {
                _ if self.promised.contains(&path.as_str()) => true,
                Matter::Directory => right(thing, folders),
                Matter::Link(_) => true,
                Matter::File(_) | Matter::Socket | Matter::Fifo | Matter::Device => {
                    thing.links > 1 || right(thing, others)
                }
            });
        !self.absent
            && thing.matter == Matter::Directory
            && right(thing, folders)
            && recursive
            && (!self.purge || self.to_purge(world).next().is_none())
    }

    fn keepable(&self, start: &World) -> bool {
        let folder = self.path.rsplit_once('/').unwrap().0;
        let Some(thing) = start.thing(self.path) else {
            return self.absent || start.thing(folder).is_some();
        };
        if thing.matter != Matter::Directory {
            return self.force && !thing.mounted;
        }
        if self.absent {
            return self.force || self.below(start).next().is_none();
        }
        let most = self.purge_max.unwrap_or(100);
        !self.purge || self.to_purge(start).count() as u64 <= most
    }

    fn erase(&self, world: &mut World, start: &World) {
        let root = self.path();
        let (recurse, purge) = (self.recurse, self.purge);
        let gone: Vec<AbsPath> =
            if purge { self.to_purge(world).cloned().collect() } else { vec![] };
        if self.absent || world.thing(self.path).is_some_and(|it| it.matter != Matter::Directory) {
            world.take(&root);
        }
        for path in gone {
            world.files.remove(&path);
        }
        if recurse {
            for (_, thing) in world.files.iter_mut().filter(|(path, _)| path.is_within(&root)) {
                let special = matches!(thing.matter, Matter::Link(_)) || thing.links > 1;
                if !special {
                    thing.changed = 0;
                    if self.owner.is_some() {
                        thing.uid = 0;
                    }
                    if self.modes.is_some() {
                        thing.mode = 0;
                    }
                }
            }
        }
        let was_folder = start.thing(self.path).is_some_and(|it| it.matter == Matter::Directory);
        if self.absent || !was_folder {
            world.files.remove(&root);
        } else if let Some(thing) = world.files.get_mut(&root) {
            // What is not said is left alone.
            thing.changed = 0;
            if self.owner.is_some() {
                thing.uid = 0;
            }
            if self.modes.is_some() {
                thing.mode = 0;
            }
        }
    }
}

#[test]
fn directories_obey_the_laws() {
    let base = || FakeHost::debian().with_file("/srv/stranger", "x");
    let full = |uid| {
        base()
            .with_thing("/srv/d", Thing { mode: 0o755, uid, ..Thing::of(Matter::Directory) })
            .with_thing("/srv/d/x", Thing { uid: 33, mode: 0o640, ..Thing::file("x") })
            .with_thing("/srv/d/y", Thing { mode: 0o4755, ..Thing::file("y") })
            .with_link("/srv/d/link", "/etc/passwd")
            .with_directory("/srv/d/sub")
            .with_file("/srv/d/sub/z", "z")
            .with_thing("/srv/d/sub/hard", Thing { links: 2, ..Thing::file("z") })
    };
    let hosts = [
        base(),
        base().with_directory("/srv/d"),
        full(0),
        full(33),
        base().with_file("/srv/d", "text"),
        base().with_link("/srv/d", "/srv"),
        base().with_thing("/srv/d", Thing { mounted: true, ..Thing::of(Matter::Socket) }),
    ];
    let mut wants = vec![];
    for path in ["/srv/d", "/srv/missing/d"] {
        for force in [false, true] {
            for owner in [None, Some(("www-data", 33))] {
                for modes in [None, Some((0o750, 0o640))] {
                    for recurse in [false, true] {
                        for (purge, purge_max) in [(false, None), (true, None), (true, Some(2))] {
                            if recurse && (owner, modes) == (None, None) {
                                continue;
                            }
                            wants.push(Directory {
                                path,
                                force,
                                owner,
                                modes,
                                recurse,
                                purge,
                                purge_max,
                                ..Directory::default()
                            });
                        }
                    }
                }
            }
            wants.push(Directory { path, absent: true, force, ..Directory::default() });
        }
    }
    assert!(each(&starts(hosts), &wants) > 500);
}
