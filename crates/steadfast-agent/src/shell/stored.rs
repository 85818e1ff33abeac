//! The memory of the machine on the disk, in two copies.

use super::setup::ShellError;
use crate::memory::{Memory, Unreadable};
use std::path::Path;
use steadfast_store::state_files;

/// Reads the agent's memory without touching it: for commands beside an agent.
pub fn read_memory(state: &Path) -> Result<(Memory, Vec<Unreadable>), ShellError> {
    let [first, second] = state_files::copies(state).map(|path| {
        state_files::read(&path).map_err(|err| ShellError::Memory { path: path.clone(), err })
    });
    // A disk that cannot give one of them back has damaged it; that is what the other is for.
    let damaged = || Some(vec![]);
    let [first, second] = match (first, second) {
        (Err(err), Err(_)) => return Err(err),
        (first, second) => [first, second].map(|it| it.unwrap_or_else(|_| damaged())),
    };
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

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test plays everybody else's part")]

    use super::*;

    #[test]
    fn a_copy_that_the_disk_does_not_give_back_costs_nothing_while_there_is_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory { written: 7, ..Memory::default() };
        store(folder.path(), &memory).unwrap();
        let [first, second] = state_files::copies(folder.path());
        std::fs::remove_file(&first).unwrap();
        std::fs::create_dir(&first).unwrap();
        assert!(state_files::read(&first).is_err());
        assert_eq!(
            read_memory(folder.path()).unwrap(),
            (memory.clone(), vec![Unreadable::Damaged])
        );
        assert_eq!(recall(folder.path()).unwrap(), memory);
        std::fs::remove_file(&second).unwrap();
        std::fs::create_dir(&second).unwrap();
        assert!(matches!(read_memory(folder.path()), Err(ShellError::Memory { .. })));
    }
}
