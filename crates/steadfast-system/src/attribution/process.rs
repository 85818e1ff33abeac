//! What a process says of itself, and what the kernel says of it, from /proc.
//!
//! Who it is comes from the kernel: user, login and unit. What it is called it chooses itself, so that is
//! believed as little as anything that a stranger says. Command lines can carry passwords: of them the
//! number of arguments is kept, and in words only what is about packages (apt writes the same into a log
//! that everybody may read) and the path of the script that an interpreter runs. Of processes without root's
//! rights not even these: a command line is read from the memory of the process, and who owns that can have the
//! reader wait without end (a file of a FUSE mapped there, userfaultfd(2)).

use crate::text::safe_start;
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;

/// A process, as far as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    pub name: String,
    /// What of its command line is kept.
    pub command: Option<String>,
    /// How many arguments it was started with.
    pub arguments: u32,
    /// Whose rights it has.
    pub user: String,
    /// Who logged in, where somebody did.
    pub login: Option<String>,
    /// The unit of systemd that it belongs to.
    pub unit: Option<String>,
    /// The process group, by which children are known.
    #[serde(skip)]
    pub group: i32,
}

/// Of each file so much is read: what is longer says nothing more that is kept.
const MOST: u64 = 4 * 1024;
/// What is kept of a command line, in characters.
const COMMAND: usize = 200;

/// Asks for a process; nothing where it has ended.
pub fn ask(pid: i32) -> Option<Process> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // All that follows is about the same process, whoever gets its number next.
    let folder = rustix::fs::open(format!("/proc/{pid}"), flags, Mode::empty()).ok()?;
    let status = text(&folder, "status")?;
    let (name, uid) = name_and_user(&status)?;
    let line = if uid == 0 { read(&folder, "cmdline").unwrap_or_default() } else { vec![] };
    let login = text(&folder, "loginuid").and_then(|it| it.trim().parse::<u32>().ok());
    let unit = text(&folder, "cgroup").and_then(|it| unit(&it));
    let group = text(&folder, "stat").and_then(|it| process_group(&it)).unwrap_or_default();
    // The fastest first: the process may end at any moment, and /etc/passwd stays.
    let accounts = std::fs::read("/etc/passwd").unwrap_or_default();
    let (command, arguments) = kept(&line);
    let login = login.filter(|it| *it != u32::MAX && *it != uid);
    Some(Process {
        name,
        command,
        arguments,
        user: user_name(&accounts, uid),
        login: login.map(|it| user_name(&accounts, it)),
        unit,
        group,
    })
}

/// The unit of systemd that this process belongs to.
pub fn own_unit() -> Option<String> {
    unit(&std::fs::read_to_string("/proc/self/cgroup").ok()?)
}

fn read(folder: &OwnedFd, name: &str) -> Option<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::openat(folder, name, flags, Mode::empty()).ok()?;
    let mut bytes = vec![];
    File::from(file).take(MOST).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn text(folder: &OwnedFd, name: &str) -> Option<String> {
    read(folder, name).map(|it| String::from_utf8_lossy(&it).into_owned())
}

/// The name, and the user with whose rights it acts, from `status`. The kernel escapes line ends in names.
fn name_and_user(status: &str) -> Option<(String, u32)> {
    let field = |key: &str| status.lines().find_map(|it| it.strip_prefix(key)).map(str::trim);
    let name = safe_start(field("Name:")?, 64);
    let effective = field("Uid:")?.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some((name, effective))
}

/// The process group, from `stat`: behind the name, which may contain anything.
fn process_group(stat: &str) -> Option<i32> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(2)?.parse().ok()
}

/// The outermost unit of a control group, which is the one that systemd itself has made: whatever stands
/// below it was named by its owner. Version 2 of control groups and systemd's own hierarchy are looked at.
fn unit(groups: &str) -> Option<String> {
    groups.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controller, path) = (parts.next()?, parts.next()?);
        if !controller.is_empty() && controller != "name=systemd" {
            return None;
        }
        let is_unit = |it: &&str| it.ends_with(".service") || it.ends_with(".scope");
        path.split('/').find(is_unit).map(|it| safe_start(it, 100))
    })
}

/// The name of a user, from /etc/passwd alone: other services of names can take their time.
fn user_name(accounts: &[u8], uid: u32) -> String {
    let digits = uid.to_string();
    let found = accounts.split(|it| *it == b'\n').find_map(|line| {
        let mut fields = line.split(|it| *it == b':');
        let (name, _, user) = (fields.next()?, fields.next()?, fields.next()?);
        (user == digits.as_bytes()).then(|| String::from_utf8_lossy(name).into_owned())
    });
    found.map_or(format!("uid {uid}"), |it| safe_start(&it, 64))
}

