//! Good inputs, from which the others are made. Whatever is signed here is signed by one key, always the same.

use crate::one_file::files_and_environment;
use crate::targets::{PART, hex, name, replaced};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use ssh_key::PrivateKey;
use ssh_key::private::Ed25519Keypair;
use std::path::Path;
use std::sync::LazyLock;
use steadfast_download::unpack::Entry;
use steadfast_model::SourceSet;
use steadfast_source::manifest::{Archive, File, Manifest};
use steadfast_source::revision::content_digest;
use steadfast_trust::signature::{GIT, SNAPSHOT};
use steadfast_trust::signing::sign;

/// When all of it is judged.
pub(crate) const NOW: Timestamp = Timestamp::constant(1_782_864_000, 0);

const CONTENT: &[u8] = b"model: m\nformat: 1\n";

/// A text that is signed as a snapshot.
pub(crate) const TEXT: &str = "{ \"format\": 1 }\n";

static KEY: LazyLock<PrivateKey> =
    LazyLock::new(|| PrivateKey::new(Ed25519Keypair::from_seed(&[7; 32]).into(), "anna").unwrap());

static PUBLIC: LazyLock<String> = LazyLock::new(|| KEY.public_key().to_openssh().unwrap());

pub(crate) fn public() -> String {
    PUBLIC.clone()
}

pub(crate) fn allowed_signers() -> String {
    format!("anna {}\n", public())
}

/// The digest of the one model that is signed.
pub(crate) fn content() -> [u8; 32] {
    let mut sources = SourceSet::default();
    sources.add("model.yaml", CONTENT, false);
    content_digest(&sources)
}

fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.join(PART)
}

/// The good models of the tests of the language, and their parts.
pub(crate) fn language() -> Vec<Vec<u8>> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let folder = tests.map(|it| it.join("language/ok")).find(|it| it.is_dir()).unwrap();
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).collect();
    paths.sort();
    let texts = paths.iter().filter(|it| it.extension().is_some_and(|it| it == "txt"));
    let model = |text: &str| {
        let files = files_and_environment(text).into_iter();
        let parts: Vec<Vec<u8>> = files.flat_map(|(path, it)| [path.into(), it.into()]).collect();
        joined(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>())
    };
    texts.map(|it| model(&std::fs::read_to_string(it).unwrap())).collect()
}

pub(crate) fn settings() -> Vec<Vec<u8>> {
    let texts = [
        "environment: production\nnode: web1.example.test\n\
         source: { git: { url: \"https://git.example.test/model.git\", tag: live, token_file: /etc/token } }\n\
         trust: { allowed_signers: /etc/steadfast/allowed_signers }\n\
         intervals: { fetch: 5m, keep: 30m }\nkeep: report\n",
        "environment: test\n\
         source: { snapshot: { url: \"https://example.test/production/\", timeout: 15m } }\n\
         trust: { keys: /etc/steadfast/keys, threshold: 2 }\n\
         metrics: { listen: \"127.0.0.1:9270\" }\nsocket: { group: adm }\n",
    ];
    texts.map(|it| it.as_bytes().to_vec()).to_vec()
}

/// The parts of a commit, with places for the names that depend on each other; and the same, signed.
pub(crate) fn git_objects() -> Vec<Vec<u8>> {
    let tree: &[u8] = b"100644 model.yaml\0{BLOB}";
    let who = "Anna <anna@example.test> 1780000000 +0200";
    let head = format!("tree {{TREE}}\nauthor {who}\ncommitter {who}\n");
    let message = "\nThe first one\n";
    let full = replaced(tree, b"{BLOB}", &name("blob", CONTENT));
    let named = |text: &str| text.replace("{TREE}", &hex(&name("tree", &full)));
    let armor = sign(&KEY, GIT, named(&format!("{head}{message}")).as_bytes()).unwrap();
    let header = format!("gpgsig-sha256 {}\n", armor.trim_end().replace('\n', "\n "));
    [format!("{head}{message}"), format!("{head}{header}{message}")]
        .map(|commit| joined(&[CONTENT, tree, commit.as_bytes()]))
        .to_vec()
}

fn manifest(archive: &[u8]) -> Manifest {
    Manifest {
        model: "m".into(),
        channel: "production".into(),
        sequence: 1,
        keys: 0,
        created: crate::targets::at(1_782_000_000),
        expires: crate::targets::at(1_790_000_000),
        commit: None,
        archive: Archive { digest: Sha256::digest(archive).into(), size: archive.len() as u64 },
        lines: None,
        files: vec![File {
            path: "model.yaml".into(),
            digest: Sha256::digest(CONTENT).into(),
            size: CONTENT.len() as u64,
            executable: false,
        }],
    }
}

