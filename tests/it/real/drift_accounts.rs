//! Drift of users, groups and members.

use super::drift::{Row, each_is_repaired, keep};
use super::lab::machine::Machine;
use super::lab::model::run;

const HASH: &str = "$6$abcdefgh$1wB0HDlSZBC8tx3Ja4sEnGc2T1DIbQtFCXV9XBUC8B8Dcrl8kT9jdMpYBfbPPyx1sSvAmyZGzqOQRvvzqYmJ0.";
const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ4lUKYkBxGbeRCzmrbZJVCQ8P4jDPWmq8kSqwTRXMn3";
const OTHER_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB";

fn server() -> String {
    format!(
        r#"server: web
groups:
  deploy: {{ gid: 2000 }}
  ops: {{ members: [deploy] }}
  few: {{ members: {{ exactly: [deploy] }} }}
  none: {{ members: {{ exactly: [] }} }}
  any: present
users:
  deploy:
    uid: 2000
    group: deploy
    groups: [adm]
    comment: Deployments
    shell: /bin/bash
    home: /srv/deploy
    home_state: present
    password_hash: "{HASH}"
    locked: false
    expires: 2040-01-01
    inactive: 30
    password_min_days: 1
    password_max_days: 90
    password_warn_days: 7
    ssh_keys: ["{KEY} ci@xyz"]
  exact: {{ groups: {{ exactly: [adm, ops] }}, ssh_keys: {{ exactly: ["{KEY}"] }} }}
  without: {{ groups: {{ without: [sudo] }}, expires: never, inactive: never }}
  shut: {{ locked: true, home_state: present }}
  app: {{ system: true, home: /srv/app, home_state: absent }}
  gone: absent
"#
    )
}

