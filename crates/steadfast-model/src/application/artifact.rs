//! Artifacts: where the files of a release are, and how they are known to be the right ones.

use super::size::size;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::lower::{Fields, Lower, nearest};
use crate::node::Node;
use crate::schema::{Field, Takes};
use crate::span::{Span, Spanned};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a component of a release consists of.
#[derive(Clone, Debug)]
pub enum Artifacts {
    /// The same for every machine.
    One(Artifact),
    /// By Debian's name of the architecture.
    ByArchitecture(BTreeMap<Arc<str>, Artifact>),
}

#[derive(Clone, Debug)]
pub struct Artifact {
    pub span: Span,
    pub kind: ArtifactKind,
}

#[derive(Clone, Debug)]
pub enum ArtifactKind {
    Files(Files),
    /// A package of Debian's.
    Package {
        name: Spanned<Arc<str>>,
        version: Spanned<Arc<str>>,
    },
}

/// An archive, or a single file.
#[derive(Clone, Debug)]
pub struct Files {
    pub url: Spanned<Location>,
    /// None where the location says which bytes these are.
    pub sha256: Option<Arc<str>>,
    /// The most bytes that it has.
    pub size: Option<u64>,
    /// The most bytes that it has once it is unpacked.
    pub unpacked: Option<u64>,
    /// Tried in this order when `url` does not answer.
    pub mirrors: Vec<Spanned<Location>>,
    /// Of a single file.
    pub mode: Option<Spanned<Arc<str>>>,
    pub name: Option<Spanned<Arc<str>>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    Https(Arc<str>),
    Http(Arc<str>),
    /// An absolute path on the node.
    File(Arc<str>),
    /// A directory of the model.
    Model(Arc<str>),
    Oci {
        name: Arc<str>,
        sha256: Arc<str>,
    },
}

impl Location {
    /// The directory of the model, where it is one: all else is fetched.
    pub fn folder(&self) -> Option<&Arc<str>> {
        match self {
            Location::Model(folder) => Some(folder),
            Location::Https(_) | Location::Http(_) | Location::File(_) | Location::Oci { .. } => {
                None
            }
        }
    }
}

pub(crate) const FIELDS: &[Field] = &[
    Field::new(
        "url",
        Takes::Text,
        "https://, http://, file:///PATH, model:DIRECTORY, or oci://REGISTRY/NAME@sha256:DIGEST",
    ),
    Field::new("sha256", Takes::Text, "The SHA-256 of its bytes, 64 hexadecimal digits"),
    Field::new("size", SIZE, "The most bytes that it has, 12MiB; more is refused"),
    Field::new("unpacked", SIZE, "The most bytes that it has unpacked (default: 4 times its size)"),
    Field::new(
        "mirrors",
        Takes::TextList,
        "URLs of the same bytes, tried when `url` does not answer",
    ),
    Field::new("mode", Takes::Text, "The mode of a single file, \"0755\""),
    Field::new("name", Takes::Text, "The name of a single file in the tree"),
    Field::new("package", Takes::Fields(PACKAGE), "A Debian package instead of files"),
];

const SIZE: Takes = Takes::OneOf(&[Takes::Integer, Takes::Text]);

const PACKAGE: &[Field] = &[
    Field::new("name", Takes::Text, "The package's name"),
    Field::new("version", Takes::Text, "Its exact version"),
];

/// Debian's names of the architectures that it is released for, and those of its ports that servers have.
pub(crate) const ARCHITECTURES: &[&str] = &[
    "amd64", "arm64", "armel", "armhf", "i386", "loong64", "mips64el", "ppc64el", "riscv64",
    "s390x",
];

impl Artifacts {
    /// Whether apt brings it, and nothing is unpacked.
    pub fn is_package(&self) -> bool {
        match self {
            Artifacts::One(Artifact { kind: ArtifactKind::Package { .. }, .. }) => true,
            Artifacts::One(Artifact { kind: ArtifactKind::Files(_), .. })
            | Artifacts::ByArchitecture(_) => false,
        }
    }
}

