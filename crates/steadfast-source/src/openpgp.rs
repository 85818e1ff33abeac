//! OpenPGP signatures are verified by `gpgv` or `sqv`, which know keys and formats that we do not; what
//! they say is judged in [`steadfast_trust::openpgp`].

use crate::refusal::Refusal;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use steadfast_download::process::{Finished, program, run};
use steadfast_download::{DownloadError, DownloadErrorKind};
use steadfast_trust::envelope::Signed;
use steadfast_trust::files::FileError;
use steadfast_trust::openpgp::{openpgp_signature, signer_by_gpgv, signer_by_sqv};
use steadfast_trust::signature::Signer;
use tempfile::TempDir;

/// As whom gpgv runs, where we are root: it reads what strangers wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunAs {
    pub uid: u32,
    pub gid: u32,
}

/// Whether a commit or tag is signed by a key of an OpenPGP keyring.
pub(crate) fn verify_openpgp(
    what: &str,
    signed: Option<&Signed>,
    keyring: &Path,
    run_as: Option<RunAs>,
) -> Result<Signer, Refusal> {
    let signed = openpgp_signature(what, signed)?;
    let keys = std::fs::read(keyring)
        .map_err(|err| Refusal::TrustedKeys(FileError { path: keyring.to_owned(), err }.into()))?;
    let folder =
        hand_over(&keys, signed).map_err(|err| Refusal::local("hand a signature to gpgv", err))?;
    let at = |name: &str| folder.path().join(name);

    let mut gpgv = program("gpgv");
    gpgv.args(["--status-fd", "1", "--weak-digest", "SHA1", "--homedir"]).arg(folder.path());
    gpgv.arg("--keyring").arg(at("keys")).arg("--").arg(at("signature")).arg(at("signed"));
    match start(gpgv, run_as) {
        Ok(it) => return Ok(signer_by_gpgv(what, &it.text(), it.success)?),
        Err(error) if not_installed(&error) => {}
        Err(error) => return Err(error.into()),
    }

    let mut sqv = program("sqv");
    sqv.arg("--keyring").arg(at("keys")).arg(at("signature")).arg(at("signed"));
    match start(sqv, run_as) {
        Ok(it) => Ok(signer_by_sqv(what, &it.text(), it.words(), it.success)?),
        Err(error) if not_installed(&error) => Err(Refusal::NoVerifier),
        Err(error) => Err(error.into()),
    }
}

/// The three files that a verifier reads, in a directory that is gone with what is returned. All of them are
/// public: the keys, the commit and its signature.
fn hand_over(keys: &[u8], signed: &Signed) -> std::io::Result<TempDir> {
    let folder = tempfile::Builder::new()
        .prefix("steadfast-")
        .permissions(std::fs::Permissions::from_mode(0o755))
        .tempdir()?;
    let files = [("keys", keys), ("signature", &signed.armor[..]), ("signed", &signed.payload[..])];
    for (name, content) in files {
        let mut file = std::fs::File::create(folder.path().join(name))?;
        file.write_all(content)?;
        file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    Ok(folder)
}

fn start(mut command: Command, run_as: Option<RunAs>) -> Result<Finished, DownloadError> {
    if let Some(RunAs { uid, gid }) = run_as {
        // With a uid, std drops all supplementary groups too.
        command.uid(uid).gid(gid);
    }
    command.env("HOME", "/nonexistent");
    run(command, Duration::from_secs(30), 0)
}

fn not_installed(error: &DownloadError) -> bool {
    error.kind == DownloadErrorKind::NotInstalled
}
