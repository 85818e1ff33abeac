//! Orphans: what earlier runs made, and no promise of the model is about any more. A run by hand reports
//! them and leaves them as they are; only an agent that adopts a model acts on them, if its policy says so.

use crate::ui::{Tone, Ui, clean};
use steadfast_engine::UndoPlan;
use steadfast_node::orphans::{Former, Orphan, Orphans};

/// One block for each promise.
pub(crate) fn show(ui: &Ui, orphans: &Orphans) {
    for Former { promise, run, goes_on, things } in orphans.promises() {
        let word = ui.paint(Tone::Doubt, "orphan");
        ui.line(&format!("{word}    {}", ui.paint(Tone::Strong, &clean(&promise.to_string()))));
        if !goes_on {
            let made =
                format!("made in run {run}, no longer promised; this run leaves it as it is");
            ui.below(10, Tone::Plain, &made);
        }
        for Orphan { made, goes_on, plan } in things {
            if *goes_on {
                let (facet, run) = (&made.facet, made.run);
                let words = "is no longer promised; this run leaves it as it is";
                ui.below(10, Tone::Plain, &format!("{facet}, made in run {run}, {words}"));
            }
            match plan {
                None | Some(UndoPlan::Back) => {}
                Some(UndoPlan::Changes(changes)) => {
                    for change in changes {
                        let line =
                            format!("when the agent adopts this model: {}: {change}", made.facet);
                        ui.below(10, Tone::Plain, &line);
                    }
                }
                Some(UndoPlan::Stays(left)) => {
                    let why = left.because(&made.facet).join(": ");
                    ui.below(
                        10,
                        Tone::Plain,
                        &format!("when the agent adopts this model, it stays: {why}"),
                    );
                }
            }
        }
    }
}

pub(crate) fn json(ui: &Ui, orphans: &Orphans) {
    for Former { promise, run, goes_on: _, things } in orphans.promises() {
        let names: Vec<String> = things.iter().map(|it| it.made.facet.to_string()).collect();
        let (mut would, mut left) = (vec![], vec![]);
        for Orphan { made, goes_on: _, plan } in things {
            match plan {
                None | Some(UndoPlan::Back) => {}
                Some(UndoPlan::Changes(changes)) => {
                    would.extend(changes.iter().map(ToString::to_string));
                }
                Some(UndoPlan::Stays(why)) => left.push(why.because(&made.facet).join(": ")),
            }
        }
        // `released` is the name of before, for those who read that (decision 0031).
        for event in ["orphan", "released"] {
            let event = serde_json::json!({
                "event": event,
                "promise": promise.to_string(),
                "run": run,
                "things": &names,
                "would": &would,
                "left": &left,
            });
            ui.line(&event.to_string());
        }
    }
}
