//! A web server of the tests' own, well behaved or not: one thread, one request a connection.

use rcgen::{Certificate, CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::{ServerConfig, ServerConnection};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

pub(crate) trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// A request: its line, its headers in lower case, its body.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub method: String,
    pub path: String,
    pub headers: String,
    pub body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.lines().find_map(|it| it.strip_prefix(name)?.strip_prefix(": "))
    }
}

pub(crate) struct Server {
    pub url: String,
    pub log: Arc<Mutex<Vec<Request>>>,
    /// The certificate, where it speaks TLS and made one for itself.
    pub certificate: String,
    tls: Option<Arc<Mutex<Arc<ServerConfig>>>>,
    answer: Arc<Mutex<Answer>>,
}

type Answer = Box<dyn FnMut(&Request, &mut dyn Stream) + Send>;

impl Server {
    pub(crate) fn http(answer: impl FnMut(&Request, &mut dyn Stream) + Send + 'static) -> Server {
        Server::on_the_loopback("http", None, String::new(), Box::new(answer))
    }

    /// With a certificate of its own for these names.
    pub(crate) fn https(
        names: &[&str],
        answer: impl FnMut(&Request, &mut dyn Stream) + Send + 'static,
    ) -> Server {
        let names: Vec<String> = names.iter().map(|it| (*it).to_owned()).collect();
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
        let tls = identity(&cert, &signing_key);
        Server::on_the_loopback("https", Some(tls), cert.pem(), Box::new(answer))
    }

    fn on_the_loopback(
        scheme: &str,
        tls: Option<Arc<ServerConfig>>,
        certificate: String,
        answer: Answer,
    ) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = format!("{scheme}://127.0.0.1:{port}");
        let server = Server::deaf(url, tls, certificate, answer);
        server.listen(listener);
        server
    }

    /// One that nobody can reach yet, because it listens nowhere.
    pub(crate) fn deaf(
        url: String,
        tls: Option<Arc<ServerConfig>>,
        certificate: String,
        answer: Answer,
    ) -> Server {
        let (log, answer) = (Arc::default(), Arc::new(Mutex::new(answer)));
        Server { url, log, certificate, tls: tls.map(|it| Arc::new(Mutex::new(it))), answer }
    }

    /// Shows another certificate from now on.
    pub(crate) fn present(&self, identity: Arc<ServerConfig>) {
        *self.tls.as_ref().unwrap().lock().unwrap() = identity;
    }

    /// Answers whoever comes to this socket too.
    pub(crate) fn listen(&self, listener: TcpListener) {
        let (tls, log, answer) = (self.tls.clone(), self.log.clone(), self.answer.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Some(tls) = &tls else {
                    serve(stream, &log, &answer);
                    continue;
                };
                let session = ServerConnection::new(tls.lock().unwrap().clone()).unwrap();
                let mut stream = rustls::StreamOwned::new(session, stream);
                serve(&mut stream, &log, &answer);
                stream.conn.send_close_notify();
                let _flushed = stream.flush();
            }
        });
    }

    pub(crate) fn count(&self) -> usize {
        self.log.lock().unwrap().len()
    }
}

/// Who a server is: a certificate and its key.
pub(crate) fn identity(certificate: &Certificate, key: &KeyPair) -> Arc<ServerConfig> {
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.into())
        .unwrap();
    Arc::new(config)
}

fn serve(mut stream: impl Stream, log: &Mutex<Vec<Request>>, answer: &Mutex<Answer>) {
    let mut head = vec![];
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ended => return,
        }
    }
    let head = String::from_utf8_lossy(&head).replace("\r\n", "\n");
    let (line, headers) = head.split_once('\n').unwrap();
    let mut words = line.split(' ');
    let (method, path) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
    let headers = headers
        .lines()
        .filter_map(|it| it.split_once(": "))
        .map(|(name, value)| format!("{}: {value}\n", name.to_ascii_lowercase()))
        .collect();
    let mut request = Request { method, path, headers, body: vec![] };
    if let Some(length) = request.header("content-length") {
        request.body = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut request.body).unwrap();
    } else if request.header("transfer-encoding").is_some() {
        request.body = chunked(&mut stream);
    }
    log.lock().unwrap().push(request.clone());
    let mut answer = answer.lock().unwrap();
    answer(&request, &mut stream);
    let _flushed = stream.flush();
}

fn chunked(stream: &mut impl Stream) -> Vec<u8> {
    let mut body = vec![];
    loop {
        let mut line = vec![];
        let mut byte = [0];
        while !line.ends_with(b"\r\n") {
            stream.read_exact(&mut byte).unwrap();
            line.push(byte[0]);
        }
        let size = usize::from_str_radix(String::from_utf8_lossy(&line).trim(), 16).unwrap();
        let mut part = vec![0; size + 2];
        stream.read_exact(&mut part).unwrap();
        body.extend_from_slice(&part[..size]);
        if size == 0 {
            return body;
        }
    }
}

pub(crate) fn reply(stream: &mut dyn Stream, status: &str, headers: &str, body: &[u8]) {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    let _sent = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
}

/// A directory, as every static server serves it, with ETags.
pub(crate) fn folder(folder: PathBuf) -> impl FnMut(&Request, &mut dyn Stream) + Send {
    move |request, stream| {
        let path = folder.join(request.path.trim_start_matches('/'));
        let Ok(bytes) = std::fs::read(path) else {
            return reply(stream, "404 Not Found", "", b"");
        };
        let sum =
            bytes.iter().fold(7_u64, |sum, it| sum.wrapping_mul(31).wrapping_add((*it).into()));
        let etag = format!("\"{sum:x}\"");
        if request.header("if-none-match") == Some(&etag) {
            return reply(stream, "304 Not Modified", "", b"");
        }
        reply(stream, "200 OK", &format!("ETag: {etag}\r\n"), &bytes);
    }
}

/// Repositories below a directory, as `git http-backend` serves them.
pub(crate) fn git(folder: PathBuf) -> impl FnMut(&Request, &mut dyn Stream) + Send {
    move |request, stream| {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let mut child = Command::new("git")
            .arg("http-backend")
            .env("GIT_PROJECT_ROOT", &folder)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("PATH_INFO", path)
            .env("QUERY_STRING", query)
            .env("REQUEST_METHOD", &request.method)
            .env("CONTENT_TYPE", request.header("content-type").unwrap_or_default())
            .env("CONTENT_LENGTH", request.body.len().to_string())
            .env("HTTP_CONTENT_ENCODING", request.header("content-encoding").unwrap_or_default())
            .env("GIT_PROTOCOL", request.header("git-protocol").unwrap_or_default())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&request.body).unwrap();
        let output = child.wait_with_output().unwrap().stdout;
        let end = output.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
        let headers = String::from_utf8_lossy(&output[..end + 2]).into_owned();
        let status = headers.lines().find_map(|it| it.strip_prefix("Status: ")).unwrap_or("200 OK");
        reply(stream, status, &headers, &output[end + 4..]);
    }
}

/// Waits until the other side has gone.
pub(crate) fn hang(stream: &mut dyn Stream) {
    let mut byte = [0];
    while matches!(stream.read(&mut byte), Ok(1)) {}
}
