//! Reading what was brought: git is never started for it. It computes the name of every object from its content, and
//! follows those names from the signed commit or tag down.

use super::export::{MAX_FOLDERS, MAX_TREE};
use crate::anti_rollback::Descent;
use crate::content::{Collector, Place, place};
use crate::directory::MAX_BYTES;
use crate::object::{self, Algorithm, Commit, MAX_COMMIT, Malformed, Tag};
use crate::refusal::Refusal;
use crate::settings::Limits;
use crate::trailers;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use steadfast_download::offer::{Reader, Record};
use steadfast_model::SourceSet;
use steadfast_trust::signature::SignatureError;
use steadfast_trust::text::printable;

/// The commit or tag that was brought. It is read first and by itself: who signed it is looked at before
/// anything else is taken in, which may be as large as a model.
#[derive(Debug)]
pub(crate) struct Tip {
    pub id: String,
    pub commit: Commit,
    pub tag: Option<Tag>,
    algorithm: Algorithm,
    /// What it says that it takes the place of.
    supersedes: Vec<String>,
}

/// What belongs to it, with every name computed again.
#[derive(Debug)]
pub(crate) struct Delivered {
    pub descent: Descent,
    /// What it and the commits on the way to it say that they take the place of.
    pub supersedes: Vec<String>,
    pub sources: SourceSet,
}

impl Tip {
    pub(crate) fn read(reader: &mut Reader) -> Result<Tip, Refusal> {
        let raw_tag = match reader.next_kind()? {
            Some("tag") => Some(reader.take(MAX_COMMIT as u64)?.content),
            Some(_) | None => None,
        };
        match reader.next_kind()? {
            Some("commit") => {}
            Some(_) => return Err(Refusal::out_of_place()),
            None => return Err(Refusal::broken("no commit was brought")),
        }
        let Record { kind: _, name: id, content } = reader.take(MAX_COMMIT as u64)?;
        let algorithm = Algorithm::from_name(&id).ok_or_else(|| bad_name(&id))?;
        named(algorithm, "commit", &id, &content)?;
        let what = format!("commit {id}");
        let commit = Commit::parse(algorithm, &content).map_err(|it| malformed(&what, it))?;
        let tag = match raw_tag {
            None => None,
            Some(raw) => {
                let tag = Tag::parse(algorithm, &raw).map_err(|it| malformed("the tag", it))?;
                if tag.kind != "commit" || tag.object != id {
                    return Err(Refusal::broken("the tag names another commit"));
                }
                Some(tag)
            }
        };
        let supersedes = trailers::supersedes(&content);
        Ok(Tip { id, commit, tag, algorithm, supersedes })
    }

    /// Reads the rest of the offer, and believes nothing of it that does not follow from the tip.
    pub(crate) fn delivered(
        &self,
        reader: &mut Reader,
        accepted: Option<&str>,
        limits: &Limits,
    ) -> Result<Delivered, Refusal> {
        let mut taken = Taken {
            algorithm: self.algorithm,
            reached: self.commit.parents.iter().cloned().collect(),
            ancestors: 0,
            supersedes: self.supersedes.clone(),
            too_far: false,
            objects: Objects::default(),
            wanted: HashSet::from([("tree", self.commit.tree.clone())]),
            trees: 0,
        };
        while let Some(kind) = reader.next_kind()? {
            let most = most_of(kind).ok_or_else(Refusal::out_of_place)?;
            let record = reader.take(most)?;
            taken.take(record, limits)?;
        }
        let descent = match accepted {
            None => Descent::None,
            Some(accepted) if taken.reached.contains(accepted) => Descent::Proved,
            Some(_) if taken.too_far => Descent::TooFar,
            Some(_) => Descent::NotProved,
        };
        let sources = files(self.algorithm, &self.commit.tree, &taken.objects)?;
        Ok(Delivered { descent, supersedes: taken.supersedes, sources })
    }
}

/// How large a record may be; none for one that has no place behind the tip.
fn most_of(kind: &str) -> Option<u64> {
    match kind {
        "ancestor" => Some(MAX_COMMIT as u64),
        "too-far" => Some(0),
        "tree" => Some(MAX_TREE as u64),
        "blob" => Some(MAX_BYTES),
        _other => None,
    }
}

