//! Which state of the model this is: the digest of its content, and the commit where it is a checkout.

use sha2::{Digest as _, Sha256};
use std::fmt;
use std::path::Path;
use steadfast_model::SourceSet;

/// One state of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// SHA-256 over the paths and contents of all files.
    pub digest: [u8; 32],
    /// What HEAD names, where the model lies in a git checkout. The files may differ from it: the
    /// digest tells.
    pub commit: Option<String>,
}

impl Revision {
    /// What HEAD names where a model lies in a git checkout.
    pub fn commit_of(root: &Path) -> Option<String> {
        commit(root)
    }
}

/// SHA-256 over the paths, modes and contents of all files.
pub fn content_digest(sources: &SourceSet) -> [u8; 32] {
    digest_of(sources.iter().map(|(_, it)| (&*it.path, it.executable, it.digest)))
}

/// The same from a list of files, in the order of their paths.
pub(crate) fn digest_of<'a>(files: impl Iterator<Item = (&'a str, bool, [u8; 32])>) -> [u8; 32] {
    let mut digest = Sha256::new();
    for (path, executable, content) in files {
        digest.update((path.len() as u64).to_le_bytes());
        digest.update(path.as_bytes());
        digest.update([u8::from(executable)]);
        digest.update(content);
    }
    digest.finalize().into()
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "content ")?;
        for byte in &self.digest[..6] {
            write!(f, "{byte:02x}")?;
        }
        // Not "commit": what is there may differ from it.
        if let Some(commit) = &self.commit {
            write!(f, ", checkout at commit {}", &commit[..commit.len().min(12)])?;
        }
        Ok(())
    }
}

/// What HEAD names, read from git's own files: no program is started for it.
fn commit(root: &Path) -> Option<String> {
    let git = root.ancestors().map(|it| it.join(".git")).find(|it| it.is_dir())?;
    let head = small(&git.join("HEAD"))?;
    let Some(reference) = head.strip_prefix("ref: ") else { return hash(&head) };
    let reference = reference.trim();
    if reference.contains("..") || !reference.starts_with("refs/") {
        return None;
    }
    if let Some(found) = small(&git.join(reference)).and_then(|it| hash(&it)) {
        return Some(found);
    }
    small(&git.join("packed-refs"))?.lines().find_map(|line| {
        let (commit, name) = line.split_once(' ')?;
        (name == reference).then(|| hash(commit))?
    })
}

fn small(path: &Path) -> Option<String> {
    let meta = std::fs::metadata(path).ok()?;
    if !meta.is_file() || meta.len() > 16 * 1024 * 1024 {
        return None;
    }
    std::fs::read_to_string(path).ok()
}

fn hash(text: &str) -> Option<String> {
    let text = text.trim();
    let good = matches!(text.len(), 40 | 64) && text.bytes().all(|it| it.is_ascii_hexdigit());
    good.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commit_is_found_loose_and_packed_and_detached() {
        let folder = tempfile::tempdir().unwrap();
        let git = folder.path().join(".git");
        std::fs::create_dir_all(git.join("refs/heads")).unwrap();
        let commit = "0123456789abcdef0123456789abcdef01234567";
        std::fs::write(git.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        assert_eq!(super::commit(folder.path()), None);
        std::fs::write(git.join("packed-refs"), format!("# pack\n{commit} refs/heads/main\n"))
            .unwrap();
        assert_eq!(super::commit(folder.path()).as_deref(), Some(commit));
        let other = "1123456789abcdef0123456789abcdef01234567";
        std::fs::write(git.join("refs/heads/main"), format!("{other}\n")).unwrap();
        assert_eq!(super::commit(folder.path()).as_deref(), Some(other));
        std::fs::write(git.join("HEAD"), format!("{commit}\n")).unwrap();
        assert_eq!(super::commit(folder.path()).as_deref(), Some(commit));
    }

    #[test]
    fn a_revision_is_its_content_and_the_commit_only_where_it_lies() {
        let commit = "0123456789abcdef0123456789abcdef01234567".to_owned();
        let mut revision = Revision { digest: [0xab; 32], commit: None };
        assert_eq!(revision.to_string(), "content abababababab");
        revision.commit = Some(commit);
        assert_eq!(revision.to_string(), "content abababababab, checkout at commit 0123456789ab");
    }

    #[test]
    fn the_digest_changes_with_content_path_and_mode() {
        let digest = |path: &str, content: &str, executable| {
            let mut sources = SourceSet::default();
            sources.add(path, content.as_bytes(), executable);
            content_digest(&sources)
        };
        let all = [
            digest("a", "x", false),
            digest("b", "x", false),
            digest("a", "y", false),
            digest("a", "x", true),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(!all[..at].contains(one));
        }
    }
}
