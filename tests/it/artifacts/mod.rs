//! Trees of artifacts, made by the program itself: fetched, taken apart and written by the processes that do so on a
//! node.

mod fetched;
mod hostile;
mod kept;
mod packed;
mod users;

use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use steadfast_download::transfer::Access;
use steadfast_model::application::component::Unpack;
use steadfast_model::application::{Files, Location};
use steadfast_model::{Span, Spanned};
use steadfast_node::artifact::{IDLE, Made, Means, ModelFile, NoTree, Tree, TreeOrder, make_tree};

/// A place for deployments, what is put into it, and how.
pub(crate) struct Site {
    folder: tempfile::TempDir,
    pub files: Files,
    pub unpack: Unpack,
    pub access: Vec<Access>,
    pub programs: Vec<&'static str>,
    pub idle: Duration,
}

impl Site {
    /// With an archive that lies on this machine.
    pub(crate) fn of(archive: &[u8]) -> Site {
        let site = Site::at(Location::Model("".into()), archive);
        let path = site.path("archive");
        std::fs::write(&path, archive).unwrap();
        let place = Location::File(path.to_str().unwrap().into());
        Site {
            files: Files { url: Spanned::new(place, Span::default()), ..site.files.clone() },
            ..site
        }
    }

    /// With an archive of these bytes that lies elsewhere.
    pub(crate) fn at(place: Location, archive: &[u8]) -> Site {
        users::are_there();
        // As root alone can write it, as everything above it.
        let root = rustix::process::geteuid().is_root();
        let folder = match root {
            true => tempfile::tempdir_in("/var/lib").unwrap(),
            false => tempfile::tempdir().unwrap(),
        };
        // Those without privileges read what they are named.
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.path(), mode).unwrap();
        let files = Files {
            url: Spanned::new(place, Span::default()),
            sha256: Some(Arc::from(sha256(archive))),
            size: None,
            unpacked: None,
            mirrors: vec![],
            mode: None,
            name: None,
        };
        let unpack = Unpack::default();
        Site { folder, files, unpack, access: vec![], programs: vec![], idle: IDLE }
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    pub(crate) fn directory(&self) -> PathBuf {
        self.path("people-api")
    }

    pub(crate) fn make(&self) -> Result<Tree, NoTree> {
        self.make_as(Made::IfMissing, &[])
    }

    pub(crate) fn make_as(&self, made: Made, folder: &[ModelFile<'_>]) -> Result<Tree, NoTree> {
        let order = TreeOrder {
            directory: &self.directory(),
            artifact: &self.files,
            unpack: &self.unpack,
            programs: &self.programs,
            folder,
        };
        let means = Means {
            cache: &self.path("cache"),
            program: &program(),
            access: &self.access,
            proxy: None,
            idle: self.idle,
        };
        make_tree(&order, &means, made)
    }

    /// The listing of the tree that has to come of it.
    pub(crate) fn listing(&self) -> String {
        let tree = self.make().unwrap_or_else(|err| panic!("{err}"));
        listing(&tree.path)
    }

    /// Why none comes of it; nothing stays.
    pub(crate) fn refused(&self) -> String {
        match self.make() {
            Err(NoTree::Refused(words)) => {
                assert_eq!(self.left(), "", "{words}");
                words
            }
            other => panic!("{other:?}"),
        }
    }

    /// What lies below `releases`.
    pub(crate) fn left(&self) -> String {
        let entries = std::fs::read_dir(self.directory().join("releases"));
        let mut names: Vec<String> = entries
            .into_iter()
            .flatten()
            .map(|it| it.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names.join(" ")
    }
}

fn program() -> PathBuf {
    crate::cli::binary()
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    steadfast_system::text::hex(&Sha256::digest(bytes))
}

/// Each entry of a tree: mode, owner, size or target, name.
pub(crate) fn listing(root: &Path) -> String {
    let mut lines = String::new();
    list(root, "", &mut lines);
    lines
}

fn list(folder: &Path, above: &str, lines: &mut String) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|it| it.unwrap()).collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let name = format!("{above}{}", entry.file_name().to_string_lossy());
        let about = entry.metadata().unwrap();
        let what = if about.is_symlink() {
            format!("-> {}", std::fs::read_link(entry.path()).unwrap().display())
        } else if about.is_dir() {
            "/".to_owned()
        } else {
            format!("{}", about.len())
        };
        writeln!(lines, "{:04o} {name} {what}", about.mode() & 0o7777).unwrap();
        if about.is_dir() {
            list(&entry.path(), &format!("{name}/"), lines);
        }
    }
}

/// A tar archive that is built entry by entry.
pub(crate) struct Tar(tar::Builder<Vec<u8>>);

impl Tar {
    pub(crate) fn new() -> Tar {
        Tar(tar::Builder::new(vec![]))
    }

    /// Any entry, whatever its name says.
    pub(crate) fn entry(
        mut self,
        kind: u8,
        name: &str,
        mode: u32,
        link: &str,
        content: &[u8],
    ) -> Tar {
        let mut header = tar::Header::new_gnu();
        let fields = header.as_gnu_mut().unwrap();
        fields.name[..name.len()].copy_from_slice(name.as_bytes());
        fields.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        header.set_mtime(1_764_460_800);
        header.set_cksum();
        self.0.append(&header, content).unwrap();
        self
    }

    pub(crate) fn file(self, name: &str, content: &[u8]) -> Tar {
        self.entry(b'0', name, 0o644, "", content)
    }

    pub(crate) fn program(self, name: &str, content: &[u8]) -> Tar {
        self.entry(b'0', name, 0o755, "", content)
    }

    pub(crate) fn directory(self, name: &str) -> Tar {
        self.entry(b'5', name, 0o755, "", b"")
    }

    pub(crate) fn symlink(self, name: &str, target: &str) -> Tar {
        self.entry(b'2', name, 0o777, target, b"")
    }

    pub(crate) fn hardlink(self, name: &str, first: &str) -> Tar {
        self.entry(b'1', name, 0o644, first, b"")
    }

    /// What PAX says of the entry that follows.
    pub(crate) fn said(mut self, words: &[(&str, &[u8])]) -> Tar {
        self.0.append_pax_extensions(words.iter().copied()).unwrap();
        self
    }

    pub(crate) fn end(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}
