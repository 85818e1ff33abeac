//! What the kernel says of all files of a directory, as one digest: where it says the same again, all of them are
//! the same, and none need be read. What a read of all of them came to is remembered by it (`models`, in the
//! cache directory), and holds as the looks at single files do: see `looks`. Files that others than
//! root can write have no such digest.

use super::looks::{Now, clock, forget_file, is_racy, read_records, write_records};
use super::walk::{Facts, is_known_disk};
use super::{Digest, looks};
use rustix::fs::CWD;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::path::Path;
use std::time::Duration;

const NAME: &str = "models";
const MAGIC: &[u8; 8] = b"sfmodel1";
/// What files came to: their digest alone, and with what their reader adds.
pub type Found = [Digest; 2];

/// The key, what the files came to, and when that was found out, in seconds since the boot.
const RECORD: usize = 32 + 64 + 8;
/// An agent keeps one model, and somebody may run another by hand.
const RECORDS_MAX: usize = 8;

/// What the kernel says of many files.
#[derive(Debug)]
pub struct Impression {
    all: Sha256,
    /// The mount that was asked about last.
    mount: Option<(u64, u64)>,
    is_sure: bool,
}

impl Default for Impression {
    fn default() -> Impression {
        Impression { all: Sha256::new(), mount: None, is_sure: true }
    }
}

impl Impression {
    /// A file that was opened, and is about to be read.
    pub fn add_open(&mut self, name: &str, file: &File) {
        let before = clock();
        let facts = Facts::about(file).ok();
        self.add(name, facts, before, || rustix::fs::fstatfs(file));
    }

    /// The file at a path.
    pub fn add_at(&mut self, name: &str, path: &Path) {
        let before = clock();
        let facts = Facts::at(CWD, path).ok();
        self.add(name, facts, before, || rustix::fs::statfs(path));
    }

    fn add(
        &mut self,
        name: &str,
        facts: Option<Facts>,
        before: i128,
        disk: impl FnOnce() -> rustix::io::Result<rustix::fs::StatFs>,
    ) {
        let Some(facts) = facts.filter(|it| {
            it.is_file() && it.is_roots_alone() && !is_racy(it, before) && self.is_sure
        }) else {
            self.is_sure = false;
            return;
        };
        let mount = (facts.device(), facts.mount());
        if self.mount != Some(mount) {
            self.is_sure = disk().is_ok_and(|it| is_known_disk(&it));
            self.mount = Some(mount);
        }
        self.all.update((name.len() as u64).to_be_bytes());
        self.all.update(name);
        self.all.update([u8::from(facts.mode().0 & 0o111 != 0)]);
        self.all.update(&looks::record(&facts, &[0; 32], 0)[..looks::SAME]);
    }

    /// None where the kernel may say the same of other files.
    pub fn digest(self) -> Option<Digest> {
        self.is_sure.then(|| self.all.finalize().into())
    }
}

/// What the files came to that this key is made of, where it was found out within this time.
pub fn known(cache: &Path, key: &Digest, verify: Duration) -> Option<Found> {
    let now = Now::read()?;
    let all = read(cache, &now)?;
    let (records, _) = all.as_chunks::<RECORD>();
    let found = records.iter().find(|it| it[..32] == key[..])?;
    let digests = [found[32..64].try_into().ok()?, found[64..96].try_into().ok()?];
    looks::holds(&found[96..], &now, verify.as_secs()).then_some(digests)
}

/// Remembers what they came to, beside what was found out last of others.
pub fn put(cache: &Path, key: &Digest, found: &Found) -> std::io::Result<()> {
    let Some(now) = Now::read() else { return Ok(()) };
    let before = read(cache, &now).unwrap_or_default();
    let (before, _) = before.as_chunks::<RECORD>();
    let mut body = [&key[..], &found.concat(), &now.since_boot().to_be_bytes()].concat();
    let others = before.iter().filter(|it| it[..32] != key[..]).take(RECORDS_MAX - 1);
    others.for_each(|it| body.extend_from_slice(it));
    write_records(cache, NAME, MAGIC, &now, &body)
}

/// Has the next run read them all.
pub(super) fn forget(cache: &Path) -> std::io::Result<()> {
    forget_file(cache, NAME)
}

fn read(cache: &Path, now: &Now) -> Option<Vec<u8>> {
    read_records(&cache.join(NAME), MAGIC, RECORDS_MAX * RECORD, now)
}

#[cfg(test)]
mod tests;
