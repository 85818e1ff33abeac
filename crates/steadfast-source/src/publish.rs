//! Writing a signed snapshot into a directory that a web server serves. The manifest is replaced last and at
//! once, and the archive of the manifest before it stays, so a node that polls meanwhile finds one whole
//! snapshot or the other.

use crate::attribution::Attribution;
use crate::content::{Place, place};
use crate::manifest::{Archive, File, Lines, Manifest, NAME, Rotation, file_of};
use jiff::Timestamp;
use rustix::fs::{FlockOperation, flock};
use sha2::Digest as _;
use ssh_key::PrivateKey;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use steadfast_model::SourceSet;
use steadfast_trust::envelope::split_signed;
use steadfast_trust::files::FileError;
use steadfast_trust::key_set::{KeySet, KeysError};
use steadfast_trust::signature::{KEYS, SNAPSHOT, SignatureError};
use steadfast_trust::signing::sign;
pub use steadfast_trust::signing::{SigningError, create_key, read_key};

/// How long a snapshot is good for where nobody says otherwise. It has to be renewed before: by publishing
/// the same content again.
pub const EXPIRES: jiff::SignedDuration = jiff::SignedDuration::from_hours(30 * 24);

/// What is published.
#[derive(Clone, Debug)]
pub struct Publication<'a> {
    pub model: &'a str,
    pub channel: &'a str,
    pub sources: &'a SourceSet,
    /// The git commit that it was made from.
    pub commit: Option<String>,
    /// Who wrote which line of it, for nodes to tell; none where they are not to know.
    pub attribution: Option<&'a Attribution>,
    pub now: Timestamp,
    pub expires: jiff::SignedDuration,
}

/// What was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    pub sequence: u64,
    pub expires: Timestamp,
    /// The same content as before, signed for longer, under the same number.
    pub renewed: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error("write {path}")]
    Write {
        path: PathBuf,
        #[source]
        err: std::io::Error,
    },
    #[error("another process is publishing into {folder}")]
    Locked { folder: PathBuf },
    #[error("the manifest in {folder} is not readable, so the next number is not known: {why}")]
    Previous { folder: PathBuf, why: String },
    #[error("{folder} holds snapshots of {was}, and not of {now}")]
    OtherModel { folder: PathBuf, was: String, now: String },
    #[error("there is no snapshot in {folder} to sign")]
    Nothing { folder: PathBuf },
    #[error("the model has no files")]
    Empty,
    #[error("{path} is the private key that signs: it must not be part of the model")]
    KeyInside { path: String },
    #[error("{path} cannot be part of a snapshot")]
    Path { path: String },
    #[error(transparent)]
    Signing(#[from] SigningError),
    #[error("the new keys")]
    Keys(#[from] KeysError),
    #[error("the keys to be replaced did not sign the new set")]
    OldKeys(#[source] SignatureError),
    #[error(
        "another rotation is waiting in {path} for signatures: remove it, or repeat the same rotation"
    )]
    OtherRotation { path: PathBuf },
    #[error(transparent)]
    Read(#[from] FileError),
}

/// Writes a snapshot. The same content as before is renewed under its number, with a later expiry; other
/// content gets the next one.
pub fn publish(
    folder: &Path,
    publication: &Publication<'_>,
    signers: &[PrivateKey],
) -> Result<Published, PublishError> {
    let Publication { model, channel, sources, commit, attribution, now, expires } = publication;
    let _lock = lock(folder)?;
    let previous = previous_of(folder, model, channel)?;
    let files = files_of(sources, signers)?;
    let bytes =
        pack(sources).map_err(|err| PublishError::Write { path: folder.to_owned(), err })?;
    let digest: [u8; 32] = sha2::Sha256::digest(&bytes).into();
    let archive = Archive { digest, size: bytes.len() as u64 };
    let text = attribution.and_then(Attribution::write);
    let lines = text.as_ref().map(|it| Lines {
        digest: sha2::Sha256::digest(it.as_bytes()).into(),
        size: it.len() as u64,
    });
    let mut manifest = Manifest {
        model: (*model).to_owned(),
        channel: (*channel).to_owned(),
        sequence: 1,
        keys: newest_keys(folder),
        created: *now,
        expires: now.checked_add(*expires).unwrap_or(Timestamp::MAX),
        commit: commit.clone(),
        archive,
        lines,
        files,
    };
    let mut renewed = false;
    if let Some((previous, _)) = &previous {
        renewed = previous.content() == manifest.content();
        manifest.sequence = previous.sequence + u64::from(!renewed);
    }
    let mut signed = manifest.write();
    for key in signers {
        let armor = sign(key, SNAPSHOT, manifest.write().as_bytes())?;
        signed.push_str(&armor);
    }

    // What the manifest names is there before it is, and what it no longer names goes after it.
    put(folder, &manifest.archive.name(), &bytes)?;
    if let (Some(lines), Some(text)) = (&manifest.lines, &text) {
        let bytes = zipped(text.as_bytes())
            .map_err(|err| PublishError::Write { path: folder.to_owned(), err })?;
        put(folder, &lines.name(), &bytes)?;
    }
    replace(&folder.join(NAME), signed.as_bytes())?;
    clear_unnamed(folder, &manifest, previous.as_ref().map(|it| &it.0));
    let Manifest { sequence, expires, .. } = manifest;
    tracing::info!(sequence, %expires, renewed, signatures = signers.len(), "snapshot published");
    Ok(Published { sequence, expires, renewed })
}

/// The snapshot that is there, which must be of the same model and channel.
fn previous_of(
    folder: &Path,
    model: &str,
    channel: &str,
) -> Result<Option<(Manifest, Vec<u8>)>, PublishError> {
    let previous = previous(folder)?;
    match &previous {
        Some((it, _)) if it.model != model || it.channel != channel => {
            Err(PublishError::OtherModel {
                folder: folder.to_owned(),
                was: format!("{} for {}", it.model, it.channel),
                now: format!("{model} for {channel}"),
            })
        }
        Some(_) | None => Ok(previous),
    }
}

/// The files that a snapshot of these sources holds.
fn files_of(sources: &SourceSet, signers: &[PrivateKey]) -> Result<Vec<File>, PublishError> {
    let mut files = vec![];
    for (_, source) in sources.iter() {
        match place(&source.path) {
            Place::Model => files.push(File {
                path: source.path.to_string(),
                digest: source.digest,
                size: source.bytes.len() as u64,
                executable: source.executable,
            }),
            Place::Elsewhere => {}
            Place::Forbidden => {
                return Err(PublishError::Path { path: source.path.to_string() });
            }
        }
    }
    if files.is_empty() {
        return Err(PublishError::Empty);
    }
    match key_inside(sources, signers) {
        Some(path) => Err(PublishError::KeyInside { path }),
        None => Ok(files),
    }
}

/// Takes away archives that neither this manifest nor the one before it names: a node may be reading either.
fn clear_unnamed(folder: &Path, manifest: &Manifest, previous: Option<&Manifest>) {
    let keep: Vec<&Manifest> = [Some(manifest), previous].into_iter().flatten().collect();
    let lines = keep.iter().filter_map(|it| Some(it.lines.as_ref()?.name()));
    clear(folder, "archives", ".tar.gz", keep.iter().map(|it| it.archive.name()));
    clear(folder, "lines", ".json.gz", lines);
}

fn put(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), PublishError> {
    let path = folder.join(name);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)
            .map_err(|err| PublishError::Write { path: parent.to_owned(), err })?;
    }
    replace(&path, bytes)
}