/// Whether it has the rights of root, as the kernel says.
pub(super) fn is_root(process: &Process) -> bool {
    ["root", "uid 0"].contains(&&*process.user)
}

/// What of a command line is kept in words, and how many arguments there were.
fn kept(line: &[u8]) -> (Option<String>, u32) {
    let mut words = line.strip_suffix(b"\0").unwrap_or(line).split(|it| *it == 0);
    let first = words.next().unwrap_or_default();
    let program = first.rsplit(|it| *it == b'/').next().unwrap_or_default();
    let arguments: Vec<&[u8]> = words.collect();
    let count = u32::try_from(arguments.len()).unwrap_or(u32::MAX);
    let shown = |bytes: &[u8]| safe_start(&String::from_utf8_lossy(bytes), COMMAND);
    let command = if is_about_packages(program) {
        let all = std::iter::once(program).chain(arguments).collect::<Vec<_>>().join(&b' ');
        Some(shown(&all))
    } else {
        interpreter(program).and_then(|it| script(it, &arguments)).map(shown)
    };
    (command, count)
}

/// Whether it is a program that installs packages. Their command lines stand in apt's log too.
pub(super) fn is_about_packages(program: &[u8]) -> bool {
    const ALL: [&[u8]; 6] =
        [b"apt", b"apt-get", b"aptitude", b"dpkg", b"dselect", b"unattended-upgr"];
    ALL.contains(&program)
}

/// What the options of an interpreter are like.
#[derive(Clone, Copy)]
enum Interpreter {
    Shell,
    Perl,
    Python,
    Ruby,
    /// Of these no option is known that says nothing.
    Other,
}

fn interpreter(program: &[u8]) -> Option<Interpreter> {
    // python3.11 is one too.
    let digits = |it: &u8| it.is_ascii_digit() || *it == b'.';
    let end = program.iter().rposition(|it| !digits(it)).map_or(0, |it| it + 1);
    match &program[..end] {
        b"sh" | b"bash" | b"dash" | b"ksh" | b"zsh" => Some(Interpreter::Shell),
        b"perl" => Some(Interpreter::Perl),
        b"python" => Some(Interpreter::Python),
        b"ruby" => Some(Interpreter::Ruby),
        b"node" | b"php" => Some(Interpreter::Other),
        _ => None,
    }
}

impl Interpreter {
    /// Whether an option is known to be a mere switch: what stands behind it is a script, and no code,
    /// no value and no argument.
    fn is_switch(self, option: &[u8]) -> bool {
        let letters: &[u8] = match self {
            Interpreter::Shell if option == b"--norc" || option == b"--noprofile" => return true,
            Interpreter::Shell => b"eux",
            Interpreter::Perl => b"wT",
            Interpreter::Python => b"BEIOSsu",
            Interpreter::Ruby => b"w",
            Interpreter::Other => b"",
        };
        option
            .strip_prefix(b"-")
            .is_some_and(|it| !it.is_empty() && it.iter().all(|letter| letters.contains(letter)))
    }
}

