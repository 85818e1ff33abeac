//! What was settled is the same, and nothing that anybody does to a file, its directory or the list is passed over.

use super::*;
use crate::files::tests::host_in;
use crate::files::{Read as _, Wanted};
use rustix::fs::CWD;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

const DAY: Duration = Duration::from_secs(24 * 3_600);
const KEY: Digest = [7; 32];
const FILES: usize = 300;

struct World {
    folder: tempfile::TempDir,
}

impl World {
    /// With files in two directories that were read and settled; none where files lie on something that is not
    /// believed, or somebody else can write where they lie.
    fn settled() -> Option<World> {
        let folder = tempfile::tempdir_in("/root").ok()?;
        let world = World { folder };
        for folder in ["cache", "a", "b"] {
            fs::create_dir(world.path(folder)).unwrap();
        }
        for at in 0..FILES {
            fs::write(world.file(at), content(at)).unwrap();
        }
        (0..FILES).for_each(|at| settle(&world.file(at)));
        // The look that reads them settles them: the next run goes by that.
        let which = world.look()?;
        (which.len() == FILES && which.iter().all(|it| *it)).then_some(world)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, at: usize) -> PathBuf {
        self.path(if at.is_multiple_of(2) { "a" } else { "b" }).join(format!("{at:03}"))
    }

    /// One run: which of the files it settles.
    fn look(&self) -> Option<Vec<bool>> {
        let host = host_in(self.folder.path());
        host.trust_looks(DAY);
        let mut all: Vec<usize> = (0..FILES).collect();
        all.sort_by_key(|at| self.file(*at));
        let paths: Vec<AbsPath> = (all.iter())
            .map(|at| AbsPath::parse(self.file(*at).to_str().unwrap()).unwrap())
            .collect();
        let wanted: Vec<_> = (all.iter().zip(&paths))
            .map(|(at, path)| (path, Wanted::DigestIfSize(content(*at).len() as u64)))
            .collect();
        let looks: Vec<Entry> =
            host.look(&wanted).into_iter().map(|it| it.unwrap().entry.unwrap()).collect();
        let found: Vec<Found<'_>> = (all.iter().zip(&paths).zip(&looks))
            .map(|((at, path), entry)| Found {
                number: u32::try_from(*at).unwrap(),
                group: u32::from(!at.is_multiple_of(2)),
                path,
                digest: Some(Sha256::digest(content(*at)).into()),
                entry,
            })
            .collect();
        let settling = host.settle(&found, &[])?;
        settling.put(&self.path("cache"), &KEY, b"what belongs to them").unwrap();
        host.keep_looks().unwrap();
        Some(settling.which)
    }

    fn open(&self) -> Option<Settled> {
        Settled::open(&self.path("cache"), &KEY, DAY)
    }

    fn is_unchanged(&self) -> bool {
        self.open().unwrap().news() == News::Nothing
    }
}

fn content(at: usize) -> String {
    format!("content {at}")
}

fn settle(path: &Path) {
    while is_racy(&Facts::at(CWD, path).unwrap(), clock()) {
        std::thread::yield_now();
    }
}

#[test]
fn what_nobody_has_changed_is_the_same_and_comes_with_what_belongs_to_it() {
    let Some(world) = World::settled() else { return };
    let settled = world.open().unwrap();
    assert_eq!(settled.news(), News::Nothing);
    assert_eq!(settled.beside(), b"what belongs to them");
    assert!(Settled::open(&world.path("cache"), &[8; 32], DAY).is_none(), "for other inputs");
    assert!(Settled::open(&world.path("cache"), &KEY, Duration::ZERO).is_none(), "all is read");
    forget(&world.path("cache")).unwrap();
    assert!(world.open().is_none());
}

#[test]
fn a_changed_byte_in_any_one_is_found_though_size_and_mtime_were_put_back() {
    let Some(world) = World::settled() else { return };
    for at in [0, 1, FILES - 1] {
        let path = world.file(at);
        let before = fs::metadata(&path).unwrap().modified().unwrap();
        fs::write(&path, content(at).to_uppercase()).unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(before).unwrap();
        assert!(!world.is_unchanged(), "{at}");
        fs::write(&path, content(at)).unwrap();
        settle(&path);
        world.look();
        world.look();
        assert!(world.is_unchanged(), "{at}");
    }
}

