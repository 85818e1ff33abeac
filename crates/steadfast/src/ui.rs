//! Output: data goes to standard output, messages about it to standard error. A reader that goes away
//! (`| head`) never stops a run.

use crate::exit::Failure;
use crate::surroundings::Surroundings;
use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use std::cell::{Cell, RefCell};
use std::io::Write as _;
use steadfast_model::{Diagnostic, SourceSet, render};
use steadfast_system::text::{is_plain, is_unsafe};

#[derive(Debug)]
pub(crate) struct Ui {
    pub styled: bool,
    pub width: usize,
    pub styled_errors: bool,
    progress: bool,
    /// Whether a progress line stands on the terminal.
    shown: Cell<bool>,
    /// Data that is held back while there is more of it.
    held: RefCell<String>,
    holds: Cell<bool>,
}

/// More than this is not held back.
const HELD_MAX: usize = 16 * 1024;

impl Drop for Ui {
    fn drop(&mut self) {
        self.hold(false);
    }
}

/// When words are colored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    Auto,
    Always,
    Never,
}

/// How facts are printed for people or programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    /// One JSON object per line
    Json,
}

/// How a word is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Change,
    Doubt,
    Bad,
    Quiet,
    Strong,
    Plain,
}

impl Tone {
    fn style(self) -> Style {
        let color = |it: AnsiColor| Style::new().fg_color(Some(it.into()));
        match self {
            Tone::Good => color(AnsiColor::Green),
            Tone::Change => color(AnsiColor::Yellow),
            Tone::Doubt => color(AnsiColor::Cyan),
            Tone::Bad => color(AnsiColor::Red).bold(),
            Tone::Quiet => Style::new().dimmed(),
            Tone::Strong => Style::new().bold(),
            Tone::Plain => Style::new(),
        }
    }
}

impl Ui {
    pub(crate) fn new(surroundings: &Surroundings, when: When) -> Ui {
        let (out, err) = surroundings.terminals;
        let styled = |terminal: bool| match when {
            When::Always => true,
            When::Never => false,
            When::Auto => terminal && !surroundings.no_color,
        };
        Ui {
            styled: styled(out),
            styled_errors: styled(err),
            width: surroundings.width,
            progress: err,
            shown: Cell::new(false),
            held: RefCell::default(),
            holds: Cell::new(false),
        }
    }

    /// Text in a tone, for standard output.
    pub(crate) fn paint(&self, tone: Tone, text: &str) -> String {
        if self.styled && tone != Tone::Plain && !text.is_empty() {
            let style = tone.style();
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }

    /// One line of data.
    pub(crate) fn line(&self, text: &str) {
        self.clear();
        {
            let mut held = self.held.borrow_mut();
            held.push_str(text);
            held.push('\n');
        }
        if !self.holds.get() || self.held.borrow().len() > HELD_MAX {
            self.write_held();
        }
    }

    /// Whether data may be held back: more follows at once. What was held is written where none does.
    pub(crate) fn hold(&self, holds: bool) {
        self.holds.set(holds);
        if !holds {
            self.write_held();
        }
    }

    fn write_held(&self) {
        let mut held = self.held.borrow_mut();
        if !held.is_empty() {
            let _reader_is_gone = std::io::stdout().write_all(held.as_bytes());
            held.clear();
        }
    }

    /// One line of words beside the data.
    pub(crate) fn say(&self, text: &str) {
        self.write_held();
        self.clear();
        let _reader_is_gone = writeln!(std::io::stderr(), "{text}");
    }

    /// Text under something, each line of it indented.
    pub(crate) fn below(&self, indent: usize, tone: Tone, text: &str) {
        self.hanging(&" ".repeat(indent), tone, text);
    }

    /// Text behind a label, its further lines indented as far.
    pub(crate) fn hanging(&self, label: &str, tone: Tone, text: &str) {
        let indent = label.chars().count();
        let mut label = label.to_owned();
        for line in wrap(&clean(text), self.width.saturating_sub(indent)) {
            self.line(format!("{label}{}", self.paint(tone, &line)).trim_end());
            label = " ".repeat(indent);
        }
    }

    /// What was, and what is to be, line by line: these are not broken.
    pub(crate) fn diff(&self, indent: usize, diff: &str) {
        for line in diff.lines() {
            let tone = match line.as_bytes().first() {
                Some(b'+') => Tone::Good,
                Some(b'-') => Tone::Bad,
                Some(b'@') => Tone::Doubt,
                Some(_) | None => Tone::Plain,
            };
            self.line(&format!("{:indent$}{}", "", self.paint(tone, &clean_exactly(line))));
        }
    }

    /// Warnings or mistakes of a model, with the lines that they are about.
    pub(crate) fn diagnostics(&self, all: &[Diagnostic], sources: &SourceSet) {
        for diagnostic in all {
            self.say(&render::text(diagnostic, sources, self.styled_errors));
            self.say("");
        }
    }

    /// Something an operator must know, that stops nothing.
    pub(crate) fn warn(&self, text: &str) {
        self.labelled("warning", Tone::Change, text);
    }

    fn labelled(&self, label: &str, tone: Tone, text: &str) {
        if self.styled_errors {
            let style = tone.style();
            self.say(&format!("{style}{label}{style:#}: {text}"));
        } else {
            self.say(&format!("{label}: {text}"));
        }
    }

    pub(crate) fn failure(&self, failure: &Failure) {
        if let Some(mistakes) = failure.mistakes() {
            self.diagnostics(&mistakes.all, &mistakes.sources);
        }
        self.labelled("error", Tone::Bad, &clean_lines(&failure.error.to_string()));
        for cause in failure.error.chain().skip(1) {
            self.say(&format!("  because: {}", clean_lines(&cause.to_string())));
        }
        if let Some(help) = &failure.help {
            self.say(&format!("  help: {help}"));
        }
    }

    /// Says what is going on, on one line that the next output takes away.
    pub(crate) fn progress(&self, text: &str) {
        if self.progress {
            let text: String = clean(text).chars().take(self.width.saturating_sub(1)).collect();
            let _gone = write!(std::io::stderr(), "\r\x1b[K{text}");
            self.shown.set(true);
        }
    }

    pub(crate) fn clear(&self) {
        if self.shown.replace(false) {
            let _gone = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

/// Without characters that could do something to a terminal or turn the text around; a tab becomes spaces.
pub(crate) fn clean(text: &str) -> String {
    without_control(text, "    ")
}

/// The same of a text of several lines, which stay lines.
pub(crate) fn clean_lines(text: &str) -> String {
    text.lines().map(clean).collect::<Vec<_>>().join("\n")
}

/// The same, with a mark for each tab: where spaces take the place of tabs, both lines would look alike.
fn clean_exactly(text: &str) -> String {
    without_control(text, "→   ")
}

fn without_control(text: &str, tab: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    let mut clean = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\t' => clean.push_str(tab),
            it if is_unsafe(it) => clean.extend(it.escape_default()),
            it => clean.push(it),
        }
    }
    clean
}

/// Breaks text at spaces into lines of at most `width`.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    // Lines that are set in stay so, also where they are broken.
    let words = text.trim_start_matches(' ');
    let indent = " ".repeat((text.len() - words.len()).min(width / 2));
    let room = width.saturating_sub(indent.len()).max(20);
    let mut lines = vec![String::new()];
    for word in words.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines.into_iter().map(|line| format!("{indent}{line}")).collect()
}
