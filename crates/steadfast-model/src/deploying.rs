//! What the policy of a node says of deployments: how artifacts are asked for, how many deployments are kept, and
//! whether steps wait for other nodes.

use crate::application::is_loopback;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::lower::{Fields, Lower, Rendered};
use crate::node::{Node, Scalar, Value};
use crate::schema::{Field, Takes};
use crate::span::{Span, Spanned};
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deploying {
    pub artifacts: Vec<Server>,
    /// How many good deployments of a component are kept, where the component does not say.
    pub retain: u32,
    /// How often every file of a tree is read, where the component does not say.
    pub verify: Duration,
    pub coordination: Coordination,
}

impl Default for Deploying {
    fn default() -> Deploying {
        Deploying {
            artifacts: vec![],
            retain: 3,
            verify: Duration::from_secs(86_400),
            coordination: Coordination::default(),
        }
    }
}

/// How artifacts from one place are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub span: Span,
    /// The beginning of their URLs, up to the end of the host or of a part of the path.
    pub prefix: Arc<str>,
    /// What is sent with each request.
    pub header: Vec<Header>,
    /// The certificates of its authorities, as PEM; those of the system where there are none.
    pub ca: Option<Arc<[u8]>>,
}

/// A line of the head of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// None where the value has the name in it, too: `NAME: VALUE`.
    pub name: Option<Arc<str>>,
    pub value: Rendered,
}

/// Whether the steps of this node wait for what other nodes state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Coordination {
    #[default]
    Nodes,
    None {
        /// Why that is right, where something would have to be waited for.
        reason: Option<Arc<str>>,
    },
}

impl Deploying {
    /// How an artifact is asked for: by the longest prefix of its URL.
    pub fn server(&self, url: &str) -> Option<&Server> {
        let all = self.artifacts.iter().filter(|it| it.covers(url));
        all.max_by_key(|it| it.prefix.len())
    }

    pub(crate) fn take(&mut self, fields: &mut Fields<'_, '_, '_>) {
        if let Some(node) = fields.node("artifacts") {
            let items = fields.cx.as_list(node, "`artifacts`").unwrap_or_default();
            self.artifacts = items.iter().filter_map(|it| server(it, fields.cx)).collect();
            twice(&self.artifacts, fields.cx);
        }
        if let Some(node) = fields.node("deployments")
            && let Some(mut inner) = Fields::read(node, "deployments", DEPLOYMENTS, fields.cx)
        {
            self.retain = retain(&mut inner).unwrap_or(self.retain);
            self.verify = inner.duration("verify").unwrap_or(self.verify);
        }
        if let Some(node) = fields.node("coordination") {
            self.coordination = coordination(node, fields.cx).unwrap_or_default();
        }
    }
}

impl Server {
    fn covers(&self, url: &str) -> bool {
        let rest = url.strip_prefix(&*self.prefix);
        // What follows a registry's image is its digest; what follows `@` elsewhere is another host.
        let is_image = self.prefix.starts_with("oci://");
        rest.is_some_and(|it| {
            it.is_empty()
                || self.prefix.ends_with('/')
                || it.starts_with(['/', '?'])
                || (is_image && it.starts_with("@sha256:"))
        })
    }
}

pub(crate) const ARTIFACTS: Takes = Takes::ListOf(SERVER);

pub(crate) const SERVER: &[Field] = &[
    Field::new("prefix", Takes::Text, "The beginning of the URLs, as https://repo.xyz.example"),
    Field::new(
        "header",
        Takes::MapOf(&Takes::TextOrSecret),
        "What is sent along: { NAME: { secret: … } }, or { secret: … } that has `NAME: VALUE` in it",
    ),
    Field::new("ca", Takes::Text, "A file of the model with the authorities of the server, as PEM"),
];

pub(crate) const DEPLOYMENTS: &[Field] = &[
    Field::new(
        "retain",
        Takes::Integer,
        "How many good deployments of a component are kept, at least 2 (default: 3)",
    ),
    Field::new("verify", Takes::Duration, "How often every file of a tree is read (default: 24h)"),
];

pub(crate) const COORDINATION: Takes = Takes::OneOf(&[
    Takes::Words(&["none"]),
    Takes::Fields(&[Field::new("none", Takes::Text, "Why steps wait for no other node")]),
]);

/// A number of deployments to keep.
pub(crate) fn retain(fields: &mut Fields<'_, '_, '_>) -> Option<u32> {
    let number = fields.integer("retain")?;
    let found = u32::try_from(number.value).ok().filter(|it| *it >= 2);
    if found.is_none() {
        let message = "`retain` is at least 2: the current deployment and the one before it";
        fields.error(codes::BAD_VALUE, number.span, message);
    }
    found
}

fn server(node: &Node, cx: &mut Lower<'_>) -> Option<Server> {
    let mut fields = Fields::read(node, "artifact server", SERVER, cx)?;
    fields.require("prefix");
    let span = fields.span();
    let prefix = fields.text("prefix").and_then(|it| prefix(it, fields.cx));
    let header = fields.node("header").map(|it| header(it, fields.cx)).unwrap_or_default();
    let ca = fields.text("ca").and_then(|it| authorities(&it, fields.cx));
    let prefix = prefix?;
    let is_plain = prefix.value.starts_with("http://") && !is_loopback(&prefix.value);
    if is_plain && fields.has("header") {
        let message = "credentials would go over the network unencrypted";
        let error = Diagnostic::error(codes::BAD_ARTIFACT, fields.key_span("header"), message);
        fields.cx.report(error.help("only over https://, or to this machine itself"));
    }
    Some(Server { span, prefix: prefix.value, header, ca })
}

