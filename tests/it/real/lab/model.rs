//! The model that the tests of the main job share: every kind, on a bare machine.

use super::apt::AptRepository;
use super::machine::{Machine, Output};
use serde_json::Value;

/// A server with something of every kind.
pub(crate) const SERVER: &str = r##"server: web
parameters:
  greeting: hello
packages:
  demo-server: { version: ">= 1.0, < 2" }
  small: { state: present, hold: true }
groups:
  deploy: { gid: 2000 }
  ops: { members: [deploy] }
users:
  deploy:
    uid: 2000
    group: deploy
    groups: [adm]
    comment: Deployments
    shell: /bin/bash
    home: /srv/deploy
    password_hash: "$6$abcdefgh$1wB0HDlSZBC8tx3Ja4sEnGc2T1DIbQtFCXV9XBUC8B8Dcrl8kT9jdMpYBfbPPyx1sSvAmyZGzqOQRvvzqYmJ0."
    expires: 2040-01-01
    ssh_keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ4lUKYkBxGbeRCzmrbZJVCQ8P4jDPWmq8kSqwTRXMn3 ci@xyz"]
  app: { system: true }
directories:
  /srv/www: { owner: deploy, group: www-data, mode: "2755" }
  /srv/www/logs: { owner: app, mode: "0750" }
  /etc/demo.d: { purge: true }
files:
  /etc/motd: { content: "{{ node.name }} is {{ environment.name }}\n" }
  /etc/demo/demo.conf: { content: "greeting = {{ greeting }}\n", reloads: demo, validate: [demo-server, --check, "{file}"] }
  /etc/demo.d/kept: { content: "kept\n" }
  /srv/www/index.html: { source: files/index.html, owner: deploy, group: deploy, mode: "0640" }
  /etc/default/demo:
    create: true
    edits:
      - { key: LEVEL, value: high }
      - { block: "# ours\n", name: demo }
links:
  /etc/localtime: /usr/share/zoneinfo/Europe/Brussels
  /srv/current: /srv/www
services:
  demo: { running: true, enabled: true }
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
    settle: 0s
cron:
  purge: { schedule: "*/15 * * * *", user: deploy, command: "echo 100% > /dev/null", environment: { MAILTO: "ops@example.test" } }
"##;

pub(crate) fn files(server: &str) -> Vec<(&str, &str)> {
    vec![("servers/web.yaml", server), ("files/index.html", "<h1>hello</h1>\n")]
}

/// A booted machine with the repository and the model, and nothing kept yet.
pub(crate) fn bare() -> Option<Machine> {
    let machine = Machine::boot()?;
    repository().install(&machine);
    machine.server_model(&files(SERVER));
    Some(machine)
}

/// A machine that keeps the model.
pub(crate) fn kept() -> Option<Machine> {
    let machine = bare()?;
    let run = run(&machine, &[]);
    assert_eq!(run.exit, 0, "{run:#?}");
    Some(machine)
}

pub(crate) fn repository() -> AptRepository {
    AptRepository::new()
        .demo_server("1.0")
        .package("small", "1.0", |it| it.file("/usr/share/small/x", "1\n"))
}

/// What a run said, as JSON lines.
#[derive(Debug)]
pub(crate) struct Run {
    pub exit: i32,
    pub events: Vec<Value>,
    pub stderr: String,
}

impl Run {
    pub(crate) fn of(output: &Output) -> Run {
        let events = output
            .stdout
            .lines()
            .map(|it| serde_json::from_str(it).unwrap_or_else(|_| panic!("not JSON: {it}")))
            .collect();
        let stderr = output.stderr.clone();
        Run { exit: output.status, events, stderr }
    }

    /// Promise and outcome of everything that is not simply kept.
    pub(crate) fn outcomes(&self) -> Vec<(String, String)> {
        self.judged().filter(|(_, outcome)| outcome != "kept").collect()
    }

    pub(crate) fn judged(&self) -> impl Iterator<Item = (String, String)> + '_ {
        self.events.iter().filter(|it| it["event"] == "judged").map(|it| {
            let text = |name: &str| it[name].as_str().unwrap().to_owned();
            (text("promise"), text("outcome"))
        })
    }

    /// Promise and line of everything that was done.
    pub(crate) fn changes(&self) -> Vec<(String, String)> {
        let judged = self.events.iter().filter(|it| it["event"] == "judged");
        judged
            .flat_map(|it| {
                let lines = it["changes"].as_array().cloned().unwrap_or_default();
                lines.into_iter().map(move |line| (text(&it["promise"]), text(&line["change"])))
            })
            .collect()
    }

    /// Promise, line and certainty of everything that a dry run foresaw.
    pub(crate) fn forecasts(&self) -> Vec<(String, String, String)> {
        let forecasts = self.events.iter().filter(|it| it["event"] == "forecast");
        forecasts
            .map(|it| (text(&it["promise"]), text(&it["change"]), text(&it["certainty"])))
            .collect()
    }

    pub(crate) fn because(&self, promise: &str) -> String {
        let event = self.events.iter().find(|it| {
            it["promise"] == promise && it["because"].as_array().is_some_and(|it| !it.is_empty())
        });
        event.map(|it| it["because"].to_string()).unwrap_or_default()
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

pub(crate) fn run(machine: &Machine, more: &[&str]) -> Run {
    let arguments = [&["run", "--model", "/srv/model", "--format", "json"], more].concat();
    Run::of(&machine.steadfast(&arguments))
}
