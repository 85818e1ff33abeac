//! The contents that a resolved model promises, so that a run that finds a difference need not resolve it again.
//!
//! They are found by their digests, and each is compared with its digest when it is read: a file that is
//! damaged, or that somebody has swapped, has no contents, and then the model is resolved. What a secret is
//! part of is not among them. Like what is remembered of the model, it belongs to one set of inputs.

use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use steadfast_resources::contents::Contents;
use steadfast_system::cache_file::{change, open_ours, remove, replace};
use steadfast_system::files::Digest;

const NAME: &str = "contents";
const MAGIC: &[u8; 8] = b"sfbytes1";
/// The beginning, the key, and how many contents there are.
const HEAD: usize = 8 + 32 + 8;
/// A digest, where its content begins, and how long it is.
const ENTRY: usize = 32 + 8 + 8;
/// A model with more is resolved where something differs.
const BYTES_MAX: u64 = 128 * 1024 * 1024;

/// Contents in the cache directory.
#[derive(Debug)]
pub struct KnownContents {
    file: File,
    path: PathBuf,
    /// In the order of digests.
    index: Vec<u8>,
    /// Whether one was asked for that was not to be had.
    missed: AtomicBool,
}

impl KnownContents {
    pub(crate) fn open(folder: &Path, key: &[u8; 32]) -> Option<KnownContents> {
        let (known, under) = KnownContents::of_any_key(folder)?;
        (under == *key).then_some(known)
    }

    /// What there is, and the key under which it was put.
    fn of_any_key(folder: &Path) -> Option<(KnownContents, [u8; 32])> {
        let path = folder.join(NAME);
        let (file, length) = open_ours(&path)?;
        let mut head = [0; HEAD];
        file.read_exact_at(&mut head, 0).ok()?;
        if head[..8] != *MAGIC {
            return None;
        }
        let count = usize::try_from(number(&head[40..])).ok()?;
        let size = count.checked_mul(ENTRY)?;
        if size as u64 > length {
            return None;
        }
        let mut index = vec![0; size];
        file.read_exact_at(&mut index, HEAD as u64).ok()?;
        let known = KnownContents { file, path, index, missed: AtomicBool::new(false) };
        Some((known, head[8..40].try_into().ok()?))
    }

    /// Whether it lists these and no others; what is wrong with one of them shows when it is asked for.
    fn lists(&self, all: &[(&Digest, &[u8])]) -> bool {
        let (entries, _) = self.index.as_chunks::<ENTRY>();
        let same =
            |(entry, (digest, _)): (&[u8; ENTRY], &(&Digest, &[u8]))| entry[..32] == digest[..];
        entries.len() == all.len() && entries.iter().zip(all).all(same)
    }

    /// Whether one was asked for that was not to be had: who has the model at hand has them all.
    pub fn has_missed(&self) -> bool {
        self.missed.load(Ordering::Relaxed)
    }

    fn find(&self, digest: &Digest) -> Option<Arc<[u8]>> {
        let (entries, _) = self.index.as_chunks::<ENTRY>();
        let at = entries.binary_search_by(|it| it[..32].cmp(&digest[..])).ok()?;
        let (begin, length) = (number(&entries[at][32..40]), number(&entries[at][40..]));
        if length > BYTES_MAX {
            return None;
        }
        let mut bytes = vec![0; usize::try_from(length).ok()?];
        self.file.read_exact_at(&mut bytes, begin).ok()?;
        if Digest::from(Sha256::digest(&bytes)) == *digest {
            return Some(Arc::from(bytes));
        }
        // It is damaged: whoever has the contents puts all of them anew.
        let _only_costs_time = remove(&self.path);
        None
    }
}

