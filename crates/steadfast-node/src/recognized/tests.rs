//! A model that is not read is the one that was.
#![expect(clippy::disallowed_methods, reason = "a test makes the files that it is about")]

use super::*;
use std::fs;

const DAY: Duration = Duration::from_secs(24 * 3_600);

struct World {
    folder: tempfile::TempDir,
    layout: Layout,
}

impl World {
    /// With a model that a run has read; none where files lie on something that is not believed.
    fn read() -> Option<World> {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let layout = Layout::below(&folder.path().join("state"));
        let world = World { folder, layout };
        fs::create_dir_all(world.model().join("servers")).unwrap();
        world.write("model.yaml", "model: test\nformat: 1\n");
        world.write("servers/one.yaml", "server: one\n");
        assert!(world.find().is_read);
        world.layout.cache.join("models").exists().then_some(world)
    }

    fn model(&self) -> PathBuf {
        self.folder.path().join("model")
    }

    /// The clock is past the grain of this change when it returns.
    fn write(&self, name: &str, content: &str) {
        fs::write(self.model().join(name), content).unwrap();
        self.settle();
    }

    fn settle(&self) {
        let is_sure =
            || whole::below(&self.model(), &is_part).is_some_and(|it| it.digest().is_some());
        let begin = std::time::Instant::now();
        while !is_sure() && begin.elapsed() < Duration::from_secs(3) {
            std::thread::yield_now();
        }
    }

    fn find(&self) -> Known {
        self.find_within(DAY)
    }

    fn find_within(&self, verify: Duration) -> Known {
        Known::find(&self.model(), &self.layout, verify, false).unwrap()
    }
}

#[test]
fn a_model_that_was_read_is_not_read_again_and_its_files_are_there_where_one_is_asked_for() {
    let Some(world) = World::read() else { return };
    let known = world.find();
    assert!(!known.is_read);
    let truth = model::read(&world.model()).unwrap();
    assert_eq!(known.files.revision, truth.revision);
    let paths = |files: &Files| -> Vec<String> {
        files.sources.iter().map(|(_, it)| it.path.to_string()).collect()
    };
    assert_eq!(paths(&known.files), paths(&truth));
    assert_eq!(known.read(&world.model()).unwrap().revision, truth.revision);
    assert!(world.find_within(Duration::ZERO).is_read);
}

#[test]
fn a_changed_byte_of_a_model_is_found_though_size_and_mtime_were_put_back() {
    let Some(world) = World::read() else { return };
    let known = world.find();
    let path = world.model().join("servers/one.yaml");
    let before = fs::metadata(&path).unwrap().modified().unwrap();
    world.write("servers/one.yaml", "server: two\n");
    fs::File::options().write(true).open(&path).unwrap().set_modified(before).unwrap();
    world.settle();
    // What was found before this change is not mixed with what is there now.
    assert_eq!(known.files.sources.iter().count(), 0);
    let found = world.find();
    assert!(found.is_read);
    assert_ne!(found.files.revision, known.files.revision);
    assert_eq!(known.read(&world.model()).unwrap().revision, found.files.revision);
    assert!(!world.find().is_read);
}

#[test]
fn a_file_that_comes_goes_or_gets_another_name_is_found() {
    let Some(world) = World::read() else { return };
    let first = world.find().files.revision.digest;
    world.write("servers/two.yaml", "server: two\n");
    let second = world.find();
    assert!(second.is_read);
    fs::rename(world.model().join("servers/two.yaml"), world.model().join("servers/three.yaml"))
        .unwrap();
    world.settle();
    let third = world.find();
    assert!(third.is_read && third.files.revision != second.files.revision);
    fs::remove_file(world.model().join("servers/three.yaml")).unwrap();
    assert_eq!(world.find().files.revision.digest, first);
}

#[test]
fn a_look_puts_nothing_down() {
    let Some(world) = World::read() else { return };
    fs::remove_file(world.layout.cache.join("models")).unwrap();
    let known = Known::find(&world.model(), &world.layout, DAY, true).unwrap();
    assert!(known.is_read);
    assert!(!world.layout.cache.join("models").exists());
}
