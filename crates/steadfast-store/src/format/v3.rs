//! Version 3 of what the database holds: a row of the undo ledger belongs to a scope, by its name and its
//! epoch. Its record is as in version 2, everything else as in version 1; there, a line of the history may
//! have a fact beside it, and a verdict a unit.

use steadfast_engine::{Scope, UnitId};

const NODE: &str = "node";

/// `node`, or `unit component:people/api`.
pub fn text_of_scope(scope: &Scope) -> String {
    match scope {
        Scope::Node => NODE.to_owned(),
        Scope::Unit(unit) => format!("unit {unit}"),
    }
}

/// None where it is no scope that this program knows.
pub fn scope_of(text: &str) -> Option<Scope> {
    if text == NODE {
        return Some(Scope::Node);
    }
    let unit = text.strip_prefix("unit ")?;
    Some(Scope::Unit(UnitId(unit.into())))
}
