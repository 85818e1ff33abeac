//! One question to a component: is it well? The services' own state counts before any answer; and where the port
//! that is asked is one of its own, who answers has to be one of its units.

use super::listen::{Own, Whose, listeners};
use super::start::{illness, not_loaded};
use super::{Units, all_processes, by_name, is_trigger};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use steadfast_engine::component::{Answer, Health, Illness};
use steadfast_model::application::Port;
use steadfast_model::application::component::Ask;
use steadfast_system::programs::{Program, Run};
use steadfast_system::services::{
    Active, Expected, HealthUrl, LastStart, Life, Lives, Question, Tie,
};
use steadfast_system::sockets;
use steadfast_system::{AbsPath, UnitName, UserName};

/// How long one question by a program may take.
const QUESTION: Duration = Duration::from_secs(10);
/// How long before one that is dead was found to be so its journal is of interest, in seconds.
const JOURNAL: i64 = 300;

/// What is asked, and of whom.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub units: &'a Units,
    /// With the deployment's own words in it; none where its services alone are asked.
    pub ask: Option<&'a Ask>,
    /// The ports that it alone listens on.
    pub ports: &'a [Port],
    /// Where its programs run.
    pub tree: &'a str,
    /// Seconds since 1970.
    pub now: i64,
}

/// Asks once.
pub fn ask<S: Lives + Run>(asked: Asked<'_>, sys: &S) -> Answer {
    let services: Vec<&UnitName> =
        asked.units.started().into_iter().filter(|it| !is_trigger(it)).collect();
    let lives = match by_name(&services, sys) {
        Ok(lives) => lives,
        Err(error) => return Answer { health: Health::Ill(illness(error)), process: None },
    };
    let its: Vec<&Life> = services.iter().filter_map(|it| lives.get(it)).collect();
    let process = all_processes(&its);
    let health = match own_state(&services, &lives, sys) {
        Health::Well => {
            let answered = asked.ask.map_or(Ok(()), |it| answer(it, &asked, &lives, sys));
            answered.map_or_else(Health::Ill, |()| Health::Well)
        }
        other @ (Health::Ill(_) | Health::Dead(_)) => other,
    };
    Answer { health: with_journal(health, &services, &lives, &asked, sys), process }
}

/// What the services are by systemd's word and by what there is of them; the worst of it.
fn own_state(services: &[&UnitName], lives: &BTreeMap<&UnitName, Life>, sys: &dyn Lives) -> Health {
    let mut worst = Health::Well;
    for (unit, life) in services.iter().filter_map(|it| Some((*it, lives.get(it)?))) {
        match (state(unit, life, || is_waited_for(unit, sys)), &worst) {
            (dead @ Health::Dead(_), _) => return dead,
            (ill @ Health::Ill(_), Health::Well) => worst = ill,
            (Health::Well, _) | (Health::Ill(_), Health::Ill(_) | Health::Dead(_)) => {}
        }
    }
    worst
}

/// Whether something is there that starts it when it is needed.
fn is_waited_for(unit: &UnitName, sys: &dyn Lives) -> bool {
    let triggers = sys.tied(&[unit], Tie::Triggers).unwrap_or_default();
    let lives = sys.lives(&triggers.iter().collect::<Vec<_>>()).unwrap_or_default();
    lives.iter().any(|it| it.active == Active::Active)
}

fn state(unit: &UnitName, life: &Life, is_waited_for: impl Fn() -> bool) -> Health {
    let ill = |reason: String| Illness { reason: reason.into(), journal: vec![] };
    if let (Some(why), false) = (not_loaded(unit, life), life.is_there()) {
        return Health::Dead(ill(why));
    }
    let how = format!("{unit} is {} ({})", life.active, life.sub);
    match life.active {
        // Its processes have ended, and systemd has not said so yet.
        Active::Active if &*life.sub == "running" && !life.has_processes => {
            Health::Ill(ill(format!("{unit} has no process")))
        }
        Active::Active | Active::Reloading => Health::Well,
        Active::Activating | Active::Deactivating => Health::Ill(ill(how)),
        Active::Inactive | Active::Failed if life.has_job => {
            Health::Ill(ill(format!("{how}, and systemd is about to start it")))
        }
        Active::Inactive if life.oneshot == Some(LastStart::Succeeded) => Health::Well,
        Active::Inactive | Active::Failed if is_waited_for() => match &*life.result {
            "success" => Health::Well,
            result => Health::Ill(ill(format!("{how}: {result}"))),
        },
        Active::Inactive if life.skipped => {
            Health::Dead(ill(format!("{how}: a condition of its unit file does not hold")))
        }
        Active::Inactive | Active::Failed => Health::Dead(ill(format!("{how}: {}", ended(life)))),
    }
}

