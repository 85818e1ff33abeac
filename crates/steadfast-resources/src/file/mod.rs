//! # Files
//!
//! A file has this content, this owner, group and mode. Each is optional; what is not said is left
//! alone.
//!
//! ```yaml
//! files:
//!   /etc/motd: { content: "Welcome to {{ node.name }}\n" }
//!   /etc/nginx/nginx.conf:
//!     template: templates/nginx.conf.j2
//!     mode: "0644"
//!     validate: [nginx, -t, -c, "{file}"]
//!   /etc/ssh/sshd_config:
//!     edits: [{ line: "PermitRootLogin no", match: "^#?PermitRootLogin " }]
//!   /etc/people/password: { content: { secret: people/db-password }, owner: people }
//!   /etc/shadow: { mode: "0640", group: shadow }
//!   /etc/obsolete.conf: absent
//! ```
//!
//! The content comes from one of `content`, `content_base64`, `template` (with `variables`), `source` (a
//! file of the model) and `edits` (see [`crate::edit`]). Other content at the path is replaced; the old
//! one is kept in the state directory, unless `keep_backup` is false. With `replace: false` a content is
//! only written where there is no file.
//!
//! A new file has mode 0644 (0600 where it is sensitive), and belongs to root and root's group, or to the
//! directory's group where that is setgid. A symbolic `mode` starts from there, or from the mode that the
//! file has. Parent directories are not made.
//!
//! A symbolic link in the way of a content is replaced, never followed. A directory, socket, fifo or
//! device in the way is not kept without `force`; so is a link where `replace` is false.
//!
//! `validate` runs on the whole new file, before it takes its place; if it says no, the old file stays.
//!
//! A file that got a secret is `sensitive` as a whole: nothing of it is shown, and what it replaces is
//! only kept where `keep_backup: true` is written. It stays so where the model stops saying it, until something
//! else is there.
//!
//! With a `mode`, an access list that others than root can have laid (in a directory that they can write, or on a
//! file of theirs) is a difference, and is removed.

mod alone;
mod desired;
mod lower;
mod observe;
mod plan;
mod state;

pub use crate::paths::Change;
pub use alone::{Alone, alone};
pub use desired::Desired;
pub use state::{Compared, State};

use crate::contents::Contents;
use crate::edit;
use crate::fact::Fact;
use crate::identity::Identity;
use crate::kind::{Applied, Difference, Fingerprint, Kind, Turn};
use crate::made::Made;
use crate::naming::Naming;
use crate::paths::{self, Accounts, Inherited, Within, vital, vital_files};
use crate::undo::{About, Effect, Facet, FacetState, Now, Says};
use std::sync::Arc;
use steadfast_model::{Field, Lower, Node, Spanned, TEXT_FROM, Takes};
use steadfast_system::files::Digest;
use steadfast_system::{AbsPath, Actuate, Probe, SystemError};

#[derive(Debug)]
pub struct File;

const STATES: &[&str] = &["present", "absent"];

