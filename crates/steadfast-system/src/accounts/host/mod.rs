//! The accounts of the machine that this program runs on: files are read directly, and written by the
//! shadow tools.

use super::{
    Attribute, Home, HomeShape, KeysFile, Limit, Local, NewGroup, NewPrimary, NewUser, Process,
    Read, Write, parse,
};
use crate::command::Command;
use crate::secrets::Secret;
use crate::{AbsPath, ErrorKind, GroupName, Host, SystemError, UserName};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::process::{PidfdFlags, Signal};
use std::collections::HashMap;
use std::fs;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const PASSWD: &str = "etc/passwd";
const GROUP: &str = "etc/group";
const SHADOW: &str = "etc/shadow";
const LOGIN_DEFS: &str = "etc/login.defs";
const USERADD: &str = "etc/default/useradd";
const FILES: [&str; 5] = [PASSWD, GROUP, SHADOW, LOGIN_DEFS, USERADD];

/// A keys file that is longer is not read.
const MAX_KEYS: u64 = 1024 * 1024;

/// How long a user's processes have to end by themselves, and then to be gone once killed.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the parent of a process that has ended may take to ask.
const UNTIL_REAPED: Duration = Duration::from_secs(2);

/// Puts what stands on its standard input in the place of `.ssh/authorized_keys` below the folder
/// that is its argument. It runs as the user, so it can do nothing that the user could not.
const WRITE_KEYS: &str = r#"set -eu
umask 077
cd -- "$1"
[ -d .ssh ] || mkdir -m 0700 -- .ssh
cd .ssh
new=authorized_keys.steadfast
rm -f -- "$new"
set -C
cat > "$new"
sync -- "$new"
mv -fT -- "$new" authorized_keys
sync -- .
"#;

/// What the real machine remembers of it within one run.
#[derive(Debug)]
pub(crate) struct Memory {
    /// `/`, but in tests.
    root: PathBuf,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    local: Option<(Stamps, Arc<Local>)>,
    /// What the name service said.
    users: HashMap<UserName, Option<u32>>,
    groups: HashMap<GroupName, Option<u32>>,
    user_names: HashMap<u32, Option<UserName>>,
    group_names: HashMap<u32, Option<GroupName>>,
}

/// What tells one content of a file from the next, without reading it.
type Stamps = [Option<(u64, u64, i64, i64, u64)>; FILES.len()];

impl Default for Memory {
    fn default() -> Memory {
        Memory { root: PathBuf::from("/"), inner: Mutex::default() }
    }
}

impl Memory {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self) {
        *self.inner() = Inner::default();
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Whether the name service speaks of this machine.
    fn has_name_service(&self) -> bool {
        self.root == Path::new("/")
    }

    fn stamps(&self) -> Stamps {
        FILES.map(|file| {
            let found = fs::metadata(self.path(file)).ok()?;
            Some((found.dev(), found.ino(), found.mtime(), found.mtime_nsec(), found.len()))
        })
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, SystemError> {
        fs::read(self.path(path)).map_err(|err| SystemError::io(format!("read /{path}"), err))
    }

    fn load(&self) -> Result<Local, SystemError> {
        let defaults = parse::defaults(
            &self.read(LOGIN_DEFS).unwrap_or_default(),
            &self.read(USERADD).unwrap_or_default(),
        );
        Ok(Local::new(
            parse::passwd(&self.read(PASSWD)?),
            parse::group(&self.read(GROUP)?),
            self.read(SHADOW).map(|bytes| parse::shadow(&bytes)),
            defaults,
        ))
    }
}

/// What the name service says, where "there is none" comes in several forms (getpwnam(3)).
fn known<T>(
    what: impl FnOnce() -> String,
    answer: Result<Option<T>, nix::Error>,
) -> Result<Option<T>, SystemError> {
    use nix::Error;
    match answer {
        Ok(found) => Ok(found),
        Err(Error::ENOENT | Error::ESRCH | Error::EBADF | Error::EPERM) => Ok(None),
        Err(err) => Err(SystemError::io(what(), err)),
    }
}

impl Read for Host {
    fn uid(&self, name: &UserName) -> Result<Option<u32>, SystemError> {
        if let Some(user) = self.local()?.user(name) {
            return Ok(Some(user.uid));
        }
        if !self.accounts.has_name_service() {
            return Ok(None);
        }
        if let Some(known) = self.accounts.inner().users.get(name) {
            return Ok(*known);
        }
        let answer = nix::unistd::User::from_name(name.as_str());
        let found = known(|| format!("ask the name service for user {name}"), answer)?
            .map(|it| it.uid.as_raw());
        self.accounts.inner().users.insert(name.clone(), found);
        Ok(found)
    }

