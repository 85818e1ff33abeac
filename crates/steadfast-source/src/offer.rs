//! What the fetcher hands over: one file in its cache folder, a sequence of named records without links,
//! permissions or anything else to interpret. Whoever reads it takes every byte for hostile.
//!
//! ```text
//! steadfast-offer 1
//! KIND NAME-LENGTH LENGTH
//! NAME CONTENT            (one after the other, then a line feed)
//! …
//! end 0 0
//! ```

use crate::refusal::{BringError, Refusal};
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

const NAME: &str = "offer";
const FIRST: &str = "steadfast-offer 1\n";
/// Names are paths below a model's root, or names of objects.
const MAX_NAME: usize = 4096;

/// One thing that was brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub kind: String,
    pub name: String,
    pub content: Vec<u8>,
}

/// An offer that is being written. It is in place only once it is whole.
pub(crate) struct Writer {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Writer {
    pub(crate) fn new(folder: &Path) -> Result<Writer, BringError> {
        Writer::named(folder, NAME)
    }

    /// A file in the same form beside it.
    pub(crate) fn named(folder: &Path, name: &str) -> Result<Writer, BringError> {
        let failed = |err| BringError::local("write what was brought", err);
        let path = folder.join(name);
        let file = File::create(path.with_extension("new")).map_err(failed)?;
        let mut file = BufWriter::new(file);
        file.write_all(FIRST.as_bytes()).map_err(failed)?;
        Ok(Writer { path, file })
    }

    pub(crate) fn add(&mut self, kind: &str, name: &str, content: &[u8]) -> Result<(), BringError> {
        self.try_add(kind, name, content)
            .map_err(|err| BringError::local("write what was brought", err))
    }

    fn try_add(&mut self, kind: &str, name: &str, content: &[u8]) -> std::io::Result<()> {
        writeln!(self.file, "{kind} {} {}", name.len(), content.len())?;
        self.file.write_all(name.as_bytes())?;
        self.file.write_all(content)?;
        self.file.write_all(b"\n")
    }

    pub(crate) fn finish(mut self) -> Result<(), BringError> {
        self.try_add("end", "", b"")
            .and_then(|()| self.file.flush())
            .and_then(|()| std::fs::rename(self.path.with_extension("new"), &self.path))
            .map_err(|err| BringError::local("write what was brought", err))
    }
}

/// Takes an earlier offer away, so that it cannot be taken for a new one.
pub(crate) fn clear(folder: &Path) -> Result<(), BringError> {
    for name in [NAME, "offer.new", "history", "history.new"] {
        match std::fs::remove_file(folder.join(name)) {
            Ok(()) => {}
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => {}
            Err(err) => return Err(BringError::local("clear the cache folder", err)),
        }
    }
    Ok(())
}

/// An offer that is being read.
pub(crate) struct Reader {
    file: BufReader<File>,
    left: u64,
}

impl Reader {
    pub(crate) fn open(folder: &Path, limit: u64) -> Result<Reader, Refusal> {
        Reader::named(folder, NAME, limit)
    }

    /// Neither the folder nor the file may be a link, and no more than `limit` bytes are read.
    pub(crate) fn named(folder: &Path, name: &str, limit: u64) -> Result<Reader, Refusal> {
        let failed = |err: rustix::io::Errno| Refusal::local("open what was brought", err);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let folder = rustix::fs::open(folder, flags | OFlags::DIRECTORY, Mode::empty());
        let folder = folder.map_err(failed)?;
        let file = rustix::fs::openat(&folder, name, flags, Mode::empty()).map_err(failed)?;
        let file = File::from(file);
        let meta = file.metadata().map_err(|err| Refusal::local("open what was brought", err))?;
        if !meta.is_file() {
            return Err(Refusal::broken("the offer is not a file"));
        }
        let mut reader = Reader { file: BufReader::new(file), left: limit };
        if reader.line()? != FIRST.trim_end() {
            return Err(Refusal::broken("the offer has another format"));
        }
        Ok(reader)
    }

    /// The next record; none at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Record>, Refusal> {
        let line = self.line()?;
        let mut words = line.split(' ');
        let (Some(kind), Some(name), Some(content), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(Refusal::broken("a record of the offer is malformed"));
        };
        let length = |it: &str| {
            it.parse::<u64>().map_err(|_| Refusal::broken("a record of the offer is malformed"))
        };
        let (name, content) = (length(name)?, length(content)?);
        if name > MAX_NAME as u64 {
            return Err(Refusal::broken("a name in the offer is too long"));
        }
        let name = String::from_utf8(self.bytes(name)?)
            .map_err(|_| Refusal::broken("a name in the offer is not UTF-8"))?;
        let content = self.bytes(content)?;
        if self.bytes(1)? != b"\n" {
            return Err(Refusal::broken("a record of the offer is malformed"));
        }
        let kind = kind.to_owned();
        Ok((kind != "end").then_some(Record { kind, name, content }))
    }

    fn bytes(&mut self, count: u64) -> Result<Vec<u8>, Refusal> {
        self.left = self
            .left
            .checked_sub(count)
            .ok_or_else(|| Refusal::broken("more was brought than a model may have"))?;
        // Grown as it is read: a length alone allocates nothing.
        let mut bytes = vec![];
        self.file
            .by_ref()
            .take(count)
            .read_to_end(&mut bytes)
            .map_err(|err| Refusal::local("read what was brought", err))?;
        if bytes.len() as u64 != count {
            return Err(Refusal::broken("the offer ends early"));
        }
        Ok(bytes)
    }

    fn line(&mut self) -> Result<String, Refusal> {
        let mut line = vec![];
        self.file
            .by_ref()
            .take(64)
            .read_until(b'\n', &mut line)
            .map_err(|err| Refusal::local("read what was brought", err))?;
        self.left = self
            .left
            .checked_sub(line.len() as u64)
            .ok_or_else(|| Refusal::broken("more was brought than a model may have"))?;
        if line.pop() != Some(b'\n') {
            return Err(Refusal::broken("the offer ends early"));
        }
        String::from_utf8(line).map_err(|_| Refusal::broken("a record of the offer is malformed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(folder: &Path, limit: u64) -> Result<Vec<Record>, String> {
        let mut reader = Reader::open(folder, limit).map_err(|it| it.line())?;
        let mut records = vec![];
        while let Some(record) = reader.next().map_err(|it| it.line())? {
            records.push(record);
        }
        Ok(records)
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
        assert!(all(folder.path(), 30).unwrap_err().contains("more was brought"));
        let raw = std::fs::read(folder.path().join(NAME)).unwrap();
        for length in 0..raw.len() {
            std::fs::write(folder.path().join(NAME), &raw[..length]).unwrap();
            assert!(all(folder.path(), 1000).is_err(), "cut off at {length}");
        }
        std::fs::write(folder.path().join(NAME), format!("{FIRST}file 1 99999999999\na")).unwrap();
        assert!(all(folder.path(), u64::MAX).unwrap_err().contains("ends early"));
        std::fs::remove_file(folder.path().join(NAME)).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join(NAME)).unwrap();
        assert!(all(folder.path(), 1000).unwrap_err().contains("open what was brought"));
    }
}
