//! Drift of services: what runs, what starts at boot, unit files, drop-ins.

use super::drift::{Row, came_true, each_is_repaired, keep};
use super::lab::machine::Machine;
use super::lab::model::{repository, run};

const SERVER: &str = r##"server: web
packages: { demo-server: present }
files:
  /etc/demo/demo.conf: { content: "greeting = hello\n", mode: "0644" }
  /etc/demo/more.conf: { content: "more\n" }
  /etc/demo/a.conf: { content: "a\n" }
  /srv/restarts: { content: "1\n", restarts: worker }
  /etc/default/plain: { content: "1\n" }
services:
  demo: { running: true, enabled: true, reload_on: ["file:/etc/demo/*"], validate: [demo-server, --check, /etc/demo/demo.conf], settle: 0s }
  worker:
    running: true
    enabled: true
    unit:
      content: |
        [Unit]
        Description=a worker
        [Service]
        ExecStart=/bin/sleep infinity
        [Install]
        WantedBy=multi-user.target
    drop_ins:
      limits: { content: "[Service]\nLimitNOFILE=1024\n" }
      template: { template: templates/d.j2 }
    settle: 0s
  stopped:
    running: false
    enabled: false
    unit: { content: "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n" }
  masked: { enabled: masked, running: false }
  once:
    running: true
    unit: { content: "[Service]\nType=oneshot\nExecStart=/bin/touch /run/once\n" }
    settle: 0s
  ticks.timer:
    running: true
    enabled: true
    unit: { content: "[Timer]\nOnCalendar=yearly\nUnit=once.service\n[Install]\nWantedBy=timers.target\n" }
    settle: 0s
  plain: { restart_on: ["file:/etc/default/plain"], settle: 0s }
"##;

const MODEL: &[(&str, &str)] = &[("templates/d.j2", "[Service]\nNice=5\n")];

