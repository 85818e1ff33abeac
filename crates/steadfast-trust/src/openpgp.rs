//! What `gpgv` and `sqv` say of a signature, taken at its strictest. Starting them is the work of whoever
//! has something to verify: this crate starts no program.

use crate::envelope::Signed;
use crate::signature::{SignatureError, Signer};

const PGP_BEGIN: &str = "-----BEGIN PGP SIGNATURE-----";

/// The signature, where it is one in the form of OpenPGP.
pub fn openpgp_signature<'a>(
    what: &str,
    signed: Option<&'a Signed>,
) -> Result<&'a Signed, SignatureError> {
    let what = what.to_owned();
    let Some(signed) = signed else { return Err(SignatureError::Unsigned { what }) };
    if !signed.armor.starts_with(PGP_BEGIN.as_bytes()) {
        let why = "it is not an OpenPGP signature, and OpenPGP keys are trusted".to_owned();
        return Err(SignatureError::BadSignature { what, why });
    }
    Ok(signed)
}

/// Who signed, by the status lines of `gpgv` and whether it ended well.
pub fn signer_by_gpgv(what: &str, status: &str, success: bool) -> Result<Signer, SignatureError> {
    let what = what.to_owned();
    match gpgv_status(status, success) {
        Ok(key) => {
            tracing::debug!(what, key, "signature accepted");
            Ok(Signer { key, name: String::new() })
        }
        Err(PgpProblem::Two) => Err(SignatureError::TwoSignatures { what }),
        Err(PgpProblem::Unknown(key)) => Err(SignatureError::UnknownSigner { what, key }),
        Err(PgpProblem::Bad(why)) => Err(SignatureError::BadSignature { what, why }),
    }
}

/// Who signed, by what `sqv` prints: the fingerprint of one key, or why there is none.
pub fn signer_by_sqv(
    what: &str,
    output: &str,
    complaint: String,
    success: bool,
) -> Result<Signer, SignatureError> {
    let what = what.to_owned();
    let mut lines = output.lines();
    match (success, lines.next(), lines.next()) {
        (true, Some(key), None) => Ok(Signer { key: printable_key(key), name: String::new() }),
        (true, Some(_), Some(_)) => Err(SignatureError::TwoSignatures { what }),
        (true, None, _) | (false, _, _) => {
            Err(SignatureError::BadSignature { what, why: complaint })
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum PgpProblem {
    Two,
    Unknown(String),
    Bad(String),
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