    fn gid(&self, name: &GroupName) -> Result<Option<u32>, SystemError> {
        if let Some(group) = self.local()?.group(name) {
            return Ok(Some(group.gid));
        }
        if !self.accounts.has_name_service() {
            return Ok(None);
        }
        if let Some(known) = self.accounts.inner().groups.get(name) {
            return Ok(*known);
        }
        let answer = nix::unistd::Group::from_name(name.as_str());
        let found = known(|| format!("ask the name service for group {name}"), answer)?
            .map(|it| it.gid.as_raw());
        self.accounts.inner().groups.insert(name.clone(), found);
        Ok(found)
    }

    fn user_of(&self, uid: u32) -> Result<Option<UserName>, SystemError> {
        if let Some(user) = self.local()?.user_with(uid) {
            return Ok(Some(user.name.clone()));
        }
        if !self.accounts.has_name_service() {
            return Ok(None);
        }
        if let Some(known) = self.accounts.inner().user_names.get(&uid) {
            return Ok(known.clone());
        }
        let answer = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid));
        let found = known(|| format!("ask the name service for uid {uid}"), answer)?
            .and_then(|it| UserName::parse(&it.name).ok());
        self.accounts.inner().user_names.insert(uid, found.clone());
        Ok(found)
    }

    fn group_of(&self, gid: u32) -> Result<Option<GroupName>, SystemError> {
        if let Some(group) = self.local()?.group_with(gid) {
            return Ok(Some(group.name.clone()));
        }
        if !self.accounts.has_name_service() {
            return Ok(None);
        }
        if let Some(known) = self.accounts.inner().group_names.get(&gid) {
            return Ok(known.clone());
        }
        let answer = nix::unistd::Group::from_gid(nix::unistd::Gid::from_raw(gid));
        let found = known(|| format!("ask the name service for gid {gid}"), answer)?
            .and_then(|it| GroupName::parse(&it.name).ok());
        self.accounts.inner().group_names.insert(gid, found.clone());
        Ok(found)
    }

    fn local(&self) -> Result<Arc<Local>, SystemError> {
        // The stamps are taken first: a file that changes while it is read is read again next time.
        let stamps = self.accounts.stamps();
        let mut inner = self.accounts.inner();
        if let Some((then, local)) = &inner.local
            && *then == stamps
        {
            return Ok(Arc::clone(local));
        }
        let local = Arc::new(self.accounts.load()?);
        *inner = Inner { local: Some((stamps, Arc::clone(&local))), ..Inner::default() };
        Ok(local)
    }

    fn processes_of(&self, uid: u32) -> Result<Vec<Process>, SystemError> {
        let failed = |err| SystemError::io("list processes", err);
        let mut found = vec![];
        for entry in fs::read_dir(self.accounts.path("proc")).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let Some(pid) = name.to_str().and_then(|it| it.parse().ok()) else { continue };
            if let Some(process) = self.process(pid, uid) {
                found.push(process);
            }
        }
        found.sort_by_key(|it| it.pid);
        Ok(found)
    }

    fn home(&self, path: &AbsPath) -> Result<Home, SystemError> {
        let failed = |err| SystemError::io(format!("look at {path}"), err);
        let at = self.accounts.path(path.as_str());
        let folder_there = match path.parent() {
            None => true,
            Some(parent) => fs::metadata(self.accounts.path(parent.as_str()))
                .map(|it| it.is_dir())
                .or_else(|err| if is_missing(&err) { Ok(false) } else { Err(failed(err)) })?,
        };
        let shape = match fs::symlink_metadata(&at) {
            Err(err) if is_missing(&err) => HomeShape::Nothing,
            Err(err) => return Err(failed(err)),
            Ok(found) if found.is_dir() => HomeShape::Directory { uid: found.uid(), link: false },
            Ok(found) if found.is_symlink() => match fs::metadata(&at) {
                Ok(found) if found.is_dir() => {
                    HomeShape::Directory { uid: found.uid(), link: true }
                }
                Ok(_) => HomeShape::Other,
                Err(err) if is_missing(&err) => HomeShape::Other,
                Err(err) => return Err(failed(err)),
            },
            Ok(_) => HomeShape::Other,
        };
        Ok(Home { folder_there, shape })
    }

    fn keys_file(&self, home: &AbsPath, user: Option<u32>) -> Result<KeysFile, SystemError> {
        read_keys(home, &self.accounts.path(home.as_str()), user)
    }

    fn is_program(&self, path: &AbsPath) -> Result<bool, SystemError> {
        match fs::metadata(self.accounts.path(path.as_str())) {
            Ok(found) => Ok(found.is_file() && found.permissions().mode() & 0o111 != 0),
            Err(err) if is_missing(&err) => Ok(false),
            Err(err) => Err(SystemError::io(format!("look at {path}"), err)),
        }
    }
}