const ROWS: &[Row<'static>] = &[
    ("stopped", "systemctl stop demo", "service:demo", "systemctl is-active demo"),
    (
        "killed",
        "systemctl kill -s KILL demo; until ! systemctl is-active demo; do :; done",
        "service:demo",
        "systemctl is-active demo",
    ),
    (
        "disabled",
        "systemctl disable demo",
        "service:demo",
        "systemctl is-enabled demo; systemctl is-active demo",
    ),
    (
        "disabled and stopped",
        "systemctl disable --now demo",
        "service:demo",
        "systemctl is-enabled demo; systemctl is-active demo",
    ),
    (
        "masked",
        "systemctl mask demo",
        "service:demo",
        "systemctl is-enabled demo; systemctl is-active demo",
    ),
    (
        "masked and stopped",
        "systemctl mask --now demo",
        "service:demo",
        "systemctl is-enabled demo; systemctl is-active demo",
    ),
    (
        "masked until the next boot",
        "systemctl mask --runtime demo",
        "service:demo",
        "systemctl is-enabled demo; systemctl is-active demo",
    ),
    (
        "an alias for the link",
        "rm /etc/systemd/system/multi-user.target.wants/demo.service; systemctl daemon-reload",
        "service:demo",
        "systemctl is-enabled demo",
    ),
    (
        "enabled by a link unknown to systemd",
        "rm /etc/systemd/system/multi-user.target.wants/demo.service",
        "service:demo",
        "test -L /etc/systemd/system/multi-user.target.wants/demo.service",
    ),
    ("started", "systemctl start stopped", "service:stopped", "! systemctl is-active stopped"),
    (
        "enabled",
        "systemctl enable stopped",
        "service:stopped",
        "systemctl is-enabled stopped | grep -qx disabled",
    ),
    (
        "enabled and started",
        "systemctl enable --now stopped",
        "service:stopped",
        "! systemctl is-active stopped; systemctl is-enabled stopped | grep -qx disabled",
    ),
    (
        "unmasked",
        "systemctl unmask masked",
        "service:masked",
        "systemctl is-enabled masked | grep -qx masked",
    ),
    (
        "unmasked, and running",
        "systemctl unmask masked; systemctl start masked",
        "service:masked",
        "systemctl is-enabled masked | grep -qx masked; ! systemctl is-active masked",
    ),
    (
        "timer stopped",
        "systemctl stop ticks.timer",
        "service:ticks.timer",
        "systemctl is-active ticks.timer",
    ),
    (
        "timer disabled",
        "systemctl disable ticks.timer",
        "service:ticks.timer",
        "systemctl is-enabled ticks.timer",
    ),
    (
        "unit edited",
        "systemctl show -P InvocationID worker >/root/i; sed -i 's/a worker/a sleeper/' /etc/systemd/system/worker.service",
        "service:worker",
        "systemctl show -P Description worker | grep -qx 'a worker'; systemctl show -P NeedDaemonReload worker | grep -qx no; ! systemctl show -P InvocationID worker | cmp -s - /root/i",
    ),
    (
        "unit edited and read",
        "sed -i 's/infinity/1000000/' /etc/systemd/system/worker.service; systemctl daemon-reload; systemctl restart worker",
        "service:worker",
        "tr '\\0' ' ' </proc/$(systemctl show -P MainPID worker)/cmdline | grep -q infinity",
    ),
    (
        "unit truncated",
        "truncate -s 0 /etc/systemd/system/worker.service",
        "service:worker",
        "systemctl is-active worker; grep -q infinity /etc/systemd/system/worker.service",
    ),
    (
        "unit removed",
        "rm /etc/systemd/system/worker.service",
        "service:worker",
        "systemctl is-active worker; systemctl show -P LoadState worker | grep -qx loaded",
    ),
    (
        "unit removed, stopped and forgotten",
        "systemctl disable --now worker; rm -r /etc/systemd/system/worker.service /etc/systemd/system/worker.service.d; systemctl daemon-reload",
        "service:worker",
        "systemctl is-active worker; systemctl is-enabled worker; systemctl show -P LimitNOFILE worker | grep -qx 1024",
    ),
    (
        "unit mode",
        "chmod 0600 /etc/systemd/system/worker.service",
        "service:worker",
        "stat -c %a /etc/systemd/system/worker.service | grep -qx 644",
    ),
    (
        "unit owner",
        "chown games:games /etc/systemd/system/worker.service",
        "service:worker",
        "stat -c '%U %G' /etc/systemd/system/worker.service | grep -qx 'root root'",
    ),
    (
        "a link in place of the unit",
        "mv /etc/systemd/system/worker.service /root/u; ln -s /root/u /etc/systemd/system/worker.service",
        "service:worker",
        "test ! -L /etc/systemd/system/worker.service; systemctl is-active worker; systemctl is-enabled worker",
    ),
    (
        "drop-in edited",
        "sed -i s/1024/2048/ /etc/systemd/system/worker.service.d/limits.conf; systemctl daemon-reload; systemctl restart worker",
        "service:worker",
        "systemctl show -P LimitNOFILE worker | grep -qx 1024; grep -q '^Max open files *1024 ' /proc/$(systemctl show -P MainPID worker)/limits",
    ),
    (
        "drop-in removed",
        "rm /etc/systemd/system/worker.service.d/limits.conf",
        "service:worker",
        "systemctl show -P LimitNOFILE worker | grep -qx 1024",
    ),
    (
        "drop-ins removed",
        "rm -r /etc/systemd/system/worker.service.d; systemctl daemon-reload",
        "service:worker",
        "systemctl show -P LimitNOFILE -P Nice worker | tr '\\n' ' ' | grep -q 1024; grep -q Nice=5 /etc/systemd/system/worker.service.d/template.conf",
    ),
    (
        "drop-in mode",
        "chmod 0664 /etc/systemd/system/worker.service.d/limits.conf",
        "service:worker",
        "stat -c %a /etc/systemd/system/worker.service.d/limits.conf | grep -qx 644",
    ),
    (
        "a drop-in of another",
        "mkdir -p /etc/systemd/system/demo.service.d; printf '[Service]\\nNice=1\\n' >/etc/systemd/system/demo.service.d/x.conf; systemctl daemon-reload",
        "",
        "test -e /etc/systemd/system/demo.service.d/x.conf",
    ),
    (
        "a configuration that it reads",
        "echo 'greeting = drifted' >/etc/demo/demo.conf; systemctl reload demo; systemctl show -P InvocationID demo >/root/i",
        "file:/etc/demo/demo.conf service:demo",
        "grep -qx 'greeting = hello' /run/demo/loaded; systemctl show -P InvocationID demo | cmp - /root/i",
    ),
    (
        "many of its files",
        "for it in a demo more; do echo drifted >/etc/demo/$it.conf; done",
        "file:/etc/demo/a.conf file:/etc/demo/demo.conf file:/etc/demo/more.conf service:demo",
        "grep -qx 'greeting = hello' /run/demo/loaded; grep -qx a /etc/demo/a.conf",
    ),
    (
        "what it reads, and it is down",
        "rm /etc/demo/more.conf; systemctl stop demo",
        "file:/etc/demo/more.conf service:demo",
        "systemctl is-active demo",
    ),
    (
        "what it reads, and it was restarted since",
        "echo x >/etc/demo/more.conf; systemctl restart demo",
        "file:/etc/demo/more.conf service:demo",
        "systemctl is-active demo",
    ),
    (
        "what it reads, back as it was",
        "cp -p /etc/demo/more.conf /root/c; echo x >/etc/demo/more.conf; systemctl restart demo; cp -p /root/c /etc/demo/more.conf",
        "",
        "systemctl is-active demo",
    ),
    (
        "its configuration removed",
        "rm /etc/demo/demo.conf",
        "file:/etc/demo/demo.conf service:demo",
        "grep -qx 'greeting = hello' /run/demo/loaded",
    ),
    (
        "its configuration broken and itself dead",
        "echo broken >/etc/demo/demo.conf; ! systemctl restart demo",
        "file:/etc/demo/demo.conf service:demo",
        "grep -qx 'greeting = hello' /run/demo/loaded; systemctl is-active demo",
    ),
    (
        "a file that restarts it",
        "systemctl show -P InvocationID worker >/root/i; echo 2 >/srv/restarts",
        "file:/srv/restarts service:worker",
        "! systemctl show -P InvocationID worker | cmp -s - /root/i",
    ),
    (
        "a file that restarts it, and it is down",
        "systemctl stop worker; echo 2 >/srv/restarts",
        "file:/srv/restarts service:worker",
        "systemctl is-active worker",
    ),
    (
        "a file that restarts one that nobody promised to run",
        "systemctl show -P InvocationID plain >/root/i; echo 2 >/etc/default/plain",
        "file:/etc/default/plain service:plain",
        "! systemctl show -P InvocationID plain | cmp -s - /root/i",
    ),
    (
        "a file that would restart one that is stopped",
        "systemctl stop plain; echo 2 >/etc/default/plain",
        "file:/etc/default/plain",
        "! systemctl is-active plain",
    ),
    (
        "its package removed",
        "DEBIAN_FRONTEND=noninteractive apt-get remove -qy demo-server",
        "package:demo-server",
        "systemctl is-active demo; systemctl is-enabled demo; grep -qx 'greeting = hello' /run/demo/loaded",
    ),
    (
        "its package purged",
        "DEBIAN_FRONTEND=noninteractive apt-get purge -qy demo-server",
        "package:demo-server service:demo file:/etc/demo/demo.conf",
        "systemctl is-active demo; systemctl is-enabled demo; grep -qx 'greeting = hello' /run/demo/loaded",
    ),
];

