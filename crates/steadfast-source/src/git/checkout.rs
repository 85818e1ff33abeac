//! The files of a revision of a repository on this machine, without a work tree.

use super::export::export;
use super::read::{Objects, files, named};
use super::repository::{Repository, Whose};
use crate::object::Algorithm;
use crate::refusal::Refusal;
use crate::settings::Limits;
use std::path::Path;
use steadfast_download::offer::{Reader, Writer};
use steadfast_model::SourceSet;

/// The files of a directory of a repository on this machine, as a revision has them, and its commit.
pub(crate) fn checkout(
    folder: &Path,
    revision: &str,
    cache: &Path,
    limits: &Limits,
) -> Result<(String, SourceSet), Refusal> {
    let (repository, below) = Repository::local(folder, cache, limits, Whose::Anybodys)?;
    let commit = repository.resolve(&format!("{revision}^{{commit}}"))?;
    let root = repository.resolve(&format!("{commit}:{below}"))?;
    let algorithm =
        Algorithm::from_name(&root).ok_or_else(|| Refusal::broken("git names no object"))?;
    let mut writer = Writer::new(cache)?;
    export(&mut repository.talk()?, algorithm, root.clone(), &mut writer)?;
    writer.finish()?;
    let mut reader = Reader::open(cache, 2 * crate::directory::MAX_BYTES)?;
    let mut objects = Objects::default();
    while let Some(record) = reader.next_record()? {
        let kind = if record.kind == "tree" { "tree" } else { "blob" };
        named(algorithm, kind, &record.name, &record.content)?;
        objects.insert((kind, record.name), record.content.into());
    }
    Ok((commit, files(algorithm, &root, &objects)?))
}
