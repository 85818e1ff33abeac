//! Tar archives: ustar, the old form, GNU's and PAX's long names, sparse files of both.

use super::names::shown;
use super::order::Stop;
use super::sink::{File, Sink, fill};
use std::io::{self, Read, Write};
use tar::{Archive, Entry, EntryType};

/// Where PAX keeps extended attributes, of which one matters.
const CAPABILITIES: &[u8] = b"SCHILY.xattr.security.capability";

/// Hands over all entries; `most` is what it may have uncompressed.
pub(super) fn unpack(
    from: impl Read,
    most: u64,
    sink: &mut Sink<'_, impl Write>,
) -> Result<(), Stop> {
    let mut limited = Limited { from, left: most, over: false };
    let walked = walk(&mut limited, sink);
    if limited.over {
        return Err(Stop::TooLarge(format!("uncompressed it has more than {most} bytes")));
    }
    walked?;
    // Whoever compressed it has written a sum at the end, which only now is compared.
    match io::copy(&mut limited, &mut io::sink()) {
        Err(_) if limited.over => {
            Err(Stop::TooLarge(format!("uncompressed it has more than {most} bytes")))
        }
        Err(err) => Err(broken(&err)),
        Ok(_) => Ok(()),
    }
}

fn broken(err: &io::Error) -> Stop {
    Stop::Refused(format!("it is broken: {err}"))
}

fn walk(from: impl Read, sink: &mut Sink<'_, impl Write>) -> Result<(), Stop> {
    let mut archive = Archive::new(from);
    for entry in archive.entries().map_err(|err| broken(&err))? {
        let mut entry = entry.map_err(|err| broken(&err))?;
        hand_over(&mut entry, sink)?;
    }
    Ok(())
}

fn hand_over(
    entry: &mut Entry<'_, impl Read>,
    sink: &mut Sink<'_, impl Write>,
) -> Result<(), Stop> {
    let extended = Extended::read(entry)?;
    let name = match &extended.name {
        Some(name) => name.clone(),
        None => entry.path_bytes().into_owned(),
    };
    let kind = entry.header().entry_type();
    let link = entry.link_name_bytes().map(|it| it.into_owned()).unwrap_or_default();
    match kind {
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {}
        EntryType::Directory => return sink.directory(&name),
        EntryType::Symlink => return sink.symlink(&name, &link),
        EntryType::Link => return sink.hardlink(&name, &link),
        EntryType::Char | EntryType::Block | EntryType::Fifo => {
            return Err(Stop::Refused(format!("{} is a device or a pipe", shown(&name))));
        }
        // Words about all that follows.
        EntryType::XGlobalHeader => return Ok(()),
        other @ (EntryType::GNULongName | EntryType::GNULongLink | EntryType::XHeader | _) => {
            // The name of the archive.
            if other.as_byte() == b'V' {
                return Ok(());
            }
            let kind = char::from(other.as_byte()).escape_default().to_string();
            let words = format!("{} is of the unknown kind `{kind}`", shown(&name));
            return Err(Stop::Refused(words));
        }
    }
    // The old form knows no other way to say so.
    if entry.header().as_ustar().is_none()
        && entry.header().as_gnu().is_none()
        && name.ends_with(b"/")
    {
        return sink.directory(&name);
    }
    let mode = entry.header().mode().map_err(|err| broken(&err))?;
    let time = extended.time.or_else(|| i64::try_from(entry.header().mtime().ok()?).ok());
    let time = time.unwrap_or_default();
    match extended.map {
        None => {
            let file = File { name: &name, mode, time, size: entry.size() };
            sink.file(&file, &mut *entry, kind == EntryType::GNUSparse)?;
        }
        Some((size, map)) => {
            let map = map.into_list(entry)?;
            let file = File { name: &name, mode, time, size };
            let holes = Holes::new(entry, size, map).ok_or_else(|| {
                Stop::Refused(format!("the map of the sparse file {} is broken", shown(&name)))
            })?;
            sink.file(&file, holes, true)?;
        }
    }
    match &extended.capabilities {
        Some(content) => sink.capabilities(&name, content),
        None => Ok(()),
    }
}

/// What PAX says of an entry beyond what the library reads.
#[derive(Default)]
struct Extended {
    name: Option<Vec<u8>>,
    time: Option<i64>,
    capabilities: Option<Vec<u8>>,
    /// The size of a sparse file, and where its bytes belong.
    map: Option<(u64, Map)>,
}

/// Where the parts of a sparse file belong: the place of each and its length.
enum Map {
    Known(Vec<(u64, u64)>),
    /// It stands before the parts.
    Inside,
}

