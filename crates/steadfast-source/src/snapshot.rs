//! A model as a signed snapshot: a manifest, the sets of keys that lead to the one that signed it, and one
//! archive named by its digest. Any web server can serve the directory, and a poll without news is one
//! request that is answered with 304.
//!
//! The fetching side downloads and unpacks; the accepting side ([`accept`]) reads plain files and never
//! decompresses anything.

use crate::anti_rollback::{AntiRollback, Candidate, Descent, Force, KeySetPoint, Point};
use crate::attribution::{self, Attribution};
use crate::content::{Collector, Place, place};
use crate::manifest::{
    Archive, File, Lines, MAX_KEYS, MAX_MANIFEST, MAX_ROTATIONS, Manifest, NAME, Rotation, file_of,
    parts, set_digest,
};
use crate::refusal::Refusal;
use crate::settings::{Limits, Snapshot, Trust};
use crate::terms::{Credentials, Download, Known, Origin, Terms, mismatch, unsigned};
use sha2::Digest as _;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use steadfast_download::https::{Got, Site};
use steadfast_download::offer::{Reader, Record, Writer};
use steadfast_download::unpack::{Entry, inflate, unpack};
use steadfast_download::{DownloadError, DownloadErrorKind};
use steadfast_model::SourceSet;
use steadfast_trust::key_set::{KeySet, key_set};
use steadfast_trust::signature::{KEYS, SNAPSHOT, Signer};
use steadfast_trust::text::{hex, printable};

/// The archive that was unpacked last: a manifest that is refused for now does not bring it again.
const KEPT: &str = "archive";

/// Brings what is new at a web server into the cache directory.
pub(crate) fn download(
    snapshot: &Snapshot,
    credentials: &Credentials,
    known: &Known,
    cache: &Path,
    limits: &Limits,
) -> Result<Download, DownloadError> {
    let site = Site::new(
        &snapshot.url,
        credentials.ca.as_deref(),
        snapshot.proxy.as_deref(),
        &limits.transfer(),
    )?;
    let (raw, validator) = match site.get(NAME, known.validator.as_ref(), MAX_MANIFEST)? {
        Got::Unchanged => return Ok(Download::Unchanged),
        Got::Body { bytes, validator } => (bytes, validator),
    };
    let broken =
        |why: String| DownloadError::new(DownloadErrorKind::Broken, format!("the manifest: {why}"));
    let (text, _) = parts(NAME, &raw).map_err(|it| broken(it.line()))?;
    let manifest = Manifest::read(text).map_err(broken)?;
    let mut writer = Writer::new(cache)?;
    writer.add("manifest", "", &raw)?;
    if manifest.keys > MAX_ROTATIONS {
        return Err(broken(format!("{} sets of keys are too many", manifest.keys)));
    }
    for number in 1..=manifest.keys {
        match site.get(&file_of(number), None, MAX_KEYS)? {
            Got::Body { bytes, .. } => writer.add("keys", &number.to_string(), &bytes)?,
            Got::Unchanged => {
                return Err(broken("the server answered 304 to an unconditional request".into()));
            }
        }
    }
    let archive = archive(&site, &manifest.archive, cache, limits)?;
    let files = manifest.files.iter().map(entry).collect::<Vec<_>>();
    unpack(&archive, &files, |file, content| writer.add("file", &file.path, content))?;
    if let Some(text) = manifest.lines.as_ref().and_then(|it| lines(&site, it)) {
        writer.add("lines", "", &text)?;
    }
    writer.finish()?;
    Ok(Download::Offer { validator: Some(validator) })
}

fn entry(file: &File) -> Entry {
    let File { path, digest, size, executable: _ } = file;
    Entry { path: path.clone(), digest: *digest, size: *size }
}

/// The archive of a manifest, from the last time or from the server.
fn archive(
    site: &Site,
    archive: &Archive,
    cache: &Path,
    limits: &Limits,
) -> Result<Vec<u8>, DownloadError> {
    let kept = cache.join(KEPT);
    let is_it = |bytes: &[u8]| {
        let digest: [u8; 32] = sha2::Sha256::digest(bytes).into();
        digest == archive.digest && bytes.len() as u64 == archive.size
    };
    if let Ok(meta) = kept.symlink_metadata()
        && meta.is_file()
        && meta.len() == archive.size
        && let Ok(bytes) = std::fs::read(&kept)
        && is_it(&bytes)
    {
        return Ok(bytes);
    }
    if archive.size > limits.bytes {
        let words = format!("the archive has {} bytes", archive.size);
        return Err(DownloadError::new(DownloadErrorKind::TooLarge, words));
    }
    let name = archive.name();
    match site.get(&name, None, archive.size)? {
        Got::Body { bytes, .. } if is_it(&bytes) => {
            std::fs::write(&kept, &bytes)
                .map_err(|err| DownloadError::local("keep the archive", err))?;
            Ok(bytes)
        }
        Got::Body { bytes, .. } if (bytes.len() as u64) < archive.size => {
            let words =
                format!("the archive is cut off: {} of {} bytes", bytes.len(), archive.size);
            Err(DownloadError::new(DownloadErrorKind::Broken, words))
        }
        Got::Body { .. } | Got::Unchanged => Err(DownloadError::new(
            DownloadErrorKind::Broken,
            "the archive has other content than the manifest says",
        )),
    }
}

