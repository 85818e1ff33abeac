//! What gives one impression is the same, and what may not be is none.

use super::*;
use rustix::fs::CWD;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

const DAY: Duration = Duration::from_secs(24 * 3_600);

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/var/tmp").unwrap()
}

/// The clock is past the grain of this change when it returns.
fn write(path: &Path, content: &str) {
    std::fs::write(path, content).unwrap();
    settle(path);
}

fn settle(path: &Path) {
    while is_racy(&Facts::at(CWD, path).unwrap(), clock()) {
        std::thread::yield_now();
    }
}

fn all(_: &str, _: bool) -> bool {
    true
}

/// Of all files in a directory: the same whether they are opened or not.
fn impression(folder: &Path) -> Option<Digest> {
    let closed = below(folder, &all).and_then(Impression::digest);
    let mut open = Impression::default();
    add(&mut open, folder, "");
    assert_eq!(open.digest(), closed);
    closed
}

fn add(impression: &mut Impression, folder: &Path, below: &str) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|it| it.unwrap()).collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let name = format!("{below}{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            add(impression, &entry.path(), &format!("{name}/"));
        } else {
            impression.add_open(&name, &File::open(entry.path()).unwrap());
        }
    }
}

#[test]
fn another_byte_gives_another_impression_though_size_and_mtime_were_put_back() {
    let folder = folder();
    let path = folder.path().join("file");
    write(&path, "first one");
    let Some(first) = impression(folder.path()) else { return };
    assert_eq!(impression(folder.path()), Some(first));
    let before = std::fs::metadata(&path).unwrap().modified().unwrap();
    write(&path, "First one");
    File::options().write(true).open(&path).unwrap().set_modified(before).unwrap();
    settle(&path);
    assert_eq!(std::fs::metadata(&path).unwrap().modified().unwrap(), before);
    let second = impression(folder.path());
    assert!(second.is_some_and(|it| it != first));
    // A copy that was put in its place.
    let other = folder.path().join("other");
    std::fs::copy(&path, &other).unwrap();
    File::options().write(true).open(&other).unwrap().set_modified(before).unwrap();
    std::fs::rename(&other, &path).unwrap();
    settle(&path);
    let third = impression(folder.path());
    assert!(third.is_some_and(|it| Some(it) != second));
    std::fs::rename(&path, &other).unwrap();
    settle(&other);
    assert!(impression(folder.path()).is_some_and(|it| Some(it) != third));
}

/// More directories than one thread looks at alone, one in the other, and files between them by their names.
#[test]
fn a_tree_gives_the_same_impression_by_several_threads_and_another_one_for_each_change() {
    let folder = folder();
    let mut last = folder.path().join("top");
    std::fs::write(&last, "top").unwrap();
    for one in ["a", "b", "b-more", "c"] {
        for two in 0..5 {
            let inner = folder.path().join(format!("{one}/{two}/deep"));
            std::fs::create_dir_all(&inner).unwrap();
            for file in ["0", "9", "deep-beside", "x.y"] {
                last = inner.parent().unwrap().join(file);
                std::fs::write(&last, file).unwrap();
            }
            last = inner.join("file");
            std::fs::write(&last, format!("{one} {two}")).unwrap();
        }
    }
    settle(&last);
    let Some(first) = impression(folder.path()) else { return };
    assert_eq!(impression(folder.path()), Some(first));
    // The same file in another directory.
    let moved = folder.path().join("a/1/file");
    std::fs::rename(folder.path().join("a/1/deep/file"), &moved).unwrap();
    settle(&moved);
    let second = impression(folder.path());
    assert!(second.is_some_and(|it| it != first));
    // What does not count is as if it were not there.
    let without = |it: &str, _: bool| !it.starts_with("a/1") && it != "b";
    let some = below(folder.path(), &without).and_then(Impression::digest);
    std::fs::remove_dir_all(folder.path().join("a/1")).unwrap();
    std::fs::remove_dir_all(folder.path().join("b")).unwrap();
    assert_eq!(impression(folder.path()), some);
    write(&folder.path().join("c/4/deep/file"), "other");
    assert_ne!(impression(folder.path()), some);
    std::os::unix::fs::symlink("file", folder.path().join("c/4/deep/link")).unwrap();
    assert!(below(folder.path(), &all).is_none());
    assert!(below(folder.path(), &|_, is_link| !is_link).is_some());
}

#[test]
fn what_others_can_write_what_has_just_changed_and_what_is_no_file_gives_none() {
    let folder = folder();
    let path = folder.path().join("file");
    write(&path, "content");
    if impression(folder.path()).is_none() {
        return;
    }
    for mode in [0o664, 0o646] {
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        settle(&path);
        assert_eq!(impression(folder.path()), None, "{mode:o}");
    }
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    settle(&path);
    assert!(impression(folder.path()).is_some());
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&path, Some(1), None).unwrap();
        settle(&path);
        assert_eq!(impression(folder.path()), None);
    }
    let ahead = folder.path().join("ahead");
    std::fs::write(&ahead, "content").unwrap();
    let changed = Facts::at(CWD, &ahead).unwrap();
    assert!(is_racy(&changed, changed.changed()));
    for not_there in [folder.path().join("gone"), ahead, PathBuf::from("/proc/self/task")] {
        assert!(below(&not_there, &all).is_none(), "{}", not_there.display());
    }
    let mut open = Impression::default();
    open.add_open("name", &File::open(folder.path()).unwrap());
    assert_eq!(open.digest(), None);
    let mut open = Impression::default();
    open.add_open("name", &File::open("/proc/self/status").unwrap());
    assert_eq!(open.digest(), None);
}

#[test]
fn what_files_came_to_is_known_for_the_time_to_verify_on_this_boot_alone() {
    let folder = folder();
    let cache = folder.path();
    let (key, found) = ([1; 32], [[2; 32], [3; 32]]);
    assert_eq!(known(cache, &key, DAY), None);
    put(cache, &key, &found).unwrap();
    assert_eq!(known(cache, &key, DAY), Some(found));
    assert_eq!(known(cache, &key, Duration::ZERO), None);
    assert_eq!(known(cache, &[3; 32], DAY), None);
    // What was put last is found; of what came before, not all.
    for at in 10..20 {
        put(cache, &[at; 32], &[[at; 32], [0; 32]]).unwrap();
    }
    assert_eq!(known(cache, &key, DAY), None);
    assert_eq!(known(cache, &[12; 32], DAY), Some([[12; 32], [0; 32]]));
    put(cache, &[12; 32], &[[5; 32], [6; 32]]).unwrap();
    assert_eq!(known(cache, &[12; 32], DAY), Some([[5; 32], [6; 32]]));
    assert_eq!(known(cache, &[19; 32], DAY), Some([[19; 32], [0; 32]]));
    // Of another boot, or from before the clock was set back.
    let good = std::fs::read(cache.join(NAME)).unwrap();
    for byte in 0..good.len() {
        let mut bad = good.clone();
        bad[byte] ^= 1;
        for bad in [&bad[..], &good[..byte]] {
            std::fs::write(cache.join(NAME), bad).unwrap();
            assert_eq!(known(cache, &[12; 32], DAY), None, "{byte}");
        }
    }
    std::fs::write(cache.join(NAME), &good).unwrap();
    assert_eq!(known(cache, &[12; 32], DAY), Some([[5; 32], [6; 32]]));
    forget(cache).unwrap();
    assert_eq!(known(cache, &[12; 32], DAY), None);
}
