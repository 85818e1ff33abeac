//! What an artifact is, by its first bytes. Its name says nothing.

use super::order::Stop;
use super::sink::fill;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Tar(Packing),
    Zip,
    Single,
}

/// How a tar archive is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    Plain,
    Gzip,
    Xz,
    Zstd,
}

/// A header of a tar archive.
const BLOCK: usize = 512;

impl Packing {
    fn recognize(start: &[u8]) -> Packing {
        // A frame of Zstandard that is to be passed over may come first.
        let skippable =
            |it: &[u8]| it.len() >= 4 && it[0] & 0xf0 == 0x50 && it[1..4] == [0x2a, 0x4d, 0x18];
        if start.starts_with(&[0x1f, 0x8b]) {
            Packing::Gzip
        } else if start.starts_with(b"\xfd7zXZ\0") {
            Packing::Xz
        } else if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) || skippable(start) {
            Packing::Zstd
        } else {
            Packing::Plain
        }
    }

    /// The bytes that were packed, of all parts that follow each other.
    pub(super) fn open<'a>(self, from: impl Read + 'a) -> Box<dyn Read + 'a> {
        let from = BufReader::with_capacity(256 * 1024, from);
        match self {
            Packing::Plain => Box::new(from),
            Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(from)),
            Packing::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(from, true, XZ_MEMORY_KIB)),
            Packing::Zstd => match zstd::Decoder::with_buffer(from) {
                Ok(decoder) => Box::new(decoder),
                Err(err) => Box::new(Broken(Some(err))),
            },
        }
    }
}

/// What `xz -9` needs is 65 MiB.
const XZ_MEMORY_KIB: u32 = 512 * 1024;

/// What cannot be opened fails where it is read.
struct Broken(Option<io::Error>);

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

pub(super) fn recognize(archive: &File, is_single: bool) -> Result<Format, Stop> {
    let broken = |err: io::Error| Stop::Refused(format!("it cannot be read: {err}"));
    let start = first_bytes(archive).map_err(broken)?;
    if start.is_empty() {
        return Err(Stop::Refused("it has no bytes at all".to_owned()));
    }
    if is_single {
        return Ok(Format::Single);
    }
    if start.starts_with(b"PK\x03\x04") || start.starts_with(b"PK\x05\x06") {
        return Ok(Format::Zip);
    }
    let packing = Packing::recognize(&start);
    if packing == Packing::Plain {
        return Ok(if is_tar(&start) { Format::Tar(packing) } else { Format::Single });
    }
    let mut packed = packing.open(archive);
    let mut start = [0; BLOCK];
    let count = fill(&mut packed, &mut start).map_err(broken)?;
    drop(packed);
    rewind(archive).map_err(broken)?;
    if count == BLOCK && is_tar(&start) {
        return Ok(Format::Tar(packing));
    }
    Err(Stop::Refused(
        "it is compressed, and no tar archive is in it; with `name` it is kept as the single file that it is"
            .to_owned(),
    ))
}

fn first_bytes(archive: &File) -> io::Result<Vec<u8>> {
    let mut start = vec![0; BLOCK];
    let mut from = archive;
    let count = fill(&mut from, &mut start)?;
    start.truncate(count);
    rewind(archive)?;
    Ok(start)
}

fn rewind(mut archive: &File) -> io::Result<()> {
    archive.rewind()
}

/// Whether these are the first bytes of a tar archive: a header whose sum is right, or an archive of nothing.
fn is_tar(start: &[u8]) -> bool {
    let Some(block) = start.first_chunk::<BLOCK>() else { return false };
    if block.iter().all(|it| *it == 0) {
        return true;
    }
    let header = ::tar::Header::from_byte_slice(block);
    let plain = block[..148].iter().chain(&block[156..]).map(|it| u32::from(*it)).sum::<u32>();
    header.cksum().is_ok_and(|it| it == plain + 8 * u32::from(b' '))
}
