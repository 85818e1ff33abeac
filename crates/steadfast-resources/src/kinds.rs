//! The table of kinds becomes the closed enums over them.
//!
//! A kind is a type with `impl Kind`. The rest of the program holds promises of all kinds in one list, so there
//! are three closed enums with one variant for each kind: `Resource`, `State` and `Change`. Written out, every
//! verb of a kind would be one more match with an arm for each. [`kinds!`] writes the enums from one table, which
//! stands in lib.rs beside the modules, and beside them:
//!
//! - `of_kind!(Resource, want, K, it => K::claims(it))`: a verb of whichever kind `want` is of. `K` stands for
//!   the kind, `it` for what the variant holds.
//! - `KINDS`: a row for each kind, for what is asked of all of them, one after the other.
//! - `Row` for each kind: how its own types go into the enums and come out again.

use crate::kind::Kind;
use crate::undo::{About, Facet, FacetState, Now};
use crate::{Change, Resource, State};
use std::sync::Arc;
use steadfast_model::{Field, Lower, Node, Spanned, Takes};
use steadfast_system::{Probe, SystemError};

/// Writes the enums over all kinds. The leading `$` is handed on, because a macro that writes a macro needs
/// one that is not its own.
macro_rules! kinds {
    ($d:tt $($Kind:ident => $room:ident,)*) => {
        /// What one promise, or one part of it, wants.
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        pub enum Resource {
            $($Kind($room::Desired),)*
        }

        /// What the machine shows of it. Boxed, so that thousands of files do not take the room of as many users.
        #[derive(Clone, Debug, PartialEq)]
        pub enum State {
            $($Kind(Box<$room::State>),)*
        }

        /// One repair.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Change {
            $($Kind($room::Change),)*
        }

        /// All kinds, in the order of the table.
        pub const KINDS: &[KindRow] = &[$(kinds::row::<$room::$Kind>(),)*];

        $(impl kinds::Row for $room::$Kind {
            fn want(want: Self::Desired) -> Resource {
                Resource::$Kind(want)
            }
            fn as_want(want: &Resource) -> Option<&Self::Desired> {
                if let Resource::$Kind(it) = want { Some(it) } else { None }
            }
            fn state(have: Self::State) -> State {
                State::$Kind(Box::new(have))
            }
            fn as_state(have: &State) -> Option<&Self::State> {
                if let State::$Kind(it) = have { Some(it) } else { None }
            }
            fn change(change: Self::Change) -> Change {
                Change::$Kind(change)
            }
            fn as_change(change: &Change) -> Option<&Self::Change> {
                if let Change::$Kind(it) = change { Some(it) } else { None }
            }
        })*

        /// Asks whichever kind a value is of.
        macro_rules! of_kind {
            ($d Enum:ident, $d value:expr, $d K:ident, $d it:ident => $d body:expr) => {
                match $d value {
                    $($d Enum::$Kind($d it) => {
                        type $d K = crate::$room::$Kind;
                        $d body
                    })*
                }
            };
        }
    };
}

/// One for each want; none where no kind has answered.
pub(crate) type Looks<T> = Vec<Option<Result<T, SystemError>>>;

/// What is asked of one kind about any promise or facet. It has nothing to say about those of others.
#[derive(Debug)]
pub struct KindRow {
    /// As in the model's `SECTIONS`.
    pub name: &'static str,
    /// Beside the common ones, for the schema and the documentation.
    pub fields: &'static [Field],
    /// What may stand in the place of its fields.
    pub short_forms: &'static [Takes],
    pub(crate) may_say: &'static str,
    pub(crate) lower: fn(&Spanned<Arc<str>>, &Node, &mut Lower<'_>) -> Option<Resource>,
    pub(crate) asks: bool,
    pub(crate) observe: fn(&[&Resource], &dyn Probe, &mut Looks<State>),
    pub(crate) observe_facets: fn(&[&Facet], &dyn Probe, &mut Looks<Now>),
    pub(crate) absence: fn(&Facet) -> Option<Resource>,
    pub(crate) changes_back: fn(&Facet, &Now, &FacetState, &About<'_>) -> Option<Vec<Change>>,
}

/// A kind's own types in the enums over all kinds, and what is asked of it with these.
pub(crate) trait Row: Kind {
    fn want(want: Self::Desired) -> Resource;
    fn as_want(want: &Resource) -> Option<&Self::Desired>;
    fn state(have: Self::State) -> State;
    fn as_state(have: &State) -> Option<&Self::State>;
    fn change(change: Self::Change) -> Change;
    fn as_change(change: &Change) -> Option<&Self::Change>;

    fn lower_any(name: &Spanned<Arc<str>>, body: &Node, cx: &mut Lower<'_>) -> Option<Resource> {
        Self::lower(name, body, cx).map(Self::want)
    }

    /// Looks at those of its kind, if there are any, and puts what they show where they stand.
    fn observe_any(wants: &[&Resource], sys: &dyn Probe, looks: &mut Looks<State>) {
        let (at, own): (Vec<usize>, Vec<&Self::Desired>) = (wants.iter().enumerate())
            .filter_map(|(at, want)| Some((at, Self::as_want(want)?)))
            .unzip();
        if own.is_empty() {
            return;
        }
        for (at, state) in at.into_iter().zip(Self::observe(&own, sys)) {
            looks[at] = Some(state.map(Self::state));
        }
    }

    /// The same for facets.
    fn observe_any_facets(facets: &[&Facet], sys: &dyn Probe, looks: &mut Looks<Now>) {
        let (at, own): (Vec<usize>, Vec<&Facet>) =
            facets.iter().enumerate().filter(|(_, it)| Self::looks_after(it)).unzip();
        if own.is_empty() {
            return;
        }
        for (at, now) in at.into_iter().zip(Self::observe_facets(&own, sys)) {
            looks[at] = Some(now);
        }
    }

    fn absence_of_any(facet: &Facet) -> Option<Resource> {
        Self::absence(facet).filter(|_| Self::looks_after(facet)).map(Self::want)
    }

    fn any_changes_back(
        facet: &Facet,
        now: &Now,
        before: &FacetState,
        about: &About<'_>,
    ) -> Option<Vec<Change>> {
        if !Self::looks_after(facet) {
            return None;
        }
        let changes = Self::changes_back(facet, now, before, about)?;
        Some(changes.into_iter().map(Self::change).collect())
    }
}

pub(crate) const fn row<K: Row>() -> KindRow {
    KindRow {
        name: K::NAME,
        fields: K::FIELDS,
        short_forms: K::SHORT_FORMS,
        may_say: K::MAY_SAY,
        lower: K::lower_any,
        asks: K::ASKS,
        observe: K::observe_any,
        observe_facets: K::observe_any_facets,
        absence: K::absence_of_any,
        changes_back: K::any_changes_back,
    }
}
