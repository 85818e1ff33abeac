//! What `steadfast explain` says of a promise, as data, and what a repair replaced, in words.
//!
//! A line for each promise, whose names are stable: `promise`, `description`, `implied` (a unit that nobody
//! promised), `origins` (by whom, and where that was included), `contents` (templates and files of the
//! model, with who wrote their newest line), `with` (parameters), `needs`, `state` (or `unobserved`: why
//! not), `forecast` (`kept`, `certain`, `expected`, `unknown`, `not-kept`, `held`) with `changes`, `because`
//! and `notes`, `last_repaired` and `history`. Each place has `file`, `line` and `written`: null where that
//! is not known, `{"committed":false}`, or `commit`, `author`, `date` and `subject`; with `or_before` the
//! line is of that commit or an older one, and nobody's name is given. Where nothing is promised there is no
//! line, and of a code there is one with `event` `code`. `steadfast history show N` gives
//! `written` of the `origin` of each verdict in the same form. `changed_by` of what runs did are those who
//! made it necessary, as far as the kernel told.

use super::changed;
use super::json::{self, change};
use super::time::stamp;
use crate::exit::{Exit, Failure};
use serde_json::{Value, json};
use steadfast_engine::{Entry, Promised};
use steadfast_model::{ParameterSource, Span};
use steadfast_node::explain::{contents, used};
use steadfast_node::model::{Loaded, Target};
use steadfast_node::origin::Lines;
use steadfast_resources::paths::bytes;
use steadfast_store::format::v1::{Fact, Judged};
use steadfast_store::{Entry as Past, Store};
use steadfast_system::SystemError;

/// A promise with all that is known of it.
#[derive(Debug)]
pub(crate) struct About<'a> {
    pub loaded: &'a Loaded,
    pub target: &'a Target,
    pub promised: &'a Promised,
    /// What the machine says, as name and value.
    pub state: &'a Result<Vec<(&'static str, String)>, SystemError>,
    pub entry: &'a Entry,
    pub lines: &'a Lines,
    pub store: &'a Store,
}

impl About<'_> {
    pub(crate) fn json(&self) -> Result<Value, Failure> {
        let About { loaded: _, target, promised, state, entry, lines: _, store } = *self;
        let origins: Vec<Value> = promised
            .origins
            .iter()
            .map(|it| {
                let via: Vec<Value> = it.via.iter().map(|it| self.place(*it)).collect();
                json!({ "by": it.by.to_string(), "origin": self.place(it.span), "taken_in": via })
            })
            .collect();
        let with: Vec<Value> = used(target, promised)
            .into_iter()
            .map(|it| {
                json!({
                    "name": it.name.to_string(),
                    "value": it.text(),
                    "from": comes_from(it.source),
                    "origin": self.place(it.span),
                })
            })
            .collect();
        let (state, unobserved) = match state {
            Ok(state) => {
                let told =
                    state.iter().map(|(name, value)| ((*name).to_owned(), Value::from(&**value)));
                (told.collect(), None)
            }
            Err(error) => (Value::Null, Some(error.chain())),
        };
        let contents: Vec<Value> = contents(self.loaded, promised)
            .iter()
            .map(|it| json!({ "file": it, "newest": self.lines.json_newest(it) }))
            .collect();
        let needs: Vec<String> =
            promised.needs.iter().map(|it| target.promises.all[*it].id.to_string()).collect();
        let failed = |error| Failure::new(Exit::State, error);
        let id = promised.id.to_string();
        let history: Vec<Value> = store.about(&id, 3).map_err(failed)?.iter().map(past).collect();
        let repaired = store.last_repair(&id).map_err(failed)?;
        Ok(json!({
            "event": "explained",
            "promise": id,
            "description": promised.description.as_deref(),
            "implied": promised.implied,
            "origins": origins,
            "contents": contents,
            "with": with,
            "needs": needs,
            "state": state,
            "unobserved": unobserved,
            "forecast": entry.forecast.word().replace(' ', "-"),
            "changes": json::all(&entry.changes),
            "because": entry.forecast.because(),
            "notes": entry.notes,
            "last_repaired": repaired.as_ref().map(past),
            "history": history,
        }))
    }

    /// A line of the model, and who wrote it.
    fn place(&self, span: Span) -> Value {
        let place = self.loaded.sources.place(span);
        json!({
            "file": &*place.file,
            "line": place.line,
            "written": self.lines.json(&place.file, place.line),
        })
    }
}

/// Where the value of a parameter comes from.
pub(crate) fn comes_from(source: ParameterSource) -> &'static str {
    match source {
        ParameterSource::Default => "its default",
        ParameterSource::Model => "the model",
        ParameterSource::Environment => "the environment",
        ParameterSource::Target => "the target",
        ParameterSource::Node => "the node",
        ParameterSource::Argument => "the include",
    }
}

fn past(entry: &Past) -> Value {
    let changes: Vec<Value> = entry.judged.changes.iter().map(change).collect();
    json!({
        "run": entry.run,
        "started": stamp(entry.started),
        "outcome": entry.judged.outcome,
        "changes": changes,
        "was": was(&entry.judged),
        "changed_by": changed::json(&entry.judged),
    })
}

/// What was there before the changes of a verdict, as far as it is known: `884 bytes`, `mode 0600`.
pub(crate) fn was(judged: &Judged) -> Vec<String> {
    judged.changes.iter().flat_map(|it| &it.facts).filter_map(before).collect()
}

fn before(fact: &Fact) -> Option<String> {
    let value = fact.before.as_ref()?;
    Some(match (&*fact.facet, value.parse()) {
        ("content", Ok(size)) => bytes(size),
        ("content" | "entry" | "target" | "version" | "state", _) => value.clone(),
        (facet, _) => format!("{facet} {value}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_is_said_with_its_name_unless_it_speaks_for_itself() {
        let cases = [
            ("write", "content", Some("884"), Some("884 bytes")),
            ("write", "content", Some("1"), Some("1 byte")),
            ("write", "content", Some("link to /old"), Some("link to /old")),
            ("create", "content", Some("absent"), Some("absent")),
            ("create", "mode", None, None),
            ("set", "mode", Some("0600"), Some("mode 0600")),
            ("set", "comment", Some("a, b -> c"), Some("comment a, b -> c")),
            ("set", "uid", Some("3"), Some("uid 3")),
            ("upgrade", "version", Some("1.18.0-6"), Some("1.18.0-6")),
            ("restart", "process", None, None),
        ];
        for (verb, facet, was, expected) in cases {
            let (verb, facet) = (verb.to_owned(), facet.to_owned());
            let fact =
                Fact { verb, facet, path: None, before: was.map(str::to_owned), after: None };
            assert_eq!(before(&fact).as_deref(), expected, "{fact:?}");
        }
    }
}
