//! The machine's full name and its addresses.

use super::text::{Notes, read_text};
use nix::libc;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;

/// How long the name service may think about our own name.
const PATIENCE: Duration = Duration::from_secs(2);

/// `hosts`: what is about to stand in /etc/hosts, where that is another text than now.
pub(super) fn fqdn(hostname: &str, hosts: Option<String>, notes: &mut Notes) -> String {
    if hostname.contains('.') {
        return hostname.to_owned();
    }
    let read = || read_text(Path::new("/etc/hosts")).unwrap_or_default();
    let hosts = hosts.unwrap_or_else(read);
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
pub(super) fn name_in_hosts<'a>(hosts: &'a str, hostname: &str) -> Option<&'a str> {
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

pub(super) fn addresses(all: impl Iterator<Item = (String, IpAddr)>) -> Value {
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
