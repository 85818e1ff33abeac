//! From a web server.

use super::place::{is_private, is_within, parse, place_of, settings, shown};
use super::{Access, Sink, Stop, Task};
use crate::error::{DownloadError, DownloadErrorKind};
use crate::https::failed;
use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_RANGE, HeaderMap, HeaderName, HeaderValue, LOCATION,
    RANGE,
};
use reqwest::{Certificate, Client, Proxy, Response, StatusCode, Url, redirect};
use std::io::Write;
use std::time::{Duration, Instant};
use steadfast_trust::text::chain;

/// Registries and hosts of releases have several before their stores.
const MAX_REDIRECTS: usize = 5;
/// How often a transfer that was cut off goes on where it ended, as long as each brings something.
const MAX_CUT_OFF: usize = 10;
/// Fewer bytes than these within the time for which it may be idle are as good as none.
const SLOWEST: u64 = 16 * 1024;

/// Talks to servers; each by whom its prefix says is to be trusted.
pub(super) struct Web<'t> {
    task: &'t Task,
    runtime: tokio::runtime::Runtime,
    pub(super) plain: Client,
    /// For what lies below the prefix.
    known: Option<(Url, Client)>,
}

impl<'t> Web<'t> {
    pub(super) fn new(task: &'t Task) -> Result<Web<'t>, DownloadError> {
        // Another part of the program may have installed the same one.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|err| DownloadError::local("start a runtime", err))?;
        let plain = client(task, None)?;
        let known = match &task.access {
            None => None,
            Some(access) => {
                let prefix = place_of(&access.prefix)?;
                Some((prefix, client(task, access.ca.as_deref())?))
            }
        };
        Ok(Web { task, runtime, plain, known })
    }

    fn client_for(&self, url: &Url) -> (&Client, Option<&Access>) {
        match (&self.known, &self.task.access) {
            (Some((prefix, client)), Some(access)) if is_within(url, prefix) => {
                (client, Some(access))
            }
            (Some(_) | None, Some(_) | None) => (&self.plain, None),
        }
    }

    /// Asks for a URL and goes where it is sent. Credentials go along as far as they belong there; `bearer` goes to
    /// the host that was asked first.
    pub(super) fn ask(
        &self,
        url: &str,
        headers: &HeaderMap,
        bearer: Option<&HeaderValue>,
    ) -> Result<Response, DownloadError> {
        let first = parse(url)?;
        let mut url = first.clone();
        for _ in 0..=MAX_REDIRECTS {
            let (client, access) = self.client_for(&url);
            let mut request = client.get(url.clone()).headers(headers.clone());
            let mut own = HeaderMap::new();
            for (name, value) in access.iter().flat_map(|it| &it.headers) {
                if is_private(&url) {
                    let (name, value) = header(name, value)?;
                    own.insert(name, value);
                }
            }
            // What was given for them takes their place.
            if let Some(bearer) = bearer
                && url.origin() == first.origin()
            {
                own.insert(AUTHORIZATION, bearer.clone());
            }
            request = request.headers(own);
            let response =
                self.wait(request.send(), &url)?.map_err(|err| failed(&shown(&url), &err))?;
            if !response.status().is_redirection() || response.status() == StatusCode::NOT_MODIFIED
            {
                return Ok(response);
            }
            url = next(&url, &response)?;
        }
        let words = format!("get {}: it redirects more than {MAX_REDIRECTS} times", shown(&first));
        Err(DownloadError::new(DownloadErrorKind::Unreachable, words))
    }

    /// Waits as long as a server may be idle.
    pub(super) fn wait<T>(
        &self,
        what: impl Future<Output = T>,
        url: &Url,
    ) -> Result<T, DownloadError> {
        let idle = self.task.idle;
        let waited = self.runtime.block_on(async { tokio::time::timeout(idle, what).await });
        waited.map_err(|_| too_slow(url, idle))
    }
}

fn too_slow(url: &Url, idle: Duration) -> DownloadError {
    let (url, idle) = (shown(url), idle.as_secs());
    let words = format!("get {url}: it is too slow: next to nothing came for {idle} s");
    DownloadError::new(DownloadErrorKind::TimedOut, words)
}

fn client(task: &Task, ca: Option<&str>) -> Result<Client, DownloadError> {
    let mut client = Client::builder()
        .no_proxy()
        .referer(false)
        .http1_only()
        .redirect(redirect::Policy::none())
        .connect_timeout(task.idle)
        .user_agent(concat!("steadfast/", env!("CARGO_PKG_VERSION")));
    if let Some(ca) = ca {
        let authorities = Certificate::from_pem_bundle(ca.as_bytes()).ok();
        let authorities = authorities.filter(|it| !it.is_empty());
        let none = || settings("there is no certificate in the file `ca`".to_owned());
        client = client.tls_certs_only(authorities.ok_or_else(none)?);
    }
    if let Some(proxy) = &task.proxy {
        let proxy = Proxy::all(proxy).map_err(|it| settings(format!("the proxy: {it}")))?;
        client = client.proxy(proxy);
    }
    client.build().map_err(|it| settings(chain(&it)))
}

pub(super) fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), DownloadError> {
    let wrong = || settings(format!("the header `{name}` cannot be sent as it is"));
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
    let mut value = HeaderValue::from_str(value.trim()).map_err(|_| wrong())?;
    value.set_sensitive(true);
    Ok((name, value))
}

