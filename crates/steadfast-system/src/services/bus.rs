//! systemd over D-Bus. What is asynchronous stays in here: every method blocks, and has a time limit.

use super::Load;
use super::life::properties::{self, Properties};
use super::show::{self, Shown};
use crate::{ErrorKind, SystemError};
use std::fmt;
use std::future::{Future, poll_fn};
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use zbus::export::futures_core::Stream as _;
use zbus::message::Type;
use zbus::{Connection, DynamicType, MatchRule, MessageStream, OwnedObjectPath, OwnedVariant};

const SYSTEMD: &str = "org.freedesktop.systemd1";
const PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const UNIT: &str = "org.freedesktop.systemd1.Unit";
const SERVICE: &str = "org.freedesktop.systemd1.Service";
const SOCKET: &str = "org.freedesktop.systemd1.Socket";

/// How long connecting may take. The daemon is on this machine: it answers at once or never.
const CONNECT: Duration = Duration::from_secs(5);
/// How long one call may take. Reading all units again is the longest, and systemd answers nothing
/// else meanwhile.
const CALL: Duration = Duration::from_secs(60);
/// How many signals may wait for us while a job is being started.
const QUEUE: NonZeroUsize = NonZeroUsize::new(4096).unwrap();
/// How many questions are under way at one time: the system bus allows 128.
const AT_ONCE: usize = 64;

/// A connection to the system's bus, and what drives it.
pub(super) struct Bus {
    // Dropped before the runtime that it lives on.
    connection: Connection,
    /// One thread at a time has many questions.
    turn: Mutex<()>,
    runtime: tokio::runtime::Runtime,
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bus")
    }
}

