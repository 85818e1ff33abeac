//! Facts: what a machine says about itself, for the expressions of the model.
//!
//! ```yaml
//! os: { family: debian, id: debian, version: "12", codename: bookworm, name: Debian GNU/Linux 12 (bookworm) }
//! kernel: 6.1.0-28-amd64
//! architecture: amd64                # as dpkg says it
//! hostname: web1
//! fqdn: web1.xyz.example
//! machine_id: 0123456789abcdef0123456789abcdef
//! cpus: 2
//! memory: 4108865536                 # bytes
//! addresses: { ipv4: [192.0.2.10], ipv6: ["2001:db8::10"], interfaces: { eth0: { ipv4: […], ipv6: […] } } }
//! virtualization: kvm                # or the kind of container, or none
//! ```
//!
//! Addresses are those that others can reach this machine at: no loopback, no link-local ones. A fact
//! that the machine does not tell is null. Files of the administrator's own (`*.yaml`, `*.yml`,
//! `*.json` in /etc/steadfast/facts.d) add their top-level keys; they never replace a fact from here,
//! nor one of a file before them in the order of names.
//!
//! No process is started, and only the name service is waited for, for a limited time.

use nix::libc;
use rustix::fs::{Mode, OFlags};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString};
use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Nothing that is read here is longer.
const MOST: u64 = 1024 * 1024;
/// How long the name service may think about our own name.
const PATIENCE: Duration = Duration::from_secs(2);

/// Reads the text of a static fact file; the flag says that it is JSON, not YAML.
pub type Parse<'a> = &'a dyn Fn(&[u8], bool) -> Result<Value, String>;

/// All facts, always in the same order, and notes about what could not be read.
pub fn gather(static_folder: &Path, parse: Parse<'_>) -> (Value, Vec<String>) {
    let mut notes = Notes(vec![]);
    let mut facts = built_in(&mut notes);
    static_facts(static_folder, 0, parse, &mut facts, &mut notes);
    (Value::Object(facts), notes.0)
}

struct Notes(Vec<String>);

impl Notes {
    /// The text of a file, or a note.
    fn read(&mut self, path: &str) -> Option<String> {
        match read_text(Path::new(path)) {
            Ok(text) => Some(text),
            Err(err) => {
                self.0.push(format!("{path} cannot be read: {err}"));
                None
            }
        }
    }
}

fn built_in(notes: &mut Notes) -> Map<String, Value> {
    let os = match read_text(Path::new("/etc/os-release")) {
        Ok(text) => os(&os_release(&text)),
        Err(_) => {
            notes.read("/usr/lib/os-release").map_or(Value::Null, |text| os(&os_release(&text)))
        }
    };
    let uname = rustix::system::uname();
    let hostname = uname.nodename().to_string_lossy().into_owned();
    let machine_id = notes.read("/etc/machine-id").and_then(|text| {
        let id = machine_id(&text).map(str::to_owned);
        if id.is_none() {
            notes.0.push("/etc/machine-id has no machine id".to_owned());
        }
        id
    });
    let memory = notes.read("/proc/meminfo").and_then(|text| memory(&text));
    let fqdn = fqdn(&hostname, notes);
    let addresses = match nix::ifaddrs::getifaddrs() {
        Ok(all) => addresses(all.filter_map(|it| {
            let address = it.address?;
            let ip = address
                .as_sockaddr_in()
                .map(|it| IpAddr::V4(it.ip()))
                .or_else(|| address.as_sockaddr_in6().map(|it| IpAddr::V6(it.ip())))?;
            Some((it.interface_name, ip))
        })),
        Err(err) => {
            notes.0.push(format!("the addresses cannot be listed: {err}"));
            Value::Null
        }
    };
    let mut facts = Map::new();
    for (name, value) in [
        ("os", os),
        ("kernel", json!(uname.release().to_string_lossy())),
        ("architecture", json!(architecture(&uname.machine().to_string_lossy()))),
        ("hostname", json!(hostname)),
        ("fqdn", json!(fqdn)),
        ("machine_id", json!(machine_id)),
        ("cpus", json!(cpus())),
        ("memory", json!(memory)),
        ("addresses", addresses),
        ("virtualization", json!(virtualization(&Clues::of_this_machine()))),
    ] {
        facts.insert(name.to_owned(), value);
    }
    facts
}

