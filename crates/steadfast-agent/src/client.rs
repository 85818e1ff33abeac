//! Asking a running agent, over its socket: one request, one answer.

use crate::api::v1;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("no agent is running here")]
    NotThere,
    #[error("connect to the agent at {path}")]
    Connect {
        path: PathBuf,
        #[source]
        err: std::io::Error,
    },
    #[error("ask the agent")]
    Talk(#[source] std::io::Error),
    #[error("the agent ended the connection: it stops, or too many have asked at one time")]
    Closed,
    #[error("the agent refused: {0}")]
    Refused(String),
    #[error("the agent's answer could not be parsed")]
    Strange,
}

/// An answer is a status, not a download.
const BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Whether an agent answers there.
pub fn is_running(socket: &Path) -> bool {
    UnixStream::connect(socket).is_ok()
}

/// Asks for the status.
pub fn status(socket: &Path) -> Result<v1::Status, ClientError> {
    let body = ask(socket, "GET", "/v1/status", "", Some(Duration::from_secs(20)))?;
    serde_json::from_slice(&body).map_err(|_| ClientError::Strange)
}

/// Asks for something to be done. A run is answered when it has ended.
pub fn request(socket: &Path, request: &v1::Request) -> Result<v1::Answer, ClientError> {
    let (name, patience) = match request {
        v1::Request::Status {} | v1::Request::Metrics {} => return Err(ClientError::Strange),
        v1::Request::Run { .. } => ("run", None),
        v1::Request::Adopt { .. } => ("adopt", Some(Duration::from_secs(60))),
        v1::Request::Suspend { .. } => ("suspend", Some(Duration::from_secs(60))),
        v1::Request::Resume {} => ("resume", Some(Duration::from_secs(60))),
        v1::Request::Reload {} => ("reload", Some(Duration::from_secs(60))),
    };
    let mut body = serde_json::to_value(request).map_err(|_| ClientError::Strange)?;
    if let Some(fields) = body.as_object_mut() {
        fields.remove("request");
    }
    let answer = ask(socket, "POST", &format!("/v1/{name}"), &body.to_string(), patience)?;
    serde_json::from_slice(&answer).map_err(|_| ClientError::Strange)
}

fn ask(
    socket: &Path,
    method: &str,
    path: &str,
    body: &str,
    patience: Option<Duration>,
) -> Result<Vec<u8>, ClientError> {
    let mut stream = UnixStream::connect(socket).map_err(|err| {
        use std::io::ErrorKind;
        if matches!(err.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) {
            ClientError::NotThere
        } else {
            ClientError::Connect { path: socket.to_owned(), err }
        }
    })?;
    stream.set_read_timeout(patience).map_err(ClientError::Talk)?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: agent\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut answer = vec![];
    stream
        .write_all(format!("{head}{body}").as_bytes())
        .and_then(|()| stream.take(BYTES_MAX).read_to_end(&mut answer))
        .map_err(talked)?;
    if answer.is_empty() {
        return Err(ClientError::Closed);
    }
    let end = answer.windows(4).position(|it| it == b"\r\n\r\n").ok_or(ClientError::Strange)?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let body = answer.split_off(end + 4);
    match head.split(' ').nth(1) {
        Some("200") => Ok(body),
        Some(_) => Err(ClientError::Refused(String::from_utf8_lossy(&body).trim().to_owned())),
        None => Err(ClientError::Strange),
    }
}

fn talked(err: std::io::Error) -> ClientError {
    use std::io::ErrorKind;
    if matches!(err.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) {
        ClientError::Closed
    } else {
        ClientError::Talk(err)
    }
}
