//! Packages, in a machine of their own with a repository of their own.

use super::{Transcript, inside, path, real_host, tell};
use crate::real::lab::apt::AptRepository;
use crate::real::lab::machine::Machine;
use expect_test::expect_file;
use steadfast_system::files::Wanted;
use steadfast_system::packages::version::{Range, Version};
use steadfast_system::packages::{
    Conffiles, Goal, Item, Mark, Options, Removals, Transaction, Verdict,
};
use steadfast_system::{Actuate, PackageName};
use steadfast_testkit::FakeHost;
use steadfast_testkit::host::Brought;

struct Suite<'a> {
    sys: &'a dyn Actuate,
    said: Transcript,
}

fn name(text: &str) -> PackageName {
    PackageName::parse(text).unwrap()
}

fn install(package: &str, version: Option<&str>) -> Item {
    item(
        package,
        Goal::Install {
            range: None,
            version: version.map(|it| Version::parse(it).unwrap()),
            latest: false,
        },
    )
}

fn item(package: &str, goal: Goal) -> Item {
    Item {
        package: name(package),
        goal,
        allow_downgrade: false,
        removals: Removals::None,
        going: std::sync::Arc::from([]),
        stays: std::sync::Arc::from([]),
        debconf: vec![],
        held: false,
    }
}

impl Suite<'_> {
    fn show(&mut self, package: &str) {
        let look = self.sys.package_looks(&[&name(package)]).unwrap().remove(0);
        let record = look.installed.map(|it| {
            let version = it.version.map(|it| it.to_string());
            format!("{version:?} {:?} hold={}", it.health, it.hold)
        });
        let record = record.unwrap_or_else(|| "none".to_owned());
        self.said.say(format_args!("  {package}: {record} automatic={}", look.automatic));
        let offers = self.sys.offers(&[&name(package)], false).unwrap().remove(0);
        let offers = offers.map(|it| {
            let mut versions: Vec<String> =
                it.versions.iter().map(|it| it.version.to_string()).collect();
            versions.sort();
            (it.candidate.map(|it| it.to_string()), versions)
        });
        self.said.say(format_args!("  offered: {offers:?}"));
    }

    fn files(&mut self) {
        for at in ["/etc/app.conf", "/usr/share/app.txt"] {
            let look = self.sys.look(&[(&path(at), Wanted::Nothing)]).remove(0).unwrap();
            self.said.say(format_args!("  {at}: {}", look.entry.is_some()));
        }
    }

    fn transact(&mut self, what: &str, items: Vec<Item>) {
        let packages: Vec<String> = items.iter().map(|it| it.package.to_string()).collect();
        let transaction = Transaction { options: Options::default(), items };
        for (package, result) in packages.iter().zip(self.sys.transact(&transaction)) {
            self.said.done(&format!("{what}: {package}"), result);
            self.show(package);
        }
    }

    fn foresee(&mut self, what: &str, items: Vec<Item>) {
        let transaction = Transaction { options: Options::default(), items };
        let foreseen = self.sys.foresee(&transaction);
        for (item, foreseen) in transaction.items.iter().zip(foreseen) {
            // apt's words are its own.
            let verdict = match foreseen.verdict {
                Verdict::Goes => "goes",
                Verdict::Refused(_) => "refused",
                Verdict::Unknown(_) => "unknown",
            };
            let along = foreseen.along;
            self.said.say(format_args!("{what}: {}: {verdict} {along:?}", item.package));
        }
    }

    fn mark(&mut self, package: &str, mark: Mark) {
        let result = self.sys.mark_packages(&[(&name(package), mark)]).remove(0);
        self.said.done(&format!("{mark:?} {package}"), result);
        self.show(package);
    }
}

