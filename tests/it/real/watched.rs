//! What is watched, where others do all they can to hide it: floods of events in the next directory, and mounts that
//! are laid over what was looked at.

use super::lab::installed::{DIRECTORY, installed, journal, kept, server, settings, status, until};
use super::lab::machine::Machine;
use super::others::flood;

/// A file in a directory of each of two users, and one of root's.
fn of_two_users() -> String {
    let theirs =
        "  /srv/eve/file: { content: \"x\\n\" }\n  /srv/ben/file: { content: \"kept\\n\" }\n";
    format!("{}{theirs}", server("kept"))
}

#[test]
fn whoever_floods_the_watch_in_one_directory_hides_nothing_in_that_of_another_user() {
    let Some(machine) = installed() else { return };
    machine.sh("for it in eve ben; do useradd $it; install -d -o $it /srv/$it; done");
    machine.server_model(&[("servers/web.yaml", &of_two_users())]);
    settings(&machine, DIRECTORY);
    machine.ok(&["systemctl", "start", "steadfast"]);
    kept(&machine);

    let _floods = ["/tmp/one", "/tmp/two", "/tmp/three"].map(|begun| flood(&machine, begun));
    for _ in 0..2 {
        // There is one event of it, in the middle of all the others. What is looked at often and found as promised is
        // looked at once a minute, so it may take that long.
        machine.ok(&["runuser", "-u", "ben", "--", "rm", "-f", "/srv/ben/file"]);
        until(&machine, "looked at again", || machine.exists("/srv/ben/file"));
        machine.write("/etc/motd", "drifted\n");
        until(&machine, "repaired", || machine.text("/etc/motd") == "kept\n");
    }
    assert_eq!(machine.text("/srv/ben/file"), "kept\n");
    let told = machine.ok(&["journalctl", "-u", "steadfast", "-o", "cat", "--no-pager"]);
    assert!(told.matches("changes came faster").count() <= 1, "{told}");
    assert!(
        status(&machine)["fights"].as_array().is_some_and(Vec::is_empty),
        "{}",
        journal(&machine)
    );
}

/// Runs by hand until there is nothing more to do, and gives what the last one printed.
#[track_caller]
fn keeps(machine: &Machine) -> String {
    let run = ["steadfast", "run", "--model", "/srv/model", "--environment", "test"];
    machine.ok(&run);
    machine.ok(&run)
}

#[test]
fn what_is_mounted_over_a_promised_file_or_its_directory_is_not_taken_for_what_was_there() {
    let Some(machine) = Machine::boot() else { return };
    machine.sh("mkdir -p /srv/real /srv/other /srv/bound; mount --bind /srv/real /srv/bound
        mount --make-private /srv/bound");
    let files = "server: web\nfiles:\n  /srv/bound/a: { content: \"kept\\n\" }\n  /etc/motd: { content: \"kept\\n\" }\n";
    machine.server_model(&[("servers/web.yaml", files)]);
    // Through a mount it is made where that leads, and then found unchanged.
    let quiet = keeps(&machine);
    assert!(quiet.contains("2 kept"), "{quiet}");
    assert_eq!(machine.text("/srv/real/a"), "kept\n");

    // Another directory over it, with a file that looks the same from outside: its size, its times, its owner.
    machine.sh("echo else >/srv/other/a; touch -r /srv/real/a /srv/other/a; chmod --reference=/srv/real/a /srv/other/a
        mount --bind /srv/other /srv/bound");
    keeps(&machine);
    assert_eq!(machine.text("/srv/bound/a"), "kept\n");
    assert_eq!(machine.text("/srv/other/a"), "kept\n");
    // What it hid was changed meanwhile, and comes back.
    machine.sh("echo else >/srv/real/a; umount /srv/bound");
    assert_eq!(machine.text("/srv/bound/a"), "else\n");
    keeps(&machine);
    assert_eq!(machine.text("/srv/real/a"), "kept\n");

    // A file over a file: its content is put right through the mount or told, and never said to be kept.
    machine.sh("echo else >/srv/motd; mount --bind /srv/motd /etc/motd");
    let run = machine.run(&["steadfast", "run", "--model", "/srv/model", "--environment", "test"]);
    let kept = machine.text("/etc/motd") == "kept\n";
    assert_eq!((run.status == 0, run.stdout.contains("not kept")), (kept, !kept), "{run:#?}");
    machine.sh("umount /etc/motd");
    let quiet = keeps(&machine);
    assert!(quiet.contains("2 kept"), "{quiet}");
    // And a whole file system that is mounted and gone again.
    machine.sh("mount -t tmpfs none /srv/bound");
    keeps(&machine);
    assert_eq!(machine.text("/srv/bound/a"), "kept\n");
    machine.sh("umount /srv/bound; echo else >/srv/real/a");
    keeps(&machine);
    assert_eq!(machine.text("/srv/real/a"), "kept\n");
}

#[test]
fn a_mount_over_a_watched_directory_is_found_by_the_next_full_run_and_so_is_its_end() {
    let Some(machine) = installed() else { return };
    machine.sh("mkdir -p /srv/real /srv/other");
    let files = "server: web\nfiles:\n  /srv/real/a: { content: \"kept\\n\" }\n";
    machine.server_model(&[("servers/web.yaml", files)]);
    settings(&machine, DIRECTORY);
    machine.ok(&["systemctl", "start", "steadfast"]);
    kept(&machine);
    machine.sh("mount --bind /srv/other /srv/real");
    // The kernel tells nobody of a mount; a reload asks for a full run, as time does.
    machine.ok(&["systemctl", "reload", "steadfast"]);
    until(&machine, "kept there", || machine.run(&["cat", "/srv/other/a"]).stdout == "kept\n");
    // From now on that is what is watched.
    machine.write("/srv/real/a", "drifted\n");
    until(&machine, "repaired", || machine.text("/srv/real/a") == "kept\n");
    machine.sh("umount /srv/real");
    machine.ok(&["systemctl", "reload", "steadfast"]);
    machine.write("/srv/real/a", "drifted\n");
    until(&machine, "repaired", || machine.text("/srv/real/a") == "kept\n");
}