impl Kind for File {
    const NAME: &'static str = "file";
    const SHORT_FORMS: &'static [Takes] = &[Takes::Words(STATES)];
    const FIELDS: &'static [Field] = &[
        Field::new("state", Takes::Words(STATES), "Whether the file exists (default: present)"),
        Field::new("content", Takes::TextOrSecret, "The whole content"),
        Field::new("content_base64", Takes::Text, "The whole content, encoded in base64"),
        Field::new("template", TEXT_FROM, "A template of the model that renders the content"),
        Field::new("variables", Takes::MapOf(&Takes::Anything), "Variables for the template"),
        Field::new("source", TEXT_FROM, "A file of the model to copy the content from"),
        Field::new("edits", Takes::ListOf(edit::FIELDS), "Changes to the existing content"),
        Field::new("owner", paths::NAME_OR_NUMBER, "The owning user (a new file: root)"),
        Field::new(
            "group",
            paths::NAME_OR_NUMBER,
            "The owning group (a new file: root, or inherited from a setgid directory)",
        ),
        Field::new(
            "mode",
            Takes::Text,
            "The permissions: \"0644\" or u=rw,go=r (a new file: 0644)",
        ),
        Field::new(
            "validate",
            Takes::TextList,
            "A command that checks the new file; {file} is its path",
        ),
        Field::new(
            "replace",
            Takes::Boolean,
            "Replace the content of a file that exists (default: true)",
        ),
        Field::new("create", Takes::Boolean, "With edits: create a missing file (default: false)"),
        Field::new("sensitive", Takes::Boolean, "Never show the content (default: false)"),
        Field::new(
            "force",
            Takes::Boolean,
            "Replace anything at this path that is not a regular file (default: false)",
        ),
        Field::new(
            "keep_backup",
            Takes::Boolean,
            "Keep a copy of replaced content (default: true; with sensitive: false)",
        ),
    ];
    type Desired = Desired;
    type State = State;
    type Change = Change;

    fn lower(name: &Spanned<Arc<str>>, body: &Node, cx: &mut Lower<'_>) -> Option<Desired> {
        lower::lower(name, body, cx)
    }

    fn claims(want: &Desired) -> Vec<Identity> {
        vec![Identity::Path(want.path.clone())]
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

    fn contents(want: &Desired) -> Vec<(&Digest, &Arc<[u8]>)> {
        want.contents()
    }

    fn unit_texts(want: &Desired) -> Vec<String> {
        let contents = want.contents().into_iter();
        let is_read = steadfast_system::services::is_in_unit_language(want.path());
        let texts = contents.map(|(_, it)| String::from_utf8_lossy(it).into_owned());
        texts.filter(|_| is_read).collect()
    }

    fn take_contents_from(want: &mut Desired, contents: &Arc<dyn Contents>) {
        want.take_contents_from(contents);
    }

    fn observe(wants: &[&Desired], sys: &dyn Probe) -> Vec<Result<State, SystemError>> {
        let mut accounts = Accounts::new(sys);
        let states = observe::observe_with(wants, sys, |owners, folder| {
            Ok((accounts.ids(owners)?, accounts.inherited(folder)))
        });
        let mut naming = Naming::new(sys);
        let spared = |(want, state): (&&Desired, Result<State, SystemError>)| {
            let mut state = state?;
            if state.ours.is_none() && (want.force || !want.made.is_empty()) {
                let entry = state.entry.as_ref();
                (state.ours, state.within) =
                    Within::find(&want.path, entry, &want.made, want.force, &mut naming)?;
            }
            Ok(state)
        };
        wants.iter().zip(states).map(spared).collect()
    }

    fn secret_paths(want: &Desired) -> Vec<(AbsPath, bool)> {
        let path = (want.sensitive && !want.absent).then(|| want.path.clone());
        path.map(|it| (it, want.keep_backup)).into_iter().collect()
    }

    /// Whoever says what keys are in a file of keys says all of it.
    fn reaches(want: &Desired) -> Option<(&AbsPath, bool)> {
        (want.absent || Made::is_path_of_keys(&want.path)).then_some((&want.path, false))
    }

    fn harms(want: &Desired, named: &AbsPath) -> Option<String> {
        let absent = || vital_files::no_absence(named).filter(|_| want.absent);
        let mut why = vital::no_file(named).or_else(absent).map(Into::into);
        vital_files::judge_attributes(named, &want.owners, want.mode.as_ref(), &mut |_, what| {
            why.get_or_insert_with(|| what.to_owned());
        });
        why
    }

    fn set_made(want: &mut Desired, made: Arc<[Made]>) {
        let absent = want.absent;
        want.made = made.iter().filter(|it| absent || it.is_alone()).cloned().collect();
    }

    fn set_inherits(have: &mut State, inherits: Option<&Inherited>) {
        have.inherits = inherits.cloned();
    }

    fn plan(want: &Desired, have: &State) -> Difference<Change> {
        plan::plan(want, have)
    }

    fn apply(batch: &[&[Change]], sys: &dyn Actuate) -> Vec<Applied> {
        paths::apply(batch, sys)
    }

    fn effects(change: &Change, _want: &Desired, have: &State) -> Vec<Effect> {
        paths::effects(change, |_| have.entry.as_ref())
    }

    fn says(want: &Desired, facet: &Facet, _is_folder: bool) -> Says {
        facet.as_path().map_or(Says::default(), |_| want.says())
    }

    /// Whatever is at a path: a file, a directory, a link.
    fn looks_after(facet: &Facet) -> bool {
        facet.as_path().is_some()
    }

    fn observe_facets(facets: &[&Facet], sys: &dyn Probe) -> Vec<Result<Now, SystemError>> {
        paths::observe_facets(facets, sys)
    }

    fn changes_back(
        facet: &Facet,
        now: &Now,
        before: &FacetState,
        about: &About<'_>,
    ) -> Option<Vec<Change>> {
        Some(vec![paths::back(facet.as_path()?, now, before, about)?])
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
