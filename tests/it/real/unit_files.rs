//! What systemd reads: that it has read it, and that processes run with it, whoever changed what.

use super::drift::{came_true, each_is_repaired};
use super::lab::machine::Machine;
use super::lab::model::run;

const SERVER: &str = r##"server: web
directories:
  /etc/systemd/system/known.service.d: { mode: "0755" }
  /etc/systemd/system/shop@.service.d: { mode: "0755" }
  /etc/systemd/system/service.d: {}
  /etc/systemd/system/user-.slice.d: {}
files:
  /etc/systemd/system/known.service.d/limit.conf: { content: "[Service]\nEnvironment=KNOWN=1\n", restarts: known }
  /etc/systemd/system/shop@.service.d/limit.conf: { content: "[Service]\nEnvironment=SHOP=1\n", restarts: shop@one }
  /etc/systemd/system/service.d/all.conf: { content: "[Service]\nEnvironment=ALL=1\n" }
  /etc/systemd/system/user-.slice.d/memory.conf: { content: "[Slice]\nMemoryMax=4G\n" }
  /etc/systemd/system/packaged.service: { content: "[Service]\nExecStart=/bin/sleep infinity\nEnvironment=OVER=1\n[Install]\nWantedBy=multi-user.target\n" }
  /etc/systemd/system/overridden.service: absent
  /etc/systemd/system/filed.service: { content: "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n" }
  /usr/local/lib/systemd/system/local.service: { content: "[Service]\nExecStart=/bin/sleep infinity\n" }
  /etc/systemd/system/many@.service: { content: "[Service]\nExecStart=/bin/sleep infinity\n" }
  /etc/init.d/scripted:
    mode: "0755"
    content: |
      #!/bin/sh
      ### BEGIN INIT INFO
      # Provides: scripted
      # Required-Start: $remote_fs
      # Required-Stop: $remote_fs
      # Default-Start: 2 3 4 5
      # Default-Stop: 0 1 6
      ### END INIT INFO
      case $1 in start) setsid sleep infinity >/dev/null 2>&1 & ;; esac
      exit 0
links:
  /etc/systemd/system/lent.service: /opt/lent/lent.service
  /etc/systemd/system/veiled.service: absent
services:
  known: { running: true, settle: 0s }
  shop@one: { running: true, settle: 0s }
  packaged: { running: true, enabled: true, settle: 0s, restart_on: ["file:/etc/systemd/system/packaged.service"] }
  overridden: { running: true, enabled: true, settle: 0s }
  filed: { running: true, enabled: true, settle: 0s }
  lent: { running: true, settle: 0s }
  local: { running: true, settle: 0s }
  many@a: { running: true, settle: 0s }
  veiled: { running: true, settle: 0s }
  scripted: { running: true, enabled: true, settle: 0s }
"##;

const SETUP: &str = r#"
plain='[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n'
for it in known shop@ packaged overridden veiled; do printf "$plain" >/lib/systemd/system/$it.service; done
mkdir -p /opt/lent /usr/local/lib/systemd/system; printf "$plain" >/opt/lent/lent.service
sed '/Exec/aEnvironment=OLD=1' /lib/systemd/system/overridden.service >/etc/systemd/system/overridden.service
systemctl daemon-reload
systemctl mask veiled
systemctl enable overridden
systemctl start known shop@one packaged overridden
"#;

/// Whether the process of a unit has a variable.
fn has(machine: &Machine, unit: &str, variable: &str) -> bool {
    let script = format!(
        "tr '\\0' '\\n' </proc/$(systemctl show -P MainPID {unit})/environ | grep -qx {variable}"
    );
    machine.run(&["sh", "-euc", &script]).status == 0
}