pub(super) fn artifacts(node: &Node, cx: &mut Lower<'_>) -> Option<Artifacts> {
    let entries = cx.as_map(node, "`artifact`")?;
    let is_architecture = |name: &str| ARCHITECTURES.contains(&name);
    if !entries.iter().any(|(key, _)| is_architecture(&key.value)) {
        return artifact(node, cx).map(Artifacts::One);
    }
    let mut all = BTreeMap::new();
    for (key, node) in entries {
        if !is_architecture(&key.value) {
            let message = format!("`{}` is not the name of an architecture", key.value);
            let mut error = Diagnostic::error(codes::UNKNOWN_FIELD, key.span, message);
            if let Some(near) = nearest(&key.value, ARCHITECTURES) {
                error = error.label(format!("did you mean `{near}`?"));
            }
            let words = ARCHITECTURES.join(", ");
            cx.report(error.help(format!("one artifact, or one for each architecture: {words}")));
            continue;
        }
        let Some(it) = artifact(node, cx) else { continue };
        if let ArtifactKind::Package { .. } = it.kind {
            let message = "a package is the same for every architecture: apt chooses";
            cx.error(codes::CONFLICTING_FIELDS, it.span, message);
            continue;
        }
        all.insert(Arc::clone(&key.value), it);
    }
    Some(Artifacts::ByArchitecture(all))
}

fn artifact(node: &Node, cx: &mut Lower<'_>) -> Option<Artifact> {
    let mut fields = Fields::read(node, "artifact", FIELDS, cx)?;
    let span = fields.span();
    if let Some(package) = fields.node("package") {
        let alone = "a package is found by apt: it has no other field of an artifact";
        fields.refuse_conflicts(&[
            ("url", false, alone),
            ("sha256", false, alone),
            ("size", false, alone),
            ("unpacked", false, alone),
            ("mirrors", false, alone),
            ("mode", false, alone),
            ("name", false, alone),
        ]);
        let kind = self::package(package, fields.cx)?;
        return Some(Artifact { span, kind });
    }
    fields.require("url");
    let url = fields.text("url").and_then(|it| location(it, fields.cx));
    let sha256 = fields.parsed("sha256", codes::BAD_ARTIFACT, digest);
    let bytes = size(&mut fields, "size");
    let unpacked = size(&mut fields, "unpacked");
    let mirrors = fields.texts("mirrors").unwrap_or_default();
    let mirrors: Vec<_> = mirrors.into_iter().filter_map(|it| mirror(it, fields.cx)).collect();
    let mode = mode(&mut fields);
    let name = fields.text("name");
    if let Some(name) = &name
        && (name.value.contains('/') || [".", "..", ""].contains(&&*name.value))
    {
        fields.error(
            codes::BAD_NAME,
            name.span,
            format!("`{}` is not the name of a file", name.value),
        );
    }
    let url = url?;
    let knows_itself = matches!(url.value, Location::Model(_) | Location::Oci { .. });
    if knows_itself && fields.has("sha256") {
        let message = match url.value {
            Location::Oci { .. } => "an oci:// URL has the digest in itself",
            Location::Model(_) | Location::Https(_) | Location::Http(_) | Location::File(_) => {
                "a directory of the model is known by the model's own digest"
            }
        };
        fields.error(codes::CONFLICTING_FIELDS, fields.key_span("sha256"), message);
    }
    if !knows_itself && !fields.has("sha256") {
        let message = "an artifact needs the field `sha256`, by which its bytes are known";
        let error = Diagnostic::error(codes::MISSING_FIELD, span, message);
        fields.cx.report(error.help("sha256sum FILE prints it"));
    }
    let files = Files { url, sha256, size: bytes, unpacked, mirrors, mode, name };
    Some(Artifact { span, kind: ArtifactKind::Files(files) })
}

/// The mode of a single file.
fn mode(fields: &mut Fields<'_, '_, '_>) -> Option<Spanned<Arc<str>>> {
    let mode = fields.text("mode")?;
    let is_octal = mode.value.bytes().all(|it| (b'0'..b'8').contains(&it));
    if is_octal && [3, 4].contains(&mode.value.len()) {
        return Some(mode);
    }
    let message = format!("`{}` is not the mode of a single file", mode.value);
    let error = Diagnostic::error(codes::BAD_MODE, mode.span, message);
    fields.cx.report(error.help("octal digits in quotes: \"0755\""));
    None
}

/// Another place of the same bytes.
fn mirror(text: Spanned<Arc<str>>, cx: &mut Lower<'_>) -> Option<Spanned<Location>> {
    let found = location(text, cx)?;
    match found.value {
        Location::Https(_) | Location::Http(_) | Location::File(_) => Some(found),
        Location::Model(_) | Location::Oci { .. } => {
            let message = "a mirror has the same bytes at a URL of its own";
            let error = Diagnostic::error(codes::BAD_ARTIFACT, found.span, message);
            cx.report(error.help("https://, http:// or file:///"));
            None
        }
    }
}

fn package(node: &Node, cx: &mut Lower<'_>) -> Option<ArtifactKind> {
    let mut fields = Fields::read(node, "package", PACKAGE, cx)?;
    fields.require("name");
    fields.require("version");
    let (name, version) = (fields.text("name"), fields.text("version"));
    Some(ArtifactKind::Package { name: name?, version: version? })
}