fn prefix(text: Spanned<Arc<str>>, cx: &mut Lower<'_>) -> Option<Spanned<Arc<str>>> {
    let schemes = ["https://", "http://", "oci://"];
    let rest = schemes.iter().find_map(|it| text.value.strip_prefix(it));
    let host = rest.map(|it| it.split('/').next().unwrap_or(""));
    let is_good = host.is_some_and(|it| !it.is_empty() && !it.contains(['@', '?', '#']))
        && !text.value.bytes().any(|it| it.is_ascii_control() || it == b' ');
    if is_good {
        return Some(text);
    }
    let message = format!("`{}` is not the beginning of an artifact's URL", text.value);
    let error = Diagnostic::error(codes::BAD_ARTIFACT, text.span, message);
    cx.report(error.help("https://HOST[/PATH] or oci://REGISTRY[/PATH], up to the end of a part"));
    None
}

/// Names with their values, or one secret that is a whole line.
fn header(node: &Node, cx: &mut Lower<'_>) -> Vec<Header> {
    if node.get("secret").is_some() {
        let whole = cx.as_rendered(node, "`header`");
        return whole.into_iter().map(|value| Header { name: None, value }).collect();
    }
    headers(node, "`header`", cx)
}

/// Names of headers with their values, which may be secrets.
pub(crate) fn headers(node: &Node, what: &str, cx: &mut Lower<'_>) -> Vec<Header> {
    let mut all = vec![];
    for (name, node) in cx.as_map(node, what).unwrap_or_default() {
        let is_token = |it: u8| it.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&it);
        if name.value.is_empty() || !name.value.bytes().all(is_token) {
            let message = format!("`{}` is not the name of a header", name.value.escape_debug());
            cx.error(codes::BAD_NAME, name.span, message);
            continue;
        }
        let Some(value) = cx.as_rendered(node, &format!("the header `{}`", name.value)) else {
            continue;
        };
        if value.as_plain().is_some_and(|it| it.contains(['\r', '\n', '\0'])) {
            let message = format!("the header `{}` is more than one line", name.value);
            cx.error(codes::BAD_VALUE, node.span(), message);
            continue;
        }
        all.push(Header { name: Some(Arc::clone(&name.value)), value });
    }
    all
}

fn authorities(path: &Spanned<Arc<str>>, cx: &mut Lower<'_>) -> Option<Arc<[u8]>> {
    let source = cx.file(path)?;
    // Whoever asks reads the certificates; what is no text cannot have any.
    if source.text().is_none() {
        let message = format!("{} is not UTF-8 text", source.path);
        let error = Diagnostic::error(codes::NOT_UTF_8, path.span, message);
        cx.report(error.help("certificates as PEM"));
        return None;
    }
    Some(Arc::clone(&source.bytes))
}

fn twice(all: &[Server], cx: &mut Lower<'_>) {
    for (at, server) in all.iter().enumerate() {
        if let Some(first) = all[..at].iter().find(|it| it.prefix == server.prefix) {
            let message = format!("`{}` is listed twice", server.prefix);
            let error = Diagnostic::error(codes::DUPLICATE_KEY, server.span, message);
            cx.report(error.related(first.span, "first here"));
        }
    }
}

fn coordination(node: &Node, cx: &mut Lower<'_>) -> Option<Coordination> {
    if let Node::Scalar(Spanned { value: Scalar { value: Value::Text, text, .. }, span }) = node {
        if &**text == "none" {
            return Some(Coordination::None { reason: None });
        }
        let error = Diagnostic::error(
            codes::BAD_VALUE,
            *span,
            format!("`coordination` cannot be `{text}`"),
        );
        cx.report(error.help("none, or { none: REASON }"));
        return None;
    }
    let known = [Field::new("none", Takes::Text, "")];
    let mut fields = Fields::read(node, "coordination", &known, cx)?;
    fields.require("none");
    let reason = fields.text("none")?;
    if reason.value.trim().is_empty() {
        fields.error(codes::BAD_VALUE, reason.span, "`none` says why");
    }
    Some(Coordination::None { reason: Some(reason.value) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_stay_within_their_prefix() {
        let of = |prefix: &str| Server {
            span: Span::default(),
            prefix: Arc::from(prefix),
            header: vec![],
            ca: None,
        };
        let deploying = Deploying {
            artifacts: vec![of("https://repo.xyz.example"), of("https://repo.xyz.example/team")],
            ..Deploying::default()
        };
        let found = |url: &str| deploying.server(url).map(|it| it.prefix.to_string());
        let whole = Some("https://repo.xyz.example".to_owned());
        let team = Some("https://repo.xyz.example/team".to_owned());
        assert_eq!(found("https://repo.xyz.example/a.tar"), whole);
        assert_eq!(found("https://repo.xyz.example/teams/a.tar"), whole);
        assert_eq!(found("https://repo.xyz.example/team/a.tar"), team);
        for other in [
            "https://repo.xyz.example.evil/a.tar",
            "https://repo.xyz.example:8443/a.tar",
            "http://repo.xyz.example/a.tar",
            "https://repo.xyz.example@evil/a.tar",
        ] {
            assert_eq!(found(other), None, "{other}");
        }
        let oci = of("oci://registry.xyz.example/team/app");
        assert!(oci.covers("oci://registry.xyz.example/team/app@sha256:00"));
        assert!(!oci.covers("oci://registry.xyz.example/team/apple@sha256:00"));
    }
}
