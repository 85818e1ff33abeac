//! What is asked of one promise, look or change, whichever kind it is of.

use crate::contents::Contents;
use crate::fact::Fact;
use crate::identity::Identity;
use crate::kind::{Fingerprint, Kind, Turn, Watch};
use crate::kinds::Row as _;
use crate::made::Made;
use crate::undo::{Facet, Says};
use crate::{Change, Resource, State};
use std::fmt;
use std::sync::Arc;
use steadfast_system::AbsPath;
use steadfast_system::files::Digest;

impl Resource {
    pub fn kind(&self) -> &'static str {
        of_kind!(Resource, self, K, _want => K::NAME)
    }

    /// What programs of the machine find as its name once this is kept.
    pub fn names_host(&self) -> Option<&str> {
        of_kind!(Resource, self, K, want => K::names_host(want))
    }

    /// What it owns; the first is its identity.
    pub fn claims(&self) -> Vec<Identity> {
        of_kind!(Resource, self, K, want => K::claims(want))
    }

    /// What it is about: what it owns, or what it says a part of without owning it.
    pub fn concerns(&self) -> Vec<Identity> {
        of_kind!(Resource, self, K, want => K::concerns(want))
    }

    /// What it needs, where that is promised.
    pub fn uses(&self) -> Vec<Identity> {
        of_kind!(Resource, self, K, want => K::uses(want))
    }

    /// Of which things one may bring what it is about.
    pub fn comes_from(&self) -> Vec<Identity> {
        of_kind!(Resource, self, K, want => K::comes_from(want))
    }

    /// Whether the thing is promised to be gone.
    pub fn is_absent(&self) -> bool {
        of_kind!(Resource, self, K, want => K::is_absent(want))
    }

    /// Its place in the usual order.
    pub fn turn(&self) -> Turn {
        of_kind!(Resource, self, K, want => K::turn(want))
    }

    /// Why it could not be promised of this path, which turns out to be the same thing: the system needs it.
    pub fn harms(&self, named: &AbsPath) -> Option<String> {
        of_kind!(Resource, self, K, want => K::harms(want, named))
    }

    /// Whether another revision wants the same, wherever it is written.
    pub fn wants_the_same(&self, new: &Resource) -> bool {
        of_kind!(Resource, self, K, old => {
            K::as_want(new).is_some_and(|new| K::wants_the_same(old, new))
        })
    }

    /// The contents that it promises, as far as they are at hand.
    pub fn contents(&self) -> Vec<(&Digest, &Arc<[u8]>)> {
        of_kind!(Resource, self, K, want => K::contents(want))
    }

    /// Whether several components of a node may promise the same.
    pub fn is_shared(&self) -> bool {
        of_kind!(Resource, self, K, _want => K::SHARED)
    }

    /// The texts that systemd reads because of it, as far as they are at hand.
    pub fn unit_texts(&self) -> Vec<String> {
        of_kind!(Resource, self, K, want => K::unit_texts(want))
    }

    /// Has it take its contents from there from now on.
    pub fn take_contents_from(&mut self, contents: &Arc<dyn Contents>) {
        of_kind!(Resource, self, K, want => K::take_contents_from(want, contents));
    }

    /// Whether a package that is installed in this run could bring, change or own what is promised.
    pub fn may_come_with_packages(&self) -> bool {
        of_kind!(Resource, self, K, want => K::may_come_with_packages(want))
    }

    /// Whether packages bring just what is promised not to be.
    pub fn is_against_packages(&self) -> bool {
        of_kind!(Resource, self, K, want => K::is_against_packages(want))
    }

    /// The paths that it writes secrets to, and whether what is replaced there is kept all the same.
    pub fn secret_paths(&self) -> Vec<(AbsPath, bool)> {
        of_kind!(Resource, self, K, want => K::secret_paths(want))
    }

    /// What it makes beside what it claims.
    pub fn makes(&self) -> Vec<Made> {
        of_kind!(Resource, self, K, want => K::makes(want))
    }

    /// Whether it is promised that what it is about says itself to be well.
    pub fn promises_health(&self) -> bool {
        of_kind!(Resource, self, K, want => K::promises_health(want))
    }

    /// Where it shows that somebody has touched what it is about.
    pub fn watch(&self) -> Watch {
        of_kind!(Resource, self, K, want => K::watch(want))
    }

    /// The directory that it is about, if it is about one.
    pub fn folder(&self) -> Option<&AbsPath> {
        of_kind!(Resource, self, K, want => K::folder(want))
    }

    /// Whether it decides about what other promises do not name in its directory.
    pub fn rules_below(&self) -> bool {
        of_kind!(Resource, self, K, want => K::rules_below(want))
    }

    /// Whether this goes where nobody promises it.
    pub fn purges(&self, path: &AbsPath, is_folder: bool) -> bool {
        of_kind!(Resource, self, K, want => K::purges(want, path, is_folder))
    }

    /// What it says this facet is to be, so that keeping the promise is enough for that.
    pub fn says(&self, facet: &Facet, is_folder: bool) -> Says {
        of_kind!(Resource, self, K, want => K::says(want, facet, is_folder))
    }
}

impl State {
    /// What a service that has the promise as an input runs with.
    pub fn fingerprint(&self) -> Fingerprint {
        of_kind!(State, self, K, have => K::fingerprint(have))
    }

    /// What the machine says now, as name and value.
    pub fn describe(&self) -> Vec<(&'static str, String)> {
        of_kind!(State, self, K, have => K::describe(have))
    }
}

impl Change {
    /// What it does, for programs.
    pub fn facts(&self) -> Vec<Fact> {
        of_kind!(Change, self, K, change => K::facts(change))
    }

    /// More than its one line: the diff of a file.
    pub fn detail(&self) -> Option<String> {
        of_kind!(Change, self, K, change => K::detail(change))
    }

    /// The directories that it makes.
    pub fn folders(&self) -> Vec<&AbsPath> {
        of_kind!(Change, self, K, change => K::folders(change))
    }

    /// Whether files, users and services that nobody named may come with it.
    pub fn brings(&self) -> bool {
        of_kind!(Change, self, K, change => K::brings(change))
    }

    /// Whether it makes an account, which a package that is installed before may make too.
    pub fn makes_account(&self) -> bool {
        of_kind!(Change, self, K, change => K::makes_account(change))
    }

    /// Whether somebody without any privilege can make it fail, or take it back at once.
    pub fn may_be_thwarted(&self) -> bool {
        of_kind!(Change, self, K, change => K::may_be_thwarted(change))
    }

    /// What it makes free for a later step.
    pub fn frees(&self) -> Vec<Identity> {
        of_kind!(Change, self, K, change => K::frees(change))
    }

    /// How many things it removes from the machine.
    pub fn deletes(&self) -> u64 {
        of_kind!(Change, self, K, change => K::deletes(change))
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        of_kind!(Change, self, K, change => <K as Kind>::Change::fmt(change, f))
    }
}
