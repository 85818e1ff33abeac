//! A user: how promises are read, and what is planned for what was found.

use super::limits::{date_of, days_of, limit_shown, parse_date};
use super::lower::is_hash;
use super::observe::{looks, resolve};
use super::*;
use crate::account_fields::tests::lowered;
use crate::account_files::Forbids;
use crate::{Obstacle, Refusal, members};
use expect_test::expect;
use std::collections::BTreeMap;
use steadfast_model::Rendered;
use steadfast_system::accounts::{
    self, Defaults, Home, HomeFolder, HomeShape, KeysFile, Limit, Local, Process, Shadow,
};
use steadfast_system::secrets::{self, Secret};
use steadfast_system::{ErrorKind, UserName};

const HASH: &str = "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/";
const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB ci";

fn user(text: &str) -> UserName {
    UserName::parse(text).unwrap()
}

fn group(text: &str) -> GroupName {
    GroupName::parse(text).unwrap()
}

fn path(text: &str) -> AbsPath {
    AbsPath::parse(text).unwrap()
}

fn want(present: Present) -> Desired {
    Desired { name: user("deploy"), state: Wanted::Present(Box::new(present)) }
}

fn absent(remove_home: bool, end_sessions: bool) -> Desired {
    Desired { name: user("deploy"), state: Wanted::Absent { remove_home, end_sessions } }
}

fn hash() -> PasswordHash {
    PasswordHash(Rendered::plain(HASH))
}

fn shadow(password: &str) -> Shadow {
    Shadow {
        password: Secret::new(password.as_bytes().to_vec()),
        changed: Some(19_000),
        min: Some(0),
        max: Some(99_999),
        warn: Some(7),
        inactive: None,
        expires: None,
    }
}

fn directory(uid: u32) -> Home {
    Home { folder: HomeFolder::Closed, shape: HomeShape::Directory { uid, link: false } }
}

const NO_HOME: Home = Home { folder: HomeFolder::Closed, shape: HomeShape::Nothing };

/// Nobody of that name.
fn nobody() -> State {
    State {
        account: None,
        elsewhere: None,
        wanted_gid: None,
        own_group: false,
        forbids: Forbids::default(),
        keys_barred: None,
        repeated_groups: vec![],
        holders: vec![],
        missing_groups: vec![],
        foreign_groups: vec![],
        home: Some((path("/home/deploy"), NO_HOME)),
        homes_within: vec![],
        same_uid: vec![],
        processes: vec![],
        shell_there: None,
        hash: None,
        keys: None,
        defaults: Defaults::default(),
        in_home: Some(0),
        left: vec![],
    }
}

/// An ordinary account, uid 2000, in adm and video, as useradd makes it.
fn somebody() -> State {
    State {
        account: Some(Account {
            uid: 2000,
            gid: 2000,
            group: Some(group("deploy")),
            comment: Arc::from(""),
            home: Arc::from("/home/deploy"),
            shell: Arc::from("/bin/sh"),
            groups: vec![group("adm"), group("video")],
            shadow: Ok(Some(shadow("!"))),
        }),
        home: Some((path("/home/deploy"), directory(2000))),
        ..nobody()
    }
}

fn with_password(password: &str) -> State {
    let mut have = somebody();
    have.account.as_mut().unwrap().shadow = Ok(Some(shadow(password)));
    have
}

fn busy(have: State) -> State {
    State { processes: vec![Process { pid: 7, name: Arc::from("sleep") }], ..have }
}

#[test]
fn what_no_tool_changes_is_not_foreseen_to_be_changed() {
    let twice = || State {
        forbids: Forbids { repeated: Some("/etc/passwd"), ..Forbids::default() },
        ..somebody()
    };
    let shell = want(Present { shell: Some(path("/bin/zsh")), ..Present::default() });
    assert_eq!(
        planned(&shell, &twice()),
        "refused: user deploy stands in /etc/passwd more than once, and no tool changes one of these lines: \
         take out all but one"
    );
    assert_eq!(
        planned(&want(Present::default()), &twice()),
        "note: it stands in /etc/passwd more than once; the first of these lines counts"
    );
    let games = vec![(group("games"), "/etc/gshadow")];
    let in_group = |name| {
        let groups = Some(Groups::AtLeast(vec![group(name)]));
        want(Present { groups, ..Present::default() })
    };
    let have = || State { repeated_groups: games.clone(), ..somebody() };
    assert!(
        planned(&in_group("games"), &have())
            .contains("refused: group games stands in /etc/gshadow")
    );
    assert!(!planned(&in_group("tty"), &have()).contains("refused"));
}

#[test]
fn a_number_is_free_only_when_all_who_have_it_have_left_it() {
    let have = State { holders: vec![user("carl"), user("dora")], ..somebody() };
    let moves = want(Present { uid: Some(2001), ..Present::default() });
    let in_the_way = |it: &Obstacle| match it {
        Obstacle::InTheWay { of, why: _ } => Some(of.clone()),
        Obstacle::Missing(_)
        | Obstacle::Refused(_)
        | Obstacle::HangsOn(_)
        | Obstacle::Presumed(_)
        | Obstacle::Unknown(_)
        | Obstacle::Unhealthy(_)
        | Obstacle::HealthNotAsked => None,
    };
    let obstacles = User::plan(&moves, &have).obstacles;
    let hang_on: Vec<_> = obstacles.iter().filter_map(in_the_way).collect();
    let leaves = |name: &str| Change::Uid { name: user(name), was: 2001, uid: 2010 }.frees();
    assert_eq!(hang_on, [leaves("carl"), leaves("dora")]);
}

