//! URLs: what is one, how people are shown it, and what is said to it.

use crate::error::{DownloadError, DownloadErrorKind};
use reqwest::Url;
use steadfast_trust::text::without_user;

/// A URL as people are shown it: what stands after `?` may be a key to it.
pub(super) fn shown(url: &Url) -> String {
    let plain = url.as_str().split(['?', '#']).next().unwrap_or_default();
    without_user(plain).into_owned()
}

pub(super) fn settings(words: String) -> DownloadError {
    DownloadError::new(DownloadErrorKind::Settings, words)
}

pub(super) fn parse(url: &str) -> Result<Url, DownloadError> {
    let parsed = Url::parse(url).map_err(|err| settings(format!("`{url}` is not a URL: {err}")))?;
    match parsed.scheme() {
        "https" | "http" if parsed.has_host() => Ok(parsed),
        _ => Err(settings(format!("`{url}` is not a URL of the web"))),
    }
}

/// Below what a prefix of the policy is. Of a registry it is all of it: where a token is to be had is not below the
/// name of an image.
pub(super) fn place_of(prefix: &str) -> Result<Url, DownloadError> {
    match prefix.strip_prefix("oci://") {
        None => parse(prefix),
        Some(rest) => parse(&registry_url(rest.split('/').next().unwrap_or_default())),
    }
}

/// Whether a URL lies below a prefix, which ends where a host ends, or a part of a path.
pub(super) fn is_within(url: &Url, prefix: &Url) -> bool {
    let path = prefix.path().trim_end_matches('/');
    url.origin() == prefix.origin()
        && url
            .path()
            .strip_prefix(path)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether what is said to it stays between us: by encryption, or because it is this machine.
pub(super) fn is_private(url: &Url) -> bool {
    url.scheme() == "https" || is_loopback(url.host_str().unwrap_or_default())
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|it| it.is_loopback())
}

/// Where a registry of this name answers.
pub(super) fn registry_url(registry: &str) -> String {
    let host = registry.rsplit_once(':').map_or(registry, |it| it.0);
    let scheme = if is_loopback(host) { "http" } else { "https" };
    // The name that everybody uses for it is not where it is.
    let registry = if registry == "docker.io" { "registry-1.docker.io" } else { registry };
    format!("{scheme}://{registry}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_where_a_host_or_a_part_of_a_path_ends() {
        let within =
            |url: &str, prefix: &str| is_within(&parse(url).unwrap(), &parse(prefix).unwrap());
        for (url, prefix) in [
            ("https://repo.example/a/b", "https://repo.example"),
            ("https://repo.example/a/b", "https://repo.example/"),
            ("https://repo.example/a/b", "https://repo.example/a"),
            ("https://repo.example/a/b", "https://repo.example/a/"),
            ("https://REPO.example:443/a?x", "https://repo.example/a"),
            ("http://127.0.0.1:8080/x", "http://127.0.0.1:8080"),
        ] {
            assert!(within(url, prefix), "{url} {prefix}");
        }
        for (url, prefix) in [
            ("https://repo.example.evil/a", "https://repo.example"),
            ("https://repo.example:444/a", "https://repo.example"),
            ("http://repo.example/a", "https://repo.example"),
            ("https://repo.example/ab", "https://repo.example/a"),
            ("https://repo.example/a/../b", "https://repo.example/a"),
            ("https://repo.example/a/%2e%2e/b", "https://repo.example/a"),
            ("https://repo.example@evil/a", "https://repo.example"),
        ] {
            assert!(!within(url, prefix), "{url} {prefix}");
        }
    }

    #[test]
    fn credentials_are_said_over_tls_or_to_this_machine() {
        let private = |url: &str| is_private(&parse(url).unwrap());
        assert!(
            private("https://h/") && private("http://127.0.0.1/") && private("http://[::1]:1/")
        );
        assert!(private("http://localhost/"));
        assert!(!private("http://h/") && !private("http://127.0.0.1.evil/"));
    }
}