/// One line of ListUnitsByNames: name, description, load, active and sub state, followed unit, path,
/// job.
type Listed =
    (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

impl Bus {
    pub(super) fn connect() -> Result<Bus, SystemError> {
        let failed = |err| SystemError::io("prepare to speak with the bus", err);
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let builder = zbus::connection::Builder::system().method_timeout(CALL);
        let connection = runtime
            .block_on(async { tokio::time::timeout(CONNECT, builder.build()).await })
            .map_err(|_| SystemError::new(ErrorKind::TimedOut, "the bus did not answer"))
            .and_then(|it| it.map_err(error))
            .map_err(|it| it.during("connect to the system's bus"))?;
        Ok(Bus { connection, turn: Mutex::new(()), runtime })
    }

    /// Whether systemd can still be reached over this connection.
    pub(super) fn answers(&self) -> bool {
        self.runtime
            .block_on(self.connection.call_method(
                Some(SYSTEMD),
                PATH,
                Some("org.freedesktop.DBus.Peer"),
                "Ping",
                &(),
            ))
            .is_ok()
    }

    /// The state of units, in the order of their names. `closely`: also what only waiting for one needs.
    pub(super) fn show(&self, names: &[&str], closely: bool) -> Result<Vec<Shown>, SystemError> {
        if names.is_empty() {
            return Ok(vec![]);
        }
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.runtime
            .block_on(async {
                let reply = self.manager("ListUnitsByNames", &names).await?;
                let listed: Vec<Listed> = reply.body().deserialize()?;
                if listed.len() != names.len() {
                    // It leaves out what it takes for no name at all.
                    return Err(zbus::Error::Failure("systemd does not know such a name".into()));
                }
                self.details(&listed, closely).await
            })
            .map_err(|err| error(err).during("ask systemd about its units"))
    }

    async fn details(&self, listed: &[Listed], closely: bool) -> zbus::Result<Vec<Shown>> {
        let mut shown: Vec<Shown> = listed.iter().map(as_listed).collect();
        let questions: Vec<Asked<'_>> = shown
            .iter()
            .zip(listed)
            .enumerate()
            .flat_map(|(at, (unit, listed))| questions(at, unit, listed, closely))
            .collect();
        // What a oneshot is made of arrives in pieces.
        let mut pieces = vec![Pieces::default(); shown.len()];
        for asked in questions.chunks(AT_ONCE) {
            let mut answers = JoinSet::new();
            for &(at, path, interface, property) in asked {
                let get = get(self.connection.clone(), path.clone(), interface, property);
                answers.spawn(async move { get.await.map(|value| (at, property, value)) });
            }
            while let Some(answer) = answers.join_next().await {
                let (at, property, value) =
                    answer.map_err(|err| zbus::Error::Failure(err.to_string()))??;
                take(&mut shown[at], &mut pieces[at], property, value)?;
            }
        }
        for (unit, pieces) in shown.iter_mut().zip(pieces) {
            unit.skipped = pieces.condition_looked_at && !pieces.condition;
            if pieces.oneshot && !pieces.remains {
                unit.oneshot = Some(show::last_start(unit.active, &pieces.result, pieces.ran));
            }
        }
        Ok(shown)
    }

    /// Properties of units by their names, in the order of the units.
    pub(super) fn properties(
        &self,
        units: &[&str],
        wanted: &[&'static str],
    ) -> Result<Vec<Properties>, SystemError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.runtime
            .block_on(async {
                let reply = self.manager("ListUnitsByNames", &units).await?;
                let listed: Vec<Listed> = reply.body().deserialize()?;
                if listed.len() != units.len() {
                    return Err(zbus::Error::Failure("systemd does not know such a name".into()));
                }
                self.read(&listed, wanted).await
            })
            .map_err(|err| error(err).during("ask systemd about its units"))
    }

    async fn read(
        &self,
        listed: &[Listed],
        wanted: &[&'static str],
    ) -> zbus::Result<Vec<Properties>> {
        let mut all = vec![Properties::default(); listed.len()];
        let questions: Vec<Asked<'_>> = (listed.iter().enumerate())
            .flat_map(|(at, it)| {
                let own = if it.0.ends_with(".service") { SERVICE } else { SOCKET };
                let has_own = [".service", ".socket"].iter().any(|end| it.0.ends_with(end));
                wanted.iter().filter_map(move |name| {
                    let is_own = properties::SERVICE.contains(name);
                    let interface = if is_own { own } else { UNIT };
                    (!is_own || has_own).then_some((at, &it.6, interface, *name))
                })
            })
            .collect();
        for asked in questions.chunks(AT_ONCE) {
            let mut answers = JoinSet::new();
            for &(at, path, interface, property) in asked {
                let get = get(self.connection.clone(), path.clone(), interface, property);
                answers.spawn(async move { (at, property, get.await) });
            }
            while let Some(answer) = answers.join_next().await {
                let (at, property, value) =
                    answer.map_err(|err| zbus::Error::Failure(err.to_string()))?;
                // Sockets have fewer properties than services, and an older systemd has fewer.
                let value = match value {
                    Err(err) if is_unknown(&err) => continue,
                    value => value?,
                };
                if let Some(text) = properties::text(&value) {
                    all[at].insert(property.to_owned(), text);
                }
            }
        }
        Ok(all)
    }

    /// The names of loaded units that match a pattern.
    pub(super) fn matching(&self, pattern: &str) -> Result<Vec<String>, SystemError> {
        let nothing: [&str; 0] = [];
        self.runtime
            .block_on(async {
                let asked = (&nothing[..], &[pattern][..]);
                let reply = self.manager("ListUnitsByPatterns", &asked).await?;
                let listed: Vec<Listed> = reply.body().deserialize()?;
                Ok(listed.into_iter().map(|it| it.0).collect())
            })
            .map_err(|err: zbus::Error| error(err).during("ask systemd about its units"))
    }

    /// Starts a job of systemd's (StartUnit, …) and waits until it is gone; its result.
    pub(super) fn job(
        &self,
        method: &'static str,
        unit: &str,
        limit: Duration,
    ) -> Result<String, SystemError> {
        let wait = async {
            self.manager("Subscribe", &()).await.map_or_else(
                // Once is enough.
                |err| if is(&err, "AlreadySubscribed") { Ok(()) } else { Err(err) },
                |_| Ok(()),
            )?;
            let rule = MatchRule::builder()
                .msg_type(Type::Signal)
                .sender(SYSTEMD)
                .path(PATH)
                .interface(MANAGER)
                .member("JobRemoved")
                .build()?;
            // Before the job is made, so that its end cannot be missed.
            let mut removed =
                MessageStream::for_match_rule(rule, &self.connection, Some(QUEUE)).await?;
            let reply = self.manager(method, &(unit, "replace")).await?;
            let job: OwnedObjectPath = reply.body().deserialize()?;
            while let Some(message) = poll_fn(|cx| Pin::new(&mut removed).poll_next(cx)).await {
                let message = message?;
                let (_, path, _, result): (u32, OwnedObjectPath, String, String) =
                    message.body().deserialize()?;
                if path == job {
                    return Ok(result);
                }
            }
            Err(zbus::Error::Failure("the bus was lost while the job ran".into()))
        };
        match self.runtime.block_on(async { tokio::time::timeout(limit, wait).await }) {
            Ok(done) => done.map_err(error),
            Err(_) => Err(SystemError::new(
                ErrorKind::TimedOut,
                format!("it is not done after {} s; systemd continues with it", limit.as_secs()),
            )),
        }
    }

    /// Calls a method of the manager that gives nothing we need.
    pub(super) fn call<B>(&self, method: &'static str, body: &B) -> Result<(), SystemError>
    where
        B: serde::Serialize + DynamicType,
    {
        self.runtime.block_on(self.manager(method, body)).map(|_| ()).map_err(error)
    }

    /// What systemd itself says about the enablement of a unit, where its files are an odd case.
    pub(super) fn unit_file_state(&self, unit: &str) -> Result<String, SystemError> {
        self.runtime
            .block_on(async {
                self.manager("GetUnitFileState", &unit).await?.body().deserialize::<String>()
            })
            .map_err(error)
    }

    fn manager<'b, B>(
        &'b self,
        method: &'static str,
        body: &'b B,
    ) -> impl Future<Output = zbus::Result<zbus::Message>> + 'b
    where
        B: serde::Serialize + DynamicType,
    {
        self.connection.call_method(Some(SYSTEMD), PATH, Some(MANAGER), method, body)
    }
}

#[derive(Clone, Debug, Default)]
struct Pieces {
    oneshot: bool,
    remains: bool,
    result: String,
    ran: bool,
    condition: bool,
    condition_looked_at: bool,
}

/// What a list of units says about one; the rest is asked.
fn as_listed((_, _, load, active, sub, ..): &Listed) -> Shown {
    Shown {
        load: show::load(load),
        active: show::active(active),
        sub: show::plain(sub),
        invocation: None,
        since: None,
        needs_reload: false,
        can_reload: false,
        oneshot: None,
        restarts: 0,
        skipped: false,
    }
}

/// A question: the unit's place in the list, its path on the bus, interface and property.
type Asked<'l> = (usize, &'l OwnedObjectPath, &'static str, &'static str);

/// What has to be asked about a unit, and no more: a run looks at many.
fn questions<'l>(at: usize, unit: &Shown, listed: &'l Listed, closely: bool) -> Vec<Asked<'l>> {
    let (name, path) = (&listed.0, &listed.6);
    if unit.load == Load::NotFound && !unit.active.runs() {
        return vec![];
    }
    let mut all = vec![(UNIT, "NeedDaemonReload")];
    if unit.active.runs() {
        all.extend(["InvocationID", "InactiveExitTimestamp", "CanReload"].map(|it| (UNIT, it)));
    }
    if closely {
        all.extend(["ConditionResult", "ConditionTimestamp"].map(|it| (UNIT, it)));
    }
    if name.ends_with(".service") && (closely || !unit.active.runs()) {
        all.extend(
            ["Type", "RemainAfterExit", "Result", "ExecMainStartTimestamp"].map(|it| (SERVICE, it)),
        );
    }
    if name.ends_with(".service") && closely {
        all.push((SERVICE, "NRestarts"));
    }
    all.into_iter().map(|(interface, property)| (at, path, interface, property)).collect()
}

