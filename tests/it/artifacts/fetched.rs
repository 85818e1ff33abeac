//! From where an artifact comes, and what becomes of it on the way.

use super::{Site, Tar, sha256};
use crate::source_servers::server::{Request, Server, Stream, hang, reply};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use steadfast_download::transfer::Access;
use steadfast_model::application::Location;
use steadfast_model::{Span, Spanned};
use steadfast_node::artifact::NoTree;

fn archive() -> Vec<u8> {
    // Nothing that compresses to a few bytes, so that it can be cut off anywhere.
    let noise: Vec<u8> =
        (0_u32..300_000).map(|it| it.wrapping_mul(2_654_435_761).to_le_bytes()[2]).collect();
    Tar::new().file("noise", &noise).end()
}

fn place(url: &str) -> Location {
    match url.starts_with("https") {
        true => Location::Https(url.into()),
        false => Location::Http(url.into()),
    }
}

fn site(url: &str, archive: &[u8]) -> Site {
    Site::at(place(url), archive)
}

fn mirror(site: &mut Site, location: Location) {
    site.files.mirrors.push(Spanned::new(location, Span::default()));
}

fn away(site: &Site) -> String {
    match site.make() {
        Err(NoTree::Away(words)) => words,
        other => panic!("{other:?}"),
    }
}

/// The bytes, or those of them that are asked for.
fn serve(bytes: &[u8], request: &Request, stream: &mut dyn Stream) {
    let Some(from) = request.header("range").and_then(|it| it.strip_prefix("bytes=")) else {
        return reply(stream, "200 OK", "", bytes);
    };
    let from: usize = from.trim_end_matches('-').parse().unwrap();
    let Some(part) = bytes.get(from..).filter(|it| !it.is_empty()) else {
        return reply(stream, "416 Range Not Satisfiable", "", b"");
    };
    let range = format!("Content-Range: bytes {from}-{}/{}\r\n", bytes.len() - 1, bytes.len());
    reply(stream, "206 Partial Content", &range, part);
}

/// Says how much there is, sends a part of it, and hangs up.
fn cut_off(bytes: &[u8], sent: usize, stream: &mut dyn Stream) {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", bytes.len());
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&bytes[..sent]).unwrap();
}

#[test]
fn an_artifact_comes_over_https_from_whom_its_authority_certifies() {
    let bytes = archive();
    let server = Server::https(&["127.0.0.1"], {
        let bytes = bytes.clone();
        move |request, stream| serve(&bytes, request, stream)
    });
    let mut site = site(&format!("{}/people-api.tar", server.url), &bytes);
    let words = away(&site);
    assert!(words.contains("/people-api.tar: ") && words.contains("certificate"), "{words}");
    let ca = Some(server.certificate.clone());
    // One for another place is none for this.
    site.access =
        vec![Access { prefix: format!("{}/other", server.url), headers: vec![], ca: ca.clone() }];
    assert!(away(&site).contains("certificate"));
    site.access.push(Access { prefix: server.url.clone(), headers: vec![], ca });
    assert_eq!(site.listing(), "0444 noise 300000\n");
}

#[test]
fn what_was_cut_off_goes_on_where_it_ended() {
    let bytes = archive();
    let server = Server::http({
        let (bytes, mut count) = (bytes.clone(), 0);
        move |request, stream| {
            count += 1;
            if count == 1 {
                return cut_off(&bytes, 100_000, stream);
            }
            serve(&bytes, request, stream);
        }
    });
    let site = site(&server.url, &bytes);
    assert_eq!(site.listing(), "0444 noise 300000\n");
    let log = server.log.lock().unwrap();
    assert_eq!(log.len(), 2);
    assert!(log[0].header("range").is_none());
    assert!(log[1].header("range").unwrap().starts_with("bytes="));
}

/// As after a run that was killed: what it had fetched is not fetched again.
#[test]
fn what_an_earlier_run_has_fetched_is_not_fetched_again() {
    let bytes = archive();
    let server = Server::http({
        let bytes = bytes.clone();
        move |request, stream| serve(&bytes, request, stream)
    });
    let site = site(&server.url, &bytes);
    let part = site.path("cache").join(format!("{}.part", sha256(&bytes)));
    std::fs::create_dir(site.path("cache")).unwrap();
    std::fs::write(&part, &bytes[..123_456]).unwrap();
    site.make().unwrap();
    assert_eq!(server.log.lock().unwrap()[0].header("range"), Some("bytes=123456-"));
    // All of it: nobody is asked.
    std::fs::remove_dir_all(site.directory()).unwrap();
    std::fs::write(&part, &bytes).unwrap();
    site.make().unwrap();
    assert_eq!(server.count(), 1);
    // What is there is of something else: once more, from the start.
    for wrong in [vec![7; 1000], vec![7; bytes.len() + 10]] {
        std::fs::remove_dir_all(site.directory()).unwrap();
        std::fs::write(&part, wrong).unwrap();
        site.make().unwrap();
    }
}

