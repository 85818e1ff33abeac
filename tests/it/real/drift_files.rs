//! Drift of files, directories, links and cron jobs.

use std::cell::RefCell;

use super::drift::{Row, came_true, each_is_repaired, keep};
use super::lab::machine::Machine;
use super::lab::model::run;

const SERVER: &str = r##"server: web
parameters: { who: world }
files:
  /srv/f/plain: { content: "plain\n", owner: games, group: mail, mode: "0640" }
  /srv/f/only-content: { content: "only\n" }
  /srv/f/base64: { content_base64: aGVsbG8A/w== }
  /srv/f/template: { template: templates/t.j2, variables: { extra: more } }
  /srv/f/source: { source: files/script.sh, mode: "0755" }
  /srv/f/once: { content: "once\n", replace: false, mode: "0600" }
  /srv/f/owned: { owner: games, mode: "u=rw,g=r,o=" }
  /srv/f/valid: { content: "good\n", validate: [grep, -q, good, "{file}"] }
  /srv/f/forced: { content: "forced\n", force: true }
  /srv/f/hidden: { content: "hidden\n", sensitive: true }
  /srv/f/gone: absent
  /srv/f/edited:
    create: true
    mode: "0644"
    edits:
      - { line: "whole line" }
      - { line: "PORT=1", match: "^#?PORT=" }
      - { line: "bad", absent: true }
      - { block: "one\ntwo\n", name: mine }
      - { key: level, value: high, section: deep }
  /srv/tree/a/promised: { content: "own\n", mode: "0600" }
  /srv/purged/kept: { content: "kept\n" }
  /srv/capped/kept: { content: "kept\n" }
directories:
  /srv/f: { owner: root, mode: "0755" }
  /srv/d: { owner: games, group: mail, mode: "2750" }
  /srv/tree: { owner: games, group: mail, mode: "u=rwX,g=rX,o=", recurse: true, ignore: ["*.sock"] }
  /srv/tree/a: {}
  /srv/modes: { mode: "0750", file_mode: "0640", recurse: true }
  /srv/from: { source: files/from }
  /srv/purged: { purge: true, force: true, ignore: ["*.keep"] }
  /srv/capped: { purge: true, purge_max: 2 }
  /srv/forced: { force: true }
  /srv/gone: { state: absent, force: true }
links:
  /srv/f/link: plain
  /srv/f/owned-link: { target: /srv/d, owner: games, group: mail }
  /srv/f/forced-link: { target: /srv/d, force: true }
  /srv/f/gone-link: absent
cron:
  job: { schedule: "*/15 * * * *", user: games, command: "echo 100% > /dev/null", environment: { MAILTO: "ops@example.test" } }
  gone: absent
"##;

const MODEL: &[(&str, &str)] = &[
    ("templates/t.j2", "hello {{ who }} and {{ extra }}\n"),
    ("files/script.sh", "#!/bin/sh\n"),
    ("files/from/one", "1\n"),
    ("files/from/sub/two", "2\n"),
];

const EDITED: &str = "first\n# a\nPORT=1\n[deep]\nlevel = high\n";

