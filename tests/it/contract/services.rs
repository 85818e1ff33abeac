//! Services, in a machine of their own.

use super::{Transcript, inside, path, real_host, tell};
use crate::real::lab::machine::Machine;
use expect_test::expect_file;
use std::time::Duration;
use steadfast_system::files::{Expected, Mode, NewFile};
use steadfast_system::services::{Question, Settling};
use steadfast_system::{Actuate, SystemError, UnitName};
use steadfast_testkit::FakeHost;

struct Suite<'a> {
    sys: &'a dyn Actuate,
    said: Transcript,
    /// InvocationIDs in the order in which they were met.
    met: Vec<String>,
}

fn unit(name: &str) -> UnitName {
    UnitName::parse(name).unwrap()
}

const LIMIT: Duration = Duration::from_secs(20);

/// Waits until it has settled.
fn settled(sys: &dyn Actuate, unit: &UnitName) -> Result<(), SystemError> {
    let mut waits = [Settling::new(unit.clone(), Duration::ZERO, LIMIT)];
    sys.settled(&mut waits, LIMIT).pop().flatten().unwrap()
}

impl Suite<'_> {
    fn show(&mut self, name: &str) {
        let it = self.sys.units(&[&unit(name)]).remove(0).unwrap();
        let process = it.invocation.as_ref().filter(|_| it.active.runs()).map(|id| {
            let id = id.to_string();
            let at = self.met.iter().position(|it| *it == id).unwrap_or_else(|| {
                self.met.push(id);
                self.met.len() - 1
            });
            format!("process {at}")
        });
        self.said.say(format_args!(
            "  {name}: {:?} {} {:?} {:?} at {} needs_reload={} can_reload={} {:?} {}",
            it.load,
            it.active,
            it.enablement,
            it.mask,
            it.fragment.map_or("nowhere".to_owned(), |it| it.to_string()),
            it.needs_reload,
            it.can_reload,
            it.oneshot,
            process.unwrap_or_else(|| "no process".to_owned()),
        ));
    }

    fn act(
        &mut self,
        what: &str,
        name: &str,
        deed: impl Fn(&dyn Actuate, &UnitName) -> Result<(), SystemError>,
    ) {
        let result = deed(self.sys, &unit(name));
        self.said.done(&format!("{what} {name}"), result);
        self.show(name);
    }

    fn file(&mut self, name: &str, text: &str, replaces: Expected) {
        let file = NewFile {
            path: path(&format!("/etc/systemd/system/{name}")),
            content: text.as_bytes().into(),
            uid: 0,
            gid: 0,
            mode: Mode(0o644),
            replaces,
            validate: None,
            keep: false,
            in_place: false,
        };
        let result = self.sys.write_files(&[file]).remove(0);
        self.said.done(&format!("write {name}"), result);
    }
}

