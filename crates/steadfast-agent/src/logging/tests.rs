//! What is written of what is said, and where.

use super::*;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;

/// What was written.
#[derive(Clone, Debug, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The lines of what is said meanwhile.
fn lines(style: Style, journal: Option<Journal>, act: impl FnOnce()) -> String {
    let written = Lines::default();
    let output = Output::new(style, journal, written.clone());
    tracing::subscriber::with_default(Registry::default().with(output), act);
    let bytes = written.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

const WORDS: Style = Style::Words { terminal: false };

fn say() {
    let _run = tracing::info_span!("run", why = "keep", promises = 3).entered();
    let _one = tracing::debug_span!("promise").entered();
    tracing::debug!(path = %"/etc/motd", bytes = 7, "wrote a file");
    tracing::info!(notice = true, "two\n\nlines");
    tracing::error!("no \x1b[31mroom");
}

#[test]
fn a_line_has_its_spans_its_words_and_its_fields() {
    assert_eq!(
        lines(WORDS, None, say),
        "debug: run{why=keep promises=3}: promise: wrote a file path=/etc/motd bytes=7\n\
         run{why=keep promises=3}: promise: two\nlines\n\
         error: run{why=keep promises=3}: promise: no  [31mroom\n"
    );
    let prefixed = lines(Style::Prefixed, None, say);
    let begins: Vec<&str> = prefixed.lines().map(|it| &it[..4]).collect();
    assert_eq!(begins, ["<7>r", "<5>r", "<5>l", "<3>r"]);
    let terminal = lines(Style::Words { terminal: true }, None, || tracing::warn!("x"));
    assert_eq!(terminal, "\r\x1b[Kwarning: x\n");
}

fn record() {
    tracing::info!(event = "resumed", message_id = "8534", promises = "a\nb", "resumed");
}

#[test]
fn a_record_is_one_datagram_and_where_the_journal_is_gone_it_is_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let heard = UnixDatagram::bind(&path).unwrap();
    let journal = || Journal::new(path.to_str().unwrap());
    assert_eq!(lines(Style::Prefixed, journal(), record), "");
    let mut bytes = [0; 4096];
    let length = heard.recv(&mut bytes).unwrap();
    assert_eq!(
        String::from_utf8_lossy(&bytes[..length]),
        "MESSAGE=resumed\nPRIORITY=6\nSYSLOG_IDENTIFIER=steadfast\nMESSAGE_ID=8534\n\
         STEADFAST_EVENT=resumed\nSTEADFAST_PROMISE=a\nSTEADFAST_PROMISE=b\n"
    );
    // What is no record is a line also where there is a journal: it reads standard error.
    assert_eq!(lines(Style::Prefixed, journal(), || tracing::warn!("x")), "<4>x\n");
    drop(heard);
    assert_eq!(lines(Style::Prefixed, journal(), record), "<6>resumed\n");
    assert!(Journal::new(&"x".repeat(200)).is_none());
}
