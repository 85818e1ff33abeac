//! What gives one impression is the same, and what may not be is none.

use super::*;
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

/// The same whether files are opened or not.
fn impression(paths: &[&PathBuf]) -> Option<Digest> {
    let (mut open, mut closed) = (Impression::default(), Impression::default());
    for path in paths {
        open.add_open("name", &File::open(path).unwrap());
        closed.add_at("name", path);
    }
    let digest = open.digest();
    assert_eq!(closed.digest(), digest);
    digest
}

#[test]
fn another_byte_gives_another_impression_though_size_and_mtime_were_put_back() {
    let folder = folder();
    let path = folder.path().join("file");
    write(&path, "first one");
    let Some(first) = impression(&[&path]) else { return };
    assert_eq!(impression(&[&path]), Some(first));
    let before = std::fs::metadata(&path).unwrap().modified().unwrap();
    write(&path, "First one");
    File::options().write(true).open(&path).unwrap().set_modified(before).unwrap();
    settle(&path);
    assert_eq!(std::fs::metadata(&path).unwrap().modified().unwrap(), before);
    let second = impression(&[&path]);
    assert!(second.is_some_and(|it| it != first));
    // A copy that was put in its place.
    let other = folder.path().join("other");
    std::fs::copy(&path, &other).unwrap();
    File::options().write(true).open(&other).unwrap().set_modified(before).unwrap();
    std::fs::rename(&other, &path).unwrap();
    settle(&path);
    assert!(impression(&[&path]).is_some_and(|it| Some(it) != second));
    let mut renamed = Impression::default();
    renamed.add_at("other name", &path);
    assert_ne!(renamed.digest(), impression(&[&path]));
    assert_ne!(impression(&[&path, &path]), impression(&[&path]));
}

#[test]
fn what_others_can_write_what_has_just_changed_and_what_is_no_file_gives_none() {
    let folder = folder();
    let path = folder.path().join("file");
    write(&path, "content");
    if impression(&[&path]).is_none() {
        return;
    }
    for mode in [0o664, 0o646] {
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        settle(&path);
        assert_eq!(impression(&[&path]), None, "{mode:o}");
    }
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    settle(&path);
    assert!(impression(&[&path]).is_some());
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&path, Some(1), None).unwrap();
        settle(&path);
        assert_eq!(impression(&[&path]), None);
    }
    let ahead = folder.path().join("ahead");
    std::fs::write(&ahead, "content").unwrap();
    let changed = Facts::at(CWD, &ahead).unwrap();
    assert!(is_racy(&changed, changed.changed()));
    let gone = folder.path().join("gone");
    for path in [gone, folder.path().to_owned(), PathBuf::from("/proc/self/status")] {
        let mut impression = Impression::default();
        impression.add_at("name", &path);
        assert_eq!(impression.digest(), None, "{}", path.display());
    }
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
