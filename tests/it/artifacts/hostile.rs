//! What is not unpacked, in the words that people read, and what only looks as if it should not be.

use super::{Site, Tar, listing};

fn refused(archive: Tar) -> String {
    Site::of(&archive.end()).refused()
}

#[test]
fn a_name_that_leads_out_is_refused() {
    let name = |name: &str| refused(Tar::new().file(name, b"x"));
    assert_eq!(name("/etc/cron.d/x"), "`/etc/cron.d/x` is an absolute name");
    assert_eq!(name("../x"), "`../x` has `..` in its name");
    assert_eq!(name("a/../../x"), "`a/../../x` has `..` in its name");
    let by_pax = Tar::new().said(&[("path", b"../../x")]).file("harmless", b"x");
    assert_eq!(refused(by_pax), "`../../x` has `..` in its name");
}

#[test]
fn what_is_no_file_link_or_directory_is_refused() {
    for (kind, name) in [(b'3', "tty"), (b'4', "disk"), (b'6', "pipe")] {
        let words = refused(Tar::new().entry(kind, name, 0o666, "", b""));
        assert_eq!(words, format!("`{name}` is a device or a pipe"));
    }
    let words = refused(Tar::new().entry(b'Z', "odd", 0o644, "", b""));
    assert_eq!(words, "`odd` is of the unknown kind `Z`");
}

#[test]
fn what_makes_others_more_than_they_are_is_refused_unless_it_is_accepted() {
    for mode in [0o4755, 0o2755, 0o6711] {
        let archive = || Tar::new().entry(b'0', "su", mode, "", b"x").end();
        let words = Site::of(&archive()).refused();
        assert_eq!(words, "`su` is setuid or setgid; `unpack: { setuid: true }` accepts that");
        let mut site = Site::of(&archive());
        site.unpack.setuid = true;
        assert_eq!(site.listing(), format!("{:04o} su 1\n", 0o555 | (mode & 0o6000)));
    }
    let value = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let capable = || {
        let said: &[(&str, &[u8])] = &[("SCHILY.xattr.security.capability", &value)];
        Tar::new().said(said).program("serve", b"x").end()
    };
    let words = Site::of(&capable()).refused();
    assert_eq!(words, "`serve` has file capabilities; `unpack: { setuid: true }` accepts that");
    if crate::require::is_root() {
        let mut site = Site::of(&capable());
        site.unpack.setuid = true;
        let path = site.make().unwrap().path.join("serve");
        let mut found = [0; 64];
        let length = rustix::fs::getxattr(path, "security.capability", &mut found[..]).unwrap();
        assert_eq!(found[..length], value);
    }
    // What stands on a directory does nothing, and is dropped.
    let archive = Tar::new().entry(b'5', "shared/", 0o3775, "", b"").file("shared/x", b"1").end();
    assert_eq!(Site::of(&archive).listing(), "0555 shared /\n0444 shared/x 1\n");
}

#[test]
fn a_link_that_leads_out_is_refused_unless_it_is_accepted() {
    for (link, target) in [
        ("l", "/etc/passwd"),
        ("l", ".."),
        ("l", "../x"),
        ("a/l", "../../x"),
        ("l", "gone/../../x"),
        ("l", "/"),
    ] {
        let archive = Tar::new().file("file", b"x").symlink(link, target).end();
        let mut site = Site::of(&archive);
        let words = format!(
            "the link `{link}` leads out of the tree, to `{target}`; `unpack: {{ links: any }}` \
             accepts that"
        );
        assert_eq!(site.refused(), words);
        site.unpack.links_anywhere = true;
        assert!(site.listing().contains(&format!("{link} -> {target}\n")));
    }
}

/// Each of them leads down by its words; one after the other they lead out.
#[test]
fn a_chain_of_links_that_leads_out_is_refused() {
    let chain = Tar::new()
        .file("a/b/file", b"x")
        .symlink("a/b/up", "../..")
        .symlink("out", "a/b/up/../../etc/passwd");
    assert!(refused(chain).starts_with("the link `out` leads out of the tree"));
}

