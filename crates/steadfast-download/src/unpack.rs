//! Taking an archive apart in memory. It is a stranger's: a manifest says which files are in it, how large each
//! is and which content it has, and whatever else there is ends it. Nothing is written anywhere.

use crate::error::{DownloadError, DownloadErrorKind};
use sha2::Digest as _;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use steadfast_trust::text::printable;

/// A file that an archive must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub path: String,
    /// SHA-256
    pub digest: [u8; 32],
    pub size: u64,
}

/// What gzip made of a text of at most so many bytes; none where it is broken or longer.
pub fn inflate(bytes: &[u8], limit: u64) -> Option<Vec<u8>> {
    let mut text = vec![];
    let zip = flate2::read::GzDecoder::new(bytes);
    zip.take(limit.saturating_add(1)).read_to_end(&mut text).ok()?;
    (text.len() as u64 <= limit).then_some(text)
}

/// Goes through an archive and hands out the files that the manifest names. Whatever else is in it, and
/// whatever is larger than the manifest says, ends it: no more is ever decompressed than that.
pub fn unpack(
    archive: &[u8],
    files: &[Entry],
    mut take: impl FnMut(&Entry, &[u8]) -> Result<(), DownloadError>,
) -> Result<(), DownloadError> {
    let named: BTreeMap<&str, &Entry> = files.iter().map(|it| (it.path.as_str(), it)).collect();
    let mut seen = BTreeSet::new();
    // A header of 512 bytes and up to as much padding, and the same again for a long name.
    let room = |it: &Entry| it.size + it.path.len() as u64 + 4 * 512;
    let total = files.iter().map(room).sum::<u64>() + 64 * 1024;
    let decompressed = flate2::read::GzDecoder::new(archive);
    let mut limited = Limited { from: decompressed, left: total };
    let mut tar = tar::Archive::new(&mut limited);
    let walked = walk(&mut tar, &named, &mut seen, &mut take);
    if limited.left == 0 {
        let words = "the archive holds more than the manifest says";
        return Err(DownloadError::new(DownloadErrorKind::TooLarge, words));
    }
    walked?;
    match files.iter().find(|it| !seen.contains(&it.path)) {
        Some(file) => Err(broken(&format!("{} is not in it", file.path))),
        None => Ok(()),
    }
}

/// Each file of the archive, where it is one that the manifest names, and as it says.
fn walk(
    tar: &mut tar::Archive<impl Read>,
    named: &BTreeMap<&str, &Entry>,
    seen: &mut BTreeSet<String>,
    take: &mut impl FnMut(&Entry, &[u8]) -> Result<(), DownloadError>,
) -> Result<(), DownloadError> {
    let failed = |err: std::io::Error| broken(&err.to_string());
    for found in tar.entries().map_err(failed)? {
        let mut found = found.map_err(failed)?;
        let path = String::from_utf8_lossy(&found.path_bytes()).into_owned();
        let shown = printable(&path);
        if found.header().entry_type() != tar::EntryType::Regular {
            return Err(broken(&format!("{shown} is not a plain file")));
        }
        let Some(file) = named.get(path.as_str()) else {
            return Err(broken(&format!("the manifest does not name {shown}")));
        };
        if found.header().mode().map_err(failed)? & 0o7000 != 0 {
            return Err(broken(&format!("{shown} is setuid, setgid or sticky")));
        }
        if !seen.insert(path) {
            return Err(broken(&format!("{shown} stands in it twice")));
        }
        if found.size() != file.size {
            return Err(broken(&format!("{shown} has another size than the manifest says")));
        }
        let mut content = vec![];
        found.by_ref().take(file.size).read_to_end(&mut content).map_err(failed)?;
        let digest: [u8; 32] = sha2::Sha256::digest(&content).into();
        if digest != file.digest || content.len() as u64 != file.size {
            return Err(broken(&format!("{shown} has another content")));
        }
        take(file, &content)?;
    }
    Ok(())
}

fn broken(why: &str) -> DownloadError {
    DownloadError::new(DownloadErrorKind::Broken, format!("the archive: {why}"))
}

