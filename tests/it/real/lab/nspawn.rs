//! What lies below a machine: its cached root, its control groups, the processes that carry it.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal};
use sha2::Digest as _;

/// The recipe of the root; its digest is part of the root's name.
const RECIPE: &str = include_str!("root.sh");

/// The recipe of the packages that machines can install without a network.
const DEBIAN: &str = include_str!("debian.sh");

/// How long a machine may take to boot or to power off: far more than it needs.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// `target/machine`, beside the profile that this test was built in.
pub(super) fn home() -> PathBuf {
    let home = profile().parent().unwrap().join("machine");
    fs::create_dir_all(&home).unwrap();
    home
}

/// `target/debug` or another directory of a profile, where the product's binary lies too.
pub(crate) fn profile() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().to_owned()
}

/// The product's binary that is put into machines: the one beside this test, unless another was said first.
pub(crate) fn program() -> &'static Path {
    PROGRAM.get_or_init(|| profile().join("steadfast"))
}

pub(crate) static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Why no machine can be booted here.
pub(super) fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("needs root".into());
    }
    let tools = ["systemd-nspawn", "mmdebstrap", "dpkg-deb", "nsenter", "unshare", "mount"];
    for tool in tools {
        let there = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
            .iter()
            .any(|dir| Path::new(dir).join(tool).exists());
        if !there {
            return Some(format!("needs {tool} (tests/run installs it)"));
        }
    }
    let mounts = Command::new("unshare").args(["--mount", "true"]).output().unwrap();
    (!mounts.status.success()).then(|| "needs a root that may mount".into())
}

/// The cached root, built on first use by whichever test process comes first.
pub(super) fn root() -> PathBuf {
    made("root", RECIPE, "", &[])
}

/// A folder with the packages of Debian that a test may install, and all that they need beyond the root.
pub(super) fn debian() -> PathBuf {
    let root = root();
    let name = root.file_name().unwrap().to_string_lossy();
    made("debian", DEBIAN, &name, &[&root])
}

/// What a recipe makes, in a directory that it is told last. It is made anew where the recipe is another, or `from`.
fn made(what: &str, recipe: &str, from: &str, given: &[&Path]) -> PathBuf {
    let digest = sha2::Sha256::digest(format!("{recipe}{from}"));
    let digest: String = digest.iter().take(6).map(|b| format!("{b:02x}")).collect();
    let made = home().join(format!("{what}-{digest}"));
    if made.exists() {
        return made;
    }
    let lock = File::create(home().join(format!("{what}.lock"))).unwrap();
    lock.lock().unwrap();
    if made.exists() {
        return made;
    }
    // Whoever began one before held the lock, so it is dead.
    let building = home().join(format!("building-{what}"));
    remove_tree(&building);
    eprintln!("building for the test machines: {}", made.display());
    must(Command::new("sh").args(["-euc", recipe, what]).args(given).arg(&building));
    fs::rename(&building, &made).unwrap();
    made
}

/// Runs a tool of the host; panics with what it said if it fails.
pub(crate) fn must(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
}

pub(super) fn remove_tree(path: &Path) {
    if path.exists() {
        must(Command::new("rm").args(["-rf", "--one-file-system", "--"]).arg(path));
    }
}

/// Where one machine lives on the host: its writable layer, its mounted disk, its console.
///
/// The directory's lock file is held for as long as the machine's test lives. A directory whose
/// lock is free belongs to nobody, and the next boot clears it away.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) dir: PathBuf,
    _lock: File,
}

impl Place {
    pub(super) fn new(name: &str) -> Self {
        let places = home().join("run");
        fs::create_dir_all(&places).unwrap();
        // One at a time, or a place could be taken for left behind before its lock is taken.
        let turn = File::create(home().join("run.lock")).unwrap();
        turn.lock().unwrap();
        clear_left_overs(&places);
        let lock = File::create(places.join(format!("{name}.lock"))).unwrap();
        lock.lock().unwrap();
        let dir = places.join(name);
        for part in ["upper", "work", "disk"] {
            fs::create_dir_all(dir.join(part)).unwrap();
        }
        let place = Self { dir, _lock: lock };
        let layers = format!(
            "lowerdir={},upperdir={},workdir={},redirect_dir=on,index=off,metacopy=off",
            root().display(),
            place.dir.join("upper").display(),
            place.dir.join("work").display(),
        );
        must(
            Command::new("mount")
                .args(["-t", "overlay", "overlay", "-o", &layers])
                .arg(place.disk()),
        );
        place
    }

    /// The machine's root file system as the host sees it, without what is mounted inside.
    pub(super) fn disk(&self) -> PathBuf {
        self.dir.join("disk")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        clear(&self.dir);
        drop(fs::remove_file(self.dir.with_extension("lock")));
    }
}