#[test]
fn every_drift_of_an_account_is_repaired() {
    let Some(machine) = Machine::boot() else { return };
    keep(&machine, &server(), &[]);
    let field = |number: u32, value: &str| {
        format!("test \"$(getent passwd deploy | cut -d: -f{number})\" = '{value}'")
    };
    let shadow = |number: u32, value: &str| {
        format!("test \"$(getent shadow deploy | cut -d: -f{number})\" = '{value}'")
    };
    let in_group = |user: &str, group: &str| {
        format!("getent group {group} | cut -d: -f4 | tr , '\\n' | grep -qx {user}")
    };
    let keys = "/srv/deploy/.ssh/authorized_keys";
    let has_key = format!(
        "grep -qF '{KEY}' {keys}; test \"$(stat -c '%a %U' {keys} /srv/deploy/.ssh)\" = '600 deploy\n700 deploy'"
    );
    let only_key = format!(
        "test \"$(grep -v '^#' /home/exact/.ssh/authorized_keys)\" = '{KEY}'; test \"$(stat -c %U /home/exact/.ssh/authorized_keys)\" = exact"
    );
    let table: Vec<(&str, String, &str, String)> = vec![
        ("shell", "usermod -s /bin/sh deploy".into(), "user:deploy", field(7, "/bin/bash")),
        ("comment", "usermod -c Other deploy".into(), "user:deploy", field(5, "Deployments")),
        ("no comment", "usermod -c '' deploy".into(), "user:deploy", field(5, "Deployments")),
        (
            "home entry",
            "usermod -d /srv/other deploy".into(),
            "user:deploy",
            field(6, "/srv/deploy"),
        ),
        (
            "uid",
            "usermod -u 2222 deploy; test \"$(stat -c %u /srv/deploy)\" = 2222".into(),
            "user:deploy",
            format!(
                "{}; test \"$(stat -c %u /srv/deploy {keys})\" = '2000\n2000'",
                field(3, "2000")
            ),
        ),
        ("primary group", "usermod -g users deploy".into(), "user:deploy", field(4, "2000")),
        ("left a group", "gpasswd -d deploy adm".into(), "user:deploy", in_group("deploy", "adm")),
        ("joined a group", "gpasswd -a deploy games".into(), "", in_group("deploy", "games")),
        (
            "joined beyond exactly",
            "gpasswd -a exact games".into(),
            "user:exact",
            format!("! {}", in_group("exact", "games")),
        ),
        (
            "left one of exactly",
            "gpasswd -d exact adm".into(),
            "user:exact",
            in_group("exact", "adm"),
        ),
        (
            "joined one that it is without",
            "gpasswd -a without sudo; gpasswd -a without games".into(),
            "user:without",
            format!("! {}; {}", in_group("without", "sudo"), in_group("without", "games")),
        ),
        (
            "another password",
            "usermod -p '$6$other$x' deploy".into(),
            "user:deploy",
            shadow(2, HASH),
        ),
        ("keys for all to read", format!("chmod 0644 {keys}"), "user:deploy", has_key.clone()),
        ("keys for all to write", format!("chmod 0666 {keys}"), "user:deploy", has_key.clone()),
        ("keys of root", format!("chown root:root {keys}"), "user:deploy", has_key.clone()),
        ("keys of another", format!("chown games {keys}"), "user:deploy", has_key.clone()),
        (
            "a directory of keys for all to write",
            "chmod 0777 /srv/deploy/.ssh".into(),
            "user:deploy",
            has_key.clone(),
        ),
        ("no password", "passwd -d deploy".into(), "user:deploy", shadow(2, HASH)),
        ("locked", "passwd -l deploy".into(), "user:deploy", shadow(2, HASH)),
        (
            "locked, and another password",
            "usermod -p '!$6$other$x' deploy".into(),
            "user:deploy",
            shadow(2, HASH),
        ),
        (
            "unlocked",
            "usermod -p '$6$other$x' shut".into(),
            "user:shut",
            "test \"$(getent shadow shut | cut -d: -f2)\" = '!$6$other$x'".into(),
        ),
        (
            "expires at another day",
            "chage -E 2030-01-01 deploy".into(),
            "user:deploy",
            shadow(8, "25567"),
        ),
        ("never expires", "chage -E -1 deploy".into(), "user:deploy", shadow(8, "25567")),
        (
            "expires where it never does",
            "chage -E 2030-01-01 without".into(),
            "user:without",
            "test -z \"$(getent shadow without | cut -d: -f8)\"".into(),
        ),
        (
            "inactive where it never is",
            "chage -I 3 without".into(),
            "user:without",
            "test -z \"$(getent shadow without | cut -d: -f7)\"".into(),
        ),
        ("inactive", "chage -I 10 deploy".into(), "user:deploy", shadow(7, "30")),
        ("never inactive", "chage -I -1 deploy".into(), "user:deploy", shadow(7, "30")),
        ("min days", "chage -m 5 deploy".into(), "user:deploy", shadow(4, "1")),
        ("max days", "chage -M 99999 deploy".into(), "user:deploy", shadow(5, "90")),
        ("no max days", "chage -M -1 deploy".into(), "user:deploy", shadow(5, "90")),
        ("warn days", "chage -W 1 deploy".into(), "user:deploy", shadow(6, "7")),
        (
            "all at once",
            "usermod -s /bin/sh -c x -p '$6$other$x' -g users deploy; chage -W 1 -E -1 deploy"
                .into(),
            "user:deploy",
            format!("{}; {}; {}", field(7, "/bin/bash"), field(4, "2000"), shadow(2, HASH)),
        ),
        ("no keys", format!("rm {keys}"), "user:deploy", has_key.clone()),
        ("empty keys", format!("truncate -s 0 {keys}"), "user:deploy", has_key.clone()),
        ("no directory of keys", "rm -r /srv/deploy/.ssh".into(), "user:deploy", has_key.clone()),
        (
            "another key",
            format!("sed -i 's/AAAAIJ4/AAAAIXX/' {keys}"),
            "user:deploy",
            has_key.clone(),
        ),
        (
            "options on the key",
            format!("sed -i 's/^ssh/no-pty ssh/' {keys}"),
            "user:deploy",
            has_key.clone(),
        ),
        ("one more key", format!("echo '{OTHER_KEY}' >>{keys}"), "", has_key.clone()),
        (
            "a key of another beside ours",
            format!("sed -i /AAAAIJ4/d {keys}"),
            "user:deploy",
            format!("{has_key}; grep -qF '{OTHER_KEY}' {keys}"),
        ),
        (
            "one more key than exactly",
            format!("echo '{OTHER_KEY} me' >>/home/exact/.ssh/authorized_keys"),
            "user:exact",
            only_key.clone(),
        ),
        (
            "other keys than exactly",
            format!("echo 'no-pty {OTHER_KEY}' >/home/exact/.ssh/authorized_keys"),
            "user:exact",
            only_key.clone(),
        ),
        (
            "no home",
            "rm -r /srv/deploy".into(),
            "user:deploy",
            format!("test \"$(stat -c %u:%g /srv/deploy)\" = 2000:2000; {has_key}"),
        ),
        (
            "no home, without keys",
            "rm -r /home/shut".into(),
            "user:shut",
            "test \"$(stat -c %U /home/shut)\" = shut; test -f /home/shut/.profile".into(),
        ),
        (
            "a home that is to be absent",
            "install -d -o app /srv/app; touch /srv/app/x".into(),
            "user:app",
            "test ! -e /srv/app".into(),
        ),
        (
            "no user",
            "userdel deploy".into(),
            "user:deploy group:deploy group:ops group:few",
            format!(
                "{}; {}; {}; {}; {}; {has_key}",
                field(3, "2000"),
                field(4, "2000"),
                shadow(2, HASH),
                in_group("deploy", "adm"),
                in_group("deploy", "ops"),
            ),
        ),
        (
            "no user and no home",
            "userdel -r deploy".into(),
            "user:deploy group:deploy group:ops group:few",
            format!("{}; {}; {has_key}", shadow(8, "25567"), in_group("deploy", "few")),
        ),
        (
            "no password entry",
            "sed -i /^deploy:/d /etc/shadow".into(),
            "user:deploy",
            format!("{}; {}; {}", shadow(2, HASH), shadow(5, "90"), shadow(8, "25567")),
        ),
        (
            "a user that is to be absent",
            "useradd -m gone".into(),
            "user:gone",
            "! getent passwd gone; test -d /home/gone; ! getent group gone".into(),
        ),
        (
            "gid",
            "groupmod -g 2222 deploy".into(),
            "group:deploy",
            "getent group deploy | grep -q ':2000:'; id -g deploy | grep -qx 2000".into(),
        ),
        ("not a member", "gpasswd -d deploy ops".into(), "group:ops", in_group("deploy", "ops")),
        ("one more member", "gpasswd -a games ops".into(), "", in_group("games", "ops")),
        (
            "one more member than exactly",
            "gpasswd -a games few".into(),
            "group:few",
            "getent group few | grep -q ':deploy$'".into(),
        ),
        (
            "another member than exactly",
            "gpasswd -M games,bin few".into(),
            "group:few",
            "getent group few | grep -q ':deploy$'".into(),
        ),
        (
            "a member that does not exist",
            "sed -i 's/^few:.*/&,ghost/' /etc/group".into(),
            "group:few",
            "getent group few | grep -q ':deploy$'".into(),
        ),
        (
            "a member where none is",
            "gpasswd -a games none".into(),
            "group:none",
            "getent group none | grep -q ':$'".into(),
        ),
        ("no group", "groupdel any".into(), "group:any", "getent group any".into()),
        (
            "renamed group",
            "groupmod -n many any".into(),
            "group:any",
            "getent group any; getent group many".into(),
        ),
        (
            "no group that has members",
            "groupdel ops".into(),
            "group:ops user:exact",
            format!("{}; {}", in_group("deploy", "ops"), in_group("exact", "ops")),
        ),
    ];
    let rows: Vec<Row<'_>> = table.iter().map(|(a, b, c, d)| (*a, &**b, *c, &**d)).collect();
    each_is_repaired(&machine, &rows);
}

