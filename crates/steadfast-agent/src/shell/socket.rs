//! Where the agent is asked: HTTP/1.1 on a socket of this machine, one request a connection. Whoever is
//! in the group may read; whoever is root may ask for something to be done. The metrics are served on a
//! TCP address too where the settings name one.

use super::event::{Event, Reply};
use super::places::{Admission, Who, admission};
use crate::api::v1;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc::Sender;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long somebody may take to say what they want. Who is not root has to have read the answer by then.
const PATIENCE: Duration = Duration::from_secs(10);
/// A request names promises; it does not bring a model.
const BODY_MAX: usize = 1024 * 1024;

/// Nobody is listening any more.
#[expect(clippy::disallowed_methods, reason = "the socket lies in our own directory")]
pub(super) fn close(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Makes the socket, for root and the group.
pub(super) fn open(path: &Path, group: &str) -> std::io::Result<UnixListener> {
    close(path)?;
    // Until somebody is admitted, only root can write to it, whatever the mask says.
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(path);
    rustix::process::umask(before);
    let listener = listener?;
    admit(path, group);
    Ok(listener)
}

/// Lets the group in.
#[expect(clippy::disallowed_methods, reason = "the socket lies in our own directory")]
pub(super) fn admit(path: &Path, group: &str) {
    let found = nix::unistd::Group::from_name(group).ok().flatten();
    let Some(found) = found else {
        let words = format!("there is no group {group}: only root can read the status");
        tracing::warn!("{words}");
        return;
    };
    let given = std::os::unix::fs::chown(path, None, Some(found.gid.as_raw()))
        .and_then(|()| std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)));
    if let Err(err) = given {
        tracing::warn!("{group} cannot be given access: {err}");
    }
}

pub(super) fn listen(address: &str) -> std::io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

pub(super) async fn serve(listener: UnixListener, send: Sender<Event>) {
    let mut places = Places::default();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // No descriptors, most likely: some will be free again.
            tokio::time::sleep(Duration::from_millis(200)).await;
            continue;
        };
        let ours = rustix::process::geteuid().as_raw();
        let (may, who) = match stream.peer_cred().map(|it| it.uid()) {
            Ok(uid) if uid == 0 || uid == ours => (May::Everything, Who::Root),
            Ok(uid) => (May::Read, Who::User(uid)),
            // Whoever cannot be told from others counts as one of them.
            Err(_) => (May::Read, Who::User(u32::MAX)),
        };
        places.admit(who, || connection(stream, may, send.clone()));
    }
}

pub(super) async fn serve_metrics(listener: TcpListener, send: Sender<Event>) {
    let mut places = Places::default();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(200)).await;
            continue;
        };
        places.admit(Who::Network, || connection(stream, May::Scrape, send.clone()));
    }
}

/// Who is being answered, the oldest first.
#[derive(Default)]
struct Places(Vec<(Who, JoinHandle<()>)>);

impl Places {
    /// Answers one more, in the place of another where it must be.
    fn admit<F>(&mut self, who: Who, answered: impl FnOnce() -> F)
    where
        F: Future<Output = ()> + 'static + Send,
    {
        self.0.retain(|(_, task)| !task.is_finished());
        let held: Vec<Who> = self.0.iter().map(|(who, _)| *who).collect();
        match admission(&held, who) {
            Admission::Free => {}
            Admission::InsteadOf(at) => self.0.remove(at).1.abort(),
            // The connection is closed.
            Admission::Full => return,
        }
        self.0.push((who, tokio::spawn(answered())));
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        self.0.iter().for_each(|(_, task)| task.abort());
    }
}

