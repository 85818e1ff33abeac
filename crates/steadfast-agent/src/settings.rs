//! The agent's settings, `/etc/steadfast/agent.yaml`: read with the model's own reader, so that an
//! unknown key is an error with its line and a suggestion, as everywhere.
//!
//! ```yaml
//! environment: production
//! source:
//!   git: { url: "https://git.xyz.example/model.git", branch: main }
//! trust: { allowed_signers: /etc/steadfast/allowed_signers }
//! intervals: { fetch: 5m, keep: 30m }
//! ```
//!
//! A file that says nothing is a good one: the agent then waits, and says what it misses.

use crate::machine::Config;
use std::fmt;
use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;
use steadfast_model::{
    Diagnostic, Diagnostics, Field, Fields, Keep, Lower, Node, Scope, Source, SourceId, SourceSet,
    Span, Takes, codes, yaml,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub environment: Option<Arc<str>>,
    /// The fully qualified host name where nothing is said.
    pub node: Option<Arc<str>>,
    pub source: Option<Where>,
    pub trust: Option<Trust>,
    pub fetch: Duration,
    pub keep_every: Duration,
    pub keep: Keep,
    /// An address and port for the metrics; none where nothing is said.
    pub listen: Option<Arc<str>>,
    /// A file for node_exporter.
    pub textfile: Option<Arc<str>>,
    /// The group that may read the status.
    pub group: Arc<str>,
}

/// Where the model comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Where {
    Git(Git),
    Snapshot { url: Arc<str>, ca: Option<Arc<str>>, proxy: Option<Arc<str>>, timeout: Duration },
    Directory(Arc<str>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Git {
    pub url: Arc<str>,
    pub reference: Reference,
    pub ssh_key: Option<Arc<str>>,
    pub known_hosts: Option<Arc<str>>,
    pub token_file: Option<Arc<str>>,
    pub ca: Option<Arc<str>>,
    pub proxy: Option<Arc<str>>,
    /// How long one transfer may take.
    pub timeout: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    Branch(Arc<str>),
    Tag(Arc<str>),
}

/// Whose word is taken for the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    AllowedSigners(Arc<str>),
    OpenPgp(Arc<str>),
    Keys {
        file: Arc<str>,
        threshold: u32,
    },
    /// Nobody's is asked for; every status says so.
    None,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            environment: None,
            node: None,
            source: None,
            trust: None,
            fetch: Duration::from_secs(300),
            keep_every: Duration::from_secs(1_800),
            keep: Keep::Repair,
            listen: None,
            textfile: None,
            group: Arc::from("adm"),
        }
    }
}

/// Shorter, and a fleet would do nothing but ask.
const SHORTEST: Duration = Duration::from_secs(10);
/// Longer, and nobody would call it keeping.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);
/// Long enough for a large first clone over a slow line; the old model is kept meanwhile.
const TIMEOUT: Duration = Duration::from_secs(300);
/// Between what an answer from afar takes, and after what nobody waits any more.
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_secs(5)..=Duration::from_secs(3_600);
const PROXIES: &[&str] = &["http", "socks5h"];
const MOST_BYTES: usize = 1024 * 1024;

