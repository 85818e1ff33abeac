//! What reads bytes of strangers. Each target says whether it took its input; a panic is a mistake, and so is
//! to take what the key of `corpus.rs` has not signed.

use crate::corpus;
use crate::one_file;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::path::Path;
use steadfast_download::offer::Writer;
use steadfast_download::unpack::unpack;
use steadfast_model::{Severity, SourceSet, render};
use steadfast_node::model::Loaded;
use steadfast_node::settings;
use steadfast_source::Refusal;
use steadfast_source::accept::accept;
use steadfast_source::anti_rollback::{AntiRollback, Expected, Force};
use steadfast_source::attribution::Attribution;
use steadfast_source::manifest::{Manifest, Rotation};
use steadfast_source::revision::content_digest;
use steadfast_source::settings::{Git, Limits, Reference, Snapshot, Source, Trust};
use steadfast_source::terms::{Fetched, Terms};
use steadfast_trust::allowed_signers::AllowedSigners;
use steadfast_trust::envelope::{Signed, split_signed};
use steadfast_trust::key_set::KeySet;
use steadfast_trust::signature::{GIT, SNAPSHOT};

/// What stands between the parts of an input that has some.
pub(crate) const PART: &[u8] = b"\n%%\n";

fn parts(bytes: &[u8]) -> Vec<&[u8]> {
    let mut parts = vec![];
    let mut rest = bytes;
    while let Some(at) = rest.windows(PART.len()).position(|it| it == PART) {
        parts.push(&rest[..at]);
        rest = &rest[at + PART.len()..];
    }
    parts.push(rest);
    parts
}

/// A model, path and content in turn: `check` ends, and what it found can be shown.
pub(crate) fn language(bytes: &[u8]) -> bool {
    let mut sources = SourceSet::default();
    let mut taken = BTreeSet::new();
    for pair in parts(bytes).chunks(2) {
        let path = String::from_utf8_lossy(pair[0]).into_owned();
        if taken.insert(path.clone()) {
            sources.add(path, pair.get(1).copied().unwrap_or_default(), false);
        }
    }
    let Loaded { sources, diagnostics: found, .. } = one_file::checked(sources);
    for it in &found {
        let text = render::text(it, &sources, false);
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "it steers the terminal: {text:?}");
        render::json(it, &sources);
        render::github(it, &sources);
    }
    found.iter().all(|it| it.severity != Severity::Error)
}

/// An agent.yaml.
pub(crate) fn settings(bytes: &[u8]) -> bool {
    let (settings, found, sources) = settings::read("agent.yaml", bytes);
    for it in &found {
        render::text(it, &sources, true);
    }
    settings.is_some()
}

/// A place for what was fetched, in which one input follows the other.
fn scratch(act: impl FnOnce(&Path) -> bool) -> bool {
    thread_local! {
        static FOLDER: tempfile::TempDir = tempfile::tempdir().unwrap();
    }
    FOLDER.with(|it| act(it.path()))
}

fn accepted(source: &Source, trust: &Trust, cache: &Path) -> Result<Fetched, Refusal> {
    let terms = Terms {
        source,
        trust,
        expected: &Expected::default(),
        now: corpus::NOW,
        zone: &TimeZone::UTC,
        force: Force::No,
        run_as: None,
        limits: &Limits::default(),
    };
    accept(&terms, &mut AntiRollback::default(), cache)
}

fn branch() -> Source {
    Source::Git(Git::new("https://example.test/model", Reference::Branch("main".into())))
}

/// The name of an object in a repository of SHA-256.
pub(crate) fn name(kind: &str, content: &[u8]) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(format!("{kind} {}\0", content.len()));
    digest.update(content);
    digest.finalize().into()
}

pub(crate) fn hex(digest: &[u8]) -> String {
    digest.iter().map(|it| format!("{it:02x}")).collect()
}

pub(crate) fn replaced(bytes: &[u8], what: &[u8], by: &[u8]) -> Vec<u8> {
    match bytes.windows(what.len()).position(|it| it == what) {
        Some(at) => [&bytes[..at], by, &bytes[at + what.len()..]].concat(),
        None => bytes.to_vec(),
    }
}

/// A file, a directory and a commit, each under its name: what is changed in the one below is named by the one
/// above, so that all of it is read. In the signed world only the commit of the corpus may be taken.
pub(crate) fn git_objects(bytes: &[u8]) -> bool {
    let parts = parts(bytes);
    let part = |at: usize| parts.get(at).copied().unwrap_or_default();
    let blob = part(0);
    let tree = replaced(part(1), b"{BLOB}", &name("blob", blob));
    let commit = replaced(part(2), b"{TREE}", hex(&name("tree", &tree)).as_bytes());
    scratch(|cache| {
        let mut offer = Writer::new(cache).unwrap();
        for (kind, content) in [("commit", &commit[..]), ("tree", &tree), ("blob", blob)] {
            offer.add(kind, &hex(&name(kind, content)), content).unwrap();
        }
        offer.finish().unwrap();
        let signers = cache.join("allowed_signers");
        std::fs::write(&signers, corpus::allowed_signers()).unwrap();
        let signed = accepted(&branch(), &Trust::AllowedSigners(signers), cache);
        if let Ok(fetched) = signed {
            assert_eq!(content_digest(&fetched.sources), corpus::content(), "nobody signed it");
        }
        accepted(&branch(), &Trust::None, cache).is_ok()
    })
}

