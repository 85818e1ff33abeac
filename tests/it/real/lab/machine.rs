//! A real Debian with systemd as its first process, booted in a container, for one test.
//!
//! ```ignore
//! let Some(machine) = Machine::boot() else { return };
//! machine.sh("usermod --shell /bin/sh deploy");
//! assert_eq!(machine.ok(&["systemctl", "is-active", "cron"]), "active\n");
//! ```
//!
//! Every machine starts from the same root, on a layer of its own, without a network. Several can run
//! at once. When the value is dropped, also by a panic, the machine is gone with all that it wrote.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::thread::LinkNameSpaceType;

use super::listing;
use super::nspawn::{self, ControlGroups, Place, Running};
use crate::require;

/// The search path of everything that runs inside.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

#[derive(Debug)]
pub(crate) struct Machine {
    name: String,
    running: Option<Running>,
    groups: ControlGroups,
    place: Place,
    /// Whether the product's binary was there to be copied.
    installed: bool,
}

/// What a command in a machine said, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Output {
    /// The exit status; 128 and the signal's number where a signal ended it.
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Output {
    fn new(status: ExitStatus, stdout: &[u8], stderr: &[u8]) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let status = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        Self { status, stdout: text(stdout), stderr: text(stderr) }
    }
}

impl Machine {
    /// The machine's host name, fully qualified; the name of its node in a model.
    pub(crate) const NODE: &str = "node1.example.test";

