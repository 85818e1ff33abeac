//! The real machine's accounts: read below a root of our own, written in a mount namespace of our own.

use super::*;
use crate::ErrorKind;
use crate::accounts::cache::Cache;
use crate::accounts::{Attribute, Limit, NewGroup, NewPrimary, NewUser, Write as _};
use crate::command::Command;
use crate::host::Settings;
use crate::require::skip;
use crate::secrets::Secret;
use rustix::fs::{FileType, Mode};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Mutex;

fn settings() -> Settings {
    Settings {
        state: PathBuf::from("/nonexistent"),
        cache: PathBuf::from("/nonexistent"),
        secrets: PathBuf::from("/nonexistent"),
        credentials: None,
        own_files: vec![],
    }
}

/// A machine whose files stand in a directory.
struct World {
    folder: tempfile::TempDir,
    host: Host,
}

fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let mut host = Host::new(settings());
    host.accounts = Cache { root: folder.path().to_owned(), inner: Mutex::default() };
    let world = World { folder, host };
    world.file(
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/bash\ndeploy:x:2000:2000::/srv/deploy:/bin/sh\n",
    );
    world.file("etc/group", "root:x:0:\ndeploy:x:2000:\nadm:x:4:deploy\n");
    world.file("etc/shadow", "root:*:19000:0:99999:7:::\ndeploy:!:19000:0:99999:7:::\n");
    world.file("etc/login.defs", "USERGROUPS_ENAB yes\nHOME_MODE 0700\n");
    world
}

impl World {
    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn file(&self, path: &str, content: &str) {
        let at = self.at(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, content).unwrap();
    }
}

fn user(name: &str) -> UserName {
    UserName::parse(name).unwrap()
}

fn group(name: &str) -> GroupName {
    GroupName::parse(name).unwrap()
}

fn path(text: &str) -> AbsPath {
    AbsPath::parse(text).unwrap()
}

#[test]
fn names_and_ids_lead_to_each_other() {
    let world = world();
    assert_eq!(world.host.uid(&user("deploy")), Ok(Some(2000)));
    assert_eq!(world.host.uid(&user("nobody")), Ok(None));
    assert_eq!(world.host.gid(&group("adm")), Ok(Some(4)));
    assert_eq!(world.host.user_of(2000), Ok(Some(user("deploy"))));
    assert_eq!(world.host.group_of(5), Ok(None));
    let local = world.host.local().unwrap();
    assert_eq!(local.users().len(), 2);
    assert_eq!(local.defaults.home_umask, 0o077);
    assert!(local.shadow.as_ref().unwrap()[&user("deploy")].is_locked());
}

#[test]
fn a_file_that_was_replaced_is_read_again_and_an_unchanged_one_is_not() {
    let world = world();
    let first = world.host.local().unwrap();
    assert!(Arc::ptr_eq(&first, &world.host.local().unwrap()));
    world.file("etc/new", "root:x:0:\ndeploy:x:2001:\n");
    fs::rename(world.at("etc/new"), world.at("etc/group")).unwrap();
    assert_eq!(world.host.gid(&group("deploy")), Ok(Some(2001)));
}

#[test]
fn without_shadow_the_rest_is_still_known() {
    let world = world();
    fs::remove_file(world.at("etc/shadow")).unwrap();
    let local = world.host.local().unwrap();
    assert_eq!(local.shadow.as_ref().unwrap_err().chain()[0], "read /etc/shadow");
    assert_eq!(local.user(&user("deploy")).unwrap().uid, 2000);
    fs::remove_file(world.at("etc/passwd")).unwrap();
    assert_eq!(world.host.uid(&user("deploy")).unwrap_err().chain()[0], "read /etc/passwd");
}