/// A regular file's text, up to a limit.
fn read_text(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(MOST).read_to_string(&mut text)?;
    Ok(text)
}

// What files say.

/// The variables of os-release(5): `NAME=value`, the value perhaps in quotes as a shell has them.
fn os_release(text: &str) -> BTreeMap<&str, String> {
    text.lines()
        .filter_map(|line| line.trim().split_once('='))
        .filter(|(name, _)| !name.starts_with('#'))
        .map(|(name, value)| (name, unquoted(value)))
        .collect()
}

fn unquoted(value: &str) -> String {
    let between = |quote| value.strip_prefix(quote).and_then(|it| it.strip_suffix(quote));
    if let Some(inner) = between('\'') {
        return inner.to_owned();
    }
    let inner = between('"').unwrap_or(value);
    let mut text = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(it) = letters.next() {
        text.push(if it == '\\' { letters.next().unwrap_or('\\') } else { it });
    }
    text
}

fn os(release: &BTreeMap<&str, String>) -> Value {
    let get = |name| release.get(name).map(String::as_str);
    let id = get("ID").unwrap_or("linux");
    let like: Vec<&str> = get("ID_LIKE").unwrap_or("").split_ascii_whitespace().collect();
    let family = if id == "debian" || like.contains(&"debian") {
        "debian"
    } else {
        like.first().copied().unwrap_or(id)
    };
    json!({
        "family": family,
        "id": id,
        "version": get("VERSION_ID"),
        "codename": get("VERSION_CODENAME"),
        "name": get("PRETTY_NAME").or(get("NAME")),
    })
}

/// Bytes of memory, from /proc/meminfo.
fn memory(text: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

fn machine_id(text: &str) -> Option<&str> {
    let id = text.trim();
    (id.len() == 32 && id.bytes().all(|it| it.is_ascii_hexdigit())).then_some(id)
}

/// How many processors a list such as `0-3,8` names.
fn listed(text: &str) -> Option<u64> {
    let mut count = 0_u64;
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
        count += u64::from(last.checked_sub(first)?) + 1;
    }
    Some(count)
}

fn cpus() -> Option<u64> {
    read_text(Path::new("/sys/devices/system/cpu/online"))
        .ok()
        .and_then(|text| listed(&text))
        .or_else(|| std::thread::available_parallelism().ok().map(|it| it.get() as u64))
}

/// dpkg's name for what uname calls a machine.
fn architecture(machine: &str) -> &str {
    match machine {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "armv6l" | "armv7l" | "armv8l" => "armhf",
        "i386" | "i486" | "i586" | "i686" => "i386",
        "ppc64le" => "ppc64el",
        "mips64" => "mips64el",
        "loongarch64" => "loong64",
        other => other,
    }
}

// The name.

fn fqdn(hostname: &str, notes: &mut Notes) -> String {
    if hostname.contains('.') {
        return hostname.to_owned();
    }
    let hosts = read_text(Path::new("/etc/hosts")).unwrap_or_default();
    if let Some(name) = name_in_hosts(&hosts, hostname) {
        return name.to_owned();
    }
    let Ok(asked) = CString::new(hostname) else { return hostname.to_owned() };
    let (answer, wait) = std::sync::mpsc::channel();
    // The resolver has no time limit of its own; a thread that is still in it dies with the process.
    let thread = std::thread::Builder::new().name("resolver".to_owned());
    let started = thread.spawn(move || drop(answer.send(canonical_name(&asked))));
    let name = started.ok().and_then(|_| match wait.recv_timeout(PATIENCE) {
        Ok(name) => name,
        Err(_) => {
            let seconds = PATIENCE.as_secs();
            notes.0.push(format!("the name service said nothing about {hostname} in {seconds} s"));
            None
        }
    });
    name.filter(|it| it.contains('.')).unwrap_or_else(|| hostname.to_owned())
}

/// The full name that /etc/hosts gives a host: the first name on its line, where that has a dot.
fn name_in_hosts<'a>(hosts: &'a str, hostname: &str) -> Option<&'a str> {
    hosts.lines().find_map(|line| {
        let line = line.split('#').next().unwrap_or("");
        let mut names = line.split_ascii_whitespace().skip(1);
        let first = names.next().filter(|it| it.contains('.') && !it.starts_with("localhost"))?;
        names.any(|it| it.eq_ignore_ascii_case(hostname)).then_some(first)
    })
}

