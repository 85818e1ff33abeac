//! # Directories
//!
//! A directory is there, with this owner, group and mode, and says what may be below it.
//!
//! ```yaml
//! directories:
//!   /srv/www: { owner: deploy, group: www-data, mode: "2755" }
//!   /srv/people: { owner: people, mode: "u=rwX,go=rX", recurse: true, ignore: ["*.sock"] }
//!   /etc/nginx/conf.d: { purge: true, source: files/nginx-conf.d }
//!   /var/spool/old: absent
//! ```
//!
//! A new directory has mode 0755 and belongs to root and root's group, or to its directory's group where
//! that is setgid. Parent directories are not made. A file or link in the way is not kept without `force`.
//!
//! **recurse**: owner, group and mode hold for all below, `X` as in chmod; `file_mode` says another mode
//! for what is no directory. Left alone are symbolic links, files with several hard links, other file
//! systems, what `ignore` names, and what has a promise of its own.
//!
//! **purge**: what no promise names goes, in this directory and in promised directories below it; a directory
//! that nobody promised stays as it is, unless `force` is true. What other promises make stays too, also where
//! they do not name it: the home, the mail and the keys of a promised user, the links by which a service that
//! is promised `enabled` starts at boot. So do the homes of people who have an account. All that is spared also where a
//! link of root's or a bind mount leads to it. Beyond `purge_max` entries nothing goes
//! and the promise is not kept. What goes is kept in the state directory. What cannot be removed
//! is told, and holds nothing else.
//!
//! **source** is a directory of the model: its files are put below the directory, with their executable bit
//! and nothing else of theirs. With `recurse`, owner, group and mode hold for them too.
//!
//! **ignore** has patterns. One without `/` is compared with every name, one with `/` with the path below
//! the directory. What is below an ignored directory is ignored.
//!
//! `recurse`, `purge` and `source` look at up to 1,000,000 entries below the directory; what `ignore` names is not
//! counted. Where others than root can write, no more than 200,000 of them may be other than promised (of another
//! owner or mode, or in the way of a purge): whoever makes more of them has this promise not kept, and nothing else.
//!
//! **absent**: it goes if it is empty, with `force` also otherwise.
//!
//! The directories of the system itself (`/`, `/etc`, `/usr`, `/home`, …) are neither absent, purged nor
//! replaced by something else; they belong to root, and who needs them gets into them.

mod alone;
mod below;
mod desired;
mod lower;
mod observe;
mod plan;
mod rule;
mod sieve;
mod state;

pub use crate::paths::Change;
pub use alone::{AloneTree, alone, itself};
pub use desired::Desired;
pub use state::State;

use crate::contents::Contents;
use crate::fact::Fact;
use crate::identity::Identity;
use crate::kind::{Applied, Difference, Fingerprint, Kind, Turn, Watch};
use crate::made::Made;
use crate::paths::{self, Inherited, vital, vital_files};
use crate::undo::{Effect, Facet, Says};
use std::collections::HashMap;
use std::sync::Arc;
use steadfast_model::{Field, Lower, Node, Spanned, Takes};
use steadfast_system::files::Digest;
use steadfast_system::files::Entry;
use steadfast_system::{AbsPath, Actuate, Probe, SystemError};

/// Of how many entries below it, which get another owner or mode at once, is remembered what they had.
const TRACED_MAX: usize = 1_000;

#[derive(Debug)]
pub struct Directory;

const STATES: &[&str] = &["present", "absent"];

