//! A value that must never be lost and never go back: it lies in two copies in a directory of its own, each
//! with a generation that only rises and a checksum. They are written one after the other, so whenever the
//! machine dies, one of them is whole. Where both are unreadable a person is asked.
//!
//! Each copy is one line, as [`Copied`] writes it, then the SHA-256 of that line.

use crate::text::hex;
use sha2::Digest as _;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// More than anybody has to say.
const MAX_SIZE: u64 = 16 * 1024 * 1024;

/// What is kept in two copies.
pub trait Copied: Default {
    /// What it is, for people: `the … state`.
    const WHAT: &'static str;
    /// The names of the two files.
    const COPIES: [&'static str; 2];

    /// One line, which says the generation.
    fn write(&self, generation: u64) -> String;
    /// Reads such a line: the generation, and the value.
    fn read(line: &str) -> Result<(u64, Self), String>;
}

/// Why there is no value to rely on.
#[derive(Debug, thiserror::Error)]
pub enum CopiesError {
    #[error("both copies of {what} in {folder} are unreadable: {first}; {second}")]
    Lost { what: &'static str, folder: PathBuf, first: String, second: String },
    #[error("{what} in {folder} is gone, although it was written before")]
    Gone { what: &'static str, folder: PathBuf },
    #[error("write {what} {path}")]
    Write {
        what: &'static str,
        path: PathBuf,
        #[source]
        err: std::io::Error,
    },
}

/// A value that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded<T> {
    pub value: T,
    /// What is wrong with one of the copies; the other one was taken. The next save mends it.
    pub damaged: Option<String>,
    generation: u64,
}

impl<T: Copied> Loaded<T> {
    /// Reads the newer copy. With neither there it is a new value, unless the caller knows that there was
    /// one before.
    pub fn load(folder: &Path, written_before: bool) -> Result<Loaded<T>, CopiesError> {
        let [first, second] = T::COPIES.map(|it| read_copy::<T>(&folder.join(it)));
        let (what, folder) = (T::WHAT, || folder.to_owned());
        match (first, second) {
            (Ok(None), Ok(None)) if written_before => {
                Err(CopiesError::Gone { what, folder: folder() })
            }
            (Ok(None), Ok(None)) => {
                Ok(Loaded { value: T::default(), damaged: None, generation: 0 })
            }
            (Ok(Some(one)), Ok(Some(other))) => {
                let (generation, value) = if other.0 > one.0 { other } else { one };
                Ok(Loaded { value, damaged: None, generation })
            }
            (Ok(Some((generation, value))), other) | (other, Ok(Some((generation, value)))) => {
                let damaged = match other {
                    Ok(_) => "one copy is missing".to_owned(),
                    Err(why) => why,
                };
                tracing::warn!(what, generation, why = damaged, "one of two copies is damaged");
                Ok(Loaded { value, damaged: Some(damaged), generation })
            }
            (first, second) => {
                let words =
                    |it: Result<_, String>| it.err().unwrap_or_else(|| "missing".to_owned());
                let (first, second) = (words(first), words(second));
                Err(CopiesError::Lost { what, folder: folder(), first, second })
            }
        }
    }