#[test]
fn what_systemd_reads_is_in_force_after_the_run() {
    let Some(machine) = Machine::boot() else { return };
    machine.sh(SETUP);
    machine.server_model(&[("servers/web.yaml", SERVER)]);
    let (dry, real) = (run(&machine, &["--dry-run"]), run(&machine, &[]));
    assert_eq!((dry.exit, real.exit), (0, 0), "{:?}", real.outcomes());
    assert_eq!(came_true(&dry, &real), [""; 0]);
    let not_there_yet = ["filed", "lent", "local", "many@a", "scripted"].map(|it| {
        let promise = format!("service:{it}");
        let mut lines = dry.forecasts().into_iter().filter(|it| it.0 == promise);
        lines.find(|(_, change, certainty)| change == "start" && certainty == "expected")
    });
    assert!(not_there_yet.iter().all(Option::is_some), "{not_there_yet:?}");
    for (unit, variable) in [("known", "KNOWN=1"), ("shop@one", "SHOP=1"), ("packaged", "OVER=1")] {
        assert!(has(&machine, unit, variable), "{unit} runs without {variable}");
        assert!(has(&machine, unit, "ALL=1"), "{unit} runs without what all services have");
    }
    machine.sh(
        "systemctl is-active known packaged overridden filed lent local many@a veiled scripted",
    );
    machine.sh("! test -e /etc/systemd/system/overridden.service; systemctl is-enabled overridden");
    machine.sh("systemctl show -P FragmentPath overridden | grep -q ^/lib");
    machine.sh("systemctl show -P MemoryMax user-1000.slice | grep -qx 4294967296");
    machine.sh("ls /etc/rc3.d/S*scripted");
    let again = run(&machine, &[]);
    assert_eq!((again.outcomes(), again.exit), (vec![], 0));

    // What somebody changes by hand, whose tools put back the times of files, and who tells systemd nothing.
    let later = "systemctl show -P NeedDaemonReload known | grep -qx no";
    each_is_repaired(
        &machine,
        &[
            (
                "a drop-in of another, in a new directory, with an old time",
                "mkdir /etc/systemd/system/filed.service.d; printf '[Service]\\nNice=1\\n' >/root/x; \
                 touch -d 2001-01-01 /root/x; cp -p /root/x /etc/systemd/system/filed.service.d/x.conf",
                "service:filed",
                "systemctl show -P Nice filed | grep -qx 1",
            ),
            (
                "a promised file, written again as it is",
                "cp /etc/systemd/system/user-.slice.d/memory.conf /root/m; \
                 cat /root/m >/etc/systemd/system/user-.slice.d/memory.conf",
                "file:/etc/systemd/system/user-.slice.d/memory.conf",
                later,
            ),
            (
                "restarted by hand with what systemd had read before",
                "f=/etc/systemd/system/known.service.d/limit.conf; echo '[Service]' >$f; \
                 systemctl daemon-reload; systemctl restart known; \
                 printf '[Service]\\nEnvironment=KNOWN=1\\n' >$f; systemctl restart known",
                "file:/etc/systemd/system/known.service.d/limit.conf service:known",
                "tr '\\0' '\\n' </proc/$(systemctl show -P MainPID known)/environ | grep -qx KNOWN=1",
            ),
            (
                "disabled at boot",
                "update-rc.d scripted disable; ! ls /etc/rc3.d/S*scripted",
                "service:scripted",
                "ls /etc/rc3.d/S*scripted; systemctl is-active scripted",
            ),
        ],
    );

    // An init script that is not to start at boot.
    let server = "server: web\nservices: { scripted: { enabled: false } }\n";
    machine.server_model(&[("servers/web.yaml", server)]);
    let (dry, real) = (run(&machine, &["--dry-run"]), run(&machine, &[]));
    assert_eq!(came_true(&dry, &real), [""; 0]);
    assert_eq!(real.outcomes(), [("service:scripted".to_owned(), "repaired".to_owned())]);
    machine.sh("! ls /etc/rc3.d/S*scripted");
    assert_eq!(run(&machine, &[]).outcomes(), []);
}

const LINKS: &str = r#"server: web
services:
  moved: { enabled: true, unit: { content: "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=timers.target\n" } }
  lent: { enabled: false }
  first: { running: true, settle: 0s }
  second: { running: false }
"#;

#[test]
fn the_links_that_start_a_unit_are_those_of_its_file_and_two_names_are_one_unit() {
    let Some(machine) = Machine::boot() else { return };
    machine.sh(r#"
plain='[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n'
for it in moved first; do printf "$plain" >/etc/systemd/system/$it.service; done
mkdir /opt/lent; printf "$plain" >/opt/lent/lent.service
ln -s first.service /etc/systemd/system/second.service
systemctl daemon-reload
systemctl enable --now moved first /opt/lent/lent.service
"#);
    machine.server_model(&[("servers/web.yaml", LINKS)]);
    let (dry, real) = (run(&machine, &["--dry-run"]), run(&machine, &[]));
    assert_eq!(came_true(&dry, &real), [""; 0]);
    assert_eq!((dry.exit, real.exit), (4, 4), "{real:#?}");
    let second = "it is another name of first.service on this machine, and service:first promises";
    assert!(real.because("service:second").contains(second), "{real:#?}");
    let outcomes = ["moved", "lent"].map(|it| (format!("service:{it}"), "repaired".to_owned()));
    let mut rest = real.outcomes();
    rest.retain(|it| it.0 != "service:second");
    rest.sort();
    let mut outcomes = outcomes.to_vec();
    outcomes.sort();
    assert_eq!(rest, outcomes, "{real:#?}");
    machine.sh("systemctl is-active first moved lent");
    machine.sh("cd /etc/systemd/system; test -L timers.target.wants/moved.service; ! test -e multi-user.target.wants/moved.service");
    // A unit that was linked is disabled, and there all the same.
    machine.sh("test $(systemctl is-enabled lent) = linked; ! test -e /etc/systemd/system/multi-user.target.wants/lent.service");
    assert_eq!(run(&machine, &[]).changes(), []);
}
