//! What the machine shows of jobs, and what it says of one.

use super::desired::Desired;
use super::state::{State, digest_of, noun};
use crate::kind::Fingerprint;
use crate::paths::{self, sha256};
use steadfast_system::accounts::Read as _;
use steadfast_system::accounts::at_once::AtOnce;
use steadfast_system::files::{Look, Shape, Wanted};
use steadfast_system::text::safe;
use steadfast_system::{AbsPath, Probe, SystemError};

pub(super) fn observe(wants: &[&Desired], sys: &dyn Probe) -> Vec<Result<State, SystemError>> {
    let asked: Vec<(&AbsPath, Wanted)> = wants
        .iter()
        .map(|want| match &want.job {
            Some(job) => (&want.path, Wanted::DigestIfSize(job.text.len() as u64)),
            // Whatever is there goes, so it is shown.
            None => (&want.path, Wanted::Bytes),
        })
        .collect();
    let mut looks = sys.look(&asked);
    look_again(wants, &mut looks, sys);
    let accounts = AtOnce::new(sys);
    wants
        .iter()
        .zip(looks)
        .map(|(want, look)| {
            let user_exists = match &want.job {
                Some(job) => accounts.uid(&job.user)?.is_some(),
                None => true,
            };
            let mut look = look?;
            if let Some(entry) = &mut look.entry {
                paths::hide_secret(entry);
            }
            Ok(State { look, user_exists })
        })
        .collect()
}

/// What has another content is looked at once more, to show it.
fn look_again(wants: &[&Desired], looks: &mut [Result<Look, SystemError>], sys: &dyn Probe) {
    let differ: Vec<usize> = (wants.iter().zip(&*looks).enumerate())
        .filter(|(_, (want, look))| look.as_ref().is_ok_and(|look| has_other_content(want, look)))
        .map(|(at, _)| at)
        .collect();
    if differ.is_empty() {
        return;
    }
    let asked: Vec<(&AbsPath, Wanted)> =
        differ.iter().map(|at| (&wants[*at].path, Wanted::Bytes)).collect();
    for (at, look) in differ.iter().zip(sys.look(&asked)) {
        looks[*at] = look;
    }
}

fn has_other_content(want: &Desired, look: &Look) -> bool {
    let (Some(job), Some(entry)) = (&want.job, &look.entry) else { return false };
    match &entry.shape {
        Shape::File { content, .. } => digest_of(content) != Some(sha256(job.text.as_bytes())),
        Shape::Directory | Shape::Link { .. } | Shape::Socket | Shape::Fifo | Shape::Device => {
            false
        }
    }
}

pub(super) fn fingerprint(have: &State) -> Fingerprint {
    let Some(entry) = &have.look.entry else {
        return Fingerprint { digest: sha256(b"nothing"), changed: None };
    };
    let digest = match &entry.shape {
        Shape::File { size, content } => {
            digest_of(content).unwrap_or_else(|| sha256(format!("{size} bytes").as_bytes()))
        }
        Shape::Link { target } => sha256(format!("link to {target}").as_bytes()),
        Shape::Directory | Shape::Socket | Shape::Fifo | Shape::Device => {
            sha256(noun(&entry.shape).as_bytes())
        }
    };
    Fingerprint { digest, changed: Some(entry.changed) }
}

pub(super) fn describe(have: &State) -> Vec<(&'static str, String)> {
    let file = match &have.look.entry {
        None => "missing".to_owned(),
        Some(entry) => {
            let what = match &entry.shape {
                Shape::File { size, .. } => paths::bytes(*size),
                Shape::Link { target } => format!("link to {}", safe(target)),
                Shape::Directory | Shape::Socket | Shape::Fifo | Shape::Device => {
                    noun(&entry.shape).to_owned()
                }
            };
            format!("{what}, mode {}, uid {}, gid {}", entry.mode, entry.uid, entry.gid)
        }
    };
    let mut lines = vec![("file", file)];
    if !have.user_exists {
        lines.push(("user", "missing".to_owned()));
    }
    lines
}