fn suite(sys: &dyn Actuate) -> Transcript {
    let mut it = Suite { sys, said: Transcript::default() };
    it.show("app");
    it.show("nowhere");
    it.transact("install in no version that was planned", vec![install("app", None)]);
    it.transact("install in a version that is nowhere", vec![install("app", Some("3.0"))]);
    it.transact("install", vec![install("app", Some("1.0"))]);
    it.files();
    it.transact("install again", vec![install("app", Some("1.0"))]);
    it.transact("install one that is nowhere", vec![install("nowhere", None)]);
    it.transact("upgrade", vec![install("app", Some("2.0"))]);
    it.transact("go down unasked", vec![install("app", Some("1.0"))]);
    let down = Item { allow_downgrade: true, ..install("app", Some("1.0")) };
    it.transact("go down", vec![down]);
    let latest =
        Goal::Install { range: Some(Range::parse("< 2").unwrap()), version: None, latest: true };
    it.transact("latest within a range", vec![item("app", latest)]);
    it.mark("app", Mark::Hold);
    it.transact("upgrade what is held", vec![install("app", Some("2.0"))]);
    it.transact("upgrade and hold", vec![Item { held: true, ..install("app", Some("2.0")) }]);
    it.mark("app", Mark::Unhold);
    it.mark("nowhere", Mark::Hold);
    it.transact(
        "two at once, one in the way of another",
        vec![install("old", Some("1.0")), install("small", Some("1.0"))],
    );
    let rival = || install("rival", Some("1.0"));
    it.transact("a rival, unasked", vec![rival(), install("small", Some("1.0"))]);
    it.show("old");
    let removals = Removals::Named(vec![name("old")]);
    it.transact("a rival", vec![Item { removals, ..rival() }]);
    it.show("old");
    it.transact("remove", vec![item("app", Goal::Remove)]);
    it.files();
    it.transact("remove again", vec![item("app", Goal::Remove)]);
    it.transact("purge", vec![item("app", Goal::Purge)]);
    it.files();
    it.transact("purge again", vec![item("app", Goal::Purge)]);
    let old = || item("old", Goal::Remove);
    it.transact(
        "a rival makes room",
        vec![item("rival", Goal::Remove), install("old", Some("1.0"))],
    );
    it.foresee("a rival", vec![rival(), install("small", Some("1.0"))]);
    let stays = std::sync::Arc::from([(name("small"), None), (name("old"), None)]);
    let removals = Removals::Named(vec![name("old")]);
    let against = Item { stays, removals, ..rival() };
    it.foresee("a rival of what is promised present", vec![against.clone()]);
    it.transact("a rival of what is promised present", vec![against]);
    it.show("old");
    it.foresee("a rival in place of another", vec![old(), rival()]);
    it.foresee("what needs another", vec![install("needs", Some("1.0"))]);
    let broken = || install("broken", Some("1.0"));
    it.foresee("what cannot be resolved", vec![install("app", Some("1.0")), broken()]);
    it.transact("what cannot be resolved", vec![install("app", Some("1.0")), broken()]);
    it.transact("a rival in place of another", vec![old(), rival()]);
    it.show("old");
    it.transact("the other way", vec![install("old", Some("1.0")), item("rival", Goal::Purge)]);
    let going = std::sync::Arc::from([name("old")]);
    let rival = Item { going, ..rival() };
    it.foresee("a rival of what is promised gone", vec![rival.clone()]);
    it.transact("a rival of what is promised gone", vec![rival]);
    it.show("old");
    let going = std::sync::Arc::from([name("data")]);
    let needs = Item { going, ..install("needs", Some("1.0")) };
    it.foresee("what needs something that is promised gone", vec![needs.clone()]);
    it.transact("what needs something that is promised gone", vec![needs]);
    it.show("data");
    it.transact("what needs another", vec![install("needs", Some("1.0"))]);
    it.show("data");
    let completed = it.sys.complete_packages();
    it.said.done("complete", completed);
    assert_eq!(Options::default().conffiles, Conffiles::Keep);
    it.said
}

#[test]
fn both_machines_have_the_same_packages() {
    let golden = expect_file!["../../contract/packages.out"];
    let brings = || {
        vec![
            Brought::Conffile(path("/etc/app.conf"), "default\n".into()),
            Brought::File(path("/usr/share/app.txt"), "text\n".into()),
        ]
    };
    let fake = FakeHost::debian()
        .with_directory("/usr/share")
        .with_stock("app", "1.0", brings())
        .with_stock("app", "2.0", brings())
        .with_stock("small", "1.0", vec![])
        .with_stock("old", "1.0", vec![])
        .with_stock("rival", "1.0", vec![])
        .with_stock("needs", "1.0", vec![])
        .with_stock("data", "1.0", vec![])
        .with_stock("broken", "1.0", vec![])
        .with(|world| {
            world.shelves.get_mut(&name("rival")).unwrap()[0].conflicts = vec![name("old")];
            for (needs, what) in [("needs", "data"), ("broken", "nowhere")] {
                world.shelves.get_mut(&name(needs)).unwrap()[0].depends = vec![name(what)];
            }
        });
    golden.assert_eq(&suite(&fake).0);
    let Some(machine) = Machine::boot() else { return };
    let app = |p: crate::real::lab::apt::Package| {
        p.conffile("/etc/app.conf", "default\n").file("/usr/share/app.txt", "text\n")
    };
    AptRepository::new()
        .package("app", "1.0", app)
        .package("app", "2.0", app)
        .package("small", "1.0", |p| p)
        .package("old", "1.0", |p| p)
        .package("rival", "1.0", |p| p.field("Conflicts", "old"))
        .package("needs", "1.0", |p| p.depends("data"))
        .package("data", "1.0", |p| p)
        .package("broken", "1.0", |p| p.depends("nowhere"))
        .install(&machine);
    golden.assert_eq(&inside(&machine, "contract::packages::suite_inside_a_machine"));
}

#[test]
#[ignore = "changes the packages of the machine that it runs on: the test above starts it in its own"]
fn suite_inside_a_machine() {
    tell(&suite(&real_host(std::path::Path::new("/root/steadfast"))));
}