const ROWS: &[Row<'static>] = &[
    (
        "content",
        "echo other >/srv/f/plain",
        "file:/srv/f/plain",
        "test \"$(cat /srv/f/plain)\" = plain; stat -c '%U %G %a' /srv/f/plain | grep -qx 'games mail 640'",
    ),
    (
        "truncated",
        "truncate -s 0 /srv/f/plain",
        "file:/srv/f/plain",
        "test \"$(cat /srv/f/plain)\" = plain",
    ),
    (
        "no last newline",
        "printf plain >/srv/f/plain",
        "file:/srv/f/plain",
        "test \"$(wc -c </srv/f/plain)\" = 6",
    ),
    (
        "same size and time",
        "touch -r /srv/f/plain /root/t; printf 'PLAIN\n' >/srv/f/plain; touch -r /root/t /srv/f/plain",
        "file:/srv/f/plain",
        "test \"$(cat /srv/f/plain)\" = plain",
    ),
    (
        "binary",
        "head -c 5000 /dev/urandom >/srv/f/plain",
        "file:/srv/f/plain",
        "test \"$(cat /srv/f/plain)\" = plain",
    ),
    (
        "removed",
        "rm /srv/f/plain",
        "file:/srv/f/plain",
        "test \"$(cat /srv/f/plain)\" = plain; stat -c '%U %G %a' /srv/f/plain | grep -qx 'games mail 640'",
    ),
    (
        "moved away",
        "mv /srv/f/plain /srv/f/moved",
        "file:/srv/f/plain",
        "test \"$(cat /srv/f/plain /srv/f/moved)\" = \"$(printf 'plain\nplain')\"",
    ),
    (
        "mode",
        "chmod 0644 /srv/f/plain",
        "file:/srv/f/plain",
        "stat -c %a /srv/f/plain | grep -qx 640",
    ),
    (
        "setuid",
        "chmod u+s /srv/f/plain",
        "file:/srv/f/plain",
        "stat -c %a /srv/f/plain | grep -qx 640",
    ),
    (
        "owner",
        "chown root /srv/f/plain",
        "file:/srv/f/plain",
        "stat -c %U /srv/f/plain | grep -qx games",
    ),
    (
        "group",
        "chgrp root /srv/f/plain",
        "file:/srv/f/plain",
        "stat -c %G /srv/f/plain | grep -qx mail",
    ),
    (
        "owner without a name",
        "chown 4242:4343 /srv/f/plain",
        "file:/srv/f/plain",
        "stat -c '%U %G' /srv/f/plain | grep -qx 'games mail'",
    ),
    (
        "all of it",
        "echo x >/srv/f/plain; chmod 0777 /srv/f/plain; chown root:root /srv/f/plain",
        "file:/srv/f/plain",
        "test \"$(cat /srv/f/plain)\" = plain; stat -c '%U %G %a' /srv/f/plain | grep -qx 'games mail 640'",
    ),
    (
        "a link in its place",
        "echo theirs >/root/t; ln -sf /root/t /srv/f/plain",
        "file:/srv/f/plain",
        "test ! -L /srv/f/plain; test \"$(cat /srv/f/plain /root/t)\" = \"$(printf 'plain\ntheirs')\"",
    ),
    (
        "a dead link in its place",
        "ln -sf /nowhere /srv/f/plain",
        "file:/srv/f/plain",
        "test -f /srv/f/plain; test ! -e /nowhere",
    ),
    (
        "a hard link to it",
        "ln /srv/f/plain /srv/f/second; echo x >/srv/f/second",
        "file:/srv/f/plain",
        "test \"$(cat /srv/f/plain /srv/f/second)\" = \"$(printf 'plain\nx')\"",
    ),
    (
        "immutable attributes of others stay: mode that nobody promised",
        "chmod 0600 /srv/f/only-content; chown games /srv/f/only-content",
        "",
        "true",
    ),
    (
        "content, with a mode that nobody promised",
        "echo x >/srv/f/only-content",
        "file:/srv/f/only-content",
        "stat -c '%a %U' /srv/f/only-content | grep -qx '600 games'; test \"$(cat /srv/f/only-content)\" = only",
    ),
    (
        "bytes",
        "printf 'hello' >/srv/f/base64",
        "file:/srv/f/base64",
        "test \"$(od -An -tx1 /srv/f/base64 | tr -d ' ')\" = 68656c6c6f00ff",
    ),
    (
        "template",
        "echo hello >/srv/f/template",
        "file:/srv/f/template",
        "test \"$(cat /srv/f/template)\" = 'hello world and more'",
    ),
    (
        "source",
        "echo '#!/bin/false' >/srv/f/source",
        "file:/srv/f/source",
        "test \"$(cat /srv/f/source)\" = '#!/bin/sh'; test -x /srv/f/source",
    ),
    (
        "content that is not replaced",
        "echo twice >/srv/f/once",
        "",
        "test \"$(cat /srv/f/once)\" = twice",
    ),
    (
        "mode of one that is not replaced",
        "chmod 0644 /srv/f/once",
        "file:/srv/f/once",
        "test \"$(cat /srv/f/once)\" = twice; stat -c %a /srv/f/once | grep -qx 600",
    ),
    (
        "one that is not replaced is removed",
        "rm /srv/f/once",
        "file:/srv/f/once",
        "test \"$(cat /srv/f/once)\" = once",
    ),
    (
        "symbolic mode",
        "chmod 0777 /srv/f/owned",
        "file:/srv/f/owned",
        "stat -c %a /srv/f/owned | grep -qx 640",
    ),
    (
        "owner alone",
        "chown root /srv/f/owned",
        "file:/srv/f/owned",
        "stat -c %U /srv/f/owned | grep -qx games",
    ),
    (
        "content with validation",
        "echo x >/srv/f/valid",
        "file:/srv/f/valid",
        "test \"$(cat /srv/f/valid)\" = good",
    ),
    (
        "a directory in place of a forced file",
        "rm /srv/f/forced; mkdir -p /srv/f/forced/x/y; touch /srv/f/forced/x/y/z",
        "file:/srv/f/forced",
        "test \"$(cat /srv/f/forced)\" = forced",
    ),
    (
        "a fifo in place of a forced file",
        "rm /srv/f/forced; mkfifo /srv/f/forced",
        "file:/srv/f/forced",
        "test \"$(cat /srv/f/forced)\" = forced",
    ),
    (
        "sensitive content",
        "echo x >/srv/f/hidden",
        "file:/srv/f/hidden",
        "test \"$(cat /srv/f/hidden)\" = hidden; stat -c %a /srv/f/hidden | grep -qx 600",
    ),
    (
        "a file that is to be absent",
        "echo x >/srv/f/gone",
        "file:/srv/f/gone",
        "test ! -e /srv/f/gone",
    ),
    (
        "a link that leads where a file is to be absent",
        "ln -s plain /srv/f/gone",
        "file:/srv/f/gone",
        "test ! -L /srv/f/gone; test -e /srv/f/plain",
    ),
    (
        "a line edited away",
        "sed -i 's/whole line/half line/' /srv/f/edited",
        "file:/srv/f/edited",
        "grep -qx 'whole line' /srv/f/edited; grep -qx 'half line' /srv/f/edited; sed -i '/half line/d' /srv/f/edited",
    ),
    (
        "a matching line",
        "sed -i 's/^PORT=1/#PORT=22/' /srv/f/edited",
        "file:/srv/f/edited",
        "test \"$(grep -n PORT /srv/f/edited)\" = 3:PORT=1",
    ),
    (
        "a line that is to be absent",
        "sed -i '1i bad' /srv/f/edited",
        "file:/srv/f/edited",
        "! grep bad /srv/f/edited",
    ),
    (
        "a line inside the block",
        "sed -i '/^two$/d' /srv/f/edited",
        "file:/srv/f/edited",
        "grep -qx two /srv/f/edited",
    ),
    (
        "no block",
        "sed -i '/BEGIN/,/END/d' /srv/f/edited",
        "file:/srv/f/edited",
        "grep -qx 'one' /srv/f/edited; test \"$(grep -c steadfast /srv/f/edited)\" = 2",
    ),
    (
        "a key",
        "sed -i 's/^level.*/level = low/' /srv/f/edited",
        "file:/srv/f/edited",
        "grep -qx 'level = high' /srv/f/edited",
    ),
    (
        "a key twice",
        "echo 'level = low' >>/srv/f/edited",
        "file:/srv/f/edited",
        "test \"$(grep -c level /srv/f/edited)\" = 1",
    ),
    (
        "no section",
        "sed -i '/deep/d; /level/d' /srv/f/edited",
        "file:/srv/f/edited",
        "grep -qx '\\[deep\\]' /srv/f/edited",
    ),
    ("other lines", "sed -i '1i another' /srv/f/edited", "", "grep -qx another /srv/f/edited"),
    (
        "mode of an edited file",
        "chmod 0600 /srv/f/edited",
        "file:/srv/f/edited",
        "stat -c %a /srv/f/edited | grep -qx 644",
    ),
    (
        "no edited file",
        "rm /srv/f/edited",
        "file:/srv/f/edited",
        "grep -qx PORT=1 /srv/f/edited; grep -qx two /srv/f/edited",
    ),
    (
        "directory mode",
        "chmod 0700 /srv/d",
        "directory:/srv/d",
        "stat -c %a /srv/d | grep -qx 2750",
    ),
    (
        "directory owner",
        "chown root /srv/d",
        "directory:/srv/d",
        "stat -c '%U %a' /srv/d | grep -qx 'games 2750'",
    ),
    (
        "directory group",
        "chgrp root /srv/d",
        "directory:/srv/d",
        "stat -c '%G %a' /srv/d | grep -qx 'mail 2750'",
    ),
    (
        "no directory",
        "rmdir /srv/d",
        "directory:/srv/d",
        "stat -c '%U %G %a' /srv/d | grep -qx 'games mail 2750'",
    ),
    (
        "a directory and what is in it",
        "rm -r /srv/purged",
        "directory:/srv/purged file:/srv/purged/kept",
        "test \"$(cat /srv/purged/kept)\" = kept",
    ),
    (
        "below a tree",
        "mkdir /srv/tree/new; touch /srv/tree/new/x /srv/tree/y; chmod 0755 /srv/tree/y; chmod 0600 /srv/tree/new/x; chmod 0700 /srv/tree/new",
        "directory:/srv/tree",
        "test \"$(stat -c '%U %G %a' /srv/tree/new /srv/tree/new/x /srv/tree/y)\" = \"$(printf 'games mail 750\ngames mail 640\ngames mail 750')\"",
    ),
    (
        "below a tree, owner alone",
        "chown root /srv/tree/new/x",
        "directory:/srv/tree",
        "stat -c %U /srv/tree/new/x | grep -qx games",
    ),
    (
        "below a tree, what is left alone",
        "ln -s /etc/passwd /srv/tree/link; touch /srv/tree/a.sock; chmod 0600 /srv/tree/a.sock",
        "",
        "test \"$(stat -c '%U %a' /srv/tree/a.sock /etc/passwd)\" = \"$(printf 'root 600\nroot 644')\"",
    ),
    (
        "below a tree, what has its own promise",
        "chmod 0644 /srv/tree/a/promised",
        "file:/srv/tree/a/promised",
        "stat -c %a /srv/tree/a/promised | grep -qx 600",
    ),
    (
        "modes of directories and files",
        "mkdir /srv/modes/sub; touch /srv/modes/sub/x; chmod 0777 /srv/modes/sub/x",
        "directory:/srv/modes",
        "test \"$(stat -c %a /srv/modes/sub /srv/modes/sub/x)\" = \"$(printf '750\n640')\"",
    ),
    (
        "a source's file",
        "echo x >/srv/from/one",
        "directory:/srv/from",
        "test \"$(cat /srv/from/one)\" = 1",
    ),
    (
        "a source's directory",
        "rm -r /srv/from/sub",
        "directory:/srv/from",
        "test \"$(cat /srv/from/sub/two)\" = 2",
    ),
    ("beside a source's files", "touch /srv/from/other", "", "test -e /srv/from/other"),
    (
        "purge",
        "mkdir -p /srv/purged/x/y; touch /srv/purged/x/y/z /srv/purged/w /srv/purged/v.keep; ln -s / /srv/purged/root",
        "directory:/srv/purged",
        "test \"$(ls /srv/purged)\" = \"$(printf 'kept\nv.keep')\"; test -e /etc/passwd",
    ),
    (
        "purge within the cap",
        "touch /srv/capped/1 /srv/capped/2; mkdir /srv/capped/folder",
        "directory:/srv/capped",
        "test \"$(ls /srv/capped)\" = \"$(printf 'folder\nkept')\"; rmdir /srv/capped/folder",
    ),
    (
        "a file in place of a forced directory",
        "rmdir /srv/forced; echo x >/srv/forced",
        "directory:/srv/forced",
        "test -d /srv/forced",
    ),
    (
        "a link in place of a forced directory",
        "rmdir /srv/forced; ln -s /etc /srv/forced",
        "directory:/srv/forced",
        "test ! -L /srv/forced; test -d /srv/forced; test -e /etc/passwd",
    ),
    (
        "a directory that is to be absent",
        "mkdir -p /srv/gone/x; touch /srv/gone/x/y; ln -s /etc /srv/gone/etc",
        "directory:/srv/gone",
        "test ! -e /srv/gone; test -e /etc/passwd",
    ),
    (
        "link to elsewhere",
        "ln -sfn source /srv/f/link",
        "link:/srv/f/link",
        "test \"$(readlink /srv/f/link)\" = plain",
    ),
    ("no link", "rm /srv/f/link", "link:/srv/f/link", "test \"$(readlink /srv/f/link)\" = plain"),
    (
        "owner of a link",
        "chown -h root:root /srv/f/owned-link",
        "link:/srv/f/owned-link",
        "stat -c '%U %G' /srv/f/owned-link | grep -qx 'games mail'",
    ),
    (
        "owner and target of a link",
        "ln -sfn / /srv/f/owned-link",
        "link:/srv/f/owned-link",
        "stat -c '%N %U %G' /srv/f/owned-link | grep -qx \"'/srv/f/owned-link' -> '/srv/d' games mail\"",
    ),
    (
        "a file in place of a forced link",
        "rm /srv/f/forced-link; echo x >/srv/f/forced-link",
        "link:/srv/f/forced-link",
        "test \"$(readlink /srv/f/forced-link)\" = /srv/d",
    ),
    (
        "a directory in place of a forced link",
        "rm /srv/f/forced-link; mkdir -p /srv/f/forced-link/x",
        "link:/srv/f/forced-link",
        "test \"$(readlink /srv/f/forced-link)\" = /srv/d",
    ),
    (
        "a link that is to be absent",
        "ln -s plain /srv/f/gone-link",
        "link:/srv/f/gone-link",
        "test ! -L /srv/f/gone-link",
    ),
    (
        "schedule",
        "sed -i 's,^\\*/15,*/20,' /etc/cron.d/job",
        "cron:job",
        "grep -q '^\\*/15 ' /etc/cron.d/job",
    ),
    (
        "cron user",
        "sed -i 's/games/root/' /etc/cron.d/job",
        "cron:job",
        "grep -q ' games ' /etc/cron.d/job",
    ),
    (
        "cron command",
        "sed -i 's/100/200/' /etc/cron.d/job",
        "cron:job",
        "grep -qF 'echo 100\\% > /dev/null' /etc/cron.d/job",
    ),
    (
        "cron environment",
        "sed -i '/MAILTO/d' /etc/cron.d/job",
        "cron:job",
        "grep -q '^MAILTO=.*ops@example.test' /etc/cron.d/job",
    ),
    (
        "one more cron line",
        "echo '* * * * * root true' >>/etc/cron.d/job",
        "cron:job",
        "! grep -q true /etc/cron.d/job",
    ),
    (
        "cron mode",
        "chmod 0664 /etc/cron.d/job",
        "cron:job",
        "stat -c %a /etc/cron.d/job | grep -qx 644",
    ),
    (
        "cron owner",
        "chown games:games /etc/cron.d/job",
        "cron:job",
        "stat -c '%U %G' /etc/cron.d/job | grep -qx 'root root'",
    ),
    ("no job", "rm /etc/cron.d/job", "cron:job", "grep -q games /etc/cron.d/job"),
    (
        "a renamed job",
        "mv /etc/cron.d/job /etc/cron.d/job.off",
        "cron:job",
        "grep -q games /etc/cron.d/job",
    ),
    (
        "a link in place of a job",
        "mv /etc/cron.d/job /root/job; ln -s /root/job /etc/cron.d/job",
        "cron:job",
        "test ! -L /etc/cron.d/job",
    ),
    (
        "a second name of a job",
        "ln /etc/cron.d/job /etc/cron.d/second",
        "cron:job",
        "test \"$(stat -c %h /etc/cron.d/job)\" = 1",
    ),
    (
        "a job that is to be absent",
        "echo '* * * * * root true' >/etc/cron.d/gone",
        "cron:gone",
        "test ! -e /etc/cron.d/gone",
    ),
];