#[test]
fn accounts_go_and_what_cannot_be_mended_says_why() {
    let Some(machine) = Machine::boot() else { return };
    keep(&machine, &server(), &[]);

    // The number belongs to another.
    machine.sh("groupmod -n other deploy; usermod -u 2345 deploy; useradd -u 2000 -M squatter");
    let said = run(&machine, &[]);
    assert_eq!(said.exit, 4, "{said:#?}");
    assert_eq!(said.because("group:deploy"), r#"["gid 2000 belongs to group other"]"#);
    machine.sh("userdel squatter; groupmod -n deploy other; usermod -u 2000 deploy");
    assert_eq!(run(&machine, &[]).outcomes(), []);

    // The keys of an ordinary user need a home, and so it is made; what was in the old one is not ours.
    machine.sh("mv /home/exact /home/away");
    let said = run(&machine, &[]);
    assert_eq!(said.outcomes(), [("user:exact".to_owned(), "repaired".to_owned())]);
    machine.sh("rm -r /home/exact");
    machine.sh("mv /home/away /home/exact");

    // With processes, neither another uid nor the end.
    machine.sh("usermod -u 2222 deploy");
    let busy = machine.spawn(&["setpriv", "--reuid=2222", "--clear-groups", "sleep", "infinity"]);
    machine.sh("until pgrep -u 2222 sleep; do :; done");
    let dry = run(&machine, &["--dry-run"]);
    let said = run(&machine, &[]);
    assert_eq!(said.outcomes(), [("user:deploy".to_owned(), "not-kept".to_owned())]);
    assert_eq!(dry.outcomes(), said.outcomes());
    let why = said.because("user:deploy");
    assert!(
        why.contains("the uid cannot change while the user has processes") && why.contains("sleep"),
        "{why}"
    );
    machine.server_model(&[("servers/web.yaml", "server: web\nusers: { deploy: absent }\n")]);
    let said = run(&machine, &[]);
    assert_eq!(said.outcomes(), [("user:deploy".to_owned(), "not-kept".to_owned())]);
    assert!(said.because("user:deploy").contains("sleep"), "{said:#?}");
    assert_eq!(machine.run(&["getent", "passwd", "deploy"]).status, 0);
    let ends = "server: web\nusers: { deploy: { state: absent, end_sessions: true, remove_home: true } }\n";
    machine.server_model(&[("servers/web.yaml", ends)]);
    let dry = run(&machine, &["--dry-run"]);
    let said = run(&machine, &[]);
    assert_eq!(said.outcomes(), [("user:deploy".to_owned(), "repaired".to_owned())], "{said:#?}");
    assert_eq!(super::drift::came_true(&dry, &said), [""; 0]);
    drop(busy);
    machine.sh("! getent passwd deploy; test ! -e /srv/deploy; ! pgrep -x sleep");

    // A group that is somebody's primary group stays.
    let groups =
        "server: web\ngroups: { exact: absent, any: absent, few: absent, unheard-of: absent }\n";
    machine.server_model(&[("servers/web.yaml", groups)]);
    let said = run(&machine, &[]);
    let expected =
        [("group:any", "repaired"), ("group:exact", "not-kept"), ("group:few", "repaired")];
    let mut outcomes = said.outcomes();
    outcomes.sort();
    assert_eq!(outcomes, expected.map(|(a, b)| (a.to_owned(), b.to_owned())), "{said:#?}");
    assert!(said.because("group:exact").contains("exact"), "{said:#?}");
    machine.sh("! getent group any; getent group exact");

    // The home stays, and the plan says where.
    machine.server_model(&[("servers/web.yaml", "server: web\nusers: { shut: absent }\n")]);
    let text = machine.steadfast(&["run", "--dry-run", "--model", "/srv/model"]);
    assert!(text.status == 0 && text.stdout.contains("/home/shut"), "{}", text.stdout);
    assert_eq!(run(&machine, &[]).outcomes(), [("user:shut".to_owned(), "repaired".to_owned())]);
    machine.sh("! getent passwd shut; test -d /home/shut");
}

#[test]
fn what_a_user_and_a_service_make_is_purged_from_no_directory() {
    let Some(machine) = Machine::boot() else { return };
    let server = format!(
        r#"server: web
users: {{ keyed: {{ home: /srv/people/keyed, ssh_keys: ["{KEY} a"] }}, exact: {{ ssh_keys: {{ exactly: ["{KEY}"] }} }} }}
services: {{ cron: {{ enabled: true, running: true }} }}
directories:
  /srv/people: {{ purge: true, force: true }}
  /srv/people/keyed/.ssh: {{ owner: keyed, group: keyed, mode: "0700", purge: true }}
  /home/exact/.ssh: {{ owner: exact, group: exact, mode: "0700", purge: true }}
  /etc/systemd/system/multi-user.target.wants: {{ purge: true, force: true }}
"#
    );
    machine.sh("mkdir -p /srv/people/stranger; touch /srv/people/stranger/file");
    keep(&machine, &server, &[]);
    machine.sh("grep -qF 'AAAA' /srv/people/keyed/.ssh/authorized_keys");
    machine.sh("grep -qF 'AAAA' /home/exact/.ssh/authorized_keys");
    machine.sh("test -L /etc/systemd/system/multi-user.target.wants/cron.service");
    machine.sh("test ! -e /srv/people/stranger");
    machine.sh("echo 'ssh-rsa AAAA b' > /srv/people/keyed/.ssh/authorized_keys2");
    let real = run(&machine, &[]);
    assert_eq!(
        real.outcomes(),
        [("directory:/srv/people/keyed/.ssh".to_owned(), "repaired".to_owned())],
        "{}",
        real.stderr
    );
    machine.sh("test ! -e /srv/people/keyed/.ssh/authorized_keys2");
    machine.sh("grep -qF 'AAAA' /srv/people/keyed/.ssh/authorized_keys");
}