#[test]
fn a_home_is_told_from_what_only_stands_there() {
    let world = world();
    fs::create_dir_all(world.at("srv/deploy")).unwrap();
    fs::create_dir_all(world.at("home")).unwrap();
    world.file("home/file", "");
    symlink(world.at("srv/deploy"), world.at("home/link")).unwrap();
    symlink("nowhere", world.at("home/broken")).unwrap();
    let uid = fs::metadata(world.at("srv/deploy")).unwrap().uid();
    for (at, is_there, shape) in [
        ("/srv/deploy", true, HomeShape::Directory { uid, link: false }),
        ("/home/link", true, HomeShape::Directory { uid, link: true }),
        ("/home/broken", true, HomeShape::Other),
        ("/home/file", true, HomeShape::Other),
        ("/home/none", true, HomeShape::Nothing),
        ("/home/file/none", false, HomeShape::Nothing),
        ("/none/none", false, HomeShape::Nothing),
    ] {
        // Others can write where temporary directories are.
        let folder = if is_there { HomeFolder::Open } else { HomeFolder::Missing };
        assert_eq!(Read::home(&world.host, &path(at)), Ok(Home { folder, shape }), "{at}");
    }
}

#[test]
fn a_home_goes_by_descriptors_and_only_where_it_is_the_users() {
    let world = world();
    world.file("home/deploy/.cache/file", "");
    world.file("etc/precious", "");
    symlink(world.at("etc"), world.at("home/deploy/out")).unwrap();
    symlink("deploy", world.at("home/link")).unwrap();
    symlink("home", world.at("aside")).unwrap();
    let uid = fs::metadata(world.at("home/deploy")).unwrap().uid();
    let remove = |home: &str, uid| world.host.remove_home(&path(home), uid);
    for (home, uid) in [("/home/deploy", uid + 1), ("/home/link", uid), ("/etc/precious", uid)] {
        assert_eq!(remove(home, uid).unwrap_err().kind, ErrorKind::Moved, "{home}");
    }
    // The world lies below /tmp, where anybody could have put that link.
    let refused = remove("/aside/deploy", uid).unwrap_err().chain().join(": ");
    assert!(refused.ends_with("it is not followed"), "{refused}");
    assert!(world.at("home/deploy/.cache/file").exists());
    remove("/home/deploy", uid).unwrap();
    remove("/home/deploy", uid).unwrap();
    remove("/none/deploy", uid).unwrap();
    assert!(!world.at("home/deploy").exists() && world.at("etc/precious").exists());
}

#[test]
fn keys_are_read_from_a_regular_file_and_through_no_link() {
    let world = world();
    let look = |home: &str| world.host.keys_file(&path(home), None).unwrap();
    let in_the_way = |what: &str| KeysFile::InTheWay(Arc::from(what));
    assert_eq!(look("/home/none"), KeysFile::NoHome);
    fs::create_dir_all(world.at("home/a")).unwrap();
    assert_eq!(look("/home/a"), KeysFile::Nothing);
    world.file("home/b/.ssh/authorized_keys", "ssh-rsa AAAA\n");
    assert_eq!(look("/home/b"), KeysFile::Content(Arc::from(&b"ssh-rsa AAAA\n"[..])));
    fs::create_dir_all(world.at("home/c/.ssh")).unwrap();
    assert_eq!(look("/home/c"), KeysFile::Nothing);
    symlink(world.at("etc/shadow"), world.at("home/c/.ssh/authorized_keys")).unwrap();
    assert_eq!(look("/home/c"), KeysFile::unfit("it is a symbolic link"));
    fs::create_dir_all(world.at("home/d")).unwrap();
    symlink(world.at("home/b/.ssh"), world.at("home/d/.ssh")).unwrap();
    assert_eq!(look("/home/d"), in_the_way("/home/d/.ssh is a symbolic link"));
    fs::create_dir_all(world.at("home/e/.ssh")).unwrap();
    let fifo = world.at("home/e/.ssh/authorized_keys");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, FileType::Fifo, Mode::RWXU, 0).unwrap();
    assert_eq!(look("/home/e"), KeysFile::unfit("it is a fifo"));
    world.file("home/f/.ssh/authorized_keys", &"#".repeat(1024 * 1024 + 1));
    assert_eq!(look("/home/f"), KeysFile::unfit("it is larger than 1 MiB"));
    fs::create_dir_all(world.at("home/g/.ssh/authorized_keys/x")).unwrap();
    assert_eq!(look("/home/g"), KeysFile::unfit("it is a directory"));
}

