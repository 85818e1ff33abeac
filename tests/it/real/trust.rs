//! Whom the agent believes, as an installed service: OpenPGP keys, whose program runs as a user of its own; and
//! what a fetch leaves behind, which believes nobody.

use super::lab::beside::{Authority, HOST, commit, desk, push, says};
use super::lab::installed::{ask, installed, is_idle, revision, settings, status, until, wait_for};
use super::lab::machine::Machine;
use crate::publish::Desk;
use crate::require;
use crate::source_servers::server::git;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

/// OpenPGP keys out here, and a program that signs with them.
struct Keys<'a> {
    desk: &'a Desk,
}

impl<'a> Keys<'a> {
    fn new(desk: &'a Desk, names: &[&str]) -> Option<Keys<'a>> {
        if !Path::new("/usr/bin/gpg").exists() {
            require::skip("needs gpg (tests/run installs it)");
            return None;
        }
        let home = desk.path("gnupg");
        std::fs::create_dir(&home).unwrap();
        std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o700)).unwrap();
        let script = format!("#!/bin/sh\nexec gpg --homedir {} \"$@\"\n", home.display());
        std::fs::write(desk.path("gpg"), script).unwrap();
        std::fs::set_permissions(desk.path("gpg"), std::fs::Permissions::from_mode(0o700)).unwrap();
        let keys = Keys { desk };
        for name in names {
            let user = format!("{name}@x");
            keys.gpg(&["--batch", "--quiet", "--passphrase", "", "--quick-gen-key", &user]);
        }
        let ring = desk.at("keyring.gpg");
        keys.gpg(&["--batch", "--output", &ring, "--export", &format!("{}@x", names[0])]);
        Some(keys)
    }

    fn gpg(&self, arguments: &[&str]) {
        let output = Command::new(self.desk.path("gpg")).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn git(&self, name: &str, arguments: &[&str]) {
        let program = format!("gpg.program={}", self.desk.at("gpg"));
        let key = format!("user.signingkey={name}@x");
        let options = ["user.name=A", "user.email=a@x", "gpg.format=openpgp", &program, &key];
        let options: Vec<&str> = options.iter().flat_map(|it| ["-c", it]).collect();
        self.desk.git(&options, arguments);
    }

    /// A commit in which the machine is to say something.
    fn commit(&self, text: &str, name: &str) -> String {
        says(self.desk, text);
        self.desk.git(&[], &["add", "--all"]);
        self.git(name, &["commit", "--quiet", "-S", "-m", "Greet otherwise"]);
        self.desk.git(&[], &["rev-parse", "HEAD"])
    }
}

impl Drop for Keys<'_> {
    fn drop(&mut self) {
        let home = self.desk.path("gnupg");
        drop(Command::new("gpgconf").arg("--homedir").arg(home).args(["--kill", "all"]).status());
    }
}

fn follows(what: &str) -> String {
    format!(
        "source: {{ git: {{ url: \"https://{HOST}/.git\", {what}, ca: /etc/steadfast/ca.pem }} }}
trust: {{ openpgp: /etc/steadfast/keyring.gpg }}"
    )
}

/// Programs of that name, before those of the system: each writes down as whom it runs and on which terminal,
/// and what it leaves behind. (A directory: the verifier may write no file.)
fn put_before(machine: &Machine, name: &str, more: &str) {
    let path = format!("/usr/local/bin/{name}");
    let script = format!(
        "#!/bin/sh\nread -r line </proc/$$/stat; set_aside=${{line##*) }}\n\
         terminal=$(echo $set_aside | cut -d' ' -f5)\n\
         mkdir -p \"/srv/seen/{name} as $(id -un) on $terminal\"\n{more}\nexec /usr/bin/{name} \"$@\"\n"
    );
    machine.write(&path, script);
    machine.sh(&format!("mkdir -p -m 1777 /srv/seen; chmod 0777 /srv/seen; chmod 0755 {path}"));
}

fn runs_as(machine: &Machine, user: &str) -> String {
    machine.run(&["pgrep", "-a", "-u", user]).stdout
}