/// Takes away what no manifest names any more that a node may be reading.
fn clear(folder: &Path, below: &str, ending: &str, keep: impl Iterator<Item = String>) {
    let keep: Vec<String> = keep.collect();
    for entry in std::fs::read_dir(folder.join(below)).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(ending) && !keep.contains(&format!("{below}/{name}")) {
            // It is only space; the next publication tries again.
            let _left = std::fs::remove_file(entry.path());
        }
    }
}

fn zipped(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut zip = flate2::write::GzEncoder::new(vec![], flate2::Compression::best());
    zip.write_all(bytes)?;
    zip.finish()
}

/// Adds one more signature under the snapshot that is there: for thresholds above one, where the keys are
/// in different hands.
pub fn add_signature(folder: &Path, key: &PrivateKey) -> Result<u64, PublishError> {
    let _lock = lock(folder)?;
    let nothing = || PublishError::Nothing { folder: folder.to_owned() };
    let (manifest, raw) = previous(folder)?.ok_or_else(nothing)?;
    let (text, _) = split_signed(&raw).ok_or_else(nothing)?;
    let mut signed = String::from_utf8_lossy(&raw).into_owned();
    let armor = sign(key, SNAPSHOT, text.as_bytes())?;
    if signed.contains(&armor) {
        return Ok(manifest.sequence);
    }
    signed.push_str(&armor);
    replace(&folder.join(NAME), signed.as_bytes())?;
    Ok(manifest.sequence)
}

/// What became of a rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    pub number: u32,
    /// How many of the old keys have still to sign. Until then the new keys are in a file that no node
    /// reads.
    pub missing: usize,
}

/// Replaces the keys: the next number, signed by keys of the set before it. What is published from now on
/// must be signed by the new ones. Where the old keys are in different hands, each repeats the rotation.
pub fn rotate(
    folder: &Path,
    model: &str,
    old: &KeySet,
    mut new: KeySet,
    signers: &[PrivateKey],
) -> Result<Rotated, PublishError> {
    let _lock = lock(folder)?;
    let number = newest_keys(folder) + 1;
    new.keys.sort_by_key(steadfast_trust::signature::fingerprint);
    let text = Rotation { model: model.to_owned(), number, set: new }.write()?;
    let path = folder.join(file_of(number));
    let pending = path.with_extension("pending");
    let mut armors = match std::fs::read(&pending) {
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => vec![],
        Err(err) => return Err(FileError { path: pending, err }.into()),
        Ok(raw) => match split_signed(&raw) {
            Some((waiting, armors)) if waiting == text => armors,
            Some(_) | None => return Err(PublishError::OtherRotation { path: pending }),
        },
    };
    for key in signers {
        let armor = sign(key, KEYS, text.as_bytes())?;
        if !armors.contains(&armor) {
            armors.push(armor);
        }
    }
    let none = std::collections::BTreeSet::new();
    let what = format!("key set {number}");
    let missing = match old.verify(&what, text.as_bytes(), &armors, KEYS, &none) {
        Ok(_) => 0,
        Err(SignatureError::TooFewSigners { have, threshold, .. }) if have > 0 => threshold - have,
        Err(refusal) => return Err(PublishError::OldKeys(refusal)),
    };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)
            .map_err(|err| PublishError::Write { path: parent.to_owned(), err })?;
    }
    let signed = format!("{text}{}", armors.concat());
    if missing > 0 {
        replace(&pending, signed.as_bytes())?;
    } else {
        replace(&path, signed.as_bytes())?;
        // It is the same again, and the next rotation has another name.
        let _left = std::fs::remove_file(&pending);
    }
    Ok(Rotated { number, missing })
}

