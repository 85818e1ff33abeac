//! An apt repository of the test's own, of small packages that are built on the spot.
//!
//! ```ignore
//! let repository = AptRepository::new()
//!     .package("hello-test", "1.0", |p| p.executable("/usr/bin/hello-test", "#!/bin/sh\necho 1.0\n"))
//!     .package("hello-test", "2.0", |p| p.executable("/usr/bin/hello-test", "#!/bin/sh\necho 2.0\n"))
//!     .demo_server("1.0");
//! repository.install(&machine);
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use sha2::Digest as _;
use tempfile::TempDir;

use super::machine::Machine;
use super::nspawn::{self, must};

/// Where the repository lies in a machine.
const PLACE: &str = "/srv/apt";

/// A flat repository below a temporary directory.
#[derive(Debug)]
pub(crate) struct AptRepository {
    dir: TempDir,
    /// The stanzas of `Packages`.
    packages: String,
}

/// A package before it is built.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    fields: BTreeMap<String, String>,
    files: BTreeMap<String, (String, u32)>,
    conffiles: Vec<String>,
    scripts: BTreeMap<&'static str, String>,
}

impl Package {
    fn new(name: &str, version: &str) -> Self {
        let fields = [
            ("Package", name),
            ("Version", version),
            ("Architecture", "all"),
            ("Maintainer", "Nobody <nobody@example.test>"),
            ("Description", "made by a test"),
        ];
        Self {
            fields: fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            files: BTreeMap::new(),
            conffiles: Vec::new(),
            scripts: BTreeMap::new(),
        }
    }

    /// A field of its control file: `Conflicts`, `Provides`, `Essential`, …
    pub(crate) fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn depends(self, on: &str) -> Self {
        self.field("Depends", on)
    }

    pub(crate) fn file(mut self, path: &str, content: &str) -> Self {
        self.files.insert(path.to_owned(), (content.to_owned(), 0o644));
        self
    }

    pub(crate) fn executable(mut self, path: &str, content: &str) -> Self {
        self.files.insert(path.to_owned(), (content.to_owned(), 0o755));
        self
    }

    pub(crate) fn conffile(mut self, path: &str, content: &str) -> Self {
        self.conffiles.push(path.to_owned());
        self.file(path, content)
    }

    pub(crate) fn preinst(self, script: &str) -> Self {
        self.script("preinst", script)
    }

    pub(crate) fn postinst(self, script: &str) -> Self {
        self.script("postinst", script)
    }

    pub(crate) fn prerm(self, script: &str) -> Self {
        self.script("prerm", script)
    }

    pub(crate) fn postrm(self, script: &str) -> Self {
        self.script("postrm", script)
    }

    fn script(mut self, name: &'static str, script: &str) -> Self {
        self.scripts.insert(name, script.to_owned());
        self
    }

    /// The control file; its first line is the package's name.
    fn control(&self) -> String {
        let mut control = format!("Package: {}\n", self.fields["Package"]);
        for (name, value) in self.fields.iter().filter(|(name, _)| *name != "Package") {
            writeln!(control, "{name}: {value}").unwrap();
        }
        control
    }
}

