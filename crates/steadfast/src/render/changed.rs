//! Who had changed what a run repaired, in words and as JSON.

use super::time::stamp;
use serde_json::{Value, json};
use steadfast_store::format::v1::{Changer, Judged, Process, Work};

/// `changed at 2026-11-25 15:14:13Z by bash (pid 812) of ann`, the latest first.
pub(crate) fn by(judged: &Judged) -> impl Iterator<Item = String> + '_ {
    judged.changed_by.iter().rev().map(|it| {
        let changer = it.clone().into_domain();
        format!("changed at {} by {changer}", stamp(it.at))
    })
}

/// `changed_by`: in the order of time. What is not known is null.
pub(crate) fn json(judged: &Judged) -> Vec<Value> {
    judged.changed_by.iter().map(changer).collect()
}

fn changer(changer: &Changer) -> Value {
    let words = changer.clone().into_domain().to_string();
    let Changer { at, pid, process, work } = changer;
    let process = process.as_ref().map(|it| {
        let Process { name, command, arguments, user, login, unit } = it;
        json!({
            "name": name,
            "command": command,
            "arguments": arguments,
            "user": user,
            "login": login,
            "unit": unit,
        })
    });
    let work = work.as_ref().map(|it| {
        let Work { command, asked_by } = it;
        json!({ "command": command, "asked_by": asked_by })
    });
    json!({ "at": stamp(*at), "pid": pid, "process": process, "package_work": work, "words": words })
}