/// Who wrote which line. Where it cannot be had that is not known, and the model is as good.
fn lines(site: &Site, lines: &Lines) -> Option<Vec<u8>> {
    if lines.size > attribution::MAX_BYTES {
        return None;
    }
    let Ok(Got::Body { bytes, .. }) = site.get(&lines.name(), None, attribution::MAX_BYTES) else {
        return None;
    };
    let text = inflate(&bytes, lines.size)?;
    is_it(lines, &text).then_some(text)
}

fn is_it(lines: &Lines, text: &[u8]) -> bool {
    let digest: [u8; 32] = sha2::Sha256::digest(text).into();
    digest == lines.digest && text.len() as u64 == lines.size
}

/// Verifies a snapshot that was brought.
pub(crate) fn accept(
    terms: &Terms<'_>,
    anti_rollback: &mut AntiRollback,
    cache: &Path,
) -> Result<(Candidate, SourceSet, Origin), Refusal> {
    let trusted = match terms.trust {
        Trust::Keys { files, keys, threshold } => {
            Some(key_set(files, keys, *threshold).map_err(Refusal::TrustedKeys)?)
        }
        Trust::None => None,
        Trust::AllowedSigners(_) | Trust::OpenPgp(_) => return Err(mismatch(terms)),
    };
    let Offered { manifest, rotations, contents, lines: told } = Offered::read(cache)?;
    let raw = manifest.ok_or_else(|| Refusal::broken("no manifest was downloaded"))?;
    let (text, armors) = parts("the manifest", &raw)?;
    let manifest = Manifest::read(text)
        .map_err(|why| Refusal::broken(format!("the manifest: {}", printable(&why))))?;

    // Who signed it, before anything in it counts.
    let signed = SignedManifest { manifest: &manifest, text, armors: &armors };
    let (signers, key_set) = match trusted {
        None => (vec![], None),
        Some(trusted) => {
            let (signers, reached) = verify(terms, anti_rollback, &signed, trusted, &rotations)?;
            (signers, Some(reached))
        }
    };

    let sources = files(&manifest, contents)?;
    // What is wrong with it is the publisher's, and no reason to go without the model.
    let attribution = told
        .zip(manifest.lines.as_ref())
        .filter(|(text, lines)| is_it(lines, text))
        .and_then(|(text, _)| Attribution::read(&text).ok());
    let point = Point::Snapshot {
        model: manifest.model.clone(),
        channel: manifest.channel.clone(),
        sequence: manifest.sequence,
        content: manifest.content(),
        expires: manifest.expires,
    };
    let Manifest { created, expires, commit, .. } = manifest;
    let origin = Origin::Snapshot { created, expires, commit, attribution };
    Ok((Candidate { key_set, signers, ..unsigned(point, Descent::None) }, sources, origin))
}

/// The records of an offer, in the order in which they must come.
#[derive(Default)]
struct Offered {
    manifest: Option<Vec<u8>>,
    rotations: Vec<Vec<u8>>,
    contents: BTreeMap<String, Vec<u8>>,
    lines: Option<Vec<u8>>,
}

impl Offered {
    fn read(cache: &Path) -> Result<Offered, Refusal> {
        // A little more than the files themselves, for the manifest and the keys.
        let limit = crate::directory::MAX_BYTES + 2 * MAX_MANIFEST;
        let mut reader = Reader::open(cache, limit)?;
        let mut offered = Offered::default();
        while let Some(Record { kind, name, content }) = reader.next_record()? {
            match (kind.as_str(), &offered.manifest) {
                ("manifest", None) => offered.manifest = Some(content),
                ("keys", Some(_)) if offered.rotations.len() < MAX_ROTATIONS as usize => {
                    offered.rotations.push(content);
                }
                ("lines", Some(_)) if offered.lines.is_none() => offered.lines = Some(content),
                ("file", Some(_)) => {
                    offered.contents.insert(name, content);
                }
                _other => return Err(Refusal::broken("a record of the offer is out of place")),
            }
        }
        Ok(offered)
    }
}

/// A manifest as it was signed.
struct SignedManifest<'a> {
    manifest: &'a Manifest,
    text: &'a str,
    armors: &'a [String],
}

