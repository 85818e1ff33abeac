//! A model that lies in a directory, a git checkout or not. Everything is read once, within limits;
//! links, sockets and devices are refused rather than followed.

use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use steadfast_model::SourceSet;

/// The most bytes that a model may have: 256 MiB.
pub const MAX_BYTES: u64 = 256 * 1024 * 1024;
/// The most files that a model may have.
pub const MAX_FILES: usize = 1_000_000;
/// How the links begin that Emacs puts beside a file while somebody edits it.
const EDITORS_LOCK: &str = ".#";
/// How deep its directories may nest.
pub const MAX_DEPTH: usize = 32;

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("there is no model at {path}")]
    NotThere { path: PathBuf },
    #[error("read {path}")]
    Read {
        path: PathBuf,
        #[source]
        err: std::io::Error,
    },
    #[error("{path} is neither a file nor a directory: a model has no links and no special files")]
    Special { path: PathBuf },
    #[error("{path} has a name that is not UTF-8")]
    Name { path: PathBuf },
    #[error("the model has more than 256 MiB, at {path}")]
    TooLarge { path: PathBuf },
    #[error(
        "the model has more than 1,000,000 files or nests deeper than 32 directories, at {path}"
    )]
    TooMany { path: PathBuf },
}

/// Reads all files of a model, whatever their names are. No part of it are the settings of other tools:
/// see `is_of_other_tools`.
pub fn read_directory(root: &Path, sources: &mut SourceSet) -> Result<(), ReadError> {
    read_directory_noting(root, sources, &mut |_, _| {})
}

/// The same, and `note` is told of each file, with its path in the model, before it is read.
pub fn read_directory_noting(
    root: &Path,
    sources: &mut SourceSet,
    note: &mut dyn FnMut(&str, &File),
) -> Result<(), ReadError> {
    let mut bytes = 0;
    list_directory(root, &mut |below, path| {
        let (content, executable) = read_file(path, MAX_BYTES - bytes, |file| note(&below, file))?;
        bytes += content.len() as u64;
        // `std/` is where the standard bundles stand; a model's own directory of that name is not read.
        if !below.starts_with("std/") {
            sources.add(below, content, executable);
        }
        Ok(())
    })
}

/// Names all files of a model in the order of their paths, directory by directory, and opens none.
fn list_directory(
    root: &Path,
    each: &mut dyn FnMut(String, &Path) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    if !root.exists() {
        return Err(ReadError::NotThere { path: root.to_owned() });
    }
    Lister { each, files: 0 }.folder(root, "", 0)
}

/// Whether a path below the root of a model belongs to a tool that works with the model: what git keeps,
/// wherever it does, and names that begin with a dot in the root itself (`.github`, `.venv`). Deeper
/// down such a name is that of any other file: the home of a new user consists of them.
pub(crate) fn is_of_other_tools(path: &str) -> bool {
    path.starts_with('.') || path.split('/').any(|it| it == ".git")
}

/// Whether something below the root of a model is part of it: also an editor's lock is not.
pub fn is_part(path: &str, is_link: bool) -> bool {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    !(is_of_other_tools(path) || is_link && name.starts_with(EDITORS_LOCK))
}

/// Whether there is a directory at a path that somebody named.
pub fn is_folder(path: &Path) -> bool {
    path.is_dir()
}

/// Whether a directory, which need not be there yet, is inside another.
pub fn is_inside(folder: &Path, other: &Path) -> bool {
    let (Ok(folder), Ok(other)) = (std::path::absolute(folder), other.canonicalize()) else {
        return false;
    };
    let there = folder.ancestors().find_map(|it| it.canonicalize().ok());
    there.is_some_and(|it| it.starts_with(other))
}

struct Lister<'a> {
    each: &'a mut dyn FnMut(String, &Path) -> Result<(), ReadError>,
    files: usize,
}

impl Lister<'_> {
    fn folder(&mut self, path: &Path, below: &str, depth: usize) -> Result<(), ReadError> {
        let failed = |err| ReadError::Read { path: path.to_owned(), err };
        if depth > MAX_DEPTH {
            return Err(ReadError::TooMany { path: path.to_owned() });
        }
        let mut entries: Vec<std::fs::DirEntry> =
            std::fs::read_dir(path).map_err(failed)?.collect::<Result<_, _>>().map_err(failed)?;
        entries.sort_by_cached_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let Ok(name) = entry.file_name().into_string() else {
                return Err(ReadError::Name { path });
            };
            let below = if below.is_empty() { name } else { format!("{below}/{name}") };
            let kind =
                entry.file_type().map_err(|err| ReadError::Read { path: path.clone(), err })?;
            if !is_part(&below, kind.is_symlink()) {
                continue;
            }
            if kind.is_dir() {
                self.folder(&path, &below, depth + 1)?;
            } else if kind.is_file() {
                self.files += 1;
                if self.files > MAX_FILES {
                    return Err(ReadError::TooMany { path });
                }
                (self.each)(below, &path)?;
            } else {
                return Err(ReadError::Special { path });
            }
        }
        Ok(())
    }
}

