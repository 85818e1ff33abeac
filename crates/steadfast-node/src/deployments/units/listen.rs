//! Who listens on a port, and whether that is one of a component's units.

use super::Units;
use std::net::IpAddr;
use steadfast_model::application::Port;
use steadfast_system::services::Lives;
use steadfast_system::sockets::{self, Owner, Socket};
use steadfast_system::{SystemError, UnitName};

/// The control groups of some units, and the ports that systemd listens on for them.
#[derive(Debug, Default)]
pub(super) struct Own {
    groups: Vec<String>,
    listens: Vec<(u16, bool)>,
}

/// Whose a socket is, seen from a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    Own,
    Other(String),
    /// It cannot be told without looking at other users' processes.
    Unknown,
}

impl Own {
    pub(super) fn of(units: &[&UnitName], sys: &dyn Lives) -> Result<Own, SystemError> {
        let mut own = Own::default();
        for life in sys.lives(units)? {
            own.groups.extend(life.group.map(|it| it.to_string()));
            if life.active.runs() {
                own.listens.extend(life.listens);
            }
        }
        Ok(own)
    }

    pub(super) fn whose(&self, socket: &Socket) -> Whose {
        let groups: Vec<&str> = self.groups.iter().map(String::as_str).collect();
        match sockets::owner(socket, &groups) {
            Owner::Own => Whose::Own,
            Owner::Systemd if self.listens.contains(&(socket.local.port(), socket.is_udp)) => {
                Whose::Own
            }
            Owner::Systemd => Whose::Other("systemd, for a socket unit".to_owned()),
            Owner::Other(who) => Whose::Other(who),
            Owner::Unknown => Whose::Unknown,
        }
    }
}

/// Who gets a connection to an address: who listens on just that, else on all.
pub(super) fn listeners(bound: &[Socket], address: IpAddr, port: u16) -> Vec<&Socket> {
    let on_port = |it: &&Socket| !it.is_udp && it.local.port() == port && it.takes(address);
    let (all, exact): (Vec<&Socket>, Vec<&Socket>) =
        bound.iter().filter(on_port).partition(|it| it.local.ip().to_canonical().is_unspecified());
    if exact.is_empty() { all } else { exact }
}

/// Whoever else listens on ports that a component alone is to listen on, in words. `units` are those of all of its
/// deployments, and `promise` names what promises a unit that is not among them.
pub fn foreign(
    ports: &[Port],
    units: &Units,
    promise: &dyn Fn(&str) -> Option<String>,
    sys: &dyn Lives,
) -> Result<Vec<String>, SystemError> {
    if ports.is_empty() {
        return Ok(vec![]);
    }
    let own = Own::of(&units.with_instances(sys)?.names(), sys)?;
    let bound = sockets::bound()?;
    let mut found = vec![];
    for port in ports {
        let is_on = |it: &&Socket| {
            it.is_udp == port.is_udp && it.local.port() == port.number && it.occupies(port.address)
        };
        for socket in bound.iter().filter(is_on) {
            let Whose::Other(who) = own.whose(socket) else { continue };
            let by = who.split(' ').next().and_then(promise);
            let by = by.map(|it| format!(", which {it} promises")).unwrap_or_default();
            let words = format!("port {port} is in use: {who}{by} listens on {}", socket.local);
            if !found.contains(&words) {
                found.push(words);
            }
        }
    }
    Ok(found)
}
