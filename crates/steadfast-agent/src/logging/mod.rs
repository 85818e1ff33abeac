//! Where the events of `tracing` go: lines on standard error, and records with fields in the journal. The
//! crates only say what happens; what is shown of it is chosen here, by `-v` and `STEADFAST_LOG`.

mod fields;
mod filter;
mod journal;
mod level;
mod line;

pub(crate) use filter::CHILD;
pub use filter::{Filter, VARIABLE};
pub use journal::{Journal, SOCKET};
pub use level::Level;
pub(crate) use level::tell_at;
pub(crate) use line::one_line;

use fields::Fields;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::{LookupSpan, Registry};
use tracing_subscriber::util::SubscriberInitExt as _;

/// How a line begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// As people read it: `warning: …`. On a terminal it takes the place of a progress line.
    Words { terminal: bool },
    /// As sd-daemon(3) has it: `<4>…`. The journal and the agent read how bad it is.
    Prefixed,
}

/// The layer that writes.
#[derive(Debug)]
pub struct Output<W> {
    style: Style,
    journal: Option<Journal>,
    lines: Mutex<W>,
}

/// From here on what passes the filter is written, in the whole process.
pub fn start(filter: Filter, style: Style, journal: Option<Journal>) {
    let output = Output::new(style, journal, std::io::stderr());
    // It fails only where somebody was first, and then everything is written there.
    let _first = Registry::default().with(filter.into_targets()).with(output).try_init();
}

impl<W: Write> Output<W> {
    pub fn new(style: Style, journal: Option<Journal>, lines: W) -> Output<W> {
        Output { style, journal, lines: Mutex::new(lines) }
    }

    fn write(&self, level: Level, words: &str) {
        // Text is whole whatever happened to who held it.
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        for line in words.lines().filter(|it| !it.trim().is_empty()) {
            let line = one_line(line);
            // Whoever does not read it stops nobody.
            let _unread = match self.style {
                Style::Prefixed => writeln!(lines, "<{}>{line}", level.priority()),
                Style::Words { terminal } => {
                    let clear = if terminal { "\r\x1b[K" } else { "" };
                    writeln!(lines, "{clear}{}{line}", level.label())
                }
            };
        }
    }
}

impl<S, W> Layer<S> for Output<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: Write + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = Level::from_event(*event.metadata().level(), fields.notice);
        if fields.is_record() {
            // Its words say the same as its fields.
            if !self.journal.as_ref().is_some_and(|it| it.take(level, &fields)) {
                self.write(level, &fields.message);
            }
            return;
        }
        let mut line = String::new();
        for span in context.event_scope(event).into_iter().flat_map(|it| it.from_root()) {
            line += span.name();
            if let Some(fields) = span.extensions().get::<Fields>() {
                fields.show_in_braces(&mut line);
            }
            line += ": ";
        }
        line += &fields.message;
        fields.show_behind(&mut line);
        self.write(level, &line);
    }
}

#[cfg(test)]
mod tests;

/// For the tests of what tells.
#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// What the journal is told meanwhile.
    pub(crate) fn told(act: impl FnOnce()) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let heard = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        let journal = Journal::new(path.to_str().unwrap());
        let output = Output::new(Style::Prefixed, journal, std::io::sink());
        tracing::subscriber::with_default(Registry::default().with(output), act);
        let mut bytes = vec![0; 64 * 1024];
        let length = heard.recv(&mut bytes).unwrap();
        bytes.truncate(length);
        bytes
    }
}