/// The manifest that is in the directory now.
pub fn current(folder: &Path) -> Result<Option<Manifest>, PublishError> {
    Ok(previous(folder)?.map(|it| it.0))
}

/// The newest set of keys that was rotated to, with its number.
pub fn newest_set(folder: &Path) -> Result<Option<(u32, KeySet)>, PublishError> {
    let number = newest_keys(folder);
    if number == 0 {
        return Ok(None);
    }
    let wrong = |why: String| PublishError::Previous { folder: folder.to_owned(), why };
    let path = folder.join(file_of(number));
    let raw = std::fs::read(&path).map_err(|err| FileError { path, err })?;
    let (text, _) =
        split_signed(&raw).ok_or_else(|| wrong(format!("key set {number} is malformed")))?;
    Ok(Some((number, Rotation::read(text).map_err(wrong)?.set)))
}

/// What the newest set of keys in the directory holds against the signatures of the snapshot that is there.
/// Where keys were never rotated, the directory does not know whom nodes trust.
pub fn lacks(folder: &Path) -> Result<Option<SignatureError>, PublishError> {
    let (Some((_, set)), Some((manifest, raw))) = (newest_set(folder)?, previous(folder)?) else {
        return Ok(None);
    };
    let Some((text, armors)) = split_signed(&raw) else { return Ok(None) };
    let what = format!("snapshot {}", manifest.sequence);
    let none = std::collections::BTreeSet::new();
    Ok(set.verify(&what, text.as_bytes(), &armors, SNAPSHOT, &none).err())
}

/// A file of the model that is one of the keys which sign it: whoever gets the model would have it.
fn key_inside(sources: &SourceSet, signers: &[PrivateKey]) -> Option<String> {
    let is_signer = |bytes: &[u8]| {
        bytes.starts_with(b"-----BEGIN OPENSSH PRIVATE KEY-----")
            && PrivateKey::from_openssh(bytes).is_ok_and(|it| {
                signers
                    .iter()
                    .any(|signer| signer.public_key().key_data() == it.public_key().key_data())
            })
    };
    sources.iter().find(|(_, it)| is_signer(&it.bytes)).map(|(_, it)| it.path.to_string())
}

fn newest_keys(folder: &Path) -> u32 {
    (1..).take_while(|it| folder.join(file_of(*it)).is_file()).last().unwrap_or(0)
}

fn previous(folder: &Path) -> Result<Option<(Manifest, Vec<u8>)>, PublishError> {
    let wrong = |why: String| PublishError::Previous { folder: folder.to_owned(), why };
    match std::fs::read(folder.join(NAME)) {
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(err) => Err(wrong(err.to_string())),
        Ok(raw) => {
            let (text, _) = split_signed(&raw).ok_or_else(|| wrong("it is malformed".into()))?;
            let manifest = Manifest::read(text).map_err(wrong)?;
            Ok(Some((manifest, raw)))
        }
    }
}

/// The same files give the same bytes, whenever and by whom they are packed.
fn pack(sources: &SourceSet) -> std::io::Result<Vec<u8>> {
    let zip = flate2::write::GzEncoder::new(vec![], flate2::Compression::default());
    let mut tar = tar::Builder::new(zip);
    for (_, source) in sources.iter() {
        if place(&source.path) != Place::Model {
            continue;
        }
        let mut header = tar::Header::new_gnu();
        header.set_size(source.bytes.len() as u64);
        header.set_mode(if source.executable { 0o755 } else { 0o644 });
        tar.append_data(&mut header, &*source.path, &*source.bytes)?;
    }
    tar.into_inner()?.finish()
}

fn lock(folder: &Path) -> Result<std::fs::File, PublishError> {
    let failed = |err| PublishError::Write { path: folder.to_owned(), err };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let file = std::fs::File::open(folder).map_err(failed)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| PublishError::Locked { folder: folder.to_owned() })?;
    Ok(file)
}

fn replace(path: &Path, bytes: &[u8]) -> Result<(), PublishError> {
    let failed = |err| PublishError::Write { path: path.to_owned(), err };
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o644)
            .open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&new, path)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::File::open(folder)?.sync_all()
    };
    write().map_err(failed)
}
