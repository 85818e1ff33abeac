//! Some promises of a component by themselves: what an act of its step is about.

use super::Promises;
use super::lower::Builder;
use crate::unit::UnitId;
use steadfast_model::{Diagnostics, Promise, Resolved, SourceSet};

/// Some promises of one unit, without all that they lie beside: what they need of that is there already.
pub fn lower_part(
    unit: &UnitId,
    promises: Vec<Promise>,
    sources: &SourceSet,
) -> (Promises, Diagnostics) {
    let mut diagnostics = Diagnostics::default();
    let mut builder = Builder::new(&mut diagnostics);
    builder.beside = Some(vec![]);
    let resolved = Resolved::default();
    promises.into_iter().for_each(|it| builder.take(&resolved, it, sources));
    builder.relate_all();
    builder.all.iter_mut().for_each(|it| it.unit = Some(unit.clone()));
    let promises = builder.finish();
    (promises, diagnostics)
}
