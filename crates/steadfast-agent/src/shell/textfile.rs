//! The file for node_exporter. Its directory belongs to whoever runs that, who may put anything in the way of
//! our names: so it is written as promised files are, by descriptors and without following anybody's link.
//! A file system may also take its time; so the loop hands the text over and goes on.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use steadfast_system::files::{
    Entry, Expected, Mode, NewFile, Read as _, Shape, Wanted, Write as _,
};
use steadfast_system::{AbsPath, ErrorKind, Host, SystemError};
use tokio::time::Instant;

/// That it cannot be written is told this often.
const TOLD_AGAIN: Duration = Duration::from_secs(3_600);

/// What is to be written next, shared with whoever writes.
#[derive(Debug, Default)]
pub(super) struct Textfile(Arc<Mutex<Next>>);

#[derive(Debug, Default)]
struct Next {
    /// Nobody wants to read the numbers of a moment ago: of those that wait, the newest is written.
    waiting: Option<(Arc<str>, String)>,
    is_writing: bool,
    /// When it was last told that an attempt failed: whoever makes them fail does not fill the journal.
    told: Option<Instant>,
}

impl Textfile {
    /// Has the text written to this path, without waiting for it.
    pub(super) fn write(&self, path: &Arc<str>, text: String, host: impl FnOnce() -> Host) {
        let mut next = locked(&self.0);
        next.waiting = Some((Arc::clone(path), text));
        if next.is_writing {
            return;
        }
        next.is_writing = true;
        let (shared, host) = (Arc::clone(&self.0), host());
        tokio::task::spawn_blocking(move || write_all(&shared, &host));
    }
}

fn locked(next: &Mutex<Next>) -> MutexGuard<'_, Next> {
    // It is whole whatever happened to who held it.
    next.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write_all(next: &Mutex<Next>, host: &Host) {
    loop {
        let (path, text) = {
            let mut next = locked(next);
            match next.waiting.take() {
                Some(waiting) => waiting,
                None => {
                    next.is_writing = false;
                    return;
                }
            }
        };
        let written = put(host, &path, text.as_bytes());
        let mut next = locked(next);
        if let Err(err) = &written
            && next.told.is_none_or(|it| it.elapsed() > TOLD_AGAIN)
        {
            next.told = Some(Instant::now());
            let path = Path::new(&*path).display();
            tracing::warn!("the metrics cannot be written to {path}: {}", err.chain().join(": "));
        }
    }
}

/// Puts the text in the place of whatever is there.
fn put(host: &Host, path: &str, text: &[u8]) -> Result<(), SystemError> {
    let path =
        AbsPath::parse(path).map_err(|err| SystemError::new(ErrorKind::Other, err.to_string()))?;
    let looks = host.look(&[(&path, Wanted::Nothing)]);
    let entry = looks.into_iter().next().transpose()?.and_then(|it| it.entry);
    let file = NewFile {
        replaces: expected(&path, entry)?,
        path,
        content: text.into(),
        uid: 0,
        gid: 0,
        mode: Mode(0o644),
        validate: None,
        keep: false,
        in_place: false,
    };
    let staged = host.stage(&[file]).into_iter().collect::<Result<_, _>>()?;
    host.place(staged).into_iter().collect()
}

fn expected(path: &AbsPath, entry: Option<Entry>) -> Result<Expected, SystemError> {
    match entry.map(|it| it.shape) {
        None => Ok(Expected::Nothing),
        Some(Shape::File { .. }) => Ok(Expected::AnyFile),
        Some(Shape::Link { target }) => Ok(Expected::Link { target }),
        Some(Shape::Socket | Shape::Fifo | Shape::Device) => Ok(Expected::Other),
        Some(Shape::Directory) => {
            Err(SystemError::new(ErrorKind::Other, format!("{path} is a directory")))
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test plays everybody else's part")]

    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    /// A directory that somebody else may write, as node_exporter's is.
    fn theirs() -> (tempfile::TempDir, Host) {
        let folder = tempfile::tempdir().unwrap();
        let open = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(folder.path(), open).unwrap();
        let settings = steadfast_system::host::Settings {
            state: folder.path().join("state"),
            cache: folder.path().join("cache"),
            secrets: folder.path().join("secrets"),
            credentials: None,
            own_files: vec![],
        };
        (folder, Host::new(settings))
    }

    #[test]
    fn whatever_lies_in_the_way_of_the_metrics_makes_way_and_nothing_else_is_touched() {
        if !crate::require::is_root() {
            return;
        }
        let (folder, host) = theirs();
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let (path, precious) = (at("steadfast.prom"), at("precious"));
        std::fs::write(&precious, "root's own\n").unwrap();
        for name in ["steadfast.prom", "steadfast.prom.new", "steadfast.prom.new.new"] {
            std::os::unix::fs::symlink(&precious, at(name)).unwrap();
        }
        put(&host, &path, b"first").unwrap();
        assert!(std::fs::symlink_metadata(&path).unwrap().is_file());
        assert_eq!(std::fs::read(&path).unwrap(), b"first");
        assert_eq!(std::fs::read(&precious).unwrap(), b"root's own\n");

        std::fs::remove_file(&path).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &*path, rustix::fs::FileType::Fifo, 0o666.into(), 0)
            .unwrap();
        put(&host, &path, b"second").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"second");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o644, "whoever scrapes may read it");

        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        let error = put(&host, &path, b"third").unwrap_err();
        assert!(error.chain().join(": ").contains("is a directory"), "{error:?}");
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0);
    }

    #[test]
    fn the_newest_numbers_are_written_and_the_loop_waits_for_no_file_system() {
        if !crate::require::is_root() {
            return;
        }
        let (folder, host) = theirs();
        let path: Arc<str> = folder.path().join("steadfast.prom").to_str().unwrap().into();
        let textfile = Textfile::default();
        // As long as somebody writes, what is handed over waits, and of that the newest stays.
        locked(&textfile.0).is_writing = true;
        for text in ["one", "two", "three"] {
            textfile.write(&path, text.to_owned(), || panic!("somebody writes already"));
        }
        assert!(!Path::new(&*path).exists());
        write_all(&textfile.0, &host);
        assert_eq!(std::fs::read_to_string(&*path).unwrap(), "three");
        assert!(!locked(&textfile.0).is_writing);
    }
}