fn is_missing(err: &std::io::Error) -> bool {
    matches!(err.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

/// Step by step below the home, by descriptors, following no link and waiting for nothing.
fn read_keys(home: &AbsPath, at: &Path, user: Option<u32>) -> Result<KeysFile, SystemError> {
    use rustix::io::Errno;
    let shown = format!("{home}/.ssh/authorized_keys");
    let failed = |err: Errno| SystemError::io(format!("look at {shown}"), err);
    let in_the_way =
        |path: &str, what: &str| Ok(KeysFile::InTheWay(Arc::from(format!("{path} is {what}"))));
    let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let home_fd = match rustix::fs::open(at, folder, Mode::empty()) {
        Ok(fd) => fd,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(KeysFile::NoHome),
        Err(err) => return Err(failed(err)),
    };
    let ssh_fd =
        match rustix::fs::openat(&home_fd, ".ssh", folder | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(KeysFile::Nothing),
            Err(Errno::NOTDIR | Errno::LOOP) => {
                let shape = shape(&home_fd, ".ssh").map_err(failed)?;
                return in_the_way(&format!("{home}/.ssh"), shape);
            }
            Err(err) => return Err(failed(err)),
        };
    match shape(&ssh_fd, "authorized_keys") {
        Ok("a regular file") => {}
        Ok(other) => return in_the_way(&shown, other),
        Err(Errno::NOENT) => return Ok(KeysFile::Nothing),
        Err(err) => return Err(failed(err)),
    }
    // It may have been changed for something else since: neither opening nor reading may wait.
    let flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(&ssh_fd, "authorized_keys", flags, Mode::empty()) {
        Ok(fd) => fd,
        Err(Errno::NOENT) => return Ok(KeysFile::Nothing),
        Err(Errno::LOOP) => return in_the_way(&shown, "a symbolic link"),
        Err(err) => return Err(failed(err)),
    };
    let found = rustix::fs::fstat(&file).map_err(failed)?;
    if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
        return in_the_way(&shown, "no regular file");
    }
    if found.st_nlink > 1 {
        return in_the_way(&shown, "a file with several hard links, which may be another's");
    }
    if found.st_uid != 0 && user.is_some_and(|user| user != found.st_uid) {
        return in_the_way(&shown, "neither the user's nor root's");
    }
    let mut content = vec![];
    fs::File::from(file)
        .take(MAX_KEYS + 1)
        .read_to_end(&mut content)
        .map_err(|err| SystemError::io(format!("read {shown}"), err))?;
    if content.len() as u64 > MAX_KEYS {
        return in_the_way(&shown, "larger than 1 MiB");
    }
    Ok(KeysFile::Content(Arc::from(content)))
}

fn shape(folder: &OwnedFd, name: &str) -> Result<&'static str, rustix::io::Errno> {
    let found = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(match FileType::from_raw_mode(found.st_mode) {
        FileType::RegularFile => "a regular file",
        FileType::Directory => "a directory",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a fifo",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Unknown => "of an unknown kind",
    })
}

impl Host {
    /// The process, where it runs as `uid` below our own root.
    fn process(&self, pid: u32, uid: u32) -> Option<Process> {
        let status = fs::read(self.accounts.path(&format!("proc/{pid}/status"))).ok()?;
        let (process, uids) = parse::status(pid, &status)?;
        if !uids.contains(&uid) {
            return None;
        }
        // A container's users are not ours, even where their numbers are.
        let place = |path: PathBuf| fs::metadata(path).ok().map(|it| (it.dev(), it.ino()));
        let theirs = place(self.accounts.path(&format!("proc/{pid}/root")));
        let ours = place(self.accounts.root.clone());
        (theirs.is_none() || theirs == ours).then_some(process)
    }

