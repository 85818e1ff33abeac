//! Looks that were verified: what the kernel said of a file when all of it was read, and the digest of what was
//! read. Where the kernel says the same again, the file is the same, and need not be read.
//!
//! Nobody but the kernel sets the time of the last change (ctime) of a file, and any change sets it: content, size,
//! owner, mode, a time that is put back. What would fool a look is left out, and read each time:
//!
//! - a file that was changed less than the clock's grain before it was read, because a later change may have
//!   the same time;
//! - a file whose time lies ahead, and everything once the clock was set back;
//! - a file that others than root can write: through a mapping of it into memory they write for some time without
//!   that any of this changes;
//! - everything after a boot, and a file on another mount than then, because numbers of devices are used again;
//! - file systems of which others say what their files are (network, FUSE), and those in memory, where what is
//!   written through a mapping need not show.
//!
//! And each file is read anew after some time (`verify`), whatever the kernel says: a disk or somebody who writes
//! to the device may have changed it. The looks are in the cache directory (`looks`), for root alone. A file that
//! is damaged has none.

use super::Digest;
use super::walk::Facts;
use crate::{AbsPath, cache_file};
use rustix::time::{ClockId, clock_gettime};
use sha2::{Digest as _, Sha256};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const NAME: &str = "looks";
const MAGIC: &[u8; 8] = b"sflooks1";
const BOOT: usize = 36;
/// The beginning, the boot, how far the clock was ahead of the time since then, and a digest of all that and of
/// the rest.
const HEAD: usize = 8 + BOOT + 8 + 32;
const RECORD: usize = 104;
pub(super) type Record = [u8; RECORD];
/// About 50 MB in memory.
const RECORDS_MAX: usize = 500_000;
/// A change within this time of another one may have the same time, in nanoseconds: a kernel counts 100 times a
/// second or more often.
const GRAIN: i128 = 20_000_000;
const TICK: i128 = 10_000_000;
const PATIENCE: i128 = 35_000_000;
/// The same where a file system counts seconds.
const COARSE_GRAIN: i128 = 2_000_000_000;
/// By how much the clock may be behind without having been set back.
const SLEWED: i64 = 2;

/// What was known when a run began, and what it has found.
#[derive(Debug)]
pub(crate) struct Looks {
    cache: PathBuf,
    now: Now,
    /// The clock when nothing had been looked at yet.
    begun: i128,
    /// How long a look holds, in seconds.
    verify: u64,
    /// Records in their order.
    known: Vec<u8>,
    news: Mutex<Vec<Record>>,
    racy: Mutex<Racy>,
}

/// Files that were changed too shortly before they were read.
#[derive(Debug, Default)]
pub(super) struct Racy {
    /// With their sizes.
    pub(super) files: Vec<(AbsPath, u64)>,
    /// When the last of them was changed.
    pub(super) changed: i128,
}

/// Which boot this is, and its two clocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Now {
    boot: [u8; BOOT],
    /// Seconds since then, which nobody sets.
    since_boot: u64,
    /// How far the clock that files go by is ahead of that, in seconds.
    ahead: i64,
}

impl Now {
    /// None where the kernel does not tell its boots apart.
    pub(super) fn read() -> Option<Now> {
        let boot = std::fs::read("/proc/sys/kernel/random/boot_id").ok()?;
        let boot = boot.get(..BOOT)?.try_into().ok()?;
        let since_boot = clock_gettime(ClockId::Boottime).tv_sec;
        let ahead = clock_gettime(ClockId::Realtime).tv_sec - since_boot;
        Some(Now { boot, since_boot: u64::try_from(since_boot).ok()?, ahead })
    }

    pub(super) fn since_boot(&self) -> u64 {
        self.since_boot
    }

    #[cfg(test)]
    pub(super) fn of_another_boot(&self) -> Now {
        Now { boot: [b'0'; BOOT], ..self.clone() }
    }

    #[cfg(test)]
    pub(super) fn set_back(&self, seconds: i64) -> Now {
        Now { ahead: self.ahead - seconds, ..self.clone() }
    }
}

impl Looks {
    /// What earlier runs have verified, which holds for so long.
    pub(super) fn open(cache: &Path, verify: Duration) -> Option<Looks> {
        Some(Looks::open_at(Now::read()?, cache, verify))
    }

