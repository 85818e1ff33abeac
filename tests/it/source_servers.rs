//! The command against real servers on the loopback: snapshots and git over https. What the library does
//! with hostile servers, and git over ssh, is tested beside it: crates/steadfast-source/tests/fetch.

use crate::cli::steadfast_with_its_users as steadfast;
use crate::publish::Desk;
use server::{Server, folder, git, reply};

#[path = "../../crates/steadfast-source/tests/fetch/server.rs"]
pub(crate) mod server;

fn taken(arguments: &[&str]) -> String {
    let said = steadfast(arguments);
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{}", said.out);
    assert!(said.out.ends_with("A node would accept it.\n"), "{}", said.out);
    said.out
}

fn failed(arguments: &[&str], code: i32, part: &str) {
    let said = steadfast(arguments);
    assert_eq!((said.code, said.out.as_str()), (code, ""), "{}", said.err);
    assert!(said.err.contains(part), "{part:?} is not in:\n{}", said.err);
}

#[test]
fn a_snapshot_is_verified_over_https_by_whom_the_authority_certifies() {
    let desk = Desk::new(&["anna"]);
    desk.published(&["anna"], &[]);
    let server = Server::https(&["127.0.0.1"], folder(desk.path("www")));
    let (ca, key) = (desk.at("ca.pem"), desk.at("anna.pub"));
    std::fs::write(&ca, &server.certificate).unwrap();
    let with_ca = ["verify", &server.url, "--keys", &key, "--ca", &ca];
    assert!(taken(&with_ca).contains("signed by  anna "));
    failed(&with_ca[..4], 7, "certificate");
    // Seen from where the command is started, and from nowhere else.
    let up = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).components().count() - 1;
    let relative = format!("tests/{}{}", "../".repeat(up), &ca[1..]);
    taken(&["verify", &server.url, "--keys", &key, "--ca", &relative]);
    let elsewhere = Server::https(&["other.example"], folder(desk.path("www")));
    std::fs::write(&ca, &elsewhere.certificate).unwrap();
    failed(&["verify", &elsewhere.url, "--keys", &key, "--ca", &ca], 7, "certificate");
    std::fs::write(&ca, &server.certificate).unwrap();

    // The server changes what it serves: the archive, cut off, and the whole answer.
    let archive = std::fs::read_dir(desk.path("www/archives")).unwrap().next().unwrap().unwrap();
    let whole = std::fs::read(archive.path()).unwrap();
    std::fs::write(archive.path(), &whole[..whole.len() / 2]).unwrap();
    failed(&with_ca, 6, "is cut off");
    std::fs::write(archive.path(), whole).unwrap();
    taken(&with_ca);
    let liar = Server::http(|_, stream| reply(stream, "200 OK", "", b"<html>Welcome</html>"));
    failed(&["verify", &liar.url, "--keys", &key], 6, "the manifest: ");
    let busy = Server::http(|_, stream| reply(stream, "503 Service Unavailable", "", b""));
    failed(&["verify", &busy.url, "--keys", &key], 7, "503 Service Unavailable");
}

#[test]
fn a_branch_is_verified_over_https_with_a_token() {
    let desk = Desk::new(&["anna", "eve"]);
    desk.allow(&["anna"]);
    let first = desk.commit(Some("anna"));
    desk.change("hello");
    let second = desk.commit(Some("anna"));
    let server = Server::https(&["127.0.0.1"], git(desk.model.path().to_owned()));
    let (ca, token, allowed) = (desk.at("ca.pem"), desk.at("token"), desk.at("allowed_signers"));
    std::fs::write(&ca, &server.certificate).unwrap();
    std::fs::write(&token, "secret\n").unwrap();
    let url = format!("{}/.git", server.url);
    let arguments = ["verify", &url, "--branch", "main", "--allowed-signers", &allowed];
    failed(&arguments, 7, "certificate");
    let arguments = [&arguments[..], &["--ca", &ca, "--token-file", &token]].concat();
    let out = taken(&[&arguments[..], &["--after", &first]].concat());
    assert!(out.starts_with(&format!("commit     {second}\n")), "{out}");
    let log = server.log.lock().unwrap().clone();
    assert!(log.iter().all(|it| it.header("authorization") == Some("Basic dG9rZW46c2VjcmV0")));
    desk.change("evil");
    desk.commit(Some("eve"));
    failed(&arguments, 6, "which is not trusted");
    let gone = [&["verify", &url, "--branch", "gone"], &arguments[4..]].concat();
    failed(&gone, 2, "refs/heads/gone is not there");
}
