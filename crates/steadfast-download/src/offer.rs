//! What the fetcher hands over: one file in its cache directory, a sequence of named records without links,
//! permissions or anything else to interpret. Whoever reads it takes every byte for hostile.
//!
//! ```text
//! steadfast-offer 1
//! KIND NAME-LENGTH LENGTH
//! NAME CONTENT            (one after the other, then a line feed)
//! …
//! end 0 0
//! ```

use crate::error::DownloadError;
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

const NAME: &str = "offer";
const FIRST: &str = "steadfast-offer 1\n";
/// Names are paths below a model's root, or names of objects.
const MAX_NAME: usize = 4096;

/// Why an offer cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum OfferError {
    #[error("what was downloaded is inconsistent: {why}")]
    Broken { why: &'static str },
    #[error("{what}")]
    Local {
        what: &'static str,
        #[source]
        err: std::io::Error,
    },
}

impl OfferError {
    fn broken(why: &'static str) -> OfferError {
        OfferError::Broken { why }
    }

    fn local(what: &'static str, err: impl Into<std::io::Error>) -> OfferError {
        OfferError::Local { what, err: err.into() }
    }
}

/// One thing that was brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub kind: String,
    pub name: String,
    pub content: Vec<u8>,
}

/// An offer that is being written. It is in place only once it is whole.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Writer {
    pub fn new(folder: &Path) -> Result<Writer, DownloadError> {
        Writer::named(folder, NAME)
    }

    /// A file in the same form beside it.
    pub fn named(folder: &Path, name: &str) -> Result<Writer, DownloadError> {
        let failed = |err| DownloadError::local("write the download", err);
        let path = folder.join(name);
        let file = File::create(path.with_extension("new")).map_err(failed)?;
        let mut file = BufWriter::new(file);
        file.write_all(FIRST.as_bytes()).map_err(failed)?;
        Ok(Writer { path, file })
    }

    pub fn add(&mut self, kind: &str, name: &str, content: &[u8]) -> Result<(), DownloadError> {
        self.try_add(kind, name, content)
            .map_err(|err| DownloadError::local("write the download", err))
    }

    fn try_add(&mut self, kind: &str, name: &str, content: &[u8]) -> std::io::Result<()> {
        writeln!(self.file, "{kind} {} {}", name.len(), content.len())?;
        self.file.write_all(name.as_bytes())?;
        self.file.write_all(content)?;
        self.file.write_all(b"\n")
    }

    pub fn finish(mut self) -> Result<(), DownloadError> {
        self.try_add(END, "", b"")
            .and_then(|()| self.file.flush())
            .and_then(|()| std::fs::rename(self.path.with_extension("new"), &self.path))
            .map_err(|err| DownloadError::local("write the download", err))
    }
}

/// Takes an earlier offer away, so that it cannot be taken for a new one, and the files of the same form
/// that were named beside it.
pub fn clear(folder: &Path, beside: &[&str]) -> Result<(), DownloadError> {
    for name in [NAME].iter().chain(beside) {
        let path = folder.join(name);
        for path in [path.with_extension("new"), path] {
            match std::fs::remove_file(path) {
                Ok(()) => {}
                Err(err) if err.kind() == std::io::ErrorKind::NotFound => {}
                Err(err) => return Err(DownloadError::local("clear the cache directory", err)),
            }
        }
    }
    Ok(())
}

/// The line before a record: what it is, and the lengths of its name and content.
#[derive(Debug)]
struct Head {
    kind: String,
    name: u64,
    content: u64,
}

impl Head {
    fn read(line: &str) -> Option<Head> {
        let mut words = line.split(' ');
        let (kind, name, content) = (words.next()?, words.next()?, words.next()?);
        let none = words.next().is_none();
        let head = Head {
            kind: kind.to_owned(),
            name: name.parse().ok()?,
            content: content.parse().ok()?,
        };
        none.then_some(head)
    }
}

/// What the last line says that it is.
const END: &str = "end";

fn malformed() -> OfferError {
    OfferError::broken("a record of the offer is malformed")
}

/// An offer that is being read. What comes next is known before it is read, so that whoever reads need not
/// take in what he has no use for yet.
#[derive(Debug)]
pub struct Reader {
    file: BufReader<File>,
    left: u64,
    next: Option<Head>,
}

impl Reader {
    pub fn open(folder: &Path, limit: u64) -> Result<Reader, OfferError> {
        Reader::named(folder, NAME, limit)
    }

    /// Neither the directory nor the file may be a link, and no more than `limit` bytes are read.
    pub fn named(folder: &Path, name: &str, limit: u64) -> Result<Reader, OfferError> {
        let failed = |err: rustix::io::Errno| OfferError::local("open the download", err);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let folder = rustix::fs::open(folder, flags | OFlags::DIRECTORY, Mode::empty());
        let folder = folder.map_err(failed)?;
        let file = rustix::fs::openat(&folder, name, flags, Mode::empty()).map_err(failed)?;
        let file = File::from(file);
        let meta = file.metadata().map_err(|err| OfferError::local("open the download", err))?;
        if !meta.is_file() {
            return Err(OfferError::broken("the offer is not a file"));
        }
        let mut reader = Reader { file: BufReader::new(file), left: limit, next: None };
        if reader.line()? != FIRST.trim_end() {
            return Err(OfferError::broken("the offer has another format"));
        }
        Ok(reader)
    }

