//! Who signed: SSH signatures (SSHSIG) verified in this process, OpenPGP signatures by `gpgv` or `sqv`.
//! What is trusted decides which form is looked for, never the signed thing: an OpenPGP signature does not
//! pass where SSH keys are trusted, nor the other way round. Every purpose has a namespace of its own, so
//! nothing signed for one can be replayed as another.

use crate::object::Signed;
use crate::process::{program, run};
use crate::refusal::{BringError, FileError, Refusal, Trouble, one_line};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use ssh_key::{Algorithm, HashAlg, PublicKey, SshSig};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// What git signs under.
pub const GIT: &str = "git";
/// What snapshots are signed under.
pub const SNAPSHOT: &str = "steadfast-snapshot";
/// What a new set of keys is signed under.
pub const KEYS: &str = "steadfast-keys";

const SSH_BEGIN: &str = "-----BEGIN SSH SIGNATURE-----";
const SSH_END: &str = "-----END SSH SIGNATURE-----";
const PGP_BEGIN: &str = "-----BEGIN PGP SIGNATURE-----";
/// More than anybody's signatures under one thing.
const MAX_SIGNATURES: usize = 64;

/// Who signed something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// `SHA256:…` for an SSH key, the fingerprint in hexadecimal for an OpenPGP key.
    pub key: String,
    /// Who that is, by the file that names the key; empty where it says nothing.
    pub name: String,
}

/// Why the trusted keys could not be read.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    #[error(transparent)]
    Read(#[from] FileError),
    #[error("line {line} of {file}: {why}")]
    Line { file: String, line: usize, why: String },
    #[error("a threshold of {threshold} with {keys} different keys")]
    Threshold { threshold: usize, keys: usize },
}

/// An allowed-signers file, as `ssh-keygen` describes it.
#[derive(Clone, Debug)]
pub struct AllowedSigners {
    entries: Vec<Allowed>,
}

#[derive(Clone, Debug)]
struct Allowed {
    principals: String,
    key: PublicKey,
    namespaces: Option<String>,
    after: Option<Timestamp>,
    before: Option<Timestamp>,
}

impl AllowedSigners {
    /// Times without a `Z` are local: `zone`. One line that is not understood makes the whole file
    /// unusable: half a trust is nobody's intention.
    pub fn parse(file: &str, text: &str, zone: &TimeZone) -> Result<AllowedSigners, KeysError> {
        let mut entries = vec![];
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            entries.push(allowed(line, zone).map_err(|why| KeysError::Line {
                file: file.to_owned(),
                line: at + 1,
                why,
            })?);
        }
        Ok(AllowedSigners { entries })
    }

    /// The fingerprints of all keys in the file, whenever they are valid.
    pub fn keys(&self) -> BTreeSet<String> {
        self.entries.iter().map(|it| fingerprint(&it.key)).collect()
    }

    /// Whether a commit or tag is signed by one of them who may sign now.
    pub(crate) fn verify(
        &self,
        what: &str,
        signed: Option<&Signed>,
        namespace: &str,
        now: Timestamp,
    ) -> Result<Signer, Refusal> {
        let what = what.to_owned();
        let Some(signed) = signed else { return Err(Refusal::Unsigned { what }) };
        let armor = String::from_utf8_lossy(&signed.armor);
        if !armor.starts_with(SSH_BEGIN) {
            let why = "it is not an SSH signature, and SSH keys are trusted".to_owned();
            return Err(Refusal::BadSignature { what, why });
        }
        if armor.matches(SSH_BEGIN).count() > 1 {
            return Err(Refusal::TwoSignatures { what });
        }
        let signature = ssh_signature(&what, &armor)?;
        let mut refused = None;
        for entry in &self.entries {
            if entry.key.key_data() != signature.public_key() {
                continue;
            }
            let key = fingerprint(&entry.key);
            if let Some(when) = entry.not_now(namespace, now) {
                refused = Some(Refusal::NotValidNow { what: what.clone(), key, when });
                continue;
            }
            good(&what, &entry.key, namespace, &signed.payload, &signature)?;
            return Ok(Signer { key, name: entry.principals.clone() });
        }
        Err(refused.unwrap_or_else(|| {
            let key = signature.public_key().fingerprint(HashAlg::Sha256).to_string();
            Refusal::UnknownSigner { what, key }
        }))
    }
}

