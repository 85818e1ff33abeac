//! The agent's settings, `/etc/steadfast/agent.yaml`: read with the model's own reader, so that an
//! unknown key is an error with its line and a suggestion, as everywhere.
//!
//! ```yaml
//! environment: production
//! source:
//!   git: { url: "https://git.xyz.example/model.git", branch: main }
//! trust: { allowed_signers: /etc/steadfast/allowed_signers }
//! intervals: { fetch: 5m, keep: 30m, verify: 24h }
//! ```
//!
//! A file that says nothing is a good one: the agent then waits, and says what it misses.

mod in_effect;
mod show;
mod source;
mod values;

pub use in_effect::InEffect;

use source::{SOURCE, TIMEOUT, TRUST};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use steadfast_model::{
    Diagnostic, Diagnostics, Field, Fields, Keep, Lower, Node, Scope, Severity, SourceId,
    SourceSet, Span, Takes, codes, render, yaml,
};
use steadfast_source::settings::{Git, Snapshot, Source, Trust};
use values::{address, interval, path, plain_name};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub environment: Option<Arc<str>>,
    /// The fully qualified host name where nothing is said.
    pub node: Option<Arc<str>>,
    pub source: Option<Source>,
    /// How long one transfer may take.
    pub timeout: Duration,
    pub trust: Option<Trust>,
    pub fetch: Duration,
    pub keep_every: Duration,
    /// How long a file that was read is not read again, where the kernel says that it is the same.
    pub verify: Duration,
    pub keep: Keep,
    /// An address and port for the metrics; none where nothing is said.
    pub listen: Option<Arc<str>>,
    /// A file for node_exporter.
    pub textfile: Option<Arc<str>>,
    /// The group that may read the status.
    pub group: Arc<str>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            environment: None,
            node: None,
            source: None,
            timeout: TIMEOUT,
            trust: None,
            fetch: Duration::from_secs(300),
            keep_every: Duration::from_secs(1_800),
            verify: VERIFY,
            keep: Keep::Repair,
            listen: None,
            textfile: None,
            group: Arc::from("adm"),
        }
    }
}

/// Also of runs by hand.
pub const VERIFY: Duration = Duration::from_secs(24 * 3_600);

const MOST_BYTES: usize = 1024 * 1024;

const FIELDS: &[Field] = &[
    Field::new("environment", Takes::Text, "The environment of this node"),
    Field::new(
        "node",
        Takes::Text,
        "The name of this node (default: the fully qualified host name)",
    ),
    Field::new("source", Takes::Fields(SOURCE), "Where the model comes from"),
    Field::new(
        "trust",
        Takes::OneOf(&[Takes::Words(&["none"]), Takes::Fields(TRUST)]),
        "Who may sign the model",
    ),
    Field::new("intervals", Takes::Fields(INTERVALS), "Intervals of fetches and full runs"),
    Field::new(
        "keep",
        Takes::Words(&["repair", "report"]),
        "Repair differences or only report them (default: repair)",
    ),
    Field::new("metrics", Takes::Fields(METRICS), "Where metrics are published"),
    Field::new("socket", Takes::Fields(SOCKET), "Who may read the status"),
];
const INTERVALS: &[Field] = &[
    Field::new("fetch", Takes::Duration, "How often the source is polled (default: 5m)"),
    Field::new("keep", Takes::Duration, "How often a full run looks for drift (default: 30m)"),
    Field::new(
        "verify",
        Takes::Duration,
        "How often every file is read, even if the kernel reports no change to it (default: 24h)",
    ),
];
const METRICS: &[Field] = &[
    Field::new(
        "listen",
        Takes::Text,
        "ADDRESS:PORT for Prometheus; the address 127.0.0.1 or ::1 keeps it on this machine",
    ),
    Field::new("textfile", Takes::Text, "A file for node_exporter, ending in .prom"),
];
const SOCKET: &[Field] =
    &[Field::new("group", Takes::Text, "The group that may read the status (default: adm)")];

#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("the settings in {path} have errors:\n{words}")]
    Wrong { path: PathBuf, words: String },
    #[error("read the settings {path}")]
    Read {
        path: PathBuf,
        #[source]
        err: std::io::Error,
    },
}