impl Kind for Directory {
    const NAME: &'static str = "directory";
    const SHARED: bool = true;
    const SHORT_FORMS: &'static [Takes] = &[Takes::Words(STATES)];
    const FIELDS: &'static [Field] = &[
        Field::new(
            "state",
            Takes::Words(STATES),
            "Whether the directory exists (default: present)",
        ),
        Field::new("owner", paths::NAME_OR_NUMBER, "The owning user (a new directory: root)"),
        Field::new(
            "group",
            paths::NAME_OR_NUMBER,
            "The owning group (a new directory: root, or inherited from a setgid parent)",
        ),
        Field::new(
            "mode",
            Takes::Text,
            "The permissions: \"0755\" or u=rwX,go=rX (a new directory: 0755)",
        ),
        Field::new(
            "recurse",
            Takes::Boolean,
            "Apply owner, group and mode to everything below (default: false)",
        ),
        Field::new(
            "file_mode",
            Takes::Text,
            "With recurse: the mode of everything except directories",
        ),
        Field::new(
            "purge",
            Takes::Boolean,
            "Remove everything below it that no promise names (default: false)",
        ),
        Field::new(
            "purge_max",
            Takes::Integer,
            "Purge nothing when more entries than this would be removed (default: 100)",
        ),
        Field::new(
            "ignore",
            Takes::TextList,
            "Glob patterns of entries to leave out of purge and recurse",
        ),
        Field::new(
            "force",
            Takes::Boolean,
            "Also purge directories, and replace anything else at this path (default: false)",
        ),
        Field::new(
            "source",
            Takes::Text,
            "A directory of the model whose files are copied into this one",
        ),
    ];
    type Desired = Desired;
    type State = State;
    type Change = Change;

    fn lower(name: &Spanned<Arc<str>>, body: &Node, cx: &mut Lower<'_>) -> Option<Desired> {
        lower::lower(name, body, cx)
    }

    /// The directory, and the files that have their source in the model.
    fn claims(want: &Desired) -> Vec<Identity> {
        let files = want.sources().iter().filter(|_| !want.absent);
        let files = files.map(|it| want.path.found(&it.below));
        std::iter::once(want.path.clone()).chain(files).map(Identity::Path).collect()
    }

    fn uses(want: &Desired) -> Vec<Identity> {
        want.owners.uses(&want.path)
    }

    fn is_absent(want: &Desired) -> bool {
        want.absent
    }

    fn turn(want: &Desired) -> Turn {
        paths::turn(want.absent, &Self::claims(want))
    }

    fn may_come_with_packages(want: &Desired) -> bool {
        paths::may_come_with_packages(&Self::claims(want))
    }

    /// Where it matters which names there are in the directory itself, they are watched too.
    fn watch(want: &Desired) -> Watch {
        let mut watch = Watch::from_claims(&Self::claims(want));
        if want.recurse || want.purge || want.source.is_some() {
            watch.folders = watch.paths.clone();
            let files = want.sources().iter().map(|it| format!("{}/{}", want.path, it.below));
            watch.paths.extend(files);
        }
        watch
    }

    fn folder(want: &Desired) -> Option<&AbsPath> {
        Some(&want.path)
    }

    fn rules_below(want: &Desired) -> bool {
        !want.absent && (want.purge || want.recurse)
    }

    /// What lies in a directory that nobody promised stays with that directory.
    fn purges(want: &Desired, path: &AbsPath, is_folder: bool) -> bool {
        let goes = |below: &str| {
            (want.force || !(is_folder || below.contains('/'))) && !want.spares(below)
        };
        !want.absent && want.purge && want.below(path).is_some_and(goes)
    }

    fn set_also_promised(have: &mut State, below: &Arc<[Arc<str>]>) {
        have.also_promised = Arc::clone(below);
    }

    fn is_place(want: &Desired, have: &State) -> bool {
        plan::is_place(want, have)
    }

    /// Purge spares these and the directories that lead to them, and recursion leaves these alone.
    fn set_promised(want: &mut Desired, below: Arc<[AbsPath]>) {
        want.promised_below = below;
    }

    fn contents(want: &Desired) -> Vec<(&Digest, &Arc<[u8]>)> {
        want.sources().iter().filter_map(|it| Some((&it.digest, it.bytes.at_hand()?))).collect()
    }

    fn take_contents_from(want: &mut Desired, contents: &Arc<dyn Contents>) {
        for source in want.source.iter_mut().flat_map(Arc::make_mut) {
            source.bytes.take_from(contents);
        }
    }

    fn reaches(want: &Desired) -> Option<(&AbsPath, bool)> {
        (want.absent || want.purge || want.recurse).then_some((&want.path, true))
    }

    fn harms(want: &Desired, named: &AbsPath) -> Option<String> {
        if want.absent {
            return vital::no_absence(named)
                .or_else(|| vital_files::no_absence(named))
                .map(Into::into);
        }
        let mut why = vital_files::no_directory(named).map(Into::into);
        vital::judge_directory(&want.said_of(named), &mut |_, what| {
            why.get_or_insert_with(|| what.to_owned());
        });
        why
    }

    fn set_made(want: &mut Desired, made: Arc<[Made]>) {
        want.made = made;
    }

    fn observe(wants: &[&Desired], sys: &dyn Probe) -> Vec<Result<State, SystemError>> {
        observe::observe(wants, sys)
    }

    fn set_inherits(have: &mut State, inherits: Option<&Inherited>) {
        have.inherits = inherits.cloned();
    }

    fn hands_on(want: &Desired, have: &State) -> Option<Inherited> {
        plan::hands_on(want, have)
    }

    fn plan(want: &Desired, have: &State) -> Difference<Change> {
        plan::plan(want, have)
    }

    fn apply(batch: &[&[Change]], sys: &dyn Actuate) -> Vec<Applied> {
        paths::apply(batch, sys)
    }

    fn effects(change: &Change, _want: &Desired, have: &State) -> Vec<Effect> {
        if let Change::SetAttributes(all) = change
            && all.len() > TRACED_MAX
        {
            return vec![];
        }
        let below: HashMap<&str, &Entry> =
            have.below.iter().flat_map(|it| it.iter()).map(|it| (&*it.path, &it.entry)).collect();
        paths::effects(change, |at| match at {
            None => have.entry.as_ref(),
            Some(at) => below.get(at).copied(),
        })
    }

    fn says(want: &Desired, facet: &Facet, is_folder: bool) -> Says {
        facet.as_path().map_or(Says::default(), |path| want.says(path, is_folder))
    }

    fn folders(change: &Change) -> Vec<&AbsPath> {
        match change {
            Change::MakeDirectories(all) => all.iter().map(|it| &it.path).collect(),
            Change::MakeLink(_)
            | Change::Write(_)
            | Change::SetAttributes(_)
            | Change::Remove(_) => vec![],
        }
    }

    fn facts(change: &Change) -> Vec<Fact> {
        paths::facts(change)
    }

    fn fingerprint(have: &State) -> Fingerprint {
        observe::fingerprint(have)
    }

    fn describe(have: &State) -> Vec<(&'static str, String)> {
        observe::describe(have)
    }

    fn detail(change: &Change) -> Option<String> {
        paths::detail(change)
    }

    fn deletes(change: &Change) -> u64 {
        paths::deletes(change)
    }
}

#[cfg(test)]
mod tests;