impl Allowed {
    fn not_now(&self, namespace: &str, now: Timestamp) -> Option<String> {
        if let Some(namespaces) = &self.namespaces
            && !in_list(namespaces, namespace)
        {
            return Some(format!("trusted for {namespaces} and not for {namespace}"));
        }
        if let Some(after) = self.after
            && now < after
        {
            return Some(format!("not valid before {after}"));
        }
        if let Some(before) = self.before
            && now >= before
        {
            return Some(format!("not valid since {before}"));
        }
        None
    }
}

/// `principals [options] type key [comment]`
fn allowed(line: &str, zone: &TimeZone) -> Result<Allowed, String> {
    let (principals, rest) = word(line)?;
    let (first, after) = word(rest)?;
    let (options, key) =
        if first.parse::<Algorithm>().is_ok() { (String::new(), rest) } else { (first, after) };
    let principals = principals.replace('"', "");
    if principals.is_empty() {
        return Err("it names nobody".into());
    }
    let key = PublicKey::from_openssh(key.trim()).map_err(|it| format!("the key: {it}"))?;
    let mut entry = Allowed { principals, key, namespaces: None, after: None, before: None };
    for option in split_options(&options) {
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value.trim_matches('"'))),
            None => (option, None),
        };
        match (name.to_ascii_lowercase().as_str(), value) {
            ("namespaces", Some(value)) => entry.namespaces = Some(value.to_owned()),
            ("valid-after", Some(value)) => entry.after = Some(moment(value, zone)?),
            ("valid-before", Some(value)) => entry.before = Some(moment(value, zone)?),
            ("cert-authority", _) => {
                return Err("certificate authorities are not supported: name the keys".into());
            }
            _other => return Err(format!("the option `{option}` is not known")),
        }
    }
    Ok(entry)
}

/// The first word, whose quoted parts may hold spaces, and what follows it.
fn word(text: &str) -> Result<(String, &str), String> {
    let text = text.trim_start();
    let mut quoted = false;
    for (at, character) in text.char_indices() {
        match character {
            '"' => quoted = !quoted,
            ' ' | '\t' if !quoted => return Ok((text[..at].to_owned(), &text[at..])),
            _other => {}
        }
    }
    if quoted { Err("a quote that does not end".into()) } else { Ok((text.to_owned(), "")) }
}

fn split_options(text: &str) -> Vec<&str> {
    let mut quoted = false;
    text.split(move |it: char| {
        quoted ^= it == '"';
        it == ',' && !quoted
    })
    .filter(|it| !it.is_empty())
    .collect()
}

/// `YYYYMMDD`, `YYYYMMDDHHMM` or `YYYYMMDDHHMMSS`, with `Z` for UTC.
fn moment(text: &str, zone: &TimeZone) -> Result<Timestamp, String> {
    let bad = || format!("`{text}` is no time: write YYYYMMDD or YYYYMMDDHHMM[SS], with Z for UTC");
    let (digits, zone) = match text.strip_suffix(['Z', 'z']) {
        Some(digits) => (digits, &TimeZone::UTC),
        None => (text, zone),
    };
    if !digits.bytes().all(|it| it.is_ascii_digit()) || !matches!(digits.len(), 8 | 12 | 14) {
        return Err(bad());
    }
    let part = |from: usize, to: usize| -> i16 {
        digits.get(from..to).and_then(|it| it.parse().ok()).unwrap_or(0)
    };
    let small = |from: usize, to: usize| i8::try_from(part(from, to)).unwrap_or(-1);
    let (month, day) = (small(4, 6), small(6, 8));
    let (hour, minute, second) = (small(8, 10), small(10, 12), small(12, 14));
    DateTime::new(part(0, 4), month, day, hour, minute, second, 0)
        .and_then(|it| zone.to_timestamp(it))
        .map_err(|_| bad())
}

/// A pattern list: `git,file*,!other`.
fn in_list(list: &str, name: &str) -> bool {
    let mut found = false;
    for pattern in list.split(',').map(str::trim) {
        match pattern.strip_prefix('!') {
            Some(pattern) if glob(pattern.as_bytes(), name.as_bytes()) => return false,
            Some(_) => {}
            None => found |= glob(pattern.as_bytes(), name.as_bytes()),
        }
    }
    found
}

fn glob(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=name.len()).any(|at| glob(rest, &name[at..])),
        ([b'?', rest @ ..], [_, after @ ..]) => glob(rest, after),
        ([one, rest @ ..], [other, after @ ..]) if one == other => glob(rest, after),
        _differs => false,
    }
}