/// What the name service calls a host in full.
#[expect(unsafe_code, reason = "neither std nor nix asks the resolver for the canonical name")]
fn canonical_name(host: &CStr) -> Option<String> {
    let hints = libc::addrinfo {
        ai_flags: libc::AI_CANONNAME,
        ai_family: libc::AF_UNSPEC,
        ai_socktype: libc::SOCK_DGRAM,
        ai_protocol: 0,
        ai_addrlen: 0,
        ai_addr: std::ptr::null_mut(),
        ai_canonname: std::ptr::null_mut(),
        ai_next: std::ptr::null_mut(),
    };
    let mut found = std::ptr::null_mut();
    // SAFETY: `host` is a C string, `hints` is whole, a null service is allowed, and `found` is written.
    let code = unsafe { libc::getaddrinfo(host.as_ptr(), std::ptr::null(), &hints, &mut found) };
    if code != 0 || found.is_null() {
        return None;
    }
    // SAFETY: after success `found` is a list of one at least, whose first has the name or null.
    let name = unsafe {
        let name = (*found).ai_canonname;
        (!name.is_null()).then(|| CStr::from_ptr(name).to_string_lossy().into_owned())
    };
    // SAFETY: the list came from getaddrinfo, and nothing of it is used after this.
    unsafe { libc::freeaddrinfo(found) };
    name.filter(|it| !it.is_empty() && !it.chars().any(|it| it.is_control() || it.is_whitespace()))
}

// Addresses.

fn addresses(all: impl Iterator<Item = (String, IpAddr)>) -> Value {
    let mut interfaces: BTreeMap<String, (BTreeSet<Ipv4Addr>, BTreeSet<Ipv6Addr>)> =
        BTreeMap::new();
    for (interface, ip) in all.filter(|(_, ip)| is_reachable(*ip)) {
        let (ipv4, ipv6) = interfaces.entry(interface).or_default();
        match ip {
            IpAddr::V4(ip) => drop(ipv4.insert(ip)),
            IpAddr::V6(ip) => drop(ipv6.insert(ip)),
        }
    }
    let ipv4: BTreeSet<&Ipv4Addr> = interfaces.values().flat_map(|it| &it.0).collect();
    let ipv6: BTreeSet<&Ipv6Addr> = interfaces.values().flat_map(|it| &it.1).collect();
    let by_interface: Map<String, Value> = interfaces
        .iter()
        .map(|(name, (ipv4, ipv6))| (name.clone(), json!({ "ipv4": ipv4, "ipv6": ipv6 })))
        .collect();
    json!({ "ipv4": ipv4, "ipv6": ipv6, "interfaces": by_interface })
}

fn is_reachable(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local() && !ip.is_unspecified(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local() && !ip.is_unspecified(),
    }
}

// Virtualization.

/// What hints at a container or a virtual machine.
#[derive(Debug, Default)]
struct Clues {
    /// /run/systemd/container, which systemd writes from what the container's manager told it.
    container: Option<String>,
    /// `container=` among the variables of process 1.
    first_process: Option<String>,
    docker_file: bool,
    podman_file: bool,
    /// Vendor and product of the machine, and the vendor of its firmware.
    dmi: String,
    /// /sys/hypervisor/type
    hypervisor: Option<String>,
    cpu_says_guest: bool,
}

impl Clues {
    fn of_this_machine() -> Clues {
        let word = |path: &str| {
            let text = read_text(Path::new(path)).ok()?;
            let word = text.trim();
            (!word.is_empty()).then(|| word.to_owned())
        };
        let first_process = read_text(Path::new("/proc/1/environ")).ok().and_then(|text| {
            let value = text.split('\0').find_map(|it| it.strip_prefix("container="))?;
            (!value.is_empty()).then(|| value.to_owned())
        });
        let dmi: Vec<String> = ["sys_vendor", "product_name", "bios_vendor"]
            .iter()
            .filter_map(|name| word(&format!("/sys/class/dmi/id/{name}")))
            .collect();
        let cpu = read_text(Path::new("/proc/cpuinfo")).unwrap_or_default();
        Clues {
            container: word("/run/systemd/container"),
            first_process,
            docker_file: Path::new("/.dockerenv").exists(),
            podman_file: Path::new("/run/.containerenv").exists(),
            dmi: dmi.join("\n"),
            hypervisor: word("/sys/hypervisor/type"),
            cpu_says_guest: cpu_says_guest(&cpu),
        }
    }
}