/// Reads the file; one that is not there says nothing. Gives the warnings too, as text.
pub fn read_file(path: &Path) -> Result<(Settings, Vec<String>), SettingsError> {
    parse(path, &bytes_of(path)?)
}

/// The bytes of the file; none where it is not there.
fn bytes_of(path: &Path) -> Result<Vec<u8>, SettingsError> {
    #[expect(clippy::disallowed_methods, reason = "root's own file, wherever a link leads")]
    match std::fs::read(path) {
        Ok(bytes) => Ok(bytes),
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(vec![]),
        Err(err) => Err(SettingsError::Read { path: path.to_owned(), err }),
    }
}

/// Whether nothing is said: all is commented out, which is not the same as an empty value.
fn is_silent(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| {
        text.lines().map(str::trim_start).all(|it| it.is_empty() || it.starts_with('#'))
    })
}

fn parse(path: &Path, bytes: &[u8]) -> Result<(Settings, Vec<String>), SettingsError> {
    let (settings, diagnostics, sources) = read(&path.display().to_string(), bytes);
    let all = |severity: Severity| {
        diagnostics
            .iter()
            .filter(move |it| it.severity == severity)
            .map(|it| render::text(it, &sources, false))
    };
    match settings {
        Some(settings) => Ok((settings, all(Severity::Warning).collect())),
        None => {
            let words = all(Severity::Error).collect::<Vec<_>>().join("\n");
            Err(SettingsError::Wrong { path: path.to_owned(), words })
        }
    }
}

/// Reads the settings. `None` where they have errors: all of them are reported.
pub fn read(path: &str, bytes: &[u8]) -> (Option<Settings>, Diagnostics, SourceSet) {
    let mut sources = SourceSet::default();
    let mut diagnostics = Diagnostics::default();
    let id = sources.add(path, bytes, false);
    let mut settings = Settings::default();
    if bytes.len() > MOST_BYTES {
        let message = format!("{path} is larger than 1 MiB");
        diagnostics.push(Diagnostic::error(codes::TOO_LARGE, start_of(id), message));
        return (None, diagnostics, sources);
    }
    if is_silent(bytes) {
        return (Some(settings), diagnostics, sources);
    }
    let Some(source) = sources.get(id) else { return (None, diagnostics, sources) };
    if let Some(node) = yaml::read(id, source, &mut diagnostics) {
        let scope = Scope::default();
        settings.take(&node, &mut Lower::new(&mut diagnostics, &sources, &scope));
    }
    let good = !diagnostics.has_errors();
    (good.then_some(settings), diagnostics, sources)
}

fn start_of(source: SourceId) -> Span {
    Span { source, start: 0, end: 0 }
}

impl Settings {
    fn take(&mut self, node: &Node, cx: &mut Lower<'_>) {
        let Some(mut fields) = Fields::read(node, "node's settings", FIELDS, cx) else { return };
        self.environment = fields.parsed("environment", codes::BAD_NAME, plain_name);
        self.node = fields.parsed("node", codes::BAD_NAME, plain_name);
        if let Some(source) = fields.node("source")
            && let Some((source, timeout)) = source::source(source, fields.cx)
        {
            (self.source, self.timeout) = (Some(source), timeout);
        }
        if let Some(trust) = fields.node("trust") {
            self.trust = source::trust(trust, fields.cx);
        }
        if let Some(intervals) = fields.node("intervals")
            && let Some(mut inner) = Fields::read(intervals, "intervals", INTERVALS, fields.cx)
        {
            let set = |place: &mut Duration, value: Option<Duration>| {
                *place = value.unwrap_or(*place);
            };
            set(&mut self.fetch, inner.parsed("fetch", codes::BAD_VALUE, interval));
            set(&mut self.keep_every, inner.parsed("keep", codes::BAD_VALUE, interval));
            set(&mut self.verify, inner.parsed("verify", codes::BAD_VALUE, interval));
        }
        let words = [("repair", Keep::Repair), ("report", Keep::Report)];
        self.keep = fields.one_of("keep", &words).unwrap_or(self.keep);
        if let Some(metrics) = fields.node("metrics")
            && let Some(mut inner) = Fields::read(metrics, "metrics", METRICS, fields.cx)
        {
            self.listen = inner.parsed("listen", codes::BAD_VALUE, address);
            self.textfile = path(&mut inner, "textfile");
            if let (Some(file), Some(node)) = (&self.textfile, inner.node("textfile"))
                && !file.ends_with(".prom")
            {
                let message =
                    format!("node_exporter reads only files that end in .prom, not {file}");
                inner.error(codes::BAD_VALUE, node.span(), message);
            }
        }
        if let Some(socket) = fields.node("socket")
            && let Some(mut inner) = Fields::read(socket, "socket", SOCKET, fields.cx)
            && let Some(group) = inner.parsed("group", codes::BAD_NAME, plain_name)
        {
            self.group = group;
        }
        self.contradictions(&fields.key_spans(), fields.cx);
    }