/// Everything that a plan says, one line each.
fn planned(want: &Desired, have: &State) -> String {
    let Difference { changes, obstacles, notes } = User::plan(want, have);
    let mut lines: Vec<String> = changes.iter().map(ToString::to_string).collect();
    lines.extend(obstacles.iter().map(|it| match it {
        Obstacle::Missing(identity) => format!("missing: {identity}"),
        Obstacle::Refused(words) => format!("refused: {words}"),
        Obstacle::Unknown(words) => format!("unknown: {words}"),
        Obstacle::InTheWay { of: _, why } => format!("in the way: {why}"),
        Obstacle::HangsOn(things) => format!("hangs on {things:?}"),
        Obstacle::Presumed(words) => format!("presumed: {words}"),
        Obstacle::Unhealthy(_) | Obstacle::HealthNotAsked => "health".to_owned(),
    }));
    lines.extend(notes.iter().map(|it| format!("note: {it}")));
    lines.join("\n")
}

#[track_caller]
fn check(table: &[(Present, State)], expected: &expect_test::Expect) {
    let all: Vec<String> = table
        .iter()
        .map(|(present, have)| {
            let shown = planned(&want(present.clone()), have);
            if shown.is_empty() { "kept".to_owned() } else { shown }
        })
        .collect();
    expected.assert_eq(&all.join("\n--\n"));
}

#[test]
fn every_field_is_read() {
    let text = format!(
        "deploy:\n  uid: 2000\n  group: web\n  groups: [adm, adm]\n  home: /srv/deploy/\n  \
         home_state: present\n  shell: /bin/bash\n  comment: Some one\n  password_hash: {HASH}\n  \
         locked: true\n  expires: 2027-12-31\n  inactive: never\n  password_min_days: 1\n  \
         password_max_days: 90\n  password_warn_days: 7\n  ssh_keys: {{ exactly: ['{KEY}'] }}\n  \
         system: true"
    );
    let expected = Present {
        uid: Some(2000),
        group: Some(group("web")),
        groups: Some(Groups::AtLeast(vec![group("adm")])),
        home: Some(path("/srv/deploy")),
        home_state: Some(HomeState::Present),
        shell: Some(path("/bin/bash")),
        comment: Some(Arc::from("Some one")),
        password_hash: Some(hash()),
        locked: Some(true),
        limits: vec![
            (Limit::Expires, Some(21_183)),
            (Limit::Inactive, None),
            (Limit::MinDays, Some(1)),
            (Limit::MaxDays, Some(90)),
            (Limit::WarnDays, Some(7)),
        ],
        ssh_keys: Some(Keys::Exactly(vec![SshKey::parse(KEY).unwrap()])),
        system: true,
    };
    let found = lowered::<User>(&text);
    assert_eq!(found, Ok(want(expected)));
    let found = found.unwrap();
    assert!(!format!("{found:?}").contains("saltsalt"), "{found:?}");
    let uses: Vec<String> = User::uses(&found).iter().map(ToString::to_string).collect();
    assert_eq!(uses, ["group web", "group adm", "/srv"]);
}

#[test]
fn short_forms_and_other_forms_are_read() {
    for (text, expected) in [
        ("deploy: present", want(Present::default())),
        ("deploy: absent", absent(false, false)),
        ("deploy: { state: absent, remove_home: true, end_sessions: true }", absent(true, true)),
        (
            "deploy: { groups: { without: [adm] } }",
            want(Present {
                groups: Some(Groups::Without(vec![group("adm")])),
                ..Present::default()
            }),
        ),
        (
            "deploy: { groups: { exactly: [] }, ssh_keys: [] }",
            want(Present {
                groups: Some(Groups::Exactly(vec![])),
                ssh_keys: Some(Keys::AtLeast(vec![])),
                ..Present::default()
            }),
        ),
    ] {
        assert_eq!(lowered::<User>(text), Ok(expected), "{text}");
    }
    let secret = lowered::<User>("deploy: { password_hash: { secret: a/b } }").unwrap();
    let Wanted::Present(present) = secret.state else { panic!("present") };
    assert_eq!(
        present.password_hash.unwrap().0.secrets().map(|it| &**it).collect::<Vec<_>>(),
        ["a/b"]
    );
}

