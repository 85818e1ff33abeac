//! The lives of units of the machine that this program runs on.

use super::properties::{self, Properties, SERVICE, STOPPED_WITH, TRIGGERED_BY, TRIGGERS, UNIT};
use super::{Life, Lives, Tie, cgroup, still};
use crate::command::Command;
use crate::services::host::Way;
use crate::services::{LastStart, Question, health, host, journal, systemctl};
use crate::{ErrorKind, Host, SystemError, UnitName};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Host {
    /// Properties of units, in their order; those that a unit does not have are left out.
    fn properties(
        &self,
        units: &[&str],
        wanted: &[&'static str],
    ) -> Result<Vec<Properties>, SystemError> {
        if units.is_empty() {
            return Ok(vec![]);
        }
        self.look_over(|bus| bus.properties(units, wanted), || shown(units, wanted))
    }
}

fn shown(units: &[&str], wanted: &[&'static str]) -> Result<Vec<Properties>, SystemError> {
    let said = Command::tool("systemctl")
        .args(["show", "--no-pager"])
        .arg(format!("--property={}", wanted.join(",")))
        .arg("--")
        .args(units)
        .succeed()
        .map_err(|err| err.during("ask systemd about its units"))?;
    let all = properties::blocks(&said.stdout_text());
    if all.len() == units.len() {
        Ok(all)
    } else {
        let words = "systemctl said something unexpected about units";
        Err(SystemError::new(ErrorKind::Other, words))
    }
}

fn has_processes(group: &str) -> bool {
    cgroup::groups(group).iter().any(|it| !it.processes().is_empty())
}

/// A user by name, where it has one.
fn by_name(user: Arc<str>) -> Arc<str> {
    let uid = user.parse().ok().map(nix::unistd::Uid::from_raw);
    let found = uid.and_then(|it| nix::unistd::User::from_uid(it).ok().flatten());
    found.map_or(user, |it| Arc::from(it.name))
}

/// A template is no unit.
fn is_template(unit: &str) -> bool {
    unit.contains("@.")
}

impl Lives for Host {
    fn lives(&self, units: &[&UnitName]) -> Result<Vec<Life>, SystemError> {
        let names: Vec<&str> = units.iter().map(|it| it.as_str()).collect();
        let asked: Vec<&str> = names.iter().copied().filter(|it| !is_template(it)).collect();
        let wanted = [&UNIT[..], &SERVICE[..]].concat();
        let mut found = self.properties(&asked, &wanted)?.into_iter();
        let mut all = vec![];
        for (unit, name) in units.iter().zip(names) {
            let of = if is_template(name) { None } else { found.next() };
            let mut life = properties::life(&of.unwrap_or_default());
            life.user = life.user.map(by_name);
            if life.oneshot == Some(LastStart::Never) && host::success_of(unit).exists() {
                life.oneshot = Some(LastStart::Succeeded);
            }
            life.has_processes |= life.group.as_deref().is_some_and(has_processes);
            all.push(life);
        }
        Ok(all)
    }

    fn tied(&self, units: &[&UnitName], tie: Tie) -> Result<Vec<UnitName>, SystemError> {
        let wanted = match tie {
            Tie::TakenAlong => &STOPPED_WITH[..],
            Tie::Triggers => &TRIGGERED_BY[..],
            Tie::Triggered => &TRIGGERS[..],
        };
        let given: BTreeSet<String> = units.iter().map(|it| it.as_str().to_owned()).collect();
        let mut found = BTreeSet::new();
        let mut open: Vec<String> = given.iter().filter(|it| !is_template(it)).cloned().collect();
        while !open.is_empty() {
            let names: Vec<&str> = open.iter().map(String::as_str).collect();
            let all = self.properties(&names, wanted)?;
            let names = all.iter().flat_map(|it| it.values()).flat_map(|it| it.split(' '));
            let names = names.filter(|it| !it.is_empty() && !given.contains(*it));
            let new: BTreeSet<String> =
                names.filter(|it| !found.contains(*it)).map(str::to_owned).collect();
            found.extend(new.iter().cloned());
            open = match tie {
                Tie::TakenAlong => new.into_iter().collect(),
                Tie::Triggers | Tie::Triggered => vec![],
            };
        }
        Ok(found.iter().filter_map(|it| UnitName::parse(it).ok()).collect())
    }

    fn instances(&self, template: &UnitName) -> Result<Vec<UnitName>, SystemError> {
        let pattern = template.as_str().replacen("@.", "@*.", 1);
        let names = match self.way()? {
            Way::Bus(bus) => bus.matching(&pattern)?,
            Way::Systemctl => systemctl::matching(&pattern)?,
        };
        let mut names: Vec<UnitName> =
            names.iter().filter_map(|it| UnitName::parse(it).ok()).collect();
        names.sort();
        Ok(names)
    }

    fn forget_last(&self, unit: &UnitName) -> Result<(), SystemError> {
        match self.way_to_act()? {
            // What systemd does not know has nothing to be forgotten.
            Way::Bus(bus) => drop(bus.call("ResetFailedUnit", &unit.as_str())),
            Way::Systemctl => drop(systemctl::unit("reset-failed", unit).run()),
        }
        host::forget_success(unit)
    }

    fn remember_success(&self, unit: &UnitName) -> Result<(), SystemError> {
        host::remember_success(unit)
    }

    fn stand_still(&self, for_whom: &str, units: &[&UnitName]) -> Result<(), SystemError> {
        still::add(for_whom, units)
    }

    fn standing_still(&self, for_whom: &str) -> Result<Vec<UnitName>, SystemError> {
        still::read(for_whom)
    }

    fn stand_still_no_more(&self, for_whom: &str) -> Result<(), SystemError> {
        still::forget(for_whom)
    }

    fn processes(&self, group: &str) -> Vec<(u32, String)> {
        let groups = cgroup::groups(group);
        let all = groups.iter().flat_map(cgroup::Group::processes);
        all.map(|it| (it, cgroup::name_of(it))).collect()
    }

    fn ask(&self, question: Question<'_>) -> Result<(), SystemError> {
        health::ask(question)
    }

    fn journal(&self, unit: &UnitName, since: i64, has_ended: bool) -> Vec<String> {
        match has_ended {
            true => journal::synced(unit, since),
            false => journal::journal(unit, since),
        }
    }
}