    /// Whether it has ended and its parent has not asked how.
    fn has_ended_unasked(&self, pid: u32, uid: u32) -> bool {
        let status =
            fs::read(self.accounts.path(&format!("proc/{pid}/status"))).unwrap_or_default();
        self.process(pid, uid).is_some()
            && status.split(|it| *it == b'\n').any(|it| it.starts_with(b"State:\tZ"))
    }

    /// Runs one of the shadow tools. Whatever became of it, what was remembered is forgotten.
    fn tool(&self, what: impl FnOnce() -> String, command: &Command) -> Result<(), SystemError> {
        let outcome = command.succeed();
        self.accounts.forget();
        outcome.map(|_| ()).map_err(|error| {
            let mut error = self.with_holder(error);
            // Somebody made it meanwhile, a tool that a killed run had started, say: worth another look.
            if error.chain().iter().any(|it| it.contains("already exists")) {
                error.kind = ErrorKind::Moved;
            }
            error.during(what())
        })
    }

    /// The tools wait for the locks for 15 seconds and then give up; says who holds one.
    fn with_holder(&self, error: SystemError) -> SystemError {
        let said = error.chain().join(" ");
        if !said.contains("lock") || !said.contains("try again later") {
            return error;
        }
        let holder = ["passwd", "shadow", "group", "gshadow"].iter().find_map(|file| {
            let content = fs::read(self.accounts.path(&format!("etc/{file}.lock"))).ok()?;
            let text = String::from_utf8_lossy(&content);
            let pid: u32 = text.trim_matches(|it: char| !it.is_ascii_digit()).parse().ok()?;
            let status = fs::read(self.accounts.path(&format!("proc/{pid}/status"))).ok()?;
            let (process, _) = parse::status(pid, &status)?;
            Some(format!("/etc/{file} is locked by {} (pid {pid})", process.name))
        });
        let words = holder.unwrap_or_else(|| "the account files are locked".to_owned());
        // The chain keeps the tool's own words.
        let mut locked = error.during(words);
        locked.kind = ErrorKind::Locked;
        locked
    }
}

/// A tool that changes the account files. Its longest wait is for their lock.
fn account_tool(program: &str) -> Command {
    Command::new(program).timeout(Duration::from_secs(120))
}

impl Write for Host {
    fn add_group(&self, group: &NewGroup) -> Result<(), SystemError> {
        let NewGroup { name, gid, system } = group;
        let mut command = account_tool("groupadd");
        if *system {
            command = command.arg("-r");
        }
        if let Some(gid) = gid {
            command = command.args(["-g", &gid.to_string()]);
        }
        self.tool(|| format!("add group {name}"), &command.args(["--", name.as_str()]))
    }

    fn set_gid(&self, group: &GroupName, gid: u32) -> Result<(), SystemError> {
        let command = account_tool("groupmod").args(["-g", &gid.to_string(), "--", group.as_str()]);
        self.tool(|| format!("set gid {gid} of group {group}"), &command)
    }

    fn remove_group(&self, group: &GroupName) -> Result<(), SystemError> {
        let command = account_tool("groupdel").args(["--", group.as_str()]);
        self.tool(|| format!("remove group {group}"), &command)
    }

    fn add_member(&self, group: &GroupName, user: &UserName) -> Result<(), SystemError> {
        let command = account_tool("gpasswd").args(["-a", user.as_str(), "--", group.as_str()]);
        self.tool(|| format!("add {user} to group {group}"), &command)
    }

    fn remove_member(&self, group: &GroupName, member: &str) -> Result<(), SystemError> {
        let command = account_tool("gpasswd").args(["-d", member, "--", group.as_str()]);
        let what = || format!("remove {} from group {group}", member.escape_debug());
        self.tool(what, &command)
    }

    fn add_user(&self, user: &NewUser) -> Result<(), SystemError> {
        let NewUser { name, uid, group, home, make_home, shell, comment, system } = user;
        let mut command = account_tool("useradd").arg(if *make_home { "-m" } else { "-M" });
        if *system {
            command = command.arg("-r");
        }
        if let Some(uid) = uid {
            command = command.args(["-u", &uid.to_string()]);
        }
        command = match group {
            NewPrimary::Group(group) => command.args(["-N", "-g", group.as_str()]),
            NewPrimary::Own => command.arg("-U"),
        };
        command = command.args(["-d", home.as_str()]);
        if let Some(shell) = shell {
            command = command.args(["-s", shell.as_str()]);
        }
        if let Some(comment) = comment {
            command = command.args(["-c", &**comment]);
        }
        self.tool(|| format!("add user {name}"), &command.args(["--", name.as_str()]))
    }

