//! An allowed-signers file, as `ssh-keygen` describes it: who may sign, for what and when.

use crate::envelope::{SSH_BEGIN, Signed};
use crate::key_set::KeysError;
use crate::signature::{SignatureError, Signer, fingerprint, good, ssh_signature};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use ssh_key::{Algorithm, HashAlg, PublicKey};
use std::collections::BTreeSet;

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
        if entries.is_empty() {
            return Err(KeysError::Empty { file: file.to_owned() });
        }
        Ok(AllowedSigners { entries })
    }

    /// The fingerprints of all keys in the file, whenever they are valid.
    pub fn keys(&self) -> BTreeSet<String> {
        self.entries.iter().map(|it| fingerprint(&it.key)).collect()
    }

    /// Whether a commit or tag is signed by one of them who may sign now.
    pub fn verify(
        &self,
        what: &str,
        signed: Option<&Signed>,
        namespace: &str,
        now: Timestamp,
    ) -> Result<Signer, SignatureError> {
        let what = what.to_owned();
        let Some(signed) = signed else { return Err(SignatureError::Unsigned { what }) };
        let armor = String::from_utf8_lossy(&signed.armor);
        if !armor.starts_with(SSH_BEGIN) {
            let why = "it is not an SSH signature, and SSH keys are trusted".to_owned();
            return Err(SignatureError::BadSignature { what, why });
        }
        if armor.matches(SSH_BEGIN).count() > 1 {
            return Err(SignatureError::TwoSignatures { what });
        }
        let signature = ssh_signature(&what, &armor)?;
        let mut refused = None;
        for entry in &self.entries {
            if entry.key.key_data() != signature.public_key() {
                continue;
            }
            let key = fingerprint(&entry.key);
            if let Some(when) = entry.not_now(namespace, now) {
                refused = Some(SignatureError::NotValidNow { what: what.clone(), key, when });
                continue;
            }
            good(&what, &entry.key, namespace, &signed.payload, &signature)?;
            tracing::debug!(what, key, signer = entry.principals, "signature accepted");
            return Ok(Signer { key, name: entry.principals.clone() });
        }
        let key = signature.public_key().fingerprint(HashAlg::Sha256).to_string();
        tracing::debug!(what, key, "signature refused: nobody may sign with this key now");
        Err(refused.unwrap_or(SignatureError::UnknownSigner { what, key }))
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
        return Err("it names no signer".into());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::{GIT, SNAPSHOT};
    use crate::signing::sign;
    use ssh_key::PrivateKey;
    use ssh_key::rand_core::OsRng;

    fn key() -> PrivateKey {
        PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap()
    }

    fn line(key: &PrivateKey) -> String {
        key.public_key().to_openssh().unwrap()
    }

    fn signed(key: &PrivateKey, namespace: &str, payload: &[u8]) -> Signed {
        let armor = sign(key, namespace, payload).unwrap().into_bytes();
        Signed { payload: payload.to_vec(), armor }
    }

    fn verify(file: &str, signed: &Signed, now: &str) -> Result<String, String> {
        let signers =
            AllowedSigners::parse("f", file, &TimeZone::UTC).map_err(|e| e.to_string())?;
        let now = now.parse().unwrap();
        signers.verify("it", Some(signed), GIT, now).map(|it| it.name).map_err(|it| it.to_string())
    }

    #[test]
    fn a_signature_passes_with_the_right_key_namespace_time_and_text_only() {
        let (ours, other) = (key(), key());
        let payload = b"text".to_vec();
        let good = signed(&ours, GIT, &payload);
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
            assert_eq!(verify(&file, &good, now), expected, "{file}");
        }
        let file = format!("a@x {ours_line}");
        let tampered = Signed { payload: b"texT".to_vec(), armor: good.armor.clone() };
        let error = verify(&file, &tampered, now).unwrap_err();
        assert_eq!(error, "the signature of it is not good: what is signed is something else");
        let elsewhere = signed(&ours, SNAPSHOT, &payload);
        let error = verify(&file, &elsewhere, now).unwrap_err();
        assert!(error.ends_with("it is for `steadfast-snapshot` and not for `git`"), "{error}");
        let pgp = Signed { armor: b"-----BEGIN PGP SIGNATURE-----".to_vec(), payload };
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
}
