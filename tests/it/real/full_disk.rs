//! A disk that is full, in bytes or in files, where the agent fetches to and where it keeps what it has accepted: that
//! costs updates, is told as what it is, leaves nothing behind that fills it further, and is over once there is room.

use super::lab::beside::{Authority, HOST, commit, desk};
use super::lab::installed::{ask, installed, revision, settings, status, until, wait_for};
use super::lab::machine::Machine;
use crate::publish::Desk;
use crate::source_servers::server::git;
use jiff::Timestamp;
use std::io::Read as _;

const SOURCE: &str =
    "source: { git: { url: \"https://HOST/.git\", branch: main, ca: /etc/steadfast/ca.pem } }
trust: { allowed_signers: /etc/steadfast/allowed_signers }";

/// Puts so many bytes into the model that do not compress.
fn grows(desk: &Desk, bytes: usize) {
    let mut noise = vec![0; bytes];
    std::fs::File::open("/dev/urandom").unwrap().read_exact(&mut noise).unwrap();
    std::fs::create_dir_all(desk.model.path().join("files")).unwrap();
    std::fs::write(desk.model.path().join("files/noise"), noise).unwrap();
}

/// The source is asked and offers something for which there is no room here. What was adopted is still kept.
#[track_caller]
fn has_no_room(machine: &Machine, adopted: &str, text: &str) -> String {
    machine.write("/etc/motd", "drifted\n");
    let before = status(machine)["next_fetch"].clone();
    ask(machine);
    let status = wait_for(machine, "told", |it| {
        let next = it["next_fetch"].as_str().unwrap_or_default().parse::<Timestamp>();
        next.is_ok_and(|next| next > Timestamp::now())
            && it["next_fetch"] != before
            && it["refusal"]["kind"] == "here"
    });
    assert_eq!(revision(&status), adopted, "{status:#}");
    until(machine, "still kept", || machine.text("/etc/motd") == format!("{text}\n"));
    let words = status["refusal"]["because"].as_str().unwrap().to_owned();
    let page = machine.ok(&["steadfast", "status"]);
    let flat = page.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("No space left on device"), "{page}");
    words
}

#[track_caller]
fn takes(machine: &Machine, wanted: &str, text: &str) {
    ask(machine);
    wait_for(machine, "adopted", |it| revision(it) == wanted && it["refusal"].is_null());
    until(machine, "in force", || machine.text("/etc/motd") == format!("{text}\n"));
}

/// Lets a small disk have room for so many more files.
fn files_left(folder: &str, count: u32) -> String {
    let used = format!("df --output=iused {folder} | tail -1");
    format!("mount -o remount,nr_inodes=$(($({used}) + {count})) {folder}")
}

/// Files that a write which ended early has left.
fn left_over(machine: &Machine) -> String {
    let folders = ["/var/cache/steadfast", "/var/lib/steadfast"];
    let names = ["(", "-name", "*.new", "-o", "-name", ".new", "-o", "-name", "tmp_*", ")"];
    machine.ok(&[&["find"], &folders[..], &names].concat())
}

#[test]
fn where_there_is_no_room_for_what_comes_the_machine_is_kept_and_it_is_taken_once_there_is() {
    let Some(machine) = installed() else { return };
    let desk = desk(&machine, &["anna"]);
    let authority = Authority::new("ours");
    let _server = authority.server(&machine, git(desk.model.path().to_owned()));
    let first = commit(&desk, "one", "anna");
    settings(&machine, &SOURCE.replace("HOST", HOST));
    // Both lie on small disks of their own from the beginning.
    machine.sh("mkdir -p /var/lib/steadfast /var/cache/steadfast
        mount -t tmpfs -o size=24m,mode=700 none /var/lib/steadfast
        mount -t tmpfs -o size=1m,mode=755 none /var/cache/steadfast
        systemctl start steadfast");
    takes(&machine, &first, "one");

    grows(&desk, 2 << 20);
    let second = commit(&desk, "two", "anna");
    let words = has_no_room(&machine, &first, "one");
    assert!(words.contains("fetch https://"), "{words}");
    assert_eq!(left_over(&machine), "");
    machine.sh("mount -o remount,size=32m /var/cache/steadfast");
    takes(&machine, &second, "two");

    // No more files, though there are bytes enough.
    machine.sh(&files_left("/var/cache/steadfast", 0));
    let third = commit(&desk, "three", "anna");
    has_no_room(&machine, &second, "two");
    machine.sh("mount -o remount,nr_inodes=10k /var/cache/steadfast");
    takes(&machine, &third, "three");

    // What was accepted has no room: 1 MiB is left, and the model has two.
    machine.sh("cd /var/lib/steadfast; dd if=/dev/zero of=fill bs=64k status=none || true
        truncate -s -1M fill");
    grows(&desk, 2 << 20);
    let fourth = commit(&desk, "four", "anna");
    let words = has_no_room(&machine, &third, "three");
    assert!(words.contains("keep its content"), "{words}");
    assert_eq!(left_over(&machine), "");
    machine.ok(&["rm", "/var/lib/steadfast/fill"]);
    takes(&machine, &fourth, "four");

    // And no files: each of a model is one.
    machine.sh(&files_left("/var/lib/steadfast", 3));
    let fifth = commit(&desk, "five", "anna");
    has_no_room(&machine, &fourth, "four");
    assert_eq!(left_over(&machine), "");
    machine.sh("mount -o remount,nr_inodes=10k /var/lib/steadfast");
    takes(&machine, &fifth, "five");
    let torn = machine.ok(&["find", "/var/lib/steadfast", "-name", "*damaged*"]);
    assert_eq!(torn, "");
}
