//! What a process without privileges hands over through a pipe: a sequence of plain records, without anything in
//! them to interpret. Whoever reads takes every byte for hostile, and never more of them than it has room for.
//!
//! ```text
//! steadfast-records 1
//! KIND MODE TIME SIZE NAME-LENGTH CONTENT-LENGTH
//! NAME CONTENT            (one after the other, nothing between)
//! …
//! end 0 0 0 0 0
//! ```

use std::io::{self, BufRead, Read as _, Write};

const FIRST: &str = "steadfast-records 1\n";
/// Nobody's path is longer.
const MAX_NAME: usize = 4096;
/// The most bytes of a file in one record.
pub const PORTION: usize = 256 * 1024;
/// The line before a record is shorter.
const MAX_LINE: u64 = 128;

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Directory,
    /// A file of `size` bytes, which follow.
    File,
    /// Bytes of that file.
    Data,
    /// So many zeros of it (`size`), which are not written.
    Hole,
    /// A symbolic link; its content is where it leads.
    Symlink,
    /// The same file under another name; its content is the first name.
    Hardlink,
    /// The capabilities of the file that was last named, as the kernel keeps them.
    Capabilities,
    /// Where in the whole the bytes that follow begin (`size`).
    Offset,
    /// Bytes that have a digest of their own, and stand for what follows.
    Document,
    /// Nothing follows, and nothing is missing.
    End,
    /// Why nothing follows.
    Failed,
}

const KINDS: [(Kind, &str); 11] = [
    (Kind::Directory, "directory"),
    (Kind::File, "file"),
    (Kind::Data, "data"),
    (Kind::Hole, "hole"),
    (Kind::Symlink, "symlink"),
    (Kind::Hardlink, "hardlink"),
    (Kind::Capabilities, "capabilities"),
    (Kind::Offset, "offset"),
    (Kind::Document, "document"),
    (Kind::End, "end"),
    (Kind::Failed, "failed"),
];

impl Kind {
    fn word(self) -> &'static str {
        KINDS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, word)| word)
    }
}

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    pub kind: Kind,
    pub mode: u32,
    /// When it last changed, in seconds since 1970.
    pub time: i64,
    pub size: u64,
    pub name: &'a [u8],
    pub content: &'a [u8],
}

impl Record<'_> {
    pub fn new(kind: Kind) -> Record<'static> {
        Record { kind, mode: 0, time: 0, size: 0, name: b"", content: b"" }
    }
}

/// Records that are being written.
#[derive(Debug)]
pub struct Writer<W: Write> {
    to: W,
}

impl<W: Write> Writer<W> {
    pub fn new(mut to: W) -> io::Result<Writer<W>> {
        to.write_all(FIRST.as_bytes())?;
        Ok(Writer { to })
    }

    pub fn add(&mut self, record: &Record<'_>) -> io::Result<()> {
        let Record { kind, mode, time, size, name, content } = record;
        let (names, contents) = (name.len(), content.len());
        writeln!(self.to, "{} {mode} {time} {size} {names} {contents}", kind.word())?;
        self.to.write_all(name)?;
        self.to.write_all(content)
    }

    /// Some bytes of what was begun.
    pub fn data(&mut self, content: &[u8]) -> io::Result<()> {
        for content in content.chunks(PORTION) {
            self.add(&Record { content, ..Record::new(Kind::Data) })?;
        }
        Ok(())
    }

    /// The last record.
    pub fn end(&mut self, last: &Record<'_>) -> io::Result<()> {
        self.add(last)?;
        self.to.flush()
    }
}

