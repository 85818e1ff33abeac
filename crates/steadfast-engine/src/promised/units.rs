//! What a component has to have for the way in which it is deployed: units that fit how it is switched, and an
//! artifact where its promises read from one.

use super::Promised;
use std::sync::Arc;
use steadfast_model::application::component::Switch;
use steadfast_model::application::{Settings, Words};
use steadfast_model::{Diagnostic, Diagnostics, Placed, Span, Spanned, codes};
use steadfast_resources::Identity;
use steadfast_system::UnitName;

pub(super) fn judge(
    placed: &Placed,
    promises: &[Promised],
    words: &Words,
    mistakes: &mut Diagnostics,
) {
    let Some(settings) = &placed.settings else { return };
    let there = || promises.iter().filter(|it| !it.implied && !it.want.is_absent());
    let named = |what: &str| there().any(|it| units_of(it).any(|unit| unit.contains(what)));
    let lacks = |message: String, help: &str| {
        Diagnostic::error(codes::BAD_SWITCH, placed.span, message).help(help)
    };
    let id = &placed.id;
    match settings.switch {
        Switch::Socket if !named(".socket") => {
            let message = format!("{id} is switched by its socket, and promises none");
            mistakes.push(lacks(message, "below `services`: a unit whose name ends with .socket"));
        }
        Switch::BlueGreen if !named("@.") => {
            let message = format!("{id} has slots, and promises no unit that runs once for each");
            mistakes.push(lacks(message, "below `services`: \"NAME@\", with its `unit`"));
        }
        Switch::Restart | Switch::Reload | Switch::Socket | Switch::BlueGreen => {}
    }
    for unit in &settings.quiesce.units {
        if let Err(bad) = UnitName::parse(unit) {
            mistakes.push(Diagnostic::error(codes::BAD_NAME, placed.span, bad.to_string()));
        }
    }
    let current = placed.directory.as_ref().map(|it| format!("{it}/current/"));
    for promised in there() {
        let span = promised.origins[0].span;
        for text in promised.want.unit_texts() {
            for line in starts(&text) {
                mistakes_of(&line, settings, words, current.as_deref(), span, mistakes);
            }
        }
    }
}

/// Tells of files of an artifact where there is none to unpack.
pub(super) fn read_from_nothing(
    placed: &Placed,
    reads: &[Spanned<Arc<str>>],
    mistakes: &mut Diagnostics,
) {
    for read in reads.iter().filter(|_| !placed.has_tree) {
        let message = format!("{} has no artifact that is unpacked", placed.release);
        let error = Diagnostic::error(codes::NO_ARTIFACT, read.span, message);
        mistakes.push(error.related(placed.span, "this component reads it"));
    }
}

fn mistakes_of(
    line: &str,
    settings: &Settings,
    words: &Words,
    current: Option<&str>,
    span: Span,
    mistakes: &mut Diagnostics,
) {
    let goes_by_current = current.is_some_and(|it| line.contains(it));
    match settings.switch {
        Switch::Reload if words.are_in(line) => {
            let message = "a program that is reloaded goes on from where it was started";
            let error = Diagnostic::error(codes::BAD_SWITCH, span, message);
            let help = "with `switch: reload`, ExecStart names `current/`, or files outside, and \
                        never `deployment`";
            mistakes.push(error.help(help));
        }
        Switch::Reload => {}
        Switch::Restart | Switch::Socket | Switch::BlueGreen if goes_by_current => {
            let message = "what starts through `current` is another program after each switch";
            let warning = Diagnostic::warning(codes::BAD_SWITCH, span, message);
            mistakes.push(warning.help("name `deployment.tree` in ExecStart"));
        }
        Switch::Restart | Switch::Socket | Switch::BlueGreen => {}
    }
}

/// The names of the units that a promise is about, or that it is a file of.
fn units_of(promised: &Promised) -> impl Iterator<Item = String> {
    promised.want.claims().into_iter().filter_map(|it| match it {
        Identity::Unit(unit) => Some(unit.to_string()),
        Identity::Path(path) => steadfast_system::services::unit_at(&path).map(|it| it.to_string()),
        Identity::Package(_) | Identity::Group(_) | Identity::User(_) | Identity::Setting(_) => {
            None
        }
    })
}

/// The lines of a unit that say what is started, each whole.
fn starts(text: &str) -> Vec<String> {
    let whole = text.replace("\\\n", " ");
    let lines = whole.lines().map(str::trim_start).filter(|it| it.starts_with("ExecStart"));
    lines.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_on_after_a_backslash() {
        let text = "[Service]\n ExecStart=/bin/a \\\n  /b\n#ExecStart=/c\nExecStartPre=/d\n";
        assert_eq!(starts(text), ["ExecStart=/bin/a    /b", "ExecStartPre=/d"]);
    }
}
