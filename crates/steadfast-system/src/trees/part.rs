//! A file that is being fetched: root's own, hashed as it grows, and found again by whoever goes on with it.

use crate::SystemError;
use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What nobody has gone on fetching for so long is not wanted any more.
const STALE: Duration = Duration::from_secs(7 * 86_400);
const ENDING: &str = "part";

#[derive(Debug)]
pub struct Part {
    path: PathBuf,
    file: File,
    length: u64,
    sum: Sha256,
}

impl Part {
    /// With what is there of it. What is stale beside it is taken away.
    pub fn open(folder: &Path, name: &str) -> io::Result<Part> {
        let path = folder.join(name).with_extension(ENDING);
        remove_stale(folder, &path);
        let mut options = File::options();
        options.read(true).write(true).create(true).mode(0o600);
        options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
        let mut file = options.open(&path)?;
        let (mut sum, mut length) = (Sha256::new(), 0);
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(Part { path, file, length, sum }),
                Ok(count) => {
                    sum.update(&buffer[..count]);
                    length += count as u64;
                }
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) => return Err(err),
            }
        }
    }

    pub fn length(&self) -> u64 {
        self.length
    }

    pub fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.sum.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    pub fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        (self.sum, self.length) = (Sha256::new(), 0);
        Ok(())
    }

    /// Of what is there.
    pub fn sum(&self) -> [u8; 32] {
        self.sum.clone().finalize().into()
    }

    /// The same file from its start, to be read only.
    pub fn to_be_read(&self) -> io::Result<File> {
        File::open(&self.path)
    }

    /// It is not needed any more.
    pub fn forget(self) {
        // What stays is taken away when it is stale.
        let _gone = std::fs::remove_file(&self.path);
    }
}

/// Makes the directory for such files where it is missing, for root alone.
pub fn make_private(folder: &Path) -> Result<(), SystemError> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|err| SystemError::io(format!("make {}", folder.display()), err))
}

/// Takes away what was begun long ago.
fn remove_stale(folder: &Path, but: &Path) {
    let now = SystemTime::now();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let changed = entry.metadata().and_then(|it| it.modified());
        let is_stale = changed.is_ok_and(|it| now.duration_since(it).is_ok_and(|it| it > STALE));
        if is_stale && path != but && path.extension().is_some_and(|it| it == ENDING) {
            let _gone = std::fs::remove_file(path);
        }
    }
}
