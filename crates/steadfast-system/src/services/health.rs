//! Asking a service whether it is healthy: a GET of our own, small and strict, or a program.
//!
//! Of an answer only the first line is read, and the headers where they matter. It is asked of this machine alone: an address that belongs
//! to another one is refused before anything is sent, so that a node is never judged by its neighbour.

use super::url::HealthUrl;
use super::{Expected, Question};
use crate::{ErrorKind, SystemError, text};
use nix::sys::socket::SockaddrStorage;
use std::collections::BTreeMap;
use std::io::{ErrorKind as Io, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long one question may take.
pub(super) const QUESTION: Duration = Duration::from_secs(10);
/// Between one question and the next.
const PACE: Duration = Duration::from_millis(500);
/// A refused question is asked once more, however little patience there is.
const LEAST_QUESTIONS: u32 = 2;
/// The longest first line of an answer: the reason phrase is free text.
const LINE_MAX: usize = 1024;
/// The longest answer up to the end of its headers.
const HEADERS_MAX: usize = 64 * 1024;

/// Asks until the answer is good; for `patience`, and twice at least.
pub(super) fn patiently(
    patience: Duration,
    mut question: impl FnMut() -> Result<(), SystemError>,
) -> Result<(), SystemError> {
    let began = Instant::now();
    let mut asked = 0_u32;
    loop {
        let answer = question();
        asked = asked.saturating_add(1);
        if answer.is_ok() || (asked >= LEAST_QUESTIONS && began.elapsed() >= patience) {
            return answer;
        }
        std::thread::sleep(PACE);
    }
}

/// One question.
pub(super) fn ask(question: Question<'_>) -> Result<(), SystemError> {
    match question {
        Question::Http(url) => get(url, None),
        Question::Answer { url, expected } => get(url, Some(expected)),
        Question::Tcp(address) => connect(address, Instant::now() + QUESTION).map(|_| ()),
        Question::Program { program, runs } => {
            runs.run_program(&program)?.succeeded(program.name()).map(|_| ())
        }
    }
}

/// One GET. Where nothing is expected, an answer from 200 to 399 is good; where that leads is not followed.
fn get(url: &HealthUrl, expected: Option<&Expected>) -> Result<(), SystemError> {
    let deadline = Instant::now() + QUESTION;
    let (first, second) = url.addresses();
    let status = connect(first, deadline)
        // What is said of the first address is said of both.
        .or_else(|err| second.and_then(|at| connect(at, deadline).ok()).ok_or(err))
        .and_then(|mut stream| {
            let all = expected.is_some_and(|it| !it.header.is_empty());
            exchange(&mut stream, url, all, deadline)
        })
        .map_err(|it| it.during(format!("ask {url}")))?;
    let is_good = match expected {
        Some(expected) => expected.status.contains(&status.code),
        None => (200..=399).contains(&status.code),
    };
    if !is_good {
        let words = format!("{url} answers {}", status.words);
        return Err(SystemError::new(ErrorKind::Command, words));
    }
    match expected.and_then(|it| missing(&it.header, &status.headers)) {
        Some(words) => Err(SystemError::new(ErrorKind::Command, format!("{url} {words}"))),
        None => Ok(()),
    }
}

/// What is wrong with the headers of an answer.
fn missing(expected: &BTreeMap<Arc<str>, Arc<str>>, found: &[(String, String)]) -> Option<String> {
    expected.iter().find_map(|(name, value)| {
        let mut all = found.iter().filter(|(it, _)| it.eq_ignore_ascii_case(name)).peekable();
        let Some((_, first)) = all.peek().copied() else {
            return Some(format!("answers without the header {name}"));
        };
        let is_there = all.any(|(_, it)| *it == **value);
        (!is_there).then(|| {
            let first = text::safe_start(first, 100);
            format!("answers with {name}: {first}, and not {value}")
        })
    })
}

fn connect(at: SocketAddr, deadline: Instant) -> Result<TcpStream, SystemError> {
    if !is_own(at.ip(), own_addresses)? {
        return Err(SystemError::new(
            ErrorKind::Other,
            format!("{} is not an address of this machine", at.ip()),
        ));
    }
    TcpStream::connect_timeout(&at, left(deadline)?)
        .map_err(|err| SystemError::io(format!("connect to {at}"), err))
}

/// The addresses of this machine's interfaces. That a socket can be bound to an address says nothing:
/// with `net.ipv4.ip_nonlocal_bind` it can be to every one.
fn own_addresses() -> Result<Vec<IpAddr>, SystemError> {
    let interfaces = nix::ifaddrs::getifaddrs()
        .map_err(|err| SystemError::io("list this machine's addresses", err))?;
    let address = |it: SockaddrStorage| {
        let old = it.as_sockaddr_in().map(|it| IpAddr::from(it.ip()));
        old.or_else(|| it.as_sockaddr_in6().map(|it| IpAddr::from(it.ip())))
    };
    Ok(interfaces.filter_map(|it| it.address).filter_map(address).collect())
}

/// Whether nobody but this machine answers there. All of 127.0.0.0/8 does, and so does it where an address
/// says none.
fn is_own(
    address: IpAddr,
    own: impl FnOnce() -> Result<Vec<IpAddr>, SystemError>,
) -> Result<bool, SystemError> {
    let address = address.to_canonical();
    Ok(address.is_loopback() || address.is_unspecified() || own()?.contains(&address))
}

struct Status {
    code: u16,
    /// `500 Internal Server Error`.
    words: String,
    /// Where they were asked for.
    headers: Vec<(String, String)>,
}

/// Reads the first line of the answer; with `all`, the headers too.
fn exchange(
    stream: &mut TcpStream,
    url: &HealthUrl,
    all: bool,
    deadline: Instant,
) -> Result<Status, SystemError> {
    let (host, target) = (url.host(), url.target());
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: steadfast\r\nAccept: */*\r\n\
         Connection: close\r\n\r\n"
    );
    let failed = |err: std::io::Error| {
        // Either is what std says where a socket's own time is over.
        if matches!(err.kind(), Io::WouldBlock | Io::TimedOut) {
            silence()
        } else {
            SystemError::io("exchange a request and its answer", err)
        }
    };
    stream.set_write_timeout(Some(left(deadline)?)).map_err(failed)?;
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let mut line = vec![];
    let mut buffer = [0; 512];
    let limit = if all { HEADERS_MAX } else { LINE_MAX };
    let has = |it: &[u8], end: &[u8]| it.windows(end.len()).any(|it| it == end);
    let is_whole = |it: &[u8]| match all {
        true => has(it, b"\n\r\n") || has(it, b"\n\n"),
        false => has(it, b"\n"),
    };
    while !is_whole(&line) && line.len() < limit {
        // One byte at a time from a slow one does not make it last longer.
        stream.set_read_timeout(Some(left(deadline)?)).map_err(failed)?;
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => line.extend_from_slice(&buffer[..count]),
            Err(err) if err.kind() == Io::Interrupted => {}
            Err(err) => return Err(failed(err)),
        }
    }
    status(&line).ok_or_else(|| {
        SystemError::new(
            ErrorKind::Command,
            if line.is_empty() {
                "it closes the connection without an answer"
            } else {
                "the answer is not HTTP"
            },
        )
    })
}

/// The first line of an answer: `HTTP/1.1 200 OK`.
fn status(answer: &[u8]) -> Option<Status> {
    let end = answer.iter().position(|it| *it == b'\n')?;
    let line = String::from_utf8_lossy(&answer[..end]);
    let (version, rest) = line.trim_end().split_once(' ')?;
    let code = rest.split(' ').next()?;
    let good = ["HTTP/1.0", "HTTP/1.1"].contains(&version)
        && code.len() == 3
        && code.bytes().all(|it| it.is_ascii_digit());
    let code = code.parse().ok().filter(|_| good)?;
    let words = text::safe_start(rest.trim_end(), 100);
    Some(Status { code, words, headers: headers(&answer[end + 1..]) })
}

/// Up to the first empty line.
fn headers(text: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(text);
    let lines = text.lines().map(str::trim_end).take_while(|it| !it.is_empty());
    let pair = |it: &str| {
        let (name, value) = it.split_once(':')?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    };
    lines.filter_map(pair).collect()
}

/// What is left of the time, which a socket takes only if it is not nothing.
fn left(deadline: Instant) -> Result<Duration, SystemError> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(silence()) } else { Ok(left) }
}

fn silence() -> SystemError {
    let words = format!("there is no answer within {} s", QUESTION.as_secs());
    SystemError::new(ErrorKind::TimedOut, words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead as _, BufReader};
    use std::net::TcpListener;

    /// What is asked of a server that gives this answer, and what came of it.
    fn asked(answer: &[u8], path: &str) -> (String, Result<(), Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = HealthUrl::parse(&format!("http://127.0.0.1:{port}{path}")).unwrap();
        let port = port.to_string();
        std::thread::scope(|scope| {
            let server = scope.spawn(|| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = String::new();
                let mut lines = BufReader::new(stream.try_clone().unwrap());
                while !request.ends_with("\r\n\r\n") {
                    lines.read_line(&mut request).unwrap();
                }
                // Whoever has what it wants need not wait for the rest.
                let _rest = stream.write_all(answer);
                request
            });
            let result = get(&url, None).map_err(|it| it.chain());
            let clean = |it: String| it.replace(&port, "PORT");
            let result = result.map_err(|it| it.into_iter().map(clean).collect());
            (clean(server.join().unwrap()), result)
        })
    }

    #[track_caller]
    fn refused(answer: &[u8], words: &[&str]) {
        assert_eq!(asked(answer, "/").1.unwrap_err(), words);
    }

    #[test]
    fn an_answer_is_good_from_200_to_399() {
        for answer in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.0 204\n", "HTTP/1.1 399 x\r\n"] {
            assert_eq!(asked(answer.as_bytes(), "/").1, Ok(()), "{answer}");
        }
        let moved = "HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\n\r\n";
        assert_eq!(asked(moved.as_bytes(), "/").1, Ok(()));
        refused(
            b"HTTP/1.1 500 Internal Server Error\r\n\r\nlong story",
            &["http://127.0.0.1:PORT/ answers 500 Internal Server Error"],
        );
        refused(b"HTTP/1.1 199 x\r\n", &["http://127.0.0.1:PORT/ answers 199 x"]);
        refused(b"HTTP/1.1 400\r\n", &["http://127.0.0.1:PORT/ answers 400"]);
    }

    #[test]
    fn the_request_is_what_the_url_says() {
        let (request, _) = asked(b"HTTP/1.1 200 OK\r\n\r\n", "/health?deep=1");
        let lines: Vec<&str> = request.lines().collect();
        assert_eq!(lines[..2], ["GET /health?deep=1 HTTP/1.1", "Host: 127.0.0.1:PORT"]);
        assert!(lines.contains(&"Connection: close"));
        assert!(asked(b"HTTP/1.1 200 OK\r\n\r\n", "").0.starts_with("GET / HTTP/1.1\r\n"));
    }

    #[test]
    fn a_hostile_answer_is_bounded_and_does_nothing_to_a_terminal() {
        let ask = "ask http://127.0.0.1:PORT/";
        refused(b"", &[ask, "it closes the connection without an answer"]);
        refused(b"SSH-2.0-OpenSSH_9.2\r\n", &[ask, "the answer is not HTTP"]);
        refused(b"HTTP/1.1 2000 OK\r\n", &[ask, "the answer is not HTTP"]);
        refused(b"HTTP/1.1 +20 OK\r\n", &[ask, "the answer is not HTTP"]);
        refused(b"HTTP/2 200 OK\r\n", &[ask, "the answer is not HTTP"]);
        // Without an end of the line it is read no further than the limit.
        let endless = [b"HTTP/1.1 200 ".as_slice(), &vec![b'x'; 10_000_000]].concat();
        refused(&endless, &[ask, "the answer is not HTTP"]);
        refused(b"HTTP/1.1 503 \x1b[2J\r\n", &["http://127.0.0.1:PORT/ answers 503 \\u{1b}[2J"]);
    }

    #[test]
    fn another_machine_is_never_asked() {
        let url = HealthUrl::parse("http://192.0.2.1/").unwrap();
        let chain = get(&url, None).unwrap_err().chain();
        assert_eq!(chain, ["ask http://192.0.2.1/", "192.0.2.1 is not an address of this machine"]);
    }

    #[test]
    fn own_is_what_an_interface_has_and_what_cannot_leave_the_machine() {
        let address = |it: &str| it.parse::<IpAddr>().unwrap();
        let own = || Ok(["192.0.2.7", "2001:db8::7"].map(address).to_vec());
        for ours in
            ["127.0.0.1", "127.1.2.3", "::1", "0.0.0.0", "::", "192.0.2.7", "::ffff:192.0.2.7"]
        {
            assert_eq!(is_own(address(ours), own), Ok(true), "{ours}");
        }
        for other in ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "224.0.0.1"] {
            assert_eq!(is_own(address(other), own), Ok(false), "{other}");
        }
        assert!(own_addresses().unwrap().contains(&address("127.0.0.1")));
    }

    #[test]
    fn where_nobody_listens_it_says_so() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        drop(listener);
        let chain =
            get(&HealthUrl::parse(&format!("http://{at}/x")).unwrap(), None).unwrap_err().chain();
        assert_eq!(chain[..2], [format!("ask http://{at}/x"), format!("connect to {at}")]);
    }

    #[test]
    fn a_refused_question_is_asked_once_more_and_then_for_as_long_as_there_is_patience() {
        let refuse = || SystemError::new(ErrorKind::Command, "no");
        let mut asked = 0;
        let result = patiently(Duration::ZERO, || {
            asked += 1;
            Err(refuse())
        });
        assert_eq!((result, asked), (Err(refuse()), 2));
        let mut asked = 0;
        let result = patiently(Duration::from_secs(3600), || {
            asked += 1;
            if asked < 3 { Err(refuse()) } else { Ok(()) }
        });
        assert_eq!((result, asked), (Ok(()), 3));
    }

    #[test]
    fn a_program_is_healthy_where_it_exits_with_0() {
        let folder = tempfile::tempdir().unwrap();
        let host = crate::files::tests::host_in(folder.path());
        let run = |words: &[&str]| {
            let command: Vec<_> = words.iter().map(|it| Arc::from(*it)).collect();
            ask(Question::command(&command, &host))
        };
        assert_eq!(run(&["true"]), Ok(()));
        let error = run(&["sh", "-c", "echo sick; exit 3"]).unwrap_err();
        assert_eq!(error.chain(), ["sh exited with 3", "sick"]);
    }
}
