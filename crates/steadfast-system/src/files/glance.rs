//! What is known of files without reading them.

use super::Content;
use super::looks::Looks;
use super::walk::{Dir, Facts};
use crate::{AbsPath, Host};

/// What is known of files without reading them.
pub(super) struct Glance<'h> {
    looks: Option<&'h Looks>,
    /// The mount that was asked about last, and whether what its kernel says can be trusted.
    last: Option<((u64, u64), bool)>,
}

impl<'h> Glance<'h> {
    pub(super) fn new(host: &'h Host) -> Glance<'h> {
        Glance { looks: host.files.looks.get().and_then(Option::as_ref), last: None }
    }

    /// Whether there is any look.
    pub(super) fn is_any(&self) -> bool {
        self.looks.is_some_and(Looks::is_any)
    }

    /// The looks that hold for a file of this directory.
    fn at(&mut self, dir: &Dir, facts: &Facts) -> Option<&'h Looks> {
        let looks = self.looks?;
        let mount = (facts.device(), facts.mount());
        if mount != (dir.facts.device(), dir.facts.mount()) {
            return None;
        }
        let is_on_disk = match self.last {
            Some((last, is_on_disk)) if last == mount => is_on_disk,
            Some(_) | None => dir.is_on_disk(),
        };
        self.last = Some((mount, is_on_disk));
        is_on_disk.then_some(looks)
    }

    /// The content of a file that has the promised size, where it need not be read.
    pub(super) fn known(
        &mut self,
        dir: &Dir,
        facts: &Facts,
        promised: Option<u64>,
    ) -> Option<Content> {
        if !facts.is_file() || promised != Some(facts.size()) {
            return None;
        }
        self.at(dir, facts)?.digest(facts).map(Content::Digest)
    }

    pub(super) fn read(
        &mut self,
        dir: &Dir,
        facts: &Facts,
        content: &Content,
        path: impl FnOnce() -> Option<AbsPath>,
    ) {
        if let Content::Digest(digest) = content
            && let Some(looks) = self.at(dir, facts)
        {
            looks.verified(facts, digest, path);
        }
    }
}