    /// Boots a clean machine and waits until it is up. `None`, saying `skipped: …`, where this
    /// host cannot boot one and need not.
    pub(crate) fn boot() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);

        if let Some(why) = nspawn::missing() {
            require::skip(&why);
            return None;
        }
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("steadfast-{}-{count}", std::process::id());
        let place = Place::new(&name);
        let groups = ControlGroups::create(&name);
        let mut machine = Self { name, running: None, groups, place, installed: false };
        let binary = nspawn::program();
        if binary.exists() {
            machine.push(binary, "/usr/local/bin/steadfast", 0o755);
            machine.installed = true;
        }
        machine.boot_again();
        if machine.installed {
            let version = machine.run(&["steadfast", "--version"]);
            assert!(
                version.status == 0,
                "what was built on this host does not run in a Debian bookworm, whose glibc is 2.36:\n{}",
                version.stderr
            );
        }
        Some(machine)
    }

    /// Boots a machine that is off, from the disk as it was left.
    pub(crate) fn boot_again(&mut self) {
        assert!(self.running.is_none(), "the machine is on");
        self.running = Some(Running::start(&self.name, &self.place, &self.groups));
        // Ready is said when the default target is reached; this waits for the jobs that are left.
        let state = self.run(&["systemctl", "is-system-running", "--wait"]);
        if state.stdout != "running\n" {
            eprintln!(
                "the machine is {}: {}",
                state.stdout.trim_end(),
                self.run(&["systemctl", "list-units", "--failed", "--plain", "--no-legend"]).stdout
            );
        }
    }

    /// Shuts the machine down in order and boots it again, with the same disk.
    pub(crate) fn reboot(&mut self) {
        self.ok(&["systemctl", "--no-block", "poweroff"]);
        let running = self.running.take();
        running.into_iter().for_each(Running::await_off);
        self.boot_again();
    }

    /// Ends every process of the machine at once, as a power cut does. What it wrote and did not sync
    /// is still on its disk, because the host's kernel lives on.
    pub(crate) fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.end();
        }
    }

    /// The machine's first process, as the host counts.
    pub(crate) fn leader_pid(&self) -> u32 {
        self.running.as_ref().expect("the machine is off").leader
    }

    /// The machine's network, for those who enter that alone.
    pub(crate) fn network(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.leader_pid()).into()
    }

    /// A socket on the machine's loopback, for a server out here. It is deaf once the machine is off.
    pub(crate) fn listen(&self, port: u16) -> TcpListener {
        let network = File::open(self.network()).unwrap();
        // A thread of its own, because it stays where it goes.
        let bound = std::thread::spawn(move || {
            let kind = Some(LinkNameSpaceType::Network);
            rustix::thread::move_into_link_name_space(network.as_fd(), kind).unwrap();
            TcpListener::bind(("127.0.0.1", port)).unwrap()
        });
        bound.join().unwrap()
    }

    /// Runs a command inside, as root, with nothing of our environment.
    pub(crate) fn run(&self, command: &[&str]) -> Output {
        let output = self.inside(command).output().unwrap();
        Output::new(output.status, &output.stdout, &output.stderr)
    }

    /// Runs a command inside that must succeed; what it wrote to its standard output.
    pub(crate) fn ok(&self, command: &[&str]) -> String {
        let output = self.run(command);
        assert!(
            output.status == 0,
            "{command:?} ended with status {}\n{}{}",
            output.status,
            output.stdout,
            output.stderr
        );
        output.stdout
    }

    /// Runs a shell script inside, of which every command must succeed.
    pub(crate) fn sh(&self, script: &str) -> String {
        self.ok(&["sh", "-euc", script])
    }

    /// Runs the product inside.
    pub(crate) fn steadfast(&self, arguments: &[&str]) -> Output {
        self.run(&self.steadfast_command(arguments))
    }

    /// Starts the product inside and does not wait for it.
    pub(crate) fn spawn_steadfast(&self, arguments: &[&str]) -> Inside {
        self.spawn(&self.steadfast_command(arguments))
    }

    /// Runs the product inside, and says which of these system calls were made on the way there and by it, a
    /// line each. `None`, saying so, where there is no strace.
    pub(crate) fn traced_steadfast(
        &self,
        calls: &str,
        arguments: &[&str],
    ) -> Option<(Output, String)> {
        if !Path::new("/usr/bin/strace").exists() {
            require::skip("needs strace (tests/run installs it)");
            return None;
        }
        let log = tempfile::NamedTempFile::new().unwrap();
        let inside = self.inside(&self.steadfast_command(arguments));
        let mut tracing = Command::new("/usr/bin/strace");
        tracing.args(["-f", "-e", &format!("trace={calls}"), "-o"]);
        tracing.arg(log.path()).arg(inside.get_program()).args(inside.get_args());
        tracing.env_clear().env("PATH", PATH).env("LC_ALL", "C").env("HOME", "/root");
        let output = tracing.stdin(Stdio::null()).output().unwrap();
        let output = Output::new(output.status, &output.stdout, &output.stderr);
        Some((output, fs::read_to_string(log.path()).unwrap()))
    }

    fn steadfast_command<'a>(&self, arguments: &[&'a str]) -> Vec<&'a str> {
        let profile = nspawn::profile();
        assert!(
            self.installed,
            "there is no {}/steadfast to test: cargo build --bins",
            profile.display()
        );
        [&["steadfast"], arguments].concat()
    }

    /// Starts a command inside, for killing it at some moment.
    pub(crate) fn spawn(&self, command: &[&str]) -> Inside {
        // The empty line says that the process exists; what it says itself comes after that.
        let announced = [&["sh", "-c", "echo; exec \"$@\"", "sh"], command].concat();
        let mut entering = self.inside(&announced);
        entering.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = entering.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut stderr = child.stderr.take().unwrap();
        let mut announcement = String::new();
        stdout.read_line(&mut announcement).unwrap();
        let pid = *nspawn::children(child.id()).first().expect("the process has begun");
        let read_out = std::thread::spawn(move || read_all(&mut stdout));
        let read_err = std::thread::spawn(move || read_all(&mut stderr));
        Inside { child, pid, process: nspawn::open(pid), readers: Some((read_out, read_err)) }
    }

    fn inside(&self, command: &[&str]) -> Command {
        let mut entering = Command::new("nsenter");
        entering.args(["--all", "--target", &self.leader_pid().to_string(), "--"]).args(command);
        entering.env_clear().env("PATH", PATH).env("LC_ALL", "C").env("HOME", "/root");
        entering.stdin(Stdio::null());
        entering
    }

    /// Writes a file; one that is there keeps its owner and mode. The directory must be there.
    pub(crate) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
        let file = self.open(path, flags).unwrap_or_else(|err| panic!("write {path}: {err}"));
        File::from(file).write_all(bytes.as_ref()).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> Vec<u8> {
        let file =
            self.open(path, OFlags::RDONLY).unwrap_or_else(|err| panic!("read {path}: {err}"));
        read_all(&mut File::from(file))
    }

    pub(crate) fn text(&self, path: &str) -> String {
        String::from_utf8(self.read(path)).unwrap_or_else(|err| panic!("read {path}: {err}"))
    }

    /// Whether there is anything at the path, be it a link that leads nowhere.
    pub(crate) fn exists(&self, path: &str) -> bool {
        match self.open(path, OFlags::PATH | OFlags::NOFOLLOW) {
            Ok(_) => true,
            Err(err) if err.kind() == io::ErrorKind::NotFound => false,
            Err(err) => panic!("look at {path}: {err}"),
        }
    }

    /// What a file has that another in its place has not: its inode, and when it was written.
    pub(crate) fn stamp(&self, path: &str) -> Option<(u64, i64, i64)> {
        let file = match self.open(path, OFlags::PATH | OFlags::NOFOLLOW) {
            Ok(file) => file,
            Err(err) if err.kind() == io::ErrorKind::NotFound => return None,
            Err(err) => panic!("look at {path}: {err}"),
        };
        let about = File::from(file).metadata().unwrap();
        Some((about.ino(), about.mtime(), about.mtime_nsec()))
    }

    /// The names in a directory that begin like this; none where there is no such directory.
    pub(crate) fn names(&self, folder: &str, prefix: &str) -> Vec<String> {
        let Ok(folder) = self.open(folder, OFlags::RDONLY | OFlags::DIRECTORY) else {
            return Vec::new();
        };
        let entries = rustix::fs::Dir::read_from(&folder).unwrap().flatten();
        let names = entries.map(|it| it.file_name().to_string_lossy().into_owned());
        names.filter(|it| it.starts_with(prefix)).collect()
    }

    /// Copies a file of the host into the machine.
    pub(crate) fn push(&self, from: &Path, to: &str, mode: u32) {
        self.write(to, fs::read(from).unwrap());
        let file = self.open(to, OFlags::RDONLY).unwrap();
        rustix::fs::fchmod(file, Mode::from_raw_mode(mode)).unwrap();
    }

    /// A program, to a machine that runs. What another test starts at this moment has for a while all that is open
    /// here, and a program that somebody may write to cannot be started: so it is one that nobody here has written.
    pub(crate) fn push_program(&self, from: &Path, to: &str) {
        let written = format!("{to}.pushed");
        self.push(from, &written, 0o755);
        self.ok(&["cp", "-p", &written, to]);
        self.ok(&["rm", &written]);
    }

    /// What lies below the roots, down to content and time; see [`listing`]. Of `/proc`, `/sys`,
    /// `/dev`, `/run` and of what is named in `without`, only that it is there.
    pub(crate) fn listing(&self, roots: &[&str], without: &[&str]) -> BTreeMap<String, String> {
        listing::list(&self.disk(), roots, without)
    }

    /// Writes a model to `/srv/model`, in place of one that is there.
    ///
    /// Where the files do not say otherwise, it has a `model.yaml`, and an environment `test` in which
    /// this node is every server of the `servers` directory.
    pub(crate) fn server_model(&self, files: &[(&str, &str)]) {
        let servers: Vec<&str> = files
            .iter()
            .filter_map(|(path, _)| path.strip_prefix("servers/")?.strip_suffix(".yaml"))
            .collect();
        let environment = format!(
            "environment: test\nnodes:\n  {}: {{ servers: [{}] }}\n",
            Self::NODE,
            servers.join(", ")
        );
        let mut model = BTreeMap::from([
            ("model.yaml", "model: test\nformat: 1\n"),
            ("environments/test.yaml", &environment),
        ]);
        model.extend(files.iter().copied());
        self.ok(&["rm", "-rf", "/srv/model"]);
        for (path, content) in model {
            let path = format!("/srv/model/{path}");
            let (folder, _) = path.rsplit_once('/').unwrap();
            self.ok(&["mkdir", "-p", folder]);
            self.write(&path, content);
        }
    }

    /// The root directory: with all that is mounted inside while the machine is on.
    fn disk(&self) -> PathBuf {
        match &self.running {
            Some(running) => format!("/proc/{}/root", running.leader).into(),
            None => self.place.disk(),
        }
    }

    /// Opens a path as the machine sees it: no link in it leads out to the host.
    fn open(&self, path: impl AsRef<OsStr>, flags: OFlags) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC;
        let mode = if flags.contains(OFlags::CREATE) { 0o644 } else { 0 };
        let root = File::open(self.disk())?;
        let mode = Mode::from_raw_mode(mode);
        Ok(rustix::fs::openat2(&root, path.as_ref(), flags, mode, ResolveFlags::IN_ROOT)?)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.kill();
        self.groups.remove();
    }
}

fn read_all(from: &mut impl io::Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Takes all of an output, so that whoever writes is never blocked.
type Reader = JoinHandle<Vec<u8>>;

/// A process in a machine. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Inside {
    child: Child,
    pid: u32,
    process: Option<OwnedFd>,
    readers: Option<(Reader, Reader)>,
}

impl Inside {
    /// Kills this process, and none that it started.
    pub(crate) fn kill(&self) {
        if let Some(process) = &self.process {
            // It may have ended by itself.
            let _ = rustix::process::pidfd_send_signal(process, rustix::process::Signal::KILL);
        }
    }

    /// The process, as the host counts.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits for its end, and for that of whoever still writes to its output.
    pub(crate) fn wait(mut self) -> Output {
        let status = self.child.wait().unwrap();
        let (stdout, stderr) = self.readers.take().unwrap();
        Output::new(status, &stdout.join().unwrap(), &stderr.join().unwrap())
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.kill();
        drop(self.child.wait());
    }
}