fn clear_left_overs(places: &Path) {
    for entry in fs::read_dir(places).unwrap() {
        let lock_path = entry.unwrap().path();
        if lock_path.extension().is_none_or(|extension| extension != "lock") {
            continue;
        }
        let lock = match File::open(&lock_path) {
            Ok(lock) => lock,
            Err(err) if err.kind() == io::ErrorKind::NotFound => continue,
            Err(err) => panic!("{}: {err}", lock_path.display()),
        };
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => continue,
            Err(TryLockError::Error(err)) => panic!("{}: {err}", lock_path.display()),
        }
        let dir = lock_path.with_extension("");
        for carrier in carriers(&dir.join("disk")) {
            end(carrier);
        }
        if let Some(name) = dir.file_name() {
            ControlGroups::of(&name.to_string_lossy()).remove();
        }
        clear(&dir);
        drop(fs::remove_file(&lock_path)); // its owner may just have done so
    }
}

/// Unmounts and removes. Does not panic: it runs while a failed test unwinds.
fn clear(dir: &Path) {
    let disk = dir.join("disk");
    let mounted = fs::read_to_string("/proc/self/mountinfo")
        .is_ok_and(|mounts| mounts.lines().any(|line| line.split(' ').nth(4) == disk.to_str()));
    if mounted {
        let unmounted = |lazily: &[&str]| {
            Command::new("umount")
                .args(lazily)
                .arg(&disk)
                .output()
                .is_ok_and(|o| o.status.success())
        };
        if !unmounted(&[]) && !unmounted(&["--lazy"]) {
            eprintln!("could not unmount {}", disk.display());
            return;
        }
    }
    drop(Command::new("rm").args(["-rf", "--one-file-system", "--"]).arg(dir).status());
}

/// The systemd-nspawn processes that carry the machine with this disk.
fn carriers(disk: &Path) -> Vec<u32> {
    let argument = format!("--directory={}", disk.display());
    let processes = fs::read_dir("/proc").unwrap();
    processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid: &u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let mut arguments = line.split(|byte| *byte == 0);
            arguments.next() == Some(b"systemd-nspawn")
                && arguments.any(|one| one == argument.as_bytes())
        })
        .collect()
}

/// Ends a carrier and the machine's first process below it, and with that the machine.
fn end(carrier: u32) {
    let mut all = children(carrier);
    all.push(carrier);
    let gone: Vec<OwnedFd> = all.iter().filter_map(|pid| open(*pid)).collect();
    all.iter().for_each(|pid| kill(*pid));
    gone.iter().for_each(wait_gone);
}

/// The processes that this one started and that still live.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    // Each thread has its own.
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|it| fs::read_to_string(it.path().join("children")).ok());
    lists
        .flat_map(|it| it.split_whitespace().filter_map(|it| it.parse().ok()).collect::<Vec<_>>())
        .collect()
}

fn pid(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

/// A handle on a process, to wait for its end.
pub(super) fn open(process: u32) -> Option<OwnedFd> {
    rustix::process::pidfd_open(pid(process)?, PidfdFlags::empty()).ok()
}

pub(super) fn kill(process: u32) {
    if let Some(pid) = pid(process) {
        // It may have ended by itself.
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
}

/// Waits for the end of a process, but not forever; says so if it did not come.
pub(super) fn wait_gone(process: &OwnedFd) {
    let patience = Timespec { tv_sec: PATIENCE.as_secs().try_into().unwrap(), tv_nsec: 0 };
    let mut fds = [PollFd::new(process, PollFlags::IN)];
    if !matches!(rustix::event::poll(&mut fds, Some(&patience)), Ok(1)) {
        eprintln!("a process of a test machine did not end");
    }
}

/// A machine's own control group in each hierarchy of a cgroup v1 host.
///
/// Two machines that are started from one group share its `payload` group there, and each ends the
/// services of the other. On a cgroup v2 host there is none: systemd-nspawn asks for a scope.
#[derive(Debug)]
pub(super) struct ControlGroups(Vec<PathBuf>);

impl ControlGroups {
    pub(super) fn create(name: &str) -> Self {
        let groups = Self::of(name);
        for group in &groups.0 {
            fs::create_dir_all(group).unwrap();
            // A cpuset begins empty, and takes no process before it has what its parent has.
            for knob in ["cpuset.cpus", "cpuset.mems"] {
                if group.join(knob).exists() {
                    let parents = fs::read(group.parent().unwrap().join(knob)).unwrap();
                    fs::write(group.join(knob), parents).unwrap();
                }
            }
        }
        groups
    }

    fn of(name: &str) -> Self {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap();
        if own.lines().all(|line| line.starts_with("0::")) {
            return Self(Vec::new());
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let groups = own.lines().filter_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (hierarchy, path) = (parts.next()?, parts.next()?);
            let (root, mounted_at) = mounts.lines().find_map(|mount| {
                let (place, kind) = mount.split_once(" - ")?;
                let place: Vec<&str> = place.split(' ').collect();
                let kind: Vec<&str> = kind.split(' ').collect();
                let fits = match hierarchy {
                    "" => kind[0] == "cgroup2",
                    named => {
                        kind[0] == "cgroup"
                            && named.split(',').all(|one| kind[2].split(',').any(|has| has == one))
                    }
                };
                fits.then(|| (place[3], place[4]))
            })?;
            let below = path.strip_prefix(root).unwrap_or(path).trim_start_matches('/');
            Some(Path::new(mounted_at).join(below).join(name))
        });
        Self(groups.collect())
    }

    /// Removes the groups and those that the machine made in them. Does not panic.
    pub(super) fn remove(&self) {
        for group in &self.0 {
            // The kernel lets go of a group a moment after its last process, and tells nobody in v1.
            for _ in 0..200 {
                remove_group(group);
                if !group.exists() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            if group.exists() {
                eprintln!("could not remove the control group {}", group.display());
            }
        }
    }
}

fn remove_group(group: &Path) {
    let Ok(entries) = fs::read_dir(group) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_group(&entry.path());
        }
    }
    // Busy for as long as a process dies in it; the caller tries again.
    drop(fs::remove_dir(group));
}

