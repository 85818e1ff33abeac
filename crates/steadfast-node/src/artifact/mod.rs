//! The tree of an artifact: fetched by a process without privileges, known by its digest before anybody looks into it,
//! taken apart by another that can neither open nor start anything, and written by this one. See
//! decisions 0081 and 0082.

mod access;
mod fetch;
mod key;
mod terms;
mod unpack;

pub use access::access_for;
pub(crate) use access::headers;
pub use key::{ModelFile, TreeKey};
pub use steadfast_download::worker::{transfer_as_child, unpack_as_child};
pub(crate) use terms::worker_user;
pub use terms::{IDLE, Made, Means, NoTree, Tree, TreeOrder};

use fetch::{Fetching, Got};
use std::fs::File;
use std::path::Path;
use steadfast_model::application::Location;
use steadfast_system::trees::{
    Depth, Deviation, Different, Looked, Releases, Rules, Space, Written, make_private,
};
use steadfast_system::{ErrorKind, SystemError};
use terms::MAX_BYTES;

/// What a tree may have at least, and how many times its artifact, where nothing is said.
const USUAL_MAX: u64 = 2 << 30;
const USUAL_TIMES: u64 = 20;
/// How many times its artifact a tree is taken to be, where nothing is said.
const EXPECTED_TIMES: u64 = 4;

/// Makes the tree of an artifact below `DIRECTORY/releases`, named by what it is made of, where it is not there yet.
/// Nobody else may be doing so for this directory at the same time: the lock of a run is held.
pub fn make_tree(order: &TreeOrder<'_>, means: &Means<'_>, made: Made) -> Result<Tree, NoTree> {
    let key = TreeKey::new(order.artifact, order.unpack, order.folder);
    let releases = Releases::open(order.directory)?;
    releases.sweep()?;
    let path = releases.path_of(key.name());
    let known = releases.manifest(key.name())?;
    if known.as_ref().is_some_and(|it| it.digest != key.digest()) {
        let words = format!("{} is of another artifact whose digest begins alike", path.display());
        return Err(NoTree::Refused(words));
    }
    if made == Made::IfMissing && known.is_some() && releases.has(key.name())? {
        return Ok(Tree { key, path, is_new: false, notes: vec![] });
    }
    let making = Making { order, means, releases: &releases, key: &key };
    let (written, mut notes) = match &order.artifact.url.value {
        Location::Model(_) => (making.copy()?, vec![]),
        Location::Https(_) | Location::Http(_) | Location::File(_) | Location::Oci { .. } => {
            making.fetch_and_unpack()?
        }
    };
    notes.extend(foreign(&written));
    Ok(Tree { key, path, is_new: true, notes })
}

/// Compares a tree with what was written: what does not match, and nothing where it is whole.
pub fn look_at_tree(
    directory: &Path,
    key: &TreeKey,
    depth: Depth,
) -> Result<Vec<Deviation>, NoTree> {
    let releases = Releases::open(directory)?;
    let Some(manifest) = releases.manifest(key.name())? else {
        let what = Different::Missing;
        return Ok(vec![Deviation { name: String::new(), what }]);
    };
    let Looked { deviations, refreshed } = releases.look(key.name(), manifest, depth)?;
    if let Some(manifest) = refreshed {
        releases.write_manifest(key.name(), &manifest)?;
    }
    Ok(deviations)
}

fn foreign(written: &Written) -> Option<String> {
    let (first, machine) = written.foreign.first()?;
    Some(match written.foreign.len() {
        1 => format!("{first} is built for {machine}"),
        count => format!("{first} and {} more are built for {machine}", count - 1),
    })
}

/// One tree that is being made.
struct Making<'a> {
    order: &'a TreeOrder<'a>,
    means: &'a Means<'a>,
    releases: &'a Releases,
    key: &'a TreeKey,
}