/// The script that an interpreter runs: the first argument that is no switch, where it can be nothing but
/// a path.
fn script<'a>(interpreter: Interpreter, arguments: &[&'a [u8]]) -> Option<&'a [u8]> {
    let first = arguments.iter().find(|it| !interpreter.is_switch(it))?;
    let path = first.starts_with(b"/") || first.starts_with(b"./");
    // Neither spaces nor quotes nor brackets.
    let plain = |it: &u8| it.is_ascii_alphanumeric() || b"/._-+@:~".contains(it) || !it.is_ascii();
    (path && first.iter().all(plain)).then_some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn keeps(line: &[&str], command: Option<&str>) {
        let bytes = line.iter().flat_map(|it| it.bytes().chain([0])).collect::<Vec<_>>();
        let count = u32::try_from(line.len() - 1).unwrap();
        assert_eq!(kept(&bytes), (command.map(str::to_owned), count), "{line:?}");
    }

    #[test]
    fn of_command_lines_only_what_can_be_no_secret_is_kept() {
        keeps(&["mysql", "-psecret", "db"], None);
        keeps(&["curl", "-u", "ann:secret", "https://x.example"], None);
        keeps(&["vim", "/etc/motd"], None);
        keeps(&["sh", "-c", "echo secret >/etc/motd"], None);
        keeps(&["bash", "-ec", "/bin/mail secret"], None);
        keeps(&["perl", "-pi", "-e", "s/a/b/", "/etc/motd"], None);
        keeps(&["python3", "-m", "tool/secret"], None);
        keeps(&["bash", "--norc", "/root/deploy.sh", "secret"], Some("/root/deploy.sh"));
        keeps(&["/usr/bin/python3.11", "-u", "/opt/ansible/x.py", "s"], Some("/opt/ansible/x.py"));
        keeps(&["python3", "https://ann:secret@x.example/y"], None);
        keeps(&["-bash"], None);
        keeps(&["php", "-r", "$x = '/pw=s3cret';"], None);
        keeps(&["php", "-d", "a.pw=x/y", "f.php"], None);
        keeps(&["php", "-d", "/s3cret", "/f.php"], None);
        keeps(&["perl", "-pi", "-E", "s/x/s3cret/"], None);
        keeps(&["perl", "-E", "/s3cret/"], None);
        keeps(&["node", "-p", "/s3cret/"], None);
        keeps(&["node", "--eval", "/s3cret/"], None);
        keeps(&["node", "-e", "/s3cret/"], None);
        keeps(&["ruby", "-e", "/s3cret/"], None);
        keeps(&["sh", "-s", "pa/ss"], None);
        keeps(&["sh", "-s", "/pa/ss"], None);
        keeps(&["bash", "-o", "/s3cret"], None);
        keeps(&["bash", "pa/ss"], None);
        keeps(&["bash", "-", "/pa/ss"], None);
        keeps(&["bash", "/a 's3cret'"], None);
        keeps(&["python3", "-W", "/s3cret", "/x"], None);
        keeps(
            &["sh", "-e", "/var/lib/dpkg/info/a:b.postinst"],
            Some("/var/lib/dpkg/info/a:b.postinst"),
        );
        keeps(&["perl", "-wT", "./x.pl", "s3cret"], Some("./x.pl"));
        keeps(&["node", "/srv/x.js", "s3cret"], Some("/srv/x.js"));
        keeps(&["apt-get", "install", "nginx"], Some("apt-get install nginx"));
        keeps(&["/usr/bin/dpkg", "-i", "a\n\u{1b}[2J.deb"], Some("dpkg -i a\\n\\u{1b}[2J.deb"));
        let long = "x".repeat(5_000);
        keeps(&["dpkg", &long], Some(&format!("dpkg {}", "x".repeat(195))));
        assert_eq!(kept(b""), (None, 0), "a thread of the kernel");
    }

    #[test]
    fn a_process_is_read_from_what_the_kernel_shows() {
        let status = "Name:\tsed\\nUid: 0\nUmask:\t0022\nUid:\t1000\t0\t0\t0\n";
        assert_eq!(name_and_user(status), Some(("sed\\nUid: 0".to_owned(), 0)));
        assert_eq!(name_and_user("Name:\tx\n"), None);
        assert_eq!(process_group("812 (a) b (c)) S 1 700 7 0 -1"), Some(700));
        assert_eq!(process_group("812 (a"), None);
        for (groups, expected) in [
            ("0::/system.slice/cron.service\n", Some("cron.service")),
            ("0::/user.slice/user-1.slice/session-3.scope\n", Some("session-3.scope")),
            // What a user calls a group below his own manager is not what systemd calls it.
            (
                "0::/user.slice/user-1.slice/user@1.service/app.slice/steadfast.service\n",
                Some("user@1.service"),
            ),
            (
                "2:cpu:/other.service\n1:name=systemd:/system.slice/a.service\n0::/\n",
                Some("a.service"),
            ),
            ("0::/\n", None),
            ("", None),
        ] {
            assert_eq!(unit(groups).as_deref(), expected, "{groups}");
        }
        let accounts = b"root:x:0:0::/root:/bin/sh\nbad\nann:x:1000:1000::/home/ann:/bin/sh\n";
        assert_eq!(user_name(accounts, 1000), "ann");
        assert_eq!(user_name(accounts, 7), "uid 7");
    }

    #[test]
    fn nobody_is_asked_for_memory_that_others_than_root_have() {
        if !crate::require::is_root() {
            return;
        }
        use std::os::unix::process::CommandExt as _;
        let start = |uid| {
            let mut shell = std::process::Command::new("sh");
            shell.args(["-c", "read go; :", "-psecret"]).uid(uid);
            let shell = shell.stdin(std::process::Stdio::piped()).spawn().unwrap();
            // Spawning returns when the program runs.
            let process = ask(i32::try_from(shell.id()).unwrap()).unwrap();
            (shell, process.arguments)
        };
        for (uid, arguments) in [(0, 3), (54_321, 0)] {
            let (mut shell, found) = start(uid);
            assert_eq!(found, arguments, "{uid}");
            drop(shell.stdin.take());
            shell.wait().unwrap();
        }
    }

    #[test]
    fn one_s_own_process_can_be_asked_for_and_one_that_has_ended_cannot() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let own = ask(pid).unwrap();
        assert!(!own.name.is_empty() && own.group > 0, "{own:?}");
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let gone = i32::try_from(child.id()).unwrap();
        child.wait().unwrap();
        assert_eq!(ask(gone), None);
    }
}
