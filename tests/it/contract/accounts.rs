//! Accounts, in a machine of their own.

use super::{Transcript, inside, path, real_host, tell};
use crate::real::lab::machine::Machine;
use expect_test::expect_file;
use steadfast_system::accounts::{Attribute, KeysFile, Limit, NewGroup, NewPrimary, NewUser};
use steadfast_system::secrets::Secret;
use steadfast_system::{Actuate, GroupName, UserName};
use steadfast_testkit::FakeHost;

struct Suite<'a> {
    sys: &'a dyn Actuate,
    said: Transcript,
}

fn user(name: &str) -> UserName {
    UserName::parse(name).unwrap()
}

fn group(name: &str) -> GroupName {
    GroupName::parse(name).unwrap()
}

fn new_user(name: &str, uid: u32, primary: NewPrimary) -> NewUser {
    NewUser {
        name: user(name),
        uid: Some(uid),
        group: primary,
        home: path(&format!("/home/{name}")),
        make_home: true,
        shell: Some(path("/bin/bash")),
        comment: Some("Some One".into()),
        system: false,
    }
}

impl Suite<'_> {
    fn show_group(&mut self, name: &str) {
        let local = self.sys.local().unwrap();
        let line = local.group(&group(name)).map(|it| (it.gid, it.members.clone()));
        self.said.say(format_args!("  group {name}: {line:?}"));
    }

    fn show_user(&mut self, name: &str) {
        let local = self.sys.local().unwrap();
        let line = local.user(&user(name)).map(|it| {
            let shadow = local.shadow.as_ref().unwrap().get(&it.name).unwrap();
            let password = String::from_utf8_lossy(shadow.password.reveal()).into_owned();
            let limits = (shadow.min, shadow.max, shadow.warn, shadow.inactive, shadow.expires);
            let line = (it.uid, it.gid, &*it.comment, &*it.home, &*it.shell);
            format!("{line:?} {password} {limits:?}")
        });
        let line = line.unwrap_or_else(|| "none".to_owned());
        self.said.say(format_args!("  user {name}: {line}"));
    }

    fn group(
        &mut self,
        what: &str,
        name: &str,
        deed: impl Fn(&dyn Actuate) -> Result<(), steadfast_system::SystemError>,
    ) {
        let result = deed(self.sys);
        self.said.done(what, result);
        self.show_group(name);
    }

    fn user(
        &mut self,
        what: &str,
        name: &str,
        deed: impl Fn(&dyn Actuate) -> Result<(), steadfast_system::SystemError>,
    ) {
        let result = deed(self.sys);
        self.said.done(what, result);
        self.show_user(name);
    }

    fn home(&mut self, at: &str) {
        let home = self.sys.home(&path(at)).unwrap();
        self.said.say(format_args!("  home {at}: {home:?}"));
    }
}

