//! Users without any privilege who do what they can against a revision: it is adopted all the same, the rest of
//! it is kept, and no node goes back for what anybody could have made.

use super::lab::installed::{
    DIRECTORY, installed, is_idle, journal, kept, revision, settings, until, wait_for,
};
use serde_json::{Value, json};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDaQXvUYi0WCw6sGaPT1s7NShBxRjodeJ/EBbajCzwqg ci";

const BEFORE: &str = "server: web
files:
  /etc/motd: { content: \"one\\n\" }
  /etc/theirs.conf: { edits: [{ line: \"b 1\" }], create: true }
  /srv/theirs/app/file: { content: \"one\\n\" }
users:
  leaver: present
  respawner: present
  mover: { uid: 2500 }
  linked: present
  swapping: present
";

fn after() -> String {
    format!(
        "server: web
files:
  /etc/motd: {{ content: \"two\\n\" }}
  /etc/theirs.conf: {{ edits: [{{ line: \"b 2\" }}], create: true }}
  /srv/theirs/app/file: {{ content: \"two\\n\" }}
users:
  leaver: absent
  respawner: {{ state: absent, end_sessions: true }}
  mover: {{ uid: 2400 }}
  linked: {{ ssh_keys: [\"{KEY}\"] }}
  swapping: {{ ssh_keys: [\"{KEY}\"] }}
"
    )
}

/// What each of them does, by their own processes.
const RESISTANCE: &str = "
    cat >/usr/local/bin/respawn <<'end'
#!/bin/sh
# Ends as soon as another one runs, so that no list of processes holds all of them.
trap '' TERM
setsid \"$0\" &
sleep 0.1
end
    cat >/usr/local/bin/swap <<'end'
#!/bin/sh
cd; mkdir -p one
while :; do rm -rf .ssh; ln -s one .ssh; rm -f .ssh; mkdir .ssh; touch .ssh/authorized_keys; done
end
    chmod 0755 /usr/local/bin/respawn /usr/local/bin/swap
    runuser -u leaver -- setsid sleep infinity >/dev/null 2>&1 </dev/null &
    runuser -u mover -- setsid sleep infinity >/dev/null 2>&1 </dev/null &
    runuser -u respawner -- setsid respawn >/dev/null 2>&1 </dev/null &
    runuser -u linked -- ln -s /root/.ssh /home/linked/.ssh
    runuser -u swapping -- env HOME=/home/swapping setsid swap >/dev/null 2>&1 </dev/null &
    chown linked /etc/theirs.conf /srv/theirs
    runuser -u linked -- sh -c 'head -c 20000000 /dev/zero >/etc/theirs.conf'
    runuser -u linked -- sh -c 'mv /srv/theirs/app /srv/theirs/old; ln -s /root /srv/theirs/app'
";

#[test]
fn users_who_resist_bring_no_node_back() {
    let Some(machine) = installed() else { return };
    machine.sh("mkdir -p /srv/theirs/app /root/.ssh; chmod 0700 /root/.ssh");
    machine.server_model(&[("servers/web.yaml", BEFORE)]);
    settings(&machine, DIRECTORY);
    machine.ok(&["systemctl", "start", "steadfast"]);
    let first = kept(&machine);
    assert_eq!(first["last_run"]["not_kept"], json!([]), "{first:#}");
    let first = revision(&first);

    machine.sh("systemctl stop steadfast");
    machine.sh(RESISTANCE);
    machine.server_model(&[("servers/web.yaml", &after())]);
    machine.ok(&["systemctl", "start", "steadfast"]);
    let adopted = |it: &Value| revision(it) != first && is_idle(it) && it["trying"].is_null();
    let now = wait_for(&machine, "adopted for good", adopted);
    assert_eq!(now["bad"], json!([]), "{now:#}\n{}", journal(&machine));
    assert_eq!(machine.text("/etc/motd"), "two\n", "{now:#}");
    // They did resist; who races may lose.
    let told = machine.ok(&["journalctl", "-u", "steadfast", "-o", "cat", "--no-pager"]);
    for sure in ["user:leaver", "user:mover", "user:linked", "file:/etc/theirs.conf"] {
        assert!(told.contains(&format!("{sure} is not kept")), "{sure}: {told}");
    }
    assert!(!told.contains("rolling back"), "{told}");
    assert_eq!(machine.ok(&["ls", "-A", "/root/.ssh"]), "", "root's own keys");
    assert!(!machine.exists("/root/file"), "what belongs to them was written beyond a link");

    // Once they are gone, the rest of the revision is kept as well.
    machine.sh("loginctl kill-user leaver mover swapping respawner 2>/dev/null || true
        for user in leaver mover swapping respawner; do
            until ! pkill -KILL -u $user; do :; done
        done
        rm /home/linked/.ssh /etc/theirs.conf /srv/theirs/app; rm -rf /home/swapping/.ssh
        mkdir /srv/theirs/app; steadfast run >/root/again.txt 2>&1 || cat /root/again.txt");
    until(&machine, "all of it", || {
        let passwd = machine.text("/etc/passwd");
        !passwd.contains("leaver:") && passwd.contains("mover:x:2400:")
    });
    for user in ["linked", "swapping"] {
        assert!(machine.text(&format!("/home/{user}/.ssh/authorized_keys")).contains(KEY));
    }
}

/// Takes a lease on each of these files (F_SETLEASE of fcntl(2)), and again as often as it is broken.
const LEASE: &str = r#"$SIG{IO} = 'IGNORE'; my $begun = shift; my @all;
    for my $path (@ARGV) { open(my $one, '<', $path) or die; fcntl($one, 1024, 1) or die "$path: $!"; push @all, $one; }
    open(my $done, '>', $begun) or die;
    while (1) { fcntl($_, 1024, 1) for @all; select undef, undef, undef, 0.1 }"#;

const LEASED: [&str; 4] = [
    "/etc/written.conf",
    "/etc/moded.conf",
    "/etc/tree/leased",
    "/home/leasing/.ssh/authorized_keys",
];

fn with_leases(word: &str, mode: &str, keys: &str) -> String {
    format!(
        "server: web
files:
  /etc/motd: {{ content: \"{word}\\n\" }}
  /etc/written.conf: {{ content: \"{word}\\n\", owner: leasing }}
  /etc/moded.conf: {{ content: \"same\\n\", owner: leasing, mode: \"{mode}\" }}
directories:
  /etc/tree: {{ source: files/tree }}
users:
  leasing: {{ ssh_keys: {{ exactly: [{keys}] }} }}
"
    )
}

#[test]
fn a_lease_of_its_owner_keeps_neither_a_file_nor_a_key_as_it_is_and_brings_no_node_back() {
    let Some(machine) = installed() else { return };
    let other = KEY.replace("AAAAIDaQ", "AAAAIEaQ").replace(" ci", " lost");
    let model = |text: &str, tree: &str| {
        let tree = [("files/tree/leased", tree), ("files/tree/other", tree)];
        machine.server_model(&[&[("servers/web.yaml", text)][..], &tree].concat());
    };
    model(&with_leases("one", "0600", &format!("\"{KEY}\", \"{other}\"")), "one\n");
    settings(&machine, DIRECTORY);
    machine.ok(&["systemctl", "start", "steadfast"]);
    let first = kept(&machine);
    assert_eq!(first["last_run"]["not_kept"], json!([]), "{first:#}");
    let first = revision(&first);

    machine.sh("systemctl stop steadfast; chown leasing /etc/tree/leased");
    let lease = ["runuser", "-u", "leasing", "--", "perl", "-e", LEASE, "/tmp/begun"];
    let _leasing = machine.spawn(&[&lease[..], &LEASED].concat());
    until(&machine, "leased", || machine.exists("/tmp/begun"));
    model(&with_leases("two", "0644", &format!("\"{KEY}\"")), "two\n");
    machine.ok(&["systemctl", "start", "steadfast"]);
    let adopted = |it: &Value| revision(it) != first && is_idle(it) && it["trying"].is_null();
    let now = wait_for(&machine, "adopted for good", adopted);
    assert_eq!(now["bad"], json!([]), "{now:#}\n{}", journal(&machine));
    assert_eq!(now["last_run"]["not_kept"], json!([]), "{now:#}");
    for path in ["/etc/motd", "/etc/written.conf", "/etc/tree/leased", "/etc/tree/other"] {
        assert_eq!(machine.text(path), "two\n", "{path}");
    }
    assert_eq!(machine.ok(&["stat", "-c", "%a", "/etc/moded.conf"]), "644\n");
    let keys = machine.text("/home/leasing/.ssh/authorized_keys");
    assert!(keys.contains(KEY) && !keys.contains("lost"), "{keys}");
}

/// Second names and other things in the place of a file, made by its owner, who has taken all names that we might
/// move it to as well.
const NAMES: &str = "
    runuser -u linking -- sh -c 'cd; ln .ssh/authorized_keys held; ln /srv/theirs/moded.conf /srv/theirs/held
        mkdir .ssh/full; for number in $(seq 100); do touch .ssh/authorized_keys.not-used-$number; done'
    runuser -u pointing -- sh -c 'cd; mv .ssh/authorized_keys held; ln -s ../held .ssh/authorized_keys
        for number in $(seq 100); do touch .ssh/authorized_keys.not-used-$number; done'
    runuser -u filling -- sh -c 'cd; yes | head -c 2000000 >>.ssh/authorized_keys'
    runuser -u placing -- sh -c 'cd; mv .ssh/authorized_keys held; mkdir -p .ssh/authorized_keys/x'
";

#[test]
fn a_second_name_or_something_else_in_its_place_keeps_no_key_in_force_and_brings_no_node_back() {
    let Some(machine) = installed() else { return };
    let lost = KEY.replace("AAAAIDaQ", "AAAAIEaQ").replace(" ci", " lost");
    let users = ["linking", "pointing", "filling", "placing"];
    let model = |word: &str, mode: &str, keys: &str| {
        let keys = |user: &&str| format!("  {user}: {{ ssh_keys: {{ exactly: [{keys}] }} }}\n");
        let users: String = users.iter().map(keys).collect();
        let text = format!(
            "server: web\nfiles:\n  /etc/motd: {{ content: \"{word}\\n\" }}\n  \
             /srv/theirs/moded.conf: {{ content: \"same\\n\", owner: linking, mode: \"{mode}\" }}\n\
             users:\n{users}"
        );
        machine.server_model(&[("servers/web.yaml", &*text)]);
    };
    machine.sh("mkdir -p /srv/theirs");
    model("one", "0644", &format!("\"{KEY}\", \"{lost}\""));
    settings(&machine, DIRECTORY);
    machine.ok(&["systemctl", "start", "steadfast"]);
    let first = kept(&machine);
    assert_eq!(first["last_run"]["not_kept"], json!([]), "{first:#}");
    let first = revision(&first);

    machine.sh("systemctl stop steadfast; chown linking /srv/theirs");
    machine.sh(NAMES);
    assert_eq!(
        machine.sh("stat -c %h /home/linking/.ssh/authorized_keys /srv/theirs/moded.conf"),
        "2\n2\n"
    );
    model("two", "0600", &format!("\"{KEY}\""));
    machine.ok(&["systemctl", "start", "steadfast"]);
    let adopted = |it: &Value| revision(it) != first && is_idle(it) && it["trying"].is_null();
    let now = wait_for(&machine, "adopted for good", adopted);
    assert_eq!(now["bad"], json!([]), "{now:#}\n{}", journal(&machine));
    assert_eq!(now["last_run"]["not_kept"], json!([]), "{now:#}");
    for user in users {
        let keys = machine.text(&format!("/home/{user}/.ssh/authorized_keys"));
        assert!(keys.contains(KEY) && !keys.contains("lost"), "{user}: {keys}");
        let named = format!("/home/{user}/.ssh/authorized_keys");
        assert_eq!(machine.ok(&["stat", "-c", "%h %a %U", &named]), format!("1 600 {user}\n"));
    }
    let moded = machine.ok(&["stat", "-c", "%h %a", "/srv/theirs/moded.conf"]);
    assert_eq!(moded, "1 600\n", "{now:#}");
    // Nothing was done to what the other names are of.
    assert_eq!(machine.ok(&["stat", "-c", "%a", "/srv/theirs/held"]), "644\n");
    assert!(machine.text("/home/pointing/held").contains("lost"));
}
