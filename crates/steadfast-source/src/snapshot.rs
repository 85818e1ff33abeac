//! A model as a signed snapshot: a manifest, the sets of keys that lead to the one that signed it, and one
//! archive named by its digest. Any web server can serve the directory, and a poll without news is one
//! request that is answered with 304.
//!
//! The fetching side downloads and unpacks; the accepting side ([`accept`]) reads plain files and never
//! decompresses anything.

use crate::anti_rollback::{
    AntiRollback, Candidate, Descent, Force, KeySetPoint, Point, TrustedKeys,
};
use crate::attribution::{self, Attribution};
use crate::content::{Collector, Place, place};
use crate::manifest::{
    Archive, File, Lines, MAX_KEYS, MAX_MANIFEST, MAX_ROTATIONS, Manifest, ManifestHead, NAME,
    Rotation, file_of, parts, set_digest,
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

/// Verifies a snapshot that was brought. Of its manifest only what leads to the signature is read before that
/// is good, and of its files nothing.
pub(crate) fn accept(
    terms: &Terms<'_>,
    known: &AntiRollback,
    cache: &Path,
) -> Result<(Candidate, SourceSet, Origin), Refusal> {
    let trusted = match terms.trust {
        Trust::Keys { files, keys, threshold } => {
            Some(key_set(files, keys, *threshold).map_err(Refusal::TrustedKeys)?)
        }
        Trust::None => None,
        Trust::AllowedSigners(_) | Trust::OpenPgp(_) => return Err(mismatch(terms)),
    };
    // A little more than the files themselves, for the manifest and the keys.
    let mut reader = Reader::open(cache, crate::directory::MAX_BYTES + 2 * MAX_MANIFEST)?;
    let raw = match reader.next_kind()? {
        Some("manifest") => reader.take(MAX_MANIFEST)?.content,
        Some(_) => return Err(Refusal::out_of_place()),
        None => return Err(Refusal::broken("no manifest was downloaded")),
    };
    let (text, armors) = parts("the manifest", &raw)?;
    let broken = |why: String| Refusal::broken(format!("the manifest: {}", printable(&why)));
    let head = ManifestHead::read(text).map_err(broken)?;
    let signed = SignedManifest { head: &head, text, armors: &armors };
    let verified = match trusted {
        None => {
            while reader.next_kind()? == Some("keys") {
                reader.take(MAX_KEYS)?;
            }
            Verified { signers: vec![], key_set: None, keys: None }
        }
        Some(trusted) => verify(terms, known, &signed, trusted, &mut reader)?,
    };

    // Now it counts what it says.
    let manifest = Manifest::read(text).map_err(broken)?;
    let (sources, told) = files(&manifest, &mut reader)?;
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
    let Verified { signers, key_set, keys } = verified;
    let candidate = Candidate { key_set, keys, signers, ..unsigned(point, Descent::None) };
    Ok((candidate, sources, origin))
}

/// A manifest as it was signed.
struct SignedManifest<'a> {
    head: &'a ManifestHead,
    text: &'a str,
    armors: &'a [String],
}

/// Who has signed it, and by which keys that counts.
struct Verified {
    signers: Vec<Signer>,
    key_set: Option<KeySetPoint>,
    keys: Option<TrustedKeys>,
}

fn verify(
    terms: &Terms<'_>,
    known: &AntiRollback,
    signed: &SignedManifest<'_>,
    trusted: KeySet,
    reader: &mut Reader,
) -> Result<Verified, Refusal> {
    let SignedManifest { head, text, armors } = *signed;
    let model = terms.expected.model.as_deref().unwrap_or(&head.model);
    // Root's word takes removed keys back.
    let none = BTreeSet::new();
    let removed = match terms.force {
        Force::No => &known.removed_keys,
        Force::Yes => &none,
    };
    let reached = known.key_set.map_or(0, |it| it.number);
    let mut walk = Walk::from(trusted);
    while reader.next_kind()? == Some("keys") {
        if walk.number == MAX_ROTATIONS {
            return Err(Refusal::out_of_place());
        }
        let raw = reader.take(MAX_KEYS)?.content;
        // What was walked before was signed by keys that are removed now.
        walk.step(&raw, model, |number| if number <= reached { &none } else { removed })?;
    }
    if walk.number != head.keys {
        return Err(Refusal::broken("the sets of keys that lead to the manifest are not complete"));
    }
    let walked = walk.end()?;
    let reached = KeySetPoint { number: head.keys, digest: set_digest(&walked.current) };
    // A set that was once reached by rotation is not left again for an older one, nor for another one
    // under its number, whoever signed it: its keys may be why there was a rotation.
    if let Some(highest) = &known.key_set
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
    let what = format!("snapshot {}", head.sequence);
    let signers = walked.current.verify(&what, text.as_bytes(), armors, SNAPSHOT, removed)?;
    let now = walked.current.fingerprints();
    let keys = Some(TrustedKeys { now, replaced: walked.earlier });
    Ok(Verified { signers, key_set: Some(reached), keys })
}