/// A set of ed25519 keys of which some number must sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySet {
    pub keys: Vec<PublicKey>,
    pub threshold: usize,
}

impl KeySet {
    /// From lines of `ssh-ed25519 AAAA… name`, as a `.pub` file has them.
    pub fn parse(
        lines: impl IntoIterator<Item = (String, usize, String)>,
        threshold: usize,
    ) -> Result<KeySet, KeysError> {
        let mut keys: Vec<PublicKey> = vec![];
        for (file, line, text) in lines {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let wrong = |why: String| KeysError::Line { file: file.clone(), line, why };
            let key = PublicKey::from_openssh(text).map_err(|it| wrong(it.to_string()))?;
            if key.algorithm() != Algorithm::Ed25519 {
                let why = format!("snapshots are signed with ed25519, not {}", key.algorithm());
                return Err(wrong(why));
            }
            if !keys.iter().any(|it| it.key_data() == key.key_data()) {
                keys.push(key);
            }
        }
        if threshold == 0 || threshold > keys.len() {
            return Err(KeysError::Threshold { threshold, keys: keys.len() });
        }
        Ok(KeySet { keys, threshold })
    }

    pub fn fingerprints(&self) -> BTreeSet<String> {
        self.keys.iter().map(fingerprint).collect()
    }

    /// Whether these are the same keys with the same threshold, in whatever order.
    pub fn same(&self, other: &KeySet) -> bool {
        self.threshold == other.threshold && self.fingerprints() == other.fingerprints()
    }

    /// Whether enough of them signed. A key in `removed` does not count, and signatures of others do not
    /// matter: during a rotation a file may carry both.
    pub(crate) fn verify(
        &self,
        what: &str,
        payload: &[u8],
        armors: &[String],
        namespace: &str,
        removed: &BTreeSet<String>,
    ) -> Result<Vec<Signer>, Refusal> {
        if armors.is_empty() {
            return Err(Refusal::Unsigned { what: what.to_owned() });
        }
        let mut signers: Vec<Signer> = vec![];
        let mut reason = None;
        for armor in armors.iter().take(MAX_SIGNATURES) {
            let signature = ssh_signature(what, armor)?;
            let known = self.keys.iter().find(|it| it.key_data() == signature.public_key());
            let Some(key) = known else {
                let key = signature.public_key().fingerprint(HashAlg::Sha256).to_string();
                reason.get_or_insert(Refusal::UnknownSigner { what: what.to_owned(), key });
                continue;
            };
            let print = fingerprint(key);
            if removed.contains(&print) {
                reason = Some(Refusal::RemovedKey { what: what.to_owned(), key: print });
                continue;
            }
            good(what, key, namespace, payload, &signature)?;
            if !signers.iter().any(|it| it.key == print) {
                signers.push(Signer { key: print, name: key.comment().to_owned() });
            }
        }
        if signers.len() >= self.threshold {
            return Ok(signers);
        }
        if signers.is_empty()
            && let Some(reason) = reason
        {
            return Err(reason);
        }
        Err(Refusal::TooFewSigners {
            what: what.to_owned(),
            have: signers.len(),
            threshold: self.threshold,
        })
    }
}

/// What is signed and the signatures below it, as snapshots and key sets have them: text, then one armor
/// after another.
pub(crate) fn split_signed(raw: &[u8]) -> Option<(&str, Vec<String>)> {
    let text = std::str::from_utf8(raw).ok()?;
    let begin = match text.find(&format!("\n{SSH_BEGIN}")) {
        Some(at) => at + 1,
        None => return Some((text, vec![])),
    };
    let (payload, mut rest) = text.split_at(begin);
    let mut armors = vec![];
    while !rest.trim().is_empty() {
        if !rest.starts_with(SSH_BEGIN) || armors.len() == MAX_SIGNATURES {
            return None;
        }
        let end = rest.find(SSH_END)? + SSH_END.len();
        armors.push(format!("{}\n", &rest[..end]));
        rest = rest[end..].trim_start();
    }
    Some((payload, armors))
}

pub(crate) fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

fn ssh_signature(what: &str, armor: &str) -> Result<SshSig, Refusal> {
    SshSig::from_pem(armor.trim_end()).map_err(|it| Refusal::BadSignature {
        what: what.to_owned(),
        why: one_line(&it.to_string()),
    })
}