/// One property of a unit.
async fn get(
    connection: Connection,
    path: OwnedObjectPath,
    interface: &'static str,
    property: &'static str,
) -> zbus::Result<OwnedVariant> {
    let reply = connection
        .call_method(
            Some(SYSTEMD),
            path.as_str(),
            Some("org.freedesktop.DBus.Properties"),
            "Get",
            &(interface, property),
        )
        .await?;
    reply.body().deserialize()
}

fn take(
    unit: &mut Shown,
    pieces: &mut Pieces,
    property: &str,
    value: OwnedVariant,
) -> zbus::Result<()> {
    match property {
        "NeedDaemonReload" => unit.needs_reload = bool::try_from(value)?,
        "CanReload" => unit.can_reload = bool::try_from(value)?,
        "InvocationID" => {
            let bytes = Vec::<u8>::try_from(value)?;
            if !bytes.is_empty() {
                let text = crate::text::hex(&bytes);
                unit.invocation = Some(text.into());
            }
        }
        "InactiveExitTimestamp" => {
            unit.since = i64::try_from(u64::try_from(value)?).ok().filter(|it| *it > 0);
        }
        "NRestarts" => unit.restarts = u32::try_from(value)?,
        "Type" => pieces.oneshot = String::try_from(value)? == "oneshot",
        "RemainAfterExit" => pieces.remains = bool::try_from(value)?,
        "Result" => pieces.result = String::try_from(value)?,
        "ExecMainStartTimestamp" => pieces.ran = u64::try_from(value)? > 0,
        "ConditionResult" => pieces.condition = bool::try_from(value)?,
        "ConditionTimestamp" => pieces.condition_looked_at = u64::try_from(value)? > 0,
        _ => {}
    }
    Ok(())
}

