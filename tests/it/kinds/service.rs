//! Services, with their unit files and what they owe.

use super::file::File;
use super::{each, field, fields, starts};
use steadfast_engine::{Budget, Outcome};
use steadfast_system::services::Mask;
use steadfast_system::{AbsPath, UnitName};
use steadfast_testkit::host::Started;
use steadfast_testkit::laws::{self, Subject};
use steadfast_testkit::run::{Model, Notebook, converge};
use steadfast_testkit::{FakeHost, World};

const VENDOR: &str = "[Service]\nExecStart=/bin/sleep 1\n[Install]\nWantedBy=multi-user.target\n";
const OWN: &str = "[Service]\nExecStart=/bin/sleep 2\n[Install]\nWantedBy=multi-user.target\n";
const STATIC: &str = "[Service]\nExecStart=/bin/sleep 3\n";
const OWN_PATH: &str = "/etc/systemd/system/app.service";

/// The service `app`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Service {
    pub running: Option<bool>,
    /// `true`, `false` or `masked`.
    pub enabled: Option<&'static str>,
    pub unit: bool,
    pub drop_in: bool,
    /// How it is asked whether it is healthy.
    pub health: Option<&'static str>,
    /// Files whose change needs another process.
    pub inputs: &'static [&'static str],
}

impl Service {
    fn process(world: &World) -> Option<&Started> {
        world.started.get(&UnitName::parse("app").unwrap()).filter(|it| it.active.runs())
    }

    fn text(world: &World) -> Option<&str> {
        world.text(OWN_PATH).or_else(|| world.text("/usr/lib/systemd/system/app.service"))
    }
}

impl Subject for Service {
    fn id(&self) -> String {
        "service:app".to_owned()
    }

    fn section(&self) -> &'static str {
        "services"
    }

    fn yaml(&self) -> String {
        let inputs: Vec<String> = self.inputs.iter().map(|it| format!("\"file:{it}\"")).collect();
        let inputs = (!inputs.is_empty()).then(|| format!("[{}]", inputs.join(", ")));
        let body = fields([
            field("running", self.running),
            field("enabled", self.enabled),
            field("unit", self.unit.then(|| format!("{{ content: {OWN:?} }}"))),
            field(
                "drop_ins",
                self.drop_in.then_some("{ limits: { content: \"[Service]\\nLimitNOFILE=1\\n\" } }"),
            ),
            field("health", self.health),
            field("restart_on", inputs),
        ]);
        format!("app: {body}")
    }

    fn holds(&self, world: &World) -> bool {
        let unit = UnitName::parse("app").unwrap();
        let process = Service::process(world);
        let own_files = (!self.unit || world.text(OWN_PATH) == Some(OWN))
            && (!self.drop_in
                || world.text("/etc/systemd/system/app.service.d/limits.conf")
                    == Some("[Service]\nLimitNOFILE=1\n"));
        // What runs was started with the unit files as they are, if they are ours.
        let current = !(self.unit || self.drop_in)
            || process.is_none_or(|it| it.with == world.unit_text(&unit));
        let paid = process.is_none_or(|it| {
            self.inputs
                .iter()
                .all(|path| world.thing(path).is_none_or(|thing| thing.changed <= it.since))
        });
        let can_be_enabled = Service::text(world).is_some_and(|it| it.contains("[Install]"));
        let enabled = match self.enabled {
            None => true,
            Some("true") => {
                world.mask_of("app") == Mask::Not && (world.is_enabled("app") || !can_be_enabled)
            }
            Some("false") => !world.is_enabled("app"),
            Some(_) => world.mask_of("app") == Mask::Persistent,
        };
        own_files
            && current
            && paid
            && enabled
            && self.running.is_none_or(|it| it == process.is_some())
            && (self.running != Some(true) || Service::text(world).is_some())
            && (self.health.is_none() || !world.sick.contains_key(&unit))
    }

    fn verdict(&self, start: &World) -> Option<Outcome> {
        // systemd may have to read its files again, which nobody promised.
        let unit = UnitName::parse("app").unwrap();
        let stale = start.read.get(&unit).is_some_and(|it| it.text != start.unit_text(&unit));
        if stale || !self.inputs.is_empty() {
            return None;
        }
        Some(if self.holds(start) { Outcome::Kept } else { Outcome::Repaired })
    }

    fn keepable(&self, start: &World) -> bool {
        let exists = self.unit || Service::text(start).is_some();
        let needs = self.running == Some(true) || self.enabled == Some("true");
        let runs = Service::process(start).is_some();
        let masked = start.mask_of("app") != Mask::Not;
        let lifted = self.enabled == Some("true");
        // A mask cannot stand where a unit file lies.
        let place = self.enabled != Some("masked") || start.text(OWN_PATH).is_none();
        let starts = self.running == Some(true) && !runs;
        let restarts = runs && self.running != Some(false) && self.drop_in && !self.holds(start);
        (self.health.is_none() || start.sick.is_empty())
            && (exists || !needs)
            && place
            && (!self.unit || !masked || lifted)
            && (!(starts || restarts) || !masked || lifted)
            && (self.enabled != Some("masked") || !(starts || restarts))
    }

    fn erase(&self, world: &mut World, _start: &World) {
        for path in [
            OWN_PATH,
            "/etc/systemd/system/app.service.d",
            "/etc/systemd/system/multi-user.target.wants/app.service",
        ] {
            world.take(&AbsPath::parse(path).unwrap());
        }
        world.started.remove(&UnitName::parse("app").unwrap());
    }
}

