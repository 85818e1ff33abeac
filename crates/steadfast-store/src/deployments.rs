//! The contents that deployments of components name: they lie beside the database.

use crate::layout::Layout;
use crate::state_files;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::sync::Arc;
use steadfast_engine::UnitId;
use steadfast_system::secrets::{KeptSecrets, Secret};
use steadfast_system::text::{hex, is_digest};

/// How the unit of a component begins.
const UNIT: &str = "component:";

/// The unit of a component's promises.
pub fn unit(component: &str) -> UnitId {
    UnitId(Arc::from(format!("{UNIT}{component}")))
}

/// Keeps a content of a deployment, for root alone. Its name is its digest.
pub fn put_content(layout: &Layout, digest: &str, bytes: &[u8]) -> std::io::Result<()> {
    if content(layout, digest).is_some() {
        return Ok(());
    }
    state_files::write(&layout.deployments().join(digest), bytes)
}

/// Keeps the value of a secret of a deployment, for root alone, and nothing where it is kept already.
pub fn put_secret(layout: &Layout, digest: &str, secret: &Secret) -> std::io::Result<()> {
    let kept = KeptSecrets::of(&layout.state);
    if kept.get("", digest).is_ok_and(|it| it == *secret) {
        return Ok(());
    }
    state_files::write(&kept.folder().join(digest), &KeptSecrets::written(secret, digest))
}

/// A content of a deployment. One that is damaged is none.
pub fn content(layout: &Layout, digest: &str) -> Option<Arc<[u8]>> {
    let bytes = state_files::read(&layout.deployments().join(digest))
        .ok()?
        .filter(|_| is_digest(digest))?;
    (hex(&Sha256::digest(&bytes)) == digest).then(|| Arc::from(bytes))
}

/// Removes the contents and the values of secrets that are not among the `needed` digests, and leaves alone what is not
/// called as they are.
pub fn sweep(layout: &Layout, needed: &BTreeSet<String>) -> std::io::Result<()> {
    for folder in [&layout.deployments(), KeptSecrets::of(&layout.state).folder()] {
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => continue,
            Err(err) => return Err(err),
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let digest = name.to_str().filter(|it| is_digest(it));
            if digest.is_some_and(|it| !needed.contains(it)) && entry.file_type()?.is_file() {
                std::fs::remove_file(entry.path())?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_needs_any_more_is_swept_and_all_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::below(folder.path());
        sweep(&layout, &BTreeSet::new()).unwrap();
        let [old, new] = ["old", "new"].map(|it| hex(&Sha256::digest(it)));
        let secret = Secret::new(b"hunter2".to_vec());
        for (digest, bytes) in [(&old, "old"), (&new, "new")] {
            put_content(&layout, digest, bytes.as_bytes()).unwrap();
            put_secret(&layout, digest, &secret).unwrap();
        }
        std::fs::write(layout.deployments().join("of somebody else"), "").unwrap();
        sweep(&layout, &BTreeSet::from([new.clone()])).unwrap();
        let kept = KeptSecrets::of(&layout.state);
        let names = |folder: &std::path::Path| {
            let entries = std::fs::read_dir(folder).unwrap();
            let names = entries.map(|it| it.unwrap().file_name().into_string().unwrap());
            names.collect::<BTreeSet<_>>()
        };
        assert_eq!(names(kept.folder()), [new.clone()].into());
        let all = ["of somebody else".to_owned(), "secrets".to_owned(), new];
        assert_eq!(names(&layout.deployments()), all.into());
    }

    #[test]
    fn a_content_is_for_root_alone_and_one_that_is_damaged_is_none() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::below(folder.path());
        let digest = hex(&Sha256::digest(b"secret"));
        put_content(&layout, &digest, b"secret").unwrap();
        let path = layout.deployments().join(&digest);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(content(&layout, &digest).as_deref(), Some(&b"secret"[..]));
        std::fs::write(&path, "other").unwrap();
        assert_eq!(content(&layout, &digest), None);
        put_content(&layout, &digest, b"secret").unwrap();
        assert!(content(&layout, &digest).is_some());
        assert_eq!(content(&layout, "../state.db"), None);
    }
}
