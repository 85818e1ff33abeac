//! The side that runs with the node's privileges: it reads one file that the fetching side left, computes
//! every digest again, verifies every signature again, and judges the revision against what was accepted
//! before.

use crate::anti_rollback::{AntiRollback, Candidate, Descent, Point, judge};
use crate::directory::read_directory;
use crate::refusal::Refusal;
use crate::revision::content_digest;
use crate::settings::{Source, Trust};
use crate::terms::{Fetched, Origin, Terms, mismatch, unsigned};
use crate::{git, snapshot};
use std::path::Path;
use steadfast_model::SourceSet;

/// Whether anything from a source may be taken at all: what nobody signs is not to be changed on its way.
pub fn permitted(source: &Source, trust: &Trust) -> Result<(), Refusal> {
    match trust {
        Trust::None if source.is_plain() => Err(Refusal::Plain { what: source.to_string() }),
        Trust::None | Trust::AllowedSigners(_) | Trust::OpenPgp(_) | Trust::Keys { .. } => Ok(()),
    }
}

/// Verifies and judges what was brought. `anti_rollback` moves forward where the model may be taken, and else
/// takes note of nothing but the time at which something had expired: the caller saves it where it changed,
/// before anything is adopted.
pub fn accept(
    terms: &Terms<'_>,
    anti_rollback: &mut AntiRollback,
    cache: &Path,
) -> Result<Fetched, Refusal> {
    let (source, trust) = (terms.source.kind(), terms.trust.kind());
    let _span = tracing::debug_span!("accept", source, trust).entered();
    let accepted = verify_and_judge(terms, anti_rollback, cache);
    match &accepted {
        Ok(Fetched { point, advance, signers, .. }) => {
            let signers: Vec<&str> = signers.iter().map(|it| it.key.as_str()).collect();
            tracing::info!(revision = %point, ?advance, ?signers, "revision accepted");
        }
        Err(refusal) => {
            tracing::warn!(kind = ?refusal.kind(), why = refusal.line(), "revision refused");
        }
    }
    accepted
}

fn verify_and_judge(
    terms: &Terms<'_>,
    anti_rollback: &mut AntiRollback,
    cache: &Path,
) -> Result<Fetched, Refusal> {
    permitted(terms.source, terms.trust)?;
    let (candidate, sources, origin) = match terms.source {
        Source::Git(git) => git::accept(terms, git, anti_rollback, cache)?,
        Source::Snapshot(_) => snapshot::accept(terms, anti_rollback, cache)?,
        Source::Directory(path) => {
            if *terms.trust != Trust::None {
                return Err(mismatch(terms));
            }
            let mut sources = SourceSet::default();
            read_directory(path, &mut sources)?;
            let point = Point::Directory { content: content_digest(&sources) };
            (unsigned(point, Descent::None), sources, Origin::Directory)
        }
    };
    let judged = judge(anti_rollback, &candidate, terms.expected, terms.now, terms.force);
    if let Err(Refusal::Expired { .. }) = judged {
        anti_rollback.saw_expired(terms.now);
    }
    let advance = judged?;
    anti_rollback.take(&candidate, advance, &terms.source.to_string(), terms.now);
    let Candidate { point, descent: _, key_set: _, keys: _, signers } = candidate;
    Ok(Fetched { sources, point, advance, origin, signers, validator: None })
}
