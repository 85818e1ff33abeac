//! Which commit wrote which line of a model, as it is kept beside a revision and published with a snapshot.
//! Runs of lines name their commit by its number. Files that are not named are as most files are: `rest`
//! says how, and without it their lines were written in the commit of the revision or before it. That is
//! always true, so whatever cannot be found out costs no more than this.
//!
//! ```text
//! { "format": 1,
//!   "revision": { "commit": …, "author": …, "authored": …, "subject": … },
//!   "commits": [ { "commit": …, "author": …, "authored": …, "subject": …, "or_before": true }, … ],
//!   "rest": 0,
//!   "files": { "servers/web.yaml": [[1, 0], [12, 3], …] } }       (from this line on, this commit)
//! ```

use crate::object::Algorithm;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use steadfast_trust::text::printable;

/// What is written of it is no larger; an archive of a model is a few of these.
pub const MAX_BYTES: u64 = 8 * 1024 * 1024;
/// Commits and runs that a reader takes in.
const MAX_COMMITS: usize = 100_000;
const MAX_RUNS: usize = 1_000_000;

/// A commit, for people. Author, date and subject are what its author said.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Commit {
    pub id: String,
    /// `Name <address>`
    pub author: String,
    pub authored: Option<Timestamp>,
    pub subject: String,
}

/// What is known of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written<'a> {
    By(&'a Commit),
    /// It stood there in this commit already; older ones are not known here.
    InOrBefore(&'a Commit),
    NotCommitted,
}

/// To whom lines belong, as a whole value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Owner {
    By(Commit),
    Before(Commit),
    Nobody,
}

/// From this line on, up to the next run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    from: u32,
    owner: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribution {
    revision: Commit,
    owners: Vec<Owner>,
    /// Whose the lines of all other files are.
    rest: Option<usize>,
    files: BTreeMap<String, Vec<Run>>,
}

impl Owner {
    fn shown(&self) -> Written<'_> {
        match self {
            Owner::By(commit) => Written::By(commit),
            Owner::Before(commit) => Written::InOrBefore(commit),
            Owner::Nobody => Written::NotCommitted,
        }
    }
}

impl Attribution {
    /// All that is known is the commit of the revision.
    pub fn unknown(revision: Commit) -> Attribution {
        Attribution { revision, owners: vec![], rest: None, files: BTreeMap::new() }
    }

    /// From the parts of each file, given as first line and owner, in the order of the lines.
    pub(crate) fn from_parts(
        revision: Commit,
        parts: BTreeMap<String, Vec<(u32, Owner)>>,
    ) -> Attribution {
        let mut attribution = Attribution::unknown(revision);
        let mut numbers: HashMap<Owner, usize> = HashMap::new();
        // How many files are whole of one owner.
        let mut whole: Vec<usize> = vec![];
        for (path, parts) in parts {
            let mut runs: Vec<Run> = vec![];
            for (from, owner) in parts {
                let next = numbers.len();
                let number = *numbers.entry(owner).or_insert(next);
                if runs.last().is_none_or(|it| it.owner != number) {
                    runs.push(Run { from, owner: number });
                }
            }
            whole.resize(numbers.len(), 0);
            if let [run] = runs[..] {
                whole[run.owner] += 1;
            }
            attribution.files.insert(path, runs);
        }
        let most = (0..whole.len()).max_by_key(|it| whole[*it]).filter(|it| whole[*it] > 1);
        if let Some(most) = most {
            attribution.rest = Some(most);
            attribution.files.retain(|_, it| it.len() > 1 || it.iter().any(|it| it.owner != most));
        }
        let mut owners: Vec<(usize, Owner)> =
            numbers.into_iter().map(|(owner, number)| (number, owner)).collect();
        owners.sort_by_key(|it| it.0);
        attribution.owners = owners.into_iter().map(|it| it.1).collect();
        attribution
    }

    /// The commit of the revision that this is about.
    pub fn revision(&self) -> &Commit {
        &self.revision
    }

    /// Whether of some lines only a commit is known that had them already.
    pub fn is_cut_off(&self) -> bool {
        self.rest.is_none() && self.files.is_empty()
            || self.owners.iter().any(|it| matches!(it, Owner::Before(_)))
    }