fn suite(sys: &dyn Actuate) -> Transcript {
    let mut it = Suite { sys, said: Transcript::default() };
    let new_group = |name: &str, gid| NewGroup { name: group(name), gid: Some(gid), system: false };
    it.group("add group", "one", |sys| sys.add_group(&new_group("one", 3001)));
    it.group("add it again", "one", |sys| sys.add_group(&new_group("one", 3002)));
    it.group("add another with its gid", "two", |sys| sys.add_group(&new_group("two", 3001)));
    it.group("add another", "two", |sys| sys.add_group(&new_group("two", 3002)));
    it.group("set a gid that is taken", "two", |sys| sys.set_gid(&group("two"), 3001));
    it.group("set a gid", "two", |sys| sys.set_gid(&group("two"), 3003));
    it.group("set the gid of nobody", "none", |sys| sys.set_gid(&group("none"), 3004));
    it.group("remove a group", "two", |sys| sys.remove_group(&group("two")));
    it.group("remove it again", "two", |sys| sys.remove_group(&group("two")));

    let primary = || NewPrimary::Group(group("one"));
    it.user("add user", "ann", |sys| sys.add_user(&new_user("ann", 4001, primary())));
    it.home("/home/ann");
    it.user("add it again", "ann", |sys| sys.add_user(&new_user("ann", 4002, primary())));
    it.user("add a user with its uid", "bob", |sys| {
        sys.add_user(&new_user("bob", 4001, primary()))
    });
    it.user("add a user of no group", "bob", |sys| {
        sys.add_user(&new_user("bob", 4002, NewPrimary::Group(group("none"))))
    });
    let no_home = |name: &str, uid| NewUser {
        make_home: false,
        shell: None,
        comment: None,
        ..new_user(name, uid, NewPrimary::Own)
    };
    it.group("a group for the next", "four", |sys| sys.add_group(&new_group("four", 4002)));
    it.user("add a user with a group of its own", "bob", |sys| sys.add_user(&no_home("bob", 4010)));
    it.home("/home/bob");

    it.group("add a member", "one", |sys| sys.add_member(&group("one"), &user("bob")));
    it.group("add it again", "one", |sys| sys.add_member(&group("one"), &user("bob")));
    it.group("add nobody", "one", |sys| sys.add_member(&group("one"), &user("nemo")));
    it.group("add to nothing", "none", |sys| sys.add_member(&group("none"), &user("bob")));
    it.group("remove a member", "one", |sys| sys.remove_member(&group("one"), "bob"));
    it.group("remove it again", "one", |sys| sys.remove_member(&group("one"), "bob"));
    it.group("join", "four", |sys| sys.join_groups(&user("ann"), &[group("four")]));
    it.group("join nothing", "four", |sys| {
        sys.join_groups(&user("bob"), &[group("four"), group("none")])
    });
    it.group("remove a primary group", "one", |sys| sys.remove_group(&group("one")));
    it.group("move a primary group", "one", |sys| sys.set_gid(&group("one"), 3009));
    it.show_user("ann");

    let set = |name: &'static str, attribute: Attribute| {
        move |sys: &dyn Actuate| sys.set_attribute(&user(name), &attribute)
    };
    it.user("set a uid that is taken", "ann", set("ann", Attribute::Uid(4010)));
    it.user("set a uid", "ann", set("ann", Attribute::Uid(4011)));
    it.home("/home/ann");
    it.user("set a group", "ann", set("ann", Attribute::Group(group("four"))));
    it.user("set no group", "ann", set("ann", Attribute::Group(group("none"))));
    it.user("set a shell", "ann", set("ann", Attribute::Shell(path("/bin/sh"))));
    it.user("set a comment", "ann", set("ann", Attribute::Comment("Ann".into())));
    it.user("set a home", "ann", set("ann", Attribute::Home(path("/srv/ann"))));
    it.home("/srv/ann");
    it.user("set it of nobody", "nemo", set("nemo", Attribute::Shell(path("/bin/sh"))));

    let limits = [
        (Limit::Expires, Some(10)),
        (Limit::Inactive, Some(3)),
        (Limit::MinDays, Some(1)),
        (Limit::MaxDays, Some(90)),
        (Limit::WarnDays, Some(5)),
    ];
    it.user("set limits", "ann", |sys| sys.set_limits(&user("ann"), &limits));
    let never = [(Limit::Expires, None), (Limit::Inactive, None)];
    it.user("take limits", "ann", |sys| sys.set_limits(&user("ann"), &never));

    let password = |text: &str| Secret::new(text.as_bytes().to_vec());
    it.user("unlock without a password", "ann", |sys| sys.unlock(&user("ann")));
    it.user("set a password", "ann", |sys| sys.set_password(&user("ann"), &password("$6$a$b")));
    it.user("lock", "ann", |sys| sys.lock(&user("ann")));
    it.user("lock again", "ann", |sys| sys.lock(&user("ann")));
    it.user("unlock", "ann", |sys| sys.unlock(&user("ann")));
    it.user("unlock again", "ann", |sys| sys.unlock(&user("ann")));
    it.user("set no password", "ann", |sys| sys.set_password(&user("ann"), &password("*")));
    it.user("lock without a password", "ann", |sys| sys.lock(&user("ann")));
    it.user("unlock that", "ann", |sys| sys.unlock(&user("ann")));

    it.user("write keys without a home", "ann", |sys| {
        sys.write_keys(&user("ann"), &path("/srv/ann"), &KeysFile::Nothing, b"key\n")
    });
    it.user("make the home", "ann", |sys| sys.make_home(&user("ann"), 0o022));
    it.home("/srv/ann");
    let keys = sys.keys_file(&path("/srv/ann"), None).unwrap();
    it.said.say(format_args!("keys: {keys:?}"));
    it.user("write keys", "ann", |sys| {
        sys.write_keys(&user("ann"), &path("/srv/ann"), &KeysFile::Nothing, b"key\n")
    });
    let keys = sys.keys_file(&path("/srv/ann"), Some(4011)).unwrap();
    it.said.say(format_args!("keys: {keys:?} {}", keys == KeysFile::Content(b"key\n"[..].into())));
    let keys = sys.keys_file(&path("/srv/ann"), Some(4010)).unwrap();
    it.said.say(format_args!("another's keys: {keys:?}"));
    it.user("write them again", "ann", |sys| {
        sys.write_keys(&user("ann"), &path("/srv/ann"), &KeysFile::Nothing, b"other\n")
    });
    it.user("remove another's home", "ann", |sys| sys.remove_home(&path("/srv/ann"), 4010));
    it.home("/srv/ann");
    it.user("remove the home", "ann", |sys| sys.remove_home(&path("/srv/ann"), 4011));
    it.home("/srv/ann");
    it.user("remove it again", "ann", |sys| sys.remove_home(&path("/srv/ann"), 4011));

    it.user("end no processes", "ann", |sys| sys.end_processes(&user("ann"), 4011));
    it.user("end another's processes", "ann", |sys| sys.end_processes(&user("ann"), 4010));
    it.group("a member who goes", "four", |sys| sys.add_member(&group("four"), &user("bob")));
    it.user("remove a user", "bob", |sys| sys.remove_user(&user("bob")));
    it.show_group("four");
    it.show_group("bob");
    it.user("remove it again", "bob", |sys| sys.remove_user(&user("bob")));
    let uid = |name: &str| sys.uid(&user(name)).unwrap();
    it.said.say(format_args!("uids: {:?} {:?}", uid("ann"), uid("bob")));
    it.said
}

#[test]
fn both_machines_have_the_same_accounts() {
    let golden = expect_file!["../../contract/accounts.out"];
    golden.assert_eq(&suite(&FakeHost::debian()).0);
    let Some(machine) = Machine::boot() else { return };
    golden.assert_eq(&inside(&machine, "contract::accounts::suite_inside_a_machine"));
}

#[test]
#[ignore = "changes the accounts of the machine that it runs on: the test above starts it in its own"]
fn suite_inside_a_machine() {
    tell(&suite(&real_host(std::path::Path::new("/root/steadfast"))));
}