fn next(from: &Url, response: &Response) -> Result<Url, DownloadError> {
    let wrong = |why: &str| {
        let words = format!("get {}: it redirects {why}", shown(from));
        DownloadError::new(DownloadErrorKind::Unreachable, words)
    };
    let to = response.headers().get(LOCATION).and_then(|it| it.to_str().ok());
    let to = from.join(to.ok_or_else(|| wrong("to nowhere"))?);
    let to = to.map_err(|_| wrong("to what is no URL"))?;
    match (from.scheme(), to.scheme()) {
        ("https" | "http", "https") | ("http", "http") => Ok(to),
        ("https", "http") => Err(wrong("from https to http")),
        _ => Err(wrong("to what is not of the web")),
    }
}

/// An answer that is none.
pub(super) fn answered(response: &Response) -> DownloadError {
    let (url, status) = (shown(response.url()), response.status());
    DownloadError::new(
        DownloadErrorKind::Unreachable,
        format!("get {url}: the server answered {status}"),
    )
}

/// Where the bytes that follow belong, by what the server says.
fn offset(response: &Response, asked: u64) -> Option<u64> {
    if response.status() == StatusCode::OK {
        return Some(0);
    }
    let range = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    // `bytes 100-199/200`
    let begin: u64 = range.split(' ').nth(1)?.split('-').next()?.parse().ok()?;
    (response.status() == StatusCode::PARTIAL_CONTENT && begin == asked).then_some(asked)
}

pub(super) fn get(url: &str, task: &Task, sink: &mut Sink<impl Write>) -> Result<(), Stop> {
    let web = Web::new(task)?;
    get_bytes(&web, url, None, sink)
}

/// The bytes of a URL, from where the task says; a transfer that is cut off goes on where it ended.
pub(super) fn get_bytes(
    web: &Web<'_>,
    url: &str,
    bearer: Option<&HeaderValue>,
    sink: &mut Sink<impl Write>,
) -> Result<(), Stop> {
    let mut from = web.task.from;
    let mut cut_off = 0;
    loop {
        let before = from;
        let ended = get_from(web, url, bearer, from, sink);
        let error = match ended {
            Ok(()) => return Ok(()),
            Err(Stop::Failed(error)) => error,
            Err(stop @ Stop::Output(_)) => return Err(stop),
        };
        from = sink.at;
        cut_off += 1;
        let goes_on = error.kind == DownloadErrorKind::Broken && from > before;
        if !goes_on || cut_off > MAX_CUT_OFF {
            return Err(Stop::Failed(error));
        }
        tracing::debug!(from, "the transfer was cut off, and goes on");
    }
}

fn get_from(
    web: &Web<'_>,
    url: &str,
    bearer: Option<&HeaderValue>,
    from: u64,
    sink: &mut Sink<impl Write>,
) -> Result<(), Stop> {
    let ask = |from: u64| {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if from > 0
            && let Ok(range) = HeaderValue::try_from(format!("bytes={from}-"))
        {
            headers.insert(RANGE, range);
        }
        web.ask(url, &headers, bearer)
    };
    let mut response = ask(from)?;
    if response.status() == StatusCode::RANGE_NOT_SATISFIABLE && from > 0 {
        // What is here is of something else.
        response = ask(0)?;
    }
    let Some(offset) = offset(&response, from) else {
        return Err(answered(&response).into());
    };
    let length = response.content_length();
    if length.is_some_and(|it| offset.saturating_add(it) > sink.limit) {
        return Err(sink.too_large());
    }
    sink.begin(offset)?;
    let at = response.url().clone();
    let (mut since, mut bytes) = (Instant::now(), 0);
    loop {
        let chunk = web.wait(response.chunk(), &at)?;
        let Some(chunk) = chunk.map_err(|err| failed(&shown(&at), &err))? else { return Ok(()) };
        sink.data(&chunk)?;
        bytes += chunk.len() as u64;
        if since.elapsed() >= web.task.idle {
            if bytes < SLOWEST {
                return Err(too_slow(&at, web.task.idle).into());
            }
            (since, bytes) = (Instant::now(), 0);
        }
    }
}