#[test]
fn every_drift_of_a_file_a_folder_a_link_or_a_job_is_repaired() {
    let Some(machine) = Machine::boot() else { return };
    machine.sh("mkdir /srv/f; touch /srv/f/owned");
    machine.write("/srv/f/edited", EDITED);
    keep(&machine, SERVER, MODEL);
    each_is_repaired(&machine, ROWS);
}

#[test]
fn what_is_in_the_way_or_cannot_be_is_not_kept_and_stays() {
    let Some(machine) = Machine::boot() else { return };
    machine.sh("mkdir /srv/f; touch /srv/f/owned");
    keep(&machine, SERVER, MODEL);
    let rows = [
        (
            "rm /srv/f/plain; mkdir /srv/f/plain",
            "file:/srv/f/plain",
            "a directory is in the way",
            "rmdir /srv/f/plain",
        ),
        (
            "rm /srv/f/plain; mkfifo /srv/f/plain",
            "file:/srv/f/plain",
            "is in the way",
            "rm /srv/f/plain",
        ),
        (
            "rmdir /srv/d; echo x >/srv/d",
            "directory:/srv/d",
            "a regular file is in the way",
            "grep -q x /srv/d; rm /srv/d",
        ),
        ("rmdir /srv/d; ln -s /etc /srv/d", "directory:/srv/d", "is in the way", "rm /srv/d"),
        (
            "rm /srv/f/link; echo x >/srv/f/link",
            "link:/srv/f/link",
            "a regular file is in the way",
            "rm /srv/f/link",
        ),
        ("mv /srv/f/owned /root/", "file:/srv/f/owned", "", "mv /root/owned /srv/f/"),
        (
            "touch /srv/capped/1 /srv/capped/2 /srv/capped/3",
            "directory:/srv/capped",
            "purge would remove 3 entries, more than 2",
            "rm /srv/capped/[123]",
        ),
        (
            "rm /etc/cron.d/job; mkdir /etc/cron.d/job",
            "cron:job",
            "directory",
            "rmdir /etc/cron.d/job",
        ),
        (
            "echo '# BEGIN steadfast mine' >>/srv/f/edited",
            "file:/srv/f/edited",
            "mine",
            "sed -i '$d' /srv/f/edited",
        ),
    ];
    let mut wrong = vec![];
    for (drift, promise, why, undo) in rows {
        machine.sh(drift);
        let before = machine.listing(&["/srv", "/etc/cron.d"], &["/srv/model"]);
        let dry = run(&machine, &["--dry-run"]);
        let real = run(&machine, &[]);
        let after = machine.listing(&["/srv", "/etc/cron.d"], &["/srv/model"]);
        if before != after {
            wrong.push(format!("{drift}: {:?}", super::lab::listing::changes(&before, &after)));
        }
        let expected = vec![(promise.to_owned(), "not-kept".to_owned())];
        if dry.outcomes() != expected
            || real.outcomes() != expected
            || real.exit != 4
            || dry.exit != 4
        {
            wrong.push(format!("{drift}: {:?}, {:?}", dry.outcomes(), real.outcomes()));
        }
        if !real.because(promise).contains(why) || real.because(promise) != dry.because(promise) {
            wrong.push(format!("{drift}: {} and {}", dry.because(promise), real.because(promise)));
        }
        machine.sh(undo);
        let mended = run(&machine, &[]);
        if mended.exit != 0 {
            wrong.push(format!("{undo}: {:?}", mended.outcomes()));
        }
    }

    // What the validator refuses does not take the place of what is there.
    let bad = SERVER.replace("\"good\\n\"", "\"evil\\n\"");
    machine.server_model(&[&[("servers/web.yaml", &*bad)], MODEL].concat());
    let real = run(&machine, &[]);
    if real.outcomes() != [("file:/srv/f/valid".to_owned(), "not-kept".to_owned())] {
        wrong.push(format!("{real:#?}"));
    }
    machine.sh("grep -qx good /srv/f/valid; test \"$(ls /srv/f | grep -c valid)\" = 1");
    assert_eq!(wrong, [""; 0]);
}