const FIELDS: &[Field] = &[
    Field::new("environment", Takes::Text, "The environment of the model that this node is in"),
    Field::new("node", Takes::Text, "This node's name (the fully qualified host name)"),
    Field::new("source", Takes::Fields(SOURCE), "Where the model comes from"),
    Field::new(
        "trust",
        Takes::OneOf(&[Takes::Words(&["none"]), Takes::Fields(TRUST)]),
        "Who may sign it",
    ),
    Field::new("intervals", Takes::Fields(INTERVALS), "How often"),
    Field::new("keep", Takes::Words(&["repair", "report"]), "Repair, or only report (repair)"),
    Field::new("metrics", Takes::Fields(METRICS), "Where metrics are to be had"),
    Field::new("socket", Takes::Fields(SOCKET), "Who may ask for the status"),
];
const SOURCE: &[Field] = &[
    Field::new("git", Takes::Fields(GIT), "A git repository"),
    Field::new("snapshot", Takes::Fields(SNAPSHOT), "A folder that steadfast publish has written"),
    Field::new("directory", Takes::Text, "A folder of this machine"),
];
const GIT: &[Field] = &[
    Field::new("url", Takes::Text, "https, ssh or file"),
    Field::new("branch", Takes::Text, "The branch that is followed"),
    Field::new("tag", Takes::Text, "The tag that is followed"),
    Field::new("ssh_key", Takes::Text, "The file with the key for ssh"),
    Field::new("known_hosts", Takes::Text, "The file with the host keys for ssh"),
    Field::new("token_file", Takes::Text, "The file with the token for https"),
    Field::new("ca", Takes::Text, "The file with the certificates that https trusts"),
    Field::new("proxy", Takes::Text, "The proxy's URL"),
    Field::new("timeout", Takes::Duration, "How long one transfer may take (5m)"),
];
const SNAPSHOT: &[Field] = &[
    Field::new("url", Takes::Text, "https, of the folder"),
    Field::new("ca", Takes::Text, "The file with the certificates that https trusts"),
    Field::new("proxy", Takes::Text, "The proxy's URL"),
    Field::new("timeout", Takes::Duration, "How long one transfer may take (5m)"),
];
const TRUST: &[Field] = &[
    Field::new("allowed_signers", Takes::Text, "The file of ssh-keygen with those who may sign"),
    Field::new("openpgp", Takes::Text, "The file with the OpenPGP keys that may sign"),
    Field::new("keys", Takes::Text, "The file with the keys for snapshots"),
    Field::new("threshold", Takes::Integer, "How many of the keys must have signed (1)"),
];
const INTERVALS: &[Field] = &[
    Field::new("fetch", Takes::Duration, "Between two looks at the source (5m)"),
    Field::new("keep", Takes::Duration, "Between two full runs (30m)"),
];
const METRICS: &[Field] = &[
    Field::new(
        "listen",
        Takes::Text,
        "ADDRESS:PORT for Prometheus; the address 127.0.0.1 or ::1 keeps it on this machine",
    ),
    Field::new("textfile", Takes::Text, "A file for node_exporter, ending in .prom"),
];
const SOCKET: &[Field] = &[Field::new("group", Takes::Text, "The group that may read (adm)")];

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
    // All commented out: nothing is said, which is not the same as an empty value.
    let silent = sources.get(id).and_then(Source::text).is_some_and(|text| {
        text.lines().map(str::trim_start).all(|it| it.is_empty() || it.starts_with('#'))
    });
    if silent {
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
        let Some(mut fields) = Fields::of(node, "node's settings", FIELDS, cx) else { return };
        self.environment = fields.parsed("environment", codes::BAD_NAME, plain_name);
        self.node = fields.parsed("node", codes::BAD_NAME, plain_name);
        if let Some(source) = fields.node("source") {
            self.source = Where::take(source, fields.cx);
        }
        if let Some(trust) = fields.node("trust") {
            self.trust = Trust::take(trust, fields.cx);
        }
        if let Some(intervals) = fields.node("intervals")
            && let Some(mut inner) = Fields::of(intervals, "intervals", INTERVALS, fields.cx)
        {
            let set = |place: &mut Duration, value: Option<Duration>| {
                *place = value.unwrap_or(*place);
            };
            set(&mut self.fetch, inner.parsed("fetch", codes::BAD_VALUE, interval));
            set(&mut self.keep_every, inner.parsed("keep", codes::BAD_VALUE, interval));
        }
        let words = [("repair", Keep::Repair), ("report", Keep::Report)];
        self.keep = fields.one_of("keep", &words).unwrap_or(self.keep);
        if let Some(metrics) = fields.node("metrics")
            && let Some(mut inner) = Fields::of(metrics, "metrics", METRICS, fields.cx)
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
            && let Some(mut inner) = Fields::of(socket, "socket", SOCKET, fields.cx)
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
            (Some(Where::Git(Git { url, .. }) | Where::Snapshot { url, .. }), None) => {
                let message = format!("nothing says whose word is taken for {url}");
                cx.report(
                    Diagnostic::error(codes::MISSING_FIELD, spans.source, message).help(
                        "trust: { allowed_signers: FILE }, { openpgp: FILE } or { keys: FILE }",
                    ),
                );
            }
            (Some(Where::Snapshot { .. }), Some(Trust::AllowedSigners(_) | Trust::OpenPgp(_))) => {
                cx.report(
                    Diagnostic::error(
                        codes::CONFLICTING_FIELDS,
                        spans.trust,
                        "a snapshot is signed with keys of its own",
                    )
                    .help("trust: { keys: FILE, threshold: 1 }"),
                );
            }
            (Some(Where::Git(_)), Some(Trust::Keys { .. })) => {
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
                Some(Where::Directory(path)),
                None | Some(Trust::AllowedSigners(_) | Trust::OpenPgp(_) | Trust::Keys { .. }),
            ) => {
                let message = format!("{path} is a folder, and a folder is not signed");
                cx.report(
                    Diagnostic::error(codes::CONFLICTING_FIELDS, spans.source, message)
                        .help("trust: none, where only root can write it"),
                );
            }
            (Some(Where::Git(_) | Where::Snapshot { .. } | Where::Directory(_)), Some(_))
            | (None, _) => {}
        }
        if let Some(Where::Snapshot { url, .. }) = &self.source
            && url.starts_with("http:")
            && unsigned
        {
            // Neither the way nor the content would be proved.
            let message = format!("{url} without signatures is anybody's word on the way");
            cx.report(
                Diagnostic::warning(codes::BAD_VALUE, spans.source, message).help("use https"),
            );
        }
    }

    /// What the state machine needs of them, with the node's name where they do not say it. A source
    /// alone is not enough to begin: without an environment nothing could be resolved.
    pub fn config(&self, host: &str) -> Config {
        let source = self.source.as_ref().filter(|_| self.environment.is_some());
        Config {
            node: self.node.as_deref().unwrap_or(host).to_owned(),
            source: source.map(Where::name),
            fetch: self.fetch,
            keep: self.keep_every,
            missing: self.missing().into_iter().map(str::to_owned).collect(),
            unsigned: self.trust == Some(Trust::None),
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

impl Where {
    fn take(node: &Node, cx: &mut Lower<'_>) -> Option<Where> {
        let mut fields = Fields::of(node, "source", SOURCE, cx)?;
        one_of_these(&mut fields, &["git", "snapshot", "directory"])?;
        if let Some(git) = fields.node("git") {
            return Git::take(git, fields.cx).map(Where::Git);
        }
        if let Some(snapshot) = fields.node("snapshot") {
            let mut inner = Fields::of(snapshot, "snapshot", SNAPSHOT, fields.cx)?;
            inner.require("url");
            let schemes = ["https", "http", "file"];
            let found = inner.parsed("url", codes::BAD_VALUE, |it| url(it, &schemes));
            let ca = path(&mut inner, "ca");
            let proxy = inner.parsed("proxy", codes::BAD_VALUE, |it| url(it, PROXIES));
            let timeout = inner.parsed("timeout", codes::BAD_VALUE, timeout).unwrap_or(TIMEOUT);
            return Some(Where::Snapshot { url: found?, ca, proxy, timeout });
        }
        path(&mut fields, "directory").map(Where::Directory)
    }

    /// What it is called: for splay and trust floor, which belong to one source.
    pub fn name(&self) -> String {
        match self {
            Where::Git(git) => match &git.reference {
                Reference::Branch(branch) => format!("git {} branch {branch}", git.url),
                Reference::Tag(tag) => format!("git {} tag {tag}", git.url),
            },
            Where::Snapshot { url, ca: _, proxy: _, timeout: _ } => format!("snapshot {url}"),
            Where::Directory(path) => format!("directory {path}"),
        }
    }

    /// How long one transfer may take.
    pub fn timeout(&self) -> Duration {
        match self {
            Where::Git(git) => git.timeout,
            Where::Snapshot { url: _, ca: _, proxy: _, timeout } => *timeout,
            // Nothing is transferred.
            Where::Directory(_) => TIMEOUT,
        }
    }
}

impl Git {
    fn take(node: &Node, cx: &mut Lower<'_>) -> Option<Git> {
        let mut fields = Fields::of(node, "git", GIT, cx)?;
        fields.require("url");
        let found = fields.parsed("url", codes::BAD_VALUE, git_url);
        let branch = fields.parsed("branch", codes::BAD_NAME, reference);
        let tag = fields.parsed("tag", codes::BAD_NAME, reference);
        let reference = match (branch, tag) {
            (Some(_), Some(_)) => {
                let span = fields.key_span("tag");
                fields.error(
                    codes::CONFLICTING_FIELDS,
                    span,
                    "`branch` and `tag` exclude each other",
                );
                None
            }
            (None, Some(tag)) => Some(Reference::Tag(tag)),
            (Some(branch), None) => Some(Reference::Branch(branch)),
            (None, None) => {
                if !fields.has("branch") && !fields.has("tag") {
                    let span = fields.span();
                    fields.error(
                        codes::MISSING_FIELD,
                        span,
                        "`git` needs the field `branch` or `tag`",
                    );
                }
                None
            }
        };
        let ssh_key = path(&mut fields, "ssh_key");
        let known_hosts = path(&mut fields, "known_hosts");
        let token_file = path(&mut fields, "token_file");
        let ca = path(&mut fields, "ca");
        let proxy = fields.parsed("proxy", codes::BAD_VALUE, |it| url(it, PROXIES));
        let timeout = fields.parsed("timeout", codes::BAD_VALUE, timeout).unwrap_or(TIMEOUT);
        Some(Git {
            url: found?,
            reference: reference?,
            ssh_key,
            known_hosts,
            token_file,
            ca,
            proxy,
            timeout,
        })
    }
}

impl Trust {
    fn take(node: &Node, cx: &mut Lower<'_>) -> Option<Trust> {
        if let Node::Scalar(_) = node {
            let text = cx.as_text(node, "`trust`")?;
            if &*text.value == "none" {
                return Some(Trust::None);
            }
            let message = format!("`trust` cannot be `{}`", text.value);
            cx.report(Diagnostic::error(codes::BAD_VALUE, text.span, message).help(
                "{ allowed_signers: FILE }, { openpgp: FILE }, { keys: FILE, threshold: N }, none",
            ));
            return None;
        }
        let mut fields = Fields::of(node, "trust", TRUST, cx)?;
        one_of_these(&mut fields, &["allowed_signers", "openpgp", "keys"])?;
        if fields.has("threshold") && !fields.has("keys") {
            let span = fields.key_span("threshold");
            fields.error(codes::CONFLICTING_FIELDS, span, "`threshold` belongs to `keys`");
        }
        if let Some(file) = path(&mut fields, "allowed_signers") {
            return Some(Trust::AllowedSigners(file));
        }
        if let Some(file) = path(&mut fields, "openpgp") {
            return Some(Trust::OpenPgp(file));
        }
        let file = path(&mut fields, "keys");
        let threshold = match fields.integer("threshold") {
            None => 1,
            Some(number) => match u32::try_from(number.value) {
                Ok(threshold) if threshold > 0 => threshold,
                Ok(_) | Err(_) => {
                    fields.error(codes::BAD_VALUE, number.span, "`threshold` must be 1 or more");
                    return None;
                }
            },
        };
        Some(Trust::Keys { file: file?, threshold })
    }
}

/// Exactly one of these fields; else a report.
fn one_of_these(fields: &mut Fields<'_, '_, '_>, names: &[&str]) -> Option<()> {
    let there: Vec<&str> = names.iter().filter(|it| fields.has(it)).copied().collect();
    match there[..] {
        [_] => Some(()),
        [] => {
            let span = fields.span();
            fields.error(codes::MISSING_FIELD, span, format!("one of: {}", names.join(", ")));
            None
        }
        [first, second, ..] => {
            let message = format!("`{first}` and `{second}` exclude each other");
            fields.error(codes::CONFLICTING_FIELDS, fields.key_span(second), message);
            None
        }
    }
}

fn path(fields: &mut Fields<'_, '_, '_>, key: &str) -> Option<Arc<str>> {
    fields.parsed(key, codes::BAD_PATH, |text| {
        let good = text.starts_with('/')
            && !text.contains(char::is_control)
            && text.split('/').skip(1).all(|part| !matches!(part, "" | "." | ".."));
        if good { Ok(Arc::from(text)) } else { Err(format!("`{text}` is not an absolute path")) }
    })
}

fn plain_name(text: &str) -> Result<Arc<str>, String> {
    let good = !text.is_empty()
        && text.len() <= 255
        && !text.starts_with('-')
        && text.bytes().all(|it| it.is_ascii_alphanumeric() || b"._-".contains(&it));
    if good { Ok(Arc::from(text)) } else { Err(format!("`{text}` is not a name")) }
}

/// What git takes as the name of a branch or tag, as far as it can do harm.
fn reference(text: &str) -> Result<Arc<str>, String> {
    let good = !text.is_empty()
        && text.len() <= 255
        && !text.starts_with(['-', '/', '.'])
        && !text.ends_with(['/', '.'])
        && !text.ends_with(".lock")
        && !text.contains("..")
        && !text.contains("//")
        && !text.contains("@{")
        && text
            .chars()
            .all(|it| !it.is_whitespace() && !it.is_control() && !"~^:?*[\\".contains(it));
    if good { Ok(Arc::from(text)) } else { Err(format!("`{text}` is not a branch or tag")) }
}

fn url(text: &str, schemes: &[&str]) -> Result<Arc<str>, String> {
    let refuse = |why: &str| Err(format!("`{text}` {why}"));
    let Some((scheme, rest)) = text.split_once("://") else {
        return refuse("is not a URL");
    };
    if !schemes.contains(&scheme) {
        return refuse(&format!("is none of: {}", schemes.join(", ")));
    }
    let host = rest.split('/').next().unwrap_or_default();
    // A name that begins with `-` would be an option of whatever program gets it.
    let dashed = host.split('@').any(|it| it.starts_with('-'));
    if rest.is_empty() || (scheme != "file" && (host.is_empty() || dashed)) {
        return refuse("names no host");
    }
    if text.contains(|it: char| it.is_control() || it.is_whitespace()) {
        return refuse("has a space or control character in it");
    }
    // The settings are readable by all; what is secret has a file of its own.
    if host.split_once('@').is_some_and(|(user, _)| user.contains(':')) {
        return Err("a URL with a password would be seen by everybody; see token_file".to_owned());
    }
    Ok(Arc::from(text))
}

/// Nothing that git would run, and one way to write each thing.
fn git_url(text: &str) -> Result<Arc<str>, String> {
    if let (false, Some((host, path))) = (text.contains("://"), text.split_once(':')) {
        return Err(format!("`{text}` is not a URL: write ssh://{host}/{path}"));
    }
    url(text, &["https", "http", "ssh", "file"])
}

/// `127.0.0.1:9270` or `[::1]:9270`.
fn address(text: &str) -> Result<Arc<str>, String> {
    match text.parse::<std::net::SocketAddr>() {
        Ok(address) if address.port() != 0 => Ok(Arc::from(text)),
        Ok(_) | Err(_) => Err(format!("`{text}` is not an address with a port")),
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    duration(text, SHORTEST..=LONGEST)
}

fn timeout(text: &str) -> Result<Duration, String> {
    duration(text, TIMEOUTS)
}

fn duration(text: &str, within: RangeInclusive<Duration>) -> Result<Duration, String> {
    let found = steadfast_model::lower::parse_duration(text)?;
    if within.contains(&found) {
        return Ok(found);
    }
    let (least, most) = (in_units(*within.start()), in_units(*within.end()));
    Err(format!("`{text}` is not between {least} and {most}"))
}

/// What is effective, as the file would say it: for `steadfast agent --check`.
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings {
            environment,
            node,
            source,
            trust,
            fetch,
            keep_every,
            keep,
            listen,
            textfile,
            group,
        } = self;
        match environment {
            Some(name) => writeln!(f, "environment: {name}")?,
            None => writeln!(f, "# environment: not set")?,
        }
        match node {
            Some(name) => writeln!(f, "node: {name}")?,
            None => writeln!(f, "# node: the fully qualified host name")?,
        }
        match source {
            None => writeln!(f, "# source: not set")?,
            Some(Where::Directory(path)) => writeln!(f, "source: {{ directory: {path} }}")?,
            Some(Where::Snapshot { url, ca, proxy, timeout }) => {
                let (ca, proxy) = (ca.as_ref(), proxy.as_ref());
                let timeout = Arc::from(in_units(*timeout));
                let fields = inline(&[
                    ("url", Some(url)),
                    ("ca", ca),
                    ("proxy", proxy),
                    ("timeout", Some(&timeout)),
                ]);
                writeln!(f, "source:\n  snapshot: {fields}")?;
            }
            Some(Where::Git(git)) => {
                let Git { url, reference, ssh_key, known_hosts, token_file, ca, proxy, timeout } =
                    git;
                let timeout = Arc::from(in_units(*timeout));
                let (branch, tag) = match reference {
                    Reference::Branch(name) => (Some(name), None),
                    Reference::Tag(name) => (None, Some(name)),
                };
                let fields = inline(&[
                    ("url", Some(url)),
                    ("branch", branch),
                    ("tag", tag),
                    ("ssh_key", ssh_key.as_ref()),
                    ("known_hosts", known_hosts.as_ref()),
                    ("token_file", token_file.as_ref()),
                    ("ca", ca.as_ref()),
                    ("proxy", proxy.as_ref()),
                    ("timeout", Some(&timeout)),
                ]);
                writeln!(f, "source:\n  git: {fields}")?;
            }
        }
        match trust {
            None => writeln!(f, "# trust: not set")?,
            Some(Trust::None) => writeln!(f, "trust: none")?,
            Some(Trust::AllowedSigners(file)) => {
                writeln!(f, "trust: {{ allowed_signers: {file} }}")?;
            }
            Some(Trust::OpenPgp(file)) => writeln!(f, "trust: {{ openpgp: {file} }}")?,
            Some(Trust::Keys { file, threshold }) => {
                writeln!(f, "trust: {{ keys: {file}, threshold: {threshold} }}")?;
            }
        }
        let (fetch, every) = (in_units(*fetch), in_units(*keep_every));
        writeln!(f, "intervals: {{ fetch: {fetch}, keep: {every} }}")?;
        let word = match keep {
            Keep::Repair => "repair",
            Keep::Report => "report",
        };
        writeln!(f, "keep: {word}")?;
        if listen.is_some() || textfile.is_some() {
            let fields = [("listen", listen.as_ref()), ("textfile", textfile.as_ref())];
            writeln!(f, "metrics: {}", inline(&fields))?;
        }
        writeln!(f, "socket: {{ group: {group} }}")
    }
}

fn inline(fields: &[(&str, Option<&Arc<str>>)]) -> String {
    let mut text = String::from("{");
    for (name, value) in fields {
        let Some(value) = value else { continue };
        let comma = if text.len() > 1 { "," } else { "" };
        // Writing into a string cannot fail.
        let _written = write!(text, "{comma} {name}: {}", serde_json::json!(value));
    }
    text + " }"
}

fn in_units(time: Duration) -> String {
    let seconds = time.as_secs();
    let mut text = String::new();
    let mut rest = seconds;
    for (unit, size) in [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)] {
        if rest >= size {
            let _written = write!(text, "{}{unit}", rest / size);
            rest %= size;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[track_caller]
    fn problems(text: &str, expected: Expect) {
        let (settings, diagnostics, sources) = read("agent.yaml", text.as_bytes());
        assert_eq!(settings.is_none(), diagnostics.has_errors());
        let lines: Vec<String> = diagnostics
            .iter()
            .map(|it| {
                let more =
                    if it.label.is_empty() { String::new() } else { format!(" ({})", it.label) };
                format!("{} {}: {}{more}", it.code.0, sources.place(it.span), it.message)
            })
            .collect();
        expected.assert_eq(&lines.join("\n"));
    }

    #[track_caller]
    fn good(text: &str) -> Settings {
        let (settings, diagnostics, _) = read("agent.yaml", text.as_bytes());
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        settings.unwrap()
    }

    const DEFAULT: &str = include_str!("../../../packaging/agent.yaml");

    #[test]
    fn the_installed_file_says_nothing_and_then_the_defaults() {
        assert_eq!(good(DEFAULT), Settings::default());
        assert_eq!(good(""), Settings::default());
        // `#key` is a setting, `# Words` are words. Where two exclude each other, one is `#|`.
        let said: String = DEFAULT
            .lines()
            .map(|it| {
                it.strip_prefix('#')
                    .filter(|it| !it.starts_with([' ', '|', '#']))
                    .unwrap_or("")
                    .to_owned()
                    + "\n"
            })
            .collect();
        let settings = good(&said);
        let expected = Settings {
            environment: Some("production".into()),
            node: Some("web1.xyz.example".into()),
            source: Some(Where::Git(Git {
                url: "https://git.xyz.example/model.git".into(),
                reference: Reference::Branch("main".into()),
                ssh_key: None,
                known_hosts: None,
                token_file: None,
                ca: None,
                proxy: None,
                timeout: TIMEOUT,
            })),
            trust: Some(Trust::AllowedSigners("/etc/steadfast/allowed_signers".into())),
            // All else is what holds where nothing is said.
            listen: Some("127.0.0.1:9270".into()),
            textfile: Some("/var/lib/prometheus/node-exporter/steadfast.prom".into()),
            ..Settings::default()
        };
        assert_eq!(settings, expected);
    }

    #[test]
    fn every_setting_stands_in_the_installed_file() {
        for table in [FIELDS, SOURCE, GIT, SNAPSHOT, TRUST, INTERVALS, METRICS, SOCKET] {
            for field in table {
                let named = DEFAULT
                    .lines()
                    .any(|it| it.starts_with('#') && it.contains(&format!("{}:", field.name)));
                assert!(named, "{} is not in packaging/agent.yaml", field.name);
            }
        }
        // Also the lines that stand for another choice are good ones.
        let others = DEFAULT.lines().filter_map(|it| it.strip_prefix("#|"));
        for other in others {
            let (_, diagnostics, _) = read("agent.yaml", other.as_bytes());
            let unknown = diagnostics
                .iter()
                .any(|it| it.code != codes::MISSING_FIELD && it.code != codes::CONFLICTING_FIELDS);
            assert!(!unknown, "{other}: {diagnostics:?}");
        }
    }

    #[test]
    fn what_is_effective_is_read_as_what_it_was() {
        let texts = [
            "environment: a\nsource: { snapshot: { url: \"https://a.example/\", ca: /etc/ca.pem, timeout: 1m30s } }\ntrust: { keys: /etc/keys, threshold: 2 }\nkeep: report\n",
            "source: { git: { url: \"ssh://git@git.example/model.git\", tag: live, ssh_key: /etc/key, known_hosts: /etc/known } }\ntrust: { openpgp: /etc/keys.asc }\nintervals: { fetch: 1h30m }\nmetrics: { listen: \"[::1]:9270\", textfile: /a.prom }\nsocket: { group: ops }\n",
            "node: web1\nsource: { directory: /srv/model }\ntrust: none\n",
            "",
        ];
        for text in texts {
            let settings = good(text);
            assert_eq!(good(&settings.to_string()), settings, "{settings}");
        }
        expect![[r#"
            # environment: not set
            node: web1
            source: { directory: /srv/model }
            trust: none
            intervals: { fetch: 5m, keep: 30m }
            keep: repair
            socket: { group: adm }
        "#]]
        .assert_eq(&good(texts[2]).to_string());
        assert_eq!(good(texts[0]).missing(), Vec::<&str>::new());
        assert_eq!(good("").missing().len(), 2);
    }

    #[test]
    fn what_cannot_be_meant_is_an_error_with_its_line() {
        problems(
            "enviroment: production\nsource:\n  git: { url: \"https://a.example/m.git\", branch: main, tag: v1 }\nintervals: { fetch: 1s, keep: 30 }\nkeep: never\n",
            expect![[r#"
                unknown-field agent.yaml:1: `node's settings` has no field `enviroment` (did you mean `environment`?)
                conflicting-fields agent.yaml:3: `branch` and `tag` exclude each other
                bad-value agent.yaml:4: `1s` is not between 10s and 7d
                unquoted agent.yaml:4: `keep` is an integer, not text
                bad-value agent.yaml:5: `keep` cannot be `never`"#]],
        );
        problems(
            "source:\n  git: { url: \"ext::sh -c id\", branch: --upload-pack=x }\n  directory: model\ntrust: all\nsocket: { group: \"a b\" }\n",
            expect![[r#"
                conflicting-fields agent.yaml:3: `git` and `directory` exclude each other
                bad-value agent.yaml:4: `trust` cannot be `all`
                bad-name agent.yaml:5: `a b` is not a name"#]],
        );
        problems(
            "source: { git: { url: \"https://me:secret@a.example/m.git\", branch: main } }\ntrust: { keys: /k, threshold: 0 }\nmetrics: { listen: \"localhost\", textfile: /tmp/x }\n",
            expect![[r#"
                bad-value agent.yaml:1: a URL with a password would be seen by everybody; see token_file
                bad-value agent.yaml:2: `threshold` must be 1 or more
                bad-value agent.yaml:3: `localhost` is not an address with a port
                bad-value agent.yaml:3: node_exporter reads only files that end in .prom, not /tmp/x"#]],
        );
        problems(
            "source: { git: { url: \"git@git.example:model.git\" } }\ntrust: {}\n",
            expect![[r#"
                bad-value agent.yaml:1: `git@git.example:model.git` is not a URL: write ssh://git@git.example/model.git
                missing-field agent.yaml:1: `git` needs the field `branch` or `tag`
                missing-field agent.yaml:2: one of: allowed_signers, openpgp, keys"#]],
        );
        problems(
            "source: { snapshot: { url: \"https://a.example/\" } }\ntrust: { allowed_signers: /etc/a }\n",
            expect!["conflicting-fields agent.yaml:2: a snapshot is signed with keys of its own"],
        );
        problems(
            "source: { git: { url: \"https://a.example/m\", branch: main } }\n",
            expect![
                "missing-field agent.yaml:1: nothing says whose word is taken for https://a.example/m"
            ],
        );
        problems(
            "source: { snapshot: { url: \"http://a.example/\", timeout: 2h } }\ntrust: none\n",
            expect![[r#"
                bad-value agent.yaml:1: `2h` is not between 5s and 1h
                bad-value agent.yaml:1: http://a.example/ without signatures is anybody's word on the way"#]],
        );
        problems(
            "source: { snapshot: { url: \"http://a.example/\" } }\ntrust: none\n",
            expect![
                "bad-value agent.yaml:1: http://a.example/ without signatures is anybody's word on the way"
            ],
        );
        problems(
            "source: { directory: /srv/model }\n",
            expect![
                "conflicting-fields agent.yaml:1: /srv/model is a folder, and a folder is not signed"
            ],
        );
        for harm in [
            "ext::sh -c id",
            "ssh://-oProxyCommand=x/y",
            "ssh://git@-oProxyCommand=x/y",
            "--upload-pack=x",
            "fd::3",
        ] {
            let text =
                format!("source: {{ git: {{ url: \"{harm}\", branch: a }} }}\ntrust: none\n");
            assert_eq!(read("agent.yaml", text.as_bytes()).0, None, "{harm}");
        }
        problems(
            "- a\n",
            expect!["wrong-type agent.yaml:1: a node's settings must be a map, and is a list"],
        );
        problems("a: [\n", expect!["bad-yaml agent.yaml:1: unclosed bracket '['"]);
    }
}