pub(crate) fn snapshot() -> Vec<Vec<u8>> {
    let text = manifest(b"").write();
    let armor = sign(&KEY, SNAPSHOT, text.as_bytes()).unwrap();
    vec![joined(&[format!("{text}{armor}").as_bytes(), b"model.yaml", CONTENT])]
}

/// What the manifest of an archive names.
pub(crate) fn archived() -> Vec<Entry> {
    [("a/long/path/to/a.yaml", CONTENT), ("model.yaml", &[b'x'; 700])]
        .map(|(path, content): (&str, &[u8])| Entry {
            path: path.into(),
            digest: Sha256::digest(content).into(),
            size: content.len() as u64,
        })
        .to_vec()
}

/// Packed without compression, so that what is changed in it is changed in the archive.
pub(crate) fn archive() -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("a/long/path/to")).unwrap();
    std::fs::write(folder.path().join("a/long/path/to/a.yaml"), CONTENT).unwrap();
    std::fs::write(folder.path().join("model.yaml"), [b'x'; 700]).unwrap();
    ["1", "9"]
        .map(|level| {
            let tar = std::process::Command::new("sh")
                .arg("-c")
                .arg(format!(
                    "tar --sort=name --mtime=@0 --owner=0 --group=0 -c a/long/path/to/a.yaml model.yaml | gzip -n -{level}"
                ))
                .current_dir(folder.path())
                .output()
                .unwrap();
            assert!(tar.status.success());
            tar.stdout
        })
        .to_vec()
}

pub(crate) fn blame() -> Vec<Vec<u8>> {
    let id = "1f".repeat(20);
    let text = format!(
        r#"{{ "format": 1,
  "revision": {{ "commit": "{id}", "author": "Anna <a@x>", "authored": 1780000000, "subject": "s" }},
  "commits": [ {{ "commit": "{id}", "author": "Anna <a@x>", "authored": 1780000000, "subject": "s", "or_before": true }} ],
  "rest": 0,
  "files": {{ "model.yaml": [[1, 0], [12, 0]] }} }}"#
    );
    vec![text.into_bytes()]
}

pub(crate) fn envelope() -> Vec<Vec<u8>> {
    let armor = sign(&KEY, SNAPSHOT, TEXT.as_bytes()).unwrap();
    vec![format!("{TEXT}{armor}").into_bytes(), format!("{TEXT}{armor}{armor}").into_bytes()]
}

pub(crate) fn keys() -> Vec<Vec<u8>> {
    let public = public();
    [
        format!("# those who sign\n{public}\n"),
        format!("anna,ben namespaces=\"git\",valid-before=\"20300101Z\" {public}\n"),
        format!(
            "{{ \"format\": 1, \"model\": \"m\", \"number\": 1, \"threshold\": 1, \"keys\": [ \"{public}\" ] }}\n"
        ),
    ]
    .map(String::into_bytes)
    .to_vec()
}

/// What `git_objects` and `snapshot` hand over, as it lies in the file.
pub(crate) fn offer() -> Vec<Vec<u8>> {
    let tree = replaced(b"100644 model.yaml\0{BLOB}", b"{BLOB}", &name("blob", CONTENT));
    let who = "Anna <anna@example.test> 1780000000 +0200";
    let id = hex(&name("tree", &tree));
    let commit = format!("tree {id}\nauthor {who}\ncommitter {who}\n\nThe first one\n");
    let mut git = b"steadfast-offer 1\n".to_vec();
    for (kind, content) in [("commit", commit.as_bytes()), ("tree", &tree), ("blob", CONTENT)] {
        record(&mut git, kind, &hex(&name(kind, content)), content);
    }
    record(&mut git, "end", "", b"");
    let mut snapshot = b"steadfast-offer 1\n".to_vec();
    record(&mut snapshot, "manifest", "", manifest(b"").write().as_bytes());
    record(&mut snapshot, "file", "model.yaml", CONTENT);
    record(&mut snapshot, "end", "", b"");
    vec![git, snapshot]
}

fn record(offer: &mut Vec<u8>, kind: &str, name: &str, content: &[u8]) {
    offer.extend_from_slice(format!("{kind} {} {}\n{name}", name.len(), content.len()).as_bytes());
    offer.extend_from_slice(content);
    offer.push(b'\n');
}