/// 64 hexadecimal digits, small.
fn digest(text: &str) -> Result<Arc<str>, String> {
    let is_good =
        text.len() == 64 && text.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'));
    if is_good {
        Ok(Arc::from(text))
    } else {
        Err(format!("`{text}` is not a SHA-256: 64 digits of 0-9 and a-f"))
    }
}

fn location(text: Spanned<Arc<str>>, cx: &mut Lower<'_>) -> Option<Spanned<Location>> {
    match parse_location(&text.value) {
        Ok(location) => {
            if let Location::Http(url) = &location
                && !is_loopback(url)
            {
                let message = "this artifact goes over the network unencrypted";
                let warning = Diagnostic::warning(codes::BAD_ARTIFACT, text.span, message);
                cx.report(warning.help("its digest protects its bytes; https:// also hides them"));
            }
            Some(Spanned::new(location, text.span))
        }
        Err(why) => {
            cx.error(codes::BAD_ARTIFACT, text.span, why);
            None
        }
    }
}

fn parse_location(text: &str) -> Result<Location, String> {
    let refuse = |why: &str| Err(format!("`{text}` is not the place of an artifact: {why}"));
    if text.bytes().any(|it| it.is_ascii_control() || it == b' ') {
        return refuse("it has spaces or control characters in it");
    }
    if let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) {
        let host = rest.split(['/', '?', '#']).next().unwrap_or("");
        if host.is_empty() {
            return refuse("it names no host");
        }
        if host.contains('@') {
            return refuse("a URL is no place for credentials; see `policy: artifacts`");
        }
        let is_https = text.starts_with("https://");
        return Ok(if is_https {
            Location::Https(Arc::from(text))
        } else {
            Location::Http(Arc::from(text))
        });
    }
    if let Some(path) = text.strip_prefix("file://") {
        let is_plain = path.starts_with('/') && path.split('/').skip(1).all(is_part);
        return if is_plain {
            Ok(Location::File(Arc::from(path)))
        } else {
            refuse("file:///PATH, absolute")
        };
    }
    if let Some(path) = text.strip_prefix("model:") {
        let is_plain = path.split('/').all(is_part);
        return if is_plain {
            Ok(Location::Model(Arc::from(path)))
        } else {
            refuse("model:DIRECTORY, below the model's root")
        };
    }
    if let Some(rest) = text.strip_prefix("oci://") {
        let Some((name, digest)) = rest.split_once("@sha256:") else {
            return refuse("oci://REGISTRY/NAME@sha256:DIGEST; a tag may be moved");
        };
        let sha256 = self::digest(digest)?;
        if !name.contains('/') || !name.split('/').all(is_part) {
            return refuse("oci://REGISTRY/NAME@sha256:DIGEST");
        }
        return Ok(Location::Oci { name: Arc::from(name), sha256 });
    }
    refuse("https://, http://, file:///, model: or oci://")
}

/// A part of a path that leads down.
fn is_part(text: &str) -> bool {
    !["", ".", ".."].contains(&text)
}

/// Whether a URL of http leads to this machine itself.
pub(crate) fn is_loopback(url: &str) -> bool {
    let rest = url.strip_prefix("http://").unwrap_or(url);
    let host = rest.split(['/', '?', '#']).next().unwrap_or("");
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => host.split(':').next().unwrap_or(""),
    };
    let address = host.parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|it| it.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn an_artifact_lies_in_one_of_five_kinds_of_places() {
        for good in ["https://h/a.tar", "http://h:80/a", "file:///srv/a.tar", "model:files/site"] {
            assert!(parse_location(good).is_ok(), "{good}");
        }
        let oci =
            parse_location(&format!("oci://registry.example/team/app@sha256:{DIGEST}")).unwrap();
        assert!(matches!(oci, Location::Oci { name, .. } if &*name == "registry.example/team/app"));
        for bad in [
            "ftp://h/a",
            "https://",
            "https:///a",
            "https://user:word@h/a",
            "file://srv/a",
            "file:///a/../b",
            "model:/etc",
            "model:a//b",
            "model:",
            "model:../x",
            "oci://r/n:latest",
            "oci://r@sha256:00",
            "h/a",
            "https://h/a b",
            "https://h/a\n",
        ] {
            assert!(parse_location(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for own in [
            "http://127.0.0.1:80/a",
            "http://[::1]:8080/a",
            "http://localhost",
            "http://127.9.9.9/",
        ] {
            assert!(is_loopback(own), "{own}");
        }
        for other in [
            "http://127.0.0.1.evil/a",
            "http://localhost.evil/",
            "http://[::2]/",
            "http://h/127.0.0.1",
        ] {
            assert!(!is_loopback(other), "{other}");
        }
    }
}