    fn set_attribute(&self, user: &UserName, attribute: &Attribute) -> Result<(), SystemError> {
        let command = account_tool("usermod");
        let (what, command) = match attribute {
            // Those two go through the whole home, and must not stop half way.
            Attribute::Uid(uid) => (
                format!("set uid {uid} of user {user}"),
                command
                    .args(["-u", &uid.to_string()])
                    .timeout(Duration::from_secs(600))
                    .never_kill(),
            ),
            Attribute::Group(group) => (
                format!("set primary group {group} of user {user}"),
                command.args(["-g", group.as_str()]).timeout(Duration::from_secs(600)).never_kill(),
            ),
            Attribute::Home(home) => {
                (format!("set home {home} of user {user}"), command.args(["-d", home.as_str()]))
            }
            Attribute::Shell(shell) => {
                (format!("set shell {shell} of user {user}"), command.args(["-s", shell.as_str()]))
            }
            Attribute::Comment(comment) => {
                (format!("set comment of user {user}"), command.args(["-c", &**comment]))
            }
        };
        self.tool(|| what, &command.args(["--", user.as_str()]))
    }

    fn set_limits(
        &self,
        user: &UserName,
        limits: &[(Limit, Option<i64>)],
    ) -> Result<(), SystemError> {
        let mut command = account_tool("chage");
        for (limit, value) in limits {
            let option = match limit {
                Limit::Expires => "-E",
                Limit::Inactive => "-I",
                Limit::MinDays => "-m",
                Limit::MaxDays => "-M",
                Limit::WarnDays => "-W",
            };
            // Days since 1970 are taken where a date is, and hang on no time zone.
            command = command.args([option, &value.unwrap_or(-1).to_string()]);
        }
        let what = || format!("set password limits of user {user}");
        self.tool(what, &command.args(["--", user.as_str()]))
    }

    fn set_password(&self, user: &UserName, field: &Secret) -> Result<(), SystemError> {
        let what = || format!("set password hash of user {user}");
        let field = field.reveal();
        if field.iter().any(|it| it.is_ascii_control() || it.is_ascii_whitespace() || *it == b':') {
            let error = SystemError::new(ErrorKind::Invalid, "it is not a password hash");
            return Err(error.during(what()));
        }
        let mut input = format!("{user}:").into_bytes();
        input.extend_from_slice(field);
        input.push(b'\n');
        self.tool(what, &account_tool("chpasswd").arg("-e").input(input))
    }

    fn lock(&self, user: &UserName) -> Result<(), SystemError> {
        let command = account_tool("usermod").args(["-L", "--", user.as_str()]);
        self.tool(|| format!("lock the password of user {user}"), &command)
    }

    fn unlock(&self, user: &UserName) -> Result<(), SystemError> {
        let command = account_tool("usermod").args(["-U", "--", user.as_str()]);
        self.tool(|| format!("unlock the password of user {user}"), &command)
    }

    fn join_groups(&self, user: &UserName, groups: &[GroupName]) -> Result<(), SystemError> {
        let names: Vec<&str> = groups.iter().map(GroupName::as_str).collect();
        let names = names.join(",");
        let command = account_tool("usermod").args(["-a", "-G", &names, "--", user.as_str()]);
        self.tool(|| format!("add user {user} to {names}"), &command)
    }

    fn make_home(&self, user: &UserName, umask: u16) -> Result<(), SystemError> {
        // Of the PAM modules that every login needs: it makes what useradd makes, later.
        let command =
            Command::new("mkhomedir_helper").args([user.as_str(), &format!("0{umask:03o}")]);
        self.tool(|| format!("make the home of user {user}"), &command)
    }

    fn remove_home(&self, path: &AbsPath, uid: u32) -> Result<(), SystemError> {
        let what = || format!("remove {path}");
        let at = self.accounts.path(path.as_str());
        let at = AbsPath::parse(&at.to_string_lossy())
            .map_err(|err| SystemError::new(ErrorKind::Other, err.to_string()).during(what()))?;
        crate::files::remove_folder_of(self, &at, uid).map_err(|error| error.during(what()))
    }