#[test]
fn owner_mode_another_file_a_link_and_a_directory_that_was_swapped_are_found() {
    let Some(world) = World::settled() else { return };
    let copy = world.path("copy");
    let path = world.file(4);
    let again = || {
        settle(&world.file(4));
        world.look();
        world.look();
        assert!(world.is_unchanged());
    };
    fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    assert!(!world.is_unchanged(), "mode");
    again();
    std::os::unix::fs::chown(&path, None, Some(1)).unwrap();
    assert!(!world.is_unchanged(), "group");
    again();
    fs::copy(&path, &copy).unwrap();
    fs::rename(&copy, &path).unwrap();
    assert!(!world.is_unchanged(), "another file");
    again();
    fs::hard_link(&path, &copy).unwrap();
    assert!(!world.is_unchanged(), "another name");
    fs::remove_file(&copy).unwrap();
    again();
    fs::rename(&path, &copy).unwrap();
    std::os::unix::fs::symlink(&copy, &path).unwrap();
    assert!(!world.is_unchanged(), "a link");
    fs::rename(&copy, &path).unwrap();
    again();
    // The files themselves are the same.
    fs::rename(world.path("a"), world.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink("elsewhere", world.path("a")).unwrap();
    assert!(!world.is_unchanged(), "their directory is a link");
    fs::remove_file(world.path("a")).unwrap();
    fs::rename(world.path("elsewhere"), world.path("a")).unwrap();
    assert!(world.is_unchanged());
    fs::set_permissions(world.path("a"), PermissionsExt::from_mode(0o777)).unwrap();
    assert!(!world.is_unchanged(), "others can write there");
}

#[test]
fn what_has_changed_is_told_and_one_of_each_group_that_has_not() {
    let Some(world) = World::settled() else { return };
    let news = || match world.open().unwrap().news() {
        News::Nothing => Some((BTreeSet::new(), vec![])),
        News::Of(changed) => {
            let same = world.open().unwrap().one_of_each(&changed);
            Some((changed, same))
        }
        News::Much => None,
    };
    fs::write(world.file(0), "other").unwrap();
    fs::remove_file(world.file(1)).unwrap();
    fs::write(world.file(6), "other").unwrap();
    assert_eq!(news(), Some((BTreeSet::from([0, 1, 6]), vec![2, 3])));
    (0..FILES / 4).for_each(|at| fs::write(world.file(at), "other").unwrap());
    assert_eq!(news(), Some(((0..75).collect(), vec![76, 75])));
    fs::write(world.file(FILES / 4), "other").unwrap();
    assert_eq!(news(), None);
}

#[test]
fn what_is_no_file_any_more_is_much() {
    let Some(world) = World::settled() else { return };
    let news = || world.open().unwrap().news();
    fs::rename(world.file(0), world.path("aside")).unwrap();
    std::os::unix::fs::symlink(world.path("aside"), world.file(0)).unwrap();
    assert_eq!(news(), News::Much, "a link");
    fs::remove_file(world.file(0)).unwrap();
    fs::create_dir(world.file(0)).unwrap();
    assert_eq!(news(), News::Much, "a directory");
    fs::remove_dir(world.file(0)).unwrap();
    assert_eq!(news(), News::Of(BTreeSet::from([0])));
}

/// What a restored copy says is as true as it was, and no more.
#[test]
fn a_restored_copy_of_the_list_fools_nobody() {
    let Some(world) = World::settled() else { return };
    let list = world.path("cache").join(NAME);
    let copy = fs::read(&list).unwrap();
    fs::write(world.file(2), "something else").unwrap();
    forget(&world.path("cache")).unwrap();
    fs::write(&list, copy).unwrap();
    fs::set_permissions(&list, PermissionsExt::from_mode(0o600)).unwrap();
    assert!(!world.is_unchanged());
}

#[test]
fn files_that_others_can_write_or_that_differ_from_what_was_seen_are_not_settled() {
    let Some(world) = World::settled() else { return };
    fs::set_permissions(world.file(0), PermissionsExt::from_mode(0o666)).unwrap();
    std::os::unix::fs::chown(world.file(1), Some(1), None).unwrap();
    fs::write(world.file(2), "CONTENT 2").unwrap();
    for at in 0..3 {
        settle(&world.file(at));
    }
    world.look();
    let mut which = world.look().unwrap();
    which.sort_unstable();
    assert_eq!(which.iter().filter(|it| !**it).count(), 3);
    assert!(world.is_unchanged(), "the others are");
}

#[test]
fn after_a_boot_and_where_the_clock_was_set_back_nothing_is_settled() {
    let Some(world) = World::settled() else { return };
    let list = world.path("cache").join(NAME);
    let now = Now::read().unwrap();
    let read = |now: &Now| read_records(&list, MAGIC, BYTES_MAX, now).is_some();
    assert!(read(&now));
    assert!(!read(&now.of_another_boot()));
    assert!(!read(&now.set_back(3_600)));
}

#[test]
fn a_list_that_is_damaged_or_anothers_is_none() {
    let Some(world) = World::settled() else { return };
    let list = world.path("cache").join(NAME);
    let good = fs::read(&list).unwrap();
    for byte in (0..good.len()).filter(|it| *it < 300 || it.is_multiple_of(997)) {
        let mut bad = good.clone();
        bad[byte] ^= 1;
        for bad in [&bad[..], &good[..byte]] {
            fs::write(&list, bad).unwrap();
            assert!(world.open().is_none(), "{byte}");
        }
    }
    fs::write(&list, &good).unwrap();
    assert!(world.is_unchanged());
    fs::set_permissions(&list, PermissionsExt::from_mode(0o640)).unwrap();
    assert!(world.open().is_none());
    // What is no list, though it was written as one, is nothing that is unchanged.
    let body = good[good.len() - 4_000..].to_vec();
    let _any = parsed(&body);
    for cut in 0..body.len() {
        let _any = parsed(&body[cut..]);
    }
}