/// Key, namespace and signature.
fn good(
    what: &str,
    key: &PublicKey,
    namespace: &str,
    payload: &[u8],
    signature: &SshSig,
) -> Result<(), Refusal> {
    let bad = |why: String| Refusal::BadSignature { what: what.to_owned(), why };
    if signature.namespace() != namespace {
        let named = one_line(signature.namespace());
        return Err(bad(format!("it is for `{named}` and not for `{namespace}`")));
    }
    if matches!(key.algorithm(), Algorithm::Rsa { .. } | Algorithm::Dsa) {
        return Err(bad(format!("{} keys are not supported: use ed25519", key.algorithm())));
    }
    key.verify(namespace, payload, signature)
        .map_err(|_| bad("what is signed is something else".to_owned()))
}

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
    let what = what.to_owned();
    let Some(signed) = signed else { return Err(Refusal::Unsigned { what }) };
    if !signed.armor.starts_with(PGP_BEGIN.as_bytes()) {
        let why = "it is not an OpenPGP signature, and OpenPGP keys are trusted".to_owned();
        return Err(Refusal::BadSignature { what, why });
    }
    // All three are public: the commit, its signature and the keys.
    let local = |err| Refusal::local("hand a signature to gpgv", err);
    let folder = tempfile::Builder::new()
        .prefix("steadfast-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir()
        .map_err(local)?;
    let at = |name: &str| folder.path().join(name);
    let keys = std::fs::read(keyring)
        .map_err(|err| Refusal::TrustedKeys(FileError { path: keyring.to_owned(), err }.into()))?;
    for (name, content) in
        [("keys", &keys), ("signature", &signed.armor), ("signed", &signed.payload)]
    {
        let mut file = std::fs::File::create(at(name)).map_err(local)?;
        std::io::Write::write_all(&mut file, content).map_err(local)?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        file.set_permissions(mode).map_err(local)?;
    }
    let start = |mut command: std::process::Command| {
        if let Some(RunAs { uid, gid }) = run_as {
            // With a uid, std drops all supplementary groups too.
            std::os::unix::process::CommandExt::uid(&mut command, uid);
            std::os::unix::process::CommandExt::gid(&mut command, gid);
        }
        command.env("HOME", "/nonexistent");
        run(command, Duration::from_secs(30), 0)
    };
    let mut gpgv = program("gpgv");
    gpgv.args(["--status-fd", "1", "--weak-digest", "SHA1", "--homedir"]).arg(folder.path());
    gpgv.arg("--keyring").arg(at("keys")).arg("--").arg(at("signature")).arg(at("signed"));
    match start(gpgv) {
        Ok(finished) => {
            let key = gpgv_status(&finished.text(), finished.success)
                .map_err(|problem| problem.refusal(what))?;
            return Ok(Signer { key, name: String::new() });
        }
        Err(error) if not_installed(&error) => {}
        Err(error) => return Err(error.into()),
    }
    let mut sqv = program("sqv");
    sqv.arg("--keyring").arg(at("keys")).arg(at("signature")).arg(at("signed"));
    match start(sqv) {
        Ok(finished) => {
            let text = finished.text();
            let mut lines = text.lines();
            match (finished.success, lines.next(), lines.next()) {
                (true, Some(key), None) => {
                    Ok(Signer { key: printable_key(key), name: String::new() })
                }
                (true, Some(_), Some(_)) => Err(Refusal::TwoSignatures { what }),
                _other => Err(Refusal::BadSignature { what, why: finished.words() }),
            }
        }
        Err(error) if not_installed(&error) => Err(Refusal::NoVerifier),
        Err(error) => Err(error.into()),
    }
}

fn not_installed(error: &BringError) -> bool {
    error.trouble == Trouble::Local && error.words.contains("No such file or directory")
}

#[derive(Debug, PartialEq, Eq)]
enum PgpProblem {
    Two,
    Unknown(String),
    Bad(String),
}

impl PgpProblem {
    fn refusal(self, what: String) -> Refusal {
        match self {
            PgpProblem::Two => Refusal::TwoSignatures { what },
            PgpProblem::Unknown(key) => Refusal::UnknownSigner { what, key },
            PgpProblem::Bad(why) => Refusal::BadSignature { what, why },
        }
    }
}