    fn end_processes(&self, user: &UserName, uid: u32) -> Result<(), SystemError> {
        let what = || format!("end the processes of user {user}");
        if uid == 0 || Read::uid(self, user)? != Some(uid) {
            let error = SystemError::new(ErrorKind::Moved, format!("uid {uid} is not only theirs"));
            return Err(error.during(what()));
        }
        if Path::new("/run/systemd/system").is_dir() {
            // Sessions and the user's own service manager; that there are none is no failure.
            let _none = Command::new("loginctl")
                .args(["terminate-user", "--", user.as_str()])
                .timeout(Duration::from_secs(30))
                .run();
        }
        let rounds = [Signal::TERM, Signal::KILL, Signal::KILL, Signal::KILL];
        for signal in rounds {
            let found = self.processes_of(uid).map_err(|error| error.during(what()))?;
            if found.is_empty() {
                return Ok(());
            }
            let mut ending = vec![];
            for process in found {
                let pid = i32::try_from(process.pid).ok().and_then(rustix::process::Pid::from_raw);
                let Some(pid) = pid else { continue };
                let Ok(descriptor) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else {
                    continue;
                };
                // The number may be somebody else's by now; the descriptor's cannot change any more.
                if self.process(process.pid, uid).is_some()
                    && rustix::process::pidfd_send_signal(&descriptor, signal).is_ok()
                {
                    ending.push((process.pid, descriptor));
                }
            }
            wait_for(&ending, Instant::now() + PATIENCE);
            // What has ended is still listed, and userdel still counts it, until its parent has asked.
            let deadline = Instant::now() + UNTIL_REAPED;
            while ending.iter().any(|(pid, _)| self.has_ended_unasked(*pid, uid))
                && Instant::now() < deadline
            {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        let left = self.processes_of(uid).map_err(|error| error.during(what()))?;
        match left.first() {
            None => Ok(()),
            Some(first) => {
                let words = format!("{} (pid {}) is still there", first.name, first.pid);
                Err(SystemError::new(ErrorKind::TimedOut, words).during(what()))
            }
        }
    }

    fn remove_user(&self, user: &UserName) -> Result<(), SystemError> {
        let command = account_tool("userdel").args(["--", user.as_str()]);
        self.tool(|| format!("remove user {user}"), &command)
    }

    fn write_keys(
        &self,
        user: &UserName,
        home: &AbsPath,
        seen: &KeysFile,
        content: &[u8],
    ) -> Result<(), SystemError> {
        let what = || format!("write {home}/.ssh/authorized_keys");
        let moved = |words: &str| SystemError::new(ErrorKind::Moved, words).during(what());
        let local = self.local()?;
        let Some(account) = local.user(user) else { return Err(moved("the user is gone")) };
        let now = self.keys_file(home, Some(account.uid)).map_err(|error| error.during(what()))?;
        // A home that this run made may have brought a skeleton's empty .ssh, and is no longer missing.
        let same = match (&now, seen) {
            (KeysFile::Nothing, KeysFile::NoHome | KeysFile::Nothing) => true,
            (
                KeysFile::NoHome | KeysFile::Nothing | KeysFile::Content(_) | KeysFile::InTheWay(_),
                _,
            ) => now == *seen,
        };
        if !same {
            return Err(moved("it has changed since it was looked at"));
        }
        Command::new("/bin/sh")
            .args(["-c", WRITE_KEYS, "sh", home.as_str()])
            .env("HOME", home.as_str())
            .run_as(crate::programs::run_as(account)?)
            .input(content)
            .timeout(Duration::from_secs(10))
            .succeed()
            .map(|_| ())
            .map_err(|error| error.during(what()))
    }
}

/// Waits until all those processes have ended, or until the deadline.
fn wait_for(processes: &[(u32, OwnedFd)], deadline: Instant) {
    for (_, process) in processes {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = rustix::event::Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            let mut waits = [rustix::event::PollFd::new(process, rustix::event::PollFlags::IN)];
            match rustix::event::poll(&mut waits, Some(&timeout)) {
                Err(rustix::io::Errno::INTR) => {}
                Ok(_) | Err(_) => break,
            }
        }
    }
}

#[cfg(test)]
mod tests;