fn suite(sys: &dyn Actuate) -> Transcript {
    let mut it = Suite { sys, said: Transcript::default(), met: vec![] };
    let install = "[Install]\nWantedBy=multi-user.target\n";
    let plain = format!("[Service]\nExecStart=/bin/sleep infinity\n{install}");
    let reloads =
        format!("[Service]\nExecStart=/bin/sleep infinity\nExecReload=/bin/true\n{install}");
    it.show("one");
    it.act("start", "one", |sys, it| sys.start(it, LIMIT));
    it.file("one.service", &plain, Expected::Nothing);
    it.act("reload all for", "one", |sys, _| sys.daemon_reload());
    it.act("start", "one", |sys, it| sys.start(it, LIMIT));
    it.act("settle", "one", |sys, it| settled(sys, it));
    it.act("start again", "one", |sys, it| sys.start(it, LIMIT));
    it.act("reload", "one", |sys, it| sys.reload(it, LIMIT));
    it.act("restart", "one", |sys, it| sys.restart(it, LIMIT));
    it.act("enable", "one", |sys, it| sys.enable(it));
    it.act("enable again", "one", |sys, it| sys.enable(it));
    it.act("reload all for", "one", |sys, _| sys.daemon_reload());
    it.file("one.service", &reloads, Expected::AnyFile);
    it.show("one");
    it.act("reload all for", "one", |sys, _| sys.daemon_reload());
    it.act("reload", "one", |sys, it| sys.reload(it, LIMIT));
    it.act("mask where the file is", "one", |sys, it| sys.mask(it));
    it.act("disable", "one", |sys, it| sys.disable(it));
    it.act("disable again", "one", |sys, it| sys.disable(it));
    it.act("stop", "one", |sys, it| sys.stop(it, LIMIT));
    it.act("stop again", "one", |sys, it| sys.stop(it, LIMIT));
    it.act("settle", "one", |sys, it| settled(sys, it));

    it.file("static.service", "[Service]\nExecStart=/bin/sleep infinity\n", Expected::Nothing);
    it.act("reload all for", "static", |sys, _| sys.daemon_reload());
    it.act("enable", "static", |sys, it| sys.enable(it));
    it.act("restart what is stopped", "static", |sys, it| sys.restart(it, LIMIT));
    it.act("stop", "static", |sys, it| sys.stop(it, LIMIT));

    let along = format!("{plain}Also=along.service\n");
    it.file("taker.service", &along, Expected::Nothing);
    it.file("along.service", &plain, Expected::Nothing);
    let also = it.sys.also(&unit("taker")).unwrap();
    it.said.say(format_args!("taken along: {also:?}"));
    it.act("enable", "taker", |sys, it| sys.enable(it));
    it.show("along");
    it.act("disable", "taker", |sys, it| sys.disable(it));
    it.show("along");

    it.file("once.service", "[Service]\nType=oneshot\nExecStart=/bin/true\n", Expected::Nothing);
    it.act("reload all for", "once", |sys, _| sys.daemon_reload());
    it.act("start", "once", |sys, it| sys.start(it, LIMIT));
    it.act("settle", "once", |sys, it| settled(sys, it));

    it.act("mask", "vendor", |sys, it| sys.mask(it));
    it.act("reload all for", "vendor", |sys, _| sys.daemon_reload());
    it.act("start", "vendor", |sys, it| sys.start(it, LIMIT));
    it.act("unmask", "vendor", |sys, it| sys.unmask(it));
    it.act("unmask again", "vendor", |sys, it| sys.unmask(it));
    it.act("reload all for", "vendor", |sys, _| sys.daemon_reload());
    it.act("start", "vendor", |sys, it| sys.start(it, LIMIT));
    it.act("mask what runs", "vendor", |sys, it| sys.mask(it));
    it.act("reload all for", "vendor", |sys, _| sys.daemon_reload());
    it.act("stop", "vendor", |sys, it| sys.stop(it, LIMIT));
    let valid = [["/bin/true"], ["/bin/false"]]
        .map(|it| sys.validate(&it.map(Into::into)).map_err(|it| it.kind));
    it.said.say(format_args!("validate: {valid:?}"));
    let healthy = [["/bin/true"], ["/bin/false"]].map(|it| {
        let command = it.map(Into::into);
        sys.healthy(&unit("vendor"), Question::command(&command, sys), Duration::ZERO)
            .map_err(|it| it.kind)
    });
    it.said.say(format_args!("healthy: {healthy:?}"));
    it.said
}

const VENDOR: &str =
    "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n";

#[test]
fn both_machines_have_the_same_services() {
    let golden = expect_file!["../../contract/services.out"];
    golden.assert_eq(&suite(&FakeHost::debian().with_unit("vendor", VENDOR)).0);
    let Some(machine) = Machine::boot() else { return };
    machine.write("/usr/lib/systemd/system/vendor.service", VENDOR);
    golden.assert_eq(&inside(&machine, "contract::services::suite_inside_a_machine"));
}

#[test]
#[ignore = "changes the services of the machine that it runs on: the test above starts it in its own"]
fn suite_inside_a_machine() {
    tell(&suite(&real_host(std::path::Path::new("/root/steadfast"))));
}
