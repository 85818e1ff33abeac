//! What the values of settings may be: paths, names, URLs, durations.

use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;
use steadfast_model::{Fields, codes};

/// Shorter, and a fleet would do nothing but ask.
const SHORTEST: Duration = Duration::from_secs(10);
/// Longer, and nobody would call it keeping.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);
/// Between what an answer from afar takes, and after what nobody waits any more.
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_secs(5)..=Duration::from_secs(3_600);
pub(super) const PROXIES: &[&str] = &["http", "socks5h"];

pub(super) fn path(fields: &mut Fields<'_, '_, '_>, key: &str) -> Option<Arc<str>> {
    fields.parsed(key, codes::BAD_PATH, |text| {
        let good = text.starts_with('/')
            && !text.contains(char::is_control)
            && text.split('/').skip(1).all(|part| !matches!(part, "" | "." | ".."));
        if good { Ok(Arc::from(text)) } else { Err(format!("`{text}` is not an absolute path")) }
    })
}

pub(super) fn plain_name(text: &str) -> Result<Arc<str>, String> {
    let good = !text.is_empty()
        && text.len() <= 255
        && !text.starts_with('-')
        && text.bytes().all(|it| it.is_ascii_alphanumeric() || b"._-".contains(&it));
    if good { Ok(Arc::from(text)) } else { Err(format!("`{text}` is not a name")) }
}

/// What git takes as the name of a branch or tag, as far as it can do harm.
pub(super) fn reference(text: &str) -> Result<Arc<str>, String> {
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

pub(super) fn url(text: &str, schemes: &[&str]) -> Result<Arc<str>, String> {
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
pub(super) fn git_url(text: &str) -> Result<Arc<str>, String> {
    if let (false, Some((host, path))) = (text.contains("://"), text.split_once(':')) {
        return Err(format!("`{text}` is not a URL: write ssh://{host}/{path}"));
    }
    url(text, &["https", "http", "ssh", "file"])
}

/// `127.0.0.1:9270` or `[::1]:9270`.
pub(super) fn address(text: &str) -> Result<Arc<str>, String> {
    match text.parse::<std::net::SocketAddr>() {
        Ok(address) if address.port() != 0 => Ok(Arc::from(text)),
        Ok(_) | Err(_) => Err(format!("`{text}` is not an address with a port")),
    }
}

pub(super) fn interval(text: &str) -> Result<Duration, String> {
    duration(text, SHORTEST..=LONGEST)
}

pub(super) fn timeout(text: &str) -> Result<Duration, String> {
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

/// As it is written: `1h30m`.
pub(super) fn in_units(time: Duration) -> String {
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
