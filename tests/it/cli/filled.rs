//! However many names somebody makes in a promised directory, a run holds few of them.

use super::{model, steadfast};
use std::path::Path;

/// Of the largest command that was started so far, in KiB.
fn peak() -> i64 {
    use nix::sys::resource::{UsageWho, getrusage};
    getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss()
}

/// Makes so many names of few files.
fn fill(folder: &Path, names: std::ops::Range<usize>) {
    for name in names {
        let file = folder.join(format!("of-{}", name / 30_000));
        if !file.exists() {
            std::fs::write(&file, "").unwrap();
        }
        std::fs::hard_link(&file, folder.join(format!("a-name-of-a-file-{name}"))).unwrap();
    }
}

#[test]
fn names_that_are_as_promised_take_no_memory_however_many_they_are() {
    let data = tempfile::tempdir().unwrap();
    let model = model(&format!(
        "server: web\ndirectories:\n  {}: {{ mode: \"u=rwX\", file_mode: \"u=rw\", recurse: true }}\n",
        data.path().display()
    ));
    let look = || {
        let model = model.path().to_str().unwrap();
        let said = steadfast(&["run", "--dry-run", "--node", "node1", "--model", model]);
        assert_eq!(said.code, 0, "{}{}", said.out, said.err);
        assert!(said.out.contains("1 kept"), "{}", said.out);
    };
    // So many that they are looked at by several threads.
    fill(data.path(), 0..1_000);
    look();
    let few = peak();
    fill(data.path(), 1_000..120_000);
    look();
    let grown = peak() - few;
    assert!(grown < 2_048, "119,000 names take {grown} KiB more");
}