#[test]
fn a_mirror_that_lies_or_is_away_is_passed_over_and_told() {
    let bytes = archive();
    let liar = Server::http(|_, stream| reply(stream, "200 OK", "", b"<html>Welcome</html>"));
    let gone = Server::http(|_, stream| reply(stream, "404 Not Found", "", b""));
    let good = Server::http({
        let bytes = bytes.clone();
        move |request, stream| serve(&bytes, request, stream)
    });
    let mut site = site(&format!("{}/a.tar?token=hunter2", liar.url), &bytes);
    let words = site.refused();
    assert_eq!(words, format!("{}/a.tar: what came from it has another digest", liar.url));
    mirror(&mut site, place(&gone.url));
    // It may be there tomorrow, so it is tried again.
    let words = away(&site);
    assert!(words.contains("another digest") && words.contains("404 Not Found"), "{words}");
    assert!(!words.contains("hunter2"));
    mirror(&mut site, place(&good.url));
    let tree = site.make().unwrap();
    assert_eq!(tree.notes.len(), 2);
    assert!(tree.notes[1].ends_with("the server answered 404 Not Found"), "{:?}", tree.notes);
}

#[test]
fn a_file_that_the_fetcher_may_not_read_is_away() {
    let bytes = archive();
    let site = Site::of(&bytes);
    if !crate::require::is_root() {
        return;
    }
    let path = site.path("archive");
    let mode = |mode| {
        let mode = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(mode);
        std::fs::set_permissions(&path, mode).unwrap();
    };
    mode(0o600);
    let words = away(&site);
    assert!(words.ends_with("Permission denied (os error 13)"), "{words}");
    mode(0o644);
    site.make().unwrap();
    // Nor does what makes others wait.
    let site = Site::of(&bytes);
    std::fs::remove_file(site.path("archive")).unwrap();
    nix::unistd::mkfifo(&site.path("archive"), nix::sys::stat::Mode::from_bits_truncate(0o644))
        .unwrap();
    assert!(away(&site).ends_with("it is not a file"));
}

#[test]
fn what_is_larger_than_it_says_is_refused_while_it_comes() {
    let bytes = archive();
    let told = Server::http({
        let bytes = bytes.clone();
        move |_, stream| reply(stream, "200 OK", "", &bytes)
    });
    // One that does not say how much there is, and never ends.
    let endless = Server::http(|_, stream| {
        let _sent = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        while stream.write_all(&[7; 10_000]).is_ok() {}
    });
    for server in [told, endless] {
        let mut site = site(&server.url, &bytes);
        site.files.size = Some(200_000);
        assert_eq!(site.refused(), format!("{}: it has more than 200000 bytes", server.url));
    }
}

#[test]
fn a_redirect_is_followed_but_not_from_https_to_http_nor_for_ever() {
    let bytes = archive();
    let good = Server::http({
        let bytes = bytes.clone();
        move |request, stream| serve(&bytes, request, stream)
    });
    let to = |url: String| {
        move |_: &Request, stream: &mut dyn Stream| {
            reply(stream, "302 Found", &format!("Location: {url}\r\n"), b"");
        }
    };
    let first = Server::http(to(format!("{}/x?key=secret", good.url)));
    assert_eq!(site(&first.url, &bytes).listing(), "0444 noise 300000\n");
    let down = Server::https(&["127.0.0.1"], to(good.url.clone()));
    let mut secure = site(&down.url, &bytes);
    let ca = Some(down.certificate.clone());
    secure.access = vec![Access { prefix: down.url.clone(), headers: vec![], ca }];
    assert!(away(&secure).ends_with("it redirects from https to http"));
    let round = Server::http(|_, stream| reply(stream, "302 Found", "Location: /again\r\n", b""));
    assert!(away(&site(&round.url, &bytes)).ends_with("it redirects more than 5 times"));
    let file = Server::http(to("file:///etc/passwd".to_owned()));
    assert!(away(&site(&file.url, &bytes)).ends_with("it redirects to what is not of the web"));
}

