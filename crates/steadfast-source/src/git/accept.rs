//! Whether a commit or tag that was read is signed as the settings want it.

use super::read::{Delivered, Tip};
use crate::anti_rollback::{AntiRollback, Candidate, Point, TrustedKeys};
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

/// Verifies a commit or tag that was brought, and only then reads what belongs to it.
pub(crate) fn accept(
    terms: &Terms<'_>,
    followed: &Git,
    known: &AntiRollback,
    cache: &Path,
) -> Result<(Candidate, SourceSet, Origin), Refusal> {
    let signers = allowed_signers(terms)?;
    let highest = match &known.highest {
        Some(Point::Git { commit, .. }) => Some(commit.as_str()),
        Some(Point::Snapshot { .. } | Point::Directory { .. }) | None => None,
    };
    let mut reader = Reader::open(cache, 2 * crate::directory::MAX_BYTES)?;
    let tip = Tip::read(&mut reader)?;
    let (what, signed) =
        what_is_signed(&followed.reference, &tip.id, &tip.commit, tip.tag.as_ref())?;
    let keys = signers.as_ref().map(|it| TrustedKeys::listed(it.keys()));
    let signers = match (terms.trust, signers) {
        (Trust::OpenPgp(keyring), _) => {
            vec![verify_openpgp(&what, signed, keyring, terms.run_as.as_ref())?]
        }
        (_, Some(signers)) => {
            let now = known.time(terms.now, terms.force);
            vec![signers.verify(&what, signed, GIT, now)?]
        }
        (_, None) => vec![],
    };

    let Delivered { descent, supersedes, sources } =
        tip.delivered(&mut reader, highest, terms.limits)?;
    let Tip { id, commit, tag, .. } = tip;
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
    Ok((Candidate { point, descent, key_set: None, keys, signers }, sources, origin))
}

/// The file of allowed signers, where the settings trust one.
fn allowed_signers(terms: &Terms<'_>) -> Result<Option<AllowedSigners>, Refusal> {
    match terms.trust {
        Trust::AllowedSigners(path) => {
            let text = read_small(path).map_err(KeysError::from).map_err(Refusal::TrustedKeys)?;
            let text = String::from_utf8_lossy(&text);
            let file = path.display().to_string();
            let signers =
                AllowedSigners::parse(&file, &text, terms.zone).map_err(Refusal::TrustedKeys)?;
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
