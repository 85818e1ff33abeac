//! The paths that hold what was written from a secret: remembered before a run writes any, and forgotten once
//! something else is there. What is sensitive when it is read hangs on that, and not on what the model says now.

use super::run::Run;
use crate::outcome::{NotKept, Outcome};
use steadfast_resources::{Facet, Identity};
use steadfast_system::AbsPath;
use steadfast_system::files::{Shape, Wanted};

impl Run<'_> {
    /// Gives the paths that got a secret from an earlier model, and do not from this one. Where this cannot be
    /// written down, no secret is written.
    pub(super) fn remember_secrets(&mut self) -> Vec<AbsPath> {
        let (mut paths, mut which) = (vec![], vec![]);
        for (at, promised) in self.promises.all.iter().enumerate() {
            let its = promised.want.secret_paths();
            if !its.is_empty() && promised.selected {
                which.push(at);
            }
            paths.extend(its);
        }
        match self.sys.remember_secrets(&paths) {
            Ok(former) => former,
            Err(error) => {
                for at in which {
                    let why = NotKept::Unobserved(error.clone());
                    self.outcomes[at] = Some(Outcome::NotKept(why));
                }
                vec![]
            }
        }
    }

    /// Forgets those of them where something else is now.
    pub(super) fn forget_secrets(&self, former: &[AbsPath]) {
        let gone: Vec<AbsPath> =
            former.iter().filter(|it| self.is_gone(it) || self.is_replaced(it)).cloned().collect();
        if gone.is_empty() {
            return;
        }
        // Otherwise it stays hidden, and the next run tries again.
        if let Err(error) = self.sys.forget_secrets(&gone) {
            tracing::warn!(error = error.chain().join(": "), "secret paths not forgotten");
        }
    }

    /// Whether no regular file is there.
    fn is_gone(&self, path: &AbsPath) -> bool {
        let is_file = |shape: &Shape| matches!(shape, Shape::File { .. });
        self.sys
            .look(&[(path, Wanted::Nothing)])
            .pop()
            .is_some_and(|it| it.is_ok_and(|it| !it.entry.is_some_and(|it| is_file(&it.shape))))
    }

    /// Whether a promise that says all of the content is kept.
    fn is_replaced(&self, path: &AbsPath) -> bool {
        let (claim, facet) = (Identity::Path(path.clone()), Facet::Path(path.clone()));
        self.promises.all.iter().zip(&self.outcomes).any(|(promised, outcome)| {
            outcome.as_ref().is_some_and(Outcome::is_good)
                && promised.want.claims().contains(&claim)
                && promised.want.says(&facet, false).content
        })
    }
}
