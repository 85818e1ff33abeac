//! What is not read again, and that nothing fools it. Each test marks the digests that are remembered: a look
//! that gives the mark has not read the file.

use super::*;
use crate::Host;
use crate::files::tests::{Promised, host_in};
use crate::files::{Content, Read as _, Shape, Wanted};
use std::fs::File;
use std::os::unix::fs::PermissionsExt;

const DAY: Duration = Duration::from_secs(24 * 3_600);
const MARK: Digest = [0xAA; 32];

struct World {
    folder: tempfile::TempDir,
}

impl World {
    /// With a file that was looked at; none where files lie on something that is not believed.
    fn looked() -> Option<World> {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        std::fs::create_dir(folder.path().join("cache")).unwrap();
        let world = World { folder };
        world.write("first one");
        world.look();
        world.cache().exists().then_some(world)
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("file")
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache").join(NAME)
    }

    fn facts(&self) -> Facts {
        Facts::at(rustix::fs::CWD, self.path()).unwrap()
    }

    /// The clock is past the grain of this change when it returns.
    fn write(&self, content: &str) {
        std::fs::write(self.path(), content).unwrap();
        self.settle();
    }

    fn settle(&self) {
        while is_racy(&self.facts(), clock()) {
            std::thread::yield_now();
        }
    }

    fn host(&self, verify: Duration) -> Host {
        let host = host_in(self.folder.path());
        host.trust_looks(verify);
        host
    }

    /// One run that looks at the file.
    fn look(&self) -> Digest {
        self.look_within(DAY)
    }

    fn look_within(&self, verify: Duration) -> Digest {
        let host = self.host(verify);
        let path = AbsPath::parse(self.path().to_str().unwrap()).unwrap();
        let wanted = Wanted::DigestIfSize(self.facts().size());
        let look = host.look(&[(&path, wanted)]).pop().unwrap().unwrap();
        let Shape::File { content: Content::Digest(digest), .. } = look.entry.unwrap().shape else {
            panic!("no digest")
        };
        // A tree gives the same.
        let root = AbsPath::parse(self.folder.path().to_str().unwrap()).unwrap();
        let size = self.facts().size();
        let tree = host.tree(&root, &Promised("file", size)).unwrap();
        let found = tree.entries.iter().find(|it| &*it.path == "file").unwrap();
        let content = Content::Digest(digest);
        assert_eq!(found.entry.shape, Shape::File { size, content });
        host.keep_looks().unwrap();
        digest
    }

    /// Marks what is remembered.
    fn mark(&self) {
        let now = Now::read().unwrap();
        let known = read(&self.cache(), &now).unwrap();
        let mut records = known.as_chunks::<RECORD>().0.to_vec();
        assert!(!records.is_empty());
        records.iter_mut().for_each(|it| it[SAME..SAME + 32].copy_from_slice(&MARK));
        write(self.cache().parent().unwrap(), &now, &records.concat()).unwrap();
    }
}

fn sha256(text: &str) -> Digest {
    Sha256::digest(text).into()
}

#[test]
fn what_was_read_is_not_read_again_until_it_changes() {
    let Some(world) = World::looked() else { return };
    world.mark();
    assert_eq!((world.look(), world.look()), (MARK, MARK));
    world.write("other one");
    assert_eq!(world.look(), sha256("other one"));
    let mode = std::fs::metadata(world.cache()).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
}

/// So the run after one that has written a file finds nothing to write down.
#[test]
fn what_a_run_has_just_written_is_known_at_its_end() {
    let Some(world) = World::looked() else { return };
    std::fs::write(world.path(), "other one").unwrap();
    assert_eq!(world.look(), sha256("other one"));
    let kept = std::fs::read(world.cache()).unwrap();
    assert_eq!(world.look(), sha256("other one"));
    assert_eq!(std::fs::read(world.cache()).unwrap(), kept);
    world.mark();
    assert_eq!(world.look(), MARK);
}

#[test]
fn a_changed_byte_is_found_though_size_and_mtime_were_put_back() {
    let Some(world) = World::looked() else { return };
    world.mark();
    let before = std::fs::metadata(world.path()).unwrap().modified().unwrap();
    world.write("First one");
    let file = File::options().write(true).open(world.path()).unwrap();
    file.set_modified(before).unwrap();
    world.settle();
    assert_eq!(std::fs::metadata(world.path()).unwrap().modified().unwrap(), before);
    assert_eq!(world.look(), sha256("First one"));
}

