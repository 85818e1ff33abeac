//! Homes and keys where others than the user and root have their hands: below their directories, and in a home
//! that is root's.

use super::lab::machine::{Machine, Output};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDaQXvUYi0WCw6sGaPT1s7NShBxRjodeJ/EBbajCzwqg ci";

/// What a run says, as one line.
fn run(machine: &Machine, more: &[&str]) -> Output {
    let output = machine.steadfast(&[&["run", "--model", "/srv/model"], more].concat());
    let stdout = output.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    Output { stdout, ..output }
}

#[track_caller]
fn says(text: &str, words: &str) {
    assert!(text.contains(words), "no `{words}` in {text}");
}

#[test]
fn a_home_is_made_by_no_link_that_somebody_has_put_in_the_way() {
    let Some(machine) = Machine::boot() else { return };
    machine.sh("useradd -M keeper; mkdir -p /srv/open /srv/victim; chown keeper /srv/open
        printf 'mine\\n' >/srv/victim/file
        runuser -u keeper -- ln -s /srv/victim /srv/open/link
        mkdir /srv/open/inner; chown keeper /srv/open/inner
        printf 'hello\\n' >/etc/skel/hello; mkdir /etc/skel/bin; ln -s hello /etc/skel/other");
    let server = "server: web
users:
  beyond: { home: /srv/open/link/beyond }
  inside: { home: /srv/open/inner/inside }
  usual: present
";
    machine.server_model(&[("servers/web.yaml", server)]);
    let before = machine.ok(&["stat", "-c", "%U %G %a %Z", "/srv/victim", "/srv/victim/file"]);
    let plan = run(&machine, &["--dry-run"]);
    says(&plan.stdout, "/srv/open/link is a symbolic link in a directory that others than root");
    assert_eq!(plan.status, 4, "{}", plan.stdout);
    let done = run(&machine, &[]);
    assert_eq!(done.status, 4, "{}", done.stdout);
    let after = machine.ok(&["stat", "-c", "%U %G %a %Z", "/srv/victim", "/srv/victim/file"]);
    assert_eq!(after, before);
    assert_eq!(machine.ok(&["ls", "-A", "/srv/victim"]), "file\n");
    assert!(!machine.text("/etc/passwd").contains("beyond"), "an account without its home");
    for (name, home) in [("inside", "/srv/open/inner/inside"), ("usual", "/home/usual")] {
        let seen = machine.sh(&format!(
            "cd {home}; stat -c '%U %G %a' . ; stat -c '%n %U %G %F' .profile hello other bin; cat other"
        ));
        let expected = format!(
            "{name} {name} 755\n.profile {name} {name} regular file\nhello {name} {name} regular file\n\
             other {name} {name} symbolic link\nbin {name} {name} directory\nhello\n"
        );
        assert_eq!(seen, expected);
    }
    assert_eq!(
        machine.ok(&["ls", "-A", "/srv/open/inner"]),
        "inside\n",
        "nothing else is left there"
    );

    // A new number is not set where usermod would go by a path that somebody can swap.
    let server = "server: web\nusers: { inside: { uid: 3210 } }\n";
    machine.server_model(&[("servers/web.yaml", server)]);
    for arguments in [&["--dry-run"][..], &[]] {
        let told = run(&machine, arguments);
        assert_eq!(told.status, 4, "{}", told.stdout);
        says(&told.stdout, "others than root can write where /srv/open/inner/inside lies");
    }
}

#[test]
fn keys_are_made_in_a_home_that_is_roots_and_read_by_the_user() {
    let Some(machine) = Machine::boot() else { return };
    machine.sh("useradd -m sftp; chown root:root /home/sftp; chmod 0755 /home/sftp
        useradd -m roots; chown root:root /home/roots; mkdir -m 0755 /home/roots/.ssh
        useradd -M theirs; mkdir /home/theirs; chown games /home/theirs");
    let server = format!(
        "server: web
users:
  sftp: {{ ssh_keys: [\"{KEY}\"] }}
  roots: {{ ssh_keys: [\"{KEY}\"] }}
  theirs: {{ ssh_keys: [\"{KEY}\"] }}
"
    );
    machine.server_model(&[("servers/web.yaml", &server)]);
    let plan = run(&machine, &["--dry-run"]);
    says(&plan.stdout, "/home/theirs belongs to uid");
    let done = run(&machine, &[]);
    says(&done.stdout, "2 repaired");
    for (name, folder) in [("sftp", "sftp 700"), ("roots", "root 755")] {
        let seen = machine.sh(&format!(
            "stat -c '%U %a' /home/{name} /home/{name}/.ssh /home/{name}/.ssh/authorized_keys
             runuser -u {name} -- cat /home/{name}/.ssh/authorized_keys; ls -A /home/{name}/.ssh"
        ));
        let (begin, end) = ("# BEGIN steadfast ssh_keys", "# END steadfast ssh_keys");
        assert_eq!(
            seen,
            format!("root 755\n{folder}\n{name} 600\n{begin}\n{KEY}\n{end}\nauthorized_keys\n")
        );
    }
    assert_eq!(machine.ok(&["ls", "-A", "/home/theirs"]), "");
    let again = run(&machine, &[]);
    says(&again.stdout, "2 kept");

    // What somebody else may have written does not begin to count, and is not lost.
    machine.sh("cd /home/roots/.ssh; echo 'ssh-ed25519 AAAA another' >>authorized_keys
        chown root:root authorized_keys; chmod 0600 authorized_keys");
    run(&machine, &[]);
    let seen = machine.sh("cd /home/roots/.ssh; stat -c '%n %U %a' *; grep -c another * || true");
    says(&seen, "authorized_keys roots 600\nauthorized_keys.not-used-1 root 600\n");
    says(&seen, "authorized_keys:0\nauthorized_keys.not-used-1:1\n");
}

#[test]
fn a_number_that_a_step_makes_free_is_expected_and_promised_numbers_are_given_first() {
    let Some(machine) = Machine::boot() else { return };
    machine.sh("groupadd -g 2777 oldg; useradd -u 2888 -m oldu
        groupadd -g 2700 crew; useradd -u 2701 -M -g crew last");
    let server = "server: web
groups: { newg: 2777, oldg: absent, crew: absent, any: present, exact: 2889 }
users:
  newu: { uid: 2888, home: /home/oldu }
  oldu: absent
  last: absent
  anna: present
  zoe: { uid: 2890 }
";
    machine.server_model(&[("servers/web.yaml", server)]);
    let plan = run(&machine, &["--dry-run"]);
    assert_eq!(plan.status, 0, "{}", plan.stdout);
    says(&plan.stdout, "expected");
    let done = run(&machine, &[]);
    assert_eq!(done.status, 0, "{}", done.stdout);
    let (passwd, group) = (machine.text("/etc/passwd"), machine.text("/etc/group"));
    for line in ["newu:x:2888:", "zoe:x:2890:"] {
        says(&passwd, line);
    }
    for line in ["newg:x:2777:", "exact:x:2889:"] {
        says(&group, line);
    }
    assert!(!group.contains("crew:") && !group.contains("oldg:"), "{group}");
    assert_eq!(run(&machine, &[]).status, 0);
}

#[test]
fn subordinate_ids_come_and_go_with_their_user_and_nobody_elses_do() {
    let Some(machine) = Machine::boot() else { return };
    machine.sh("useradd -m other");
    let ids = || machine.sh("cat /etc/subuid /etc/subgid");
    let before = ids();
    assert_eq!(before.matches("other:").count(), 2, "{before}");
    machine.server_model(&[("servers/web.yaml", "server: web\nusers: { sub: present }\n")]);
    assert_eq!(run(&machine, &[]).status, 0);
    let there = ids();
    assert_eq!(there.matches("sub:").count(), 2, "{there}");
    // Another uid leaves them: they hang on the name.
    machine.server_model(&[("servers/web.yaml", "server: web\nusers: { sub: { uid: 2600 } }\n")]);
    assert_eq!(run(&machine, &[]).status, 0);
    assert_eq!(ids(), there);
    machine.server_model(&[("servers/web.yaml", "server: web\nusers: { sub: absent }\n")]);
    assert_eq!(run(&machine, &[]).status, 0);
    assert_eq!(ids(), before);
}
