//! What a model came to when it was last resolved, so that a run over an unchanged one need not do it
//! again.
//!
//! It is found by a digest of everything that went into it, computed anew in each run from the bytes
//! that this run read: the program's own build too, so what is stored may be domain types. Of the content
//! of files it holds digests only; the contents themselves are beside it, see [`crate::contents`]. It does hold
//! unit files, edits, public keys and password hashes, and the names of secrets, never what is in them:
//! it is for root alone.
//! A file that is damaged, is another's or belongs to other inputs counts as none. It is written by the
//! first run after something changed, and by no other.

use crate::contents::{self, KnownContents};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use steadfast_system::cache_file::{open_ours, replace};
use steadfast_system::files::Digest;

const MAGIC: &[u8; 8] = b"sfknown2";
/// The beginning, the key, and a digest of the rest.
const HEAD: usize = 8 + 32 + 32;
/// Before the parts: the whole, and what is beside it.
const PARTS: usize = 2;
const BYTES_MAX: u64 = 256 * 1024 * 1024;

/// The place for what one set of inputs came to.
#[derive(Debug)]
pub struct ResolveCache {
    folder: PathBuf,
    key: [u8; 32],
}

impl ResolveCache {
    /// None where the program cannot tell its own build: then nothing is remembered.
    pub fn for_inputs(cache: &Path, inputs: &[&[u8]]) -> Option<ResolveCache> {
        Some(ResolveCache { folder: cache.to_owned(), key: of_this_build(inputs)? })
    }

    /// A name for these inputs.
    pub fn name(&self) -> String {
        steadfast_system::text::hex(&self.key)
    }

    /// What these inputs came to, if that is known.
    pub fn recall(&self) -> Option<Recalled> {
        let (mut file, length) = open_ours(&self.folder.join("resolved"))?;
        if length > BYTES_MAX {
            return None;
        }
        let mut bytes = Vec::with_capacity(usize::try_from(length).ok()?);
        // Most often it is for these inputs; where not, the rest need not be read.
        (&mut file).take(HEAD as u64).read_to_end(&mut bytes).ok()?;
        let head = bytes.get(..HEAD)?;
        if head[..8] != *MAGIC || head[8..40] != self.key {
            return None;
        }
        let expected: [u8; 32] = head[40..].try_into().ok()?;
        file.take(BYTES_MAX).read_to_end(&mut bytes).ok()?;
        if <[u8; 32]>::from(Sha256::digest(&bytes[HEAD..])) != expected {
            return None;
        }
        Recalled::new(bytes)
    }

    /// Puts it in the place of what was remembered before: what always is of use, what is of use beside it to
    /// whoever asks for few parts, and parts that are of use one by one.
    pub fn remember<T: Serialize, B: Serialize, P: Serialize>(
        &self,
        whole: &T,
        beside: &B,
        parts: impl IntoIterator<Item = P>,
    ) -> std::io::Result<()> {
        let mut all = Encoded::default();
        all.add(whole)?;
        all.add(beside)?;
        parts.into_iter().try_for_each(|it| all.add(&it))?;
        let body = all.finish()?;
        let digest: [u8; 32] = Sha256::digest(&body).into();
        let head: Vec<u8> = [&MAGIC[..], &self.key, &digest].concat();
        crate::store::make_folder(&self.folder, 0o700)?;
        replace(&self.folder, "resolved", |file| {
            file.write_all(&head)?;
            file.write_all(&body)
        })
    }

    /// The contents that these inputs promise, where all of them are known.
    pub fn contents(&self) -> Option<KnownContents> {
        KnownContents::open(&self.folder, &self.key)
    }

    /// Puts them in the place of those before. Where they are too many, there are none.
    pub fn put_contents(&self, all: &[(&Digest, &[u8])]) -> std::io::Result<()> {
        contents::put(&self.folder, &self.key, all)
    }
}

/// Values one after the other, and where each of them ends.
#[derive(Default)]
struct Encoded {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Encoded {
    fn add<T: Serialize>(&mut self, value: &T) -> std::io::Result<()> {
        let bytes = std::mem::take(&mut self.bytes);
        self.bytes = postcard::to_extend(value, bytes).map_err(std::io::Error::other)?;
        self.ends.push(u32::try_from(self.bytes.len()).map_err(std::io::Error::other)?);
        Ok(())
    }

