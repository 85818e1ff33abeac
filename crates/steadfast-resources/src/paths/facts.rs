//! What a change at a path does, for programs.

use super::change::{Change, NewDirectory, NewLink, Removal, Setting, Writing};
use super::owners::{Owners, attributes, named};
use crate::fact::{ABSENT, Fact};
use steadfast_system::files::{Attributes, Expected};
use steadfast_system::text::safe;

/// Of many things that have one line, only how many.
pub fn facts(change: &Change) -> Vec<Fact> {
    let many = |verb, facet, all: usize| vec![Fact::new(verb, facet).after(all)];
    match change {
        Change::MakeDirectories(all) => match &**all {
            [one] => directory(one),
            all => many("create", "directories", all.len()),
        },
        Change::MakeLink(link) => target(link),
        Change::Write(all) => match &**all {
            [one] => written(one),
            all => many("write", "files", all.len()),
        },
        Change::SetAttributes(all) => match &**all {
            [one] => set(one),
            all => many("set", "attributes", all.len()),
        },
        Change::Remove(all) => match &**all {
            [one] => vec![removed(one)],
            all => many("remove", "entries", all.len()),
        },
    }
}

fn directory(new: &NewDirectory) -> Vec<Fact> {
    let NewDirectory { path: _, below, uid, gid, mode, names, replaces } = new;
    let whose = Attributes { uid: Some(*uid), gid: Some(*gid), mode: Some(*mode) };
    let entry = Fact::new("create", "entry").before(entry_word(replaces)).after("directory");
    let facts = std::iter::once(entry).chain(given(&whose, names));
    facts.map(|it| it.at(below.as_deref())).collect()
}

fn target(link: &NewLink) -> Vec<Fact> {
    let NewLink { path: _, target, uid, gid, names, replaces, with: _ } = link;
    let whose = Attributes { uid: Some(*uid), gid: Some(*gid), mode: None };
    let fact = match replaces {
        Expected::Link { target: before } => Fact::set("target", safe(before), safe(target)),
        Expected::Nothing
        | Expected::File { .. }
        | Expected::AnyFile
        | Expected::Directory
        | Expected::Other => {
            Fact::new("create", "target").before(entry_word(replaces)).after(safe(target))
        }
    };
    std::iter::once(fact).chain(given(&whose, names)).collect()
}

fn written(writing: &Writing) -> Vec<Fact> {
    let Writing { file, names, below, was, present: _, sensitive, open: _, with: _ } = writing;
    let to = Attributes { uid: Some(file.uid), gid: Some(file.gid), mode: Some(file.mode) };
    let content = Fact::new("write", "content");
    let content = if *sensitive { content } else { content.after(file.content.len()) };
    let facts = match was {
        Some(was) => {
            let content = match was.size.filter(|_| !*sensitive) {
                Some(size) => content.before(size),
                None => content,
            };
            let from = Attributes { uid: Some(was.uid), gid: Some(was.gid), mode: Some(was.mode) };
            std::iter::once(content).chain(attributes(&from, &to, names)).collect()
        }
        None => {
            let content = content.before(entry_word(&file.replaces)).verb("create");
            std::iter::once(content).chain(given(&to, names)).collect::<Vec<_>>()
        }
    };
    facts.into_iter().map(|it| it.at(below.as_deref())).collect()
}

fn set(setting: &Setting) -> Vec<Fact> {
    let Setting { path: _, below, seen: _, from, to, names, list, capabilities } = setting;
    let mut facts = attributes(from, to, names);
    facts.extend(list.then(|| Fact::new("remove", "access list")));
    facts.extend(capabilities.then(|| Fact::new("remove", "capabilities")));
    facts.into_iter().map(|it| it.at(below.as_deref())).collect()
}

fn removed(removal: &Removal) -> Fact {
    Fact::removed(entry_word(&removal.seen)).at(removal.below.as_deref())
}

/// What there is at a path, in a word.
pub fn entry_word(seen: &Expected) -> String {
    match seen {
        Expected::Nothing => ABSENT.to_owned(),
        Expected::File { .. } | Expected::AnyFile => "file".to_owned(),
        Expected::Directory => "directory".to_owned(),
        Expected::Link { target } => format!("link to {}", safe(target)),
        Expected::Other => "socket, fifo or device".to_owned(),
    }
}

/// What something new gets.
fn given(to: &Attributes, names: &Owners) -> Vec<Fact> {
    let of = |id: Option<u32>, name: Option<&str>| id.map(|id| named(name, id));
    let facts = [
        ("mode", to.mode.map(|it| it.to_string())),
        ("owner", of(to.uid, names.owner_name())),
        ("group", of(to.gid, names.group_name())),
    ];
    let given = facts.into_iter().filter_map(|(facet, to)| Some((facet, to?)));
    given.map(|(facet, to)| Fact::given(facet, to)).collect()
}
