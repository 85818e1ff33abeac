//! OpenPGP signatures are verified by `gpgv` or `sqv`, which know keys and formats that we do not; what
//! they say is judged in [`steadfast_trust::openpgp`].

use crate::refusal::Refusal;
use base64::Engine as _;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use steadfast_child::{Apart, Limit, User, leaving_nothing_behind, who_runs_as};
use steadfast_download::process::{Finished, program, run_apart};
use steadfast_download::{DownloadError, DownloadErrorKind};
use steadfast_trust::envelope::Signed;
use steadfast_trust::files::FileError;
use steadfast_trust::key_set::KeysError;
use steadfast_trust::openpgp::{openpgp_signature, signer_by_gpgv, signer_by_sqv};
use steadfast_trust::signature::Signer;
use tempfile::TempDir;

/// A verifier has nothing to wait for.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at who runs as the verifier's user.
const PACE: Duration = Duration::from_millis(20);
/// Of its own; a keyring is of some megabytes at most.
const MEMORY: u64 = 512 << 20;

/// As whom gpgv runs, where we are root: it reads what strangers wrote, and its word is believed. So nothing
/// else may run as this user, who could hold it, or speak in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunAs {
    pub uid: u32,
    pub gid: u32,
    /// A directory that root makes for it, in one that is root's, and that is gone afterwards.
    pub room: PathBuf,
}

/// Whether a commit or tag is signed by a key of an OpenPGP keyring.
pub(crate) fn verify_openpgp(
    what: &str,
    signed: Option<&Signed>,
    keyring: &Path,
    run_as: Option<&RunAs>,
) -> Result<Signer, Refusal> {
    let signed = openpgp_signature(what, signed)?;
    let keys = std::fs::read(keyring)
        .map_err(|err| Refusal::TrustedKeys(FileError { path: keyring.to_owned(), err }.into()))?;
    let keys = binary(keys).ok_or_else(|| {
        let why = "the armor of this key is damaged".to_owned();
        let file = keyring.display().to_string();
        Refusal::TrustedKeys(KeysError::Line { file, line: 1, why })
    })?;
    let room = Room::new(run_as.map(|it| &*it.room))
        .and_then(|room| hand_over(room, &keys, signed))
        .map_err(|err| Refusal::local("hand a signature to gpgv", err))?;
    let at = |name: &str| room.path().join(name);

    let mut gpgv = program("gpgv");
    gpgv.args(["--status-fd", "1", "--weak-digest", "SHA1", "--homedir"]).arg(room.path());
    gpgv.arg("--keyring").arg(at("keys")).arg("--").arg(at("signature")).arg(at("signed"));
    match start(gpgv, run_as) {
        Ok(it) => return Ok(signer_by_gpgv(what, &it.text(), it.success)?),
        Err(Refusal::Source(error)) if not_installed(&error) => {}
        Err(refusal) => return Err(refusal),
    }

    let mut sqv = program("sqv");
    sqv.arg("--keyring").arg(at("keys")).arg(at("signature")).arg(at("signed"));
    match start(sqv, run_as) {
        Ok(it) => Ok(signer_by_sqv(what, &it.text(), it.words(), it.success)?),
        Err(Refusal::Source(error)) if not_installed(&error) => Err(Refusal::NoVerifier),
        Err(refusal) => Err(refusal),
    }
}

/// What the first and the last line of armor begin with.
const DASHES: &str = "-----";

/// The keys as gpgv reads them, also where `gpg --armor --export` wrote them. None where armor is damaged.
fn binary(keys: Vec<u8>) -> Option<Vec<u8>> {
    if !keys.trim_ascii_start().starts_with(DASHES.as_bytes()) {
        return Some(keys);
    }
    let text = String::from_utf8(keys).ok()?;
    let mut all = vec![];
    let mut lines = text.lines().map(str::trim);
    while lines.by_ref().any(|it| it.starts_with(DASHES)) {
        // Headers, an empty line, the keys, and a checksum behind `=`.
        lines.by_ref().find(|it| it.is_empty())?;
        let mut body = String::new();
        loop {
            match lines.next()? {
                line if line.starts_with(DASHES) => break,
                line if line.starts_with('=') => {}
                line => body.push_str(line),
            }
        }
        all.extend(base64::engine::general_purpose::STANDARD.decode(body).ok()?);
    }
    Some(all)
}

/// The directory in which a verifier finds what it reads.
enum Room {
    Ours(TempDir),
    /// Where another user may look, and no other may write.
    Named(PathBuf),
}

impl Room {
    fn new(named: Option<&Path>) -> std::io::Result<Room> {
        let Some(path) = named else {
            return tempfile::Builder::new().prefix("steadfast-").tempdir().map(Room::Ours);
        };
        match std::fs::remove_dir_all(path) {
            Err(err) if err.kind() != std::io::ErrorKind::NotFound => return Err(err),
            Ok(()) | Err(_) => {}
        }
        std::fs::DirBuilder::new().mode(0o700).create(path)?;
        let room = Room::Named(path.to_owned());
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
        Ok(room)
    }

    fn path(&self) -> &Path {
        match self {
            Room::Ours(folder) => folder.path(),
            Room::Named(path) => path,
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        match self {
            Room::Ours(_) => {}
            Room::Named(path) => {
                // What stays is cleared by the next one.
                let _stays_until_then = std::fs::remove_dir_all(path);
            }
        }
    }
}

/// The three files that a verifier reads. All of them are public: the keys, the commit and its signature.
fn hand_over(room: Room, keys: &[u8], signed: &Signed) -> std::io::Result<Room> {
    let files = [("keys", keys), ("signature", &signed.armor[..]), ("signed", &signed.payload[..])];
    for (name, content) in files {
        let mut file = std::fs::File::create(room.path().join(name))?;
        file.write_all(content)?;
        file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    Ok(room)
}

fn start(mut command: Command, run_as: Option<&RunAs>) -> Result<Finished, Refusal> {
    command.env("HOME", "/nonexistent");
    let apart = Apart::new()
        .limited(Limit::FileSize(0))
        .limited(Limit::Memory(MEMORY))
        .limited(Limit::CpuSeconds(PATIENCE.as_secs()))
        .limited(Limit::OpenFiles(64))
        .expendable(1000);
    let Some(RunAs { uid, gid, room: _ }) = run_as else {
        return Ok(run_apart(command, PATIENCE, apart)?);
    };
    alone(*uid)?;
    let apart = apart.as_user(User { uid: *uid, gid: *gid, groups: vec![] });
    let finished = leaving_nothing_behind(|| run_apart(command, PATIENCE, apart))
        .map_err(|err| Refusal::local("end what gpgv leaves behind", err))?;
    Ok(finished?)
}

/// Waits until nobody runs as the verifier's user; another verification is soon over.
fn alone(uid: u32) -> Result<(), Refusal> {
    let deadline = Instant::now() + PATIENCE;
    while let Some(process) = who_runs_as(uid) {
        if Instant::now() > deadline {
            let words = format!(
                "process {process} runs as the user who verifies signatures, and nothing else may"
            );
            return Err(Refusal::local("verify a signature", std::io::Error::other(words)));
        }
        std::thread::sleep(PACE);
    }
    Ok(())
}

fn not_installed(error: &DownloadError) -> bool {
    error.kind == DownloadErrorKind::NotInstalled
}
