//! The files of accounts, from bytes. Lines that are not as they should be are left out: other
//! programs ignore them too.

use super::{Defaults, Group, Process, Shadow, User};
use crate::secrets::Secret;
use crate::{GroupName, UserName};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// /etc/passwd.
pub(super) fn passwd(bytes: &[u8]) -> Vec<User> {
    lines(bytes).filter_map(user).collect()
}

fn user(line: &[u8]) -> Option<User> {
    let [name, _password, uid, gid, comment, home, shell] = fields(line)?;
    Some(User {
        name: UserName::parse(std::str::from_utf8(name).ok()?).ok()?,
        uid: number(uid)?,
        gid: number(gid)?,
        comment: lossy(comment),
        home: lossy(home),
        shell: lossy(shell),
    })
}

/// /etc/group.
pub(super) fn group(bytes: &[u8]) -> Vec<Group> {
    lines(bytes).filter_map(one_group).collect()
}

fn one_group(line: &[u8]) -> Option<Group> {
    let [name, _password, gid, members] = fields(line)?;
    Some(Group {
        name: GroupName::parse(std::str::from_utf8(name).ok()?).ok()?,
        gid: number(gid)?,
        members: members
            .split(|it| *it == b',')
            .map(<[u8]>::trim_ascii)
            .filter(|it| !it.is_empty())
            .map(lossy)
            .collect(),
    })
}

/// /etc/shadow.
pub(super) fn shadow(bytes: &[u8]) -> BTreeMap<UserName, Shadow> {
    let mut all = BTreeMap::new();
    for (name, shadow) in lines(bytes).filter_map(one_shadow) {
        all.entry(name).or_insert(shadow);
    }
    all
}

fn one_shadow(line: &[u8]) -> Option<(UserName, Shadow)> {
    let [name, password, changed, min, max, warn, inactive, expires, _reserved] = fields(line)?;
    let shadow = Shadow {
        password: Secret::new(password.to_vec()),
        changed: days(changed)?,
        min: days(min)?,
        max: days(max)?,
        warn: days(warn)?,
        inactive: days(inactive)?,
        expires: days(expires)?,
    };
    Some((UserName::parse(std::str::from_utf8(name).ok()?).ok()?, shadow))
}

