//! What other users of a machine try while the agent is its service: they hold, swap and fill whatever they can
//! reach, and the machine is kept all the same.

use super::lab::installed::{DIRECTORY, installed, journal, kept, motd, settings, status, until};
use super::lab::machine::{Inside, Machine};

/// Drift is repaired, and root is answered.
#[track_caller]
fn goes_on(machine: &Machine, text: &str) {
    machine.write("/etc/motd", "drifted\n");
    until(machine, "repaired", || machine.text("/etc/motd") == format!("{text}\n"));
    let page = machine.run(&["steadfast", "status"]);
    assert_eq!(page.status, 0, "{page:#?}");
    assert!(page.stdout.contains("adopted"), "{page:#?}");
}

/// A process of another user, which is at its work once it has made this file.
fn begun(machine: &Machine, user: &str, script: &[&str], begun: &str) -> Inside {
    let inside = machine.spawn(&[&["runuser", "-u", user, "--"], script].concat());
    until(machine, "begun", || machine.exists(begun));
    inside
}

/// Those of the files below these directories that somebody who is nobody can open, for reading or for writing.
fn opened_by_nobody(machine: &Machine, folders: &[&str]) -> String {
    let all = machine.ok(&[&["find"], folders, &["-type", "f"]].concat());
    let all: Vec<&str> = all.lines().collect();
    assert!(all.iter().any(|it| it.ends_with("/state.db")), "{all:?}");
    let open = "for it in \"$@\"; do
        if (exec 9<\"$it\") 2>/dev/null || (exec 9>>\"$it\") 2>/dev/null; then echo \"$it\"; fi
        done";
    let nobody = ["runuser", "-u", "nobody", "--", "sh", "-c", open, "sh"];
    machine.ok(&[&nobody[..], &all].concat())
}

const OURS: [&str; 3] = ["/run/steadfast", "/var/lib/steadfast", "/var/cache/steadfast"];

#[test]
fn no_other_user_can_open_a_file_of_ours_or_hold_a_lock_that_we_take() {
    let Some(machine) = installed() else { return };
    // As an older version has left them, and held by somebody who could open them then.
    let former = ["/run/steadfast/run.lock", "/run/steadfast/agent.lock"];
    machine.sh(&format!("for it in {}; do : >$it; chmod 0644 $it; done", former.join(" ")));
    let hold = "exec 8<\"$1\" 9<\"$2\"; flock 8; flock 9; : >/tmp/held; exec sleep infinity";
    let hold = ["sh", "-c", hold, "sh", former[0], former[1]];
    let _held = begun(&machine, "nobody", &hold, "/tmp/held");

    motd(&machine, "kept");
    settings(&machine, DIRECTORY);
    machine.ok(&["systemctl", "start", "steadfast"]);
    kept(&machine);
    goes_on(&machine, "kept");
    assert_eq!(opened_by_nobody(&machine, &OURS), "");
    // By hand it is no other.
    machine.ok(&["systemctl", "stop", "steadfast"]);
    let by_hand = ["steadfast", "run", "--model", "/srv/model", "--environment", "test"];
    machine.ok(&by_hand);
    machine.sh("mkdir -m 0755 /srv/state; echo drifted >/etc/motd");
    machine.ok(&[&by_hand[..], &["--state", "/srv/state"]].concat());
    assert_eq!(opened_by_nobody(&machine, &OURS), "");
    assert_eq!(opened_by_nobody(&machine, &["/srv/state"]), "");
    for lock in ["run.lock", "agent.lock"] {
        assert!(machine.exists(&format!("/run/steadfast/lock/{lock}")), "{lock}");
    }
    assert!(!former.iter().any(|it| machine.exists(it)));
    let again = ["sh", "-c", "flock -n \"$1\" true", "sh", "/run/steadfast/lock/run.lock"];
    let tried = machine.run(&[&["runuser", "-u", "nobody", "--"], &again[..]].concat());
    assert_ne!(tried.status, 0, "{tried:#?}");
    machine.ok(&["systemctl", "restart", "steadfast"]);
    kept(&machine);
    goes_on(&machine, "kept");
}

/// As node_exporter's: the one who owns it is no friend today.
const EXPORTER: &str = "useradd --system exporter; install -d -o exporter /var/lib/exporter
    echo precious >/etc/precious; chmod 0600 /etc/precious";

/// Puts links and fifos in the place of every name that there is or could be, over and over.
const SWAP: &str = "cd /var/lib/exporter; : >begun
    while :; do
        for it in steadfast.prom steadfast.prom.new steadfast.prom.tmp $(ls -A); do
            [ $it = begun ] && continue
            rm -f $it; ln -s /etc/precious $it; rm -f $it; mkfifo $it
        done
    done";

#[test]
fn whoever_owns_the_directory_of_the_metrics_leads_root_nowhere_and_holds_nobody_up() {
    let Some(machine) = installed() else { return };
    machine.sh(EXPORTER);
    motd(&machine, "kept");
    let textfile = "metrics: { textfile: /var/lib/exporter/steadfast.prom }";
    settings(&machine, &format!("{DIRECTORY}\n{textfile}"));
    // What lay at the names that were ever used.
    machine.sh("cd /var/lib/exporter
        ln -s /etc/precious steadfast.prom.new; mkfifo steadfast.prom
        chown -h exporter steadfast.prom.new steadfast.prom");
    machine.ok(&["systemctl", "start", "steadfast"]);
    kept(&machine);
    let written = || {
        let look = ["stat", "-c", "%F %a %U", "/var/lib/exporter/steadfast.prom"];
        machine.run(&look).stdout == "regular file 644 root\n"
            && machine.text("/var/lib/exporter/steadfast.prom").contains("steadfast_")
    };
    until(&machine, "metrics", written);

    let precious = || machine.text("/etc/precious");
    {
        let swap = ["sh", "-c", SWAP];
        let _swapping = begun(&machine, "exporter", &swap, "/var/lib/exporter/begun");
        // More often, and it would count as a fight over that file.
        for _ in 0..2 {
            goes_on(&machine, "kept");
            assert_eq!(precious(), "precious\n");
        }
    }
    // Once that has ended the numbers are there again.
    machine.ok(&["pkill", "-u", "exporter"]);
    goes_on(&machine, "kept");
    until(&machine, "metrics again", written);
    assert_eq!(precious(), "precious\n");
    let look = machine.ok(&["stat", "-c", "%a %U", "/etc/precious"]);
    assert_eq!(look, "600 root\n");
}

/// Connects as often as it can, says a part of a request on each, and holds them all.
const FILL: &str = r#"use IO::Socket::UNIX; use IO::Socket::INET; my @all;
    for my $it (1 .. 300) {
        my $one = $ARGV[0] =~ m{^/} ? IO::Socket::UNIX->new(Peer => $ARGV[0])
            : IO::Socket::INET->new(PeerAddr => $ARGV[0]);
        next unless $one;
        $SIG{PIPE} = 'IGNORE'; syswrite $one, "GET /metrics HTTP/1.1\r\nHost: x\r\n"; push @all, $one;
        if ($it == 200) { open(my $begun, '>', $ARGV[1]); }
    }
    while (1) { for my $one (@all) { syswrite $one, "a: b\r\n"; select undef, undef, undef, 0.02 } }"#;

/// Asks as whoever it is, and gives the answer's first line.
const ASK: &str = r#"use IO::Socket::UNIX; use IO::Socket::INET;
    my $one = $ARGV[0] =~ m{^/} ? IO::Socket::UNIX->new(Peer => $ARGV[0])
        : IO::Socket::INET->new(PeerAddr => $ARGV[0]);
    syswrite $one, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"; print scalar <$one>"#;

#[test]
fn nobody_takes_the_places_of_others_on_the_socket_or_the_port_of_the_metrics() {
    let Some(machine) = installed() else { return };
    machine.sh("for it in eve anna; do useradd -G adm $it; done");
    motd(&machine, "kept");
    let listen = "metrics: { listen: \"127.0.0.1:9270\" }";
    settings(&machine, &format!("{DIRECTORY}\n{listen}"));
    machine.ok(&["systemctl", "start", "steadfast"]);
    kept(&machine);

    let (socket, port) = ("/run/steadfast/agent.sock", "127.0.0.1:9270");
    let fill = |user: &str, place: &str, name: &str| {
        begun(&machine, user, &["perl", "-e", FILL, place, name], name)
    };
    let _eve = fill("eve", socket, "/tmp/eve");
    let _nobody = fill("nobody", port, "/tmp/nobody");
    let asked = |user: &str, place: &str| {
        machine.ok(&["runuser", "-u", user, "--", "perl", "-e", ASK, place])
    };
    goes_on(&machine, "kept");
    for _ in 0..5 {
        for (user, place) in [("root", socket), ("anna", socket), ("root", port), ("anna", port)] {
            assert_eq!(asked(user, place), "HTTP/1.1 200 OK\r\n", "{user} at {place}");
        }
    }
    // Nor does whoever holds a place keep it by saying a little more, again and again.
    let open = || {
        let pid = machine.ok(&["systemctl", "show", "-P", "MainPID", "steadfast"]);
        machine.names(&format!("/proc/{}/fd", pid.trim()), "").len()
    };
    assert!(open() < 200, "{}", journal(&machine));
    assert!(status(&machine)["last_run"].is_object());
}

/// Makes and removes names without end, each of them another one.
const NOISE: &str = r#"my ($place, $begun) = @ARGV; my $name = "x" x 200; my $it = 0;
    open(my $new, '>', "$place/$name.$$.0") or die;
    while (1) {
        rename "$place/$name.$$.$it", "$place/$name.$$." . ($it + 1) or die; $it++;
        if ($it == 20_000) { open(my $done, '>', $begun); }
    }"#;

#[test]
fn whoever_owns_a_directory_neither_leads_the_watch_elsewhere_nor_drowns_what_is_told() {
    let Some(machine) = installed() else { return };
    machine.sh("useradd eve; install -d -o eve /srv/eve");
    let theirs =
        "  /srv/eve/sub/motd: { content: \"theirs\\n\" }\n  /srv/eve/file: { content: \"x\\n\" }\n";
    let server = format!(
        "{}{theirs}directories:\n  /srv/eve/sub: {{ owner: eve }}\n",
        super::lab::installed::server("kept")
    );
    machine.server_model(&[("servers/web.yaml", &server)]);
    settings(&machine, DIRECTORY);
    machine.ok(&["systemctl", "start", "steadfast"]);
    kept(&machine);

    // What is promised below their directory, they lead to where root's lies; both have one name.
    machine.sh("runuser -u eve -- sh -c 'mv /srv/eve/sub /srv/eve/mine; ln -s /etc /srv/eve/sub'");
    until(&machine, "told", || {
        let told = machine.ok(&["journalctl", "-u", "steadfast", "-o", "cat", "--no-pager"]);
        told.contains("directory:/srv/eve/sub is not kept")
    });
    goes_on(&machine, "kept");

    let noise = |begun: &str| flood(&machine, begun);
    let _all = ["/tmp/one", "/tmp/two", "/tmp/three"].map(noise);
    for _ in 0..2 {
        goes_on(&machine, "kept");
    }
    let told = machine.ok(&["journalctl", "-u", "steadfast", "-o", "cat", "--no-pager"]);
    assert!(told.matches("changes came faster").count() <= 1, "{told}");
}

/// Another process of eve's that does so in her directory.
pub(super) fn flood(machine: &Machine, name: &str) -> Inside {
    begun(machine, "eve", &["perl", "-e", NOISE, "/srv/eve", name], name)
}
