//! The status as Prometheus reads it: text format 0.0.4, for a scrape or for node_exporter's directory.

use crate::status::{Status, Trying};
use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, GaugeValueEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use std::fmt;

/// All metrics, in the text that Prometheus reads.
pub fn text(status: &Status, now: Timestamp) -> String {
    let mut registry = Registry::with_prefix("steadfast");
    registry.register_collector(Box::new(Gauges(gauges(status, now))));
    let mut text = String::new();
    // Writing into a string cannot fail.
    let _written = encode_registry(&mut text, &registry);
    text
}

/// One metric: what it is called, what it is about, and its values by their labels.
#[derive(Debug)]
struct Gauge {
    name: &'static str,
    help: &'static str,
    values: Vec<(Labels, Value)>,
}

type Labels = Vec<(&'static str, String)>;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Value {
    Count(u64),
    /// Since 1970.
    Seconds(f64),
}

impl From<usize> for Value {
    fn from(count: usize) -> Value {
        Value::Count(count as u64)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Value {
        Value::Count(u64::from(flag))
    }
}

impl From<Timestamp> for Value {
    fn from(at: Timestamp) -> Value {
        Value::Seconds(at.as_millisecond() as f64 / 1_000.0)
    }
}

impl EncodeGaugeValue for Value {
    fn encode(&self, encoder: &mut GaugeValueEncoder<'_>) -> fmt::Result {
        match self {
            Value::Count(count) => count.encode(encoder),
            Value::Seconds(seconds) => seconds.encode(encoder),
        }
    }
}

fn one(name: &'static str, help: &'static str, value: impl Into<Value>) -> Gauge {
    Gauge { name, help, values: vec![(vec![], value.into())] }
}

/// Something that is so, and its names.
fn label(name: &'static str, help: &'static str, labels: Labels) -> Gauge {
    Gauge { name, help, values: vec![(labels, Value::Count(1))] }
}

/// Those that say nothing yet are left out rather than 0.
fn gauges(status: &Status, now: Timestamp) -> Vec<Gauge> {
    let names = vec![("version", status.version.clone()), ("node", status.node.clone())];
    let mut all = vec![label("info", "The version of the agent.", names)];
    if let Some(adopted) = &status.adopted {
        let revision = vec![("revision", adopted.revision.0.to_string())];
        all.push(label("adopted_info", "The adopted revision.", revision));
        let help = "The date of the adopted revision.";
        all.push(one("adopted_date_seconds", help, adopted.date));
    }
    if let Some(waiting) = &status.waiting {
        let reason = vec![("reason", waiting.word().to_owned())];
        all.push(label("newer_waiting", "A newer revision is not adopted yet, by reason.", reason));
    }
    let going_back = matches!(status.trying, Some(Trying::GoingBack { .. }));
    let stale = status.stale_since.is_some_and(|it| it <= now);
    all.extend([
        one("suspended", "Whether the agent is suspended.", status.suspended.is_some()),
        one("stale", "Whether the model is stale, by the policy of its environment.", stale),
        one("going_back", "Whether the node is rolling back a bad revision.", going_back),
        one(
            "bad_revisions",
            "Revisions that were rolled back, never to be adopted again.",
            status.bad.len(),
        ),
        one("unsigned", "Whether no signature is verified (trust: none).", status.unsigned),
        one(
            "storage_trouble",
            "Whether the agent's state cannot be stored.",
            status.storage.is_some(),
        ),
    ]);
    if let Some(refusal) = &status.refusal {
        let kind = vec![("kind", refusal.kind.word().to_owned())];
        all.push(label("refused", "The last answer of the source was refused, by reason.", kind));
    }
    if let Some(heard) = status.heard {
        let help = "The time of the last fetch that succeeded.";
        all.push(one("heard_seconds", help, heard));
    }
    if let Some(run) = &status.last_run {
        all.push(one("last_run_seconds", "The time at which the last run ended.", run.ended));
        let verdict = |it: &str, value| (vec![("verdict", it.to_owned())], value);
        let values = vec![
            verdict("kept", Value::Count(run.kept)),
            verdict("repaired", Value::Count(run.repaired)),
            verdict("not-kept", run.not_kept.len().into()),
            verdict("held", run.held.len().into()),
        ];
        let help = "Promises by their outcome in the last run.";
        all.push(Gauge { name: "promises", help, values });
        all.push(one("restart_debts", "Services that owe a restart.", run.debts.len()));
    }
    all.push(one("fights", "Promises that are flapping.", status.flapping.len()));
    all
}

#[derive(Debug)]
struct Gauges(Vec<Gauge>);

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for Gauge { name, help, values } in &self.0 {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (labels, value) in values {
                metric.encode_family(labels)?.encode_gauge(value)?;
            }
        }
        Ok(())
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
            # HELP steadfast_adopted_info The adopted revision.
            # TYPE steadfast_adopted_info gauge
            steadfast_adopted_info{revision="0123456789abcdef0123456789abcdef01234567"} 1
            # HELP steadfast_adopted_date_seconds The date of the adopted revision.
            # TYPE steadfast_adopted_date_seconds gauge
            steadfast_adopted_date_seconds 1783317600.0
            # HELP steadfast_newer_waiting A newer revision is not adopted yet, by reason.
            # TYPE steadfast_newer_waiting gauge
            steadfast_newer_waiting{reason="window"} 1
            # HELP steadfast_suspended Whether the agent is suspended.
            # TYPE steadfast_suspended gauge
            steadfast_suspended 1
            # HELP steadfast_stale Whether the model is stale, by the policy of its environment.
            # TYPE steadfast_stale gauge
            steadfast_stale 0
            # HELP steadfast_going_back Whether the node is rolling back a bad revision.
            # TYPE steadfast_going_back gauge
            steadfast_going_back 0
            # HELP steadfast_bad_revisions Revisions that were rolled back, never to be adopted again.
            # TYPE steadfast_bad_revisions gauge
            steadfast_bad_revisions 1
            # HELP steadfast_unsigned Whether no signature is verified (trust: none).
            # TYPE steadfast_unsigned gauge
            steadfast_unsigned 0
            # HELP steadfast_storage_trouble Whether the agent's state cannot be stored.
            # TYPE steadfast_storage_trouble gauge
            steadfast_storage_trouble 0
            # HELP steadfast_refused The last answer of the source was refused, by reason.
            # TYPE steadfast_refused gauge
            steadfast_refused{kind="unreachable"} 1
            # HELP steadfast_heard_seconds The time of the last fetch that succeeded.
            # TYPE steadfast_heard_seconds gauge
            steadfast_heard_seconds 1783328400.0
            # HELP steadfast_last_run_seconds The time at which the last run ended.
            # TYPE steadfast_last_run_seconds gauge
            steadfast_last_run_seconds 1783332000.0
            # HELP steadfast_promises Promises by their outcome in the last run.
            # TYPE steadfast_promises gauge
            steadfast_promises{verdict="kept"} 297
            steadfast_promises{verdict="repaired"} 1
            steadfast_promises{verdict="not-kept"} 1
            steadfast_promises{verdict="held"} 1
            # HELP steadfast_restart_debts Services that owe a restart.
            # TYPE steadfast_restart_debts gauge
            steadfast_restart_debts 1
            # HELP steadfast_fights Promises that are flapping.
            # TYPE steadfast_fights gauge
            steadfast_fights 1
        "##]].assert_eq(&text(&example(), now));
    }

    #[test]
    fn a_label_cannot_end_its_line() {
        let mut status = example();
        status.node = "b\"} 1\nevil 2\\".to_owned();
        let text = text(&status, "2026-07-06T12:00:00Z".parse().unwrap());
        let expected = r#"steadfast_info{version="0.1.0",node="b\"} 1\nevil 2\\"} 1"#;
        assert_eq!(text.lines().nth(2), Some(expected));
    }
}