#[test]
fn another_file_of_the_same_name_size_and_time_is_read() {
    let Some(world) = World::looked() else { return };
    world.mark();
    let before = std::fs::metadata(world.path()).unwrap().modified().unwrap();
    let other = world.folder.path().join("other");
    std::fs::write(&other, "First one").unwrap();
    File::options().write(true).open(&other).unwrap().set_modified(before).unwrap();
    std::fs::rename(&other, world.path()).unwrap();
    world.settle();
    assert_eq!(world.look(), sha256("First one"));
}

/// What a restored copy of the cache says is as true as it was, and no more.
#[test]
fn a_restored_copy_of_the_cache_fools_nobody() {
    let Some(world) = World::looked() else { return };
    world.mark();
    let copy = std::fs::read(world.cache()).unwrap();
    world.write("other one");
    assert_eq!(world.look(), sha256("other one"));
    std::fs::write(world.cache(), copy).unwrap();
    assert_eq!(world.look(), sha256("other one"));
}

#[test]
fn every_file_is_read_once_within_the_time_to_verify_and_where_that_is_asked_for() {
    let Some(world) = World::looked() else { return };
    world.mark();
    assert_eq!(world.look_within(Duration::ZERO), sha256("first one"));
    world.mark();
    world.host(DAY).forget_looks().unwrap();
    assert_eq!(world.look(), sha256("first one"));
    let now = Now::read().unwrap();
    let cache = world.folder.path().join("cache");
    let after = |seconds: u64| {
        let now = Now { since_boot: now.since_boot + seconds, ..now.clone() };
        Looks::open_at(now, &cache, Duration::from_secs(100)).digest(&world.facts())
    };
    assert_eq!(after(50), Some(sha256("first one")));
    assert_eq!(after(100), None);
}

#[test]
fn after_a_boot_and_where_the_clock_was_set_back_everything_is_read() {
    let Some(world) = World::looked() else { return };
    let now = Now::read().unwrap();
    let cache = world.folder.path().join("cache");
    let seen = |now: Now| Looks::open_at(now, &cache, DAY).digest(&world.facts()).is_some();
    assert!(seen(now.clone()));
    assert!(!seen(Now { boot: [b'0'; BOOT], ..now.clone() }));
    assert!(!seen(Now { ahead: now.ahead - 3_600, ..now.clone() }));
    assert!(!seen(Now { since_boot: 0, ..now.clone() }));
    // What lies ahead, or has just been changed, may change again at the same time.
    let (facts, changed) = (world.facts(), world.facts().changed());
    for (now, is) in
        [(changed - 1, true), (changed + GRAIN - 1, true), (changed + COARSE_GRAIN, false)]
    {
        assert_eq!(is_racy(&facts, now), is);
    }
}

#[test]
fn the_same_numbers_on_another_mount_are_another_file() {
    let Some(world) = World::looked() else { return };
    let now = Now::read().unwrap();
    let mut records = read(&world.cache(), &now).unwrap();
    assert!(records.len() >= RECORD);
    records.as_chunks_mut::<RECORD>().0.iter_mut().for_each(|it| it[KEY - 1] ^= 1);
    write(world.cache().parent().unwrap(), &now, &records).unwrap();
    world.look();
    let known = read(&world.cache(), &now).unwrap();
    assert!(known.len() > records.len(), "it was read");
}

#[test]
fn looks_that_are_damaged_or_anothers_are_none() {
    let Some(world) = World::looked() else { return };
    let now = Now::read().unwrap();
    let good = std::fs::read(world.cache()).unwrap();
    for byte in 0..good.len() {
        let mut bad = good.clone();
        bad[byte] ^= 1;
        for bad in [&bad[..], &good[..byte]] {
            std::fs::write(world.cache(), bad).unwrap();
            assert!(read(&world.cache(), &now).is_none(), "{byte}");
        }
    }
    std::fs::write(world.cache(), &good).unwrap();
    assert!(read(&world.cache(), &now).is_some());
    std::fs::set_permissions(world.cache(), PermissionsExt::from_mode(0o640)).unwrap();
    assert!(read(&world.cache(), &now).is_none());
}
