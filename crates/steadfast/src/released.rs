//! What earlier runs made and nobody promises any more. It is told, and left as it is: only an agent that
//! adopts a model acts on it, where its policy says so.

use crate::ui::{Tone, Ui, clean};
use std::collections::HashSet;
use std::sync::Arc;
use steadfast_engine::Promises;
use steadfast_model::section::SECTIONS;
use steadfast_model::{
    Diagnostics, Keep, Lower, Node, Origin, Promise, PromiseId, Scope, SourceSet, Span, Spanned,
};
use steadfast_resources::Resource;
use steadfast_store::{Made, Store};
use steadfast_system::Probe;

/// What was made, is promised no more, and is still there. What is gone is told apart.
#[derive(Debug, Default)]
pub(crate) struct Released {
    pub there: Vec<Made>,
    pub gone: Vec<Made>,
}

impl Released {
    pub(crate) fn gone(&self) -> Vec<&str> {
        self.gone.iter().map(|it| it.promise.as_str()).collect()
    }
}

pub(crate) fn find(store: &Store, promises: &Promises, sys: &dyn Probe) -> Released {
    let promised: HashSet<&str> = promises.all.iter().map(|it| &*it.id.0).collect();
    let made = store.made().unwrap_or_default();
    let mut released = Released::default();
    let mut looked: Vec<(Made, Resource)> = vec![];
    for one in made.into_iter().filter(|it| !promised.contains(&*it.promise)) {
        match absent(&one.promise) {
            Some(want) => looked.push((one, want)),
            // A service has no absence of its own: what it ran from is another thing.
            None => released.there.push(one),
        }
    }
    let wants: Vec<&Resource> = looked.iter().map(|(_, want)| want).collect();
    let states = steadfast_resources::observe(&wants, sys);
    for ((one, want), state) in looked.iter().zip(states) {
        let is_gone = state.is_ok_and(|have| steadfast_resources::plan(want, &have).is_kept());
        if is_gone { released.gone.push(one.clone()) } else { released.there.push(one.clone()) }
    }
    released
}

/// The promise that the thing is gone, to look at it with.
fn absent(id: &str) -> Option<Resource> {
    let (kind, name) = id.split_once(':')?;
    let (_, kind) = SECTIONS.iter().find(|(_, it)| *it == kind)?;
    let span = Span::default();
    let promise = Promise {
        id: PromiseId(Arc::from(id)),
        kind,
        name: Spanned::new(Arc::from(name), span),
        body: Node::text("absent", span),
        needs: vec![],
        reloads: vec![],
        restarts: vec![],
        keep: Keep::Report,
        description: None,
        scope: Arc::new(Scope::default()),
        origin: Origin { span, by: Arc::from("nobody"), via: vec![] },
        conditional: false,
    };
    let (sources, mut diagnostics) = (SourceSet::default(), Diagnostics::default());
    let mut cx = Lower::new(&mut diagnostics, &sources, &promise.scope);
    steadfast_resources::lower(&promise, &mut cx)?.into_iter().next()
}

/// One line for each.
pub(crate) fn show(ui: &Ui, released: &Released) {
    for Made { promise, run } in &released.there {
        let word = ui.paint(Tone::Doubt, "released");
        ui.line(&format!("{word}  {}", ui.paint(Tone::Strong, &clean(promise))));
        ui.line(&format!("          made in run {run}, promised no more, and left as it is"));
    }
}

pub(crate) fn json(ui: &Ui, released: &Released) {
    for Made { promise, run } in &released.there {
        let event = serde_json::json!({ "event": "released", "promise": promise, "run": run });
        ui.line(&event.to_string());
    }
}