/// The content of a file that was listed, and whether it may be executed. `opened` sees it before it is read.
fn read_file(
    path: &Path,
    room: u64,
    opened: impl FnOnce(&File),
) -> Result<(Arc<[u8]>, bool), ReadError> {
    let failed = |err| ReadError::Read { path: path.to_owned(), err };
    // It may have become something else since it was listed: never follow, never block.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file =
        File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(|err| failed(err.into()))?);
    opened(&file);
    let meta = file.metadata().map_err(failed)?;
    if !meta.is_file() {
        return Err(ReadError::Special { path: path.to_owned() });
    }
    if meta.len() > room {
        return Err(ReadError::TooLarge { path: path.to_owned() });
    }
    let bytes = whole(file, meta.len(), room).map_err(failed)?;
    if bytes.len() as u64 > room {
        return Err(ReadError::TooLarge { path: path.to_owned() });
    }
    let executable = std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o111 != 0;
    Ok((bytes, executable))
}

/// The content of a file of this size, or of another if it changes meanwhile, with more than `room` cut
/// off. It is read to where it stays: a large one would take time to be moved there.
fn whole(mut file: File, size: u64, room: u64) -> std::io::Result<Arc<[u8]>> {
    let size = usize::try_from(size).unwrap_or(0);
    let mut bytes: Arc<[u8]> = std::iter::repeat_n(0, size).collect();
    let mut filled = 0;
    if let Some(space) = Arc::get_mut(&mut bytes) {
        while filled < size {
            match file.read(&mut space[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(err) if err.kind() == std::io::ErrorKind::Interrupted => {}
                Err(err) => return Err(err),
            }
        }
    }
    let mut more = vec![];
    if filled == size {
        let rest = room.saturating_add(1).saturating_sub(size as u64);
        file.take(rest).read_to_end(&mut more)?;
    }
    if filled == size && more.is_empty() {
        return Ok(bytes);
    }
    Ok(Arc::from([&bytes[..filled], &more].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(root: &Path) -> Result<Vec<String>, String> {
        let mut sources = SourceSet::default();
        read_directory(root, &mut sources).map_err(|it| it.to_string())?;
        Ok(sources.iter().map(|(_, it)| it.path.to_string()).collect())
    }

    #[test]
    fn files_are_read_below_the_root_and_the_settings_of_other_tools_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for path in [
            "model.yaml",
            "servers/x/a.yaml",
            "files/skel/.bashrc",
            "files/skel/.config/x",
            "files/web/.well-known/security.txt",
            ".git/config",
            ".github/workflows/ci.yaml",
            ".gitignore",
            "files/vendored/.git/config",
        ] {
            std::fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            std::fs::write(root.join(path), "").unwrap();
        }
        // In a submodule it is a file.
        std::fs::create_dir(root.join("bundles")).unwrap();
        std::fs::write(root.join("bundles/.git"), "gitdir: ../.git/modules/bundles\n").unwrap();
        std::os::unix::fs::symlink("me@here.1:2", root.join("servers/x/.#a.yaml")).unwrap();
        assert_eq!(
            read(root).unwrap(),
            [
                "files/skel/.bashrc",
                "files/skel/.config/x",
                "files/web/.well-known/security.txt",
                "model.yaml",
                "servers/x/a.yaml"
            ]
        );
    }

    #[test]
    fn links_and_fifos_are_refused_without_being_opened() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("model.yaml");
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        assert!(read(folder.path()).unwrap_err().contains("neither a file nor a directory"));
        std::fs::remove_file(&link).unwrap();
        let fifo = folder.path().join("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        assert!(read(folder.path()).unwrap_err().contains("neither a file nor a directory"));
    }

    #[test]
    fn a_huge_file_is_refused_before_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = File::create(folder.path().join("huge")).unwrap();
        file.set_len(1024 * 1024 * 1024).unwrap();
        assert!(read(folder.path()).unwrap_err().contains("more than 256 MiB"));
    }

    #[test]
    fn a_path_that_is_not_there_is_told() {
        assert_eq!(
            read(Path::new("/nonexistent/x")),
            Err("there is no model at /nonexistent/x".into())
        );
    }
}