/// The fingerprint of the one good signature; anything else that is said about it refuses it.
fn gpgv_status(status: &str, success: bool) -> Result<String, PgpProblem> {
    let (mut fresh, mut good, mut valid) = (0, 0, vec![]);
    for line in status.lines() {
        let mut words = line.strip_prefix("[GNUPG:] ").unwrap_or_default().split(' ');
        match words.next().unwrap_or_default() {
            "NEWSIG" => fresh += 1,
            "GOODSIG" => good += 1,
            // The last word is the fingerprint of the primary key, the first that of the key used.
            "VALIDSIG" => valid.push(words.next_back().unwrap_or_default().to_owned()),
            "NO_PUBKEY" => {
                return Err(PgpProblem::Unknown(printable_key(words.next().unwrap_or_default())));
            }
            "BADSIG" => return Err(PgpProblem::Bad("what is signed is something else".into())),
            "EXPSIG" => return Err(PgpProblem::Bad("it is expired".into())),
            "EXPKEYSIG" => return Err(PgpProblem::Bad("the key is expired".into())),
            "REVKEYSIG" => return Err(PgpProblem::Bad("the key is revoked".into())),
            _other => {}
        }
    }
    if fresh > 1 || valid.len() > 1 {
        return Err(PgpProblem::Two);
    }
    match valid.pop() {
        Some(key) if success && good == 1 => Ok(printable_key(&key)),
        Some(_) | None => Err(PgpProblem::Bad("gpgv does not accept it".into())),
    }
}