/// Why records cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("what was handed over is inconsistent: {0}")]
    Broken(&'static str),
    #[error("read what is handed over")]
    Read(#[source] io::Error),
}

impl From<io::Error> for RecordError {
    fn from(err: io::Error) -> RecordError {
        match err.kind() == io::ErrorKind::UnexpectedEof {
            true => RecordError::Broken("it ends early"),
            false => RecordError::Read(err),
        }
    }
}

/// Records that are being read.
#[derive(Debug)]
pub struct Reader<R: BufRead> {
    from: R,
    line: Vec<u8>,
    name: Vec<u8>,
    content: Vec<u8>,
}

impl<R: BufRead> Reader<R> {
    pub fn new(from: R) -> Result<Reader<R>, RecordError> {
        let mut reader = Reader { from, line: vec![], name: vec![], content: vec![] };
        reader.read_line()?;
        match reader.line == FIRST.as_bytes() {
            true => Ok(reader),
            false => Err(RecordError::Broken("it has another format")),
        }
    }

    /// The next record. None follows one that says that it is the last.
    pub fn next_record(&mut self) -> Result<Record<'_>, RecordError> {
        self.read_line()?;
        let head = Head::read(&self.line).ok_or(RecordError::Broken("a record is malformed"))?;
        if head.name > MAX_NAME || head.content > PORTION {
            return Err(RecordError::Broken("a record is larger than it may be"));
        }
        self.name.resize(head.name, 0);
        self.from.read_exact(&mut self.name)?;
        self.content.resize(head.content, 0);
        self.from.read_exact(&mut self.content)?;
        let Head { kind, mode, time, size, name: _, content: _ } = head;
        Ok(Record { kind, mode, time, size, name: &self.name, content: &self.content })
    }

    fn read_line(&mut self) -> Result<(), RecordError> {
        self.line.clear();
        self.from.by_ref().take(MAX_LINE).read_until(b'\n', &mut self.line)?;
        match self.line.last() {
            Some(b'\n') => Ok(()),
            Some(_) | None => Err(RecordError::Broken("it ends early")),
        }
    }
}

/// The line before a record.
struct Head {
    kind: Kind,
    mode: u32,
    time: i64,
    size: u64,
    name: usize,
    content: usize,
}

impl Head {
    fn read(line: &[u8]) -> Option<Head> {
        let line = std::str::from_utf8(line).ok()?;
        let mut words = line.trim_end_matches('\n').split(' ');
        let kind = words.next()?;
        let kind = KINDS.iter().find(|(_, word)| *word == kind)?.0;
        let head = Head {
            kind,
            mode: words.next()?.parse().ok()?,
            time: words.next()?.parse().ok()?,
            size: words.next()?.parse().ok()?,
            name: words.next()?.parse().ok()?,
            content: words.next()?.parse().ok()?,
        };
        words.next().is_none().then_some(head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> Vec<u8> {
        let mut bytes = vec![];
        let mut writer = Writer::new(&mut bytes).unwrap();
        let file =
            Record { mode: 0o755, time: -7, size: 3, name: b"a b\n", ..Record::new(Kind::File) };
        writer.add(&file).unwrap();
        writer.data(b"abc").unwrap();
        writer.end(&Record::new(Kind::End)).unwrap();
        bytes
    }

    fn all(bytes: &[u8]) -> Result<Vec<Kind>, RecordError> {
        let mut reader = Reader::new(bytes)?;
        let mut kinds = vec![];
        loop {
            let record = reader.next_record()?;
            kinds.push(record.kind);
            if record.kind == Kind::End {
                return Ok(kinds);
            }
        }
    }

    #[test]
    fn records_are_read_as_they_were_written_and_never_in_part() {
        let bytes = written();
        assert_eq!(all(&bytes).unwrap(), [Kind::File, Kind::Data, Kind::End]);
        let mut reader = Reader::new(&*bytes).unwrap();
        let file = reader.next_record().unwrap();
        assert_eq!((file.mode, file.time, file.size, file.name), (0o755, -7, 3, &b"a b\n"[..]));
        assert_eq!(reader.next_record().unwrap().content, b"abc");
        for length in 0..bytes.len() {
            assert!(all(&bytes[..length]).is_err(), "cut off at {length}");
        }
    }

    #[test]
    fn a_record_that_lies_about_its_length_makes_nobody_allocate() {
        for line in [
            "file 0 0 0 4097 0\n",
            "data 0 0 0 0 99999999999\n",
            "data 0 0 0 0 -1\n",
            "data 0 0 0 0\n",
            "data 0 0 0 0 0 0\n",
            "program 0 0 0 0 0\n",
            "data 0 0 0 0 10\n",
        ] {
            assert!(all(format!("{FIRST}{line}").as_bytes()).is_err(), "{line}");
        }
        assert!(all(b"steadfast-records 2\nend 0 0 0 0 0\n").is_err());
    }
}