    /// The next record; none at the end.
    pub fn next_record(&mut self) -> Result<Option<Record>, OfferError> {
        match self.next_kind()? {
            Some(_) => self.take(u64::MAX).map(Some),
            None => Ok(None),
        }
    }

    /// What the next record is, of which nothing is read yet; none at the end.
    pub fn next_kind(&mut self) -> Result<Option<&str>, OfferError> {
        if self.next.is_none() {
            let line = self.line()?;
            let head = Head::read(&line).ok_or_else(malformed)?;
            // The last one is whole too, or something is missing.
            if head.kind == END && (head.name, head.content, self.bytes(1)?) != (0, 0, b"\n".into())
            {
                return Err(malformed());
            }
            self.next = Some(head);
        }
        let kind = self.next.as_ref().map(|it| it.kind.as_str());
        Ok(kind.filter(|it| *it != END))
    }

    /// Reads that record, if its content has no more than so many bytes.
    pub fn take(&mut self, most: u64) -> Result<Record, OfferError> {
        let Some(Head { kind, name, content }) = self.next.take() else {
            return Err(malformed());
        };
        if name > MAX_NAME as u64 {
            return Err(OfferError::broken("a name in the offer is too long"));
        }
        if content > most {
            return Err(OfferError::broken("a record of the offer is larger than it may be"));
        }
        let name = String::from_utf8(self.bytes(name)?)
            .map_err(|_| OfferError::broken("a name in the offer is not UTF-8"))?;
        let content = self.bytes(content)?;
        if self.bytes(1)? != b"\n" {
            return Err(malformed());
        }
        Ok(Record { kind, name, content })
    }

    fn bytes(&mut self, count: u64) -> Result<Vec<u8>, OfferError> {
        self.left = self
            .left
            .checked_sub(count)
            .ok_or_else(|| OfferError::broken("the download is larger than a model may be"))?;
        // Grown as it is read: a length alone allocates nothing.
        let mut bytes = vec![];
        self.file
            .by_ref()
            .take(count)
            .read_to_end(&mut bytes)
            .map_err(|err| OfferError::local("read the download", err))?;
        if bytes.len() as u64 != count {
            return Err(OfferError::broken("the offer ends early"));
        }
        Ok(bytes)
    }

    fn line(&mut self) -> Result<String, OfferError> {
        let mut line = vec![];
        self.file
            .by_ref()
            .take(64)
            .read_until(b'\n', &mut line)
            .map_err(|err| OfferError::local("read the download", err))?;
        self.left = self
            .left
            .checked_sub(line.len() as u64)
            .ok_or_else(|| OfferError::broken("the download is larger than a model may be"))?;
        if line.pop() != Some(b'\n') {
            return Err(OfferError::broken("the offer ends early"));
        }
        String::from_utf8(line).map_err(|_| malformed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(folder: &Path, limit: u64) -> Result<Vec<Record>, String> {
        let mut reader = Reader::open(folder, limit).map_err(|it| it.to_string())?;
        let mut records = vec![];
        while let Some(record) = reader.next_record().map_err(|it| it.to_string())? {
            records.push(record);
        }
        Ok(records)
    }

    #[test]
    fn nothing_of_a_record_is_read_before_it_is_taken_nor_more_than_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::new(folder.path()).unwrap();
        for (kind, length) in [("small", 3), ("large", 1 << 20)] {
            writer.add(kind, "", &vec![0; length]).unwrap();
        }
        writer.finish().unwrap();
        let mut reader = Reader::open(folder.path(), 2 << 20).unwrap();
        assert_eq!(reader.next_kind().unwrap(), Some("small"));
        assert_eq!(reader.next_kind().unwrap(), Some("small"), "it is still there");
        assert_eq!(reader.take(3).unwrap().content.len(), 3);
        let left = reader.left;
        assert_eq!(reader.next_kind().unwrap(), Some("large"));
        assert!(left - reader.left < 64);
        assert!(reader.take((1 << 20) - 1).unwrap_err().to_string().contains("larger than it may"));
    }

    #[test]
    fn an_offer_is_read_as_it_was_written_and_never_in_part() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::new(folder.path()).unwrap();
        writer.add("file", "a b\n", b"1 2\n").unwrap();
        assert!(Reader::open(folder.path(), 1000).is_err(), "it is not there before it is whole");
        writer.finish().unwrap();
        let records = all(folder.path(), 1000).unwrap();
        assert_eq!(records.len(), 1);
        assert_eq!(
            (records[0].name.as_str(), records[0].content.as_slice()),
            ("a b\n", &b"1 2\n"[..])
        );
        assert!(all(folder.path(), 30).unwrap_err().contains("larger than a model"));
        let raw = std::fs::read(folder.path().join(NAME)).unwrap();
        for length in 0..raw.len() {
            std::fs::write(folder.path().join(NAME), &raw[..length]).unwrap();
            assert!(all(folder.path(), 1000).is_err(), "cut off at {length}");
        }
        std::fs::write(folder.path().join(NAME), format!("{FIRST}file 1 99999999999\na")).unwrap();
        assert!(all(folder.path(), u64::MAX).unwrap_err().contains("ends early"));
        std::fs::remove_file(folder.path().join(NAME)).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join(NAME)).unwrap();
        assert!(all(folder.path(), 1000).unwrap_err().contains("open the download"));
    }
}