impl Making<'_> {
    /// From the model, whose files are here, and trusted as the rest of it is.
    fn copy(&self) -> Result<Written, NoTree> {
        let bytes = self.order.folder.iter().map(|it| it.content.len() as u64).sum();
        let mut writer = self.begin(self.order.unpack.max.unwrap_or(USUAL_MAX.max(bytes)))?;
        for file in self.order.folder {
            let size = file.content.len() as u64;
            let mode = if file.is_executable { 0o755 } else { 0o644 };
            writer.file(
                file.path.as_bytes(),
                steadfast_system::trees::File { mode, time: 0, size },
            )?;
            writer.data(file.content)?;
        }
        if self.order.folder.is_empty() {
            return Err(NoTree::Refused("the directory of the model is empty".to_owned()));
        }
        Ok(writer.finish(self.key.digest())?)
    }

    fn fetch_and_unpack(&self) -> Result<(Written, Vec<String>), NoTree> {
        make_private(self.means.cache)?;
        self.has_room_for_all()?;
        let fetching = Fetching::begin(self.order.artifact, self.means)?;
        let Got { archive, part, size, notes } = fetching.fetch()?;
        let written = self.unpack_where_there_is_room(archive, size);
        match &written {
            // It is not needed again, or takes the room that is missing.
            Ok(_) | Err(NoTree::Refused(_) | NoTree::NoSpace(_)) => part.forget(),
            Err(NoTree::Away(_) | NoTree::Failed(_)) => {}
        }
        Ok((written?, notes))
    }

    fn unpack_where_there_is_room(&self, archive: File, size: u64) -> Result<Written, NoTree> {
        let said = self.order.artifact.unpacked;
        let unpacked = said.unwrap_or(size.saturating_mul(EXPECTED_TIMES));
        self.has_room(self.releases.space()?, unpacked, "unpacked")?;
        let usual = USUAL_MAX.max(size.saturating_mul(USUAL_TIMES));
        let max = self.order.unpack.max.unwrap_or(usual).min(MAX_BYTES);
        self.unpack(archive, said.map_or(max, |it| it.min(max)))
    }

    /// Before anything is fetched, as far as it is said how large it is.
    fn has_room_for_all(&self) -> Result<(), NoTree> {
        let (size, unpacked) = (self.order.artifact.size, self.order.artifact.unpacked);
        let Some(size) = size else {
            return unpacked
                .map_or(Ok(()), |it| self.has_room(self.releases.space()?, it, "unpacked"));
        };
        let unpacked = unpacked.unwrap_or(size.saturating_mul(EXPECTED_TIMES));
        let (tree, cache) = (self.releases.space()?, Space::at(self.means.cache)?);
        if tree.device == cache.device {
            return self.has_room(tree, unpacked.saturating_add(size), "fetched and unpacked");
        }
        self.has_room(cache, size, "fetched")?;
        self.has_room(tree, unpacked, "unpacked")
    }

    fn has_room(&self, space: Space, bytes: u64, what: &str) -> Result<(), NoTree> {
        if space.free >= bytes {
            return Ok(());
        }
        let (free, bytes) = (mebibytes(space.free), mebibytes(bytes));
        let words = format!("{free} MiB are free, and the artifact may take {bytes} MiB {what}");
        Err(NoTree::NoSpace(words))
    }

    fn rules(&self, max_bytes: u64) -> Result<Rules, NoTree> {
        let unpack = self.order.unpack;
        let private_to = match &unpack.private_to {
            None => None,
            Some(name) => match nix::unistd::Group::from_name(name).ok().flatten() {
                Some(group) => Some(group.gid.as_raw()),
                None => {
                    let words = format!("there is no group `{name}`, which is to read the tree");
                    return Err(SystemError::new(ErrorKind::Other, words).into());
                }
            },
        };
        Ok(Rules {
            max_bytes,
            setuid: unpack.setuid,
            links_anywhere: unpack.links_anywhere,
            private_to,
            programs: self.order.programs.iter().map(|it| it.as_bytes().to_owned()).collect(),
        })
    }

    fn begin(&self, max_bytes: u64) -> Result<steadfast_system::trees::Writer<'_>, NoTree> {
        let rules = self.rules(max_bytes)?;
        Ok(steadfast_system::trees::Writer::begin(self.releases, self.key.name(), rules)?)
    }
}

/// Rounded up.
fn mebibytes(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}