#[test]
fn keys_that_may_be_anothers_are_not_read() {
    let world = world();
    let look = |user| world.host.keys_file(&path("/home/a"), user).unwrap();
    world.file("home/a/.ssh/authorized_keys", "one\n");
    let keys = world.at("home/a/.ssh/authorized_keys");
    let set_mode = |mode| fs::set_permissions(&keys, fs::Permissions::from_mode(mode)).unwrap();
    set_mode(0o600);
    let content = KeysFile::Content(Arc::from(&b"one\n"[..]));
    let unfit = |content: Option<&[u8]>, why: &str| KeysFile::Unfit {
        content: content.map(Arc::from),
        why: why.into(),
    };
    let owner = fs::metadata(&keys).unwrap().uid();
    assert_eq!(look(Some(owner)), content);
    fs::hard_link(&keys, world.at("home/other")).unwrap();
    assert_eq!(look(None), unfit(None, "it has several hard links"));
    assert_eq!(look(Some(owner)), unfit(Some(b"one\n"), "it has several hard links"));
    assert_eq!(look(Some(owner + 1)), unfit(None, "it has several hard links"));
    fs::remove_file(world.at("home/other")).unwrap();
    if !rustix::process::geteuid().is_root() {
        let why = format!("it belongs to uid {owner}");
        assert_eq!(look(Some(owner + 1)), unfit(None, &why));
        skip("the rest needs root");
        return;
    }
    assert_eq!(look(Some(2000)), unfit(None, "it belongs to uid 0"), "only root may read it");
    set_mode(0o644);
    assert_eq!(look(Some(2000)), unfit(Some(b"one\n"), "it belongs to uid 0"));
    set_mode(0o600);
    std::os::unix::fs::chown(&keys, Some(2001), None).unwrap();
    assert_eq!(look(Some(2001)), content);
    assert_eq!(look(None), content);
    assert_eq!(look(Some(2000)), unfit(None, "it belongs to uid 2001"));
}

#[test]
fn a_users_processes_are_found_and_a_containers_are_not() {
    let world = world();
    let status = |uid: u32| format!("Name:\tsleep\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n");
    for (pid, uid, root) in [(10, 2000, "."), (11, 0, "."), (12, 2000, "etc"), (9, 2000, ".")] {
        world.file(&format!("proc/{pid}/status"), &status(uid));
        symlink(world.at(root), world.at(&format!("proc/{pid}/root"))).unwrap();
    }
    world.file("proc/meminfo", "");
    let pids: Vec<u32> =
        world.host.processes_of(2000).unwrap().iter().map(|process| process.pid).collect();
    assert_eq!(pids, [9, 10]);
}