/// What is decompressed, up to a limit.
struct Limited<R> {
    from: R,
    left: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 {
            return Err(std::io::Error::other("more than the manifest says"));
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.from.read(&mut buffer[..most])?;
        self.left -= count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn file(path: &str, content: &[u8]) -> Entry {
        let digest = sha2::Sha256::digest(content).into();
        Entry { path: path.into(), digest, size: content.len() as u64 }
    }

    fn pack(build: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
        let mut tar = tar::Builder::new(vec![]);
        build(&mut tar);
        zipped(&tar.into_inner().unwrap())
    }

    fn zipped(bytes: &[u8]) -> Vec<u8> {
        let mut zip = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
        zip.write_all(bytes).unwrap();
        zip.finish().unwrap()
    }

    fn header(path: &str, kind: tar::EntryType, size: u64, mode: u32) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        // `set_path` would refuse the bad ones.
        header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(mode);
        header.set_cksum();
        header
    }

    fn unpacked(archive: &[u8], files: &[Entry]) -> Result<usize, String> {
        let mut count = 0;
        unpack(archive, files, |_, _| {
            count += 1;
            Ok(())
        })
        .map(|()| count)
        .map_err(|it| it.words)
    }

    #[test]
    fn an_archive_holds_the_files_of_its_manifest_and_nothing_else() {
        use tar::EntryType as Kind;
        let want = [file("a", b"xx")];
        let one = |path: &'static str, kind: Kind, mode: u32, content: &'static [u8]| {
            pack(|tar| {
                let header = header(path, kind, content.len() as u64, mode);
                tar.append(&header, content).unwrap();
            })
        };
        assert_eq!(unpacked(&one("a", Kind::Regular, 0o644, b"xx"), &want), Ok(1));
        let cases = [
            (one("a", Kind::Symlink, 0o644, b""), "a is not a plain file"),
            (one("a", Kind::Link, 0o644, b""), "a is not a plain file"),
            (one("a", Kind::Block, 0o644, b""), "a is not a plain file"),
            (one("a", Kind::Fifo, 0o644, b""), "a is not a plain file"),
            (one("a", Kind::Directory, 0o755, b""), "a is not a plain file"),
            (one("a", Kind::Regular, 0o4755, b"xx"), "a is setuid, setgid or sticky"),
            (one("../a", Kind::Regular, 0o644, b"xx"), "the manifest does not name ../a"),
            (one("/a", Kind::Regular, 0o644, b"xx"), "the manifest does not name /a"),
            (one("b", Kind::Regular, 0o644, b"xx"), "the manifest does not name b"),
            (one("a", Kind::Regular, 0o644, b"xxx"), "a has another size than the manifest says"),
            (one("a", Kind::Regular, 0o644, b"xy"), "a has another content"),
            (pack(|_| {}), "a is not in it"),
            (
                pack(|tar| {
                    for _ in 0..2 {
                        tar.append(&header("a", Kind::Regular, 2, 0o644), &b"xx"[..]).unwrap();
                    }
                }),
                "a stands in it twice",
            ),
        ];
        for (archive, expected) in cases {
            assert_eq!(unpacked(&archive, &want), Err(format!("the archive: {expected}")));
        }
        let whole = one("a", Kind::Regular, 0o644, b"xx");
        for length in 0..whole.len() - 8 {
            assert!(unpacked(&whole[..length], &want).is_err() || length > 40, "cut at {length}");
        }
        assert!(unpacked(b"junk", &want).is_err());
    }

    #[test]
    fn a_bomb_ends_at_what_the_manifest_says() {
        // 64 MiB of zeros, which say of themselves that they are 10 GiB.
        let mut bytes = header("a", tar::EntryType::Regular, 10 << 30, 0o644).as_bytes().to_vec();
        bytes.resize(64 << 20, 0);
        let bomb = zipped(&bytes);
        let words = unpacked(&bomb, &[file("a", b"xx")]).unwrap_err();
        assert_eq!(words, "the archive: a has another size than the manifest says");
        // One that hides behind a name of that length.
        let mut bytes =
            header("l", tar::EntryType::GNULongName, 10 << 30, 0o644).as_bytes().to_vec();
        bytes.resize(64 << 20, b'x');
        let bomb = zipped(&bytes);
        let words = unpacked(&bomb, &[file("a", b"xx")]).unwrap_err();
        assert_eq!(words, "the archive holds more than the manifest says");
    }
}