/// The names that stand at the beginning of more than one line of a file, each with that file.
pub(super) fn repeated(files: &[(&'static str, &[u8])]) -> BTreeMap<Arc<str>, &'static str> {
    let mut twice = BTreeMap::new();
    for (file, bytes) in files {
        let mut seen = HashSet::new();
        for name in lines(bytes).filter_map(|it| it.split(|it| *it == b':').next()) {
            if !seen.insert(name)
                && let Ok(name) = std::str::from_utf8(name)
            {
                twice.entry(Arc::from(name)).or_insert(*file);
            }
        }
    }
    twice
}

/// /etc/login.defs and /etc/default/useradd.
pub(super) fn defaults(login_defs: &[u8], useradd: &[u8]) -> Defaults {
    let mut defaults = Defaults::default();
    let mut home_mode = None;
    for line in lines(login_defs) {
        let line = String::from_utf8_lossy(line);
        let mut words = line.split_ascii_whitespace();
        let (Some(key), Some(value)) = (words.next(), words.next()) else { continue };
        let octal = || u16::from_str_radix(value, 8).ok().filter(|it| *it <= 0o777);
        match key {
            "USERGROUPS_ENAB" => defaults.user_groups = value.eq_ignore_ascii_case("yes"),
            "UMASK" => defaults.home_umask = octal().unwrap_or(defaults.home_umask),
            "HOME_MODE" => home_mode = octal(),
            _ => {}
        }
    }
    if let Some(mode) = home_mode {
        defaults.home_umask = 0o777 & !mode;
    }
    for line in lines(useradd) {
        let line = String::from_utf8_lossy(line);
        if let Some(folder) = line.trim().strip_prefix("HOME=")
            && folder.starts_with('/')
        {
            defaults.homes = Arc::from(folder.trim_end_matches('/'));
        }
        if let Some(folder) = line.trim().strip_prefix("SKEL=")
            && folder.starts_with('/')
        {
            defaults.skeleton = Arc::from(folder.trim_end_matches('/'));
        }
    }
    defaults
}

/// /proc/PID/status: the name, and the real, effective and saved uid.
pub(super) fn status(pid: u32, bytes: &[u8]) -> Option<(Process, [u32; 3])> {
    let text = String::from_utf8_lossy(bytes);
    let value = |key: &str| text.lines().find_map(|it| it.strip_prefix(key)).map(str::trim);
    let mut uids = value("Uid:")?.split_ascii_whitespace().map(str::parse::<u32>);
    let mut next = || uids.next()?.ok();
    let uids = [next()?, next()?, next()?];
    let name = crate::text::safe_start(value("Name:")?, 64);
    Some((Process { pid, name: Arc::from(name) }, uids))
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes
        .split(|it| *it == b'\n')
        .filter(|line| !line.trim_ascii().is_empty() && !line.trim_ascii().starts_with(b"#"))
}

fn fields<const N: usize>(line: &[u8]) -> Option<[&[u8]; N]> {
    let all: Vec<&[u8]> = line.split(|it| *it == b':').collect();
    all.try_into().ok()
}

fn number(field: &[u8]) -> Option<u32> {
    if !field.first()?.is_ascii_digit() {
        return None;
    }
    std::str::from_utf8(field).ok()?.parse().ok()
}

/// An empty field is none within; what is no number is none altogether. -1 means none as well.
fn days(field: &[u8]) -> Option<Option<i64>> {
    if field.is_empty() {
        return Some(None);
    }
    let number: i64 = std::str::from_utf8(field).ok()?.parse().ok()?;
    Some((number >= 0).then_some(number))
}

fn lossy(bytes: &[u8]) -> Arc<str> {
    Arc::from(String::from_utf8_lossy(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn passwd_lines_that_are_not_whole_are_left_out() {
        let bytes = b"root:x:0:0:root:/root:/bin/bash\n\
            # nobody wrote this\n\
            \n\
            deploy:x:2000:2000:D\xe9ploy,,,:/srv/deploy:/bin/sh\n\
            +::::::\n\
            -x:x:1:1::/:/bin/sh\n\
            short:x:5\n\
            long:x:5:5::/:/bin/sh:more\n\
            minus:x:-1:5::/:/bin/sh\n\
            plus:x:+1:5::/:/bin/sh\n\
            big:x:4294967296:5::/:/bin/sh\n\
            Debian-exim:x:101:105::/var/spool/exim4:/usr/sbin/nologin";
        let shown: Vec<String> = passwd(bytes)
            .iter()
            .map(|it| {
                format!(
                    "{} {} {} {:?} {} {}",
                    it.name, it.uid, it.gid, it.comment, it.home, it.shell
                )
            })
            .collect();
        expect![[r#"
            root 0 0 "root" /root /bin/bash
            deploy 2000 2000 "D�ploy,,," /srv/deploy /bin/sh
            Debian-exim 101 105 "" /var/spool/exim4 /usr/sbin/nologin"#]]
        .assert_eq(&shown.join("\n"));
    }

    #[test]
    fn group_members_are_as_they_stand() {
        let bytes = b"adm:x:4:syslog,deploy\nwww-data:x:33:\nodd:x:7:a,,b, \nbad:x:y:\n12:x:12:\n";
        let groups = group(bytes);
        let shown: Vec<String> =
            groups.iter().map(|it| format!("{} {} {:?}", it.name, it.gid, it.members)).collect();
        expect![[r#"
            adm 4 ["syslog", "deploy"]
            www-data 33 []
            odd 7 ["a", "b"]"#]]
        .assert_eq(&shown.join("\n"));
    }

    #[test]
    fn shadow_tells_a_lock_from_a_hash_and_shows_neither() {
        let bytes = b"root:*:19000:0:99999:7:::\n\
            a:!$6$salt$hash:19000:1:90:7:14:20000:\n\
            b:!:19000::::::\n\
            b:second:19000::::::\n\
            c::19000:0:99999:7:-1::\n\
            bad:$6$x:soon:0:99999:7:::\n\
            short:x:1\n";
        let all = shadow(bytes);
        let of = |name: &str| all.get(&UserName::parse(name).unwrap()).unwrap();
        assert_eq!(all.len(), 4);
        assert!(!of("root").is_locked() && !of("root").has_password());
        assert!(of("a").is_locked() && of("a").has_password());
        assert_eq!(of("a").unlocked(), b"$6$salt$hash");
        assert_eq!((of("a").inactive, of("a").expires), (Some(14), Some(20000)));
        assert!(of("b").is_locked() && !of("b").has_password());
        assert!(!of("c").is_locked() && !of("c").has_password() && of("c").inactive.is_none());
        assert!(!format!("{all:?}").contains("salt"));
    }

    #[test]
    fn a_name_that_stands_twice_is_told_with_its_file() {
        let once = b"root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/:/bin/sh\n# root:x\n";
        let twice = b"root:*:1::::::\nbob:!:1::::::\nbob:!:1::::::\n\xff:\n\xff:\n";
        let found = repeated(&[("/etc/passwd", once), ("/etc/shadow", twice)]);
        assert_eq!(found, BTreeMap::from([(Arc::from("bob"), "/etc/shadow")]));
    }

    #[test]
    fn defaults_are_those_of_the_tools() {
        assert_eq!(defaults(b"", b""), Defaults::default());
        let found = defaults(
            b"# UMASK 077\nUMASK\t\t 027\nUSERGROUPS_ENAB yes\nBROKEN\nHOME_MODE 0750\n",
            b"# HOME=/x\nHOME=/srv/home/\nSHELL=/bin/sh\nSKEL=/srv/skel/\n",
        );
        assert_eq!(
            found,
            Defaults {
                user_groups: true,
                home_umask: 0o027,
                homes: Arc::from("/srv/home"),
                skeleton: Arc::from("/srv/skel"),
            }
        );
        assert_eq!(defaults(b"UMASK 099\n", b"HOME=relative\nSKEL=x\n"), Defaults::default());
    }

    #[test]
    fn a_process_cannot_write_control_characters_into_our_words() {
        let bytes = b"Name:\t\x1b[31mevil\nUmask:\t0022\nState:\tS\nUid:\t1000\t1001\t1002\t1000\n";
        let (process, uids) = status(7, bytes).unwrap();
        assert_eq!((&*process.name, uids), ("\\u{1b}[31mevil", [1000, 1001, 1002]));
        assert!(status(7, b"Name:\tx\nUid:\t1\n").is_none() && status(7, b"").is_none());
    }

    #[test]
    fn no_bytes_make_the_parsers_fall() {
        for bytes in [&b"\0\0\0"[..], b":::::::::", b"\xff\xfe:\xff", b"a:b:c:d:e:f:g", b"\n\n:\n"]
        {
            assert!(passwd(bytes).is_empty() && group(bytes).is_empty());
            assert!(shadow(bytes).is_empty() && status(1, bytes).is_none());
        }
    }
}