#[test]
fn openpgp_keys_are_believed_in_the_service_and_by_hand() {
    let Some(machine) = installed() else { return };
    let desk = desk(&machine, &["anna"]);
    let Some(keys) = Keys::new(&desk, &["pat", "mallory"]) else { return };
    push(&machine, &desk.path("keyring.gpg"));
    desk.commit(None);
    let authority = Authority::new("ours");
    let _server = authority.server(&machine, git(desk.model.path().to_owned()));
    // Whatever git leaves behind where it fetches, in a session of its own, would outlive it.
    put_before(&machine, "git", "setsid sh -c 'while :; do sleep 1; done' >/dev/null 2>&1 &");
    put_before(&machine, "gpgv", "");
    let first = keys.commit("one", "pat");
    settings(&machine, &follows("branch: main"));
    machine.ok(&["systemctl", "start", "steadfast"]);
    let takes = |revision_wanted: &str, text: &str| {
        wait_for(&machine, "adopted", |it| revision(it) == revision_wanted && is_idle(it));
        assert_eq!(machine.text("/etc/motd"), format!("{text}\n"));
    };
    takes(&first, "one");
    assert_eq!(runs_as(&machine, "steadfast-fetch"), "", "what it left has ended");
    assert_eq!(runs_as(&machine, "steadfast-verify"), "");

    // A key that nobody trusts, and a commit that is not signed.
    keys.commit("forged", "mallory");
    ask(&machine);
    let is_refused = |words: &'static str| {
        wait_for(&machine, words, |it| {
            it["refusal"]["because"].as_str().is_some_and(|it| it.contains(words))
        })
    };
    assert_eq!(is_refused("which is not trusted")["refusal"]["kind"], "signature");
    says(&desk, "unsigned");
    desk.commit(None);
    ask(&machine);
    is_refused("is not signed");
    assert_eq!(machine.text("/etc/motd"), "one\n");
    desk.git(&[], &["reset", "--quiet", "--hard", &first]);
    let second = keys.commit("two", "pat");
    ask(&machine);
    takes(&second, "two");

    // Somebody runs as the verifier's user: who could hold it is not believed beside it.
    let third = keys.commit("three", "pat");
    keys.git("pat", &["tag", "-s", "-m", "Three", "v3"]);
    let squatter =
        machine.spawn(&["setpriv", "--reuid=steadfast-verify", "--clear-groups", "sleep", "1000"]);
    ask(&machine);
    let status = is_refused("runs as the user who verifies signatures");
    assert_eq!((revision(&status), &status["refusal"]["kind"]), (second, &"here".into()));
    drop(squatter);
    machine.sh("pkill -KILL -u steadfast-verify sleep || true");
    // By hand on a terminal, which is nobody's who verifies or fetches.
    let verify = format!(
        "steadfast verify https://{HOST}/.git --branch main --openpgp /etc/steadfast/keyring.gpg \
         --ca /etc/steadfast/ca.pem"
    );
    let said = machine.ok(&["script", "-qec", &verify, "/dev/null"]);
    assert!(said.contains(&third), "{said}");
    ask(&machine);
    takes(&third, "three");
    // And a tag in place of a branch.
    settings(&machine, &follows("tag: v3"));
    ask(&machine);
    wait_for(&machine, "heard", |it| {
        it["source"].as_str().is_some_and(|it| it.ends_with("tag v3"))
            && it["refusal"].is_null()
            && revision(it) == third
            && !it["heard"].is_null()
    });
    let mut seen = machine.names("/srv/seen", "g");
    seen.sort();
    assert_eq!(seen, ["git as steadfast-fetch on 0", "gpgv as steadfast-verify on 0"]);
    // A download may be under way at this moment, or the next one; between them nothing of it is left.
    until(&machine, "the end of a download", || runs_as(&machine, "steadfast-fetch").is_empty());
}

#[test]
fn without_the_users_made_for_it_nothing_is_fetched_and_the_status_says_whom() {
    let Some(machine) = installed() else { return };
    let desk = desk(&machine, &["anna"]);
    let authority = Authority::new("ours");
    let _server = authority.server(&machine, git(desk.model.path().to_owned()));
    let first = desk.commit(Some("anna"));
    machine.ok(&["userdel", "steadfast-fetch"]);
    settings(
        &machine,
        &format!(
            "source: {{ git: {{ url: \"https://{HOST}/.git\", branch: main, ca: /etc/steadfast/ca.pem }} }}
trust: {{ allowed_signers: /etc/steadfast/allowed_signers }}"
        ),
    );
    machine.ok(&["systemctl", "start", "steadfast"]);
    let refused = wait_for(&machine, "refused", |it| !it["refusal"].is_null());
    let because = refused["refusal"]["because"].as_str().unwrap();
    assert!(because.contains("there is no user steadfast-fetch on this machine"), "{because}");
    machine.ok(&["systemd-sysusers", "steadfast.conf"]);
    ask(&machine);
    until(&machine, "adopted", || revision(&status(&machine)) == first);
}

#[test]
fn a_file_of_keys_that_is_empty_for_a_moment_bans_nobody_and_root_takes_a_removed_key_back() {
    let Some(machine) = installed() else { return };
    let desk = desk(&machine, &["anna", "eve"]);
    let trusts = |keys: &[&str]| {
        desk.allow(keys);
        push(&machine, &desk.path("allowed_signers"));
    };
    let authority = Authority::new("ours");
    let _server = authority.server(&machine, git(desk.model.path().to_owned()));
    let source = follows("branch: main").split("trust:").next().unwrap().to_owned();
    settings(
        &machine,
        &format!("{source}trust: {{ allowed_signers: /etc/steadfast/allowed_signers }}"),
    );
    trusts(&["anna", "eve"]);
    let takes = |wanted: &str| {
        ask(&machine);
        wait_for(&machine, "adopted", |it| revision(it) == wanted && is_idle(it))
    };
    let first = commit(&desk, "one", "anna");
    machine.ok(&["systemctl", "start", "steadfast"]);
    takes(&first);

    let second = commit(&desk, "two", "eve");
    machine.write("/etc/steadfast/allowed_signers", "");
    ask(&machine);
    let because = |words: &'static str| {
        wait_for(&machine, words, |it| {
            it["refusal"]["because"].as_str().is_some_and(|it| it.contains(words))
        })
    };
    because("there is no key in /etc/steadfast/allowed_signers");
    trusts(&["anna", "eve"]);
    takes(&second);

    // Gone from the file while something new is adopted, and brought back by an older one.
    trusts(&["anna"]);
    let third = commit(&desk, "three", "anna");
    takes(&third);
    trusts(&["anna", "eve"]);
    let fourth = commit(&desk, "four", "eve");
    ask(&machine);
    because("removed from the trusted keys before; if it is to be trusted again: steadfast adopt");
    machine.ok(&["steadfast", "adopt", &fourth, "--reason", "eve is with us again"]);
    takes(&fourth);
    let fifth = commit(&desk, "five", "eve");
    takes(&fifth);
}