const SECRET: &str = "correct horse battery staple";

#[test]
fn a_secret_is_on_the_machine_and_nowhere_else() {
    let Some(machine) = Machine::boot() else { return };
    let server = r#"server: web
files:
  /srv/whole: { content: { secret: app/token } }
  /srv/template: { template: templates/t.j2, variables: { password: { secret: app/token } } }
  /srv/edited: { create: true, edits: [{ key: password, value: { secret: app/token } }] }
  /srv/other: { content: "other\n" }
users:
  app: { password_hash: { secret: app/hash } }
"#;
    let files = [
        ("servers/web.yaml", server),
        ("templates/t.j2", "user = app\npassword = {{ password }}\n"),
    ];
    machine.server_model(&files);
    let hash = "$6$abcdefgh$1wB0HDlSZBC8tx3Ja4sEnGc2T1DIbQtFCXV9XBUC8B8Dcrl8kT9jdMpYBfbPPyx1sSvAmyZGzqOQRvvzqYmJ0.";

    // Without the secret, what needs it is not kept and says so; the others go on.
    let dry = run(&machine, &["--dry-run"]);
    let real = run(&machine, &[]);
    assert_eq!((dry.exit, real.exit), (4, 4));
    for promise in ["file:/srv/whole", "file:/srv/template", "file:/srv/edited"] {
        assert!(
            real.outcomes().contains(&(promise.to_owned(), "not-kept".to_owned())),
            "{real:#?}"
        );
        assert!(real.because(promise).contains("app/token"), "{real:#?}");
    }
    assert!(real.because("user:app").contains("app/hash"), "{real:#?}");
    assert!(real.outcomes().contains(&("file:/srv/other".to_owned(), "repaired".to_owned())));
    machine.sh("test ! -e /srv/whole; test ! -e /srv/template; test ! -e /srv/edited");

    // Readable by others: just the same.
    machine.sh("mkdir -p -m 0700 /etc/steadfast/secrets/app");
    machine.write("/etc/steadfast/secrets/app/token", SECRET);
    machine.write("/etc/steadfast/secrets/app/hash", format!("{hash}\n"));
    machine.sh(
        "chmod 0644 /etc/steadfast/secrets/app/token; chmod 0600 /etc/steadfast/secrets/app/hash",
    );
    let open = run(&machine, &[]);
    assert_eq!(open.exit, 4);
    assert!(open.because("file:/srv/whole").contains("app/token"), "{open:#?}");
    machine.sh("test ! -e /srv/whole; chmod 0600 /etc/steadfast/secrets/app/token");

    let said = RefCell::new(String::new());
    let say = |arguments: &[&str]| {
        // Also the most that can be told of what is done.
        let arguments = [arguments, &["-vvv"]].concat();
        let output = machine.steadfast(&arguments);
        assert_eq!(output.status, 0, "{output:?}");
        *said.borrow_mut() += &format!("{}{}", output.stdout, output.stderr);
    };
    say(&["run", "--model", "/srv/model", "--dry-run"]);
    say(&["run", "--model", "/srv/model", "--dry-run", "--format", "json"]);
    say(&["run", "--model", "/srv/model"]);
    machine.sh(&format!(
        "grep -qx '{SECRET}' /srv/whole; grep -qx 'password = {SECRET}' /srv/template"
    ));
    machine.sh(&format!("grep -q '^password *= *{SECRET}$' /srv/edited"));
    machine.sh(&format!("test \"$(getent shadow app | cut -d: -f2)\" = '{hash}'"));
    machine.sh("test \"$(stat -c %a /srv/whole /srv/template | sort -u)\" = 600");
    // It is drifted, and mended, with the old content not shown either: it may be an old password.
    machine.sh("echo 'old password' >/srv/whole; sed -i 's/staple/paperclip/' /srv/template; echo x >>/srv/edited");
    machine.sh("sed -i /^password/d /srv/edited; usermod -p '$6$other$x' app");
    let dry = run(&machine, &["--dry-run"]);
    say(&["run", "--model", "/srv/model", "--dry-run"]);
    say(&["run", "--model", "/srv/model", "--dry-run", "--format", "json"]);
    let real = run(&machine, &[]);
    assert_eq!(came_true(&dry, &real), [""; 0]);
    *said.borrow_mut() += &format!("{real:?}");
    machine.sh(&format!(
        "test \"$(grep -l '{SECRET}' /srv/whole /srv/template /srv/edited | wc -l)\" = 3"
    ));
    machine.sh("echo 'old password' >/srv/whole");
    say(&["run", "--model", "/srv/model", "--format", "json"]);
    for promise in ["file:/srv/whole", "file:/srv/template", "/srv/edited", "user:app"] {
        say(&["explain", promise, "--model", "/srv/model"]);
    }
    say(&["history"]);
    for number in ["1", "2", "3", "4", "5"] {
        say(&["history", "show", number]);
        say(&["history", "show", number, "--format", "json"]);
    }
    let all = said.into_inner();
    for word in [SECRET, "paperclip", "old password", "1wB0HDlSZBC8tx3Ja4sEn", "$6$other"] {
        assert!(!all.contains(word), "{word}: {all}");
        // Neither in the history, nor in what is kept of replaced files, nor in the journal.
        machine.sh(&format!(
            "! grep -rlF -e '{word}' /var/lib/steadfast /run/steadfast /var/cache/steadfast /var/log 2>/dev/null"
        ));
        machine.sh(&format!("! journalctl -o cat | grep -F -e '{word}'"));
    }
    let base64 = "Y29ycmVjdCBob3JzZSBiYXR0ZXJ5IHN0YXBsZ";
    assert!(!all.contains(base64));
    assert_eq!(run(&machine, &[]).outcomes(), []);
}