    fn finish(self) -> std::io::Result<Vec<u8>> {
        let Encoded { mut bytes, ends } = self;
        let count = u32::try_from(ends.len()).map_err(std::io::Error::other)?;
        bytes.extend(ends.into_iter().chain([count]).flat_map(u32::to_le_bytes));
        Ok(bytes)
    }
}

/// What was remembered, which is decoded as far as it is of use.
#[derive(Debug)]
pub struct Recalled {
    /// The head, the whole, what is beside it, the parts, where each of these ends, and how many those are.
    bytes: Vec<u8>,
    /// Where the ends stand.
    ends: usize,
    count: usize,
}

impl Recalled {
    fn new(bytes: Vec<u8>) -> Option<Recalled> {
        let last = bytes.len().checked_sub(4)?;
        let count = usize::try_from(u32_at(&bytes, last)?).ok()?;
        let ends = last.checked_sub(count.checked_mul(4)?)?;
        Some(Recalled { bytes, ends, count })
    }

    /// What always is of use.
    pub fn whole<T: DeserializeOwned>(&self) -> Option<T> {
        self.decode(0)
    }

    /// What is of use beside it to whoever asks for few parts.
    pub fn beside<T: DeserializeOwned>(&self) -> Option<T> {
        self.decode(1)
    }

    /// How many parts there are.
    pub fn count(&self) -> usize {
        self.count.saturating_sub(PARTS)
    }

    /// One of the parts; what stands at its end may be left out.
    pub fn part<T: DeserializeOwned>(&self, at: usize) -> Option<T> {
        self.decode(at.checked_add(PARTS)?)
    }

    fn decode<T: DeserializeOwned>(&self, at: usize) -> Option<T> {
        let start = at.checked_sub(1).map_or(Some(0), |before| self.end(before))?;
        let body = self.bytes.get(HEAD..self.ends)?;
        postcard::from_bytes(body.get(start..self.end(at)?)?).ok()
    }

