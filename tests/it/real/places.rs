//! One place under several paths, on a booted machine: what an operator has put on another disk, and brought to its
//! usual place by a link or a bind mount, is spared there too.

use super::lab::machine::Machine;
use super::lab::model::{Run, run};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDaQXvUYi0WCw6sGaPT1s7NShBxRjodeJ/EBbajCzwqg a";

fn promise(machine: &Machine, sections: &str) -> Run {
    machine.server_model(&[("servers/web.yaml", &format!("server: web\n{sections}"))]);
    run(machine, &[])
}

fn outcome(run: &Run, promise: &str) -> Option<String> {
    run.judged().find(|(id, _)| id == promise).map(|it| it.1)
}

#[test]
fn homes_and_what_is_ours_stay_on_the_disk_where_an_operator_has_put_them() {
    let Some(machine) = Machine::boot() else { return };
    machine.sh(
        "mkdir -p /data/people /data/app /data/cache /srv/people /srv/app /var/cache/steadfast
         mv /home /data/home && ln -s /data/home /home
         mount --bind /data/people /srv/people
         mount --bind /data/app /srv/app
         mount --bind /data/cache /var/cache/steadfast
         useradd -m cid && echo cid > /home/cid/notes
         useradd -m -d /srv/people/dan dan && echo dan > /srv/people/dan/notes
         mkdir /data/stray && touch /data/stray/x",
    );
    let users = format!(
        "users:\n  ann: {{ ssh_keys: [\"{KEY}\"] }}\n  bea: {{ home: /srv/people/bea, ssh_keys: [\"{KEY}\"] }}\n"
    );
    let kept = "cat /data/home/ann/.ssh/authorized_keys /data/people/bea/.ssh/authorized_keys \
                /data/home/cid/notes /data/people/dan/notes /data/app/conf | grep -cE 'ssh-ed|cid|dan|conf'; \
                ls /data/cache | wc -l";
    let of_all = format!(
        "{users}files: {{ /srv/app/conf: {{ content: \"conf\\n\" }} }}\n\
         directories: {{ /data: {{ purge: true, force: true, purge_max: 1000 }} }}\n"
    );
    // The second run finds what the first has made.
    for _ in 0..2 {
        let run = promise(&machine, &of_all);
        assert_eq!(run.exit, 0, "{run:#?}");
        let told = machine.sh(kept);
        let (files, cached) = told.split_once('\n').unwrap();
        assert_eq!(files, "5", "{run:#?}");
        assert_ne!(cached, "0\n", "{run:#?}");
        assert_eq!(machine.sh("test -e /data/stray || echo gone"), "gone\n", "{run:#?}");
    }
    // In the directories of homes themselves, by the name that no account has.
    machine.sh("mkdir /data/people/of-nobody");
    let people =
        format!("{users}directories: {{ /data/people: {{ purge: true, force: true }} }}\n");
    let run = promise(&machine, &people);
    assert_eq!(outcome(&run, "directory:/data/people").as_deref(), Some("repaired"), "{run:#?}");
    assert_eq!(machine.sh("ls /data/people"), "bea\ndan\n", "{run:#?}");
    // By each of its names a directory of the system is what it is.
    machine.sh("ln -s /etc /data/etc");
    for (sections, id, why) in [
        (
            "directories: { /data/home: { purge: true, force: true } }",
            "directory:/data/home",
            "it is /home",
        ),
        (
            "directories: { /data/etc/ssh: { state: absent, force: true } }",
            "directory:/data/etc/ssh",
            "it is /etc/ssh",
        ),
        ("files: { /data/etc/shadow: absent }", "file:/data/etc/shadow", "it is /etc/shadow"),
        ("files: { /data/cache/x: { content: x } }", "file:/data/cache/x", "what is its own"),
        (
            "directories: { /data/people: { state: absent, force: true } }",
            "directory:/data/people",
            "would go with it",
        ),
    ] {
        let run = promise(&machine, &format!("{users}{sections}\n"));
        assert_eq!(outcome(&run, id).as_deref(), Some("not-kept"), "{sections}: {run:#?}");
        assert!(run.because(id).contains(why), "{sections}: {run:#?}");
    }
    assert_eq!(
        machine.sh("ls /etc/shadow /data/home/cid/notes /data/people/dan/notes"),
        "/data/home/cid/notes\n/data/people/dan/notes\n/etc/shadow\n"
    );
}
