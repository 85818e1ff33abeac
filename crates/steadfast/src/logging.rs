//! What is told beside the output, by `-v` and `STEADFAST_LOG`: see `steadfast_agent::logging`.

use crate::args::LogReader;
use crate::surroundings::Surroundings;
use std::io::Write as _;
use steadfast_agent::logging::{self, Filter, Journal, SOCKET, Style};

/// From here on what happens is told. Returns the filter, as children are to be told.
pub(crate) fn start(reader: LogReader, verbose: u8, surroundings: &Surroundings) -> Option<String> {
    let variable = surroundings.log.as_deref();
    let (filter, trouble) = Filter::new(verbose, variable);
    if let Some(trouble) = trouble {
        let _unread = writeln!(std::io::stderr(), "warning: {trouble}");
    }
    let children = filter.words.clone();
    let words = Style::Words { terminal: surroundings.terminals.1 };
    match reader {
        LogReader::User => logging::start(filter, words, None),
        LogReader::Operator if surroundings.journal => {
            logging::start(filter.for_agent(), Style::Prefixed, Journal::new(SOCKET));
        }
        LogReader::Operator => logging::start(filter.for_agent(), words, None),
        LogReader::Agent => logging::start(filter, Style::Prefixed, None),
    }
    children
}
