//! One connection to the server, and what is said on it.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::counts::Came;

/// After so long an answer is late.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    is_kept: bool,
}

/// An answer: its status, and what it says.
struct Answer {
    status: u16,
    body: Vec<u8>,
    closes: bool,
}

impl Connection {
    pub(crate) fn open(to: SocketAddr) -> Result<Self, Came> {
        let failed = |why: io::Error| {
            if is_late(&why) { Came::Late } else { Came::Refused(why.to_string()) }
        };
        let stream = TcpStream::connect_timeout(&to, PATIENCE).map_err(failed)?;
        let set = stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.set_nodelay(true));
        set.map_err(failed)?;
        Ok(Self { stream: BufReader::new(stream), is_kept: true })
    }

    /// Whether the server said that it may be asked on again.
    pub(crate) fn is_kept(&self) -> bool {
        self.is_kept
    }

    pub(crate) fn ask(&mut self, host: &str, path: &str) -> Came {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        if self.stream.get_ref().write_all(request.as_bytes()).is_err() {
            return Came::Dropped;
        }
        match self.stream.fill_buf() {
            Ok([]) => return Came::Dropped,
            Ok(_) => {}
            Err(why) if is_late(&why) => return Came::Late,
            Err(_) => return Came::Dropped,
        }
        match self.answer() {
            Ok(answer) => {
                self.is_kept = !answer.closes;
                answer.came()
            }
            Err(why) if is_late(&why) => Came::Late,
            Err(why) => Came::Cut(why.to_string()),
        }
    }

    fn answer(&mut self) -> io::Result<Answer> {
        let mut line = self.line()?;
        let status = line.split(' ').nth(1).and_then(|it| it.parse().ok());
        let status = status.ok_or(io::Error::other(format!("no answer: {line:?}")))?;
        let mut answer = Answer { status, body: vec![], closes: false };
        let (mut length, mut is_chunked) = (None, false);
        loop {
            line = self.line()?.to_ascii_lowercase();
            let Some((name, value)) = line.split_once(':') else { break };
            match (name, value.trim()) {
                ("content-length", it) => length = it.parse::<usize>().ok(),
                ("transfer-encoding", "chunked") => is_chunked = true,
                ("connection", "close") => answer.closes = true,
                _ => {}
            }
        }
        if is_chunked {
            self.chunks(&mut answer.body)?;
        } else if let Some(length) = length {
            self.take(length, &mut answer.body)?;
        } else {
            // Nobody can tell such an end from a cut.
            return Err(io::Error::other("an answer without a length"));
        }
        Ok(answer)
    }

    fn chunks(&mut self, body: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let line = self.line()?;
            let length = usize::from_str_radix(line.split(';').next().unwrap_or_default(), 16);
            let length = length.map_err(|_| io::Error::other(format!("no chunk: {line:?}")))?;
            self.take(length, body)?;
            self.line()?;
            if length == 0 {
                return Ok(());
            }
        }
    }

    fn take(&mut self, length: usize, body: &mut Vec<u8>) -> io::Result<()> {
        let from = body.len();
        body.resize(from + length, 0);
        self.stream.read_exact(body.get_mut(from..).unwrap_or_default())
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Answer {
    fn came(&self) -> Came {
        // What is sent bit by bit ends with the line that says who sent it.
        let last = self.body.trim_ascii_end().rsplit(|it| *it == b'\n').next().unwrap_or_default();
        let told: Option<serde_json::Value> = serde_json::from_slice(last).ok();
        let release = told.as_ref().and_then(|it| it["release"].as_str());
        match (self.status, release) {
            (200, Some(release)) => Came::Good(release.to_owned()),
            (status, _) => {
                let body = String::from_utf8_lossy(&self.body);
                Came::Wrong(format!("{status} {}", body.chars().take(200).collect::<String>()))
            }
        }
    }
}

fn is_late(why: &io::Error) -> bool {
    matches!(why.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
}