impl AptRepository {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), packages: String::new() }
    }

    /// Builds a package and adds it; one name may come in several versions.
    pub(crate) fn package(
        mut self,
        name: &str,
        version: &str,
        describe: impl FnOnce(Package) -> Package,
    ) -> Self {
        let package = describe(Package::new(name, version));
        let tree = tempfile::tempdir().unwrap();
        let put = |path: &str, content: &str, mode| {
            let path = tree.path().join(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        for (path, (content, mode)) in &package.files {
            put(path, content, *mode);
        }
        put("DEBIAN/control", &package.control(), 0o644);
        for (script, content) in &package.scripts {
            put(&format!("DEBIAN/{script}"), &format!("#!/bin/sh\nset -e\n{content}"), 0o755);
        }
        if !package.conffiles.is_empty() {
            put("DEBIAN/conffiles", &format!("{}\n", package.conffiles.join("\n")), 0o644);
        }
        // dpkg-deb wants a root that others may read; a temporary directory is none.
        fs::set_permissions(tree.path(), fs::Permissions::from_mode(0o755)).unwrap();

        let file = format!("{name}_{}_all.deb", version.replace(':', "_"));
        let built = self.dir.path().join(&file);
        let mut build = Command::new("dpkg-deb");
        build.args(["--root-owner-group", "--uniform-compression", "-Znone", "--build"]);
        must(build.arg(tree.path()).arg(&built));

        self.list(&file, &package.control());
        self
    }

    /// Real packages of Debian's: nginx, HAProxy and Python, with all that they need in a machine.
    pub(crate) fn debian() -> Self {
        let packages = fs::read_dir(nspawn::debian()).unwrap();
        packages.fold(Self::new(), |all, it| all.built(&it.unwrap().path()))
    }

    /// Adds a package that somebody else has built.
    pub(crate) fn built(mut self, package: &Path) -> Self {
        let file = package.file_name().unwrap().to_str().unwrap();
        fs::copy(package, self.dir.path().join(file)).unwrap();
        let fields = Command::new("dpkg-deb").arg("--field").arg(package).output().unwrap();
        assert!(fields.status.success(), "{fields:?}");
        self.list(file, &String::from_utf8(fields.stdout).unwrap());
        self
    }

    fn list(&mut self, file: &str, control: &str) {
        let bytes = fs::read(self.dir.path().join(file)).unwrap();
        self.packages += control;
        writeln!(self.packages, "Filename: ./{file}\nSize: {}", bytes.len()).unwrap();
        writeln!(self.packages, "SHA256: {}\n", sha256(&bytes)).unwrap();
    }

    /// Adds a real small server, `demo-server`, of which a test can see everything.
    ///
    /// It serves nothing. It reads `/etc/demo/demo.conf` when it starts and on a reload, says so in the
    /// journal, and leaves what it works with in `/run/demo/loaded`. With a line `broken` in its
    /// configuration it does not start, refuses a reload, and `demo-server --check FILE` fails.
    pub(crate) fn demo_server(self, version: &str) -> Self {
        self.package("demo-server", version, |p| {
            p.executable("/usr/sbin/demo-server", DEMO_SERVER)
                .conffile("/etc/demo/demo.conf", &format!("greeting = hello from {version}\n"))
                .file("/lib/systemd/system/demo.service", DEMO_UNIT)
                .postinst(DEMO_POSTINST)
                .prerm(DEMO_PRERM)
                .postrm(DEMO_POSTRM)
        })
    }

    /// Puts the repository into a machine as its only source, and reads the lists.
    pub(crate) fn install(&self, machine: &Machine) {
        machine.sh("rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*");
        self.install_beside(machine);
    }

    /// Puts the repository into a machine beside its other sources, and reads the lists.
    pub(crate) fn install_beside(&self, machine: &Machine) {
        self.publish(machine);
        let line = format!("deb [trusted=yes] file:{PLACE} ./\n");
        machine.write("/etc/apt/sources.list.d/test.list", line);
        machine.ok(&["apt-get", "update"]);
    }

    /// Puts the repository into a machine, in place of what it held; apt has not read it yet.
    pub(crate) fn publish(&self, machine: &Machine) {
        machine.sh(&format!("rm -rf {PLACE}; mkdir -p {PLACE}"));
        for package in fs::read_dir(self.dir.path()).unwrap() {
            let package = package.unwrap();
            let inside = format!("{PLACE}/{}", package.file_name().to_str().unwrap());
            machine.push(&package.path(), &inside, 0o644);
        }
        machine.write(&format!("{PLACE}/Packages"), &self.packages);
        let date = machine.ok(&["date", "-u", "+%a, %d %b %Y %H:%M:%S UTC"]);
        let release = format!(
            "Origin: Test\nLabel: Test\nSuite: test\nCodename: test\nArchitectures: all amd64 arm64\n\
             Date: {date}SHA256:\n {} {} Packages\n",
            sha256(self.packages.as_bytes()),
            self.packages.len()
        );
        machine.write(&format!("{PLACE}/Release"), release);
    }

    /// Where the built packages lie on the host, for those who want one without apt.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }
}

fn sha256(bytes: &[u8]) -> String {
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

const DEMO_SERVER: &str = r#"#!/bin/sh
# demo-server                  serves until it is told to stop
# demo-server --check FILE     whether the configuration is good
# demo-server --reload PID     tells a running one, and waits until it has listened
conf=/etc/demo/demo.conf
loaded=/run/demo/loaded
check() {
  if grep -q broken "$1"; then echo "demo-server: $1 is broken" >&2; return 1; fi
}
load() {
  check "$conf" && cp "$conf" "$loaded.new" && mv "$loaded.new" "$loaded" && echo "demo-server: loaded $conf"
}
case "${1-}" in
--check) check "$2"; exit ;;
--reload)
  check "$conf" || exit
  kill -HUP "$2" || exit
  until cmp -s "$conf" "$loaded"; do sleep 0.02; done
  exit ;;
esac
trap load HUP
trap 'kill $pause; wait $pause; exit 0' TERM
load || exit
sleep infinity &
pause=$!
systemd-notify --ready
# A signal ends the wait and not the pause.
while kill -0 $pause 2>/dev/null; do wait $pause; done
"#;

const DEMO_UNIT: &str = "\
[Unit]
Description=Demo server

[Service]
Type=notify
NotifyAccess=all
RuntimeDirectory=demo
ExecStart=/usr/sbin/demo-server
ExecReload=/usr/sbin/demo-server --reload $MAINPID
KillMode=mixed

[Install]
WantedBy=multi-user.target
";

// These do what debhelper's snippets for a package with one service do.
const DEMO_POSTINST: &str = r#"
case "$1" in configure|abort-upgrade|abort-deconfigure|abort-remove)
  deb-systemd-helper unmask demo.service >/dev/null || true
  if deb-systemd-helper --quiet was-enabled demo.service; then
    deb-systemd-helper enable demo.service >/dev/null || true
  else
    deb-systemd-helper update-state demo.service >/dev/null || true
  fi
  if [ -d /run/systemd/system ]; then
    systemctl --system daemon-reload >/dev/null || true
    if [ -n "$2" ]; then action=restart; else action=start; fi
    deb-systemd-invoke $action demo.service >/dev/null || true
  fi
esac
"#;

const DEMO_PRERM: &str = r#"
if [ -d /run/systemd/system ] && [ "$1" = remove ]; then
  deb-systemd-invoke stop demo.service >/dev/null || true
fi
"#;

const DEMO_POSTRM: &str = r#"
if [ "$1" = remove ]; then
  if [ -d /run/systemd/system ]; then systemctl --system daemon-reload >/dev/null || true; fi
  deb-systemd-helper mask demo.service >/dev/null || true
fi
if [ "$1" = purge ]; then
  deb-systemd-helper purge demo.service >/dev/null || true
  deb-systemd-helper unmask demo.service >/dev/null || true
fi
"#;