    /// Whose what no run covers is.
    fn others(&self) -> Written<'_> {
        let rest = self.rest.and_then(|it| self.owners.get(it));
        rest.map_or(Written::InOrBefore(&self.revision), Owner::shown)
    }

    fn other_owner(&self) -> Owner {
        let rest = self.rest.and_then(|it| self.owners.get(it)).cloned();
        rest.unwrap_or_else(|| Owner::Before(self.revision.clone()))
    }

    /// Who wrote a line, counted from 1.
    pub fn line(&self, path: &str, line: u32) -> Written<'_> {
        let Some(runs) = self.files.get(path) else { return self.others() };
        let at = runs.partition_point(|it| it.from <= line);
        at.checked_sub(1)
            .and_then(|at| self.owners.get(runs[at].owner))
            .map_or(Written::InOrBefore(&self.revision), Owner::shown)
    }

    /// Who wrote the newest line of a file, going by the dates that authors gave.
    pub fn newest(&self, path: &str) -> Written<'_> {
        let Some(runs) = self.files.get(path) else { return self.others() };
        let owners = runs.iter().filter_map(|it| self.owners.get(it.owner));
        let newest = owners.max_by_key(|it| match it {
            Owner::Before(commit) => (0, commit.authored),
            Owner::By(commit) => (1, commit.authored),
            Owner::Nobody => (2, None),
        });
        newest.map_or(Written::InOrBefore(&self.revision), Owner::shown)
    }

    /// The owners of lines of a file, each with the first line that is its.
    pub(crate) fn parts(&self, path: &str, from: u32, length: u32) -> Vec<(u32, Owner)> {
        let end = from.saturating_add(length);
        let Some(runs) = self.files.get(path) else { return vec![(from, self.other_owner())] };
        let before = || Owner::Before(self.revision.clone());
        // The one that the first line is in begins before it.
        let begin = runs.partition_point(|it| it.from <= from).saturating_sub(1);
        let mut parts: Vec<(u32, Owner)> = runs[begin..]
            .iter()
            .take_while(|it| it.from < end)
            .map(|it| {
                let owner = self.owners.get(it.owner).cloned().unwrap_or_else(before);
                (it.from.max(from), owner)
            })
            .collect();
        if parts.first().is_none_or(|it| it.0 > from) {
            parts.insert(0, (from, before()));
        }
        parts
    }

    /// The text that is kept and published; none where it would be too large.
    pub fn write(&self) -> Option<String> {
        let Attribution { revision, owners, rest, files } = self;
        let v1 = V1 {
            format: 1,
            revision: CommitV1::from_commit(revision, false),
            commits: owners
                .iter()
                .map(|it| match it {
                    Owner::By(commit) => CommitV1::from_commit(commit, false),
                    Owner::Before(commit) => CommitV1::from_commit(commit, true),
                    // Only files as they lie there have such lines, and those are not kept.
                    Owner::Nobody => CommitV1::from_commit(revision, true),
                })
                .collect(),
            rest: *rest,
            files: files
                .iter()
                .map(|(path, runs)| {
                    (path.clone(), runs.iter().map(|it| (it.from, it.owner)).collect())
                })
                .collect(),
        };
        let mut text = serde_json::to_string(&v1).ok()?;
        text.push('\n');
        (text.len() as u64 <= MAX_BYTES).then_some(text)
    }

    /// Reads what [`Attribution::write`] wrote, and refuses what it does not write.
    pub fn read(text: &[u8]) -> Result<Attribution, String> {
        if text.len() as u64 > MAX_BYTES {
            return Err("it is too large".into());
        }
        let format: Format = serde_json::from_slice(text).map_err(|it| it.to_string())?;
        if format.format != 1 {
            return Err(format!("its format {} is newer than this program", format.format));
        }
        let V1 { format: _, revision, commits, rest, files } =
            serde_json::from_slice(text).map_err(|it| it.to_string())?;
        let runs: usize = files.values().map(Vec::len).sum();
        if commits.len() > MAX_COMMITS || runs > MAX_RUNS {
            return Err("it names more than it may".into());
        }
        let owners: Vec<Owner> = commits
            .into_iter()
            .map(|it| {
                let before = it.or_before;
                let commit = it.read()?;
                Ok(if before { Owner::Before(commit) } else { Owner::By(commit) })
            })
            .collect::<Result<_, String>>()?;
        if rest.is_some_and(|it| it >= owners.len()) {
            return Err("it names a commit that is not in it".into());
        }
        let mut read = BTreeMap::new();
        for (path, runs) in files {
            let rising = runs.windows(2).all(|it| it[0].0 < it[1].0);
            if !rising || runs.iter().any(|it| it.0 == 0 || it.1 >= owners.len()) {
                return Err(format!("the lines of {} are malformed in it", printable(&path)));
            }
            let runs = runs.into_iter().map(|(from, owner)| Run { from, owner }).collect();
            read.insert(path, runs);
        }
        Ok(Attribution { revision: revision.read()?, owners, rest, files: read })
    }
}

#[derive(Deserialize)]
struct Format {
    format: u32,
}

#[derive(Serialize, Deserialize)]
struct V1 {
    format: u32,
    revision: CommitV1,
    commits: Vec<CommitV1>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rest: Option<usize>,
    files: BTreeMap<String, Vec<(u32, usize)>>,
}

#[derive(Serialize, Deserialize)]
struct CommitV1 {
    commit: String,
    author: String,
    /// Seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    authored: Option<i64>,
    subject: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    or_before: bool,
}

impl CommitV1 {
    fn from_commit(commit: &Commit, or_before: bool) -> CommitV1 {
        let Commit { id, author, authored, subject } = commit;
        CommitV1 {
            commit: id.clone(),
            author: author.clone(),
            authored: authored.map(Timestamp::as_second),
            subject: subject.clone(),
            or_before,
        }
    }

