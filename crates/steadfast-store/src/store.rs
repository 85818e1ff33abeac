//! The state database: one SQLite file, made when there is something to write, set aside when it is
//! damaged.
//!
//! It keeps a rollback journal rather than a write-ahead log: reading it then writes nothing, and every
//! commit is on the disk when it returns.

use crate::beside::Beside;
use crate::schema::{self, FORMAT};
use rusqlite::{Connection, OpenFlags};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::cell::{Cell, RefCell};
use std::fs::Permissions;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It may be there: whether, this user may not see.
    #[error("look at the state database {path}")]
    Look {
        path: PathBuf,
        #[source]
        err: std::io::Error,
    },
    #[error("open the state database {path}")]
    Open {
        path: PathBuf,
        #[source]
        err: rusqlite::Error,
    },
    #[error("create the directory {path}")]
    Folder {
        path: PathBuf,
        #[source]
        err: std::io::Error,
    },
    #[error("set the damaged state database {path} aside")]
    SetAside {
        path: PathBuf,
        #[source]
        err: std::io::Error,
    },
    #[error("{what}")]
    Query {
        what: &'static str,
        #[source]
        err: rusqlite::Error,
    },
    #[error(
        "{path} has format {found}, and this program knows {known}: it is older than its state"
    )]
    Newer { path: PathBuf, found: i64, known: i64 },
}

/// The state directory's database.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    connection: RefCell<Option<Connection>>,
    warnings: RefCell<Vec<String>>,
    /// The run that is written into the history, and the revision that it keeps.
    run: RefCell<(i64, String)>,
    /// It was started by hand: what it makes is no doing of the adopted revision.
    by_hand: Cell<bool>,
    /// What it has made so far.
    pub(crate) beside: RefCell<Option<Beside>>,
}

impl Store {
    /// Opens what is there. Nothing is made before something is to be written.
    pub fn open(path: &Path) -> Result<Store, StoreError> {
        let store = Store { path: path.to_owned(), ..Store::nowhere() };
        match store.connect(false) {
            Ok(()) => Ok(store),
            Err(StoreError::Open { err, .. } | StoreError::Query { err, .. })
                if is_damage(&err) =>
            {
                store.set_aside(&err)?;
                Ok(store)
            }
            Err(error) => Err(error),
        }
    }

    /// A store that remembers nothing: for a look without the right to read the state directory.
    pub fn nowhere() -> Store {
        Store {
            path: PathBuf::new(),
            connection: RefCell::new(None),
            warnings: RefCell::new(vec![]),
            run: RefCell::default(),
            by_hand: Cell::default(),
            beside: RefCell::default(),
        }
    }

    /// Says which run is under way: what is made is made by it.
    pub(crate) fn begin_run(&self, run: i64, revision: &str) {
        *self.run.borrow_mut() = (run, revision.to_owned());
    }

    pub(crate) fn run_under_way(&self) -> (i64, String) {
        self.run.borrow().clone()
    }

    /// Says that what is made from now on is made by hand.
    pub fn set_by_hand(&self) {
        self.by_hand.set(true);
    }

    pub(crate) fn is_by_hand(&self) -> bool {
        self.by_hand.get()
    }

    /// Whether this is the store that remembers nothing.
    pub fn is_nowhere(&self) -> bool {
        self.path.as_os_str().is_empty()
    }

    /// What an operator must know, and was not told yet: damage can show at any time.
    pub fn take_warnings(&self) -> Vec<String> {
        self.warnings.take()
    }

    fn connect(&self, create: bool) -> Result<(), StoreError> {
        if self.connection.borrow().is_some() || (!create && !self.is_there()?) {
            return Ok(());
        }
        let open = |err| StoreError::Open { path: self.path.clone(), err };
        if create && let Some(folder) = self.path.parent() {
            make_folder(folder, 0o700)
                .map_err(|err| StoreError::Folder { path: folder.to_owned(), err })?;
        }
        close_to_others(&self.path, create)
            .map_err(|err| StoreError::Look { path: self.path.clone(), err })?;
        let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        flags.set(OpenFlags::SQLITE_OPEN_CREATE, create);
        let mut connection = Connection::open_with_flags(&self.path, flags).map_err(open)?;
        connection.busy_timeout(Duration::from_secs(10)).map_err(open)?;
        // A run that goes leaves its verdicts to be dropped little by little.
        connection
            .execute_batch(
                "PRAGMA synchronous = EXTRA; PRAGMA cache_size = -512; PRAGMA trusted_schema = OFF; \
                 PRAGMA foreign_keys = OFF;",
            )
            .map_err(open)?;
        let found: i64 =
            connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(open)?;
        if found > FORMAT {
            return Err(StoreError::Newer { path: self.path.clone(), found, known: FORMAT });
        }
        if found == 0 {
            schema::make(&connection).map_err(open)?;
        } else {
            if found < FORMAT {
                schema::migrate(&mut connection).map_err(open)?;
            }
            // Damage in the pages of the tables that every run reads shows here.
            for table in ["services", "notes"] {
                connection
                    .query_row(&format!("SELECT count(*) FROM {table}"), [], |_| Ok(()))
                    .map_err(open)?;
            }
        }
        *self.connection.borrow_mut() = Some(connection);
        Ok(())
    }

