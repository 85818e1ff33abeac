//! Git over ssh from a real sshd.

use crate::sshd::Sshd;
use crate::support::{World, files};
use std::net::TcpListener;
use std::time::Duration;
use steadfast_source::RefusalKind;
use steadfast_source::anti_rollback::Advance;
use steadfast_source::settings::{Git, Reference, Source, Trust};

/// The sshd of a world, with its host key and another one.
struct Host {
    sshd: Sshd,
    port: u16,
}

impl Host {
    /// None where there is none, or where this user may not start it.
    fn start(world: &World) -> Option<Host> {
        for name in ["host", "other_host"] {
            world.ssh_key(name);
        }
        // Another process may take the port in between.
        (0..10).find_map(|_| {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            Some(Host { sshd: Sshd::start(world.folder.path(), port, &[])?, port })
        })
    }

    fn git(&self, world: &World) -> Git {
        let path = world.path("work").display().to_string();
        let url = format!("ssh://{}@127.0.0.1:{}{path}", self.sshd.user, self.port);
        Git {
            ssh_key: Some(world.path("deploy")),
            known_hosts: Some(world.path("known_hosts")),
            ..Git::new(url, Reference::Branch("main".into()))
        }
    }

    /// What the node believes the host key to be.
    fn know(&self, world: &World, key: &str) {
        let public = std::fs::read_to_string(world.path(&format!("{key}.pub"))).unwrap();
        let line = format!("[127.0.0.1]:{} {public}", self.port);
        std::fs::write(world.path("known_hosts"), line).unwrap();
    }

    /// Who may log in, with options.
    fn authorize(&self, world: &World, options: &str) {
        let public = std::fs::read_to_string(world.path("deploy.pub")).unwrap();
        std::fs::write(world.path("authorized_keys"), format!("{options}{public}")).unwrap();
    }
}

#[test]
fn git_is_fetched_over_ssh_from_the_host_that_is_known_with_the_key_that_is_let_in() {
    let mut world = World::new();
    let Some(host) = Host::start(&world) else { return };
    world.repository();
    world.ssh_key("deploy");
    world.ssh_key("stranger");
    let anna = world.ssh_key("anna");
    let trust = world.allowed(&[("", "anna")]);
    world.signed("model.yaml", "model: y\n", &anna);
    let git = host.git(&world);
    let source = Source::Git(git.clone());
    host.authorize(&world, "restrict ");

    std::fs::write(world.path("known_hosts"), "").unwrap();
    assert!(world.refused(&source, &trust).ends_with("the key of the host is not known"));
    host.know(&world, "other_host");
    let refusal = world.fetch(&source, &trust).unwrap_err();
    assert_eq!(refusal.kind(), RefusalKind::Unreachable);
    let words = "the host has another key than the one that is known";
    assert!(refusal.line().ends_with(words), "{refusal}");
    host.know(&world, "host");
    let stranger = Git { ssh_key: Some(world.path("stranger")), ..git.clone() };
    let words = world.refused(&Source::Git(stranger), &trust);
    assert!(words.contains("Permission denied (publickey)"), "{words}");

    let fetched = world.fetch(&source, &trust).unwrap().unwrap();
    assert_eq!((fetched.advance, files(&fetched)), (Advance::First, vec!["model.yaml".to_owned()]));
    assert!(!world.path("cache/run").exists(), "no key stays");
    assert!(world.fetch(&source, &trust).unwrap().is_none(), "no news");
    for at in 0..20 {
        world.commit("files/a", &at.to_string(), &[]);
    }
    world.signed("model.yaml", "model: z\n", &anna);
    assert_eq!(world.fetch(&source, &trust).unwrap().unwrap().advance, Advance::Forward);
    world.git(&["reset", "--quiet", "--hard", "HEAD~3"]);
    world.signed("model.yaml", "model: rewritten\n", &anna);
    assert!(world.refused(&source, &trust).contains("does not descend from"));
    let gone = Git { reference: Reference::Branch("gone".into()), ..git };
    let words = world.refused(&Source::Git(gone), &trust);
    assert!(words.ends_with("refs/heads/gone is not there"), "{words}");
}

#[test]
fn an_ssh_server_that_hangs_or_talks_nonsense_is_left() {
    let mut world = World::new();
    let Some(host) = Host::start(&world) else { return };
    world.repository();
    world.ssh_key("deploy");
    host.know(&world, "host");
    let source = Source::Git(host.git(&world));
    for (command, kind) in [
        ("echo what", RefusalKind::Unreachable),
        ("exit 1", RefusalKind::Unreachable),
        ("head -c 1000000 /dev/zero", RefusalKind::Unreachable),
    ] {
        host.authorize(&world, &format!("restrict,command=\"{command}\" "));
        let refusal = world.fetch(&source, &Trust::None).unwrap_err();
        assert_eq!(refusal.kind(), kind, "{command}: {refusal}");
    }
    // It answers nothing, for as long as it is listened to.
    world.limits.total = Duration::from_millis(1500);
    host.authorize(&world, "restrict,command=\"cat >/dev/null\" ");
    let refusal = world.fetch(&source, &Trust::None).unwrap_err();
    assert_eq!(refusal.kind(), RefusalKind::Unreachable);
    assert!(refusal.line().contains("took longer than"), "{refusal}");
}
