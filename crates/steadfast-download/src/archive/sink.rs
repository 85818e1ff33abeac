//! Where the entries of an archive go, of whatever kind it is: counted, their names in plain form, and refused where
//! they are none of what a tree of files consists of.

use super::names::{plain, shown};
use super::order::{MAX_ENTRIES, Order, Stop};
use crate::records::{Kind, PORTION, Record, Writer};
use std::io::{Read, Write};

const SETUID_SETGID: u32 = 0o6000;

/// A file of an archive, as the archive has it.
#[derive(Debug)]
pub(super) struct File<'a> {
    pub name: &'a [u8],
    pub mode: u32,
    pub time: i64,
    pub size: u64,
}

#[derive(Debug)]
pub(super) struct Sink<'a, W: Write> {
    pub records: Writer<W>,
    order: &'a Order,
    pub entries: u64,
    bytes: u64,
}

impl<'a, W: Write> Sink<'a, W> {
    pub(super) fn new(records: Writer<W>, order: &'a Order) -> Sink<'a, W> {
        Sink { records, order, entries: 0, bytes: 0 }
    }

    fn count(&mut self) -> Result<(), Stop> {
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            return Err(Stop::TooLarge(format!("it has more than {MAX_ENTRIES} entries")));
        }
        Ok(())
    }

    /// The plain name of something that is no directory, and so may not get lost.
    fn place(&self, name: &[u8]) -> Result<Vec<u8>, Stop> {
        let place = plain(name, self.order.strip)?;
        place.ok_or_else(|| {
            let (name, strip) = (shown(name), self.order.strip);
            let parts = if strip == 1 { "part" } else { "parts" };
            Stop::Refused(format!(
                "nothing is left of the name {name}, from which `strip` takes {strip} {parts}"
            ))
        })
    }

    pub(super) fn directory(&mut self, name: &[u8]) -> Result<(), Stop> {
        let Some(name) = plain(name, self.order.strip)? else { return Ok(()) };
        self.count()?;
        Ok(self.records.add(&Record { name: &name, ..Record::new(Kind::Directory) })?)
    }

    /// Where a link leads is looked at by whoever makes it.
    pub(super) fn symlink(&mut self, name: &[u8], target: &[u8]) -> Result<(), Stop> {
        let place = self.place(name)?;
        let length = target.len();
        if length == 0 || length > 4095 || target.contains(&0) {
            let words = format!("{} is a link that leads nowhere", shown(name));
            return Err(Stop::Refused(words));
        }
        self.count()?;
        let link = Record { name: &place, content: target, ..Record::new(Kind::Symlink) };
        Ok(self.records.add(&link)?)
    }

    pub(super) fn hardlink(&mut self, name: &[u8], first: &[u8]) -> Result<(), Stop> {
        let (place, first) = (self.place(name)?, self.place(first)?);
        self.count()?;
        let link = Record { name: &place, content: &first, ..Record::new(Kind::Hardlink) };
        Ok(self.records.add(&link)?)
    }

    /// A file, whose bytes are read to their end. Where it may have holes, long zeros are not handed over.
    pub(super) fn file(
        &mut self,
        file: &File<'_>,
        mut content: impl Read,
        has_holes: bool,
    ) -> Result<(), Stop> {
        let name = self.place(file.name)?;
        if file.mode & SETUID_SETGID != 0 && !self.order.setuid {
            let words = format!(
                "{} is setuid or setgid; `unpack: {{ setuid: true }}` accepts that",
                shown(file.name)
            );
            return Err(Stop::Refused(words));
        }
        self.count()?;
        self.bytes = self.bytes.saturating_add(file.size);
        if self.bytes > self.order.max {
            let words = format!(
                "unpacked it has more than {} bytes; `unpack: {{ max: … }}` is the limit",
                self.order.max
            );
            return Err(Stop::TooLarge(words));
        }
        let File { name: _, mode, time, size } = *file;
        self.records.add(&Record { mode, time, size, name: &name, ..Record::new(Kind::File) })?;
        let broken = |err: std::io::Error| Stop::Refused(format!("{}: {err}", shown(file.name)));
        let mut left = size;
        let mut buffer = vec![0; PORTION.min(usize::try_from(size).unwrap_or(PORTION)).max(1)];
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(PORTION).min(buffer.len());
            let count = fill(&mut content, &mut buffer[..most]).map_err(broken)?;
            if count < most {
                return Err(Stop::Refused(format!("it ends within {}", shown(file.name))));
            }
            let portion = &buffer[..count];
            if has_holes && portion.iter().all(|it| *it == 0) {
                self.records.add(&Record { size: count as u64, ..Record::new(Kind::Hole) })?;
            } else {
                self.records.data(portion)?;
            }
            left -= count as u64;
        }
        // Whatever checks itself at its end does so now; and there is nothing more.
        match fill(&mut content, &mut [0]).map_err(broken)? {
            0 => Ok(()),
            _ => Err(Stop::Refused(format!("{} is larger than it says", shown(file.name)))),
        }
    }

    /// What the file that was last handed over may do beyond its user.
    pub(super) fn capabilities(&mut self, name: &[u8], content: &[u8]) -> Result<(), Stop> {
        if !self.order.setuid {
            let words = format!(
                "{} has file capabilities; `unpack: {{ setuid: true }}` accepts that",
                shown(name)
            );
            return Err(Stop::Refused(words));
        }
        if content.len() > 64 {
            return Err(Stop::Refused(format!("{} has broken capabilities", shown(name))));
        }
        Ok(self.records.add(&Record { content, ..Record::new(Kind::Capabilities) })?)
    }
}

/// Reads until there is no room, or nothing more.
pub(super) fn fill(from: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(err) if err.kind() == std::io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
    Ok(filled)
}