    fn end(&self, at: usize) -> Option<usize> {
        let is_one = at < self.count;
        usize::try_from(is_one.then(|| u32_at(&self.bytes, self.ends + at * 4))??).ok()
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// A value as this program stores it for itself.
pub fn encode<T: Serialize>(value: &T) -> std::io::Result<Vec<u8>> {
    postcard::to_stdvec(value).map_err(std::io::Error::other)
}

/// What was stored by this program; none where it is no such value.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    postcard::from_bytes(bytes).ok()
}

/// A name for these inputs of this program; none where it cannot tell its own build.
pub fn of_this_build(inputs: &[&[u8]]) -> Option<[u8; 32]> {
    let build = build_id()?;
    let mut digest = Sha256::new();
    for input in std::iter::once(&build).chain(inputs) {
        digest.update((input.len() as u64).to_le_bytes());
        digest.update(input);
    }
    Some(digest.finalize().into())
}

/// The linker's digest of this program, from the notes at the beginning of its own file: read once. They are in its first
/// page, if the linker has no reason to put them elsewhere.
fn build_id() -> Option<&'static [u8]> {
    static BUILD: OnceLock<Option<Vec<u8>>> = OnceLock::new();
    let read = || {
        let program = File::open("/proc/self/exe").ok()?;
        [4 * 1024, 64 * 1024].into_iter().find_map(|size| {
            let mut start = vec![0; size];
            let length = program.read_at(&mut start, 0).ok()?;
            build_id_in(start.get(..length)?)
        })
    };
    BUILD.get_or_init(read).as_deref()
}

/// Reads the program headers of a 64-bit little-endian ELF file.
fn build_id_in(elf: &[u8]) -> Option<Vec<u8>> {
    const NOTES: u64 = 4;
    const BUILD_ID: u64 = 3;
    let number = |at: usize, size: usize| {
        let bytes = elf.get(at..at.checked_add(size)?)?;
        Some(bytes.iter().rev().fold(0_u64, |value, byte| value << 8 | u64::from(*byte)))
    };
    let place = |at: usize, size: usize| usize::try_from(number(at, size)?).ok();
    if elf.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let (headers, size, count) = (place(32, 8)?, place(54, 2)?, place(56, 2)?);
    for header in 0..count {
        let header = headers.checked_add(header.checked_mul(size)?)?;
        if number(header, 4)? != NOTES {
            continue;
        }
        let (mut at, length) = (place(header.checked_add(8)?, 8)?, place(header + 32, 8)?);
        let end = at.checked_add(length)?;
        while at.checked_add(12)? <= end {
            let (name, value) = (place(at, 4)?, place(at + 4, 4)?);
            let kind = number(at + 8, 4)?;
            let name_at = at + 12;
            let value_at = name_at.checked_add(name.checked_next_multiple_of(4)?)?;
            let value_end = value_at.checked_add(value)?;
            if kind == BUILD_ID && elf.get(name_at..name_at + 4)? == b"GNU\0" && value >= 16 {
                return elf.get(value_at..value_end).map(<[u8]>::to_vec);
            }
            at = value_at.checked_add(value.checked_next_multiple_of(4)?)?;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    impl ResolveCache {
        /// The whole, where all of it is there.
        fn recall_text(&self) -> Option<String> {
            let known = self.recall()?;
            let parts: Option<Vec<String>> = (0..known.count()).map(|it| known.part(it)).collect();
            assert_eq!(parts?, ["a", "part"]);
            assert_eq!((known.part::<String>(2), known.beside::<u8>()), (None, Some(7)));
            known.whole()
        }
    }

    fn at(folder: &Path, input: &[u8]) -> ResolveCache {
        ResolveCache::for_inputs(folder, &[input]).unwrap()
    }

    #[test]
    fn what_was_remembered_is_found_by_the_same_inputs_only() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        let one = at(&cache, b"one");
        assert_eq!(one.recall_text(), None);
        one.remember(&"first", &7_u8, ["a", "part"]).unwrap();
        assert_eq!(at(&cache, b"one").recall_text().unwrap(), "first");
        assert_eq!(at(&cache, b"two").recall_text(), None);
        assert_eq!(ResolveCache::for_inputs(&cache, &[b"on", b"e"]).unwrap().recall_text(), None);
        at(&cache, b"two").remember(&"second", &7_u8, ["a", "part"]).unwrap();
        assert_eq!(one.recall_text(), None);
        let meta = std::fs::metadata(cache.join("resolved")).unwrap();
        assert_eq!(meta.permissions().mode() & 0o7777, 0o600);
        assert_eq!(std::fs::metadata(&cache).unwrap().permissions().mode() & 0o7777, 0o700);
    }

    #[test]
    fn a_file_that_is_damaged_anywhere_counts_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let one = at(folder.path(), b"one");
        one.remember(&"first", &7_u8, ["a", "part"]).unwrap();
        let path = folder.path().join("resolved");
        let good = std::fs::read(&path).unwrap();
        for byte in 0..good.len() {
            let mut bad = good.clone();
            bad[byte] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            assert_eq!(one.recall_text(), None, "byte {byte}");
            std::fs::write(&path, &good[..byte]).unwrap();
            assert_eq!(one.recall_text(), None, "the first {byte} bytes");
        }
        std::fs::write(&path, &good).unwrap();
        assert_eq!(one.recall_text().unwrap(), "first");
    }

    #[test]
    fn what_others_may_touch_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let one = at(folder.path(), b"one");
        one.remember(&"first", &7_u8, ["a", "part"]).unwrap();
        let path = folder.path().join("resolved");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o620)).unwrap();
        assert_eq!(one.recall_text(), None);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(one.recall_text().is_some());
        let elsewhere = folder.path().join("elsewhere");
        std::fs::rename(&path, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        assert_eq!(one.recall_text(), None);
        // Neither is a link in the way of the new file followed.
        std::os::unix::fs::symlink(&elsewhere, folder.path().join("resolved.new")).unwrap();
        let before = std::fs::read(&elsewhere).unwrap();
        at(folder.path(), b"two").remember(&"second", &7_u8, ["a", "part"]).unwrap();
        assert_eq!(std::fs::read(&elsewhere).unwrap(), before);
        assert_eq!(at(folder.path(), b"two").recall_text().unwrap(), "second");
    }

    #[test]
    fn no_bytes_make_the_search_for_the_build_fail_otherwise_than_by_finding_none() {
        let program = std::fs::read("/proc/self/exe").unwrap();
        let good = &program[..64 * 1024];
        assert!(build_id_in(good).is_some_and(|it| it.len() >= 16));
        for cut in [0, 5, 6, 40, 64, 100, 700] {
            assert_eq!(build_id_in(&good[..cut]), None, "{cut}");
        }
        for byte in 0..1024 {
            let mut bad = good.to_vec();
            bad[byte] = 0xff;
            let _any = build_id_in(&bad);
        }
    }
}
