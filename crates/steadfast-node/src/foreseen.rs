//! Facts that a promise of the same run changes: the name of the host, and files that facts are read from. What
//! the model makes of facts is made of those that hold once the run is done, so one run is enough.

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use steadfast_engine::Promises;
use steadfast_model::{Keep, PromiseId};
use steadfast_system::facts::{self, Foreseen};

/// Where the full name of a host may stand.
const HOSTS: &str = "/etc/hosts";

/// The facts as these promises leave them, and the promises that make them so. None where they stay as they are.
/// `folder` is that of the files that facts are read from.
pub(crate) fn facts(
    promises: &Promises,
    now: &Value,
    folder: &Path,
    gather: impl Fn(&Foreseen) -> Value,
) -> Option<(Value, BTreeSet<PromiseId>)> {
    let (foreseen, makers) = changes(promises, now, folder);
    if makers.is_empty() {
        return None;
    }
    let then = gather(&foreseen);
    (then != *now).then_some((then, makers))
}

fn changes(promises: &Promises, now: &Value, folder: &Path) -> (Foreseen, BTreeSet<PromiseId>) {
    let (mut foreseen, mut makers) = (Foreseen::default(), BTreeSet::new());
    let hostname = facts::hostname(now);
    for promised in promises.all.iter().filter(|it| it.keep == Keep::Repair) {
        let want = &promised.want;
        if let Some(name) = want.names_host().filter(|it| Some(*it) != hostname) {
            foreseen.hostname = Some(name.to_owned());
            makers.insert(promised.id.clone());
        }
        let claims = want.claims();
        let Some(path) = claims.first().and_then(|it| it.as_path()) else { continue };
        let path = Path::new(path.as_str());
        if path.parent() != Some(folder) && path != Path::new(HOSTS) {
            continue;
        }
        let content = want.contents().first().map(|(_, bytes)| Arc::clone(bytes));
        if content.is_some() || want.is_absent() {
            foreseen.files.insert(path.to_owned(), content);
            makers.insert(promised.id.clone());
        }
    }
    (foreseen, makers)
}