/// How it ended, in words.
fn ended(life: &Life) -> String {
    match &*life.result {
        "success" => "it has ended, and nothing starts it again".to_owned(),
        "exit-code" => "it exited with an error".to_owned(),
        "signal" | "core-dump" => "a signal ended it".to_owned(),
        "timeout" => "it was not ready within its time".to_owned(),
        "start-limit-hit" => "it ended again and again, and is not started any more".to_owned(),
        "oom-kill" => "memory ran out".to_owned(),
        "watchdog" => "its watchdog was not fed".to_owned(),
        other => format!("systemd's word for it is `{other}`"),
    }
}

/// What is ill, with the last lines of the journal of the first service that is, or else of the first service.
fn with_journal(
    health: Health,
    services: &[&UnitName],
    lives: &BTreeMap<&UnitName, Life>,
    asked: &Asked<'_>,
    sys: &dyn Lives,
) -> Health {
    let is_ill = |it: &&&UnitName| {
        let life = lives.get(**it);
        life.is_some_and(|life| !life.active.runs() || state(it, life, || true) != Health::Well)
    };
    let said = |has_ended: bool| -> Vec<Arc<str>> {
        let unit = services.iter().find(is_ill).or(services.first());
        let lines = unit.map(|it| sys.journal(it, asked.now - JOURNAL, has_ended));
        lines.unwrap_or_default().into_iter().map(Arc::from).collect()
    };
    match health {
        Health::Well => Health::Well,
        Health::Ill(it) => Health::Ill(Illness { journal: said(false), ..it }),
        Health::Dead(it) => Health::Dead(Illness { journal: said(true), ..it }),
    }
}

/// Puts the question.
fn answer<S: Lives + Run>(
    ask: &Ask,
    asked: &Asked<'_>,
    lives: &BTreeMap<&UnitName, Life>,
    sys: &S,
) -> Result<(), Illness> {
    let bad = |why: String| Illness { reason: why.into(), journal: vec![] };
    match ask {
        Ask::Http { url, status, header } => {
            let url = HealthUrl::parse(url).map_err(|err| bad(err.to_string()))?;
            let expected = Expected { status: status.clone(), header: header.clone() };
            sys.ask(Question::Answer { url: &url, expected: &expected }).map_err(illness)?;
            proven(&url.places(), asked, sys)
        }
        Ask::Tcp(place) => {
            let place: SocketAddr =
                place.parse().map_err(|_| bad(format!("`{place}` is no address")))?;
            sys.ask(Question::Tcp(place)).map_err(illness)?;
            proven(&[place], asked, sys)
        }
        Ask::Command(command) => {
            let user = user(command.user.as_deref(), asked, lives).map_err(bad)?;
            let folder = AbsPath::parse(asked.tree).map_err(|err| bad(err.to_string()))?;
            let program = Program {
                command: &command.arguments,
                user: user.as_ref(),
                folder: Some(&folder),
                timeout: QUESTION,
            };
            sys.ask(Question::Program { program, runs: sys }).map_err(illness)
        }
    }
}

/// Who runs a program that the component brings: who is named, else the user of its first service. Root where that
/// is nobody.
fn user(
    named: Option<&str>,
    asked: &Asked<'_>,
    lives: &BTreeMap<&UnitName, Life>,
) -> Result<Option<UserName>, String> {
    let first = asked.units.started().into_iter().find_map(|it| lives.get(it));
    let name = named.or_else(|| first.and_then(|it| it.user.as_deref()));
    match name {
        None | Some("root" | "0") => Ok(None),
        Some(name) => UserName::parse(name).map(Some).map_err(|err| err.to_string()),
    }
}

/// Whether who listens where was asked is one of the component's units, where the port is its own.
fn proven(places: &[SocketAddr], asked: &Asked<'_>, sys: &dyn Lives) -> Result<(), Illness> {
    let is_own =
        |place: &SocketAddr| asked.ports.iter().any(|it| !it.is_udp && it.number == place.port());
    let Some(place) = places.iter().find(|it| is_own(it)) else { return Ok(()) };
    let Ok(bound) = sockets::bound() else {
        tracing::debug!(%place, "who listens there is not checked: the kernel lists no sockets");
        return Ok(());
    };
    let own = Own::of(&asked.units.names(), sys).map_err(illness)?;
    let foreign = listeners(&bound, place.ip(), place.port()).into_iter().find_map(|it| match own
        .whose(it)
    {
        Whose::Other(who) => Some((it.local, who)),
        Whose::Own => None,
        Whose::Unknown => {
            tracing::debug!(%place, "who listens there is not checked: it is not known");
            None
        }
    });
    match foreign {
        Some((at, who)) => {
            let reason = format!("who answers is not proven: {who} listens on {at}");
            Err(Illness { reason: reason.into(), journal: vec![] })
        }
        None => Ok(()),
    }
}
