//! Promises of several kinds together, which need each other and run through the whole engine, from
//! random starts.

use crate::kinds::cron::Cron;
use crate::kinds::directory::Directory;
use crate::kinds::file::File;
use crate::kinds::group::Group;
use crate::kinds::link::Link;
use crate::kinds::service::Service;
use crate::kinds::user::{Groups, User};
use proptest::prelude::*;
use steadfast_engine::Outcome;
use steadfast_testkit::host::{Matter, Thing};
use steadfast_testkit::laws::{self, Subject};
use steadfast_testkit::{FakeHost, World};

/// A server in small: everything needs something else.
fn server() -> Vec<Together> {
    let all: Vec<Box<dyn Subject>> = vec![
        Box::new(Group { name: "app", gid: Some(2100), ..Group::default() }),
        Box::new(Group { name: "ops", members: Some((true, vec!["u"])), ..Group::default() }),
        Box::new(User {
            uid: Some(2000),
            group: Some("app"),
            groups: Some(Groups::AtLeast("ops")),
            ..User::default()
        }),
        Box::new(Directory {
            path: "/srv/app",
            owner: Some(("u", 2000)),
            modes: Some((0o750, 0o640)),
            purge: true,
            promised: &["/srv/app/conf", "/srv/app/current"],
            ..Directory::default()
        }),
        Box::new(File {
            owner: Some(("u", 2000)),
            mode: Some(0o600),
            ..File::of("/srv/app/conf", "a = 1\n")
        }),
        Box::new(Link {
            path: "/srv/app/current",
            target: Some("releases/1"),
            owner: Some(("u", 2000)),
            force: false,
        }),
        Box::new(Cron { name: "tidy", user: Some("www-data") }),
        Box::new(Service {
            running: Some(true),
            enabled: Some("true"),
            unit: true,
            inputs: &["/srv/app/conf"],
            ..Service::default()
        }),
    ];
    all.into_iter().map(Together).collect()
}

/// A promise that can be kept once those that it needs are.
#[derive(Debug)]
struct Together(Box<dyn Subject>);

impl Subject for Together {
    fn id(&self) -> String {
        self.0.id()
    }

    fn section(&self) -> &'static str {
        self.0.section()
    }

    fn yaml(&self) -> String {
        self.0.yaml()
    }

    fn holds(&self, world: &World) -> bool {
        self.0.holds(world)
    }

    fn keepable(&self, _start: &World) -> bool {
        true
    }

    fn verdict(&self, _start: &World) -> Option<Outcome> {
        None
    }

    fn erase(&self, world: &mut World, start: &World) {
        self.0.erase(world, start);
    }
}

/// What may be there before, each or not.
fn start(bits: u16) -> FakeHost {
    let mut host = FakeHost::debian().with_file("/srv/stranger", "x").with_group("stranger", 42);
    let bit = |at: u16| bits & (1 << at) != 0;
    if bit(0) {
        host = host.with_group("app", 2100 + u32::from(bit(1)));
    }
    if bit(2) {
        host = host.with_group("ops", 2200).with_members("ops", &["root", "ghost"]);
    }
    if bit(3) {
        host = host.with_user("u", 2000 + u32::from(bit(4)), 42, "/home/u");
    }
    if bit(5) {
        let folder = Thing { mode: 0o700, uid: 33, ..Thing::of(Matter::Directory) };
        host = host.with_thing("/srv/app", folder).with_file("/srv/app/stray", "x");
        if bit(6) {
            let content = if bit(7) { "a = 1\n" } else { "a = 2\n" };
            host = host.with_file("/srv/app/conf", content);
        }
        if bit(8) {
            host = host.with_link("/srv/app/current", "releases/0");
        }
    }
    if bit(9) {
        host = host.with_unit("app", "[Service]\nExecStart=/bin/true\n");
        if bit(10) {
            host = host.with_running("app");
        }
    }
    if bit(11) {
        host = host.with_file("/etc/cron.d/tidy", "old\n");
    }
    host
}

fn shared(host: &FakeHost, subjects: &[Together]) -> usize {
    let subjects: Vec<&dyn Subject> = subjects.iter().map(|it| it as &dyn Subject).collect();
    laws::check(&host.world(), &subjects, &[])
}

#[test]
fn a_bare_machine_becomes_a_server_whatever_fails() {
    assert!(shared(&start(0), &server()) > 40);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn any_machine_becomes_a_server_whatever_fails(bits in 0_u16..4096) {
        shared(&start(bits), &server());
    }

    #[test]
    fn the_order_of_promises_in_the_model_does_not_matter(
        bits in 0_u16..4096,
        orders in prop::collection::vec(Just((0..8).collect::<Vec<usize>>()).prop_shuffle(), 4),
    ) {
        let subjects = server();
        let subjects: Vec<&dyn Subject> = subjects.iter().map(|it| it as &dyn Subject).collect();
        laws::check_order(&start(bits).world(), &subjects, &orders);
    }
}