    /// Writes both copies, one after the other.
    pub fn save(&mut self, folder: &Path) -> Result<(), CopiesError> {
        let failed = |path: &Path, err| {
            let (what, path) = (T::WHAT, path.to_owned());
            CopiesError::Write { what, path, err }
        };
        let generation = self.generation + 1;
        let text = seal(&self.value.write(generation));
        std::fs::create_dir_all(folder).map_err(|err| failed(folder, err))?;
        for name in T::COPIES {
            let path = folder.join(name);
            write_copy(folder, &path, &text).map_err(|err| failed(&path, err))?;
        }
        tracing::debug!(what = T::WHAT, generation, "both copies written");
        self.generation = generation;
        self.damaged = None;
        Ok(())
    }
}

/// A line with its checksum.
pub fn seal(line: &str) -> String {
    format!("{line}\n{}\n", hex(&sha2::Sha256::digest(line.as_bytes())))
}

/// The line of a sealed text that is whole.
pub fn unseal(text: &str) -> Result<&str, String> {
    let (line, sum) = text.split_once('\n').ok_or("it is cut off")?;
    if hex(&sha2::Sha256::digest(line.as_bytes())) == sum.trim_end() {
        Ok(line)
    } else {
        Err("its checksum is wrong".into())
    }
}

fn write_copy(folder: &Path, path: &Path, text: &str) -> std::io::Result<()> {
    let new = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    let placed = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::rename(&new, path));
    if placed.is_err() {
        // On a disk that is full, a part of it must not be what fills it.
        let _cleared = std::fs::remove_file(&new);
    }
    placed?;
    std::fs::File::open(folder)?.sync_all()
}

fn read_copy<T: Copied>(path: &Path) -> Result<Option<(u64, T)>, String> {
    let name = path.display();
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(err) => return Err(format!("{name}: {err}")),
    };
    let mut text = String::new();
    file.take(MAX_SIZE).read_to_string(&mut text).map_err(|err| format!("{name}: {err}"))?;
    unseal(&text).and_then(T::read).map(Some).map_err(|why| format!("{name}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    struct Counter(u64);

    impl Copied for Counter {
        const WHAT: &'static str = "the counter";
        const COPIES: [&'static str; 2] = ["counter.1", "counter.2"];

        fn write(&self, generation: u64) -> String {
            format!("{generation} {}", self.0)
        }

        fn read(line: &str) -> Result<(u64, Counter), String> {
            let (generation, count) = line.split_once(' ').ok_or("it is malformed")?;
            let number = |it: &str| it.parse::<u64>().map_err(|it| it.to_string());
            Ok((number(generation)?, Counter(number(count)?)))
        }
    }

    fn load(folder: &Path, before: bool) -> Result<Loaded<Counter>, CopiesError> {
        Loaded::load(folder, before)
    }

    #[test]
    fn one_damaged_copy_is_told_and_mended_and_two_are_a_loss() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let mut loaded = load(folder, false).unwrap();
        assert!(matches!(load(folder, true), Err(CopiesError::Gone { .. })));
        loaded.value = Counter(5);
        loaded.save(folder).unwrap();
        assert_eq!(load(folder, true).unwrap().value, Counter(5));
        for name in Counter::COPIES {
            let path = folder.join(name);
            let whole = std::fs::read(&path).unwrap();
            for broken in [&whole[..0], &whole[..40], &[0xff; 100][..]] {
                std::fs::write(&path, broken).unwrap();
                let mut loaded = load(folder, true).unwrap();
                assert_eq!(loaded.value, Counter(5));
                assert!(loaded.damaged.take().unwrap().contains(name));
            }
            std::fs::remove_file(&path).unwrap();
            let mut loaded = load(folder, true).unwrap();
            assert_eq!(loaded.damaged.as_deref(), Some("one copy is missing"));
            loaded.save(folder).unwrap();
            assert_eq!(load(folder, true).unwrap().damaged, None);
        }
        // A copy from before the machine died does not win over the newer one.
        let [first, second] = Counter::COPIES.map(|it| folder.join(it));
        let old = std::fs::read(&first).unwrap();
        let mut loaded = load(folder, true).unwrap();
        loaded.value = Counter(6);
        loaded.save(folder).unwrap();
        std::fs::write(&second, &old).unwrap();
        assert_eq!(load(folder, true).unwrap().value, Counter(6));
        let flipped = String::from_utf8(old).unwrap().replacen(" 5", " 1", 1);
        std::fs::write(&first, &flipped).unwrap();
        std::fs::write(&second, &flipped).unwrap();
        assert!(matches!(load(folder, true), Err(CopiesError::Lost { .. })));
        std::fs::remove_file(&second).unwrap();
        assert!(matches!(load(folder, false), Err(CopiesError::Lost { .. })));
    }
}
