//! What is signed together with its signatures: an object of a repository that carries one, and our own
//! signed files, where the signatures stand below the text. Nothing here says whether they are good.

use crate::signature::MAX_SIGNATURES;

pub(crate) const SSH_BEGIN: &str = "-----BEGIN SSH SIGNATURE-----";
const SSH_END: &str = "-----END SSH SIGNATURE-----";

/// A signature and what it is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    pub payload: Vec<u8>,
    pub armor: Vec<u8>,
}

/// What is signed and the signatures below it, as snapshots and key sets have them: text, then one armor
/// after another.
pub fn split_signed(raw: &[u8]) -> Option<(&str, Vec<String>)> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::SNAPSHOT;
    use crate::signing::sign;
    use ssh_key::rand_core::OsRng;
    use ssh_key::{Algorithm, PrivateKey};

    #[test]
    fn signatures_below_a_text_are_told_from_it() {
        let a = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap();
        let armor = sign(&a, SNAPSHOT, b"{}\n").unwrap();
        let file = format!("{{}}\n{armor}{armor}");
        let (payload, armors) = split_signed(file.as_bytes()).unwrap();
        assert_eq!((payload, armors.len()), ("{}\n", 2));
        assert_eq!(split_signed(b"{}\n").unwrap().1.len(), 0);
        assert_eq!(split_signed(format!("{{}}\n{armor}junk").as_bytes()), None);
    }
}