/// A machine that runs: the systemd-nspawn that carries it, and its first process.
#[derive(Debug)]
pub(super) struct Running {
    carrier: Child,
    pub(super) leader: u32,
}

impl Running {
    /// Starts the machine and waits until its systemd says that it has booted.
    pub(super) fn start(name: &str, place: &Place, groups: &ControlGroups) -> Self {
        // An abstract socket: it has no path that could be too long, and is gone with us.
        let address = format!("steadfast-{name}");
        let socket =
            UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&address).unwrap()).unwrap();
        let console = File::options().create(true).append(true).open(place.dir.join("console"));
        let console = console.unwrap();

        let mut command = Command::new("sh");
        command.args([
            "-c",
            "for group in $GROUPS_TO_ENTER; do echo $$ >$group/cgroup.procs || exit; done\n\
             unset GROUPS_TO_ENTER; exec \"$@\"",
            "sh",
            "systemd-nspawn",
        ]);
        command.args(["--quiet", "--boot", "--register=no", "--private-network", "--settings=no"]);
        command.args(["--link-journal=no", "--resolv-conf=off", "--timezone=off"]);
        command.args(["--notify-ready=yes", "--hostname=node1.example.test"]);
        // What a container may not ask its kernel by default, and a machine may.
        command.arg("--system-call-filter=fanotify_init fanotify_mark");
        command.arg(format!("--machine={name}"));
        command.arg(format!("--directory={}", place.disk().display()));
        // SYSTEMD_NSPAWN_UNIFIED_HIERARCHY stays unset: forced to plain v1, systemd is not told when a
        // service's group is empty, and a stop now and then takes its whole timeout.
        if !groups.0.is_empty() || !Path::new("/run/systemd/system").exists() {
            command.arg("--keep-unit");
        }
        let groups: Vec<&str> = groups.0.iter().filter_map(|group| group.to_str()).collect();
        command.env("GROUPS_TO_ENTER", groups.join(" "));
        command.env("NOTIFY_SOCKET", format!("@{address}"));
        command.stdin(Stdio::null()).stdout(console.try_clone().unwrap()).stderr(console);

        let mut running = Self { carrier: command.spawn().unwrap(), leader: 0 };
        running.await_ready(&socket, place);
        running
    }

    fn await_ready(&mut self, socket: &UnixDatagram, place: &Place) {
        // The message is the event; once a second we look whether there is still somebody to send it.
        socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let mut silent = 0;
        let mut message = [0; 4096];
        loop {
            match socket.recv(&mut message) {
                Ok(length) => {
                    for line in String::from_utf8_lossy(&message[..length]).lines() {
                        if let Some(pid) = line.strip_prefix("X_NSPAWN_LEADER_PID=") {
                            self.leader = pid.parse().unwrap();
                        }
                        if line == "READY=1" && self.leader != 0 {
                            return;
                        }
                    }
                }
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => {
                    silent += 1;
                    let ended = self.carrier.try_wait().unwrap();
                    if ended.is_some() || silent > PATIENCE.as_secs() {
                        self.end();
                        let console = fs::read(place.dir.join("console")).unwrap_or_default();
                        let console = String::from_utf8_lossy(&console).into_owned();
                        panic!("the machine did not boot ({ended:?}); its console:\n{console}");
                    }
                }
                Err(err) => panic!("waiting for the machine to boot: {err}"),
            }
        }
    }

    /// Waits until the machine has powered itself off.
    pub(super) fn await_off(mut self) {
        if let Some(carrier) = open(self.carrier.id()) {
            wait_gone(&carrier);
        }
        self.end();
    }

    /// Ends every process of the machine at once. Does not panic.
    pub(super) fn end(&mut self) {
        if matches!(self.carrier.try_wait(), Ok(None)) {
            // The kernel ends all others of the machine with its first process.
            end(self.carrier.id());
        }
        drop(self.carrier.wait());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}