    fn read(self) -> Result<Commit, String> {
        let CommitV1 { commit, author, authored, subject, or_before: _ } = self;
        if Algorithm::from_name(&commit).is_none() {
            return Err("a commit in it is malformed".into());
        }
        Ok(Commit {
            id: commit,
            author: printable(&author),
            authored: authored.and_then(|it| Timestamp::from_second(it).ok()),
            subject: printable(&subject),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(number: u8, subject: &str) -> Commit {
        Commit {
            id: format!("{number:02x}").repeat(20),
            author: "Anna Peeters <anna@xyz.example>".into(),
            authored: Timestamp::from_second(1_700_000_000).ok(),
            subject: subject.into(),
        }
    }

    fn example() -> Attribution {
        let (old, new) = (Owner::Before(commit(1, "Begin")), Owner::By(commit(2, "Greet")));
        let parts = vec![(1, old.clone()), (3, new.clone()), (4, new), (5, old.clone())];
        let mut files = BTreeMap::from([("servers/web.yaml".into(), parts)]);
        for name in ["a", "b", "c"] {
            files.insert(name.into(), vec![(1, old.clone())]);
        }
        Attribution::from_parts(commit(2, "Greet"), files)
    }

    #[test]
    fn lines_are_found_in_runs_and_what_is_not_covered_is_old() {
        let attribution = example();
        let (old, new) = (commit(1, "Begin"), commit(2, "Greet"));
        let line = |it| attribution.line("servers/web.yaml", it);
        assert_eq!([line(1), line(2)], [Written::InOrBefore(&old); 2]);
        assert_eq!([line(3), line(4)], [Written::By(&new); 2]);
        assert_eq!(line(5), Written::InOrBefore(&old));
        assert_eq!(line(999), Written::InOrBefore(&old));
        assert_eq!(attribution.line("b", 1), Written::InOrBefore(&old));
        assert_eq!(attribution.parts("b", 7, 2), [(7, Owner::Before(old.clone()))]);
        let unknown = Attribution::unknown(new.clone());
        assert!(attribution.is_cut_off() && unknown.is_cut_off());
        let parts = BTreeMap::from([("a".into(), vec![(1, Owner::By(new.clone()))])]);
        assert!(!Attribution::from_parts(new.clone(), parts).is_cut_off());
        assert_eq!(unknown.line("b", 1), Written::InOrBefore(&new));
        assert_eq!(attribution.line("servers/web.yaml", 0), Written::InOrBefore(&new));
        assert_eq!(attribution.newest("servers/web.yaml"), Written::By(&new));
        assert_eq!(attribution.newest("b"), Written::InOrBefore(&old));
        let (old, new) = (Owner::Before(old), Owner::By(new));
        assert_eq!(
            attribution.parts("servers/web.yaml", 2, 2),
            [(2, old.clone()), (3, new.clone())]
        );
        assert_eq!(attribution.parts("servers/web.yaml", 4, 1), [(4, new.clone())]);
        let all = attribution.parts("servers/web.yaml", 1, u32::MAX);
        assert_eq!(all, [(1, old.clone()), (3, new), (5, old.clone())]);
        assert_eq!(attribution.parts("servers/web.yaml", 90, 1), [(90, old)]);
    }

    #[test]
    fn what_no_publisher_writes_is_refused_and_nothing_in_it_moves_a_cursor() {
        let good = example().write().unwrap();
        let refused = |from: &str, to: &str| {
            let text = good.replace(from, to);
            assert_ne!(text, good, "{from}");
            Attribution::read(text.as_bytes()).unwrap_err()
        };
        assert!(refused("[3,1]", "[1,1]").contains("malformed"));
        assert!(refused("[1,0]", "[0,0]").contains("malformed"));
        assert!(refused("[3,1]", "[3,2]").contains("malformed"));
        assert!(refused("\"rest\":0", "\"rest\":2").contains("not in it"));
        assert!(refused("\"format\":1", "\"format\":2").contains("newer than this program"));
        assert!(refused(&"01".repeat(20), "../../etc").contains("malformed"));
        assert!(Attribution::read(&b"[".repeat(100_000)).is_err());
        assert!(Attribution::read(&vec![b' '; 9 << 20]).unwrap_err().contains("too large"));
        let text = good.replace("Begin", "\\u001b[2Jx\\u0000").replace("Peeters", "\\u009bP");
        let read = Attribution::read(text.as_bytes()).unwrap();
        let Written::InOrBefore(commit) = read.line("servers/web.yaml", 1) else { panic!() };
        assert_eq!((&*commit.subject, &*commit.author), ("[2Jx", "Anna P <anna@xyz.example>"));
    }

    #[test]
    fn the_format_of_today_is_the_one_that_was_released() {
        let today = example();
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests/formats/attribution-1.json");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&path, today.write().unwrap()).unwrap();
        }
        let released = std::fs::read_to_string(path).unwrap();
        assert_eq!(today.write().unwrap(), released);
        assert_eq!(Attribution::read(released.as_bytes()), Ok(today));
    }
}
