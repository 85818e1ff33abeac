//! Objects as no git would write them, in a repository of the tests' own.

use crate::support::World;
use sha1_checked::Digest as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Writes an object, whatever it holds, and gives its name.
pub(crate) fn written(world: &World, kind: &str, content: &[u8]) -> String {
    let mut git = Command::new("git");
    git.arg("-C").arg(world.path("work")).args(["hash-object", "-w", "--literally", "--stdin"]);
    git.args(["-t", kind]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = git.spawn().unwrap();
    child.stdin.take().unwrap().write_all(content).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn raw(id: &str) -> Vec<u8> {
    let digits = |at| u8::from_str_radix(&id[2 * at..2 * at + 2], 16).unwrap();
    (0..id.len() / 2).map(digits).collect()
}

/// An entry of a tree.
pub(crate) fn entry(mode: &str, name: &[u8], id: &str) -> Vec<u8> {
    [mode.as_bytes(), b" ", name, b"\0", &raw(id)].concat()
}

/// Makes a commit of a tree the tip of the branch.
pub(crate) fn committed(world: &World, tree: &str) {
    let who = "A <a@x> 1780000000 +0000";
    let commit = format!("tree {tree}\nauthor {who}\ncommitter {who}\n\nChange it\n");
    let id = written(world, "commit", commit.as_bytes());
    world.git(&["update-ref", "refs/heads/main", &id]);
}

/// The lowest bits first, as packs have numbers.
fn number(mut it: usize) -> Vec<u8> {
    let mut bytes = vec![];
    loop {
        let more = if it < 128 { 0 } else { 0x80 };
        bytes.push(u8::try_from(it & 127).unwrap() | more);
        it >>= 7;
        if it == 0 {
            return bytes;
        }
    }
}

/// What stands before an object in a pack: its kind and size.
fn head(kind: u8, size: usize) -> Vec<u8> {
    let first = (kind << 4) | u8::try_from(size & 15).unwrap();
    if size < 16 { vec![first] } else { [vec![first | 0x80], number(size >> 4)].concat() }
}

fn zipped(bytes: &[u8]) -> Vec<u8> {
    let mut zip = flate2::write::ZlibEncoder::new(vec![], flate2::Compression::best());
    zip.write_all(bytes).unwrap();
    zip.finish().unwrap()
}

/// A file of so many bytes, as a pack of a thousand: it is many times the beginning of another.
pub(crate) fn delta_bomb(world: &World, bytes: usize) {
    const COPIED: usize = 1 << 16;
    const BLOB: u8 = 3;
    const DELTA: u8 = 7;
    let base = vec![b'x'; COPIED];
    // "Copy from the beginning", without a length: as much as there is.
    let copies = vec![0x80; bytes / COPIED];
    let delta = [number(COPIED), number(bytes), copies].concat();
    let name = |content: &[u8]| {
        let mut digest = sha1_checked::Sha1::new();
        digest.update(format!("blob {}\0", content.len()));
        digest.update(content);
        digest.finalize().iter().map(|it| format!("{it:02x}")).collect::<String>()
    };
    let (small, large) = (name(&base), name(&vec![b'x'; bytes]));
    let mut pack = b"PACK\0\0\0\x02\0\0\0\x02".to_vec();
    pack.extend([head(BLOB, base.len()), zipped(&base)].concat());
    pack.extend([head(DELTA, delta.len()), raw(&small), zipped(&delta)].concat());
    pack.extend(sha1_checked::Sha1::digest(&pack));
    assert!(pack.len() < 2048, "{}", pack.len());
    let packed = world.path(&format!("work/.git/objects/pack/pack-{bytes}.pack"));
    std::fs::write(&packed, &pack).unwrap();
    world.git(&["index-pack", packed.to_str().unwrap()]);
    let entries = [entry("100644", b"base", &small), entry("100644", b"bomb", &large)];
    let folder = written(world, "tree", &entries.concat());
    committed(world, &written(world, "tree", &entry("40000", b"files", &folder)));
}
