//! The tree of a component's artifact: how it is called, that it is there, and that it is whole.

use crate::Context;
use crate::artifact::{
    IDLE, Made, Means, ModelFile, NoTree, TreeKey, TreeOrder, access_for, look_at_tree, make_tree,
};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use steadfast_model::application::{ArtifactKind, Files};
use steadfast_model::deploying;
use steadfast_model::{Placed, SourceSet};
use steadfast_system::SystemError;
use steadfast_system::trees::{Depth, is_for_root_alone};

/// Where artifacts are fetched to, and what the node's policy says of their servers.
#[derive(Clone, Copy)]
pub(super) struct Fetching<'a> {
    pub(super) cx: &'a Context,
    pub(super) policy: &'a deploying::Deploying,
}

/// What is fetched; nothing where there is no artifact, or it is of the model.
pub(super) fn fetched(placed: &Placed) -> Option<&Files> {
    files(placed).filter(|it| it.url.value.folder().is_none())
}

/// The directory of the model that it is.
pub(super) fn folder(placed: &Placed) -> Option<&Arc<str>> {
    files(placed)?.url.value.folder()
}

fn files(placed: &Placed) -> Option<&Files> {
    match &placed.artifact.as_ref()?.kind {
        ArtifactKind::Files(files) => Some(files),
        ArtifactKind::Package { .. } => None,
    }
}

/// What it is named by.
pub(super) fn key(placed: &Placed, sources: &SourceSet) -> Option<TreeKey> {
    let (files, settings) = (files(placed)?, placed.settings.as_ref()?);
    let mut folder = vec![];
    if let Some(path) = files.url.value.folder() {
        let below = format!("{}/", path.trim_end_matches('/'));
        let its = sources.iter().filter_map(|(_, it)| Some((it.path.strip_prefix(&below)?, it)));
        folder.extend(its.map(|(path, it)| ModelFile {
            path,
            is_executable: it.executable,
            content: &it.bytes,
        }));
    }
    Some(TreeKey::new(files, &settings.unpack, &folder))
}

/// Fetches and unpacks what is not there yet, and exchanges what is not whole. `programs` in it have to be of this machine.
pub(super) fn prepare(
    placed: &Placed,
    sources: &SourceSet,
    programs: &BTreeSet<String>,
    fetching: Fetching<'_>,
) -> Result<(), NoTree> {
    is_safe(placed)?;
    let there = placed.directory.as_ref().zip(key(placed, sources));
    let is_there = there.is_some_and(|(directory, key)| is_there(directory, key.name()));
    let made = if is_there && !is_whole(placed, sources)? { Made::Anew } else { Made::IfMissing };
    make(placed, programs, fetching, made)
}

/// Whether the tree of what is wanted is as it was unpacked. That of a directory of the model is a promise.
pub(super) fn is_whole(placed: &Placed, sources: &SourceSet) -> Result<bool, NoTree> {
    is_whole_at(Depth::Seen, placed, sources)
}

fn is_whole_at(depth: Depth, placed: &Placed, sources: &SourceSet) -> Result<bool, NoTree> {
    let (Some(_), Some(directory)) = (fetched(placed), &placed.directory) else { return Ok(true) };
    let Some(key) = key(placed, sources) else { return Ok(true) };
    if !is_there(directory, key.name()) {
        return Ok(false);
    }
    Ok(look_at_tree(Path::new(&**directory), &key, depth)?.is_empty())
}

/// Whether a component has a tree of this name at all.
pub(super) fn is_there(directory: &str, name: &str) -> bool {
    let found = rustix::fs::lstat(Path::new(directory).join("releases").join(name));
    found.is_ok_and(|it| FileType::from_raw_mode(it.st_mode) == FileType::Directory)
}

/// Puts a tree in the place of one that somebody has changed. `link` leads to it: it is made anew by the run, and
/// whoever runs from there begins anew then.
pub(super) fn repair(
    placed: &Placed,
    sources: &SourceSet,
    link: &str,
    (fetching, depth): (Fetching<'_>, Depth),
) -> Result<(), String> {
    is_safe(placed).map_err(|it| it.to_string())?;
    if is_whole_at(depth, placed, sources).map_err(|it| it.to_string())? {
        return Ok(());
    }
    match rustix::fs::unlink(link) {
        Ok(()) | Err(Errno::NOENT) => {
            make(placed, &BTreeSet::new(), fetching, Made::Anew).map_err(|it| it.to_string())
        }
        Err(err) => Err(format!("the link {link} to its tree cannot be removed: {err}")),
    }
}

/// Nobody but root can put another in the place of what root starts from there.
fn is_safe(placed: &Placed) -> Result<(), NoTree> {
    let Some(directory) = &placed.directory else { return Ok(()) };
    is_for_root_alone(Path::new(&**directory)).map_err(NoTree::Failed)
}

fn make(
    placed: &Placed,
    programs: &BTreeSet<String>,
    fetching: Fetching<'_>,
    made: Made,
) -> Result<(), NoTree> {
    let (Some(files), Some(directory)) = (fetched(placed), &placed.directory) else {
        return Ok(());
    };
    let Some(settings) = &placed.settings else { return Ok(()) };
    let program = std::env::current_exe();
    let program =
        program.map_err(|err| NoTree::Failed(SystemError::io("find this program", err)))?;
    let programs: Vec<&str> = programs.iter().map(String::as_str).collect();
    let order = TreeOrder {
        directory: Path::new(&**directory),
        artifact: files,
        unpack: &settings.unpack,
        programs: &programs,
        folder: &[],
    };
    let Fetching { cx, policy } = fetching;
    let access = access_for(files, policy, &cx.host()).map_err(NoTree::Failed)?;
    let cache = cx.layout.cache.join("artifacts");
    let means =
        Means { cache: &cache, program: &program, access: &access, proxy: None, idle: IDLE };
    let tree = make_tree(&order, &means, made)?;
    tree.notes.iter().for_each(|it| tracing::warn!(component = %placed.id, "{it}"));
    Ok(())
}
