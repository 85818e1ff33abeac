//! Which paths and units the agent watches, so that drift is noticed at once.

use crate::wire::Watched;
use steadfast_engine::Promises;
use steadfast_resources::Watch;

/// For every promise, where it shows that somebody has touched what it is about.
pub fn watched(promises: &Promises) -> impl Iterator<Item = Watched> + '_ {
    promises.all.iter().filter(|it| !it.implied).map(|promised| {
        let Watch { paths, folders, units } = promised.want.watch();
        Watched { promise: promised.id.clone(), paths, folders, units }
    })
}
