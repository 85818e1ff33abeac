//! Reading what was brought: git is never started for it. It computes the name of every object from its content, and
//! follows those names from the signed commit or tag down.

use super::export::MAX_FOLDERS;
use crate::anti_rollback::Descent;
use crate::content::{Collector, Place, place};
use crate::object::{self, Algorithm, Commit, Malformed, Tag};
use crate::refusal::Refusal;
use crate::settings::Limits;
use crate::trailers;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use steadfast_download::offer::{Reader, Record};
use steadfast_model::SourceSet;
use steadfast_trust::signature::SignatureError;
use steadfast_trust::text::printable;

/// What was brought, with every name computed again.
#[derive(Debug)]
pub(crate) struct Delivered {
    pub id: String,
    pub commit: Commit,
    pub tag: Option<Tag>,
    pub descent: Descent,
    /// What it and the commits on the way to it say that they take the place of.
    pub supersedes: Vec<String>,
    pub sources: SourceSet,
}

/// Reads an offer and believes nothing of it that does not follow from the content of the tip.
pub(crate) fn read(
    reader: &mut Reader,
    accepted: Option<&str>,
    limits: &Limits,
) -> Result<Delivered, Refusal> {
    let Offered { tag, tip, ancestors, too_far, objects } = Offered::read(reader, limits)?;
    let Tip { id, algorithm, raw } = tip.ok_or_else(|| Refusal::broken("no commit was brought"))?;
    let what = format!("commit {id}");
    let commit = Commit::parse(algorithm, &raw).map_err(|it| malformed(&what, it))?;
    let tag = match tag {
        None => None,
        Some(raw) => {
            let tag = Tag::parse(algorithm, &raw).map_err(|it| malformed("the tag", it))?;
            if tag.kind != "commit" || tag.object != id {
                return Err(Refusal::broken("the tag names another commit"));
            }
            Some(tag)
        }
    };
    let way = Way::back_from(&commit, ancestors);
    let descent = match accepted {
        None => Descent::None,
        Some(accepted) if way.reached.contains(accepted) => Descent::Proved,
        Some(_) if too_far => Descent::TooFar,
        Some(_) => Descent::NotProved,
    };
    let supersedes = trailers::supersedes(&raw).into_iter().chain(way.supersedes).collect();
    let sources = files(algorithm, &commit.tree, &objects)?;
    Ok(Delivered { id, commit, tag, descent, supersedes, sources })
}

/// The records of an offer, each with the content that its name says, in the order in which they must come.
#[derive(Default)]
struct Offered {
    tag: Option<Vec<u8>>,
    tip: Option<Tip>,
    ancestors: Vec<Ancestor>,
    too_far: bool,
    objects: Objects,
}

/// A commit between the tip and the one accepted before.
struct Ancestor {
    id: String,
    parents: Vec<String>,
    supersedes: Vec<String>,
}

struct Tip {
    id: String,
    algorithm: Algorithm,
    raw: Vec<u8>,
}

impl Offered {
    fn read(reader: &mut Reader, limits: &Limits) -> Result<Offered, Refusal> {
        let mut offered = Offered::default();
        while let Some(record) = reader.next_record()? {
            offered.take(record, limits)?;
        }
        Ok(offered)
    }

    fn take(&mut self, record: Record, limits: &Limits) -> Result<(), Refusal> {
        let Record { kind, name, content } = record;
        match (kind.as_str(), &self.tip) {
            ("tag", None) => self.tag = Some(content),
            ("commit", None) => {
                let algorithm = Algorithm::from_name(&name).ok_or_else(|| bad_name(&name))?;
                named(algorithm, "commit", &name, &content)?;
                self.tip = Some(Tip { id: name, algorithm, raw: content });
            }
            ("ancestor", Some(tip)) => {
                if self.ancestors.len() >= limits.commits {
                    return Err(Refusal::broken("more commits were brought than allowed"));
                }
                named(tip.algorithm, "commit", &name, &content)?;
                let (parents, supersedes) = (parents(&content), trailers::supersedes(&content));
                self.ancestors.push(Ancestor { id: name, parents, supersedes });
            }
            ("too-far", Some(_)) => self.too_far = true,
            ("tree", Some(tip)) => {
                named(tip.algorithm, "tree", &name, &content)?;
                self.objects.insert(("tree", name), content.into());
            }
            ("blob", Some(tip)) => {
                named(tip.algorithm, "blob", &name, &content)?;
                self.objects.insert(("blob", name), content.into());
            }
            _other => return Err(Refusal::broken("a record of the offer is out of place")),
        }
        Ok(())
    }
}

/// What is reached from a commit, and what is said on the way.
struct Way {
    reached: BTreeSet<String>,
    supersedes: Vec<String>,
}

impl Way {
    /// Ancestors count in the order in which they come: one that nothing before it names leads nowhere, and
    /// what it says is said by nobody.
    fn back_from(commit: &Commit, ancestors: Vec<Ancestor>) -> Way {
        let reached = commit.parents.iter().cloned().collect();
        let mut way = Way { reached, supersedes: vec![] };
        for Ancestor { id, parents, supersedes } in ancestors {
            if way.reached.contains(&id) {
                way.reached.extend(parents);
                way.supersedes.extend(supersedes);
            }
        }
        way
    }
}

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
                0o040_000 => folders.push_back((entry.object, path)),
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
