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

mod foreseen;
mod network;
mod own;
mod text;
mod virtualization;

pub use foreseen::Foreseen;
use network::{addresses, fqdn};
pub use own::Parse;
use own::static_facts;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use text::{Notes, read_text};
use virtualization::{Clues, virtualization};

/// All facts, always in the same order, and notes about what could not be read.
pub fn gather(static_folder: &Path, parse: Parse<'_>, foreseen: &Foreseen) -> (Value, Vec<String>) {
    let mut notes = Notes::default();
    let mut facts = built_in(foreseen, &mut notes);
    static_facts(static_folder, 0, parse, foreseen, &mut facts, &mut notes);
    (Value::Object(facts), notes.0)
}

/// The name of the host that these facts have.
pub fn hostname(facts: &Value) -> Option<&str> {
    facts.get("hostname").and_then(Value::as_str)
}

fn built_in(foreseen: &Foreseen, notes: &mut Notes) -> Map<String, Value> {
    let os = match read_text(Path::new("/etc/os-release")) {
        Ok(text) => os(&os_release(&text)),
        Err(_) => {
            notes.read("/usr/lib/os-release").map_or(Value::Null, |text| os(&os_release(&text)))
        }
    };
    let uname = rustix::system::uname();
    let hostname = uname.nodename().to_string_lossy().into_owned();
    let hostname = foreseen.hostname.clone().unwrap_or(hostname);
    let machine_id = notes.read("/etc/machine-id").and_then(|text| {
        let id = machine_id(&text).map(str::to_owned);
        if id.is_none() {
            notes.0.push("/etc/machine-id has no machine id".to_owned());
        }
        id
    });
    let memory = notes.read("/proc/meminfo").and_then(|text| memory(&text));
    let fqdn = fqdn(&hostname, foreseen.text("/etc/hosts"), notes);
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

#[cfg(test)]
mod tests;