/// Whether there is no such property.
fn is_unknown(err: &zbus::Error) -> bool {
    let fdo =
        matches!(err, zbus::Error::FDO(it) if matches!(**it, zbus::fdo::Error::UnknownProperty(_)));
    fdo || is(err, "UnknownProperty")
}

fn is(err: &zbus::Error, name: &str) -> bool {
    matches!(err, zbus::Error::MethodError(found, ..) if found.as_str().ends_with(name))
}

/// What the bus or systemd said, without control characters.
#[expect(clippy::wildcard_enum_match_arm, reason = "zbus' lists are open")]
fn error(err: zbus::Error) -> SystemError {
    let (kind, words) = match &err {
        zbus::Error::InputOutput(cause) => {
            return SystemError::io(
                "speak with systemd over the bus",
                std::io::Error::new(cause.kind(), cause.to_string()),
            );
        }
        zbus::Error::MethodError(name, words, _) => {
            let kind = match name.as_str() {
                "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired" => {
                    ErrorKind::PermissionDenied
                }
                _ => ErrorKind::Command,
            };
            (kind, words.clone().unwrap_or_else(|| name.to_string()))
        }
        zbus::Error::FDO(inner) => {
            let kind = match **inner {
                zbus::fdo::Error::AccessDenied(_)
                | zbus::fdo::Error::AuthFailed(_)
                | zbus::fdo::Error::InteractiveAuthorizationRequired(_) => {
                    ErrorKind::PermissionDenied
                }
                zbus::fdo::Error::NoReply(_)
                | zbus::fdo::Error::Timeout(_)
                | zbus::fdo::Error::TimedOut(_) => ErrorKind::TimedOut,
                _ => ErrorKind::Other,
            };
            // The name of the error comes first, and says nothing more to people.
            let words = inner.to_string();
            let said = words.split_once(": ").filter(|(name, _)| name.starts_with("org."));
            (kind, said.map_or(words.as_str(), |(_, said)| said).to_owned())
        }
        other => (ErrorKind::Other, other.to_string()),
    };
    SystemError::new(kind, crate::text::safe_start(&words, 300))
}

/// Whether an error of reading is one that another connection may cure: the bus was started anew.
pub(super) fn may_be_stale(err: &SystemError) -> bool {
    matches!(err.kind, ErrorKind::Other)
}