fn base() -> FakeHost {
    FakeHost::debian().with_unit("other", VENDOR).with_enabled("other").with_running("other")
}

fn hosts() -> Vec<FakeHost> {
    let mut hosts = vec![base()];
    for runs in [false, true] {
        for enabled in [false, true] {
            for masked in [false, true] {
                let mut host = base().with_unit("app", VENDOR);
                if runs {
                    host = host.with_running("app");
                }
                if enabled {
                    host = host.with_enabled("app");
                }
                if masked {
                    host = host.with_mask("app");
                }
                hosts.push(host);
            }
        }
    }
    hosts.extend([
        base().with_unit("app", STATIC),
        base().with_unit("app", STATIC).with_running("app"),
        // Another unit file of the administrator's.
        base().with_file(OWN_PATH, STATIC).booted().with_running("app"),
        base().with_file(OWN_PATH, OWN).booted().with_running("app").with_enabled("app"),
        // Read by systemd before it was changed.
        base()
            .with_unit("app", STATIC)
            .with_running("app")
            .with_file("/usr/lib/systemd/system/app.service", VENDOR),
    ]);
    hosts
}

#[test]
fn services_obey_the_laws() {
    let mut wants = vec![];
    for running in [None, Some(false), Some(true)] {
        for enabled in [None, Some("true"), Some("false"), Some("masked")] {
            for (unit, drop_in) in [(false, false), (true, false), (false, true), (true, true)] {
                let masked = enabled == Some("masked");
                if masked && (running == Some(true) || unit) {
                    continue;
                }
                if drop_in && !(enabled.is_none() || enabled == Some("true")) {
                    continue;
                }
                let inputs = &[];
                wants.push(Service { running, enabled, unit, drop_in, health: None, inputs });
            }
        }
    }
    assert!(each(&starts(hosts()), &wants) > 500);
}

#[test]
fn health_obeys_the_laws() {
    let sick = |host: FakeHost| {
        host.with(|world| {
            world.sick.insert(UnitName::parse("app").unwrap(), "no".to_owned());
        })
    };
    let hosts = vec![
        base().with_unit("app", VENDOR),
        base().with_unit("app", VENDOR).with_running("app"),
        sick(base().with_unit("app", VENDOR)),
        sick(base().with_unit("app", VENDOR).with_running("app")),
        base(),
    ];
    let wants = ["\"http://127.0.0.1/\"", "[app-ok]"].map(|health| {
        [false, true].map(|unit| Service {
            running: Some(true),
            unit,
            health: Some(health),
            ..Service::default()
        })
    });
    assert!(each(&starts(hosts), wants.as_flattened()) > 50);
}

#[test]
fn a_service_runs_with_its_inputs_whatever_fails_and_whoever_dies() {
    let mut tried = 0;
    for content in ["old\n", "new\n"] {
        let inputs: &[&str] = &["/etc/app.conf", "/etc/app.d"];
        let service = Service { running: Some(true), inputs, ..Service::default() };
        let implied = Service { inputs, ..Service::default() };
        for host in [
            base().with_unit("app", VENDOR),
            base().with_file("/etc/app.conf", content).with_unit("app", VENDOR).with_running("app"),
            base().with_unit("app", VENDOR).with_running("app"),
        ] {
            let start = host.world();
            let one = File { mode: Some(0o600), ..File::of("/etc/app.conf", "new\n") };
            let two = File::of("/etc/app.d", "new\n");
            tried += laws::check(&start, &[&one, &two, &service], &[]);
            tried += laws::check(&start, &[&one, &two, &implied], &[]);
        }
    }
    assert!(tried > 50);
}

/// What is started after something that settles at once does not wait for what settles for long.
#[test]
fn what_settles_holds_only_what_comes_after_it() {
    let host = FakeHost::debian()
        .with_unit("slow", VENDOR)
        .with_unit("quick", VENDOR)
        .with_unit("after-quick", VENDOR)
        .with_unit("after-slow", VENDOR);
    let model = Model::of(
        "services:
  slow: { running: true, settle: 5m }
  quick: { running: true }
  after-quick: { running: true, after: [service:quick] }
  after-slow: { running: true, after: [service:slow] }
files:
  /srv/after-quick: { content: x, after: [service:after-quick] }
",
        &[],
    )
    .unwrap();
    let run = converge(&host, &model.promises, &mut Notebook::default(), Budget::default());
    assert_eq!(run.summary.repaired, 5, "{:?}", run.verdicts);
    let world = host.world();
    let unit = |name: &str| UnitName::parse(name).unwrap();
    let began = |name: &str| world.started[&unit(name)].since;
    let slow = world.waited[&unit("slow")].settled.unwrap();
    assert!(began("after-quick") <= slow && slow < began("after-slow"));
    assert!(world.files[&AbsPath::parse("/srv/after-quick").unwrap()].changed <= slow);
}
