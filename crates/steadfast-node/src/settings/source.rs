//! Where the model comes from and whose word is taken for it, as the settings say it.

use super::values::{PROXIES, git_url, path, reference, timeout, url};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use steadfast_model::{Diagnostic, Field, Fields, Lower, Node, Takes, codes};
use steadfast_source::settings::{Git, Reference, Snapshot, Source, Trust};

/// Long enough for a large first clone over a slow line; the old model is kept meanwhile.
pub(super) const TIMEOUT: Duration = Duration::from_secs(300);

pub(super) const SOURCE: &[Field] = &[
    Field::new("git", Takes::Fields(GIT), "A git repository"),
    Field::new("snapshot", Takes::Fields(SNAPSHOT), "A directory written by `steadfast publish`"),
    Field::new("directory", Takes::Text, "A directory on this machine"),
];
pub(super) const GIT: &[Field] = &[
    Field::new("url", Takes::Text, "The URL, with https, ssh or file"),
    Field::new("branch", Takes::Text, "The branch to follow"),
    Field::new("tag", Takes::Text, "The tag to follow"),
    Field::new("ssh_key", Takes::Text, "The file with the private key for ssh"),
    Field::new("known_hosts", Takes::Text, "The file with the known host keys for ssh"),
    Field::new("token_file", Takes::Text, "The file with the access token for https"),
    Field::new("ca", Takes::Text, "The file with the CA certificates for https"),
    Field::new("proxy", Takes::Text, "The URL of the proxy"),
    Field::new("timeout", Takes::Duration, "How long one transfer may take (default: 5m)"),
];
pub(super) const SNAPSHOT: &[Field] = &[
    Field::new("url", Takes::Text, "The https URL of the directory"),
    Field::new("ca", Takes::Text, "The file with the CA certificates for https"),
    Field::new("proxy", Takes::Text, "The URL of the proxy"),
    Field::new("timeout", Takes::Duration, "How long one transfer may take (default: 5m)"),
];
pub(super) const TRUST: &[Field] = &[
    Field::new(
        "allowed_signers",
        Takes::Text,
        "The allowed signers file, in the format of ssh-keygen",
    ),
    Field::new("openpgp", Takes::Text, "The file with the OpenPGP keys of allowed signers"),
    Field::new("keys", Takes::Text, "The file with the public keys for snapshots"),
    Field::new("threshold", Takes::Integer, "How many of the keys must have signed (default: 1)"),
];

/// The source, and how long one transfer from it may take.
pub(super) fn source(node: &Node, cx: &mut Lower<'_>) -> Option<(Source, Duration)> {
    let mut fields = Fields::read(node, "source", SOURCE, cx)?;
    one_of_these(&mut fields, &["git", "snapshot", "directory"])?;
    if let Some(node) = fields.node("git") {
        return git(node, fields.cx).map(|(git, timeout)| (Source::Git(git), timeout));
    }
    if let Some(snapshot) = fields.node("snapshot") {
        let mut inner = Fields::read(snapshot, "snapshot", SNAPSHOT, fields.cx)?;
        inner.require("url");
        let schemes = ["https", "http", "file"];
        let found = inner.parsed("url", codes::BAD_VALUE, |it| url(it, &schemes));
        let ca = file(&mut inner, "ca");
        let proxy = proxy(&mut inner);
        let timeout = inner.parsed("timeout", codes::BAD_VALUE, timeout).unwrap_or(TIMEOUT);
        let snapshot = Snapshot { url: found?.to_string(), ca, proxy };
        return Some((Source::Snapshot(snapshot), timeout));
    }
    // Nothing is transferred.
    file(&mut fields, "directory").map(|it| (Source::Directory(it), TIMEOUT))
}

fn git(node: &Node, cx: &mut Lower<'_>) -> Option<(Git, Duration)> {
    let mut fields = Fields::read(node, "git", GIT, cx)?;
    fields.require("url");
    let found = fields.parsed("url", codes::BAD_VALUE, git_url);
    let reference = followed(&mut fields);
    let ssh_key = file(&mut fields, "ssh_key");
    let known_hosts = file(&mut fields, "known_hosts");
    let token_file = file(&mut fields, "token_file");
    let ca = file(&mut fields, "ca");
    let proxy = proxy(&mut fields);
    let timeout = fields.parsed("timeout", codes::BAD_VALUE, timeout).unwrap_or(TIMEOUT);
    let (url, reference) = (found?.to_string(), reference?);
    Some((Git { url, reference, ssh_key, known_hosts, token_file, ca, proxy }, timeout))
}

/// The branch or the tag, and not both.
fn followed(fields: &mut Fields<'_, '_, '_>) -> Option<Reference> {
    let branch = fields.parsed("branch", codes::BAD_NAME, reference);
    let tag = fields.parsed("tag", codes::BAD_NAME, reference);
    match (branch, tag) {
        (Some(_), Some(_)) => {
            let span = fields.key_span("tag");
            fields.error(codes::CONFLICTING_FIELDS, span, "`branch` and `tag` exclude each other");
            None
        }
        (None, Some(tag)) => Some(Reference::Tag(tag.to_string())),
        (Some(branch), None) => Some(Reference::Branch(branch.to_string())),
        (None, None) => {
            if !fields.has("branch") && !fields.has("tag") {
                let span = fields.span();
                fields.error(codes::MISSING_FIELD, span, "`git` needs the field `branch` or `tag`");
            }
            None
        }
    }
}

fn file(fields: &mut Fields<'_, '_, '_>, key: &str) -> Option<PathBuf> {
    path(fields, key).map(|it| PathBuf::from(&*it))
}

fn proxy(fields: &mut Fields<'_, '_, '_>) -> Option<String> {
    fields
        .parsed("proxy", codes::BAD_VALUE, |it| url(it, PROXIES))
        .map(|it: Arc<str>| it.to_string())
}

/// Whose word is taken for the model.
pub(super) fn trust(node: &Node, cx: &mut Lower<'_>) -> Option<Trust> {
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
    let mut fields = Fields::read(node, "trust", TRUST, cx)?;
    one_of_these(&mut fields, &["allowed_signers", "openpgp", "keys"])?;
    if fields.has("threshold") && !fields.has("keys") {
        let span = fields.key_span("threshold");
        fields.error(codes::CONFLICTING_FIELDS, span, "`threshold` belongs to `keys`");
    }
    if let Some(file) = file(&mut fields, "allowed_signers") {
        return Some(Trust::AllowedSigners(file));
    }
    if let Some(file) = file(&mut fields, "openpgp") {
        return Some(Trust::OpenPgp(file));
    }
    let keys = file(&mut fields, "keys");
    let threshold = match fields.integer("threshold") {
        None => 1,
        Some(number) => match usize::try_from(number.value) {
            Ok(threshold) if threshold > 0 => threshold,
            Ok(_) | Err(_) => {
                fields.error(codes::BAD_VALUE, number.span, "`threshold` must be 1 or more");
                return None;
            }
        },
    };
    Some(Trust::Keys { files: vec![keys?], keys: vec![], threshold })
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