    fn open_at(now: Now, cache: &Path, verify: Duration) -> Looks {
        let known = read(&cache.join(NAME), &now).unwrap_or_default();
        Looks {
            cache: cache.to_owned(),
            now,
            begun: clock(),
            verify: verify.as_secs(),
            known,
            news: Mutex::default(),
            racy: Mutex::default(),
        }
    }

    /// Whether anything is known.
    pub(super) fn is_any(&self) -> bool {
        !self.known.is_empty()
    }

    /// The digest of a file, as a look found it that still holds.
    pub(super) fn digest(&self, facts: &Facts) -> Option<Digest> {
        self.find(facts)?[SAME..SAME + 32].try_into().ok()
    }

    /// What this run has verified itself, in the order of the files.
    pub(super) fn verified_now(&self) -> Vec<Record> {
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // The latest of one file stands first, and is the one that is found.
        news.reverse();
        news.sort_by(|one, other| one[..KEY].cmp(&other[..KEY]));
        news.dedup_by(|later, first| later[..KEY] == first[..KEY]);
        news
    }

    /// When this content of a file was verified, in seconds since the boot: by an earlier run, or by this one.
    pub(super) fn verified_as(
        &self,
        verified_now: &[Record],
        facts: &Facts,
        digest: &Digest,
    ) -> Option<u64> {
        let found = find_in(verified_now, facts).or_else(|| self.find(facts))?;
        (found[SAME..SAME + 32] == digest[..]).then(|| number(&found[SAME + 32..]))
    }

    pub(super) fn since_boot(&self) -> u64 {
        self.now.since_boot
    }

    /// Whether what the kernel says of something now it said as well when the run began: it has not been changed
    /// since, unless the clock was set back.
    pub(super) fn saw(&self, facts: &Facts) -> bool {
        !is_racy(facts, self.begun)
    }

    pub(super) fn is_set_back(&self, now: &Now) -> bool {
        now.ahead + 1 < self.now.ahead
    }

    fn find(&self, facts: &Facts) -> Option<&Record> {
        let (records, _) = self.known.as_chunks::<RECORD>();
        find_in(records, facts).filter(|it| self.holds(it))
    }

    fn holds(&self, record: &Record) -> bool {
        holds(&record[SAME + 32..], &self.now, self.verify)
    }

    /// A file was read as a whole, after the kernel had said this of it.
    pub(super) fn verified(
        &self,
        facts: &Facts,
        digest: &Digest,
        path: impl FnOnce() -> Option<AbsPath>,
    ) {
        if !facts.is_roots_alone() {
            return;
        }
        if is_racy(facts, clock()) {
            let its = path().map(|it| (it, facts.size()));
            let mut racy = self.racy.lock().unwrap_or_else(PoisonError::into_inner);
            racy.files.extend(its);
            racy.changed = racy.changed.max(facts.changed());
        } else {
            let record = record(facts, digest, self.now.since_boot);
            self.news.lock().unwrap_or_else(PoisonError::into_inner).push(record);
        }
    }

    /// What was read too shortly after it was changed.
    pub(super) fn take_racy(&self) -> Racy {
        std::mem::take(&mut *self.racy.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps what was found for the next run: nothing where there is no news.
    pub(super) fn keep(&self) -> std::io::Result<()> {
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        if news.is_empty() {
            return Ok(());
        }
        // The news come first, so they take the place of what was known.
        let (known, _) = self.known.as_chunks::<RECORD>();
        news.extend(known.iter().filter(|it| self.holds(it)));
        news.sort_by(|one, other| one[..KEY].cmp(&other[..KEY]));
        news.dedup_by(|later, first| later[..KEY] == first[..KEY]);
        news.truncate(RECORDS_MAX);
        write(&self.cache, &self.now, &news.concat())?;
        news.clear();
        Ok(())
    }
}

/// What was said of a file when it was verified, where the kernel says the same now.
fn find_in<'a>(records: &'a [Record], facts: &Facts) -> Option<&'a Record> {
    if records.is_empty() || !facts.is_roots_alone() || is_racy(facts, clock()) {
        return None;
    }
    let wanted = record(facts, &[0; 32], 0);
    let key = numbers(&wanted);
    let at = records.binary_search_by(|it| numbers(it).cmp(&key)).ok()?;
    let found = &records[at];
    (found[..SAME] == wanted[..SAME]).then_some(found)
}

