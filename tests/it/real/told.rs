//! What the agent and its children tell where everything is asked for: what they do, and never a secret.

use super::lab::beside::{Authority, HOST, desk};
use super::lab::installed::{ask, installed, is_idle, revision, settings, until, wait_for};
use crate::source_servers::server::{git, reply};
use std::path::Path;

/// What the model has the machine keep in a file, and nobody else may see.
const SECRET: &str = "correct-horse-battery-staple";
/// What the source asks for, and the header in which it is sent.
const CREDENTIAL: &str = "hushhush";
const HEADER: &str = "Basic dG9rZW46aHVzaGh1c2g=";

/// The files of the server: one holds a secret, and each revision says something else in another.
fn write_model(folder: &Path, text: &str) {
    let server = format!(
        "server: web
files:
  /etc/motd: {{ content: \"{text}\\n\" }}
  /etc/app.conf:
    template: templates/app.conf
    variables: {{ password: {{ secret: app/password }} }}
"
    );
    std::fs::create_dir_all(folder.join("templates")).unwrap();
    std::fs::write(folder.join("templates/app.conf"), "password = {{ password }}\n").unwrap();
    std::fs::write(folder.join("servers/web.yaml"), server).unwrap();
}

#[test]
fn all_that_is_done_is_told_and_no_secret() {
    let Some(machine) = installed() else { return };
    let desk = desk(&machine, &["anna"]);
    write_model(desk.model.path(), "one");
    let first = desk.commit(Some("anna"));
    let mut answer = git(desk.model.path().to_owned());
    let server = Authority::new("ours").server(&machine, move |request, stream| {
        if request.header("authorization") == Some(HEADER) {
            answer(request, stream);
        } else {
            let headers = "WWW-Authenticate: Basic realm=\"model\"\r\n";
            reply(stream, "401 Unauthorized", headers, b"");
        }
    });
    machine.sh("mkdir -p -m 0700 /etc/steadfast/secrets/app
        mkdir -p /etc/systemd/system/steadfast.service.d");
    for (path, text) in
        [("/etc/steadfast/secrets/app/password", SECRET), ("/etc/steadfast/token", CREDENTIAL)]
    {
        machine.write(path, text);
        machine.sh(&format!("chmod 0600 {path}"));
    }
    machine.write(
        "/etc/systemd/system/steadfast.service.d/told.conf",
        "[Service]\nEnvironment=STEADFAST_LOG=trace\nLogRateLimitIntervalSec=0\n",
    );
    settings(
        &machine,
        &format!(
            "source: {{ git: {{ url: \"https://{HOST}/.git\", branch: main, ca: /etc/steadfast/ca.pem, \
             token_file: /etc/steadfast/token }} }}
trust: {{ allowed_signers: /etc/steadfast/allowed_signers }}"
        ),
    );
    machine.ok(&["systemctl", "daemon-reload"]);
    machine.ok(&["systemctl", "start", "steadfast"]);
    wait_for(&machine, "adopted", |it| revision(it) == first && is_idle(it));

    // It drifts, from one secret to another, and a newer revision is put to the test.
    let kept = format!("password = {SECRET}\n");
    machine.write("/etc/app.conf", "password = an-old-password\n");
    until(&machine, "repaired", || machine.text("/etc/app.conf") == kept);
    write_model(desk.model.path(), "two");
    let second = desk.commit(Some("anna"));
    ask(&machine);
    wait_for(&machine, "adopted", |it| revision(it) == second && is_idle(it));
    assert_eq!(machine.text("/etc/motd"), "two\n");
    // In the end the source does not take its credential any more.
    machine.write("/etc/steadfast/token", format!("another-{CREDENTIAL}"));
    ask(&machine);
    wait_for(&machine, "refused", |it| it["refusal"]["kind"] == "unreachable");
    let log = server.log.lock().unwrap().clone();
    let sent = |header: &str| log.iter().any(|it| it.header("authorization") == Some(header));
    assert!(sent(HEADER) && sent("Basic dG9rZW46YW5vdGhlci1odXNoaHVzaA=="), "{log:?}");

    // Every field of every entry, and what commands tell of it afterwards.
    let mut told = machine.ok(&["journalctl", "-u", "steadfast", "-o", "export", "--all"]);
    for command in [
        &["steadfast", "status", "--format", "json"][..],
        &["steadfast", "history", "--format", "json"],
        &["steadfast", "explain", "/etc/app.conf"],
    ] {
        told += &machine.ok(command);
    }
    let short = &second[..12];
    for expected in [
        // The machine and its shell.
        "input=fetched revision=",
        "action=run reason=drift revision=",
        "promises=file:/etc/app.conf",
        "a request arrives access=Everything request=status",
        "a watch is armed folder=/etc",
        "a child has started task=fetch",
        // The children, each within what it was started for.
        &format!("fetch{{source=git https://{HOST}/.git branch main}}: "),
        &format!("prepare{{revision={short}}}: "),
        &format!("trial{{revision={short} before={}}}: run{{run=", &first[..12]),
        "signature accepted",
        // The one that has no privileges, in the words of the one that started it.
        "download: git_transfer{url=",
        "transfer ended bytes=",
        "refused=unreachable",
        "files changed change=write path=/etc/app.conf",
        // The journal's own fields.
        "STEADFAST_EVENT=adopted",
        "STEADFAST_PROMISE=file:/etc/app.conf",
    ] {
        assert!(told.contains(expected), "{expected} is not in:\n{told}");
    }
    for secret in [SECRET, CREDENTIAL, HEADER, "dG9rZW46", "an-old-password"] {
        assert!(!told.contains(secret), "{secret} is in:\n{told}");
    }
}
