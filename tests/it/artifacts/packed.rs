//! What an artifact may be, and what comes of it.

use super::{Site, Tar, listing, sha256};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::process::{Command, Stdio};
use steadfast_model::application::Location;
use steadfast_model::{Span, Spanned};
use steadfast_node::artifact::{Made, ModelFile};

fn plain() -> Vec<u8> {
    Tar::new()
        .directory("people-api/")
        .directory("people-api/bin/")
        .program("people-api/bin/api", b"#!/bin/sh\n")
        .file("people-api/share/words", b"hello\n")
        .symlink("people-api/api", "bin/api")
        .hardlink("people-api/share/again", "people-api/share/words")
        .end()
}

const TREE: &str = "\
0777 api -> bin/api
0555 bin /
0555 bin/api 10
0555 share /
0444 share/again 6
0444 share/words 6
";

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(vec![], Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// What a program of this machine makes of its standard input; none where there is no such program.
fn by(program: &str, arguments: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().ok()?;
    let mut to = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || to.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    output.status.success().then_some(output.stdout)
}

fn tree_of(archive: &[u8]) -> String {
    let mut site = Site::of(archive);
    site.unpack.strip = 1;
    site.listing()
}

#[test]
fn a_tar_archive_is_unpacked_however_it_is_compressed() {
    let plain = plain();
    assert_eq!(tree_of(&plain), TREE);
    assert_eq!(tree_of(&gzip(&plain)), TREE);
    assert_eq!(tree_of(&zstd::encode_all(&*plain, 3).unwrap()), TREE);
    let xz = by("xz", &["-c"], &plain);
    assert_eq!(tree_of(&xz.expect("xz-utils is installed")), TREE);
}

/// As programs that compress on several processors, or append, write them.
#[test]
fn several_compressed_parts_are_one_archive() {
    let plain = plain();
    let (one, two) = plain.split_at(700);
    assert_eq!(tree_of(&[gzip(one), gzip(two)].concat()), TREE);
    let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
    let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0][..], b"past"].concat();
    assert_eq!(tree_of(&[skipped.clone(), zstd(one), skipped, zstd(two)].concat()), TREE);
    let xz = |bytes: &[u8]| by("xz", &["-c"], bytes).expect("xz-utils is installed");
    assert_eq!(tree_of(&[xz(one), xz(two)].concat()), TREE);
}

#[test]
fn a_tree_is_root_s_and_nobody_writes_it() {
    let site = Site::of(&plain());
    let tree = site.make().unwrap();
    assert!(tree.is_new && tree.path.starts_with(site.directory().join("releases")));
    assert_eq!(tree.key.name().len(), 12);
    let about = std::fs::metadata(tree.path.join("people-api/bin/api")).unwrap();
    let own = rustix::process::geteuid().as_raw();
    assert_eq!((about.uid(), about.mode() & 0o7777, about.mtime()), (own, 0o555, 1_764_460_800));
    assert_eq!(std::fs::metadata(&tree.path).unwrap().mode() & 0o7777, 0o555);
    // Two names of one file are one file.
    let inode = |name: &str| std::fs::metadata(tree.path.join(name)).unwrap().ino();
    assert_eq!(inode("people-api/share/again"), inode("people-api/share/words"));
    let name = tree.key.name();
    assert_eq!(site.left(), format!("{name} {name}.manifest"));
    // Nothing stays of what was fetched, and it is not fetched again.
    std::fs::remove_file(site.path("archive")).unwrap();
    assert_eq!(std::fs::read_dir(site.path("cache")).unwrap().count(), 0);
    let again = site.make().unwrap();
    assert_eq!((again.is_new, again.path), (false, tree.path));
}

#[test]
fn only_a_group_reads_what_is_private() {
    if !crate::require::is_root() {
        return;
    }
    let mut site = Site::of(&plain());
    site.unpack.private_to = Some("daemon".into());
    let tree = site.make().unwrap();
    let group = nix::unistd::Group::from_name("daemon").unwrap().unwrap().gid.as_raw();
    for (name, mode) in [
        ("", 0o550),
        ("people-api", 0o550),
        ("people-api/bin/api", 0o550),
        ("people-api/share/words", 0o440),
    ] {
        let about = std::fs::metadata(tree.path.join(name)).unwrap();
        assert_eq!((about.uid(), about.gid(), about.mode() & 0o7777), (0, group, mode), "{name}");
    }
    site.unpack.private_to = Some("nobody-has-this".into());
    let words = site.make().unwrap_err().to_string();
    assert_eq!(words, "there is no group `nobody-has-this`, which is to read the tree");
}

#[test]
fn names_and_times_are_those_that_pax_and_gnu_say() {
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(200));
    let archive = Tar::new()
        .entry(b'g', "pax_global_header", 0o644, "", b"18 comment=a note\n")
        .said(&[("path", long.as_bytes()), ("mtime", b"1700000000.75")])
        .file("short", b"1")
        .entry(b'L', "././@LongLink", 0, "", &[b"gnu/", &[b'g'; 150][..], b"\0"].concat())
        .file("short", b"22")
        .file("Case", b"3")
        .file("case", b"4")
        .end();
    let site = Site::of(&archive);
    let tree = site.make().unwrap();
    let lines = listing(&tree.path);
    assert!(lines.contains(&format!("{long} 1\n")), "{lines}");
    assert!(lines.contains(&format!("gnu/{} 2\n", "g".repeat(150))), "{lines}");
    assert!(lines.contains("Case 1\n") && lines.contains("case 1\n"), "{lines}");
    assert_eq!(std::fs::metadata(tree.path.join(long)).unwrap().mtime(), 1_700_000_000);
}