/// Returns when what was changed at this time cannot have the same time as what is changed then; not much later
/// where that takes long.
pub(super) fn pass_grain(changed: i128) {
    // The clock that files go by may be a hundredth of a second behind.
    let rest = (changed + GRAIN + TICK - clock()).clamp(0, PATIENCE);
    std::thread::sleep(Duration::from_nanos(u64::try_from(rest).unwrap_or_default()));
}

/// Whether what was verified then, in seconds since the boot, holds for so many seconds until now.
pub(super) fn holds(verified: &[u8], now: &Now, verify: u64) -> bool {
    let verified = number(verified);
    verified <= now.since_boot && now.since_boot - verified < verify
}

/// Has the next run read every file.
pub(super) fn forget(cache: &Path) -> std::io::Result<()> {
    forget_file(cache, NAME)
}

pub(super) fn forget_file(cache: &Path, name: &str) -> std::io::Result<()> {
    cache_file::remove(&cache.join(name))
}

/// By what a record is found: device, inode and mount.
pub(super) const KEY: usize = 24;
/// All that the kernel has to say again: also ctime, mtime and size.
pub(super) const SAME: usize = KEY + 16 + 16 + 8;

pub(super) fn record(facts: &Facts, digest: &Digest, verified: u64) -> Record {
    let (device, inode) = facts.identity();
    let mut all = [0; RECORD];
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        all[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    for number in [device, inode, facts.mount()] {
        put(&number.to_be_bytes());
    }
    for time in [facts.changed(), facts.modified()] {
        put(&time.to_be_bytes());
    }
    put(&facts.size().to_be_bytes());
    put(digest);
    put(&verified.to_be_bytes());
    all
}

/// The key of a record: in the order of these numbers its bytes are in their order too.
fn numbers(record: &Record) -> [u64; KEY / 8] {
    let (parts, _) = record[..KEY].as_chunks::<8>();
    std::array::from_fn(|at| parts.get(at).map_or(0, |it| u64::from_be_bytes(*it)))
}

pub(super) fn number(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// The clock that files go by, in nanoseconds since 1970.
pub(super) fn clock() -> i128 {
    let now = clock_gettime(ClockId::RealtimeCoarse);
    i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec)
}

/// Whether a change at this time or later may have the same time as the last one.
pub(super) fn is_racy(facts: &Facts, now: i128) -> bool {
    let changed = facts.changed();
    let grain = if changed % 1_000_000_000 == 0 { COARSE_GRAIN } else { GRAIN };
    changed + grain > now
}

fn read(path: &Path, now: &Now) -> Option<Vec<u8>> {
    read_records(path, MAGIC, RECORDS_MAX * RECORD, now)
}

/// The records of a file that is ours and unharmed, of this boot, and from before no other time.
pub(super) fn read_records(
    path: &Path,
    magic: &[u8; 8],
    most: usize,
    now: &Now,
) -> Option<Vec<u8>> {
    let (mut file, length) = cache_file::open_ours(path)?;
    if length > (HEAD + most) as u64 {
        return None;
    }
    let mut head = [0; HEAD];
    file.read_exact(&mut head).ok()?;
    let ahead = i64::from_be_bytes(head[8 + BOOT..8 + BOOT + 8].try_into().ok()?);
    let set_back = now.ahead + SLEWED < ahead;
    if head[..8] != *magic || head[8..8 + BOOT] != now.boot || set_back {
        return None;
    }
    let mut body = Vec::with_capacity(usize::try_from(length).ok()?);
    file.take(most as u64).read_to_end(&mut body).ok()?;
    (seal(&head[..8 + BOOT + 8], &body) == head[8 + BOOT + 8..]).then_some(body)
}

fn seal(head: &[u8], body: &[u8]) -> Digest {
    Sha256::new().chain_update(head).chain_update(body).finalize().into()
}

fn write(cache: &Path, now: &Now, body: &[u8]) -> std::io::Result<()> {
    write_records(cache, NAME, MAGIC, now, body)
}

pub(super) fn write_records(
    cache: &Path,
    name: &str,
    magic: &[u8; 8],
    now: &Now,
    body: &[u8],
) -> std::io::Result<()> {
    cache_file::replace(cache, name, |file| {
        let head = [&magic[..], &now.boot, &now.ahead.to_be_bytes()].concat();
        file.write_all(&head)?;
        file.write_all(&seal(&head, body))?;
        file.write_all(body)
    })
}

#[cfg(test)]
mod tests;