impl Contents for KnownContents {
    fn content(&self, digest: &Digest) -> Option<Arc<[u8]>> {
        let found = self.find(digest);
        if found.is_none() {
            self.missed.store(true, Ordering::Relaxed);
        }
        found
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// Puts these in the place of those before. Where they are too many, there are none.
pub(crate) fn put(folder: &Path, key: &[u8; 32], all: &[(&Digest, &[u8])]) -> std::io::Result<()> {
    let mut all = all.to_vec();
    all.sort_unstable();
    all.dedup();
    let bytes: u64 = all.iter().map(|(_, it)| it.len() as u64).sum();
    if bytes > BYTES_MAX {
        return remove(&folder.join(NAME));
    }
    crate::store::make_folder(folder, 0o700)?;
    // Most changes of a model change few contents, and many none: then they are only given the new key. Where
    // that is cut short they have no key that anybody asks for.
    let there = KnownContents::of_any_key(folder).filter(|(it, _)| it.lists(&all));
    if there.is_some() && change(&folder.join(NAME), |it| it.write_all_at(key, 8)).is_ok() {
        return Ok(());
    }
    replace(folder, NAME, |file| {
        let mut out = BufWriter::with_capacity(256 * 1024, file);
        out.write_all(MAGIC)?;
        out.write_all(key)?;
        out.write_all(&(all.len() as u64).to_le_bytes())?;
        let mut at = (HEAD + all.len() * ENTRY) as u64;
        for (digest, content) in &all {
            out.write_all(&digest[..])?;
            out.write_all(&at.to_le_bytes())?;
            out.write_all(&(content.len() as u64).to_le_bytes())?;
            at += content.len() as u64;
        }
        all.iter().try_for_each(|(_, content)| out.write_all(content))?;
        out.flush()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt as _;

    fn digest(bytes: &[u8]) -> Digest {
        Sha256::digest(bytes).into()
    }

    fn put_some(folder: &Path, contents: &[&[u8]]) {
        let digests: Vec<Digest> = contents.iter().map(|it| digest(it)).collect();
        let all: Vec<_> = digests.iter().zip(contents.iter().copied()).collect();
        put(folder, &[7; 32], &all).unwrap();
    }

    #[test]
    fn contents_are_found_by_their_digests_under_their_key_only() {
        let folder = tempfile::tempdir().unwrap();
        put_some(folder.path(), &[b"one", b"", b"three", b"one"]);
        let known = KnownContents::open(folder.path(), &[7; 32]).unwrap();
        for content in [&b"one"[..], b"", b"three"] {
            assert_eq!(known.content(&digest(content)).as_deref(), Some(content));
        }
        assert!(!known.has_missed());
        assert_eq!(known.content(&digest(b"two")), None);
        assert!(known.has_missed());
        assert!(KnownContents::open(folder.path(), &[8; 32]).is_none());
    }

    #[test]
    fn the_same_contents_are_not_written_again_unless_one_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        let contents = [&b"one"[..], b"three"];
        let digests = contents.map(digest);
        let all: Vec<_> = digests.iter().zip(contents).collect();
        let inode = || std::fs::metadata(&path).unwrap().ino();
        put(folder.path(), &[7; 32], &all).unwrap();
        let first = inode();
        put(folder.path(), &[8; 32], &all).unwrap();
        assert_eq!(inode(), first);
        assert!(KnownContents::open(folder.path(), &[7; 32]).is_none());
        let known = KnownContents::open(folder.path(), &[8; 32]).unwrap();
        assert_eq!(known.content(&digests[1]).as_deref(), Some(contents[1]));
        // The last byte is one of a content. It is found out when that is asked for.
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let known = KnownContents::open(folder.path(), &[8; 32]).unwrap();
        let found = digests.map(|it| known.content(&it).is_some());
        assert!(found.contains(&false) && known.has_missed());
        put(folder.path(), &[9; 32], &all).unwrap();
        let known = KnownContents::open(folder.path(), &[9; 32]).unwrap();
        assert!(digests.iter().all(|it| known.content(it).is_some()));
        // Other contents are others.
        put(folder.path(), &[9; 32], &all[..1]).unwrap();
        let known = KnownContents::open(folder.path(), &[9; 32]).unwrap();
        assert_eq!(digests.map(|it| known.content(&it).is_some()), [true, false]);
    }

    #[test]
    fn a_byte_that_is_another_one_is_never_a_content() {
        let folder = tempfile::tempdir().unwrap();
        put_some(folder.path(), &[b"one", b"three"]);
        let path = folder.path().join(NAME);
        let good = std::fs::read(&path).unwrap();
        let right = |known: &KnownContents| {
            [&b"one"[..], b"three"].into_iter().all(|it| {
                let found = known.content(&digest(it));
                found.is_none() || found.as_deref() == Some(it)
            })
        };
        for byte in 0..good.len() {
            let mut bad = good.clone();
            bad[byte] ^= 1;
            for bad in [&bad[..], &good[..byte]] {
                std::fs::write(&path, bad).unwrap();
                let known = KnownContents::open(folder.path(), &[7; 32]);
                assert!(known.as_ref().is_none_or(right), "byte {byte}");
            }
        }
    }
}