/// Of all forms that GNU tar writes.
#[test]
fn holes_stay_holes() {
    let folder = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(folder.path().join("sparse")).unwrap();
    file.write_all_at(b"begin", 0).unwrap();
    file.write_all_at(b"middle", 4 << 20).unwrap();
    file.set_len(9 << 20).unwrap();
    let whole = std::fs::read(folder.path().join("sparse")).unwrap();
    for form in [
        "gnu",
        "posix --sparse-version=1.0",
        "posix --sparse-version=0.1",
        "posix --sparse-version=0.0",
    ] {
        let form: Vec<&str> = form.split(' ').collect();
        let format = format!("--format={}", form[0]);
        let path = folder.path().to_str().unwrap();
        let mut arguments = vec!["-cS", &format, "-C", path];
        arguments.extend(&form[1..]);
        arguments.push("sparse");
        let archive = by("tar", &arguments, b"").unwrap();
        assert!(archive.len() < 1 << 20, "it has holes");
        let tree = Site::of(&archive);
        let path = tree.make().unwrap().path.join("sparse");
        assert!(std::fs::read(&path).unwrap() == whole, "{form:?}");
        let blocks = std::fs::metadata(&path).unwrap().blocks();
        assert!(blocks * 512 < 2 << 20, "{form:?}: {blocks}");
    }
}

/// Names, modes of Unix, contents; those that begin with an `s` are not compressed.
fn zip(entries: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![];
    let mut zip = rawzip::ZipArchiveWriter::new(&mut bytes);
    let time = rawzip::time::UtcDateTime::from_unix(1_764_460_800);
    for (name, mode, content) in entries {
        if name.ends_with('/') {
            zip.new_dir(*name).unix_permissions(*mode).last_modified(time).create().unwrap();
            continue;
        }
        let is_stored = name.starts_with('s');
        let method = match is_stored {
            true => rawzip::CompressionMethod::STORE,
            false => rawzip::CompressionMethod::DEFLATE,
        };
        let file = zip.new_file(*name).compression_method(method);
        let (mut entry, config) = file.unix_permissions(*mode).last_modified(time).start().unwrap();
        let descriptor = if is_stored {
            let mut writer = config.wrap(&mut entry);
            writer.write_all(content).unwrap();
            writer.finish().unwrap().1
        } else {
            let packer = flate2::write::DeflateEncoder::new(&mut entry, Compression::fast());
            let mut writer = config.wrap(packer);
            writer.write_all(content).unwrap();
            let (packer, descriptor) = writer.finish().unwrap();
            packer.finish().unwrap();
            descriptor
        };
        entry.finish(descriptor).unwrap();
    }
    zip.finish().unwrap();
    bytes
}

#[test]
fn a_zip_archive_is_unpacked_with_its_modes_and_links() {
    let archive = zip(&[
        ("bin/", 0o40755, b""),
        ("bin/api", 0o100755, b"#!/bin/sh\n"),
        ("link", 0o120777, b"bin/api"),
        ("stored", 0o100600, b"as it is"),
    ]);
    let site = Site::of(&archive);
    let expected = "\
0555 bin /
0555 bin/api 10
0777 link -> bin/api
0444 stored 8
";
    assert_eq!(site.listing(), expected);
    let about = std::fs::metadata(site.make().unwrap().path.join("stored")).unwrap();
    assert_eq!(about.mtime(), 1_764_460_800);
}

#[test]
fn a_file_that_is_no_archive_is_the_tree() {
    assert_eq!(Site::of(b"words").listing(), "0444 artifact 5\n");
    let mut site = Site::of(b"words");
    site.files.name = Some(Spanned::new("api".into(), Span::default()));
    site.files.mode = Some(Spanned::new("0755".into(), Span::default()));
    assert_eq!(site.listing(), "0555 api 5\n");
    // An archive that is wanted as it is.
    let archive = plain();
    let mut site = Site::of(&archive);
    site.files.name = Some(Spanned::new("program.jar".into(), Span::default()));
    assert_eq!(site.listing(), format!("0444 program.jar {}\n", archive.len()));
}

#[test]
fn a_directory_of_the_model_is_a_tree() {
    let site = Site::at(Location::Model("site".into()), b"");
    let file = |path, is_executable, content| ModelFile { path, is_executable, content };
    let files = [file("index.html", false, &b"<p>"[..]), file("cgi/run", true, b"#!/bin/sh\n")];
    let tree = site.make_as(Made::IfMissing, &files).unwrap();
    assert_eq!(listing(&tree.path), "0555 cgi /\n0555 cgi/run 10\n0444 index.html 3\n");
    // Another content is another tree.
    let other = site.make_as(Made::IfMissing, &files[..1]).unwrap();
    assert_ne!(other.path, tree.path);
    let again = site.make_as(Made::IfMissing, &[files[1], files[0]]).unwrap();
    assert_eq!((again.path, again.is_new), (tree.path, false));
    assert_eq!(sha256(b"<p>").len(), 64);
}