impl Extended {
    fn read(entry: &mut Entry<'_, impl Read>) -> Result<Extended, Stop> {
        let Some(extensions) = entry.pax_extensions().map_err(|err| broken(&err))? else {
            return Ok(Extended::default());
        };
        let mut extended = Extended::default();
        let (mut size, mut inside, mut numbers) = (None, false, vec![]);
        let mut is_sparse = false;
        for extension in extensions {
            let extension = extension.map_err(|err| broken(&err))?;
            let value = extension.value_bytes();
            match extension.key_bytes() {
                b"mtime" => extended.time = whole_seconds(value),
                CAPABILITIES => extended.capabilities = Some(value.to_owned()),
                b"GNU.sparse.name" => extended.name = Some(value.to_owned()),
                b"GNU.sparse.realsize" | b"GNU.sparse.size" => size = number(value),
                b"GNU.sparse.major" => {
                    is_sparse = true;
                    inside = value == b"1";
                }
                b"GNU.sparse.map" => {
                    is_sparse = true;
                    numbers = value.split(|it| *it == b',').map(number).collect();
                }
                b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
                    is_sparse = true;
                    numbers.push(number(value));
                }
                _ => {}
            }
        }
        if !is_sparse {
            return Ok(extended);
        }
        let wrong = || Stop::Refused("the map of a sparse file is broken".to_owned());
        let size = size.ok_or_else(wrong)?;
        let map = match inside {
            true => Map::Inside,
            false => Map::Known(pairs(&numbers).ok_or_else(wrong)?),
        };
        extended.map = Some((size, map));
        Ok(extended)
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// `1700000000.123`, or before 1970.
fn whole_seconds(value: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(value).ok()?;
    text.split('.').next()?.parse().ok()
}

fn pairs(numbers: &[Option<u64>]) -> Option<Vec<(u64, u64)>> {
    if !numbers.len().is_multiple_of(2) {
        return None;
    }
    numbers.chunks_exact(2).map(|it| Some((it[0]?, it[1]?))).collect()
}

/// A map of a sparse file is no longer.
const MAX_PARTS: u64 = 1_000_000;

impl Map {
    /// Where it stands before the parts it is read: numbers on lines of their own, and then to the end of a block.
    fn into_list(self, from: &mut impl Read) -> Result<Vec<(u64, u64)>, Stop> {
        let wrong = || Stop::Refused("the map of a sparse file is broken".to_owned());
        if let Map::Known(list) = self {
            return Ok(list);
        }
        let mut block = [0; 512];
        let mut at = block.len();
        let mut next = || -> Result<u64, Stop> {
            let mut value: u64 = 0;
            loop {
                if at == block.len() {
                    let count = fill(from, &mut block).map_err(|err| broken(&err))?;
                    if count < block.len() {
                        return Err(wrong());
                    }
                    at = 0;
                }
                let byte = block[at];
                at += 1;
                match byte {
                    b'\n' => return Ok(value),
                    b'0'..=b'9' => {
                        let more = value.checked_mul(10);
                        let more = more.and_then(|it| it.checked_add(u64::from(byte - b'0')));
                        value = more.ok_or_else(wrong)?;
                    }
                    _ => return Err(wrong()),
                }
            }
        };
        let count = next()?;
        if count > MAX_PARTS {
            return Err(wrong());
        }
        (0..count).map(|_| Ok((next()?, next()?))).collect()
    }
}

/// A sparse file as it is read: its parts, and zeros between them.
struct Holes<'a, R> {
    from: &'a mut R,
    parts: std::vec::IntoIter<(u64, u64)>,
    /// The part that is next, or is being read: where it begins, and what is left of it.
    part: Option<(u64, u64)>,
    at: u64,
    size: u64,
}

impl<'a, R: Read> Holes<'a, R> {
    /// None where the parts are not in order, or do not lie within the file.
    fn new(from: &'a mut R, size: u64, map: Vec<(u64, u64)>) -> Option<Holes<'a, R>> {
        let mut end = 0;
        for (offset, length) in &map {
            if *offset < end {
                return None;
            }
            end = offset.checked_add(*length)?;
        }
        if end > size {
            return None;
        }
        let mut parts = map.into_iter();
        let part = parts.next();
        Some(Holes { from, parts, part, at: 0, size })
    }
}

impl<R: Read> Read for Holes<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some((_, 0)) = self.part {
            self.part = self.parts.next();
        }
        let most = |left: u64| usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let count = match self.part {
            Some((offset, left)) if offset == self.at => {
                let most = most(left);
                let count = self.from.read(&mut buffer[..most])?;
                if count == 0 && most > 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                self.part = Some((offset + count as u64, left - count as u64));
                count
            }
            other => {
                let until = other.map_or(self.size, |it| it.0);
                let count = most(until - self.at);
                buffer[..count].fill(0);
                count
            }
        };
        self.at += count as u64;
        Ok(count)
    }
}

/// What is uncompressed, up to a limit.
struct Limited<R> {
    from: R,
    left: u64,
    over: bool,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !buffer.is_empty() {
            self.over = self.from.read(&mut [0])? > 0;
            return if self.over { Err(io::Error::other("too large")) } else { Ok(0) };
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.from.read(&mut buffer[..most])?;
        self.left -= count as u64;
        Ok(count)
    }
}
