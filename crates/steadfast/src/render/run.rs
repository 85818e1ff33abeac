//! A run on a terminal: one block for each promise that needs attention: why, and below that its changes,
//! which may be long.

use crate::render::json::origin;
use crate::render::{Foreseen, foreseen};
use crate::ui::{Tone, Ui, clean};
use steadfast_engine::{Event, Forecast, Held, NotKept, Outcome, Promised, Reporter};
use steadfast_model::SourceSet;
use steadfast_resources::Change;

/// How far the lines below a promise are indented.
const INDENT: usize = 10;

#[derive(Debug)]
pub(crate) struct Terminal<'a> {
    pub ui: &'a Ui,
    pub sources: &'a SourceSet,
    pub dry_run: bool,
}

impl Terminal<'_> {
    /// `repaired  file:/etc/motd                       servers/web.yaml:4`.
    fn head(&self, word: &str, tone: Tone, promise: &Promised) {
        let id = clean(&promise.id.to_string());
        let place = origin(promise, self.sources);
        let left = INDENT + id.chars().count();
        let room = self.ui.width.saturating_sub(left);
        let painted = self.ui.paint(tone, word);
        let gap = " ".repeat(INDENT.saturating_sub(word.len()));
        let place_width = place.chars().count();
        let end = if place_width + 2 <= room {
            let space = " ".repeat(room - place_width);
            format!("{space}{}", self.ui.paint(Tone::Quiet, &place))
        } else {
            String::new()
        };
        self.ui.line(&format!("{painted}{gap}{}{end}", self.ui.paint(Tone::Strong, &id)));
        if end.is_empty() {
            self.below(Tone::Quiet, &format!("promised at {place}"));
        }
    }

    fn below(&self, tone: Tone, text: &str) {
        self.ui.below(INDENT, tone, text);
    }

    fn because(&self, reasons: &[String]) {
        for reason in reasons {
            self.below(Tone::Plain, &format!("because: {reason}"));
        }
    }

    fn notes(&self, notes: &[String]) {
        for note in notes {
            self.below(Tone::Quiet, &format!("note: {note}"));
        }
    }

    fn changes<'c>(&self, changes: impl IntoIterator<Item = &'c Change>) {
        for change in changes {
            self.below(Tone::Plain, &change.to_string());
            if let Some(detail) = change.detail() {
                self.ui.diff(INDENT, &detail);
            }
        }
    }

    fn judged(&self, promise: &Promised, outcome: &Outcome, changes: &[Change], notes: &[String]) {
        let tone = match outcome {
            Outcome::Kept if notes.is_empty() => return,
            Outcome::Kept => Tone::Good,
            Outcome::Repaired => Tone::Change,
            Outcome::NotKept(_) => Tone::Bad,
            Outcome::Held(_) => Tone::Doubt,
        };
        self.head(outcome.word(), tone, promise);
        let mut because = outcome.because();
        let mut only_reported: &[Change] = &[];
        match outcome {
            Outcome::NotKept(NotKept::Failed { change, error: _ }) => {
                self.below(Tone::Plain, &format!("failed: {change}"));
            }
            Outcome::Held(Held::ReportOnly { difference }) => {
                only_reported = difference;
                // The lines of it are shown below, with their details.
                because.truncate(1);
            }
            Outcome::Kept | Outcome::Repaired | Outcome::NotKept(_) | Outcome::Held(_) => {}
        }
        self.because(&because);
        self.notes(notes);
        self.changes(changes);
        self.changes(only_reported);
    }
}

impl Reporter for Terminal<'_> {
    fn report(&mut self, event: &Event<'_>) {
        // Verdicts come all together at the end of a run, and perhaps ten thousand of them.
        self.ui.hold(matches!(event, Event::Judged { .. }));
        match event {
            Event::Planned { promises, plan } => {
                if !self.dry_run {
                    return;
                }
                for (promise, entry, foreseen) in foreseen(promises, plan) {
                    let (forecast, changes) = match foreseen {
                        Foreseen::Verdict(outcome) => {
                            self.judged(promise, &outcome, &[], &entry.notes);
                            continue;
                        }
                        Foreseen::Steps(forecast, changes) => (forecast, changes),
                    };
                    let unknown = matches!(forecast, Forecast::Unknown { .. });
                    let tone = if unknown { Tone::Doubt } else { Tone::Change };
                    self.head(forecast.word(), tone, promise);
                    self.because(&forecast.because());
                    self.notes(&entry.notes);
                    self.changes(changes);
                }
            }
            Event::Working { promises, work } => {
                let Some((first, _)) = work.first() else { return };
                let others = match work.len() - 1 {
                    0 => String::new(),
                    1 => " and one other".to_owned(),
                    many => format!(" and {many} others"),
                };
                self.ui.progress(&format!("working on {}{others} …", promises.all[*first].id));
            }
            Event::Judged { promise, outcome, changes, notes } => {
                self.judged(promise, outcome, changes, notes);
            }
            Event::Undoing { work } => {
                let Some((first, _)) = work.first() else { return };
                self.ui.progress(&format!("undoing {} …", first.promise));
            }
            Event::Undone { promise, changes, left } => {
                let (word, tone) = match left.is_empty() {
                    true => ("undone", Tone::Change),
                    false => ("left", Tone::Doubt),
                };
                let id = self.ui.paint(Tone::Strong, &clean(&promise.to_string()));
                let gap = " ".repeat(INDENT.saturating_sub(word.len()));
                self.ui.line(&format!("{}{gap}{id}", self.ui.paint(tone, word)));
                self.because(left);
                self.changes(*changes);
            }
            Event::Step { .. } => {}
            Event::Finished { .. } => self.ui.clear(),
        }
    }
}
