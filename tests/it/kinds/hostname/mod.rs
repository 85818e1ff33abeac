//! The name of the machine: the file, and what the kernel has.

mod contract;
mod real;

use super::{each, starts};
use steadfast_engine::Extent;
use steadfast_system::AbsPath;
use steadfast_testkit::host::{Matter, Thing};
use steadfast_testkit::laws::Subject;
use steadfast_testkit::run::{Model, Notebook, converge, go_back, release};
use steadfast_testkit::{FakeHost, World};

#[derive(Clone, Debug)]
struct Hostname {
    name: &'static str,
    running: bool,
}

const FILE: &str = "/etc/hostname";
const BOOTED: &str = "/run/systemd/system";

impl Hostname {
    /// Whether the kernel's name is promised on this machine.
    fn says_running(&self, world: &World) -> bool {
        self.running && world.thing(BOOTED).is_some()
    }
}

impl Subject for Hostname {
    fn id(&self) -> String {
        format!("hostname:{}", self.name)
    }

    fn section(&self) -> &'static str {
        "hostname"
    }

    fn yaml(&self) -> String {
        let fields = if self.running { "{}" } else { "{ running: false }" };
        format!("{}: {fields}", self.name)
    }

    fn holds(&self, world: &World) -> bool {
        let Some(thing) = world.thing(FILE) else { return false };
        // As hostname(5) says that it is read.
        let mut lines = thing.text().unwrap_or_default().lines().map(str::trim);
        let first = lines.find(|it| !it.is_empty() && !it.starts_with('#'));
        let is_file = first == Some(self.name)
            && matches!(thing.matter, Matter::File(_))
            && (thing.uid, thing.gid, thing.mode) == (0, 0, 0o644);
        is_file && (!self.says_running(world) || &*world.hostname == self.name)
    }

    fn keepable(&self, start: &World) -> bool {
        start.thing(FILE).is_none_or(|it| !matches!(it.matter, Matter::Directory))
    }

    fn erase(&self, world: &mut World, start: &World) {
        // What is not said is left alone.
        if !self.says_running(world) {
            assert_eq!(world.hostname, start.hostname, "{self:?}");
        }
        world.take(&AbsPath::parse(FILE).unwrap());
        world.hostname = "".into();
    }
}

#[test]
fn hostnames_obey_the_laws() {
    let right = || Thing::file("web-1\n");
    let things = [
        None,
        Some(right()),
        Some(Thing::file("debian\n")),
        Some(Thing::file("# the name\n\n  web-1\t\n# and no more\nother\n")),
        Some(Thing::file("# web-1\n")),
        Some(Thing { mode: 0o600, ..right() }),
        Some(Thing { uid: 33, gid: 4, mode: 0o666, ..right() }),
        Some(Thing { uid: 33, mode: 0o600, ..Thing::file("") }),
        Some(Thing { mode: 0o777, ..Thing::of(Matter::Link("/etc/name".into())) }),
        Some(Thing { mode: 0o755, ..Thing::of(Matter::Directory) }),
    ];
    let mut hosts = vec![];
    for thing in &things {
        for name in ["debian", "web-1"] {
            let base = FakeHost::debian().with_hostname(name).with_file("/etc/name", "web-1\n");
            let host = match thing {
                Some(thing) => base.with_thing(FILE, thing.clone()),
                None => base,
            };
            hosts.push(host);
        }
    }
    // A chroot, or a container without an init.
    hosts.push(FakeHost::debian().with(|world| world.take(&AbsPath::parse(BOOTED).unwrap())));
    let wants = [true, false].map(|running| Hostname { name: "web-1", running });
    assert!(each(&starts(hosts), &wants) > 100);
}

fn before() -> FakeHost {
    FakeHost::debian().with_hostname("old").with_file(FILE, "# from the installer\nold\n")
}

fn names(host: &FakeHost) -> (String, String) {
    let world = host.world();
    let file = world.thing(FILE).and_then(|it| it.text().map(str::to_owned));
    (file.unwrap_or_default(), world.hostname.to_string())
}

const MODEL: &str = "hostname: web-1\n";
const WITHOUT: &str = "files: { /etc/motd: { content: \"x\\n\" } }\n";

fn promises(text: &str) -> Model {
    Model::of(text, &[]).unwrap()
}

/// A machine that has the promised name, and what is known of the former one.
fn named() -> (FakeHost, Notebook) {
    let (host, mut ledger) = (before(), Notebook::default());
    let run = converge(&host, &promises(MODEL).promises, &mut ledger, Default::default());
    assert_eq!(run.summary.repaired, 1, "{run:#?}");
    assert_eq!(names(&host), ("web-1\n".to_owned(), "web-1".to_owned()));
    (host, ledger)
}

#[test]
fn a_name_that_leaves_the_model_is_restored_where_the_policy_says_so() {
    let old = names(&before());
    let (host, mut ledger) = named();
    let run = release(&host, &promises(WITHOUT).promises, &mut ledger, Extent::Everything);
    let lines: Vec<&str> = run.undone.iter().flat_map(|it| &it.changes).map(|it| &**it).collect();
    assert_eq!(
        lines,
        ["/etc/hostname: write 25 bytes (was 6)", "set running hostname web-1 -> old"]
    );
    assert_eq!(names(&host), old);
    // It was not made, but replaced.
    let (host, mut ledger) = named();
    let run = release(&host, &promises(WITHOUT).promises, &mut ledger, Extent::Made);
    assert_eq!(run.undone.iter().map(|it| it.left.len()).sum::<usize>(), 2, "{run:#?}");
    assert!(run.undone[0].left.concat().contains("the running hostname replaced something else"));
    assert_eq!(names(&host), ("web-1\n".to_owned(), "web-1".to_owned()));
}

#[test]
fn going_back_to_another_name_is_keeping_that_one_and_to_none_the_former_comes_back() {
    let (host, mut ledger) = named();
    let run = go_back(&host, &promises("hostname: web-2\n").promises, &mut ledger);
    assert_eq!((run.undone.len(), run.summary.repaired), (0, 1), "{run:#?}");
    assert_eq!(names(&host), ("web-2\n".to_owned(), "web-2".to_owned()));
    go_back(&host, &promises(WITHOUT).promises, &mut ledger);
    assert_eq!(names(&host), names(&before()));
}

#[test]
fn a_name_that_somebody_gave_since_is_not_taken_away() {
    let (host, mut ledger) = named();
    host.drift(|world| world.hostname = "theirs".into());
    let run = go_back(&host, &promises(WITHOUT).promises, &mut ledger);
    let left = run.undone.iter().flat_map(|it| it.left.clone()).collect::<String>();
    assert!(left.contains("the running hostname has been changed since"), "{run:#?}");
    assert_eq!(names(&host).1, "theirs");
}

#[test]
fn a_node_has_one_name() {
    let told = Model::of("hostname: { a: {}, b: {} }\n", &[]).unwrap_err();
    assert_eq!(told.matches("two-promises-one-thing").count(), 1, "{told}");
    let told = Model::of("hostname: a\nfiles: { /etc/hostname: { content: x } }\n", &[]);
    assert!(told.unwrap_err().contains("two-promises-one-thing"));
    for bad in ["Web", "a_b", "10.0.0.1", "localhost", "[a]", "{ a: { runing: true } }", "12"] {
        assert!(Model::of(&format!("hostname: {bad}\n"), &[]).is_err(), "{bad}");
    }
    let model = promises("hostname: \"{{ node.name }}\"\n");
    assert_eq!(model.promises.all[0].id.to_string(), "hostname:node");
}