/// A signed manifest, and the files that it names. Only that of the corpus may be taken.
pub(crate) fn snapshot(bytes: &[u8]) -> bool {
    let parts = parts(bytes);
    if let Some((text, _)) = split_signed(parts[0])
        && let Ok(manifest) = Manifest::read(text)
    {
        assert_eq!(Manifest::read(&manifest.write()), Ok(manifest), "it is written otherwise");
    }
    scratch(|cache| {
        let mut offer = Writer::new(cache).unwrap();
        offer.add("manifest", "", parts[0]).unwrap();
        for pair in parts[1..].chunks(2) {
            let path = String::from_utf8_lossy(pair[0]);
            offer.add("file", &path, pair.get(1).copied().unwrap_or_default()).unwrap();
        }
        offer.finish().unwrap();
        let source = Source::Snapshot(Snapshot::new("https://example.test/model"));
        let trust = Trust::Keys { files: vec![], keys: vec![corpus::public()], threshold: 1 };
        let signed = accepted(&source, &trust, cache);
        if let Ok(fetched) = &signed {
            assert_eq!(content_digest(&fetched.sources), corpus::content(), "nobody signed it");
        }
        signed.is_ok()
    })
}

/// A packed archive: nothing is handed out but what the manifest names.
pub(crate) fn archive(bytes: &[u8]) -> bool {
    let files = corpus::archived();
    let taken = unpack(bytes, &files, |entry, content| {
        assert_eq!(<[u8; 32]>::from(Sha256::digest(content)), entry.digest);
        Ok(())
    });
    taken.is_ok()
}

/// Which commit wrote which line, as a publisher says.
pub(crate) fn blame(bytes: &[u8]) -> bool {
    let Ok(read) = Attribution::read(bytes) else { return false };
    for line in [0, 1, 2, u32::MAX] {
        read.line("model.yaml", line);
    }
    read.newest("model.yaml");
    if let Some(text) = read.write() {
        assert_eq!(Attribution::read(text.as_bytes()), Ok(read), "it is written otherwise");
    }
    true
}

/// A text with signatures below it: good ones are good for this text only.
pub(crate) fn envelope(bytes: &[u8]) -> bool {
    let Some((payload, armors)) = split_signed(bytes) else { return false };
    let lines = [("keys".to_owned(), 1, corpus::public())];
    let keys = KeySet::parse(lines, 1).unwrap();
    let by_set = keys.verify("it", payload.as_bytes(), &armors, SNAPSHOT, &BTreeSet::new()).is_ok();
    let signers = AllowedSigners::parse("f", &corpus::allowed_signers(), &TimeZone::UTC).unwrap();
    for armor in &armors {
        let (payload, armor) = (payload.as_bytes().to_vec(), armor.clone().into_bytes());
        let of_git = signers.verify("it", Some(&Signed { payload, armor }), GIT, corpus::NOW);
        assert!(of_git.is_err(), "it was signed for another purpose");
    }
    assert!(!by_set || payload == corpus::TEXT, "nobody signed it");
    by_set
}

/// Files of trusted keys, and a set of keys that a publisher changes to.
pub(crate) fn keys(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.lines().enumerate().map(|(at, it)| ("f".to_owned(), at, it.to_owned()));
    let set = KeySet::parse(lines, 1);
    if let Ok(set) = &set {
        let rotation = Rotation { model: "m".into(), number: 1, set: set.clone() };
        let text = rotation.write().unwrap();
        assert!(Rotation::read(&text).unwrap().set.same(set), "it is written otherwise");
    }
    let signers = AllowedSigners::parse("f", &text, &TimeZone::UTC);
    if let Ok(signers) = &signers {
        signers.keys();
    }
    set.is_ok() || signers.is_ok() || Rotation::read(&text).is_ok()
}

/// What a child without privileges hands to the process of root, byte for byte.
pub(crate) fn offer(bytes: &[u8]) -> bool {
    let snapshot = Source::Snapshot(Snapshot::new("https://example.test/model"));
    scratch(|cache| {
        std::fs::write(cache.join("offer"), bytes).unwrap();
        let git = accepted(&branch(), &Trust::None, cache).is_ok();
        accepted(&snapshot, &Trust::None, cache).is_ok() || git
    })
}

/// Times of the corpus.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}
