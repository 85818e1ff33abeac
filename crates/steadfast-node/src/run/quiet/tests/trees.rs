//! A promised tree with all that is in it: it is settled as a whole, and nothing that anybody does in it is passed over.

use super::*;
use std::os::unix::fs::{MetadataExt as _, chown, symlink};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

const MANY: usize = 40;

/// What is promised beside source, owner and mode.
fn tree(rest: &str) -> Option<World> {
    let world = World::new(1)?;
    for at in 0..MANY {
        let path = world.path("model/files/tree").join(inside(at));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("content {at}\n")).unwrap();
    }
    let text = format!(
        "server: web\ndirectories:\n  {}: {{ owner: root, group: root, mode: \"u=rwX,go=rX\", recurse: true, \
         source: files/tree{rest} }}\n",
        world.path("data/tree").display()
    );
    fs::write(world.path("model/servers/web.yaml"), text).unwrap();
    assert_eq!(world.run().repaired, 1);
    pass(&world.path("data/tree"));
    assert_eq!(world.run().kept, 1);
    if !world.list().exists() {
        return None;
    }
    assert!(world.is_quiet());
    Some(world)
}

fn inside(at: usize) -> String {
    if at.is_multiple_of(2) { format!("{at}") } else { format!("below/deep/{at}") }
}

/// Returns when what is changed then has another time than what was changed last in a tree.
pub(super) fn pass(path: &Path) {
    let about = fs::symlink_metadata(path).unwrap();
    if about.is_dir() {
        fs::read_dir(path).unwrap().for_each(|it| pass(&it.unwrap().path()));
    }
    let changed = i128::from(about.ctime()) * 1_000_000_000 + i128::from(about.ctime_nsec());
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    while i128::try_from(now()).unwrap() < changed + 50_000_000 {
        std::thread::yield_now();
    }
}

/// Whatever is done is repaired, and then nothing is left, and is quiet again.
#[track_caller]
fn finds(world: &World, what: &str, act: impl FnOnce(&Path)) {
    let tree = world.path("data/tree");
    act(&tree);
    assert_eq!(world.run().repaired, 1, "{what}");
    pass(&tree);
    assert_eq!(world.run().kept, 1, "{what}");
    assert!(world.is_quiet(), "{what}");
}

#[test]
fn whatever_is_done_in_it_is_found_and_repaired() {
    let Some(world) = tree(", purge: true") else { return };
    let with_mode = |path: PathBuf, mode| {
        fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    };
    finds(&world, "a content, with size and time of before", |tree| {
        let path = tree.join("below/deep/7");
        let before = fs::metadata(&path).unwrap().modified().unwrap();
        fs::write(&path, "CONTENT 7\n").unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_modified(before).unwrap();
    });
    finds(&world, "a mode", |tree| with_mode(tree.join("2"), 0o600));
    finds(&world, "the mode of a directory", |tree| with_mode(tree.join("below"), 0o700));
    finds(&world, "the mode of the tree itself", |tree| with_mode(tree.to_owned(), 0o700));
    finds(&world, "an owner", |tree| chown(tree.join("below/deep/9"), Some(1), None).unwrap());
    finds(&world, "a group", |tree| chown(tree.join("below"), None, Some(1)).unwrap());
    finds(&world, "a file that went", |tree| fs::remove_file(tree.join("0")).unwrap());
    finds(&world, "one that nobody promised", |tree| {
        fs::write(tree.join("below/new"), "").unwrap();
    });
    finds(&world, "a link in a file's place", |tree| {
        fs::rename(tree.join("4"), world.path("elsewhere")).unwrap();
        symlink(world.path("elsewhere"), tree.join("4")).unwrap();
    });
    finds(&world, "an older file in its place", |tree| {
        fs::rename(world.path("elsewhere"), tree.join("6")).unwrap();
    });
}

#[test]
fn a_tree_that_others_can_write_is_looked_at_each_time() {
    let Some(world) = tree("") else { return };
    let path = world.path("data/tree/strange");
    fs::write(&path, "").unwrap();
    pass(&path);
    world.run();
    assert!(world.is_quiet(), "what nobody promised and root alone can write");
    // Owner and mode are promised of it.
    fs::hard_link(&path, world.path("data/tree/again")).unwrap();
    chown(&path, Some(1), None).unwrap();
    pass(&path);
    world.run();
    assert!(!world.is_quiet(), "it has two names, and so is left alone as it is");
}

#[test]
fn the_model_s_files_decide_what_is_promised() {
    let Some(world) = tree("") else { return };
    fs::write(world.path("model/files/tree/8"), "other content\n").unwrap();
    assert_eq!(world.run().repaired, 1);
    assert_eq!(fs::read_to_string(world.path("data/tree/8")).unwrap(), "other content\n");
}