    fn is_there(&self) -> Result<bool, StoreError> {
        match self.path.symlink_metadata() {
            Ok(_) => Ok(true),
            Err(err) if matches!(err.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                Ok(false)
            }
            Err(err) => Err(StoreError::Look { path: self.path.clone(), err }),
        }
    }

    /// Moves a damaged database out of the way, for somebody to look at, and goes on without.
    fn set_aside(&self, why: &rusqlite::Error) -> Result<(), StoreError> {
        let failed = |err| StoreError::SetAside { path: self.path.clone(), err };
        *self.connection.borrow_mut() = None;
        let mut number = 1;
        let aside = loop {
            let mut name = self.path.as_os_str().to_owned();
            name.push(format!(".damaged-{number}"));
            let aside = PathBuf::from(name);
            if !aside.exists() {
                break aside;
            }
            number += 1;
        };
        std::fs::rename(&self.path, &aside).map_err(failed)?;
        // A journal of the old file must not be played into the new one.
        let mut journal = self.path.as_os_str().to_owned();
        journal.push("-journal");
        if let Err(err) = std::fs::remove_file(&journal)
            && err.kind() != ErrorKind::NotFound
        {
            return Err(failed(err));
        }
        self.warnings.borrow_mut().push(format!(
            "the state database was damaged ({why}); it was set aside as {}, and a new one is kept",
            aside.display()
        ));
        self.write_once(&|connection| {
            connection
                .execute("INSERT OR REPLACE INTO notes (name, value) VALUES ('damaged', '1')", [])
        })?;
        Ok(())
    }

    /// Tries again with a new database where this one turns out to be damaged.
    fn or_without<T>(&self, attempt: impl Fn() -> Result<T, StoreError>) -> Result<T, StoreError> {
        match attempt() {
            Err(StoreError::Open { err, .. } | StoreError::Query { err, .. })
                if is_damage(&err) =>
            {
                self.set_aside(&err)?;
                attempt()
            }
            other => other,
        }
    }

    /// Reads; none where there is no database.
    pub(crate) fn read<T>(
        &self,
        what: &'static str,
        read: impl Fn(&Connection) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        self.or_without(|| self.read_once(what, &read))
    }

    fn read_once<T>(
        &self,
        what: &'static str,
        read: &dyn Fn(&Connection) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        match &*self.connection.borrow() {
            Some(connection) => {
                read(connection).map(Some).map_err(|err| StoreError::Query { what, err })
            }
            None => Ok(None),
        }
    }

