//! What the server can be told: lines of `key = value`. A line that it does not know is a mistake.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// The status that `/health` answers with.
    Status(u16),
    /// It never answers.
    Silent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnTerm {
    End,
    Ignore,
    /// It is gone at once, whatever was asked.
    Cut,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnHangup {
    Reload,
    Ignore,
    End,
}

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// None: the socket that systemd gives.
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) name: String,
    pub(crate) release: String,
    /// Any text, so that one configuration can be told from another.
    pub(crate) says: String,
    /// How long it takes until it listens.
    pub(crate) start_after: Duration,
    /// How long each answer takes.
    pub(crate) answer_after: Duration,
    /// How long an answer to `/hold` takes.
    pub(crate) hold: Duration,
    pub(crate) crash_after: Option<Duration>,
    pub(crate) health: Health,
    /// So long after its start it says that it is not well.
    pub(crate) ill_for: Duration,
    /// What it answers with where its health is not asked: where that is no 200, it lies about its health.
    pub(crate) answer: u16,
    pub(crate) on_term: OnTerm,
    pub(crate) on_hangup: OnHangup,
    /// How long it waits at its end for what was asked before.
    pub(crate) grace: Duration,
    /// A file of flags, as flagd reads it or flat.
    pub(crate) flags: Option<PathBuf>,
    /// Whether it tells systemd when it is ready.
    pub(crate) notify: bool,
}

impl Settings {
    pub(crate) fn read(path: &str) -> Result<Settings, String> {
        let text = std::fs::read_to_string(path).map_err(|it| format!("{path}: {it}"))?;
        let mut settings = Settings::default();
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (key, value) = line.split_once('=').ok_or(format!("{path}: no `=`: {line}"))?;
            settings.set(key.trim(), value.trim()).map_err(|it| format!("{path}: {line}: {it}"))?;
        }
        Ok(settings)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "listen" if value == "systemd" => self.listen = None,
            "listen" => {
                self.listen = Some(value.parse().map_err(|_| "ADDRESS:PORT, or systemd")?);
            }
            "name" => value.clone_into(&mut self.name),
            "release" => value.clone_into(&mut self.release),
            "release_file" => self.release = first_line(Path::new(value))?,
            "says" => value.clone_into(&mut self.says),
            "start_after" => self.start_after = duration(value)?,
            "answer_after" => self.answer_after = duration(value)?,
            "hold" => self.hold = duration(value)?,
            "crash_after" => self.crash_after = Some(duration(value)?),
            "health" => self.health = health(value)?,
            "ill_for" => self.ill_for = duration(value)?,
            "answer" => self.answer = value.parse().map_err(|_| "a status")?,
            "on_term" => {
                self.on_term = match value {
                    "end" => OnTerm::End,
                    "ignore" => OnTerm::Ignore,
                    "cut" => OnTerm::Cut,
                    _ => return Err("end, ignore or cut".into()),
                }
            }
            "on_hangup" => {
                self.on_hangup = match value {
                    "reload" => OnHangup::Reload,
                    "ignore" => OnHangup::Ignore,
                    "end" => OnHangup::End,
                    _ => return Err("reload, ignore or end".into()),
                }
            }
            "grace" => self.grace = duration(value)?,
            "flags" => self.flags = Some(value.into()),
            "notify" => self.notify = value.parse().map_err(|_| "true or false")?,
            _ => return Err("it does not know that".into()),
        }
        Ok(())
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 8081))),
            name: "server".into(),
            release: own_release(),
            says: String::new(),
            start_after: Duration::ZERO,
            answer_after: Duration::ZERO,
            hold: Duration::from_secs(2),
            crash_after: None,
            health: Health::Status(200),
            ill_for: Duration::ZERO,
            answer: 200,
            on_term: OnTerm::End,
            on_hangup: OnHangup::Reload,
            grace: Duration::from_secs(5),
            flags: None,
            notify: false,
        }
    }
}

/// What the file `release` in the tree of the program says: `bin/server` and `release` lie in one.
fn own_release() -> String {
    let program = std::env::current_exe().unwrap_or_default();
    let tree = program.parent().and_then(Path::parent).unwrap_or(Path::new("/"));
    first_line(&tree.join("release")).unwrap_or_else(|_| "unknown".into())
}

fn first_line(path: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|it| format!("{}: {it}", path.display()))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn health(value: &str) -> Result<Health, String> {
    Ok(match value {
        "well" => Health::Status(200),
        "ill" => Health::Status(503),
        "silent" => Health::Silent,
        status => Health::Status(status.parse().map_err(|_| "well, ill, silent or a status")?),
    })
}

/// `50ms` or `2s`.
fn duration(value: &str) -> Result<Duration, String> {
    let number = |it: &str| it.parse::<u64>().map_err(|_| format!("`{value}` is no time"));
    match (value.strip_suffix("ms"), value.strip_suffix('s')) {
        (Some(it), _) => number(it).map(Duration::from_millis),
        (None, Some(it)) => number(it).map(Duration::from_secs),
        (None, None) => Err("a time is written as 50ms or 2s".into()),
    }
}
