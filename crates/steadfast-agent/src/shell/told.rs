//! What is said of what goes on: to the journal, to systemd, and in the file for Prometheus.

use super::record::Record;
use super::state::Shell;
use crate::logging::one_line;
use crate::metrics;
use crate::status::Status;
use jiff::Timestamp;
use steadfast_node::context::Context;
use steadfast_node::revision::Revision;
use steadfast_node::wire::Report;

impl Shell {
    /// What a run did, for the journal; what it could not do only where that is news.
    pub(super) fn tell(&mut self, revision: &Revision, report: &Report) {
        for line in &report.undone {
            tracing::info!(notice = true, "undid {line}");
        }
        for line in &report.told {
            tracing::info!(notice = true, "{line}");
        }
        for line in &report.left {
            tracing::warn!("left as it is: {line}");
        }
        for promise in &report.repaired {
            let who = self.attribution.changer_of(promise);
            Record::repaired(promise, revision, who).tell();
        }
        let told = &mut self.runs.told;
        for broken in &report.not_kept {
            let record = Record::not_kept(broken, revision);
            if !told.contains(&record.words) {
                record.tell();
            }
            told.insert(record.words);
        }
        if report.not_kept.is_empty() || told.len() > 1_000 {
            told.clear();
        }
    }

    /// The line that `systemctl status` shows. The first one is told in the journal too.
    pub(super) fn say_status(&mut self) {
        let line = status_line(&self.status(Timestamp::now()));
        if self.status_line.is_empty() {
            tracing::info!("{line}");
        }
        self.manager.show(&one_line(&line));
        self.status_line = line;
    }

    pub(super) fn write_textfile(&self) {
        let Some(path) = &self.settings.textfile else { return };
        let now = Timestamp::now();
        let text = metrics::text(&self.status(now), now);
        self.textfile.write(path, text, || {
            let layout = self.setup.layout.clone();
            Context { layout, root: true, credentials: None }.host()
        });
    }
}

fn status_line(status: &Status) -> String {
    let mut line = if let Some(suspension) = &status.suspended {
        format!("suspended: {}", suspension.reason)
    } else if let Some(missing) = status.missing.first() {
        format!("waiting for the setting {missing}")
    } else if let Some(adopted) = &status.adopted {
        let mut line = format!("keeps {}", adopted.revision);
        if let Some(run) = &status.last_run {
            let (not_kept, held) = (run.not_kept.len(), run.held.len());
            line +=
                &format!(": {} kept, {not_kept} not kept, {held} held", run.kept + run.repaired);
        }
        line
    } else {
        "waiting for a first revision".to_owned()
    };
    if let (None, Some(refusal)) = (&status.adopted, &status.refusal) {
        line += &format!("; {refusal}");
    }
    if status.unsigned {
        line += " (unsigned)";
    }
    if status.wrong_settings.is_some() {
        line += " (the settings have errors: see steadfast status)";
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::example;

    #[test]
    fn one_line_says_what_is_most_worth_knowing() {
        let mut status = example();
        assert_eq!(status_line(&status), "suspended: moving racks");
        status.suspended = None;
        assert_eq!(status_line(&status), "keeps 0123456789ab: 298 kept, 1 not kept, 1 held");
        status.unsigned = true;
        status.adopted = None;
        assert_eq!(
            status_line(&status),
            "waiting for a first revision; the source cannot be reached: connection refused (unsigned)"
        );
        status.missing = vec!["environment".to_owned(), "source".to_owned()];
        status.refusal = None;
        assert_eq!(status_line(&status), "waiting for the setting environment (unsigned)");
    }
}
