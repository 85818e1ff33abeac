//! What a change of a job does, for programs.

use super::{Change, Was};
use crate::fact::{ABSENT, Fact};
use crate::paths::{self, Owners};
use steadfast_system::text::safe;

pub(super) fn facts(change: &Change) -> Vec<Fact> {
    match change {
        Change::Write { file, was } => {
            let verb = if *was == Was::Nothing { "create" } else { "write" };
            vec![Fact::new(verb, "content").before(before(was)).after(file.content.len())]
        }
        Change::SetAttributes { path: _, seen: _, was, attributes } => {
            paths::attributes_facts(was, attributes, &Owners::default())
        }
        Change::Remove { path: _, seen: _, was } => {
            vec![Fact::new("remove", "content").before(before(was)).after(ABSENT)]
        }
    }
}

fn before(was: &Was) -> String {
    match was {
        Was::Nothing => ABSENT.to_owned(),
        Was::File { size, bytes: _ } => size.to_string(),
        Was::HardLinks(links) => format!("one file with {links} names"),
        Was::Link(target) => format!("link to {}", safe(target)),
    }
}