#[test]
fn every_drift_of_a_service_is_repaired() {
    let Some(machine) = Machine::boot() else { return };
    repository().install(&machine);
    let unit = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n";
    machine.write("/lib/systemd/system/masked.service", unit);
    machine.write("/lib/systemd/system/plain.service", unit);
    machine.sh("systemctl daemon-reload; systemctl start plain");
    keep(&machine, SERVER, MODEL);
    machine.sh("test -e /run/once");
    each_is_repaired(&machine, ROWS);
}

#[test]
fn a_service_that_does_not_come_up_says_why() {
    let Some(machine) = Machine::boot() else { return };
    repository().install(&machine);
    let unit = |start: &str| {
        format!(
            "server: web\nservices:\n  worker: {{ running: true, settle: 1s, unit: {{ content: \"[Service]\\nExecStart={start}\\n\" }} }}\n"
        )
    };
    keep(&machine, &unit("/bin/sleep infinity"), &[]);
    machine.server_model(&[("servers/web.yaml", &unit("/bin/sh -c 'echo so it is >&2; exit 7'"))]);
    let dry = run(&machine, &["--dry-run"]);
    let said = run(&machine, &[]);
    assert_eq!((dry.exit, said.exit), (0, 4), "{said:#?}");
    assert_eq!(said.outcomes(), [("service:worker".to_owned(), "not-kept".to_owned())]);
    assert!(said.because("service:worker").contains("so it is"), "{said:#?}");
    // It is attempted again, and still says so.
    let said = run(&machine, &[]);
    assert!(said.because("service:worker").contains("so it is"), "{said:#?}");
    machine.server_model(&[("servers/web.yaml", &unit("/bin/sleep infinity"))]);
    let dry = run(&machine, &["--dry-run"]);
    let said = run(&machine, &[]);
    assert_eq!((dry.exit, said.exit), (0, 0), "{said:#?}");
    assert_eq!(came_true(&dry, &said), [""; 0]);
    machine.sh("systemctl is-active worker");

    // One that does not exist, one whose file lies in /etc and is to be masked.
    let server =
        "server: web\nservices: { nowhere: { running: true }, worker: { enabled: masked } }\n";
    machine.server_model(&[("servers/web.yaml", server)]);
    let (dry, said) = (run(&machine, &["--dry-run"]), run(&machine, &[]));
    assert_eq!((dry.exit, said.exit), (4, 4));
    let mut outcomes = said.outcomes();
    outcomes.sort();
    let not_kept = |it: &str| (it.to_owned(), "not-kept".to_owned());
    assert_eq!(outcomes, [not_kept("service:nowhere"), not_kept("service:worker")], "{said:#?}");
    assert!(said.because("service:nowhere").contains("exist"), "{said:#?}");
    assert!(said.because("service:worker").contains("/etc"), "{said:#?}");
}