/// What has been read behind the tip. Only what something before it names is kept.
struct Taken {
    algorithm: Algorithm,
    /// The commits that the tip descends from, as far as it was shown.
    reached: BTreeSet<String>,
    ancestors: usize,
    /// What the tip and they say that they take the place of.
    supersedes: Vec<String>,
    too_far: bool,
    objects: Objects,
    /// What trees have named and has not come yet.
    wanted: HashSet<(&'static str, String)>,
    /// Bytes of all trees.
    trees: usize,
}

impl Taken {
    fn take(&mut self, record: Record, limits: &Limits) -> Result<(), Refusal> {
        let Record { kind, name, content } = record;
        match kind.as_str() {
            "ancestor" => {
                self.ancestors += 1;
                if self.ancestors > limits.commits {
                    return Err(Refusal::broken("more commits were brought than allowed"));
                }
                named(self.algorithm, "commit", &name, &content)?;
                // They count in the order in which they come: one that nothing before it names leads nowhere,
                // and what it says is said by nobody.
                if self.reached.contains(&name) {
                    self.reached.extend(parents(&content));
                    self.supersedes.extend(trailers::supersedes(&content));
                }
                Ok(())
            }
            "too-far" => {
                self.too_far = true;
                Ok(())
            }
            "tree" => {
                self.trees += content.len();
                if self.trees > MAX_TREE {
                    return Err(Refusal::broken("the model has too many directories"));
                }
                self.want(&content, &name)?;
                self.keep("tree", name, content)
            }
            "blob" => self.keep("blob", name, content),
            _other => Err(Refusal::out_of_place()),
        }
    }

    /// What a tree names may come after it.
    fn want(&mut self, raw: &[u8], id: &str) -> Result<(), Refusal> {
        let entries = object::tree(self.algorithm, raw)
            .map_err(|_| Refusal::broken(format!("tree {} is malformed", printable(id))))?;
        for entry in entries {
            let key = (if entry.mode == FOLDER { "tree" } else { "blob" }, entry.object);
            if !self.objects.contains_key(&key) {
                self.wanted.insert(key);
            }
        }
        Ok(())
    }

    fn keep(&mut self, kind: &'static str, name: String, content: Vec<u8>) -> Result<(), Refusal> {
        let key = (kind, name);
        if !self.wanted.remove(&key) {
            return Err(Refusal::out_of_place());
        }
        named(self.algorithm, kind, &key.1, &content)?;
        self.objects.insert(key, content.into());
        Ok(())
    }
}

/// The mode of a directory in a tree.
const FOLDER: u32 = 0o040_000;

/// Trees and files, by their kind and name.
pub(super) type Objects = HashMap<(&'static str, String), Arc<[u8]>>;

/// The files of a model in a tree.
pub(super) fn files(
    algorithm: Algorithm,
    root: &str,
    objects: &Objects,
) -> Result<SourceSet, Refusal> {
    let find = |kind: &'static str, id: &str| {
        objects
            .get(&(kind, id.to_owned()))
            .cloned()
            .ok_or_else(|| Refusal::broken(format!("{kind} {id} was not brought")))
    };
    let mut collector = Collector::default();
    let mut folders = VecDeque::from([(root.to_owned(), String::new())]);
    let mut visited = 0;
    while let Some((id, below)) = folders.pop_front() {
        visited += 1;
        if visited > MAX_FOLDERS {
            return Err(Refusal::broken("the model has too many directories"));
        }
        let mut names = BTreeMap::new();
        let entries = object::tree(algorithm, &find("tree", &id)?)
            .map_err(|_| Refusal::broken(format!("tree {id} is malformed")))?;
        for entry in entries {
            let name = String::from_utf8(entry.name)
                .map_err(|_| Refusal::broken(format!("a name in {below:?} is not UTF-8")))?;
            let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
            if names.insert(name.clone(), ()).is_some() || name.contains('/') {
                return Err(Refusal::broken(format!("{path:?} stands twice in it")));
            }
            match place(&path) {
                Place::Elsewhere => continue,
                Place::Model => {}
                Place::Forbidden => {
                    return Err(Refusal::broken(format!("{path:?} is no path of a model")));
                }
            }
            match entry.mode {
                FOLDER => folders.push_back((entry.object, path)),
                0o100_644 | 0o100_664 => {
                    collector.add(&path, find("blob", &entry.object)?, false)?;
                }
                0o100_755 => collector.add(&path, find("blob", &entry.object)?, true)?,
                _other => {
                    return Err(crate::directory::ReadError::Special { path: path.into() }.into());
                }
            }
        }
    }
    Ok(collector.finish())
}

/// The parents in a commit of a history, which is only followed: whatever else it holds may be odd.
fn parents(raw: &[u8]) -> Vec<String> {
    let lines = raw.split(|it| *it == b'\n').skip(1);
    lines
        .map_while(|it| it.strip_prefix(b"parent "))
        .map(|it| String::from_utf8_lossy(it).into_owned())
        .collect()
}

/// Whether the content of an object is the one that its name says.
pub(super) fn named(
    algorithm: Algorithm,
    kind: &str,
    name: &str,
    content: &[u8],
) -> Result<(), Refusal> {
    match object::name(algorithm, kind, content) {
        Some(computed) if computed == name => Ok(()),
        Some(_) => Err(bad_name(name)),
        None => Err(Refusal::broken(format!("{kind} {name} was made to collide with another"))),
    }
}

fn bad_name(name: &str) -> Refusal {
    Refusal::broken(format!("the content of object {} is another", printable(name)))
}

fn malformed(what: &str, malformed: Malformed) -> Refusal {
    match malformed {
        Malformed::Header => Refusal::broken(format!("{what} is malformed")),
        Malformed::Signatures => SignatureError::TwoSignatures { what: what.to_owned() }.into(),
    }
}
