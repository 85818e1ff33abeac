//! Reading what is in a regular file that is open: as far as it is wanted, and no further than whoever can write
//! there may make us.

use super::{Content, Digest, KEPT_FILE_MAX, OURS_MAX, Wanted};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

/// How much of a file is taken as bytes.
pub(super) const BYTES_MAX: u64 = 16 * 1024 * 1024;
/// How much is read where others can write, as bytes or for a digest: whoever fills that directory must
/// not keep us for hours. What a promise says is there may be larger.
pub(super) const OPEN_MAX: u64 = 1024 * 1024;
pub(super) const BUFFER: usize = 64 * 1024;

pub(super) fn needs_content(wanted: Wanted, size: u64) -> bool {
    match wanted {
        Wanted::Nothing => false,
        Wanted::DigestIfSize(expected) => size == expected,
        Wanted::Digest | Wanted::DigestOfOurs | Wanted::Bytes => true,
    }
}

/// The content of an open regular file, as far as it is wanted.
pub(super) fn content(
    fd: &OwnedFd,
    size: u64,
    wanted: Wanted,
    open: bool,
    buffer: &mut [u8],
) -> Result<Content, Errno> {
    if !needs_content(wanted, size) {
        return Ok(Content::NotRead);
    }
    match wanted {
        Wanted::Nothing => Ok(Content::NotRead),
        Wanted::DigestIfSize(_) | Wanted::Digest | Wanted::DigestOfOurs => {
            let closed = match wanted {
                Wanted::DigestOfOurs => OURS_MAX,
                Wanted::Digest | Wanted::DigestIfSize(_) | Wanted::Nothing | Wanted::Bytes => {
                    KEPT_FILE_MAX
                }
            };
            let limit = match wanted {
                Wanted::DigestIfSize(promised) => promised,
                Wanted::Digest | Wanted::DigestOfOurs | Wanted::Nothing | Wanted::Bytes => {
                    if open {
                        OPEN_MAX
                    } else {
                        closed
                    }
                }
            };
            let mut hasher = Sha256::new();
            let whole = pieces(fd, size, limit, buffer, |piece| hasher.update(piece))?;
            Ok(if whole { Content::Digest(hasher.finalize().into()) } else { Content::TooLarge })
        }
        Wanted::Bytes => {
            let limit = if open { OPEN_MAX } else { BYTES_MAX };
            Ok(match bytes(fd, size, limit, buffer)? {
                Some(bytes) => Content::Bytes(bytes.into()),
                None => Content::TooLarge,
            })
        }
    }
}

/// All bytes of an open file, or none where it has more than `limit`.
pub(super) fn bytes(
    fd: &OwnedFd,
    size: u64,
    limit: u64,
    buffer: &mut [u8],
) -> Result<Option<Vec<u8>>, Errno> {
    let mut all = Vec::with_capacity(usize::try_from(size.min(limit)).unwrap_or(0));
    let whole = pieces(fd, size, limit, buffer, |piece| all.extend_from_slice(piece))?;
    Ok(whole.then_some(all))
}

/// Gives the content in pieces; false where it is larger than `limit`.
fn pieces(
    fd: &OwnedFd,
    size: u64,
    limit: u64,
    buffer: &mut [u8],
    mut take: impl FnMut(&[u8]),
) -> Result<bool, Errno> {
    if size > limit {
        return Ok(false);
    }
    let mut total = 0_u64;
    loop {
        let count = match rustix::io::read(fd, &mut *buffer) {
            Ok(count) => count,
            Err(Errno::INTR) => continue,
            Err(err) => return Err(err),
        };
        if count == 0 {
            return Ok(true);
        }
        total += count as u64;
        if total > limit {
            return Ok(false);
        }
        take(&buffer[..count]);
        // A short read at the size that it has is its end: no second read has to say so.
        if total == size && count < buffer.len() {
            return Ok(true);
        }
    }
}

pub(super) fn digest(bytes: &[u8]) -> Digest {
    Sha256::digest(bytes).into()
}

/// Whether nobody but the kernel says what the files of a file system are.
pub(super) fn is_known_disk(about: &rustix::fs::StatFs) -> bool {
    const KNOWN: [u64; 5] = [
        0xEF53,      // ext2, ext3, ext4
        0x5846_5342, // xfs
        0x9123_683E, // btrfs
        0xF2F5_2010, // f2fs
        0x794C_7630, // overlayfs
    ];
    u64::try_from(about.f_type).is_ok_and(|it| KNOWN.contains(&it))
}
