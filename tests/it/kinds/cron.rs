//! Cron jobs.

use super::{each, starts};
use steadfast_system::AbsPath;
use steadfast_testkit::host::{Matter, Thing};
use steadfast_testkit::laws::Subject;
use steadfast_testkit::{FakeHost, World};

#[derive(Clone, Debug)]
pub(crate) struct Cron {
    pub name: &'static str,
    /// The user; none where there is to be no job.
    pub user: Option<&'static str>,
}

impl Cron {
    fn path(&self) -> String {
        format!("/etc/cron.d/{}", self.name)
    }

    fn line(user: &str) -> String {
        format!("5 4 * * * {user} date +\\%s")
    }
}

impl Subject for Cron {
    fn id(&self) -> String {
        format!("cron:{}", self.name)
    }

    fn section(&self) -> &'static str {
        "cron"
    }

    fn yaml(&self) -> String {
        match self.user {
            None => format!("{}: absent", self.name),
            Some(user) => format!(
                "{}: {{ schedule: \"5 4 * * *\", user: {user}, command: date +%s }}",
                self.name
            ),
        }
    }

    fn holds(&self, world: &World) -> bool {
        match (world.thing(&self.path()), self.user) {
            (None, None) => true,
            (Some(thing), Some(user)) => {
                // Cron itself ignores files that are not root's, that others can write, or that have
                // several names.
                let lines = thing.text().unwrap_or_default().lines();
                let jobs: Vec<&str> = lines.filter(|it| !it.starts_with('#')).collect();
                jobs == [Cron::line(user)]
                    && (thing.uid, thing.gid, thing.mode, thing.links) == (0, 0, 0o644, 1)
            }
            (_, _) => false,
        }
    }

    fn keepable(&self, start: &World) -> bool {
        let user = self.user.is_none_or(|it| start.user(it).is_some());
        match start.thing(&self.path()) {
            None => self.user.is_none() || (user && start.thing("/etc/cron.d").is_some()),
            Some(thing) => user && matches!(thing.matter, Matter::File(_) | Matter::Link(_)),
        }
    }

    fn erase(&self, world: &mut World, _start: &World) {
        world.take(&AbsPath::parse(&self.path()).unwrap());
    }
}

#[test]
fn cron_jobs_obey_the_laws() {
    let base = || FakeHost::debian().with_file("/etc/cron.d/other", "x");
    let right = format!(
        "# Kept by steadfast as cron:job; what is changed here by hand does not last.\n{}\n",
        Cron::line("www-data")
    );
    let at = |thing: Thing| base().with_thing("/etc/cron.d/job", thing);
    let hosts = [
        base(),
        base().with(|world| world.take(&AbsPath::parse("/etc/cron.d").unwrap())),
        at(Thing::file(&right)),
        at(Thing { mode: 0o664, ..Thing::file(&right) }),
        at(Thing { uid: 33, gid: 4, ..Thing::file(&right) }),
        at(Thing { uid: 33, mode: 0o600, ..Thing::file(&right) }),
        at(Thing { links: 2, ..Thing::file(&right) }),
        at(Thing::file("5 4 * * * root other\n")),
        at(Thing { mode: 0o600, uid: 33, ..Thing::file("") }),
        base().with_link("/etc/cron.d/job", "/srv/job"),
        base().with_directory("/etc/cron.d/job"),
    ];
    let wants = [None, Some("www-data"), Some("ghost")].map(|user| Cron { name: "job", user });
    assert!(each(&starts(hosts), &wants) > 30);
}
