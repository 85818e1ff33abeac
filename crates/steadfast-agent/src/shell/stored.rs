//! The memory of the machine on the disk, in two copies.

use super::setup::ShellError;
use crate::memory::{Memory, Unreadable};
use std::path::{Path, PathBuf};
use steadfast_store::state_files;

/// Reads the agent's memory without touching it: for commands beside an agent.
pub fn read_memory(state: &Path) -> Result<(Memory, Vec<Unreadable>), ShellError> {
    let [first, second] = state_files::copies(state);
    let read = |path: PathBuf| {
        state_files::read(&path).map_err(|err| ShellError::Memory { path: path.clone(), err })
    };
    let (first, second) = (read(first)?, read(second)?);
    Ok(Memory::read([first.as_deref(), second.as_deref()]))
}

/// Both copies of the memory; one that is damaged is set aside, and a newer one left alone.
pub(super) fn recall(state: &Path) -> Result<Memory, ShellError> {
    let (memory, problems) = read_memory(state)?;
    if let Some(newer) = problems.iter().find(|it| match it {
        Unreadable::Newer { .. } => true,
        Unreadable::Damaged => false,
    }) {
        return Err(ShellError::Newer(newer.clone()));
    }
    if !problems.is_empty() {
        state_files::copies(state).iter().for_each(|it| set_aside_if_damaged(it));
    }
    Ok(memory)
}

fn set_aside_if_damaged(path: &Path) {
    let bytes = state_files::read(path).ok().flatten();
    if bytes.is_none_or(|it| Memory::read([Some(&it), None]).1.is_empty()) {
        return;
    }
    let shown = path.display();
    match state_files::set_aside(path) {
        Ok(aside) => {
            tracing::warn!("{shown} is damaged; it was set aside as {}", aside.display());
        }
        Err(err) => tracing::warn!("{shown} is damaged and stays: {err}"),
    }
}

pub(super) fn store(state: &Path, memory: &Memory) -> std::io::Result<()> {
    let bytes = memory.to_bytes();
    for path in state_files::copies(state) {
        state_files::write(&path, &bytes)?;
    }
    Ok(())
}