fn verify(
    terms: &Terms<'_>,
    anti_rollback: &mut AntiRollback,
    signed: &SignedManifest<'_>,
    trusted: KeySet,
    rotations: &[Vec<u8>],
) -> Result<(Vec<Signer>, KeySetPoint), Refusal> {
    let SignedManifest { manifest, text, armors } = *signed;
    if rotations.len() != manifest.keys as usize {
        return Err(Refusal::broken("the sets of keys that lead to the manifest are not complete"));
    }
    let model = terms.expected.model.as_deref().unwrap_or(&manifest.model);
    let walked = walk(anti_rollback, trusted, rotations, model)?;
    let reached = KeySetPoint { number: manifest.keys, digest: set_digest(&walked.current) };
    // A set that was once reached by rotation is not left again for an older one, nor for another one
    // under its number, whoever signed it: its keys may be why there was a rotation.
    if let Some(highest) = &anti_rollback.key_set
        && terms.force == Force::No
    {
        if reached.number < highest.number {
            let (offered, highest) = (reached.number, highest.number);
            return Err(Refusal::OlderKeys { offered, highest });
        }
        if let Some((_, digest)) = walked.passed.iter().find(|it| it.0 == highest.number)
            && *digest != highest.digest
        {
            let why = format!("key set {} is another than the one accepted", highest.number);
            return Err(Refusal::Broken { why });
        }
    }
    let removed = &anti_rollback.removed_keys;
    let what = format!("snapshot {}", manifest.sequence);
    let signers = walked.current.verify(&what, text.as_bytes(), armors, SNAPSHOT, removed)?;
    // Only now: rotations that nobody has used to sign a snapshot remove no keys.
    let mut known = walked.earlier;
    known.extend(anti_rollback.known_keys.iter().cloned());
    anti_rollback.known_keys = known;
    anti_rollback.see_keys(&walked.current.fingerprints());
    Ok((signers, reached))
}

struct Walked {
    current: KeySet,
    /// Number and digest of every set after that of the settings.
    passed: Vec<(u32, [u8; 32])>,
    /// The keys of all sets before the current one.
    earlier: BTreeSet<String>,
}

/// From the keys of the settings along the rotations: each is signed under the one before it.
fn walk(
    anti_rollback: &AntiRollback,
    trusted: KeySet,
    rotations: &[Vec<u8>],
    model: &str,
) -> Result<Walked, Refusal> {
    let mut parsed = vec![];
    for (at, raw) in rotations.iter().enumerate() {
        let number = u32::try_from(at + 1).unwrap_or(u32::MAX);
        let what = format!("key set {number}");
        let (text, armors) = parts(&what, raw)?;
        let rotation = Rotation::read(text)
            .map_err(|why| Refusal::broken(format!("{what}: {}", printable(&why))))?;
        if rotation.number != number {
            return Err(Refusal::broken(format!("{what} is signed as number {}", rotation.number)));
        }
        if rotation.model != model {
            let (named, expected) = (rotation.model, model.to_owned());
            return Err(Refusal::WrongModel { named, expected });
        }
        parsed.push((number, what, text, armors, rotation.set));
    }
    // The settings may already name a later set than the first.
    let start = parsed.iter().rposition(|it| it.4.same(&trusted)).map_or(0, |at| at + 1);
    // The settings' own set is root's word; only what was reached from it is compared with what was accepted.
    let mut passed = vec![];
    let mut earlier = BTreeSet::new();
    let mut current = trusted;
    let highest = anti_rollback.key_set.map_or(0, |it| it.number);
    let none = BTreeSet::new();
    for (number, what, text, armors, set) in parsed.drain(..).skip(start) {
        // What was walked before was signed by keys that are removed now.
        let removed = if number <= highest { &none } else { &anti_rollback.removed_keys };
        current.verify(&what, text.as_bytes(), &armors, KEYS, removed)?;
        earlier.extend(current.fingerprints());
        current = set;
        passed.push((number, set_digest(&current)));
    }
    let now = current.fingerprints();
    earlier.retain(|it| !now.contains(it));
    Ok(Walked { current, passed, earlier })
}

/// The files, each with the content that the manifest names.
fn files(
    manifest: &Manifest,
    mut contents: BTreeMap<String, Vec<u8>>,
) -> Result<SourceSet, Refusal> {
    let mut collector = Collector::default();
    for File { path, digest, size: _, executable } in &manifest.files {
        debug_assert_eq!(place(path), Place::Model);
        let content = contents
            .remove(path)
            .ok_or_else(|| Refusal::broken(format!("{path} was not downloaded")))?;
        let computed: [u8; 32] = sha2::Sha256::digest(&content).into();
        if computed != *digest {
            let why = format!("{path} has the digest {} and not the signed one", hex(&computed));
            return Err(Refusal::Broken { why });
        }
        collector.add(path, content.into(), *executable)?;
    }
    match contents.pop_first() {
        Some((path, _)) => {
            Err(Refusal::broken(format!("the manifest does not name {}", printable(&path))))
        }
        None => Ok(collector.finish()),
    }
}