#[test]
fn every_mistake_is_told() {
    let table = [
        "deploy: gone",
        "deploy: { uid: -1, shell: bash, home: '/a:b' }",
        "deploy: { groups: { at_least: [a] } }",
        "deploy: { groups: { exactly: [a], without: [b] } }",
        "deploy: { groups: ['a b'], group: 7 }",
        "deploy: { comment: \"a:b\" }",
        "deploy: { password_hash: hunter2 }",
        "deploy: { password_hash: '' }",
        "deploy: { password_hash: '!', locked: false }",
        "deploy: { ssh_keys: [\"ssh-ed25519 x\\nssh-ed25519 y\"] }",
        "deploy: { expires: 2027-02-29, inactive: 100000 }",
        "deploy: { inactive: nver, password_max_days: never }",
        "deploy: { ssh_keys: ['ssh-ed25519 x'] }",
        "deploy: { ssh_keys: [], home_state: absent }",
        "deploy: { state: absent, home: /x, uid: 1 }",
        "deploy: { remove_home: true }",
        "deploy: { shel: /bin/sh }",
        "root: absent",
        "root: { uid: 5 }",
        "steadfast-fetch: absent",
        "steadfast-verify: { state: absent }",
        "steadfast-unpack: absent",
        "-x: absent",
    ];
    let told: Vec<String> = table.map(|it| lowered::<User>(it).unwrap_err()).to_vec();
    expect![[r#"
        bad-value: a user cannot be `gone` @ gone
        bad-value: `uid` must be from 0 to 4294967294 @ -1
        bad-path: a path in /etc/passwd has no `:` @ '/a:b'
        bad-path: `bash` is not an absolute path: it must begin with `/` @ bash
        unknown-field: `groups` has no form `at_least` @ at_least
        conflicting-fields: `groups` has one form @ { exactly: [a], without: [b] }
        bad-name: `a b` is not a group name: it has a `:`, `/`, `,`, space or control character @ 'a b'
        bad-name: `7` is not a group name: it is a number @ 7
        bad-value: it would break a line of /etc/passwd: no `:` and no control character @ "a:b"
        bad-value: `password_hash` is not a password hash @ hunter2
        bad-value: `password_hash` is not a password hash @ ''
        conflicting-fields: `password_hash` begins with `!`, which is a lock, and `locked` is false @ locked
        bad-value: `ssh_keys`: not a public SSH key: it has a control character or is more than one line @ "ssh-ed25519 x\nssh-ed25519 y"
        bad-value: `2027-02-29` is not a date: write YYYY-MM-DD, or never @ 2027-02-29
        bad-value: `inactive` must be from 0 to 99999 @ 100000
        bad-value: `inactive` cannot be `nver` @ nver
        wrong-type: `password_max_days` must be an integer, and is text @ never
        bad-value: `ssh_keys`: not a public SSH key: what stands after the type is not base64 @ 'ssh-ed25519 x'
        conflicting-fields: `ssh_keys` lie in the home, and `home_state: absent` takes it away @ ssh_keys
        conflicting-fields: a user who is absent has no `uid` @ uid
        conflicting-fields: a user who is absent has no `home` @ home
        conflicting-fields: `remove_home` needs `state: absent` @ remove_home
        unknown-field: `user` has no field `shel` @ shel
        bad-value: root cannot be absent @ root
        bad-value: root cannot have another uid than 0 @ root
        bad-value: steadfast-fetch cannot be absent: the agent fetches, verifies or unpacks as that user @ steadfast-fetch
        bad-value: steadfast-verify cannot be absent: the agent fetches, verifies or unpacks as that user @ steadfast-verify
        bad-value: steadfast-unpack cannot be absent: the agent fetches, verifies or unpacks as that user @ steadfast-unpack
        bad-name: `-x` is not a user name: it begins with `-`, as an option does @ -x"#]].assert_eq(&told.join("\n"));
}

#[test]
fn what_shadow_takes_in_the_place_of_a_hash_is_taken() {
    let locked_hash = format!("!{HASH}");
    for (field, hash, locked) in [
        ("*", "*", None),
        ("!", "", Some(true)),
        ("!!", "", Some(true)),
        ("!*", "*", Some(true)),
        (&*locked_hash, HASH, Some(true)),
    ] {
        let found = lowered::<User>(&format!("deploy: {{ password_hash: '{field}' }}"));
        let password_hash = Some(PasswordHash(Rendered::plain(hash)));
        let expected =
            want(Present { password_hash: password_hash.clone(), locked, ..Present::default() });
        assert_eq!(found, Ok(expected), "{field}");
        // What is written is kept by the next look, whatever was there before.
        for before in ["!", "*", "!*", "", HASH, &locked_hash, field] {
            let wanted = Secret::new(hash.as_bytes().to_vec());
            let present =
                Present { password_hash: password_hash.clone(), locked, ..Present::default() };
            let state =
                |field: &str| State { hash: Some(Ok(wanted.clone())), ..with_password(field) };
            let is_as_promised = |field: &str| {
                let lock = if field.starts_with('!') { Some(true) } else { None };
                field.trim_start_matches('!') == hash && (locked.is_none() || lock == locked)
            };
            let planned = planned(&want(present), &state(before));
            assert_eq!(
                planned.lines().all(|it| it.starts_with("note: ")),
                is_as_promised(before),
                "{field} on {before}: {planned}"
            );
        }
    }
}

#[test]
fn an_account_of_a_package_is_kept_by_its_name_and_never_made() {
    let found = lowered::<User>("Debian-exim: { groups: [games] }").unwrap();
    assert_eq!(planned(&found, &somebody()), "add to games");
    let missing = planned(&found, &nobody());
    assert!(missing.starts_with("missing: user Debian-exim\nnote: by this name"), "{missing}");
}

#[test]
fn what_the_user_can_bring_about_is_told_as_anybodys_doing() {
    let keys = |found: KeysFile| State { keys: Some(Ok(found)), ..somebody() };
    let with_keys = || {
        want(Present {
            ssh_keys: Some(Keys::AtLeast(vec![SshKey::parse(KEY).unwrap()])),
            ..Present::default()
        })
    };
    let torn = KeysFile::Content(keys::BEGIN.as_bytes().into());
    for (want, have) in [
        (absent(false, false), busy(somebody())),
        (want(Present { uid: Some(2001), ..Present::default() }), busy(somebody())),
        (want(Present { home: Some(path("/x/y")), ..Present::default() }), busy(somebody())),
        (with_keys(), keys(KeysFile::InTheWay("/home/deploy/.ssh is a symbolic link".into()))),
        (with_keys(), keys(torn)),
    ] {
        let obstacles = User::plan(&want, &have).obstacles;
        let [Obstacle::Refused(Refusal::Anybody(_))] = &*obstacles else { panic!("{obstacles:?}") };
    }
}

#[test]
fn a_keys_file_that_is_not_the_users_alone_is_drift_and_what_others_may_have_written_is_not_taken_over()
 {
    let key = SshKey::parse(KEY).unwrap();
    let with_keys =
        want(Present { ssh_keys: Some(Keys::AtLeast(vec![key])), ..Present::default() });
    let foreign = "ssh-ed25519 AAAA another\n";
    let whole = format!("{foreign}{}\n{KEY}\n{}\n", keys::BEGIN, keys::END);
    for (content, why, expected, notes) in [
        (Some(&*whole), "its mode is 0644", &*whole, 0),
        (Some(foreign), "its mode is 0644", &*whole, 0),
        (None, "its mode is 0666", &whole[foreign.len()..], 1),
    ] {
        let seen =
            KeysFile::Unfit { content: content.map(|it| it.as_bytes().into()), why: why.into() };
        let have = State { keys: Some(Ok(seen)), ..somebody() };
        let difference = User::plan(&with_keys, &have);
        let [Change::Keys { new, .. }] = &*difference.changes else { panic!("{difference:?}") };
        assert_eq!(String::from_utf8_lossy(&new.content), expected);
        assert_eq!(difference.notes.len(), notes, "{difference:?}");
        assert!(difference.changes[0].to_string().ends_with(&format!("keys; {why})")));
    }
}

#[test]
fn what_stays_of_a_user_who_goes_is_told() {
    let left = vec![path("/var/spool/cron/crontabs/deploy"), path("/var/mail/deploy")];
    let told = planned(&absent(false, false), &State { left, ..somebody() });
    let words = "note: this stays of it: /var/spool/cron/crontabs/deploy and /var/mail/deploy";
    assert!(told.lines().any(|it| it == words), "{told}");
}

#[test]
fn only_whole_hashes_are_hashes() {
    let bcrypt = format!("$2b$12${}", "a".repeat(53));
    let yescrypt = format!("$y$j9T$salt$${}", "a".repeat(43)).replace("$$", "$");
    let rounds = HASH.replace("$6$", "$6$rounds=5000$");
    for good in [HASH, &bcrypt, &yescrypt, &rounds] {
        assert!(is_hash(good.as_bytes()), "{good}");
    }
    let short = &HASH[..HASH.len() - 1];
    let locked = format!("!{HASH}");
    let lines = format!("{HASH}\nroot:x");
    for bad in [
        "",
        "*",
        "!",
        "password",
        "abcdefghijklm",
        "$ecret$pass$word",
        "$6$x",
        short,
        &locked,
        &lines,
    ] {
        assert!(!is_hash(bad.as_bytes()), "{bad}");
    }
}

#[test]
fn dates_are_days_since_1970() {
    for (text, days) in [
        ("1970-01-01", 0),
        ("2000-02-29", 11_016),
        ("2026-12-31", 20_818),
        ("9999-12-31", 2_932_896),
    ] {
        assert_eq!(parse_date(text), Ok(days), "{text}");
        assert_eq!(limit_shown(Limit::Expires, Some(days)), text);
    }
    for bad in ["", "2026", "2026-1-1", "2026-13-01", "2026-02-30", "1969-12-31", "+026-01-01", "x"]
    {
        assert!(parse_date(bad).is_err(), "{bad}");
    }
    for days in 0..60_000 {
        let (year, month, day) = date_of(days);
        assert_eq!(days_of(year, month, day), days);
    }
}

#[test]
fn a_new_account() {
    let promised = || Present {
        uid: Some(2000),
        group: Some(group("web")),
        groups: Some(Groups::AtLeast(vec![group("adm"), group("web")])),
        password_hash: Some(hash()),
        locked: Some(true),
        limits: vec![(Limit::Expires, Some(0)), (Limit::MaxDays, Some(90))],
        ssh_keys: Some(Keys::AtLeast(vec![SshKey::parse(KEY).unwrap()])),
        ..Present::default()
    };
    let resolved = || Some(Ok(Secret::new(HASH.as_bytes().to_vec())));
    let keys = || Some(Ok(KeysFile::NoHome));
    let system = || Present { system: true, ..Present::default() };
    let home = |shape| Some((path("/home/deploy"), Home { folder: HomeFolder::Closed, shape }));
    let link = HomeShape::Directory { uid: 5, link: true };
    let denied = SystemError::new(ErrorKind::PermissionDenied, "read secret x");
    let invalid = SystemError::new(ErrorKind::Invalid, "secret x is not a password hash");
    let only_hash = || Present { password_hash: Some(hash()), ..Present::default() };
    check(
        &[
            (Present::default(), nobody()),
            (Present::default(), State { own_group: true, ..nobody() }),
            (system(), nobody()),
            (Present { home_state: Some(HomeState::Present), ..system() }, nobody()),
            (Present { home_state: Some(HomeState::Unmanaged), ..Present::default() }, nobody()),
            (
                promised(),
                State { wanted_gid: Some(33), hash: resolved(), keys: keys(), ..nobody() },
            ),
            (
                promised(),
                State {
                    hash: resolved(),
                    keys: keys(),
                    holders: vec![user("other")],
                    missing_groups: vec![group("adm")],
                    ..nobody()
                },
            ),
            (
                Present { ssh_keys: promised().ssh_keys, ..system() },
                State { keys: keys(), ..nobody() },
            ),
            (Present { locked: Some(false), ..Present::default() }, nobody()),
            (Present { locked: Some(true), ..Present::default() }, nobody()),
            (only_hash(), State { hash: Some(Err(denied)), ..nobody() }),
            (only_hash(), State { hash: Some(Err(invalid)), ..nobody() }),
            (Present::default(), State { home: home(link), ..nobody() }),
            (Present::default(), State { home: home(HomeShape::Other), ..nobody() }),
            (
                Present { home_state: Some(HomeState::Absent), ..Present::default() },
                State { home: home(link), ..nobody() },
            ),
            (
                Present::default(),
                State {
                    home: Some((path("/a/b"), Home { folder: HomeFolder::Missing, ..NO_HOME })),
                    ..nobody()
                },
            ),
            (
                Present { shell: Some(path("/bin/zsh")), ..Present::default() },
                State { shell_there: Some(false), ..nobody() },
            ),
            (Present::default(), State { elsewhere: Some(9), ..nobody() }),
        ],
        &expect![[r#"
            add user (new group deploy, home /home/deploy)
            --
            add user (group deploy, home /home/deploy)
            --
            add system user (new group deploy, no home)
            --
            add system user (new group deploy, home /home/deploy)
            --
            add user (new group deploy, no home)
            --
            add user (uid 2000, group web, home /home/deploy)
            set expires never -> 1970-01-01, password_max_days never -> 90
            set password hash, locked
            add to adm
            write /home/deploy/.ssh/authorized_keys (+1 -0 keys)
            --
            add user (uid 2000, group web, home /home/deploy)
            set expires never -> 1970-01-01, password_max_days never -> 90
            set password hash, locked
            add to adm
            write /home/deploy/.ssh/authorized_keys (+1 -0 keys)
            in the way: uid 2000 belongs to user other
            missing: group web
            missing: group adm
            --
            add system user (new group deploy, no home)
            refused: ssh_keys need a home: promise `home_state: present`
            --
            add user (new group deploy, home /home/deploy)
            unlock, without a password
            --
            add user (new group deploy, home /home/deploy)
            --
            add user (new group deploy, home /home/deploy)
            unknown: password_hash: read secret x
            --
            add user (new group deploy, home /home/deploy)
            refused: password_hash: secret x is not a password hash
            --
            add user (new group deploy, home /home/deploy)
            note: /home/deploy is there already and stays as it is, owned by uid 5
            --
            add user (new group deploy, home /home/deploy)
            refused: /home/deploy is in the way of the home
            --
            add user (new group deploy, no home)
            refused: /home/deploy is there, and belongs to uid 5
            --
            add user (new group deploy, home /a/b)
            missing: /a
            --
            add user (new group deploy, home /home/deploy, shell /bin/zsh)
            note: /bin/zsh is no program on this machine now
            --
            refused: user deploy is not in /etc/passwd: the name service has it"#]],
    );
}

#[test]
fn attributes_of_an_account_that_is_there() {
    let uid = || Present { uid: Some(2001), ..Present::default() };
    let home = || Present { home: Some(path("/srv/x")), ..Present::default() };
    let web = || Present { group: Some(group("web")), ..Present::default() };
    let limits = |limits| Present { limits, ..Present::default() };
    check(
        &[
            (Present::default(), somebody()),
            (Present { uid: Some(2000), system: true, ..Present::default() }, somebody()),
            (uid(), somebody()),
            (uid(), busy(State { holders: vec![user("other")], ..somebody() })),
            (web(), State { wanted_gid: Some(33), ..somebody() }),
            (web(), somebody()),
            (web(), State { wanted_gid: Some(2000), ..somebody() }),
            (home(), somebody()),
            (home(), busy(somebody())),
            (Present { home: Some(path("/home/deploy")), ..Present::default() }, busy(somebody())),
            (
                Present {
                    shell: Some(path("/bin/zsh")),
                    comment: Some(Arc::from("A b")),
                    ..Present::default()
                },
                State { shell_there: Some(false), ..somebody() },
            ),
            (
                Present {
                    shell: Some(path("/bin/sh")),
                    comment: Some(Arc::from("")),
                    ..Present::default()
                },
                somebody(),
            ),
            (
                limits(vec![
                    (Limit::Expires, Some(0)),
                    (Limit::Inactive, Some(3)),
                    (Limit::MinDays, Some(0)),
                    (Limit::MaxDays, Some(90)),
                ]),
                somebody(),
            ),
            (limits(vec![(Limit::Expires, None), (Limit::WarnDays, Some(7))]), somebody()),
        ],
        &expect![[r#"
            kept
            --
            kept
            --
            set uid 2000 -> 2001
            note: files of uid 2000 below /home/deploy are re-owned, and no others
            --
            set uid 2000 -> 2001
            refused: the uid cannot change while the user has processes: sleep (pid 7)
            in the way: uid 2001 belongs to user other
            note: files of uid 2000 below /home/deploy are re-owned, and no others
            --
            set group deploy -> web
            --
            set group deploy -> web
            missing: group web
            --
            kept
            --
            set home /home/deploy -> /srv/x
            note: what lies in /home/deploy stays there
            --
            set home /home/deploy -> /srv/x
            refused: the home cannot change while the user has processes: sleep (pid 7)
            note: what lies in /home/deploy stays there
            --
            kept
            --
            set shell /bin/sh -> /bin/zsh
            set comment "" -> "A b"
            note: /bin/zsh is no program on this machine now
            --
            kept
            --
            set expires never -> 1970-01-01, inactive never -> 3, password_max_days 99999 -> 90
            --
            kept"#]],
    );
}

#[test]
fn a_lock_is_kept_apart_from_the_hash() {
    let state = |field: &str| State {
        hash: Some(Ok(Secret::new(HASH.as_bytes().to_vec()))),
        ..with_password(field)
    };
    let locked_hash = format!("!{HASH}");
    let fields = ["!", "*", "", "!*", "$6$other", "!$6$other", HASH, &locked_hash];
    let mut shown = String::new();
    for hashed in [true, false] {
        for locked in [None, Some(true), Some(false)] {
            for field in fields {
                let present =
                    Present { password_hash: hashed.then(hash), locked, ..Present::default() };
                let plan = planned(&want(present), &state(field)).replace('\n', "; ");
                let field = field.replace(HASH, "HASH");
                let promised = if hashed { "hash" } else { "" };
                shown.push_str(&format!("{promised:4} {locked:11?} {field:11} {plan}"));
                shown.push('\n');
            }
        }
    }
    expect![[r#"
        hash None !           set password hash
        hash None *           set password hash
        hash None             set password hash
        hash None !*          set password hash
        hash None $6$other    set password hash
        hash None !$6$other   set password hash, locked
        hash None HASH        
        hash None !HASH       
        hash Some(true       ) !           set password hash, locked
        hash Some(true       ) *           set password hash, locked
        hash Some(true       )             set password hash, locked
        hash Some(true       ) !*          set password hash, locked
        hash Some(true       ) $6$other    set password hash, locked
        hash Some(true       ) !$6$other   set password hash, locked
        hash Some(true       ) HASH        lock password
        hash Some(true       ) !HASH       
        hash Some(false      ) !           set password hash
        hash Some(false      ) *           set password hash
        hash Some(false      )             set password hash
        hash Some(false      ) !*          set password hash
        hash Some(false      ) $6$other    set password hash
        hash Some(false      ) !$6$other   set password hash
        hash Some(false      ) HASH        
        hash Some(false      ) !HASH       unlock password
             None !           
             None *           
             None             note: it has an empty password
             None !*          
             None $6$other    
             None !$6$other   
             None HASH        
             None !HASH       
             Some(true       ) !           
             Some(true       ) *           lock password
             Some(true       )             lock password; note: it has an empty password
             Some(true       ) !*          
             Some(true       ) $6$other    lock password
             Some(true       ) !$6$other   
             Some(true       ) HASH        lock password
             Some(true       ) !HASH       
             Some(false      ) !           unlock, without a password
             Some(false      ) *           
             Some(false      )             note: it has an empty password
             Some(false      ) !*          unlock, without a password
             Some(false      ) $6$other    
             Some(false      ) !$6$other   unlock password
             Some(false      ) HASH        
             Some(false      ) !HASH       unlock password
    "#]]
    .assert_eq(&shown);
    assert!(!shown.contains("saltsalt"));
}

#[test]
fn without_shadow_its_fields_are_unknown_and_the_rest_is_planned() {
    let mut have = somebody();
    have.account.as_mut().unwrap().shadow =
        Err(SystemError::new(ErrorKind::PermissionDenied, "read /etc/shadow"));
    let present =
        Present { shell: Some(path("/bin/bash")), locked: Some(true), ..Present::default() };
    expect![[r#"
        set shell /bin/sh -> /bin/bash
        unknown: password and its limits: read /etc/shadow"#]]
    .assert_eq(&planned(&want(present), &have));
    assert_eq!(planned(&want(Present::default()), &have), "");
}

#[test]
fn groups_of_an_account() {
    let groups = |groups| Present { groups: Some(groups), ..Present::default() };
    let all = |names: &[&str]| names.iter().map(|it| group(it)).collect::<Vec<_>>();
    check(
        &[
            (groups(Groups::AtLeast(all(&["adm", "deploy"]))), somebody()),
            (groups(Groups::AtLeast(all(&["adm", "web", "www"]))), somebody()),
            (groups(Groups::Exactly(all(&["adm", "video", "deploy"]))), somebody()),
            (groups(Groups::Exactly(all(&["web"]))), somebody()),
            (groups(Groups::Exactly(vec![])), somebody()),
            (groups(Groups::Without(all(&["adm", "web"]))), somebody()),
            (groups(Groups::Without(all(&["deploy"]))), somebody()),
            (
                groups(Groups::AtLeast(all(&["web", "ldap"]))),
                State {
                    missing_groups: all(&["web"]),
                    foreign_groups: all(&["ldap"]),
                    ..somebody()
                },
            ),
        ],
        &expect![[r#"
            kept
            --
            add to web, www
            --
            kept
            --
            add to web
            remove from adm
            remove from video
            --
            remove from adm
            remove from video
            --
            remove from adm
            --
            refused: deploy is the primary group
            --
            add to web, ldap
            missing: group web
            refused: group ldap is not in /etc/group: the name service has it"#]],
    );
}

#[test]
fn the_home_of_an_account() {
    let home = |state| Present { home_state: Some(state), ..Present::default() };
    let at = |at: &str, home| State { home: Some((path(at), home)), ..somebody() };
    let shape = |shape| Home { folder: HomeFolder::Closed, shape };
    let link = shape(HomeShape::Directory { uid: 2000, link: true });
    check(
        &[
            (home(HomeState::Present), somebody()),
            (home(HomeState::Present), at("/home/deploy", NO_HOME)),
            (home(HomeState::Present), at("/a/b", Home { folder: HomeFolder::Missing, ..NO_HOME })),
            (home(HomeState::Present), at("/home/deploy", shape(HomeShape::Other))),
            (home(HomeState::Present), State { home: None, ..somebody() }),
            (home(HomeState::Unmanaged), at("/home/deploy", NO_HOME)),
            (Present::default(), at("/home/deploy", NO_HOME)),
            (home(HomeState::Absent), at("/home/deploy", NO_HOME)),
            (home(HomeState::Absent), somebody()),
            (Present { uid: Some(2001), ..home(HomeState::Absent) }, somebody()),
            (home(HomeState::Absent), at("/home/deploy", directory(5))),
            (home(HomeState::Absent), at("/home/deploy", link)),
            (home(HomeState::Absent), at("/srv", directory(2000))),
            (home(HomeState::Absent), State { homes_within: vec![user("b")], ..somebody() }),
        ],
        &expect![[r#"
            kept
            --
            make home /home/deploy
            --
            make home /a/b
            missing: /a
            --
            refused: /home/deploy is in the way of the home
            --
            refused: /home/deploy is no path of a home: promise `home`
            --
            kept
            --
            kept
            --
            kept
            --
            remove home /home/deploy with all that is in it
            --
            set uid 2000 -> 2001
            remove home /home/deploy with all that is in it
            note: files of uid 2000 below /home/deploy are re-owned, and no others
            --
            refused: /home/deploy belongs to uid 5, and is not removed
            --
            refused: /home/deploy is a symbolic link, and is not removed
            --
            refused: /srv is too near to the root, and is not removed
            --
            refused: /home/deploy is also the home of b"#]],
    );
}

#[test]
fn the_keys_of_an_account() {
    let key = || SshKey::parse(KEY).unwrap();
    let some = || Present { ssh_keys: Some(Keys::AtLeast(vec![key()])), ..Present::default() };
    let only = || Present { ssh_keys: Some(Keys::Exactly(vec![key()])), ..Present::default() };
    let file = |text: &str| State {
        keys: Some(Ok(KeysFile::Content(Arc::from(text.as_bytes())))),
        ..somebody()
    };
    let keys = |keys| State { keys: Some(keys), ..somebody() };
    let link = KeysFile::InTheWay(Arc::from("/home/deploy/.ssh is a symbolic link"));
    let denied = SystemError::new(ErrorKind::PermissionDenied, "look at it");
    let broken = SystemError::new(ErrorKind::Storage, "look at it");
    let no_home =
        State { home: Some((path("/home/deploy"), NO_HOME)), ..keys(Ok(KeysFile::NoHome)) };
    check(
        &[
            (some(), file(&format!("{KEY}\n"))),
            (only(), file(&format!("{KEY}\nwhat is this\n"))),
            (some(), keys(Ok(KeysFile::Nothing))),
            (some(), no_home.clone()),
            (Present { home_state: Some(HomeState::Present), ..some() }, no_home),
            (some(), keys(Ok(link))),
            (some(), file("# BEGIN steadfast ssh_keys\n")),
            (some(), keys(Err(denied))),
            (some(), keys(Err(broken))),
        ],
        &expect![[r#"
            kept
            --
            write /home/deploy/.ssh/authorized_keys (+0 -1 keys)
            --
            write /home/deploy/.ssh/authorized_keys (+1 -0 keys)
            --
            make home /home/deploy
            write /home/deploy/.ssh/authorized_keys (+1 -0 keys)
            --
            make home /home/deploy
            write /home/deploy/.ssh/authorized_keys (+1 -0 keys)
            --
            refused: /home/deploy/.ssh is a symbolic link, and no file of keys
            --
            refused: /home/deploy/.ssh/authorized_keys: the marks of our block in it are torn
            --
            unknown: ssh_keys: look at it
            --
            refused: ssh_keys: look at it"#]],
    );
    let difference = User::plan(&want(only()), &file("ssh-rsa AAAA\n"));
    assert_eq!(User::detail(&difference.changes[0]).unwrap(), "+ ssh-ed25519 ci\n- 1 others");
}

#[test]
fn an_account_that_is_to_go() {
    let root = || {
        let mut have = somebody();
        have.account.as_mut().unwrap().uid = 0;
        have
    };
    let shared = || State { same_uid: vec![user("twin")], ..busy(somebody()) };
    let user_groups = Defaults { user_groups: true, ..Defaults::default() };
    let table = [
        (absent(false, false), nobody()),
        (absent(false, false), State { elsewhere: Some(7), ..nobody() }),
        (absent(false, false), State { defaults: user_groups, ..somebody() }),
        (absent(false, false), busy(somebody())),
        (absent(false, true), busy(somebody())),
        (absent(false, true), shared()),
        (absent(true, false), somebody()),
        (absent(true, false), State { homes_within: vec![user("b")], ..somebody() }),
        (absent(true, false), State { home: Some((path("/home/deploy"), NO_HOME)), ..somebody() }),
        (absent(true, true), root()),
    ];
    let shown: Vec<String> = table.iter().map(|(want, have)| planned(want, have)).collect();
    expect![[r#"

        --
        note: the name service still has a user of that name
        --
        remove user (uid 2000)
        note: its home stays: /home/deploy
        note: group deploy goes with it where nobody else is in it
        --
        remove user (uid 2000)
        refused: the user has processes: sleep (pid 7)
        note: its home stays: /home/deploy
        --
        end sessions (1 process)
        remove user (uid 2000)
        note: its home stays: /home/deploy
        --
        remove user (uid 2000)
        refused: its uid has processes, and is also that of twin: sleep (pid 7)
        note: its home stays: /home/deploy
        --
        remove home /home/deploy with all that is in it
        remove user (uid 2000)
        --
        remove user (uid 2000)
        refused: /home/deploy is also the home of b
        --
        remove user (uid 2000)
        --
        refused: it has uid 0, as root has"#]]
    .assert_eq(&shown.join("\n--\n"));
}

#[test]
fn what_is_said_of_an_account_has_no_hash_in_it() {
    let have = with_password(HASH);
    let said: Vec<String> =
        User::describe(&have).iter().map(|(name, value)| format!("{name}: {value}")).collect();
    expect![[r#"
        state: present
        uid: 2000
        group: deploy
        groups: adm, video
        home: /home/deploy
        shell: /bin/sh
        comment: 
        password: set
        expires: never
        inactive: never
        password_min_days: 0
        password_max_days: 99999
        password_warn_days: 7"#]]
    .assert_eq(&said.join("\n"));
    let present = Present { password_hash: Some(hash()), ..Present::default() };
    let promised =
        State { hash: Some(Ok(Secret::new(HASH.as_bytes().to_vec()))), ..with_password("!") };
    let difference = User::plan(&want(present), &promised);
    let everything = format!("{promised:?}{difference:?}{}", difference.changes[0]);
    assert!(!everything.contains("saltsalt"), "{everything}");
    // A service does not run with its user's password.
    assert_eq!(User::fingerprint(&have), User::fingerprint(&promised));
    assert_ne!(User::fingerprint(&have), User::fingerprint(&nobody()));
}

#[test]
fn members_and_users_may_not_contradict_each_other() {
    let with = |groups: Option<Groups>| want(Present { groups, ..Present::default() });
    let adm = || vec![group("adm")];
    let members = |of: &str, exactly, names: &[&str]| members::Desired {
        group: group(of),
        exactly,
        names: names.iter().map(|it| user(it)).collect(),
    };
    let users = [
        with(None),
        with(Some(Groups::AtLeast(adm()))),
        with(Some(Groups::Exactly(adm()))),
        with(Some(Groups::Exactly(vec![]))),
        with(Some(Groups::Without(adm()))),
        absent(false, false),
    ];
    let members = [
        members("adm", false, &["deploy"]),
        members("adm", true, &["other"]),
        members("adm", false, &["other"]),
        members("deploy", true, &[]),
    ];
    let found =
        contradictions(&users.iter().collect::<Vec<_>>(), &members.iter().collect::<Vec<_>>());
    let shown: Vec<String> =
        found.iter().map(|(user, members, why)| format!("{user} {members} {why}")).collect();
    expect![[r#"
        1 1 user deploy is to be in group adm, which is to have exactly other members
        2 1 user deploy is to be in group adm, which is to have exactly other members
        3 0 group adm is to have the member deploy, and user deploy is not to be in it
        4 0 group adm is to have the member deploy, and user deploy is not to be in it
        5 0 user deploy is promised absent, and group adm is to have that member"#]]
    .assert_eq(&shown.join("\n"));
}

/// Accounts and secrets that stand in a test.
#[derive(Debug)]
struct Fake {
    local: Arc<Local>,
    keys: KeysFile,
}

impl accounts::Read for Fake {
    fn uid(&self, name: &UserName) -> Result<Option<u32>, SystemError> {
        Ok(self.local.user(name).map(|it| it.uid))
    }
    fn gid(&self, name: &GroupName) -> Result<Option<u32>, SystemError> {
        Ok(self.local.group(name).map(|it| it.gid))
    }
    fn user_of(&self, uid: u32) -> Result<Option<UserName>, SystemError> {
        Ok(self.local.user_with(uid).map(|it| it.name.clone()))
    }
    fn group_of(&self, gid: u32) -> Result<Option<GroupName>, SystemError> {
        Ok(self.local.group_with(gid).map(|it| it.name.clone()))
    }
    fn local(&self) -> Result<Arc<Local>, SystemError> {
        Ok(Arc::clone(&self.local))
    }
    fn processes_of(&self, _uid: u32) -> Result<Vec<Process>, SystemError> {
        Ok(busy(nobody()).processes)
    }
    fn homes(&self, paths: &[&AbsPath]) -> Vec<Result<Home, SystemError>> {
        paths.iter().map(|_| Ok(directory(2000))).collect()
    }
    fn keys_file(&self, _home: &AbsPath, _user: Option<u32>) -> Result<KeysFile, SystemError> {
        Ok(self.keys.clone())
    }
    fn is_program(&self, path: &AbsPath) -> Result<bool, SystemError> {
        Ok(path.as_str() == "/bin/sh")
    }
}

impl secrets::Read for Fake {
    fn secret(&self, name: &str) -> Result<Secret, SystemError> {
        match name {
            "good" => Ok(Secret::new(format!("{HASH}\n").into_bytes())),
            "bad" => Ok(Secret::new(b"hunter2".to_vec())),
            _ => Err(SystemError::new(ErrorKind::Other, format!("read secret {name}"))),
        }
    }
    fn keyed_digest(&self, _content: &[u8]) -> Result<[u8; 32], SystemError> {
        Ok([0; 32])
    }
}

fn fake() -> Fake {
    let account = |name: &str, uid, home: &str| accounts::User {
        name: user(name),
        uid,
        gid: uid,
        comment: Arc::from(""),
        home: Arc::from(home),
        shell: Arc::from("/bin/sh"),
    };
    let of_group = |name: &str, gid, members: &[&str]| accounts::Group {
        name: group(name),
        gid,
        members: members.iter().map(|it| Arc::from(*it)).collect(),
    };
    let local = Local::new(
        vec![account("deploy", 2000, "/home/deploy"), account("inner", 2001, "/home/deploy/in")],
        vec![
            of_group("deploy", 2000, &["deploy"]),
            of_group("adm", 4, &["deploy"]),
            of_group("video", 44, &["inner", "deploy"]),
            of_group("empty", 45, &[]),
        ],
        Ok(BTreeMap::from([(user("deploy"), shadow("!"))])),
        Defaults::default(),
    );
    Fake { local: Arc::new(local), keys: KeysFile::Nothing }
}

#[test]
fn what_is_there_is_found() {
    let fake = fake();
    let look = |want: &Desired| looks(&[want], &fake, &fake).remove(0).unwrap();
    let inner = State { homes_within: vec![user("inner")], ..somebody() };
    assert_eq!(look(&want(Present::default())), inner);
    assert_eq!(look(&absent(false, false)), busy(inner.clone()));
    let changed = look(&want(Present {
        uid: Some(2001),
        group: Some(group("adm")),
        groups: Some(Groups::AtLeast(vec![group("empty"), group("none")])),
        home: Some(path("/srv/x")),
        shell: Some(path("/bin/none")),
        password_hash: Some(hash()),
        ssh_keys: Some(Keys::AtLeast(vec![])),
        ..Present::default()
    }));
    let expected = State {
        wanted_gid: Some(4),
        holders: vec![user("inner")],
        missing_groups: vec![group("none")],
        home: Some((path("/srv/x"), directory(2000))),
        homes_within: vec![],
        shell_there: Some(false),
        hash: Some(Ok(Secret::new(HASH.as_bytes().to_vec()))),
        keys: Some(Ok(KeysFile::Nothing)),
        ..busy(inner)
    };
    assert_eq!(changed, expected);
    let other = Desired { name: user("other"), ..want(Present::default()) };
    assert_eq!(
        look(&other),
        State { home: Some((path("/home/other"), directory(2000))), ..nobody() }
    );
}

#[test]
fn a_secret_that_is_no_hash_is_named_and_not_shown() {
    let fake = fake();
    let of = |name: &str| {
        let pieces = Arc::from([steadfast_model::lower::Piece::Secret(Arc::from(name))]);
        resolve(&PasswordHash(Rendered { pieces }), &fake)
    };
    assert_eq!(of("good").unwrap().reveal(), HASH.as_bytes());
    assert_eq!(of("bad").unwrap_err().chain(), ["secret bad is not a password hash"]);
    assert_eq!(of("none").unwrap_err().chain(), ["read secret none"]);
}
