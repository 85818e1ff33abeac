//! Files from a web server: asked for only if they changed, up to a size, within a time, and over TLS to
//! whom the settings trust. A redirect leads to https and not far. A directory on this machine (`file:///`)
//! is read in the same way, for machines without a network.

use crate::error::{DownloadError, DownloadErrorKind};
use crate::limits::Limits;
use reqwest::header::{ETAG, HeaderMap, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use reqwest::{Certificate, Proxy, StatusCode, redirect};
use serde::{Deserialize, Serialize};
use std::io::Read as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use steadfast_trust::text::{chain, one_line, without_user};

/// A server that moves things moves them once; more is a loop or a game.
const MAX_REDIRECTS: usize = 3;
/// An ETag or a date; nobody's is longer.
const MAX_VALIDATOR: usize = 256;

/// What a server says of a version of a file, to be asked again with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validator {
    pub etag: Option<String>,
    pub modified: Option<String>,
}

/// The directory of a web server, or one on this machine.
#[derive(Debug)]
pub enum Site {
    Http {
        client: reqwest::Client,
        runtime: tokio::runtime::Runtime,
        base: String,
        /// One transfer, and when all of them are over.
        total: Duration,
        until: Instant,
    },
    Folder(PathBuf),
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Got {
    Unchanged,
    Body { bytes: Vec<u8>, validator: Validator },
}

impl Site {
    pub fn new(
        url: &str,
        ca: Option<&[u8]>,
        proxy: Option<&str>,
        limits: &Limits,
    ) -> Result<Site, DownloadError> {
        let wrong = |words: String| DownloadError::new(DownloadErrorKind::Settings, words);
        if let Some(path) = url.strip_prefix("file://") {
            return Ok(Site::Folder(path.into()));
        }
        let secure = url.starts_with("https://");
        if !secure && !url.starts_with("http://") {
            return Err(wrong(format!("`{url}` is not a URL: write https:// or file://")));
        }
        if url.contains(['@', '?', '#']) {
            return Err(wrong("the URL of a snapshot has no user, query or fragment".into()));
        }
        // Another part of the program may have installed the same one.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let mut client = reqwest::Client::builder()
            .no_proxy()
            .referer(false)
            .https_only(secure)
            .http1_only()
            .redirect(redirects())
            .connect_timeout(limits.idle)
            .read_timeout(limits.idle)
            .user_agent(concat!("steadfast/", env!("CARGO_PKG_VERSION")));
        if let Some(ca) = ca {
            let authorities = Certificate::from_pem_bundle(ca)
                .ok()
                .filter(|it| !it.is_empty())
                .ok_or_else(|| wrong("there is no certificate in the file `ca`".into()))?;
            client = client.tls_certs_only(authorities);
        }
        if let Some(proxy) = proxy {
            let proxy = Proxy::all(proxy).map_err(|it| wrong(format!("the proxy: {it}")))?;
            client = client.proxy(proxy);
        }
        let client = client.build().map_err(|it| wrong(chain(&it)))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|err| DownloadError::local("start a runtime", err))?;
        let base = url.trim_end_matches('/').to_owned();
        let until = Instant::now() + limits.together();
        Ok(Site::Http { client, runtime, base, total: limits.total, until })
    }

    /// One file below it, with at most `limit` bytes.
    pub fn get(
        &self,
        name: &str,
        known: Option<&Validator>,
        limit: u64,
    ) -> Result<Got, DownloadError> {
        let url = match self {
            Site::Http { base, .. } => format!("{}/{name}", without_user(base)),
            Site::Folder(folder) => format!("file://{}", folder.join(name).display()),
        };
        let _span = tracing::debug_span!("https_transfer", url).entered();
        let begin = Instant::now();
        tracing::debug!(limit, "transfer begins");
        let got = self.try_get(name, known, limit);
        let took = begin.elapsed();
        match &got {
            Ok(Got::Unchanged) => tracing::debug!(?took, "transfer ended: unchanged"),
            Ok(Got::Body { bytes, .. }) => {
                tracing::debug!(bytes = bytes.len(), ?took, "transfer ended");
            }
            Err(error) => tracing::debug!(kind = ?error.kind, ?took, "transfer failed"),
        }
        got
    }