    /// Writes in one transaction; it is on the disk when this returns.
    pub(crate) fn write<T>(
        &self,
        write: impl Fn(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        self.or_without(|| self.write_once(&write))
    }

    fn write_once<T>(
        &self,
        write: &dyn Fn(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        self.connect(true)?;
        let query = |err| StoreError::Query { what: "write to the state database", err };
        let mut connection = self.connection.borrow_mut();
        let Some(connection) = connection.as_mut() else {
            return Err(query(rusqlite::Error::InvalidQuery));
        };
        let transaction = connection.transaction().map_err(query)?;
        let value = write(&transaction).map_err(query)?;
        transaction.commit().map_err(query)?;
        tracing::debug!(path = %self.path.display(), "committed to the state database");
        Ok(value)
    }
}

fn is_damage(err: &rusqlite::Error) -> bool {
    match err.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => true,
        // Tables that are not there: the file is a database and not ours any more.
        Some(rusqlite::ErrorCode::Unknown) => err.to_string().contains("no such table"),
        Some(_) | None => false,
    }
}

/// Makes the file where there is none, for its owner alone, and takes the rights of others away from one
/// that is there: whoever can read a database can lock it, wherever it lies. Its journal gets its mode.
fn close_to_others(path: &Path, create: bool) -> std::io::Result<()> {
    if let Ok(found) = path.symlink_metadata() {
        // Not by a descriptor: closing that would end the locks of this process.
        let mode = found.permissions().mode();
        let ours = found.uid() == rustix::process::geteuid().as_raw();
        if found.is_file() && ours && mode & 0o077 != 0 {
            std::fs::set_permissions(path, Permissions::from_mode(mode & 0o7700))?;
        }
        return Ok(());
    }
    if create {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        match rustix::fs::open(path, flags, Mode::from_raw_mode(0o600)) {
            Ok(_) | Err(Errno::EXIST) => {}
            Err(err) => return Err(err.into()),
        }
    }
    Ok(())
}

/// Makes a directory and those above it; the last one gets the mode.
pub(crate) fn make_folder(path: &Path, mode: u32) -> std::io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        // Whatever the mask of who started us is, nobody else may write there.
        std::fs::DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
    }
    match std::fs::DirBuilder::new().mode(mode).create(path) {
        Err(err) if err.kind() == std::io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_is_for_its_owner_alone_wherever_it_lies() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let set = |path: &Path, mode| {
            std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        };
        let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
        set(folder.path(), 0o755);
        let write = |store: &Store| store.write(|it| it.execute_batch("DELETE FROM notes"));
        write(&Store::open(&path).unwrap()).unwrap();
        assert_eq!(mode(), 0o600);
        // As an older version has made it.
        set(&path, 0o644);
        Store::open(&path).unwrap();
        assert_eq!(mode(), 0o600);
    }

    #[test]
    fn opening_and_reading_makes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/state.db");
        let store = Store::open(&path).unwrap();
        assert_eq!(store.read("count", |_| Ok(1)).unwrap(), None);
        assert!(!path.exists() && !path.parent().unwrap().exists());
    }

    #[test]
    fn a_damaged_database_is_set_aside_and_the_run_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        for content in [&b"this is no database at all, and it is long enough"[..], &[0x53; 8192]] {
            std::fs::write(&path, content).unwrap();
            let store = Store::open(&path).unwrap();
            let warnings = store.take_warnings();
            assert_eq!(warnings.len(), 1);
            assert!(warnings[0].contains("set aside"), "{warnings:?}");
            let again = Store::open(&path).unwrap();
            assert!(again.take_warnings().is_empty());
        }
        assert!(folder.path().join("state.db.damaged-2").exists());
    }

    #[test]
    fn damage_in_the_middle_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let store = Store::open(&path).unwrap();
        store.write(|it| it.execute("INSERT INTO notes VALUES ('a', 'b')", [])).unwrap();
        drop(store);
        let mut bytes = std::fs::read(&path).unwrap();
        for byte in bytes.iter_mut().skip(4096) {
            *byte = 0xff;
        }
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(Store::open(&path).unwrap().take_warnings().len(), 1);
    }

    /// Damages the page on which a table or an index begins.
    fn damage(path: &Path, name: &str) {
        let connection = Connection::open(path).unwrap();
        let page: u16 = connection
            .query_row("SELECT rootpage FROM sqlite_master WHERE name = ?1", [name], |row| {
                row.get(0)
            })
            .unwrap();
        drop(connection);
        let page = usize::from(page);
        let mut bytes = std::fs::read(path).unwrap();
        bytes[(page - 1) * 4096..page * 4096].fill(0xff);
        std::fs::write(path, bytes).unwrap();
    }

    #[test]
    fn damage_in_the_history_is_set_aside_when_it_shows() {
        for table in ["runs", "judged"] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("state.db");
            let insert = "INSERT INTO runs VALUES (1, 0, 1, 'n', 'e', 'm', 'r', 1, 0, 0, 0, NULL);
                          INSERT INTO judged VALUES (1, 'file:/a', '{}')";
            Store::open(&path).unwrap().write(|it| it.execute_batch(insert)).unwrap();
            damage(&path, table);
            let store = Store::open(&path).unwrap();
            assert_eq!(store.run(1).unwrap(), None, "{table}");
            assert_eq!(store.take_warnings().len(), 1, "{table}");
            assert!(folder.path().join("state.db.damaged-1").exists());
            store.write(|it| it.execute_batch(insert)).unwrap();
            assert!(store.run(1).unwrap().is_some() && store.take_warnings().is_empty());
            // Writing finds it too.
            damage(&path, table);
            let store = Store::open(&path).unwrap();
            let other = format!("DELETE FROM {table}");
            store.write(|it| it.execute(&other, [])).unwrap();
            assert_eq!(store.take_warnings().len(), 1, "{table}");
        }
    }

    #[test]
    fn what_may_not_be_looked_at_is_not_taken_for_nothing() {
        if !rustix::process::geteuid().is_root() {
            let folder = tempfile::tempdir().unwrap();
            let state = folder.path().join("state");
            std::fs::create_dir(&state).unwrap();
            let closed = std::os::unix::fs::PermissionsExt::from_mode(0o000);
            std::fs::set_permissions(&state, closed).unwrap();
            assert!(matches!(Store::open(&state.join("state.db")), Err(StoreError::Look { .. })));
        }
        // Root may look everywhere, but not along a path that leads in a circle.
        let folder = tempfile::tempdir().unwrap();
        let circle = folder.path().join("circle");
        std::os::unix::fs::symlink(&circle, &circle).unwrap();
        assert!(matches!(Store::open(&circle.join("state.db")), Err(StoreError::Look { .. })));
    }

    #[test]
    fn a_newer_format_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
        assert!(matches!(Store::open(&path), Err(StoreError::Newer { found: 99, .. })));
        assert!(path.exists());
    }
}
