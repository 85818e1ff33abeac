//! Packages.

use super::{each, field, fields, starts};
use steadfast_system::PackageName;
use steadfast_system::packages::Health;
use steadfast_testkit::host::Brought;
use steadfast_testkit::laws::Subject;
use steadfast_testkit::{FakeHost, World};

/// The package `app`, of which 1.0 and 2.0 can be had.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    pub state: &'static str,
    pub range: Option<&'static str>,
    pub hold: Option<bool>,
    pub allow_downgrade: bool,
}

impl Package {
    fn gone(&self) -> bool {
        ["absent", "purged"].contains(&self.state)
    }

    fn fits(&self, version: &str) -> bool {
        let number: f64 = version.parse().unwrap();
        match self.range {
            None => true,
            Some("< 2") => number < 2.0,
            Some(">= 2") => number >= 2.0,
            Some(other) => panic!("{other}"),
        }
    }

    /// The newest that can be had.
    fn best(&self) -> &'static str {
        if self.range == Some("< 2") { "1.0" } else { "2.0" }
    }

    fn version(world: &World) -> Option<&str> {
        let record = world.package("app")?;
        if record.health == Health::ConfigFiles {
            return None;
        }
        record.version.as_ref().map(|it| it.as_str())
    }
}

impl Subject for Package {
    fn id(&self) -> String {
        "package:app".to_owned()
    }

    fn section(&self) -> &'static str {
        "packages"
    }

    fn yaml(&self) -> String {
        let body = fields([
            field("state", Some(self.state)),
            field("version", self.range.map(|it| format!("{it:?}"))),
            field("hold", self.hold),
            field("allow_downgrade", self.allow_downgrade.then_some(true)),
        ]);
        format!("app: {body}")
    }

    fn holds(&self, world: &World) -> bool {
        let record = world.package("app");
        match self.state {
            "absent" => record.is_none_or(|it| it.health == Health::ConfigFiles),
            "purged" => record.is_none(),
            state => {
                let (Some(record), Some(version)) = (record, Package::version(world)) else {
                    return false;
                };
                let newest: f64 = self.best().parse().unwrap();
                record.health == Health::Installed
                    && self.fits(version)
                    && self.hold.is_none_or(|it| it == record.hold)
                    && (state != "latest" || version.parse::<f64>().unwrap() >= newest)
            }
        }
    }

    fn keepable(&self, start: &World) -> bool {
        let version = Package::version(start);
        let held = start.package("app").is_some_and(|it| it.hold) && self.hold.is_none();
        if self.gone() {
            return version.is_none() || !held;
        }
        let Some(version) = version else { return !held };
        let now: f64 = version.parse().unwrap();
        let best: f64 = self.best().parse().unwrap();
        let down = !self.fits(version) && now > best;
        let changes = !self.fits(version) || (self.state == "latest" && now < best);
        (!down || self.allow_downgrade) && !(changes && held)
    }

    fn erase(&self, world: &mut World, _start: &World) {
        world.packages.remove(&PackageName::parse("app").unwrap());
        world.take(&steadfast_system::AbsPath::parse("/etc/app.conf").unwrap());
        world.take(&steadfast_system::AbsPath::parse("/usr/bin/app").unwrap());
    }
}

#[test]
fn packages_obey_the_laws() {
    let path = |it: &str| steadfast_system::AbsPath::parse(it).unwrap();
    let brings = || {
        vec![
            Brought::Conffile(path("/etc/app.conf"), "default\n".into()),
            Brought::File(path("/usr/bin/app"), "#!\n".into()),
        ]
    };
    let base = || {
        FakeHost::debian()
            .with_stock("app", "1.0", brings())
            .with_stock("app", "2.0", brings())
            .with_package("other", "7")
    };
    let with = |change: &dyn Fn(&mut steadfast_system::packages::Installed, &mut bool)| {
        base().with_package("app", "1.0").with(|world| {
            let (record, automatic) =
                world.packages.get_mut(&PackageName::parse("app").unwrap()).unwrap();
            change(record, automatic);
        })
    };
    let hosts = [
        base(),
        base().with_package("app", "1.0"),
        base().with_package("app", "2.0"),
        base().with_package("app", "3.0"),
        with(&|record, _| record.hold = true),
        with(&|record, _| record.health = Health::HalfConfigured),
        with(&|record, _| record.health = Health::ConfigFiles),
        with(&|_, automatic| *automatic = false),
    ];
    let mut wants = vec![];
    for hold in [None, Some(false), Some(true)] {
        for range in [None, Some("< 2"), Some(">= 2")] {
            for allow_downgrade in [false, true] {
                for state in ["present", "latest"] {
                    wants.push(Package { state, range, hold, allow_downgrade });
                }
            }
        }
    }
    for state in ["absent", "purged"] {
        wants.push(Package { state, range: None, hold: None, allow_downgrade: false });
    }
    assert!(each(&starts(hosts), &wants) > 200);
}