    fn try_get(
        &self,
        name: &str,
        known: Option<&Validator>,
        limit: u64,
    ) -> Result<Got, DownloadError> {
        match self {
            Site::Http { client, runtime, base, total, until } => {
                let left = until.saturating_duration_since(Instant::now()).min(*total);
                let url = format!("{base}/{name}");
                // A request is on its way before a timeout of nothing ends it.
                if left.is_zero() {
                    let words = format!("get {url}: there is no time left for it");
                    return Err(DownloadError::new(DownloadErrorKind::TimedOut, words));
                }
                runtime.block_on(get(client.get(&url).timeout(left), &url, known, limit))
            }
            Site::Folder(folder) => {
                let path = folder.join(name);
                let failed = |err: std::io::Error| {
                    let words = format!("read {}: {err}", path.display());
                    DownloadError::new(DownloadErrorKind::Unreachable, words)
                };
                let file = std::fs::File::open(&path).map_err(failed)?;
                let mut bytes = vec![];
                file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
                if bytes.len() as u64 > limit {
                    return Err(too_large(name, limit));
                }
                Ok(Got::Body { bytes, validator: Validator::default() })
            }
        }
    }
}

async fn get(
    mut request: reqwest::RequestBuilder,
    url: &str,
    known: Option<&Validator>,
    limit: u64,
) -> Result<Got, DownloadError> {
    if let Some(Validator { etag, modified }) = known {
        if let Some(etag) = etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        if let Some(modified) = modified {
            request = request.header(IF_MODIFIED_SINCE, modified);
        }
    }
    let mut response = request.send().await.map_err(|it| failed(url, &it))?;
    if response.status() == StatusCode::NOT_MODIFIED && known.is_some() {
        return Ok(Got::Unchanged);
    }
    if response.status() != StatusCode::OK {
        let words = format!("get {url}: the server answered {}", response.status());
        return Err(DownloadError::new(DownloadErrorKind::Unreachable, words));
    }
    if response.content_length().is_some_and(|it| it > limit) {
        return Err(too_large(url, limit));
    }
    let validator = validator(response.headers());
    let mut bytes = vec![];
    while let Some(part) = response.chunk().await.map_err(|it| failed(url, &it))? {
        if (bytes.len() + part.len()) as u64 > limit {
            return Err(too_large(url, limit));
        }
        bytes.extend_from_slice(&part);
    }
    Ok(Got::Body { bytes, validator })
}

fn validator(headers: &HeaderMap) -> Validator {
    let text = |name| {
        let value = headers.get(name)?.to_str().ok()?;
        (value.len() <= MAX_VALIDATOR).then(|| value.to_owned())
    };
    Validator { etag: text(ETAG), modified: text(LAST_MODIFIED) }
}

fn redirects() -> redirect::Policy {
    redirect::Policy::custom(|attempt| {
        if attempt.previous().len() > MAX_REDIRECTS {
            attempt.error("it redirects too often")
        } else if attempt.url().scheme() != "https" {
            attempt.error("it redirects to something other than https")
        } else {
            attempt.follow()
        }
    })
}

pub(crate) fn failed(url: &str, error: &reqwest::Error) -> DownloadError {
    let kind = if error.is_timeout() {
        DownloadErrorKind::TimedOut
    } else if error.is_body() || error.is_decode() {
        DownloadErrorKind::Broken
    } else {
        DownloadErrorKind::Unreachable
    };
    // Its own words repeat the url at every layer.
    let mut words = vec![];
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        words.push(one_line(&cause.to_string()));
        next = cause.source();
    }
    words.dedup();
    if words.len() > 1 {
        // That it could not connect, of which the rest says why.
        words.retain(|it| !it.starts_with("client error ("));
    }
    let why = if words.is_empty() { one_line(&error.to_string()) } else { words.join(": ") };
    let why =
        if kind == DownloadErrorKind::TimedOut { format!("it is too slow: {why}") } else { why };
    DownloadError::new(kind, format!("get {url}: {why}"))
}

fn too_large(name: &str, limit: u64) -> DownloadError {
    DownloadError::new(DownloadErrorKind::TooLarge, format!("{name} has more than {limit} bytes"))
}