#[test]
fn links_within_the_tree_are_links() {
    let archive = Tar::new()
        .symlink("early", "lib/late")
        .file("lib/late", b"x")
        .symlink("lib/self", "../lib")
        .symlink("dangling", "lib/none")
        .symlink("around", "around")
        .symlink("root", ".")
        .hardlink("hard", "lib/late")
        .hardlink("hard-link", "early")
        .end();
    let expected = "\
0777 around -> around
0777 dangling -> lib/none
0777 early -> lib/late
0444 hard 1
0777 hard-link -> lib/late
0555 lib /
0444 lib/late 1
0777 lib/self -> ../lib
0777 root -> .
";
    assert_eq!(Site::of(&archive).listing(), expected);
}

#[test]
fn nothing_is_written_through_a_link_even_where_links_may_lead_anywhere() {
    let victim = tempfile::tempdir().unwrap();
    let target = victim.path().to_str().unwrap();
    for (archive, words) in [
        (
            Tar::new().symlink("out", target).file("out/x", b"x"),
            "`out/x` would be written through a link that is in it, too",
        ),
        (
            Tar::new().directory("in").symlink("l", "in").file("l/x", b"x"),
            "`l/x` would be written through a link that is in it, too",
        ),
        (Tar::new().symlink("x", target).file("x", b"x"), "`x` stands in it twice"),
        (
            Tar::new().symlink("out", target).hardlink("h", "out/x"),
            "`h` is another name of `out/x`, which does not come before it",
        ),
        (
            Tar::new().symlink("out", target).directory("out/d"),
            "`out/d` would be written through a link that is in it, too",
        ),
    ] {
        let mut site = Site::of(&archive.end());
        site.unpack.links_anywhere = true;
        assert_eq!(site.refused(), words);
        assert_eq!(listing(victim.path()), "");
    }
}

#[test]
fn a_hard_link_names_a_file_that_came_before_it() {
    let outside = refused(Tar::new().hardlink("h", "/etc/shadow"));
    assert_eq!(outside, "`/etc/shadow` is an absolute name");
    assert_eq!(refused(Tar::new().hardlink("h", "../x")), "`../x` has `..` in its name");
    let none = refused(Tar::new().hardlink("h", "none").file("none", b"x"));
    assert_eq!(none, "`h` is another name of `none`, which does not come before it");
    let folder = refused(Tar::new().directory("d").hardlink("h", "d"));
    assert_eq!(folder, "`h` is another name of `d`, which does not come before it");
}

#[test]
fn one_file_comes_once_and_a_directory_as_often_as_it_likes() {
    let twice = refused(Tar::new().file("a", b"1").file("./a", b"2"));
    assert_eq!(twice, "`a` stands in it twice");
    assert_eq!(
        refused(Tar::new().file("a//b", b"1").file("a/b", b"2")),
        "`a/b` stands in it twice"
    );
    assert_eq!(refused(Tar::new().file("a", b"1").directory("a")), "`a` stands in it twice");
    assert_eq!(refused(Tar::new().directory("a").file("a", b"1")), "`a` stands in it twice");
    let below = refused(Tar::new().file("a", b"1").file("a/b", b"2"));
    assert_eq!(below, "`a/b` would lie below something that is no directory");
    let archive = Tar::new().directory("a").directory("./a/").file("a/b", b"1").directory("a");
    assert_eq!(Site::of(&archive.end()).listing(), "0555 a /\n0444 a/b 1\n");
}

#[test]
fn a_file_that_strip_would_lose_is_refused() {
    let mut site = Site::of(&Tar::new().file("top/a", b"1").file("readme", b"2").end());
    site.unpack.strip = 1;
    let words = "nothing is left of the name `readme`, from which `strip` takes 1 part";
    assert_eq!(site.refused(), words);
    site.unpack.strip = 3;
    assert!(site.refused().ends_with("`top/a`, from which `strip` takes 3 parts"));
    let mut site =
        Site::of(&Tar::new().directory("./").directory("top").file("./top/a", b"1").end());
    site.unpack.strip = 1;
    assert_eq!(site.listing(), "0444 a 1\n");
}

