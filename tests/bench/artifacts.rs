//! Trees of artifacts: fetched from a server on this machine, verified, unpacked and made durable, beside what people
//! write by hand; and a look at one in which nothing has changed, beside opening and reading all of it.

use crate::{Bench, Line, Taken, floor, parsed, users};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use steadfast_model::application::component::Unpack;
use steadfast_model::application::{Files, Location};
use steadfast_model::{Span, Spanned};
use steadfast_node::artifact::{IDLE, Made, Means, TreeKey, TreeOrder, look_at_tree, make_tree};
use steadfast_system::trees::Depth;

const TIMES: usize = 5;
const LARGE: usize = 10 << 20;
const SMALL: usize = 1 << 10;

pub(crate) fn bench(bench: &Bench) {
    for (what, count, size) in
        [("300 MiB in 30 files", 30, LARGE), ("20,000 small files", 20_000, SMALL)]
    {
        // As only root can write it.
        let folder = tempfile::tempdir_in("/var/lib").unwrap();
        let archive = archive(folder.path(), count, size);
        let sum = Command::new("sha256sum").arg(&archive).output().unwrap();
        let sum = String::from_utf8(sum.stdout).unwrap()[..64].to_owned();
        let url = serve(archive);
        let mut line = Line::default();
        for turn in 0..TIMES {
            line.floors.push(by_hand(&url, &sum, &folder.path().join("by-hand")));
            let place = folder.path().join(format!("made-{turn}"));
            let made = ["make-tree", &url, &sum, text(&place), text(&bench.program)];
            line.taken.extend(own(&made));
            if turn + 1 < TIMES {
                std::fs::remove_dir_all(&place).unwrap();
            }
        }
        line.print(&format!("fetch, verify and unpack {what}"));
        if size == SMALL {
            look_again(&sum, &folder.path().join(format!("made-{}", TIMES - 1)));
        }
    }
}

fn look_again(sum: &str, place: &Path) {
    let releases = place.join("app/releases");
    let mut line = Line::default();
    for _ in 0..11 {
        let begin = Instant::now();
        floor::read_below(&releases);
        line.floors.push(begin.elapsed());
        line.taken.extend(own(&["look-at-tree", sum, text(place)]));
    }
    line.print("a tree of 20,000 files, as it was unpacked");
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What this program does as its own helper.
fn own(arguments: &[&str]) -> Vec<Taken> {
    let output = Command::new(std::env::current_exe().unwrap()).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    parsed(&String::from_utf8(output.stdout).unwrap())
}

/// Files that do not compress well, in one archive.
fn archive(folder: &Path, count: usize, size: usize) -> PathBuf {
    let (data, archive) = (folder.join("data"), folder.join("archive.tar.zst"));
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut content = vec![0; size];
    for at in 0..count {
        for byte in &mut content {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = (state >> 58) as u8;
        }
        let below = data.join(format!("{:03}", at / 100));
        std::fs::create_dir_all(&below).unwrap();
        std::fs::write(below.join(format!("{at}")), &content).unwrap();
    }
    let tar = ["--zstd", "-C", text(&data), "-cf", text(&archive), "."];
    assert!(Command::new("tar").args(tar).status().unwrap().success());
    std::fs::remove_dir_all(&data).unwrap();
    archive
}

/// One file, to whoever asks; until this program ends.
fn serve(file: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Whoever hangs up has enough.
            let _sent = answer(stream, &file);
        }
    });
    format!("http://{address}/archive")
}

fn answer(mut stream: TcpStream, path: &Path) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    while lines.next().transpose()?.is_some_and(|it| !it.is_empty()) {}
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")?;
    std::io::copy(&mut file, &mut stream).map(drop)
}

/// `curl | sha256sum | tar`, and on the disk as the other one is.
fn by_hand(url: &str, sum: &str, folder: &Path) -> Duration {
    std::fs::create_dir_all(folder).unwrap();
    let script = "set -e -o pipefail; \
        sum=$(curl -sSf \"$0\" | tee >(tar --zstd -C \"$2\" -xf -) | sha256sum); \
        test \"${sum%% *}\" = \"$1\"; wait; sync -f \"$2\"";
    let begin = Instant::now();
    let hand = Command::new("bash").args(["-c", script, url, sum]).arg(folder).status().unwrap();
    let took = begin.elapsed();
    assert!(hand.success());
    std::fs::remove_dir_all(folder).unwrap();
    took
}

fn files(url: Location, sha256: &str) -> Files {
    Files {
        url: Spanned::new(url, Span::default()),
        sha256: Some(Arc::from(sha256)),
        size: None,
        unpacked: None,
        mirrors: vec![],
        mode: None,
        name: None,
    }
}

/// Prints what it took to make one.
pub(crate) fn make(url: &str, sha256: &str, folder: &Path, program: &Path) {
    users::are_there();
    std::fs::create_dir(folder).unwrap();
    let files = files(Location::Http(url.into()), sha256);
    let order = TreeOrder {
        directory: &folder.join("app"),
        artifact: &files,
        unpack: &Unpack::default(),
        programs: &[],
        folder: &[],
    };
    let cache = folder.join("cache");
    let means = Means { cache: &cache, program, access: &[], proxy: None, idle: IDLE };
    let begin = Instant::now();
    make_tree(&order, &means, Made::IfMissing).unwrap();
    tell(begin.elapsed());
}

/// Prints what a look took.
pub(crate) fn look(sha256: &str, folder: &Path) {
    let files = files(Location::Http("http://127.0.0.1/".into()), sha256);
    let key = TreeKey::new(&files, &Unpack::default(), &[]);
    let begin = Instant::now();
    let found = look_at_tree(&folder.join("app"), &key, Depth::Seen).unwrap();
    tell(begin.elapsed());
    assert!(found.is_empty(), "{found:?}");
}

fn tell(wall: Duration) {
    let cpu = crate::cpu_of_children();
    println!("{} {} {}", wall.as_micros(), cpu.as_micros(), crate::peak_of_children());
}