fn printable_key(key: &str) -> String {
    key.chars().filter(char::is_ascii_hexdigit).take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ssh_key::PrivateKey;
    use ssh_key::rand_core::OsRng;

    fn key() -> PrivateKey {
        PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap()
    }

    fn line(key: &PrivateKey) -> String {
        key.public_key().to_openssh().unwrap()
    }

    fn sign(key: &PrivateKey, namespace: &str, payload: &[u8]) -> String {
        let signature = key.sign(namespace, HashAlg::Sha512, payload).unwrap();
        signature.to_pem(ssh_key::LineEnding::LF).unwrap()
    }

    fn verify(file: &str, signed: &Signed, now: &str) -> Result<String, String> {
        let signers =
            AllowedSigners::parse("f", file, &TimeZone::UTC).map_err(|e| e.to_string())?;
        let now = now.parse().unwrap();
        signers.verify("it", Some(signed), GIT, now).map(|it| it.name).map_err(|it| it.line())
    }

    #[test]
    fn a_signature_passes_with_the_right_key_namespace_time_and_text_only() {
        let (ours, other) = (key(), key());
        let payload = b"text".to_vec();
        let signed =
            Signed { armor: sign(&ours, GIT, &payload).into_bytes(), payload: payload.clone() };
        let print = fingerprint(ours.public_key());
        let ours_line = line(&ours);
        let now = "2026-03-01T12:00:00Z";
        let cases = [
            (format!("a@x {ours_line}"), Ok("a@x".to_owned())),
            (format!("# c\n\n\"a b\",c namespaces=\"git,x\" {ours_line}"), Ok("a b,c".to_owned())),
            (format!("a@x namespaces=\"g*,!other\" {ours_line}"), Ok("a@x".to_owned())),
            (
                format!("a@x valid-after=\"20260301Z\",valid-before=202603011201Z {ours_line}"),
                Ok("a@x".to_owned()),
            ),
            (
                format!("a@x {}", line(&other)),
                Err(format!("it is signed by {print}, which is not trusted")),
            ),
            (
                format!("a@x namespaces=\"file\" {ours_line}"),
                Err(format!("it is signed by {print}, which is trusted for file and not for git")),
            ),
            (
                format!("a@x valid-before=\"20260301\" {ours_line}"),
                Err(format!(
                    "it is signed by {print}, which is not valid since 2026-03-01T00:00:00Z"
                )),
            ),
            (
                format!("a@x valid-after=\"20270101Z\" {ours_line}"),
                Err(format!(
                    "it is signed by {print}, which is not valid before 2027-01-01T00:00:00Z"
                )),
            ),
            (
                format!("a@x cert-authority {ours_line}"),
                Err("line 1 of f: certificate authorities are not supported: name the keys".into()),
            ),
            (
                format!("a@x verify-required {ours_line}"),
                Err("line 1 of f: the option `verify-required` is not known".into()),
            ),
        ];
        for (file, expected) in cases {
            assert_eq!(verify(&file, &signed, now), expected, "{file}");
        }
        let file = format!("a@x {ours_line}");
        let tampered = Signed { payload: b"texT".to_vec(), armor: signed.armor.clone() };
        let error = verify(&file, &tampered, now).unwrap_err();
        assert_eq!(error, "the signature of it is not good: what is signed is something else");
        let elsewhere = Signed {
            armor: sign(&ours, SNAPSHOT, &payload).into_bytes(),
            payload: payload.clone(),
        };
        let error = verify(&file, &elsewhere, now).unwrap_err();
        assert!(error.ends_with("it is for `steadfast-snapshot` and not for `git`"), "{error}");
        let pgp = Signed { armor: PGP_BEGIN.as_bytes().to_vec(), payload };
        let error = verify(&file, &pgp, now).unwrap_err();
        assert!(error.ends_with("it is not an SSH signature, and SSH keys are trusted"), "{error}");
    }

    #[test]
    fn the_times_of_an_allowed_signers_file_are_local_without_a_z() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        assert_eq!(moment("20260301", &zone).unwrap().to_string(), "2026-02-28T22:00:00Z");
        assert_eq!(moment("202603011230Z", &zone).unwrap().to_string(), "2026-03-01T12:30:00Z");
        assert_eq!(moment("20260301123059", &zone).unwrap().to_string(), "2026-03-01T10:30:59Z");
        for bad in ["2026", "20261301", "2026030a", "20260301250000", "", "Z"] {
            assert!(moment(bad, &zone).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_threshold_counts_different_keys_that_were_not_removed() {
        let (a, b, stranger) = (key(), key(), key());
        let lines = [&a, &b].map(|it| ("f".to_owned(), 1, line(it)));
        let set = KeySet::parse(lines, 2).unwrap();
        let text = b"text";
        let by = |keys: &[&PrivateKey], removed: &[&PrivateKey]| {
            let armors: Vec<_> = keys.iter().map(|it| sign(it, SNAPSHOT, text)).collect();
            let removed = removed.iter().map(|it| fingerprint(it.public_key())).collect();
            set.verify("it", text, &armors, SNAPSHOT, &removed)
                .map(|it| it.len())
                .map_err(|it| it.line())
        };
        assert_eq!(by(&[&a, &b, &stranger], &[]), Ok(2));
        let few = Err("it has 1 of the 2 signatures that it needs".to_owned());
        assert_eq!(by(&[&a, &a], &[]), few);
        assert_eq!(by(&[&a, &stranger], &[]), few);
        assert_eq!(by(&[&a, &b], &[&b]), few);
        assert!(by(&[&b], &[&b]).unwrap_err().ends_with("removed from the trusted keys before"));
        assert_eq!(by(&[], &[]), Err("it is not signed".to_owned()));
    }

    #[test]
    fn signatures_below_a_text_are_told_from_it() {
        let a = key();
        let armor = sign(&a, SNAPSHOT, b"{}\n");
        let file = format!("{{}}\n{armor}{armor}");
        let (payload, armors) = split_signed(file.as_bytes()).unwrap();
        assert_eq!((payload, armors.len()), ("{}\n", 2));
        assert_eq!(split_signed(b"{}\n").unwrap().1.len(), 0);
        assert_eq!(split_signed(format!("{{}}\n{armor}junk").as_bytes()), None);
    }

    #[test]
    fn what_gpgv_says_is_taken_at_its_strictest() {
        let valid =
            "[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG 1 x\n[GNUPG:] VALIDSIG AA 2026 1 0 4 0 22 8 00 BB";
        assert_eq!(gpgv_status(valid, true), Ok("BB".into()));
        let bad = PgpProblem::Bad("gpgv does not accept it".into());
        assert_eq!(gpgv_status(valid, false), Err(bad));
        assert_eq!(gpgv_status(&format!("{valid}\n{valid}"), true), Err(PgpProblem::Two));
        let revoked = format!("{valid}\n[GNUPG:] REVKEYSIG 1 x");
        assert_eq!(gpgv_status(&revoked, true), Err(PgpProblem::Bad("the key is revoked".into())));
        assert_eq!(
            gpgv_status("[GNUPG:] NEWSIG\n[GNUPG:] NO_PUBKEY 0A", false),
            Err(PgpProblem::Unknown("0A".into()))
        );
    }
}
