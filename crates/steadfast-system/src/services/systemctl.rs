//! systemctl, for where there is no bus.

use super::show::{self, Shown};
use crate::command::Command;
use crate::{ErrorKind, SystemError, UnitName};

pub(super) fn unit(verb: &str, unit: &UnitName) -> Command {
    unit_with(verb, &[], unit)
}

pub(super) fn unit_with(verb: &str, options: &[&str], unit: &UnitName) -> Command {
    Command::tool("systemctl").args(["--quiet", verb]).args(options).args(["--", unit.as_str()])
}

/// Makes a unit of a file that lies elsewhere.
pub(super) fn link(file: &str) -> Command {
    Command::tool("systemctl").args(["--quiet", "link", "--no-reload", "--", file])
}

pub(super) fn show(names: &[&str]) -> Result<Vec<Shown>, SystemError> {
    if names.is_empty() {
        return Ok(vec![]);
    }
    let said = Command::tool("systemctl")
        .args(["show", "--no-pager", "--timestamp=unix"])
        .arg(format!("--property={}", show::PROPERTIES))
        .arg("--")
        .args(names)
        .succeed()
        .map_err(|err| err.during("ask systemd about its units"))?;
    show::parse(&said.stdout_text()).filter(|it| it.len() == names.len()).ok_or_else(|| {
        SystemError::new(ErrorKind::Other, "systemctl said something unexpected about units")
    })
}

/// The names of loaded units that match a pattern.
pub(super) fn matching(pattern: &str) -> Result<Vec<String>, SystemError> {
    let said = Command::tool("systemctl")
        .args(["list-units", "--all", "--full", "--plain", "--no-legend", "--no-pager", "--"])
        .arg(pattern)
        .succeed()
        .map_err(|err| err.during("ask systemd about its units"))?;
    let first = |it: &str| it.split_whitespace().next().map(str::to_owned);
    Ok(said.stdout_text().lines().filter_map(first).collect())
}