fn cpu_says_guest(cpuinfo: &str) -> bool {
    cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("flags")?.split_once(':'))
        .is_some_and(|(_, flags)| flags.split_ascii_whitespace().any(|it| it == "hypervisor"))
}

/// The words of systemd-detect-virt(1), as far as they can be told without asking the processor.
fn virtualization(clues: &Clues) -> &str {
    if let Some(container) = clues.container.as_deref().or(clues.first_process.as_deref()) {
        return container;
    }
    if clues.docker_file {
        return "docker";
    }
    if clues.podman_file {
        return "podman";
    }
    const MAKERS: [(&str, &str); 13] = [
        ("KVM", "kvm"),
        ("OpenStack", "kvm"),
        ("QEMU", "qemu"),
        ("Amazon EC2", "amazon"),
        ("Google Compute Engine", "google"),
        ("VMware", "vmware"),
        ("VMW", "vmware"),
        ("innotek GmbH", "oracle"),
        ("VirtualBox", "oracle"),
        ("Xen", "xen"),
        ("Bochs", "bochs"),
        ("Parallels", "parallels"),
        ("Virtual Machine", "microsoft"),
    ];
    if let Some((_, word)) = MAKERS.iter().find(|(name, _)| clues.dmi.contains(name)) {
        // QEMU without the flag emulates the processor as well.
        return if *word == "qemu" && clues.cpu_says_guest { "kvm" } else { word };
    }
    if clues.hypervisor.as_deref() == Some("xen") {
        return "xen";
    }
    if clues.cpu_says_guest { "vm-other" } else { "none" }
}

// Facts of the administrator's own.

/// Adds the top-level keys of each file in the folder. Folder and files must be `owner`'s, and nobody
/// else may be able to write them: facts decide what the agent does as root.
fn static_facts(
    folder: &Path,
    owner: u32,
    parse: Parse<'_>,
    facts: &mut Map<String, Value>,
    notes: &mut Notes,
) {
    let files = match fact_files(folder, owner) {
        Ok(files) => files,
        Err(why) => return notes.0.push(format!("{}: {why}; ignored", folder.display())),
    };
    for path in files {
        let shown = path.display().to_string().escape_debug().to_string();
        let is_json = path.extension().is_some_and(|it| it == "json");
        let value = match read_owned(&path, owner).and_then(|bytes| parse(&bytes, is_json)) {
            Ok(value) => value,
            Err(why) => {
                notes.0.push(format!("{shown}: {why}; ignored"));
                continue;
            }
        };
        let Value::Object(entries) = value else {
            notes.0.push(format!("{shown}: it is not a map of names to facts; ignored"));
            continue;
        };
        for (key, value) in entries {
            if facts.contains_key(&key) {
                let key = key.escape_debug();
                notes.0.push(format!("{shown}: there is already a fact `{key}`; ignored"));
            } else {
                facts.insert(key, value);
            }
        }
    }
}

