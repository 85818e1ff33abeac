//! A model as a signed snapshot: a manifest, the sets of keys that lead to the one that signed it, and one
//! archive named by its digest. Any web server can serve the folder, and a poll without news is one
//! request that is answered with 304.
//!
//! The fetching side downloads and unpacks; the accepting side ([`accept`]) reads plain files and never
//! decompresses anything.

use crate::attribution::{self, Attribution};
use crate::content::{Collector, Place, place};
use crate::fetcher::{Brought, Known, Material, Origin, Terms, key_set, mismatch, unsigned};
use crate::floor::{Candidate, Descent, Floor, Force, KeySetPoint, Point};
use crate::https::{Got, Site};
use crate::manifest::{
    Archive, File, Lines, MAX_KEYS, MAX_MANIFEST, MAX_ROTATIONS, Manifest, NAME, Rotation, file_of,
    parts, set_digest,
};
use crate::object::hex;
use crate::offer::{Reader, Writer};
use crate::refusal::{BringError, Refusal, Trouble};
use crate::settings::{Limits, Snapshot, Trust};
use crate::signature::{KEYS, KeySet, SNAPSHOT, Signer};
use sha2::Digest as _;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;
use steadfast_model::SourceSet;

/// The archive that was unpacked last: a manifest that is refused for now does not bring it again.
const KEPT: &str = "archive";

/// Brings what is new at a web server into the cache folder.
pub(crate) fn bring(
    snapshot: &Snapshot,
    material: &Material,
    known: &Known,
    cache: &Path,
    limits: &Limits,
) -> Result<Brought, BringError> {
    let site = Site::new(&snapshot.url, material.ca.as_deref(), snapshot.proxy.as_deref(), limits)?;
    let (raw, validator) = match site.get(NAME, known.validator.as_ref(), MAX_MANIFEST)? {
        Got::Unchanged => return Ok(Brought::Unchanged),
        Got::Body { bytes, validator } => (bytes, validator),
    };
    let broken = |why: String| BringError::new(Trouble::Broken, format!("the manifest: {why}"));
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
            Got::Unchanged => return Err(broken("a server answers what was not asked".into())),
        }
    }
    let archive = archive(&site, &manifest.archive, cache, limits)?;
    unpack(&archive, &manifest.files, |file, content| writer.add("file", &file.path, content))?;
    if let Some(text) = manifest.lines.as_ref().and_then(|it| lines(&site, it)) {
        writer.add("lines", "", &text)?;
    }
    writer.finish()?;
    Ok(Brought::Offer { validator: Some(validator) })
}

/// The archive of a manifest, from the last time or from the server.
fn archive(
    site: &Site,
    archive: &Archive,
    cache: &Path,
    limits: &Limits,
) -> Result<Vec<u8>, BringError> {
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
        return Err(BringError::new(Trouble::TooLarge, words));
    }
    let name = archive.name();
    match site.get(&name, None, archive.size)? {
        Got::Body { bytes, .. } if is_it(&bytes) => {
            std::fs::write(&kept, &bytes)
                .map_err(|err| BringError::local("keep the archive", err))?;
            Ok(bytes)
        }
        Got::Body { bytes, .. } if (bytes.len() as u64) < archive.size => {
            let words =
                format!("the archive is cut off: {} of {} bytes", bytes.len(), archive.size);
            Err(BringError::new(Trouble::Broken, words))
        }
        Got::Body { .. } | Got::Unchanged => {
            Err(BringError::new(Trouble::Broken, "the archive has another content"))
        }
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
    let mut text = vec![];
    let zip = flate2::read::GzDecoder::new(bytes.as_slice());
    zip.take(lines.size + 1).read_to_end(&mut text).ok()?;
    is_it(lines, &text).then_some(text)
}

fn is_it(lines: &Lines, text: &[u8]) -> bool {
    let digest: [u8; 32] = sha2::Sha256::digest(text).into();
    digest == lines.digest && text.len() as u64 == lines.size
}

