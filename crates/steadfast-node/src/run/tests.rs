//! What an earlier run left in the middle of a unit is never passed over.

use super::*;
use steadfast_engine::UnitId;
use steadfast_store::{Layout, state_files};

/// Nobody looks on.
struct Nobody;

impl Audience for Nobody {
    fn warn(&mut self, _words: &str) {}

    fn begins(&mut self, _beginning: &Beginning<'_>) {}

    fn reporter<'s>(&'s mut self, _sources: &'s SourceSet) -> Box<dyn Reporter + 's> {
        Box::new(Vec::<&mut dyn Reporter>::new())
    }
}

/// A run by hand over an empty model, on a machine whose state is in a directory of its own.
fn with_run<T>(then: impl FnOnce(&mut Running<'_>, &Files, &Store) -> T) -> T {
    let (state, content) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (layout, model) = (Layout::below(state.path()), content.path());
    state_files::write(&model.join("model.yaml"), b"model: test\nformat: 1\n").unwrap();
    let cx = Context { layout, root: true, credentials: None };
    let run = Run {
        model,
        node: Some("node"),
        environment: None,
        commit: None,
        is_adopted: false,
        scope: Scope::All,
        purpose: Purpose::ByHand,
    };
    let files = model::read(model).unwrap();
    let mut running = Running {
        run: &run,
        cx: &cx,
        node: "node",
        facts: &serde_json::Value::Null,
        model: None,
        audience: &mut Nobody,
    };
    let store = running.open().unwrap();
    then(&mut running, &files, &store)
}

fn begin_step(mut store: &Store) {
    store.begin_step(&UnitId("component:api".into())).unwrap();
}

#[test]
fn only_a_resolved_model_goes_on_where_a_step_is_open() {
    with_run(|running, files, store| {
        let remembered = || Resolution::nothing("test", vec![]);
        let done = running.if_kept(remembered(), files, store).unwrap();
        assert!(matches!(done, Some(Done::Ran { .. })), "{done:?}");
        begin_step(store);
        let done = running.if_kept(remembered(), files, store).unwrap();
        assert!(done.is_none() && is_amid_step(store), "{done:?}");
    });
}

#[test]
fn a_node_that_nobody_names_any_more_takes_an_open_step_back() {
    with_run(|running, files, store| {
        let done = running.nothing(files, vec![]).unwrap();
        assert!(matches!(done, Done::Nothing { .. }), "{done:?}");
        begin_step(store);
        let done = running.nothing(files, vec![]).unwrap();
        assert!(matches!(done, Done::Ran { .. }), "{done:?}");
        assert!(!is_amid_step(store));
    });
}