/// What whoever asks may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum May {
    Everything,
    Read,
    Scrape,
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    may: May,
    send: Sender<Event>,
) {
    let service = service_fn(move |request| {
        let send = send.clone();
        async move { Ok::<_, Infallible>(answer(request, may, send).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .keep_alive(false)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    // Whoever goes away, or says nothing that is HTTP, is nobody's trouble but theirs.
    match may {
        // A run is answered when it has ended.
        May::Everything => drop(connection.await),
        // Whoever dawdles over any part of it, be it over reading the answer, is not waited for.
        May::Read | May::Scrape => drop(tokio::time::timeout(PATIENCE, connection).await),
    }
}

type Page = Response<Full<Bytes>>;

async fn answer(request: hyper::Request<Incoming>, may: May, send: Sender<Event>) -> Page {
    let asked = match read(request, may).await {
        Ok(asked) => asked,
        Err((status, words)) => {
            tracing::debug!(access = ?may, status = status.as_u16(), "a request is turned down");
            return page(status, "text/plain; charset=utf-8", words);
        }
    };
    tracing::debug!(access = ?may, request = asked.word(), "a request arrives");
    let (reply, wait) = oneshot::channel();
    if send.send(Event::Ask { request: asked, reply }).await.is_err() {
        let words = "the agent is shutting down\n".to_owned();
        return page(StatusCode::SERVICE_UNAVAILABLE, "text/plain; charset=utf-8", words);
    }
    match wait.await {
        Ok(Reply::Status(text)) => page(StatusCode::OK, "application/json", text + "\n"),
        Ok(Reply::Metrics(text)) => page(StatusCode::OK, "text/plain; version=0.0.4", text),
        Ok(Reply::Answer(answer)) => {
            // Plain data, whose serialization cannot fail.
            let text = serde_json::to_string(&answer).unwrap_or_default();
            page(StatusCode::OK, "application/json", text + "\n")
        }
        Err(_) => {
            let words = "the agent ended before it could answer\n".to_owned();
            page(StatusCode::SERVICE_UNAVAILABLE, "text/plain; charset=utf-8", words)
        }
    }
}

async fn read(
    request: hyper::Request<Incoming>,
    may: May,
) -> Result<v1::Request, (StatusCode, String)> {
    let (head, body) = request.into_parts();
    let nothing = || (StatusCode::NOT_FOUND, "not found\n".to_owned());
    let name = match (head.method, head.uri.path()) {
        (Method::GET, "/metrics") => return Ok(v1::Request::Metrics {}),
        (Method::GET, "/v1/status") if may != May::Scrape => return Ok(v1::Request::Status {}),
        (Method::POST, path) if may != May::Scrape => {
            path.strip_prefix("/v1/").ok_or_else(nothing)?.to_owned()
        }
        _ => return Err(nothing()),
    };
    let bad = |words: String| (StatusCode::BAD_REQUEST, format!("{words}\n"));
    let body = tokio::time::timeout(PATIENCE, Limited::new(body, BODY_MAX).collect()).await;
    let body = match body {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(err)) => return Err(bad(format!("the request cannot be read: {err}"))),
        Err(_) => return Err((StatusCode::REQUEST_TIMEOUT, "that took too long\n".to_owned())),
    };
    // Only now, or whoever still writes would not get to read it.
    if may != May::Everything {
        return Err((StatusCode::FORBIDDEN, "only root may do that\n".to_owned()));
    }
    let mut fields = serde_json::Map::new();
    if !body.is_empty() {
        fields = serde_json::from_slice(&body).map_err(|err| bad(err.to_string()))?;
    }
    fields.insert("request".to_owned(), name.into());
    let asked: v1::Request =
        serde_json::from_value(fields.into()).map_err(|err| bad(err.to_string()))?;
    if asked.is_harmless() { Err(nothing()) } else { Ok(asked) }
}

fn page(status: StatusCode, kind: &'static str, body: String) -> Page {
    let mut page = Response::new(Full::new(Bytes::from(body)));
    *page.status_mut() = status;
    let kind = hyper::header::HeaderValue::from_static(kind);
    page.headers_mut().insert(hyper::header::CONTENT_TYPE, kind);
    page
}
