//! What an application says of a component beside its sections: where its deployments lie, how it is
//! switched, how its health is asked. Read once every expression has its value.

mod fields;
mod health;
mod words;

pub(crate) use fields::{FIELDS, FLAGS, HEALTH, MIGRATE, UNPACK};
pub use health::{Ask, Command, Health};

use super::artifact::is_loopback;
use super::ports::{Port, parse_port};
use super::size::size;
use crate::codes;
use crate::deploying::{Deploying, Header, headers, retain};
use crate::diagnostic::Diagnostic;
use crate::lower::{Fields, Lower};
use crate::node::Node;
use crate::policy::{Window, window};
use crate::span::Spanned;
use fields::{CALL, CONTRACT, FRONT, HAPROXY};
use health::health;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
pub(crate) use words::is_plain_path;
use words::{arguments, environment, path, seconds, secrets, words};

/// How one instance of a component is deployed.
#[derive(Clone, Debug)]
pub struct Settings {
    pub unpack: Unpack,
    pub ports: Vec<Spanned<Port>>,
    /// The two ports of blue-green.
    pub slots: Option<(u16, u16)>,
    pub health: Health,
    pub switch: Switch,
    pub front: Option<Front>,
    pub drain: Option<Hook>,
    pub ready: Option<Hook>,
    /// How long the old program goes on after it got no more traffic.
    pub drain_for: Duration,
    pub quiesce: Quiesce,
    pub migrate: Option<Migrate>,
    pub contract: Option<Contract>,
    /// Whether its program changes its database's schema when it starts.
    pub migrates_itself: bool,
    pub flags: Option<FlagsFile>,
    /// How many good deployments are kept.
    pub retain: u32,
    /// How often all of its files are read.
    pub verify: Duration,
}

/// How an archive becomes a tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unpack {
    /// How many leading parts of each name are taken off.
    pub strip: u32,
    /// The most bytes of the tree.
    pub max: Option<u64>,
    pub setuid: bool,
    /// Whether links may lead out of the tree.
    pub links_anywhere: bool,
    /// The group that may read it, and nobody else.
    pub private_to: Option<Arc<str>>,
    /// A deployment made by hand that is taken over.
    pub adopt: Option<Arc<str>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Switch {
    #[default]
    Restart,
    Reload,
    Socket,
    BlueGreen,
}

/// What moves traffic from one slot to the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Front {
    /// Promises of files; they stand with the component's other promises.
    Files,
    Haproxy {
        socket: Arc<str>,
        backend: Arc<str>,
        server: Arc<str>,
    },
}

/// What is called around a switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hook {
    Command(Vec<Arc<str>>),
    Http { url: Arc<str>, method: Arc<str>, header: Vec<Header> },
}

/// Units that stand still during a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quiesce {
    /// In the order in which they are stopped.
    pub units: Vec<Arc<str>>,
    /// How long a running job is waited for.
    pub wait: Duration,
    /// Whether it is stopped after that; else the step is put off.
    pub stops: bool,
}

#[derive(Clone, Debug)]
pub struct Migrate {
    pub observe: Vec<Arc<str>>,
    pub up: Vec<Arc<str>>,
    pub user: Arc<str>,
    pub timeout: Option<Duration>,
    /// Put in front of `up`; holds a lock while it runs.
    pub lock: Vec<Arc<str>>,
    /// Exit code 0: wait.
    pub pause_when: Vec<Arc<str>>,
    pub windows: Vec<Spanned<Window>>,
    pub environment: BTreeMap<Arc<str>, Arc<str>>,
    /// Names of credentials to names of secrets.
    pub secrets: BTreeMap<Arc<str>, Arc<str>>,
}

