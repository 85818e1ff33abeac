//! Whether a commit or tag that was read is signed as the settings want it.

use super::read::{Delivered, read};
use crate::anti_rollback::{AntiRollback, Candidate, Point};
use crate::object::{Commit, Tag};
use crate::openpgp::verify_openpgp;
use crate::refusal::Refusal;
use crate::revision::content_digest;
use crate::settings::{Git, Reference, Trust};
use crate::terms::{Origin, Terms, mismatch};
use jiff::Timestamp;
use std::path::Path;
use steadfast_download::offer::Reader;
use steadfast_model::SourceSet;
use steadfast_trust::allowed_signers::AllowedSigners;
use steadfast_trust::envelope::Signed;
use steadfast_trust::files::read_small;
use steadfast_trust::key_set::KeysError;
use steadfast_trust::signature::GIT;
use steadfast_trust::text::printable;

/// Verifies a commit or tag that was brought.
pub(crate) fn accept(
    terms: &Terms<'_>,
    followed: &Git,
    anti_rollback: &mut AntiRollback,
    cache: &Path,
) -> Result<(Candidate, SourceSet, Origin), Refusal> {
    let signers = allowed_signers(terms, anti_rollback)?;
    let highest = match &anti_rollback.highest {
        Some(Point::Git { commit, .. }) => Some(commit.clone()),
        Some(Point::Snapshot { .. } | Point::Directory { .. }) | None => None,
    };
    let mut reader = Reader::open(cache, 2 * crate::directory::MAX_BYTES)?;
    let delivered = read(&mut reader, highest.as_deref(), terms.limits)?;
    let Delivered { id, commit, tag, descent, supersedes, sources } = delivered;

    let (what, signed) = what_is_signed(&followed.reference, &id, &commit, tag.as_ref())?;
    let signers = match (terms.trust, signers) {
        (Trust::OpenPgp(keyring), _) => {
            vec![verify_openpgp(&what, signed, keyring, terms.run_as.as_ref())?]
        }
        (_, Some(signers)) => vec![signers.verify(&what, signed, GIT, terms.now)?],
        (_, None) => vec![],
    };
    let point = Point::Git { commit: id.clone(), content: content_digest(&sources) };
    let origin = Origin::Git {
        commit: id,
        tag: tag.map(|it| it.name),
        author: commit.author,
        authored: Timestamp::from_second(commit.authored).ok(),
        committed: Timestamp::from_second(commit.committed).ok(),
        subject: commit.subject,
        supersedes,
    };
    Ok((Candidate { point, descent, key_set: None, signers }, sources, origin))
}

/// The file of allowed signers, where the settings trust one. Keys that are gone from it are remembered.
fn allowed_signers(
    terms: &Terms<'_>,
    anti_rollback: &mut AntiRollback,
) -> Result<Option<AllowedSigners>, Refusal> {
    match terms.trust {
        Trust::AllowedSigners(path) => {
            let text = read_small(path).map_err(KeysError::from).map_err(Refusal::TrustedKeys)?;
            let text = String::from_utf8_lossy(&text);
            let file = path.display().to_string();
            let signers =
                AllowedSigners::parse(&file, &text, terms.zone).map_err(Refusal::TrustedKeys)?;
            anti_rollback.see_keys(&signers.keys());
            Ok(Some(signers))
        }
        Trust::OpenPgp(_) | Trust::None => Ok(None),
        Trust::Keys { .. } => Err(mismatch(terms)),
    }
}

/// What is signed is what the settings name: the tag where a tag is followed, the commit otherwise.
fn what_is_signed<'a>(
    reference: &Reference,
    id: &str,
    commit: &'a Commit,
    tag: Option<&'a Tag>,
) -> Result<(String, Option<&'a Signed>), Refusal> {
    match (reference, tag) {
        (Reference::Branch(_), None) => Ok((format!("commit {id}"), commit.signed.as_ref())),
        (Reference::Tag(name), Some(tag)) if tag.name == *name => {
            Ok((format!("tag {name}"), tag.signed.as_ref()))
        }
        (Reference::Tag(expected), Some(tag)) => {
            let (named, expected) = (printable(&tag.name), expected.clone());
            Err(Refusal::WrongTag { named, expected })
        }
        // A tag without an object of its own has nothing that could be signed.
        (Reference::Tag(name), None) => Ok((format!("tag {name}"), None)),
        (Reference::Branch(_), Some(_)) => Err(Refusal::broken("a branch names a tag")),
    }
}