#[test]
fn only_what_can_be_run_is_a_program() {
    let world = world();
    world.file("bin/sh", "");
    assert_eq!(world.host.is_program(&path("/bin/sh")), Ok(false));
    fs::set_permissions(world.at("bin/sh"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(world.host.is_program(&path("/bin/sh")), Ok(true));
    assert_eq!(world.host.is_program(&path("/bin/none")), Ok(false));
}

#[test]
fn a_holder_of_the_lock_is_named() {
    let world = world();
    world.file("etc/passwd.lock", "77\0");
    world.file("proc/77/status", "Name:\tvipw\nUid:\t0\t0\t0\t0\n");
    let said = "useradd: cannot lock /etc/passwd; try again later.";
    let error = world.host.with_holder(SystemError::new(ErrorKind::Command, said));
    assert_eq!(error.kind, ErrorKind::Locked);
    assert_eq!(error.chain(), ["/etc/passwd is locked by vipw (pid 77)", said]);
    let other = SystemError::new(ErrorKind::Command, "useradd: user 'lock' already exists");
    assert_eq!(world.host.with_holder(other.clone()), other);
}

/// Gives this thread mounts of its own, with copies of all that the shadow tools write. None where
/// that cannot be done, and then nothing may be written.
fn apart() -> Option<Host> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    #[expect(unsafe_code, reason = "the safe name of this call is deprecated")]
    // SAFETY: new mounts leave the descriptors and memory of this thread as they are.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS) }.ok()?;
    let run =
        |program: &str, arguments: &[&str]| Command::new(program).args(arguments).succeed().ok();
    run("mount", &["--make-rprivate", "/"])?;
    let copy = tempfile::tempdir().ok()?;
    let copy_path = copy.path().to_str()?;
    run("mount", &["-t", "tmpfs", "-o", "mode=0755", "none", copy_path])?;
    run("cp", &["-a", "--", "/etc/.", copy_path])?;
    fs::write(copy.path().join("copy-of-steadfast"), "").ok()?;
    run("mount", &["--bind", copy_path, "/etc"])?;
    // What is mounted at /etc stays; the directory itself goes with its guard.
    run("umount", &[copy_path])?;
    for folder in ["/home", "/srv", "/var/mail", "/var/log"] {
        run("mount", &["-t", "tmpfs", "-o", "mode=0755", "none", folder])?;
    }
    // It must be the copy that everything below writes to.
    fs::metadata("/etc/copy-of-steadfast").ok()?;
    Some(Host::new(settings()))
}

/// Everything that can be done to an account, one after the other, on copies of the real files.
#[test]
fn what_the_tools_are_told_is_what_happens() {
    let Some(host) = apart() else {
        skip("needs root and mount namespaces");
        return;
    };
    let (name, own, extra) = (user("sfx-a"), group("sfx-a"), group("sfx-extra"));
    let now = || host.local().unwrap();
    let of = || now().user(&name).unwrap().clone();
    let shadow = || now().shadow.as_ref().unwrap()[&name].clone();

    host.add_group(&NewGroup { name: extra.clone(), gid: Some(48111), system: false }).unwrap();
    assert_eq!(host.gid(&extra), Ok(Some(48111)));
    host.set_gid(&extra, 48112).unwrap();
    assert_eq!(host.gid(&extra), Ok(Some(48112)));

    host.add_user(&NewUser {
        name: name.clone(),
        uid: Some(48113),
        group: NewPrimary::Own,
        home: path("/home/sfx-a"),
        make_home: true,
        shell: Some(path("/bin/sh")),
        comment: Some(Arc::from("-x, a comment")),
        system: false,
    })
    .unwrap();
    assert_eq!((of().uid, &*of().comment, &*of().shell), (48113, "-x, a comment", "/bin/sh"));
    assert_eq!(host.group_of(of().gid), Ok(Some(own.clone())));
    assert_eq!(
        Read::home(&host, &path("/home/sfx-a")).unwrap().shape,
        HomeShape::Directory { uid: 48113, link: false }
    );
    assert!(shadow().is_locked() && !shadow().has_password());

    host.set_password(&name, &Secret::new(b"$6$salt$hash".to_vec())).unwrap();
    assert_eq!(shadow().password.reveal(), b"$6$salt$hash");
    host.lock(&name).unwrap();
    assert!(shadow().is_locked() && shadow().unlocked() == b"$6$salt$hash");
    host.unlock(&name).unwrap();
    assert_eq!(shadow().password.reveal(), b"$6$salt$hash");
    host.set_password(&name, &Secret::new(b"*".to_vec())).unwrap();
    assert_eq!(shadow().password.reveal(), b"*");
    assert!(host.set_password(&name, &Secret::new(b"x\nroot:y".to_vec())).is_err());

    let all = [Limit::Expires, Limit::Inactive, Limit::MinDays, Limit::MaxDays, Limit::WarnDays];
    let limits: Vec<_> = all.into_iter().zip([20000, 14, 1, 90, 7].map(Some)).collect();
    host.set_limits(&name, &limits).unwrap();
    let found = shadow();
    assert_eq!(
        [found.expires, found.inactive, found.min, found.max, found.warn],
        [20000, 14, 1, 90, 7].map(Some)
    );
    host.set_limits(&name, &[(Limit::Expires, None), (Limit::Inactive, None)]).unwrap();
    assert_eq!((shadow().expires, shadow().inactive), (None, None));

    host.join_groups(&name, std::slice::from_ref(&extra)).unwrap();
    assert_eq!(now().group(&extra).unwrap().members, [Arc::from("sfx-a")]);
    host.remove_member(&extra, "sfx-a").unwrap();
    assert!(now().group(&extra).unwrap().members.is_empty());
    host.add_member(&extra, &name).unwrap();
    assert_eq!(now().group(&extra).unwrap().members, [Arc::from("sfx-a")]);

    let home = path("/home/sfx-a");
    host.write_keys(&name, &home, &KeysFile::Nothing, b"one\n").unwrap();
    let one = KeysFile::Content(Arc::from(&b"one\n"[..]));
    assert_eq!(host.keys_file(&home, Some(48113)), Ok(one.clone()));
    let file = fs::metadata("/home/sfx-a/.ssh/authorized_keys").unwrap();
    assert_eq!((file.uid(), file.permissions().mode() & 0o7777), (48113, 0o600));
    assert_eq!(fs::metadata("/home/sfx-a/.ssh").unwrap().permissions().mode() & 0o7777, 0o700);
    let late = host.write_keys(&name, &home, &KeysFile::Nothing, b"two\n").unwrap_err();
    assert_eq!(late.kind, ErrorKind::Moved);
    host.write_keys(&name, &home, &one, b"").unwrap();
    assert_eq!(host.keys_file(&home, None), Ok(KeysFile::Content(Arc::from(&b""[..]))));

    host.set_attribute(&name, &Attribute::Uid(48114)).unwrap();
    assert_eq!(fs::metadata("/home/sfx-a/.ssh/authorized_keys").unwrap().uid(), 48114);
    host.set_attribute(&name, &Attribute::Group(extra.clone())).unwrap();
    host.set_attribute(&name, &Attribute::Shell(path("/bin/bash"))).unwrap();
    host.set_attribute(&name, &Attribute::Comment(Arc::from(""))).unwrap();
    host.set_attribute(&name, &Attribute::Home(path("/srv/sfx-a"))).unwrap();
    let found = of();
    assert_eq!((found.uid, found.gid, &*found.comment), (48114, 48112, ""));
    assert_eq!((&*found.home, &*found.shell), ("/srv/sfx-a", "/bin/bash"));
    host.make_home(&name, 0o027).unwrap();
    let made = fs::metadata("/srv/sfx-a").unwrap();
    assert_eq!((made.uid(), made.permissions().mode() & 0o7777), (48114, 0o750));

    let refused = host.remove_group(&extra).unwrap_err();
    assert_eq!(
        (refused.kind, refused.chain()[0].as_str()),
        (ErrorKind::Command, "remove group sfx-extra")
    );

    assert_eq!(host.remove_home(&path("/srv/sfx-a"), 7).unwrap_err().kind, ErrorKind::Moved);
    host.remove_home(&path("/srv/sfx-a"), 48114).unwrap();
    assert_eq!(Read::home(&host, &path("/srv/sfx-a")).unwrap().shape, HomeShape::Nothing);
    host.remove_home(&path("/srv/sfx-a"), 48114).unwrap();

    let mut sleeper = std::process::Command::new("sleep");
    let mut sleeper =
        std::os::unix::process::CommandExt::uid(&mut sleeper, 48114).arg("1000").spawn().unwrap();
    assert_eq!(host.processes_of(48114).unwrap().len(), 1);
    // Reaped beside us, as init would do.
    let reaper = std::thread::spawn(move || sleeper.wait().unwrap());
    host.end_processes(&name, 48114).unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&reaper.join().unwrap()), Some(15));
    assert!(host.end_processes(&user("root"), 0).is_err());

    host.remove_user(&name).unwrap();
    assert_eq!(host.uid(&name), Ok(None));
    assert!(fs::metadata("/home/sfx-a").is_ok(), "the home stays");
    host.remove_group(&extra).unwrap();
    assert_eq!(host.gid(&extra), Ok(None));
}