/// Goes through an archive and hands out the files that the manifest names. Whatever else is in it, and
/// whatever is larger than the manifest says, ends it: no more is ever decompressed than that.
fn unpack(
    archive: &[u8],
    files: &[File],
    mut take: impl FnMut(&File, &[u8]) -> Result<(), BringError>,
) -> Result<(), BringError> {
    let broken = |why: &str| BringError::new(Trouble::Broken, format!("the archive: {why}"));
    let named: BTreeMap<&str, &File> = files.iter().map(|it| (it.path.as_str(), it)).collect();
    let mut seen = BTreeSet::new();
    // A header of 512 bytes and up to as much padding, and the same again for a long name.
    let room = |it: &File| it.size + it.path.len() as u64 + 4 * 512;
    let total = files.iter().map(room).sum::<u64>() + 64 * 1024;
    let decompressed = flate2::read::GzDecoder::new(archive);
    let mut limited = Limited { from: decompressed, left: total };
    let mut tar = tar::Archive::new(&mut limited);
    let mut walk = || -> std::io::Result<Result<(), BringError>> {
        for entry in tar.entries()? {
            let mut entry = entry?;
            let path = entry.path_bytes().into_owned();
            let path = String::from_utf8_lossy(&path).into_owned();
            let shown = crate::object::printable(&path);
            if entry.header().entry_type() != tar::EntryType::Regular {
                return Ok(Err(broken(&format!("{shown} is not a plain file"))));
            }
            let Some(file) = named.get(path.as_str()) else {
                return Ok(Err(broken(&format!("the manifest does not name {shown}"))));
            };
            if entry.header().mode()? & 0o7000 != 0 {
                return Ok(Err(broken(&format!("{shown} is setuid, setgid or sticky"))));
            }
            if !seen.insert(path) {
                return Ok(Err(broken(&format!("{shown} stands in it twice"))));
            }
            if entry.size() != file.size {
                return Ok(Err(broken(&format!(
                    "{shown} has another size than the manifest says"
                ))));
            }
            let mut content = vec![];
            entry.by_ref().take(file.size).read_to_end(&mut content)?;
            let digest: [u8; 32] = sha2::Sha256::digest(&content).into();
            if digest != file.digest || content.len() as u64 != file.size {
                return Ok(Err(broken(&format!("{shown} has another content"))));
            }
            if let Err(error) = take(file, &content) {
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    };
    let walked = walk();
    if limited.left == 0 {
        let words = "the archive holds more than the manifest says";
        return Err(BringError::new(Trouble::TooLarge, words));
    }
    match walked {
        Err(err) => return Err(broken(&err.to_string())),
        Ok(result) => result?,
    }
    match files.iter().find(|it| !seen.contains(&it.path)) {
        Some(file) => Err(broken(&format!("{} is not in it", file.path))),
        None => Ok(()),
    }
}

/// What is decompressed, up to a limit.
struct Limited<R> {
    from: R,
    left: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 {
            return Err(std::io::Error::other("more than the manifest says"));
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.from.read(&mut buffer[..most])?;
        self.left -= count as u64;
        Ok(count)
    }
}

/// Verifies a snapshot that was brought.
pub(crate) fn accept(
    terms: &Terms<'_>,
    floor: &mut Floor,
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
    let limit = crate::directory::MAX_BYTES + 2 * MAX_MANIFEST;
    let mut reader = Reader::open(cache, limit)?;
    let mut raw = None;
    let mut rotations: Vec<Vec<u8>> = vec![];
    let mut contents: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut told: Option<Vec<u8>> = None;
    while let Some(record) = reader.next()? {
        match (record.kind.as_str(), &raw) {
            ("manifest", None) => raw = Some(record.content),
            ("keys", Some(_)) if rotations.len() < MAX_ROTATIONS as usize => {
                rotations.push(record.content);
            }
            ("lines", Some(_)) if told.is_none() => told = Some(record.content),
            ("file", Some(_)) => {
                contents.insert(record.name, record.content);
            }
            _other => return Err(Refusal::broken("a record of the offer is out of place")),
        }
    }
    let raw = raw.ok_or_else(|| Refusal::broken("no manifest was brought"))?;
    let (text, armors) = parts("the manifest", &raw)?;
    let manifest = Manifest::read(text).map_err(|why| {
        Refusal::broken(format!("the manifest: {}", crate::object::printable(&why)))
    })?;
    let what = format!("snapshot {}", manifest.sequence);
    let (signers, reached) = match trusted {
        None => (vec![], None),
        Some(trusted) => {
            let (signers, reached) =
                verify(terms, floor, &manifest, trusted, &rotations, &what, text, &armors)?;
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
    let origin = Origin::Snapshot {
        created: manifest.created,
        expires: manifest.expires,
        commit: manifest.commit,
        attribution,
    };
    let candidate = Candidate { key_set: reached, signers, ..unsigned(point, Descent::None) };
    Ok((candidate, sources, origin))
}

#[expect(
    clippy::too_many_arguments,
    reason = "one call site, just above; a struct would only rename them"
)]
fn verify(
    terms: &Terms<'_>,
    floor: &mut Floor,
    manifest: &Manifest,
    trusted: KeySet,
    rotations: &[Vec<u8>],
    what: &str,
    text: &str,
    armors: &[String],
) -> Result<(Vec<Signer>, KeySetPoint), Refusal> {
    if rotations.len() != manifest.keys as usize {
        return Err(Refusal::broken("the sets of keys that lead to the manifest are not complete"));
    }
    let model = terms.expected.model.as_deref().unwrap_or(&manifest.model);
    let walked = walk(floor, trusted, rotations, model)?;
    let reached = KeySetPoint { number: manifest.keys, digest: set_digest(&walked.current) };
    // A set that was once reached by rotation is not left again for an older one, nor for another one
    // under its number, whoever signed it: its keys may be why there was a rotation.
    if let Some(highest) = &floor.key_set
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
    let removed = &floor.removed_keys;
    let signers = walked.current.verify(what, text.as_bytes(), armors, SNAPSHOT, removed)?;
    // Only now: rotations that nobody has used to sign a snapshot remove no keys.
    let mut known = walked.earlier;
    known.extend(floor.known_keys.iter().cloned());
    floor.known_keys = known;
    floor.see_keys(&walked.current.fingerprints());
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
    floor: &Floor,
    trusted: KeySet,
    rotations: &[Vec<u8>],
    model: &str,
) -> Result<Walked, Refusal> {
    let mut parsed = vec![];
    for (at, raw) in rotations.iter().enumerate() {
        let number = u32::try_from(at + 1).unwrap_or(u32::MAX);
        let what = format!("key set {number}");
        let (text, armors) = parts(&what, raw)?;
        let rotation = Rotation::read(text).map_err(|why| {
            Refusal::broken(format!("{what}: {}", crate::object::printable(&why)))
        })?;
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
    // The settings' own set is root's word; only what was reached from it is compared with the floor.
    let mut passed = vec![];
    let mut earlier = BTreeSet::new();
    let mut current = trusted;
    let highest = floor.key_set.map_or(0, |it| it.number);
    let none = BTreeSet::new();
    for (number, what, text, armors, set) in parsed.drain(..).skip(start) {
        // What was walked before was signed by keys that are removed now.
        let removed = if number <= highest { &none } else { &floor.removed_keys };
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
            .ok_or_else(|| Refusal::broken(format!("{path} was not brought")))?;
        let computed: [u8; 32] = sha2::Sha256::digest(&content).into();
        if computed != *digest {
            let why = format!("{path} has the digest {} and not the signed one", hex(&computed));
            return Err(Refusal::Broken { why });
        }
        collector.add(path, content.into(), *executable)?;
    }
    match contents.pop_first() {
        Some((path, _)) => Err(Refusal::broken(format!(
            "the manifest does not name {}",
            crate::object::printable(&path)
        ))),
        None => Ok(collector.finish()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn file(path: &str, content: &[u8]) -> File {
        let digest = sha2::Sha256::digest(content).into();
        File { path: path.into(), digest, size: content.len() as u64, executable: false }
    }

    fn pack(build: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
        let mut tar = tar::Builder::new(vec![]);
        build(&mut tar);
        zipped(&tar.into_inner().unwrap())
    }

    fn zipped(bytes: &[u8]) -> Vec<u8> {
        let mut zip = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
        zip.write_all(bytes).unwrap();
        zip.finish().unwrap()
    }

    fn header(path: &str, kind: tar::EntryType, size: u64, mode: u32) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        // `set_path` would refuse the bad ones.
        header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(mode);
        header.set_cksum();
        header
    }

    fn unpacked(archive: &[u8], files: &[File]) -> Result<usize, String> {
        let mut count = 0;
        unpack(archive, files, |_, _| {
            count += 1;
            Ok(())
        })
        .map(|()| count)
        .map_err(|it| it.words)
    }

    #[test]
    fn an_archive_holds_the_files_of_its_manifest_and_nothing_else() {
        use tar::EntryType as Kind;
        let want = [file("a", b"xx")];
        let one = |path: &'static str, kind: Kind, mode: u32, content: &'static [u8]| {
            pack(|tar| {
                let header = header(path, kind, content.len() as u64, mode);
                tar.append(&header, content).unwrap();
            })
        };
        assert_eq!(unpacked(&one("a", Kind::Regular, 0o644, b"xx"), &want), Ok(1));
        let cases = [
            (one("a", Kind::Symlink, 0o644, b""), "a is not a plain file"),
            (one("a", Kind::Link, 0o644, b""), "a is not a plain file"),
            (one("a", Kind::Block, 0o644, b""), "a is not a plain file"),
            (one("a", Kind::Fifo, 0o644, b""), "a is not a plain file"),
            (one("a", Kind::Directory, 0o755, b""), "a is not a plain file"),
            (one("a", Kind::Regular, 0o4755, b"xx"), "a is setuid, setgid or sticky"),
            (one("../a", Kind::Regular, 0o644, b"xx"), "the manifest does not name ../a"),
            (one("/a", Kind::Regular, 0o644, b"xx"), "the manifest does not name /a"),
            (one("b", Kind::Regular, 0o644, b"xx"), "the manifest does not name b"),
            (one("a", Kind::Regular, 0o644, b"xxx"), "a has another size than the manifest says"),
            (one("a", Kind::Regular, 0o644, b"xy"), "a has another content"),
            (pack(|_| {}), "a is not in it"),
            (
                pack(|tar| {
                    for _ in 0..2 {
                        tar.append(&header("a", Kind::Regular, 2, 0o644), &b"xx"[..]).unwrap();
                    }
                }),
                "a stands in it twice",
            ),
        ];
        for (archive, expected) in cases {
            assert_eq!(unpacked(&archive, &want), Err(format!("the archive: {expected}")));
        }
        let whole = one("a", Kind::Regular, 0o644, b"xx");
        for length in 0..whole.len() - 8 {
            assert!(unpacked(&whole[..length], &want).is_err() || length > 40, "cut at {length}");
        }
        assert!(unpacked(b"junk", &want).is_err());
    }

    #[test]
    fn a_bomb_ends_at_what_the_manifest_says() {
        // 64 MiB of zeros, which say of themselves that they are 10 GiB.
        let mut bytes = header("a", tar::EntryType::Regular, 10 << 30, 0o644).as_bytes().to_vec();
        bytes.resize(64 << 20, 0);
        let bomb = zipped(&bytes);
        let words = unpacked(&bomb, &[file("a", b"xx")]).unwrap_err();
        assert_eq!(words, "the archive: a has another size than the manifest says");
        // One that hides behind a name of that length.
        let mut bytes =
            header("l", tar::EntryType::GNULongName, 10 << 30, 0o644).as_bytes().to_vec();
        bytes.resize(64 << 20, b'x');
        let bomb = zipped(&bytes);
        let words = unpacked(&bomb, &[file("a", b"xx")]).unwrap_err();
        assert_eq!(words, "the archive holds more than the manifest says");
    }
}
