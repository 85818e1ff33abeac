//! A tree that is there: what is found to have been changed, and how it is made whole; and what stays of one that was
//! never finished.

use super::{Site, Tar, listing};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use steadfast_node::artifact::{Made, NoTree, Tree, look_at_tree};
use steadfast_system::trees::{Depth, Different};

fn archive() -> Vec<u8> {
    Tar::new()
        .program("bin/api", b"#!/bin/sh\n")
        .file("share/words", b"hello\n")
        .symlink("api", "bin/api")
        .end()
}

fn found(site: &Site, tree: &Tree, depth: Depth) -> Vec<(String, Different)> {
    let found = look_at_tree(&site.directory(), &tree.key, depth).unwrap();
    found.into_iter().map(|it| (it.name, it.what)).collect()
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// A way to change a tree, what is found, and where.
type Change = (fn(&Path), &'static str, Different);

const CHANGES: [Change; 9] = [
    (
        |tree| std::fs::write(tree.join("share/words"), "HELLO\n").unwrap(),
        "share/words",
        Different::Content,
    ),
    (
        |tree| std::fs::write(tree.join("share/words"), "longer\n").unwrap(),
        "share/words",
        Different::Content,
    ),
    (|tree| mode(&tree.join("share/words"), 0o644), "share/words", Different::Access),
    (|tree| mode(&tree.join("share"), 0o755), "share", Different::Access),
    (|tree| std::fs::remove_file(tree.join("bin/api")).unwrap(), "bin/api", Different::Missing),
    (|tree| std::fs::write(tree.join("share/more"), "x").unwrap(), "share/more", Different::Added),
    (|tree| std::fs::write(tree.join("more"), "x").unwrap(), "more", Different::Added),
    (
        |tree| {
            std::fs::remove_file(tree.join("api")).unwrap();
            symlink("share/words", tree.join("api")).unwrap();
        },
        "api",
        Different::Content,
    ),
    (
        |tree| {
            std::fs::remove_file(tree.join("api")).unwrap();
            std::fs::create_dir(tree.join("api")).unwrap();
        },
        "api",
        Different::Content,
    ),
];

#[test]
fn whatever_is_changed_in_a_tree_is_found_and_made_whole() {
    if !crate::require::is_root() {
        return;
    }
    let site = Site::of(&archive());
    let tree = site.make().unwrap();
    let whole = listing(&tree.path);
    assert_eq!(found(&site, &tree, Depth::Seen), []);
    for (change, name, what) in CHANGES {
        change(&tree.path);
        assert_eq!(found(&site, &tree, Depth::Seen), [(name.to_owned(), what)]);
        let again = site.make_as(Made::Anew, &[]).unwrap();
        assert!(again.is_new && again.path == tree.path);
        assert_eq!(listing(&tree.path), whole);
        assert_eq!(found(&site, &tree, Depth::Whole), []);
        let name = tree.key.name();
        assert_eq!(site.left(), format!("{name} {name}.manifest"));
    }
}

/// Whoever puts size and time of a file back does not put back the time at which that was done.
#[test]
fn a_change_is_found_although_size_and_time_are_put_back() {
    if !crate::require::is_root() {
        return;
    }
    let site = Site::of(&archive());
    let tree = site.make().unwrap();
    let path = tree.path.join("bin/api");
    let before = std::fs::metadata(&path).unwrap();
    std::fs::write(&path, "#!/bin/no\n").unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(before.modified().unwrap()).unwrap();
    let after = std::fs::metadata(&path).unwrap();
    assert_eq!(
        (after.len(), after.modified().unwrap()),
        (before.len(), before.modified().unwrap())
    );
    assert_eq!(found(&site, &tree, Depth::Seen), [("bin/api".to_owned(), Different::Content)]);
}

/// What was only touched is read once, and then known again.
#[test]
fn what_was_touched_and_is_the_same_is_no_difference() {
    if !crate::require::is_root() {
        return;
    }
    let site = Site::of(&archive());
    let tree = site.make().unwrap();
    let list = site.directory().join(format!("releases/{}.manifest", tree.key.name()));
    let before = std::fs::read(&list).unwrap();
    let path = tree.path.join("share/words");
    mode(&path, 0o600);
    mode(&path, 0o444);
    assert_eq!(found(&site, &tree, Depth::Seen), []);
    assert!(std::fs::read(&list).unwrap() != before, "it was written anew");
    assert_eq!(found(&site, &tree, Depth::Seen), []);
}

#[test]
fn a_tree_without_its_list_is_missing_and_made_again() {
    let site = Site::of(&archive());
    let tree = site.make().unwrap();
    let list = site.directory().join(format!("releases/{}.manifest", tree.key.name()));
    for broken in [None, Some("steadfast-tree 1\n")] {
        match broken {
            None => std::fs::remove_file(&list).unwrap(),
            Some(text) => std::fs::write(&list, text).unwrap(),
        }
        assert_eq!(found(&site, &tree, Depth::Seen), [(String::new(), Different::Missing)]);
        assert!(site.make().unwrap().is_new);
        assert_eq!(found(&site, &tree, Depth::Seen), []);
    }
}

/// What a run that was killed has left is taken away by the next, whatever it had come to.
#[test]
fn what_was_never_finished_is_taken_away() {
    let site = Site::of(&archive());
    let releases = site.directory().join("releases");
    std::fs::create_dir_all(releases.join(".new-0123456789ab/bin")).unwrap();
    std::fs::write(releases.join(".new-0123456789ab/bin/api"), "x").unwrap();
    std::fs::write(releases.join(".new-0123456789ab.manifest"), "x").unwrap();
    std::fs::write(releases.join("0123456789ab.manifest"), "of no tree").unwrap();
    std::fs::create_dir(releases.join("by-hand")).unwrap();
    mode(&site.directory(), 0o755);
    mode(&releases, 0o755);
    let tree = site.make().unwrap();
    let name = tree.key.name();
    let mut names = [name.to_owned(), format!("{name}.manifest"), "by-hand".to_owned()];
    names.sort();
    assert_eq!(site.left(), names.join(" "), "what is somebody's stays");
    // Moved aside on a file system that cannot exchange, and then killed.
    std::fs::rename(&tree.path, releases.join(format!(".old-{name}"))).unwrap();
    assert!(!site.make().unwrap().is_new);
}

/// Who can rename a directory above chooses what root starts.
#[test]
fn a_place_that_others_can_swap_is_none() {
    if !crate::require::is_root() {
        return;
    }
    let site = Site::of(&archive());
    std::fs::create_dir(site.directory()).unwrap();
    mode(&site.directory(), 0o777);
    let words = site.make().unwrap_err().to_string();
    assert!(words.contains("/people-api can be written by others than root"), "{words}");
    mode(&site.directory(), 0o755);
    mode(&site.path(""), 0o777);
    // The one that is open is named.
    let words = site.make().unwrap_err().to_string();
    let open = site.path("").to_str().unwrap().trim_end_matches('/').to_owned();
    assert!(words.contains(&format!("{open} can be written by others than root")), "{words}");
    mode(&site.path(""), 0o755);
    site.make().unwrap();
}

#[test]
fn room_is_asked_for_before_anything_is_fetched() {
    let mut site = Site::of(&archive());
    site.files.size = Some(60 << 40);
    let Err(NoTree::NoSpace(words)) = site.make() else { panic!("it was tried") };
    assert!(words.ends_with(" MiB fetched and unpacked"), "{words}");
    site.files.size = None;
    site.files.unpacked = Some(60 << 40);
    let Err(NoTree::NoSpace(words)) = site.make() else { panic!("it was tried") };
    assert!(words.ends_with(" MiB unpacked"), "{words}");
    assert_eq!(std::fs::read_dir(site.path("cache")).unwrap().count(), 0);
}

/// Inodes are not asked for, so the end of them is found by writing; and so is the end of what is fetched, where nobody
/// has said how large it is.
#[test]
fn a_disk_that_fills_up_is_left_as_it_was() {
    use nix::mount::{MsFlags, mount, umount};
    if !crate::require::is_root() {
        return;
    }
    let small = |place: &Path, options: &str| {
        std::fs::create_dir_all(place).unwrap();
        mode(place, 0o755);
        let options = format!("{options},mode=0755");
        mount(Some("tmpfs"), place, Some("tmpfs"), MsFlags::empty(), Some(&*options)).unwrap();
    };
    let archive =
        (0..50).fold(Tar::new(), |tar, it| tar.file(&format!("d/{it}"), &[7; 5000])).end();
    let site = Site::of(&archive);
    small(&site.directory(), "size=50m,nr_inodes=30");
    let Err(NoTree::NoSpace(words)) = site.make() else { panic!("it had room") };
    assert_eq!(words, "the disk was full while it was unpacked");
    assert_eq!(site.left(), "");
    umount(&site.directory()).unwrap();
    small(&site.path("cache"), "size=64k");
    let Err(NoTree::NoSpace(words)) = site.make() else { panic!("it had room") };
    assert_eq!(words, "the disk was full while it was fetched");
    assert_eq!(std::fs::read_dir(site.path("cache")).unwrap().count(), 0);
    umount(&site.path("cache")).unwrap();
    site.make().unwrap();
}
