//! How a component is known to be well.

use super::super::ports::parse_port;
use super::fields::{EXPECT, HEALTH};
use super::words::{HOUR, seconds, texts_by_name, words};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::lower::{Fields, Lower};
use crate::node::Node;
use crate::span::Spanned;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// None asks the component's services alone.
    pub ask: Option<Ask>,
    /// By when the answer that counts begins.
    pub within: Duration,
    /// How long it has to be well.
    pub lasts: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    Http { url: Arc<str>, status: Vec<u16>, header: BTreeMap<Arc<str>, Arc<str>> },
    Tcp(Arc<str>),
    Command(Command),
}

/// A program with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    pub arguments: Vec<Arc<str>>,
    /// None is the user of the component's first service.
    pub user: Option<Arc<str>>,
}

pub(super) fn health(fields: &mut Fields<'_, '_, '_>) -> Health {
    let mut health = Health { ask: None, within: seconds(30), lasts: seconds(5) };
    let Some(node) = fields.node("health") else { return health };
    let Some(mut fields) = Fields::read(node, "health", HEALTH, fields.cx) else { return health };
    let ways: Vec<&str> =
        ["http", "tcp", "command"].into_iter().filter(|it| fields.has(it)).collect();
    if let [_, second, ..] = ways[..] {
        let span = fields.key_span(second);
        fields.error(
            codes::CONFLICTING_FIELDS,
            span,
            "health is asked in one way: http, tcp or command",
        );
    }
    let is_http = fields.has("http");
    let is_command = fields.has("command");
    fields.refuse_conflicts(&[
        ("expect", is_http, "`expect` is about the answer to `http`"),
        ("user", is_command, "`user` runs the `command`"),
    ]);
    health.ask = match ways.first() {
        Some(&"http") => fields.text("http").and_then(|it| asked_url(&it, fields.cx)).map(|url| {
            let (status, header) = expect(&mut fields);
            Ask::Http { url, status, header }
        }),
        Some(&"tcp") => fields.parsed("tcp", codes::BAD_URL, parse_endpoint).map(Ask::Tcp),
        Some(_) => {
            let arguments = words(&mut fields, "command");
            let user = fields.text("user").map(|it| it.value);
            Some(Ask::Command(Command { arguments, user }))
        }
        None => None,
    };
    for (key, place) in [("within", &mut health.within), ("for", &mut health.lasts)] {
        let Some(time) = fields.duration(key) else { continue };
        if time > HOUR {
            let span = fields.node(key).map_or(fields.span(), Node::span);
            fields.error(codes::BAD_VALUE, span, format!("`{key}` is at most 1h"));
        }
        *place = time;
    }
    health
}

/// A URL of this node, as health of services takes it.
fn asked_url(text: &Spanned<Arc<str>>, cx: &mut Lower<'_>) -> Option<Arc<str>> {
    let rest = text.value.strip_prefix("http://");
    let host = rest.map(|it| it.split(['/', '?', '#']).next().unwrap_or(""));
    let is_good = host.is_some_and(|it| !it.is_empty() && !it.contains('@'))
        && !text.value.bytes().any(|it| it.is_ascii_control() || it == b' ');
    if is_good {
        return Some(Arc::clone(&text.value));
    }
    let message = format!("`{}` cannot be asked", text.value);
    let error = Diagnostic::error(codes::BAD_URL, text.span, message);
    cx.report(error.help("http://HOST[:PORT][/PATH], with localhost or an address of this node"));
    None
}

fn parse_endpoint(text: &str) -> Result<Arc<str>, String> {
    match parse_port(text) {
        Ok(port) if port.address.is_some() && !port.is_udp => Ok(Arc::from(text)),
        Ok(_) | Err(_) => Err(format!("`{text}` is not ADDRESS:PORT, as in 127.0.0.1:8081")),
    }
}

fn expect(fields: &mut Fields<'_, '_, '_>) -> (Vec<u16>, BTreeMap<Arc<str>, Arc<str>>) {
    let nothing = (vec![200], BTreeMap::new());
    let Some(node) = fields.node("expect") else { return nothing };
    let Some(mut fields) = Fields::read(node, "expect", EXPECT, fields.cx) else { return nothing };
    let status = match fields.node("status") {
        Some(Node::List(items, _)) => {
            items.iter().filter_map(|it| self::status(it, fields.cx)).collect()
        }
        Some(node) => self::status(node, fields.cx).into_iter().collect(),
        None => vec![200],
    };
    (status, texts_by_name(&mut fields, "header"))
}

fn status(node: &Node, cx: &mut Lower<'_>) -> Option<u16> {
    let number = cx.as_integer(node, "a status")?;
    let status = u16::try_from(number.value).ok().filter(|it| (100..600).contains(it));
    if status.is_none() {
        cx.error(codes::BAD_VALUE, number.span, "a status is a number from 100 to 599");
    }
    status
}