/// The proof that nobody uses any more what a release takes away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contract {
    pub measure: Vec<Arc<str>>,
    pub quiet: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagsFile {
    pub path: Arc<str>,
    pub format: FlagsFormat,
    pub on_change: OnChange,
    pub group: Option<Arc<str>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FlagsFormat {
    #[default]
    Flagd,
    Json,
    Env,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnChange {
    #[default]
    None,
    Reload,
    Restart,
}

impl Settings {
    /// `body` is the component's map, its expressions computed; it may have other fields.
    pub(crate) fn read(body: &Node, policy: &Deploying, cx: &mut Lower<'_>) -> Option<Settings> {
        let own = own(body);
        let mut fields = Fields::read(&own, "component", FIELDS, cx)?;
        let unpack = fields.node("unpack").and_then(|it| unpack(it, fields.cx)).unwrap_or_default();
        let ports = fields.node("ports").map(|it| ports(it, fields.cx)).unwrap_or_default();
        let slots = fields.node("slots").and_then(|it| slots(it, fields.cx));
        let health = health(&mut fields);
        let switch = fields.one_of("switch", &SWITCHES).unwrap_or_default();
        let front = fields.node("front").and_then(|it| front(it, fields.cx));
        let is_blue_green = switch == Switch::BlueGreen;
        for key in ["slots", "front"] {
            if is_blue_green {
                fields.require(key);
            }
        }
        let only = "it belongs to `switch: blue-green`";
        let no_hook = "with `switch: blue-green` the front moves the traffic";
        fields.refuse_conflicts(&[
            ("slots", is_blue_green, only),
            ("front", is_blue_green, only),
            ("drain", !is_blue_green, no_hook),
            ("ready", !is_blue_green, no_hook),
        ]);
        let drain = fields.node("drain").and_then(|it| hook("drain", it, fields.cx));
        let ready = fields.node("ready").and_then(|it| hook("ready", it, fields.cx));
        let drain_for = fields.duration("drain_for").unwrap_or(seconds(30));
        let quiesce = Quiesce {
            units: words(&mut fields, "quiesce"),
            wait: fields.duration("quiesce_for").unwrap_or(seconds(300)),
            stops: fields
                .one_of("quiesce_then", &[("wait", false), ("stop", true)])
                .unwrap_or_default(),
        };
        let migrate = fields.node("migrate").and_then(|it| migrate(it, fields.cx));
        let contract = fields.node("contract").and_then(|it| contract(it, fields.cx));
        let migrates_itself = fields.boolean("migrates_itself").unwrap_or_default();
        let flags = fields.node("flags").and_then(|it| flags(it, fields.cx));
        let retain = retain(&mut fields).unwrap_or(policy.retain);
        let verify = fields.duration("verify").unwrap_or(policy.verify);
        let settings = Settings {
            unpack,
            ports,
            slots,
            health,
            switch,
            front,
            drain,
            ready,
            drain_for,
            quiesce,
            migrate,
            contract,
            migrates_itself,
            flags,
            retain,
            verify,
        };
        fields.complete().then_some(settings)
    }
}

impl Settings {
    /// Everything that it alone listens on.
    pub fn listens(&self) -> impl Iterator<Item = Port> {
        let slots = self.slots.into_iter().flat_map(|(one, other)| [one, other]);
        let slots = slots.map(|number| Port { address: None, number, is_udp: false });
        let own = self.ports.iter().map(|it| it.value.clone());
        own.chain(slots).collect::<Vec<Port>>().into_iter()
    }
}

/// The fields that are read here.
pub(crate) fn own(body: &Node) -> Node {
    match body {
        Node::Map(entries, span) => {
            let is_own = |key: &str| FIELDS.iter().any(|it| it.name == key);
            Node::Map(
                entries.iter().filter(|(key, _)| is_own(&key.value)).cloned().collect(),
                *span,
            )
        }
        Node::Scalar(_) | Node::List(..) | Node::Unknown(_) => body.clone(),
    }
}

const SWITCHES: [(&str, Switch); 4] = [
    ("restart", Switch::Restart),
    ("reload", Switch::Reload),
    ("socket", Switch::Socket),
    ("blue-green", Switch::BlueGreen),
];

fn unpack(node: &Node, cx: &mut Lower<'_>) -> Option<Unpack> {
    let mut fields = Fields::read(node, "unpack", UNPACK, cx)?;
    let strip = fields.integer("strip");
    let strip = strip.map_or(0, |it| {
        u32::try_from(it.value).ok().filter(|it| *it <= 128).unwrap_or_else(|| {
            fields.error(codes::BAD_VALUE, it.span, "`strip` is a number from 0 to 128");
            0
        })
    });
    let max = size(&mut fields, "max");
    let setuid = fields.boolean("setuid").unwrap_or_default();
    let links = fields.one_of("links", &[("inside", false), ("any", true)]);
    let is_private = fields.boolean("private").unwrap_or_default();
    let group = fields.text("group").map(|it| it.value);
    fields.refuse_conflicts(&[("group", is_private, "`group` needs `private: true`")]);
    if is_private {
        fields.require("group");
    }
    let adopt = path(&mut fields, "adopt");
    let links_anywhere = links.unwrap_or_default();
    Some(Unpack { strip, max, setuid, links_anywhere, private_to: group, adopt })
}

fn ports(node: &Node, cx: &mut Lower<'_>) -> Vec<Spanned<Port>> {
    let items = cx.as_list(node, "`ports`").unwrap_or_default();
    let mut all: Vec<Spanned<Port>> = vec![];
    for item in items {
        let Some(port) = port(item, cx) else { continue };
        if let Some(first) = all.iter().find(|it| it.value.meets(&port.value)) {
            let message = format!("`{}` is listed twice", port.value);
            let error = Diagnostic::error(codes::DUPLICATE_KEY, port.span, message);
            cx.report(error.related(first.span, "first here"));
            continue;
        }
        all.push(port);
    }
    all
}

fn port(node: &Node, cx: &mut Lower<'_>) -> Option<Spanned<Port>> {
    let text = match node {
        Node::Scalar(it) if matches!(it.value.value, crate::Value::Integer(_)) => {
            Spanned::new(Arc::clone(&it.value.text), it.span)
        }
        Node::Scalar(_) | Node::List(..) | Node::Map(..) | Node::Unknown(_) => {
            cx.as_text(node, "a port")?
        }
    };
    match parse_port(&text.value) {
        Ok(port) => Some(Spanned::new(port, text.span)),
        Err(why) => {
            cx.error(codes::BAD_VALUE, text.span, why);
            None
        }
    }
}

fn slots(node: &Node, cx: &mut Lower<'_>) -> Option<(u16, u16)> {
    let items = cx.as_list(node, "`slots`")?;
    let numbers: Vec<u16> =
        items.iter().filter_map(|it| port(it, cx)).map(|it| it.value.number).collect();
    match numbers[..] {
        [one, other] if one != other && items.len() == 2 => Some((one, other)),
        _ if numbers.len() < items.len() => None,
        _ => {
            cx.error(codes::BAD_VALUE, node.span(), "`slots` are two different ports");
            None
        }
    }
}

fn front(node: &Node, cx: &mut Lower<'_>) -> Option<Front> {
    let mut fields = Fields::read(node, "front", FRONT, cx)?;
    match (fields.node("files"), fields.node("haproxy")) {
        (Some(files), None) => fields.cx.as_map(files, "`files`").map(|_| Front::Files),
        (None, Some(node)) => {
            let mut fields = Fields::read(node, "haproxy", HAPROXY, fields.cx)?;
            for key in ["socket", "backend", "server"] {
                fields.require(key);
            }
            let socket = path(&mut fields, "socket");
            let [backend, server] = ["backend", "server"].map(|it| fields.text(it));
            Some(Front::Haproxy { socket: socket?, backend: backend?.value, server: server?.value })
        }
        (Some(_), Some(_)) | (None, None) => {
            let span = fields.span();
            fields.error(codes::CONFLICTING_FIELDS, span, "a front is either `files` or `haproxy`");
            None
        }
    }
}

fn hook(key: &str, node: &Node, cx: &mut Lower<'_>) -> Option<Hook> {
    if let Node::List(..) = node {
        let arguments = arguments(key, node, cx)?;
        return Some(Hook::Command(arguments));
    }
    let mut fields = Fields::read(node, "request", CALL, cx)?;
    fields.require("http");
    let url = fields.text("http").filter(|it| is_called(it, fields.cx));
    let method = fields.text("method");
    if let Some(method) = &method
        && (method.value.is_empty() || !method.value.bytes().all(|it| it.is_ascii_uppercase()))
    {
        let message = format!("`{}` is not a method: GET, POST, PUT, DELETE", method.value);
        fields.error(codes::BAD_VALUE, method.span, message);
    }
    let method = method.map_or_else(|| Arc::from("POST"), |it| it.value);
    let header = fields.node("header").map(|it| headers(it, "`header`", fields.cx));
    let header = header.unwrap_or_default();
    let is_open =
        url.as_ref().is_some_and(|it| it.value.starts_with("http://") && !is_loopback(&it.value));
    if is_open && header.iter().any(|it| it.value.secrets().next().is_some()) {
        let message = "a secret would go over the network unencrypted";
        let error = Diagnostic::error(codes::MISPLACED_SECRET, fields.key_span("header"), message);
        fields.cx.report(error.help("only over https://, or to this machine itself"));
    }
    Some(Hook::Http { url: url?.value, method, header })
}

/// Whether it is a URL that can be called, or a report.
fn is_called(url: &Spanned<Arc<str>>, cx: &mut Lower<'_>) -> bool {
    let rest = url.value.strip_prefix("https://").or_else(|| url.value.strip_prefix("http://"));
    let host = rest.map(|it| it.split(['/', '?', '#']).next().unwrap_or(""));
    let is_good = host.is_some_and(|it| !it.is_empty() && !it.contains('@'))
        && !url.value.bytes().any(|it| it.is_ascii_control() || it == b' ');
    if !is_good {
        let message = format!("`{}` cannot be called", url.value);
        let error = Diagnostic::error(codes::BAD_URL, url.span, message);
        cx.report(error.help("https://HOST[:PORT][/PATH], or http://; credentials in `header`"));
    }
    is_good
}

fn migrate(node: &Node, cx: &mut Lower<'_>) -> Option<Migrate> {
    let mut fields = Fields::read(node, "migrate", MIGRATE, cx)?;
    fields.require("observe");
    fields.require("up");
    let windows = fields.one_or_more("window");
    let windows = windows.iter().filter_map(|it| window(it, fields.cx)).collect();
    let secrets = secrets(&mut fields);
    let environment = environment(&mut fields);
    // Only `up` has a way to go.
    for key in ["observe", "lock", "pause_when"] {
        for word in fields.node(key).map(Node::items).unwrap_or_default() {
            if let Node::Scalar(it) = word
                && ["{from}", "{to}"].iter().any(|from| it.value.text.contains(from))
            {
                let message = format!("`{key}` knows no {{from}} and no {{to}}: only `up` does");
                fields.error(codes::BAD_VALUE, it.span, message);
            }
        }
    }
    Some(Migrate {
        observe: words(&mut fields, "observe"),
        up: words(&mut fields, "up"),
        user: fields.text("user").map_or_else(|| Arc::from("root"), |it| it.value),
        timeout: fields.duration("timeout"),
        lock: words(&mut fields, "lock"),
        pause_when: words(&mut fields, "pause_when"),
        windows,
        environment,
        secrets,
    })
}

fn contract(node: &Node, cx: &mut Lower<'_>) -> Option<Contract> {
    let mut fields = Fields::read(node, "contract", CONTRACT, cx)?;
    fields.require("measure");
    fields.require("quiet");
    let measure = words(&mut fields, "measure");
    Some(Contract { measure, quiet: fields.duration("quiet")? })
}

fn flags(node: &Node, cx: &mut Lower<'_>) -> Option<FlagsFile> {
    let mut fields = Fields::read(node, "flags", FLAGS, cx)?;
    fields.require("file");
    let formats =
        [("flagd", FlagsFormat::Flagd), ("json", FlagsFormat::Json), ("env", FlagsFormat::Env)];
    let format = fields.one_of("format", &formats).unwrap_or_default();
    let changes =
        [("none", OnChange::None), ("reload", OnChange::Reload), ("restart", OnChange::Restart)];
    let on_change = fields.one_of("on_change", &changes).unwrap_or_default();
    let group = fields.text("group").map(|it| it.value);
    Some(FlagsFile { path: path(&mut fields, "file")?, format, on_change, group })
}