    /// What is wrong with the whole although every part is right.
    fn contradictions(&self, spans: &Spans, cx: &mut Lower<'_>) {
        let unsigned = matches!(self.trust, Some(Trust::None));
        match (&self.source, &self.trust) {
            (Some(Source::Git(Git { url, .. }) | Source::Snapshot(Snapshot { url, .. })), None) => {
                let message = format!("`trust` is not set, so nothing from {url} can be verified");
                cx.report(
                    Diagnostic::error(codes::MISSING_FIELD, spans.source, message).help(
                        "trust: { allowed_signers: FILE }, { openpgp: FILE } or { keys: FILE }",
                    ),
                );
            }
            (Some(Source::Snapshot(_)), Some(Trust::AllowedSigners(_) | Trust::OpenPgp(_))) => {
                cx.report(
                    Diagnostic::error(
                        codes::CONFLICTING_FIELDS,
                        spans.trust,
                        "snapshots are verified with `keys`",
                    )
                    .help("trust: { keys: FILE, threshold: 1 }"),
                );
            }
            (Some(Source::Git(_)), Some(Trust::Keys { .. })) => {
                cx.report(
                    Diagnostic::error(
                        codes::CONFLICTING_FIELDS,
                        spans.trust,
                        "commits are signed with SSH or OpenPGP keys",
                    )
                    .help("trust: { allowed_signers: FILE } or { openpgp: FILE }"),
                );
            }
            (
                Some(Source::Directory(path)),
                None | Some(Trust::AllowedSigners(_) | Trust::OpenPgp(_) | Trust::Keys { .. }),
            ) => {
                let message =
                    format!("{} is a directory, and a directory is not signed", path.display());
                cx.report(
                    Diagnostic::error(codes::CONFLICTING_FIELDS, spans.source, message)
                        .help("trust: none, where only root can write it"),
                );
            }
            (Some(Source::Git(_) | Source::Snapshot(_) | Source::Directory(_)), Some(_))
            | (None, _) => {}
        }
        if unsigned && self.source.as_ref().is_some_and(Source::is_plain) {
            // Neither the way nor the content would be proved.
            let message = "without signatures, anybody on the network path could change what this \
                           source delivers";
            cx.report(
                Diagnostic::error(codes::CONFLICTING_FIELDS, spans.source, message)
                    .help("use https or ssh, or name whom to trust"),
            );
        }
    }

    /// What an agent with these settings still waits for; empty where it has all.
    pub fn missing(&self) -> Vec<&'static str> {
        let mut missing = vec![];
        if self.environment.is_none() {
            missing.push("environment: which environment of the model this node is in");
        }
        if self.source.is_none() {
            missing.push("source: where the model comes from");
        }
        missing
    }
}

struct Spans {
    source: Span,
    trust: Span,
}

trait KeySpans {
    fn key_spans(&self) -> Spans;
}

impl KeySpans for Fields<'_, '_, '_> {
    fn key_spans(&self) -> Spans {
        Spans { source: self.key_span("source"), trust: self.key_span("trust") }
    }
}

#[cfg(test)]
mod tests;
