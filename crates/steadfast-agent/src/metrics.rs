//! The status as Prometheus reads it: text format 0.0.4, for a scrape or for node_exporter's folder.

use crate::status::{Status, Trying};
use jiff::Timestamp;
use std::fmt::Write as _;

/// All metrics. Those that say nothing yet are left out rather than 0.
pub fn text(status: &Status, now: Timestamp) -> String {
    let mut out = Text::default();
    let number = |it: usize| it as f64;
    let flag = |it: bool| f64::from(u8::from(it));
    let seconds = |it: Timestamp| it.as_millisecond() as f64 / 1_000.0;

    out.metric("info", "The version of the agent.");
    out.value(&[("version", &status.version), ("node", &status.node)], 1.0);
    if let Some(adopted) = &status.adopted {
        out.metric("adopted_info", "The revision that is kept.");
        out.value(&[("revision", &adopted.revision.0)], 1.0);
        out.metric("adopted_date_seconds", "The date of the revision that is kept.");
        out.value(&[], seconds(adopted.date));
    }
    if let Some(waiting) = &status.waiting {
        out.metric("newer_waiting", "A newer revision is not adopted, and why.");
        out.value(&[("reason", waiting.word())], 1.0);
    }
    out.metric("suspended", "Whether the agent is suspended.");
    out.value(&[], flag(status.suspended.is_some()));
    out.metric("stale", "Whether the model is older than it may be.");
    out.value(&[], flag(status.stale_since.is_some_and(|it| it <= now)));
    out.metric("going_back", "Whether the node is going back from a bad revision.");
    out.value(&[], flag(matches!(status.trying, Some(Trying::GoingBack { .. }))));
    out.metric("bad_revisions", "Revisions that were gone back from and are not taken again.");
    out.value(&[], number(status.bad.len()));
    out.metric("unsigned", "Whether nobody's signature is asked for.");
    out.value(&[], flag(status.unsigned));
    out.metric("storage_trouble", "Whether the agent's memory cannot be stored.");
    out.value(&[], flag(status.storage.is_some()));
    if let Some(refusal) = &status.refusal {
        out.metric("refused", "The source's last answer was not taken, and why.");
        out.value(&[("kind", refusal.kind.word())], 1.0);
    }
    if let Some(heard) = status.heard {
        out.metric("heard_seconds", "When the source last gave an answer that was taken.");
        out.value(&[], seconds(heard));
    }
    if let Some(run) = &status.last_run {
        out.metric("last_run_seconds", "When the last run ended.");
        out.value(&[], seconds(run.ended));
        out.metric("promises", "Promises by the verdict of the last run.");
        out.value(&[("verdict", "kept")], run.kept as f64);
        out.value(&[("verdict", "repaired")], run.repaired as f64);
        out.value(&[("verdict", "not-kept")], number(run.not_kept.len()));
        out.value(&[("verdict", "held")], number(run.held.len()));
        out.metric("restart_debts", "Services that owe a restart.");
        out.value(&[], number(run.debts.len()));
    }
    out.metric("fights", "Promises that somebody else writes too.");
    out.value(&[], number(status.fights.len()));
    out.text
}

#[derive(Default)]
struct Text {
    text: String,
    name: String,
}

impl Text {
    fn metric(&mut self, name: &str, help: &str) {
        self.name = format!("steadfast_{name}");
        let name = &self.name;
        // Writing into a string cannot fail.
        let _written = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} gauge");
    }

    fn value(&mut self, labels: &[(&str, &str)], value: f64) {
        self.text += &self.name;
        for (at, (label, text)) in labels.iter().enumerate() {
            self.text.push(if at == 0 { '{' } else { ',' });
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _written = write!(self.text, "{label}=\"{text}\"");
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _written = writeln!(self.text, "{end} {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::example;
    use expect_test::expect;

    #[test]
    fn the_metrics_of_a_node() {
        let now = "2026-07-06T12:00:00Z".parse().unwrap();
        expect![[r##"
            # HELP steadfast_info The version of the agent.
            # TYPE steadfast_info gauge
            steadfast_info{version="0.1.0",node="web1.xyz.example"} 1
            # HELP steadfast_adopted_info The revision that is kept.
            # TYPE steadfast_adopted_info gauge
            steadfast_adopted_info{revision="0123456789abcdef0123456789abcdef01234567"} 1
            # HELP steadfast_adopted_date_seconds The date of the revision that is kept.
            # TYPE steadfast_adopted_date_seconds gauge
            steadfast_adopted_date_seconds 1783317600
            # HELP steadfast_newer_waiting A newer revision is not adopted, and why.
            # TYPE steadfast_newer_waiting gauge
            steadfast_newer_waiting{reason="window"} 1
            # HELP steadfast_suspended Whether the agent is suspended.
            # TYPE steadfast_suspended gauge
            steadfast_suspended 1
            # HELP steadfast_stale Whether the model is older than it may be.
            # TYPE steadfast_stale gauge
            steadfast_stale 0
            # HELP steadfast_going_back Whether the node is going back from a bad revision.
            # TYPE steadfast_going_back gauge
            steadfast_going_back 0
            # HELP steadfast_bad_revisions Revisions that were gone back from and are not taken again.
            # TYPE steadfast_bad_revisions gauge
            steadfast_bad_revisions 1
            # HELP steadfast_unsigned Whether nobody's signature is asked for.
            # TYPE steadfast_unsigned gauge
            steadfast_unsigned 0
            # HELP steadfast_storage_trouble Whether the agent's memory cannot be stored.
            # TYPE steadfast_storage_trouble gauge
            steadfast_storage_trouble 0
            # HELP steadfast_refused The source's last answer was not taken, and why.
            # TYPE steadfast_refused gauge
            steadfast_refused{kind="unreachable"} 1
            # HELP steadfast_heard_seconds When the source last gave an answer that was taken.
            # TYPE steadfast_heard_seconds gauge
            steadfast_heard_seconds 1783328400
            # HELP steadfast_last_run_seconds When the last run ended.
            # TYPE steadfast_last_run_seconds gauge
            steadfast_last_run_seconds 1783332000
            # HELP steadfast_promises Promises by the verdict of the last run.
            # TYPE steadfast_promises gauge
            steadfast_promises{verdict="kept"} 297
            steadfast_promises{verdict="repaired"} 1
            steadfast_promises{verdict="not-kept"} 1
            steadfast_promises{verdict="held"} 1
            # HELP steadfast_restart_debts Services that owe a restart.
            # TYPE steadfast_restart_debts gauge
            steadfast_restart_debts 1
            # HELP steadfast_fights Promises that somebody else writes too.
            # TYPE steadfast_fights gauge
            steadfast_fights 1
        "##]].assert_eq(&text(&example(), now));
    }

    #[test]
    fn a_label_cannot_end_its_line() {
        let mut out = Text::default();
        out.metric("x", "X.");
        out.value(&[("a", "b\"} 1\nevil 2\\")], 1.0);
        assert_eq!(out.text.lines().last(), Some(r#"steadfast_x{a="b\"} 1\nevil 2\\"} 1"#));
    }
}
