//! The tree of a component's artifact: how it is called, that it is there, and that it is whole.

use crate::Context;
use crate::artifact::{IDLE, Made, Means, ModelFile, TreeKey, TreeOrder, look_at_tree, make_tree};
use rustix::io::Errno;
use std::path::Path;
use steadfast_model::application::{ArtifactKind, Files, Location};
use steadfast_model::{Placed, SourceSet};
use steadfast_system::trees::{Depth, is_for_root_alone};

/// What is fetched; nothing where there is no artifact, or it is of the model.
fn fetched(placed: &Placed) -> Option<&Files> {
    let files = files(placed)?;
    match &files.url.value {
        Location::Model(_) => None,
        Location::Https(_) | Location::Http(_) | Location::File(_) | Location::Oci { .. } => {
            Some(files)
        }
    }
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
    if let Location::Model(path) = &files.url.value {
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

/// Fetches and unpacks what is not there yet. What is to be told, where that is not to be had.
pub(super) fn prepare(placed: &Placed, cx: &Context) -> Result<(), String> {
    is_safe(placed)?;
    make(placed, cx, Made::IfMissing)
}

/// Puts a tree in the place of one that somebody has changed. `link` leads to it: it is made anew by the run, and
/// whoever runs from there begins anew then.
pub(super) fn repair(
    placed: &Placed,
    sources: &SourceSet,
    link: &str,
    cx: &Context,
) -> Result<(), String> {
    is_safe(placed)?;
    let (Some(_), Some(directory)) = (fetched(placed), &placed.directory) else { return Ok(()) };
    let Some(key) = key(placed, sources) else { return Ok(()) };
    let found = look_at_tree(Path::new(&**directory), &key, Depth::Seen);
    if found.map_err(|it| it.to_string())?.is_empty() {
        return Ok(());
    }
    match rustix::fs::unlink(link) {
        Ok(()) | Err(Errno::NOENT) => make(placed, cx, Made::Anew),
        Err(err) => Err(format!("the link {link} to its tree cannot be removed: {err}")),
    }
}

/// Nobody but root can put another in the place of what root starts from there.
fn is_safe(placed: &Placed) -> Result<(), String> {
    let Some(directory) = &placed.directory else { return Ok(()) };
    is_for_root_alone(Path::new(&**directory)).map_err(|it| it.to_string())
}

fn make(placed: &Placed, cx: &Context, made: Made) -> Result<(), String> {
    let (Some(files), Some(directory)) = (fetched(placed), &placed.directory) else {
        return Ok(());
    };
    let Some(settings) = &placed.settings else { return Ok(()) };
    let program = std::env::current_exe().map_err(|err| format!("this program: {err}"))?;
    let order = TreeOrder {
        directory: Path::new(&**directory),
        artifact: files,
        unpack: &settings.unpack,
        programs: &[],
        folder: &[],
    };
    let cache = cx.layout.cache.join("artifacts");
    let means = Means { cache: &cache, program: &program, access: &[], proxy: None, idle: IDLE };
    let tree = make_tree(&order, &means, made).map_err(|it| it.to_string())?;
    tree.notes.iter().for_each(|it| tracing::warn!(component = %placed.id, "{it}"));
    Ok(())
}