#[test]
fn an_archive_with_nothing_in_it_is_refused() {
    assert_eq!(refused(Tar::new()), "the archive is empty");
    let mut site = Site::of(&Tar::new().directory("top").end());
    site.unpack.strip = 1;
    assert_eq!(site.refused(), "the archive is empty");
    assert_eq!(Site::of(b"").refused(), "it has no bytes at all");
}

#[test]
fn an_archive_that_is_cut_off_is_refused() {
    let whole = Tar::new().file("a", &[7; 5000]).end();
    assert_eq!(Site::of(&whole[..3000]).refused(), "it ends within `a`");
    let zip = zstd::encode_all(&*whole, 3).unwrap();
    assert!(Site::of(&zip[..zip.len() - 3]).refused().contains("incomplete frame"));
    // What was compressed is another than what comes out.
    let mut gzip = super::packed::gzip(&whole);
    let at = gzip.len() - 6;
    gzip[at] ^= 1;
    assert!(Site::of(&gzip).refused().contains("corrupt"), "{}", Site::of(&gzip).refused());
    let words = Site::of(&super::packed::gzip(b"no archive")).refused();
    assert!(words.starts_with("it is compressed, and no tar archive is in it"), "{words}");
}

#[test]
fn a_tree_is_no_larger_than_it_may_be() {
    let archive = Tar::new().file("a", &[0; 600]).file("b", &[0; 600]).end();
    let mut site = Site::of(&archive);
    site.unpack.max = Some(1199);
    let words = "unpacked it has more than 1199 bytes; `unpack: { max: … }` is the limit";
    assert_eq!(site.refused(), words);
    site.unpack.max = Some(1200);
    assert_eq!(site.listing(), "0444 a 600\n0444 b 600\n");
    // Much in little; nobody waits for all of it.
    let mut header = tar::Header::new_gnu();
    header.set_path("zeros").unwrap();
    header.set_size(64 << 20);
    header.set_mode(0o644);
    header.set_cksum();
    let zeros = std::io::repeat(0).take_bytes(64 << 20);
    let bomb =
        zstd::encode_all(std::io::Read::chain(header.as_bytes().as_slice(), zeros), 1).unwrap();
    let mut site = Site::of(&bomb);
    site.unpack.max = Some(1 << 20);
    assert!(site.refused().starts_with("unpacked it has more than 1048576 bytes"));
}

/// A reader of so many bytes.
trait TakeBytes: std::io::Read + Sized {
    fn take_bytes(self, bytes: u64) -> std::io::Take<Self> {
        std::io::Read::take(self, bytes)
    }
}

impl TakeBytes for std::io::Repeat {}

#[test]
fn what_is_nested_too_deep_is_refused() {
    let deep = |levels: usize| {
        let name = format!("{}file", "d/".repeat(levels));
        Site::of(&Tar::new().said(&[("path", name.as_bytes())]).file("x", b"1").end())
    };
    assert!(deep(128).refused().ends_with("lies more than 128 directories deep"));
    assert!(deep(127).make().is_ok());
}

#[test]
fn a_program_of_another_machine_is_refused_where_it_is_started() {
    let mut elf = vec![0; 64];
    elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
    (elf[16], elf[18]) = (2, 8);
    let mut site = Site::of(&Tar::new().program("bin/api", &elf).symlink("api", "bin/api").end());
    let tree = site.make().unwrap();
    assert_eq!(tree.notes, ["bin/api is built for mips"]);
    site.unpack.setuid = true;
    site.programs = vec!["api"];
    let Err(error) = site.make() else { panic!("it was unpacked") };
    assert_eq!(
        error.to_string(),
        "the artifact is refused: the program `api` is built for mips, which this machine is not"
    );
}