/// From the keys of the settings along the rotations: each is signed under the one before it. One is
/// looked at after the other, and none is kept.
struct Walk {
    trusted: KeySet,
    current: KeySet,
    /// Number and digest of every set after that of the settings, which is root's word: only what was
    /// reached from it is compared with what was accepted.
    passed: Vec<(u32, [u8; 32])>,
    /// The keys of all sets before the current one.
    earlier: BTreeSet<String>,
    /// Of the set that was looked at last.
    number: u32,
    /// Why the set of the settings does not lead on. They may name a later one than the first, and then it does
    /// not matter what led there.
    torn: Option<Refusal>,
}

impl Walk {
    fn from(trusted: KeySet) -> Walk {
        let (current, passed, earlier) = (trusted.clone(), vec![], BTreeSet::new());
        Walk { trusted, current, passed, earlier, number: 0, torn: None }
    }

    fn step<'k>(
        &mut self,
        raw: &[u8],
        model: &str,
        removed: impl FnOnce(u32) -> &'k BTreeSet<String>,
    ) -> Result<(), Refusal> {
        self.number += 1;
        let number = self.number;
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
        if rotation.set.same(&self.trusted) {
            let number = self.number;
            *self = Walk { number, ..Walk::from(self.trusted.clone()) };
            return Ok(());
        }
        if self.torn.is_some() {
            return Ok(());
        }
        match self.current.verify(&what, text.as_bytes(), &armors, KEYS, removed(number)) {
            Ok(_) => {
                self.earlier.extend(self.current.fingerprints());
                self.current = rotation.set;
                self.passed.push((number, set_digest(&self.current)));
            }
            Err(error) => self.torn = Some(error.into()),
        }
        Ok(())
    }

    fn end(mut self) -> Result<Walk, Refusal> {
        if let Some(refusal) = self.torn {
            return Err(refusal);
        }
        let now = self.current.fingerprints();
        self.earlier.retain(|it| !now.contains(it));
        Ok(self)
    }
}

/// The files, each with the content that the manifest names, and who wrote which line.
fn files(
    manifest: &Manifest,
    reader: &mut Reader,
) -> Result<(SourceSet, Option<Vec<u8>>), Refusal> {
    let named: BTreeMap<&str, &File> =
        manifest.files.iter().map(|it| (it.path.as_str(), it)).collect();
    let largest = manifest.files.iter().map(|it| it.size).max().unwrap_or(0);
    let (mut contents, mut lines) = (BTreeMap::new(), None);
    while let Some(kind) = reader.next_kind()? {
        let most = match kind {
            "file" => largest,
            "lines" if lines.is_none() => attribution::MAX_BYTES,
            _other => return Err(Refusal::out_of_place()),
        };
        let Record { kind, name, content } = reader.take(most)?;
        if kind == "lines" {
            lines = Some(content);
            continue;
        }
        let Some(File { path, digest, .. }) = named.get(name.as_str()) else {
            let why = format!("the manifest does not name {}", printable(&name));
            return Err(Refusal::broken(why));
        };
        let computed: [u8; 32] = sha2::Sha256::digest(&content).into();
        if computed != *digest {
            let why = format!("{path} has the digest {} and not the signed one", hex(&computed));
            return Err(Refusal::Broken { why });
        }
        contents.insert(path.as_str(), content);
    }
    let mut collector = Collector::default();
    for File { path, executable, .. } in &manifest.files {
        debug_assert_eq!(place(path), Place::Model);
        let content = contents
            .remove(path.as_str())
            .ok_or_else(|| Refusal::broken(format!("{path} was not downloaded")))?;
        collector.add(path, content.into(), *executable)?;
    }
    Ok((collector.finish(), lines))
}
