//! Which commit wrote a line of the model, and which commit a run was of, as commands tell it.

use crate::adopted::{self, RevisionRecord};
use crate::revision::Revision;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use steadfast_model::SourceSet;
use steadfast_source::attribute::attribute_work_tree;
use steadfast_source::attribution::{Attribution, Commit, Written};
use steadfast_store::{Layout, RunLine};

/// What is known of the lines of a model.
#[derive(Debug, Default)]
pub struct Lines {
    known: Option<Attribution>,
    /// Why it is not known, where that is worth a word.
    pub trouble: Option<String>,
    told: BTreeSet<String>,
}

impl Lines {
    /// Of a revision that the agent has accepted.
    pub fn of_revision(layout: &Layout, revision: &Revision) -> Lines {
        Lines { known: adopted::blame(layout, revision), ..Lines::default() }
    }

    /// Of files as they lie in a directory, which may be in a git work tree.
    pub fn of_folder(folder: &Path, sources: &SourceSet, files: &BTreeSet<String>) -> Lines {
        let files: Vec<(&str, &[u8])> = files
            .iter()
            .filter(|it| is_of_model(it))
            .filter_map(|it| sources.find(it))
            .map(|(_, it)| (&*it.path, &*it.bytes))
            .collect();
        let Ok(scratch) = tempfile::tempdir() else { return Lines::default() };
        match attribute_work_tree(folder, &files, scratch.path()) {
            Ok(known) => Lines { known, ..Lines::default() },
            Err(error) => {
                let trouble = Some(format!("who wrote these lines is not known: {error}"));
                Lines { trouble, ..Lines::default() }
            }
        }
    }

    fn line(&self, file: &str, line: usize) -> Option<Written<'_>> {
        let line = u32::try_from(line).ok().filter(|it| *it > 0 && is_of_model(file))?;
        self.known.as_ref().map(|it| it.line(file, line))
    }

    fn newest(&self, file: &str) -> Option<Written<'_>> {
        self.known.as_ref().filter(|_| is_of_model(file)).map(|it| it.newest(file))
    }

    /// Who wrote a line, in words. Of a commit that was told before, its name is enough.
    pub fn told(&mut self, file: &str, line: usize) -> Option<String> {
        let (words, new) = told(self.line(file, line)?, &self.told);
        self.told.extend(new);
        Some(words)
    }

    /// The same of the newest line of a file.
    pub fn told_newest(&mut self, file: &str) -> Option<String> {
        let (words, new) = told(self.newest(file)?, &self.told);
        self.told.extend(new);
        Some(words)
    }

    /// Who wrote a line, as data.
    pub fn json(&self, file: &str, line: usize) -> Value {
        self.line(file, line).map_or(Value::Null, data)
    }

    /// The same of the newest line of a file.
    pub fn json_newest(&self, file: &str) -> Value {
        self.newest(file).map_or(Value::Null, data)
    }
}

/// The words, and the commit that is told with them for the first time.
fn told(written: Written<'_>, before: &BTreeSet<String>) -> (String, Option<String>) {
    match written {
        Written::NotCommitted => ("not committed yet".to_owned(), None),
        Written::By(commit) if before.contains(&commit.id) => {
            (format!("written in {}, see above", short(&commit.id)), None)
        }
        Written::By(commit) => {
            let Commit { id, author, subject, .. } = commit;
            (format!("written in {} by {author}: {subject}", dated(commit)), Some(id.clone()))
        }
        Written::InOrBefore(commit) => {
            let commit = dated(commit);
            (format!("written in or before {commit}: who wrote it is not known here"), None)
        }
    }
}

/// `or_before`: the line stood there in this commit already, and whose it is cannot be said.
fn data(written: Written<'_>) -> Value {
    match written {
        Written::NotCommitted => json!({ "committed": false }),
        Written::By(Commit { id, author, authored, subject }) => json!({
            "committed": true,
            "commit": id,
            "or_before": false,
            "author": author,
            "date": authored.map(|it| it.to_string()),
            "subject": subject,
        }),
        Written::InOrBefore(Commit { id, author: _, authored, subject: _ }) => json!({
            "committed": true,
            "commit": id,
            "or_before": true,
            "author": null,
            "date": authored.map(|it| it.to_string()),
            "subject": null,
        }),
    }
}

/// The standard bundles come with this program, and no commit of the model wrote them.
fn is_of_model(file: &str) -> bool {
    !file.starts_with("std/")
}

pub fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// `0123456789ab of 2026-11-25`
fn dated(commit: &Commit) -> String {
    match commit.authored {
        Some(date) => format!("{} of {}", short(&commit.id), date.strftime("%Y-%m-%d")),
        None => short(&commit.id).to_owned(),
    }
}

/// The revisions that runs of the history were of, as far as they are still known.
#[derive(Debug)]
pub struct Revisions<'a> {
    layout: &'a Layout,
    /// By the name of their content.
    known: BTreeMap<String, Vec<(Revision, RevisionRecord)>>,
}

impl<'a> Revisions<'a> {
    pub fn read(layout: &'a Layout) -> Revisions<'a> {
        let mut known: BTreeMap<String, Vec<(Revision, RevisionRecord)>> = BTreeMap::new();
        for (revision, record) in adopted::records(layout) {
            known.entry(record.content.clone()).or_default().push((revision, record));
        }
        Revisions { layout, known }
    }

    /// The content that a run kept, where it is one that the agent had accepted.
    pub fn content<'r>(&self, run: &'r RunLine) -> Option<&'r str> {
        Path::new(&run.model).strip_prefix(self.layout.content()).ok()?.to_str()
    }

    /// A run says the directory of its content, and its commit where there is one.
    pub fn revision(&self, run: &RunLine) -> Option<&(Revision, RevisionRecord)> {
        let content = self.content(run)?;
        let all = self.known.get(content)?;
        let same = |record: &RevisionRecord| match (&run.commit, &record.commit) {
            (Some(begins), Some(commit)) => commit.starts_with(&**begins),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        all.iter().find(|(_, record)| same(record))
    }

    /// Who wrote the lines of a run's revision.
    pub fn lines(&self, run: &RunLine) -> Lines {
        self.revision(run).map_or_else(Lines::default, |it| Lines::of_revision(self.layout, &it.0))
    }
}

/// Where something was promised, as the history has it: `servers/web.yaml:14`.
pub fn place(origin: &str) -> Option<(&str, usize)> {
    let (file, line) = origin.rsplit_once(':')?;
    Some((file, line.parse().ok()?))
}
