//! The fields of an event or a span of `tracing`.

use std::fmt::{Debug, Write as _};
use tracing::field::{Field, Visit};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields {
    pub message: String,
    /// It is a notice.
    pub notice: bool,
    rest: Vec<(&'static str, String)>,
}

impl Fields {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.rest.iter().find(|(it, _)| *it == name).map(|(_, it)| it.as_str())
    }

    /// Whether it is one of the events that people look for by fields: such have a name.
    pub(super) fn is_record(&self) -> bool {
        self.get("event").is_some()
    }

    fn set(&mut self, field: &Field, value: String) {
        if field.name() == "message" {
            self.message = value;
        } else {
            self.rest.retain(|(it, _)| *it != field.name());
            self.rest.push((field.name(), value));
        }
    }

    /// `{why=keep promises=3}`
    pub(super) fn show_in_braces(&self, line: &mut String) {
        if !self.rest.is_empty() {
            line.push('{');
            self.show(line, "");
            line.push('}');
        }
    }

    /// ` path=/etc/motd bytes=7`
    pub(super) fn show_behind(&self, line: &mut String) {
        self.show(line, " ");
    }

    fn show(&self, line: &mut String, mut before: &str) {
        for (name, value) in &self.rest {
            // Writing into a string cannot fail.
            let _written = write!(line, "{before}{name}={}", value.replace('\n', " "));
            before = " ";
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.set(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value.to_owned());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        if field.name() == "notice" {
            self.notice = value;
        } else {
            self.set(field, value.to_string());
        }
    }
}