#[test]
fn credentials_stay_within_their_prefix() {
    let bytes = archive();
    let store = Server::http({
        let bytes = bytes.clone();
        move |request, stream| serve(&bytes, request, stream)
    });
    let to = format!("Location: {}/store/x\r\n", store.url);
    let front = Server::http(move |_, stream| reply(stream, "307 Temporary Redirect", &to, b""));
    let mut site = site(&format!("{}/team/a.tar", front.url), &bytes);
    let headers = vec![("Authorization".to_owned(), "Bearer hunter2".to_owned())];
    site.access = vec![Access { prefix: format!("{}/team", front.url), headers, ca: None }];
    site.make().unwrap();
    assert_eq!(front.log.lock().unwrap()[0].header("authorization"), Some("Bearer hunter2"));
    assert_eq!(store.log.lock().unwrap()[0].header("authorization"), None);
    // Not to a place beside it.
    let mut beside = super::fetched::site(&format!("{}/team2/a.tar", front.url), &bytes);
    beside.access = site.access.clone();
    beside.make().unwrap();
    assert_eq!(front.log.lock().unwrap()[1].header("authorization"), None);
}

#[test]
fn a_server_that_goes_silent_is_given_up() {
    let bytes = archive();
    let silent = Server::http({
        let bytes = bytes.clone();
        move |_, stream| {
            cut_off(&bytes, 1000, stream);
            hang(stream);
        }
    });
    let mut site = site(&silent.url, &bytes);
    // Long enough for a server that is only slow to begin.
    site.idle = std::time::Duration::from_secs(5);
    let words = away(&site);
    assert!(words.contains("it is too slow"), "{words}");
    // What came before that is not asked for again.
    let part = site.path("cache").join(format!("{}.part", sha256(&bytes)));
    assert_eq!(std::fs::metadata(part).unwrap().len(), 1000);
}

/// A registry that wants a token, and keeps its layers elsewhere.
#[test]
fn an_image_of_one_layer_is_an_artifact() {
    let layer = archive();
    let manifest = format!(
        r#"{{"schemaVersion":2,"layers":[{{"digest":"sha256:{}","size":{}}}]}}"#,
        sha256(&layer),
        layer.len()
    );
    let digest = sha256(manifest.as_bytes());
    let store = Server::http({
        let layer = layer.clone();
        move |request, stream| serve(&layer, request, stream)
    });
    let asked = Arc::new(AtomicUsize::new(0));
    let registry = Server::http({
        let (store, manifest, asked) = (store.url.clone(), manifest.clone(), asked.clone());
        move |request, stream| {
            let host = request.header("host").unwrap();
            if request.path.starts_with("/token") {
                assert_eq!(request.header("authorization"), Some("Basic dTpw"));
                assert_eq!(
                    request.path,
                    "/token?service=registry&scope=repository%3Ateam%2Fapi%3Apull"
                );
                return reply(stream, "200 OK", "", br#"{"token":"t0ken"}"#);
            }
            if request.header("authorization") != Some("Bearer t0ken") {
                asked.fetch_add(1, Ordering::Relaxed);
                let challenge = format!(
                    "WWW-Authenticate: Bearer realm=\"http://{host}/token\",service=\"registry\",\
                     scope=\"repository:team/api:pull\"\r\n"
                );
                return reply(stream, "401 Unauthorized", &challenge, b"");
            }
            if request.path.contains("/manifests/") {
                return reply(stream, "200 OK", "", manifest.as_bytes());
            }
            assert!(request.path.contains("/blobs/"), "{}", request.path);
            reply(stream, "307 Temporary Redirect", &format!("Location: {store}/blob\r\n"), b"");
        }
    });
    let host = registry.url.strip_prefix("http://").unwrap();
    let oci = |sha256: &str| Location::Oci {
        name: format!("{host}/team/api").into(),
        sha256: sha256.into(),
    };
    let mut site = Site::at(oci(&digest), &layer);
    site.files.sha256 = None;
    let headers = vec![("Authorization".to_owned(), "Basic dTpw".to_owned())];
    site.access = vec![Access { prefix: format!("oci://{host}/team"), headers, ca: None }];
    let access = site.access.clone();
    assert_eq!(site.listing(), "0444 noise 300000\n");
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert_eq!(store.log.lock().unwrap()[0].header("authorization"), None);
    // A registry that lies about what a manifest is.
    let mut site = Site::at(oci(&"0".repeat(64)), &layer);
    site.files.sha256 = None;
    site.access = access;
    assert!(site.refused().ends_with("its manifest has another digest"));
}