/// The files of the folder in the order of their names; none where there is no such folder.
fn fact_files(folder: &Path, owner: u32) -> Result<Vec<PathBuf>, String> {
    let said = |err: std::io::Error| err.to_string();
    let opened = rustix::fs::open(
        folder,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    );
    let opened = match opened {
        Ok(opened) => opened,
        Err(rustix::io::Errno::NOENT) => return Ok(vec![]),
        Err(err) => return Err(said(err.into())),
    };
    check_owner(&rustix::fs::fstat(&opened).map_err(|err| said(err.into()))?, owner)?;
    let mut files = vec![];
    for entry in std::fs::read_dir(folder).map_err(said)? {
        let path = entry.map_err(said)?.path();
        let is_hidden = path.file_name().is_some_and(|it| it.as_encoded_bytes().starts_with(b"."));
        let is_fact =
            path.extension().is_some_and(|it| it == "yaml" || it == "yml" || it == "json");
        if is_fact && !is_hidden {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read_owned(path: &Path, owner: u32) -> Result<Vec<u8>, String> {
    let said = |err: std::io::Error| err.to_string();
    // Without waiting for whoever writes a fifo.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => std::fs::File::from(file),
        Err(rustix::io::Errno::LOOP) => return Err("it is a link".to_owned()),
        Err(err) => return Err(said(err.into())),
    };
    let stat = rustix::fs::fstat(&file).map_err(|err| said(err.into()))?;
    if !rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file() {
        return Err("it is not a regular file".to_owned());
    }
    check_owner(&stat, owner)?;
    let mut bytes = vec![];
    file.take(MOST + 1).read_to_end(&mut bytes).map_err(said)?;
    if bytes.len() as u64 > MOST {
        return Err(format!("it is larger than {MOST} bytes"));
    }
    Ok(bytes)
}

fn check_owner(stat: &rustix::fs::Stat, owner: u32) -> Result<(), String> {
    if stat.st_uid != owner {
        return Err(format!("it belongs to uid {}, not to {owner}", stat.st_uid));
    }
    if stat.st_mode & 0o022 != 0 {
        return Err("others can write it".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_system_says_what_it_is() {
        let debian = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\n\
                      VERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\nID=debian\n# ID=x\n\nrubbish\n";
        let mint = "ID=linuxmint\nID_LIKE='ubuntu debian'\nPRETTY_NAME=\"A \\\"B\\\" \\$C\"\n";
        let rocky = "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\nNAME=Rocky\n";
        let all: Vec<String> =
            [debian, mint, rocky, ""].iter().map(|it| os(&os_release(it)).to_string()).collect();
        expect![[r#"
            {"family":"debian","id":"debian","version":"12","codename":"bookworm","name":"Debian GNU/Linux 12 (bookworm)"}
            {"family":"debian","id":"linuxmint","version":null,"codename":null,"name":"A \"B\" $C"}
            {"family":"rhel","id":"rocky","version":null,"codename":null,"name":"Rocky"}
            {"family":"linux","id":"linux","version":null,"codename":null,"name":null}"#]]
        .assert_eq(&all.join("\n"));
    }

    #[test]
    fn numbers_are_read_or_not_there() {
        assert_eq!(memory("MemTotal:        4012564 kB\nMemFree: 1 kB\n"), Some(4_108_865_536));
        assert_eq!(memory("MemFree: 1 kB\n"), None);
        assert_eq!(memory("MemTotal: 99999999999999999999 kB\n"), None);
        assert_eq!(listed("0-3,8\n"), Some(5));
        assert_eq!(listed("0"), Some(1));
        assert_eq!(listed("3-0"), None);
        assert_eq!(listed(""), None);
        assert_eq!(machine_id("0123456789abcdef0123456789abcdef\n").map(str::len), Some(32));
        assert_eq!(machine_id("uninitialized\n"), None);
    }

    #[test]
    fn the_full_name_is_the_first_on_the_line_of_the_host() {
        let hosts = "127.0.0.1 localhost\n127.0.1.1\tweb1.xyz.example WEB1 # web2\n\
                     ::1 localhost.localdomain web3\n192.0.2.1 web4 web4.xyz.example\n";
        assert_eq!(name_in_hosts(hosts, "web1"), Some("web1.xyz.example"));
        for unknown in ["web2", "web3", "web4", "localhost"] {
            assert_eq!(name_in_hosts(hosts, unknown), None, "{unknown}");
        }
    }

    #[test]
    fn addresses_are_sorted_and_reachable() {
        let all = [
            ("lo", "127.0.0.1"),
            ("lo", "::1"),
            ("eth1", "192.0.2.10"),
            ("eth1", "fe80::1"),
            ("eth0", "10.0.0.9"),
            ("eth0", "9.0.0.1"),
            ("eth0", "169.254.1.1"),
            ("eth0", "2001:db8::10"),
            ("eth0", "fd00::2"),
        ];
        let all = all.iter().map(|(name, ip)| ((*name).to_owned(), ip.parse().unwrap()));
        expect![[r#"{"ipv4":["9.0.0.1","10.0.0.9","192.0.2.10"],"ipv6":["2001:db8::10","fd00::2"],"interfaces":{"eth0":{"ipv4":["9.0.0.1","10.0.0.9"],"ipv6":["2001:db8::10","fd00::2"]},"eth1":{"ipv4":["192.0.2.10"],"ipv6":[]}}}"#]]
            .assert_eq(&addresses(all).to_string());
    }

    #[test]
    fn a_container_is_told_before_the_machine_below_it() {
        let guest = || Clues { dmi: "QEMU\nStandard PC".to_owned(), ..Clues::default() };
        let table = [
            (Clues::default(), "none"),
            (guest(), "qemu"),
            (Clues { cpu_says_guest: true, ..guest() }, "kvm"),
            (Clues { cpu_says_guest: true, ..Clues::default() }, "vm-other"),
            (Clues { docker_file: true, ..guest() }, "docker"),
            (Clues { first_process: Some("lxc".to_owned()), ..guest() }, "lxc"),
            (Clues { container: Some("systemd-nspawn".to_owned()), ..guest() }, "systemd-nspawn"),
            (Clues { hypervisor: Some("xen".to_owned()), ..Clues::default() }, "xen"),
        ];
        for (clues, word) in &table {
            assert_eq!(virtualization(clues), *word, "{clues:?}");
        }
        assert!(cpu_says_guest("model name\t: x\nflags\t\t: fpu hypervisor sse\n"));
        assert!(!cpu_says_guest("flags\t\t: fpu sse\n"));
    }

    fn as_json(bytes: &[u8], is_json: bool) -> Result<Value, String> {
        if is_json {
            serde_json::from_slice(bytes).map_err(|err| err.to_string())
        } else {
            Ok(json!({ "yaml": 1 }))
        }
    }

    #[test]
    fn facts_of_ones_own_are_added_and_replace_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("facts.d");
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        let write = |name: &str, text: &str, mode| {
            std::fs::write(path.join(name), text).unwrap();
            std::fs::set_permissions(path.join(name), Permissions::from_mode(mode)).unwrap();
        };
        write("a.json", r#"{ "rack": "r1", "cpus": 99 }"#, 0o644);
        write("b.json", r#"{ "rack": "r2", "role": ["x"] }"#, 0o600);
        write("c.yaml", "", 0o644);
        write("d.json", r#"{ "open": true }"#, 0o664);
        write("e.json", "{", 0o644);
        write("f.json", "[]", 0o644);
        write("README", "{", 0o644);
        write(".g.json", "{", 0o644);
        std::os::unix::fs::symlink("a.json", path.join("h.json")).unwrap();
        std::fs::create_dir(path.join("i.json")).unwrap();
        let me = rustix::process::getuid().as_raw();
        let (mut facts, mut notes) = (Map::new(), Notes(vec![]));
        facts.insert("cpus".to_owned(), json!(2));
        static_facts(&path, me, &as_json, &mut facts, &mut notes);
        expect![[r#"{"cpus":2,"rack":"r1","role":["x"],"yaml":1}"#]]
            .assert_eq(&Value::Object(facts).to_string());
        let told = notes.0.join("\n").replace(&*path.to_string_lossy(), "");
        expect![[r#"
            /a.json: there is already a fact `cpus`; ignored
            /b.json: there is already a fact `rack`; ignored
            /d.json: others can write it; ignored
            /e.json: EOF while parsing an object at line 1 column 1; ignored
            /f.json: it is not a map of names to facts; ignored
            /h.json: it is a link; ignored
            /i.json: it is not a regular file; ignored"#]]
        .assert_eq(&told);
    }

    #[test]
    fn a_folder_that_others_can_write_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.json"), "{}").unwrap();
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
        let me = rustix::process::getuid().as_raw();
        assert_eq!(fact_files(folder.path(), me), Err("others can write it".to_owned()));
        assert!(fact_files(folder.path(), me + 1).is_err());
        assert_eq!(fact_files(&folder.path().join("missing"), me), Ok(vec![]));
    }

    #[test]
    fn this_machine_has_every_fact_and_says_the_same_twice() {
        let nowhere = Path::new("/nonexistent/facts.d");
        let (facts, _) = gather(nowhere, &as_json);
        let names: Vec<&String> = facts.as_object().unwrap().keys().collect();
        expect![[r#"["os", "kernel", "architecture", "hostname", "fqdn", "machine_id", "cpus", "memory", "addresses", "virtualization"]"#]]
            .assert_eq(&format!("{names:?}"));
        assert!(facts["cpus"].as_u64().is_some_and(|it| it > 0), "{facts}");
        assert!(facts["kernel"].as_str().is_some_and(|it| !it.is_empty()), "{facts}");
        assert_eq!(facts.to_string(), gather(nowhere, &as_json).0.to_string());
    }
}
